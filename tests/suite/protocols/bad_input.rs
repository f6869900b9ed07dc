//! Requests that nobody should send: one clear error each, the documented exit status, nothing changed on disk, and
//! nothing of a secret repeated.

use account_server::Fault;
use serde_json::{Value, json};

use crate::support::{Home, Outcome, service};

const READERS: [&str; 3] = ["get", "store", "erase"];

/// What must not come back from wherever it was put.
const SECRET: &str = "hunter2-is-secret";

/// Inputs that no verb takes, each with words that its error says.
fn bad() -> Vec<(Vec<u8>, &'static str)> {
    let url = "https://git.example.com";
    let with = |name: &str, value: Value| {
        let mut body = json!({ "url": url, "secret": SECRET });
        body[name] = value;
        body.to_string().into_bytes()
    };
    let nested =
        |open: &str, close: &str| format!("{}{}", open.repeat(10_000), close.repeat(10_000));
    let mut bad = vec![
        (SECRET.into(), "not a JSON object"),
        (format!("[\"{SECRET}\"]").into(), "not a JSON object"),
        (format!("\"{SECRET}\"").into(), "not a JSON object"),
        (b"42".to_vec(), "not a JSON object"),
        (b"null".to_vec(), "not a JSON object"),
        (b"\xef\xbb\xbf{}".to_vec(), "not a JSON object"),
        (nested("[", "]").into(), "not a JSON object"),
        (format!("{{\"secret\":\"{SECRET}\"").into(), "ends unexpectedly"),
        (format!("{{\"secret\":\"{SECRET}").into(), "ends unexpectedly"),
        (format!("{{\"secret\":\"{SECRET}\",}}").into(), "is not JSON"),
        (format!("{{'secret':'{SECRET}'}}").into(), "is not JSON"),
        (format!("{{{SECRET}}}").into(), "is not JSON"),
        (format!("{{\"url\":\"{url}\",\"version\":{}}}", nested("[", "]")).into(), "is not JSON"),
        (
            format!("{{\"url\":\"{url}\",\"secret\":{}}}", nested("{\"a\":", "}")).into(),
            "the request ",
        ),
        (b"{\"url\":\"https://git.example.com\",\"secret\":\"\xff\xfe\"}".to_vec(), "is not JSON"),
        (b"{\"url\":\"https://git.example.com\",\"secret\":\"\\ud800\"}".to_vec(), "is not JSON"),
        (
            format!("{{\"url\":\"{url}\",\"url\":\"{url}\",\"secret\":\"{SECRET}\"}}").into(),
            "wrong type",
        ),
        (with("x", "y".repeat(64 * 1024).into()), "larger than 64 KiB"),
        (vec![b' '; 64 * 1024 + 1], "larger than 64 KiB"),
        (with("version", json!(2)), "supports only version 1"),
        (with("version", json!(0)), "supports only version 1"),
        (with("version", json!("1")), "supports only version 1"),
        (with("version", json!(1.5)), "supports only version 1"),
        (with("version", json!({ "a": SECRET })), "supports only version 1"),
        (with("username", json!("a\nb")), "`username` contains a control character"),
        (with("username", json!("a\u{0}b")), "`username` contains a control character"),
        (with("provider", json!("my\u{1b}[2Jcli")), "`provider` contains a control character"),
        (with("provider", json!("unknown")), "unknown provider"),
    ];
    for name in ["url", "provider", "username", "secret", "refresh_token", "expires_at"] {
        for value in [json!(7), json!([SECRET]), json!({ "a": SECRET }), json!(true)] {
            bad.push((with(name, value), "wrong type"));
        }
    }
    for value in [json!(-1), json!(1.5), json!("60"), json!(1e30)] {
        bad.push((with("min_validity_seconds", value), "wrong type"));
    }
    for url in [
        format!("https://user:{SECRET}@git.example.com/"),
        format!("https://{SECRET}@git.example.com/"),
        format!("ssh://git:{SECRET}@git.example.com/x"),
        format!("git:{SECRET}@git.example.com:x"),
        format!("https:/user:{SECRET}@git.example.com"),
        format!("git.example.com/x?token={SECRET}"),
        format!("https://git example.com/?token={SECRET}"),
        format!("https://git.example.com\\@user:{SECRET}@x"),
        format!("https://user:{SECRET}\n@git.example.com/"),
        "https://git.example.com/\r\nHost: x".to_owned(),
        "https://git.exa\u{0}mple.com/".to_owned(),
        "https://".to_owned(),
        String::new(),
    ] {
        bad.push((with("url", url.into()), ""));
    }
    bad
}

