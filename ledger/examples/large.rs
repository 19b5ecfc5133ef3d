//! Fills a ledger with many small statements, then opens it: from its resume point, and without. Run with `--release`;
//! arguments are a directory, the number of statements, and how many of them come at once. With 1 each statement is a frame of
//! its own and is looked up before the next, as it is where little is asked: nothing shares a row of the index.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use jisr_certs::keys::{KeySecret, KeyStore};
use jisr_certs::seal::SealKey;
use jisr_ledger::clock::{Clock, SystemClock};
use jisr_ledger::ledger::{Config, Ledger};
use jisr_ledger::statement::{Closed, Draft};
use jisr_ledger::vault::Vault;
use jisr_proto::ident::{ExchangeId, Origin};
use jisr_proto::statement::{Core, Kind, Started};

type Failure = Box<dyn std::error::Error>;

/// Statements of one call, where nothing else is said.
const AT_ONCE: u64 = 500;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args_os().skip(1);
    let base = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let count: u64 = match arguments.next() {
        Some(count) => count.to_string_lossy().parse()?,
        None => 1_000_000,
    };
    let at_once: u64 = match arguments.next() {
        Some(at_once) => at_once.to_string_lossy().parse()?,
        None => AT_ONCE,
    };
    let data = base.join(format!("jisr-large-{count}-{at_once}"));
    let filled = data.is_dir();
    if !filled {
        fill(&data, count, at_once)?;
    }
    let middle = id(count / 2 / 2 * 2, at_once);
    let point = data.join("ledger/index/resume");
    for round in ["from its resume point", "from its resume point, again"] {
        reopen(&data, round, middle)?;
    }
    std::fs::remove_file(point)?;
    reopen(&data, "read whole", middle)?;
    reopen(&data, "from the resume point that this left", middle)
}

fn open(data: &Path) -> Result<Ledger, Failure> {
    let origin: Origin = "jisr/JO/GOV/mol/node1/2026".parse()?;
    let keys = KeyStore::create(data.join("keys"), &KeySecret::from_bytes(&[7; 32], "this example"))?;
    let key = SealKey::load_or_make(&keys, &origin)?;
    let started = Started {
        origin: origin.to_string(),
        certificates: Vec::new(),
        seal_key: Bytes::copy_from_slice(key.public().as_bytes()),
        succeeds: Vec::new(),
    };
    let config = Config::in_data_directory(data, origin);
    let (ledger, _) = Ledger::open(config, key, Vault::open(&keys)?, Arc::new(SystemClock), started)?;
    Ok(ledger)
}

fn fill(data: &Path, count: u64, at_once: u64) -> Result<(), Failure> {
    let ledger = open(data)?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let begun = Instant::now();
    let (mut done, step) = (1, (count / 10).max(1));
    while done < count {
        let before = done;
        done += if at_once == 1 {
            runtime.block_on(ledger.append(vec![statement(done, at_once)]))?;
            ledger.find(id(done - done % 2, at_once))?.len().min(1) as u64
        } else {
            // Two in flight: one is made while the other is written.
            let many = at_once.min(count - done).div_ceil(2);
            let statements = |from: u64| {
                (from..from + many)
                    .map(|n| statement(n, at_once))
                    .collect::<Vec<Closed>>()
            };
            let first = ledger.append(statements(done));
            let second = ledger.append(statements(done + many));
            runtime.block_on(first)?;
            runtime.block_on(second)?;
            2 * many
        };
        if done / step != before / step {
            println!("{done} statements after {:?}, {}", begun.elapsed(), memory()?);
        }
    }
    println!("filled with {done} in {:?}, {}", begun.elapsed(), memory()?);
    let closing = Instant::now();
    ledger.close();
    println!("closed in {:?}", closing.elapsed());
    for part in ["segments", "index/exchanges", "index/tile"] {
        let bytes = bytes(&data.join("ledger").join(part))?;
        println!("{part}: {} MiB, {} bytes a statement", bytes >> 20, bytes / done);
    }
    Ok(())
}

fn reopen(data: &Path, how: &str, middle: ExchangeId) -> Result<(), Failure> {
    let begun = Instant::now();
    let ledger = open(data)?;
    let opened = begun.elapsed();
    let proved = ledger.prove(ledger.size() / 3, ledger.size()).is_some();
    let proof = begun.elapsed() - opened;
    let found = ledger.pairs(0, u64::MAX, middle, middle)?.len();
    let query = begun.elapsed() - opened - proof;
    println!(
        "{how}: {} statements opened in {opened:?}; proof ({proved}) {proof:?}; first query ({found}) {query:?}; {}",
        ledger.size(),
        memory()?
    );
    ledger.close();
    Ok(())
}

/// Bytes that the files in a directory take of the disk.
fn bytes(directory: &Path) -> Result<u64, Failure> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        bytes += match entry.file_type()?.is_dir() {
            true => self::bytes(&entry.path())?,
            false => entry.metadata()?.blocks() * 512,
        };
    }
    Ok(bytes)
}

fn memory() -> Result<String, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = |name| status.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    Ok([line("VmRSS"), line("VmHWM")].join(", ").replace('\t', ""))
}

fn id(n: u64, at_once: u64) -> ExchangeId {
    let mut random = [0; 10];
    for (to, from) in random.iter_mut().rev().zip(n.to_le_bytes()) {
        *to = from;
    }
    // As if 10 came each second one by one, or 2 000 together.
    let apart_us = if at_once == 1 { 100_000 } else { 500 };
    ExchangeId::new_v7(1_795_000_000_000_000 + n * apart_us, random)
}

/// A small question, or, each second time, how it ended.
fn statement(n: u64, at_once: u64) -> Closed {
    let now_us = SystemClock.now_us();
    let asked = Core {
        kind: Kind::Asked.into(),
        instance: "JO".into(),
        exchange_id: Bytes::copy_from_slice(id(n - n % 2, at_once).as_bytes()),
        created_us: now_us,
        expires_us: now_us + 60_000_000,
        consumer: "JO/GOV/mol/permits".into(),
        provider: "JO/GOV/psd/residency".into(),
        provider_origin: "jisr/JO/GOV/psd/node1/2026".into(),
        service: "jo.residency.v1.ResidencePermits".into(),
        method: "CheckStatus".into(),
        ..Core::default()
    };
    if n.is_multiple_of(2) {
        let digest = Bytes::from_static(&[7; 32]);
        let core = Core {
            agreement: digest.clone(),
            snapshot_version: 1,
            snapshot: digest.clone(),
            schema: digest.clone(),
            key_set: digest,
            mask: "status".into(),
            ..asked
        };
        Draft::new(core).purpose("renewal").payload(b"").close()
    } else {
        Draft::new(Core {
            kind: Kind::NotSent.into(),
            ..asked
        })
        .purpose("renewal")
        .close()
    }
}
