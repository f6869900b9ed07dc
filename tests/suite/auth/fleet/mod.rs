//! A session that machines share: real processes of several machines, a real cluster and a real OAuth service, which ends
//! the login if a refresh token returns. `MY_TEST_FLEET` is the number of processes, and adds what needs minutes.

mod faults;
mod load;
mod losses;
mod namespaces;
mod way;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Child;
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};

use crate::support::bao_cluster::{BaoCluster, Node, wait};
use crate::support::http::{is_accepted, redeem};
use crate::support::oidc::Oidc;
use crate::support::openbao::OpenBao;
use crate::support::ports::free_address;
use crate::support::seed::number;
use crate::support::{
    HELPER, Home, Outcome, fake_clock, finish, has_client, rfc3339, service, spawn,
};
use way::Way;

const RAW: [&str; 3] = ["get", "--format", "raw"];
const RECORD: &str = "secret/data/my-credential-helper/refresh/acme/default";
const PENDING: &str = ".my/shared/acme/default.pending";

/// The lifetime of the service's access tokens.
const LIFETIME: u64 = 900;

struct Fleet {
    bao: BaoCluster,
    oidc: Oidc,
}

impl Fleet {
    fn start(size: u8, standby_reads: bool) -> Option<Self> {
        Some(Self { oidc: Oidc::start()?, bao: BaoCluster::start(size, standby_reads)? })
    }

    /// A machine that sends its requests to the standbys first.
    fn machine(&self, at: usize) -> Home {
        self.machine_with(at, "")
    }

    /// The same, with further settings of the provider.
    fn machine_with(&self, at: usize, provider: &str) -> Home {
        let (urls, mut order) = (self.bao.urls(), self.bao.standbys());
        if !order.is_empty() {
            let count = order.len();
            order.rotate_left(at % count);
        }
        order.extend(self.bao.leader());
        let addresses: Vec<_> = order.into_iter().map(|at| &urls[at]).collect();
        machine(&self.oidc, &self.bao.root, provider, &format!("addresses = {addresses:?}"))
    }

    /// The fields of the record.
    fn record(&self) -> Value {
        record(&self.bao, RECORD)
    }

    /// Stores a new login whose access token was issued so many seconds ago, on every server.
    fn share(&self, age: u64) -> String {
        let (access_token, fields) = login(&self.oidc, age);
        share(&self.bao, RECORD, &fields);
        self.oidc.clear_journal();
        access_token
    }

    fn refreshed_once(&self) {
        let counts = (self.oidc.count("token request"), self.oidc.count("grant.revoked"));
        assert_eq!(counts, (1, 0), "token requests, revoked logins");
    }

    fn requested(&self) {
        wait("the service has the request", || self.oidc.count("token request") == 1);
    }

    /// Every machine is logged in with the same token, without another request.
    fn lives_on(&self, machines: &[Home]) -> String {
        let tokens = distinct(machines.iter().map(|home| served(home.run(&RAW))));
        assert_eq!(tokens.len(), 1, "{tokens:?}");
        self.refreshed_once();
        assert!(self.oidc.is_active(&tokens[0]));
        assert_eq!(self.record()["lease_nonce"], Value::Null);
        tokens[0].clone()
    }
}

/// The fields of a record.
fn record(bao: &BaoCluster, path: &str) -> Value {
    let leader = &bao.nodes[bao.leader().expect("a leader")];
    let (status, body) = leader.send("GET", path, &bao.root, &Value::Null);
    assert_eq!(status, 200, "{body}");
    body["data"]["data"].clone()
}

/// Writes a record, and waits until every server has it.
fn share(bao: &BaoCluster, path: &str, fields: &Value) {
    let metadata = path.replace("/data/", "/metadata/");
    bao.write(&metadata, &json!({ "max_versions": 1, "cas_required": true }));
    let version = |node: &Node| {
        let (_, body) = node.send("GET", path, &bao.root, &Value::Null);
        body["data"]["metadata"]["version"].as_u64().unwrap_or(0)
    };
    let last = version(&bao.nodes[bao.leader().expect("a leader")]);
    bao.write(path, &json!({ "options": { "cas": last }, "data": fields }));
    wait("every server has the login", || bao.nodes.iter().all(|node| version(node) == last + 1));
}

