//! Time-stamps on a ledger (RFC 3161), and how they outlast the certificates of their authorities: each year one token is taken over
//! all earlier ones, by the principle of RFC 4998 (docs/formats.md, Time-stamps).

use bytes::Bytes;
use jisr_certs::digest::{domain, sha256};
use jisr_certs::error::CertError;
use jisr_certs::stamp::{self, StampRule, Stamped, Trust};

use crate::Hash;
use crate::tree::{Kept, inclusion, leaf_hash, root_from_path};

/// Most renewals of one token that are looked at: more years than any certificate lasts.
pub const RENEWALS_MAX: usize = 64;

/// What a token on a checkpoint is over: the text of its note, without signatures.
#[must_use]
pub fn imprint(text: &str) -> Hash {
    sha256(&[text.as_bytes()])
}

/// Leaf input of a token in the tree of a ledger's time-stamps.
#[must_use]
pub fn leaf(token: &[u8]) -> Hash {
    domain("jisr.stamp", &[token])
}

/// What a token is over that renews the first `size` time-stamps of a ledger, whose tree has this root.
#[must_use]
pub fn renewal_imprint(size: u64, root: &Hash) -> Hash {
    domain("jisr.stamps", &[&size.to_be_bytes(), root])
}

/// A later token over an earlier one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renewal {
    /// Which of the ledger's time-stamps the earlier one is.
    pub index: u64,
    /// How many are renewed together.
    pub size: u64,
    /// Inclusion path of the earlier one in their tree.
    pub path: Vec<Hash>,
    /// RFC 3161 TimeStampToken, DER.
    pub token: Bytes,
}

/// A renewal as it stands in a ledger: its own number, how many it renews, its token.
pub(crate) type Later = (u64, u64, Bytes);

/// The renewals of the time-stamp with this number; `leaves` are the leaf inputs of all, in order.
pub(crate) fn renewals(number: u64, later: &[Later], leaves: &[Hash]) -> Vec<Renewal> {
    let mut before = number;
    let mut renewals = Vec::new();
    for (own, size, token) in later {
        let renewed = usize::try_from(*size).ok().and_then(|size| leaves.get(..size));
        if before >= *size || *own < *size {
            continue;
        }
        if let Some(path) = renewed.and_then(|leaves| inclusion(&Kept::of(leaves), before, *size)) {
            renewals.push(Renewal {
                index: before,
                size: *size,
                path,
                token: token.clone(),
            });
            before = *own;
        }
    }
    renewals
}

/// What a time-stamp proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proven {
    /// What the first token says.
    pub first: Stamped,
    /// What the last renewal says, where there is one.
    pub renewed: Option<Stamped>,
}

/// Why a time-stamp proves nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unproven {
    /// It contradicts.
    Wrong(String),
    /// Something lacks: trust, or a renewal.
    Lacks(String),
}

/// Judges a token on a checkpoint with this text, and its renewals, oldest first, as of `time_us`.
///
/// # Errors
/// What contradicts or lacks.
pub fn judge(text: &str, token: &[u8], renewals: &[Renewal], trust: &Trust, time_us: u64) -> Result<Proven, Unproven> {
    let first = token_says(token, &imprint(text), trust)?;
    let mut proven = Proven { first, renewed: None };
    let mut before = token;
    for renewal in renewals {
        let leaf = leaf_hash(&leaf(before));
        let root = root_from_path(renewal.index, renewal.size, &leaf, &renewal.path);
        let root = root.ok_or_else(|| Unproven::Wrong("the path of a renewal does not fit".to_owned()))?;
        let next = token_says(&renewal.token, &renewal_imprint(renewal.size, &root), trust)?;
        let last = proven.newest();
        if next.time_us.saturating_add(next.accuracy_us) < last.time_us.saturating_sub(last.accuracy_us) {
            return Err(Unproven::Wrong("a renewal is older than what it renews".to_owned()));
        }
        ended(last, next.time_us, "it was renewed too late")?;
        proven.renewed = Some(next);
        before = &renewal.token;
    }
    ended(
        proven.newest(),
        time_us,
        "no renewal is here that covers the time since",
    )?;
    Ok(proven)
}

impl Proven {
    /// The token on which the rest stands now.
    #[must_use]
    pub fn newest(&self) -> &Stamped {
        self.renewed.as_ref().unwrap_or(&self.first)
    }
}

/// A certificate speaks until its last second.
fn ended(stamped: &Stamped, time_us: u64, why: &str) -> Result<(), Unproven> {
    if time_us / 1_000_000 <= stamped.not_after_us / 1_000_000 {
        return Ok(());
    }
    let seconds = (time_us - stamped.not_after_us) / 1_000_000;
    Err(Unproven::Lacks(format!(
        "a certificate of the authority {} had ended {} days before, and {why}",
        stamped.authority,
        seconds / 86_400
    )))
}

