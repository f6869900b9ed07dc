//! The rules of `setup` besides the matrix: who may be changed, which host, account and provider, and what undo removes.

use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use serde_json::json;

use super::setup::{TOOLS, had_before};
use crate::support::{HELPER, Home, Outcome, finish, has_client, spawn};

const HOST: &str = "acme.mycli.sh";

fn home() -> Home {
    let mut home = Home::new();
    let bin = home.path().join(".local/bin");
    std::fs::create_dir_all(&bin).unwrap();
    home.put_on_path(&bin);
    symlink(HELPER, bin.join("my-credential-helper")).unwrap();
    home
}

fn setup(home: &Home, words: &[&str]) -> Outcome {
    let outcome = home.run(&[&["setup", "--yes"], words].concat());
    assert_eq!(outcome.status, 0, "{words:?}: {outcome:?}");
    outcome
}

fn refused(home: &Home, words: &[&str], message: &str) {
    let before = home.snapshot();
    let outcome = home.run(&[&["setup", "--yes"], words].concat());
    assert_eq!(outcome.status, 2, "{words:?}: {outcome:?}");
    assert!(outcome.messages.contains(message), "{words:?}: {outcome:?}");
    assert_eq!(home.snapshot(), before, "{words:?}");
}

#[test]
fn without_a_terminal_yes_is_required() {
    let home = home();
    let outcome = home.run(&["setup", "bazel", "--host", HOST]);
    assert_eq!(outcome.status, 2, "{outcome:?}");
    assert!(outcome.messages.contains("--yes"), "{outcome:?}");
    assert!(outcome.messages.contains("+ common --credential_helper"), "the plan: {outcome:?}");
    assert_eq!(home.read(".bazelrc"), None);
    setup(&home, &["bazel", "--host", HOST]);
    let again = home.run(&["setup", "bazel", "--host", HOST]);
    assert_eq!(again.status, 0, "nothing to confirm: {again:?}");
}

#[test]
fn a_dry_run_shows_every_line_of_ours() {
    for (tool, before, expected) in [
        ("docker", "{\"auths\":{\"h\":{\"auth\":\"aGk6aGk=\"}}}", "\"token.acme.dev\":"),
        ("git", "", "+ [credential \"https://token.acme.dev\"]"),
        ("pnpm", "", "+ //token.acme.dev/:tokenHelper=/"),
    ] {
        if tool == "git" && !has_client("git") {
            continue;
        }
        let home = home();
        let file = TOOLS.into_iter().find(|(name, ..)| *name == tool).unwrap().1;
        if !before.is_empty() {
            home.write(file, before);
        }
        let outcome = setup(&home, &[tool, "--host", "token.acme.dev", "--dry-run"]);
        assert!(outcome.output.contains(expected), "{tool}: {outcome:?}");
        assert!(!outcome.output.contains("aGk6aGk="), "{tool}: {outcome:?}");
    }
}

#[test]
fn git_is_given_the_path_and_portable_the_name() {
    if !has_client("git") {
        return;
    }
    let home = home();
    let path = home.path().join(".local/bin/git-credential-my");
    setup(&home, &["git", "--host", HOST]);
    let by_path =
        format!("[credential \"https://{HOST}\"]\n\thelper = \n\thelper = {}\n", path.display());
    assert_eq!(home.read(".gitconfig").unwrap(), by_path);
    setup(&home, &["git", "--host", HOST, "--portable"]);
    let by_name = format!("[credential \"https://{HOST}\"]\n\thelper = \n\thelper = my\n");
    assert_eq!(home.read(".gitconfig").unwrap(), by_name);
    setup(&home, &["git", "--host", HOST]);
    assert_eq!(home.read(".gitconfig").unwrap(), by_path, "what version 0.1.0 wrote is updated");
    setup(&home, &["git", "--undo"]);
    assert_eq!(home.read(".gitconfig"), None);
    refused(&home, &["pnpm", "--host", HOST, "--portable"], "absolute path");
}

