//! Refresh: concurrent requests spend the token once, temporary failures lose no session, and no token is spent if the
//! result cannot be saved.

use std::process::Child;
use std::time::{Duration, Instant, SystemTime};

use account_server::{Fault, Server, Session};
use serde_json::{Value, json};

use crate::support::http::{post_as, redeem};
use crate::support::secret_service::SecretService;
use crate::support::{Home, Outcome, finish, rfc3339, service, service_with, session_json, spawn};

const REFRESH: &str = "/v1/auth/refresh";
const HOUR: Duration = Duration::from_secs(3600);
const RAW: [&str; 3] = ["get", "--format", "raw"];
const TOKENS: [(&str, &str); 2] = [("service", "mycli"), ("username", "mycli-tokens")];

/// Every call ends before this.
const BOUND: Duration = Duration::from_secs(9);

fn answer(status: u16, body: &str) -> Fault {
    Fault::Answer { status, body: body.to_owned(), headers: [].into() }
}

fn answer_with(status: u16, header: (&str, &str)) -> Fault {
    let headers = [(header.0.to_owned(), header.1.to_owned())].into();
    Fault::Answer { status, body: String::new(), headers }
}

/// A session whose token expires in half a minute: stale, and valid.
fn with_living_stale_session(server: &Server) -> (Home, Session) {
    let (home, session) = Home::with_stale_session(server);
    home.write_session(&session, Duration::from_secs(30), Duration::from_secs(870));
    (home, session)
}

