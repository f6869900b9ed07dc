//! The logins of a machine, each at a real server. Kubernetes is a double: a server that reviews tokens.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use my_credential_helper::http::SharedFailure;
use serde_json::{Value, json};

use super::{Machine, addresses, message, policy, record, token_file, token_of};
use crate::support::openbao::OpenBao;
use crate::support::scripted::Scripted;
use crate::support::{Home, finish};

const POLICY: &str = "secret/data/my-credential-helper/*";

fn allow(bao: &OpenBao) {
    bao.write("sys/policies/acl/fleet", &policy(POLICY, &["create", "read", "update"]));
}

/// The files of the tokens of servers.
fn stored(machine: &Machine) -> Vec<Value> {
    let files = std::fs::read_dir(machine.home.path().join(".my/stores"));
    let files = files.into_iter().flatten().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|it| it == "json"));
    files
        .map(|path| {
            let mode = std::os::unix::fs::PermissionsExt::mode(
                &std::fs::metadata(&path).unwrap().permissions(),
            );
            assert_eq!(mode & 0o777, 0o600, "{}", path.display());
            serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
        })
        .collect()
}

/// How often the server issued a token: each login has an entry of its own, except that of a batch token.
fn logins(bao: &OpenBao) -> usize {
    let found = bao.read("root", "auth/token/accessors?list=true");
    found["data"]["keys"].as_array().map_or(0, Vec::len)
}

#[test]
fn a_token_file_is_read_for_configured_addresses() {
    let Some(bao) = OpenBao::start() else { return };
    allow(&bao);
    let token = token_of(&bao, &["fleet"]);
    let machine = Machine::new(&addresses(&[&bao.url]), &[]);
    let failure = machine.read().unwrap_err();
    assert!(
        message(&failure).ends_with("is missing or empty, and VAULT_TOKEN is not set"),
        "{failure}"
    );
    std::fs::write(token_file(machine.home.path()), format!("{token}\n")).unwrap();
    assert_eq!(machine.write(0, &record("1")), Ok(1), "the policy does not allow the metadata");
    let file = machine.home.write("tokens/bao", "hunter2-wrong");
    let settings = format!("{}token_file = {file:?}", addresses(&[&bao.url]));
    let other = Machine::new(&settings, &[]);
    let failure = other.read().unwrap_err();
    assert!(matches!(failure, SharedFailure::Denied(_)), "{failure:?}");
    message(&failure);
    let found = stored(&machine).remove(0);
    assert!(!found.to_string().contains(&token), "it is somebody else's: {found}");
}

#[test]
fn the_token_of_a_file_is_renewed_after_two_thirds() {
    let Some(bao) = OpenBao::start() else { return };
    allow(&bao);
    let made = json!({ "policies": ["fleet", "default"], "ttl": "1h", "renewable": true });
    let made = bao.write("auth/token/create", &made);
    let token = made["auth"]["client_token"].as_str().unwrap();
    let machine = Machine::new(&addresses(&[&bao.url]), &[]);
    std::fs::write(token_file(machine.home.path()), token).unwrap();
    let requests = |run: &dyn Fn()| {
        let before = bao.audit().len();
        run();
        let found = OpenBao::audited(&bao.audit().split_off(before)).into_iter();
        found.filter(|it| it.contains("auth/token/")).collect::<Vec<_>>()
    };
    let read = || assert_eq!(machine.read(), Ok((None, 0)));
    assert_eq!(requests(&read), ["read auth/token/lookup-self"]);
    assert_eq!(requests(&read), [""; 0]);
    let found = stored(&machine).remove(0);
    assert!((3590..=3600).contains(&found["lifetime"].as_u64().unwrap()), "{found}");
    assert!(!found.to_string().contains(token), "{found}");
    let path = std::fs::read_dir(machine.home.path().join(".my/stores")).unwrap();
    let mut path = path.map(|it| it.unwrap().path());
    let path = path.find(|it| it.extension().unwrap() == "json").unwrap();
    let mut older = found.clone();
    older["received_at"] = json!(found["received_at"].as_i64().unwrap() - 2500);
    std::fs::write(&path, older.to_string()).unwrap();
    assert_eq!(requests(&read), ["update auth/token/renew-self"]);
    assert_eq!(requests(&read), [""; 0]);
    let renewed = stored(&machine).remove(0);
    assert_eq!((&renewed["token"], &renewed["lifetime"]), (&found["token"], &json!(3600)));
    assert!(renewed["received_at"].as_i64() >= found["received_at"].as_i64());
}

fn app_role(bao: &OpenBao, role: &Value) -> String {
    bao.write("sys/auth/approle", &json!({ "type": "approle" }));
    bao.write("auth/approle/role/fleet", role);
    let id = bao.read("root", "auth/approle/role/fleet/role-id");
    id["data"]["role_id"].as_str().unwrap().to_owned()
}

