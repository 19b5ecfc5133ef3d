//! Work permits, kept by the Ministry of Labour.

mod renewal;

use std::pin::Pin;

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use time::Date;
use tokio_stream::Stream;
use tonic::{Request, Response, Status};

use crate::jo::labour::v1::work_permits_server::WorkPermits;
use crate::jo::labour::v1::{
    CheckStatusRequest, CheckStatusResponse, GetPermitRequest, GetPermitResponse, ListByEmployerRequest,
    ListByEmployerResponse, PermitStatus, RenewRequest, RenewResponse, WorkPermit,
};
use crate::world::{Standing, World};

use super::exchange;
use super::people::{self, identifier};
use super::refusal::Refusal;
use super::store::Store;
use super::wire::{coded, date, day_at};

const TABLES: &str = "
    CREATE TABLE permit (
        person INTEGER PRIMARY KEY,
        version INTEGER NOT NULL,
        number TEXT NOT NULL,
        company TEXT NOT NULL,
        occupation TEXT NOT NULL,
        education TEXT NOT NULL,
        governorate TEXT NOT NULL,
        cancelled INTEGER NOT NULL,
        valid_from INTEGER NOT NULL,
        valid_until INTEGER NOT NULL
    ) STRICT;";

/// Columns in the order in which [`Row::read`] takes them.
const COLUMNS: &str =
    "person, version, number, company, occupation, education, governorate, cancelled, valid_from, valid_until";

/// Everybody who holds or held a permit.
pub(super) fn fill(transaction: &Transaction<'_>, world: &World) -> rusqlite::Result<()> {
    transaction.execute_batch(TABLES)?;
    transaction.execute_batch(renewal::TABLE)?;
    let mut people = people::Writer::new(transaction)?;
    let mut insert = transaction.prepare("INSERT INTO permit VALUES (?1, 1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")?;
    for person in world.everyone().map(|index| world.person(index)) {
        let Some(permit) = world.work_permit(&person) else {
            continue;
        };
        people.person(&person)?;
        people.names(&person)?;
        insert.execute(params![
            person.index,
            permit.number,
            world.company_number(permit.company),
            permit.occupation,
            permit.education,
            permit.governorate,
            permit.standing == Standing::Cancelled,
            permit.from.to_julian_day(),
            permit.until.to_julian_day(),
        ])?;
    }
    transaction.execute_batch("CREATE INDEX permit_company ON permit (company, number)")
}

/// A row of the table.
struct Row {
    person: i64,
    version: u64,
    number: String,
    company: String,
    occupation: String,
    education: String,
    governorate: String,
    cancelled: bool,
    from: Date,
    until: Date,
}

impl Row {
    fn of(connection: &Connection, person: i64) -> Result<Self, Refusal> {
        let mut statement = connection.prepare_cached(&format!("SELECT {COLUMNS} FROM permit WHERE person = ?1"))?;
        statement
            .query_row([person], Self::read)
            .optional()?
            .ok_or(Refusal::NoPermit)
    }

    fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            person: row.get(0)?,
            version: row.get(1)?,
            number: row.get(2)?,
            company: row.get(3)?,
            occupation: row.get(4)?,
            education: row.get(5)?,
            governorate: row.get(6)?,
            cancelled: row.get(7)?,
            from: day_at(row, 8)?,
            until: day_at(row, 9)?,
        })
    }

    fn status(&self, today: Date) -> PermitStatus {
        if self.cancelled {
            PermitStatus::Cancelled
        } else if self.until < today {
            PermitStatus::Expired
        } else {
            PermitStatus::Valid
        }
    }

    fn message(self, connection: &Connection, store: &Store) -> rusqlite::Result<WorkPermit> {
        Ok(WorkPermit {
            holder: Some(people::by_number(people::personal_number(connection, self.person)?)),
            names: people::names(connection, self.person)?,
            occupation: Some(coded("ISCO-08", "2008", self.occupation.as_str())),
            education: Some(coded("ISCED", "2011", self.education.as_str())),
            status: self.status(store.world.today).into(),
            valid_from: Some(date(self.from)),
            valid_until: Some(date(self.until)),
            provenance: Some(store.provenance(self.version)),
            number: self.number,
            company_number: self.company,
            governorate: self.governorate,
        })
    }
}

/// The permits at one establishment.
fn by_employer(
    connection: &Connection,
    store: &Store,
    request: &ListByEmployerRequest,
) -> Result<Vec<ListByEmployerResponse>, Refusal> {
    let company = identifier("company_number", &request.company_number)?;
    let wanted = PermitStatus::try_from(request.status).map_err(|_| Refusal::Field("status", "is not known"))?;
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM permit WHERE company = ?1 ORDER BY number"
    ))?;
    let mut permits = Vec::new();
    for row in statement.query_map([company], Row::read)? {
        let row = row?;
        if wanted == PermitStatus::Unspecified || row.status(store.world.today) == wanted {
            permits.push(ListByEmployerResponse {
                permit: Some(row.message(connection, store)?),
            });
        }
    }
    Ok(permits)
}

/// The service.
pub(super) struct Permits {
    store: Store,
}

impl Permits {
    pub(super) fn over(store: &Store) -> Self {
        Self { store: store.clone() }
    }
}

#[tonic::async_trait]
impl WorkPermits for Permits {
    type ListByEmployerStream = Pin<Box<dyn Stream<Item = Result<ListByEmployerResponse, Status>> + Send>>;

    async fn check_status(
        &self,
        request: Request<CheckStatusRequest>,
    ) -> Result<Response<CheckStatusResponse>, Status> {
        let person = request.into_inner().person;
        let row = self
            .store
            .read(move |c| {
                let id = people::find(c, person.as_ref())?;
                Row::of(c, id)
            })
            .await?;
        Ok(Response::new(CheckStatusResponse {
            status: row.status(self.store.world.today).into(),
            valid_until: Some(date(row.until)),
            provenance: Some(self.store.provenance(row.version)),
        }))
    }

    async fn get_permit(&self, request: Request<GetPermitRequest>) -> Result<Response<GetPermitResponse>, Status> {
        let person = request.into_inner().person;
        let store = self.store.clone();
        let permit = self
            .store
            .read(move |c| {
                let id = people::find(c, person.as_ref())?;
                Ok(Row::of(c, id)?.message(c, &store)?)
            })
            .await?;
        Ok(Response::new(GetPermitResponse { permit: Some(permit) }))
    }

    async fn list_by_employer(
        &self,
        request: Request<ListByEmployerRequest>,
    ) -> Result<Response<Self::ListByEmployerStream>, Status> {
        let request = request.into_inner();
        let store = self.store.clone();
        let permits = self.store.read(move |c| by_employer(c, &store, &request)).await?;
        Ok(Response::new(Box::pin(tokio_stream::iter(permits.into_iter().map(Ok)))))
    }

    async fn renew(&self, request: Request<RenewRequest>) -> Result<Response<RenewResponse>, Status> {
        let exchange = exchange::id(&request)
            .ok_or(Refusal::NoExchange)
            .map_err(Status::from)?
            .to_owned();
        let request = request.into_inner();
        let store = self.store.clone();
        let reply = self
            .store
            .write(move |t| renewal::once(t, &store, &exchange, &request))
            .await?;
        Ok(Response::new(reply))
    }
}
