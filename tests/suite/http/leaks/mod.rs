//! No secret in output or logs: every command with every kind of secret and verbosity, after success and after every
//! failure of the service. Only standard output of commands that return a secret, and the files that store it, have it.

mod echo;
mod strace;

use account_server::{Fault, Server};
use serde_json::json;

use crate::support::secret_service::SecretService;
use crate::support::stranger::Stranger;
use crate::support::{HELPER, Home, Outcome, finish, has_client, mail_to, service, spawn};

/// A stored password for a host without a provider.
const PASSWORD: &str = "hunter2-the-stored-password";

/// Verbs that may write a secret to standard output. All others must not.
const HANDS_OUT: &[&str] = &[
    "get",
    "git",
    "docker",
    "bazel",
    "cargo",
    "kubectl",
    "terraform",
    "goauth",
    "pnpm",
    "keyring",
    "exec",
    "export",
];

/// The arguments and the input of a call.
const CALLS: &[(&[&str], &str)] = &[
    (&["get"], ""),
    (&["get", "--format", "raw", "--explain"], ""),
    (&["get", "--format", "header", "--url", "https://git.acme.dev/"], ""),
    (&["get", "--url", "https://evil.dev/"], ""),
    (&["get"], r#"{"url":"https://h.dev"}"#),
    (&["list"], ""),
    (&["capabilities"], ""),
    (&["status"], ""),
    (&["status", "--check"], ""),
    (&["whoami"], ""),
    (&["token", "list"], ""),
    (&["token", "revoke", "none-of-that-name", "--force"], ""),
    (&["session", "list"], ""),
    (&["session", "revoke", "--others"], ""),
    (&["project", "list"], ""),
    (&["config", "list"], ""),
    (&["exec", "--", "true"], ""),
    (&["exec", "--", "no-such-program"], ""),
    (&["export", "--format", "sh"], ""),
    (&["export", "--format", "json", "--url", "https://h.dev"], ""),
    (&["export", "--format", "github-actions", "--env", "T"], ""),
    (&["git", "get"], "protocol=https\nhost=git.acme.dev\n\n"),
    (&["git", "get"], "protocol=https\nhost=h.dev\n\n"),
    (&["git", "erase"], "protocol=https\nhost=h.dev\nusername=ada\npassword=hunter2-another\n\n"),
    (
        &["git", "store"],
        "protocol=https\nhost=h.dev\nusername=ada\npassword=hunter2-the-stored-password\n\n",
    ),
    (&["docker", "get"], "https://git.acme.dev"),
    (&["docker", "list"], ""),
    (
        &["docker", "store"],
        r#"{"ServerURL":"https://git.acme.dev","Username":"a","Secret":"hunter2-\u0000"}"#,
    ),
    (&["bazel", "get"], r#"{"uri":"https://git.acme.dev/x"}"#),
    (
        &["cargo", "--cargo-plugin"],
        "{\"v\":1,\"kind\":\"get\",\"registry\":{\"index-url\":\"https://git.acme.dev/\"}}\n",
    ),
    (&["kubectl"], ""),
    (&["terraform", "get", "git.acme.dev"], ""),
    (&["terraform", "store", "h.dev"], r#"{"token":"hunter2-a-token","x":1}"#),
    (&["goauth"], ""),
    (&["pnpm"], ""),
    (&["keyring", "get", "https://git.acme.dev/", "token"], ""),
    (&["keyring", "set", "h.dev", "ada"], "hunter2-\u{7}"),
    (
        &["store"],
        r#"{"url":"https://h.dev","username":"ada","secret":"hunter2-the-stored-password"}"#,
    ),
    (&["store"], r#"{"url":"https://h.dev","username":"ada","secret":"hunter2-"#),
    (&["erase"], r#"{"url":"https://other.dev","secret":"hunter2-another"}"#),
    (&["login"], "myc_hunter2-that-is-no-token"),
    (&["login", "--force"], "myc_0123456789abcdef0123456789abcdef01234567"),
    (&["token", "create", "ci"], ""),
    (&["logout"], ""),
];

/// The paths of the service that a verb may call.
const PATHS: &[&str] = &[
    "/v1/auth/refresh",
    "/v1/me",
    "/v1/tokens",
    "/v1/sessions",
    "/v1/auth/logout",
    "/v1/auth/verify-code",
];

/// Who is logged in, and how.
#[derive(Clone, Copy, Debug)]
enum Role {
    Nobody,
    Fresh,
    Stale,
    Variable,
    ApiToken,
}

/// A home of that role, and the secrets in it.
fn home(role: Role, server: &Server) -> (Home, Vec<String>) {
    let (mut home, session) = match role {
        Role::Fresh => Home::logged_in(server),
        Role::Stale => Home::with_stale_session(server),
        _ => (Home::at(server), server.session("me@acme.dev").unwrap()),
    };
    let token = server.api_token("me@acme.dev", "seeded").unwrap().token;
    match role {
        Role::Variable => home.set("MY_API_TOKEN", &token),
        Role::ApiToken => drop(home.write(
            ".my/credentials.json",
            &json!({ "access_token": token, "refresh_token": "", "expires_at": "9999-12-31T00:00:00Z" }).to_string(),
        )),
        _ => {}
    }
    home.set_hosts(&["git.acme.dev"]);
    let store =
        json!({ "url": "https://h.dev", "username": "ada", "secret": PASSWORD }).to_string();
    assert_eq!(home.run_with(&["store"], store).status, 0);
    home.set("MY_LOG", "debug");
    home.set("GITHUB_ENV", home.path().join("github-env"));
    // Its own directory, which shows leftover files.
    std::fs::create_dir_all(home.path().join("tmp")).unwrap();
    home.set("TMPDIR", home.path().join("tmp"));
    (home, vec![session.access_token, session.refresh_token, token, PASSWORD.to_owned()])
}

/// Every kind of failure of a service; one repeats the request.
fn faults(secrets: &[String]) -> Vec<Option<Fault>> {
    let answer = |status, body: String| Fault::Answer { status, body, headers: [].into() };
    let message = format!("what is {} and {}, {}?", secrets[0], secrets[1], secrets[2]);
    let error = |code: &str| json!({ "error": { "code": code, "message": message } }).to_string();
    vec![
        None,
        Some(answer(400, error("INVALID_REQUEST"))),
        Some(answer(401, error("INVALID_TOKEN"))),
        Some(answer(403, error(&secrets[1]))),
        Some(answer(429, error("RATE_LIMITED"))),
        Some(answer(500, message.clone())),
        Some(answer(302, String::new())),
        Some(Fault::CutBody { cut_body_after: 30 }),
        Some(Fault::CloseAfterCommit { close_after_commit: true }),
        Some(Fault::ReplaceBody {
            replace_body: format!("{{\"access_token\":\"{}\",\"id\":7}}", secrets[0]),
        }),
    ]
}

/// Whether a text contains one of these secrets, or anything in the form of a token.
fn leaks(text: &str, secrets: &[String]) -> Option<String> {
    let known = secrets.iter().find(|secret| text.contains(&**secret)).cloned();
    let mut words =
        text.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')));
    let is_token =
        |word: &&str| word.starts_with("eyJ") || word.starts_with("myc_") && word.len() > 20;
    known
        .or_else(|| words.find(is_token).map(str::to_owned))
        .or_else(|| text.contains("hunter2").then(|| "hunter2".into()))
}

fn check(home: &Home, arguments: &[&str], outcome: &Outcome, secrets: &[String], what: &str) {
    let Outcome { output, messages, status } = outcome;
    let what = format!("{arguments:?} {what}");
    assert_eq!(leaks(messages, secrets), None, "{what}: standard error has a secret: {messages}");
    assert!(!messages.contains("panicked") && (0..=127).contains(status), "{what}: {outcome:?}");
    let may_hand_out =
        HANDS_OUT.contains(&arguments[0]) || arguments.starts_with(&["token", "create"]);
    if !may_hand_out || *status != 0 {
        // Docker reads errors from standard output, and the JSON protocol too.
        assert_eq!(leaks(output, secrets), None, "{what}: standard output has a secret: {output}");
    }
    let may_keep = |path: &str| {
        let ours = [
            "credentials.json",
            "last-refreshed.json",
            "sessions/",
            "logins/",
            "pending-login.json",
        ];
        ours.iter().any(|file| path.starts_with(&format!(".my/{file}"))) || path == "github-env"
    };
    for (path, contents) in home.snapshot() {
        let name = path.strip_prefix(home.path()).unwrap().to_string_lossy().into_owned();
        let text = String::from_utf8_lossy(contents.as_deref().unwrap_or_default()).into_owned();
        assert!(may_keep(&name) || leaks(&text, secrets).is_none(), "{what}: {name} has a secret");
        assert!(!name.starts_with("tmp/"), "{what}: {name} is left behind");
    }
}

#[test]
fn no_command_prints_a_secret() {
    let roles = [Role::Nobody, Role::Fresh, Role::Stale, Role::Variable, Role::ApiToken];
    let turns = roles.into_iter().enumerate();
    let calls: usize = std::thread::scope(|scope| {
        let all: Vec<_> =
            turns.map(|(turn, role)| scope.spawn(move || call_everything(turn, role))).collect();
        all.into_iter().map(|role| role.join().unwrap()).sum()
    });
    assert!(calls > 400, "only {calls} calls");
}

/// Runs every command in one role and returns the number of calls. With `MY_TEST_LEAKS` every failure happens to every
/// call, instead of each to some.
fn call_everything(turn: usize, role: Role) -> usize {
    let (server, is_long) = (service(), std::env::var_os("MY_TEST_LEAKS").is_some());
    let (mut calls, (_, secrets)) = (0, home(role, &server));
    for number in 0..faults(&secrets).len() {
        if number != 0 && !is_long && !(turn + number).is_multiple_of(3) {
            continue;
        }
        let server = service();
        let (home, secrets) = home(role, &server);
        let fault = faults(&secrets).swap_remove(number);
        for (place, (arguments, input)) in CALLS.iter().enumerate() {
            let is_in_turn =
                is_long || sends_a_request(arguments) || (place + number + turn).is_multiple_of(6);
            if fault.is_some() && !is_in_turn {
                continue;
            }
            for (path, fault) in PATHS.iter().filter_map(|path| Some((path, fault.clone()?))) {
                server.fault(path, 2, fault);
            }
            let loudness = [&[][..], &["--quiet"], &["--json"]][(place + number) % 3];
            let takes_none = ["exec", "cargo", "kubectl", "terraform", "goauth", "pnpm", "keyring"];
            let loudness = if takes_none.contains(&arguments[0]) { &[][..] } else { loudness };
            let outcome = home.run_with(&[loudness, arguments].concat(), input);
            check(
                &home,
                arguments,
                &outcome,
                &secrets,
                &format!("{loudness:?} {role:?} {fault:?}"),
            );
            calls += 1;
        }
    }
    calls
}

/// Whether the command always sends a request to the service.
fn sends_a_request(arguments: &[&str]) -> bool {
    matches!(arguments, ["whoami" | "logout" | "token" | "login", ..] | ["get"])
}

#[test]
fn a_login_by_email_prints_neither_code_nor_link() {
    let server = service();
    let error = |code: &str, sent: &str| {
        let body =
            json!({ "error": { "code": code, "message": format!("what is {sent}?") } }).to_string();
        Fault::Answer { status: 400, body, headers: [].into() }
    };
    let mut home = Home::at(&server);
    home.set("MY_LOG", "debug");
    let started = home.run(&["login", "--email", "me@acme.dev", "--no-wait"]);
    let mail = mail_to(&server, "me@acme.dev");
    let pending: serde_json::Value =
        serde_json::from_str(&home.read(".my/pending-login.json").unwrap()).unwrap();
    let device_code = pending["device_code"].as_str().unwrap().to_owned();
    let link = mail.link.split_once("token=").unwrap().1.to_owned();
    let secrets = [mail.code.clone(), device_code.clone(), link];
    server.fault(
        "/v1/auth/verify-code",
        1,
        error("INVALID_REQUEST", &format!("{device_code} with {}", mail.code)),
    );
    server.fault("/v1/auth/device/token", 1, error("SOMETHING", &device_code));
    let refused = home.run(&["login", "--code", &mail.code]);
    let refused_later = home.run(&["login", "--code", &mail.code]);
    let completed = home.run(&["login", "--code", &mail.code]);
    for refused in [&refused, &refused_later] {
        assert!(
            refused.messages.contains("[secret]"),
            "it is told what the service said: {refused:?}"
        );
    }
    assert_eq!(completed.status, 0, "{completed:?}");
    for outcome in [started, refused, refused_later, completed] {
        for text in [&outcome.output, &outcome.messages] {
            assert_eq!(leaks(text, &secrets), None, "{outcome:?}");
        }
    }
}

#[test]
fn a_keyring_shows_no_secret_and_leaves_none_in_a_file() {
    let Some(keyring) = SecretService::start() else { return };
    let server = service();
    let mut home = Home::at(&server);
    home.use_keyring(&keyring);
    home.set("MY_LOG", "debug");
    let told = home.log_in(&server, "me@acme.dev", &[]);
    let store =
        json!({ "url": "https://h.dev", "username": "ada", "secret": PASSWORD }).to_string();
    let stored = home.run_with(&["store"], store);
    assert_eq!((told.status, stored.status), (0, 0), "{told:?} {stored:?}");
    let shown = keyring.shown();
    assert!(
        shown.iter().any(|text| text.contains("mycli"))
            && shown.iter().any(|text| text.contains("h.dev"))
    );
    for text in shown.iter().chain([&told.messages, &told.output, &stored.messages, &stored.output])
    {
        assert_eq!(leaks(text, &[]), None, "{text}");
    }
    for (path, contents) in home.snapshot() {
        let text = String::from_utf8_lossy(contents.as_deref().unwrap_or_default()).into_owned();
        assert_eq!(leaks(&text, &[]), None, "{}", path.display());
    }
}

#[test]
fn completions_help_and_usage_errors_print_no_variable() {
    let mut home = Home::new();
    home.set("MY_API_TOKEN", "myc_0123456789abcdef0123456789abcdef01234567");
    for arguments in [
        &["--help"][..],
        &["login", "--help"],
        &["git", "--help"],
        &["no-such-verb"],
        &["token", "--x"],
    ] {
        let outcome = home.run(arguments);
        assert_eq!(
            leaks(&format!("{}{}", outcome.output, outcome.messages), &[]),
            None,
            "{arguments:?}"
        );
    }
}

#[test]
fn the_debug_log_lists_what_is_read_and_requested() {
    let server = service();
    let (mut home, _) = Home::with_stale_session(&server);
    let quiet = home.run(&["capabilities"]);
    assert_eq!(quiet.messages, "", "nothing is told unasked");
    home.set("MY_LOG", "debug");
    let told = home.run(&["get", "--format", "raw"]).messages;
    for words in [
        "a credential of the default provider",
        ": refreshing it",
        "POST http://127.0.0.1",
        "/v1/auth/refresh",
        "status 200",
        "found in file: session",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
    assert!(told.lines().all(|line| line.starts_with("debug: ")), "{told}");
}

/// The signal that makes a program leave its memory behind.
const QUIT: &str = "kill -QUIT $$; exit 1";

#[test]
fn core_dumps_are_disabled_except_for_the_command_of_exec() {
    use std::os::unix::process::ExitStatusExt as _;
    let server = service();
    let (home, _) = Home::logged_in(&server);
    // The shell lifts the limit, and becomes the program.
    let dumped = |line: &str, is_waiting: bool| {
        let mut command = home.command("sh");
        command.args(["-c", &format!("ulimit -c unlimited && {line}")]).env("HELPER", HELPER);
        let mut child = spawn(command);
        if is_waiting {
            // It reads its request until the end of the input.
            std::thread::sleep(std::time::Duration::from_millis(300));
            let id = rustix::process::Pid::from_child(&child);
            rustix::process::kill_process(id, rustix::process::Signal::QUIT).unwrap();
        }
        let status = child.wait().unwrap();
        status.core_dumped()
    };
    if !dumped(QUIT, false) {
        eprintln!("SKIPPED: this machine makes no core dumps at all");
        return;
    }
    assert!(!dumped(r#"exec "$HELPER" get"#, true), "the helper's memory is kept");
    assert!(
        dumped(&format!(r#"exec "$HELPER" exec -- sh -c '{QUIT}'"#), false),
        "another program's is its own affair"
    );
}

/// What a debugger does to a process, by the status of the shell. `strace` stays attached until it is interrupted.
const ATTACKS: [(&str, &str); 3] = [
    ("reads its memory", "exec 3<\"/proc/$1/mem\""),
    ("reads its environment", "exec cat \"/proc/$1/environ\" >/dev/null"),
    ("attaches to it", "timeout --signal=INT 1 strace -qq -o /dev/null -p \"$1\"; [ $? -eq 124 ]"),
];

/// Root may debug every process: the helper and the debugger are those of another user.
#[test]
fn no_debugger_of_the_same_user_attaches_to_the_process() {
    use std::io::{BufRead as _, BufReader};
    if !has_client("strace") {
        return;
    }
    let stranger = rustix::process::geteuid().is_root().then(Stranger::new).flatten();
    let home = Home::new();
    if let Some(stranger) = &stranger {
        stranger.give(home.path());
    }
    let start = |mut command: std::process::Command| {
        if let Some(stranger) = &stranger {
            stranger.become_user(&mut command);
        }
        spawn(command)
    };
    let is_done = |attack: &str, process: &std::process::Child| {
        let mut command = home.command("sh");
        command.args(["-c", attack, "sh", &process.id().to_string()]);
        finish(start(command), b"").status == 0
    };
    let mut other = home.command("cat");
    other.arg("-");
    let mut other = start(other);
    let mut command = home.command(HELPER);
    command.args(["cargo", "--cargo-plugin"]);
    let mut helper = start(command);
    let mut greeting = String::new();
    BufReader::new(helper.stdout.take().unwrap()).read_line(&mut greeting).unwrap();
    assert!(greeting.contains("\"v\""), "the helper runs, and waits for a request: {greeting}");
    for (what, attack) in ATTACKS {
        if is_done(attack, &other) {
            assert!(!is_done(attack, &helper), "a program of the same user {what}");
        } else {
            eprintln!("SKIPPED: here no program {what}, whatever it does");
        }
    }
    for process in [&mut other, &mut helper] {
        process.kill().unwrap();
        process.wait().unwrap();
    }
}
