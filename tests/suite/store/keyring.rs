//! The helper with a real keyring: one item, laid out as `my` lays it, and no copy anywhere else.

use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use account_server::{Fault, Server};
use serde_json::{Value, json};

use crate::support::scripted::Scripted;
use crate::support::secret_service::SecretService;
use crate::support::{Home, finish, service, session_json};

const TOKENS: [(&str, &str); 2] = [("service", "mycli"), ("username", "mycli-tokens")];
const LEGACY: [(&str, &str); 2] = [("service", "my-cli"), ("username", "tokens")];
const LOGINS: [(&str, &str); 1] = [("service", "my-credential-helper")];
const REFRESH: &str = "/v1/auth/refresh";
const HOUR: Duration = Duration::from_secs(3600);
const QUARTER: Duration = Duration::from_secs(900);

/// A home with its own keyring, configured for the service; `None` without gnome-keyring.
fn with_keyring() -> Option<(Server, SecretService, Home)> {
    let keyring = SecretService::start()?;
    let server = service();
    let mut home = Home::at(&server);
    home.use_keyring(&keyring);
    Some((server, keyring, home))
}

fn json_of(keyring: &SecretService) -> Value {
    serde_json::from_str(&keyring.value_of(&TOKENS).expect("an item")).expect("JSON")
}

fn get(home: &Home) -> Value {
    let outcome = home.run(&["get"]);
    assert_eq!(
        (outcome.status, outcome.messages.replace("note: keyring: locked\n", "")),
        (0, String::new()),
        "{outcome:?}"
    );
    outcome.json()
}

#[test]
fn a_session_of_my_is_found() {
    let Some((server, keyring, home)) = with_keyring() else { return };
    let session = server.session("me@acme.dev").unwrap();
    keyring.store(&TOKENS, session_json(&session, QUARTER, Duration::ZERO).as_bytes());
    let found = get(&home);
    assert_eq!(
        (&found["secret"], &found["source"]),
        (&json!(session.access_token), &json!("keyring"))
    );
    assert_eq!(home.session(), None, "a look-up copies nothing");
}

#[test]
fn a_session_is_one_item_that_my_finds() {
    let Some((server, keyring, home)) = with_keyring() else { return };
    let outcome = home.log_in(&server, "me@acme.dev", &[]);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    assert!(outcome.output.contains("Saved in the keyring: mycli / mycli-tokens"), "{outcome:?}");
    let items = keyring.attributes_of(&[("service", "mycli")]);
    assert_eq!(items.len(), 1, "{items:?}");
    let mut names: Vec<_> = items[0].keys().filter(|name| *name != "xdg:schema").collect();
    names.sort_unstable();
    assert_eq!(names, ["service", "username"], "go-keyring looks for exactly these");
    let mut keys: Vec<_> = json_of(&keyring).as_object().unwrap().keys().cloned().collect();
    keys.sort_unstable();
    assert_eq!(
        keys,
        ["access_token", "expires_at", "last_refreshed_at", "logged_in_at", "refresh_token"]
    );
    assert_eq!(home.session(), None, "and no file");
    assert_eq!(get(&home)["source"], "keyring");
}

#[test]
fn the_item_of_an_older_program_is_moved() {
    let Some((server, keyring, home)) = with_keyring() else { return };
    let session = server.session("me@acme.dev").unwrap();
    let text = session_json(&session, QUARTER, Duration::ZERO);
    keyring.store(&LEGACY, text.as_bytes());
    assert_eq!(get(&home)["secret"], session.access_token);
    assert_eq!(keyring.value_of(&LEGACY), None, "it is read once");
    assert_eq!(keyring.value_of(&TOKENS), Some(text), "and lies where it is looked for today");
}

#[test]
fn a_refresh_writes_back_to_the_keyring_and_leaves_no_file() {
    let Some((server, keyring, home)) = with_keyring() else { return };
    let old = server.session("me@acme.dev").unwrap();
    keyring.store(&TOKENS, session_json(&old, Duration::ZERO, HOUR).as_bytes());
    let found = get(&home);
    assert_ne!(found["secret"], old.access_token);
    assert_eq!(found["source"], "keyring");
    assert_eq!(json_of(&keyring)["access_token"], found["secret"]);
    assert_eq!(home.session(), None);
    assert_eq!(keyring.attributes_of(&TOKENS).len(), 1, "never two items");
}

