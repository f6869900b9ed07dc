//! `login`: by email, with a token, or by one of the OAuth 2 flows.

mod browser;
mod device;
mod email;
mod loopback;
mod oauth;
mod pending;
mod service;
mod token;
mod waiting;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde_json::{Value, json};

use crate::auth::Engine;
use crate::cli::output::Output;
use crate::cli::terminal::Stopped;
use crate::cli::whoami;
use crate::config::{MyJson, StoreChoice, edit};
use crate::error::{Error, Result, sanitize};
use crate::model::{LoginKind, Provider, StoredAt, ToolOutput, Warning};

pub(super) use pending::Pending;

#[derive(Clone, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
#[command(after_help = "\
Examples:
  my-credential-helper login --email me@acme.dev
  my-credential-helper login --account work
  my-credential-helper login https://git.acme.dev
  my-credential-helper --provider acme login --device
  echo \"$TOKEN\" | my-credential-helper login

Without a terminal, in two steps:
  my-credential-helper login --email me@acme.dev --no-wait
  my-credential-helper login --code 123456")]
pub(super) struct Arguments {
    /// The service: its URL, or github, gitlab, bitbucket or google. Without it, the provider in force
    #[arg(conflicts_with_all = ["email", "code", "token", "no_wait", "username"])]
    service: Option<String>,
    /// The id of the application that you have registered at the service
    #[arg(long, value_name = "ID", requires = "service")]
    client_id: Option<String>,
    /// The email address; prompted for on a terminal if missing
    #[arg(long)]
    email: Option<String>,
    /// The six-digit code of a pending login
    #[arg(long, conflicts_with = "email")]
    code: Option<String>,
    /// An API token; prompted for without a value. Prefer standard input, because other users can see arguments
    #[arg(long, num_args = 0..=1, default_missing_value = "", hide_default_value = true, conflicts_with_all = ["email", "code"])]
    token: Option<String>,
    /// OAuth 2: use the device code flow, with a code that is entered on any device
    #[arg(long, conflicts_with_all = ["email", "code", "token"])]
    device: bool,
    /// OAuth 2: use the authorization code flow, in a browser on this machine
    #[arg(long, conflicts_with_all = ["email", "code", "token", "device"])]
    browser: bool,
    /// OAuth 2: use the client credentials flow, for example in CI; the client secret is read as configured, or from
    /// standard input
    #[arg(long, conflicts_with_all = ["email", "code", "token", "device", "browser"])]
    client_credentials: bool,
    /// Start the login without waiting; complete it with `login --code`
    #[arg(long)]
    no_wait: bool,
    /// The user name for a new account
    #[arg(long, value_name = "NAME")]
    username: Option<String>,
    /// Log in even if already logged in
    #[arg(long)]
    force: bool,
    /// The store for the session [default: the keyring if available]
    #[arg(long, value_parser = store_choices())]
    pub(super) store: Option<StoreChoice>,
}

fn store_choices() -> impl TypedValueParser<Value = StoreChoice> {
    PossibleValuesParser::new(["keyring", "file", "vault"]).map(|name| match name.as_str() {
        "file" => StoreChoice::File,
        "vault" => StoreChoice::Vault,
        _ => StoreChoice::Keyring,
    })
}

impl Arguments {
    /// Whether one of the OAuth 2 flows is requested.
    fn names_flow(&self) -> bool {
        self.device || self.browser || self.client_credentials
    }

    /// An option that only a login by email has.
    fn option_of_email(&self) -> Option<&'static str> {
        [
            ("--email", self.email.is_some()),
            ("--code", self.code.is_some()),
            ("--no-wait", self.no_wait),
            ("--username", self.username.is_some()),
        ]
        .into_iter()
        .find_map(|(name, is_given)| is_given.then_some(name))
    }
}

pub(super) fn run(
    engine: &Engine<'_>,
    arguments: &Arguments,
    output: &Output,
) -> Result<ToolOutput> {
    match log_in(engine, arguments, output) {
        Ok(result) => Ok(result),
        Err(Stopped::Failed(error)) => Err(error),
        // The exit status that a shell reports for a program that Control-C ended.
        Err(Stopped::Interrupted) => Ok(ToolOutput::failure(130, "interrupted")),
    }
}

