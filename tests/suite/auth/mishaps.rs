//! What went wrong once, or nearly: each a way in which a login, or a credential for the right host, could be lost.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::Stdio;
use std::time::{Duration, Instant};

use account_server::Fault;
use serde_json::json;

use crate::support::{HELPER, Home, finish, service, session_json, spawn};

const REFRESH: &str = "/v1/auth/refresh";
const TOKEN: &str = "/v1/auth/device/token";

/// Waits until something is so, which a moment ago was not.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(10), "{what} never came to be");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn temporaries(home: &Home) -> Vec<std::path::PathBuf> {
    let entries =
        fs::read_dir(home.path().join(".my")).unwrap().flatten().map(|entry| entry.path());
    entries.filter(|path| path.extension().is_some_and(|extension| extension == "tmp")).collect()
}

#[test]
fn a_session_is_saved_although_the_prepared_file_is_gone() {
    let server = service();
    let (home, _) = Home::with_stale_session(&server);
    server.fault(REFRESH, 1, Fault::Delay { delay_ms: 300 });
    let mut command = home.command(HELPER);
    command.args(["get", "--format", "raw"]);
    let child = spawn(command);
    until("the prepared file", || !temporaries(&home).is_empty());
    for path in temporaries(&home) {
        fs::remove_file(path).unwrap();
    }
    let outcome = finish(child, b"");
    assert_eq!((outcome.status, &*outcome.messages), (0, ""));
    assert_eq!(home.session().unwrap()["access_token"], outcome.output.trim_end());
}

#[test]
fn the_last_attempt_is_not_made_on_a_broken_network() {
    let server = service();
    let elsewhere =
        Fault::Answer { status: 200, body: "<html>pay here</html>".to_owned(), headers: [].into() };
    for still in [Fault::CloseAfterCommit { close_after_commit: true }, elsewhere] {
        let (home, old) = Home::with_stale_session(&server);
        server.clear_requests();
        server.fault(REFRESH, 1, Fault::CloseAfterCommit { close_after_commit: true });
        server.fault("/health", 1, still);
        let outcome = home.run(&["get"]);
        assert_eq!((outcome.status, server.refresh_requests()), (3, 1), "{outcome:?}");
        assert!(outcome.messages.contains("hint: try again within 30 s"), "{outcome:?}");
        assert_ne!(home.token(), old.access_token, "the next call heals it");
    }
}

#[test]
fn a_logout_removes_pending_logins_and_temporary_files() {
    let server = service();
    let (home, _) = Home::logged_in(&server);
    let left = home.write(".my/.my-credential-helper-0aB1cD.tmp", "a new session");
    assert_eq!(home.run(&["login", "--email", "me@acme.dev", "--no-wait", "--force"]).status, 0);
    assert!(home.read(".my/pending-login.json").is_some());
    assert_eq!(home.run(&["logout"]).status, 0);
    assert_eq!(home.read(".my/pending-login.json"), None);
    assert!(!left.exists(), "nobody else writes a session under the lock");
}

