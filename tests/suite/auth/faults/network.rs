//! Faults of the network between the helper and the service. Responses of the service are in `refresh`.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Child;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::ports::free_address;
use crate::support::tls::TlsServer;
use crate::support::{HELPER, Home, Outcome, finish, service, spawn};

/// Every call ends before this.
const BOUND: Duration = Duration::from_secs(9);

/// An address in place of the service, and words of the expected message.
struct Place {
    url: String,
    words: &'static [&'static str],
    /// Lives as long as the place.
    _held: Vec<TcpStream>,
}

fn place(url: impl Into<String>, words: &'static [&'static str]) -> Place {
    Place { url: url.into(), words, _held: Vec::new() }
}

/// A server that does this to every connection.
fn server(
    words: &'static [&'static str],
    behave: impl Fn(TcpStream) + Copy + Send + 'static,
) -> Place {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            std::thread::spawn(move || behave(connection));
        }
    });
    place(url, words)
}

/// A server that reads the request and sends this response.
fn answering(words: &'static [&'static str], answer: &'static [u8]) -> Place {
    server(words, move |mut connection| {
        let _ = connection.read(&mut [0; 4096]);
        let _ = connection.write_all(answer);
    })
}

/// Nobody takes the connections of this port, and there is no room for another.
fn full() -> Place {
    let listener = Box::leak(Box::new(TcpListener::bind("127.0.0.1:0").unwrap()));
    let address: SocketAddr = listener.local_addr().unwrap();
    let connect = || TcpStream::connect_timeout(&address, Duration::from_millis(300)).ok();
    let held = std::iter::from_fn(connect).take(10_000).collect();
    Place { _held: held, ..place(format!("http://{address}"), &["did not respond in time"]) }
}

fn refused() -> Place {
    place(format!("http://{}", free_address()), &["Connection refused"])
}

fn reset() -> Place {
    // What is closed before all of it was read is reset.
    server(&["reset", "closed", "Broken pipe"], |connection| {
        let _ = connection.peek(&mut [0; 1]);
    })
}

fn slow_head() -> Place {
    server(&["did not respond in time"], |mut connection| {
        for byte in b"HTTP/1.1 200 OK\r\nx-slow: ".iter().chain(std::iter::repeat(&b'z')) {
            std::thread::sleep(Duration::from_millis(100));
            if connection.write_all(&[*byte]).is_err() {
                return;
            }
        }
    })
}

/// A body of this size and never less than it can be sent.
fn large() -> Place {
    server(&["larger than 1 MiB"], |mut connection| {
        let _ = connection.read(&mut [0; 4096]);
        let _ = connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 50000000\r\n\r\n");
        while connection.write_all(&[b' '; 8192]).is_ok() {}
    })
}

fn endless_head() -> Place {
    server(&["unexpected message", "message head", "did not answer"], |mut connection| {
        let _ = connection.write_all(b"HTTP/1.1 200 OK\r\n");
        while connection.write_all(b"x-more: and more\r\n").is_ok() {}
    })
}

/// TLS with a self-signed certificate.
fn untrusted() -> Place {
    let tls = TlsServer::start(|_| (200, b"{}".to_vec()));
    place(format!("https://{}", tls.address), &["certificate"])
}

/// TLS to a server without TLS.
fn no_tls() -> Place {
    let plain = answering(
        &["corrupt", "InvalidContentType", "TLS", "tls"],
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
    );
    Place { url: plain.url.replace("http:", "https:"), ..plain }
}

