//! A full or read-only disk: a small file system that is mounted for the test, which requires root. Failures of a single
//! system call are in `crashes`.

use std::path::Path;

use serde_json::json;

use crate::support::disk::Mounted;
use crate::support::http::is_accepted;
use crate::support::{Home, mail_to, service};

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[test]
fn on_a_full_disk_no_token_is_spent_and_no_login_is_started() {
    let server = service();
    for pages in 0..8 {
        let (home, old) = Home::with_stale_session(&server);
        let kept = tempfile::tempdir().unwrap();
        copy(&home.path().join(".my"), kept.path());
        let Some(disk) = Mounted::on(&home, 256) else { return };
        copy(kept.path(), disk.folder());
        // Asked for before the disk is full.
        let started = home.run(&["login", "--email", "full@acme.dev", "--no-wait", "--force"]);
        assert_eq!(started.status, 0, "{started:?}");
        let code = mail_to(&server, "full@acme.dev").code;
        disk.fill(pages);

        let before = home.session();
        let outcome = home.run(&["get", "--format", "raw"]);
        if outcome.status == 0 {
            assert_eq!(
                home.session().unwrap()["access_token"],
                outcome.output.trim_end(),
                "{pages} pages"
            );
        } else {
            assert_eq!((outcome.status, home.session()), (3, before), "{pages} pages: {outcome:?}");
            assert!(outcome.messages.contains("could not be saved"), "{pages} pages: {outcome:?}");
            assert!(
                outcome.messages.to_lowercase().contains("storage full")
                    || outcome.messages.contains("space")
            );
        }
        let store =
            home.run_with(&["store"], r#"{"url":"https://h.dev","username":"ada","secret":"s"}"#);
        let found = home.run(&["get", "--url", "https://h.dev", "--format", "raw"]);
        assert_eq!(store.status == 0, found.output == "s\n", "{pages} pages: {store:?}");
        server.clear_requests();
        let login = home.run(&["login", "--code", &code]);
        let was_issued =
            server.requests().iter().any(|request| request.path.ends_with("/device/token"));
        assert_eq!(
            login.status == 0,
            was_issued,
            "{pages} pages: an issued session is stored: {login:?}"
        );

        disk.empty();
        let token = home.token();
        assert!(
            token != old.access_token && is_accepted(server.url(), &token),
            "{pages} pages: logged in as before"
        );
    }
}

#[test]
fn on_a_read_only_disk_stored_credentials_are_returned() {
    let server = service();
    let home = Home::at(&server);
    let Some(disk) = Mounted::on(&home, 256) else { return };
    let session = server.session("me@acme.dev").unwrap();
    home.write(".my/config.json", &json!({ "api_url": server.url() }).to_string());
    home.write_session(&session, std::time::Duration::from_secs(900), std::time::Duration::ZERO);
    assert_eq!(
        home.run_with(&["store"], r#"{"url":"https://h.dev","username":"ada","secret":"s"}"#)
            .status,
        0
    );
    assert!(disk.mount(&["-o", "remount,ro", "none"]));
    assert_eq!(home.token(), session.access_token);
    assert_eq!(home.run(&["get", "--url", "https://h.dev", "--format", "raw"]).output, "s\n");
    for (arguments, input) in [
        (&["store"][..], r#"{"url":"https://h.dev","username":"ada","secret":"t"}"#),
        (&["erase"], r#"{"url":"https://h.dev"}"#),
        (&["erase"], r#"{"provider":"mycli"}"#),
        (&["login", "--email", "me@acme.dev", "--force"], ""),
    ] {
        let outcome = home.run_with(arguments, input);
        assert_eq!(outcome.status, 1, "{arguments:?}: {outcome:?}");
        assert!(
            outcome.messages.to_lowercase().contains("read-only"),
            "{arguments:?}: {outcome:?}"
        );
    }
    assert!(disk.mount(&["-o", "remount,rw", "none"]));
    home.write_session(&session, std::time::Duration::ZERO, std::time::Duration::from_secs(3600));
    assert!(disk.mount(&["-o", "remount,ro", "none"]));
    let outcome = home.run(&["get"]);
    assert!(
        outcome.status != 0 && outcome.messages.to_lowercase().contains("read-only"),
        "{outcome:?}"
    );
    assert_eq!(
        (server.refresh_requests(), server.inbox().len()),
        (0, 0),
        "nothing is spent, and nobody is mailed"
    );
}
