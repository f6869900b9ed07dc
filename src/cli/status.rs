//! `status`: the state on this machine, and in a shared store, before any refresh. Only `--check` calls the service.

use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::json;

use crate::auth::Engine;
use crate::auth::fleet::SharedFacts;
use crate::cli::account::{self, Row};
use crate::cli::output::{Output, Report};
use crate::cli::whoami;
use crate::config::MyJson;
use crate::error::{Error, ErrorCode, Result, sanitize};
use crate::http::microtica;
use crate::http::vault::{self, Inspection};
use crate::model::{
    Kind, LoginKind, Provider, Secret, Session, Source, Timestamp, ToolOutput, jwt,
};
use crate::store::env::{self, Variable};
use crate::store::owner;
use crate::store::session::{LoadedSessions, StoredSession};
use crate::sys::atomic_file;

/// For everything that is read from a shared store together.
const SHARED_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  my-credential-helper status --check")]
pub(super) struct Arguments {
    /// Also check that the service is reachable and accepts the credential
    #[arg(long)]
    check: bool,
    /// Also show the profile and the catalog of the `my` command line
    #[arg(long, short)]
    verbose: bool,
}

pub(super) fn run(
    engine: &Engine<'_>,
    arguments: &Arguments,
    output: &Output,
) -> Result<ToolOutput> {
    engine.in_time(SHARED_TIMEOUT, |engine| show(engine, arguments, output))
}

fn show(engine: &Engine<'_>, arguments: &Arguments, output: &Output) -> Result<ToolOutput> {
    let provider = engine.context.provider(None)?;
    // The check comes first, since it may refresh the stored session.
    let checked = arguments.check.then(|| check(engine, &provider));
    let rejected = checked.as_ref().and_then(|outcome| outcome.as_ref().err());
    let rejected = rejected.filter(|error| error.code != ErrorCode::TemporarilyUnavailable);
    let (mut report, loaded) = local_status(engine, &provider, rejected, output)?;
    if provider.shares_with_my {
        add_profile(engine, &mut report, arguments.verbose)?;
    }
    let mut status = 0;
    if let Some(outcome) = checked {
        let outcome = outcome.unwrap_or_else(|error| {
            status = error.code.exit_status();
            error.message
        });
        report.add("service", "service", Some(outcome));
    }
    let names = engine.context.configuration()?.names();
    let rows = account::rows(engine, &names, Some((&provider.key, loaded)), output);
    report.field("accounts", rows.iter().map(|row| row.fields.clone()).collect::<Vec<_>>());
    let mut result = output.report(report);
    let is_shown = |row: &Row| row.provider.key == provider.key;
    if !output.json && rows.iter().any(|row| !is_shown(row)) {
        let cells = rows.into_iter().map(|row| row.cells).collect();
        let table = output.table(account::HEADINGS, cells, "", &json!({}));
        result.output.push('\n');
        result.output.push_str(&table.output);
    }
    Ok(ToolOutput { status, ..result })
}

#[derive(Default)]
struct InForce<'a> {
    /// `by the token in MY_API_TOKEN`; `None` for a session.
    how: Option<String>,
    source: Option<Source>,
    token: Option<(Secret, Kind)>,
    expires_at: Option<Timestamp>,
    stored: Option<&'a StoredSession>,
}

impl<'a> InForce<'a> {
    /// Also returns the state of the provider's variable. `job` is the source of an identity that is present.
    fn find(
        engine: &Engine<'_>,
        provider: &Provider,
        job: Option<&'static str>,
        loaded: &'a LoadedSessions,
    ) -> (Self, String) {
        let (name, now) = (&provider.token_variable, engine.clock.now());
        match env::read(&engine.context.environment, name, now) {
            Ok(Some(Variable { token, kind, expires_at })) => {
                let in_force = Self {
                    how: Some(format!("by the token in {name}")),
                    source: Some(Source::Environment),
                    token: Some((token, kind)),
                    expires_at,
                    stored: None,
                };
                return (in_force, "set, in effect".to_owned());
            }
            // An invalid variable precedes the session, too.
            Err(error) => return (Self::default(), error.message),
            Ok(None) => {}
        }
        let mut in_force = Self::default();
        if let Some(source) = job {
            in_force.how = Some(format!("by the identity of {source}"));
            in_force.source = Some(Source::Identity);
        } else if let Some(stored @ StoredSession { session, source }) = &loaded.newest {
            in_force.source = Some(*source);
            in_force.token = Some((session.access_token.clone(), session.kind()));
            // As `get` and `list` report it.
            in_force.expires_at = session.reported_expiry(now);
            in_force.stored = Some(stored);
        }
        (in_force, "not set".to_owned())
    }

