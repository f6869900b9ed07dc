//! `status`: what is known here, as it is before any refresh. Asks no service.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::auth::Engine;
use crate::cli::output::Output;
use crate::config::MyJson;
use crate::error::Result;
use crate::http::{microtica, mycli};
use crate::model::{Kind, LoginKind, Provider, Source, Timestamp, ToolOutput, jwt};
use crate::store::env;
use crate::store::session::{self, StoredSession};
use crate::sys::atomic_file;

/// What `status` takes.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  my-credential-helper status --check")]
pub(super) struct Arguments {
    /// Ask the service too whether it can be reached and accepts the credential
    #[arg(long)]
    check: bool,
}

pub(super) fn run(
    engine: &Engine<'_>,
    arguments: &Arguments,
    output: &Output,
) -> Result<ToolOutput> {
    let status = Status::of(engine, output)?;
    let check = if arguments.check { Some(Check::of(engine, &status.provider)) } else { None };
    let (mut rows, mut fields) = (status.rows(), status.fields());
    if let Some(Check { outcome, .. }) = &check {
        rows.push(("service", outcome.clone()));
        fields["service"] = outcome.as_str().into();
    }
    let mut answer = output.rows(&rows, &fields);
    answer.status = check.map_or(0, |check| check.status);
    Ok(answer)
}

struct Status {
    provider: Provider,
    /// How many further accounts the provider has.
    others: usize,
    api_url: String,
    /// Where the session is logged in, if that is not the URL in force.
    elsewhere: Option<String>,
    /// The token variable is set.
    by_variable: bool,
    login: Login,
    /// What only mycli has.
    profile: Option<(String, Catalog)>,
    /// Each place with what it says.
    stores: Vec<(String, String)>,
    now: Timestamp,
}

impl Status {
    fn of(engine: &Engine<'_>, output: &Output) -> Result<Self> {
        let (provider, now) = (engine.context.provider(None)?, engine.clock.now());
        let loaded = session::load(&engine.stores, &provider.key);
        output.warn(&loaded.trail.warnings);
        let (state, by_variable) =
            match env::read(&engine.context.environment, &provider.token_variable, now) {
                Ok(None) => ("not set".to_owned(), false),
                Ok(Some(_)) => ("set, and in effect".to_owned(), true),
                Err(error) => (error.message, true),
            };
        let places = loaded
            .trail
            .attempts
            .iter()
            .map(|attempt| (attempt.subject.to_string(), attempt.outcome.to_string()));
        let profile = (provider.shares_with_my).then(|| profile(engine)).transpose()?;
        let elsewhere = engine
            .context
            .logged_in_elsewhere(&provider, None)?
            .filter(|_| loaded.newest.is_some());
        Ok(Self {
            api_url: engine.context.api_url(&provider, None)?,
            elsewhere,
            by_variable,
            login: loaded
                .newest
                .as_ref()
                .map_or_else(Login::none, |kept| Login::of(engine, &provider, kept, now)),
            others: engine.context.configuration()?.further_accounts(&provider.name).len(),
            profile: profile.map(|profile| (profile.clone(), Catalog::of(engine, &profile))),
            stores: std::iter::once((provider.token_variable.to_string(), state))
                .chain(places)
                .collect(),
            provider,
            now,
        })
    }

    fn rows(&self) -> Vec<(&str, String)> {
        let by_variable = || format!("by the token in {}", self.provider.token_variable);
        let state = if self.by_variable { by_variable() } else { self.login.state.clone() };
        let mut rows = vec![("provider", self.provider.name.to_string())];
        if self.others > 0 || !self.provider.account.is_default() {
            rows.push(("account", self.provider.account.to_string()));
        }
        rows.extend([("api url", self.api_url.clone()), ("logged in", state)]);
        if let Some(elsewhere) = &self.elsewhere {
            rows.push(("logged in at", format!("{elsewhere}, which is not the API URL in force")));
        }
        rows.extend(self.login.user_id.iter().map(|id| ("user id", id.clone())));
        rows.extend(self.login.rows(self.now));
        if let Some((profile, Catalog { synced_at, commands })) = &self.profile {
            rows.push(("profile", profile.clone()));
            rows.push(("last sync", synced_at.clone().unwrap_or_else(|| "never".to_owned())));
            rows.push(("commands", commands.to_string()));
        }
        rows.extend(self.stores.iter().map(|(place, outcome)| (place.as_str(), outcome.clone())));
        rows
    }

    fn fields(&self) -> Value {
        let Login {
            state: _,
            kind,
            source,
            location,
            expires_at,
            logged_in_at,
            last_refreshed_at,
            session_ends_at,
            user_id,
        } = &self.login;
        let time = |time: &Option<Timestamp>| time.map(Timestamp::to_whole_seconds);
        let mut fields = json!({
            "provider": self.provider.name,
            "account": &*self.provider.account,
            "api_url": self.api_url,
            "logged_in": self.by_variable || source.is_some(),
            "login_api_url": self.elsewhere,
            "user_id": user_id,
            "kind": kind.map(Kind::name),
            "source": if self.by_variable { Some("env") } else { source.map(Source::name) },
            "location": location,
            "expires_at": time(expires_at),
            "logged_in_at": time(logged_in_at),
            "last_refreshed_at": time(last_refreshed_at),
            "session_ends_at": time(session_ends_at),
            "stores": self.stores.iter().map(|(name, state)| json!({ "name": name, "state": state })).collect::<Vec<_>>(),
        });
        if let Some((profile, Catalog { synced_at, commands })) = &self.profile {
            fields["active_profile"] = profile.as_str().into();
            fields["catalog"] = json!({ "synced_at": synced_at, "commands": commands });
        }
        fields
    }
}

