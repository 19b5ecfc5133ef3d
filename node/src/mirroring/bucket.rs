//! A mirror in S3-compatible storage. A closed segment is one object; the one that grows is pieces, since objects cannot be
//! appended to: `SEGMENT.seg.OFFSET`, the last of which is written again until it is large enough.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jisr_ledger::clock::{Clock as _, SystemClock};
use jisr_ledger::frame::{segment_name, segment_number};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::{ObjectStore as _, ObjectStoreExt as _, PutPayload, RetryConfig};
use tokio::runtime::{Builder, Runtime};
use tokio_rustls::TlsConnector;
use tokio_stream::StreamExt as _;

use super::MirrorError;
use super::error::io;
use super::http::Connector;
use super::location::{Access, S3};
use super::store::Store;

/// A piece that has so many bytes is not written again.
const PIECE_BYTES: usize = 1 << 20;
/// Larger objects are uploaded in parts of this size.
const PART_BYTES: usize = 8 << 20;
/// How long one request is tried again.
const RETRY: Duration = Duration::from_secs(20);

/// A bucket, and the piece that still grows.
pub(crate) struct Bucket {
    s3: S3,
    store: AmazonS3,
    runtime: Runtime,
    growing: Option<Growing>,
}

/// The last piece of a segment.
struct Growing {
    folder: String,
    segment: u64,
    /// Where it begins in the segment.
    start: u64,
    bytes: Vec<u8>,
}

/// How a segment lies in the bucket.
enum Lies {
    Whole(u64),
    /// Start and length of each piece, without gaps.
    Pieces(Vec<(u64, u64)>),
}

impl Bucket {
    /// A bucket that is reached as `s3` says. Nothing is sent yet.
    pub(crate) fn open(s3: &S3) -> Result<Bucket, MirrorError> {
        let credentials = s3.access.read_credentials()?;
        let runtime = Builder::new_current_thread().enable_all().build();
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&s3.bucket)
            .with_region(s3.access.region.as_deref().unwrap_or("us-east-1"))
            .with_access_key_id(credentials.key_id)
            .with_secret_access_key(credentials.secret_key)
            .with_allow_http(true)
            .with_retry(RetryConfig {
                max_retries: 3,
                retry_timeout: RETRY,
                ..RetryConfig::default()
            })
            .with_http_connector(Connector { tls: tls(&s3.access)? });
        if let Some(token) = credentials.token {
            builder = builder.with_token(token);
        }
        if let Some(endpoint) = &s3.access.endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        let store = builder.build().map_err(failed("open", &s3.bucket))?;
        Ok(Bucket {
            s3: s3.clone(),
            store,
            runtime: runtime.map_err(io("start a runtime for", Path::new(&s3.bucket)))?,
            growing: None,
        })
    }

    fn path(&self, name: &str) -> object_store::path::Path {
        object_store::path::Path::from([self.s3.prefix.as_str(), name].join("/").trim_matches('/'))
    }

    fn lies(&mut self, folder: &str) -> Result<BTreeMap<u64, Lies>, MirrorError> {
        let mut found: BTreeMap<u64, Lies> = BTreeMap::new();
        for (name, bytes) in self.names(&format!("{folder}/segments"))? {
            let file = name.rsplit('/').next().unwrap_or_default();
            let unusable = || MirrorError::Unusable(format!("{}: `{name}` is no part of a ledger", self.place()));
            let (segment, start) = place_of(file).ok_or_else(unusable)?;
            match (start, found.get_mut(&segment)) {
                // Pieces that a closed segment left behind count for nothing.
                (None, _) => drop(found.insert(segment, Lies::Whole(bytes))),
                (Some(_), Some(Lies::Whole(_))) => {}
                (Some(start), Some(Lies::Pieces(pieces))) => pieces.push((start, bytes)),
                (Some(start), None) => drop(found.insert(segment, Lies::Pieces(vec![(start, bytes)]))),
            }
        }
        for (segment, lies) in &mut found {
            let Lies::Pieces(pieces) = lies else { continue };
            pieces.sort_unstable();
            let mut end = 0;
            for (start, bytes) in pieces {
                if *start != end {
                    let rule = format!("{}: segment {segment} lacks the piece at byte {end}", self.place());
                    return Err(MirrorError::Unusable(rule));
                }
                end += *bytes;
            }
        }
        Ok(found)
    }

    fn object(&self, name: &str, range: Option<std::ops::Range<u64>>) -> Result<Option<Vec<u8>>, MirrorError> {
        let path = self.path(name);
        let got = self.runtime.block_on(async {
            match range {
                Some(range) => self.store.get_range(&path, range).await,
                None => self.store.get(&path).await?.bytes().await,
            }
        });
        match got {
            Ok(bytes) => Ok(Some(bytes.to_vec())),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(failed("read", name)(error)),
        }
    }

    fn remove(&self, name: &str) -> Result<(), MirrorError> {
        match self.runtime.block_on(self.store.delete(&self.path(name))) {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(failed("delete", name)(error)),
        }
    }

    /// The piece that bytes at `offset` go to, with what of it stays. Pieces behind it are deleted: they were never complete.
    fn grow_from(&mut self, folder: &str, segment: u64, offset: u64) -> Result<Growing, MirrorError> {
        let is_it = |growing: &Growing| {
            growing.folder == folder
                && growing.segment == segment
                && growing.start + growing.bytes.len() as u64 == offset
        };
        if let Some(growing) = self.growing.take_if(|growing| is_it(growing)) {
            return Ok(growing);
        }
        self.growing = None;
        let pieces = match self.lies(folder)?.remove(&segment) {
            Some(Lies::Pieces(pieces)) => pieces,
            Some(Lies::Whole(_)) => {
                let rule = format!("segment {segment} is closed there and still grows here");
                return Err(MirrorError::Differs(rule));
            }
            None => Vec::new(),
        };
        let mut growing = Growing {
            folder: folder.to_owned(),
            segment,
            start: offset,
            bytes: Vec::new(),
        };
        for (start, bytes) in pieces.into_iter().rev() {
            if start >= offset {
                self.remove(&piece_name(folder, segment, start))?;
            } else if start + bytes > offset || bytes < PIECE_BYTES as u64 {
                let kept = usize::try_from(offset - start).unwrap_or(usize::MAX);
                let mut content = self
                    .object(&piece_name(folder, segment, start), None)?
                    .unwrap_or_default();
                content.truncate(kept);
                (growing.start, growing.bytes) = (start, content);
                break;
            } else {
                break;
            }
        }
        Ok(growing)
    }

    fn upload(&self, name: &str, live: &Path, bytes: u64) -> Result<(), MirrorError> {
        let mut file = File::open(live).map_err(io("read", live))?.take(bytes);
        let mut part = |most: usize| -> Result<Vec<u8>, MirrorError> {
            let mut part = Vec::new();
            file.by_ref()
                .take(most as u64)
                .read_to_end(&mut part)
                .map_err(io("read", live))?;
            Ok(part)
        };
        if bytes <= PART_BYTES as u64 {
            let whole = part(PART_BYTES)?;
            return self.put_object(name, whole);
        }
        let path = self.path(name);
        let mut upload = self
            .runtime
            .block_on(self.store.put_multipart(&path))
            .map_err(failed("write", name))?;
        let sent = loop {
            let next = part(PART_BYTES)?;
            if next.is_empty() {
                break self.runtime.block_on(upload.complete()).map(drop);
            }
            if let Err(error) = self.runtime.block_on(upload.put_part(PutPayload::from(next))) {
                break Err(error);
            }
        };
        if sent.is_err() {
            // The error to tell is the first one.
            let _ = self.runtime.block_on(upload.abort());
        }
        sent.map_err(failed("write", name))
    }

    fn put_object(&self, name: &str, bytes: Vec<u8>) -> Result<(), MirrorError> {
        self.runtime
            .block_on(self.store.put(&self.path(name), PutPayload::from(bytes)))
            .map(drop)
            .map_err(failed("write", name))
    }
}

