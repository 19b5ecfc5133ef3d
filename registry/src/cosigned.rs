//! Nodes as witnesses of the registry: their cosignatures on its newest checkpoint, gathered into one note.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use jisr_ledger::note::{self, SignedNote, VerifierKey};

/// Between two of the checkpoints that are put down in the ledger, microseconds: each refresh of the snapshot brings a new one.
const RECORD_US: u64 = 60_000_000;

/// What nodes cosigned.
#[derive(Debug, Default)]
pub(crate) struct Cosigned(Mutex<Gathered>);

#[derive(Debug, Default)]
struct Gathered {
    size: u64,
    /// Text and own signature.
    own: Vec<u8>,
    /// Cosignature lines by name of the witness.
    lines: BTreeMap<String, String>,
    /// Whether all of it stands in the ledger.
    recorded: bool,
    recorded_us: u64,
}

impl Cosigned {
    /// Takes up a cosignature of `witness` on the own checkpoint of this size, both found to hold in `note`. Returns a note that is
    /// due to be recorded in the ledger, if one is: the one before, complete, when a newer one begins.
    pub(crate) fn add(
        &self,
        size: u64,
        note: &[u8],
        own: &VerifierKey,
        witness: &VerifierKey,
        now_us: u64,
    ) -> Option<Bytes> {
        let parsed = SignedNote::parse(note).ok()?;
        let line = |key: &VerifierKey| {
            let of_key = |line: &&note::Signature<'_>| line.id == key.id() && line.name == key.name();
            let line = parsed.signatures.iter().find(of_key)?;
            Some(note::signature_line(key, &line.bytes))
        };
        let (own, cosignature) = (line(own)?, line(witness)?);
        let mut gathered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if size < gathered.size {
            return None;
        }
        let mut due = None;
        if size > gathered.size {
            due = gathered.due(now_us);
            gathered.size = size;
            gathered.own = note::assemble(parsed.text, [own.as_str()]);
            gathered.lines.clear();
        }
        gathered.lines.insert(witness.name().to_owned(), cosignature);
        gathered.recorded = false;
        // The first ever is put down at once: until then nobody's word stands there.
        if gathered.recorded_us == 0 {
            due = gathered.due(now_us);
        }
        due
    }

    /// The newest own checkpoint that nodes cosigned, with all their lines.
    pub(crate) fn newest(&self) -> Option<(u64, Bytes)> {
        let gathered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (!gathered.lines.is_empty()).then(|| (gathered.size, gathered.note()))
    }
}

impl Gathered {
    fn due(&mut self, now_us: u64) -> Option<Bytes> {
        if self.recorded_us != 0 && now_us.saturating_sub(self.recorded_us) < RECORD_US {
            return None;
        }
        if self.lines.is_empty() || self.recorded {
            return None;
        }
        self.recorded = true;
        self.recorded_us = now_us.max(1);
        Some(self.note())
    }

    fn note(&self) -> Bytes {
        let mut note = self.own.clone();
        self.lines
            .values()
            .for_each(|line| note.extend_from_slice(line.as_bytes()));
        note.into()
    }
}
