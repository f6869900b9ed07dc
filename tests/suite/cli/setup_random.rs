//! `setup` on configuration files that are changed at random: it refuses the file and changes nothing, or its change is
//! complete and undo restores every byte. `MY_TEST_FUZZ` is the number of files for each tool; `MY_TEST_SEED` repeats a run.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::setup::{TOOLS, had_before, home, snapshot};
use crate::project::fuzz::mutation::{Random, changed};
use crate::support::seed::Seed;
use crate::support::{Home, Outcome, has_client};

const HOST: &str = "acme.mycli.sh";

/// Lines that the tools' readers treat in a special way, besides [`had_before`].
fn special(tool: &str) -> &'static [&'static str] {
    match tool {
        "git" => &[
            "[credential \"https://acme.mycli.sh\"]\n\thelper = \n\thelper = my ; x\n",
            "[include]\n\tpath = other\n[credential]helper=!f() { \\\n}; f\n",
            "[Credential \"https://acme.mycli.sh\"] useHttpPath = true\n[credential \"a\\\"b\"]\n",
        ],
        "docker" | "podman" => &[
            "{\"credHelpers\": {\"acme.mycli.sh\": \"other\", \"x\": \"my\"}, \"credHelpers\": {}}",
            "{\"credHelpers\": null}",
            "[]",
            "{\"a\": 1e400, \"b\": 18446744073709551616, \"\\u0000\": [1.0, {}]}",
        ],
        "cargo" => &[
            "registry.global-credential-providers = ['cargo:token']\n",
            "registry = { global-credential-providers = [ # x\n \"a\", ] }\n",
            "[[registry]]\n[registry.x]\n",
            "[registry]\nglobal-credential-providers = \"my\"\n[registries.x]\ncredential-provider = ['my']\n",
        ],
        "terraform" | "tofu" => &[
            "credentials_helper \"other\" {\n  args = [\"x\"]\n}\n",
            "credentials_helper \"my\" {}\nprovider_installation {\n  direct {}\n}\n",
            "a = <<EOT\ncredentials_helper \"my\" {}\nEOT\n",
        ],
        "bazel" => &[
            "common --credential_helper=acme.mycli.sh=other\nimport %workspace%/x\n",
            "build --x='a b' \\\n  --credential_helper=*.y=my # z\n",
        ],
        "pnpm" => &[
            "//acme.mycli.sh/:tokenHelper = \"/x\"\n//acme.mycli.sh/:_authToken=${X}\n",
            "a[]=b\n[s]\n=\n",
        ],
        "pip" => &[
            "[global]\nkeyring-provider: import\n  more\n[GLOBAL]\n",
            "[DEFAULT]\nkeyring-provider = auto\n[global]\nkeyring_provider\n",
        ],
        "uv" => &[
            "keyring-provider = \"disabled\"\n[[index]]\nurl = \"https://acme.mycli.sh\"\n",
            "index-url = 1\n",
        ],
        "go" => &["GOAUTH='netrc; off'\nGOAUTH=git /x\n", "GOAUTH\n=x\n"],
        _ => &[
            "users:\n- name: my-credential-helper\n  user: {token: x}\n",
            "users: [{name: a, user: {exec: {command: b}}}]\n",
        ],
    }
}

type Files = BTreeMap<PathBuf, Vec<u8>>;

fn files(home: &Home) -> Files {
    snapshot(home).into_iter().filter_map(|(path, text)| Some((path, text?))).collect()
}

fn difference(before: &Files, after: &Files) -> Vec<String> {
    let paths = before.keys().chain(after.keys().filter(|path| !before.contains_key(*path)));
    let text = |files: &Files, path| {
        files.get(path).map(|text| String::from_utf8_lossy(text).into_owned())
    };
    paths
        .filter(|path| before.get(*path) != after.get(*path))
        .map(|path| {
            format!("{}: {:?} → {:?}", path.display(), text(before, path), text(after, path))
        })
        .collect()
}

/// What is wrong with the setup of a tool that has this file.
fn try_file(tool: &str, file: &str, data: &[u8]) -> Result<(), String> {
    let home = home();
    let path = home.write(file, "");
    std::fs::write(&path, data).unwrap();
    let before = files(&home);
    let run = |words: &[&str]| home.run(&[&["setup", "--yes", tool], words].concat());
    let failed = |step: &str, seen: &dyn std::fmt::Debug| {
        Err(format!("{tool}, {step}, {:?}: {seen:?}", String::from_utf8_lossy(data)))
    };
    let is_answer = |outcome: &Outcome| {
        matches!(outcome.status, 0..=2) && !outcome.messages.contains("panicked")
    };
    let outcome = run(&["--host", HOST]);
    if !is_answer(&outcome) {
        return failed("setup", &outcome);
    }
    if outcome.status != 0 {
        let changes = difference(&before, &files(&home));
        return if changes.is_empty() {
            Ok(())
        } else {
            failed("a refused setup changed files", &changes)
        };
    }
    let again = run(&["--host", HOST]);
    if !again.output.contains("nothing to change") {
        return failed("setup again", &again);
    }
    let undone = run(&["--undo"]);
    if undone.status != 0 {
        return failed("undo", &undone);
    }
    let changes = difference(&before, &files(&home));
    if changes.is_empty() { Ok(()) } else { failed("undo changed files", &(changes, undone)) }
}

#[test]
fn setup_of_any_file_is_refused_or_undone_exactly() {
    let seed = Seed::from_environment().number;
    let count = crate::support::seed::number("MY_TEST_FUZZ", 6);
    let mut wrong = Vec::new();
    for (tool, file, _) in TOOLS {
        if matches!(tool, "git" | "go" | "kubectl") && !has_client(tool) {
            continue;
        }
        let seeds: Vec<Vec<u8>> = special(tool)
            .iter()
            .chain([&had_before(tool)])
            .map(|text| text.as_bytes().to_vec())
            .collect();
        let mut random = Random::new(seed);
        wrong.extend(
            (0..count).filter_map(|_| try_file(tool, file, &changed(&seeds, &mut random)).err()),
        );
    }
    assert!(wrong.is_empty(), "seed {seed}:\n{}", wrong.join("\n"));
}
