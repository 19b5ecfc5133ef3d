//! The administrator's side: a key and its certificate, with which documents are made and signed.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use jisr_certs::administrator::AdministratorKey;
use jisr_certs::{CertError, digest, pem, profile};
use jisr_proto::canonical;
use jisr_proto::ident::{Code, Instance};
use jisr_proto::registry::Token;
use jisr_proto::snapshot::{AdministrativeAct, SignedAct};
use ring::rand::{SecureRandom, SystemRandom};

use crate::token;

/// What stands in front of a token.
const PREFIX: &str = "jisr1-";

/// An administrator's key and certificate. `Debug` shows nothing of the key.
#[derive(Debug)]
pub struct Credential {
    instance: Instance,
    name: Code,
    key: AdministratorKey,
    certificate: Bytes,
}

impl Credential {
    /// Takes a key (PKCS#8 PEM) and the certificate (PEM) that the registry issued for it.
    ///
    /// # Errors
    /// [`CertError`] where one is malformed, or the certificate is no administrator's.
    pub fn new(key: &[u8], certificate: &[u8]) -> Result<Credential, CertError> {
        let key = AdministratorKey::from_pem(key)?;
        let certificates = pem::certificates_from_pem(certificate)?;
        let certificate = certificates
            .first()
            .map(|der| Bytes::copy_from_slice(der))
            .unwrap_or_default();
        let (instance, name) = profile::named_administrator(&certificate)?;
        Ok(Credential {
            instance,
            name,
            key,
            certificate,
        })
    }

    /// The network whose registry it is for.
    pub fn instance(&self) -> &Instance {
        &self.instance
    }

    /// Whose it is.
    pub fn name(&self) -> &Code {
        &self.name
    }

    /// Signs an act: of `act` only the order is taken; format, instance, time and nonce are set here.
    ///
    /// # Errors
    /// [`CertError::Crypto`].
    pub fn sign(&self, act: AdministrativeAct, now_us: u64) -> Result<SignedAct, CertError> {
        let document = canonical::encode(&AdministrativeAct {
            format: 1,
            instance: self.instance.to_string(),
            created_us: now_us,
            nonce: Bytes::copy_from_slice(&random::<16>()?),
            ..act
        });
        Ok(SignedAct {
            signature: self.key.sign(&document)?.into(),
            certificate: self.certificate.clone(),
            document,
        })
    }
}

/// A secret for a token, and the digest by which the ledger knows it. The secret stays with the administrator who orders the token.
///
/// # Errors
/// [`CertError::Crypto`].
pub fn draw_secret() -> Result<([u8; 32], digest::Hash), CertError> {
    let secret = random()?;
    Ok((secret, token::digest_of(&secret)))
}

/// The text that the operator of the node gets, of what the registry answered and the secret (docs/formats.md, Enrolment token).
pub fn token_text(token: Token, secret: [u8; 32]) -> String {
    let bytes = canonical::encode(&Token {
        secret: Bytes::copy_from_slice(&secret),
        ..token
    });
    let check = digest::sha256(&[&bytes]);
    let mut text = PREFIX.to_owned();
    URL_SAFE_NO_PAD.encode_string([&bytes, check.split_at(4).0].concat(), &mut text);
    text
}

fn random<const N: usize>() -> Result<[u8; N], CertError> {
    let mut bytes = [0; N];
    let drawn = SystemRandom::new().fill(&mut bytes);
    drawn.map_err(|_| CertError::Crypto("drawing random bytes"))?;
    Ok(bytes)
}
