//! Servers and machines with a network of their own each: namespaces, joined by a bridge. A link that is down cuts a machine
//! off while its processes live.

use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::{LIFETIME, RAW, RECORD, distinct, finish_all, login, machine, record, share};
use crate::support::bao_cluster::{BaoCluster, Place, wait};
use crate::support::oidc::Oidc;
use crate::support::seed::number;
use crate::support::{HELPER, Home, Outcome, has_client, spawn};

const SERVERS: usize = 3;
const MACHINES: usize = 8;

/// Accepts at the first address of each pair, and connects to the second one.
const RELAY: &str = "
const net = require('net');
for (const pair of process.argv.slice(1)) {
  const [[host, port], [toHost, toPort]] = pair.split('=').map((it) => it.split(':'));
  net.createServer((client) => {
    const server = net.connect(toPort, toHost);
    const close = () => { client.destroy(); server.destroy(); };
    client.pipe(server).pipe(client);
    for (const it of [client, server]) it.on('error', close).on('close', close);
  }).listen(port, host);
}";

/// Namespaces on a bridge. The tests themselves have the address 254.
struct Network {
    id: u32,
    hosts: usize,
    relays: Vec<Child>,
}

impl Drop for Network {
    fn drop(&mut self) {
        for relay in &mut self.relays {
            let _ = relay.kill();
            let _ = relay.wait();
        }
        for host in 0..self.hosts {
            ip(&format!("netns delete {}", self.name(host)));
        }
        ip(&format!("link delete {}", self.bridge()));
    }
}

