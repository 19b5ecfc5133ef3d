//! `jisr`: the one command of a Jisr network. It runs a registry or a node, administers them, calls services, exports
//! and verifies evidence, and shows the whole at work in the demo network.
//!
//! Every command group has a file; what they share is how they end (`failure`), print (`output`), log (`logging`) and
//! reach a running server (`admin`). Exit codes: 0 done, 1 refused or INVALID, 2 INDETERMINATE, 64 usage, 66 an input
//! that cannot be read, 70 our own fault.

mod admin;
mod anchor;
mod archive;
mod audit;
mod call;
mod catalogue;
#[cfg(feature = "demo")]
mod demo;
mod evidence;
mod failure;
mod fault;
mod instant;
mod ledger;
mod logging;
mod node;
mod output;
mod pem;
mod protos;
mod registry;
mod rekey;
mod role;
mod runtime;
mod verdict;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use failure::Failure;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Jisr lets agencies answer each other's questions so that every answer is authorised, minimal, signed, and provable
/// years later to somebody who trusts neither side.
#[derive(Debug, Parser)]
#[command(name = "jisr", version, max_term_width = 110, after_help = EXIT_CODES)]
struct Cli {
    #[command(flatten)]
    logging: logging::Logging,
    #[command(subcommand)]
    command: Command,
}

/// Shown below the help of every command that has no list of its own.
pub(crate) const EXIT_CODES: &str = "\
Exit codes: 0 done · 1 refused, or a party could not be reached · 64 wrong usage · 66 an input cannot be read · \
70 this program or machine failed";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run and administer the central server: membership, certificates, catalogue, snapshot, witness
    #[command(subcommand)]
    Registry(registry::Command),
    /// Set up, run and administer an agency's server
    #[command(subcommand)]
    Node(node::Command),
    /// Find services, see what they are, download their files
    #[command(subcommand)]
    Catalogue(catalogue::Command),
    Call(Box<call::Call>),
    /// Export, verify and show the file that proves one exchange
    #[command(subcommand)]
    Evidence(evidence::Command),
    /// Verify a ledger, live, copied or archived; compare two
    #[command(subcommand)]
    Ledger(ledger::Command),
    /// Look through the exchanges of a ledger: list, count, sample, export, report
    #[command(subcommand)]
    Audit(audit::Command),
    #[cfg(feature = "demo")]
    Demo(demo::Demo),
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let asked_for_help = error.exit_code() == 0;
            let _gone = error.print();
            return ExitCode::from(if asked_for_help { 0 } else { failure::USAGE });
        }
    };
    // A panic is a fault of ours and must not look like a verdict.
    let ended = catch_unwind(AssertUnwindSafe(|| run(cli))).unwrap_or_else(|_| {
        Err(Failure::fault(
            "jisr stopped on a defect of its own",
            "report the message above with the command",
        ))
    });
    ended.unwrap_or_else(|failure| {
        output::say(failure.explain().trim_end());
        ExitCode::from(failure.code())
    })
}

fn run(cli: Cli) -> Result<ExitCode, Failure> {
    cli.logging.start(cli.command.serves())?;
    match cli.command {
        Command::Registry(command) => registry::run(command).map(|()| ExitCode::SUCCESS),
        Command::Node(command) => node::run(command).map(|()| ExitCode::SUCCESS),
        Command::Catalogue(command) => catalogue::run(command).map(|()| ExitCode::SUCCESS),
        Command::Call(call) => call::run(*call),
        Command::Evidence(command) => evidence::run(command),
        Command::Ledger(command) => ledger::run(command),
        Command::Audit(command) => audit::run(command),
        #[cfg(feature = "demo")]
        Command::Demo(demo) => demo::run(demo),
    }
}

impl Command {
    /// Servers say at level info what they do; commands keep quiet unless something is wrong.
    fn serves(&self) -> bool {
        match self {
            Command::Registry(command) => command.serves(),
            Command::Node(command) => command.serves(),
            #[cfg(feature = "demo")]
            Command::Demo(demo) => demo.serves(),
            Command::Catalogue(_)
            | Command::Call(_)
            | Command::Evidence(_)
            | Command::Ledger(_)
            | Command::Audit(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_fixed_contract_of_the_verifiers_parses() {
        for line in [
            "jisr evidence verify f --anchor a",
            "jisr evidence verify f --anchor a --time 2026-11-23T14:00:00Z --json",
            "jisr ledger verify d --anchor a --checkpoint c --json",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_ok(), "{line}");
        }
        assert!(Cli::try_parse_from(["jisr", "evidence", "verify", "f"]).is_err());
    }
}
