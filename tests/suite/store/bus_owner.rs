//! The session bus may belong to another user, or be away: no byte of a login goes to another user, and nothing moves to
//! the file without a word. The other user is real.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use crate::support::stranger::{Running, Stranger, wait_for};
use crate::support::{HELPER, Home, finish, has_client, service, spawn};

const STORE: &str = r#"{"url":"https://h.dev","username":"ada","secret":"hunter2"}"#;
const BUS: &str = "DBUS_SESSION_BUS_ADDRESS";

/// Listens at a path, or at an abstract name after `@`, and appends every byte that arrives to a file.
const RECORDER: &str = r#"
    use strict; use Socket;
    my ($name, $record) = @ARGV;
    (my $address = $name) =~ s/^@/\0/;
    socket(my $listener, PF_UNIX, SOCK_STREAM, 0) or die;
    bind($listener, pack_sockaddr_un($address)) or die "$name: $!";
    chmod 0777, $name;
    listen($listener, 64) or die;
    open(my $out, '>>', $record) or die "$record: $!";
    while (accept(my $peer, $listener)) {
        my $bytes;
        while (sysread($peer, $bytes, 4096)) { syswrite($out, $bytes); }
    }
"#;

/// A listener of another user, and what it received.
struct Recorder {
    record: PathBuf,
    _process: Running,
}

impl Recorder {
    fn start(stranger: &Stranger, name: &str, directory: &Path) -> Self {
        let record = directory.join("record");
        let mut command = std::process::Command::new("perl");
        command.args(["-e", RECORDER, name]).arg(&record);
        let recorder = Self { _process: stranger.run(command), record };
        wait_for(&recorder.record);
        recorder
    }

    fn received(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.record).unwrap()).into_owned()
    }
}

/// A directory of the other user, below one that everybody may enter.
fn shared(stranger: &Stranger) -> (tempfile::TempDir, PathBuf) {
    let above = tempfile::tempdir().unwrap();
    fs::set_permissions(above.path(), Permissions::from_mode(0o755)).unwrap();
    let directory = above.path().join("of nobody");
    fs::create_dir(&directory).unwrap();
    stranger.give(&directory);
    (above, directory)
}

fn stranger() -> Option<Stranger> {
    Stranger::new().filter(|_| has_client("perl"))
}

/// Every way in which a call comes to the keyring.
fn call_everything(home: &Home) {
    let stored = home.run_with(&["store"], STORE);
    assert_eq!((stored.status, &stored.json()["stored_in"]), (0, &"file".into()), "{stored:?}");
    assert!(
        stored.messages.starts_with("note: the keyring cannot be used (")
            && stored
                .messages
                .contains(": the session bus may belong to another user); the login is in "),
        "{stored:?}"
    );
    let chosen = home.run(&["login", "--email", "me@acme.dev", "--store", "keyring"]);
    assert!(chosen.status == 1 && chosen.messages.contains("another user"), "{chosen:?}");
    for call in [&["get"][..], &["get", "--url", "https://h.dev"], &["status"], &["logout"]] {
        home.run(call);
    }
}

