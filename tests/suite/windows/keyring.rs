//! The Credential Manager. All homes share wine's, so each test has hosts of its own, and one has the session.

use account_server::Fault;

use super::{credential, home};
use crate::support::{Home, finish, service};

/// A host that no other run uses.
fn url() -> String {
    let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    format!("https://h{}-{}.example.com", std::process::id(), time.as_nanos())
}

fn with_keyring(mut home: Home) -> Home {
    home.unset("MY_NO_KEYRING");
    home
}

#[test]
#[ignore = "runs under wine: .ci/platform windows"]
fn a_credential_is_stored_found_and_erased() {
    let (home, url) = (with_keyring(home()), url());
    let stored = home.run_with(&["store"], credential(&url, "s\u{e9}cret")).json();
    assert_eq!(stored["stored_in"], "keyring", "{stored}");
    assert!(!home.login_files_hold("s\u{e9}cret"));
    let get = || home.run(&["get", "--url", &url, "--format", "raw"]);
    assert_eq!(get().output.trim_end(), "s\u{e9}cret");
    let request = format!(r#"{{"url":"{url}"}}"#);
    assert_eq!(home.run_with(&["erase"], request).json()["erased"], true);
    assert_eq!(get().status, 1);
}

#[test]
#[ignore = "runs under wine: .ci/platform windows"]
fn a_credential_over_the_limit_of_an_item_is_in_the_file() {
    let (home, url) = (with_keyring(home()), url());
    // The item also has the names of the fields.
    let (small, large) = ("s".repeat(1500), "l".repeat(2600));
    for (secret, place) in
        [(&small, "keyring"), (&large, "file"), (&small, "keyring"), (&large, "file")]
    {
        let stored = home.run_with(&["store"], credential(&url, secret)).json();
        assert_eq!(stored["stored_in"], place);
        let outcome = home.run(&["get", "--url", &url, "--format", "raw"]);
        assert!(outcome.output.trim_end() == secret, "{place}: {}", outcome.messages);
        assert_eq!(home.login_files_hold(secret), place == "file");
    }
    let chosen = home.run_with(&["--store", "keyring", "store"], credential(&url, &large));
    assert_ne!(chosen.status, 0, "{chosen:?}");
    let request = format!(r#"{{"url":"{url}"}}"#);
    assert_eq!(home.run_with(&["erase"], request).json()["erased"], true);
    assert_eq!(home.run(&["get", "--url", &url]).status, 1);
}

#[test]
#[ignore = "runs under wine: .ci/platform windows"]
fn a_session_in_the_keyring_is_refreshed_or_moves_to_the_file() {
    let server = service();
    let home = with_keyring(Home::at(&server));
    let store = |session: &account_server::Session| {
        let request = serde_json::json!({
            "provider": "mycli", "secret": session.access_token, "refresh_token": session.refresh_token,
            "expires_at": "2020-01-01T00:00:00Z",
        });
        let stored = home.run_with(&["store"], request.to_string()).json();
        assert_eq!((&stored["stored_in"], home.session()), (&"keyring".into(), None));
    };
    let session = server.session("me@acme.dev").unwrap();
    store(&session);
    let before = server.refresh_requests();
    let crowd: Vec<_> = (0..16).map(|_| home.start(&["get", "--format", "raw"])).collect();
    let tokens: Vec<_> = crowd.into_iter().map(|child| finish(child, b"")).collect();
    assert!(tokens.iter().all(|outcome| outcome.status == 0), "{tokens:?}");
    assert_eq!(server.refresh_requests() - before, 1);
    assert!(tokens.iter().all(|outcome| outcome.output == tokens[0].output), "{tokens:?}");
    assert!(home.session().is_none() && tokens[0].output.trim_end() != session.access_token);

    // A token that does not fit any more is in the file, and is found there.
    let session = server.session("me@acme.dev").unwrap();
    store(&session);
    let large = "t".repeat(3000);
    let body = serde_json::json!({
        "access_token": large, "refresh_token": session.refresh_token, "expires_in": 900,
    });
    let fault = Fault::Answer { status: 200, body: body.to_string(), headers: [].into() };
    server.fault("/v1/auth/refresh", 1, fault);
    let refreshed = home.run(&["get", "--format", "raw"]);
    assert!(refreshed.status == 0 && refreshed.output.trim_end() == large, "{refreshed:?}");
    assert!(refreshed.messages.contains("larger than 2560 bytes"), "{refreshed:?}");
    assert_eq!(home.session().unwrap()["access_token"], large.as_str());
    let found = home.run(&["get", "--format", "raw"]);
    assert_eq!((found.status, &*found.messages, found.output.trim_end()), (0, "", &*large));
    assert_eq!(home.run(&["logout"]).status, 0);
    assert_eq!(home.run(&["get"]).status, 1, "nothing is left in the Credential Manager");
}
