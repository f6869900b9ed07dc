//! Calls to a provider's API on behalf of whoever is logged in: with the credential that `get` would hand out, and
//! once more after a refresh where the service says 401.

use crate::api::{self, ApiError, Client};
use crate::credential::Kind;
use crate::error::{Code, Error, Result};
use crate::provider::Provider;
use crate::refresh::{self, Forced};
use crate::reply::{Ask, Found, Source};
use crate::resolve;
use crate::secret::Secret;
use crate::world::World;

/// Calls the provider's API with the credential in force; says which one it was.
pub fn call<T>(
    world: &World,
    provider: &Provider,
    what: &str,
    call: impl Fn(&Client, &Secret) -> api::Result<T>,
) -> Result<(T, Found)> {
    let client = Client::new(world, provider, &world.api_url(provider, None)?)?;
    let ask = Ask { provider: Some(provider.name.to_string()), ..Ask::default() };
    let found = resolve::resolve(world, &ask)?;
    match call(&client, &found.secret) {
        Ok(answer) => Ok((answer, found)),
        Err(error) if is_refused(&error) && is_refreshed(world, provider, &found)? => {
            let found = resolve::resolve(world, &ask)?;
            let answer =
                call(&client, &found.secret).map_err(|error| failed(provider, &client, what, &error, &found))?;
            Ok((answer, found))
        }
        Err(error) => Err(failed(provider, &client, what, &error, &found)),
    }
}

fn is_refused(error: &ApiError) -> bool {
    matches!(error, ApiError::Service { status: 401, .. })
}

/// Whether the refused credential is a session that is now marked for a refresh. A token in a variable never is.
fn is_refreshed(world: &World, provider: &Provider, found: &Found) -> Result<bool> {
    if found.source == Source::Environment || found.kind != Kind::Session {
        return Ok(false);
    }
    refresh::mark_refused(world, provider, &found.secret, Forced::ByService)
}

fn failed(provider: &Provider, client: &Client, what: &str, error: &ApiError, found: &Found) -> Error {
    let failure = api::failed(client, what, error);
    if !is_refused(error) {
        return failure;
    }
    let hint = match found.source {
        Source::Environment => format!("set {0} anew, or `unset {0}` to use your login", provider.token_variable),
        _ => format!("{} --force", resolve::login_hint(provider).trim_end_matches('`').to_owned() + "`"),
    };
    Error { code: Code::Refused, ..failure }.with_hint(hint)
}
