//! Makes repositories to host, with the real git. Uses no configuration of the user's.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

/// One commit on `main` with a README, for `git fast-import`.
const FIRST_COMMIT: &str = "commit refs/heads/main
committer Account Service <service@mycli.invalid> 1700000000 +0000
data 13
First commit

M 100644 inline README.md
data 8
# Hello

";

/// Makes the bare repository `<dir>/<name>` with one commit on `main`, to which callers may push.
pub fn create_repository(dir: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let path = dir.join(name);
    let repository = path.as_os_str();
    let mut init = git();
    init.args(["init", "--quiet", "--bare", "--initial-branch=main"]);
    run(init.arg(repository), "")?;
    let mut config = git();
    config.arg("-C").arg(repository).arg("config");
    run(config.args(["http.receivepack", "true"]), "")?;
    let mut import = git();
    import.arg("-C").arg(repository);
    run(import.args(["fast-import", "--quiet"]), FIRST_COMMIT)?;
    Ok(path)
}

fn git() -> Command {
    let mut git = Command::new("git");
    git.env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env_remove("GIT_DIR")
        .env_remove("GIT_WORK_TREE");
    git
}

fn run(command: &mut Command, input: &str) -> anyhow::Result<()> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("starting git")?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "git failed: {}", said.trim());
    Ok(())
}
