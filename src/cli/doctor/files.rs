//! This program on PATH, its settings, and the modes of the files that hold secrets.

use std::path::Path;

use super::Finding;
use crate::auth::Engine;
use crate::cli::setup::place::Place;

pub(super) fn examine(engine: &Engine<'_>, place: &Place) -> Vec<Finding> {
    let mut findings = vec![program(place)];
    findings.push(match engine.context.configuration() {
        Err(error) => Finding::problem("settings", error.message, "mend the file, or move it away"),
        Ok(_) => Finding::fine("settings", "can be read"),
    });
    findings.extend(modes(place));
    findings
}

fn program(place: &Place) -> Finding {
    let check = "program";
    match place.find("my-credential-helper") {
        Some(found) if place.is_this_program(&found) => {
            Finding::fine(check, format!("{} is found on PATH", found.display()))
        }
        Some(other) => {
            Finding::note(check, format!("another copy comes first on PATH: {}", other.display()))
                .with_fix("remove the one that you do not want")
        }
        None => {
            let folder = place.program.parent().unwrap_or(&place.program).display();
            Finding::problem(
                check,
                "my-credential-helper is not on PATH",
                format!("export PATH=\"{folder}:$PATH\""),
            )
        }
    }
}

/// What is open to others below `~/.my`. Reading narrows a file too; here it is told.
fn modes(place: &Place) -> Vec<Finding> {
    let root = place.home.join(".my");
    let mut findings = Vec::new();
    let mut waiting = vec![(root, 0)];
    while let Some((path, depth)) = waiting.pop() {
        let Ok(metadata) = path.symlink_metadata() else { continue };
        if metadata.is_symlink() {
            findings.push(linked(&path));
            continue;
        }
        findings.extend(mode(&path, &metadata));
        // As deep as stored logins lie, and no deeper.
        if metadata.is_dir() && depth < 3 {
            let entries =
                std::fs::read_dir(&path).into_iter().flatten().flatten().take(MOST_ENTRIES);
            waiting.extend(entries.map(|entry| (entry.path(), depth + 1)));
        }
    }
    if findings.is_empty() {
        findings.push(Finding::fine("files", "nobody else can read them"));
    }
    findings
}

/// Somebody may have a hundred thousand logins.
const MOST_ENTRIES: usize = 1000;

fn linked(path: &Path) -> Finding {
    let message = format!("{} is a symbolic link, which is not followed", path.display());
    Finding::problem("files", message, "put the file itself there")
}

#[cfg(unix)]
fn mode(path: &Path, metadata: &std::fs::Metadata) -> Option<Finding> {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    let mode = metadata.mode() & 0o777;
    if mode & 0o077 == 0 {
        return None;
    }
    let right = if metadata.is_dir() { 0o700 } else { 0o600 };
    let message = format!("{} has mode {mode:o}: others can read it", path.display());
    let (path, fix): (std::path::PathBuf, _) =
        (path.to_owned(), format!("chmod {right:o} {}", path.display()));
    Some(Finding::problem("files", message, fix).mended_by(move || {
        let narrowed = std::fs::set_permissions(&path, std::fs::Permissions::from_mode(right));
        narrowed.map_err(|error| {
            crate::error::Error::invalid_state(format!("{}: {}", path.display(), error.kind()))
        })
    }))
}

#[cfg(not(unix))]
fn mode(_: &Path, _: &std::fs::Metadata) -> Option<Finding> {
    None
}
