//! The CI wrappers of `integrations/ci/`: their steps, taken out of the very files, are executed with the variables and
//! files that the vendors document.

use account_server::Server;
use account_server::git_host::create_repository;

use crate::support::terminal::in_terminal;
use crate::support::{HELPER, Home, Outcome, finish, has_client, service_with, spawn};

const ACTION: &str = include_str!("../../../integrations/ci/github-actions/action.yml");
const REMOVE: &str = include_str!("../../../integrations/ci/github-actions/remove/action.yml");
const GITLAB: &str = include_str!("../../../integrations/ci/gitlab/my-credential-helper.yml");
const WITH_TOKEN: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/integrations/ci/shell/with-token.sh");

/// A service that hosts a repository, and a machine of a CI system: the helper is on its PATH, without a session.
fn job() -> (Server, tempfile::TempDir, Home) {
    let root = tempfile::tempdir().unwrap();
    create_repository(root.path(), "hello.git").unwrap();
    let server = service_with(|settings| settings.git_root = Some(root.path().to_owned()));
    let mut home = Home::at(&server);
    let bin = home.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    for name in ["my-credential-helper", "git-credential-my"] {
        std::os::unix::fs::symlink(HELPER, bin.join(name)).unwrap();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    home.set(
        "PATH",
        std::env::join_paths([bin].into_iter().chain(std::env::split_paths(&path))).unwrap(),
    );
    home.set("GIT_CONFIG_NOSYSTEM", "1");
    home.set("GIT_TERMINAL_PROMPT", "0");
    (server, root, home)
}

/// The scripts of a composite action's steps, in order.
fn steps(action: &str) -> Vec<String> {
    let blocks = action.split("      run: |\n").skip(1);
    let line = |line: &str| line.strip_prefix("        ").map(|line| format!("{line}\n"));
    blocks.map(|block| block.lines().map_while(line).collect()).collect()
}

/// A step, run as GitHub documents `shell: bash`.
fn bash(home: &Home, script: &str, variables: &[(&str, &str)]) -> Outcome {
    let mut command = home.command("bash");
    command
        .args(["--noprofile", "--norc", "-eo", "pipefail", "-c", script])
        .envs(variables.iter().copied());
    finish(spawn(command), b"")
}

/// Runs the action, and gives what the steps that follow find in their environment.
fn action(home: &mut Home, token: &str, variable: &str, hosts: &str) -> Vec<(String, String)> {
    let file = home.write("github_env", "");
    home.set("GITHUB_ENV", &file);
    let mut log = String::new();
    for step in steps(ACTION) {
        let inputs = [("MY_API_TOKEN", token), ("VARIABLE", variable), ("HOSTS", hosts)];
        let outcome = bash(home, &step, &inputs);
        assert_eq!(outcome.status, 0, "{step}: {outcome:?}");
        log += &outcome.output;
        log += &outcome.messages;
    }
    assert!(log.starts_with(&format!("::add-mask::{token}\n")), "the mask comes first: {log}");
    let masks = log.matches(&format!("::add-mask::{token}\n")).count();
    assert_eq!(log.matches(token).count(), masks, "and nowhere else does the log have it: {log}");
    let lines = home.read("github_env").unwrap();
    lines
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(n, v)| (n.to_owned(), v.to_owned()))
        .collect()
}

fn clone(home: &Home, server: &Server, variables: &[(String, String)]) -> i32 {
    let mut command = home.command("git");
    let _ = std::fs::remove_dir_all(home.path().join("clone"));
    command
        .args(["clone", "-q", &format!("{}/git/both/hello.git", server.url()), "clone"])
        .envs(variables.iter().cloned());
    finish(spawn(command), b"").status
}

