//! Credentials from files: the session, and one of few or many stored credentials.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

use super::case::Case;
use super::limit::{self, Cost};
use super::measure::{Group, side_by_side};
use super::support::{Home, service};

const ASKED: &str = "protocol=https\nhost=git.example.com\n\n";
const STORED: &str =
    "protocol=https\nhost=git.example.com\nusername=me\npassword=a-stored-password\n\n";
const PASSWORD: &str = "a-stored-password";
const NOTHING: &str = "a static program that does nothing";

pub(crate) fn groups(
    helper: &Path,
    beside: Option<&Path>,
    runs: usize,
) -> anyhow::Result<Vec<Group>> {
    let mut groups = vec![from_files(helper, beside, runs)?, without_bus(helper, runs)?];
    groups.push(among_many(helper, runs)?);
    Ok(groups)
}

fn from_files(helper: &Path, beside: Option<&Path>, runs: usize) -> anyhow::Result<Group> {
    let server = service();
    let (home, session) = Home::logged_in(&server);
    let at = home.path();
    let get = |name: &str, program: &Path| {
        Case::new(name, program, &["get"]).home(at).asked("{}", &session.access_token)
    };
    let git_get = |name: &str, program: &Path| {
        Case::new(name, program, &["git", "get"]).home(at).asked(ASKED, PASSWORD)
    };
    let store =
        Case::new("store", helper, &["git", "store"]).home(at).variable("MY_NO_KEYRING", "1");
    store.asked(STORED, "").run()?;
    let nothing = limit::build(at)?;
    let mut cases = vec![
        Case::new("/bin/true", "/bin/true", &[]),
        Case::new(NOTHING, &nothing, &[]),
        get("my-credential-helper, JSON", helper),
        git_get("my-credential-helper, as git asks", helper),
    ];
    if let Some(other) = beside {
        cases.push(get("my-credential-helper for musl, JSON", other));
        cases.push(git_get("my-credential-helper for musl, as git asks", other));
    }
    let file = at.join("git-credentials");
    let file = format!("--file={}", file.display());
    let git_store = git_program("git-credential-store")?;
    Case::new("store", &git_store, &[&file, "store"]).asked(STORED, "").run()?;
    cases.push(
        Case::new("git-credential-store", &git_store, &[&file, "get"]).asked(ASKED, PASSWORD),
    );
    let git_cache = git_program("git-credential-cache")?;
    // git-credential-cache requires a private folder.
    std::fs::DirBuilder::new().mode(0o700).create(at.join("cache"))?;
    let socket = format!("--socket={}", at.join("cache/socket").display());
    Case::new("store", &git_cache, &[&socket, "store"]).home(at).asked(STORED, "").run()?;
    cases.push(
        Case::new("git-credential-cache", &git_cache, &[&socket, "get"])
            .home(at)
            .asked(ASKED, PASSWORD),
    );
    cases.extend(uv(at));
    let group = side_by_side("From files", &cases, runs);
    Case::new("exit", &git_cache, &[&socket, "exit"]).home(at).run()?;
    group
}

/// What a process costs, for the programs of [`from_files`] that this project builds.
pub(crate) fn costs(helper: &Path, beside: Option<&Path>) -> anyhow::Result<Vec<Cost>> {
    let server = service();
    let (home, session) = Home::logged_in(&server);
    let get = |name: &str, program: &Path| {
        Case::new(name, program, &["get"]).home(home.path()).asked("{}", &session.access_token)
    };
    let mut cases = vec![
        Case::new(NOTHING, limit::build(home.path())?, &[]),
        Case::new("/bin/true", "/bin/true", &[]),
    ];
    cases.extend(beside.map(|other| get("my-credential-helper for musl, JSON", other)));
    cases.push(get("my-credential-helper, JSON", helper));
    limit::costs(&cases)
}

/// The path of one of git's own programs.
fn git_program(name: &str) -> anyhow::Result<PathBuf> {
    let output = Command::new("git").arg("--exec-path").output().context("git is not there")?;
    Ok(Path::new(String::from_utf8_lossy(&output.stdout).trim()).join(name))
}

fn uv(home: &Path) -> Option<Case> {
    let uv = super::support::has_client("uv").then_some("uv")?;
    let login = ["auth", "login", "pypi.example.com", "--username", "me", "--password", PASSWORD];
    Case::new("login", uv, &login).home(home).run().ok()?;
    let ask = ["auth", "token", "pypi.example.com", "--username", "me"];
    let case = Case::new("uv auth token", uv, &ask).home(home).asked("", PASSWORD);
    case.run().is_ok().then_some(case)
}

/// The cost of looking for a keyring on a machine without one.
fn without_bus(helper: &Path, runs: usize) -> anyhow::Result<Group> {
    let server = service();
    let (home, session) = Home::logged_in(&server);
    let get = |name| {
        Case::new(name, helper, &["get"]).home(home.path()).asked("{}", &session.access_token)
    };
    let dead = format!("unix:path={}", home.path().join("no-bus").display());
    let cases = [
        get("only the file").variable("MY_NO_KEYRING", "1"),
        get("no bus"),
        get("a bus whose socket is gone").variable("DBUS_SESSION_BUS_ADDRESS", &dead),
    ];
    side_by_side("Without a keyring", &cases, runs)
}

fn among_many(helper: &Path, runs: usize) -> anyhow::Result<Group> {
    let counts = [10, 1_000, 100_000];
    let homes = counts
        .iter()
        .map(|&count| with_logins(helper, count))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let case = |(count, home): (usize, &Home)| {
        let name = format!("{count} credentials");
        Case::new(name, helper, &["git", "get"]).home(home.path()).asked(ASKED, PASSWORD)
    };
    let cases: Vec<_> = counts.into_iter().zip(&homes).map(case).collect();
    side_by_side("Number of stored credentials", &cases, runs)
}

/// A home with `count` credentials: two that the helper stored, and copies of the second one in separate folders.
fn with_logins(helper: &Path, count: usize) -> anyhow::Result<Home> {
    let home = Home::new();
    for host in ["git.example.com", "other.example.com"] {
        let login = STORED.replace("git.example.com", host);
        let store = Case::new("store", helper, &["git", "store"])
            .home(home.path())
            .variable("MY_NO_KEYRING", "1");
        store.asked(&login, "").run()?;
    }
    let logins = home.path().join(".my/logins");
    let is_other = |folder: &PathBuf| {
        let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
        files.into_iter().any(|file| {
            std::fs::read_to_string(file.path()).is_ok_and(|text| text.contains("//other."))
        })
    };
    let other = std::fs::read_dir(&logins)?.flatten().map(|entry| entry.path()).find(is_other);
    let other = other.context("the folder of a stored login")?;
    let file = std::fs::read_dir(&other)?.next().context("a stored login")??;
    let length = other.file_name().context("a name")?.len();
    for number in 2..count {
        let folder = logins.join(format!("{number:0length$x}"));
        std::fs::create_dir(&folder)?;
        std::fs::copy(file.path(), folder.join(file.file_name()))?;
    }
    Ok(home)
}
