//! Who renews a session: a provider's API, by its kind.

use std::time::{Duration, Instant};

use crate::auth::context::Context;
use crate::error::{Error, Result};
use crate::http::oauth::{self, Service};
use crate::http::{self, ApiError, Client, mycli};
use crate::model::credential::Session;
use crate::model::provider::{Grant, LoginKind, OAuth, Provider};
use crate::sys::clock;

/// A service that is about to be asked for a new session.
pub(super) enum Renewal<'a> {
    /// It takes the token that it has just replaced for 30 s.
    MagicLink(Client),
    /// It may take no token twice: some end the whole login when one comes back.
    OAuth(Box<Service<'a>>, Grant),
}

/// How long a service is waited for that gives no second chance. Whoever hangs up earlier may lose the login to a
/// service that is merely slow.
const WITHOUT_GRACE: Duration = Duration::from_secs(20);

impl<'a> Renewal<'a> {
    /// All that can fail before anything is spent has not.
    pub(super) fn of(
        context: &'a Context,
        provider: &'a Provider,
        deadline: Instant,
    ) -> Result<Self> {
        match &provider.login {
            LoginKind::OAuth(oauth) => Self::by_oauth(context, provider, oauth, deadline),
            LoginKind::MagicLink | LoginKind::ApiKey(_) => {
                let api_url = context.configured_api_url(provider)?;
                Ok(Self::MagicLink(Client::new(context, provider, &api_url)?.until(deadline)))
            }
        }
    }

    fn by_oauth(
        context: &'a Context,
        provider: &'a Provider,
        oauth: &'a OAuth,
        deadline: Instant,
    ) -> Result<Self> {
        let service = Service::known(context, provider, oauth)?;
        if oauth.grant == Grant::ClientCredentials && !service.has_secret() {
            let name = &provider.name;
            return Err(Error::invalid(format!("the secret that {name} wants anew is not there"))
                .with_hint(format!(
                    "say where it is: `client_secret_variable` in [providers.{name}] of config.toml"
                )));
        }
        let deadline = deadline.max(Instant::now() + WITHOUT_GRACE);
        Ok(Self::OAuth(Box::new(service.until(deadline)), oauth.grant))
    }

    /// One request. Redeems the refresh token of `spent`, or has the program log in itself.
    pub(super) fn ask(&self, spent: &Session) -> http::Result<Session> {
        let token = || {
            let none = || ApiError::NotConnected("it has no refresh token".to_owned());
            spent.refresh_token.as_ref().ok_or_else(none)
        };
        match self {
            Self::MagicLink(client) => mycli::refresh(client, spent, token()?, clock::now),
            Self::OAuth(service, Grant::Person) => service.refresh(spent, token()?, clock::now),
            Self::OAuth(service, Grant::ClientCredentials) => {
                let new = service.log_in_itself()?.into_session(clock::now())?;
                Ok(Session { logged_in_at: spent.logged_in_at, ..new })
            }
        }
    }

    /// Whether a refusal means that the session is dead.
    pub(super) fn is_definitive(&self, error: &ApiError) -> bool {
        match self {
            Self::MagicLink(_) => mycli::is_definitive(error),
            Self::OAuth(..) => oauth::is_definitive(error),
        }
    }

    /// Whether a token may be sent again at once that the service may have replaced.
    pub(super) fn has_grace(&self) -> bool {
        matches!(self, Self::MagicLink(_))
    }

    /// Whether its answers arrive whole.
    pub(super) fn is_reachable(&self) -> bool {
        match self {
            Self::MagicLink(client) => mycli::is_reachable(client),
            Self::OAuth(..) => true,
        }
    }

    /// Whether it is the program that was refused, and not the session.
    pub(super) fn refuses_the_program(&self, error: &ApiError) -> bool {
        matches!(self, Self::OAuth(..)) && oauth::refuses_the_program(error)
    }
}
