//! A process that is killed at any step, or whose disk or network fails at any step, loses no session. `MY_TEST_SEED`
//! repeats a run; `MY_TEST_CRASHES` is the number of kills of each operation, and of a refresh at random times.

mod verbs;

use std::time::Duration;

use account_server::Fault;

use crate::support::seed::{Seed, number};
use crate::support::strace::{self, Call};
use crate::support::{Home, Outcome, service};
use verbs::{Case, Verb};

#[test]
fn after_a_refresh_is_killed_at_any_time_the_next_succeeds() {
    let mut seed = Seed::from_environment();
    let server = service();
    for crash in 0..number("MY_TEST_CRASHES", 40) {
        let (home, _) = Home::with_stale_session(&server);
        // Half of them are in the middle of the request, the others anywhere else.
        if seed.below(2) == 0 {
            server.fault("/v1/auth/refresh", 1, Fault::Delay { delay_ms: seed.below(10) as u64 });
        }
        let mut child = home.start(&["get", "--format", "raw"]);
        std::thread::sleep(Duration::from_micros(seed.below(25_000) as u64));
        let _ = child.kill();
        child.wait().unwrap();
        let outcome = home.run(&["get", "--format", "raw"]);
        assert_eq!(
            outcome.status, 0,
            "seed {}, crash {crash}: the login is lost: {outcome:?}",
            seed.number
        );
        let kept = home.session().expect("the file is whole");
        assert_eq!(
            kept["access_token"],
            outcome.output.trim_end(),
            "seed {}, crash {crash}",
            seed.number
        );
    }
}

/// How many places of a verb are tried.
fn count(otherwise: u64) -> usize {
    usize::try_from(number("MY_TEST_CRASHES", otherwise)).unwrap_or(usize::MAX)
}

/// Each of a verb's calls to the disk and the network, or a sample.
fn places(verb: &Verb, seed: &mut Seed, count: usize) -> Vec<Call> {
    let server = service();
    let case = (verb.lay)(&server);
    let (outcome, calls) = strace::calls_of(&case.home, &case.arguments, &case.input);
    assert_eq!(outcome.status, 0, "{}: {outcome:?}", verb.name);
    assert!(calls.len() > 5, "{}: {calls:?}", verb.name);
    (verb.done)(&case, &outcome);
    seed.sample(calls, count)
}

/// Reports the system call at which an invariant failed.
fn at<T>(verb: &Verb, seed: &Seed, what: &str, check: impl FnOnce() -> T) -> T {
    let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(check));
    checked.unwrap_or_else(|_| panic!("MY_TEST_SEED={}: {}: {what}", seed.number, verb.name))
}

/// Kills an operation before each system call, and checks the leftover state.
fn kill_everywhere(names: &[&str]) {
    if !strace::is_permitted() {
        return;
    }
    let mut seed = Seed::from_environment();
    let server = service();
    for verb in names.iter().map(|name| verbs::of(name)) {
        for call in places(verb, &mut seed, count(6)) {
            at(verb, &seed, &format!("killed before {call:?}"), || {
                let case = (verb.lay)(&server);
                strace::kill_before(&case.home, &case.arguments, &case.input, &call);
                case.is_whole();
                assert!(case.temporaries().len() < 2, "{:?}", case.temporaries());
                make_old(&case);
                (verb.holds)(&case);
                case.is_whole();
                assert_eq!(
                    case.temporaries(),
                    Vec::<std::path::PathBuf>::new(),
                    "none stays for long"
                );
            });
        }
    }
}

/// As after some minutes.
fn make_old(case: &Case<'_>) {
    for path in case.temporaries() {
        let old = std::time::SystemTime::now() - Duration::from_secs(600);
        std::fs::File::open(path).unwrap().set_modified(old).unwrap();
    }
}

#[test]
fn a_refresh_killed_before_any_system_call_loses_no_session() {
    kill_everywhere(&["refresh", "mark of a rejected token"]);
}

#[test]
fn a_login_killed_before_any_system_call_can_be_repeated() {
    kill_everywhere(&["login, first step", "login, second step", "login elsewhere"]);
}

#[test]
fn a_killed_token_login_leaves_the_old_or_the_new_token() {
    kill_everywhere(&["login with a token", "login with a token instead of a session"]);
}

#[test]
fn a_killed_store_or_erase_leaves_the_old_or_the_new_state() {
    kill_everywhere(&["store", "store again", "erase"]);
}

