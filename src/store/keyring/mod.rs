//! The keyring of the operating system. Never unlocks, never starts a bus, prompts only for `login` on a terminal; no
//! error contains a value.
//!
//! On Linux, items have exactly the attributes that go-keyring uses (`service` and `username`), so that `my` finds
//! them; elsewhere the `keyring` crate is used, in go-keyring's layouts.

use std::cell::Cell;
use std::ffi::OsString;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use zeroize::{Zeroize as _, Zeroizing};

use super::{CredentialStore, PreparedWrite, StoreResult, StoredText};
use crate::config::Context;
use crate::model::{Item, OffReason, Secret, Source, StorageKey, StoreFailure, StoredAt};
use crate::sys::signals;

#[cfg(target_os = "linux")]
mod bus;
pub mod go_keyring;
#[cfg(not(target_os = "linux"))]
mod native;
#[cfg(target_os = "linux")]
mod secret_service;

#[cfg(target_os = "linux")]
use bus::find_address;
#[cfg(not(target_os = "linux"))]
use native::{Session, find_address};
#[cfg(target_os = "linux")]
use secret_service::Session;

/// For the person's answer to a prompt.
const PROMPT_TIMEOUT: Duration = Duration::from_secs(120);

/// The variables and settings that decide whether a keyring is used.
#[derive(Clone, Debug, Default)]
pub struct KeyringEnvironment {
    /// `DBUS_SESSION_BUS_ADDRESS`.
    pub bus_address: Option<OsString>,
    /// `XDG_RUNTIME_DIR`, which has the bus if no address is given.
    pub runtime_dir: Option<OsString>,
    /// Why the keyring must not be used.
    pub off: Option<OffReason>,
    /// Whether the keyring may prompt for the password of its first collection.
    pub may_prompt: bool,
}

impl KeyringEnvironment {
    /// The keyring is off in a home that belongs to another user, as after `sudo`: the session bus is that user's, too.
    fn new(context: &Context) -> Self {
        let Context { environment, paths, overrides, .. } = context;
        let off = if environment.get("MY_NO_KEYRING").is_some() {
            Some(OffReason::Disabled)
        } else {
            paths.is_foreign().then_some(OffReason::ForeignHome)
        };
        Self {
            bus_address: environment.get("DBUS_SESSION_BUS_ADDRESS"),
            runtime_dir: environment.get("XDG_RUNTIME_DIR"),
            off,
            may_prompt: overrides.may_prompt,
        }
    }
}

/// The keyring, which is connected to when it is first used.
pub struct Keyring {
    environment: KeyringEnvironment,
    time_left: Cell<Duration>,
    /// Stays open for the next call: to connect takes longer than a call.
    session: Cell<Option<Session>>,
}

impl Keyring {
    /// A keyring whose calls together take at most `timeout`.
    pub fn new(environment: KeyringEnvironment, timeout: Duration) -> Self {
        Self { environment, time_left: Cell::new(timeout), session: Cell::new(None) }
    }

    pub fn from_env(context: &Context, timeout: Duration) -> Self {
        Self::new(KeyringEnvironment::new(context), timeout)
    }

    /// The value of an item; `None` if the item does not exist.
    pub fn read_item(&self, item: &Item) -> StoreResult<Option<Zeroizing<String>>> {
        let item = item.clone();
        self.run(move |session| session.read(&item))
    }

    /// Makes `value` the only value of the item.
    pub fn write_item(&self, item: &Item, value: &str) -> StoreResult<()> {
        // A keyring program shows the label to the person.
        let label = format!("{} ({})", item.service, item.user);
        let (item, value) = (item.clone(), Zeroizing::new(value.to_owned()));
        self.run(move |session| session.write(&item, &label, &value))
    }

    /// Returns whether the item existed.
    pub fn delete_item(&self, item: &Item) -> StoreResult<bool> {
        let item = item.clone();
        self.run(move |session| session.delete(&item))
    }

    /// Whether the item can be written now, without a new collection.
    pub fn can_write(&self, item: &Item) -> StoreResult<bool> {
        let item = item.clone();
        self.run(move |session| session.can_write(&item))
    }

