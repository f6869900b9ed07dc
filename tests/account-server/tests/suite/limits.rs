//! What is refused whatever it is: too much, too often, malformed, unknown.

use std::time::Duration;

use account_server::{Server, Settings};
use serde_json::json;
use ureq::http::Method;

use crate::client::{Client, refresh, service};

const KIB_256: usize = 256 * 1024;

#[test]
fn every_other_path_and_method_is_an_error_in_json() {
    let server = service();
    let client = Client::of(&server);
    client.get("/").expect_error(404, "NOT_FOUND");
    client.get("/v1/nothing").expect_error(404, "NOT_FOUND");
    client.get("/v1/auth/refresh").expect_error(405, "METHOD_NOT_ALLOWED");
    client.delete("/v1/me").expect_error(405, "METHOD_NOT_ALLOWED");
    client.get("/v1/usernames/%ff/available").expect_error(404, "NOT_FOUND");
}

#[test]
fn what_is_not_the_json_asked_for_is_refused() {
    let server = service();
    let client = Client::of(&server);
    let bodies: [&[u8]; 7] = [b"", b"{", b"[]", b"null", b"{\"email\":1}", b"\xff\xfe", b"{}"];
    for path in [
        "/v1/auth/device/start",
        "/v1/auth/device/token",
        "/v1/auth/verify-code",
        "/v1/auth/refresh",
    ] {
        for body in bodies {
            let answer = client.send(Method::POST, path, body).unwrap();
            answer.expect_error(400, "INVALID_REQUEST");
        }
    }
    let deep = "[".repeat(100_000);
    let answer = client.send(Method::POST, "/v1/auth/refresh", deep.as_bytes()).unwrap();
    answer.expect_error(400, "INVALID_REQUEST");
}

#[test]
fn a_message_does_not_repeat_what_was_sent() {
    let server = service();
    let sent = br#"{"refresh_token": 1, "x": "SENTINEL", "SENTINEL": "#;
    let answer = Client::of(&server).send(Method::POST, "/v1/auth/refresh", sent).unwrap();
    assert!(!answer.text.contains("SENTINEL"));
}

#[test]
fn a_body_has_256_kib_at_most() {
    let server = service();
    let client = Client::of(&server);
    let body = |size: usize| {
        let frame = json!({"email": "ada@example.com", "x": ""}).to_string().len();
        json!({"email": "ada@example.com", "x": "x".repeat(size - frame)}).to_string()
    };
    let send = |size| client.send(Method::POST, "/v1/auth/device/start", body(size).as_bytes());
    send(KIB_256).unwrap().expect(200);
    send(KIB_256 + 1).unwrap().expect_error(413, "PAYLOAD_TOO_LARGE");
    send(4 * KIB_256).unwrap().expect_error(413, "PAYLOAD_TOO_LARGE");
}

#[test]
fn a_missing_or_bad_bearer_is_refused_everywhere() {
    let server = service();
    let client = Client::of(&server);
    let values =
        ["", "Bearer", "Bearer ", "Bearer x", "Bearer a.b.c", "Bearer myc_0", "Basic eDp5", "x"];
    let callers = values.map(|value| client.with("Authorization", value));
    for caller in callers.iter().chain([&client]) {
        for path in [
            "/v1/me",
            "/v1/sessions",
            "/v1/tokens",
            "/v1/profiles",
            "/v1/profiles/x",
            "/v1/catalog",
        ] {
            caller.get(path).expect_error(401, "UNAUTHORIZED");
        }
        let name = json!({"username": "ada"});
        caller.patch("/v1/me/username", &name).expect_error(401, "UNAUTHORIZED");
        caller.delete("/v1/sessions/x").expect_error(401, "UNAUTHORIZED");
        caller.delete("/v1/sessions").expect_error(401, "UNAUTHORIZED");
        caller.delete("/v1/tokens/x").expect_error(401, "UNAUTHORIZED");
        caller.post("/v1/tokens", &json!({"name": "x"})).expect_error(401, "UNAUTHORIZED");
        caller
            .post("/v1/auth/logout", &json!({"refresh_token": "x"}))
            .expect_error(401, "UNAUTHORIZED");
    }
}

#[test]
fn the_scheme_of_a_credential_has_no_case() {
    let server = service();
    let session = server.session("ada@example.com").unwrap();
    let value = format!("bearer {}", session.access_token);
    Client::of(&server).with("Authorization", &value).get("/v1/me").expect(200);
}

#[test]
fn the_service_tells_that_it_is_well() {
    let answer = Client::of(&service()).get("/health");
    assert_eq!((answer.status, answer.text.as_str()), (200, "ok"));
}

#[test]
fn login_routes_take_one_request_a_second_and_ten_at_once() {
    let settings = Settings { for_tests: true, ..Settings::default() };
    let server = Server::start(settings).unwrap();
    // The clock of the service goes on meanwhile, so a slow machine may be granted some more.
    let client = Client::of(&server);
    let answers: Vec<_> = (0..30).map(|_| refresh(&client, "x")).collect();
    assert!(answers[..10].iter().all(|answer| answer.status == 401), "ten at once are served");
    let held_back = answers.into_iter().find(|answer| answer.status == 429);
    let held_back = held_back.expect("more than ten at once are not");
    assert_eq!(held_back.headers["retry-after"], "1");
    held_back.expect_error(429, "RATE_LIMITED");
    assert_eq!(client.get("/health").status, 200, "other routes are not held back");
    client.get("/v1/me").expect_error(401, "UNAUTHORIZED");
    server.advance(Duration::from_secs(10));
    refresh(&client, "x").expect_error(401, "INVALID_TOKEN");
}

#[test]
fn the_routes_of_tests_are_there_for_tests_alone() {
    let server = Server::start(Settings::default()).unwrap();
    let client = Client::of(&server);
    client.get("/test/requests").expect_error(404, "NOT_FOUND");
    let person = json!({"email": "ada@example.com"});
    client.post("/test/session", &person).expect_error(404, "NOT_FOUND");
    client.get("/v1/me");
    assert!(server.requests().is_empty(), "and no journal is kept");
}

#[test]
fn nothing_but_a_refresh_says_that_a_session_is_over() {
    let server = service();
    let client = Client::of(&server);
    for path in ["/v1/me", "/v1/sessions", "/api/v1/whoami"] {
        let text = client.get(path).text;
        assert!(
            !text.contains("SESSION_") && !text.contains("INVALID_TOKEN"),
            "a client would throw its session away"
        );
    }
}
