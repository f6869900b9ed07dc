//! Login with and without a terminal, logout, `whoami` and `status`.

use std::time::{Duration, Instant};

use account_server::{Fault, Server, Settings};
use my_credential_helper::model::Timestamp;
use rexpect::session::PtySession;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::support::http::{open, redeem};
use crate::support::protected::{Protected, Protection};
use crate::support::terminal::{in_terminal, status_of};
use crate::support::{HELPER, Home, finish, mail_to, service, service_with};

const ME: &str = "me@acme.dev";
const POLL: &str = "/v1/auth/device/token";

/// A service that is polled every second.
fn quick() -> Server {
    service_with(|settings: &mut Settings| settings.poll_interval = Duration::from_secs(1))
}

/// Another code than the one in the mail.
fn another(code: &str) -> String {
    let first = if code.starts_with('1') { '2' } else { '1' };
    format!("{first}{}", &code[1..])
}

fn logged_in_sentence(home: &Home, who: &str) -> String {
    let file = home.path().join(".my/credentials.json");
    format!("Logged in to mycli as {who}. Saved in the file: {}\n", file.display())
}

#[test]
fn a_click_on_the_link_ends_the_wait_within_one_interval() {
    let server = quick();
    let home = Home::at(&server);
    let child = home.start(&["login", "--email", ME]);
    assert_eq!(open(&mail_to(&server, ME).link), 200);
    let clicked = Instant::now();
    let outcome = finish(child, b"");
    assert!(clicked.elapsed() < Duration::from_millis(1900), "{:?}", clicked.elapsed());
    assert_eq!(
        (outcome.status, outcome.output.as_str()),
        (0, logged_in_sentence(&home, ME).as_str()),
        "{outcome:?}"
    );
    assert!(
        outcome
            .messages
            .starts_with("Sent an email to me@acme.dev. Click the link in the email.\n")
    );
    let session = home.session().unwrap();
    let token = home.token();
    assert_eq!(session["access_token"], token.as_str());
    for text in [&outcome.output, &outcome.messages] {
        assert!(
            !text.contains(&token) && !text.contains(session["refresh_token"].as_str().unwrap())
        );
    }
    assert_eq!(home.read(".my/pending-login.json"), None, "nothing is left of the way there");
}

#[test]
fn a_poll_that_fails_does_not_end_the_wait() {
    let server = quick();
    let home = Home::at(&server);
    server.fault(POLL, 1, Fault::Answer { status: 503, body: String::new(), headers: [].into() });
    let child = home.start(&["login", "--email", ME]);
    assert_eq!(open(&mail_to(&server, ME).link), 200);
    let outcome = finish(child, b"");
    assert_eq!((outcome.status, outcome.output), (0, logged_in_sentence(&home, ME)));
}

#[test]
fn a_lost_session_is_an_error() {
    let server = quick();
    let home = Home::at(&server);
    home.run(&["login", "--email", ME, "--no-wait"]);
    server.fault(POLL, 1, Fault::CutBody { cut_body_after: 40 });
    let outcome = home.run(&["login", "--code", &mail_to(&server, ME).code]);
    assert_eq!((outcome.status, home.session()), (1, None), "{outcome:?}");
    assert!(outcome.messages.contains("error: the link and the code have expired"), "{outcome:?}");
}

#[test]
fn a_lost_session_is_an_error_also_after_an_earlier_login() {
    let server = quick();
    let (home, _) = Home::logged_in(&server);
    let before = home.session();
    home.run(&["login", "--email", "other@acme.dev", "--no-wait", "--force"]);
    server.fault(POLL, 1, Fault::CutBody { cut_body_after: 40 });
    let outcome = home.run(&["login", "--code", &mail_to(&server, "other@acme.dev").code]);
    assert_eq!((outcome.status, home.session()), (1, before), "{outcome:?}");
    assert!(outcome.messages.contains("error: the link and the code have expired"), "{outcome:?}");
}

#[test]
fn a_login_without_waiting_takes_two_steps() {
    let server = service();
    let home = Home::at(&server);
    let outcome = home.run(&["login", "--email", ME, "--no-wait"]);
    assert_eq!(
        (outcome.status, outcome.output.as_str()),
        (
            0,
            "Sent an email with a link and a code to me@acme.dev. To complete the login, run `my-credential-helper login --code CODE` with the six-digit code.\n"
        )
    );
    assert_eq!(mode(&home, ".my/pending-login.json"), 0o600);
    let code = mail_to(&server, ME).code;
    let outcome = home.run(&["login", "--code", &another(&code)]);
    assert_eq!(outcome.status, 4, "{outcome:?}");
    assert!(
        outcome.messages.contains("(INVALID_CODE)") && outcome.messages.contains("\n\nhint: "),
        "{outcome:?}"
    );
    assert_eq!(home.session(), None);
    let outcome = home.run(&["login", "--code", &code]);
    assert_eq!(
        (outcome.status, outcome.output.as_str()),
        (0, logged_in_sentence(&home, ME).as_str()),
        "{outcome:?}"
    );
    let outcome = home.run(&["login", "--code", &code]);
    assert_eq!(outcome.status, 2, "a code works once");
    assert!(outcome.messages.starts_with("error: no pending login\n"), "{outcome:?}");
}

