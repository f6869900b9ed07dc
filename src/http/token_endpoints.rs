//! The services that renew a session: a provider's API, by its kind.

use std::cell::Cell;
use std::time::Instant;

use super::client::{Client, Network};
use super::error::{self, HttpError};
use super::oauth::{self, Description, Service};
use super::{identity, mycli};
use crate::error::{Error, Result};
use crate::model::{Grant, IdentitySource, LoginKind, OAuth, Provider, Secret, Session};
use crate::sys::clock::Clock;

pub trait TokenEndpoints {
    /// Does what can fail before a refresh token is sent; may request the metadata of the service. No request, here and
    /// in the renewal, outlives `deadline`.
    fn prepare<'a>(
        &'a self,
        provider: &'a Provider,
        deadline: Instant,
    ) -> Result<Box<dyn Renewal + 'a>>;

    /// Requests an identity token of the job's platform; `None` if the source is a metadata server that is not there.
    fn identity_token(&self, provider: &Provider, deadline: Instant) -> Result<Option<Secret>>;

    /// Exchanges an identity token for a session, which has no refresh token.
    fn exchange_identity(
        &self,
        provider: &Provider,
        token: &Secret,
        deadline: Instant,
    ) -> error::Result<Session>;
}

/// A service that is ready to renew a session.
pub trait Renewal {
    /// Sends one request: it spends the refresh token of `session`, or uses the client credentials.
    fn renew(&self, session: &Session) -> Result<Session, RenewalError>;

    /// Whether the service answers. Spends nothing.
    fn is_reachable(&self) -> bool;
}

/// The meaning of a failed renewal for the session.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RenewalError {
    /// The service rejected the refresh token: the session has ended.
    #[error("{0}")]
    SessionEnded(#[source] HttpError),
    /// The service rejected this program and not the session.
    #[error("{0}")]
    ClientRejected(#[source] HttpError),
    /// No response, or a part of one: the refresh token may be spent.
    #[error("{0}")]
    Interrupted(#[source] HttpError),
    /// Anything else: the session stays.
    #[error("{0}")]
    Failed(#[source] HttpError),
}

impl RenewalError {
    fn new(
        error: HttpError,
        ends_session: fn(&HttpError) -> bool,
        rejects_client: fn(&HttpError) -> bool,
    ) -> Self {
        match error {
            error if ends_session(&error) => Self::SessionEnded(error),
            error if rejects_client(&error) => Self::ClientRejected(error),
            error if is_interrupted(&error) => Self::Interrupted(error),
            error => Self::Failed(error),
        }
    }
}

/// Whether the service may have processed the request: a gateway returns 502 or 504 also if the service was too slow.
fn is_interrupted(error: &HttpError) -> bool {
    match error {
        HttpError::NoResponse(_) | HttpError::Malformed(_) => true,
        HttpError::Service(error) => matches!(error.status, 502 | 504),
        HttpError::NotConnected(_) | HttpError::NotSent(_) => false,
    }
}

pub struct HttpEndpoints<'a> {
    pub network: Network<'a>,
    pub clock: &'a dyn Clock,
    /// Whether no metadata server answers on this machine: a request for each host of a list would wait for it.
    pub has_no_metadata: Cell<bool>,
}

impl TokenEndpoints for HttpEndpoints<'_> {
    fn prepare<'a>(
        &'a self,
        provider: &'a Provider,
        deadline: Instant,
    ) -> Result<Box<dyn Renewal + 'a>> {
        let network = self.network.until(deadline);
        let service = match &provider.login {
            LoginKind::OAuth(oauth) => {
                let service = Service::new(network, provider, oauth, Description::Stored)?;
                require_secret(&service, provider, oauth)?;
                RenewalService::OAuth(Box::new(service), oauth.grant)
            }
            LoginKind::MagicLink | LoginKind::ApiKey { .. } => {
                let api_url = network.context.configured_api_url(provider)?;
                RenewalService::Mycli(Box::new(Client::new(network, provider, &api_url)?))
            }
        };
        Ok(Box::new(HttpRenewal { service, clock: self.clock }))
    }

    fn identity_token(&self, provider: &Provider, deadline: Instant) -> Result<Option<Secret>> {
        let source = provider.identity.as_deref().map(|identity| &identity.source);
        let is_metadata = source.is_some_and(IdentitySource::is_metadata);
        if is_metadata && self.has_no_metadata.get() {
            return Ok(None);
        }
        let token =
            identity::request_token(self.network.until(deadline), provider, self.clock.now())?;
        if is_metadata && token.is_none() {
            self.has_no_metadata.set(true);
        }
        Ok(token)
    }

    fn exchange_identity(
        &self,
        provider: &Provider,
        token: &Secret,
        deadline: Instant,
    ) -> error::Result<Session> {
        identity::exchange(self.network.until(deadline), provider, token, self.clock)
    }
}

