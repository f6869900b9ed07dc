//! `whoami`: the owner of the credential in force, according to the service.

use serde_json::{Value, json};

use crate::auth::Engine;
use crate::cli::output::{Output, Report};
use crate::error::{Error, ErrorCode, Result};
use crate::http::microtica;
use crate::http::mycli::{self, Me};
use crate::http::oauth::{Description, Service};
use crate::model::{Kind, LoginKind, OAuth, Provider, Resolved, Source, ToolOutput};
use crate::store::owner;

pub(super) fn run(engine: &Engine<'_>, output: &Output) -> Result<ToolOutput> {
    let provider = engine.context.provider(None)?;
    match &provider.login {
        LoginKind::MagicLink => account(engine, &provider, output),
        LoginKind::ApiKey { is_microtica: true } => key(engine, &provider, output),
        LoginKind::OAuth(oauth) => user(engine, &provider, oauth, output),
        LoginKind::ApiKey { is_microtica: false } => Err(local_only(&provider, "key")),
    }
}

fn local_only(provider: &Provider, what: &str) -> Error {
    let hint = format!("run `{}` for what is stored locally", provider.command("status"));
    Error::invalid(format!("{} has no request for the owner of a {what}", provider.name))
        .with_hint(hint)
}

/// The account of mycli that the credential in force belongs to.
pub(super) fn me(engine: &Engine<'_>, provider: &Provider) -> Result<(Me, Resolved)> {
    let (me, found) = engine.call(provider, "look up the user", mycli::me)?;
    if found.source != Source::Environment {
        remember(engine, provider, &me.email);
    }
    Ok((me, found))
}

/// Records the owner of the stored session.
pub(super) fn remember(engine: &Engine<'_>, provider: &Provider, name: &str) {
    if let Some(stored) = engine.load(provider).newest {
        owner::save(&engine.context.paths, &provider.key, &stored.session, name);
    }
}

fn account(engine: &Engine<'_>, provider: &Provider, output: &Output) -> Result<ToolOutput> {
    let (Me { id, email, username, needs_username: _ }, found) = me(engine, provider)?;
    let mut report = new_report(provider, &found, output);
    report.add("user id", "id", Some(id));
    report.add("email", "email", Some(email));
    report.add_or("user name", "username", username, "none yet");
    if found.credential.kind == Kind::ApiToken {
        // The service returns name and expiry of an API token to a session only.
        let prefix = microtica::key_prefix(&found.credential.secret);
        report.field("token_prefix", prefix);
        report.row("api token", format!("{prefix}..."));
    }
    Ok(output.report(report))
}

fn new_report(provider: &Provider, found: &Resolved, output: &Output) -> Report {
    output.warn(&found.warnings);
    let mut report = Report::default();
    report.field("provider", &*provider.name);
    report.field("source", found.source.name());
    report.field("kind", found.credential.kind.name());
    report
}

/// The response of a userinfo endpoint, as in OpenID Connect; the name of the user has another field at each service.
pub(super) struct UserInfo(pub(super) Value);

impl UserInfo {
    /// The first of the fields that is set. Some services use numbers as ids.
    pub(super) fn text(&self, names: &[&str]) -> Option<String> {
        names.iter().find_map(|name| match self.0.get(name)? {
            Value::String(text) if !text.is_empty() => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        })
    }

    pub(super) fn name(&self) -> Option<String> {
        self.text(&["preferred_username", "login", "username", "nickname", "email", "name", "sub"])
    }
}

/// The owner of the token; `None` if the service has no request for it.
pub(super) fn userinfo(
    engine: &Engine<'_>,
    provider: &Provider,
    oauth: &OAuth,
) -> Result<Option<(UserInfo, Resolved)>> {
    let service = Service::new(engine.network, provider, oauth, Description::Stored)?;
    if service.endpoints.userinfo.is_none() {
        return Ok(None);
    }
    let (user, found) = engine
        .call(provider, "look up the owner of the token", |_, token| service.userinfo(token))?;
    let user = UserInfo(user);
    let name = user.text(&["email"]).or_else(|| user.name());
    if let Some(name) = name.filter(|_| found.source != Source::Environment) {
        remember(engine, provider, &name);
    }
    Ok(Some((user, found)))
}

fn user(
    engine: &Engine<'_>,
    provider: &Provider,
    oauth: &OAuth,
    output: &Output,
) -> Result<ToolOutput> {
    let user = userinfo(engine, provider, oauth)?;
    let (user, found) = user.ok_or_else(|| local_only(provider, "token"))?;
    let mut report = new_report(provider, &found, output);
    report.field("account", &*provider.account);
    report.add_or("user id", "id", user.text(&["sub", "id", "account_id"]), "not provided");
    report.add_or("email", "email", user.text(&["email"]), "not provided");
    report.add_or("user name", "username", user.name(), "not provided");
    Ok(output.report(report))
}

/// Reports what Microtica's own command line reports of a key, also if the service cannot be reached.
fn key(engine: &Engine<'_>, provider: &Provider, output: &Output) -> Result<ToolOutput> {
    let Provider { name, .. } = provider;
    let (found, response) = engine.try_call(provider, microtica::whoami)?;
    let prefix = microtica::key_prefix(&found.credential.secret);
    let (key, failure) = match response {
        Ok(key) => (Some(key), None),
        Err(error) if error.is_decision() => {
            let message = format!("{name} rejected the key {prefix}...: {error}");
            return Err(Error::new(ErrorCode::Rejected, message)
                .with_hint("create a new key in the console, and log in with it"));
        }
        Err(error) => (None, Some(Error::temporary(format!("cannot reach {name}: {error}")))),
    };
    output.warn(&found.warnings);
    let mut report = Report::default();
    report.field("provider", &**name);
    report.field("source", found.source.name());
    report.add("via", "via", Some("apikey".to_owned()));
    report.add("api key prefix", "key_prefix", Some(prefix.to_owned()));
    report.field("api_reachable", key.is_some());
    report.row("api reachable", key.is_some().to_string());
    let visible = key.as_ref().map(|key| key.projects_visible);
    report.field("projects_visible", visible);
    report.row("projects visible", visible.map_or("unknown".to_owned(), |count| count.to_string()));
    if let Some(key) = key {
        report.field("key_name", key.key_name);
        report.field("expires_at", key.expires_at);
        report.field("baseline", key.baseline);
        report.field("environments", json!(key.environments));
    }
    let mut result = output.report(report);
    if let Some(error) = failure {
        let failure = ToolOutput::error(&error);
        result.messages.push_str(&failure.messages);
        result.status = failure.status;
    }
    Ok(result)
}
