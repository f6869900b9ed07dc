//! Real OAuth 2 services that others have written, each in a process of its own, and a person who logs in there.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;

use super::gate::{Permits, for_tokens};
use super::ports::free_address;
use super::{Home, has_client};

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suite/support/services");

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// django-oauth-toolkit.
    Django,
    Glewlwyd,
    /// The Gitea or Forgejo that `MY_TEST_FORGE` names.
    Forge,
}

/// A running service with the user `ada`; it ends when this is dropped, and with the tests.
pub(crate) struct RealService {
    pub(crate) kind: Kind,
    /// What the service says of itself: `issuer`, `userinfo`, and the settings of clients.
    facts: Value,
    child: Child,
    questions: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Drop for RealService {
    fn drop(&mut self) {
        self.questions = None;
        let _ = self.child.wait();
    }
}

impl RealService {
    /// A service whose access tokens are valid for `lifetime` seconds; `None`, with a message, if it is not installed.
    pub(crate) fn start(kind: Kind, lifetime: u64) -> Option<Self> {
        let script = match kind {
            Kind::Django if has_module("oauth2_provider") => "django_service.py",
            Kind::Glewlwyd if has_client("glewlwyd") && has_client("python3") => {
                "glewlwyd_service.py"
            }
            Kind::Forge if is_forge_named() && has_client("python3") => "forge_service.py",
            _ => return None,
        };
        let address = free_address();
        let port: u16 =
            address.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
        let mut command = Command::new("python3");
        command.arg(format!("{SCRIPTS}/{script}"));
        command.args([lifetime.to_string(), port.to_string(), (port + 1).to_string()]);
        // Django notes each error of a client.
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("python3 starts");
        let questions = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut service = Self { kind, facts: Value::Null, child, questions, answers };
        service.facts = service.answer();
        Some(service)
    }

    fn answer(&mut self) -> Value {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("a line");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{:?}: {error}", self.kind))
    }

    fn ask(&mut self, question: &str) -> Value {
        writeln!(self.questions.as_mut().expect("a pipe"), "{question}").expect("the service runs");
        self.answer()
    }

    /// The numbers of the successful and of the rejected refreshes.
    pub(crate) fn refreshes(&mut self) -> (u64, u64) {
        let counted = self.ask("refreshes");
        let number = |index: usize| counted[index].as_u64().expect("a number");
        (number(0), number(1))
    }

    /// Ends every login, as an administrator does.
    pub(crate) fn end_logins(&mut self) {
        self.ask("end");
    }

    pub(crate) fn fact(&self, name: &str) -> &str {
        self.facts[name].as_str().expect("a text")
    }

    /// Whether the service accepts the token.
    pub(crate) fn accepts(&self, token: &str) -> bool {
        is_accepted(self.fact("userinfo"), token)
    }

    /// Whether the value of `Authorization` has a token that the service accepts.
    pub(crate) fn permits(&self) -> Box<Permits> {
        let userinfo = self.fact("userinfo").to_owned();
        for_tokens(move |token| is_accepted(&userinfo, token))
    }

    pub(crate) fn userinfo(&self) -> &str {
        self.fact("userinfo")
    }

    /// A home with the service as its default provider `acme`; `client` is one of the facts, or settings.
    pub(crate) fn home(&self, client: &str) -> Home {
        let mut home = Home::new();
        let client = self.facts[client].as_str().unwrap_or(client);
        let otherwise = "kind = \"oauth\"\nscopes = [\"openid\", \"read\"]";
        let settings = self.facts["settings"].as_str().unwrap_or(otherwise);
        home.configure(&format!(
            "provider = \"acme\"\n[providers.acme]\nissuer = \"{}\"\n{settings}\n{client}\n",
            self.fact("issuer")
        ));
        Self::add_person(&mut home);
        home
    }

    /// Gives the home a browser with a person, whose decision is in the file `decision`.
    pub(crate) fn add_person(home: &mut Home) {
        home.set("MY_NO_KEYRING", "1");
        let person = format!(
            "#!/bin/sh\nexec python3 {SCRIPTS}/person.py \"$1\" \"$(cat \"$HOME/decision\")\"\n"
        );
        let browser = home.write("browser", &person);
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(&browser, mode).expect("it is ours");
        home.set("BROWSER", browser);
    }

    /// A home that is logged in.
    pub(crate) fn logged_in(&self) -> Home {
        let home = self.home("browser");
        home.write("decision", "allow");
        let outcome = home.run(&["login", "--browser"]);
        assert_eq!(outcome.status, 0, "{outcome:?}");
        home
    }
}

pub(crate) fn is_accepted(userinfo: &str, token: &str) -> bool {
    let request = ureq::get(userinfo).header("Authorization", format!("Bearer {token}"));
    request.call().is_ok()
}

/// What the person does with the code of a device.
pub(crate) fn decide(page: &str, decision: &str, code: &str) {
    let mut command = Command::new("python3");
    command.args([&format!("{SCRIPTS}/person.py"), page, decision, code]);
    assert!(command.status().expect("python3 starts").success());
}

/// Whether there is a forge for the tests; no package has one, so that its tests never fail without it.
fn is_forge_named() -> bool {
    let is_named = std::env::var_os("MY_TEST_FORGE").is_some();
    if !is_named {
        let message = b"SKIPPED: a test needs Gitea or Forgejo: set MY_TEST_FORGE to the program\n";
        let _ = std::io::stderr().write_all(message);
    }
    is_named
}

/// Whether Python has the module; otherwise as [`has_client`].
fn has_module(name: &str) -> bool {
    let mut command = Command::new("python3");
    command.args(["-c", &format!("import {name}")]).stderr(Stdio::null());
    let found = has_client("python3") && command.status().is_ok_and(|status| status.success());
    let required = std::env::var_os("MY_TEST_REQUIRE_CLIENTS").is_some();
    assert!(found || !required, "Python's {name} is not installed, and clients are required");
    if !found {
        let message = "SKIPPED: a test needs Python's";
        let _ = writeln!(std::io::stderr(), "{message} {name}, which is not installed");
    }
    found
}
