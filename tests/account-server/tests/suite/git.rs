//! Git hosting, with the real git as the client.

use std::env;
use std::path::Path;
use std::process::{Command, Output};

use account_server::git_host::create_repository;
use account_server::{Authorization, Server, Settings};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tempfile::TempDir;

use crate::client::{Client, start};

/// Whether git is there. A run that must have its clients fails without it.
fn has_git() -> bool {
    let found = Command::new("git").arg("--version").output().is_ok();
    let required = env::var_os("MY_TEST_REQUIRE_CLIENTS").is_some_and(|value| value == "1");
    assert!(found || !required, "git is required and not there");
    if !found {
        eprintln!("SKIPPED: git is not there");
    }
    found
}

/// A service with one repository, `hello.git`.
fn host() -> Option<(Server, TempDir)> {
    if !has_git() {
        return None;
    }
    let root = tempfile::tempdir().unwrap();
    create_repository(root.path(), "hello.git").unwrap();
    let server = start(Settings { git_root: Some(root.path().to_owned()), ..Settings::default() });
    Some((server, root))
}

/// Runs git without configuration and without prompts.
fn git(directory: &Path, arguments: &[&str]) -> Output {
    let identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"];
    let output = Command::new("git")
        .current_dir(directory)
        .args(identity)
        .args(arguments)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env_remove("GIT_ASKPASS")
        .output();
    output.expect("git runs")
}

#[track_caller]
fn git_ok(directory: &Path, arguments: &[&str]) {
    let output = git(directory, arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Clones, commits, pushes, and sees the commit in a second clone.
fn clone_and_push(url: &str, header: &str) {
    let directory = tempfile::tempdir().unwrap();
    let header = format!("http.extraHeader=Authorization: {header}");
    let clone = |to: &str| git_ok(directory.path(), &["-c", &header, "clone", "-q", url, to]);
    clone("first");
    let first = directory.path().join("first");
    assert!(first.join("README.md").exists(), "a repository has its first commit");
    std::fs::write(first.join("new"), url.repeat(100_000)).unwrap();
    git_ok(&first, &["add", "new"]);
    git_ok(&first, &["commit", "-q", "-m", "new"]);
    // So small a buffer makes git send chunks.
    git_ok(&first, &["-c", &header, "-c", "http.postBuffer=1", "push", "-q"]);
    clone("second");
    assert!(directory.path().join("second/new").exists(), "what was pushed is there");
}

fn basic(password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("anybody:{password}")))
}

#[test]
fn git_clones_and_pushes_with_an_api_token() {
    let Some((server, _root)) = host() else {
        return;
    };
    let token = server.api_token("ada@example.com", "git").unwrap().token;
    clone_and_push(&format!("{}/git/basic/hello.git", server.url()), &basic(&token));
    clone_and_push(&format!("{}/git/hello.git", server.url()), &format!("Bearer {token}"));
    let mut requests = server.requests().into_iter();
    assert!(
        requests.all(|request| request.authorization == Authorization::ApiToken),
        "git is in the journal"
    );
}

#[test]
fn git_clones_and_pushes_with_a_session() {
    let Some((server, _root)) = host() else {
        return;
    };
    let token = server.session("ada@example.com").unwrap().access_token;
    clone_and_push(&format!("{}/git/bearer/hello.git", server.url()), &format!("Bearer {token}"));
    clone_and_push(&format!("{}/git/both/hello.git", server.url()), &basic(&token));
}

#[test]
fn git_asks_for_the_password_of_a_basic_repository() {
    let Some((server, _root)) = host() else {
        return;
    };
    let token = server.session("ada@example.com").unwrap().access_token;
    let directory = tempfile::tempdir().unwrap();
    let helper = format!("credential.helper=!f() {{ echo username=x; echo password={token}; }}; f");
    let url = format!("{}/git/basic/hello.git", server.url());
    git_ok(directory.path(), &["-c", &helper, "clone", "-q", &url, "clone"]);
}

#[test]
fn a_repository_asks_in_its_own_way() {
    let Some((server, _root)) = host() else {
        return;
    };
    let client = Client::of(&server);
    let basic = "Basic realm=\"git\"";
    let bearer = "Bearer realm=\"git\"";
    for (name, wanted) in
        [("basic", vec![basic]), ("bearer", vec![bearer]), ("both", vec![bearer, basic])]
    {
        let answer =
            client.get(&format!("/git/{name}/hello.git/info/refs?service=git-upload-pack"));
        let asked: Vec<_> = answer.headers.get_all("www-authenticate").iter().collect();
        assert_eq!(
            (answer.status, asked),
            (
                401,
                wanted
                    .iter()
                    .map(|line| line.parse().unwrap())
                    .collect::<Vec<_>>()
                    .iter()
                    .collect()
            )
        );
    }
}

#[test]
fn a_credential_in_a_way_that_is_not_asked_for_is_refused() {
    let Some((server, _root)) = host() else {
        return;
    };
    let token = server.api_token("ada@example.com", "git").unwrap().token;
    let client = Client::of(&server);
    let path = |name| format!("/git/{name}/hello.git/info/refs?service=git-upload-pack");
    let as_basic = client.with("Authorization", &basic(&token));
    assert_eq!(client.bearer(&token).get(&path("basic")).status, 401);
    assert_eq!(as_basic.get(&path("bearer")).status, 401);
    assert_eq!(client.bearer("myc_0").get(&path("bearer")).status, 401);
    assert_eq!(as_basic.get(&path("basic")).status, 200);
}

#[test]
fn only_repositories_below_the_root_are_served() {
    let Some((server, root)) = host() else { return };
    let below = root.path().join("hello.git");
    std::fs::write(root.path().join("secret"), "SENTINEL").unwrap();
    let token = server.api_token("ada@example.com", "git").unwrap().token;
    let client = Client::of(&server).bearer(&token);
    assert!(below.exists());
    for path in [
        "/git/hello.git/../secret",
        "/git/%2e%2e/secret",
        "/git/hello.git/..%2fsecret",
        "/git/secret",
        "/git/none.git/info/refs",
        "/git//etc/passwd",
    ] {
        let answer = client.get(path);
        assert!(answer.status >= 400, "{path}: {}", answer.status);
        assert!(!answer.text.contains("SENTINEL"));
    }
}

#[test]
fn without_a_root_there_is_no_git_hosting() {
    let server = start(Settings::default());
    Client::of(&server).get("/git/hello.git/info/refs").expect_error(404, "NOT_FOUND");
}
