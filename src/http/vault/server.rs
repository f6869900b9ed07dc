//! The servers of one cluster. A request goes to one after the other until one of them carries it out or decides; no
//! redirect is followed. A write goes to the next server, too, if its response was lost: a standby may fail to forward for
//! as long as it runs, and a check-and-set cannot be carried out twice. After that, no refusal proves that the first
//! server has not carried it out.

use std::cell::{Cell, OnceCell};
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;

use super::super::client::{Client, Method, Network};
use super::super::error::{HttpError, ServiceError};
use super::super::shared::SharedFailure;
use super::super::tls::Trust;
use crate::model::{Proof, Secret, Text, Timestamp, Vault, VaultLogin};
use crate::sys::clock::Clock;

/// A server that has not answered after this time has failed, if there are others.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// The delay before all servers are tried again, doubled each time.
const FIRST_DELAY: Duration = Duration::from_millis(50);
const MAX_DELAY: Duration = Duration::from_secs(1);

/// The response to a request that has been carried out before.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeated {
    /// The same.
    Same,
    /// A refusal.
    Refused,
}

/// Why a request has no result.
pub(super) enum Refusal {
    /// A server has decided.
    Decision(ServiceError),
    Failure(SharedFailure),
}

impl From<SharedFailure> for Refusal {
    fn from(failure: SharedFailure) -> Self {
        Self::Failure(failure)
    }
}

pub(super) struct Call<'a> {
    pub(super) method: Method,
    pub(super) path: &'a str,
    pub(super) body: Option<&'a Secret>,
    /// Everything secret in the body.
    pub(super) secrets: &'a [&'a Secret],
    pub(super) repeated: Repeated,
}

impl<'a> Call<'a> {
    pub(super) fn get(path: &'a str) -> Self {
        Self { method: Method::GET, path, body: None, secrets: &[], repeated: Repeated::Same }
    }

    pub(super) fn post(path: &'a str, body: &'a Secret) -> Self {
        Self { method: Method::POST, body: Some(body), ..Self::get(path) }
    }
}

pub(super) struct Server<'a> {
    pub(super) network: Network<'a>,
    pub(super) clock: &'a dyn Clock,
    pub(super) deadline: Instant,
    pub(super) addresses: Vec<Text>,
    namespace: Option<Text>,
    trust: Trust,
    clients: Vec<OnceCell<Client>>,
    /// The first to be tried: the one that answered last.
    current: &'a Cell<usize>,
}

impl<'a> Server<'a> {
    pub(super) fn new(
        network: Network<'a>,
        clock: &'a dyn Clock,
        deadline: Instant,
        settings: &Vault,
        current: &'a Cell<usize>,
    ) -> Self {
        let client = match &settings.login {
            VaultLogin::Method { proof: Proof::Certificate { certificate, key, .. }, .. } => {
                Some((certificate.clone(), key.clone()))
            }
            _ => None,
        };
        let setting = "`ca_file` in [stores.vault] of config.toml";
        let ca_file = settings.ca_file.clone().map(|path| (path, setting));
        Self {
            network,
            clock,
            deadline,
            addresses: settings.addresses.clone(),
            namespace: settings.namespace.clone(),
            trust: Trust { ca_file, client },
            clients: settings.addresses.iter().map(|_| OnceCell::new()).collect(),
            current,
        }
    }

    pub(super) fn address(&self) -> &str {
        self.addresses.get(self.current.get()).map_or("", |address| address)
    }

    /// The next request begins with another server.
    pub(super) fn skip(&self) {
        self.current.set((self.current.get() + 1) % self.addresses.len().max(1));
    }

    /// Waits if that ends before the deadline.
    pub(super) fn wait(&self, delay: Duration) -> bool {
        let is_in_time = self.clock.instant() + delay < self.deadline;
        if is_in_time {
            self.clock.sleep(delay);
        }
        is_in_time
    }

    pub(super) fn request<T: DeserializeOwned>(
        &self,
        call: &Call<'_>,
        token: Option<&Secret>,
    ) -> Result<(T, Option<Timestamp>), Refusal> {
        let mut delay = FIRST_DELAY;
        loop {
            let mut round = Round::default();
            let first = self.current.get();
            for offset in 0..self.addresses.len() {
                self.current.set((first + offset) % self.addresses.len());
                let left = self.addresses.len() - offset;
                match self.send(call, token, u32::try_from(left).unwrap_or(u32::MAX)) {
                    Ok(found) => return Ok(found),
                    Err(error) => round.add(self.address(), &error, call.repeated)?,
                }
            }
            self.skip();
            // The caller of a write knows how long it may wait.
            let is_write = call.repeated == Repeated::Refused;
            let is_over = is_write || !round.may_change || !self.wait(delay);
            if is_over {
                return Err(round.failure().into());
            }
            delay = (delay * 2).min(MAX_DELAY);
        }
    }