#[test]
fn of_two_sessions_the_latest_is_used_and_refreshed() {
    for newer_in_keyring in [true, false] {
        let Some((server, keyring, home)) = with_keyring() else { return };
        let older = server.session("me@acme.dev").unwrap();
        server.advance(Duration::from_secs(2));
        let newer = server.session("me@acme.dev").unwrap();
        let (in_keyring, in_file) =
            if newer_in_keyring { (&newer, &older) } else { (&older, &newer) };
        // This machine's clock says the contrary: the older one has been received later.
        let text = |session, age| session_json(session, QUARTER, age);
        let age = |is_newer| if is_newer { Duration::from_secs(60) } else { Duration::ZERO };
        keyring.store(&TOKENS, text(in_keyring, age(newer_in_keyring)).as_bytes());
        home.write(".my/credentials.json", &text(in_file, age(!newer_in_keyring)));
        assert_eq!(get(&home)["secret"], newer.access_token, "the service's clock decides");

        let stale = session_json(&newer, Duration::ZERO, HOUR);
        if newer_in_keyring {
            keyring.replace(&TOKENS, stale.as_bytes());
        } else {
            home.write(".my/credentials.json", &stale);
        }
        let found = get(&home);
        assert_ne!(found["secret"], newer.access_token);
        // The older one is of another login: it does not pull the session into its store.
        let in_keyring = keyring.value_of(&TOKENS);
        let (stored, other) = if newer_in_keyring {
            (in_keyring, home.read(".my/credentials.json"))
        } else {
            (home.read(".my/credentials.json"), in_keyring)
        };
        let stored: Value = serde_json::from_str(&stored.expect("a session")).unwrap();
        assert_eq!(stored["access_token"], found["secret"], "it stays in its store");
        assert_eq!(other, None, "the other store has none");
    }
}

#[test]
fn a_session_moves_back_to_the_keyring_that_has_its_older_copy() {
    let Some((server, keyring, home)) = with_keyring() else { return };
    let session = server.session("me@acme.dev").unwrap();
    let mut copy: Value =
        serde_json::from_str(&session_json(&session, Duration::ZERO, HOUR)).unwrap();
    home.write(".my/credentials.json", &copy.to_string());
    copy["access_token"] = "older".into();
    copy["last_refreshed_at"] = "2020-01-01T00:00:00Z".into();
    copy["expires_at"] = "2020-01-01T00:15:00Z".into();
    keyring.store(&TOKENS, copy.to_string().as_bytes());
    let found = get(&home);
    assert_eq!(json_of(&keyring)["access_token"], found["secret"]);
    assert_eq!(home.session(), None, "the file has none");
}

#[test]
fn where_the_file_was_chosen_a_refresh_stays_there() {
    let Some((server, keyring, home)) = with_keyring() else { return };
    home.write(".config/my-credential-helper/config.toml", "store = \"file\"\n");
    let older = server.session("me@acme.dev").unwrap();
    server.advance(Duration::from_secs(2));
    let newer = server.session("me@acme.dev").unwrap();
    keyring.store(&TOKENS, session_json(&older, QUARTER, Duration::ZERO).as_bytes());
    home.write_session(&newer, Duration::ZERO, HOUR);
    let found = get(&home);
    assert_eq!(found["source"], "file", "what somebody chose is not changed behind their back");
    assert_eq!(home.session().unwrap()["access_token"], found["secret"]);
    assert_eq!(keyring.value_of(&TOKENS), None, "and the other place holds none");
}

#[test]
fn a_variable_turns_the_keyring_off() {
    let Some((server, keyring, mut home)) = with_keyring() else { return };
    let session = server.session("me@acme.dev").unwrap();
    keyring.store(&TOKENS, session_json(&session, QUARTER, Duration::ZERO).as_bytes());
    home.set("MY_NO_KEYRING", "1");
    let outcome = home.run(&["get"]);
    assert_eq!(outcome.status, 1, "{outcome:?}");
    assert!(outcome.messages.contains("keyring (turned off by MY_NO_KEYRING)"), "{outcome:?}");
    let outcome = home.log_in(&server, "me@acme.dev", &[]);
    assert!(outcome.status == 0 && outcome.output.contains("Saved in the file"), "{outcome:?}");
    assert_eq!(
        json_of(&keyring)["access_token"],
        session.access_token,
        "what is turned off is not touched"
    );
}

