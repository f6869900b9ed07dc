//! Items of the macOS keychain and the Windows Credential Manager, in the layouts of go-keyring. The tests run the part for
//! Windows under wine; the part for macOS is only compiled.

use std::time::Duration;

use keyring::Entry;
use keyring::Error::{NoEntry, NoStorageAccess, PlatformFailure, TooLong};
use zeroize::Zeroizing;

use super::{KeyringEnvironment, StoreResult, go_keyring, text};
use crate::model::{Item, OffReason, StoreFailure};

/// The size of an item of the Credential Manager (`CRED_MAX_CREDENTIAL_BLOB_SIZE` in wincred.h).
const MAX_BLOB: usize = 5 * 512;

/// The number of reads of an item that another process writes, and the delay between them.
const MAX_READS: u32 = 8;
const READ_DELAY: Duration = Duration::from_millis(10);

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
        let mut reads = 1;
        let stored = loop {
            match entry(item)?.get_secret() {
                Ok(stored) => break Zeroizing::new(stored),
                Err(NoEntry) => return Ok(None),
                // Another process may be writing the item.
                Err(PlatformFailure(_)) if !IS_MACOS && reads < MAX_READS => {
                    reads += 1;
                    std::thread::sleep(READ_DELAY);
                }
                Err(error) => return Err(error.into()),
            }
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
        if value.len() > MAX_BLOB {
            return Err(OffReason::TooLarge { max: MAX_BLOB }.into());
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
            PlatformFailure(cause) => Self::Failed(cause.to_string()),
            _ => Self::Failed("access denied".to_owned()),
        }
    }
}
