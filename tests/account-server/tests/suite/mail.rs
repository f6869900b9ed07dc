//! Mail by SMTP, to a server that is just good enough to take it.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::{self, JoinHandle};

use account_server::Settings;
use serde_json::json;

use crate::client::{Client, start};

/// Takes one mail and gives what was sent.
fn smtp_server() -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let thread = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        take_mail(&stream).unwrap_or_default()
    });
    (address, thread)
}

fn take_mail(mut stream: &TcpStream) -> std::io::Result<String> {
    let mut taken = String::new();
    let mut in_data = false;
    writeln!(stream, "220 ready\r")?;
    for line in BufReader::new(stream).lines() {
        let line = line?;
        taken.push_str(&line);
        taken.push('\n');
        let verb = line.get(..4).unwrap_or_default();
        match verb {
            _ if in_data && line != "." => continue,
            "DATA" => writeln!(stream, "354 go on\r")?,
            "QUIT" => break,
            _ => writeln!(stream, "250 ok\r")?,
        }
        in_data = verb == "DATA";
        if line == "." {
            break;
        }
    }
    Ok(taken)
}

#[test]
fn a_named_server_is_given_the_mail_as_text_and_html() {
    let (address, mail) = smtp_server();
    let server = start(Settings { smtp: Some(address), ..Settings::default() });
    let client = Client::of(&server);
    let started = client.post("/v1/auth/device/start", &json!({"email": "ada@example.com"}));
    assert_eq!(started.expect(200)["email_sent"], true);
    let mail = mail.join().unwrap();
    assert!(mail.contains("RCPT TO:<ada@example.com>"), "{mail}");
    assert!(mail.contains("multipart/alternative"));
    assert!(mail.contains("text/plain") && mail.contains("text/html"));
    // Quoted-printable may break the link, but not its beginning.
    assert_eq!(mail.matches("/v1/auth/verify?token").count(), 2, "the link is in both");
}

#[test]
fn with_a_named_server_there_is_no_inbox() {
    let server = start(Settings { smtp: Some("127.0.0.1:1".into()), ..Settings::default() });
    let client = Client::of(&server);
    client.get("/inbox").expect_error(404, "NOT_FOUND");
    client.get("/inbox.json").expect_error(404, "NOT_FOUND");
    let started = client.post("/v1/auth/device/start", &json!({"email": "ada@example.com"}));
    assert_eq!(started.expect(200)["email_sent"], false, "nobody listens there");
}