#[test]
fn no_byte_is_sent_to_the_bus_of_another_user() {
    let Some(stranger) = stranger() else { return };
    let (above, directory) = shared(&stranger);
    let open = above.path().join("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, Permissions::from_mode(0o1777)).unwrap();
    let escaped = |path: &Path| path.display().to_string().replace(' ', "%20");
    let name = format!("@{}/dbus-x", above.path().display());
    let cases = [
        (BUS, format!("unix:path={}/bus", escaped(&directory)), directory.join("bus")),
        (
            BUS,
            format!("unix:path=/nowhere;unix:path={}/bus,guid=00", open.display()),
            open.join("bus"),
        ),
        (BUS, format!("unix:abstract={}", &name[1..]), name.clone().into()),
        (
            BUS,
            format!("unix:path=/nowhere;unix:abstract={}", name[1..].replace('x', "%78")),
            name.into(),
        ),
        ("XDG_RUNTIME_DIR", directory.display().to_string(), directory.join("bus")),
        ("XDG_RUNTIME_DIR", open.display().to_string(), open.join("bus")),
    ];
    for (variable, value, socket) in cases {
        let server = service();
        let mut home = Home::at(&server);
        home.set(variable, &value);
        let recorder = Recorder::start(&stranger, socket.to_str().unwrap(), &directory);
        call_everything(&home);
        assert_eq!(recorder.received(), "", "{variable}={value}");
        assert_eq!(server.requests().len(), 0, "nobody is mailed for nothing");
        // libdbus itself would send something: the recorder records.
        let address = value
            .strip_prefix("unix:")
            .map_or_else(|| format!("unix:path={}", escaped(&socket)), |_| value.clone());
        let mut client = std::process::Command::new("dbus-send");
        client.arg(format!("--bus={address}")).args(["--type=signal", "/x", "x.y.z"]);
        let mut client = Running(client.stderr(std::process::Stdio::null()).spawn().unwrap());
        let started = std::time::Instant::now();
        while !recorder.received().contains("AUTH") {
            assert!(started.elapsed().as_secs() < 10, "{address}: {:?}", client.0.try_wait());
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        drop(recorder);
        let _ = fs::remove_file(&socket);
        fs::remove_file(directory.join("record")).unwrap();
    }
}

#[test]
fn a_socket_that_others_can_replace_is_not_used() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("bus");
    let listener = UnixListener::bind(&socket).unwrap();
    listener.set_nonblocking(true).unwrap();
    fs::set_permissions(directory.path(), Permissions::from_mode(0o777)).unwrap();
    let mut home = Home::new();
    home.set("XDG_RUNTIME_DIR", directory.path());
    call_everything(&home);
    assert!(listener.accept().is_err(), "nobody connects");
}

/// The other way round: a user with the environment of root.
#[test]
fn the_bus_of_root_is_not_used_by_another_user() {
    let Some(stranger) = stranger() else { return };
    let (above, directory) = shared(&stranger);
    let helper = above.path().join("helper");
    // By another process: a child of another test would inherit the open file, and the copy could not be started.
    let copied = std::process::Command::new("cp").arg(HELPER).arg(&helper).status();
    assert!(copied.unwrap().success());
    let home = directory.join("home");
    fs::create_dir(&home).unwrap();
    stranger.give(&home);
    let socket = above.path().join("bus");
    let listener = UnixListener::bind(&socket).unwrap();
    fs::set_permissions(&socket, Permissions::from_mode(0o777)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let mut command = std::process::Command::new(&helper);
    command.arg("store").env_clear().env("HOME", &home).current_dir(&home);
    command.env(BUS, format!("unix:path={}", socket.display()));
    std::os::unix::process::CommandExt::uid(&mut command, stranger.user);
    let outcome = finish(spawn(command), STORE.as_bytes());
    assert_eq!(outcome.status, 0, "{outcome:?}");
    assert!(outcome.messages.contains("may belong to another user"), "{outcome:?}");
    assert!(listener.accept().is_err(), "nobody connects");
}

#[test]
fn an_unreachable_bus_of_the_environment_is_a_warning() {
    let directory = tempfile::tempdir().unwrap();
    drop(UnixListener::bind(directory.path().join("bus")).unwrap());
    let dead = format!("unix:path={}/bus", directory.path().display());
    let folder = directory.path().as_os_str();
    let named = [
        (BUS, "unix:path=/nowhere".as_ref(), "no session bus"),
        (BUS, dead.as_ref(), "no session bus"),
        (BUS, "unix:abstract=/nobody/listens".as_ref(), "no session bus"),
        (BUS, "unix:runtime=yes".as_ref(), "no session bus"),
        (BUS, "unix:path=/nowhere;unix:abstract=/nobody/listens".as_ref(), "no session bus"),
        (BUS, "unix:path=/etc/passwd".as_ref(), "no session bus"),
        (BUS, "unix:path=bus".as_ref(), "no session bus"),
        (BUS, "autolaunch:".as_ref(), "the session bus is not a local socket"),
        (BUS, "nonce-tcp:host=127.0.0.1".as_ref(), "the session bus is not a local socket"),
        ("XDG_RUNTIME_DIR", folder, "no session bus"),
    ];
    let server = service();
    for (variable, value, reason) in named {
        let mut home = Home::at(&server);
        home.set(variable, value);
        let warning =
            format!("note: the keyring cannot be used ({variable}: {reason}); the login is in ");
        let stored = home.run_with(&["store"], STORE);
        let location = stored.json()["location"].as_str().unwrap().to_owned();
        assert_eq!((stored.status, stored.messages), (0, format!("{warning}{location}\n")));
        let outcome = home.log_in(&server, "me@acme.dev", &[]);
        let file = home.path().join(".my/credentials.json");
        let warning = format!("{warning}{}\n", file.display());
        assert!(outcome.messages.ends_with(&warning), "{value:?}: {outcome:?}");
        assert_eq!(home.run(&["get", "--format", "raw"]).messages, "", "a look-up says nothing");
        let outcome = home.log_in(&server, "me@acme.dev", &["--force", "--store", "file"]);
        assert!(outcome.status == 0 && !outcome.messages.contains("keyring"), "{outcome:?}");
        let outcome =
            home.run(&["login", "--email", "me@acme.dev", "--force", "--store", "keyring"]);
        assert!(outcome.status == 1 && outcome.messages.contains(reason), "{outcome:?}");
    }
}

#[test]
fn without_a_configured_bus_a_login_goes_to_the_file_silently() {
    let directory = tempfile::tempdir().unwrap();
    let folder = directory.path().as_os_str();
    let silent: [&[(&str, &std::ffi::OsStr)]; 4] = [
        &[],
        &[(BUS, "".as_ref())],
        &[("XDG_RUNTIME_DIR", folder)],
        &[(BUS, "unix:path=/nowhere".as_ref()), ("MY_NO_KEYRING", "1".as_ref())],
    ];
    for variables in silent {
        let mut home = Home::new();
        for (name, value) in variables {
            home.set(name, *value);
        }
        let stored = home.run_with(&["store"], STORE);
        assert_eq!((stored.status, stored.messages.as_str()), (0, ""), "{variables:?}");
    }
}