/// The outcome of a request that is to be refused with this status and code.
fn check_rejected(home: &Home, arguments: &[&str], input: &[u8], code: &str) -> Outcome {
    let what =
        || format!("{arguments:?} {}", String::from_utf8_lossy(&input[..input.len().min(100)]));
    let before = home.snapshot();
    let outcome = home.run_with(arguments, input);
    assert_eq!(outcome.status, 2, "{}: {outcome:?}", what());
    let answer = outcome.json();
    assert_eq!(answer["error"]["code"], code, "{}: {outcome:?}", what());
    assert_eq!(outcome.output.lines().count(), 1, "one line: {outcome:?}");
    assert!(
        outcome.messages.starts_with("error: ") && outcome.messages.matches("error: ").count() == 1,
        "{outcome:?}"
    );
    let shown = |text: &str| text.chars().any(|c| c.is_control() && c != '\n');
    assert!(
        !shown(&outcome.output) && !shown(&outcome.messages),
        "nothing steers the terminal: {outcome:?}"
    );
    assert!(outcome.messages.len() < 1000, "{}: as long as somebody reads", what());
    for text in [&outcome.output, &outcome.messages] {
        assert!(!text.contains("hunter2"), "{}: a secret is not repeated: {outcome:?}", what());
    }
    assert_eq!(home.snapshot(), before, "{}: nothing is changed", what());
    outcome
}

#[test]
fn invalid_requests_are_one_clear_error() {
    let server = service();
    let (home, _) = Home::logged_in(&server);
    for (input, words) in bad() {
        let code = if words == "supports only version 1" {
            "unsupported_version"
        } else {
            "invalid_request"
        };
        for verb in READERS {
            let outcome = check_rejected(&home, &[verb], &input, code);
            assert!(outcome.messages.contains(words), "{verb}: {words}: {outcome:?}");
        }
    }
    assert_eq!(server.requests().len(), 0, "no request reaches the service");
}

#[test]
fn missing_fields_of_store_are_reported() {
    let home = Home::new();
    let url = "https://git.example.com";
    for (body, words) in [
        (json!({}), "`store` needs a `url` or a `provider`"),
        (json!({ "secret": SECRET }), "`store` needs a `url` or a `provider`"),
        (json!({ "url": url }), "`store` needs a `secret`"),
        (json!({ "url": url, "secret": "a\nb" }), "`secret` contains a control character"),
        (
            json!({ "url": url, "secret": SECRET, "refresh_token": "a\u{7f}" }),
            "`refresh_token` contains a control",
        ),
        (
            json!({ "url": url, "secret": SECRET, "expires_at": "tomorrow" }),
            "`expires_at` is not an RFC 3339 time",
        ),
    ] {
        let outcome =
            check_rejected(&home, &["store"], body.to_string().as_bytes(), "invalid_request");
        assert!(outcome.messages.contains(words), "{words}: {outcome:?}");
    }
    let outcome = check_rejected(&home, &["erase"], b"", "invalid_request");
    assert!(outcome.messages.contains("`erase` needs a `url` or a `provider`"), "{outcome:?}");
    check_rejected(&home, &["store"], b"", "invalid_request");
}