#[test]
fn the_github_action_sets_a_valid_token_for_later_steps() {
    if !has_client("git") || !has_client("bash") {
        return;
    }
    let (server, _root, mut home) = job();
    let token = server.api_token("me@acme.dev", "ci").unwrap().token;
    home.write(".gitconfig", "[credential]\n\thelper = store\n");
    let variables = action(&mut home, &token, "", "git.acme.dev *.reg.acme.dev");
    assert_eq!(variables, [("MY_API_TOKEN".to_owned(), token.clone())]);
    assert_eq!(home.run(&["config", "get", "hosts"]).output, "git.acme.dev *.reg.acme.dev\n");
    assert_eq!(clone(&home, &server, &variables), 0);
    assert_eq!(home.read(".git-credentials"), None, "no helper of before keeps a copy");
    let both = action(&mut home, &token, "GH_TOKEN", "");
    assert_eq!(both, ["MY_API_TOKEN", "GH_TOKEN"].map(|name| (name.to_owned(), token.clone())));
    assert_eq!(clone(&home, &server, &both), 0, "git has its token, whatever else is set");
    let wrong = action(&mut home, "myc_0000000000000000000000000000000000000000", "", "");
    assert_ne!(clone(&home, &server, &wrong), 0, "a wrong token is refused");
}

/// What a job leaves on a machine that keeps its home: the settings of before.
fn leaves_the_settings_of_before(start: impl Fn(&mut Home, &str), end: impl Fn(&Home)) {
    for before in ["", "*.acme.dev git.acme.dev"] {
        let (_server, _root, mut home) = job();
        home.set("MY_API_TOKEN", "myc_1");
        if !before.is_empty() {
            let words: Vec<_> =
                ["config", "set", "hosts"].into_iter().chain(before.split(' ')).collect();
            assert_eq!(home.run(&words).status, 0);
        }
        let hosts = |home: &Home| home.run(&["config", "get", "hosts"]).output.trim().to_owned();
        start(&mut home, "job.dev");
        assert_eq!(hosts(&home), "job.dev");
        end(&home);
        assert_eq!(hosts(&home), before);
        assert!(!home.read(".gitconfig").unwrap_or_default().contains("helper"));
        // A job that was killed before its end, and one without hosts.
        start(&mut home, "killed.dev");
        start(&mut home, "");
        assert_eq!(hosts(&home), before);
        end(&home);
        assert_eq!(home.read(".my-credential-helper.hosts"), None);
    }
}

#[test]
fn a_job_leaves_the_hosts_of_the_machine() {
    if !has_client("git") || !has_client("bash") {
        return;
    }
    let start = |home: &mut Home, hosts: &str| drop(action(home, "myc_1", "", hosts));
    let end = |home: &Home| {
        let steps = steps(REMOVE);
        assert_eq!(steps.len(), 1);
        assert_eq!(bash(home, &steps[0], &[]).status, 0);
    };
    leaves_the_settings_of_before(start, end);
    let start = |home: &mut Home, hosts: &str| {
        let outcome = bash(home, &script("before_script"), &[("MY_HOSTS", hosts)]);
        assert_eq!(outcome.status, 0, "{outcome:?}");
    };
    let end = |home: &Home| assert_eq!(bash(home, &script("after_script"), &[]).status, 0);
    leaves_the_settings_of_before(start, end);
}

/// The lines of one script of GitLab's job.
fn script(name: &str) -> String {
    let (_, rest) = GITLAB.split_once(&format!("  {name}:\n")).unwrap();
    let lines = rest.lines().take_while(|line| line.starts_with("    "));
    let lines: Vec<_> = lines.filter_map(|line| line.strip_prefix("    - ")).collect();
    lines.join("\n")
}

#[test]
fn the_gitlab_job_fails_without_a_token() {
    if !has_client("git") {
        return;
    }
    let (server, _root, mut home) = job();
    let script = script("before_script");
    assert_eq!(script.lines().count(), 6, "every line of before_script is run");
    assert_eq!(bash(&home, &script, &[]).status, 1);
    let token = server.api_token("me@acme.dev", "ci").unwrap().token;
    home.set("MY_API_TOKEN", &token);
    let outcome = bash(&home, &script, &[]);
    assert_eq!(
        (outcome.status, outcome.output.as_str()),
        (0, ""),
        "the log shows nothing: {outcome:?}"
    );
    assert_eq!(clone(&home, &server, &[]), 0);
    assert_eq!(home.run(&["config", "get", "hosts"]).status, 1, "none are named");
    home.write("registry.acme.dev", "a file that a pattern must not stand for");
    let outcome = bash(&home, &script, &[("MY_HOSTS", "git.acme.dev *.acme.dev")]);
    assert_eq!((outcome.status, outcome.output.as_str()), (0, ""), "{outcome:?}");
    assert_eq!(home.run(&["config", "get", "hosts"]).output, "git.acme.dev *.acme.dev\n");
    assert_eq!(home.read(".gitconfig").unwrap(), "[credential]\n\thelper = \n\thelper = my\n");
}

