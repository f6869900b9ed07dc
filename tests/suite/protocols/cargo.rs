//! cargo against a registry that requires a token: every operation, `cargo login` and `cargo logout`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use account_server::Fault;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::support::gate::{Answers, Gate, Permits, Request, issued_by};
use crate::support::secret_service::SecretService;
use crate::support::{Home, Outcome, check_integration, finish, service, spawn};

const CHALLENGE: &str = "Cargo login_url=\"http://127.0.0.1:1/me\"";

/// A sparse registry in memory, with its API.
pub(crate) fn registry(permits: Box<Permits>) -> Gate {
    Gate::start(CHALLENGE, permits, registry_answers())
}

fn registry_answers() -> Box<Answers> {
    let crates = Mutex::new(BTreeMap::<String, (Value, Vec<u8>)>::new());
    Box::new(move |request: &Request| {
        let mut crates = crates.lock().unwrap();
        let path: Vec<_> = request.path.trim_matches('/').split('/').collect();
        match (request.method.as_str(), &path[..]) {
            ("GET", ["index", "config.json"]) => {
                let here = format!("http://{}", request.address);
                Some(
                    json!({ "dl": format!("{here}/dl"), "api": here, "auth-required": true })
                        .to_string()
                        .into(),
                )
            }
            ("GET", ["index", .., name]) => {
                crates.get(*name).map(|(entry, _)| entry.to_string().into())
            }
            ("GET", ["dl", name, ..]) => crates.get(*name).map(|(_, contents)| contents.clone()),
            ("PUT", ["api", "v1", "crates", "new"]) => {
                let (described, contents) = parts(&request.body)?;
                let mut cksum = String::new();
                Sha256::digest(&contents)
                    .iter()
                    .for_each(|byte| write!(cksum, "{byte:02x}").unwrap());
                let (name, vers) = (&described["name"], &described["vers"]);
                let entry = json!({ "name": name, "vers": vers, "deps": [], "cksum": cksum, "features": {},
                    "yanked": false });
                crates.insert(name.as_str()?.to_owned(), (entry, contents));
                Some(b"{}".into())
            }
            ("DELETE", ["api", "v1", "crates", name, _, "yank"]) => {
                crates.get_mut(*name)?.0["yanked"] = true.into();
                Some(br#"{"ok":true}"#.into())
            }
            ("PUT", ["api", "v1", "crates", name, _, "unyank"]) => {
                crates.get_mut(*name)?.0["yanked"] = false.into();
                Some(br#"{"ok":true}"#.into())
            }
            ("GET", ["api", "v1", "crates", _, "owners"]) => Some(
                json!({ "users": [{ "id": 1, "login": "ada", "name": null }] }).to_string().into(),
            ),
            ("PUT" | "DELETE", ["api", "v1", "crates", _, "owners"]) => {
                Some(json!({ "ok": true, "msg": "so be it" }).to_string().into())
            }
            _ => None,
        }
    })
}

/// The two parts of an upload, each behind its length in four bytes.
fn parts(body: &[u8]) -> Option<(Value, Vec<u8>)> {
    let (length, rest) = body.split_first_chunk()?;
    let (described, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    let (_, contents) = rest.split_first_chunk::<4>()?;
    Some((serde_json::from_slice(described).ok()?, contents.to_vec()))
}

/// Lets cargo ask the helper for this registry; projects that publish `hello` and that need it.
pub(crate) fn configure(home: &mut Home, registry: &Gate) {
    home.link("cargo-credential-my");
    let configuration = include_str!("../../../integrations/cargo/config.toml")
        .replace("sparse+https://crates.mycli.sh", &format!("sparse+http://{}", registry.address));
    home.write(".cargo/config.toml", &configuration);
    home.put_on_path(toolchain());
    let package =
        |name: &str| format!("[package]\nname = '{name}'\nversion = '1.0.0'\nedition = '2021'\n");
    let described = "description = 'd'\nlicense = 'MIT'\npublish = ['my']\n";
    home.write("hello/Cargo.toml", &format!("{}{described}", package("hello")));
    home.write("hello/src/lib.rs", "");
    let needs = "[dependencies]\nhello = { version = '1', registry = 'my' }\n";
    home.write("user/Cargo.toml", &format!("{}{needs}", package("user")));
    home.write("user/src/lib.rs", "");
}

/// The toolchain of this build: rustup's proxy on PATH would look for one in the home.
fn toolchain() -> &'static Path {
    Path::new(env!("CARGO")).parent().expect("a directory")
}

fn run_in(home: &Home, folder: &str, words: &[&str], input: &str) -> Outcome {
    let mut command = home.command(env!("CARGO"));
    std::fs::create_dir_all(home.path().join(folder)).unwrap();
    command.args(words).current_dir(home.path().join(folder));
    finish(spawn(command), input.as_bytes())
}

pub(crate) fn run(home: &Home, folder: &str, words: &[&str]) -> Outcome {
    run_in(home, folder, words, "")
}

pub(crate) const PUBLISH: [&str; 3] = ["publish", "--no-verify", "--allow-dirty"];
const YANK: [&str; 5] = ["yank", "--registry", "my", "--version=1.0.0", "hello"];
const UNYANK: [&str; 6] = ["yank", "--undo", "--registry", "my", "--version=1.0.0", "hello"];
const LOGIN: [&str; 3] = ["login", "--registry", "my"];
const LOGOUT: [&str; 3] = ["logout", "--registry", "my"];

fn owner<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["owner", "--registry", "my"], more, &["hello"]].concat()
}

