//! Outside the assumptions of the guarantee: how often a refresh token is sent twice and a login is lost. The table is in
//! `protocol/FLEET.md`. `MY_TEST_FLEET_LOSSES` is the number of runs of each cause; they take ten minutes.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::sync::{Mutex, RwLock};
use std::time::{Duration, Instant};

use super::faults::{Cluster, Run};
use super::way::{Direction, Traffic, Way};
use super::{LIFETIME, PENDING, RAW, record};
use crate::support::bao_cluster::{BaoCluster, Node, wait};
use crate::support::oidc::Oidc;
use crate::support::seed::{Seed, number};
use crate::support::{finish, has_client};

const PAUSE: Duration = Duration::from_secs(300);

/// Until another machine has taken the lease over.
const TAKEOVER: Duration = Duration::from_secs(180);

/// The shared token has expired, or lives for twelve minutes.
const EXPIRED: (u64, u64) = (LIFETIME + 60, LIFETIME);
const ALIVE: (u64, u64) = (2880, 3600);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Cause {
    StoppedBeforeTheRequest,
    StoppedAfterTheRequest,
    StoppedAfterTheRequestWhileTheTokenLives,
    RequestDelayed,
    PendingFileDeleted,
    KilledAfterTheAnswerAndNotCalledAgain,
    CutOffFromTheStore,
    CutOffFromTheStoreWhileTheTokenLives,
}

const CAUSES: [Cause; 8] = [
    Cause::StoppedBeforeTheRequest,
    Cause::StoppedAfterTheRequest,
    Cause::StoppedAfterTheRequestWhileTheTokenLives,
    Cause::RequestDelayed,
    Cause::PendingFileDeleted,
    Cause::KilledAfterTheAnswerAndNotCalledAgain,
    Cause::CutOffFromTheStore,
    Cause::CutOffFromTheStoreWhileTheTokenLives,
];

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Losses {
    runs: usize,
    sent_twice: usize,
    lost: usize,
}

fn signal(child: &std::process::Child, signal: &str) {
    let mut kill = std::process::Command::new("kill");
    assert!(kill.args([signal, &child.id().to_string()]).status().unwrap().success());
}

/// Waits for as long as `seconds`, while the other machines ask.
fn ask_for(run: &Run<'_>, holder: usize, time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        for (at, machine) in run.machines.iter().enumerate() {
            if at != holder {
                finish(machine.start(), b"");
            }
        }
        std::thread::sleep(Duration::from_secs(1));
    }
}

fn has_result(run: &Run<'_>, holder: usize) -> bool {
    let pending = run.machines[holder].home.read(PENDING);
    pending.is_some_and(|text| text.contains("access_token"))
}

fn cause(cluster: &Cluster, cause: Cause, seed: u64) -> Losses {
    use Cause::*;
    let is_alive = [StoppedAfterTheRequestWhileTheTokenLives, CutOffFromTheStoreWhileTheTokenLives]
        .contains(&cause);
    let age = if is_alive { ALIVE } else { EXPIRED };
    let folder = format!("{cause:?}-{seed}");
    let mut run = Run::start(cluster, &folder, Seed::new(seed), false, age);
    if cause == StoppedBeforeTheRequest {
        for way in &run.machines[0].nodes {
            way.hold_response_of_write();
        }
        let child = run.machines[0].start();
        let lease = || record(&cluster.read(), &run.path)["lease_nonce"].is_string();
        wait("it has the lease", lease);
        signal(&child, "-STOP");
        run.machines[0].nodes.iter().for_each(Way::open);
        ask_for(&run, 0, PAUSE);
        signal(&child, "-CONT");
        finish(child, b"");
        return losses(&run);
    }
    let (mut children, holder) = run.hold();
    let machine = &run.machines[holder];
    match cause {
        StoppedAfterTheRequest | StoppedAfterTheRequestWhileTheTokenLives => {
            children[holder].iter().for_each(|child| signal(child, "-STOP"));
            machine.service.open();
            ask_for(&run, holder, PAUSE);
            children[holder].iter().for_each(|child| signal(child, "-CONT"));
        }
        RequestDelayed => {
            ask_for(&run, holder, TAKEOVER);
            machine.service.open();
        }
        CutOffFromTheStore | CutOffFromTheStoreWhileTheTokenLives => {
            machine.nodes.iter().for_each(Way::cut);
            machine.service.open();
            ask_for(&run, holder, TAKEOVER);
            machine.nodes.iter().for_each(Way::open);
        }
        _ => {
            for way in &machine.nodes {
                way.set(Direction::Request, Traffic::Lost);
            }
            machine.service.open();
            wait("the result is on the machine", || has_result(&run, holder));
            Run::kill(&mut children, holder);
            // What it has sent is lost, too.
            std::thread::sleep(Duration::from_secs(1));
            machine.nodes.iter().for_each(Way::open);
            if cause == PendingFileDeleted {
                std::fs::remove_file(machine.home.path().join(PENDING)).unwrap();
            } else {
                ask_for(&run, holder, TAKEOVER);
            }
        }
    }
    for child in children.into_iter().flatten() {
        finish(child, b"");
    }
    losses(&run)
}

