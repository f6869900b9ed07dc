//! What the program writes about itself: the page of its errors, its manual, the completions of shells.

use std::time::Duration;

use crate::support::terminal::in_terminal;
use crate::support::{Home, finish, has_client, has_rare_client, service};

#[test]
fn the_page_of_errors_is_what_the_program_prints() {
    let home = Home::new();
    let page = home.run(&["errors", "--markdown"]).output;
    let anew = "cargo run -- errors --markdown > protocol/ERRORS.md";
    assert!(
        page == include_str!("../../protocol/ERRORS.md"),
        "protocol/ERRORS.md is another; `{anew}` writes it"
    );
    let codes = home.run(&["errors", "--json"]).json();
    let schema: serde_json::Value =
        serde_json::from_str(include_str!("../../protocol/schemas/error.answer.json")).unwrap();
    let names = schema["properties"]["error"]["properties"]["code"]["enum"].as_array().unwrap();
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
fn the_manual_has_a_page_for_every_verb_and_a_reader_has_nothing_to_say_about_it() {
    let home = Home::new();
    let pages = home.path().join("man");
    assert_eq!(home.run(&["man", "--dir", pages.to_str().unwrap()]).status, 0);
    let mut verbs = verbs(&home, &[]);
    assert!(verbs.contains(&"token".to_owned()), "{verbs:?}");
    verbs.extend(["token-create".to_owned(), "session-revoke".to_owned()]);
    let page = |name: &str| pages.join(format!("my-credential-helper{name}.1"));
    for verb in verbs {
        assert!(page(&format!("-{verb}")).is_file(), "{verb}");
    }
    assert!(page("").is_file());
    let errors = pages.join("my-credential-helper-errors.7");
    assert!(std::fs::read_to_string(&errors).unwrap().contains("not_logged_in"));
    let printed = home.run(&["man", "token", "create"]).output;
    assert_eq!(printed, std::fs::read_to_string(page("-token-create")).unwrap());
    if !has_rare_client("groff") {
        return;
    }
    for entry in std::fs::read_dir(&pages).unwrap() {
        let path = entry.unwrap().path();
        let outcome = home.run_client(&["groff", "-man", "-ww", "-z", path.to_str().unwrap()]);
        assert_eq!((outcome.status, &*outcome.messages), (0, ""), "{}", path.display());
    }
}

/// The verbs that the help lists.
fn verbs(home: &Home, below: &[&str]) -> Vec<String> {
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
fn offered_by_bash(home: &Home, words: &[&str]) -> Vec<String> {
    let script = "eval \"$(my-credential-helper completions bash)\"\nCOMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1))\n\
                  _clap_complete_my_credential_helper \"$1\" \"${!#}\" \"\" 2>/dev/null\nprintf '%s\\n' \"${COMPREPLY[@]}\"";
    let line = [&["bash", "-c", script, "bash", "my-credential-helper"], words].concat();
    let outcome = home.run_client(&line);
    assert_eq!(outcome.messages, "", "nobody's line is disturbed");
    outcome.output.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[test]
fn bash_offers_verbs_and_the_names_of_tokens_without_a_refresh() {
    if !has_client("bash") {
        return;
    }
    let server = service();
    let (mut home, session) = Home::logged_in(&server);
    home.link("my-credential-helper");
    assert_eq!(offered_by_bash(&home, &["whoa"]), ["whoami"]);
    assert_eq!(offered_by_bash(&home, &["--provider", "mi"]), ["microtica"]);
    home.write(
        ".config/my-credential-helper/config.toml",
        "[providers.mycli]\naccounts = ['work']\n",
    );
    assert_eq!(offered_by_bash(&home, &["account", "use", "wo"]), ["work"]);
    for name in ["ci-release", "two words"] {
        assert_eq!(home.run(&["token", "create", name]).status, 0);
    }
    let offered = offered_by_bash(&home, &["token", "revoke", ""]);
    assert!(offered.contains(&"ci-release".to_owned()), "{offered:?}");
    assert!(
        !offered.iter().any(|word| word.contains("two")),
        "that one goes by its id: {offered:?}"
    );
    let sessions = offered_by_bash(&home, &["session", "revoke", ""]);
    let id = home.run(&["session", "list", "--json"]).json()["sessions"][0]["id"].clone();
    assert!(sessions.iter().any(|offered| id == offered.as_str()), "{sessions:?}");
    for line in [&["token", "revoke", ""][..], &["session", "revoke", ""], &[""]] {
        let offered = offered_by_bash(&home, line).join("\n");
        assert!(
            !offered.contains(&session.access_token) && !offered.contains(&session.refresh_token)
        );
    }

    home.write_session(&session, Duration::ZERO, Duration::from_secs(3600));
    let offered = offered_by_bash(&home, &["token", "revoke", ""]);
    assert!(!offered.contains(&"ci-release".to_owned()));
    assert_eq!(server.refresh_requests(), 0, "a press of a key spends no refresh token");
    home.write_session(&session, Duration::from_secs(900), Duration::ZERO);
    home.write(".my/config.json", r#"{"api_url":"http://127.0.0.1:1"}"#);
    let offered = offered_by_bash(&home, &["token", "revoke", ""]);
    assert!(
        !offered.contains(&"ci-release".to_owned()),
        "and a service that is away is passed over"
    );
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
fn zsh_completes_by_an_autoloaded_function_at_the_first_press() {
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
fn powershell_is_given_a_script_that_asks_the_program() {
    let mut home = Home::new();
    home.link("my-credential-helper");
    let script = home.run(&["completions", "powershell"]).output;
    assert!(
        script.starts_with("Register-ArgumentCompleter -Native -CommandName my-credential-helper")
    );
    home.set("MY_CREDENTIAL_HELPER_COMPLETE", "powershell");
    let outcome = home.run(&["--", "my-credential-helper", "whoa"]);
    assert!(outcome.output.starts_with("whoami\t"), "{outcome:?}");
    // With the variable left behind in a shell, everything else works as ever.
    let child = home.start(&["errors", "refused"]);
    assert!(finish(child, b"").output.starts_with("refused (exit status 4)\n"));
    if !has_rare_client("pwsh") {
        return;
    }
    let line = "my-credential-helper completions powershell | Out-String | Invoke-Expression; \
                (TabExpansion2 'my-credential-helper whoa' 25).CompletionMatches.CompletionText";
    let outcome = home.run_client(&["pwsh", "-NoProfile", "-Command", line]);
    assert_eq!(outcome.output.trim(), "whoami", "{outcome:?}");
}