fn token_says(token: &[u8], imprint: &Hash, trust: &Trust) -> Result<Stamped, Unproven> {
    stamp::verify(token, imprint, trust)
        .map(|stamped| stamped.into_inner())
        .map_err(|error| match &error {
            CertError::Stamp(refused) if refused.rule == StampRule::Untrusted => Unproven::Lacks(error.to_string()),
            _ => Unproven::Wrong(error.to_string()),
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use jisr_certs::issue::{Issuing, Root};
    use jisr_certs::keys::{KeySecret, KeyStore};
    use jisr_certs::stamp::{Query, StampAuthority, StampKey};
    use jisr_certs::validity::{TIME_STAMP_DAYS, Validity};

    const DAY: u64 = 86_400_000_000;
    /// Longer than a restarted authority waits.
    const SECONDS: u64 = 3_000_000;
    const T0: u64 = 1_795_435_200_000_000;
    const TEXT: &str = "jisr/JO/GOV/mol/node1/2026\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n";

    struct Authority {
        dir: tempfile::TempDir,
        root: Root,
        issuing: Issuing,
    }

    impl Authority {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let store = KeyStore::create(
                dir.path().join("keys"),
                &KeySecret::from_bytes(&[7; 32], "a test's secret"),
            )
            .unwrap();
            let root = Root::create(&store, &"JO".parse().unwrap(), T0).unwrap();
            let issuing = Issuing::create(&store, &root, T0).unwrap();
            Self { dir, root, issuing }
        }

        fn trust(&self) -> Trust {
            Trust::none().with_root(self.root.certificate().sha256)
        }

        /// A token under a fresh certificate.
        fn token(&self, imprint: &Hash, at_us: u64) -> Bytes {
            let store = KeyStore::create(
                self.dir.path().join("keys"),
                &KeySecret::from_bytes(&[7; 32], "a test's secret"),
            )
            .unwrap();
            let key = StampKey::load_or_make(&store).unwrap();
            let validity = Validity::days(at_us, TIME_STAMP_DAYS);
            let leaf = self.issuing.issue_time_stamp(&key, validity).unwrap();
            let [issuing, root] = self.issuing.issuers();
            let authority = StampAuthority::open(store, &[leaf, issuing, root], at_us).unwrap();
            let query = Query::new(imprint, "").unwrap();
            let answer = authority.answer(&query.der().unwrap(), at_us).unwrap();
            query.answered(&answer, &self.trust(), at_us).unwrap().0.into()
        }
    }

    #[test]
    fn renewals_bridge_the_years_that_a_certificate_does_not_last() {
        let authority = Authority::new();
        let trust = authority.trust();
        let year = 365 * DAY;
        let others: Vec<Bytes> = (1..4)
            .map(|n| authority.token(&[n; 32], T0 + u64::from(n) * SECONDS))
            .collect();
        let token = authority.token(&imprint(TEXT), T0 + 10 * SECONDS);
        // The ledger's time-stamps: three on other checkpoints, this one, a year later a renewal, two years later another.
        let mut leaves: Vec<Hash> = others.iter().chain([&token]).map(|token| leaf(token)).collect();
        let mut later: Vec<Later> = Vec::new();
        for years in [1, 2] {
            let size = leaves.len() as u64;
            let root = Kept::of(&leaves).frontier.root();
            let renewal = authority.token(&renewal_imprint(size, &root), T0 + years * year);
            later.push((size, size, renewal.clone()));
            leaves.push(leaf(&renewal));
        }
        let renewals = renewals(3, &later, &leaves);
        assert_eq!(renewals.len(), 2);
        let judged = |renewals: &[Renewal], at_us| judge(TEXT, &token, renewals, &trust, at_us);
        let proven = judged(&renewals, T0 + 3 * year).unwrap();
        assert_eq!(proven.first.time_us, T0 + 10 * SECONDS);
        assert_eq!(proven.newest().time_us, T0 + 2 * year);
        assert!(judged(&[], T0 + year).is_ok());
        for (some, at_us) in [(&renewals[..0], T0 + 3 * year), (&renewals[..], T0 + 5 * year)] {
            assert!(matches!(judged(some, at_us), Err(Unproven::Lacks(_))));
        }
        // A chain with a hole, one in another order, one over something else.
        assert!(matches!(judged(&renewals[1..], T0 + year), Err(Unproven::Wrong(_))));
        let turned: Vec<Renewal> = renewals.iter().rev().cloned().collect();
        assert!(matches!(judged(&turned, T0 + year), Err(Unproven::Wrong(_))));
        let mut moved = renewals.clone();
        moved[0].index = 2;
        assert!(matches!(judged(&moved, T0 + year), Err(Unproven::Wrong(_))));
        moved[0].index = u64::MAX;
        assert!(matches!(judged(&moved, T0 + year), Err(Unproven::Wrong(_))));
        assert!(matches!(
            judge("other\n", &token, &renewals, &trust, T0 + year),
            Err(Unproven::Wrong(_))
        ));
        assert!(matches!(
            judge(TEXT, &token, &renewals, &Trust::none(), T0 + year),
            Err(Unproven::Lacks(_))
        ));
    }

    #[test]
    fn a_renewal_after_the_certificate_ended_comes_too_late() {
        let authority = Authority::new();
        let token = authority.token(&imprint(TEXT), T0);
        let leaves = [leaf(&token)];
        let root = Kept::of(&leaves).frontier.root();
        let late = authority.token(&renewal_imprint(1, &root), T0 + 3 * 365 * DAY);
        let renewals = renewals(0, &[(1, 1, late)], &leaves);
        let judged = judge(TEXT, &token, &renewals, &authority.trust(), T0 + 3 * 365 * DAY);
        assert!(matches!(judged, Err(Unproven::Lacks(_))), "{judged:?}");
    }
}