fn wait_for_refresh_requests(server: &Server, count: usize) {
    let start = Instant::now();
    while server.refresh_requests() < count {
        assert!(start.elapsed() < BOUND, "the request does not come");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// What a refresh answered, as the other program's session file.
fn session_file(pair: &Value) -> String {
    let now = SystemTime::now();
    json!({
        "access_token": pair["access_token"],
        "refresh_token": pair["refresh_token"],
        "expires_at": rfc3339(now + Duration::from_secs(900)),
        "logged_in_at": rfc3339(now - HOUR),
        "last_refreshed_at": rfc3339(now),
    })
    .to_string()
}

fn sixty_four_at_once(home: &Home) -> Vec<String> {
    let children: Vec<Child> = (0..64).map(|_| home.start(&RAW)).collect();
    let token = |child| {
        let outcome = finish(child, b"");
        assert_eq!((outcome.status, outcome.messages.as_str()), (0, ""), "each is served");
        outcome.output
    };
    let mut tokens: Vec<_> = children.into_iter().map(token).collect();
    tokens.sort_unstable();
    tokens.dedup();
    tokens
}

#[test]
fn sixty_four_processes_share_one_refresh_with_the_file() {
    let server = service();
    let (home, old) = Home::with_stale_session(&server);
    let tokens = sixty_four_at_once(&home);
    assert_eq!(server.refresh_requests(), 1, "sixty-four processes share one refresh");
    assert_eq!(tokens.len(), 1, "and its token");
    assert_ne!(tokens[0].trim_end(), old.access_token, "which is the new one");
}

#[test]
fn sixty_four_processes_share_one_refresh_with_the_keyring() {
    let Some(keyring) = SecretService::start() else { return };
    let server = service();
    let mut home = Home::at(&server);
    home.use_keyring(&keyring);
    let old = server.session("me@acme.dev").unwrap();
    keyring.store(&TOKENS, session_json(&old, Duration::ZERO, HOUR).as_bytes());
    // Long enough for waiting processes to overload the keyring, or to exceed their timeout.
    server.fault(REFRESH, 1, Fault::Delay { delay_ms: 1500 });
    let tokens = sixty_four_at_once(&home);
    assert_eq!(server.refresh_requests(), 1, "sixty-four processes share one refresh");
    assert_eq!(tokens.len(), 1, "and its token");
    assert!(
        keyring.value_of(&TOKENS).unwrap().contains(tokens[0].trim_end()),
        "which is stored where the old one was"
    );
    assert_eq!(home.session(), None, "and nowhere else");
}

#[test]
fn a_revoked_session_is_deleted_and_reported() {
    for (code, end) in [
        ("SESSION_REVOKED", (|server, old| revoke(server, old)) as fn(&Server, &Session)),
        ("SESSION_EXPIRED", |server, _| server.advance(Duration::from_secs(61 * 24 * 3600))),
        ("INVALID_TOKEN", |server, old| {
            assert_eq!(redeem(server, &old.refresh_token).0, 200);
            server.advance(Duration::from_secs(31));
        }),
    ] {
        let server = service();
        let (home, old) = with_living_stale_session(&server);
        end(&server, &old);
        let outcome = home.run(&["get"]);
        assert_eq!(outcome.status, 1, "{outcome:?}");
        assert_eq!(outcome.json()["error"]["code"], "session_expired");
        assert!(
            outcome.messages.contains(code)
                && outcome.messages.contains("my-credential-helper login")
        );
        assert_eq!(home.session(), None, "{code}: an ended session is deleted");
        let requests = server.refresh_requests();
        let outcome = home.run(&["get"]);
        assert_eq!(
            (outcome.status, &outcome.json()["error"]["code"]),
            (1, &json!("not_logged_in"))
        );
        assert_eq!(server.refresh_requests(), requests, "{code}: no further request is sent");
    }
}

/// Ends the session as another program's logout does.
fn revoke(server: &Server, session: &Session) {
    let body = json!({ "refresh_token": session.refresh_token });
    let (status, _) = post_as(server, "/v1/auth/logout", &session.access_token, &body);
    assert_eq!(status, 200);
}

/// What a service, or a proxy before it, may answer without having done anything. Each twice: an answer that cannot be
/// understood is asked for once more.
fn passing() -> Vec<(&'static str, Fault)> {
    vec![
        ("status 503", answer(503, "")),
        (
            "INTERNAL_ERROR",
            answer(500, r#"{"error":{"code":"INTERNAL_ERROR","message":"the service failed"}}"#),
        ),
        ("retry after 7 s", answer_with(429, ("retry-after", "7"))),
        ("status 401", answer(401, "<html>a proxy</html>")),
        ("UNAUTHORIZED", answer(401, r#"{"error":{"code":"UNAUTHORIZED","message":"who?"}}"#)),
        (
            "INVALID_TOKEN",
            answer(403, r#"{"error":{"code":"INVALID_TOKEN","message":"by a proxy"}}"#),
        ),
        ("is not JSON", answer(200, "<html>please log in to the wireless network</html>")),
        ("ends unexpectedly", answer(200, "")),
        ("missing or of the wrong type", answer(200, r#"{"access_token":null}"#)),
        ("missing or of the wrong type", answer(200, r#"{"access_token":"","refresh_token":"r"}"#)),
        (
            "missing or of the wrong type",
            answer(200, r#"{"access_token":"a\u0000b","refresh_token":"r"}"#),
        ),
        ("larger than 1 MiB", answer(200, &"x".repeat(2 << 20))),
        ("status 302", answer_with(302, ("location", "/elsewhere"))),
        ("status 307", answer_with(307, ("location", "/elsewhere"))),
    ]
}

#[test]
fn a_temporary_failure_never_loses_the_session() {
    let server = service();
    for (reason, fault) in passing() {
        let (home, old) = Home::with_stale_session(&server);
        let before = home.session();
        server.clear_requests();
        server.fault(REFRESH, 2, fault);
        let outcome = home.run(&["get"]);
        assert_eq!(outcome.status, 3, "{reason}: {outcome:?}");
        assert_eq!(outcome.json()["error"]["code"], "temporarily_unavailable");
        assert!(
            outcome.messages.contains(reason),
            "{reason}: the message has the cause: {outcome:?}"
        );
        assert!(!outcome.messages.contains(&old.refresh_token), "and no token");
        assert_eq!(home.session(), before, "{reason}: nothing is changed");
        assert!(
            server.requests().iter().all(|request| request.path != "/elsewhere"),
            "no redirect is followed"
        );
        if server.refresh_requests() == 1 {
            assert_eq!(home.run(&RAW).status, 3, "the second fault");
        }
        assert_ne!(home.token(), old.access_token, "{reason}: the next call succeeds");
    }
}

#[test]
fn a_temporary_failure_with_a_valid_token_is_a_note() {
    let server = service();
    for fault in [answer(503, ""), answer(200, "<html>")] {
        let (home, old) = with_living_stale_session(&server);
        server.fault(REFRESH, 2, fault);
        let outcome = home.run(&RAW);
        assert_eq!((outcome.status, outcome.output.trim_end()), (0, old.access_token.as_str()));
        assert!(outcome.messages.contains("could not be refreshed"), "{outcome:?}");
        assert!(!outcome.messages.contains(&old.access_token));
        let _ = home.run(&RAW);
    }
}

#[test]
fn an_unavailable_service_never_loses_the_session() {
    let server = service();
    let (home, old) = Home::with_stale_session(&server);
    let (living, token) = with_living_stale_session(&server);
    drop(server);
    let before = home.snapshot();
    let outcome = home.run(&["get"]);
    assert_eq!(outcome.status, 3, "{outcome:?}");
    assert_eq!(home.session().unwrap()["refresh_token"], old.refresh_token.as_str());
    assert!(before.iter().all(|(path, contents)| home.snapshot().get(path) == Some(contents)));
    assert_eq!(living.token(), token.access_token);
}

#[test]
fn a_response_that_breaks_off_is_requested_again() {
    for fault in [
        Fault::CloseAfterCommit { close_after_commit: true },
        Fault::CutBody { cut_body_after: 0 },
        Fault::CutBody { cut_body_after: 40 },
        Fault::ReplaceBody { replace_body: "<html>".to_owned() },
        Fault::ReplaceBody { replace_body: "{}".to_owned() },
    ] {
        let server = service();
        let (home, old) = Home::with_stale_session(&server);
        server.fault(REFRESH, 1, fault.clone());
        let token = home.token();
        assert_ne!(token, old.access_token);
        assert_eq!(
            server.refresh_requests(),
            2,
            "{fault:?}: the token just replaced is taken once more"
        );
        assert_eq!(home.session().unwrap()["access_token"], token.as_str());
        expire(&home);
        assert_ne!(home.token(), token, "{fault:?}: what was saved can be refreshed in its turn");
    }
}

/// Makes the session in the file one whose token has ended.
fn expire(home: &Home) {
    let mut session = home.session().unwrap();
    for name in ["expires_at", "last_refreshed_at"] {
        session[name] = "2020-01-01T00:00:00Z".into();
    }
    home.write(".my/credentials.json", &session.to_string());
}

#[test]
fn an_absurd_lifetime_is_limited_to_a_second_and_a_day() {
    for (told, least, most) in [
        ("0", 800, 900),
        ("-1", 800, 900),
        ("\"0\"", 800, 900),
        ("0.5", 800, 900),
        ("1", 0, 1),
        ("1e18", 86_000, 86_400),
        ("\"soon\"", 800, 900),
        ("null", 800, 900),
        ("", 800, 900),
    ] {
        let server = service();
        let (home, _) = Home::with_stale_session(&server);
        let new = server.session("me@acme.dev").unwrap();
        let life = if told.is_empty() { String::new() } else { format!(r#","expires_in":{told}"#) };
        let body = format!(
            r#"{{"access_token":"{}","refresh_token":"{}"{life}}}"#,
            new.access_token, new.refresh_token
        );
        server.fault(REFRESH, 1, Fault::ReplaceBody { replace_body: body });
        assert_eq!(home.token(), new.access_token, "expires_in {told}: the token counts");
        let session = home.session().unwrap();
        assert_eq!(session["refresh_token"], new.refresh_token.as_str());
        let left = seconds_until(session["expires_at"].as_str().unwrap());
        assert!((least - 5..=most).contains(&left), "expires_in {told}: {left} s");
    }
}

fn seconds_until(time: &str) -> i64 {
    let parse = |text: &str| my_credential_helper::model::Timestamp::parse(text).unwrap().unix();
    parse(time) - parse(&rfc3339(SystemTime::now()))
}

#[test]
fn a_response_without_a_refresh_token_keeps_the_old_one() {
    let server = service();
    let (home, old) = Home::with_stale_session(&server);
    let new = server.session("me@acme.dev").unwrap();
    server.fault(
        REFRESH,
        1,
        answer(200, &json!({ "access_token": new.access_token, "expires_in": 900 }).to_string()),
    );
    assert_eq!(home.token(), new.access_token);
    assert_eq!(home.session().unwrap()["refresh_token"], old.refresh_token.as_str());
}

#[test]
fn endless_responses_time_out_and_lose_no_session() {
    let server = service();
    let [silent, silent_alive, slow, rescued, locked] =
        [false, true, false, false, false].map(|is_alive| {
            if is_alive {
                with_living_stale_session(&server)
            } else {
                Home::with_stale_session(&server)
            }
        });
    let before = [&silent, &slow, &locked].map(|(home, _)| home.session());
    let lock = hold_lock(&locked.0);
    let start = Instant::now();
    let mut children = Vec::new();
    for (place, fault) in [
        (&silent, Some(Fault::Delay { delay_ms: 12_000 })),
        (&silent_alive, Some(Fault::Delay { delay_ms: 12_000 })),
        (&slow, Some(Fault::SlowBytes { slow_bytes_ms: 100 })),
        (&rescued, Some(Fault::SlowBytes { slow_bytes_ms: 100 })),
        (&locked, None),
    ] {
        let asked = server.refresh_requests() + usize::from(fault.is_some());
        if let Some(fault) = fault {
            server.fault(REFRESH, 1, fault);
        }
        children.push(place.0.start(&["get", "--format", "json"]));
        wait_for_refresh_requests(&server, asked);
    }
    let (_, other) = redeem(&server, &rescued.1.refresh_token);
    rescued.0.write(".my/credentials.json", &session_file(&other));
    let outcomes: Vec<Outcome> = children.into_iter().map(|child| finish(child, b"")).collect();
    let took = start.elapsed();
    assert!((Duration::from_secs(4)..BOUND).contains(&took), "{took:?}");
    for outcome in [&outcomes[0], &outcomes[2], &outcomes[4]] {
        assert_eq!(
            (outcome.status, &outcome.json()["error"]["code"]),
            (3, &json!("temporarily_unavailable"))
        );
    }
    assert_eq!(
        (outcomes[1].status, &outcomes[1].json()["secret"]),
        (0, &json!(silent_alive.1.access_token))
    );
    assert_eq!(
        (outcomes[3].status, &outcomes[3].json()["secret"]),
        (0, &other["access_token"]),
        "another had more luck"
    );
    assert!(
        outcomes[4]
            .messages
            .contains("timed out after 5 s waiting for another process to refresh the session")
    );
    assert_eq!(server.refresh_requests(), 5, "never without the lock");
    assert_eq!([&silent, &slow, &locked].map(|(home, _)| home.session()), before);
    drop(lock);
    assert_ne!(slow.0.token(), slow.1.access_token, "the token just replaced is still accepted");
    assert_ne!(locked.0.token(), locked.1.access_token);
}

/// What `my` has when it rotates: its new pair, saved in the form of the session that it began with.
fn rotated_by_my(server: &Server, home: &Home) -> String {
    let mut session = home.session().unwrap();
    let (status, theirs) = redeem(server, session["refresh_token"].as_str().unwrap());
    assert_eq!(status, 200);
    for name in ["access_token", "refresh_token"] {
        session[name] = theirs[name].clone();
    }
    session.to_string()
}

#[test]
fn an_older_session_over_a_newer_one_does_not_log_out() {
    let server = service();
    let (home, _) = Home::with_stale_session(&server);
    let theirs = rotated_by_my(&server, &home);
    server.advance(Duration::from_secs(10));
    let ours = home.token();
    home.write(".my/credentials.json", &theirs);
    server.advance(Duration::from_secs(900));
    let next = home.token();
    assert_ne!(next, ours, "it was refreshed");
    server.advance(Duration::from_secs(60));
    expire(&home);
    home.token();
}

#[test]
fn the_last_refreshed_copy_does_not_undo_a_logout() {
    let server = service();
    let (home, _) = Home::with_stale_session(&server);
    home.token();
    assert!(home.read(".my/last-refreshed.json").is_some());
    let session = home.read(".my/credentials.json").unwrap();
    std::fs::remove_file(home.path().join(".my/credentials.json")).unwrap();
    let outcome = home.run(&["get", "--format", "json"]);
    assert_eq!(
        (outcome.status, &outcome.json()["error"]["code"]),
        (1, &json!("not_logged_in")),
        "{outcome:?}"
    );
    home.write(".my/credentials.json", &session);
    let outcome = home.run(&["logout"]);
    assert_eq!((outcome.status, home.session()), (0, None), "{outcome:?}");
    assert_eq!(home.read(".my/last-refreshed.json"), None, "a logout leaves no token behind");
}

#[test]
fn a_newer_session_of_another_program_is_not_overwritten() {
    let server = service();
    let (home, old) = Home::with_stale_session(&server);
    // The service has rotated, and its answer is on the way for a second.
    server.fault(REFRESH, 1, Fault::SlowBytes { slow_bytes_ms: 1 });
    let child = home.start(&RAW);
    wait_for_refresh_requests(&server, 1);
    std::thread::sleep(Duration::from_millis(100));
    server.advance(Duration::from_secs(5));
    let (status, other) = redeem(&server, &old.refresh_token);
    assert_eq!(status, 200);
    home.write(".my/credentials.json", &session_file(&other));
    let outcome = finish(child, b"");
    assert_eq!(
        (outcome.status, outcome.output.trim_end()),
        (0, other["access_token"].as_str().unwrap())
    );
    assert_eq!(home.session().unwrap()["refresh_token"], other["refresh_token"]);
    expire(&home);
    home.token();
}

#[test]
fn a_rotation_without_the_lock_does_not_log_out() {
    let server = service();
    let (home, old) = Home::with_stale_session(&server);
    let (_, other) = redeem(&server, &old.refresh_token);
    server.advance(Duration::from_secs(31));
    server.fault(REFRESH, 1, Fault::Delay { delay_ms: 150 });
    let child = home.start(&RAW);
    wait_for_refresh_requests(&server, 2);
    home.write(".my/credentials.json", &session_file(&other));
    let outcome = finish(child, b"");
    assert_eq!(
        (outcome.status, outcome.output.trim_end()),
        (0, other["access_token"].as_str().unwrap()),
        "{outcome:?}"
    );
    assert_eq!(home.session().unwrap()["refresh_token"], other["refresh_token"]);
}

#[test]
fn a_logout_during_a_refresh_stays_a_logout() {
    let server = service();
    let (home, _) = Home::with_stale_session(&server);
    server.fault(REFRESH, 1, Fault::Delay { delay_ms: 150 });
    let child = home.start(&["get", "--format", "json"]);
    wait_for_refresh_requests(&server, 1);
    std::fs::remove_file(home.path().join(".my/credentials.json")).unwrap();
    let outcome = finish(child, b"");
    assert_eq!((outcome.status, &outcome.json()["error"]["code"]), (1, &json!("not_logged_in")));
    assert_eq!(home.session(), None);
}

#[test]
fn a_rejected_token_is_replaced_once_a_minute_without_a_logout() {
    let server = service();
    let (home, old) = Home::with_stale_session(&server);
    home.write_session(&old, Duration::from_secs(800), Duration::from_secs(100));
    let erase = |token: &str| {
        let body = json!({ "url": format!("{}/git/x", server.url()), "secret": token }).to_string();
        let outcome = home.run_with(&["erase"], body);
        assert_eq!(outcome.status, 0, "{outcome:?}");
        outcome.json()["erased"].as_bool().unwrap()
    };
    assert!(!erase("somebody-elses"), "another secret changes nothing");
    assert_eq!((home.token(), server.refresh_requests()), (old.access_token.clone(), 0));
    assert!(erase(&old.access_token), "the rejected token is marked");
    let new = home.token();
    assert_eq!((new == old.access_token, server.refresh_requests()), (false, 1));
    assert!(!erase(&new), "at most one forced refresh a minute");
    assert_eq!((home.token(), server.refresh_requests()), (new, 1));
    assert!(!erase(&old.access_token), "what is replaced is not the session's any more");
}

#[test]
fn a_token_in_the_variable_is_never_refreshed() {
    let server = service();
    let (mut home, _) = Home::with_stale_session(&server);
    let before = home.session();
    let token = server.api_token("me@acme.dev", "ci").unwrap().token;
    home.set("MY_API_TOKEN", &token);
    assert_eq!(home.token(), token);
    assert_eq!(server.requests().len(), 0, "nothing is asked");
    assert_eq!(home.session(), before);
}

/// The lock, as another program holds it.
fn hold_lock(home: &Home) -> std::fs::File {
    let file = std::fs::File::create(home.write(".my/refresh.lock", "")).unwrap();
    file.lock().unwrap();
    file
}

#[test]
fn a_valid_token_is_returned_during_another_refresh() {
    let server = service();
    let (home, old) = with_living_stale_session(&server);
    let lock = hold_lock(&home);
    let (start, token) = (Instant::now(), home.token());
    assert_eq!(token, old.access_token);
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    assert_eq!(server.refresh_requests(), 0);
    drop(lock);
}

#[test]
fn a_saved_session_is_returned_while_the_lock_is_held() {
    let server = service();
    let (home, old) = Home::with_stale_session(&server);
    let lock = hold_lock(&home);
    let child = home.start(&RAW);
    let (_, other) = redeem(&server, &old.refresh_token);
    home.write(".my/credentials.json", &session_file(&other));
    let outcome = finish(child, b"");
    assert_eq!(
        (outcome.status, outcome.output.trim_end()),
        (0, other["access_token"].as_str().unwrap()),
        "{outcome:?}"
    );
    drop(lock);
}

#[test]
fn no_token_is_spent_if_the_session_cannot_be_written() {
    let server = service();
    for is_alive in [false, true] {
        let (home, old) = if is_alive {
            with_living_stale_session(&server)
        } else {
            Home::with_stale_session(&server)
        };
        let before = home.session();
        // A disk without room for a byte more: the limit holds for files, and not for the pipes of the answer.
        let mut command = home.command("/bin/sh");
        command.args(["-c", r#"trap '' XFSZ; ulimit -f 0; exec "$0" get"#, crate::support::HELPER]);
        let outcome = finish(spawn(command), b"");
        assert_eq!(outcome.status, if is_alive { 0 } else { 3 }, "{outcome:?}");
        assert!(outcome.messages.contains("could not be saved"), "{outcome:?}");
        assert_eq!(home.session(), before);
        let requests = server.refresh_requests();
        assert_ne!(home.token(), old.access_token, "with room again the token is good");
        assert_eq!(server.refresh_requests(), requests + 1);
        server.clear_requests();
    }
}

#[test]
fn a_session_from_the_future_is_refreshed() {
    let server = service();
    let (home, old) = Home::with_stale_session(&server);
    let mut session: Value =
        serde_json::from_str(&session_json(&old, 2 * HOUR, Duration::ZERO)).unwrap();
    session["last_refreshed_at"] = rfc3339(SystemTime::now() + HOUR).into();
    home.write(".my/credentials.json", &session.to_string());
    assert_ne!(
        home.token(),
        old.access_token,
        "a clock that was set back hides how old the token is"
    );
    assert_eq!(server.refresh_requests(), 1);
}

#[test]
fn min_validity_refreshes_up_to_half_the_lifetime() {
    let server = service_with(|settings| settings.access_token_lifetime = Duration::from_secs(600));
    let (home, old) = Home::with_stale_session(&server);
    home.write_session(&old, Duration::from_secs(200), Duration::from_secs(400));
    let ask = |seconds: u64| {
        let outcome =
            home.run_with(&["get"], json!({ "min_validity_seconds": seconds }).to_string());
        outcome.json()["secret"].as_str().unwrap().to_owned()
    };
    assert_eq!(ask(100), old.access_token);
    let new = ask(250);
    assert_ne!(new, old.access_token, "200 s are too few");
    assert_eq!(ask(u64::MAX), new, "what no token can give is not refreshed for again and again");
    assert_eq!(server.refresh_requests(), 1);
}

#[test]
fn a_session_of_another_api_url_is_not_sent_or_deleted() {
    let (server, other) = (service(), service());
    let (home, _) = Home::with_stale_session(&server);
    let before = home.snapshot();
    let outcome = home.run(&["--api-url", other.url(), "get"]);
    assert_eq!(outcome.status, 1, "{outcome:?}");
    assert!(outcome.messages.contains(&format!(
        "logged in at {}, not {}",
        server.url(),
        other.url()
    )));
    assert_eq!((server.requests().len(), other.requests().len()), (0, 0));
    assert_eq!(home.snapshot(), before);
}

#[test]
fn without_a_lock_a_valid_token_is_returned_and_none_spent() {
    let server = service();
    for is_alive in [true, false] {
        let (home, old) = if is_alive {
            with_living_stale_session(&server)
        } else {
            Home::with_stale_session(&server)
        };
        // As in a home that is mounted read-only.
        std::fs::create_dir(home.path().join(".my/refresh.lock")).unwrap();
        let outcome = home.run(&RAW);
        assert_eq!(outcome.status, i32::from(!is_alive), "{outcome:?}");
        assert_eq!(outcome.output.trim_end() == old.access_token, is_alive);
        assert!(outcome.messages.contains("refresh.lock"), "{outcome:?}");
    }
    assert_eq!(server.refresh_requests(), 0, "never without the lock");
}

/// A session that has not been refreshed for so many days.
fn unused_for(server: &Server, days: u32) -> (Home, Session) {
    let (home, session) = Home::with_stale_session(server);
    home.write_session(&session, Duration::ZERO, HOUR * 24 * days);
    (home, session)
}

#[test]
fn an_unused_session_is_refreshed_by_other_commands() {
    let server = service();
    let (home, old) = unused_for(&server, 8);
    let outcome = home.run(&["status"]);
    assert_eq!(
        (outcome.status, outcome.messages.as_str(), server.refresh_requests()),
        (0, "", 1),
        "{outcome:?}"
    );
    assert!(outcome.output.contains("(8 d ago)"), "the answer comes first: {outcome:?}");
    assert_ne!(home.session().unwrap()["refresh_token"], old.refresh_token.as_str());
    home.run(&["status"]);
    assert_eq!(server.refresh_requests(), 1, "once a week");
}

#[test]
fn the_weekly_refresh_skips_recent_and_other_sessions() {
    let server = service();
    let (young, _) = unused_for(&server, 6);
    young.run(&["status"]);
    let (mut home, _) = unused_for(&server, 8);
    home.run(&["list"]);
    home.run(&["capabilities"]);
    home.run(&["--api-url", "http://127.0.0.1:1", "status"]);
    home.set("MY_API_TOKEN", "myc_1");
    home.run(&["status"]);
    assert_eq!(server.requests().len(), 0);
}

#[test]
fn a_failed_weekly_refresh_is_silent_and_fast() {
    let server = service();
    let (home, _) = unused_for(&server, 8);
    let before = home.session();
    server.fault(REFRESH, 1, Fault::Delay { delay_ms: 12_000 });
    let start = Instant::now();
    let outcome = home.run(&["status"]);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert_eq!((outcome.status, outcome.messages.as_str()), (0, ""), "{outcome:?}");
    assert_eq!(home.session(), before);
}
