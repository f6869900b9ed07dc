//! The keyring interface against a real gnome-keyring, and against faulty buses.

use std::ffi::OsString;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use my_credential_helper::model::Item;
use my_credential_helper::model::{OffReason, StoreFailure};
use my_credential_helper::store::keyring::{Keyring, KeyringEnvironment};

use crate::support::secret_service::SecretService;
use crate::support::{HELPER, Home, finish, has_client, spawn};

const WANTED: [(&str, &str); 2] = [("service", "mycli"), ("username", "mycli-tokens")];
const BUDGET: Duration = Duration::from_secs(3);

fn tokens() -> Item {
    Item { service: "mycli".into(), user: "mycli-tokens".into() }
}

fn keyring_at(address: impl Into<OsString>) -> Keyring {
    patient_keyring_at(address, BUDGET)
}

fn patient_keyring_at(address: impl Into<OsString>, budget: Duration) -> Keyring {
    Keyring::new(
        KeyringEnvironment { bus_address: Some(address.into()), ..KeyringEnvironment::default() },
        budget,
    )
}

/// Runs a test with a service, where there can be one.
fn with_service(test: impl FnOnce(&SecretService, &Keyring)) {
    if let Some(service) = SecretService::start() {
        test(&service, &keyring_at(&service.bus_address));
    }
}

fn value(keyring: &Keyring, item: &Item) -> Option<String> {
    keyring.read_item(item).unwrap().map(|value| value.to_string())
}

#[test]
fn items_are_read_back_and_replaced() {
    with_service(|service, keyring| {
        assert_eq!(value(keyring, &tokens()), None);
        keyring.write_item(&tokens(), "first").unwrap();
        assert_eq!(value(keyring, &tokens()).as_deref(), Some("first"));
        keyring.write_item(&tokens(), "second").unwrap();
        assert_eq!(value(&keyring_at(&service.bus_address), &tokens()).as_deref(), Some("second"));
        let items = service.attributes_of(&WANTED);
        assert_eq!(items.len(), 1, "a write replaces: {items:?}");
        let mut names: Vec<_> =
            items[0].keys().map(String::as_str).filter(|name| *name != "xdg:schema").collect();
        names.sort_unstable();
        assert_eq!(names, ["service", "username"], "go-keyring looks for these alone");
    });
}

#[test]
fn a_bus_of_this_user_with_an_abstract_socket_is_used() {
    let Some(service) = SecretService::start_abstract() else { return };
    assert!(service.bus_address.starts_with("unix:abstract="), "{}", service.bus_address);
    let keyring = keyring_at(format!("unix:path=/nowhere;{}", service.bus_address));
    keyring.write_item(&tokens(), "x").unwrap();
    assert_eq!(value(&keyring, &tokens()).as_deref(), Some("x"));
}

#[test]
fn items_of_go_keyring_are_found_and_updated() {
    with_service(|service, keyring| {
        service.store(&WANTED, b"by my");
        assert_eq!(value(keyring, &tokens()).as_deref(), Some("by my"));
        keyring.write_item(&tokens(), "by us").unwrap();
        assert_eq!(service.attributes_of(&WANTED).len(), 1);
    });
}

#[test]
fn deleting_an_item_twice_is_not_an_error() {
    with_service(|_, keyring| {
        keyring.write_item(&tokens(), "x").unwrap();
        assert_eq!(keyring.delete_item(&tokens()), Ok(true));
        assert_eq!(keyring.delete_item(&tokens()), Ok(false));
        assert_eq!(value(keyring, &tokens()), None);
    });
}