#[test]
fn the_wrapper_for_shells_runs_one_command_with_the_token() {
    let (_server, _root, mut home) = job();
    let with_token = |home: &Home, arguments: &[&str]| {
        let mut command = home.command(WITH_TOKEN);
        command.args(arguments);
        finish(spawn(command), b"")
    };
    assert_eq!(with_token(&home, &["touch", "started"]).status, 1);
    assert!(!home.path().join("started").exists());
    home.set("MY_API_TOKEN", "myc_1");
    assert_eq!(
        with_token(&home, &["sh", "-c", "echo \"$MY_API_TOKEN\"; exit 3"]).output,
        "myc_1\n"
    );
}

/// The complete examples without a secret, as far as they are for the helper.
#[test]
fn the_examples_of_jobs_without_a_secret_are_valid() {
    const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/integrations/ci/identity");
    let example = |name: &str| std::fs::read_to_string(format!("{FOLDER}/{name}")).unwrap();
    let explained = |change: &str| {
        let home = Home::new();
        let providers = example("providers.toml");
        let source = "source = \"github-actions\"";
        assert!(providers.contains(source));
        let file = home.write("providers.toml", &providers.replace(source, change));
        let imported = home.run(&["config", "import", file.to_str().unwrap()]);
        assert_eq!(imported.status, 0, "{imported:?}");
        home.run(&["get", "--explain", "--url", "https://git.acme.dev/team/app"]).messages
    };
    let github = explained("source = \"github-actions\"");
    assert!(
        github.contains("identity of github-actions (ACTIONS_ID_TOKEN_REQUEST_URL"),
        "{github}"
    );
    let gitlab = explained("source = \"gitlab\"");
    let variable = "HTTPS___LOGIN_ACME_DEV_ID_TOKEN";
    assert!(gitlab.contains(&format!("identity of gitlab ({variable} is not set)")), "{gitlab}");
    assert!(
        example("gitlab-ci.yml")
            .contains(&format!("{variable}:\n      aud: https://login.acme.dev\n"))
    );
    let file = "/var/run/secrets/acme/token";
    let pod = explained(&format!("source = \"kubernetes\"\nfile = \"{file}\""));
    assert!(pod.contains(&format!("identity of kubernetes ({file} does not exist)")), "{pod}");
    let yaml = example("kubernetes.yaml");
    assert!(yaml.contains("mountPath: /var/run/secrets/acme\n") && yaml.contains("path: token\n"));
    for name in ["providers.toml", "github-actions.yml", "gitlab-ci.yml", "kubernetes.yaml"] {
        assert!(!example(name).contains("secrets."), "{name} has no secret");
    }
    let readme = include_str!("../../../integrations/ci/README.md");
    let (_, block) = readme.split_once("```toml\n[providers.crates-io]").unwrap();
    let block = format!("[providers.crates-io]{}", block.split_once("```").unwrap().0);
    let home = Home::new();
    let file = home.write("publish.toml", &block);
    let imported = home.run(&["config", "import", file.to_str().unwrap()]);
    assert_eq!(imported.status, 0, "{imported:?}");
}

/// A file of a repository may set the variable of a CI system.
#[test]
fn a_terminal_shows_no_command_that_hides_a_token() {
    for variable in ["GITHUB_ACTIONS", "TF_BUILD"] {
        let mut home = Home::new();
        home.set("MY_API_TOKEN", "myc_1");
        home.set(variable, "true");
        let mut command = home.command(HELPER);
        command.args(["get", "--format", "raw", "--url", "https://api.mycli.sh"]);
        let shown = in_terminal(&home, command).exp_eof().unwrap();
        assert_eq!(shown.trim(), "myc_1", "{variable}");
        let outcome = home.run(&["get", "--format", "raw", "--url", "https://api.mycli.sh"]);
        assert_eq!(outcome.messages.matches("myc_1").count(), 1, "{outcome:?}");
    }
}
