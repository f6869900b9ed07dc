//! `completions`: prints the completion script of a shell, generated from the command line.

use clap::Command;
use clap_complete::Shell;

use crate::model::ToolOutput;

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  my-credential-helper completions bash > ~/.local/share/bash-completion/completions/my-credential-helper
  my-credential-helper completions fish > ~/.config/fish/completions/my-credential-helper.fish
  my-credential-helper completions zsh > ~/.zfunc/_my-credential-helper
  my-credential-helper completions powershell >> $PROFILE")]
pub(super) struct Arguments {
    /// The shell that loads the completions
    shell: Shell,
}

pub(super) fn run(mut command: Command, arguments: &Arguments) -> ToolOutput {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, "my-credential-helper", &mut script);
    // Commands of a program with hyphens have two labels for bash: https://github.com/clap-rs/clap/issues/6421
    let script = String::from_utf8_lossy(&script)
        .replace("my__subcmd__credential__subcmd__helper", "my__credential__helper");
    ToolOutput::success(script)
}
