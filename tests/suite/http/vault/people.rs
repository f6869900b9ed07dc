//! What people see of the store: `setup vault`, `status`, `doctor`, and the messages about wrong settings.

use my_credential_helper::http::SharedFailure;
use my_credential_helper::model::SharedPart;
use serde_json::json;

use super::{Machine, PROVIDER, addresses, policy, record, token_of};
use crate::support::openbao::OpenBao;
use crate::support::ports::free_address;
use crate::support::scripted::Scripted;
use crate::support::{Home, service};

/// A home with these settings, whose variables the program gets, too.
fn home(settings: &str, variables: &[(&str, &str)]) -> Home {
    let mut home = Home::new();
    home.configure(&format!("{PROVIDER}[stores.vault]\n{settings}"));
    for (name, value) in variables {
        home.set(name, *value);
    }
    home
}

#[test]
fn the_printed_policies_are_enough_and_no_more() {
    let Some(bao) = OpenBao::start() else { return };
    let base = addresses(&[&bao.url]);
    let before = home(&base, &[]);
    let snapshot = before.snapshot();
    let outcome = before.run(&["--json", "setup", "vault"]);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    assert_eq!(before.snapshot(), snapshot, "it only prints");
    let printed = outcome.json();
    for name in ["reader", "refresher"] {
        let policy = printed["policies"][name].as_str().unwrap();
        bao.write(&format!("sys/policies/acl/{name}"), &json!({ "policy": policy }));
    }
    let [reader, refresher] = ["reader", "refresher"].map(|name| {
        let body = json!({ "policies": [name], "ttl": "1h", "no_default_policy": true });
        let made = bao.write("auth/token/create", &body);
        made["auth"]["client_token"].as_str().unwrap().to_owned()
    });
    let machine = |role: &str, token: &str| {
        Machine::new(&format!("{base}role = \"{role}\""), &[("VAULT_TOKEN", token)])
    };
    let (refreshes, reads) = (machine("refresher", &refresher), machine("reader", &reader));
    refreshes.run(|store| {
        for part in [SharedPart::Refresh, SharedPart::Access] {
            assert_eq!(store.compare_and_set(part, 0, &record("1")), Ok(1));
            assert_eq!(store.compare_and_set(part, 1, &record("2")), Ok(2));
        }
    });
    reads.run(|store| {
        assert_eq!(store.read(SharedPart::Access).map(|it| it.version), Ok(2));
        for failure in [
            store.read(SharedPart::Refresh).map(drop),
            store.compare_and_set(SharedPart::Access, 2, &record("3")).map(drop),
            store.compare_and_set(SharedPart::Refresh, 2, &record("3")).map(drop),
        ] {
            assert!(matches!(failure, Err(SharedFailure::Denied(_))), "{failure:?}");
        }
    });
    // Each policy is the right one for its role, by the check of `doctor` itself.
    for (role, token) in [("refresher", &refresher), ("reader", &reader)] {
        let home = home(&format!("{base}role = \"{role}\""), &[("VAULT_TOKEN", token)]);
        let status = home.run(&["--json", "status"]).json();
        assert_eq!(status["vault"]["policy"], "as needed", "{status}");
        assert_eq!(
            (&status["shared"]["role"], &status["shared"]["version"]),
            (&json!(role), &json!(2))
        );
    }
    // The text for people has the same lines.
    let text = before.run(&["setup", "vault"]).output;
    for line in printed["policies"]["reader"].as_str().unwrap().lines() {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert!(text.contains("bao secrets enable -path=secret -version=2 kv"), "{text}");
}

#[test]
fn setup_names_the_login_of_the_configuration() {
    let more = "addresses = [\"https://bao.acme.dev\"]\npath = \"team/fleet\"\n";
    for (auth, commands) in [
        (
            "auth = \"approle\"\nrole_id = \"r\"\nsecret_id_file = \"/s\"",
            &[
                "bao auth enable -path=approle approle",
                "bao write -wrap-ttl=10m -f auth/approle/role/",
            ][..],
        ),
        (
            "auth = \"kubernetes\"\nauth_role = \"ci\"\njwt_file = \"/t\"\nauth_mount = \"k8s\"",
            &[
                "bao auth enable -path=k8s kubernetes",
                "bao write auth/k8s/role/ci token_policies=team-fleet-",
            ],
        ),
        (
            "auth = \"jwt\"\nauth_role = \"ci\"\njwt_file = \"/t\"",
            &["bao auth enable -path=jwt jwt", "bound_audiences=AUDIENCE"],
        ),
        (
            "auth = \"cert\"\ncert_file = \"/c\"\nkey_file = \"/k\"",
            &["bao auth enable -path=cert cert", "bao write auth/cert/certs/runner "],
        ),
    ] {
        let outcome = home(&format!("{more}{auth}"), &[]).run(&["setup", "vault"]);
        for command in commands {
            assert!(outcome.output.contains(command), "{command}: {outcome:?}");
        }
        assert!(outcome.output.contains("path \"secret/data/team/fleet/access/*\""), "{outcome:?}");
    }
}

#[test]
fn doctor_names_a_wrong_policy_and_a_wrong_record() {
    let Some(bao) = OpenBao::start() else { return };
    let base = addresses(&[&bao.url]);
    let doctor = |settings: &str, token: &str| {
        let home = home(&format!("{base}{settings}"), &[("VAULT_TOKEN", token)]);
        let findings = home.run(&["--json", "doctor"]).json()["findings"].clone();
        let findings = findings.as_array().unwrap().iter().filter(|it| it["check"] == "vault");
        findings.cloned().collect::<Vec<_>>()
    };
    let fine = doctor("role = \"refresher\"", "root");
    assert_eq!((fine.len(), &fine[0]["level"]), (1, &json!("fine")), "{fine:?}");
    assert!(fine[0]["message"].as_str().unwrap().ends_with(": no entry"), "{fine:?}");

    let read = policy("secret/data/my-credential-helper/*", &["read"]);
    bao.write("sys/policies/acl/read", &read);
    let token = token_of(&bao, &["read"]);
    let found = doctor("role = \"refresher\"", &token);
    let fix = "add `path \"secret/data/my-credential-helper/refresh/*\" { capabilities = [\"create\", \"read\", \"update\"] }` to the policy";
    assert_eq!(
        (&found[0]["level"], &found[0]["fix"]),
        (&json!("problem"), &json!(fix)),
        "{found:?}"
    );
    let found = doctor("role = \"reader\"", &token);
    let message = "the policy allows this reader to read the refresh token";
    assert_eq!((&found[0]["level"], &found[0]["message"]), (&json!("problem"), &json!(message)));

    // Somebody created the record by hand.
    let path = "my-credential-helper/refresh/acme/default";
    bao.write(
        &format!("secret/data/{path}"),
        &json!({ "data": { "format": "1", "state": "logged_out", "login_id": "x" } }),
    );
    let found = doctor("role = \"refresher\"", "root");
    let message = found[0]["message"].as_str().unwrap();
    assert!(message.contains("has max_versions = 0 and cas_required = false"), "{found:?}");
    let fix = format!(
        "run `bao kv metadata put -mount=secret -max-versions=1 -cas-required=true {path}`"
    );
    assert_eq!(found[0]["fix"], fix);
    let arguments =
        ["kv", "metadata", "put", "-mount=secret", "-max-versions=1", "-cas-required=true", path];
    let repaired = std::process::Command::new("bao")
        .args(arguments)
        .env("BAO_ADDR", &bao.url)
        .env("BAO_TOKEN", "root")
        .output()
        .unwrap();
    assert!(repaired.status.success(), "{repaired:?}");
    let found = doctor("role = \"refresher\"", "root");
    assert_eq!((found.len(), &found[0]["level"]), (1, &json!("fine")), "{found:?}");
    let message = found[0]["message"].as_str().unwrap();
    assert!(message.ends_with(": logged out (version 1)"), "{found:?}");

    let found = doctor("", "hunter2-unknown");
    assert_eq!(found[0]["level"], "problem", "{found:?}");
    assert!(!format!("{found:?}").contains("hunter2"), "{found:?}");
}

#[test]
fn wrong_settings_of_a_store_stop_every_command() {
    for (settings, reason) in [
        ("addresses = [\"http://bao.acme.dev\"]", "plain http is allowed only for loopback"),
        (
            "addresses = [\"https://bao.acme.dev\"]\nca_file = \"ca.pem\"",
            "has a relative path: ca_file = ",
        ),
        ("auth = \"cert\"\ncert_file = \"c\"", "has a relative path: cert_file = "),
        ("token_file = \"../token\"", "has a relative path: token_file = "),
    ] {
        for command in [&["get"][..], &["status"]] {
            let outcome = home(settings, &[]).run(command);
            assert_eq!(outcome.status, 2, "{settings}: {outcome:?}");
            assert!(outcome.messages.contains(reason), "{settings}: {outcome:?}");
        }
    }
}

/// Every request of `status` and `doctor` at a server that repeats it, with the debug log.
#[test]
fn no_secret_of_the_store_is_printed_or_logged() {
    for status in [200, 400, 403, 404] {
        let echo = Scripted::start(move |_, request| {
            let text = format!("{} {} {}", request.path, request.head, request.body);
            (status, String::new(), json!({ "errors": [text] }).to_string())
        });
        let own = Home::new();
        let file = own.write("secret-id", "hunter2-secret-id");
        let app_role = format!("auth = \"approle\"\nrole_id = \"r\"\nsecret_id_file = {file:?}\n");
        for login in ["", &app_role, &format!("{app_role}secret_id_wrapped = true")] {
            let settings = format!("{}{login}", addresses(&[&echo.url]));
            let variables = [("VAULT_TOKEN", "hunter2-token"), ("MY_LOG", "debug")];
            let home = home(&settings, &variables);
            for command in [&["status"][..], &["--json", "status"]] {
                let outcome = home.run(command);
                let text = format!("{}{}", outcome.output, outcome.messages);
                assert!(!text.contains("hunter2"), "{status} {login} {command:?}: {text}");
            }
        }
        assert!(echo.requests().len() > 5, "{status}");
    }
}

#[test]
fn status_reads_the_record_once_and_names_a_failure_once() {
    let record = "/v1/secret/data/my-credential-helper/refresh/acme/default";
    for role in ["", "role = \"reader\"\n"] {
        let part = if role.is_empty() { "refresh" } else { "access" };
        let record = record.replace("/refresh/", &format!("/{part}/"));
        let store =
            Scripted::start(|_, _| (404, String::new(), json!({ "errors": [] }).to_string()));
        let home = home(
            &format!("{}{role}", addresses(&[&store.url])),
            &[("VAULT_TOKEN", "hunter2"), ("MY_NO_KEYRING", "1")],
        );
        let outcome = home.run(&["status"]);
        assert_eq!(outcome.status, 0, "{outcome:?}");
        let requests = store.requests();
        let reads = requests.iter().filter(|it| it.method == "GET" && it.path.starts_with(&record));
        let paths: Vec<_> =
            requests.iter().map(|it| format!("{} {}", it.method, it.path)).collect();
        assert_eq!(reads.count(), 1, "{role}: {paths:?}");
    }
    let home = home(&addresses(&["http://127.0.0.1:1"]), &[("VAULT_TOKEN", "hunter2")]);
    for words in [&["get"][..], &["status"], &["doctor"], &["status", "--json"]] {
        let outcome = home.run(words);
        let text = format!("{}{}", outcome.output, outcome.messages);
        for line in text.lines().filter(|line| line.contains("127.0.0.1:1")) {
            let reasons =
                line.matches("cannot connect").count().max(line.matches("refused").count());
            assert!(reasons <= 1, "{words:?}: {line}");
        }
        assert!(text.contains("127.0.0.1:1"), "{words:?}: {text}");
    }
}

/// The whole way, with the program: a person logs in on one machine, and another one uses the session.
#[test]
fn one_login_serves_another_machine() {
    let Some(bao) = OpenBao::start() else { return };
    let server = service();
    let machine = |settings: &str| {
        let mut home = Home::at(&server);
        home.configure(&format!("{settings}[stores.vault]\n{}", addresses(&[&bao.url])));
        home.set("BAO_TOKEN", "root");
        home
    };
    let first = machine("");
    let before = bao.audit().len();
    let outcome = first.log_in(&server, "me@acme.dev", &["--store", "vault"]);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    let record = "my-credential-helper/refresh/mycli/default";
    let mut requests = OpenBao::audited(&bao.audit()[before..]);
    requests.retain(|request| !request.starts_with("read "));
    let expected = ["create secret/metadata", "update secret/data"];
    assert_eq!(requests, expected.map(|request| format!("{request}/{record}")));
    assert!(outcome.messages.contains("set store = vault in [providers.mycli]"), "{outcome:?}");
    let stored = bao.read("root", "secret/data/my-credential-helper/refresh/mycli/default");
    assert!(stored["data"]["data"]["refresh_token"].is_string(), "{stored}");
    let token = first.token();
    let second = machine("store = \"vault\"\n");
    assert_eq!(second.token(), token);
    for home in [&first, &second] {
        assert_eq!(home.read(".my/credentials.json"), None);
        let status = home.run(&["--json", "status"]).json();
        assert_eq!((&status["logged_in"], &status["source"]), (&json!(true), &json!("vault")));
    }
    let outcome = first.run(&["login", "--store", "file"]);
    assert_eq!(outcome.status, 2, "{outcome:?}");
    assert!(outcome.messages.contains("config.toml stores the sessions of mycli in vault"));
    assert_eq!(first.run(&["logout"]).status, 0);
    let stored = bao.read("root", "secret/data/my-credential-helper/refresh/mycli/default");
    assert_eq!(stored["data"]["data"]["state"], "logged_out", "{stored}");
    let outcome = machine("store = \"vault\"\n").run(&["get"]);
    assert_eq!(outcome.status, 1, "{outcome:?}");
}

#[test]
fn a_store_that_cannot_be_read_is_not_a_missing_login() {
    let mut home = Home::new();
    let nowhere = format!("http://{}", free_address());
    home.configure(&format!("store = \"vault\"\n[stores.vault]\n{}", addresses(&[&nowhere])));
    home.set("BAO_TOKEN", "root");
    let outcome = home.run(&["account", "list"]);
    assert!(outcome.output.contains("no server is available"), "{outcome:?}");
    let listed = home.run(&["--json", "account", "list"]).json();
    assert_eq!(listed["accounts"][0]["logged_in"], false, "{listed}");
}

#[test]
fn one_account_is_in_vault_and_another_on_this_machine() {
    let (Some(bao), server) = (OpenBao::start(), service()) else { return };
    let mut home = Home::at(&server);
    home.configure(&format!("[stores.vault]\n{}", addresses(&[&bao.url])));
    home.set("BAO_TOKEN", "root");
    home.set("MY_NO_KEYRING", "1");
    assert_eq!(home.log_in(&server, "me@acme.dev", &[]).status, 0);
    let ci = ["--account", "ci", "--store", "vault"];
    let outcome = home.log_in(&server, "ci@acme.dev", &ci);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    assert!(outcome.messages.contains("added ci to vault_accounts"), "{outcome:?}");
    let token = |account: &str| {
        let outcome = home.run(&["get", "--format", "raw", "--account", account]);
        assert_eq!(outcome.status, 0, "{outcome:?}");
        outcome.output.trim_end().to_owned()
    };
    let path = |account: &str| format!("secret/data/my-credential-helper/refresh/mycli/{account}");
    let stored = bao.read("root", &path("ci"))["data"]["data"]["access_token"].clone();
    assert_eq!(json!(token("ci")), stored);
    assert_ne!(json!(token("default")), stored);
    let url = format!("{}/v1/{}", bao.url, path("default"));
    assert!(ureq::get(url).header("X-Vault-Token", "root").call().is_err(), "404");
    // Elsewhere, no call would find the session.
    let line = ["login", "--email", "ci@acme.dev", "--account", "ci", "--store", "file", "--force"];
    let outcome = home.run(&line);
    assert_eq!(outcome.status, 2, "{outcome:?}");
    assert!(outcome.messages.contains("`vault_accounts` in [providers.mycli]"), "{outcome:?}");
}

/// A session of before the shared store, with its refresh token.
#[test]
fn a_shared_login_and_a_logout_leave_no_session_here() {
    let Some(bao) = OpenBao::start() else { return };
    let server = service();
    let own = |home: &Home| home.read(".my/credentials.json");
    let machine = |store: &str| {
        let mut home = Home::at(&server);
        home.set("BAO_TOKEN", "root");
        let vault = format!("[stores.vault]\n{}", addresses(&[&bao.url]));
        home.configure(&vault);
        assert_eq!(home.log_in(&server, "me@acme.dev", &[]).status, 0);
        assert!(own(&home).is_some());
        home.configure(&format!("{store}{vault}"));
        home
    };
    let home = machine("");
    let outcome = home.log_in(&server, "me@acme.dev", &["--store", "vault", "--force"]);
    assert_eq!((outcome.status, own(&home)), (0, None), "{outcome:?}");
    let home = machine("store = \"vault\"\n");
    let refresh_token = own(&home).unwrap();
    let refresh_token: serde_json::Value = serde_json::from_str(&refresh_token).unwrap();
    let outcome = home.run(&["logout"]);
    assert_eq!((outcome.status, own(&home)), (0, None), "{outcome:?}");
    let token = refresh_token["refresh_token"].as_str().unwrap();
    assert_eq!(crate::support::http::redeem(&server, token).0, 401, "it is revoked");
}
