//! Why a time-stamp is not believed, or was not given.

/// A rule that a time-stamp breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StampRule {
    /// Not DER of the shape that RFC 3161 and RFC 5652 give it, or too long.
    Malformed,
    /// The authority did not grant it.
    Status,
    /// A digest or signature algorithm that is not accepted.
    Algorithm,
    /// It is over other bytes.
    Imprint,
    /// It does not answer this request.
    Nonce,
    /// It was made under another policy than the one asked for.
    Policy,
    /// Not exactly one signer, or one that does not name its certificate.
    Signer,
    /// The signature does not hold.
    Signature,
    /// The signer's certificate is not one for time-stamps alone.
    Certificate,
    /// Nobody who is trusted vouches for the authority, at the time that the token says.
    Untrusted,
    /// The time that it says cannot be.
    Time,
}

impl StampRule {
    /// What helps.
    #[must_use]
    pub fn remedy(self) -> &'static str {
        match self {
            StampRule::Status => "ask again later, or ask its operator",
            StampRule::Algorithm => "choose an authority that answers SHA-256 requests with ESSCertIDv2 (RFC 5816)",
            StampRule::Certificate => "choose an authority whose certificate is for timeStamping alone, critical",
            StampRule::Untrusted => "name the authority's certificate, or that of its CA, among the trusted ones",
            StampRule::Time => "compare both clocks",
            _ => "ask the authority's operator; choose another authority",
        }
    }
}

/// A time-stamp that is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("time-stamp: {detail} (rule {rule:?}); {}", rule.remedy())]
pub struct StampRefused {
    /// The rule.
    pub rule: StampRule,
    /// How it is broken.
    pub detail: String,
}

/// The refusal.
pub(super) fn refused(rule: StampRule, detail: impl Into<String>) -> StampRefused {
    StampRefused {
        rule,
        detail: detail.into(),
    }
}
