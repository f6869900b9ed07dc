//! `setup` writes what the integrations recommend, keeps existing configuration, and can be undone.
//! That the real clients work with it is tested beside each client's other tests.

use std::os::unix::fs::{PermissionsExt as _, symlink};

use serde_json::json;

use crate::support::protected::{self, Protected, Protection};
use crate::support::terminal::{in_terminal, status_of};
use crate::support::{HELPER, Home, Outcome, has_client};

/// The host of the integrations' examples.
const HOST: &str = "acme.mycli.sh";

/// A home whose `~/.local/bin`, where links go, is on PATH.
pub(super) fn home() -> Home {
    let mut home = Home::new();
    std::fs::create_dir_all(home.path().join(".local/bin")).unwrap();
    let bin = home.path().join(".local/bin");
    home.put_on_path(&bin);
    symlink(HELPER, bin.join("my-credential-helper")).unwrap();
    home
}

/// Every file, but for those that clients keep for themselves.
pub(super) fn snapshot(
    home: &Home,
) -> std::collections::BTreeMap<std::path::PathBuf, Option<Vec<u8>>> {
    let mut files = home.snapshot();
    files.retain(|path, _| {
        !path.ends_with("go/telemetry")
            && !path.to_string_lossy().contains("go/telemetry/")
            // The lock on config.toml stays.
            && !["/.my", "/.my/sessions", "/.my/sessions/accounts.lock"]
                .iter()
                .any(|lock| path.to_string_lossy().ends_with(lock))
    });
    files
}

fn setup(home: &Home, words: &[&str]) -> Outcome {
    let outcome = home.run(&[&["setup", "--yes"], words].concat());
    assert_eq!(outcome.status, 0, "{words:?}: {outcome:?}");
    outcome
}

/// Tools, the file that each has, and the page that says what should stand in it. The clients of the last two have to
/// be installed.
pub(super) const TOOLS: [(&str, &str, &str); 12] = [
    ("git", ".gitconfig", include_str!("../../../integrations/git/README.md")),
    ("docker", ".docker/config.json", include_str!("../../../integrations/docker/README.md")),
    ("podman", ".docker/config.json", include_str!("../../../integrations/docker/README.md")),
    ("cargo", ".cargo/config.toml", include_str!("../../../integrations/cargo/README.md")),
    ("terraform", ".terraformrc", include_str!("../../../integrations/terraform/README.md")),
    ("tofu", ".tofurc", include_str!("../../../integrations/terraform/README.md")),
    ("bazel", ".bazelrc", include_str!("../../../integrations/bazel/README.md")),
    ("pnpm", ".npmrc", include_str!("../../../integrations/pnpm/README.md")),
    ("pip", ".config/pip/pip.conf", include_str!("../../../integrations/keyring/README.md")),
    ("uv", ".config/uv/uv.toml", include_str!("../../../integrations/keyring/README.md")),
    ("go", ".config/go/env", include_str!("../../../integrations/goauth/README.md")),
    ("kubectl", ".kube/config", ""),
];

fn tools() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    let needs_itself = |tool: &str| matches!(tool, "git" | "go" | "kubectl");
    TOOLS.into_iter().filter(move |(tool, ..)| !needs_itself(tool) || has_client(tool))
}

#[test]
fn setup_writes_the_documented_lines_once() {
    for (tool, file, page) in tools() {
        let home = home();
        setup(&home, &[tool, "--host", HOST]);
        let text = home.read(file).unwrap_or_else(|| panic!("{tool} has no {file}"));
        let bin = home.path().join(".local/bin");
        let page: Vec<_> = page.lines().map(as_written).collect();
        for line in text.replace(bin.to_str().unwrap(), "/usr/local/bin").lines().map(as_written) {
            assert!(page.is_empty() || page.contains(&line), "{tool}: `{line}` is not on its page");
        }
        let before = snapshot(&home);
        let again = setup(&home, &[tool, "--host", HOST]);
        assert!(again.output.contains("nothing to change"), "{again:?}");
        assert_eq!(snapshot(&home), before, "{tool}: twice is the same as once");
    }
}

/// A line without what may differ: the host of the example, the layout, a comma behind it.
fn as_written(line: &str) -> String {
    let words = ["api.", "registry.", "crates.", "npm.", "go.", "*.", "acme."];
    let hosts = words
        .iter()
        .fold(line.to_owned(), |line, word| line.replace(&format!("{word}mycli.sh"), HOST));
    hosts.replace("HOST", HOST).trim().trim_end_matches(',').to_owned()
}

