//! The keyring of the operating system as three calls on one item, all within one budget of time.
//! Never prompts, never unlocks, never starts a bus, and no error of it holds a value.
//!
//! On Linux, items have exactly the attributes that go-keyring uses (`service` and `username`), so that `my` finds them;
//! elsewhere the `keyring` crate is used, in go-keyring's layouts.

use std::cell::Cell;
use std::ffi::OsString;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use zeroize::{Zeroize as _, Zeroizing};

use crate::config::Paths;
use crate::model::{Item, OffReason, Secret, Source, StorageKey, StoreFailure, StoredAt};
use crate::store::{CredentialStore, PreparedWrite, StoredText};
use crate::sys::env::Environment;

#[cfg(target_os = "linux")]
mod bus;
pub mod go_keyring;
#[cfg(not(target_os = "linux"))]
mod native;
#[cfg(target_os = "linux")]
mod secret_service;

#[cfg(target_os = "linux")]
use bus::look;
#[cfg(not(target_os = "linux"))]
use native as platform;
#[cfg(not(target_os = "linux"))]
use native::look;
#[cfg(target_os = "linux")]
use secret_service as platform;

use platform::Session;

/// The facts of the environment that decide whether there is a keyring at all.
#[derive(Clone, Debug, Default)]
pub struct KeyringEnvironment {
    /// `DBUS_SESSION_BUS_ADDRESS`.
    pub bus_address: Option<OsString>,
    /// `XDG_RUNTIME_DIR`, where the bus is when no address is given.
    pub runtime_dir: Option<OsString>,
    /// Why the keyring is not to be touched.
    pub off: Option<OffReason>,
}

/// The keyring; it is connected to when first asked.
pub struct Keyring {
    surroundings: KeyringEnvironment,
    left: Cell<Duration>,
    /// Kept for the next call: connecting is the dearest part.
    session: Cell<Option<Session>>,
}

impl Keyring {
    /// A keyring whose calls take no more than `budget` all together. Connects to nothing.
    pub fn new(surroundings: KeyringEnvironment, budget: Duration) -> Self {
        Self { surroundings, left: Cell::new(budget), session: Cell::new(None) }
    }

    /// The value of an item; `None` where there is no such item.
    pub fn read(&self, item: &Item) -> Result<Option<Zeroizing<String>>, StoreFailure> {
        let item = item.clone();
        self.within_budget(move |session| session.read(&item))
    }

    /// Makes `value` the one value of the item. `label` is shown to people and must not be secret.
    pub fn write(&self, item: &Item, label: &str, value: &str) -> Result<(), StoreFailure> {
        let (item, label, value) =
            (item.clone(), label.to_owned(), Zeroizing::new(value.to_owned()));
        self.within_budget(move |session| session.write(&item, &label, &value))
    }

    /// Removes the item; whether there was one.
    pub fn delete(&self, item: &Item) -> Result<bool, StoreFailure> {
        let item = item.clone();
        self.within_budget(move |session| session.delete(&item))
    }

    /// Whether an item could be written now.
    pub fn probe(&self) -> Result<(), StoreFailure> {
        self.within_budget(Session::probe)
    }

    /// Does the work in a thread that is left behind when time is up: connecting to a socket that accepts and never
    /// answers has no time limit in libdbus. After that every call fails at once, so there is never a second thread.
    fn within_budget<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Session) -> Result<T, StoreFailure> + Send + 'static,
    ) -> Result<T, StoreFailure> {
        if let Some(reason) = &self.surroundings.off {
            return Err(reason.clone().into());
        }
        let place = look(&self.surroundings)?;
        let left = self.left.get();
        if left.is_zero() {
            return Err(StoreFailure::TimedOut);
        }
        let (started, kept) = (Instant::now(), self.session.take());
        let (sender, answer) = mpsc::sync_channel(1);
        let in_thread = move || {
            let result = kept
                .map_or_else(|| Session::open(&place, left), Ok)
                .and_then(|session| Ok((work(&session)?, session)));
            let _ = sender.send(result); // nobody listens after the budget is used up
        };
        thread::Builder::new()
            .spawn(in_thread)
            .map_err(|error| StoreFailure::Failed(format!("no thread: {error}")))?;
        let answer = answer.recv_timeout(left);
        self.left.set(left.saturating_sub(started.elapsed()));
        let (value, session) = answer.map_err(|error| match error {
            RecvTimeoutError::Timeout => StoreFailure::TimedOut,
            RecvTimeoutError::Disconnected => {
                StoreFailure::Failed("the call was cut short".to_owned())
            }
        })??;
        self.session.set(Some(session));
        Ok(value)
    }
}

