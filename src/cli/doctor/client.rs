//! Other programs, run for a moment: with an end to their time, and nothing of what they say shown.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Longer than one `get` may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Most of what is read.
const MOST: u64 = 64 * 1024;

/// What a program said: it may hold a secret, so it cannot be shown.
pub(super) struct Said {
    /// Standard output.
    pub(super) output: zeroize::Zeroizing<String>,
    /// The first line of standard error, where it is one of ours.
    pub(super) reason: Option<String>,
    /// Whether it succeeded.
    pub(super) is_success: bool,
}

/// Runs a program to its end; `None` where it cannot be run, or does not end.
pub(super) fn run(program: &Path, arguments: &[String], input: &str) -> Option<Said> {
    let mut child = Command::new(program)
        .args(arguments)
        // A question of a shell's completion is none of a tool's.
        .env_remove("MY_CREDENTIAL_HELPER_COMPLETE")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    // A program that reads nothing closes its end.
    let _ = child.stdin.take()?.write_all(input.as_bytes());
    let (output, messages) = (collect(child.stdout.take()?), collect(child.stderr.take()?));
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        match child.try_wait().ok()? {
            Some(status) => break status,
            None if Instant::now() >= deadline => {
                let _ = child.kill();
                let _ = child.wait();
                return None;
            }
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    let (output, messages) = (output.join().ok()?, messages.join().ok()?);
    let reason = messages.lines().find_map(|line| line.strip_prefix("error: ")).map(str::to_owned);
    Some(Said { output, reason, is_success: status.success() })
}

fn collect(
    source: impl std::io::Read + Send + 'static,
) -> std::thread::JoinHandle<zeroize::Zeroizing<String>> {
    std::thread::spawn(move || {
        let mut text = zeroize::Zeroizing::new(Vec::new());
        let _ = source.take(MOST).read_to_end(&mut text);
        zeroize::Zeroizing::new(String::from_utf8_lossy(&text).into_owned())
    })
}

/// The first two numbers of a version: `git version 2.47.3` is 2 and 47.
pub(super) fn version(text: &str) -> Option<(u32, u32)> {
    let number = |word: &str| {
        let mut numbers = word.trim_start_matches(|c: char| c.is_alphabetic()).split('.');
        Some((
            numbers.next()?.parse().ok()?,
            numbers.next()?.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()?,
        ))
    };
    text.split_whitespace().find_map(number)
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn versions_are_found_however_programs_tell_them() {
        for (text, expected) in [
            ("git version 2.47.3", (2, 47)),
            ("Docker version 27.5.1, build 9f9e405", (27, 5)),
            ("go version go1.27.3 linux/amd64", (1, 27)),
            ("Client Version: v1.32.0", (1, 32)),
            ("pip 26.3 from /x/y (python 3.11)", (26, 3)),
            ("bazel 7.4.1rc2", (7, 4)),
            ("10.2.0", (10, 2)),
        ] {
            assert_eq!(version(text), Some(expected), "{text}");
        }
        assert_eq!(version("no number"), None);
    }
}
