//! Commands of `jisr`, run to their end in the demo's directory.

use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};

use serde_json::Value;
use tokio::process::Command;

use super::DemoError;

/// Most bytes of a failed command's words that are repeated.
const SAID_MAX: usize = 2_000;

/// The program and where it runs.
#[derive(Clone)]
pub(super) struct Jisr {
    program: PathBuf,
    dir: PathBuf,
}

/// What a command printed on standard output, and how it ended.
pub(super) struct Done {
    line: String,
    status: ExitStatus,
    printed: String,
    said: String,
}

impl Jisr {
    pub(super) fn new(program: PathBuf, dir: PathBuf) -> Self {
        Self { program, dir }
    }

    /// Runs a command, whatever its exit code.
    pub(super) async fn attempt(&self, arguments: &[&str]) -> Result<Done, DemoError> {
        let output = Command::new(&self.program)
            .args(arguments)
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            // A signal to the terminal's foreground group is for the demo, which ends what runs for it.
            .process_group(0)
            .kill_on_drop(true)
            .output()
            .await
            .map_err(|source| DemoError::Start {
                name: arguments.join(" "),
                source,
            })?;
        Ok(Done {
            line: arguments.join(" "),
            status: output.status,
            printed: String::from_utf8_lossy(&output.stdout).into_owned(),
            said: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Runs a command that must succeed.
    pub(super) async fn run(&self, arguments: &[&str]) -> Result<Done, DemoError> {
        let done = self.attempt(arguments).await?;
        if done.status.success() {
            Ok(done)
        } else {
            Err(done.failure())
        }
    }
}

impl Done {
    /// The exit code; none if a signal ended the command.
    pub(super) fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// The only line printed.
    pub(super) fn word(&self) -> &str {
        self.printed.trim()
    }

    /// The object printed under `--json`.
    pub(super) fn json(&self) -> Result<Value, DemoError> {
        serde_json::from_str(&self.printed).map_err(|error| self.unexpected(&error.to_string()))
    }

    /// A text of the object printed.
    pub(super) fn text(&self, key: &str) -> Result<String, DemoError> {
        let object = self.json()?;
        let text = object.get(key).and_then(Value::as_str);
        text.map(str::to_owned)
            .ok_or_else(|| self.unexpected(&format!("no text {key:?}")))
    }

    /// A number of the object printed.
    pub(super) fn number(&self, key: &str) -> Result<u64, DemoError> {
        let object = self.json()?;
        object
            .get(key)
            .and_then(Value::as_u64)
            .ok_or_else(|| self.unexpected(&format!("no number {key:?}")))
    }

    /// This command as the cause of an error.
    pub(super) fn failure(&self) -> DemoError {
        let said = if self.said.trim().is_empty() {
            &self.printed
        } else {
            &self.said
        };
        DemoError::Command {
            line: self.line.clone(),
            status: self.status.to_string(),
            said: said.trim().chars().take(SAID_MAX).collect(),
        }
    }

    fn unexpected(&self, what: &str) -> DemoError {
        DemoError::Output {
            line: self.line.clone(),
            what: what.to_owned(),
        }
    }
}