    /// Sends the request to the current server, and leaves time for the others.
    fn send<T: DeserializeOwned>(
        &self,
        call: &Call<'_>,
        token: Option<&Secret>,
        left: u32,
    ) -> Result<(T, Option<Timestamp>), HttpError> {
        let client = self.client().map_err(HttpError::NotSent)?;
        let now = self.clock.instant();
        let remaining = self.deadline.saturating_duration_since(now);
        if remaining.is_zero() {
            return Err(HttpError::NotConnected("there was no time left".to_owned()));
        }
        let headers = headers(self.namespace.as_deref());
        let share = if left > 1 { ANSWER_TIMEOUT.min(remaining / left) } else { remaining };
        let Call { method, path, body, secrets, .. } = call;
        client.clone().until(now + share).send_json(
            method.clone(),
            path,
            &headers,
            token,
            *body,
            secrets,
        )
    }

    fn client(&self) -> crate::error::Result<&Client> {
        let cell = &self.clients[self.current.get()];
        if let Some(client) = cell.get() {
            return Ok(client);
        }
        let client = Client::for_vault(self.network, self.address(), &self.trust)?;
        Ok(cell.get_or_init(|| client))
    }
}

/// Every API request of Vault has the first one: it proves that no other site made a browser send it.
pub(in crate::http) fn headers(namespace: Option<&str>) -> Vec<(&'static str, &str)> {
    let mut headers = vec![("Content-Type", "application/json"), ("X-Vault-Request", "true")];
    headers.extend(namespace.map(|namespace| ("X-Vault-Namespace", namespace)));
    headers
}

/// Why no server has returned a result.
#[derive(Default)]
struct Round {
    reasons: Vec<String>,
    /// Whether a server may have carried out the request, and its response was lost.
    may_be_done: bool,
    /// Whether the state of a server is one that passes.
    may_change: bool,
    retry_after: Option<u64>,
}

impl Round {
    /// Adds a failure after which the next server gets the request; any other failure is final.
    fn add(&mut self, address: &str, error: &HttpError, repeated: Repeated) -> Result<(), Refusal> {
        self.reasons.push(format!("{address}: {error}"));
        let is_write = repeated == Repeated::Refused;
        // A standby forwards a request. It answers with a redirect, 500 or 503 also if it has lost the response of the
        // active node, which may have carried out the request (`forwardRequest` in http/handler.go of both projects), and
        // a gateway with any status of 500 or more.
        let (refusal, may_be_done) = match error {
            HttpError::NotSent(error) => (Some(failed(&error.message)), false),
            HttpError::NotConnected(_) => (None, false),
            HttpError::NoResponse(_) => (None, true),
            HttpError::Malformed(_) if is_write => (None, true),
            HttpError::Malformed(_) => (Some(failed(&self.reasons.join("; "))), false),
            HttpError::Service(service) => match service.status {
                503 if is_sealed(service) => (None, false),
                // 412, 472, 473 and 474: a replica that is not the right one.
                412 | 429 | 472..=474 => (None, false),
                408 => (None, true),
                400..=499 => (Some(Refusal::Decision(service.clone())), false),
                _ => (None, true),
            },
        };
        self.may_change |=
            error.status().is_some() && !matches!(error, HttpError::Service(it) if is_sealed(it));
        self.retry_after = self.retry_after.max(error.retry_after());
        match refusal {
            Some(_) if self.may_be_done => Err(self.failure().into()),
            Some(refusal) => Err(refusal),
            None => {
                self.may_be_done |= may_be_done && is_write;
                Ok(())
            }
        }
    }

    fn failure(&self) -> SharedFailure {
        let reasons = self.reasons.join("; ");
        if self.may_be_done {
            return SharedFailure::Interrupted(reasons);
        }
        let reason = format!("no server is available ({reasons})");
        match self.retry_after {
            Some(seconds) => {
                SharedFailure::Busy { reason, retry_after: Duration::from_secs(seconds) }
            }
            None => SharedFailure::Unavailable(reason),
        }
    }
}

fn failed(message: &str) -> Refusal {
    SharedFailure::Failed(message.to_owned()).into()
}

/// Only the server itself says so: a sealed server forwards nothing.
fn is_sealed(error: &ServiceError) -> bool {
    error.message.ends_with("is sealed")
}