#[test]
fn the_second_step_knows_the_service_of_the_first() {
    let (server, other) = (service(), service());
    let home = Home::new();
    let outcome = home.run(&["login", "--email", ME, "--api-url", server.url(), "--no-wait"]);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    let mail = mail_to(&server, ME);
    let elsewhere = home.run(&["login", "--code", &mail.code, "--api-url", other.url()]);
    assert_eq!(elsewhere.status, 2);
    assert_eq!(
        elsewhere.messages,
        format!(
            "error: no pending login at {}, but one at {1}\n\n\
             hint: run `my-credential-helper --api-url {1} login --code CODE` to complete it\n",
            other.url(),
            server.url()
        )
    );
    assert!(other.requests().is_empty(), "the code goes to nobody else");
    assert_eq!(open(&mail.link), 200);
    let outcome = home.run(&["login", "--code", &mail.code]);
    assert_eq!(
        (outcome.status, outcome.output),
        (0, logged_in_sentence(&home, ME)),
        "clicked or not"
    );
    assert_eq!(home.run(&["config", "get", "api_url"]).output, format!("{}\n", server.url()));
    assert!(home.run(&["whoami"]).output.contains(ME));
}

#[test]
fn a_code_completes_only_the_login_of_its_provider() {
    let server = service();
    let home = Home::new();
    home.write(
        ".config/my-credential-helper/config.toml",
        &format!(
            "[providers.acme]\nkind = 'magic_link'\napi_url = '{}'\ntoken_variable = 'ACME_TOKEN'\n",
            server.url()
        ),
    );
    let started = home.run(&["--provider", "acme", "login", "--email", ME, "--no-wait"]);
    assert_eq!(started.status, 0, "{started:?}");
    let code = mail_to(&server, ME).code;
    let outcome = home.run(&["login", "--code", &code]);
    assert_eq!((outcome.status, home.session()), (2, None), "{outcome:?}");
    assert!(
        outcome.messages.contains("`my-credential-helper --provider acme login --code CODE`"),
        "{outcome:?}"
    );
    assert_eq!(home.run(&["--provider", "acme", "login", "--code", &code]).status, 0);
}

fn mode(home: &Home, relative: &str) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(home.path().join(relative)).unwrap().permissions().mode() & 0o777
}

#[test]
fn too_many_wrong_codes_end_the_login() {
    let server = service();
    let home = Home::at(&server);
    home.run(&["login", "--email", ME, "--no-wait"]);
    let wrong = another(&mail_to(&server, ME).code);
    let mut outcome = home.run(&["login", "--code", &wrong]);
    for _ in 0..5 {
        outcome = home.run(&["login", "--code", &wrong]);
    }
    assert!(outcome.messages.contains("TOO_MANY_ATTEMPTS"), "{outcome:?}");
    assert_eq!(outcome.status, 4, "the same request will not succeed later");
    assert!(outcome.messages.contains(&format!(
        "hint: start the login again: `my-credential-helper login --email {ME}`"
    )));
}

#[test]
fn an_expired_link_and_code_are_reported() {
    let server = service_with(|settings| {
        settings.poll_interval = Duration::from_secs(1);
        settings.device_code_lifetime = Duration::from_secs(2);
    });
    let home = Home::at(&server);
    let outcome = home.run(&["login", "--email", ME]);
    assert_eq!(outcome.status, 1, "{outcome:?}");
    assert!(
        outcome.messages.ends_with(&format!(
            "error: the link and the code have expired\n\nhint: start the login again: `my-credential-helper login --email {ME}`\n"
        )),
        "{outcome:?}"
    );
    assert_eq!(home.run(&["login", "--code", "123456"]).status, 2, "then none is waiting");
    assert_eq!(home.session(), None);
}

#[test]
fn without_a_terminal_the_email_address_is_required() {
    let server = service();
    let home = Home::at(&server);
    let outcome = home.run(&["login"]);
    assert_eq!(outcome.status, 2);
    assert_eq!(
        outcome.messages,
        "error: no token on standard input, and no terminal to prompt for an email address\n\n\
         hint: run `my-credential-helper login --email you@example.com`\n"
    );
    let outcome = home.run(&["login", "--email", "nobody"]);
    assert!(outcome.status == 4 && outcome.messages.contains("INVALID_EMAIL"), "{outcome:?}");
    assert_eq!(server.inbox().len(), 0);
    assert_eq!(home.read(".my/pending-login.json"), None);
}

#[test]
fn a_second_login_reports_the_user_unless_forced() {
    let server = service();
    let home = Home::at(&server);
    assert_eq!(home.log_in(&server, ME, &[]).status, 0);
    let before = home.session();
    for arguments in
        [&["login", "--email", ME][..], &["login", "--email", " Me@Acme.dev "], &["login"]]
    {
        let outcome = home.run(arguments);
        assert_eq!(
            (outcome.status, outcome.output.as_str()),
            (
                0,
                "Already logged in to mycli as me@acme.dev. Use `login --force` to log in again.\n"
            ),
            "{outcome:?}"
        );
    }
    assert_eq!((home.session(), server.inbox().len()), (before, 1));
    let outcome = home.log_in(&server, "other@acme.dev", &["--force"]);
    assert_eq!((outcome.status, outcome.output), (0, logged_in_sentence(&home, "other@acme.dev")));
    assert!(home.run(&["whoami"]).output.contains("other@acme.dev"));
}

