//! Why a certificate is not believed.

/// A rule of the profiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Not one DER certificate of version 3, or an extension in it that cannot be read or appears twice.
    Malformed,
    /// Serial number not positive or longer than 20 octets.
    Serial,
    /// Not signed with ECDSA P-256 and SHA-256.
    SignatureAlgorithm,
    /// Key of another kind than the profile's, or a weak one.
    Key,
    /// Its time has not come.
    NotYetValid,
    /// Its time has passed.
    Expired,
    /// keyUsage absent, not critical, or other bits than the profile's.
    KeyUsage,
    /// extKeyUsage is not exactly the profile's set.
    ExtendedKeyUsage,
    /// A leaf with the CA bit, or an authority without it or with another path length.
    BasicConstraints,
    /// subjectAltName is not what the profile says.
    SubjectAltName,
    /// A critical extension that no profile has.
    CriticalExtension,
    /// The certificates do not lead to the authority that is trusted.
    Chain,
    /// Another one than expected.
    Identity,
    /// Not listed by the registry for the one it names.
    NotListed,
}

impl Rule {
    /// What helps.
    pub fn remedy(self) -> &'static str {
        match self {
            Rule::NotYetValid => "compare both clocks",
            Rule::Expired => "its owner renews it; compare both clocks",
            Rule::Chain => "its owner sends the issuing authority's certificate along; check the root fingerprint",
            Rule::Identity => "check the address: another party answers there",
            Rule::NotListed => "its owner enrols again, or waits until the registry's snapshot lists it",
            _ => "its owner has it issued again by the authority of this network",
        }
    }
}

/// A certificate that breaks its profile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{profile}: {detail} (rule {rule:?}); {}", rule.remedy())]
pub struct Refused {
    /// What it should have been, for example `node TLS certificate`.
    pub profile: &'static str,
    /// The rule that it breaks.
    pub rule: Rule,
    /// How.
    pub detail: String,
}
