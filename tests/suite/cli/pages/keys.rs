//! API keys from the console to the helper: created, shown once, used, extended, logged, revoked.

use std::time::{Duration, SystemTime};

use account_server::Server;
use serde_json::{Value, json};

use super::seen::assert_well_made;
use super::{ADA, HOSTILE, part, shop, signed_in};
use crate::support::browser::Browser;
use crate::support::{Home, rfc3339, service};

fn choose(browser: &Browser, label: &str, option: &str) {
    browser.field(label).type_in(browser, option);
}

/// Creates a key in the console, and gives what the page shows.
fn create(
    browser: &Browser,
    server: &Server,
    project: &str,
    name: &str,
    fill_in: impl Fn(),
) -> String {
    browser.open(&part(server, project, "keys"));
    browser.follow("Create API key");
    browser.field("Name").type_in(browser, name);
    fill_in();
    browser.press("Create the key");
    browser.element("#key").text(browser)
}

/// A home whose helper speaks with the key.
fn home(server: &Server, project: &str, key: &str) -> Home {
    let mut home = Home::new();
    home.set("MY_PROVIDER", "microtica");
    home.write(
        ".config/my-credential-helper/config.toml",
        &format!("[providers.microtica]\napi_url = '{}'\n", server.url()),
    );
    home.set("MICROTICA_PROJECT_ID", project);
    assert_eq!(home.run_with(&["login"], key).status, 0);
    home
}

fn environments(home: &Home) -> Vec<(String, String)> {
    let listed = home.run(&["env", "list", "--json"]).json();
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let rows = listed["environments"].as_array().cloned().unwrap_or_default();
    rows.iter().map(|row| (word(&row["name"]), word(&row["role"]))).collect()
}

