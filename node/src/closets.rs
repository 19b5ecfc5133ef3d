//! The closets of a node, side by side. Only the corridors know in which order they are used.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use jisr_ledger::clock::Clock;
use jisr_ledger::files::Disk;
use jisr_ledger::ledger::{AppendError, Ledger, Record, Stands};
use jisr_ledger::replay::ReplaySet;
use jisr_ledger::seal::{SealVerifier, Sealed};
use jisr_ledger::statement::{Closed, Draft};
use jisr_ledger::{Hash, Verified};
use jisr_proto::ident::{ExchangeId, MethodPath, NodeId, Origin};
use jisr_proto::peer::{HelloRequest, HelloResponse};
use jisr_proto::reason::Reason;
use jisr_proto::statement::Core;
use jisr_proto::status::Fault;
use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::sync::Semaphore;

use crate::answers::Answers;
use crate::archive::Archive;
use crate::away::Away;
use crate::backends::Backends;
use crate::budget::Budget;
use crate::cache::Cache;
use crate::config::Config;
use crate::cosigning::Cosigning;
use crate::counters::Counters;
use crate::directory::{Directory, NodeRow};
use crate::erasing::Erasing;
use crate::findings::Findings;
use crate::form::{self, PROTOCOL_VERSION};
use crate::identity::Identity;
use crate::mirroring::Mirrors;
use crate::monitor::{self, Asked, Followed};
use crate::peers::{Greeter, Heard, Peers};
use crate::proofs::Owed;
use crate::receipts::{Outbox, OwedReceipts};
use crate::reconciling::Reconciling;
use crate::refusals::Refusals;
use crate::registry_link::RegistryLink;
use crate::renewing::Renewing;
use crate::rereading::Rereading;
use crate::running::RunningIds;
use crate::schemas::Schemas;
use crate::stamping::Stamping;
use crate::standing::Standing;
use crate::trust::Trust;
use crate::watching::Watching;

/// Everything a corridor may use.
pub(crate) struct Closets {
    /// Where durable writes go.
    pub disk: Arc<dyn Disk>,
    /// Configuration.
    pub config: Config,
    /// This node.
    pub node: NodeId,
    /// Origin of its ledger.
    pub origin: Origin,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// The snapshot.
    pub directory: Arc<Directory>,
    /// Snapshots that were cited.
    pub archive: Archive,
    /// The newest snapshot, on disk.
    pub cache: Cache,
    /// Schemas of services.
    pub schemas: Schemas,
    /// What happened.
    pub ledger: Ledger,
    /// Verifies the seals of peers; remembers roots it has verified.
    pub seals: SealVerifier,
    /// What reading it again has found.
    pub rereading: Rereading,
    /// What this node has taken on as a provider.
    pub replay: ReplaySet,
    /// Exchanges that this node is asking right now.
    pub asking: RunningIds,
    /// Exchanges asked earlier that are being closed right now.
    pub closing: RunningIds,
    /// Exchanges of which somebody is being told right now that the answer is gone.
    pub telling: RunningIds,
    /// Replies of methods with effects.
    pub answers: Answers,
    /// Other nodes.
    pub peers: Peers,
    /// The member's own servers.
    pub backends: Backends,
    /// Final proofs that peers owe.
    pub owed: Owed,
    /// Whether this node takes part.
    pub standing: Arc<Standing>,
    /// Holds, and what is erased.
    pub erasing: Erasing,
    /// What was found about other ledgers.
    pub findings: Arc<Findings>,
    /// Keys that this node asked certificates for.
    pub asked: Asked,
    /// The registry's ledger, as far as it was read.
    pub followed: Followed,
    /// Peers that are refused for it.
    pub trust: Arc<Trust>,
    /// Comparison of ledgers.
    pub watching: Arc<Watching>,
    /// Witnesses of the own ledger.
    pub cosigning: Cosigning,
    /// For how long witnesses have been away.
    pub away: Away,
    /// Closing statements that are to be shown to providers.
    pub outbox: Outbox,
    /// Answers whose receipt has not come yet.
    pub receipts_owed: OwedReceipts,
    /// Comparison of what peers hold of exchanges.
    pub reconciling: Reconciling,
    /// Look-ups that each peer may cause.
    pub lookups: Budget,
    /// Calls to the registry.
    pub registry: RegistryLink,
    /// Its TLS certificate that takes the place of the present one.
    pub renewing: Renewing,
    /// Numbers for the operator.
    pub counters: Counters,
    /// What was refused without a statement.
    pub refusals: Refusals,
    /// Copies of the ledger elsewhere.
    pub mirrors: Mirrors,
    /// Time-stamps on the own checkpoints.
    pub stamping: Stamping,
    /// Proofs and cosignatures that peers get in a minute.
    pub budget: Budget,
    /// Places for exchanges asked here and answered here.
    pub places: Places,
    /// Newest time that stands in the ledger or was given out.
    pub newest_us: AtomicU64,
    /// TLS identity.
    pub identity: Arc<Identity>,
    /// Issuers of seal certificates, DER: issuing authority, root.
    pub issuers: Vec<Bytes>,
    /// Random numbers for exchange ids.
    pub random: SystemRandom,
}

