//! The pages of this machine that the login in the browser uses: which request ends the login, and which does not.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use url::Url;

use crate::support::oidc::SESSION;
use crate::support::scripted::Scripted;
use crate::support::{HELPER, Home, has_client};

/// A browser that records the page that it is told to open.
const BROWSER: &str =
    "printf %s \"$1\" >\"$HOME/opened.new\" && mv \"$HOME/opened.new\" \"$HOME/opened\"";

fn service() -> Scripted {
    Scripted::start(|_, request| {
        let body = match request.path.as_str() {
            "/token" => r#"{"access_token":"a","token_type":"Bearer"}"#,
            _ => "{}",
        };
        (200, String::new(), body.to_owned())
    })
}

fn home(service: &Scripted, browser: &str, more: &str) -> Home {
    let mut home = Home::new();
    let url = &service.url;
    let text = format!(
        "provider = 'acme'\n[providers.acme]\nkind = 'oauth'\nclient_id = 'me'\n\
         authorization_endpoint = '{url}/page'\ntoken_endpoint = '{url}/token'\n{more}"
    );
    home.write(".config/my-credential-helper/config.toml", &text);
    let script = home.write("browser", &format!("#!/bin/sh\n{browser}\n"));
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o700)).unwrap();
    home.set("BROWSER", script);
    home
}

/// The page that the browser was told to open.
fn opened(home: &Home) -> String {
    let start = Instant::now();
    loop {
        if let Some(page) = home.read("opened") {
            return page;
        }
        assert!(start.elapsed() < Duration::from_secs(9), "no page is opened");
        std::thread::sleep(Duration::from_millis(5));
    }
}

struct Login {
    service: Scripted,
    home: Home,
    child: Child,
    messages: BufReader<ChildStderr>,
    /// The page of the service, as it is printed.
    page: Url,
}

impl Login {
    fn start() -> Self {
        let service = service();
        let home = home(&service, BROWSER, "");
        let mut command = home.command(HELPER);
        command.args(["login", "--browser"]).stdin(Stdio::null());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut messages = BufReader::new(child.stderr.take().unwrap());
        let mut lines = [String::new(), String::new()];
        for line in &mut lines {
            messages.read_line(line).unwrap();
        }
        assert_eq!(lines[0], "Opening the browser. If it does not open, go to\n");
        let page = Url::parse(lines[1].trim()).unwrap();
        Self { service, home, child, messages, page }
    }

    fn parameter(&self, name: &str) -> String {
        self.page.query_pairs().find(|(found, _)| found == name).unwrap().1.into_owned()
    }

    fn port(&self) -> u16 {
        Url::parse(&self.parameter("redirect_uri")).unwrap().port().unwrap()
    }

    /// The page that the browser was told to open.
    fn opened(&self) -> Url {
        Url::parse(&opened(&self.home)).unwrap()
    }

    fn callback(&self) -> String {
        format!("/callback?code=c&state={}", self.parameter("state"))
    }

    fn get(&self, target: &str) -> String {
        let port = self.port();
        self.send(format!("GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n").as_bytes())
    }

    /// The response to these bytes.
    fn send(&self, request: &[u8]) -> String {
        let mut connection = TcpStream::connect(("127.0.0.1", self.port())).unwrap();
        // The connection may be closed before the end of a request that is too large.
        let _ = connection.write_all(request);
        let mut response = String::new();
        let _ = connection.read_to_string(&mut response);
        response
    }

    fn token_requests(&self) -> usize {
        self.service.requests().iter().filter(|request| request.path == "/token").count()
    }

    /// Everything that is printed until the end, and whether the login succeeded.
    fn finish(mut self) -> (String, bool) {
        let mut messages = String::new();
        self.messages.read_to_string(&mut messages).unwrap();
        let is_logged_in = self.child.wait().unwrap().success();
        assert_eq!(self.home.read(SESSION).is_some(), is_logged_in);
        (messages, is_logged_in)
    }
}

