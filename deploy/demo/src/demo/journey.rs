//! The renewal of work permits: for each person the Ministry of Labour's application asks five agencies, all through the
//! ministry's own node, and then decides. One question is asked that no agreement allows.

mod answers;
mod ask;

use tonic::transport::Channel;

use crate::agency::Agency;
use crate::jo::business::v1::CompaniesCheckStatusRequest;
use crate::jo::business::v1::companies_client::CompaniesClient;
use crate::jo::clearance::v1::CheckRequest as ClearanceRequest;
use crate::jo::clearance::v1::clearance_client::ClearanceClient;
use crate::jo::common::v1::{PersonRef, person_ref::Reference};
use crate::jo::health::v1::CheckRequest as FitnessRequest;
use crate::jo::health::v1::fitness_certificates_client::FitnessCertificatesClient;
use crate::jo::residency::v1::residence_permits_client::ResidencePermitsClient;
use crate::jo::residency::v1::{CheckStatusRequest, GetPermitRequest};
use crate::jo::socialsecurity::v1::SummaryRequest;
use crate::jo::socialsecurity::v1::contributions_client::ContributionsClient;
use crate::world::Scene;

use super::DemoError;
use super::door;
use super::layout::Layout;
use super::network::Network;
use super::screen;

use answers::Finding;
use ask::Question;
pub(super) use ask::{DUTY, Exchange, Outcome};

/// What was asked about one person, and what follows.
pub(super) struct Renewal {
    pub(super) scene: Scene,
    /// The five questions.
    pub(super) exchanges: Vec<Exchange>,
    /// Why the permit is not renewed; empty if it is.
    pub(super) obstacles: Vec<String>,
}

/// All that was asked.
pub(super) struct Journey {
    pub(super) renewals: Vec<Renewal>,
    /// The question that no agreement allows.
    pub(super) forbidden: Exchange,
}

impl Journey {
    /// Every exchange in the order of asking.
    pub(super) fn exchanges(&self) -> impl Iterator<Item = &Exchange> {
        self.renewals
            .iter()
            .flat_map(|renewal| &renewal.exchanges)
            .chain([&self.forbidden])
    }
}

/// Asks about these people, in cases of this year.
pub(super) async fn travel(
    layout: &Layout,
    network: &Network,
    cast: Vec<Scene>,
    year: i32,
) -> Result<Journey, DemoError> {
    let address = network.node(Agency::Mol)?.local.to_string();
    let channel = door::open(layout, Agency::Mol, &address).await?;
    let mut renewals = Vec::new();
    for (place, scene) in cast.into_iter().enumerate() {
        let case = format!("{year}/{}", place + 1);
        let step = screen::step(&format!("renewal of {}: five agencies are asked", scene.permit.number));
        renewals.push(renew(&channel, scene, &case).await);
        step.done();
    }
    let about = renewals.first().ok_or(DemoError::Nobody)?;
    let step = screen::step("a question that no agreement allows");
    let forbidden = ask_for_the_record(&channel, &about.scene).await;
    step.done();
    Ok(Journey { renewals, forbidden })
}

/// The five questions about one person, asked at once.
async fn renew(channel: &Channel, scene: Scene, case: &str) -> Renewal {
    let (residence, fitness, contributions, company, clearance) = tokio::join!(
        ask_residence(channel, &scene, case),
        ask_fitness(channel, &scene, case),
        ask_contributions(channel, &scene, case),
        ask_company(channel, &scene, case),
        ask_clearance(channel, &scene, case),
    );
    let answered = [residence, fitness, contributions, company, clearance];
    let obstacles = answered
        .iter()
        .filter_map(|(_, finding)| finding.obstacle.clone())
        .collect();
    let exchanges = answered.into_iter().map(|(exchange, _)| exchange).collect();
    Renewal {
        scene,
        exchanges,
        obstacles,
    }
}

fn person(scene: &Scene) -> Option<PersonRef> {
    Some(PersonRef {
        reference: Some(Reference::PersonalNumber(scene.person.number.clone())),
    })
}

async fn ask_residence(channel: &Channel, scene: &Scene, case: &str) -> (Exchange, Finding) {
    let question = Question {
        provider: Agency::Psd,
        method: "jo.residency.v1.ResidencePermits/CheckStatus",
        case,
    };
    let request = question.request(CheckStatusRequest { person: person(scene) });
    let mut client = ResidencePermitsClient::new(channel.clone());
    question.answered(client.check_status(request).await, answers::residence)
}

async fn ask_fitness(channel: &Channel, scene: &Scene, case: &str) -> (Exchange, Finding) {
    let question = Question {
        provider: Agency::Moh,
        method: "jo.health.v1.FitnessCertificates/Check",
        case,
    };
    let request = question.request(FitnessRequest { person: person(scene) });
    let mut client = FitnessCertificatesClient::new(channel.clone());
    question.answered(client.check(request).await, answers::fitness)
}

async fn ask_contributions(channel: &Channel, scene: &Scene, case: &str) -> (Exchange, Finding) {
    let question = Question {
        provider: Agency::Ssc,
        method: "jo.socialsecurity.v1.Contributions/Summary",
        case,
    };
    let request = question.request(SummaryRequest {
        person: person(scene),
        months: 12,
    });
    let mut client = ContributionsClient::new(channel.clone());
    question.answered(client.summary(request).await, answers::contributions)
}

async fn ask_company(channel: &Channel, scene: &Scene, case: &str) -> (Exchange, Finding) {
    let question = Question {
        provider: Agency::Ccd,
        method: "jo.business.v1.Companies/CheckStatus",
        case,
    };
    let request = question.request(CompaniesCheckStatusRequest {
        company_number: scene.company_number.clone(),
    });
    let mut client = CompaniesClient::new(channel.clone());
    question.answered(client.check_status(request).await, answers::company)
}

async fn ask_clearance(channel: &Channel, scene: &Scene, case: &str) -> (Exchange, Finding) {
    let question = Question {
        provider: Agency::Gid,
        method: "jo.clearance.v1.Clearance/Check",
        case,
    };
    let request = question.request(ClearanceRequest {
        person: person(scene),
        born: None,
    });
    let mut client = ClearanceClient::new(channel.clone());
    question.answered(client.check(request).await, answers::clearance)
}

/// The ministry may ask whether a permit is valid, but not for the permit itself.
async fn ask_for_the_record(channel: &Channel, scene: &Scene) -> Exchange {
    let method = "jo.residency.v1.ResidencePermits/GetPermit";
    let question = Question {
        provider: Agency::Psd,
        method,
        case: "0/0",
    };
    let request = question.request(GetPermitRequest { person: person(scene) });
    let mut client = ResidencePermitsClient::new(channel.clone());
    question
        .answered(client.get_permit(request).await, |_| {
            Finding::good("the whole permit".to_owned())
        })
        .0
}
