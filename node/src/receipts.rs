//! Receipts: proof that the consumer's node holds what the provider sealed.
//!
//! The consumer's node shows each closing statement that cites the provider's to the provider ([`sending`]); the provider's
//! node verifies it, keeps it in its ledger ([`taking`]) and knows of each answer whether the receipt came ([`OwedReceipts`]). What
//! does not come in time is a finding; who owes too much is not answered any more.

mod outbox;
mod owed;
mod recalling;
mod sending;
mod taking;

pub(crate) use outbox::Outbox;
pub(crate) use owed::{Answered, OwedReceipts, mind};
pub(crate) use recalling::recall;
pub(crate) use sending::send;
pub(crate) use taking::take;
