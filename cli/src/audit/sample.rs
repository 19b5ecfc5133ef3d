//! `jisr audit sample`: a sample that anybody draws again from the same ledger and the same seed.

use std::collections::BinaryHeap;
use std::process::ExitCode;

use clap::Args;
use jisr_certs::digest::sha256;
use jisr_ledger::archive::{Exchange, Role};
use jisr_proto::ident::ExchangeId;

use super::export::JsonLines;
use super::{Source, record};
use crate::failure::Failure;
use crate::output;

/// Draw a sample of the exchanges of a ledger, the same each time
///
/// The exchanges are put in the order of SHA-256 over the seed (UTF-8) and the 16 bytes of the exchange id; the first N are
/// the sample. Agree on the seed after the ledger was handed over: whoever knows it before can choose ids.
#[derive(Debug, Args)]
#[command(after_help = super::EXIT_CODES, after_long_help = HELP)]
pub(crate) struct Sample {
    #[command(flatten)]
    source: Source,
    /// How many
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    number: u32,
    /// Any text
    #[arg(long, value_name = "S")]
    seed: String,
    /// Print JSON Lines, as `export --jsonl` does
    #[arg(long)]
    json: bool,
}

const HELP: &str = "\
Example:
  jisr audit sample /srv/handed/mol/ledger --anchor anchor -n 20 --seed 'committee 2026-11-23, dice 4 1 6'

Exit codes: 0 done, the ledger is VALID (or was not verified) · 1 the ledger is INVALID · 2 done, the ledger is \
INDETERMINATE · 64 wrong usage · 66 an input cannot be read · 70 this program or machine failed";

/// Where an exchange comes in the order of a seed. A node may hold both sides of one.
type Rank = ([u8; 32], ExchangeId, Role);

fn rank(seed: &str, exchange: &Exchange) -> Rank {
    let hash = sha256(&[seed.as_bytes(), exchange.id.as_bytes()]);
    (hash, exchange.id, exchange.role)
}

struct Ranked(Rank, u64, Box<Exchange>);

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (&self.0, self.1).cmp(&(&other.0, other.1))
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ranked {}

/// The first of an order, as far as they were seen.
struct Drawn {
    number: usize,
    seed: String,
    heap: BinaryHeap<Ranked>,
}

impl Drawn {
    fn take(&mut self, exchange: &Exchange) {
        let rank = rank(&self.seed, exchange);
        let is_full = self.heap.len() >= self.number;
        if is_full
            && self
                .heap
                .peek()
                .is_some_and(|last| (&last.0, last.1) <= (&rank, exchange.first))
        {
            return;
        }
        self.heap.push(Ranked(rank, exchange.first, Box::new(exchange.clone())));
        if is_full {
            self.heap.pop();
        }
    }

    fn in_order(self) -> Vec<Ranked> {
        self.heap.into_sorted_vec()
    }
}

impl Sample {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        let opened = self.source.open(false)?;
        let mut drawn = Drawn {
            number: usize::try_from(self.number).unwrap_or(usize::MAX),
            seed: self.seed,
            heap: BinaryHeap::new(),
        };
        opened.exchanges(|exchange| {
            drawn.take(exchange);
            Ok(())
        })?;
        let drawn = drawn.in_order();
        let mut sink = output::Sink::stdout();
        if self.json {
            opened.say_heading();
            let mut lines = JsonLines::new(sink);
            for Ranked(_, _, exchange) in &drawn {
                lines.write(exchange)?;
            }
            lines.end()?;
        } else {
            sink.line(&opened.heading())?;
            for Ranked(_, _, exchange) in &drawn {
                sink.line(&record::line(exchange))?;
            }
            sink.end()?;
        }
        Ok(opened.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::record::tests::{BEGAN_US, exchange};

    fn drawn(seed: &str, number: usize, order: impl Iterator<Item = u8>) -> Vec<ExchangeId> {
        let mut drawn = Drawn {
            number,
            seed: seed.to_owned(),
            heap: BinaryHeap::new(),
        };
        for n in order {
            let mut exchange = exchange("work");
            exchange.id = ExchangeId::new_v7(BEGAN_US, [n; 10]);
            drawn.take(&exchange);
        }
        drawn.in_order().into_iter().map(|ranked| ranked.2.id).collect()
    }

    #[test]
    fn a_seed_draws_the_same_whatever_the_order_and_another_draws_others() {
        let one = drawn("seed", 5, 0..100);
        assert_eq!(one, drawn("seed", 5, (0..100).rev()));
        assert_eq!(one[..3], drawn("seed", 3, 0..100)[..]);
        assert_ne!(one, drawn("Seed", 5, 0..100));
        assert_eq!(drawn("seed", 500, 0..100).len(), 100);
    }

    #[test]
    fn the_order_is_the_documented_one() {
        let mut ids: Vec<ExchangeId> = (0..100).map(|n| ExchangeId::new_v7(BEGAN_US, [n; 10])).collect();
        ids.sort_by_key(|id| sha256(&[b"seed", id.as_bytes()]));
        assert_eq!(drawn("seed", 100, 0..100), ids);
    }
}
