//! How long a tool waits for a credential, beside the helpers that people use today: whole processes, interleaved, each
//! checked to have answered what it should.
//!
//! `cargo bench` measures all of it and writes `benches/results/`; `-- --instructions` counts instructions instead, and
//! holds them to `benches/budgets.toml`. The helper itself is built as it is released.

#![allow(clippy::disallowed_methods, reason = "the rules on variables and files are the helper's")]

mod case;
mod crowd;
mod file;
mod instructions;
mod keyring;
mod measure;
mod plot;
mod report;
#[path = "../../tests/suite/support/mod.rs"]
#[allow(dead_code, reason = "made for the tests, which use all of it")]
mod support;

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, ensure};
use clap::Parser;

/// How long a tool waits for a credential, beside other helpers
#[derive(Parser)]
struct Options {
    /// Count the instructions of the hot verbs, and hold them to benches/budgets.toml
    #[arg(long)]
    instructions: bool,
    /// How often each program is run; the results are written from 500 on
    #[arg(long, default_value_t = FULL)]
    runs: usize,
    /// A built helper, instead of the one that is built now
    #[arg(long)]
    helper: Option<PathBuf>,
    /// Another build of it, measured beside it: a static one, say
    #[arg(long)]
    beside: Option<PathBuf>,
    /// What cargo says to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

/// Fewer runs than these say too little to be written down.
const FULL: usize = 500;

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let helper = options.helper.map_or_else(build, Ok)?;
    if options.instructions {
        return instructions::check(&helper);
    }
    let runs = options.runs;
    let mut groups = file::groups(&helper, options.beside.as_deref(), runs)?;
    groups.extend(keyring::group(&helper, runs)?);
    let crowds = crowd::measure(&helper, runs)?;
    let report = report::markdown(&groups, &crowds, runs, &helper)?;
    println!("{report}");
    if runs >= FULL {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("benches/results");
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join("latency.md"), report)?;
        plot::draw(&groups, &folder.join("latency.svg"))?;
    }
    Ok(())
}

/// Builds the helper as it is released, and says where it is.
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