/// The secret as text. The error that the standard library has for this would carry the bytes.
fn text(secret: Vec<u8>) -> Result<Zeroizing<String>, StoreFailure> {
    String::from_utf8(secret).map(Zeroizing::new).map_err(|error| {
        error.into_bytes().zeroize();
        StoreFailure::Failed("the item is not UTF-8".to_owned())
    })
}

/// The keyring as a [`CredentialStore`] of slots.
pub struct KeyringStore(Keyring);

impl KeyringStore {
    /// The keyring of this session; none where the home belongs to another user, as after `sudo`: then the session bus
    /// is theirs too, and root may speak on it. Connects to nothing.
    pub fn new(environment: &Environment, paths: &Paths, budget: Duration) -> Self {
        let off = if environment.get("MY_NO_KEYRING").is_some() {
            Some(OffReason::Disabled)
        } else {
            paths.is_foreign().then_some(OffReason::ForeignHome)
        };
        let surroundings = KeyringEnvironment {
            bus_address: environment.get("DBUS_SESSION_BUS_ADDRESS"),
            runtime_dir: environment.get("XDG_RUNTIME_DIR"),
            off,
        };
        Self(Keyring::new(surroundings, budget))
    }

    /// Moves what an older program kept to where it is looked for today.
    fn take_legacy(&self, key: &StorageKey) -> Result<Option<Secret>, StoreFailure> {
        let (Some(item), Some(legacy)) = (&key.item, &key.legacy_item) else { return Ok(None) };
        let Some(text) = self.0.read(legacy)? else { return Ok(None) };
        // A keyring that can be read and not written keeps it where it is.
        if self.0.write(item, &label(item), &text).is_ok() {
            let _ = self.0.delete(legacy);
        }
        Ok(Some(Secret::from(text)))
    }
}

impl CredentialStore for KeyringStore {
    fn source(&self) -> Source {
        Source::Keyring
    }

    fn read(&self, key: &StorageKey) -> Result<Option<StoredText>, StoreFailure> {
        let Some(item) = &key.item else { return Ok(None) };
        let text = match self.0.read(item)? {
            Some(text) => Some(Secret::from(text)),
            None => self.take_legacy(key)?,
        };
        Ok(text.map(|text| StoredText { text, warning: None }))
    }

    fn prepare<'a>(
        &'a self,
        key: &'a StorageKey,
        _size: usize,
    ) -> Result<PreparedWrite<'a>, StoreFailure> {
        let item = key.item.as_ref().ok_or(OffReason::NotUsed)?;
        self.0.probe()?;
        Ok(Box::new(move |text| {
            self.0.write(item, &label(item), text.expose_secret())?;
            Ok(StoredAt { source: Source::Keyring, location: location(item) })
        }))
    }

    fn location(&self, key: &StorageKey) -> Option<String> {
        key.item.as_ref().map(location)
    }

    fn delete(&self, key: &StorageKey) -> Result<bool, StoreFailure> {
        let mut deleted = false;
        for item in [&key.item, &key.legacy_item].into_iter().flatten() {
            deleted |= self.0.delete(item)?;
        }
        Ok(deleted)
    }

    fn check(&self, _: &StorageKey) -> Result<(), StoreFailure> {
        self.0.probe()
    }
}

fn location(item: &Item) -> String {
    format!("{} / {}", item.service, item.user)
}

/// What a keyring program shows to the person.
fn label(item: &Item) -> String {
    format!("{} ({})", item.service, item.user)
}
