//! The programs that the helper starts: not from the working directory, without access to its files, and without secrets
//! in the environment. Every launcher is a stub that records how it was started, in a directory full of traps.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::{HELPER, Home, Outcome, finish, has_client, service, spawn, strace};

/// Files by which launchers choose a program, and what they would choose.
const TRAPS: [(&str, &str); 12] = [
    ("rust-toolchain.toml", "[toolchain]\npath = \"evil\"\n"),
    (".bazeliskrc", "BAZELISK_BASE_URL=http://127.0.0.1:1\n"),
    (".bazelversion", "0.0.1\n"),
    ("package.json", "{\"packageManager\":\"pnpm@0.0.1\"}\n"),
    (".tool-versions", "kubectl path:evil\n"),
    (".mise.toml", "[tools]\nkubectl = \"path:evil\"\n"),
    ("go.mod", "module evil\n\ntoolchain go9.9.9\n"),
    (".npmrc", "script-shell=./evil\n"),
    (".python-version", "evil\n"),
    (".gitconfig", "[core]\nfsmonitor = ./evil\n"),
    (".docker/config.json", "{\"credHelpers\":{\"acme.mycli.sh\":\"evil\"}}\n"),
    ("kubeconfig", "users: []\n"),
];

/// Every program that the helper may look for.
const PROGRAMS: [&str; 18] = [
    "git",
    "docker",
    "podman",
    "cargo",
    "kubectl",
    "terraform",
    "bazel",
    "go",
    "pnpm",
    "pip",
    "uv",
    "xdg-open",
    "wslview",
    "gio",
    "browser",
    "buildah",
    "tofu",
    "evil",
];

const TOOLS: [&str; 11] = [
    "git",
    "docker",
    "podman",
    "cargo",
    "kubectl",
    "terraform",
    "bazel",
    "go",
    "pnpm",
    "pip",
    "uv",
];

const SECRETS: [(&str, &str); 5] = [
    ("MY_API_TOKEN", "myc_0123456789012345678901234567890123456789"),
    ("GITHUB_TOKEN", "hunter2-of-github"),
    ("AWS_SECRET_ACCESS_KEY", "hunter2-of-aws"),
    ("GIT_CONFIG_PARAMETERS", "'core.fsmonitor=hunter2-evil'"),
    ("KUBERNETES_EXEC_INFO", "hunter2-of-kubernetes"),
];

struct Trapped {
    home: Home,
    work: tempfile::TempDir,
}

impl Trapped {
    fn new() -> Self {
        let (mut home, work) = (Home::new(), tempfile::tempdir().unwrap());
        for (file, text) in TRAPS {
            let path = work.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let real = std::env::var_os("PATH").unwrap();
        let real = |name: &str| {
            std::env::split_paths(&real).map(|folder| folder.join(name)).find(|path| path.is_file())
        };
        for name in PROGRAMS {
            script(&work.path().join(name), "touch \"$HOME/trapped\"\n");
            // Those that only print a version answer at once; the others are the real ones.
            let rest = match real(name).filter(|_| matches!(name, "git" | "go" | "kubectl")) {
                Some(real) => format!("exec {} \"$@\"\n", real.display()),
                None => "echo 99.9.9\n".to_owned(),
            };
            let record = "mkdir -p \"$HOME/started\"\n{ pwd -P; tr '\\0' '\\n' </proc/$$/environ; } >\"$HOME/started/${0##*/}.$$\"\n";
            if !matches!(name, "evil" | "wslview") {
                script(&home.path().join("launchers").join(name), &format!("{record}{rest}"));
            }
        }
        let bin = home.path().join(".local/bin");
        std::fs::create_dir_all(&bin).unwrap();
        symlink(HELPER, bin.join("my-credential-helper")).unwrap();
        let launchers = home.path().join("launchers");
        // Relative and empty entries come first.
        home.set(
            "PATH",
            format!(":.:launchers:{}:{}:/usr/bin:/bin", bin.display(), launchers.display()),
        );
        for (name, value) in SECRETS {
            home.set(name, value);
        }
        // Relative paths would be files of the working directory.
        for name in ["DOCKER_CONFIG", "CARGO_HOME", "XDG_CONFIG_HOME", "GIT_CONFIG_GLOBAL"] {
            home.set(name, ".docker");
        }
        home.set("KUBECONFIG", "kubeconfig");
        Self { home, work }
    }

    fn in_work(&self, mut command: Command) -> Command {
        command.current_dir(self.work.path());
        command
    }

    /// Runs the helper; under strace, with what it and its children execute and open.
    fn run(&self, arguments: &[&str], is_traced: bool) -> (Outcome, String) {
        let log = self.home.path().join("strace.log");
        let mut command = self.home.command(if is_traced { "strace" } else { HELPER });
        if is_traced {
            command.args([
                "-f",
                "-qq",
                "-yy",
                "-s",
                "4096",
                "-e",
                "trace=execve,execveat,open,openat",
                "-o",
            ]);
            command.arg(&log).arg(HELPER);
        }
        command.args(arguments);
        let outcome = finish(spawn(self.in_work(command)), b"");
        (outcome, std::fs::read_to_string(log).unwrap_or_default())
    }

    /// How each program was started, by its name.
    fn started(&self) -> Vec<(String, String)> {
        let entries =
            std::fs::read_dir(self.home.path().join("started")).into_iter().flatten().flatten();
        let name = |entry: &std::fs::DirEntry| {
            entry.file_name().to_string_lossy().split('.').next().unwrap().to_owned()
        };
        entries
            .map(|entry| (name(&entry), std::fs::read_to_string(entry.path()).unwrap()))
            .collect()
    }

    #[track_caller]
    fn assert_all_well_started(&self, what: &str) {
        assert!(
            !self.home.path().join("trapped").exists(),
            "{what}: a program of the working directory ran"
        );
        let home = self.home.path().canonicalize().unwrap();
        for (name, record) in self.started() {
            let (directory, variables) = record.split_once('\n').unwrap();
            assert!(
                directory == "/" || Path::new(directory) == home,
                "{what}: {name} starts in {directory}"
            );
            for (variable, secret) in SECRETS {
                assert!(!record.contains(secret), "{what}: {name} gets the value of {variable}");
                // `doctor` gives git a token that is none, to see whether git returns it.
                let is_proof = variables.contains("MY_API_TOKEN=asked-by-git-credential-fill\n");
                assert!(
                    is_proof && variable == "MY_API_TOKEN"
                        || !variables.contains(&format!("{variable}=")),
                    "{what}: {name} gets {variable}"
                );
            }
            for line in variables.lines() {
                let (variable, value) = line.split_once('=').unwrap_or((line, ""));
                let is_relative = variable == "PATH"
                    && std::env::split_paths(value).any(|path| !path.is_absolute());
                assert!(!is_relative && value != ".docker", "{what}: {name} gets {line}");
            }
        }
    }
}

fn script(path: &PathBuf, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, format!("#!/bin/sh\n{text}")).unwrap();
    std::fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
}

