//! Items of the Secret Service, over D-Bus. Never unlocks, never lets libdbus start a process; calls do not overlap. Prompts
//! only to create the first collection for `login` on a terminal.
//!
//! The `keyring` crate is not used: it creates no item without an attribute `target` (which `my` does not search for),
//! fails if two items match, unlocks what it finds, and its first call can abort gnome-keyring (see [`Session::open`]).

use std::collections::HashMap;
use std::sync::mpsc;
use std::time::Duration;

use dbus::Path;
use dbus::arg::{AppendAll, ReadAll, RefArg, Variant};
use dbus::blocking::Connection;
use dbus::message::MatchRule;
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
const PROMPT: &str = "org.freedesktop.Secret.Prompt";

const UNKNOWN_METHOD: &str = "org.freedesktop.DBus.Error.UnknownMethod";

/// The session, the parameters of an encryption that is not used, the value, its content type.
type Secret<Value> = (Path<'static>, Vec<u8>, Value, String);

/// The unlocked items and the locked ones.
type Resolved = (Vec<Path<'static>>, Vec<Path<'static>>);

/// A connection to the bus.
pub(super) struct Session {
    bus: Connection,
    timeout: Duration,
    may_prompt: bool,
}

impl Session {
    pub(super) fn open(address: &Address, timeout: Duration) -> StoreResult<Self> {
        let bus = Connection::new_address(&address.verify()?)?;
        let session = Self { bus, timeout, may_prompt: address.may_prompt };
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

    /// Whether an item can be written now, without a new collection.
    pub(super) fn can_write(&self, item: &Item) -> StoreResult<bool> {
        Ok(!self.find(item)?.is_empty() || self.collection()?.is_some())
    }

    /// The items with these attributes, first the one that `my` uses: in the login collection, without other attributes.
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

    /// The collection for a new item; `None` in a new gnome-keyring, which has no collection; an error if it is locked.
    fn collection(&self) -> StoreResult<Option<Path<'static>>> {
        let is_locked = |path: &str| self.property::<bool>(path, COLLECTION, "Locked");
        let (path, is_locked) = if let Ok(is_locked) = is_locked(LOGIN) {
            (Path::from(LOGIN), is_locked)
        } else {
            let (path,): (Path<'static>,) =
                self.call(ROOT, SERVICE_INTERFACE, "ReadAlias", ("default",))?;
            if is_none(&path) {
                return Ok(None);
            }
            let is_locked = is_locked(&path)?;
            (path, is_locked)
        };
        if is_locked { Err(StoreFailure::Locked) } else { Ok(Some(path)) }
    }

    /// Creates the default collection as libsecret does. gnome-keyring lets the person choose its password in a dialog.
    pub(super) fn create_collection(&self) -> StoreResult<Path<'static>> {
        let label: Box<dyn RefArg> = Box::new("Default keyring".to_owned());
        let properties =
            HashMap::from([("org.freedesktop.Secret.Collection.Label", Variant(label))]);
        let (path, prompt): (Path<'static>, Path<'static>) =
            self.call(ROOT, SERVICE_INTERFACE, "CreateCollection", (properties, "default"))?;
        let reason = if is_none(&prompt) {
            return Ok(path);
        } else if !self.may_prompt {
            "and only `login` on a terminal may create one in a dialog"
        } else if self.is_confirmed(&prompt)?
            && let Some(collection) = self.collection()?
        {
            return Ok(collection);
        } else {
            "and its dialog was closed or could not be shown"
        };
        Err(StoreFailure::Failed(format!("it has no collection, {reason}")))
    }

    /// Shows a prompt until the person confirms or closes it.
    fn is_confirmed(&self, prompt: &Path<'static>) -> Result<bool, dbus::Error> {
        let (sender, receiver) = mpsc::channel();
        let completed = MatchRule::new_signal(PROMPT, "Completed").with_path(prompt.clone());
        let on_completed =
            move |(is_dismissed,): (bool,), _: &_, _: &_| sender.send(!is_dismissed).is_ok();
        self.bus.add_match(completed, on_completed)?;
        self.call::<_, ()>(prompt, PROMPT, "Prompt", ("",))?;
        loop {
            if let Ok(is_confirmed) = receiver.try_recv() {
                return Ok(is_confirmed);
            }
            self.bus.process(self.timeout)?;
        }
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
        let collection = match self.collection()? {
            Some(collection) => collection,
            None => self.create_collection()?,
        };
        let (_, prompt): (Path<'static>, Path<'static>) = self.call(
            &collection,
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

/// The service offers a prompt if it has not done the work without one. This prompt, to unlock, is never shown.
fn require_no_prompt(prompt: &Path<'static>) -> StoreResult<()> {
    if is_none(prompt) { Ok(()) } else { Err(StoreFailure::Locked) }
}

/// The service's path for no object.
fn is_none(path: &Path<'static>) -> bool {
    &**path == "/"
}

impl From<dbus::Error> for StoreFailure {
    fn from(error: dbus::Error) -> Self {
        // The message is the service's, and could contain anything: only the name is used.
        let name = error.name().unwrap_or_default();
        match name.rsplit('.').next().unwrap_or_default() {
            "IsLocked" => Self::Locked,
            // A bus has 256 connections of a user; the next moment one of them is closed.
            "NoReply" | "Timeout" | "TimedOut" | "LimitsExceeded" => Self::TimedOut,
            "NoServer" | "FileNotFound" | "BadAddress" | "NotSupported" => {
                Self::Off(OffReason::NoSessionBus)
            }
            "ServiceUnknown" | "NameHasNoOwner" => Self::Off(OffReason::NoSecretService),
            _ => Self::Failed(format!("D-Bus error {name}")),
        }
    }
}