impl Store for Bucket {
    fn place(&self) -> String {
        format!("s3://{}/{}", self.s3.bucket, self.s3.prefix)
    }

    fn names(&mut self, folder: &str) -> Result<BTreeMap<String, u64>, MirrorError> {
        let root = self.path("");
        let within = self.path(folder);
        self.runtime.block_on(async {
            let mut names = BTreeMap::new();
            let mut objects = self.store.list(Some(&within));
            while let Some(object) = objects.next().await {
                let object = object.map_err(failed("list", folder))?;
                let name = object.location.as_ref();
                let name = name.strip_prefix(root.as_ref()).unwrap_or(name).trim_start_matches('/');
                names.insert(name.to_owned(), object.size);
            }
            Ok(names)
        })
    }

    fn get(&mut self, name: &str) -> Result<Option<Vec<u8>>, MirrorError> {
        self.object(name, None)
    }

    fn put(&mut self, name: &str, bytes: &[u8]) -> Result<(), MirrorError> {
        self.put_object(name, bytes.to_vec())
    }

    fn delete(&mut self, name: &str) -> Result<(), MirrorError> {
        self.remove(name)
    }

    fn segments(&mut self, folder: &str) -> Result<BTreeMap<u64, u64>, MirrorError> {
        let bytes = |lies: Lies| match lies {
            Lies::Whole(bytes) => bytes,
            Lies::Pieces(pieces) => pieces.iter().map(|(_, bytes)| bytes).sum(),
        };
        Ok(self
            .lies(folder)?
            .into_iter()
            .map(|(segment, lies)| (segment, bytes(lies)))
            .collect())
    }

