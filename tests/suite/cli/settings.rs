//! `config`, `login --token`, and the refresh in passing of a login that is seldom used.

use std::time::{Duration, Instant};

use crate::support::{HELPER, Home, finish, service, spawn, strace};

const DAY: Duration = Duration::from_secs(24 * 3600);

#[test]
fn the_api_url_is_shared_with_my_and_other_keys_are_kept() {
    let home = Home::new();
    home.write(
        ".my/config.json",
        r#"{"api_url":"https://a.example","telemetry_enabled":false,"other":{"x":[1]}}"#,
    );
    assert_eq!(home.run(&["config", "set", "api_url", "https://b.example/"]).status, 0);
    let config: serde_json::Value =
        serde_json::from_str(&home.read(".my/config.json").unwrap()).unwrap();
    let expected = serde_json::json!({ "api_url": "https://b.example", "telemetry_enabled": false, "other": { "x": [1] } });
    assert_eq!(config, expected);
    let refused = home.run(&["config", "set", "api_url", "http://b.example"]);
    assert_eq!(refused.status, 2, "plain http is for loopback addresses: {refused:?}");
}

#[test]
fn options_variables_configuration_and_defaults_in_order() {
    let mut home = Home::new();
    let url = |home: &Home, flags: &[&str]| {
        home.run(&[flags, &["config", "get", "api_url", "--json"]].concat()).json()["value"].clone()
    };
    assert_eq!(url(&home, &[]), "https://api.mycli.sh");
    home.write(".my/config.json", r#"{"api_url":"https://configured.example"}"#);
    assert_eq!(url(&home, &[]), "https://configured.example");
    home.set("MY_API_URL", "https://variable.example");
    assert_eq!(url(&home, &[]), "https://variable.example");
    assert_eq!(url(&home, &["--api-url", "https://flag.example"]), "https://flag.example");
}

#[test]
fn a_session_is_not_moved_to_another_service() {
    let server = service();
    let (mut home, session) = Home::logged_in(&server);
    let other = service();
    assert_eq!(home.run(&["config", "set", "api_url", other.url()]).status, 2);
    home.set("MY_API_URL", other.url());
    let outcome = home.run(&["get"]);
    assert_eq!(outcome.status, 1, "{outcome:?}");
    let message = format!("logged in at {}, not {}", server.url(), other.url());
    assert!(
        outcome.messages.contains(&message) && !outcome.output.contains(&session.access_token),
        "{outcome:?}"
    );
    assert_eq!(home.run(&["whoami"]).status, 1);
    assert!(other.requests().is_empty(), "nothing was sent there");
}

#[test]
fn a_token_of_a_variable_is_not_sent_to_a_url_of_a_variable() {
    const OTHER: &str = "https://other.example";
    let key = "mic_0123456789abcdef0123456789abcdef01234567";
    for (provider, token, url) in [
        ("mycli", "MY_API_TOKEN", "MY_API_URL"),
        ("microtica", "MICROTICA_TOKEN", "MICROTICA_API_URL"),
    ] {
        let mut home = Home::new();
        home.only_tools(&[]);
        home.set("MY_PROVIDER", provider);
        home.set(token, key);
        home.set(url, OTHER);
        let configure = |text: &str| {
            let text = format!("[providers.{provider}]\n{text}\n");
            home.write(".config/my-credential-helper/config.toml", &text);
        };
        let raw = |arguments: &[&str]| {
            let outcome = home.run(&[&["get", "--format", "raw"], arguments].concat());
            (outcome.status, outcome.output)
        };
        let sent = || (0, format!("{key}\n"));
        configure("hosts = ['git.acme.dev']");
        for arguments in [
            &["get"][..],
            &["get", "--url", "https://other.example/x"],
            &["whoami"],
            &["exec", "--", "env"],
            &["export", "--format", "sh"],
            &["status", "--check"],
            &["pnpm"],
            &["goauth"],
            &["doctor"],
        ] {
            let outcome = home.run(arguments);
            let text = outcome.output + &*outcome.messages;
            assert!(outcome.status != 0 && !text.contains(key), "{arguments:?}: {text}");
            let message = format!("{token} is not sent to {OTHER}, which only {url} names");
            assert!(text.contains(&message), "{arguments:?}: {text}");
        }
        assert_eq!(raw(&["--url", "https://git.acme.dev/x"]), sent(), "a configured host");
        assert_eq!(raw(&["--api-url", OTHER]), sent(), "an option");
        configure("hosts = ['other.example']");
        assert_eq!(raw(&[]), sent());
        configure("api_url = 'https://other.example/v2'");
        assert_eq!(raw(&[]), sent(), "the configured host");
    }
}

#[test]
fn hosts_are_patterns_that_are_checked_before_they_are_written() {
    let server = service();
    let (home, session) = Home::logged_in(&server);
    assert_eq!(home.run(&["config", "set", "hosts", "*"]).status, 2);
    assert_eq!(home.run(&["config", "set", "hosts", "git.acme.dev", "*.reg.acme.dev"]).status, 0);
    assert_eq!(home.run(&["config", "get", "hosts"]).output, "git.acme.dev *.reg.acme.dev\n");
    let raw = |url: &str| home.run(&["get", "--format", "raw", "--url", url]).output;
    assert_eq!(raw("https://a.reg.acme.dev/v2/"), format!("{}\n", session.access_token));
    assert_eq!(raw("https://reg.acme.dev/v2/"), "");
    assert_eq!(home.run(&["config", "unset", "hosts"]).status, 0);
    assert_eq!(raw("https://git.acme.dev/"), "");
}

#[test]
fn an_api_token_is_stored_in_the_format_of_my() {
    let server = service();
    let home = Home::at(&server);
    let token = server.api_token("me@acme.dev", "ci").unwrap().token;
    for bad in ["myc_12", "myc_0000000000000000000000000000000000000000"] {
        assert_ne!(home.run_with(&["login"], bad).status, 0);
        assert_eq!(home.session(), None, "nothing is written before the token is checked");
    }
    for bad in [format!("Bearer {token}"), format!("\"{token}\""), format!("{token} {token}")] {
        let outcome = home.run_with(&["login"], &bad);
        assert_eq!(outcome.status, 2, "{outcome:?}");
        assert!(
            outcome.messages.starts_with("error: the token ") && !outcome.messages.contains(&token)
        );
    }
    let outcome = home.run_with(&["login"], format!("\u{feff} {token} \r\n"));
    assert!(
        outcome.output.starts_with("Logged in to mycli as me@acme.dev. Saved in the file: "),
        "{outcome:?}"
    );
    let session = home.session().unwrap();
    assert_eq!(session["access_token"], token.as_str());
    assert_eq!(
        (&session["refresh_token"], &session["expires_at"]),
        (&"".into(), &"9999-12-31T00:00:00Z".into())
    );
    assert_eq!(home.token(), token);
    assert_eq!(home.run(&["get"]).json().get("expires_at"), None, "it does not end");
}

#[test]
fn a_token_replaces_a_session_only_with_force() {
    let server = service();
    let (home, session) = Home::logged_in(&server);
    let token = server.api_token("me@acme.dev", "ci").unwrap().token;
    let refused = home.run_with(&["login"], &token);
    assert_eq!(refused.status, 2, "{refused:?}");
    assert_eq!(home.token(), session.access_token);
    assert_eq!(home.run_with(&["login", "--force"], &token).status, 0);
    assert_eq!(home.token(), token);
}

#[test]
fn a_rarely_used_session_is_refreshed_weekly() {
    let server = service();
    let home = Home::at(&server);
    let session = server.session("me@acme.dev").unwrap();
    for (age, verb, refreshes) in
        [(6 * DAY, "status", 0), (8 * DAY, "list", 0), (8 * DAY, "status", 1)]
    {
        home.write_session(&session, Duration::ZERO, age);
        let outcome = home.run(&[verb]);
        assert_eq!((outcome.status, outcome.messages.as_str()), (0, ""), "it is silent");
        assert_eq!(server.refresh_requests(), refreshes, "{verb} after {age:?}");
    }
    let kept = home.session().unwrap();
    assert_ne!(kept["refresh_token"], session.refresh_token.as_str());
}

#[test]
fn with_the_variable_set_no_weekly_refresh_happens() {
    let server = service();
    let mut home = Home::at(&server);
    home.write_session(&server.session("me@acme.dev").unwrap(), Duration::ZERO, 8 * DAY);
    home.set("MY_API_TOKEN", "myc_1");
    assert_eq!(home.run(&["status"]).status, 0);
    assert_eq!(home.run(&["whoami"]).status, 4, "the service refuses it");
    assert_eq!(server.refresh_requests(), 0);
}

#[test]
fn options_of_commands_have_no_effect_on_operations() {
    let mut home = Home::new();
    home.set("MY_API_TOKEN", "myc_1");
    for verb in ["get", "list", "capabilities"] {
        let plain = home.run(&[verb]);
        assert_eq!(plain.status, 0, "{plain:?}");
        for flag in ["--json", "-q", "--quiet"] {
            assert_eq!(home.run(&[verb, flag]).output, plain.output, "{verb} {flag}");
            assert_eq!(home.run(&[flag, verb]).output, plain.output, "{flag} {verb}");
            assert_eq!(
                home.run(&["--quiet", verb, flag]).output,
                plain.output,
                "--quiet {verb} {flag}"
            );
        }
    }
    assert_eq!(home.run(&["get", "--jsno"]).status, 2, "what is misspelt is told");
}

#[test]
fn the_project_option_is_shown_only_where_it_applies() {
    let home = Home::new();
    assert!(home.run(&["env", "list", "--help"]).output.contains("--project ID"));
    for verb in [&["get"][..], &["login"], &["token", "list"], &[]] {
        let help = home.run(&[verb, &["--help"]].concat());
        assert!(help.status == 0 && !help.output.contains("--project"), "{help:?}");
    }
}

#[test]
fn a_file_without_certificates_is_not_configured() {
    let home = Home::new();
    home.write("empty.pem", "");
    home.write("roots.pem", "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n");
    for (bad, reason) in [
        ("nowhere.pem", "not found"),
        ("empty.pem", "the file contains no certificate"),
        (".", "is a directory"),
    ] {
        let refused = home.run(&["config", "set", "ca_file", bad]);
        assert_eq!(refused.status, 2, "{refused:?}");
        assert!(
            refused.messages.contains(&format!("cannot load the certificates in {bad}: ")),
            "{refused:?}"
        );
        assert!(refused.messages.contains(reason), "{refused:?}");
    }
    assert_eq!(home.read(".config/my-credential-helper/config.toml"), None);
    assert_eq!(home.run(&["config", "set", "ca_file", "roots.pem"]).status, 0);
    assert_eq!(home.run(&["config", "set", "ca_file", "~/roots.pem"]).status, 0);
    let absolute = home.path().join("roots.pem");
    assert_eq!(home.run(&["config", "get", "ca_file"]).output, format!("{}\n", absolute.display()));
}

#[test]
fn a_relative_path_of_a_client_secret_is_rejected() {
    let home = Home::new();
    let configure = |path: &str| {
        let text = format!(
            "[providers.acme]\nkind = 'oauth'\nclient_id = 'me'\nclient_secret_file = '{path}'\n\
             token_endpoint = 'http://127.0.0.1:9/token'\n"
        );
        home.write(".config/my-credential-helper/config.toml", &text);
        home.run(&["--provider", "acme", "login", "--client-credentials"])
    };
    for path in ["secret", "./secret", "~other/secret", "~"] {
        let outcome = configure(path);
        assert_eq!(outcome.status, 2, "{outcome:?}");
        assert!(
            outcome.messages.contains("config.toml has a relative path: client_secret_file"),
            "{outcome:?}"
        );
    }
    let missing = configure("~/secret");
    let file = home.path().join("secret");
    let message = format!("acme needs a client secret, and {} is missing", file.display());
    assert!(missing.messages.contains(&message), "{missing:?}");
    home.write("secret", "hush\n");
    assert_eq!(configure("~/secret").status, 3, "the service is not there");
}

#[test]
fn protocols_print_usage_or_nothing_as_the_tool_expects() {
    use crate::support::{HELPER, finish, spawn};
    let home = Home::new();
    for (tool, program) in [("git", "git-credential-my"), ("docker", "docker-credential-my")] {
        let link = home.path().join(program);
        std::os::unix::fs::symlink(HELPER, &link).unwrap();
        let by_name = |arguments: &[&str]| {
            let mut command = home.command(&link);
            command.args(arguments);
            finish(spawn(command), b"")
        };
        for asked in
            [by_name(&["--help"]), home.run(&[tool, "-h"]), home.run(&["--quiet", tool, "--help"])]
        {
            let first = format!("Usage: my-credential-helper {tool} <get|store|erase|");
            assert!(
                asked.output.starts_with(&first) && asked.output.contains(program),
                "{asked:?}"
            );
            assert_eq!((asked.status, asked.messages.as_str()), (0, ""));
        }
        for told in [by_name(&[]), home.run(&[tool]), home.run(&["--quiet", tool])] {
            assert!(
                told.status != 0
                    && [told.output, told.messages].concat().contains(&format!("{program} <get|"))
            );
        }
    }
    for tool in ["kubectl", "goauth"] {
        let asked = home.run(&[tool, "--help"]);
        assert!(
            asked.output.starts_with(&format!("Usage: my-credential-helper {tool}\n")),
            "{asked:?}"
        );
    }
    let unknown = home.run(&["git", "approve"]);
    assert_eq!(
        (unknown.status, unknown.output, unknown.messages),
        (0, String::new(), String::new())
    );
    assert!(
        home.run(&["get", "--help"]).output.contains("--explain"),
        "a verb of one's own has the long help"
    );
}

const CONFIGURATION: &str = ".config/my-credential-helper/config.toml";

#[test]
fn hosts_are_added_and_removed_singly() {
    let home = Home::new();
    let hosts = || home.run(&["config", "get", "hosts"]).output;
    let added = home.run(&["config", "add", "hosts", "git.acme.dev", "*.reg.acme.dev"]);
    assert_eq!(added.output, "hosts is now git.acme.dev *.reg.acme.dev.\n", "{added:?}");
    home.run(&["config", "add", "hosts", "GIT.acme.dev", "git.acme.dev:8443"]);
    assert_eq!(hosts(), "git.acme.dev *.reg.acme.dev git.acme.dev:8443\n", "no host twice");
    let before = home.read(CONFIGURATION);
    for bad in
        [&["add", "hosts", "*"][..], &["add", "hosts", "x.dev", "a b"], &["add", "store", "x"]]
    {
        assert_eq!(home.run(&[&["config"], bad].concat()).status, 2, "{bad:?}");
    }
    let unknown = home.run(&["config", "remove", "hosts", "git.acme.dev", "other.dev"]);
    assert!(
        unknown.status == 1 && unknown.messages.contains("`other.dev` is not in `hosts`"),
        "{unknown:?}"
    );
    assert_eq!(home.read(CONFIGURATION), before, "all or nothing");
    home.run(&["config", "remove", "hosts", "Git.Acme.dev"]);
    assert_eq!(hosts(), "*.reg.acme.dev git.acme.dev:8443\n");
    let last = home.run(&["config", "remove", "hosts", "*.reg.acme.dev", "git.acme.dev:8443"]);
    assert_eq!(last.output, "hosts is now empty.\n");
    assert_eq!(home.run(&["config", "get", "hosts"]).status, 1);
}

#[test]
fn the_path_of_the_configuration_is_printed() {
    let home = Home::new();
    let path = home.path().join(CONFIGURATION);
    assert_eq!(home.run(&["config", "path"]).output, format!("{}\n", path.display()));
    assert_eq!(home.run(&["config", "path", "--json"]).json()["path"], path.to_str().unwrap());
    home.write(CONFIGURATION, "not TOML");
    assert_eq!(home.run(&["config", "path"]).status, 0, "so that it can be corrected");
    let mut home = home;
    home.set("XDG_CONFIG_HOME", home.path().join("a\u{1b}[2J"));
    let printed = home.run(&["config", "path"]).output;
    assert!(printed.contains("a\\u{1b}[2J"), "{printed:?}");
}

#[test]
fn an_error_of_the_configuration_has_its_line() {
    let home = Home::new();
    for (text, line) in [
        ("# ä\n\nprovider = hunter2\n", 3),
        ("store = 'file'\nprovider = 'a'\nprovider = 'hunter2'\n", 3),
        ("[providers.acme]\nkind = 'oauth'\nclient_idd = 'hunter2'\n", 3),
        ("store = 'hunter3'", 1),
    ] {
        home.write(CONFIGURATION, text);
        for command in [&["status"][..], &["config", "set", "store", "file"]] {
            let outcome = home.run(command);
            let expected = format!("config.toml cannot be read: line {line}: ");
            // `config set` reads the syntax only, before it writes.
            let is_checked = command[0] == "status" || text.contains("= hunter2");
            assert!(!is_checked || outcome.messages.contains(&expected), "{text}: {outcome:?}");
            assert!(!outcome.messages.contains("hunter2"), "{outcome:?}");
        }
    }
}

#[test]
fn a_similar_command_is_suggested() {
    let home = Home::new();
    for (typed, meant) in
        [("statsu", "status"), ("logn", "login"), ("dockr", "docker"), ("docter", "doctor")]
    {
        let outcome = home.run(&[typed]);
        assert_eq!(outcome.status, 2, "{outcome:?}");
        assert!(
            outcome.messages.contains("did you mean ")
                && outcome.messages.contains(&format!("`{meant}`")),
            "{outcome:?}"
        );
    }
    let outcome = home.run(&["xyzzy"]);
    assert!(outcome.status == 2 && !outcome.messages.contains("did you mean"), "{outcome:?}");
}

#[test]
fn yes_confirms_and_force_is_still_accepted() {
    let server = service();
    let (home, _) = Home::logged_in(&server);
    for flag in ["--yes", "-y", "--force"] {
        assert_eq!(home.run(&["token", "create", "ci"]).status, 0);
        assert_eq!(home.run(&["token", "revoke", "ci", flag]).status, 0, "{flag}");
    }
    assert_eq!(home.run(&["token", "create", "ci"]).status, 0);
    let outcome = home.run(&["token", "revoke", "ci"]);
    assert!(outcome.status == 2 && outcome.messages.contains("use `--yes`"), "{outcome:?}");
}

#[test]
fn a_file_of_a_job_is_imported_on_request() {
    const FILE: &str = ".config/my-credential-helper/config.toml";
    let home = Home::new();
    let imported = "provider = \"acme\"\n\n# of the job\n[providers.acme]\nkind = \"oauth\"\n\
                    issuer = \"https://login.acme.dev\"\nclient_id = \"ci\"\n\n[providers.acme.identity]\n\
                    source = \"github-actions\"\naudience = \"a\"\nexchange = \"token-exchange\"\n";
    home.write("app/identity.toml", imported);
    let import = |arguments: &[&str]| {
        let mut command = home.command(HELPER);
        command.args(["config", "import"]).args(arguments).current_dir(home.path().join("app"));
        finish(spawn(command), b"")
    };
    home.write("app/my-credential-helper.toml", imported);
    assert!(!home.run(&["config", "list"]).output.contains("acme"), "nothing is read by itself");
    home.write(
        FILE,
        "[providers.acme]\nkind = \"gitlab\"\n\n# mine\n[providers.other]\nkind = \"github\"\n",
    );
    let outcome = import(&["identity.toml"]);
    assert_eq!(
        (outcome.status, &*outcome.output),
        (0, "Imported acme from identity.toml.\n"),
        "{outcome:?}"
    );
    let text = home.read(FILE).unwrap();
    for words in
        ["provider = \"acme\"", "# mine", "[providers.other]", "source = \"github-actions\""]
    {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(!text.contains("gitlab"), "the whole table is replaced: {text}");
    let tried = home.run(&["get", "--explain"]).messages;
    assert!(tried.contains("identity of github-actions"), "{tried}");
    assert_eq!(import(&["identity.toml"]).status, 0, "again");

    let session = "{\"access_token\":\"hunter2\",\"expires_at\":\"9999-12-31T00:00:00Z\"}";
    home.write(".my/sessions/acme/default.json", session);
    assert_eq!(import(&["identity.toml"]).status, 0, "nothing changes");
    for (contents, message) in [
        (imported.replace("login.acme.dev", "evil.dev"), "logged in to acme"),
        (
            "store = \"file\"\n".to_owned(),
            "has `store`: only `provider` and `providers` are imported",
        ),
        (imported.replace("audience = \"a\"", ""), "[providers.acme.identity] has no `audience`"),
        (imported.replace("issuer", "isuer"), "unknown field `isuer`"),
        (
            imported.replace("client_id = \"ci\"", "client_secret_file = \"secret\""),
            "has a relative path: client_secret_file",
        ),
        ("[".to_owned(), "identity.toml"),
    ] {
        home.write("app/identity.toml", &contents);
        let outcome = import(&["identity.toml"]);
        assert!(
            outcome.status != 0 && outcome.messages.contains(message),
            "{message}: {outcome:?}"
        );
        assert_eq!(home.read(FILE).unwrap(), text, "{message}");
    }
    assert!(import(&["none.toml"]).messages.contains("none.toml does not exist"));
}

/// Another process changes the configuration and logs in while the import waits for the lock.
#[test]
fn an_import_reads_the_configuration_under_its_lock() {
    if !strace::is_permitted() {
        return;
    }
    let home = Home::new();
    let provider = |host: &str| {
        format!(
            "[providers.acme]\nkind = \"oauth\"\nissuer = \"https://{host}\"\nclient_id = \"ci\"\n"
        )
    };
    let file = home.write("job.toml", &provider("evil.dev"));
    let lock = home.write(".my/sessions/accounts.lock", "");
    let lock = std::fs::File::open(lock).unwrap();
    fs2::FileExt::lock_exclusive(&lock).unwrap();
    let log = home.path().join("strace.log");
    let mut command = home.command("strace");
    command.args(["-qq", "-e", "trace=flock", "-o"]).arg(&log).arg(HELPER);
    let child = spawn({
        command.args(["config", "import"]).arg(file);
        command
    });
    let waits = || std::fs::read_to_string(&log).is_ok_and(|calls| calls.contains("EAGAIN"));
    let started = Instant::now();
    while !waits() {
        assert!(started.elapsed() < Duration::from_secs(4), "it waits for the lock");
        std::thread::yield_now();
    }
    home.configure(&provider("login.acme.dev"));
    let session = "{\"access_token\":\"hunter2\",\"expires_at\":\"9999-12-31T00:00:00Z\"}";
    home.write(".my/sessions/acme/default.json", session);
    drop(lock);
    let outcome = finish(child, b"");
    assert!(outcome.messages.contains("logged in to acme"), "{outcome:?}");
    let configuration = home.read(".config/my-credential-helper/config.toml").unwrap();
    assert_eq!(configuration, provider("login.acme.dev"), "{outcome:?}");
}

/// `acme` and `beta` with these hosts.
fn two_providers(acme: &str, beta: &str) -> String {
    let table = |name: &str, hosts: &str| {
        let (upper, key) = (name.to_uppercase(), "kind = \"api_key\"");
        format!(
            "[providers.{name}]\n{key}\napi_url = \"https://api.{name}.dev\"\nhosts = [{hosts}]\n\
             token_variable = \"{upper}_TOKEN\"\nheader = \"Authorization: Bearer\"\n"
        )
    };
    format!("{}{}", table("acme", acme), table("beta", beta))
}

#[test]
fn no_host_of_another_provider_is_imported() {
    const FILE: &str = ".config/my-credential-helper/config.toml";
    let home = Home::new();
    let known = two_providers("\"git.acme.dev\"", "");
    for (imported, message) in [
        (
            "[providers.x]\nkind = \"gitlab\"\nhosts = [\"*.acme.dev\"]\nclient_id = \"c\"\n"
                .to_owned(),
            "*.acme.dev is a host of the provider acme",
        ),
        (
            "[providers.mycli]\nhosts = [\"https://api.acme.dev\"]\n".to_owned(),
            "https://api.acme.dev is a host of the provider acme",
        ),
        (
            two_providers("\"git.acme.dev\"", "\"git.acme.dev\""),
            "git.acme.dev is a host of the provider ",
        ),
    ] {
        home.write(FILE, &known);
        home.write("job.toml", &imported);
        let file = home.path().join("job.toml");
        let outcome = home.run(&["config", "import", file.to_str().unwrap()]);
        assert_eq!(outcome.status, 2, "{message}: {outcome:?}");
        assert!(outcome.messages.contains(message), "{message}: {outcome:?}");
        assert_eq!(home.read(FILE).as_ref(), Some(&known), "{message}");
    }
    // A provider that is replaced keeps no host.
    home.write("job.toml", &two_providers("", "\"git.acme.dev\""));
    let file = home.path().join("job.toml");
    let outcome = home.run(&["config", "import", file.to_str().unwrap()]);
    assert_eq!(outcome.status, 0, "{outcome:?}");
}

#[test]
fn stores_are_not_imported_and_those_of_the_file_count() {
    let home = Home::new();
    let file = home.path().join("job.toml");
    let import = || home.run(&["config", "import", file.to_str().unwrap()]);
    home.write("job.toml", "[stores.vault]\naddresses = [\"https://bao.acme.dev\"]\n");
    let outcome = import();
    assert_eq!(outcome.status, 2, "{outcome:?}");
    assert!(
        outcome.messages.contains("has `stores`: only `provider` and `providers` are imported")
            && outcome.messages.contains("hint: write `[stores.vault]` into config.toml"),
        "{outcome:?}"
    );
    home.write("job.toml", "[providers.mycli]\nstore = \"vault\"\n");
    let outcome = import();
    assert!(outcome.messages.contains("no table [stores.vault]"), "{outcome:?}");
    home.configure("[stores.vault]\naddresses = [\"https://127.0.0.1:1\"]\n");
    let outcome = import();
    assert_eq!(outcome.status, 0, "the table of config.toml is used: {outcome:?}");
}

/// Somebody has edited the file by hand.
#[test]
fn a_host_that_two_providers_list_gets_no_token() {
    let mut home = Home::new();
    home.set("ACME_TOKEN", "acme-token");
    home.set("BETA_TOKEN", "beta-token");
    home.configure(&two_providers("\"git.acme.dev\", \"a.dev\"", "\"*.acme.dev\""));
    let get = |words: &[&str], host: &str| {
        let url = format!("https://{host}/x");
        home.run(&[&["get", "--format", "raw", "--url", &url], words].concat())
    };
    let outcome = get(&[], "git.acme.dev");
    assert_eq!((outcome.status, &*outcome.output), (2, ""), "{outcome:?}");
    let message = "https://git.acme.dev is in `hosts` of two providers: acme and beta";
    assert!(outcome.messages.contains(message), "{outcome:?}");
    for (words, host, token) in [
        (&["--provider", "acme"][..], "git.acme.dev", "acme-token\n"),
        (&["--provider", "beta"], "git.acme.dev", "beta-token\n"),
        (&[], "a.dev", "acme-token\n"),
        (&[], "x.acme.dev", "beta-token\n"),
    ] {
        assert_eq!(get(words, host).output, token, "{host}");
    }
    let found = home.run(&["doctor", "--json"]).json()["findings"].clone();
    let is_reported = |it: &serde_json::Value| {
        it["check"] == "settings"
            && it["level"] == "problem"
            && it["message"].as_str().is_some_and(|it| it.contains("is a host of the provider"))
            && it["fix"].as_str().is_some_and(|it| it.contains("config remove hosts"))
    };
    assert_eq!(found.as_array().unwrap().iter().filter(|it| is_reported(it)).count(), 1, "{found}");
}

#[test]
fn explain_names_what_was_searched_for_an_unknown_host() {
    let home = Home::new();
    home.configure(&two_providers("\"git.acme.dev\", \"*.a.dev\"", ""));
    for words in [
        &["get", "--explain", "--url", "https://other.dev/x"][..],
        &["get", "--explain", "--format", "raw", "--url", "https://other.dev/x"],
    ] {
        let outcome = home.run(words);
        assert_eq!(outcome.status, 1, "{outcome:?}");
        let tried = "tried: mycli (hosts: api.mycli.sh), microtica (hosts: ";
        for part in [
            tried,
            "acme (hosts: api.acme.dev, git.acme.dev, *.a.dev), beta (hosts: api.beta.dev)",
            "beta (hosts: api.beta.dev), stored logins (no entry)",
        ] {
            assert!(outcome.messages.contains(part), "{part}: {outcome:?}");
        }
    }
    // A tool gets the same answer as before.
    let outcome = home.run(&["get", "--url", "https://other.dev/x"]);
    assert!(!outcome.messages.contains("tried"), "{outcome:?}");
}

#[test]
fn a_hint_names_mycli_where_another_provider_is_the_default() {
    let mut home = Home::new();
    let hints = |home: &Home| {
        let get = home.run(&["get", "--url", "https://api.mycli.sh/x"]).messages;
        let named = home.run(&["--provider", "mycli", "doctor"]).output;
        let login = home.run(&["--provider", "mycli", "login"]).messages;
        [get, named, login]
    };
    for hint in hints(&home) {
        assert!(!hint.contains("--provider mycli"), "{hint}");
    }
    home.set("MY_PROVIDER", "acme");
    home.configure(&two_providers("", ""));
    for hint in hints(&home) {
        assert!(hint.contains("`my-credential-helper --provider mycli login"), "{hint}");
    }
    home.unset("MY_PROVIDER");
    home.configure(&format!("provider = \"acme\"\n{}", two_providers("", "")));
    for hint in hints(&home) {
        assert!(hint.contains("`my-credential-helper --provider mycli login"), "{hint}");
    }
    let hint = home.run(&["get"]).messages;
    assert!(hint.contains("`my-credential-helper --provider acme login`"), "{hint}");
}

/// The accounts are those of this machine: a key of an account that is no longer listed would get another service.
#[test]
fn an_import_keeps_the_accounts_of_a_provider() {
    let home = Home::new();
    let imported = "[providers.acme]\nkind = \"api_key\"\napi_url = \"https://api.acme.dev\"\n\
                    token_variable = \"ACME_KEY\"\nhosts = [\"git.acme.dev\"]\n";
    let import = |text: &str| {
        let file = home.write("identity.toml", text);
        home.run(&["config", "import", file.to_str().unwrap()])
    };
    home.configure(&format!("{imported}# mine\naccounts = [\"work\"]\naccount = \"work\"\n"));
    home.write(
        ".my/sessions/acme/work.json",
        "{\"access_token\":\"hunter2\",\"expires_at\":\"9999-12-31T00:00:00Z\"}",
    );
    assert_eq!(import(imported).status, 0);
    let accounts = home.run(&["account", "list"]).output;
    assert!(accounts.contains("work *"), "{accounts}");
    let outcome = import(&imported.replace("acme.dev", "evil.dev"));
    assert!(outcome.status != 0 && outcome.messages.contains("logged in to acme"), "{outcome:?}");
    assert_eq!(home.run(&["logout", "--all"]).status, 0);
    assert_eq!(home.read(".my/sessions/acme/work.json"), None);
}

#[test]
fn concurrent_changes_of_the_configuration_are_all_kept() {
    let home = Home::new();
    let hosts: Vec<_> = (0..16).map(|number| format!("h{number}.acme.dev")).collect();
    let children: Vec<_> = hosts
        .iter()
        .map(|host| {
            let mut command = home.command(HELPER);
            command.args(["config", "add", "hosts", host]);
            spawn(command)
        })
        .collect();
    for child in children {
        let outcome = finish(child, b"");
        assert_eq!(outcome.status, 0, "{outcome:?}");
    }
    let text = home.read(CONFIGURATION).unwrap();
    for host in hosts {
        assert!(text.contains(&format!("\"{host}\"")), "{host} is missing in {text}");
    }
}
