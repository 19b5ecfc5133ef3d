//! SHA-256 (FIPS 180-4) and the domain digests of docs/formats.md, Conventions.

use ring::digest::{Context, SHA256};

/// A SHA-256 digest.
pub type Hash = [u8; 32];

/// Version of the domain digest format.
const VERSION: u8 = 1;

/// SHA-256 over the parts, one after the other.
pub fn sha256(parts: &[&[u8]]) -> Hash {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(part);
    }
    finish(context)
}

/// Domain digest `SHA-256(name ‖ 0x01 ‖ bytes)` over the parts, one after the other.
pub fn domain(name: &str, parts: &[&[u8]]) -> Hash {
    let mut context = Context::new(&SHA256);
    context.update(name.as_bytes());
    context.update(&[VERSION]);
    for part in parts {
        context.update(part);
    }
    finish(context)
}

fn finish(context: Context) -> Hash {
    context.finish().as_ref().try_into().expect("SHA-256 yields 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_joined() {
        let empty = sha256(&[]);
        assert_eq!(empty[..4], [0xe3, 0xb0, 0xc4, 0x42]);
        assert_eq!(sha256(&[b"ab", b"c"]), sha256(&[b"abc"]));
        assert_eq!(sha256(&[b"abc"])[..4], [0xba, 0x78, 0x16, 0xbf]);
    }

    #[test]
    fn a_domain_is_its_name_and_version() {
        assert_eq!(domain("jisr.payload", &[b"x", b"y"]), sha256(&[b"jisr.payload\x01xy"]));
        assert_ne!(domain("jisr.payload", &[b"x"]), domain("jisr.schema", &[b"x"]));
    }
}
