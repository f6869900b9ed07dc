//! A real Secret Service for one test: a session bus and gnome-keyring, in a directory of their own, killed on drop.
//! The bus starts nothing by itself: a daemon that dies stays dead, and no prompt can appear.

use std::collections::HashMap;
use std::fs;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use dbus::arg::{AppendAll, ReadAll, RefArg, Variant};
use dbus::blocking::Connection;

use super::has_client;

const PATIENCE: Duration = Duration::from_secs(5);
const LOGIN: &str = "/org/freedesktop/secrets/collection/login";
const BUS: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>LISTEN</listen>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"#;

/// The session, parameters of an encryption that is not used, the value, its kind.
type Value = (dbus::Path<'static>, Vec<u8>, Vec<u8>, String);

/// A session bus, with the login collection of gnome-keyring unlocked unless asked otherwise.
pub(crate) struct SecretService {
    /// For `DBUS_SESSION_BUS_ADDRESS`.
    pub(crate) bus_address: String,
    daemons: Vec<Child>,
    /// Outlives the daemons.
    directory: tempfile::TempDir,
}

impl SecretService {
    /// Starts both; `None`, with a message, if one of the programs is not installed.
    pub(crate) fn start() -> Option<Self> {
        if !has_client("gnome-keyring-daemon") {
            return None;
        }
        let service = Self::start_bus()?;
        Some(service.with_keyring(true).expect("gnome-keyring starts"))
    }

    /// As [`SecretService::start`], before anybody has made a collection. No dialog can be shown.
    pub(crate) fn start_empty() -> Option<Self> {
        if !has_client("gnome-keyring-daemon") {
            return None;
        }
        Some(Self::start_bus()?.with_keyring(false).expect("gnome-keyring starts"))
    }

    /// As [`SecretService::start`], on a bus with an abstract socket, which is not a file.
    pub(crate) fn start_abstract() -> Option<Self> {
        if !has_client("gnome-keyring-daemon") || !has_client("dbus-daemon") {
            return None;
        }
        let service = Self::bus("unix:abstract=").expect("a session bus starts");
        Some(service.with_keyring(true).expect("gnome-keyring starts"))
    }

    /// A bus with nothing on it.
    pub(crate) fn start_bus() -> Option<Self> {
        has_client("dbus-daemon").then(|| Self::bus("unix:path=").expect("a session bus starts"))
    }

    fn with_keyring(mut self, has_collection: bool) -> io::Result<Self> {
        let home = self.directory.path();
        let private = home.join("run");
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&private)?;
        let mut command = Command::new("gnome-keyring-daemon");
        command.args(["--foreground", "--components=secrets"]);
        if has_collection {
            command.arg("--unlock");
        }
        command.env("DBUS_SESSION_BUS_ADDRESS", &self.bus_address).env("HOME", home);
        for name in ["XDG_RUNTIME_DIR", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"] {
            command.env(name, &private);
        }
        command.env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY");
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut daemon = command.spawn()?;
        // The password of the login collection, which this makes; the end of the file starts the daemon.
        daemon.stdin.take().unwrap().write_all(b"correct horse")?;
        self.daemons.push(daemon);
        let deadline = Instant::now() + Duration::from_secs(10);
        while !(if has_collection { self.is_up() } else { self.connect().is_ok() }) {
            if Instant::now() > deadline {
                return Err(io::Error::other("gnome-keyring-daemon does not appear on the bus"));
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(self)
    }

    fn bus(kind: &str) -> io::Result<Self> {
        let directory = tempfile::tempdir()?;
        let config = directory.path().join("bus.conf");
        let listen = format!("{kind}{}/bus", directory.path().display());
        fs::write(&config, BUS.replace("LISTEN", &listen))?;
        let mut command = Command::new("dbus-daemon");
        command
            .arg("--nofork")
            .arg("--print-address=1")
            .arg(format!("--config-file={}", config.display()));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut daemon = command.spawn()?;
        let mut bus_address = String::new();
        BufReader::new(daemon.stdout.take().unwrap()).read_line(&mut bus_address)?;
        Ok(Self { bus_address: bus_address.trim().to_owned(), daemons: vec![daemon], directory })
    }

    /// From now on the bus hands no write on to the service.
    pub(crate) fn refuse_writes(&self) {
        let deny = |interface: &str, member: &str| {
            format!(
                "<deny send_interface=\"org.freedesktop.Secret.{interface}\" send_member=\"{member}\"/>"
            )
        };
        let rules =
            format!("{}{}</policy>", deny("Item", "SetSecret"), deny("Collection", "CreateItem"));
        let config = self.directory.path().join("bus.conf");
        let text = fs::read_to_string(&config).unwrap();
        fs::write(&config, text.replace("</policy>", &rules)).unwrap();
        let bus = Connection::new_address(&self.bus_address).unwrap();
        let () = bus
            .with_proxy("org.freedesktop.DBus", "/org/freedesktop/DBus", PATIENCE)
            .method_call("org.freedesktop.DBus", "ReloadConfig", ())
            .unwrap();
    }

    /// The service does nothing from now on, as one that hangs.
    pub(crate) fn stop(&self) {
        self.signal(rustix::process::Signal::STOP);
    }

    /// Continues, and answers the pending requests.
    pub(crate) fn go_on(&self) {
        self.signal(rustix::process::Signal::CONT);
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let daemon = self.daemons.last().expect("a daemon");
        rustix::process::kill_process(rustix::process::Pid::from_child(daemon), signal).unwrap();
    }

    /// Locks the login collection, as a screen lock or `seahorse` does.
    pub(crate) fn lock(&self) {
        let paths = vec![dbus::Path::from(LOGIN)];
        let (locked, _): (Vec<dbus::Path<'static>>, dbus::Path<'static>) = self
            .call("/org/freedesktop/secrets", "org.freedesktop.Secret.Service", "Lock", (paths,))
            .unwrap();
        assert_eq!(locked.len(), 1, "the login collection can be locked");
    }

    /// Stores a further item, as another program would.
    pub(crate) fn store(&self, attributes: &[(&str, &str)], value: &[u8]) {
        self.create(attributes, value, false);
    }

    /// Stores an item in the place of one with the same attributes.
    pub(crate) fn replace(&self, attributes: &[(&str, &str)], value: &[u8]) {
        self.create(attributes, value, true);
    }

    fn create(&self, attributes: &[(&str, &str)], value: &[u8], replace: bool) {
        let bus = self.connect().unwrap();
        let root = bus.with_proxy("org.freedesktop.secrets", "/org/freedesktop/secrets", PATIENCE);
        let nothing = ("plain", Variant(""));
        let (_, session): (Variant<String>, dbus::Path<'static>) =
            root.method_call("org.freedesktop.Secret.Service", "OpenSession", nothing).unwrap();
        let boxed = |value: Box<dyn RefArg>| Variant(value);
        let properties = HashMap::from([
            ("org.freedesktop.Secret.Item.Label", boxed(Box::new("by another program".to_owned()))),
            ("org.freedesktop.Secret.Item.Attributes", boxed(Box::new(owned(attributes)))),
        ]);
        let secret = (session, Vec::<u8>::new(), value, "text/plain");
        let login = bus.with_proxy("org.freedesktop.secrets", LOGIN, PATIENCE);
        let arguments = (properties, secret, replace);
        let (_, _): (dbus::Path<'static>, dbus::Path<'static>) = login
            .method_call("org.freedesktop.Secret.Collection", "CreateItem", arguments)
            .unwrap();
    }

    /// Deletes every item.
    pub(crate) fn clear(&self) {
        let (found,): (Vec<dbus::Path<'static>>,) = self
            .call(LOGIN, "org.freedesktop.Secret.Collection", "SearchItems", (owned(&[]),))
            .unwrap();
        for path in found {
            let (_,): (dbus::Path<'static>,) =
                self.call(&path, "org.freedesktop.Secret.Item", "Delete", ()).unwrap();
        }
    }

    /// The keyring disappears: nobody can connect, and connections go on.
    pub(crate) fn hide(&self) {
        let [socket, hidden] = self.sockets();
        fs::rename(socket, hidden).unwrap();
    }

    /// The keyring appears again, if it was hidden.
    pub(crate) fn show(&self) {
        let [socket, hidden] = self.sockets();
        if hidden.exists() {
            fs::rename(hidden, socket).unwrap();
        }
    }

    fn sockets(&self) -> [std::path::PathBuf; 2] {
        ["bus", "hidden"].map(|name| self.directory.path().join(name))
    }

    /// The attributes of each item that has these among them.
    pub(crate) fn attributes_of(&self, wanted: &[(&str, &str)]) -> Vec<HashMap<String, String>> {
        let (found,): (Vec<dbus::Path<'static>>,) = self
            .call(LOGIN, "org.freedesktop.Secret.Collection", "SearchItems", (owned(wanted),))
            .unwrap();
        let asked = ("org.freedesktop.Secret.Item", "Attributes");
        let attributes = |path: &dbus::Path<'static>| {
            let (Variant(found),): (Variant<HashMap<String, String>>,) =
                self.call(path, "org.freedesktop.DBus.Properties", "Get", asked).unwrap();
            found
        };
        found.iter().map(attributes).collect()
    }

    /// What a keyring program shows of each item: its label, and its attributes.
    pub(crate) fn shown(&self) -> Vec<String> {
        let (found,): (Vec<dbus::Path<'static>>,) = self
            .call(LOGIN, "org.freedesktop.Secret.Collection", "SearchItems", (owned(&[]),))
            .unwrap();
        let label = |path: &dbus::Path<'static>| {
            let asked = ("org.freedesktop.Secret.Item", "Label");
            let (Variant(label),): (Variant<String>,) =
                self.call(path, "org.freedesktop.DBus.Properties", "Get", asked).unwrap();
            label
        };
        let attributes =
            self.attributes_of(&[]).into_iter().map(|attributes| format!("{attributes:?}"));
        found.iter().map(label).chain(attributes).collect()
    }

    /// The value of the only item with these attributes, if any.
    pub(crate) fn value_of(&self, wanted: &[(&str, &str)]) -> Option<String> {
        let bus = self.connect().unwrap();
        let proxy =
            |path: dbus::Path<'static>| bus.with_proxy("org.freedesktop.secrets", path, PATIENCE);
        let (found,): (Vec<dbus::Path<'static>>,) = proxy(LOGIN.into())
            .method_call("org.freedesktop.Secret.Collection", "SearchItems", (owned(wanted),))
            .unwrap();
        assert!(found.len() < 2, "one item at most has {wanted:?}");
        let path = found.into_iter().next()?;
        let (_, session): (Variant<String>, dbus::Path<'static>) =
            proxy("/org/freedesktop/secrets".into())
                .method_call(
                    "org.freedesktop.Secret.Service",
                    "OpenSession",
                    ("plain", Variant("")),
                )
                .unwrap();
        let (secret,): (Value,) = proxy(path)
            .method_call("org.freedesktop.Secret.Item", "GetSecret", (session,))
            .unwrap();
        Some(String::from_utf8_lossy(&secret.2).into_owned())
    }

    /// The one stored login, as its item has it.
    pub(crate) fn login(&self) -> Option<String> {
        self.value_of(&[("service", "my-credential-helper")])
    }

    fn is_up(&self) -> bool {
        self.call::<_, (Variant<bool>,)>(
            LOGIN,
            "org.freedesktop.DBus.Properties",
            "Get",
            ("org.freedesktop.Secret.Collection", "Locked"),
        )
        .is_ok_and(|(Variant(is_locked),)| !is_locked)
    }

    fn call<A: AppendAll, R: ReadAll>(
        &self,
        path: &str,
        interface: &str,
        name: &str,
        args: A,
    ) -> Result<R, dbus::Error> {
        let bus = self.connect()?;
        bus.with_proxy("org.freedesktop.secrets", path, PATIENCE).method_call(interface, name, args)
    }

    /// With a ping first: gnome-keyring can abort at a first call that needs to know its caller.
    fn connect(&self) -> Result<Connection, dbus::Error> {
        let bus = Connection::new_address(&self.bus_address)?;
        let root = bus.with_proxy("org.freedesktop.secrets", "/org/freedesktop/secrets", PATIENCE);
        let () = root.method_call("org.freedesktop.DBus.Peer", "Ping", ())?;
        Ok(bus)
    }
}

impl Drop for SecretService {
    fn drop(&mut self) {
        for mut daemon in self.daemons.drain(..).rev() {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}

fn owned(attributes: &[(&str, &str)]) -> HashMap<String, String> {
    attributes.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
}
