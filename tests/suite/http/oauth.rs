//! A configured provider against npm's `oidc-provider` with reuse detection: a refresh token that is sent twice revokes
//! the session, so any race is a logout. `MY_TEST_ROUNDS` and `MY_TEST_CRASHES` make runs longer, and `MY_TEST_SEED`
//! repeats one.

use std::os::unix::process::ExitStatusExt as _;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::oidc::{Oidc, SESSION};
use crate::support::{HELPER, Home, Waiting, finish, has_client, same_output, spawn};

const RAW: [&str; 3] = ["get", "--format", "raw"];

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

fn stored_session(home: &Home) -> Value {
    serde_json::from_str(&home.read(SESSION).expect("a session")).expect("the file is whole")
}

/// Moves every time of the session into the past.
fn age(home: &Home) {
    let mut session = stored_session(home);
    for field in ["expires_at", "last_refreshed_at", "logged_in_at"] {
        session[field] = "2020-01-01T00:00:00Z".into();
    }
    home.write(SESSION, &session.to_string());
}

#[test]
fn sixty_four_processes_on_a_stale_session_stay_logged_in() {
    let Some(service) = Oidc::start() else { return };
    let home = service.stale_home();
    for round in 1..=number("MY_TEST_ROUNDS", 2) {
        service.clear_journal();
        let children: Vec<_> = (0..64).map(|_| home.start(&RAW)).collect();
        let mut tokens: Vec<_> = children
            .into_iter()
            .map(|child| {
                let outcome = finish(child, b"");
                assert_eq!(
                    (outcome.status, &*outcome.messages),
                    (0, ""),
                    "round {round}: each is served"
                );
                outcome.output
            })
            .collect();
        tokens.dedup();
        assert_eq!(tokens.len(), 1, "round {round}: all of them the same");
        assert_eq!(
            (service.count("token request"), service.count("grant.revoked")),
            (1, 0),
            "round {round}"
        );
        assert!(service.is_active(tokens[0].trim_end()), "round {round}: still logged in");
        age(&home);
    }
}

#[test]
fn a_process_that_dies_before_the_request_is_replaced() {
    let Some(service) = Oidc::start() else { return };
    for crowd in [1, 31] {
        // Without cached metadata, the process holds the lock during the discovery request.
        let home = service.stale_home();
        service.delay_description(Duration::from_secs(2));
        service.clear_journal();
        let mut first = home.start(&RAW);
        let start = Instant::now();
        while service.count("description request") == 0 {
            assert!(start.elapsed() < Duration::from_secs(9), "no request reaches the service");
        }
        let others: Vec<_> = (0..crowd).map(|_| home.start(&RAW)).collect();
        first.kill().unwrap();
        first.wait().unwrap();
        service.delay_description(Duration::ZERO);
        let token = same_output(others);
        assert_eq!((service.count("token request"), service.count("grant.revoked")), (1, 0));
        assert!(service.is_active(token.trim_end()));
    }
}

#[test]
fn two_accounts_of_one_host_are_renewed_each_for_its_own_path() {
    let Some(service) = Oidc::start() else { return };
    let home = service.home(
        "client_id = \"helper\"\nhosts = [\"git.acme.dev\"]\naccounts = [\"work\"]\n\
         [accounts]\n\"https://git.acme.dev/team-a\" = \"work\"",
    );
    service.make_stale(&home);
    service.make_stale_as(&home, "boss", ".my/sessions/acme/work.json");
    let paths = [("team-a/x.git", "boss"), ("team-ab/x.git", "ada"), ("", "ada")];
    let urls: Vec<_> =
        paths.iter().map(|(path, _)| format!("https://git.acme.dev/{path}")).collect();
    let ask = |url: &String| home.start(&["get", "--format", "raw", "--url", url]);
    let children: Vec<_> = (0..8).flat_map(|_| urls.iter().map(ask)).collect();
    for (child, (path, person)) in children.into_iter().zip(paths.iter().cycle()) {
        let outcome = finish(child, b"");
        assert_eq!(outcome.status, 0, "{path:?}: {outcome:?}");
        let report = service.introspect(outcome.output.trim_end());
        assert_eq!(
            (&report["active"], &report["sub"]),
            (&true.into(), &(*person).into()),
            "{path:?}"
        );
    }
    assert_eq!(
        (service.count("token request"), service.count("grant.revoked")),
        (2, 0),
        "one for each of the two"
    );
}

