//! A process that is killed at any step, or whose disk or network fails at any step, loses no session. `MY_TEST_SEED`
//! repeats a run; `MY_TEST_CRASHES` is the number of kills of each operation, and of a refresh at random times.

mod verbs;

use std::time::Duration;

use account_server::Fault;

use crate::support::Outcome;
use crate::support::protected;
use crate::support::seed::{Seed, number};
use crate::support::strace::{self, Call};
use verbs::{Case, Fixture, Verb};

#[test]
fn after_a_refresh_is_killed_at_any_time_the_next_succeeds() {
    kill_at_any_time(&Fixture::new(), "refresh", number("MY_TEST_CRASHES", 40), |_| {});
}

#[test]
fn a_mount_that_comes_and_goes_loses_no_session() {
    if protected::can_mount() {
        let count = number("MY_TEST_CRASHES", 12);
        kill_at_any_time(&Fixture::new(), "refresh", count, verbs::mount);
    }
}

#[test]
fn a_killed_refresh_and_a_keyring_that_goes_lose_no_session() {
    let Some(fixture) = Fixture::with_keyring() else { return };
    let count = number("MY_TEST_CRASHES", 12);
    kill_at_any_time(&fixture, "refresh in a keyring", count, verbs::hide_keyring);
}

/// Kills a refresh at random times, some time after the fault, if any; the fault is over before the next refresh.
fn kill_at_any_time(fixture: &Fixture, verb: &str, count: u64, fault: fn(&Case<'_>)) {
    let mut seed = Seed::from_environment();
    let verb = verbs::of(verb);
    for crash in 0..count {
        at(verb, seed.number, &format!("crash {crash}"), || {
            let case = (verb.lay)(fixture);
            // Half of them are in the middle of the request, the others anywhere else.
            if seed.below(2) == 0 {
                let delay = Fault::Delay { delay_ms: seed.below(10) as u64 };
                fixture.server.fault("/v1/auth/refresh", 1, delay);
            }
            let mut child = case.home.start(&["get", "--format", "raw"]);
            for then in [fault, |_: &Case<'_>| {}] {
                std::thread::sleep(Duration::from_micros(seed.below(12_500) as u64));
                then(&case);
            }
            let _ = child.kill();
            child.wait().unwrap();
            case.end_fault();
            (verb.holds)(&case);
        });
    }
}

/// How many places of a verb are tried.
fn count(otherwise: u64) -> usize {
    usize::try_from(number("MY_TEST_CRASHES", otherwise)).unwrap_or(usize::MAX)
}

/// Each of a verb's calls to the disk and the network, or a sample.
fn places(verb: &Verb, fixture: &Fixture, seed: &mut Seed, count: usize) -> Vec<Call> {
    let case = (verb.lay)(fixture);
    let (outcome, calls) = strace::calls_of(&case.home, &case.arguments, &case.input);
    assert_eq!(outcome.status, case.status, "{}: {outcome:?}", verb.name);
    assert!(calls.len() > 5, "{}: {calls:?}", verb.name);
    if outcome.status == 0 {
        (verb.done)(&case, &outcome);
    }
    seed.sample(calls, count)
}

/// Reports the system call at which an invariant failed.
fn at<T>(verb: &Verb, seed: u64, what: &str, check: impl FnOnce() -> T) -> T {
    let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(check));
    checked.unwrap_or_else(|_| panic!("MY_TEST_SEED={seed}: {}: {what}", verb.name))
}

