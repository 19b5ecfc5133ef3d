//! The authorities: the registry's root and issuing authority, and each member's local one.
//!
//! What stands in a certificate is imposed here, never taken from a request (docs/formats.md, Certificates).

mod authority;
mod local;
mod registry;
mod template;

pub use local::{Credential, LocalCa};
pub use registry::{Issuing, Root};

#[cfg(test)]
mod tests;
