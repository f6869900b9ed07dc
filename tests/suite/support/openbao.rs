//! OpenBao, a real server with Vault's API: `bao server -dev`, in memory.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::has_client;
use super::ports::free_address;

/// A running server; its root token is `root`.
pub(crate) struct OpenBao {
    pub(crate) url: String,
    child: Child,
    _home: tempfile::TempDir,
}

impl Drop for OpenBao {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl OpenBao {
    /// `None`, with a message, if it is not installed.
    pub(crate) fn start() -> Option<Self> {
        if !has_client("bao") {
            return None;
        }
        let (home, address) = (tempfile::tempdir().unwrap(), free_address());
        let mut command = Command::new("bao");
        command.args(["server", "-dev", "-dev-root-token-id=root", "-dev-no-store-token"]);
        command.arg(format!("-dev-listen-address={address}")).env("HOME", home.path());
        command.current_dir(home.path()).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("bao starts");
        let server = Self { url: format!("http://{address}"), child, _home: home };
        let start = Instant::now();
        while ureq::get(format!("{}/v1/sys/health", server.url)).call().is_err() {
            assert!(start.elapsed() < Duration::from_secs(60), "OpenBao does not start");
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(server)
    }

    pub(crate) fn read(&self, token: &str, path: &str) -> Value {
        let request = ureq::get(format!("{}/v1/{path}", self.url)).header("X-Vault-Token", token);
        request.call().expect("an answer").body_mut().read_json().expect("JSON")
    }

    pub(crate) fn write(&self, path: &str, body: &Value) -> Value {
        let request = ureq::post(format!("{}/v1/{path}", self.url)).header("X-Vault-Token", "root");
        let mut answer = request.send_json(body).expect("an answer");
        answer.body_mut().read_json().unwrap_or_default()
    }

    /// Issues identity tokens (OpenID Connect) to a machine, and returns how it gets one for this audience.
    pub(crate) fn issue_identities(&self, audience: &str) -> impl Fn() -> String + '_ {
        self.write("sys/auth/userpass", &json!({ "type": "userpass" }));
        let policy = "path \"identity/oidc/token/ci\" { capabilities = [\"read\"] }";
        self.write("sys/policies/acl/machine", &json!({ "policy": policy }));
        let user = json!({ "password": "hunter2", "token_policies": ["machine"] });
        self.write("auth/userpass/users/ci", &user);
        self.write("identity/oidc/key/ci", &json!({ "allowed_client_ids": "*" }));
        self.write(
            "identity/oidc/role/ci",
            &json!({ "key": "ci", "client_id": audience, "ttl": "1h" }),
        );
        let login = self.write("auth/userpass/login/ci", &json!({ "password": "hunter2" }));
        let machine = login["auth"]["client_token"].as_str().expect("a token").to_owned();
        move || {
            let issued = self.read(&machine, "identity/oidc/token/ci");
            issued["data"]["token"].as_str().expect("a token").to_owned()
        }
    }

    /// A role for these identities, whose tokens may read one secret. `below` is empty, or a namespace and a slash.
    pub(crate) fn accept_identities(&self, below: &str, audience: &str) {
        let write = |path: &str, body: &Value| self.write(&format!("{below}{path}"), body);
        write("sys/auth/ci", &json!({ "type": "jwt" }));
        let issuer = format!("{}/v1/identity/oidc", self.url);
        write("auth/ci/config", &json!({ "oidc_discovery_url": issuer }));
        let policy = "path \"secret/data/deploy\" { capabilities = [\"read\"] }";
        write("sys/policies/acl/deploy", &json!({ "policy": policy }));
        let role = json!({
            "role_type": "jwt", "bound_audiences": [audience], "user_claim": "sub",
            "token_policies": ["deploy"], "token_ttl": "10m",
        });
        write("auth/ci/role/deploy", &role);
        let other = json!({ "role_type": "jwt", "bound_audiences": [audience], "user_claim": "sub", "bound_subject": "another" });
        write("auth/ci/role/other", &other);
        write("secret/data/deploy", &json!({ "data": { "key": "found" } }));
    }
}
