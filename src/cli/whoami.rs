//! `whoami`: who the credential in force belongs to, asked of the service.

use serde_json::json;

use crate::account;
use crate::adapters::Answer;
use crate::api::microtica;
use crate::api::mycli::{self, Me};
use crate::cli::output::Output;
use crate::credential::Kind;
use crate::error::{Code, Error, Result};
use crate::provider::{ApiPaths, LoginKind, Provider};
use crate::world::World;

pub(super) fn run(world: &World, output: &Output) -> Result<Answer> {
    let provider = world.provider(None)?;
    match &provider.login {
        LoginKind::MagicLink => account(world, &provider, output),
        LoginKind::ApiKey(Some(paths)) => key(world, &provider, paths, output),
        LoginKind::ApiKey(None) => Err(Error::invalid(format!("{} cannot be asked whose key it is", provider.name))
            .with_hint("`my-credential-helper status` tells what is known here")),
    }
}

fn account(world: &World, provider: &Provider, output: &Output) -> Result<Answer> {
    let (me, found) = account::call(world, provider, "ask who is logged in", mycli::me)?;
    let Me { id, email, username, needs_username: _ } = me;
    let mut fields = json!({
        "provider": provider.name, "id": id, "email": email, "username": username,
        "kind": found.kind.name(), "source": found.source.name(),
    });
    let mut rows =
        vec![("user id", id), ("email", email), ("user name", username.unwrap_or_else(|| "none yet".to_owned()))];
    if found.kind == Kind::ApiToken {
        // The service tells name and expiry of a token to a login alone.
        let prefix = microtica::key_prefix(&found.secret).to_owned();
        fields["token_prefix"] = prefix.as_str().into();
        rows.push(("api token", format!("{prefix}...")));
    }
    Ok(output.rows(&rows, &fields).with_notes(&found.notes))
}

/// The four rows that users of the service know.
fn key(world: &World, provider: &Provider, paths: &ApiPaths, output: &Output) -> Result<Answer> {
    let (key, asked) = account::ask(world, provider, |client, key| microtica::whoami(client, paths, key))?;
    let prefix = microtica::key_prefix(&key.secret).to_owned();
    let unreachable = match &asked {
        Err(error) if !error.is_answer() => Some(error.to_string()),
        _ => None,
    };
    let known = match asked {
        Ok(known) => Some(known),
        Err(_) if unreachable.is_some() => None,
        Err(error) => {
            return Err(Error::new(Code::Refused, format!("{} refused the key {prefix}...: {error}", provider.name))
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
    let mut answer = output.rows(&rows, &fields).with_notes(&key.notes);
    if let Some(reason) = unreachable {
        let error = Error::temporary(format!("{} cannot be reached: {reason}", provider.name));
        let Answer { messages, status, .. } = Answer::failure(error.code.exit_status(), error);
        answer.messages.push_str(&messages);
        answer.status = status;
    }
    Ok(answer)
}
