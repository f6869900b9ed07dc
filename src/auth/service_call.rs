//! Calls to a provider's API with the credential that `get` returns. After a 401, refreshes the session and repeats once.

use super::Engine;
use super::refresh::ForcedBy;
use crate::error::{Error, ErrorCode, Result};
use crate::http::{self, Client, HttpError};
use crate::model::{
    CredentialRequest, Grant, Kind, LoginKind, OAuth, Provider, Resolved, Secret, Source,
};

impl Engine<'_> {
    /// Returns the credential of the call, and its result.
    pub fn try_call<T>(
        &self,
        provider: &Provider,
        call: impl Fn(&Client, &Secret) -> http::Result<T>,
    ) -> Result<(Resolved, http::Result<T>)> {
        let api_url = self.context.api_url(provider, None)?;
        let client = Client::new(self.network, provider, &api_url)?;
        let request = self.request_for(provider);
        let found = self.get(&request)?;
        match call(&client, &found.credential.secret) {
            Err(error) if is_rejected(&error) && self.can_refresh(provider, &found)? => {
                let found = self.get(&request)?;
                let result = call(&client, &found.credential.secret);
                Ok((found, result))
            }
            result => Ok((found, result)),
        }
    }

    /// As [`Engine::try_call`]; a failed call is an error, "cannot `what`".
    pub fn call<T>(
        &self,
        provider: &Provider,
        what: &str,
        call: impl Fn(&Client, &Secret) -> http::Result<T>,
    ) -> Result<(T, Resolved)> {
        match self.try_call(provider, call)? {
            (found, Ok(value)) => Ok((value, found)),
            (found, Err(error)) => Err(self.call_error(provider, what, &error, &found)),
        }
    }

    /// As [`Engine::call`], for a route that accepts no API token.
    pub fn call_with_session<T>(
        &self,
        provider: &Provider,
        what: &str,
        call: impl Fn(&Client, &Secret) -> http::Result<T>,
    ) -> Result<T> {
        let found = self.get(&self.request_for(provider))?;
        if found.credential.kind == Kind::Session {
            return self.call(provider, what, call).map(|(value, _)| value);
        }
        let hint = match found.source {
            Source::Environment => {
                format!("run `unset {}` to use your session", provider.token_variable)
            }
            _ => format!("run `{}` and log in by email", provider.command("login --force")),
        };
        let message = format!(
            "cannot {what} at {}: this requires a session, not an API token",
            provider.name
        );
        Err(Error::new(ErrorCode::Rejected, message).with_hint(hint))
    }

    /// A request for the credential of this account. Names the account only if another one would answer: an error shows it.
    pub fn request_for(&self, Provider { name, account, .. }: &Provider) -> CredentialRequest {
        let answers = self.context.provider(Some(name)).is_ok_and(|it| it.account == *account);
        CredentialRequest {
            provider: Some(name.to_string()),
            account: (!answers).then(|| account.to_string()),
            ..CredentialRequest::default()
        }
    }

    /// Whether the rejected credential is a session, which is now marked for a refresh.
    fn can_refresh(&self, provider: &Provider, found: &Resolved) -> Result<bool> {
        if found.source == Source::Identity {
            let secret = &found.credential.secret;
            return Ok(self.take_identity(provider, Some(secret)).is_some());
        }
        if found.source == Source::Environment || found.credential.kind != Kind::Session {
            return Ok(false);
        }
        self.mark_rejected(provider, &found.credential.secret, ForcedBy::Service)
    }

    fn call_error(
        &self,
        provider: &Provider,
        what: &str,
        error: &HttpError,
        found: &Resolved,
    ) -> Error {
        let api_url = self.context.api_url(provider, None).unwrap_or_default();
        let failure = http::failed(&api_url, what, error);
        // An OAuth service is called for the owner of a token only.
        if let LoginKind::OAuth(oauth) = &provider.login
            && let Some(hint) = owner_hint(provider, oauth, error)
        {
            return failure.with_hint(hint);
        }
        if !is_rejected(error) {
            return failure;
        }
        let hint = match found.source {
            Source::Environment => {
                format!(
                    "set {0} to a valid token, or run `unset {0}` to use your session",
                    provider.token_variable
                )
            }
            Source::Identity => "check what the service allows this job".to_owned(),
            _ => format!("{} with `--force`", provider.login_hint()),
        };
        Error { code: ErrorCode::Rejected, ..failure }.with_hint(hint)
    }
}

/// The hint if a service does not report the owner of its token.
fn owner_hint(provider: &Provider, oauth: &OAuth, error: &HttpError) -> Option<String> {
    let name = &provider.name;
    match (oauth.grant, error.status()?) {
        (Grant::ClientCredentials, 401 | 403 | 404) => Some(format!(
            "the client credentials flow logs in no person; some services report the client if `scopes` in \
             [providers.{name}] of config.toml has `openid`"
        )),
        // RFC 6750, 3.1: `insufficient_scope`.
        (Grant::Person, 403) => Some(format!(
            "the token may lack the scope `openid`: add it to `scopes` in [providers.{name}] of config.toml, and {} with \
             `--force`",
            provider.login_hint()
        )),
        _ => None,
    }
}

fn is_rejected(error: &HttpError) -> bool {
    error.status() == Some(401)
}
