//! Items of the Secret Service on the session bus, spoken to directly. Never prompts, never unlocks, never lets libdbus
//! start a process, never lets two calls overlap.
//!
//! Not through the `keyring` crate: it creates no item without a `target` attribute (which `my` does not look for),
//! fails where two items match, unlocks what it finds, and its first call is one of those that can abort
//! gnome-keyring (see [`Session::open`]). `dbus` is the crate under it.

use std::collections::HashMap;
use std::time::Duration;

use dbus::Path;
use dbus::arg::{AppendAll, ReadAll, RefArg, Variant};
use dbus::blocking::Connection;
use zeroize::Zeroizing;

use super::text;
use crate::model::{Item, OffReason, StoreFailure};

const SERVICE: &str = "org.freedesktop.secrets";
const ROOT: &str = "/org/freedesktop/secrets";
/// go-keyring looks here, and under the default alias only where this does not exist.
const LOGIN: &str = "/org/freedesktop/secrets/collection/login";

const FRONT: &str = "org.freedesktop.Secret.Service";
const ITEM: &str = "org.freedesktop.Secret.Item";
const COLLECTION: &str = "org.freedesktop.Secret.Collection";

const UNKNOWN_METHOD: &str = "org.freedesktop.DBus.Error.UnknownMethod";

const NO_BUS: StoreFailure = StoreFailure::Off(OffReason::NoSessionBus);