/// An existing configuration, with comments and its own order.
pub(super) fn had_before(tool: &str) -> &'static str {
    match tool {
        "git" => "# mine\n[user]\n\tname = Ada\n[credential]\n\thelper = store\n",
        "docker" | "podman" => {
            "{\n\t\"auths\": {\"hub.example\": {\"auth\": \"aHVudGVyMg==\"}},\n\t\"credsStore\": \"desktop\"\n}"
        }
        "cargo" => {
            "# mine\n[registry]\nglobal-credential-providers = [\"cargo:token\", \"other\"] # why\n\n[net]\nretry = 1\n"
        }
        "terraform" | "tofu" => {
            "# mine\ndisable_checkpoint = true // credentials_helper \"x\" {}\n/*\ncredentials_helper \"my\" {}\n*/\n"
        }
        "bazel" => "# mine\nbuild --jobs=2",
        "pnpm" => "; mine\n//other.example/:_authToken=hunter2\n",
        "pip" => {
            "# mine\n[global]  # company\n  timeout = 5\n  keyring_provider = disabled\n\n[install]\nno-deps = yes\n"
        }
        "uv" => "# mine\noffline = false\n",
        "go" => "GOAUTH=netrc\nGOFLAGS=-x\n",
        _ => {
            "apiVersion: v1\nclusters: []\ncontexts: []\ncurrent-context: \"\"\nkind: Config\nusers:\n- name: other\n  user:\n    token: hunter2\n"
        }
    }
}

#[test]
fn existing_configuration_is_kept_and_restored_exactly() {
    for (tool, file, _) in tools() {
        let home = home();
        let path = home.write(file, had_before(tool));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let folder = path.parent().unwrap().to_owned();
        let mode =
            |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let of_folder = mode(&folder);
        let before = snapshot(&home);

        let planned = setup(&home, &[tool, "--host", HOST, "--dry-run"]);
        assert_eq!(snapshot(&home), before, "{tool}: --dry-run changes nothing");
        let outcome = setup(&home, &[tool, "--host", HOST]);
        assert_eq!(
            planned.output.lines().take(3).collect::<Vec<_>>(),
            outcome.output.lines().take(3).collect::<Vec<_>>()
        );
        assert!(
            !outcome.output.contains("hunter2") && !outcome.output.contains("aHVudGVyMg"),
            "{outcome:?}"
        );
        let now = home.read(file).unwrap();
        assert_ne!(now, had_before(tool));
        for line in
            had_before(tool).lines().filter(|line| line.contains("mine") || line.contains("other"))
        {
            let word = if line.contains("mine") { "mine" } else { "other" };
            assert!(now.contains(word), "{tool}: {now}");
        }
        assert_eq!((mode(&path), mode(&folder)), (0o640, of_folder), "{tool}: modes stay");
        assert_eq!(
            home.read(&format!("{file}.before-my-credential-helper")).unwrap(),
            had_before(tool)
        );

        setup(&home, &[tool, "--undo"]);
        assert_eq!(home.read(file).unwrap(), had_before(tool), "{tool}");
        let mut after = snapshot(&home);
        after.retain(|path, contents| contents.is_some() || before.contains_key(path));
        let files = |files: std::collections::BTreeMap<_, Option<Vec<u8>>>| {
            files.into_iter().filter(|(_, text)| text.is_some()).collect::<Vec<_>>()
        };
        assert_eq!(files(after), files(before), "{tool}: nothing stays behind");
    }
}

#[test]
fn undo_after_other_changes_removes_only_our_part() {
    for (tool, file, _) in
        tools().filter(|(tool, ..)| !matches!(*tool, "docker" | "podman" | "kubectl"))
    {
        let home = home();
        home.write(file, had_before(tool));
        setup(&home, &[tool, "--host", HOST]);
        let added = if tool == "go" { "GOWORK=off\n" } else { "# later\n" };
        let changed = format!("{}\n{added}", home.read(file).unwrap().trim_end());
        home.write(file, &changed);
        let outcome = setup(&home, &[tool, "--undo"]);
        let now = home.read(file).unwrap();
        assert!(now.contains(added.trim()) && now != had_before(tool), "{tool}: {now}");
        assert!(
            !now.contains("credential-my")
                && !now.contains("my-credential-helper")
                && !now.contains("my-token"),
            "{tool}: {now}"
        );
        assert!(outcome.output.contains(".before-my-credential-helper"), "{outcome:?}");
    }
}