#[test]
fn helpers_of_others_are_never_taken_for_ours() {
    let not_ours = [
        (
            "git",
            "[credential]\n\thelper = !cat /x/git-credential-my\n\thelper = my2\n\thelper = /x/my-git-credential-my --y\n\thelper = !my-credential-helper docker\n",
        ),
        (
            "bazel",
            "common --credential_helper=a.dev=/x/other # bazel-credential-my\nbuild --jobs=2 --credential_helper=a.dev=/x/bazel-credential-my\n",
        ),
        (
            "cargo",
            "[registry]\nglobal-credential-providers = [\"cargo:token-from-stdout cat /x/cargo-credential-my\"]\n",
        ),
        ("go", "GOAUTH=cat /x/my-credential-helper goauth\n"),
        (
            "pnpm",
            "//a.dev/:tokenHelper=/x/not-my-token-helper\n# //a.dev/:tokenHelper=/x/my-token-helper\n",
        ),
        (
            "terraform",
            "credentials_helper \"other\" {}\n# credentials_helper \"my\" {}\nx = <<E\ncredentials_helper \"my\" {}\nE\n",
        ),
        (
            "pip",
            "[install]\nkeyring-provider = subprocess\n[global]\nx =\n  keyring-provider = subprocess\n",
        ),
        ("docker", "{\"credHelpers\": {\"a.dev\": \"my2\"}, \"credsStore\": \"my\"}"),
        (
            "kubectl",
            "apiVersion: v1\nkind: Config\nusers:\n- name: mycli\n  user:\n    token: my-credential-helper\n- name: my-credential-helper\n  user:\n    exec:\n      apiVersion: client.authentication.k8s.io/v1\n      command: cat\n      interactiveMode: Never\n",
        ),
    ];
    for (tool, text) in not_ours {
        if matches!(tool, "git" | "kubectl") && !has_client(tool) {
            continue;
        }
        let home = home();
        let file = TOOLS.into_iter().find(|(name, ..)| *name == tool).unwrap().1;
        home.write(file, text);
        setup(&home, &[tool, "--undo"]);
        assert_eq!(home.read(file).unwrap(), text, "{tool}");
    }
}

/// git writes them again, and every user sees its arguments.
#[test]
fn helpers_of_others_are_in_no_argument_and_stay_as_they_are() {
    if !has_client("git") {
        return;
    }
    let mut home = home();
    let helpers = [
        "!f() { echo \"password=hunter2\"; }; f # \\d\t",
        " --file='hunter2' ",
        "plain",
        "",
        "cache --socket hunter2",
    ];
    let git = |home: &Home, words: &[&str]| {
        let mut command = home.command("git");
        command.args(["config", "--global"]).args(words);
        finish(spawn(command), b"").output
    };
    let key = format!("credential.https://{HOST}.helper");
    for helper in helpers {
        git(&home, &["--add", &key, helper]);
    }
    let path = std::env::var_os("PATH").unwrap();
    let mut real = std::env::split_paths(&path).map(|folder| folder.join("git"));
    let real = real.find(|path| path.is_file()).unwrap();
    let script = format!(
        "#!/bin/sh\necho \"$@\" >>\"$HOME/own/arguments\"\nexec {} \"$@\"\n",
        real.display()
    );
    let program = home.write("own/git", &script);
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let own = program.parent().unwrap();
    home.put_on_path(own);
    let values = |home: &Home| git(home, &["--null", "--get-all", &key]);
    let before = values(&home);
    setup(&home, &["git", "--host", HOST]);
    // A helper behind ours, so that the next setup moves ours, and undo restores no backup.
    git(&home, &["--add", &key, "last hunter2"]);
    std::fs::write(own.join("arguments"), "").unwrap();
    setup(&home, &["git", "--host", HOST]);
    setup(&home, &["git", "--undo"]);
    assert_eq!(values(&home), format!("{before}last hunter2\0"));
    let arguments = home.read("own/arguments").unwrap();
    assert!(arguments.contains("--add") && !arguments.contains("hunter2"), "{arguments}");
}

