//! Unusable homes: of another user, missing, or with a file in place of a directory.

use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::time::Duration;

use serde_json::json;

use crate::support::secret_service::SecretService;
use crate::support::{Home, Outcome, service, session_json};

const STORE: &str = r#"{"url":"https://h.dev","username":"ada","secret":"hunter2"}"#;
const ERASE: &str = r#"{"provider":"mycli"}"#;

/// Everything that could read or write a secret.
const CALLS: [(&[&str], &str); 12] = [
    (&["get"], ""),
    (&["get", "--url", "https://h.dev"], ""),
    (&["git", "get"], "protocol=https\nhost=h.dev\n\n"),
    (&["store"], STORE),
    (&["erase"], ERASE),
    (&["list"], ""),
    (&["status"], ""),
    (&["whoami"], ""),
    (&["logout"], ""),
    (&["login", "--email", "me@acme.dev"], ""),
    (&["login"], "myc_0123456789012345678901234567890123456789\n"),
    (&["config", "set", "hosts", "h.dev"], ""),
];

/// Changes the owner of a home, as under `sudo`; `false`, with a message, without root.
fn give_away(home: &Home) -> bool {
    let paths = home.snapshot().into_keys().chain([home.path().to_owned()]);
    let given =
        paths.map(|path| chown(path, Some(12345), Some(12345))).all(|result| result.is_ok());
    if !given {
        let _ = std::io::stderr().write_all(b"SKIPPED: only root can give a home away\n");
    }
    given
}

fn tells_no_secret(outcome: &Outcome, secret: &str, call: &[&str]) {
    assert!(
        !outcome.output.contains(secret) && !outcome.messages.contains(secret),
        "{call:?}: {outcome:?}"
    );
}

#[test]
fn in_the_home_of_another_user_no_file_is_read_or_written() {
    let server = service();
    let (home, session) = Home::logged_in(&server);
    assert_eq!(
        home.run_with(&["store"], STORE.replace("hunter2", &session.access_token)).status,
        0
    );
    if !give_away(&home) {
        return;
    }
    let before = home.snapshot();
    for (arguments, input) in CALLS {
        let outcome = home.run_with(arguments, input);
        tells_no_secret(&outcome, &session.access_token, arguments);
        assert!((0..=4).contains(&outcome.status), "{outcome:?}");
    }
    assert_eq!(home.snapshot(), before, "nothing is changed");
    for path in home.snapshot().into_keys() {
        assert_eq!(path.symlink_metadata().unwrap().uid(), 12345, "{}", path.display());
    }
    assert_eq!(server.requests().len(), 0, "no request is sent");
}

#[test]
fn in_the_home_of_another_user_the_keyring_is_not_read() {
    let Some(keyring) = SecretService::start() else { return };
    let server = service();
    let mut home = Home::at(&server);
    home.use_keyring(&keyring);
    let session = server.session("me@acme.dev").unwrap();
    let text = session_json(&session, Duration::from_secs(900), Duration::ZERO);
    keyring.store(&[("service", "mycli"), ("username", "mycli-tokens")], text.as_bytes());
    assert_eq!(home.token(), session.access_token);
    if !give_away(&home) {
        return;
    }
    for (arguments, input) in CALLS {
        tells_no_secret(&home.run_with(arguments, input), &session.access_token, arguments);
    }
    let kept = keyring.value_of(&[("service", "mycli"), ("username", "mycli-tokens")]);
    assert_eq!(kept, Some(text), "nor is it changed");
    let outcome = home.run(&["get"]);
    assert!(
        outcome.status == 1 && outcome.messages.contains("belongs to another user"),
        "{outcome:?}"
    );
    home.set("MY_API_TOKEN", "myc_1");
    assert_eq!(home.token(), "myc_1", "the variable alone serves");
}

#[test]
fn without_a_usable_home_the_variable_is_still_used() {
    let server = service();
    let token = server.api_token("me@acme.dev", "ci").unwrap().token;
    for (home_variable, words) in [
        ("nowhere", ""),
        ("/nonexistent/home", ""),
        ("relative/home", "HOME is not an absolute path"),
        ("/dev/null", ""),
    ] {
        let mut home = Home::new();
        let place = if home_variable == "nowhere" {
            home.path().join("nowhere").into_os_string()
        } else {
            home_variable.into()
        };
        home.set("HOME", place);
        for (arguments, input) in
            [(&["get"][..], ""), (&["store"], STORE), (&["erase"], ERASE), (&["status"], "")]
        {
            let outcome = home.run_with(arguments, input);
            assert!(
                (0..=4).contains(&outcome.status),
                "{home_variable}: {arguments:?}: {outcome:?}"
            );
            assert!(arguments != ["get"] || outcome.messages.contains(words), "{outcome:?}");
        }
        home.set("MY_API_TOKEN", &token);
        assert_eq!(home.token(), token, "{home_variable}");
    }
}

#[test]
fn a_file_in_place_of_our_directory_is_reported_and_unchanged() {
    let server = service();
    let mut home = Home::new();
    home.write(".my", "a file");
    for (arguments, input) in
        [(&["get"][..], ""), (&["store"], STORE), (&["login", "--email", "me@acme.dev"], "")]
    {
        let outcome = home.run_with(arguments, input);
        assert!(matches!(outcome.status, 1 | 2), "{arguments:?}: {outcome:?}");
        assert!(outcome.messages.starts_with("error: "), "{outcome:?}");
    }
    assert_eq!(home.read(".my").as_deref(), Some("a file"));
    home.set("MY_API_TOKEN", server.api_token("me@acme.dev", "ci").unwrap().token);
    home.token();
}

#[test]
fn of_two_users_stored_in_one_second_the_latest_is_returned() {
    let home = Home::new();
    for round in 0..12 {
        let host = format!("https://h{round}.dev");
        for user in ["zoe", "ada", "mia"] {
            let body = json!({ "url": host, "username": user, "secret": format!("of {user}") })
                .to_string();
            assert_eq!(home.run_with(&["store"], body).status, 0);
        }
        assert_eq!(home.run(&["get", "--url", &host]).json()["username"], "mia", "{host}");
    }
}
