//! Secrets are wiped before their memory is freed: an allocator searches each block that is freed for a mark, which every
//! secret of a test has. SECURITY.md lists whose copies are not wiped.

#![expect(unsafe_code, reason = "an allocator")]
#![allow(clippy::disallowed_methods, reason = "the rules on files are the helper's")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::backtrace::Backtrace;
use std::cell::Cell;
use std::collections::HashMap;
use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use my_credential_helper::auth::with_engine;
use my_credential_helper::config::{Context, Overrides, Paths};
use my_credential_helper::model::{Invocation, Secret, ToolOutput};
use my_credential_helper::protocols::run;
use my_credential_helper::sys::env::Environment;

/// In every secret of a test.
const MARK: &[u8] = b"hunter2mark";

/// Whose copies SECURITY.md excepts, by what frees them: the HTTP client with its buffers, TLS, the OAuth 2 library, and the
/// buffer of the JSON parser for a text with escapes.
const EXCEPTED: [&str; 9] = [
    "reqwest::",
    "hyper::",
    "hyper_util::",
    "http::",
    "bytes::",
    "tokio::",
    "rustls::",
    "oauth2::",
    "serde_json::de::Deserializer<",
];

struct Watching;

#[global_allocator]
static ALLOCATOR: Watching = Watching;

static IS_WATCHING: AtomicBool = AtomicBool::new(false);

/// Where the blocks with a mark were freed.
static FOUND: Mutex<Vec<String>> = Mutex::new(Vec::new());

thread_local! {
    /// Whether this thread is about to note a block.
    static IS_NOTING: Cell<bool> = const { Cell::new(false) };
}

// SAFETY: the blocks are those of the system's allocator.
unsafe impl GlobalAlloc for Watching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // Zeros, so that every byte can be read.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if IS_WATCHING.load(Ordering::Relaxed) {
            inspect(unsafe { std::slice::from_raw_parts(block, layout.size()) });
        }
        unsafe { System.dealloc(block, layout) }
    }

    /// SECURITY.md excepts a buffer that grows.
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let larger = Layout::from_size_align(size, layout.align()).expect("a valid layout");
        unsafe {
            let moved = System.alloc_zeroed(larger);
            if !moved.is_null() {
                std::ptr::copy_nonoverlapping(block, moved, size.min(layout.size()));
                System.dealloc(block, layout);
            }
            moved
        }
    }
}

fn inspect(block: &[u8]) {
    if block.len() < MARK.len() || IS_NOTING.try_with(|noting| noting.replace(true)) != Ok(false) {
        return;
    }
    if memchr::memmem::find(block, MARK).is_some() {
        let place = Backtrace::force_capture().to_string();
        FOUND.lock().unwrap().push(place);
    }
    let _ = IS_NOTING.try_with(|noting| noting.set(false));
}

/// Where this program's own code freed a secret without wiping it.
fn freed(work: impl FnOnce()) -> Vec<String> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    IS_WATCHING.store(true, Ordering::SeqCst);
    work();
    IS_WATCHING.store(false, Ordering::SeqCst);
    let mut found = std::mem::take(&mut *FOUND.lock().unwrap());
    found.retain(|place| is_ours(place));
    found
}

/// Whether this program's code freed the block, and nothing that is excepted.
fn is_ours(place: &str) -> bool {
    let calls: Vec<_> = place.lines().filter(|line| line.contains(": ")).collect();
    let freed = calls.iter().rposition(|call| call.contains("Watching"));
    // As the path of a function, or of a type: `drop_in_place<http::Response>`.
    let names =
        |call: &str, path: &str| [" ", "<"].iter().any(|it| call.contains(&format!("{it}{path}")));
    for call in calls.iter().skip(freed.map_or(0, |at| at + 1)) {
        if EXCEPTED.iter().any(|path| names(call, path)) || names(call, "memory::") {
            return false;
        }
        if names(call, "my_credential_helper::") {
            return true;
        }
    }
    false
}

fn assert_wiped(found: &[String]) {
    assert!(found.is_empty(), "{} blocks, the first at\n{}", found.len(), found[0]);
}

