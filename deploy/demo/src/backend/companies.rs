//! The register of the Companies Control Department.

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use tonic::{Request, Response, Status};

use crate::jo::business::v1::companies_server::Companies;
use crate::jo::business::v1::{
    CompaniesCheckStatusRequest, CompaniesCheckStatusResponse, Company, CompanyStatus, GetCompanyRequest,
    GetCompanyResponse, ListShareholdingsRequest, ListShareholdingsResponse, Shareholding, shareholding,
};
use crate::world::{CompanyState, Holder, World};

use super::people::{self, identifier};
use super::refusal::Refusal;
use super::store::Store;
use super::wire::{coded, date, day_at};

const TABLES: &str = "
    CREATE TABLE company (
        number TEXT PRIMARY KEY,
        name_ar TEXT NOT NULL,
        name_en TEXT NOT NULL,
        form TEXT NOT NULL,
        activity TEXT NOT NULL,
        status INTEGER NOT NULL,
        registered_on INTEGER NOT NULL,
        governorate TEXT NOT NULL,
        capital_fils INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE shareholding (
        company TEXT NOT NULL,
        place INTEGER NOT NULL,
        person TEXT,
        holding_company TEXT,
        share_ppm INTEGER NOT NULL,
        PRIMARY KEY (company, place)
    ) STRICT, WITHOUT ROWID;";

/// Shareholdings on one page, where the request names no number, and the most of them.
const PAGE: (i32, i32) = (50, 100);

/// Every company and its holders.
pub(super) fn fill(transaction: &Transaction<'_>, world: &World) -> rusqlite::Result<()> {
    transaction.execute_batch(TABLES)?;
    let mut company = transaction.prepare("INSERT INTO company VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")?;
    let mut holding = transaction.prepare("INSERT INTO shareholding VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for c in (0..world.companies()).map(|index| world.company(index)) {
        company.execute(params![
            c.number,
            c.name_ar,
            c.name_en,
            c.form,
            c.activity,
            status(c.state) as i32,
            c.registered.to_julian_day(),
            c.governorate,
            c.capital_fils,
        ])?;
        for (place, (holder, share_ppm)) in c.holders.iter().enumerate() {
            let (person, company) = match holder {
                Holder::Person(number) => (Some(number), None),
                Holder::Company(number) => (None, Some(number)),
            };
            holding.execute(params![c.number, place, person, company, share_ppm])?;
        }
    }
    Ok(())
}

fn status(state: CompanyState) -> CompanyStatus {
    match state {
        CompanyState::Active => CompanyStatus::Active,
        CompanyState::Suspended => CompanyStatus::Suspended,
        CompanyState::InLiquidation => CompanyStatus::InLiquidation,
        CompanyState::StruckOff => CompanyStatus::StruckOff,
    }
}

fn company_status(connection: &Connection, number: &str) -> Result<i32, Refusal> {
    let number = identifier("company_number", number)?;
    let mut statement = connection.prepare_cached("SELECT status FROM company WHERE number = ?1")?;
    statement
        .query_row([number], |row| row.get(0))
        .optional()?
        .ok_or(Refusal::CompanyUnknown)
}

fn company(connection: &Connection, store: &Store, number: &str) -> Result<Company, Refusal> {
    let number = identifier("company_number", number)?;
    let mut statement = connection.prepare_cached(
        "SELECT number, name_ar, name_en, form, activity, status, registered_on, governorate, capital_fils
         FROM company WHERE number = ?1",
    )?;
    let read = |row: &rusqlite::Row<'_>| {
        Ok(Company {
            company_number: row.get(0)?,
            name_ar: row.get(1)?,
            name_en: row.get(2)?,
            legal_form: Some(coded("JO-CCD-LEGAL-FORM", "1", row.get::<_, String>(3)?)),
            activity: Some(coded("ISIC", "Rev.4", row.get::<_, String>(4)?)),
            status: row.get(5)?,
            registered_on: Some(date(day_at(row, 6)?)),
            governorate: row.get(7)?,
            capital_fils: row.get(8)?,
            provenance: Some(store.provenance(1)),
        })
    };
    statement
        .query_row([number], read)
        .optional()?
        .ok_or(Refusal::CompanyUnknown)
}

/// One page from the given place on, and one entry more if there is one.
fn shareholdings(connection: &Connection, number: &str, from: i32, count: i32) -> Result<Vec<Shareholding>, Refusal> {
    company_status(connection, number)?;
    let number = identifier("company_number", number)?;
    let mut statement = connection.prepare_cached(
        "SELECT person, holding_company, share_ppm FROM shareholding
         WHERE company = ?1 AND place >= ?2 ORDER BY place LIMIT ?3",
    )?;
    let rows = statement.query_map(params![number, from, count + 1], |row| {
        let person: Option<String> = row.get(0)?;
        let company: Option<String> = row.get(1)?;
        let holder = person
            .map(|number| shareholding::Holder::Person(people::by_number(number)))
            .or_else(|| company.map(shareholding::Holder::CompanyNumber));
        Ok(Shareholding {
            holder,
            share_ppm: row.get(2)?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The service.
pub(super) struct Register {
    store: Store,
}

impl Register {
    pub(super) fn over(store: &Store) -> Self {
        Self { store: store.clone() }
    }
}

#[tonic::async_trait]
impl Companies for Register {
    async fn check_status(
        &self,
        request: Request<CompaniesCheckStatusRequest>,
    ) -> Result<Response<CompaniesCheckStatusResponse>, Status> {
        let number = request.into_inner().company_number;
        let status = self.store.read(move |c| company_status(c, &number)).await?;
        Ok(Response::new(CompaniesCheckStatusResponse {
            status,
            provenance: Some(self.store.provenance(1)),
        }))
    }

    async fn get_company(&self, request: Request<GetCompanyRequest>) -> Result<Response<GetCompanyResponse>, Status> {
        let number = request.into_inner().company_number;
        let store = self.store.clone();
        let company = self.store.read(move |c| company(c, &store, &number)).await?;
        Ok(Response::new(GetCompanyResponse { company: Some(company) }))
    }

    async fn list_shareholdings(
        &self,
        request: Request<ListShareholdingsRequest>,
    ) -> Result<Response<ListShareholdingsResponse>, Status> {
        let ListShareholdingsRequest {
            company_number,
            page_size,
            page_token,
        } = request.into_inner();
        let (usual, most) = PAGE;
        let count = match page_size {
            0 => usual,
            1.. => page_size.min(most),
            _ => return Err(Refusal::Field("page_size", "is negative").into()),
        };
        let token = || page_token.parse().ok().filter(|from| (0..=1_000_000).contains(from));
        let from: i32 = if page_token.is_empty() { Some(0) } else { token() }
            .ok_or(Refusal::Field("page_token", "is none that was given out"))
            .map_err(Status::from)?;
        let mut shareholdings = self
            .store
            .read(move |c| shareholdings(c, &company_number, from, count))
            .await?;
        let page = usize::try_from(count).expect("1 to 100");
        let more = shareholdings.len() > page;
        shareholdings.truncate(page);
        Ok(Response::new(ListShareholdingsResponse {
            shareholdings,
            next_page_token: if more {
                (from + count).to_string()
            } else {
                String::new()
            },
            provenance: Some(self.store.provenance(1)),
        }))
    }
}
