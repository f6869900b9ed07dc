//! Microtica's rows: what a key is told, and who may look at what.

use std::time::Duration;

use account_server::{MadeKey, NewKey, NewProject, Role, Server};
use serde_json::{Value, json};

use crate::client::{Client, service};

fn project(server: &Server) -> String {
    let project = NewProject {
        id: Some("shop".into()),
        name: "Shop".into(),
        environments: vec!["dev".into(), "prod".into()],
    };
    server.microtica_project(project).unwrap().id
}

fn key(server: &Server, baseline: Role, upgrades: &[(&str, Role)]) -> MadeKey {
    let upgrades = upgrades.iter().map(|(name, role)| ((*name).to_owned(), *role));
    let key = NewKey {
        project: "shop".into(),
        name: "ci".into(),
        expires_at: None,
        baseline,
        environments: upgrades.collect(),
    };
    server.microtica_key(&key).unwrap()
}

fn holder(server: &Server, key: &MadeKey) -> Client {
    Client::of(server).with("X-Microtica-Api-Key", &key.key)
}

/// The names and roles of the environments that a key sees.
fn environments(holder: &Client) -> Value {
    let listed = holder.get("/api/v1/projects/shop/environments");
    let listed = listed.expect_fields(200, &["environments"]);
    let rows = listed["environments"].as_array().unwrap().iter();
    rows.map(|row| json!([row["name"], row["role"]])).collect()
}

