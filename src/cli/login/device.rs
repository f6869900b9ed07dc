//! The device code flow (RFC 8628): prints the page and the code to type there, and waits for the session.

use std::cell::{Cell, RefCell};
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;

use super::waiting::{Spinner, TICK};
use crate::auth::Engine;
use crate::cli::terminal;
use crate::error::{Error, ErrorCode, Result, sanitize};
use crate::http;
use crate::http::oauth::{Code, DeviceLogin, Service, TokenResponse};
use crate::model::{Provider, Target, Timestamp};

/// Returns the tokens, and the time before the request for them was sent.
pub(super) fn log_in(
    engine: &Engine<'_>,
    service: &Service<'_>,
    provider: &Provider,
) -> Result<(TokenResponse, Timestamp)> {
    let failed = |what: &str, error| http::failed(&provider.api_url, what, &error);
    let login = service.start_device_flow().map_err(|error| failed("start the login", error))?;
    print_instructions(&login, provider)?;
    let spinner = RefCell::new(Spinner::new(false));
    let expiry = Instant::now() + login.authorization.expires_in();
    let requested = Cell::new(engine.clock.now());
    let issued = service.poll_device_flow(&login, |pause| {
        wait(&mut spinner.borrow_mut(), pause, expiry);
        requested.set(engine.clock.now());
    });
    drop(spinner);
    issued.map(|issued| (issued, requested.get())).map_err(|error| match error.code() {
        Some(Code::ExpiredToken) => Error::new(ErrorCode::SessionExpired, "the code has expired")
            .with_hint(format!("start the login again: `{}`", provider.command("login"))),
        Some(Code::AccessDenied) => {
            Error::new(ErrorCode::Rejected, format!("the login to {} was denied", provider.title()))
        }
        _ => failed("wait for the login", error),
    })
}

/// Sleeps, and moves the countdown meanwhile.
fn wait(spinner: &mut Spinner, pause: Duration, expiry: Instant) {
    let until = Instant::now() + pause;
    while Instant::now() < until {
        spinner.draw(expiry.saturating_duration_since(Instant::now()).as_secs(), "");
        std::thread::sleep(TICK.min(until.saturating_duration_since(Instant::now())));
    }
}

fn print_instructions(
    DeviceLogin { authorization: login, .. }: &DeviceLogin,
    provider: &Provider,
) -> Result<()> {
    let page = safe_page(login.verification_uri(), provider)?;
    let code = sanitize(login.user_code().secret());
    terminal::print(&format!("Open {page} on any device, and enter the code {code}."));
    let Some(complete) = login.verification_uri_complete() else { return Ok(()) };
    let complete = safe_page(complete.secret(), provider)?;
    terminal::print(&format!("Or open {complete}, which includes the code."));
    if std::io::stderr().is_terminal()
        && let Ok(code) = QrCode::new(complete.as_bytes())
    {
        // White on black in every colour scheme: some cameras do not read an inverted code.
        let (begin, end) =
            if terminal::shows_colour(true) { ("\x1b[97;40m", "\x1b[0m") } else { ("", "") };
        let image = code
            .render::<Dense1x2>()
            .dark_color(Dense1x2::Light)
            .light_color(Dense1x2::Dark)
            .build();
        image.lines().for_each(|line| terminal::print_image(&format!("{begin}{line}{end}")));
    }
    Ok(())
}

/// A page that the user may be sent to. Without TLS, others on the network could replace it.
fn safe_page(url: &str, provider: &Provider) -> Result<String> {
    match Target::parse(url) {
        Ok(target) if target.origin.is_safe() => Ok(sanitize(url)),
        _ => Err(Error::new(
            ErrorCode::Rejected,
            format!("{} returned a page without TLS", provider.name),
        )),
    }
}
