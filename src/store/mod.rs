//! Where credentials are stored: texts under a [`StorageKey`], which [`session`] and [`url_credentials`] encode.

pub mod env;
mod file;
pub mod fleet;
pub mod identity;
pub mod job_cache;
pub mod keyring;
pub mod left;
pub mod owner;
pub mod returned_token;
pub mod session;
pub mod url_credentials;

use crate::config::StoreChoice;
use crate::error::{Error, ErrorCode, Result};
use crate::model::{OffReason, Secret, Source, StorageKey, StoreFailure, StoredAt, Warning};

pub use file::FileStore;
pub use keyring::Keyring;

pub type StoreResult<T> = Result<T, StoreFailure>;

pub trait CredentialStore {
    fn source(&self) -> Source;

    /// The text under a key, if any.
    fn read(&self, key: &StorageKey) -> StoreResult<Option<StoredText>>;

    /// Detects what would prevent the write of a text, before a refresh token is spent on it: reserves `size` bytes in a
    /// file, and finds or creates the collection of a keyring.
    fn prepare<'a>(&'a self, key: &'a StorageKey, size: usize) -> StoreResult<PreparedWrite<'a>>;

    /// The item or the path of a key, for people; `None` if the store cannot have the key.
    fn location(&self, key: &StorageKey) -> Option<String>;

    /// Returns whether there was a text.
    fn delete(&self, key: &StorageKey) -> StoreResult<bool>;

    /// Whether a text could be written under the key now.
    fn check(&self, key: &StorageKey) -> StoreResult<()>;

    /// The names of the files in a directory of keys. A store without files has none.
    fn list(&self, _directory: &str) -> StoreResult<Vec<String>> {
        Ok(Vec::new())
    }

    fn write(&self, key: &StorageKey, text: &Secret) -> StoreResult<StoredAt> {
        self.prepare(key, text.expose_secret().len())?(text)
    }
}

/// The second half of a write, after everything that can fail earlier has been checked.
pub type PreparedWrite<'a> = Box<dyn FnOnce(&Secret) -> StoreResult<StoredAt> + 'a>;

#[derive(Debug)]
pub struct StoredText {
    pub text: Secret,
    /// The repair that the read made.
    pub warning: Option<Warning>,
}

/// The two stores of this machine that can be written.
#[derive(Clone, Copy)]
pub struct Stores<'a> {
    pub keyring: &'a dyn CredentialStore,
    pub file: &'a dyn CredentialStore,
}

impl<'a> Stores<'a> {
    /// In the order in which they are read.
    pub fn in_order(&self) -> [&'a dyn CredentialStore; 2] {
        [self.keyring, self.file]
    }

    pub fn get(&self, source: Source) -> &'a dyn CredentialStore {
        if source == Source::Keyring { self.keyring } else { self.file }
    }

    /// Stores a new credential in the keyring; in the file if there is no keyring, if `choice` is the file, or if this
    /// kind of credential is not stored in the keyring. A keyring that exists and rejects the credential is an error. A
    /// keyring that the environment names and that cannot be used is a warning.
    pub fn write_new(
        &self,
        choice: Option<StoreChoice>,
        key: &StorageKey,
        text: &Secret,
    ) -> Result<StoredAt> {
        let in_file = || self.file.write(key, text).map_err(file_error);
        if is_for_file(choice, key)? {
            return in_file();
        }
        match self.keyring.write(key, text) {
            Err(StoreFailure::Off(reason)) if choice.is_none() => {
                let stored = in_file()?;
                let location = stored.location.clone();
                let warning = reason.variable().map(|variable| Warning::KeyringNotUsed {
                    variable,
                    reason,
                    location,
                });
                Ok(StoredAt { warning, ..stored })
            }
            result => {
                let stored = result.map_err(keyring_error)?;
                left::forget(self, key);
                Ok(stored)
            }
        }
    }

    /// Detects what would make [`Stores::write_new`] fail.
    pub fn check_new(&self, choice: Option<StoreChoice>, key: &StorageKey) -> Result<()> {
        let in_file = || self.file.check(key).map_err(file_error);
        if is_for_file(choice, key)? {
            return in_file();
        }
        // `prepare` creates a missing collection of the keyring, before the person logs in.
        match self.keyring.prepare(key, 0) {
            Err(StoreFailure::Off(_)) if choice.is_none() => in_file(),
            result => result.map(drop).map_err(keyring_error),
        }
    }
}

/// Whether a new credential is for the file even if there is a keyring. An error if the chosen store cannot have it.
fn is_for_file(choice: Option<StoreChoice>, key: &StorageKey) -> Result<bool> {
    match choice {
        Some(StoreChoice::Keyring) if key.item.is_none() => {
            Err(keyring_error(OffReason::NotUsed.into()))
        }
        Some(StoreChoice::File) => Ok(true),
        _ => Ok(key.item.is_none()),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn file_error(cause: StoreFailure) -> Error {
    Error::invalid_state(cause.to_string())
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn keyring_error(cause: StoreFailure) -> Error {
    let is_late = cause == StoreFailure::TimedOut;
    let code = if is_late { ErrorCode::TemporarilyUnavailable } else { ErrorCode::Internal };
    let hint = match cause {
        StoreFailure::Locked => "unlock the keyring, or use `--store file`",
        _ => "use `--store file` to store the session in a file that only you can read (mode 0600)",
    };
    Error::new(code, format!("could not save the session to the keyring: {cause}")).with_hint(hint)
}
