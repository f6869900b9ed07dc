//! The configuration in force: `doctor` says that a tool is fine only if the tool asks this program. Each case begins with
//! a tool that `setup` has connected and that is fine, and changes one thing.

use std::fs::Permissions;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::LazyLock;

use account_server::Server;
use serde_json::Value;

use super::{doctor, logged_in};
use crate::support::{HELPER, Home, has_client, service};

/// A host of the provider, which is only named.
const HOST: &str = "git.acme.dev";
const URL: &str = "https://git.acme.dev";

const CONFIGURATION: &str = ".config/my-credential-helper/config.toml";

/// In every configuration of another program. It is never shown.
const SECRET: &str = "hunter2-of-another-program";

/// Prints what `pip --version` prints: Python takes a third of a second to start, for each of many cases.
static VERSION_OF_PIP: LazyLock<String> = LazyLock::new(|| {
    let output = std::process::Command::new("pip").arg("--version").output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    format!("[ \"$1\" = --version ] && echo '{}' && exit", printed.trim_end())
});

/// Logged in, with this tool set up for [`HOST`] and alone on PATH.
fn with_tool(server: &Server, tool: &str) -> Home {
    let mut home = logged_in(server, &[]).0;
    // Without Bazel, a program that prints its version.
    let run = crate::support::find(tool)
        .map_or("echo 8.0.0".to_owned(), |real| format!("exec {} \"$@\"", real.display()));
    let run = if tool == "pip" { format!("{}\n{run}", *VERSION_OF_PIP) } else { run };
    script(&home, &format!("tools/{tool}"), &run);
    home.put_on_path(&home.path().join(".local/share/my-credential-helper/bin"));
    home.set_up(tool, HOST);
    home
}

fn script(home: &Home, name: &str, text: &str) {
    let path = home.write(name, &format!("#!/bin/sh\n{text}\n"));
    std::fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
}

fn findings(home: &Home, tool: &str) -> Vec<Value> {
    let outcome = doctor(home, &[]);
    assert!(!outcome.output.contains(SECRET) && !outcome.messages.contains(SECRET), "{outcome:?}");
    let answer = outcome.json();
    assert_eq!(answer["ok"] == true, outcome.status == 0);
    let findings = answer["findings"].as_array().unwrap().iter();
    findings.filter(|finding| finding["check"] == tool).cloned().collect()
}

/// A user that asks this program.
const USER: &[&str] = &[
    "kubectl",
    "config",
    "set-credentials",
    "me",
    "--exec-command=my-credential-helper",
    "--exec-arg=kubectl",
    "--exec-api-version=client.authentication.k8s.io/v1",
    "--exec-provide-cluster-info=true",
    "--exec-interactive-mode=IfAvailable",
];

