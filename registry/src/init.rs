//! Making a registry's directory, and opening it again.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use bytes::Bytes;
use jisr_certs::issue::Issuing;
use jisr_certs::profile::Authority;
use jisr_certs::seal::{SnapshotKey, WitnessKey};
use jisr_certs::tls;
use jisr_certs::tls_key::TlsKey;
use jisr_certs::{CertError, Verified};
use jisr_ledger::archive::{Archive, ArchiveError, Item};
use jisr_ledger::clock::Clock;
use jisr_ledger::files::{Disk, RealDisk, create_directory};
use jisr_ledger::ledger::{self, Ledger, Storage};
use jisr_ledger::note::VerifierKey;
use jisr_ledger::vault::Vault;
use jisr_ledger::witness::WitnessState;
use tokio_rustls::TlsAcceptor;

use crate::agree;
use crate::book::Book;
use crate::config::Config;
use crate::door::Settings;
use crate::error::Error;
use crate::founding::{self, Founding};
use crate::kept::{Found, Kept};
use crate::keys::{Keys, identity};
use crate::proposals::Proposals;
use crate::quarantine::Quarantine;
use crate::returned::Returned;
use crate::schemas::Schemas;
use crate::snapshot::{Frame, Picture, Published};
use crate::stamping::Stamper;
use crate::standing::Standing;
use crate::state::{Act, Hash, State};

/// Where things lie in the data directory.
pub(crate) struct Layout {
    pub(crate) data: PathBuf,
}

impl Layout {
    pub(crate) fn of(config: &Config) -> Layout {
        Layout {
            data: config.data.clone(),
        }
    }

    fn keys(&self) -> PathBuf {
        self.data.join("keys")
    }

    fn schemas(&self) -> PathBuf {
        self.data.join("schemas")
    }

    fn proposals(&self) -> PathBuf {
        self.data.join("proposals")
    }

    fn witness(&self) -> PathBuf {
        self.data.join("witness")
    }

    /// Beside the witness key: says of how many ledgers the witness must have a memory.
    fn witness_begun(&self) -> PathBuf {
        self.keys().join("witness.begun")
    }

    fn ledger(&self) -> PathBuf {
        self.data.join("ledger")
    }

    /// In the key store: the ledger has begun, so that its files cannot just be missing.
    fn ledger_begun(&self) -> PathBuf {
        self.keys().join("ledger.begun")
    }

    fn kept(&self) -> PathBuf {
        self.data.join("snapshot")
    }

    fn founding(&self) -> PathBuf {
        self.data.join("founding")
    }

    pub(crate) fn anchor(&self) -> PathBuf {
        self.data.join("anchor")
    }

    pub(crate) fn admin_socket(&self) -> PathBuf {
        self.data.join("admin.sock")
    }
}

/// A registry that was made.
#[derive(Debug)]
pub struct Made {
    /// Path of the anchor file.
    pub anchor: PathBuf,
    /// Of each founder, in the order given: DER certificates, the own one, the issuing authority's, the root.
    pub certificates: Vec<Vec<Bytes>>,
}

/// Makes directory, keys and anchor file of a new registry, and its first administrators' certificates. The ledger begins with the
/// first start: what has not begun needs nobody who confirms it. One that was cut short before the anchor was there is finished by
/// the next. Blocks.
///
/// # Errors
/// [`Error::Founding`] where the founders are too few, before anything is made; [`Error::Certificates`] where the directory holds a
/// registry already; [`Error::Io`].
pub fn init(config: &Config, founding: &Founding, clock: Arc<dyn Clock>) -> Result<Made, Error> {
    init_on(config, founding, clock, Arc::new(RealDisk))
}

