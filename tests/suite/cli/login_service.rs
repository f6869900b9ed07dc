//! `login https://…`: which service a host is, and what is configured for it. The hosts are doubles that answer as the
//! software does; a service with a discovery document is npm's `oidc-provider`.

use serde_json::json;

use crate::support::oidc::Oidc;
use crate::support::scripted::{Response, Scripted};
use crate::support::terminal::{in_terminal, status_of};
use crate::support::{HELPER, Home};

const CONFIGURATION: &str = ".config/my-credential-helper/config.toml";

/// The paths that a host answers, each with its status.
type Paths = &'static [(&'static str, u16)];

fn ok(body: String) -> Response {
    (200, String::new(), body)
}

/// A host that answers these paths, and every other path with a page, as single-page applications do.
fn host(paths: Paths) -> Scripted {
    // GitLab and others have other endpoints.
    let is_forge = !paths.contains(&GITLAB) && !paths.contains(&OTHER);
    Scripted::start(move |url, request| {
        let status =
            paths.iter().find(|(path, _)| *path == request.path).map(|(_, status)| *status);
        match (status, request.path.as_str()) {
            (None, _) => ok("<!doctype html><title>Sign in</title>".to_owned()),
            (Some(200), "/.well-known/openid-configuration") => ok(json!({
                "issuer": format!("{url}/"),
                "authorization_endpoint": format!("{url}/login/oauth/authorize"),
                "token_endpoint": format!("{url}{}", if is_forge { TOKENS } else { "/token" }),
            })
            .to_string()),
            (Some(200), _) => ok(json!({ "version": "1.26.0" }).to_string()),
            (Some(status), _) => {
                (status, String::new(), json!({ "message": "401 Unauthorized" }).to_string())
            }
        }
    })
}

/// The path of the tokens of Gitea and Forgejo.
const TOKENS: &str = "/login/oauth/access_token";
const OTHER: (&str, u16) = ("/token", 405);
const FORGEJO: (&str, u16) = ("/api/forgejo/v1/version", 200);
const GITEA: (&str, u16) = ("/api/v1/version", 200);
const GITLAB: (&str, u16) = ("/api/v4/version", 401);
const OPENID: (&str, u16) = ("/.well-known/openid-configuration", 200);

#[test]
fn a_host_is_recognized_and_the_registration_is_described() {
    let hosts: [(Paths, &str, &str); 7] = [
        (&[FORGEJO, GITEA, OPENID], "forgejo", "/user/settings/applications"),
        (&[GITEA, OPENID], "gitea", "/user/settings/applications"),
        (&[GITLAB, OPENID], "gitlab", "/-/user_settings/applications"),
        (&[OPENID], "oauth", "the settings of the service"),
        // Signed-in users only.
        (&[("/api/v1/version", 403), OPENID], "gitea", "/user/settings/applications"),
        (
            &[("/api/forgejo/v1/version", 403), ("/api/v1/version", 403), OPENID],
            "forgejo",
            "/user/settings/applications",
        ),
        (&[("/api/v1/version", 403), OPENID, OTHER], "oauth", "the settings of the service"),
    ];
    for (paths, kind, registration) in hosts {
        let host = host(paths);
        for text in [host.url.clone(), format!("{}/", host.url)] {
            let home = Home::new();
            let outcome = home.run(&["login", &text]);
            assert_eq!(outcome.status, 2, "{kind}: {outcome:?}");
            for part in [
                "requires a client ID",
                registration,
                "http://127.0.0.1/callback",
                &format!("kind = \"{kind}\""),
            ] {
                assert!(outcome.messages.contains(part), "{kind}: {part}: {outcome:?}");
            }
            assert_eq!(home.read(CONFIGURATION), None, "nothing is configured without a client ID");
        }
        assert!(
            host.requests()
                .iter()
                .all(|request| !request.head.to_ascii_lowercase().contains("authorization"))
        );
    }
}

