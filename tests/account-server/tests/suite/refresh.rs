//! Refresh tokens: single use, a grace, the three ways in which a session is over.

use std::collections::HashSet;
use std::thread;
use std::time::Duration;

use account_server::{Settings, Storage};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::client::{Client, refresh, service, start};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const GRACE: Duration = Duration::from_secs(30);

fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

/// A service whose tokens are all different.
fn distinct() -> account_server::Server {
    start(Settings { jti: true, ..Settings::default() })
}

#[test]
fn a_refresh_answers_a_new_pair() {
    let server = distinct();
    let client = Client::of(&server);
    let session = server.session("ada@example.com").unwrap();
    let fields = ["access_token", "expires_in", "refresh_token", "refresh_expires_in"];
    let answer = refresh(&client, &session.refresh_token).expect_fields(200, &fields);
    assert_eq!(answer["expires_in"], 900);
    assert_eq!(answer["refresh_expires_in"], 60 * 24 * 60 * 60);
    assert_ne!(answer["refresh_token"], session.refresh_token.as_str());
    let access = answer["access_token"].as_str().unwrap();
    client.bearer(access).get("/v1/me").expect(200);
}

#[test]
fn tokens_carry_the_claims_of_the_live_ones() {
    let server = service();
    let session = server.session("ada@example.com").unwrap();
    let access = claims(&session.access_token);
    crate::client::assert_fields(&access, &["sub", "type", "iat", "exp"]);
    assert_eq!(access["type"], "access");
    assert_eq!(access["sub"], session.user_id.as_str());
    let lifetime = access["exp"].as_i64().unwrap() - access["iat"].as_i64().unwrap();
    assert_eq!(lifetime, 900);
    let refresh = claims(&session.refresh_token);
    crate::client::assert_fields(&refresh, &["sub", "type", "iat", "exp", "sid"]);
    assert_eq!(refresh["type"], "refresh");
    assert_eq!(refresh["sid"], session.session_id.as_str());
}

#[test]
fn the_replaced_token_is_accepted_for_the_grace_and_no_longer() {
    let server = distinct();
    let client = Client::of(&server);
    for (wait, status) in [(Duration::from_secs(28), 200), (GRACE, 401)] {
        let session = server.session("ada@example.com").unwrap();
        refresh(&client, &session.refresh_token).expect(200);
        server.advance(wait);
        let again = refresh(&client, &session.refresh_token);
        assert_eq!(again.status, status, "after {wait:?}: {}", again.text);
        if status == 401 {
            again.expect_error(401, "INVALID_TOKEN");
        }
    }
}

#[test]
fn redeeming_in_the_grace_makes_the_other_pair_the_replaced_one() {
    let server = distinct();
    let client = Client::of(&server);
    let first = server.session("ada@example.com").unwrap().refresh_token;
    let second = refresh(&client, &first).field("refresh_token");
    let third = refresh(&client, &first).field("refresh_token");
    refresh(&client, &first).expect_error(401, "INVALID_TOKEN");
    let fourth = refresh(&client, &second).field("refresh_token");
    assert!(!fourth.is_empty(), "the other pair is the replaced one, and in its grace");
    refresh(&client, &second).expect_error(401, "INVALID_TOKEN");
    assert_eq!(refresh(&client, &third).status, 200, "and now this one is");
}

#[test]
fn a_used_token_does_not_end_the_session() {
    let server = distinct();
    let client = Client::of(&server);
    let first = server.session("ada@example.com").unwrap().refresh_token;
    let second = refresh(&client, &first).field("refresh_token");
    server.advance(GRACE);
    refresh(&client, &first).expect_error(401, "INVALID_TOKEN");
    refresh(&client, &second).expect(200);
}

#[test]
fn without_a_jti_tokens_of_one_second_are_identical() {
    let server = service();
    let client = Client::of(&server);
    let session = server.session("ada@example.com").unwrap();
    let mut token = session.refresh_token;
    let mut distinct = HashSet::new();
    for _ in 0..8 {
        token = refresh(&client, &token).field("refresh_token");
        assert!(!token.is_empty(), "a token that looks like its successor is still redeemed");
        distinct.insert(token.clone());
    }
    assert!(distinct.len() < 8, "eight refreshes within a second or two share tokens");
}

