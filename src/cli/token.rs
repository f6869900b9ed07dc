//! `token`: creates, lists and revokes API tokens. The service requires a session for that.

use std::cell::Cell;

use clap::Subcommand;
use serde_json::json;

use crate::auth::Engine;
use crate::cli::output::{Output, or};
use crate::cli::{magic_link_provider, session, terminal};
use crate::error::{Error, ErrorCode, Result, sanitize};
use crate::http::mycli::{self, ApiToken, Code, NewApiToken};
use crate::model::{Provider, ToolOutput};

#[derive(Subcommand)]
pub(super) enum Command {
    /// Create an API token; the token is printed only once
    #[command(
        after_help = "Examples:\n  my-credential-helper token create ci --expires-in 90d\n  \
                            MY_API_TOKEN=$(my-credential-helper token create ci --quiet) ./build.sh"
    )]
    Create {
        /// The name of the token, at most 100 bytes
        name: String,
        /// Lifetime, for example 90d, 12h or 1y [default: never expires]
        #[arg(long, value_name = "SPAN")]
        expires_in: Option<String>,
        /// The only profile whose catalog the token may read
        #[arg(long, value_name = "SLUG")]
        profile: Option<String>,
    },
    /// List the API tokens, without their secrets
    #[command(after_help = "Examples:\n  my-credential-helper token list")]
    List,
    /// Revoke an API token
    #[command(after_help = "Examples:\n  my-credential-helper token revoke ci")]
    Revoke {
        /// The id or the name of the token
        #[arg(value_name = "ID|NAME")]
        token: String,
        /// Do not prompt for confirmation
        #[arg(long, short, alias = "force")]
        yes: bool,
    },
}

pub(super) fn run(engine: &Engine<'_>, command: &Command, output: &Output) -> Result<ToolOutput> {
    let provider = magic_link_provider(engine)?;
    match command {
        Command::Create { name, expires_in, profile } => {
            create(engine, &provider, output, name, expires_in.as_deref(), profile.as_deref())
        }
        Command::List => list(engine, &provider, output),
        Command::Revoke { token, yes } => revoke(engine, &provider, output, token, *yes),
    }
}

fn create(
    engine: &Engine<'_>,
    provider: &Provider,
    output: &Output,
    name: &str,
    expires_in: Option<&str>,
    profile: Option<&str>,
) -> Result<ToolOutput> {
    expires_in.map(check_lifetime).transpose()?;
    let profile_id = profile.map(|slug| profile_id(engine, provider, slug)).transpose()?;
    let code = Cell::new(None);
    let created = engine.call_with_session(provider, "create the token", |client, token| {
        mycli::create_token(client, token, name, expires_in, profile_id.as_deref())
            .inspect_err(|error| code.set(error.code()))
    });
    let NewApiToken { token, description } =
        created.map_err(|error| with_hint(provider, error, code.get()))?;
    if output.quiet && !output.json {
        return Ok(ToolOutput::success(format!("{}\n", token.expose_secret())));
    }
    let ApiToken { id, name, token_prefix, profile_id, expires_at, created_at, last_used_at: _ } =
        description;
    let expiry = expires_at
        .as_deref()
        .map_or("does not expire".to_owned(), |time| format!("expires {time}"));
    let sentence = format!(
        "Created token `{name}`, which {expiry}. The token is shown only once:\n\n  {}\n\nPass it to a job as {}. \
         To revoke it, run `{}`.",
        token.expose_secret(),
        provider.token_variable,
        provider.command(&format!("token revoke {}", sanitize(&id))),
        name = sanitize(&name),
        expiry = sanitize(&expiry),
    );
    let fields = json!({
        "token": token.expose_secret(), "id": id, "name": name, "token_prefix": token_prefix,
        "profile_id": profile_id, "expires_at": expires_at, "created_at": created_at,
    });
    Ok(output.done(&sentence, &fields))
}

/// The longest lifetime of a token, in hours: 100 years.
const MAX_LIFETIME: u64 = 100 * 365 * 24;

