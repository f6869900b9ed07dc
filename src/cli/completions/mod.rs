//! `completions`: what a shell loads once, and the answers that it asks for at each press of the key. The shell asks
//! this very program, so that what it offers is what this version takes.

pub(super) mod candidates;

use std::ffi::OsString;

use anyhow::Context as _;
use clap::Command;
use clap_complete::Shell;
use clap_complete::env::{Bash, Elvish, EnvCompleter, Fish, Powershell, Shells, Zsh};

use crate::error::Result;
use crate::model::ToolOutput;
use crate::sys::env::Environment;

/// Names the shell that asks.
const VARIABLE: &str = "MY_CREDENTIAL_HELPER_COMPLETE";

const NAME: &str = "my-credential-helper";

/// An autoloaded function is run by the press of the key that loads it.
const ZSH_AUTOLOADED: &str = "\
if [ \"$funcstack[1]\" = \"_my-credential-helper\" ]; then
    _clap_dynamic_completer_my_credential_helper \"$@\"
fi
";

/// What `completions` takes.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  my-credential-helper completions bash > ~/.local/share/bash-completion/completions/my-credential-helper
  my-credential-helper completions fish > ~/.config/fish/completions/my-credential-helper.fish
  my-credential-helper completions zsh > ~/.zfunc/_my-credential-helper
  my-credential-helper completions powershell >> $PROFILE")]
pub(super) struct Arguments {
    /// The shell that will load them
    shell: Shell,
}

pub(super) fn run(arguments: &Arguments) -> Result<ToolOutput> {
    let completer: &dyn EnvCompleter = match arguments.shell {
        Shell::Elvish => &Elvish,
        Shell::Fish => &Fish,
        Shell::PowerShell => &Powershell,
        Shell::Zsh => &Zsh,
        _ => &Bash,
    };
    let mut script = Vec::new();
    completer
        .write_registration(VARIABLE, NAME, NAME, NAME, &mut script)
        .context("the completions")?;
    let mut script = String::from_utf8_lossy(&script).trim_start().to_owned();
    if arguments.shell == Shell::Zsh {
        script.push_str(ZSH_AUTOLOADED);
    }
    Ok(ToolOutput::success(script))
}

/// What a shell is told that asks for candidates: `my-credential-helper -- WORDS`. A question that cannot be answered
/// is answered with nothing: no error belongs into a line that somebody is typing.
pub(super) fn answer(command: fn() -> Command, arguments: &[OsString]) -> Option<ToolOutput> {
    let words = arguments
        .get(1..)
        .filter(|rest| rest.first().is_some_and(|word| word == "--"))?
        .get(1..)?;
    let shell = Environment::Process.text(VARIABLE)?;
    let mut candidates = Vec::new();
    let completed =
        Shells::builtins().completer(&shell).filter(|_| !words.is_empty()).and_then(|completer| {
            completer.write_complete(&mut command(), words.to_vec(), None, &mut candidates).ok()
        });
    Some(match completed {
        Some(()) => ToolOutput::success(String::from_utf8_lossy(&candidates)),
        None => ToolOutput { status: 1, ..ToolOutput::default() },
    })
}
