//! Types and stubs generated from `proto/jisr`. The nesting repeats the protobuf packages, as the generated code expects.

/// Everything under the protobuf package `jisr`.
#[expect(unused_qualifications, reason = "generated code names everything by its full path")]
#[expect(
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    reason = "generated code brings its own"
)]
#[expect(clippy::too_many_lines, reason = "generated dispatch over methods")]
#[expect(unreachable_pub, reason = "lib.rs re-exports the innermost modules only")]
pub mod jisr {
    /// Package `jisr.v1`: the annotations that publishers write into their schemas.
    pub mod v1 {
        tonic::include_proto!("jisr.v1");
    }
    /// The facts of an exchange.
    pub mod statement {
        /// Package `jisr.statement.v1`.
        pub mod v1 {
            tonic::include_proto!("jisr.statement.v1");
        }
    }
    /// The picture of the network.
    pub mod snapshot {
        /// Package `jisr.snapshot.v1`.
        pub mod v1 {
            tonic::include_proto!("jisr.snapshot.v1");
        }
    }
    /// Which services the network has.
    pub mod catalogue {
        /// Package `jisr.catalogue.v1`.
        pub mod v1 {
            tonic::include_proto!("jisr.catalogue.v1");
        }
    }
    /// What nodes say to each other.
    pub mod peer {
        /// Package `jisr.peer.v1`.
        pub mod v1 {
            tonic::include_proto!("jisr.peer.v1");
        }
    }
    /// What nodes and administrators ask of the registry.
    pub mod registry {
        /// Package `jisr.registry.v1`.
        pub mod v1 {
            tonic::include_proto!("jisr.registry.v1");
        }
    }
    /// The admin door of a node.
    pub mod admin {
        /// Package `jisr.admin.v1`.
        pub mod v1 {
            tonic::include_proto!("jisr.admin.v1");
        }
    }
    /// One file that proves one exchange.
    pub mod evidence {
        /// Package `jisr.evidence.v1`.
        pub mod v1 {
            tonic::include_proto!("jisr.evidence.v1");
        }
    }
}
