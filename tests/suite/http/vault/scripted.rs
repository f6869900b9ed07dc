//! What a failure means for a write: whether it may have been carried out. The servers are scripts, since a real server
//! fails in these ways for milliseconds only. And servers that are hostile.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use my_credential_helper::http::SharedFailure;
use my_credential_helper::model::{Secret, SharedPart, SharedRecord, Timestamp};
use serde_json::json;

use super::{Machine, PROVIDER, REFRESH, addresses, message, record};
use crate::support::ports::free_address;
use crate::support::scripted::Scripted;

/// A server that answers everything in this way.
fn server(status: u16, header: &'static str, body: &'static str) -> Scripted {
    Scripted::start(move |_, _| (status, header.to_owned(), body.to_owned()))
}

const WRITTEN: &str = r#"{"data":{"version":2,"created_time":"2026-01-01T00:00:00Z"}}"#;

fn machine(urls: &[&str]) -> Machine {
    Machine::new(&addresses(urls), &[("VAULT_TOKEN", "hunter2-of-the-server")])
}

/// A server that reads a request and closes the connection.
fn silent() -> (String, std::thread::JoinHandle<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let thread = std::thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        connection.read(&mut [0; 16 * 1024]).unwrap()
    });
    (url, thread)
}

#[test]
fn a_write_that_may_be_done_is_not_reported_as_refused() {
    let sealed = r#"{"errors":["Vault is sealed"]}"#;
    let conflict = r#"{"errors":["check-and-set parameter did not match the current version"]}"#;
    // Whether it is certain that the server has not carried out the write.
    for (status, header, body, is_certain) in [
        (503, "", sealed, true),
        (429, "", r#"{"errors":["request path quota exceeded"]}"#, true),
        (429, "Retry-After: 7\r\n", "{}", true),
        (412, "", "{}", true),
        (472, "", "{}", true),
        (473, "", "{}", true),
        (474, "", "{}", true),
        // A standby that has forwarded the write, and has lost the response.
        (307, "Location: http://127.0.0.1:1/v1/x\r\n", "", false),
        (
            500,
            "",
            r#"{"errors":["local node not active but active cluster node not found"]}"#,
            false,
        ),
        (503, "", r#"{"errors":["no active OpenBao instance found"]}"#, false),
        // A gateway.
        (408, "", "", false),
        (502, "", "<html>", false),
        (503, "", "upstream connect error or disconnect/reset before headers", false),
        (504, "", "", false),
        // A success that cannot be read.
        (200, "", "<html>", false),
        (200, "", r#"{"data":{"version":"#, false),
    ] {
        // The next server gets the write, and its success is one.
        let (first, second) = (server(status, header, body), server(200, "", WRITTEN));
        assert_eq!(
            machine(&[&first.url, &second.url]).write(1, &record("1")),
            Ok(2),
            "{status} {body}"
        );
        assert_eq!((first.requests().len(), second.requests().len()), (1, 1), "{status} {body}");

        // Its refusal proves nothing if the first one may have carried out the write.
        for (decision, refusal, name) in [
            (400, conflict, "Refused"),
            (403, r#"{"errors":["permission denied"]}"#, "Denied"),
            (404, r#"{"errors":["no handler for route"]}"#, "Failed"),
            (503, sealed, if header.is_empty() { "Unavailable" } else { "Busy" }),
        ] {
            let (first, second) = (server(status, header, body), server(decision, "", refusal));
            let failure = machine(&[&first.url, &second.url]).write(1, &record("1")).unwrap_err();
            let expected = if is_certain { name } else { "Interrupted" };
            assert!(format!("{failure:?}").starts_with(expected), "{status} {body} {failure:?}");
            message(&failure);
        }

        // If no server is left, a write that was not carried out is reported at once.
        let start = Instant::now();
        let failure = machine(&[&first.url]).write(1, &record("1")).unwrap_err();
        assert!(start.elapsed() < Duration::from_secs(9), "{status} {body}");
        let is_right = match (&failure, is_certain) {
            (SharedFailure::Busy { retry_after, .. }, true) => {
                *retry_after == Duration::from_secs(7) && !header.is_empty()
            }
            (SharedFailure::Unavailable(_), true) => header.is_empty(),
            (SharedFailure::Interrupted(_), false) => true,
            _ => false,
        };
        assert!(is_right, "{status} {body}: {failure:?}");
    }
    // Decisions.
    for (status, body, failure) in [
        (400, conflict, "Refused"),
        (400, r#"{"errors":["check-and-set parameter required for this call"]}"#, "Failed"),
        (400, r#"{"errors":["invalid request"]}"#, "Failed"),
        (403, r#"{"errors":["permission denied"]}"#, "Denied"),
        (404, r#"{"errors":["no handler for route"]}"#, "Failed"),
        (413, "", "Failed"),
    ] {
        let (first, second) = (server(status, "", body), server(200, "", WRITTEN));
        let found = machine(&[&first.url, &second.url]).write(1, &record("1")).unwrap_err();
        assert!(format!("{found:?}").starts_with(failure), "{status} {body}: {found:?}");
        assert_eq!(second.requests().len(), 0, "{status} {body}");
    }
    // No connection at all, and one that ends before the response.
    let second = server(200, "", WRITTEN);
    let nobody = format!("http://{}", free_address());
    assert_eq!(machine(&[&nobody, &second.url]).write(1, &record("1")), Ok(2));
    let failure = machine(&[&nobody]).write(1, &record("1")).unwrap_err();
    assert!(matches!(failure, SharedFailure::Unavailable(_)), "{failure:?}");
    let (url, thread) = silent();
    let failure = machine(&[&url]).write(1, &record("1")).unwrap_err();
    assert!(matches!(failure, SharedFailure::Interrupted(_)), "{failure:?}");
    assert!(thread.join().unwrap() > 0);
}

const READ: &str =
    r#"{"data":{"data":null,"metadata":{"version":2,"created_time":"2026-01-01T00:00:00Z"}}}"#;

#[test]
fn a_read_is_sent_to_the_next_server() {
    let sealed = r#"{"errors":["Vault is sealed"]}"#;
    for (status, header, body) in [
        (307, "Location: http://127.0.0.1:1/v1/x\r\n", ""),
        (429, "", "{}"),
        (472, "", "{}"),
        (473, "", "{}"),
        (500, "", "{}"),
        (502, "", "<html>"),
        (503, "", sealed),
        (504, "", ""),
    ] {
        let (first, second) = (server(status, header, body), server(404, "", READ));
        let found = machine(&[&first.url, &second.url]).read();
        assert_eq!(found, Ok((None, 2)), "{status}");
        assert_eq!((first.requests().len(), second.requests().len()), (1, 1), "{status}");
    }
    let (url, thread) = silent();
    let second = server(404, "", READ);
    assert_eq!(machine(&[&url, &second.url]).read(), Ok((None, 2)));
    thread.join().unwrap();
    // A sealed server stays sealed; the active one that is missing may come.
    let start = Instant::now();
    let server_of = server(503, "", sealed);
    let failure = machine(&[&server_of.url]).read().unwrap_err();
    assert!(matches!(failure, SharedFailure::Unavailable(_)), "{failure:?}");
    assert!(message(&failure).contains("Vault is sealed"), "{failure}");
    assert!(start.elapsed() < Duration::from_secs(9));
    let ready = Instant::now() + Duration::from_millis(700);
    let late = Scripted::start(move |_, _| {
        if Instant::now() < ready {
            return (500, String::new(), "{}".to_owned());
        }
        (404, String::new(), READ.to_owned())
    });
    assert_eq!(machine(&[&late.url]).read(), Ok((None, 2)));
    // A page of a gateway is not an answer: not "there is no record".
    let gateway = server(404, "", "<html>not found</html>");
    let failure = machine(&[&gateway.url]).read().unwrap_err();
    assert!(matches!(failure, SharedFailure::Failed(_)), "{failure:?}");
}

/// A standby that lags behind the write.
#[test]
fn a_read_after_a_write_is_not_older() {
    let current = Instant::now() + Duration::from_millis(300);
    let cluster = Scripted::start(move |_, request| match request.body.is_empty() {
        false => (200, String::new(), WRITTEN.to_owned()),
        true if Instant::now() < current => {
            (404, String::new(), READ.replace("\"version\":2", "\"version\":1"))
        }
        true => (404, String::new(), READ.to_owned()),
    });
    let machine = machine(&[&cluster.url]);
    machine.run(|store| {
        assert_eq!(store.compare_and_set(REFRESH, 1, &record("1")), Ok(2));
        assert_eq!(store.read(REFRESH).map(|it| it.version), Ok(2));
    });
    assert_eq!(machine.read().map(|found| found.1), Ok(2));
}

#[test]
fn without_the_clock_of_the_server_no_time_passes() {
    let server = server(404, "Date: yesterday\r\n", READ);
    let machine = machine(&[&server.url]);
    let found = machine.run(|store| store.read(SharedPart::Refresh)).unwrap();
    assert_eq!(found.created_at, Timestamp::parse("2026-01-01T00:00:00Z").unwrap());
    assert_eq!(found.server_time, found.created_at);
}

#[test]
fn a_redirect_takes_nothing_to_another_server() {
    let thief = server(200, "", WRITTEN);
    for status in [301, 302, 303, 307, 308] {
        let location = format!("Location: {}/v1/secret/data/x\r\n", thief.url);
        let first = Scripted::start(move |_, _| (status, location.clone(), String::new()));
        let machine = machine(&[&first.url]);
        let timeout = Duration::from_millis(500);
        let failure = machine.within(timeout, |it| it.read(REFRESH)).unwrap_err();
        assert!(matches!(failure, SharedFailure::Unavailable(_)), "{failure:?}");
        let failure = machine.write(1, &record("1")).unwrap_err();
        assert!(matches!(failure, SharedFailure::Interrupted(_)), "{failure:?}");
    }
    assert_eq!(thief.requests().len(), 0);
}

/// A server that sends the beginning of a response, then a byte now and then.
#[test]
fn a_response_that_never_ends_stops_at_the_deadline() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut connection = connection;
                let _ = connection.read(&mut [0; 16 * 1024]);
                let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{\"data\":";
                let _ = connection.write_all(head.as_bytes());
                while connection.write_all(b" ").is_ok() {
                    std::thread::sleep(Duration::from_millis(20));
                }
            });
        }
    });
    let machine_of = machine(&[&url]);
    let timeout = Duration::from_secs(2);
    let start = Instant::now();
    let failure = machine_of.within(timeout, |it| it.read(REFRESH)).unwrap_err();
    assert!(matches!(failure, SharedFailure::Unavailable(_)), "{failure:?}");
    let write = |it: &dyn my_credential_helper::http::SharedStore| {
        it.compare_and_set(REFRESH, 1, &record("1"))
    };
    let failure = machine_of.within(timeout, write).unwrap_err();
    assert!(matches!(failure, SharedFailure::Interrupted(_)), "{failure:?}");
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
    // It leaves time for the next server.
    let second = server(404, "", READ);
    let found = machine(&[&url, &second.url]).within(timeout, |it| it.read(REFRESH));
    assert_eq!(found.map(|it| it.version), Ok(2));
}

/// Every status, with everything that was sent in the error: as it is, encoded, in a header and in the body.
#[test]
fn an_error_that_repeats_the_request_discloses_nothing() {
    use base64::Engine as _;
    for status in [200, 307, 400, 403, 404, 429, 500, 503] {
        let echo = Scripted::start(move |_, request| {
            let text = format!("{} {} {}", request.path, request.head, request.body);
            let base64 = base64::prelude::BASE64_STANDARD.encode(&request.body);
            let body = json!({ "errors": [format!("{text} {base64}")] });
            (status, String::new(), body.to_string())
        });
        let file = crate::support::Home::new();
        let secret = file.write("secret-id", "hunter2-secret-id");
        let settings = format!(
            "{}auth = \"approle\"\nrole_id = \"r\"\nsecret_id_file = {secret:?}",
            addresses(&[&echo.url])
        );
        for machine in [machine(&[&echo.url]), Machine::new(&settings, &[])] {
            let timeout = Duration::from_secs(1);
            for failure in [
                machine.within(timeout, |it| it.read(REFRESH)).map(drop),
                machine
                    .within(timeout, |it| it.compare_and_set(REFRESH, 1, &record("1")))
                    .map(drop),
                machine
                    .within(timeout, |it| it.compare_and_set(REFRESH, 0, &record("1")))
                    .map(drop),
            ] {
                let Err(failure) = failure else { continue };
                let text = message(&failure);
                assert!(!text.contains("aHVudGVyMi"), "{text}");
            }
        }
        assert!(!echo.requests().is_empty());
    }
}

/// `vault-plugin-secrets-oauthapp`, as a double after its documentation and its source: it cannot be had here.
#[test]
fn a_plugin_that_refreshes_itself_is_read() {
    let plugin = Scripted::start(move |_, request| {
        let body = match request.path.as_str() {
            "/v1/oauth2/creds/acme" => json!({ "data": {
                "access_token": "hunter2-access", "type": "Bearer", "expire_time": "2030-01-01T00:00:00.5Z",
            } }),
            "/v1/oauth2/creds/acme-work" => {
                json!({ "data": { "access_token": "hunter2\n", "type": "Bearer" } })
            }
            _ => return (404, String::new(), json!({ "errors": [] }).to_string()),
        };
        (200, String::new(), body.to_string())
    });
    let settings = format!("{}engine = \"oauthapp\"", addresses(&[&plugin.url]));
    let mut machine = Machine::new(&settings, &[("VAULT_TOKEN", "hunter2-of-the-server")]);
    let found = machine.run(|store| store.read(SharedPart::Access)).unwrap();
    let Some(SharedRecord::Session(shared)) = found.record else { panic!("{:?}", found.version) };
    assert_eq!(shared.session.access_token, Secret::new("hunter2-access"));
    assert_eq!(shared.session.refresh_token, None);
    assert_eq!(shared.session.expires_at, Timestamp::parse("2030-01-01T00:00:00.5Z").unwrap());
    let failure = machine.run(|it| it.compare_and_set(SharedPart::Access, 1, &record("1")));
    assert!(message(&failure.unwrap_err()).ends_with("the server refreshes it; log in there"));
    let account = |name: &str| my_credential_helper::model::Account::parse(name).unwrap();
    machine.provider = machine.provider.with_account(account("work"));
    let failure = machine.run(|store| store.read(SharedPart::Access)).unwrap_err();
    assert!(message(&failure).contains("oauth2/creds/acme-work at "), "{failure}");
    machine.provider = machine.provider.with_account(account("none"));
    assert_eq!(machine.run(|store| store.read(SharedPart::Access)).unwrap().version, 0);
    assert!(plugin.requests().iter().all(|request| request.body.is_empty()), "it is only read");
}

/// A server whose record has this token, for the whole cluster and every path.
fn server_with(token: &str) -> Scripted {
    let times = ["logged_in_at", "last_refreshed_at"].map(|name| (name, "2026-01-01T00:00:00Z"));
    let mut fields = json!({
        "format": "1", "login_id": "1", "service": "https://api.acme.dev", "access_token": token,
        "expires_at": "9990-01-01T00:00:00Z",
    });
    for (name, time) in times {
        fields[name] = time.into();
    }
    let metadata = json!({ "version": 1, "created_time": "2026-01-01T00:00:00Z" });
    let body = json!({ "data": { "data": fields, "metadata": metadata } }).to_string();
    Scripted::start(move |_, _| (200, String::new(), body.clone()))
}

#[test]
fn a_copy_is_for_the_store_that_it_is_from() {
    let servers = ["hunter2-one", "hunter2-two"].map(server_with);
    let urls = servers.each_ref().map(|server| server.url.as_str());
    let mut home = crate::support::Home::new();
    home.write("run/none", "");
    home.set("XDG_RUNTIME_DIR", home.path().join("run"));
    home.set("VAULT_TOKEN", "hunter2-token");
    let token = |home: &crate::support::Home| {
        let outcome = home.run(&["get", "--format", "raw"]);
        assert_eq!(outcome.status, 0, "{outcome:?}");
        outcome.output.trim_end().to_owned()
    };
    let configure = |home: &crate::support::Home, settings: &str| {
        home.configure(&format!("{PROVIDER}[stores.vault]\n{settings}"));
    };
    let mut reads = 0;
    for settings in ["", "path = \"other\"", "mount = \"kv\"", "namespace = \"team\""] {
        configure(&home, &format!("{}{settings}", addresses(&[urls[0]])));
        assert_eq!([token(&home), token(&home)], ["hunter2-one", "hunter2-one"]);
        reads += 1;
        assert_eq!(servers[0].requests().len(), reads, "{settings}");
    }
    configure(&home, &addresses(&[urls[1]]));
    assert_eq!(token(&home), "hunter2-two");
    // The variables name the server, and its namespace.
    configure(&home, "");
    for (address, namespace, token_of) in
        [(urls[0], "", "hunter2-one"), (urls[1], "", "hunter2-two"), (urls[1], "a", "hunter2-two")]
    {
        home.set("VAULT_ADDR", address);
        home.set("VAULT_NAMESPACE", namespace);
        let before = servers[1].requests().len();
        assert_eq!(token(&home), token_of);
        assert_eq!(servers[1].requests().len() - before, usize::from(address == urls[1]));
    }
}

/// Of two processes that unwrap it, the second one would report that somebody else has it.
#[test]
fn a_secret_is_unwrapped_by_the_process_that_has_the_lock() {
    let server = server(503, "", r#"{"errors":["Vault is sealed"]}"#);
    let settings = format!(
        "{}auth = \"approle\"\nrole_id = \"r\"\nsecret_id_variable = \"W\"\nsecret_id_wrapped = true",
        addresses(&[&server.url])
    );
    let machine = Machine::new(&settings, &[("W", "hunter2-wrapping")]);
    let read = || machine.within(Duration::from_secs(1), |store| store.read(REFRESH)).unwrap_err();
    let unwraps = || {
        let requests = server.requests();
        requests.iter().filter(|request| request.path == "/v1/sys/wrapping/unwrap").count()
    };
    assert!(message(&read()).contains("Vault is sealed"));
    assert_eq!(unwraps(), 1);
    let files = std::fs::read_dir(machine.home.path().join(".my/stores")).unwrap();
    let mut files = files.map(|entry| entry.unwrap().path());
    let lock = files.find(|path| path.extension().is_some_and(|it| it == "lock")).unwrap();
    let lock = std::fs::File::open(lock).unwrap();
    fs2::FileExt::lock_exclusive(&lock).unwrap();
    let failure = read();
    assert!(matches!(failure, SharedFailure::Unavailable(_)), "{failure:?}");
    assert!(message(&failure).contains("another process of this machine"), "{failure}");
    assert_eq!(unwraps(), 1);
    drop(lock);
    assert!(message(&read()).contains("Vault is sealed"));
    assert_eq!(unwraps(), 2);
}

/// The name of a credential of the plugin can be that of an account, and that of another provider.
#[test]
fn an_account_does_not_get_the_token_of_another_provider() {
    let plugin = Scripted::start(|_, _| {
        let data = json!({ "access_token": "hunter2", "expire_time": "2090-01-01T00:00:00Z" });
        (200, String::new(), json!({ "data": data }).to_string())
    });
    let mut home = crate::support::Home::new();
    home.set("VAULT_TOKEN", "hunter2-token");
    let other =
        PROVIDER.replace("provider = \"acme\"\n", "").replace("providers.acme", "providers.acme-b");
    let other = other.replace("ACME_TOKEN", "OTHER_TOKEN").replace("api.acme.dev", "api.other.dev");
    home.configure(&format!(
        "{PROVIDER}{other}[stores.vault]\n{}engine = \"oauthapp\"",
        addresses(&[&plugin.url])
    ));
    for (provider, account, is_its) in [
        ("acme", "default", true),
        ("acme", "a", true),
        ("acme", "b", false),
        ("acme", "b-c", false),
        ("acme", "bc", true),
        ("acme-b", "default", true),
        ("acme-b", "c", true),
    ] {
        home.set("MY_ACCOUNT", account);
        let outcome = home.run(&["--provider", provider, "get", "--format", "raw"]);
        assert_eq!(outcome.output.contains("hunter2"), is_its, "{provider} {account}: {outcome:?}");
        let message =
            format!("`acme-{account}` at the server is a credential of the provider acme-b");
        assert!(is_its || outcome.messages.contains(&message), "{outcome:?}");
    }
}

/// A repository can contain a file under the name of the copy, and set the variable that names its folder.
#[test]
fn a_copy_that_others_could_read_is_not_used() {
    use std::os::unix::fs::PermissionsExt as _;
    let server = server_with("hunter2");
    let mut home = crate::support::Home::new();
    home.write("run/none", "");
    home.set("XDG_RUNTIME_DIR", home.path().join("run"));
    home.set("VAULT_TOKEN", "hunter2-token");
    home.configure(&format!("{PROVIDER}[stores.vault]\n{}", addresses(&[&server.url])));
    let get = || home.run(&["get", "--format", "raw"]).output;
    assert_eq!(get(), "hunter2\n");
    let copy = home.path().join("run/my-credential-helper-shared/acme/default.copy");
    for (mode, token) in [(0o600, "planted\n"), (0o644, "hunter2\n")] {
        let text = std::fs::read_to_string(&copy).unwrap().replace("hunter2", "planted");
        std::fs::write(&copy, text).unwrap();
        std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(get(), token, "{mode:o}");
    }
}
