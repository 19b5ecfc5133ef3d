//! Random faults on a running network of three nodes under load: nothing that was acknowledged is lost, everything is
//! closed once on each side, nothing runs twice, no ledger forks.
//!
//! `cargo test -p jisr-tests --test campaign -- --seed 7 --rounds 300` plays 300 rounds; a run is repeated by its seed.
//! What is chosen follows from the seed alone; which write a fault meets is the machine's choice too.

mod dice;
mod fault;
mod judge;
mod load;
mod round;

use std::process::ExitCode;
use std::time::Instant;

use dice::Dice;

/// Rounds that every run of the tests plays.
const ROUNDS: u64 = 4;
/// Rounds in one network; then a new one is made, so that judging does not become ever longer.
const ROUNDS_A_NETWORK: u64 = 10;
/// The seed of every run of the tests.
const SEED: u64 = 1;

/// What the command line asks for.
struct Asked {
    seed: u64,
    rounds: u64,
}

fn main() -> ExitCode {
    let Some(asked) = asked(std::env::args().skip(1)) else {
        return ExitCode::SUCCESS;
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime can be made");
    let started = Instant::now();
    let mut dice = Dice::new(asked.seed);
    let mut tally = judge::Tally::default();
    let mut played = 0;
    while played < asked.rounds {
        let rounds = ROUNDS_A_NETWORK.min(asked.rounds - played);
        runtime.block_on(round::network(&mut dice, played, rounds, &mut tally));
        played += rounds;
    }
    println!(
        "campaign: seed {}, {} rounds in {} s: {tally}",
        asked.seed,
        asked.rounds,
        started.elapsed().as_secs()
    );
    ExitCode::SUCCESS
}

/// `None` where the test runner asks for other tests by name, or for a list.
fn asked(mut arguments: impl Iterator<Item = String>) -> Option<Asked> {
    let mut asked = Asked {
        seed: SEED,
        rounds: ROUNDS,
    };
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next().and_then(|text| text.parse().ok());
        match argument.as_str() {
            "--seed" => asked.seed = number().expect("--seed takes a number"),
            "--rounds" => asked.rounds = number().expect("--rounds takes a number"),
            "--list" => return None,
            name if !name.starts_with('-') && !"campaign".contains(name) => return None,
            _ => {}
        }
    }
    Some(asked)
}
