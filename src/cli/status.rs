//! `status`: the state on this machine, as it is before any refresh. Calls the service only with `--check`.

use serde::Deserialize;
use serde_json::json;

use crate::auth::Engine;
use crate::cli::output::{Output, Report};
use crate::cli::whoami;
use crate::config::MyJson;
use crate::error::Result;
use crate::http::microtica;
use crate::model::{Kind, LoginKind, Provider, Session, Source, Timestamp, ToolOutput, jwt};
use crate::store::env;
use crate::store::session::{self, StoredSession};
use crate::sys::atomic_file;

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  my-credential-helper status --check")]
pub(super) struct Arguments {
    /// Also check that the service is reachable and accepts the credential
    #[arg(long)]
    check: bool,
}

pub(super) fn run(
    engine: &Engine<'_>,
    arguments: &Arguments,
    output: &Output,
) -> Result<ToolOutput> {
    let provider = engine.context.provider(None)?;
    let mut report = local_status(engine, &provider, output)?;
    let mut status = 0;
    if arguments.check {
        let outcome = check(engine, &provider).unwrap_or_else(|error| {
            status = error.code.exit_status();
            error.message
        });
        report.add("service", "service", Some(outcome));
    }
    Ok(ToolOutput { status, ..output.report(report) })
}

fn local_status(engine: &Engine<'_>, provider: &Provider, output: &Output) -> Result<Report> {
    let (context, now) = (&engine.context, engine.clock.now());
    let loaded = session::load(&engine.stores, &provider.key);
    output.warn(&loaded.trail.warnings);
    let stored = loaded.newest.as_ref();
    let variable = provider.token_variable.to_string();
    let (variable_state, variable_is_set) = match env::read(&context.environment, &variable, now) {
        Ok(None) => ("not set".to_owned(), false),
        Ok(Some(_)) => ("set, in effect".to_owned(), true),
        Err(error) => (error.message, true),
    };
    let identity = engine.identity_status(provider);
    let has_identity = identity.as_ref().filter(|(_, is_present, _)| *is_present);
    let source = stored.map(|stored| stored.source);
    let location = source.and_then(|source| engine.stores.get(source).location(&provider.key));

    let mut report = Report::default();
    report.add("provider", "provider", Some(provider.name.to_string()));
    report.field("account", &*provider.account);
    let has_others = !context.configuration()?.other_accounts(&provider.name).is_empty();
    if has_others || !provider.account.is_default() {
        report.row("account", provider.account.to_string());
    }
    report.add("api url", "api_url", Some(context.api_url(provider, None)?));
    report.field("logged_in", variable_is_set || has_identity.is_some() || stored.is_some());
    report.row(
        "logged in",
        match stored {
            _ if variable_is_set => format!("by the token in {variable}"),
            _ if let Some((source, ..)) = has_identity => format!("by the identity of {source}"),
            Some(stored) => describe_session(provider, stored, location.as_deref(), now),
            None => "no".to_owned(),
        },
    );
    let elsewhere = context.other_login_url(provider, None)?.filter(|_| stored.is_some());
    if let Some(url) = &elsewhere {
        report.row("logged in at", format!("{url}, which is not the current API URL"));
    }
    report.field("login_api_url", elsewhere);
    let session = stored.map(|stored| &stored.session);
    let user_id = session.and_then(|session| jwt::claims(&session.access_token).sub);
    report.add("user id", "user_id", user_id);
    report.field("kind", session.map(|session| session.kind().name()));
    let source = if has_identity.is_some() { Some(Source::Identity) } else { source };
    let source = if variable_is_set { Some(Source::Environment) } else { source };
    report.field("source", source.map(Source::name));
    report.field("location", location);
    for (row, field, time) in times(session, now) {
        report.field(field, time.map(Timestamp::to_whole_seconds));
        if let Some(time) = time {
            report.row(row, format!("{} ({})", time.to_whole_seconds(), relative(time, now)));
        }
    }
    if provider.shares_with_my {
        add_profile(engine, &mut report)?;
    }
    if let Some((source, is_present, state)) = &identity {
        report.row("identity", format!("{source}: {state}"));
        let fields = json!({ "source": source, "present": is_present, "state": state });
        report.field("identity", fields);
    }
    let attempts = loaded.trail.attempts.iter();
    let attempts =
        attempts.map(|attempt| (attempt.subject.to_string(), attempt.outcome.to_string()));
    let mut stores = Vec::new();
    for (name, state) in std::iter::once((variable, variable_state)).chain(attempts) {
        stores.push(json!({ "name": name, "state": state }));
        report.row(name, state);
    }
    report.field("stores", stores);
    Ok(report)
}

