//! git: the real client, every version of it that is here, against a host that asks in each of its ways.

mod push;

use std::path::{Path, PathBuf};
use std::time::Duration;

use account_server::git_host::create_repository;
use account_server::{Authorization, Server};
use tempfile::TempDir;

use crate::support::{
    HELPER, Home, Outcome, check_integration, finish, has_client, service_with, spawn,
};

/// The ways in which the configuration can name the helper; `@` stands for its path, `^` for the server's URL.
const WAYS: [&str; 5] = [
    "[credential]\nhelper = my\n",
    "[credential]\nhelper = @ git\n",
    "[credential]\nhelper = !@ git\n",
    "[credential]\nhelper = \"!f() { @ git \\\"$1\\\"; }; f\"\n",
    "[credential \"^\"]\nhelper = my\n",
];

/// Every git that is installed: what PATH finds, and the distribution's own.
fn gits() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = Vec::new();
    for path in ["/usr/local/bin/git", "/usr/bin/git"].map(PathBuf::from) {
        if path.is_file()
            && found.iter().all(|other| other.canonicalize().ok() != path.canonicalize().ok())
        {
            found.push(path);
        }
    }
    if found.is_empty() && has_client("git") { vec!["git".into()] } else { found }
}

/// A service that hosts one repository, `hello.git`.
fn host() -> (Server, TempDir) {
    let root = tempfile::tempdir().unwrap();
    create_repository(root.path(), "hello.git").unwrap();
    let server = service_with(|settings| settings.git_root = Some(root.path().to_owned()));
    (server, root)
}

/// One git in one home.
struct Git<'a> {
    program: &'a Path,
    home: Home,
}

