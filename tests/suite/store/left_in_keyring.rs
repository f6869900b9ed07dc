//! A keyring that some processes reach and others do not, as in a desktop session and over SSH: what a process without it
//! replaces or erases is deleted by the next process that reaches it.

use std::time::Duration;

use account_server::Server;
use serde_json::json;

use crate::support::secret_service::SecretService;
use crate::support::{Home, Outcome, desk, session_json};

const TOKENS: [(&str, &str); 2] = [("service", "mycli"), ("username", "mycli-tokens")];
const LEGACY: [(&str, &str); 2] = [("service", "my-cli"), ("username", "tokens")];
const BUS: &str = "DBUS_SESSION_BUS_ADDRESS";
const QUARTER: Duration = Duration::from_secs(900);

/// A home, and the keyring of its user.
struct Desk {
    server: Server,
    keyring: SecretService,
    home: Home,
}

impl Desk {
    fn start() -> Option<Self> {
        let (server, keyring, home) = desk()?;
        Some(Self { server, keyring, home })
    }

    /// The session that the `my` command line stores at a login.
    fn log_in_with_my(&self) -> String {
        let session = self.server.session("me@acme.dev").unwrap();
        let text = session_json(&session, QUARTER, Duration::ZERO);
        self.keyring.replace(&TOKENS, text.as_bytes());
        session.access_token
    }

    fn is_logged_out(&self) {
        let outcome = self.home.run(&["get"]);
        let code = &outcome.json()["error"]["code"];
        assert_eq!((outcome.status, code), (1, &json!("not_logged_in")), "{outcome:?}");
    }
}

#[test]
fn a_logout_without_the_keyring_is_final_with_it() {
    let Some(mut desk) = Desk::start() else { return };
    desk.log_in_with_my();
    let session = desk.keyring.value_of(&TOKENS).unwrap();
    desk.keyring.store(&LEGACY, session.as_bytes());
    for (name, value) in [(BUS, ""), ("MY_NO_KEYRING", "1"), (BUS, "unix:path=/nowhere")] {
        desk.home.set(name, value);
        let outcome = desk.home.run(&["logout"]);
        assert_eq!(outcome.status, 0, "{outcome:?}");
        let is_named = outcome.messages.contains("the keyring was not searched");
        assert_eq!(is_named, !value.is_empty(), "{outcome:?}");
        assert!(desk.keyring.value_of(&TOKENS).is_some(), "it is out of reach");
        desk.home.unset("MY_NO_KEYRING");
        desk.home.use_keyring(&desk.keyring);
        desk.is_logged_out();
        assert_eq!(desk.keyring.attributes_of(&[]).len(), 0, "{name}={value}");
        assert_eq!(desk.home.read(".my/left-in-keyring"), None);
        // A login of another program is none of what was left.
        let token = desk.log_in_with_my();
        assert_eq!(desk.home.token(), token);
    }
}

#[test]
fn a_login_after_the_logout_stays_in_the_keyring() {
    let Some(mut desk) = Desk::start() else { return };
    for with_my in [true, false] {
        desk.log_in_with_my();
        desk.home.set(BUS, "");
        assert_eq!(desk.home.run(&["logout"]).status, 0);
        desk.home.use_keyring(&desk.keyring);
        let token = if with_my {
            desk.log_in_with_my()
        } else {
            let outcome = desk.home.log_in(&desk.server, "me@acme.dev", &[]);
            assert_eq!(outcome.status, 0, "{outcome:?}");
            desk.home.token()
        };
        for command in ["list", "status", "list"] {
            assert_eq!(desk.home.run(&[command]).status, 0);
            assert_eq!(desk.home.token(), token, "{command}, with my: {with_my}");
        }
        assert!(desk.keyring.value_of(&TOKENS).unwrap().contains(&token));
    }
}

