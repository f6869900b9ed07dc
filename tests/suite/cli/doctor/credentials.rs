//! The credential: `doctor` uses it, and what it reports is cured by the fix that it prints.

use std::os::unix::fs::chown;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::{doctor, logged_in, problem};
use crate::support::disk::Mounted;
use crate::support::terminal::{in_terminal, status_of};
use crate::support::{HELPER, Home, mail_to, service, session_json};

const UNKNOWN: &str = "myc_0000000000000000000000000000000000000000";

/// Logs in as the hint of `login` says, without a terminal.
fn log_in(home: &Home, server: &account_server::Server, force: &[&str]) {
    let started = home.run(&[&["login", "--email", "me@acme.dev", "--no-wait"], force].concat());
    assert_eq!(started.status, 0, "{started:?}");
    let code = mail_to(server, "me@acme.dev").code;
    assert_eq!(home.run(&["login", "--code", &code]).status, 0);
}

#[test]
fn an_expired_or_revoked_session_is_a_problem() {
    let server = service();
    for left in [Duration::ZERO, Duration::from_secs(900)] {
        let (home, mut session) = logged_in(&server, &[]);
        assert_eq!(doctor(&home, &[]).status, 0);
        session.refresh_token = "unknown".to_owned();
        home.write_session(&session, left, Duration::from_secs(60));
        server.revoke_access(&session.access_token);
        let found = problem(&home, "login");
        let fix = found["fix"].as_str().unwrap();
        assert!(fix.contains("my-credential-helper login"), "{found}");
        log_in(&home, &server, if fix.contains("--force") { &["--force"] } else { &[] });
        assert_eq!(doctor(&home, &[]).status, 0, "the fix works");
    }
}

#[test]
fn a_revoked_token_of_a_variable_is_a_problem() {
    let server = service();
    let (mut home, _) = logged_in(&server, &[]);
    home.set("MY_API_TOKEN", UNKNOWN);
    let found = problem(&home, "login");
    assert!(found["fix"].as_str().unwrap().contains("unset MY_API_TOKEN"), "{found}");
    home.set("MY_API_TOKEN", server.api_token("me@acme.dev", "ci").unwrap().token);
    let outcome = home.run(&["doctor"]);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    assert!(outcome.output.contains("accepts the credential of me@acme.dev"), "{outcome:?}");
}

#[test]
fn every_provider_with_a_session_is_examined() {
    let server = service();
    let (home, _) = logged_in(&server, &[]);
    home.write(
        ".config/my-credential-helper/config.toml",
        &format!("[providers.broken]\nkind = 'oauth'\n[providers.acme]\nkind = 'magic_link'\napi_url = '{}'\ntoken_variable = 'ACME_TOKEN'\n", server.url()),
    );
    assert_eq!(doctor(&home, &[]).status, 0, "a provider without a session is not examined");
    let session = server.session("boss@acme.dev").unwrap();
    let text = session_json(&session, Duration::from_secs(900), Duration::ZERO);
    home.write(".my/sessions/acme/default.json", &text);
    let outcome = home.run(&["doctor"]);
    assert!(outcome.output.contains("accepts the credential of boss@acme.dev"), "{outcome:?}");
    home.write(".my/sessions/acme/default.json", &text.replace(&session.access_token, "revoked"));
    server.revoke_access(&session.access_token);
    server.advance(Duration::from_secs(400 * 24 * 3600));
    assert!(problem(&home, "login")["fix"].as_str().unwrap().contains("login"));
}

#[test]
fn a_disk_that_cannot_be_written_is_a_problem() {
    let server = service();
    let session = server.session("me@acme.dev").unwrap();
    let token = server.api_token("me@acme.dev", "ci").unwrap().token;
    for is_full in [true, false] {
        let mut home = Home::new();
        let Some(disk) = Mounted::on(&home, 64) else { return };
        home.set("MY_NO_KEYRING", "1");
        home.only_tools(&[]);
        home.link("my-credential-helper");
        home.write(".my/config.json", &serde_json::json!({ "api_url": server.url() }).to_string());
        home.write_session(&session, Duration::from_secs(900), Duration::ZERO);
        let outcome = doctor(&home, &[]);
        assert_eq!(outcome.status, 0, "{outcome:?}");
        if is_full {
            disk.fill(0);
        } else {
            assert!(disk.mount(&["-o", "remount,ro", "none"]));
        }
        let found = problem(&home, "login");
        let message = found["message"].as_str().unwrap().to_lowercase();
        let reason = if is_full { "storage full" } else { "read-only" };
        assert!(message.contains(reason) || is_full && message.contains("space"), "{found}");
        assert!(found["fix"].as_str().unwrap().contains("MY_API_TOKEN"), "{found}");
        // Either half of the fix.
        home.set("MY_API_TOKEN", &token);
        let outcome = doctor(&home, &[]);
        assert_eq!(outcome.status, 0, "{outcome:?}");
        home.set("MY_API_TOKEN", "");
        if is_full {
            disk.empty();
        } else {
            assert!(disk.mount(&["-o", "remount,rw", "none"]));
        }
        assert_eq!(doctor(&home, &[]).status, 0);
    }
}

