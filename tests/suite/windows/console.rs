//! Prompts on the console, and the login in the browser.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::Stdio;

use url::Url;

use super::home;
use crate::support::scripted::Scripted;
use crate::support::terminal::{in_terminal, status_of};
use crate::support::{Home, service};

#[test]
#[ignore = "runs under wine: .ci/platform windows"]
fn a_secret_typed_on_the_console_is_not_echoed() {
    let server = service();
    let home = Home::at(&server);
    let token = server.api_token("me@acme.dev", "console").unwrap().token;
    let mut command = home.helper("my-credential-helper");
    command.args(["login", "--token"]);
    let mut terminal = in_terminal(&home, command);
    terminal.exp_regex("oken[^:]*:").unwrap();
    terminal.send(&token).unwrap();
    terminal.send("\r").unwrap();
    terminal.flush().unwrap();
    let shown = terminal.exp_string("Logged in").unwrap();
    assert!(!shown.contains(&token), "{shown}");
    assert_eq!(status_of(&mut terminal), 0);
    assert_eq!(home.token(), token);
}

#[test]
#[ignore = "runs under wine: .ci/platform windows"]
fn a_login_in_the_browser_ends_at_the_page_of_this_machine() {
    let service = Scripted::start(|_, request| {
        let body = match request.path.as_str() {
            "/token" => r#"{"access_token":"a","token_type":"Bearer"}"#,
            _ => "{}",
        };
        (200, String::new(), body.to_owned())
    });
    let (home, url) = (home(), &service.url);
    home.configure(&format!(
        "provider = 'acme'\n[providers.acme]\nkind = 'oauth'\nclient_id = 'me'\n\
         authorization_endpoint = '{url}/page'\ntoken_endpoint = '{url}/token'\n"
    ));
    let mut command = home.helper("my-credential-helper");
    command.args(["login", "--browser"]).stdin(Stdio::null());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut messages = BufReader::new(child.stderr.take().unwrap());
    let page = loop {
        let mut line = String::new();
        assert_ne!(messages.read_line(&mut line).unwrap(), 0, "no page is printed");
        if let Ok(page) = Url::parse(line.trim()) {
            break page;
        }
    };
    let parameter =
        |name: &str| page.query_pairs().find(|(found, _)| found == name).unwrap().1.into_owned();
    let port = Url::parse(&parameter("redirect_uri")).unwrap().port().unwrap();
    let mut connection = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let state = parameter("state");
    write!(
        connection,
        "GET /callback?code=c&state={state} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n"
    )
    .unwrap();
    let mut response = String::new();
    connection.read_to_string(&mut response).unwrap();
    assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
    let mut rest = String::new();
    messages.read_to_string(&mut rest).unwrap();
    assert!(child.wait().unwrap().success(), "{rest}");
    assert_eq!(home.token(), "a");
}
