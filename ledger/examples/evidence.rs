//! Evidence files judged a second on one core: `cargo run --release -p jisr-ledger --example evidence -- ANCHOR FILE...`.
//!
//! `cold`: each file by a verifier that has seen nothing. `shared`: the files one after the other by one verifier, which has met
//! their certificates, snapshots and agreements but not their checkpoints. `warm`: files that it has met before. A second is one of
//! this thread's processor time where the system tells it: others on the machine do not count.

use std::path::PathBuf;
use std::time::Duration;

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
        let begun = processor_time()?;
        for file in files.iter().skip(1) {
            judge(&verifier, file)?;
            judged += 1;
        }
        spent += processor_time()?.saturating_sub(begun);
    }
    println!("shared {:>8.0} files/s", f64::from(judged) / spent.as_secs_f64());
    let verifier = Verifier::new(anchor.clone());
    let warm = rate(&files, |file| judge(&verifier, file))?;
    println!("warm   {warm:>8.0} files/s");
    Ok(())
}

/// How many a second: the files in turn for a round.
fn rate(files: &[Vec<u8>], judge: impl Fn(&[u8]) -> Result<(), Failure>) -> Result<f64, Failure> {
    let begun = processor_time()?;
    let mut judged = 0u32;
    let spent = loop {
        for file in files {
            judge(file)?;
            judged += 1;
        }
        let spent = processor_time()?.saturating_sub(begun);
        if spent > ROUND {
            break spent;
        }
    };
    Ok(f64::from(judged) / spent.as_secs_f64())
}

/// How long this thread has been running on a processor; on systems other than Linux, how late it is.
fn processor_time() -> Result<Duration, Failure> {
    let Ok(spent) = std::fs::read_to_string("/proc/thread-self/schedstat") else {
        return Ok(std::time::SystemTime::UNIX_EPOCH.elapsed()?);
    };
    let running = spent.split_whitespace().next().ok_or("schedstat is empty")?;
    Ok(Duration::from_nanos(running.parse()?))
}