#[test]
fn paths_of_version_0_1_0_without_quotes_are_ours() {
    let blank = |tool: &str, text: &dyn Fn(&str) -> String| {
        let mut home = Home::new();
        let root = home.path().join("a b");
        std::fs::create_dir_all(root.join(".local/bin")).unwrap();
        home.set("HOME", &root);
        let bin = root.join(".local/bin");
        let file = format!("a b/{}", TOOLS.into_iter().find(|(name, ..)| *name == tool).unwrap().1);
        home.write(&file, &text(bin.to_str().unwrap()));
        setup(&home, &[tool, "--undo"]);
        let left = home.read(&file).unwrap_or_default();
        assert!(!left.contains("-my"), "{tool}: {left}");
    };
    if has_client("git") {
        blank("git", &|bin| {
            format!(
                "[credential \"https://{HOST}\"]\n\thelper = \n\thelper = {bin}/git-credential-my\n"
            )
        });
    }
    blank("bazel", &|bin| format!("common --credential_helper={HOST}={bin}/bazel-credential-my\n"));
    blank("pnpm", &|bin| format!("//{HOST}/:tokenHelper={bin}/my-token-helper\n"));
    blank("cargo", &|bin| {
        format!(
            "[registry]\nglobal-credential-providers = [\"cargo:token\", \"{bin}/cargo-credential-my\"]\n"
        )
    });
}

#[test]
fn undo_works_for_tools_that_are_no_longer_installed() {
    for (tool, file, _) in TOOLS {
        if matches!(tool, "git" | "kubectl") && !has_client(tool) {
            continue;
        }
        for before in [None, Some(had_before(tool))] {
            let mut home = home();
            if let Some(before) = before {
                home.write(file, before);
            }
            setup(&home, &[tool, "--host", HOST]);
            home.set("PATH", home.path().join(".local/bin").into_os_string());
            setup(&home, &["--all", "--undo"]);
            let now = home.read(file);
            // kubectl lays out the whole file anew.
            if tool == "kubectl" {
                assert!(!now.unwrap_or_default().contains("my-credential-helper"), "{tool}");
            } else {
                assert_eq!(now.as_deref(), before, "{tool}");
            }
            setup(&home, &["--all", "--undo"]);
        }
    }
}

#[test]
fn undo_removes_only_hosts_that_setup_added() {
    let home = home();
    home.set_hosts(&["mine.acme.dev"]);
    let before = home.read(".config/my-credential-helper/config.toml").unwrap();
    setup(&home, &["docker", "--host", HOST, "--host", "mine.acme.dev"]);
    setup(&home, &["bazel", "--host", HOST]);
    let hosts = || home.run(&["config", "get", "hosts"]).output;
    assert_eq!(hosts(), format!("mine.acme.dev {HOST}\n"));
    let outcome = setup(&home, &["docker", "--undo", "--host", HOST, "--json"]).json();
    assert_eq!(outcome["hosts_removed"], json!([]), "bazel needs it");
    assert!(home.read(".docker/config.json").unwrap().contains("mine.acme.dev"));
    let outcome = setup(&home, &["bazel", "--undo", "--json"]).json();
    assert_eq!(outcome["hosts_removed"], json!([HOST]));
    setup(&home, &["docker", "--undo"]);
    assert_eq!(home.read(".config/my-credential-helper/config.toml").unwrap(), before);
}

/// What the user wrote in `hosts`, also an empty list, is there again after undo.
#[test]
fn undo_restores_the_hosts_that_the_user_wrote() {
    if !has_client("git") {
        return;
    }
    let provider = "provider = \"acme\"\n[providers.acme]\nkind = \"api_key\"\n\
        api_url = \"https://api.acme.dev\"\ntoken_variable = \"ACME_TOKEN\"\n";
    for list in [
        "",
        "hosts = []\n",
        "hosts = [\"own.acme.dev\"]\n",
        "hosts = [ \"own.acme.dev\" ] # list\n",
        "hosts = [\n  \"own.acme.dev\", # mine\n  # more\n]\n",
        "hosts = [\n  \"own.acme.dev\" # mine\n]\n",
    ] {
        let home = home();
        home.configure(&format!("{provider}{list}"));
        let file = ".config/my-credential-helper/config.toml";
        let before = home.read(file).unwrap();
        let is_restored = || assert_eq!(home.read(file).unwrap(), before, "{list}");
        setup(&home, &["git", "--host", "b.acme.dev", "--host", "own.acme.dev"]);
        assert!(home.read(file).unwrap().contains("\"b.acme.dev\""), "{list}");
        setup(&home, &["git", "--host", "c.acme.dev"]);
        // A second time: nothing is new.
        setup(&home, &["git", "--host", "b.acme.dev"]);
        for host in ["b.acme.dev", "c.acme.dev"] {
            setup(&home, &["git", "--undo", "--host", host]);
        }
        setup(&home, &["git", "--undo"]);
        is_restored();
        setup(&home, &["git", "--host", "b.acme.dev"]);
        setup(&home, &["git", "--undo"]);
        is_restored();
    }
}

