//! The three kinds of Ed25519 key that sign notes. Each builds the text that it signs, so that none can be made to sign another.
//!
//! Every call signs once. The lines follow C2SP signed-note: `— NAME base64(key id ‖ signature)` and a newline.

use jisr_proto::ident::{Instance, NodeId, Origin};
use rcgen::{PKCS_ED25519, PublicKeyData, SignatureAlgorithm, SigningKey};
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair};
use zeroize::Zeroizing;

use crate::csr;
use crate::digest::Hash;
use crate::ed25519::PublicKey;
use crate::error::CertError;
use crate::keys::KeyStore;
use crate::note::{self, TYPE_COSIGNATURE, TYPE_ED25519};

/// Signs the checkpoints of one origin, and the request for its own certificate.
pub struct SealKey {
    origin: Origin,
    signer: Signer,
}

/// Cosigns checkpoints of others as a witness.
pub struct WitnessKey(Signer);

/// Signs the snapshots of one instance.
pub struct SnapshotKey(Signer);

impl SealKey {
    /// The seal key of this origin in the store; made where there is none. The file is named for the origin.
    ///
    /// # Errors
    /// As [`KeyStore::read`]; [`CertError::KeyStore`] for a file that is no Ed25519 key.
    pub fn load_or_make(store: &KeyStore, origin: &Origin) -> Result<SealKey, CertError> {
        let signer = Signer::load_or_make(store, "seal", origin.as_str().to_owned(), TYPE_ED25519)?;
        Ok(SealKey {
            origin: origin.clone(),
            signer,
        })
    }

    /// The origin whose checkpoints it signs; also the key name.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        self.signer.public
    }

    /// The public half as text (docs/formats.md, signed note).
    pub fn vkey(&self) -> String {
        self.signer.vkey(TYPE_ED25519)
    }

    /// The signature line for the checkpoint of this origin with this size and root.
    pub fn sign_checkpoint(&self, size: u64, root: &Hash) -> String {
        self.signer.line(&note::checkpoint_text(&self.signer.name, size, root))
    }

    /// The whole signed note: text, empty line, signature line.
    pub fn checkpoint(&self, size: u64, root: &Hash) -> String {
        self.signer.note(note::checkpoint_text(&self.signer.name, size, root))
    }

    /// A PKCS#10 request (DER) for the seal certificate of this key and origin.
    ///
    /// # Errors
    /// [`CertError::Crypto`].
    pub fn request(&self) -> Result<Vec<u8>, CertError> {
        csr::write(&csr::seal_uri(&self.origin), &self.signer)
    }
}

impl WitnessKey {
    /// The witness key of a node; made where there is none.
    ///
    /// # Errors
    /// As [`SealKey::load_or_make`].
    pub fn of_node(store: &KeyStore, node: &NodeId) -> Result<WitnessKey, CertError> {
        Signer::load_or_make(store, "witness", node.witness_name(), TYPE_COSIGNATURE).map(WitnessKey)
    }

    /// The witness key of the registry; made where there is none.
    ///
    /// # Errors
    /// As [`SealKey::load_or_make`].
    pub fn of_registry(store: &KeyStore, instance: &Instance) -> Result<WitnessKey, CertError> {
        Signer::load_or_make(store, "witness", instance.witness_name(), TYPE_COSIGNATURE).map(WitnessKey)
    }

    /// The key name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        self.0.public
    }

    /// The public half as text (docs/formats.md, signed note).
    pub fn vkey(&self) -> String {
        self.0.vkey(TYPE_COSIGNATURE)
    }

    /// The cosignature line (C2SP tlog-cosignature, `cosignature/v1`) for a checkpoint that was found consistent, at a time in POSIX
    /// seconds.
    pub fn cosign(&self, time_s: u64, origin: &Origin, size: u64, root: &Hash) -> String {
        let text = note::checkpoint_text(origin.as_str(), size, root);
        let signature = self.0.sign(format!("cosignature/v1\ntime {time_s}\n{text}").as_bytes());
        note::signature_line(&self.0.name, self.0.key_id, &[&time_s.to_be_bytes(), &signature])
    }
}

impl SnapshotKey {
    /// The snapshot key of an instance; made where there is none.
    ///
    /// # Errors
    /// As [`SealKey::load_or_make`].
    pub fn load_or_make(store: &KeyStore, instance: &Instance) -> Result<SnapshotKey, CertError> {
        Signer::load_or_make(store, "snapshot", instance.snapshot_name(), TYPE_ED25519).map(SnapshotKey)
    }

    /// The key name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        self.0.public
    }

    /// The public half as text (docs/formats.md, signed note).
    pub fn vkey(&self) -> String {
        self.0.vkey(TYPE_ED25519)
    }

    /// The whole signed note over a snapshot (docs/formats.md, Snapshot): its version, digest, and expiry in POSIX seconds.
    pub fn sign_snapshot(&self, version: u64, digest: &Hash, expires_s: u64) -> String {
        self.0
            .note(note::snapshot_text(&self.0.name, version, digest, expires_s))
    }
}

/// A named Ed25519 key pair. Only the types above hold one.
struct Signer {
    pair: Ed25519KeyPair,
    public: PublicKey,
    name: String,
    key_id: [u8; 4],
}

impl Signer {
    fn load_or_make(store: &KeyStore, usage: &str, name: String, kind: u8) -> Result<Signer, CertError> {
        // Codes hold neither `.` nor upper-case letters, so different names stay different.
        let file = format!("{usage}-{}", name.replace('/', "."));
        let pkcs8 = store.pkcs8(&file, generate)?;
        let broken = || store.broken(&format!("{file}.pem"), "it is no Ed25519 key");
        let pair = Ed25519KeyPair::from_pkcs8(&pkcs8).map_err(|_| broken())?;
        let public = PublicKey::from_slice(pair.public_key().as_ref())?;
        let key_id = note::key_id(&name, kind, &public);
        Ok(Signer {
            pair,
            public,
            name,
            key_id,
        })
    }

    fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.pair
            .sign(message)
            .as_ref()
            .try_into()
            .expect("an Ed25519 signature is 64 bytes long")
    }

    fn line(&self, text: &str) -> String {
        note::signature_line(&self.name, self.key_id, &[&self.sign(text.as_bytes())])
    }

    fn note(&self, text: String) -> String {
        let line = self.line(&text);
        text + "\n" + &line
    }

    fn vkey(&self, kind: u8) -> String {
        note::vkey(&self.name, kind, &self.public)
    }
}

fn generate() -> Result<Zeroizing<Vec<u8>>, CertError> {
    Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
        .map(|document| Zeroizing::new(document.as_ref().to_vec()))
        .map_err(|_| CertError::Crypto("making an Ed25519 key"))
}

impl PublicKeyData for Signer {
    fn der_bytes(&self) -> &[u8] {
        self.public.as_bytes()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ED25519
    }
}

impl SigningKey for Signer {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Ok(Signer::sign(self, message).to_vec())
    }
}

macro_rules! elided {
    ($($key:ident),*) => {$(
        impl std::fmt::Debug for $key {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!(stringify!($key), "({:?})"), self.public())
            }
        }
    )*};
}

elided!(SealKey, WitnessKey, SnapshotKey);

#[cfg(test)]
mod tests;
