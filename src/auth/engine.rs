//! Everything that a tool or a command can request. The engine uses no command line, no terminal and no process
//! environment: it does its I/O through ports, which a test replaces. Three things do not go through a port: the file
//! of the last returned token, the search for the files of an interrupted write, and the delay before an unreadable
//! session is read again.

use std::cell::Cell;
use std::path::Path;
use std::time::Duration;

use crate::config::Context;
use crate::error::Result;
use crate::http::{HttpEndpoints, Network, SharedStores, TokenEndpoints, VaultStores};
use crate::model::{Operation, Provider, Response, Source, StorageKey};
use crate::store::{FileStore, Keyring, Stores};
use crate::sys::clock::{Clock, SystemClock};
use crate::sys::lock::{self, FileLocks, Lock, Locks};
use crate::sys::log::{Log, StderrLog};

/// For all calls of one run together.
const KEYRING_TIMEOUT: Duration = Duration::from_secs(3);

/// For all accounts of a list together.
pub const LIST_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Clone, Copy)]
pub struct Engine<'a> {
    pub context: &'a Context,
    pub stores: Stores<'a>,
    pub endpoints: &'a dyn TokenEndpoints,
    pub shared: &'a dyn SharedStores,
    /// What the command has left for requests to shared stores; without it, each call has a limit of its own.
    pub shared_time: Option<&'a Cell<Duration>>,
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
    let network = Network { context, log, descriptions: false, deadline: None };
    work(&Engine {
        context,
        stores: Stores { keyring: &keyring, file: &file },
        endpoints: &HttpEndpoints {
            network,
            clock: &SystemClock,
            has_no_metadata: Cell::new(false),
        },
        shared: &VaultStores::new(network, &SystemClock),
        shared_time: None,
        locks: &FileLocks,
        clock: &SystemClock,
        log: &log,
        network,
    })
}

impl Engine<'_> {
    pub fn perform(&self, operation: Operation) -> Result<Response> {
        let listed = |(entries, warnings)| Response::Listed(entries, warnings);
        match operation {
            Operation::Get(request) => Ok(Response::Found(Box::new(self.get(&request)?))),
            Operation::Store(request) => self.store(request),
            Operation::Erase(request) => self.erase(&request).map(Response::Erased),
            Operation::EraseLegacy(url, request, error) => self.erase_legacy(&url, &request, error),
            Operation::List => self.in_time(LIST_TIMEOUT, |engine| engine.list().map(listed)),
            Operation::ListServable(tool) => {
                self.in_time(LIST_TIMEOUT, |engine| engine.list_servable(tool).map(listed))
            }
            Operation::Capabilities => {
                self.context.configuration()?;
                Ok(Response::Capabilities(self.store_status()))
            }
            Operation::Nothing => Ok(Response::Nothing),
        }
    }

    /// Runs `work` with a time limit for all requests to shared stores together, since it uses several accounts. A limit
    /// that is in force stays.
    pub fn in_time<T>(&self, timeout: Duration, work: impl FnOnce(&Engine<'_>) -> T) -> T {
        let left = Cell::new(timeout);
        work(&Engine { shared_time: self.shared_time.or(Some(&left)), ..*self })
    }

    /// Spends time on a shared store: at most `timeout`, and at most what the command has left.
    pub fn spend<T>(&self, timeout: Duration, work: impl FnOnce(Duration) -> T) -> T {
        let start = self.clock.instant();
        let done = work(self.shared_time_left().min(timeout));
        if let Some(left) = self.shared_time {
            left.set(left.get().saturating_sub(self.clock.instant() - start));
        }
        done
    }

    pub(super) fn shared_time_left(&self) -> Duration {
        self.shared_time.map_or(Duration::MAX, Cell::get)
    }

    /// Each store, and the reason if it is not available.
    fn store_status(&self) -> Vec<(Source, Option<String>)> {
        // Any key will do: the result is the same for all.
        let keyring = self.stores.keyring.check(&Provider::MYCLI.key).err();
        let file = self.context.paths.in_home("").err();
        vec![
            (Source::Environment, None),
            (Source::Keyring, keyring.map(|failure| failure.to_string())),
            (Source::File, file.map(|problem| problem.to_string())),
        ]
    }

    /// Waits for a lock; `None` if another process still holds it after `timeout`.
    pub(super) fn wait_for_lock(
        &self,
        path: &Path,
        timeout: Duration,
    ) -> Result<Option<Box<dyn Lock>>> {
        Ok(lock::wait(self.locks, self.clock, path, timeout)?)
    }

    /// The lock for every change of a session.
    pub(super) fn lock_session(
        &self,
        key: &StorageKey,
        timeout: Duration,
    ) -> Result<Box<dyn Lock>> {
        self.wait_for_lock(&self.context.paths.in_home(&key.lock)?, timeout)?
            .ok_or_else(|| super::refresh::lock_timeout(timeout))
    }
}
