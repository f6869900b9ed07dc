//! `account-server tour`: a walk through the helper's commands against a service of its own, in a home of its own.
//! Checks what it shows, asks nothing, and leaves nothing behind, however it ends.

mod browser;
mod build;
mod sandbox;
mod screen;
mod walk;

use std::future::Future;
use std::path::PathBuf;
use std::pin::pin;

use anyhow::{Context, anyhow};
use clap::Args;
use futures_util::future::{Either, select};
use tokio::runtime::Builder;

use screen::Screen;

/// What the tour takes.
#[derive(Args)]
pub(crate) struct Arguments {
    /// A helper that is built already; without one it is built first.
    #[arg(long, value_name = "PROGRAM")]
    helper: Option<PathBuf>,
}

pub(crate) fn run(arguments: Arguments) -> anyhow::Result<()> {
    let screen = Screen::of_this_process();
    let home =
        tempfile::Builder::new().prefix("my-tour-").tempdir().context("making a temporary home")?;
    // One thread: where the walk is dropped, its programs are killed before the home goes.
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let outcome =
        runtime.block_on(unless_stopped(walk::walk(&screen, home.path(), arguments.helper)));
    drop(runtime);
    let removed = home.close().context("removing the temporary home");
    outcome.and(removed)
}

/// The walk, up to Control-C or a polite request to end.
async fn unless_stopped(walk: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    // The signals are listened to before the first program is started.
    match select(pin!(stopped()), pin!(walk)).await {
        Either::Left((signals, _)) => signals.and_then(|()| Err(anyhow!("stopped before the end"))),
        Either::Right((outcome, _)) => outcome,
    }
}

#[cfg(unix)]
async fn stopped() -> anyhow::Result<()> {
    use futures_util::future::select_all;
    use tokio::signal::unix::{SignalKind, signal};

    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let signals = kinds.into_iter().map(signal).collect::<Result<Vec<_>, _>>()?;
    select_all(signals.into_iter().map(|mut signal| Box::pin(async move { signal.recv().await })))
        .await;
    Ok(())
}

#[cfg(not(unix))]
async fn stopped() -> anyhow::Result<()> {
    Ok(tokio::signal::ctrl_c().await?)
}
