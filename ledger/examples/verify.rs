//! Statements a second that the verifier of a ledger directory reads, in this process and by `jisr ledger verify` from start to
//! end. Run with `--release`; arguments are a directory, the number of statements, and the program if it is to be measured too.

#[path = "../tests/network/mod.rs"]
#[expect(
    clippy::indexing_slicing,
    dead_code,
    unused_imports,
    reason = "shared with the tests"
)]
mod network;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use jisr_ledger::frame::{Record, SegmentHeader, put_record, segment_name};
use jisr_ledger::note::{Checkpoint, assemble, signature_line};
use jisr_ledger::statement::Draft;
use jisr_ledger::tree::{Frontier, leaf_hash};
use jisr_ledger::verify::{Options, directory};
use jisr_proto::statement::Kind;
use network::{Inputs, Network, ORIGINS, segment};

type Failure = Box<dyn std::error::Error>;

/// Statements of one frame, as a busy node commits them, and frames of one segment.
const FRAME: usize = 64;
const SEGMENT: usize = 512;
const ROUNDS: usize = 5;
/// Whose ledger it is: PSD's.
const WHOSE: usize = 2;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args_os().skip(1);
    let base = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let count: u64 = match arguments.next() {
        Some(count) => count.to_string_lossy().parse()?,
        None => 1_000_000,
    };
    let program = arguments.next().map(PathBuf::from);
    let dir = base.join(format!("jisr-verify-{}", std::process::id()));
    let inputs = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/vectors/inputs.json"))?;
    let network = Network::new(&Inputs::from_json(&serde_json::from_str(&inputs)?));
    let (size, bytes) = write(&network, &dir, count)?;
    println!("{size} statements, {} bytes each", bytes / size);
    let anchor = dir.with_extension("anchor");
    std::fs::write(&anchor, network.anchor.to_string())?;
    let (mut inside, mut outside) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        let report = directory(&dir, &network.anchor, &Options::default())?;
        inside.push(size as f64 / begun.elapsed().as_secs_f64());
        if inside.len() == 1 {
            println!("verdict: {}", report.verdict);
        }
        if let Some(program) = &program {
            outside.push(size as f64 / end_to_end(program, &dir, &anchor)?);
        }
    }
    print("the verifier, statements/s", &mut inside);
    print("jisr ledger verify, statements/s", &mut outside);
    std::fs::remove_file(anchor)?;
    std::fs::remove_dir_all(dir)?;
    Ok(())
}

fn print(name: &str, rates: &mut [f64]) {
    rates.sort_unstable_by(f64::total_cmp);
    if let (Some(least), Some(median), Some(most)) = (rates.first(), rates.get(rates.len() / 2), rates.last()) {
        println!("{name:<34} {median:>9.0}  {least:>9.0} .. {most:>9.0}");
    }
}

/// Seconds from the start of the program to its end.
fn end_to_end(program: &Path, dir: &Path, anchor: &Path) -> Result<f64, Failure> {
    let begun = Instant::now();
    let mut command = Command::new(program);
    command.args(["ledger", "verify"]).arg(dir).arg("--anchor").arg(anchor);
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    if status.code().is_none() {
        return Err("the program was killed".into());
    }
    Ok(begun.elapsed().as_secs_f64())
}

/// A ledger grown by questions, each frame with the checkpoint of the one before; says its statements and bytes.
fn write(network: &Network, dir: &Path, count: u64) -> Result<(u64, u64), Failure> {
    let log = network.logs.get(WHOSE).ok_or("the network has three ledgers")?;
    let pair = network::pair(&network::seed_of(WHOSE));
    let (mut tree, mut bytes) = (Frontier::new(), 0);
    let mut asked = network.core(Kind::Asked, 0);
    asked.consumer = "JO/GOV/psd/residency".into();
    let draft = || {
        let draft = Draft::new(asked.clone()).purpose("work-permit-renewal").case("case 12");
        draft.officer("o7").payload(network::REQUEST).close()
    };
    let ready: Vec<_> = (0..1_000)
        .map(|_| draft())
        .map(|closed| (segment::statement(&closed), leaf_hash(&closed.leaf())))
        .collect();
    let mut ready = ready.iter().cycle();
    std::fs::create_dir_all(dir.join("segments"))?;
    for number in 0.. {
        if tree.size() >= count {
            break;
        }
        let header = SegmentHeader {
            number,
            first_index: tree.size(),
            root: tree.root(),
        };
        let mut file = header.encode().to_vec();
        if let (0, Some(started)) = (number, log.statements.first()) {
            file.extend(segment::frame(&segment::statement(started)));
            tree.push(leaf_hash(&started.leaf()));
        }
        for _ in 0..SEGMENT {
            let text = Checkpoint {
                origin: ORIGINS[WHOSE].into(),
                size: tree.size(),
                root: tree.root(),
            }
            .text();
            let line = signature_line(&log.key(), pair.sign(text.as_bytes()).as_ref());
            let mut body = Vec::new();
            for (record, leaf) in ready.by_ref().take(FRAME) {
                body.extend_from_slice(record);
                tree.push(*leaf);
            }
            put_record(&mut body, Record::Checkpoint(assemble(&text, [line.as_str()]).as_ref()));
            file.extend(segment::frame(&body));
        }
        bytes += file.len() as u64;
        let mut segment = std::fs::File::create(dir.join("segments").join(segment_name(number)))?;
        segment.write_all(&file)?;
    }
    Ok((tree.size(), bytes))
}