#[test]
fn a_host_without_a_service_is_an_error_and_changes_nothing() {
    let home = Home::new();
    let page = host(&[]);
    let other = Scripted::start(|_, _| ok(json!({ "issuer": "https://evil.dev" }).to_string()));
    for (service, part) in [
        (page.url.as_str(), "has no OpenID Connect discovery document"),
        (&other.url, "is for the issuer `https://evil.dev`"),
        ("http://127.0.0.1:9", "Connection refused"),
        ("http://git.acme.dev", "plain http"),
        ("gitea", "name the host"),
        ("git.acme.dev", "https://HOST"),
        ("https://me:hunter2@git.acme.dev", "user"),
    ] {
        let outcome = home.run(&["login", service, "--client-id", "me"]);
        assert_ne!(outcome.status, 0, "{service}: {outcome:?}");
        assert!(outcome.messages.contains(part), "{service}: {outcome:?}");
        assert!(!outcome.messages.contains("hunter2"), "{outcome:?}");
        assert_eq!(home.read(CONFIGURATION), None, "{service}");
    }
}

#[test]
fn a_known_service_is_named_by_its_kind_or_its_host() {
    for service in ["github", "https://github.com", "https://github.com/acme/x"] {
        let home = Home::new();
        let outcome = home.run(&["login", service]);
        assert_eq!(outcome.status, 2, "{outcome:?}");
        for part in ["https://github.com/settings/applications/new", "kind = \"github\""] {
            assert!(outcome.messages.contains(part), "{service}: {outcome:?}");
        }
        assert!(!outcome.messages.contains("issuer ="), "{outcome:?}");
    }
}

#[test]
fn a_provider_is_named_after_the_command_too() {
    let home = Home::new();
    for name in ["microtica", "mycli"] {
        let [named, optional] = [vec!["login", name], vec!["--provider", name, "login"]]
            .map(|arguments| home.run(&arguments));
        assert_eq!(
            (named.status, &named.messages),
            (optional.status, &optional.messages),
            "{name}"
        );
        assert!(!named.messages.contains("neither a URL"), "{named:?}");
    }
}

/// From nothing to a token for git, with one command. Later commands find the provider again.
#[test]
fn one_command_configures_a_service_and_logs_in() {
    let Some(service) = Oidc::start() else { return };
    let mut home = Home::new();
    home.set("MY_NO_KEYRING", "1");
    let login = |arguments: &[&str]| {
        home.run_with(&[&["login", &service.url], arguments].concat(), "wrong-secret")
    };
    // The login itself fails, with the secret on standard input; the configuration stays for the next try.
    let outcome = login(&["--client-id", "robot", "--client-credentials"]);
    assert_ne!(outcome.status, 0, "{outcome:?}");
    assert!(!outcome.messages.contains("wrong-secret"), "{outcome:?}");
    let text = home.read(CONFIGURATION).unwrap();
    let host = service.url.trim_start_matches("http://").to_owned();
    let name = host.replace(['.', ':'], "-");
    for part in [
        format!("[providers.{name}]"),
        "kind = \"oauth\"".to_owned(),
        format!("issuer = \"{}\"", service.url),
        "client_id = \"robot\"".to_owned(),
        format!("hosts = [\"{host}\"]"),
    ] {
        assert!(text.contains(&part), "{part} in {text}");
    }
    login(&["--client-id", "ci", "--client-credentials"]);
    let text = home.read(CONFIGURATION).unwrap();
    assert!(
        text.contains("client_id = \"ci\"") && text.matches("[providers").count() == 1,
        "{text}"
    );
    let outcome = home.run_with(&["login", &service.url, "--client-credentials"], "hush");
    assert_eq!(outcome.status, 0, "{outcome:?}");
    assert!(!outcome.messages.contains("is configured in config.toml"), "{outcome:?}");
    let token =
        home.run(&["get", "--format", "raw", "--url", &format!("{}/ada/x.git", service.url)]);
    assert!(service.is_active(token.output.trim_end()), "{token:?}");
}

#[test]
fn on_a_terminal_the_client_id_is_prompted_for() {
    let Some(service) = Oidc::start() else { return };
    let mut home = Home::new();
    home.set("MY_NO_KEYRING", "1");
    let mut command = home.command(HELPER);
    command.args(["login", &service.url, "--device"]);
    let mut session = in_terminal(&home, command);
    session.exp_string("Register an application at the settings of the service").unwrap();
    session.exp_string("http://127.0.0.1/callback").unwrap();
    session.exp_string("Client ID: ").unwrap();
    session.send_line("helper").unwrap();
    session.exp_string("enter the code").unwrap();
    assert!(home.read(CONFIGURATION).unwrap().contains("client_id = \"helper\""));
}

