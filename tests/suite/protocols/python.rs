//! pip and uv against an index that asks for a user and a password.

use std::process::Command;
use std::sync::LazyLock;

use account_server::Server;
use serde_json::json;

use crate::support::gate::{Gate, Permits, Request, issued_by, of_user};
use crate::support::secret_service::SecretService;
use crate::support::{Home, Outcome, check_integration, finish, has_client, service, spawn};

const WHEEL: &str = "hello-1.0.0-py3-none-any.whl";

/// Makes a wheel with a module and its metadata; its argument is the file.
const MAKE_WHEEL: &str = "
import sys, zipfile
with zipfile.ZipFile(sys.argv[1], 'w') as wheel:
    wheel.writestr('hello.py', '')
    about = 'hello-1.0.0.dist-info/'
    wheel.writestr(about + 'METADATA', 'Metadata-Version: 2.1\\nName: hello\\nVersion: 1.0.0\\n')
    wheel.writestr(about + 'WHEEL', 'Wheel-Version: 1.0\\nGenerator: x\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')
    names = ['hello.py', about + 'METADATA', about + 'WHEEL', about + 'RECORD']
    wheel.writestr(about + 'RECORD', ''.join(name + ',,\\n' for name in names))
";

/// An index that has `hello`, and takes uploads. `None` where pip or uv is not installed.
pub(crate) fn index(permits: Box<Permits>) -> Option<Gate> {
    if !["pip", "uv", "python3"].iter().all(|client| has_client(client)) || !pip_needs_no_name() {
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(WHEEL);
    make_wheel(&path);
    let wheel = std::fs::read(&path).unwrap();
    let answers = move |request: &Request| match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/simple/hello/") => {
            Some(format!("<!DOCTYPE html><a href='/files/{WHEEL}'>{WHEEL}</a>").into())
        }
        ("GET", path) if path == format!("/files/{WHEEL}") => Some(wheel.clone()),
        ("POST", "/legacy/") => Some(b"thanks".into()),
        _ => None,
    };
    Some(Gate::start("Basic realm=\"index\"", permits, Box::new(answers)))
}

/// Whether pip asks without a user name, as 26.2 and later do; told where it does not.
fn pip_needs_no_name() -> bool {
    static NEEDS_NONE: LazyLock<bool> = LazyLock::new(|| {
        let output = Command::new("pip").arg("--version").output().unwrap();
        // `pip 26.3 from …`
        let version = String::from_utf8_lossy(&output.stdout)
            .split(' ')
            .nth(1)
            .unwrap_or_default()
            .to_owned();
        version.split('.').map_while(|part| part.parse::<u32>().ok()).ge([26, 2])
    });
    *NEEDS_NONE || has_client("pip 26.2")
}

fn make_wheel(path: &std::path::Path) {
    let made = Command::new("python3").args(["-c", MAKE_WHEEL]).arg(path).status().unwrap();
    assert!(made.success());
}

/// Lets pip and uv ask the helper.
pub(crate) fn configure(home: &mut Home, index: &Gate) {
    home.link("keyring");
    let url = format!("http://{}", index.address);
    let of_index = |text: &str| text.replace("https://pypi.mycli.sh", &url);
    home.write(
        ".config/pip/pip.conf",
        &of_index(include_str!("../../../integrations/keyring/pip.conf")),
    );
    home.write(
        ".config/uv/uv.toml",
        &of_index(include_str!("../../../integrations/keyring/uv.toml")),
    );
    for name in ["PIP_NO_CACHE_DIR", "PIP_NO_INPUT", "PIP_DISABLE_PIP_VERSION_CHECK", "UV_NO_CACHE"]
    {
        home.set(name, "1");
    }
    home.set("UV_PYTHON_DOWNLOADS", "never");
}

fn run(home: &Home, line: &[&str]) -> Outcome {
    let mut command = home.command(line[0]);
    command.args(&line[1..]);
    finish(spawn(command), b"")
}

const PIP: &[&str] = &["pip", "install", "--target", "pip", "hello"];
const UV: &[&str] = &["uv", "pip", "install", "--target", "uv", "hello"];

fn of_provider() -> Option<(Server, Gate)> {
    let server = service();
    let index = index(issued_by(&server))?;
    Some((server, index))
}

#[test]
fn a_stale_session_is_refreshed_for_pip_and_for_uv() {
    for (client, line) in [("pip", PIP), ("uv", UV)] {
        let Some((server, index)) = of_provider() else { return };
        let (mut home, session) = Home::with_stale_session(&server);
        server.revoke_access(&session.access_token);
        home.set_hosts(&[&index.address]);
        configure(&mut home, &index);
        let outcome = run(&home, line);
        assert_eq!(outcome.status, 0, "{outcome:?}");
        assert!(home.read(&format!("{client}/hello.py")).is_some(), "{outcome:?}");
        assert!(index.saw(&format!("{WHEEL} let in")), "{:?}", index.seen());
        assert_eq!(server.refresh_requests(), 1);
    }
}

#[test]
fn pip_and_uv_fail_without_a_valid_credential() {
    let Some((server, index)) = of_provider() else { return };
    let mut home = Home::at(&server);
    home.set_hosts(&[&index.address]);
    configure(&mut home, &index);
    for token in ["", "myc_wrong"] {
        home.set("MY_API_TOKEN", token);
        for line in [PIP, UV] {
            let outcome = run(&home, line);
            assert_ne!(outcome.status, 0, "{outcome:?}");
        }
    }
    assert!(!index.saw("let in"), "{:?}", index.seen());
}

