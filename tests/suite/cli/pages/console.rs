//! Signing in to the console without scripts, signing out, and permissions.

use serde_json::json;

use super::seen::assert_well_made;
use super::{ADA, HOSTILE, part, project, shop, signed_in};
use crate::support::browser::{Browser, ENTER};
use crate::support::{mail_to, service};

#[test]
fn signing_in_and_creating_a_project_need_no_script() {
    let Some(browser) = Browser::lend() else { return };
    let server = service();
    browser.devtools("Emulation.setScriptExecutionDisabled", json!({"value": true}));
    browser.open(&format!("{}/console", server.url()));
    browser.field("Email address").type_in(&browser, ADA);
    browser.press("Send the mail");
    assert!(browser.text().contains("Look into your mail"), "{}", browser.text());
    let waits = browser.url();
    browser.open(&mail_to(&server, ADA).link);
    browser.follow("Continue to the console");
    browser.field("Name").type_in(&browser, "Web shop");
    browser.press("Create the project");
    assert!(browser.text().contains("There is no key yet"), "{}", browser.text());
    browser.open(&waits);
    assert!(
        browser.url().ends_with("/console"),
        "who is signed in is not asked again: {}",
        browser.url()
    );
    browser.press("Sign out");
    browser.open(&format!("{}/console", server.url()));
    assert!(browser.text().contains("There is no password"), "{}", browser.text());
}

#[test]
fn signing_in_works_with_the_code_and_only_the_keyboard() {
    let Some(browser) = Browser::lend() else { return };
    let server = service();
    browser.open(&format!("{}/console", server.url()));
    assert_well_made(&browser, "console-sign-in");
    browser.field("Email address").type_in(&browser, "ada");
    browser.type_keys(ENTER);
    browser.field("Email address").type_in(&browser, "@acme.dev");
    browser.press("Send the mail");
    assert_well_made(&browser, "console-wait");
    browser.field("Code of six digits").type_in(&browser, "000000");
    browser.enter();
    assert!(browser.text().contains("the code is wrong"), "{}", browser.text());
    assert_well_made(&browser, "console-wrong-code");
    let code = server.inbox().into_iter().find(|mail| mail.to == ADA).expect("a mail").code;
    browser.field("Code of six digits").type_in(&browser, &code);
    browser.enter();
    assert!(browser.text().contains("You are a member of no project yet"), "{}", browser.text());
    assert_well_made(&browser, "console-empty");
}

#[test]
fn a_link_signs_in_only_the_browser_that_requested_it() {
    let Some(browser) = Browser::lend() else { return };
    let server = service();
    browser.open(&format!("{}/console", server.url()));
    browser.field("Email address").type_in(&browser, ADA);
    browser.press("Send the mail");
    let page =
        ureq::get(mail_to(&server, ADA).link).call().expect("a mail scanner looks at the link");
    assert!(page.headers().get("set-cookie").is_none(), "which signs nobody in there");
    browser.follow("I have opened the link");
    assert!(browser.text().contains("Projects"), "{}", browser.text());
}

#[test]
fn a_project_is_visible_only_to_its_members() {
    let server = service();
    let Some(browser) = signed_in(&server, "eve@acme.dev") else { return };
    let project = shop(&server);
    for name in ["keys", "keys/new", "members", "audit"] {
        browser.open(&part(&server, &project, name));
        assert!(
            browser.text().contains("there is nothing of that name here"),
            "{}",
            browser.text()
        );
    }
    assert_well_made(&browser, "console-refused");
}

#[test]
fn hostile_names_of_projects_and_environments_are_text() {
    let server = service();
    let Some(browser) = signed_in(&server, ADA) else { return };
    let long = "w".repeat(100);
    let id = project(&server, HOSTILE, &[HOSTILE, &long]);
    browser.open(&format!("{}/console", server.url()));
    assert_well_made(&browser, "console-hostile-projects");
    for name in ["keys", "keys/new", "members", "audit"] {
        browser.open(&part(&server, &id, name));
        assert!(browser.text().contains(HOSTILE), "{}", browser.text());
        assert_well_made(&browser, &format!("console-hostile-{}", name.replace('/', "-")));
    }
    browser.open(&format!("{}/console", server.url()));
    browser.field("Name").type_in(&browser, "safe\u{202e}gnp");
    browser.press("Create the project");
    assert!(browser.text().contains("that turn the direction of writing"), "{}", browser.text());
}

#[test]
fn members_are_added_and_leave() {
    let server = service();
    let Some(browser) = signed_in(&server, ADA) else { return };
    let project = shop(&server);
    browser.open(&part(&server, &project, "members"));
    browser.press("Leave the project");
    assert!(browser.text().contains("a project has one member at least"), "{}", browser.text());
    browser.field("Email address of a new member").type_in(&browser, "grace@acme.dev");
    browser.press("Add the member");
    assert!(browser.text().contains("grace@acme.dev"), "{}", browser.text());
    assert_well_made(&browser, "console-members");
    browser.press("Leave the project");
    assert!(browser.text().contains("You are a member of no project yet"), "{}", browser.text());
}
