//! Every tool in every state of its configuration: `setup`, the real client if it is installed, and undo, which restores
//! the bytes. A failure names the tool and the cell.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use super::setup::{TOOLS, had_before};
use crate::support::protected::{Protected, Protection};
use crate::support::{HELPER, Home, Outcome, finish, has_client, has_rare_client, spawn};

const HOST: &str = "acme.mycli.sh";
const TOKEN: &str = "myc_matrix";

/// What the tool's configuration is before the setup.
#[derive(Clone, Copy, Debug, PartialEq)]
enum File {
    Missing,
    /// Comments, odd formatting and another helper.
    Odd,
    Crlf,
    Mark,
    MarkAndCrlf,
    DanglingLink,
    WithoutWritePermission,
    Mounted,
    MountedReadOnly,
}

/// A folder name, and the tools that must refuse it since their configuration has no quoting for it.
const FOLDERS: [(&[u8], &[&str]); 9] = [
    (b"a b", &["pnpm"]),
    (b"it's", &["pnpm"]),
    (b"$(touch pwned)`touch pwned`", &["pnpm"]),
    (b"a;touch pwned;#b", &["pnpm", "go"]),
    (b"say \"hi\" it's", &["pnpm", "go"]),
    (b"back\\slash", &["pnpm"]),
    ("\u{fc}n\u{ef}".as_bytes(), &[]),
    (b"a\nb", PATHS),
    (b"not-\xff-utf8", PATHS),
];

/// The tools whose configuration has a path.
const PATHS: &[&str] = &["git", "cargo", "kubectl", "bazel", "go", "pnpm"];

const HOSTS: [&str; 4] =
    ["acme.mycli.sh:8443", "git_1.mycli.sh", "b\u{fc}cher.example", "docker.io"];

/// A home, possibly in a folder with an odd name, in which this program is not on PATH but in another such folder.
struct Machine {
    home: Home,
    root: PathBuf,
    program: PathBuf,
    _programs: tempfile::TempDir,
}

impl Machine {
    fn new(folder: &[u8], is_on_path: bool) -> Self {
        let mut home = Home::new();
        let root = home.path().join(OsStr::from_bytes(folder));
        std::fs::create_dir(&root).unwrap();
        let programs = tempfile::tempdir().unwrap();
        let bin = programs.path().join(OsStr::from_bytes(folder));
        let bin = if is_on_path { root.join(".local/bin") } else { bin };
        std::fs::create_dir_all(&bin).unwrap();
        let program = bin.join("my-credential-helper");
        if is_on_path {
            symlink(HELPER, &program).unwrap();
            home.put_on_path(&bin);
        } else {
            // A link would be resolved to the folder of the build.
            let linked = std::fs::hard_link(HELPER, &program);
            linked.or_else(|_| std::fs::copy(HELPER, &program).map(drop)).unwrap();
        }
        home.set("HOME", &root);
        home.set("MY_API_TOKEN", TOKEN);
        home.set("MY_NO_KEYRING", "1");
        Self { home, root, program, _programs: programs }
    }

    fn setup(&self, words: &[&str]) -> Outcome {
        let mut command = self.home.command(&self.program);
        command.args(["setup", "--yes"]).args(words);
        finish(spawn(command), b"")
    }

    fn client(&self, line: &[&str], input: &str) -> Outcome {
        let mut command = self.home.command(line[0]);
        command.current_dir(&self.root).args(&line[1..]).env("GIT_TERMINAL_PROMPT", "0");
        command.env("CHECKPOINT_DISABLE", "1").env("GOTOOLCHAIN", "local");
        // rustup's cargo finds its toolchains below the home, which is another one here.
        let rustup = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".rustup"));
        command.env(
            "RUSTUP_HOME",
            std::env::var_os("RUSTUP_HOME")
                .map_or_else(|| rustup.unwrap_or_default(), PathBuf::from),
        );
        finish(spawn(command), input.as_bytes())
    }

    /// The paths that are not as before.
    fn changes(&self, before: &[(PathBuf, Vec<u8>, u32)]) -> Vec<PathBuf> {
        let after = self.state();
        let only = |some: &[(PathBuf, Vec<u8>, u32)], others: &[(PathBuf, Vec<u8>, u32)]| {
            some.iter()
                .filter(|it| !others.contains(it))
                .map(|(path, ..)| path.clone())
                .collect::<Vec<_>>()
        };
        [only(before, &after), only(&after, before)].concat()
    }

    /// Files and links with their modes, without what clients and the lock leave.
    fn state(&self) -> Vec<(PathBuf, Vec<u8>, u32)> {
        let is_left = |path: &Path| {
            let text = path.to_string_lossy();
            [
                "go/telemetry",
                ".kube/cache",
                "accounts.lock",
                "/.cache/",
                "pnpm",
                "/.terraform.d/checkpoint",
            ]
            .iter()
            .any(|name| text.contains(name))
                && !text.contains(".npmrc")
        };
        let mode = |path: &Path| path.symlink_metadata().unwrap().permissions().mode();
        let files = self.home.snapshot().into_iter();
        files
            .filter(|(path, _)| !is_left(path))
            .filter_map(|(path, contents)| Some((path.clone(), contents?, mode(&path))))
            .collect()
    }
}

