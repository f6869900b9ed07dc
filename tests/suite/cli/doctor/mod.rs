//! `doctor`: every problem is reported with a fix, and no secret is shown.
mod credentials;
mod in_force;
mod remedies;

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::time::Duration;

use account_server::{Server, Session};
use serde_json::Value;

use crate::support::{HELPER, Home, Outcome, has_client, service};

/// Logged in, without a keyring, with these tools on PATH.
fn logged_in(server: &Server, tools: &[&str]) -> (Home, Session) {
    let (mut home, session) = Home::logged_in(server);
    home.set("MY_NO_KEYRING", "1");
    home.only_tools(tools);
    home.link("my-credential-helper");
    (home, session)
}

/// With git and docker set up for the service's own host.
fn healthy(server: &Server) -> Home {
    let mut home = logged_in(server, &["git", "docker"]).0;
    for tool in ["git", "docker"] {
        home.set_up(tool, server.url());
    }
    home
}

fn doctor(home: &Home, words: &[&str]) -> Outcome {
    home.run(&[&["doctor", "--json"], words].concat())
}

/// The problem of a check.
fn problem(home: &Home, check: &str) -> Value {
    let outcome = doctor(home, &[]);
    assert_eq!(outcome.status, 1, "{outcome:?}");
    let answer = outcome.json();
    assert_eq!(answer["ok"], false);
    let mut findings = answer["findings"].as_array().unwrap().iter();
    let found = findings.find(|finding| finding["check"] == check && finding["level"] == "problem");
    let found = found.unwrap_or_else(|| panic!("{check}: {answer}")).clone();
    assert_ne!(found["fix"].as_str().unwrap_or_default(), "", "{found}: the way out");
    found
}

#[test]
fn without_problems_every_tool_is_checked_and_no_secret_shown() {
    if !has_client("git") || !has_client("docker") {
        return;
    }
    let server = service();
    let mut home = healthy(&server);
    home.set("PATH", std::env::var_os("PATH").unwrap());
    let bin = home.path().join("bin");
    home.put_on_path(&bin);
    let outcome = home.run(&["doctor"]);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    assert!(outcome.output.matches("gets a credential for").count() >= 2, "{outcome:?}");
    let shown = format!("{}{}{}", outcome.output, outcome.messages, doctor(&home, &[]).output);
    for secret in ["access_token", "refresh_token"] {
        assert!(!shown.contains(home.session().unwrap()[secret].as_str().unwrap()));
    }
    assert_eq!(home.run(&["doctor", "--quiet"]).output, "", "nothing but problems");
}

#[test]
fn a_missing_link_and_a_wide_mode_are_repaired() {
    if !has_client("git") || !has_client("docker") {
        return;
    }
    let server = service();
    let home = healthy(&server);
    let link = home.path().join("bin/git-credential-my");
    std::fs::remove_file(&link).unwrap();
    let file = home.path().join(".my/config.json");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(problem(&home, "files")["message"].as_str().unwrap().contains("mode 644"));
    assert!(problem(&home, "git")["message"].as_str().unwrap().contains("is missing"));
    // Reading it has narrowed it.
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let outcome = doctor(&home, &["--fix"]);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    assert_eq!(outcome.json()["fixed"].as_array().unwrap().len(), 2);
    assert!(link.exists());

    std::fs::remove_file(&link).unwrap();
    std::fs::write(&link, "#!/bin/sh\n").unwrap();
    assert!(
        problem(&home, "git")["message"].as_str().unwrap().contains("not a link to this program")
    );
    assert_eq!(doctor(&home, &["--fix"]).status, 1);
    assert_eq!(std::fs::read_to_string(&link).unwrap(), "#!/bin/sh\n", "and it is not repaired");
}