/// A home directory, and a context with these variables.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let home = Self(directory);
        home.write("tmp/none", "");
        home
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.0.path().join(name);
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true).mode(0o700).create(path.parent().unwrap()).unwrap();
        let mut options = std::fs::OpenOptions::new();
        let mut file =
            options.write(true).create(true).truncate(true).mode(0o600).open(&path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn configure(&self, text: &str) {
        self.write(".config/my-credential-helper/config.toml", text);
    }

    /// The answer to a call of a tool.
    fn call(&self, tool: &str, arguments: &[&str], input: &str) -> ToolOutput {
        let folder = |name: &str| OsString::from(self.0.path().join(name));
        let variables = [("RUNNER_TEMP".to_owned(), folder("tmp"))];
        let environment = Environment::Fixed(HashMap::from(variables));
        let context = Context::new(environment, Paths::at(self.0.path()), Overrides::default());
        let tool = if tool.is_empty() { run::json_tool() } else { run::tool(tool).unwrap() };
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let input = input.as_bytes().to_vec().into();
        let invocation = Invocation { arguments, input, ..Invocation::default() };
        with_engine(&context, |engine| run::answer(engine, tool, &invocation))
    }

    /// Whether the answer has a secret, which is then wiped.
    fn returns(&self, tool: &str, arguments: &[&str], input: &str) -> bool {
        let ToolOutput { output, messages, status, .. } = self.call(tool, arguments, input);
        assert_eq!((status, &*messages), (0, ""), "{tool} {arguments:?}");
        output.contains("hunter2mark")
    }
}

/// A service whose responses are no copies: a response for each part of a request.
fn serve(responses: &'static [(&str, &str)]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut connection in listener.incoming().flatten() {
            let (mut request, mut length) = ([0; 16 * 1024], 0);
            let is_complete = |request: &[u8]| {
                let mut headers = [httparse::EMPTY_HEADER; 32];
                let mut parsed = httparse::Request::new(&mut headers);
                let Ok(httparse::Status::Complete(head)) = parsed.parse(request) else {
                    return false;
                };
                let is_length =
                    |it: &&httparse::Header<'_>| it.name.eq_ignore_ascii_case("content-length");
                let length = parsed.headers.iter().find(is_length);
                let length =
                    length.map_or(0, |it| std::str::from_utf8(it.value).unwrap().parse().unwrap());
                request.len() >= head + length
            };
            while !is_complete(&request[..length]) {
                match connection.read(&mut request[length..]) {
                    Ok(count) if count > 0 => length += count,
                    _ => break,
                }
            }
            let is_it = |(part, _): &&(&str, &str)| {
                memchr::memmem::find(&request[..length], part.as_bytes()).is_some()
            };
            let body = responses.iter().find(is_it).map_or("{}", |(_, body)| body);
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n";
            let _ = write!(connection, "{head}Content-Length: {}\r\n\r\n", body.len());
            let _ = connection.write_all(body.as_bytes());
        }
    });
    url
}

#[test]
fn a_freed_secret_is_found_unless_it_is_wiped() {
    let mark = String::from_utf8(MARK.to_vec()).unwrap();
    let text = format!("a {mark}");
    let secret = Secret::new(format!("a {mark}"));
    let copy = secret.clone();
    let count = || FOUND.lock().unwrap().len();
    freed(move || {
        drop((secret, copy));
        assert_eq!(count(), 0, "it is wiped");
        drop(text);
        assert_eq!(count(), 1, "the mark of any other text is found");
    });
}

