//! The pages of this machine that the login in the browser uses (RFC 8252, 7.3): the first one redirects to the page of the
//! service, the second one is the callback. A page that redirects once keeps `state` and the PKCE challenge out of the
//! browser's arguments, which other users can read.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::error::{Error, ErrorCode, Result};
use crate::http::oauth::AuthorizationRequest;
use crate::sys::peer;

const CALLBACK_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// For the request of one connection.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(5);

const POLL_DELAY: Duration = Duration::from_millis(10);

/// One more closes the oldest: a browser sends its request as soon as it is connected.
const MAX_CONNECTIONS: usize = 64;

/// A browser sends the cookies of every server on 127.0.0.1.
const MAX_REQUEST: usize = 64 * 1024;

const MAX_HEADERS: usize = 64;

const CALLBACK: &str = "/callback";

const BAD_REQUEST: &str = "400 Bad Request";

/// On the page of a request that does not end the login.
const WAITING: &str = "The terminal still waits for the login.";

pub(super) struct Loopback {
    listener: TcpListener,
    port: u16,
    /// The path that redirects to the service; `None` after it has done so.
    start: Option<String>,
}

/// The response of the service, and the browser that waits for its page.
pub(super) struct Callback {
    parameters: Vec<(String, String)>,
    browser: TcpStream,
}

impl Callback {
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(found, _)| found == name).map(|(_, value)| &**value)
    }

    pub(super) fn send_result(&self, is_logged_in: bool) {
        if is_logged_in {
            send_page(&self.browser, "200 OK", "Login successful", "You can close this window.");
        } else {
            let sentence = "See the terminal for the reason. You can close this window.";
            send_page(&self.browser, BAD_REQUEST, "Login failed", sentence);
        }
    }
}

impl Loopback {
    /// Listens on the port of `redirect_port`, or on any.
    pub(super) fn bind(redirect_port: Option<u16>) -> Result<Self> {
        let failed = |error: std::io::Error| match redirect_port {
            Some(port) => {
                let message = format!("cannot listen on port {port}: {}", error.kind());
                let hint = "end the program that uses the port, or change `redirect_port` in config.toml and at the service";
                Error::temporary(message).with_hint(hint)
            }
            None => Error::temporary(format!("cannot listen on a local port: {}", error.kind())),
        };
        let address = (Ipv4Addr::LOCALHOST, redirect_port.unwrap_or(0));
        let listener = TcpListener::bind(address).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        Ok(Self { listener, port, start: Some(format!("/{}", uuid::Uuid::new_v4().simple())) })
    }

    pub(super) fn redirect_uri(&self) -> String {
        format!("http://127.0.0.1:{}{CALLBACK}", self.port)
    }

    pub(super) fn start_url(&self) -> String {
        format!("http://127.0.0.1:{}{}", self.port, self.start.as_deref().unwrap_or_default())
    }

    /// Serves until the service has responded to this login, whose `state` proves that (RFC 6749, 10.12).
    pub(super) fn wait(mut self, login: &AuthorizationRequest) -> Result<Callback> {
        let deadline = Instant::now() + CALLBACK_TIMEOUT;
        let mut connections = VecDeque::new();
        while Instant::now() < deadline {
            let accepted = std::iter::from_fn(|| self.listener.accept().ok());
            for (stream, peer) in accepted.take(MAX_CONNECTIONS) {
                if connections.len() == MAX_CONNECTIONS {
                    connections.pop_front();
                }
                connections.extend(Connection::new(stream, peer));
            }
            for mut connection in std::mem::take(&mut connections) {
                match connection.read() {
                    State::Reading => connections.push_back(connection),
                    State::Closed => {}
                    State::Received => {
                        if let Some(callback) = self.respond(connection, login) {
                            return Ok(callback);
                        }
                    }
                }
            }
            std::thread::sleep(POLL_DELAY);
        }
        Err(Error::new(
            ErrorCode::SessionExpired,
            "timed out after 10 minutes waiting for the login in the browser",
        )
        .with_hint("start the login again"))
    }