/// The same on another disk.
///
/// # Errors
/// As [`init`].
pub fn init_on(
    config: &Config,
    founding: &Founding,
    clock: Arc<dyn Clock>,
    disk: Arc<dyn Disk>,
) -> Result<Made, Error> {
    founding.check()?;
    let layout = Layout::of(config);
    // The anchor is written last; a registry that lost it has begun its ledger, or is restored with it.
    if layout.anchor().exists() || layout.ledger_begun().exists() {
        return Err(Error::Certificates(CertError::Authority {
            rule: format!("{} holds a registry already", layout.data.display()),
            remedy: "use it, or choose another directory",
        }));
    }
    create_directory(&layout.data).map_err(|e| Error::io("make", &layout.data, e))?;
    let keys = Keys::create(&layout.keys(), config, clock.now_us(), disk.clone())?;
    // A name that cannot stand in a certificate is found now rather than at the first start.
    identity(&keys.tls, &keys.issuing, &config.names, clock.now_us())?;
    let (founders, certificates) = founding.issue(&keys.issuing, clock.now_us())?;
    let anchor = keys.anchor(config)?.to_string();
    for (path, bytes) in [
        (layout.founding(), founders.as_ref()),
        (layout.anchor(), anchor.as_bytes()),
    ] {
        disk.replace(&path, bytes).map_err(|e| Error::io("write", &path, e))?;
    }
    Ok(Made {
        anchor: layout.anchor(),
        certificates,
    })
}

/// An opened registry whose doors are still closed.
pub(crate) struct Opened {
    pub(crate) ledger: Ledger,
    pub(crate) book: Book,
    pub(crate) base: Base,
    pub(crate) standing: Standing,
    /// The snapshot on disk.
    pub(crate) kept: Option<Published>,
    pub(crate) settings: Settings,
    pub(crate) root: Verified<Authority>,
}

/// What the doors work with besides the desk.
pub(crate) struct Base {
    pub(crate) config: Config,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ledger: Ledger,
    /// The disk under it, and under what else is durable.
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) schemas: Schemas,
    pub(crate) proposals: Proposals,
    pub(crate) witness: Arc<WitnessState>,
    pub(crate) issuing: Arc<Issuing>,
    /// The time-stamp authority, where there is one.
    pub(crate) stamper: Option<Arc<Stamper>>,
    /// SHA-256 of the root certificate.
    pub(crate) root: Hash,
    /// Key of the registry's ledger.
    pub(crate) own_key: VerifierKey,
    /// The same as text.
    pub(crate) registry_key: String,
    /// Text of the anchor file.
    pub(crate) anchor: String,
    /// The state with its founders, where the ledger does not name them yet.
    pub(crate) founded: Option<State>,
    /// host:port that stands in tokens.
    pub(crate) public: String,
}

