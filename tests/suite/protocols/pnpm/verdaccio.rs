//! Verdaccio, the real registry, which accepts only tokens of the account service. What asks the
//! service is a plugin of ours: Verdaccio's own logins issue tokens of their own.

use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use account_server::Server;
use serde_json::json;
use tempfile::TempDir;

use crate::support::has_client;
use crate::support::ports::free_address;

/// It starts with twenty folders of JavaScript, and a busy machine takes its time for them.
const PATIENCE: Duration = Duration::from_secs(60);

/// Stops when this is dropped.
pub(crate) struct Verdaccio {
    /// Host and port.
    pub(crate) address: String,
    process: Child,
    _directory: TempDir,
}

impl Verdaccio {
    /// An empty registry. `None` where it or one of the clients is not installed.
    pub(super) fn start(server: &Server, clients: &[&str]) -> Option<Self> {
        Self::behind(&format!("{}/v1/me", server.url()), clients)
    }

    /// One that asks this URL for the owner of a token.
    pub(crate) fn behind(url: &str, clients: &[&str]) -> Option<Self> {
        if !["verdaccio"].iter().chain(clients).all(|client| has_client(client)) {
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let configuration = json!({
            "storage": directory.path().join("storage"),
            "plugins": concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suite/protocols/pnpm"),
            "auth": { "account-service": { "url": url } },
            "uplinks": {},
            "packages": { "**": { "access": "$authenticated", "publish": "$authenticated" } },
            "web": { "enable": false },
            "log": { "type": "stdout", "level": "fatal" },
        });
        let file = directory.path().join("config.yaml");
        std::fs::write(&file, configuration.to_string()).unwrap();
        let address = free_address();
        let mut command = Command::new("verdaccio");
        command
            .arg("--config")
            .arg(&file)
            .args(["--listen", &address])
            .current_dir(directory.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut process = command.spawn().unwrap();
        let start = Instant::now();
        while TcpStream::connect(&address).is_err() {
            assert_eq!(process.try_wait().unwrap(), None, "verdaccio stays");
            assert!(start.elapsed() < PATIENCE, "verdaccio listens");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(Self { address, process, _directory: directory })
    }
}

impl Drop for Verdaccio {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
