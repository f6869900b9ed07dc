//! Where credentials are stored. Each [`CredentialStore`] holds texts under a [`StorageKey`]; [`session`] and
//! [`url_credentials`] read and write what the texts mean.

pub mod env;
mod file;
pub mod keyring;
pub mod returned_token;
pub mod session;
pub mod url_credentials;

use crate::config::StoreChoice;
use crate::error::{Error, ErrorCode, Result};
use crate::model::{OffReason, Secret, Source, StorageKey, StoreFailure, StoredAt, Warning};

pub use file::FileStore;
pub use keyring::KeyringStore;

/// A store of texts.
pub trait CredentialStore {
    fn source(&self) -> Source;

    /// The text under a key; `None` where there is none.
    fn read(&self, key: &StorageKey) -> Result<Option<StoredText>, StoreFailure>;

    /// Ensures that a text of `size` bytes can be written, before a refresh token is spent on it.
    fn prepare<'a>(
        &'a self,
        key: &'a StorageKey,
        size: usize,
    ) -> Result<PreparedWrite<'a>, StoreFailure>;

    /// The item or the path of a key, for people; `None` where the store cannot have the key.
    fn location(&self, key: &StorageKey) -> Option<String>;

    /// Removes the text; `false` where there was none.
    fn delete(&self, key: &StorageKey) -> Result<bool, StoreFailure>;

    /// Whether a text could be written under the key now.
    fn check(&self, key: &StorageKey) -> Result<(), StoreFailure>;

    /// The names in a folder below which keys have their files. Empty where the store has no folders.
    fn list(&self, _folder: &str) -> Result<Vec<String>, StoreFailure> {
        Ok(Vec::new())
    }

    fn write(&self, key: &StorageKey, text: &Secret) -> Result<StoredAt, StoreFailure> {
        self.prepare(key, text.expose_secret().len())?(text)
    }
}

/// The second half of a write, after everything that can fail earlier has been checked.
pub type PreparedWrite<'a> = Box<dyn FnOnce(&Secret) -> Result<StoredAt, StoreFailure> + 'a>;

/// A text of a store.
#[derive(Debug)]
pub struct StoredText {
    pub text: Secret,
    /// What was repaired while it was read.
    pub warning: Option<Warning>,
}

/// Both stores that can be written. Which of them holds an older copy is part of the rules, so there are two and no list.
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

    /// Stores a new credential in the keyring; in the file where there is no keyring, where `choice` says so, or where
    /// this kind of credential is not stored in the keyring. A keyring that exists and rejects it is an error.
    pub fn write_new(
        &self,
        choice: Option<StoreChoice>,
        key: &StorageKey,
        text: &Secret,
    ) -> Result<StoredAt> {
        let in_file =
            || self.file.write(key, text).map_err(|cause| Error::invalid_state(cause.to_string()));
        if is_for_file(choice, key) {
            return in_file();
        }
        match self.keyring.write(key, text) {
            Ok(stored) => Ok(stored),
            Err(StoreFailure::Off(_)) if choice.is_none() => in_file(),
            Err(cause) => Err(keyring_error(&cause)),
        }
    }

    /// Whether [`Stores::write_new`] would succeed now.
    pub fn check_new(&self, choice: Option<StoreChoice>, key: &StorageKey) -> Result<()> {
        let keyring = if is_for_file(choice, key) {
            Err(OffReason::NotUsed.into())
        } else {
            self.keyring.check(key)
        };
        match keyring {
            Ok(()) => Ok(()),
            Err(StoreFailure::Off(_)) if choice != Some(StoreChoice::Keyring) => {
                self.file.check(key).map_err(|cause| Error::invalid_state(cause.to_string()))
            }
            Err(cause) => Err(keyring_error(&cause)),
        }
    }
}

fn is_for_file(choice: Option<StoreChoice>, key: &StorageKey) -> bool {
    key.item.is_none() || choice == Some(StoreChoice::File)
}

fn keyring_error(cause: &StoreFailure) -> Error {
    let code = if *cause == StoreFailure::TimedOut {
        ErrorCode::TemporarilyUnavailable
    } else {
        ErrorCode::Internal
    };
    let hint = match cause {
        StoreFailure::Locked => "unlock the keyring, or choose the file: `--store file`",
        _ => "`--store file` keeps the login in a file that only you can read (mode 0600)",
    };
    Error::new(code, format!("the keyring did not take the login: {cause}")).with_hint(hint)
}
