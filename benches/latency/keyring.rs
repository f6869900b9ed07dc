//! Credentials from a real Secret Service.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::time::Duration;

use super::case::Case;
use super::measure::{Group, side_by_side};
use super::support::secret_service::SecretService;
use super::support::{Home, has_client, service, session_json};

const URL: &str = "https://registry.example.com";

/// `None` if no Secret Service can be started.
pub(crate) fn group(helper: &Path, runs: usize) -> anyhow::Result<Option<Group>> {
    let Some(keyring) = SecretService::start() else { return Ok(None) };
    let server = service();
    let home = Home::at(&server);
    let session = server.session("me@acme.dev")?;
    let text = session_json(&session, Duration::from_secs(3600), Duration::ZERO);
    keyring.store(&[("service", "mycli"), ("username", "mycli-tokens")], text.as_bytes());
    let with_bus = |case: Case| {
        case.home(home.path()).variable("DBUS_SESSION_BUS_ADDRESS", &keyring.bus_address)
    };
    let token = &session.access_token;
    let mut cases = vec![with_bus(
        Case::new("my-credential-helper, JSON", helper, &["get"]).asked("{}", token),
    )];
    if has_client("secret-tool") {
        let look_up = ["lookup", "service", "mycli", "username", "mycli-tokens"];
        cases.push(with_bus(Case::new("secret-tool", "secret-tool", &look_up).asked("", token)));
    }
    // Each Docker helper stores its own item of the credential.
    let login = format!(r#"{{"ServerURL":"{URL}","Username":"me","Secret":"a-stored-password"}}"#);
    let has_pass = has_client("pass") && make_password_store(home.path()).is_ok();
    for name in ["docker-credential-secretservice", "docker-credential-pass"] {
        if name.ends_with("pass") && !has_pass {
            continue;
        }
        let stored = || with_bus(Case::new(name, name, &["store"]).asked(&login, "")).run();
        if has_client(name) && stored().is_ok() {
            cases.push(with_bus(Case::new(name, name, &["get"]).asked(URL, "a-stored-password")));
        }
    }
    let group = side_by_side("From the keyring", &cases, runs.min(300));
    if has_pass {
        with_bus(Case::new("gpgconf", "gpgconf", &["--kill", "all"])).run()?;
    }
    group.map(Some)
}

/// Sets up `pass`: a key without a passphrase, and a store that is encrypted for it.
fn make_password_store(home: &Path) -> anyhow::Result<()> {
    std::fs::DirBuilder::new().mode(0o700).create(home.join(".gnupg"))?;
    let key =
        ["--batch", "--quiet", "--passphrase", "", "--quick-generate-key", "bench@example.com"];
    Case::new("gpg", "gpg", &key).home(home).run()?;
    Case::new("pass init", "pass", &["init", "bench@example.com"]).home(home).run()?;
    Ok(())
}
