//! The built-in time-stamp authority (RFC 3161), for networks that have none outside; and time-stamps on the registry's own ledger.
//!
//! The authority has a key and a certificate of its own and answers listed nodes only. What it says is the registry's word: an outside
//! authority beside it says more.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use jisr_certs::error::CertError;
use jisr_certs::issue::Issuing;
use jisr_certs::keys::KeyStore;
use jisr_certs::pem;
use jisr_certs::stamp::{Query, StampAuthority, StampKey, Trust, verify};
use jisr_certs::validity::{TIME_STAMP_DAYS, Validity};
use jisr_ledger::ledger::{Ledger, Record};
use jisr_ledger::note::SignedNote;
use jisr_ledger::stamp::imprint;
use tokio::sync::watch;

use crate::office::Office;

/// File of the certificate in the key store.
const CERTIFICATE: &str = "timestamp.crt";
/// With less than this left the certificate is made anew, microseconds: tokens are renewed after a year, and must last that long.
const RENEW_BEFORE_US: u64 = 400 * 86_400 * 1_000_000;
/// Between two looks at whether the own ledger grew.
const LOOK: Duration = Duration::from_secs(1);

/// The authority, with a certificate that is made anew in time.
pub(crate) struct Stamper {
    keys: KeyStore,
    issuing: Arc<Issuing>,
    current: Mutex<Current>,
}

struct Current {
    authority: Arc<StampAuthority>,
    not_after_us: u64,
}

/// The newest time-stamp on the own ledger.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Newest {
    /// Entries under it.
    pub(crate) size: u64,
    /// When, microseconds; 0: there is none.
    pub(crate) time_us: u64,
}

impl Stamper {
    /// Opens key and certificate in this directory of keys; makes what is not there.
    ///
    /// # Errors
    /// [`CertError`].
    pub(crate) fn open(keys: KeyStore, issuing: Arc<Issuing>, now_us: u64) -> Result<Stamper, CertError> {
        let current = Mutex::new(current(&keys, &issuing, now_us)?);
        Ok(Stamper { keys, issuing, current })
    }

    /// Answers a request (TimeStampReq, DER). Blocks on disk.
    ///
    /// # Errors
    /// [`CertError`].
    pub(crate) fn answer(&self, request: &[u8], now_us: u64) -> Result<Vec<u8>, CertError> {
        let authority = {
            let mut held = self.current.lock().unwrap_or_else(PoisonError::into_inner);
            if held.not_after_us.saturating_sub(now_us) < RENEW_BEFORE_US {
                match current(&self.keys, &self.issuing, now_us) {
                    Ok(fresh) => *held = fresh,
                    Err(error) => tracing::error!(%error, "the time-stamp authority's certificate cannot be renewed"),
                }
            }
            Arc::clone(&held.authority)
        };
        authority.answer(request, now_us)
    }

    /// Stamps the newest checkpoint of the own ledger, where it grew beyond `size`. Blocks on disk.
    fn stamp(
        &self,
        ledger: &Ledger,
        root: jisr_ledger::Hash,
        size: u64,
        now_us: u64,
    ) -> Result<Option<Newest>, String> {
        let newest = [ledger.cosigned(), ledger.signed()];
        let Some((size, note)) = newest.into_iter().flatten().find(|(of, _)| *of > size) else {
            return Ok(None);
        };
        let text = |error: CertError| error.to_string();
        let over = SignedNote::parse(&note).map_err(|error| error.to_string())?;
        let query = Query::new(&imprint(over.text), "").map_err(text)?;
        let answer = self.answer(&query.der().map_err(text)?, now_us).map_err(text)?;
        let trust = Trust::none().with_root(root);
        let (token, stamped) = query.answered(&answer, &trust, now_us).map_err(text)?;
        let token = Bytes::from(token);
        let stored = ledger.note_later(Record::Stamp { note, token });
        stored.map_err(|error| error.to_string())?;
        Ok(Some(Newest {
            size,
            time_us: stamped.time_us,
        }))
    }
}

