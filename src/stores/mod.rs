//! The places where credentials are kept. Each is a small [`Store`] of texts in [`Slot`]s; what the texts mean is said
//! by [`session`] and [`logins`].

pub mod file;
pub mod handed;
pub mod keyring;
pub mod logins;
pub mod session;
pub mod variable;

use std::borrow::Cow;
use std::fmt;

use crate::configuration::StoreChoice;
use crate::error::{Code, Error, Result as OurResult};
use crate::paths::Paths;
use crate::provider::Slot;
use crate::reply::{Source, Stored};
use crate::secret::Secret;

/// A place that keeps texts.
pub trait Store {
    /// Which place it is.
    fn source(&self) -> Source;

    /// The text in a slot; `None` where there is none.
    fn read(&self, slot: &Slot) -> Result<Option<Secret>, Unavailable>;

    /// Makes sure that a text of `size` bytes can be written, before something that works once is spent on it.
    fn prepare<'a>(&'a self, slot: &'a Slot, size: usize) -> Result<Write<'a>, Unavailable>;

    /// Removes the text; `false` where there was none.
    fn delete(&self, slot: &Slot) -> Result<bool, Unavailable>;

    /// Writes a text in one go.
    fn write(&self, slot: &Slot, text: &Secret) -> Result<Stored, Unavailable> {
        self.prepare(slot, text.expose_secret().len())?(text)
    }
}

/// The second half of a write: all that can be made sure of has been.
pub type Write<'a> = Box<dyn FnOnce(&Secret) -> Result<Stored, Unavailable> + 'a>;

/// Why a place did not answer. The texts are reasons in a few words; never a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unavailable {
    /// It is not there, or switched off: another place may take what was meant for it.
    Off(Cow<'static, str>),
    /// It is there and locked.
    Locked,
    /// It is there and did not answer in time.
    TimedOut,
    /// It is there and cannot be used.
    Failed(String),
}

impl fmt::Display for Unavailable {
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
    pub fn in_order(&self) -> [&dyn Store; 2] {
        [self.keyring, &self.file]
    }

    /// The store of that name.
    pub fn of(&self, source: Source) -> &dyn Store {
        if source == Source::Keyring { self.keyring } else { &self.file }
    }

    /// Keeps a new login: in the keyring, or in the file where there is no keyring or the user wants it so. A keyring
    /// that is there and refuses is an error, never a silent move to a plain file.
    pub fn write_new(&self, slot: &Slot, text: &Secret) -> OurResult<Stored> {
        let in_file =
            || self.file.write(slot, text).map_err(|cause| Error::invalid_state(cause.to_string()));
        if self.keeps_in_file(slot) {
            return in_file();
        }
        match self.keyring.write(slot, text) {
            Ok(stored) => Ok(stored),
            Err(Unavailable::Off(_)) if self.choice.is_none() => in_file(),
            Err(cause) => Err(refused(&cause)),
        }
    }

    /// Whether a new login could be kept, before anybody takes the trouble to get one.
    pub fn check_new(&self, slot: &Slot) -> OurResult<()> {
        let keyring = if self.keeps_in_file(slot) {
            Err(Unavailable::Off("".into()))
        } else {
            self.keyring.probe()
        };
        match keyring {
            Ok(()) => Ok(()),
            Err(Unavailable::Off(_)) if self.choice != Some(StoreChoice::Keyring) => self
                .file
                .prepare(slot, 1)
                .map(drop)
                .map_err(|cause| Error::invalid_state(cause.to_string())),
            Err(cause) => Err(refused(&cause)),
        }
    }

    fn keeps_in_file(&self, slot: &Slot) -> bool {
        slot.item.is_none() || self.choice == Some(StoreChoice::File)
    }
}

fn refused(cause: &Unavailable) -> Error {
    let code =
        if *cause == Unavailable::TimedOut { Code::TemporarilyUnavailable } else { Code::Internal };
    let hint = match cause {
        Unavailable::Locked => "unlock the keyring, or choose the file: `--store file`",
        _ => "`--store file` keeps the login in a file that only you can read (mode 0600)",
    };
    Error::new(code, format!("the keyring did not take the login: {cause}")).with_hint(hint)
}
