//! The credential-helper protocol with its real callers: the crate of its authors, against the account service, and
//! Bazel, against a server of files and a remote cache. Both reject requests without a token.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::sync::Mutex;
use std::time::Duration;

use credentialhelper::{Client, CredentialHelper as _, GetCredentialsRequest};
use sha2::{Digest as _, Sha256};

use crate::support::gate::{Gate, Request, for_tokens};
use crate::support::oidc::{Oidc, SESSION};
use crate::support::services::is_accepted;
use crate::support::{
    Home, Outcome, check_integration, finish, has_client, has_rare_client, service, spawn,
};

/// What Bazel is given: the path of one program, which it calls with `get` alone.
fn client(home: &mut Home) -> Client {
    let link = home.link("bazel-credential-my");
    // The caller hands its own variables on, and these are a test's.
    let script = format!(
        "#!/bin/sh\nexec env -i HOME={} {} \"$@\"\n",
        home.path().display(),
        link.display()
    );
    let path = home.write("helper.sh", &script);
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o700)).unwrap();
    Client::new(path.to_str().unwrap()).unwrap()
}

/// Asks for a URL with what the helper gives for it; the status.
fn fetch(client: &Client, url: &str) -> u16 {
    let response =
        client.get_credentials(GetCredentialsRequest::new(url), Vec::new()).expect("an answer");
    let agent =
        ureq::Agent::from(ureq::Agent::config_builder().http_status_as_error(false).build());
    let mut request = agent.get(url);
    for (name, values) in response.headers() {
        for value in values {
            request = request.header(&name, value);
        }
    }
    request.call().expect("the service answers").status().as_u16()
}

#[test]
fn a_build_sends_the_token_and_refreshes_a_stale_one() {
    let server = service();
    let (mut home, session) = Home::logged_in(&server);
    let client = client(&mut home);
    let url = format!("{}/v1/me", server.url());
    assert_eq!(fetch(&client, &url), 200);

    server.revoke_access(&session.access_token);
    assert_eq!(fetch(&client, &url), 401, "the service refuses");
    home.write_session(&session, Duration::ZERO, Duration::from_secs(3600));
    assert_eq!(fetch(&client, &url), 200);
    assert_eq!(server.refresh_requests(), 1);
}

#[test]
fn a_build_without_a_session_fails_only_for_our_host() {
    let server = service();
    let mut home = Home::at(&server);
    let client = client(&mut home);
    let ask = |url: &str| client.get_credentials(GetCredentialsRequest::new(url), Vec::new());
    assert!(ask(server.url()).is_err(), "nothing is written, and the build says why");
    assert!(
        ask("https://github.com/acme/rules/v1.tar.gz").expect("an answer").headers().is_empty()
    );
    assert!(ask("grpcs://cache.example.com").expect("an answer").headers().is_empty());
}

#[test]
fn the_configuration_of_the_readme_works_from_an_empty_home() {
    let readme = include_str!("../../../integrations/bazel/README.md");
    assert!(
        readme.contains(include_str!("../../../integrations/bazel/bazelrc")),
        "the README quotes what is tested"
    );
    if !["curl", "jq"].into_iter().all(has_client) {
        return;
    }
    let server = service();
    let mut home = Home::new();
    home.set("SERVER", server.url());
    home.set("TOKEN", server.api_token("me@acme.dev", "test").unwrap().token);
    check_integration(home, "bazel");
}

/// Bazel, set up for a server of files and a remote cache. Starting its server takes several seconds.
struct Workspace {
    home: Home,
    oidc: Oidc,
    gate: Gate,
}

impl Drop for Workspace {
    fn drop(&mut self) {
        let _ = self.bazel(&["shutdown"]);
    }
}

impl Workspace {
    /// With an expired session; `None`, with a message, if a program is not installed.
    fn new() -> Option<Self> {
        if !has_rare_client("bazel") {
            return None;
        }
        let oidc = Oidc::start()?;
        let userinfo = format!("{}/me", oidc.url);
        let permits = for_tokens(move |token| is_accepted(&userinfo, token));
        let gate = Gate::start("Bearer", permits, files_and_cache());
        let mut home = oidc.stale_home();
        home.set("USER", "ada");
        // A test starts Bazel's server once. Optimizing its code costs more than it saves.
        home.write(
            "work/.bazelrc",
            "startup --max_idle_secs=15 --host_jvm_args=-XX:TieredStopAtLevel=1\n\
             common --enable_bzlmod=false --enable_workspace --repository_cache=\n",
        );
        let mut rules =
            String::from("load(\"@bazel_tools//tools/build_defs/repo:http.bzl\", \"http_file\")\n");
        for name in (0..32).map(|number| format!("f{number}")) {
            let mut digest = String::new();
            for byte in Sha256::digest(format!("/{name}")) {
                write!(digest, "{byte:02x}").unwrap();
            }
            let url = format!("http://{}/{name}", gate.address);
            writeln!(rules, "http_file(name = {name:?}, urls = [{url:?}], sha256 = {digest:?})")
                .unwrap();
        }
        home.write("work/WORKSPACE", &rules);
        home.write(
            "work/BUILD",
            "filegroup(name = \"files\", srcs = [\"@f%d//file\" % i for i in range(16)])\n\
             [genrule(name = \"g%d\" % i, outs = [\"g%d.txt\" % i], cmd = \"echo %d >$@\" % i) for i in range(5)]\n",
        );
        home.set_up("bazel", &format!("http://{}", gate.address));
        Some(Self { home, oidc, gate })
    }

