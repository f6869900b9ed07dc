//! `login`: by a link or a six-digit code that the service sends by email, or with a token that is brought.

mod browser;
mod device;
mod oauth;
mod pending;
mod token;
mod waiting;

use std::time::{Duration, Instant};

use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde_json::{Value, json};

use crate::auth::Engine;
use crate::cli::output::Output;
use crate::cli::terminal;
use crate::config::{MyJson, StoreChoice, edit};
use crate::error::{Error, ErrorCode, Result, sanitize};
use crate::http::{self, ApiError, Client, mycli};
use crate::model::{
    Account, LoginKind, Provider, Secret, Session, StoredAt, Timestamp, ToolOutput, Warning,
};
use crate::store::session;

use pending::Pending;

/// What `login` takes.
#[derive(clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
#[command(after_help = "\
Examples:
  my-credential-helper login --email me@acme.dev
  my-credential-helper login --account work
  my-credential-helper --provider acme login --device
  echo \"$TOKEN\" | my-credential-helper login

Without a terminal, in two steps:
  my-credential-helper login --email me@acme.dev --no-wait
  my-credential-helper login --code 123456")]
pub(super) struct Arguments {
    /// The email address; asked for on a terminal where it is not given
    #[arg(long)]
    email: Option<String>,
    /// The six-digit code of a login that has been started
    #[arg(long, conflicts_with = "email")]
    code: Option<String>,
    /// An API token; better on standard input, since others can see arguments. Without a value it is asked for
    #[arg(long, num_args = 0..=1, default_missing_value = "", hide_default_value = true, conflicts_with_all = ["email", "code"])]
    token: Option<String>,
    /// Of a service with OAuth 2: by a code that is typed on any device
    #[arg(long, conflicts_with_all = ["email", "code", "token"])]
    device: bool,
    /// Of a service with OAuth 2: by its page in the browser of this machine
    #[arg(long, conflicts_with_all = ["email", "code", "token", "device"])]
    browser: bool,
    /// Of a service with OAuth 2: as the program itself, as in CI; the secret from where the configuration says, or on
    /// standard input
    #[arg(long, conflicts_with_all = ["email", "code", "token", "device", "browser"])]
    client_credentials: bool,
    /// Start the login and do not wait; `login --code` completes it
    #[arg(long)]
    no_wait: bool,
    /// The user name for a new account
    #[arg(long, value_name = "NAME")]
    username: Option<String>,
    /// Log in anew where somebody is logged in already
    #[arg(long)]
    force: bool,
    /// Where to keep the login; the keyring where there is one, otherwise
    #[arg(long, value_parser = store_choices())]
    pub(super) store: Option<StoreChoice>,
}

fn store_choices() -> impl TypedValueParser<Value = StoreChoice> {
    PossibleValuesParser::new(["keyring", "file"]).map(|name| match name.as_str() {
        "file" => StoreChoice::File,
        _ => StoreChoice::Keyring,
    })
}

impl Arguments {
    /// Whether it is said how to log in, with a service that offers several ways.
    fn names_a_flow(&self) -> bool {
        self.device || self.browser || self.client_credentials
    }
}

pub(super) fn run(
    engine: &Engine<'_>,
    arguments: &Arguments,
    output: &Output,
) -> Result<ToolOutput> {
    if let Some(token) = token::brought(engine, arguments)? {
        return token::login(engine, &token, arguments.force, output);
    }
    let provider = engine.context.provider(None)?;
    if let LoginKind::OAuth(service) = &provider.login {
        return oauth::OAuthLogin {
            engine,
            provider: &provider,
            oauth: service,
            arguments,
            output,
        }
        .run();
    }
    if arguments.names_a_flow() {
        return Err(Error::invalid(format!("{} does not speak OAuth 2", provider.name)).with_hint(
            "name the provider before the verb: `my-credential-helper --provider NAME login`",
        ));
    }
    if provider.login != LoginKind::MagicLink {
        return Err(Error::invalid(format!(
            "{} has no login by email; bring a key of it",
            provider.name
        ))
        .with_hint(format!(
            "`echo \"$KEY\" | my-credential-helper --provider {} login`",
            provider.name
        )));
    }
    let waiting = match arguments.code {
        Some(_) => Some(waiting_login(engine, &provider)?),
        None => None,
    };
    let provider = match &waiting {
        Some(pending) => of_account(engine, &provider, pending)?,
        None => provider,
    };
    let api_url = match &waiting {
        Some(pending) => pending.api_url.clone(),
        None => engine.context.api_url(&provider, None)?,
    };
    Login { api_url, engine, provider: &provider, arguments, output, began: engine.clock.now() }
        .run(waiting)
}