/// A text in the form of a cell.
fn written(file: File, text: &str) -> String {
    let crlf = || text.replace('\n', "\r\n");
    match file {
        File::Crlf => crlf(),
        File::Mark => format!("\u{feff}{text}"),
        File::MarkAndCrlf => format!("\u{feff}{}", crlf()),
        _ => text.to_owned(),
    }
}

/// Collects what is wrong in a cell instead of stopping at the first.
struct Cells {
    tool: &'static str,
    wrong: Vec<String>,
}

impl Cells {
    fn check(&mut self, cell: &str, is_right: bool, seen: &dyn std::fmt::Debug) {
        if !is_right {
            self.wrong.push(format!("{} × {cell}: {seen:?}", self.tool));
        }
    }
}

fn every_cell(tool: &'static str) {
    let needs_itself = matches!(tool, "git" | "kubectl");
    if needs_itself && !has_client(tool) {
        return;
    }
    let (_, file, _) = TOOLS.into_iter().find(|(name, ..)| *name == tool).unwrap();
    let mut cells = Cells { tool, wrong: Vec::new() };
    for state in [
        File::Missing,
        File::Odd,
        File::Crlf,
        File::Mark,
        File::MarkAndCrlf,
        File::DanglingLink,
        File::WithoutWritePermission,
        File::Mounted,
        File::MountedReadOnly,
    ] {
        file_cell(&mut cells, tool, file, state);
    }
    for (folder, refused) in FOLDERS {
        folder_cell(&mut cells, tool, file, folder, refused.contains(&tool));
    }
    for host in HOSTS {
        host_cell(&mut cells, tool, file, host);
    }
    later_cell(&mut cells, tool, file);
    assert!(cells.wrong.is_empty(), "{}", cells.wrong.join("\n"));
}

fn file_cell(cells: &mut Cells, tool: &'static str, file: &str, state: File) {
    let name = format!("{state:?}");
    let machine = Machine::new(b"home", true);
    let path = machine.root.join(file);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    match state {
        File::Missing => {}
        File::DanglingLink => symlink(machine.root.join("dotfiles/file"), &path).unwrap(),
        _ => std::fs::write(&path, written(state, had_before(tool))).unwrap(),
    }
    if state == File::WithoutWritePermission {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o444)).unwrap();
    }
    let protection = match state {
        File::Mounted => Some(Protection::Mounted),
        File::MountedReadOnly => Some(Protection::ReadOnly),
        _ => None,
    };
    let protected = protection.map(|protection| Protected::new(&path, protection));
    if matches!(protected, Some(None)) {
        return;
    }
    let before = machine.state();
    let outcome = machine.setup(&[tool, "--host", HOST]);
    if protected.is_some() {
        cells.check(&name, outcome.status == 1, &outcome);
        cells.check(&name, machine.state() == before, &"something changed");
        return;
    }
    let is_marked = matches!(state, File::Mark | File::MarkAndCrlf);
    if is_marked && matches!(tool, "docker" | "podman") {
        let is_refused = outcome.status == 2 && outcome.messages.contains("byte order mark");
        cells.check(&name, is_refused, &outcome);
        cells.check(&name, machine.state() == before, &"something changed");
        return;
    }
    cells.check(&name, outcome.status == 0, &outcome);
    let now = std::fs::read_to_string(&path).unwrap_or_default();
    cells.check(
        &name,
        now.starts_with('\u{feff}') == written(state, "").starts_with('\u{feff}'),
        &now,
    );
    if matches!(state, File::Crlf | File::MarkAndCrlf) {
        let is_crlf =
            now.split_inclusive('\n').all(|line| line.ends_with("\r\n") || !line.ends_with('\n'));
        cells.check(&name, is_crlf, &now);
    }
    if state == File::DanglingLink {
        cells.check(&name, path.is_symlink() && path.exists(), &path);
    }
    // The clients do not read a mark, or CRLF, in every format.
    if !is_marked {
        ask(cells, &name, &machine, tool, HOST, "");
    }
    let again = machine.setup(&[tool, "--host", HOST]);
    cells.check(&name, again.output.contains("nothing to change"), &again);
    let outcome = machine.setup(&[tool, "--undo"]);
    cells.check(&name, outcome.status == 0 && !outcome.output.contains("note:"), &outcome);
    cells.check(&name, machine.state() == before, &machine.changes(&before));
    let twice = machine.setup(&[tool, "--undo"]);
    cells.check(&name, twice.status == 0 && machine.state() == before, &twice);
}