    /// Row, field and value of each time of the credential.
    fn times(&self) -> [(&'static str, &'static str, Option<Timestamp>); 4] {
        let known = |time: &Timestamp| *time > Timestamp::ZERO;
        let session = self.stored.map(|stored| &stored.session);
        let logged_in_at = session.map(|session| session.logged_in_at).filter(known);
        // An API token is never refreshed.
        let refreshed = session.filter(|session| session.kind() == Kind::Session);
        let last_refreshed_at = refreshed.map(Session::received_at).filter(known);
        let session_expiry = session.and_then(Session::session_expiry);
        [
            ("since", "logged_in_at", logged_in_at),
            ("token expires", "expires_at", self.expires_at),
            ("last refreshed", "last_refreshed_at", last_refreshed_at),
            ("session expires", "session_ends_at", session_expiry),
        ]
    }
}

/// The credential in force and the state of the stores. `rejected` is the error of the service for the credential.
fn local_status(
    engine: &Engine<'_>,
    provider: &Provider,
    rejected: Option<&Error>,
    output: &Output,
) -> Result<(Report, LoadedSessions)> {
    let (context, now) = (&engine.context, engine.clock.now());
    let (loaded, shared) = engine.load_with_facts(provider);
    let facts = shared.as_ref().and_then(|found| found.as_ref().ok());
    output.warn(&loaded.trail.warnings);
    let identity = engine.identity_status(provider);
    let job =
        identity.as_ref().filter(|(_, is_present, _)| *is_present).map(|(source, ..)| *source);
    let (in_force, variable_state) = InForce::find(engine, provider, job, &loaded);

    let mut report = Report::default();
    report.add("provider", "provider", Some(provider.name.to_string()));
    report.field("account", &*provider.account);
    let has_others = !context.configuration()?.other_accounts(&provider.name).is_empty();
    if has_others || !provider.account.is_default() {
        report.row("account", provider.account.to_string());
    }
    report.add("api url", "api_url", Some(context.api_url(provider, None)?));
    add_login(engine, provider, &mut report, &in_force, facts, rejected)?;
    for (row, field, time) in in_force.times() {
        report.field(field, time.map(Timestamp::to_whole_seconds));
        if let Some(time) = time {
            report.row(row, format!("{} ({})", time.to_whole_seconds(), relative(time, now)));
        }
    }
    if let Some((source, is_present, state)) = &identity {
        report.row("identity", format!("{source}: {state}"));
        report
            .field("identity", json!({ "source": source, "present": is_present, "state": state }));
    }
    add_shared(&mut report, facts, now);
    if let Some(found) = &shared {
        add_vault(engine, provider, found, &mut report)?;
    }
    add_stores(&mut report, provider, variable_state, &loaded);
    Ok((report, loaded))
}

/// Who is logged in, by which credential, and why that is not accepted.
fn add_login(
    engine: &Engine<'_>,
    provider: &Provider,
    report: &mut Report,
    in_force: &InForce<'_>,
    shared: Option<&SharedFacts>,
    rejected: Option<&Error>,
) -> Result<()> {
    let (context, stored) = (&engine.context, in_force.stored);
    let location = match (shared, stored) {
        (Some(shared), Some(_)) => Some(shared.location.clone()),
        (_, stored) => stored.and_then(|it| engine.stores.get(it.source).location(&provider.key)),
    };
    let user =
        stored.and_then(|stored| owner::load(&context.paths, &provider.key, &stored.session));
    let describe = |it| describe_session(provider, it, user.as_deref(), location.as_deref());
    let how = in_force.how.clone().or_else(|| stored.map(describe));
    let has_expired = stored.is_some_and(|it| it.session.needs_login(provider, engine.clock.now()));
    let why_not = rejected.map(|error| error.message.clone());
    let why_not = why_not.or_else(|| has_expired.then(|| "expired".to_owned()));
    report.field("logged_in", how.is_some() && why_not.is_none());
    report.row(
        "logged in",
        match (how, why_not) {
            (None, _) => "no".to_owned(),
            (Some(how), None) => how,
            (Some(how), Some(why)) => format!("no ({why}), {how}"),
        },
    );
    let elsewhere = context.other_login_url(provider, None)?.filter(|_| stored.is_some());
    if let Some(url) = &elsewhere {
        report.row("logged in at", format!("{url}, which is not the current API URL"));
    }
    report.field("login_api_url", elsewhere);
    report.field("user", user);
    let token = in_force.token.as_ref();
    report.add("user id", "user_id", token.and_then(|(token, _)| jwt::claims(token).sub));
    report.field("kind", token.map(|(_, kind)| kind.name()));
    report.field("source", in_force.source.map(Source::name));
    report.field("location", location);
    Ok(())
}

fn add_stores(report: &mut Report, provider: &Provider, variable: String, loaded: &LoadedSessions) {
    let attempts = loaded.trail.attempts.iter();
    let attempts = attempts.map(|it| (it.subject.to_string(), it.outcome.to_string()));
    let variable = (provider.token_variable.to_string(), variable);
    let mut stores = Vec::new();
    for (name, state) in std::iter::once(variable).chain(attempts) {
        stores.push(json!({ "name": name, "state": state }));
        report.row(name, state);
    }
    report.field("stores", stores);
}