#[test]
fn an_unreadable_credential_is_not_reported_as_erased() {
    let home = Home::new();
    let body = r#"{"url":"https://h.dev","username":"ada","secret":"hunter2"}"#;
    let location = home.run_with(&["store"], body).json()["location"].as_str().unwrap().to_owned();
    fs::write(&location, "half of i").unwrap();
    let outcome = home.run_with(&["erase"], r#"{"url":"https://h.dev"}"#);
    assert_eq!(outcome.status, 1, "{outcome:?}");
    assert!(outcome.messages.contains(&location), "{outcome:?}");
}

#[test]
fn a_login_of_another_program_during_a_refresh_is_final() {
    let server = service();
    let (home, _) = Home::with_stale_session(&server);
    let other = server.session("somebody.else@acme.dev").unwrap();
    server.fault(REFRESH, 1, Fault::Delay { delay_ms: 300 });
    let mut command = home.command(HELPER);
    command.args(["get", "--format", "raw"]);
    let child = spawn(command);
    until("the request", || server.requests().iter().any(|request| request.path == REFRESH));
    home.write(
        ".my/credentials.json",
        &session_json(&other, Duration::from_secs(900), Duration::ZERO),
    );
    let outcome = finish(child, b"");
    assert_eq!(outcome.output.trim_end(), other.access_token, "{}", outcome.messages);
    assert_eq!(home.session().unwrap()["refresh_token"], other.refresh_token.as_str());
}

#[test]
fn of_two_rotations_in_one_second_the_valid_one_is_used() {
    let server = service();
    let (home, old) = Home::with_stale_session(&server);
    server.fault(REFRESH, 1, Fault::SlowBytes { slow_bytes_ms: 1 });
    let mut command = home.command(HELPER);
    command.args(["get", "--format", "raw"]);
    let child = spawn(command);
    until("the first rotation", || server.requests().iter().any(|request| request.path == REFRESH));
    // As another program would that waited for the lock in vain: it redeems the same token in the grace, and saves.
    let answer = ureq::post(format!("{}{REFRESH}", server.url()))
        .content_type("application/json")
        .send(json!({ "refresh_token": old.refresh_token }).to_string())
        .unwrap()
        .body_mut()
        .read_to_string()
        .unwrap();
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    let mut theirs = home.session().unwrap();
    for field in ["access_token", "refresh_token"] {
        theirs[field] = answer[field].clone();
    }
    home.write(".my/credentials.json", &theirs.to_string());
    assert_eq!(finish(child, b"").status, 0);
    // Past the grace only the newest pair is good.
    server.advance(Duration::from_secs(31));
    let mut kept = home.session().unwrap();
    kept["expires_at"] = "2020-01-01T00:00:00Z".into();
    home.write(".my/credentials.json", &kept.to_string());
    assert_eq!(home.run(&["get"]).status, 0, "still logged in");
}

#[test]
fn a_new_login_is_saved_although_the_lock_is_held() {
    let server = service();
    let home = Home::at(&server);
    assert_eq!(home.run(&["login", "--email", "me@acme.dev", "--no-wait"]).status, 0);
    let code = server.inbox()[0].code.clone();
    let lock = File::create(home.write(".my/refresh.lock", "")).unwrap();
    fs2::FileExt::lock_exclusive(&lock).unwrap();
    let outcome = home.run(&["login", "--code", &code]);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    assert!(home.session().is_some());
}

#[test]
fn a_token_with_a_line_break_is_rejected() {
    let server = service();
    let home = Home::at(&server);
    assert_eq!(home.run(&["login", "--email", "me@acme.dev", "--no-wait"]).status, 0);
    let code = server.inbox()[0].code.clone();
    let answer = json!({ "access_token": "eyJh\nLD_PRELOAD=/tmp/evil.so", "refresh_token": "r", "expires_in": 900 });
    server.fault(TOKEN, 1, Fault::ReplaceBody { replace_body: answer.to_string() });
    let outcome = home.run(&["login", "--code", &code]);
    assert_ne!(outcome.status, 0, "{outcome:?}");
    assert_eq!(home.session(), None);
}

#[test]
fn an_unreadable_request_is_not_an_empty_request() {
    let server = service();
    let (home, session) = Home::logged_in(&server);
    let mut command = home.command(HELPER);
    command
        .arg("get")
        .stdin(File::open("/").unwrap())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(!String::from_utf8_lossy(&output.stdout).contains(&session.access_token));
    // A pipe that does not block, and is still empty.
    let (reader, mut writer) = std::io::pipe().unwrap();
    rustix::io::ioctl_fionbio(&reader, true).unwrap();
    let mut command = home.command(HELPER);
    let child = command
        .arg("get")
        .stdin(reader)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(100));
    writer.write_all(br#"{"url":"https://evil.example/"}"#).unwrap();
    drop(writer);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "nothing is known for that host");
}

#[test]
fn input_that_is_too_long_is_rejected_and_not_truncated() {
    let server = service();
    let (home, _) = Home::logged_in(&server);
    home.write(
        ".config/my-credential-helper/config.toml",
        "[providers.mycli]\nhosts = ['git.acme.dev']\n",
    );
    let host = "git.acme.dev";
    for (verb, input) in [
        ("docker", format!("{}{host}.evil.example", " ".repeat((4 << 20) - host.len()))),
        (
            "git",
            format!(
                "protocol=https\n{}host={host}.evil.example\n\n",
                "x=y\n".repeat((1 << 20) - 8)
            ),
        ),
    ] {
        let outcome = home.run_with(&[verb, "get"], input);
        assert_ne!(outcome.status, 0, "{verb}");
        assert!(!outcome.output.contains("ey"), "{verb}: {}", outcome.output);
    }
}

