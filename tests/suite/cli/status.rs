//! `status` and `account list`: who is logged in, and with which credential.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::secret_service::SecretService;
use crate::support::{Home, service, session_json};

const ME: &str = "me@acme.dev";
const OWNER: &str = ".my/credentials.json.owner";

fn status(home: &Home) -> Value {
    let outcome = home.run(&["status", "--json"]);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    outcome.json()
}

#[test]
fn status_and_accounts_name_the_person_without_a_request() {
    let server = service();
    let home = Home::at(&server);
    assert_eq!(home.log_in(&server, ME, &["--username", "me"]).status, 0);
    server.clear_requests();
    let shown = home.run(&["status"]).output;
    assert!(shown.contains("  as me@acme.dev, by a session in the file: "), "{shown}");
    assert_eq!(status(&home)["user"], ME);
    assert!(home.run(&["account", "list"]).output.contains("me@acme.dev  session in the file  20"));
    assert!(server.requests().is_empty());
    // A refresh does not change the person.
    let text = home.read(".my/credentials.json").unwrap();
    home.write(".my/credentials.json", &text.replace("\"expires_at\":\"2", "\"expires_at\":\"1"));
    home.token();
    assert!(server.refresh_requests() == 1 && status(&home)["user"] == ME);
    // Another program logs in as somebody else.
    let other = server.session("boss@acme.dev").unwrap();
    home.write_session(&other, Duration::from_secs(900), Duration::ZERO);
    let fields = status(&home);
    assert_eq!((&fields["user"], &fields["user_id"]), (&Value::Null, &json!(other.user_id)));
    assert_eq!(home.run(&["whoami"]).status, 0);
    assert_eq!(status(&home)["user"], "boss@acme.dev", "and the service has named the person");
    assert_eq!(home.run(&["logout"]).status, 0);
    assert_eq!(home.read(OWNER), None);
}

#[test]
fn a_damaged_record_of_the_owner_is_ignored() {
    let server = service();
    let home = Home::at(&server);
    assert_eq!(home.log_in(&server, ME, &[]).status, 0);
    let record = home.read(OWNER).unwrap();
    for text in
        ["", "\n", "x\nme@acme.dev\n", &record[..20], &record.replace(ME, "\u{1b}[31m\u{7}")]
    {
        home.write(OWNER, text);
        let outcome = home.run(&["status"]);
        assert!(outcome.status == 0 && !outcome.output.contains('\u{1b}'), "{text:?}: {outcome:?}");
    }
}

#[test]
fn an_expired_session_is_not_logged_in() {
    let server = service();
    let (home, session) = Home::with_stale_session(&server);
    assert_eq!(status(&home)["logged_in"], true, "it can be refreshed");
    let text = session_json(&session, Duration::ZERO, Duration::from_secs(3600));
    for text in
        [text.replace(&session.refresh_token, ""), text.replace(&session.refresh_token, EXPIRED)]
    {
        home.write(".my/credentials.json", &text);
        let shown = home.run(&["status"]).output;
        assert!(shown.contains("  no (expired), by a session in the file"), "{shown}");
        assert_eq!(status(&home)["logged_in"], false);
        let listed = home.run(&["account", "list", "--json"]).json();
        assert_eq!(listed["accounts"][0]["logged_in"], false, "{listed}");
        assert!(home.run(&["account", "list"]).output.contains("expired session in the file"));
    }
}

/// A JWT whose `exp` is in 2023.
const EXPIRED: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxIiwiaWF0IjoxNzAwMDAwMDAwLCJleHAiOjE3MDAwMDA5MDB9.c2ln";

#[test]
fn a_variable_and_a_session_are_not_mixed() {
    let server = service();
    let mut home = Home::at(&server);
    assert_eq!(home.log_in(&server, ME, &[]).status, 0);
    let token = server.api_token("boss@acme.dev", "ci").unwrap().token;
    home.set("MY_API_TOKEN", &token);
    let fields = status(&home);
    assert_eq!((&fields["source"], &fields["kind"]), (&json!("env"), &json!("api_token")));
    for field in [
        "user",
        "user_id",
        "location",
        "logged_in_at",
        "last_refreshed_at",
        "session_ends_at",
        "expires_at",
    ] {
        assert_eq!(fields[field], Value::Null, "{field} is of the session: {fields}");
    }
    assert_eq!(fields["accounts"][0]["user"], ME, "the session has its own entry");
    let shown = home.run(&["status"]).output;
    assert!(!shown.contains(ME) && !shown.contains("since:"), "{shown}");
    // The owner of the variable's token is not recorded as the owner of the session.
    assert!(
        home.run(&["status", "--check"]).output.contains("accepts the credential of boss@acme.dev")
    );
    assert_eq!(home.run(&["whoami"]).status, 0);
    home.set("MY_API_TOKEN", "");
    assert_eq!(status(&home)["user"], ME);
    home.set("MY_API_TOKEN", "\"quoted\"");
    let fields = status(&home);
    assert_eq!((&fields["logged_in"], &fields["source"]), (&json!(false), &Value::Null));
}

