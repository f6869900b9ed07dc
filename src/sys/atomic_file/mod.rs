//! Files of the user. A file is written to a temporary file beside it, which then replaces it: neither a reader nor a
//! crash leaves a part of a file. [`prepare`] detects beforehand that a file cannot be replaced.

#[cfg(unix)]
mod unix;
#[cfg(unix)]
use unix as platform;
#[cfg(unix)]
pub use unix::may_be_foreign;
#[cfg(windows)]
mod windows;
#[cfg(windows)]
use windows as platform;

pub use platform::{exposure, make_private};

use std::fs::{self, File, Metadata};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::Error;
use crate::model::Secret;

/// The largest file of this program, in MiB.
const MAX_MIB: u64 = 1;

/// The largest configuration of a tool, in MiB.
const MAX_CONFIGURATION_MIB: u64 = 4;

/// The largest file of certificates, in MiB.
const MAX_CERTIFICATES_MIB: u64 = 16;

/// How many links are followed at most, as in Linux.
const MAX_LINKS: usize = 40;

/// The prefix of temporary files, before the name of the replaced file, a dash and six random letters and digits.
pub const TEMPORARY: &str = ".my-credential-helper-";
const TEMPORARY_END: &str = ".tmp";
const RANDOM_LENGTH: usize = 6;

/// The age at which a temporary file counts as left by a process that died: no write takes so long.
pub const LEFT_BEHIND: Duration = Duration::from_secs(60);

/// Why a file cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("is a directory")]
    Directory,
    #[error("is not a directory")]
    NotDirectory,
    #[error("is not a regular file")]
    NotRegular,
    #[error("is larger than {0} MiB")]
    TooLarge(u64),
    #[error("is not UTF-8")]
    NotUtf8,
    #[error("is a symbolic link, which is not followed")]
    Link,
    #[error("is a symbolic link to itself")]
    LinkLoop,
    #[error("belongs to another user")]
    Foreign,
    #[error("is writable by other users; run `chmod go-w` on it")]
    WritableByOthers,
    #[error(
        "can be replaced by other users; run `chmod go-w {0}`, or remove it if it is not yours"
    )]
    Replaceable(PathBuf),
    #[error("is readable by other users, and its mode cannot be changed: {0}")]
    ReadableByOthers(io::ErrorKind),
    #[error("is a mount point, which cannot be replaced; mount its directory instead")]
    MountPoint,
    #[error("is write-protected by the file system (immutable, append-only or read-only)")]
    Immutable,
    #[error("was removed by another process")]
    Removed,
    #[error("{}", describe(.0))]
    Io(#[from] io::Error),
}

