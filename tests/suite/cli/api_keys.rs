//! Microtica: login with API keys, and their projects.

use std::os::unix::fs::PermissionsExt as _;

use account_server::{MadeKey, NewKey, NewProject, Role, Server};

use crate::support::{Home, service};

/// A service with a project of two environments, and a key that is stronger in one of them.
fn shop(baseline: Role) -> (Server, String, MadeKey) {
    let server = service();
    let environments = vec!["dev".to_owned(), "prod".to_owned()];
    let project = server
        .microtica_project(NewProject { id: None, name: "shop".to_owned(), environments })
        .unwrap();
    let key = NewKey {
        project: project.id.clone(),
        name: "ci".to_owned(),
        expires_at: None,
        baseline,
        environments: [("dev".to_owned(), Role::Write)].into(),
    };
    let key = server.microtica_key(&key).unwrap();
    (server, project.id, key)
}

fn home(server: &Server) -> Home {
    let mut home = Home::new();
    home.set("MY_PROVIDER", "microtica");
    home.write(
        ".config/my-credential-helper/config.toml",
        &format!("[providers.microtica]\napi_url = '{}'\n", server.url()),
    );
    home
}

#[test]
fn a_key_is_checked_before_anything_is_written() {
    let (server, _, key) = shop(Role::None);
    let home = home(&server);
    for (bad, status) in
        [("hunter2", 2), ("mic_123", 2), ("mic_0000000000000000000000000000000000000000", 4)]
    {
        let before = home.snapshot();
        let outcome = home.run_with(&["login"], bad);
        assert_eq!(outcome.status, status, "{outcome:?}");
        assert_eq!(home.read(".microtica/credentials"), None);
        // The directory may exist afterwards. No id of this device is made for a service that has no sessions.
        let mut after = home.snapshot();
        after.retain(|path, _| !path.ends_with(".my"));
        assert_eq!(after, before);
        assert!(!outcome.messages.contains(bad), "a key is not repeated");
    }
    let outcome = home.run_with(&["login"], format!("{}\n", key.key));
    let path = home.path().join(".microtica/credentials");
    assert_eq!(
        outcome.output,
        format!("Logged in to microtica as the key `ci`. Saved in the file: {}\n", path.display())
    );
    assert_eq!(home.read(".microtica/credentials").unwrap(), format!("{}\n", key.key));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let status = home.run(&["status"]);
    assert!(
        status.output.contains(&format!("by a key in the file: {}\n", path.display())),
        "{status:?}"
    );
    std::fs::remove_file(path).unwrap();
    assert_eq!(home.run(&["whoami"]).status, 1, "deleting the file logs out");
}

#[test]
fn whoami_prints_the_four_rows() {
    let (server, _, key) = shop(Role::Read);
    let mut home = home(&server);
    home.set("MICROTICA_TOKEN", &key.key);
    let outcome = home.run(&["whoami"]);
    let rows = |reachable: &str, visible: &str| {
        format!(
            "via:                apikey\napi key prefix:     {}\napi reachable:      {reachable}\n\
             projects visible:   {visible}\n",
            key.prefix
        )
    };
    assert_eq!(
        (outcome.output, outcome.messages, outcome.status),
        (rows("true", "1"), String::new(), 0)
    );
    drop(server);
    let outcome = home.run(&["whoami"]);
    assert_eq!((outcome.output, outcome.status), (rows("false", "unknown"), 3));
    assert!(
        outcome.messages.starts_with("error: cannot reach microtica: "),
        "{}",
        outcome.messages
    );
}

#[test]
fn with_an_unreachable_api_a_key_is_reported_as_unverified() {
    let (server, _, key) = shop(Role::Read);
    let home = home(&server);
    drop(server);
    let outcome = home.run_with(&["login"], &key.key);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    assert!(outcome.messages.contains("note: the key is not verified"), "{outcome:?}");
    assert!(home.read(".microtica/credentials").is_some());
}

#[test]
fn the_variable_precedes_the_file_and_revocation_is_reported() {
    let (server, _, key) = shop(Role::Read);
    let mut home = home(&server);
    home.write(".microtica/credentials", "mic_0000000000000000000000000000000000000000\n");
    home.set("MICROTICA_TOKEN", &key.key);
    assert_eq!(home.token(), key.key);
    server.revoke_microtica_key(&key.id).unwrap();
    let outcome = home.run(&["whoami"]);
    assert_eq!(outcome.status, 4);
    assert!(outcome.messages.contains("API_KEY_REVOKED"), "{outcome:?}");
    assert!(!outcome.messages.contains(&key.key));
}