#[test]
fn a_killed_refresh_loses_the_session_only_with_the_response() {
    let Some(service) = Oidc::start() else { return };
    let (lost, crashes) = end_refreshes_by(Signal::KILL, &service);
    println!("{lost} of {crashes} were killed between the service's answer and the write");
}

#[test]
fn a_refresh_that_is_terminated_at_any_time_loses_no_session() {
    let Some(service) = Oidc::start() else { return };
    for signal in [Signal::TERM, Signal::INT] {
        assert_eq!(end_refreshes_by(signal, &service).0, 0, "{signal:?}");
    }
}

/// Ends refreshes at moments that a seed chooses: how many logins were lost, of how many.
fn end_refreshes_by(signal: Signal, service: &Oidc) -> (u64, u64) {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let (seed, crashes) = (number("MY_TEST_SEED", now), number("MY_TEST_CRASHES", 12));
    println!("MY_TEST_SEED={seed}");
    let (mut state, mut lost) = (seed, 0);
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    let home = service.home("");
    for crash in 0..crashes {
        service.make_stale(&home);
        service.delay(Duration::from_millis(next() % 20));
        service.clear_journal();
        let mut command = home.command(HELPER);
        command.args(RAW);
        let mut child = spawn(command);
        std::thread::sleep(Duration::from_micros(next() % 40_000));
        kill_process(Pid::from_child(&child), signal).unwrap();
        child.wait().unwrap();
        // The response of the killed process may still be in transit.
        std::thread::sleep(Duration::from_millis(60));
        let was_spent = service.count("refresh_token.consumed") > 0;
        let outcome = home.run(&RAW);
        if outcome.status == 0 {
            assert_eq!(
                stored_session(&home)["access_token"],
                outcome.output.trim_end(),
                "seed {seed}, crash {crash}"
            );
            continue;
        }
        lost += 1;
        assert!(
            was_spent,
            "seed {seed}, crash {crash}: lost, and the service had given nothing: {outcome:?}"
        );
        assert_eq!(outcome.status, 1, "{outcome:?}");
        assert!(
            outcome.messages.contains("no longer valid") && outcome.messages.contains("login`"),
            "{outcome:?}"
        );
        assert_eq!(home.read(SESSION), None, "what was refused is cleared");
    }
    (lost, crashes)
}

#[test]
fn an_interruption_during_an_exchange_loses_no_session() {
    let Some(service) = Oidc::start() else { return };
    let home = service.home("");
    // `whoami` has its own client, whose thread exists before the refresh.
    let cases = [
        (&RAW[..], Signal::INT),
        (&RAW, Signal::TERM),
        (&RAW, Signal::HUP),
        (&["whoami"], Signal::INT),
    ];
    for (verb, signal) in cases {
        service.make_stale(&home);
        service.clear_journal();
        service.hold();
        let mut child = home.start(verb);
        let start = Instant::now();
        while service.count("token request") == 0 {
            assert!(start.elapsed() < Duration::from_secs(9), "no request reaches the service");
        }
        kill_process(Pid::from_child(&child), signal).unwrap();
        service.release();
        let ends = (!is_ignored(signal)).then_some(signal.as_raw());
        assert_eq!(child.wait().unwrap().signal(), ends, "{verb:?} ends by the signal");
        let token = home.token();
        assert_eq!(stored_session(&home)["access_token"], token, "{verb:?} {signal:?}");
        assert_eq!(
            (service.count("token request"), service.count("grant.revoked")),
            (1, 0),
            "{verb:?} {signal:?}"
        );
        assert!(service.is_active(&token), "{verb:?} {signal:?}");
    }
}

