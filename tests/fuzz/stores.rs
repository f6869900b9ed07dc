//! Stored files with arbitrary content.

use std::path::PathBuf;

use my_credential_helper::auth::with_engine;
use my_credential_helper::config::{Context, Overrides, Paths};
use my_credential_helper::model::{Invocation, Provider, Secret, Timestamp};
use my_credential_helper::protocols::run;
use my_credential_helper::store::keyring::go_keyring;
use my_credential_helper::store::{env as token_variable, session};
use my_credential_helper::sys::env::Environment;

/// A session that is read is the same when it was written, in either shape.
pub(super) fn sessions(data: &[u8]) {
    let text = Secret::new(String::from_utf8_lossy(data).into_owned());
    for key in [Provider::MYCLI.key, Provider::MICROTICA.key] {
        let Ok(Some(read)) = session::decode(&key, &text) else { continue };
        assert!(!read.access_token.has_control_character() && !read.access_token.is_empty());
        assert!(!read.refresh_token.as_ref().is_some_and(Secret::has_control_character));
        let written = session::encode(&key, &read);
        assert!(matches!(session::decode(&key, &written), Ok(Some(again)) if again == read));
    }
}

struct StoredSession {
    context: Context,
    file: PathBuf,
    _home: tempfile::TempDir,
}

impl StoredSession {
    /// A home with one login, whose file is about to be replaced.
    fn new() -> Self {
        let home = tempfile::tempdir().expect("a temporary directory");
        let variables = [("MY_NO_KEYRING".to_owned(), "1".into())].into();
        let context = Context::new(
            Environment::Fixed(variables),
            Paths::at(home.path()),
            Overrides::default(),
        );
        let login = br#"{"url":"https://git.acme.dev","username":"ada","secret":"hunter2"}"#;
        let answer = spoken(&context, "json", "store", login);
        let answer: serde_json::Value = serde_json::from_str(&answer).expect("an answer");
        let file = answer["location"].as_str().expect("a file").into();
        Self { context, file, _home: home }
    }
}

fn spoken(context: &Context, tool: &str, operation: &str, input: &[u8]) -> String {
    let tool = run::tool(tool).expect("a tool of that name");
    let invocation = Invocation {
        arguments: vec![operation.to_owned()],
        input: input.to_vec().into(),
        ..Invocation::default()
    };
    with_engine(context, |engine| run::answer(engine, tool, &invocation)).output.to_string()
}

thread_local! {
    static KEPT: StoredSession = StoredSession::new();
}

/// With any content of a credential file, git gets only lines of its protocol, and nothing for another host.
pub(super) fn logins(data: &[u8]) {
    KEPT.with(|StoredSession { context, file, .. }| {
        std::fs::write(file, data).expect("the file");
        let input = b"capability[]=authtype\nprotocol=https\nhost=git.acme.dev\n\n";
        let lines = spoken(context, "git", "get", input);
        let known = [
            "capability[]",
            "authtype",
            "credential",
            "username",
            "password",
            "password_expiry_utc",
            "oauth_refresh_token",
        ];
        let is_known =
            |line: &str| line.split_once('=').is_some_and(|(key, _)| known.contains(&key));
        assert!(lines.lines().all(is_known) && lines.lines().count() <= 6, "{lines:?}");
        let elsewhere = spoken(context, "git", "get", b"protocol=https\nhost=evil.dev\n\n");
        assert_eq!(elsewhere, "", "a login for another host");
    });
}

/// A token in the variable has no character that ends a line.
#[cfg(unix)]
pub(super) fn variable(data: &[u8]) {
    use std::os::unix::ffi::OsStrExt as _;
    let value = std::ffi::OsStr::from_bytes(data).to_owned();
    let environment = Environment::Fixed([("T".to_owned(), value)].into());
    if let Ok(Some(read)) =
        token_variable::read(&environment, "T", Timestamp::from_unix(1_700_000_000))
    {
        assert!(!read.token.is_empty() && !read.token.has_control_character());
    }
}

/// Values that are written to the keychain of macOS are read back; other values are read or rejected.
pub(super) fn go_keyring(data: &[u8]) {
    let _ = go_keyring::decode(data);
    let value = String::from_utf8_lossy(data);
    let read = go_keyring::decode(go_keyring::encode(&value).as_bytes());
    assert!(read.is_some_and(|read| *read == *value));
}