#[test]
fn a_locked_keyring_is_reported_immediately() {
    let Some((server, keyring, home)) = with_keyring() else { return };
    let session = server.session("me@acme.dev").unwrap();
    keyring.store(&TOKENS, session_json(&session, QUARTER, Duration::ZERO).as_bytes());
    keyring.lock();
    let start = Instant::now();
    let outcome = home.run(&["get"]);
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    assert_eq!(
        (outcome.status, &outcome.json()["error"]["code"]),
        (3, &json!("temporarily_unavailable"))
    );
    assert!(
        outcome.messages.contains("keyring (locked)") && outcome.messages.contains("unlock"),
        "{outcome:?}"
    );
}

#[test]
fn with_a_locked_keyring_the_file_is_used() {
    let Some((server, keyring, home)) = with_keyring() else { return };
    keyring.lock();
    let session = server.session("me@acme.dev").unwrap();
    home.write_session(&session, QUARTER, Duration::ZERO);
    let outcome = home.run(&["get", "--explain"]);
    assert_eq!((outcome.status, &outcome.json()["source"]), (0, &json!("file")), "{outcome:?}");
    assert_eq!(
        outcome.messages,
        "tried: MY_API_TOKEN (not set), keyring (locked), file (found)\nnote: keyring: locked\n"
    );
    home.write_session(&session, Duration::ZERO, HOUR);
    let found = get(&home);
    assert_ne!(found["secret"], session.access_token, "and is refreshed there");
    assert_eq!(home.session().unwrap()["access_token"], found["secret"]);
}

#[test]
fn with_a_locked_keyring_no_login_is_started() {
    let Some((server, keyring, home)) = with_keyring() else { return };
    keyring.lock();
    let outcome = home.run(&["login", "--email", "me@acme.dev"]);
    assert_eq!(outcome.status, 1, "{outcome:?}");
    assert_eq!(
        outcome.messages,
        "error: could not save the session to the keyring: locked\n\n\
         hint: unlock the keyring, or use `--store file`\n"
    );
    assert_eq!((server.inbox().len(), server.requests().len()), (0, 0), "no prompt without need");
    let outcome = home.log_in(&server, "me@acme.dev", &["--store", "file"]);
    assert!(outcome.status == 0 && outcome.output.contains("Saved in the file"), "{outcome:?}");
    assert_eq!(get(&home)["source"], "file");
}

#[test]
fn a_keyring_locked_during_a_refresh_loses_no_session() {
    let Some((server, keyring, home)) = with_keyring() else { return };
    let old = server.session("me@acme.dev").unwrap();
    keyring.store(&TOKENS, session_json(&old, Duration::ZERO, HOUR).as_bytes());
    server.fault(REFRESH, 1, Fault::Delay { delay_ms: 300 });
    let child = home.start(&["get", "--format", "raw"]);
    while server.refresh_requests() == 0 {
        std::thread::sleep(Duration::from_millis(2));
    }
    keyring.lock();
    let outcome = finish(child, b"");
    assert_eq!(outcome.status, 0, "{outcome:?}");
    assert!(
        outcome.messages.contains("could not save the session to the keyring (locked)"),
        "{outcome:?}"
    );
    assert_eq!(
        home.session().unwrap()["access_token"],
        outcome.output.trim_end(),
        "the file takes it"
    );
    assert_eq!(home.token(), outcome.output.trim_end());
}

#[test]
fn with_a_locked_keyring_a_logout_deletes_the_file() {
    let Some((server, keyring, home)) = with_keyring() else { return };
    keyring.lock();
    let session = server.session("me@acme.dev").unwrap();
    home.write_session(&session, QUARTER, Duration::ZERO);
    let outcome = home.run(&["logout"]);
    assert_eq!(outcome.status, 1, "{outcome:?}");
    assert!(outcome.messages.contains("locked"), "the message names what may be left: {outcome:?}");
    assert_eq!(home.session(), None, "what can be forgotten is");
}

