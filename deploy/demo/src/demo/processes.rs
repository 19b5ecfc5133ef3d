//! The processes that stay: registry, nodes, backends. None of them outlives the demo, however it ends.

use std::convert::Infallible;
use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, getppid, kill_process, set_parent_process_death_signal};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use super::{DemoError, layout};

/// How long a process may take to end by itself.
const GRACE: Duration = Duration::from_secs(5);

/// Becomes `jisr` with these arguments, tied to the process `parent`: when that ends, even by SIGKILL, this one gets SIGTERM.
/// Returns only if it cannot.
///
/// # Errors
/// What the system said, or that the parent is gone already.
pub fn tied(parent: u32, program: &Path, arguments: &[String]) -> Result<Infallible, io::Error> {
    set_parent_process_death_signal(Some(Signal::TERM))?;
    // The parent may have ended before the line above; then no signal comes any more.
    let above = getppid().map(|pid| pid.as_raw_nonzero().get().unsigned_abs());
    if above != Some(parent) {
        return Err(io::Error::other("the process that started this one is gone"));
    }
    Err(std::process::Command::new(program).args(arguments).exec())
}

/// How often it is looked whether one has ended.
const LOOK: Duration = Duration::from_millis(200);

/// Lines of the log of a process that ended which are repeated.
const LINES_SAID: usize = 12;

/// One process.
struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// How it ended, if it has.
    fn end(&mut self) -> Option<String> {
        match self.child.try_wait() {
            Ok(None) => None,
            Ok(Some(status)) => Some(status.to_string()),
            Err(error) => Some(error.to_string()),
        }
    }
}

/// Who ended, how, and where it says why.
pub(super) struct Ended {
    pub(super) name: String,
    /// Exit code or signal, in words.
    pub(super) status: String,
    pub(super) log: PathBuf,
}

impl From<Ended> for DemoError {
    fn from(Ended { name, status, log }: Ended) -> DemoError {
        let said = last_lines(&log);
        DemoError::Ended {
            name,
            status,
            log,
            said,
        }
    }
}

/// The end of a log, without what would steer the reader's terminal.
fn last_lines(log: &Path) -> String {
    let bytes = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    let last = lines.iter().skip(lines.len().saturating_sub(LINES_SAID));
    let said: Vec<String> = last
        .map(|line| format!("  {}", line.replace(char::is_control, " ")))
        .collect();
    match said.is_empty() {
        true => "  (it said nothing)".to_owned(),
        false => said.join("\n"),
    }
}

/// All processes, in the order in which they were started.
pub(super) struct Processes {
    program: PathBuf,
    dir: PathBuf,
    running: Vec<Process>,
}

impl Processes {
    pub(super) fn new(program: PathBuf, dir: PathBuf) -> Self {
        Self {
            program,
            dir,
            running: Vec::new(),
        }
    }

    /// Starts `jisr` with these arguments in the demo's directory, its words going to `logs/NAME.log`. Returns its process id.
    pub(super) fn start(&mut self, name: &str, arguments: &[&str]) -> Result<u32, DemoError> {
        let failed = |source| DemoError::Start {
            name: name.to_owned(),
            source,
        };
        let log = self.dir.join(layout::log(name));
        let words = File::create(&log).map_err(failed)?;
        let child = Command::new(&self.program)
            .args(["demo", "tied", &std::process::id().to_string(), "--"])
            .args(arguments)
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            .stdout(words.try_clone().map_err(failed)?)
            .stderr(words)
            // Ctrl-C at a terminal reaches the demo alone, which then ends its processes in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let id = child.id().ok_or_else(|| failed(io::Error::other("it ended at once")))?;
        self.running.push(Process {
            name: name.to_owned(),
            child,
            log,
        });
        Ok(id)
    }

    /// Does what needs all processes. One that ends meanwhile is told at once, and is the cause if the work then fails.
    ///
    /// # Errors
    /// [`DemoError::Ended`], or what the work says.
    pub(super) async fn meanwhile<T>(
        &mut self,
        work: impl Future<Output = Result<T, DemoError>>,
    ) -> Result<T, DemoError> {
        let failed = tokio::select! {
            biased;
            ended = self.wait_for_an_end() => return Err(ended.into()),
            done = work => match done {
                Ok(done) => return Ok(done),
                Err(error) => error,
            },
        };
        Err(self.gone().map_or(failed, DemoError::from))
    }

    /// Waits until any process ends by itself; it is then no longer one of them.
    pub(super) async fn wait_for_an_end(&mut self) -> Ended {
        loop {
            if let Some(ended) = self.gone() {
                return ended;
            }
            sleep(LOOK).await;
        }
    }

    /// A process that has ended; it is then no longer one of them.
    fn gone(&mut self) -> Option<Ended> {
        let mut ends = self.running.iter_mut().enumerate();
        let (place, status) = ends.find_map(|(place, process)| Some((place, process.end()?)))?;
        let Process { name, log, .. } = self.running.remove(place);
        Some(Ended { name, status, log })
    }

    /// Ends all, the last started first in asking, each by its own id; whoever does not end in time is killed.
    pub(super) async fn end(&mut self) {
        let mut running = std::mem::take(&mut self.running);
        for process in running.iter().rev() {
            let id = process
                .child
                .id()
                .and_then(|id| i32::try_from(id).ok())
                .and_then(Pid::from_raw);
            // A process that has ended already needs no signal.
            let _ = id.map(|id| kill_process(id, Signal::TERM));
        }
        let all_end = async {
            for process in &mut running {
                let _ = process.child.wait().await;
            }
        };
        if timeout(GRACE, all_end).await.is_err() {
            for process in &mut running {
                let _ = process.child.kill().await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_whose_parent_is_another_is_not_started() {
        let error = tied(u32::MAX, Path::new("/bin/true"), &[]).unwrap_err();
        assert!(error.to_string().contains("gone"), "{error}");
    }

    #[tokio::test]
    async fn whoever_ends_is_told_at_once_with_its_last_words() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("logs")).unwrap();
        let mut processes = Processes::new("/bin/false".into(), dir.path().to_owned());
        processes.start("node-mol", &[]).unwrap();
        std::fs::write(dir.path().join("logs/node-mol.log"), "one\nport \u{1b}taken\n").unwrap();
        let told = processes.meanwhile(std::future::pending::<Result<(), _>>()).await;
        let told = told.unwrap_err().to_string();
        for part in [
            "node-mol",
            "exit status: 1",
            "  one\n  port  taken",
            "logs/node-mol.log",
        ] {
            assert!(told.contains(part), "{told}");
        }
        assert!(matches!(
            processes.meanwhile(async { Err::<(), _>(DemoError::Nobody) }).await,
            Err(DemoError::Nobody)
        ));
    }
}
