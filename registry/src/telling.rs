//! A snapshot as one node is told it, piece by piece.

use std::collections::VecDeque;
use std::sync::Arc;

use jisr_proto::ident::MemberId;
use jisr_proto::snapshot::{RowChange, SnapshotUpdate};

use crate::snapshot::Published;

/// Bytes of changes in one piece, about.
const PIECE_BYTES: usize = 1 << 20;
/// What a change takes besides key and row, about.
const CHANGE_BYTES: usize = 64;

/// The pieces of one snapshot for one member. Nothing is copied before it is asked for.
#[derive(Debug)]
pub(crate) struct Telling {
    published: Published,
    member: MemberId,
    base_version: u64,
    left: Left,
    begun: bool,
}

#[derive(Debug)]
enum Left {
    /// Every row after this key.
    After(Arc<str>),
    /// What stands at these keys.
    Keys(VecDeque<Arc<str>>),
}

impl Telling {
    /// All rows.
    pub(crate) fn all(published: Published, member: MemberId) -> Telling {
        Telling {
            published,
            member,
            base_version: 0,
            left: Left::After("".into()),
            begun: false,
        }
    }

    /// What changed since `base_version`.
    pub(crate) fn changed(published: Published, member: MemberId, base_version: u64, keys: Vec<Arc<str>>) -> Telling {
        Telling {
            published,
            member,
            base_version,
            left: Left::Keys(keys.into()),
            begun: false,
        }
    }

    fn change(&mut self) -> Option<RowChange> {
        let picture = &self.published.picture;
        match &mut self.left {
            Left::After(last) => {
                let (key, known) = picture.rows.after(last).next()?;
                *last = Arc::clone(key);
                Some(picture.told(key, known, &self.member))
            }
            Left::Keys(keys) => {
                let key = keys.pop_front()?;
                Some(match picture.rows.get(&key) {
                    Some(known) => picture.told(&key, known, &self.member),
                    None => RowChange {
                        key: key.to_string(),
                        removed: true,
                        ..RowChange::default()
                    },
                })
            }
        }
    }

    fn is_done(&self) -> bool {
        match &self.left {
            Left::After(last) => self.published.picture.rows.after(last).next().is_none(),
            Left::Keys(keys) => keys.is_empty(),
        }
    }
}

impl Iterator for Telling {
    type Item = SnapshotUpdate;

    fn next(&mut self) -> Option<SnapshotUpdate> {
        if self.begun && self.is_done() {
            return None;
        }
        let signed = (!self.begun).then(|| self.published.signed.as_ref().clone());
        self.begun = true;
        let (mut changes, mut bytes) = (Vec::new(), 0);
        while bytes < PIECE_BYTES
            && let Some(change) = self.change()
        {
            bytes += change.key.len() + change.row.len() + CHANGE_BYTES;
            changes.push(change);
        }
        Some(SnapshotUpdate {
            signed,
            base_version: self.base_version,
            changes,
            more: !self.is_done(),
        })
    }
}
