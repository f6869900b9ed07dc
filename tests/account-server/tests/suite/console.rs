//! The console as a program that means harm would speak to it; how it looks is tested in a browser.

use std::time::Duration;

use account_server::{NewProject, Server, Settings};
use ureq::http::Method;

use crate::client::{Client, Reply, service, start};

const ADA: &str = "ada@example.com";

/// Somebody who is signed in, and the token of the forms.
fn signed_in(server: &Server, email: &str) -> (Client, String) {
    let (name, value) = server.console_cookie(email).unwrap();
    let client = Client::of(server).with("Cookie", &format!("{name}={value}"));
    let token = token(&client.get("/console"));
    (client, token)
}

fn token(page: &Reply) -> String {
    let (_, rest) = page.text.split_once("name=\"token\" value=\"").expect("a form");
    rest.split('"').next().unwrap().to_owned()
}

fn project(server: &Server, email: &str) -> String {
    let environments = vec!["prod".to_owned()];
    let project = NewProject { id: None, name: "shop".into(), environments };
    let project = server.microtica_project(project).unwrap();
    server.join_microtica_project(&project.id, email).unwrap();
    project.id
}

fn post(client: &Client, path: &str, form: &str) -> Reply {
    let client = client.with("Content-Type", "application/x-www-form-urlencoded");
    client.send(Method::POST, path, form.as_bytes()).unwrap()
}

#[test]
fn a_form_without_the_token_of_its_page_changes_nothing() {
    let server = service();
    let (ada, token) = signed_in(&server, ADA);
    let (_, of_another_session) = signed_in(&server, ADA);
    let keys = format!("/console/projects/{}/keys", project(&server, ADA));
    let form = "name=ci&expires=never&baseline=owner";
    for tokens in ["", "&token=", "&token=0", &format!("&token={of_another_session}")] {
        let refused = post(&ada, &keys, &format!("{form}{tokens}"));
        assert_eq!(refused.status, 403, "{tokens}");
        assert!(
            refused.text.contains("<h1>That did not work</h1>"),
            "a person reads why on a page"
        );
    }
    assert!(ada.get(&keys).text.contains("There is no key yet"));
    assert_eq!(post(&ada, &keys, &format!("{form}&token={token}")).status, 303);
}

#[test]
fn a_form_of_another_site_is_refused_though_it_has_the_token() {
    let server = service();
    let (ada, token) = signed_in(&server, ADA);
    let form = format!("name=x&environments=prod&token={token}");
    for site in ["cross-site", "same-site", "none"] {
        assert_eq!(
            post(&ada.with("Sec-Fetch-Site", site), "/console", &form).status,
            403,
            "{site}"
        );
    }
    assert_eq!(post(&ada.with("Origin", "https://evil.example"), "/console", &form).status, 403);
    assert_eq!(post(&ada.with("Origin", server.url()), "/console", &form).status, 303);
    assert_eq!(post(&ada.with("Sec-Fetch-Site", "same-origin"), "/console", &form).status, 303);
}

#[test]
fn the_cookie_is_for_this_site_alone_and_changes_with_each_step() {
    let server = service();
    let visitor = Client::of(&server).get("/console/sign-in");
    let first = visitor.headers["set-cookie"].to_str().unwrap().to_owned();
    for attribute in ["console=", "; HttpOnly", "; SameSite=Lax", "; Path=/"] {
        assert!(first.contains(attribute), "{first}");
    }
    assert!(!first.contains("Secure"), "over http a browser would not keep it");
    let (cookie, _) = first.split_once(';').unwrap();
    let client = Client::of(&server).with("Cookie", cookie);
    let asked =
        post(&client, "/console/sign-in", &format!("email={ADA}&token={}", token(&visitor)));
    assert_eq!(asked.status, 303);
    let second = asked.headers["set-cookie"].to_str().unwrap();
    assert!(!second.contains(cookie), "what was planted before is worth nothing now");
    let https = start(Settings {
        public_url: Some("https://accounts.example.com".into()),
        ..Settings::default()
    });
    let page = Client::of(&https).get("/console/sign-in");
    let cookie = page.headers["set-cookie"].to_str().unwrap();
    assert!(cookie.starts_with("__Host-console=") && cookie.contains("; Secure"), "{cookie}");
}

