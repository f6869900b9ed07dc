//! One file of a tool's: read as it is, written beside and renamed, with its mode and its links as they were, and a
//! backup of what it was before.

use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::error::{Error, Result};

/// No tool's configuration is larger.
const MOST: u64 = 4 << 20;

/// Behind the name of the file.
const BACKUP: &str = ".before-my-credential-helper";

/// The file itself: those who keep their configuration in a repository have a link to it.
pub(super) fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// What it was before we first changed it.
pub(super) fn backup_of(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(BACKUP);
    path.with_file_name(name)
}

/// The text; `None` where there is no file.
pub(in crate::cli) fn read(path: &Path) -> Result<Option<String>> {
    let unreadable = |why: &dyn std::fmt::Display| {
        Error::invalid(format!("{} cannot be read: {why}", path.display()))
    };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(&error.kind())),
    };
    match file.metadata() {
        Ok(metadata) if !metadata.is_file() => return Err(unreadable(&"it is no regular file")),
        Ok(metadata) if metadata.len() > MOST => {
            return Err(unreadable(&"it is larger than 4 MiB"));
        }
        _ => {}
    }
    let mut text = String::new();
    file.take(MOST).read_to_string(&mut text).map_err(|error| unreadable(&error.kind()))?;
    Ok(Some(text))
}

/// Writes the text. The mode stays; a new file, which may come to hold secrets of the tool's, is its owner's alone.
pub(super) fn write(path: &Path, text: &str) -> Result<()> {
    let writing = || format!("writing {}", path.display());
    let folder = path.parent().with_context(writing)?;
    std::fs::create_dir_all(folder).with_context(writing)?;
    let mut beside = tempfile::NamedTempFile::new_in(folder).with_context(writing)?;
    beside.write_all(text.as_bytes()).with_context(writing)?;
    if let Ok(metadata) = path.metadata() {
        beside.as_file().set_permissions(metadata.permissions()).with_context(writing)?;
    }
    beside.as_file().sync_all().with_context(writing)?;
    beside.persist(path).with_context(writing)?;
    Ok(())
}

/// Removes a file that need not be there.
pub(super) fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing {}", path.display())).map_err(Error::from)
        }
        _ => Ok(()),
    }
}
