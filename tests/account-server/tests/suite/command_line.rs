//! The program itself: what it prints, and that it serves.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::json;

use crate::client::{Client, refresh};

/// A program that is killed when its test is over.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_account-server"))
}

/// Serves on a free port; gives the program and the lines that it printed.
fn serve(arguments: &[&str]) -> (Running, [String; 3]) {
    let mut serve = program();
    serve.args(["serve", "--listen", "127.0.0.1:0"]).args(arguments);
    let mut running = Running(serve.stdout(Stdio::piped()).spawn().unwrap());
    let mut out = BufReader::new(running.0.stdout.take().unwrap()).lines();
    let lines = [(); 3].map(|()| out.next().unwrap().unwrap());
    (running, lines)
}

fn url(lines: &[String; 3]) -> &str {
    lines[0].strip_prefix("serving ").expect("the address comes first")
}

#[test]
fn serve_prints_its_url_and_those_of_console_and_mail() {
    let (_running, lines) = serve(&["--access-token-lifetime", "2s"]);
    let url = url(&lines);
    assert_eq!(lines[1..], [format!("console {url}/console"), format!("inbox   {url}/inbox")]);
    assert_eq!(Client::at(url).get("/health").text, "ok");
}

#[test]
fn a_rotation_is_kept_though_the_service_is_killed() {
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("accounts.db");
    let arguments = ["--for-tests", "--jti", "--database", database.to_str().unwrap()];
    let (running, lines) = serve(&arguments);
    let client = Client::at(url(&lines));
    let session = client.post("/test/session", &json!({"email": "ada@example.com"}));
    let first = session.field("refresh_token");
    let second = refresh(&client, &first).field("refresh_token");
    let third = refresh(&client, &second).field("refresh_token");
    drop(running);
    let (_running, lines) = serve(&arguments);
    let client = Client::at(url(&lines));
    refresh(&client, &first).expect_error(401, "INVALID_TOKEN");
    refresh(&client, &third).expect(200);
}

#[test]
fn an_address_that_is_taken_is_an_error() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = program().args(["serve", "--listen", &address]).output().unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.starts_with(&format!("error: listening on {address}: ")), "{said}");
}