fn machine(oidc: &Oidc, token: &str, provider: &str, vault: &str) -> Home {
    let more =
        format!("client_id = \"helper\"\nstore = \"vault\"\n{provider}\n[stores.vault]\n{vault}");
    let mut home = oidc.home(&more);
    home.write("run/none", "");
    home.set("XDG_RUNTIME_DIR", home.path().join("run"));
    home.set("BAO_TOKEN", token);
    home
}

/// A login at the service, as a record: the access token, and the fields.
fn login(oidc: &Oidc, age: u64) -> (String, Value) {
    login_for(oidc, age, LIFETIME)
}

/// The same, whose access token lives so many seconds.
fn login_for(oidc: &Oidc, age: u64, lifetime: u64) -> (String, Value) {
    let (access_token, refresh_token) = oidc.seed("ada");
    let issued = SystemTime::now() - Duration::from_secs(age);
    let fields = json!({
        "format": "1", "login_id": format!("login-{refresh_token}"), "service": oidc.url,
        "access_token": access_token, "refresh_token": refresh_token,
        "expires_at": rfc3339(issued + Duration::from_secs(lifetime)),
        "logged_in_at": rfc3339(issued), "last_refreshed_at": rfc3339(issued),
    });
    (access_token, fields)
}

fn served(outcome: Outcome) -> String {
    let Outcome { mut output, messages, status } = outcome;
    assert_eq!((status, &*messages), (0, ""), "{output}");
    output.truncate(output.trim_end().len());
    output
}

fn distinct(tokens: impl Iterator<Item = String>) -> Vec<String> {
    let mut tokens: Vec<_> = tokens.collect();
    tokens.sort_unstable();
    tokens.dedup();
    tokens
}

fn start_all(machines: &[Home], processes: usize) -> Vec<Child> {
    (0..processes).flat_map(|_| machines).map(|home| home.start(&RAW)).collect()
}

fn finish_all(children: Vec<Child>) -> Vec<Outcome> {
    children.into_iter().map(|child| finish(child, b"")).collect()
}

#[test]
fn a_fleet_refreshes_once() {
    let Some(fleet) = Fleet::start(3, true) else { return };
    let processes = usize::try_from(number("MY_TEST_FLEET", 32)).unwrap() / 8;
    for age in [LIFETIME + 60, LIFETIME - 100] {
        let machines: Vec<_> = (0..8).map(|at| fleet.machine(at)).collect();
        let old = fleet.share(age);
        // By default, the response takes longer than a process waits for the lock of its machine. The processors of one
        // machine are too slow for 1,000 that wait so long.
        let delay = Duration::from_secs(if processes > 8 { 1 } else { 6 });
        fleet.oidc.hold();
        let start = Instant::now();
        let outcomes = std::thread::scope(|scope| {
            scope.spawn(|| {
                fleet.requested();
                std::thread::sleep(delay);
                fleet.oidc.release();
            });
            finish_all(start_all(&machines, processes))
        });
        let (count, took) = (outcomes.len(), start.elapsed());
        println!("{count} processes, token of {age} s: served in {took:?}");
        fleet.refreshed_once();
        let tokens = distinct(outcomes.into_iter().map(served));
        if age > LIFETIME {
            assert_eq!(tokens.len(), 1);
            assert_ne!(fleet.lives_on(&machines), old);
        } else {
            assert!(tokens.len() == 2 && tokens.contains(&old), "{tokens:?}");
        }
    }
}