/// Its line of `config.toml` is gone: no command reads its item again.
#[test]
fn an_account_that_was_logged_out_leaves_no_item() {
    for is_locked in [false, true] {
        let Some(mut desk) = Desk::start() else { return };
        for account in ["work", "home"] {
            let outcome = desk.home.log_in(&desk.server, "me@acme.dev", &["--account", account]);
            assert_eq!(outcome.status, 0, "{outcome:?}");
        }
        assert_eq!(desk.keyring.attributes_of(&[]).len(), 2);
        desk.home.set(BUS, "");
        assert_eq!(desk.home.run(&["logout", "--account", "work"]).status, 0);
        desk.home.use_keyring(&desk.keyring);
        if is_locked {
            desk.keyring.lock();
        }
        assert_eq!(desk.home.run(&["status"]).status, 0);
        let left = desk.keyring.attributes_of(&[]).len();
        assert_eq!(left, if is_locked { 2 } else { 1 }, "what is locked is left to a later call");
        assert_eq!(desk.home.read(".my/left-in-keyring"), None);
    }
}

/// No refresh would remove it.
#[test]
fn a_token_that_is_stored_again_leaves_no_item() {
    let Some(mut desk) = Desk::start() else { return };
    for (provider, account) in [("mycli", "default"), ("mycli", "work"), ("microtica", "work")] {
        let of = ["--provider", provider, "--account", account];
        let store = |home: &Home, secret: &str| {
            let body = json!({ "provider": provider, "secret": secret });
            let outcome = home.run_with(&[&of[..], &["store"]].concat(), body.to_string());
            assert_eq!(outcome.status, 0, "{outcome:?}");
        };
        store(&desk.home, "first-token");
        assert_eq!(desk.keyring.attributes_of(&[]).len(), 1, "{of:?}");
        desk.home.set(BUS, "");
        store(&desk.home, "second-token");
        desk.home.use_keyring(&desk.keyring);
        let get = [&of[..], &["get", "--format", "raw"]].concat();
        assert_eq!(desk.home.run(&get).output, "second-token\n", "{of:?}");
        assert_eq!(desk.keyring.attributes_of(&[]).len(), 0, "{of:?}");
        store(&desk.home, "third-token");
        assert_eq!(desk.home.run(&["list"]).status, 0);
        assert_eq!(desk.home.run(&get).output, "third-token\n", "{of:?}");
        assert_eq!(desk.home.run(&[&of[..], &["logout"]].concat()).status, 0);
        assert_eq!(desk.keyring.attributes_of(&[]).len(), 0, "{of:?}");
    }
}

type Call = fn(&Home, &str) -> Outcome;

