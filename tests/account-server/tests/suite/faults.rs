//! Faults, the clock, the journal and ready sessions.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use account_server::{Authorization, Fault, Server, Settings};
use serde_json::{Value, json};
use ureq::http::Method;

use crate::client::{Client, refresh, service, start};

const REFRESH: &str = "/v1/auth/refresh";

fn queue(server: &Server, times: usize, fault: &Value) {
    let sent = json!({"path": REFRESH, "times": times, "fault": fault});
    Client::of(server).post("/test/faults", &sent).expect(200);
}

fn distinct() -> Server {
    start(Settings { jti: true, ..Settings::default() })
}

/// Refreshes on a bare connection and gives all that came, and whether the body was whole.
fn raw_refresh(server: &Server, token: &str) -> String {
    let address = server.url().strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    let body = json!({"refresh_token": token}).to_string();
    let head = format!(
        "POST {REFRESH} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}",
        body.len()
    );
    write!(stream, "{head}\r\n\r\n{body}").unwrap();
    let mut answer = Vec::new();
    // A connection that is reset ends the answer too.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8(answer).unwrap()
}

#[test]
fn an_answer_can_be_late() {
    let server = service();
    let token = server.session("ada@example.com").unwrap().refresh_token;
    queue(&server, 1, &json!({"delay_ms": 200}));
    let start = Instant::now();
    refresh(&Client::of(&server), &token).expect(200);
    assert!(start.elapsed() >= Duration::from_millis(200));
}

#[test]
fn an_answer_can_be_another_and_then_nothing_was_done() {
    let server = distinct();
    let client = Client::of(&server);
    let token = server.session("ada@example.com").unwrap().refresh_token;
    queue(&server, 2, &json!({"status": 503, "body": "<html>", "headers": {"Retry-After": "7"}}));
    for _ in 0..2 {
        let answer = refresh(&client, &token);
        assert_eq!((answer.status, answer.text.as_str()), (503, "<html>"));
        assert_eq!(answer.headers["retry-after"], "7");
    }
    server.advance(Duration::from_secs(60));
    refresh(&client, &token).expect(200);
}

#[test]
fn an_answer_can_be_cut_off() {
    let server = service();
    let token = server.session("ada@example.com").unwrap().refresh_token;
    server.fault(REFRESH, 1, Fault::CutBody { cut_body_after: 9 });
    let answer = raw_refresh(&server, &token);
    let (head, body) = answer.split_once("\r\n\r\n").expect("a whole head");
    assert!(head.starts_with("HTTP/1.1 200"));
    assert_eq!(body.len(), 9, "so many bytes come and no more");
    let announced = head.to_lowercase();
    let announced = announced.split("content-length: ").nth(1).unwrap();
    let announced: usize = announced.lines().next().unwrap().parse().unwrap();
    assert!(announced > 100, "and the whole was announced");
    server.fault(REFRESH, 1, Fault::CutBody { cut_body_after: 9 });
    let sent = json!({"refresh_token": token}).to_string();
    let cut = Client::of(&server).send(Method::POST, REFRESH, sent.as_bytes());
    assert!(cut.is_err(), "a client sees that it was cut off");
}

#[test]
fn the_connection_can_close_after_the_work_is_done() {
    let server = distinct();
    let client = Client::of(&server);
    let token = server.session("ada@example.com").unwrap().refresh_token;
    queue(&server, 1, &json!({"close_after_commit": true}));
    assert_eq!(raw_refresh(&server, &token), "", "no answer came");
    server.advance(Duration::from_secs(29));
    refresh(&client, &token).expect(200);
    server.advance(Duration::from_secs(30));
    refresh(&client, &token).expect_error(401, "INVALID_TOKEN");
}

#[test]
fn an_answer_can_come_byte_by_byte() {
    let server = service();
    let token = server.session("ada@example.com").unwrap().refresh_token;
    queue(&server, 1, &json!({"slow_bytes_ms": 1}));
    let start = Instant::now();
    let answer = refresh(&Client::of(&server), &token);
    assert!(start.elapsed() >= Duration::from_millis(answer.text.len() as u64));
    answer.expect(200);
}

#[test]
fn an_answer_can_be_replaced_after_the_work_is_done() {
    let server = distinct();
    let client = Client::of(&server);
    let token = server.session("ada@example.com").unwrap().refresh_token;
    queue(&server, 1, &json!({"replace_body": "{\"expires_in\":-1}"}));
    assert_eq!(refresh(&client, &token).expect(200), json!({"expires_in": -1}));
    server.advance(Duration::from_secs(30));
    refresh(&client, &token).expect_error(401, "INVALID_TOKEN");
}

#[test]
fn faults_happen_in_order_and_to_their_path_alone() {
    let server = service();
    let client = Client::of(&server);
    queue(&server, 1, &json!({"status": 500}));
    queue(&server, 1, &json!({"status": 502}));
    client.get("/v1/me").expect_error(401, "UNAUTHORIZED");
    let statuses: Vec<u16> = (0..3).map(|_| refresh(&client, "x").status).collect();
    assert_eq!(statuses, [500, 502, 401]);
}