/// A refresh whose result meets a cluster without a leader.
fn a_leader_is_lost(standby_reads: bool) {
    let Some(mut fleet) = Fleet::start(3, standby_reads) else { return };
    let machines: Vec<_> = (0..3).map(|at| fleet.machine(at)).collect();
    fleet.share(LIFETIME + 60);
    fleet.oidc.hold();
    let children = start_all(&machines, 2);
    fleet.requested();
    let leader = fleet.bao.leader().expect("a leader");
    fleet.bao.nodes[leader].kill();
    fleet.oidc.release();
    let start = Instant::now();
    let outcomes = finish_all(children);
    println!("standby reads {standby_reads}: {:?}", start.elapsed());
    // The others wait for as long as they may; the holder until the store has the result.
    let token = outcomes.iter().find(|it| it.status == 0).expect("the holder is served");
    for outcome in &outcomes {
        match outcome.status {
            0 => assert_eq!(outcome.output, token.output, "{outcome:?}"),
            status => assert_eq!(status, 3, "{outcome:?}"),
        }
    }
    fleet.bao.wait_for_all();
    assert_eq!(fleet.lives_on(&machines), token.output.trim_end());
    fleet.bao.restart(leader);
    fleet.bao.wait_for_all();
    assert_eq!(fleet.lives_on(&[fleet.machine(0), fleet.machine(1)]), token.output.trim_end());
}

#[test]
fn a_result_outlives_the_leader_of_the_cluster() {
    a_leader_is_lost(true);
}

#[test]
fn a_result_outlives_the_leader_without_standby_reads() {
    a_leader_is_lost(false);
}

#[test]
fn a_lease_whose_holder_was_killed_is_not_taken_at_once() {
    let Some(fleet) = Fleet::start(1, true) else { return };
    let way = Way::start(&fleet.oidc.url);
    way.cut();
    let setting = format!("token_endpoint = \"{}/token\"", way.url);
    let machines = [0, 1].map(|at| fleet.machine_with(at, &setting));
    fleet.share(LIFETIME + 60);
    let mut holder = machines[0].start(&RAW);
    wait("the request is sent", || way.requests() > 0);
    holder.kill().unwrap();
    holder.wait().unwrap();
    way.open();
    let nonce = fleet.record()["lease_nonce"].clone();
    assert!(nonce.is_string(), "{nonce}");
    let begun = SystemTime::now();
    let try_both = || finish_all(start_all(&machines, 1));
    for outcome in try_both() {
        assert_eq!(outcome.status, 3, "{outcome:?}");
        assert!(outcome.messages.contains("is refreshing the session"), "{outcome:?}");
    }
    assert_eq!(fleet.oidc.count("token request"), 0);
    assert_eq!(fleet.record()["lease_nonce"], nonce);
    if std::env::var_os("MY_TEST_FLEET").is_none() {
        return;
    }
    wait_long("a takeover", || {
        let is_done = try_both().iter().all(|outcome| outcome.status == 0);
        let age = begun.elapsed().unwrap();
        assert!(is_done || fleet.oidc.count("token request") == 0, "requested, and not returned");
        assert!(!is_done || age > Duration::from_secs(118), "taken after {age:?}");
        is_done
    });
    println!("taken after {:?}", begun.elapsed());
    fleet.lives_on(&machines);
}

fn wait_long(what: &str, mut is_true: impl FnMut() -> bool) {
    let start = SystemTime::now();
    while !is_true() {
        assert!(start.elapsed().unwrap() < Duration::from_secs(300), "not in time: {what}");
    }
}

/// A result that the store does not have; `is_first_down`: the first address of the cluster does not answer.
fn a_result_is_finished(is_first_down: bool) {
    let Some(mut fleet) = Fleet::start(1, true) else { return };
    let mut machines = [0, 1].map(|at| fleet.machine(at));
    if is_first_down {
        let addresses = [format!("http://{}", free_address()), fleet.bao.urls()[0].clone()];
        let settings = format!("addresses = {addresses:?}");
        machines[0] = machine(&fleet.oidc, &fleet.bao.root, "", &settings);
    }
    fleet.share(LIFETIME + 60);
    fleet.oidc.hold();
    let mut holder = machines[0].start(&RAW);
    fleet.requested();
    fleet.bao.nodes[0].kill();
    fleet.oidc.release();
    let has_pending = || machines[0].path().join(PENDING).exists();
    wait("the result is stored on the machine", || {
        machines[0].read(PENDING).is_some_and(|text| text.contains("access_token"))
    });
    holder.kill().unwrap();
    holder.wait().unwrap();
    assert!(has_pending());
    // A mode that somebody has widened loses no login.
    std::fs::set_permissions(machines[0].path().join(PENDING), Permissions::from_mode(0o644))
        .unwrap();
    fleet.bao.restart(0);
    wait("it is active", || fleet.bao.leader().is_some());
    let token = served(machines[0].run(&RAW));
    assert!(!has_pending());
    assert_eq!(fleet.lives_on(&machines), token);
}

