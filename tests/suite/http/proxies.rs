//! Which proxy a request goes through, as a proxy sees it.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use crate::support::{Home, Outcome};

/// A proxy or a server: it accepts a SOCKS greeting, notes what it is sent, and opens no connection.
struct Proxy {
    address: String,
    seen: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Proxy {
    fn start() -> Self {
        Self::at("127.0.0.1").unwrap()
    }

    fn at(host: &str) -> std::io::Result<Self> {
        let listener = TcpListener::bind(format!("{host}:0"))?;
        let address = listener.local_addr()?.to_string();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let journal = seen.clone();
        std::thread::spawn(move || {
            for mut connection in listener.incoming().flatten() {
                let mut chunk = [0; 1024];
                let count = connection.read(&mut chunk).unwrap_or(0);
                let mut sent = chunk[..count].to_vec();
                if sent.first() == Some(&5) {
                    let _ = connection.write_all(&[5, 0]);
                    let count = connection.read(&mut chunk).unwrap_or(0);
                    sent.extend(&chunk[..count]);
                }
                journal.lock().unwrap().push(sent);
            }
        });
        Ok(Self { address, seen })
    }

    /// What it was sent since the last call.
    fn take(&self) -> String {
        let seen = std::mem::take(&mut *self.seen.lock().unwrap());
        String::from_utf8_lossy(&seen.concat()).into_owned()
    }
}

/// A host without an address: only a proxy can be asked to connect to it.
const HOST: &str = "api.acme.invalid";

fn whoami(variables: &[(&str, &str)]) -> Outcome {
    whoami_at(&format!("https://{HOST}"), variables)
}

fn whoami_at(url: &str, variables: &[(&str, &str)]) -> Outcome {
    let mut home = Home::new();
    home.write(".my/config.json", &format!(r#"{{"api_url":"{url}"}}"#));
    home.set("MY_API_TOKEN", "myc_0123456789abcdef0123456789abcdef01234567");
    for (name, value) in variables {
        home.set(name, *value);
    }
    home.run(&["whoami"])
}

#[test]
fn a_blank_variable_hides_no_proxy() {
    let proxy = Proxy::start();
    let url = &*format!("http://{}", proxy.address);
    for variables in [
        &[("HTTPS_PROXY", url)][..],
        &[("https_proxy", url)],
        &[("ALL_PROXY", url)],
        &[("all_proxy", url)],
        &[("HTTPS_PROXY", ""), ("https_proxy", url)],
        &[("HTTPS_PROXY", " "), ("https_proxy", ""), ("ALL_PROXY", url)],
        &[("HTTPS_PROXY", ""), ("ALL_PROXY", " "), ("all_proxy", url)],
        &[("HTTPS_PROXY", &*proxy.address)],
        &[("HTTPS_PROXY", url), ("NO_PROXY", " "), ("no_proxy", "other.invalid")],
    ] {
        let outcome = whoami(variables);
        assert_eq!(outcome.status, 3, "{variables:?}: {outcome:?}");
        let sent = proxy.take();
        assert!(sent.starts_with(&format!("CONNECT {HOST}:443 HTTP/1.1")), "{variables:?}: {sent}");
    }
    for variables in [
        &[("HTTPS_PROXY", url), ("NO_PROXY", HOST)][..],
        &[("HTTPS_PROXY", url), ("NO_PROXY", ""), ("no_proxy", ".acme.invalid")],
        &[("HTTPS_PROXY", url), ("no_proxy", "*")],
    ] {
        let outcome = whoami(variables);
        assert_eq!((outcome.status, &*proxy.take()), (3, ""), "{variables:?}: {outcome:?}");
    }
}

#[test]
fn a_socks_proxy_resolves_the_host() {
    let proxy = Proxy::start();
    for (variable, scheme) in [("ALL_PROXY", "socks5h"), ("https_proxy", "socks5h")] {
        let url = format!("{scheme}://{}", proxy.address);
        let outcome = whoami(&[(variable, &url)]);
        assert_eq!(outcome.status, 3, "{outcome:?}");
        // RFC 1928: a greeting, then a request to connect to a name.
        let sent = proxy.take();
        assert!(sent.starts_with('\u{5}') && sent.contains(HOST), "{sent:?}");
    }
}

#[test]
fn a_loopback_address_has_no_proxy() {
    let proxy = Proxy::start();
    let url = &*format!("http://{}", proxy.address);
    let names =
        ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
    let variables = names.map(|name| (name, url));
    for (address, host) in
        [("127.0.0.1", "127.0.0.1"), ("127.0.0.1", "localhost"), ("[::1]", "[::1]")]
    {
        let Ok(server) = Proxy::at(address) else {
            let _ = std::io::stderr().write_all(b"SKIPPED: this machine has no address ::1\n");
            continue;
        };
        let port = server.address.rsplit(':').next().unwrap();
        for scheme in ["http", "https"] {
            let outcome = whoami_at(&format!("{scheme}://{host}:{port}"), &variables);
            assert_eq!((outcome.status, &*proxy.take()), (3, ""), "{scheme} {host}: {outcome:?}");
            // A request, or the start of TLS.
            let start = if scheme == "http" { "GET /v1/me HTTP/1.1" } else { "\u{16}" };
            assert!(server.take().starts_with(start), "{scheme} {host}: {outcome:?}");
        }
    }
}

#[test]
fn an_invalid_proxy_variable_is_named_without_its_value() {
    for value in ["garbage://user:hunter2@x", "http://user:hunter2@:x", "ftp://hunter2.acme.dev"] {
        for name in ["HTTPS_PROXY", "all_proxy"] {
            let outcome = whoami(&[(name, value)]);
            let message = format!("error: {name} is not the URL of a proxy");
            assert!(outcome.messages.starts_with(&message), "{outcome:?}");
            assert!(outcome.status == 2 && !outcome.messages.contains("hunter2"), "{outcome:?}");
        }
    }
    // Nothing listens on port 1.
    let outcome = whoami(&[("HTTPS_PROXY", "http://user:hunter2@127.0.0.1:1")]);
    assert!(outcome.messages.contains("HTTPS_PROXY names a proxy"), "{outcome:?}");
    assert!(outcome.status == 3 && !outcome.messages.contains("hunter2"), "{outcome:?}");
}