#[test]
fn a_key_has_forty_digits_and_a_prefix() {
    let server = service();
    project(&server);
    let key = key(&server, Role::Read, &[]);
    let digits = key.key.strip_prefix("mic_").unwrap();
    assert_eq!(digits.len(), 40);
    assert!(digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    assert_eq!(key.prefix, &key.key[..12]);
}

#[test]
fn a_key_is_told_who_it_is() {
    let server = service();
    project(&server);
    let key = key(&server, Role::Read, &[("prod", Role::Admin)]);
    let told = holder(&server, &key).get("/api/v1/whoami").expect(200);
    let wanted = json!({
        "via": "apikey",
        "key_prefix": key.prefix,
        "key_name": "ci",
        "baseline": "read",
        "environments": {"prod": "admin"},
        "projects_visible": 1,
    });
    assert_eq!(told, wanted);
}

#[test]
fn a_key_sees_its_project_and_no_other() {
    let server = service();
    project(&server);
    let other = json!({"name": "Other", "environments": []});
    let other = Client::of(&server).post("/test/microtica/projects", &other).expect(201);
    let key = key(&server, Role::Read, &[]);
    let holder = holder(&server, &key);
    let listed = holder.get("/api/v1/projects").expect(200);
    assert_eq!(listed, json!({"projects": [{"id": "shop", "name": "Shop"}]}));
    let path = format!("/api/v1/projects/{}/environments", other["id"].as_str().unwrap());
    holder.get(&path).expect_error(403, "FORBIDDEN");
    holder.get("/api/v1/projects/none/environments").expect_error(404, "NOT_FOUND");
}

#[test]
fn an_environment_has_the_stronger_of_both_roles() {
    let server = service();
    project(&server);
    let key = key(&server, Role::Read, &[("prod", Role::Owner)]);
    let holder = holder(&server, &key);
    assert_eq!(environments(&holder), json!([["dev", "read"], ["prod", "owner"]]));
    let row = holder.get("/api/v1/projects/shop/environments").expect(200);
    crate::client::assert_fields(&row["environments"][0], &["id", "name", "role"]);
}

#[test]
fn with_no_baseline_only_upgraded_environments_are_seen() {
    let server = service();
    project(&server);
    let key = key(&server, Role::None, &[("dev", Role::Write)]);
    assert_eq!(environments(&holder(&server, &key)), json!([["dev", "write"]]));
}

#[test]
fn with_neither_baseline_nor_upgrade_nothing_is_seen() {
    let server = service();
    project(&server);
    let key = key(&server, Role::None, &[]);
    let holder = holder(&server, &key);
    let told = holder.get("/api/v1/whoami").expect(200);
    assert_eq!(told["projects_visible"], 0);
    assert_eq!(holder.get("/api/v1/projects").expect(200), json!({"projects": []}));
    let environments = holder.get("/api/v1/projects/shop/environments");
    environments.expect_error(403, "FORBIDDEN");
}

#[test]
fn an_upgrade_is_strictly_stronger_than_the_baseline() {
    let server = service();
    project(&server);
    let client = Client::of(&server);
    let make = |baseline: &str, role: &str| {
        let key = json!({"project": "shop", "name": "ci", "baseline": baseline, "environments": {"dev": role}});
        client.post("/test/microtica/keys", &key)
    };
    for (baseline, role) in
        [("none", "none"), ("read", "read"), ("write", "read"), ("owner", "owner")]
    {
        make(baseline, role).expect_error(400, "INVALID_REQUEST");
    }
    for (baseline, role) in
        [("none", "read"), ("read", "write"), ("write", "admin"), ("admin", "owner")]
    {
        make(baseline, role).expect_fields(201, &["key", "prefix", "id"]);
    }
}

#[test]
fn a_key_belongs_to_a_project_and_environments_that_there_are() {
    let server = service();
    project(&server);
    let client = Client::of(&server);
    let unknown = json!({"project": "none", "name": "ci", "baseline": "read"});
    client.post("/test/microtica/keys", &unknown).expect_error(404, "NOT_FOUND");
    let upgrade = json!({"project": "shop", "name": "ci", "baseline": "read", "environments": {"none": "write"}});
    client.post("/test/microtica/keys", &upgrade).expect_error(400, "INVALID_REQUEST");
    let role = json!({"project": "shop", "name": "ci", "baseline": "emperor"});
    client.post("/test/microtica/keys", &role).expect_error(400, "INVALID_REQUEST");
}

#[test]
fn an_unknown_key_is_refused() {
    let server = service();
    project(&server);
    let client = Client::of(&server);
    let key = key(&server, Role::Read, &[]);
    for path in ["/api/v1/whoami", "/api/v1/projects", "/api/v1/projects/shop/environments"] {
        client.get(path).expect_error(401, "UNAUTHORIZED");
        let bad = client.with("X-Microtica-Api-Key", "mic_0");
        bad.get(path).expect_error(401, "UNAUTHORIZED");
        client.bearer(&key.key).get(path).expect_error(401, "UNAUTHORIZED");
    }
}

#[test]
fn a_revoked_key_is_told_so() {
    let server = service();
    project(&server);
    let key = key(&server, Role::Read, &[]);
    let client = Client::of(&server);
    let path = format!("/test/microtica/keys/{}/revoke", key.id);
    client.post(&path, &json!({})).expect(200);
    holder(&server, &key).get("/api/v1/whoami").expect_error(401, "API_KEY_REVOKED");
    let unknown = client.post("/test/microtica/keys/none/revoke", &json!({}));
    unknown.expect_error(404, "NOT_FOUND");
}

#[test]
fn an_expired_key_is_told_so() {
    let server = service();
    project(&server);
    let client = Client::of(&server);
    let now = client.post("/test/advance", &json!({"seconds": 60})).field("now");
    let key = json!({"project": "shop", "name": "ci", "baseline": "read", "expires_at": now});
    let key = client.post("/test/microtica/keys", &key).field("key");
    let expired = client.with("X-Microtica-Api-Key", &key);
    expired.get("/api/v1/whoami").expect_error(401, "API_KEY_EXPIRED");
}

#[test]
fn a_key_tells_when_it_expires() {
    let server = service();
    project(&server);
    let client = Client::of(&server);
    let key = json!({"project": "shop", "name": "ci", "baseline": "read", "expires_at": "2999-01-01T00:00:00Z"});
    let key = client.post("/test/microtica/keys", &key).field("key");
    let holder = client.with("X-Microtica-Api-Key", &key);
    let told = holder.get("/api/v1/whoami").expect(200);
    assert_eq!(told["expires_at"], "2999-01-01T00:00:00Z");
    server.advance(Duration::from_secs(1000 * 366 * 24 * 60 * 60));
    holder.get("/api/v1/whoami").expect_error(401, "API_KEY_EXPIRED");
}
