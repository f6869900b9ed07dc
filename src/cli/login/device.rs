//! A login on another device (RFC 8628): says where to go and what to type there, and waits.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;

use super::waiting::Screen;
use crate::cli::terminal;
use crate::error::{Error, ErrorCode, Result, sanitize};
use crate::http;
use crate::http::oauth::{DeviceLogin, Granted, Service};
use crate::model::{Provider, Target};

/// How often the countdown moves.
const TICK: Duration = Duration::from_millis(100);

/// What the service gives, once the person has said yes elsewhere.
pub(super) fn log_in(service: &Service<'_>, provider: &Provider) -> Result<Granted> {
    let failed = |what: &str, error| http::failed(&provider.api_url, what, &error);
    let login = service.start_on_device().map_err(|error| failed("start the login", error))?;
    say_what_to_do(&login, provider)?;
    let screen = Screen::new(false, false);
    let end = Instant::now() + login.expires_in().min(Duration::from_secs(24 * 3600));
    let granted = service.wait_for_device(&login, |pause| wait(&screen, pause, end));
    drop(screen);
    granted.map_err(|error| match error.code() {
        "expired_token" => Error::new(ErrorCode::SessionExpired, "the code has expired")
            .with_hint(format!("start anew: `{}`", provider.command("login"))),
        "access_denied" => Error::new(
            ErrorCode::Rejected,
            format!("the login to {} was refused", provider.title()),
        ),
        _ => failed("wait for the login", error),
    })
}

/// Moves the countdown for as long; draws nothing where standard error is no terminal.
fn wait(screen: &Screen, pause: Duration, end: Instant) {
    let until = Instant::now() + pause;
    while Instant::now() < until {
        screen.show(end.saturating_duration_since(Instant::now()).as_secs());
        std::thread::sleep(TICK.min(until.saturating_duration_since(Instant::now())));
    }
}

fn say_what_to_do(login: &DeviceLogin, provider: &Provider) -> Result<()> {
    let page = page(login.verification_uri(), provider)?;
    let code = sanitize(login.user_code().secret());
    terminal::tell(&format!("Open {page} on any device, and type the code {code} there."));
    let Some(complete) = login.verification_uri_complete() else { return Ok(()) };
    let complete = self::page(complete.secret(), provider)?;
    terminal::tell(&format!("Or open {complete}, which knows the code."));
    if std::io::stderr().is_terminal()
        && let Ok(code) = QrCode::new(complete.as_bytes())
    {
        // White blocks on black, whatever the terminal's own colours are: not every camera reads it the other way round.
        let (begin, end) =
            if terminal::shows_colour(true) { ("\x1b[97;40m", "\x1b[0m") } else { ("", "") };
        let image = code
            .render::<Dense1x2>()
            .dark_color(Dense1x2::Light)
            .light_color(Dense1x2::Dark)
            .build();
        image.lines().for_each(|line| terminal::tell(&format!("{begin}{line}{end}")));
    }
    Ok(())
}

/// A page that a person may be sent to: one that nobody on the way can replace.
fn page(url: &str, provider: &Provider) -> Result<String> {
    match Target::parse(url) {
        Ok(target) if target.origin.is_safe() => Ok(sanitize(url)),
        _ => Err(Error::new(
            ErrorCode::Rejected,
            format!("{} names the page `{}`, without TLS", provider.name, sanitize(url)),
        )),
    }
}