#[test]
fn a_result_that_the_store_lacks_is_finished_by_the_next_call() {
    a_result_is_finished(false);
}

/// The result is for the cluster, and not for the server that answered.
#[test]
fn a_result_is_found_again_through_another_server() {
    a_result_is_finished(true);
}

/// A program of this machine whose clock is wrong.
fn start_at(home: &Home, offset: &str) -> Child {
    let mut command = home.command(HELPER);
    fake_clock(&mut command);
    command.args(RAW).env("FAKETIME", offset);
    spawn(command)
}

fn run_at(home: &Home, offset: &str) -> Outcome {
    finish(start_at(home, offset), b"")
}

#[test]
fn a_wrong_clock_and_a_lost_network_refresh_nothing_twice() {
    if !has_client("faketime") {
        return;
    }
    let Some(mut fleet) = Fleet::start(1, true) else { return };
    let machines: Vec<_> = (0..3).map(|at| fleet.machine(at)).collect();
    let old = fleet.share(LIFETIME + 60);
    let offsets = ["+3600s", "-3600s", "+0s"];
    let round = || {
        let each = machines.iter().zip(offsets);
        distinct(each.map(|(home, offset)| served(run_at(home, offset))))
    };
    let tokens = round();
    assert!(tokens.len() == 1 && tokens[0] != old, "{tokens:?}");
    assert_eq!(round(), tokens);
    fleet.refreshed_once();

    // Without a network: the copy, until the token expires by the clock of its machine.
    let settings = format!("addresses = {:?}\ncache_max_age = 1", fleet.bao.urls());
    let checking = machine(&fleet.oidc, &fleet.bao.root, "", &settings);
    assert_eq!(served(checking.run(&RAW)), tokens[0]);
    fleet.bao.nodes[0].kill();
    fleet.oidc.clear_journal();
    assert_eq!(round(), tokens);
    std::thread::sleep(Duration::from_millis(1100));
    let outcome = checking.run(&RAW);
    assert_eq!((outcome.status, outcome.output.trim_end()), (0, &*tokens[0]), "{outcome:?}");
    assert!(outcome.messages.contains("no server is available"), "{outcome:?}");
    for home in [&checking, &machines[2]] {
        let outcome = run_at(home, "+1000s");
        assert_eq!((outcome.status, &*outcome.output), (3, ""), "{outcome:?}");
    }
    assert_eq!(fleet.oidc.count("token request"), 0);
}

