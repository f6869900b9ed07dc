//! The limit of every program, a static one that does nothing, and the distance to it: system calls, touched pages and
//! instructions, which are the same in every run.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

use super::case::Case;
use super::instructions;
use super::support::has_client;

/// Compiles the program into the folder.
pub(crate) fn build(folder: &Path) -> anyhow::Result<PathBuf> {
    let (source, program) = (folder.join("nothing.c"), folder.join("nothing"));
    std::fs::write(&source, "int main(void) { return 0; }\n")?;
    let status =
        Command::new("cc").args(["-O2", "-static", "-o"]).arg(&program).arg(&source).status()?;
    ensure!(status.success(), "cc cannot link a static program");
    Ok(program)
}

/// What a process costs.
pub(crate) struct Cost {
    pub(crate) name: String,
    pub(crate) system_calls: u64,
    /// Page faults without disk access.
    pub(crate) touched_pages: u64,
    pub(crate) instructions: u64,
}

/// The costs, if the programs that count them are installed.
pub(crate) fn costs(cases: &[Case]) -> anyhow::Result<Vec<Cost>> {
    if !["strace", "time", "valgrind"].into_iter().all(has_client) {
        return Ok(Vec::new());
    }
    cases
        .iter()
        .map(|case| {
            Ok(Cost {
                name: case.name.clone(),
                system_calls: system_calls(case)?,
                touched_pages: touched_pages(case)?,
                instructions: instructions::count(case)?,
            })
        })
        .collect()
}

/// Each line of strace is one call.
fn system_calls(case: &Case) -> anyhow::Result<u64> {
    let calls = case.findings(&["strace", "--follow-forks", "--quiet=all", "--signal=none"])?;
    Ok(calls.lines().count().try_into()?)
}

fn touched_pages(case: &Case) -> anyhow::Result<u64> {
    let told = case.findings(&["/usr/bin/time", "--format=%R"])?;
    Ok(told.lines().last().context("time says nothing")?.trim().parse()?)
}
