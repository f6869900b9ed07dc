//! Files that only their owner may see: read with a bound and without following a link, written beside and renamed,
//! so that no reader ever meets half of one and no crash leaves one.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;

use crate::model::Secret;

/// Nothing of ours is larger.
const MOST: u64 = 1 << 20;

/// How the name of a file that is being written begins; one that stays behind after a crash is recognised by it.
const TEMPORARY: &str = ".my-credential-helper-";

/// A temporary file this old was left by a process that died: nobody takes so long to write one.
pub const LEFT_BEHIND: Duration = Duration::from_secs(60);

/// What a file held.
pub struct Contents {
    /// The text.
    pub text: Secret,
    /// Whether others could read the file until now.
    pub repaired: bool,
}

/// Reads a file that must be a regular one, ours, and of a sensible size; a link is not followed. `None` where there is
/// none; the error is the reason in a few words. A mode wider than 0600 is narrowed.
pub fn read(path: &Path) -> Result<Option<Contents>, String> {
    let Some((file, metadata)) = open(path, owner::open_no_link)? else { return Ok(None) };
    let repaired = owner::keep_private(&file, &metadata)?;
    Ok(Some(Contents { text: text(&file, &metadata)?, repaired }))
}

/// Reads a file that holds no secret, such as the configuration: it may be a link, and readable by all; but only its
/// owner, or root, may have written it.
pub fn read_public(path: &Path) -> Result<Option<String>, String> {
    let Some((file, metadata)) = open(path, owner::open_at_once)? else { return Ok(None) };
    owner::is_trusted(&metadata)?;
    Ok(Some(text(&file, &metadata)?.expose_secret().to_owned()))
}

fn open(
    path: &Path,
    how: fn(&mut fs::OpenOptions),
) -> Result<Option<(File, fs::Metadata)>, String> {
    let mut options = fs::OpenOptions::new();
    options.read(true);
    how(&mut options);
    let file = match options.open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(reason(&error)),
    };
    let metadata = file.metadata().map_err(|error| reason(&error))?;
    if !metadata.is_file() {
        return Err(
            if metadata.is_dir() { "is a directory" } else { "is no regular file" }.to_owned()
        );
    }
    if metadata.len() > MOST {
        return Err("is larger than 1 MiB".to_owned());
    }
    Ok(Some((file, metadata)))
}

fn text(file: &File, metadata: &fs::Metadata) -> Result<Secret, String> {
    // One more than it holds, so that it never grows and leaves a copy behind.
    let mut text = zeroize::Zeroizing::new(String::with_capacity(
        usize::try_from(metadata.len()).unwrap_or(0) + 1,
    ));
    file.take(MOST).read_to_string(&mut text).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => "is not UTF-8".to_owned(),
        _ => reason(&error),
    })?;
    Ok(Secret::from(text))
}

/// The cause of a file error in the words of the system, without its number.
fn reason(error: &io::Error) -> String {
    if owner::was_link(error) {
        "is a symbolic link, which is not followed".to_owned()
    } else {
        error.kind().to_string()
    }
}

/// A file that is about to be replaced: its successor is open beside it, and has its space.
pub struct Prepared {
    temporary: tempfile::NamedTempFile,
    path: PathBuf,
}

/// Opens the successor of `path` and reserves `size` bytes for it, so that what can fail fails now. Creates the
/// directory (0700) where it is missing.
pub fn prepare(path: &Path, size: usize) -> anyhow::Result<Prepared> {
    let directory = path.parent().context("a file without a directory")?;
    owner::create_directory(directory)
        .with_context(|| format!("creating {}", directory.display()))?;
    sweep(directory, LEFT_BEHIND);
    let writing = || format!("writing {}", path.display());
    if fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir()) {
        anyhow::bail!("writing {}: is a directory", path.display());
    }
    // With the name of the file that it will replace, for whoever finds it.
    let prefix = format!("{TEMPORARY}{}-", path.file_name().unwrap_or_default().to_string_lossy());
    let temporary = tempfile::Builder::new()
        .prefix(&prefix)
        .suffix(".tmp")
        .tempfile_in(directory)
        .map_err(|error| anyhow::anyhow!("{}", reason(&error)))
        .with_context(writing)?;
    owner::narrow(temporary.as_file()).with_context(writing)?;
    owner::reserve(temporary.as_file(), size).with_context(writing)?;
    Ok(Prepared { temporary, path: path.to_owned() })
}

