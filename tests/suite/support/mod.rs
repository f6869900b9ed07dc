//! The support of the tests: a temporary home, the real binary, the account service, and the installed clients.

pub(crate) mod bao_cluster;
pub(crate) mod browser;
mod chromium;
pub(crate) mod disk;
pub(crate) mod gate;
pub(crate) mod http;
pub(crate) mod job;
pub(crate) mod kube;
pub(crate) mod oidc;
pub(crate) mod openbao;
pub(crate) mod platform;
pub(crate) mod ports;
pub(crate) mod protected;
pub(crate) mod scripted;
pub(crate) mod secret_service;
pub(crate) mod seed;
pub(crate) mod services;
pub(crate) mod strace;
pub(crate) mod stranger;
pub(crate) mod terminal;
pub(crate) mod tls;
pub(crate) mod zip;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime};

use account_server::{Mail, Server, Session, Settings};
use serde_json::{Value, json};

use platform::{PLATFORM, Platform};
use secret_service::SecretService;

/// The program under test.
pub(crate) const HELPER: &str = env!("CARGO_BIN_EXE_my-credential-helper");

/// A service without a rate limit whose tokens are all different.
pub(crate) fn service() -> Server {
    service_with(|_| {})
}

/// An account service, and a home with a keyring. `None` without a keyring.
pub(crate) fn desk() -> Option<(Server, SecretService, Home)> {
    let keyring = SecretService::start()?;
    let server = service();
    let mut home = Home::at(&server);
    home.use_keyring(&keyring);
    Some((server, keyring, home))
}

/// As [`service`], with other settings.
pub(crate) fn service_with(change: impl FnOnce(&mut Settings)) -> Server {
    let mut settings =
        Settings { for_tests: true, rate_limit: false, jti: true, ..Settings::default() };
    change(&mut settings);
    Server::start(settings).expect("the account service starts on a free port")
}

/// The directory of all homes: in memory where that can do all that a disk can, since each save of the helper waits 10 ms
/// for a disk.
static HOMES: LazyLock<PathBuf> = LazyLock::new(|| {
    use rustix::fs::{StatVfsMountFlags, statvfs};
    const MIN_SIZE: u64 = 1 << 30;
    let can_all = |memory: &PathBuf| {
        let has_space = statvfs(memory).is_ok_and(|found| {
            found.f_bavail * found.f_frsize > MIN_SIZE
                && !found.f_flag.contains(StatVfsMountFlags::NOEXEC)
        });
        // tmpfs has immutable files since Linux 6.6. Only root can make them.
        has_space && (!rustix::process::geteuid().is_root() || protected::can_protect_in(memory))
    };
    let memory = Path::new("/dev/shm").canonicalize().ok();
    memory.filter(can_all).unwrap_or_else(std::env::temp_dir)
});

/// A temporary home directory, and the only variables that the helper is started with.
pub(crate) struct Home {
    directory: tempfile::TempDir,
    variables: BTreeMap<OsString, OsString>,
}

