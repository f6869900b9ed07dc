//! One cause is one finding, and its fix works.

use serde_json::Value;

use super::{doctor, healthy, logged_in, problem};
use crate::support::{Home, has_client, service};

const CONFIGURATION: &str = ".config/my-credential-helper/config.toml";

fn findings(home: &Home) -> Vec<Value> {
    doctor(home, &[]).json()["findings"].as_array().unwrap().clone()
}

fn problems(home: &Home) -> Vec<Value> {
    let findings = findings(home).into_iter();
    findings.filter(|finding| finding["level"] == "problem").collect()
}

/// The messages of a check, with their fixes.
fn lines(home: &Home, check: &str) -> Vec<String> {
    let findings = findings(home).into_iter().filter(|finding| finding["check"] == check);
    findings.map(|finding| format!("{} {}", finding["message"], finding["fix"])).collect()
}

#[test]
fn settings_that_cannot_be_read_are_one_problem() {
    let server = service();
    let home = if has_client("git") && has_client("docker") {
        healthy(&server)
    } else {
        logged_in(&server, &[]).0
    };
    home.write(CONFIGURATION, "\nnonsense");
    let found = problems(&home);
    assert_eq!(found.len(), 1, "{found:#?}");
    let message = found[0]["message"].as_str().unwrap();
    assert!(message.contains(CONFIGURATION) && message.contains("line 2"), "{message}");
    assert!(findings(&home).iter().any(|it| it.to_string().contains("not checked")));
}

#[test]
fn an_unknown_default_provider_is_one_problem_with_its_fix() {
    let server = service();
    let mut home = logged_in(&server, &["git"]).0;
    let has_git = has_client("git");
    if has_git {
        home.set_up("git", server.url());
    }
    home.set("MY_PROVIDER", "mycl");
    let found = problems(&home);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0]["message"].as_str().unwrap().contains("MY_PROVIDER"), "{found:#?}");
    assert!(found[0]["fix"].as_str().unwrap().contains("unset MY_PROVIDER"), "{found:#?}");
    let listed = home.run(&["config", "list"]);
    assert!(listed.messages.contains("unset MY_PROVIDER"), "{listed:?}");
    if has_git {
        let git = lines(&home, "git");
        assert!(git.iter().any(|line| line.contains("gets a credential for")), "{git:#?}");
    }
    home.set("MY_PROVIDER", "");
    let text = home.read(CONFIGURATION).unwrap_or_default();
    home.write(CONFIGURATION, &format!("provider = \"mycl\"\n{text}"));
    let found = problems(&home);
    assert_eq!(found.len(), 1, "{found:#?}");
    let fix = "run `my-credential-helper config unset provider`";
    assert!(found[0]["fix"].as_str().unwrap().contains(fix), "{found:#?}");
    assert_eq!(home.run(&["config", "unset", "provider"]).status, 0);
    assert_eq!(doctor(&home, &[]).status, 0);
}

#[test]
fn a_service_without_a_userinfo_endpoint_is_no_problem() {
    let server = service();
    let mut home = logged_in(&server, &[]).0;
    let url = server.url();
    home.configure(&format!(
        "provider = 'beta'\n[providers.beta]\nkind = 'oauth'\nclient_id = 'x'\napi_url = '{url}'\n\
         authorization_endpoint = '{url}/authorize'\ntoken_endpoint = '{url}/token'\n"
    ));
    home.set("BETA_TOKEN", "hunter2");
    let outcome = doctor(&home, &[]);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    assert!(lines(&home, "login")[0].contains("no request available"), "{outcome:?}");
}

#[test]
fn hosts_of_other_tools_are_one_line() {
    if !has_client("docker") {
        return;
    }
    let server = service();
    let mut home = logged_in(&server, &["docker"]).0;
    home.configure("[providers.mycli]\nhosts = ['a.acme.dev', 'b.acme.dev', 'c.acme.dev']\n");
    home.set_up("docker", "b.acme.dev");
    let found = lines(&home, "docker");
    let unset: Vec<_> = found.iter().filter(|it| it.contains("is not set up for")).collect();
    assert_eq!(unset.len(), 1, "{found:#?}");
    assert!(unset[0].contains("a.acme.dev, c.acme.dev"), "{found:#?}");
}