#[test]
fn undo_removes_a_file_that_setup_created() {
    for (tool, file, _) in tools().filter(|(tool, ..)| *tool != "kubectl") {
        let home = home();
        setup(&home, &[tool, "--host", HOST]);
        setup(&home, &[tool, "--undo"]);
        assert_eq!(home.read(file), None, "{tool}");
    }
}

#[test]
fn a_file_that_is_not_our_link_is_not_replaced() {
    let home = home();
    let theirs = home.write(".local/share/my-credential-helper/bin/keyring", "#!/bin/sh\n");
    let outcome = home.run(&["setup", "--yes", "pip"]);
    assert_eq!(outcome.status, 2, "{outcome:?}");
    assert!(outcome.messages.contains("exists and is not a link to this program"), "{outcome:?}");
    assert_eq!(std::fs::read_to_string(theirs).unwrap(), "#!/bin/sh\n");
    assert_eq!(home.read(".config/pip/pip.conf"), None, "and nothing else was done");

    // Python's own, in a folder of pipx.
    let home = self::home();
    let theirs = home.write(".local/bin/keyring", "#!/bin/sh\n");
    std::fs::set_permissions(&theirs, std::fs::Permissions::from_mode(0o755)).unwrap();
    let outcome = setup(&home, &["pip"]);
    assert!(
        outcome.output.contains("comes first on PATH") && outcome.output.contains("export PATH="),
        "{outcome:?}"
    );
    assert_eq!(std::fs::read_to_string(&theirs).unwrap(), "#!/bin/sh\n");

    // A link of ours that leads nowhere is repaired.
    let link = home.path().join(".local/bin/cargo-credential-my");
    symlink("/nonexistent/my-credential-helper", &link).unwrap();
    setup(&home, &["cargo"]);
    assert_eq!(std::fs::canonicalize(link).unwrap(), std::fs::canonicalize(HELPER).unwrap());
}

#[test]
fn a_tool_with_hosts_requires_a_host_and_adds_it() {
    let home = home();
    for tool in ["git", "docker", "bazel", "pnpm"] {
        let outcome = home.run(&["setup", "--yes", tool]);
        assert_eq!(outcome.status, 2, "{outcome:?}");
        assert!(outcome.messages.contains(&format!("setup {tool} --host HOST")), "{outcome:?}");
    }
    setup(&home, &["docker", "--host", "registry.acme.dev", "--host", "other.acme.dev"]);
    setup(&home, &["bazel"]);
    assert_eq!(home.run(&["config", "get", "hosts"]).output, "registry.acme.dev other.acme.dev\n");
    assert!(home.read(".bazelrc").unwrap().contains("=other.acme.dev=bazel-credential-my"));
    let outcome = home.run(&["setup", "--yes", "docker", "--host", "https://user@acme.dev"]);
    assert_eq!(outcome.status, 2, "{outcome:?}");
}

#[test]
fn another_helper_stays_and_is_reported() {
    let home = home();
    home.write(".docker/config.json", &json!({ "credHelpers": { HOST: "ecr-login" } }).to_string());
    let outcome = setup(&home, &["docker", "--host", HOST]);
    assert!(home.read(".docker/config.json").unwrap().contains("ecr-login"));
    assert!(outcome.output.contains("`ecr-login` is already the helper for"), "{outcome:?}");
    home.write(".terraformrc", "credentials_helper \"other\" {}\n");
    let outcome = setup(&home, &["terraform"]);
    assert_eq!(home.read(".terraformrc").unwrap(), "credentials_helper \"other\" {}\n");
    assert!(
        outcome.output.contains("replace it with: credentials_helper \"my\" {}"),
        "{outcome:?}"
    );
    home.write(".cargo/config.toml", had_before("cargo"));
    setup(&home, &["cargo"]);
    let text = home.read(".cargo/config.toml").unwrap();
    assert!(text.contains("[\"cargo:token\", \"other\", \"cargo-credential-my\"] # why"), "{text}");
    if has_client("git") {
        home.write(".gitconfig", had_before("git"));
        let outcome = setup(&home, &["git", "--host", HOST]);
        assert!(
            outcome.output.contains("`store` is still used for all other hosts"),
            "{outcome:?}"
        );
    }
}

