use my_credential_helper::sys::env::Environment;

use crate::explorer::explore;
use crate::world::{Bounds, Control, World};

/// Two machines with one call each, and two with two calls.
const ONE: Bounds = Bounds { machines: 2, calls: 1, ..Bounds::NONE };
const TWO: Bounds = Bounds { calls: 2, ..ONE };

/// More states than any of the models has.
const MAX_STATES: usize = 20_000_000;

/// Whether the long models are explored, too: `MY_TEST_STATES=1`.
fn is_long() -> bool {
    Environment::Process.get("MY_TEST_STATES").is_some()
}

fn check(models: &[(&str, Bounds)], long: &[(&str, Bounds)]) {
    let long = if is_long() { long } else { &[] };
    for (name, bounds) in models.iter().chain(long) {
        let explored = explore(World::new(*bounds), MAX_STATES);
        println!("{name}: {} states", explored.states);
        assert_eq!(explored.violation, None, "{name}");
        assert!(explored.states > 200, "{name}");
    }
}

/// The shortest way to what a protocol without one of its rules does wrong.
fn counterexample(bounds: Bounds) -> (&'static str, String) {
    let explored = explore(World::new(bounds), MAX_STATES);
    let (violation, labels) = explored.violation.expect("a counterexample");
    let trace: Vec<_> =
        labels.iter().map(|(machine, what)| format!("machine {machine} {what}")).collect();
    println!("{violation}, after {} states:\n  {}", explored.states, trace.join("\n  "));
    (violation, trace.join("; "))
}

#[test]
fn no_fault_of_the_store_sends_a_token_twice() {
    check(
        &[
            ("stale reads", Bounds { stale_reads: 2, crashes: 1, ..TWO }),
            ("writes", Bounds { lost_writes: 2, lagging_refusals: 1, ..TWO }),
            ("slow writes", Bounds { slow_writes: 1, short_delays: 1, ..TWO }),
            ("slow writes and a takeover", Bounds { slow_writes: 1, long_delays: 1, ..TWO }),
            ("an outage", Bounds { unavailable: 2, lost_writes: 1, ..TWO }),
        ],
        &[
            (
                "the store, long",
                Bounds { stale_reads: 1, lost_writes: 1, slow_writes: 1, long_delays: 1, ..TWO },
            ),
            ("three machines, stale reads", Bounds { machines: 3, stale_reads: 1, ..TWO }),
        ],
    );
}

#[test]
fn no_fault_of_a_machine_or_the_service_loses_a_login() {
    check(
        &[
            ("crashes", Bounds { crashes: 2, ..TWO }),
            ("a crash and a takeover", Bounds { crashes: 1, long_delays: 1, ..TWO }),
            ("lost responses", Bounds { lost_responses: 1, long_delays: 2, ..ONE }),
            ("failed requests", Bounds { failed_requests: 2, crashes: 1, ..TWO }),
            ("a rejected token", Bounds { refusals: 2, crashes: 1, ..TWO }),
            ("a rejected token and a takeover", Bounds { refusals: 1, long_delays: 1, ..TWO }),
            ("no disk", Bounds { without_pending: true, lost_writes: 1, stale_reads: 1, ..TWO }),
        ],
        &[
            (
                "three machines",
                Bounds { machines: 3, crashes: 1, stale_reads: 1, long_delays: 1, ..ONE },
            ),
            (
                "everything",
                Bounds { crashes: 1, lost_responses: 1, lost_writes: 1, long_delays: 2, ..TWO },
            ),
        ],
    );
}

#[test]
fn a_logout_and_a_login_are_final_for_late_results() {
    check(
        &[
            ("a logout", Bounds { logouts: 1, crashes: 1, lost_writes: 1, ..TWO }),
            ("a login", Bounds { logins: 1, stale_reads: 1, lagging_refusals: 1, ..TWO }),
            ("both", Bounds { logins: 1, logouts: 1, lost_writes: 1, ..TWO }),
            (
                "with pauses",
                Bounds { logins: 1, logouts: 1, long_delays: 1, may_pause: true, ..ONE },
            ),
        ],
        &[(
            "two logins",
            Bounds { logins: 2, logouts: 1, stale_reads: 1, lost_writes: 1, crashes: 1, ..TWO },
        )],
    );
}

#[test]
fn a_machine_that_was_stopped_can_always_save_its_result() {
    check(
        &[("pauses", Bounds { may_pause: true, long_delays: 2, crashes: 1, ..ONE })],
        &[("pauses, long", Bounds { may_pause: true, long_delays: 2, crashes: 2, ..TWO })],
    );
}

#[test]
fn a_pause_beyond_a_takeover_sends_a_token_twice() {
    let bounds = Bounds { may_pause: true, long_delays: 1, pauses_count: true, ..TWO };
    let (violation, trace) = counterexample(bounds);
    assert_eq!(violation, "a refresh token was sent twice");
    assert!(trace.contains("two minutes pass"), "{trace}");
}

#[test]
fn a_lease_in_another_record_sends_a_token_twice() {
    let bounds = Bounds { stale_reads: 1, control: Some(Control::SeparateLease), ..TWO };
    assert_eq!(counterexample(bounds).0, "a refresh token was sent twice");
}

#[test]
fn without_a_login_id_a_late_result_replaces_a_login() {
    let bounds = Bounds { logins: 1, control: Some(Control::NoLoginId), ..ONE };
    assert_eq!(counterexample(bounds).0, "a login was replaced by the result of another one");
}

#[test]
fn without_late_results_a_result_is_never_saved() {
    let control = Some(Control::NoLateResult);
    let bounds = Bounds { may_pause: true, long_delays: 1, crashes: 1, control, ..TWO };
    assert_eq!(counterexample(bounds).0, "a result cannot be saved");
}
