//! Access lists. What this program creates lists this user alone, and does not inherit from the directory above it.

use std::fs::{self, File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use windows_permissions::constants::SeObjectType::SE_FILE_OBJECT;
use windows_permissions::constants::{AceType, SecurityInformation};
use windows_permissions::utilities::current_process_sid;
use windows_permissions::wrappers::{
    ConvertSecurityDescriptorToStringSecurityDescriptor, GetNamedSecurityInfo, SetNamedSecurityInfo,
};
use windows_permissions::{LocalBox, SecurityDescriptor};

use super::{Exposure, FileError};

/// SYSTEM, the administrators, and the owner under two names: who can read every file of this user anyway.
const TRUSTED: [&str; 4] = ["S-1-5-18", "S-1-5-32-544", "S-1-3-0", "S-1-3-4"];

/// A file without a list is everybody's.
const EVERYONE: &str = "S-1-1-0";

/// A virus scanner, the indexer or another process of ours may have a file open for a moment.
const RETRIES: u32 = 100;
const RETRY_DELAY: Duration = Duration::from_millis(10);

/// `ERROR_ACCESS_DENIED`, `ERROR_SHARING_VIOLATION` and `ERROR_LOCK_VIOLATION` (winerror.h).
const IN_USE: [i32; 3] = [5, 32, 33];

/// The length from which the system takes only a path with the prefix `\\?\` (`MAX_PATH`, less the name of a file).
const LONG: usize = 248;

pub(super) fn is_ours(_: &Metadata) -> bool {
    true
}

pub(super) fn is_safe(_: &Metadata) -> bool {
    true
}

pub(super) fn may_link(_: &Metadata) -> bool {
    true
}

pub(super) fn may_append(_: &Metadata) -> bool {
    true
}

pub(super) fn no_follow(options: &mut fs::OpenOptions) {
    no_wait(options);
}

/// A directory is opened, too, and then reported as one (`FILE_FLAG_BACKUP_SEMANTICS`).
pub(super) fn no_wait(options: &mut fs::OpenOptions) {
    std::os::windows::fs::OpenOptionsExt::custom_flags(options, 0x0200_0000);
}

pub(super) fn is_trusted(_: &Metadata) -> Result<(), FileError> {
    Ok(())
}

pub(super) fn check_place(_: &Path) -> Result<(), FileError> {
    Ok(())
}

pub(super) fn was_link(_: &io::Error) -> bool {
    false
}

/// Whether the list had to be narrowed.
pub(super) fn keep_private(path: &Path, _: &File, _: &Metadata) -> Result<bool, FileError> {
    let failed = |error: io::Error| FileError::ReadableByOthers(error.kind());
    if others(path).map_err(failed)?.is_empty() {
        return Ok(false);
    }
    restrict(path, false).map_err(failed)?;
    Ok(true)
}

/// A lock is in a directory that is private.
pub(super) fn is_private(_: &Metadata) -> bool {
    true
}

pub(super) fn narrow_directory(directory: &Path, _: &Metadata) -> bool {
    others(directory).is_ok_and(|others| !others.is_empty()) && restrict(directory, true).is_ok()
}

pub(super) fn narrow(path: &Path, _: &File) -> io::Result<()> {
    restrict(path, false)
}

/// The list of the file that is replaced.
pub(super) fn copy_mode(from: &Path, to: &Path, _: &File, _: &Metadata) -> io::Result<()> {
    let (list, kind) = (list_of(from)?, SecurityInformation::Dacl);
    let text = ConvertSecurityDescriptorToStringSecurityDescriptor(&list, kind)?;
    // `D:P(…`: the entries of the directory are not inherited.
    let text = text.to_string_lossy();
    let is_protected = text.split('(').next().is_some_and(|flags| flags.contains('P'));
    let inherits = if is_protected {
        SecurityInformation::ProtectedDacl
    } else {
        SecurityInformation::UnprotectedDacl
    };
    SetNamedSecurityInfo(&name(to), SE_FILE_OBJECT, kind | inherits, None, None, list.dacl(), None)
}

pub(super) fn reserve(file: &File, size: usize) -> io::Result<()> {
    super::fill(file, size)
}

/// A read-only file cannot be replaced there. A directory with that attribute is as any other.
pub(super) fn protection(path: &Path) -> Option<FileError> {
    let metadata = fs::symlink_metadata(path).ok()?;
    (metadata.is_file() && metadata.permissions().readonly()).then_some(FileError::Immutable)
}

/// The directory has the list of the one above it: it is one of this user, or of this program.
pub(super) fn private_directory<'a, 'b>(
    builder: &'a mut tempfile::Builder<'b, 'b>,
) -> &'a mut tempfile::Builder<'b, 'b> {
    builder
}