    fn bazel(&self, arguments: &[&str]) -> Outcome {
        let mut command = self.home.command("bazel");
        command.args(arguments).current_dir(self.home.path().join("work"));
        finish(spawn(command), b"")
    }

    fn build(&self, arguments: &[&str]) -> Outcome {
        self.bazel(&[&["build"], arguments].concat())
    }

    fn refreshes(&self) -> usize {
        self.oidc.count("token request")
    }

    /// The requests of the gate, and those that it let in.
    fn requests(&self) -> (usize, usize) {
        let seen = self.gate.seen();
        (seen.len(), seen.iter().filter(|line| line.ends_with("let in")).count())
    }
}

/// A file contains its path. A cache stores what it is sent.
fn files_and_cache() -> Box<crate::support::gate::Answers> {
    let stored = Mutex::new(BTreeMap::<String, Vec<u8>>::new());
    Box::new(move |request: &Request| {
        let mut stored = stored.lock().unwrap();
        match (&*request.method, request.path.starts_with("/cache/")) {
            ("PUT", true) => {
                stored.insert(request.path.clone(), request.body.clone());
                Some(Vec::new())
            }
            ("GET", true) => stored.get(&request.path).cloned(),
            _ => Some(request.path.clone().into_bytes()),
        }
    })
}

#[test]
fn bazel_downloads_and_caches_with_one_refresh() {
    let Some(mut workspace) = Workspace::new() else { return };
    let cache = format!("--remote_cache=http://{}/cache", workspace.gate.address);
    let targets = ["//:files", "//:g0", "//:g1", "//:g2", "//:g3", &*cache];
    let outcome = workspace.build(&targets);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    let (all, let_in) = workspace.requests();
    // An action has a result and an output.
    assert!(all == let_in && all > 16 + 4 * 2, "{:?}", workspace.gate.seen());
    assert_eq!(workspace.refreshes(), 1, "for parallel downloads and the cache");

    // Bazel stores the headers of a URL until they expire, or `bazel clean`.
    workspace.oidc.make_stale(&workspace.home);
    let build = |name: &str| workspace.build(&[name, &cache]);
    let outcome = build("//:g4");
    assert_eq!((outcome.status, workspace.refreshes()), (0, 1), "{outcome:?}");
    assert_eq!(workspace.bazel(&["clean"]).status, 0);
    let outcome = build("//:g0");
    assert!(outcome.messages.contains("remote cache hit"), "{outcome:?}");
    assert_eq!((outcome.status, workspace.refreshes()), (0, 2), "{outcome:?}");

    // Without a session, Bazel prints the message of this program, and sends the request without headers.
    let session = workspace.home.read(SESSION).unwrap();
    std::fs::remove_file(workspace.home.path().join(SESSION)).unwrap();
    let outcome = workspace.build(&["@f20//file"]);
    assert_ne!(outcome.status, 0, "{outcome:?}");
    for part in ["continuing without: Failed to get credentials", "not logged in to acme", "401"] {
        assert!(outcome.messages.contains(part), "`{part}`: {outcome:?}");
    }
    workspace.home.write(SESSION, &session);
    assert_eq!(workspace.build(&["@f20//file"]).status, 0);

    bazel_and_doctor_agree(&mut workspace);
}

/// Which of two helpers Bazel runs, for each form of `.bazelrc`.
fn bazel_and_doctor_agree(workspace: &mut Workspace) {
    let ours = workspace.home.read(".bazelrc").unwrap();
    let other = workspace.home.write(
        "other",
        "#!/bin/sh\ncat >/dev/null\ntouch \"$HOME/was-run\"\necho '{\"headers\":{}}'\n",
    );
    std::fs::set_permissions(&other, PermissionsExt::from_mode(0o700)).unwrap();
    let other = other.display();
    workspace.home.only_tools(&["bazel", "cat", "touch"]);
    let bin = workspace.home.path().join("bin");
    workspace.home.put_on_path(&bin);
    for (number, (text, is_ours)) in [
        (format!("{ours}common --credential_helper=127.0.0.1={other}\n"), false),
        (format!("common --credential_helper=127.0.0.1={other}\n{ours}"), true),
        (format!("build --credential_helper=127.0.0.1={other}\n{ours}"), false),
        (format!("{ours}common --credential_helper=*.0.1={other}\n"), true),
        (format!("common --credential_helper={other}\n{}", ours.replace("=127.", "=*.127.")), true),
        (format!("{ours}common --experimental_credential_helper 127.0.0.1={other}\n"), false),
        (format!("{ours}common:x --credential_helper=127.0.0.1={other}\n"), true),
        (format!("{ours}common --credential_\\\nhelper=127.0.0.1={other}\n"), false),
    ]
    .into_iter()
    .enumerate()
    {
        workspace.home.write(".bazelrc", &text);
        let outcome = workspace.build(&[&format!("@f{}//file", 21 + number)]);
        let was_run = workspace.home.path().join("was-run");
        assert_eq!(was_run.exists(), !is_ours, "{text}: {outcome:?}");
        assert_eq!(outcome.status == 0, is_ours, "{text}: {outcome:?}");
        let _ = std::fs::remove_file(was_run);
        let printed = workspace.home.run(&["doctor"]).output;
        let expected = if is_ours { "gets a credential" } else { "takes precedence over" };
        assert!(printed.contains(expected), "{text}: {printed}");
    }
}