/// Each tool that stores: how it stores a secret, and how it erases it.
const TOOLS: [(&str, Call, Call); 6] = [
    (
        "json",
        |home, secret| {
            let body = json!({ "url": "https://h.dev", "username": "ada", "secret": secret });
            home.run_with(&["store"], body.to_string())
        },
        |home, _| home.run_with(&["erase"], r#"{"url":"https://h.dev"}"#),
    ),
    (
        "git",
        |home, secret| {
            let login = format!("protocol=https\nhost=h.dev\nusername=ada\npassword={secret}\n\n");
            home.run_with(&["git", "store"], login)
        },
        |home, secret| {
            let login = format!("protocol=https\nhost=h.dev\nusername=ada\npassword={secret}\n\n");
            home.run_with(&["git", "erase"], login)
        },
    ),
    (
        "docker",
        |home, secret| {
            let body = json!({ "ServerURL": "h.dev", "Username": "ada", "Secret": secret });
            home.run_with(&["docker", "store"], body.to_string())
        },
        |home, _| home.run_with(&["docker", "erase"], "h.dev"),
    ),
    (
        "keyring",
        |home, secret| home.run_with(&["keyring", "set", "h.dev", "ada"], format!("{secret}\n")),
        |home, _| home.run(&["keyring", "del", "h.dev", "ada"]),
    ),
    (
        "terraform",
        |home, secret| {
            let body = json!({ "token": secret }).to_string();
            home.run_with(&["terraform", "store", "h.dev"], body)
        },
        |home, _| home.run(&["terraform", "forget", "h.dev"]),
    ),
    (
        "cargo",
        |home, secret| {
            let registry = json!({ "index-url": "sparse+https://h.dev/" });
            let body = json!({ "v": 1, "kind": "login", "registry": registry, "token": secret });
            home.run_with(&["cargo", "--cargo-plugin"], format!("{body}\n"))
        },
        |home, _| {
            let registry = json!({ "index-url": "sparse+https://h.dev/" });
            let body = json!({ "v": 1, "kind": "logout", "registry": registry });
            home.run_with(&["cargo", "--cargo-plugin"], format!("{body}\n"))
        },
    ),
];

fn succeeds(tool: &str, outcome: &Outcome) {
    assert_eq!(outcome.status, 0, "{tool}: {outcome:?}");
    assert!(!outcome.output.contains("Err"), "{tool}: {outcome:?}");
}

#[test]
fn a_credential_of_any_tool_leaves_no_item() {
    let Some(mut desk) = Desk::start() else { return };
    for (tool, store, erase) in TOOLS {
        for erased_with_keyring in [true, false] {
            succeeds(tool, &store(&desk.home, "first-secret"));
            assert!(desk.keyring.login().unwrap().contains("first-secret"), "{tool}");
            desk.home.set(BUS, "");
            succeeds(tool, &store(&desk.home, "second-secret"));
            assert!(desk.keyring.login().unwrap().contains("first-secret"), "{tool}");
            if erased_with_keyring {
                desk.home.use_keyring(&desk.keyring);
            }
            succeeds(tool, &erase(&desk.home, "second-secret"));
            desk.home.use_keyring(&desk.keyring);
            assert_eq!(desk.home.run(&["list"]).json()["credentials"], json!([]), "{tool}");
            assert_eq!(desk.keyring.attributes_of(&[]).len(), 0, "{tool}");
            assert!(!desk.home.login_files_hold("secret"), "{tool}");
        }
    }
}

#[test]
fn a_credential_that_returns_to_the_keyring_stays() {
    let Some(mut desk) = Desk::start() else { return };
    for (tool, store, erase) in TOOLS {
        succeeds(tool, &store(&desk.home, "first-secret"));
        desk.home.set(BUS, "");
        succeeds(tool, &store(&desk.home, "second-secret"));
        desk.home.use_keyring(&desk.keyring);
        succeeds(tool, &store(&desk.home, "third-secret"));
        for _ in 0..2 {
            assert_eq!(desk.home.run(&["list"]).json()["credentials"].as_array().unwrap().len(), 1);
            assert!(desk.keyring.login().unwrap().contains("third-secret"), "{tool}");
        }
        succeeds(tool, &erase(&desk.home, "third-secret"));
        assert_eq!(desk.keyring.attributes_of(&[]).len(), 0, "{tool}");
    }
}

#[test]
fn without_the_keyring_an_erase_of_its_secret_is_reported() {
    let Some(mut desk) = Desk::start() else { return };
    for (tool, store, erase) in TOOLS {
        succeeds(tool, &store(&desk.home, "first-secret"));
        desk.home.set(BUS, "");
        let outcome = erase(&desk.home, "first-secret");
        // git erases only the secret that it names, which cannot be compared now.
        let is_reported = format!("{outcome:?}").contains("could not erase the credential");
        assert_eq!(is_reported, tool != "git", "{tool}: {outcome:?}");
        desk.home.use_keyring(&desk.keyring);
        assert!(desk.keyring.login().unwrap().contains("first-secret"), "{tool}");
        succeeds(tool, &erase(&desk.home, "first-secret"));
        assert_eq!(desk.keyring.attributes_of(&[]).len(), 0, "{tool}");
    }
}