#[test]
fn a_key_is_shown_once_copied_and_used() {
    let server = service();
    let Some(browser) = signed_in(&server, ADA) else { return };
    let project = shop(&server);
    browser.open(&part(&server, &project, "keys/new"));
    assert_well_made(&browser, "console-new-key");
    let key = create(&browser, &server, &project, "deploy job", || {
        browser.element("#baseline-none").click(&browser);
        choose(&browser, "production", "write");
    });
    assert!(key.starts_with("mic_") && key.len() == 44, "{key}");
    assert_well_made(&browser, "console-created");
    let allow = json!({"origin": server.url(), "permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]});
    browser.devtools("Browser.grantPermissions", allow);
    browser.button("Copy").click(&browser);
    while browser.element("#copied").text(&browser).is_empty() {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(browser.element("#copied").text(&browser), "Copied.");
    assert_eq!(browser.evaluate("return navigator.clipboard.readText()"), json!(key));
    browser.reload();
    assert!(browser.text().contains("The key was shown"), "{}", browser.text());
    assert!(
        !browser.evaluate("return document.documentElement.outerHTML").to_string().contains(&key)
    );

    let home = home(&server, &project, &key);
    assert_eq!(
        environments(&home),
        [("production".to_owned(), "write".to_owned())],
        "it sees that environment alone"
    );
    let who = home.run(&["whoami"]);
    assert!(who.status == 0 && who.output.contains("projects visible:   1"), "{who:?}");

    browser.open(&part(&server, &project, "keys"));
    let text = browser.text();
    assert!(text.contains("active") && text.contains(&key[..12]) && !text.contains(&key), "{text}");
    assert_well_made(&browser, "console-keys");
    browser.open(&part(&server, &project, "audit"));
    let text = browser.text();
    assert!(text.contains("deploy job") && text.contains("listed the environments"), "{text}");
    assert!(
        text.contains("asked who it is") && text.contains("created the key deploy job"),
        "{text}"
    );
    assert_well_made(&browser, "console-audit");
}

#[test]
fn an_invalid_upgrade_is_rejected_and_keeps_the_input() {
    let server = service();
    let Some(browser) = signed_in(&server, ADA) else { return };
    let project = shop(&server);
    browser.open(&part(&server, &project, "keys/new"));
    browser.field("Name").type_in(&browser, "nightly");
    browser.element("#expires-7").click(&browser);
    browser.element("#baseline-admin").click(&browser);
    choose(&browser, "development", "write");
    choose(&browser, "production", "admin");
    browser.press("Create the key");
    let text = browser.text();
    for (environment, role) in [("development", "write"), ("production", "admin")] {
        let reason = format!("in {environment}, {role} is not stronger than the baseline, admin");
        assert!(text.contains(&reason), "{text}");
    }
    assert_well_made(&browser, "console-refused-upgrade");
    assert_eq!(browser.field("Name").value(&browser), "nightly");
    assert_eq!(
        browser.evaluate("return document.querySelector('#expires-7').checked"),
        json!(true)
    );
    assert_eq!(
        browser.evaluate("return document.querySelector('#baseline-admin').checked"),
        json!(true)
    );
    assert_eq!(browser.field("development").value(&browser), "write");
    choose(&browser, "development", "owner");
    choose(&browser, "production", "as the baseline");
    browser.press("Create the key");
    let home = home(&server, &project, &browser.element("#key").text(&browser));
    let expected = [("development", "owner"), ("production", "admin")];
    assert_eq!(
        environments(&home),
        expected.map(|(name, role)| (name.to_owned(), role.to_owned()))
    );
    server.advance(Duration::from_secs(7 * 24 * 60 * 60));
    let told = home.run(&["whoami"]);
    assert!(told.status == 4 && told.messages.contains("expired"), "{told:?}");
    browser.open(&part(&server, &project, "audit"));
    assert!(
        browser.url().ends_with("/console/sign-in"),
        "half a day later nobody is signed in any more"
    );
}

#[test]
fn a_key_expires_at_the_end_of_the_day_that_is_named() {
    let server = service();
    let Some(browser) = signed_in(&server, ADA) else { return };
    let project = shop(&server);
    let tomorrow = rfc3339(SystemTime::now() + Duration::from_secs(24 * 60 * 60))[..10].to_owned();
    let set_date = |day: &str| {
        browser.element("#expires-date").click(&browser);
        browser.evaluate(&format!(
            "const date = document.querySelector('#date'); date.min = ''; date.value = '{day}'"
        ));
    };
    browser.open(&part(&server, &project, "keys/new"));
    browser.field("Name").type_in(&browser, "today only");
    set_date("2020-01-01");
    browser.press("Create the key");
    assert!(browser.text().contains("that day is over"), "{}", browser.text());
    set_date(&tomorrow);
    browser.press("Create the key");
    let home = home(&server, &project, &browser.element("#key").text(&browser));
    server.advance(Duration::from_secs(2 * 24 * 60 * 60));
    assert_eq!(home.run(&["env", "list"]).status, 4);
}

#[test]
fn scopes_are_added_and_a_revoked_key_is_reported() {
    let server = service();
    let Some(browser) = signed_in(&server, ADA) else { return };
    let project = shop(&server);
    let key = create(&browser, &server, &project, HOSTILE, || {});
    let home = home(&server, &project, &key);
    browser.open(&part(&server, &project, "keys"));
    browser.follow("Add scopes");
    assert_well_made(&browser, "console-scopes");
    browser.press("Add the scopes");
    assert!(browser.text().contains("choose a stronger role"), "{}", browser.text());
    choose(&browser, "production", "admin");
    browser.press("Add the scopes");
    assert!(browser.text().contains("admin in production"), "{}", browser.text());
    let seen = [("development", "read"), ("production", "admin")];
    assert_eq!(environments(&home), seen.map(|(name, role)| (name.to_owned(), role.to_owned())));
    browser.follow("Revoke");
    assert_well_made(&browser, "console-revoke");
    browser.press("Revoke the key");
    assert!(browser.text().contains("revoked"), "{}", browser.text());
    assert_well_made(&browser, "console-revoked");
    let told = home.run(&["env", "list"]);
    assert!(told.status == 4 && told.messages.contains("revoked"), "{told:?}");
    let again = home.run_with(&["login"], &key);
    assert!(again.status == 4 && again.messages.contains("revoked"), "{again:?}");
    browser.open(&part(&server, &project, "audit"));
    assert!(
        browser.text().contains("listed the environments; refused: the API key was revoked"),
        "{}",
        browser.text()
    );
}

#[test]
fn a_key_works_on_when_its_creator_has_left() {
    let server = service();
    let Some(browser) = signed_in(&server, ADA) else { return };
    let project = shop(&server);
    let key = create(&browser, &server, &project, "nightly", || {});
    server.join_microtica_project(&project, "grace@acme.dev").unwrap();
    browser.open(&part(&server, &project, "members"));
    browser.press("Leave the project");
    browser.open(&part(&server, &project, "keys"));
    assert!(
        browser.text().contains("there is nothing of that name here"),
        "she has left: {}",
        browser.text()
    );
    let home = home(&server, &project, &key);
    assert_eq!(environments(&home).len(), 2, "and the key is the project's");
}