#[test]
fn of_two_items_the_exact_one_is_read_and_a_write_leaves_one() {
    for exact_first in [true, false] {
        with_service(|service, keyring| {
            let extra = [WANTED[0], WANTED[1], ("application", "Python keyring library")];
            if exact_first {
                service.store(&WANTED, b"exact");
            }
            service.store(&extra, b"extra");
            assert_eq!(
                value(keyring, &tokens()).as_deref(),
                Some(if exact_first { "exact" } else { "extra" })
            );
            if !exact_first {
                service.store(&WANTED, b"exact");
            }
            assert_eq!(value(keyring, &tokens()).as_deref(), Some("exact"));
            assert_eq!(service.attributes_of(&WANTED).len(), 2);
            keyring.write_item(&tokens(), "new").unwrap();
            assert_eq!(service.attributes_of(&WANTED).len(), 1);
            assert_eq!(value(keyring, &tokens()).as_deref(), Some("new"));
        });
    }
}

#[test]
fn a_locked_keyring_is_reported_by_every_operation() {
    with_service(|service, keyring| {
        keyring.write_item(&tokens(), "x").unwrap();
        service.lock();
        // Patient far beyond what a busy machine takes, and the bound is far below it: waiting for somebody who unlocks
        // it would be seen.
        let keyring = patient_keyring_at(&service.bus_address, Duration::from_secs(60));
        let other = Item { service: "not".into(), user: "there".into() };
        let started = Instant::now();
        for item in [tokens(), other] {
            assert_eq!(keyring.read_item(&item), Err(StoreFailure::Locked));
            assert_eq!(keyring.write_item(&item, "y"), Err(StoreFailure::Locked));
            assert_eq!(keyring.delete_item(&item), Err(StoreFailure::Locked));
        }
        assert_eq!(keyring.can_write(&tokens()), Err(StoreFailure::Locked));
        assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    });
}

#[test]
fn invalid_utf8_is_an_error_without_the_bytes() {
    with_service(|service, keyring| {
        service.store(&WANTED, b"s3cret\xff\xfe");
        let error = keyring.read_item(&tokens()).unwrap_err();
        assert_eq!(error.to_string(), "the item is not UTF-8");
        assert!(!format!("{error:?}").contains("s3cret"));
        keyring.write_item(&tokens(), "readable").unwrap();
        assert_eq!(value(keyring, &tokens()).as_deref(), Some("readable"));
    });
}

#[test]
fn long_empty_and_foreign_values_are_unchanged() {
    with_service(|_, keyring| {
        for text in ["x".repeat(100_000), String::new(), "é\n\"\0\u{1f511}".to_owned()] {
            keyring.write_item(&tokens(), &text).unwrap();
            assert!(value(keyring, &tokens()).as_deref() == Some(&text), "{} bytes", text.len());
        }
    });
}

#[test]
fn gnome_keyring_survives_hundreds_of_concurrent_callers() {
    with_service(|service, keyring| {
        keyring.write_item(&tokens(), "x").unwrap();
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        let keyring = keyring_at(&service.bus_address);
                        assert_eq!(value(&keyring, &tokens()).as_deref(), Some("x"));
                    }
                });
            }
        });
    });
}

#[test]
fn a_bus_without_a_secret_service_is_recognized() {
    let Some(bus) = SecretService::start_bus() else { return };
    let error = keyring_at(&bus.bus_address).read_item(&tokens()).unwrap_err();
    assert_eq!(error.to_string(), "no secret service");
}

fn reason(environment: KeyringEnvironment) -> String {
    let started = Instant::now();
    let reason = Keyring::new(environment, BUDGET).read_item(&tokens()).unwrap_err().to_string();
    assert!(
        started.elapsed() < Duration::from_millis(500),
        "{reason} after {:?}",
        started.elapsed()
    );
    reason
}

fn at(address: &str) -> String {
    reason(KeyringEnvironment {
        bus_address: Some(address.into()),
        ..KeyringEnvironment::default()
    })
}

