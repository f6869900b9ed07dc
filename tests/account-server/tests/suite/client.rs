//! A small blocking client, and a service for each test. Follows nothing and repeats nothing by itself.

use std::fmt::Debug;

use account_server::{Server, Settings};
use serde_json::{Value, json};
use ureq::http::{HeaderMap, Method, Request};
use ureq::{Agent, Body};

/// A service as tests want it: without the rate limit, which has tests of its own.
pub(crate) fn service() -> Server {
    start(Settings::default())
}

/// The same with these settings.
pub(crate) fn start(settings: Settings) -> Server {
    let settings = Settings { for_tests: true, rate_limit: false, ..settings };
    Server::start(settings).expect("the service starts")
}

/// What the service answered.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }

    pub(crate) fn field(&self, name: &str) -> String {
        let json = self.json();
        json[name].as_str().unwrap_or_default().to_owned()
    }

    /// The answer, which must have this status.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        self.json()
    }

    /// The answer must be this error, in the one shape that errors have.
    #[track_caller]
    pub(crate) fn expect_error(self, status: u16, code: &str) {
        let error = self.expect(status);
        let message = error["error"]["message"].as_str().unwrap_or_default();
        assert!(!message.is_empty(), "an error says what is wrong");
        let shape = json!({"error": {"code": code, "message": message}});
        assert_eq!(error, shape, "an error has a code and a message");
    }

    /// The answer must have these fields and no others.
    #[track_caller]
    pub(crate) fn expect_fields(self, status: u16, names: &[&str]) -> Value {
        let answer = self.expect(status);
        assert_fields(&answer, names);
        answer
    }
}

/// The object has these fields and no others.
#[track_caller]
pub(crate) fn assert_fields(object: &Value, names: &[&str]) {
    let object = object.as_object().expect("an object");
    let mut found: Vec<&str> = object.keys().map(String::as_str).collect();
    let mut wanted = names.to_vec();
    found.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(found, wanted, "exactly the fields that are described");
}

/// Somebody who sends requests.
#[derive(Clone)]
pub(crate) struct Client {
    agent: Agent,
    url: String,
    headers: Vec<(String, String)>,
}

impl Client {
    pub(crate) fn of(server: &Server) -> Self {
        Self::at(server.url())
    }

    pub(crate) fn at(url: &str) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_idle_connections(0);
        Self { agent: config.build().into(), url: url.to_owned(), headers: Vec::new() }
    }

    pub(crate) fn with(&self, name: &str, value: &str) -> Self {
        let mut client = self.clone();
        client.headers.push((name.to_owned(), value.to_owned()));
        client
    }

    pub(crate) fn bearer(&self, token: &str) -> Self {
        self.with("Authorization", &format!("Bearer {token}"))
    }

    pub(crate) fn get(&self, path: &str) -> Reply {
        self.empty(Method::GET, path)
    }

    pub(crate) fn delete(&self, path: &str) -> Reply {
        self.empty(Method::DELETE, path)
    }

    pub(crate) fn empty(&self, method: Method, path: &str) -> Reply {
        let request = self.request(method, path).body(()).expect("a request");
        read(self.agent.run(request)).expect("an answer")
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Reply {
        self.send(Method::POST, path, body.to_string().as_bytes()).expect("an answer")
    }

    pub(crate) fn patch(&self, path: &str, body: &Value) -> Reply {
        self.send(Method::PATCH, path, body.to_string().as_bytes()).expect("an answer")
    }

    /// Sends these bytes; what went wrong on the way is an error.
    pub(crate) fn send(
        &self,
        method: Method,
        path: &str,
        body: &[u8],
    ) -> Result<Reply, ureq::Error> {
        let request = self.request(method, path).body(body).expect("a request");
        read(self.agent.run(request))
    }

    fn request(&self, method: Method, path: &str) -> ureq::http::request::Builder {
        let uri = format!("{}{path}", self.url);
        let request = Request::builder().method(method).uri(uri);
        let headers = self.headers.iter();
        headers.fold(request, |request, (name, value)| request.header(name, value))
    }
}

fn read(response: Result<ureq::http::Response<Body>, ureq::Error>) -> Result<Reply, ureq::Error> {
    let mut response = response?;
    Ok(Reply {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        text: response.body_mut().read_to_string()?,
    })
}

/// Redeems a refresh token.
pub(crate) fn refresh(client: &Client, refresh_token: &str) -> Reply {
    client.post("/v1/auth/refresh", &json!({"refresh_token": refresh_token}))
}

/// Starts a login for the address and gives its device code.
pub(crate) fn start_login(client: &Client, email: &str) -> String {
    let started = client.post("/v1/auth/device/start", &json!({"email": email}));
    let started = started.expect(200);
    started["device_code"].as_str().expect("a code").to_owned()
}

/// Asks whether the login is confirmed.
pub(crate) fn redeem(client: &Client, device_code: &str) -> Reply {
    client.post("/v1/auth/device/token", &json!({"device_code": device_code}))
}

/// The whole walk through the mail.
pub(crate) fn log_in(server: &Server, client: &Client, email: &str) -> Value {
    let device_code = start_login(client, email);
    let code = &server.inbox()[0].code;
    let sent = json!({"device_code": device_code, "code": code});
    client.post("/v1/auth/verify-code", &sent).expect(200);
    redeem(client, &device_code).expect(200)
}