/// The login that another process has started. It knows its service, so that the second step need not name it again;
/// where another one is named, the code is not sent there.
fn waiting_login(engine: &Engine<'_>, provider: &Provider) -> Result<Pending> {
    let pending = Pending::load(engine, engine.clock.now())?.ok_or_else(|| {
        Error::invalid("no login is waiting for a code")
            .with_hint("start one: `my-credential-helper login --email you@example.com --no-wait`")
    })?;
    if pending.provider != provider.name {
        let message = format!(
            "no login to {} is waiting for a code, but one to {}",
            provider.name, pending.provider
        );
        let hint = format!(
            "`my-credential-helper --provider {} login --code CODE` completes it",
            pending.provider
        );
        return Err(Error::invalid(sanitize(&message)).with_hint(sanitize(&hint)));
    }
    // The configured one names no service here: the login may have been told to replace it.
    let variable =
        provider.api_url_variable.as_deref().and_then(|name| engine.context.environment.text(name));
    let is_named = engine.context.overrides.api_url.is_some() || variable.is_some();
    let in_force = engine.context.api_url(provider, None)?;
    if is_named && in_force != pending.api_url {
        let message =
            format!("no login is waiting for a code at {in_force}, but one at {}", pending.api_url);
        let hint = format!(
            "`my-credential-helper --api-url {} login --code CODE` completes it",
            pending.api_url
        );
        return Err(Error::invalid(sanitize(&message)).with_hint(sanitize(&hint)));
    }
    Ok(pending)
}

/// The account that the login was started for, which need not be named again.
fn of_account(engine: &Engine<'_>, provider: &Provider, pending: &Pending) -> Result<Provider> {
    match engine.context.account_override(&provider.name)? {
        Some((account, _)) if *account != *pending.account => {
            let message = format!(
                "the login that waits for a code is for the account {}",
                sanitize(&pending.account)
            );
            Err(Error::invalid(message).with_hint("leave out the account, or start another login"))
        }
        _ => Ok(engine
            .context
            .descriptor(Some(&provider.name))?
            .with_account(Account::parse(&pending.account)?)),
    }
}

/// A login that was started and not completed is over too.
pub(super) fn forget_pending(engine: &Engine<'_>, provider: &Provider) {
    Pending::forget_of(engine, provider, engine.clock.now());
}

/// A token in the variable precedes every login: the person may have forgotten it.
pub(super) fn note_variable(engine: &Engine<'_>, provider: &Provider, output: &Output) {
    let name = &provider.token_variable;
    if engine.context.environment.get(name).is_some() {
        output.note(format!("{name} is set and stays in effect; `unset {name}` to use the login"));
    }
}

/// What the three kinds of login print at their end.
fn logged_in(
    engine: &Engine<'_>,
    provider: &Provider,
    output: &Output,
    (stored, warning): (StoredAt, Option<Warning>),
    who: Option<&str>,
    mut fields: Value,
) -> ToolOutput {
    let StoredAt { source, location } = stored;
    let (title, source) = (provider.title(), source.name());
    let who = who.map_or_else(String::new, |who| format!(" as {}", sanitize(who)));
    let sentence = format!("Logged in to {title}{who}. Saved in the {source}: {location}");
    fields["provider"] = provider.name.as_ref().into();
    fields["account"] = (*provider.account).into();
    fields["stored_in"] = source.into();
    fields["location"] = location.into();
    output.warn(&warning);
    note_variable(engine, provider, output);
    output.done(&sentence, &fields)
}

/// A login belongs to the API URL of the configuration. Where that has to change, the old login goes first, so that no
/// crash in between sends one service's token to the other.
fn point_at(
    engine: &Engine<'_>,
    provider: &Provider,
    api_url: &str,
    output: &Output,
) -> Result<()> {
    let before = engine.context.configured_api_url(provider)?;
    if before == api_url {
        return Ok(());
    }
    for account in engine.accounts(&provider.name)? {
        engine.forget_session(&account, None)?;
    }
    let file = if provider.shares_with_my {
        MyJson::set(&engine.context.paths, "api_url", Some(api_url))?;
        "~/.my/config.json, which `my` reads too"
    } else {
        edit::set(&engine.context.paths, Some(&provider.name), "api_url", Some(api_url.into()))?;
        "config.toml"
    };
    output.note(format!(
        "the API URL of {} is {api_url} from now on, and no longer {before}: {file}",
        provider.name
    ));
    Ok(())
}

