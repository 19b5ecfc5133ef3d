//! The demo itself: a registry and six nodes as processes of their own, the renewal of work permits across them, and what
//! remains of it that can be verified.
//!
//! Everything is done with the commands an operator would use, and the questions are asked with ordinary generated stubs.

mod commands;
mod door;
mod error;
mod journey;
mod layout;
mod network;
mod ports;
mod processes;
mod proof;
mod screen;
mod summary;

use std::future::Future;
use std::path::PathBuf;
use std::time::Instant;

use time::{OffsetDateTime, UtcOffset};

use crate::world::World;

pub use error::DemoError;
pub use processes::tied;

use commands::Jisr;
use layout::Layout;
use network::Network;
use processes::Processes;

/// What the demo is told.
#[derive(Debug, Clone)]
pub struct Options {
    /// The `jisr` binary, of which all processes are.
    pub program: PathBuf,
    /// Where everything is put: a directory that is new or empty. None: a fresh one below the system's temporary directory.
    pub dir: Option<PathBuf>,
    /// End after the journey instead of staying up.
    pub once: bool,
    /// Seed of the world.
    pub seed: u64,
    /// Number of foreigners in it.
    pub people: u32,
    /// The time now, microseconds since 1970: decides which permits are valid.
    pub now_us: u64,
}

/// Runs the demo until it is done (`once`) or `stop` resolves. No process that it started outlives it. True if everything
/// held: all questions were answered as they must be, all evidence verified, the flipped byte was found.
///
/// Must run on a runtime of the calling thread alone: the processes are tied to the thread that starts them.
///
/// # Errors
/// [`DemoError`] if the directory cannot be used, or a process, a command or a connection fails.
pub async fn run(options: Options, stop: impl Future<Output = ()>) -> Result<bool, DemoError> {
    let layout = Layout::prepare(options.dir.as_deref())?;
    screen::opening(layout.root());
    let mut processes = Processes::new(options.program.clone(), layout.root().to_owned());
    let told = tokio::select! {
        told = story(&options, &layout, &mut processes) => told,
        () = stop => {
            screen::note("ending the processes");
            Ok(Told { held: true, last_line: None })
        }
    };
    processes.end().await;
    let told = told?;
    if let Some(line) = told.last_line {
        screen::last(&line);
    }
    Ok(told.held)
}

/// How the demo ended.
struct Told {
    held: bool,
    last_line: Option<String>,
}

async fn story(options: &Options, layout: &Layout, processes: &mut Processes) -> Result<Told, DemoError> {
    let begun = Instant::now();
    let world = world(options)?;
    let cast = world.cast();
    if cast.is_empty() {
        return Err(DemoError::Nobody);
    }
    let jisr = Jisr::new(options.program.clone(), layout.root().to_owned());

    let network = Network::raise(&jisr, layout, processes, &world).await?;
    let proven = async {
        let journey = journey::travel(layout, &network, cast, world.today.year()).await?;
        let proof = proof::collect(&jisr, layout, &journey).await?;
        Ok((journey, proof))
    };
    let (journey, proof) = Box::pin(processes.meanwhile(proven)).await?;

    let summary = summary::Summary::of(&network, &journey, &proof);
    summary.write(layout)?;
    screen::table(&journey, &proof);
    screen::tampering(&proof);
    let held = summary.held(&journey);
    screen::verdict(held, begun.elapsed());
    if options.once {
        return Ok(Told {
            held,
            last_line: Some(summary.last_line()),
        });
    }
    screen::invitation(&options.program, layout.root(), &network, &journey, &proof);
    // Whoever ends a process on purpose, to see what the others do, finds the others still there.
    loop {
        let ended = processes.wait_for_an_end().await;
        screen::ended(&ended);
    }
}

/// The world as of today in Amman, three hours ahead of UTC all year.
fn world(options: &Options) -> Result<World, DemoError> {
    let amman = UtcOffset::from_hms(3, 0, 0).map_err(|_| DemoError::Clock)?;
    let seconds = i64::try_from(options.now_us / 1_000_000).map_err(|_| DemoError::Clock)?;
    let now = OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| DemoError::Clock)?;
    Ok(World {
        seed: options.seed,
        people: options.people.max(1),
        today: now.to_offset(amman).date(),
    })
}