#[test]
fn a_login_with_another_email_replaces_the_session() {
    let server = service();
    let (home, _) = Home::logged_in(&server);
    let started = home.run(&["login", "--email", "other@acme.dev", "--no-wait"]);
    assert!(started.output.contains("a code to other@acme.dev"), "{started:?}");
    assert_eq!(
        started.messages,
        "note: logged in to mycli as me@acme.dev; the new login replaces that session. Use `--account NAME` to keep both\n"
    );
    assert!(home.run(&["whoami"]).output.contains(ME), "until it completes");
    let outcome = home.run(&["login", "--code", &mail_to(&server, "other@acme.dev").code]);
    assert_eq!((outcome.status, outcome.output), (0, logged_in_sentence(&home, "other@acme.dev")));
}

/// Single files are mounted into development containers. The code stays valid, and the session of before stays.
#[test]
fn a_login_whose_settings_cannot_be_saved_uses_no_code() {
    let of_account = [".config/my-credential-helper/config.toml", "--account", "work"];
    let elsewhere = [".my/config.json", "--api-url", "URL"];
    for [file, option, value] in [of_account, elsewhere] {
        let server = service();
        let home = Home::at(&server);
        if option == "--api-url" {
            home.write(file, r#"{"api_url":"http://127.0.0.1:9"}"#);
        } else {
            home.write(file, "");
        }
        let value = if value == "URL" { server.url() } else { value };
        let start = ["login", option, value, "--email", ME, "--no-wait"];
        assert_eq!(home.run(&start).status, 0);
        let complete = ["login", "--code", &mail_to(&server, ME).code];
        let file = home.path().join(file);
        let Some(mount) = Protected::new(&file, Protection::Mounted) else { return };
        server.clear_requests();
        for arguments in [&complete[..], &start] {
            let outcome = home.run(arguments);
            assert_eq!(outcome.status, 1, "{outcome:?}");
            assert!(outcome.messages.contains("is a mount point"), "{outcome:?}");
        }
        assert!(server.requests().is_empty(), "{:?}", server.requests());
        drop(mount);
        let outcome = home.run(&complete);
        assert_eq!(outcome.status, 0, "{outcome:?}");
    }
}

/// Without the service, the recorded name of the user decides, if there is one.
#[test]
fn without_the_service_another_email_is_not_already_logged_in() {
    for is_recorded in [true, false] {
        let server = service();
        let (home, _) = Home::logged_in(&server);
        if is_recorded {
            assert_eq!(home.run(&["whoami"]).status, 0);
        }
        drop(server);
        let outcome = home.run(&["login", "--email", "other@acme.dev", "--no-wait"]);
        assert_eq!(outcome.status, 3, "{outcome:?}");
        assert!(outcome.messages.contains("cannot start the login"), "{outcome:?}");
        let outcome = home.run(&["login", "--email", ME, "--no-wait"]);
        let expected = if is_recorded { "Already logged in to mycli as me@acme.dev." } else { "" };
        assert!(outcome.output.starts_with(expected), "{outcome:?}");
        assert_eq!(outcome.status, if is_recorded { 0 } else { 3 }, "{outcome:?}");
        let outcome = home.run(&["login"]);
        assert!(outcome.output.starts_with("Already logged in to mycli"), "{outcome:?}");
    }
}

#[test]
fn a_code_may_be_typed_in_groups_and_only_six_digits_are_sent() {
    const VERIFY: &str = "/v1/auth/verify-code";
    let server = service();
    let home = Home::at(&server);
    home.run(&["login", "--email", ME, "--no-wait"]);
    let code = mail_to(&server, ME).code;
    for bad in ["", " ", "12345", "1234567", "12345a", "\u{661}23456"] {
        let outcome = home.run(&["login", &format!("--code={bad}")]);
        assert_eq!(outcome.status, 2, "{outcome:?}");
        assert!(outcome.messages.starts_with("error: the code is not six digits"), "{outcome:?}");
    }
    assert!(server.requests().iter().all(|request| request.path != VERIFY));
    let (first, second) = code.split_at(3);
    for separator in [" ", "-", "\u{2011}", " - "] {
        let wrong = another(first) + separator + second;
        assert_eq!(home.run(&["login", "--code", &wrong]).status, 4);
    }
    let outcome = home.run(&["login", "--code", &format!(" {first} {second}\n")]);
    assert_eq!((outcome.status, outcome.output), (0, logged_in_sentence(&home, ME)));
}

fn rate_limit(retry_after: &str) -> Fault {
    Fault::Answer {
        status: 429,
        body: r#"{"error":{"code":"RATE_LIMITED","message":"slow down"}}"#.to_owned(),
        headers: [("retry-after".to_owned(), retry_after.to_owned())].into(),
    }
}

#[test]
fn a_rate_limit_after_a_click_does_not_reject_the_code() {
    let server = quick();
    let home = Home::at(&server);
    home.run(&["login", "--email", ME, "--no-wait"]);
    let mail = mail_to(&server, ME);
    assert_eq!(open(&mail.link), 200);
    server.fault(POLL, 2, rate_limit("1"));
    let outcome = home.run(&["login", "--code", &mail.code]);
    assert_eq!((outcome.status, outcome.output), (0, logged_in_sentence(&home, ME)));
}

#[test]
fn a_logout_waits_for_a_rate_limit_and_reports_the_remainder() {
    const LOGOUT: &str = "/v1/auth/logout";
    let server = service();
    let (home, session) = Home::logged_in(&server);
    server.fault(LOGOUT, 1, rate_limit("1"));
    let outcome = home.run(&["logout", "--json"]);
    assert_eq!(outcome.json()["revoked"], true, "{outcome:?}");
    assert_eq!(redeem(&server, &session.refresh_token).0, 401);
    let (home, session) = Home::logged_in(&server);
    server.fault(LOGOUT, 1, rate_limit("3600"));
    let outcome = home.run(&["logout"]);
    assert_eq!((outcome.status, home.session()), (0, None), "{outcome:?}");
    assert!(outcome.messages.contains("RATE_LIMITED"), "{outcome:?}");
    assert!(outcome.messages.contains("; it stays valid there until it expires"), "{outcome:?}");
    assert_eq!(redeem(&server, &session.refresh_token).0, 200);
}

#[test]
fn a_hint_does_not_lead_into_the_next_error() {
    let server = service();
    let home = |name: &str, value: &str| {
        let mut home = Home::at(&server);
        home.set(name, value);
        home
    };
    for (name, value, hint) in [
        ("CI", "true", "hint: in a CI job, set MY_API_TOKEN to a token"),
        ("TF_BUILD", "True", "hint: in a CI job, set MY_API_TOKEN to a token"),
        ("JENKINS_URL", "https://ci.dev", "hint: in a CI job, set MY_API_TOKEN to a token"),
        ("HOME", "relative", "hint: set HOME to your home directory"),
    ] {
        for command in ["get", "whoami", "login"] {
            let outcome = home(name, value).run(&[command]);
            let found = [&*outcome.messages, &outcome.output].concat();
            let hint = if outcome.output.is_empty() { hint } else { &hint["hint: ".len()..] };
            assert!(found.contains(hint), "{command}: {outcome:?}");
            assert!(!found.contains("my-credential-helper login"), "{command}: {outcome:?}");
        }
    }
    let outcome = home("CI", "false").run(&["get"]);
    assert!(outcome.messages.contains("hint: run `my-credential-helper login`"), "{outcome:?}");
}

#[test]
fn a_revoked_session_does_not_prevent_a_login() {
    let server = service();
    let (home, session) = Home::with_stale_session(&server);
    redeem(&server, &session.refresh_token);
    server.advance(Duration::from_secs(60));
    assert_eq!(home.log_in(&server, ME, &[]).status, 0);
}

#[test]
fn login_and_logout_warn_about_the_token_in_the_variable() {
    let server = service();
    let mut home = Home::at(&server);
    let token = server.api_token("robot@acme.dev", "ci").unwrap().token;
    home.set("MY_API_TOKEN", &token);
    let warning =
        "MY_API_TOKEN is set and takes precedence; run `unset MY_API_TOKEN` to use the session\n";
    let outcome = home.log_in(&server, ME, &[]);
    assert_eq!((outcome.status, outcome.output), (0, logged_in_sentence(&home, ME)));
    assert!(outcome.messages.ends_with(warning), "{:?}", outcome.messages);
    let outcome = home.run(&["login", "--email", ME]);
    assert_eq!(
        outcome.output,
        "Already logged in to mycli as me@acme.dev. Use `login --force` to log in again.\n",
        "the login's owner, not the variable's"
    );
    assert!(outcome.messages.ends_with(warning));
    let outcome = home.run(&["logout"]);
    assert_eq!((outcome.status, outcome.output.as_str()), (0, "Logged out of mycli.\n"));
    assert!(outcome.messages.ends_with(warning), "{:?}", outcome.messages);
    assert_eq!((home.session(), home.token()), (None, token));
}

#[test]
fn a_logout_revokes_the_session_and_can_be_repeated() {
    let server = service();
    let (home, session) = Home::logged_in(&server);
    let outcome = home.run(&["logout"]);
    assert_eq!(
        (outcome.status, outcome.output.as_str(), outcome.messages.as_str()),
        (0, "Logged out of mycli.\n", "")
    );
    let (status, answer) = redeem(&server, &session.refresh_token);
    assert_eq!((status, &answer["error"]["code"]), (401, &json!("SESSION_REVOKED")));
    assert_eq!(home.session(), None);
    let outcome = home.run(&["logout"]);
    assert_eq!((outcome.status, outcome.output.as_str()), (0, "Not logged in to mycli.\n"));
    assert_eq!(home.run(&["get"]).status, 1);
}

#[test]
fn a_logout_with_an_expired_access_token_revokes_the_session() {
    let server = service();
    let (home, session) = Home::with_stale_session(&server);
    server.advance(Duration::from_secs(3600));
    let outcome = home.run(&["logout"]);
    assert_eq!((outcome.status, outcome.messages.as_str()), (0, ""), "{outcome:?}");
    let (_, answer) = redeem(&server, &session.refresh_token);
    assert_eq!(
        answer["error"]["code"], "SESSION_REVOKED",
        "what is forgotten must not live on for two months"
    );
    assert_eq!(home.session(), None);
}

#[test]
fn a_logout_without_the_service_warns_about_the_session() {
    let server = service();
    let (home, _) = Home::logged_in(&server);
    drop(server);
    let outcome = home.run(&["logout"]);
    assert_eq!(
        (outcome.status, outcome.output.as_str()),
        (0, "Logged out of mycli.\n"),
        "{outcome:?}"
    );
    assert!(
        outcome.messages.contains("could not revoke the session on the service: "),
        "{outcome:?}"
    );
    assert_eq!(home.session(), None);
}

#[test]
fn whoami_calls_the_service() {
    let server = service();
    let (home, session) = Home::logged_in(&server);
    let outcome = home.run(&["whoami"]);
    assert_eq!(
        (outcome.status, outcome.output),
        (
            0,
            format!(
                "user id:     {}\nemail:       me@acme.dev\nuser name:   none yet\n",
                session.user_id
            )
        )
    );
    assert_eq!(
        home.run(&["whoami", "--json"]).json(),
        json!({
            "provider": "mycli", "id": session.user_id, "email": "me@acme.dev", "username": null,
            "kind": "session", "source": "file",
        })
    );
    let outcome = Home::new().run(&["whoami"]);
    assert_eq!(outcome.status, 1);
    assert!(outcome.messages.starts_with("error: not logged in to mycli\n"));
}

#[test]
fn whoami_meets_a_refusal_and_refreshes_once() {
    let server = service();
    let (home, old) = Home::logged_in(&server);
    server.revoke_access(&old.access_token);
    let outcome = home.run(&["whoami"]);
    assert_eq!((outcome.status, server.refresh_requests()), (0, 1), "{outcome:?}");
    let new = home.token();
    assert_ne!(new, old.access_token);
    server.clear_requests();
    server.fault(
        "/v1/me",
        2,
        Fault::Answer {
            status: 401,
            body: r#"{"error":{"code":"UNAUTHORIZED","message":"who?"}}"#.to_owned(),
            headers: [].into(),
        },
    );
    let outcome = home.run(&["whoami"]);
    assert_eq!((outcome.status, server.refresh_requests()), (4, 1), "once only: {outcome:?}");
    assert!(
        outcome.messages.contains("hint: run `my-credential-helper login` with `--force`"),
        "{outcome:?}"
    );
    assert!(home.session().is_some(), "and nobody is logged out");
}

#[test]
fn a_rejected_token_of_the_variable_is_not_refreshed() {
    let server = service();
    let (mut home, _) = Home::logged_in(&server);
    home.set("MY_API_TOKEN", "myc_0000000000000000000000000000000000000000");
    let outcome = home.run(&["whoami"]);
    assert_eq!((outcome.status, server.refresh_requests()), (4, 0), "{outcome:?}");
    assert!(outcome.messages.contains("unset MY_API_TOKEN"), "{outcome:?}");
}

#[test]
fn status_prints_local_state_without_requests() {
    let home = Home::new();
    let outcome = home.run(&["status"]);
    assert_eq!((outcome.status, outcome.messages.as_str()), (0, ""));
    assert_eq!(
        outcome.output,
        "\
provider:       mycli
api url:        https://api.mycli.sh
logged in:      no
MY_API_TOKEN:   not set
keyring:        no session bus
file:           no entry
"
    );
    let server = service();
    let (mut home, session) = Home::logged_in(&server);
    home.write_session(&session, Duration::from_secs(750), Duration::from_secs(150));
    home.write(
        ".my/cache/profiles/work/catalog.json",
        r#"{"items":[{"slug":"a"},{"slug":"b"}],"etag":"e","synced_at":"2026-01-02T03:04:05Z"}"#,
    );
    home.set("MY_PROFILE", "work");
    let url = server.url().to_owned();
    drop(server);
    let before = home.snapshot();
    let outcome = home.run(&["status"]);
    let kept = home.session().unwrap();
    let at =
        |name: &str| Timestamp::parse(kept[name].as_str().unwrap()).unwrap().to_whole_seconds();
    // A minute before the token expires, as `list` reports it.
    let reported = home.run(&["list"]).json()["credentials"][0]["expires_at"].clone();
    let reported = reported.as_str().unwrap();
    assert_ne!(reported, at("expires_at"));
    let end = Timestamp::from_unix(jwt_end(&session.refresh_token)).to_whole_seconds();
    assert_eq!(
        outcome.output,
        format!(
            "\
provider:          mycli
api url:           {url}
logged in:         by a session in the file: {}
user id:           {}
since:             {} (2 min ago)
token expires:     {} (in 11 min)
last refreshed:    {} (2 min ago)
session expires:   {end} (in 59 d)
MY_API_TOKEN:      not set
keyring:           no session bus
file:              found
",
            home.path().join(".my/credentials.json").display(),
            session.user_id,
            at("logged_in_at"),
            reported,
            at("last_refreshed_at"),
        )
    );
    assert_eq!(home.snapshot(), before);
    let fields = home.run(&["status", "--json"]).json();
    assert_eq!(
        (&fields["logged_in"], &fields["source"], &fields["kind"]),
        (&json!(true), &json!("file"), &json!("session"))
    );
    assert_eq!(
        (&fields["logged_in_at"], &fields["login_api_url"]),
        (&json!(at("logged_in_at")), &Value::Null),
        "a time is a time, and a URL a URL"
    );
    assert_eq!(fields["location"], home.path().join(".my/credentials.json").to_str().unwrap());
    assert!(!fields.to_string().contains(&session.access_token[20..]));
    let elsewhere = home.run(&["status", "--json", "--api-url", "https://other.example"]).json();
    assert_eq!(elsewhere["login_api_url"], url.as_str());
}

#[test]
fn status_of_an_api_token_reports_no_refresh() {
    let server = service();
    let home = Home::at(&server);
    assert_eq!(home.run_with(&["login"], &server.api_token(ME, "ci").unwrap().token).status, 0);
    let outcome = home.run(&["status"]);
    let place = home.path().join(".my/credentials.json");
    assert!(
        outcome.output.contains(&format!("by an API token in the file: {}\n", place.display())),
        "{outcome:?}"
    );
    assert!(
        outcome.output.contains("\nsince: ") && !outcome.output.contains("refreshed"),
        "{outcome:?}"
    );
    let fields = home.run(&["status", "--json"]).json();
    assert!(
        fields["logged_in_at"].is_string() && fields["last_refreshed_at"].is_null(),
        "{fields}"
    );
    let outcome = home.run(&["logout"]);
    assert_eq!(
        outcome.messages,
        "note: the API token is still valid; to revoke it, log in by email and run `my-credential-helper token revoke ID|NAME`\n"
    );
}

fn jwt_end(token: &str) -> i64 {
    let claims = token.split('.').nth(1).unwrap();
    let bytes =
        base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, claims).unwrap();
    serde_json::from_slice::<Value>(&bytes).unwrap()["exp"].as_i64().unwrap()
}

