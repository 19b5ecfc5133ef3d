//! A new ledger in place of an old one: planned, or because the old one was lost or set back.
//!
//! What the new one needs is gathered in `DATA/succeeding` and put in place at the end, so that a crash at any step leaves either the
//! old node or, once the command is run again, the new one. The old segments stay, below `DATA/ledgers`.

use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use jisr_certs::keys::{KeySecret, KeyStore};
use jisr_ledger::anchor::Anchor;
use jisr_ledger::clock::Clock;
use jisr_ledger::files::{Disk as _, RealDisk, create_directory};
use jisr_ledger::note::{Checkpoint, SignedNote};
use jisr_ledger::report::Verdict;
use jisr_ledger::verify;
use jisr_proto::ident::Origin;
use jisr_proto::statement::{Head, Started};
use prost::Message as _;

use crate::config::Config;
use crate::ending::{self, Ended};
use crate::quarantine::Quarantine;
use crate::setup::{self, Attempt, Layout, SetupError, io};

/// What came of it.
#[derive(Clone, Debug)]
pub struct Succeeded {
    /// Origin of the ledger that ends.
    pub old: String,
    /// Origin of the ledger that begins at the next start.
    pub new: Origin,
    /// What the new ledger cites of the old one: its head here, and what outsiders showed where they showed more.
    pub heads: Vec<Head>,
    /// The old ledger ends with ENDED.
    pub ended: bool,
}

/// Ends the ledger in `data` where that can be done, and enrols the node with `token` for a new one that cites it. The node must not
/// run.
///
/// # Errors
/// [`SetupError`]: the node runs, the token or the registry's answer does not hold, the old ledger cannot be read or has open
/// exchanges. What was done so far is taken up when the command is run again.
pub async fn succeed(data: &Path, token: &str, clock: Arc<dyn Clock>) -> Result<Succeeded, SetupError> {
    let stage = Stage::of(data);
    if let Some(succeeded) = stage.ready()? {
        let _lock = lock(data)?;
        stage.apply(&succeeded)?;
        return Ok(succeeded);
    }
    let config = Config::load(data)?;
    let token = setup::token_for(&config, token, clock.now_us())?;
    let (heads, ended) = match quarantine(data)? {
        Some(mark) => {
            let _lock = lock(data)?;
            (quarantined(data, &mark)?, false)
        }
        None => match ending::end(&config, Arc::clone(&clock)).await? {
            Ended::Now(head) | Ended::Before(head) => (vec![head], true),
        },
    };
    let _lock = lock(data)?;
    let old = heads.first().map(|head| head.origin.clone()).unwrap_or_default();
    let attempt = Attempt::new(&stage.path(""), &config, &token);
    if !attempt.is_begun()? {
        stage.begin()?;
    }
    let enrolled = setup::enrol_anew(&config, &stage.keys(), (&attempt, &token), clock.now_us()).await?;
    let succeeded = Succeeded {
        old,
        new: enrolled.origin.clone(),
        heads,
        ended,
    };
    stage.keep(&enrolled, &succeeded)?;
    stage.apply(&succeeded)?;
    Ok(succeeded)
}

