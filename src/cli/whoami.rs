//! `whoami`: who the credential in force belongs to, asked of the service.

use serde_json::{Value, json};

use crate::auth::Engine;
use crate::cli::output::Output;
use crate::error::{Error, ErrorCode, Result};
use crate::http::microtica;
use crate::http::mycli::{self, Me};
use crate::http::oauth::Service;
use crate::model::{ApiPaths, Kind, LoginKind, OAuth, Provider, Resolved, ToolOutput};

pub(super) fn run(engine: &Engine<'_>, output: &Output) -> Result<ToolOutput> {
    let provider = engine.context.provider(None)?;
    match &provider.login {
        LoginKind::MagicLink => account(engine, &provider, output),
        LoginKind::ApiKey(Some(paths)) => key(engine, &provider, paths, output),
        LoginKind::OAuth(oauth) => user(engine, &provider, oauth, output),
        LoginKind::ApiKey(None) => {
            Err(Error::invalid(format!("{} cannot be asked whose key it is", provider.name))
                .with_hint("`my-credential-helper status` tells what is known here"))
        }
    }
}

fn account(engine: &Engine<'_>, provider: &Provider, output: &Output) -> Result<ToolOutput> {
    let (me, found) = engine.call(provider, "ask who is logged in", mycli::me)?;
    let Me { id, email, username, needs_username: _ } = me;
    let mut fields = json!({
        "provider": provider.name, "id": id, "email": email, "username": username,
        "kind": found.credential.kind.name(), "source": found.source.name(),
    });
    let mut rows = vec![
        ("user id", id),
        ("email", email),
        ("user name", username.unwrap_or_else(|| "none yet".to_owned())),
    ];
    if found.credential.kind == Kind::ApiToken {
        // The service tells name and expiry of a token to a login alone.
        let prefix = microtica::key_prefix(&found.credential.secret).to_owned();
        fields["token_prefix"] = prefix.as_str().into();
        rows.push(("api token", format!("{prefix}...")));
    }
    output.warn(&found.warnings);
    Ok(output.rows(&rows, &fields))
}

/// Who a service says that somebody is. The names of the fields are OpenID Connect's; where the user name is, each has
/// its own.
pub(super) struct UserInfo(pub(super) Value);

impl UserInfo {
    /// A field as text; ids are numbers with some.
    pub(super) fn text(&self, names: &[&str]) -> Option<String> {
        names.iter().find_map(|name| match self.0.get(name)? {
            Value::String(text) if !text.is_empty() => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        })
    }

    /// What the person calls herself there.
    pub(super) fn name(&self) -> Option<String> {
        self.text(&["preferred_username", "login", "username", "nickname", "email", "name", "sub"])
    }
}

/// Asks whose the token is, where the service tells.
pub(super) fn userinfo(
    engine: &Engine<'_>,
    provider: &Provider,
    oauth: &OAuth,
) -> Result<(UserInfo, Resolved)> {
    let service = Service::known(engine.network, provider, oauth)?;
    if service.endpoints().userinfo.is_none() {
        return Err(Error::invalid(format!("{} tells nobody whose a token is", provider.name))
            .with_hint("`my-credential-helper status` tells what is known here"));
    }
    let (user, found) =
        engine.call(provider, "ask whose the token is", |_, token| service.userinfo(token))?;
    Ok((UserInfo(user), found))
}

fn user(
    engine: &Engine<'_>,
    provider: &Provider,
    oauth: &OAuth,
    output: &Output,
) -> Result<ToolOutput> {
    let (user, found) = userinfo(engine, provider, oauth)?;
    let id = user.text(&["sub", "id", "account_id"]);
    let (email, username) = (user.text(&["email"]), user.name());
    let fields = json!({
        "provider": provider.name, "account": &*provider.account, "id": id, "email": email, "username": username,
        "kind": found.credential.kind.name(), "source": found.source.name(),
    });
    let or_untold = |text: Option<String>| text.unwrap_or_else(|| "not told".to_owned());
    let rows = [
        ("user id", or_untold(id)),
        ("email", or_untold(email)),
        ("user name", or_untold(username)),
    ];
    output.warn(&found.warnings);
    Ok(output.rows(&rows, &fields))
}

/// The four rows that users of the service know.
fn key(
    engine: &Engine<'_>,
    provider: &Provider,
    paths: &ApiPaths,
    output: &Output,
) -> Result<ToolOutput> {
    let (key, asked) =
        engine.try_call(provider, |client, key| microtica::whoami(client, paths, key))?;
    let prefix = microtica::key_prefix(&key.credential.secret).to_owned();
    let unreachable = match &asked {
        Err(error) if !error.is_answer() => Some(error.to_string()),
        _ => None,
    };
    let known = match asked {
        Ok(known) => Some(known),
        Err(_) if unreachable.is_some() => None,
        Err(error) => {
            return Err(Error::new(
                ErrorCode::Rejected,
                format!("{} refused the key {prefix}...: {error}", provider.name),
            )
            .with_hint("make a new key in the console, and log in with it"));
        }
    };
    let visible = known.as_ref().map(|known| known.projects_visible);
    let mut fields = json!({
        "provider": provider.name, "via": "apikey", "key_prefix": prefix, "api_reachable": unreachable.is_none(),
        "projects_visible": visible, "source": key.source.name(),
    });
    if let Some(known) = known {
        fields["key_name"] = known.key_name.into();
        fields["expires_at"] = known.expires_at.into();
        fields["baseline"] = known.baseline.into();
        fields["environments"] = json!(known.environments);
    }
    let rows = [
        ("via", "apikey".to_owned()),
        ("api key prefix", prefix),
        ("api reachable", unreachable.is_none().to_string()),
        ("projects visible", visible.map_or("unknown".to_owned(), |count| count.to_string())),
    ];
    output.warn(&key.warnings);
    let mut answer = output.rows(&rows, &fields);
    if let Some(reason) = unreachable {
        let error = Error::temporary(format!("{} cannot be reached: {reason}", provider.name));
        let ToolOutput { messages, status, .. } =
            ToolOutput::failure(error.code.exit_status(), error);
        answer.messages.push_str(&messages);
        answer.status = status;
    }
    Ok(answer)
}
