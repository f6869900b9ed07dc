//! Faults of the keyring: gnome-keyring that is stopped, slow, or rejects writes; an item that is invalid, or has 100 KB.
//! A call takes at most three seconds, moves no secret to a file silently, and loses no refreshed session. A missing or
//! silent bus is in `keyring_edge`.

use std::time::{Duration, Instant};

use account_server::Server;
use serde_json::json;

use crate::support::secret_service::SecretService;
use crate::support::{Home, Outcome, service, session_json};

const TOKENS: [(&str, &str); 2] = [("service", "mycli"), ("username", "mycli-tokens")];
const QUARTER: Duration = Duration::from_secs(900);
const HOUR: Duration = Duration::from_secs(3600);

fn home_with(keyring: &SecretService) -> (Server, Home) {
    let server = service();
    let mut home = Home::at(&server);
    home.use_keyring(keyring);
    (server, home)
}

/// A call within the timeout of the keyring, plus the time of a process on a busy machine.
fn in_time(call: impl FnOnce() -> Outcome) -> Outcome {
    let begun = Instant::now();
    let outcome = call();
    assert!(begun.elapsed() < Duration::from_millis(4500), "{:?}: {outcome:?}", begun.elapsed());
    outcome
}

#[test]
fn a_stopped_keyring_costs_three_seconds_and_moves_no_secret() {
    let Some(keyring) = SecretService::start() else { return };
    let (server, home) = home_with(&keyring);
    let session = server.session("me@acme.dev").unwrap();
    keyring.store(&TOKENS, session_json(&session, QUARTER, Duration::ZERO).as_bytes());
    keyring.stop();
    let outcome = in_time(|| home.run(&["get"]));
    assert_eq!(
        (outcome.status, &outcome.json()["error"]["code"]),
        (3, &json!("temporarily_unavailable"))
    );
    assert!(outcome.messages.contains("did not answer in time"), "{outcome:?}");
    let outcome = in_time(|| {
        home.run_with(&["store"], r#"{"url":"https://h.dev","username":"a","secret":"hunter2"}"#)
    });
    assert_eq!(outcome.status, 3, "{outcome:?}");
    let outcome = in_time(|| home.run(&["login", "--email", "me@acme.dev", "--force"]));
    assert_eq!((outcome.status, server.inbox().len()), (3, 0), "{outcome:?}");
    assert_eq!((home.session(), home.read(".my/logins")), (None, None), "never a silent move");
    assert!(
        !home
            .snapshot()
            .into_values()
            .flatten()
            .any(|bytes| bytes.windows(7).any(|part| part == b"hunter2"))
    );
    keyring.go_on();
    assert_eq!(home.token(), session.access_token, "nothing is lost");
}

#[test]
fn a_slow_keyring_times_out_and_the_next_call_tries_again() {
    let Some(keyring) = SecretService::start() else { return };
    let (server, home) = home_with(&keyring);
    let old = server.session("me@acme.dev").unwrap();
    keyring.store(&TOKENS, session_json(&old, Duration::ZERO, HOUR).as_bytes());
    keyring.stop();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_secs(10));
            keyring.go_on();
        });
        let begun = Instant::now();
        let mut tries = 0;
        while home.run(&["get", "--format", "raw"]).status != 0 {
            tries += 1;
            assert!(begun.elapsed() < Duration::from_secs(30), "it never comes back");
        }
        assert!((2..=5).contains(&tries), "{tries}: three seconds each");
    });
    assert!(
        keyring.value_of(&TOKENS).unwrap().contains(&home.token()),
        "it is refreshed where it was"
    );
    assert_eq!((server.refresh_requests(), home.session()), (1, None));
}

#[test]
fn a_keyring_that_rejects_writes_loses_no_refreshed_session() {
    let Some(keyring) = SecretService::start() else { return };
    let (server, home) = home_with(&keyring);
    let old = server.session("me@acme.dev").unwrap();
    keyring.store(&TOKENS, session_json(&old, Duration::ZERO, HOUR).as_bytes());
    keyring.refuse_writes();
    let before = home.session();
    let outcome = in_time(|| {
        home.run_with(&["store"], r#"{"url":"https://h.dev","username":"a","secret":"hunter2"}"#)
    });
    assert_eq!((outcome.status, home.session()), (1, before), "{outcome:?}");
    assert!(outcome.messages.contains("could not save the session to the keyring"), "{outcome:?}");
    let outcome = in_time(|| home.run(&["get", "--format", "raw"]));
    assert_eq!(outcome.status, 0, "{outcome:?}");
    assert!(
        outcome.messages.contains("could not save the session to the keyring"),
        "said, and not silent: {outcome:?}"
    );
    assert_eq!(
        home.session().unwrap()["access_token"],
        outcome.output.trim_end(),
        "the file takes it"
    );
    server.advance(Duration::from_secs(60));
    assert_eq!(home.token(), outcome.output.trim_end(), "and the newer of the two counts");
}

#[test]
fn an_invalid_item_is_reported_and_a_large_one_is_read() {
    let Some(keyring) = SecretService::start() else { return };
    let (server, home) = home_with(&keyring);
    let session = server.session("me@acme.dev").unwrap();
    let text = session_json(&session, QUARTER, Duration::ZERO);
    for garbage in [
        &b"hunter2"[..],
        b"\xff\xfehunter2",
        b"",
        &vec![b'h'; 100_000],
        &text.as_bytes()[..text.len() / 2],
    ] {
        keyring.replace(&TOKENS, garbage);
        let outcome = in_time(|| home.run(&["get"]));
        assert_eq!(
            (outcome.status, &outcome.json()["error"]["code"]),
            (1, &json!("internal")),
            "{outcome:?}"
        );
        assert!(
            !outcome.messages.contains("hunter2") && outcome.messages.len() < 1000,
            "{outcome:?}"
        );
    }
    keyring.replace(&TOKENS, format!("{text}{}", " ".repeat(100_000)).as_bytes());
    assert_eq!(home.token(), session.access_token, "100 KB that mean something");
}
