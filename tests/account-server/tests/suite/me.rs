//! The account and its username.

use serde_json::json;

use crate::client::{Client, service};

#[test]
fn an_account_has_no_username_at_first() {
    let server = service();
    let session = server.session("ada@example.com").unwrap();
    let caller = Client::of(&server).bearer(&session.access_token);
    let account = caller.get("/v1/me").expect_fields(200, &["id", "email", "needs_username"]);
    assert_eq!(account["id"], session.user_id.as_str());
    assert_eq!(account["email"], "ada@example.com");
    assert_eq!(account["needs_username"], true);
}

#[test]
fn a_username_is_chosen_once() {
    let server = service();
    let session = server.session("ada@example.com").unwrap();
    let caller = Client::of(&server).bearer(&session.access_token);
    let chosen = caller.patch("/v1/me/username", &json!({"username": "ada"}));
    assert_eq!(chosen.expect(200), json!({"username": "ada"}));
    let account = caller.get("/v1/me");
    let account = account.expect_fields(200, &["id", "email", "username", "needs_username"]);
    assert_eq!(account["username"], "ada");
    assert_eq!(account["needs_username"], false);
    let again = caller.patch("/v1/me/username", &json!({"username": "lovelace"}));
    again.expect_error(409, "USERNAME_ALREADY_SET");
}

#[test]
fn a_username_is_nobody_elses() {
    let server = service();
    let client = Client::of(&server);
    let ada = json!({"email": "ada@example.com", "username": "ada"});
    client.post("/test/session", &ada).expect(200);
    let eve = server.session("eve@example.com").unwrap();
    let taken =
        client.bearer(&eve.access_token).patch("/v1/me/username", &json!({"username": "ada"}));
    taken.expect_error(409, "USERNAME_TAKEN");
}

#[test]
fn a_bad_username_is_refused() {
    let server = service();
    let session = server.session("ada@example.com").unwrap();
    let caller = Client::of(&server).bearer(&session.access_token);
    let long = "a".repeat(40);
    for username in ["", "ab", "1ab", "-ab", "Ada", "a_b", "ada\n", &long] {
        let answer = caller.patch("/v1/me/username", &json!({"username": username}));
        answer.expect_error(400, "INVALID_USERNAME");
    }
}

#[test]
fn anybody_may_ask_whether_a_username_is_available() {
    let server = service();
    let client = Client::of(&server);
    let available = |name: &str| client.get(&format!("/v1/usernames/{name}/available")).expect(200);
    assert_eq!(available("ada"), json!({"available": true}));
    let ada = json!({"email": "ada@example.com", "username": "ada"});
    client.post("/test/session", &ada).expect(200);
    assert_eq!(available("ada"), json!({"available": false, "reason": "taken"}));
    assert_eq!(available("Ada"), json!({"available": false, "reason": "invalid"}));
}
