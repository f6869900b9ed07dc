//! Sessions: listed, ended one by one or all but one, replaced by the next login of their device.

use serde_json::{Value, json};

use crate::client::{Client, assert_fields, log_in, refresh, service};

const DEVICE: &str = "6f1c8a52-3c0c-4d43-9f2c-0f3b1f5f9f10";

#[test]
fn a_user_sees_the_own_sessions() {
    let server = service();
    let device = Client::of(&server)
        .with("X-Device-ID", DEVICE)
        .with("X-Device-Name", "laptop")
        .with("User-Agent", "suite/1");
    let session = log_in(&server, &device, "ada@example.com");
    server.session("eve@example.com").unwrap();
    let caller = device.bearer(session["access_token"].as_str().unwrap());
    let listed = caller.get("/v1/sessions").expect_fields(200, &["sessions"]);
    assert_eq!(listed["sessions"].as_array().unwrap().len(), 1);
    let listed = &listed["sessions"][0];
    let fields = [
        "id",
        "user_agent",
        "ip_address",
        "device_id",
        "device_name",
        "last_used_at",
        "expires_at",
        "created_at",
    ];
    assert_fields(listed, &fields);
    assert_eq!(listed["id"], session["session_id"]);
    assert_eq!(listed["user_agent"], "suite/1");
    assert_eq!(listed["ip_address"], "127.0.0.1");
    assert_eq!(listed["device_id"], DEVICE);
    assert_eq!(listed["device_name"], "laptop");
}

#[test]
fn the_next_login_of_a_device_ends_its_former_session() {
    let server = service();
    let device = Client::of(&server).with("X-Device-ID", DEVICE);
    let former = log_in(&server, &device, "ada@example.com");
    let elsewhere = log_in(&server, &Client::of(&server), "ada@example.com");
    let latter = log_in(&server, &device, "ada@example.com");
    let token = |session: &Value| session["refresh_token"].as_str().unwrap().to_owned();
    refresh(&device, &token(&former)).expect_error(401, "SESSION_REVOKED");
    refresh(&device, &token(&elsewhere)).expect(200);
    refresh(&device, &token(&latter)).expect(200);
}

#[test]
fn another_users_login_with_the_device_id_ends_nothing() {
    let server = service();
    let mine = server.session_on("ada@example.com", Some(DEVICE)).unwrap();
    server.session_on("eve@example.com", Some(DEVICE)).unwrap();
    refresh(&Client::of(&server), &mine.refresh_token).expect(200);
}

#[test]
fn a_session_is_ended_once_and_by_its_user() {
    let server = service();
    let session = server.session("ada@example.com").unwrap();
    let other = server.session("eve@example.com").unwrap();
    let client = Client::of(&server);
    let path = format!("/v1/sessions/{}", session.session_id);
    client.bearer(&other.access_token).delete(&path).expect_error(404, "NOT_FOUND");
    let caller = client.bearer(&session.access_token);
    assert_eq!(caller.delete(&path).expect(200), json!({"revoked": true}));
    caller.delete(&path).expect_error(404, "NOT_FOUND");
}

#[test]
fn all_sessions_but_the_current_are_ended() {
    let server = service();
    let current = server.session("ada@example.com").unwrap();
    server.session("ada@example.com").unwrap();
    server.session("ada@example.com").unwrap();
    let other = server.session("eve@example.com").unwrap();
    let client = Client::of(&server);
    let path = format!("/v1/sessions?current_session_id={}", current.session_id);
    let answer = client.bearer(&current.access_token).delete(&path);
    assert_eq!(answer.expect(200), json!({"revoked_count": 2}));
    refresh(&client, &current.refresh_token).expect(200);
    refresh(&client, &other.refresh_token).expect(200);
}

#[test]
fn without_a_current_session_all_are_ended() {
    let server = service();
    let session = server.session("ada@example.com").unwrap();
    let client = Client::of(&server);
    let answer = client.bearer(&session.access_token).delete("/v1/sessions");
    assert_eq!(answer.expect(200), json!({"revoked_count": 1}));
    refresh(&client, &session.refresh_token).expect_error(401, "SESSION_REVOKED");
}

#[test]
fn logging_out_ends_the_session_of_the_token() {
    let server = service();
    let session = server.session("ada@example.com").unwrap();
    let client = Client::of(&server);
    let caller = client.bearer(&session.access_token);
    let sent = json!({"refresh_token": session.refresh_token});
    client.post("/v1/auth/logout", &sent).expect_error(401, "UNAUTHORIZED");
    caller.post("/v1/auth/logout", &sent).expect(200);
    caller.post("/v1/auth/logout", &sent).expect(200);
    refresh(&client, &session.refresh_token).expect_error(401, "SESSION_REVOKED");
}

#[test]
fn nobody_logs_somebody_else_out() {
    let server = service();
    let mine = server.session("ada@example.com").unwrap();
    let other = server.session("eve@example.com").unwrap();
    let client = Client::of(&server);
    let sent = json!({"refresh_token": mine.refresh_token});
    let answer = client.bearer(&other.access_token).post("/v1/auth/logout", &sent);
    answer.expect_error(401, "INVALID_TOKEN");
    refresh(&client, &mine.refresh_token).expect(200);
}

#[test]
fn an_api_token_may_see_and_end_sessions() {
    let server = service();
    let session = server.session("ada@example.com").unwrap();
    let token = server.api_token("ada@example.com", "ci").unwrap();
    let caller = Client::of(&server).bearer(&token.token);
    let listed = caller.get("/v1/sessions").expect(200);
    assert_eq!(listed["sessions"][0]["id"], session.session_id.as_str());
    let sent = json!({"refresh_token": session.refresh_token});
    caller.post("/v1/auth/logout", &sent).expect(200);
    assert_eq!(caller.get("/v1/sessions").expect(200), json!({"sessions": []}));
}
