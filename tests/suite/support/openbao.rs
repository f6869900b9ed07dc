//! OpenBao, a real server with Vault's API: `bao server -dev`, in memory.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::has_client;
use super::ports::free_address;

/// A running server; its root token is `root`.
pub(crate) struct OpenBao {
    pub(crate) url: String,
    /// The URL of a second listener, and the file with its certificate (PEM).
    pub(crate) tls: Option<(String, std::path::PathBuf)>,
    child: Child,
    home: tempfile::TempDir,
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
        Self::start_as(false)
    }

    /// The same, over TLS.
    pub(crate) fn start_with_tls() -> Option<Self> {
        Self::start_as(true)
    }

    fn start_as(is_tls: bool) -> Option<Self> {
        if !has_client("bao") {
            return None;
        }
        // It takes the port behind its own, too, where another one may listen already.
        let mut attempts = (0..5).map(|_| Self::run(is_tls));
        Some(attempts.find_map(|started| started).expect("OpenBao does not start"))
    }

    /// `None` if the server exits.
    fn run(is_tls: bool) -> Option<Self> {
        let (home, address) = (tempfile::tempdir().unwrap(), free_address());
        let mut command = Command::new("bao");
        command.args(["server", "-dev", "-dev-root-token-id=root", "-dev-no-store-token"]);
        command.arg(format!("-dev-listen-address={address}")).env("HOME", home.path());
        command.current_dir(home.path()).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let audit = json!({ "file_path": home.path().join("audit.log") });
        let mut settings =
            json!({ "audit": [{ "type": "file", "path": "file", "options": audit }] });
        let tls = is_tls.then(|| {
            let address = free_address();
            let names = vec!["127.0.0.1".to_owned()];
            let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
            let [certificate, key] = ["bao.crt", "bao.key"].map(|name| home.path().join(name));
            std::fs::write(&certificate, made.cert.pem()).unwrap();
            std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
            let listener =
                json!({ "address": address, "tls_cert_file": certificate, "tls_key_file": key });
            settings["listener"] = json!([{ "tcp": listener }]);
            (format!("https://{address}"), certificate)
        });
        let file = home.path().join("bao.json");
        std::fs::write(&file, settings.to_string()).unwrap();
        command.arg("-config").arg(file);
        let child = command.spawn().expect("bao starts");
        let mut server = Self { url: format!("http://{address}"), tls, child, home };
        let start = Instant::now();
        while ureq::get(format!("{}/v1/sys/health", server.url)).call().is_err() {
            if server.child.try_wait().expect("it is ours").is_some() {
                return None;
            }
            assert!(start.elapsed() < Duration::from_secs(60), "OpenBao does not start");
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(server)
    }

    /// The audit log.
    pub(crate) fn audit(&self) -> String {
        std::fs::read_to_string(self.home.path().join("audit.log")).expect("the audit log")
    }

    /// Operation and path of the requests in a part of the audit log, in their order.
    pub(crate) fn audited(log: &str) -> Vec<String> {
        let entries = log.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        entries
            .filter(|entry| entry["type"] == "request")
            .map(|entry| {
                let request = &entry["request"];
                format!("{} {}", text(&request["operation"]), text(&request["path"]))
            })
            .collect()
    }

    pub(crate) fn read(&self, token: &str, path: &str) -> Value {
        let request = ureq::get(format!("{}/v1/{path}", self.url)).header("X-Vault-Token", token);
        request.call().expect("an answer").body_mut().read_json().expect("JSON")
    }

    pub(crate) fn write(&self, path: &str, body: &Value) -> Value {
        let url = format!("{}/v1/{path}", self.url);
        let request = ureq::post(url).header("X-Vault-Token", "root");
        let mut answer = request.send_json(body).expect("an answer");
        answer.body_mut().read_json().unwrap_or_default()
    }

    /// Writes nothing to the path, and returns the token that unwraps the response once.
    pub(crate) fn wrap(&self, path: &str) -> String {
        let request = ureq::post(format!("{}/v1/{path}", self.url));
        let request = request.header("X-Vault-Token", "root").header("X-Vault-Wrap-TTL", "60s");
        let answer: Value =
            request.send_json(json!({})).expect("an answer").body_mut().read_json().unwrap();
        answer["wrap_info"]["token"].as_str().expect("a token").to_owned()
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