#[test]
fn after_a_login_on_a_terminal_setup_is_offered() {
    let Some(service) = Oidc::start() else { return };
    let host = service.url.trim_start_matches("http://").to_owned();
    for (answers, is_set_up) in [(&["y", "y"][..], true), (&["y", "n"], false), (&["n"], false)] {
        let mut home = Home::new();
        home.set("MY_NO_KEYRING", "1");
        home.set("PATH", "/usr/bin:/bin");
        home.put_on_path(&home.path().join("bin"));
        let mut command = home.command(HELPER);
        command.args(["login", &service.url, "--client-id", "ci", "--client-credentials"]);
        let mut session = in_terminal(&home, command);
        session.exp_string("Client secret of").unwrap();
        session.send_line("hush").unwrap();
        session.exp_string("Logged in to").unwrap();
        let questions = ["Connect the installed tools (git", "Change this?"];
        for (question, answer) in questions.iter().zip(answers) {
            session.exp_string(question).unwrap();
            session.send_line(answer).unwrap();
        }
        if !is_set_up {
            session.exp_string("setup --all").unwrap();
        }
        assert_eq!(status_of(&mut session), 0, "the login has succeeded: {answers:?}");
        let text = home.read(".gitconfig").unwrap_or_default();
        assert_eq!(text.contains(&host), is_set_up, "{answers:?}: {text}");
    }
}

/// The sessions, the variable and the identity of a provider are not for another service, whatever its name is.
#[test]
fn a_login_does_not_turn_a_provider_into_another_service() {
    let service = host(&[OPENID]);
    let authority = service.url.trim_start_matches("http://").to_owned();
    let derived = authority.replace(['.', ':'], "-");
    let oauth = "kind = 'oauth'\nclient_id = 'x'\nissuer = 'https://login.acme.dev'";
    for (name, settings) in [
        ("mycli", String::new()),
        ("microtica", String::new()),
        (
            "acme",
            "[providers.acme]\nkind = 'api_key'\napi_url = 'https://api.acme.dev'\n\
             token_variable = 'ACME_TOKEN'\n"
                .to_owned(),
        ),
        ("", format!("[providers.{derived}]\n{oauth}\n")),
        ("", format!("[providers.corp]\n{oauth}\nhosts = ['{authority}']\n")),
        ("hub", "[providers.hub]\nkind = 'github'\nclient_id = 'x'\n".to_owned()),
    ] {
        let home = Home::new();
        home.write(CONFIGURATION, &settings);
        let arguments = ["--provider", name, "login", &service.url, "--client-id", "me"];
        let arguments = if name.is_empty() { &arguments[2..] } else { &arguments };
        let outcome = home.run(arguments);
        assert_eq!(outcome.status, 2, "{settings}: {outcome:?}");
        assert!(outcome.messages.contains("is another service than"), "{settings}: {outcome:?}");
        assert_eq!(home.read(CONFIGURATION).unwrap(), settings);
    }
    let home = Home::new();
    let issuer = format!("issuer = '{}/'", service.url);
    let settings = format!("[providers.corp]\nkind = 'oauth'\n{issuer}\nhosts = ['r.acme.dev']\n");
    home.write(CONFIGURATION, &settings);
    home.run(&["login", &service.url, "--client-id", "me", "--device"]);
    let text = home.read(CONFIGURATION).unwrap();
    assert!(text.contains("client_id = \"me\"") && text.contains("['r.acme.dev']"), "{text}");
}

/// The second try uses the client ID of the first one.
#[test]
fn a_configured_client_id_is_named_with_its_option() {
    let Some(service) = Oidc::start() else { return };
    let mut home = Home::new();
    home.set("MY_NO_KEYRING", "1");
    let login = |arguments: &[&str]| home.run(&[&["login", &service.url], arguments].concat());
    assert_ne!(login(&["--client-id", "robot", "--device"]).status, 0);
    let again = login(&["--device"]);
    assert_ne!(again.status, 0, "{again:?}");
    for part in ["The client ID is `robot`", "`--client-id ID` changes it"] {
        assert!(again.messages.contains(part), "{part}: {again:?}");
    }
}

