//! Files with secrets: owner, mode and links.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, lchown, symlink};
use std::os::unix::process::CommandExt as _;
use std::time::{Duration, Instant};

use account_server::Fault;

use crate::support::protected::{self, Protected, Protection};
use crate::support::stranger::{Stranger, wait_for};
use crate::support::{HELPER, Home, finish, has_client, service};

/// Somebody else.
const STRANGER: u32 = 12345;

/// Gives a file away; where that cannot be done, says so.
fn give_away(outcome: &std::io::Result<()>) -> bool {
    if outcome.is_err() {
        let _ = std::io::Write::write_all(
            &mut std::io::stderr(),
            b"SKIPPED: only root can give a file away\n",
        );
    }
    outcome.is_ok()
}

#[test]
fn a_link_to_the_directory_is_followed_only_if_it_is_ours() {
    let server = service();
    let (home, session) = Home::logged_in(&server);
    let (folder, kept) = (home.path().join(".my"), home.path().join("kept"));
    fs::rename(&folder, &kept).unwrap();
    symlink(&kept, &folder).unwrap();
    assert_eq!(home.token(), session.access_token, "as with dotfiles that are kept elsewhere");
    if give_away(&lchown(&folder, Some(STRANGER), None)) {
        let outcome = home.run(&["get"]);
        assert!(
            outcome.status == 1 && outcome.messages.contains("belongs to another user"),
            "{outcome:?}"
        );
        assert!(!outcome.output.contains(&session.access_token));
    }
}