/// The standard library's text for the kind of the error, without the error number of the system.
fn describe(error: &io::Error) -> String {
    match error.kind().to_string() {
        kind if kind == "uncategorized error" => error.to_string(),
        kind => kind,
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{action} {}: {reason}", path.display())]
pub struct WriteError {
    action: &'static str,
    path: PathBuf,
    #[source]
    pub reason: FileError,
}

impl WriteError {
    pub fn new(action: &'static str, path: &Path, reason: impl Into<FileError>) -> Self {
        Self { action, path: path.to_owned(), reason: reason.into() }
    }
}

impl From<WriteError> for Error {
    fn from(error: WriteError) -> Self {
        Self::invalid_state(error.to_string())
    }
}

/// How a file and its directory are treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// A file of this program: 0600 in a directory that is 0700. A link is replaced.
    Private,
    /// A file of the user or of a tool: a link is followed, and the file keeps its mode and group. A new file is 0600.
    Preserve,
    /// A backup beside a file of the user: 0600. A link is replaced, and the directory is not changed.
    Backup,
}

pub struct Contents {
    pub text: Secret,
    /// Whether others could read the file until now.
    pub repaired: bool,
}

/// Reads a regular file of this user. A link is not followed, and a mode wider than 0600 is narrowed.
pub fn read(path: &Path) -> Result<Option<Contents>, FileError> {
    let Some((file, metadata)) = open(path, platform::no_follow, MAX_MIB)? else { return Ok(None) };
    let repaired = platform::keep_private(path, &file, &metadata)?;
    Ok(Some(Contents { text: text(&file, &metadata)?, repaired }))
}

/// As [`read`], for a cached file in a directory that a variable names: `None` if others can read it, since it may come
/// from an archive or a repository that was unpacked there.
pub fn read_own(path: &Path) -> Option<Secret> {
    let (file, metadata) = open(path, platform::no_follow, MAX_MIB).ok()??;
    platform::is_private(&metadata).then(|| text(&file, &metadata).ok())?
}

/// Reads a file without a secret, possibly a link. An error if a user other than its owner and root can change it.
pub fn read_public(path: &Path) -> Result<Option<String>, FileError> {
    let Some((file, metadata)) = open(path, platform::no_wait, MAX_MIB)? else { return Ok(None) };
    platform::is_trusted(&metadata)?;
    platform::check_place(path)?;
    Ok(Some(text(&file, &metadata)?.expose_secret().to_owned()))
}

/// Reads the configuration of a tool, whose mode and owner are the tool's business.
pub fn read_configuration(path: &Path) -> Result<Option<String>, FileError> {
    let found = open(path, platform::no_wait, MAX_CONFIGURATION_MIB)?;
    found.map(|(file, metadata)| Ok(text(&file, &metadata)?.expose_secret().to_owned())).transpose()
}

/// Reads certificates. The comments between them may have any encoding.
pub fn read_certificates(path: &Path) -> Result<Option<Vec<u8>>, FileError> {
    let max = MAX_CERTIFICATES_MIB;
    let Some((file, _)) = open(path, platform::no_wait, max)? else { return Ok(None) };
    let mut bytes = Vec::new();
    file.take(max << 20).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

#[expect(clippy::disallowed_methods, reason = "this is the one place")]
fn open(
    path: &Path,
    set_flags: fn(&mut fs::OpenOptions),
    max: u64,
) -> Result<Option<(File, Metadata)>, FileError> {
    let mut options = fs::OpenOptions::new();
    options.read(true);
    set_flags(&mut options);
    let file = match platform::retry(|| options.open(path)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(opening(error)),
    };
    let metadata = file.metadata()?;
    match &metadata {
        found if found.is_dir() => Err(FileError::Directory),
        found if !found.is_file() => Err(FileError::NotRegular),
        found if found.len() > max << 20 => Err(FileError::TooLarge(max)),
        _ => Ok(Some((file, metadata))),
    }
}

fn opening(error: io::Error) -> FileError {
    if platform::was_link(&error) { FileError::Link } else { FileError::Io(error) }
}

fn text(file: &File, metadata: &Metadata) -> Result<Secret, FileError> {
    // One byte more than the file has, so that the buffer never grows and leaves a copy behind.
    let size = usize::try_from(metadata.len()).unwrap_or(0) + 1;
    let mut text = zeroize::Zeroizing::new(String::with_capacity(size));
    file.take(MAX_CONFIGURATION_MIB << 20).read_to_string(&mut text).map_err(
        |error| match error.kind() {
            io::ErrorKind::InvalidData => FileError::NotUtf8,
            _ => FileError::Io(error),
        },
    )?;
    Ok(Secret::from(text))
}

/// A file that is about to be replaced. The new file is open beside the old one, with its space reserved.
pub struct Prepared {
    temporary: tempfile::NamedTempFile,
    path: PathBuf,
    policy: Policy,
    /// The old file, whose mode and group the new file gets.
    replaced: Option<Metadata>,
}

/// Creates the directory and what is missing above it, each 0700, whatever the umask is.
pub fn create_directory(directory: &Path) -> Result<(), WriteError> {
    platform::create_directory(directory, false)
        .map_err(|reason| WriteError::new("creating", directory, reason))
}

/// Creates the new file and a missing directory (0700), and reserves `size` bytes: foreseeable failures occur now.
pub fn prepare(path: &Path, size: usize, policy: Policy) -> Result<Prepared, WriteError> {
    let failed = |reason| WriteError::new("writing", path, reason);
    let path = &if policy == Policy::Preserve { target(path)? } else { path.to_owned() };
    let directory = path.parent().ok_or_else(|| failed(FileError::NotDirectory))?;
    platform::create_directory(directory, policy == Policy::Private)
        .map_err(|reason| WriteError::new("creating", directory, reason))?;
    sweep(path, LEFT_BEHIND);
    obstacle(path).map_or(Ok(()), |reason| Err(failed(reason)))?;
    let mut builder = tempfile::Builder::new();
    builder.rand_bytes(RANDOM_LENGTH).suffix(TEMPORARY_END);
    let prefix = prefix_for(path);
    let temporary = platform::create_temporary(builder.prefix(&prefix), directory);
    let temporary = temporary.map_err(|error| failed(error.into()))?;
    platform::narrow(temporary.path(), temporary.as_file())
        .map_err(|error| failed(error.into()))?;
    platform::reserve(temporary.as_file(), size).map_err(|error| failed(error.into()))?;
    let replaced = path.metadata().ok().filter(|_| policy == Policy::Preserve);
    Ok(Prepared { temporary, path: path.clone(), policy, replaced })
}

/// The file behind the links, as of a configuration in a repository of dotfiles. It may not exist yet.
pub fn target(path: &Path) -> Result<PathBuf, WriteError> {
    let mut target = path.to_owned();
    for _ in 0..MAX_LINKS {
        reject_foreign(&target)?;
        if let Ok(found) = dunce::canonicalize(&target) {
            return reject_foreign(&found).map(|()| found);
        }
        match fs::read_link(&target) {
            Ok(link) => target = target.parent().unwrap_or(&target).join(link),
            Err(_) => return Ok(target),
        }
    }
    Err(WriteError::new("writing", path, FileError::LinkLoop))
}

/// An error if a file, a link or a directory on the way belongs to another user, who could redirect the write: `sudo` may
/// preserve the variables that name a configuration.
pub fn reject_foreign(path: &Path) -> Result<(), WriteError> {
    let is_foreign =
        |part: &&Path| part.symlink_metadata().is_ok_and(|found| !platform::may_link(&found));
    let existing = path.ancestors().find_map(|part| dunce::canonicalize(part).ok());
    path.ancestors()
        .chain(existing.iter().flat_map(|existing| existing.ancestors()))
        .find(is_foreign)
        .map_or(Ok(()), |part| Err(WriteError::new("writing below", part, FileError::Foreign)))
}

/// The reason why the file cannot be replaced or removed, if that can be detected beforehand.
fn obstacle(path: &Path) -> Option<FileError> {
    if fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir()) {
        return Some(FileError::Directory);
    }
    // The directory may be a mount point, but not immutable.
    let above = || path.parent().and_then(platform::protection);
    platform::protection(path)
        .or_else(|| above().filter(|reason| matches!(reason, FileError::Immutable)))
}

impl Prepared {
    /// Writes and renames the new file, which then survives a power failure.
    pub fn commit(self, contents: &str) -> Result<(), WriteError> {
        self.write(contents, true)
    }

    fn write(self, contents: &str, is_durable: bool) -> Result<(), WriteError> {
        let (path, policy) = (self.path.clone(), self.policy);
        // If this process was stopped for long, another process has removed the new file as one that was left behind.
        if self.replace(contents, is_durable)?
            || prepare(&path, contents.len(), policy)?.replace(contents, is_durable)?
        {
            return Ok(());
        }
        Err(WriteError::new("replacing", &path, FileError::Removed))
    }

    /// Returns whether the new file still existed.
    fn replace(self, contents: &str, is_durable: bool) -> Result<bool, WriteError> {
        let failed = |error: io::Error| WriteError::new("writing", &self.path, error);
        let mut file = self.temporary.as_file();
        file.rewind().map_err(failed)?;
        file.write_all(contents.as_bytes()).map_err(failed)?;
        file.set_len(contents.len() as u64).map_err(failed)?;
        if let Some(replaced) = &self.replaced {
            platform::copy_mode(&self.path, self.temporary.path(), file, replaced)
                .map_err(failed)?;
        }
        if is_durable {
            file.sync_all().map_err(failed)?;
        }
        let path = self.path;
        match platform::persist(self.temporary, &path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            result => result.map_err(|error| WriteError::new("replacing", &path, error))?,
        }
        if is_durable {
            sync_directory(&path);
        }
        Ok(true)
    }
}

/// Appends to a file that a CI system reads in place, and that nobody else could have put there. A new file is 0600.
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub fn append(path: &Path, text: &str) -> Result<(), WriteError> {
    let failed = |reason| WriteError::new("writing", path, reason);
    let mut options = fs::OpenOptions::new();
    options.read(true).append(true).create(true);
    platform::no_follow(&mut options);
    let mut file = platform::retry(|| options.open(path)).map_err(|it| failed(opening(it)))?;
    let found = file.metadata().map_err(|error| failed(error.into()))?;
    if !found.is_file() {
        return Err(failed(FileError::NotRegular));
    }
    if !platform::may_append(&found) {
        return Err(failed(FileError::Foreign));
    }
    let mut last = [b'\n'];
    if found.len() > 0 {
        let end = file.seek(io::SeekFrom::End(-1)).and_then(|_| file.read_exact(&mut last));
        end.map_err(|error| failed(error.into()))?;
    }
    let lines = if last == [b'\n'] { text.to_owned() } else { format!("\n{text}") };
    file.write_all(lines.as_bytes()).map_err(|error| failed(error.into()))
}

/// Writes a whole file of this program.
pub fn write(path: &Path, contents: &str) -> Result<(), WriteError> {
    prepare(path, contents.len(), Policy::Private)?.commit(contents)
}

/// Writes a whole file of this program without waiting for the disk: for a file that may be lost in a power failure.
pub fn write_fleeting(path: &Path, contents: &str) -> Result<(), WriteError> {
    prepare(path, contents.len(), Policy::Private)?.write(contents, false)
}

/// Fails if [`remove`] is known to fail.
pub fn check_removal(path: &Path) -> Result<(), WriteError> {
    obstacle(path).map_or(Ok(()), |reason| Err(WriteError::new("removing", path, reason)))
}

/// Removes a file, and the temporary files of dead processes beside it; `false` if there was no file.
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub fn remove(path: &Path) -> Result<bool, WriteError> {
    sweep(path, LEFT_BEHIND);
    match platform::retry(|| fs::remove_file(path)) {
        Ok(()) => {
            sync_directory(path);
            Ok(true)
        }
        Err(error) if is_missing(&error) => Ok(false),
        Err(error) => match (check_removal(path), empty(path)) {
            (Err(_), Ok(was_empty)) => Ok(!was_empty),
            (Err(obstacle), _) => Err(obstacle),
            (Ok(()), _) => Err(WriteError::new("removing", path, error)),
        },
    }
}

/// Whether the file is mounted by itself (containers). It cannot be removed, and counts as removed when empty.
pub fn is_mount_point(path: &Path) -> bool {
    matches!(platform::protection(path), Some(FileError::MountPoint))
}

/// Empties a file that is mounted by itself; returns whether it was empty.
#[expect(clippy::disallowed_methods, reason = "the name cannot be replaced")]
fn empty(path: &Path) -> io::Result<bool> {
    if !is_mount_point(path) {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let file = fs::OpenOptions::new().write(true).open(path)?;
    let was_empty = file.metadata()?.len() == 0;
    file.set_len(0)?;
    file.sync_all()?;
    Ok(was_empty)
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Makes a rename durable. A system that cannot sync a directory needs no call.
fn sync_directory(path: &Path) {
    if let Some(directory) = path.parent().and_then(|directory| File::open(directory).ok()) {
        let _ = directory.sync_all();
    }
}

/// A directory (0700) for the files of other programs, removed on drop, or by [`sweep`] after a crash.
pub fn temporary_directory(parent: &Path) -> Result<tempfile::TempDir, WriteError> {
    sweep_in(parent, &|prefix| prefix == TEMPORARY, LEFT_BEHIND);
    let mut builder = tempfile::Builder::new();
    builder.rand_bytes(RANDOM_LENGTH).suffix(TEMPORARY_END);
    platform::private_directory(builder.prefix(TEMPORARY))
        .tempdir_in(parent)
        .map_err(|error| WriteError::new("creating a directory in", parent, error))
}

/// Removes the temporary files for `path`, and temporary directories beside it, that dead processes left and that are
/// older than `age`.
pub fn sweep(path: &Path, age: Duration) {
    let is_ours = |prefix: &str| prefix == TEMPORARY || prefix == prefix_for(path);
    path.parent().inspect(|directory| sweep_in(directory, &is_ours, age));
}

fn sweep_in(directory: &Path, is_ours: &dyn Fn(&str) -> bool, age: Duration) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    entries.flatten().for_each(|entry| remove_left_behind(&entry, is_ours, age));
}

fn prefix_for(path: &Path) -> String {
    format!("{TEMPORARY}{}-", path.file_name().unwrap_or_default().to_string_lossy())
}

/// The names in a directory of this program, if it exists. Removes the files that dead processes left there.
pub fn names_in(directory: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if is_missing(&error) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry?;
        remove_left_behind(&entry, &|prefix| prefix.starts_with(TEMPORARY), LEFT_BEHIND);
        names.extend(entry.file_name().into_string());
    }
    Ok(names)
}

#[expect(clippy::disallowed_methods, reason = "this is the one place")]
fn remove_left_behind(entry: &fs::DirEntry, is_ours: &dyn Fn(&str) -> bool, age: Duration) {
    let name = entry.file_name();
    let stem = name.to_str().and_then(|name| name.strip_suffix(TEMPORARY_END));
    let Some((prefix, random)) =
        stem.and_then(|stem| stem.split_at_checked(stem.len().checked_sub(RANDOM_LENGTH)?))
    else {
        return;
    };
    if !is_ours(prefix) || !random.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return;
    }
    let Ok(metadata) = entry.metadata() else { return };
    if !platform::is_ours(&metadata) {
        return;
    }
    if matches!(metadata.modified().map(|time| time.elapsed()), Ok(Ok(elapsed)) if elapsed >= age) {
        let remove = if metadata.is_dir() { fs::remove_dir_all } else { fs::remove_file };
        let _ = remove(entry.path());
    }
}

