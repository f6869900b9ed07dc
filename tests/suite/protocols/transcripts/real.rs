//! A transcript against the real program, in a home of its own, with a real account service.

use std::io::Write as _;
use std::process::Child;
use std::time::{Duration, Instant};

use account_server::{Fault, Server};
use my_credential_helper::auth::with_engine;
use my_credential_helper::config::{Context, Overrides, Paths};
use my_credential_helper::model::{
    CredentialRequest, Framing, Secret, StoreRequest, Target, Timestamp, ToolTraits,
};
use my_credential_helper::protocols::json::NAME as JSON;
use my_credential_helper::protocols::run::json_tool;
use my_credential_helper::protocols::{self, Tool};
use my_credential_helper::sys::clock;
use my_credential_helper::sys::env::Environment;
use serde_json::json;

use super::format::{Exchange, Service, Session, Transcript, UrlCredential};
use super::values::Values;
use super::{Written, compare, each_call};
use crate::support::{self, Home, Outcome};

/// Longer than any call takes.
const TIMEOUT: Duration = Duration::from_secs(20);

/// How long before its expiry a token of 15 minutes is reported to expire, in seconds.
const LEEWAY: i64 = 60;

/// Runs every call, one after the other.
pub(super) fn run(tool: &Tool, transcript: &Transcript, shared: &Server) -> Result<(), String> {
    // Its fault must not affect other transcripts.
    let own = transcript.environment.service.map(|_| support::service());
    let mut scene = Scene::new(transcript, own.as_ref().unwrap_or(shared));
    each_call(transcript, |exchange| {
        let Outcome { output, messages, status } = scene.call(tool, exchange)?;
        scene.update_refreshed_session();
        compare(exchange, &scene.values, &Written { output: &output, messages: &messages, status })
    })
}

/// A home and its values.
struct Scene {
    home: Home,
    values: Values,
    /// The access token that was written, until a refresh replaces it.
    written: Option<String>,
}

impl Scene {
    fn new(transcript: &Transcript, service: &Server) -> Self {
        let environment = &transcript.environment;
        let mut scene = Self { home: Home::at(service), values: Values::new(), written: None };
        let email = format!("{}@acme.dev", transcript.name.replace(['/', '_'], "-"));
        let port = service.url().rsplit(':').next().unwrap_or_default();
        scene.values.set("port", port);
        scene.values.set("home", scene.home.path().display().to_string());
        scene
            .values
            .set("api_token", service.api_token(&email, "transcript").expect("a token").token);
        let session = service.session_on(&email, Some("laptop")).expect("a session");
        scene.values.set("access_token", &session.access_token);
        scene.values.set("refresh_token", &session.refresh_token);
        if let Some(state) = environment.session {
            scene.write_session(state, &session);
        }
        match environment.service {
            None => {}
            // The next login on a device revokes its former session.
            Some(Service::Revoked) => {
                drop(service.session_on(&email, Some("laptop")).expect("a session"));
            }
            Some(Service::Failing) => {
                let answer = Fault::Answer { status: 503, body: String::new(), headers: [].into() };
                service.fault("/v1/auth/refresh", 100, answer);
            }
        }
        let filled = |text: &String| scene.values.fill(text);
        let config: String = environment.config.iter().map(|line| filled(line) + "\n").collect();
        scene.home.configure(&config);
        for (path, contents) in &environment.files {
            scene.home.write(path, &filled(contents));
        }
        for credential in &environment.url_credentials {
            store(&scene.home, &scene.values, credential);
        }
        for (name, value) in &environment.variables {
            let value = scene.values.fill(value);
            scene.home.set(name, value);
        }
        scene
    }

    fn write_session(&mut self, state: Session, session: &account_server::Session) {
        let (left, age) = match state {
            Session::Fresh => (600, 300),
            Session::Late => (200, 700),
            Session::Expiring => (30, 870),
            Session::Stale => (0, 3600),
            Session::ApiToken => {
                let token = self.values.fill("${api_token}");
                self.home.write(
                    ".my/credentials.json",
                    &json!({ "access_token": token, "refresh_token": "", "expires_at": "9999-12-31T00:00:00Z" })
                        .to_string(),
                );
                return;
            }
        };
        let now = Timestamp::from_unix(clock::now().unix());
        let (expires_at, received_at) = (after(now, left), after(now, -age));
        let account_server::Session { access_token, refresh_token, .. } = session;
        let file = json!({
            "access_token": access_token, "refresh_token": refresh_token, "expires_at": expires_at.to_string(),
            "logged_in_at": received_at.to_string(), "last_refreshed_at": received_at.to_string(),
        });
        self.home.write(".my/credentials.json", &file.to_string());
        // A stale token is reported with its real expiry.
        let reported = after(expires_at, if left > LEEWAY { -LEEWAY } else { 0 });
        self.values.set("expires_at", reported.to_whole_seconds());
        self.values.set("expires_at_unix", reported.unix().to_string());
        self.written = Some(access_token.clone());
    }