impl Prepared {
    /// Writes, and puts the file in place: afterwards it has survived a power cut.
    pub fn commit(self, contents: &str) -> anyhow::Result<()> {
        self.put(contents, true)
    }

    fn put(self, contents: &str, is_lasting: bool) -> anyhow::Result<()> {
        let path = self.path.clone();
        // Taken for one that was left behind, where this process was stopped for long: once more.
        if !self.replace(contents, is_lasting)?
            && !prepare(&path, contents.len())?.replace(contents, is_lasting)?
        {
            anyhow::bail!("replacing {}: another process removes what is written", path.display());
        }
        Ok(())
    }

    /// Says whether the successor was still there.
    fn replace(mut self, contents: &str, is_lasting: bool) -> anyhow::Result<bool> {
        let writing = || format!("writing {}", self.path.display());
        let file = self.temporary.as_file_mut();
        file.rewind().with_context(writing)?;
        file.write_all(contents.as_bytes()).with_context(writing)?;
        file.set_len(contents.len() as u64).with_context(writing)?;
        if is_lasting {
            file.sync_all().with_context(writing)?;
        }
        let path = self.path;
        match self.temporary.persist(&path) {
            Err(error) if error.error.kind() == io::ErrorKind::NotFound => return Ok(false),
            result => result.with_context(|| format!("replacing {}", path.display()))?,
        };
        if is_lasting {
            sync_directory(&path);
        }
        Ok(true)
    }
}

/// Writes a whole file.
pub fn write(path: &Path, contents: &str) -> anyhow::Result<()> {
    prepare(path, contents.len())?.commit(contents)
}

/// Writes a whole file that nobody misses after a power cut, and does not wait for the disk.
pub fn write_fleeting(path: &Path, contents: &str) -> anyhow::Result<()> {
    prepare(path, contents.len())?.put(contents, false)
}

/// Removes a file, and what dead processes left beside it; `false` where there was none.
pub fn remove(path: &Path) -> anyhow::Result<bool> {
    path.parent().inspect(|directory| sweep(directory, LEFT_BEHIND));
    match fs::remove_file(path) {
        Ok(()) => {
            sync_directory(path);
            Ok(true)
        }
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            Ok(false)
        }
        Err(error) => Err(error).with_context(|| format!("removing {}", path.display())),
    }
}

/// A rename is durable once its directory is; a system that cannot sync a directory does so by itself.
fn sync_directory(path: &Path) {
    if let Some(directory) = path.parent().and_then(|directory| File::open(directory).ok()) {
        let _ = directory.sync_all();
    }
}

/// Removes what processes that died left in a directory: temporary files of this program that are older than `age`.
pub fn sweep(directory: &Path, age: Duration) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    entries.flatten().for_each(|entry| remove_left_behind(&entry, age));
}

/// The names in a directory; none where it does not exist. Removes what processes that died left in it.
pub fn names_in(directory: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            return Ok(Vec::new());
        }
        Err(error) => return Err(error),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry?;
        remove_left_behind(&entry, LEFT_BEHIND);
        names.extend(entry.file_name().into_string());
    }
    Ok(names)
}

/// The same for one entry of a directory that somebody reads anyway.
pub fn remove_left_behind(entry: &fs::DirEntry, age: Duration) {
    if !entry.file_name().as_encoded_bytes().starts_with(TEMPORARY.as_bytes()) {
        return;
    }
    let modified = entry.metadata().and_then(|metadata| metadata.modified());
    if matches!(modified.map(|time| time.elapsed()), Ok(Ok(elapsed)) if elapsed >= age) {
        let _ = fs::remove_file(entry.path());
    }
}

