//! Programs that fetch through git, or through a library that reads git's configuration: cargo and pip.

use std::path::Path;

use account_server::Server;
use account_server::git_host::create_repository;

use crate::support::{HELPER, Home, Outcome, finish, has_client, service_with, spawn};

/// A host with a repository that holds these files, and a home that is logged in and whose git asks the helper.
fn host(files: &[(&str, &str)]) -> (Server, tempfile::TempDir, Home) {
    let root = tempfile::tempdir().unwrap();
    let repository = create_repository(root.path(), "package.git").unwrap();
    let server = service_with(|settings| settings.git_root = Some(root.path().to_owned()));
    let (mut home, _) = Home::with_stale_session(&server);
    let port = server.url().rsplit(':').next().unwrap();
    let hosts = format!("[providers.mycli]\nhosts = ['localhost:{port}']\n");
    home.write(".config/my-credential-helper/config.toml", &hosts);
    home.write(
        ".gitconfig",
        &format!("[credential]\nhelper = {HELPER} git\n[user]\nname = Ada\nemail = ada@acme.dev\n"),
    );
    home.set("GIT_CONFIG_NOSYSTEM", "1");
    home.set("GIT_TERMINAL_PROMPT", "0");
    commit(&home, &repository, files);
    (server, root, home)
}

fn commit(home: &Home, repository: &Path, files: &[(&str, &str)]) {
    let work = home.path().join("work");
    let git = |arguments: &[&str]| {
        let mut command = home.command("git");
        command.arg("-C").arg(home.path()).args(arguments);
        let outcome = finish(spawn(command), b"");
        assert_eq!(outcome.status, 0, "{arguments:?}: {outcome:?}");
    };
    git(&["clone", "-q", repository.to_str().unwrap(), "work"]);
    for (name, contents) in files {
        home.write(&format!("work/{name}"), contents);
    }
    let work = work.to_str().unwrap();
    git(&["-C", work, "add", "."]);
    git(&["-C", work, "commit", "-qm", "A package"]);
    git(&["-C", work, "push", "-q"]);
}

/// By name: cargo's library sends no host line for an address.
fn url(server: &Server) -> String {
    server.url().replace("127.0.0.1", "localhost") + "/git/basic/package.git"
}

fn run(home: &Home, program: &str, arguments: &[&str]) -> Outcome {
    let mut command = home.command(program);
    command.args(arguments);
    finish(spawn(command), b"")
}

#[test]
fn cargo_fetches_a_git_dependency() {
    let files = [
        ("Cargo.toml", "[package]\nname = 'package'\nversion = '1.0.0'\nedition = '2024'\n"),
        ("src/lib.rs", ""),
    ];
    let (server, _root, mut home) = host(&files);
    let manifest = "[package]\nname = 'app'\nversion = '1.0.0'\nedition = '2024'\n[dependencies]\npackage = { git = '@' }\n";
    let manifest = home.write("app/Cargo.toml", &manifest.replace('@', &url(&server)));
    home.write("app/src/lib.rs", "");
    home.set("CARGO_HOME", home.path().join("cargo"));
    // The toolchain is found from the home that the tests themselves run in.
    for name in ["RUSTUP_HOME", "RUSTUP_TOOLCHAIN"] {
        if let Some(value) = std::env::var_os(name) {
            home.set(name, value);
        }
    }
    let manifest = manifest.to_str().unwrap();
    let fetched = run(&home, env!("CARGO"), &["fetch", "--manifest-path", manifest]);
    assert_eq!(fetched.status, 0, "{fetched:?}");
    assert_eq!(server.refresh_requests(), 1, "the stale session was refreshed");
    home.set("MY_API_TOKEN", "myc_wrong");
    std::fs::remove_dir_all(home.path().join("cargo")).unwrap();
    assert_ne!(
        run(&home, env!("CARGO"), &["fetch", "--manifest-path", manifest]).status,
        0,
        "a wrong token is refused"
    );
}

/// A build backend that needs nothing from an index.
const BACKEND: &str = r#"
import zipfile
def build_wheel(directory, config_settings=None, metadata_directory=None):
    name = "package-1.0-py3-none-any.whl"
    with zipfile.ZipFile(directory + "/" + name, "w") as wheel:
        info = "package-1.0.dist-info/"
        wheel.writestr("package.py", "")
        wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\nName: package\nVersion: 1.0\n")
        wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(info + "RECORD", "")
    return name
"#;

#[test]
fn pip_installs_from_git_over_http() {
    if !has_client("python3") {
        return;
    }
    let project = "[build-system]\nrequires = []\nbuild-backend = 'backend'\nbackend-path = ['.']\n\
                   [project]\nname = 'package'\nversion = '1.0'\n";
    let (server, _root, home) = host(&[("pyproject.toml", project), ("backend.py", BACKEND)]);
    let target = home.path().join("installed");
    let source = format!("git+{}", url(&server));
    let pip = [
        "-m",
        "pip",
        "install",
        "--no-index",
        "--no-deps",
        "--quiet",
        "--target",
        target.to_str().unwrap(),
        &source,
    ];
    let outcome = run(&home, "python3", &pip);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    assert!(target.join("package.py").exists());
    assert_eq!(server.refresh_requests(), 1);
}
