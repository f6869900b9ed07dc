//! `logout`: revokes the session at the service if it can be reached, and deletes it from every store.

use std::time::Duration;

use serde_json::json;

use crate::auth::Engine;
use crate::cli::login::{Pending, warn_about_variable};
use crate::cli::output::Output;
use crate::error::{Error, ErrorCode, Result};
use crate::http::oauth::{Description, Service};
use crate::http::{self, Client, mycli};
use crate::model::{Kind, LoginKind, OffReason, Provider, Session, Source, ToolOutput};
use crate::store::session::{LoadedSessions, StoredSession};

/// For the sessions of all accounts in a shared store together.
const TIMEOUT: Duration = Duration::from_secs(60);

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  my-credential-helper logout --account work\n  my-credential-helper logout --all"
)]
pub(super) struct Arguments {
    /// Log out of every provider and account
    #[arg(long)]
    all: bool,
}

pub(super) fn run(
    engine: &Engine<'_>,
    arguments: &Arguments,
    output: &Output,
) -> Result<ToolOutput> {
    if !arguments.all {
        return logout(engine, &engine.context.provider(None)?, output);
    }
    engine.in_time(TIMEOUT, |engine| log_out_of_all(engine, output))
}

fn log_out_of_all(engine: &Engine<'_>, output: &Output) -> Result<ToolOutput> {
    let configuration = engine.context.configuration()?;
    let mut results = Vec::new();
    for name in configuration.names() {
        // A provider that is misconfigured, or whose store fails, must not prevent the logout of the others.
        match engine.accounts(name) {
            Ok(accounts) => {
                results.extend(accounts.iter().map(|provider| logout(engine, provider, output)));
            }
            Err(error) => results.push(Err(error)),
        }
    }
    // The failures are last, and the first one decides the exit status.
    results.sort_by_key(Result::is_err);
    let mut all = ToolOutput::default();
    for result in results {
        let next = result.unwrap_or_else(|error| output.failure(&error));
        all.output.push_str(&next.output);
        all.messages.push_str(&next.messages);
        all.status = if all.status == 0 { next.status } else { all.status };
    }
    Ok(all)
}

fn logout(engine: &Engine<'_>, provider: &Provider, output: &Output) -> Result<ToolOutput> {
    if let Some(session) = engine.take_identity(provider, None) {
        return Ok(end_job(engine, provider, &session, output));
    }
    let own = provider.of_this_machine();
    let (stored, keyring) = session(engine, provider, &own)?;
    let is_oauth = matches!(provider.login, LoginKind::OAuth(_));
    let revocable =
        stored.as_ref().filter(|stored| is_oauth || stored.session.refresh_token.is_some());
    // Deleted after any response of the service: a revoked session would be reported as logged in.
    let revoked = revocable.map(|stored| revoke(engine, provider, stored));
    Pending::forget_account(engine, provider);
    let was_logged_in = engine.forget_session(&own, None)? || stored.is_some();
    let warning = engine.unregister_account(provider)?;
    let fields = json!({
        "provider": provider.name, "account": &*provider.account, "logged_out": was_logged_in,
        "revoked": matches!(revoked, Some(Ok(()))),
    });
    let sentence = if was_logged_in { "Logged out of" } else { "Not logged in to" };
    let sentence = format!("{sentence} {}.", provider.title());
    match (revoked, &stored) {
        (Some(Err(cause)), _) => {
            let rest = still_open(provider);
            output.note(format!("could not revoke the session on the service: {cause}; {rest}"));
        }
        (None, Some(stored)) if stored.session.kind() == Kind::ApiToken => {
            output.note(still_valid(provider));
        }
        _ => {}
    }
    if let Some(reason) = keyring.filter(|_| !was_logged_in) {
        output.note(format!(
            "the keyring was not searched ({reason}); a session in it is deleted by the next command that reaches it"
        ));
    }
    output.warn(&warning);
    warn_about_variable(engine, provider, output);
    Ok(output.done(&sentence, &fields))
}

/// The session to revoke, and why the keyring was not searched. A shared session has ended for the other machines.
fn session(
    engine: &Engine<'_>,
    provider: &Provider,
    own: &Provider,
) -> Result<(Option<StoredSession>, Option<OffReason>)> {
    let Some(settings) = &provider.shared else {
        let LoadedSessions { newest, trail, .. } = engine.load(provider);
        return Ok((newest, trail.keyring_out_of_reach().cloned()));
    };
    // Of before the shared store.
    if let Some(stored) = engine.load(own).newest {
        let _ = revoke(engine, own, &stored);
    }
    // The other machines must not refresh what is revoked.
    let ended = engine.log_out_shared(provider, settings)?;
    Ok((ended.map(|session| StoredSession { session, source: Source::Vault }), None))
}