fn require_secret(service: &Service<'_>, provider: &Provider, oauth: &OAuth) -> Result<()> {
    if oauth.grant != Grant::ClientCredentials || service.has_secret() {
        return Ok(());
    }
    let name = &provider.name;
    Err(oauth.missing_secret(name).unwrap_or_else(|| {
        let message = format!("the client secret of {name} is missing");
        Error::invalid(message)
            .with_hint(format!("set `client_secret_variable` in [providers.{name}] of config.toml"))
    }))
}

struct HttpRenewal<'a> {
    service: RenewalService<'a>,
    clock: &'a dyn Clock,
}

enum RenewalService<'a> {
    Mycli(Box<Client>),
    OAuth(Box<Service<'a>>, Grant),
}

impl Renewal for HttpRenewal<'_> {
    fn renew(&self, session: &Session) -> Result<Session, RenewalError> {
        let requested = self.clock.now();
        let renewed = match &self.service {
            RenewalService::Mycli(client) => refresh_token(session)
                .and_then(|token| mycli::refresh(client, session, token, requested))
                .map_err(|error| RenewalError::new(error, mycli::ends_session, |_| false)),
            RenewalService::OAuth(service, grant) => match grant {
                Grant::Person => refresh_token(session)
                    .and_then(|token| service.refresh(session, token, requested)),
                Grant::ClientCredentials => service
                    .client_credentials()
                    .and_then(|issued| issued.into_session(requested))
                    .map(|renewed| Session { logged_in_at: session.logged_in_at, ..renewed }),
            }
            .map_err(|error| RenewalError::new(error, oauth::ends_session, oauth::rejects_client)),
        };
        // Of two sessions, the one that was received later is in force.
        renewed.map(|renewed| Session { last_refreshed_at: self.clock.now(), ..renewed })
    }

    fn is_reachable(&self) -> bool {
        match &self.service {
            RenewalService::Mycli(client) => mycli::is_reachable(client),
            RenewalService::OAuth(..) => true,
        }
    }
}

fn refresh_token(session: &Session) -> error::Result<&Secret> {
    let missing = || HttpError::NotSent(Error::invalid_state("it has no refresh token"));
    session.refresh_token.as_ref().ok_or_else(missing)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::net::TcpListener;
    use std::time::Duration;

    use super::*;
    use crate::config::{Configuration, Context, Overrides, Paths};
    use crate::sys::clock::SystemClock;
    use crate::sys::env::Environment;
    use crate::sys::log::StderrLog;

    /// The metadata of a service that is slow would otherwise add its own time limit to a refresh.
    #[test]
    fn a_request_for_metadata_ends_at_the_deadline() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let configuration =
            format!("[providers.acme]\nkind = 'oauth'\nissuer = '{issuer}'\nclient_id = 'x'\n");
        let configuration: Configuration = toml::from_str(&configuration).unwrap();
        let provider = configuration.provider("acme").unwrap();
        let home = tempfile::tempdir().unwrap();
        let (environment, paths) = (Environment::Fixed(HashMap::new()), Paths::at(home.path()));
        let context = Context::new(environment, paths, Overrides::default());
        let network = Network {
            context: &context,
            log: StderrLog::default(),
            descriptions: false,
            deadline: None,
        };
        let endpoints =
            HttpEndpoints { network, clock: &SystemClock, has_no_metadata: Cell::new(false) };
        let started = Instant::now();
        let failed = endpoints.prepare(&provider, started + Duration::from_millis(100)).is_err();
        assert!(failed && started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    }
}
