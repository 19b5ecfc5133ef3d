//! Taking whom an exchange was about out of the index.

use std::io;

use jisr_proto::ident::ExchangeId;

use super::rows::{Began, SPAN_US};
use super::store::Changes;
use super::{Index, Selection};
use crate::Hash;

impl Index {
    /// Forgets that this exchange, which began at this time, was about a person or a case. Durable after [`Index::sync`].
    pub(crate) fn forget(&self, pseudonym: &Hash, us: u64, exchange: ExchangeId) -> io::Result<()> {
        let prefix = Selection::Pseudonym(pseudonym).prefix();
        // A row holds no more than this time behind the one it is named for.
        let first = [prefix.as_slice(), &us.saturating_sub(SPAN_US).to_be_bytes()].concat();
        let last = [prefix.as_slice(), &us.saturating_add(1).to_be_bytes()].concat();
        let mut changed = Changes::default();
        self.store.each(first.as_slice()..last.as_slice(), |key, row| {
            let left = Began::without(key, prefix.len(), row, (us, exchange))?;
            if left.is_empty() {
                changed.remove(key);
            } else if left.len() < row.len() {
                changed.insert(key, left);
            }
            Ok(true)
        })?;
        self.store.apply(&changed)
    }
}
