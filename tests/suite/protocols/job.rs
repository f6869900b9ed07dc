//! Real git, docker and cargo in a job: an empty home, and no secret in it. The platform and the token endpoint are doubles;
//! the token is one of the account service, which git's server, the registry's and cargo's index check.

use account_server::Server;
use account_server::git_host::create_repository;

use super::cargo;
use super::docker::registry::Registry;
use crate::support::gate::issued_by;
use crate::support::job::{AUDIENCE, claims, error, issued, presented, runner, start_github_job};
use crate::support::scripted::Scripted;
use crate::support::{Home, Outcome, finish, has_client, service_with, spawn};

/// A token endpoint whose trust policy is one repository.
fn token_endpoint(server: &Server) -> Scripted {
    let session = server.session("me@acme.dev").unwrap();
    Scripted::start(move |_, request| {
        let claims = claims(&presented(request));
        let is_trusted = claims["sub"] == "repo:acme/app" && claims["aud"] == AUDIENCE;
        if is_trusted { issued(&session.access_token) } else { error("invalid_grant") }
    })
}

fn run(home: &Home, line: &[&str]) -> Outcome {
    let mut command = home.command(line[0]);
    command.args(&line[1..]).env("GIT_TERMINAL_PROMPT", "0").current_dir(home.path());
    finish(spawn(command), b"")
}

#[test]
fn git_docker_and_cargo_work_in_a_job_without_a_secret() {
    if !has_client("git") {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    create_repository(root.path(), "hello.git").unwrap();
    let server = service_with(|settings| settings.git_root = Some(root.path().to_owned()));
    let Some(registry) = Registry::of_service(&server, &["docker"]) else { return };
    let index = cargo::registry(issued_by(&server));
    let (runner, service) = (runner(), token_endpoint(&server));
    let git_host = server.url().strip_prefix("http://").unwrap();

    let mut home = Home::new();
    home.set("MY_NO_KEYRING", "1");
    home.set("DOCKER_CONFIG", home.path().join("docker"));
    cargo::configure(&mut home, &index);
    home.link("git-credential-my");
    home.link("docker-credential-my");
    home.write(".gitconfig", "[credential]\n\thelper = my\n");
    home.write("docker/config.json", "{\"credsStore\":\"my\"}");
    let text = format!(
        "[providers.acme]\nkind = \"oauth\"\ntoken_endpoint = \"{}/token\"\nclient_id = \"ci\"\n\
         hosts = [\"{git_host}\", \"{}\", \"{}\"]\n[providers.acme.identity]\nsource = \"github-actions\"\n\
         audience = \"{AUDIENCE}\"\nexchange = \"token-exchange\"\n",
        service.url, registry.address, index.address
    );
    home.write(".config/my-credential-helper/config.toml", &text);
    let url = format!("{}/git/both/hello.git", server.url());
    let image = registry.image();
    let all = |home: &Home| {
        let _ = std::fs::remove_dir_all(home.path().join("clone"));
        [
            run(home, &["git", "clone", "-q", &url, "clone"]),
            run(home, &["docker", "manifest", "inspect", "--insecure", &image]),
            cargo::run(home, "hello", &cargo::PUBLISH),
            cargo::run(home, "user", &["fetch"]),
        ]
    };

    let before = all(&home);
    assert!(before.iter().all(|outcome| outcome.status != 0), "no identity: {before:?}");
    start_github_job(&mut home, &runner, "repo:acme/fork");
    let untrusted = all(&home);
    assert!(untrusted.iter().all(|outcome| outcome.status != 0), "{untrusted:?}");
    start_github_job(&mut home, &runner, "repo:acme/app");
    for outcome in all(&home) {
        assert_eq!(outcome.status, 0, "{outcome:?}");
    }
    for (path, contents) in home.snapshot() {
        let text = String::from_utf8_lossy(contents.as_deref().unwrap_or_default()).into_owned();
        assert!(!text.contains("eyJ"), "{} has a token", path.display());
    }
}
