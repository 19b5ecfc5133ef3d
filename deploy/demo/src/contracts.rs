//! What the agencies of the demo network publish: the descriptor set of each service, and the .proto files for integrators.

/// What a publisher hands to its node for one service.
#[derive(Debug, Clone, Copy)]
pub struct Contract {
    /// Full name, for example `jo.residency.v1.ResidencePermits`.
    pub service: &'static str,
    /// Serialized `google.protobuf.FileDescriptorSet` with all imports, options and comments.
    pub schema: &'static [u8],
}

macro_rules! contract {
    ($service:literal, $file:literal) => {
        Contract {
            service: $service,
            schema: include_bytes!(concat!(env!("OUT_DIR"), "/", $file, ".fds")),
        }
    };
}

/// Identity of foreigners.
pub const IDENTITY: Contract = contract!("jo.identity.v1.ForeignerIdentity", "identity");
/// Residence permits.
pub const RESIDENCY: Contract = contract!("jo.residency.v1.ResidencePermits", "residency");
/// Border movements.
pub const BORDER: Contract = contract!("jo.border.v1.Movements", "border");
/// Fitness certificates.
pub const HEALTH: Contract = contract!("jo.health.v1.FitnessCertificates", "health");
/// Social security contributions.
pub const SOCIAL_SECURITY: Contract = contract!("jo.socialsecurity.v1.Contributions", "socialsecurity");
/// Companies.
pub const BUSINESS: Contract = contract!("jo.business.v1.Companies", "business");
/// Clearance.
pub const CLEARANCE: Contract = contract!("jo.clearance.v1.Clearance", "clearance");
/// Work permits.
pub const LABOUR: Contract = contract!("jo.labour.v1.WorkPermits", "labour");

macro_rules! source {
    ($path:literal) => {
        ($path, include_str!(concat!("../../../proto/proto/", $path)))
    };
}

/// Path below `protos/` and text of every .proto file that an integrator needs to generate stubs.
pub const SOURCES: [(&str, &str); 12] = [
    source!("jisr/v1/annotations.proto"),
    source!("jo/common/v1/dates.proto"),
    source!("jo/common/v1/records.proto"),
    source!("jo/common/v1/people.proto"),
    source!("jo/identity/v1/identity.proto"),
    source!("jo/residency/v1/residency.proto"),
    source!("jo/border/v1/movements.proto"),
    source!("jo/health/v1/fitness.proto"),
    source!("jo/socialsecurity/v1/contributions.proto"),
    source!("jo/business/v1/companies.proto"),
    source!("jo/clearance/v1/clearance.proto"),
    source!("jo/labour/v1/work_permits.proto"),
];

/// All contracts.
pub const ALL: [Contract; 8] = [
    IDENTITY,
    RESIDENCY,
    BORDER,
    HEALTH,
    SOCIAL_SECURITY,
    BUSINESS,
    CLEARANCE,
    LABOUR,
];