/// The token of a job is deleted already.
fn end_job(
    engine: &Engine<'_>,
    provider: &Provider,
    session: &Session,
    output: &Output,
) -> ToolOutput {
    let revoked = retry(engine, || http::revoke_identity(engine.network, provider, session));
    if let Err(cause) = &revoked {
        output.note(format!(
            "could not revoke the token on the service: {cause}; it stays valid there until it expires"
        ));
    }
    let fields = json!({
        "provider": provider.name, "account": &*provider.account, "logged_out": true,
        "revoked": matches!(revoked, Ok(true)),
    });
    output.done(&format!("Deleted the token of this job at {}.", provider.title()), &fields)
}

/// The note for a token that a person provided: `logout` does not revoke it, since it may be in use elsewhere.
fn still_valid(provider: &Provider) -> String {
    match provider.login {
        LoginKind::MagicLink => format!(
            "the API token is still valid; to revoke it, log in by email and run `{}`",
            provider.command("token revoke ID|NAME")
        ),
        LoginKind::ApiKey { .. } | LoginKind::OAuth(_) => {
            format!("the key is still valid; revoke it at {}, where it was created", provider.name)
        }
    }
}

/// The consequence of a session that was not revoked.
fn still_open(provider: &Provider) -> String {
    let name = &provider.name;
    match &provider.login {
        LoginKind::OAuth(oauth) => match oauth.grants_page() {
            Some(page) => format!(
                "it stays valid there until it expires; to end it now, revoke the authorization at {page}"
            ),
            None => format!("it stays valid there until it expires or {name} revokes it"),
        },
        LoginKind::MagicLink | LoginKind::ApiKey { .. } => format!(
            "it stays valid there until it expires; after another login, run `{}` and `session revoke ID` to revoke it",
            provider.command("session list")
        ),
    }
}

/// The time for repeated requests to a service with a rate limit.
const RETRY_TIMEOUT: Duration = Duration::from_secs(4);

/// Repeats a request that exceeded the rate limit, since people do not repeat a logout.
fn retry<T>(engine: &Engine<'_>, request: impl Fn() -> http::Result<T>) -> http::Result<T> {
    let deadline = engine.clock.instant() + RETRY_TIMEOUT;
    loop {
        let error = match request() {
            Err(error) if error.status() == Some(429) => error,
            result => return result,
        };
        let delay = Duration::from_secs(error.retry_after().unwrap_or(1).max(1));
        if engine.clock.instant() + delay > deadline {
            return Err(error);
        }
        engine.clock.sleep(delay);
    }
}

/// Refreshes an expired session first: the service requires a valid access token to revoke the refresh token.
fn revoke(engine: &Engine<'_>, provider: &Provider, stored: &StoredSession) -> Result<(), String> {
    let message = |error: Error| error.message;
    if let LoginKind::OAuth(oauth) = &provider.login {
        let service =
            Service::new(engine.network, provider, oauth, Description::Stored).map_err(message)?;
        let revoked = retry(engine, || service.revoke(&stored.session));
        return revoked.map_err(|error| error.to_string());
    }
    let api_url = engine.context.configured_api_url(provider).map_err(message)?;
    let client = Client::new(engine.network, provider, &api_url).map_err(message)?;
    let revoke = |session: &Session| retry(engine, || revoke_mycli(&client, session));
    match revoke(&stored.session) {
        Err(error) if error.status() == Some(401) => {}
        result => return result.map_err(|error| error.to_string()),
    }
    match engine.refresh_now(provider, stored) {
        Ok(stored) => revoke(&stored.session).map_err(|error| error.to_string()),
        Err(error) if error.code == ErrorCode::SessionExpired => Ok(()),
        Err(error) => Err(error.message),
    }
}

fn revoke_mycli(client: &Client, session: &Session) -> http::Result<()> {
    let Some(refresh_token) = &session.refresh_token else { return Ok(()) };
    match mycli::logout(client, &session.access_token, refresh_token) {
        Err(error) if mycli::ends_session(&error) => Ok(()),
        result => result,
    }
}
