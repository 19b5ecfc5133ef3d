//! The backends answer as the world says, over real connections.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

use std::net::SocketAddr;

use jisr_demo::agency::Agency;
use jisr_demo::backend::{self, Options};
use jisr_demo::jo::business::v1 as business;
use jisr_demo::jo::clearance::v1 as clearance;
use jisr_demo::jo::common::v1::{PartialDate, PersonRef, TravelDocument, person_ref::Reference};
use jisr_demo::jo::health::v1 as health;
use jisr_demo::jo::identity::v1 as identity;
use jisr_demo::jo::labour::v1 as labour;
use jisr_demo::jo::residency::v1 as residency;
use jisr_demo::jo::socialsecurity::v1 as socialsecurity;
use jisr_demo::world::{Clearance, CompanyState, Known, Person, Residence, Standing, World};
use prost::Message;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request};

const WORLD: World = World {
    seed: 11,
    people: 1_500,
    today: time::macros::date!(2026 - 11 - 23),
};

/// A backend with its database, and a connection to it.
struct Running {
    channel: Channel,
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
    _dir: tempfile::TempDir,
}

impl Running {
    async fn start(agency: Agency) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let options = Options {
            database: dir.path().join("register.db"),
            world: WORLD,
        };
        let server = tokio::spawn(async move {
            let shutdown = async { drop(stopped.await) };
            backend::serve(agency, options, listener, shutdown).await.unwrap();
        });
        let channel = Endpoint::from_shared(format!("http://{address}"))
            .unwrap()
            .connect()
            .await
            .unwrap();
        Self {
            channel,
            stop,
            server,
            _dir: dir,
        }
    }

    async fn stop(self) {
        drop(self.channel);
        self.stop.send(()).unwrap();
        self.server.await.unwrap();
    }
}

fn people() -> impl Iterator<Item = Person> {
    WORLD.everyone().map(|index| WORLD.person(index))
}

fn number(person: &Person) -> Option<PersonRef> {
    Some(PersonRef {
        reference: Some(Reference::PersonalNumber(person.number.clone())),
    })
}

fn document(person: &Person) -> Option<PersonRef> {
    let document = TravelDocument {
        id: person.document.id(),
        ..TravelDocument::default()
    };
    Some(PersonRef {
        reference: Some(Reference::TravelDocument(document)),
    })
}

#[tokio::test]
async fn residence_status_is_what_the_world_says_and_unknown_people_are_not_found() {
    let psd = Running::start(Agency::Psd).await;
    let mut client = residency::residence_permits_client::ResidencePermitsClient::new(psd.channel.clone());
    for person in people().take(200) {
        let answer = client
            .check_status(residency::CheckStatusRequest {
                person: number(&person),
            })
            .await;
        match WORLD.residence(&person) {
            Residence::Unknown => assert_eq!(answer.unwrap_err().code(), Code::NotFound),
            Residence::NoPermit => assert_eq!(answer.unwrap().into_inner().status(), residency::PermitStatus::None),
            Residence::Permit { standing, .. } => {
                let expected = match standing {
                    Standing::Valid => residency::PermitStatus::Valid,
                    Standing::Expired => residency::PermitStatus::Expired,
                    Standing::Cancelled => residency::PermitStatus::Cancelled,
                };
                assert_eq!(answer.unwrap().into_inner().status(), expected);
            }
        }
    }
    psd.stop().await;
}

#[tokio::test]
async fn a_permit_is_found_by_document_and_names_its_holder_in_both_scripts() {
    let psd = Running::start(Agency::Psd).await;
    let mut client = residency::residence_permits_client::ResidencePermitsClient::new(psd.channel.clone());
    let person = people()
        .find(|p| matches!(WORLD.residence(p), Residence::Permit { .. }))
        .unwrap();
    let answer = client
        .get_permit(residency::GetPermitRequest {
            person: document(&person),
        })
        .await
        .unwrap();
    let permit = answer.into_inner().permit.unwrap();
    assert_eq!(permit.holder, number(&person));
    let scripts: Vec<_> = permit.names.iter().map(|name| name.script.as_str()).collect();
    assert_eq!(scripts, ["Arab", "Latn"]);
    assert_eq!(permit.names[0].given, person.names[0].given);
    psd.stop().await;
}