#[test]
fn an_app_role_logs_in_once_and_its_token_is_cached() {
    let Some(bao) = OpenBao::start() else { return };
    allow(&bao);
    let role = json!({ "token_policies": ["fleet", "default"], "token_ttl": "1h" });
    let id = app_role(&bao, &role);
    let secret = bao.write("auth/approle/role/fleet/secret-id", &json!({}));
    let secret = secret["data"]["secret_id"].as_str().unwrap();
    let home = Home::new();
    let file = home.write("secret-id", &format!("{secret}\n"));
    let settings = format!(
        "{}auth = \"approle\"\nrole_id = \"{id}\"\nsecret_id_file = {file:?}",
        addresses(&[&bao.url])
    );
    let machine = Machine::at(home, &settings, &[("VAULT_TOKEN", "hunter2-unused")]);
    let before = logins(&bao);
    let processes: Vec<_> = (0..12).map(|_| machine.home.start(&["status"])).collect();
    for process in processes {
        let outcome = finish(process, b"");
        assert!(outcome.output.contains("as needed"), "{outcome:?}");
    }
    assert_eq!(logins(&bao), before + 1, "one of the processes logs in");
    for _ in 0..3 {
        assert_eq!(machine.read(), Ok((None, 0)));
    }
    assert_eq!(logins(&bao), before + 1);
    let cached = stored(&machine).remove(0);
    assert_eq!((&cached["lifetime"], &cached["renewable"]), (&json!(3600), &json!(true)));

    // Two thirds have passed: the token is renewed, and stays the same.
    let path = std::fs::read_dir(machine.home.path().join(".my/stores")).unwrap();
    let path = path.map(|it| it.unwrap().path()).find(|it| it.extension().unwrap() == "json");
    let path = path.unwrap();
    let change = |name: &str, value: Value| {
        let mut cached = stored(&machine).remove(0);
        cached[name] = value;
        std::fs::write(&path, cached.to_string()).unwrap();
    };
    change("received_at", json!(cached["received_at"].as_i64().unwrap() - 2500));
    assert_eq!(machine.read(), Ok((None, 0)));
    let renewed = stored(&machine).remove(0);
    assert_eq!(renewed["token"], cached["token"]);
    assert!(renewed["received_at"].as_i64().unwrap() >= cached["received_at"].as_i64().unwrap());

    // A token that the server no longer accepts is replaced.
    let token = cached["token"].as_str().unwrap();
    bao.write("auth/token/revoke", &json!({ "token": token }));
    assert_eq!(machine.read(), Ok((None, 0)));
    assert_ne!(stored(&machine).remove(0)["token"], cached["token"]);

    // While the token lives, a secret that is missing stops nobody; afterwards the failure has its reason.
    std::fs::remove_file(&file).unwrap();
    change("renewable", json!(false));
    change("received_at", json!(cached["received_at"].as_i64().unwrap() - 2500));
    assert_eq!(machine.read(), Ok((None, 0)));
    change("lifetime", json!(60));
    let failure = machine.read().unwrap_err();
    assert!(message(&failure).ends_with("secret-id is missing or empty"), "{failure}");
    std::fs::write(&file, "hunter2-wrong").unwrap();
    let failure = machine.read().unwrap_err();
    assert!(message(&failure).contains("with approle: invalid role or secret ID"), "{failure}");
}

#[test]
fn a_batch_token_is_replaced_by_a_login() {
    let Some(bao) = OpenBao::start() else { return };
    allow(&bao);
    let role = json!({ "token_policies": ["fleet"], "token_ttl": "1h", "token_type": "batch" });
    let id = app_role(&bao, &role);
    let secret = bao.write("auth/approle/role/fleet/secret-id", &json!({}));
    let secret = secret["data"]["secret_id"].as_str().unwrap();
    let settings = format!(
        "{}auth = \"approle\"\nrole_id = \"{id}\"\nsecret_id_variable = \"SECRET_ID\"",
        addresses(&[&bao.url])
    );
    let machine = Machine::new(&settings, &[("SECRET_ID", secret)]);
    assert_eq!(machine.read(), Ok((None, 0)));
    let mut cached = stored(&machine).remove(0);
    assert_eq!(cached["renewable"], json!(false));
    let token = cached["token"].clone();
    cached["received_at"] = json!(cached["received_at"].as_i64().unwrap() - 2500);
    let path = std::fs::read_dir(machine.home.path().join(".my/stores")).unwrap();
    let path = path.map(|it| it.unwrap().path()).find(|it| it.extension().unwrap() == "json");
    std::fs::write(path.unwrap(), cached.to_string()).unwrap();
    assert_eq!(machine.read(), Ok((None, 0)));
    assert_ne!(stored(&machine).remove(0)["token"], token);
}

