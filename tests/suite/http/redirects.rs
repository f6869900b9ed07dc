//! No request follows a redirect: its secrets stay with the intended service.

use account_server::{Fault, Server};

use crate::support::{Home, mail_to, service};

const STATUSES: [u16; 5] = [301, 302, 303, 307, 308];

/// Lets the next call of a path be sent on to another service.
fn redirect(server: &Server, path: &str, status: u16, to: &Server) {
    let location = [("location".to_owned(), format!("{}{path}", to.url()))];
    server.fault(path, 1, Fault::Answer { status, body: String::new(), headers: location.into() });
}

#[test]
fn a_redirected_request_sends_nothing_to_another_service() {
    let other = service();
    for status in STATUSES {
        for (path, arguments, input) in [
            ("/v1/me", &["whoami"][..], ""),
            ("/v1/tokens", &["token", "list"], ""),
            ("/v1/tokens", &["token", "create", "ci"], ""),
            ("/v1/sessions", &["session", "list"], ""),
            ("/v1/sessions", &["session", "revoke", "--others"], ""),
            ("/v1/auth/logout", &["logout"], ""),
            ("/v1/me", &["login", "--force"], "myc_0123456789abcdef0123456789abcdef01234567\n"),
            (
                "/v1/auth/device/start",
                &["login", "--force", "--email", "you@acme.dev", "--no-wait"],
                "",
            ),
        ] {
            let server = service();
            let (home, _) = Home::logged_in(&server);
            redirect(&server, path, status, &other);
            let outcome = home.run_with(arguments, input);
            let asked = server.requests().iter().any(|request| request.path == path);
            assert!(asked, "{arguments:?}: {path} is asked: {outcome:?}");
            // A logout deletes the session here, whatever the service returns.
            assert_eq!(
                outcome.status == 0,
                path == "/v1/auth/logout",
                "{arguments:?} {status}: {outcome:?}"
            );
        }
    }
    assert!(other.requests().is_empty(), "{:?}", other.requests());
}

#[test]
fn a_redirected_refresh_sends_nothing_and_loses_no_session() {
    let other = service();
    for status in STATUSES {
        let server = service();
        let (home, _) = Home::with_stale_session(&server);
        for _ in 0..2 {
            redirect(&server, "/v1/auth/refresh", status, &other);
        }
        assert_ne!(home.run(&["get"]).status, 0);
        // What was queued for a second try must not happen to the third.
        while server.requests().len() < 2 {
            home.run(&["get"]);
        }
        assert_eq!(home.run(&["get"]).status, 0, "{status}: the login is still there");
    }
    assert!(other.requests().is_empty(), "{:?}", other.requests());
}

#[test]
fn a_redirected_login_sends_neither_code_nor_device() {
    let other = service();
    for (path, status) in
        ["/v1/auth/verify-code", "/v1/auth/device/token"].into_iter().zip([307, 308])
    {
        let server = service();
        let home = Home::at(&server);
        assert_eq!(home.run(&["login", "--email", "me@acme.dev", "--no-wait"]).status, 0);
        redirect(&server, path, status, &other);
        // A poll that came to nothing is repeated, and the login may succeed.
        home.run(&["login", "--code", &mail_to(&server, "me@acme.dev").code]);
        assert!(server.requests().iter().any(|request| request.path == path), "{path} is asked");
    }
    assert!(other.requests().is_empty(), "{:?}", other.requests());
}

#[test]
fn a_redirected_request_does_not_send_the_key() {
    let (server, other) = (service(), service());
    let mut home = Home::new();
    home.set("MY_PROVIDER", "microtica");
    home.set("MICROTICA_API_URL", server.url());
    home.set("MICROTICA_TOKEN", "mic_0123456789abcdef0123456789abcdef01234567");
    for (path, arguments) in
        [("/api/v1/whoami", &["whoami"][..]), ("/api/v1/projects", &["project", "list"])]
    {
        for status in STATUSES {
            redirect(&server, path, status, &other);
            home.run(arguments);
        }
        assert!(server.requests().iter().any(|request| request.path == path));
    }
    assert!(other.requests().is_empty(), "{:?}", other.requests());
}
