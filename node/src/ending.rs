//! The planned end of a ledger: ENDED as its last leaf, sealed, and cosigned by the registry's witness.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jisr_certs::keys::KeyStore;
use jisr_certs::seal::SealKey;
use jisr_certs::stamp::Trust;
use jisr_certs::tls_key::TlsKey;
use jisr_certs::{pem, profile, tls};
use jisr_ledger::anchor::Anchor;
use jisr_ledger::clock::Clock;
use jisr_ledger::files::RealDisk;
use jisr_ledger::ledger::{ConfirmError, Ledger, OpenError, Opened, Record};
use jisr_ledger::note::{self, Checkpoint, VerifierKey};
use jisr_ledger::statement::Draft;
use jisr_ledger::tlog::{ADD_CHECKPOINT, AddCheckpoint, Answer};
use jisr_ledger::vault::Vault;
use jisr_proto::ident::Origin;
use jisr_proto::registry::HelloRequest;
use jisr_proto::registry::registry_client::RegistryClient;
use jisr_proto::statement::{Core, Head, Kind, Started};
use tokio_rustls::TlsConnector;
use tonic::transport::Channel;

use crate::config::Config;
use crate::quarantine::Quarantine;
use crate::registry_link;
use crate::setup::{Layout, SetupError, io};
use crate::stamping::{self, Way};
use crate::succession::{head_of, runs};

/// How long the registry's witness may take.
const COSIGN_WAIT: Duration = Duration::from_secs(5);

/// How a ledger came to its end.
pub(crate) enum Ended {
    /// By this call.
    Now(Head),
    /// Before: a succession that was begun and did not come to its end.
    Before(Head),
}

/// Ends the ledger of a node that does not run. The registry must confirm it first, as after every start.
///
/// # Errors
/// [`SetupError`]: the node runs, exchanges are open, the registry is not there, or it holds more of the ledger than this machine:
/// then the quarantine is put down, and the next try cites both heads.
pub(crate) async fn end(config: &Config, clock: Arc<dyn Clock>) -> Result<Ended, SetupError> {
    let node = Node::read(config, &clock)?;
    let (config_of_open, clock_of_open) = (config.clone(), Arc::clone(&clock));
    let (ledger, opened, node) = blocking(move || {
        let (ledger, opened) = node.open(&config_of_open, clock_of_open)?;
        Ok((ledger, opened, node))
    })
    .await?;
    let ended = finish(config, &clock, &ledger, &opened, &node).await;
    let closing = ledger.clone();
    blocking(move || {
        closing.close();
        Ok(())
    })
    .await?;
    drop(ledger);
    ended
}

async fn finish(
    config: &Config,
    clock: &Arc<dyn Clock>,
    ledger: &Ledger,
    opened: &Opened,
    node: &Node,
) -> Result<Ended, SetupError> {
    let head = |ledger: &Ledger| {
        let checkpoint = ledger.checkpoint();
        let signed = ledger.signed().and_then(|(_, note)| head_of(&note));
        let size = checkpoint.size;
        signed.filter(|head| head.size == size).unwrap_or(Head {
            origin: checkpoint.origin.to_string(),
            size,
            root: Bytes::copy_from_slice(&checkpoint.root),
            checkpoint: Bytes::new(),
        })
    };
    let last = ledger.size().saturating_sub(1);
    let newest = ledger.entry(last).map_err(|error| unreadable(&error))?;
    if newest.is_some_and(|entry| entry.statement.kind() == Kind::Ended) {
        return Ok(Ended::Before(head(ledger)));
    }
    if !opened.open.is_empty() {
        return Err(SetupError::State(format!(
            "{} exchanges of the ledger are open; start the node, let it settle them, stop it, and run the command again",
            opened.open.len()
        )));
    }
    let channel = node.registry(config, clock)?;
    let mut registry = RegistryClient::new(channel.clone());
    let shown = greet(&mut registry, node, ledger).await?;
    confirm(config, clock, ledger, node, shown).await?;
    let core = Core {
        format: 1,
        kind: Kind::Ended.into(),
        instance: config.node.instance().to_string(),
        created_us: clock.now_us().max(opened.newest_us),
        ..Core::default()
    };
    let appended = ledger.append(vec![Draft::new(core).close()]).await;
    appended.map_err(|error| unreadable(&error))?;
    let mut head = head(ledger);
    // The registry's witness remembers how it ended. Without that it is only as good as the old operator's word.
    let cosigned = tokio::time::timeout(COSIGN_WAIT, cosigned(channel.clone(), node, ledger)).await;
    match cosigned.unwrap_or_else(|_| Err("it did not answer in time".to_owned())) {
        Ok(note) => head.checkpoint = note,
        Err(text) => tracing::warn!(text, "the registry's witness did not cosign the end of the ledger"),
    }
    for way in &config.stamping.ways {
        if let Err(text) = stamped(way, channel.clone(), config, clock, node, ledger).await {
            tracing::warn!(authority = %way, text, "the end of the ledger was not stamped");
        }
    }
    Ok(Ended::Now(head))
}