/// Rejects a lifetime that the service accepts for a token that is then expired: `0d`, `-1d`, beyond its calendar.
fn check_lifetime(text: &str) -> Result<()> {
    let hours = [('h', 1), ('d', 24), ('y', 365 * 24)].into_iter().find_map(|(unit, hours)| {
        let digits = text.strip_suffix(unit)?;
        // `parse` accepts a sign.
        let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse::<u64>().ok().filter(|_| is_number)?.checked_mul(hours)
    });
    if hours.is_some_and(|hours| (1..=MAX_LIFETIME).contains(&hours)) {
        return Ok(());
    }
    let message = format!("`{}` is not a valid lifetime of a token", sanitize(text));
    let hint = "use a lifetime from 1h to 100y, such as `--expires-in 30d`, `12h` or `1y`";
    Err(Error::invalid(message).with_hint(hint))
}

fn profile_id(engine: &Engine<'_>, provider: &Provider, slug: &str) -> Result<String> {
    let code = Cell::new(None);
    let profiles = engine.call_with_session(provider, "look up the profile", |client, token| {
        mycli::profiles(client, token).inspect_err(|error| code.set(error.code()))
    });
    let mut profiles =
        profiles.map_err(|error| with_hint(provider, error, code.get()))?.into_iter();
    profiles.find(|profile| profile.slug == slug).map(|profile| profile.id).ok_or_else(|| {
        Error::new(ErrorCode::NotFound, format!("unknown profile `{}`", sanitize(slug)))
            .with_hint("use the profile's slug as `my` shows it")
    })
}

fn with_hint(provider: &Provider, error: Error, code: Option<Code>) -> Error {
    match code {
        Some(Code::TokenLimitReached) => error.with_hint(format!(
            "run `{}`, and revoke a token with `token revoke`",
            provider.command("token list")
        )),
        Some(Code::UsernameRequired) => error.with_hint(format!(
            "run `{}` to choose a user name",
            provider.command("login --force --username NAME")
        )),
        Some(Code::InvalidRequest) => error.with_hint(
            "use a name of 1 to 100 bytes (a character outside ASCII has several), and a lifetime such as \
             `--expires-in 30d`, `12h` or `1y`",
        ),
        _ => error,
    }
}

fn list(engine: &Engine<'_>, provider: &Provider, output: &Output) -> Result<ToolOutput> {
    let tokens = engine.call_with_session(provider, "list the tokens", mycli::tokens)?;
    let row = |token: &ApiToken| {
        let ApiToken { id, name, token_prefix, last_used_at, expires_at, .. } = token;
        let times = [last_used_at, expires_at].map(|time| or(time.as_ref(), "never"));
        let [last_used, expires] = times;
        [id.clone(), name.clone(), token_prefix.clone(), last_used, expires]
    };
    let rows = tokens.iter().map(row).collect();
    let headings = ["ID", "NAME", "PREFIX", "LAST USED", "EXPIRES"];
    Ok(output.table(headings, rows, "No API tokens.", &json!({ "tokens": tokens })))
}

fn revoke(
    engine: &Engine<'_>,
    provider: &Provider,
    output: &Output,
    which: &str,
    yes: bool,
) -> Result<ToolOutput> {
    let tokens = engine.call_with_session(provider, "list the tokens", mycli::tokens)?;
    let ApiToken { id, name, token_prefix, .. } = find(provider, &tokens, which)?;
    let label = format!("`{}` ({})", sanitize(name), sanitize(token_prefix));
    if !yes && !terminal::confirm(&format!("Revoke the token {label}?"))? {
        return Err(Error::invalid("not confirmed; no token was revoked"));
    }
    engine.call_with_session(provider, "revoke the token", |client, token| {
        session::allow_missing(mycli::revoke_token(client, token, id))
    })?;
    let fields = json!({ "revoked": true, "id": id, "name": name, "token_prefix": token_prefix });
    Ok(output.done(&format!("Revoked the token {label}."), &fields))
}

/// The token with this id, else the only token with this name.
fn find<'a>(provider: &Provider, tokens: &'a [ApiToken], which: &str) -> Result<&'a ApiToken> {
    let list = provider.command("token list");
    if let Some(token) = tokens.iter().find(|token| token.id == which) {
        return Ok(token);
    }
    let mut named = tokens.iter().filter(|token| token.name == which);
    match (named.next(), named.next()) {
        (Some(token), None) => Ok(token),
        (Some(_), Some(_)) => {
            Err(Error::invalid(format!("several tokens are named `{}`", sanitize(which)))
                .with_hint(format!("use the id of the token; run `{list}`")))
        }
        (None, _) => {
            Err(Error::new(ErrorCode::NotFound, format!("unknown token `{}`", sanitize(which)))
                .with_hint(format!("run `{list}` for the list of tokens")))
        }
    }
}