#[test]
fn an_unknown_fault_is_refused() {
    let server = service();
    let client = Client::of(&server);
    for fault in [json!({}), json!({"explode": true}), json!({"delay_ms": "x"})] {
        let sent = json!({"path": REFRESH, "fault": fault});
        client.post("/test/faults", &sent).expect_error(400, "INVALID_REQUEST");
    }
}

#[test]
fn a_request_is_finished_though_its_client_has_gone() {
    let server = distinct();
    let client = Client::of(&server);
    let token = server.session("ada@example.com").unwrap().refresh_token;
    queue(&server, 1, &json!({"delay_ms": 100}));
    let address = server.url().strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    let body = json!({"refresh_token": token}).to_string();
    write!(
        stream,
        "POST {REFRESH} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let begun = || server.requests().iter().any(|request| request.path == REFRESH);
    wait_until("the request has begun", begun);
    drop(stream);
    let done = || server.requests().iter().any(|request| request.status == Some(200));
    wait_until("the request is done", done);
    server.advance(Duration::from_secs(30));
    refresh(&client, &token).expect_error(401, "INVALID_TOKEN");
}

#[track_caller]
fn wait_until(what: &str, happened: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !happened() {
        assert!(Instant::now() < deadline, "{what}, within twenty seconds");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn the_clock_goes_ahead_when_it_is_told_to() {
    let server = service();
    let session = server.session("ada@example.com").unwrap();
    let client = Client::of(&server);
    client.post("/test/advance", &json!({"seconds": 901})).expect_fields(200, &["now"]);
    let caller = client.bearer(&session.access_token);
    caller.get("/v1/me").expect_error(401, "UNAUTHORIZED");
    client.post("/test/advance", &json!({"seconds": u64::MAX})).expect(200);
    refresh(&client, &session.refresh_token).expect_error(401, "SESSION_EXPIRED");
    server.session("ada@example.com").expect("even at the end of time");
}

#[test]
fn the_journal_names_requests_and_kinds_of_credentials() {
    let server = service();
    let session = server.session("ada@example.com").unwrap();
    let token = server.api_token("ada@example.com", "ci").unwrap();
    let client = Client::of(&server);
    client.get("/v1/me?x=SENTINEL");
    client.bearer(&session.access_token).get("/v1/me");
    client.bearer(&token.token).get("/v1/me");
    client.with("Authorization", "Digest SENTINEL").get("/v1/me");
    let answer = client.get("/test/requests");
    for secret in [&session.access_token, &token.token, "SENTINEL"] {
        assert!(!answer.text.contains(secret), "a journal holds no secret");
    }
    let row = |authorization, status| json!({"method": "GET", "path": "/v1/me", "authorization": authorization, "status": status});
    let rows = [row("none", 401), row("jwt", 200), row("api_token", 200), row("other", 401)];
    assert_eq!(answer.expect(200), json!({"requests": rows}));
    client.delete("/test/requests").expect(200);
    assert!(server.requests().is_empty());
}

#[test]
fn refreshes_are_counted_whatever_became_of_them() {
    let server = service();
    let token = server.session("ada@example.com").unwrap().refresh_token;
    let client = Client::of(&server);
    queue(&server, 1, &json!({"status": 503}));
    refresh(&client, &token);
    refresh(&client, &token);
    client.get("/v1/me");
    assert_eq!(server.refresh_requests(), 2);
    let last = server.requests().pop().unwrap();
    assert_eq!(last.authorization, Authorization::None);
}

#[test]
fn a_session_is_ready_without_a_mail() {
    let server = service();
    let client = Client::of(&server);
    let person = json!({"email": "ada@example.com", "username": "ada"});
    let fields = ["access_token", "refresh_token", "expires_in", "session_id", "user_id"];
    let session = client.post("/test/session", &person).expect_fields(200, &fields);
    let caller = client.bearer(session["access_token"].as_str().unwrap());
    assert_eq!(caller.get("/v1/me").expect(200)["username"], "ada");
    client.post("/test/session", &person).expect(200);
    let wanted = json!({"email": "ada@example.com", "name": "ci", "expires_in": "1d"});
    let made = client.post("/test/api-tokens", &wanted).expect(201);
    let token = client.bearer(made["token"].as_str().unwrap());
    token.get("/v1/me").expect(200);
}

#[test]
fn an_access_token_can_be_refused_before_its_time() {
    let server = distinct();
    let session = server.session("ada@example.com").unwrap();
    let client = Client::of(&server);
    let caller = client.bearer(&session.access_token);
    caller.get("/v1/me").expect(200);
    let denied = json!({"access_token": session.access_token});
    client.post("/test/revoke-access", &denied).expect(200);
    caller.get("/v1/me").expect_error(401, "UNAUTHORIZED");
    let fresh = refresh(&client, &session.refresh_token).field("access_token");
    client.bearer(&fresh).get("/v1/me").expect(200);
    server.revoke_access(&fresh);
    client.bearer(&fresh).get("/v1/me").expect_error(401, "UNAUTHORIZED");
}