#[test]
fn a_logout_killed_before_any_system_call_can_be_repeated() {
    kill_everywhere(&["erase of a session", "logout"]);
}

/// What a call may fail with: a full disk or quota, a broken one, missing rights, a signal, no more files; a network
/// that is refused or breaks off.
fn errors_of(call: &Call) -> &'static [&'static str] {
    match call.name.as_str() {
        "write" | "fsync" | "ftruncate" => &["ENOSPC", "EDQUOT", "EIO"],
        "fallocate" => &["ENOSPC", "EDQUOT", "EINTR", "EOPNOTSUPP"],
        "renameat" | "rename" | "renameat2" => &["ENOSPC", "EDQUOT", "EIO", "EACCES", "EROFS"],
        "openat" => &["EACCES", "EMFILE", "ENFILE", "EIO", "EINTR", "ENOSPC"],
        "mkdir" | "mkdirat" => &["ENOSPC", "EDQUOT", "EACCES", "EROFS"],
        "unlink" | "unlinkat" => &["EIO", "EACCES", "EROFS"],
        "flock" => &["ENOLCK", "EINTR", "EIO"],
        "read" | "getdents64" => &["EIO"],
        "fchmod" | "chmod" | "fchmodat" => &["EPERM", "EROFS", "EIO"],
        "socket" => &["EMFILE", "ENOBUFS"],
        "connect" => &["ECONNREFUSED", "ENETUNREACH", "ETIMEDOUT"],
        // Longer than a login waits for a service that is out of reach.
        "writev" | "sendto" => &["ECONNRESET", "EPIPE"],
        "recvfrom" => &["ECONNRESET", "EINTR"],
        _ => &[],
    }
}

/// Lets each call of a verb fail, once or from then on.
fn fail_everywhere(names: &[&str]) {
    if !strace::is_permitted() {
        return;
    }
    let mut seed = Seed::from_environment();
    let server = service();
    for verb in names.iter().map(|name| verbs::of(name)) {
        let faults = |call: &Call| -> Vec<(Call, &'static str, bool)> {
            // It would befall another thread too.
            let errors = if call.is_shared { &[] } else { errors_of(call) };
            let all = errors.iter().flat_map(|error| [(*error, false), (*error, true)]);
            // An interrupted call is repeated without end, and threads wake each other by a write.
            let all =
                all.filter(|(error, lasts)| !lasts || *error != "EINTR" && call.name != "write");
            all.map(|(error, lasts)| (call.clone(), error, lasts)).collect()
        };
        let all = places(verb, &mut seed, usize::MAX).iter().flat_map(faults).collect();
        for (call, error, lasts) in seed.sample(all, count(8)) {
            let what =
                format!("{error} at {call:?}{}", if lasts { " and from then on" } else { "" });
            at(verb, &seed, &what, || {
                let case = (verb.lay)(&server);
                let outcome =
                    strace::fail(&case.home, &case.arguments, &case.input, &call, error, lasts);
                check_report(&case, &outcome);
                case.is_whole();
                if outcome.status == 0 {
                    (verb.done)(&case, &outcome);
                }
                make_old(&case);
                (verb.holds)(&case);
            });
        }
    }
}

/// A failure has an exit status and a message without a secret.
fn check_report(case: &Case<'_>, outcome: &Outcome) {
    assert!((0..=4).contains(&outcome.status), "{outcome:?}");
    assert_eq!(outcome.status == 0, !outcome.messages.contains("error: "), "{outcome:?}");
    assert!(
        !outcome.messages.contains("panicked") && !outcome.messages.contains("secret"),
        "{outcome:?}"
    );
    let session = case.home.session().unwrap_or_default();
    for token in [&session["access_token"], &session["refresh_token"]]
        .into_iter()
        .filter_map(|token| token.as_str())
    {
        assert!(token.is_empty() || !outcome.messages.contains(token), "{outcome:?}");
    }
}

#[test]
fn a_refresh_with_any_failing_system_call_loses_no_session() {
    fail_everywhere(&["refresh", "mark of a rejected token"]);
}

#[test]
fn a_login_with_any_failing_system_call_can_be_repeated() {
    fail_everywhere(&[
        "login, first step",
        "login, second step",
        "login elsewhere",
        "login with a token",
    ]);
    fail_everywhere(&["login with a token instead of a session"]);
}

#[test]
fn store_erase_and_logout_report_any_failing_system_call() {
    fail_everywhere(&["store", "store again", "erase", "erase of a session", "logout"]);
}