/// Every machine asks until it has a token, or is told to log in again.
fn losses(run: &Run<'_>) -> Losses {
    let outcomes: Vec<_> = run
        .machines
        .iter()
        .map(|machine| {
            let mut outcome = finish(machine.start(), b"");
            let start = Instant::now();
            while outcome.status == 3 {
                assert!(start.elapsed() < PAUSE, "{outcome:?}");
                outcome = finish(machine.start(), b"");
            }
            outcome
        })
        .collect();
    let is_active = |token: &str| run.oidc.is_active(token.trim_end());
    let mut is_lost = outcomes.iter().any(|it| it.status != 0 || !is_active(&it.output));
    for outcome in outcomes.iter().filter(|it| it.status != 0) {
        assert!(outcome.messages.contains("invalid_grant"), "{outcome:?}");
    }
    let requests = run.oidc.count("token request");
    // Of a token that lives, only the next refresh tells.
    let record = record(&run.cluster.read(), &run.path);
    let refresh_token = record["refresh_token"].as_str().expect("a refresh token");
    is_lost |= run.oidc.redeem(refresh_token) != 200;
    Losses { runs: 1, sent_twice: usize::from(requests > 1), lost: usize::from(is_lost) }
}

#[test]
fn losses_outside_the_assumptions_are_counted() {
    let runs = number("MY_TEST_FLEET_LOSSES", 0);
    if runs == 0 || Oidc::start().is_none() {
        return;
    }
    let Some(bao) = BaoCluster::start(3, true) else { return };
    let (cluster, begin) = (Cluster(RwLock::new(bao)), Seed::from_environment().number);
    let counted = Mutex::new(BTreeMap::<Cause, Losses>::new());
    std::thread::scope(|scope| {
        for it in CAUSES {
            for number in 0..runs {
                let (cluster, counted) = (&cluster, &counted);
                scope.spawn(move || {
                    let found = cause(cluster, it, begin.wrapping_add(number));
                    println!("{it:?}: {found:?}");
                    let mut counted = counted.lock().unwrap();
                    let all = counted.entry(it).or_default();
                    all.runs += found.runs;
                    all.sent_twice += found.sent_twice;
                    all.lost += found.lost;
                });
            }
        }
    });
    let counted = counted.into_inner().unwrap();
    for (cause, Losses { runs, sent_twice, lost }) in &counted {
        println!("{cause:?} | {runs} | {sent_twice} | {lost}");
    }
    let before = counted[&Cause::StoppedBeforeTheRequest];
    assert_eq!((before.sent_twice, before.lost), (0, 0), "the request is not sent after 5 s");
}

/// Sends a request of the root token whose body is not JSON.
fn snapshot(node: &Node, token: &str, restored: Option<&[u8]>) -> Vec<u8> {
    let config = ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(60)));
    let agent = config.build().new_agent();
    let path = |name: &str| format!("{}/v1/sys/storage/raft/{name}", node.url);
    let response = match restored {
        None => agent.get(path("snapshot")).header("X-Vault-Token", token).call(),
        Some(bytes) => {
            let request = agent.post(path("snapshot-force")).header("X-Vault-Token", token);
            request.send(bytes)
        }
    };
    let mut contents = Vec::new();
    let mut response = response.expect("the server answers");
    response.body_mut().as_reader().read_to_end(&mut contents).unwrap();
    contents
}

/// The record of before a refresh has a refresh token that was redeemed.
#[test]
fn after_a_restored_snapshot_a_login_is_required() {
    if !has_client("bao") || Oidc::start().is_none() {
        return;
    }
    let Some(bao) = BaoCluster::start(1, true) else { return };
    let cluster = Cluster(RwLock::new(bao));
    let run = Run::start(&cluster, "run", Seed::new(0), true, EXPIRED);
    let bao = cluster.read();
    let before = snapshot(&bao.nodes[0], &bao.root, None);
    let refreshed = run.machines[0].home.run(&RAW);
    assert_eq!(refreshed.status, 0, "{refreshed:?}");
    snapshot(&bao.nodes[0], &bao.root, Some(&before));
    wait("it is active", || bao.leader().is_some());
    wait("the record is the old one", || record(&bao, &run.path)["access_token"] == *run.old);
    // The machine that has refreshed returns its copy.
    assert_eq!(run.machines[0].home.run(&RAW).output, refreshed.output);
    let outcome = run.machines[1].home.run(&RAW);
    assert_eq!(outcome.status, 1, "{outcome:?}");
    assert!(outcome.messages.contains("no longer valid"), "{outcome:?}");
    let counts = (run.oidc.count("token request"), run.oidc.count("grant.revoked"));
    assert_eq!(counts, (2, 1), "token requests, revoked logins");
    // The second machine does not send it again, and `status` names the cause.
    assert_eq!(run.machines[2].home.run(&RAW).status, 1);
    assert_eq!(run.oidc.count("token request"), 2);
    let status = run.machines[2].home.run(&["status"]);
    assert!(status.output.contains("invalid_grant"), "{status:?}");
}