/// A helper that is a shell command often contains a password.
#[test]
fn the_arguments_of_other_commands_are_not_printed() {
    for (tool, file, text, shown) in [
        (
            "git",
            ".gitconfig",
            "[credential]\n\thelper = \"!echo password=hunter2\"\n\thelper = other --key hunter2\n",
            "a shell command, `other` is still used",
        ),
        ("go", ".config/go/env", "GOAUTH=netrc; other --key hunter2\n", "`netrc`, `other` was not"),
    ] {
        if has_client(tool) {
            let home = home();
            home.write(file, text);
            let outcome = setup(&home, &[tool, "--host", HOST]);
            assert!(outcome.output.contains(shown), "{tool}: {outcome:?}");
            assert!(!outcome.output.contains("hunter2"), "{tool}: {outcome:?}");
        }
    }
}

#[test]
fn an_unreadable_configuration_is_not_changed() {
    for (tool, file) in [
        ("docker", ".docker/config.json"),
        ("cargo", ".cargo/config.toml"),
        ("uv", ".config/uv/uv.toml"),
    ] {
        let home = home();
        for text in ["[", "\u{0}", "= 1", "[] []", "{\"credHelpers\":1}x"] {
            home.write(file, text);
            let outcome = home.run(&["setup", "--yes", tool, "--host", HOST]);
            assert_eq!(outcome.status, 2, "{tool} {text:?}: {outcome:?}");
            assert_eq!(home.read(file).unwrap(), text);
            assert!(!home.path().join(".local/bin/docker-credential-my").exists());
        }
    }
}

#[test]
fn a_link_to_a_configuration_stays_a_link() {
    let home = home();
    let file = home.write("dotfiles/bazelrc", "# mine\n");
    symlink(&file, home.path().join(".bazelrc")).unwrap();
    setup(&home, &["bazel", "--host", HOST]);
    assert!(std::fs::symlink_metadata(home.path().join(".bazelrc")).unwrap().is_symlink());
    assert!(std::fs::read_to_string(file).unwrap().contains("bazel-credential-my"));
}

#[test]
fn all_sets_up_what_is_installed_and_skips_what_it_cannot() {
    let mut home = home();
    let bin = home.path().join(".local/bin");
    home.set("PATH", bin.as_os_str());
    for tool in ["bazel", "uv"] {
        symlink("/bin/true", bin.join(tool)).unwrap();
    }
    let outcome = setup(&home, &["--all"]);
    assert!(outcome.messages.contains("note: bazel is configured by host"), "{outcome:?}");
    assert!(home.read(".config/uv/uv.toml").is_some());
    let outcome = setup(&home, &["--all", "--host", HOST, "--json"]).json();
    assert_eq!(outcome["hosts_added"], json!([HOST]));
    let changed = |name| {
        outcome["tools"].as_array().unwrap().iter().find(|tool| tool["tool"] == name).unwrap()["changed"].clone()
    };
    assert_eq!((changed("bazel"), changed("uv")), (json!(true), json!(false)));
    assert_eq!(outcome["tools"].as_array().unwrap().len(), 2);
    setup(&home, &["pip"]);
    symlink("/bin/true", bin.join("pip")).unwrap();
    let keyring = home.path().join(".local/share/my-credential-helper/bin/keyring");
    setup(&home, &["pip", "--undo"]);
    assert!(keyring.is_symlink(), "uv still needs the link");
    setup(&home, &["pip"]);
    setup(&home, &["--all", "--undo"]);
    assert_eq!((home.read(".bazelrc"), home.read(".config/uv/uv.toml")), (None, None));
    assert!(!keyring.is_symlink(), "no tool needs the link any more");
}

#[test]
fn on_a_terminal_setup_prompts_and_no_cancels() {
    let home = home();
    let mut command = home.command(HELPER);
    command.args(["setup", "bazel", "--host", HOST]);
    let mut session = in_terminal(&home, command);
    session.exp_string("bazel-credential-my").unwrap();
    session.exp_string("[y/N]").unwrap();
    session.send_line("n").unwrap();
    assert_eq!(status_of(&mut session), 2);
    assert_eq!(home.read(".bazelrc"), None);
    let mut command = home.command(HELPER);
    command.args(["setup", "bazel", "--host", HOST, "--yes"]);
    let mut session = in_terminal(&home, command);
    assert_eq!(status_of(&mut session), 0);
    assert!(home.read(".bazelrc").is_some());
}

