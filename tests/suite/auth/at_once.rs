//! Several real clients with the same stale session at the same time: the refresh token is valid once.

use std::process::{Child, Command};
use std::time::Duration;

use account_server::{Fault, Server};
use serde_json::json;

use crate::protocols::{cargo, docker, python};
use crate::support::gate::issued_by;
use crate::support::{Home, finish, spawn};

/// As long as it takes for most of the others to come and find the session stale as well.
const REFRESH_TAKES: u64 = 700;

/// Two of a kind, each in a folder of its own.
const ROUNDS: [&str; 2] = ["one", "two"];

fn start(home: &Home, round: &str, program: &str, words: &[&str]) -> Child {
    let folder = home.path().join(round);
    std::fs::create_dir_all(&folder).unwrap();
    let mut command: Command = home.command(program);
    // Two cargos would wait for each other's lock.
    command.args(words).current_dir(&folder).env("CARGO_HOME", folder.join("cargo"));
    spawn(command)
}

/// Every client once.
fn start_all(home: &Home, round: &str, server: &Server, image: &str) -> Vec<Child> {
    let repository = format!("{}/git/both/hello.git", server.url());
    let project = home.path().join("user/Cargo.toml");
    vec![
        start(home, round, "git", &["clone", "-q", &repository, "clone"]),
        start(home, round, "docker", &["manifest", "inspect", "--insecure", image]),
        start(home, round, env!("CARGO"), &["fetch", "--manifest-path", project.to_str().unwrap()]),
        start(home, round, "pip", &["install", "--target", "pip", "hello"]),
    ]
}

#[test]
fn clients_of_every_kind_share_one_refresh() {
    let Some((server, _root, mut home, session, images)) = docker::of_provider(&["docker"]) else {
        return;
    };
    let Some(index) = python::index(issued_by(&server)) else { return };
    let crates = cargo::registry(issued_by(&server));
    home.set_hosts(&[&images.address, &index.address, &crates.address]);
    docker::configure(&mut home, &json!({ "credsStore": "my" }));
    python::configure(&mut home, &index);
    cargo::configure(&mut home, &crates);
    home.link("git-credential-my");
    home.write(".gitconfig", "[credential]\nhelper = my\n");
    let outcome = cargo::run(&home, "hello", &cargo::PUBLISH);
    assert_eq!(outcome.status, 0, "{outcome:?}");

    home.write_session(&session, Duration::ZERO, Duration::from_secs(3600));
    server.revoke_access(&session.access_token);
    server.clear_requests();
    server.fault("/v1/auth/refresh", 1, Fault::Delay { delay_ms: REFRESH_TAKES });
    let clients: Vec<_> = ROUNDS
        .into_iter()
        .flat_map(|round| start_all(&home, round, &server, &images.image()))
        .collect();
    for client in clients {
        let outcome = finish(client, b"");
        assert_eq!(outcome.status, 0, "{outcome:?}");
    }
    assert_eq!(server.refresh_requests(), 1, "eight clients share it");
    assert_ne!(home.session().unwrap()["access_token"], session.access_token.as_str());
}
