//! `jisr demo`: a whole network on this machine. The demo itself is a library; this is its command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use jisr_demo::backend;
use jisr_demo::demo::{self, tied};
use jisr_demo::world::World;
use jisr_ledger::clock::{Clock, SystemClock};
use time::format_description::FormatItem;
use time::macros::format_description;
use time::{Date, OffsetDateTime, UtcOffset};

use crate::failure::{self, Failure};
use crate::{output, runtime};

/// Start a whole network on this machine and watch six agencies answer each other
///
/// Starts a registry and six agencies' nodes on loopback, each a process of its own, enrols them, publishes their services,
/// concludes their agreements, and renews work permits across them. Every exchange is then verified offline.
///
/// Afterwards it stays up and tells how to call it with grpcurl and Python. Ctrl-C ends it and all its processes.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, after_long_help = HELP)]
pub(crate) struct Demo {
    #[command(subcommand)]
    command: Option<Command>,
    /// Where everything is put; new or empty [default: a fresh directory below the system's temporary directory]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// End after the journey instead of staying up
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    people: People,
}

const HELP: &str = "\
Examples:
  jisr demo
  jisr demo --once --dir ./network

Exit codes: 0 all held · 1 an answer, a refusal or a proof was not as it must be · 64 wrong usage · 70 a process, a command \
or this machine failed";

/// The made-up people that the agencies know.
#[derive(Debug, Args)]
struct People {
    /// Seed from which people, permits and companies are made
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Number of foreigners
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    people: u32,
}

/// Parts of the demo that are processes of their own.
#[derive(Debug, Subcommand)]
enum Command {
    Backend(Backend),
    /// Run a command that ends when the process PARENT ends
    #[command(hide = true)]
    Tied {
        /// Process id of whoever starts this
        parent: u32,
        /// The command
        #[arg(last = true)]
        arguments: Vec<String>,
    },
}

/// Run one agency's own system: typed gRPC services over a database that it fills itself
///
/// Runs until SIGINT or SIGTERM. Prints its address on standard output once it answers.
#[derive(Debug, Args)]
struct Backend {
    /// The agency: mol, psd, moh, ssc, ccd or gid
    #[arg(value_name = "CODE")]
    code: String,
    /// Where it listens, in plain HTTP/2; port 0 for a free one
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Database file; filled if it is not there
    #[arg(long, value_name = "FILE")]
    database: PathBuf,
    /// Day on which permits count as valid or expired [default: today in Amman]
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = day)]
    today: Option<Date>,
    #[command(flatten)]
    people: People,
}

const DAY: &[FormatItem<'_>] = format_description!("[year]-[month]-[day]");

fn day(text: &str) -> Result<Date, String> {
    Date::parse(text, DAY).map_err(|_| format!("{text:?} is no day: write it as 2026-11-23"))
}

/// Does what the command says.
pub(crate) fn run(demo: Demo) -> Result<ExitCode, Failure> {
    match demo.command {
        None => whole(demo),
        Some(Command::Backend(backend)) => backend.run().map(|()| ExitCode::SUCCESS),
        Some(Command::Tied { parent, arguments }) => {
            let Err(error) = tied(parent, &program()?, &arguments);
            Err(Failure::fault(format!("cannot run for process {parent}: {error}"), ""))
        }
    }
}

impl Demo {
    /// Whether the command is a server.
    pub(crate) fn serves(&self) -> bool {
        matches!(self.command, Some(Command::Backend(_)))
    }
}

fn whole(demo: Demo) -> Result<ExitCode, Failure> {
    let options = demo::Options {
        program: program()?,
        dir: demo.dir,
        once: demo.once,
        seed: demo.people.seed,
        people: demo.people.people,
        now_us: SystemClock.now_us(),
    };
    let held = runtime::block_on(async {
        let stop = runtime::shutdown()?;
        demo::run(options, stop).await.map_err(|error| match error.is_usage() {
            true => Failure::usage(error.to_string(), ""),
            false => Failure::fault(error.to_string(), ""),
        })
    })?;
    Ok(if held {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(failure::REFUSED)
    })
}

fn program() -> Result<PathBuf, Failure> {
    std::env::current_exe().map_err(|error| {
        Failure::fault(
            format!("cannot find this program's own file: {error}"),
            "call it by its path",
        )
    })
}

impl Backend {
    fn run(self) -> Result<(), Failure> {
        let today = match self.today {
            Some(day) => day,
            None => amman()?,
        };
        let world = World {
            seed: self.people.seed,
            people: self.people.people,
            today,
        };
        let options = backend::Options {
            database: self.database,
            world,
        };
        runtime::block_on(async {
            let stop = runtime::shutdown()?;
            let ran = backend::run(&self.code, options, self.listen, output::line, stop);
            ran.await.map_err(|error| match error {
                backend::BackendError::Agency(_) => Failure::usage(error.to_string(), ""),
                error => Failure::fault(error.to_string(), ""),
            })
        })
    }
}

/// Today in Amman, three hours ahead of UTC all year.
fn amman() -> Result<Date, Failure> {
    let wrong = || Failure::fault("the clock of this machine shows no day", "set it");
    let seconds = i64::try_from(SystemClock.now_us() / 1_000_000).map_err(|_| wrong())?;
    let now = OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| wrong())?;
    Ok(now.to_offset(UtcOffset::from_hms(3, 0, 0).map_err(|_| wrong())?).date())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_written_as_iso_8601_says() {
        assert_eq!(day("2026-11-23").unwrap().ordinal(), 327);
        for text in ["", "23.11.2026", "2026-02-30"] {
            assert!(day(text).is_err(), "{text}");
        }
    }
}