#[test]
fn projects_and_environments_of_the_key_are_listed() {
    let (server, project, key) = shop(Role::None);
    let mut home = home(&server);
    home.set("MICROTICA_TOKEN", &key.key);
    let projects = home.run(&["project", "list"]);
    assert_eq!(projects.output, format!("{:36}  NAME\n{project}  shop\n", "ID"));
    let unnamed = home.run(&["env", "list"]);
    assert_eq!(unnamed.status, 2);
    for way in ["--project ID", "MICROTICA_PROJECT_ID", "config set project ID"] {
        assert!(unnamed.messages.contains(way), "{unnamed:?}");
    }
    let seen = |home: &Home, arguments: &[&str]| {
        let environments = home.run(arguments).json()["environments"].clone();
        let names: Vec<_> = environments
            .as_array()
            .unwrap()
            .iter()
            .map(|e| (e["name"].clone(), e["role"].clone()))
            .collect();
        names
    };
    let dev = vec![("dev".into(), "write".into())];
    assert_eq!(
        seen(&home, &["env", "list", "--json", "--project", &project]),
        dev,
        "the baseline none sees its upgrade alone"
    );
    assert_eq!(home.run(&["config", "set", "project", &project]).status, 0);
    assert_eq!(seen(&home, &["env", "list", "--json"]), dev);
    home.set("MICROTICA_PROJECT_ID", "nowhere");
    assert_eq!(home.run(&["env", "list"]).status, 4, "the variable beats the configuration");
    assert_eq!(
        seen(&home, &["env", "list", "--json", "--project", &project]),
        dev,
        "the flag beats the variable"
    );
}

#[test]
fn the_key_goes_in_its_own_header_and_never_as_a_password() {
    let (server, _, key) = shop(Role::Read);
    let mut home = home(&server);
    home.set("MICROTICA_TOKEN", &key.key);
    assert_eq!(
        home.run(&["get", "--format", "header"]).output,
        format!("X-Microtica-Api-Key: {}\n", key.key)
    );
    let host = server.url().strip_prefix("http://").unwrap();
    let git = home.run_with(&["git", "get"], format!("protocol=http\nhost={host}\n\n"));
    assert_eq!((git.output.as_str(), git.status), ("", 0), "git can carry no such header");
}

#[test]
fn a_provider_can_be_defined_by_configuration_only() {
    let server = service();
    let mut home = Home::new();
    home.write(
        ".config/my-credential-helper/config.toml",
        &format!(
            "[providers.acme]\nkind = 'api_key'\napi_url = '{}'\nhosts = ['git.acme.dev']\ntoken_variable = 'ACME_TOKEN'\n\
             token_prefix = 'acm_'\nbasic_username = 'oauth2'\n",
            server.url()
        ),
    );
    let outcome = home.run_with(&["login"], "acm_secret");
    assert_eq!(outcome.status, 0, "the prefix tells the provider: {outcome:?}");
    let git = home.run_with(&["git", "get"], "protocol=https\nhost=git.acme.dev\n\n");
    assert_eq!(git.output, "username=oauth2\npassword=acm_secret\n");
    home.set("ACME_TOKEN", "acm_other");
    assert_eq!(
        home.run(&["get", "--format", "raw", "--url", "https://git.acme.dev/x"]).output,
        "acm_other\n"
    );
    assert_eq!(home.run(&["logout", "--provider", "acme"]).status, 0);
    let stored = r#"{"provider":"acme","secret":"a","refresh_token":"r","expires_at":"2020-01-01T00:00:00Z"}"#;
    assert_eq!(home.run_with(&["store"], stored).status, 0);
    home.set("ACME_TOKEN", "");
    let ended = home.run(&["get", "--provider", "acme"]);
    assert_eq!(
        (ended.status, ended.json()["error"]["code"].as_str()),
        (1, Some("session_expired")),
        "{ended:?}"
    );
    assert!(
        server.requests().iter().all(|request| request.path != "/v1/auth/refresh"),
        "keys are not refreshed"
    );
}

#[test]
fn the_project_option_precedes_or_follows_the_command() {
    let (server, project, key) = shop(Role::Read);
    let mut home = home(&server);
    home.set("MICROTICA_TOKEN", &key.key);
    let before = home.run(&["--project", &project, "env", "list"]);
    let behind = home.run(&["env", "list", "--project", &project]);
    assert_eq!((before.status, &before.output), (0, &behind.output), "{before:?} {behind:?}");
}
