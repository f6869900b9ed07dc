//! The prompts of commands on a real terminal.

use rexpect::session::PtySession;

use crate::support::terminal::{in_terminal, status_of};
use crate::support::{HELPER, Home, service};

fn run(home: &Home, arguments: &[&str]) -> PtySession {
    let mut command = home.command(HELPER);
    command.args(arguments);
    in_terminal(home, command)
}

#[test]
fn a_token_is_revoked_only_after_a_yes() {
    let server = service();
    let (home, _) = Home::logged_in(&server);
    let token = home.run(&["token", "create", "ci", "--json"]).json();
    let prefix = token["token_prefix"].as_str().unwrap();
    for (answer, status) in [("", 2), ("no", 2), ("y", 0)] {
        let mut session = run(&home, &["token", "revoke", "ci"]);
        session.exp_string(&format!("Revoke the token `ci` ({prefix})? [y/N]")).unwrap();
        session.send_line(answer).unwrap();
        assert_eq!(status_of(&mut session), status, "{answer:?}");
    }
    assert_eq!(home.run(&["token", "list"]).output, "");
}

#[test]
fn a_token_is_prompted_for_without_an_echo() {
    let server = service();
    let home = Home::at(&server);
    let token = server.api_token("me@acme.dev", "ci").unwrap().token;
    let mut session = run(&home, &["login", "--token"]);
    session.exp_string("Token for mycli:").unwrap();
    session.send_line(&token).unwrap();
    let before = session.exp_string("Logged in to mycli as me@acme.dev.").unwrap();
    assert!(!before.contains(&token), "{before}");
    assert_eq!(status_of(&mut session), 0);
    assert_eq!(home.token(), token);
}

#[test]
fn a_secret_can_be_corrected_and_interrupted() {
    let server = service();
    let home = Home::at(&server);
    let token = server.api_token("me@acme.dev", "ci").unwrap().token;
    let mut session = run(&home, &["login", "--token"]);
    session.exp_string("Token for mycli:").unwrap();
    // An arrow key is not part of the secret.
    session.send("x\u{7f}\u{1b}[A").unwrap();
    session.flush().unwrap();
    session.send_line(&token).unwrap();
    session.exp_string("Logged in to mycli as me@acme.dev.").unwrap();
    assert_eq!(status_of(&mut session), 0);
    for (control, status) in [('c', 130), ('d', 2)] {
        let mut session = run(&home, &["login", "--token"]);
        session.exp_string("Token for mycli:").unwrap();
        session.send_control(control).unwrap();
        assert_eq!(status_of(&mut session), status, "Control-{control}");
    }
    assert_eq!(home.token(), token);
}
