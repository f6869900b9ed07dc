//! One login at a real OAuth 2 service, and every tool at its own server: git with git-lfs, containers, Cargo, pip, uv,
//! pnpm. Each server asks the service whether it accepts the token. `MY_TEST_PNPM` adds Verdaccio and pnpm, which take
//! several seconds.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::docker::registry::Registry;
use super::pnpm::verdaccio::Verdaccio;
use super::{cargo, python};
use crate::support::gate::{Gate, Request};
use crate::support::oidc::SESSION;
use crate::support::ports::free_address;
use crate::support::services::{Kind, RealService};
use crate::support::{Home, finish, has_client, spawn};

/// `git http-backend` and a store of large files, behind nginx.
struct Forge {
    address: String,
    processes: Vec<Child>,
    folder: tempfile::TempDir,
    _gate: Gate,
}

impl Drop for Forge {
    fn drop(&mut self) {
        for process in &mut self.processes {
            let _ = Command::new("kill").arg(process.id().to_string()).status();
            let _ = process.wait();
        }
    }
}

impl Forge {
    fn start(service: &RealService) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = free_address();
        let gate = Gate::start("Basic realm=\"forge\"", service.permits(), large_files(&address));
        let path = folder.path().display().to_string();
        let printed = Command::new("git").arg("--exec-path").output().unwrap().stdout;
        let exec_path = Path::new(std::str::from_utf8(&printed).unwrap().trim_end());
        let mut command = Command::new("git");
        command.args(["init", "-q", "--bare", "-b", "main", &format!("{path}/app.git")]);
        assert!(command.status().unwrap().success());
        let mut configuration =
            format!("daemon off; pid {path}/pid; error_log {path}/log; user root;");
        if !rustix::process::geteuid().is_root() {
            configuration = configuration.replace(" user root;", "");
        }
        configuration += "events {} http { access_log off; client_max_body_size 0;";
        for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
            write!(configuration, "{kind}_temp_path {path}/{kind};").unwrap();
        }
        write!(
            configuration,
            "server {{ listen {address};
             location / {{ auth_request /check; fastcgi_pass unix:{path}/cgi;
             fastcgi_param SCRIPT_FILENAME {backend}; fastcgi_param GIT_PROJECT_ROOT {path};
             fastcgi_param GIT_HTTP_EXPORT_ALL ''; fastcgi_param PATH_INFO $uri; fastcgi_param REMOTE_USER ada;
             fastcgi_param REQUEST_METHOD $request_method; fastcgi_param QUERY_STRING $query_string;
             fastcgi_param CONTENT_TYPE $content_type; fastcgi_param CONTENT_LENGTH $content_length;
             fastcgi_param HTTP_CONTENT_ENCODING $http_content_encoding; }}
             location /app.git/info/lfs/ {{ proxy_pass http://{gate}; }}
             location = /check {{ internal; proxy_pass_request_body off; proxy_set_header Content-Length '';
             proxy_method GET; proxy_pass http://{gate}/check; }} }} }}",
            backend = exec_path.join("git-http-backend").display(),
            gate = gate.address,
        )
        .unwrap();
        std::fs::write(folder.path().join("conf"), configuration).unwrap();
        let mut forge = Self { address, processes: Vec::new(), folder, _gate: gate };
        forge.run("fcgiwrap", &["-s".to_owned(), format!("unix:{path}/cgi")]);
        let file = |name: &str| format!("{path}/{name}");
        forge.run("nginx", &["-e".to_owned(), file("log"), "-c".to_owned(), file("conf")]);
        let start = Instant::now();
        while std::net::TcpStream::connect(&forge.address).is_err()
            || !Path::new(&file("cgi")).exists()
        {
            assert!(start.elapsed() < Duration::from_secs(20), "nginx listens");
            std::thread::sleep(Duration::from_millis(20));
        }
        forge
    }

    fn run(&mut self, program: &str, arguments: &[String]) {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.processes.push(command.spawn().unwrap_or_else(|error| panic!("{program}: {error}")));
    }
}

/// The API of git-lfs, whose clients see this address.
fn large_files(address: &str) -> Box<crate::support::gate::Answers> {
    let store = format!("http://{address}/app.git/info/lfs/store");
    let files = Mutex::new(BTreeMap::<String, Vec<u8>>::new());
    Box::new(move |request: &Request| {
        let path = request.path.strip_prefix("/app.git/info/lfs/").unwrap_or(&request.path);
        let mut files = files.lock().unwrap();
        match (&*request.method, path.split_once('/')) {
            ("GET", Some(("", "check"))) => Some(Vec::new()),
            ("POST", Some(("objects", "batch"))) => {
                let batch: Value = serde_json::from_slice(&request.body).ok()?;
                let operation = batch["operation"].as_str()?;
                let objects: Vec<_> = batch["objects"]
                    .as_array()?
                    .iter()
                    .map(|object| {
                        let href =
                            format!("{store}/{}", object["oid"].as_str().unwrap_or_default());
                        let mut object = object.clone();
                        object["actions"] = json!({ operation: { "href": href } });
                        object
                    })
                    .collect();
                Some(json!({ "transfer": "basic", "objects": objects }).to_string().into())
            }
            ("PUT", Some(("store", name))) => {
                files.insert(name.to_owned(), request.body.clone());
                Some(Vec::new())
            }
            ("GET", Some(("store", name))) => files.get(name).cloned(),
            _ => None,
        }
    })
}

/// The servers of the tools.
struct Servers {
    forge: Forge,
    crates: Gate,
    index: Gate,
    images: Registry,
    packages: Option<Verdaccio>,
}

impl Servers {
    /// `None`, with a message, if a program is not installed.
    fn start(service: &RealService) -> Option<Self> {
        let clients = ["git", "git-lfs", "nginx", "fcgiwrap"];
        if !clients.iter().all(|client| has_client(client)) {
            return None;
        }
        let answers = Box::new(|_: &Request| Some(Vec::new()));
        let check = Gate::start("Basic realm=\"registry\"", service.permits(), answers);
        let has_pnpm = std::env::var_os("MY_TEST_PNPM").is_some();
        Some(Self {
            forge: Forge::start(service),
            crates: cargo::registry(service.permits()),
            index: python::index(service.permits())?,
            images: Registry::behind(&format!("http://{}/", check.address), &[])?,
            packages: has_pnpm
                .then(|| Verdaccio::behind(service.userinfo(), &["pnpm12"]))
                .flatten(),
        })
    }

    fn repository(&self) -> String {
        format!("http://{}/app.git", self.forge.address)
    }

    fn image(&self, name: &str) -> String {
        format!("docker://{}/{name}", self.images.address)
    }

    /// Runs `setup` for each tool, which adds the hosts to those of the provider.
    fn set_up(&self, home: &mut Home) {
        home.set("GIT_CONFIG_NOSYSTEM", "1");
        home.set("GIT_TERMINAL_PROMPT", "0");
        home.set("REGISTRY_AUTH_FILE", home.path().join(".config/containers/auth.json"));
        cargo::configure(home, &self.crates);
        python::configure(home, &self.index);
        let hosts = [
            ("git", &self.forge.address),
            ("cargo", &self.crates.address),
            ("pip", &self.index.address),
            ("uv", &self.index.address),
            ("podman", &self.images.address),
        ];
        for (tool, host) in hosts {
            home.set_up(tool, &format!("http://{host}"));
        }
        if let Some(packages) = &self.packages {
            home.write(".npmrc", &format!("@my:registry=http://{}/\n", packages.address));
            home.set_up("pnpm", &packages.address);
            home.set("CI", "1");
            for (folder, name) in [("package", "@my/hello"), ("project", "project")] {
                let text = json!({ "name": name, "version": "1.0.0" }).to_string();
                home.write(&format!("{folder}/package.json"), &text);
            }
        }
        for line in [
            "lfs install --skip-repo",
            "config --global user.name ada",
            "config --global user.email ada@acme.dev",
        ] {
            succeed(home, "", &format!("git {line}"));
        }
    }

    fn publish(&self, home: &Home) {
        succeed(home, "", &format!("git clone -q {} work", self.repository()));
        home.write("work/large.bin", &"large ".repeat(1000));
        for line in ["lfs track *.bin", "add .", "commit -q -m one", "push -q origin HEAD:main"] {
            succeed(home, "work", &format!("git {line}"));
        }
        assert_eq!(cargo::run(home, "hello", &cargo::PUBLISH).status, 0);
        let copy = "skopeo copy --src-tls-verify=false --dest-tls-verify=false --insecure-policy";
        succeed(home, "", &format!("{copy} {} {}", self.image("hello:1"), self.image("copy:1")));
        if self.packages.is_some() {
            succeed(home, "package", "pnpm12 publish --no-git-checks");
        }
    }

    /// What each tool downloads: the folder and the command.
    fn downloads(&self) -> Vec<(&'static str, String)> {
        let mut lines = vec![
            ("", format!("git clone -q {} again", self.repository())),
            ("", "pip install -q --target pip hello".to_owned()),
            ("", "uv pip install --target uv hello".to_owned()),
            ("user", concat!(env!("CARGO"), " fetch").to_owned()),
            ("", format!("skopeo inspect --tls-verify=false {}", self.image("copy:1"))),
        ];
        if self.packages.is_some() {
            lines.push(("project", "pnpm12 add @my/hello".to_owned()));
        }
        lines
    }
}

fn start(home: &Home, folder: &str, line: &str) -> Child {
    let mut words = line.split(' ');
    let mut command = home.command(words.next().unwrap_or_default());
    command.args(words).current_dir(home.path().join(folder));
    spawn(command)
}

fn succeed(home: &Home, folder: &str, line: &str) {
    let outcome = finish(start(home, folder, line), b"");
    assert_eq!(outcome.status, 0, "{line}: {outcome:?}");
}

fn serve_every_tool(kind: Kind) {
    let Some(mut service) = RealService::start(kind, 900) else { return };
    let Some(servers) = Servers::start(&service) else { return };
    let mut home = service.logged_in();
    servers.set_up(&mut home);
    servers.publish(&home);
    assert_eq!(service.refreshes(), (0, 0));

    // All of them at once, with an expired token that the service rejects.
    let mut session: Value = serde_json::from_str(&home.read(SESSION).unwrap()).unwrap();
    for field in ["expires_at", "last_refreshed_at", "logged_in_at"] {
        session[field] = "2020-01-01T00:00:00Z".into();
    }
    session["access_token"] = "of-yesterday".into();
    home.write(SESSION, &session.to_string());
    let polls: Vec<_> = (0..16).map(|_| home.start(&["get", "--format", "raw"])).collect();
    let tools: Vec<_> = servers
        .downloads()
        .into_iter()
        .map(|(folder, line)| (start(&home, folder, &line), line))
        .collect();
    for child in polls {
        let outcome = finish(child, b"");
        assert_eq!((outcome.status, &*outcome.messages), (0, ""));
    }
    for (child, line) in tools {
        let outcome = finish(child, b"");
        assert_eq!(outcome.status, 0, "{line}: {outcome:?}");
    }
    assert_eq!(service.refreshes(), (1, 0), "one for all of them");
    assert_eq!(home.read("again/large.bin"), home.read("work/large.bin"), "not its pointer");
    let package =
        servers.packages.is_some().then_some("project/node_modules/@my/hello/package.json");
    for file in ["pip/hello.py", "uv/hello.py"].into_iter().chain(package) {
        assert!(home.read(file).is_some(), "{file}");
    }

    assert_eq!(home.run(&["logout"]).status, 0);
    let line = format!("git ls-remote {}", servers.repository());
    assert_ne!(finish(start(&home, "", &line), b"").status, 0, "nobody is logged in");
}

#[test]
fn one_login_at_glewlwyd_serves_every_tool() {
    serve_every_tool(Kind::Glewlwyd);
}

#[test]
fn one_login_at_django_serves_every_tool() {
    serve_every_tool(Kind::Django);
}
