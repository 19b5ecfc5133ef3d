//! Runtimes for commands, and the signals that end servers.

use std::future::Future;

use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

use crate::failure::Failure;

/// Runs a command's future on this thread alone.
pub(crate) fn block_on<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    run(Builder::new_current_thread(), future)
}

/// Runs a server's future with a thread for each core.
pub(crate) fn block_on_all_cores<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    run(Builder::new_multi_thread(), future)
}

fn run<T>(mut builder: Builder, future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = builder.enable_all().build().map_err(|error| {
        Failure::fault(
            format!("cannot start a runtime: {error}"),
            "raise the limits of this process (ulimit -n)",
        )
    })?;
    runtime.block_on(future)
}

/// Resolves at the first SIGINT or SIGTERM. A second one ends the process at once: whoever sends it will not wait, and
/// a server must survive that at any step anyway.
pub(crate) fn shutdown() -> Result<impl Future<Output = ()> + Send + 'static, Failure> {
    let watch = |kind| {
        signal(kind).map_err(|error| {
            Failure::fault(
                format!("cannot watch for signals: {error}"),
                "look at the limits of this process",
            )
        })
    };
    let (mut interrupt, mut terminate) = (watch(SignalKind::interrupt())?, watch(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => tracing::info!("SIGINT: shutting down"),
            _ = terminate.recv() => tracing::info!("SIGTERM: shutting down"),
        }
        tokio::spawn(async move {
            tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
            std::process::exit(i32::from(crate::failure::FAULT));
        });
    })
}
