//! A store of sessions that many machines share: the port of `auth/fleet`, which `http/vault` implements.

use std::time::{Duration, Instant};

use crate::error;
use crate::model::{Provider, SharedPart, SharedRecord, Snapshot};

pub trait SharedStores {
    /// The shared store of a provider's account. Sends no request yet; no later one outlives `deadline`.
    fn open<'a>(
        &'a self,
        provider: &'a Provider,
        deadline: Instant,
    ) -> error::Result<Box<dyn SharedStore + 'a>>;
}

pub trait SharedStore {
    /// May return an old version, except after a successful [`SharedStore::compare_and_set`] of it or a later one.
    fn read(&self, part: SharedPart) -> Result<Snapshot, SharedFailure>;

    /// Writes the record if `version` is the current one of the whole cluster; returns the version that was written.
    fn compare_and_set(
        &self,
        part: SharedPart,
        version: u64,
        record: &SharedRecord,
    ) -> Result<u64, SharedFailure>;

    /// The address and the path of a record, for people.
    fn location(&self, part: SharedPart) -> String;

    /// Whether a location is that of the record, by the address of any server of the cluster.
    fn is_location(&self, part: SharedPart, text: &str) -> bool {
        text == self.location(part)
    }
}

/// Why a request to a shared store failed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum SharedFailure {
    /// The check-and-set was refused, and nothing was written. The version is not the current one, or the server that
    /// answered lags behind and refused a correct one: only a later read tells.
    #[error("the record has been changed meanwhile")]
    Refused,
    /// The request may have been carried out: its response was lost.
    #[error("{0}")]
    Interrupted(String),
    /// No server carried out the request: sealed, without a leader, unreachable.
    #[error("{0}")]
    Unavailable(String),
    /// A server that carried out nothing asks for a delay (`Retry-After`).
    #[error("{reason}")]
    Busy { reason: String, retry_after: Duration },
    /// The policy of this machine does not allow it. The text has the path and the missing line of the policy.
    #[error("{0}")]
    Denied(String),
    /// Anything else: a record that cannot be decoded, a mount that is not version 2.
    #[error("{0}")]
    Failed(String),
}
