//! docker, skopeo, podman and buildah: the real clients, against a real registry that asks for a password.

use std::fmt::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use account_server::git_host::create_repository;
use account_server::{Server, Session};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::support::{HELPER, Home, Outcome, finish, has_client, service, service_with, spawn};

/// `docker-registry`, and perhaps nginx before it; they stop when this is dropped.
struct Registry {
    processes: Vec<Child>,
    address: String,
    directory: TempDir,
}

impl Registry {
    /// One that knows these users. `None` where one of the programs is not installed.
    fn of_users(users: &[(&str, &str)], clients: &[&str]) -> Option<Self> {
        if !["docker-registry", "htpasswd", "skopeo"].iter().chain(clients).all(|client| has_client(client)) {
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("htpasswd");
        let mut passwords = String::new();
        for (user, password) in users {
            let output = Command::new("htpasswd").args(["-Bbn", user, password]).output().unwrap();
            passwords += &String::from_utf8_lossy(&output.stdout);
        }
        std::fs::write(&path, passwords).unwrap();
        let auth = json!({ "htpasswd": { "realm": "registry", "path": path } });
        let mut registry = Self { processes: Vec::new(), address: String::new(), directory };
        registry.address = registry.serve(&auth);
        registry.push_an_image(Some(users[0]));
        Some(registry)
    }

    /// One that asks the account service whether a password is a token of its own: nginx does, with the request that
    /// git would make. (A session's token is too long for `htpasswd`.)
    fn of_service(server: &Server, clients: &[&str]) -> Option<Self> {
        if !["docker-registry", "nginx", "skopeo"].iter().chain(clients).all(|client| has_client(client)) {
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let mut registry = Self { processes: Vec::new(), address: String::new(), directory };
        let open = registry.serve(&json!({}));
        registry.address.clone_from(&open);
        registry.push_an_image(None);
        registry.address = free_address();
        let path = registry.directory.path().join("nginx");
        std::fs::create_dir(&path).unwrap();
        let mut configuration = format!("daemon off; pid {0}/pid; error_log {0}/log;", path.display());
        configuration += "events {} http { access_log off; client_max_body_size 0;";
        for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
            write!(configuration, "{kind}_temp_path {}/{kind};", path.display()).unwrap();
        }
        write!(
            configuration,
            "server {{ listen {}; add_header Docker-Distribution-Api-Version registry/2.0 always;
             location / {{ auth_request /account; proxy_pass http://{open};
             proxy_set_header Host $http_host; proxy_set_header Authorization ''; }}
             location = /account {{ internal; proxy_pass_request_body off; proxy_set_header Content-Length '';
             proxy_method GET; proxy_pass {}/git/basic/hello.git/info/refs?service=git-upload-pack; }} }} }}",
            registry.address,
            server.url()
        )
        .unwrap();
        std::fs::write(path.join("conf"), configuration).unwrap();
        let mut command = Command::new("nginx");
        command.arg("-e").arg(path.join("log")).arg("-c").arg(path.join("conf"));
        registry.run(command, &registry.address.clone());
        Some(registry)
    }

    /// Starts a registry; where it listens.
    fn serve(&mut self, auth: &Value) -> String {
        let path = self.directory.path();
        let address = free_address();
        let configuration = json!({
            "version": 0.1,
            "log": { "level": "error" },
            "storage": { "filesystem": { "rootdirectory": path.join("data") } },
            "http": { "addr": address, "secret": "of no interest" },
            "auth": auth,
        });
        // JSON is YAML.
        std::fs::write(path.join("config.yml"), configuration.to_string()).unwrap();
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(path.join("config.yml"));
        self.run(command, &address);
        address
    }

    fn run(&mut self, mut command: Command, address: &str) {
        self.processes.push(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(address).is_err() {
            assert!(Instant::now() < deadline, "{command:?} listens");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// `hello:1`, with one empty layer.
    fn push_an_image(&self, user: Option<(&str, &str)>) {
        let layout = self.directory.path().join("layout");
        write_image(&layout);
        let output = Command::new("skopeo")
            .args(["copy", "-q", "--insecure-policy", "--dest-tls-verify=false", "--format=v2s2"])
            .args(user.map(|(user, password)| format!("--dest-creds={user}:{password}")))
            .arg(format!("oci:{}:1", layout.display()))
            .arg(format!("docker://{}/hello:1", self.address))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn image(&self) -> String {
        format!("{}/hello:1", self.address)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        for process in &mut self.processes {
            let _ = Command::new("kill").arg(process.id().to_string()).status();
            let _ = process.wait();
        }
    }
}

fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// An OCI layout with an image that has one empty layer.
fn write_image(layout: &Path) {
    let blobs = layout.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).unwrap();
    let blob = |kind: &str, bytes: &[u8]| {
        let mut hex = String::new();
        for byte in Sha256::digest(bytes) {
            write!(hex, "{byte:02x}").unwrap();
        }
        std::fs::write(blobs.join(&hex), bytes).unwrap();
        json!({ "mediaType": kind, "digest": format!("sha256:{hex}"), "size": bytes.len() })
    };
    // Two empty blocks are the end of a tar file.
    let layer = blob("application/vnd.oci.image.layer.v1.tar", &[0; 1024]);
    let config = json!({
        "architecture": "amd64",
        "os": "linux",
        "config": {},
        "rootfs": { "type": "layers", "diff_ids": [layer["digest"]] },
    });
    let config = blob("application/vnd.oci.image.config.v1+json", config.to_string().as_bytes());
    let manifest = json!({ "schemaVersion": 2, "config": config, "layers": [layer] });
    let mut manifest = blob("application/vnd.oci.image.manifest.v1+json", manifest.to_string().as_bytes());
    manifest["annotations"] = json!({ "org.opencontainers.image.ref.name": "1" });
    let index = json!({ "schemaVersion": 2, "manifests": [manifest] });
    std::fs::write(layout.join("index.json"), index.to_string()).unwrap();
    std::fs::write(layout.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
}

/// Puts the helper on PATH and this into docker's configuration.
fn configure(home: &mut Home, configuration: &Value) {
    let bin = home.path().join("bin");
    if !bin.exists() {
        std::fs::create_dir(&bin).unwrap();
        std::os::unix::fs::symlink(HELPER, bin.join("docker-credential-my")).unwrap();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    home.set("PATH", std::env::join_paths([bin].into_iter().chain(std::env::split_paths(&path))).unwrap());
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
fn of_provider(clients: &[&str]) -> Option<(Server, TempDir, Home, Session, Registry)> {
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
fn docker_login_is_kept_serves_and_is_forgotten_by_docker_logout() {
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
        assert!(!home.read("docker/config.json").unwrap().contains("\"auth\":"), "docker has no copy");
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
fn the_session_serves_a_registry_of_the_providers_without_any_docker_login() {
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
    let Some((server, _root, mut home, session, registry)) = of_provider(&["docker"]) else { return };
    configure(&mut home, &json!({ "credsStore": "my" }));
    home.write_session(&session, Duration::ZERO, Duration::from_secs(3600));
    server.revoke_access(&session.access_token);
    let outcome = inspect(&home, &registry);
    assert_eq!((outcome.status, &*outcome.messages), (0, ""), "{outcome:?}");
    assert_eq!(server.refresh_requests(), 1);
}

#[test]
fn a_token_that_the_registry_refuses_fails_and_the_login_stays() {
    let Some((server, _root, mut home, session, registry)) = of_provider(&["docker"]) else { return };
    configure(&mut home, &json!({ "credsStore": "my" }));
    server.revoke_access(&session.access_token);
    assert_ne!(inspect(&home, &registry).status, 0);
    assert_eq!(home.session().unwrap()["access_token"], session.access_token.as_str(), "docker does not tell");
}

#[test]
fn an_api_token_that_somebody_logs_in_with_is_kept_before_the_session_until_docker_logout() {
    let Some((server, _root, mut home, session, registry)) = of_provider(&["docker"]) else { return };
    configure(&mut home, &json!({ "credsStore": "my" }));
    let jwt = log_in(&home, &registry, "ada", &session.access_token);
    assert_eq!(jwt.status, 0, "it is good, and the same one is served anyway: {jwt:?}");
    assert!(jwt.messages.contains("is not kept"), "{jwt:?}");
    assert_eq!(listed(&home)[&registry.address], "token");
    let outcome = log_in(&home, &registry, "ada", &server.api_token("me@acme.dev", "ci").unwrap().token);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    assert_eq!(listed(&home)[&registry.address], "ada");
    assert_eq!(inspect(&home, &registry).status, 0);
    assert_eq!(run(&home, &["docker", "logout", &registry.address], "").status, 0);
    assert_eq!(listed(&home)[&registry.address], "token", "the session serves again");
}

#[test]
fn what_is_listed_can_be_got() {
    let server = service();
    let (mut home, _) = Home::logged_in(&server);
    let api = server.url().trim_start_matches("http://").to_owned();
    let text = "[providers.mycli]\nhosts = ['registry.acme.dev', '*.acme.dev', '127.0.0.1:1']\n";
    home.write(".config/my-credential-helper/config.toml", text);
    for (server, user) in [("h.dev:5000", "ada"), ("https://index.docker.io/v1/", "<token>")] {
        let request = json!({ "ServerURL": server, "Username": user, "Secret": "s" }).to_string();
        let outcome = home.run_with(&["docker", "store"], request);
        assert_eq!((outcome.status, &*outcome.output), (0, ""), "{outcome:?}");
    }
    // Another tool's: over, for a header, and for a path.
    for rest in ["host=over.dev\npassword_expiry_utc=1", "host=path.dev\npath=a/b"] {
        home.run_with(&["git", "store"], format!("protocol=https\nusername=ada\npassword=p\n{rest}\n\n"));
    }
    let bearer = "capability[]=authtype\nprotocol=https\nhost=header.dev\nauthtype=Bearer\ncredential=c\n\n";
    home.run_with(&["git", "store"], bearer);

    let all = listed(&home);
    let expected = json!({
        &api: "token",
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
        assert_eq!((&outcome.json()["ServerURL"], &outcome.json()["Username"]), (&json!(name), user));
    }

    std::fs::remove_file(home.path().join(".my/credentials.json")).unwrap();
    assert_eq!(listed(&home).as_object().unwrap().len(), 3, "without a login the provider's hosts are gone");
    home.set("MY_API_TOKEN", "myc_1");
    assert_eq!(listed(&home), expected);
}

#[test]
fn a_list_that_has_to_refresh_does_it_once_and_leaves_out_what_failed() {
    let server = service();
    let (home, _) = Home::with_stale_session(&server);
    let text = "[providers.mycli]\nhosts = ['registry.acme.dev', 'other.acme.dev']\n";
    home.write(".config/my-credential-helper/config.toml", text);
    assert_eq!(listed(&home).as_object().unwrap().len(), 3);
    assert_eq!(server.refresh_requests(), 1);

    let (home, session) = Home::with_stale_session(&server);
    home.write(".config/my-credential-helper/config.toml", text);
    let gone = json!({ "api_url": "http://127.0.0.1:1" }).to_string();
    home.write(".my/config.json", &gone);
    assert_eq!(listed(&home), json!({}), "each get would fail, and docker with it");
    assert_eq!(home.session().unwrap()["refresh_token"], session.refresh_token.as_str());
}

#[test]
fn every_spelling_gets_and_erases_the_same_login() {
    let home = Home::new();
    let spellings = ["h.dev", "https://h.dev", "https://h.dev/", "http://h.dev", "h.dev:443", "https://h.dev/v2/\n"];
    for stored in spellings {
        let request = json!({ "ServerURL": stored, "Username": "ada", "Secret": "s" }).to_string();
        assert_eq!(home.run_with(&["docker", "store"], request).status, 0);
        for got in spellings {
            assert_eq!(home.run_with(&["docker", "get"], got).json()["Secret"], "s", "{stored} {got}");
        }
        assert_eq!(listed(&home), json!({ "h.dev": "ada" }));
        for erased in spellings {
            let outcome = home.run_with(&["docker", "erase"], erased);
            assert_eq!((outcome.status, &*outcome.output, &*outcome.messages), (0, "", ""), "{erased}");
        }
        let outcome = home.run_with(&["docker", "get"], stored);
        assert_eq!((outcome.status, &*outcome.output), (1, "credentials not found in native keychain\n"));
        assert_eq!(outcome.messages, "");
    }
}

#[test]
fn skopeo_inspects_and_copies() {
    let Some((_server, _root, mut home, _, registry)) = of_provider(&[]) else { return };
    configure(&mut home, &configurations(&registry)[1]);
    let image = format!("docker://{}", registry.image());
    let outcome = run(&home, &["skopeo", "inspect", "--tls-verify=false", &image], "");
    assert_eq!(outcome.status, 0, "{outcome:?}");
    let copy = format!("docker://{}/copy:1", registry.address);
    let line = ["skopeo", "copy", "-q", "--insecure-policy", "--src-tls-verify=false", "--dest-tls-verify=false"];
    let outcome = run(&home, &[&line[..], &[&image, &copy]].concat(), "");
    assert_eq!(outcome.status, 0, "{outcome:?}");
    home.set("MY_API_TOKEN", "myc_wrong");
    assert_ne!(run(&home, &["skopeo", "inspect", "--tls-verify=false", &image], "").status, 0);
}

/// podman and buildah take the same words: pull, push under another name, and both refused.
fn pulls_and_pushes(client: &str) {
    let Some((_server, _root, mut home, _, registry)) = of_provider(&[client]) else { return };
    configure(&mut home, &configurations(&registry)[1]);
    let policy = home.write(".config/containers/policy.json", r#"{"default":[{"type":"insecureAcceptAnything"}]}"#);
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
    let readme = include_str!("../../integrations/docker/README.md");
    assert!(readme.contains(include_str!("../../integrations/docker/config.json")), "the README quotes what is tested");
    let token = service().api_token("me@acme.dev", "test").unwrap().token;
    let Some(registry) = Registry::of_users(&[("token", &token)], &["docker"]) else { return };
    let mut home = Home::new();
    home.set("HELPER", HELPER);
    home.set("REGISTRY", &registry.address);
    home.set("IMAGE", "hello:1");
    home.set("TOKEN", token);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/integrations/docker/test.sh");
    let outcome = finish(spawn(home.command(script)), b"");
    assert_eq!((outcome.status, &*outcome.output), (0, "accepted\nrefused\n"), "{}", outcome.messages);
}
