//! Evidence files judged a second on one core: `cargo run --release -p jisr-ledger --example evidence -- ANCHOR FILE...`.
//!
//! `cold`: each file by a verifier that has seen nothing. `shared`: the files one after the other by one verifier, which has met
//! their certificates, snapshots and agreements but not their checkpoints. `warm`: files that it has met before.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use jisr_ledger::anchor::Anchor;
use jisr_ledger::clock::{Clock, SystemClock};
use jisr_ledger::evidence::{Verifier, is_set};
use jisr_ledger::report::Verdict;

type Failure = Box<dyn std::error::Error>;

const ROUND: Duration = Duration::from_secs(2);

fn main() -> Result<(), Failure> {
    let mut paths = std::env::args_os().skip(1).map(PathBuf::from);
    let anchor = paths.next().ok_or("name the anchor, then evidence files")?;
    let anchor: Anchor = std::fs::read_to_string(anchor)?.parse()?;
    let files = paths.map(std::fs::read).collect::<Result<Vec<_>, _>>()?;
    let files: Vec<Vec<u8>> = files.into_iter().filter(|file| !is_set(file)).collect();
    let first = files.first().ok_or("name at least one evidence file of one exchange")?;
    let now_us = SystemClock.now_us();
    let judge = |verifier: &Verifier, file: &[u8]| -> Result<(), Failure> {
        let report = verifier.verify(file, now_us);
        if report.verdict == Verdict::Invalid {
            return Err(report.reason.into());
        }
        Ok(())
    };
    let sizes = || files.iter().map(Vec::len);
    println!(
        "{} files of {} to {} bytes",
        files.len(),
        sizes().min().unwrap_or_default(),
        sizes().max().unwrap_or_default()
    );
    let cold = rate(&files, |file| judge(&Verifier::new(anchor.clone()), file))?;
    println!("cold   {cold:>8.0} files/s");
    let (mut spent, mut judged) = (Duration::ZERO, 0u32);
    while spent < ROUND && files.len() > 1 {
        let verifier = Verifier::new(anchor.clone());
        judge(&verifier, first)?;
        let begun = Instant::now();
        for file in files.iter().skip(1) {
            judge(&verifier, file)?;
            judged += 1;
        }
        spent += begun.elapsed();
    }
    println!("shared {:>8.0} files/s", f64::from(judged) / spent.as_secs_f64());
    let verifier = Verifier::new(anchor.clone());
    let warm = rate(&files, |file| judge(&verifier, file))?;
    println!("warm   {warm:>8.0} files/s");
    Ok(())
}

/// How many a second: the files in turn for a round.
fn rate(files: &[Vec<u8>], judge: impl Fn(&[u8]) -> Result<(), Failure>) -> Result<f64, Failure> {
    let begun = Instant::now();
    let mut judged = 0u32;
    for file in files.iter().cycle() {
        judge(file)?;
        judged += 1;
        if begun.elapsed() > ROUND {
            break;
        }
    }
    Ok(f64::from(judged) / begun.elapsed().as_secs_f64())
}
