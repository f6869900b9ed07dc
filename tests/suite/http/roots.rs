//! Which certificates are trusted.

use std::io::Write as _;

use serde_json::json;

use crate::support::tls::TlsServer;
use crate::support::{HELPER, Home, Outcome, finish, spawn};

const TOKEN: &str = "myc_0123456789abcdef0123456789abcdef01234567";

/// A service with a certificate that no public authority has signed, and a home that uses it.
fn service() -> (TlsServer, Home) {
    let body = json!({ "id": "1", "email": "me@acme.dev" }).to_string();
    let server = TlsServer::start(move |_| (200, body.clone().into_bytes()));
    let mut home = Home::new();
    home.set("MY_API_URL", format!("https://{}", server.address));
    home.set("MY_API_TOKEN", TOKEN);
    (server, home)
}

fn set_ca_file(home: &Home, path: &std::path::Path) {
    let text = format!("ca_file = '{}'\n", path.display());
    home.write(".config/my-credential-helper/config.toml", &text);
}

fn is_trusted(outcome: &Outcome) -> bool {
    assert!(outcome.status == 0 || outcome.messages.contains("certificate"), "{outcome:?}");
    outcome.status == 0
}

#[test]
fn certificates_come_from_the_variable_then_the_configuration() {
    let (server, mut home) = service();
    let (other, _) = service();
    assert!(!is_trusted(&home.run(&["whoami"])), "no public authority has signed it");
    let [good, bad] = [(&server, "good.pem"), (&other, "bad.pem")]
        .map(|(server, name)| home.write(name, &server.certificate));
    set_ca_file(&home, &good);
    assert!(is_trusted(&home.run(&["whoami"])));
    home.set("SSL_CERT_FILE", &bad);
    assert!(!is_trusted(&home.run(&["whoami"])));
    home.set("SSL_CERT_FILE", &good);
    set_ca_file(&home, &bad);
    assert!(is_trusted(&home.run(&["whoami"])));
}

#[test]
fn a_file_without_usable_certificates_is_an_error() {
    let (server, mut home) = service();
    let folder = home.path().join("folder");
    std::fs::create_dir(&folder).unwrap();
    let broken = server.certificate.replace("-----END", "%%%\n-----END");
    let files = [
        home.path().join("missing.pem"),
        folder,
        home.write("empty.pem", ""),
        home.write("broken.pem", &format!("{}{broken}", server.certificate)),
    ];
    for file in files {
        home.set("SSL_CERT_FILE", &file);
        let outcome = home.run(&["whoami"]);
        let message = format!("error: cannot load the certificates in {}: ", file.display());
        assert!(outcome.messages.starts_with(&message), "{outcome:?}");
        assert!(outcome.messages.contains("hint: correct SSL_CERT_FILE, "), "{outcome:?}");
        assert_eq!((outcome.status, server.seen().len()), (1, 0), "{outcome:?}");
    }
    home.set("SSL_CERT_FILE", "");
    set_ca_file(&home, &home.path().join("missing.pem"));
    let outcome = home.run(&["whoami"]);
    assert!(outcome.messages.contains("hint: correct `ca_file` in config.toml, "), "{outcome:?}");
}

/// Whoever restricts the trust to some directories does not trust the bundled roots.
#[test]
fn a_directory_without_certificates_is_an_error() {
    let (_server, mut home) = service();
    std::fs::create_dir(home.path().join("empty")).unwrap();
    for directory in ["missing", "empty"] {
        home.set("SSL_CERT_DIR", home.path().join(directory));
        let outcome = home.run(&["whoami"]);
        let message = "error: SSL_CERT_DIR names no directory with a certificate";
        assert!(outcome.messages.starts_with(message), "{outcome:?}");
        assert_eq!(outcome.status, 1, "{outcome:?}");
    }
}

#[test]
fn certificates_are_never_those_of_the_working_directory() {
    let (server, mut home) = service();
    home.write("roots.pem", &server.certificate);
    for value in ["roots.pem", "./roots.pem", "../roots.pem"] {
        set_ca_file(&home, std::path::Path::new(value));
        let outcome = home.run(&["whoami"]);
        assert_eq!(outcome.status, 2, "{outcome:?}");
        assert!(
            outcome.messages.contains("config.toml has a relative path: ca_file"),
            "{outcome:?}"
        );
    }
    set_ca_file(&home, std::path::Path::new("~/roots.pem"));
    assert!(is_trusted(&home.run(&["whoami"])));
    for (name, value) in
        [("SSL_CERT_FILE", "roots.pem"), ("SSL_CERT_DIR", "."), ("SSL_CERT_DIR", "/etc:certs")]
    {
        home.set(name, value);
        let outcome = home.run(&["whoami"]);
        home.set(name, "");
        assert_eq!(outcome.status, 2, "{outcome:?}");
        assert!(outcome.messages.contains(&format!("{name} has a relative path")), "{outcome:?}");
    }
}

#[test]
fn a_file_that_does_not_end_is_not_read() {
    let (server, mut home) = service();
    let fifo = home.path().join("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    for file in [&*fifo, std::path::Path::new("/dev/zero")] {
        home.set("SSL_CERT_FILE", file);
        set_ca_file(&home, std::path::Path::new("/nowhere"));
        let outcome = home.run(&["whoami"]);
        assert!(outcome.messages.contains("is not a regular file"), "{outcome:?}");
        home.set("SSL_CERT_FILE", "");
        set_ca_file(&home, file);
        let outcome = home.run(&["whoami"]);
        assert!(outcome.messages.contains("is not a regular file"), "{outcome:?}");
        let refused = home.run(&["config", "set", "ca_file", file.to_str().unwrap()]);
        assert_eq!(refused.status, 2, "{refused:?}");
    }
    let configuration = home.path().join(".config/my-credential-helper/config.toml");
    std::fs::remove_file(&configuration).unwrap();
    std::fs::rename(&fifo, &configuration).unwrap();
    let outcome = home.run(&["whoami"]);
    assert_eq!((outcome.status, server.seen().len()), (2, 0), "{outcome:?}");
    assert!(outcome.messages.contains("is not a regular file"), "{outcome:?}");
}

#[test]
fn an_authority_that_the_system_trusts_is_trusted() {
    let (server, home) = service();
    home.write("certs/ca-certificates.crt", &server.certificate);
    for (mounted, is_good) in [("certs", true), ("empty", false)] {
        std::fs::create_dir_all(home.path().join(mounted)).unwrap();
        let mut command = home.command("unshare");
        let script =
            format!("mount --bind {mounted} /etc/ssl/certs || exit 99; exec {HELPER} whoami");
        command.args(["--mount", "sh", "-c", &script]);
        let outcome = finish(spawn(command), b"");
        if outcome.status == 99 || outcome.status == 1 && outcome.messages.contains("unshare") {
            let _ = std::io::stderr().write_all(b"SKIPPED: nothing can be mounted here\n");
            return;
        }
        assert_eq!(is_trusted(&outcome), is_good, "{mounted}: {outcome:?}");
    }
}
