//! Identity of foreigners, resolved by the Public Security Directorate, which gives the personal numbers.

use rusqlite::{Connection, params};
use tonic::{Request, Response, Status};

use crate::jo::common::v1::{PartialDate, PersonName, Sex};
use crate::jo::identity::v1::foreigner_identity_server::ForeignerIdentity;
use crate::jo::identity::v1::{
    Attributes, ResolveRequest, ResolveResponse, Verdict, VerifyAttributesRequest, VerifyAttributesResponse,
};

use super::people;
use super::refusal::Refusal;
use super::store::Store;

/// What the register holds of a person.
struct Record {
    names: Vec<PersonName>,
    born: PartialDate,
    sex: i32,
    nationality: String,
}

impl Record {
    fn of(connection: &Connection, person: i64) -> rusqlite::Result<Self> {
        let names = people::names(connection, person)?;
        let mut statement = connection
            .prepare_cached("SELECT born_year, born_month, born_day, sex, nationality FROM person WHERE id = ?1")?;
        statement.query_row([person], |row| {
            Ok(Self {
                names,
                born: PartialDate {
                    year: row.get(0)?,
                    month: row.get(1)?,
                    day: row.get(2)?,
                },
                sex: row.get(3)?,
                nationality: row.get(4)?,
            })
        })
    }

    fn name_verdict(&self, claimed: Option<&PersonName>) -> Verdict {
        verdict(claimed, |name| self.names.contains(name))
    }

    /// A claimed part must be the recorded one; parts that are not claimed are not judged.
    fn born_verdict(&self, claimed: Option<&PartialDate>) -> Verdict {
        let part = |claimed: i32, recorded: i32| claimed == 0 || claimed == recorded;
        verdict(claimed.filter(|born| born.year != 0), |born| {
            born.year == self.born.year && part(born.month, self.born.month) && part(born.day, self.born.day)
        })
    }

    fn sex_verdict(&self, claimed: i32) -> Verdict {
        verdict(Some(claimed).filter(|sex| *sex != i32::from(Sex::NotKnown)), |sex| {
            sex == self.sex
        })
    }

    fn nationality_verdict(&self, claimed: &str) -> Verdict {
        verdict(Some(claimed).filter(|code| !code.is_empty()), |code| {
            code == self.nationality
        })
    }

    /// Nothing that was claimed is wrong.
    fn agrees(&self, claimed: &Attributes) -> bool {
        let verdicts = [
            self.name_verdict(claimed.name.as_ref()),
            self.born_verdict(claimed.born.as_ref()),
            self.sex_verdict(claimed.sex),
            self.nationality_verdict(&claimed.nationality),
        ];
        !verdicts.contains(&Verdict::Mismatch)
    }
}

fn verdict<T>(claimed: Option<T>, holds: impl FnOnce(T) -> bool) -> Verdict {
    match claimed.map(holds) {
        None => Verdict::Unspecified,
        Some(true) => Verdict::Match,
        Some(false) => Verdict::Mismatch,
    }
}

/// The only person whom attributes fit.
fn by_attributes(connection: &Connection, claimed: &Attributes) -> Result<i64, Refusal> {
    let name = claimed
        .name
        .as_ref()
        .ok_or(Refusal::Field("attributes.name", "is missing, and so is the person"))?;
    let born = claimed
        .born
        .as_ref()
        .ok_or(Refusal::Field("attributes.born", "is missing, and so is the person"))?;
    if claimed.nationality.is_empty() {
        return Err(Refusal::Field(
            "attributes.nationality",
            "is missing, and so is the person",
        ));
    }
    let mut statement = connection.prepare_cached(
        "SELECT id FROM person JOIN name ON name.person = person.id
         WHERE born_year = ?1 AND nationality = ?2 AND script = ?3 AND family = ?4",
    )?;
    let rows = statement.query_map(
        params![born.year, claimed.nationality, name.script, name.family],
        |row| row.get::<_, i64>(0),
    )?;
    let mut fitting = Vec::new();
    for id in rows {
        let id = id?;
        if Record::of(connection, id)?.agrees(claimed) {
            fitting.push(id);
        }
    }
    match fitting.as_slice() {
        [] => Err(Refusal::PersonUnknown),
        [id] => Ok(*id),
        _ => Err(Refusal::Ambiguous),
    }
}

fn resolve(connection: &Connection, request: &ResolveRequest) -> Result<String, Refusal> {
    let claimed = request.attributes.clone().unwrap_or_default();
    let id = match &request.person {
        Some(person) => {
            let id = people::find(connection, Some(person))?;
            // Whoever errs in an attribute learns no more than that nobody fits.
            if !Record::of(connection, id)?.agrees(&claimed) {
                return Err(Refusal::PersonUnknown);
            }
            id
        }
        None => by_attributes(connection, &claimed)?,
    };
    Ok(people::personal_number(connection, id)?)
}

/// The service.
pub(super) struct Identities {
    store: Store,
}

impl Identities {
    pub(super) fn over(store: &Store) -> Self {
        Self { store: store.clone() }
    }
}

#[tonic::async_trait]
impl ForeignerIdentity for Identities {
    async fn resolve(&self, request: Request<ResolveRequest>) -> Result<Response<ResolveResponse>, Status> {
        let request = request.into_inner();
        let personal_number = self.store.read(move |c| resolve(c, &request)).await?;
        Ok(Response::new(ResolveResponse {
            personal_number,
            provenance: Some(self.store.provenance(1)),
        }))
    }

    async fn verify_attributes(
        &self,
        request: Request<VerifyAttributesRequest>,
    ) -> Result<Response<VerifyAttributesResponse>, Status> {
        let VerifyAttributesRequest { person, attributes } = request.into_inner();
        let claimed = attributes
            .ok_or(Refusal::Field("attributes", "is missing"))
            .map_err(Status::from)?;
        let record = self
            .store
            .read(move |c| {
                let id = people::find(c, person.as_ref())?;
                Ok(Record::of(c, id)?)
            })
            .await?;
        Ok(Response::new(VerifyAttributesResponse {
            name: record.name_verdict(claimed.name.as_ref()).into(),
            born: record.born_verdict(claimed.born.as_ref()).into(),
            sex: record.sex_verdict(claimed.sex).into(),
            nationality: record.nationality_verdict(&claimed.nationality).into(),
            provenance: Some(self.store.provenance(1)),
        }))
    }
}
