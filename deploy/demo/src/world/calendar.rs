//! Whole months, and days moved by months.

use time::Date;

/// A calendar month, ordered by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month(i32);

impl Month {
    /// The month that a day lies in.
    pub fn of(day: Date) -> Self {
        Self(day.year() * 12 + i32::from(u8::from(day.month())) - 1)
    }

    /// From the number of months since year 0.
    pub fn from_number(number: i32) -> Self {
        Self(number)
    }

    /// Months since year 0.
    pub fn number(self) -> i32 {
        self.0
    }

    /// Year.
    pub fn year(self) -> i32 {
        self.0.div_euclid(12)
    }

    /// Month of the year, 1 to 12.
    pub fn month(self) -> u8 {
        u8::try_from(self.0.rem_euclid(12) + 1).expect("1 to 12")
    }

    /// Moved by a number of months.
    #[must_use]
    pub fn plus(self, months: i32) -> Self {
        Self(self.0 + months)
    }
}

/// The same day of another month, or that month's last day where it has no such day.
///
/// # Panics
/// If the year leaves -9999 to 9999.
pub fn add_months(day: Date, months: i32) -> Date {
    let target = Month::of(day).plus(months);
    let month = time::Month::try_from(target.month()).expect("1 to 12");
    let last = month.length(target.year());
    Date::from_calendar_date(target.year(), month, day.day().min(last)).expect("a day that the month has")
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::date;

    #[test]
    fn months_wrap_over_years_and_short_months() {
        assert_eq!(add_months(date!(2026 - 11 - 30), 3), date!(2027 - 02 - 28));
        assert_eq!(add_months(date!(2024 - 03 - 31), -1), date!(2024 - 02 - 29));
        assert_eq!(add_months(date!(2026 - 01 - 15), -1), date!(2025 - 12 - 15));
        let january = Month::of(date!(2026 - 01 - 01));
        assert_eq!((january.plus(-1).year(), january.plus(-1).month()), (2025, 12));
    }
}
