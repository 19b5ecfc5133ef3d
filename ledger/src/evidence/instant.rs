//! Instants for people: RFC 3339 in UTC, whole seconds.

/// `2026-11-23T14:00:00Z` for microseconds since 1970-01-01T00:00:00Z.
pub fn utc(us: u64) -> String {
    let seconds = us / 1_000_000;
    let (days, time) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (time / 3_600, time / 60 % 60, time % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Year, month and day of the day that many days after 1970-01-01. Years are counted from March in eras of 400, so that the
/// leap day is the last of a year.
fn date(days: u64) -> (u64, u64, u64) {
    const ERA_DAYS: u64 = 146_097;
    let since_0000_03_01 = days + 719_468;
    let (era, day_of_era) = (since_0000_03_01 / ERA_DAYS, since_0000_03_01 % ERA_DAYS);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / (ERA_DAYS - 1)) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        assert_eq!(utc(0), "1970-01-01T00:00:00Z");
        assert_eq!(utc(951_782_399_999_999), "2000-02-28T23:59:59Z");
        assert_eq!(utc(951_782_400_000_000), "2000-02-29T00:00:00Z");
        assert_eq!(utc(951_868_800_000_000), "2000-03-01T00:00:00Z");
        assert_eq!(utc(1_790_000_000_000_000), "2026-09-21T14:13:20Z");
        assert_eq!(utc(4_107_542_400_000_000), "2100-03-01T00:00:00Z");
        assert!(utc(u64::MAX).ends_with('Z'));
    }
}
