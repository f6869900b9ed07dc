//! A keyring without a collection, as before anybody has used it: reads find nothing, and only a login creates a collection.

use std::cell::RefCell;
use std::sync::mpsc;
use std::time::Duration;

use dbus::arg::{RefArg, Variant};
use dbus::blocking::Connection;
use dbus::channel::{MatchingReceiver as _, Sender as _};
use dbus::message::MatchRule;
use dbus::{Message, Path};

use crate::support::secret_service::SecretService;
use crate::support::terminal::{in_terminal, status_of};
use crate::support::{HELPER, Home, service};

const STORE: &str = r#"{"url":"https://h.dev","username":"ada","secret":"hunter2"}"#;
const LOGIN: [&str; 4] = ["login", "--email", "me@acme.dev", "--no-wait"];

#[test]
fn reads_of_a_new_gnome_keyring_find_nothing() {
    let Some(keyring) = SecretService::start_empty() else { return };
    let server = service();
    let (mut home, session) = Home::with_stale_session(&server);
    home.use_keyring(&keyring);
    assert_ne!(home.token(), session.access_token, "a refresh stays in the file");
    let outcome = home.run(&["get", "--explain"]);
    assert_eq!(
        outcome.messages,
        "tried: MY_API_TOKEN (not set), keyring (no entry), file (found)\n"
    );
    assert_eq!(home.run(&["get", "--url", "https://h.dev"]).json()["error"]["code"], "not_found");
    for command in ["list", "status", "logout"] {
        let outcome = home.run(&[command]);
        assert_eq!((outcome.status, outcome.messages.as_str()), (0, ""), "{command}");
    }
    let git = home.run_with(&["git", "get"], "protocol=https\nhost=h.dev\n\n");
    assert_eq!((git.status, git.output.as_str(), git.messages.as_str()), (0, "", ""));
    let outcome = home.run(&["get"]);
    assert_eq!(outcome.json()["error"]["code"], "not_logged_in", "{outcome:?}");
}

#[test]
fn a_login_that_needs_a_dialog_is_an_error_before_any_email() {
    let Some(keyring) = SecretService::start_empty() else { return };
    let server = service();
    let mut home = Home::at(&server);
    home.use_keyring(&keyring);
    let error = |reason: &str| {
        format!("error: could not save the session to the keyring: it has no collection, {reason}")
    };
    let only_login = error("and only `login` on a terminal may create one in a dialog");
    for (arguments, input) in [(&LOGIN[..], ""), (&["store"], STORE)] {
        let outcome = home.run_with(arguments, input);
        assert!(outcome.status == 1 && outcome.messages.starts_with(&only_login), "{outcome:?}");
        assert!(outcome.messages.contains("hint: use `--store file`"), "{outcome:?}");
    }
    let mut command = home.command(HELPER);
    command.args(LOGIN);
    let mut terminal = in_terminal(&home, command);
    terminal.exp_string(&error("and its dialog was closed or could not be shown")).unwrap();
    assert_eq!(status_of(&mut terminal), 1);
    assert!(home.session().is_none() && !home.login_files_hold("h.dev"), "nothing is stored");
    assert_eq!(server.inbox().len(), 0);
    let outcome = home.log_in(&server, "me@acme.dev", &["--store", "file"]);
    assert!(outcome.status == 0 && outcome.output.contains("Saved in the file"), "{outcome:?}");
}

/// A Secret Service that creates its collection after a dialog of four seconds, longer than every other call may take.
/// Sends the name of each call that changes something.
fn serve(address: &str, calls: mpsc::Sender<String>, ready: &mpsc::Sender<()>) {
    const CREATED: &str = "/org/freedesktop/secrets/collection/created";
    let bus = Connection::new_address(address).unwrap();
    bus.request_name("org.freedesktop.secrets", false, false, true).unwrap();
    let collection = RefCell::new("/");
    let none = || Path::from("/");
    bus.start_receive(
        MatchRule::new_method_call(),
        Box::new(move |call: Message, bus: &Connection| {
            let reply = call.method_return();
            let member = call.member().unwrap().to_string();
            let changes = ["CreateCollection", "Prompt", "CreateItem"].contains(&&*member);
            if changes {
                calls.send(member.clone()).unwrap();
            }
            let reply = match &*member {
                "SearchItems" => reply.append2(Vec::<Path<'_>>::new(), Vec::<Path<'_>>::new()),
                "ReadAlias" => reply.append1(Path::from(*collection.borrow())),
                "CreateCollection" => reply.append2(none(), Path::from("/prompt")),
                "Get" if &*call.path().unwrap() == *collection.borrow() => {
                    reply.append1(Variant(false))
                }
                "Get" => call.error(&"org.freedesktop.Secret.Error.NoSuchObject".into(), c""),
                "OpenSession" => reply.append2(Variant(String::new()), Path::from("/session")),
                "CreateItem" => reply.append2(Path::from("/item"), none()),
                _ => reply,
            };
            bus.send(reply).unwrap();
            if member == "Prompt" {
                std::thread::sleep(Duration::from_secs(4));
                *collection.borrow_mut() = CREATED;
                let prompt = ("/prompt", "org.freedesktop.Secret.Prompt", "Completed");
                let signal = Message::new_signal(prompt.0, prompt.1, prompt.2).unwrap();
                let result: Box<dyn RefArg> = Box::new(Path::from(CREATED));
                bus.send(signal.append2(false, Variant(result))).unwrap();
            }
            true
        }),
    );
    ready.send(()).unwrap();
    while bus.process(Duration::from_secs(60)).unwrap_or(false) {}
}

#[test]
fn a_login_on_a_terminal_creates_the_collection_in_a_dialog() {
    let Some(bus) = SecretService::start_bus() else { return };
    let (calls, received) = mpsc::channel();
    let (ready, is_ready) = mpsc::channel();
    let address = bus.bus_address.clone();
    std::thread::spawn(move || serve(&address, calls, &ready));
    is_ready.recv_timeout(Duration::from_secs(10)).unwrap();
    let server = service();
    let mut home = Home::at(&server);
    home.use_keyring(&bus);
    let mut command = home.command(HELPER);
    command.args(LOGIN);
    let mut terminal = in_terminal(&home, command);
    terminal.exp_string("Sent an email with a link and a code to me@acme.dev").unwrap();
    assert_eq!(status_of(&mut terminal), 0);
    assert_eq!(received.try_iter().collect::<Vec<_>>(), ["CreateCollection", "Prompt"]);
    let code = &server.inbox()[0].code;
    let outcome = home.run(&["login", "--code", code]);
    assert!(outcome.status == 0 && outcome.output.contains("Saved in the keyring"), "{outcome:?}");
    assert_eq!(received.try_iter().collect::<Vec<_>>(), ["CreateItem"]);
}
