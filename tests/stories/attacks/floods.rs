//! Too much of everything: it costs the attacker, and grows no ledger.
