//! A real registry, with an image in it.

use std::fmt::Write as _;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use account_server::Server;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::support::has_client;
use crate::support::ports::free_address;

/// `docker-registry`, and perhaps nginx before it; they stop when this is dropped.
pub(crate) struct Registry {
    processes: Vec<Child>,
    pub(crate) address: String,
    directory: TempDir,
}

impl Registry {
    /// One that knows these users. `None` where one of the programs is not installed.
    pub(super) fn of_users(users: &[(&str, &str)], clients: &[&str]) -> Option<Self> {
        if !["docker-registry", "htpasswd", "skopeo"]
            .iter()
            .chain(clients)
            .all(|client| has_client(client))
        {
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("htpasswd");
        let mut passwords = String::new();
        for (user, password) in users {
            let output = Command::new("htpasswd").args(["-Bbn", user, password]).output().unwrap();
            passwords += &String::from_utf8_lossy(&output.stdout);
        }
        std::fs::write(&path, passwords).unwrap();
        let auth = json!({ "htpasswd": { "realm": "registry", "path": path } });
        let mut registry = Self { processes: Vec::new(), address: String::new(), directory };
        registry.address = registry.serve(&auth);
        registry.push_an_image(Some(users[0]));
        Some(registry)
    }

    /// One that asks the account service whether a password is a token of its own: nginx does, with the request that
    /// git would make. (A session's token is too long for `htpasswd`.)
    pub(crate) fn of_service(server: &Server, clients: &[&str]) -> Option<Self> {
        let repository = "git/basic/hello.git/info/refs?service=git-upload-pack";
        Self::behind(&format!("{}/{repository}", server.url()), clients)
    }

    /// One before which nginx asks this URL whether it accepts the request.
    pub(crate) fn behind(check: &str, clients: &[&str]) -> Option<Self> {
        if !["docker-registry", "nginx", "skopeo"]
            .iter()
            .chain(clients)
            .all(|client| has_client(client))
        {
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let mut registry = Self { processes: Vec::new(), address: String::new(), directory };
        let open = registry.serve(&json!({}));
        registry.address.clone_from(&open);
        registry.push_an_image(None);
        registry.address = free_address();
        let path = registry.directory.path().join("nginx");
        std::fs::create_dir(&path).unwrap();
        let mut configuration =
            format!("daemon off; pid {0}/pid; error_log {0}/log;", path.display());
        configuration += "events {} http { access_log off; client_max_body_size 0;";
        for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
            write!(configuration, "{kind}_temp_path {}/{kind};", path.display()).unwrap();
        }
        write!(
            configuration,
            "server {{ listen {}; add_header Docker-Distribution-Api-Version registry/2.0 always;
             location / {{ auth_request /account; proxy_pass http://{open};
             proxy_set_header Host $http_host; proxy_set_header Authorization ''; }}
             location = /account {{ internal; proxy_pass_request_body off; proxy_set_header Content-Length '';
             proxy_method GET; proxy_pass {check}; }} }} }}",
            registry.address,
        )
        .unwrap();
        std::fs::write(path.join("conf"), configuration).unwrap();
        let mut command = Command::new("nginx");
        command.arg("-e").arg(path.join("log")).arg("-c").arg(path.join("conf"));
        registry.run(command, &registry.address.clone());
        Some(registry)
    }

    /// Starts a registry; where it listens.
    fn serve(&mut self, auth: &Value) -> String {
        let path = self.directory.path();
        let address = free_address();
        let configuration = json!({
            "version": 0.1,
            "log": { "level": "error" },
            "storage": { "filesystem": { "rootdirectory": path.join("data") } },
            "http": { "addr": address, "secret": "of no interest" },
            "auth": auth,
        });
        // JSON is YAML.
        std::fs::write(path.join("config.yml"), configuration.to_string()).unwrap();
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(path.join("config.yml"));
        self.run(command, &address);
        address
    }

    fn run(&mut self, mut command: Command, address: &str) {
        let mut process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(address).is_err() {
            assert_eq!(process.try_wait().unwrap(), None, "{command:?} runs");
            assert!(Instant::now() < deadline, "{command:?} listens");
            std::thread::sleep(Duration::from_millis(20));
        }
        self.processes.push(process);
    }

    /// `hello:1`, with one empty layer.
    fn push_an_image(&self, user: Option<(&str, &str)>) {
        let layout = self.directory.path().join("layout");
        write_image(&layout);
        let output = Command::new("skopeo")
            .args(["copy", "-q", "--insecure-policy", "--dest-tls-verify=false", "--format=v2s2"])
            .args(user.map(|(user, password)| format!("--dest-creds={user}:{password}")))
            .arg(format!("oci:{}:1", layout.display()))
            .arg(format!("docker://{}/hello:1", self.address))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    pub(crate) fn image(&self) -> String {
        format!("{}/hello:1", self.address)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        for process in &mut self.processes {
            let _ = Command::new("kill").arg(process.id().to_string()).status();
            let _ = process.wait();
        }
    }
}

/// An OCI layout with an image that has one empty layer.
fn write_image(layout: &Path) {
    let blobs = layout.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).unwrap();
    let blob = |kind: &str, bytes: &[u8]| {
        let mut hex = String::new();
        for byte in Sha256::digest(bytes) {
            write!(hex, "{byte:02x}").unwrap();
        }
        std::fs::write(blobs.join(&hex), bytes).unwrap();
        json!({ "mediaType": kind, "digest": format!("sha256:{hex}"), "size": bytes.len() })
    };
    // Two empty blocks are the end of a tar file.
    let layer = blob("application/vnd.oci.image.layer.v1.tar", &[0; 1024]);
    let config = json!({
        "architecture": "amd64",
        "os": "linux",
        "config": {},
        "rootfs": { "type": "layers", "diff_ids": [layer["digest"]] },
    });
    let config = blob("application/vnd.oci.image.config.v1+json", config.to_string().as_bytes());
    let manifest = json!({ "schemaVersion": 2, "config": config, "layers": [layer] });
    let mut manifest =
        blob("application/vnd.oci.image.manifest.v1+json", manifest.to_string().as_bytes());
    manifest["annotations"] = json!({ "org.opencontainers.image.ref.name": "1" });
    let index = json!({ "schemaVersion": 2, "manifests": [manifest] });
    std::fs::write(layout.join("index.json"), index.to_string()).unwrap();
    std::fs::write(layout.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
}