/// `--no-wait` would wait all the same.
#[test]
fn options_of_a_login_by_email_are_refused_by_other_logins() {
    let Some(service) = Oidc::start() else { return };
    let home = Home::new();
    let settings = format!(
        "[providers.acme]\nkind = 'oauth'\nissuer = '{}'\nclient_id = 'helper'\n",
        service.url
    );
    home.configure(&settings);
    for options in [
        &["--email", "me@acme.dev"][..],
        &["--no-wait"],
        &["--code", "123456"],
        &["--username", "ada"],
    ] {
        let by_name = [&["--provider", "acme", "login"], options].concat();
        let by_url = [&["login", &service.url], options].concat();
        for words in [by_name, by_url] {
            let outcome = home.run(&words);
            assert_eq!(outcome.status, 2, "{words:?}: {outcome:?}");
            assert!(outcome.messages.contains(options[0]), "{words:?}: {outcome:?}");
        }
    }
}

#[test]
fn a_host_of_another_provider_is_not_logged_in_to() {
    let host = host(&[GITEA]);
    let home = Home::new();
    home.set_hosts(&[host.url.trim_start_matches("http://")]);
    let before = home.read(CONFIGURATION);
    let outcome = home.run(&["login", &host.url, "--client-id", "x"]);
    assert_eq!(outcome.status, 2, "{outcome:?}");
    assert!(outcome.messages.contains("is a host of the provider mycli"), "{outcome:?}");
    assert_eq!(home.read(CONFIGURATION), before);
}

/// A shell has no variable whose name begins with a digit.
#[test]
fn the_provider_of_an_address_has_a_valid_variable() {
    let home = Home::new();
    home.configure(
        "[providers.10-0-0-5]\nkind = 'oauth'\nissuer = 'https://10.0.0.5'\nclient_id = 'x'\n",
    );
    let mut command = home.command(HELPER);
    command.args(["--provider", "10-0-0-5", "exec", "--", "printenv", "_10_0_0_5_TOKEN"]);
    command.env("_10_0_0_5_TOKEN", "a-token");
    let outcome = crate::support::finish(crate::support::spawn(command), b"");
    assert_eq!((outcome.status, &*outcome.output), (0, "a-token\n"), "{outcome:?}");
    let refused = home.run(&["--provider", "10-0-0-5", "token", "list"]);
    assert!(refused.messages.contains("`--provider mycli`"), "{refused:?}");
}

/// Nothing selects mycli, which is built in.
#[test]
fn doctor_examines_the_only_service_with_a_login() {
    let Some(service) = Oidc::start() else { return };
    let mut home = Home::new();
    home.set("MY_NO_KEYRING", "1");
    home.set("PATH", home.path().join("bin"));
    home.put_on_path(&home.path().join("bin"));
    let words = ["login", &service.url, "--client-id", "ci", "--client-credentials"];
    assert_eq!(home.run_with(&words, "hush").status, 0);
    let report = home.run(&["doctor"]).output;
    assert!(report.contains(&format!("{} is reachable", service.url)), "{report}");
    assert!(!report.contains("mycli"), "{report}");
    home.set("MY_PROVIDER", "mycli");
    let report = home.run(&["doctor"]).output;
    assert!(report.contains("not logged in to mycli"), "{report}");
}

