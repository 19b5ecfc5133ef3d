//! The log: on standard error, as lines for people or as JSON for machines.

use std::io::{IsTerminal, Write};

use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;

use crate::failure::Failure;

/// What every command takes about its log.
#[derive(Debug, Args)]
pub(crate) struct Logging {
    /// What to log on standard error: error, warn, info, debug, trace, or a filter such as
    /// `info,jisr_node=debug` [default: info for servers, else warn]
    #[arg(long, global = true, value_name = "FILTER", help_heading = "Log")]
    log: Option<String>,
    /// Form of the log: text, for people, or json, an object a line
    #[arg(
        long,
        global = true,
        value_enum,
        default_value = "text",
        value_name = "FORM",
        hide_possible_values = true,
        help_heading = "Log"
    )]
    log_format: Format,
}

/// Form of the log.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// A line for people
    Text,
    /// An object a line
    Json,
}

impl Logging {
    /// Starts the log of this process; `serves` tells a server from a command.
    pub(crate) fn start(&self, serves: bool) -> Result<(), Failure> {
        let filter = self.log.as_deref().unwrap_or(if serves { "info" } else { "warn" });
        let filter = EnvFilter::builder().parse(filter).map_err(|error| {
            Failure::usage(
                format!("--log {filter:?} is no log filter: {error}"),
                "write a level such as debug, or targets with levels such as info,jisr_node=debug",
            )
        })?;
        let log = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(|| Lossy(std::io::stderr().lock()))
            .log_internal_errors(false)
            .with_ansi(std::io::stderr().is_terminal());
        let started = match self.log_format {
            Format::Text => log.with_target(false).try_init(),
            Format::Json => log.json().flatten_event(true).try_init(),
        };
        started.map_err(|error| Failure::fault(format!("cannot start the log: {error}"), "report this as a defect"))
    }
}

/// Writes what can be written. A log that cannot be written (the disk is full, the pipe's reader is gone) costs log lines and
/// nothing else: whoever logs would otherwise be told, by a panic, in the midst of its work.
struct Lossy<W>(W);

impl<W: Write> Write for Lossy<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let _lost = self.0.write_all(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        let _lost = self.0.flush();
        Ok(())
    }
}
