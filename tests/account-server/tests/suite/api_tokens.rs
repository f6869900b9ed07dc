//! API tokens: made, listed, deleted, with a limit and an end.

use std::time::Duration;

use account_server::Server;
use serde_json::{Value, json};

use crate::client::{Client, assert_fields, service};

fn caller(server: &Server) -> Client {
    let session = server.session("ada@example.com").unwrap();
    Client::of(server).bearer(&session.access_token)
}

#[test]
fn a_token_is_shown_when_it_is_made_and_never_again() {
    let server = service();
    let caller = caller(&server);
    let fields = ["token", "id", "name", "token_prefix", "profile_id", "expires_at", "created_at"];
    let made = caller.post("/v1/tokens", &json!({"name": "ci"})).expect_fields(201, &fields);
    let token = made["token"].as_str().unwrap();
    let secret = token.strip_prefix("myc_").unwrap();
    assert_eq!(secret.len(), 40);
    assert!(secret.bytes().all(|byte| byte.is_ascii_hexdigit()));
    assert_eq!(made["token_prefix"], format!("{}...", &token[..12]));
    assert_eq!(made["name"], "ci");
    assert_eq!(made["expires_at"], Value::Null);
    let listed = caller.get("/v1/tokens");
    assert!(!listed.text.contains(secret), "a token is shown once");
    let listed = listed.expect_fields(200, &["tokens"]);
    assert_fields(&listed["tokens"][0], &["id", "name", "token_prefix", "created_at"]);
    assert_eq!(listed["tokens"][0]["id"], made["id"]);
}

#[test]
fn a_token_speaks_for_its_user_and_its_use_is_noted() {
    let server = service();
    let caller = caller(&server);
    let made = caller.post("/v1/tokens", &json!({"name": "ci"})).expect(201);
    let token = Client::of(&server).bearer(made["token"].as_str().unwrap());
    assert_eq!(token.get("/v1/me").expect(200)["email"], "ada@example.com");
    let listed = caller.get("/v1/tokens").expect(200);
    assert!(listed["tokens"][0]["last_used_at"].is_string());
}

#[test]
fn an_api_token_does_nothing_to_api_tokens() {
    let server = service();
    let token = server.api_token("ada@example.com", "ci").unwrap();
    let client = Client::of(&server).bearer(&token.token);
    client.post("/v1/tokens", &json!({"name": "x"})).expect_error(403, "JWT_REQUIRED");
    client.get("/v1/tokens").expect_error(403, "JWT_REQUIRED");
    let path = format!("/v1/tokens/{}", token.id);
    client.delete(&path).expect_error(403, "JWT_REQUIRED");
}

#[test]
fn a_deleted_token_is_unknown() {
    let server = service();
    let caller = caller(&server);
    let token = server.api_token("ada@example.com", "ci").unwrap();
    let path = format!("/v1/tokens/{}", token.id);
    assert_eq!(caller.delete(&path).expect(200), json!({"status": "deleted"}));
    caller.delete(&path).expect_error(404, "NOT_FOUND");
    let client = Client::of(&server).bearer(&token.token);
    client.get("/v1/me").expect_error(401, "UNAUTHORIZED");
}

#[test]
fn nobody_deletes_somebody_elses_token() {
    let server = service();
    let token = server.api_token("eve@example.com", "ci").unwrap();
    let path = format!("/v1/tokens/{}", token.id);
    caller(&server).delete(&path).expect_error(404, "NOT_FOUND");
    Client::of(&server).bearer(&token.token).get("/v1/me").expect(200);
}

#[test]
fn a_user_has_ten_tokens_at_most() {
    let server = service();
    let caller = caller(&server);
    let made: Vec<Value> = (0..10)
        .map(|number| caller.post("/v1/tokens", &json!({"name": format!("{number}")})).expect(201))
        .collect();
    let one_more = || caller.post("/v1/tokens", &json!({"name": "one more"}));
    one_more().expect_error(409, "TOKEN_LIMIT_REACHED");
    let path = format!("/v1/tokens/{}", made[0]["id"].as_str().unwrap());
    caller.delete(&path).expect(200);
    one_more().expect(201);
}

#[test]
fn a_name_has_one_to_a_hundred_bytes() {
    let server = service();
    let caller = caller(&server);
    let make = |name: &str| caller.post("/v1/tokens", &json!({"name": name}));
    make(&"ä".repeat(50)).expect(201);
    make(&"ä".repeat(51)).expect_error(400, "INVALID_REQUEST");
    make("").expect_error(400, "INVALID_REQUEST");
    make(" ").expect(201);
    caller.post("/v1/tokens", &json!({})).expect_error(400, "INVALID_REQUEST");
}

#[test]
fn an_end_is_a_number_with_a_unit() {
    let server = service();
    let caller = caller(&server);
    let make = |span: &str| caller.post("/v1/tokens", &json!({"name": "ci", "expires_in": span}));
    // As the live service accepts them.
    for span in ["12h", "90d", "1y", "0d", "-1d", "+1d", "1.5d", " 1d", "99999y"] {
        assert!(make(span).expect(201)["expires_at"].is_string(), "{span} is an end");
    }
    assert!(make("").expect(201)["expires_at"].is_null(), "no end");
    for span in ["d", "-d", "90", "1w", "1D", "18446744073709551616d"] {
        make(span).expect_error(400, "INVALID_REQUEST");
    }
    let number = json!({"name": "ci", "expires_in": 90});
    caller.post("/v1/tokens", &number).expect_error(400, "INVALID_REQUEST");
}

#[test]
fn a_token_past_its_end_is_refused() {
    let server = service();
    let wanted = json!({"name": "ci", "expires_in": "12h"});
    let made = caller(&server).post("/v1/tokens", &wanted).expect(201);
    let client = Client::of(&server).bearer(made["token"].as_str().unwrap());
    client.get("/v1/me").expect(200);
    server.advance(Duration::from_secs(12 * 60 * 60));
    client.get("/v1/me").expect_error(401, "UNAUTHORIZED");
}

#[test]
fn a_token_is_made_for_a_profile_of_its_user_alone() {
    let server = service();
    let caller = caller(&server);
    caller.patch("/v1/me/username", &json!({"username": "ada"})).expect(200);
    let work = json!({"slug": "work", "name": "Work"});
    let own = caller.post("/v1/profiles", &work).expect(200)["id"].clone();
    let made = caller.post("/v1/tokens", &json!({"name": "ci", "profile_id": own})).expect(201);
    assert_eq!(made["profile_id"], own);
    let eve = server.session("eve@example.com").unwrap();
    let eve = Client::of(&server).bearer(&eve.access_token);
    let answer = eve.post("/v1/tokens", &json!({"name": "ci", "profile_id": own}));
    answer.expect_error(404, "NOT_FOUND");
}
