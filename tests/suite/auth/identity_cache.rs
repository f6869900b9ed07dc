//! The token of a job is shared by the processes of the job, and by nobody else.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Child;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde_json::json;

use crate::support::job::{
    AUDIENCE, REQUEST_TOKEN, configure, home, identity_token, runner, service, start_github_job,
};
use crate::support::{Home, finish};

const GITHUB: &str = "source = \"github-actions\"\nexchange = \"token-exchange\"";

fn token(home: &Home) -> String {
    let outcome = home.run(&["get", "--format", "raw", "--url", "https://git.acme.dev/x"]);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    outcome.output.trim().to_owned()
}

/// Gives the home a folder that the platform does not empty: the worst case.
fn keep_a_folder(home: &mut Home, variable: &str) {
    let folder = home.path().join("job");
    std::fs::create_dir_all(&folder).unwrap();
    home.set(variable, folder);
}

#[test]
fn sixty_four_processes_of_a_job_make_one_exchange() {
    let (runner, service) = (runner(), service());
    let mut home = home(&service.url, GITHUB);
    keep_a_folder(&mut home, "RUNNER_TEMP");
    start_github_job(&mut home, &runner, "repo:a");
    let all: Vec<Child> = (0..64).map(|_| home.start(&["get", "--format", "raw"])).collect();
    for child in all {
        let outcome = finish(child, b"");
        assert_eq!(outcome.output, "hunter2-token-of-repo:a\n", "{outcome:?}");
    }
    assert_eq!((service.requests().len(), runner.requests().len()), (1, 1));
    let mut files = 0;
    for (path, contents) in home.snapshot() {
        let bytes = contents.unwrap_or_default();
        // The file is base64, of what the key of the job decrypts.
        let bytes = STANDARD_NO_PAD.decode(&bytes).unwrap_or(bytes);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        assert!(!text.contains("hunter2") && !text.contains("access_token"), "{}", path.display());
        if path.starts_with(home.path().join("job/my-credential-helper-identity")) {
            let mode =
                |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
            assert!(path.is_dir() || mode(&path) == 0o600, "{}", path.display());
            files += 1;
        }
    }
    assert!(files >= 1, "the token is cached");
}

#[test]
fn the_next_job_does_not_get_the_token_of_the_last() {
    for folder in ["RUNNER_TEMP", "AGENT_TEMPDIRECTORY", "XDG_RUNTIME_DIR"] {
        let (runner, service) = (runner(), service());
        let mut home = home(&service.url, GITHUB);
        keep_a_folder(&mut home, folder);
        start_github_job(&mut home, &runner, "repo:a");
        assert_eq!(
            (token(&home), token(&home)),
            ("hunter2-token-of-repo:a".to_owned(), "hunter2-token-of-repo:a".to_owned())
        );
        assert_eq!(service.requests().len(), 1, "{folder}");
        start_github_job(&mut home, &runner, "repo:b");
        assert_eq!(token(&home), "hunter2-token-of-repo:b", "{folder}");
        home.set("ACTIONS_ID_TOKEN_REQUEST_URL", "");
        let outcome = home.run(&["get", "--format", "raw"]);
        assert_eq!((outcome.status, outcome.output.as_str()), (1, ""), "{outcome:?}");
    }
}

#[test]
fn a_job_finds_and_decrypts_only_its_own_entry() {
    let (runner, service) = (runner(), service());
    let mut home = home(&service.url, GITHUB);
    keep_a_folder(&mut home, "RUNNER_TEMP");
    let folder = home.path().join("job/my-credential-helper-identity");
    let entries = || {
        let entries = folder.read_dir().unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.extension().is_none()).collect::<Vec<_>>()
    };
    start_github_job(&mut home, &runner, "repo:a");
    let of_a = token(&home);
    let first = entries();
    assert_eq!(first.len(), 1, "{first:?}");
    let sealed = std::fs::read_to_string(&first[0]).unwrap();
    let text = STANDARD_NO_PAD.decode(sealed.trim()).unwrap();
    assert!(!String::from_utf8_lossy(&text).contains(&of_a), "the entry is encrypted");
    start_github_job(&mut home, &runner, "repo:b");
    let of_b = token(&home);
    let second: Vec<_> = entries().into_iter().filter(|path| !first.contains(path)).collect();
    assert_eq!(second.len(), 1, "each job has an entry of its own: {second:?}");
    std::fs::copy(&first[0], &second[0]).unwrap();
    assert_eq!(token(&home), of_b, "the entry of another job cannot be decrypted");
    assert_eq!(service.requests().len(), 3);
}