fn log_in(
    engine: &Engine<'_>,
    arguments: &Arguments,
    output: &Output,
) -> Result<ToolOutput, Stopped> {
    if let Some(service) = &arguments.service {
        return service::run(engine, arguments, service, output);
    }
    let login = |provider| Login::new(engine, arguments, output, provider);
    if let Some(token) = token::provided(engine, arguments)? {
        return Ok(login(token::provider_of(engine, &token)?)?.by_token(&token)?);
    }
    let provider = engine.context.provider(None)?;
    if let Some(moved) = login(provider.clone())?.moved()? {
        return Ok(moved);
    }
    let name = provider.name.clone();
    let error = match (&provider.login, arguments.option_of_email()) {
        (LoginKind::OAuth(_), Some(option)) => {
            Error::invalid(format!("`{option}` is for a login by email, which {name} does not have"))
                .with_hint(format!("omit `{option}`"))
        }
        (LoginKind::OAuth(oauth), None) => {
            let oauth = oauth.clone();
            return login(provider)?.by_oauth(&oauth);
        }
        _ if arguments.names_flow() => Error::invalid(format!("{name} does not support OAuth 2"))
            .with_hint(
                "specify the provider before the command: `my-credential-helper --provider NAME login`",
            ),
        (LoginKind::MagicLink, _) => return login(provider)?.by_email(),
        (LoginKind::ApiKey { .. }, _) => Error::invalid(format!(
            "{name} has no login by email; log in with an API key"
        ))
        .with_hint(format!("run `echo \"$KEY\" | my-credential-helper --provider {name} login`")),
    };
    Err(error.into())
}

/// The state of one login. Each flow extends this type in its own file.
struct Login<'a> {
    engine: &'a Engine<'a>,
    arguments: &'a Arguments,
    output: &'a Output,
    provider: Provider,
    api_url: String,
}

impl<'a> Login<'a> {
    fn new(
        engine: &'a Engine<'a>,
        arguments: &'a Arguments,
        output: &'a Output,
        provider: Provider,
    ) -> Result<Self> {
        let context = &engine.context;
        // A pending login has its own URL.
        let api_url = match arguments.code {
            Some(_) => context.api_url(&provider, None)?,
            None => context.login_api_url(&provider)?,
        };
        Ok(Self { engine, arguments, output, provider, api_url })
    }

    /// Ensures that [`Login::configure_api_url`] can write.
    fn check_api_url(&self) -> Result<()> {
        let Self { engine, provider, api_url, .. } = self;
        let paths = &engine.context.paths;
        match engine.context.configured_api_url(provider)? {
            before if before == *api_url => Ok(()),
            _ if provider.shares_with_my => MyJson::check_writable(paths),
            _ => edit::check_writable(paths),
        }
    }

    /// Writes the API URL of the login into the configuration. Sessions are for the configured URL: they are deleted
    /// before the URL changes, so that a crash in between cannot send a token of one service to the other.
    fn configure_api_url(&self) -> Result<()> {
        let Self { engine, provider, api_url, .. } = self;
        let before = engine.context.configured_api_url(provider)?;
        if before == *api_url {
            return Ok(());
        }
        for account in engine.accounts(&provider.name)? {
            if engine.forget_session(&account, None)? && account.account != provider.account {
                self.output.note(format!("logged out of {} at {before}", account.title()));
            }
        }
        let paths = &engine.context.paths;
        let file = if provider.shares_with_my {
            MyJson::set(paths, "api_url", Some(api_url))?;
            "~/.my/config.json, which `my` also reads"
        } else {
            edit::set(paths, Some(&provider.name), "api_url", Some(api_url.into()))?;
            "config.toml"
        };
        let name = &provider.name;
        self.output
            .note(format!("changed the API URL of {name} to {api_url} (was {before}) in {file}"));
        Ok(())
    }