#[test]
fn a_login_at_another_url_replaces_the_one_before() {
    let (first, second) = (service(), service());
    let (home, _) = Home::logged_in(&first);
    home.write(
        ".my/config.json",
        &json!({ "api_url": first.url(), "telemetry_enabled": false, "x": [1] }).to_string(),
    );
    let outcome = home.log_in(&second, "new@acme.dev", &["--api-url", second.url()]);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    let config: Value = serde_json::from_str(&home.read(".my/config.json").unwrap()).unwrap();
    assert_eq!(config, json!({ "api_url": second.url(), "telemetry_enabled": false, "x": [1] }));
    let note = format!(
        "note: changed the API URL of mycli to {} (was {}) in ~/.my/config.json, which `my` also reads\n",
        second.url(),
        first.url()
    );
    assert!(outcome.messages.contains(&note), "{outcome:?}");
    assert!(home.run(&["whoami"]).output.contains("new@acme.dev"));
    assert_eq!(first.requests().len(), 0, "no token of one goes to the other");
}

#[test]
fn a_login_does_not_store_the_url_of_a_variable() {
    let (first, second) = (service(), service());
    let (mut home, _) = Home::logged_in(&first);
    home.log_in(&first, "work@acme.dev", &["--account", "work"]);
    let token = second.api_token(ME, "ci").unwrap().token;
    second.clear_requests();
    home.set("MY_API_URL", second.url());
    let before = home.snapshot();
    let email = ["login", "--force", "--no-wait", "--email", ME];
    for (arguments, input) in [
        (&email[..], ""),
        (&[&email[..], &["--account", "new"]].concat(), ""),
        (&["login", "--force"], &token),
        (&["login", "--force", "--token", &token], ""),
    ] {
        let outcome = home.run_with(arguments, input);
        assert_eq!(outcome.status, 2, "{outcome:?}");
        let message = format!(
            "error: MY_API_URL names {}, but the API URL of mycli is {}\n",
            second.url(),
            first.url()
        );
        assert!(outcome.messages.starts_with(&message), "{outcome:?}");
        let hint = format!("login --api-url {}`", second.url());
        assert!(outcome.messages.contains(&hint), "{outcome:?}");
    }
    assert!(home.snapshot() == before && second.requests().is_empty());
    home.set("MY_API_URL", format!("{}/", first.url()));
    assert_eq!(home.run(&["login"]).status, 0, "the configured URL is no other one");
    let outcome = home.log_in(&second, ME, &["--force", "--api-url", second.url()]);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    let note = format!("note: logged out of mycli (account work) at {}\n", first.url());
    assert!(outcome.messages.contains(&note), "{outcome:?}");
}

