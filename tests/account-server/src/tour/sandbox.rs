//! The home of the tour, and the programs that are started in it: with its variables and none of the user's, so that
//! neither a token nor a setting nor the keyring of the user is seen or changed.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// No program of the tour takes longer.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) struct Sandbox {
    home: PathBuf,
    helper: PathBuf,
}

/// What a program did.
pub(super) struct Outcome {
    /// 0 where all is well; none where a signal ended it.
    pub(super) status: Option<i32>,
    pub(super) output: String,
    pub(super) messages: String,
}

impl Sandbox {
    pub(super) fn new(home: &Path, helper: PathBuf) -> Self {
        Self { home: home.to_owned(), helper }
    }

    /// A file or directory in the home.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.home.join(name)
    }

    /// `credential.helper` for git: the helper by its absolute path, as a shell reads it.
    pub(super) fn git_helper(&self) -> String {
        format!("credential.helper=!{} git", quoted(&self.helper.to_string_lossy()))
    }

    /// Runs the helper to its end.
    pub(super) async fn helper(&self, arguments: &[&str]) -> anyhow::Result<Outcome> {
        finish(self.start_helper(arguments)?).await
    }

    /// Starts the helper.
    pub(super) fn start_helper(&self, arguments: &[&str]) -> anyhow::Result<Child> {
        self.start(self.helper.as_os_str(), arguments)
    }

    /// Runs git until it exits, without configuration and without prompts.
    pub(super) async fn git(&self, arguments: &[&str]) -> anyhow::Result<Outcome> {
        finish(self.start("git".as_ref(), arguments)?).await
    }

    fn start(&self, program: &OsStr, arguments: &[&str]) -> anyhow::Result<Child> {
        // Windows opens no socket without its SystemRoot.
        let kept = ["PATH", "SystemRoot"]
            .into_iter()
            .filter_map(|name| Some((name, std::env::var_os(name)?)));
        let child = Command::new(program)
            .args(arguments)
            .env_clear()
            .envs(kept)
            .env("HOME", &self.home)
            .env("MY_NO_KEYRING", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("LC_ALL", "C")
            .current_dir(&self.home)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        child.with_context(|| format!("starting {}", program.display()))
    }
}

/// Waits for the end of a program.
pub(super) async fn finish(child: Child) -> anyhow::Result<Outcome> {
    let output = timeout(PATIENCE, child.wait_with_output()).await;
    let output =
        output.with_context(|| format!("it did not end within {} s", PATIENCE.as_secs()))??;
    Ok(Outcome {
        status: output.status.code(),
        output: String::from_utf8_lossy(&output.stdout).into_owned(),
        messages: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// The word as one would type it into a shell.
pub(super) fn quoted(word: &str) -> String {
    let plain =
        |character: char| character.is_ascii_alphanumeric() || "-_./:=@%+,".contains(character);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn a_word_that_a_shell_would_take_apart_is_quoted() {
        assert_eq!(quoted("/a/b-c.d"), "/a/b-c.d");
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }
}
