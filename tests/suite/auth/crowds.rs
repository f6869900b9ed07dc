//! Many concurrent processes with the same stale session: a single refresh, and a token for each. `MY_TEST_CROWD` is
//! their number.

use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use account_server::{Fault, Server};
use serde_json::{Value, json};

use crate::support::http::{is_accepted, redeem};
use crate::support::protected::{self, Protected, Protection};
use crate::support::secret_service::SecretService;
use crate::support::seed::number;
use crate::support::{HELPER, Home, Outcome, desk, finish, service, session_json, spawn};

const REFRESH: &str = "/v1/auth/refresh";
const FILE: &str = ".my/credentials.json";
const ITEM: [(&str, &str); 2] = [("service", "mycli"), ("username", "mycli-tokens")];

fn start_crowd(home: &Home) -> Vec<Child> {
    start(home, number("MY_TEST_CROWD", 24))
}

fn start(home: &Home, count: u64) -> Vec<Child> {
    (0..count).map(|_| home.start(&["get", "--format", "raw"])).collect()
}

fn finish_all(crowd: Vec<Child>) -> Vec<Outcome> {
    crowd.into_iter().map(|child| finish(child, b"")).collect()
}

/// Everybody is served; the tokens, each once.
fn tokens_of(crowd: Vec<Child>) -> Vec<String> {
    let served = |outcome: Outcome| {
        assert_eq!(outcome.status, 0, "{outcome:?}");
        outcome.output.trim_end().to_owned()
    };
    let mut tokens: Vec<_> = finish_all(crowd).into_iter().map(served).collect();
    tokens.sort_unstable();
    tokens.dedup();
    tokens
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(10), "{what} never came to be");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A quarter of an hour later, long past the grace in which a replaced token is taken, the session is refreshed.
fn lives_on(server: &Server, home: &Home) {
    server.advance(Duration::from_secs(901));
    let mut session = home.session().expect("a session");
    for name in ["expires_at", "last_refreshed_at"] {
        session[name] = "2020-01-01T00:00:00Z".into();
    }
    home.write(FILE, &session.to_string());
    assert!(is_accepted(server.url(), &home.token()), "a quarter of an hour later");
}

#[test]
fn concurrent_processes_refresh_once_and_read_whole_files() {
    let server = service();
    let (home, old) = Home::with_stale_session(&server);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                let text = home.read(FILE).expect("it is always there");
                assert!(serde_json::from_str::<Value>(&text).is_ok(), "half of it: {text}");
            }
        });
        let tokens = tokens_of(start_crowd(&home));
        is_over.store(true, Ordering::Relaxed);
        assert!(tokens.len() == 1 && tokens[0] != old.access_token, "{tokens:?}");
    });
    assert_eq!(server.refresh_requests(), 1);
    lives_on(&server, &home);
}

#[test]
fn a_process_that_dies_with_the_lock_is_replaced_by_the_next() {
    let server = service();
    let (home, _) = Home::with_stale_session(&server);
    // It has rotated, and its answer is on the way for some seconds.
    server.fault(REFRESH, 1, Fault::SlowBytes { slow_bytes_ms: 8 });
    let mut first = home.start(&["get", "--format", "raw"]);
    until("the request", || server.refresh_requests() == 1);
    // While it lives they wait for it, and after 5 s no longer.
    let mut crowd = start(&home, 8);
    first.kill().unwrap();
    first.wait().unwrap();
    crowd.extend(start_crowd(&home));
    assert_eq!(tokens_of(crowd).len(), 1, "one token for all");
    assert_eq!(server.refresh_requests(), 2, "that of the dead, and one more");
    lives_on(&server, &home);
}

#[test]
fn a_logout_during_concurrent_refreshes_is_final() {
    let server = service();
    let (home, old) = Home::with_stale_session(&server);
    server.fault(REFRESH, 1, Fault::Delay { delay_ms: 100 });
    let crowd = start_crowd(&home);
    until("the request", || server.refresh_requests() > 0);
    let outcome = home.run(&["logout"]);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    for outcome in finish_all(crowd) {
        assert!(
            outcome.status == 0
                || outcome.messages.contains("logged")
                || outcome.messages.contains("was removed")
                || outcome.messages.contains("no longer valid")
        );
    }
    assert_eq!(home.session(), None, "nobody writes it again");
    let outcome = home.run(&["get"]);
    assert_eq!(
        (outcome.status, &outcome.json()["error"]["code"]),
        (1, &json!("not_logged_in")),
        "{outcome:?}"
    );
    assert_eq!(redeem(&server, &old.refresh_token).0, 401);
}

#[test]
fn concurrent_processes_on_a_mounted_file_spend_nothing() {
    if !protected::can_mount() {
        return;
    }
    let server = service();
    let (home, _) = Home::with_stale_session(&server);
    let before = home.session();
    let mount = Protected::new(&home.path().join(FILE), Protection::Mounted);
    for outcome in finish_all(start_crowd(&home)) {
        assert_eq!(outcome.status, 3, "{outcome:?}");
        let reasons = ["is a mount point", "waiting for another process"];
        let has_reason = reasons.iter().any(|reason| outcome.messages.contains(reason));
        assert!(has_reason, "{outcome:?}");
    }
    assert_eq!((server.refresh_requests(), home.session()), (0, before));
    drop(mount);
    assert_eq!(tokens_of(start_crowd(&home)).len(), 1);
    assert_eq!(server.refresh_requests(), 1);
    lives_on(&server, &home);
}

/// A home whose keyring some processes reach and others do not, as in a desktop session and over SSH.
struct Seldom {
    server: Server,
    keyring: SecretService,
    home: Home,
}