#[test]
fn every_operation_uses_the_session_and_refreshes_it() {
    let server = service();
    let registry = registry(issued_by(&server));
    let (mut home, _) = Home::with_stale_session(&server);
    home.set_hosts(&[&registry.address]);
    configure(&mut home, &registry);

    let outcome = run(&home, "hello", &PUBLISH);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    let outcome = run(&home, "user", &["fetch"]);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    for words in [&YANK[..], &UNYANK, &owner(&["--add", "bob"]), &owner(&["--remove", "bob"])] {
        let outcome = run(&home, "empty", words);
        assert_eq!(outcome.status, 0, "{words:?}: {outcome:?}");
    }
    let outcome = run(&home, "empty", &owner(&["--list"]));
    assert_eq!((outcome.status, &*outcome.output), (0, "ada\n"), "{outcome:?}");
    for line in [
        "GET /index/config.json refused",
        "GET /index/config.json let in",
        "PUT /api/v1/crates/new let in",
        "GET /dl/hello/1.0.0/download let in",
        "DELETE /api/v1/crates/hello/1.0.0/yank let in",
        "PUT /api/v1/crates/hello/1.0.0/unyank let in",
        "GET /api/v1/crates/hello/owners let in",
        "PUT /api/v1/crates/hello/owners let in",
        "DELETE /api/v1/crates/hello/owners let in",
    ] {
        assert!(registry.saw(line), "{line}: {:?}", registry.seen());
    }
    assert_eq!(
        server.refresh_requests(),
        1,
        "the response has its expiry, so one request is enough"
    );

    let outcome = run(&home, "empty", &LOGOUT);
    assert!(outcome.messages.contains("not currently logged in"), "{outcome:?}");
    assert!(home.session().is_some(), "cargo's logout is no logout");
    home.set("MY_API_TOKEN", "myc_wrong");
    let outcome = run(&home, "empty", &YANK);
    assert_ne!(outcome.status, 0, "a wrong token is refused");
    assert!(outcome.messages.contains("401"), "{outcome:?}");
}

