//! The places where credentials are kept. Each is a small [`CredentialStore`] of texts in [`StorageKey`]s; what the texts mean is said
//! by [`session`] and [`logins`].

pub mod env;
pub mod file;
pub mod handed_out;
pub mod keyring;
pub mod session;
pub mod url_credentials;

use std::borrow::Cow;
use std::fmt;

use crate::config::StoreChoice;
use crate::config::paths::Paths;
use crate::error::{Error, ErrorCode, Result as OurResult};
use crate::model::provider::StorageKey;
use crate::model::request::{Source, StoredAt};
use crate::model::secret::Secret;

/// A place that keeps texts.
pub trait CredentialStore {
    /// Which place it is.
    fn source(&self) -> Source;

    /// The text in a slot; `None` where there is none.
    fn read(&self, slot: &StorageKey) -> Result<Option<Secret>, StoreFailure>;

    /// Makes sure that a text of `size` bytes can be written, before something that works once is spent on it.
    fn prepare<'a>(&'a self, slot: &'a StorageKey, size: usize) -> Result<Write<'a>, StoreFailure>;

    /// Removes the text; `false` where there was none.
    fn delete(&self, slot: &StorageKey) -> Result<bool, StoreFailure>;

    /// Writes a text in one go.
    fn write(&self, slot: &StorageKey, text: &Secret) -> Result<StoredAt, StoreFailure> {
        self.prepare(slot, text.expose_secret().len())?(text)
    }
}

/// The second half of a write: all that can be made sure of has been.
pub type Write<'a> = Box<dyn FnOnce(&Secret) -> Result<StoredAt, StoreFailure> + 'a>;

/// Why a place did not answer. The texts are reasons in a few words; never a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreFailure {
    /// It is not there, or switched off: another place may take what was meant for it.
    Off(Cow<'static, str>),
    /// It is there and locked.
    Locked,
    /// It is there and did not answer in time.
    TimedOut,
    /// It is there and cannot be used.
    Failed(String),
}

impl fmt::Display for StoreFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off(reason) => f.write_str(reason),
            Self::Failed(reason) => f.write_str(reason),
            Self::Locked => f.write_str("locked"),
            Self::TimedOut => f.write_str("did not answer in time"),
        }
    }
}

/// Every place that can be written, and where new logins go.
pub struct Stores<'a> {
    /// Where files lie.
    pub paths: &'a Paths,
    /// The keyring of the operating system.
    pub keyring: &'a keyring::KeyringStore,
    /// Files below the home directory.
    pub file: file::FileStore<'a>,
    /// What the user chose; the keyring, where there is one, otherwise.
    pub choice: Option<StoreChoice>,
}

impl Stores<'_> {
    /// In the order in which they are asked.
    pub fn in_order(&self) -> [&dyn CredentialStore; 2] {
        [self.keyring, &self.file]
    }

    /// The store of that name.
    pub fn of(&self, source: Source) -> &dyn CredentialStore {
        if source == Source::Keyring { self.keyring } else { &self.file }
    }

    /// Keeps a new login: in the keyring, or in the file where there is no keyring or the user wants it so. A keyring
    /// that is there and refuses is an error, never a silent move to a plain file.
    pub fn write_new(&self, slot: &StorageKey, text: &Secret) -> OurResult<StoredAt> {
        let in_file =
            || self.file.write(slot, text).map_err(|cause| Error::invalid_state(cause.to_string()));
        if self.keeps_in_file(slot) {
            return in_file();
        }
        match self.keyring.write(slot, text) {
            Ok(stored) => Ok(stored),
            Err(StoreFailure::Off(_)) if self.choice.is_none() => in_file(),
            Err(cause) => Err(refused(&cause)),
        }
    }

    /// Whether a new login could be kept, before anybody takes the trouble to get one.
    pub fn check_new(&self, slot: &StorageKey) -> OurResult<()> {
        let keyring = if self.keeps_in_file(slot) {
            Err(StoreFailure::Off("".into()))
        } else {
            self.keyring.probe()
        };
        match keyring {
            Ok(()) => Ok(()),
            Err(StoreFailure::Off(_)) if self.choice != Some(StoreChoice::Keyring) => self
                .file
                .prepare(slot, 1)
                .map(drop)
                .map_err(|cause| Error::invalid_state(cause.to_string())),
            Err(cause) => Err(refused(&cause)),
        }
    }

    fn keeps_in_file(&self, slot: &StorageKey) -> bool {
        slot.item.is_none() || self.choice == Some(StoreChoice::File)
    }
}

fn refused(cause: &StoreFailure) -> Error {
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
