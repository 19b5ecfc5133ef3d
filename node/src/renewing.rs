//! The closet that renews the node's TLS certificate: asks at a third of its life left, with a key made anew, and uses the new one
//! once the snapshot that lists it is out.
//!
//! Both certificates are listed meanwhile. The old one is used until a sixth of its life is left, so that a peer that the registry
//! does not reach for a day, and which holds an older snapshot, still knows this node; or until it is revoked. Once the new one is in
//! use the registry is told to list the old one no more.

mod keys;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use jisr_certs::keys::KeyStore;
use jisr_certs::validity::Validity;
use jisr_certs::{CertError, csr, digest, tls};
use jisr_ledger::statement::Draft;
use jisr_proto::registry::{RenewRequest, RetireRequest};
use jisr_proto::statement::{CertificateAsked, Kind};
use jisr_proto::status::Fault;
use rustls::pki_types::CertificateDer;

use crate::closets::Closets;
use crate::doors::Stopped;
use crate::node::administrative;
use crate::{provider, registry_link};

pub(crate) use keys::finish;

/// Between two looks at the certificate, if no snapshot comes.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How long ago a certificate was made before it is used, by the node's clock: every node that follows the registry has the
/// snapshot by then. Old calls have ended by then too, before the old one is listed no more.
const SPREAD_US: u64 = 10_000_000;
/// Pause after the registry did not renew it, by the node's clock and by the wall's.
const AGAIN_US: u64 = 60_000_000;
const AGAIN: Duration = Duration::from_secs(60);

/// The keys of the node's TLS certificates.
pub(crate) struct Renewing {
    store: KeyStore,
    steps: Mutex<Steps>,
    /// The registry refuses the certificate in use as revoked.
    refused: AtomicBool,
}

/// When things happened, by the node's clock; forgotten at a stop.
#[derive(Default)]
struct Steps {
    /// The next certificate was asked for.
    asked_us: Option<u64>,
    /// It was put to use.
    used_us: Option<u64>,
}

impl Renewing {
    /// Nothing is under way.
    pub(crate) fn new(store: KeyStore) -> Renewing {
        Renewing {
            store,
            steps: Mutex::default(),
            refused: AtomicBool::new(false),
        }
    }

    /// The registry says that the certificate in use is revoked; it shows no snapshot that says so to whoever may have stolen it.
    pub(crate) fn refused(&self) {
        self.refused.store(true, Ordering::Release);
    }