impl Opened {
    /// Opens keys, ledger, schemas, proposals and witness state of the directory; recovers what a crash left. Blocks.
    ///
    /// # Errors
    /// What is missing, damaged or of another registry.
    pub(crate) fn open(
        config: Config,
        clock: Arc<dyn Clock>,
        address: SocketAddr,
        storage: Storage,
    ) -> Result<Opened, Error> {
        let disk = Arc::clone(&storage.disk);
        let layout = Layout::of(&config);
        let now_us = clock.now_us();
        let keys = Keys::open(&layout.keys(), &config, now_us, disk.clone())?;
        let anchor = keys.anchor(&config)?.to_string();
        let root = keys.root.clone();
        let issuing = Arc::clone(&keys.issuing);
        let registry_key = keys.seal.vkey();
        let (keys, ledger) = open_ledger(&config, keys, Arc::clone(&clock), storage)?;
        let frame = Frame {
            witness_key: *keys.witness.public().as_bytes(),
            issuing: Bytes::copy_from_slice(&issuing.certificate().der),
            lifetime_us: micros(config.snapshot_lifetime),
        };
        let snapshot_key = key(&keys.snapshot.vkey())?;
        let kept = Kept::at(layout.kept(), Arc::clone(&disk));
        let Replayed {
            state,
            newest_us,
            published,
        } = replay(
            &ledger,
            &layout.ledger(),
            &config,
            &root,
            (kept.read(&snapshot_key), &frame),
        )?;
        let founding = founding::read(&layout.founding(), &state)?;
        let founded = founding::known(founding.as_ref(), &state, now_us);
        let read = |stored: &_| agree::read_stored(stored, &config.instance);
        let proposals = Proposals::open(
            (layout.proposals(), Arc::clone(&disk)),
            config.limits.proposals_per_member,
            read,
        )?;
        let witness = open_witness(&layout, keys.witness, &disk)?;
        let standing = Standing::open(ledger.clone(), layout.data.clone(), Arc::clone(&disk))
            .map_err(|e| Error::io("read or remove the mark of a quarantine in", &layout.data, e))?;
        let book = Book {
            kept,
            instance: config.instance.clone(),
            newest: published.clone().unwrap_or_else(Published::none),
            stale: true,
            ledger: ledger.clone(),
            state: Arc::new(RwLock::new(state)),
            clock: Arc::clone(&clock),
            key: keys.snapshot,
            frame,
            newest_us,
            founding,
        };
        let settings = settings(keys.tls, Arc::clone(&issuing), &config, &root, &clock)?;
        let stamper = || Stamper::open(config.open_keys()?.on(disk.clone()), Arc::clone(&issuing), now_us);
        let stamper = config.stamp_authority.then(stamper).transpose()?.map(Arc::new);
        let base = Base {
            stamper,
            public: config.public.clone().unwrap_or_else(|| address.to_string()),
            schemas: Schemas::open(layout.schemas(), Arc::clone(&disk))?,
            disk,
            proposals,
            witness: Arc::new(witness),
            issuing,
            root: root.sha256,
            own_key: key(&registry_key)?,
            registry_key,
            anchor,
            founded,
            ledger: ledger.clone(),
            config,
            clock,
        };
        Ok(Opened {
            ledger,
            book,
            base,
            standing,
            kept: published,
            settings,
            root,
        })
    }
}

/// The memory of the registry's witness.
fn open_witness(layout: &Layout, key: WitnessKey, disk: &Arc<dyn Disk>) -> Result<WitnessState, Error> {
    let opened = WitnessState::open(&layout.witness(), layout.witness_begun(), key, Arc::clone(disk));
    opened.map_err(|e| Error::Directory(e.to_string()))
}

/// An own key as whoever verifies reads it.
fn key(vkey: &str) -> Result<VerifierKey, Error> {
    vkey.parse()
        .map_err(|e| Error::Directory(format!("an own key cannot be read: {e}")))
}

/// The keys that are left when the ledger has taken its own.
struct Rest {
    tls: TlsKey,
    witness: WitnessKey,
    snapshot: SnapshotKey,
}

fn open_ledger(config: &Config, keys: Keys, clock: Arc<dyn Clock>, storage: Storage) -> Result<(Rest, Ledger), Error> {
    let failed = |e: String| Error::Ledger(e);
    let vault = Vault::open(&keys.store).map_err(|e| failed(e.to_string()))?;
    let started = keys.started();
    let at = ledger::Config {
        segment_bytes: config.segment_bytes,
        disk: Arc::clone(&storage.disk),
        fatal: storage.fatal,
        ..ledger::Config::in_data_directory(&config.data, config.origin())
    };
    let begun = Layout::of(config).ledger_begun();
    if begun.exists() && !has_begun(&at.dir) {
        let rule = format!(
            "the registry's ledger has begun and {} holds nothing of it; restore the newest backup: a second ledger under the same key would be \
             a second history",
            at.dir.display()
        );
        return Err(Error::Directory(rule));
    }
    let (ledger, opened) = Ledger::open(at, keys.seal, vault, clock, started).map_err(|e| failed(e.to_string()))?;
    if !begun.exists() {
        let written = storage.disk.replace(&begun, b"");
        written.map_err(|e| Error::io("write", &begun, e))?;
    }
    if let Some(torn) = opened.torn {
        tracing::warn!(
            ?torn,
            "an unfinished write was cut from the ledger; nobody had been told of it"
        );
    }
    let mark =
        Quarantine::read(&config.data).map_err(|e| Error::io("read the mark of a quarantine in", &config.data, e))?;
    if let Some(mark) = mark {
        Returned::below(&config.data).take_back(&ledger, &Layout::of(config).ledger(), &mark)?;
    }
    Ok((
        Rest {
            tls: keys.tls,
            witness: keys.witness,
            snapshot: keys.snapshot,
        },
        ledger,
    ))
}

