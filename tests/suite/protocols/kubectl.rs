//! The exec plugin with the real kubectl, against an API server that rejects requests without a token of the service.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Child;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::tls::{Request, TlsServer};
use crate::support::{HELPER, Home, Outcome, check_integration, has_client, service, spawn};

/// An API server that accepts these tokens.
fn api_server(tokens: &Arc<Mutex<Vec<String>>>) -> TlsServer {
    let tokens = tokens.clone();
    TlsServer::start(move |request: &Request| {
        let shown = request.header("authorization");
        if !tokens.lock().unwrap().iter().any(|token| shown == format!("Bearer {token}")) {
            let status = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Unauthorized" });
            return (401, status.to_string().into_bytes());
        }
        let body = match request.path.split('?').next().unwrap_or_default() {
            "/api" => json!({ "kind": "APIVersions", "versions": ["v1"] }),
            "/apis" => json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": [] }),
            "/api/v1" => json!({ "kind": "APIResourceList", "groupVersion": "v1", "resources": [
                { "name": "pods", "singularName": "", "namespaced": true, "kind": "Pod", "verbs": ["get", "list"] }
            ] }),
            "/version" => json!({ "major": "1", "minor": "32", "gitVersion": "v1.32.0" }),
            _ => json!({ "kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": [] }),
        };
        (200, body.to_string().into_bytes())
    })
}

/// The configuration of the README, for this server.
fn configure(home: &mut Home, server: &TlsServer, change: impl Fn(String) -> String) {
    home.link("my-credential-helper");
    let authority = home.write("ca.pem", &server.certificate);
    let cluster =
        format!("https://{}\n      certificate-authority: {}", server.address, authority.display());
    let text = include_str!("../../../integrations/kubectl/kubeconfig")
        .replace("https://k8s.mycli.sh:6443", &cluster);
    home.set("KUBECONFIG", home.write(".kube/config", &change(text)));
    let text = format!("[providers.mycli]\nhosts = [\"{}\"]\n", server.address);
    home.write(".config/my-credential-helper/config.toml", &text);
}

fn version(home: &Home) -> Outcome {
    home.run_client(&["kubectl", "get", "--raw", "/version"])
}

#[test]
fn kubectl_uses_both_api_versions_and_refreshes_the_session() {
    if !has_client("kubectl") {
        return;
    }
    let service = service();
    for version_of_the_plugin in ["v1", "v1beta1"] {
        let (mut home, session) = Home::logged_in(&service);
        let tokens = Arc::new(Mutex::new(vec![session.access_token.clone()]));
        let server = api_server(&tokens);
        configure(&mut home, &server, |text| {
            text.replace("k8s.io/v1", &format!("k8s.io/{version_of_the_plugin}"))
        });
        let outcome = version(&home);
        assert_eq!(outcome.status, 0, "{outcome:?}");
        assert_eq!(outcome.json()["gitVersion"], "v1.32.0");
        assert_eq!(outcome.messages, "");

        home.write_session(&session, Duration::ZERO, Duration::from_secs(3600));
        let outcome = version(&home);
        assert_ne!(outcome.status, 0, "another token is shown: {outcome:?}");
        let renewed = home.session().unwrap()["access_token"].as_str().unwrap().to_owned();
        assert_ne!(renewed, session.access_token);
        tokens.lock().unwrap().push(renewed);
        assert_eq!(version(&home).status, 0);
    }
}

#[test]
fn a_rejected_token_is_refreshed_when_kubectl_retries() {
    if !has_client("kubectl") {
        return;
    }
    let service = service();
    let (mut home, session) = Home::logged_in(&service);
    // Received five minutes ago: a token that is a minute old is not doubted.
    home.write_session(&session, Duration::from_secs(600), Duration::from_secs(300));
    let tokens = Arc::new(Mutex::new(Vec::new()));
    let server = api_server(&tokens);
    configure(&mut home, &server, |text| text);
    let outcome = home.run_client(&["kubectl", "get", "pods"]);
    assert_ne!(outcome.status, 0, "every token is refused: {outcome:?}");
    assert_eq!(service.refresh_requests(), 1);
    let shown: Vec<_> = server
        .seen()
        .iter()
        .map(|(request, _)| request.header("authorization").to_owned())
        .collect();
    let renewed = home.session().unwrap()["access_token"].as_str().unwrap().to_owned();
    assert!(shown.contains(&format!("Bearer {}", session.access_token)), "the old one was refused");
    assert!(
        shown.contains(&format!("Bearer {renewed}")),
        "and the same kubectl went on with the new one"
    );

    tokens.lock().unwrap().push(renewed);
    let outcome = home.run_client(&["kubectl", "get", "pods"]);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    assert_eq!(service.refresh_requests(), 1, "another process is no second question");
}

