//! Types and stubs generated from `proto/jo`. The nesting repeats the protobuf packages, as the generated code expects.

/// Names, documents, dates and codes that all services share.
pub mod common {
    /// First version.
    pub mod v1 {
        tonic::include_proto!("jo.common.v1");
    }
}
/// Who a foreigner is.
pub mod identity {
    /// First version.
    pub mod v1 {
        tonic::include_proto!("jo.identity.v1");
    }
}
/// Residence permits.
pub mod residency {
    /// First version.
    pub mod v1 {
        tonic::include_proto!("jo.residency.v1");
    }
}
/// Movements over the border.
pub mod border {
    /// First version.
    pub mod v1 {
        tonic::include_proto!("jo.border.v1");
    }
}
/// Fitness certificates.
pub mod health {
    /// First version.
    pub mod v1 {
        tonic::include_proto!("jo.health.v1");
    }
}
/// Contributions.
pub mod socialsecurity {
    /// First version.
    pub mod v1 {
        tonic::include_proto!("jo.socialsecurity.v1");
    }
}
/// Companies.
pub mod business {
    /// First version.
    pub mod v1 {
        tonic::include_proto!("jo.business.v1");
    }
}
/// Clearance.
pub mod clearance {
    /// First version.
    pub mod v1 {
        tonic::include_proto!("jo.clearance.v1");
    }
}
/// Work permits.
pub mod labour {
    /// First version.
    pub mod v1 {
        tonic::include_proto!("jo.labour.v1");
    }
}
