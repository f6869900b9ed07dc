//! `--json` of the account verbs: every field is on the page that describes them.

use account_server::{NewKey, NewProject, Role};
use serde_json::Value;

use crate::support::{Home, Outcome, service};

const PAGE: &str = include_str!("../../../protocol/ACCOUNT.md");

/// Every field of an answer must stand in the row of its verb, in backticks.
fn is_described(row: &str, outcome: &Outcome) {
    assert_eq!(outcome.status, 0, "{row}: {outcome:?}");
    let line = PAGE.lines().find(|line| line.starts_with(&format!("| {row} |"))).expect(row);
    for name in names(&outcome.json()) {
        assert!(line.contains(&format!("`{name}`")), "{row} does not tell of `{name}`");
    }
}

/// The names of an object's fields, and of the objects in its lists.
fn names(answer: &Value) -> Vec<String> {
    let Some(fields) = answer.as_object() else { return Vec::new() };
    let below =
        |value: &Value| value.as_array().into_iter().flatten().flat_map(names).collect::<Vec<_>>();
    fields
        .iter()
        .flat_map(|(name, value)| std::iter::once(name.clone()).chain(below(value)))
        .collect()
}

#[test]
fn the_fields_of_an_account_are_the_ones_on_the_page() {
    let server = service();
    let mut home = Home::at(&server);
    home.only_tools(&["git"]);
    home.link("my-credential-helper");
    is_described(
        "`login --no-wait`",
        &home.run(&["login", "--email", "me@acme.dev", "--no-wait", "--json"]),
    );
    let code = server.inbox()[0].code.clone();
    is_described("`login`", &home.run(&["login", "--code", &code, "--username", "ada", "--json"]));
    is_described(
        "`login`, where somebody is logged in",
        &home.run(&["login", "--email", "me@acme.dev", "--json"]),
    );
    for (row, arguments) in [
        ("`whoami`", &["whoami"][..]),
        ("`status`", &["status", "--check"]),
        ("`token create`", &["token", "create", "ci"]),
        ("`token list`", &["token", "list"]),
        ("`token revoke`", &["token", "revoke", "ci", "--force"]),
        ("`session list`", &["session", "list"]),
        ("`session revoke`", &["session", "revoke", "--others"]),
        ("`config get`", &["config", "get", "api_url"]),
        ("`config set`, `config unset`", &["config", "set", "hosts", "git.acme.dev"]),
        ("`config set`, `config unset`", &["config", "unset", "hosts"]),
        ("`config add`, `config remove`", &["config", "add", "hosts", "git.acme.dev"]),
        ("`config add`, `config remove`", &["config", "remove", "hosts", "git.acme.dev"]),
        ("`config path`", &["config", "path"]),
        ("`account list`", &["account", "list"]),
        ("`doctor`", &["doctor"]),
        ("`errors`", &["errors"]),
        ("`setup`", &["setup", "--yes", "bazel", "--host", "acme.dev"]),
        ("`man --dir`", &["man", "--dir", "man"]),
        ("`logout`", &["logout"]),
    ] {
        is_described(row, &home.run(&[arguments, &["--json"]].concat()));
    }
    let token = server.api_token("me@acme.dev", "ci").unwrap().token;
    is_described("`login` with a token", &home.run_with(&["login", "--json"], &token));
    is_described("`whoami`", &home.run(&["whoami", "--json"]));
}

#[test]
fn the_fields_of_an_api_key_are_the_ones_on_the_page() {
    let server = service();
    let environments = vec!["dev".to_owned()];
    let project = server
        .microtica_project(NewProject { id: None, name: "shop".to_owned(), environments })
        .unwrap();
    let (name, baseline) = ("ci".to_owned(), Role::Read);
    let key = NewKey {
        project: project.id.clone(),
        name,
        expires_at: None,
        baseline,
        environments: [].into(),
    };
    let mut home = Home::new();
    home.set("MY_PROVIDER", "microtica");
    home.set("MICROTICA_API_URL", server.url());
    home.set("MICROTICA_TOKEN", server.microtica_key(&key).unwrap().key);
    is_described("`whoami` of an API key", &home.run(&["whoami", "--json"]));
    is_described("`project list`", &home.run(&["project", "list", "--json"]));
    is_described("`env list`", &home.run(&["env", "list", "--project", &project.id, "--json"]));
    is_described("`status`", &home.run(&["status", "--json"]));
}
