//! A cluster of three real servers, and one that is sealed and started again.

use std::time::Duration;

use my_credential_helper::http::SharedFailure;
use serde_json::{Value, json};

use super::{Machine, REFRESH, addresses, message, record};
use crate::support::bao_cluster::{BaoCluster, wait};

fn machine(cluster: &BaoCluster, order: &[usize]) -> Machine {
    let urls = cluster.urls();
    let urls: Vec<_> = order.iter().map(|at| &urls[*at]).collect();
    Machine::new(&addresses(&urls), &[("BAO_TOKEN", &cluster.root)])
}

/// Which version every server has in the end.
fn settled(cluster: &BaoCluster, version: u64) {
    let path = "secret/data/my-credential-helper/refresh/acme/default";
    wait(&format!("every server has version {version}"), || {
        cluster.nodes.iter().filter(|node| node.is_running()).all(|node| {
            let (_, body) = node.send("GET", path, &cluster.root, &Value::Null);
            body["data"]["metadata"]["version"] == version
        })
    });
}

#[test]
fn a_cluster_is_used_through_its_standbys() {
    let Some(mut cluster) = BaoCluster::start(3, true) else { return };
    let standbys = cluster.standbys();
    let through = machine(&cluster, &standbys);
    // Written through one standby, and read at once through another: not an older version.
    through.run(|store| {
        for version in 0..20 {
            assert_eq!(store.compare_and_set(REFRESH, version, &record("1")), Ok(version + 1));
            assert_eq!(store.read(REFRESH).unwrap().version, version + 1);
        }
    });
    settled(&cluster, 20);
    // A stale version is refused through every server.
    for at in 0..3 {
        let refused = machine(&cluster, &[at]).write(19, &record("2"));
        assert_eq!(refused, Err(SharedFailure::Refused));
    }

    // The leader is killed. A read is served in between, a write as soon as there is another leader. What is reported as
    // not written is not there.
    let leader = cluster.leader().unwrap();
    cluster.nodes[leader].kill();
    let order = [leader, standbys[0], standbys[1]];
    let others = machine(&cluster, &order);
    assert_eq!(others.read().unwrap().1, 20);
    let mut written = None;
    wait("a write is accepted", || {
        let result = others.within(Duration::from_secs(5), |store| {
            store.compare_and_set(REFRESH, 20, &record("3"))
        });
        match result {
            Ok(version) => written = Some(version),
            // Lost, and carried out nevertheless.
            Err(SharedFailure::Refused) if others.read().unwrap() == (Some(record("3")), 21) => {
                written = Some(21);
            }
            Err(
                SharedFailure::Refused
                | SharedFailure::Unavailable(_)
                | SharedFailure::Interrupted(_),
            ) => {}
            Err(failure) => panic!("{failure:?}"),
        }
        written.is_some()
    });
    assert_eq!(written, Some(21));
    cluster.restart(leader);
    cluster.wait_for_all();
    settled(&cluster, 21);
    assert_eq!(machine(&cluster, &[leader]).read(), Ok((Some(record("3")), 21)));

    // A server that hangs leaves time for the others.
    let leader = cluster.leader().unwrap();
    let order: Vec<_> = std::iter::once(leader).chain(cluster.standbys()).collect();
    let signal = |name: &str| {
        let id = cluster.nodes[leader].id().to_string();
        assert!(std::process::Command::new("kill").args([name, &id]).status().unwrap().success());
    };
    signal("-STOP");
    let timeout = Duration::from_secs(6);
    let found = machine(&cluster, &order).within(timeout, |store| store.read(REFRESH));
    signal("-CONT");
    assert_eq!(found.unwrap().version, 21);
}

#[test]
fn a_cluster_without_standby_reads_is_never_stale() {
    let Some(cluster) = BaoCluster::start(3, false) else { return };
    let standbys = cluster.standbys();
    for version in 0..20 {
        let through = machine(&cluster, &[standbys[usize::from(version % 2 == 0)]]);
        assert_eq!(through.write(version, &record("1")), Ok(version + 1));
        let other = machine(&cluster, &[standbys[usize::from(version % 2 == 1)]]);
        assert_eq!(other.read().unwrap().1, version + 1);
    }
}

#[test]
fn a_sealed_server_is_named_and_a_restart_loses_nothing() {
    let Some(mut cluster) = BaoCluster::start(1, true) else { return };
    let only = machine(&cluster, &[0]);
    assert_eq!(only.write(0, &record("1")), Ok(1));
    cluster.write("sys/seal", &json!({}));
    for failure in [only.read().map(drop), only.write(1, &record("2")).map(drop)] {
        let failure = failure.unwrap_err();
        assert!(matches!(failure, SharedFailure::Unavailable(_)), "{failure:?}");
        assert!(message(&failure).contains("Vault is sealed"), "{failure}");
    }
    cluster.unseal(0);
    wait("it is active again", || only.read() == Ok((Some(record("1")), 1)));
    cluster.nodes[0].kill();
    let failure = only.read().unwrap_err();
    assert!(matches!(failure, SharedFailure::Unavailable(_)), "{failure:?}");
    cluster.restart(0);
    wait("it is active again", || only.read() == Ok((Some(record("1")), 1)));
    wait("it can be written", || only.write(1, &record("2")) == Ok(2));
}
