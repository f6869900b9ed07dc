//! `setup` and `doctor`: the files and folders that the tools use on Windows.

use super::home;
use crate::support::platform::windows_path;

const HOST: &str = "registry.example.com";

/// A tool that need not be installed, its configuration, and the link.
#[rustfmt::skip]
const TOOLS: [(&str, &str, &str); 7] = [
    ("docker", ".docker/config.json", ".local/bin/docker-credential-my.exe"),
    ("cargo", ".cargo/config.toml", ".local/bin/cargo-credential-my.exe"),
    ("terraform", "AppData/Roaming/terraform.rc", "AppData/Roaming/terraform.d/plugins/terraform-credentials-my.exe"),
    ("bazel", ".bazelrc", ".local/bin/bazel-credential-my.exe"),
    ("pnpm", ".npmrc", ".local/bin/my-token-helper.exe"),
    ("pip", "AppData/Roaming/pip/pip.ini", ".local/share/my-credential-helper/bin/keyring.exe"),
    ("uv", "AppData/Roaming/uv/uv.toml", ".local/share/my-credential-helper/bin/keyring.exe"),
];

#[test]
#[ignore = "runs under wine: .ci/platform windows"]
fn each_tool_is_set_up_where_it_looks_and_undone() {
    for (tool, file, link) in TOOLS {
        let home = home();
        let outcome = home.run_raw(&["--json", "setup", tool, "--host", HOST, "--yes"]);
        assert_eq!(outcome.status, 0, "{tool}: {outcome:?}");
        let report = &outcome.json()["tools"][0];
        let path = |relative: &str| windows_path(&home.path().join(relative));
        assert_eq!(report["file"], path(file), "{tool}");
        assert_eq!(report["link"], path(link), "{tool}");
        assert!(home.read(file).is_some() && home.path().join(link).is_file(), "{tool}");
        assert!(!report["notes"].to_string().contains("export PATH"), "{tool}: {report}");
        let undone = home.run(&["setup", tool, "--undo", "--yes"]);
        assert_eq!(undone.status, 0, "{tool}: {undone:?}");
        assert!(
            home.read(file).is_none() && !home.path().join(link).exists(),
            "{tool}: {undone:?}"
        );
    }
}

/// The names that setup makes are found by their own name, and print with the separators of Windows.
#[test]
#[ignore = "runs under wine: .ci/platform windows"]
fn reports_name_paths_as_windows_does() {
    let mut home = home();
    for arguments in
        [&["setup", "terraform", "--dry-run"][..], &["setup", "cargo", "--dry-run"], &["doctor"]]
    {
        let outcome = home.run_raw(arguments);
        let text = [outcome.output, outcome.messages].concat();
        for word in text.split_whitespace().filter(|word| word.contains(":\\")) {
            assert!(
                !word.contains('/') && !word.contains("\\\\?\\"),
                "{arguments:?}: {word}\n{text}"
            );
        }
        assert!(!text.contains("export PATH"), "{text}");
    }
    let bin = home.path().join(".local/bin");
    home.set("WINE_PATH", format!("{};C:\\windows\\system32", windows_path(&bin)));
    home.run(&["setup", "docker", "--host", HOST, "--yes"]);
    let outcome = home.run(&["setup", "docker", "--host", HOST, "--yes"]);
    assert!(outcome.output.starts_with("docker: nothing to change in "), "{outcome:?}");
    assert!(!outcome.output.contains("PATH"), "the folder is on it: {outcome:?}");
}

/// `setup` makes copies, since a link needs a privilege.
#[test]
#[ignore = "runs under wine: .ci/platform windows"]
fn only_a_copy_of_another_version_is_replaced() {
    let home = home();
    let setup = || home.run(&["setup", "docker", "--host", HOST, "--yes"]);
    assert_eq!(setup().status, 0);
    let copy = home.path().join(".local/bin/docker-credential-my.exe");
    let program = std::fs::read(&copy).unwrap();
    std::fs::write(&copy, [&program[..], b"of another version"].concat()).unwrap();
    assert_eq!(setup().status, 0);
    assert!(std::fs::read(&copy).unwrap() == program);
    std::fs::write(&copy, "MZ of somebody else").unwrap();
    let blocked = setup();
    assert_eq!(blocked.status, 2, "{blocked:?}");
    assert_eq!(std::fs::read(&copy).unwrap(), b"MZ of somebody else");
}