/// The session, parameters of an encryption that is not used, the value, its kind.
type Secret<Value> = (Path<'static>, Vec<u8>, Value, String);

/// The unlocked items and the locked ones.
type Resolved = (Vec<Path<'static>>, Vec<Path<'static>>);

/// A connection to the bus.
pub(super) struct Session {
    bus: Connection,
    patience: Duration,
}

impl Session {
    pub(super) fn open(address: &str, patience: Duration) -> Result<Self, StoreFailure> {
        let session = Self { bus: Connection::new_address(address)?, patience };
        // gnome-keyring (seen with 42, reported up to 50) notes a new caller beside its main loop. A first call can
        // overtake the note, and `OpenSession` or a property then aborts the daemon: once in some hundred quick
        // look-ups (GNOME/gnome-keyring work item 196). A ping needs no note; a search follows, which fails at worst.
        session.call::<_, ()>(ROOT, "org.freedesktop.DBus.Peer", "Ping", ())?;
        Ok(session)
    }

    pub(super) fn read(&self, item: &Item) -> Result<Option<Zeroizing<String>>, StoreFailure> {
        let Some(path) = self.find(item)?.into_iter().next() else {
            // A service that forgets its items while it is locked finds none then.
            return self.home().map(|_| None);
        };
        let (secret,): (Secret<Vec<u8>>,) =
            self.call(&path, ITEM, "GetSecret", (self.plain()?,))?;
        text(secret.2).map(Some)
    }

    pub(super) fn write(&self, item: &Item, label: &str, value: &str) -> Result<(), StoreFailure> {
        let found = self.find(item)?;
        let Some((first, others)) = found.split_first() else {
            return self.create(item, label, value);
        };
        self.call::<_, ()>(first, ITEM, "SetSecret", (self.secret(value)?,))?;
        // A second item would go on holding what was just replaced.
        others.iter().try_for_each(|path| self.remove(path))
    }

    pub(super) fn delete(&self, item: &Item) -> Result<bool, StoreFailure> {
        let found = self.find(item)?;
        found.iter().try_for_each(|path| self.remove(path))?;
        if found.is_empty() { self.home().map(|_| false) } else { Ok(true) }
    }

    pub(super) fn probe(&self) -> Result<(), StoreFailure> {
        self.search(&Item { service: "".into(), user: "".into() })?;
        self.home().map(drop)
    }

    /// The items with these attributes, first the one that `my` would use: in the login collection, and without an
    /// attribute that another program added.
    fn find(&self, item: &Item) -> Result<Vec<Path<'static>>, StoreFailure> {
        let (mut unlocked, locked) = self.search(item)?;
        if locked.iter().any(is_at_home) || unlocked.is_empty() && !locked.is_empty() {
            return Err(StoreFailure::Locked);
        }
        if unlocked.len() > 1 {
            unlocked.sort_by_cached_key(|path| (!is_at_home(path), !self.is_exact(path)));
        }
        Ok(unlocked)
    }

    /// Once more where the first call of this connection came before the note of the caller (see [`Session::open`]).
    fn search(&self, item: &Item) -> Result<Resolved, dbus::Error> {
        let ask = || self.call(ROOT, FRONT, "SearchItems", (HashMap::from(attributes(item)),));
        ask().or_else(|error| if error.name() == Some(UNKNOWN_METHOD) { ask() } else { Err(error) })
    }

    /// `xdg:schema` is added by libsecret and by the service itself.
    fn is_exact(&self, path: &Path<'static>) -> bool {
        let is_known =
            |name: &String| ["service", "username", "xdg:schema"].contains(&name.as_str());
        let found: Result<HashMap<String, String>, _> = self.property(path, ITEM, "Attributes");
        found.is_ok_and(|attributes| attributes.keys().all(is_known))
    }

    /// The collection that a new item goes to, where it is not locked.
    fn home(&self) -> Result<Path<'static>, StoreFailure> {
        let is_locked = |path: &str| self.property::<bool>(path, COLLECTION, "Locked");
        let (home, is_locked) = if let Ok(is_locked) = is_locked(LOGIN) {
            (Path::from(LOGIN), is_locked)
        } else {
            let (home,): (Path<'static>,) = self.call(ROOT, FRONT, "ReadAlias", ("default",))?;
            if &*home == "/" {
                return Err(StoreFailure::Failed("it has no login collection".to_owned()));
            }
            let is_locked = is_locked(&home)?;
            (home, is_locked)
        };
        if is_locked { Err(StoreFailure::Locked) } else { Ok(home) }
    }

    fn create(&self, item: &Item, label: &str, value: &str) -> Result<(), StoreFailure> {
        let attributes: HashMap<_, _> =
            attributes(item).map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let boxed = |value: Box<dyn RefArg>| Variant(value);
        let properties = HashMap::from([
            ("org.freedesktop.Secret.Item.Label", boxed(Box::new(label.to_owned()))),
            ("org.freedesktop.Secret.Item.Attributes", boxed(Box::new(attributes))),
        ]);
        let replace = true;
        let (_, prompt): (Path<'static>, Path<'static>) = self.call(
            &self.home()?,
            COLLECTION,
            "CreateItem",
            (properties, self.secret(value)?, replace),
        )?;
        done_without(&prompt)
    }

    fn remove(&self, path: &Path<'static>) -> Result<(), StoreFailure> {
        let (prompt,): (Path<'static>,) = self.call(path, ITEM, "Delete", ())?;
        done_without(&prompt)
    }

    /// A session without encryption: the bus belongs to this user, and Diffie-Hellman would cost 10 ms.
    fn plain(&self) -> Result<Path<'static>, dbus::Error> {
        let nothing = ("plain", Variant(""));
        let (_, session): (Variant<String>, Path<'static>) =
            self.call(ROOT, FRONT, "OpenSession", nothing)?;
        Ok(session)
    }

    fn secret<'a>(&self, value: &'a str) -> Result<Secret<&'a [u8]>, dbus::Error> {
        Ok((self.plain()?, Vec::new(), value.as_bytes(), "text/plain; charset=utf8".to_owned()))
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
        let object = self.bus.with_proxy(SERVICE, path, self.patience);
        object.method_call(interface, name, args)
    }
}

fn attributes(item: &Item) -> [(&str, &str); 2] {
    [("service", &item.service), ("username", &item.user)]
}

fn is_at_home(path: &Path<'static>) -> bool {
    path.strip_prefix(LOGIN).is_some_and(|rest| rest.starts_with('/'))
}

/// A prompt that is offered is never shown: what needs one has not happened.
fn done_without(prompt: &Path<'static>) -> Result<(), StoreFailure> {
    if &**prompt == "/" { Ok(()) } else { Err(StoreFailure::Locked) }
}

impl From<dbus::Error> for StoreFailure {
    fn from(error: dbus::Error) -> Self {
        // The message stays unread: it is the service's, and could repeat anything.
        let name = error.name().unwrap_or_default();
        match name.rsplit('.').next().unwrap_or_default() {
            "IsLocked" => Self::Locked,
            "NoReply" | "Timeout" | "TimedOut" => Self::TimedOut,
            "NoServer" | "FileNotFound" | "BadAddress" | "NotSupported" => NO_BUS,
            "ServiceUnknown" | "NameHasNoOwner" => Self::Off(OffReason::NoSecretService),
            _ => Self::Failed(format!("D-Bus error {name}")),
        }
    }
}