#[test]
fn a_stored_session_is_wiped() {
    let home = Home::new();
    let session = "{\"access_token\":\"hunter2mark-access\",\"refresh_token\":\"hunter2mark-refresh\",\
                   \"expires_at\":\"9999-12-31T00:00:00Z\",\"logged_in_at\":\"2026-01-01T00:00:00Z\"}";
    home.write(".my/credentials.json", session);
    home.configure("[providers.mycli]\nhosts = ['git.acme.dev']\n");
    let found = freed(|| {
        for (tool, arguments, input) in [
            ("", &["get"][..], ""),
            ("", &["get", "--format", "raw"], ""),
            ("", &["get", "--format", "header"], ""),
            ("git", &["get"], "protocol=https\nhost=git.acme.dev\n\n"),
            ("docker", &["get"], "https://git.acme.dev"),
            ("bazel", &["get"], r#"{"uri":"https://git.acme.dev/x"}"#),
            (
                "cargo",
                &["--cargo-plugin"],
                "{\"v\":1,\"kind\":\"get\",\"operation\":\"read\",\"registry\":{\"index-url\":\"https://git.acme.dev/\"}}\n",
            ),
            ("kubectl", &[], ""),
            ("terraform", &["get", "git.acme.dev"], ""),
            ("goauth", &[], ""),
            ("pnpm", &[], ""),
            ("keyring", &["get", "https://git.acme.dev/", "token"], ""),
        ] {
            assert!(home.returns(tool, arguments, input), "{tool}");
        }
    });
    assert_wiped(&found);
}

#[test]
fn a_stored_password_is_wiped() {
    let home = Home::new();
    let store = "protocol=https\nhost=h.dev\nusername=ada\npassword=hunter2mark\noauth_refresh_token=hunter2mark-r\n\n";
    let found = freed(|| {
        assert!(!home.returns("git", &["store"], store));
        assert!(home.returns("git", &["get"], "protocol=https\nhost=h.dev\n\n"));
        assert!(!home.returns("", &["list"], ""));
        assert!(!home.returns("git", &["erase"], store));
    });
    assert_wiped(&found);
}

/// A stale session with an ID token.
fn stale(service: &str) -> String {
    format!(
        "{{\"access_token\":\"hunter2mark-access\",\"refresh_token\":\"hunter2mark-refresh\",\"service\":\"{service}\",\
         \"expires_at\":\"2026-01-01T00:00:00Z\",\"logged_in_at\":\"2026-01-01T00:00:00Z\"}}"
    )
}

#[test]
fn the_response_of_mycli_is_wiped() {
    let home = Home::new();
    let url = serve(&[(
        "/v1/auth/refresh",
        r#"{"access_token":"hunter2mark-new","refresh_token":"hunter2mark-next","expires_in":900}"#,
    )]);
    home.write(".my/config.json", &format!(r#"{{"api_url":"{url}"}}"#));
    home.write(".my/credentials.json", &stale(""));
    assert_wiped(&freed(|| assert!(home.returns("", &["get"], ""))));
}

#[test]
fn the_response_of_a_token_endpoint_is_wiped() {
    let home = Home::new();
    // {"alg":"HS256"}.{"iat":1700000000,"exp":4700000900}
    let url = serve(&[(
        "/token",
        r#"{"access_token":"hunter2mark-new","refresh_token":"hunter2mark-next","expires_in":900,"token_type":"bearer","id_token":"eyJhbGciOiJIUzI1NiJ9.eyJpYXQiOjE3MDAwMDAwMDAsImV4cCI6NDcwMDAwMDkwMH0.hunter2mark"}"#,
    )]);
    let endpoint = format!("{url}/token");
    let secret = home.write("client-secret", "hunter2mark-client");
    home.configure(&format!(
        "provider = 'acme'\n[providers.acme]\nkind = 'oauth'\ntoken_endpoint = '{endpoint}'\nclient_id = 'ci'\n\
         client_secret_file = '{secret}'\n"
    ));
    home.write(".my/sessions/acme/default.json", &stale(&endpoint));
    assert_wiped(&freed(|| assert!(home.returns("", &["get"], ""))));
}

#[test]
fn the_token_of_a_job_is_wiped() {
    let home = Home::new();
    let url = serve(&[(
        "/login",
        r#"{"auth":{"client_token":"hunter2mark-issued","lease_duration":3600,"renewable":true}}"#,
    )]);
    // {"alg":"HS256"}.{"iss":"i","sub":"s","aud":"a","exp":4700000900}
    let token = "eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJpIiwic3ViIjoicyIsImF1ZCI6ImEiLCJleHAiOjQ3MDAwMDA5MDB9.hunter2mark";
    let file = home.write("token", token);
    home.configure(&format!(
        "provider = 'acme'\n[providers.acme]\nkind = 'api_key'\napi_url = '{url}'\ntoken_variable = 'T'\n\
         [providers.acme.identity]\nsource = 'file'\nfile = '{file}'\naudience = 'a'\nexchange = 'vault'\nrole = 'r'\n"
    ));
    let found = freed(|| {
        for _ in 0..2 {
            assert!(home.returns("", &["get"], ""));
        }
    });
    assert_wiped(&found);
}

#[test]
fn a_shared_session_is_wiped() {
    let home = Home::new();
    let url = serve(&[
        (
            "/v1/auth/approle/login",
            r#"{"auth":{"client_token":"hunter2mark-server","lease_duration":3600,"renewable":true}}"#,
        ),
        ("/v1/sys/wrapping/unwrap", r#"{"data":{"secret_id":"hunter2mark-secret-id"}}"#),
        (
            "GET /v1/secret/data/",
            r#"{"data":{"data":{"format":"1","login_id":"l","service":"https://api.acme.dev","access_token":"hunter2mark-access",
            "expires_at":"9999-12-31T00:00:00Z","logged_in_at":"2026-01-01T00:00:00Z","last_refreshed_at":"2026-01-01T00:00:00Z"},
            "metadata":{"version":1,"created_time":"2026-01-01T00:00:00Z"}}}"#,
        ),
    ]);
    let file = home.write("wrapped", "hunter2mark-wrapping");
    home.configure(&format!(
        "provider = 'acme'\n[providers.acme]\nkind = 'api_key'\napi_url = 'https://api.acme.dev'\ntoken_variable = 'T'\n\
         store = 'vault'\n[stores.vault]\naddresses = ['{url}']\nauth = 'approle'\nrole_id = 'r'\n\
         secret_id_file = '{file}'\nsecret_id_wrapped = true\n"
    ));
    let found = freed(|| {
        for _ in 0..2 {
            assert!(home.returns("", &["get"], ""));
        }
    });
    assert_wiped(&found);
}