/// The record that other machines share.
fn add_shared(report: &mut Report, shared: Option<&SharedFacts>, now: Timestamp) {
    let Some(shared) = shared else { return };
    let SharedFacts { role, location, version, written_at, lease, rejected, .. } = shared;
    let holder = lease.as_ref().map(|lease| lease.holder.as_str());
    report.field(
        "shared",
        json!({
            "role": role.name(), "location": location, "version": version, "written_at": written_at,
            "lease": holder, "rejected": rejected,
        }),
    );
    let written = relative(*written_at, now);
    report.row("shared", format!("{location}, version {version}, written {written}"));
    report.row("role", role.name().to_owned());
    if let Some(holder) = holder {
        report.row("lease", format!("{} is refreshing the session", sanitize(holder)));
    }
    if let Some(reason) = rejected {
        report.row("rejected", format!("the service ended the session: {}", sanitize(reason)));
    }
}

/// The server that has a record, which was read before: how this machine logs in there, and whether it may do what it has
/// to.
pub(super) fn inspect(
    engine: &Engine<'_>,
    provider: &Provider,
    record: &Result<SharedFacts, ErrorCode>,
) -> Result<Inspection> {
    let version = match record {
        Ok(facts) => Some(facts.version),
        Err(ErrorCode::TemporarilyUnavailable) => None,
        Err(_) => Some(0),
    };
    engine.spend(SHARED_TIMEOUT, |timeout| {
        let deadline = Instant::now() + timeout;
        vault::inspect(engine.network, engine.clock, provider, deadline, version)
    })
}

fn add_vault(
    engine: &Engine<'_>,
    provider: &Provider,
    record: &Result<SharedFacts, ErrorCode>,
    report: &mut Report,
) -> Result<()> {
    let found = inspect(engine, provider, record)?;
    let policy = match found.mistakes.as_deref() {
        None => "not checked".to_owned(),
        Some([]) => "as needed".to_owned(),
        Some(mistakes) => {
            let mistakes: Vec<_> = mistakes.iter().map(|it| it.message.as_str()).collect();
            mistakes.join("; ")
        }
    };
    let (addresses, auth) = (found.addresses, found.auth);
    report.row("vault", format!("{}, login with {auth}", addresses.join(", ")));
    report.row("policy", &*policy);
    report.field("vault", json!({ "addresses": addresses, "auth": auth, "policy": policy }));
    Ok(())
}

/// `as me@acme.dev, by a session in the file: /home/me/.my/credentials.json`.
fn describe_session(
    provider: &Provider,
    StoredSession { session, source }: &StoredSession,
    user: Option<&str>,
    location: Option<&str>,
) -> String {
    let kind = match (session.kind(), &provider.login) {
        (Kind::Session, _) => "a session",
        (_, LoginKind::MagicLink) => "an API token",
        (_, LoginKind::ApiKey { .. }) => "a key",
        (_, LoginKind::OAuth(_)) => "a token",
    };
    let user = user.map_or_else(String::new, |user| format!("as {user}, "));
    let location = location.map_or_else(String::new, |location| format!(": {location}"));
    format!("{user}by {kind} in the {}{location}", source.name())
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

/// For a provider whose API has no request that returns the owner of a token or a key.
const NO_REQUEST: &str = "no request available";

/// Calls the service with the credential in force. Returns what the service accepts.
pub(super) fn check(engine: &Engine<'_>, provider: &Provider) -> Result<String> {
    let owner = match &provider.login {
        LoginKind::MagicLink => whoami::me(engine, provider)?.0.email,
        LoginKind::OAuth(oauth) => match whoami::userinfo(engine, provider, oauth)? {
            Some((user, _)) => user.name().unwrap_or_else(|| "an unnamed user".to_owned()),
            None => return Ok(NO_REQUEST.to_owned()),
        },
        LoginKind::ApiKey { is_microtica: true } => {
            let (key, _) = engine.call(provider, "look up the key", microtica::whoami)?;
            return Ok(format!("accepts the key `{}`", key.key_name.unwrap_or_default()));
        }
        LoginKind::ApiKey { is_microtica: false } => return Ok(NO_REQUEST.to_owned()),
    };
    Ok(format!("accepts the credential of {owner}"))
}

/// Adds the profile in force and its catalog, as `my` caches it. `MY_PROFILE` precedes `active_profile`, as in `my`.
fn add_profile(engine: &Engine<'_>, report: &mut Report, verbose: bool) -> Result<()> {
    let context = &engine.context;
    let configured = MyJson::load(&context.paths)?.active_profile;
    let configured = configured.filter(|profile| !profile.is_empty());
    let profile = context.environment.text("MY_PROFILE").or(configured);
    let profile = profile.unwrap_or_else(|| "default".to_owned());
    let Catalog { items, synced_at } = Catalog::load(engine, &profile).unwrap_or_default();
    let commands = items.len();
    report.field("catalog", json!({ "synced_at": synced_at, "commands": commands }));
    report.field("active_profile", &*profile);
    if verbose {
        report.row("profile", profile);
        report.row("last sync", synced_at.unwrap_or_else(|| "never".to_owned()));
        report.row("commands", commands.to_string());
    }
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
