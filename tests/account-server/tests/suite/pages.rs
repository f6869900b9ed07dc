//! The pages: the one behind the magic link, and the inbox.

use std::time::Duration;

use account_server::{Server, Settings};
use serde_json::json;
use ureq::http::Method;

use crate::client::{Client, Reply, redeem, service, start, start_login};

fn link(server: &Server) -> String {
    let link = server.inbox().remove(0).link;
    link.strip_prefix(server.url()).expect("a link to the service").to_owned()
}

#[track_caller]
fn assert_page(page: &Reply, status: u16, said: &str) {
    assert_eq!(page.status, status, "{}", page.text);
    assert!(page.headers["content-type"].to_str().unwrap().starts_with("text/html"));
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'"), "a page loads what it names alone");
    assert!(!policy.contains("unsafe") && !policy.contains("script"));
    assert_eq!(page.headers["referrer-policy"], "no-referrer");
    assert_eq!(page.headers["cache-control"], "no-store");
    assert!(page.text.contains("<html lang=\"en\">"), "a screen reader knows the language");
    assert!(page.text.contains(&format!("<h1>{said}</h1>")), "{}", page.text);
}

#[test]
fn a_magic_link_confirms_once() {
    let server = service();
    let client = Client::of(&server);
    let device_code = start_login(&client, "ada@example.com");
    let link = link(&server);
    let page = client.get(&link);
    assert_page(&page, 200, "Login confirmed");
    assert!(page.text.contains("ada@example.com"));
    redeem(&client, &device_code).expect(200);
    assert_page(&client.get(&link), 400, "Link already used");
}

#[test]
fn a_stale_or_unknown_link_is_a_page_too() {
    let server = service();
    let client = Client::of(&server);
    let device_code = start_login(&client, "ada@example.com");
    let link = link(&server);
    server.advance(Duration::from_secs(900));
    assert_page(&client.get(&link), 400, "Link expired");
    redeem(&client, &device_code).expect_error(400, "EXPIRED_TOKEN");
    for query in ["", "?token=", "?token=%3Cscript%3E", "?token=%ff"] {
        let page = client.get(&format!("/v1/auth/verify{query}"));
        assert_page(&page, 400, "Link expired");
        assert!(!page.text.contains("<script>"));
    }
}

#[test]
fn looking_at_a_link_with_head_does_not_use_it_up() {
    let server = service();
    let client = Client::of(&server);
    start_login(&client, "ada@example.com");
    let link = link(&server);
    assert_eq!(client.empty(Method::HEAD, &link).status, 405);
    assert_page(&client.get(&link), 200, "Login confirmed");
}

#[test]
fn what_a_page_echoes_is_escaped() {
    let server = service();
    let client = Client::of(&server);
    let email = "\"<b>\"@example.com";
    let started = client.post("/v1/auth/device/start", &json!({"email": email}));
    started.expect(200);
    let inbox = client.get("/inbox");
    assert_page(&inbox, 200, "Inbox");
    let verified = client.get(&link(&server));
    for page in [inbox, verified] {
        assert!(!page.text.contains("<b>"), "an address is text");
    }
}

#[test]
fn the_inbox_shows_the_newest_mail_first() {
    let server = service();
    let client = Client::of(&server);
    assert_eq!(client.get("/inbox.json").expect(200), json!({"mails": []}));
    start_login(&client, "ada@example.com");
    start_login(&client, "eve@example.com");
    let inbox = client.get("/inbox.json").expect_fields(200, &["mails"]);
    let [first, second] = [&inbox["mails"][0], &inbox["mails"][1]];
    crate::client::assert_fields(first, &["to", "subject", "link", "code", "text", "sent_at"]);
    assert_eq!(
        (&first["to"], &second["to"]),
        (&json!("eve@example.com"), &json!("ada@example.com"))
    );
    let code = first["code"].as_str().unwrap();
    assert!(code.len() == 6 && code.bytes().all(|byte| byte.is_ascii_digit()));
    let text = first["text"].as_str().unwrap();
    assert!(text.contains(code) && text.contains(first["link"].as_str().unwrap()));
    let page = client.get("/inbox");
    assert!(page.text.contains(code) && page.text.contains("ada@example.com"));
}

#[test]
fn links_begin_with_the_public_url() {
    let server = start(Settings {
        public_url: Some("https://accounts.example.com/".into()),
        ..Settings::default()
    });
    start_login(&Client::of(&server), "ada@example.com");
    let link = server.inbox().remove(0).link;
    assert!(link.starts_with("https://accounts.example.com/v1/auth/verify?token="), "{link}");
}

#[test]
fn pages_have_their_style() {
    let style = Client::of(&service()).get("/style.css");
    assert_eq!(style.status, 200);
    assert_eq!(style.headers["content-type"], "text/css; charset=utf-8");
}