/// Also what is the default of the tool, although another line was added meanwhile.
#[test]
fn undo_restores_a_default_that_the_user_wrote() {
    for (tool, before, later) in [
        ("cargo", "[registry]\nglobal-credential-providers = [\"cargo:token\"]\n", true),
        ("cargo", "[registry]\nglobal-credential-providers = []\n", true),
        ("cargo", "registry = { global-credential-providers = [\"cargo:token\"] }\n", true),
        (
            "cargo",
            "[registry]\n# mine\nglobal-credential-providers = [\n  \"cargo:token\", # 2\n  \"cargo:libsecret\",\n] # order\n",
            true,
        ),
        ("cargo", "[net]\nretry = 2\n", true),
        ("cargo", "[registry]\nglobal-credential-providers = [\"cargo:token\"]\n", false),
        ("docker", "{\n  \"credHelpers\": {}\n}\n", true),
        ("docker", "{\n  \"auths\": {}\n}\n", true),
    ] {
        let home = home();
        let file = TOOLS.into_iter().find(|(name, ..)| *name == tool).unwrap().1;
        home.write(file, before);
        let host = ["--host", HOST];
        setup(&home, &[&[tool][..], if tool == "docker" { &host } else { &[] }].concat());
        let changed = home.read(file).unwrap();
        assert!(changed != before, "{before}");
        let add = |text: &str| match tool {
            _ if !later => text.to_owned(),
            "docker" => text.replacen("{\n", "{\n  \"detachKeys\": \"ctrl-x\",\n", 1),
            _ => format!("{text}[term]\nquiet = true\n"),
        };
        home.write(file, &add(&changed));
        setup(&home, &[tool, "--undo"]);
        assert_eq!(home.read(file).unwrap(), add(before), "{tool}");
    }
}

#[test]
fn an_account_is_selected_for_the_host_or_refused() {
    let home = home();
    let settings = ".config/my-credential-helper/config.toml";
    refused(&home, &["cargo", "--account", "work"], "--host HOST");
    refused(&home, &["pnpm", "--account", "work", "--host", HOST], "account");
    setup(&home, &["cargo", "--account", "work", "--host", HOST]);
    assert!(home.read(settings).unwrap().contains(&format!("[accounts]\n\"{HOST}\" = \"work\"")));
    let explained = home.run(&["get", "--explain", "--url", &format!("https://{HOST}")]);
    assert!(explained.messages.contains("work"), "{explained:?}");
    setup(&home, &["cargo", "--undo"]);
    assert_eq!(home.read(settings), None);
    home.write(settings, &format!("[accounts]\n\"https://{HOST}\" = \"mine\"\n"));
    refused(&home, &["cargo", "--account", "work", "--host", HOST], "selects the account mine");
    setup(&home, &["go", "--account", "work"]);
    let text = home.read(".config/go/env").unwrap();
    assert_eq!(text, "GOAUTH=my-credential-helper --account work goauth\n");
    setup(&home, &["go", "--undo"]);
    assert_eq!(home.read(".config/go/env"), None);
}

#[test]
fn a_provider_reaches_every_tool() {
    let mut home = home();
    let settings = "[providers.acme]\nkind = \"api_key\"\napi_url = \"https://api.acme.dev\"\nheader = \"Authorization: Bearer\"\ntoken_variable = \"ACME_TOKEN\"\n";
    home.write(".config/my-credential-helper/config.toml", settings);
    home.set("ACME_TOKEN", "acme-token");
    home.set("MY_API_TOKEN", "myc_other");
    setup(&home, &["pnpm", "--provider", "acme", "--host", HOST]);
    let helper = home.path().join(".local/bin/my-token-helper-acme");
    let line = format!("//{HOST}/:tokenHelper={}\n", helper.display());
    assert_eq!(home.read(".npmrc").unwrap(), line);
    let outcome = home.run_client(&[helper.to_str().unwrap()]);
    assert_eq!(outcome.output, "Bearer acme-token\n", "{outcome:?}");
    setup(&home, &["go", "--provider", "acme"]);
    let text = home.read(".config/go/env").unwrap();
    assert_eq!(text, "GOAUTH=my-credential-helper --provider acme goauth\n");
    refused(&home, &["pnpm", "--undo", "--provider", "acme"], "--undo");
    setup(&home, &["pnpm", "--undo"]);
    assert!(!helper.is_symlink());
    setup(&home, &["go", "--undo"]);
    assert_eq!(home.read(".config/my-credential-helper/config.toml").unwrap(), settings);
}

