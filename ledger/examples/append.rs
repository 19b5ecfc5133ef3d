//! Durable, sealed appends of 512-byte statements a second, with 256 callers and with one; beside it what the disk itself takes in
//! writes of the same size. Run with `--release`; arguments are the number of rounds and a directory, since what is measured is
//! mostly its disk.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use jisr_certs::keys::{KeySecret, KeyStore};
use jisr_certs::seal::SealKey;
use jisr_ledger::clock::{Clock, SystemClock};
use jisr_ledger::files::{Disk, PAGE, Pages, RealDisk};
use jisr_ledger::ledger::{AppendError, Config, Ledger, tell_together};
use jisr_ledger::statement::{Closed, Draft};
use jisr_ledger::vault::Vault;
use jisr_proto::ident::{ExchangeId, Origin};
use jisr_proto::statement::{Core, Kind, Started};
use rustix::fs::OFlags;
use tokio::task::JoinSet;

type Failure = Box<dyn std::error::Error>;

/// How long each of the three is measured in a round.
const ROUND: Duration = Duration::from_secs(2);

/// The disk alone and one caller take turns so often in it.
const SLICES: u32 = 8;

const MANY: u64 = 256;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args_os().skip(1);
    let rounds: u32 = match arguments.next() {
        Some(rounds) => rounds.to_string_lossy().parse()?,
        None => 5,
    };
    let base = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let data = base.join(format!("jisr-append-{}", std::process::id()));
    let ledger = open(&data)?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let desk = runtime.spawn(tell_together());
    // Once for nothing, which also tells how large the writes are.
    let one = runtime.block_on(appends(&ledger, 1, ROUND / 4))?;
    let mut device = Device::new(&data, one.bytes_each)?;
    println!(
        "{} bytes a statement, {} bytes a write of one caller",
        content_bytes(&statement(0)),
        one.bytes_each
    );
    let mut table = Table::default();
    for _ in 0..rounds {
        // What many appended is still being indexed, and the next segment made: neither is to disturb what comes now.
        while ledger.indexed() < ledger.size() {
            std::thread::sleep(ROUND / 20);
        }
        std::thread::sleep(ROUND);
        let (mut raw, mut one) = (0.0, 0.0);
        for _ in 0..SLICES {
            raw += device.writes(ROUND / SLICES)? / f64::from(SLICES);
            one += runtime.block_on(appends(&ledger, 1, ROUND / SLICES))?.rate / f64::from(SLICES);
        }
        let many = runtime.block_on(appends(&ledger, MANY, ROUND))?;
        // What those left to be indexed is still being worked on.
        let after = runtime.block_on(appends(&ledger, 1, ROUND / SLICES))?;
        table.add("disk alone, writes/s", raw);
        table.add("1 caller, appends/s", one);
        table.add("1 caller / disk alone", one / raw);
        table.add("256 callers, appends/s", many.rate);
        table.add("256 callers, commits/s", many.commits);
        table.add("256 callers, statements a commit", many.rate / many.commits);
        table.add("256 callers, slowest, ms", many.slowest.as_secs_f64() * 1e3);
        table.add("1 caller after them, appends/s", after.rate);
        table.add("1 caller after them, slowest, ms", after.slowest.as_secs_f64() * 1e3);
    }
    table.print();
    desk.abort();
    ledger.close();
    std::fs::remove_dir_all(data)?;
    Ok(())
}