impl<'a> Git<'a> {
    /// Puts the helper on PATH and this into the configuration.
    fn new(
        program: &'a Path,
        mut home: Home,
        server: Option<&Server>,
        configuration: &str,
    ) -> Self {
        let bin = home.path().join("bin");
        if !bin.exists() {
            std::fs::create_dir(&bin).unwrap();
            std::os::unix::fs::symlink(HELPER, bin.join("git-credential-my")).unwrap();
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        home.set(
            "PATH",
            std::env::join_paths([bin].into_iter().chain(std::env::split_paths(&path))).unwrap(),
        );
        for (name, value) in [
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_TERMINAL_PROMPT", "0"),
            ("LC_ALL", "C"),
            ("GIT_AUTHOR_NAME", "Ada"),
            ("GIT_AUTHOR_EMAIL", "ada@acme.dev"),
            ("GIT_COMMITTER_NAME", "Ada"),
            ("GIT_COMMITTER_EMAIL", "ada@acme.dev"),
        ] {
            home.set(name, value);
        }
        let configuration =
            configuration.replace('@', HELPER).replace('^', server.map_or("", Server::url));
        home.set("GIT_CONFIG_GLOBAL", home.write("gitconfig", &configuration));
        Self { program, home }
    }

    fn run_with(&self, arguments: &[&str], input: &str) -> Outcome {
        let mut command = self.home.command(self.program);
        command.args(arguments);
        finish(spawn(command), input.as_bytes())
    }

    fn run(&self, arguments: &[&str]) -> Outcome {
        self.run_with(arguments, "")
    }

    /// Runs git, which must succeed and have nothing to say.
    #[track_caller]
    fn quietly(&self, arguments: &[&str]) {
        let outcome = self.run(arguments);
        assert_eq!(
            (outcome.status, &*outcome.messages),
            (0, ""),
            "{} {arguments:?}",
            self.program.display()
        );
    }

    #[track_caller]
    fn approve(&self, description: &str) {
        let outcome = self.run_with(&["credential", "approve"], description);
        assert_eq!((outcome.status, &*outcome.messages), (0, ""), "{description}");
    }

    #[track_caller]
    fn reject(&self, description: &str) {
        let outcome = self.run_with(&["credential", "reject"], description);
        assert_eq!((outcome.status, &*outcome.messages), (0, ""), "{description}");
    }

    /// What `git credential fill` finds: user name and password. Without one git would ask, which it may not.
    #[track_caller]
    fn fill(&self, description: &str) -> Option<(String, String)> {
        let outcome = self.run_with(&["credential", "fill"], description);
        if outcome.status != 0 {
            assert!(outcome.messages.contains("terminal prompts disabled"), "{}", outcome.messages);
            assert!(
                !outcome.messages.contains("error:"),
                "the helper is silent: {}",
                outcome.messages
            );
            return None;
        }
        let value = |key: &str| {
            outcome.output.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default()
        };
        Some((value("username=").to_owned(), value("password=").to_owned()))
    }

    /// Whether this git sends `capability[]=authtype` (2.46).
    fn carries_bearer(&self) -> bool {
        let version = self.run(&["--version"]).output;
        let mut numbers =
            version.split(['.', ' ']).filter_map(|part| part.trim().parse::<u32>().ok());
        (numbers.next(), numbers.next()) >= (Some(2), Some(46))
    }
}

fn url(server: &Server, challenge: &str) -> String {
    format!("{}/git/{challenge}/hello.git", server.url())
}

fn login(username: &str, password: &str) -> (String, String) {
    (username.to_owned(), password.to_owned())
}

#[test]
fn git_shows_that_nobody_is_logged_in() {
    if !has_client("git") {
        return;
    }
    let server = service_with(|_| {});
    let mut home = Home::at(&server);
    home.set(
        "GIT_CONFIG_GLOBAL",
        home.write("gitconfig", &format!("[credential]\nhelper = !{HELPER} git\n")),
    );
    home.set("GIT_TERMINAL_PROMPT", "0");
    let fill = |url: &str| {
        let (scheme, host) = url.split_once("://").unwrap();
        let mut git = home.command("git");
        git.args(["credential", "fill"]);
        let input = format!("protocol={scheme}\nhost={host}\n\n");
        finish(spawn(git), input.as_bytes()).messages
    };
    let shown = fill(server.url());
    let line = shown.lines().next().unwrap();
    assert!(line.starts_with("note: not logged in to mycli; tried: "), "{shown}");
    assert!(
        line.ends_with("`my-credential-helper login`")
            || line.contains("my-credential-helper login"),
        "{shown}"
    );
    let shown = fill("https://git.example.com");
    assert!(!shown.contains("note:"), "a host of no provider: {shown}");
}

#[test]
fn git_works_with_every_challenge_of_the_host() {
    for program in gits() {
        let (server, _root) = host();
        let (home, _) = Home::logged_in(&server);
        let git = Git::new(&program, home, Some(&server), WAYS[0]);
        for challenge in ["basic", "both", "bearer"] {
            if challenge == "bearer" && !git.carries_bearer() {
                continue;
            }
            server.clear_requests();
            git.quietly(&["clone", "-q", &url(&server, challenge), challenge]);
            git.quietly(&["-C", challenge, "commit", "-q", "--allow-empty", "-m", challenge]);
            git.quietly(&[
                "-C",
                challenge,
                "push",
                "-q",
                "origin",
                &format!("HEAD:refs/heads/{challenge}"),
            ]);
            git.quietly(&["-C", challenge, "fetch", "-q"]);
            let carried = |kind| {
                server.requests().iter().filter(|request| request.authorization == kind).count()
            };
            assert!(carried(Authorization::Jwt) >= 5, "the session went along ({challenge})");
            assert_eq!(carried(Authorization::Other), 0);
        }
        git.quietly(&["-C", "basic", "fetch", "-q"]);
        assert_eq!(
            git.run(&["-C", "basic", "rev-parse", "--verify", "origin/both"]).status,
            0,
            "what was pushed"
        );
    }
}

#[test]
fn git_finds_the_helper_in_every_form_of_configuration() {
    for program in gits() {
        for way in WAYS {
            let (server, _root) = host();
            let (home, _) = Home::logged_in(&server);
            let git = Git::new(&program, home, Some(&server), way);
            git.quietly(&["clone", "-q", &url(&server, "basic"), "basic"]);
            git.quietly(&["clone", "-q", &url(&server, "both"), "both"]);
            assert!(git.home.read("both/README.md").is_some(), "{way}");
        }
    }
}

#[test]
fn git_before_2_46_cannot_use_a_host_with_bearer_only() {
    for program in gits() {
        let (server, _root) = host();
        let (home, session) = Home::logged_in(&server);
        home.write_session(&session, Duration::from_secs(900), Duration::from_secs(600));
        let git = Git::new(&program, home, Some(&server), WAYS[0]);
        if git.carries_bearer() {
            continue;
        }
        let outcome = git.run(&["clone", "-q", &url(&server, "bearer"), "clone"]);
        // git asks for a password, libcurl finds no Basic challenge to answer, and git takes the second 401 for a refusal.
        assert_eq!(outcome.status, 128);
        assert!(outcome.messages.contains("Authentication failed"), "{}", outcome.messages);
        assert_eq!(
            server
                .requests()
                .iter()
                .filter(|request| request.authorization != Authorization::None)
                .count(),
            0
        );
        assert!(!git.home.token().is_empty(), "the login outlives what git took for a refusal");
        assert_eq!(server.refresh_requests(), 1);
    }
}

#[test]
fn a_clone_with_a_stale_session_succeeds_at_once() {
    for program in gits() {
        let (server, _root) = host();
        let (home, old) = Home::with_stale_session(&server);
        let git = Git::new(&program, home, Some(&server), WAYS[0]);
        git.quietly(&["clone", "-q", &url(&server, "both"), "clone"]);
        assert_eq!(server.refresh_requests(), 1);
        for _ in 0..5 {
            git.quietly(&["-C", "clone", "fetch", "-q"]);
        }
        assert_eq!(server.refresh_requests(), 1, "every later call finds the session fresh");
        assert_ne!(git.home.session().unwrap()["access_token"], old.access_token.as_str());
    }
}

#[test]
fn a_rejected_token_is_refreshed_for_the_next_command() {
    for program in gits() {
        for challenge in ["basic", "both"] {
            let (server, _root) = host();
            let (home, session) = Home::logged_in(&server);
            home.write_session(&session, Duration::from_secs(800), Duration::from_secs(100));
            let git = Git::new(&program, home, Some(&server), WAYS[0]);
            server.revoke_access(&session.access_token);
            let outcome = git.run(&["clone", "-q", &url(&server, challenge), "clone"]);
            assert_eq!(outcome.status, 128, "git does not ask a helper twice");
            assert_eq!(server.refresh_requests(), 0, "`erase` takes note, and no more");
            git.quietly(&["clone", "-q", &url(&server, challenge), "clone"]);
            assert_eq!(server.refresh_requests(), 1);
            assert!(git.home.session().is_some(), "a rejected token does not log out");
        }
    }
}

#[test]
fn a_host_that_rejects_every_token_causes_no_refresh_per_call() {
    for program in gits() {
        let (server, _root) = host();
        let (home, session) = Home::logged_in(&server);
        let git = Git::new(&program, home, Some(&server), WAYS[0]);
        server.revoke_access(&session.access_token);
        for _ in 0..3 {
            assert_eq!(git.run(&["clone", "-q", &url(&server, "both"), "clone"]).status, 128);
        }
        assert_eq!(server.refresh_requests(), 0, "the token is less than a minute old");
    }
}

#[test]
fn submodules_are_cloned_at_once_and_share_one_refresh() {
    for program in gits() {
        let (server, root) = host();
        create_repository(root.path(), "super.git").unwrap();
        let (home, session) = Home::logged_in(&server);
        let git = Git::new(&program, home, Some(&server), WAYS[0]);
        let address = url(&server, "both").replace("hello", "super");
        git.quietly(&["clone", "-q", &address, "super"]);
        for name in ["one", "two", "three", "four"] {
            let outcome =
                git.run(&["-C", "super", "submodule", "--quiet", "add", "../hello.git", name]);
            assert_eq!(outcome.status, 0, "{outcome:?}");
        }
        git.quietly(&["-C", "super", "commit", "-q", "-m", "submodules"]);
        git.quietly(&["-C", "super", "push", "-q"]);
        git.quietly(&["clone", "-q", &address, "again"]);
        git.home.write_session(&session, Duration::ZERO, Duration::from_secs(3600));
        let outcome =
            git.run(&["-C", "again", "submodule", "--quiet", "update", "--init", "--jobs", "4"]);
        assert_eq!(outcome.status, 0, "{outcome:?}");
        assert!(git.home.read("again/four/README.md").is_some());
        assert_eq!(server.refresh_requests(), 1, "four processes found the session stale");
    }
}

#[test]
fn a_user_name_in_the_url_is_returned_with_the_token() {
    for program in gits() {
        let (server, _root) = host();
        let (home, session) = Home::logged_in(&server);
        let git = Git::new(&program, home, Some(&server), WAYS[0]);
        for challenge in ["basic", "both"] {
            git.quietly(&[
                "clone",
                "-q",
                &url(&server, challenge).replace("//", "//ada@"),
                challenge,
            ]);
        }
        let host = server.url().trim_start_matches("http://");
        let question = format!("protocol=http\nhost={host}\nusername=ada\n\n");
        assert_eq!(git.fill(&question), Some(login("ada", &session.access_token)));
    }
}

#[test]
fn without_a_session_git_prints_a_note_and_prompts() {
    for program in gits() {
        let (server, _root) = host();
        let home = Home::at(&server);
        let git = Git::new(&program, home, Some(&server), WAYS[0]);
        let outcome = git.run(&["clone", "-q", &url(&server, "basic"), "clone"]);
        assert_eq!(outcome.status, 128);
        assert_eq!(
            outcome.messages,
            format!(
                "note: not logged in to mycli; tried: MY_API_TOKEN (not set), keyring (no session bus), file (no entry); run \
                 `my-credential-helper login`\nfatal: could not read Username for '{}': terminal prompts disabled\n",
                server.url()
            )
        );
    }
}

#[test]
fn git_uses_the_token_in_the_variable() {
    for program in gits() {
        let (server, _root) = host();
        let mut home = Home::at(&server);
        home.set("MY_API_TOKEN", server.api_token("me@acme.dev", "ci").unwrap().token);
        let git = Git::new(&program, home, Some(&server), WAYS[0]);
        git.quietly(&["clone", "-q", &url(&server, "basic"), "clone"]);
        assert!(
            git.home.read(".my/credentials.json").is_none(),
            "what git stores afterwards changes nothing"
        );
        assert!(!git.home.path().join(".my/logins").exists());
    }
}

#[test]
fn a_second_helper_and_this_one_do_not_interfere() {
    let foreign = "protocol=https\nhost=git.example.com\nusername=ada\npassword=hunter2\n\n";
    let question = "protocol=https\nhost=git.example.com\n\n";
    for program in gits() {
        for order in [
            "[credential]\nhelper = my\nhelper = store\n",
            "[credential]\nhelper = store\nhelper = my\n",
        ] {
            let (server, _root) = host();
            let (home, session) = Home::logged_in(&server);
            let git = Git::new(&program, home, Some(&server), order);
            let challenge = if git.carries_bearer() { "bearer" } else { "both" };
            git.quietly(&["clone", "-q", &url(&server, challenge), "clone"]);
            let plain = git.home.read(".git-credentials").unwrap_or_default();
            // Where git carries it as a header it is marked as ephemeral; as a password every helper is told.
            assert_eq!(plain.contains(&session.access_token), !git.carries_bearer(), "{order}");
            git.approve(foreign);
            assert_eq!(git.fill(question), Some(login("ada", "hunter2")));
            git.reject(foreign);
            assert_eq!(git.fill(question), None, "both have forgotten it ({order})");
        }
    }
}

#[test]
fn an_empty_helper_line_hides_the_token_from_other_helpers() {
    for program in gits() {
        let (server, _root) = host();
        let (home, _) = Home::logged_in(&server);
        let ours = include_str!("../../../../integrations/git/gitconfig");
        let git = Git::new(
            &program,
            home,
            Some(&server),
            &format!("[credential]\nhelper = store\n{ours}"),
        );
        git.quietly(&["clone", "-q", &url(&server, "basic"), "clone"]);
        assert!(git.home.read(".git-credentials").is_none());
    }
}

#[test]
fn credentials_of_other_hosts_are_stored_and_erased() {
    for program in gits() {
        let home = Home::new();
        let git = Git::new(&program, home, None, WAYS[0]);
        let long = "p".repeat(10_000);
        let hosts = [
            "git.example.com",
            "git.example.com:8443",
            "xn--bcher-kva.example",
            "[2001:db8::1]",
            "192.0.2.1",
        ];
        let users =
            [("ada", "hunter2"), ("grace", "p=ä \u{1f511}%0a"), ("bücher@acme.dev", &*long)];
        for host in hosts {
            for (user, password) in users {
                git.approve(&format!(
                    "protocol=https\nhost={host}\nusername={user}\npassword={host}{password}\n\n"
                ));
            }
        }
        for host in hosts {
            let question = format!("protocol=https\nhost={host}\n");
            for (user, password) in users {
                let ask = format!("{question}username={user}\n\n");
                assert_eq!(git.fill(&ask), Some(login(user, &format!("{host}{password}"))));
            }
            assert!(git.fill(&format!("{question}\n")).is_some(), "without a user, one of them");
            assert_eq!(git.fill(&format!("{question}username=eve\n\n")), None);
        }
        git.reject("protocol=https\nhost=git.example.com\nusername=ada\npassword=another\n\n");
        assert!(
            git.fill("protocol=https\nhost=git.example.com\nusername=ada\n\n").is_some(),
            "it is not what failed"
        );
        git.reject("protocol=https\nhost=git.example.com\n\n");
        assert_eq!(
            git.fill("protocol=https\nhost=git.example.com\n\n"),
            None,
            "every user of the host is forgotten"
        );
        assert!(
            git.fill("protocol=https\nhost=git.example.com:8443\n\n").is_some(),
            "and of no other port"
        );
    }
}

#[test]
fn the_path_is_used_with_use_http_path() {
    for program in gits() {
        let home = Home::new();
        let git = Git::new(&program, home, None, "[credential]\nhelper = my\nuseHttpPath = true\n");
        let of = |path: &str| format!("protocol=https\nhost=git.example.com\npath={path}\n");
        for path in ["one.git", "two.git", "a b/ä.git", "a?b", "a#b", "a%b", "a\\b"] {
            git.approve(&format!("{}username=ada\npassword=for {path}\n\n", of(path)));
        }
        for path in ["two.git", "one.git", "a#b", "a b/ä.git", "a\\b", "a%b", "a?b"] {
            assert_eq!(
                git.fill(&format!("{}\n", of(path))),
                Some(login("ada", &format!("for {path}")))
            );
        }
        for path in ["three.git", "a", "one.git/x", "ONE.git"] {
            assert_eq!(git.fill(&format!("{}\n", of(path))), None, "{path}");
        }
        git.reject(&format!("{}\n", of("a?b")));
        assert_eq!(git.fill(&format!("{}\n", of("a?b"))), None);
        assert!(git.fill(&format!("{}\n", of("a#b"))).is_some());
    }
}

#[test]
fn requests_for_other_protocols_are_ignored() {
    for program in gits() {
        let home = Home::new();
        let git = Git::new(&program, home, None, WAYS[0]);
        let before = git.home.snapshot();
        for place in
            ["protocol=http\nhost=git.example.com\n", "protocol=smtp\nhost=mail.example.com\n"]
        {
            git.approve(&format!("{place}username=ada\npassword=hunter2\n\n"));
            assert_eq!(git.fill(&format!("{place}\n")), None, "{place}");
        }
        assert_eq!(git.home.snapshot(), before, "nothing is created for it");
    }
}

#[test]
fn a_token_with_a_scheme_is_returned_to_a_git_that_supports_it() {
    for program in gits() {
        let home = Home::new();
        let git = Git::new(&program, home, None, WAYS[0]);
        if !git.carries_bearer() {
            continue;
        }
        let place = "protocol=https\nhost=git.example.com\n";
        git.approve(&format!("capability[]=authtype\n{place}authtype=Bearer\ncredential=tok\n\n"));
        let outcome =
            git.run_with(&["credential", "fill"], &format!("capability[]=authtype\n{place}\n"));
        assert_eq!(
            outcome.output,
            format!("capability[]=authtype\nauthtype=Bearer\ncredential=tok\n{place}")
        );
        assert_eq!(git.fill(&format!("{place}\n")), None, "it is no password");
        git.reject(&format!("capability[]=authtype\n{place}authtype=Bearer\ncredential=tok\n\n"));
        assert_eq!(
            git.run_with(&["credential", "fill"], &format!("capability[]=authtype\n{place}\n"))
                .status,
            128
        );
    }
}

#[test]
fn a_challenge_that_is_too_long_is_ignored() {
    let home = Home::new();
    let place = "protocol=https\nhost=git.example.com\n";
    let stored =
        home.run_with(&["git", "store"], format!("{place}username=ada\npassword=hunter2\n\n"));
    assert_eq!((stored.status, &*stored.messages), (0, ""));
    let challenge = format!("wwwauth[]=Basic realm=\"{}\"\n", "x".repeat(70_000));
    let outcome = home.run_with(&["git", "get"], format!("{place}{challenge}\n"));
    assert_eq!(outcome.output, "username=ada\npassword=hunter2\n", "{}", outcome.messages);
    let outcome = home.run_with(&["git", "get"], format!("{place}path={}\n\n", "x".repeat(70_000)));
    assert_eq!((outcome.status, &*outcome.output), (2, ""));
}

#[test]
fn the_configuration_of_the_readme_works_from_an_empty_home() {
    let readme = include_str!("../../../../integrations/git/README.md");
    assert!(
        readme.contains(include_str!("../../../../integrations/git/gitconfig")),
        "the README quotes what is tested"
    );
    for program in gits() {
        let (server, _root) = host();
        let mut home = Home::new();
        home.set("GIT", &program);
        home.set("SERVER", server.url());
        home.set("REPO", url(&server, "both"));
        home.set("TOKEN", server.api_token("me@acme.dev", "test").unwrap().token);
        check_integration(home, "git");
    }
}

#[test]
fn every_git_works_after_setup() {
    for program in gits() {
        let (server, _root) = host();
        let (mut home, _) = Home::logged_in(&server);
        home.set("GIT_CONFIG_NOSYSTEM", "1");
        home.set("GIT_TERMINAL_PROMPT", "0");
        home.write(".gitconfig", "[credential]\n\thelper = store\n");
        let clone = |home: &Home, to: &str| {
            let mut command = home.command(&program);
            command.args(["clone", "-q", &url(&server, "basic"), to]);
            finish(spawn(command), b"")
        };
        assert_ne!(clone(&home, "before").status, 0);
        home.set_up("git", server.url());
        let outcome = clone(&home, "after");
        assert_eq!((outcome.status, &*outcome.messages), (0, ""), "{outcome:?}");
        assert_eq!(
            home.read(".git-credentials"),
            None,
            "the helper of the other hosts is told no token"
        );
        let examined = home.run(&["doctor"]);
        assert_eq!(examined.status, 0, "{examined:?}");
        assert!(examined.output.contains("gets a credential for"), "{examined:?}");
        assert_eq!(home.run(&["setup", "--yes", "git", "--undo"]).status, 0);
        assert_ne!(clone(&home, "undone").status, 0);
    }
}
