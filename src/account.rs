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

/// Calls the provider's API with the credential in force; says which one it was, and what came of the call.
pub fn ask<T>(
    world: &World,
    provider: &Provider,
    call: impl Fn(&Client, &Secret) -> api::Result<T>,
) -> Result<(Found, api::Result<T>)> {
    let client = Client::new(world, provider, &world.api_url(provider, None)?)?;
    let ask = ask_of(provider);
    let found = resolve::resolve(world, &ask)?;
    match call(&client, &found.secret) {
        Err(error) if is_refused(&error) && is_refreshed(world, provider, &found)? => {
            let found = resolve::resolve(world, &ask)?;
            let answer = call(&client, &found.secret);
            Ok((found, answer))
        }
        answer => Ok((found, answer)),
    }
}

fn ask_of(Provider { name, account, .. }: &Provider) -> Ask {
    Ask { provider: Some(name.to_string()), account: Some(account.to_string()), ..Ask::default() }
}

/// The same, where a call that fails is an error: "cannot `what`".
pub fn call<T>(
    world: &World,
    provider: &Provider,
    what: &str,
    call: impl Fn(&Client, &Secret) -> api::Result<T>,
) -> Result<(T, Found)> {
    match ask(world, provider, call)? {
        (found, Ok(answer)) => Ok((answer, found)),
        (found, Err(error)) => Err(failed(world, provider, what, &error, &found)),
    }
}

/// The same, for what the service allows a login and no API token.
pub fn call_as_login<T>(
    world: &World,
    provider: &Provider,
    what: &str,
    call: impl Fn(&Client, &Secret) -> api::Result<T>,
) -> Result<T> {
    let ask = ask_of(provider);
    let found = resolve::resolve(world, &ask)?;
    if found.kind != Kind::Session {
        let hint = match found.source {
            Source::Environment => format!("`unset {}` to use your login", provider.token_variable),
            _ => "run `my-credential-helper login --force` and log in by email".to_owned(),
        };
        let message = format!(
            "cannot {what} at {}: only a login can do this, not an API token",
            provider.name
        );
        return Err(Error::new(Code::Refused, message).with_hint(hint));
    }
    self::call(world, provider, what, call).map(|(answer, _)| answer)
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

fn failed(
    world: &World,
    provider: &Provider,
    what: &str,
    error: &ApiError,
    found: &Found,
) -> Error {
    let host = world.api_url(provider, None).unwrap_or_default();
    let failure = api::failed(&host, what, error);
    if !is_refused(error) {
        return failure;
    }
    let hint = match found.source {
        Source::Environment => {
            format!("set {0} anew, or `unset {0}` to use your login", provider.token_variable)
        }
        _ => format!("{}, with --force", provider.login_hint()),
    };
    Error { code: Code::Refused, ..failure }.with_hint(hint)
}