/// Whether this process and its children ignore a signal: under `nohup`, SIGHUP.
fn is_ignored(signal: Signal) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").expect("this process");
    let ignored =
        status.lines().find_map(|line| line.strip_prefix("SigIgn:")).expect("what is ignored");
    u64::from_str_radix(ignored.trim(), 16).expect("a set") >> (signal.as_raw() - 1) & 1 == 1
}

#[test]
fn a_token_that_may_be_spent_is_sent_once_in_a_call() {
    let Some(service) = Oidc::start() else { return };
    let home = service.stale_home();
    // Longer than the timeout of a mycli refresh: an interrupted request would lose the session.
    service.delay(Duration::from_millis(6500));
    service.clear_journal();
    let outcome = home.run(&RAW);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    assert_eq!((service.count("token request"), service.count("grant.revoked")), (1, 0));
}

#[test]
fn an_unreachable_service_does_not_log_out() {
    let Some(service) = Oidc::start() else { return };
    let home = service.stale_home();
    assert_eq!(home.run(&RAW).status, 0, "its metadata is stored");
    let url = service.url.clone();
    drop(service);
    let living = home.run(&RAW);
    assert_eq!(living.status, 0, "a living token needs no service");
    age(&home);
    let before = stored_session(&home);
    let outcome = home.run(&RAW);
    assert_eq!(outcome.status, 3, "{outcome:?} {url}");
    assert!(stored_session(&home) == before, "the session stays stored");
    let _ = std::fs::remove_file(home.path().join(".my/sessions/acme.metadata.json"));
    assert_eq!(home.run(&RAW).status, 3, "nor where its description cannot be had");
    assert!(stored_session(&home) == before);
}

#[test]
fn a_logout_revokes_the_session_on_the_service() {
    let Some(service) = Oidc::start() else { return };
    let home = service.stale_home();
    let token = home.token();
    assert!(service.is_active(&token));
    let outcome = home.run(&["logout", "--json"]);
    assert_eq!(outcome.json()["revoked"], true, "{outcome:?}");
    assert!(!service.is_active(&token), "the service knows");
    assert_eq!(home.read(SESSION), None);
    assert_eq!(home.run(&RAW).status, 1);
}

#[test]
fn a_session_revoked_elsewhere_is_reported_once() {
    let Some(service) = Oidc::start() else { return };
    let home = service.stale_home();
    let refresh_token = stored_session(&home)["refresh_token"].as_str().unwrap().to_owned();
    let form = [("token", &*refresh_token), ("client_id", "helper")];
    ureq::post(format!("{}/token/revocation", service.url)).send_form(form).unwrap();
    let outcome = home.run(&RAW);
    assert_eq!(outcome.status, 1, "{outcome:?}");
    assert!(outcome.messages.contains("the session with acme is no longer valid"), "{outcome:?}");
    assert!(home.run(&RAW).messages.contains("not logged in to acme"));
}

#[test]
fn whoami_reports_the_owner_of_the_token() {
    let Some(service) = Oidc::start() else { return };
    let home = service.stale_home();
    let who = home.run(&["whoami", "--json"]).json();
    assert_eq!((&who["id"], &who["source"]), (&"ada".into(), &"file".into()), "{who}");
    let status = home.run(&["status", "--check", "--json"]).json();
    assert_eq!(
        (&status["kind"], &status["service"]),
        (&"session".into(), &"accepts the credential of ada@acme.dev".into())
    );
    let listed = home.run(&["list"]).json();
    assert_eq!(listed["credentials"][0]["provider"], "acme", "{listed}");
    let printed = home.run(&["exec", "--env", "TOKEN", "--", "sh", "-c", "echo $TOKEN"]);
    assert_eq!(printed.output.trim_end(), home.token());
    assert_eq!(home.session(), None, "nothing of it is where `my` looks");
}

