//! `exec` and `export`, run by real shells.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::stranger::Stranger;
use crate::support::{HELPER, Home, finish, has_client, service, spawn};

/// Every printable character of ASCII.
fn printable() -> String {
    (b'!'..=b'~').map(char::from).collect()
}

fn home() -> Home {
    let mut home = Home::new();
    home.set("MY_API_TOKEN", printable());
    home
}

#[test]
fn exec_replaces_the_process_and_adds_only_the_token() {
    let home = home();
    let outcome = home.run(&["exec", "--env", "TOKEN", "--env", "USER_NAME=username", "--", "env"]);
    let mut variables: Vec<_> =
        outcome.output.lines().map(|line| line.split('=').next().unwrap()).collect();
    variables.sort_unstable();
    assert_eq!(variables, ["HOME", "MY_API_TOKEN", "PATH", "TOKEN", "USER_NAME"]);
    assert!(
        outcome.output.contains(&format!("TOKEN={}\n", printable()))
            && outcome.output.contains("USER_NAME=token\n")
    );
}

#[test]
fn exit_status_signals_and_standard_input_are_the_commands() {
    let home = home();
    assert_eq!(home.run(&["exec", "--", "sh", "-c", "exit 7"]).status, 7);
    assert_eq!(home.run_with(&["exec", "--", "cat"], "all of it").output, "all of it");
    let mut command = home.command(crate::support::HELPER);
    command.args(["exec", "--", "sh", "-c", "kill -TERM $$"]);
    assert_eq!(command.status().unwrap().signal(), Some(15));
    let missing = home.run(&["exec", "--", "no-such-program"]);
    assert_eq!(missing.status, 127);
    assert!(
        missing.messages.starts_with("error: cannot run `no-such-program`: command not found\n"),
        "{missing:?}"
    );
}

#[test]
fn without_a_credential_the_command_is_not_started() {
    let home = Home::new();
    let outcome = home.run(&["exec", "--", "touch", "started"]);
    assert_eq!(outcome.status, 1);
    assert!(!home.path().join("started").exists());
}

/// Runs a script in a shell with the helper's path as its first argument, and gives what it prints.
fn printed(home: &Home, shell: &str, script: &str) -> String {
    let mut command: Command = home.command(shell);
    command
        .args(["-c", script])
        .env_remove("MY_API_TOKEN")
        .env("GIVEN", printable())
        .env("HELPER", crate::support::HELPER);
    let outcome = finish(spawn(command), b"");
    assert_eq!(outcome.status, 0, "{outcome:?}");
    outcome.output
}

#[test]
fn every_printable_character_survives_the_real_shells() {
    let home = home();
    let script = r#"eval "$(MY_API_TOKEN="$GIVEN" "$HELPER" export --format sh)"; printf %s "$MY_API_TOKEN""#;
    for shell in ["sh", "bash"] {
        assert_eq!(printed(&home, shell, script), printable(), "{shell}");
    }
    if has_client("fish") {
        let script = r#"MY_API_TOKEN="$GIVEN" $HELPER export --format fish | source; printf %s "$MY_API_TOKEN""#;
        assert_eq!(printed(&home, "fish", script), printable());
    }
}

#[test]
fn github_gets_the_variable_in_its_file_and_a_mask_in_the_log() {
    let mut home = home();
    let refused = home.run(&["export", "--format", "github-actions"]);
    assert_eq!(refused.status, 2, "elsewhere there is no such file: {refused:?}");
    assert_eq!(refused.output, "", "a mask would show the secret");
    for (variable, flags) in [("GITHUB_ENV", &[][..]), ("GITHUB_OUTPUT", &["--output"][..])] {
        let file = home.write(variable, "BEFORE=1\n");
        home.set(variable, file);
        let arguments =
            [&["export", "--format", "github-actions", "--env", "GH_TOKEN"], flags].concat();
        let outcome = home.run(&arguments);
        assert_eq!(outcome.output, format!("::add-mask::{}\n", printable().replace('%', "%25")));
        assert_eq!(home.read(variable).unwrap(), format!("BEFORE=1\nGH_TOKEN={}\n", printable()));
        home.write(variable, "UNFINISHED=1");
        assert_eq!(home.run(&arguments).status, 0);
        let text = format!("UNFINISHED=1\nGH_TOKEN={}\n", printable());
        assert_eq!(home.read(variable).unwrap(), text);
    }
}

/// The file is the CI system's: whoever can put another one there must not get the token.
#[test]
fn the_file_for_github_is_nobody_elses() {
    let mut home = Home::new();
    home.set("MY_API_TOKEN", "myc_1");
    let line = ["export", "--format", "github-actions"];
    let file = home.path().join("new");
    home.set("GITHUB_ENV", &file);
    assert_eq!(home.run(&line).status, 0);
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let (link, fifo) = (home.path().join("link"), home.path().join("fifo"));
    std::os::unix::fs::symlink(home.write("target", ""), &link).unwrap();
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    for (path, reason) in [
        (link.as_os_str(), "is a symbolic link"),
        (fifo.as_os_str(), "GITHUB_ENV"),
        ("new".as_ref(), "is not an absolute path"),
    ] {
        home.set("GITHUB_ENV", path);
        let outcome = home.run(&line);
        assert_ne!(outcome.status, 0, "{outcome:?}");
        assert!(outcome.messages.contains(reason), "{reason}: {outcome:?}");
    }
    assert_eq!(home.read("target").unwrap(), "");
    let Some(stranger) = Stranger::new() else { return };
    let mode = |path: &Path, mode| std::fs::set_permissions(path, Permissions::from_mode(mode));
    let program = home.path().join("helper");
    std::fs::copy(HELPER, &program).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let theirs = folder.path().join("theirs");
    std::fs::write(&theirs, "").unwrap();
    std::os::unix::fs::chown(&theirs, Some(12345), None).unwrap();
    for (path, mode_of_it) in [(home.path(), 0o755), (folder.path(), 0o755), (&theirs, 0o666)] {
        mode(path, mode_of_it).unwrap();
    }
    home.set("GITHUB_ENV", &theirs);
    let mut command = home.command(&program);
    command.args(line).stdout(Stdio::null()).stderr(Stdio::null());
    assert!(!stranger.run(command).0.wait().unwrap().success());
    assert_eq!(std::fs::read_to_string(&theirs).unwrap(), "");
}