/// Heads that the ledger of this data directory cites when it begins.
pub(crate) fn heads(data: &Path) -> std::io::Result<Vec<Head>> {
    match fs::read(data.join(SUCCEEDS)) {
        Ok(bytes) => Ok(Started::decode(bytes.as_slice())
            .map_err(std::io::Error::other)?
            .succeeds),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Whether a succession was begun and not finished: the node must not run then.
pub(crate) fn is_unfinished(data: &Path) -> bool {
    Stage::of(data).path(READY).exists()
}

/// The file that says what the ledger succeeds.
const SUCCEEDS: &str = "succeeds";
/// Written last to the stage: the new origin, what it succeeds, and how.
const READY: &str = "ready";

fn quarantine(data: &Path) -> Result<Option<Quarantine>, SetupError> {
    Quarantine::read(data).map_err(io("read", &data.join("quarantine")))
}

/// The lock of the node that runs, taken without opening its ledger.
fn lock(data: &Path) -> Result<File, SetupError> {
    let path = data.join("lock");
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(io("open", &path))?;
    file.try_lock().map_err(|_| runs(data))?;
    Ok(file)
}

/// The node runs.
pub(crate) fn runs(data: &Path) -> SetupError {
    SetupError::State(format!(
        "{0} is in use by a running node; stop it (systemctl stop jisr-node, or SIGTERM to its process), then run: jisr node succeed \
         --dir {0} --token TOKEN, with the same token",
        data.display()
    ))
}

/// The heads of a ledger that others hold more of, or another history of.
fn quarantined(data: &Path, mark: &Quarantine) -> Result<Vec<Head>, SetupError> {
    let own = head_on_disk(data, &mark.own_checkpoint)?;
    let mut heads = vec![own];
    if let Some(shown) = head_of(mark.shown_checkpoint.as_bytes()) {
        heads.push(shown);
    }
    Ok(heads)
}

/// The head of the ledger in `data` as its files say; `checkpoint` goes with it where it says the same.
pub(crate) fn head_on_disk(data: &Path, checkpoint: &str) -> Result<Head, SetupError> {
    let layout = Layout::new(data);
    let path = layout.anchor();
    let anchor: Anchor = fs::read_to_string(&path)
        .map_err(io("read", &path))?
        .parse()
        .map_err(|error| SetupError::State(format!("the anchor cannot be used: {error}")))?;
    let ledger = layout.ledger();
    let report = verify::directory(&ledger, &anchor, &verify::Options::default()).map_err(io("read", &ledger))?;
    let unsound = || {
        SetupError::State(format!(
            "the old ledger does not verify: {}. Restore it from its mirror (jisr node recover), or, where there is none, enrol a new \
             node in an empty directory",
            report.reason
        ))
    };
    if report.verdict == Verdict::Invalid {
        return Err(unsound());
    }
    let found = report.head.as_ref().ok_or_else(unsound)?;
    let root =
        base64::Engine::decode(&base64::engine::general_purpose::STANDARD, &found.root).map_err(|_| unsound())?;
    let mut head = Head {
        origin: found.origin.clone(),
        size: found.size,
        root: root.into(),
        checkpoint: Bytes::new(),
    };
    if let Some(signed) = head_of(checkpoint.as_bytes())
        && (&signed.origin, signed.size, &signed.root) == (&head.origin, head.size, &head.root)
    {
        head.checkpoint = signed.checkpoint;
    }
    Ok(head)
}

/// What a checkpoint says, as a head that carries it.
pub(crate) fn head_of(note: &[u8]) -> Option<Head> {
    let checkpoint = Checkpoint::parse(SignedNote::parse(note).ok()?.text).ok()?;
    Some(Head {
        origin: checkpoint.origin,
        size: checkpoint.size,
        root: Bytes::copy_from_slice(&checkpoint.root),
        checkpoint: Bytes::copy_from_slice(note),
    })
}

/// The directory in which a succession is prepared.
struct Stage {
    data: PathBuf,
}

impl Stage {
    fn of(data: &Path) -> Stage {
        Stage { data: data.to_owned() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.data.join("succeeding").join(name)
    }

    fn keys(&self) -> PathBuf {
        self.path("keys")
    }

    /// The node's own: what is made here moves over to its key store.
    fn secret(&self) -> Result<KeySecret, SetupError> {
        Ok(Layout::new(&self.data).secret_source().read()?)
    }

    /// An empty one: what an earlier try made was never used, or for another token.
    fn begin(&self) -> Result<(), SetupError> {
        let dir = self.path("");
        match fs::remove_dir_all(&dir) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(io("remove", &dir)(error)),
        }
        create_directory(&dir).map_err(io("create", &dir))?;
        KeyStore::create(self.keys(), &self.secret()?)?;
        Ok(())
    }

    fn keep(&self, enrolled: &setup::Enrolled, succeeded: &Succeeded) -> Result<(), SetupError> {
        let succeeds = Started {
            origin: succeeded.new.to_string(),
            succeeds: succeeded.heads.clone(),
            ..Started::default()
        };
        let made = Layout::new(&self.path(""));
        create_directory(&made.snapshot()).map_err(io("make", &made.snapshot()))?;
        let mut files = enrolled.files(&made);
        files.push((self.path(SUCCEEDS), succeeds.encode_to_vec()));
        // Last: what is ready is complete.
        let ended: &[u8] = if succeeded.ended { b"ended\n" } else { b"lost\n" };
        files.push((self.path(READY), ended.to_vec()));
        for (path, bytes) in files {
            RealDisk.replace(&path, &bytes).map_err(io("write", &path))?;
        }
        Ok(())
    }

    /// What is complete and not yet put in place.
    fn ready(&self) -> Result<Option<Succeeded>, SetupError> {
        let path = self.path(READY);
        let how = match fs::read(&path) {
            Ok(how) => how,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io("read", &path)(error)),
        };
        // The file may be in place already.
        let prepared = self.path(SUCCEEDS);
        let path = if prepared.exists() {
            prepared
        } else {
            self.data.join(SUCCEEDS)
        };
        let bytes = fs::read(&path).map_err(io("read", &path))?;
        let unsound = || SetupError::State(format!("{} cannot be read; restore it from the backup", path.display()));
        let succeeds = Started::decode(bytes.as_slice()).map_err(|_| unsound())?;
        let new: Origin = succeeds.origin.parse().map_err(|_| unsound())?;
        Ok(Some(Succeeded {
            old: succeeds
                .succeeds
                .first()
                .map(|head| head.origin.clone())
                .unwrap_or_default(),
            new,
            heads: succeeds.succeeds,
            ended: how == b"ended\n",
        }))
    }

    /// Puts everything in place. Each step may have been done before a crash.
    fn apply(&self, succeeded: &Succeeded) -> Result<(), SetupError> {
        let old: Origin = succeeded
            .old
            .parse()
            .map_err(|error| SetupError::State(format!("the old ledger's origin: {error}")))?;
        self.put_ledger_aside(&old)?;
        self.put_keys(&succeeded.new)?;
        let (from, to) = (Layout::new(&self.path("")), Layout::new(&self.data));
        create_directory(&to.snapshot()).map_err(io("make", &to.snapshot()))?;
        let moved = [
            (from.tls_chain(), to.tls_chain()),
            (from.seal_chain(), to.seal_chain()),
            (from.snapshot_rows(), to.snapshot_rows()),
            (from.anchor(), to.anchor()),
            (self.path(SUCCEEDS), self.data.join(SUCCEEDS)),
        ];
        for (from, to) in moved {
            match fs::rename(&from, &to) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(io("put in place", &to)(error)),
            }
        }
        RealDisk.sync_directory(&self.data).map_err(io("sync", &self.data))?;
        // From here on nothing can be sealed under the old origin.
        KeyStore::open(to.keys(), &self.secret()?)?.destroy(&setup::key_file(&old))?;
        Quarantine::lift(&self.data, &RealDisk).map_err(io("remove the quarantine of", &self.data))?;
        fs::remove_file(self.path(READY)).map_err(io("remove", &self.path(READY)))?;
        fs::remove_dir_all(self.path("")).map_err(io("remove", &self.path("")))?;
        RealDisk.sync_directory(&self.data).map_err(io("sync", &self.data))
    }

    fn put_ledger_aside(&self, old: &Origin) -> Result<(), SetupError> {
        let ledger = Layout::new(&self.data).ledger();
        let ledgers = self.data.join("ledgers");
        let aside = ledgers.join(old.epoch().as_str());
        if aside.exists() || !ledger.exists() {
            return Ok(());
        }
        create_directory(&ledgers).map_err(io("create", &ledgers))?;
        fs::rename(&ledger, &aside).map_err(io("put aside", &ledger))?;
        let synced = RealDisk
            .sync_directory(&ledgers)
            .and_then(|()| RealDisk.sync_directory(&self.data));
        synced.map_err(io("sync", &ledgers))
    }

    /// The keys that were made for the new ledger. Its witness has a new key, so that what was forgotten under the old one binds
    /// nobody; what it remembers it keeps.
    fn put_keys(&self, new: &Origin) -> Result<(), SetupError> {
        if !self.keys().exists() {
            return Ok(());
        }
        let secret = self.secret()?;
        let made = KeyStore::open(self.keys(), &secret)?;
        let keys = KeyStore::open(Layout::new(&self.data).keys(), &secret)?;
        for name in made.names()? {
            let is_seal = name == setup::key_file(new);
            if let Some(key) = made.read(&name)?.filter(|_| is_seal || name.starts_with("witness")) {
                keys.write(&name, &key)?;
            }
        }
        let begun = Layout::new(&self.data).witness_begun();
        match fs::remove_file(&begun) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(io("remove", &begun)(error)),
        }
    }
}
