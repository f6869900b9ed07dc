//! Whether PATH finds this program, whether its settings can be read, and the modes of the files with secrets.

use std::fs::Metadata;
use std::path::PathBuf;

use super::finding::Finding;
use crate::auth::Engine;
use crate::cli::setup::machine::Machine;
use crate::error::Error;
use crate::sys::{atomic_file, os};

pub(super) fn examine(engine: &Engine<'_>, machine: Option<&Machine>) -> Vec<Finding> {
    // Before a file is read, which narrows its mode.
    let modes = machine.map(modes);
    let mut findings: Vec<_> = machine.map(program).into_iter().collect();
    findings.push(match engine.context.configuration() {
        Err(error) => Finding::error("settings", error, "correct the file, or move it away"),
        Ok(found) => match engine.context.check_hosts(found, &found.names()) {
            Err(error) => Finding::error("settings", error, "remove the host from one of them"),
            Ok(()) => Finding::fine("settings", "can be read"),
        },
    });
    findings.extend(modes.into_iter().flatten());
    findings
}

fn program(machine: &Machine) -> Finding {
    let check = "program";
    match machine.find("my-credential-helper") {
        Some(found) if machine.is_this_program(&found) => {
            Finding::fine(check, format!("{} is found on PATH", found.display()))
        }
        Some(other) => {
            Finding::note(check, format!("another copy comes first on PATH: {}", other.display()))
                .with_fix("remove one of the copies")
        }
        None => {
            let folder = machine.program.parent().unwrap_or(&machine.program);
            Finding::problem(check, "my-credential-helper is not on PATH", os::path_line(folder))
        }
    }
}

/// A user may have a hundred thousand stored logins.
const MAX_ENTRIES: usize = 1000;

/// The files and directories below `~/.my` that others can read. Reading a file narrows its mode too; here it is reported.
fn modes(machine: &Machine) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut waiting = vec![(machine.home.join(".my"), 0)];
    while let Some((path, depth)) = waiting.pop() {
        let Ok(metadata) = path.symlink_metadata() else { continue };
        if metadata.is_symlink() {
            let message = format!("{} is a symbolic link, which is not followed", path.display());
            findings.push(Finding::problem("files", message, "replace the link with the file"));
            continue;
        }
        // The depth of stored logins.
        if metadata.is_dir() && depth < 3 {
            let entries = std::fs::read_dir(&path).into_iter().flatten().flatten();
            waiting.extend(entries.take(MAX_ENTRIES).map(|entry| (entry.path(), depth + 1)));
        }
        findings.extend(mode(path, metadata));
    }
    if findings.is_empty() {
        findings.push(Finding::fine("files", "not readable by other users"));
    }
    findings
}

fn mode(path: PathBuf, metadata: Metadata) -> Option<Finding> {
    let atomic_file::Exposure { reason, fix } = atomic_file::exposure(&path, &metadata)?;
    let message = format!("{} {reason}", path.display());
    Some(Finding::problem("files", message, fix).with_repair(move || {
        atomic_file::make_private(&path, &metadata)
            .map_err(|error| Error::invalid_state(format!("{}: {}", path.display(), error.kind())))
    }))
}
