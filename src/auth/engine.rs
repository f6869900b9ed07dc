//! Everything that a tool or a command can request. Knows no command line, no terminal and no process environment: what
//! it needs of the outside are ports, which a test replaces.

use std::time::{Duration, Instant};

use super::GetError;
use crate::config::Context;
use crate::error::{Error, Result};
use crate::http::{HttpEndpoints, Network, TokenEndpoints};
use crate::model::{Capabilities, Operation, Response, Source, StorageKey};
use crate::store::{FileStore, Keyring, Stores};
use crate::sys::clock::{Clock, SystemClock};
use crate::sys::lock::{self, FileLocks, Lock, Locks};
use crate::sys::log::{Log, StderrLog};

/// How long one run may wait for the keyring, all calls together.
const KEYRING_TIMEOUT: Duration = Duration::from_secs(3);

#[derive(Clone, Copy)]
pub struct Engine<'a> {
    pub context: &'a Context,
    pub stores: Stores<'a>,
    pub endpoints: &'a dyn TokenEndpoints,
    pub locks: &'a dyn Locks,
    pub clock: &'a dyn Clock,
    pub log: &'a dyn Log,
    /// For calls to the services that are no part of `get`.
    pub network: Network<'a>,
}

/// Runs `work` with the stores, the services and the clock of this machine. Nothing is connected before it is needed.
pub fn with_engine<T>(context: &Context, work: impl FnOnce(&Engine<'_>) -> T) -> T {
    let keyring = Keyring::from_env(&context.environment, &context.paths, KEYRING_TIMEOUT);
    let file = FileStore::new(&context.paths);
    let log = StderrLog::from_env(&context.environment);
    let network = Network { context, log };
    work(&Engine {
        context,
        stores: Stores { keyring: &keyring, file: &file },
        endpoints: &HttpEndpoints { network, clock: &SystemClock },
        locks: &FileLocks,
        clock: &SystemClock,
        log: &log,
        network,
    })
}

impl Engine<'_> {
    /// Performs an operation of a tool.
    pub fn perform(&self, operation: Operation, protocols: &[&'static str]) -> Result<Response> {
        match operation {
            Operation::Get(request) => self
                .get(&request)
                .map(|found| Response::Found(Box::new(found)))
                .map_err(Error::from),
            Operation::Store(request) => self.store(request),
            Operation::Erase(request) => self.erase(&request).map(Response::Erased),
            Operation::EraseLegacy(url, refused) => self.erase_legacy(&url, refused),
            Operation::List { servable: false } => self.list().map(Response::Listed),
            Operation::List { servable: true } => self.list_servable().map(Response::Listed),
            Operation::Capabilities => {
                self.context.configuration()?;
                Ok(Response::Capabilities(self.capabilities(protocols)))
            }
            Operation::Nothing => Ok(Response::Nothing),
        }
    }

    fn capabilities(&self, protocols: &[&'static str]) -> Capabilities {
        let key = crate::model::Provider::MYCLI.key;
        let keyring = self.stores.keyring.check(&key).err().map(|failure| failure.to_string());
        let file = self.context.paths.in_home("").err().map(|problem| problem.to_string());
        Capabilities {
            protocols: protocols.to_vec(),
            stores: vec![
                (Source::Environment, None),
                (Source::Keyring, keyring),
                (Source::File, file),
            ],
        }
    }

    /// Waits for a lock: `Ok(None)` where another process still holds it at `deadline`.
    pub(super) fn wait_for_lock(
        &self,
        path: &str,
        deadline: Instant,
    ) -> Result<Option<Box<dyn Lock>>> {
        let path = self.context.paths.in_home(path)?;
        loop {
            if let Some(lock) = self.locks.try_lock(&path)? {
                return Ok(Some(lock));
            }
            if self.clock.instant() >= deadline {
                return Ok(None);
            }
            self.clock.sleep(lock::RETRY_DELAY);
        }
    }

    /// The lock for every change of a session.
    pub(super) fn lock_session(
        &self,
        key: &StorageKey,
        timeout: Duration,
    ) -> Result<Box<dyn Lock>> {
        let deadline = self.clock.instant() + timeout;
        self.wait_for_lock(&key.lock, deadline)?
            .ok_or_else(|| super::refresh::lock_timeout(timeout))
    }
}

impl From<GetError> for Error {
    fn from(failure: GetError) -> Self {
        failure.into_error()
    }
}