/// Places for exchanges in flight, bounded apart so that askers cannot starve those who answer.
pub(crate) struct Places {
    /// Asked by the agency's own applications.
    pub asked: Arc<Semaphore>,
    /// Asked by peers.
    pub answered: Arc<Semaphore>,
    /// Exchanges shown to peers, read from disk: who asks for many waits, and starves nobody.
    pub shown: Semaphore,
}

impl Closets {
    /// Now: the clock, but never before a time that stands in the own ledger or was given out before.
    pub(crate) fn now_us(&self) -> u64 {
        let now = self.clock.now_us();
        now.max(self.newest_us.fetch_max(now, Ordering::Relaxed))
    }

    /// The own row of the snapshot.
    pub(crate) fn own_row(&self, view: &crate::directory::View) -> Result<Arc<NodeRow>, Fault> {
        view.node(&self.node).cloned().ok_or_else(|| {
            let detail = format!(
                "snapshot {} does not list this node; ask the registry's operator",
                view.version
            );
            Fault::new(Reason::NotAdmitted, detail)
        })
    }

    /// A fresh exchange id.
    pub(crate) fn new_exchange_id(&self) -> Result<ExchangeId, Fault> {
        let mut random = [0; 10];
        self.random
            .fill(&mut random)
            .map_err(|_| Fault::new(Reason::Internal, "the system gives no random numbers".to_owned()))?;
        Ok(ExchangeId::new_v7(self.clock.now_us(), random))
    }

    /// Appends statements in one commit; durable when it returns.
    pub(crate) async fn append(&self, statements: Vec<Closed>) -> Result<Vec<Stands>, Fault> {
        self.cites_snapshot(&statements);
        self.ledger.append(statements).await.map_err(|error| match error {
            // Found while work was under way: nobody can tell any more what of it stands.
            AppendError::Recovering if self.standing.is_quarantined() => {
                Fault::new(Reason::LedgerUnavailable, self.standing.told().1)
            }
            error => append_fault(&error),
        })
    }

    /// Appends a statement that nobody waits for. If that cannot be done it is said in the log.
    pub(crate) fn append_later(&self, draft: Draft) {
        let statements = [draft.close()];
        self.cites_snapshot(&statements);
        if let Err(error) = self.ledger.append_later(&statements) {
            tracing::error!(%error, "a closing statement could not be appended");
        }
    }

    /// Appends a statement that cites the provider's, which nobody waits for, and shows it to the provider as soon as it stands.
    pub(crate) fn append_receipt(&self, draft: Draft, to: &Arc<NodeRow>) {
        let closed = draft.close();
        self.cites_snapshot(std::slice::from_ref(&closed));
        match self.ledger.append_told(&closed) {
            Ok(told) if to.origin != self.origin => self.outbox.put(to, closed.statement(), told),
            Ok(_) => {}
            Err(error) => tracing::error!(%error, "a closing statement could not be appended"),
        }
    }

    /// Whether the method of this statement asks for its messages to be kept.
    pub(crate) fn keeps_messages(&self, core: &Core) -> bool {
        let (Ok(digest), Ok(service), Ok(method)) = (
            Hash::try_from(core.schema.as_ref()),
            core.service.parse(),
            core.method.parse(),
        ) else {
            return false;
        };
        self.schemas.keep_days(&digest, &MethodPath { service, method }) > 0
    }

    /// Snapshots that statements cite are kept for evidence.
    fn cites_snapshot(&self, statements: &[Closed]) {
        for core in statements
            .iter()
            .map(Closed::core)
            .filter(|core| !core.exchange_id.is_empty())
        {
            self.archive.cited(core.snapshot_version);
        }
    }

    /// Keeps the certificates that bind a peer's seal key to its origin, so that the ledger verifies alone.
    pub(crate) fn keep_certificates(&self, row: &NodeRow) -> Result<(), AppendError> {
        let chain = std::iter::once(&row.row.seal_certificate)
            .chain(&self.issuers)
            .cloned()
            .collect();
        let record = Record::PeerCertificates {
            origin: row.origin.to_string(),
            certificates: chain,
        };
        self.ledger.note_later(record)
    }

