//! Everything that a tool or a command can request. The engine uses no command line, no terminal and no process
//! environment: it reaches the outside through ports, which a test replaces. Three things are outside the ports: the file of
//! a returned token, the search for the files of an interrupted write, and the delay before an unreadable session is read
//! again.

use std::path::Path;
use std::time::{Duration, Instant};

use super::GetError;
use crate::config::Context;
use crate::error::{Error, Result};
use crate::http::{HttpEndpoints, Network, SharedStores, TokenEndpoints, VaultStores};
use crate::model::{Capabilities, Operation, Provider, Response, Source, StorageKey};
use crate::store::{FileStore, Keyring, Stores};
use crate::sys::clock::{Clock, SystemClock};
use crate::sys::lock::{self, FileLocks, Lock, Locks};
use crate::sys::log::{Log, StderrLog};

/// For all calls of one run together.
const KEYRING_TIMEOUT: Duration = Duration::from_secs(3);

#[derive(Clone, Copy)]
pub struct Engine<'a> {
    pub context: &'a Context,
    pub stores: Stores<'a>,
    pub endpoints: &'a dyn TokenEndpoints,
    pub shared: &'a dyn SharedStores,
    pub locks: &'a dyn Locks,
    pub clock: &'a dyn Clock,
    pub log: &'a dyn Log,
    /// For calls to the services that `get` does not make.
    pub network: Network<'a>,
}

/// Runs `work` with the stores, the services and the clock of this machine. Each is connected when it is first used.
pub fn with_engine<T>(context: &Context, work: impl FnOnce(&Engine<'_>) -> T) -> T {
    let keyring = Keyring::from_env(context, KEYRING_TIMEOUT);
    let file = FileStore::new(&context.paths);
    let log = StderrLog::from_env(&context.environment);
    let network = Network { context, log, descriptions: false };
    work(&Engine {
        context,
        stores: Stores { keyring: &keyring, file: &file },
        endpoints: &HttpEndpoints { network, clock: &SystemClock },
        shared: &VaultStores { network, clock: &SystemClock },
        locks: &FileLocks,
        clock: &SystemClock,
        log: &log,
        network,
    })
}

impl Engine<'_> {
    pub fn perform(&self, operation: Operation, protocols: &[&'static str]) -> Result<Response> {
        match operation {
            Operation::Get(request) => Ok(Response::Found(Box::new(self.get(&request)?))),
            Operation::Store(request) => self.store(request),
            Operation::Erase(request) => self.erase(&request).map(Response::Erased),
            Operation::EraseLegacy(url, request, error) => self.erase_legacy(&url, &request, error),
            Operation::List => {
                self.list().map(|(listed, warnings)| Response::Listed(listed, warnings))
            }
            Operation::ListServable(tool) => self
                .list_servable(tool)
                .map(|(listed, warnings)| Response::Listed(listed, warnings)),
            Operation::Capabilities => {
                self.context.configuration()?;
                Ok(Response::Capabilities(self.capabilities(protocols)))
            }
            Operation::Nothing => Ok(Response::Nothing),
        }
    }

    fn capabilities(&self, protocols: &[&'static str]) -> Capabilities {
        let keyring = self.stores.keyring.check(&Provider::MYCLI.key).err();
        let file = self.context.paths.in_home("").err();
        let stores = vec![
            (Source::Environment, None),
            (Source::Keyring, keyring.map(|failure| failure.to_string())),
            (Source::File, file.map(|problem| problem.to_string())),
        ];
        Capabilities { protocols: protocols.to_vec(), stores }
    }

    /// Waits for a lock; `None` if another process still holds it at `deadline`.
    pub(super) fn wait_for_lock(
        &self,
        path: &str,
        deadline: Instant,
    ) -> Result<Option<Box<dyn Lock>>> {
        self.wait_for_lock_at(&self.context.paths.in_home(path)?, deadline)
    }

    pub(super) fn wait_for_lock_at(
        &self,
        path: &Path,
        deadline: Instant,
    ) -> Result<Option<Box<dyn Lock>>> {
        loop {
            if let Some(lock) = self.locks.try_lock(path)? {
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