#[test]
fn without_a_bus_the_result_is_immediate() {
    let home = tempfile::tempdir().unwrap();
    let dead = home.path().join("bus");
    drop(UnixListener::bind(&dead).unwrap());
    let dead = format!("unix:path={}", dead.display());
    assert_eq!(reason(KeyringEnvironment::default()), "no session bus");
    assert_eq!(at(""), "no session bus");
    assert_eq!(at("unix:path=/nowhere"), "no session bus");
    assert_eq!(at("unix:path=/etc/passwd"), "no session bus");
    assert_eq!(at("unix:abstract=/nobody/listens"), "no session bus");
    assert_eq!(at("unix:runtime=yes"), "no session bus");
    assert_eq!(at(&dead), "no session bus");
    assert_eq!(at(&format!("unix:path=/nowhere;{dead},guid=00")), "no session bus");
    assert_eq!(
        reason(KeyringEnvironment {
            runtime_dir: Some(home.path().into()),
            ..KeyringEnvironment::default()
        }),
        "no session bus"
    );
    assert_eq!(
        reason(KeyringEnvironment {
            off: Some(OffReason::Disabled),
            bus_address: Some(dead.into()),
            ..KeyringEnvironment::default()
        }),
        "turned off by MY_NO_KEYRING"
    );
}

#[test]
fn remote_and_program_addresses_of_the_bus_are_not_used() {
    let home = tempfile::tempdir().unwrap();
    let touched = home.path().join("touched");
    for address in ["autolaunch:", "tcp:host=127.0.0.1,port=1", "disabled:"] {
        assert_eq!(at(address), "the session bus is not a local socket", "{address}");
    }
    let program = format!("unixexec:path=touch,argv1={}", touched.display());
    for address in [program.clone(), format!("unix:path=/nowhere;{program}")] {
        assert_eq!(at(&address), "the session bus is not a local socket");
    }
    assert!(!touched.exists());
}

#[test]
fn a_silent_socket_times_out_once_for_all_calls() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("bus");
    let _silent = UnixListener::bind(&path).unwrap();
    let environment = KeyringEnvironment {
        runtime_dir: Some(home.path().into()),
        ..KeyringEnvironment::default()
    };
    let keyring = Keyring::new(environment, Duration::from_millis(300));
    let started = Instant::now();
    assert_eq!(keyring.read_item(&tokens()), Err(StoreFailure::TimedOut));
    assert_eq!(keyring.write_item(&tokens(), "x"), Err(StoreFailure::TimedOut));
    assert_eq!(keyring.can_write(&tokens()), Err(StoreFailure::TimedOut));
    let took = started.elapsed();
    assert!((Duration::from_millis(300)..Duration::from_millis(590)).contains(&took), "{took:?}");
}

#[test]
fn the_bus_in_the_runtime_directory_is_found_without_an_address() {
    with_service(|service, keyring| {
        keyring.write_item(&tokens(), "x").unwrap();
        let socket =
            service.bus_address.strip_prefix("unix:path=").and_then(|rest| rest.split(',').next());
        let socket = Path::new(socket.expect("a path"));
        let home = tempfile::Builder::new().prefix("a %b,c;").tempdir().unwrap();
        std::os::unix::fs::symlink(socket, home.path().join("bus")).unwrap();
        let environment = KeyringEnvironment {
            runtime_dir: Some(home.path().into()),
            ..KeyringEnvironment::default()
        };
        assert_eq!(value(&Keyring::new(environment, BUDGET), &tokens()).as_deref(), Some("x"));
    });
}

/// libdbus waits with `select`, which has no place for a descriptor of 1024 or more.
#[test]
fn with_a_thousand_inherited_descriptors_nothing_is_overwritten() {
    const SCRIPT: &str = "import os, sys\n\
                          for _ in range(1100): os.set_inheritable(os.open('/dev/null', os.O_RDONLY), True)\n\
                          os.execv(sys.argv[1], [sys.argv[1], 'get'])";
    let Some(keyring) = SecretService::start() else { return };
    let mut home = Home::new();
    home.use_keyring(&keyring);
    if !has_client("python3") {
        return;
    }
    let mut command = home.command("python3");
    command.args(["-c", SCRIPT, HELPER]);
    let outcome = finish(spawn(command), b"");
    assert_ne!(outcome.status, 134, "{outcome:?}");
    assert!(outcome.messages.contains("too many open files"), "{outcome:?}");
}
