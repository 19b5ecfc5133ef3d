//! Who is who: keys, certificate profiles, chains, TLS settings, seal keys.
//!
//! - [`keys`] the key store of one machine, and [`tls_key`], [`seal`], [`officer`], [`administrator`]: one type per use of a key;
//! - [`ed25519`] public keys that are safe to verify with, [`digest`] SHA-256 and the domain digests;
//! - [`csr`] signing requests, [`issue`] the authorities that answer them, [`validity`] for how long;
//! - [`profile`] what a certificate must look like to be believed, [`verified`] the marker of what was checked;
//! - [`stamp`] RFC 3161 time-stamps: asking for them, judging them, the authority that makes them;
//! - [`tls`] settings for every door; [`pem`] the text form of certificates and keys.
//!
//! Invariants:
//! - One key, one use. A key type signs the few texts of its use, which it builds itself; there is no "sign these bytes".
//! - A private key is made here, lies in a file that only its owner reads, and never shows in `Debug`.
//! - A certificate is believed only through [`profile`], which returns [`verified::Verified`] values nobody else can make.
//! - Time is an argument, in microseconds since 1970; nothing here reads a clock.

pub mod administrator;
pub mod csr;
pub mod digest;
pub mod ed25519;
pub mod error;
pub mod issue;
pub mod keys;
pub mod officer;
pub mod pem;
pub mod profile;
pub mod seal;
pub mod stamp;
pub mod tls;
pub mod tls_key;
pub mod validity;
pub mod verified;

mod ca_key;
#[cfg(test)]
mod fixture;
mod note;
mod p256;

pub use error::CertError;
pub use verified::Verified;