/// A test that fails leaves no login behind, which would wait for 10 minutes.
impl Drop for Login {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn status(response: &str) -> &str {
    response.split(' ').nth(1).unwrap_or("closed")
}

#[test]
fn only_the_callback_of_this_login_ends_it() {
    let login = Login::start();
    let (port, good) = (login.port(), login.callback());
    let host = format!("Host: 127.0.0.1:{port}\r\n");
    for (target, expected) in [
        ("/callback?x", "400"),
        ("/callback", "400"),
        ("/callback?code=c", "400"),
        ("/callback?code=c&state=", "400"),
        ("/callback?code=c&state=of-somebody-else", "400"),
        ("/callback?error=access_denied", "400"),
        ("/callback?error=access_denied&state=of-somebody-else", "400"),
        ("/", "404"),
        ("/favicon.ico", "404"),
        (&*good.replace("/callback", "/callback/"), "404"),
        (&good.replace("/callback", "//callback"), "404"),
        (&good.replace("/callback", "/Callback"), "404"),
        (&good.replace("/callback", "http://evil.dev/callback"), "404"),
    ] {
        assert_eq!(status(&login.get(target)), expected, "{target}");
    }
    for (request, expected) in [
        (format!("POST {good} HTTP/1.1\r\n{host}Content-Length: 0\r\n\r\n"), "400"),
        (format!("HEAD {good} HTTP/1.1\r\n{host}\r\n"), "400"),
        (format!("get {good} HTTP/1.1\r\n{host}\r\n"), "400"),
        (format!("GET {good} HTTP/1.1\r\nHost: evil.dev:{port}\r\n\r\n"), "400"),
        (format!("GET {good} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"), "400"),
        (format!("GET {good} HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n"), "400"),
        (format!("GET {good} HTTP/1.1\r\n{host}Host: evil.dev\r\n\r\n"), "400"),
        (format!("GET {good} HTTP/1.1\r\n\r\n"), "400"),
        ("\u{16}\u{3}\u{1} TLS\r\n\r\n".to_owned(), "400"),
        (format!("GET {good} HTTP/1.1\r\n{host}X: {}", "x".repeat(70_000)), "400"),
        (format!("GET {good} HTTP/1.1\r\n{host}{}\r\n", "X: x\r\n".repeat(100)), "400"),
        (String::new(), "closed"),
    ] {
        let mut connection = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let _ = connection.write_all(request.as_bytes());
        let _ = connection.shutdown(std::net::Shutdown::Write);
        let mut response = String::new();
        let _ = connection.read_to_string(&mut response);
        let answer = status(&response);
        // A reset may overtake the response to a request that is not read to its end.
        let is_cut = request.len() > 60_000 && answer == "closed";
        assert!(answer == expected || is_cut, "{request:.200}: {response}");
    }
    assert_eq!(login.token_requests(), 0);
    assert!(login.get(&good).contains("Login successful"));
    assert_eq!(login.token_requests(), 1);
    let (messages, is_logged_in) = login.finish();
    assert!(is_logged_in && messages.is_empty(), "{messages}");
}

#[test]
fn an_error_with_the_state_of_the_login_ends_it() {
    let login = Login::start();
    let target = login.callback().replace("code=c", "error=access_denied");
    assert_eq!(status(&login.get(&target)), "400");
    let (messages, is_logged_in) = login.finish();
    assert!(!is_logged_in && messages.contains("(access_denied)"), "{messages}");
}

#[test]
fn idle_connections_do_not_delay_the_callback() {
    let login = Login::start();
    let connect = |text: &str| {
        let mut connection = TcpStream::connect(("127.0.0.1", login.port())).unwrap();
        connection.write_all(text.as_bytes()).unwrap();
        connection
    };
    // More than are served at a time.
    let idle: Vec<_> = (0..100).flat_map(|_| ["", "GET /callback?"].map(connect)).collect();
    let start = Instant::now();
    assert!(login.get(&login.callback()).contains("Login successful"));
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    drop(idle);
    assert!(login.finish().1);
}

#[test]
fn the_browser_opens_a_page_that_redirects_once() {
    let login = Login::start();
    let opened = login.opened();
    assert_eq!(opened.origin().ascii_serialization(), format!("http://127.0.0.1:{}", login.port()));
    for secret in ["state", "code_challenge"].map(|name| login.parameter(name)) {
        assert!(!opened.as_str().contains(&secret), "{opened}");
    }
    let head =
        format!("HEAD {} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n\r\n", opened.path(), login.port());
    assert_eq!(status(&login.send(head.as_bytes())), "400", "which does not count");
    let other = format!("{}0", opened.path());
    assert_eq!(status(&login.get(&other)), "404");
    let response = login.get(opened.path());
    assert_eq!(status(&response), "303");
    assert!(response.contains(&format!("\r\nLocation: {}\r\n", login.page)), "{response}");
    let again = login.get(opened.path());
    assert!(status(&again) == "404" && !again.contains(&login.parameter("state")), "{again}");
    login.get(&login.callback());
    assert!(login.finish().1);
}

#[test]
fn another_user_does_not_get_the_page_of_the_login() {
    let login = Login::start();
    let opened = login.opened();
    let (path, port) = (opened.path(), login.port());
    for address in ["127.0.0.1", "::ffff:127.0.0.1"] {
        let script = format!(
            "exec 3<>/dev/tcp/{address}/{port} && printf 'GET {path} HTTP/1.1\\r\\nHost: 127.0.0.1:{port}\\r\\n\\r\\n' >&3 \
             && cat <&3"
        );
        let mut command = Command::new("bash");
        command.args(["-c", &script]).uid(12345).current_dir("/");
        let Ok(output) = command.output() else {
            let _ = std::io::stderr().write_all(b"SKIPPED: only root can become another user\n");
            return;
        };
        let response = String::from_utf8_lossy(&output.stdout);
        assert_eq!(status(&response), "404", "{address}: {output:?}");
    }
    // Every address that begins with 127 is this machine.
    for source in ["127.0.0.2", "127.255.255.254"] {
        assert!(has_client("curl"));
        let mut command = Command::new("curl");
        command.args(["--silent", "--include", "--max-time", "9", "--interface", source]);
        let output = command.arg(opened.as_str()).uid(12345).current_dir("/").output().unwrap();
        let response = String::from_utf8_lossy(&output.stdout);
        assert_eq!(status(&response), "404", "{source}: {output:?}");
    }
    assert_eq!(status(&login.get(path)), "303", "the page is still there for its user");
    login.get(&login.callback());
    assert!(login.finish().1);
}

#[test]
fn a_busy_redirect_port_is_named() {
    let busy = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = busy.local_addr().unwrap().port();
    let service = service();
    let home = home(&service, BROWSER, &format!("redirect_port = {port}\n"));
    let outcome = home.run(&["login", "--browser"]);
    assert_eq!(outcome.status, 3, "{outcome:?}");
    assert!(
        outcome.messages.starts_with(&format!("error: cannot listen on port {port}: ")),
        "{outcome:?}"
    );
    assert!(outcome.messages.contains("`redirect_port`"), "{outcome:?}");
    assert_eq!(home.read("opened"), None);
}

#[test]
fn the_page_is_printed_before_the_browser_starts() {
    let service = service();
    let browser = format!("cp \"$HOME/messages\" \"$HOME/seen\"\n{BROWSER}\nexec sleep 20");
    let home = home(&service, &browser, "");
    let messages = home.write("messages", "");
    let messages = std::fs::OpenOptions::new().append(true).open(messages).unwrap();
    let mut command = home.command(HELPER);
    let login = command.args(["login", "--browser"]).stdin(Stdio::null()).stderr(messages);
    let mut login = login.stdout(Stdio::null()).spawn().unwrap();
    opened(&home);
    let seen = home.read("seen").unwrap();
    let page = Url::parse(seen.lines().nth(1).unwrap()).unwrap();
    let parameter = |name: &str| page.query_pairs().find(|(found, _)| found == name).unwrap().1;
    let callback = format!("{}?code=c&state={}", parameter("redirect_uri"), parameter("state"));
    ureq::get(callback).call().unwrap();
    assert!(login.wait().unwrap().success(), "and its end is not waited for");
}