fn folder_cell(cells: &mut Cells, tool: &'static str, file: &str, folder: &[u8], is_refused: bool) {
    let name = format!("folder {:?}", String::from_utf8_lossy(folder));
    let machine = Machine::new(folder, false);
    let path = machine.root.join(file);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, had_before(tool)).unwrap();
    let before = machine.state();
    let outcome = machine.setup(&[tool, "--host", HOST]);
    if is_refused {
        cells.check(&name, outcome.status == 2 && outcome.messages.contains("the path "), &outcome);
        cells.check(&name, machine.state() == before, &"something changed");
        return;
    }
    cells.check(&name, outcome.status == 0, &outcome);
    ask(cells, &name, &machine, tool, HOST, "program");
    let again = machine.setup(&[tool, "--host", HOST]);
    cells.check(&name, again.output.contains("nothing to change"), &again);
    let outcome = machine.setup(&[tool, "--undo"]);
    cells.check(&name, outcome.status == 0, &outcome);
    cells.check(&name, machine.state() == before, &machine.changes(&before));
    let pwned = machine.state().into_iter().find(|(path, ..)| path.ends_with("pwned"));
    cells.check(&name, pwned.is_none(), &"a part of the path was run");
}

fn host_cell(cells: &mut Cells, tool: &'static str, file: &str, host: &str) {
    let name = format!("host {host}");
    let machine = Machine::new(b"home", true);
    let path = machine.root.join(file);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, had_before(tool)).unwrap();
    let before = machine.state();
    let outcome = machine.setup(&[tool, "--host", host, "--host", HOST]);
    cells.check(&name, outcome.status == 0, &outcome);
    for host in [host, HOST] {
        ask(cells, &name, &machine, tool, host, "");
    }
    // One host of two.
    let outcome = machine.setup(&[tool, "--undo", "--host", host]);
    cells.check(&name, outcome.status == 0, &outcome);
    ask(cells, &name, &machine, tool, HOST, "");
    let hosts = machine.client(&["my-credential-helper", "config", "get", "hosts"], "").output;
    cells.check(&name, hosts.trim() == HOST, &hosts);
    let outcome = machine.setup(&[tool, "--undo"]);
    cells.check(&name, outcome.status == 0 && !outcome.output.contains("note:"), &outcome);
    cells.check(&name, machine.state() == before, &machine.changes(&before));
}

/// The user, or the tool, changes the file after the setup.
fn later_cell(cells: &mut Cells, tool: &'static str, file: &str) {
    let later = match tool {
        "git" => "[credential \"https://acme.mycli.sh\"]\n\thelper = other\n",
        "cargo" | "uv" => "# other\n",
        "terraform" | "tofu" => "credentials \"other.example\" {\n  token = \"x\"\n}\n",
        "bazel" => "build --credential_helper=acme.mycli.sh=other\n",
        "go" => "GOPRIVATE=other.example\n",
        "pnpm" => "//other.example/:tokenHelper=/usr/bin/other\n",
        "pip" => "[install]\nother = yes\n",
        _ => return,
    };
    let machine = Machine::new(b"home", true);
    let path = machine.root.join(file);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    machine.setup(&[tool, "--host", HOST]);
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{text}{later}")).unwrap();
    let outcome = machine.setup(&[tool, "--undo"]);
    let now = std::fs::read_to_string(&path).unwrap_or_default();
    cells.check("helper after ours", outcome.status == 0, &outcome);
    cells.check("helper after ours", now.trim() == later.trim(), &now);
}