#[test]
fn output_that_cannot_be_written_is_a_failure() {
    let server = service();
    let (home, _) = Home::logged_in(&server);
    let mut command = home.command(HELPER);
    command
        .args(["get", "--format", "raw"])
        .stdout(File::options().write(true).open("/dev/full").unwrap());
    assert_eq!(command.status().unwrap().code(), Some(1));
}

#[test]
fn no_umask_makes_files_that_the_next_process_cannot_use() {
    for umask in ["000", "077", "177", "277", "777"] {
        let server = service();
        let (home, _) = Home::with_stale_session(&server);
        for line in [
            r#"printf '{"url":"https://h.dev","username":"ada","secret":"s"}' | "$HELPER" store"#,
            r#""$HELPER" get --format raw </dev/null"#,
            r#""$HELPER" get --url https://h.dev"#,
        ] {
            let mut command = home.command("sh");
            command.args(["-c", &format!("umask {umask}; {line}")]).env("HELPER", HELPER);
            let outcome = finish(spawn(command), b"");
            assert_eq!(outcome.status, 0, "umask {umask}: {line}: {outcome:?}");
        }
        for (path, contents) in home.snapshot() {
            let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
            let wanted = if contents.is_none() { 0o700 } else { 0o600 };
            assert_eq!(mode, wanted, "umask {umask}: {}", path.display());
        }
    }
}

#[test]
fn a_configuration_that_is_a_link_stays_a_link() {
    let home = Home::new();
    let kept = home.write("dotfiles/config.toml", "# mine\n");
    fs::set_permissions(&kept, fs::Permissions::from_mode(0o644)).unwrap();
    fs::create_dir_all(home.path().join(".config/my-credential-helper")).unwrap();
    let link = home.path().join(".config/my-credential-helper/config.toml");
    symlink(&kept, &link).unwrap();
    assert_eq!(home.run(&["config", "set", "hosts", "git.acme.dev"]).status, 0);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert!(home.read("dotfiles/config.toml").unwrap().contains("# mine\n"));
    assert_eq!(home.run(&["config", "get", "hosts"]).output, "git.acme.dev\n");
}

#[test]
fn invalid_settings_of_one_provider_do_not_affect_others() {
    let mut home = Home::new();
    home.write(".config/my-credential-helper/config.toml", "[providers.acme]\nkind = 'api_key'\n");
    home.set("MICROTICA_API_URL", "foo");
    let store = r#"{"url":"https://h.dev","username":"ada","secret":"s"}"#;
    assert_eq!(home.run_with(&["store"], store).status, 0);
    let git = home.run_with(&["git", "get"], "protocol=https\nhost=h.dev\n\n");
    assert_eq!(git.output, "username=ada\npassword=s\n", "{git:?}");
    let missing = home.run(&["get", "--url", "https://other.dev"]);
    assert!(
        missing.messages.contains("acme ([providers.acme] has no `api_url`)"),
        "and it is told: {missing:?}"
    );
}

#[test]
fn a_stored_credential_with_a_line_break_is_not_returned() {
    let home = Home::new();
    let store = r#"{"url":"https://h.dev","username":"ada","secret":"hunter2"}"#;
    let stored = home.run_with(&["store"], store);
    let path = stored.json()["location"].as_str().unwrap().to_owned();
    let whole = fs::read_to_string(&path).unwrap();
    for (from, to) in
        [("hunter2", r"hunter2\nhost=evil.example"), ("\"ada\"", "\"ada\\nhost=evil.example\"")]
    {
        fs::write(&path, whole.replace(from, to)).unwrap();
        let git = home.run_with(&["git", "get"], "protocol=https\nhost=h.dev\n\n");
        assert_eq!(git.output, "", "{git:?}");
        let raw = home.run(&["get", "--url", "https://h.dev", "--format", "raw"]);
        assert!(raw.output.is_empty() && raw.messages.contains("line break"), "{raw:?}");
    }
    let place = "protocol=https\nhost=tab.dev\n";
    assert_eq!(
        home.run_with(&["git", "store"], format!("{place}username=ada\npassword=a\tb\n\n")).status,
        0
    );
    let git = home.run_with(&["git", "get"], format!("{place}\n"));
    assert_eq!(git.output, "username=ada\npassword=a\tb\n", "a tab ends nothing");
}
