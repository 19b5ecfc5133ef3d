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

use super::DemoError;

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

/// One process.
struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

/// Who ended, and where it says why.
pub(super) struct Ended {
    pub(super) name: String,
    pub(super) log: PathBuf,
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
        let log = self.dir.join(format!("logs/{name}.log"));
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

    /// An error if a process of this name has ended.
    pub(super) fn check(&mut self, name: &str) -> Result<(), DemoError> {
        let running = self
            .running
            .iter_mut()
            .any(|process| process.name == name && process.runs());
        if running {
            Ok(())
        } else {
            Err(DemoError::Ended {
                name: name.to_owned(),
                log: self.log(name),
            })
        }
    }

    /// Where a process writes what it has to say.
    pub(super) fn log(&self, name: &str) -> PathBuf {
        self.dir.join(format!("logs/{name}.log"))
    }

    /// Waits until any process ends by itself; it is then no longer one of them.
    pub(super) async fn wait_for_an_end(&mut self) -> Ended {
        loop {
            let gone = self.running.iter_mut().position(|process| !process.runs());
            if let Some(place) = gone {
                let Process { name, log, .. } = self.running.remove(place);
                return Ended { name, log };
            }
            sleep(Duration::from_millis(500)).await;
        }
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
    async fn whoever_ends_is_noticed_by_name() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("logs")).unwrap();
        let mut processes = Processes::new("/bin/false".into(), dir.path().to_owned());
        processes.start("node-mol", &[]).unwrap();
        assert_eq!(processes.wait_for_an_end().await.name, "node-mol");
        assert!(matches!(processes.check("node-mol"), Err(DemoError::Ended { .. })));
    }
}
