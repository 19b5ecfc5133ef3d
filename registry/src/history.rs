//! Which rows changed from version to version, so that a follower gets what changed since the version that it holds.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::snapshot::Picture;
use crate::state::Hash;

/// Versions that are remembered: at one refresh a minute, more than two days.
const STEPS_MAX: usize = 4096;
/// Changed rows that are remembered, over all versions.
const CHANGES_MAX: usize = 1 << 18;

/// The newest versions, oldest first. A version that is not here is told whole.
#[derive(Debug, Default, Clone)]
pub(crate) struct History {
    steps: VecDeque<Arc<Step>>,
    changes: usize,
}

#[derive(Debug)]
struct Step {
    version: u64,
    digest: Hash,
    /// Keys at which it differs from the version before, and whether that had them.
    changed: Vec<(Arc<str>, bool)>,
}

/// What a follower needs who holds some version.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Since {
    /// What stands at these keys now; those that are not listed any more were in that version.
    Changed(Vec<Arc<str>>),
    /// All rows: that version is too long ago.
    Everything,
    /// The version had another digest.
    Another,
}

impl History {
    /// This history and one more version.
    pub(crate) fn with(&self, version: u64, digest: Hash, before: &Picture, changed: Vec<Arc<str>>) -> History {
        let mut history = self.clone();
        let had = |key: Arc<str>| {
            let had = before.rows.get(&key).is_some();
            (key, had)
        };
        let changed: Vec<(Arc<str>, bool)> = changed.into_iter().map(had).collect();
        history.changes += changed.len();
        history.steps.push_back(Arc::new(Step {
            version,
            digest,
            changed,
        }));
        while history.steps.len() > STEPS_MAX || (history.changes > CHANGES_MAX && history.steps.len() > 1) {
            let gone = history.steps.pop_front();
            history.changes -= gone.map_or(0, |step| step.changed.len());
        }
        history
    }

    /// What changed since this version, by key, where `now` is what there is now.
    pub(crate) fn since(&self, version: u64, digest: &Hash, now: &Picture) -> Since {
        let Ok(at) = self.steps.binary_search_by_key(&version, |step| step.version) else {
            return Since::Everything;
        };
        if self.steps.get(at).is_some_and(|step| step.digest != *digest) {
            return Since::Another;
        }
        let mut first: BTreeMap<&Arc<str>, bool> = BTreeMap::new();
        for (key, had) in self.steps.iter().skip(at + 1).flat_map(|step| &step.changed) {
            first.entry(key).or_insert(*had);
        }
        // What came and went in between, the follower never had.
        let told = first
            .into_iter()
            .filter(|(key, had)| *had || now.rows.get(key).is_some());
        Since::Changed(told.map(|(key, _)| Arc::clone(key)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jisr_ledger::snapshot::{Rows, State, row_bytes};
    use jisr_proto::snapshot::Member;

    fn picture(before: &Picture, ids: &[&str]) -> (Picture, Vec<Arc<str>>) {
        let rows = ids.iter().map(|id| {
            row_bytes(State::Member(Member {
                id: (*id).to_owned(),
                ..Member::default()
            }))
        });
        let (rows, changed): (Rows, _) = before.rows.next(rows);
        let picture = Picture {
            rows,
            ..Picture::default()
        };
        (picture, changed)
    }

    fn keys(since: Since) -> Vec<String> {
        match since {
            Since::Changed(keys) => keys.iter().map(|key| key.replace("member/", "")).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_came_and_went_is_not_told() {
        let (mut before, mut history) = (Picture::default(), History::default());
        for (version, ids) in [
            (1, &["a", "b"][..]),
            (2, &["a", "b", "c"]),
            (3, &["a", "d"]),
            (4, &["a", "d"]),
        ] {
            let (now, changed) = picture(&before, ids);
            history = history.with(version, [u8::try_from(version).unwrap(); 32], &before, changed);
            before = now;
        }
        assert_eq!(keys(history.since(1, &[1; 32], &before)), ["b", "d"]);
        assert_eq!(keys(history.since(2, &[2; 32], &before)), ["b", "c", "d"]);
        assert_eq!(keys(history.since(3, &[3; 32], &before)), [""; 0]);
        assert_eq!(history.since(2, &[9; 32], &before), Since::Another);
        assert_eq!(history.since(9, &[9; 32], &before), Since::Everything);
    }

    #[test]
    fn it_is_bounded() {
        let (empty, mut history) = (Picture::default(), History::default());
        for version in 1..=5000 {
            history = history.with(version, [0; 32], &empty, Vec::new());
        }
        assert_eq!(history.since(904, &[0; 32], &empty), Since::Everything);
        assert_eq!(keys(history.since(905, &[0; 32], &empty)), [""; 0]);
        let many: Vec<Arc<str>> = (0..CHANGES_MAX).map(|key| key.to_string().into()).collect();
        history = history.with(5001, [0; 32], &empty, many.clone());
        history = history.with(5002, [0; 32], &empty, many);
        assert_eq!(history.since(5001, &[0; 32], &empty), Since::Everything);
        assert_eq!(keys(history.since(5002, &[0; 32], &empty)), [""; 0]);
    }
}
