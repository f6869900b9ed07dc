//! The access list of the home directory protects the files in it.

use std::fs::{self, File, Metadata};
use std::io;
use std::path::Path;

use super::FileError;

pub(super) fn is_ours(_: &Metadata) -> bool {
    true
}

pub(super) fn may_link(_: &Metadata) -> bool {
    true
}

pub(super) fn no_follow(_: &mut fs::OpenOptions) {}

pub(super) fn no_wait(_: &mut fs::OpenOptions) {}

pub(super) fn is_trusted(_: &Metadata) -> Result<(), FileError> {
    Ok(())
}

pub(super) fn check_place(_: &Path) -> Result<(), FileError> {
    Ok(())
}

pub(super) fn was_link(_: &io::Error) -> bool {
    false
}

pub(super) fn keep_private(_: &File, _: &Metadata) -> Result<bool, FileError> {
    Ok(false)
}

pub(super) fn is_private(_: &Metadata) -> bool {
    true
}

pub(super) fn narrow_directory(_: &Path, _: &Metadata) -> bool {
    false
}

pub(super) fn narrow(_: &File) -> io::Result<()> {
    Ok(())
}

pub(super) fn copy_mode(_: &File, _: &Metadata) -> io::Result<()> {
    Ok(())
}

pub(super) fn reserve(file: &File, size: usize) -> io::Result<()> {
    super::fill(file, size)
}

/// A read-only file cannot be replaced there. A directory with that attribute is as any other.
pub(super) fn protection(path: &Path) -> Option<FileError> {
    let metadata = fs::symlink_metadata(path).ok()?;
    (metadata.is_file() && metadata.permissions().readonly()).then_some(FileError::Immutable)
}

pub(super) fn private_directory<'a, 'b>(
    builder: &'a mut tempfile::Builder<'b, 'b>,
) -> &'a mut tempfile::Builder<'b, 'b> {
    builder
}

pub(super) fn create_directory(directory: &Path, _: bool) -> Result<(), FileError> {
    Ok(fs::create_dir_all(directory)?)
}