/// A line of strace that executes a relative path, or opens a file below `work`.
fn is_violation(line: &str, work: &str) -> bool {
    let Some((call, rest)) = line.split_once('(') else { return false };
    let path = rest.split('"').nth(1).unwrap_or_default();
    if call.contains("execve") {
        return !path.starts_with('/') || path.starts_with(work);
    }
    let is_relative_to_work =
        !path.starts_with('/') && rest.starts_with(&format!("AT_FDCWD<{work}"));
    path.starts_with(work) || is_relative_to_work
}

#[test]
fn children_start_in_the_home_without_secrets_or_traps() {
    if !["git", "go", "kubectl"].into_iter().all(has_client) {
        return;
    }
    let trapped = Trapped::new();
    let is_traced = strace::is_permitted();
    let work = trapped.work.path().canonicalize().unwrap().display().to_string();
    let run = |arguments: &[&str]| {
        let (outcome, log) = trapped.run(arguments, is_traced);
        let violations: Vec<_> = log.lines().filter(|line| is_violation(line, &work)).collect();
        assert!(violations.is_empty(), "{arguments:?}: {violations:#?}");
        trapped.assert_all_well_started(&format!("{arguments:?}"));
        assert!(!is_traced || log.contains("execve"), "{arguments:?}: strace writes its log");
        outcome
    };
    for tool in TOOLS {
        let outcome = run(&["setup", "--yes", tool, "--host", "acme.mycli.sh"]);
        assert_eq!(outcome.status, 0, "{tool}: {outcome:?}");
    }
    run(&["doctor"]);
    for tool in TOOLS {
        let outcome = run(&["setup", "--yes", tool, "--undo"]);
        assert_eq!(outcome.status, 0, "{tool}: {outcome:?}");
    }
    let started: Vec<_> = trapped.started().into_iter().map(|(name, _)| name).collect();
    for name in ["git", "go", "kubectl", "terraform", "bazel", "pnpm", "pip"] {
        assert!(started.iter().any(|found| found == name), "{name} was not started: {started:?}");
    }
}

#[test]
fn the_browser_starts_in_the_home_from_an_absolute_path() {
    let server = service();
    for (browser, expected) in [("", "xdg-open"), ("./evil:evil:sub/evil:browser %s", "browser")] {
        let mut trapped = Trapped::new();
        trapped.home.write(
            // `XDG_CONFIG_HOME` is relative, which is the same as not set.
            ".config/my-credential-helper/config.toml",
            &format!(
                "provider = 'acme'\n[providers.acme]\nkind = 'oauth'\nclient_id = 'me'\n\
                 authorization_endpoint = '{0}/page'\ntoken_endpoint = '{0}/token'\n",
                server.url()
            ),
        );
        trapped.home.set("BROWSER", browser);
        trapped.home.set("DISPLAY", ":0");
        let mut command = trapped.home.command(HELPER);
        command.args(["login", "--browser"]);
        let mut login = spawn(trapped.in_work(command));
        let start = Instant::now();
        while trapped.started().iter().all(|(_, record)| !record.contains("DISPLAY=:0")) {
            if start.elapsed() > Duration::from_secs(20) {
                let _ = login.kill();
                let outcome = login.wait_with_output().unwrap();
                panic!("no browser is started: {}", String::from_utf8_lossy(&outcome.stderr));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        login.kill().unwrap();
        login.wait().unwrap();
        trapped.assert_all_well_started(expected);
        let names: Vec<_> = trapped.started().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, [expected]);
    }
}
