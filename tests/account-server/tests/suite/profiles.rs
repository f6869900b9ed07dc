//! Profiles and catalogs.

use account_server::Server;
use serde_json::{Value, json};

use crate::client::{Client, service};

fn caller(server: &Server) -> Client {
    named(server, "ada@example.com", "ada")
}

fn named(server: &Server, email: &str, username: &str) -> Client {
    let session = server.session(email).unwrap();
    let caller = Client::of(server).bearer(&session.access_token);
    caller.patch("/v1/me/username", &json!({"username": username})).expect(200);
    caller
}

fn profile(caller: &Client, slug: &str) -> Value {
    caller.post("/v1/profiles", &json!({"slug": slug, "name": slug})).expect(200)
}

fn add(server: &Server, profile: Option<&str>, slug: &str) {
    let item = json!({"email": "ada@example.com", "profile": profile, "slug": slug, "name": slug});
    Client::of(server).post("/test/catalog", &item).expect(200);
}

fn token_for(caller: &Client, profile: &Value) -> String {
    let wanted = json!({"name": "ci", "profile_id": profile["id"]});
    caller.post("/v1/tokens", &wanted).field("token")
}

#[test]
fn a_slug_leads_to_its_profile() {
    let server = service();
    let caller = caller(&server);
    let made = caller.post("/v1/profiles", &json!({"slug": "work", "name": "My work"}));
    let made = made.expect_fields(200, &["id", "slug", "name", "created_at"]);
    assert_eq!(caller.get("/v1/profiles/work").expect(200), json!({"profile": made}));
    assert_eq!(caller.get("/v1/profiles").expect(200), json!({"profiles": [made]}));
    // As the live service, which does not recognize its own "not found".
    caller.get("/v1/profiles/home").expect_error(500, "INTERNAL_ERROR");
}

#[test]
fn a_user_without_a_name_has_no_profiles_and_no_catalog() {
    let server = service();
    let session = server.session("ada@example.com").unwrap();
    let token = server.api_token("ada@example.com", "ci").unwrap();
    for secret in [&session.access_token, &token.token] {
        let caller = Client::of(&server).bearer(secret);
        for path in ["/v1/profiles", "/v1/profiles/work", "/v1/catalog"] {
            caller.get(path).expect_error(403, "USERNAME_REQUIRED");
        }
        let made = caller.post("/v1/profiles", &json!({"slug": "work", "name": "Work"}));
        made.expect_error(403, "USERNAME_REQUIRED");
    }
}

#[test]
fn a_slug_is_used_once_by_each_user() {
    let server = service();
    let caller = caller(&server);
    profile(&caller, "work");
    let again = caller.post("/v1/profiles", &json!({"slug": "work", "name": "Again"}));
    again.expect_error(409, "SLUG_TAKEN");
    let eve = named(&server, "eve@example.com", "eve");
    eve.get("/v1/profiles/work").expect_error(500, "INTERNAL_ERROR");
    profile(&eve, "work");
}

#[test]
fn a_bad_slug_or_name_is_refused() {
    let server = service();
    let caller = caller(&server);
    for (slug, name) in [("", "x"), ("A", "x"), ("a/b", "x"), ("a b", "x"), ("a", ""), ("a", " ")] {
        let answer = caller.post("/v1/profiles", &json!({"slug": slug, "name": name}));
        answer.expect_error(400, "INVALID_REQUEST");
    }
}

#[test]
fn each_profile_has_its_own_catalog() {
    let server = service();
    let caller = caller(&server);
    profile(&caller, "work");
    add(&server, Some("work"), "deploy");
    add(&server, None, "hello");
    let items = |path| caller.get(path).expect_fields(200, &["items"])["items"].clone();
    assert_eq!(items("/v1/catalog?profile=work"), json!([{"slug": "deploy", "name": "deploy"}]));
    assert_eq!(items("/v1/catalog"), json!([{"slug": "hello", "name": "hello"}]));
    caller.get("/v1/catalog?profile=home").expect_error(404, "NOT_FOUND");
}

#[test]
fn a_catalog_that_is_known_is_not_sent_again() {
    let server = service();
    let caller = caller(&server);
    let first = caller.get("/v1/catalog");
    let tag = first.headers["etag"].to_str().unwrap().to_owned();
    for known in [tag.clone(), format!("\"other\", W/{tag}"), "*".to_owned()] {
        let again = caller.with("If-None-Match", &known).get("/v1/catalog");
        assert_eq!(again.status, 304, "{known} names the catalog");
        assert_eq!(again.text, "");
        assert_eq!(again.headers["etag"], tag.as_str());
    }
    add(&server, None, "hello");
    let changed = caller.with("If-None-Match", &tag).get("/v1/catalog");
    assert_ne!(changed.headers["etag"], tag.as_str());
    changed.expect(200);
}

#[test]
fn a_token_made_for_a_profile_reads_that_catalog_and_no_other() {
    let server = service();
    let caller = caller(&server);
    let work = profile(&caller, "work");
    profile(&caller, "home");
    add(&server, Some("work"), "deploy");
    let token = Client::of(&server).bearer(&token_for(&caller, &work));
    let own = token.get("/v1/catalog?profile=work").expect(200);
    assert_eq!(own["items"][0]["slug"], "deploy");
    assert_eq!(token.get("/v1/catalog").expect(200), own, "its own is what it reads unasked");
    token.get("/v1/catalog?profile=home").expect_error(403, "FORBIDDEN");
    token.get("/v1/catalog?profile=none").expect_error(403, "FORBIDDEN");
}

#[test]
fn a_token_made_for_no_profile_reads_every_catalog_of_its_user() {
    let server = service();
    profile(&caller(&server), "work");
    let token = server.api_token("ada@example.com", "ci").unwrap();
    let client = Client::of(&server).bearer(&token.token);
    client.get("/v1/catalog?profile=work").expect(200);
    client.get("/v1/catalog").expect(200);
}
