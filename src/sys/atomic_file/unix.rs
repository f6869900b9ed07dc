//! Owners, modes and mount points.

use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};

use rustix::fs::{Gid, Mode, OFlags};

use super::{Exposure, FileError, MAX_LINKS};

pub(super) fn is_ours(metadata: &Metadata) -> bool {
    metadata.uid() == rustix::process::geteuid().as_raw()
}

/// Whether a link of this owner is followed: this user and root need no link to lead a write elsewhere.
pub(super) fn may_link(metadata: &Metadata) -> bool {
    is_ours(metadata) || metadata.uid() == 0
}

/// In a container, a job may be root, and the file that of the user who runs the jobs.
pub(super) fn may_append(metadata: &Metadata) -> bool {
    may_link(metadata) || rustix::process::geteuid().is_root()
}

/// Whether a file belongs to another user, or another user can replace it. A file that is missing belongs to nobody.
pub fn may_be_foreign(path: &Path) -> bool {
    matches!(check_place(path), Err(FileError::Replaceable(_)))
        || path.symlink_metadata().is_ok_and(|found| !is_ours(&found))
}

/// Whether no other user can replace what is in the directory.
pub(super) fn is_safe(directory: &Metadata) -> bool {
    const STICKY: u32 = 0o1000;
    match directory.mode() {
        mode if mode & STICKY != 0 => is_ours_or_roots(directory),
        // The group of a directory of this user is this user's choice.
        mode if is_ours(directory) => mode & 0o002 == 0,
        mode => is_ours_or_roots(directory) && mode & 0o022 == 0,
    }
}

/// As [`may_link`]. In a user namespace without root (bubblewrap), its files belong to 65534: `user_namespaces(7)`.
fn is_ours_or_roots(metadata: &Metadata) -> bool {
    const NO_NUMBER: u32 = 65534;
    #[expect(clippy::disallowed_methods, reason = "a file of the kernel")]
    let map = || fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let is_root = |line: &str| line.split_whitespace().next() == Some("0");
    let has_no_root = |map: String| !map.is_empty() && !map.lines().any(is_root);
    may_link(metadata) || metadata.uid() == NO_NUMBER && has_no_root(map())
}

/// An error if another user could have created the file: in any directory, or by any link, on the way to it.
pub(super) fn check_place(path: &Path) -> Result<(), FileError> {
    let parts = |path: &Path| path.components().rev().map(|it| it.as_os_str().to_owned()).collect();
    let (mut place, mut links) = (PathBuf::from("/"), 0);
    let mut directory = place.metadata()?;
    let mut rest: Vec<OsString> = parts(path);
    while let Some(part) = rest.pop() {
        if part == ".." {
            place.pop();
            directory = place.metadata()?;
            continue;
        }
        if !is_safe(&directory) {
            return Err(FileError::Replaceable(place));
        }
        place.push(part);
        let found = place.symlink_metadata()?;
        if found.is_symlink() {
            if !is_ours_or_roots(&found) {
                return Err(FileError::Replaceable(place));
            }
            links += 1;
            if links > MAX_LINKS {
                return Err(FileError::LinkLoop);
            }
            rest.append(&mut parts(&fs::read_link(&place)?));
            place.pop();
        } else {
            directory = found;
        }
    }
    Ok(())
}

/// Links are not followed, and a fifo does not block.
pub(super) fn no_follow(options: &mut fs::OpenOptions) {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    options.mode(0o600).custom_flags(flags.bits().cast_signed());
}

/// A fifo does not block.
pub(super) fn no_wait(options: &mut fs::OpenOptions) {
    options.custom_flags((OFlags::NONBLOCK | OFlags::CLOEXEC).bits().cast_signed());
}

pub(super) fn is_trusted(metadata: &Metadata) -> Result<(), FileError> {
    if !may_link(metadata) {
        return Err(FileError::Foreign);
    }
    if metadata.mode() & 0o022 != 0 { Err(FileError::WritableByOthers) } else { Ok(()) }
}

pub(super) fn was_link(error: &io::Error) -> bool {
    rustix::io::Errno::from_io_error(error) == Some(rustix::io::Errno::LOOP)
}

pub(super) fn keep_private(
    path: &Path,
    file: &File,
    metadata: &Metadata,
) -> Result<bool, FileError> {
    if !is_ours(metadata) {
        return Err(FileError::Foreign);
    }
    if metadata.mode() & 0o077 == 0 {
        return Ok(false);
    }
    narrow(path, file).map_err(|error| FileError::ReadableByOthers(error.kind()))?;
    Ok(true)
}

/// Whether no other user could have opened the file since it has this mode.
pub(super) fn is_private(metadata: &Metadata) -> bool {
    is_ours(metadata) && metadata.mode() & 0o077 == 0
}

/// Returns whether others could access the directory until now.
pub(super) fn narrow_directory(directory: &Path, metadata: &Metadata) -> bool {
    is_ours(metadata)
        && metadata.mode() & 0o077 != 0
        && fs::set_permissions(directory, fs::Permissions::from_mode(0o700)).is_ok()
}

