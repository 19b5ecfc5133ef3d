//! Between rows and messages. Days are stored as Julian days, months as months since year 0.

use prost_types::Timestamp;
use rusqlite::Row;
use time::{Date, OffsetDateTime, UtcOffset};

use crate::jo::common::v1 as common;
use crate::world::Month;

use super::refusal::Refusal;
use super::store::Store;

/// Amman is three hours ahead of UTC all year since October 2022.
const AMMAN: UtcOffset = match UtcOffset::from_hms(3, 0, 0) {
    Ok(offset) => offset,
    Err(_) => UtcOffset::UTC,
};

/// A day, from a column that holds a Julian day.
pub(super) fn day_at(row: &Row<'_>, column: usize) -> rusqlite::Result<Date> {
    let julian: i32 = row.get(column)?;
    Date::from_julian_day(julian).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, i64::from(julian)))
}

/// A day as a message.
pub(super) fn date(day: Date) -> common::Date {
    common::Date {
        year: day.year(),
        month: i32::from(u8::from(day.month())),
        day: i32::from(day.day()),
    }
}

/// A month as a message.
pub(super) fn month(month: Month) -> common::Month {
    common::Month {
        year: month.year(),
        month: i32::from(month.month()),
    }
}

/// A day from a message; nothing where the message is absent.
pub(super) fn day_from(field: &'static str, day: Option<&common::Date>) -> Result<Option<Date>, Refusal> {
    let Some(day) = day else { return Ok(None) };
    let parsed = || {
        let month = time::Month::try_from(u8::try_from(day.month).ok()?).ok()?;
        Date::from_calendar_date(day.year, month, u8::try_from(day.day).ok()?).ok()
    };
    parsed()
        .map(Some)
        .ok_or(Refusal::Field(field, "is no day of the calendar"))
}

/// A month from a message; nothing where the message is absent.
pub(super) fn month_from(field: &'static str, month: Option<&common::Month>) -> Result<Option<Month>, Refusal> {
    let Some(month) = month else { return Ok(None) };
    if !(1..=12).contains(&month.month) || !(1..=9_999).contains(&month.year) {
        return Err(Refusal::Field(field, "is no month of the calendar"));
    }
    Ok(Some(Month::from_number(month.year * 12 + month.month - 1)))
}

/// A point in time as a message.
pub(super) fn timestamp(time: OffsetDateTime) -> Timestamp {
    Timestamp {
        seconds: time.unix_timestamp(),
        nanos: 0,
    }
}

/// A value of a code list.
pub(super) fn coded(scheme: &str, version: &str, code: impl Into<String>) -> common::CodedValue {
    common::CodedValue {
        scheme: scheme.to_owned(),
        version: version.to_owned(),
        code: code.into(),
    }
}

impl Store {
    /// Where a record of this register comes from: as of the morning of the world's day.
    pub(super) fn provenance(&self, record_version: u64) -> common::Provenance {
        common::Provenance {
            source: self.agency.code().to_owned(),
            record_version,
            as_of: Some(timestamp(self.as_of())),
        }
    }

    /// The beginning of the world's day in Amman.
    pub(super) fn as_of(&self) -> OffsetDateTime {
        self.world.today.midnight().assume_offset(AMMAN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::date;

    #[test]
    fn days_and_months_that_do_not_exist_are_refused() {
        let wrong = |year, month, day| common::Date { year, month, day };
        for day in [
            wrong(2026, 2, 29),
            wrong(2026, 13, 1),
            wrong(2026, 0, 1),
            wrong(2026, 1, -1),
            wrong(i32::MAX, 1, 1),
        ] {
            assert!(day_from("f", Some(&day)).is_err(), "{day:?}");
        }
        assert!(
            month_from(
                "f",
                Some(&common::Month {
                    year: i32::MAX,
                    month: 1
                })
            )
            .is_err()
        );
        assert_eq!(
            day_from("f", Some(&date(date!(2024 - 02 - 29)))).unwrap(),
            Some(date!(2024 - 02 - 29))
        );
        assert_eq!(day_from("f", None).unwrap(), None);
    }
}
