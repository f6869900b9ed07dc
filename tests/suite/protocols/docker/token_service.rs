//! A registry without images that accepts the tokens of its token service, which gives docker an identity
//! token to keep in the place of the password.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::json;

/// What docker is given to keep.
pub(super) const IDENTITY: &str = "identity-0123";
const ACCESS: &str = "access-4567";
/// `ada:hunter2`
const BASIC: &str = "Basic YWRhOmh1bnRlcjI=";

/// Runs until the tests end.
pub(super) struct TokenService {
    pub(super) address: String,
    seen: Arc<Mutex<Vec<String>>>,
}

impl TokenService {
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (host, journal) = (address.clone(), seen.clone());
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let _ = answer(connection, &host, &journal);
            }
        });
        Self { address, seen }
    }

    pub(super) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    pub(super) fn saw(&self, text: &str) -> bool {
        self.seen().iter().any(|line| line.contains(text))
    }

    pub(super) fn forget(&self) {
        self.seen.lock().unwrap().clear();
    }
}

fn answer(
    mut connection: TcpStream,
    host: &str,
    journal: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    // docker tries TLS first, and goes on where it is answered in HTTP.
    let mut hello = [0; 4096];
    connection.peek(&mut hello)?;
    if !hello[0].is_ascii_uppercase() {
        let _ = connection.read(&mut hello)?;
        return connection.write_all(b"HTTP/1.0 400 Bad Request\r\n\r\n");
    }
    let mut reader = BufReader::new(connection.try_clone()?);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        if line.trim().is_empty() {
            break;
        }
        lines.push(line.trim().to_owned());
    }
    let header = |name: &str| {
        let found = lines.iter().skip(1).filter_map(|line| line.split_once(": "));
        found
            .into_iter()
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.to_owned())
    };
    let length = header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let body = String::from_utf8_lossy(&body);
    let path = lines.first().and_then(|line| line.split(' ').nth(1)).unwrap_or_default();
    let authorization = header("authorization").unwrap_or_default();

    let has_identity = body.contains(&format!("refresh_token={IDENTITY}"));
    let (status, answer) = if path.starts_with("/token") {
        let token = json!({ "token": ACCESS, "access_token": ACCESS, "refresh_token": IDENTITY, "expires_in": 300 });
        if authorization == BASIC || has_identity {
            (200, token.to_string())
        } else {
            (401, String::new())
        }
    } else if authorization == format!("Bearer {ACCESS}") {
        (if path == "/v2/" { 200 } else { 404 }, "{}".to_owned())
    } else {
        (401, String::new())
    };
    let outcome = if status == 401 { "refused" } else { "let in" };
    journal.lock().unwrap().push(format!("{path} {outcome} {body}"));
    write!(
        connection,
        "HTTP/1.1 {status} -\r\nContent-Length: {}\r\nContent-Type: application/json\r\nConnection: close\r\n\
         Docker-Distribution-Api-Version: registry/2.0\r\n\
         WWW-Authenticate: Bearer realm=\"http://{host}/token\",service=\"registry\"\r\n\r\n{answer}",
        answer.len()
    )
}