#[test]
fn a_prompt_names_a_url_that_is_not_configured() {
    let (first, second) = (service(), service());
    let home = Home::at(&first);
    for (option, prompt) in [(&["--token"][..], "Token for mycli"), (&[], "Email address")] {
        let url = ["--api-url", second.url()];
        let mut terminal = login_in_terminal(&home, &[option, &url].concat());
        terminal.exp_string(&format!("{prompt} at {}:", second.url())).unwrap();
        terminal.send_control('d').unwrap();
        assert_eq!(status_of(&mut terminal), 2);
    }
}

#[test]
fn a_login_revokes_the_former_session_of_its_device() {
    let server = service();
    let home = Home::at(&server);
    home.log_in(&server, ME, &[]);
    let former = home.session().unwrap();
    home.log_in(&server, ME, &["--force"]);
    let (_, answer) = redeem(&server, former["refresh_token"].as_str().unwrap());
    assert_eq!(answer["error"]["code"], "SESSION_REVOKED", "one session a device");
    assert_eq!(mode(&home, ".my/device_id"), 0o600);
}

fn login_in_terminal(home: &Home, arguments: &[&str]) -> PtySession {
    let mut command = home.command(HELPER);
    command.arg("login").args(arguments);
    in_terminal(home, command)
}

#[test]
fn the_terminal_prompts_for_the_address_and_accepts_the_code() {
    let server = service();
    let home = Home::at(&server);
    let mut terminal = login_in_terminal(&home, &["--username", "ada"]);
    terminal.exp_string("Email address:").unwrap();
    terminal.send_line("me.acme.dev").unwrap();
    terminal.exp_string("invalid email address `me.acme.dev`: ").unwrap();
    terminal.exp_string("Email address:").unwrap();
    terminal.send_line(ME).unwrap();
    terminal
        .exp_string(
            "Sent an email to me@acme.dev. Click the link in the email, or enter the six-digit code",
        )
        .unwrap();
    terminal.exp_string("left").unwrap();
    terminal.exp_string("code: ______").unwrap();
    let code = mail_to(&server, ME).code;
    // A slip of the finger is taken back.
    terminal.send("7x\u{7f}").unwrap();
    terminal.send(&another(&code)).unwrap();
    terminal.flush().unwrap();
    terminal.exp_string("the code was rejected").unwrap();
    terminal.send(&code).unwrap();
    terminal.flush().unwrap();
    terminal.exp_string("Logged in to mycli as ada. Saved in the file").unwrap();
    assert_eq!(status_of(&mut terminal), 0);
    assert!(home.session().is_some());
    assert!(home.run(&["whoami"]).output.contains("user name:   ada\n"));
}