fn ip(line: &str) -> bool {
    let mut command = Command::new("ip");
    command.args(line.split(' ')).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

impl Network {
    /// `None`, with a message, where there can be none.
    fn start() -> Option<Self> {
        if !has_client("ip") {
            return None;
        }
        let mut network = Self { id: std::process::id(), hosts: 0, relays: Vec::new() };
        let bridge = network.bridge();
        let address = network.address(253);
        let mut works = ip(&format!("link add {bridge} type bridge"))
            && ip(&format!("address add {address}/24 dev {bridge}"))
            && ip(&format!("link set {bridge} up"));
        while works && network.hosts < SERVERS + MACHINES {
            let host = network.hosts;
            let (name, link, address) =
                (network.name(host), network.link(host), network.address(host));
            network.hosts += 1;
            works = ip(&format!("netns add {name}"))
                && ip(&format!("link add {link} type veth peer name eth0 netns {name}"))
                && ip(&format!("link set {link} master {bridge} up"))
                && ip(&format!("-n {name} address add {address}/24 dev eth0"))
                && ip(&format!("-n {name} link set eth0 up"))
                && ip(&format!("-n {name} link set lo up"));
        }
        if !works {
            // Past the capture of the test runner.
            let _ = writeln!(
                std::io::stderr(),
                "SKIPPED: a test needs network namespaces, which are not possible here"
            );
        }
        works.then_some(network)
    }

    fn bridge(&self) -> String {
        format!("my{}", self.id)
    }

    fn name(&self, host: usize) -> String {
        format!("my-{}-{host}", self.id)
    }

    fn link(&self, host: usize) -> String {
        format!("my{}v{host}", self.id)
    }

    fn address(&self, host: usize) -> String {
        format!("10.213.{}.{}", self.id % 250, host + 1)
    }

    /// What begins the line of a program that is in the network of the host.
    fn prefix(&self, host: usize) -> Vec<String> {
        ["ip", "netns", "exec", &self.name(host)].map(str::to_owned).to_vec()
    }

    fn relay(&mut self, prefix: &[String], pairs: &[String]) {
        let line = [prefix, &["node", "-e", RELAY, "--"].map(str::to_owned)].concat();
        let mut command = Command::new(&line[0]);
        command.args(&line[1..]).args(pairs).stdin(Stdio::null());
        self.relays.push(command.spawn().expect("node starts"));
    }

    fn set(&self, host: usize, state: &str) {
        assert!(ip(&format!("link set {} {state}", self.link(host))));
    }
}

struct Machine {
    home: Home,
    prefix: Vec<String>,
}

impl Machine {
    fn start(&self) -> Child {
        let mut command = self.home.command(&self.prefix[0]);
        command.args(&self.prefix[1..]).arg(HELPER).args(RAW);
        spawn(command)
    }
}

struct Fleet {
    // The servers end before their network.
    bao: BaoCluster,
    machines: Vec<Machine>,
    oidc: Oidc,
    network: Network,
}

impl Fleet {
    fn start() -> Option<Self> {
        let (oidc, mut network) = (Oidc::start()?, Network::start()?);
        let place = |host: usize| Place {
            api: format!("{}:8200", network.address(host)),
            cluster: format!("{}:8201", network.address(host)),
            prefix: network.prefix(host),
        };
        let bao = BaoCluster::start_at(&(0..SERVERS).map(place).collect::<Vec<_>>(), true)?;
        let service = oidc.url.trim_start_matches("http://").to_owned();
        let (_, port) = service.split_once(':').expect("a port");
        let gate = format!("{}:{port}", network.address(253));
        network.relay(&[], &[format!("{gate}={service}")]);
        let mut order = bao.standbys();
        order.extend(bao.leader());
        let mut machines = Vec::new();
        for at in 0..MACHINES {
            let prefix = network.prefix(SERVERS + at);
            // Plain http is for loopback only.
            let near = |server: &usize| format!("127.0.0.1:{}", 8200 + server);
            let mut pairs = vec![format!("{service}={gate}")];
            pairs.extend(
                (0..SERVERS).map(|it| format!("{}={}:8200", near(&it), network.address(it))),
            );
            network.relay(&prefix, &pairs);
            order[..2].rotate_left(1);
            let urls: Vec<_> = order.iter().map(|it| format!("http://{}", near(it))).collect();
            let home = machine(&oidc, &bao.root, "", &format!("addresses = {urls:?}"));
            machines.push(Machine { home, prefix });
        }
        let fleet = Self { bao, machines, oidc, network };
        for machine in &fleet.machines {
            wait("its relay listens", || {
                let script = format!("</dev/tcp/{}", service.replace(':', "/"));
                let line =
                    [&machine.prefix[1..], &["bash", "-c", &script].map(str::to_owned)].concat();
                let mut command = Command::new("ip");
                command.args(line).stderr(Stdio::null());
                command.status().is_ok_and(|status| status.success())
            });
        }
        Some(fleet)
    }

    fn share(&self, age: u64) -> String {
        let (token, fields) = login(&self.oidc, age);
        share(&self.bao, RECORD, &fields);
        for Machine { home, .. } in &self.machines {
            let copies = home.path().join("run/my-credential-helper-shared");
            let _ = std::fs::remove_dir_all(copies);
        }
        self.oidc.clear_journal();
        token
    }

    fn requested(&self) {
        wait("the service has the request", || self.oidc.count("token request") == 1);
    }

    /// One refresh, whose token all have in the end.
    fn converges(&self, old: &str) {
        let mut tokens = Vec::new();
        wait("all have the new token", || {
            let outcomes = finish_all(self.machines.iter().map(Machine::start).collect());
            tokens = served(&outcomes);
            outcomes.iter().all(|it| it.status == 0) && !tokens.iter().any(|it| it == old)
        });
        assert_eq!(tokens.len(), 1, "{tokens:?}");
        let counts = (self.oidc.count("token request"), self.oidc.count("grant.revoked"));
        assert_eq!(counts, (1, 0), "token requests, revoked logins");
        assert!(self.oidc.is_active(&tokens[0]));
        wait("there is a leader", || self.bao.leader().is_some());
        assert_eq!(record(&self.bao, RECORD)["lease_nonce"], Value::Null);
    }
}

/// The tokens of the processes; the others have none at the moment.
fn served(outcomes: &[Outcome]) -> Vec<String> {
    assert!(outcomes.iter().all(|it| [0, 3].contains(&it.status)), "{outcomes:?}");
    let found = outcomes.iter().filter(|it| it.status == 0);
    distinct(found.map(|it| it.output.trim_end().to_owned()))
}

#[test]
fn machines_in_networks_of_their_own_refresh_once() {
    let Some(fleet) = Fleet::start() else { return };
    let old = fleet.share(LIFETIME + 60);
    let processes = usize::try_from(number("MY_TEST_FLEET", 24)).unwrap() / MACHINES;
    let processes = (0..processes).flat_map(|_| fleet.machines.iter().map(Machine::start));
    let outcomes = finish_all(processes.collect());
    println!("{} processes", outcomes.len());
    assert!(outcomes.iter().all(|it| it.status == 0), "{outcomes:?}");
    assert_eq!(served(&outcomes).len(), 1);
    fleet.converges(&old);

    // The link of the leader is down while the service has the request.
    let old = fleet.share(LIFETIME + 60);
    fleet.oidc.hold();
    let children = fleet.machines.iter().map(Machine::start).collect();
    fleet.requested();
    let leader = fleet.bao.leader().expect("a leader");
    fleet.network.set(leader, "down");
    fleet.oidc.release();
    assert!(served(&finish_all(children)).len() < 2);
    fleet.converges(&old);
    fleet.network.set(leader, "up");
    fleet.bao.wait_for_all();
    fleet.converges(&old);

    // The link of the holder, which lives, is down when the service answers.
    let old = fleet.share(LIFETIME + 60);
    fleet.oidc.hold();
    let mut children = vec![fleet.machines[0].start()];
    fleet.requested();
    children.extend(fleet.machines[1..].iter().map(Machine::start));
    fleet.network.set(SERVERS, "down");
    fleet.oidc.release();
    std::thread::sleep(Duration::from_secs(4));
    fleet.network.set(SERVERS, "up");
    assert!(served(&finish_all(children)).len() < 2);
    fleet.converges(&old);
}
