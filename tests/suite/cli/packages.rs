//! What people install: the tarball with its `install.sh`, and the Debian package, each installed and removed again.

use std::path::{Path, PathBuf};

use crate::support::{HELPER, Home, Outcome, finish, has_client, spawn};

const PACKAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/.ci/package");

/// Builds the packages of the program under test; the tarball and, where dpkg is, the Debian package.
fn packages(home: &Home) -> Vec<PathBuf> {
    // The line tables are most of the program of a test, and take seconds to compress.
    let stripped = home.path().join("stripped");
    let mut strip = std::process::Command::new("strip");
    let is_stripped =
        strip.args([HELPER, "-o"]).arg(&stripped).status().is_ok_and(|it| it.success());
    let mut command = home.command(PACKAGE);
    command.arg(if is_stripped { &stripped } else { Path::new(HELPER) });
    command.arg(home.path().join("packages")).env("LEVEL", "1");
    let outcome = finish(spawn(command), b"");
    assert_eq!(outcome.status, 0, "{outcome:?}");
    outcome.output.lines().map(PathBuf::from).collect()
}

fn run(home: &Home, program: impl AsRef<Path>, arguments: &[&str]) -> Outcome {
    let mut command = home.command(program.as_ref());
    command.args(arguments);
    finish(spawn(command), b"")
}

#[test]
fn both_packages_install_work_and_leave_nothing_behind() {
    let mut home = Home::new();
    let built = packages(&home);
    let unpacked = home.path().join("unpacked");
    std::fs::create_dir(&unpacked).unwrap();
    let (tarball, folder) = (built[0].to_str().unwrap(), unpacked.to_str().unwrap());
    assert_eq!(
        home.run_client(&["tar", "-xzf", tarball, "-C", folder, "--strip-components=1"]).status,
        0
    );

    let prefix = home.path().join("prefix");
    let (script, to) = (unpacked.join("install.sh"), prefix.to_str().unwrap().to_owned());
    // Somebody else's program stays, and nothing is installed around it.
    let theirs = home.write("prefix/bin/my-token-helper", "#!/bin/sh\n");
    let outcome = run(&home, &script, &["--prefix", &to]);
    assert_eq!(outcome.status, 1, "{outcome:?}");
    assert!(outcome.messages.contains("is no link to my-credential-helper"), "{outcome:?}");
    assert!(!prefix.join("bin/my-credential-helper").exists());
    let outcome = run(&home, &script, &["--prefix", &to, "--uninstall"]);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    assert_eq!(
        files(&prefix),
        std::slice::from_ref(&theirs),
        "what was not installed is not removed"
    );
    std::fs::remove_file(&theirs).unwrap();

    for _ in ["first", "again"] {
        let outcome = run(&home, &script, &["--prefix", &to]);
        assert_eq!(outcome.status, 0, "{outcome:?}");
        assert!(outcome.output.contains("export PATH="), "{outcome:?}");
    }
    works(&mut home, &prefix);
    // The installation is removed by the script of another version, which has another file; a link was replaced.
    let other = unpacked.join("share/doc/my-credential-helper/of-another-version");
    std::fs::write(&other, "").unwrap();
    let kept = home.write("prefix/share/doc/my-credential-helper/of-another-version", "");
    std::fs::remove_file(&theirs).unwrap();
    home.write("prefix/bin/my-token-helper", "#!/bin/sh\n");
    let outcome = run(&home, &script, &["--prefix", &to, "--uninstall"]);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    let mut left = files(&prefix);
    left.sort();
    assert_eq!(left, [theirs, kept], "nothing else stays");

    if !has_client("dpkg-deb") {
        return;
    }
    let root = home.path().join("root");
    std::fs::create_dir(&root).unwrap();
    assert_eq!(
        home.run_client(&["dpkg-deb", "-x", built[1].to_str().unwrap(), root.to_str().unwrap()])
            .status,
        0
    );
    works(&mut home, &root.join("usr"));
    let control = home.run_client(&["dpkg-deb", "-f", built[1].to_str().unwrap()]).output;
    assert!(
        control.contains("Package: my-credential-helper")
            && control.contains("Depends: libc6 (>= 2.") == cfg!(target_env = "gnu"),
        "{control}"
    );
    assert!(!root.join("usr/bin/keyring").exists(), "that is the name of Python's own");
}

/// It answers under every name, completes, and its manual can be read.
fn works(home: &mut Home, prefix: &Path) {
    for name in
        ["my-credential-helper", "git-credential-my", "docker-credential-my", "cargo-credential-my"]
    {
        let outcome = run(home, prefix.join("bin").join(name), &["--help"]);
        assert_eq!(outcome.status, 0, "{name}: {outcome:?}");
        assert!(outcome.output.contains("my-credential-helper"), "{name}: {outcome:?}");
    }
    let names: Vec<_> =
        files(prefix).iter().map(|path| path.to_string_lossy().into_owned()).collect();
    for part in [
        "man/man1/my-credential-helper-token-create.1",
        "man/man7/my-credential-helper-errors.7",
        "bash-completion",
    ] {
        assert!(names.iter().any(|name| name.contains(part)), "{part}: {names:?}");
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(files(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found
}
