//! Certificates and keys as text (RFC 7468).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateSigningRequestDer, PrivatePkcs8KeyDer};
use zeroize::{Zeroize, Zeroizing};

use crate::error::CertError;

/// Characters of base64 in a line (RFC 7468, section 2).
const LINE_CHARS: usize = 64;

/// Writes certificates, leaf first, as `CERTIFICATE` blocks.
pub fn certificates_to_pem<'a>(chain: impl IntoIterator<Item = &'a [u8]>) -> String {
    chain
        .into_iter()
        .map(|der| block("CERTIFICATE", der).as_str().to_owned())
        .collect()
}

/// Reads all `CERTIFICATE` blocks of a text, in order.
///
/// # Errors
/// [`CertError::Pem`] where a block is malformed or there is none.
pub fn certificates_from_pem(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, CertError> {
    let refuse = |rule: String| CertError::Pem {
        rule,
        expected: "CERTIFICATE",
    };
    let chain: Vec<_> = CertificateDer::pem_slice_iter(text)
        .collect::<Result<_, _>>()
        .map_err(|error| refuse(error.to_string()))?;
    if chain.is_empty() {
        return Err(refuse("there is no certificate in it".to_owned()));
    }
    Ok(chain)
}

/// Writes a PKCS#8 key as a `PRIVATE KEY` block.
pub fn key_to_pem(pkcs8: &[u8]) -> Zeroizing<String> {
    block("PRIVATE KEY", pkcs8)
}

/// Reads the first `PRIVATE KEY` block of a text; yields PKCS#8 DER.
///
/// # Errors
/// [`CertError::Pem`] where there is none or it is malformed.
pub fn key_from_pem(text: &[u8]) -> Result<Zeroizing<Vec<u8>>, CertError> {
    let mut key = PrivatePkcs8KeyDer::from_pem_slice(text).map_err(|error| CertError::Pem {
        rule: error.to_string(),
        expected: "PRIVATE KEY",
    })?;
    let pkcs8 = Zeroizing::new(key.secret_pkcs8_der().to_vec());
    key.zeroize();
    Ok(pkcs8)
}

/// Writes a signing request (PKCS#10, DER) as a `CERTIFICATE REQUEST` block.
pub fn request_to_pem(der: &[u8]) -> String {
    block("CERTIFICATE REQUEST", der).as_str().to_owned()
}

/// Reads the first `CERTIFICATE REQUEST` block of a text; yields DER.
///
/// # Errors
/// [`CertError::Pem`] where there is none or it is malformed.
pub fn request_from_pem(text: &[u8]) -> Result<Vec<u8>, CertError> {
    let request = CertificateSigningRequestDer::from_pem_slice(text).map_err(|error| CertError::Pem {
        rule: error.to_string(),
        expected: "CERTIFICATE REQUEST",
    })?;
    Ok(request.to_vec())
}

fn block(label: &str, der: &[u8]) -> Zeroizing<String> {
    let encoded = Zeroizing::new(STANDARD.encode(der));
    // The exact capacity, so that growing leaves no copy of a key behind.
    let lines = encoded.len().div_ceil(LINE_CHARS);
    let mut text = Zeroizing::new(String::with_capacity(encoded.len() + lines + 2 * (label.len() + 17)));
    text.push_str("-----BEGIN ");
    text.push_str(label);
    text.push_str("-----\n");
    for (place, char) in encoded.chars().enumerate() {
        if place > 0 && place % LINE_CHARS == 0 {
            text.push('\n');
        }
        text.push(char);
    }
    text.push_str("\n-----END ");
    text.push_str(label);
    text.push_str("-----\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let first = vec![1u8; 200];
        let second = vec![2u8; 48];
        let text = certificates_to_pem([first.as_slice(), second.as_slice()]);
        let read = certificates_from_pem(text.as_bytes()).unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!(read[0].as_ref(), first);
        assert_eq!(read[1].as_ref(), second);
        assert!(text.lines().all(|line| line.len() <= LINE_CHARS));
        let key = key_to_pem(&first);
        assert_eq!(key_from_pem(key.as_bytes()).unwrap().as_slice(), first);
        let request = request_to_pem(&second);
        assert_eq!(request_from_pem(request.as_bytes()).unwrap(), second);
        assert!(request_from_pem(text.as_bytes()).is_err());
    }

    #[test]
    fn other_text_is_refused() {
        assert!(certificates_from_pem(b"").is_err());
        assert!(certificates_from_pem(b"-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n").is_err());
        assert!(certificates_from_pem(b"-----BEGIN CERTIFICATE-----\nAAAA\n").is_err());
        assert!(key_from_pem(certificates_to_pem([[0u8; 8].as_slice()]).as_bytes()).is_err());
    }
}
