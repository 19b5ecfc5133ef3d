//! Time-stamps (RFC 3161, with ESSCertIDv2 of RFC 5816): what an authority outside says about when some bytes existed.
//!
//! - [`Query`] asks and takes the answer; [`verify`] judges a token by itself, under a [`Trust`];
//! - [`StampAuthority`] is the built-in authority, for networks that have none; [`StampKey`] its key.
//!
//! All of it is pure: whoever uses it carries the bytes, and says what time it is. A token is over a SHA-256 digest, signed once, by an
//! authority whose certificate is for time-stamps alone.

mod asn1;
mod authority;
mod build;
mod key;
mod query;
mod refused;
mod token;
mod trust;
mod verify;

pub use authority::{ACCURACY_US, StampAuthority};
pub use key::StampKey;
pub use query::Query;
pub use refused::{StampRefused, StampRule};
pub use trust::Trust;
pub use verify::{Stamped, verify};

/// Longest token that is read, bytes.
pub const TOKEN_BYTES_MAX: usize = 16 << 10;
/// Longest request that is read, bytes.
pub const QUERY_BYTES_MAX: usize = 1 << 10;
/// Longest response that is read, bytes.
pub const ANSWER_BYTES_MAX: usize = TOKEN_BYTES_MAX + 1024;
/// Content type of a request over HTTP (RFC 3161, section 3.4).
pub const QUERY_TYPE: &str = "application/timestamp-query";
/// Content type of a response over HTTP.
pub const ANSWER_TYPE: &str = "application/timestamp-reply";

#[cfg(test)]
mod tests;