struct Login<'a> {
    engine: &'a Engine<'a>,
    provider: &'a Provider,
    api_url: String,
    arguments: &'a Arguments,
    output: &'a Output,
    began: Timestamp,
}

impl Login<'_> {
    fn run(&self, waiting: Option<Pending>) -> Result<ToolOutput> {
        if !self.arguments.force
            && waiting.is_none()
            && let Some(answer) = self.already_logged_in()?
        {
            return Ok(answer);
        }
        let client = Client::new(self.engine.network, self.provider, &self.api_url)?;
        self.engine.check_login(self.provider)?;
        let (pending, granted) = match waiting {
            Some(pending) => {
                let granted = self.take_up(&client, &pending)?;
                (pending, granted)
            }
            None => (self.start(&client)?, None),
        };
        if self.arguments.no_wait {
            let sentence = format!(
                "A link and a code are on their way to {}. `my-credential-helper login --code CODE`, with the six \
                 digits of the mail, completes the login; the link need not be clicked.",
                sanitize(&pending.email)
            );
            return Ok(self.output.done(
                &sentence,
                &json!({ "pending": true, "account": pending.account, "email": pending.email }),
            ));
        }
        if self.arguments.code.is_none() && !self.output.quiet {
            waiting::say_what_to_do(&pending);
        }
        let gives_up = self.arguments.code.as_ref().map(|_| Instant::now() + waiting::PATIENCE);
        let waiting = waiting::Waiting {
            client: &client,
            pending: &pending,
            quiet: self.output.quiet,
            gives_up,
        };
        let new = match granted.map_or_else(|| waiting.wait(), Ok) {
            Ok(new) => new,
            // What a shell says of a program that Control-C ended: the terminal was ours, and so was the key.
            Err(waiting::Stopped::ByPerson) => return Ok(ToolOutput::failure(130, "interrupted")),
            Err(waiting::Stopped::Failed(error)) => return self.completed_elsewhere(error),
        };
        let needs_username = new.needs_username;
        let session = new.into_session(self.engine.clock.now());
        point_at(self.engine, self.provider, &self.api_url, self.output)?;
        let stored = self.engine.save_granted(self.provider, &session)?;
        Pending::forget(self.engine);
        if needs_username {
            self.choose_username(&client, &session)?;
        }
        Ok(self.finish(&client, &session, stored))
    }

    /// Who is logged in, where somebody is and the service agrees.
    fn already_logged_in(&self) -> Result<Option<ToolOutput>> {
        let loaded = session::load(&self.engine.stores, &self.provider.key);
        let Some(kept) = loaded.newest else { return Ok(None) };
        if self.engine.context.logged_in_elsewhere(self.provider, None)?.is_some() {
            return Ok(None);
        }
        let unknown = || "somebody".to_owned();
        let who = if self.engine.context.environment.get(&self.provider.token_variable).is_some() {
            // The credential in force is not the login, and while it is there nothing is refreshed.
            let client = Client::new(self.engine.network, self.provider, &self.api_url)?;
            mycli::me(&client, &kept.session.access_token).map_or_else(|_| unknown(), |me| me.email)
        } else {
            match self.engine.call(self.provider, "ask who is logged in", mycli::me) {
                Ok((me, _)) => me.email,
                Err(error) if matches!(error.code, ErrorCode::TemporarilyUnavailable) => unknown(),
                // What is kept is of no use any more.
                Err(_) => return Ok(None),
            }
        };
        let sentence = format!(
            "Already logged in to {} as {}. `login --force` logs in anew.",
            self.provider.title(),
            sanitize(&who)
        );
        let fields = json!({ "provider": self.provider.name, "account": &*self.provider.account, "already_logged_in": true, "email": who });
        note_variable(self.engine, self.provider, self.output);
        Ok(Some(self.output.done(&sentence, &fields)))
    }

    fn start(&self, client: &Client) -> Result<Pending> {
        loop {
            let email = match &self.arguments.email {
                Some(email) => email.clone(),
                None if terminal::is_interactive() => terminal::ask("Email address:")?,
                None => {
                    return Err(Error::invalid(
                        "there is no terminal to ask for an email address on",
                    )
                    .with_hint("give it: `my-credential-helper login --email you@example.com`"));
                }
            };
            match mycli::start_login(client, &email) {
                Ok(started) => {
                    let pending = Pending::new(
                        self.provider,
                        &email,
                        &self.api_url,
                        &started,
                        self.engine.clock.now(),
                    );
                    pending.save(self.engine)?;
                    return Ok(pending);
                }
                // A slip of the finger: whoever was asked is asked again.
                Err(error) if error.code() == "INVALID_EMAIL" && self.arguments.email.is_none() => {
                    terminal::tell(&format!("`{}` cannot be used: {error}", sanitize(&email)));
                }
                Err(error) => {
                    return Err(http::failed(client.base_url(), "start the login", &error));
                }
            }
        }
    }

    /// Goes on with a login that was started by another process. A click on the link voids the code, and has the
    /// session granted to whoever asks for it next.
    fn take_up(&self, client: &Client, pending: &Pending) -> Result<Option<mycli::NewSession>> {
        let code = Secret::new(self.arguments.code.as_deref().unwrap_or_default().trim());
        let Err(error) = mycli::verify_code(client, &pending.device_code, &code) else {
            return Ok(None);
        };
        if error.code() == "INVALID_CODE"
            && let Ok(mycli::Poll::Done(session)) = mycli::poll_login(client, &pending.device_code)
        {
            return Ok(Some(*session));
        }
        Err(wrong_code(client, &error))
    }

    /// The code was typed into one process and another one, which waited for it, was quicker.
    fn completed_elsewhere(&self, error: Error) -> Result<ToolOutput> {
        if self.arguments.code.is_some() && error.code == ErrorCode::SessionExpired {
            std::thread::sleep(Duration::from_millis(200));
            // Who was logged in before is not meant.
            let kept = session::load(&self.engine.stores, &self.provider.key).newest;
            if kept.is_some_and(|kept| kept.session.logged_in_at >= self.began)
                && let Some(answer) = self.already_logged_in()?
            {
                return Ok(answer);
            }
        }
        Err(error)
    }

    /// A new account needs a user name, and the service says which are free.
    fn choose_username(&self, client: &Client, session: &Session) -> Result<()> {
        let mut chosen = self.arguments.username.clone();
        loop {
            let name = match chosen.take() {
                Some(name) => name,
                None if terminal::is_interactive() => {
                    terminal::ask("Choose a user name (3 to 39 of a-z, 0-9 and -):")?
                }
                None => {
                    self.output.note("the account has no user name yet; `login --force --username NAME` sets one");
                    return Ok(());
                }
            };
            match mycli::set_username(client, &session.access_token, &name) {
                Ok(()) => return Ok(()),
                Err(error)
                    if matches!(error.code(), "USERNAME_TAKEN" | "INVALID_USERNAME")
                        && terminal::is_interactive() =>
                {
                    terminal::tell(&format!("`{}` cannot be had: {error}", sanitize(&name)));
                }
                Err(error) if error.code() == "USERNAME_ALREADY_SET" => return Ok(()),
                Err(error) => {
                    // The login stands; the name can be chosen later.
                    self.output.note(format!("the user name was not set: {error}"));
                    return Ok(());
                }
            }
        }
    }

    fn finish(
        &self,
        client: &Client,
        session: &Session,
        stored: (StoredAt, Option<Warning>),
    ) -> ToolOutput {
        let me = mycli::me(client, &session.access_token);
        let (email, username) = me.map_or((None, None), |me| (Some(me.email), me.username));
        let who = username.as_ref().or(email.as_ref()).map_or("you", String::as_str).to_owned();
        let fields = json!({ "email": email, "username": username });
        logged_in(self.engine, self.provider, self.output, stored, Some(&who), fields)
    }
}

fn wrong_code(client: &Client, error: &ApiError) -> Error {
    let failure = http::failed(client.base_url(), "check the code", error);
    match error.code() {
        "INVALID_CODE" => failure.with_hint("look at the newest mail; it has six digits"),
        // By its status it would be a rate limit, which passes.
        "TOO_MANY_ATTEMPTS" => Error { code: ErrorCode::Rejected, ..failure }
            .with_hint("start anew: `my-credential-helper login`"),
        _ => failure,
    }
}
