//! Under which names the index has a person or a case.

use super::Ledger;
use crate::Hash;

impl Ledger {
    /// Pseudonym of a person, for [`Ledger::by_pseudonym`]; `kind` is the number of a `jisr.v1.SubjectKind`.
    #[must_use]
    pub fn subject_pseudonym(&self, kind: u32, value: &str) -> Hash {
        self.0.vault.subject(kind, value)
    }

    /// Pseudonym of a case, for [`Ledger::by_pseudonym`].
    #[must_use]
    pub fn case_pseudonym(&self, text: &str) -> Hash {
        self.0.vault.case(text)
    }
}
