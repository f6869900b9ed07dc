//! Items of the macOS keychain and the Windows credential manager, in the layouts of go-keyring. Compiled by hand
//! only: nothing here has run against either system.

use std::time::Duration;

use keyring::Entry;
use keyring::Error::{NoEntry, NoStorageAccess, TooLong};
use zeroize::Zeroizing;

use super::{KeyringEnvironment, text};

use crate::model::{Item, OffReason, StoreFailure};

const IS_MACOS: bool = cfg!(target_os = "macos");

/// Both systems have one keyring, and no address for it.
pub(super) struct Place;

pub(super) fn look(_: &KeyringEnvironment) -> Result<Place, StoreFailure> {
    // Elsewhere `keyring` would answer from a mock that forgets.
    if IS_MACOS || cfg!(windows) { Ok(Place) } else { Err(OffReason::NoKeyring.into()) }
}

/// Nothing is kept open between calls.
pub(super) struct Session;

impl Session {
    #[expect(clippy::unnecessary_wraps, reason = "the Secret Service can fail here")]
    pub(super) fn open(_: &Place, _patience: Duration) -> Result<Self, StoreFailure> {
        Ok(Self)
    }

    #[expect(clippy::unused_self, reason = "the Secret Service keeps a connection")]
    pub(super) fn read(&self, item: &Item) -> Result<Option<Zeroizing<String>>, StoreFailure> {
        let stored = match entry(item)?.get_secret() {
            Ok(stored) => Zeroizing::new(stored),
            Err(NoEntry) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if !IS_MACOS {
            return text(stored.to_vec()).map(Some);
        }
        let garbled =
            || StoreFailure::Failed("the item is not in a form that go-keyring writes".to_owned());
        super::go_keyring::decode(&stored).ok_or_else(garbled).map(Some)
    }

    #[expect(clippy::unused_self, reason = "the Secret Service keeps a connection")]
    pub(super) fn write(&self, item: &Item, _label: &str, value: &str) -> Result<(), StoreFailure> {
        let entry = entry(item)?;
        if IS_MACOS {
            return Ok(entry.set_secret(super::go_keyring::encode(value).as_bytes())?);
        }
        // Not `set_password`, which writes UTF-16.
        Ok(entry.set_secret(value.as_bytes())?)
    }

    #[expect(clippy::unused_self, reason = "the Secret Service keeps a connection")]
    pub(super) fn delete(&self, item: &Item) -> Result<bool, StoreFailure> {
        match entry(item)?.delete_credential() {
            Ok(()) => Ok(true),
            Err(NoEntry) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    #[expect(
        clippy::unused_self,
        clippy::unnecessary_wraps,
        reason = "both systems always have one"
    )]
    pub(super) fn probe(&self) -> Result<(), StoreFailure> {
        Ok(())
    }
}

fn entry(item: &Item) -> keyring::Result<Entry> {
    let Item { service, user } = item;
    if IS_MACOS {
        return Entry::new(service, user);
    }
    Entry::new_with_target(&format!("{service}:{user}"), service, user)
}

impl From<keyring::Error> for StoreFailure {
    fn from(error: keyring::Error) -> Self {
        match error {
            NoStorageAccess(_) => Self::Locked,
            TooLong(_, most) => Self::Failed(format!("it takes no more than {most} bytes")),
            _ => Self::Failed("it refused".to_owned()),
        }
    }
}
