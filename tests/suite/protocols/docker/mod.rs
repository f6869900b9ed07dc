//! docker, skopeo, podman, buildah, oras and crane: the real clients, against a real registry that asks for a password.

pub(crate) mod registry;
mod token_service;

use std::time::Duration;

use account_server::git_host::create_repository;
use account_server::{Server, Session};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::secret_service::SecretService;
use crate::support::{
    HELPER, Home, Outcome, check_integration, finish, has_client, has_rare_client, service,
    service_with, spawn, strace,
};
use registry::Registry;
use token_service::TokenService;

/// Puts the helper on PATH and this into docker's configuration.
pub(crate) fn configure(home: &mut Home, configuration: &Value) {
    let bin = home.path().join("bin");
    if !bin.exists() {
        std::fs::create_dir(&bin).unwrap();
        std::os::unix::fs::symlink(HELPER, bin.join("docker-credential-my")).unwrap();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    home.set(
        "PATH",
        std::env::join_paths([bin].into_iter().chain(std::env::split_paths(&path))).unwrap(),
    );
    home.write("docker/config.json", &configuration.to_string());
    home.set("DOCKER_CONFIG", home.path().join("docker"));
    home.set("REGISTRY_AUTH_FILE", home.path().join("docker/config.json"));
}

/// For every registry, and for this one alone.
fn configurations(registry: &Registry) -> [Value; 2] {
    [json!({ "credsStore": "my" }), json!({ "credHelpers": { &registry.address: "my" } })]
}

fn run(home: &Home, line: &[&str], input: &str) -> Outcome {
    let mut command = home.command(line[0]);
    command.args(&line[1..]);
    finish(spawn(command), input.as_bytes())
}

fn inspect(home: &Home, registry: &Registry) -> Outcome {
    run(home, &["docker", "manifest", "inspect", "--insecure", &registry.image()], "")
}

fn log_in(home: &Home, registry: &Registry, user: &str, password: &str) -> Outcome {
    run(home, &["docker", "login", "-u", user, "--password-stdin", &registry.address], password)
}

fn listed(home: &Home) -> Value {
    home.run(&["docker", "list"]).json()
}

/// A service, a logged-in home, and a registry of the provider's that takes what the service issued.
pub(crate) fn of_provider(clients: &[&str]) -> Option<(Server, TempDir, Home, Session, Registry)> {
    let root = tempfile::tempdir().unwrap();
    create_repository(root.path(), "hello.git").unwrap();
    let server = service_with(|settings| settings.git_root = Some(root.path().to_owned()));
    let registry = Registry::of_service(&server, clients)?;
    let (home, session) = Home::logged_in(&server);
    let text = format!("[providers.mycli]\nhosts = [\"{}\"]\n", registry.address);
    home.write(".config/my-credential-helper/config.toml", &text);
    Some((server, root, home, session, registry))
}

#[test]
fn docker_login_stores_and_docker_logout_erases() {
    let Some(registry) = Registry::of_users(&[("ada", "hunter2 ü")], &["docker"]) else { return };
    for configuration in configurations(&registry) {
        let mut home = Home::new();
        configure(&mut home, &configuration);
        assert_ne!(inspect(&home, &registry).status, 0, "the registry asks");

        let refused = log_in(&home, &registry, "ada", "wrong");
        assert_ne!(refused.status, 0);
        assert_eq!(listed(&home), json!({}), "a login that failed is not kept");

        let outcome = log_in(&home, &registry, "ada", "hunter2 ü");
        assert_eq!(outcome.status, 0, "{outcome:?}");
        assert!(outcome.output.contains("Login Succeeded"), "{outcome:?}");
        assert!(
            !home.read("docker/config.json").unwrap().contains("\"auth\":"),
            "docker has no copy"
        );
        assert_eq!(listed(&home), json!({ &registry.address: "ada" }));
        let outcome = inspect(&home, &registry);
        assert_eq!(outcome.status, 0, "{outcome:?}");

        let outcome = run(&home, &["docker", "logout", &registry.address], "");
        assert_eq!((outcome.status, &*outcome.messages), (0, ""), "{outcome:?}");
        assert_eq!(listed(&home), json!({}));
        assert_ne!(inspect(&home, &registry).status, 0);
    }
}

#[test]
fn a_key_file_is_stored_and_serves() {
    let key = "{\n  \"type\": \"service_account\",\n\t\"key\": \"a\\nb\"\n}";
    let Some(registry) = Registry::of_users(&[("_json_key", key)], &["docker", "skopeo"]) else {
        return;
    };
    let mut home = Home::new();
    configure(&mut home, &configurations(&registry)[1]);
    let outcome = log_in(&home, &registry, "_json_key", key);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    let outcome = inspect(&home, &registry);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    let image = format!("docker://{}", registry.image());
    let outcome = run(&home, &["skopeo", "inspect", "--tls-verify=false", &image], "");
    assert_eq!(outcome.status, 0, "{outcome:?}");
}

#[test]
fn docker_uses_the_session_for_a_registry_of_the_provider() {
    let Some((_server, _root, mut home, _, registry)) = of_provider(&["docker"]) else { return };
    for configuration in configurations(&registry) {
        configure(&mut home, &configuration);
        let outcome = inspect(&home, &registry);
        assert_eq!((outcome.status, &*outcome.messages), (0, ""), "{outcome:?}");
        let outcome = run(&home, &["docker", "logout", &registry.address], "");
        assert_eq!(outcome.status, 0, "{outcome:?}");
        assert!(home.session().is_some(), "docker's logout is no logout");
    }
}

#[test]
fn a_stale_session_is_refreshed_for_docker() {
    let Some((server, _root, mut home, session, registry)) = of_provider(&["docker"]) else {
        return;
    };
    configure(&mut home, &json!({ "credsStore": "my" }));
    home.write_session(&session, Duration::ZERO, Duration::from_secs(3600));
    server.revoke_access(&session.access_token);
    let outcome = inspect(&home, &registry);
    assert_eq!((outcome.status, &*outcome.messages), (0, ""), "{outcome:?}");
    assert_eq!(server.refresh_requests(), 1);
}

#[test]
fn a_token_that_the_registry_rejects_keeps_the_session() {
    let Some((server, _root, mut home, session, registry)) = of_provider(&["docker"]) else {
        return;
    };
    configure(&mut home, &json!({ "credsStore": "my" }));
    server.revoke_access(&session.access_token);
    assert_ne!(inspect(&home, &registry).status, 0);
    assert_eq!(
        home.session().unwrap()["access_token"],
        session.access_token.as_str(),
        "docker does not tell"
    );
}

#[test]
fn a_token_of_docker_login_precedes_the_session() {
    let Some((server, _root, mut home, session, registry)) = of_provider(&["docker"]) else {
        return;
    };
    configure(&mut home, &json!({ "credsStore": "my" }));
    let jwt = log_in(&home, &registry, "ada", &session.access_token);
    assert_eq!(jwt.status, 0, "it is good, and the same one is served anyway: {jwt:?}");
    assert!(jwt.messages.contains("is not stored"), "{jwt:?}");
    assert_eq!(listed(&home)[&registry.address], "token");
    let outcome =
        log_in(&home, &registry, "ada", &server.api_token("me@acme.dev", "ci").unwrap().token);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    assert_eq!(listed(&home)[&registry.address], "ada");
    assert_eq!(inspect(&home, &registry).status, 0);
    assert_eq!(run(&home, &["docker", "logout", &registry.address], "").status, 0);
    assert_eq!(listed(&home)[&registry.address], "token", "the session serves again");
}

#[test]
fn an_identity_token_is_stored_and_renews_the_access() {
    if !has_client("docker") {
        return;
    }
    let service = TokenService::start();
    let mut home = Home::new();
    configure(&mut home, &json!({ "credsStore": "my" }));
    let login = ["docker", "login", "-u", "ada", "--password-stdin", &service.address];
    let outcome = run(&home, &login, "hunter2");
    assert_eq!(outcome.status, 0, "{outcome:?}");
    assert_eq!(listed(&home), json!({ &service.address: "<token>" }), "docker keeps no password");
    assert_eq!(
        home.run_with(&["docker", "get"], &service.address).json()["Secret"],
        token_service::IDENTITY
    );
    service.forget();
    // There is no image, but the request must be authorized first.
    let outcome = run(
        &home,
        &["docker", "manifest", "inspect", "--insecure", &format!("{}/hello:1", service.address)],
        "",
    );
    assert!(
        service.saw("grant_type=refresh_token") && service.saw(token_service::IDENTITY),
        "{:?} {outcome:?}",
        service.seen()
    );
    assert!(service.saw("/v2/hello/manifests/1 let in"), "{:?}", service.seen());
}

#[test]
fn every_listed_registry_has_a_credential() {
    let server = service();
    let (mut home, _) = Home::logged_in(&server);
    let text = "[providers.mycli]\nhosts = ['registry.acme.dev', '*.acme.dev', '127.0.0.1:1']\n";
    home.write(".config/my-credential-helper/config.toml", text);
    for (server, user) in [("h.dev:5000", "ada"), ("https://index.docker.io/v1/", "<token>")] {
        let request = json!({ "ServerURL": server, "Username": user, "Secret": "s" }).to_string();
        let outcome = home.run_with(&["docker", "store"], request);
        assert_eq!((outcome.status, &*outcome.output), (0, ""), "{outcome:?}");
    }
    // For every tool: expired, and for a path.
    for (url, expires_at) in [
        ("https://over.dev", "1970-01-01T00:00:01Z"),
        ("https://path.dev/a/b", "9999-12-31T00:00:00Z"),
    ] {
        let request =
            json!({ "url": url, "username": "ada", "secret": "p", "expires_at": expires_at });
        assert_eq!(home.run_with(&["store"], request.to_string()).status, 0);
    }
    let bearer =
        "capability[]=authtype\nprotocol=https\nhost=header.dev\nauthtype=Bearer\ncredential=c\n\n";
    home.run_with(&["git", "store"], bearer);

    let all = listed(&home);
    let expected = json!({
        "registry.acme.dev": "token",
        "127.0.0.1:1": "token",
        "h.dev:5000": "ada",
        "path.dev": "ada",
        "https://index.docker.io/v1/": "<token>",
    });
    assert_eq!(all, expected);
    for (name, user) in all.as_object().unwrap() {
        let outcome = home.run_with(&["docker", "get"], name);
        assert_eq!(outcome.status, 0, "{name}: {outcome:?}");
        assert_eq!(
            (&outcome.json()["ServerURL"], &outcome.json()["Username"]),
            (&json!(name), user)
        );
    }

    std::fs::remove_file(home.path().join(".my/credentials.json")).unwrap();
    assert_eq!(
        listed(&home).as_object().unwrap().len(),
        3,
        "without a login the provider's hosts are gone"
    );
    home.set("MY_API_TOKEN", "myc_1");
    assert_eq!(listed(&home), expected);
}

/// A service that accepts connections and never answers: the listener accepts none, and counts those that wait.
fn silent_service() -> (std::net::TcpListener, String) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

#[test]
fn list_sends_no_request() {
    let server = service();
    let (home, session) = Home::with_stale_session(&server);
    let text = "[providers.mycli]\nhosts = ['registry.acme.dev', 'other.acme.dev']\n";
    home.write(".config/my-credential-helper/config.toml", text);
    let (listener, address) = silent_service();
    home.write(".my/config.json", &json!({ "api_url": format!("http://{address}") }).to_string());
    let request = json!({ "ServerURL": "h.dev", "Username": "ada", "Secret": "s" }).to_string();
    home.run_with(&["docker", "store"], request);
    let expected =
        json!({ "registry.acme.dev": "token", "other.acme.dev": "token", "h.dev": "ada" });
    assert_eq!(listed(&home), expected);
    assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    assert_eq!(home.session().unwrap()["refresh_token"], session.refresh_token.as_str());
}

/// A shared store that never answers, for several accounts and hosts: what needs it is named, and the others are listed.
#[test]
fn a_slow_account_takes_no_other_from_a_list() {
    let mut home = Home::new();
    let (_listener, address) = silent_service();
    home.configure(&format!(
        "[providers.mycli]\nstore = 'vault'\nhosts = ['a.dev', 'b.dev', 'c.dev']\n\
         accounts = ['work', 'home']\n\
         [stores.vault]\naddresses = ['http://{address}']\n"
    ));
    home.set("VAULT_TOKEN", "s.token");
    let request = json!({ "ServerURL": "z.dev", "Username": "ada", "Secret": "s" }).to_string();
    assert_eq!(home.run_with(&["docker", "store"], request).status, 0);
    for list in [&["docker", "list"][..], &["list"], &["account", "list"]] {
        let begun = std::time::Instant::now();
        let outcome = home.run(list);
        assert!(begun.elapsed() < Duration::from_secs(9), "{list:?}: {:?}", begun.elapsed());
        assert!(outcome.status == 0, "{list:?}: {outcome:?}");
        if list[0] == "docker" {
            assert_eq!(outcome.json(), json!({ "z.dev": "ada" }), "{outcome:?}");
            for host in ["https://a.dev", "https://b.dev", "https://c.dev"] {
                assert!(outcome.messages.contains(&format!("{host} is not listed")), "{outcome:?}");
            }
        }
        if list == ["list"] {
            assert!(outcome.output.contains("https://z.dev"), "{outcome:?}");
            assert!(outcome.messages.contains("mycli is not listed"), "{outcome:?}");
        }
    }
}

/// A machine without a metadata server waits for it once, and not for each host.
#[test]
fn a_list_requests_a_missing_metadata_server_once() {
    if !strace::is_permitted() {
        return;
    }
    let home = Home::new();
    home.configure(
        "[providers.acme]\nkind = 'oauth'\nclient_id = 'me'\napi_url = 'https://api.acme.dev'\n\
         token_endpoint = 'https://login.acme.dev/token'\nhosts = ['a.dev', 'b.dev', 'c.dev']\n\
         [providers.acme.identity]\nsource = 'gcp'\naudience = 'https://acme.dev'\n\
         exchange = 'token-exchange'\n",
    );
    let request = json!({ "ServerURL": "z.dev", "Username": "ada", "Secret": "s" }).to_string();
    assert_eq!(home.run_with(&["docker", "store"], request).status, 0);
    let mut command = home.command("strace");
    command.args(["-f", "-qq", "-e", "trace=connect", "-e", "inject=connect:error=ENETUNREACH"]);
    command.args(["-o", "log", HELPER, "docker", "list"]);
    let outcome = finish(spawn(command), b"");
    assert_eq!((outcome.json(), &*outcome.messages), (json!({ "z.dev": "ada" }), ""));
    let connected = home.read("log").unwrap().matches("169.254.169.254").count();
    assert_eq!(connected, 1, "{:?}", home.read("log"));
}

/// A keyring that hangs takes its three seconds once.
#[test]
fn a_slow_keyring_takes_no_file_from_a_list() {
    let Some(keyring) = SecretService::start() else { return };
    let mut home = Home::new();
    let store = |home: &Home, server: &str| {
        let request = json!({ "ServerURL": server, "Username": "ada", "Secret": "s" }).to_string();
        assert_eq!(home.run_with(&["docker", "store"], request).status, 0);
    };
    store(&home, "z.dev");
    home.use_keyring(&keyring);
    (0..20).for_each(|number| store(&home, &format!("h{number}.dev")));
    assert_eq!(listed(&home).as_object().unwrap().len(), 21);
    keyring.stop();
    let begun = std::time::Instant::now();
    let outcome = home.run(&["docker", "list"]);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(outcome.json(), json!({ "z.dev": "ada" }));
    for number in 0..20 {
        let cut = format!("https://h{number}.dev is not listed");
        assert!(outcome.messages.contains(&cut), "{outcome:?}");
    }
}

#[test]
fn every_client_finds_a_login_to_docker_hub() {
    let mut home = Home::new();
    configure(&mut home, &json!({}));
    home.write(".docker/config.json", "{}");
    home.set("DOCKER_CONFIG", home.path().join(".docker"));
    home.set("REGISTRY_AUTH_FILE", home.path().join(".docker/config.json"));
    home.set_up("docker", "docker.io");
    let text = home.read(".docker/config.json").unwrap();
    let configuration: Value = serde_json::from_str(&text).unwrap();
    let expected = json!({ "https://index.docker.io/v1/": "my", "docker.io": "my" });
    assert_eq!(configuration["credHelpers"], expected);
    let request = json!({ "ServerURL": "docker.io", "Username": "ada", "Secret": "s" }).to_string();
    assert_eq!(home.run_with(&["docker", "store"], request).status, 0);
    for client in ["podman", "skopeo", "buildah"].into_iter().filter(|client| has_client(client)) {
        let line: &[&str] = &[client, "login", "--get-login", "docker.io"];
        let outcome = run(&home, line, "");
        assert_eq!((outcome.status, outcome.output.trim()), (0, "ada"), "{client}: {outcome:?}");
    }
    if has_client("docker") {
        let outcome = run(&home, &["docker", "logout"], "");
        assert_eq!(outcome.status, 0, "{outcome:?}");
        assert_eq!(listed(&home), json!({}));
    }
}

#[test]
fn a_login_over_plain_http_fails_with_its_reason() {
    let request = json!({ "ServerURL": "http://h.dev", "Username": "ada", "Secret": "s" });
    let outcome = Home::new().run_with(&["docker", "store"], request.to_string());
    assert_eq!(outcome.status, 1, "{outcome:?}");
    assert!(outcome.output.contains("http://h.dev is neither https"), "{outcome:?}");
}

#[test]
fn every_spelling_gets_and_erases_the_same_credential() {
    let home = Home::new();
    let spellings =
        ["h.dev", "https://h.dev", "https://h.dev/", "H.dev", "h.dev:443", "https://h.dev/v2/\n"];
    for stored in spellings {
        let request = json!({ "ServerURL": stored, "Username": "ada", "Secret": "s" }).to_string();
        assert_eq!(home.run_with(&["docker", "store"], request).status, 0);
        for got in spellings {
            assert_eq!(
                home.run_with(&["docker", "get"], got).json()["Secret"],
                "s",
                "{stored} {got}"
            );
        }
        assert_eq!(listed(&home), json!({ "h.dev": "ada" }));
        for erased in spellings {
            let outcome = home.run_with(&["docker", "erase"], erased);
            assert_eq!(
                (outcome.status, &*outcome.output, &*outcome.messages),
                (0, "", ""),
                "{erased}"
            );
        }
        let outcome = home.run_with(&["docker", "get"], stored);
        assert_eq!(
            (outcome.status, &*outcome.output),
            (1, "credentials not found in native keychain\n")
        );
        assert_eq!(outcome.messages, "");
    }
}

#[test]
fn podman_logout_keeps_the_credentials_of_other_tools() {
    if !has_client("podman") {
        return;
    }
    let mut home = Home::new();
    configure(&mut home, &json!({}));
    let policy = "credential-helpers = [\"my\"]\n";
    home.set("CONTAINERS_REGISTRIES_CONF", home.write("registries.conf", policy));
    let login = "protocol=https\nhost=git.dev\nusername=ada\npassword=hunter2\n\n";
    home.run_with(&["git", "store"], login);
    home.run_with(&["keyring", "set", "pypi.dev", "ada"], "hunter2\n");
    let for_all = json!({ "url": "https://all.dev", "username": "ada", "secret": "hunter2" });
    home.run_with(&["store"], for_all.to_string());
    for server in ["h.dev", "git.dev"] {
        let request = json!({ "ServerURL": server, "Username": "ada", "Secret": "docker" });
        home.run_with(&["docker", "store"], request.to_string());
    }
    assert_eq!(listed(&home), json!({ "all.dev": "ada", "git.dev": "ada", "h.dev": "ada" }));

    let outcome = run(&home, &["podman", "logout", "--all"], "");
    assert_eq!(outcome.status, 0, "{outcome:?}");
    assert_eq!(listed(&home), json!({ "all.dev": "ada" }), "what podman stored is gone");
    let git = home.run_with(&["git", "get"], "protocol=https\nhost=git.dev\n\n");
    assert_eq!(git.output, "username=ada\npassword=hunter2\n");
    assert_eq!(home.run(&["keyring", "get", "pypi.dev", "ada"]).output, "hunter2\n");
}

#[test]
fn skopeo_inspects_and_copies() {
    let Some((_server, _root, mut home, _, registry)) = of_provider(&[]) else { return };
    configure(&mut home, &configurations(&registry)[1]);
    let image = format!("docker://{}", registry.image());
    let outcome = run(&home, &["skopeo", "inspect", "--tls-verify=false", &image], "");
    assert_eq!(outcome.status, 0, "{outcome:?}");
    let copy = format!("docker://{}/copy:1", registry.address);
    let line = [
        "skopeo",
        "copy",
        "-q",
        "--insecure-policy",
        "--src-tls-verify=false",
        "--dest-tls-verify=false",
    ];
    let outcome = run(&home, &[&line[..], &[&image, &copy]].concat(), "");
    assert_eq!(outcome.status, 0, "{outcome:?}");
    home.set("MY_API_TOKEN", "myc_wrong");
    assert_ne!(run(&home, &["skopeo", "inspect", "--tls-verify=false", &image], "").status, 0);
}

/// podman and buildah take the same words: pull, push under another name, and both refused.
fn pulls_and_pushes(client: &str) {
    let Some((_server, _root, mut home, _, registry)) = of_provider(&[client]) else { return };
    configure(&mut home, &configurations(&registry)[1]);
    let policy = home.write(
        ".config/containers/policy.json",
        r#"{"default":[{"type":"insecureAcceptAnything"}]}"#,
    );
    let (root, run_root) = (home.path().join("root"), home.path().join("run"));
    let (root, run_root) = (root.to_str().unwrap(), run_root.to_str().unwrap());
    let line = |words: &[&str]| {
        let global = [client, "--storage-driver", "vfs", "--root", root];
        let global = [&global[..], &["--runroot", run_root]].concat();
        let (verb, rest) = words.split_first().unwrap();
        let policy = ["--signature-policy", policy.to_str().unwrap()];
        [&global[..], &[*verb, "-q", "--tls-verify=false"], &policy, rest].concat().join("\n")
    };
    let words = |line: &str| line.split('\n').map(str::to_owned).collect::<Vec<_>>();
    let run = |home: &Home, arguments: &[&str]| {
        let words = words(&line(arguments));
        run(home, &words.iter().map(String::as_str).collect::<Vec<_>>(), "")
    };
    let (image, copy) = (registry.image(), format!("{}/copy:1", registry.address));
    let outcome = run(&home, &["pull", &image]);
    assert_eq!(outcome.status, 0, "{client}: {outcome:?}");
    let outcome = run(&home, &["push", &image, &copy]);
    assert_eq!(outcome.status, 0, "{client}: {outcome:?}");
    home.set("MY_API_TOKEN", "myc_wrong");
    assert_ne!(run(&home, &["pull", &copy]).status, 0, "{client}: a wrong token is refused");
}

#[test]
fn podman_pulls_and_pushes() {
    pulls_and_pushes("podman");
}

#[test]
fn buildah_pulls_and_pushes() {
    pulls_and_pushes("buildah");
}

#[test]
fn the_configuration_of_the_readme_works_from_an_empty_home() {
    let readme = include_str!("../../../../integrations/docker/README.md");
    assert!(
        readme.contains(include_str!("../../../../integrations/docker/config.json")),
        "the README quotes what is tested"
    );
    let token = service().api_token("me@acme.dev", "test").unwrap().token;
    let Some(registry) = Registry::of_users(&[("token", &token)], &["docker"]) else { return };
    let mut home = Home::new();
    home.set("REGISTRY", &registry.address);
    home.set("IMAGE", "hello:1");
    home.set("TOKEN", token);
    check_integration(home, "docker");
}

#[test]
fn helm_pushes_and_pulls_a_chart() {
    let Some((_server, _root, mut home, _, registry)) = of_provider(&["helm"]) else { return };
    configure(&mut home, &configurations(&registry)[0]);
    // Without it helm looks into a file of its own, and into the keyring, before it reads docker's.
    home.set("HELM_REGISTRY_CONFIG", home.path().join("docker/config.json"));
    home.write("chart/Chart.yaml", "apiVersion: v2\nname: hello\nversion: 1.0.0\n");
    assert_eq!(run(&home, &["helm", "package", "chart"], "").status, 0);
    let place = format!("oci://{}/charts", registry.address);
    let outcome = run(&home, &["helm", "push", "--plain-http", "hello-1.0.0.tgz", &place], "");
    assert_eq!(outcome.status, 0, "{outcome:?}");
    let pull = ["helm", "pull", "--plain-http", &format!("{place}/hello"), "-d", "."];
    let outcome = run(&home, &pull, "");
    assert_eq!(outcome.status, 0, "{outcome:?}");
    home.set("MY_API_TOKEN", "myc_wrong");
    assert_ne!(run(&home, &pull, "").status, 0);
}

/// A line of oras or crane, which contains the registry.
fn run_line(home: &Home, line: &str, input: &str) -> Outcome {
    run(home, &line.split(' ').collect::<Vec<_>>(), input)
}

#[test]
fn oras_and_crane_log_in_and_out_through_the_helper() {
    if !["oras", "crane"].into_iter().all(has_rare_client) {
        return;
    }
    let Some(registry) = Registry::of_users(&[("ada", "hunter2 ü")], &[]) else { return };
    let address = &registry.address;
    let image = registry.image();
    for configuration in configurations(&registry) {
        for (login, logout, read) in [
            ("oras login --plain-http", "oras logout", "oras manifest fetch --plain-http"),
            ("crane auth login", "crane auth logout", "crane manifest --insecure"),
        ] {
            let mut home = Home::new();
            configure(&mut home, &configuration);
            let read = || run_line(&home, &format!("{read} {image}"), "").status;
            assert_ne!(read(), 0, "{login}: the registry asks");
            let line = format!("{login} -u ada --password-stdin {address}");
            let outcome = run_line(&home, &line, "hunter2 ü");
            assert_eq!(outcome.status, 0, "{outcome:?}");
            assert_eq!(listed(&home), json!({ address: "ada" }));
            let own = home.read("docker/config.json").unwrap();
            assert!(!own.contains("\"auth\":"), "{login}: no copy: {own}");
            assert_eq!(read(), 0, "{login}");
            let outcome = run_line(&home, &format!("{logout} {address}"), "");
            assert_eq!((outcome.status, listed(&home)), (0, json!({})), "{outcome:?}");
            assert_ne!(read(), 0, "{logout}");
        }
    }
}

#[test]
fn oras_and_crane_share_one_refresh() {
    if !["oras", "crane"].into_iter().all(has_rare_client) {
        return;
    }
    let Some((server, _root, mut home, session, registry)) = of_provider(&[]) else { return };
    home.write("hello.txt", "hello");
    for (number, configuration) in configurations(&registry).into_iter().enumerate() {
        configure(&mut home, &configuration);
        let place = format!("{}/{number}", registry.address);
        for line in [
            format!("oras push --plain-http {place}/file:1 hello.txt"),
            format!("oras pull --plain-http {place}/file:1 -o pulled"),
            format!("crane pull --insecure {} hello.tar", registry.image()),
            format!("crane push --insecure hello.tar {place}/copy:1"),
        ] {
            let outcome = run_line(&home, &line, "");
            assert_eq!(outcome.status, 0, "{line}: {outcome:?}");
        }
        assert_eq!(home.read("pulled/hello.txt").as_deref(), Some("hello"));
    }
    assert_eq!(server.refresh_requests(), 0);
    server.revoke_access(&session.access_token);
    home.write_session(&session, Duration::ZERO, Duration::from_secs(3600));
    let lines = [
        format!("oras manifest fetch --plain-http {}", registry.image()),
        format!("crane manifest --insecure {}", registry.image()),
    ];
    let start = |line: &String| {
        let mut command = home.command(line.split(' ').next().unwrap());
        command.args(line.split(' ').skip(1));
        spawn(command)
    };
    let pulls: Vec<_> = lines.iter().cycle().take(32).map(start).collect();
    for pull in pulls {
        let outcome = finish(pull, b"");
        assert_eq!((outcome.status, &*outcome.messages), (0, ""), "{outcome:?}");
    }
    assert_eq!(server.refresh_requests(), 1, "one for all of them");
}

#[test]
fn docker_works_after_setup() {
    let Some((_server, _root, mut home, _, registry)) = of_provider(&["docker"]) else { return };
    home.write(".docker/config.json", r#"{"auths": {}, "credsStore": "desktop"}"#);
    home.set("DOCKER_CONFIG", home.path().join(".docker"));
    assert_ne!(inspect(&home, &registry).status, 0);
    home.set_up("docker", &registry.address);
    let outcome = inspect(&home, &registry);
    assert_eq!((outcome.status, &*outcome.messages), (0, ""), "{outcome:?}");
    if has_client("skopeo") {
        home.set_up("podman", &registry.address);
        let image = format!("docker://{}", registry.image());
        let outcome = run(&home, &["skopeo", "inspect", "--tls-verify=false", &image], "");
        assert_eq!(outcome.status, 0, "{outcome:?}");
    }
}