fn places() -> Vec<Place> {
    vec![
        refused(),
        full(),
        reset(),
        slow_head(),
        large(),
        endless_head(),
        untrusted(),
        no_tls(),
        server(&["did not respond in time"], |connection| drop((connection, std::thread::sleep(2 * BOUND)).0)),
        answering(&["invalid HTTP", "HTTP version", "parse"], b"SSH-2.0-OpenSSH_9.2\r\n"),
        answering(&["closed", "broke off", "end of file", "incomplete"], b""),
        answering(&["status 502"], b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n"),
        answering(
            &["wrong type"],
            b"HTTP/1.1 200 OK\r\ncontent-length: 60\r\n\r\n{\"access_token\":[\"a\"],\"refresh_token\":{\"b\":1},\"expires_in\":[]}",
        ),
        answering(&["ends unexpectedly"], b"HTTP/1.1 200 OK\r\ncontent-length: 17\r\n\r\n{\"access_token\":\""),
        // Reserved for names that do not exist (RFC 6761).
        place("https://nobody.invalid", &["lookup", "resolve", "Name", "name", "did not respond in time"]),
    ]
}

/// A home that looks for the service elsewhere, with a stale token that has so long to live.
fn home_at(url: &str, left: Duration) -> (account_server::Server, Home, account_server::Session) {
    let service = service();
    let (home, session) = Home::with_stale_session(&service);
    home.write_session(&session, left, Duration::from_secs(870));
    home.write(".my/config.json", &json!({ "api_url": url }).to_string());
    (service, home, session)
}

/// Starts `get`, and says how long it took.
fn finish_in_time(child: Child, begun: Instant, place: &str) -> Outcome {
    let outcome = finish(child, b"");
    assert!(begun.elapsed() < BOUND, "{place}: {:?}: {outcome:?}", begun.elapsed());
    outcome
}

#[test]
fn no_network_fault_loses_the_session_or_exceeds_the_timeout() {
    std::thread::scope(|scope| {
        for place in places() {
            scope.spawn(move || check(&place));
        }
    });
}

fn check(place: &Place) {
    let (service, home, session) = home_at(&place.url, Duration::ZERO);
    let (_other, living, token) = home_at(&place.url, Duration::from_secs(30));
    let before = home.session();
    let begun = Instant::now();
    let [dead, alive] = [&home, &living].map(|home| home.start(&["get", "--format", "raw"]));
    let [dead, alive] = [dead, alive].map(|child| finish_in_time(child, begun, &place.url));
    assert_eq!((dead.status, &*dead.output), (3, ""), "{}: {dead:?}", place.url);
    assert!(
        place.words.iter().any(|word| dead.messages.contains(word)),
        "{:?}: {dead:?}",
        place.words
    );
    assert!(
        dead.messages.contains("\n\nhint: ") && !dead.messages.contains(&session.refresh_token),
        "{dead:?}"
    );
    assert_eq!(
        (alive.status, alive.output.trim_end()),
        (0, &*token.access_token),
        "{}: {alive:?}",
        place.url
    );
    assert!(alive.messages.contains("could not be refreshed"), "{alive:?}");
    assert_eq!(home.session(), before, "{}", place.url);
    home.write(".my/config.json", &json!({ "api_url": service.url() }).to_string());
    assert_ne!(
        home.token(),
        session.access_token,
        "{}: with a network again the login is good",
        place.url
    );
}

#[test]
fn a_silent_name_server_times_out_and_loses_no_session() {
    let Ok(silent) = UdpSocket::bind("127.0.0.77:53") else {
        let _ = std::io::stderr()
            .write_all(b"SKIPPED: only root can be a name server that never answers\n");
        return;
    };
    let (_service, home, _) = home_at("https://silent.example.com", Duration::ZERO);
    home.write("resolv.conf", "nameserver 127.0.0.77\noptions timeout:20\n");
    let mut command = home.command("unshare");
    let script =
        r#"mount --bind resolv.conf /etc/resolv.conf || exit 99; exec "$0" get --format raw"#;
    command.args(["--mount", "sh", "-c", script, HELPER]);
    let begun = Instant::now();
    let outcome = finish_in_time(spawn(command), begun, "a silent name server");
    if outcome.status == 99 || outcome.status == 1 && outcome.messages.contains("unshare") {
        let _ = std::io::stderr().write_all(b"SKIPPED: nothing can be mounted here\n");
        return;
    }
    assert_eq!(outcome.status, 3, "{outcome:?}");
    assert!(outcome.messages.contains("did not respond in time"), "{outcome:?}");
    assert!(home.session().is_some());
    drop(silent);
}

/// The connection breaks, or stays silent, after a complete object and before the end of the response.
#[test]
fn a_complete_object_is_read_although_its_response_is_not() {
    const OBJECT: &str = r#"{"access_token":"fresh","expires_in":900,"refresh_token":"r2"}"#;
    let length = |length: usize| format!("content-length: {length}\r\n\r\n{OBJECT}");
    let chunk = format!("transfer-encoding: chunked\r\n\r\n{:x}\r\n{OBJECT}\r\n", OBJECT.len());
    for (rest, stays_open) in
        [(length(OBJECT.len() + 1), false), (chunk.clone(), false), (chunk, true)]
    {
        let response = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{rest}");
        let response: &str = response.leak();
        let place = server(&[], move |mut connection| {
            let _ = connection.read(&mut [0; 4096]);
            let _ = connection.write_all(response.as_bytes());
            if stays_open {
                std::thread::sleep(2 * BOUND);
            }
        });
        let (_service, home, _) = home_at(&place.url, Duration::ZERO);
        assert_eq!(home.token(), "fresh");
        assert_eq!(home.session().unwrap()["refresh_token"], "r2");
    }
}

/// Plain http is allowed for `localhost`, so no name server and no file decides where that is.
#[test]
fn localhost_is_resolved_without_the_system() {
    let (service, home, stale) = home_at("http://nobody.invalid", Duration::ZERO);
    let url = service.url().replace("127.0.0.1", "localhost");
    home.write(".my/config.json", &json!({ "api_url": url }).to_string());
    home.write("hosts", "192.0.2.1 localhost\n");
    let mut command = home.command("unshare");
    let script = r#"mount --bind hosts /etc/hosts || exit 99; exec "$0" get --format raw"#;
    command.args(["--mount", "sh", "-c", script, HELPER]);
    let outcome = finish(spawn(command), b"");
    if outcome.status == 99 || outcome.status == 1 && outcome.messages.contains("unshare") {
        let _ = std::io::stderr().write_all(b"SKIPPED: nothing can be mounted here\n");
        return;
    }
    assert_eq!(outcome.status, 0, "{outcome:?}");
    assert_ne!(outcome.output.trim_end(), stale.access_token);
}