#[test]
fn a_wrapped_secret_is_unwrapped_once() {
    let Some(bao) = OpenBao::start() else { return };
    allow(&bao);
    let role = json!({ "token_policies": ["fleet"], "token_ttl": "1h" });
    let id = app_role(&bao, &role);
    let wrapped = bao.wrap("auth/approle/role/fleet/secret-id");
    let settings = format!(
        "{}auth = \"approle\"\nrole_id = \"{id}\"\nsecret_id_variable = \"W\"\nsecret_id_wrapped = true",
        addresses(&[&bao.url])
    );
    let machine = Machine::new(&settings, &[("W", &wrapped)]);
    assert_eq!(machine.read(), Ok((None, 0)));
    // The token is lost; the secret is not.
    let mut cached = stored(&machine).remove(0);
    cached["token"] = json!("");
    let path = std::fs::read_dir(machine.home.path().join(".my/stores")).unwrap();
    let path = path.map(|it| it.unwrap().path()).find(|it| it.extension().unwrap() == "json");
    std::fs::write(path.unwrap(), cached.to_string()).unwrap();
    assert_eq!(machine.read(), Ok((None, 0)));
    // Another machine finds that it has been used.
    let other = Machine::new(&settings, &[("W", &wrapped)]);
    let failure = other.read().unwrap_err();
    assert!(matches!(failure, SharedFailure::Denied(_)), "{failure:?}");
    let text = message(&failure);
    assert!(text.contains("if this machine has not unwrapped it, somebody else has"), "{text}");
    assert!(!text.contains(&wrapped), "{text}");
}

#[test]
fn an_identity_token_logs_in() {
    let Some(bao) = OpenBao::start() else { return };
    allow(&bao);
    bao.accept_identities("", "https://bao.acme.dev");
    let role = json!({
        "role_type": "jwt", "bound_audiences": ["https://bao.acme.dev"], "user_claim": "sub",
        "token_policies": ["fleet"], "token_type": "batch", "token_ttl": "10m",
    });
    bao.write("auth/ci/role/fleet", &role);
    let identity = bao.issue_identities("https://bao.acme.dev");
    let base = format!(
        "{}auth = \"jwt\"\nauth_mount = \"ci\"\nauth_role = \"fleet\"\n",
        addresses(&[&bao.url])
    );
    let home = Home::new();
    let file = home.write("token.jwt", &identity());
    let by_file = Machine::at(home, &format!("{base}jwt_file = {file:?}"), &[]);
    assert_eq!(by_file.write(0, &record("1")), Ok(1));
    let identity = identity();
    let settings = format!(
        "{base}[stores.vault.identity]\nsource = \"gitlab\"\naudience = \"https://bao.acme.dev\"\nvariable = \"T\""
    );
    let by_source = Machine::new(&settings, &[("T", &identity)]);
    assert_eq!(by_source.read().map(|found| found.1), Ok(1));
    let settings = format!("{}jwt_variable = \"T\"", base.replace("fleet", "other"));
    let failure = Machine::new(&settings, &[("T", &identity)]).read().unwrap_err();
    assert!(message(&failure).contains("invalid subject (sub) claim"), "{failure}");
    assert!(!failure.to_string().contains(&identity[..30]), "{failure}");
}

/// A platform that issues identity tokens over the network: GitHub Actions, as a double.
#[test]
fn a_platform_issues_the_identity_token() {
    let Some(bao) = OpenBao::start() else { return };
    allow(&bao);
    bao.accept_identities("", "https://bao.acme.dev");
    let role = json!({
        "role_type": "jwt", "bound_audiences": ["https://bao.acme.dev"], "user_claim": "sub",
        "token_policies": ["fleet"], "token_ttl": "10m",
    });
    bao.write("auth/ci/role/fleet", &role);
    let identity = bao.issue_identities("https://bao.acme.dev")();
    let platform = Scripted::start(move |_, request| {
        assert!(request.path.ends_with("audience=https%3A%2F%2Fbao%2Eacme%2Edev"), "{request:?}");
        (200, String::new(), json!({ "value": identity }).to_string())
    });
    let settings = format!(
        "{}auth = \"jwt\"\nauth_mount = \"ci\"\nauth_role = \"fleet\"\n[stores.vault.identity]\n\
         source = \"github-actions\"\naudience = \"https://bao.acme.dev\"",
        addresses(&[&bao.url])
    );
    let url = format!("{}/token?v=1", platform.url);
    let variables = [
        ("ACTIONS_ID_TOKEN_REQUEST_URL", &*url),
        ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "hunter2-request"),
    ];
    assert_eq!(Machine::new(&settings, &variables).read(), Ok((None, 0)));
}

