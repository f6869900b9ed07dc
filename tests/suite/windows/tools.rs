//! What tools send on Windows, and what shells read.

use std::path::Path;
use std::process::Command;

use super::home;
use crate::support::platform::wine;
use crate::support::{Home, Outcome, finish, has_client, service, spawn};

const URL: &str = "https://registry.example.com";

fn call(home: &Home, name: &str, arguments: &[&str], input: &str) -> Outcome {
    let mut command = home.helper(name);
    command.args(arguments);
    finish(spawn(command), input.as_bytes())
}

/// Lines that end in CR LF, as a pipe of PowerShell or cmd writes them.
#[test]
#[ignore = "runs under wine: .ci/platform windows"]
fn lines_may_end_in_cr_lf_and_answers_end_in_lf() {
    let mut home = home();
    home.set_hosts(&["registry.example.com"]);
    home.set("MY_API_TOKEN", "s3cret");
    let git = "protocol=https\r\nhost=registry.example.com\r\n\r\n";
    let cargo = format!(
        "{{\"v\":1,\"registry\":{{\"index-url\":\"sparse+{URL}/\"}},\"kind\":\"get\",\"operation\":\"read\",\"args\":[]}}\r\n"
    );
    let uri = format!("{{\"uri\":\"{URL}/\"}}\r\n");
    let calls: [(&str, &[&str], &str); 6] = [
        ("git-credential-my", &["get"], git),
        ("docker-credential-my", &["get"], "registry.example.com\r\n"),
        ("cargo-credential-my", &["--cargo-plugin"], &cargo),
        ("bazel-credential-my", &["get"], &uri),
        ("terraform-credentials-my", &["get", "registry.example.com"], ""),
        ("keyring", &["get", URL, "token"], ""),
    ];
    for (name, arguments, input) in calls {
        let outcome = call(&home, name, arguments, input);
        assert!(outcome.output.contains("s3cret"), "{name}: {outcome:?}");
        assert!(!outcome.output.contains('\r'), "{name}: {outcome:?}");
    }
    let stored = r#"{"url":"https://json.example.com","username":"ada","secret":"s"}"#;
    assert_eq!(home.run_with(&["store"], format!("{stored}\r\n")).status, 0);
    let git = "protocol=https\r\nhost=git.example.com\r\nusername=ada\r\npassword=p w\r\n\r\n";
    assert_eq!(call(&home, "git-credential-my", &["store"], git).status, 0);
    let git = "protocol=https\nhost=git.example.com\n\n";
    let outcome = call(&home, "git-credential-my", &["get"], git);
    assert!(outcome.output.contains("username=ada\npassword=p w\n"), "{outcome:?}");
}

/// The command line of Windows, in the home.
fn cmd(home: &Home, line: &str) -> Outcome {
    let mut command: Command = wine(Path::new("C:\\windows\\system32\\cmd.exe"));
    let helper = home.helper("my-credential-helper");
    command.env_clear().envs(helper.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.args(["/c", line]).current_dir(home.path());
    finish(spawn(command), b"")
}

#[test]
#[ignore = "runs under wine: .ci/platform windows"]
fn exec_runs_a_command_and_returns_its_status() {
    let mut home = home();
    home.set("MY_API_TOKEN", "myc_1");
    let run = |line: &str| home.run(&["exec", "--env", "T", "--", "cmd", "/c", line]);
    let outcome = run("echo [%T%]");
    assert_eq!((outcome.status, outcome.output.trim_end()), (0, "[myc_1]"), "{outcome:?}");
    assert_eq!(run("exit 7").status, 7);
    let missing = home.run(&["exec", "--", "no-such-program"]);
    assert_eq!(missing.status, 127, "{missing:?}");
}

#[test]
#[ignore = "runs under wine: .ci/platform windows"]
fn cmd_sets_the_variable_that_is_exported() {
    let mut home = home();
    let token = "a%PATH%^&|<>()'!";
    home.set("MY_API_TOKEN", token);
    let exported = home.run(&["export", "--format", "cmd", "--env", "T"]);
    assert_eq!(exported.output, format!("T={token}\n"));
    home.write("line.txt", &exported.output);
    let script = "@echo off\r\nfor /f \"delims=\" %%i in (line.txt) do set \"%%i\"\r\nset T\r\n";
    home.write("script.bat", script);
    let outcome = cmd(&home, "script.bat");
    let line = format!("T={token}");
    assert!(outcome.output.lines().any(|found| found == line), "{outcome:?}");
    home.set("MY_API_TOKEN", "a\"b");
    let refused = home.run(&["export", "--format", "cmd", "--env", "T"]);
    assert_eq!((refused.status, &*refused.output), (2, ""), "{refused:?}");
}

/// As in the Windows Subsystem for Linux: git is a program of Linux, and its helper one of Windows.
#[test]
#[ignore = "runs under wine: .ci/platform windows"]
fn git_of_linux_uses_the_windows_program() {
    if !has_client("git") {
        return;
    }
    let server = service();
    let (home, session) = Home::logged_in(&server);
    let helper = home.helper("git-credential-my");
    let words: Vec<_> = [helper.get_program()].into_iter().chain(helper.get_args()).collect();
    let words: Vec<_> = words.iter().map(|word| format!("'{}'", word.display())).collect();
    home.write(".gitconfig", &format!("[credential]\nhelper = \"!{}\"\n", words.join(" ")));
    let host = server.url().trim_start_matches("http://");
    let mut git = home.command("git");
    git.args(["credential", "fill"]).env("GIT_TERMINAL_PROMPT", "0");
    let outcome = finish(spawn(git), format!("protocol=http\nhost={host}\n\n").as_bytes());
    let password = format!("password={}\n", session.access_token);
    assert!(outcome.output.contains(&password), "{outcome:?}");
}