#[test]
fn a_foreign_user_of_the_kubeconfig_is_not_merged() {
    if !has_client("kubectl") {
        return;
    }
    let home = home();
    let user = |name: &str| {
        format!(
            "apiVersion: v1\nkind: Config\nusers:\n- name: {name}\n  user:\n    token: hunter2\n"
        )
    };
    home.write(".kube/config", &user("my-credential-helper"));
    refused(&home, &["kubectl"], "a user `my-credential-helper`");
    home.write(".kube/config", &user("mycli"));
    setup(&home, &["kubectl"]);
    let text = home.read(".kube/config").unwrap();
    assert!(
        text.contains("- name: my-credential-helper\n")
            && text.contains("- name: mycli\n  user:\n    token: hunter2\n"),
        "{text}"
    );
    setup(&home, &["kubectl", "--undo"]);
    assert_eq!(home.read(".kube/config").unwrap(), user("mycli"));
}

#[test]
fn the_command_for_kubectl_is_absolute_below_tmpdir() {
    if !has_client("kubectl") {
        return;
    }
    let mut home = Home::new();
    let path = home.path().to_owned();
    home.set("TMPDIR", &path);
    for folder in ["", ".kube", ".my"] {
        let program = home.path().join(folder).join("my-credential-helper");
        std::fs::create_dir_all(program.parent().unwrap()).unwrap();
        // A program that another thread's child has open for writing cannot be started.
        assert_eq!(home.run_client(&["cp", HELPER, program.to_str().unwrap()]).status, 0);
        let outcome = home.run_client(&[program.to_str().unwrap(), "setup", "--yes", "kubectl"]);
        assert_eq!(outcome.status, 0, "{outcome:?}");
        let text = home.read(".kube/config").unwrap();
        assert!(text.contains(&format!("command: {}\n", program.display())), "{folder}: {text}");
        std::fs::remove_file(home.path().join(".kube/config")).unwrap();
        std::fs::remove_file(program).unwrap();
    }
}

#[test]
fn terraform_never_gets_a_second_helper() {
    for file in
        [".terraform.d/a.tfrc", ".terraform.d/b.tfrc.json", ".terraformrc", "named", "older"]
    {
        let mut home = home();
        match file {
            "named" => home.set("TF_CLI_CONFIG_FILE", home.path().join(file)),
            "older" => home.set("TERRAFORM_CONFIG", home.path().join(file)),
            _ => {}
        }
        let text = match file {
            ".terraform.d/b.tfrc.json" => "{\"credentials_helper\": {\"other\": {}}}",
            _ => "// c\ncredentials_helper \"other\" {\n  args = [\"}\"]\n}\n",
        };
        home.write(file, text);
        let outcome = setup(&home, &["terraform"]);
        assert!(
            outcome.output.contains(&format!("{file} has another credentials helper")),
            "{outcome:?}"
        );
        assert_eq!(home.read(file).unwrap(), text);
        assert!(file == ".terraformrc" || home.read(".terraformrc").is_none(), "{file}");
        if has_client("terraform") {
            let outcome = home.run_client(&["env", "CHECKPOINT_DISABLE=1", "terraform", "version"]);
            assert_eq!((outcome.status, &*outcome.messages), (0, ""), "{file}: {outcome:?}");
        }
    }
    let home = home();
    home.write(".terraformrc", "credentials_helper \"my\" {");
    refused(&home, &["terraform"], "cannot read");
}

#[test]
fn tofu_has_its_own_files() {
    let mut home = home();
    home.write(".terraformrc", "# mine\n");
    setup(&home, &["tofu"]);
    assert!(
        home.read(".terraformrc").unwrap().contains("credentials_helper"),
        "read without .tofurc"
    );
    home.write(".tofurc", "# mine\n");
    setup(&home, &["tofu"]);
    assert!(home.read(".tofurc").unwrap().contains("credentials_helper"));
    std::fs::remove_file(home.path().join(".tofurc")).unwrap();
    std::fs::remove_file(home.path().join(".terraformrc")).unwrap();
    home.set("XDG_CONFIG_HOME", home.path().join("xdg"));
    setup(&home, &["tofu"]);
    assert!(home.read("xdg/opentofu/tofurc").unwrap().contains("credentials_helper"));
}