/// `setup` does not replace the helper of somebody else.
#[test]
fn setup_is_no_fix_where_another_helper_is_selected() {
    if !has_client("docker") {
        return;
    }
    let server = service();
    let home = logged_in(&server, &["docker"]).0;
    home.configure("[providers.mycli]\nhosts = ['a.acme.dev']\n");
    home.write(".docker/config.json", "{\"credHelpers\":{\"a.acme.dev\":\"desktop\"}}");
    let found = lines(&home, "docker");
    assert!(found[0].contains("`desktop` in") && found[0].contains("is the helper for"));
    assert!(!found.iter().any(|it| it.contains("setup docker")), "{found:#?}");
}

#[test]
fn a_missing_link_is_made_without_a_setup_of_other_hosts() {
    if !has_client("git") || !has_client("docker") {
        return;
    }
    let server = service();
    let home = healthy(&server);
    std::fs::remove_file(home.path().join("bin/git-credential-my")).unwrap();
    let before = home.read(".gitconfig");
    let found = problem(&home, "git");
    assert_eq!(found["fix"], "run `my-credential-helper doctor --fix`");
    assert_eq!(doctor(&home, &["--fix"]).status, 0);
    assert_eq!(home.read(".gitconfig"), before);
    home.write(".gitconfig", &before.unwrap().replace("/git-cred", "/nowhere/git-cred"));
    let fix = problem(&home, "git")["fix"].as_str().unwrap().to_owned();
    assert!(fix.contains(&format!("setup git --host {}", server.url())), "{fix}");
}

#[test]
fn a_tool_for_every_host_is_examined_with_its_own() {
    let server = service();
    for (tool, file) in [("go", ".config/go/env"), ("cargo", ".cargo/config.toml")] {
        if !has_client(tool) {
            continue;
        }
        let mut home = logged_in(&server, &[tool]).0;
        home.configure("[providers.mycli]\nhosts = ['reg.acme.dev']\n");
        home.set_up(tool, "own.acme.dev");
        let found = lines(&home, tool);
        assert!(found.iter().any(|it| it.contains("https://own.acme.dev")), "{tool}: {found:#?}");
        assert!(!found.iter().any(|it| it.contains("reg.acme.dev")), "{tool}: {found:#?}");
        if tool == "go" {
            home.write(".netrc", "machine own.acme.dev login x password y\n");
            home.write(file, &home.read(file).unwrap().replace("GOAUTH=", "GOAUTH=netrc; "));
            assert!(problem(&home, "go")["message"].as_str().unwrap().contains(".netrc"));
        }
    }
}

#[test]
fn a_host_outside_of_goprivate_is_reported() {
    if !has_client("go") {
        return;
    }
    let server = service();
    let note = "go env -w GOPRIVATE=old.dev,go.acme.dev";
    for (setting, is_noted) in [
        ("GOPRIVATE=old.dev", true),
        ("GOPRIVATE=old.dev,*.acme.dev", false),
        ("GOPRIVATE=go.acme.dev/team", false),
        ("GOPRIVATE=old.dev\nGOPROXY=https://go.acme.dev", false),
        ("GOPRIVATE=old.dev\nGOPROXY=https://proxy.golang.org,direct", true),
        ("GOPRIVATE=old.dev\nGONOPROXY=go.acme.dev", false),
    ] {
        let home = logged_in(&server, &["go"]).0;
        home.write(".config/go/env", &format!("{setting}\n"));
        let outcome = home.run(&["setup", "--yes", "go", "--host", "go.acme.dev"]);
        assert_eq!(outcome.output.contains(note), is_noted, "{setting}: {outcome:?}");
        let found = lines(&home, "go");
        let has_note = found.iter().any(|it| it.contains(note));
        assert_eq!(has_note, is_noted, "{setting}: {found:#?}");
    }
}

#[test]
fn an_unreadable_configuration_is_named_with_its_line() {
    let server = service();
    for (tool, file, text) in [
        ("git", ".gitconfig", "[user]\n[broken\n"),
        ("kubectl", ".kube/config", "users:\n- : [\n"),
        ("docker", ".docker/config.json", "{\n\"auths\": {},\n}\n"),
        ("cargo", ".cargo/config.toml", "[net]\n[registry\n"),
    ] {
        if !has_client(tool) {
            continue;
        }
        let home = logged_in(&server, &[tool]).0;
        home.write(file, text);
        let message = problem(&home, tool)["message"].as_str().unwrap().to_owned();
        assert!(message.contains(file) && message.contains("line "), "{message}");
    }
}