/// Has the newest checkpoint stamped, and stores that.
async fn stamped(
    way: &Way,
    channel: Channel,
    config: &Config,
    clock: &Arc<dyn Clock>,
    node: &Node,
    ledger: &Ledger,
) -> Result<(), String> {
    let size = ledger.size();
    let newest = [ledger.cosigned(), ledger.signed()].into_iter().flatten();
    let (_, note) = newest
        .into_iter()
        .find(|(of, _)| *of == size)
        .ok_or("nothing is signed")?;
    let text = note::SignedNote::parse(&note).map_err(|error| error.to_string())?;
    let imprint = jisr_ledger::stamp::imprint(text.text);
    let policy = &config.stamping.policy;
    let (token, _) = stamping::ask(way, channel, &imprint, policy, &node.trust, clock.now_us()).await?;
    let stored = ledger.note_later(Record::Stamp { note, token });
    stored.map_err(|error| error.to_string())?;
    ledger.flush().await.map_err(|error| error.to_string())
}

/// Has the registry's witness cosign the newest checkpoint, and stores that.
async fn cosigned(channel: Channel, node: &Node, ledger: &Ledger) -> Result<Bytes, String> {
    let (size, checkpoint) = ledger.signed().ok_or("nothing is signed")?;
    // What it holds it says itself: it is asked once more from there.
    let answer = match added(&channel, ledger, 0, (size, &checkpoint)).await? {
        Answer::Conflict(held) if held <= size => added(&channel, ledger, held, (size, &checkpoint)).await?,
        answer => answer,
    };
    let lines = match answer {
        Answer::Cosigned(lines) => lines,
        Answer::Conflict(held) => return Err(format!("it knows {held} entries of this ledger")),
        Answer::Refused { status, text } => return Err(format!("it answered {status}: {text}")),
    };
    let note = Bytes::from([checkpoint.as_ref(), lines.as_bytes()].concat());
    let by = note::cosignatures(&note, &node.witnesses).map_err(|error| error.to_string())?;
    if by.is_empty() {
        return Err("no line in its answer is a cosignature by a witness of the anchor".to_owned());
    }
    ledger
        .note_later(Record::Cosigned(note.clone()))
        .map_err(|error| error.to_string())?;
    ledger.flush().await.map_err(|error| error.to_string())?;
    Ok(note)
}

async fn added(channel: &Channel, ledger: &Ledger, from: u64, (to, note): (u64, &Bytes)) -> Result<Answer, String> {
    let of = ledger.clone();
    let proof = tokio::task::spawn_blocking(move || of.consistency(from, to));
    let request = AddCheckpoint {
        old_size: from,
        proof: proof.await.ok().flatten().ok_or("no consistency proof can be made")?,
        checkpoint: note.clone(),
    };
    let posted = registry_link::post(
        channel.clone(),
        ADD_CHECKPOINT,
        registry_link::TEXT,
        request.print().into(),
    )
    .await?;
    Ok(Answer::read(
        posted.status,
        posted.content_type.as_deref(),
        &posted.body,
    ))
}

/// Shows the registry the own newest checkpoint; returns the newest of this ledger that it holds.
async fn greet(registry: &mut RegistryClient<Channel>, node: &Node, ledger: &Ledger) -> Result<Bytes, SetupError> {
    let checkpoint = ledger.signed().map(|(_, note)| note).unwrap_or_default();
    let request = HelloRequest {
        origin: node.origin.to_string(),
        recovering: checkpoint.is_empty(),
        checkpoint,
        yours: Bytes::new(),
    };
    registry
        .hello(request)
        .await
        .map(|answer| answer.into_inner().yours)
        .map_err(|status| node.refused(&status))
}

async fn confirm(
    config: &Config,
    clock: &Arc<dyn Clock>,
    ledger: &Ledger,
    node: &Node,
    shown: Bytes,
) -> Result<(), SetupError> {
    let theirs: Option<Checkpoint> = match shown.is_empty() {
        true => None,
        false => Some(
            note::open(&shown, &node.key)
                .map_err(|error| SetupError::Answer(format!("what it holds of this ledger: {error}")))?
                .into_inner(),
        ),
    };
    let (by, of) = (config.node.instance().registry(), ledger.clone());
    let (told, theirs) = blocking(move || Ok((of.confirm(&by, theirs.as_ref()), theirs))).await?;
    let text = match told {
        Ok(()) => return Ok(()),
        Err(error @ (ConfirmError::Ahead { .. } | ConfirmError::Differs { .. })) => error.to_string(),
        Err(error) => return Err(unreadable(&error)),
    };
    let mark = Quarantine {
        shown_by: config.node.instance().registry(),
        found_us: clock.now_us(),
        text: text.clone(),
        own_size: ledger.size(),
        own_checkpoint: ledger
            .signed()
            .map(|(_, note)| String::from_utf8_lossy(&note).into_owned())
            .unwrap_or_default(),
        shown_size: theirs.map_or(0, |theirs| theirs.size),
        shown_checkpoint: String::from_utf8_lossy(&shown).into_owned(),
    };
    mark.write(&config.data, &RealDisk).map_err(io("write", &config.data))?;
    Err(SetupError::State(format!(
        "the registry holds more of this ledger than this machine, or another history ({text}). The node is quarantined now. Restore \
         it from its mirror (jisr node recover), or run this command again: the new ledger then cites both heads, and what this \
         machine lost stays lost"
    )))
}