#[test]
fn the_key_r_resends_the_email() {
    let server = service();
    let home = Home::at(&server);
    let mut terminal = login_in_terminal(&home, &["--email", ME, "--username", "ada"]);
    terminal.exp_string("code: ______").unwrap();
    let first = mail_to(&server, ME).code;
    terminal.send("r").unwrap();
    terminal.flush().unwrap();
    terminal.exp_string("resent the email").unwrap();
    assert_eq!(server.inbox().len(), 2);
    let second = mail_to(&server, ME).code;
    if first != second {
        terminal.send(&first).unwrap();
        terminal.flush().unwrap();
        terminal.exp_string("the code was rejected").unwrap();
    }
    terminal.send(&second).unwrap();
    terminal.flush().unwrap();
    assert_eq!(status_of(&mut terminal), 0);
}

#[test]
fn a_click_ends_the_wait_in_a_terminal() {
    let server = quick();
    let home = Home::at(&server);
    let mut terminal = login_in_terminal(&home, &["--email", ME, "--username", "ada"]);
    assert_eq!(open(&mail_to(&server, ME).link), 200);
    terminal.exp_string("Logged in to mycli as ada").unwrap();
    assert_eq!(status_of(&mut terminal), 0);
}

#[test]
fn an_interruption_restores_the_terminal() {
    let server = service();
    let home = Home::at(&server);
    let mut command = home.command("/bin/sh");
    let script =
        "stty -g > before; \"$0\" login --email me@acme.dev; echo \"status $?\"; stty -g > after";
    command.args(["-c", script, HELPER]);
    let mut terminal = in_terminal(&home, command);
    terminal.exp_string("code: ______").unwrap();
    terminal.send_control('c').unwrap();
    let (_, status) = terminal.exp_regex("status [0-9]+").unwrap();
    assert_eq!(status, "status 130", "as every shell says of Control-C");
    status_of(&mut terminal);
    assert!(home.read("before").is_some_and(|modes| modes.contains(':')));
    assert_eq!(home.read("before"), home.read("after"));
    assert_eq!(home.session(), None);
}

