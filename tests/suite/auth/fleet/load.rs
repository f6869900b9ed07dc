//! How many requests machines send to the server in the lifetime of one access token. `MY_TEST_FLEET_MACHINES` is the number
//! of machines, each with its own state; `MY_TEST_FLEET_LIFETIME` is the lifetime in seconds, which stands for an hour: every
//! delay of the rules is a part of it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{RAW, RECORD, login_for, machine};
use crate::support::oidc::Oidc;
use crate::support::openbao::OpenBao;
use crate::support::seed::{Seed, number};
use crate::support::{Home, finish};

/// How often each machine asks within a lifetime.
const CALLS: u32 = 8;

const WORKERS: usize = 8;

/// Machines that ask at regular intervals, each from a random moment on.
fn ask(machines: &[Home], interval: Duration, end: Instant) {
    let mut seed = Seed::from_environment();
    let below = usize::try_from(interval.as_millis()).unwrap();
    let now = Instant::now();
    let mut moment = || now + Duration::from_millis(seed.below(below).try_into().unwrap());
    let mut due: Vec<_> = machines.iter().map(|home| (moment(), home)).collect();
    due.sort_unstable_by_key(|it| it.0);
    let due = &due;
    std::thread::scope(|scope| {
        for worker in 0..WORKERS {
            scope.spawn(move || {
                for round in 0.. {
                    for (moment, home) in due.iter().skip(worker).step_by(WORKERS) {
                        let moment = *moment + interval * round;
                        if moment > end {
                            return;
                        }
                        std::thread::sleep(moment.saturating_duration_since(Instant::now()));
                        let outcome = finish(home.start(&RAW), b"");
                        assert_eq!(outcome.status, 0, "{outcome:?}");
                    }
                }
            });
        }
    });
}

/// Of two machines that read the record at the same moment, one gets the lease.
fn is_refused(line: &str) -> bool {
    let entry: Value = serde_json::from_str(line).expect("JSON");
    entry["type"] == "response"
        && entry["request"]["operation"] == "update"
        && entry["error"].is_string()
}

#[test]
fn each_machine_reads_each_token_once() {
    let (Some(bao), Some(oidc)) = (OpenBao::start(), Oidc::start()) else { return };
    let count = number("MY_TEST_FLEET_MACHINES", 12);
    let lifetime = number("MY_TEST_FLEET_LIFETIME", 20);
    oidc.set_lifetime(lifetime);
    let vault = format!("addresses = {:?}", [&bao.url]);
    let machines: Vec<_> = (0..count).map(|_| machine(&oidc, "root", "", &vault)).collect();
    let (_, fields) = login_for(&oidc, 0, lifetime);
    bao.write(RECORD, &json!({ "options": { "cas": 0 }, "data": fields }));
    oidc.clear_journal();
    let before = bao.audit().len();
    let lifetime = Duration::from_secs(lifetime);
    ask(&machines, lifetime / CALLS, Instant::now() + 2 * lifetime);
    let log = bao.audit().split_off(before);
    let requests = OpenBao::audited(&log);
    let of = |operation: &str| requests.iter().filter(|it| it.starts_with(operation)).count();
    let (reads, writes) = (of("read"), of("update"));
    let refused = log.lines().filter(|line| is_refused(line)).count();
    let tokens = oidc.count("token request") + 1;
    println!(
        "{count} machines, {tokens} tokens of {lifetime:?}: {reads} reads, {writes} writes, {refused} of them refused"
    );
    assert_eq!(oidc.count("grant.revoked"), 0);
    assert!(tokens > 2, "{tokens} tokens");
    let refreshes = tokens - 1;
    assert_eq!((writes - refused, requests.len()), (2 * refreshes, reads + writes));
    assert!(refused <= 4 * refreshes, "{refused} machines lost a race");
    let most = usize::try_from(count).unwrap() * tokens;
    assert!(reads * 10 <= most * 11, "{reads} reads, and {most} machines that need a new token");
}
