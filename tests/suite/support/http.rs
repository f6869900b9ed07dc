//! Just enough HTTP to be another program at the account service: one request a connection, in the clear.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use account_server::Server;
use serde_json::{Value, json};

/// Opens a page, as the link in a mail does; the status.
pub(crate) fn open(url: &str) -> u16 {
    let (host, path) = url
        .strip_prefix("http://")
        .and_then(|rest| rest.split_once('/'))
        .expect("a URL with a path");
    exchange(host, &format!("GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")).0
}

/// Sends a JSON body; the status and the answer.
pub(crate) fn post(server: &Server, path: &str, body: &Value) -> (u16, Value) {
    send(server, path, "", body)
}

/// The same with a Bearer token.
pub(crate) fn post_as(server: &Server, path: &str, token: &str, body: &Value) -> (u16, Value) {
    send(server, path, &format!("Authorization: Bearer {token}\r\n"), body)
}

fn send(server: &Server, path: &str, header: &str, body: &Value) -> (u16, Value) {
    let host = server.url().strip_prefix("http://").expect("the scheme of a test");
    let body = body.to_string();
    let (status, answer) = exchange(
        host,
        &format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: application/json\r\n{header}\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        ),
    );
    (status, serde_json::from_str(&answer).unwrap_or(Value::Null))
}

/// Redeems a refresh token as another program would; the service's answer.
pub(crate) fn redeem(server: &Server, refresh_token: &str) -> (u16, Value) {
    post(server, "/v1/auth/refresh", &json!({ "refresh_token": refresh_token }))
}

/// Whether the service at this URL takes the token.
pub(crate) fn is_accepted(url: &str, token: &str) -> bool {
    let host = url.strip_prefix("http://").expect("the scheme of a test");
    let head =
        format!("Host: {host}\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n");
    exchange(host, &format!("GET /v1/me HTTP/1.1\r\n{head}")).0 == 200
}

fn exchange(host: &str, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(host).expect("the service listens");
    stream.write_all(request.as_bytes()).expect("the request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the answer");
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
    (status, body)
}