/// The stored certificate where it is for the key and lasts, else a fresh one.
fn current(keys: &KeyStore, issuing: &Issuing, now_us: u64) -> Result<Current, CertError> {
    let stored = match keys.read(CERTIFICATE)? {
        Some(text) => pem::certificates_from_pem(&text)?.into_iter().next(),
        None => None,
    };
    let lasts = |der: &[u8]| {
        Validity::of(der).is_some_and(|validity| validity.not_after_us.saturating_sub(now_us) >= RENEW_BEFORE_US)
    };
    let leaf = match stored.filter(|der| lasts(der)) {
        Some(leaf) => leaf,
        None => {
            let authority = issuing.certificate();
            let mut validity = Validity::days(now_us, TIME_STAMP_DAYS);
            validity.not_after_us = validity.not_after_us.min(authority.not_after_us);
            let leaf = issuing.issue_time_stamp(&StampKey::load_or_make(keys)?, validity)?;
            keys.write(CERTIFICATE, pem::certificates_to_pem([leaf.as_ref()]).as_bytes())?;
            leaf
        }
    };
    let not_after_us = Validity::of(&leaf).map_or(0, |validity| validity.not_after_us);
    let chain: Vec<_> = std::iter::once(leaf).chain(issuing.issuers()).collect();
    let store = keys.clone();
    Ok(Current {
        authority: Arc::new(StampAuthority::open(store, &chain, now_us)?),
        not_after_us,
    })
}

impl Office {
    /// Answers a request for a time-stamp; none where this registry has no authority.
    pub(crate) async fn time_stamp(self: &Arc<Self>, request: Bytes) -> Option<Result<Vec<u8>, String>> {
        let stamper = Arc::clone(self.base.stamper.as_ref()?);
        let now_us = self.base.clock.now_us();
        let answered = tokio::task::spawn_blocking(move || stamper.answer(&request, now_us)).await;
        Some(match answered {
            Ok(answer) => answer.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        })
    }

    /// The newest time-stamp in the ledger. Blocks on disk.
    fn stamped_before(&self) -> Option<Newest> {
        let newest = self.base.ledger.newest_stamp().ok().flatten()?;
        let over = imprint(SignedNote::parse(&newest.note).ok()?.text);
        let stamped = verify(&newest.token, &over, &Trust::none().with_root(self.base.root)).ok()?;
        Some(Newest {
            size: newest.size,
            time_us: stamped.time_us,
        })
    }

    /// Has the own ledger stamped while it grows, until `stopping`.
    pub(crate) async fn stamp_ledger(self: &Arc<Self>, mut stopping: watch::Receiver<bool>) {
        let Some(stamper) = self.base.stamper.clone() else {
            return;
        };
        let office = Arc::clone(self);
        if let Ok(Some(newest)) = tokio::task::spawn_blocking(move || office.stamped_before()).await {
            *self.stamped.lock().unwrap_or_else(PoisonError::into_inner) = newest;
        }
        let mut next = tokio::time::Instant::now();
        let mut failed = false;
        loop {
            if self.standing.admits().is_ok() && tokio::time::Instant::now() >= next {
                let (office, stamper) = (Arc::clone(self), Arc::clone(&stamper));
                let before = *self.stamped.lock().unwrap_or_else(PoisonError::into_inner);
                let stamped = tokio::task::spawn_blocking(move || {
                    let base = &office.base;
                    stamper.stamp(&base.ledger, base.root, before.size, base.clock.now_us())
                });
                match stamped.await.unwrap_or_else(|error| Err(error.to_string())) {
                    Ok(Some(newest)) => {
                        *self.stamped.lock().unwrap_or_else(PoisonError::into_inner) = newest;
                        next = tokio::time::Instant::now() + self.base.config.stamp_every;
                        failed = false;
                    }
                    Ok(None) => {}
                    Err(text) => {
                        if !std::mem::replace(&mut failed, true) {
                            tracing::error!(
                                text,
                                "the registry's own ledger could not be stamped; it is tried again"
                            );
                        }
                    }
                }
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                _ = stopping.wait_for(|stop| *stop) => return,
            }
        }
    }
}