#[test]
fn a_signal_during_a_prompt_restores_the_terminal() {
    let server = service();
    let home = Home::at(&server);
    for (arguments, asked) in
        [(&["--email", ME][..], "code: ______"), (&["--token"], "Token for mycli:")]
    {
        for signal in [Signal::TERM, Signal::HUP, Signal::INT, Signal::QUIT] {
            // A shell in the background ignores some of them, and so does every program below it.
            let mut command = home.command("env");
            let script = "echo $$ > shell; stty -g > before; \"$0\" login \"$@\"; echo \"status $?\"; stty -g > after";
            command.args(["--default-signal", "/bin/sh", "-c", script, HELPER]).args(arguments);
            let mut terminal = in_terminal(&home, command);
            terminal.exp_string(asked).unwrap();
            kill_process(child_of(home.read("shell").expect("a process").trim()), signal).unwrap();
            let (_, status) = terminal.exp_regex("status [0-9]+").unwrap();
            assert_eq!(status, format!("status {}", 128 + signal.as_raw()), "{arguments:?}");
            status_of(&mut terminal);
            assert_eq!(home.read("before"), home.read("after"), "{arguments:?} {signal:?}");
        }
    }
    assert_eq!(home.session(), None);
}

/// As after `nohup`, or in the background of a shell.
#[test]
fn an_ignored_signal_does_not_interrupt_a_prompt() {
    let server = service();
    let home = Home::at(&server);
    let mut command = home.command("env");
    let script = "trap '' INT QUIT HUP; echo $$ > shell; \"$0\" login --token; echo \"status $?\"";
    command.args(["--default-signal", "/bin/sh", "-c", script, HELPER]);
    let mut terminal = in_terminal(&home, command);
    terminal.exp_string("Token for mycli:").unwrap();
    let helper = child_of(home.read("shell").expect("a process").trim());
    for signal in [Signal::INT, Signal::QUIT, Signal::HUP] {
        kill_process(helper, signal).unwrap();
    }
    let token = server.api_token(ME, "laptop").unwrap().token;
    terminal.send_line(&token).unwrap();
    terminal.exp_string("status 0").unwrap();
    assert_eq!(home.session().unwrap()["access_token"], token.as_str());
}