#[test]
fn a_home_that_is_not_utf_8_is_reported_as_text() {
    let mut home = Home::new();
    let root = home.path().join(std::ffi::OsStr::from_bytes(b"\xff"));
    std::fs::create_dir(&root).unwrap();
    home.set("HOME", &root);
    for tool in ["docker", "pip", "uv", "terraform"] {
        let outcome = setup(&home, &[tool, "--host", HOST, "--json"]).json();
        assert!(outcome["tools"][0]["file"].as_str().unwrap().contains('\u{fffd}'), "{outcome}");
    }
}

#[test]
fn notes_for_a_loopback_host_name_its_scheme() {
    let home = home();
    for tool in ["pnpm", "pip", "uv", "cargo"] {
        let outcome = setup(&home, &[tool, "--host", "localhost:3000"]);
        assert!(outcome.output.contains("http://localhost:3000/"), "{tool}: {outcome:?}");
        assert!(!outcome.output.contains("https://localhost"), "{tool}: {outcome:?}");
    }
}

/// A host that two providers have would get the token of the first one.
#[test]
fn a_host_of_another_provider_is_refused_with_its_name() {
    let home = home();
    let settings = "[providers.acme]\nkind = \"api_key\"\napi_url = \"https://api.acme.dev\"\nhosts = [\"git.acme.dev\"]\ntoken_variable = \"ACME_TOKEN\"\n";
    home.write(".config/my-credential-helper/config.toml", settings);
    for host in ["git.acme.dev", "https://git.acme.dev", "api.acme.dev", "*.acme.dev"] {
        for words in [
            &["setup", "docker", "--yes", "--host", host][..],
            &["config", "add", "hosts", host],
            &["config", "set", "hosts", "other.dev", host],
        ] {
            let outcome = home.run(words);
            assert_eq!(outcome.status, 2, "{words:?}: {outcome:?}");
            let message = format!("{host} is a host of the provider acme");
            assert!(outcome.messages.contains(&message), "{words:?}: {outcome:?}");
            assert!(outcome.messages.contains("`--provider acme`"), "{words:?}: {outcome:?}");
        }
    }
    refused(&home, &["docker", "--provider", "acme", "--host", "api.mycli.sh"], "provider mycli");
    assert_eq!(home.read(".config/my-credential-helper/config.toml").unwrap(), settings);
    setup(&home, &["docker", "--provider", "acme", "--host", "git.acme.dev"]);
    // The host moves as the hint says.
    home.run(&["--provider", "acme", "config", "remove", "hosts", "git.acme.dev"]);
    setup(&home, &["docker", "--host", "git.acme.dev"]);
}

#[test]
fn a_host_with_a_path_is_reported_as_one() {
    let home = home();
    for host in ["https://git.acme.dev/team/app.git", "git.acme.dev/team"] {
        refused(&home, &["git", "--host", host], "it has a path; write only the host");
    }
}

/// What `setup` writes, as written by the user: by hand, before `setup`.
fn by_hand(tool: &str, host: &str) -> (Home, String) {
    let file = TOOLS.into_iter().find(|(name, ..)| *name == tool).unwrap().1;
    let other = home();
    setup(&other, &[tool, "--host", host]);
    let home = home();
    let path = |home: &Home| home.path().to_str().unwrap().to_owned();
    let text = other.read(file).unwrap().replace(&path(&other), &path(&home));
    home.write(file, &text);
    (home, text)
}

#[test]
fn undo_keeps_what_the_user_had_before_setup() {
    for (tool, file, _) in TOOLS {
        if matches!(tool, "git" | "kubectl") && !has_client(tool) {
            continue;
        }
        let (home, text) = by_hand(tool, HOST);
        let files = |home: &Home| {
            let is_file = |(path, text): &(std::path::PathBuf, Option<Vec<u8>>)| {
                text.is_some()
                    && !path.ends_with("accounts.lock")
                    && !path.ends_with("go/telemetry")
            };
            home.snapshot().into_iter().filter(is_file).collect::<Vec<_>>()
        };
        let before = files(&home);
        setup(&home, &[tool, "--host", HOST]);
        let again = setup(&home, &[tool, "--host", HOST]);
        assert!(again.output.contains("nothing to change"), "{tool}: {again:?}");
        assert_eq!(home.read(file).as_ref(), Some(&text), "{tool}: it was there already");
        setup(&home, &[tool, "--undo"]);
        assert_eq!(home.read(file).as_ref(), Some(&text), "{tool}");
        assert_eq!(files(&home), before, "{tool}: no link, no backup and no record stays");
    }
}