#[tokio::test]
async fn identity_is_resolved_and_verified_without_telling_more() {
    let psd = Running::start(Agency::Psd).await;
    let mut client = identity::foreigner_identity_client::ForeignerIdentityClient::new(psd.channel.clone());
    let known = |p: &Person| p.born_known == Known::Day && WORLD.residence(p) != Residence::Unknown;
    let person = people().find(known).unwrap();
    let asked = identity::ResolveRequest {
        person: document(&person),
        attributes: None,
    };
    let answer = client.resolve(asked).await.unwrap().into_inner();
    assert_eq!(answer.personal_number, person.number);

    let wrong = identity::Attributes {
        born: Some(PartialDate {
            year: person.born.year() - 1,
            month: 0,
            day: 0,
        }),
        nationality: person.nationality.to_owned(),
        ..identity::Attributes::default()
    };
    let asked = identity::VerifyAttributesRequest {
        person: number(&person),
        attributes: Some(wrong.clone()),
    };
    let verdicts = client.verify_attributes(asked).await.unwrap().into_inner();
    assert_eq!(verdicts.born(), identity::Verdict::Mismatch);
    assert_eq!(verdicts.nationality(), identity::Verdict::Match);
    assert_eq!(verdicts.sex(), identity::Verdict::Unspecified);
    let asked = identity::ResolveRequest {
        person: document(&person),
        attributes: Some(wrong),
    };
    assert_eq!(client.resolve(asked).await.unwrap_err().code(), Code::NotFound);
    psd.stop().await;
}

#[tokio::test]
async fn malformed_references_are_refused_and_arabic_digits_read() {
    let psd = Running::start(Agency::Psd).await;
    let mut client = residency::residence_permits_client::ResidencePermitsClient::new(psd.channel.clone());
    let person = people().find(|p| WORLD.residence(p) != Residence::Unknown).unwrap();
    let arabic: String = person
        .number
        .bytes()
        .map(|b| char::from_u32(0x0660 + u32::from(b - b'0')).unwrap())
        .collect();
    for (text, expected) in [
        (arabic.as_str(), Code::Ok),
        ("", Code::InvalidArgument),
        ("\u{202e}5000000000", Code::InvalidArgument),
        ("' OR 1=1 --", Code::InvalidArgument),
        ("0000000000", Code::NotFound),
    ] {
        let reference = Some(PersonRef {
            reference: Some(Reference::PersonalNumber(text.to_owned())),
        });
        let answer = client
            .check_status(residency::CheckStatusRequest { person: reference })
            .await;
        assert_eq!(
            answer.map_or_else(|status| status.code(), |_| Code::Ok),
            expected,
            "{text:?}"
        );
    }
    let nobody = client
        .check_status(residency::CheckStatusRequest { person: None })
        .await;
    assert_eq!(nobody.unwrap_err().code(), Code::InvalidArgument);
    psd.stop().await;
}

#[tokio::test]
async fn a_missing_certificate_looks_the_same_for_known_and_unknown_people() {
    let moh = Running::start(Agency::Moh).await;
    let mut client = health::fitness_certificates_client::FitnessCertificatesClient::new(moh.channel.clone());
    let without = people().find(|p| WORLD.fitness(p).is_none()).unwrap();
    let known = client
        .check(health::CheckRequest {
            person: number(&without),
        })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(known.standing(), health::CertificateStanding::NotHeld);
    let stranger = Some(PersonRef {
        reference: Some(Reference::PersonalNumber("0000000000".to_owned())),
    });
    assert_eq!(
        client
            .check(health::CheckRequest { person: stranger })
            .await
            .unwrap()
            .into_inner(),
        known
    );
    let with = people()
        .find(|p| WORLD.fitness(p).is_some_and(|f| f.until >= WORLD.today))
        .unwrap();
    let answer = client
        .check(health::CheckRequest { person: number(&with) })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(answer.standing(), health::CertificateStanding::InForce);
    moh.stop().await;
}

#[tokio::test]
async fn contributions_are_counted_and_streamed_in_periods() {
    let ssc = Running::start(Agency::Ssc).await;
    let mut client = socialsecurity::contributions_client::ContributionsClient::new(ssc.channel.clone());
    for person in people().filter(|p| !WORLD.contributions(p).is_empty()).take(50) {
        let asked = socialsecurity::SummaryRequest {
            person: number(&person),
            months: 24,
        };
        let summary = client.summary(asked).await.unwrap().into_inner();
        let paid = WORLD.contributions(&person);
        assert_eq!(usize::try_from(summary.months_paid).unwrap(), paid.len());

        let asked = socialsecurity::ListPeriodsRequest {
            person: number(&person),
            from: None,
        };
        let mut stream = client.list_periods(asked).await.unwrap().into_inner();
        let mut months = 0;
        while let Some(message) = stream.message().await.unwrap() {
            let period = message.period.unwrap();
            let (from, to) = (period.from.unwrap(), period.to.unwrap());
            months += (to.year * 12 + to.month) - (from.year * 12 + from.month) + 1;
        }
        assert_eq!(usize::try_from(months).unwrap(), paid.len());
    }
    let never = people().find(|p| WORLD.contributions(p).is_empty()).unwrap();
    let asked = socialsecurity::SummaryRequest {
        person: number(&never),
        months: 0,
    };
    assert_eq!(client.summary(asked).await.unwrap_err().code(), Code::NotFound);
    ssc.stop().await;
}