#[test]
fn cargo_login_stores_a_token_until_cargo_logout() {
    let registry = registry(Box::new(|authorization| authorization == "Token 0123"));
    let mut home = Home::new();
    configure(&mut home, &registry);
    let outcome = run(&home, "empty", &YANK);
    assert_ne!(outcome.status, 0, "the registry asks");

    let outcome = run_in(&home, "empty", &LOGIN, "Token 0123\n");
    assert_eq!(outcome.status, 0, "{outcome:?}");
    let kept = home.run(&["list"]).json()["credentials"].clone();
    assert_eq!((&kept[0]["username"], &kept[0]["kind"]), (&json!(""), &json!("login")), "{kept}");
    assert_eq!(kept[0]["url"], format!("http://{}/index", registry.address));
    assert_eq!(home.read(".cargo/credentials.toml"), None, "cargo keeps no copy");
    let outcome = run(&home, "hello", &PUBLISH);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    assert_eq!(run(&home, "user", &["fetch"]).status, 0);
    assert!(registry.saw("PUT /api/v1/crates/new let in"), "{:?}", registry.seen());

    let outcome = run(&home, "empty", &LOGOUT);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    assert_eq!(home.run(&["list"]).json()["credentials"], json!([]));
    assert_ne!(run(&home, "empty", &YANK).status, 0);
}

#[test]
fn cargo_login_and_logout_use_the_keyring() {
    let Some(keyring) = SecretService::start() else { return };
    let registry = registry(Box::new(|authorization| authorization == "Token 0123"));
    let mut home = Home::new();
    home.use_keyring(&keyring);
    configure(&mut home, &registry);
    let outcome = run_in(&home, "empty", &LOGIN, "Token 0123\n");
    assert_eq!(outcome.status, 0, "{outcome:?}");
    assert!(keyring.login().unwrap().contains("Token 0123"));
    assert!(!home.login_files_hold("Token 0123"), "no file has it");
    let outcome = run(&home, "hello", &PUBLISH);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    let outcome = run(&home, "empty", &LOGOUT);
    assert_eq!((outcome.status, keyring.login()), (0, None), "{outcome:?}");
    assert_ne!(run(&home, "empty", &YANK).status, 0);
}

#[test]
fn cargo_tries_its_next_provider_only_without_a_credential() {
    let server = service();
    let registry = registry(Box::new(|authorization| authorization == "of cargo's own file"));
    let mut home = Home::at(&server);
    configure(&mut home, &registry);
    home.write(".cargo/credentials.toml", "[registries.my]\ntoken = \"of cargo's own file\"\n");
    let outcome = run(&home, "hello", &PUBLISH);
    assert_eq!(outcome.status, 0, "a registry without a provider: {outcome:?}");

    home.set_hosts(&[&registry.address]);
    let session = server.session("me@acme.dev").unwrap();
    home.write_session(&session, Duration::ZERO, Duration::from_secs(3600));
    let failing = Fault::Answer { status: 503, body: String::new(), headers: BTreeMap::new() };
    server.fault("/v1/auth/refresh", 9, failing);
    let outcome = run(&home, "empty", &YANK);
    assert_ne!(outcome.status, 0, "the service fails, which is no \"not found\"");
    assert!(
        outcome.messages.contains("credential-my") && !outcome.messages.contains("401"),
        "{outcome:?}"
    );
}

#[test]
fn a_token_of_cargo_login_is_only_for_cargo() {
    let home = Home::new();
    let ask_cargo = |kind: &str, token: Option<&str>| {
        let request = json!({ "v": 1, "kind": kind, "operation": "read", "token": token,
            "registry": { "index-url": "sparse+https://h.dev/api/cargo/" } });
        let outcome = home.run_with(&["cargo", "--cargo-plugin"], format!("{request}\n"));
        serde_json::from_str::<Value>(outcome.output.lines().nth(1).unwrap()).unwrap()
    };
    assert_eq!(ask_cargo("login", Some("Bearer 0123")), json!({ "Ok": { "kind": "login" } }));
    let git = "capability[]=authtype\nprotocol=https\nhost=h.dev\nwwwauth[]=Bearer\n";
    assert_eq!(home.run_with(&["git", "get"], git).output, "");
    assert_eq!(home.run_with(&["docker", "get"], "h.dev").status, 1);
    assert_eq!(home.run(&["docker", "list"]).json(), json!({}));
    assert_eq!(home.run(&["keyring", "--mode=creds", "get", "https://h.dev/api/cargo/"]).status, 1);
    assert_eq!(home.run(&["get", "--url", "https://h.dev/api/cargo/"]).status, 1);

    assert_eq!(home.run_with(&["git", "erase"], git).status, 0);
    assert_eq!(home.run_with(&["docker", "erase"], "h.dev").status, 0);
    assert_eq!(ask_cargo("get", None)["Ok"]["token"], "Bearer 0123");
    assert_eq!(ask_cargo("logout", None), json!({ "Ok": { "kind": "logout" } }));
    assert_eq!(ask_cargo("get", None)["Err"]["kind"], "not-found");
}

