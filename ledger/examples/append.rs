//! Durable appends a second, with 1 and with 256 callers. Run with `--release`; the directory may be given, since what is
//! measured is mostly its disk.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use jisr_certs::keys::KeyStore;
use jisr_certs::seal::SealKey;
use jisr_ledger::clock::{Clock, SystemClock};
use jisr_ledger::ledger::{Config, Ledger, tell_together};
use jisr_ledger::statement::{Closed, Draft};
use jisr_ledger::vault::Vault;
use jisr_proto::ident::{ExchangeId, Origin};
use jisr_proto::statement::{Core, Kind, Started};
use tokio::task::JoinSet;

type Failure = Box<dyn std::error::Error>;

const ROUND: Duration = Duration::from_secs(3);

fn main() -> Result<(), Failure> {
    let base = std::env::args_os()
        .nth(1)
        .map_or_else(std::env::temp_dir, PathBuf::from);
    let data = base.join(format!("jisr-append-{}", std::process::id()));
    let origin: Origin = "jisr/JO/GOV/mol/node1/2026".parse()?;
    let keys = KeyStore::create(data.join("keys"))?;
    let key = SealKey::load_or_make(&keys, &origin)?;
    let seal_key = Bytes::copy_from_slice(key.public().as_bytes());
    let started = Started {
        origin: origin.to_string(),
        certificates: Vec::new(),
        seal_key,
        succeeds: Vec::new(),
    };
    let config = Config::in_data_directory(&data, origin);
    let (ledger, _) = Ledger::open(config, key, Vault::open(&keys)?, Arc::new(SystemClock), started)?;

    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let desk = runtime.spawn(tell_together());
    println!("statement at rest: {} bytes of content", content_bytes(&statement(0)));
    for callers in [1, 16, 256] {
        runtime.block_on(round(&ledger, callers))?;
    }
    desk.abort();
    ledger.close();
    std::fs::remove_dir_all(data)?;
    Ok(())
}

async fn round(ledger: &Ledger, callers: u64) -> Result<(), Failure> {
    let commits = Arc::new(AtomicU64::new(0));
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for caller in 0..callers {
        let (ledger, commits) = (ledger.clone(), Arc::clone(&commits));
        tasks.spawn(async move {
            let (mut done, mut slowest) = (0u64, Duration::ZERO);
            while begun.elapsed() < ROUND {
                let from = Instant::now();
                let stands = ledger.append(vec![statement(caller << 40 | done)]).await?;
                slowest = slowest.max(from.elapsed());
                if stands.iter().any(|stands| stands.index + 1 == stands.checkpoint().size) {
                    commits.fetch_add(1, Ordering::Relaxed);
                }
                done += 1;
            }
            Ok::<_, jisr_ledger::ledger::AppendError>((done, slowest))
        });
    }
    let (mut done, mut slowest) = (0, Duration::ZERO);
    while let Some(ended) = tasks.join_next().await {
        let (count, longest) = ended??;
        done += count;
        slowest = slowest.max(longest);
    }
    let seconds = begun.elapsed().as_secs_f64();
    let commits = commits.load(Ordering::Relaxed).max(1);
    println!(
        "{callers:>4} callers: {:>8.0} appends/s, {:>6.0} commits/s, {:>5.1} statements a commit, slowest {slowest:?}",
        done as f64 / seconds,
        commits as f64 / seconds,
        done as f64 / commits as f64,
    );
    Ok(())
}

/// About 512 bytes with an encrypted payload commitment, as RECEIVED and ANSWERED have.
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
        mask: "*".into(),
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
