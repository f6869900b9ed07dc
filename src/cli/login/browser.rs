//! The authorization code flow in the browser of this machine (RFC 8252), with its callback on a loopback port.

use super::loopback::{Callback, Loopback};
use crate::auth::Engine;
use crate::cli::terminal;
use crate::error::{Error, ErrorCode, Result, sanitize};
use crate::http;
use crate::http::oauth::{Service, TokenResponse};
use crate::model::{Provider, Secret, Timestamp, ToolOutput};
use crate::sys::process::{Child, Launcher};

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
    save: impl FnOnce(TokenResponse, Timestamp) -> Result<ToolOutput>,
) -> Result<ToolOutput> {
    let failed = |what: &str, error| http::failed(&provider.api_url, what, &error);
    let loopback = Loopback::bind(port)?;
    let login = service
        .start_code_flow(loopback.redirect_uri())
        .map_err(|error| failed("start the login", error))?;
    open(engine, &login.url, &loopback.start_url());
    let callback = loopback.wait(&login)?;
    let result = authorization_code(engine, service, &callback, provider).and_then(|code| {
        let requested = engine.clock.now();
        let issued = service.exchange_code(login, &code);
        save(issued.map_err(|error| failed("log in", error))?, requested)
    });
    callback.send_result(result.is_ok());
    result
}

/// Prints the page first: a browser that shows nothing may not end either.
fn open(engine: &Engine<'_>, page: &str, start: &str) {
    let browsers = browsers(engine, start);
    let page = shown_whole(page);
    if can_be_opened(engine) && !browsers.is_empty() {
        terminal::print(&format!("Opening the browser. If it does not open, go to\n{page}"));
        let environment = &engine.context.environment;
        browsers.into_iter().any(|browser| browser.start_on_desktop(environment).is_ok());
    } else {
        terminal::print(&format!("Open this URL in a browser on this machine:\n{page}"));
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

/// `BROWSER` is a list of commands as in xdg-open, with `%s` for the URL. A relative path would be of the working directory.
fn browsers(engine: &Engine<'_>, url: &str) -> Vec<Child> {
    let environment = &engine.context.environment;
    let home = engine.context.paths.in_home("").ok();
    let launcher = Launcher::new(environment, home.as_deref());
    let named = environment.text("BROWSER").unwrap_or_default();
    let separator = if cfg!(windows) { ';' } else { ':' };
    let browser = |command: &str| {
        let mut words = command.split_whitespace();
        let program = words.next().and_then(|name| launcher.find(name))?;
        let mut arguments: Vec<_> = words.map(|word| word.replace("%s", url)).collect();
        if !command.contains("%s") {
            arguments.push(url.to_owned());
        }
        Some(launcher.child(&program).ok()?.args(arguments))
    };
    named.split(separator).chain(OPENERS.iter().copied()).filter_map(browser).collect()
}

/// The whole URL: [`sanitize`] would shorten it.
fn shown_whole(url: &str) -> String {
    url.chars().filter(char::is_ascii_graphic).collect()
}

/// The code, if `iss` is that of the service (RFC 9207); the error that the callback has.
fn authorization_code(
    engine: &Engine<'_>,
    service: &Service<'_>,
    callback: &Callback,
    provider: &Provider,
) -> Result<Secret> {
    let value = |name: &str| callback.value(name);
    let rejected = |message: String| {
        Err(Error::new(ErrorCode::Rejected, message)
            .with_hint("start the login again; nothing was saved"))
    };
    let issuer =
        service.issuer.as_deref().filter(|_| service.sends_issuer || value("iss").is_some());
    match (value("code"), value("error")) {
        (Some(code), None) => match issuer {
            Some(issuer) if value("iss") != Some(issuer) => {
                rejected(format!("`iss` parameter mismatch in the callback: expected {issuer}"))
            }
            _ => Ok(Secret::new(code)),
        },
        // An error ends the login without a check of `iss`, which django-oauth-toolkit leaves out.
        (_, Some(error)) => {
            let description = value("error_description")
                .filter(|_| engine.network.descriptions)
                .map_or_else(String::new, |text| format!(": {}", sanitize(text)));
            let (name, code) = (&provider.name, http::oauth_code(error));
            let rejected = rejected(format!("{name} rejected the login ({code}){description}"));
            // Gitea (routers/web/auth/oauth2_provider.go): "a grant exists with different scope", until it is revoked.
            match service.grants_page().filter(|_| code == "server_error") {
                Some(page) => rejected.map_err(|error| error.with_hint(format!(
                    "if you have logged in with other scopes before, revoke that authorization at {page}, and start the \
                     login again; nothing was saved"
                ))),
                None => rejected,
            }
        }
        (None, None) => rejected("the callback has no `code` parameter".to_owned()),
    }
}
