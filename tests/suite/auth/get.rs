//! `get`: the order of the sources, the errors, and the refresh.

use crate::support::{Home, service};

#[test]
fn without_a_credential_the_error_lists_every_source() {
    let outcome = Home::new().run(&["get"]);
    assert_eq!(outcome.status, 1);
    assert_eq!(
        outcome.messages,
        "error: not logged in to mycli\n  tried: MY_API_TOKEN (not set), keyring (no session bus), file (no entry)\n\n\
         hint: run `my-credential-helper login`\n"
    );
    assert_eq!(outcome.json()["error"]["code"], "not_logged_in");
}

#[test]
fn a_stale_session_is_saved_before_it_is_returned() {
    let server = service();
    let (home, old) = Home::with_stale_session(&server);
    let token = home.token();
    assert_ne!(token, old.access_token);
    assert_eq!(
        home.session().unwrap()["access_token"],
        token.as_str(),
        "the returned token is the stored one"
    );
    assert_eq!(home.token(), token, "the second call finds it fresh");
    assert_eq!(server.refresh_requests(), 1);
}
