//! Several accounts with one provider: their selection, their storage and their independence.

use account_server::{Server, git_host::create_repository};

use crate::support::secret_service::SecretService;
use crate::support::{HELPER, Home, Outcome, has_client, service, service_with};

const CONFIGURATION: &str = ".config/my-credential-helper/config.toml";

/// Logged in as `me` and, in the account `work`, as `boss`.
fn with_two_accounts(server: &Server) -> Home {
    let home = Home::at(server);
    log_in(&home, server, "me@acme.dev", &["--username", "me"]);
    log_in(&home, server, "boss@acme.dev", &["--username", "boss", "--account", "work"]);
    home
}

fn log_in(home: &Home, server: &Server, email: &str, more: &[&str]) -> Outcome {
    let outcome = home.log_in(server, email, more);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    outcome
}

/// Whose token it is, by the service.
fn whoami(home: &Home, arguments: &[&str]) -> String {
    let outcome = home.run(&[arguments, &["whoami", "--json"]].concat());
    assert_eq!(outcome.status, 0, "{outcome:?}");
    outcome.json()["email"].as_str().unwrap_or_default().to_owned()
}

/// Which account's token `get` prints; empty for the default one.
fn account(home: &Home, arguments: &[&str], request: &str) -> String {
    let outcome = home.run_with(&[arguments, &["get"]].concat(), request);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    outcome.json()["account"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn an_account_is_selected_by_name_or_as_the_one_in_use() {
    let server = service();
    let mut home = with_two_accounts(&server);
    assert_eq!(whoami(&home, &[]), "me@acme.dev", "a further login does not push the first aside");
    assert_eq!(whoami(&home, &["--account", "work"]), "boss@acme.dev");
    assert_eq!(account(&home, &[], r#"{"account":"work"}"#), "work");
    home.set("MY_ACCOUNT", "work");
    assert_eq!(whoami(&home, &[]), "boss@acme.dev");
    assert_eq!(
        whoami(&home, &["--account", "default"]),
        "me@acme.dev",
        "an option beats a variable"
    );
    home.set("MY_ACCOUNT", "");
    let used = home.run(&["account", "use", "work"]);
    assert_eq!((used.status, &*used.output), (0, "The account in use for mycli is now work.\n"));
    assert_eq!(whoami(&home, &[]), "boss@acme.dev");
    assert_eq!(home.run(&["status", "--json"]).json()["account"], "work");
    let unknown = home.run(&["account", "use", "play"]);
    assert_eq!(unknown.status, 1, "{unknown:?}");
    assert!(unknown.messages.contains("the accounts are default, work"), "{unknown:?}");
}

#[test]
fn the_shared_file_is_only_for_the_default_account() {
    let server = service();
    let home = Home::at(&server);
    log_in(&home, &server, "boss@acme.dev", &["--account", "work"]);
    assert_eq!(home.session(), None, "`my` knows of one login");
    assert_eq!(whoami(&home, &[]), "boss@acme.dev", "the only login is in use");
    let kept = home.read(".my/sessions/mycli/work.json").expect("the session");
    log_in(&home, &server, "me@acme.dev", &["--account", "default"]);
    assert_eq!(home.read(".my/sessions/mycli/work.json"), Some(kept));
    assert!(home.session().is_some());
}

#[test]
fn two_accounts_of_one_person_are_two_sessions() {
    let server = service();
    let home = Home::at(&server);
    log_in(&home, &server, "me@acme.dev", &[]);
    log_in(&home, &server, "me@acme.dev", &["--account", "again"]);
    for name in ["default", "again"] {
        assert_eq!(
            whoami(&home, &["--account", name]),
            "me@acme.dev",
            "{name} is not ended by the other's login"
        );
    }
}

#[test]
fn the_user_name_or_the_longest_pattern_selects_the_account() {
    let server = service();
    let home = with_two_accounts(&server);
    let url = server.url();
    let patterns = format!(
        "[accounts]\n\"{url}/team-a/\" = \"work\"\n\"{url}/team-a/mine\" = \"default\"\n[providers.mycli]\naccounts = [\"work\"]\n"
    );
    home.write(CONFIGURATION, &patterns);
    for (path, username, expected) in [
        ("/", "", ""),
        ("/team-a/x.git", "", "work"),
        ("/team-ab/x.git", "", ""),
        ("/team-a/mine/x.git", "", ""),
        ("/team-a/mine/x.git", "work", "work"),
        ("/team-a/x.git", "default", ""),
        ("/team-a/x.git", "somebody", "work"),
    ] {
        let username = if username.is_empty() {
            String::new()
        } else {
            format!(r#","username":"{username}""#)
        };
        let request = format!(r#"{{"url":"{url}{path}"{username}}}"#);
        assert_eq!(account(&home, &[], &request), expected, "{request}");
    }
    let named = home.run_with(&["get"], format!(r#"{{"url":"{url}","username":"work"}}"#)).json();
    assert_eq!(
        named["username"], "token",
        "the name of an account is not a user name of the service"
    );
    let other =
        home.run_with(&["get"], format!(r#"{{"url":"{url}","username":"somebody"}}"#)).json();
    assert_eq!(other["username"], "somebody");
    let asked = home.run(&[
        "--account",
        "default",
        "get",
        "--url",
        &format!("{url}/team-a/x"),
        "--explain",
    ]);
    assert!(asked.messages.starts_with("tried: account default (--account)"), "{asked:?}");
    let chosen = home.run(&["get", "--url", &format!("{url}/team-a/x"), "--explain"]);
    assert!(
        chosen.messages.starts_with(&format!("tried: account work ([accounts] {url}/team-a/)")),
        "{chosen:?}"
    );
}

#[test]
fn git_clones_each_path_with_the_token_of_its_own_account() {
    if !has_client("git") {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    for name in ["mine.git", "team-a/theirs.git"] {
        std::fs::create_dir_all(root.path().join(name).parent().unwrap()).unwrap();
        create_repository(root.path(), name).unwrap();
    }
    let server = service_with(|settings| settings.git_root = Some(root.path().to_owned()));
    let mut home = with_two_accounts(&server);
    let host = format!("{}/git/basic", server.url());
    home.write(
        CONFIGURATION,
        &format!(
            "[accounts]\n\"{host}/team-a\" = \"work\"\n[providers.mycli]\naccounts = [\"work\"]\n"
        ),
    );
    let configuration = format!("[credential]\nhelper = !{HELPER} git\nuseHttpPath = true\n");
    home.set("GIT_CONFIG_GLOBAL", home.write("gitconfig", &configuration));
    home.set("GIT_TERMINAL_PROMPT", "0");
    let named = host.replace("http://", "http://work@");
    let (default, work) = (".my/credentials.json", ".my/sessions/mycli/work.json");
    for (name, url, other) in [
        ("mine", format!("{host}/mine.git"), work),
        ("theirs", format!("{host}/team-a/theirs.git"), default),
        ("named", format!("{named}/mine.git"), default),
    ] {
        // The host would take either token, so the other account has none that it takes.
        let good = home.read(other).unwrap();
        let kept: serde_json::Value = serde_json::from_str(&good).unwrap();
        home.write(other, &good.replace(kept["access_token"].as_str().unwrap(), "spoiled"));
        let outcome = home.run_client(&["git", "clone", "-q", &url, name]);
        assert_eq!(outcome.status, 0, "{name}: {outcome:?}");
        home.write(other, &good);
    }
}

#[test]
fn each_account_is_refreshed_separately() {
    let server = service();
    let home = with_two_accounts(&server);
    let before = home.session();
    server.advance(std::time::Duration::from_secs(3600));
    let file = ".my/sessions/mycli/work.json";
    let stale = home.read(file).unwrap().replace("\"expires_at\":\"2", "\"expires_at\":\"1");
    home.write(file, &stale);
    server.clear_requests();
    let children: Vec<_> =
        (0..16).map(|_| home.start(&["--account", "work", "get", "--format", "raw"])).collect();
    for child in children {
        let outcome = crate::support::finish(child, b"");
        assert_eq!(outcome.status, 0, "{outcome:?}");
    }
    assert_eq!(server.refresh_requests(), 1);
    assert_eq!(home.session(), before);
    assert_ne!(home.read(file), Some(stale));
}

#[test]
fn a_rejected_token_of_any_account_is_refreshed() {
    let server = service();
    let home = with_two_accounts(&server);
    let file = ".my/sessions/mycli/work.json";
    let old = home.read(file).unwrap().replace("_at\":\"2", "_at\":\"1");
    let kept: serde_json::Value = serde_json::from_str(&old).unwrap();
    let end =
        crate::support::rfc3339(std::time::SystemTime::now() + std::time::Duration::from_secs(600));
    home.write(file, &old.replace(kept["expires_at"].as_str().unwrap(), &end));
    let request = serde_json::json!({ "url": server.url(), "username": "token", "secret": kept["access_token"] });
    assert_eq!(home.run_with(&["erase"], request.to_string()).json()["erased"], true);
    let renewed = home.run(&["--account", "work", "get", "--format", "raw"]);
    assert_eq!(renewed.status, 0, "{renewed:?}");
    assert_ne!(renewed.output.trim_end(), kept["access_token"]);
}

#[test]
fn accounts_are_listed_without_secrets_and_logged_out_singly() {
    let server = service();
    let home = with_two_accounts(&server);
    let listed = home.run(&["account", "list"]);
    let lines: Vec<_> = listed
        .output
        .lines()
        .map(|line| line.split_whitespace().filter(|word| *word != "*").take(4).collect::<Vec<_>>())
        .collect();
    let expected = [
        ["mycli", "default", "me@acme.dev", "session"],
        ["mycli", "work", "boss@acme.dev", "session"],
    ];
    assert_eq!(lines[1..], expected, "{listed:?}");
    assert!(lines[0].starts_with(&["PROVIDER"]) && listed.output.contains("\nmycli     default *"));
    let entries = home.run(&["list"]).json();
    let accounts: Vec<_> =
        entries["credentials"].as_array().unwrap().iter().map(|entry| &entry["account"]).collect();
    assert_eq!(accounts, [&serde_json::Value::Null, &"work".into()], "{entries}");
    home.run(&["account", "use", "work"]);
    let out = home.run(&["logout", "--account", "work"]);
    assert_eq!(out.output, "Logged out of mycli (account work).\n", "{out:?}");
    assert!(out.messages.contains("the account in use for mycli is now `default`"), "{out:?}");
    assert_eq!(whoami(&home, &[]), "me@acme.dev");
    assert_eq!(home.read(".my/sessions/mycli/work.json"), None);
    let gone = home.run(&["--account", "work", "get"]);
    assert_eq!(gone.status, 1);
    assert!(gone.messages.contains("not logged in to mycli (account work)"), "{gone:?}");
    assert!(gone.messages.contains("`my-credential-helper --account work login`"), "{gone:?}");
    home.run(&["logout", "--all"]);
    assert_eq!(home.run(&["account", "list"]).messages, "Not logged in.\n");
}

#[test]
fn a_misconfigured_provider_does_not_prevent_other_logouts() {
    let server = service();
    let (home, _) = Home::logged_in(&server);
    home.write(".config/my-credential-helper/config.toml", "[providers.aaa]\nkind = 'oauth'\n");
    let outcome = home.run(&["logout", "--all"]);
    assert!(outcome.status == 2 && outcome.messages.contains("aaa"), "{outcome:?}");
    assert!(outcome.output.contains("Logged out of mycli"), "{outcome:?}");
    assert_eq!(home.read(".my/credentials.json"), None);
}

#[test]
fn the_keyring_has_one_item_for_each_account() {
    let Some(keyring) = SecretService::start() else { return };
    let server = service();
    let mut home = Home::at(&server);
    home.use_keyring(&keyring);
    log_in(&home, &server, "me@acme.dev", &[]);
    log_in(&home, &server, "boss@acme.dev", &["--account", "work"]);
    let item = [("service", "my-credential-helper"), ("username", "mycli/work")];
    assert_eq!(keyring.attributes_of(&item).len(), 1, "an item of its own");
    assert_eq!(home.read(".my/sessions/mycli/work.json"), None, "and no file");
    let listed = home.run(&["account", "list", "--json"]).json();
    let sources: Vec<_> =
        listed["accounts"].as_array().unwrap().iter().map(|entry| &entry["source"]).collect();
    assert_eq!(sources, ["keyring", "keyring"]);
    assert_eq!(home.run(&["logout", "--account", "work"]).status, 0);
    assert_eq!(keyring.attributes_of(&item).len(), 0);
    assert_eq!(whoami(&home, &[]), "me@acme.dev");
}

#[test]
fn the_second_step_of_a_login_knows_its_account() {
    let server = service();
    let home = Home::at(&server);
    let started = home.run(&["login", "--account", "work", "--email", "me@acme.dev", "--no-wait"]);
    assert_eq!(started.status, 0, "{started:?}");
    let code = crate::support::mail_to(&server, "me@acme.dev").code;
    let other = home.run(&["login", "--account", "play", "--code", &code]);
    assert_eq!(other.status, 2, "{other:?}");
    assert_eq!(home.run(&["login", "--code", &code]).status, 0);
    assert!(home.read(".my/sessions/mycli/work.json").is_some());
}

#[test]
fn account_names_that_are_paths_or_duplicates_are_rejected() {
    let server = service();
    let home = with_two_accounts(&server);
    let before = home.snapshot();
    for (name, part) in [
        ("../work", "is not a valid account name"),
        ("", "is not a valid"),
        ("Work", "is spelled `work`"),
    ] {
        for verb in [&["get"][..], &["login", "--email", "me@acme.dev", "--no-wait"], &["logout"]] {
            let outcome = home.run(&[&["--account", name], verb].concat());
            assert_eq!(outcome.status, 2, "{name:?} {outcome:?}");
            assert!(outcome.messages.contains(part), "{outcome:?}");
        }
    }
    assert!(home.snapshot() == before, "nothing is written");
}