/// Runs the real client, where it is cheap, and checks that it runs this program for the host. With `folder`, the program
/// is replaced by one that leaves a file, for a client that would need a server.
fn ask(cells: &mut Cells, cell: &str, machine: &Machine, tool: &str, host: &str, folder: &str) {
    match tool {
        "git" => {
            let request = format!("protocol=https\nhost={host}\n\n");
            let outcome = machine.client(&["git", "credential", "fill"], &request);
            cells.check(cell, outcome.output.contains(TOKEN), &outcome);
        }
        "docker" | "podman" if has_rare_client("podman") && folder.is_empty() => {
            // The name of an image has no other form of a host.
            let host = if host.is_ascii() { host } else { "xn--bcher-kva.example" };
            let outcome = machine.client(&["podman", "login", "--get-login", host], "");
            cells.check(cell, outcome.status == 0, &outcome);
        }
        "cargo" if has_client("cargo") => {
            let list = machine.client(
                &[
                    "cargo",
                    "logout",
                    "--registry=x",
                    "--config=registries.x.index='sparse+https://acme.mycli.sh/'",
                ],
                "",
            );
            // cargo asks the last provider first, which is this program, and then one that does not exist.
            let is_other = list.messages.contains("provider `other` failed");
            cells.check(cell, list.status == 0 || is_other, &list);
        }
        "kubectl" => {
            let outcome = machine.client(
                &[
                    "kubectl",
                    "get",
                    "--raw=/",
                    "--server=https://acme.mycli.sh",
                    "--user=my-credential-helper",
                    "--request-timeout=1ms",
                ],
                "",
            );
            // The connection fails after the plugin has returned a token.
            cells.check(cell, !outcome.messages.contains("getting credentials"), &outcome);
        }
        "terraform" if has_client("terraform") => {
            let outcome = machine.client(&["terraform", "version"], "");
            cells.check(cell, outcome.status == 0 && outcome.messages.is_empty(), &outcome);
        }
        "pip" if has_client("pip") && host == HOST && cell.starts_with(char::is_uppercase) => {
            let outcome = machine.client(&["pip", "config", "get", "global.keyring-provider"], "");
            cells.check(cell, outcome.output.trim() == "subprocess", &outcome);
        }
        "uv" if has_client("uv") => {
            let outcome = machine.client(&["uv", "cache", "dir"], "");
            cells.check(cell, outcome.status == 0, &outcome);
        }
        // It starts node, and runs the helper without a request.
        "pnpm" if has_client("pnpm") && (!folder.is_empty() || matches!(cell, "Odd" | "Crlf")) => {
            let project = tempfile::tempdir().unwrap();
            std::fs::write(project.path().join("package.json"), "{}").unwrap();
            let project = format!("--dir={}", project.path().display());
            let outcome = machine.client(&["pnpm", "install", "--offline", &project], "");
            cells.check(cell, outcome.status == 0, &outcome);
        }
        "go" if has_client("go") && !folder.is_empty() => go_runs_the_program(cells, cell, machine),
        _ => {}
    }
}

/// go asks before it connects to a module mirror, which is a closed port here.
fn go_runs_the_program(cells: &mut Cells, cell: &str, machine: &Machine) {
    let real = machine.program.with_extension("real");
    std::fs::rename(&machine.program, &real).unwrap();
    std::fs::write(&machine.program, "#!/bin/sh\necho ran >>\"$HOME/ran\"\n").unwrap();
    std::fs::set_permissions(&machine.program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = machine.home.command("go");
    command.args(["list", "-m", "example.com/x@latest"]).env("GOTOOLCHAIN", "local");
    command
        .env("GOPROXY", "https://127.0.0.1:1")
        .env("GOSUMDB", "off")
        .env("GOFLAGS", "-modcacherw");
    command
        .env("GOCACHE", machine.root.join(".cache/go"))
        .env("GOPATH", machine.root.join(".cache/path"));
    let outcome = finish(spawn(command), b"");
    let ran = std::fs::remove_file(machine.root.join("ran"));
    cells.check(cell, ran.is_ok(), &outcome);
    std::fs::rename(&real, &machine.program).unwrap();
}

/// The name of a test is the name of the tool.
macro_rules! rows {
    ($($tool:ident)*) => { $(#[test] fn $tool() { every_cell(stringify!($tool)); })* };
}

rows!(git docker podman cargo kubectl terraform tofu bazel go pnpm pip uv);

#[test]
fn every_tool_has_a_row() {
    let home = Home::new();
    let outcome = home.run(&["setup", "none"]);
    let listed = outcome.messages.split("possible values: ").nth(1).unwrap();
    let listed = listed.split(']').next().unwrap();
    let rows: Vec<_> = TOOLS.iter().map(|(tool, ..)| *tool).collect();
    // `vault` only prints; `http::vault::people` tests it.
    let mut listed: Vec<_> = listed.split(", ").filter(|name| *name != "vault").collect();
    let mut sorted = rows.clone();
    sorted.sort_unstable();
    listed.sort_unstable();
    assert_eq!(listed, sorted);
}