    /// Stores the choice of `--store vault`: no other call would find the session.
    fn configure_store(&self) -> Result<()> {
        let Self { engine, provider: Provider { name, account, .. }, .. } = self;
        let configured = engine.context.configuration()?.provider(name)?;
        if self.provider.shared.is_none()
            || configured.with_account(account.clone()).shared.is_some()
        {
            return Ok(());
        }
        let paths = &engine.context.paths;
        let changed = if account.is_default() {
            edit::set(paths, Some(name), "store", Some(StoreChoice::Vault.name().into()))?;
            "set store = vault".to_owned()
        } else {
            edit::change_list(paths, name, "vault_accounts", |accounts| {
                accounts.push(account.to_string());
                Ok(())
            })?;
            format!("added {account} to vault_accounts")
        };
        self.output.note(format!("{changed} in [providers.{name}]"));
        Ok(())
    }

    /// The result if the arguments request only another store, and the session can be moved there.
    fn moved(&self) -> Result<Option<ToolOutput>> {
        let Self { engine, arguments, provider, .. } = self;
        let Arguments { email, code, force, store, .. } = arguments;
        let is_shared = provider.shared.is_some();
        if store.is_none()
            || is_shared
            || *force
            || email.is_some()
            || code.is_some()
            || arguments.names_flow()
        {
            return Ok(None);
        }
        let newest = engine.load(provider).newest;
        let is_valid =
            newest.is_some_and(|it| !it.session.needs_login(provider, engine.clock.now()));
        if !is_valid || engine.context.other_login_url(provider, None)?.is_some() {
            return Ok(None);
        }
        let Some(StoredAt { source, location, .. }) = engine.move_session(provider)? else {
            return Ok(None);
        };
        let (Provider { name, account, .. }, source) = (provider, source.name());
        let sentence =
            format!("Moved the session of {} to the {source}: {location}", provider.title());
        let fields = json!({
            "provider": name, "account": &**account, "already_logged_in": true, "stored_in": source,
            "location": location,
        });
        Ok(Some(self.output.done(&sentence, &fields)))
    }

    fn report_existing(&self, user: Option<&str>) -> ToolOutput {
        let Provider { name, account, .. } = &self.provider;
        let title = self.provider.title();
        let who = user.map_or_else(String::new, |user| format!(" as {}", sanitize(user)));
        let sentence =
            format!("Already logged in to {title}{who}. Use `login --force` to log in again.");
        let fields = json!({ "provider": name, "account": &**account, "already_logged_in": true, "email": user });
        self.output.done(&sentence, &fields)
    }

    fn report_success(
        &self,
        (StoredAt { source, location, warning }, account): (StoredAt, Option<Warning>),
        user: Option<&str>,
        mut fields: Value,
    ) -> ToolOutput {
        let (title, source) = (self.provider.title(), source.name());
        let mut names = ["email", "username", "name"].iter();
        if let Some(name) = names.find_map(|field| fields[*field].as_str()) {
            whoami::remember(self.engine, &self.provider, name);
        }
        let who = user.map_or_else(String::new, |user| format!(" as {}", sanitize(user)));
        let sentence = format!("Logged in to {title}{who}. Saved in the {source}: {location}");
        fields["provider"] = self.provider.name.as_ref().into();
        fields["account"] = (*self.provider.account).into();
        fields["stored_in"] = source.into();
        fields["location"] = location.into();
        self.output.warn(warning.iter().chain(&account));
        warn_about_variable(self.engine, &self.provider, self.output);
        self.output.done(&sentence, &fields)
    }
}

/// The text ` at URL` for a prompt, if the input is not sent to the configured URL.
fn at_url(engine: &Engine<'_>, provider: &Provider) -> Result<String> {
    let url = engine.context.login_api_url(provider)?;
    let is_other = engine.context.other_login_url(provider, None)?.is_some();
    Ok(if is_other { format!(" at {url}") } else { String::new() })
}

/// Notes that the variable with a token precedes every session.
pub(super) fn warn_about_variable(engine: &Engine<'_>, provider: &Provider, output: &Output) {
    let name = &provider.token_variable;
    if engine.context.environment.get(name).is_some() {
        output.note(format!(
            "{name} is set and takes precedence; run `unset {name}` to use the session"
        ));
    }
}
