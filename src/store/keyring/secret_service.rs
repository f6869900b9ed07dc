//! Items of the Secret Service, over D-Bus. Never prompts, never unlocks, never lets libdbus start a process; calls do
//! not overlap.
//!
//! The `keyring` crate is not used: it creates no item without an attribute `target` (which `my` does not search for),
//! fails if two items match, unlocks what it finds, and its first call can abort gnome-keyring (see [`Session::open`]).

use std::collections::HashMap;
use std::time::Duration;

use dbus::Path;
use dbus::arg::{AppendAll, ReadAll, RefArg, Variant};
use dbus::blocking::Connection;
use zeroize::Zeroizing;

use super::bus::Address;
use super::{StoreResult, text};
use crate::model::{Item, OffReason, StoreFailure};

const SERVICE: &str = "org.freedesktop.secrets";
const ROOT: &str = "/org/freedesktop/secrets";
/// go-keyring uses this collection, and the default alias only if it does not exist.
const LOGIN: &str = "/org/freedesktop/secrets/collection/login";

const SERVICE_INTERFACE: &str = "org.freedesktop.Secret.Service";
const ITEM: &str = "org.freedesktop.Secret.Item";
const COLLECTION: &str = "org.freedesktop.Secret.Collection";

const UNKNOWN_METHOD: &str = "org.freedesktop.DBus.Error.UnknownMethod";

