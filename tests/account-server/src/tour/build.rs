//! Builds the helper with cargo. On a terminal cargo shows its progress; elsewhere it is heard only where it fails.

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, bail};
use serde_json::Value;
use tokio::process::Command;

const PACKAGE: &str = "my-credential-helper";

/// What is run, for the reader.
pub(super) const SHOWN: [&str; 4] = ["cargo", "build", "--package", PACKAGE];

/// The top of the workspace.
pub(super) fn workspace() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here)
}

/// The helper, built from the source that lies here.
pub(super) async fn helper() -> anyhow::Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let watched = io::stderr().is_terminal();
    let child = Command::new(cargo)
        .args(&SHOWN[1..])
        .arg("--message-format=json-render-diagnostics")
        .current_dir(workspace())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(if watched { Stdio::inherit() } else { Stdio::piped() })
        .kill_on_drop(true)
        .spawn();
    let output = child.context("starting cargo")?.wait_with_output().await?;
    if !output.status.success() {
        bail!("cargo could not build the helper\n{}", String::from_utf8_lossy(&output.stderr));
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    messages.lines().find_map(program).context("cargo did not say where the helper is")
}

/// Where the helper is, if this message of cargo's says it.
fn program(message: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(message).ok()?;
    let is_ours = message["target"]["name"] == PACKAGE;
    is_ours.then_some(message["executable"].as_str()?.into())
}

#[cfg(test)]
mod tests {
    use super::program;

    #[test]
    fn the_program_is_told_from_the_library() {
        let library = r#"{"reason":"compiler-artifact","target":{"name":"my_credential_helper"},"executable":null}"#;
        let helper = r#"{"reason":"compiler-artifact","target":{"name":"my-credential-helper"},"executable":"/t/x"}"#;
        assert_eq!(program(library), None);
        assert_eq!(program(helper), Some("/t/x".into()));
        assert_eq!(program("Compiling"), None);
    }
}
