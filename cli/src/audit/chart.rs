//! The timeline: exchanges per hour, day, month or year, by what they came to, as an inline SVG.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jisr_ledger::archive::Exchange;
use jisr_proto::statement::Kind;

use super::html::escape;
use super::words::Words;
use crate::instant;

/// Answered, refused, failed or cancelled, outcome unknown, open.
pub(super) const GROUPS: usize = 5;
/// Bars that are drawn at most.
const BARS_MAX: usize = 400;

/// Counts of one span, by group.
pub(super) type Bar = [u64; GROUPS];

/// Exchanges by the hour in which they began.
#[derive(Debug, Default)]
pub(super) struct Timeline(BTreeMap<u64, Bar>);

/// The bars that are drawn.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Bars {
    /// 0 hour, 1 day, 2 month, 3 year.
    pub(super) unit: usize,
    /// Beginning of the span as text, and its counts.
    pub(super) bars: Vec<(String, Bar)>,
    /// Spans without exchanges, or the oldest ones, are left out.
    pub(super) has_gaps: bool,
}

const HOUR_US: u64 = 3_600_000_000;

impl Timeline {
    pub(super) fn take(&mut self, exchange: &Exchange) {
        let group = match exchange.outcome {
            None => 4,
            Some(Kind::Answered | Kind::Delivered) => 0,
            Some(Kind::Refused) => 1,
            Some(Kind::OutcomeUnknown) => 3,
            Some(_) => 2,
        };
        let bar = self.0.entry(exchange.began_us / HOUR_US).or_default();
        if let Some(count) = bar.get_mut(group) {
            *count += 1;
        }
    }

    /// Sums up by the smallest unit that gives a readable number of bars.
    pub(super) fn bars(&self) -> Bars {
        let (Some((first, _)), Some((last, _))) = (self.0.first_key_value(), self.0.last_key_value()) else {
            return Bars {
                unit: 0,
                bars: Vec::new(),
                has_gaps: false,
            };
        };
        let hours = last - first;
        let unit = [96, 120 * 24, 240 * 730]
            .iter()
            .filter(|bound| hours >= **bound)
            .count();
        let mut sums: BTreeMap<String, Bar> = BTreeMap::new();
        // Where every span is known by number, those without exchanges are drawn as gaps.
        let step = [1, 24].get(unit).copied();
        for hour in step.into_iter().flat_map(|step| (*first..=*last).step_by(step)) {
            sums.entry(label(hour, unit)).or_default();
        }
        for (hour, bar) in &self.0 {
            let sum = sums.entry(label(*hour, unit)).or_default();
            for (sum, count) in sum.iter_mut().zip(bar) {
                *sum += count;
            }
        }
        let spare = sums.len().saturating_sub(BARS_MAX);
        Bars {
            unit,
            bars: sums.into_iter().skip(spare).collect(),
            has_gaps: step.is_none() || spare > 0,
        }
    }
}

/// `2026-11-23 14h`, `2026-11-23`, `2026-11` or `2026`: each sorts as text.
fn label(hour: u64, unit: usize) -> String {
    let text = instant::show(hour.saturating_mul(HOUR_US).max(1));
    let cut = [13, 10, 7, 4].get(unit).copied().unwrap_or(4);
    match text.get(..cut) {
        Some(start) if unit == 0 => format!("{}h", start.replace('T', " ")),
        Some(start) => start.to_owned(),
        None => text,
    }
}

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 200.0;
const LEFT: f64 = 56.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 28.0;

