//! Instants as text: RFC 3339 outside, microseconds since 1970 inside.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::failure::Failure;

/// Microseconds of an RFC 3339 instant such as `2026-11-23T14:00:00Z`.
pub(crate) fn parse(text: &str) -> Result<u64, Failure> {
    let wrong = || {
        Failure::usage(
            format!("{text:?} is no instant after 1970"),
            "write it in the form of RFC 3339, for example 2026-11-23T14:00:00Z",
        )
    };
    let instant = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| wrong())?;
    u64::try_from(instant.unix_timestamp_nanos() / 1_000).map_err(|_| wrong())
}

/// RFC 3339 in UTC, whole seconds; `never` for 0.
pub(crate) fn show(us: u64) -> String {
    if us == 0 {
        return "never".into();
    }
    i64::try_from(us / 1_000_000)
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .and_then(|instant| instant.format(&Rfc3339).ok())
        .unwrap_or_else(|| format!("{us} µs after 1970"))
}

/// RFC 3339 in UTC with microseconds, always of the same form: it sorts as text.
pub(crate) fn precise(us: u64) -> String {
    let seconds = i64::try_from(us / 1_000_000).ok();
    let instant = seconds.and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    match instant.and_then(|instant| instant.format(&Rfc3339).ok()) {
        Some(text) => format!("{}.{:06}Z", text.trim_end_matches('Z'), us % 1_000_000),
        None => format!("{us} µs after 1970"),
    }
}

/// A span such as `90s`, `15m`, `24h`, `3d` or, in seconds, `90`.
pub(crate) fn span(text: &str) -> Result<std::time::Duration, String> {
    let digits = text.trim_end_matches(|letter: char| !letter.is_ascii_digit());
    let number: u64 = digits.parse().map_err(|_| form(text))?;
    let unit = match text.get(digits.len()..).unwrap_or_default() {
        "ms" => return Ok(std::time::Duration::from_millis(number)),
        "" | "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(form(text)),
    };
    number
        .checked_mul(unit)
        .map(std::time::Duration::from_secs)
        .ok_or_else(|| form(text))
}

fn form(text: &str) -> String {
    format!("{text:?} is no span of time: write a number and ms, s, m, h or d, for example 15s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_go_both_ways() {
        assert_eq!(parse("1970-01-01T00:00:01Z").unwrap(), 1_000_000);
        assert_eq!(
            parse("2026-11-23T17:00:00+03:00").unwrap(),
            parse("2026-11-23T14:00:00Z").unwrap()
        );
        assert_eq!(show(parse("2026-11-23T14:00:00Z").unwrap()), "2026-11-23T14:00:00Z");
        assert_eq!(show(0), "never");
    }

    #[test]
    fn microseconds_are_kept() {
        let text = precise(parse("2026-11-23T14:00:00.000120Z").unwrap());
        assert_eq!(text, "2026-11-23T14:00:00.000120Z");
        assert_eq!(precise(u64::MAX), format!("{} µs after 1970", u64::MAX));
    }

    #[test]
    fn what_is_no_instant_is_wrong_usage() {
        for text in [
            "",
            "yesterday",
            "2026-11-23",
            "2026-13-01T00:00:00Z",
            "1969-12-31T23:59:59Z",
        ] {
            assert_eq!(parse(text).unwrap_err().code(), crate::failure::USAGE, "{text}");
        }
        assert_eq!(show(u64::MAX), format!("{} µs after 1970", u64::MAX));
    }

    #[test]
    fn spans_need_a_number_and_a_known_unit() {
        assert_eq!(span("15s").unwrap().as_secs(), 15);
        assert_eq!(span("24h").unwrap().as_secs(), 86_400);
        assert_eq!(span("250ms").unwrap().as_millis(), 250);
        for text in ["", "s", "1w", "-1s", "1.5h", "18446744073709551615d", "٣s"] {
            assert!(span(text).is_err(), "{text}");
        }
    }
}