    /// Creates the collection for new items. The prompt waits for a person.
    fn create_collection(&self) -> StoreResult<()> {
        let time_left = self.time_left.get();
        if self.environment.may_prompt {
            self.time_left.set(PROMPT_TIMEOUT);
        }
        let created = self.run(Session::create_collection);
        self.time_left.set(time_left);
        created.map(drop)
    }

    /// Does the work in a thread, which is abandoned after the timeout: libdbus has no time limit for connecting to a
    /// socket that accepts and never answers. After that every call fails at once, so there is never a second thread.
    fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Session) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        if let Some(reason) = &self.environment.off {
            return Err(reason.clone().into());
        }
        let address = find_address(&self.environment)?;
        let timeout = self.time_left.get();
        if timeout.is_zero() {
            return Err(StoreFailure::TimedOut);
        }
        let (started, session) = (Instant::now(), self.session.take());
        let (sender, receiver) = mpsc::sync_channel(1);
        let in_thread = move || {
            let result = session
                .map_or_else(|| Session::open(&address, timeout), Ok)
                .and_then(|session| Ok((work(&session)?, session)));
            // After the timeout, there is no receiver.
            let _ = sender.send(result);
        };
        let blocked = signals::block_all();
        thread::Builder::new()
            .spawn(in_thread)
            .map_err(|error| StoreFailure::Failed(format!("cannot start a thread: {error}")))?;
        drop(blocked);
        let result = receiver.recv_timeout(timeout);
        self.time_left.set(timeout.saturating_sub(started.elapsed()));
        let (value, session) = result.map_err(|error| match error {
            RecvTimeoutError::Timeout => StoreFailure::TimedOut,
            RecvTimeoutError::Disconnected => {
                StoreFailure::Failed("the call was interrupted".to_owned())
            }
        })??;
        self.session.set(Some(session));
        Ok(value)
    }

    /// Reads an older program's item, and moves its value to the current item.
    fn take_legacy(&self, key: &StorageKey) -> StoreResult<Option<Zeroizing<String>>> {
        let (Some(item), Some(legacy)) = (&key.item, &key.legacy_item) else { return Ok(None) };
        let Some(text) = self.read_item(legacy)? else { return Ok(None) };
        // In a read-only keyring, the old item stays.
        if self.write_item(item, &text).is_ok() {
            let _ = self.delete_item(legacy);
        }
        Ok(Some(text))
    }
}

impl CredentialStore for Keyring {
    fn source(&self) -> Source {
        Source::Keyring
    }

    fn read(&self, key: &StorageKey) -> StoreResult<Option<StoredText>> {
        let Some(item) = &key.item else { return Ok(None) };
        let text = match self.read_item(item)? {
            Some(text) => Some(text),
            None => self.take_legacy(key)?,
        };
        Ok(text.map(|text| StoredText { text: Secret::from(text), warning: None }))
    }

    fn prepare<'a>(&'a self, key: &'a StorageKey, _size: usize) -> StoreResult<PreparedWrite<'a>> {
        let item = key.item.as_ref().ok_or(OffReason::NotUsed)?;
        if !self.can_write(item)? {
            self.create_collection()?;
        }
        Ok(Box::new(move |text| {
            self.write_item(item, text.expose_secret())?;
            Ok(StoredAt::new(Source::Keyring, location(item)))
        }))
    }

    fn location(&self, key: &StorageKey) -> Option<String> {
        key.item.as_ref().map(location)
    }

    fn delete(&self, key: &StorageKey) -> StoreResult<bool> {
        let mut deleted = false;
        for item in [&key.item, &key.legacy_item].into_iter().flatten() {
            deleted |= self.delete_item(item)?;
        }
        Ok(deleted)
    }

    fn check(&self, _: &StorageKey) -> StoreResult<()> {
        let any = Item { service: "".into(), user: "".into() };
        let no_collection = || StoreFailure::Failed("no default collection".to_owned());
        if self.can_write(&any)? { Ok(()) } else { Err(no_collection()) }
    }
}

fn location(item: &Item) -> String {
    format!("{} / {}", item.service, item.user)
}

/// The secret as text. The standard library's error would contain the bytes.
fn text(secret: Vec<u8>) -> StoreResult<Zeroizing<String>> {
    String::from_utf8(secret).map(Zeroizing::new).map_err(|error| {
        error.into_bytes().zeroize();
        StoreFailure::Failed("the item is not UTF-8".to_owned())
    })
}
