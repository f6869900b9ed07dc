//! What version 0.1.0 stored is read, listed, erased and undone. `tests/fixtures/0.1.0/README.md`
//! describes the data.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::thread;

use serde_json::{Value, json};

use crate::support::secret_service::SecretService;
use crate::support::{HELPER, Home, Outcome, finish, has_client, spawn};

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/0.1.0");

/// A port on which no service listens.
const NO_SERVICE: u16 = 1;

/// A home of the fixture, with the items of its keyring if it has one.
struct Stored {
    home: Home,
    keyring: Option<SecretService>,
    port: u16,
}

impl Stored {
    /// A home whose secrets are in files. The services that it knows listen on `port`.
    fn in_files(name: &str, port: u16) -> Self {
        let stored = Self { home: Home::new(), keyring: None, port };
        let folder = Path::new(FIXTURE).join(name);
        for file in files_below(&folder) {
            let text = fs::read_to_string(folder.join(&file)).unwrap();
            stored.home.write(&file, &stored.filled(&text));
        }
        stored
    }

    /// A home whose secrets are in a keyring; `None` if there is no Secret Service to run.
    fn in_keyring(name: &str, port: u16) -> Option<Self> {
        let keyring = SecretService::start()?;
        let mut stored = Self::in_files(name, port);
        let items = stored.json("keyring.json");
        for item in entries(&items[name]) {
            let attributes: Vec<_> = item["attributes"].as_object().unwrap().iter().collect();
            let attributes: Vec<_> =
                attributes.iter().map(|(name, value)| (name.as_str(), text(value))).collect();
            keyring.store(&attributes, text(&item["secret"]).as_bytes());
        }
        stored.home.use_keyring(&keyring);
        stored.keyring = Some(keyring);
        Some(stored)
    }

    /// A text of the fixture with the values of this home in the place of the placeholders.
    fn filled(&self, text: &str) -> String {
        let home = self.home.path().to_str().unwrap();
        text.replace("{{HOME}}", home).replace("{{PORT}}", &self.port.to_string())
    }

    fn json(&self, file: &str) -> Value {
        let text = fs::read_to_string(Path::new(FIXTURE).join(file)).unwrap();
        serde_json::from_str(&self.filled(&text)).unwrap()
    }

