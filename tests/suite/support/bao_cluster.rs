//! OpenBao as a cluster: real servers with integrated storage (raft), each on a loopback address of its own. A server can be
//! killed, started again, sealed and unsealed.

use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::has_client;
use super::ports::free_address;

/// Longer than an election takes.
const TIMEOUT: Duration = Duration::from_secs(90);

pub(crate) struct BaoCluster {
    pub(crate) nodes: Vec<Node>,
    pub(crate) root: String,
    key: String,
    _home: tempfile::TempDir,
}

/// Where a server runs.
pub(crate) struct Place {
    pub(crate) api: String,
    pub(crate) cluster: String,
    /// What begins its command line.
    pub(crate) prefix: Vec<String>,
}

pub(crate) struct Node {
    pub(crate) url: String,
    prefix: Vec<String>,
    configuration: std::path::PathBuf,
    child: Option<Child>,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Node {
    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    pub(crate) fn is_running(&self) -> bool {
        self.child.is_some()
    }

    /// The id of the process, to stop and to continue it.
    pub(crate) fn id(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    fn start(&mut self) {
        let line = [&self.prefix[..], &["bao".to_owned()]].concat();
        let mut command = Command::new(&line[0]);
        command
            .args(&line[1..])
            .args(["server", "-log-level=error", "-config"])
            .arg(&self.configuration);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.child = Some(command.spawn().expect("bao starts"));
    }

    /// The response and its status; `None` if there is none.
    pub(crate) fn send(&self, method: &str, path: &str, token: &str, body: &Value) -> (u16, Value) {
        send(&self.url, method, path, token, body).unwrap_or((0, Value::Null))
    }

    fn unseal(&self, key: &str) {
        wait(&format!("{} is unsealed", self.url), || {
            self.send("PUT", "sys/unseal", "", &json!({ "key": key }));
            let (_, status) = self.send("GET", "sys/seal-status", "", &Value::Null);
            status["sealed"] == false
        });
    }
}

fn send(url: &str, method: &str, path: &str, token: &str, body: &Value) -> Option<(u16, Value)> {
    let config = ureq::Agent::config_builder().http_status_as_error(false).max_redirects(0);
    let agent = config.timeout_global(Some(Duration::from_secs(60))).build().new_agent();
    let url = format!("{url}/v1/{path}");
    let mut response = match method {
        "GET" => agent.get(url).header("X-Vault-Token", token).call(),
        "PUT" => agent.put(url).header("X-Vault-Token", token).send_json(body),
        _ => agent.post(url).header("X-Vault-Token", token).send_json(body),
    }
    .ok()?;
    let status = response.status().as_u16();
    Some((status, response.body_mut().read_json().unwrap_or_default()))
}

/// Waits until it is true.
pub(crate) fn wait(what: &str, mut is_true: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_true() {
        assert!(start.elapsed() < TIMEOUT, "not after {TIMEOUT:?}: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Whether a cluster of several servers may start. Each test with one takes up to a minute, mostly of elections.
fn is_requested() -> bool {
    let variables = ["MY_TEST_CLUSTER", "MY_TEST_FLEET"];
    let is_set = std::env::vars_os().any(|(name, _)| {
        name.to_str().is_some_and(|name| variables.iter().any(|it| name.starts_with(it)))
    });
    if !is_set {
        // Past the capture of the test runner.
        let message = b"SKIPPED: a test needs three servers of OpenBao: set MY_TEST_CLUSTER=1\n";
        let _ = std::io::stderr().write_all(message);
    }
    is_set
}

impl BaoCluster {
    /// Starts a cluster with KV version 2 at `secret`; `None`, with a message, if it is not installed.
    pub(crate) fn start(size: u8, standby_reads: bool) -> Option<Self> {
        let address = |node: u8| free_address().replace("127.0.0.1", &format!("127.0.0.{node}"));
        let place = |node| Place { api: address(node), cluster: address(node), prefix: Vec::new() };
        Self::start_at(&(1..=size).map(place).collect::<Vec<_>>(), standby_reads)
    }

    /// The same, with a server at each place.
    pub(crate) fn start_at(places: &[Place], standby_reads: bool) -> Option<Self> {
        if !has_client("bao") || places.len() > 1 && !is_requested() {
            return None;
        }
        let home = tempfile::tempdir().unwrap();
        let join: Vec<_> = places
            .iter()
            .map(|Place { api, .. }| json!({ "leader_api_addr": format!("http://{api}") }))
            .collect();
        let mut nodes = Vec::new();
        for (at, Place { api, cluster, prefix }) in places.iter().enumerate() {
            let data = home.path().join(format!("data-{at}"));
            std::fs::create_dir(&data).unwrap();
            let settings = json!({
                "storage": { "raft": { "path": data, "node_id": format!("n{at}"), "retry_join": join } },
                "listener": [{ "tcp": { "address": api, "cluster_address": cluster, "tls_disable": true } }],
                "api_addr": format!("http://{api}"), "cluster_addr": format!("https://{cluster}"),
                "disable_standby_reads": !standby_reads,
            });
            let configuration = home.path().join(format!("node-{at}.json"));
            std::fs::write(&configuration, settings.to_string()).unwrap();
            let (url, prefix) = (format!("http://{api}"), prefix.clone());
            let mut node = Node { url, prefix, configuration, child: None };
            node.start();
            nodes.push(node);
        }
        let mut made = Value::Null;
        wait("the first server is initialised", || {
            let body = json!({ "secret_shares": 1, "secret_threshold": 1 });
            made = nodes[0].send("PUT", "sys/init", "", &body).1;
            made["root_token"].is_string()
        });
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let (root, key) = (text(&made["root_token"]), text(&made["keys_base64"][0]));
        let cluster = Self { nodes, root, key, _home: home };
        for node in &cluster.nodes {
            node.unseal(&cluster.key);
        }
        cluster.wait_for_all();
        wait("the secrets engine is mounted", || {
            let body = json!({ "type": "kv", "options": { "version": "2" } });
            let leader = &cluster.nodes[cluster.leader().unwrap_or(0)];
            leader.send("POST", "sys/mounts/secret", &cluster.root, &body).0 == 204
        });
        // KV version 2 answers 400 until it has created its keys, and a standby does not know the mount at first.
        wait("every server reads", || {
            let read =
                |node: &Node| node.send("GET", "secret/data/none", &cluster.root, &Value::Null);
            cluster.nodes.iter().all(|node| {
                let (status, body) = read(node);
                status == 404 && body["errors"].as_array().is_some_and(Vec::is_empty)
            })
        });
        // A new server votes after 10 s; without votes, the loss of the leader is the loss of the cluster.
        wait("every server votes", || {
            let Some(leader) = cluster.leader() else { return false };
            let path = "sys/storage/raft/configuration";
            let (_, body) = cluster.nodes[leader].send("GET", path, &cluster.root, &Value::Null);
            let servers = body["data"]["config"]["servers"].as_array().cloned().unwrap_or_default();
            servers.len() == cluster.nodes.len() && servers.iter().all(|it| it["voter"] == true)
        });
        Some(cluster)
    }

    /// Waits until every server that runs knows the same active one.
    pub(crate) fn wait_for_all(&self) {
        wait("every server knows the active one", || {
            self.leader().is_some()
                && self.nodes.iter().filter(|node| node.is_running()).all(|node| {
                    let (status, leader) = node.send("GET", "sys/leader", "", &Value::Null);
                    status == 200
                        && leader["leader_address"].as_str().is_some_and(|it| !it.is_empty())
                })
        });
    }

    /// The active server, if there is one.
    pub(crate) fn leader(&self) -> Option<usize> {
        self.nodes.iter().position(|node| {
            node.is_running()
                && node.send("GET", "sys/leader", "", &Value::Null).1["is_self"] == true
        })
    }

    pub(crate) fn standbys(&self) -> Vec<usize> {
        let leader = self.leader();
        (0..self.nodes.len()).filter(|at| Some(*at) != leader).collect()
    }

    /// Starts a server that was killed, and unseals it.
    pub(crate) fn restart(&mut self, at: usize) {
        self.nodes[at].start();
        self.unseal(at);
    }

    pub(crate) fn unseal(&self, at: usize) {
        self.nodes[at].unseal(&self.key);
    }

    /// Sends a request of the root token to the active server.
    pub(crate) fn write(&self, path: &str, body: &Value) -> Value {
        let mut response = Value::Null;
        wait(path, || {
            let Some(leader) = self.leader() else { return false };
            let (status, found) = self.nodes[leader].send("POST", path, &self.root, body);
            response = found;
            matches!(status, 200 | 204)
        });
        response
    }

    pub(crate) fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(|node| node.url.clone()).collect()
    }
}
