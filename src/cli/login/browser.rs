//! The authorization code flow in the browser of this machine (RFC 8252): opens the page of the service, and receives its
//! callback on a loopback port. One callback is accepted, and its `state` must match.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::auth::Engine;
use crate::cli::terminal;
use crate::error::{Error, ErrorCode, Result, sanitize};
use crate::http;
use crate::http::oauth::{AuthorizationRequest, Service, TokenResponse};
use crate::model::{Provider, Secret, ToolOutput};
use crate::sys::process::Launcher;

const CALLBACK_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// For one read or write of a connection.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(5);

const MAX_REQUEST: u64 = 16 * 1024;

/// Whether a browser can be expected to open where the person is.
pub(super) fn can_be_opened(engine: &Engine<'_>) -> bool {
    let is_set = |name: &str| engine.context.environment.get(name).is_some();
    if is_set("SSH_CONNECTION") || is_set("SSH_TTY") {
        return false;
    }
    cfg!(any(target_os = "macos", windows))
        || ["BROWSER", "DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME"].into_iter().any(is_set)
}

/// Logs in, and calls `save` before the page reports success.
pub(super) fn log_in(
    engine: &Engine<'_>,
    service: &Service<'_>,
    provider: &Provider,
    port: Option<u16>,
    save: impl FnOnce(TokenResponse) -> Result<ToolOutput>,
) -> Result<ToolOutput> {
    let failed = |what: &str, error| http::failed(&provider.api_url, what, &error);
    let busy = |error: std::io::Error| {
        Error::temporary(format!("no port of this machine can be used: {}", error.kind()))
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port.unwrap_or(0))).map_err(busy)?;
    let port = listener.local_addr().map_err(busy)?.port();
    let login = service
        .start_code_flow(format!("http://127.0.0.1:{port}/callback"))
        .map_err(|error| failed("start the login", error))?;
    open(engine, &login.url);
    let (browser, parameters) = wait_for_callback(&listener)?;
    let result = authorization_code(engine, service, &login, &parameters, provider)
        .and_then(|code| {
            service.exchange_code(login, &code).map_err(|error| failed("log in", error))
        })
        .and_then(save);
    send_result(&browser, result.is_ok());
    result
}

fn open(engine: &Engine<'_>, url: &str) {
    if can_be_opened(engine) && start_browser(engine, url) {
        terminal::print(&format!("The browser opens. If it does not, open\n{}", shown_whole(url)));
    } else {
        terminal::print(&format!("Open this in a browser on this machine:\n{}", shown_whole(url)));
    }
}

/// The programs that open a URL in the user's browser, where `BROWSER` names none.
const OPENERS: &[&str] = if cfg!(target_os = "macos") {
    &["/usr/bin/open"]
} else if cfg!(windows) {
    &["rundll32 url.dll,FileProtocolHandler"]
} else {
    &["wslview", "xdg-open", "gio open", "x-www-browser"]
};

/// `BROWSER` is a list of commands as xdg-open reads it: between colons, with `%s` for the URL. A relative path in it does
/// not count: it would be a program of the working directory.
fn start_browser(engine: &Engine<'_>, url: &str) -> bool {
    let environment = &engine.context.environment;
    let home = engine.context.paths.in_home("").ok();
    let launcher = Launcher::new(environment, home.as_deref());
    let named = environment.text("BROWSER").unwrap_or_default();
    let separator = if cfg!(windows) { ';' } else { ':' };
    named.split(separator).chain(OPENERS.iter().copied()).any(|command| {
        let mut words = command.split_whitespace();
        let Some(program) = words.next().and_then(|name| launcher.find(name)) else { return false };
        let mut arguments: Vec<_> = words.map(|word| word.replace("%s", url)).collect();
        if !command.contains("%s") {
            arguments.push(url.to_owned());
        }
        let child = launcher.child(&program).map(|child| child.args(arguments));
        child.and_then(|child| child.start_on_desktop(environment)).is_ok()
    })
}