/// What of a data directory is needed to end its ledger.
struct Node {
    store: KeyStore,
    origin: Origin,
    key: VerifierKey,
    identity: tls::Identity,
    root: jisr_certs::Verified<profile::Authority>,
    address: String,
    /// Keys of the anchor's witnesses.
    witnesses: Vec<VerifierKey>,
    /// Whose time-stamps count.
    trust: Trust,
}

impl Node {
    fn read(config: &Config, clock: &Arc<dyn Clock>) -> Result<Node, SetupError> {
        let layout = Layout::new(&config.data);
        let read = |path: &Path| std::fs::read(path).map_err(io("read", path));
        let anchor: Anchor = String::from_utf8_lossy(&read(&layout.anchor())?)
            .parse()
            .map_err(|error| SetupError::State(format!("the anchor cannot be used: {error}")))?;
        let tls_chain = pem::certificates_from_pem(&read(&layout.tls_chain())?)?;
        let seal_chain = pem::certificates_from_pem(&read(&layout.seal_chain())?)?;
        let now_us = clock.now_us();
        let root = profile::root_by_fingerprint(&tls_chain, &anchor.root, now_us)?;
        let seal = profile::check_seal(&seal_chain, &root, now_us)?;
        let store = config.open_keys()?;
        let key = VerifierKey::new_seal(seal.origin.as_str(), *seal.key.as_bytes());
        Ok(Node {
            trust: config.stamping.trust(&anchor),
            origin: seal.origin.clone(),
            key: key.map_err(|error| SetupError::State(error.to_string()))?,
            identity: tls::Identity::new(&TlsKey::load_or_make(&store, "tls")?, tls_chain)?,
            store,
            root,
            address: config.registry.clone(),
            witnesses: anchor.witnesses.into_iter().map(|witness| witness.key).collect(),
        })
    }

    /// Opens the ledger, which must be there.
    fn open(&self, config: &Config, clock: Arc<dyn Clock>) -> Result<(Ledger, Opened), SetupError> {
        if !Layout::new(&config.data).ledger().join("segments").exists() {
            let text = "there is no ledger to succeed; start the node, or enrol it";
            return Err(SetupError::State(text.to_owned()));
        }
        let key = SealKey::load_or_make(&self.store, &self.origin)?;
        let mut ledger = jisr_ledger::ledger::Config::in_data_directory(&config.data, self.origin.clone());
        ledger.segment_bytes = config.segment_bytes;
        let vault = Vault::open(&self.store).map_err(|error| unreadable(&error))?;
        Ledger::open(ledger, key, vault, clock, Started::default()).map_err(|error| match error {
            OpenError::Locked(_) => runs(&config.data),
            error => SetupError::State(error.to_string()),
        })
    }

    fn registry(&self, config: &Config, clock: &Arc<dyn Clock>) -> Result<Channel, SetupError> {
        let clock = Arc::clone(clock);
        let clock: tls::Clock = Arc::new(move || clock.now_us());
        let client = tls::registry_client(Some(&self.identity), &self.root, config.node.instance(), &clock)?;
        let channel = registry_link::channel(&config.registry, TlsConnector::from(client), tls::server_name());
        channel.map_err(|error| self.unreachable(error.to_string()))
    }

    fn refused(&self, status: &tonic::Status) -> SetupError {
        match jisr_proto::status::Fault::from_tonic(status) {
            Some(fault) => SetupError::Refused(fault),
            None => self.unreachable(status.to_string()),
        }
    }

    fn unreachable(&self, detail: String) -> SetupError {
        SetupError::Unreachable {
            address: self.address.clone(),
            detail,
        }
    }
}

fn unreadable(error: &dyn std::fmt::Display) -> SetupError {
    SetupError::State(error.to_string())
}

/// Runs what waits for the disk.
async fn blocking<R: Send + 'static>(
    work: impl FnOnce() -> Result<R, SetupError> + Send + 'static,
) -> Result<R, SetupError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(SetupError::State(format!("a step ended by a defect: {error}"))))
}