/// Whether the directory of a ledger holds anything of one.
fn has_begun(directory: &Path) -> bool {
    std::fs::read_dir(directory.join("segments")).is_ok_and(|mut files| files.next().is_some())
}

/// What the ledger says.
struct Replayed {
    state: State,
    /// Time of its newest entry, microseconds.
    newest_us: u64,
    /// The snapshot whose header was kept.
    published: Option<Published>,
}

/// Folds the ledger into the state; what the state was when the kept snapshot was published is its rows. Reads segment after
/// segment: entry by entry a year of snapshots would take minutes.
fn replay(
    ledger: &Ledger,
    directory: &Path,
    config: &Config,
    root: &Verified<Authority>,
    (mut kept, frame): (Option<Found>, &Frame),
) -> Result<Replayed, Error> {
    let failed = |e: ArchiveError| Error::Ledger(e.to_string());
    let mut published = None;
    let mut state = State::new(config.instance.clone(), root.clone());
    let mut newest_us = 0;
    let size = ledger.size();
    let mut next = 0;
    let archive = Archive::open(directory).map_err(failed)?;
    let mut items = archive.items();
    // A torn tail, which the ledger has found and cuts, is not read.
    while next < size {
        let lacking = || Error::Ledger(format!("{next} of its {size} entries can be read"));
        let (_, item) = items.next().ok_or_else(lacking)?.map_err(failed)?;
        let Item::Statement { index, entry } = item else {
            continue;
        };
        next = index + 1;
        let statement = entry.statement;
        let at_us = statement.core().created_us;
        newest_us = newest_us.max(at_us);
        let wrong = |cause| Error::State { index, cause };
        let Some(act) = statement.act() else { continue };
        if let Some(act) = Act::take(statement.kind(), act, &config.instance).map_err(wrong)? {
            state.apply(index, at_us, &act).map_err(wrong)?;
            if let Act::Snapshot(act) = &act
                && let Some(found) = kept.take_if(|found| found.is_published_by(act))
            {
                published = found.with(Picture::of(&state, frame, &Picture::default()).0);
            }
        }
    }
    if !state.is_settled() {
        let rule = "an act was approved, and not all that it does stands behind it";
        return Err(Error::Ledger(rule.to_owned()));
    }
    Ok(Replayed {
        state,
        newest_us,
        published,
    })
}

fn settings(
    key: TlsKey,
    issuing: Arc<Issuing>,
    config: &Config,
    root: &Verified<Authority>,
    clock: &Arc<dyn Clock>,
) -> Result<Settings, Error> {
    let now_us = clock.now_us();
    let clock = Arc::clone(clock);
    let clock: tls::Clock = Arc::new(move || clock.now_us());
    // The handshake takes every certificate that the authority issued and that is in force; each call then asks whether it
    // is listed. So a node that was revoked or enrolled again is told so in words rather than by a broken connection.
    let listed: tls::PeerPolicy = Arc::new(|_, _| Ok(()));
    let (names, root) = (config.names.clone(), root.clone());
    let renew = move |now_us| {
        let identity = identity(&key, &issuing, &names, now_us)?;
        Ok(TlsAcceptor::from(tls::registry_server(
            &identity,
            &root,
            Arc::clone(&listed),
            &clock,
        )?))
    };
    Settings::new(Box::new(renew), now_us)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
