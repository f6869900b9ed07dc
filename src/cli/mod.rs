//! The command line for people; each command has a file.

#![allow(
    clippy::doc_markdown,
    reason = "the comments on arguments are help texts, in which a backtick would be seen"
)]

mod account;
mod completions;
mod config;
mod doctor;
mod errors;
mod exec;
mod export;
mod login;
mod logout;
mod man;
mod output;
mod project;
mod session;
mod setup;
mod status;
mod terminal;
mod token;
mod variables;
mod whoami;

use std::ffi::OsString;
use std::io::IsTerminal as _;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory as _, Parser, Subcommand};

use crate::auth::{Engine, with_engine};
use crate::config::{Context, Overrides, StoreChoice};
use crate::error::{Error, Result, argument_name};
use crate::http::Network;
use crate::model::{LoginKind, Provider, ToolOutput};
use crate::protocols::{self, run};
use output::Output;

/// A credential helper for git, Docker, Cargo, Bazel, kubectl, Terraform, Go, pnpm and pip.
///
/// Log in once; every tool then gets a valid token.
#[derive(Parser)]
#[command(version, name = "my-credential-helper", arg_required_else_help = true, after_help = format!("Environment:\n{ENVIRONMENT}\n\n{TOOLS}"))]
struct CommandLine {
    /// The provider, if not the default one
    #[arg(long, global = true, value_name = "NAME")]
    provider: Option<String>,
    /// The account, if you have several with the provider
    #[arg(long, global = true, value_name = "NAME")]
    account: Option<String>,
    /// The base URL of the provider's API
    #[arg(long, global = true, value_name = "URL")]
    api_url: Option<String>,
    /// The project for `env list`
    #[arg(long, global = true, hide = true, value_name = "ID")]
    project: Option<String>,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
    /// Print only the result
    #[arg(long, short, global = true)]
    quiet: bool,
    #[command(subcommand)]
    command: Command,
}

/// One line for each variable.
const ENVIRONMENT: &str = "  \
  MY_API_TOKEN          A token: takes precedence over every session, and is never refreshed
  MY_API_URL            The base URL of mycli's API
  MY_PROVIDER           The provider, if not the default one
  MY_ACCOUNT            The account, if you have several with the provider
  MY_PROFILE            The profile that `status` reports
  MY_LOG                `debug`: log what is read and requested to standard error
  MY_NO_KEYRING         Any value: use the file instead of the keyring
  MICROTICA_TOKEN       The same as MY_API_TOKEN, for Microtica
  MICROTICA_API_URL     The same as MY_API_URL, for Microtica
  MICROTICA_PROJECT_ID  The project for `env list`
  SSL_CERT_FILE         Certificates to trust instead of those of the system (PEM)";

/// One line a paragraph: clap wraps it to the terminal's width.
const TOOLS: &str = "\
Options take precedence over variables, and variables over the configuration. A token is read from the variable, else \
from the identity of the job, else from the newer session of keyring and file.

Each tool uses its own protocol: `my-credential-helper git get` for example, or a link to this program with the name \
that the tool runs (git-credential-my). See `my-credential-helper git --help`.";

#[derive(Subcommand)]
enum Command {
    /// Log in by email link, in the browser, or with a token
    Login(login::Arguments),
    /// Log out: revoke the session on the service and delete it from this machine
    Logout(logout::Arguments),
    /// Show who is logged in, according to the service
    #[command(after_help = "Examples:\n  my-credential-helper whoami --json")]
    Whoami,
    /// Show who is logged in, where the session is stored, when it expires, and the state of each store
    Status(status::Arguments),
    /// List the accounts of a provider, and select the one in use
    #[command(subcommand)]
    Account(account::Command),
    /// Manage the API tokens of the account
    #[command(subcommand)]
    Token(token::Command),
    /// Manage the sessions of the account
    #[command(subcommand)]
    Session(session::Command),
    /// List the projects that are visible to an API key
    #[command(subcommand)]
    Project(project::ProjectCommand),
    /// List the environments that are visible to an API key
    #[command(subcommand)]
    Env(project::EnvCommand),
    /// Read and change settings
    #[command(subcommand)]
    Config(config::Command),
    /// Print a valid credential
    Get(GetHelp),
    /// Run a command with the token in its environment
    Exec(exec::Arguments),
    /// Write the token for a shell or a CI system
    Export(export::Arguments),
    /// Store a credential: a JSON request on standard input
    Store(Rest),
    /// Erase a credential: a JSON request on standard input
    Erase(Rest),
    /// List the stored credentials, without secrets
    List(Rest),
    /// Show the supported protocols and stores
    Capabilities(Rest),
    /// Configure a tool to use this program
    Setup(setup::Arguments),
    /// Diagnose problems and suggest fixes
    Doctor(doctor::Arguments),
    /// Explain the error codes and their fixes
    Errors(errors::Arguments),
    /// Print the completions for a shell
    Completions(completions::Arguments),
    /// Print the manual, one page for each command
    Man(man::Arguments),
    /// Speak the protocol of a tool
    #[command(external_subcommand)]
    Tool(Vec<OsString>),
}