    fn steps(&self) -> MutexGuard<'_, Steps> {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps the certificate new until `stopped`.
pub(crate) async fn renew(closets: Arc<Closets>, mut stopped: Stopped) {
    let mut versions = closets.directory.follow();
    loop {
        let pause = match step(&closets).await {
            Ok(()) => LOOK_EVERY,
            Err(error) => {
                tracing::error!(
                    error,
                    "the TLS certificate of this node could not be renewed; once it has ended the node needs a new token"
                );
                AGAIN
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            // The directory lives as long as the closets.
            Ok(()) = versions.changed(), if pause == LOOK_EVERY => {}
            _ = stopped.wait_for(|stop| *stop) => return,
        }
    }
}

async fn step(closets: &Closets) -> Result<(), String> {
    // Nothing is asked of a registry that is away: each time it would be put down.
    if !closets.standing.is_running() || closets.counters.registry_connected.value() == 0 {
        return Ok(());
    }
    let (used, validity) = closets
        .identity
        .certificate()
        .ok_or("the certificate in use cannot be read")?;
    let now_us = closets.now_us();
    let is_listed = lists(closets, &used) && !closets.renewing.refused.load(Ordering::Acquire);
    let left = Left::of(validity, now_us);
    if is_listed && !left.is_third() {
        return retire(closets, now_us).await;
    }
    match keys::next(&closets.renewing.store, closets)? {
        Some(chain)
            if chain
                .first()
                .is_some_and(|leaf| lists(closets, &digest::sha256(&[leaf]))) =>
        {
            let made = chain.first().and_then(|leaf| Validity::of(leaf));
            let is_spread = made.is_some_and(|made| now_us.saturating_sub(made.made_us()) >= SPREAD_US);
            if !is_listed || (is_spread && left.is_sixth()) {
                return put_to_use(closets, chain, now_us);
            }
            Ok(())
        }
        // The snapshot that lists it is on its way, or never comes: the registry gives the same for the same key.
        Some(_)
            if closets
                .renewing
                .steps()
                .asked_us
                .is_some_and(|at_us| now_us < at_us + AGAIN_US) =>
        {
            Ok(())
        }
        // Without a listed certificate nobody would listen.
        _ if is_listed => ask(closets, used, now_us).await,
        _ => Ok(()),
    }
}

/// How much of a certificate's life is left.
#[derive(Clone, Copy)]
struct Left {
    of_us: u64,
    us: u64,
}

impl Left {
    fn of(validity: Validity, now_us: u64) -> Left {
        Left {
            of_us: validity.not_after_us.saturating_sub(validity.not_before_us),
            us: validity.not_after_us.saturating_sub(now_us),
        }
    }

    fn is_third(self) -> bool {
        self.us <= self.of_us / 3
    }

    fn is_sixth(self) -> bool {
        self.us <= self.of_us / 6
    }
}

fn lists(closets: &Closets, certificate: &digest::Hash) -> bool {
    let view = closets.directory.newest();
    view.is_some_and(|view| view.lists_certificate(&closets.node, certificate).is_ok())
}

/// Asks for a certificate for the next key: puts that down in the own ledger first, whose seal the registry demands.
async fn ask(closets: &Closets, used: digest::Hash, now_us: u64) -> Result<(), String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let key = keys::load_next(&closets.renewing.store).map_err(|error| text(&error))?;
    // The monitor takes what is listed for another key for something that nobody here wanted.
    closets.asked.asked(key.public()).map_err(|error| text(&error))?;
    let act = CertificateAsked {
        request: csr::tls_csr(&key, &closets.node).map_err(|error| text(&error))?.into(),
        certificate: Bytes::copy_from_slice(&used),
    };
    let draft = Draft::new(administrative(closets, Kind::CertificateAsked)).act(&act);
    let sealed = provider::append_sealed(closets, vec![draft]).await;
    let (asked, _) = sealed.map_err(|fault| fault.to_string())?;
    let request = RenewRequest { asked: Some(asked) };
    let answer = closets
        .registry
        .client()
        .renew(request)
        .await
        .map_err(told)?
        .into_inner();
    let chain: Vec<CertificateDer<'static>> = std::iter::once(&answer.tls_certificate)
        .chain(&answer.issuers)
        .map(|der| CertificateDer::from(der.to_vec()))
        .collect();
    let named = chain.first().and_then(|leaf| csr::tls_key_in(leaf));
    let node = closets.identity.check(&chain).map_err(|error| text(&error))?;
    if named.as_deref() != Some(key.public()) || node != closets.node {
        return Err("registry: the certificate that it issued is not for this node and its key".to_owned());
    }
    keys::keep_next(closets, &chain)?;
    *closets.renewing.steps() = Steps {
        asked_us: Some(now_us),
        ..Steps::default()
    };
    tracing::info!("a further TLS certificate was issued for this node");
    Ok(())
}

fn told(status: tonic::Status) -> String {
    Fault::from_tonic(&status).map_or_else(|| status.to_string(), |fault| fault.to_string())
}

/// Shows the new certificate on every connection from now on. Calls in flight end on the old connections.
fn put_to_use(closets: &Closets, chain: Vec<CertificateDer<'static>>, now_us: u64) -> Result<(), String> {
    let text = |error: CertError| error.to_string();
    let key = keys::load_next(&closets.renewing.store).map_err(text)?;
    keys::use_next(closets, &chain)?;
    let identity = tls::Identity::new(&key, chain).map_err(text)?;
    closets.identity.replace(identity).map_err(text)?;
    closets.peers.connect_anew();
    closets
        .registry
        .replace(registry_link::to_registry(&closets.config, &closets.identity)?);
    closets.renewing.refused.store(false, Ordering::Release);
    *closets.renewing.steps() = Steps {
        used_us: Some(now_us),
        ..Steps::default()
    };
    tracing::info!("the new TLS certificate is in use, the old key is destroyed");
    Ok(())
}

/// Has older certificates listed no more, once none of this node's calls can be on its way to be let in by one.
async fn retire(closets: &Closets, now_us: u64) -> Result<(), String> {
    let row = closets
        .directory
        .newest()
        .and_then(|view| view.node(&closets.node).cloned());
    if row.is_none_or(|row| row.tls_certificates.len() < 2) {
        return Ok(());
    }
    let used_us = *closets.renewing.steps().used_us.get_or_insert(now_us);
    if now_us.saturating_sub(used_us) < SPREAD_US {
        return Ok(());
    }
    closets.registry.client().retire(RetireRequest {}).await.map_err(told)?;
    Ok(())
}