#[test]
fn a_login_and_a_logout_reach_every_machine() {
    let Some(bao) = BaoCluster::start(3, true) else { return };
    let server = service();
    let machine = |at: usize, role: &str| {
        let (urls, standbys) = (bao.urls(), bao.standbys());
        let addresses = [standbys[at % 2], standbys[(at + 1) % 2]].map(|at| &urls[at]);
        let mut home = Home::at(&server);
        home.configure(&format!(
            "store = \"vault\"\n[stores.vault]\naddresses = {addresses:?}\nrole = \"{role}\"\ncache_max_age = 1"
        ));
        home.write("run/none", "");
        home.set("XDG_RUNTIME_DIR", home.path().join("run"));
        home.set("BAO_TOKEN", &bao.root);
        home
    };
    let [first, second, third] = [0, 1, 2].map(|at| machine(at, "refresher"));
    let reader = machine(3, "reader");
    let outcome = first.log_in(&server, "me@acme.dev", &["--store", "vault"]);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    wait("every standby has the login", || reader.run(&RAW).status == 0);
    let token = second.token();
    for home in [&first, &third, &reader] {
        assert_eq!(home.token(), token);
    }
    let outcome = reader.run(&["logout"]);
    assert_eq!(outcome.status, 2, "{outcome:?}");
    assert!(outcome.messages.contains("this machine only reads the session"), "{outcome:?}");
    assert!(is_accepted(server.url(), &token));
    let record = || {
        let path = "secret/data/my-credential-helper/refresh/mycli/default";
        let leader = &bao.nodes[bao.leader().unwrap()];
        let (_, mut body) = leader.send("GET", path, &bao.root, &Value::Null);
        body["data"]["data"].take()
    };
    let refresh_token = record()["refresh_token"].as_str().unwrap().to_owned();
    let outcome = third.run(&["--json", "logout"]);
    assert_eq!((outcome.status, &outcome.json()["revoked"]), (0, &json!(true)), "{outcome:?}");
    let (status, body) = redeem(&server, &refresh_token);
    assert_eq!(status, 401, "the session is revoked at the service: {body}");
    let record = record();
    assert_eq!(record["state"], "logged_out", "{record}");
    assert_eq!(record.as_object().unwrap().len(), 3, "a tombstone has no token: {record}");
    std::thread::sleep(Duration::from_millis(1100));
    for home in [&first, &second, &third, &reader] {
        let outcome = home.run(&RAW);
        assert_eq!((outcome.status, &*outcome.output), (1, ""), "{outcome:?}");
        assert!(outcome.messages.contains("not logged in"), "{outcome:?}");
    }
}

/// Stores these fields as the next version.
fn put(bao: &OpenBao, path: &str, fields: &Value) {
    let url = format!("{}/v1/{path}", bao.url);
    let found = ureq::get(url).header("X-Vault-Token", "root").call().ok();
    let found = found.and_then(|mut it| it.body_mut().read_json::<Value>().ok());
    let last = found.map_or(json!(0), |it| it["data"]["metadata"]["version"].clone());
    bao.write(path, &json!({ "options": { "cas": last }, "data": fields }));
}