    /// Responds to every request except the callback of this login, which is returned.
    fn respond(
        &mut self,
        connection: Connection,
        login: &AuthorizationRequest,
    ) -> Option<Callback> {
        let Connection { stream: browser, peer, request, .. } = connection;
        let Some(target) = target(&request, self.port) else {
            send_page(&browser, BAD_REQUEST, "The request cannot be used", WAITING);
            return None;
        };
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        if path == CALLBACK {
            let parameters = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
            let callback = Callback { parameters, browser };
            if callback.value("state") == Some(login.state.secret()) {
                return Some(callback);
            }
            send_page(&callback.browser, BAD_REQUEST, "The page belongs to another login", WAITING);
        } else if self.start.as_deref() == Some(&*target) && !peer::is_other_user(peer, self.port) {
            self.start = None;
            send(&browser, "303 See Other", &format!("Location: {}\r\n", login.url), "");
        } else {
            send_page(&browser, "404 Not Found", "Page not found", WAITING);
        }
        None
    }
}

/// The target of a GET request to this server. Another `Host` names a page whose name server answers with 127.0.0.1.
fn target(request: &[u8], port: u16) -> Option<String> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    parsed.parse(request).ok().filter(httparse::Status::is_complete)?;
    let mut hosts = parsed.headers.iter().filter(|header| header.name.eq_ignore_ascii_case("host"));
    let host = std::str::from_utf8(hosts.next()?.value).ok()?;
    let is_ours = host
        .strip_prefix("127.0.0.1")
        .is_some_and(|rest| rest == format!(":{port}") || rest.is_empty() && port == 80);
    let is_valid = is_ours && hosts.next().is_none() && parsed.method == Some("GET");
    parsed.path.filter(|_| is_valid).map(str::to_owned)
}

struct Connection {
    stream: TcpStream,
    peer: SocketAddr,
    request: Vec<u8>,
    deadline: Instant,
}

enum State {
    Reading,
    /// The head of the request is complete, or cannot become a valid one.
    Received,
    Closed,
}

impl Connection {
    fn new(stream: TcpStream, peer: SocketAddr) -> Option<Self> {
        stream.set_nonblocking(true).ok()?;
        Some(Self {
            stream,
            peer,
            request: Vec::new(),
            deadline: Instant::now() + CONNECTION_TIMEOUT,
        })
    }

    /// Reads what is there, without waiting.
    fn read(&mut self) -> State {
        let (mut chunk, mut is_open) = ([0; 4096], true);
        while self.request.len() <= MAX_REQUEST {
            match self.stream.read(&mut chunk) {
                Ok(0) => {
                    is_open = false;
                    break;
                }
                Ok(count) => self.request.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return State::Closed,
            }
        }
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        match httparse::Request::new(&mut headers).parse(&self.request) {
            Ok(httparse::Status::Partial) if self.request.len() > MAX_REQUEST => State::Received,
            Ok(httparse::Status::Partial) if is_open && Instant::now() < self.deadline => {
                State::Reading
            }
            Ok(httparse::Status::Partial) => State::Closed,
            Ok(httparse::Status::Complete(_)) | Err(_) => State::Received,
        }
    }
}

/// A page that loads no other resource.
fn send_page(browser: &TcpStream, status: &str, heading: &str, sentence: &str) {
    let page =
        include_str!("page.html").replace("{heading}", heading).replace("{sentence}", sentence);
    send(browser, status, "Content-Type: text/html; charset=utf-8\r\n", &page);
}

fn send(mut browser: &TcpStream, status: &str, header: &str, body: &str) {
    let head = format!(
        "HTTP/1.1 {status}\r\n{header}Content-Length: {}\r\n\
         Content-Security-Policy: default-src 'none'; img-src data:; style-src 'unsafe-inline'\r\n\
         Referrer-Policy: no-referrer\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n",
        body.len()
    );
    // It fits into the buffer of the connection. The login succeeds even if the browser is gone.
    let _ = browser.write_all((head + body).as_bytes());
}
