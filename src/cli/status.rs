//! `status`: what is known here, as it is before any refresh. Asks no service.

use serde::Deserialize;
use serde_json::json;

use crate::adapters::Answer;
use crate::cli::output::Output;
use crate::clock;
use crate::configuration::MyConfig;
use crate::credential::Kind;
use crate::error::Result;
use crate::jwt;
use crate::private_file;
use crate::reply::Source;
use crate::stores::session::{self, Kept};
use crate::stores::variable;
use crate::timestamp::Timestamp;
use crate::world::World;

pub(super) fn run(world: &World, output: &Output) -> Result<Answer> {
    let provider = world.provider(None)?;
    let api_url = world.api_url(&provider, None)?;
    let now = clock::now();
    let loaded = session::load(&world.stores()?.in_order(), &provider.slot);
    let (variable_state, in_variable) = match variable::read(&world.environment, &provider.token_variable, now) {
        Ok(None) => ("not set".to_owned(), false),
        Ok(Some(_)) => ("set, and in effect".to_owned(), true),
        Err(error) => (error.message, true),
    };
    let login = Login::of(loaded.newest.as_ref(), now);
    let state = if in_variable { format!("by the token in {}", provider.token_variable) } else { login.state.clone() };
    let profile = profile(world)?;
    let catalog = Catalog::of(world, &profile);
    let stores: Vec<_> = std::iter::once((provider.token_variable.to_string(), variable_state))
        .chain(loaded.tried.iter().map(|attempt| (attempt.place.clone(), attempt.outcome.clone())))
        .collect();

    let fields = json!({
        "provider": provider.name,
        "api_url": api_url,
        "logged_in_at_api_url": world.logged_in_elsewhere(&provider, None)?,
        "logged_in": in_variable || loaded.newest.is_some(),
        "kind": login.kind.map(Kind::name),
        "source": if in_variable { Some("env") } else { login.source.map(Source::name) },
        "expires_at": login.expires_at.map(Timestamp::to_whole_seconds),
        "last_refreshed_at": login.last_refreshed_at.map(Timestamp::to_whole_seconds),
        "session_ends_at": login.session_ends_at.map(Timestamp::to_whole_seconds),
        "active_profile": profile,
        "catalog": { "synced_at": catalog.synced_at, "commands": catalog.commands },
        "stores": stores.iter().map(|(name, state)| json!({ "name": name, "state": state })).collect::<Vec<_>>(),
    });
    let mut rows = vec![("provider", provider.name.to_string()), ("api url", api_url), ("logged in", state)];
    if let Some(elsewhere) = world.logged_in_elsewhere(&provider, None)? {
        rows.push(("logged in at", format!("{elsewhere}, which is not the API URL in force")));
    }
    rows.extend(login.rows(now));
    rows.push(("profile", profile));
    rows.push(("last sync", catalog.synced_at.clone().unwrap_or_else(|| "never".to_owned())));
    rows.push(("commands", catalog.commands.to_string()));
    for (name, state) in &stores {
        rows.push((name, state.clone()));
    }
    Ok(output.rows(&rows, &fields).with_notes(&world.take_notes()))
}

/// What a kept session tells.
#[derive(Default)]
struct Login {
    state: String,
    kind: Option<Kind>,
    source: Option<Source>,
    expires_at: Option<Timestamp>,
    last_refreshed_at: Option<Timestamp>,
    session_ends_at: Option<Timestamp>,
}

impl Login {
    fn of(kept: Option<&Kept>, now: Timestamp) -> Self {
        let Some(Kept { session, source }) = kept else {
            return Self { state: "no".to_owned(), ..Self::default() };
        };
        let how = if session.kind() == Kind::Session { "by a session" } else { "by an API token" };
        let place = if *source == Source::Keyring { "the keyring" } else { "a file" };
        let ended = if session.refresh_token.is_none() && !session.is_alive(now) { ", which has ended" } else { "" };
        Self {
            state: format!("{how} in {place}{ended}"),
            kind: Some(session.kind()),
            source: Some(*source),
            expires_at: (!session.expires_at.is_never()).then_some(session.expires_at),
            last_refreshed_at: (session.received_at() > Timestamp::ZERO).then(|| session.received_at()),
            session_ends_at: session
                .refresh_token
                .as_ref()
                .and_then(|token| jwt::claims(token).exp)
                .map(Timestamp::from_unix),
        }
    }

    fn rows(&self, now: Timestamp) -> Vec<(&'static str, String)> {
        let row = |name, time: Option<Timestamp>| {
            time.map(|time| (name, format!("{} ({})", time.to_whole_seconds(), relative(time, now))))
        };
        let rows = [
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
fn profile(world: &World) -> Result<String> {
    let configured = MyConfig::load(&world.paths)?.active_profile.filter(|profile| !profile.is_empty());
    Ok(world.environment.text("MY_PROFILE").or(configured).unwrap_or_else(|| "default".to_owned()))
}

/// What `my` has cached of a profile: read, never written.
#[derive(Default)]
struct Catalog {
    synced_at: Option<String>,
    commands: usize,
}

impl Catalog {
    fn of(world: &World, profile: &str) -> Self {
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
        let path = world.paths.in_home(&format!(".my/cache/profiles/{profile}/catalog.json"));
        let contents = path.ok().and_then(|path| private_file::read(&path).ok().flatten());
        let cached = contents.and_then(|contents| serde_json::from_str::<Cached>(contents.text.expose_secret()).ok());
        cached.map_or_else(Self::default, |Cached { items, synced_at }| Self { synced_at, commands: items.len() })
    }
}