/// The drawing; colours come from the page's style. The text alternative names the extent, the table below it all numbers.
#[expect(clippy::cast_precision_loss, reason = "a drawing shows three digits of a count")]
pub(super) fn svg(bars: &Bars, words: &Words) -> String {
    let most = bars
        .bars
        .iter()
        .map(|(_, bar)| bar.iter().sum::<u64>())
        .max()
        .unwrap_or(0)
        .max(1);
    let total: u64 = bars.bars.iter().flat_map(|(_, bar)| bar).sum();
    let (first, last) = match (bars.bars.first(), bars.bars.last()) {
        (Some((first, _)), Some((last, _))) => (first.as_str(), last.as_str()),
        _ => ("-", "-"),
    };
    let per = words.per.get(bars.unit).copied().unwrap_or_default();
    let id = words.lang;
    let mut svg = format!(
        "<svg role=\"img\" aria-labelledby=\"title-{id} desc-{id}\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" direction=\"ltr\">\
         <title id=\"title-{id}\">{} {per}</title><desc id=\"desc-{id}\">{}: {total}; {} – {}; max {most} {per}</desc>",
        escape(words.timeline),
        escape(words.exchanges),
        escape(first),
        escape(last),
    );
    let floor = HEIGHT - BOTTOM;
    let room = floor - TOP;
    let step = (WIDTH - LEFT - 8.0) / bars.bars.len().max(1) as f64;
    for (at, (label, bar)) in bars.bars.iter().enumerate() {
        let x = LEFT + step * at as f64;
        let width = (step * 0.85).max(0.6);
        let mut y = floor;
        for (group, count) in bar.iter().enumerate().filter(|(_, count)| **count > 0) {
            let height = room * *count as f64 / most as f64;
            y -= height;
            let name = words.groups.get(group).copied().unwrap_or_default();
            // Writing to a string cannot fail.
            let _ = write!(
                svg,
                "<rect class=\"g{group}\" x=\"{x:.2}\" y=\"{y:.2}\" width=\"{width:.2}\" height=\"{height:.2}\">\
                 <title>{}: {name} {count}</title></rect>",
                escape(label)
            );
        }
    }
    let _ = write!(
        svg,
        "<line class=\"axis\" x1=\"{LEFT}\" y1=\"{floor}\" x2=\"{WIDTH}\" y2=\"{floor}\"/>\
         <text x=\"{}\" y=\"{}\" text-anchor=\"end\">{most}</text><text x=\"{}\" y=\"{floor}\" text-anchor=\"end\">0</text>\
         <text x=\"{LEFT}\" y=\"{}\">{}</text><text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text></svg>",
        LEFT - 6.0,
        TOP + 8.0,
        LEFT - 6.0,
        HEIGHT - 8.0,
        escape(first),
        WIDTH - 8.0,
        HEIGHT - 8.0,
        escape(last),
    );
    svg
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::record::tests::{BEGAN_US, exchange};
    use crate::audit::words::ENGLISH;

    fn timeline(at: &[u64]) -> Timeline {
        let mut timeline = Timeline::default();
        for at in at {
            let mut exchange = exchange("work");
            exchange.began_us = *at;
            timeline.take(&exchange);
        }
        timeline
    }

    #[test]
    fn the_unit_grows_with_the_span() {
        let day = 24 * HOUR_US;
        let bars = timeline(&[BEGAN_US, BEGAN_US + 1, BEGAN_US + 3 * HOUR_US]).bars();
        let labels: Vec<&str> = bars.bars.iter().map(|(label, _)| label.as_str()).collect();
        assert_eq!(
            labels,
            ["2026-09-21 14h", "2026-09-21 15h", "2026-09-21 16h", "2026-09-21 17h"]
        );
        assert_eq!(bars.bars[0].1, [2, 0, 0, 0, 0]);
        for (span, unit, count) in [
            (5 * day, 1, 6),
            (119 * day, 1, 120),
            (400 * day, 2, 2),
            (40_000 * day, 3, 2),
        ] {
            let bars = timeline(&[BEGAN_US, BEGAN_US + span]).bars();
            assert_eq!((bars.unit, bars.bars.len()), (unit, count), "{span}");
        }
        assert_eq!(timeline(&[]).bars().bars.len(), 0);
    }

    #[test]
    fn absurd_times_are_drawn_too() {
        let bars = timeline(&[1, u64::MAX]).bars();
        assert!(svg(&bars, &ENGLISH).ends_with("</svg>"));
        assert!(svg(&timeline(&[]).bars(), &ENGLISH).contains("<desc"));
    }
}
