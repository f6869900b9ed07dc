//! The account verbs: one file each. This one is the command line.

mod login;
mod logout;
mod output;
mod status;
mod terminal;
mod whoami;

use std::ffi::OsString;

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::adapters::{self, Answer};
use crate::configuration::StoreChoice;
use crate::error::{Error, Result};
use crate::serve;
use crate::world::{Overrides, World};

/// One program that git, docker, cargo, Bazel, kubectl and scripts ask for a token.
///
/// Log in once; from then on every tool gets a credential that is valid.
#[derive(Parser)]
#[command(version, name = "my-credential-helper", arg_required_else_help = true, after_help = ADAPTERS_HELP)]
struct CommandLine {
    /// The provider, where it is not the default one
    #[arg(long, global = true, value_name = "NAME")]
    provider: Option<String>,
    /// The base URL of the provider's API
    #[arg(long, global = true, value_name = "URL")]
    api_url: Option<String>,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
    /// Print the result alone
    #[arg(long, short, global = true)]
    quiet: bool,
    #[command(subcommand)]
    verb: Verb,
}

const ADAPTERS_HELP: &str = "\
Protocols of tools: `my-credential-helper git get` and the like, or a link to this program by the name that the tool
looks for (git-credential-my). Where the token comes from: MY_API_TOKEN, the keyring, ~/.my/credentials.json.";

#[derive(Subcommand)]
enum Verb {
    /// Log in by a link that is sent by email
    Login(login::Arguments),
    /// Log out: end the session on the service, and forget it here
    Logout,
    /// Who is logged in, asked of the service
    Whoami,
    /// What is known here, without asking the service
    Status,
    /// Print a valid credential
    Get(GetHelp),
    /// Keep a credential: a JSON request on standard input
    Store(Rest),
    /// Forget a credential: a JSON request on standard input
    Erase(Rest),
    /// List what is kept, without secrets
    List(Rest),
    /// What this program can do here
    Capabilities(Rest),
    /// The protocol of a tool
    #[command(external_subcommand)]
    Adapter(Vec<OsString>),
}

/// What the JSON adapter takes; it reads the arguments itself, so that `get` need not wait for this to be built.
#[derive(clap::Args)]
#[command(after_help = "\
Without --format or --url a JSON request is read from standard input; an empty one asks for the default provider's.
  my-credential-helper get </dev/null
  curl -H @<(my-credential-helper get --format header) https://api.mycli.sh/v1/me")]
struct GetHelp {
    /// json, raw (the bare token) or header (what `curl -H @-` reads)
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Where it will be sent
    #[arg(long)]
    url: Option<String>,
    /// The user name to go with it
    #[arg(long, value_name = "NAME")]
    username: Option<String>,
    /// Say on standard error where it was looked for
    #[arg(long)]
    explain: bool,
}

#[derive(clap::Args)]
struct Rest {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    rest: Vec<String>,
}

/// Runs an account verb. What protocol verbs come here were written with flags before them.
pub fn run(arguments: &[OsString]) -> Answer {
    let line = match CommandLine::try_parse_from(arguments) {
        Ok(line) => line,
        Err(help) => {
            let text = help.render().ansi().to_string();
            let text = if terminal::shows_colour(help.use_stderr()) { text } else { help.render().to_string() };
            let status = u8::try_from(help.exit_code()).unwrap_or(2);
            return if help.use_stderr() {
                Answer { messages: text, status, ..Answer::default() }
            } else {
                Answer::success(text)
            };
        }
    };
    let CommandLine { provider, api_url, json, quiet, verb } = line;
    let world = World::of_this_process(Overrides { provider, api_url, store: None });
    let output = output::Output { json, quiet };
    let result = match verb {
        Verb::Login(arguments) => login::run(world, &arguments, &output),
        Verb::Logout => logout::run(&world, &output),
        Verb::Whoami => whoami::run(&world, &output),
        Verb::Status => status::run(&world, &output),
        Verb::Get(_) => Ok(protocol(&world, "get", Vec::new())),
        Verb::Store(Rest { rest }) => Ok(protocol(&world, "store", rest)),
        Verb::Erase(Rest { rest }) => Ok(protocol(&world, "erase", rest)),
        Verb::List(Rest { rest }) => Ok(protocol(&world, "list", rest)),
        Verb::Capabilities(Rest { rest }) => Ok(protocol(&world, "capabilities", rest)),
        Verb::Adapter(words) => adapter(&world, words),
    };
    result.unwrap_or_else(|error| output.failure(&error))
}

fn protocol(world: &World, verb: &str, mut rest: Vec<String>) -> Answer {
    rest.insert(0, verb.to_owned());
    serve::serve(world, &adapters::json::ADAPTER, rest)
}

fn adapter(world: &World, words: Vec<OsString>) -> Result<Answer> {
    let mut words = words.into_iter().map(|word| word.to_string_lossy().into_owned());
    let name = words.next().unwrap_or_default();
    let Some(adapter) = adapters::ALL.iter().find(|adapter| adapter.name == name) else {
        let message = format!("there is no verb `{}`", crate::error::shown(&name));
        return Err(Error::invalid(message).with_hint("`my-credential-helper --help` lists them"));
    };
    let words: Vec<_> = words.collect();
    if words.iter().any(|word| word == "--help" || word == "-h") {
        return Ok(Answer::success(format!("Usage: my-credential-helper {name} <{}>\n", adapter.operations.join("|"))));
    }
    Ok(serve::serve(world, adapter, words))
}

/// The store that `--store` names, on top of what the world says.
fn with_store(mut world: World, store: Option<StoreChoice>) -> World {
    world.overrides.store = store;
    world
}

/// The command line, for completions and manual pages.
pub fn command() -> clap::Command {
    CommandLine::command()
}