/// What is changed.
enum Change {
    Write(&'static str, &'static str),
    /// In a file of the home.
    Replace(&'static str, &'static str, &'static str),
    Set(&'static str, &'static str),
    /// `~/` stands for the home.
    SetPath(&'static str, &'static str),
    Run(&'static [&'static str]),
    Remove(&'static str),
}

use Change::{Remove, Replace, Run, Set, SetPath, Write};

fn apply(home: &mut Home, change: &Change) {
    match *change {
        Write(file, text) => drop(home.write(file, text)),
        Replace(file, old, new) => {
            let text = home.read(file).unwrap();
            assert!(text.contains(old), "{file} has no {old}: {text}");
            home.write(file, &text.replace(old, new));
        }
        Set(name, value) => home.set(name, value),
        SetPath(name, file) => home.set(name, home.path().join(file)),
        Run(line) => {
            let outcome = if line[0] == "my-credential-helper" {
                home.run(&line[1..])
            } else {
                home.run_client(line)
            };
            assert_eq!(outcome.status, 0, "{outcome:?}");
        }
        Remove(file) => std::fs::remove_file(home.path().join(file)).unwrap(),
    }
}

/// A case: the changes, the level of the finding, and a part of it.
type Case = (&'static [Change], &'static str, &'static str);

fn check(tool: &str, cases: &[Case]) {
    if tool != "bazel" && !has_client(tool) {
        return;
    }
    let server = service();
    for (changes, level, part) in cases {
        let mut home = with_tool(&server, tool);
        for change in *changes {
            apply(&mut home, change);
        }
        let found = findings(&home, tool);
        let is_expected = |it: &Value| it["level"] == *level && it.to_string().contains(part);
        assert!(found.iter().any(is_expected), "{tool}, {level} `{part}`: {found:#?}");
        let is_fine = found.iter().any(|it| it["level"] == "fine");
        let may_be_fine =
            matches!(*level, "fine" | "warning") || *level == "note" && part.contains("before");
        assert!(is_fine == may_be_fine, "{tool}, `{part}`: {found:#?}");
        if let Some(problem) =
            found.iter().find(|it| matches!(it["level"].as_str(), Some("problem" | "warning")))
        {
            assert!(problem["fix"].as_str().is_some_and(|fix| !fix.is_empty()), "{problem}");
        }
        if is_fine && tool == "git" {
            assert_git_takes_the_token(&home);
        }
    }
}

/// git itself: it takes the token of the session.
fn assert_git_takes_the_token(home: &Home) {
    let mut git = home.command("git");
    git.args(["credential", "fill"]).env("GIT_TERMINAL_PROMPT", "0");
    let input = format!("protocol=https\nhost={HOST}\n\n");
    let outcome = crate::support::finish(crate::support::spawn(git), input.as_bytes());
    let token = home.session().unwrap()["access_token"].as_str().unwrap().to_owned();
    assert!(outcome.output.contains(&token), "{outcome:?}");
}

const CACHE_BEFORE: &str = "[credential \"https://git.acme.dev\"]\nhelper = cache\nhelper = my\n";
const STORE_BEFORE: &str =
    "[credential]\nhelper = store\n[credential \"https://git.acme.dev\"]\nhelper = my\n";
const OF_HOST_BEFORE: &str = "[credential \"git.acme.dev\"]\nhelper = cache\n[credential \"https://git.acme.dev\"]\nhelper = my\n";
const PATTERN_BEFORE: &str = "[credential \"https://*.acme.dev\"]\nhelper = cache\n[credential \"https://git.acme.dev\"]\nhelper = my\n";
const NOT_RESET: &str = "[credential \"https://git.acme.dev\"]\nhelper = my\n";
const SHELL: &str =
    "[credential]\nhelper = \"!f() { echo password=hunter2-of-another-program; }; f\"\n";

const WRAPPED: &str =
    "[credential]\nhelper = \"!f() { my-credential-helper git \\\"$@\\\"; }; f\"\n";

const GIT: &[Case] = &[
    (&[], "fine", "gets a credential for https://git.acme.dev"),
    // Another helper before.
    (&[Write(".gitconfig", CACHE_BEFORE)], "problem", "`cache` in"),
    (&[Write(".gitconfig", STORE_BEFORE)], "problem", "`store` in"),
    (&[Write(".gitconfig", OF_HOST_BEFORE)], "problem", "`cache` in"),
    (&[Write(".gitconfig", PATTERN_BEFORE)], "problem", "`cache` in"),
    (
        &[
            Write(".gitconfig", NOT_RESET),
            Write("system", SHELL),
            SetPath("GIT_CONFIG_SYSTEM", "system"),
        ],
        "problem",
        "a shell command in",
    ),
    (
        &[
            Write("system", "[credential]\nhelper = cache\n"),
            SetPath("GIT_CONFIG_SYSTEM", "system"),
        ],
        "fine",
        "gets a credential",
    ),
    // Variables.
    (
        &[
            Set("GIT_CONFIG_COUNT", "1"),
            Set("GIT_CONFIG_KEY_0", "credential.helper"),
            Set("GIT_CONFIG_VALUE_0", " "),
        ],
        "problem",
        "is reset by a later empty",
    ),
    (
        &[
            Set("GIT_CONFIG_COUNT", "2"),
            Set("GIT_CONFIG_KEY_0", "http.extraheader"),
            Set("GIT_CONFIG_VALUE_0", "Authorization: hunter2-of-another-program"),
            Set("GIT_CONFIG_KEY_1", "credential.https://git.acme.dev.helper"),
            Set("GIT_CONFIG_VALUE_1", "store"),
        ],
        "warning",
        "`store` in GIT_CONFIG_COUNT",
    ),
    // Behind.
    (
        &[Run(&["git", "config", "--global", "--add", "credential.helper", ""])],
        "problem",
        "is reset by a later empty",
    ),
    (
        &[Run(&["git", "config", "--global", "--add", "credential.helper", "store --file x"])],
        "warning",
        "writes it in the clear",
    ),
    (
        &[Run(&["git", "config", "--global", "--add", "credential.helper", "cache"])],
        "fine",
        "gets a credential",
    ),
    (
        &[Run(&[
            "git",
            "config",
            "--global",
            "--add",
            "credential.https://other.dev.helper",
            "store",
        ])],
        "fine",
        "gets a credential",
    ),
    (&[SetPath("GIT_CONFIG_GLOBAL", "nowhere")], "note", "is not set up"),
    (&[Set("GIT_CONFIG_GLOBAL", "nowhere")], "problem", "GIT_CONFIG_GLOBAL is a relative path"),
    (&[Set("GIT_CONFIG_GLOBAL", "")], "problem", "GIT_CONFIG_GLOBAL is empty"),
    // A function of the shell around the program.
    (&[Write(".gitconfig", WRAPPED)], "fine", "gets a credential for https://git.acme.dev"),
    (
        &[Write(".gitconfig", WRAPPED), Replace(".gitconfig", "my-cred", "/nowhere/my-cred")],
        "problem",
        "/nowhere/my-credential-helper does not exist",
    ),
    (
        &[Write(".gitconfig", WRAPPED), Replace(".gitconfig", "my-credential-helper", "echo")],
        "note",
        "is not set up",
    ),
    // Its options.
    (
        &[Write(".gitconfig", WRAPPED), Replace(".gitconfig", " git ", " --account nobody git ")],
        "problem",
        "gets no credential for https://git.acme.dev",
    ),
    // The program.
    (&[Remove("bin/git-credential-my")], "problem", "is missing"),
    (
        &[Write(
            ".gitconfig",
            "[credential \"https://git.acme.dev\"]\nhelper = /nowhere/git-credential-my\n",
        )],
        "problem",
        "/nowhere/git-credential-my does not exist",
    ),
    (
        &[Write(
            ".gitconfig",
            "[credential \"https://git.acme.dev\"]\nhelper = !/nowhere/my-credential-helper git\n",
        )],
        "problem",
        "/nowhere/my-credential-helper does not exist",
    ),
    (
        &[Write(
            ".gitconfig",
            "[credential \"https://git.acme.dev\"]\nhelper = /bin/../bin/git-credential-my\n",
        )],
        "problem",
        "does not exist",
    ),
    (&[Write(".gitconfig", "[credential]\nhelper = my\n")], "fine", "gets a credential"),
    (
        &[Write(".netrc", "machine git.acme.dev\nlogin x\npassword hunter2-of-another-program\n")],
        "problem",
        ".netrc",
    ),
    (&[Write(".netrc", "machine other.dev login x password y\n")], "fine", "gets a credential"),
    // The host.
    (&[Run(&["my-credential-helper", "setup", "git", "--undo", "--yes"])], "note", "is not set up"),
    (
        &[Run(&["my-credential-helper", "config", "unset", "hosts"])],
        "problem",
        "gets no credential for https://git.acme.dev",
    ),
    (&[Write(".gitconfig", "[broken\n")], "problem", "git cannot read its configuration"),
];

#[test]
fn git_is_asked_for_the_helpers_in_force() {
    check("git", GIT);
}

#[test]
fn a_helper_by_a_quoted_path_is_fine() {
    if !has_client("git") {
        return;
    }
    let server = service();
    let home = with_tool(&server, "git");
    let folder = home.path().join("a folder");
    std::fs::create_dir(&folder).unwrap();
    let link = folder.join("git-credential-my");
    std::os::unix::fs::symlink(HELPER, &link).unwrap();
    let link = link.display().to_string();
    let program = home.path().join("bin/my-credential-helper").display().to_string();
    let escaped = link.replace(' ', "\\\\ ");
    for helper in
        [format!("!'{link}'"), format!("!\\\"{link}\\\""), escaped, format!("!{program} git")]
    {
        home.write(".gitconfig", &format!("[credential \"{URL}\"]\nhelper = \"{helper}\"\n"));
        let found = findings(&home, "git");
        assert!(found.iter().any(|it| it["level"] == "fine"), "{helper}: {found:#?}");
        assert_git_takes_the_token(&home);
    }
}

#[test]
fn a_repository_around_the_home_is_not_looked_at() {
    if !has_client("git") {
        return;
    }
    let server = service();
    let home = with_tool(&server, "git");
    assert_eq!(home.run_client(&["git", "init", "-q", "."]).status, 0);
    assert_eq!(home.run_client(&["git", "config", "credential.helper", ""]).status, 0);
    let outcome = home.run(&["doctor"]);
    assert!(outcome.output.contains("gets a credential for https://git.acme.dev"), "{outcome:?}");
    assert!(outcome.output.contains("inside a repository is not looked at"), "{outcome:?}");
}

#[test]
fn a_host_of_another_tool_is_not_asked_for() {
    if !has_client("git") {
        return;
    }
    let server = service();
    let home = with_tool(&server, "git");
    home.write(CONFIGURATION, "[providers.mycli]\nhosts = ['registry.acme.dev', 'git.acme.dev']\n");
    let found = findings(&home, "git");
    let fine: Vec<_> = found.iter().filter(|it| it["level"] == "fine").collect();
    assert!(fine.len() == 1 && fine[0].to_string().contains("git.acme.dev"), "{found:#?}");
    let note = found.iter().find(|it| it.to_string().contains("registry.acme.dev")).unwrap();
    assert_eq!(note["level"], "note", "{note}");
}

#[test]
fn docker_is_examined_in_its_order() {
    check(
        "docker",
        &[
            (&[], "fine", "gets a credential"),
            (
                &[Write(
                    ".docker/config.json",
                    "{\"credsStore\":\"desktop\",\"credHelpers\":{\"git.acme.dev\":\"my\"}}",
                )],
                "fine",
                "gets a credential",
            ),
            (
                &[Write(".docker/config.json", "{\"credsStore\":\"my\"}")],
                "fine",
                "gets a credential",
            ),
            (
                &[Write(
                    ".docker/config.json",
                    "{\"credsStore\":\"my\",\"credHelpers\":{\"git.acme.dev\":\"gcloud\"}}",
                )],
                "note",
                "`gcloud` in",
            ),
            (
                &[Write(
                    ".docker/config.json",
                    "{\"credHelpers\":{\"https://git.acme.dev/v2/\":\"my\"}}",
                )],
                "problem",
                "never asks for `https://git.acme.dev/v2/`",
            ),
            (
                &[Write(
                    ".docker/config.json",
                    "{\"auths\":{\"git.acme.dev\":{\"auth\":\"hunter2-of-another-program\"}}}",
                )],
                "note",
                "is not set up",
            ),
            (
                &[Write(
                    ".docker/config.json",
                    "\u{feff}{\"credHelpers\":{\"git.acme.dev\":\"my\"}}",
                )],
                "problem",
                "is not JSON",
            ),
            (&[SetPath("DOCKER_CONFIG", "elsewhere")], "note", "is not set up"),
            (&[Set("DOCKER_CONFIG", ".docker")], "problem", "DOCKER_CONFIG is a relative path"),
            (
                &[Set(
                    "DOCKER_AUTH_CONFIG",
                    "{\"auths\":{\"git.acme.dev\":{\"auth\":\"hunter2-of-another-program\"}}}",
                )],
                "problem",
                "DOCKER_AUTH_CONFIG",
            ),
            (
                &[Set("DOCKER_AUTH_CONFIG", "{\"auths\":{\"other.dev\":{\"auth\":\"x\"}}}")],
                "fine",
                "gets a credential",
            ),
            (&[Remove("bin/docker-credential-my")], "problem", "is missing"),
            (
                &[Run(&["my-credential-helper", "setup", "docker", "--undo", "--yes"])],
                "note",
                "is not set up",
            ),
        ],
    );
}

#[test]
fn podman_reads_its_own_files_first() {
    const LOGIN: &str = "{\"auths\":{\"git.acme.dev\":{\"auth\":\"hunter2-of-another-program\"}}}";
    const REGISTRIES: &str = ".config/containers/registries.conf";
    check(
        "podman",
        &[
            (&[Write(".config/containers/auth.json", LOGIN)], "problem", "the login in"),
            (
                &[Write("run/containers/auth.json", LOGIN), SetPath("XDG_RUNTIME_DIR", "run")],
                "problem",
                "podman logout",
            ),
            (
                &[Write(
                    ".config/containers/auth.json",
                    "{\"credHelpers\":{\"git.acme.dev\":\"my\"}}",
                )],
                "fine",
                "gets a credential",
            ),
            (&[SetPath("REGISTRY_AUTH_FILE", "auth.json")], "problem", "unset REGISTRY_AUTH_FILE"),
            (
                &[Write(REGISTRIES, "credential-helpers = [\"secretservice\"]\n")],
                "problem",
                "`credential-helpers` without `containers-auth.json`",
            ),
            (
                &[Write(
                    REGISTRIES,
                    "credential-helpers = [\"osxkeychain\", \"containers-auth.json\"]\n",
                )],
                "problem",
                "`osxkeychain`, of `credential-helpers` in",
            ),
            (
                &[Write(
                    REGISTRIES,
                    "credential-helpers = [\"containers-auth.json\", \"osxkeychain\"]\n",
                )],
                "fine",
                "gets a credential",
            ),
            (
                &[
                    Write("r.conf", "credential-helpers = [\"secretservice\"]\n"),
                    SetPath("CONTAINERS_REGISTRIES_CONF", "r.conf"),
                ],
                "problem",
                "`credential-helpers` without",
            ),
            (
                &[
                    Write(REGISTRIES, "unqualified-search-registries = [\"a.dev\"]\n"),
                    Write(
                        ".config/containers/registries.conf.d/x.conf",
                        "credential-helpers = [\"secretservice\"]\n",
                    ),
                ],
                "problem",
                "x.conf",
            ),
        ],
    );
}

#[test]
fn cargo_asks_the_provider_of_the_registry() {
    const GLOBAL: &str = "[registry]\nglobal-credential-providers = [\"cargo:token\", \"cargo-credential-my\"]\n[registries.acme-x]\nindex = \"sparse+https://git.acme.dev/index/\"\n";
    const REGISTRY: &str = "[registries.acme]\nindex = \"sparse+https://git.acme.dev/index/\"\n";
    const FILE: &str = ".cargo/config.toml";
    check(
        "cargo",
        &[
            (&[], "fine", "gets a credential"),
            (&[Write(FILE, GLOBAL)], "fine", "git.acme.dev/index"),
            (
                &[
                    Write(FILE, GLOBAL),
                    Replace(
                        FILE,
                        "index/\"\n",
                        "index/\"\ncredential-provider = [\"cargo:token-from-stdout\", \"hunter2-of-another-program\"]\n",
                    ),
                ],
                "problem",
                "`cargo:token-from-stdout`, the `credential-provider` of [registries.acme-x]",
            ),
            (
                &[
                    Write(FILE, GLOBAL),
                    Set("CARGO_REGISTRIES_ACME_X_CREDENTIAL_PROVIDER", "cargo:token"),
                ],
                "problem",
                "in CARGO_REGISTRIES_ACME_X_CREDENTIAL_PROVIDER",
            ),
            (
                &[
                    Write(FILE, REGISTRY),
                    Set("CARGO_REGISTRIES_ACME_CREDENTIAL_PROVIDER", "cargo-credential-my"),
                ],
                "fine",
                "gets a credential",
            ),
            (
                &[Set("CARGO_REGISTRY_GLOBAL_CREDENTIAL_PROVIDERS", "cargo:libsecret")],
                "problem",
                "`cargo:libsecret` in CARGO_REGISTRY",
            ),
            (
                &[
                    Write(FILE, GLOBAL),
                    Replace(
                        FILE,
                        "\"cargo:token\", \"cargo-credential-my\"",
                        "\"cargo-credential-my\", \"cargo:token\"",
                    ),
                ],
                "problem",
                "`cargo:token` in",
            ),
            (
                &[
                    Write(FILE, GLOBAL),
                    Replace(FILE, "\"cargo-credential-my\"", "\"/nowhere/cargo-credential-my\""),
                ],
                "problem",
                "does not exist",
            ),
            (
                &[
                    Write(FILE, GLOBAL),
                    Replace(
                        FILE,
                        "[registry]",
                        "[credential-alias]\ncargo-credential-my = [\"/x\"]\n[registry]",
                    ),
                ],
                "problem",
                "[credential-alias]",
            ),
            (&[SetPath("CARGO_HOME", "elsewhere")], "note", "is not set up"),
            (&[Write(FILE, "[registry\n")], "problem", "cannot read"),
        ],
    );
}

#[test]
fn terraform_is_examined_with_every_file_and_variable() {
    const HELPER_BLOCK: &str = "credentials_helper \"my\" {}\n";
    const LOGIN: &str =
        "credentials \"git.acme.dev\" {\n  token = \"hunter2-of-another-program\"\n}\n";
    check(
        "terraform",
        &[
            (&[], "fine", "gets a credential"),
            (
                &[Write(".terraform.d/x.tfrc", LOGIN)],
                "problem",
                "`credentials \\\"git.acme.dev\\\"` in",
            ),
            (
                &[Write(
                    ".terraform.d/credentials.tfrc.json",
                    "{\"credentials\":{\"git.acme.dev\":{\"token\":\"hunter2-of-another-program\"}}}",
                )],
                "problem",
                "terraform logout git.acme.dev",
            ),
            (
                &[Write(".terraform.d/x.tfrc", "# credentials \"git.acme.dev\" {}\n")],
                "fine",
                "gets a credential",
            ),
            (
                &[Write(".terraform.d/x.tfrc", "credentials_helper \"other\" {}\n")],
                "problem",
                "accepts one `credentials_helper`",
            ),
            (&[Set("TF_TOKEN_git_acme_dev", SECRET)], "problem", "unset TF_TOKEN_git_acme_dev"),
            (&[Set("TF_TOKEN_other_dev", SECRET)], "fine", "gets a credential"),
            (&[SetPath("TERRAFORM_CONFIG", "elsewhere")], "note", "is not set up"),
            (&[SetPath("TF_CLI_CONFIG_FILE", "elsewhere")], "note", "is not set up"),
            (
                &[
                    Write("moved", HELPER_BLOCK),
                    SetPath("TF_CLI_CONFIG_FILE", "moved"),
                    Write(".terraform.d/x.tfrc", LOGIN),
                ],
                "fine",
                "gets a credential",
            ),
            (&[Remove(".terraform.d/plugins/terraform-credentials-my")], "problem", "is missing"),
        ],
    );
}

#[test]
fn opentofu_reads_its_own_file() {
    if !has_client("terraform") {
        return;
    }
    let server = service();
    let home = with_tool(&server, "terraform");
    // A double: OpenTofu is not packaged for the tests.
    script(&home, "tools/tofu", "echo OpenTofu v1.9.0");
    home.write(
        ".tofurc",
        "credentials_helper \"my\" {}\ncredentials \"git.acme.dev\" {\n  token = \"x\"\n}\n",
    );
    let found = findings(&home, "tofu");
    assert!(found.iter().any(|it| it.to_string().contains(".tofurc")), "{found:#?}");
}

#[test]
fn go_is_asked_for_goauth() {
    check(
        "go",
        &[
            (&[], "fine", "gets a credential"),
            (&[Set("GOAUTH", "netrc")], "problem", "the variable GOAUTH replaces"),
            (&[Set("GOAUTH", "/x/helper hunter2-of-another-program")], "problem", "unset GOAUTH"),
            (&[Set("GOENV", "off")], "problem", "the variable GOENV replaces"),
            (&[SetPath("GOENV", "elsewhere")], "problem", "unset GOENV"),
            (&[Set("GOAUTH", "netrc; my-credential-helper goauth")], "fine", "gets a credential"),
            (
                &[Set(
                    "GOAUTH",
                    "/x/helper hunter2-of-another-program; my-credential-helper goauth",
                )],
                "note",
                "is tried before this program",
            ),
            (
                &[Set("GOAUTH", "my-credential-helper --account nobody goauth")],
                "problem",
                "gets no credential",
            ),
            (
                &[Set("GOAUTH", "/nowhere/my-credential-helper goauth")],
                "problem",
                "/nowhere/my-credential-helper does not exist",
            ),
            (
                &[
                    Set("GOAUTH", "netrc; my-credential-helper goauth"),
                    Write(
                        ".netrc",
                        "machine git.acme.dev login x password hunter2-of-another-program\n",
                    ),
                ],
                "problem",
                "the entry in",
            ),
            (
                &[Run(&["my-credential-helper", "setup", "go", "--undo", "--yes"])],
                "note",
                "is not set up",
            ),
        ],
    );
}

#[test]
fn kubectl_is_asked_for_its_users() {
    const CONTEXT: &[&str] = &["kubectl", "config", "set-context", "c", "--user=me", "--cluster=k"];
    const CLUSTER: &[&str] =
        &["kubectl", "config", "set-cluster", "k", "--server=https://git.acme.dev"];
    let server = service();
    if !has_client("kubectl") {
        return;
    }
    for (changes, level, part) in [
        (&[][..], "fine", "gets a credential for https://git.acme.dev"),
        (
            &[Run(&[
                "kubectl",
                "config",
                "set-credentials",
                "me",
                "--token=hunter2-of-another-program",
            ])],
            "problem",
            "kubectl config unset users.me.token",
        ),
        (
            &[Run(&[
                "kubectl",
                "config",
                "set-credentials",
                "me",
                "--exec-command=/nowhere/my-credential-helper",
            ])],
            "problem",
            "does not exist",
        ),
        (
            &[Run(&[
                "kubectl",
                "config",
                "set-credentials",
                "me",
                "--exec-arg=--account",
                "--exec-arg=nobody",
                "--exec-arg=kubectl",
            ])],
            "problem",
            "gets no credential",
        ),
        (
            &[Run(&["kubectl", "config", "set-cluster", "k", "--server=https://other.dev"])],
            "problem",
            "gets no credential for https://other.dev",
        ),
        (&[Run(&["kubectl", "config", "delete-context", "c"])], "note", "no context has the user"),
        (&[Set("KUBECONFIG", "config")], "problem", "KUBECONFIG has a relative path"),
        (&[SetPath("KUBECONFIG", "elsewhere")], "note", "is not set up"),
    ] {
        let mut home = logged_in(&server, &["kubectl"]).0;
        home.set_hosts(&[HOST]);
        [Run(USER), Run(CLUSTER), Run(CONTEXT)]
            .iter()
            .chain(changes)
            .for_each(|it| apply(&mut home, it));
        let found = findings(&home, "kubectl");
        let is_expected = |it: &Value| it["level"] == level && it.to_string().contains(part);
        assert!(found.iter().any(is_expected), "{level} `{part}`: {found:#?}");
        assert_eq!(found.iter().any(|it| it["level"] == "fine"), level == "fine", "{found:#?}");
    }
}

#[test]
fn a_tool_that_asks_only_for_https_is_reported_with_the_reason() {
    let server = service();
    for (tool, changes) in [
        ("go", &[][..]),
        (
            "kubectl",
            &[
                Run(USER),
                Run(&["kubectl", "config", "set-context", "c", "--user=me", "--cluster=k"]),
                Run(&["kubectl", "config", "set-cluster", "k", "--server=http://localhost:3000"]),
            ],
        ),
    ] {
        if !has_client(tool) {
            continue;
        }
        let mut home = logged_in(&server, &[tool]).0;
        home.set_up(tool, "localhost:3000");
        for change in changes {
            apply(&mut home, change);
        }
        let found = findings(&home, tool);
        let message = format!(
            "does not ask this program for http://localhost:3000: {tool} sends credentials to https only"
        );
        let is_expected = |it: &Value| it["level"] == "note" && it["message"] == message;
        assert_eq!(found.iter().filter(|it| is_expected(it)).count(), 1, "{found:#?}");
        assert!(found.iter().all(|it| it["level"] != "fine"), "{found:#?}");
    }
}

#[test]
fn a_kubeconfig_of_several_files_is_merged() {
    if !has_client("kubectl") {
        return;
    }
    let server = service();
    let mut home = logged_in(&server, &["kubectl"]).0;
    home.set_hosts(&[HOST]);
    apply(&mut home, &Run(USER));
    let context = "apiVersion: v1\nkind: Config\nclusters:\n- name: k\n  cluster:\n    server: https://git.acme.dev\n\
                   contexts:\n- name: c\n  context: {cluster: k, user: me}\ncurrent-context: c\n";
    let other = home.write("other", context);
    let files = std::env::join_paths([other, home.path().join(".kube/config")]).unwrap();
    home.set("KUBECONFIG", files);
    let found = findings(&home, "kubectl");
    assert!(found.iter().any(|it| it["level"] == "fine"), "{found:#?}");
}

/// Whether pip asks a keyring for an index without a user name.
fn has_recent_pip() -> bool {
    if !has_client("pip") {
        return false;
    }
    let version = VERSION_OF_PIP.split_once("'pip ").expect("its name").1;
    let version = version.split(' ').next().unwrap_or_default();
    let numbers: Vec<u32> = version.split('.').filter_map(|number| number.parse().ok()).collect();
    let is_recent = numbers >= vec![26, 2];
    let required = std::env::var_os("MY_TEST_REQUIRE_CLIENTS").is_some();
    assert!(is_recent || !required, "pip {version} is too old, and clients are required");
    if !is_recent {
        let _ = writeln!(std::io::stderr(), "SKIPPED: a test needs pip 26.2, and pip is {version}");
    }
    is_recent
}

#[test]
fn pip_is_asked_for_its_provider() {
    if !has_recent_pip() {
        return;
    }
    check(
        "pip",
        &[
            (&[], "fine", "gets a credential"),
            (&[Set("PIP_KEYRING_PROVIDER", "disabled")], "problem", "unset PIP_KEYRING_PROVIDER"),
            (&[Set("PIP_KEYRING_PROVIDER", "subprocess")], "fine", "gets a credential"),
            (
                &[Run(&["pip", "config", "set", "install.keyring-provider", "import"])],
                "problem",
                "[install] selects `import`",
            ),
            (&[Set("PIP_CONFIG_FILE", "/dev/null")], "note", "is not set up"),
            (
                &[Set(
                    "PIP_INDEX_URL",
                    "https://me:hunter2-of-another-program@git.acme.dev/simple/",
                )],
                "problem",
                "the password in the URL",
            ),
            (
                &[Set("PIP_INDEX_URL", "https://me@git.acme.dev/simple/")],
                "fine",
                "git.acme.dev/simple",
            ),
            (
                &[Write(
                    ".netrc",
                    "machine git.acme.dev login x password hunter2-of-another-program\n",
                )],
                "problem",
                "the entry in",
            ),
            (
                &[Write("n", "machine git.acme.dev login x password y\n"), SetPath("NETRC", "n")],
                "problem",
                "the entry in",
            ),
        ],
    );
}

#[test]
fn uv_is_examined_with_its_variables() {
    const FILE: &str = ".config/uv/uv.toml";
    const ALWAYS: &str = "keyring-provider = \"subprocess\"\n[[index]]\nurl = \"https://git.acme.dev/simple/\"\nauthenticate = \"always\"\n";
    const SECRET_URL: &str = "keyring-provider = \"subprocess\"\n[[index]]\nurl = \"https://me:hunter2-of-another-program@git.acme.dev/simple/\"\n";
    check(
        "uv",
        &[
            (&[], "note", "and none is configured"),
            (&[Write(FILE, ALWAYS)], "fine", "git.acme.dev/simple"),
            (
                &[Write(FILE, ALWAYS), Replace(FILE, "authenticate", "name")],
                "problem",
                "without a user name",
            ),
            (
                &[
                    Write(FILE, ALWAYS),
                    Replace(FILE, "authenticate", "name"),
                    Replace(FILE, "https://", "https://me@"),
                ],
                "fine",
                "git.acme.dev/simple",
            ),
            (&[Set("UV_KEYRING_PROVIDER", "disabled")], "problem", "unset UV_KEYRING_PROVIDER"),
            (&[Set("UV_NO_CONFIG", "1")], "problem", "unset UV_NO_CONFIG"),
            (&[SetPath("UV_CONFIG_FILE", "elsewhere.toml")], "note", "is not set up"),
            (&[Write(FILE, SECRET_URL)], "problem", "the password in the URL"),
        ],
    );
}

#[test]
fn a_pip_or_go_that_is_too_old_is_not_fine() {
    if !has_client("pip") || !has_client("go") {
        return;
    }
    let server = service();
    let mut home = with_tool(&server, "pip");
    let real = home.read("tools/pip").unwrap().replace("#!/bin/sh\n", "");
    script(
        &home,
        "tools/pip",
        &format!("[ \"$1\" = --version ] && echo 'pip 26.1 from x (python 3.11)' && exit\n{real}"),
    );
    let is_fine = |home: &Home| findings(home, "pip").iter().any(|it| it["level"] == "fine");
    assert!(!is_fine(&home), "the index may have no user name");
    home.set("PIP_INDEX_URL", "https://git.acme.dev/simple/");
    let found = findings(&home, "pip");
    assert!(
        found.iter().any(|it| it.to_string().contains("https://token@git.acme.dev/simple/")),
        "{found:#?}"
    );
    home.set("PIP_INDEX_URL", "https://token@git.acme.dev/simple/");
    assert!(is_fine(&home));
    let home = with_tool(&server, "go");
    let real = home.read("tools/go").unwrap().replace("#!/bin/sh\n", "");
    script(
        &home,
        "tools/go",
        &format!("[ \"$1\" = version ] && echo 'go version go1.23.0 x/y' && exit\n{real}"),
    );
    let found = findings(&home, "go");
    assert!(
        found.iter().any(
            |it| it["level"] == "problem" && it.to_string().contains("does not support GOAUTH")
        ),
        "{found:#?}"
    );
    assert!(found.iter().all(|it| it["level"] != "fine"), "{found:#?}");
}

#[test]
fn pnpm_is_examined_with_every_file() {
    if !has_client("pnpm12") {
        return;
    }
    let server = service();
    for (changes, level, part) in [
        (&[][..], "fine", "gets a credential"),
        (
            &[Run(&[
                "sh",
                "-c",
                "echo //git.acme.dev/:_authToken=hunter2-of-another-program >>.npmrc",
            ])],
            "problem",
            "`_authToken` in",
        ),
        (
            &[Run(&[
                "sh",
                "-c",
                "mkdir -p .config/pnpm; echo //git.acme.dev/:_authToken=hunter2-of-another-program >.config/pnpm/auth.ini",
            ])],
            "problem",
            "auth.ini",
        ),
        (
            &[Write(".npmrc", "//git.acme.dev/:tokenHelper=my-token-helper\n")],
            "problem",
            "is not an absolute path",
        ),
        (
            &[Write(".npmrc", "//git.acme.dev/:tokenHelper=/nowhere/my-token-helper\n")],
            "problem",
            "does not exist",
        ),
        (&[SetPath("NPM_CONFIG_USERCONFIG", "elsewhere")], "note", "is not set up"),
    ] {
        let mut home = logged_in(&server, &[]).0;
        script(&home, "tools/pnpm", "echo 10.0.0");
        home.set_up("pnpm", HOST);
        for change in changes {
            apply(&mut home, change);
        }
        let found = findings(&home, "pnpm");
        let is_expected = |it: &Value| it["level"] == level && it.to_string().contains(part);
        assert!(found.iter().any(is_expected), "{level} `{part}`: {found:#?}");
    }
}

#[test]
fn bazel_uses_the_most_exact_helper() {
    check(
        "bazel",
        &[
            (&[], "fine", "gets a credential"),
            (
                &[Run(&[
                    "sh",
                    "-c",
                    "echo common --credential_helper=git.acme.dev=/x/other >>.bazelrc",
                ])],
                "problem",
                "`/x/other` in",
            ),
            (
                &[Run(&[
                    "sh",
                    "-c",
                    "echo common --credential_helper=*.acme.dev=/x/other >>.bazelrc",
                ])],
                "fine",
                "gets a credential",
            ),
            (
                &[Write(
                    ".bazelrc",
                    "build --credential_helper=git.acme.dev=/x/other\n\
                     common --credential_helper=git.acme.dev=bazel-credential-my\n",
                )],
                "problem",
                "`/x/other` in",
            ),
            (
                &[Run(&[
                    "sh",
                    "-c",
                    "echo common --experimental_credential_helper git.acme.dev=/x/other >>.bazelrc",
                ])],
                "problem",
                "`/x/other` in",
            ),
            (
                &[Write(
                    ".bazelrc",
                    "common --credential_helper=*.git.acme.dev=bazel-\\\ncredential-my\n",
                )],
                "fine",
                "gets a credential",
            ),
            (
                &[Run(&[
                    "sh",
                    "-c",
                    "echo common:ci --credential_helper=git.acme.dev=/x/other >>.bazelrc",
                ])],
                "fine",
                "gets a credential",
            ),
            (
                &[Run(&[
                    "sh",
                    "-c",
                    "echo common --credential_helper=git.acme.dev=/x/other >more; echo try-import $HOME/more >>.bazelrc",
                ])],
                "problem",
                "/more",
            ),
            (
                &[Write(
                    ".bazelrc",
                    "common --credential_helper=git.acme.dev=/nowhere/bazel-credential-my\n",
                )],
                "problem",
                "does not exist",
            ),
            (
                &[Write(
                    ".bazelrc",
                    "# common --credential_helper=git.acme.dev=bazel-credential-my\n",
                )],
                "note",
                "is not set up",
            ),
        ],
    );
}

/// Without the provider, the command would add its host to the default one.
#[test]
fn the_fix_for_a_host_names_its_provider() {
    if !has_client("docker") {
        return;
    }
    let mut home = Home::new();
    let bin = home.path().join("bin");
    home.put_on_path(&bin);
    home.configure(
        "[providers.acme]\nkind = 'api_key'\napi_url = 'https://api.acme.dev'\nhosts = ['git.acme.dev']\n\
         token_variable = 'ACME_TOKEN'\n",
    );
    let unconnected = home.run(&["doctor"]).output;
    let fix = "`my-credential-helper setup docker --host HOST`";
    assert!(unconnected.contains(fix), "the provider in force has no hosts: {unconnected}");
    home.run(&["setup", "docker", "--yes", "--host", "registry.acme.dev"]);
    let report = home.run(&["doctor"]).output;
    let fix = "`my-credential-helper --provider acme setup docker --host git.acme.dev`";
    assert!(report.contains(fix), "{report}");
}

/// A keyring that accepts connections and never answers takes its three seconds once, and not for each host.
#[test]
fn a_silent_keyring_is_waited_for_once() {
    let server = service();
    let mut home = with_tool(&server, "docker");
    for host in ["b.acme.dev", "c.acme.dev", "d.acme.dev"] {
        home.set_up("docker", host);
    }
    let bus = home.path().join("bus");
    let _silent = std::os::unix::net::UnixListener::bind(&bus).unwrap();
    home.unset("MY_NO_KEYRING");
    home.set("DBUS_SESSION_BUS_ADDRESS", format!("unix:path={}", bus.display()));
    let start = std::time::Instant::now();
    let found = findings(&home, "docker");
    let took = start.elapsed();
    assert!(took.as_secs() < 9, "{took:?}: {found:?}");
    let fine = found.iter().filter(|it| it["level"] == "fine");
    assert_eq!(fine.count(), 4, "{found:?}");
}