#[test]
fn a_check_finds_a_revoked_session() {
    let server = service();
    let (home, mut session) = Home::logged_in(&server);
    assert_eq!(home.run(&["status", "--check", "--json"]).json()["logged_in"], true);
    session.refresh_token = "unknown".to_owned();
    home.write_session(&session, Duration::from_secs(900), Duration::from_secs(60));
    server.revoke_access(&session.access_token);
    assert_eq!(status(&home)["logged_in"], true, "without a request");
    let outcome = home.run(&["status", "--check", "--json"]);
    assert_ne!(outcome.status, 0);
    assert_eq!(outcome.json()["logged_in"], false, "{outcome:?}");
}

#[test]
fn every_account_is_in_a_table() {
    let server = service();
    let home = Home::at(&server);
    assert_eq!(home.log_in(&server, ME, &["--username", "me"]).status, 0);
    assert!(!home.run(&["status"]).output.contains("PROVIDER"), "one account is no table");
    assert_eq!(
        home.log_in(&server, "boss@acme.dev", &["--username", "b", "--account", "work"]).status,
        0
    );
    let shown = home.run(&["status"]).output;
    let (block, table) = shown.split_once("\n\n").unwrap();
    assert!(block.contains(ME) && !block.contains("boss@acme.dev"), "{shown}");
    assert!(
        table.starts_with("PROVIDER  ACCOUNT    USER           LOGIN                EXPIRES\n"),
        "{table}"
    );
    assert!(
        table.contains("mycli     work       boss@acme.dev  session in the file  20"),
        "{table}"
    );
    assert_eq!(status(&home)["accounts"].as_array().unwrap().len(), 2);
}

#[test]
fn a_misconfigured_provider_hides_no_other_account() {
    let server = service();
    let (home, _) = Home::logged_in(&server);
    home.write(".config/my-credential-helper/config.toml", "[providers.aaa]\nkind = 'oauth'\n");
    for command in [&["account", "list"][..], &["status"]] {
        let outcome = home.run(command);
        assert_eq!(outcome.status, 0, "{outcome:?}");
        assert!(outcome.output.contains("mycli"), "{outcome:?}");
        assert!(
            outcome.messages.contains("the accounts of aaa are not listed: [providers.aaa] has"),
            "{outcome:?}"
        );
    }
}

#[test]
fn the_catalog_of_another_program_is_shown_on_request() {
    let home = Home::new();
    assert!(!home.run(&["status"]).output.contains("commands:"));
    let shown = home.run(&["status", "--verbose"]).output;
    assert!(
        shown.contains("profile:        default\nlast sync:      never\ncommands:       0\n"),
        "{shown}"
    );
}

#[test]
fn login_with_a_store_moves_the_session() {
    let Some(keyring) = SecretService::start() else { return };
    let server = service();
    let mut home = Home::at(&server);
    assert_eq!(home.log_in(&server, ME, &[]).status, 0);
    let token = home.token();
    home.use_keyring(&keyring);
    let item = [("service", "mycli"), ("username", "mycli-tokens")];
    let moved = home.run(&["login", "--store", "keyring"]);
    assert!(moved.output.starts_with("Moved the session of mycli to the keyring: "), "{moved:?}");
    assert!(keyring.value_of(&item).is_some_and(|it| it.contains(&token)));
    assert_eq!((home.read(".my/credentials.json"), home.token()), (None, token.clone()));
    assert_eq!(status(&home)["user"], ME);
    let back = home.run(&["login", "--store", "file", "--json"]).json();
    assert_eq!(back["stored_in"], "file", "{back}");
    assert_eq!((keyring.value_of(&item), home.token()), (None, token));
    let again = home.run(&["login", "--store", "file"]);
    assert!(again.output.starts_with("Already logged in to mycli as me@acme.dev."), "{again:?}");
    home.set("DBUS_SESSION_BUS_ADDRESS", "");
    let failed = home.run(&["login", "--store", "keyring"]);
    assert!(failed.status != 0 && home.session().is_some(), "{failed:?}");
}