    /// The first new token is the refreshed one; a second refresh would be an error.
    fn update_refreshed_session(&mut self) {
        let Some(session) = self.home.session() else { return };
        let field = |name: &str| session[name].as_str().map(str::to_owned);
        if let (Some(token), Some(expires_at)) = (field("access_token"), field("expires_at"))
            && self.written.as_ref().is_some_and(|written| *written != token)
        {
            let reported = after(Timestamp::parse(&expires_at).expect("a time"), -LEEWAY);
            self.values.set("refreshed_token", token);
            self.values.set("refreshed_expires_at", reported.to_whole_seconds());
            self.values.set("refreshed_expires_at_unix", reported.unix().to_string());
            self.written = None;
        }
    }

    fn call(&self, tool: &Tool, exchange: &Exchange) -> Result<Outcome, String> {
        let operation = exchange.arguments.first();
        let is_operation =
            operation.is_some_and(|name| json_tool().operations.contains(&name.as_str()));
        let name = exchange.called_as.as_deref();
        let mut command = self.home.helper(name.unwrap_or("my-credential-helper"));
        if name.is_none() && !(tool.name == JSON && is_operation) {
            command.arg(tool.name);
        }
        command.args(exchange.arguments.iter().map(|argument| self.values.fill(argument)));
        let (child, input) = (support::spawn(command), exchange.input.filled(&self.values));
        let outcome = if exchange.stays_open {
            finish_open(child, &input)?
        } else {
            support::finish(child, input.as_bytes())
        };
        let outcome = self.home.as_on_linux(outcome);
        let Framing::Conversation(greeting) = (tool.framing)(&exchange.arguments) else {
            return Ok(outcome);
        };
        // A transcript does not have it.
        match outcome.output.strip_prefix(greeting) {
            Some(output) => Ok(Outcome { output: output.to_owned(), ..outcome }),
            None => Err(format!("there is no greeting: {outcome:?}")),
        }
    }
}

/// Waits for the exit with standard input still open.
fn finish_open(mut child: Child, input: &str) -> Result<Outcome, String> {
    let mut stdin = child.stdin.take().expect("a pipe");
    let _ = stdin.write_all(input.as_bytes());
    let started = Instant::now();
    while child.try_wait().expect("a child").is_none() {
        if started.elapsed() > TIMEOUT {
            let _ = child.kill();
            return Err("the program waits for the end of standard input".to_owned());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    drop(stdin);
    let output = child.wait_with_output().expect("an exit");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (output, messages, status) =
        (text(&output.stdout), text(&output.stderr), output.status.code().unwrap_or(-1));
    Ok(Outcome { output, messages, status })
}

fn after(time: Timestamp, seconds: i64) -> Timestamp {
    time.plus(time::Duration::seconds(seconds))
}

/// Stores a credential as the program would. It belongs to this home, and there is no keyring.
fn store(home: &Home, values: &Values, credential: &UrlCredential) {
    let UrlCredential { url, username, secret, tool, refresh_token, expires_at } = credential;
    let name = tool.as_deref().map(|name| protocols::run::tool(name).expect("a tool").name);
    let target = Target::parse(&values.fill(url)).expect("a URL");
    let request = CredentialRequest {
        target: Some(target),
        username: Some(username.clone()),
        tool: ToolTraits { name, ..ToolTraits::default() },
        ..CredentialRequest::default()
    };
    let store = StoreRequest {
        refresh_token: refresh_token.clone().map(Secret::new),
        expires_at: expires_at.as_deref().map(|text| Timestamp::parse(text).expect("a time")),
        ..StoreRequest::new(request, Secret::new(values.fill(secret)))
    };
    let context =
        Context::new(Environment::Fixed([].into()), Paths::at(home.path()), Overrides::default());
    with_engine(&context, |engine| engine.store(store)).expect("the credential is stored");
}
