//! The pages that people meet on their way, in a real Chromium.

use crate::support::browser::Browser;
use crate::support::{Home, mail_to, service};

#[test]
fn the_link_of_a_mail_logs_in_a_helper_that_waits() {
    let Some(browser) = Browser::lend() else { return };
    let server = service();
    let home = Home::at(&server);
    let login = home.start(&["login", "--email", "ada@acme.dev", "--username", "ada"]);
    browser.open(&mail_to(&server, "ada@acme.dev").link);
    assert!(browser.text().contains("You are logged in as ada@acme.dev."), "{}", browser.text());
    assert_eq!(browser.messages(), Vec::<String>::new(), "a page violates no policy");
    let outcome = crate::support::finish(login, b"");
    assert_eq!(outcome.status, 0, "{outcome:?}");
}