fn describe_session(
    provider: &Provider,
    StoredSession { session, source }: &StoredSession,
    location: Option<&str>,
    now: Timestamp,
) -> String {
    let kind = match (session.kind(), &provider.login) {
        (Kind::Session, _) => "a session",
        (_, LoginKind::MagicLink) => "an API token",
        (_, LoginKind::ApiKey(_)) => "a key",
        (_, LoginKind::OAuth(_)) => "a token",
    };
    let is_expired = session.refresh_token.is_none() && session.is_expired(now);
    let expired = if is_expired { " (expired)" } else { "" };
    let location = location.map_or_else(String::new, |location| format!(": {location}"));
    format!("by {kind}{expired} in the {}{location}", source.name())
}

/// Row, field and value of each time that is known of a session.
fn times(
    session: Option<&Session>,
    now: Timestamp,
) -> [(&'static str, &'static str, Option<Timestamp>); 4] {
    let known = |time: &Timestamp| *time > Timestamp::ZERO;
    let logged_in_at = session.map(|session| session.logged_in_at).filter(known);
    // As `get` and `list` report it.
    let expires_at = session.and_then(|session| session.reported_expiry(now));
    // An API token is never refreshed.
    let refreshed = session.filter(|session| session.kind() == Kind::Session);
    let last_refreshed_at = refreshed.map(Session::received_at).filter(known);
    let refresh_token = session.and_then(|session| session.refresh_token.as_ref());
    let session_expiry = refresh_token.and_then(|token| jwt::claims(token).exp);
    [
        ("since", "logged_in_at", logged_in_at),
        ("token expires", "expires_at", expires_at),
        ("last refreshed", "last_refreshed_at", last_refreshed_at),
        ("session expires", "session_ends_at", session_expiry.map(Timestamp::from_unix)),
    ]
}

/// `in 14 min`, `3 d ago`.
fn relative(time: Timestamp, now: Timestamp) -> String {
    let difference = time.since(now);
    let seconds = difference.whole_seconds().unsigned_abs();
    let amount = match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} min", seconds / 60),
        7200..=172_799 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    };
    if difference.is_negative() { format!("{amount} ago") } else { format!("in {amount}") }
}

/// Calls the service with the credential in force.
fn check(engine: &Engine<'_>, provider: &Provider) -> Result<String> {
    let owner = match &provider.login {
        LoginKind::MagicLink => whoami::me(engine, provider)?.0.email,
        LoginKind::OAuth(oauth) => {
            let (user, _) = whoami::userinfo(engine, provider, oauth)?;
            user.name().unwrap_or_else(|| "an unnamed user".to_owned())
        }
        LoginKind::ApiKey(Some(paths)) => {
            let (key, _) = engine.call(provider, "look up the key", |client, key| {
                microtica::whoami(client, paths, key)
            })?;
            return Ok(format!("accepts the key `{}`", key.key_name.unwrap_or_default()));
        }
        LoginKind::ApiKey(None) => return Ok("no request available".to_owned()),
    };
    Ok(format!("accepts the credential of {owner}"))
}

/// Adds the profile in force and what the `my` command line has cached of it. `MY_PROFILE` precedes `active_profile`, as
/// in `my`.
fn add_profile(engine: &Engine<'_>, report: &mut Report) -> Result<()> {
    let context = &engine.context;
    let configured = MyJson::load(&context.paths)?.active_profile;
    let configured = configured.filter(|profile| !profile.is_empty());
    let profile = context.environment.text("MY_PROFILE").or(configured);
    let profile = profile.unwrap_or_else(|| "default".to_owned());
    let Catalog { items, synced_at } = Catalog::load(engine, &profile).unwrap_or_default();
    let commands = items.len();
    report.field("catalog", json!({ "synced_at": synced_at, "commands": commands }));
    report.add("profile", "active_profile", Some(profile));
    report.row("last sync", synced_at.unwrap_or_else(|| "never".to_owned()));
    report.row("commands", commands.to_string());
    Ok(())
}

/// A file of `my`, read and never written.
#[derive(Default, Deserialize)]
struct Catalog {
    #[serde(default)]
    items: Vec<serde::de::IgnoredAny>,
    #[serde(default)]
    synced_at: Option<String>,
}

impl Catalog {
    fn load(engine: &Engine<'_>, profile: &str) -> Option<Self> {
        if profile.contains(['/', '\\']) || profile.starts_with('.') {
            return None;
        }
        let file = format!(".my/cache/profiles/{profile}/catalog.json");
        let path = engine.context.paths.in_home(&file).ok()?;
        let contents = atomic_file::read(&path).ok()??;
        serde_json::from_str(contents.text.expose_secret()).ok()
    }
}