/// The arguments of the JSON protocol's `get`, for its help. The protocol parses them itself, faster than clap.
#[derive(clap::Args)]
#[command(after_help = "\
Without --format or --url, a JSON request is read from standard input; an empty request is for the default \
provider.

Examples:
  my-credential-helper get </dev/null
  curl -H @<(my-credential-helper get --format header) https://api.mycli.sh/v1/me")]
struct GetHelp {
    /// json, raw (only the token), header (a header line for `curl -H @-`) or id-token (only the ID token of OpenID
    /// Connect)
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// The URL that the credential will be sent to
    #[arg(long)]
    url: Option<String>,
    /// The user name of the credential
    #[arg(long, value_name = "NAME")]
    username: Option<String>,
    /// Print to standard error what was searched
    #[arg(long)]
    explain: bool,
}

impl GetHelp {
    /// The arguments for the protocol.
    fn arguments(&self) -> Vec<String> {
        let Self { format, url, username, explain } = self;
        let options = [("--format", format), ("--url", url), ("--username", username)];
        let valued = options
            .into_iter()
            .filter_map(|(name, value)| Some(format!("{name}={}", value.as_ref()?)));
        valued.chain(explain.then(|| "--explain".to_owned())).collect()
    }
}

#[derive(clap::Args)]
struct Rest {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    rest: Vec<String>,
}

/// Runs a command and writes its output. A protocol operation with options before it is parsed here, too.
pub fn run(arguments: &[OsString]) -> u8 {
    let line = match CommandLine::try_parse_from(arguments) {
        Ok(line) => line,
        Err(help) => return run::write(&help_or_usage(help)),
    };
    let CommandLine { provider, account, api_url, project, json, quiet, command } = line;
    let store = command.store();
    let may_prompt = matches!(command, Command::Login(_)) && std::io::stdin().is_terminal();
    let overrides = Overrides { provider, account, api_url, project, store, may_prompt };
    let context = Context::from_env(overrides);
    let output = Output::new(json, quiet);
    let needs_no_token =
        matches!(command, Command::Status(_) | Command::Config(_) | Command::Account(_));
    with_engine(&context, |engine| {
        let descriptions = std::io::stderr().is_terminal();
        let engine = &Engine { network: Network { descriptions, ..engine.network }, ..*engine };
        engine.delete_left();
        let result = command.run(engine, &output).unwrap_or_else(|error| output.failure(&error));
        let status = run::write(&result.with_warnings(context.paths.warning().as_slice()));
        if needs_no_token {
            engine.refresh_weekly();
        }
        status
    })
}

/// The text of clap: help on standard output, a usage error on standard error.
fn help_or_usage(mut help: clap::Error) -> ToolOutput {
    hide_typed_text(&mut help);
    let on_stderr = help.use_stderr();
    let text = help.render();
    let text =
        if terminal::shows_colour(on_stderr) { text.ansi().to_string() } else { text.to_string() };
    if on_stderr {
        let status = u8::try_from(help.exit_code()).unwrap_or(2);
        return ToolOutput { messages: text, status, ..ToolOutput::default() };
    }
    ToolOutput::success(text)
}

/// Removes an argument that may be a secret from a usage error.
fn hide_typed_text(error: &mut clap::Error) {
    let kind = match error.kind() {
        ErrorKind::UnknownArgument => ContextKind::InvalidArg,
        ErrorKind::InvalidSubcommand => ContextKind::InvalidSubcommand,
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => ContextKind::InvalidValue,
        _ => return,
    };
    let Some(ContextValue::String(typed)) = error.get(kind).cloned() else { return };
    let shown = argument_name(&typed);
    if shown != typed {
        error.insert(kind, ContextValue::String(shown.to_owned()));
        // "to pass '...' as a value, use '-- ...'"
        error.remove(ContextKind::Suggested);
    }
}

impl Command {
    fn run(&self, engine: &Engine<'_>, output: &Output) -> Result<ToolOutput> {
        match self {
            Self::Login(arguments) => login::run(engine, arguments, output),
            Self::Logout(arguments) => logout::run(engine, arguments, output),
            Self::Whoami => whoami::run(engine, output),
            Self::Status(arguments) => status::run(engine, arguments, output),
            Self::Account(command) => account::run(engine, command, output),
            Self::Token(command) => token::run(engine, command, output),
            Self::Session(command) => session::run(engine, command, output),
            Self::Project(project::ProjectCommand::List) => project::list_projects(engine, output),
            Self::Env(project::EnvCommand::List) => project::list_environments(engine, output),
            Self::Config(command) => config::run(engine, command, output),
            Self::Exec(arguments) => exec::run(engine, arguments),
            Self::Export(arguments) => export::run(engine, arguments),
            Self::Get(arguments) => Ok(protocol(engine, "get", &arguments.arguments())),
            Self::Store(Rest { rest }) => Ok(protocol(engine, "store", rest)),
            Self::Erase(Rest { rest }) => Ok(protocol(engine, "erase", rest)),
            Self::List(Rest { rest }) => Ok(protocol(engine, "list", rest)),
            Self::Capabilities(Rest { rest }) => Ok(protocol(engine, "capabilities", rest)),
            Self::Setup(arguments) => setup::run(engine, arguments, output),
            Self::Doctor(arguments) => Ok(doctor::run(engine, arguments, output)),
            Self::Errors(arguments) => errors::run(arguments, output),
            Self::Completions(arguments) => Ok(completions::run(CommandLine::command(), arguments)),
            Self::Man(arguments) => {
                man::run(CommandLine::command().after_help(TOOLS), arguments, output)
            }
            Self::Tool(arguments) => protocol_of_tool(engine, arguments),
        }
    }

