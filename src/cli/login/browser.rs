//! A login in the browser of this machine (RFC 8252): opens the service's page, and takes what it brings back on a
//! loopback port. One answer is taken, and only the one that belongs to this login.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::auth::Engine;
use crate::cli::terminal;
use crate::error::{Error, ErrorCode, Result, sanitize};
use crate::http;
use crate::http::oauth::{BrowserLogin, Granted, Service};
use crate::model::{Provider, ToolOutput};

/// How long the person has.
const PATIENCE: Duration = Duration::from_secs(10 * 60);

/// How long a browser may take to say what it wants.
const SLOWEST: Duration = Duration::from_secs(5);

/// The longest line of a request.
const LONGEST: u64 = 16 * 1024;

/// Whether a browser can be expected to open where the person is.
pub(super) fn can_be_opened(engine: &Engine<'_>) -> bool {
    let is_set = |name: &str| engine.context.environment.get(name).is_some();
    if is_set("SSH_CONNECTION") || is_set("SSH_TTY") {
        return false;
    }
    cfg!(any(target_os = "macos", windows))
        || ["BROWSER", "DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME"].into_iter().any(is_set)
}

/// Logs in, and does `keep` with what the service gives before the page is told that it went well.
pub(super) fn log_in(
    engine: &Engine<'_>,
    service: &Service<'_>,
    provider: &Provider,
    port: Option<u16>,
    keep: impl FnOnce(Granted) -> Result<ToolOutput>,
) -> Result<ToolOutput> {
    let failed = |what: &str, error| http::failed(&provider.api_url, what, &error);
    let busy = |error: std::io::Error| {
        Error::temporary(format!("no port of this machine can be used: {}", error.kind()))
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port.unwrap_or(0))).map_err(busy)?;
    let port = listener.local_addr().map_err(busy)?.port();
    let login = service
        .start_in_browser(format!("http://127.0.0.1:{port}/callback"))
        .map_err(|error| failed("start the login", error))?;
    open(engine, &login.url);
    let (browser, answer) = wait(&listener)?;
    let kept = code(service, &login, &answer, provider)
        .and_then(|code| service.redeem_code(login, code).map_err(|error| failed("log in", error)))
        .and_then(keep);
    tell(&browser, kept.is_ok());
    kept
}

fn open(engine: &Engine<'_>, url: &str) {
    if can_be_opened(engine) && webbrowser::open(url).is_ok() {
        terminal::tell(&format!("The browser opens. If it does not, open\n{}", shown_whole(url)));
    } else {
        terminal::tell(&format!("Open this in a browser on this machine:\n{}", shown_whole(url)));
    }
}

/// It is a URL as the library wrote it, and cut it would be of no use.
fn shown_whole(url: &str) -> String {
    url.chars().filter(char::is_ascii_graphic).collect()
}

/// The parameters of the first call of the page that was named to the service; whatever else a browser asks for is not
/// there.
fn wait(listener: &TcpListener) -> Result<(TcpStream, Vec<(String, String)>)> {
    let broken = |error: std::io::Error| {
        Error::temporary(format!("the browser cannot be heard: {}", error.kind()))
    };
    listener.set_nonblocking(true).map_err(broken)?;
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        let Ok((browser, _)) = listener.accept() else {
            std::thread::sleep(Duration::from_millis(20));
            continue;
        };
        match called(&browser) {
            Some(query) => {
                return Ok((
                    browser,
                    url::form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
                ));
            }
            None => write(
                &browser,
                "404 Not Found",
                "Nothing is here",
                "A login comes back to another page.",
            ),
        }
    }
    Err(Error::new(ErrorCode::SessionExpired, "nobody logged in within 10 minutes")
        .with_hint("start anew"))
}

/// The query of `GET /callback?…`.
fn called(browser: &TcpStream) -> Option<String> {
    browser.set_nonblocking(false).ok()?;
    browser.set_read_timeout(Some(SLOWEST)).ok()?;
    browser.set_write_timeout(Some(SLOWEST)).ok()?;
    let mut reader = BufReader::new(browser.take(LONGEST));
    let mut first = String::new();
    reader.read_line(&mut first).ok()?;
    // To the end of the request: what is closed unread is a broken connection to the browser.
    let mut line = String::new();
    while reader.read_line(&mut line).is_ok_and(|length| length > 2) {
        line.clear();
    }
    let query = first.strip_prefix("GET /callback?")?.split(' ').next()?;
    Some(query.to_owned())
}

/// The code, if the answer belongs to this login and comes from this service (RFC 6749, 10.12; RFC 9207).
fn code(
    service: &Service<'_>,
    login: &BrowserLogin,
    answer: &[(String, String)],
    provider: &Provider,
) -> Result<String> {
    let value = |name: &str| {
        answer.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    };
    let refused = |what: String| {
        Err(Error::new(ErrorCode::Rejected, what).with_hint("nothing was saved; start anew"))
    };
    if value("state") != Some(login.state.secret()) {
        return refused(
            "what the browser brought belongs to another login: its `state` does not match"
                .to_owned(),
        );
    }
    let issuer =
        service.issuer.as_deref().filter(|_| service.names_itself || value("iss").is_some());
    if let Some(issuer) = issuer
        && value("iss") != Some(issuer)
    {
        return refused(format!("what the browser brought is not from {issuer}"));
    }
    match (value("code"), value("error")) {
        (Some(code), None) => Ok(code.to_owned()),
        (_, Some(error)) => {
            let words = value("error_description")
                .map_or_else(String::new, |words| format!(": {}", sanitize(words)));
            refused(format!("{} refused the login ({}){words}", provider.name, sanitize(error)))
        }
        (None, None) => refused("the browser brought no code".to_owned()),
    }
}

fn tell(browser: &TcpStream, is_logged_in: bool) {
    if is_logged_in {
        write(browser, "200 OK", "You are logged in", "This window can be closed.");
    } else {
        write(
            browser,
            "400 Bad Request",
            "The login failed",
            "The terminal says why. This window can be closed.",
        );
    }
}

/// A page that loads nothing from anywhere.
fn write(mut browser: &TcpStream, status: &str, heading: &str, sentence: &str) {
    let page =
        include_str!("page.html").replace("{heading}", heading).replace("{sentence}", sentence);
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\n\
         Content-Security-Policy: default-src 'none'; img-src data:; style-src 'unsafe-inline'\r\n\
         Referrer-Policy: no-referrer\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n",
        page.len()
    );
    // The login does not depend on whether the page is seen.
    let _ = browser.write_all(head.as_bytes()).and_then(|()| browser.write_all(page.as_bytes()));
}