#[test]
fn a_login_keeps_the_configured_name_and_client_id() {
    let Some(service) = Oidc::start() else { return };
    let mut home = Home::new();
    home.set("MY_NO_KEYRING", "1");
    let login = |words: &[&str]| {
        let words = [words, &["login", &service.url, "--client-credentials"]].concat();
        home.run_with(&words, "hush")
    };
    home.run_with(&["login", &service.url, "--client-id", "ci", "--client-credentials"], "hush");
    let before = home.read(CONFIGURATION).unwrap();
    assert!(before.contains("client_id = \"ci\""), "{before}");
    for name in ["second", "mycli", "a b"] {
        let outcome = login(&["--provider", name]);
        assert_eq!(outcome.status, 2, "{name}: {outcome:?}");
        assert!(outcome.messages.contains("hint: omit `--provider"), "{name}: {outcome:?}");
    }
    // A refresh with another client ID would end the session.
    let other = ["login", &service.url, "--client-id", "typo", "--client-credentials"];
    let outcome = home.run_with(&other, "hush");
    assert_eq!(outcome.status, 2, "{outcome:?}");
    assert!(outcome.messages.contains("with the client ID `ci`"), "{outcome:?}");
    assert_eq!(home.read(CONFIGURATION).unwrap(), before);
    home.run_with(&[&other[..], &["--force"]].concat(), "hush");
    assert!(home.read(CONFIGURATION).unwrap().contains("client_id = \"typo\""));
}

/// `GITHUB_TOKEN` is set in every job of GitHub.
#[test]
fn no_service_gets_the_variable_of_a_known_one() {
    let service = host(&[OPENID]);
    let authority = service.url.trim_start_matches("http://").to_owned();
    for name in ["github", "gitlab", "bitbucket", "google"] {
        let mut home = Home::new();
        let words = ["--provider", name, "login", &service.url, "--client-id", "me"];
        let outcome = home.run(&words);
        assert_eq!(outcome.status, 2, "{name}: {outcome:?}");
        assert!(outcome.messages.contains("is another service than"), "{name}: {outcome:?}");
        assert_eq!(home.read(CONFIGURATION), None, "{name}");
        let settings = format!(
            "[providers.{name}]\nkind = 'oauth'\nissuer = '{}'\nclient_id = 'x'\nhosts = ['{authority}']\n",
            service.url
        );
        home.write(CONFIGURATION, &settings);
        let variable = format!("{}_TOKEN", name.to_uppercase());
        home.set(&variable, "the-token-of-the-job");
        let outcome = home.run(&["get", "--format", "raw", "--url", &service.url]);
        assert!(outcome.status != 0 && outcome.output.is_empty(), "{name}: {outcome:?}");
        home.write(CONFIGURATION, &format!("{settings}token_variable = 'OWN_TOKEN'\n"));
        home.set("OWN_TOKEN", "own");
        let outcome = home.run(&["get", "--format", "raw", "--url", &service.url]);
        assert_eq!(outcome.output, "own\n", "{name}: {outcome:?}");
    }
}

#[test]
fn the_first_service_is_the_default_unless_another_is_in_use() {
    let Some(service) = Oidc::start() else { return };
    let words = ["login", &service.url, "--client-id", "ci", "--client-credentials"];
    for (settings, token, is_default) in
        [("", "", true), ("provider = 'microtica'\n", "", false), ("", "myc_token", false)]
    {
        let mut home = Home::new();
        home.set("MY_NO_KEYRING", "1");
        home.write(CONFIGURATION, settings);
        if !token.is_empty() {
            home.set("MY_API_TOKEN", token);
        }
        let outcome = home.run_with(&words, "hush");
        assert_eq!(outcome.status, 0, "{outcome:?}");
        let note = outcome.messages.contains("is now the default provider");
        let text = home.read(CONFIGURATION).unwrap();
        assert_eq!(
            (note, text.contains("provider = \"127-0-0-1")),
            (is_default, is_default),
            "{text}"
        );
        if is_default {
            let token = home.run(&["get", "--format", "raw", "--provider", "mycli"]);
            assert_ne!(token.status, 0);
            assert!(service.is_active(home.token().trim_end()));
        }
    }
}

#[test]
fn the_page_of_a_public_service_is_named_with_its_host() {
    let home = Home::new();
    for (name, parts) in [
        ("gitlab", &["at https://gitlab.com/-/user_settings/applications", "public"][..]),
        ("github", &["https://github.com/settings/applications/new", "public", "login to github"]),
        ("bitbucket", &["confidential", "login to bitbucket"]),
        ("google", &["confidential", "login to google"]),
    ] {
        let outcome = home.run(&["login", name]);
        for part in parts {
            assert!(outcome.messages.contains(part), "{name}: {part}: {outcome:?}");
        }
    }
}
