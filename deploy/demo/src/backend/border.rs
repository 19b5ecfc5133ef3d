//! Movements over the border, kept by the Public Security Directorate.

use std::pin::Pin;

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use time::{Date, Duration, OffsetDateTime};
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status};

use crate::jo::border::v1::movements_server::Movements;
use crate::jo::border::v1::{
    CheckStayRequest, CheckStayResponse, Direction, GetStayStatusRequest, GetStayStatusResponse, ListMovementsRequest,
    ListMovementsResponse, Movement, StayStatus, WatchExpiriesRequest, WatchExpiriesResponse,
};
use crate::jo::common::v1::PersonRef;
use crate::world::{Residence, World};

use super::people;
use super::refusal::Refusal;
use super::store::Store;
use super::wire::{date, day_at, day_from, timestamp};

const TABLES: &str = "
    CREATE TABLE movement (
        person INTEGER NOT NULL,
        time_s INTEGER NOT NULL,
        entry INTEGER NOT NULL,
        crossing TEXT NOT NULL,
        PRIMARY KEY (person, time_s)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE stay (
        person INTEGER PRIMARY KEY,
        inside INTEGER NOT NULL,
        entered_on INTEGER NOT NULL,
        allowed_until INTEGER NOT NULL
    ) STRICT;";

/// The movements of everybody whom the Directorate knows.
pub(super) fn fill(transaction: &Transaction<'_>, world: &World) -> rusqlite::Result<()> {
    transaction.execute_batch(TABLES)?;
    let mut movement = transaction.prepare("INSERT INTO movement VALUES (?1, ?2, ?3, ?4)")?;
    let mut stay = transaction.prepare("INSERT INTO stay VALUES (?1, ?2, ?3, ?4)")?;
    for person in world.everyone().map(|index| world.person(index)) {
        if world.residence(&person) == Residence::Unknown {
            continue;
        }
        let movements = world.movements(&person);
        for m in &movements {
            movement.execute(params![person.index, m.time.unix_timestamp(), m.entry, m.crossing])?;
        }
        let inside = movements.last().is_some_and(|last| last.entry);
        let entered = movements
            .iter()
            .rfind(|m| m.entry)
            .map_or(person.arrived, |m| m.time.date());
        let until = world.stay_until(&person);
        stay.execute(params![
            person.index,
            inside,
            entered.to_julian_day(),
            until.to_julian_day()
        ])?;
    }
    transaction.execute_batch("CREATE INDEX stay_until ON stay (allowed_until)")
}

/// A row of the table of stays.
struct Stay {
    inside: bool,
    entered_on: Date,
    allowed_until: Date,
}

impl Stay {
    fn of(connection: &Connection, person: Option<&PersonRef>) -> Result<Self, Refusal> {
        let id = people::find(connection, person)?;
        let mut statement =
            connection.prepare_cached("SELECT inside, entered_on, allowed_until FROM stay WHERE person = ?1")?;
        let read = |row: &rusqlite::Row<'_>| {
            Ok(Self {
                inside: row.get(0)?,
                entered_on: day_at(row, 1)?,
                allowed_until: day_at(row, 2)?,
            })
        };
        statement
            .query_row([id], read)
            .optional()?
            .ok_or(Refusal::PersonUnknown)
    }

    fn status(&self, today: Date) -> StayStatus {
        match (self.inside, today <= self.allowed_until) {
            (false, _) => StayStatus::Abroad,
            (true, true) => StayStatus::Within,
            (true, false) => StayStatus::Overstay,
        }
    }
}

/// The service.
pub(super) struct Border {
    store: Store,
}

impl Border {
    pub(super) fn over(store: &Store) -> Self {
        Self { store: store.clone() }
    }
}

