//! Items of the macOS keychain and the Windows credential manager, in the layouts of go-keyring. Only compiled: nothing
//! here has run against either system.

use std::time::Duration;

use keyring::Entry;
use keyring::Error::{NoEntry, NoStorageAccess, TooLong};
use zeroize::Zeroizing;

use super::{KeyringEnvironment, StoreResult, go_keyring, text};
use crate::model::{Item, OffReason, StoreFailure};

const IS_MACOS: bool = cfg!(target_os = "macos");

/// Both systems have one keyring, without an address.
pub(super) struct Address;

pub(super) fn find_address(_: &KeyringEnvironment) -> Result<Address, OffReason> {
    // On another system `keyring` would use a mock that stores nothing.
    if IS_MACOS || cfg!(windows) { Ok(Address) } else { Err(OffReason::NoKeyring) }
}

/// Each call opens its entry, without a connection.
pub(super) struct Session;

#[expect(clippy::unused_self, reason = "the Secret Service has a connection")]
impl Session {
    #[expect(clippy::unnecessary_wraps, reason = "the Secret Service can fail here")]
    pub(super) fn open(_: &Address, _timeout: Duration) -> StoreResult<Self> {
        Ok(Self)
    }

    pub(super) fn read(&self, item: &Item) -> StoreResult<Option<Zeroizing<String>>> {
        let stored = match entry(item)?.get_secret() {
            Ok(stored) => Zeroizing::new(stored),
            Err(NoEntry) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if !IS_MACOS {
            return text(stored.to_vec()).map(Some);
        }
        let invalid =
            || StoreFailure::Failed("the item is not in a form that go-keyring writes".to_owned());
        go_keyring::decode(&stored).ok_or_else(invalid).map(Some)
    }

    pub(super) fn write(&self, item: &Item, _label: &str, value: &str) -> StoreResult<()> {
        let entry = entry(item)?;
        if IS_MACOS {
            return Ok(entry.set_secret(go_keyring::encode(value).as_bytes())?);
        }
        // `set_password` would write UTF-16.
        Ok(entry.set_secret(value.as_bytes())?)
    }

    pub(super) fn delete(&self, item: &Item) -> StoreResult<bool> {
        match entry(item)?.delete_credential() {
            Ok(()) => Ok(true),
            Err(NoEntry) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    #[expect(clippy::unnecessary_wraps, reason = "the Secret Service can fail here")]
    pub(super) fn can_write(&self, _: &Item) -> StoreResult<bool> {
        Ok(true)
    }

    #[expect(clippy::unnecessary_wraps, reason = "the Secret Service can fail here")]
    pub(super) fn create_collection(&self) -> StoreResult<()> {
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
            TooLong(_, max) => Self::Failed(format!("a value must not exceed {max} bytes")),
            _ => Self::Failed("access denied".to_owned()),
        }
    }
}