#[test]
fn a_login_without_a_token_explains_how_to_pass_one() {
    let registry = registry(Box::new(|_| false));
    let mut home = Home::new();
    configure(&mut home, &registry);
    // Behind `--` cargo reads nothing.
    let outcome = run(&home, "empty", &["login", "--registry", "my", "--", "more"]);
    assert_ne!(outcome.status, 0);
    assert!(outcome.messages.contains("no token was passed"), "{outcome:?}");
    assert!(outcome.messages.contains("cargo login --registry NAME"), "{outcome:?}");
}

#[test]
fn without_a_session_the_hint_names_the_login_command() {
    let server = service();
    let registry = registry(issued_by(&server));
    let mut home = Home::at(&server);
    home.set_hosts(&[&registry.address]);
    configure(&mut home, &registry);
    let outcome = run(&home, "empty", &YANK);
    assert_ne!(outcome.status, 0);
    assert!(outcome.messages.contains("run `my-credential-helper login`"), "{outcome:?}");
}

#[test]
fn each_line_is_answered_before_the_next_is_sent() {
    let server = service();
    let (home, session) = Home::logged_in(&server);
    let mut helper = home.start(&["cargo", "--cargo-plugin"]);
    let mut lines = BufReader::new(helper.stdout.take().unwrap()).lines();
    let mut next = || serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(next(), json!({ "v": [1] }), "before anything is asked");
    let mut stdin = helper.stdin.take().unwrap();
    let index = format!("sparse+{}/index/", server.url());
    for (index, expected) in
        [(index.as_str(), "Ok"), ("sparse+https://h.dev/", "Err"), (&index, "Ok")]
    {
        let request = json!({ "v": 1, "kind": "get", "operation": "read", "registry": { "index-url": index } });
        writeln!(stdin, "{request}").unwrap();
        let answer = next();
        assert!(answer.get(expected).is_some(), "{answer}");
        if expected == "Ok" {
            assert_eq!(answer["Ok"]["token"], format!("Bearer {}", session.access_token));
        }
    }
    drop(stdin);
    assert!(helper.wait().unwrap().success());
}

#[test]
fn the_configuration_of_the_readme_works_from_an_empty_home() {
    let readme = include_str!("../../../integrations/cargo/README.md");
    assert!(
        readme.contains(include_str!("../../../integrations/cargo/config.toml")),
        "the README quotes what is tested"
    );
    let server = service();
    let registry = registry(issued_by(&server));
    let mut home = Home::new();
    home.put_on_path(toolchain());
    home.set("REGISTRY", &registry.address);
    home.set("TOKEN", server.api_token("me@acme.dev", "test").unwrap().token);
    check_integration(home, "cargo");
}

#[test]
fn cargo_works_after_setup() {
    let server = service();
    let registry = registry(issued_by(&server));
    let (mut home, _) = Home::logged_in(&server);
    configure(&mut home, &registry);
    let own =
        format!("# mine\n[registries.my]\nindex = \"sparse+http://{}/index/\"\n", registry.address);
    home.write(".cargo/config.toml", &own);
    assert_ne!(run(&home, "hello", &PUBLISH).status, 0);
    home.set_up("cargo", &registry.address);
    let outcome = run(&home, "hello", &PUBLISH);
    assert_eq!(outcome.status, 0, "{outcome:?}");
}
