//! GOAUTH with the real go, against a module proxy over TLS that rejects requests without a credential.

mod module;

use std::sync::{Arc, Mutex};

use serde_json::json;

use crate::support::tls::{Request, TlsServer};
use crate::support::{Home, Outcome, check_integration, has_client, service};

/// A proxy that accepts these values of the header, and rejects others with 401.
fn proxy(header: &'static str, values: &Arc<Mutex<Vec<String>>>) -> TlsServer {
    let values = values.clone();
    TlsServer::start(move |request: &Request| {
        if !values.lock().unwrap().iter().any(|value| request.header(header) == value) {
            return (401, b"who are you?".to_vec());
        }
        module::file(&request.path).map_or((404, b"not found".to_vec()), |file| (200, file))
    })
}

fn accepted(value: impl Into<String>) -> Arc<Mutex<Vec<String>>> {
    Arc::new(Mutex::new(vec![value.into()]))
}

/// go with nothing of the machine's: its caches are in the home, and it trusts this proxy alone.
fn configure(home: &mut Home, proxy: &TlsServer, hosts: &str) {
    home.link("my-credential-helper");
    for (name, value) in [
        ("GOAUTH", "my-credential-helper goauth"),
        ("GOTOOLCHAIN", "local"),
        ("GOSUMDB", "off"),
        ("GOFLAGS", "-mod=mod -modcacherw"),
        ("GOTELEMETRY", "off"),
        ("SSL_CERT_DIR", "/nonexistent"),
        ("GOPROXY", &format!("https://{}", proxy.address)),
    ] {
        home.set(name, value);
    }
    home.set("SSL_CERT_FILE", home.write("ca.pem", &proxy.certificate));
    home.write("project/go.mod", "module acme.dev/project\n\ngo 1.20\n");
    home.write(
        ".config/my-credential-helper/config.toml",
        &format!("[providers.mycli]\nhosts = [{hosts}]\n"),
    );
}

/// Fetches the module into an empty cache.
fn fetch(home: &Home) -> Outcome {
    let _ = std::fs::remove_dir_all(home.path().join("go"));
    home.run_client(&[
        "go",
        "-C",
        "project",
        "mod",
        "download",
        "-json",
        &format!("{}@v1.0.0", module::NAME),
    ])
}

#[test]
fn the_session_is_sent_to_the_hosts_of_the_provider() {
    if !has_client("go") {
        return;
    }
    let service = service();
    let (mut home, session) = Home::logged_in(&service);
    let proxy = proxy("authorization", &accepted(format!("Bearer {}", session.access_token)));
    configure(&mut home, &proxy, &format!("'{}', '*.acme.dev'", proxy.address));
    let outcome = fetch(&home);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    assert!(proxy.statuses("/").iter().all(|status| *status == 200), "{:?}", proxy.statuses("/"));
}

#[test]
fn a_rejected_token_is_refreshed_and_go_retries() {
    if !has_client("go") {
        return;
    }
    let service = service();
    let home_and_session = Home::logged_in(&service);
    let (mut home, session) = home_and_session;
    // Received five minutes ago: a token that is a minute old is not doubted.
    home.write_session(
        &session,
        std::time::Duration::from_secs(600),
        std::time::Duration::from_secs(300),
    );
    let proxy = TlsServer::start(move |request: &Request| {
        let shown = request.header("authorization");
        if !shown.starts_with("Bearer ") || shown == format!("Bearer {}", session.access_token) {
            return (401, b"who are you?".to_vec());
        }
        module::file(&request.path).map_or((404, b"not found".to_vec()), |file| (200, file))
    });
    configure(&mut home, &proxy, &format!("'{}'", proxy.address));
    let outcome = fetch(&home);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    assert_eq!(service.refresh_requests(), 1);
    assert_eq!(
        proxy.statuses("/").iter().filter(|status| **status == 401).count(),
        1,
        "and the rest is let in"
    );
}

#[test]
fn no_other_host_is_sent_the_token() {
    if !has_client("go") {
        return;
    }
    let service = service();
    let (mut home, session) = Home::logged_in(&service);
    let proxy = proxy("authorization", &accepted(format!("Bearer {}", session.access_token)));
    configure(&mut home, &proxy, "'go.acme.dev'");
    let outcome = fetch(&home);
    assert_ne!(outcome.status, 0);
    assert!(outcome.output.contains("401"), "{outcome:?}");
    assert!(proxy.seen().iter().all(|(request, _)| request.header("authorization").is_empty()));
}

#[test]
fn a_stored_credential_is_sent_to_its_url() {
    if !has_client("go") {
        return;
    }
    let mut home = Home::new();
    // `ada:hunter2`
    let proxy = proxy("authorization", &accepted("Basic YWRhOmh1bnRlcjI="));
    configure(&mut home, &proxy, "");
    assert_ne!(fetch(&home).status, 0);
    let url = format!("https://{}", proxy.address);
    let request = json!({ "url": url, "username": "ada", "secret": "hunter2" }).to_string();
    assert_eq!(home.run_with(&["store"], request).status, 0);
    let outcome = fetch(&home);
    assert_eq!(outcome.status, 0, "{outcome:?}");
}

#[test]
fn a_header_that_go_would_forward_is_not_sent() {
    if !has_client("go") {
        return;
    }
    let mut home = Home::new();
    let proxy = proxy("x-microtica-api-key", &accepted("mic_1"));
    configure(&mut home, &proxy, "");
    let text = format!("[providers.microtica]\nhosts = ['{}']\n", proxy.address);
    home.write(".config/my-credential-helper/config.toml", &text);
    home.set("MICROTICA_TOKEN", "mic_1");
    let outcome = fetch(&home);
    assert_ne!(outcome.status, 0, "{outcome:?}");
    let url = format!("https://{}/x", proxy.address);
    let outcome = home.run_with(&["goauth", &url], "HTTP/2.0 404 Not Found\n\n");
    assert_eq!((outcome.status, &*outcome.output), (0, ""), "{outcome:?}");
    assert!(outcome.messages.contains("X-Microtica-Api-Key"), "{outcome:?}");
}

#[test]
fn the_configuration_of_the_readme_works_from_an_empty_home() {
    let readme = include_str!("../../../../integrations/goauth/README.md");
    assert!(
        readme.contains(include_str!("../../../../integrations/goauth/env")),
        "the README quotes what is tested"
    );
    if !has_client("go") {
        return;
    }
    let proxy = proxy("authorization", &accepted("Bearer myc_right"));
    let mut home = Home::new();
    home.set("SERVER", &proxy.address);
    home.set("AUTHORITY", home.write("ca.pem", &proxy.certificate));
    home.set("MODULE", format!("{}@v1.0.0", module::NAME));
    home.set("TOKEN", "myc_right");
    check_integration(home, "goauth");
}

#[test]
fn go_works_after_setup() {
    if !has_client("go") {
        return;
    }
    let service = service();
    let (mut home, session) = Home::logged_in(&service);
    let proxy = proxy("authorization", &accepted(format!("Bearer {}", session.access_token)));
    configure(&mut home, &proxy, "");
    home.set("GOAUTH", "");
    let outcome = home.run(&["setup", "--yes", "go", "--host", &proxy.address]);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    let outcome = fetch(&home);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    assert_eq!(home.run(&["setup", "--yes", "go", "--undo"]).status, 0);
    assert_ne!(fetch(&home).status, 0);
}
