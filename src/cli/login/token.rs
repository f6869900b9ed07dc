//! `login` with a token that somebody brings: checked in form, then against the service, before anything is written.

use std::io::{BufRead as _, IsTerminal as _, Read as _};

use serde_json::json;

use super::Arguments;
use crate::auth::Engine;
use crate::cli::output::Output;
use crate::cli::terminal;
use crate::error::{Error, ErrorCode, Result};
use crate::http::{self, ApiError, Client, microtica, mycli};
use crate::model::{Kind, LoginKind, Provider, Secret, Session, Timestamp, ToolOutput};
use crate::store::session;

/// No token is longer.
const MOST: u64 = 64 * 1024;

/// The token that was brought: behind `--token`, on standard input, or typed without an echo. `None` where the login is
/// to go by email.
pub(super) fn brought(engine: &Engine<'_>, arguments: &Arguments) -> Result<Option<Secret>> {
    if let Some(token) = arguments.token.as_deref().filter(|token| !token.is_empty()) {
        return Ok(Some(Secret::new(token)));
    }
    if arguments.email.is_some() || arguments.code.is_some() || arguments.names_a_flow() {
        return Ok(None);
    }
    if !std::io::stdin().is_terminal() {
        return from_input();
    }
    let provider = engine.context.provider(None)?;
    if arguments.token.is_none() && provider.login.renews() {
        return Ok(None);
    }
    terminal::ask_secret(&format!("Token for {}:", provider.name)).map(Some)
}

/// The first line of standard input.
fn from_input() -> Result<Option<Secret>> {
    let mut line = zeroize::Zeroizing::new(String::with_capacity(1024));
    std::io::stdin()
        .lock()
        .take(MOST)
        .read_line(&mut line)
        .map_err(|_| Error::invalid("the token is not UTF-8"))?;
    let token = line.trim();
    Ok((!token.is_empty()).then(|| Secret::new(token)))
}

/// Logs in with a token.
pub(super) fn login(
    engine: &Engine<'_>,
    token: &Secret,
    force: bool,
    output: &Output,
) -> Result<ToolOutput> {
    let provider = provider_of(engine, token)?;
    check_form(&provider, token)?;
    may_replace(engine, &provider, token, force)?;
    let api_url = engine.context.api_url(&provider, None)?;
    let client = Client::new(engine.network, &provider, &api_url)?;
    let (who, verified) = match owner(&client, &provider, token) {
        Ok(who) => (who, true),
        // The form is right, and the place where its users look for a key must not depend on the network.
        Err(error) if error.is_passing() && matches!(provider.login, LoginKind::ApiKey(_)) => {
            output.note(format!(
                "the key is not verified: {} cannot be reached ({error})",
                provider.name
            ));
            (Owner::default(), false)
        }
        Err(error) => return Err(refused(&provider, &api_url, token, &error)),
    };
    let expires_at = who.expires_at.as_deref().and_then(Timestamp::parse);
    let session = Session::api_token(token.clone(), expires_at, engine.clock.now());
    super::point_at(engine, &provider, &api_url, output)?;
    let stored = engine.save_session(&provider, &session)?;
    let fields = json!({
        "kind": Kind::ApiToken.name(), "name": who.name, "verified": verified, "expires_at": who.expires_at,
    });
    Ok(super::logged_in(engine, &provider, output, stored, who.name.as_deref(), fields))
}

/// The provider that is named, else the one whose tokens begin so.
fn provider_of(engine: &Engine<'_>, token: &Secret) -> Result<Provider> {
    let configuration = engine.context.configuration()?;
    let is_named = engine.context.overrides.provider.is_some()
        || engine.context.environment.get("MY_PROVIDER").is_some();
    if !is_named {
        for name in configuration.names() {
            let provider = configuration.provider(name)?;
            let prefix = &*provider.token_prefix;
            if !prefix.is_empty() && token.expose_secret().starts_with(prefix) {
                return engine.context.provider(Some(name));
            }
        }
    }
    engine.context.provider(None)
}

fn check_form(provider: &Provider, token: &Secret) -> Result<()> {
    if provider.issues(token) {
        return Ok(());
    }
    let form = match (&*provider.token_prefix, provider.token_digits) {
        (prefix, Some(count)) => format!("`{prefix}` and {count} hex digits"),
        ("", None) => "printable characters without a space".to_owned(),
        (prefix, None) => format!("`{prefix}` and more"),
    };
    let hint = match provider.login {
        LoginKind::MagicLink => {
            "without a terminal, log in by email: `my-credential-helper login --email you@example.com`"
        }
        LoginKind::ApiKey(_) | LoginKind::OAuth(_) => {
            "copy the whole key; it is shown once, where it is made"
        }
    };
    Err(Error::invalid(format!("that is no token of {}: it would be {form}", provider.name))
        .with_hint(hint))
}

/// A session renews itself, and a token does not: replacing one by the other is asked for by name.
fn may_replace(
    engine: &Engine<'_>,
    provider: &Provider,
    token: &Secret,
    force: bool,
) -> Result<()> {
    let kept = session::load(&engine.stores, &provider.key).newest;
    let is_session = kept.is_some_and(|kept| {
        kept.session.refresh_token.is_some() && kept.session.access_token != *token
    });
    if is_session && !force {
        return Err(Error::invalid(format!(
            "already logged in to {} by a session",
            provider.title()
        ))
        .with_hint(
            "`--force` replaces it by the token; `my-credential-helper whoami` tells whose it is",
        ));
    }
    Ok(())
}

/// Whose a token is.
#[derive(Default)]
struct Owner {
    name: Option<String>,
    expires_at: Option<String>,
}

fn owner(client: &Client, provider: &Provider, token: &Secret) -> http::Result<Owner> {
    match &provider.login {
        LoginKind::MagicLink => mycli::me(client, token)
            .map(|me| Owner { name: me.username.or(Some(me.email)), expires_at: None }),
        LoginKind::ApiKey(Some(paths)) => {
            let key = microtica::whoami(client, paths, token)?;
            let name = key.key_name.map(|name| format!("the key `{name}`"));
            Ok(Owner { name, expires_at: key.expires_at })
        }
        LoginKind::ApiKey(None) | LoginKind::OAuth(_) => Ok(Owner::default()),
    }
}

fn refused(provider: &Provider, api_url: &str, token: &Secret, error: &ApiError) -> Error {
    if error.is_passing() {
        return http::failed(api_url, "check the token", error)
            .with_hint("nothing was saved; try again in a moment");
    }
    let prefix = microtica::key_prefix(token);
    Error::new(
        ErrorCode::Rejected,
        format!("{} does not accept the token {prefix}...: {error}", provider.name),
    )
    .with_hint(format!("nothing was saved; {} with a token that is in use", provider.login_hint()))
}
