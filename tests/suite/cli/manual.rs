//! What the program writes about itself: the page of errors, the manual, completion scripts.

use crate::support::terminal::in_terminal;
use crate::support::{Home, has_client, has_rare_client};

#[test]
fn the_errors_page_is_what_the_program_prints() {
    let home = Home::new();
    let page = home.run(&["errors", "--markdown"]).output;
    let command = "cargo run -- errors --markdown > protocol/ERRORS.md";
    assert!(
        page == include_str!("../../../protocol/ERRORS.md"),
        "protocol/ERRORS.md is out of date; `{command}` writes it"
    );
    let codes = home.run(&["errors", "--json"]).json();
    let schema: serde_json::Value =
        serde_json::from_str(include_str!("../../../protocol/schemas/error.answer.json")).unwrap();
    let names = schema["properties"]["error"]["properties"]["code"]["enum"].as_array().unwrap();
    for name in ["SESSION_EXPIRED", "Session_Expired"] {
        let found = home.run(&["errors", name]);
        assert!(found.output.starts_with("session_expired (exit status 1)"), "{found:?}");
    }
    assert_eq!(
        names.len(),
        codes["errors"].as_array().unwrap().len(),
        "every code of the protocol, and no other"
    );
    for code in codes["errors"].as_array().unwrap() {
        assert!(names.contains(&code["code"]), "{code}");
        assert_ne!(code["cases"].as_array().unwrap().len(), 0, "{code} has a cause and a cure");
    }
}

#[test]
fn the_manual_has_a_valid_page_for_every_command() {
    let home = Home::new();
    let pages = home.path().join("man");
    assert_eq!(home.run(&["man", "--dir", pages.to_str().unwrap()]).status, 0);
    let mut commands = commands(&home, &[]);
    assert!(commands.contains(&"token".to_owned()), "{commands:?}");
    commands.extend(["token-create".to_owned(), "session-revoke".to_owned()]);
    let page = |name: &str| pages.join(format!("man1/my-credential-helper{name}.1"));
    for command in commands {
        assert!(page(&format!("-{command}")).is_file(), "{command}");
    }
    assert!(page("").is_file());
    let errors = pages.join("man7/my-credential-helper-errors.7");
    assert!(std::fs::read_to_string(&errors).unwrap().contains("not_logged_in"));
    let printed = home.run(&["man", "token", "create"]).output;
    for part in [
        ".SH ENVIRONMENT\n.TP\nMY_API_TOKEN\n",
        ".SH FILES\n.TP\n~/.config/my\\-credential\\-helper/config.toml\n",
        ".SH \"EXIT STATUS\"\n.TP\n0\nSuccess.\n",
    ] {
        assert!(printed.contains(part), "{part}: {printed}");
        assert!(home.run(&["man"]).output.contains(part), "{part}");
    }
    assert_eq!(printed, std::fs::read_to_string(page("-token-create")).unwrap());
    if !has_rare_client("groff") {
        return;
    }
    let folders = ["man1", "man7"].map(|folder| std::fs::read_dir(pages.join(folder)).unwrap());
    for entry in folders.into_iter().flatten() {
        let path = entry.unwrap().path();
        let outcome = home.run_client(&["groff", "-man", "-ww", "-z", path.to_str().unwrap()]);
        assert_eq!((outcome.status, &*outcome.messages), (0, ""), "{}", path.display());
    }
}

/// The commands that the help lists.
fn commands(home: &Home, below: &[&str]) -> Vec<String> {
    let help = home.run(&[below, &["--help"]].concat()).output;
    let lines = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty());
    let names = lines.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    names.filter(|name| !name.is_empty() && *name != "help").map(str::to_owned).collect()
}

/// What bash offers for a line; the last word is the one that is being typed.
fn bash_completions(home: &Home, words: &[&str]) -> Vec<String> {
    let script = "eval \"$(my-credential-helper completions bash)\"\nCOMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1))\n\
                  _my__credential__helper \"$1\" \"${!#}\" \"${@: -2:1}\"\nprintf '%s\\n' \"${COMPREPLY[@]}\"";
    let line = [&["bash", "-c", script, "bash", "my-credential-helper"], words].concat();
    let outcome = home.run_client(&line);
    assert_eq!(outcome.messages, "");
    outcome.output.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_and_options() {
    if !has_client("bash") {
        return;
    }
    let mut home = Home::new();
    home.link("my-credential-helper");
    for (words, expected) in [
        (&["whoa"][..], "whoami"),
        (&["token", "rev"], "revoke"),
        (&["token", "create", "--exp"], "--expires-in"),
        (&["errors", "session_"], "session_expired"),
        (&["login", "--store", "k"], "keyring"),
    ] {
        assert_eq!(bash_completions(&home, words), [expected], "{words:?}");
    }
}

#[test]
fn completion_scripts_do_not_call_the_program() {
    let home = Home::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = home.run(&["completions", shell]).output;
        assert!(script.contains("whoami"), "{shell} loads the commands");
        assert!(!script.contains("MY_CREDENTIAL_HELPER_COMPLETE"), "{shell}");
    }
    let mut home = Home::new();
    home.set("MY_CREDENTIAL_HELPER_COMPLETE", "bash");
    let outcome = home.run(&["--", "my-credential-helper", "whoa"]);
    assert_eq!((outcome.status, &*outcome.output), (2, ""), "no hidden protocol: {outcome:?}");
}

#[test]
fn fish_completes() {
    if !has_client("fish") {
        return;
    }
    let mut home = Home::new();
    home.link("my-credential-helper");
    let line = "my-credential-helper completions fish | source; complete -C 'my-credential-helper token rev'";
    let outcome = home.run_client(&["fish", "--no-config", "-c", line]);
    assert!(outcome.output.starts_with("revoke\t"), "{outcome:?}");
}

#[test]
fn zsh_completes_with_an_autoloaded_function() {
    if !has_client("zsh") {
        return;
    }
    let mut home = Home::new();
    home.link("my-credential-helper");
    let script = home.run(&["completions", "zsh"]).output;
    home.write("zfunc/_my-credential-helper", &script);
    home.write(
        ".zshrc",
        "PS1='ready> '\nfpath=(~/zfunc $fpath)\nautoload -Uz compinit && compinit -u\n",
    );
    let mut command = home.command("zsh");
    command.args(["-d", "-i"]);
    let mut session = in_terminal(&home, command);
    session.exp_string("ready> ").unwrap();
    session.send("my-credential-helper whoa\t").unwrap();
    session.flush().unwrap();
    session.exp_string("whoami").unwrap();
    session.send_control('c').unwrap();
    session.send_line("exit").unwrap();
}

#[test]
fn powershell_completes() {
    let mut home = Home::new();
    home.link("my-credential-helper");
    let script = home.run(&["completions", "powershell"]).output;
    assert!(
        script.contains("Register-ArgumentCompleter -Native -CommandName 'my-credential-helper'")
    );
    if !has_rare_client("pwsh") {
        return;
    }
    let line = "my-credential-helper completions powershell | Out-String | Invoke-Expression; \
                (TabExpansion2 'my-credential-helper whoa' 25).CompletionMatches.CompletionText";
    let outcome = home.run_client(&["pwsh", "-NoProfile", "-Command", line]);
    assert_eq!(outcome.output.trim(), "whoami", "{outcome:?}");
}