#[test]
fn a_file_of_another_user_is_not_used() {
    let server = service();
    let (home, session) = Home::logged_in(&server);
    let stored =
        home.run_with(&["store"], r#"{"url":"https://h.dev","username":"ada","secret":"hunter2"}"#);
    let login = stored.json()["location"].as_str().unwrap().to_owned();
    for file in [home.path().join(".my/credentials.json"), login.into()] {
        if !give_away(&chown(&file, Some(STRANGER), None)) {
            return;
        }
        assert_eq!(fs::metadata(&file).unwrap().uid(), STRANGER);
    }
    for arguments in [&["get"][..], &["get", "--url", "https://h.dev"]] {
        let outcome = home.run(arguments);
        assert!(
            outcome.status == 1 && outcome.messages.contains("belongs to another user"),
            "{outcome:?}"
        );
        assert!(
            !outcome.output.contains(&session.access_token) && !outcome.output.contains("hunter2")
        );
    }
}

#[test]
fn a_credential_readable_by_others_is_repaired_once() {
    let home = Home::new();
    let stored =
        home.run_with(&["store"], r#"{"url":"https://h.dev","username":"ada","secret":"hunter2"}"#);
    let file = stored.json()["location"].as_str().unwrap().to_owned();
    for mode in [0o644, 0o660, 0o606, 0o777] {
        fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
        let outcome = home.run(&["get", "--url", "https://h.dev", "--format", "raw"]);
        assert_eq!(
            outcome.messages,
            format!("note: {file} was readable by other users; changed its mode to 0600\n"),
            "{mode:o}"
        );
        assert_eq!(
            (outcome.output.as_str(), fs::metadata(&file).unwrap().mode() & 0o777),
            ("hunter2\n", 0o600)
        );
        assert_eq!(home.run(&["get", "--url", "https://h.dev", "--format", "raw"]).messages, "");
    }
}

#[test]
fn a_wide_directory_is_narrowed_by_every_operation() {
    let server = service();
    let (home, _) = Home::logged_in(&server);
    let folder = home.path().join(".my");
    let store = r#"{"url":"https://h.dev","username":"ada","secret":"hunter2"}"#;
    let operations: [(&[&str], &str); 5] = [
        (&["get"], ""),
        (&["store"], store),
        (&["git", "get"], "protocol=https\nhost=h.dev\n\n"),
        (&["list"], ""),
        (&["status"], ""),
    ];
    for (operation, input) in operations {
        for mode in [0o777, 0o750, 0o701] {
            fs::set_permissions(&folder, Permissions::from_mode(mode)).unwrap();
            let note = format!(
                "note: other users could access {}; its mode is 0700 now\n",
                folder.display()
            );
            let outcome = home.run_with(operation, input);
            assert_eq!((outcome.status, outcome.messages), (0, note), "{operation:?}, {mode:o}");
            assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, 0o700);
            assert_eq!(home.run_with(operation, input).messages, "", "{operation:?}");
        }
    }
}

#[test]
fn a_write_narrows_a_wide_directory_below_ours() {
    let home = Home::new();
    let store = r#"{"url":"https://h.dev","username":"ada","secret":"hunter2"}"#;
    assert_eq!(home.run_with(&["store"], store).status, 0);
    let folder = home.path().join(".my/logins");
    let host = folder.read_dir().unwrap().next().unwrap().unwrap().path();
    fs::set_permissions(&host, Permissions::from_mode(0o755)).unwrap();
    assert_eq!(home.run_with(&["store"], store).status, 0);
    assert_eq!(fs::metadata(&host).unwrap().mode() & 0o777, 0o700);
}

#[test]
fn a_directory_behind_a_link_is_narrowed() {
    let (home, elsewhere) = (Home::new(), tempfile::tempdir().unwrap());
    fs::set_permissions(elsewhere.path(), Permissions::from_mode(0o777)).unwrap();
    symlink(elsewhere.path(), home.path().join(".my")).unwrap();
    assert!(home.run(&["list"]).messages.contains("its mode is 0700 now"));
    assert_eq!(fs::metadata(elsewhere.path()).unwrap().mode() & 0o777, 0o700);
}

#[test]
fn a_lock_that_another_user_holds_blocks_no_refresh() {
    let Some(stranger) = Stranger::new() else { return };
    for (mode, owner) in [(0o644, None), (0o666, None), (0o600, Some(stranger.user))] {
        let server = service();
        let (home, old) = Home::with_stale_session(&server);
        let lock = home.write(".my/refresh.lock", "");
        for (path, mode) in
            [(home.path(), 0o711), (lock.parent().unwrap(), 0o777), (lock.as_path(), mode)]
        {
            fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        }
        chown(&lock, owner, None).unwrap();
        let held = lock.with_file_name("held");
        let script = "exec 9<\"$0\"; flock -x 9; : > \"$1\"; exec sleep 60";
        let mut command = home.command("sh");
        command.args(["-c", script]).args([&lock, &held]);
        let _holder = stranger.run(command);
        wait_for(&held);
        assert_ne!(home.token(), old.access_token);
        assert_eq!(server.refresh_requests(), 1);
        let metadata = fs::metadata(&lock).unwrap();
        assert_eq!((metadata.uid(), metadata.mode() & 0o777), (home_owner(&home), 0o600));
        assert_eq!(home.run(&["get"]).status, 0);
    }
}

fn home_owner(home: &Home) -> u32 {
    fs::metadata(home.path()).unwrap().uid()
}

/// Of all processes that find a lock file that others can open, one replaces it, and all use the same file.
#[test]
fn processes_that_replace_a_lock_share_one_refresh() {
    let server = service();
    let (home, _) = Home::with_stale_session(&server);
    let lock = home.write(".my/refresh.lock", "");
    fs::set_permissions(&lock, Permissions::from_mode(0o644)).unwrap();
    let children: Vec<_> = (0..16).map(|_| home.start(&["get", "--format", "raw"])).collect();
    let tokens: std::collections::BTreeSet<_> =
        children.into_iter().map(|child| finish(child, b"").output).collect();
    assert_eq!((tokens.len(), server.refresh_requests()), (1, 1));
    assert_eq!(fs::metadata(&lock).unwrap().mode() & 0o777, 0o600);
}

#[test]
fn a_stored_credential_that_is_a_link_is_not_followed() {
    let home = Home::new();
    let stored =
        home.run_with(&["store"], r#"{"url":"https://h.dev","username":"ada","secret":"hunter2"}"#);
    let file = stored.json()["location"].as_str().unwrap().to_owned();
    let elsewhere = home.path().join("elsewhere.json");
    fs::rename(&file, &elsewhere).unwrap();
    symlink(&elsewhere, &file).unwrap();
    let outcome = home.run(&["get", "--url", "https://h.dev"]);
    assert!(outcome.status == 1 && outcome.messages.contains("is a symbolic link"), "{outcome:?}");
    let store = r#"{"url":"https://h.dev","username":"ada","secret":"another"}"#;
    assert_eq!(home.run_with(&["store"], store).status, 0);
    assert!(
        fs::read_to_string(&elsewhere).unwrap().contains("hunter2"),
        "what it pointed at is not written to"
    );
    assert!(!fs::symlink_metadata(&file).unwrap().is_symlink());
}

#[test]
fn a_file_that_cannot_be_replaced_spends_no_refresh_token() {
    for protection in protected::ALL {
        let server = service();
        let (home, _) = Home::with_stale_session(&server);
        let file = home.path().join(".my/credentials.json");
        let before = home.snapshot();
        let Some(protected) = Protected::new(&file, protection) else { continue };
        for _ in 0..3 {
            let outcome = home.run(&["get"]);
            assert_eq!(outcome.status, 3, "{protection:?}: {outcome:?}");
            let reason = Protected::reason(protection);
            assert!(outcome.messages.contains(reason), "{protection:?}: {outcome:?}");
        }
        assert_eq!(server.refresh_requests(), 0, "{protection:?}: nothing is spent");
        let left: Vec<_> =
            home.snapshot().into_keys().filter(|path| !before.contains_key(path)).collect();
        let is_temporary = |path: &&std::path::PathBuf| path.to_string_lossy().ends_with(".tmp");
        assert_eq!(left.iter().find(is_temporary), None, "{protection:?}: {left:?}");
        drop(protected);
        home.token();
        assert_eq!(server.refresh_requests(), 1, "{protection:?}: and the session is refreshed");
    }
}

/// The file could be replaced when the request was prepared: the refresh ends, and sends no request without end.
#[test]
fn an_ended_session_in_a_protected_file_is_reported() {
    for protection in protected::ALL {
        let server = service();
        let (home, _) = Home::with_stale_session(&server);
        server.advance(Duration::from_secs(61 * 24 * 3600));
        server.fault("/v1/auth/refresh", 1, Fault::Delay { delay_ms: 300 });
        let begun = Instant::now();
        let child = home.start(&["get", "--format", "raw"]);
        while server.refresh_requests() == 0 {
            assert!(begun.elapsed() < Duration::from_secs(10), "no request");
            std::thread::sleep(Duration::from_millis(1));
        }
        let file = home.path().join(".my/credentials.json");
        let Some(_protected) = Protected::new(&file, protection) else { continue };
        let outcome = finish(child, b"");
        assert_ne!(outcome.status, 0, "{protection:?}: {outcome:?}");
        assert!(begun.elapsed() < Duration::from_secs(9), "{protection:?}: {outcome:?}");
        assert!(outcome.messages.contains("no longer valid"), "{protection:?}: {outcome:?}");
        let is_emptied = protection == Protection::Mounted;
        let reason = Protected::reason(protection);
        assert_eq!(outcome.messages.contains(reason), !is_emptied, "{protection:?}: {outcome:?}");
        assert!(server.refresh_requests() < 4, "{protection:?}: {}", server.refresh_requests());
    }
}

#[test]
fn a_directory_that_cannot_change_spends_no_refresh_token() {
    for protection in [Protection::Immutable, Protection::AppendOnly] {
        let server = service();
        let (home, _) = Home::with_stale_session(&server);
        home.write(".my/refresh.lock", "");
        home.write(".my/device_id", "");
        let Some(_protected) = Protected::new(&home.path().join(".my"), protection) else {
            continue;
        };
        let before = home.snapshot();
        let outcome = home.run(&["get"]);
        assert_ne!(outcome.status, 0, "{protection:?}: {outcome:?}");
        assert_eq!(server.refresh_requests(), 0, "{protection:?}: nothing is spent");
        assert_eq!(home.snapshot(), before, "{protection:?}: nothing is left behind");
    }
}

/// A single file that is mounted into a container: the usual way into a development container.
#[test]
fn logout_empties_a_file_that_is_a_mount_point() {
    let server = service();
    let (home, _) = Home::logged_in(&server);
    let file = home.path().join(".my/credentials.json");
    let Some(_protected) = Protected::new(&file, Protection::Mounted) else { return };
    for sentence in ["Logged out of mycli.", "Not logged in to mycli."] {
        let outcome = home.run(&["logout"]);
        let printed = (outcome.output.trim_end(), &*outcome.messages, outcome.status);
        assert_eq!(printed, (sentence, "", 0), "revoked, too: {outcome:?}");
        assert_eq!(home.read(".my/credentials.json").as_deref(), Some(""));
    }
    let outcome = home.run(&["get", "--format", "raw"]);
    assert!(outcome.messages.starts_with("error: not logged in to mycli"), "{outcome:?}");
}

#[test]
fn logout_reports_a_file_that_cannot_be_removed() {
    for protection in [Protection::ReadOnly, Protection::Immutable, Protection::AppendOnly] {
        let server = service();
        let (home, session) = Home::logged_in(&server);
        let file = home.path().join(".my/credentials.json");
        let Some(_protected) = Protected::new(&file, protection) else { continue };
        let outcome = home.run(&["logout"]);
        assert_eq!(outcome.status, 1, "{protection:?}: {outcome:?}");
        let reason =
            format!("credentials.json {}", Protected::reason(protection)).replace(" is", ": is");
        assert!(outcome.messages.contains(&reason), "{protection:?}: {outcome:?}");
        assert!(!outcome.messages.contains(&session.access_token));
    }
}

/// `sudo` may keep variables that name files of another user. That user could lead the write to any file of root.
#[test]
fn setup_follows_no_path_of_another_user() {
    let Some(stranger) = Stranger::new() else { return };
    for (tool, variable, name) in [
        ("kubectl", "KUBECONFIG", "config"),
        ("git", "GIT_CONFIG_GLOBAL", "config"),
        ("go", "GOENV", "config"),
        ("docker", "DOCKER_CONFIG", ""),
    ] {
        for below in ["", "linked"] {
            let mut home = Home::new();
            let theirs = tempfile::tempdir().unwrap();
            stranger.give(theirs.path());
            symlink(home.path(), theirs.path().join("linked")).unwrap();
            home.set(variable, theirs.path().join(below).join(name));
            home.write("config", "");
            home.write("config.json", "{}");
            let before = home.snapshot();
            let outcome = home.run(&["setup", tool, "--host", "h.acme.dev", "--yes"]);
            assert_ne!(outcome.status, 0, "{tool} {below}: {outcome:?}");
            assert!(outcome.messages.contains("belongs to another user"), "{tool}: {outcome:?}");
            assert_eq!(home.snapshot(), before, "{tool} {below}");
            assert_eq!(theirs.path().read_dir().unwrap().count(), 1, "{tool} {below}");
        }
    }
}

/// `config.toml` names the hosts that receive tokens: nobody else may put one in its place.
#[test]
fn settings_that_another_user_can_replace_are_rejected() {
    let server = service();
    let (home, _) = Home::logged_in(&server);
    let directory = home.path().join(".config/my-credential-helper");
    let text = "[providers.mycli]\nhosts = ['evil.acme.dev']\n";
    let file = home.write(".config/my-credential-helper/config.toml", text);
    let get = || home.run(&["get", "--url", "https://evil.acme.dev"]);
    let mode = |mode| fs::set_permissions(&directory, Permissions::from_mode(mode)).unwrap();
    for (directory_mode, is_accepted) in [
        (0o700, true),
        (0o755, true),
        (0o775, true),
        (0o1777, true),
        (0o777, false),
        (0o703, false),
    ] {
        mode(directory_mode);
        let outcome = get();
        assert_eq!(outcome.status == 0, is_accepted, "{directory_mode:o}: {outcome:?}");
        assert_eq!(outcome.messages.contains("chmod go-w"), !is_accepted, "{outcome:?}");
    }
    mode(0o755);
    for (file_mode, is_accepted) in [(0o644, true), (0o620, false), (0o602, false)] {
        fs::set_permissions(&file, Permissions::from_mode(file_mode)).unwrap();
        let outcome = get();
        assert_eq!(outcome.status == 0, is_accepted, "{file_mode:o}: {outcome:?}");
        let message = "config.toml is writable by other users";
        assert_eq!(outcome.messages.contains(message), !is_accepted, "{outcome:?}");
    }
    fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    if give_away(&lchown(&file, Some(STRANGER), Some(STRANGER))) {
        assert!(get().messages.contains("config.toml belongs to another user"), "{:?}", get());
        lchown(&file, Some(rustix::process::geteuid().as_raw()), None).unwrap();
    }
    // The file in a repository of the user, which is safe or not; then a link of another user to a file of this one.
    let other = home.path().join("dotfiles/config.toml");
    fs::create_dir(home.path().join("dotfiles")).unwrap();
    fs::rename(&file, &other).unwrap();
    symlink(&other, &file).unwrap();
    assert_eq!(get().status, 0);
    fs::set_permissions(home.path().join("dotfiles"), Permissions::from_mode(0o777)).unwrap();
    assert!(get().messages.contains("chmod go-w"));
    fs::set_permissions(home.path().join("dotfiles"), Permissions::from_mode(0o755)).unwrap();
    if give_away(&lchown(&file, Some(STRANGER), Some(STRANGER))) {
        assert_ne!(get().status, 0, "{:?}", get());
    }
}

/// Whoever can rename a directory on the way can put another one of this user there, such as a repository.
#[test]
fn settings_below_a_directory_of_other_users_are_refused() {
    let server = service();
    let (home, _) = Home::logged_in(&server);
    let folder = home.path().join(".config/my-credential-helper");
    home.write(
        ".config/my-credential-helper/config.toml",
        "[providers.mycli]\nhosts = ['evil.acme.dev']\n",
    );
    let get = || home.run(&["get", "--url", "https://evil.acme.dev"]);
    for directory in [home.path().join(".config"), home.path().to_owned()] {
        for (mode, is_accepted) in [(0o755, true), (0o1777, true), (0o777, false), (0o702, false)] {
            fs::set_permissions(&directory, Permissions::from_mode(mode)).unwrap();
            let outcome = get();
            assert_eq!(outcome.status == 0, is_accepted, "{directory:?} {mode:o}: {outcome:?}");
            let fix = format!("chmod go-w {}", directory.display());
            assert_eq!(outcome.messages.contains(&fix), !is_accepted, "{outcome:?}");
        }
        fs::set_permissions(&directory, Permissions::from_mode(0o700)).unwrap();
    }
    let other = home.path().join("repository");
    fs::rename(&folder, &other).unwrap();
    symlink("../repository", &folder).unwrap();
    assert_eq!(get().status, 0, "the user's own link: {:?}", get());
    if give_away(&lchown(&folder, Some(STRANGER), Some(STRANGER))) {
        assert_ne!(get().status, 0, "{:?}", get());
    }
}

/// As sshd does: in a home that everybody may write, another user can put another `.my` in place.
#[test]
fn a_home_that_others_can_write_is_refused() {
    let server = service();
    let (mut home, session) = Home::logged_in(&server);
    home.set("MY_NO_KEYRING", "1");
    let mode = |mode| fs::set_permissions(home.path(), Permissions::from_mode(mode)).unwrap();
    let fix = format!("chmod o-w {}", home.path().display());
    for (directory_mode, is_accepted) in
        [(0o755, true), (0o775, true), (0o1777, true), (0o777, false), (0o702, false)]
    {
        mode(directory_mode);
        let before = home.snapshot();
        let outcome = home.run(&["get", "--format", "raw"]);
        let expected =
            if is_accepted { format!("{}\n", session.access_token) } else { String::new() };
        assert_eq!(outcome.output, expected, "{directory_mode:o}: {outcome:?}");
        assert_eq!(outcome.messages.contains(&fix), !is_accepted, "{outcome:?}");
        for words in [&["doctor"][..], &["status"]] {
            let outcome = home.run(words);
            let text = format!("{}{}", outcome.output, outcome.messages);
            assert_eq!(text.contains("is writable by other users"), !is_accepted, "{text}");
        }
        if is_accepted {
            continue;
        }
        for words in [
            &["setup", "--yes", "bazel", "--host", "a.dev"][..],
            &["config", "set", "store", "file"],
            &["login", "--email", "me@acme.dev", "--no-wait"],
        ] {
            let outcome = home.run(words);
            assert!(
                outcome.status != 0 && outcome.messages.contains(&fix),
                "{words:?}: {outcome:?}"
            );
        }
        assert_eq!(home.snapshot(), before, "nothing is written there");
    }
    mode(0o777);
    // The variable needs no home.
    let mut command = home.command(crate::support::HELPER);
    command.args(["get", "--format", "raw"]).env("MY_API_TOKEN", "myc_of_the_variable");
    let outcome = crate::support::finish(crate::support::spawn(command), b"");
    assert_eq!(outcome.output, "myc_of_the_variable\n", "{outcome:?}");
    mode(0o700);
}

#[test]
fn setup_makes_no_link_below_a_directory_of_another_user() {
    let Some(stranger) = Stranger::new() else { return };
    for tool in ["pip", "uv"] {
        if !has_client(tool) {
            continue;
        }
        for below in ["theirs", "theirs/linked", "own"] {
            let mut home = Home::new();
            let theirs = home.path().join("theirs");
            fs::create_dir(&theirs).unwrap();
            stranger.give(&theirs);
            symlink(home.path(), theirs.join("linked")).unwrap();
            lchown(theirs.join("linked"), Some(stranger.user), None).unwrap();
            symlink(&theirs, home.path().join("own")).unwrap();
            home.set("XDG_DATA_HOME", home.path().join(below));
            let before = home.snapshot();
            let outcome = home.run(&["setup", tool, "--yes"]);
            assert_ne!(outcome.status, 0, "{tool} {below}: {outcome:?}");
            assert!(outcome.messages.contains("belongs to another user"), "{tool}: {outcome:?}");
            assert_eq!(home.snapshot(), before, "{tool} {below}");
        }
    }
}

/// PATH may have the folder: its owner could put another program in the place of the link.
#[test]
fn setup_makes_no_link_in_a_folder_of_another_user() {
    let Some(stranger) = Stranger::new() else { return };
    if !has_client("git") {
        return;
    }
    let home = Home::new();
    let folder = home.path().join(".local/bin");
    fs::create_dir_all(&folder).unwrap();
    stranger.give(&folder);
    let before = home.snapshot();
    let outcome = home.run(&["setup", "git", "--host", "h.acme.dev", "--yes"]);
    assert_ne!(outcome.status, 0, "{outcome:?}");
    assert!(outcome.messages.contains("belongs to another user"), "{outcome:?}");
    assert_eq!(home.snapshot(), before);
}

/// PATH has the folder: whoever can write there chooses the program that git runs.
#[test]
fn the_folder_of_a_link_is_private_whatever_the_umask_is() {
    if !has_client("git") {
        return;
    }
    for umask in ["000", "777"] {
        let home = Home::new();
        let line = ["setup", "git", "--host", "h.acme.dev", "--yes"];
        let mut command = home.command("sh");
        command.args(["-c", &format!("umask {umask}; exec \"$@\""), "sh", HELPER]).args(line);
        assert!(command.output().unwrap().status.success(), "{umask}");
        for folder in [".local", ".local/bin"] {
            let mode = fs::metadata(home.path().join(folder)).unwrap().mode() & 0o777;
            assert_eq!(mode, 0o700, "{umask} {folder}");
        }
    }
}

/// In a user namespace of bubblewrap or Flatpak, the directories of root belong to nobody.
#[test]
fn settings_are_read_in_a_sandbox_without_root() {
    let mut home = Home::new();
    home.set("MY_API_TOKEN", "myc_1");
    let text = "[providers.mycli]\nhosts = ['git.acme.dev']\n";
    home.write(".config/my-credential-helper/config.toml", text);
    let program = home.path().join("helper");
    fs::copy(HELPER, &program).unwrap();
    let folders = [".config", ".config/my-credential-helper"].map(|name| home.path().join(name));
    let file = home.path().join(".config/my-credential-helper/config.toml");
    for path in folders.iter().chain([&home.path().to_owned(), &file]) {
        if !give_away(&chown(path, Some(STRANGER), Some(STRANGER))) {
            return;
        }
    }
    let run = |program: &std::path::Path, arguments: &[&str]| {
        let mut command = home.command("unshare");
        command.args(["--user", "--map-current-user"]).arg(program).args(arguments);
        command.uid(STRANGER).gid(STRANGER).output().unwrap()
    };
    if !run("true".as_ref(), &[]).status.success() {
        let skipped = b"SKIPPED: no user namespace can be created\n";
        let _ = std::io::Write::write_all(&mut std::io::stderr(), skipped);
        return;
    }
    let output = run(&program, &["get", "--format", "raw", "--url", "https://git.acme.dev"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "myc_1\n", "{output:?}");
    // Outside of it, `nobody` is a user as any other.
    chown(&folders[0], Some(65534), None).unwrap();
    let mut command = home.command(&program);
    command.args(["get", "--format", "raw", "--url", "https://git.acme.dev"]);
    let output = command.uid(STRANGER).gid(STRANGER).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{output:?}");
}
