//! The exec plugin with the real kubectl, against a real API server that checks the ID tokens of npm's `oidc-provider`.

use std::io::{BufRead as _, BufReader};
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::support::kube::{Kube, wait};
use crate::support::oidc::SESSION;
use crate::support::{Home, Outcome, finish, rfc3339, spawn};

const LIST: [&str; 3] = ["kubectl", "get", "namespaces"];

/// Logs in as `ada`; with an audience, the access token is a JWT for it.
fn log_in(kube: &Kube, home: &Home, audience: &str) {
    let mut login = home.start(&["login", "--browser", "--force"]);
    let mut lines = BufReader::new(login.stderr.take().expect("a pipe")).lines();
    let page = lines.find_map(|line| line.ok().filter(|line| line.starts_with("http")));
    let page = url::Url::parse(&page.expect("a page")).expect("a URL");
    let parameter =
        |name| page.query_pairs().find(|(found, _)| found == name).expect(name).1.into_owned();
    let more = if audience.is_empty() { String::new() } else { format!("&audience={audience}") };
    let code = kube.service.code(&format!("{}{more}", page.query().expect("a query")));
    let callback = ureq::get(parameter("redirect_uri"));
    let callback = callback.query("code", code).query("state", parameter("state"));
    callback.query("iss", &kube.service.issuer).call().expect("the page of the login");
    let rest: Vec<_> = lines.map_while(Result::ok).collect();
    assert!(login.wait().expect("it ends").success(), "{rest:?}");
}

/// A home that is logged in and set up.
fn set_up(kube: &Kube) -> Home {
    let mut home = kube.home("");
    log_in(kube, &home, "");
    home.set_up("kubectl", &kube.address);
    home
}

fn stored(home: &Home) -> Value {
    serde_json::from_str(&home.read(SESSION).expect("a session")).expect("JSON")
}

fn change(home: &Home, fields: &[&str], value: &str) {
    let mut session = stored(home);
    for field in fields {
        assert!(session[field].is_string(), "{field}");
        session[field] = value.into();
    }
    home.write(SESSION, &session.to_string());
}

const EXPIRIES: [&str; 2] = ["expires_at", "id_token_expires_at"];
const RECEIVED: [&str; 2] = ["logged_in_at", "last_refreshed_at"];

/// Moves every time of the session into the past.
fn age(home: &Home) {
    change(home, &[EXPIRIES, RECEIVED].concat(), "2020-01-01T00:00:00Z");
}

fn list(home: &Home) -> Outcome {
    home.run_client(&LIST)
}

fn assert_accepted(outcome: &Outcome) {
    let result = (outcome.status, &*outcome.messages, outcome.output.contains("kube-system"));
    assert_eq!(result, (0, "", true), "{outcome:?}");
}

fn assert_unauthorized(outcome: &Outcome) {
    assert!(outcome.status != 0 && outcome.messages.contains("Unauthorized"), "{outcome:?}");
}

#[test]
fn a_real_api_server_accepts_what_kubectl_sends() {
    let Some(kube) = Kube::start() else { return };
    only_the_id_token_is_accepted(&kube);
    an_expired_session_is_refreshed_once(&kube);
    a_token_of_replaced_keys_is_refreshed_once(&kube);
    an_expired_id_token_is_not_sent(&kube);
}

fn only_the_id_token_is_accepted(kube: &Kube) {
    let home = set_up(kube);
    // It has asked the service for the keys.
    wait("the login", || list(&home).status == 0);
    let version = home.run_client(&["kubectl", "get", "--raw", "/version"]);
    assert!(version.status == 0 && version.json()["gitVersion"].is_string(), "{version:?}");
    assert_accepted(&list(&home));
    let refused = home.run_client(&["kubectl", "create", "namespace", "other"]);
    assert!(refused.messages.contains(r#"User "oidc:ada" cannot create"#), "{refused:?}");

    let configuration = home.read(".config/my-credential-helper/config.toml").expect("a file");
    home.configure(&format!("{configuration}kubernetes_token = \"access\"\n"));
    assert_unauthorized(&list(&home));
    log_in(kube, &home, "account");
    assert_unauthorized(&list(&home));
    // The audience is the reason: the access token of a client that is its own audience.
    log_in(kube, &home, "helper");
    assert_accepted(&list(&home));
    home.configure(&configuration);
    log_in(kube, &home, "account");
    assert_accepted(&list(&home));
}

fn an_expired_session_is_refreshed_once(kube: &Kube) {
    let home = set_up(kube);
    assert_accepted(&list(&home));
    age(&home);
    kube.service.clear_journal();
    let start = || {
        let mut command = home.command(LIST[0]);
        command.args(&LIST[1..]);
        spawn(command)
    };
    let children: Vec<_> = (0..32).map(|_| start()).collect();
    for child in children {
        assert_accepted(&finish(child, b""));
    }
    let counts = ["token request", "grant.revoked"].map(|event| kube.service.count(event));
    assert_eq!(counts, [1, 0]);
}

fn a_token_of_replaced_keys_is_refreshed_once(kube: &Kube) {
    let home = set_up(kube);
    assert_accepted(&list(&home));
    kube.service.rotate_keys();
    let other = set_up(kube);
    // The server fetches the keys again for a token with a new one, and then refuses the others.
    wait("the new keys", || list(&other).status == 0);
    let token = home.run(&["get", "--format", "id-token"]).output;
    // A token that is a minute old is not doubted.
    change(&home, &RECEIVED, &rfc3339(SystemTime::now() - Duration::from_secs(300)));
    kube.service.clear_journal();
    wait("the refusal", || {
        let outcome = list(&home);
        let is_refused = outcome.status != 0;
        if is_refused {
            assert_unauthorized(&outcome);
        }
        is_refused
    });
    assert_eq!(kube.service.count("token request"), 1, "the same kubectl has asked again");
    assert_ne!(home.run(&["get", "--format", "id-token"]).output, token);
    assert_accepted(&list(&home));
    assert_eq!(kube.service.count("token request"), 1);
}

fn an_expired_id_token_is_not_sent(kube: &Kube) {
    kube.service.set_lifetime(8);
    let home = set_up(kube);
    kube.service.withhold_id_token();
    assert_accepted(&list(&home));
    let first = home.token();
    wait("the expiry", || list(&home).status != 0);
    let outcome = list(&home);
    let message = "the ID token of acme has expired, and a refresh brings no new one";
    assert!(outcome.messages.contains(message), "{outcome:?}");
    kube.service.clear_journal();
    assert_ne!(list(&home).status, 0);
    let outcome = home.run(&["kubectl"]);
    assert_eq!((outcome.status, &*outcome.output), (1, ""), "{outcome:?}");
    assert_eq!(kube.service.count("token request"), 0, "no refresh can help");
    // The access token is that of a refresh.
    let next = home.token();
    assert!(next != first && kube.service.is_active(&next));
    log_in(kube, &home, "");
    assert_accepted(&list(&home));
}