#[test]
fn client_credentials_are_used_again_after_the_expiry() {
    let Some(service) = Oidc::start() else { return };
    let mut home = service.home("client_id = \"ci\"\nclient_secret_variable = \"ACME_SECRET\"");
    let missing = home.run(&["login", "--client-credentials"]);
    assert_eq!(missing.status, 2, "{missing:?}");
    assert!(
        missing.messages.contains("ACME_SECRET is not set")
            && !missing.messages.contains("client_secret_variable"),
        "{missing:?}"
    );
    home.set("ACME_SECRET", "wrong");
    let wrong = home.run(&["login", "--client-credentials"]);
    assert_eq!(wrong.status, 4, "{wrong:?}");
    home.set("ACME_SECRET", "hush");
    let outcome = home.run(&["login", "--client-credentials"]);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    let first = home.token();
    assert!(service.is_active(&first));
    age(&home);
    let second = home.token();
    assert!(first != second && service.is_active(&second), "it asks again");
    home.set("ACME_SECRET", "wrong");
    age(&home);
    let refused = home.run(&RAW);
    assert_eq!(refused.status, 4, "{refused:?}");
    home.set("ACME_SECRET", "hush");
    assert_eq!(home.run(&RAW).status, 0, "a wrong secret ends nothing");
    home.set("ACME_SECRET", "");
    age(&home);
    let missing = home.run(&RAW);
    assert!(missing.status == 2 && missing.messages.contains("ACME_SECRET"), "{missing:?}");
    assert!(
        home.snapshot()
            .values()
            .flatten()
            .all(|text| !String::from_utf8_lossy(text).contains("hush"))
    );
}

#[test]
fn a_client_secret_on_standard_input_is_not_stored() {
    let Some(service) = Oidc::start() else { return };
    let home = service.home("client_id = \"ci\"");
    let outcome = home.run_with(&["login", "--client-credentials"], "hush\n");
    assert_eq!(outcome.status, 0, "{outcome:?}");
    assert!(service.is_active(&home.token()));
    assert!(
        home.snapshot()
            .values()
            .flatten()
            .all(|text| !String::from_utf8_lossy(text).contains("hush"))
    );
    age(&home);
    let ended = home.run(&RAW);
    assert_eq!(ended.status, 2, "{ended:?}");
    assert!(ended.messages.contains("client_secret_variable"), "{ended:?}");
}

#[test]
fn git_clones_from_a_host_that_introspects_the_token() {
    let (Some(service), true) = (Oidc::start(), has_client("git")) else { return };
    let root = tempfile::tempdir().unwrap();
    account_server::git_host::create_repository(root.path(), "hello.git").unwrap();
    let repository = root.path().join("hello.git");
    let mut home = service.stale_home();
    // The files of a repository are a repository, with this.
    home.run_client(&["git", "-C", repository.to_str().unwrap(), "update-server-info"]);
    let url = service.url.clone();
    let (files, service) = (root.path().to_owned(), std::sync::Arc::new(service));
    let introspected = service.clone();
    let permits = move |authorization: &str| {
        let basic = authorization
            .strip_prefix("Basic ")
            .map(crate::support::gate::decoded)
            .unwrap_or_default();
        basic.strip_prefix("oauth2:").is_some_and(|token| introspected.is_active(token))
    };
    let answers = move |request: &crate::support::gate::Request| {
        let path = request.path.split('?').next().unwrap_or_default();
        std::fs::read(files.join(path.trim_start_matches('/'))).ok()
    };
    let gate = crate::support::gate::Gate::start(
        "Basic realm=\"git\"",
        Box::new(permits),
        Box::new(answers),
    );
    let configuration = format!(
        "provider = \"acme\"\n[providers.acme]\nkind = \"oauth\"\nissuer = \"{url}\"\nclient_id = \"helper\"\n\
         hosts = [\"{}\"]\nbasic_username = \"oauth2\"\n",
        gate.address
    );
    home.write(".config/my-credential-helper/config.toml", &configuration);
    let gitconfig = home.write("gitconfig", &format!("[credential]\nhelper = !{HELPER} git\n"));
    home.set("GIT_CONFIG_GLOBAL", gitconfig);
    home.set("GIT_TERMINAL_PROMPT", "0");
    let outcome = home.run_client(&[
        "git",
        "clone",
        "-q",
        &format!("http://{}/hello.git", gate.address),
        "clone",
    ]);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    assert!(gate.saw("let in") && gate.saw("refused"), "{:?}", gate.seen());
    assert!(home.path().join("clone/.git").exists());
}