#[test]
fn without_a_usable_home_the_rest_is_reported() {
    let server = service();
    let token = server.api_token("me@acme.dev", "ci").unwrap().token;
    for home_variable in ["", "relative", "/dev/null"] {
        let mut home = Home::new();
        home.only_tools(&[]);
        home.set("HOME", home_variable);
        home.set("MY_API_URL", server.url());
        home.set("MY_API_TOKEN", &token);
        let outcome = doctor(&home, &[]);
        let answer = outcome.json();
        let has = |check: &str, part: &str| {
            let mut findings = answer["findings"].as_array().unwrap().iter();
            findings.any(|it| it["check"] == check && it.to_string().contains(part))
        };
        assert!(has("login", "accepts the credential of me@acme.dev"), "{home_variable}: {answer}");
        assert!(has("service", "is reachable"), "{home_variable}: {answer}");
        assert!(has("settings", ""), "{home_variable}: {answer}");
    }
}

#[test]
fn in_the_home_of_another_user_the_rest_is_reported() {
    let server = service();
    let (mut home, session) = Home::logged_in(&server);
    home.only_tools(&[]);
    home.set("MY_API_URL", server.url());
    home.write(".docker/config.json", "{\"credHelpers\":{\"git.acme.dev\":\"my\"}}");
    let paths: Vec<_> = home.snapshot().into_keys().chain([home.path().to_owned()]).collect();
    if paths.iter().any(|path| chown(path, Some(12345), Some(12345)).is_err()) {
        return;
    }
    let before = home.snapshot();
    let found = problem(&home, "home");
    assert!(found["message"].as_str().unwrap().contains("belongs to another user"), "{found}");
    assert!(found["fix"].as_str().unwrap().contains("without `sudo`"), "{found}");
    let outcome = home.run(&["doctor"]);
    assert!(outcome.output.contains("is reachable"), "{outcome:?}");
    assert!(!outcome.output.contains(&session.access_token), "{outcome:?}");
    assert!(home.snapshot() == before, "nothing is changed");
}

/// Without the files in which go counts its calls.
fn snapshot(home: &Home) -> std::collections::BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut files = home.snapshot();
    files.retain(|path, _| !path.to_string_lossy().contains("/go/telemetry/"));
    files
}

#[test]
fn doctor_changes_nothing_without_fix_and_little_with_it() {
    if !crate::support::has_client("git") {
        return;
    }
    let server = service();
    let (mut home, _) = logged_in(&server, &["git"]);
    home.set_up("git", "git.acme.dev");
    home.write(".netrc", "machine git.acme.dev login x password y\n");
    doctor(&home, &[]);
    let link = home.path().join("bin/git-credential-my");
    std::fs::remove_file(&link).unwrap();
    let before = snapshot(&home);
    assert_eq!(doctor(&home, &[]).status, 1);
    assert!(snapshot(&home) == before, "nothing is changed");
    let fixed = doctor(&home, &["--fix"]).json();
    assert_eq!(fixed["fixed"].as_array().unwrap().len(), 1, "{fixed}");
    assert_eq!(fixed["ok"], Value::Bool(false), "the other problem is left");
    let mut after = snapshot(&home);
    assert!(after.remove(&link).is_some() && after == before, "and only the link is made");
}

#[test]
fn on_a_terminal_findings_have_marks_and_colours() {
    let server = service();
    let (mut home, _) = Home::logged_in(&server);
    home.set("MY_NO_KEYRING", "1");
    home.set("PATH", "/nowhere");
    // The terminal of the test reads bytes as Latin-1.
    for (no_colour, mark) in
        [(false, "\u{1b}[38;5;9mâ\u{9c}\u{97} problem"), (true, "\nâ\u{9c}\u{93} fine ")]
    {
        let mut command: Command = home.command(HELPER);
        if no_colour {
            command.env("NO_COLOR", "1");
        }
        command.arg("doctor");
        let mut terminal = in_terminal(&home, command);
        terminal.exp_string(mark).unwrap();
        assert_eq!(status_of(&mut terminal), 1);
    }
    let plain = home.run(&["doctor"]);
    assert!(plain.output.starts_with("problem  program"), "{plain:?}");
}

#[test]
fn without_a_login_a_read_only_home_is_reported_first() {
    let mut home = Home::new();
    let Some(disk) = Mounted::on(&home, 64) else { return };
    home.set("MY_NO_KEYRING", "1");
    home.only_tools(&[]);
    home.link("my-credential-helper");
    let found = problem(&home, "login");
    assert!(found["message"].as_str().unwrap().contains("not logged in to mycli"), "{found}");
    assert!(disk.mount(&["-o", "remount,ro", "none"]));
    let found = problem(&home, "login");
    assert!(found["message"].as_str().unwrap().contains("no session can be saved"), "{found}");
    assert!(disk.mount(&["-o", "remount,rw", "none"]));
}
