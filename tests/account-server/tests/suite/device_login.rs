//! The device login: start, wait, confirm by code or by link, redeem.

use std::time::Duration;

use account_server::Settings;
use serde_json::json;

use crate::client::{Client, log_in, redeem, service, start, start_login};

const MINUTES_15: Duration = Duration::from_secs(900);

#[test]
fn a_login_starts_with_a_device_code() {
    let server = service();
    let started =
        Client::of(&server).post("/v1/auth/device/start", &json!({"email": "ada@example.com"}));
    let fields = ["device_code", "expires_in", "interval", "email_sent"];
    let started = started.expect_fields(200, &fields);
    let code = started["device_code"].as_str().unwrap();
    assert_eq!(code.len(), 64, "32 bytes in hex");
    assert!(code.bytes().all(|byte| byte.is_ascii_hexdigit()));
    assert_eq!(started["expires_in"], 900);
    assert_eq!(started["interval"], 5);
    assert_eq!(started["email_sent"], true);
}

#[test]
fn what_is_no_address_is_refused() {
    let server = service();
    let client = Client::of(&server);
    for email in ["", "ada", "ada@", "@example.com", "ada@example.com\r\nBcc: eve@example.com"] {
        let answer = client.post("/v1/auth/device/start", &json!({"email": email}));
        answer.expect_error(400, "INVALID_EMAIL");
    }
    assert!(server.inbox().is_empty(), "nobody is written to");
}

#[test]
fn a_login_waits_until_it_is_confirmed() {
    let server = service();
    let client = Client::of(&server);
    let device_code = start_login(&client, "ada@example.com");
    redeem(&client, &device_code).expect_error(400, "AUTHORIZATION_PENDING");
    let sent = json!({"device_code": device_code, "code": server.inbox()[0].code});
    let confirmed = client.post("/v1/auth/verify-code", &sent);
    assert_eq!(confirmed.expect(200), json!({"authorized": true}));
    let fields = ["access_token", "refresh_token", "expires_in", "needs_username", "session_id"];
    let redeemed = redeem(&client, &device_code).expect_fields(200, &fields);
    assert_eq!(redeemed["expires_in"], 900);
    assert_eq!(redeemed["needs_username"], true);
}

#[test]
fn a_device_code_is_redeemed_once() {
    let server = service();
    let client = Client::of(&server);
    let device_code = start_login(&client, "ada@example.com");
    let sent = json!({"device_code": device_code, "code": server.inbox()[0].code});
    client.post("/v1/auth/verify-code", &sent).expect(200);
    redeem(&client, &device_code).expect(200);
    redeem(&client, &device_code).expect_error(400, "EXPIRED_TOKEN");
    redeem(&client, "unknown").expect_error(400, "EXPIRED_TOKEN");
}

#[test]
fn a_device_code_lives_fifteen_minutes_confirmed_or_not() {
    let server = service();
    let client = Client::of(&server);
    let confirmed = start_login(&client, "ada@example.com");
    let sent = json!({"device_code": confirmed, "code": server.inbox()[0].code});
    client.post("/v1/auth/verify-code", &sent).expect(200);
    let waiting = start_login(&client, "ada@example.com");
    let late = json!({"device_code": waiting, "code": server.inbox()[0].code});
    server.advance(MINUTES_15);
    redeem(&client, &confirmed).expect_error(400, "EXPIRED_TOKEN");
    redeem(&client, &waiting).expect_error(400, "EXPIRED_TOKEN");
    client.post("/v1/auth/verify-code", &late).expect_error(400, "INVALID_CODE");
}

#[test]
fn a_code_confirms_once() {
    let server = service();
    let client = Client::of(&server);
    let device_code = start_login(&client, "ada@example.com");
    let sent = json!({"device_code": device_code, "code": server.inbox()[0].code});
    client.post("/v1/auth/verify-code", &sent).expect(200);
    client.post("/v1/auth/verify-code", &sent).expect_error(400, "INVALID_CODE");
}

#[test]
fn a_code_belongs_to_its_device_code() {
    let server = service();
    let client = Client::of(&server);
    start_login(&client, "ada@example.com");
    let code = server.inbox()[0].code.clone();
    let other = start_login(&client, "eve@example.com");
    if code != server.inbox()[0].code {
        let sent = json!({"device_code": other, "code": code});
        client.post("/v1/auth/verify-code", &sent).expect_error(400, "INVALID_CODE");
    }
    let sent = json!({"device_code": "unknown", "code": code});
    client.post("/v1/auth/verify-code", &sent).expect_error(400, "INVALID_CODE");
}

