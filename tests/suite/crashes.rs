//! A refresh that is killed at any moment costs nobody the login. Seeded: `MY_TEST_SEED` repeats a run, and
//! `MY_TEST_CRASHES` says how many kills there are.

use std::time::Duration;

use account_server::Fault;

use crate::support::{HELPER, Home, service, spawn};

/// A number from the environment.
pub(crate) fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// A sequence that the seed repeats (Knuth's MMIX).
pub(crate) fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}

#[test]
fn a_refresh_that_is_killed_at_any_moment_leaves_the_next_one_to_succeed() {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let (seed, crashes) = (number("MY_TEST_SEED", now), number("MY_TEST_CRASHES", 40));
    println!("MY_TEST_SEED={seed}");
    let server = service();
    let mut state = seed;
    for crash in 0..crashes {
        let (home, _) = Home::with_stale_session(&server);
        // Half of them are in the middle of the request, the others anywhere else.
        if next(&mut state).is_multiple_of(2) {
            server.fault("/v1/auth/refresh", 1, Fault::Delay { delay_ms: next(&mut state) % 10 });
        }
        let mut command = home.command(HELPER);
        command.args(["get", "--format", "raw"]);
        let mut child = spawn(command);
        std::thread::sleep(Duration::from_micros(next(&mut state) % 25_000));
        let _ = child.kill();
        child.wait().unwrap();
        let outcome = home.run(&["get", "--format", "raw"]);
        assert_eq!(outcome.status, 0, "seed {seed}, crash {crash}: the login is lost: {outcome:?}");
        let kept = home.session().expect("the file is whole");
        assert_eq!(kept["access_token"], outcome.output.trim_end(), "seed {seed}, crash {crash}");
    }
}