#[test]
fn pip_and_uv_use_a_stored_password() {
    let Some(index) = index(of_user("ada", "hun ter:2@%")) else { return };
    let url = format!("http://{}/simple/", index.address);
    for service in [url.as_str(), &index.address] {
        let mut home = Home::new();
        configure(&mut home, &index);
        let set = ["keyring", "set", service, "ada"];
        let outcome = home.run_with(&set, "hun ter:2@%\n");
        assert_eq!(
            (outcome.status, &*outcome.output, &*outcome.messages),
            (0, "", ""),
            "{service}"
        );
        for line in [PIP, UV] {
            let outcome = run(&home, line);
            assert_eq!(outcome.status, 0, "{service}: {outcome:?}");
            // uv then asks for the password alone.
            let named = url.replace("http://", "http://ada@");
            let by_name = [line, &["--index-url", &named, "--upgrade"]].concat();
            let outcome = run(&home, &by_name);
            assert_eq!(outcome.status, 0, "{service}: {outcome:?}");
        }
        assert_eq!(run(&home, &["keyring", "del", service, "ada"]).status, 0);
        assert_ne!(run(&home, PIP).status, 0);
        assert_eq!(run(&home, &["keyring", "del", service, "ada"]).status, 1, "it is gone");
    }
}

#[test]
fn a_stored_password_is_in_the_keyring_until_it_is_deleted() {
    let Some(index) = index(of_user("ada", "hunter2")) else { return };
    let Some(keyring) = SecretService::start() else { return };
    let mut home = Home::new();
    home.use_keyring(&keyring);
    configure(&mut home, &index);
    let url = format!("http://{}/simple/", index.address);
    assert_eq!(home.run_with(&["keyring", "set", &url, "ada"], "hunter2\n").status, 0);
    assert!(keyring.login().unwrap().contains("hunter2"));
    assert!(!home.login_files_hold("hunter2"), "no file has it");
    for line in [PIP, UV] {
        let outcome = run(&home, line);
        assert_eq!(outcome.status, 0, "{outcome:?}");
    }
    assert_eq!(run(&home, &["keyring", "del", &url, "ada"]).status, 0);
    assert_eq!(keyring.login(), None);
    assert_ne!(run(&home, PIP).status, 0);
}

#[test]
fn uv_publishes() {
    let Some((server, index)) = of_provider() else { return };
    let (mut home, _) = Home::logged_in(&server);
    home.set_hosts(&[&index.address]);
    configure(&mut home, &index);
    std::fs::create_dir(home.path().join("dist")).unwrap();
    let wheel = home.path().join("dist").join(WHEEL);
    make_wheel(&wheel);
    let url = format!("http://{}/legacy/", index.address);
    let line =
        ["uv", "publish", "--publish-url", &url, "--username", "token", wheel.to_str().unwrap()];
    let outcome = run(&home, &line);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    assert!(index.saw("POST /legacy/ let in"), "{:?}", index.seen());
}

#[test]
fn a_password_for_the_index_never_replaces_the_session() {
    let server = service();
    let (home, session) = Home::logged_in(&server);
    let host = server.url().trim_start_matches("http://");
    let outcome = home.run_with(&["keyring", "set", host, "token"], &session.access_token);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    assert!(outcome.messages.contains("is not stored"), "{outcome:?}");
    assert_eq!(home.run(&["keyring", "del", host, "token"]).status, 1);
    let outcome =
        home.run(&["--provider", "mycli", "keyring", "--mode=creds", "--output=json", "get", host]);
    assert_eq!(outcome.json(), json!({ "username": "token", "password": session.access_token }));
}

#[test]
fn the_configuration_of_the_readme_works_from_an_empty_home() {
    let readme = include_str!("../../../integrations/keyring/README.md");
    let files = [
        include_str!("../../../integrations/keyring/pip.conf"),
        include_str!("../../../integrations/keyring/uv.toml"),
    ];
    assert!(files.iter().all(|file| readme.contains(file)), "the README quotes what is tested");
    let Some((server, index)) = of_provider() else { return };
    let mut home = Home::new();
    home.set("INDEX", &index.address);
    home.set("TOKEN", server.api_token("me@acme.dev", "test").unwrap().token);
    check_integration(home, "keyring");
}

#[test]
fn pip_and_uv_work_after_setup() {
    let Some((server, index)) = of_provider() else { return };
    let (mut home, _) = Home::logged_in(&server);
    configure(&mut home, &index);
    let url = format!("http://{}/simple/", index.address);
    home.write(".config/pip/pip.conf", &format!("[global]\nindex-url = {url}\n"));
    let index_of_uv =
        format!("[[index]]\nurl = \"{url}\"\ndefault = true\nauthenticate = \"always\"\n");
    home.write(".config/uv/uv.toml", &index_of_uv);
    // Of the other tests: where `setup` puts it is another folder.
    std::fs::remove_file(home.path().join("bin/keyring")).unwrap();
    for (tool, line) in [("pip", PIP), ("uv", UV)] {
        assert_ne!(run(&home, line).status, 0);
        let outcome = home.run(&["setup", "--yes", tool, "--host", &index.address]);
        assert_eq!(outcome.status, 0, "{outcome:?}");
        home.put_on_path(&home.path().join(".local/share/my-credential-helper/bin"));
        let outcome = run(&home, line);
        assert_eq!(outcome.status, 0, "{outcome:?}");
    }
}