/// Opens a file to be locked: created with mode 0600, a link not followed.
pub fn open_lock(path: &Path) -> anyhow::Result<File> {
    let directory = path.parent().context("a file without a directory")?;
    owner::create_directory(directory)
        .with_context(|| format!("creating {}", directory.display()))?;
    let mut options = fs::OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    owner::open_no_link(&mut options);
    let file = options
        .open(path)
        .map_err(|error| anyhow::anyhow!("{}", reason(&error)))
        .with_context(|| format!("opening {}", path.display()))?;
    // A umask may have made it a file that the next process cannot open.
    owner::narrow(&file).with_context(|| format!("opening {}", path.display()))?;
    Ok(file)
}

/// Whether a directory belongs to whoever runs this; `None` where it does not exist. It may be a link to one, of ours or
/// of root's: some keep their dotfiles elsewhere. Somebody else's link could be turned to where they like.
pub fn is_ours(directory: &Path) -> io::Result<Option<bool>> {
    let known = |found: io::Result<fs::Metadata>| match found {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    };
    match known(fs::symlink_metadata(directory))? {
        Some(link) if link.is_symlink() && !owner::may_link(&link) => Ok(Some(false)),
        Some(link) if link.is_symlink() => {
            Ok(known(fs::metadata(directory))?.map(|found| owner::is_ours(&found)))
        }
        found => Ok(found.map(|found| owner::is_ours(&found))),
    }
}

#[cfg(unix)]
mod owner {
    //! Owners and modes.

    use std::fs::{self, File, Metadata};
    use std::io;
    use std::os::unix::fs::{
        DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
    };
    use std::path::Path;

    use rustix::fs::{Mode, OFlags};

    pub(super) fn is_ours(metadata: &Metadata) -> bool {
        metadata.uid() == rustix::process::geteuid().as_raw()
    }

    /// Whether whoever made the link could do everything else, too.
    pub(super) fn may_link(metadata: &Metadata) -> bool {
        is_ours(metadata) || metadata.uid() == 0
    }

    /// Links are not followed, and a fifo does not make us wait.
    pub(super) fn open_no_link(options: &mut fs::OpenOptions) {
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        options.mode(0o600).custom_flags(flags.bits().cast_signed());
    }

    /// A fifo does not make us wait.
    pub(super) fn open_at_once(options: &mut fs::OpenOptions) {
        options.custom_flags((OFlags::NONBLOCK | OFlags::CLOEXEC).bits().cast_signed());
    }

    pub(super) fn is_trusted(metadata: &Metadata) -> Result<(), String> {
        if !is_ours(metadata) && metadata.uid() != 0 {
            return Err("belongs to another user".to_owned());
        }
        if metadata.mode() & 0o022 != 0 {
            return Err("can be written by others; `chmod go-w` it".to_owned());
        }
        Ok(())
    }

    pub(super) fn was_link(error: &io::Error) -> bool {
        rustix::io::Errno::from_io_error(error) == Some(rustix::io::Errno::LOOP)
    }

    pub(super) fn keep_private(file: &File, metadata: &Metadata) -> Result<bool, String> {
        if !is_ours(metadata) {
            return Err("belongs to another user".to_owned());
        }
        if metadata.mode() & 0o077 == 0 {
            return Ok(false);
        }
        narrow(file).map_err(|error| {
            format!("others can read it, and its mode cannot be changed: {}", error.kind())
        })?;
        Ok(true)
    }

    /// 0600, whatever the umask made of it.
    pub(super) fn narrow(file: &File) -> io::Result<()> {
        Ok(rustix::fs::fchmod(file, Mode::RUSR | Mode::WUSR)?)
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(super) fn reserve(file: &File, size: usize) -> io::Result<()> {
        use rustix::fs::{FallocateFlags, fallocate};
        match fallocate(file, FallocateFlags::empty(), 0, size.max(1) as u64) {
            // A file system that cannot promise space is asked for it by writing.
            Err(rustix::io::Errno::OPNOTSUPP) => super::fill(file, size),
            other => Ok(other?),
        }
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    pub(super) fn reserve(file: &File, size: usize) -> io::Result<()> {
        super::fill(file, size)
    }

    /// The directory and what is missing above it, each 0700; one that is there and open to others is narrowed.
    pub(super) fn create_directory(directory: &Path) -> io::Result<()> {
        match fs::metadata(directory) {
            Ok(metadata) if !metadata.is_dir() => Err(io::Error::other("is no directory")),
            Ok(metadata) if !is_ours(&metadata) => Err(io::Error::other("belongs to another user")),
            Ok(metadata) if metadata.mode() & 0o077 == 0 => Ok(()),
            Ok(_) => fs::set_permissions(directory, fs::Permissions::from_mode(0o700)),
            Err(_) => {
                if let Some(above) = directory.parent().filter(|above| !above.exists()) {
                    create_directory(above)?;
                }
                match fs::DirBuilder::new().mode(0o700).create(directory) {
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                        return Err(error);
                    }
                    _ => {}
                }
                // Each by itself: a umask may have made it one in which nothing can be created.
                fs::set_permissions(directory, fs::Permissions::from_mode(0o700))
            }
        }
    }
}

#[cfg(not(unix))]
mod owner {
    //! Elsewhere the home directory's own access list protects the files in it.

