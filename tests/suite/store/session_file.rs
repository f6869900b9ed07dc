//! The files that are shared with the `my` command line: each program reads the files of the other, and an invalid
//! session file is reported and not changed.

use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

use account_server::Session;
use my_credential_helper::model::Timestamp;
use rustix::fs::{CWD, FileType, mknodat};
use serde_json::json;

use crate::support::{HELPER, Home, finish, rfc3339, service, session_json, spawn};

const FILE: &str = ".my/credentials.json";
const HOUR: Duration = Duration::from_secs(3600);

/// The current time plus a span, with the offset +02:00.
fn with_offset(span: Duration) -> String {
    let there = rfc3339(SystemTime::now() + span + 2 * HOUR);
    format!("{}+02:00", there.trim_end_matches('Z'))
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// Files as `my` lays them, all of them fresh.
fn by_my(session: &Session) -> Vec<String> {
    let Session { access_token, refresh_token, .. } = session;
    let now = SystemTime::now();
    let (start, end) = (rfc3339(now), rfc3339(now + HOUR));
    let in_order = |expires_at: &str, logged_in_at: &str, last_refreshed_at: &str| {
        format!(
            "{{\n  \"access_token\": \"{access_token}\",\n  \"refresh_token\": \"{refresh_token}\",\n  \
             \"expires_at\": \"{expires_at}\",\n  \"logged_in_at\": \"{logged_in_at}\",\n  \
             \"last_refreshed_at\": \"{last_refreshed_at}\"\n}}"
        )
    };
    let whole = |time: &str| Timestamp::parse(time).unwrap().to_whole_seconds();
    vec![
        in_order(&end, &start, &start),
        in_order(&whole(&end), &whole(&start), &whole(&start)) + "\n",
        in_order(&with_offset(HOUR), &with_offset(Duration::ZERO), &with_offset(Duration::ZERO)),
        in_order(&end, &start, "0001-01-01T00:00:00Z"),
        in_order(&end, "0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        json!({ "unknown": [1], "expires_at": end, "access_token": access_token, "refresh_token": refresh_token })
            .to_string(),
    ]
}

#[test]
fn a_file_of_my_is_read() {
    let server = service();
    let session = server.session("me@acme.dev").unwrap();
    for text in by_my(&session) {
        let home = Home::at(&server);
        home.write(FILE, &text);
        assert_eq!(home.token(), session.access_token, "{text}");
        assert_eq!(home.read(FILE), Some(text), "and is left as it is");
    }
    assert_eq!(server.refresh_requests(), 0);
}

#[test]
fn my_reads_the_written_file() {
    let server = service();
    let session = server.session("me@acme.dev").unwrap();
    let home = Home::at(&server);
    home.write(
        FILE,
        &json!({
            "access_token": session.access_token, "refresh_token": session.refresh_token, "unknown": 1,
            "expires_at": "2026-01-02T03:04:05+02:00", "logged_in_at": "2026-01-02T03:04:05.678901234+02:00",
        })
        .to_string(),
    );
    let token = home.token();
    let written = home.session().unwrap();
    let mut names: Vec<_> = written.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        ["access_token", "expires_at", "last_refreshed_at", "logged_in_at", "refresh_token"]
    );
    assert_eq!(written["access_token"], token.as_str());
    assert_eq!(written["logged_in_at"], "2026-01-02T01:04:05.678901234Z", "the same moment");
    for name in ["expires_at", "last_refreshed_at"] {
        assert!(Timestamp::parse(written[name].as_str().unwrap()).is_some(), "{name} is RFC 3339");
    }
    let names: Vec<_> = std::fs::read_dir(home.path().join(".my"))
        .unwrap()
        .flatten()
        .map(|e| e.file_name())
        .collect();
    assert!(
        names.iter().all(|name| !name.to_string_lossy().contains("tmp")),
        "nothing stays beside it: {names:?}"
    );
}

#[test]
fn only_the_owner_can_read_the_file_with_any_umask() {
    let server = service();
    for umask in ["000", "077", "777"] {
        let (home, _) = Home::with_stale_session(&server);
        let mut command = home.command("/bin/sh");
        command.args(["-c", &format!("umask {umask}; exec \"$0\" get --format raw"), HELPER]);
        let outcome = finish(spawn(command), b"");
        assert_eq!(outcome.status, 0, "{outcome:?}");
        for file in [FILE, ".my/device_id"] {
            assert_eq!(mode(&home.path().join(file)), 0o600, "umask {umask}: {file}");
        }
        assert_eq!(mode(&home.path().join(".my")), 0o700);
        assert_eq!(mode(&home.path().join(".my/refresh.lock")) & 0o077, 0);
    }
    let fresh = Home::new();
    let mut command = fresh.command("/bin/sh");
    command.args(["-c", "umask 000; exec \"$0\" store", HELPER]);
    let outcome =
        finish(spawn(command), br#"{"url":"https://git.example.com","username":"a","secret":"b"}"#);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    for (path, contents) in fresh.snapshot() {
        assert_eq!(
            mode(&path),
            if contents.is_some() { 0o600 } else { 0o700 },
            "{}",
            path.display()
        );
    }
}

/// Something in place of the session file, and the expected reason.
type Obstacle = (&'static str, fn(&Path, &str));

fn obstacles() -> Vec<Obstacle> {
    fn write(path: &Path, bytes: impl AsRef<[u8]>) {
        std::fs::write(path, bytes).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    vec![
        ("is empty", |path, _| write(path, "")),
        ("is empty", |path, _| write(path, " \n")),
        ("is not JSON", |path, _| write(path, "hunter2")),
        ("ends unexpectedly", |path, session| write(path, &session[..session.len() / 2])),
        ("is not JSON", |path, session| write(path, format!("{session}hunter2"))),
        ("is not JSON", |path, session| write(path, format!("\u{feff}{session}"))),
        ("is not UTF-8", |path, _| write(path, b"\x00hunter2\xff\xfe")),
        ("wrong type", |path, _| write(path, r#"["hunter2"]"#)),
        ("wrong type", |path, _| write(path, r#"{"access_token":7,"refresh_token":"hunter2"}"#)),
        ("wrong type", |path, _| write(path, r#"{"refresh_token":"hunter2"}"#)),
        ("has an empty access_token", |path, _| {
            write(path, r#"{"access_token":"","refresh_token":"hunter2"}"#);
        }),
        ("not an RFC 3339 time", |path, _| {
            write(path, r#"{"access_token":"hunter2","expires_at":"hunter2"}"#);
        }),
        ("is larger than 1 MiB", |path, session| {
            write(path, [session, &" ".repeat(10 << 20)].concat());
        }),
        ("is a directory", |path, _| std::fs::create_dir(path).unwrap()),
        ("is a symbolic link, which is not followed", |path, session| {
            let target = path.with_file_name("elsewhere.json");
            write(&target, session);
            symlink(target, path).unwrap();
        }),
        ("is not a regular file", |path, _| {
            mknodat(CWD, path, FileType::Fifo, 0o600.into(), 0).unwrap();
        }),
        ("", |path, session| {
            write(path, session);
            // Permissions do not stop root, and another owner does.
            if chown(path, Some(12345), None).is_err() {
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o0)).unwrap();
            }
        }),
    ]
}

#[test]
fn an_invalid_session_file_is_an_error_and_unchanged() {
    let server = service();
    let session = session_json(&server.session("me@acme.dev").unwrap(), HOUR, Duration::ZERO);
    for (reason, obstacle) in obstacles() {
        let home = Home::at(&server);
        obstacle(&home.path().join(FILE), &session);
        let before = home.snapshot();
        let outcome = home.run(&["get"]);
        assert_eq!(
            (outcome.status, &outcome.json()["error"]["code"]),
            (1, &json!("internal")),
            "{reason}: {outcome:?}"
        );
        assert!(
            outcome.messages.contains(reason) && outcome.messages.contains("credentials.json"),
            "{outcome:?}"
        );
        assert_eq!(outcome.messages.matches("error: ").count(), 1, "{outcome:?}");
        assert!(
            outcome.messages.contains("\n\nhint: "),
            "{reason}: the message has a hint: {outcome:?}"
        );
        assert!(
            !outcome.messages.contains("hunter2") && !outcome.output.contains("hunter2"),
            "{outcome:?}"
        );
        assert_eq!(home.snapshot(), before, "{reason}: nothing is changed");

        let outcome = home.run(&["status"]);
        assert_eq!(
            (outcome.status, outcome.output.contains(reason)),
            (0, true),
            "{reason}: {outcome:?}"
        );
        assert_eq!(home.run(&["list"]).status, 0);
        assert_eq!(home.snapshot(), before, "{reason}: nor by `status` or `list`");
    }
    assert_eq!(server.requests().len(), 0);
}

#[test]
fn a_login_replaces_an_invalid_session_file() {
    let server = service();
    let session = session_json(&server.session("me@acme.dev").unwrap(), HOUR, Duration::ZERO);
    for (reason, obstacle) in obstacles() {
        let home = Home::at(&server);
        obstacle(&home.path().join(FILE), &session);
        if reason == "is a directory" {
            let outcome = home.run(&["login", "--email", "me@acme.dev", "--no-wait"]);
            assert_eq!(outcome.status, 1, "{outcome:?}");
            assert!(outcome.messages.contains(reason), "before a mail is sent: {outcome:?}");
            continue;
        }
        let outcome = home.log_in(&server, "me@acme.dev", &[]);
        assert_eq!(outcome.status, 0, "{reason}: {outcome:?}");
        assert!(
            std::fs::symlink_metadata(home.path().join(FILE)).unwrap().is_file(),
            "{reason}: a file of its own"
        );
        assert_eq!(home.session().unwrap()["access_token"], home.token().as_str());
        if let Some(elsewhere) = home.read(".my/elsewhere.json") {
            assert_eq!(elsewhere, session, "what a link pointed at is not written to");
        }
    }
}

#[test]
fn a_file_readable_by_others_is_repaired_once() {
    let server = service();
    let (home, session) = Home::logged_in(&server);
    let path = home.path().join(FILE);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let outcome = home.run(&["get", "--format", "raw"]);
    assert_eq!((outcome.status, outcome.output.trim_end()), (0, session.access_token.as_str()));
    assert_eq!(
        outcome.messages,
        format!("note: {} was readable by other users; changed its mode to 0600\n", path.display())
    );
    assert_eq!(mode(&path), 0o600);
    assert_eq!(home.run(&["get", "--format", "raw"]).messages, "");
}

#[test]
fn a_directory_of_another_user_is_neither_read_nor_written() {
    let server = service();
    let (mut home, _) = Home::logged_in(&server);
    let folder = home.path().join(".my");
    if chown(&folder, Some(12345), None).is_err() {
        let _ = std::io::Write::write_all(
            &mut std::io::stderr(),
            b"SKIPPED: only root can give a directory away\n",
        );
        return;
    }
    let before = home.snapshot();
    let outcome = home.run(&["get"]);
    assert_eq!(outcome.status, 1, "{outcome:?}");
    assert!(outcome.messages.contains("belongs to another user"), "{outcome:?}");
    let outcome = home
        .run_with(&["store"], r#"{"url":"https://git.example.com","username":"a","secret":"b"}"#);
    assert!(
        outcome.status != 0 && outcome.messages.contains("belongs to another user"),
        "{outcome:?}"
    );
    let outcome = home.run(&["login", "--email", "me@acme.dev"]);
    assert!(
        outcome.status != 0 && outcome.messages.contains("belongs to another user"),
        "{outcome:?}"
    );
    assert_eq!((home.snapshot(), server.inbox().len()), (before.clone(), 0));
    home.set("MY_API_TOKEN", "myc_1");
    assert_eq!(home.token(), "myc_1", "the variable alone serves");
    assert_eq!(home.snapshot(), before);
}

#[test]
fn a_lock_that_is_a_link_is_not_followed() {
    let server = service();
    let (home, _) = Home::with_stale_session(&server);
    let elsewhere = home.write("elsewhere", "theirs");
    symlink(&elsewhere, home.path().join(".my/refresh.lock")).unwrap();
    let before = home.snapshot();
    let outcome = home.run(&["get"]);
    assert_eq!(outcome.status, 1, "{outcome:?}");
    assert!(outcome.messages.contains("refresh.lock: is a symbolic link"), "{outcome:?}");
    assert_eq!((home.snapshot(), server.refresh_requests()), (before, 0));
}

#[test]
fn an_invalid_config_file_is_an_error_and_unchanged() {
    let server = service();
    for (text, reason) in [
        ("hunter2", "is not JSON"),
        ("[]", "wrong type"),
        (r#"{"api_url":7}"#, "wrong type"),
        (r#"{"api_url":"ftp://hunter2"}"#, "only https and http are supported"),
        (r#"{"api_url":"http://api.example.com"}"#, "only for loopback addresses"),
    ] {
        let (home, _) = Home::with_stale_session(&server);
        home.write(".my/config.json", text);
        let before = home.session();
        let outcome = home.run(&["get"]);
        assert!(
            matches!(outcome.status, 1..=3) && outcome.messages.contains(reason),
            "{outcome:?}"
        );
        assert_eq!((home.session(), home.read(".my/config.json").as_deref()), (before, Some(text)));
    }
    let (home, session) = Home::logged_in(&server);
    home.write(".my/config.json", "");
    assert_eq!(home.token(), session.access_token, "an empty one says nothing");
    assert_eq!(server.requests().len(), 0, "no token goes to a place that is not sure");
}

#[test]
fn a_login_keeps_unknown_keys_of_the_configuration() {
    let server = service();
    let home = Home::new();
    let other = json!({ "telemetry_enabled": false, "active_profile": "work", "next": { "a": [1, 2.5, null] } });
    home.write(".my/config.json", &other.to_string());
    let outcome = home.log_in(&server, "me@acme.dev", &["--api-url", server.url()]);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    let mut expected = other;
    expected["api_url"] = server.url().into();
    let written: serde_json::Value =
        serde_json::from_str(&home.read(".my/config.json").unwrap()).unwrap();
    assert_eq!(written, expected);
    assert_eq!(mode(&home.path().join(".my/config.json")), 0o600);
    assert!(
        home.run(&["whoami"]).output.contains("me@acme.dev"),
        "the next call goes there by itself"
    );
}
