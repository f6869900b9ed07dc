//! Calls to a provider's API on behalf of whoever is logged in: with the credential that `get` would hand out, and
//! once more after a refresh where the service says 401.

use crate::auth::context::Context;
use crate::auth::refresh::{self, Forced};
use crate::auth::resolve;
use crate::error::{Error, ErrorCode, Result};
use crate::http::{self, ApiError, Client};
use crate::model::credential::Kind;
use crate::model::provider::Provider;
use crate::model::request::{CredentialRequest, Resolved, Source};
use crate::model::secret::Secret;

/// Calls the provider's API with the credential in force; says which one it was, and what came of the call.
pub fn ask<T>(
    context: &Context,
    provider: &Provider,
    call: impl Fn(&Client, &Secret) -> http::Result<T>,
) -> Result<(Resolved, http::Result<T>)> {
    let client = Client::new(context, provider, &context.api_url(provider, None)?)?;
    let ask = ask_of(provider);
    let found = resolve::resolve(context, &ask)?;
    match call(&client, &found.secret) {
        Err(error) if is_refused(&error) && is_refreshed(context, provider, &found)? => {
            let found = resolve::resolve(context, &ask)?;
            let answer = call(&client, &found.secret);
            Ok((found, answer))
        }
        answer => Ok((found, answer)),
    }
}

fn ask_of(Provider { name, account, .. }: &Provider) -> CredentialRequest {
    CredentialRequest {
        provider: Some(name.to_string()),
        account: Some(account.to_string()),
        ..CredentialRequest::default()
    }
}

/// The same, where a call that fails is an error: "cannot `what`".
pub fn call<T>(
    context: &Context,
    provider: &Provider,
    what: &str,
    call: impl Fn(&Client, &Secret) -> http::Result<T>,
) -> Result<(T, Resolved)> {
    match ask(context, provider, call)? {
        (found, Ok(answer)) => Ok((answer, found)),
        (found, Err(error)) => Err(failed(context, provider, what, &error, &found)),
    }
}

/// The same, for what the service allows a login and no API token.
pub fn call_as_login<T>(
    context: &Context,
    provider: &Provider,
    what: &str,
    call: impl Fn(&Client, &Secret) -> http::Result<T>,
) -> Result<T> {
    let ask = ask_of(provider);
    let found = resolve::resolve(context, &ask)?;
    if found.kind != Kind::Session {
        let hint = match found.source {
            Source::Environment => format!("`unset {}` to use your login", provider.token_variable),
            _ => "run `my-credential-helper login --force` and log in by email".to_owned(),
        };
        let message = format!(
            "cannot {what} at {}: only a login can do this, not an API token",
            provider.name
        );
        return Err(Error::new(ErrorCode::Rejected, message).with_hint(hint));
    }
    self::call(context, provider, what, call).map(|(answer, _)| answer)
}

fn is_refused(error: &ApiError) -> bool {
    matches!(error, ApiError::Service { status: 401, .. })
}

/// Whether the refused credential is a session that is now marked for a refresh. A token in a variable never is.
fn is_refreshed(context: &Context, provider: &Provider, found: &Resolved) -> Result<bool> {
    if found.source == Source::Environment || found.kind != Kind::Session {
        return Ok(false);
    }
    refresh::mark_refused(context, provider, &found.secret, Forced::ByService)
}

fn failed(
    context: &Context,
    provider: &Provider,
    what: &str,
    error: &ApiError,
    found: &Resolved,
) -> Error {
    let host = context.api_url(provider, None).unwrap_or_default();
    let failure = http::failed(&host, what, error);
    if !is_refused(error) {
        return failure;
    }
    let hint = match found.source {
        Source::Environment => {
            format!("set {0} anew, or `unset {0}` to use your login", provider.token_variable)
        }
        _ => format!("{}, with --force", provider.login_hint()),
    };
    Error { code: ErrorCode::Rejected, ..failure }.with_hint(hint)
}