    use std::fs::{self, File, Metadata};
    use std::io;
    use std::path::Path;

    pub(super) fn is_ours(_: &Metadata) -> bool {
        true
    }

    pub(super) fn may_link(_: &Metadata) -> bool {
        true
    }

    pub(super) fn open_no_link(_: &mut fs::OpenOptions) {}

    pub(super) fn open_at_once(_: &mut fs::OpenOptions) {}

    pub(super) fn is_trusted(_: &Metadata) -> Result<(), String> {
        Ok(())
    }

    pub(super) fn was_link(_: &io::Error) -> bool {
        false
    }

    pub(super) fn keep_private(_: &File, _: &Metadata) -> Result<bool, String> {
        Ok(false)
    }

    pub(super) fn narrow(_: &File) -> io::Result<()> {
        Ok(())
    }

    pub(super) fn reserve(file: &File, size: usize) -> io::Result<()> {
        super::fill(file, size)
    }

    pub(super) fn create_directory(directory: &Path) -> io::Result<()> {
        fs::create_dir_all(directory)
    }
}

/// Reserves space by writing blanks, where the system has no call for it.
fn fill(mut file: &File, size: usize) -> io::Result<()> {
    file.write_all(&vec![b' '; size])
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::{prepare, read, remove, sweep, write};

    fn reason(path: &std::path::Path) -> String {
        read(path).err().unwrap()
    }

    #[test]
    fn what_was_written_is_read_and_nobody_else_can() {
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
    fn a_wider_mode_is_narrowed_and_told() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("f");
        write(&path, "x").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(read(&path).unwrap().unwrap().repaired);
        assert!(!read(&path).unwrap().unwrap().repaired, "once");
    }

    #[test]
    fn what_is_no_file_of_ours_is_refused_with_its_reason() {
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
        assert_eq!(reason(&path("fifo")), "is no regular file");
        fs::File::create(path("large")).unwrap().set_len(2 << 20).unwrap();
        assert_eq!(reason(&path("large")), "is larger than 1 MiB");
        assert!(prepare(&path("directory"), 1).is_err(), "a directory is not replaced");
    }

    #[test]
    fn what_a_dead_process_left_is_removed_after_a_while() {
        let home = tempfile::tempdir().unwrap();
        let temporary = |name: &str| home.path().join(format!(".my-credential-helper-{name}.tmp"));
        let path = home.path().join("f");
        let leave = || {
            let (old, new) = (temporary("1"), temporary("2"));
            fs::File::create(&old).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
            fs::File::create(&new).unwrap();
        };
        let is_swept = || {
            assert!(temporary("2").exists(), "another process may still be writing the new one");
            !temporary("1").exists()
        };
        leave();
        write(&path, "x").unwrap();
        assert!(is_swept(), "by the next write");
        leave();
        remove(&path).unwrap();
        assert!(is_swept(), "by the next removal");
    }

    #[test]
    fn a_file_is_written_though_its_successor_was_taken_for_one_that_was_left_behind() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("f");
        let prepared = prepare(&path, 1).unwrap();
        sweep(home.path(), std::time::Duration::ZERO);
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
        prepared.commit("x").unwrap();
        assert!(read(&path).unwrap().unwrap().text.expose_secret() == "x");
    }
}