/// The directory and what is missing above it, each with the list of [`restrict`].
pub(super) fn create_directory(directory: &Path, is_private: bool) -> Result<(), FileError> {
    match fs::metadata(directory) {
        Ok(metadata) if !metadata.is_dir() => Err(FileError::NotDirectory),
        Ok(metadata) => {
            let _ = is_private && narrow_directory(directory, &metadata);
            Ok(())
        }
        Err(_) => {
            if let Some(above) = directory.parent().filter(|above| !above.exists()) {
                create_directory(above, is_private)?;
            }
            match fs::create_dir(directory) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error)?,
                _ => Ok(restrict(directory, true)?),
            }
        }
    }
}

/// Not by tempfile, which gives the file the attribute of a temporary one that [`persist`] does not remove.
pub(super) fn create_temporary(
    builder: &tempfile::Builder<'_, '_>,
    directory: &Path,
) -> io::Result<tempfile::NamedTempFile> {
    let mut options = fs::OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[expect(clippy::disallowed_methods, reason = "for the one place")]
    builder.make_in(directory, |path| options.open(path))
}

/// By std's rename, which replaces a file that another process reads, and accepts long paths; tempfile's does neither.
pub(super) fn persist(temporary: tempfile::NamedTempFile, path: &Path) -> io::Result<()> {
    let (file, mut temporary) = temporary.into_parts();
    drop(file);
    retry(|| fs::rename(&temporary, path))?;
    temporary.disable_cleanup(true);
    Ok(())
}

/// Calls again for as long as another process has the file open.
pub(super) fn retry<T>(call: impl Fn() -> io::Result<T>) -> io::Result<T> {
    let is_in_use = |error: &io::Error| error.raw_os_error().is_some_and(|n| IN_USE.contains(&n));
    for _ in 0..RETRIES {
        match call() {
            Err(error) if is_in_use(&error) => std::thread::sleep(RETRY_DELAY),
            result => return result,
        }
    }
    call()
}

pub fn exposure(path: &Path, _: &Metadata) -> Option<Exposure> {
    let others = match others(path) {
        Ok(others) if others.is_empty() => return None,
        Ok(others) => format!("lets other users in ({})", others.join(", ")),
        Err(error) => format!("has an access list that cannot be read: {}", error.kind()),
    };
    let fix = format!("icacls \"{}\" /inheritance:r /grant:r \"%USERNAME%:F\"", path.display());
    Some(Exposure { reason: others, fix })
}

pub fn make_private(path: &Path, metadata: &Metadata) -> io::Result<()> {
    restrict(path, metadata.is_dir())
}

fn list_of(path: &Path) -> io::Result<LocalBox<SecurityDescriptor>> {
    GetNamedSecurityInfo(&name(path), SE_FILE_OBJECT, SecurityInformation::Dacl)
}

/// The users and groups besides this user that a list lets in, or lets into the files of a directory.
fn others(path: &Path) -> io::Result<Vec<String>> {
    let (found, user) = (list_of(path)?, current_process_sid()?);
    let Some(list) = found.dacl() else { return Ok(vec![EVERYONE.to_owned()]) };
    let is_granted = |kind: AceType| {
        !matches!(
            kind,
            AceType::ACCESS_DENIED_ACE_TYPE
                | AceType::ACCESS_DENIED_CALLBACK_ACE_TYPE
                | AceType::ACCESS_DENIED_CALLBACK_OBJECT_ACE_TYPE
                | AceType::ACCESS_DENIED_OBJECT_ACE_TYPE
        )
    };
    let entries = (0..list.len()).filter_map(|index| list.get_ace(index));
    let granted = entries.filter(|entry| is_granted(entry.ace_type()) && !entry.mask().is_empty());
    let others = granted.filter_map(|entry| entry.sid()).filter(|sid| **sid != *user);
    let mut others: Vec<_> = others.map(ToString::to_string).collect();
    others.retain(|sid| !TRUSTED.contains(&&**sid));
    others.dedup();
    Ok(others)
}

/// Makes this user the only one of the list. Files that are created in a directory inherit that.
fn restrict(path: &Path, is_directory: bool) -> io::Result<()> {
    let (user, inherited) = (current_process_sid()?, if is_directory { "OICI" } else { "" });
    // Protected, full access (learn.microsoft.com, "Security Descriptor String Format").
    let list: LocalBox<SecurityDescriptor> =
        format!("D:P(A;{inherited};FA;;;{})", *user).parse()?;
    let kind = SecurityInformation::Dacl | SecurityInformation::ProtectedDacl;
    SetNamedSecurityInfo(&name(path), SE_FILE_OBJECT, kind, None, None, list.dacl(), None)
}

/// The path as the functions take it that std does not call.
fn name(path: &Path) -> std::ffi::OsString {
    let path: PathBuf = path.components().collect();
    let is_on_disk = path.to_str().is_some_and(|text| text.get(1..3) == Some(":\\"));
    if path.as_os_str().len() < LONG || !is_on_disk {
        return path.into_os_string();
    }
    let mut name = std::ffi::OsString::from(r"\\?\");
    name.push(path);
    name
}
