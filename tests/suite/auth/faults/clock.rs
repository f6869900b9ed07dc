//! A clock of this machine that is wrong or jumps, by `faketime`: the service's clock stays right.

use std::io::Write as _;
use std::process::Command;
use std::time::Duration;

use account_server::{Fault, Server};
use my_credential_helper::model::Timestamp;

use crate::support::http::is_accepted;
use crate::support::{HELPER, Home, Outcome, fake_clock, finish, has_client, service, spawn};

const OFFSET: &str = "offset";

/// Runs the helper with a clock that is wrong by as much as the file says; it is read again at every look at the clock.
fn command_with_clock(home: &Home, arguments: &[&str]) -> Command {
    let mut command = home.command(HELPER);
    fake_clock(&mut command);
    command.env("FAKETIME_NO_CACHE", "1");
    command.env("FAKETIME_TIMESTAMP_FILE", home.path().join(OFFSET)).args(arguments);
    command
}

fn run(home: &Home, offset: &str, arguments: &[&str]) -> Outcome {
    home.write(OFFSET, offset);
    finish(spawn(command_with_clock(home, arguments)), b"")
}

fn token(home: &Home, offset: &str) -> String {
    let outcome = run(home, offset, &["get", "--format", "raw"]);
    assert_eq!(outcome.status, 0, "{offset}: {outcome:?}");
    outcome.output.trim_end().to_owned()
}

/// By how many hours the session was stamped wrong.
fn stamped_wrong_by(home: &Home) -> i64 {
    let stamp = home.session().unwrap()["last_refreshed_at"].as_str().unwrap().to_owned();
    let now = Timestamp::from(std::time::SystemTime::now());
    (Timestamp::parse(&stamp).unwrap().unix() - now.unix() + 1800).div_euclid(3600)
}

/// Whether clocks can be set; said loudly where not.
fn can_set_clocks() -> bool {
    if !has_client("faketime") {
        return false;
    }
    let server = service();
    let (home, _) = Home::with_stale_session(&server);
    token(&home, "-5h");
    let works = stamped_wrong_by(&home) == -5;
    if !works {
        let _ = std::io::stderr()
            .write_all(b"SKIPPED: the helper is linked so that faketime cannot set its clock\n");
    }
    works
}

/// Gets a few times; the token is good, and it is not refreshed for each.
fn serves(server: &Server, home: &Home, offset: &str, refreshes: usize) {
    let before = server.refresh_requests();
    for _ in 0..3 {
        assert!(is_accepted(server.url(), &token(home, offset)), "{offset}");
    }
    let made = server.refresh_requests() - before;
    assert!(made <= refreshes, "{offset}: {made} refreshes");
}

#[test]
fn a_wrong_or_jumping_clock_loses_no_session() {
    if !can_set_clocks() {
        return;
    }
    for offsets in [
        ["-1h", "-1h", "-1h"],
        ["+1h", "+1h", "+1h"],
        ["+0", "+1h", "+0"],
        ["+0", "-1h", "+0"],
        ["+1h", "-1h", "+1h"],
        ["+10y", "+0", "-10y"],
    ] {
        let server = service();
        let (home, _) = Home::with_stale_session(&server);
        for offset in offsets {
            serves(&server, &home, offset, 1);
        }
        server.advance(Duration::from_secs(901));
        run(&home, offsets[2], &["whoami"]);
        serves(&server, &home, offsets[2], 1);
    }
}

#[test]
fn a_login_with_a_wrong_clock_is_stored_and_refreshed() {
    if !can_set_clocks() {
        return;
    }
    for offset in ["-1h", "+1h"] {
        let server = service();
        let home = Home::at(&server);
        assert_eq!(run(&home, offset, &["login", "--email", "me@acme.dev", "--no-wait"]).status, 0);
        let code = crate::support::mail_to(&server, "me@acme.dev").code;
        let outcome = run(&home, offset, &["login", "--code", &code]);
        assert_eq!(outcome.status, 0, "{offset}: {outcome:?}");
        serves(&server, &home, offset, 0);
        serves(&server, &home, "+0", 1);
    }
}

#[test]
fn a_clock_that_jumps_during_a_refresh_loses_no_session() {
    if !can_set_clocks() {
        return;
    }
    for (before, after) in [("+0", "-1h"), ("+0", "+1h"), ("+2h", "+0"), ("-2h", "+0")] {
        let server = service();
        let (home, old) = Home::with_stale_session(&server);
        home.write(OFFSET, before);
        server.fault("/v1/auth/refresh", 1, Fault::Delay { delay_ms: 300 });
        let child = spawn(command_with_clock(&home, &["get", "--format", "raw"]));
        while server.refresh_requests() == 0 {
            std::thread::sleep(Duration::from_millis(2));
        }
        home.write(OFFSET, after);
        let outcome = finish(child, b"");
        assert_eq!(outcome.status, 0, "{before} {after}: {outcome:?}");
        assert_ne!(outcome.output.trim_end(), old.access_token);
        serves(&server, &home, after, 1);
        serves(&server, &home, before, 1);
    }
}