/// Clients that run for a long time: k9s, providers of Terraform.
#[test]
fn a_rejection_is_detected_while_other_clients_ask() {
    let service = service();
    let (home, session) = Home::logged_in(&service);
    home.write_session(&session, Duration::from_secs(600), Duration::from_secs(300));
    home.set_hosts(&["k8s.acme.dev:6443"]);
    let info = json!({
        "apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
        "spec": { "cluster": { "server": "https://k8s.acme.dev:6443" }, "interactive": false },
    });
    // Each asks when it is told to.
    let script = format!("while read -r _; do '{HELPER}' kubectl </dev/null; done");
    let mut clients: Vec<_> = (0..16)
        .map(|_| {
            let mut command = home.command("sh");
            command.args(["-c", &script]).env("KUBERNETES_EXEC_INFO", info.to_string());
            let mut client = spawn(command);
            let answers = BufReader::new(client.stdout.take().expect("a pipe"));
            (client, answers)
        })
        .collect();
    let mut ask = |index: usize| {
        let (client, answers): &mut (Child, BufReader<_>) = &mut clients[index];
        writeln!(client.stdin.as_mut().expect("a pipe")).expect("it runs");
        let mut line = String::new();
        answers.read_line(&mut line).expect("a line");
        let answer: Value = serde_json::from_str(&line).expect("JSON");
        answer["status"]["token"].as_str().expect("a token").to_owned()
    };
    for index in 0..16 {
        assert_eq!(ask(index), session.access_token);
    }
    let renewed = ask(0);
    assert_ne!(renewed, session.access_token, "the second request of this process");
    for index in 1..16 {
        assert_eq!(ask(index), renewed);
    }
    assert_eq!(service.refresh_requests(), 1);
}

#[test]
fn no_other_cluster_is_given_the_token() {
    if !has_client("kubectl") {
        return;
    }
    let service = service();
    let (mut home, session) = Home::logged_in(&service);
    let server = api_server(&Arc::new(Mutex::new(vec![session.access_token.clone()])));
    configure(&mut home, &server, |text| text);
    home.write(
        ".config/my-credential-helper/config.toml",
        "[providers.mycli]\nhosts = [\"k8s.acme.dev:6443\"]\n",
    );
    let outcome = version(&home);
    assert_ne!(outcome.status, 0);
    assert!(outcome.messages.contains("no credential for https://127.0.0.1:"), "{outcome:?}");
    assert!(server.seen().is_empty(), "nothing was sent at all");

    // A token that somebody stored for exactly this cluster.
    let request =
        json!({ "url": format!("https://{}", server.address), "secret": session.access_token });
    assert_eq!(home.run_with(&["store"], request.to_string()).status, 0);
    home.write(".my/credentials.json", "{}");
    let outcome = version(&home);
    assert_eq!(outcome.status, 0, "{outcome:?}");
}

#[test]
fn the_configuration_of_the_readme_works_from_an_empty_home() {
    let readme = include_str!("../../../integrations/kubectl/README.md");
    assert!(
        readme.contains(include_str!("../../../integrations/kubectl/kubeconfig")),
        "the README quotes what is tested"
    );
    if !has_client("kubectl") {
        return;
    }
    let server = api_server(&Arc::new(Mutex::new(vec!["myc_right".to_owned()])));
    let mut home = Home::new();
    home.set("SERVER", &server.address);
    home.set("AUTHORITY", home.write("ca.pem", &server.certificate));
    home.set("TOKEN", "myc_right");
    check_integration(home, "kubectl");
    assert!(server.statuses("/version").contains(&401));
}

#[test]
fn kubectl_works_after_setup() {
    if !has_client("kubectl") {
        return;
    }
    let service = service();
    let (mut home, session) = Home::logged_in(&service);
    let server = api_server(&Arc::new(Mutex::new(vec![session.access_token.clone()])));
    configure(&mut home, &server, |text| {
        text.split("users:").next().unwrap_or_default().to_owned()
    });
    assert_ne!(version(&home).status, 0);
    home.put_on_path(&home.path().join("bin"));
    let outcome = home.run(&["setup", "--yes", "kubectl", "--host", &server.address]);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    let outcome = version(&home);
    assert_eq!(outcome.status, 0, "{outcome:?}");

    // The second examination from one shell is not the second request of a client.
    home.write_session(&session, Duration::from_secs(600), Duration::from_secs(300));
    let link = "tools/my-credential-helper";
    home.only_tools(&["kubectl"]);
    std::os::unix::fs::symlink(HELPER, home.path().join(link)).expect("a link");
    for _ in 0..2 {
        let examined = home.run(&["doctor"]).output;
        assert!(examined.contains("gets a credential for https://127.0.0.1"), "{examined}");
    }
    assert_eq!(service.refresh_requests(), 0);
}