#[test]
fn a_link_outside_path_is_reported_with_a_fix() {
    if !has_client("git") || !has_client("docker") {
        return;
    }
    let server = service();
    let (mut home, _) = Home::logged_in(&server);
    home.set("MY_NO_KEYRING", "1");
    home.only_tools(&["git", "docker"]);
    // Installed where links cannot be put.
    let package = tempfile::tempdir().unwrap();
    symlink(HELPER, package.path().join("my-credential-helper")).unwrap();
    home.put_on_path(package.path());
    let outcome = home.run(&["setup", "--yes", "git", "--host", server.url()]);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    assert!(
        !outcome.output.contains("is added to the hosts"),
        "the API's own host is one: {outcome:?}"
    );
    assert!(!outcome.output.contains("PATH"), "and nothing is left to do: {outcome:?}");
    let named = home.read(".gitconfig").unwrap();
    assert!(
        named.contains("/.local/bin/git-credential-my"),
        "what PATH does not find is named by its path: {named}"
    );
    assert_eq!(doctor(&home, &[]).status, 0);

    home.write(".gitconfig", &format!("[credential \"{}\"]\nhelper = my\n", server.url()));
    let found = problem(&home, "git");
    assert!(found["message"].as_str().unwrap().ends_with("is not on PATH"), "{found}");
    assert!(found["fix"].as_str().unwrap().contains(".local/bin:$PATH"), "{found}");
}

#[test]
fn problems_of_the_session_and_the_service_are_reported() {
    let server = service();
    let (mut home, session) = logged_in(&server, &[]);
    home.write(".my/config.json", r#"{"api_url":"http://127.0.0.1:1"}"#);
    assert!(problem(&home, "service")["message"].as_str().unwrap().contains("cannot reach http"));
    home.write(".my/config.json", &serde_json::json!({ "api_url": server.url() }).to_string());
    assert_eq!(doctor(&home, &[]).status, 0);

    home.set("MY_API_TOKEN", "myc_a\nb");
    assert!(problem(&home, "login")["fix"].as_str().unwrap().contains("unset MY_API_TOKEN"));
    home.set("MY_API_TOKEN", "");
    home.write(".my/credentials.json", "{}");
    assert!(problem(&home, "login")["message"].as_str().unwrap().contains("not logged in to"));
    home.write_session(&session, Duration::from_secs(900), Duration::ZERO);
    home.write(".config/my-credential-helper/config.toml", "nonsense");
    problem(&home, "settings");
    std::fs::remove_file(home.path().join(".config/my-credential-helper/config.toml")).unwrap();
    std::fs::rename(home.path().join(".my/credentials.json"), home.path().join("elsewhere"))
        .unwrap();
    symlink(home.path().join("elsewhere"), home.path().join(".my/credentials.json")).unwrap();
    assert!(problem(&home, "files")["message"].as_str().unwrap().contains("symbolic link"));
}

#[test]
fn a_wrong_clock_is_reported() {
    let server = service();
    let (home, _) = logged_in(&server, &[]);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut connection in listener.incoming().flatten() {
            use std::io::{Read as _, Write as _};
            let _ = connection.read(&mut [0; 4096]);
            let answer = "HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 2099 12:00:00 GMT\r\nContent-Length: 0\r\n\r\n";
            let _ = connection.write_all(answer.as_bytes());
        }
    });
    home.write(
        ".my/config.json",
        &serde_json::json!({ "api_url": format!("http://{address}") }).to_string(),
    );
    assert!(problem(&home, "clock")["message"].as_str().unwrap().contains("s behind the service"));
}

#[test]
fn a_tool_without_a_credential_is_reported_with_the_reason() {
    if !has_client("git") || !has_client("docker") {
        return;
    }
    let server = service();
    let home = healthy(&server);
    let mut session = server.session("me@acme.dev").unwrap();
    session.refresh_token = "unknown".to_owned();
    home.write_session(&session, Duration::ZERO, Duration::from_secs(3600));
    let found = problem(&home, "docker");
    assert!(found["message"].as_str().unwrap().contains("gets no credential for"), "{found}");
}