/// Opens or creates (0600) a file to be locked. A link is not followed. A file that another user can open is replaced,
/// since that user could hold the lock forever; `None` while another process replaces the file.
pub fn open_lock(path: &Path) -> Result<Option<File>, WriteError> {
    let directory = path.parent().unwrap_or(path);
    platform::create_directory(directory, true)
        .map_err(|reason| WriteError::new("creating", directory, reason))?;
    let (file, is_private) = open_private(path, false)?;
    if is_private {
        return Ok(Some(file));
    }
    // Only the process that creates this file replaces the lock, if it is still not private: there are never two locks.
    sweep(path, LEFT_BEHIND);
    let successor = directory.join(format!("{}000000{TEMPORARY_END}", prefix_for(path)));
    let file = match open_private(&successor, true) {
        Ok((file, _)) => file,
        Err(WriteError { reason: FileError::Io(error), .. })
            if error.kind() == io::ErrorKind::AlreadyExists =>
        {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let replacing = |error| WriteError::new("replacing", path, error);
    let successor = tempfile::TempPath::try_from_path(successor).map_err(replacing)?;
    if let (current, true) = open_private(path, false)? {
        return Ok(Some(current));
    }
    successor.persist(path).map_err(|failed| replacing(failed.error))?;
    Ok(Some(file))
}

/// Opens or creates a file that is to be 0600; returns whether no other user could open it until now.
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
fn open_private(path: &Path, is_new: bool) -> Result<(File, bool), WriteError> {
    let mut options = fs::OpenOptions::new();
    options.read(true).write(true).create(true).create_new(is_new).truncate(false);
    platform::no_follow(&mut options);
    let failed = |error| WriteError::new("opening", path, opening(error));
    let file = platform::retry(|| options.open(path)).map_err(failed)?;
    let is_private = platform::is_private(&file.metadata().map_err(failed)?);
    if is_private {
        // With some umasks, the next process could not open the new file.
        platform::narrow(path, &file).map_err(failed)?;
    }
    Ok((file, is_private))
}

/// Narrows the mode of a directory of this user to 0700; returns whether others could access it until now.
pub fn narrow_directory(directory: &Path) -> bool {
    fs::metadata(directory)
        .is_ok_and(|found| found.is_dir() && platform::narrow_directory(directory, &found))
}

/// Whether other users can replace what is in a directory of this user.
pub fn is_writable_by_others(directory: &Path) -> bool {
    fs::metadata(directory).is_ok_and(|found| !platform::is_safe(&found))
}

/// The permission with which other users can read a file or a directory, and the command that removes it.
pub struct Exposure {
    pub reason: String,
    pub fix: String,
}

/// Whether a directory belongs to this user; `None` if it does not exist. A link counts if this user or root made it:
/// another user could redirect it.
pub fn is_ours(directory: &Path) -> io::Result<Option<bool>> {
    let known = |found: io::Result<Metadata>| match found {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    };
    match known(fs::symlink_metadata(directory))? {
        Some(link) if link.is_symlink() && !platform::may_link(&link) => Ok(Some(false)),
        Some(link) if link.is_symlink() => {
            Ok(known(fs::metadata(directory))?.map(|found| platform::is_ours(&found)))
        }
        found => Ok(found.map(|found| platform::is_ours(&found))),
    }
}

/// Reserves space by writing blanks, if the system has no call for that.
fn fill(mut file: &File, size: usize) -> io::Result<()> {
    file.write_all(&vec![b' '; size])
}

#[cfg(all(test, unix))]
#[expect(clippy::disallowed_methods, reason = "files as other programs make them")]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::{Policy, prepare, read, remove, sweep, write};

    fn reason(path: &std::path::Path) -> String {
        read(path).err().unwrap().to_string()
    }

    #[test]
    fn a_written_file_is_private_and_read_back() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("a/b/credentials.json");
        write(&path, "first, and longer").unwrap();
        write(&path, "second").unwrap();
        let contents = read(&path).unwrap().unwrap();
        assert!(contents.text.expose_secret() == "second" && !contents.repaired);
        let mode =
            |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        assert_eq!(
            fs::read_dir(path.parent().unwrap()).unwrap().count(),
            1,
            "no temporary file stays"
        );
    }

    #[test]
    fn a_wide_mode_is_repaired_and_reported() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("f");
        write(&path, "x").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(read(&path).unwrap().unwrap().repaired);
        assert!(!read(&path).unwrap().unwrap().repaired, "once");
    }

    #[test]
    fn files_that_are_not_ours_are_rejected_with_the_reason() {
        let home = tempfile::tempdir().unwrap();
        let path = |name: &str| home.path().join(name);
        assert!(read(&path("none")).unwrap().is_none());
        write(&path("real"), "x").unwrap();
        symlink(path("real"), path("link")).unwrap();
        assert_eq!(reason(&path("link")), "is a symbolic link, which is not followed");
        fs::create_dir(path("directory")).unwrap();
        assert_eq!(reason(&path("directory")), "is a directory");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            path("fifo"),
            rustix::fs::FileType::Fifo,
            0o600.into(),
            0,
        )
        .unwrap();
        assert_eq!(reason(&path("fifo")), "is not a regular file");
        fs::File::create(path("large")).unwrap().set_len(2 << 20).unwrap();
        assert_eq!(reason(&path("large")), "is larger than 1 MiB");
        assert!(
            prepare(&path("directory"), 1, Policy::Private).is_err(),
            "a directory is not replaced"
        );
    }

    #[test]
    fn temporary_files_of_dead_processes_are_removed() {
        let home = tempfile::tempdir().unwrap();
        let temporary = |name: &str| home.path().join(format!(".my-credential-helper-{name}"));
        let path = home.path().join("f");
        let old = |path: &std::path::Path| {
            fs::File::create(path).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
        };
        let leave = || {
            old(&temporary("f-0aB1c2.tmp"));
            fs::File::create(temporary("f-0aB1c3.tmp")).unwrap();
        };
        let others =
            ["backup.tar", "a note.tmp", "f-0aB1cD", "g-0aB1cD.tmp", "f-0aB1cDe.tmp", ".tmp"];
        for name in &others {
            old(&temporary(name));
        }
        fs::create_dir_all(temporary("notes/deep")).unwrap();
        let is_swept = || {
            assert!(temporary("f-0aB1c3.tmp").exists(), "another process may still be writing it");
            assert!(
                others.iter().all(|name| temporary(name).exists()) && temporary("notes").exists()
            );
            !temporary("f-0aB1c2.tmp").exists()
        };
        leave();
        write(&path, "x").unwrap();
        assert!(is_swept(), "by the next write");
        leave();
        remove(&path).unwrap();
        assert!(is_swept(), "by the next removal");
        super::names_in(home.path()).unwrap();
        assert!(!temporary("g-0aB1cD.tmp").exists(), "in a directory of this program");
        assert!(temporary("a note.tmp").exists() && temporary("notes/deep").exists());
    }

    #[test]
    fn a_write_survives_the_sweep_of_its_temporary_file() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("f");
        let prepared = prepare(&path, 1, Policy::Private).unwrap();
        sweep(&path, std::time::Duration::ZERO);
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
        prepared.commit("x").unwrap();
        assert!(read(&path).unwrap().unwrap().text.expose_secret() == "x");
    }

    #[test]
    fn preserve_follows_links_and_keeps_mode_and_bytes() {
        let home = tempfile::tempdir().unwrap();
        let (file, link) = (home.path().join("dotfiles/rc"), home.path().join("rc"));
        fs::create_dir(home.path().join("dotfiles")).unwrap();
        let folder_mode = fs::metadata(home.path().join("dotfiles")).unwrap().permissions();
        symlink("dotfiles/rc", &link).unwrap();
        let put = |path: &std::path::Path, policy, text: &str| {
            prepare(path, text.len(), policy).and_then(|prepared| prepared.commit(text))
        };
        put(&link, Policy::Preserve, "x").unwrap();
        assert!(link.is_symlink() && fs::read(&file).unwrap() == b"x", "a dangling link");
        let itself = home.path().join("loop");
        symlink("loop", &itself).unwrap();
        let looped = put(&itself, Policy::Preserve, "x").unwrap_err().to_string();
        assert!(looped.ends_with("is a symbolic link to itself"), "{looped}");
        put(&file, Policy::Preserve, "new").unwrap();
        let mode = || fs::metadata(&file).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode(), 0o600, "a new file is its owner's");
        for kept in [0o644, 0o640, 0o400, 0o755] {
            fs::set_permissions(&file, fs::Permissions::from_mode(kept)).unwrap();
            let text = format!("\u{feff}# {kept:o}\r\n\0end");
            put(&link, Policy::Preserve, &text).unwrap();
            assert!(link.is_symlink() && fs::read(&file).unwrap() == text.as_bytes());
            assert_eq!(mode(), kept);
        }
        put(&link, Policy::Backup, "x").unwrap();
        assert!(!link.is_symlink(), "a backup is never written through a link");
        assert_eq!(fs::metadata(&link).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(home.path().join("dotfiles")).unwrap().permissions(), folder_mode);
        put(&file, Policy::Private, "x").unwrap();
        assert_eq!(mode(), 0o600);
    }

    #[test]
    fn a_temporary_directory_is_private_and_swept() {
        let home = tempfile::tempdir().unwrap();
        let directory = super::temporary_directory(home.path()).unwrap();
        assert_eq!(fs::metadata(directory.path()).unwrap().permissions().mode() & 0o777, 0o700);
        let left = directory.keep();
        fs::write(left.join("configuration"), "x").unwrap();
        let beside = home.path().join("f");
        sweep(&beside, std::time::Duration::from_secs(60));
        assert!(left.exists(), "another process may still use it");
        sweep(&beside, std::time::Duration::ZERO);
        assert!(!left.exists());
    }
}