    fn read(&mut self, folder: &str, segment: u64, offset: u64, bytes: usize) -> Result<Vec<u8>, MirrorError> {
        let end = offset.saturating_add(bytes as u64);
        let pieces = match self.lies(folder)?.remove(&segment) {
            None => return Ok(Vec::new()),
            Some(Lies::Whole(length)) => vec![(0, length, whole_name(folder, segment))],
            Some(Lies::Pieces(pieces)) => pieces
                .into_iter()
                .map(|(start, length)| (start, length, piece_name(folder, segment, start)))
                .collect(),
        };
        let mut read = Vec::new();
        for (start, length, name) in pieces {
            let (from, to) = (offset.max(start), end.min(start + length));
            if from < to {
                let got = self.object(&name, Some(from - start..to - start))?;
                read.extend(got.ok_or_else(|| MirrorError::Unusable(format!("{name} vanished while it was read")))?);
            }
        }
        Ok(read)
    }

    fn append(&mut self, folder: &str, segment: u64, offset: u64, bytes: &[u8]) -> Result<(), MirrorError> {
        let mut growing = self.grow_from(folder, segment, offset)?;
        if growing.bytes.len() >= PIECE_BYTES {
            (growing.start, growing.bytes) = (offset, Vec::new());
        }
        growing.bytes.extend_from_slice(bytes);
        self.put_object(&piece_name(folder, segment, growing.start), growing.bytes.clone())?;
        self.growing = Some(growing);
        Ok(())
    }

    fn close(&mut self, folder: &str, segment: u64, live: &Path, bytes: u64) -> Result<(), MirrorError> {
        self.growing = None;
        self.upload(&whole_name(folder, segment), live, bytes)?;
        let beginning = format!("{}.", whole_name(folder, segment));
        let names = self.names(&format!("{folder}/segments"))?;
        for name in names.into_keys().filter(|name| name.starts_with(&beginning)) {
            self.remove(&name)?;
        }
        Ok(())
    }

    fn overwrite(&mut self, folder: &str, segment: u64, offset: u64, bytes: &[u8]) -> Result<(), MirrorError> {
        self.growing = None;
        let end = offset + bytes.len() as u64;
        let pieces = match self.lies(folder)?.remove(&segment) {
            None => Vec::new(),
            Some(Lies::Whole(length)) => vec![(0, length, whole_name(folder, segment))],
            Some(Lies::Pieces(pieces)) => pieces
                .into_iter()
                .map(|(start, length)| (start, length, piece_name(folder, segment, start)))
                .collect(),
        };
        for (start, length, name) in pieces {
            let (from, to) = (offset.max(start), end.min(start + length));
            if from >= to {
                continue;
            }
            let mut content = self.object(&name, None)?.unwrap_or_default();
            let at = |place: u64, base: u64| usize::try_from(place - base).unwrap_or(usize::MAX);
            let target = content.get_mut(at(from, start)..at(to, start));
            let source = bytes.get(at(from, offset)..at(to, offset));
            let (Some(target), Some(source)) = (target, source) else {
                return Err(MirrorError::Unusable(format!("{name} is shorter than it was listed")));
            };
            target.copy_from_slice(source);
            self.put_object(&name, content)?;
        }
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), MirrorError> {
        self.growing = None;
        let names: Vec<String> = self.names(from)?.into_keys().collect();
        let moved = |name: &str| format!("{to}{}", name.strip_prefix(from).unwrap_or(name));
        for name in &names {
            let (from, to) = (self.path(name), self.path(&moved(name)));
            let copied = self.store.copy(&from, &to);
            self.runtime.block_on(copied).map_err(failed("copy", name))?;
        }
        names.iter().try_for_each(|name| self.remove(name))
    }
}

/// Number of the segment that an object is or is a piece of, and where the piece begins.
fn place_of(file: &str) -> Option<(u64, Option<u64>)> {
    if let Ok(segment) = segment_number(file) {
        return Some((segment, None));
    }
    let (segment, start) = file.rsplit_once('.')?;
    Some((segment_number(segment).ok()?, Some(start.parse().ok()?)))
}

fn whole_name(folder: &str, segment: u64) -> String {
    format!("{folder}/segments/{}", segment_name(segment))
}

fn piece_name(folder: &str, segment: u64, start: u64) -> String {
    format!("{}.{start:020}", whole_name(folder, segment))
}

fn failed(action: &'static str, name: &str) -> impl Fn(object_store::Error) -> MirrorError + use<> {
    let name = name.to_owned();
    move |source| MirrorError::Storage {
        action,
        name: name.clone(),
        source: Box::new(source),
    }
}

/// TLS towards the endpoint: the operator's authorities, HTTP/1.1.
fn tls(access: &Access) -> Result<Option<TlsConnector>, MirrorError> {
    let Some(ca) = &access.ca else { return Ok(None) };
    let pem = std::fs::read(ca).map_err(io("read", ca))?;
    let clock: jisr_certs::tls::Clock = Arc::new(|| SystemClock.now_us());
    let mut config = jisr_certs::tls::backend_client(&pem, &clock)?.as_ref().clone();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Some(TlsConnector::from(Arc::new(config))))
}