#[test]
fn each_refresh_extends_the_session() {
    let server = distinct();
    let client = Client::of(&server);
    let mut token = server.session("ada@example.com").unwrap().refresh_token;
    for _ in 0..4 {
        server.advance(DAY * 50);
        token = refresh(&client, &token).field("refresh_token");
        assert!(!token.is_empty(), "used within sixty days, a session goes on");
    }
    server.advance(DAY * 60);
    refresh(&client, &token).expect_error(401, "SESSION_EXPIRED");
}

#[test]
fn the_exp_of_a_refresh_token_is_the_end_of_the_session() {
    let server = start(Settings { session_lifetime: DAY * 30, ..Settings::default() });
    let token = server.session("ada@example.com").unwrap().refresh_token;
    let claims = claims(&token);
    let lifetime = claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap();
    assert_eq!(lifetime, 30 * 24 * 60 * 60);
}

#[test]
fn a_revoked_session_is_told_from_an_unknown_token() {
    let server = service();
    let client = Client::of(&server);
    let session = server.session("ada@example.com").unwrap();
    let path = format!("/v1/sessions/{}", session.session_id);
    client.bearer(&session.access_token).delete(&path).expect(200);
    refresh(&client, &session.refresh_token).expect_error(401, "SESSION_REVOKED");
    for unknown in ["", "a.b.c", "myc_0123", &session.access_token] {
        refresh(&client, unknown).expect_error(401, "INVALID_TOKEN");
    }
}

#[test]
fn a_refresh_token_of_another_service_is_unknown() {
    let (server, other) = (service(), service());
    let token = other.session("ada@example.com").unwrap().refresh_token;
    refresh(&Client::of(&server), &token).expect_error(401, "INVALID_TOKEN");
}

#[test]
fn a_refresh_token_is_no_access_token() {
    let server = service();
    let session = server.session("ada@example.com").unwrap();
    let client = Client::of(&server).bearer(&session.refresh_token);
    client.get("/v1/me").expect_error(401, "UNAUTHORIZED");
}

#[test]
fn of_many_who_present_one_token_at_once_two_are_served() {
    let server = distinct();
    let client = Client::of(&server);
    let token = server.session("ada@example.com").unwrap().refresh_token;
    let answers: Vec<_> = thread::scope(|scope| {
        let present = || refresh(&client, &token);
        let threads: Vec<_> = (0..16).map(|_| scope.spawn(present)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let (granted, refused): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|answer| answer.status == 200);
    assert_eq!(granted.len(), 2, "one as the token that counts, one in the grace");
    let issued: HashSet<_> = granted.iter().map(|answer| answer.field("refresh_token")).collect();
    assert_eq!(issued.len(), 2, "each got a pair of its own");
    for answer in refused {
        answer.expect_error(401, "INVALID_TOKEN");
    }
    // The one that counts, or the one that it replaced: which is which, only the service knows.
    let goes_on = issued.iter().any(|token| refresh(&client, token).status == 200);
    assert!(goes_on, "the session goes on");
}

#[test]
fn a_rotation_survives_a_restart_of_the_service() {
    let directory = tempfile::tempdir().unwrap();
    let settings = Settings {
        database: Storage::File(directory.path().join("accounts.db")),
        jti: true,
        ..Settings::default()
    };
    let server = start(settings.clone());
    let first = server.session("ada@example.com").unwrap().refresh_token;
    let second = refresh(&Client::of(&server), &first).field("refresh_token");
    drop(server);
    let server = start(settings);
    let client = Client::of(&server);
    refresh(&client, &second).expect(200);
    refresh(&client, &first).expect_error(401, "INVALID_TOKEN");
}

#[test]
fn an_access_token_lives_as_long_as_it_says() {
    let server =
        start(Settings { access_token_lifetime: Duration::from_secs(2), ..Settings::default() });
    let session = server.session("ada@example.com").unwrap();
    assert_eq!(session.expires_in, 2);
    let client = Client::of(&server).bearer(&session.access_token);
    client.get("/v1/me").expect(200);
    server.advance(Duration::from_secs(2));
    client.get("/v1/me").expect_error(401, "UNAUTHORIZED");
}
