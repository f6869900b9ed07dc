//! Logins, refreshes and their end at services that others have written: django-oauth-toolkit and Glewlwyd, which end a
//! login whose refresh token comes back, OpenBao, and the forge that `MY_TEST_FORGE` names. `MY_TEST_CROWD` and
//! `MY_TEST_GETS` make runs longer.

use std::io::{BufRead as _, BufReader};
use std::time::Duration;

use fs2::FileExt as _;
use serde_json::{Value, json};

use crate::support::oidc::SESSION;
use crate::support::openbao::OpenBao;
use crate::support::ports::free_address;
use crate::support::services::{Kind, RealService, decide};
use crate::support::{Home, Waiting, has_client, same_output, spawn};

const RAW: [&str; 3] = ["get", "--format", "raw"];

fn number(name: &str, otherwise: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// Moves the expiry of the session into the past.
fn age(home: &Home) {
    let mut session: Value = serde_json::from_str(&home.read(SESSION).expect("a session")).unwrap();
    for field in ["expires_at", "last_refreshed_at", "logged_in_at"] {
        session[field] = "2020-01-01T00:00:00Z".into();
    }
    home.write(SESSION, &session.to_string());
}

fn log_in_and_out(kind: Kind) {
    let Some(mut service) = RealService::start(kind, 900) else { return };
    let home = service.logged_in();
    let token = home.token();
    assert!(service.accepts(&token));
    let who = home.run(&["whoami", "--json"]).json();
    assert!(who["id"].is_string(), "{who}");
    let status = home.run(&["status", "--check", "--json"]).json();
    assert!(status["service"].as_str().is_some_and(|it| it.starts_with("accepts")), "{status}");
    let id_token = home.run(&["get", "--format", "id-token"]);
    assert!(id_token.status == 0 && id_token.output.trim_end() != token, "{id_token:?}");
    age(&home);
    let next = home.token();
    assert!(next != token && service.accepts(&next));
    assert_eq!(service.refreshes(), (1, 0));
    let outcome = home.run(&["logout", "--json"]);
    assert_eq!(home.run(&RAW).status, 1);
    // Glewlwyd revokes no token of a client without a secret.
    let is_revoked = kind == Kind::Django;
    assert_eq!(outcome.json()["revoked"], is_revoked, "{outcome:?}");
    assert_eq!(service.accepts(&next), !is_revoked, "{outcome:?}");
    assert_eq!(outcome.messages.contains("status 401"), !is_revoked, "{outcome:?}");
}

#[test]
fn django_logs_in_and_out() {
    log_in_and_out(Kind::Django);
}

#[test]
fn glewlwyd_logs_in_and_out() {
    log_in_and_out(Kind::Glewlwyd);
}

/// Gitea and Forgejo revoke nothing on request, and grant an application one set of scopes.
#[test]
fn a_forge_logs_in_and_out() {
    let Some(mut service) = RealService::start(Kind::Forge, 900) else { return };
    let mut home = Home::new();
    RealService::add_person(&mut home);
    home.write("decision", "allow");
    let url = service.fact("issuer").to_owned();
    let page = format!("{url}/user/settings/applications");
    let log_in = ["--provider", "acme", "login", &url, "--browser"];
    let described = home.run(&log_in);
    assert_eq!(described.status, 2, "{described:?}");
    for part in [&*page, "http://127.0.0.1/callback", "write:repository write:package"] {
        assert!(described.messages.contains(part), "{part}: {described:?}");
    }
    let outcome = home.run(&[&log_in[..], &["--client-id", service.fact("client_id")]].concat());
    assert_eq!(outcome.status, 0, "{outcome:?}");
    home.set("MY_PROVIDER", "acme");
    let token = home.token();
    assert!(service.accepts(&token));
    assert_eq!(home.run(&["whoami", "--json"]).json()["username"], "ada");
    age(&home);
    let next = home.token();
    // A token that is issued within the same second is the same.
    assert!(service.accepts(&next));
    assert_eq!(service.refreshes(), (1, 0));

    let outcome = home.run(&["logout"]);
    assert!(outcome.messages.contains(&format!("at {page}")), "{outcome:?}");
    assert!(home.run(&RAW).status == 1 && service.accepts(&next), "it is not revoked");
    let config = home.read(".config/my-credential-helper/config.toml").unwrap();
    let one_scope = "client_id = \"helper\"\nscopes = [\"openid\"]"
        .replace("helper", service.fact("client_id"));
    let line = format!("client_id = \"{}\"", service.fact("client_id"));
    assert!(config.contains(&line), "{config}");
    home.configure(&config.replace(&line, &one_scope));
    let outcome = home.run(&["login", "--browser"]);
    // Older versions of Gitea log in, with the scopes of the first login.
    if outcome.status != 0 {
        for part in ["(server_error)", &format!("at {page}")] {
            assert!(outcome.messages.contains(part), "{part}: {outcome:?}");
        }
    }
    assert!([0, 4].contains(&outcome.status), "{outcome:?}");
    home.run(&["logout"]);
    service.end_logins();
    assert_eq!(home.run(&["login", "--browser"]).status, 0, "after the revocation");
}

#[test]
fn one_login_at_a_forge_serves_git() {
    let Some(mut service) = RealService::start(Kind::Forge, 900) else { return };
    if !["git", "git-lfs"].iter().all(|client| has_client(client)) {
        return;
    }
    let mut home = service.logged_in();
    home.set("GIT_CONFIG_NOSYSTEM", "1");
    home.set("GIT_TERMINAL_PROMPT", "0");
    home.set_up("git", service.fact("issuer"));
    let git = |home: &Home, line: &str| {
        let outcome = home.run_client(&line.split(' ').collect::<Vec<_>>());
        assert_eq!(outcome.status, 0, "{line}: {outcome:?}");
    };
    let path = |name: &str| home.path().join(name).display().to_string();
    let (work, again) = (path("work"), path("again"));
    let repository = format!("{}/ada/app.git", service.fact("issuer"));
    home.write(".config/git/attributes", "*.bin filter=lfs diff=lfs merge=lfs -text\n");
    for line in [
        "git lfs install --skip-repo",
        "git config --global user.name ada",
        "git config --global user.email ada@acme.dev",
        &format!("git clone -q {repository} {work}"),
    ] {
        git(&home, line);
    }
    home.write("work/large.bin", &"large ".repeat(1000));
    for line in ["add .", "commit -q -m one", "push -q origin HEAD:main"] {
        git(&home, &format!("git -C {work} {line}"));
    }
    assert_eq!(service.refreshes(), (0, 0));
    age(&home);
    let line = ["ls-remote", "-q", &repository];
    let children: Vec<_> = (0..16)
        .map(|_| {
            let mut command = home.command("git");
            command.args(line);
            spawn(command)
        })
        .collect();
    assert!(same_output(children).contains("refs/heads/main"));
    git(&home, &format!("git clone -q -b main {repository} {again}"));
    assert_eq!(home.read("again/large.bin"), home.read("work/large.bin"), "not its pointer");
    assert_eq!(service.refreshes(), (1, 0), "one for all of them");
}

#[test]
fn glewlwyd_revokes_the_token_of_a_client_with_a_secret() {
    let Some(service) = RealService::start(Kind::Glewlwyd, 900) else { return };
    let registered =
        service.home("browser").read(".config/my-credential-helper/config.toml").unwrap();
    let port = registered.lines().find(|line| line.starts_with("redirect_port")).expect("a port");
    let mut home =
        service.home(&format!("{port}\nclient_id = \"desk\"\nclient_secret_variable = \"DESK\""));
    home.set("DESK", "hush");
    home.write("decision", "allow");
    let outcome = home.run(&["login", "--browser"]);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    let refresh_token = home.read(SESSION).expect("a session");
    let outcome = home.run(&["logout", "--json"]);
    assert_eq!(outcome.json()["revoked"], true, "{outcome:?}");
    home.write(SESSION, &refresh_token);
    age(&home);
    let outcome = home.run(&RAW);
    assert!(outcome.status == 3 && outcome.messages.contains("status 400"), "{outcome:?}");
}

/// Starts a login with a device code, and lets the person decide.
fn log_in_by_code(service: &RealService, decision: &str) -> (Home, i32, String) {
    let home = service.home("device");
    let mut login = home.start(&["login", "--device"]);
    let mut lines = BufReader::new(login.stderr.take().expect("a pipe")).lines();
    let told = lines.next().expect("a line").expect("UTF-8");
    let words: Vec<_> = told.split(' ').collect();
    decide(words[1], decision, words.last().expect("a code").trim_end_matches('.'));
    let rest: Vec<_> = lines.map(Result::unwrap).collect();
    (home, finish_login(login), rest.join("\n"))
}

fn finish_login(login: std::process::Child) -> i32 {
    login.wait_with_output().expect("it ends").status.code().expect("a status")
}

fn log_in_with_a_device(kind: Kind) {
    let Some(service) = RealService::start(kind, 900) else { return };
    let (home, status, messages) = log_in_by_code(&service, "allow");
    assert_eq!(status, 0, "{messages}");
    assert!(service.accepts(&home.token()));
}

#[test]
fn django_accepts_a_device_code() {
    log_in_with_a_device(Kind::Django);
}

#[test]
fn glewlwyd_accepts_a_device_code() {
    log_in_with_a_device(Kind::Glewlwyd);
}

/// The pages of Glewlwyd have no button for it.
#[test]
fn a_denial_at_django_is_reported() {
    let Some(service) = RealService::start(Kind::Django, 900) else { return };
    let (home, status, messages) = log_in_by_code(&service, "deny");
    assert_eq!((status, home.read(SESSION)), (4, None), "{messages}");
    assert!(messages.contains("the login to acme was denied"), "{messages}");
    let home = service.home("browser");
    home.write("decision", "deny");
    let outcome = home.run(&["login", "--browser"]);
    assert_eq!((outcome.status, home.read(SESSION)), (4, None), "{outcome:?}");
    assert!(outcome.messages.contains("acme rejected the login (access_denied)"), "{outcome:?}");
}

fn refresh_in_a_crowd(kind: Kind) {
    let Some(mut service) = RealService::start(kind, 900) else { return };
    let home = service.logged_in();
    let processes = number("MY_TEST_CROWD", 64);
    for round in 1..=2 {
        age(&home);
        let children: Vec<_> = (0..processes).map(|_| home.start(&RAW)).collect();
        let token = same_output(children);
        assert_eq!(service.refreshes(), (round, 0), "and none was rejected");
        assert!(service.accepts(token.trim_end()), "round {round}: still logged in");
    }
}

#[test]
fn sixty_four_processes_make_one_refresh_at_django() {
    refresh_in_a_crowd(Kind::Django);
}

#[test]
fn sixty_four_processes_make_one_refresh_at_glewlwyd() {
    refresh_in_a_crowd(Kind::Glewlwyd);
}

#[test]
fn sixty_four_processes_make_one_refresh_at_a_forge() {
    refresh_in_a_crowd(Kind::Forge);
}

fn poll(kind: Kind) {
    let Some(mut service) = RealService::start(kind, 3) else { return };
    let home = service.logged_in();
    let polls = number("MY_TEST_GETS", 60);
    for poll in 0..polls {
        let token = home.token();
        assert!(service.accepts(&token), "poll {poll}");
        std::thread::sleep(Duration::from_millis(if polls > 60 { 10 } else { 100 }));
    }
    let (renewed, rejected) = service.refreshes();
    assert!(renewed >= 2 && rejected == 0, "{renewed} {rejected}");
}

#[test]
fn no_poll_gets_a_token_that_django_rejects() {
    poll(Kind::Django);
}

#[test]
fn no_poll_gets_a_token_that_glewlwyd_rejects() {
    poll(Kind::Glewlwyd);
}

#[test]
fn no_poll_gets_a_token_that_a_forge_rejects() {
    poll(Kind::Forge);
}

fn end_a_session(kind: Kind) {
    let Some(mut service) = RealService::start(kind, 900) else { return };
    let home = service.logged_in();
    service.end_logins();
    age(&home);
    let lock = std::fs::File::create(home.path().join(".my/sessions/acme/default.lock")).unwrap();
    lock.lock_exclusive().unwrap();
    let waiting: Vec<_> = (0..8).map(|_| Waiting::start(&home)).collect();
    drop(lock);
    for process in waiting {
        let (status, messages) = process.end();
        let (expected, reasons, hint): (_, &[&str], _) = match kind {
            Kind::Django | Kind::Forge => (
                1,
                &["is no longer valid: invalid_grant", "was removed while another process"],
                "login`",
            ),
            // It does not say that the session has ended.
            Kind::Glewlwyd => (3, &["the service returned status 400"], "log in with `--force`"),
        };
        assert_eq!(status, Some(expected), "{messages}");
        assert!(reasons.iter().any(|reason| messages.contains(reason)), "{messages}");
        assert!(messages.contains(hint) && messages.contains("ACME_TOKEN (not set)"), "{messages}");
    }
    assert_eq!(service.refreshes(), (0, if kind == Kind::Glewlwyd { 8 } else { 1 }));
    let outcome = home.run(&["login", "--browser"]);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    assert!(service.accepts(&home.token()), "logged in again");
}

#[test]
fn every_process_reports_the_end_of_a_session_at_django() {
    end_a_session(Kind::Django);
}

#[test]
fn every_process_reports_the_end_of_a_session_at_glewlwyd() {
    end_a_session(Kind::Glewlwyd);
}

#[test]
fn every_process_reports_the_end_of_a_session_at_a_forge() {
    end_a_session(Kind::Forge);
}

fn use_client_credentials(kind: Kind) {
    let Some(service) = RealService::start(kind, 900) else { return };
    let mut home = service.home("client_id = \"ci\"\nclient_secret_variable = \"ROBOT\"");
    // A client has no OpenID Connect.
    let config = home.read(".config/my-credential-helper/config.toml").unwrap();
    home.configure(&config.replace("\"openid\", ", ""));
    let log_in = ["login", "--client-credentials"];
    let missing = home.run(&log_in);
    assert!(missing.status == 2 && missing.messages.contains("ROBOT is not set"), "{missing:?}");
    home.set("ROBOT", "wrong");
    let wrong = home.run(&log_in);
    assert_eq!(wrong.status, 4, "{wrong:?}");
    home.set("ROBOT", "hush");
    assert_eq!(home.run(&log_in).status, 0);
    let first = home.token();
    age(&home);
    assert!(home.token() != first, "it asks again");
    let who = home.run(&["whoami"]);
    assert!(who.status == 4 && who.messages.contains("logs in no person"), "{who:?}");
}

#[test]
fn django_issues_tokens_for_client_credentials() {
    use_client_credentials(Kind::Django);
}

#[test]
fn glewlwyd_issues_tokens_for_client_credentials() {
    use_client_credentials(Kind::Glewlwyd);
}

/// OpenBao issues no refresh token.
#[test]
fn a_login_at_openbao_lasts_as_long_as_its_token() {
    let Some(bao) = OpenBao::start() else { return };
    bao.write("sys/auth/userpass", &json!({ "type": "userpass" }));
    let policy = "path \"identity/oidc/provider/default/authorize\" { capabilities = [\"read\"] }";
    bao.write("sys/policies/acl/person", &json!({ "policy": policy }));
    let user = json!({ "password": "hunter22", "token_policies": ["person"] });
    bao.write("auth/userpass/users/ada", &user);
    let port = free_address().rsplit(':').next().unwrap().to_owned();
    let client = json!({
        "client_type": "public", "redirect_uris": [format!("http://127.0.0.1:{port}/callback")],
        "assignments": ["allow_all"], "key": "default", "access_token_ttl": "15m", "id_token_ttl": "15m",
    });
    bao.write("identity/oidc/key/default", &json!({ "allowed_client_ids": ["*"] }));
    bao.write("identity/oidc/client/helper", &client);
    let id = bao.read("root", "identity/oidc/client/helper")["data"]["client_id"].clone();
    let issuer = format!("{}/v1/identity/oidc/provider/default", bao.url);
    let mut home = Home::new();
    home.configure(&format!(
        "provider = \"acme\"\n[providers.acme]\nkind = \"oauth\"\nissuer = \"{issuer}\"\nclient_id = {id}\n\
         scopes = [\"openid\"]\nredirect_port = {port}\n"
    ));
    home.set("MY_NO_KEYRING", "1");

    let mut login = home.start(&["login", "--browser"]);
    let mut lines = BufReader::new(login.stderr.take().unwrap()).lines();
    let page = lines.nth(1).expect("a page").unwrap();
    let query = page.split_once('?').expect("a query").1;
    let person = bao.write("auth/userpass/login/ada", &json!({ "password": "hunter22" }));
    let person = person["auth"]["client_token"].as_str().expect("a token");
    let issued = bao.read(person, &format!("identity/oidc/provider/default/authorize?{query}"));
    let [code, state] = ["code", "state"].map(|name| issued[name].as_str().expect("a text"));
    let callback = ureq::get(format!("http://127.0.0.1:{port}/callback"));
    callback.query("code", code).query("state", state).call().expect("the page of the login");
    assert_eq!(finish_login(login), 0);

    let token = home.token();
    let userinfo = format!("{issuer}/userinfo");
    let request = ureq::get(&userinfo).header("Authorization", format!("Bearer {token}"));
    assert!(request.call().is_ok(), "the service accepts it");
    let id_token = home.run(&["get", "--format", "id-token"]);
    assert!(id_token.status == 0 && id_token.output.trim_end() != token, "{id_token:?}");
    age(&home);
    let outcome = home.run(&RAW);
    assert_eq!(outcome.status, 1, "{outcome:?}");
    for part in ["the token for acme expired at", "acme login`"] {
        assert!(outcome.messages.contains(part), "{outcome:?}");
    }
}
