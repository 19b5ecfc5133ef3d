//! Fitness certificates, kept by the Ministry of Health. The table holds last days and nothing about anybody's health.

use rusqlite::{Connection, OptionalExtension, Transaction};
use time::Date;
use tonic::{Request, Response, Status};

use crate::jo::common::v1::PersonRef;
use crate::jo::health::v1::fitness_certificates_server::FitnessCertificates;
use crate::jo::health::v1::{CertificateStanding, CheckRequest, CheckResponse};
use crate::world::World;

use super::people;
use super::refusal::Refusal;
use super::store::Store;
use super::wire::{date, day_at};

const TABLE: &str = "CREATE TABLE fitness (person INTEGER PRIMARY KEY, valid_until INTEGER NOT NULL) STRICT;";

/// Everybody who ever had a certificate.
pub(super) fn fill(transaction: &Transaction<'_>, world: &World) -> rusqlite::Result<()> {
    transaction.execute_batch(TABLE)?;
    let mut people = people::Writer::new(transaction)?;
    let mut insert = transaction.prepare("INSERT INTO fitness VALUES (?1, ?2)")?;
    for person in world.everyone().map(|index| world.person(index)) {
        if let Some(fitness) = world.fitness(&person) {
            people.person(&person)?;
            insert.execute([i64::from(person.index), i64::from(fitness.until.to_julian_day())])?;
        }
    }
    Ok(())
}

/// The last day of a person's certificate. Whoever is not known has none, and looks the same.
fn valid_until(connection: &Connection, person: Option<&PersonRef>) -> Result<Option<Date>, Refusal> {
    let id = match people::find(connection, person) {
        Err(Refusal::PersonUnknown) => return Ok(None),
        found => found?,
    };
    let mut statement = connection.prepare_cached("SELECT valid_until FROM fitness WHERE person = ?1")?;
    Ok(statement.query_row([id], |row| day_at(row, 0)).optional()?)
}

/// The service.
pub(super) struct Certificates {
    store: Store,
}

impl Certificates {
    pub(super) fn over(store: &Store) -> Self {
        Self { store: store.clone() }
    }
}

#[tonic::async_trait]
impl FitnessCertificates for Certificates {
    async fn check(&self, request: Request<CheckRequest>) -> Result<Response<CheckResponse>, Status> {
        let person = request.into_inner().person;
        let valid_until = self.store.read(move |c| valid_until(c, person.as_ref())).await?;
        let standing = match valid_until {
            None => CertificateStanding::NotHeld,
            Some(until) if until < self.store.world.today => CertificateStanding::Expired,
            Some(_) => CertificateStanding::InForce,
        };
        Ok(Response::new(CheckResponse {
            standing: standing.into(),
            valid_until: valid_until.map(date),
            provenance: Some(self.store.provenance(1)),
        }))
    }
}
