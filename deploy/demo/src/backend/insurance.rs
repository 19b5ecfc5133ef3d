//! Contributions, kept by the Social Security Corporation: one row for each month paid.

use std::pin::Pin;

use rusqlite::{Connection, Transaction, params};
use tokio_stream::Stream;
use tonic::{Request, Response, Status};

use crate::jo::common::v1::PersonRef;
use crate::jo::socialsecurity::v1::contributions_server::Contributions;
use crate::jo::socialsecurity::v1::{
    ContributionPeriod, ListPeriodsRequest, ListPeriodsResponse, SummaryRequest, SummaryResponse,
};
use crate::world::{Month, World};

use super::people;
use super::refusal::Refusal;
use super::store::Store;
use super::wire::{coded, month, month_from};

const TABLE: &str = "
    CREATE TABLE contribution (
        person INTEGER NOT NULL,
        month INTEGER NOT NULL,
        company TEXT NOT NULL,
        band INTEGER NOT NULL,
        PRIMARY KEY (person, month)
    ) STRICT, WITHOUT ROWID;";

/// Window of a summary in months, where the request names none, and its limit.
const MONTHS: (u32, u32) = (12, 36);

/// Everybody who was ever insured.
pub(super) fn fill(transaction: &Transaction<'_>, world: &World) -> rusqlite::Result<()> {
    transaction.execute_batch(TABLE)?;
    let mut people = people::Writer::new(transaction)?;
    let mut insert = transaction.prepare("INSERT INTO contribution VALUES (?1, ?2, ?3, ?4)")?;
    for person in world.everyone().map(|index| world.person(index)) {
        let paid = world.contributions(&person);
        if !paid.is_empty() {
            people.person(&person)?;
        }
        for c in paid {
            insert.execute(params![
                person.index,
                c.month.number(),
                world.company_number(c.company),
                c.band
            ])?;
        }
    }
    Ok(())
}

/// A month paid.
struct Paid {
    month: Month,
    company: String,
    band: u8,
}

/// The months paid for a person, oldest first.
fn paid(connection: &Connection, person: Option<&PersonRef>) -> Result<Vec<Paid>, Refusal> {
    let id = people::find(connection, person)?;
    let mut statement =
        connection.prepare_cached("SELECT month, company, band FROM contribution WHERE person = ?1 ORDER BY month")?;
    let rows = statement.query_map([id], |row| {
        Ok(Paid {
            month: Month::from_number(row.get(0)?),
            company: row.get(1)?,
            band: row.get(2)?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The service.
pub(super) struct Insurance {
    store: Store,
}

impl Insurance {
    pub(super) fn over(store: &Store) -> Self {
        Self { store: store.clone() }
    }

    fn summary(&self, paid: &[Paid], months: u32) -> SummaryResponse {
        let to = Month::of(self.store.world.today).plus(-1);
        let from = to.plus(1 - i32::try_from(months).expect("at most 36"));
        let in_window = paid.iter().filter(|p| from <= p.month && p.month <= to).count();
        // Nobody owes for the time before the first employment.
        let since = paid.first().map_or(to.plus(1), |first| first.month.max(from));
        let months_paid = u32::try_from(in_window).expect("at most 36");
        let months_due = u32::try_from(to.number() - since.number() + 1).unwrap_or(0);
        SummaryResponse {
            from: Some(month(from)),
            to: Some(month(to)),
            months_paid,
            months_missing: months_due.saturating_sub(months_paid),
            active: paid.last().is_some_and(|last| last.month == to),
            employer: paid.last().map(|last| last.company.clone()).unwrap_or_default(),
            provenance: Some(self.store.provenance(1)),
        }
    }

    fn periods(&self, paid: &[Paid]) -> Vec<ListPeriodsResponse> {
        let unbroken = |a: &Paid, b: &Paid| a.month.plus(1) == b.month && a.company == b.company && a.band == b.band;
        paid.chunk_by(unbroken)
            .filter_map(|run| Some(self.period(run.first()?, run.last()?)))
            .collect()
    }

    fn period(&self, first: &Paid, last: &Paid) -> ListPeriodsResponse {
        let period = ContributionPeriod {
            from: Some(month(first.month)),
            to: Some(month(last.month)),
            employer: first.company.clone(),
            wage_band: Some(coded("JO-SSC-WAGE-BAND", "1", first.band.to_string())),
            provenance: Some(self.store.provenance(1)),
        };
        ListPeriodsResponse { period: Some(period) }
    }
}

#[tonic::async_trait]
impl Contributions for Insurance {
    type ListPeriodsStream = Pin<Box<dyn Stream<Item = Result<ListPeriodsResponse, Status>> + Send>>;

    async fn summary(&self, request: Request<SummaryRequest>) -> Result<Response<SummaryResponse>, Status> {
        let SummaryRequest { person, months } = request.into_inner();
        let (usual, most) = MONTHS;
        if months > most {
            return Err(Refusal::Field("months", "is more than 36").into());
        }
        let paid = self.store.read(move |c| paid(c, person.as_ref())).await?;
        Ok(Response::new(
            self.summary(&paid, if months == 0 { usual } else { months }),
        ))
    }

    async fn list_periods(
        &self,
        request: Request<ListPeriodsRequest>,
    ) -> Result<Response<Self::ListPeriodsStream>, Status> {
        let ListPeriodsRequest { person, from } = request.into_inner();
        let from = month_from("from", from.as_ref()).map_err(Status::from)?;
        let mut paid = self.store.read(move |c| paid(c, person.as_ref())).await?;
        paid.retain(|p| from.is_none_or(|from| p.month >= from));
        let periods = self.periods(&paid);
        Ok(Response::new(Box::pin(tokio_stream::iter(periods.into_iter().map(Ok)))))
    }
}
