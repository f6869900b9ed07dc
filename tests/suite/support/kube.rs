//! A real API server of Kubernetes, which checks ID tokens, with its store. No package has one: `MY_TEST_KUBE_APISERVER`
//! and `MY_TEST_ETCD` name the programs.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::oidc::Oidc;
use super::ports::free_address;
use super::{Home, Outcome, has_client};

const TIMEOUT: Duration = Duration::from_secs(90);

/// The server, and the service that it trusts: an ID token for the client `helper` is that of the user `oidc:SUBJECT`.
pub(crate) struct Kube {
    /// `127.0.0.1:4711`
    pub(crate) address: String,
    /// The certificate of the server and of the service (PEM).
    pub(crate) certificate: PathBuf,
    pub(crate) service: Oidc,
    processes: Vec<Child>,
    /// kubectl as an administrator.
    admin: Home,
}

impl Drop for Kube {
    fn drop(&mut self) {
        for process in &mut self.processes {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

impl Kube {
    /// `None`, with a message, if a variable is not set or a client is not installed.
    pub(crate) fn start() -> Option<Self> {
        let named = ["MY_TEST_KUBE_APISERVER", "MY_TEST_ETCD"].map(std::env::var_os);
        let [Some(server), Some(store)] = named else {
            let message = "SKIPPED: a test needs MY_TEST_KUBE_APISERVER and MY_TEST_ETCD";
            let _ = writeln!(std::io::stderr(), "{message}, which name the programs");
            return None;
        };
        if !has_client("kubectl") {
            return None;
        }
        let admin = Home::new();
        let names = vec!["127.0.0.1".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
        let certificate = admin.write("server.crt", &made.cert.pem());
        let key = admin.write("server.key", &made.signing_key.serialize_pem());
        let service = Oidc::start_with_tls(&certificate, &key)?;

        let [clients, address] = [(); 2].map(|()| free_address());
        let (host, port) = address.split_once(':').expect("a port");
        let peers = next_port(&clients);
        let (clients, peers) = (format!("http://{clients}"), format!("http://{peers}"));
        let mut etcd = Command::new(store);
        etcd.arg("--data-dir").arg(admin.path().join("etcd"));
        etcd.args(["--listen-client-urls", &clients, "--advertise-client-urls", &clients]);
        etcd.args(["--listen-peer-urls", &peers, "--initial-advertise-peer-urls", &peers]);
        etcd.args(["--initial-cluster", &format!("default={peers}")]);

        let tokens = admin.write("tokens.csv", "of-the-admin,admin,1,\"system:masters\"\n");
        let mut api = Command::new(server);
        let files: [(&str, &Path); 6] = [
            ("--tls-cert-file", &certificate),
            ("--tls-private-key-file", &key),
            ("--service-account-key-file", &certificate),
            ("--service-account-signing-key-file", &key),
            ("--token-auth-file", &tokens),
            ("--oidc-ca-file", &certificate),
        ];
        for (option, file) in files {
            api.arg(option).arg(file);
        }
        api.arg("--cert-dir").arg(admin.path().join("made"));
        api.args(["--etcd-servers", &clients, "--bind-address", host, "--secure-port", port]);
        api.args(["--authorization-mode=RBAC", "--service-cluster-ip-range=10.0.0.0/24"]);
        api.args(["--service-account-issuer=https://kubernetes.default.svc"]);
        api.args(["--oidc-issuer-url", &service.issuer, "--oidc-client-id=helper"]);
        api.args(["--oidc-username-claim=sub", "--oidc-username-prefix=oidc:"]);

        let processes = [etcd, api].map(|mut command| {
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            command.current_dir(admin.path()).spawn().expect("it starts")
        });
        let kube = Self { address, certificate, service, processes: processes.into(), admin };
        kube.admin.write(".kube/config", &kube.kubeconfig("{ token: of-the-admin }"));
        wait("the API server", || kube.as_admin(&["get", "--raw", "/readyz"]).status == 0);
        let role = ["clusterrole", "reader", "--verb=get,list", "--resource=namespaces"];
        let binding = ["clusterrolebinding", "ada", "--clusterrole=reader", "--user=oidc:ada"];
        for object in [role, binding] {
            let outcome = kube.as_admin(&[&["create"], &object[..]].concat());
            assert_eq!(outcome.status, 0, "{outcome:?}");
        }
        Some(kube)
    }

    /// A kubeconfig for the server, with this user.
    fn kubeconfig(&self, user: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: acme\n\
             clusters: [{{ name: acme, cluster: {{ server: \"https://{}\", certificate-authority: \"{}\" }} }}]\n\
             contexts: [{{ name: acme, context: {{ cluster: acme, user: acme }} }}]\n\
             users: [{{ name: acme, user: {user} }}]\n",
            self.address,
            self.certificate.display()
        )
    }

    /// Runs kubectl as an administrator.
    pub(crate) fn as_admin(&self, arguments: &[&str]) -> Outcome {
        self.admin.run_client(&[&["kubectl"], arguments].concat())
    }

    /// A home with the service as its default provider, and a context whose user `setup` has not written yet.
    pub(crate) fn home(&self, more: &str) -> Home {
        let mut home = self.service.home(more);
        let configuration = home.read(".config/my-credential-helper/config.toml").expect("a file");
        home.configure(&format!("ca_file = '{}'\n{configuration}", self.certificate.display()));
        let text = self.kubeconfig("{}").replace("user: acme }", "user: my-credential-helper }");
        home.write(".kube/config", &text);
        home.link("my-credential-helper");
        home
    }
}

fn next_port(address: &str) -> String {
    let (host, port) = address.split_once(':').expect("a port");
    let port: u16 = port.parse().expect("a number");
    format!("{host}:{}", port + 1)
}

/// Waits until `is_done`.
pub(crate) fn wait(what: &str, is_done: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_done() {
        assert!(start.elapsed() < TIMEOUT, "{what}: not within {TIMEOUT:?}");
        std::thread::sleep(Duration::from_millis(200));
    }
}