    fn store(&self) -> Option<StoreChoice> {
        if let Self::Login(arguments) = self { arguments.store } else { None }
    }
}

fn protocol(engine: &Engine<'_>, operation: &str, rest: &[String]) -> ToolOutput {
    let arguments = [&[operation.to_owned()], rest].concat();
    run::run(engine, run::json_tool(), &arguments)
}

fn protocol_of_tool(engine: &Engine<'_>, arguments: &[OsString]) -> Result<ToolOutput> {
    let mut arguments = arguments.iter().map(|text| text.to_string_lossy().into_owned());
    let name = arguments.next().unwrap_or_default();
    let Some(tool) = run::tool(&name) else {
        let message = format!("unknown command `{}`", argument_name(&name));
        let similar = similar_command(&name)
            .map_or_else(String::new, |similar| format!("did you mean `{similar}`? Otherwise "));
        return Err(Error::invalid(message).with_hint(format!(
            "{similar}run `my-credential-helper --help` for the list of commands"
        )));
    };
    Ok(run::run(engine, tool, &arguments.collect::<Vec<_>>()))
}

/// The commands or tools that clap suggests for a name, the most similar first.
fn similar_command(name: &str) -> Option<String> {
    let tools = protocols::ALL.iter().map(|tool| clap::Command::new(tool.name));
    // Without the external subcommand, which accepts every name.
    let known = CommandLine::command().get_subcommands().cloned().chain(tools).collect::<Vec<_>>();
    let error = clap::Command::new("my-credential-helper").subcommands(known);
    let error = error.try_get_matches_from(["my-credential-helper", name]).err()?;
    match error.get(ContextKind::SuggestedSubcommand)? {
        ContextValue::Strings(names) => {
            let names: Vec<_> = names.iter().rev().take(2).cloned().collect();
            Some(names.join("` or `"))
        }
        ContextValue::String(name) => Some(name.clone()),
        _ => None,
    }
}

/// Whether `--provider` or `MY_PROVIDER` names the provider.
fn names_provider(engine: &Engine<'_>) -> bool {
    let context = &engine.context;
    context.overrides.provider.is_some() || context.environment.get("MY_PROVIDER").is_some()
}

/// The provider in force, if its service has accounts.
fn magic_link_provider(engine: &Engine<'_>) -> Result<Provider> {
    let provider = engine.context.provider(None)?;
    if provider.login == LoginKind::MagicLink {
        return Ok(provider);
    }
    Err(Error::invalid(format!("this command is not for {}: only mycli has it", provider.name))
        .with_hint("add `--provider mycli`"))
}

#[cfg(test)]
mod tests {
    use clap::{Command, CommandFactory as _, Parser as _};

    use super::CommandLine;

    #[test]
    fn the_command_line_is_well_formed() {
        CommandLine::command().debug_assert();
    }

    /// A command with all commands below it.
    fn all(command: &Command) -> Vec<&Command> {
        std::iter::once(command).chain(command.get_subcommands().flat_map(all)).collect()
    }

    #[test]
    fn examples_have_a_heading_and_no_line_is_broken_twice() {
        let command = CommandLine::command();
        for command in all(&command) {
            let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let has_examples = text.contains("\n  my-credential-helper ")
                || text.starts_with("  my-credential-helper ");
            assert_eq!(has_examples, text.contains("Examples:\n  "), "{}", command.get_name());
            // A paragraph is one line here, and wrapped to the terminal's width when it is shown.
            let broken = text.lines().zip(text.lines().skip(1)).find(|(line, next)| {
                [line, next].iter().all(|line| !line.is_empty() && !line.starts_with("  "))
                    && !line.ends_with(':')
            });
            assert_eq!(broken, None, "{}", command.get_name());
        }
    }

    #[test]
    fn get_passes_its_arguments_to_the_protocol() {
        let line = [
            "x",
            "--provider=mycli",
            "get",
            "--format",
            "raw",
            "--url",
            "https://acme.dev",
            "--explain",
        ];
        let Ok(CommandLine { command: super::Command::Get(arguments), .. }) =
            CommandLine::try_parse_from(line)
        else {
            panic!("`get` is a command");
        };
        assert_eq!(arguments.arguments(), ["--format=raw", "--url=https://acme.dev", "--explain"]);
    }
}