fn open(data: &Path) -> Result<Ledger, Failure> {
    let origin: Origin = "jisr/JO/GOV/mol/node1/2026".parse()?;
    let keys = KeyStore::create(data.join("keys"), &KeySecret::passing()?)?;
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

/// What came of appends for a while; rates are a second's.
struct Appended {
    rate: f64,
    commits: f64,
    slowest: Duration,
    /// Bytes of segments for each statement.
    bytes_each: usize,
}

async fn appends(ledger: &Ledger, callers: u64, time: Duration) -> Result<Appended, Failure> {
    let (begun, before) = (Instant::now(), ledger.durable());
    let mut tasks = JoinSet::new();
    for caller in 0..callers {
        let ledger = ledger.clone();
        tasks.spawn(async move {
            let (mut done, mut commits, mut slowest) = (0u64, 0u64, Duration::ZERO);
            while begun.elapsed() < time {
                let from = Instant::now();
                let stands = ledger.append(vec![statement(caller << 40 | done)]).await?;
                for stands in &stands {
                    let seal = std::hint::black_box(stands.seal());
                    commits += u64::from(seal.index + 1 == stands.checkpoint().size);
                }
                slowest = slowest.max(from.elapsed());
                done += 1;
            }
            Ok::<_, AppendError>((done, commits, slowest))
        });
    }
    let (mut done, mut commits, mut slowest) = (0, 0, Duration::ZERO);
    while let Some(ended) = tasks.join_next().await {
        let (count, closed, longest) = ended??;
        done += count;
        commits += closed;
        slowest = slowest.max(longest);
    }
    let seconds = begun.elapsed().as_secs_f64();
    let after = ledger.durable();
    let bytes = match after.segment - before.segment {
        0 => after.offset - before.offset,
        segments => segments * (32 << 20) + after.offset - before.offset,
    };
    Ok(Appended {
        rate: done as f64 / seconds,
        commits: commits.max(1) as f64 / seconds,
        slowest,
        bytes_each: usize::try_from(bytes / u64::max(done, 1))?,
    })
}

/// A file as a segment is, written past the page cache, each write durable when it returns.
struct Device {
    file: File,
    /// Where the next write's first byte lies, and how many bytes it adds.
    at: usize,
    each: usize,
}

impl Device {
    const BYTES: usize = 32 << 20;

    fn new(data: &Path, each: usize) -> Result<Self, Failure> {
        let path = data.join("device");
        RealDisk.allocate(&path, Self::BYTES as u64)?;
        let flags = OFlags::DIRECT | OFlags::DSYNC;
        let file = OpenOptions::new()
            .write(true)
            .custom_flags(flags.bits().cast_signed())
            .open(path)?;
        Ok(Self { file, at: 0, each })
    }

    /// Writes a second: whole pages, the one that was not filled once more, as a commit of one statement.
    fn writes(&mut self, time: Duration) -> Result<f64, Failure> {
        let (begun, mut done) = (Instant::now(), 0u32);
        while begun.elapsed() < time {
            if self.at + self.each + PAGE > Self::BYTES {
                self.at = 0;
            }
            let first = self.at / PAGE * PAGE;
            let mut pages = Pages::new();
            pages.push(&vec![7; self.at + self.each - first]);
            self.file.write_all_at(pages.whole_pages(), first as u64)?;
            self.at += self.each;
            done += 1;
        }
        Ok(f64::from(done) / begun.elapsed().as_secs_f64())
    }
}

/// Figures by name, one a round.
#[derive(Default)]
struct Table(Vec<(&'static str, Vec<f64>)>);

impl Table {
    fn add(&mut self, name: &'static str, figure: f64) {
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, figures)) => figures.push(figure),
            None => self.0.push((name, vec![figure])),
        }
    }

    fn print(&mut self) {
        println!("{:<34} {:>9}  {:>9} .. {:>9}", "", "median", "least", "most");
        for (name, figures) in &mut self.0 {
            figures.sort_unstable_by(f64::total_cmp);
            let figure = |at: usize| figures.get(at).copied().unwrap_or_default();
            let (least, median, most) = (figure(0), figure(figures.len() / 2), figure(figures.len() - 1));
            let places = if median < 10.0 { 2 } else { 0 };
            println!("{name:<34} {median:>9.places$}  {least:>9.places$} .. {most:>9.places$}");
        }
    }
}

/// 512 bytes with an encrypted payload commitment, as most have.
fn statement(n: u64) -> Closed {
    let mut random = [0; 10];
    for (to, from) in random.iter_mut().rev().zip(n.to_le_bytes()) {
        *to = from;
    }
    let now_us = SystemClock.now_us();
    let digest = Bytes::from_static(&[7; 32]);
    Draft::new(Core {
        kind: Kind::Asked.into(),
        instance: "JO".into(),
        exchange_id: Bytes::copy_from_slice(ExchangeId::new_v7(now_us, random).as_bytes()),
        created_us: now_us,
        expires_us: now_us + 60_000_000,
        consumer: "JO/GOV/mol/permits".into(),
        provider: "JO/GOV/psd/residency".into(),
        provider_origin: "jisr/JO/GOV/psd/node1/2026".into(),
        service: "jo.residency.v1.ResidencePermits".into(),
        method: "CheckStatus".into(),
        agreement: digest.clone(),
        snapshot_version: 1,
        snapshot: digest.clone(),
        schema: digest.clone(),
        key_set: digest,
        mask: "status,valid_until,permit.number,permit.kind,employer.name".into(),
        ..Core::default()
    })
    .purpose("work-permit-renewal")
    .payload(b"question")
    .close()
}

fn content_bytes(statement: &Closed) -> usize {
    statement
        .parts()
        .iter()
        .filter_map(|part| part.opened.as_ref())
        .map(|opened| 32 + opened.content.len())
        .sum()
}
