//! Renewals: the one thing here that has effects. An exchange acts once; asked again, it gets the same reply.

use prost::Message;
use rusqlite::{OptionalExtension, Transaction, params};

use crate::jo::labour::v1::{RenewRequest, RenewResponse};
use crate::world::add_months;

use super::Row;
use crate::backend::people;
use crate::backend::refusal::Refusal;
use crate::backend::store::Store;
use crate::backend::wire::date;

/// What every exchange asked and got.
pub(super) const TABLE: &str = "
    CREATE TABLE renewal (exchange TEXT PRIMARY KEY, request BLOB NOT NULL, reply BLOB NOT NULL) STRICT, WITHOUT ROWID;";

/// Fee of one month: twenty dinars.
const FEE_FILS: i64 = 20_000;

/// Renews, unless this exchange did so before. The row of the exchange and the permit change together.
pub(super) fn once(
    transaction: &Transaction<'_>,
    store: &Store,
    exchange: &str,
    request: &RenewRequest,
) -> Result<RenewResponse, Refusal> {
    if let Some(reply) = done_before(transaction, exchange, request)? {
        return Ok(reply);
    }
    let reply = renew(transaction, store, request)?;
    transaction.execute(
        "INSERT INTO renewal VALUES (?1, ?2, ?3)",
        params![exchange, request.encode_to_vec(), reply.encode_to_vec()],
    )?;
    Ok(reply)
}

fn done_before(
    transaction: &Transaction<'_>,
    exchange: &str,
    request: &RenewRequest,
) -> Result<Option<RenewResponse>, Refusal> {
    let found: Option<(Vec<u8>, Vec<u8>)> = transaction
        .query_row(
            "SELECT request, reply FROM renewal WHERE exchange = ?1",
            [exchange],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()?;
    let Some((asked, reply)) = found else { return Ok(None) };
    if asked != request.encode_to_vec() {
        return Err(Refusal::OtherRequest);
    }
    RenewResponse::decode(reply.as_slice())
        .map(Some)
        .map_err(|_| Refusal::Register)
}

fn renew(transaction: &Transaction<'_>, store: &Store, request: &RenewRequest) -> Result<RenewResponse, Refusal> {
    let months = i32::try_from(request.months)
        .ok()
        .filter(|months| (1..=12).contains(months));
    let months = months.ok_or(Refusal::Field("months", "is not 1 to 12"))?;
    let person = people::find(transaction, request.person.as_ref())?;
    let permit = Row::of(transaction, person)?;
    if permit.number != people::identifier("number", &request.number)? {
        return Err(Refusal::NoPermit);
    }
    if permit.cancelled {
        return Err(Refusal::PermitCancelled);
    }
    // A permit that ran out starts anew today.
    let until = add_months(permit.until.max(store.world.today), months);
    let version = permit.version + 1;
    transaction.execute(
        "UPDATE permit SET valid_until = ?1, version = ?2 WHERE person = ?3",
        params![until.to_julian_day(), version, person],
    )?;
    Ok(RenewResponse {
        reference: format!("RNW-{}-{version}", permit.number),
        valid_until: Some(date(until)),
        fee_fils: FEE_FILS * i64::from(months),
        provenance: Some(store.provenance(version)),
    })
}