/// Everything that could be seen to have changed: files, links, directories, and modes.
fn state(home: &Home) -> Vec<(std::path::PathBuf, Option<Vec<u8>>, u32)> {
    let mode = |path: &std::path::Path| path.symlink_metadata().unwrap().permissions().mode();
    snapshot(home).into_iter().map(|(path, text)| (path.clone(), text, mode(&path))).collect()
}

#[test]
fn a_file_that_cannot_be_replaced_leaves_everything_as_it_was() {
    for (tool, file, _) in tools() {
        for protection in protected::ALL {
            let home = home();
            let path = home.write(file, had_before(tool));
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
            let Some(protected) = Protected::new(&path, protection) else { continue };
            let before = state(&home);
            let outcome = home.run(&["setup", "--yes", tool, "--host", HOST]);
            assert_eq!(outcome.status, 1, "{tool} {protection:?}: {outcome:?}");
            let reason = format!(": {}", Protected::reason(protection));
            assert!(outcome.messages.contains(&reason), "{tool} {protection:?}: {outcome:?}");
            assert_eq!(state(&home), before, "{tool} {protection:?}: nothing has changed");

            drop(protected);
            setup(&home, &[tool, "--host", HOST]);
            let Some(_protected) = Protected::new(&path, protection) else { continue };
            let before = state(&home);
            let outcome = home.run(&["setup", "--yes", tool, "--undo"]);
            assert_eq!(outcome.status, 1, "{tool} {protection:?}: undo: {outcome:?}");
            assert_eq!(state(&home), before, "{tool} {protection:?}: undo changes nothing");
        }
    }
}

#[test]
fn a_backup_or_settings_that_cannot_be_written_change_nothing() {
    let settings = ".config/my-credential-helper/config.toml";
    for (tool, file, _) in tools() {
        let home = home();
        home.write(file, had_before(tool));
        home.write(settings, "# mine\n");
        let backup = format!("{file}.before-my-credential-helper");
        std::fs::create_dir(home.path().join(&backup)).unwrap();
        let before = state(&home);
        let outcome = home.run(&["setup", "--yes", tool, "--host", HOST]);
        assert_ne!(outcome.status, 0, "{tool}: {outcome:?}");
        assert_eq!(state(&home), before, "{tool}: a backup that is a directory");
        std::fs::remove_dir(home.path().join(&backup)).unwrap();

        symlink(home.path().join("elsewhere"), home.path().join(&backup)).unwrap();
        let before = state(&home);
        let outcome = home.run(&["setup", "--yes", tool, "--host", HOST]);
        assert!(
            outcome.status != 0 && outcome.messages.contains("is a symbolic link"),
            "{outcome:?}"
        );
        assert_eq!(state(&home), before, "{tool}: a backup that is a link");
        std::fs::remove_file(home.path().join(&backup)).unwrap();

        let path = home.path().join(settings);
        let Some(_protected) = Protected::new(&path, Protection::Immutable) else { continue };
        let before = state(&home);
        let outcome = home.run(&["setup", "--yes", tool, "--host", HOST]);
        assert_eq!(outcome.status, 1, "{tool}: {outcome:?}");
        assert_eq!(state(&home), before, "{tool}: settings that cannot be written");
    }
}

#[test]
fn a_folder_of_links_that_is_a_file_changes_nothing() {
    // The folder of links is a file: that is seen when the link is made.
    let home = Home::new();
    home.write("program/my-credential-helper", "");
    home.write(".local/bin", "a file");
    home.write(".bazelrc", had_before("bazel"));
    let before = state(&home);
    let outcome = home.run(&["setup", "--yes", "bazel", "--host", HOST]);
    assert_eq!(outcome.status, 1, "{outcome:?}");
    assert_eq!(state(&home), before);
}

#[test]
fn a_failed_step_rolls_back_the_steps_before_it() {
    if !crate::support::strace::is_permitted() {
        return;
    }
    let words = ["setup", "--yes", "--all", "--host", HOST].map(str::to_owned);
    for call in ["renameat", "symlink"] {
        let mut home = home();
        let bin = home.path().join(".local/bin");
        home.set("PATH", bin.as_os_str());
        for tool in ["bazel", "terraform", "cargo", "docker", "podman", "uv", "pip"] {
            symlink("/bin/true", bin.join(tool)).unwrap();
        }
        for tool in ["strace", "timeout"] {
            symlink(format!("/usr/bin/{tool}"), bin.join(tool)).unwrap();
        }
        for (tool, file) in [("bazel", ".bazelrc"), ("cargo", ".cargo/config.toml")] {
            let path = home.write(file, had_before(tool));
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o640)).unwrap();
        }
        let before = state(&home);
        let failed = |number| {
            let outcome = crate::support::strace::fail_nth(&home, &words, call, number);
            assert!(matches!(outcome.status, 0 | 1), "{call} {number}: {outcome:?}");
            assert!(!outcome.messages.contains("not rolled back"), "{call} {number}: {outcome:?}");
            outcome.status == 1
        };
        let mut number = 1;
        while failed(number) {
            assert_eq!(state(&home), before, "{call} {number}: nothing has changed");
            number += 1;
        }
        assert!(number > 5, "{call}: {number} calls only");
        assert_ne!(state(&home), before, "{call}: where none fails, all is done");
    }
}

