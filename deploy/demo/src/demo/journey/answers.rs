//! What the Ministry of Labour reads in the answers.

use crate::jo::business::v1::{CompaniesCheckStatusResponse, CompanyStatus};
use crate::jo::clearance::v1::{CheckResponse as ClearanceResponse, Outcome};
use crate::jo::common::v1::Date;
use crate::jo::health::v1::{CertificateStanding, CheckResponse as FitnessResponse};
use crate::jo::residency::v1::{CheckStatusResponse, PermitStatus};
use crate::jo::socialsecurity::v1::SummaryResponse;

/// Unpaid months of the last twelve that are let pass.
const UNPAID_MAX: u32 = 1;

/// An answer in words, and whether it stands in the way of a renewal.
pub(super) struct Finding {
    pub(super) text: String,
    pub(super) obstacle: Option<String>,
}

impl Finding {
    pub(super) fn good(text: String) -> Self {
        Self { text, obstacle: None }
    }

    pub(super) fn bad(text: String) -> Self {
        Self {
            obstacle: Some(text.clone()),
            text,
        }
    }

    fn of(text: String, good: bool) -> Self {
        if good { Self::good(text) } else { Self::bad(text) }
    }
}

pub(super) fn residence(answer: &CheckStatusResponse) -> Finding {
    let word = match answer.status() {
        PermitStatus::Valid => "valid",
        PermitStatus::Expired => "expired",
        PermitStatus::Cancelled => "cancelled",
        PermitStatus::None | PermitStatus::Unspecified => "none",
    };
    let text = format!("residence {word}{}", until(answer.valid_until.as_ref()));
    Finding::of(text, answer.status() == PermitStatus::Valid)
}

pub(super) fn fitness(answer: &FitnessResponse) -> Finding {
    let word = match answer.standing() {
        CertificateStanding::InForce => "in force",
        CertificateStanding::Expired => "expired",
        CertificateStanding::NotHeld | CertificateStanding::Unspecified => "not held",
    };
    let text = format!("certificate {word}{}", until(answer.valid_until.as_ref()));
    Finding::of(text, answer.standing() == CertificateStanding::InForce)
}

pub(super) fn contributions(answer: &SummaryResponse) -> Finding {
    let SummaryResponse {
        months_paid,
        months_missing,
        ..
    } = answer;
    let text = format!("{months_paid} months paid, {months_missing} missing");
    Finding::of(text, *months_missing <= UNPAID_MAX)
}

pub(super) fn company(answer: &CompaniesCheckStatusResponse) -> Finding {
    let word = match answer.status() {
        CompanyStatus::Active => "active",
        CompanyStatus::Suspended => "suspended",
        CompanyStatus::InLiquidation => "in liquidation",
        CompanyStatus::StruckOff => "struck off",
        CompanyStatus::Unspecified => "of no known status",
    };
    Finding::of(format!("employer {word}"), answer.status() == CompanyStatus::Active)
}

pub(super) fn clearance(answer: &ClearanceResponse) -> Finding {
    match answer.outcome() {
        Outcome::Clear => Finding::good("clear".to_owned()),
        Outcome::Refer | Outcome::Unspecified => Finding::bad("referred".to_owned()),
    }
}

fn until(day: Option<&Date>) -> String {
    day.map(|d| format!(", {:04}-{:02}-{:02}", d.year, d.month, d.day))
        .unwrap_or_default()
}
