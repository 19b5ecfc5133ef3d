//! Numbers for a monitoring system, as text: the Prometheus text exposition format, version 0.0.4
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>).
//!
//! A program collects what it has at the moment that it is asked; nothing is registered anywhere, and a number that is not given is not there.

use std::fmt::{Display, Write as _};

/// Media type of the text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Path under which it is asked for.
pub const PATH: &str = "/metrics";

/// What kind of number it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Goes up and down.
    Gauge,
    /// Only goes up, until the process is started again. Its name ends in `_total`.
    Counter,
}

/// The text as it grows.
#[derive(Debug, Default)]
pub struct Exposition {
    text: String,
}

impl Exposition {
    /// Begins a family of numbers: its name, what it says in English and in which unit. Its samples follow at once.
    pub fn family<'a>(&'a mut self, name: &'a str, kind: Kind, help: &str) -> Family<'a> {
        let kind = match kind {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
        };
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        self.put(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        Family { whole: self, name }
    }

    /// A family of one number without labels.
    pub fn one(&mut self, name: &str, kind: Kind, help: &str, value: impl Display) {
        self.family(name, kind, help).sample(&[], value);
    }

    /// The whole text.
    #[must_use]
    pub fn finish(self) -> String {
        self.text
    }

    fn put(&mut self, what: std::fmt::Arguments<'_>) {
        self.text.write_fmt(what).expect("a String takes what is written");
    }
}

/// One family, to which samples are added.
#[derive(Debug)]
pub struct Family<'a> {
    whole: &'a mut Exposition,
    name: &'a str,
}

impl Family<'_> {
    /// One number under these labels. Label values may be any text.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) -> &mut Self {
        let name = self.name;
        self.whole.put(format_args!("{name}"));
        for (at, (label, value)) in labels.iter().enumerate() {
            let before = if at == 0 { '{' } else { ',' };
            self.whole.put(format_args!("{before}{label}=\"{}\"", escaped(value)));
        }
        let close = if labels.is_empty() { "" } else { "}" };
        self.whole.put(format_args!("{close} {value}\n"));
        self
    }
}

/// Microseconds as seconds, exactly.
#[must_use]
pub fn seconds(us: u64) -> String {
    format!("{}.{:06}", us / 1_000_000, us % 1_000_000)
}

/// Seconds from one instant to a later one, microseconds since 1970; 0 where it has come already, or is not known (0).
#[must_use]
pub fn seconds_until(instant_us: u64, now_us: u64) -> String {
    seconds(instant_us.saturating_sub(now_us))
}

fn escaped(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_written_as_the_format_wants_them() {
        let mut text = Exposition::default();
        text.one("jisr_up", Kind::Gauge, "It runs.", 1);
        text.family("jisr_failures_total", Kind::Counter, "Failures.\nBy peer.")
            .sample(&[("peer", "JO/GOV/psd"), ("reason", "a\"b\\c\nd")], 3)
            .sample(&[("peer", ""), ("reason", "X")], 4);
        assert_eq!(
            text.finish(),
            "# HELP jisr_up It runs.\n# TYPE jisr_up gauge\njisr_up 1\n\
             # HELP jisr_failures_total Failures.\\nBy peer.\n# TYPE jisr_failures_total counter\n\
             jisr_failures_total{peer=\"JO/GOV/psd\",reason=\"a\\\"b\\\\c\\nd\"} 3\n\
             jisr_failures_total{peer=\"\",reason=\"X\"} 4\n"
        );
    }

    #[test]
    fn times_are_exact_and_never_negative() {
        assert_eq!(seconds(1_000_001), "1.000001");
        assert_eq!(seconds_until(5, 9), "0.000000");
        assert_eq!(seconds_until(9_500_000, 500_000), "9.000000");
    }
}
