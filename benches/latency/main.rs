//! Latency of a credential request, compared with other helpers: whole processes, interleaved, each answer checked.
//!
//! `cargo bench` runs every measurement and writes `benches/results/`. `-- --instructions` counts instructions instead and
//! compares them with `benches/budgets.toml`. The helper is a release build.

#![allow(clippy::disallowed_methods, reason = "the rules on variables and files are the helper's")]

mod case;
mod crowd;
mod file;
mod instructions;
mod keyring;
mod limit;
mod measure;
mod plot;
mod report;
mod shared;
#[path = "../../tests/suite/support/mod.rs"]
#[allow(dead_code, reason = "made for the tests, which use all of it")]
mod support;

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, ensure};
use clap::Parser;

/// Measure the latency of a credential request, compared with other helpers
#[derive(Parser)]
struct Options {
    /// Count the instructions of the frequent operations, and compare them with benches/budgets.toml
    #[arg(long)]
    instructions: bool,
    /// Runs per program; results are written from 500 on
    #[arg(long, default_value_t = FULL)]
    runs: usize,
    /// Use this build of the helper instead of building one
    #[arg(long)]
    helper: Option<PathBuf>,
    /// Also measure this build, for example a static one
    #[arg(long)]
    beside: Option<PathBuf>,
    /// Passed by cargo to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

/// The minimum number of runs for writing the results.
const FULL: usize = 500;

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let helper = options.helper.map_or_else(build, Ok)?;
    if options.instructions {
        return instructions::check(&helper);
    }
    let runs = options.runs;
    let mut groups = file::groups(&helper, options.beside.as_deref(), runs)?;
    groups.extend(shared::group(&helper, runs)?);
    groups.extend(keyring::group(&helper, runs)?);
    let crowds = crowd::measure(&helper, runs)?;
    let costs = file::costs(&helper, options.beside.as_deref())?;
    let report = report::markdown(&groups, &costs, &crowds, runs, &helper)?;
    println!("{report}");
    if runs >= FULL {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("benches/results");
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join("latency.md"), report)?;
        plot::draw(&groups, &folder.join("latency.svg"))?;
    }
    Ok(())
}

/// Builds the helper in release mode and returns its path.
fn build() -> anyhow::Result<PathBuf> {
    let root = env!("CARGO_MANIFEST_DIR");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let build = ["build", "--release", "--bin", "my-credential-helper"];
    let status = Command::new(cargo).args(build).current_dir(root).status()?;
    ensure!(status.success(), "the helper cannot be built");
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| PathBuf::from(root).join("target"), PathBuf::from);
    let helper = target.join("release/my-credential-helper");
    helper.canonicalize().with_context(|| format!("no {}", helper.display()))
}