/// What the service says.
struct Check {
    outcome: String,
    status: u8,
}

impl Check {
    fn of(engine: &Engine<'_>, provider: &Provider) -> Self {
        let asked = match &provider.login {
            LoginKind::MagicLink => engine
                .call(provider, "ask who is logged in", mycli::me)
                .map(|(me, _)| format!("accepts the credential, of {}", me.email)),
            LoginKind::ApiKey(Some(paths)) => engine
                .call(provider, "ask whose key it is", |client, key| {
                    microtica::whoami(client, paths, key)
                })
                .map(|(key, _)| format!("accepts the key `{}`", key.key_name.unwrap_or_default())),
            LoginKind::OAuth(oauth) => {
                crate::cli::whoami::userinfo(engine, provider, oauth).map(|(who, _)| {
                    format!(
                        "accepts the credential, of {}",
                        who.name().unwrap_or_else(|| "somebody".to_owned())
                    )
                })
            }
            LoginKind::ApiKey(None) => Ok("cannot be asked".to_owned()),
        };
        match asked {
            Ok(outcome) => Self { outcome, status: 0 },
            Err(error) => Self { outcome: error.message, status: error.code.exit_status() },
        }
    }
}

/// What a kept session tells.
#[derive(Default)]
struct Login {
    state: String,
    kind: Option<Kind>,
    source: Option<Source>,
    /// The item or the path, for people.
    location: Option<String>,
    expires_at: Option<Timestamp>,
    logged_in_at: Option<Timestamp>,
    /// Of a session: nothing else is refreshed.
    last_refreshed_at: Option<Timestamp>,
    session_ends_at: Option<Timestamp>,
    user_id: Option<String>,
}

impl Login {
    fn none() -> Self {
        Self { state: "no".to_owned(), ..Self::default() }
    }

    fn of(
        engine: &Engine<'_>,
        provider: &Provider,
        StoredSession { session, source }: &StoredSession,
        now: Timestamp,
    ) -> Self {
        let is_session = session.kind() == Kind::Session;
        let how = match (is_session, &provider.login) {
            (true, _) => "a session",
            (false, LoginKind::MagicLink) => "an API token",
            (false, LoginKind::ApiKey(_)) => "a key",
            (false, LoginKind::OAuth(_)) => "a token",
        };
        let location = engine.stores.get(*source).location(&provider.key);
        let place = location.as_ref().map_or_else(String::new, |location| format!(": {location}"));
        let ended = if session.refresh_token.is_none() && session.is_expired(now) {
            ", which has ended,"
        } else {
            ""
        };
        let known = |time: Timestamp| (time > Timestamp::ZERO).then_some(time);
        Self {
            state: format!("by {how}{ended} in the {}{place}", source.name()),
            kind: Some(session.kind()),
            source: Some(*source),
            location,
            expires_at: (!session.expires_at.is_never()).then_some(session.expires_at),
            logged_in_at: known(session.logged_in_at),
            last_refreshed_at: known(session.received_at()).filter(|_| is_session),
            session_ends_at: session
                .refresh_token
                .as_ref()
                .and_then(|token| jwt::claims(token).exp)
                .map(Timestamp::from_unix),
            user_id: jwt::claims(&session.access_token).sub,
        }
    }

    fn rows(&self, now: Timestamp) -> Vec<(&'static str, String)> {
        let row = |name, time: Option<Timestamp>| {
            time.map(|time| {
                (name, format!("{} ({})", time.to_whole_seconds(), relative(time, now)))
            })
        };
        let rows = [
            row("since", self.logged_in_at),
            row("token expires", self.expires_at),
            row("last refreshed", self.last_refreshed_at),
            row("session ends", self.session_ends_at),
        ];
        rows.into_iter().flatten().collect()
    }
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

/// `MY_PROFILE` beats `active_profile`, as in `my`.
fn profile(engine: &Engine<'_>) -> Result<String> {
    let configured =
        MyJson::load(&engine.context.paths)?.active_profile.filter(|profile| !profile.is_empty());
    Ok(engine
        .context
        .environment
        .text("MY_PROFILE")
        .or(configured)
        .unwrap_or_else(|| "default".to_owned()))
}

/// What `my` has cached of a profile: read, never written.
#[derive(Default)]
struct Catalog {
    synced_at: Option<String>,
    commands: usize,
}

impl Catalog {
    fn of(engine: &Engine<'_>, profile: &str) -> Self {
        #[derive(Deserialize)]
        struct Cached {
            #[serde(default)]
            items: Vec<serde::de::IgnoredAny>,
            #[serde(default)]
            synced_at: Option<String>,
        }
        if profile.contains(['/', '\\']) || profile.starts_with('.') {
            return Self::default();
        }
        let path =
            engine.context.paths.in_home(&format!(".my/cache/profiles/{profile}/catalog.json"));
        let contents = path.ok().and_then(|path| atomic_file::read(&path).ok().flatten());
        let cached = contents.and_then(|contents| {
            serde_json::from_str::<Cached>(contents.text.expose_secret()).ok()
        });
        cached.map_or_else(Self::default, |Cached { items, synced_at }| Self {
            synced_at,
            commands: items.len(),
        })
    }
}