#[test]
fn after_five_wrong_codes_even_the_right_one_is_refused() {
    let server = service();
    let client = Client::of(&server);
    let device_code = start_login(&client, "ada@example.com");
    let right = server.inbox()[0].code.clone();
    let wrong = json!({"device_code": device_code, "code": if right == "000000" { "000001" } else { "000000" }});
    for _ in 0..5 {
        client.post("/v1/auth/verify-code", &wrong).expect_error(400, "INVALID_CODE");
    }
    let sent = json!({"device_code": device_code, "code": right});
    client.post("/v1/auth/verify-code", &sent).expect_error(429, "TOO_MANY_ATTEMPTS");
    redeem(&client, &device_code).expect_error(400, "AUTHORIZATION_PENDING");
}

#[test]
fn a_new_mail_does_not_bring_new_attempts() {
    let server = service();
    let client = Client::of(&server);
    let device_code = start_login(&client, "ada@example.com");
    let wrong = json!({"device_code": device_code, "code": "none"});
    for _ in 0..5 {
        client.post("/v1/auth/verify-code", &wrong).expect(400);
    }
    let again = json!({"device_code": device_code, "email": "ada@example.com"});
    client.post("/v1/auth/device/resend", &again).expect(200);
    let sent = json!({"device_code": device_code, "code": server.inbox()[0].code});
    client.post("/v1/auth/verify-code", &sent).expect_error(429, "TOO_MANY_ATTEMPTS");
}

#[test]
fn a_new_mail_replaces_the_former_one_and_gives_no_more_time() {
    let server = service();
    let client = Client::of(&server);
    let device_code = start_login(&client, "ada@example.com");
    let former = server.inbox()[0].link.clone();
    server.advance(Duration::from_secs(600));
    let again = json!({"device_code": device_code, "email": "Ada@example.com"});
    let sent = client.post("/v1/auth/device/resend", &again);
    let sent = sent.expect_fields(200, &["sent", "expires_in"]);
    assert_eq!(sent["sent"], true);
    let left = sent["expires_in"].as_i64().unwrap();
    assert!((295..=300).contains(&left), "{left} of 300 seconds are left");
    let path = former.strip_prefix(server.url()).unwrap();
    assert_eq!(client.get(path).status, 400, "the former link is void");
    let sent = json!({"device_code": device_code, "code": server.inbox()[0].code});
    client.post("/v1/auth/verify-code", &sent).expect(200);
}

#[test]
fn a_new_mail_goes_to_the_address_of_the_login_alone() {
    let server = service();
    let client = Client::of(&server);
    let device_code = start_login(&client, "ada@example.com");
    let other = json!({"device_code": device_code, "email": "eve@example.com"});
    client.post("/v1/auth/device/resend", &other).expect_error(400, "INVALID_EMAIL");
    let unknown = json!({"device_code": "unknown", "email": "ada@example.com"});
    client.post("/v1/auth/device/resend", &unknown).expect_error(400, "EXPIRED_TOKEN");
    assert_eq!(server.inbox().len(), 1);
}

#[test]
fn one_address_is_one_user_however_it_is_written() {
    let server = service();
    let client = Client::of(&server);
    let id = |email| {
        let session = log_in(&server, &client, email);
        let caller = client.bearer(session["access_token"].as_str().unwrap());
        caller.get("/v1/me").expect(200)["id"].clone()
    };
    assert_eq!(id("ada@example.com"), id(" ADA@Example.COM"));
    assert_ne!(id("ada@example.com"), id("eve@example.com"));
}

#[test]
fn spans_of_the_login_are_settings() {
    let server = start(Settings {
        device_code_lifetime: Duration::from_secs(60),
        poll_interval: Duration::from_millis(200),
        ..Settings::default()
    });
    let client = Client::of(&server);
    let started = client.post("/v1/auth/device/start", &json!({"email": "ada@example.com"}));
    let started = started.expect(200);
    assert_eq!(started["expires_in"], 60);
    assert_eq!(started["interval"], 1, "a begun second counts");
}
