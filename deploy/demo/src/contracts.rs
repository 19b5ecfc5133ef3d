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

#[cfg(test)]
mod tests {
    use super::*;
    use jisr_proto::annotations::ServiceSchema;

    #[test]
    fn every_contract_can_be_published() {
        for contract in ALL {
            let schema = ServiceSchema::parse(contract.schema, contract.service).unwrap();
            schema
                .check_classified()
                .unwrap_or_else(|e| panic!("{}: {e}", contract.service));
            schema.titles("", "").unwrap();
        }
    }

    #[test]
    fn only_the_renewal_has_effects_and_only_clearance_answers_in_one_size() {
        for contract in ALL {
            let schema = ServiceSchema::parse(contract.schema, contract.service).unwrap();
            for (name, method) in schema.methods() {
                let path = format!("{}/{name}", contract.service);
                assert_eq!(
                    method.no_side_effects,
                    path != "jo.labour.v1.WorkPermits/Renew",
                    "{path}"
                );
                assert_eq!(method.one_size, contract.service == CLEARANCE.service, "{path}");
            }
        }
    }

    #[test]
    fn every_get_has_a_check_beside_it() {
        for contract in ALL {
            let schema = ServiceSchema::parse(contract.schema, contract.service).unwrap();
            let has = |prefix: &str| schema.methods().any(|(name, _)| name.starts_with(prefix));
            assert!(!has("Get") || has("Check"), "{}", contract.service);
        }
    }

    #[test]
    fn every_part_is_explained_in_both_languages() {
        for (path, text) in SOURCES.into_iter().filter(|(path, _)| path.starts_with("jo/")) {
            let mut comment = String::new();
            for line in text.lines().map(str::trim) {
                if let Some(words) = line.strip_prefix("//") {
                    comment.push_str(words);
                    continue;
                }
                let declares = ["message ", "enum ", "service ", "rpc ", "oneof "]
                    .iter()
                    .any(|w| line.starts_with(w));
                if declares || (line.contains(" = ") && !line.starts_with("option")) {
                    let arabic = comment.chars().any(|c| ('\u{621}'..='\u{64a}').contains(&c));
                    assert!(
                        arabic && comment.chars().any(|c| c.is_ascii_alphabetic()),
                        "{path}: {line}"
                    );
                }
                comment.clear();
            }
        }
    }
}