#[test]
fn undo_keeps_what_the_user_had_after_a_later_change() {
    for (tool, later) in [
        ("pip", "index-url = https://a.dev/simple/\n"),
        ("uv", "[[index]]\nurl = \"https://a.dev/simple/\"\n"),
        ("cargo", "[net]\nretry = 1\n"),
        ("bazel", "build --jobs=2\n"),
    ] {
        let (home, text) = by_hand(tool, HOST);
        let file = TOOLS.into_iter().find(|(name, ..)| *name == tool).unwrap().1;
        setup(&home, &[tool, "--host", HOST]);
        let changed = format!("{text}{later}");
        home.write(file, &changed);
        setup(&home, &[tool, "--undo"]);
        assert_eq!(home.read(file), Some(changed), "{tool}");
    }
}

#[test]
fn a_link_of_another_tool_does_not_prove_a_setup() {
    let (home, text) = by_hand("uv", HOST);
    setup(&home, &["pip"]);
    setup(&home, &["uv"]);
    setup(&home, &["uv", "--undo"]);
    assert_eq!(home.read(".config/uv/uv.toml"), Some(text));
    setup(&home, &["pip", "--undo"]);
    assert_eq!(home.read(".config/pip/pip.conf"), None, "setup wrote this one");
}

#[test]
fn undo_adds_nothing_of_its_own_to_an_entry_of_the_user() {
    // A host by hand, then another one by `setup`.
    for tool in ["docker", "bazel", "pnpm"] {
        let (home, text) = by_hand(tool, "mine.acme.dev");
        let file = TOOLS.into_iter().find(|(name, ..)| *name == tool).unwrap().1;
        setup(&home, &[tool, "--host", HOST]);
        assert_ne!(home.read(file).as_ref(), Some(&text), "{tool}");
        setup(&home, &[tool, "--undo"]);
        assert_eq!(home.read(file), Some(text), "{tool}");
    }
}

#[test]
fn a_setup_after_later_changes_is_still_undone() {
    for (tool, file, _) in TOOLS {
        if matches!(tool, "git" | "kubectl" | "docker" | "podman") {
            continue;
        }
        let home = home();
        setup(&home, &[tool, "--host", HOST]);
        let later = if tool == "go" { "GOWORK=off\n" } else { "# later\n" };
        let text = home.read(file).unwrap();
        let comment = if tool == "pnpm" { "; later\n" } else { later };
        home.write(file, &format!("{text}{comment}"));
        setup(&home, &[tool, "--host", HOST, "--host", "other.acme.dev"]);
        setup(&home, &[tool, "--host", HOST]);
        setup(&home, &[tool, "--undo"]);
        let left = home.read(file).unwrap_or_default();
        let left = left.trim_start_matches("[global]\n");
        assert_eq!(left.trim(), comment.trim(), "{tool}");
    }
}

#[test]
fn undo_leaves_no_context_with_a_removed_user() {
    if !has_client("kubectl") {
        return;
    }
    for is_installed in [true, false] {
        let mut home = home();
        let kubectl = |home: &Home, words: &[&str]| {
            let outcome = home.run_client(&[&["kubectl", "config"], words].concat());
            assert_eq!(outcome.status, 0, "{outcome:?}");
            outcome.output
        };
        kubectl(&home, &["set-credentials", "ada", "--token=hunter2"]);
        kubectl(&home, &["set-context", "dev", "--user=ada", "--cluster=k", "--namespace=n"]);
        setup(&home, &["kubectl"]);
        let (path, ours) = (home.path().to_owned(), "--user=my-credential-helper");
        kubectl(&home, &["set-context", "dev", ours]);
        kubectl(&home, &["set-context", "new", ours, "--cluster=k"]);
        kubectl(&home, &["set-context", "other", "--user=my-credential-helper-not", "--cluster=k"]);
        if !is_installed {
            home.set("PATH", path.join(".local/bin"));
        }
        let outcome = setup(&home, &["kubectl", "--undo"]);
        assert!(!outcome.output.contains("hunter2"), "{outcome:?}");
        home.set("PATH", std::env::var_os("PATH").unwrap());
        let user = |name: &str| {
            let found = format!("{{.contexts[?(@.name==\"{name}\")].context.user}}");
            kubectl(&home, &["view", "-o", &format!("jsonpath={found}")])
        };
        let users = ["dev", "new", "other"].map(user);
        let expected = [if is_installed { "ada" } else { "" }, "", "my-credential-helper-not"];
        assert_eq!(users, expected, "{is_installed}: {:?}", home.read(".kube/config"));
        let names = kubectl(&home, &["view", "-o", "jsonpath={.users[*].name}"]);
        assert_eq!(names, "ada", "{is_installed}");
    }
}