impl Home {
    /// An empty home, without a session bus.
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir_in(&*HOMES).expect("a temporary directory");
        let path = std::env::var_os("PATH").unwrap_or_default();
        // wine derives the access list of a new file from its directory.
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(directory.path(), mode).expect("it is ours");
        let mut home = Self { variables: BTreeMap::new(), directory };
        home.set("PATH", path);
        for (name, value) in PLATFORM.variables(home.directory.path()) {
            home.set(name, value);
        }
        home
    }

    /// A home whose `config.json` points at this service.
    pub(crate) fn at(server: &Server) -> Self {
        let home = Self::new();
        home.write(".my/config.json", &json!({ "api_url": server.url() }).to_string());
        home
    }

    /// A home that is logged in, with a fresh token.
    pub(crate) fn logged_in(server: &Server) -> (Self, Session) {
        let home = Self::at(server);
        let session = server.session("me@acme.dev").expect("a session");
        home.write_session(&session, Duration::from_secs(900), Duration::ZERO);
        (home, session)
    }

    /// A home that is logged in, with an access token that has expired by this machine's clock.
    pub(crate) fn with_stale_session(server: &Server) -> (Self, Session) {
        let home = Self::at(server);
        let session = server.session("me@acme.dev").expect("a session");
        home.write_session(&session, Duration::ZERO, Duration::from_secs(3600));
        (home, session)
    }

    /// Writes `credentials.json` as the `my` command line does: a token with the remaining lifetime `left`, received `age` ago.
    pub(crate) fn write_session(&self, session: &Session, left: Duration, age: Duration) {
        self.write(".my/credentials.json", &session_json(session, left, age));
    }

    /// The directory.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Sets a variable for every program that is started from here.
    pub(crate) fn set(&mut self, name: &str, value: impl Into<OsString>) {
        self.variables.insert(name.into(), value.into());
    }

    /// Removes a variable for every program that is started from here.
    pub(crate) fn unset(&mut self, name: &str) {
        self.variables.remove(OsStr::new(name));
    }

    /// Writes a file with mode 0600, in directories with mode 0700.
    pub(crate) fn write(&self, relative: &str, contents: &str) -> PathBuf {
        use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
        let is_configuration = relative == Platform::Host.configuration();
        let relative = if is_configuration { PLATFORM.configuration() } else { relative };
        let path = self.path().join(relative);
        let directory = path.parent().expect("a file in the home");
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .expect("the directory");
        let mut options = std::fs::OpenOptions::new();
        let mut file = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)
            .expect("the file");
        file.write_all(contents.as_bytes()).expect("the contents");
        path
    }

    /// The text of a file, if the file exists.
    pub(crate) fn read(&self, relative: &str) -> Option<String> {
        std::fs::read(self.path().join(relative))
            .ok()
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Whether a file of a URL credential contains this text.
    pub(crate) fn login_files_hold(&self, text: &str) -> bool {
        let entries = |folder: &Path| {
            std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path())
        };
        let files: Vec<_> =
            entries(&self.path().join(".my/logins")).flat_map(|host| entries(&host)).collect();
        files
            .iter()
            .any(|file| std::fs::read_to_string(file).is_ok_and(|found| found.contains(text)))
    }

    /// The session file as JSON.
    pub(crate) fn session(&self) -> Option<Value> {
        serde_json::from_str(&self.read(".my/credentials.json")?).ok()
    }

    /// Every file below the home with its contents, to see that nothing changed.
    pub(crate) fn snapshot(&self) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
        let mut files = BTreeMap::new();
        let mut folders = vec![self.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    files.insert(path.clone(), None);
                    folders.push(path);
                } else if entry.file_type().is_ok_and(|kind| kind.is_file()) {
                    let contents = std::fs::read(&path).unwrap_or_default();
                    files.insert(path, Some(contents));
                } else {
                    // A link is what it points at; a reader of a fifo would block.
                    let link = std::fs::read_link(&path).unwrap_or_default();
                    files.insert(path, Some(link.into_os_string().into_encoded_bytes()));
                }
            }
        }
        files
    }

    /// A program with this home's variables and no others.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let is_own = program.as_ref() != HELPER || *PLATFORM == Platform::Host;
        assert!(is_own, "this test is for the program of this machine");
        let mut command = Command::new(program);
        command.env_clear().envs(&self.variables).current_dir(self.path());
        command
    }

    /// Runs a program of this home's to its end.
    pub(crate) fn run_client(&self, line: &[&str]) -> Outcome {
        let mut command = self.command(line[0]);
        command.args(&line[1..]);
        finish(spawn(command), b"")
    }

    /// Runs the helper with nothing on standard input.
    pub(crate) fn run(&self, arguments: &[&str]) -> Outcome {
        self.run_with(arguments, "")
    }

    /// Runs the helper with this on standard input.
    pub(crate) fn run_with(&self, arguments: &[&str], input: impl AsRef<[u8]>) -> Outcome {
        self.as_on_linux(finish(self.start(arguments), input.as_ref()))
    }

    /// Runs the helper with nothing on standard input; what it printed as it is.
    pub(crate) fn run_raw(&self, arguments: &[&str]) -> Outcome {
        finish(self.start(arguments), b"")
    }

    /// Runs the helper against the keyring of this service.
    pub(crate) fn use_keyring(&mut self, keyring: &SecretService) {
        self.set("DBUS_SESSION_BUS_ADDRESS", &keyring.bus_address);
    }

    /// Puts the helper on PATH under this name.
    pub(crate) fn link(&mut self, name: &str) -> PathBuf {
        let bin = self.path().join("bin");
        std::fs::create_dir_all(&bin).expect("a directory");
        let link = bin.join(name);
        std::os::unix::fs::symlink(HELPER, &link).expect("a link");
        self.put_on_path(&bin);
        link
    }

    /// Puts a directory before the others on PATH.
    pub(crate) fn put_on_path(&mut self, directory: &Path) {
        let path = self.variables.get(OsStr::new("PATH")).cloned().unwrap_or_default();
        let path = [directory.to_owned()].into_iter().chain(std::env::split_paths(&path));
        self.set("PATH", std::env::join_paths(path).expect("a PATH"));
    }

    /// Leaves these tools on PATH, as far as they are installed, and no others: `doctor` and `setup` run every tool that
    /// they find.
    pub(crate) fn only_tools(&mut self, names: &[&str]) {
        let tools = self.path().join("tools");
        std::fs::create_dir_all(&tools).expect("a directory");
        // Scripts of tools and of tests need them.
        for name in names.iter().chain(&["sh", "env", "mkdir", "node"]) {
            if let Some(found) = find(name) {
                std::os::unix::fs::symlink(found, tools.join(name)).expect("a link");
            }
        }
        self.set("PATH", tools);
    }

    /// Runs `setup` of a tool for this host, as after the installation.
    pub(crate) fn set_up(&mut self, tool: &str, host: &str) -> Outcome {
        if !self.path().join("bin/my-credential-helper").exists() {
            self.link("my-credential-helper");
        }
        let outcome = self.run(&["setup", "--yes", tool, "--host", host]);
        assert_eq!(outcome.status, 0, "{outcome:?}");
        outcome
    }

    /// Says which hosts the provider's token may go to.
    pub(crate) fn set_hosts(&self, hosts: &[&str]) {
        let text = format!("[providers.mycli]\nhosts = {hosts:?}\n");
        self.configure(&text);
    }

    /// Writes `config.toml`.
    pub(crate) fn configure(&self, text: &str) {
        self.write(Platform::Host.configuration(), text);
    }

    /// The helper under this name.
    pub(crate) fn helper(&self, name: &str) -> Command {
        let mut command = PLATFORM.helper(name);
        command.env_clear().envs(&self.variables).current_dir(self.path());
        command
    }

    /// What the program under test printed, as the program of this machine would print it: with the paths of Linux, and
    /// with the reason for which there is no keyring here.
    pub(crate) fn as_on_linux(&self, outcome: Outcome) -> Outcome {
        if !platform::is_windows() {
            return outcome;
        }
        let is_off = self.variables.get(OsStr::new("MY_NO_KEYRING"))
            == Some(&OsString::from(platform::FOR_A_TEST));
        let plain = |text: &str| {
            let text = platform::linux_paths(self.path(), text);
            let reason = "turned off by MY_NO_KEYRING";
            if is_off { text.replace(reason, "no session bus") } else { text }
        };
        Outcome { output: plain(&outcome.output), messages: plain(&outcome.messages), ..outcome }
    }

    /// Starts the helper, to be waited for with [`finish`].
    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        let mut command = self.helper("my-credential-helper");
        command.args(arguments);
        spawn(command)
    }

    /// Logs in with the six digits of the mail, in two steps as without a terminal.
    pub(crate) fn log_in(&self, server: &Server, email: &str, more: &[&str]) -> Outcome {
        let step = |words: &[&str]| self.run(&[&["login"], words, more].concat());
        let started = step(&["--email", email, "--no-wait"]);
        assert_eq!(started.status, 0, "{started:?}");
        step(&["--code", &mail_to(server, email).code])
    }

    /// The token that `get` prints.
    pub(crate) fn token(&self) -> String {
        let outcome = self.run(&["get", "--format", "raw"]);
        assert_eq!(outcome.status, 0, "{outcome:?}");
        outcome.output.trim_end().to_owned()
    }
}