#[test]
fn the_secret_is_masked_and_nothing_else_is() {
    let mut home = Home::new();
    home.set("MY_API_TOKEN", "myc_1");
    home.set("GITHUB_ENV", home.write("github_env", ""));
    let line =
        ["export", "--format", "github-actions", "--env", "U=username", "--env", "E=expires_at"];
    let outcome = home.run(&[&line[..], &["--env", "AUTH=header"]].concat());
    assert_eq!(
        outcome.output, "::add-mask::myc_1\n::add-mask::Authorization: Bearer myc_1\n",
        "neither the user name nor the empty expiry"
    );
    let lines = "U=token\nE=\nAUTH=Authorization: Bearer myc_1\n";
    assert_eq!(home.read("github_env").unwrap(), lines);

    // The mask is there although the file cannot be written.
    home.set("GITHUB_ENV", home.path().to_owned());
    let outcome = home.run(&line);
    assert_eq!((outcome.status, &*outcome.output), (1, "::add-mask::myc_1\n"), "{outcome:?}");
}

#[test]
fn a_session_is_not_exported_into_a_shell() {
    let server = crate::support::service();
    let (home, session) = Home::logged_in(&server);
    for format in ["sh", "fish", "powershell", "cmd", "dotenv"] {
        let line = ["export", "--format", format];
        let refused = home.run(&line);
        assert_eq!((refused.status, &*refused.output), (2, ""), "{refused:?}");
        assert!(refused.messages.contains("my-credential-helper exec"), "{refused:?}");
        let allowed = home.run(&[&line[..], &["--allow-short-lived"]].concat());
        assert_eq!(allowed.status, 0, "{allowed:?}");
        assert!(allowed.output.contains(&session.access_token), "{allowed:?}");
        assert!(allowed.messages.contains("expires at"), "{allowed:?}");
        let user = home.run(&[&line[..], &["--env", "U=username"]].concat());
        assert_eq!((user.status, &*user.messages), (0, ""), "no secret: {user:?}");
    }
    for format in ["json", "azure-pipelines"] {
        assert_eq!(home.run(&["export", "--format", format]).status, 0, "{format}");
    }
}

#[test]
fn azure_gets_a_secret_variable_and_json_an_object() {
    let home = home();
    let azure = home.run(&["export", "--format", "azure-pipelines"]).output;
    let escaped = printable().replace('%', "%AZP25");
    assert_eq!(
        azure,
        format!(
            "##vso[task.setsecret]{escaped}\n\
             ##vso[task.setvariable variable=MY_API_TOKEN;issecret=true]{escaped}\n"
        )
    );
    assert_eq!(
        home.run(&["export", "--format", "json"]).json()["MY_API_TOKEN"],
        printable().as_str()
    );
}

#[test]
fn a_stored_password_is_set_only_in_named_variables() {
    let home = Home::new();
    let url = "https://registry.example.com";
    let stored = format!(r#"{{"url":"{url}","username":"ada","secret":"correct horse"}}"#);
    assert_eq!(home.run_with(&["store"], stored).status, 0);
    for arguments in
        [&["export", "--format", "sh", "--url", url][..], &["exec", "--url", url, "--", "env"]]
    {
        let refused = home.run(arguments);
        assert_eq!((refused.status, refused.output.as_str()), (2, ""), "{refused:?}");
        assert!(
            refused.messages.contains("hint: specify the variables with `--env NAME`"),
            "{refused:?}"
        );
    }
    let named =
        ["export", "--format", "sh", "--url", url, "--env", "PASSWORD", "--env", "WHO=username"];
    assert_eq!(home.run(&named).output, "export PASSWORD='correct horse'\nexport WHO='ada'\n");
}

/// A command may outlive its token: `exec` refreshes a session with less than half of its lifetime, and names the expiry.
#[test]
fn exec_names_the_expiry_of_a_session_and_refreshes_early() {
    let server = service();
    let (home, session) = Home::logged_in(&server);
    let exec = |home: &Home| home.run(&["exec", "--", "sh", "-c", "printf %s \"$MY_API_TOKEN\""]);
    let outcome = exec(&home);
    assert_eq!((outcome.status, &outcome.output), (0, &session.access_token), "{outcome:?}");
    assert!(
        outcome.messages.contains("note: the token of the session expires at 20"),
        "{outcome:?}"
    );
    home.write_session(&session, Duration::from_secs(400), Duration::from_secs(500));
    let outcome = exec(&home);
    assert!(outcome.status == 0 && outcome.output != session.access_token, "{outcome:?}");
    let outcome = exec(&self::home());
    assert!(
        outcome.status == 0 && outcome.messages.is_empty(),
        "an API token does not expire: {outcome:?}"
    );
}