#[test]
fn each_event_makes_the_documented_requests() {
    let (Some(bao), Some(oidc)) = (OpenBao::start(), Oidc::start()) else { return };
    let home = |role: &str| {
        let vault = format!("addresses = {:?}\n{role}", [&bao.url]);
        machine(&oidc, "root", "hosts = [\"git.acme.dev\"]", &vault)
    };
    let audit = |expected: &[&str], run: &dyn Fn() -> Outcome| {
        let before = bao.audit().len();
        let outcome = run();
        let log = bao.audit().split_off(before);
        assert_eq!(OpenBao::audited(&log), expected, "{outcome:?}");
        assert_eq!(log.lines().count(), 2 * expected.len(), "a request and a response each");
        outcome
    };
    let read = "read secret/data/my-credential-helper/refresh/acme/default";
    let update = "update secret/data/my-credential-helper/refresh/acme/default";
    let publish = [
        "read secret/data/my-credential-helper/access/acme/default",
        "update secret/data/my-credential-helper/access/acme/default",
    ];
    for role in ["", "role = \"refresher\""] {
        let home = home(role);
        let is_refresher = !role.is_empty();
        let with_readers = |first: &[&'static str]| {
            let published = publish.iter().filter(|_| is_refresher);
            first.iter().chain(published).copied().collect::<Vec<_>>()
        };
        // The records exist.
        let (_, fields) = login(&oidc, LIFETIME + 60);
        put(&bao, &RECORD.replace("refresh", "access"), &fields);
        put(&bao, RECORD, &fields);
        let get = || home.run(&RAW);
        served(audit(&with_readers(&[read, update, update]), &get));
        served(audit(&[], &get));

        // What the table of FLEET.md says of the size.
        let stored = bao.read("root", RECORD)["data"]["data"].clone();
        let tokens = ["access_token", "refresh_token", "id_token"]
            .map(|name| stored[name].as_str().unwrap().len());
        let size = stored.to_string().len() - tokens.iter().sum::<usize>();
        println!(
            "record: {} strings, {size} bytes and the tokens",
            stored.as_object().unwrap().len()
        );
        assert!(stored.as_object().unwrap().len() == 10 && size < 450, "{size}");

        // A host rejects a token that is older than a minute.
        let (token, fields) = login(&oidc, 300);
        put(&bao, RECORD, &fields);
        let _ = std::fs::remove_dir_all(home.path().join("run/my-credential-helper-shared"));
        assert_eq!(served(audit(&with_readers(&[read]), &get)), token);
        let rejected =
            format!("protocol=https\nhost=git.acme.dev\nusername=x\npassword={token}\n\n");
        let erased = audit(&[read, update], &|| home.run_with(&["git", "erase"], &rejected));
        assert_eq!(erased.status, 0, "{erased:?}");
        assert_ne!(served(audit(&with_readers(&[read, update, update]), &get)), token);
        if !is_refresher {
            assert_eq!(audit(&[read, update], &|| home.run(&["logout"])).status, 0);
            continue;
        }

        // A reader refreshes nothing.
        let reader = self::machine(
            &oidc,
            "root",
            "",
            &format!("addresses = {:?}\nrole = \"reader\"", [&bao.url]),
        );
        let token = served(audit(&publish[..1], &|| reader.run(&RAW)));
        assert_eq!(token, served(home.run(&RAW)));
        let (_, fields) = login(&oidc, LIFETIME + 60);
        for part in ["refresh", "access"] {
            put(&bao, &RECORD.replace("refresh", part), &fields);
        }
        oidc.clear_journal();
        let _ = std::fs::remove_dir_all(reader.path().join("run/my-credential-helper-shared"));
        let before = bao.audit().len();
        let outcome = reader.run(&RAW);
        assert_eq!((outcome.status, oidc.count("token request")), (3, 0), "{outcome:?}");
        assert!(
            outcome.messages.contains("the machines that may refresh the session have not"),
            "{outcome:?}"
        );
        let requests = OpenBao::audited(&bao.audit().split_off(before));
        assert!(requests.iter().all(|it| it == publish[0]) && requests.len() > 3, "{requests:?}");
        assert_eq!(audit(&with_readers(&[read, update]), &|| home.run(&["logout"])).status, 0);
    }
}

/// The instructions of a `get`, by callgrind.
fn instructions(home: &Home) -> u64 {
    let mut command = home.command("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null", HELPER]).args(RAW);
    let outcome = finish(spawn(command), b"");
    let collected = outcome.messages.lines().find_map(|line| line.split_once("Collected :"));
    collected.unwrap_or_else(|| panic!("{outcome:?}")).1.trim().parse().unwrap()
}

#[test]
fn a_copied_token_costs_as_much_as_a_file() {
    let (true, Some(bao), Some(oidc)) = (has_client("valgrind"), OpenBao::start(), Oidc::start())
    else {
        return;
    };
    let settings = format!("addresses = {:?}", [&bao.url]);
    let shared = machine(&oidc, "root", "", &settings);
    let (token, fields) = login(&oidc, 0);
    bao.write(RECORD, &json!({ "data": fields }));
    assert_eq!(served(shared.run(&RAW)), token);
    // The same configuration, with the session in a file.
    let more = format!("client_id = \"helper\"\nstore = \"file\"\n[stores.vault]\n{settings}");
    let mut local = oidc.home(&more);
    local.write("run/none", "");
    local.set("XDG_RUNTIME_DIR", local.path().join("run"));
    local.set("BAO_TOKEN", "root");
    oidc.make_stale(&local);
    served(local.run(&RAW));
    let before = bao.audit().len();
    let (cached, file) = (instructions(&shared), instructions(&local));
    println!("instructions: {cached} with the copy, {file} with a file");
    assert_eq!(bao.audit().len(), before, "the copy needs no request");
    assert!(cached * 10 <= file * 11, "{cached} with the copy, {file} with a file");
}