/// Sets the mode to 0600, whatever the umask is.
pub(super) fn narrow(_: &Path, file: &File) -> io::Result<()> {
    Ok(rustix::fs::fchmod(file, Mode::RUSR | Mode::WUSR)?)
}

/// Copies the mode. If the group cannot be copied, its rights are removed: another group would get them.
pub(super) fn copy_mode(_: &Path, _: &Path, file: &File, replaced: &Metadata) -> io::Result<()> {
    let gid = Gid::from_raw(replaced.gid());
    let keeps_group = file.metadata()?.gid() == replaced.gid()
        || rustix::fs::fchown(file, None, Some(gid)).is_ok();
    let mask = if keeps_group { 0o777 } else { 0o707 };
    file.set_permissions(fs::Permissions::from_mode(replaced.mode() & mask))
}

#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn reserve(file: &File, size: usize) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    match fallocate(file, FallocateFlags::empty(), 0, size.max(1) as u64) {
        // The file system cannot reserve space.
        Err(rustix::io::Errno::OPNOTSUPP) => super::fill(file, size),
        other => Ok(other?),
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) fn reserve(file: &File, size: usize) -> io::Result<()> {
    super::fill(file, size)
}

/// Detects files that neither the owner nor root can replace: `chattr +i` or `+a`, and a mounted single file, as in
/// containers (`rename` fails with `EBUSY`; known since Linux 5.8).
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn protection(path: &Path) -> Option<FileError> {
    use rustix::fs::{AtFlags, CWD, StatxAttributes as Has, StatxFlags, statx};
    let found = statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::empty()).ok()?;
    if found.stx_attributes.intersects(Has::IMMUTABLE | Has::APPEND) {
        return Some(FileError::Immutable);
    }
    found.stx_attributes.contains(Has::MOUNT_ROOT).then_some(FileError::MountPoint)
}

/// `chflags uchg`, `uappnd`, `schg` and `sappnd` (sys/stat.h).
#[cfg(target_os = "macos")]
pub(super) fn protection(path: &Path) -> Option<FileError> {
    let flags = std::os::macos::fs::MetadataExt::st_flags(&fs::symlink_metadata(path).ok()?);
    (flags & 0x0006_0006 != 0).then_some(FileError::Immutable)
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "macos")))]
pub(super) fn protection(_: &Path) -> Option<FileError> {
    None
}

pub(super) fn private_directory<'a, 'b>(
    builder: &'a mut tempfile::Builder<'b, 'b>,
) -> &'a mut tempfile::Builder<'b, 'b> {
    builder.permissions(fs::Permissions::from_mode(0o700))
}

pub(super) fn create_temporary(
    builder: &tempfile::Builder<'_, '_>,
    directory: &Path,
) -> io::Result<tempfile::NamedTempFile> {
    builder.tempfile_in(directory)
}

pub(super) fn persist(temporary: tempfile::NamedTempFile, path: &Path) -> io::Result<()> {
    temporary.persist(path).map(drop).map_err(|failed| failed.error)
}

/// A file that another process has open can be opened, replaced and removed.
pub(super) fn retry<T>(call: impl Fn() -> io::Result<T>) -> io::Result<T> {
    call()
}

/// `None` if only this user can read the file or directory.
pub fn exposure(path: &Path, metadata: &Metadata) -> Option<Exposure> {
    let (mode, right) = (metadata.mode() & 0o777, private_mode(metadata));
    (mode & 0o077 != 0).then(|| Exposure {
        reason: format!("has mode {mode:o}: other users can read it"),
        fix: format!("chmod {right:o} {}", path.display()),
    })
}

/// Removes the access of other users to a file or a directory.
pub fn make_private(path: &Path, metadata: &Metadata) -> io::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(private_mode(metadata)))
}

fn private_mode(metadata: &Metadata) -> u32 {
    if metadata.is_dir() { 0o700 } else { 0o600 }
}

/// Creates the directory and its missing parents, each with mode 0700. With `is_private`, a directory that others can
/// access is narrowed, and a directory of another user is an error.
pub(super) fn create_directory(directory: &Path, is_private: bool) -> Result<(), FileError> {
    let narrow = || fs::set_permissions(directory, fs::Permissions::from_mode(0o700));
    match fs::metadata(directory) {
        Ok(metadata) if !metadata.is_dir() => Err(FileError::NotDirectory),
        Ok(_) if !is_private => Ok(()),
        Ok(_) if super::is_ours(directory)? != Some(true) => Err(FileError::Foreign),
        Ok(metadata) if metadata.mode() & 0o077 == 0 => Ok(()),
        Ok(_) => Ok(narrow()?),
        Err(_) => {
            if let Some(above) = directory.parent().filter(|above| !above.exists()) {
                create_directory(above, is_private)?;
            }
            match fs::DirBuilder::new().mode(0o700).create(directory) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error)?,
                _ => {}
            }
            // Set each mode: with some umasks nothing could be created in the new directory.
            Ok(narrow()?)
        }
    }
}