/// The whole URL: [`sanitize`] would shorten it.
fn shown_whole(url: &str) -> String {
    url.chars().filter(char::is_ascii_graphic).collect()
}

/// The parameters of the first request for the redirect URI. Every other request is answered with 404.
fn wait_for_callback(listener: &TcpListener) -> Result<(TcpStream, Vec<(String, String)>)> {
    let failed = |error: std::io::Error| {
        Error::temporary(format!("the browser cannot be heard: {}", error.kind()))
    };
    listener.set_nonblocking(true).map_err(failed)?;
    let deadline = Instant::now() + CALLBACK_TIMEOUT;
    while Instant::now() < deadline {
        let Ok((browser, _)) = listener.accept() else {
            std::thread::sleep(Duration::from_millis(20));
            continue;
        };
        match read_callback(&browser) {
            Some(query) => {
                return Ok((
                    browser,
                    url::form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
                ));
            }
            None => send_page(
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
fn read_callback(browser: &TcpStream) -> Option<String> {
    browser.set_nonblocking(false).ok()?;
    browser.set_read_timeout(Some(CONNECTION_TIMEOUT)).ok()?;
    browser.set_write_timeout(Some(CONNECTION_TIMEOUT)).ok()?;
    let mut reader = BufReader::new(browser.take(MAX_REQUEST));
    let mut first = String::new();
    reader.read_line(&mut first).ok()?;
    // A connection that is closed before its request is read is reset, and the browser shows no page.
    let mut line = String::new();
    while reader.read_line(&mut line).is_ok_and(|length| length > 2) {
        line.clear();
    }
    let query = first.strip_prefix("GET /callback?")?.split(' ').next()?;
    Some(query.to_owned())
}

/// The code, if `state` is that of this login (RFC 6749, 10.12) and `iss` that of the service (RFC 9207).
fn authorization_code(
    engine: &Engine<'_>,
    service: &Service<'_>,
    login: &AuthorizationRequest,
    parameters: &[(String, String)],
    provider: &Provider,
) -> Result<Secret> {
    let value = |name: &str| {
        parameters.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    };
    let rejected = |message: String| {
        Err(Error::new(ErrorCode::Rejected, message).with_hint("nothing was saved; start anew"))
    };
    if value("state") != Some(login.state.secret()) {
        return rejected(
            "what the browser brought belongs to another login: its `state` does not match"
                .to_owned(),
        );
    }
    let issuer =
        service.issuer.as_deref().filter(|_| service.sends_issuer || value("iss").is_some());
    if let Some(issuer) = issuer
        && value("iss") != Some(issuer)
    {
        return rejected(format!("what the browser brought is not from {issuer}"));
    }
    match (value("code"), value("error")) {
        (Some(code), None) => Ok(Secret::new(code)),
        (_, Some(error)) => {
            let description = value("error_description")
                .filter(|_| engine.network.descriptions)
                .map_or_else(String::new, |text| format!(": {}", sanitize(text)));
            let (name, error) = (&provider.name, http::oauth_code(error));
            rejected(format!("{name} refused the login ({error}){description}"))
        }
        (None, None) => rejected("the browser brought no code".to_owned()),
    }
}

fn send_result(browser: &TcpStream, is_logged_in: bool) {
    if is_logged_in {
        send_page(browser, "200 OK", "You are logged in", "This window can be closed.");
    } else {
        send_page(
            browser,
            "400 Bad Request",
            "The login failed",
            "The terminal says why. This window can be closed.",
        );
    }
}

/// Sends a page that loads no other resource.
fn send_page(mut browser: &TcpStream, status: &str, heading: &str, sentence: &str) {
    let page =
        include_str!("page.html").replace("{heading}", heading).replace("{sentence}", sentence);
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\n\
         Content-Security-Policy: default-src 'none'; img-src data:; style-src 'unsafe-inline'\r\n\
         Referrer-Policy: no-referrer\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n",
        page.len()
    );
    // The login succeeds even if the browser is gone.
    let _ = browser.write_all(head.as_bytes()).and_then(|()| browser.write_all(page.as_bytes()));
}