#[test]
fn nobody_gets_at_the_project_of_somebody_else() {
    let server = service();
    let project = project(&server, ADA);
    let (eve, token) = signed_in(&server, "eve@example.com");
    let stranger = Client::of(&server);
    for part in [
        "",
        "/keys",
        "/keys/new",
        "/keys/x/created",
        "/keys/x/scopes",
        "/keys/x/revoke",
        "/members",
        "/audit",
    ] {
        let path = format!("/console/projects/{project}{part}");
        assert_eq!(eve.get(&path).status, 404, "{part}");
        let led = stranger.get(&path);
        assert_eq!(
            (led.status, led.headers["location"].to_str().unwrap()),
            (303, "/console/sign-in"),
            "{part}"
        );
    }
    for part in ["/keys", "/keys/x/scopes", "/keys/x/revoke", "/members", "/members/leave"] {
        let form =
            format!("name=ci&expires=never&baseline=owner&email=eve@example.com&token={token}");
        assert_eq!(
            post(&eve, &format!("/console/projects/{project}{part}"), &form).status,
            404,
            "{part}"
        );
    }
}

#[test]
fn the_cookie_of_a_session_is_worth_nothing_after_it() {
    let server = service();
    let (ada, token) = signed_in(&server, ADA);
    assert_eq!(post(&ada, "/console/sign-out", &format!("token={token}")).status, 303);
    assert_eq!(ada.get("/console").status, 303, "signed out");
    let (ada, _) = signed_in(&server, ADA);
    server.advance(Duration::from_secs(12 * 60 * 60));
    assert_eq!(ada.get("/console").status, 303, "its day is over");
}

#[test]
fn a_login_of_the_console_is_none_of_a_device() {
    let server = service();
    let client = Client::of(&server);
    let page = client.get("/console/sign-in");
    let cookie = page.headers["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let asked = post(
        &client.with("Cookie", &cookie),
        "/console/sign-in",
        &format!("email={ADA}&token={}", token(&page)),
    );
    let device_code =
        asked.headers["set-cookie"].to_str().unwrap().split(['=', ';']).nth(1).unwrap().to_owned();
    let mail = server.inbox().remove(0);
    assert_eq!(mail.subject, "Confirm your login to Microtica");
    let sent = serde_json::json!({"device_code": device_code, "code": mail.code});
    client.post("/v1/auth/verify-code", &sent).expect_error(400, "INVALID_CODE");
    client.get(mail.link.strip_prefix(server.url()).unwrap()).expect(200);
    crate::client::redeem(&client, &device_code).expect_error(400, "EXPIRED_TOKEN");
    let entered = client.with("Cookie", &format!("console={device_code}")).get("/console/sign-in");
    assert_eq!(entered.headers["location"], "/console");
}

#[test]
fn guesses_at_the_code_of_the_console_are_counted() {
    let server = service();
    let client = Client::of(&server);
    let page = client.get("/console/sign-in");
    let cookie = page.headers["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let asked = post(
        &client.with("Cookie", &cookie),
        "/console/sign-in",
        &format!("email={ADA}&token={}", token(&page)),
    );
    let cookie =
        asked.headers["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let visitor = client.with("Cookie", &cookie);
    let token = token(&visitor.get("/console/sign-in"));
    for _ in 0..5 {
        let wrong = post(&visitor, "/console/sign-in/code", &format!("code=none&token={token}"));
        assert_eq!(wrong.status, 422);
    }
    let right = format!("code={}&token={token}", server.inbox()[0].code);
    let refused = post(&visitor, "/console/sign-in/code", &right);
    assert!(
        refused.status == 422 && refused.text.contains("too many wrong codes"),
        "{}",
        refused.text
    );
}

#[test]
fn pages_load_nothing_of_others_and_one_alone_has_a_script() {
    let server = service();
    let (ada, token) = signed_in(&server, ADA);
    let project = format!("/console/projects/{}", project(&server, ADA));
    let made = post(
        &ada,
        &format!("{project}/keys"),
        &format!("name=ci&expires=never&baseline=read&token={token}"),
    );
    let created = made.headers["location"].to_str().unwrap().to_owned();
    let others = [
        "/console".to_owned(),
        format!("{project}/keys"),
        format!("{project}/audit"),
        "/console/none".to_owned(),
    ];
    for path in others.iter().chain([&created]) {
        let page = ada.get(path);
        let policy = page.headers["content-security-policy"].to_str().unwrap();
        for rule in [
            "default-src 'none'",
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        ] {
            assert!(policy.contains(rule), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(policy.contains("script-src 'self'"), *path == created, "{path}");
        let told = |name: &str| page.headers[name].to_str().unwrap().to_owned();
        assert_eq!(told("referrer-policy"), "no-referrer");
        assert_eq!(told("x-content-type-options"), "nosniff");
        assert_eq!(told("cache-control"), "no-store", "a key is not cached");
        assert_eq!(told("cross-origin-opener-policy"), "same-origin");
    }
}
