//! The services that renew a session: a provider's API, by its kind.

use std::time::Instant;

use super::client::{self, ApiError, Client, Network};
use super::mycli;
use super::oauth::{self, Service};
use crate::error::{Error, Result};
use crate::model::{Grant, LoginKind, OAuth, Provider, Session};
use crate::sys::clock::Clock;

pub trait TokenEndpoints {
    /// Prepares everything that can fail before a refresh token is spent. No request of the renewal outlives `deadline`.
    fn prepare<'a>(
        &'a self,
        provider: &'a Provider,
        deadline: Instant,
    ) -> Result<Box<dyn Renewal + 'a>>;
}

/// A service that is ready to renew a session.
pub trait Renewal {
    /// Sends one request: it spends the refresh token of `session`, or uses the client credentials.
    fn renew(&self, session: &Session) -> Result<Session, RenewalError>;

    /// Whether the service answers. Spends nothing.
    fn is_reachable(&self) -> bool;
}

/// What a renewal that failed means for the session.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RenewalError {
    /// The service rejected the refresh token: the session is over.
    #[error("{0}")]
    SessionEnded(#[source] ApiError),
    /// The service rejected this program and not the session.
    #[error("{0}")]
    ClientRejected(#[source] ApiError),
    /// No answer, or not a whole one: the refresh token may be spent.
    #[error("{0}")]
    Interrupted(#[source] ApiError),
    /// Anything else: the session stays.
    #[error("{0}")]
    Failed(#[source] ApiError),
}

impl RenewalError {
    fn new(error: ApiError, ends_session: bool, rejects_client: bool) -> Self {
        match error {
            error if ends_session => Self::SessionEnded(error),
            error if rejects_client => Self::ClientRejected(error),
            error @ (ApiError::Unreachable(_) | ApiError::Absurd(_)) => Self::Interrupted(error),
            error => Self::Failed(error),
        }
    }
}

/// The services over HTTP.
pub struct HttpEndpoints<'a> {
    pub network: Network<'a>,
    pub clock: &'a dyn Clock,
}

impl TokenEndpoints for HttpEndpoints<'_> {
    fn prepare<'a>(
        &'a self,
        provider: &'a Provider,
        deadline: Instant,
    ) -> Result<Box<dyn Renewal + 'a>> {
        match &provider.login {
            LoginKind::OAuth(oauth) => {
                let service = Service::known(self.network, provider, oauth)?;
                require_secret(&service, provider, oauth)?;
                let (service, grant) = (service.until(deadline), oauth.grant);
                Ok(Box::new(OAuthRenewal { service, grant, clock: self.clock }))
            }
            LoginKind::MagicLink | LoginKind::ApiKey(_) => {
                let api_url = self.network.context.configured_api_url(provider)?;
                let client = Client::new(self.network, provider, &api_url)?.until(deadline);
                Ok(Box::new(MycliRenewal { client, clock: self.clock }))
            }
        }
    }
}

fn require_secret(service: &Service<'_>, provider: &Provider, oauth: &OAuth) -> Result<()> {
    if oauth.grant != Grant::ClientCredentials || service.has_secret() {
        return Ok(());
    }
    let name = &provider.name;
    Err(Error::invalid(format!("the secret that {name} wants anew is not there")).with_hint(
        format!("say where it is: `client_secret_variable` in [providers.{name}] of config.toml"),
    ))
}

struct MycliRenewal<'a> {
    client: Client,
    clock: &'a dyn Clock,
}

impl Renewal for MycliRenewal<'_> {
    fn renew(&self, session: &Session) -> Result<Session, RenewalError> {
        let renewed = refresh_token(session)
            .and_then(|token| mycli::refresh(&self.client, session, token, || self.clock.now()));
        renewed.map_err(|error| {
            let ends_session = mycli::ends_session(&error);
            RenewalError::new(error, ends_session, false)
        })
    }

    fn is_reachable(&self) -> bool {
        mycli::is_reachable(&self.client)
    }
}

struct OAuthRenewal<'a> {
    service: Service<'a>,
    grant: Grant,
    clock: &'a dyn Clock,
}

impl OAuthRenewal<'_> {
    fn request(&self, session: &Session) -> client::Result<Session> {
        match self.grant {
            Grant::Person => {
                self.service.refresh(session, refresh_token(session)?, || self.clock.now())
            }
            Grant::ClientCredentials => {
                let renewed = self.service.log_in_itself()?.into_session(self.clock.now())?;
                Ok(Session { logged_in_at: session.logged_in_at, ..renewed })
            }
        }
    }
}

impl Renewal for OAuthRenewal<'_> {
    fn renew(&self, session: &Session) -> Result<Session, RenewalError> {
        self.request(session).map_err(|error| {
            let ends_session = oauth::ends_session(&error);
            let rejects_client = oauth::rejects_client(&error);
            RenewalError::new(error, ends_session, rejects_client)
        })
    }

    fn is_reachable(&self) -> bool {
        true
    }
}

fn refresh_token(session: &Session) -> client::Result<&crate::model::Secret> {
    let missing = || ApiError::NotConnected("it has no refresh token".to_owned());
    session.refresh_token.as_ref().ok_or_else(missing)
}
