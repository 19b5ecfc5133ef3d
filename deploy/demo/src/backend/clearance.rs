//! Clearance, answered by the General Intelligence Directorate: CLEAR or REFER, never anything else, in answers of one size.

use rusqlite::{Connection, Transaction};
use tonic::{Request, Response, Status};

use crate::jo::clearance::v1::clearance_server::Clearance as Service;
use crate::jo::clearance::v1::{CheckRequest, CheckResponse, Outcome};
use crate::jo::common::v1::PartialDate;
use crate::world::{Clearance, World};

use super::refusal::Refusal;
use super::store::Store;
use super::{exchange, people};

const TABLE: &str = "CREATE TABLE clearance (person INTEGER PRIMARY KEY, refer INTEGER NOT NULL) STRICT;";

/// Everybody, and who is to be decided by people.
pub(super) fn fill(transaction: &Transaction<'_>, world: &World) -> rusqlite::Result<()> {
    transaction.execute_batch(TABLE)?;
    let mut people = people::Writer::new(transaction)?;
    let mut insert = transaction.prepare("INSERT INTO clearance VALUES (?1, ?2)")?;
    for person in world.everyone().map(|index| world.person(index)) {
        people.person(&person)?;
        let refer = world.clearance(&person) == Clearance::Refer;
        insert.execute([i64::from(person.index), i64::from(refer)])?;
    }
    Ok(())
}

/// REFER for whoever is listed, is not known, or was described wrongly.
fn outcome(connection: &Connection, request: &CheckRequest) -> Result<Outcome, Refusal> {
    let id = match people::find(connection, request.person.as_ref()) {
        Err(Refusal::PersonUnknown) => return Ok(Outcome::Refer),
        found => found?,
    };
    let mut statement = connection.prepare_cached(
        "SELECT refer, born_year, born_month, born_day FROM person JOIN clearance ON clearance.person = person.id
         WHERE person.id = ?1",
    )?;
    let (refer, born): (bool, _) = statement.query_row([id], |row| {
        Ok((
            row.get(0)?,
            PartialDate {
                year: row.get(1)?,
                month: row.get(2)?,
                day: row.get(3)?,
            },
        ))
    })?;
    let mistaken = request.born.is_some_and(|claimed| claimed != born);
    Ok(if refer || mistaken {
        Outcome::Refer
    } else {
        Outcome::Clear
    })
}

/// The service.
pub(super) struct Answers {
    store: Store,
}

impl Answers {
    pub(super) fn over(store: &Store) -> Self {
        Self { store: store.clone() }
    }
}

#[tonic::async_trait]
impl Service for Answers {
    async fn check(&self, request: Request<CheckRequest>) -> Result<Response<CheckResponse>, Status> {
        let reference = reference(exchange::id(&request).unwrap_or_default());
        let request = request.into_inner();
        let outcome = self.store.read(move |c| outcome(c, &request)).await?;
        let as_of_s = u64::try_from(self.store.as_of().unix_timestamp()).unwrap_or_default();
        Ok(Response::new(CheckResponse {
            outcome: outcome.into(),
            reference,
            as_of_us: as_of_s * 1_000_000,
        }))
    }
}

/// The exchange id's 16 bytes; zeros where a call came past the node, so that the size stays the same.
fn reference(exchange: &str) -> Vec<u8> {
    let digits: Vec<u8> = exchange
        .chars()
        .filter_map(|c| c.to_digit(16))
        .filter_map(|d| u8::try_from(d).ok())
        .collect();
    let mut bytes: Vec<u8> = digits
        .chunks_exact(2)
        .map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit))
        .collect();
    bytes.resize(16, 0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_has_sixteen_bytes_whatever_comes_in() {
        let id = "0192f0c1-7b3a-7cde-8f01-23456789abcd";
        assert_eq!(reference(id)[..3], [0x01, 0x92, 0xf0]);
        for text in [id, "", "zz", "0", &"f".repeat(99)] {
            assert_eq!(reference(text).len(), 16, "{text:?}");
        }
    }
}