#[test]
fn no_token_is_cached_behind_a_link_of_another_user() {
    let (runner, service) = (runner(), service());
    let mut home = home(&service.url, GITHUB);
    keep_a_folder(&mut home, "RUNNER_TEMP");
    start_github_job(&mut home, &runner, "repo:a");
    let (link, public) =
        (home.path().join("job/my-credential-helper-identity"), home.path().join("public"));
    std::fs::create_dir(&public).unwrap();
    std::fs::set_permissions(&public, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::symlink(&public, &link).unwrap();
    if std::os::unix::fs::lchown(&link, Some(12345), None).is_err() {
        let skipped = b"SKIPPED: only root can give a link away\n";
        let _ = std::io::Write::write_all(&mut std::io::stderr(), skipped);
        return;
    }
    assert_eq!(token(&home), "hunter2-token-of-repo:a");
    assert_eq!(public.metadata().unwrap().permissions().mode() & 0o777, 0o755);
    assert_eq!(public.read_dir().unwrap().count(), 0);
}

#[test]
fn other_settings_do_not_get_the_cached_token() {
    let (runner, service) = (runner(), service());
    let mut home = home(&service.url, GITHUB);
    keep_a_folder(&mut home, "RUNNER_TEMP");
    start_github_job(&mut home, &runner, "repo:a");
    token(&home);
    let mut exchanges = 1;
    for settings in [
        format!("{GITHUB}\naudience = \"https://other.acme.dev\""),
        format!("{GITHUB}\nscope = \"push\""),
        GITHUB.replace("token-exchange", "jwt-bearer"),
    ] {
        configure(&home, &service.url, &settings);
        token(&home);
        token(&home);
        exchanges += 1;
        assert_eq!(service.requests().len(), exchanges, "{settings}");
    }
    // A request token that leaked into a log is of no use without the settings, and these without the token.
    home.set("ACTIONS_ID_TOKEN_REQUEST_TOKEN", format!("{REQUEST_TOKEN}x"));
    let outcome = home.run(&["get", "--format", "raw"]);
    assert!(outcome.status != 0 && outcome.output.is_empty(), "{outcome:?}");
}

#[test]
fn a_rejected_token_of_a_job_is_replaced() {
    let (runner, service) = (runner(), service());
    let mut home = home(&service.url, GITHUB);
    keep_a_folder(&mut home, "RUNNER_TEMP");
    start_github_job(&mut home, &runner, "repo:a");
    let request = "protocol=https\nhost=git.acme.dev\n\n";
    let given = home.run_with(&["git", "get"], request);
    assert!(given.output.contains("password=hunter2-token-of-repo:a\n"), "{given:?}");
    let erase = |password: &str| {
        let request =
            format!("protocol=https\nhost=git.acme.dev\nusername=token\npassword={password}\n\n");
        assert_eq!(home.run_with(&["git", "erase"], request).status, 0);
    };
    erase("another");
    token(&home);
    assert_eq!(service.requests().len(), 1, "another password does not matter");
    erase("hunter2-token-of-repo:a");
    token(&home);
    assert_eq!(service.requests().len(), 2);
}

#[test]
fn a_rotated_file_of_one_subject_shares_the_token() {
    let service = service();
    let mut home = home(&service.url, "");
    let file = home.path().join("token");
    let identity =
        format!("source = \"file\"\nfile = \"{}\"\nexchange = \"jwt-bearer\"", file.display());
    configure(&home, &service.url, &identity);
    keep_a_folder(&mut home, "XDG_RUNTIME_DIR");
    for (subject, exchanges) in [("a", 1), ("a", 1), ("b", 2), ("a", 2)] {
        home.write("token", &identity_token(subject, &json!(AUDIENCE)));
        assert_eq!(token(&home), format!("hunter2-token-of-{subject}"));
        assert_eq!(service.requests().len(), exchanges);
    }
    home.write("token", &identity_token("a", &json!("https://evil.dev")));
    let outcome = home.run(&["get", "--format", "raw"]);
    assert!(outcome.status != 0 && outcome.messages.contains("its aud is"), "{outcome:?}");
}

/// A repository can contain such a file, and set the variable that names its folder.
#[test]
fn a_cached_token_that_others_could_read_is_not_used() {
    let service = service();
    let mut home = home(&service.url, "");
    let file = home.write("token", &identity_token("a", &json!(AUDIENCE)));
    let identity = format!("source = \"file\"\nfile = {file:?}\nexchange = \"jwt-bearer\"");
    configure(&home, &service.url, &identity);
    keep_a_folder(&mut home, "RUNNER_TEMP");
    token(&home);
    let entries = home.path().join("job/my-credential-helper-identity").read_dir().unwrap();
    let mut paths = entries.map(|entry| entry.unwrap().path());
    let path = paths.find(|path| path.extension().is_none()).expect("the token is cached");
    for (mode, expected) in [(0o600, "planted-token-of-a"), (0o644, "hunter2-token-of-a")] {
        let text = STANDARD_NO_PAD.decode(std::fs::read(&path).unwrap()).unwrap();
        let text = String::from_utf8(text).unwrap().replace("hunter2", "planted");
        std::fs::write(&path, STANDARD_NO_PAD.encode(text)).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        // The service accepts a token once.
        home.write("token", &identity_token("a", &json!(AUDIENCE)));
        assert_eq!(token(&home), expected, "{mode:o}");
    }
}

#[test]
fn a_folder_of_another_user_or_a_relative_one_is_not_used() {
    let (runner, service) = (runner(), service());
    let mut home = home(&service.url, GITHUB);
    start_github_job(&mut home, &runner, "repo:a");
    let [relative, foreign] = ["job", "foreign"].map(|name| home.path().join(name));
    std::fs::create_dir(&relative).unwrap();
    std::fs::create_dir(&foreign).unwrap();
    if std::os::unix::fs::chown(&foreign, Some(12345), None).is_err() {
        let skipped = b"SKIPPED: only root can give a folder away\n";
        let _ = std::io::Write::write_all(&mut std::io::stderr(), skipped);
        return;
    }
    let mut exchanges = 0;
    for folder in ["job", "/proc/1/none", "/nonexistent", foreign.to_str().unwrap()] {
        home.set("RUNNER_TEMP", folder);
        token(&home);
        exchanges += 1;
        assert_eq!(service.requests().len(), exchanges, "{folder}");
    }
    for folder in [relative, foreign] {
        assert_eq!(folder.read_dir().unwrap().count(), 0, "{}", folder.display());
    }
}
