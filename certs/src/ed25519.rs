//! Ed25519 public keys: cofactorless RFC 8032 with S < L, without small-order and non-canonical keys.
//!
//! A key of small order verifies signatures that nobody made, and a point with two encodings is one key under two names. ring
//! accepts both, so a key is looked at once when it is parsed, and verification exists only on what was looked at.

use curve25519_dalek::edwards::CompressedEdwardsY;
use ring::signature::{ED25519, UnparsedPublicKey};

use crate::error::CertError;

/// Bytes of a signature: R ‖ S.
pub const SIGNATURE_BYTES: usize = 64;

/// A public key that is a canonical encoding of a point whose order is not small.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// Takes the 32 bytes of RFC 8032, section 5.1.5.
    ///
    /// # Errors
    /// [`CertError::WeakKey`] for bytes that are no point of the curve, not its canonical encoding, or a point of small order.
    pub fn from_raw(raw: [u8; 32]) -> Result<PublicKey, CertError> {
        let Some(point) = CompressedEdwardsY(raw).decompress() else {
            return Err(CertError::WeakKey("the bytes are no point of the curve"));
        };
        if !is_reduced(&raw) {
            return Err(CertError::WeakKey("the encoding of the point is not canonical"));
        }
        // Besides, only the sign of an x of 0 could be written in two ways, and the points with that have small order.
        if point.is_small_order() {
            return Err(CertError::WeakKey("the point has small order"));
        }
        Ok(PublicKey(raw))
    }

    /// Like [`PublicKey::from_raw`], for bytes whose length is not known yet.
    ///
    /// # Errors
    /// [`CertError::WeakKey`], also for another length than 32.
    pub fn from_slice(raw: &[u8]) -> Result<PublicKey, CertError> {
        match raw.try_into() {
            Ok(raw) => PublicKey::from_raw(raw),
            Err(_) => Err(CertError::WeakKey("the key is not 32 bytes long")),
        }
    }

    /// The 32 bytes of the encoded point.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Verifies a signature (R ‖ S, 64 bytes) over the message.
    ///
    /// # Errors
    /// [`CertError::Signature`] where it is not this key's signature over this message.
    #[expect(
        clippy::disallowed_methods,
        reason = "the key was checked for small order and canonical form above"
    )]
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), CertError> {
        UnparsedPublicKey::new(&ED25519, &self.0)
            .verify(message, signature)
            .map_err(|_| CertError::Signature)
    }
}

/// Whether the y of an encoded point is below p = 2^255 - 19.
fn is_reduced(raw: &[u8; 32]) -> bool {
    let [lowest, middle @ .., highest] = raw;
    highest & 0x7f != 0x7f || middle.iter().any(|byte| *byte != 0xff) || *lowest < 0xed
}

impl std::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ed25519:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use ring::signature::{Ed25519KeyPair, KeyPair};

    use super::*;

    fn pair() -> Ed25519KeyPair {
        Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap()
    }

    fn hex(text: &str) -> [u8; 32] {
        let bytes: Vec<u8> = (0..32)
            .map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap())
            .collect();
        bytes.try_into().unwrap()
    }

    #[test]
    fn a_good_key_verifies_its_signature_only() {
        let pair = pair();
        let key = PublicKey::from_slice(pair.public_key().as_ref()).unwrap();
        let signature = pair.sign(b"message");
        assert!(key.verify(b"message", signature.as_ref()).is_ok());
        assert!(key.verify(b"massage", signature.as_ref()).is_err());
        assert!(key.verify(b"message", &signature.as_ref()[..63]).is_err());
        assert!(key.verify(b"message", &[]).is_err());
    }

    #[test]
    fn s_is_below_the_order() {
        // S + L satisfies the equation as well as S; a verifier that took both would let anybody alter signatures.
        let order = hex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
        let pair = pair();
        let key = PublicKey::from_slice(pair.public_key().as_ref()).unwrap();
        let mut signature: [u8; 64] = pair.sign(b"m").as_ref().try_into().unwrap();
        let mut carry = 0u16;
        for (byte, add) in signature[32..].iter_mut().zip(order) {
            carry += u16::from(*byte) + u16::from(add);
            *byte = carry.to_le_bytes()[0];
            carry >>= 8;
        }
        assert!(key.verify(b"m", &signature).is_err());
    }

    #[test]
    fn an_encoding_is_canonical_where_the_point_is_encoded_the_same_way() {
        let mut encodings = Vec::new();
        for low in 0..=255 {
            for high in [0x7f, 0xff] {
                let mut raw = [0xff; 32];
                (raw[0], raw[31]) = (low, high);
                encodings.push(raw);
            }
            let mut raw = [low; 32];
            raw[31] &= 0x7f;
            encodings.push(raw);
        }
        for raw in encodings {
            let Some(point) = CompressedEdwardsY(raw).decompress() else {
                continue;
            };
            let is_good = point.compress().0 == raw && !point.is_small_order();
            assert_eq!(PublicKey::from_raw(raw).is_ok(), is_good, "{raw:02x?}");
        }
    }

    #[test]
    fn small_order_and_non_canonical_keys_are_refused() {
        for text in [
            "0100000000000000000000000000000000000000000000000000000000000000", // the neutral element
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // order 2
            "0000000000000000000000000000000000000000000000000000000000000000", // order 4
            "0000000000000000000000000000000000000000000000000000000000000080", // order 4
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05", // order 8
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a", // order 8
            "0100000000000000000000000000000000000000000000000000000000000080", // neutral element, sign bit set
            "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // y = p + 1
            "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // y = p
            "f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // y = p + 3, a point of large order
        ] {
            assert!(
                matches!(PublicKey::from_raw(hex(text)), Err(CertError::WeakKey(_))),
                "{text}"
            );
        }
        assert!(PublicKey::from_slice(&[1; 31]).is_err());
    }
}
