//! `get`: where it looks, what it says, when it refreshes.

use crate::support::{Home, service};

#[test]
fn nothing_anywhere_is_one_error_that_lists_every_place_and_the_way_out() {
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
fn a_stale_session_is_refreshed_and_saved_before_it_is_handed_out() {
    let server = service();
    let (home, old) = Home::with_stale_session(&server);
    let token = home.token();
    assert_ne!(token, old.access_token);
    assert_eq!(
        home.session().unwrap()["access_token"],
        token.as_str(),
        "what is handed out is what is kept"
    );
    assert_eq!(home.token(), token, "the second call finds it fresh");
    assert_eq!(server.refresh_requests(), 1);
}
