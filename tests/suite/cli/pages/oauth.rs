//! Both logins of a person with a service that speaks OAuth 2, from a real terminal to the pages of npm's `oidc-provider`
//! and back: by the page that the helper opens, and by a code on another device.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use qrcode::{Color, QrCode};
use rexpect::session::PtySession;

use super::seen::assert_well_made;
use crate::support::browser::Browser;
use crate::support::oidc::{Oidc, SESSION};
use crate::support::terminal::{in_terminal, status_of};
use crate::support::{HELPER, Home};

fn start() -> Option<(Oidc, Browser)> {
    Some((Oidc::start()?, Browser::lend()?))
}

/// Records the URL that it opens.
const BROWSER: &str = "#!/bin/sh\nprintf %s \"$1\" >\"$HOME/opened.new\" && mv \"$HOME/opened.new\" \"$HOME/opened\"\n";

/// `login` in a terminal of this home's.
fn log_in(home: &Home) -> PtySession {
    let mut command = home.command(HELPER);
    command.arg("login");
    in_terminal(home, command)
}

/// Where there is a browser to be opened: the page of this machine that it is told to open, and the page of the service.
fn log_in_by_browser(service: &Oidc) -> (Home, PtySession, String, String) {
    let mut home = service.home("");
    let script = home.write("browser", BROWSER);
    std::fs::set_permissions(&script, Permissions::from_mode(0o700)).unwrap();
    home.set("BROWSER", script);
    let mut session = log_in(&home);
    session.exp_string("Opening the browser. If it does not open, go to").unwrap();
    let start = Instant::now();
    loop {
        if let Some(url) = home.read("opened") {
            let page = session.exp_regex("http\\S+code_challenge=\\S+").unwrap().1;
            return (home, session, url, page);
        }
        assert!(start.elapsed() < Duration::from_secs(9), "no page is opened");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// On the service's page, up to the question whether the helper may.
fn sign_in(browser: &Browser) {
    browser.element("[name=login]").type_in(browser, "ada");
    browser.element("[name=password]").type_in(browser, "any");
    browser.press("Sign-in");
    assert!(browser.text().contains("Authorize"), "{}", browser.text());
    // What the service's own pages tell the console is theirs.
    browser.messages();
}

/// A session that the service knows, and that can be renewed.
fn assert_logged_in(service: &Oidc, home: &Home) {
    assert!(service.is_active(&home.token()));
    let kept: serde_json::Value = serde_json::from_str(&home.read(SESSION).unwrap()).unwrap();
    assert!(kept["refresh_token"].is_string());
    assert_eq!(home.run(&["whoami", "--json"]).json()["id"], "ada");
}

#[test]
fn the_login_page_redirects_to_a_page_that_can_be_closed() {
    let Some((service, browser)) = start() else { return };
    let (home, mut session, url, page) = log_in_by_browser(&service);
    assert!(page.starts_with(&format!("{}/auth?", service.url)), "{page}");
    for part in ["code_challenge_method=S256", "redirect_uri=http%3A%2F%2F127.0.0.1%3A", "&state="]
    {
        assert!(page.contains(part) && !url.contains(part), "{page} {url}");
    }
    browser.open(&url);
    sign_in(&browser);
    browser.press("Continue");
    let text = browser.text();
    assert!(
        text.contains("Login successful") && text.contains("You can close this window."),
        "{text}"
    );
    assert!(
        browser.url().starts_with("http://127.0.0.1:") && !browser.url().starts_with(&service.url)
    );
    assert_well_made(&browser, "oauth-logged-in");
    session.exp_string("Logged in to acme as ada").unwrap();
    assert_eq!(status_of(&mut session), 0);
    assert_logged_in(&service, &home);
}

#[test]
fn a_denied_login_is_reported_on_both_sides() {
    let Some((service, browser)) = start() else { return };
    let (home, mut session, url, _) = log_in_by_browser(&service);
    browser.open(&url);
    sign_in(&browser);
    browser.follow("[ Cancel ]");
    let text = browser.text();
    assert!(text.contains("Login failed") && text.contains("You can close this window."), "{text}");
    assert_well_made(&browser, "oauth-refused");
    session.exp_string("acme rejected the login (access_denied)").unwrap();
    assert_eq!(status_of(&mut session), 4);
    assert_eq!(home.read(SESSION), None);
}

#[test]
fn a_callback_with_another_state_does_not_end_the_login() {
    let Some((service, browser)) = start() else { return };
    let (home, mut session, _, page) = log_in_by_browser(&service);
    let state = page.split("&state=").nth(1).and_then(|rest| rest.split('&').next()).unwrap();
    browser.open(&page.replace(state, "of-somebody-else"));
    sign_in(&browser);
    browser.press("Continue");
    let text = browser.text();
    assert!(text.contains("belongs to another login") && text.contains("still waits"), "{text}");
    assert_eq!((home.read(SESSION), service.count("token request")), (None, 0));
    browser.open(&page);
    browser.press("Continue");
    assert!(browser.text().contains("Login successful"), "{}", browser.text());
    session.exp_string("Logged in to acme as ada").unwrap();
    assert_eq!(status_of(&mut session), 0);
    assert_logged_in(&service, &home);
}

#[test]
fn the_device_code_is_entered_on_another_device() {
    let Some((service, browser)) = start() else { return };
    // No display, no `BROWSER`: nothing can be opened here.
    let home = service.home("");
    let mut session = log_in(&home);
    session.exp_string("Open ").unwrap();
    let page = session.exp_string(" on any device, and enter the code ").unwrap();
    let code = session.exp_string(".").unwrap();
    browser.open(&page);
    browser.element("[name=user_code]").type_in(&browser, &code);
    browser.press("Continue");
    assert!(
        browser.text().contains(&code),
        "it asks whether {code} is what stands there: {}",
        browser.text()
    );
    browser.press("Continue");
    sign_in(&browser);
    browser.press("Continue");
    assert!(browser.text().contains("Sign-in Success"), "{}", browser.text());
    session.exp_string("Logged in to acme as ada").unwrap();
    assert_eq!(status_of(&mut session), 0);
    assert_logged_in(&service, &home);
}

#[test]
fn a_link_with_the_code_is_a_qr_code_and_can_be_denied() {
    let Some((service, browser)) = start() else { return };
    let mut home = service.home("");
    // A browser could be opened, and not where the person is.
    home.set("DISPLAY", ":0");
    home.set("SSH_CONNECTION", "192.0.2.1 50000 192.0.2.2 22");
    let mut session = log_in(&home);
    session.exp_string("Or open ").unwrap();
    let link = session.exp_string(", which includes the code.").unwrap();
    let picture = text_of(&session.exp_string("waiting, ").unwrap());
    assert!(modules(&picture) == modules_of(&link), "{picture}");
    let (_, left) = session.exp_regex("[0-9]+:[0-9]{2} left").unwrap();
    assert!(
        left.starts_with("9:") || left.starts_with("10:"),
        "of the ten minutes that the service gives: {left}"
    );
    browser.open(&link);
    browser.press("[ Abort ]");
    session.exp_string("the login to acme was denied").unwrap();
    assert_eq!(status_of(&mut session), 4);
    assert_eq!(home.read(SESSION), None);
}

/// What stood on the terminal, of which `rexpect` makes a character a byte.
fn text_of(bytes: &str) -> String {
    let bytes: Vec<u8> = bytes.chars().filter_map(|c| u8::try_from(c).ok()).collect();
    String::from_utf8(bytes).unwrap()
}

/// The code of a picture of half blocks, white on black: true where it is dark.
fn modules(picture: &str) -> Vec<Vec<bool>> {
    let lines = || {
        picture
            .lines()
            .filter_map(|line| line.strip_prefix("\u{1b}[97;40m")?.strip_suffix("\u{1b}[0m"))
    };
    let row = |line: &str, lit: [char; 2]| line.chars().map(|c| !lit.contains(&c)).collect();
    let rows = lines().flat_map(|line| [row(line, ['█', '▀']), row(line, ['█', '▄'])]);
    // The last line may be half of one.
    rows.take(lines().next().unwrap_or_default().chars().count()).collect()
}

/// The same of a text, with the light edge that a camera looks for.
fn modules_of(text: &str) -> Vec<Vec<bool>> {
    const EDGE: usize = 4;
    let code = QrCode::new(text).unwrap();
    let inside = EDGE..EDGE + code.width();
    let is_dark = |x: usize, y: usize| {
        inside.contains(&x) && inside.contains(&y) && code[(x - EDGE, y - EDGE)] == Color::Dark
    };
    let side = code.width() + 2 * EDGE;
    (0..side).map(|y| (0..side).map(|x| is_dark(x, y)).collect()).collect()
}