/// Waits for a mail to this address, and returns the newest one.
pub(crate) fn mail_to(server: &Server, email: &str) -> Mail {
    let start = Instant::now();
    loop {
        if let Some(mail) = server.inbox().into_iter().find(|mail| mail.to == email) {
            return mail;
        }
        assert!(start.elapsed() < Duration::from_secs(9), "no mail to {email}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// `credentials.json` as the `my` command line writes it.
pub(crate) fn session_json(session: &Session, left: Duration, age: Duration) -> String {
    let now = SystemTime::now();
    json!({
        "access_token": session.access_token,
        "refresh_token": session.refresh_token,
        "expires_at": rfc3339(now + left),
        "logged_in_at": rfc3339(now - age),
        "last_refreshed_at": rfc3339(now - age),
    })
    .to_string()
}

/// A time as Go writes it.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    my_credential_helper::model::Timestamp::from(time).to_string()
}

/// The output and the exit status of a program.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) output: String,
    pub(crate) messages: String,
    pub(crate) status: i32,
}

impl Outcome {
    /// Standard output as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.output).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Starts a program with pipes as its three standard streams.
pub(crate) fn spawn(mut command: Command) -> Child {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    started(&mut command)
}

/// Starts a program. One that the test has just written is busy while a process that another test is starting has the
/// descriptor of the write.
pub(crate) fn started(command: &mut Command) -> Child {
    for _ in 0..100 {
        match command.spawn() {
            Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => {
                std::thread::sleep(Duration::from_millis(20));
            }
            result => return result.unwrap_or_else(|error| panic!("{command:?}: {error}")),
        }
    }
    panic!("{command:?}: the file stays busy");
}

/// A process that has read a stale session, and waits for the lock or for the refresh.
pub(crate) struct Waiting {
    child: Child,
    log: BufReader<ChildStderr>,
}

impl Waiting {
    /// Starts `get`. Its log says when it waits.
    pub(crate) fn start(home: &Home) -> Self {
        let mut command = home.helper("my-credential-helper");
        command.args(["get", "--format", "raw"]).env("MY_LOG", "debug");
        let mut child = spawn(command);
        let mut log = BufReader::new(child.stderr.take().expect("a pipe"));
        let mut line = String::new();
        while !line.contains("refreshing it") {
            line.clear();
            assert!(log.read_line(&mut line).expect("a line") > 0, "it refreshes");
        }
        Self { child, log }
    }

    /// The exit status, and what it has logged since.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        let mut messages = String::new();
        self.log.read_to_string(&mut messages).expect("a log");
        (self.child.wait().expect("an exit").code(), messages)
    }
}

/// Gives the program the clock that `FAKETIME` or `FAKETIME_TIMESTAMP_FILE` names; its monotonic clock stays right. Not by
/// the program `faketime`, which waits for it and fails if a killed process of the same number left a semaphore.
pub(crate) fn fake_clock(command: &mut Command) {
    let folders = std::fs::read_dir("/usr/lib").expect("a directory");
    let mut libraries =
        folders.map(|folder| folder.expect("an entry").path().join("faketime/libfaketime.so.1"));
    let library = libraries.find(|path| path.exists()).expect("the library of faketime");
    command.env("LD_PRELOAD", library).env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
}

/// Writes the input, and waits for the exit.
pub(crate) fn finish(mut child: Child, input: &[u8]) -> Outcome {
    let mut stdin = child.stdin.take().expect("a pipe");
    // A program that has read enough closes the pipe.
    let _ = stdin.write_all(input);
    drop(stdin);
    let output = child.wait_with_output().expect("the program ends");
    Outcome {
        output: String::from_utf8_lossy(&output.stdout).into_owned(),
        messages: String::from_utf8_lossy(&output.stderr).into_owned(),
        status: output.status.code().unwrap_or(-1),
    }
}

/// What each of these prints: all the same, without a message.
pub(crate) fn same_output(children: Vec<Child>) -> String {
    let mut outputs: Vec<_> = children
        .into_iter()
        .map(|child| {
            let outcome = finish(child, b"");
            assert_eq!((outcome.status, &*outcome.messages), (0, ""), "each is served");
            outcome.output
        })
        .collect();
    outputs.dedup();
    assert_eq!(outputs.len(), 1, "all of them the same");
    outputs.remove(0)
}

/// Runs the test of an integration, which configures the client as its README describes.
pub(crate) fn check_integration(mut home: Home, name: &str) {
    home.set("HELPER", HELPER);
    let script = format!("{}/integrations/{name}/test.sh", env!("CARGO_MANIFEST_DIR"));
    let outcome = finish(spawn(home.command(&script)), b"");
    let result = (outcome.status, &*outcome.output);
    assert_eq!(result, (0, "accepted\nrefused\n"), "{}", outcome.messages);
}

/// Whether a client is installed. If not, a message reports the skipped test; with `MY_TEST_REQUIRE_CLIENTS=1`, the test
/// fails.
pub(crate) fn has_client(name: &str) -> bool {
    let found = has_rare_client(name);
    let required = std::env::var_os("MY_TEST_REQUIRE_CLIENTS").is_some();
    assert!(found || !required, "{name} is not installed, and clients are required");
    found
}

/// As [`has_client`], for a client without a package: its test is always skipped, and never fails.
pub(crate) fn has_rare_client(name: &str) -> bool {
    let found = find(name).is_some();
    if !found {
        // Past the capture of the test runner.
        let _ = writeln!(std::io::stderr(), "SKIPPED: a test needs {name}, which is not installed");
    }
    found
}

/// The first program of that name on PATH.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut found = std::env::split_paths(&path).map(|directory| directory.join(name));
    found.find(|path| path.is_file())
}
