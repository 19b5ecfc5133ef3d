//! Residence permits, kept by the Public Security Directorate.

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use time::Date;
use tonic::{Request, Response, Status};

use crate::jo::residency::v1::residence_permits_server::ResidencePermits;
use crate::jo::residency::v1::{
    CheckStatusRequest, CheckStatusResponse, GetPermitRequest, GetPermitResponse, PermitBasis, PermitStatus,
    ResidencePermit,
};
use crate::world::{Purpose, Residence, Standing, World};

use super::people;
use super::refusal::Refusal;
use super::store::Store;
use super::wire::{date, day_at};

const TABLE: &str = "
    CREATE TABLE residence (
        person INTEGER PRIMARY KEY,
        number TEXT NOT NULL,
        basis INTEGER NOT NULL,
        cancelled INTEGER NOT NULL,
        valid_from INTEGER NOT NULL,
        valid_until INTEGER NOT NULL,
        governorate TEXT NOT NULL
    ) STRICT;";

/// Everybody whom the Directorate knows, and their permits.
pub(super) fn fill(transaction: &Transaction<'_>, world: &World) -> rusqlite::Result<()> {
    transaction.execute_batch(TABLE)?;
    let mut people = people::Writer::new(transaction)?;
    let mut insert = transaction.prepare("INSERT INTO residence VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
    for person in world.everyone().map(|index| world.person(index)) {
        let residence = world.residence(&person);
        if residence == Residence::Unknown {
            continue;
        }
        people.person(&person)?;
        people.names(&person)?;
        if let Residence::Permit {
            number,
            standing,
            from,
            until,
            governorate,
        } = residence
        {
            let cancelled = standing == Standing::Cancelled;
            let basis = basis(person.purpose) as i32;
            insert.execute(params![
                person.index,
                number,
                basis,
                cancelled,
                from.to_julian_day(),
                until.to_julian_day(),
                governorate,
            ])?;
        }
    }
    Ok(())
}

fn basis(purpose: Purpose) -> PermitBasis {
    match purpose {
        Purpose::Work => PermitBasis::Work,
        Purpose::Family => PermitBasis::Family,
        Purpose::Study => PermitBasis::Study,
        Purpose::Protection => PermitBasis::Protection,
    }
}

/// A row of the table.
struct Row {
    number: String,
    basis: i32,
    cancelled: bool,
    from: Date,
    until: Date,
    governorate: String,
}

impl Row {
    fn of(connection: &Connection, person: i64) -> rusqlite::Result<Option<Self>> {
        let mut statement = connection.prepare_cached(
            "SELECT number, basis, cancelled, valid_from, valid_until, governorate FROM residence WHERE person = ?1",
        )?;
        let read = |row: &rusqlite::Row<'_>| {
            Ok(Self {
                number: row.get(0)?,
                basis: row.get(1)?,
                cancelled: row.get(2)?,
                from: day_at(row, 3)?,
                until: day_at(row, 4)?,
                governorate: row.get(5)?,
            })
        };
        statement.query_row([person], read).optional()
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
}

/// The service.
pub(super) struct Residences {
    store: Store,
}

impl Residences {
    pub(super) fn over(store: &Store) -> Self {
        Self { store: store.clone() }
    }
}

#[tonic::async_trait]
impl ResidencePermits for Residences {
    async fn check_status(
        &self,
        request: Request<CheckStatusRequest>,
    ) -> Result<Response<CheckStatusResponse>, Status> {
        let person = request.into_inner().person;
        let row = self
            .store
            .read(move |c| {
                let id = people::find(c, person.as_ref())?;
                Ok(Row::of(c, id)?)
            })
            .await?;
        let today = self.store.world.today;
        let status = row.as_ref().map_or(PermitStatus::None, |row| row.status(today));
        Ok(Response::new(CheckStatusResponse {
            status: status.into(),
            valid_until: row.map(|row| date(row.until)),
            provenance: Some(self.store.provenance(1)),
        }))
    }

    async fn get_permit(&self, request: Request<GetPermitRequest>) -> Result<Response<GetPermitResponse>, Status> {
        let person = request.into_inner().person;
        let store = self.store.clone();
        let permit = self
            .store
            .read(move |c| {
                let id = people::find(c, person.as_ref())?;
                let row = Row::of(c, id)?.ok_or(Refusal::NoPermit)?;
                let nationality = c.query_row("SELECT nationality FROM person WHERE id = ?1", [id], |r| r.get(0))?;
                Ok(ResidencePermit {
                    holder: Some(people::by_number(people::personal_number(c, id)?)),
                    names: people::names(c, id)?,
                    nationality,
                    basis: row.basis,
                    status: row.status(store.world.today).into(),
                    valid_from: Some(date(row.from)),
                    valid_until: Some(date(row.until)),
                    number: row.number,
                    governorate: row.governorate,
                    provenance: Some(store.provenance(1)),
                })
            })
            .await?;
        Ok(Response::new(GetPermitResponse { permit: Some(permit) }))
    }
}
