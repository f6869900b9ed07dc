//! A server on loopback that requires the right `Authorization` and records the requests, for package registries.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use account_server::Server;
use base64::Engine as _;

use super::http;

/// Runs until the tests end.
pub(crate) struct Gate {
    /// Host and port.
    pub(crate) address: String,
    seen: Arc<Mutex<Vec<String>>>,
}

/// A request that was let in.
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) body: Vec<u8>,
    /// Of the gate.
    pub(crate) address: String,
}

/// The body of a response behind the gate; `None` for an unknown path.
pub(crate) type Answers = dyn Fn(&Request) -> Option<Vec<u8>> + Send + Sync;

/// Whether a value of `Authorization` opens the gate.
pub(crate) type Permits = dyn Fn(&str) -> bool + Send + Sync;

impl Gate {
    /// The `WWW-Authenticate` of a rejection.
    pub(crate) fn start(
        challenge: &'static str,
        permits: Box<Permits>,
        answers: Box<Answers>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (own, journal, served) = (address.clone(), seen.clone(), Arc::new((permits, answers)));
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let (own, journal, served) = (own.clone(), journal.clone(), served.clone());
                std::thread::spawn(move || serve(&connection, own, challenge, &served, &journal));
            }
        });
        Self { address, seen }
    }

    /// `GET /index/config.json let in`, a line each.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().expect("no panic").clone()
    }

    pub(crate) fn saw(&self, text: &str) -> bool {
        self.seen().iter().any(|line| line.contains(text))
    }
}

/// A gate that asks the account service whether it issued the token, be it a Bearer token or the password of a user.
pub(crate) fn issued_by(server: &Server) -> Box<Permits> {
    let url = server.url().to_owned();
    for_tokens(move |token| http::is_accepted(&url, token))
}

/// A gate for these tokens, be they Bearer tokens or passwords.
pub(crate) fn for_tokens(accepts: impl Fn(&str) -> bool + Send + Sync + 'static) -> Box<Permits> {
    Box::new(move |authorization| {
        let token = match authorization.strip_prefix("Basic ") {
            Some(basic) => decoded(basic).split_once(':').map(|(_, password)| password.to_owned()),
            None => authorization.strip_prefix("Bearer ").map(str::to_owned),
        };
        token.is_some_and(|token| accepts(&token))
    })
}

/// `user:password`
pub(crate) fn decoded(basic: &str) -> String {
    let bytes = base64::engine::general_purpose::STANDARD.decode(basic).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A gate that knows one user.
pub(crate) fn of_user(user: &str, password: &str) -> Box<Permits> {
    let expected = format!("{user}:{password}");
    Box::new(move |authorization| {
        authorization.strip_prefix("Basic ").is_some_and(|basic| decoded(basic) == expected)
    })
}

fn serve(
    mut connection: &TcpStream,
    address: String,
    challenge: &str,
    served: &(Box<Permits>, Box<Answers>),
    journal: &Mutex<Vec<String>>,
) -> Option<()> {
    let mut reader = BufReader::new(connection);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        if line.trim().is_empty() {
            break;
        }
        lines.push(line.trim().to_owned());
    }
    let header = |name: &str| {
        let mut headers = lines.iter().skip(1).filter_map(|line| line.split_once(": "));
        headers.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    };
    if header("expect").is_some() {
        connection.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").ok()?;
    }
    let body = match header("content-length") {
        Some(length) => {
            let mut body = vec![0; length.parse().ok()?];
            reader.read_exact(&mut body).ok()?;
            body
        }
        None if header("transfer-encoding").is_some() => chunks(&mut reader)?,
        None => Vec::new(),
    };
    let mut words = lines.first()?.split(' ').map(str::to_owned);
    let request = Request { method: words.next()?, path: words.next()?, body, address };
    let (permits, answers) = served;
    let is_let_in = header("authorization").is_some_and(permits);
    let outcome = if is_let_in { "let in" } else { "refused" };
    journal
        .lock()
        .expect("no panic")
        .push(format!("{} {} {outcome}", request.method, request.path));
    let answer = if is_let_in { answers(&request) } else { None };
    let (status, challenge) = match (&answer, is_let_in) {
        (_, false) => ("401 Unauthorized", format!("WWW-Authenticate: {challenge}\r\n")),
        (Some(_), true) => ("200 OK", String::new()),
        (None, true) => ("404 Not Found", String::new()),
    };
    let body = answer.unwrap_or_default();
    let kind = if body.starts_with(b"{") { "application/json" } else { "text/html" };
    let length = body.len();
    let head = format!(
        "{challenge}Content-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    connection.write_all(format!("HTTP/1.1 {status}\r\n{head}").as_bytes()).ok()?;
    connection.write_all(&body).ok()
}

fn chunks(reader: &mut impl std::io::BufRead) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let length = usize::from_str_radix(line.trim(), 16).ok()?;
        // Each chunk ends with CR LF.
        let mut chunk = vec![0; length + 2];
        reader.read_exact(&mut chunk).ok()?;
        if length == 0 {
            return Some(body);
        }
        body.extend_from_slice(&chunk[..length]);
    }
}