/// With such a host in its configuration, every command of Bazel fails.
#[test]
fn bazel_is_not_set_up_for_a_host_that_it_rejects() {
    let mut home = home();
    let stub = home.write(".local/bin/bazel", "#!/bin/sh\necho bazel 7.7.1\n");
    std::fs::set_permissions(&stub, std::fs::Permissions::from_mode(0o755)).unwrap();
    home.set("PATH", stub.parent().unwrap());
    let outcome = setup(&home, &["bazel", "--host", "[::1]:8080", "--host", "a_b.acme.dev"]);
    for host in ["[::1]:8080", "a_b.acme.dev"] {
        let note = format!("{host} was left out: bazel accepts only letters");
        assert!(outcome.output.contains(&note), "{outcome:?}");
    }
    assert_eq!(home.read(".bazelrc"), None);
    setup(&home, &["bazel", "--host", "*.acme.dev", "--host", "127.0.0.1:8080"]);
    let written = home.read(".bazelrc").unwrap();
    for host in ["*.acme.dev", "127.0.0.1"] {
        let line = format!("common --credential_helper={host}=bazel-credential-my");
        assert!(written.lines().any(|it| it == line), "{written}");
    }
    assert_eq!(written.lines().count(), 2, "{written}");
    let doctor = home.run(&["doctor"]).output;
    assert!(doctor.contains("127.0.0.1:8080") && !doctor.contains("is not set up for"), "{doctor}");
}

#[test]
fn undo_of_all_lists_each_file_once() {
    let mut home = home();
    let bin = home.path().join(".local/bin");
    home.set("PATH", bin.as_os_str());
    for (tool, twin) in [("terraform", "tofu"), ("docker", "podman"), ("podman", "docker")] {
        symlink("/bin/true", bin.join(tool)).unwrap();
        setup(&home, &[tool, "--host", HOST]);
        let outcome = setup(&home, &["--all", "--undo", "--json"]).json();
        let tools: Vec<_> =
            outcome["tools"].as_array().unwrap().iter().map(|it| it["tool"].clone()).collect();
        assert!(tools.contains(&json!(tool)) && !tools.contains(&json!(twin)), "{tools:?}");
        assert_eq!(outcome["hosts_removed"], json!([HOST]));
        std::fs::remove_file(bin.join(tool)).unwrap();
    }
    // A tool that is set up and not installed, whose twin is installed.
    setup(&home, &["podman", "--host", HOST]);
    symlink("/bin/true", bin.join("docker")).unwrap();
    let outcome = setup(&home, &["--all", "--undo", "--json"]).json();
    assert_eq!(outcome["hosts_removed"], json!([HOST]), "{outcome}");
    assert_eq!(home.read(".docker/config.json"), None);
}

#[test]
fn notes_are_printed_before_the_error() {
    let mut home = home();
    let bin = home.path().join(".local/bin");
    home.set("PATH", bin.as_os_str());
    for tool in ["bazel", "uv"] {
        symlink("/bin/true", bin.join(tool)).unwrap();
    }
    for words in [&["setup", "--all"][..], &["--json", "setup", "--all"]] {
        let outcome = home.run(words);
        assert_eq!(outcome.status, 2, "{outcome:?}");
        let place = |text: &str| {
            outcome.messages.find(text).unwrap_or_else(|| panic!("{text}: {outcome:?}"))
        };
        assert!(place("note: bazel is configured by host") < place("error: "), "{outcome:?}");
    }
}
