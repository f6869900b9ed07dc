//! Access lists and paths. wine derives the access list of a file from its
//! mode, and the mode from the list that a program sets. The rights of this user it gives to the group, too, of which this
//! user is a member.

use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;

use super::{credential, home};
use crate::support::platform::windows_path;
use crate::support::{Home, finish, service, spawn};

const URL: &str = "https://registry.example.com";

/// What users who are not listed may do.
fn rights_of_others(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o007
}

fn below(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.path())
        .flat_map(|path| [vec![path.clone()], below(&path)].concat())
        .collect()
}

#[test]
#[ignore = "runs under wine: .ci/platform windows"]
fn created_files_list_only_this_user() {
    let home = home();
    assert_eq!(home.run_with(&["store"], credential(URL, "s")).status, 0);
    assert_eq!(home.run(&["config", "set", "project", "p"]).status, 0);
    let paths = below(&home.path().join(".my"));
    assert!(paths.len() > 3, "{paths:?}");
    for path in paths.into_iter().chain([home.path().join(".my")]) {
        assert_eq!(rights_of_others(&path), 0, "{}", path.display());
    }
}

#[test]
#[ignore = "runs under wine: .ci/platform windows"]
fn a_list_with_other_users_is_reported_and_repaired() {
    let server = service();
    let (home, _) = Home::logged_in(&server);
    let fine = home.run_raw(&["doctor"]).output;
    assert!(fine.contains("not readable by other users"), "{fine}");
    let file = home.path().join(".my/credentials.json");
    let widen = || std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    widen();
    let wide = home.run_raw(&["doctor"]).output;
    let name = windows_path(&file);
    assert!(
        wide.contains(&format!("{name} lets other users in (S-1-1-0); icacls \"{name}\" ")),
        "{wide}"
    );
    widen();
    home.run(&["doctor", "--fix"]);
    assert_eq!(rights_of_others(&file), 0);
    widen();
    let outcome = home.run(&["get", "--format", "raw"]);
    assert_eq!((outcome.status, rights_of_others(&file)), (0, 0), "{outcome:?}");
    assert!(outcome.messages.contains("readable by other users"), "{outcome:?}");
}

#[test]
#[ignore = "runs under wine: .ci/platform windows"]
fn the_home_may_have_a_blank_any_letter_and_a_long_path() {
    let long = "d".repeat(120);
    for name in
        ["a b & c", "Bj\u{f6}rn \u{65e5}\u{672c} \u{1f511}", &format!("{long}/{long}/{long}")]
    {
        let mut home = home();
        let folder = home.path().join(name);
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder).unwrap();
        home.set("WINE_USERPROFILE", windows_path(&folder));
        for secret in ["one", "two"] {
            let outcome = home.run_with(&["store"], credential(URL, secret));
            assert_eq!(outcome.status, 0, "{name}: {outcome:?}");
            let outcome = home.run(&["get", "--url", URL, "--format", "raw"]);
            assert_eq!(outcome.output.trim_end(), secret, "{name}: {outcome:?}");
        }
        let files = below(&folder.join(".my"));
        assert!(
            files.iter().any(|file| file.extension().is_some_and(|end| end == "json")),
            "{files:?}"
        );
        assert!(files.iter().all(|file| rights_of_others(file) == 0), "{files:?}");
    }
}

#[test]
#[ignore = "runs under wine: .ci/platform windows"]
fn the_home_is_that_of_the_variable() {
    let mut home = home();
    let other = home.path().join("other");
    std::fs::create_dir(&other).unwrap();
    home.set("WINE_USERPROFILE", windows_path(&other));
    let stored = finish(home.start(&["store"]), credential(URL, "s").as_bytes()).json();
    let location = stored["location"].as_str().unwrap();
    assert!(location.starts_with(&windows_path(&other.join(".my/logins"))), "{location}");
    assert!(!location.contains('/'), "{location}");
    home.set("WINE_USERPROFILE", "relative");
    let outcome = home.run(&["login", "--email", "me@acme.dev"]);
    assert!(outcome.messages.contains("USERPROFILE is not an absolute path"), "{outcome:?}");
    let mut command = home.helper("my-credential-helper");
    command.args(["config", "set", "project", "p"]).env("WINE_USERPROFILE", windows_path(&other));
    assert_eq!(finish(spawn(command), b"").status, 0);
    let text = home.read("AppData/Roaming/mycli/my-credential-helper/config/config.toml");
    assert_eq!(text.as_deref(), Some("[providers.mycli]\nproject = \"p\"\n"));
}
