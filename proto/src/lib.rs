//! The contract of a Jisr network: what is said on the wire, and the words for it.
//!
//! - [`statement`], [`snapshot`], [`catalogue`], [`peer`], [`registry`], [`admin`], [`evidence`], [`v1`]: types and stubs generated from
//!   `proto/jisr`; `bytes` fields are [`bytes::Bytes`].
//! - [`mod@print`]: the text of `.proto` files, from their descriptors.
//! - [`listing`]: what stands of a service in the catalogue.
//! - [`search`]: words in Arabic and English, as people type them.
//! - [`canonical`]: the one encoding that each message has; how anything signed or hashed is read.
//! - [`ident`]: identifiers, parsed in one place.
//! - [`reason`]: why something was refused or failed, a closed list.
//! - [`status`]: reasons as `google.rpc.Status`.
//! - [`metadata`]: the `jisr-` metadata of a call, and what of other metadata passes through.
//! - [`annotations`]: what a published schema says, and the persons that a request names.
//! - [`browse`]: what the catalogue answers.
//! - [`exposition`]: numbers for a monitoring system, as text.
//! - [`breaking`]: whether a new version of a schema breaks what was agreed on an old one.
//!
//! Invariants:
//! - No I/O, no clock, no randomness, no runtime, no cryptography: everything here is a function of its arguments.
//! - No input panics, recurses without limit, or allocates more than in proportion to its own size.
//! - A value of a type of [`ident`] or [`metadata::Value`] has been checked; so have bytes that [`canonical`] let pass.
//! - Whatever is refused is refused with the rule that it breaks.

pub mod annotations;
pub mod breaking;
pub mod browse;
pub mod canonical;
pub mod exposition;
mod generated;
pub mod ident;
pub mod listing;
pub mod metadata;
pub mod print;
pub mod reason;
pub mod search;
pub mod status;

mod wire;

use std::sync::OnceLock;

use prost_reflect::DescriptorPool;

pub use generated::jisr::admin::v1 as admin;
pub use generated::jisr::catalogue::v1 as catalogue;
pub use generated::jisr::evidence::v1 as evidence;
pub use generated::jisr::peer::v1 as peer;
pub use generated::jisr::registry::v1 as registry;
pub use generated::jisr::snapshot::v1 as snapshot;
pub use generated::jisr::statement::v1 as statement;
pub use generated::jisr::v1;

/// The serialized `google.protobuf.FileDescriptorSet` of every `jisr.*` file and its imports, custom options included.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/jisr.fds"));

/// The descriptors of [`FILE_DESCRIPTOR_SET`].
pub fn descriptors() -> &'static DescriptorPool {
    static POOL: OnceLock<DescriptorPool> = OnceLock::new();
    POOL.get_or_init(|| DescriptorPool::decode(FILE_DESCRIPTOR_SET).expect("the build made the descriptors"))
}
