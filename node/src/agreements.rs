//! The closet that says what is allowed: deny by default, the agreement is the right.

use std::sync::Arc;

use jisr_certs::digest::Hash;
use jisr_proto::ident::{MethodPath, SubsystemId};
use jisr_proto::reason::Reason;
use jisr_proto::status::Fault;

use crate::directory::{self, AgreementRow, View};

/// Who wants to ask whom for what, and on which basis.
#[derive(Debug)]
pub(crate) struct Wanted<'a> {
    /// Consumer subsystem.
    pub consumer: &'a SubsystemId,
    /// Provider subsystem.
    pub provider: &'a SubsystemId,
    /// Service and method.
    pub path: &'a MethodPath,
    /// Purpose code.
    pub purpose: &'a str,
    /// A consent reference came along.
    pub consent: bool,
    /// A legal-duty reference came along.
    pub duty: bool,
}

/// Proof that an agreement allows an exchange. Only [`permit`] and [`permit_cited`] make one, and no step that touches
/// the exchange can be called without it.
#[derive(Debug, Clone)]
pub(crate) struct Permit {
    agreement: Arc<AgreementRow>,
    schema: Hash,
    mask: String,
    no_side_effects: bool,
    high: bool,
}

impl Permit {
    /// Digest of the agreement.
    pub(crate) fn agreement(&self) -> &Hash {
        &self.agreement.digest
    }

    /// Digest of the schema the agreement pins.
    pub(crate) fn schema(&self) -> &Hash {
        &self.schema
    }

    /// Field mask in force.
    pub(crate) fn mask(&self) -> &str {
        &self.mask
    }

    /// The agreement pins the highest evidence class for the method.
    pub(crate) fn is_high(&self) -> bool {
        self.high
    }

    /// The method has no side effects, as the agreement pins it.
    pub(crate) fn no_side_effects(&self) -> bool {
        self.no_side_effects
    }
}

/// Why something is not allowed. A denial by right is sealed.
pub(crate) type Denied = Fault;

/// Looks for an agreement that allows what is wanted. Where none does, the denial is the one of the agreement that came
/// nearest, since that is what the operator will want to know.
pub(crate) fn permit(view: &View, wanted: &Wanted<'_>, now_us: u64) -> Result<Permit, Denied> {
    let mut nearest: Option<(u8, Denied)> = None;
    for agreement in view
        .agreements_of(wanted.consumer)
        .iter()
        .filter(|row| row.provider == *wanted.provider)
    {
        match check(view, agreement, wanted, now_us) {
            Ok(permit) => return Ok(permit),
            Err((rank, denied)) if nearest.as_ref().is_none_or(|(best, _)| rank > *best) => {
                nearest = Some((rank, denied));
            }
            Err(_) => {}
        }
    }
    Err(nearest.map_or_else(
        || {
            let detail = format!(
                "{} has no agreement with {} in snapshot {}",
                wanted.consumer, wanted.provider, view.version
            );
            Fault::new(Reason::NoAgreement, detail)
        },
        |(_, denied)| denied,
    ))
}

/// Checks the one agreement that a question cites.
pub(crate) fn permit_cited(view: &View, cited: &[u8], wanted: &Wanted<'_>, now_us: u64) -> Result<Permit, Denied> {
    let Some(agreement) = view.agreement(wanted.consumer, cited) else {
        let detail = format!(
            "the agreement cited by {} does not stand in snapshot {}",
            wanted.consumer, view.version
        );
        return Err(Fault::new(Reason::AgreementRevoked, detail));
    };
    if agreement.provider != *wanted.provider {
        let detail = format!(
            "the agreement cited is with {}, not with {}",
            agreement.provider, wanted.provider
        );
        return Err(Fault::new(Reason::NoAgreement, detail));
    }
    check(view, agreement, wanted, now_us).map_err(|(_, denied)| denied)
}

/// One agreement against what is wanted. The number grows with the number of rules that held.
fn check(view: &View, row: &Arc<AgreementRow>, wanted: &Wanted<'_>, now_us: u64) -> Result<Permit, (u8, Denied)> {
    let agreed = row
        .method(&wanted.path.service, wanted.path.method.as_str())
        .ok_or_else(|| {
            let detail = format!(
                "the agreement of {} with {} does not name {}",
                row.consumer, row.provider, wanted.path
            );
            (0, Fault::new(Reason::MethodNotAgreed, detail))
        })?;
    check_validity(row, wanted, now_us).map_err(|denied| (1, denied))?;
    let schema = schema(view, row, wanted, &agreed.schema).map_err(|denied| (2, denied))?;
    check_purpose(row, wanted).map_err(|denied| (3, denied))?;
    check_basis(row, wanted).map_err(|denied| (4, denied))?;
    if agreed.mask != "*" {
        let detail = format!("the agreement asks for the mask `{}`", agreed.mask);
        return Err((4, Fault::new(Reason::MaskUnsupported, detail)));
    }
    Ok(Permit {
        agreement: Arc::clone(row),
        schema,
        mask: agreed.mask.clone(),
        no_side_effects: agreed.no_side_effects,
        high: directory::is_high(agreed),
    })
}

fn check_validity(row: &AgreementRow, wanted: &Wanted<'_>, now_us: u64) -> Result<(), Denied> {
    if now_us < row.document.valid_from_us {
        let detail = format!("the agreement on {} begins later", wanted.path);
        return Err(Fault::new(Reason::AgreementNotYetValid, detail));
    }
    if now_us > row.document.valid_until_us {
        let detail = format!("the agreement on {} has run out", wanted.path);
        return Err(Fault::new(Reason::AgreementExpired, detail));
    }
    Ok(())
}

/// The schema that was agreed on: it must be the published one, or one that this continues.
fn schema(view: &View, row: &AgreementRow, wanted: &Wanted<'_>, agreed: &[u8]) -> Result<Hash, Denied> {
    let mut publishers = view.publishers(&wanted.path.service).iter();
    let published = publishers.find(|service| service.provider == row.provider);
    published
        .filter(|service| service.row.holds(agreed))
        .and_then(|_| agreed.try_into().ok())
        .ok_or_else(|| {
            let detail = format!("{} is published with another schema than agreed", wanted.path.service);
            Fault::new(Reason::SchemaChanged, detail)
        })
}

fn check_purpose(row: &AgreementRow, wanted: &Wanted<'_>) -> Result<(), Denied> {
    if row
        .document
        .purposes
        .iter()
        .any(|purpose| purpose.code == wanted.purpose)
    {
        return Ok(());
    }
    let detail = format!(
        "the purpose `{}` does not stand in the agreement on {}",
        wanted.purpose, wanted.path
    );
    Err(Fault::new(Reason::PurposeNotAgreed, detail))
}

/// What the law asks of the consumer beside the agreement: public bodies name a legal duty, everybody else a consent.
fn check_basis(row: &AgreementRow, wanted: &Wanted<'_>) -> Result<(), Denied> {
    let public_body = wanted.consumer.member().class() == "GOV";
    if (row.document.consent_required || !public_body) && !wanted.consent {
        let detail = format!("{} needs a consent reference to call {}", wanted.consumer, wanted.path);
        return Err(Fault::new(Reason::ConsentMissing, detail));
    }
    if public_body && !wanted.duty {
        let detail = format!(
            "{} needs a legal-duty reference to call {}",
            wanted.consumer, wanted.path
        );
        return Err(Fault::new(Reason::DutyMissing, detail));
    }
    Ok(())
}