/// The only child of a process.
fn child_of(process: &str) -> Pid {
    let children = std::fs::read_to_string(format!("/proc/{process}/task/{process}/children"))
        .expect("a process");
    Pid::from_raw(children.trim().parse().expect("one child")).expect("a process id")
}

#[test]
fn control_c_works_while_the_service_does_not_respond() {
    let server = service();
    let home = Home::at(&server);
    server.fault(POLL, 1, Fault::Delay { delay_ms: 12_000 });
    let mut terminal = login_in_terminal(&home, &["--email", ME]);
    terminal.exp_string("code: ______").unwrap();
    let start = Instant::now();
    terminal.send_control('c').unwrap();
    assert_eq!(status_of(&mut terminal), 130);
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}

#[test]
fn keys_typed_during_a_request_are_not_lost() {
    let server = service();
    let home = Home::at(&server);
    server.fault(POLL, 1, Fault::Delay { delay_ms: 700 });
    let mut terminal = login_in_terminal(&home, &["--email", ME, "--username", "ada"]);
    terminal.exp_string("code: ______").unwrap();
    terminal.send(&mail_to(&server, ME).code).unwrap();
    terminal.flush().unwrap();
    assert_eq!(status_of(&mut terminal), 0);
    assert!(home.session().is_some());
}

#[test]
fn a_new_account_is_prompted_until_a_name_is_available() {
    let server = service();
    let home = Home::at(&server);
    let taken = Home::at(&server);
    assert_eq!(taken.log_in(&server, "first@acme.dev", &["--username", "ada"]).status, 0);
    let mut terminal = login_in_terminal(&home, &["--email", ME]);
    terminal.exp_string("code: ______").unwrap();
    terminal.send(&mail_to(&server, ME).code).unwrap();
    terminal.flush().unwrap();
    for (name, reason) in [("ada", "USERNAME_TAKEN"), ("9", "INVALID_USERNAME")] {
        terminal.exp_string("Choose a user name (3 to 39 of a-z, 0-9 and -):").unwrap();
        terminal.send_line(name).unwrap();
        terminal.exp_string(reason).unwrap();
    }
    terminal.exp_string("Choose a user name").unwrap();
    terminal.send_line("grace").unwrap();
    terminal.exp_string("Logged in to mycli as grace").unwrap();
    assert_eq!(status_of(&mut terminal), 0);
    assert!(home.run(&["whoami"]).output.contains("user name:   grace\n"));
}

#[test]
fn without_a_terminal_a_hint_tells_how_to_set_the_name() {
    let server = service();
    let home = Home::at(&server);
    let outcome = home.log_in(&server, ME, &[]);
    assert_eq!(outcome.status, 0);
    assert!(
        outcome.messages.contains("run `login --force --username NAME` to set one"),
        "{outcome:?}"
    );
    let taken = Home::at(&server);
    taken.log_in(&server, "first@acme.dev", &["--username", "ada"]);
    let outcome = home.log_in(&server, ME, &["--force", "--username", "ada"]);
    assert_eq!(outcome.status, 0, "the login stands: {outcome:?}");
    assert!(
        outcome.messages.contains("could not set the user name")
            && outcome.messages.contains("USERNAME_TAKEN")
    );
    assert!(home.session().is_some());
}

#[test]
fn a_user_name_is_kept_until_the_login_is_completed() {
    let server = quick();
    let home = Home::at(&server);
    home.run(&["login", "--email", ME, "--username", "tess", "--no-wait"]);
    let outcome = home.run(&["login", "--code", &mail_to(&server, ME).code]);
    assert_eq!(outcome.output, logged_in_sentence(&home, "tess"), "{outcome:?}");
}

/// `--no-wait` and `--code` are for another terminal; so is the code of a login that waits.
#[test]
fn a_login_that_waits_ends_when_another_process_completes_it() {
    let server = quick();
    let home = Home::at(&server);
    let waiting = home.start(&["login", "--email", ME]);
    let code = mail_to(&server, ME).code;
    let completed = home.run(&["login", "--code", &code]);
    let waited = finish(waiting, b"");
    for outcome in [completed, waited] {
        assert_eq!(outcome.status, 0, "{outcome:?}");
        assert!(outcome.output.contains("ogged in to mycli as "), "{outcome:?}");
    }
}
