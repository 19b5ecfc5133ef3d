//! The contract of a Jisr network.

pub mod annotations;
pub mod canonical;
mod generated;
pub mod ident;
pub mod metadata;
pub mod reason;
pub mod status;

mod wire;

use std::sync::OnceLock;

use prost_reflect::DescriptorPool;

pub use generated::jisr::admin::v1 as admin;
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