#[tokio::test]
async fn companies_are_found_with_all_their_holders() {
    let ccd = Running::start(Agency::Ccd).await;
    let mut client = business::companies_client::CompaniesClient::new(ccd.channel.clone());
    let all = (0..WORLD.companies()).map(|index| WORLD.company(index));
    let suspended = all
        .into_iter()
        .find(|c| c.state == CompanyState::Suspended && c.holders.len() > 1)
        .unwrap();
    let asked = business::CompaniesCheckStatusRequest {
        company_number: suspended.number.clone(),
    };
    assert_eq!(
        client.check_status(asked).await.unwrap().into_inner().status(),
        business::CompanyStatus::Suspended
    );
    let asked = business::GetCompanyRequest {
        company_number: suspended.number.clone(),
    };
    let company = client.get_company(asked).await.unwrap().into_inner().company.unwrap();
    assert_eq!(company.name_ar, suspended.name_ar);

    let mut shares = 0;
    let mut page_token = String::new();
    loop {
        let asked = business::ListShareholdingsRequest {
            company_number: suspended.number.clone(),
            page_size: 1,
            page_token: page_token.clone(),
        };
        let page = client.list_shareholdings(asked).await.unwrap().into_inner();
        shares += page.shareholdings.iter().map(|s| s.share_ppm).sum::<u32>();
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(shares, 1_000_000);
    let asked = business::CompaniesCheckStatusRequest {
        company_number: "200000000".to_owned(),
    };
    assert_eq!(client.check_status(asked).await.unwrap_err().code(), Code::NotFound);
    ccd.stop().await;
}

#[tokio::test]
async fn every_clearance_has_one_size_and_strangers_are_referred() {
    let gid = Running::start(Agency::Gid).await;
    let mut client = clearance::clearance_client::ClearanceClient::new(gid.channel.clone());
    let stranger = Some(PersonRef {
        reference: Some(Reference::PersonalNumber("0000000000".to_owned())),
    });
    let mut asked = vec![(stranger, Clearance::Refer)];
    asked.extend(people().take(150).map(|p| (number(&p), WORLD.clearance(&p))));
    let mut sizes = Vec::new();
    for (person, expected) in asked {
        let request = Request::new(clearance::CheckRequest { person, born: None });
        let answer = client.check(request).await.unwrap().into_inner();
        let outcome = if expected == Clearance::Clear {
            clearance::Outcome::Clear
        } else {
            clearance::Outcome::Refer
        };
        assert_eq!(answer.outcome(), outcome);
        sizes.push(answer.encoded_len());
    }
    sizes.dedup();
    assert_eq!(sizes.len(), 1);
    gid.stop().await;
}

#[tokio::test]
async fn one_exchange_renews_once_however_often_it_arrives() {
    let mol = Running::start(Agency::Mol).await;
    let mut client = labour::work_permits_client::WorkPermitsClient::new(mol.channel.clone());
    let valid = |p: &Person| {
        WORLD
            .work_permit(p)
            .is_some_and(|permit| permit.standing == Standing::Valid)
    };
    let person = people().find(valid).unwrap();
    let permit = WORLD.work_permit(&person).unwrap();
    let request = labour::RenewRequest {
        person: number(&person),
        number: permit.number.clone(),
        months: 6,
    };
    let under = |exchange: &str, message: &labour::RenewRequest| {
        let mut request = Request::new(message.clone());
        request
            .metadata_mut()
            .insert("jisr-exchange-id", exchange.parse().unwrap());
        request
    };

    assert_eq!(
        client.renew(request.clone()).await.unwrap_err().code(),
        Code::FailedPrecondition
    );
    let first = client.renew(under("exchange-1", &request)).await.unwrap().into_inner();
    let again = client.renew(under("exchange-1", &request)).await.unwrap().into_inner();
    assert_eq!(first, again);
    let other = labour::RenewRequest {
        months: 7,
        ..request.clone()
    };
    let reused = client.renew(under("exchange-1", &other)).await.unwrap_err();
    assert_eq!(reused.code(), Code::FailedPrecondition);
    let second = client.renew(under("exchange-2", &request)).await.unwrap().into_inner();
    assert_ne!(first.valid_until, second.valid_until);

    let answer = client
        .get_permit(labour::GetPermitRequest {
            person: number(&person),
        })
        .await
        .unwrap();
    let now = answer.into_inner().permit.unwrap();
    assert_eq!(
        (now.valid_until, now.provenance.unwrap().record_version),
        (second.valid_until, 3)
    );
    mol.stop().await;
}

#[tokio::test]
async fn permits_at_an_employer_are_those_of_the_world() {
    let mol = Running::start(Agency::Mol).await;
    let mut client = labour::work_permits_client::WorkPermitsClient::new(mol.channel.clone());
    let company = people().find_map(|p| WORLD.work_permit(&p)).unwrap().company;
    let expected = people()
        .filter_map(|p| WORLD.work_permit(&p))
        .filter(|permit| permit.company == company)
        .count();
    let asked = labour::ListByEmployerRequest {
        company_number: WORLD.company_number(company),
        status: 0,
    };
    let mut stream = client.list_by_employer(asked).await.unwrap().into_inner();
    let mut found = 0;
    while stream.message().await.unwrap().is_some() {
        found += 1;
    }
    assert_eq!(found, expected);
    mol.stop().await;
}
