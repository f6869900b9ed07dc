//! Concurrent processes with a fresh session and with a stale one.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use account_server::Server;
use anyhow::ensure;
use serde_json::Value;

use super::measure::quantile;
use super::support::{Home, service};

/// Concurrent processes, from the start of all until the last has ended.
pub(crate) struct Crowd {
    pub(crate) count: usize,
    pub(crate) fresh: Duration,
    pub(crate) stale: Duration,
}

/// One process, 64 and 512.
pub(crate) fn measure(helper: &Path, runs: usize) -> anyhow::Result<Vec<Crowd>> {
    let rounds = (runs / 50).clamp(1, 11);
    [1, 64, 512].into_iter().map(|count| of(helper, count, rounds)).collect()
}

fn of(helper: &Path, count: usize, rounds: usize) -> anyhow::Result<Crowd> {
    let server = service();
    let (mut fresh, mut stale) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let (home, session) = Home::logged_in(&server);
        fresh.push(run(helper, &home, count, Some(&session.access_token))?);
        stale.push(renewed(helper, &server, count)?);
    }
    Ok(Crowd { count, fresh: quantile(fresh, 50), stale: quantile(stale, 50) })
}

fn renewed(helper: &Path, server: &Server, count: usize) -> anyhow::Result<Duration> {
    let (home, _) = Home::with_stale_session(server);
    let before = server.refresh_requests();
    let took = run(helper, &home, count, None)?;
    let requests = server.refresh_requests() - before;
    ensure!(requests == 1, "{count} processes made {requests} refresh requests");
    Ok(took)
}

/// Runs the processes. All must return the same token: `token`, if given.
fn run(helper: &Path, home: &Home, count: usize, token: Option<&str>) -> anyhow::Result<Duration> {
    let start = || {
        let mut command = Command::new(helper);
        command.arg("get").env_clear().env("HOME", home.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()
    };
    let began = Instant::now();
    let children = (0..count).map(|_| start()).collect::<Result<Vec<_>, _>>()?;
    let outputs =
        children.into_iter().map(Child::wait_with_output).collect::<Result<Vec<_>, _>>()?;
    let took = began.elapsed();
    let secret = |output: &Output| {
        serde_json::from_slice::<Value>(&output.stdout).ok()?["secret"].as_str().map(str::to_owned)
    };
    let first = secret(&outputs[0]).filter(|found| token.is_none_or(|token| token == found));
    let same = first.is_some() && outputs.iter().all(|output| secret(output) == first);
    ensure!(same, "{count} processes do not answer with one token");
    Ok(took)
}
