//! What a certificate must look like to be believed (docs/formats.md, Certificates).
//!
//! Path building, names and signatures are rustls-webpki's. It accepts more than a closed network should (a leaf without
//! extended key usage, an expired root, a leaf that may sign certificates), so every certificate of a path must also have exactly the
//! shape of its profile. Time is an argument.

mod authority;
mod chain;
mod key;
mod leaf;
mod refused;
mod shape;

pub use authority::{Authority, check_issuing, check_local_ca, check_root, root_by_fingerprint};
pub use leaf::{
    Administrator, Client, NodeTls, Officer, RegistryTls, SealCertificate, check_administrator, check_client,
    check_node_tls, check_officer, check_registry_tls, check_seal, check_seal_under, named_administrator,
};
pub use refused::{Refused, Rule};

pub(crate) use key::{KeyKind, holds_key, public_key};
pub(crate) use leaf::{check_time_stamp, client_identity, node_identity, refuse_node};

#[cfg(test)]
mod tests;