impl Seldom {
    fn start() -> Option<Self> {
        let (server, keyring, home) = desk()?;
        Some(Self { server, keyring, home })
    }

    /// Every other process reaches the keyring.
    fn crowd(&self) -> [Vec<Outcome>; 2] {
        let start = |reaches_keyring: bool| {
            let mut command = self.home.command(HELPER);
            command.args(["get", "--format", "raw"]);
            if !reaches_keyring {
                command.env_remove("DBUS_SESSION_BUS_ADDRESS");
            }
            spawn(command)
        };
        let pairs: Vec<_> =
            (0..number("MY_TEST_CROWD", 24) / 2).map(|_| [start(true), start(false)]).collect();
        let mut outcomes = [Vec::new(), Vec::new()];
        for pair in pairs {
            for (outcomes, child) in outcomes.iter_mut().zip(pair) {
                outcomes.push(finish(child, b""));
            }
        }
        outcomes
    }
}

fn stale(session: &account_server::Session) -> String {
    session_json(session, Duration::ZERO, Duration::from_secs(3600))
}

#[test]
fn a_session_in_a_keyring_that_some_processes_miss_stays() {
    let Some(seldom) = Seldom::start() else { return };
    let session = seldom.server.session("me@acme.dev").unwrap();
    seldom.keyring.store(&ITEM, stale(&session).as_bytes());
    let [with, without] = seldom.crowd();
    for outcome in &without {
        assert!(outcome.messages.contains("not logged in"), "{outcome:?}");
    }
    let mut tokens: Vec<_> =
        with.iter().map(|outcome| (outcome.status, &*outcome.output)).collect();
    tokens.dedup();
    assert!(tokens.len() == 1 && tokens[0].0 == 0, "{with:?}");
    assert_eq!(seldom.server.refresh_requests(), 1);
    assert_eq!(seldom.home.session(), None, "nothing moves to a file");
}

#[test]
fn a_later_login_without_the_keyring_serves_all_processes() {
    let Some(seldom) = Seldom::start() else { return };
    let older = seldom.server.session("me@acme.dev").unwrap();
    seldom.keyring.store(&ITEM, stale(&older).as_bytes());
    for _ in 0..3 {
        seldom.server.advance(Duration::from_secs(60));
        let newer = seldom.server.session("me@acme.dev").unwrap();
        seldom.home.write(FILE, &stale(&newer));
        seldom.server.clear_requests();
        let [with, without] = seldom.crowd();
        let mut tokens: Vec<_> =
            with.iter().chain(&without).map(|outcome| (outcome.status, &*outcome.output)).collect();
        tokens.dedup();
        assert!(tokens.len() == 1 && tokens[0].0 == 0, "{with:?} {without:?}");
        assert_eq!(seldom.server.refresh_requests(), 1);
        assert!(is_accepted(seldom.server.url(), tokens[0].1.trim_end()));
        let file = seldom.home.session().expect("the login stays in its file");
        assert_ne!(file["refresh_token"], newer.refresh_token);
    }
}

/// The keyring stops answering during the refresh, and goes on later.
#[test]
fn a_keyring_that_stops_during_a_refresh_loses_no_session() {
    let Some(seldom) = Seldom::start() else { return };
    let session = seldom.server.session("me@acme.dev").unwrap();
    seldom.keyring.store(&ITEM, stale(&session).as_bytes());
    seldom.server.fault(REFRESH, 1, Fault::Delay { delay_ms: 300 });
    let first = seldom.home.start(&["get", "--format", "raw"]);
    until("the request", || seldom.server.refresh_requests() == 1);
    seldom.keyring.stop();
    let outcome = finish(first, b"");
    seldom.keyring.go_on();
    assert_eq!(outcome.status, 0, "{outcome:?}");
    // The grace for the replaced token is over: only the new session is of use.
    seldom.server.advance(Duration::from_secs(60));
    assert!(is_accepted(seldom.server.url(), &seldom.home.token()));
    let [with, _] = seldom.crowd();
    assert!(with.iter().all(|outcome| outcome.status == 0), "{with:?}");
}

/// Each process is started again until the keyring is there for long enough.
#[test]
fn a_keyring_that_comes_and_goes_loses_no_session() {
    let Some(seldom) = Seldom::start() else { return };
    let session = seldom.server.session("me@acme.dev").unwrap();
    seldom.keyring.store(&ITEM, stale(&session).as_bytes());
    let begun = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..20 {
                seldom.keyring.hide();
                std::thread::sleep(Duration::from_millis(10));
                seldom.keyring.show();
                std::thread::sleep(Duration::from_millis(40));
            }
        });
        for _ in 0..number("MY_TEST_CROWD", 24) {
            scope.spawn(|| {
                while begun.elapsed() < Duration::from_secs(60) {
                    let outcome = seldom.home.run(&["get", "--format", "raw"]);
                    if outcome.status == 0 {
                        return;
                    }
                    // A bus has a limit of connections, and more processes wait in vain.
                    let is_away = ["no session bus", "did not answer in time"];
                    let is_away = is_away.iter().any(|part| outcome.messages.contains(part));
                    assert!(is_away, "{outcome:?}");
                }
                panic!("it is not served");
            });
        }
    });
    // Past the grace for the replaced token, only the newest session is of use.
    seldom.server.advance(Duration::from_secs(60));
    assert!(is_accepted(seldom.server.url(), &seldom.home.token()));
    assert_eq!(tokens_of(start_crowd(&seldom.home)).len(), 1);
    assert_eq!(seldom.server.refresh_requests(), 1);
}