    /// Verifies a peer's seal with the key that the snapshot lists for `row`, and notes that the final proof is owed.
    pub(crate) fn verify_seal(
        &self,
        sealed: &jisr_proto::statement::Sealed,
        row: &Arc<NodeRow>,
    ) -> Result<Verified<Sealed>, Fault> {
        let verified = self
            .seals
            .verify(sealed, &row.seal_key)
            .map_err(|error| Fault::new(Reason::SealInvalid, format!("{}: {error}", row.id)))?;
        self.archive.cited(verified.statement.core().snapshot_version);
        let high = self.directory.is_high(verified.statement.core());
        self.owed
            .note(row, &verified, high, || self.keep_certificates(row))
            .map_err(|error| append_fault(&error))?;
        Ok(verified)
    }
}

/// What a caller is told when the ledger does not take a statement.
pub(crate) fn append_fault(error: &AppendError) -> Fault {
    let reason = match error {
        AppendError::Full => Reason::LedgerFull,
        AppendError::Overloaded => Reason::Overloaded,
        AppendError::Recovering => Reason::Recovering,
        AppendError::Stopped => Reason::NodeStopping,
        _ => Reason::LedgerUnavailable,
    };
    Fault::new(reason, error.to_string())
}

/// Nothing is exchanged with a peer that escapes comparison.
pub(crate) fn withheld(peer: &NodeId) -> Fault {
    let detail = format!(
        "{peer} shows no checkpoint of its ledger at Hello, though one is known: it keeps it back, or is recovering"
    );
    Fault::new(Reason::PeerLedgerUnproven, detail)
}

/// The gRPC status code of a fault, as it stands in statements.
pub(crate) fn code(fault: &Fault) -> u32 {
    fault.code() as u32
}

impl Greeter for Closets {
    fn greet(&self, peer: &NodeRow) -> HelloRequest {
        let view = self.directory.newest();
        HelloRequest {
            versions: vec![PROTOCOL_VERSION],
            origin: self.origin.to_string(),
            snapshot_version: view.as_ref().map_or(0, |view| view.version),
            snapshot: view.map(|view| view.digest.to_vec()).unwrap_or_default().into(),
            checkpoint: self.watching.shown(),
            yours: self.watching.checked_note(&peer.origin),
        }
    }

    fn is_open(&self, peer: &NodeRow) -> Result<(), Fault> {
        if self.watching.kept_back(&peer.origin) {
            return Err(withheld(&peer.id));
        }
        Ok(())
    }

    fn hear<'a>(&'a self, peer: &'a NodeRow, asked: Bytes, answer: HelloResponse) -> Heard<'a> {
        Box::pin(async move {
            let proof = form::hello_answer(&answer, &peer.id, &peer.origin)?;
            self.compare_snapshots(&peer.id, answer.snapshot_version, &answer.snapshot)?;
            let (seen_size, _) = self.owed.newest_checkpoint(&peer.origin);
            let keeps_back = self.watching.keeps_back(peer, &answer.checkpoint, seen_size);
            if keeps_back && !answer.recovering {
                return Err(withheld(&peer.id));
            }
            self.watching.note_kept_back(&peer.origin, keeps_back);
            // What is checked is put down, and what others hold may lie in tiles: not on a thread that serves exchanges.
            let (watching, peer) = (Arc::clone(&self.watching), peer.clone());
            let compared = tokio::task::spawn_blocking(move || {
                watching.held_of_us(peer.id.as_str(), &answer.yours, false)?;
                watching.shown_by(&peer, &asked, &answer.checkpoint, &proof)
            });
            compared
                .await
                .unwrap_or_else(|_| Err(Fault::new(Reason::Internal, "see the node's log")))
        })
    }
}

impl Closets {
    /// Compares what a peer says of the snapshot: the same version must be the same snapshot.
    pub(crate) fn compare_snapshots(&self, peer: &NodeId, version: u64, digest: &[u8]) -> Result<(), Fault> {
        let Some(view) = self.directory.newest() else {
            return Ok(());
        };
        if version == view.version && digest != view.digest {
            let detail =
                format!("{peer} holds another snapshot {version} than this node: the registry shows two histories");
            monitor::contradicted(self, peer, digest);
            return Err(Fault::new(Reason::SnapshotInvalid, detail));
        }
        if version > view.version {
            self.registry.look_again();
        }
        Ok(())
    }
}