    /// Makes a call of the record. The store that an answer names is `file`, as in the record.
    fn call(&self, call: &Value) -> Outcome {
        let mut command = self.home.command(HELPER);
        command.args(entries(&call["arguments"]).iter().map(text));
        for variable in call["variables"].as_array().into_iter().flatten() {
            let (name, value) = text(variable).split_once('=').unwrap();
            command.env(name, value);
        }
        let mut outcome = finish(spawn(command), text(&call["input"]).as_bytes());
        if self.keyring.is_some() {
            outcome.output = outcome.output.replace(r#""source":"keyring""#, r#""source":"file""#);
        }
        outcome
    }

    /// Makes a call and expects the answer of version 0.1.0.
    fn expect(&self, call: &Value) {
        let outcome = self.call(call);
        let (answer, expected) = (value(&outcome.output), value(text(&call["output"])));
        assert_eq!(common(&answer, &expected), expected, "{call}: {outcome:?}");
        let status = Some(i64::from(outcome.status));
        assert_eq!((status, outcome.messages.as_str()), (call["status"].as_i64(), ""), "{call}");
    }

    fn credential_files(&self) -> BTreeSet<String> {
        let folder = ".my/logins";
        let files = files_below(&self.home.path().join(folder)).into_iter();
        files.map(|file| format!("{folder}/{file}")).collect()
    }

    /// How many items the keyring has for this credential.
    fn items_of(&self, credential: &Value) -> Option<usize> {
        let user = format!("{} {}", text(&credential["url"]), text(&credential["username"]));
        let attributes = [("service", "my-credential-helper"), ("username", user.as_str())];
        self.keyring.as_ref().map(|keyring| keyring.attributes_of(&attributes).len())
    }

    /// An item if the secrets are in the keyring, a file if they are in files.
    fn value_of(&self, service: &str, user: &str, file: &str) -> Value {
        let text = match &self.keyring {
            Some(keyring) => keyring.value_of(&[("service", service), ("username", user)]),
            None => self.home.read(file),
        };
        serde_json::from_str(&text.unwrap_or_else(|| panic!("no value of {user}"))).unwrap()
    }
}

/// The files below a folder, relative to it.
fn files_below(folder: &Path) -> Vec<String> {
    let (mut files, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push(path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    files
}

fn entries(list: &Value) -> &[Value] {
    list.as_array().unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// An answer as JSON if it is JSON: the order of its fields is free.
fn value(answer: &str) -> Value {
    serde_json::from_str(answer).unwrap_or_else(|_| answer.into())
}

/// A list may show a percent-encoded character decoded (RFC 3986, 6.2.2.2).
fn decoded(url: &str) -> String {
    let mut parts = url.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        match part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                bytes.extend_from_slice(&part.as_bytes()[2..]);
            }
            None => bytes.extend_from_slice(format!("%{part}").as_bytes()),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The entries of an answer of `list`: the credentials for URLs by URL and user, and the sessions.
/// A URL without the differences that a later version does not list: percent-encoding, double and trailing slashes.
fn one_spelling(url: &str) -> String {
    let decoded = decoded(url);
    let (scheme, rest) = decoded.split_once("://").unwrap_or_default();
    let segments: Vec<_> = rest.split('/').filter(|segment| !segment.is_empty()).collect();
    format!("{scheme}://{}", segments.join("/"))
}

fn listed(answer: &str) -> (BTreeMap<(String, String), Value>, Vec<Value>) {
    let (mut credentials, mut sessions) = (BTreeMap::new(), Vec::new());
    for mut entry in entries(&value(answer)["credentials"]).iter().cloned() {
        match entry.as_object_mut().and_then(|fields| fields.remove("url")) {
            Some(url) => {
                let key = (one_spelling(text(&url)), text(&entry["username"]).to_owned());
                credentials.insert(key, entry);
            }
            None => sessions.push(entry),
        }
    }
    (credentials, sessions)
}

fn sessions_and_settings_are_read(stored: &Stored) {
    let record = stored.json("stored.json");
    for call in entries(&record["calls"]) {
        stored.expect(call);
    }
    let list = &record["list"];
    assert_eq!(listed(&stored.call(list).output).1, listed(text(&list["output"])).1);
    let status = stored.home.run(&["status", "--json"]).json();
    assert_eq!(status["active_profile"], "work", "{status}");
    let outcome = stored.home.run(&["login", "--code", "123456"]);
    assert_eq!(outcome.status, 2, "the pending login has expired: {outcome:?}");
}

/// An answer without the fields that have been added since.
fn common(answer: &Value, expected: &Value) -> Value {
    match (answer, expected) {
        (Value::Object(answer), Value::Object(expected)) => {
            let known = answer.iter().filter_map(|(name, value)| {
                Some((name.clone(), common(value, expected.get(name)?)))
            });
            Value::Object(known.collect())
        }
        (Value::Array(answer), Value::Array(expected)) if answer.len() == expected.len() => {
            answer.iter().zip(expected).map(|(answer, expected)| common(answer, expected)).collect()
        }
        _ => answer.clone(),
    }
}

#[test]
fn sessions_and_settings_in_files_of_0_1_0_are_read() {
    sessions_and_settings_are_read(&Stored::in_files("home", NO_SERVICE));
}

#[test]
fn sessions_in_a_keyring_of_0_1_0_are_read() {
    let Some(stored) = Stored::in_keyring("home-with-keyring", NO_SERVICE) else { return };
    sessions_and_settings_are_read(&stored);
}

fn credentials_are_answered_listed_and_erased(stored: &Stored) {
    let record = stored.json("stored.json");
    let credentials = entries(&record["credentials"]);
    let expected = listed(text(&record["list"]["output"]));
    assert_eq!(expected.0.len(), credentials.len());
    assert_eq!(listed(&stored.call(&record["list"]).output), expected);
    docker_lists_what_it_stored(stored, &record);
    for credential in credentials {
        is_answered(stored, credential);
    }

    // In the reverse order: without a path, docker's `erase` is for the whole host.
    let mut left = stored.credential_files();
    for credential in credentials.iter().rev() {
        assert_ne!(stored.items_of(credential), Some(0), "{credential}");
        assert!(left.remove(text(&credential["file"])), "{credential}");
        stored.expect(&credential["erase"]);
        assert_eq!(stored.credential_files(), left, "{credential}");
        assert!(matches!(stored.items_of(credential), None | Some(0)), "{credential}");
        let get = &credential["get"];
        let output = stored.call(get).output;
        assert!(output.is_empty() || output != text(&get["output"]), "{credential}");
    }
    let sessions = expected.1;
    assert_eq!(listed(&stored.call(&record["list"]).output), (BTreeMap::new(), sessions));
}

/// A URL that a later version refuses has no answer at all.
fn is_answered(stored: &Stored, credential: &Value) {
    let get = &credential["get"];
    let is_refused =
        || credential["may_be_refused"] == true && !stored.call(get).output.contains("fake");
    if !is_refused() {
        stored.expect(get);
    }
}

fn docker_lists_what_it_stored(stored: &Stored, record: &Value) {
    let call = &record["docker_list"];
    let (found, expected) = (value(&stored.call(call).output), value(text(&call["output"])));
    for credential in entries(&record["credentials"]).iter().filter(|c| c["tool"] == "docker") {
        let url = text(&credential["url"]);
        let host = url.split_once("://").unwrap().1.split('/').next().unwrap();
        let name = if host == "index.docker.io" { "https://index.docker.io/v1/" } else { host };
        assert!(expected[name].is_string(), "{name}");
        assert_eq!(found[name], expected[name], "{name}");
    }
}

#[test]
fn credentials_in_files_of_0_1_0_are_read_and_erased() {
    credentials_are_answered_listed_and_erased(&Stored::in_files("home", NO_SERVICE));
}

#[test]
fn credentials_in_a_keyring_of_0_1_0_are_read_and_erased() {
    let Some(stored) = Stored::in_keyring("home-with-keyring", NO_SERVICE) else { return };
    credentials_are_answered_listed_and_erased(&stored);
}

/// The tools that `setup` of version 0.1.0 edited a file of.
const TOOLS: [(&str, &str); 10] = [
    ("git", ".gitconfig"),
    ("docker", ".docker/config.json"),
    ("cargo", ".cargo/config.toml"),
    ("pip", ".config/pip/pip.conf"),
    ("uv", ".config/uv/uv.toml"),
    ("pnpm", ".npmrc"),
    ("kubectl", ".kube/config"),
    ("terraform", ".terraformrc"),
    ("bazel", ".bazelrc"),
    ("go", ".config/go/env"),
];

/// The current version has taken the place of version 0.1.0 in `~/.local/bin`.
fn with_links(mut stored: Stored) -> Stored {
    let bin = stored.home.path().join(".local/bin");
    fs::create_dir_all(&bin).unwrap();
    symlink(HELPER, bin.join("my-credential-helper")).unwrap();
    for (link, target) in stored.json("stored.json")["links"].as_object().unwrap() {
        let link = stored.home.path().join(link);
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        symlink(text(target), link).unwrap();
    }
    stored.home.put_on_path(&bin);
    stored
}

fn undo_restores_each_file(stored: &Stored, had_files: bool) {
    for (tool, file) in TOOLS {
        // `setup` edits the files of these by their own commands.
        if matches!(tool, "git" | "kubectl" | "go") && !has_client(tool) {
            continue;
        }
        let backup = format!("{file}.before-my-credential-helper");
        let before = stored.home.read(&backup);
        assert_eq!(before.is_some(), had_files, "{tool}");
        assert_ne!(stored.home.read(file), before, "{tool}");
        let outcome = stored.home.run(&["setup", "--yes", tool, "--undo"]);
        assert_eq!(outcome.status, 0, "{tool}: {outcome:?}");
        assert_eq!(stored.home.read(file), before, "{tool}: {outcome:?}");
        assert_eq!(stored.home.read(&backup), None, "{tool}");
    }
    for link in stored.json("stored.json")["links"].as_object().unwrap().keys() {
        let path = stored.home.path().join(link);
        assert!(fs::symlink_metadata(path).is_err(), "{link} is left");
    }
}

#[test]
fn undo_restores_the_files_that_setup_of_0_1_0_edited() {
    undo_restores_each_file(&with_links(Stored::in_files("home", NO_SERVICE)), true);
}

#[test]
fn undo_removes_the_files_that_setup_of_0_1_0_made() {
    undo_restores_each_file(&with_links(Stored::in_files("home-with-keyring", NO_SERVICE)), false);
}

/// A service that redeems two refresh tokens, one of mycli, for this device, and one of an OAuth
/// provider. It does not describe itself.
fn serve(listener: &TcpListener, mycli: &str, device: &str, acme: &str) {
    let issued = |token: &str| {
        let session =
            json!({ "access_token": token, "refresh_token": "fake-next", "expires_in": 900 });
        ("200 OK", session)
    };
    for connection in listener.incoming().flatten() {
        let (head, body) = request(&connection);
        let (status, answer) = match head.split(' ').nth(1) {
            Some("/v1/auth/refresh") if body.contains(mycli) && head.contains(device) => {
                issued("fake-new-mycli-token")
            }
            Some("/v1/auth/refresh") => {
                let error = json!({ "code": "INVALID_TOKEN", "message": "" });
                ("401 Unauthorized", json!({ "error": error }))
            }
            Some("/token") if body.contains(acme) => issued("fake-new-acme-token"),
            _ => ("404 Not Found", json!({ "error": "not_found" })),
        };
        let body = answer.to_string();
        let head =
            format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}", body.len());
        let _ = (&connection).write_all(format!("{head}\r\n\r\n{body}").as_bytes());
    }
}

/// The head and the body of a request.
fn request(connection: &TcpStream) -> (String, String) {
    let mut reader = BufReader::new(connection);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        let _ = reader.read_line(&mut line);
        if line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        head += &*line;
    }
    let mut body = vec![0; length];
    let _ = reader.read_exact(&mut body);
    (head, String::from_utf8_lossy(&body).into_owned())
}

/// Both sessions have expired. The service rejects the stored session of mycli, an older one: the
/// session that version 0.1.0 received last is refreshed. Only the stored description of acme names
/// its token endpoint.
fn expired_sessions_are_refreshed(open: impl FnOnce(u16) -> Option<Stored>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let Some(stored) = open(listener.local_addr().unwrap().port()) else { return };
    let refresh_token = |user, file| {
        text(&stored.value_of("my-credential-helper", user, file)["refresh_token"]).to_owned()
    };
    let mycli = refresh_token("last-refreshed", ".my/last-refreshed.json");
    let acme = refresh_token("acme/default", ".my/sessions/acme/default.json");
    let older = stored.value_of("mycli", "mycli-tokens", ".my/credentials.json");
    assert_ne!(older["refresh_token"], mycli);
    let device = stored.home.read(".my/device_id").unwrap();
    thread::spawn(move || serve(&listener, &mycli, &device, &acme));

    assert_eq!(stored.home.token(), "fake-new-mycli-token");
    let outcome = stored.home.run(&["--provider", "acme", "get", "--format", "raw"]);
    assert_eq!(
        (outcome.status, outcome.output.as_str()),
        (0, "fake-new-acme-token\n"),
        "{outcome:?}"
    );
}

#[test]
fn expired_sessions_in_files_of_0_1_0_are_refreshed() {
    expired_sessions_are_refreshed(|port| Some(Stored::in_files("refreshed", port)));
}

#[test]
fn expired_sessions_in_a_keyring_of_0_1_0_are_refreshed() {
    expired_sessions_are_refreshed(|port| Stored::in_keyring("refreshed-with-keyring", port));
}