/// The session, the parameters of an encryption that is not used, the value, its content type.
type Secret<Value> = (Path<'static>, Vec<u8>, Value, String);

/// The unlocked items and the locked ones.
type Resolved = (Vec<Path<'static>>, Vec<Path<'static>>);

/// A connection to the bus.
pub(super) struct Session {
    bus: Connection,
    timeout: Duration,
}

impl Session {
    pub(super) fn open(address: &Address, timeout: Duration) -> StoreResult<Self> {
        let session = Self { bus: Connection::new_address(&address.verify()?)?, timeout };
        // gnome-keyring (seen with 42, reported up to 50) registers a new caller outside its main loop. A first call can
        // precede the registration, and `OpenSession` or a property then aborts the daemon: once in some hundred quick
        // reads (GNOME/gnome-keyring work item 196). A ping needs no registration; the search after it fails at worst.
        session.call::<_, ()>(ROOT, "org.freedesktop.DBus.Peer", "Ping", ())?;
        Ok(session)
    }

    pub(super) fn read(&self, item: &Item) -> StoreResult<Option<Zeroizing<String>>> {
        let Some(path) = self.find(item)?.into_iter().next() else {
            // A service that drops its items while it is locked finds none then.
            return self.collection().map(|_| None);
        };
        let (secret,): (Secret<Vec<u8>>,) =
            self.call(&path, ITEM, "GetSecret", (self.open_session()?,))?;
        text(secret.2).map(Some)
    }

    pub(super) fn write(&self, item: &Item, label: &str, value: &str) -> StoreResult<()> {
        let found = self.find(item)?;
        let Some((first, others)) = found.split_first() else {
            return self.create(item, label, value);
        };
        self.call::<_, ()>(first, ITEM, "SetSecret", (self.secret(value)?,))?;
        // Another item would still have the value that was just replaced.
        others.iter().try_for_each(|path| self.remove(path))
    }

    pub(super) fn delete(&self, item: &Item) -> StoreResult<bool> {
        let found = self.find(item)?;
        found.iter().try_for_each(|path| self.remove(path))?;
        if found.is_empty() { self.collection().map(|_| false) } else { Ok(true) }
    }

    pub(super) fn probe(&self) -> StoreResult<()> {
        self.search(&Item { service: "".into(), user: "".into() })?;
        self.collection().map(drop)
    }

    /// The items with these attributes. The first is the one that `my` uses: in the login collection, without an attribute
    /// that another program added.
    fn find(&self, item: &Item) -> StoreResult<Vec<Path<'static>>> {
        let (mut unlocked, locked) = self.search(item)?;
        if locked.iter().any(is_in_login) || unlocked.is_empty() && !locked.is_empty() {
            return Err(StoreFailure::Locked);
        }
        if unlocked.len() > 1 {
            unlocked.sort_by_cached_key(|path| (!is_in_login(path), !self.is_exact(path)));
        }
        Ok(unlocked)
    }

    /// Searches twice if the first call preceded the registration of the caller (see [`Session::open`]).
    fn search(&self, item: &Item) -> Result<Resolved, dbus::Error> {
        let search = || {
            self.call(ROOT, SERVICE_INTERFACE, "SearchItems", (HashMap::from(attributes(item)),))
        };
        match search() {
            Err(error) if error.name() == Some(UNKNOWN_METHOD) => search(),
            result => result,
        }
    }

    /// Whether no program added an attribute: libsecret and the service itself add `xdg:schema`.
    fn is_exact(&self, path: &Path<'static>) -> bool {
        let is_known =
            |name: &String| ["service", "username", "xdg:schema"].contains(&name.as_str());
        let found: Result<HashMap<String, String>, _> = self.property(path, ITEM, "Attributes");
        found.is_ok_and(|attributes| attributes.keys().all(is_known))
    }

    /// The collection for a new item; an error if it is locked.
    fn collection(&self) -> StoreResult<Path<'static>> {
        let is_locked = |path: &str| self.property::<bool>(path, COLLECTION, "Locked");
        let (path, is_locked) = if let Ok(is_locked) = is_locked(LOGIN) {
            (Path::from(LOGIN), is_locked)
        } else {
            let (path,): (Path<'static>,) =
                self.call(ROOT, SERVICE_INTERFACE, "ReadAlias", ("default",))?;
            if &*path == "/" {
                return Err(StoreFailure::Failed("it has no login collection".to_owned()));
            }
            let is_locked = is_locked(&path)?;
            (path, is_locked)
        };
        if is_locked { Err(StoreFailure::Locked) } else { Ok(path) }
    }

    fn create(&self, item: &Item, label: &str, value: &str) -> StoreResult<()> {
        let attributes: HashMap<_, _> =
            attributes(item).map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let boxed = |value: Box<dyn RefArg>| Variant(value);
        let properties = HashMap::from([
            ("org.freedesktop.Secret.Item.Label", boxed(Box::new(label.to_owned()))),
            ("org.freedesktop.Secret.Item.Attributes", boxed(Box::new(attributes))),
        ]);
        let replace = true;
        let (_, prompt): (Path<'static>, Path<'static>) = self.call(
            &self.collection()?,
            COLLECTION,
            "CreateItem",
            (properties, self.secret(value)?, replace),
        )?;
        require_no_prompt(&prompt)
    }

    fn remove(&self, path: &Path<'static>) -> StoreResult<()> {
        let (prompt,): (Path<'static>,) = self.call(path, ITEM, "Delete", ())?;
        require_no_prompt(&prompt)
    }

    /// A session without encryption: the bus belongs to this user, and Diffie-Hellman would cost 10 ms.
    fn open_session(&self) -> Result<Path<'static>, dbus::Error> {
        let (_, session): (Variant<String>, Path<'static>) =
            self.call(ROOT, SERVICE_INTERFACE, "OpenSession", ("plain", Variant("")))?;
        Ok(session)
    }

    fn secret<'a>(&self, value: &'a str) -> Result<Secret<&'a [u8]>, dbus::Error> {
        Ok((
            self.open_session()?,
            Vec::new(),
            value.as_bytes(),
            "text/plain; charset=utf8".to_owned(),
        ))
    }

    fn property<T>(&self, path: &str, interface: &str, name: &str) -> Result<T, dbus::Error>
    where
        Variant<T>: for<'a> dbus::arg::Get<'a> + dbus::arg::Arg,
    {
        let (Variant(value),): (Variant<T>,) =
            self.call(path, "org.freedesktop.DBus.Properties", "Get", (interface, name))?;
        Ok(value)
    }

    fn call<A: AppendAll, R: ReadAll>(
        &self,
        path: &str,
        interface: &str,
        name: &str,
        args: A,
    ) -> Result<R, dbus::Error> {
        let object = self.bus.with_proxy(SERVICE, path, self.timeout);
        object.method_call(interface, name, args)
    }
}

fn attributes(item: &Item) -> [(&str, &str); 2] {
    [("service", &item.service), ("username", &item.user)]
}

fn is_in_login(path: &Path<'static>) -> bool {
    path.strip_prefix(LOGIN).is_some_and(|rest| rest.starts_with('/'))
}

/// The service offers a prompt if it has not done the work without one. The prompt is never shown.
fn require_no_prompt(prompt: &Path<'static>) -> StoreResult<()> {
    if &**prompt == "/" { Ok(()) } else { Err(StoreFailure::Locked) }
}

impl From<dbus::Error> for StoreFailure {
    fn from(error: dbus::Error) -> Self {
        // The message is the service's, and could contain anything: only the name is used.
        let name = error.name().unwrap_or_default();
        match name.rsplit('.').next().unwrap_or_default() {
            "IsLocked" => Self::Locked,
            "NoReply" | "Timeout" | "TimedOut" => Self::TimedOut,
            "NoServer" | "FileNotFound" | "BadAddress" | "NotSupported" => {
                Self::Off(OffReason::NoSessionBus)
            }
            "ServiceUnknown" | "NameHasNoOwner" => Self::Off(OffReason::NoSecretService),
            _ => Self::Failed(format!("D-Bus error {name}")),
        }
    }
}