#[test]
fn unknown_arguments_are_one_clear_error() {
    let home = Home::new();
    let url = format!("https://user:{SECRET}@git.example.com");
    for arguments in [
        vec!["get", "--format"],
        vec!["get", "--format", "yaml"],
        vec!["get", "--formt", "raw"],
        vec!["get", "--url"],
        vec!["get", "--url", "not-a-url"],
        vec!["get", "--url", &url],
        vec!["get", "--provider", "nobody"],
        vec!["get", "more"],
        vec!["store", "--secret"],
        vec!["erase", "--all"],
        vec!["list", "more"],
        vec!["list", "--format", "json"],
        vec!["capabilities", "--x"],
    ] {
        check_rejected(&home, &arguments, b"", "invalid_request");
    }
}

#[test]
fn a_secret_that_is_typed_as_an_argument_is_not_repeated() {
    const TYPED: &str = "Hunter2-in-the-wrong-place";
    let home = Home::new();
    let forms =
        [TYPED.to_owned(), format!("--secret={TYPED}"), format!("--{TYPED}"), format!("-{TYPED}")];
    let commands = [
        "",
        "login",
        "login --code",
        "login --store",
        "logout",
        "status",
        "whoami",
        "account",
        "account list",
        "token create",
        "token list",
        "session",
        "config",
        "config get",
        "exec",
        "export",
        "export --format",
        "get",
        "get --format",
        "store",
        "erase",
        "list",
        "capabilities",
        "setup",
        "doctor",
        "errors",
        "completions",
        "man --x",
        "git",
        "git get",
        "docker",
        "docker get",
        "bazel",
        "bazel get",
        "cargo",
        "cargo --cargo-plugin",
        "kubectl",
        "terraform",
        "terraform get x.dev",
        "goauth",
        "pnpm",
        "keyring",
        "keyring get",
        "keyring get a b",
    ];
    for command in commands {
        for form in &forms {
            let arguments: Vec<_> = command.split_whitespace().chain([form.as_str()]).collect();
            let outcome = home.run_with(&arguments, b"");
            let shown = format!("{}{}", outcome.output, outcome.messages);
            assert!(!shown.contains(TYPED), "{arguments:?}: {shown}");
        }
    }
}

#[test]
fn list_and_capabilities_read_no_input() {
    let home = Home::new();
    let before = home.snapshot();
    for (input, _) in bad() {
        for verb in ["list", "capabilities"] {
            let outcome = home.run_with(&[verb], &input);
            assert_eq!((outcome.status, outcome.messages.as_str()), (0, ""), "{verb}: {outcome:?}");
            assert_eq!(outcome.json()["version"], 1);
        }
    }
    assert_eq!(home.snapshot(), before);
}

