//! The page behind the link of a mail, and the inbox that the mail is in.

use std::time::Duration;

use super::seen::assert_well_made;
use super::{ADA, HOSTILE};
use crate::support::browser::Browser;
use crate::support::{Home, finish, mail_to, service};

fn start(server: &account_server::Server, email: &str, device: &str) -> String {
    let mut started = ureq::post(format!("{}/v1/auth/device/start", server.url()))
        .header("X-Device-Name", device)
        .header("User-Agent", "my-credential-helper/0.1.0")
        .send_json(serde_json::json!({ "email": email }))
        .expect("a login starts");
    let started: serde_json::Value = started.body_mut().read_json().expect("JSON");
    started["device_code"].as_str().expect("a code").to_owned()
}

#[test]
fn the_link_logs_in_the_helper_and_names_its_device() {
    let Some(browser) = Browser::lend() else { return };
    let server = service();
    let home = Home::at(&server);
    let login = home.start(&["login", "--email", ADA, "--username", "ada"]);
    browser.open(&mail_to(&server, ADA).link);
    let text = browser.text();
    assert!(
        text.contains("Login confirmed") && text.contains("You are logged in as ada@acme.dev."),
        "{text}"
    );
    assert!(
        text.contains("my-credential-helper/") && text.contains("127.0.0.1"),
        "who asked, and from where: {text}"
    );
    assert_well_made(&browser, "magic-link");
    let outcome = finish(login, b"");
    assert_eq!(outcome.status, 0, "{outcome:?}");
    browser.reload();
    assert!(browser.text().contains("Link already used"), "{}", browser.text());
    assert_well_made(&browser, "magic-link-used");
}

#[test]
fn a_link_that_does_not_log_in_explains_why() {
    let Some(browser) = Browser::lend() else { return };
    let server = service();
    let device_code = start(&server, ADA, "workshop");
    let link = mail_to(&server, ADA).link;
    for _ in 0..5 {
        let guess = serde_json::json!({"device_code": device_code, "code": "none"});
        assert!(
            ureq::post(format!("{}/v1/auth/verify-code", server.url())).send_json(guess).is_err()
        );
    }
    browser.open(&link);
    assert!(browser.text().contains("Too many wrong codes"), "{}", browser.text());
    assert_well_made(&browser, "magic-link-guessed");
    server.advance(Duration::from_secs(900));
    browser.open(&link);
    assert!(browser.text().contains("Link expired"), "{}", browser.text());
    assert_well_made(&browser, "magic-link-expired");
}

#[test]
fn a_hostile_device_or_address_is_text_and_breaks_no_page() {
    let Some(browser) = Browser::lend() else { return };
    let server = service();
    let device = format!("{HOSTILE}\u{202e}txt.exe {}", "w".repeat(100));
    let email = "\"<script>document.title='owned'</script>\"@acme.dev";
    start(&server, email, &device);
    browser.open(&format!("{}/inbox", server.url()));
    browser.element("summary").click(&browser);
    assert!(browser.text().contains("<script>"), "it is shown as it is: {}", browser.text());
    assert_well_made(&browser, "inbox-hostile");
    let link = server.inbox()[0].link.clone();
    browser.open(&link);
    let text = browser.text();
    assert!(text.contains(email) && text.contains(HOSTILE), "{text}");
    assert!(!text.contains('\u{202e}'), "nothing turns the direction of writing");
    assert_well_made(&browser, "magic-link-hostile");
}

#[test]
fn the_inbox_leads_to_the_page() {
    let Some(browser) = Browser::lend() else { return };
    let server = service();
    browser.open(&format!("{}/inbox", server.url()));
    assert_well_made(&browser, "inbox-empty");
    start(&server, ADA, "workshop");
    browser.follow("Look for new ones");
    assert!(browser.text().contains(&server.inbox()[0].code), "{}", browser.text());
    assert_well_made(&browser, "inbox");
    let link = browser.element("dd a");
    browser.turn_page(|| link.click(&browser));
    assert!(browser.text().contains("Login confirmed"), "{}", browser.text());
}
