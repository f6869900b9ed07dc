//! Where each byte of a secret goes, by what the kernel was asked to do.

use std::path::Path;

use crate::support::{HELPER, Home, finish, has_client, service, spawn};

/// Every write of a program, with the name of what is written to, and every program that is started.
fn traced(home: &Home, arguments: &[&str], input: &str) -> Vec<String> {
    let log = home.path().join("strace.log");
    let mut command = home.command("strace");
    command.args([
        "-f",
        "-qq",
        "-yy",
        "-s",
        "1000000",
        "-e",
        "trace=execve,write,writev,pwrite64,sendto,sendmsg,openat,open",
    ]);
    command.arg("-o").arg(&log).arg(HELPER).args(arguments);
    let outcome = finish(spawn(command), input.as_bytes());
    assert_eq!(outcome.status, 0, "{arguments:?}: {outcome:?}");
    let text = String::from_utf8_lossy(&std::fs::read(&log).unwrap()).into_owned();
    std::fs::remove_file(log).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// The call's name, and its first argument: `write(1<pipe:[7]>, …` is `write` and `1<pipe:[7]>`.
fn call(line: &str) -> Option<(&str, &str)> {
    let (_, line) = line.split_once(' ')?;
    let (name, rest) = line.trim_start().split_once('(')?;
    Some((name, rest.split(", ").next()?))
}

/// Whether a secret may be written there.
fn may_have(place: &str, home: &Path, provider: &str) -> bool {
    let file = |name: &str| place.contains(&format!("<{}/.my/{name}", home.display()));
    place.starts_with("1<")
        || [
            ".my-credential-helper-credentials.json-",
            ".my-credential-helper-last-refreshed.json-",
            "logins/",
            "pending-login.json",
        ]
        .into_iter()
        .any(file)
        || place.contains("<TCP:[") && place.contains(&format!("->{provider}]"))
}

#[test]
fn secrets_are_written_to_the_descriptors_that_may_have_them() {
    if !has_client("strace") {
        return;
    }
    let server = service();
    let provider = server.url().strip_prefix("http://").unwrap().to_owned();
    let mut written = 0;
    for (arguments, input) in [
        (&["get"][..], ""),
        (&["git", "get"], "protocol=https\nhost=git.acme.dev\n\n"),
        (&["whoami"], ""),
        (&["token", "create", "ci"], ""),
        (&["store"], r#"{"url":"https://h.dev","username":"ada","secret":"hunter2-stored"}"#),
        (&["exec", "--", "true"], ""),
        (&["status"], ""),
        (&["logout"], ""),
    ] {
        let (home, session) = Home::with_stale_session(&server);
        home.set_hosts(&["git.acme.dev"]);
        for line in traced(&home, arguments, input) {
            let is_secret = ["eyJ", "myc_", "hunter2-stored", &session.refresh_token]
                .iter()
                .any(|it| line.contains(it));
            let Some((name, place)) = call(&line).filter(|_| is_secret) else { continue };
            written += 1;
            // The command of `exec` has it in its environment, which strace does not write out.
            assert_ne!(name, "execve", "{arguments:?}: an argument is a secret: {line}");
            assert!(
                may_have(place, home.path(), &provider),
                "{arguments:?}: a secret is written to {place}: {line}"
            );
        }
    }
    assert!(written >= 12, "only {written} writes of a secret were seen");
}

#[test]
fn a_tool_that_asks_starts_no_program() {
    if !has_client("strace") {
        return;
    }
    let server = service();
    let entry = "protocol=https\nhost=h.dev\nusername=ada\npassword=hunter2\n\n";
    let (home, _) = Home::logged_in(&server);
    for (arguments, input) in [
        (&["git", "store"][..], entry),
        (&["git", "get"], "protocol=https\nhost=h.dev\n\n"),
        (&["get"], ""),
        (&["list"], ""),
        (&["docker", "list"], ""),
        (&["git", "erase"], entry),
        (&["erase"], r#"{"url":"https://h.dev"}"#),
    ] {
        let mut started = traced(&home, arguments, input);
        started.retain(|line| call(line).is_some_and(|(name, _)| name.starts_with("execve")));
        assert_eq!(started.len(), 1, "{arguments:?}: only the helper: {started:?}");
    }
}

#[test]
fn nothing_is_read_from_the_working_directory_or_a_repository() {
    if !has_client("strace") {
        return;
    }
    let server = service();
    let (home, session) = Home::logged_in(&server);
    let traps = tempfile::tempdir().unwrap();
    let trap = |name: &str, text: &str| {
        let path = traps.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let evil = "[providers.mycli]\napi_url = 'https://evil.dev'\nhosts = ['evil.dev']\n";
    for name in [
        "config.toml",
        ".config/my-credential-helper/config.toml",
        "my-credential-helper/config.toml",
    ] {
        trap(name, evil);
    }
    for name in [".my/config.json", "config.json"] {
        trap(name, r#"{"api_url":"https://evil.dev"}"#);
    }
    for name in [
        "credentials.json",
        ".my/credentials.json",
        ".git/config",
        ".netrc",
        ".npmrc",
        ".env",
        "cargo.toml",
    ] {
        trap(name, r#"{"access_token":"evil"}"#);
    }
    for (arguments, input) in [
        (&["get", "--format", "raw"][..], ""),
        (&["git", "get"], "protocol=https\nhost=evil.dev\n\n"),
        (&["status"], ""),
        (&["whoami"], ""),
        (&["config", "list"], ""),
    ] {
        let log = home.path().join("strace.log");
        let mut command = home.command("strace");
        command
            .args(["-f", "-qq", "-y", "-e", "trace=file", "-o"])
            .arg(&log)
            .arg(HELPER)
            .args(arguments);
        command.current_dir(traps.path());
        let outcome = finish(spawn(command), input.as_bytes());
        assert_eq!(outcome.status, 0, "{arguments:?}: {outcome:?}");
        if arguments[0] == "get" {
            assert_eq!(outcome.output.trim_end(), session.access_token);
        }
        assert!(
            !outcome.output.contains("evil") && !outcome.messages.contains("evil"),
            "{outcome:?}"
        );
        let (text, folder) =
            (std::fs::read_to_string(&log).unwrap(), traps.path().display().to_string());
        // A name without a slash at its begin, behind `AT_FDCWD` or not, is one in the working directory.
        for line in
            text.lines().filter(|line| !line.contains("execve(") && !line.contains("getcwd("))
        {
            let name = line.split('"').nth(1).unwrap_or("/");
            assert!(name.starts_with('/') || name.is_empty(), "{arguments:?}: {line}");
            assert!(!name.starts_with(&folder), "{arguments:?}: {line}");
        }
    }
}
