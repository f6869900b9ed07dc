//! The tour: that it ends well, shows no whole token, and leaves nothing behind, however it ends.

use std::fs::read_dir;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// A machine with one user, whose variables would mislead a tour that listened to them.
struct Machine {
    home: TempDir,
    temporary: TempDir,
}

impl Machine {
    fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap(), temporary: tempfile::tempdir().unwrap() }
    }

    fn tour(&self) -> Command {
        let mut tour = Command::new(env!("CARGO_BIN_EXE_account-server"));
        tour.arg("tour")
            .env("TMPDIR", self.temporary.path())
            .env("MY_API_TOKEN", "myc_of_the_user")
            .env("MY_API_URL", "https://api.mycli.invalid")
            .env("http_proxy", "http://127.0.0.1:9")
            .env("GIT_DIR", "/nonexistent")
            .stdin(Stdio::null());
        tour
    }

    /// Runs the tour with a helper that is built already.
    fn tour_with(&self, helper: &Path) -> Output {
        self.tour().env("HOME", self.home.path()).arg("--helper").arg(helper).output().unwrap()
    }

    #[track_caller]
    fn assert_untouched(&self) {
        for directory in [&self.home, &self.temporary] {
            let left = read_dir(directory.path())
                .unwrap()
                .flatten()
                .map(|entry| entry.path())
                .collect::<Vec<_>>();
            assert!(left.is_empty(), "left behind: {left:?}");
        }
    }
}

/// The helper of this build, beside the program under test: there when the whole workspace is tested.
fn helper() -> Option<PathBuf> {
    let helper =
        Path::new(env!("CARGO_BIN_EXE_account-server")).with_file_name("my-credential-helper");
    helper.is_file().then_some(helper)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_tour_ends_well_and_leaves_nothing_behind() {
    let machine = Machine::new();
    // Without a helper the tour builds one, for which cargo wants the home of the user.
    let output = helper()
        .map_or_else(|| machine.tour().output().unwrap(), |helper| machine.tour_with(&helper));
    let (shown, messages) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{shown}{messages}");
    assert!(shown.contains("one new token; the service's count of refreshes: 1\n"), "{shown}");
    assert!(shown.contains("\nDone: every step did what it says\n"), "{shown}");
    assert!(!shown.contains('\x1b'), "there is no colour without a terminal");
    let is_part = |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
    let longest = shown.split(|character| !is_part(character)).map(str::len).max();
    assert!(longest < Some(40), "no word is as long as a token");
    machine.assert_untouched();
}

#[test]
fn a_tour_that_fails_says_so_and_leaves_nothing_behind() {
    let machine = Machine::new();
    // It is a program, and no helper.
    let output = machine.tour_with(Path::new(env!("CARGO_BIN_EXE_account-server")));
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
    assert!(text(&output.stderr).starts_with("error: logging in: "), "{}", text(&output.stderr));
    machine.assert_untouched();
}

#[cfg(unix)]
#[test]
fn a_tour_that_is_stopped_leaves_nothing_behind() {
    use std::io::{BufRead, BufReader};

    let machine = Machine::new();
    let Some(helper) = helper() else {
        return eprintln!("SKIPPED: the helper is not built");
    };
    let tour = machine
        .tour()
        .arg("--helper")
        .arg(helper)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut tour = tour.unwrap();
    let mut lines = BufReader::new(tour.stdout.take().unwrap()).lines();
    assert!(
        lines.any(|line| line.unwrap().starts_with("Waiting ")),
        "the tour waits for a token's end"
    );
    let stopped = Command::new("kill").arg(tour.id().to_string()).status().unwrap();
    assert!(stopped.success());
    let output = tour.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stderr), "error: stopped before the end\n");
    machine.assert_untouched();
}