#[test]
fn a_silent_bus_times_out_once_after_three_seconds() {
    let server = service();
    let (mut home, old) = Home::with_stale_session(&server);
    let bus = home.path().join("bus");
    let _silent = UnixListener::bind(&bus).unwrap();
    home.set("DBUS_SESSION_BUS_ADDRESS", format!("unix:path={}", bus.display()));
    let start = Instant::now();
    let outcome = home.run(&["get", "--explain"]);
    let took = start.elapsed();
    assert_eq!((outcome.status, &outcome.json()["source"]), (0, &json!("file")), "{outcome:?}");
    assert_ne!(outcome.json()["secret"], old.access_token, "and is refreshed there");
    assert!(outcome.messages.contains("keyring (did not answer in time)"), "{outcome:?}");
    assert!(
        (Duration::from_secs(2)..Duration::from_secs(5)).contains(&took),
        "all calls together: {took:?}"
    );
}

#[test]
fn a_url_credential_has_its_secret_only_in_the_keyring() {
    let Some((_, keyring, home)) = with_keyring() else { return };
    let url = "https://git.example.com/team";
    let body = json!({ "url": url, "username": "ada", "secret": "hunter2-hunter2" }).to_string();
    let outcome = home.run_with(&["store"], body);
    assert_eq!(
        (outcome.status, &outcome.json()["stored_in"]),
        (0, &json!("keyring")),
        "{outcome:?}"
    );
    let items = keyring.attributes_of(&LOGINS);
    assert_eq!(items.len(), 1, "{items:?}");
    assert!(keyring.value_of(&LOGINS).unwrap().contains("hunter2-hunter2"));
    let is_in_a_file =
        |secret: &str| home.snapshot().values().flatten().any(|bytes| contains(bytes, secret));
    assert!(!is_in_a_file("hunter2-hunter2"), "no file has the secret");

    let listed = home.run(&["list"]);
    assert_eq!(
        listed.json()["credentials"],
        json!([{ "url": url, "username": "ada", "kind": "login", "source": "keyring" }])
    );
    assert!(!listed.output.contains("hunter2"));
    let found = home.run(&["get", "--url", url]).json();
    assert_eq!(
        (&found["secret"], &found["source"]),
        (&json!("hunter2-hunter2"), &json!("keyring"))
    );

    let outcome = home.run_with(&["erase"], json!({ "url": url, "secret": "another" }).to_string());
    assert_eq!(outcome.json()["erased"], false, "another secret is not this login's");
    let outcome = home.run_with(&["erase"], json!({ "url": url }).to_string());
    assert_eq!(outcome.json()["erased"], true);
    assert_eq!(keyring.value_of(&LOGINS), None, "the item is gone");
    assert_eq!(
        home.run(&["list"]).json()["credentials"],
        json!([]),
        "and the file that told of it"
    );
    assert_eq!(home.run(&["get", "--url", url]).status, 1);
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn with_a_locked_keyring_no_url_credential_is_stored() {
    let Some((_, keyring, home)) = with_keyring() else { return };
    keyring.lock();
    let before = home.snapshot();
    let body = json!({ "url": "https://git.example.com", "username": "ada", "secret": "hunter2" })
        .to_string();
    let outcome = home.run_with(&["store"], body);
    assert_eq!(outcome.status, 1, "{outcome:?}");
    assert!(
        outcome.messages.contains("locked") && !outcome.messages.contains("hunter2"),
        "{outcome:?}"
    );
    let mut after = home.snapshot();
    after.retain(|path, _| !path.ends_with(".my/logins.lock"));
    assert_eq!(after, before, "never a silent move to a plain file");
}

#[test]
fn each_tool_learns_that_a_stored_credential_cannot_be_read() {
    let Some((_, keyring, mut home)) = with_keyring() else { return };
    for host in ["h.dev", "other.dev"] {
        let body =
            json!({ "url": format!("https://{host}"), "username": "ada", "secret": "hunter2" });
        assert_eq!(home.run_with(&["store"], body.to_string()).json()["stored_in"], "keyring");
    }
    keyring.lock();
    for reason in
        ["locked", "did not answer in time", "turned off by MY_NO_KEYRING", "no session bus"]
    {
        match reason {
            "did not answer in time" => keyring.stop(),
            "turned off by MY_NO_KEYRING" => home.set("MY_NO_KEYRING", "1"),
            "no session bus" => {
                home.set("MY_NO_KEYRING", "");
                home.set("DBUS_SESSION_BUS_ADDRESS", "");
            }
            _ => {}
        }
        let why = format!(
            "a credential for https://h.dev is in the keyring, and cannot be read: {reason}"
        );
        let json = home.run(&["get", "--url", "https://h.dev"]);
        let error = &json.json()["error"];
        assert_eq!((json.status, &error["code"]), (3, &json!("temporarily_unavailable")));
        assert!(error["message"].as_str().unwrap().starts_with(&why), "{json:?}");
        assert!(error["hint"].is_string(), "{json:?}");
        // Docker reads standard output, and pulls anonymously if it says that nothing is there.
        let docker = home.run_with(&["docker", "get"], "h.dev");
        assert!(docker.status == 1 && docker.output.starts_with(&why), "{docker:?}");
        assert!(!docker.output.contains("credentials not found in native keychain"));
        let git = home.run_with(&["git", "get"], "protocol=https\nhost=h.dev\n\n");
        assert!(git.status == 3 && git.messages.starts_with(&format!("error: {why}")), "{git:?}");
        let pip = home.run(&["keyring", "get", "https://h.dev", "ada"]);
        assert!(pip.status == 3 && pip.messages.starts_with(&format!("error: {why}")), "{pip:?}");
        assert!(git.output.is_empty() && pip.output.is_empty());
        let bazel = home.run_with(&["bazel", "get"], r#"{"uri":"https://h.dev/x"}"#);
        assert!(
            bazel.status == 3 && bazel.messages.starts_with(&format!("error: {why}")),
            "{bazel:?}"
        );
        // Nothing is stored for this host: each tool goes on as always.
        let docker = home.run_with(&["docker", "get"], "nothing.dev");
        assert_eq!(docker.output, "credentials not found in native keychain\n");
        let git = home.run_with(&["git", "get"], "protocol=https\nhost=nothing.dev\n\n");
        assert_eq!((git.status, git.messages.as_str()), (0, ""));
    }
}

#[test]
fn an_invalid_item_is_reported_without_its_content() {
    let Some((server, keyring, home)) = with_keyring() else { return };
    keyring.store(&TOKENS, b"hunter2");
    let outcome = home.run(&["get"]);
    assert_eq!(
        (outcome.status, &outcome.json()["error"]["code"]),
        (1, &json!("internal")),
        "{outcome:?}"
    );
    assert!(
        outcome.messages.contains("is not JSON") && !outcome.messages.contains("hunter2"),
        "{outcome:?}"
    );
    let session = server.session("me@acme.dev").unwrap();
    home.write_session(&session, QUARTER, Duration::ZERO);
    assert_eq!(home.token(), session.access_token, "where another place answers it is no error");
}

#[test]
fn a_logout_removes_every_item() {
    let Some((server, keyring, home)) = with_keyring() else { return };
    let session = server.session("me@acme.dev").unwrap();
    let text = session_json(&session, QUARTER, Duration::ZERO);
    keyring.store(&TOKENS, text.as_bytes());
    keyring.store(&LEGACY, text.as_bytes());
    home.write(".my/credentials.json", &text);
    let outcome = home.run(&["logout"]);
    assert_eq!(
        (outcome.status, outcome.output.as_str()),
        (0, "Logged out of mycli.\n"),
        "{outcome:?}"
    );
    assert_eq!(
        (keyring.value_of(&TOKENS), keyring.value_of(&LEGACY), home.session()),
        (None, None, None)
    );
}

#[test]
fn the_older_session_is_used_if_the_newer_is_revoked() {
    let Some((server, keyring, home)) = with_keyring() else { return };
    let older = server.session("me@acme.dev").unwrap();
    home.write_session(&older, Duration::ZERO, QUARTER);
    server.advance(Duration::from_secs(2));
    let newer = server.session("me@acme.dev").unwrap();
    keyring.store(&TOKENS, session_json(&newer, Duration::ZERO, QUARTER).as_bytes());
    ureq::post(format!("{}/v1/auth/logout", server.url()))
        .header("authorization", format!("Bearer {}", newer.access_token))
        .content_type("application/json")
        .send(json!({ "refresh_token": newer.refresh_token }).to_string())
        .unwrap();
    assert_eq!(get(&home)["source"], "file");
    assert_eq!(keyring.value_of(&TOKENS), None, "what the service ended is gone");
}

#[test]
fn in_the_keyring_an_older_session_does_not_log_out() {
    let Some((server, keyring, home)) = with_keyring() else { return };
    let session = server.session("me@acme.dev").unwrap();
    keyring.store(&TOKENS, session_json(&session, Duration::ZERO, HOUR).as_bytes());
    let mut theirs = json_of(&keyring);
    let body = json!({ "refresh_token": session.refresh_token });
    let pair: Value = ureq::post(format!("{}{REFRESH}", server.url()))
        .send_json(body)
        .unwrap()
        .body_mut()
        .read_json()
        .unwrap();
    for name in ["access_token", "refresh_token"] {
        theirs[name] = pair[name].clone();
    }
    server.advance(Duration::from_secs(10));
    let ours = get(&home);
    keyring.replace(&TOKENS, theirs.to_string().as_bytes());
    server.advance(Duration::from_secs(900));
    assert_ne!(get(&home)["secret"], ours["secret"], "it was refreshed");
    assert_eq!(home.run(&["logout"]).status, 0);
    assert!(keyring.attributes_of(&[]).is_empty(), "nothing of it is left");
}

/// After an edit of `config.toml`, the service that it names now gets no token of the one that issued the session: not with
/// `get`, not for a refresh, not at a logout.
fn other_service_receives_no_token(home: &Home) {
    let other = Scripted::start(|_, _| (200, String::new(), "{}".to_owned()));
    let configure = |url: &str, how: &str| {
        let text = format!(
            "[providers.acme]\nkind = 'oauth'\nclient_id = 'me'\nhosts = ['git.acme.dev']\n{how}"
        );
        home.write(".config/my-credential-helper/config.toml", &text.replace("URL", url));
    };
    let former = "https://login.acme.dev";
    for how in ["issuer = 'URL'\n", "token_endpoint = 'URL/token'\napi_url = 'URL'\n"] {
        for account in ["default", "work"] {
            for expires_at in ["2020-01-01T00:00:00Z", "2099-01-01T00:00:00Z"] {
                let acme = ["--provider", "acme", "--account", account];
                let run = |arguments: &[&str], input: &str| {
                    home.run_with(&[&acme, arguments].concat(), input)
                };
                configure(former, how);
                let session = json!({
                    "provider": "acme", "secret": "a-secret-access-token", "refresh_token": "a-secret-refresh-token",
                    "expires_at": expires_at,
                });
                assert_eq!(run(&["store"], &session.to_string()).status, 0);
                configure(&other.url, how);
                for request in
                    [&["get"][..], &["get", "--url", "https://git.acme.dev/x"], &["whoami"]]
                {
                    let outcome = run(request, "{}");
                    assert_ne!(outcome.status, 0, "{how}{account} {request:?}: {outcome:?}");
                    // `whoami` may fail before it reads the session.
                    let is_reported =
                        outcome.messages.contains("was issued by https://login.acme.dev");
                    assert!(is_reported || request[0] == "whoami", "{outcome:?}");
                    assert!(!format!("{outcome:?}").contains("a-secret"), "{outcome:?}");
                }
                let outcome = run(&["logout"], "");
                assert_eq!(outcome.status, 0, "{outcome:?}");
                assert!(
                    run(&["get"], "{}").messages.contains("not logged in"),
                    "the logout removes it"
                );
                assert_eq!(
                    other
                        .requests()
                        .iter()
                        .filter(|request| request.body.contains("a-secret"))
                        .count(),
                    0
                );
            }
        }
    }
}

#[test]
fn a_session_is_used_only_for_the_service_that_issued_it() {
    let mut home = Home::new();
    home.set("MY_NO_KEYRING", "1");
    other_service_receives_no_token(&home);
    let Some(keyring) = SecretService::start() else { return };
    let mut home = Home::new();
    home.use_keyring(&keyring);
    other_service_receives_no_token(&home);
}