/// What a Kubernetes API server, Google's IAP and Cloud Run accept: a token whose audience is this program.
#[test]
fn the_id_token_is_for_kubectl_and_on_request() {
    let Some(service) = Oidc::start() else { return };
    let home = service.stale_home();
    let id_token = home.run(&["get", "--format", "id-token"]).output.trim_end().to_owned();
    assert_eq!(service.verified(&id_token)["aud"], "helper", "the service has signed it");
    let kubectl = |home: &Home| home.run(&["kubectl"]).json()["status"].clone();
    let given = kubectl(&home);
    assert_eq!(given["token"], *id_token);
    assert!(given["expirationTimestamp"].is_string(), "{given}");
    let access = home.token();
    assert!(access != id_token && service.is_active(&access));
    for command in [&["list"][..], &["status"], &["status", "--json"], &["get"], &["whoami"]] {
        let outcome = home.run(command);
        assert!(!outcome.output.contains(&id_token), "{command:?}: {outcome:?}");
        assert!(!outcome.messages.contains(&id_token), "{command:?}: {outcome:?}");
    }
    let config = home.read(".config/my-credential-helper/config.toml").unwrap();
    let config = format!("{config}kubernetes_token = \"access\"\n");
    home.write(".config/my-credential-helper/config.toml", &config);
    assert_eq!(kubectl(&home)["token"], *access);
    // An expired ID token is renewed, although the access token has time left.
    let mut session = stored_session(&home);
    session["id_token_expires_at"] = "2020-01-01T00:00:00Z".into();
    session["last_refreshed_at"] = "2019-12-31T23:59:00Z".into();
    home.write(SESSION, &session.to_string());
    let renewed = home.run(&["get", "--format", "id-token"]).output.trim_end().to_owned();
    assert_eq!(service.verified(&renewed)["aud"], "helper");
    assert_eq!(service.count("token request"), 2);
}

#[test]
fn every_waiting_process_reports_the_end_of_the_session() {
    let Some(service) = Oidc::start() else { return };
    let home = service.stale_home();
    let mut session = stored_session(&home);
    session["refresh_token"] = "ended".into();
    home.write(SESSION, &session.to_string());
    service.hold();
    let waiting: Vec<_> = (0..8).map(|_| Waiting::start(&home)).collect();
    service.release();
    let mut reasons = Vec::new();
    for process in waiting {
        let (status, messages) = process.end();
        assert_eq!(status, Some(1), "{messages}");
        assert!(messages.contains("tried: ACME_TOKEN (not set)"), "{messages}");
        let reason = messages.lines().find(|line| line.starts_with("error: "));
        reasons.push(reason.unwrap_or_default().to_owned());
    }
    let count = |reason: &str| reasons.iter().filter(|other| *other == reason).count();
    let ended = "error: the session with acme is no longer valid: invalid_grant (status 400)";
    let removed =
        "error: the session with acme was removed while another process was refreshing it";
    assert_eq!((count(ended), count(removed)), (1, 7), "{reasons:#?}");
}
