//! Configurations that a tool cannot read, and helpers behind this program.

use crate::support::{Home, finish, has_client, spawn};

use super::setup::home;

const HOST: &str = "git.acme.dev";
const SECTION: &str = "[credential \"https://git.acme.dev\"]\n";

#[test]
fn a_file_that_the_tool_cannot_read_is_refused_with_its_line() {
    for (tool, file, text, line) in [
        ("docker", ".docker/config.json", "{\"credHelpers\":{\"a.dev\":\"my\",}}", "line 1"),
        ("docker", ".docker/config.json", "{\n  // mine\n  \"auths\": {}\n}", "line 2"),
        ("docker", ".docker/config.json", "\u{feff}{}", "byte order mark"),
        ("docker", ".docker/config.json", "[]", "not a JSON object"),
        ("docker", ".docker/config.json", "{\"credHelpers\": []}", "`credHelpers`"),
        ("cargo", ".cargo/config.toml", "[net]\nretry = 2\n[registry\n", "line 3"),
        ("cargo", ".cargo/config.toml", "registry = 1\n", "not a list"),
        ("uv", ".config/uv/uv.toml", "= 1\n", "line 1"),
        ("git", ".gitconfig", "[user]\n[broken\n", "line 2"),
        ("kubectl", ".kube/config", "users:\n- : [\n", "line "),
        ("pip", ".config/pip/pip.conf", "[global]\nnonsense\n", "line 2"),
    ] {
        if matches!(tool, "git" | "kubectl") && !has_client(tool) {
            continue;
        }
        let home = home();
        home.write(file, text);
        let outcome = home.run(&["setup", "--yes", tool, "--host", HOST]);
        assert_eq!(outcome.status, 2, "{tool}: {outcome:?}");
        let path = home.path().join(file).display().to_string();
        for part in [&*path, line] {
            assert!(outcome.messages.contains(part), "{tool}, {part}: {outcome:?}");
        }
        assert!(!outcome.messages.contains("/configuration"), "no temporary path: {outcome:?}");
        assert_eq!(home.read(file).unwrap(), text, "{tool}");
    }
}

/// git appends the helpers of a later section.
#[test]
fn setup_puts_this_program_behind_the_other_helpers_of_git() {
    if !has_client("git") {
        return;
    }
    for (before, later) in [
        ("", "[credential]\n\thelper = store\n"),
        ("", "[credential]\n\thelper =\n"),
        ("", "[credential \"https://*.acme.dev\"]\n\thelper = store\n"),
        ("", "[credential \"git.acme.dev\"]\n\thelper = store\n"),
        (SECTION, "[credential]\n\thelper = store\n"),
    ] {
        let mut home = home();
        home.set("MY_API_TOKEN", "myc_x");
        home.set("MY_NO_KEYRING", "1");
        if !before.is_empty() {
            home.write(".gitconfig", &format!("{before}\tusername = ada\n"));
        }
        let setup = ["setup", "--yes", "git", "--host", HOST];
        assert_eq!(home.run(&setup).status, 0);
        let text = home.read(".gitconfig").unwrap() + later;
        home.write(".gitconfig", &text);
        let report = home.run(&["doctor"]).output;
        let fix = "`my-credential-helper setup git --host git.acme.dev`";
        assert!(report.contains(fix), "{later}: {report}");
        assert!(!report.contains("git      is not set up"), "{later}: {report}");
        let outcome = home.run(&setup);
        assert_eq!(outcome.status, 0, "{outcome:?}");
        let report = home.run(&["doctor"]).output;
        assert!(!report.contains(fix), "{later}: {report}\n{:?}", home.read(".gitconfig"));
        assert!(fills_and_approves(&home), "{later}: {:?}", home.read(".gitconfig"));
        assert!(home.read(".git-credentials").is_none(), "{later}: the token is in the clear");
        let again = home.run(&setup);
        assert!(again.output.contains("nothing to change"), "{later}: {again:?}");
        assert_eq!(home.run(&["setup", "git", "--yes", "--undo"]).status, 0);
        let rest = home.read(".gitconfig").unwrap();
        assert!(rest.contains(later) && !rest.contains("credential-my"), "{later}: {rest}");
        assert_eq!(rest.contains("username"), !before.is_empty(), "{rest}");
    }
}

fn fills_and_approves(home: &Home) -> bool {
    let git = |operation: &str, input: &str| {
        let mut git = home.command("git");
        git.args(["credential", operation]).env("GIT_TERMINAL_PROMPT", "0");
        finish(spawn(git), input.as_bytes())
    };
    let filled = git("fill", "protocol=https\nhost=git.acme.dev\n\n").output;
    filled.contains("password=myc_x") && git("approve", &filled).status == 0
}

/// An included file is not edited: its helpers may be behind this program.
#[test]
fn setup_does_not_claim_what_an_included_file_may_change() {
    if !has_client("git") {
        return;
    }
    let home = home();
    home.write(".gitconfig", "[credential]\n\thelper = store\n[include]\n\tpath = other\n");
    let outcome = home.run(&["setup", "--yes", "git", "--host", HOST]);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    assert!(outcome.output.contains("`store` is still used"), "{outcome:?}");
    assert!(!outcome.output.contains("only this program"), "{outcome:?}");
}

#[test]
fn the_hint_for_undo_works_under_an_alias_for_a_provider() {
    let home = home();
    for arguments in [&["git"][..], &["--all"]] {
        let line = [&["--provider", "mycli", "setup"], arguments, &["--undo"]].concat();
        let outcome = home.run(&line);
        assert_eq!(outcome.status, 2, "{outcome:?}");
        let fix = format!("`my-credential-helper setup {} --undo`", arguments[0]);
        assert!(outcome.messages.contains(&fix), "{outcome:?}");
    }
}