#[test]
fn a_dangling_link_stays_and_its_target_is_created() {
    let home = home();
    symlink(home.path().join("dotfiles/bazelrc"), home.path().join(".bazelrc")).unwrap();
    setup(&home, &["bazel", "--host", HOST]);
    assert!(home.path().join(".bazelrc").is_symlink());
    assert!(home.read("dotfiles/bazelrc").unwrap().contains("bazel-credential-my"));
}

#[test]
fn a_copy_for_a_tool_is_private_and_not_in_the_shared_tmp() {
    if !has_client("kubectl") {
        return;
    }
    let mut home = home();
    let folder = home.path().join("tmp");
    std::fs::create_dir(&folder).unwrap();
    home.set("TMPDIR", &folder);
    home.write(".kube/config", had_before("kubectl"));
    let real = Home::new().run_client(&["sh", "-c", "command -v kubectl"]).output;
    let stub = home.write(
        ".local/bin/kubectl",
        &format!(
            "#!/bin/sh\nstat -c '%a %n' \"$3\" \"${{3%/*}}\" >>\"$HOME/modes\"; ls \"{}\" >>\"$HOME/modes\"\nexec {} \"$@\"\n",
            folder.display(),
            real.trim()
        ),
    );
    std::fs::set_permissions(stub, std::fs::Permissions::from_mode(0o755)).unwrap();
    setup(&home, &["kubectl"]);
    let modes = home.read("modes").unwrap();
    let lines: Vec<_> = modes.lines().collect();
    assert!(!lines.is_empty() && lines.len() % 2 == 0, "{modes}");
    for pair in lines.chunks(2) {
        assert!(pair[0].starts_with("600 ") && pair[1].starts_with("700 "), "{modes}");
        assert!(
            pair[0].contains(home.path().to_str().unwrap()) && !pair[0].contains("/tmp/.my"),
            "{modes}"
        );
    }
    let left = home
        .snapshot()
        .into_keys()
        .find(|path| path.to_string_lossy().contains(".my-credential-helper-"));
    assert_eq!(left, None, "no copy stays");
}

/// In these files the tool's own command, or the removal of our entries, leaves another layout.
#[test]
fn undo_restores_the_bytes_of_every_layout() {
    let section = format!("[credential \"https://{HOST}\"]");
    for (tool, before) in [
        ("git", "[user]\n\tname = Ada\n; end".to_owned()),
        ("git", "# mine\r\n[credential]\r\n\thelper = store\r\n; end".to_owned()),
        ("git", format!("{section}\n\thelper = cache\n\tusername = ada\n")),
        ("git", format!("{section} helper = cache ; mine\n")),
        ("docker", "{\"credHelpers\":{}}".to_owned()),
        ("podman", "{ \"credHelpers\" : { } }\n".to_owned()),
    ] {
        if tool == "git" && !has_client("git") {
            continue;
        }
        let file = TOOLS.into_iter().find(|(name, ..)| *name == tool).unwrap().1;
        let home = home();
        home.write(file, &before);
        let files = snapshot(&home);
        for host in [HOST, "git.acme.dev"] {
            setup(&home, &[tool, "--host", host]);
        }
        setup(&home, &[tool, "--undo", "--host", HOST]);
        let outcome = setup(&home, &[tool, "--undo"]);
        assert!(!outcome.output.contains("note:"), "{tool}: {before}: {outcome:?}");
        assert_eq!(home.read(file), Some(before), "{tool}");
        let after = snapshot(&home);
        let is_new = |path: &std::path::PathBuf| !files.contains_key(path);
        let left: Vec<_> =
            after.iter().filter(|(path, text)| text.is_some() && is_new(path)).collect();
        assert!(left.is_empty(), "{tool}: {left:?}");
    }
}