/// Messages of a server stream.
type Messages<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl Movements for Border {
    type ListMovementsStream = Messages<ListMovementsResponse>;
    type WatchExpiriesStream = Messages<WatchExpiriesResponse>;

    async fn check_stay(&self, request: Request<CheckStayRequest>) -> Result<Response<CheckStayResponse>, Status> {
        let person = request.into_inner().person;
        let stay = self.store.read(move |c| Stay::of(c, person.as_ref())).await?;
        Ok(Response::new(CheckStayResponse {
            in_order: stay.status(self.store.world.today) == StayStatus::Within,
            provenance: Some(self.store.provenance(1)),
        }))
    }

    async fn get_stay_status(
        &self,
        request: Request<GetStayStatusRequest>,
    ) -> Result<Response<GetStayStatusResponse>, Status> {
        let person = request.into_inner().person;
        let stay = self.store.read(move |c| Stay::of(c, person.as_ref())).await?;
        Ok(Response::new(GetStayStatusResponse {
            status: stay.status(self.store.world.today).into(),
            entered_on: Some(date(stay.entered_on)),
            allowed_until: Some(date(stay.allowed_until)),
            provenance: Some(self.store.provenance(1)),
        }))
    }

    async fn list_movements(
        &self,
        request: Request<ListMovementsRequest>,
    ) -> Result<Response<Self::ListMovementsStream>, Status> {
        let ListMovementsRequest { person, since } = request.into_inner();
        let since = day_from("since", since.as_ref()).map_err(Status::from)?;
        let store = self.store.clone();
        let messages = self
            .store
            .read(move |c| {
                let id = people::find(c, person.as_ref())?;
                let since_s = since.map_or(i64::MIN, |day| day.midnight().assume_utc().unix_timestamp());
                Ok(movements(c, &store, id, since_s)?)
            })
            .await?;
        Ok(Response::new(Box::pin(tokio_stream::iter(
            messages.into_iter().map(Ok),
        ))))
    }

    async fn watch_expiries(
        &self,
        request: Request<WatchExpiriesRequest>,
    ) -> Result<Response<Self::WatchExpiriesStream>, Status> {
        let days = request.into_inner().days;
        if !(1..=90).contains(&days) {
            return Err(Refusal::Field("days", "is not 1 to 90").into());
        }
        let store = self.store.clone();
        let messages = self.store.read(move |c| Ok(expiries(c, &store, days)?)).await?;
        // The world's day stands still, so nothing more ever comes; the stream stays open until the caller ends it.
        let watched = tokio_stream::iter(messages.into_iter().map(Ok)).chain(tokio_stream::pending());
        Ok(Response::new(Box::pin(watched)))
    }
}

fn movements(
    connection: &Connection,
    store: &Store,
    person: i64,
    since_s: i64,
) -> rusqlite::Result<Vec<ListMovementsResponse>> {
    let mut statement = connection.prepare_cached(
        "SELECT time_s, entry, crossing FROM movement WHERE person = ?1 AND time_s >= ?2 ORDER BY time_s DESC",
    )?;
    let rows = statement.query_map([person, since_s], |row| {
        let time_s: i64 = row.get(0)?;
        let time = OffsetDateTime::from_unix_timestamp(time_s)
            .map_err(|_| rusqlite::Error::IntegralValueOutOfRange(0, time_s))?;
        let direction = if row.get(1)? { Direction::Entry } else { Direction::Exit };
        Ok(ListMovementsResponse {
            movement: Some(Movement {
                direction: direction.into(),
                time: Some(timestamp(time)),
                crossing: row.get(2)?,
                provenance: Some(store.provenance(1)),
            }),
        })
    })?;
    rows.collect()
}

fn expiries(connection: &Connection, store: &Store, days: u32) -> rusqlite::Result<Vec<WatchExpiriesResponse>> {
    let today = store.world.today;
    let last = today + Duration::days(i64::from(days));
    let mut statement = connection.prepare_cached(
        "SELECT number, allowed_until FROM stay JOIN person ON person.id = stay.person
         WHERE inside AND allowed_until BETWEEN ?1 AND ?2 ORDER BY allowed_until, number",
    )?;
    let rows = statement.query_map([today.to_julian_day(), last.to_julian_day()], |row| {
        Ok(WatchExpiriesResponse {
            person: Some(people::by_number(row.get(0)?)),
            allowed_until: Some(date(day_at(row, 1)?)),
            provenance: Some(store.provenance(1)),
        })
    })?;
    rows.collect()
}
