//! A server that accepts connections and never answers: each command spends a limited time on it, names its address, and
//! does the rest of its work.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use super::addresses;
use crate::support::scripted::Scripted;
use crate::support::{Home, Outcome};

/// What a process, and a machine with many others, may take besides.
const SLACK: Duration = Duration::from_millis(3500);

/// The system completes the connections; nobody accepts them.
fn silent() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url)
}

/// A home with four sessions in the shared store, and one in a file.
fn home(urls: &[&str], settings: &str) -> Home {
    let mut home = Home::new();
    let provider = |name: &str, store: &str| {
        let variable = name.to_uppercase();
        format!(
            "[providers.{name}]\nkind = \"api_key\"\napi_url = \"http://127.0.0.1:1\"\n\
             token_variable = \"{variable}_TOKEN\"\nhosts = [\"{name}.dev\"]\nstore = \"{store}\"\n"
        )
    };
    let mut text = "provider = \"acme\"\n".to_owned();
    for name in ["acme", "beta", "gamma", "delta"] {
        text.push_str(&provider(name, "vault"));
    }
    text.push_str(&provider("local", "file"));
    home.configure(&format!("{text}[stores.vault]\n{}{settings}", addresses(urls)));
    home.set("VAULT_TOKEN", "hunter2");
    home.set("MY_NO_KEYRING", "1");
    let stored = home.run_with(&["store"], r#"{"provider":"local","secret":"hunter2-local"}"#);
    assert_eq!(stored.status, 0, "{stored:?}");
    home
}

fn timed(run: impl FnOnce() -> Outcome) -> (Outcome, Duration) {
    let start = Instant::now();
    let outcome = run();
    (outcome, start.elapsed())
}

#[test]
fn a_command_spends_a_limited_time_on_a_silent_server() {
    let (_listener, url) = silent();
    let docker = r#"{"ServerURL":"https://acme.dev","Username":"x","Secret":"hunter2-y"}"#;
    let erased = "protocol=https\nhost=acme.dev\nusername=x\npassword=hunter2-z\n\n";
    // The arguments, the input, the limit in seconds, and whether the address is named.
    let mut commands: Vec<(&[&str], &str, u64, bool)> = vec![
        (&["status"], "", 5, true),
        (&["status", "--check"], "", 5, true),
        (&["doctor"], "", 10, true),
        (&["account", "list"], "", 5, true),
        (&["list"], "", 5, true),
        (&["docker", "list"], "", 5, true),
        (&["docker", "store"], docker, 5, false),
        (&["git", "erase"], erased, 5, true),
        (&["get"], "", 20, true),
        (&["config", "list"], "", 0, false),
        (&["setup", "vault"], "", 0, false),
        (&["setup", "git", "--dry-run"], "", 0, false),
    ];
    if std::env::var_os("MY_TEST_FLEET").is_some() {
        commands.push((&["logout", "--all"], "", 60, true));
    }
    std::thread::scope(|scope| {
        for (words, input, seconds, is_named) in commands {
            let url = &url;
            scope.spawn(move || {
                let mut home = home(&[url], "");
                home.only_tools(&["git"]);
                let (outcome, took) = timed(|| home.run_with(words, input));
                let limit = Duration::from_secs(seconds) + SLACK;
                println!("{words:?}: {took:?}, status {}", outcome.status);
                assert!(took < limit, "{words:?} took {took:?}: {outcome:?}");
                let text = format!("{}{}", outcome.output, outcome.messages);
                assert!(!is_named || text.contains(url), "{words:?}: {outcome:?}");
                // What needs no server is reported nevertheless.
                if ["status", "account", "list", "logout"].contains(&words[0]) {
                    assert!(text.contains("local"), "{words:?}: {outcome:?}");
                }
                if words == ["doctor"] {
                    assert!(text.contains("did not respond in time"), "{outcome:?}");
                }
            });
        }
    });
}

#[test]
fn another_server_answers_for_a_silent_one() {
    let (_listener, url) = silent();
    let empty = || (404, String::new(), json!({ "errors": [] }).to_string());
    let second = Scripted::start(move |_, _| empty());
    let home = home(&[&url, &second.url], "");
    let (outcome, took) = timed(|| home.run(&["get"]));
    assert!(took < Duration::from_secs(5) + SLACK, "{took:?}: {outcome:?}");
    assert!(outcome.messages.contains("not logged in"), "{outcome:?}");
    // Four records: the silent server is tried once.
    let (outcome, took) = timed(|| home.run(&["account", "list"]));
    assert!(took < Duration::from_millis(2500) + SLACK, "{took:?}: {outcome:?}");
    assert!(!outcome.output.contains("no server"), "{outcome:?}");
    assert!(second.requests().len() >= 5);
}

/// A living copy is returned; the server is asked again after a while.
#[test]
fn a_copy_is_returned_while_the_server_is_silent() {
    let is_silent = Arc::new(AtomicBool::new(false));
    let hangs = is_silent.clone();
    let shared = json!({
        "format": "1", "login_id": "login-1", "service": "http://127.0.0.1:1",
        "access_token": "hunter2-access-1", "expires_at": "2036-01-01T00:00:00Z",
        "logged_in_at": "2026-01-01T00:00:00Z", "last_refreshed_at": "2026-01-01T00:00:00Z",
    });
    let server = Scripted::start(move |_, _| {
        while hangs.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(50));
        }
        let metadata = json!({ "version": 1, "created_time": "2026-01-01T00:00:00Z" });
        let body = json!({ "data": { "data": shared, "metadata": metadata } });
        (200, String::new(), body.to_string())
    });
    let home = home(&[&server.url], "cache_max_age = 3\n");
    let first = home.run(&["get", "--format", "raw"]);
    assert_eq!((first.status, first.output.trim_end()), (0, "hunter2-access-1"), "{first:?}");
    is_silent.store(true, Ordering::Relaxed);
    std::thread::sleep(Duration::from_millis(3100));
    let get = || timed(|| home.run(&["get", "--format", "raw"]));
    let ((late, took), (again, quick)) = (get(), get());
    assert_eq!((late.status, &late.output), (0, &first.output), "{late:?}");
    assert!(took < Duration::from_secs(2) + SLACK, "{took:?}");
    assert!(late.messages.contains(&server.url), "{late:?}");
    assert_eq!((again.status, &again.output), (0, &first.output), "{again:?}");
    assert!(quick < Duration::from_secs(2), "{quick:?}");
    is_silent.store(false, Ordering::Relaxed);
}