/// Kills an operation before each system call, and checks the leftover state.
fn kill_everywhere(fixture: &Fixture, names: &[&str]) {
    if !strace::is_permitted() {
        return;
    }
    let mut seed = Seed::from_environment();
    for verb in names.iter().map(|name| verbs::of(name)) {
        let places = places(verb, fixture, &mut seed, count(3));
        println!("{}: {} kills", verb.name, places.len());
        for call in places {
            at(verb, seed.number, &format!("killed before {call:?}"), || {
                let case = (verb.lay)(fixture);
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
    kill_everywhere(&Fixture::new(), &["refresh", "mark of a rejected token"]);
}

#[test]
fn a_login_killed_before_any_system_call_can_be_repeated() {
    kill_everywhere(
        &Fixture::new(),
        &["login, first step", "login, second step", "login elsewhere"],
    );
}

#[test]
fn a_killed_token_login_leaves_the_old_or_the_new_token() {
    kill_everywhere(
        &Fixture::new(),
        &["login with a token", "login with a token instead of a session"],
    );
}

#[test]
fn a_killed_store_or_erase_leaves_the_old_or_the_new_state() {
    kill_everywhere(&Fixture::new(), &["store", "store again", "erase"]);
}

#[test]
fn a_logout_killed_before_any_system_call_can_be_repeated() {
    kill_everywhere(&Fixture::new(), &["erase of a session", "logout"]);
}

/// What a call may fail with: a full disk or quota, a broken one, missing rights, a signal, no more files; a network
/// that is refused or breaks off.
fn errors_of(call: &Call) -> &'static [&'static str] {
    match call.name.as_str() {
        "write" | "fsync" | "ftruncate" => &["ENOSPC", "EDQUOT", "EIO"],
        "fallocate" => &["ENOSPC", "EDQUOT", "EINTR", "EOPNOTSUPP"],
        // EBUSY: the file has been mounted by itself meanwhile.
        "renameat" | "rename" | "renameat2" => {
            &["ENOSPC", "EDQUOT", "EIO", "EACCES", "EROFS", "EBUSY"]
        }
        "openat" => &["EACCES", "EMFILE", "ENFILE", "EIO", "EINTR", "ENOSPC"],
        "mkdir" | "mkdirat" => &["ENOSPC", "EDQUOT", "EACCES", "EROFS"],
        "unlink" | "unlinkat" => &["EIO", "EACCES", "EROFS"],
        "flock" => &["ENOLCK", "EINTR", "EIO"],
        "read" | "getdents64" => &["EIO"],
        "fchmod" | "chmod" | "fchmodat" => &["EPERM", "EROFS", "EIO"],
        "socket" => &["EMFILE", "ENOBUFS"],
        "connect" => &["ECONNREFUSED", "ENETUNREACH", "ETIMEDOUT"],
        // Longer than a login waits for a service that is out of reach.
        "writev" | "sendto" | "sendmsg" => &["ECONNRESET", "EPIPE"],
        "recvfrom" | "recvmsg" => &["ECONNRESET", "EINTR"],
        _ => &[],
    }
}

/// Lets each call of a verb fail, once or from then on.
fn fail_everywhere(fixture: &Fixture, names: &[&str]) {
    if !strace::is_permitted() {
        return;
    }
    let mut seed = Seed::from_environment();
    for verb in names.iter().map(|name| verbs::of(name)) {
        let faults = |call: &Call| -> Vec<(Call, &'static str, bool)> {
            // It would befall another thread too, as it does where the bus is away.
            let is_excluded = call.is_shared && !call.is_to_bus;
            let errors = if is_excluded { &[] } else { errors_of(call) };
            let all = errors.iter().flat_map(|error| [(*error, false), (*error, true)]);
            // An interrupted call is repeated without end, and threads wake each other by a write.
            let all =
                all.filter(|(error, lasts)| !lasts || *error != "EINTR" && call.name != "write");
            all.map(|(error, lasts)| (call.clone(), error, lasts)).collect()
        };
        let all = places(verb, fixture, &mut seed, usize::MAX).iter().flat_map(faults).collect();
        let faults = seed.sample(all, count(4));
        println!("{}: {} faults", verb.name, faults.len());
        for (call, error, lasts) in faults {
            let what =
                format!("{error} at {call:?}{}", if lasts { " and from then on" } else { "" });
            at(verb, seed.number, &what, || {
                let case = (verb.lay)(fixture);
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
    fail_everywhere(&Fixture::new(), &["refresh", "mark of a rejected token"]);
}

#[test]
fn a_login_with_any_failing_system_call_can_be_repeated() {
    fail_everywhere(
        &Fixture::new(),
        &["login, first step", "login, second step", "login elsewhere", "login with a token"],
    );
    fail_everywhere(&Fixture::new(), &["login with a token instead of a session"]);
}

#[test]
fn store_erase_and_logout_report_any_failing_system_call() {
    fail_everywhere(
        &Fixture::new(),
        &["store", "store again", "erase", "erase of a session", "logout"],
    );
}

/// Single files are mounted into development containers.
const MOUNTED: [&str; 5] = [
    "refresh of a mounted file",
    "mark of a rejected token in a mounted file",
    "login over a mounted file",
    "logout of a mounted file",
    "erase of a session in a mounted file",
];

#[test]
fn on_a_mounted_file_a_killed_process_loses_no_session() {
    if protected::can_mount() {
        kill_everywhere(&Fixture::new(), &MOUNTED);
    }
}

#[test]
fn on_a_mounted_file_a_failing_system_call_loses_no_session() {
    if protected::can_mount() {
        fail_everywhere(&Fixture::new(), &MOUNTED);
    }
}

/// A call to the bus that fails is a keyring that is away, for a moment or from then on.
const IN_KEYRING: [&str; 6] = [
    "refresh in a keyring",
    "mark of a rejected token in a keyring",
    "login with a keyring",
    "logout with a keyring",
    "store in a keyring",
    "erase in a keyring",
];

#[test]
fn with_a_keyring_a_killed_process_loses_no_session() {
    let Some(fixture) = Fixture::with_keyring() else { return };
    kill_everywhere(&fixture, &IN_KEYRING);
}

#[test]
fn with_a_keyring_a_failing_system_call_loses_no_session() {
    let Some(fixture) = Fixture::with_keyring() else { return };
    fail_everywhere(&fixture, &IN_KEYRING);
}