#[test]
fn a_service_account_logs_in_with_a_token_review() {
    let Some(bao) = OpenBao::start() else { return };
    allow(&bao);
    let account = "system:serviceaccount:ci:runner";
    let kubernetes = Scripted::start(move |_, request| {
        assert_eq!(request.path, "/apis/authentication.k8s.io/v1/tokenreviews");
        let review: Value = serde_json::from_str(&request.body).unwrap();
        let is_known = review["spec"]["token"].as_str().is_some_and(|it| !it.ends_with("d3Jvbmc"));
        let user =
            json!({ "username": account, "uid": "u-1", "groups": ["system:serviceaccounts"] });
        let review = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
            "status": { "authenticated": is_known, "user": user },
        });
        (201, String::new(), review.to_string())
    });
    bao.write("sys/auth/kubernetes", &json!({ "type": "kubernetes" }));
    let authority = rcgen::generate_simple_self_signed(vec!["kubernetes".to_owned()]).unwrap();
    let config = json!({
        "kubernetes_ca_cert": authority.cert.pem(), "kubernetes_host": kubernetes.url, "token_reviewer_jwt": "reviewer",
        "disable_local_ca_jwt": true, "disable_iss_validation": true,
    });
    bao.write("auth/kubernetes/config", &config);
    let role = json!({
        "bound_service_account_names": ["runner"], "bound_service_account_namespaces": ["ci"],
        "token_policies": ["fleet"], "token_ttl": "10m",
    });
    bao.write("auth/kubernetes/role/fleet", &role);
    let claims = json!({
        "iss": "kubernetes/serviceaccount", "sub": account, "exp": 4_000_000_000_u64, "nbf": 1, "iat": 1,
        "kubernetes.io": { "namespace": "ci", "serviceaccount": { "name": "runner", "uid": "u-1" } },
    });
    let part = |value: &Value| BASE64.encode(value.to_string());
    let header = part(&json!({ "alg": "RS256", "kid": "k" }));
    let token = |end: &str| format!("{header}.{}.{}", part(&claims), BASE64.encode(end));
    let home = Home::new();
    let file = home.write("serviceaccount/token", &token("right"));
    let settings = format!(
        "{}auth = \"kubernetes\"\nauth_role = \"fleet\"\njwt_file = {file:?}",
        addresses(&[&bao.url])
    );
    let machine = Machine::at(home, &settings, &[]);
    assert_eq!(machine.write(0, &record("1")), Ok(1));
    let home = Home::new();
    home.write("serviceaccount/token", &token("wrong"));
    let settings = settings.replace(
        &file.display().to_string(),
        &home.path().join("serviceaccount/token").display().to_string(),
    );
    let failure = Machine::at(home, &settings, &[]).read().unwrap_err();
    assert!(matches!(failure, SharedFailure::Denied(_)), "{failure:?}");
    assert!(!failure.to_string().contains(&token("wrong")), "{failure}");
}

#[test]
fn a_client_certificate_logs_in_over_tls() {
    let Some(bao) = OpenBao::start_with_tls() else { return };
    allow(&bao);
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(vec!["runner.acme.dev".to_owned()]).unwrap();
    bao.write("sys/auth/cert", &json!({ "type": "cert" }));
    let role =
        json!({ "certificate": cert.pem(), "token_policies": ["fleet"], "token_ttl": "10m" });
    bao.write("auth/cert/certs/runner", &role);
    let home = Home::new();
    let certificate = home.write("tls/runner.crt", &cert.pem());
    let key = home.write("tls/runner.key", &signing_key.serialize_pem());
    let (url, authority) = bao.tls.clone().unwrap();
    let base = format!(
        "{}auth = \"cert\"\ncert_file = {certificate:?}\nkey_file = {key:?}\n",
        addresses(&[url])
    );
    let settings = format!("{base}ca_file = {authority:?}");
    let machine = Machine::at(home, &settings, &[("VAULT_SKIP_VERIFY", "true")]);
    assert_eq!(machine.write(0, &record("1")), Ok(1));
    assert_eq!(machine.read().map(|found| found.1), Ok(1));

    // Without the authority of the server, there is no connection, whatever the environment says.
    let variables = [("VAULT_SKIP_VERIFY", "true"), ("BAO_SKIP_VERIFY", "true")];
    let stranger = Machine::new(&base, &variables);
    let failure =
        stranger.within(Duration::from_secs(5), |it| it.read(super::REFRESH)).unwrap_err();
    assert!(matches!(failure, SharedFailure::Unavailable(_)), "{failure:?}");
    assert!(message(&failure).contains("UnknownIssuer"), "{failure}");
    let wrong = settings.replace("runner.key", "runner.crt");
    let failure = Machine::at(Home::new(), &wrong, &[]).read().unwrap_err();
    let reason = "runner.crt for TLS: it has no unencrypted private key (PEM)";
    assert!(message(&failure).contains(reason), "{failure}");
}