#[test]
fn unknown_fields_and_trailing_input_are_ignored() {
    let server = service();
    let (home, session) = Home::logged_in(&server);
    let deep = format!(r#"{{"unknown":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
    for input in [
        "",
        " \n\t",
        "{}",
        "{}\n{\"version\":2}",
        "{} and so on",
        r#"{"version":null}"#,
        r#"{"version":1,"unknown":{"a":[1,2,{}]}}"#,
        r#"{"url":null,"username":null,"secret":null,"min_validity_seconds":null}"#,
        r#"{"min_validity_seconds":18446744073709551615}"#,
        &deep,
    ] {
        let outcome = home.run_with(&["get"], input);
        assert_eq!(
            (outcome.status, &outcome.json()["secret"]),
            (0, &json!(session.access_token)),
            "{outcome:?}"
        );
    }
}

#[test]
fn the_end_of_the_object_is_the_end_of_the_request() {
    let server = service();
    let (home, _) = Home::logged_in(&server);
    let mut child = home.start(&["get"]);
    let mut stdin = child.stdin.take().unwrap();
    std::io::Write::write_all(&mut stdin, b"{\"version\":1}").unwrap();
    // Nobody closes the input.
    assert_eq!(child.wait().unwrap().code(), Some(0));
    drop(stdin);
}

#[test]
fn errors_of_git_do_not_repeat_the_input() {
    let home = Home::new();
    let before = home.snapshot();
    for input in [
        format!("protocol=https\nhost=user:{SECRET}@git.example.com\n\n"),
        format!("url=https://user:{SECRET}@git.example.com/\nurl=ssh://git:{SECRET}@x\n\n"),
        format!("protocol=https\nhost=git.example.com\npassword={SECRET}\rx\n\n"),
        format!("{SECRET}\n\n"),
        format!("protocol=https\nhost=git example.com\npassword={SECRET}\nusername=a\n\n"),
    ] {
        for operation in ["get", "store", "erase"] {
            let outcome = home.run_with(&["git", operation], &input);
            assert!((0..=4).contains(&outcome.status), "{outcome:?}");
            assert!(
                !outcome.messages.contains("hunter2") && !outcome.output.contains("hunter2"),
                "{outcome:?}"
            );
        }
    }
    assert_eq!(home.snapshot(), before);
}

#[test]
fn an_invalid_setting_in_the_environment_is_not_repeated() {
    let server = service();
    for (name, value) in [
        ("MY_API_TOKEN", format!("{SECRET}\n{SECRET}")),
        ("MY_API_URL", format!("http://user:{SECRET}@api.example.com")),
        ("MY_API_URL", format!("http://api.example.com/?{SECRET}")),
        ("MY_API_URL", format!("{SECRET}@api.example.com")),
        ("MY_PROVIDER", "no\u{1b}[2Jbody".to_owned()),
    ] {
        let (mut home, _) = Home::logged_in(&server);
        home.set(name, &value);
        for verb in ["get", "whoami", "status"] {
            let outcome = home.run(&[verb]);
            assert!((0..=4).contains(&outcome.status), "{verb} {name}: {outcome:?}");
            for text in [&outcome.output, &outcome.messages] {
                assert!(
                    !text.contains("hunter2") && !text.contains('\u{1b}'),
                    "{verb} {name}: {outcome:?}"
                );
            }
        }
    }
}

#[test]
fn a_failure_prints_nothing_where_a_script_expects_the_token() {
    let home = Home::new();
    for arguments in [
        &["--format", "raw"][..],
        &["--format=raw", "--bogus"],
        &["--bogus", "--format=raw"],
        &["--url", "not a URL", "--format", "header"],
        &["--format", "raw", "--url"],
        &["--format=raw", "--provider", "nobody"],
    ] {
        let outcome = home.run(&[&["get"], arguments].concat());
        assert_ne!(outcome.status, 0, "{arguments:?}");
        assert_eq!(outcome.output, "", "{arguments:?}");
        assert!(outcome.messages.starts_with("error: "), "{arguments:?}: {outcome:?}");
    }
    let outcome = home.run(&["get", "--bogus"]);
    assert_eq!(outcome.json()["error"]["code"], "invalid_request", "{outcome:?}");
}

/// A path is in the encoding of the server, and git passes on what it does not use itself.
#[test]
fn git_paths_and_unused_values_have_any_encoding() {
    let mut home = Home::new();
    home.set("MY_NO_KEYRING", "1");
    let request = |path: &[u8], rest: &[u8]| {
        [b"protocol=https\nhost=h.dev\npath=", path, b"\nstate[]=\xff\n\xfe=x\n", rest, b"\n"]
            .concat()
    };
    let latin1 = b"caf\xe9/a.git";
    let stored = home.run_with(&["git", "store"], request(latin1, b"username=u\npassword=s\n"));
    assert_eq!((stored.status, &*stored.messages), (0, ""));
    for (path, expected) in
        [(&latin1[..], "username=u\npassword=s\n"), ("café/a.git".as_bytes(), "")]
    {
        let found = home.run_with(&["git", "get"], request(path, b""));
        assert_eq!((found.status, &*found.output), (0, expected), "{path:?}: {found:?}");
    }
    let found = home.run_with(&["git", "get"], "url=https://h.dev/caf%e9/a.git\n\n");
    assert_eq!(found.output, "username=u\npassword=s\n", "{found:?}");
    // What another helper returned before, and what a later git may send.
    for unused in [
        &b"password=\xff"[..],
        b"credential=\xff",
        b"authtype=\xff",
        b"oauth_refresh_token=\xff",
        b"password_expiry_utc=\xff",
        b"capability[]=\xff",
        b"wwwauth[]=Basic realm=\"\xff\"",
        b"ephemeral=\xff",
    ] {
        let found = home.run_with(&["git", "get"], request(latin1, &[unused, b"\n"].concat()));
        assert_eq!(found.output, "username=u\npassword=s\n", "{unused:?}: {found:?}");
    }
    for (operation, used) in [
        ("get", &b"username=\xff\n\n"[..]),
        ("get", b"url=\xff\n\n"),
        ("store", b"password=\xff\n\n"),
        ("erase", b"password=\xff\n\n"),
    ] {
        let rejected = home.run_with(&["git", operation], used);
        assert_eq!(rejected.messages, "error: a line is not UTF-8\n", "{used:?}");
    }
}

/// A line break would end a line of another protocol. The credential that was stored before stays.
#[test]
fn a_secret_that_a_tool_cannot_carry_is_refused() {
    let registry = json!({ "index-url": "sparse+https://h.dev/" });
    let cargo = |kind: &str, token: &str| {
        let request = json!({ "v": 1, "kind": kind, "registry": registry, "token": token });
        (vec!["cargo", "--cargo-plugin"], format!("{request}\n"))
    };
    let target = "protocol=https\nhost=h.dev\n";
    let store = |tool: &str, secret: &str| match tool {
        "json" => {
            let body = json!({ "url": "https://h.dev", "username": "u", "secret": secret });
            (vec!["store"], body.to_string())
        }
        "git" => (vec!["git", "store"], format!("{target}username=u\npassword={secret}\n\n")),
        "keyring" => (vec!["keyring", "set", "h.dev", "u"], secret.to_owned()),
        "terraform" => {
            (vec!["terraform", "store", "h.dev"], json!({ "token": secret }).to_string())
        }
        "docker" => {
            let body = json!({ "ServerURL": "h.dev", "Username": "u", "Secret": secret });
            (vec!["docker", "store"], body.to_string())
        }
        _ => cargo("login", secret),
    };
    let get = |tool: &str| match tool {
        "json" => (vec!["get", "--url", "https://h.dev"], String::new()),
        "git" => (vec!["git", "get"], format!("{target}\n")),
        "keyring" => (vec!["keyring", "get", "h.dev", "u"], String::new()),
        "terraform" => (vec!["terraform", "get", "h.dev"], String::new()),
        "docker" => (vec!["docker", "get"], "h.dev".to_owned()),
        _ => cargo("get", ""),
    };
    for tool in ["json", "git", "keyring", "terraform", "cargo", "docker"] {
        let home = Home::new();
        let run = |(arguments, input): (Vec<&str>, String)| home.run_with(&arguments, input);
        let first = match tool {
            "git" => run((vec!["git", "store"], format!("{target}username=u\npassword=old\n\n"))),
            _ => run(store(tool, "old")),
        };
        assert_eq!(first.status, 0, "{tool}: {first:?}");
        let bytes = ["a\nb", "a\rb", "a\0b", "{\n\t\"k\": 1\r\n}"];
        for secret in bytes.iter().filter(|secret| tool != "docker" || secret.contains('\0')) {
            let refused = run(store(tool, secret));
            let said = format!("{}{}", refused.output, refused.messages);
            assert!(refused.status != 0 || said.contains("\"Err\""), "{tool} {secret:?}: {said}");
            assert!(!said.contains("a\nb") && !said.contains("\"k\""), "{tool}: {said}");
            let found = run(get(tool));
            assert!(found.output.contains("old"), "{tool} {secret:?}: {found:?}");
        }
    }
}

/// A key file may have any layout. Only NUL ends a text in the programs that read it.
#[test]
fn docker_gets_back_every_character_of_a_secret() {
    let home = Home::new();
    for secret in
        ["a\nb\n", "a\r\nb", "\ta", "\u{1b}[2J", "\u{7f}\u{9b}\u{85}", "\u{feff}x", " ", ""]
    {
        let body = json!({ "ServerURL": "h.dev", "Username": "_json_key", "Secret": secret });
        let stored = home.run_with(&["docker", "store"], body.to_string());
        assert_eq!((stored.status, &*stored.output), (0, ""), "{secret:?}: {stored:?}");
        let found = home.run_with(&["docker", "get"], "h.dev");
        assert_eq!(found.json()["Secret"], secret);
        assert_eq!(home.run(&["docker", "list"]).json(), json!({ "h.dev": "_json_key" }));
    }
    // No other tool reads it.
    for (tool, input) in
        [("git", "protocol=https\nhost=h.dev\n\n"), ("bazel", "{\"uri\":\"https://h.dev\"}")]
    {
        assert!(!home.run_with(&[tool, "get"], input).output.contains("_json_key"), "{tool}");
    }
}

/// A file of a repository may set the variables that name the files.
#[test]
fn control_characters_of_a_path_are_escaped() {
    const FOLDER: &str = "h\u{1b}[2J\u{202e}";
    let mut home = Home::new();
    home.write(&format!("{FOLDER}/.config/my-credential-helper/config.toml"), "x");
    home.write(&format!("{FOLDER}/.my/config.json"), "");
    let folder = home.path().join(FOLDER);
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    let widen = || std::fs::set_permissions(folder.join(".my"), Clone::clone(&mode)).unwrap();
    home.set("HOME", &folder);
    let server = "h.dev";
    for (arguments, input) in [
        (&["status"][..], ""),
        (&["get"], ""),
        (&["git", "get"], "protocol=https\nhost=h.dev\n\n"),
        (&["docker", "get"], server),
        (&["exec", "--", "true"], ""),
        (&["setup", "pip", "--dry-run"], ""),
    ] {
        widen();
        let outcome = home.run_with(arguments, input);
        assert!(
            outcome.messages.contains("h\\u{1b}[2J\\u{202e}/.my"),
            "{arguments:?}: {outcome:?}"
        );
        // JSON has escapes of its own.
        let is_json = outcome.output.starts_with('{');
        for text in [&outcome.messages, &outcome.output].iter().take(2 - usize::from(is_json)) {
            assert!(!text.contains(['\u{1b}', '\u{202e}']), "{arguments:?}: {outcome:?}");
        }
    }
    home.set("MY_API_TOKEN", "myc_1");
    std::fs::remove_dir_all(folder.join(".config")).unwrap();
    home.set("SSL_CERT_FILE", "/x\u{1b}[2J");
    home.set("GITHUB_ENV", "/x\u{1b}[2J/env");
    for arguments in [&["whoami"][..], &["export", "--format", "github-actions"]] {
        let outcome = home.run(arguments);
        assert!(outcome.messages.contains("/x\\u{1b}[2J"), "{outcome:?}");
    }
}

/// A line break in it could begin a line that this program seems to print.
#[test]
fn texts_of_a_service_are_escaped() {
    let server = service();
    let (home, _) = Home::logged_in(&server);
    let answer = |status, body: Value| {
        let fault = Fault::Answer { status, body: body.to_string(), headers: [].into() };
        server.fault("/v1/me", 1, fault);
    };
    let message = "no\nhint: run evil\u{1b}[2J\u{9b}\u{202e}";
    for options in [&[][..], &["--json"]] {
        answer(400, json!({ "error": { "code": "INVALID_REQUEST", "message": message } }));
        let outcome = home.run(&[options, &["whoami"]].concat());
        let shown = "no\\nhint: run evil\\u{1b}[2J\\u{9b}\\u{202e}";
        assert!(outcome.messages.contains(shown), "{outcome:?}");
        assert!(!outcome.output.contains(['\u{1b}', '\u{9b}', '\u{202e}']), "{outcome:?}");
    }
    answer(200, json!({ "id": "1", "email": "me\u{202e}@acme.dev" }));
    let outcome = home.run(&["--json", "whoami"]);
    assert!(outcome.output.contains(r#""me\u202e@acme.dev""#), "{outcome:?}");
}
