use std::time::Duration;

use super::driver::REQUEST_TIMEOUT;
use super::protocol::{
    Action, Call, Event, Failure, Goal, Input, LEASE_LIFETIME, OBSERVATION, Outcome, Process,
    REQUEST_WINDOW,
};
use crate::auth::testing::{
    Fault, Memory, NOW, ended, expired, failed, interrupted, service_error, session,
};
use crate::error::{ErrorCode, Result};
use crate::http::{RenewalError, SharedFailure};
use crate::model::{
    FleetRole, IdToken, Lease, LoginKind, Need, OAuth, Provider, Secret, Session, SharedPart,
    SharedRecord, SharedSession, SharedSettings, Snapshot, Timestamp, Trail, Warning,
};
use crate::store::fleet::{Copy, FleetFiles};
use crate::sys::clock::Clock as _;
use crate::sys::lock::RETRY_DELAY;

const SIMPLE: SharedSettings =
    SharedSettings { role: FleetRole::Simple, cache: true, cache_max_age: None, pending: true };

const UNCACHED: SharedSettings = SharedSettings { cache: false, ..SIMPLE };

fn acme(settings: SharedSettings) -> Provider {
    Provider {
        login: LoginKind::OAuth(Box::<OAuth>::default()),
        shared: Some(Box::new(settings)),
        ..Provider::MYCLI
    }
}

fn get(memory: &Memory, settings: &SharedSettings) -> Result<(String, Vec<Warning>)> {
    let provider = acme(settings.clone());
    let mut trail = Trail::default();
    let found = memory.engine().shared_session(&provider, settings, Need::default(), &mut trail)?;
    Ok((found.session.access_token.expose_secret().to_owned(), trail.warnings))
}

fn token(memory: &Memory, settings: &SharedSettings) -> String {
    get(memory, settings).unwrap_or_else(|error| panic!("{error}")).0
}

fn code(memory: &Memory, settings: &SharedSettings) -> ErrorCode {
    get(memory, settings).expect_err("no token").code
}

/// A session that is due for a refresh: 90 s are left of 900.
fn due(name: &str) -> Session {
    session(name, 810)
}

fn with(session: Session) -> Memory {
    let memory = Memory::new();
    memory.shared.put_session(session);
    memory
}

fn redeemed(memory: &Memory) -> Vec<String> {
    memory.endpoints.redeemed.borrow().clone()
}

fn requests(memory: &Memory) -> Vec<String> {
    memory.shared.requests.take()
}

fn unavailable() -> SharedFailure {
    SharedFailure::Unavailable("no leader".to_owned())
}

/// Another machine takes the lease.
fn lease(memory: &Memory) {
    let lease = Lease { holder: "build-7".to_owned(), nonce: "theirs".to_owned() };
    let shared = SharedSession { lease: Some(lease), ..memory.shared.shared() };
    memory.shared.put(SharedPart::Refresh, SharedRecord::Session(Box::new(shared)));
}

fn pass(memory: &Memory, seconds: u64) {
    memory.clock.sleep(Duration::from_secs(seconds));
}

/// All that is stored below the home directory of a machine.
fn files(memory: &Memory) -> String {
    let folder = memory.context.paths.in_home(".my/shared/mycli").unwrap();
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let read = |path: &std::path::Path| crate::sys::atomic_file::read(path).unwrap().unwrap();
    entries.map(|entry| read(&entry.path()).text.expose_secret().to_owned()).collect()
}

fn pending(memory: &Memory) -> std::path::PathBuf {
    memory.context.paths.in_home(".my/shared/mycli/default.pending").unwrap()
}

#[test]
fn two_machines_share_one_refresh() {
    let one = with(expired("old"));
    let two = one.beside();
    one.endpoints.will(Ok(session("new", 0)));
    assert_eq!(
        (token(&one, &SIMPLE), token(&two, &SIMPLE)),
        ("access-new".into(), "access-new".into())
    );
    assert_eq!((redeemed(&one), redeemed(&two)), (vec!["old".to_owned()], vec![]));
    assert_eq!(requests(&one), ["read", "lease", "session", "read"]);
    let SharedSession { session: saved, lease, login_id, .. } = one.shared.shared();
    assert_eq!(
        (saved.refresh_token, lease, &*login_id),
        (session("new", 0).refresh_token, None, "first")
    );
    assert_eq!(saved.logged_in_at, expired("old").logged_in_at);
}

#[test]
fn no_refresh_is_repeated_for_an_id_token() {
    let token = Secret::new("e30.e30.c2ln");
    let id_token = IdToken { token, expires_at: Timestamp::from_unix(NOW - 200) };
    let memory = with(Session { id_token: Some(id_token), ..session("kept", 100) });
    let need = Need { id_token: true, ..Need::default() };
    for settings in [SIMPLE, UNCACHED] {
        let engine = memory.engine();
        let found =
            engine.shared_session(&acme(settings.clone()), &settings, need, &mut Trail::default());
        assert!(need.is_unmeetable(&found.unwrap().session, memory.clock.now()));
    }
    assert!(redeemed(&memory).is_empty());
}

#[test]
fn a_copy_is_returned_without_a_request_until_it_is_due() {
    let memory = with(session("one", 0));
    for _ in 0..3 {
        assert_eq!(token(&memory, &SIMPLE), "access-one");
    }
    assert_eq!(requests(&memory), ["read"], "the others read the copy");
    let files = || files(&memory);
    assert!(files().contains("access-one") && !files().contains("\\\"one\\\""), "{}", files());
    // 900 s, of which 60 s are leeway and 180 s the time in which machines read again.
    for (seconds, is_read) in [(650, false), (200, true)] {
        pass(&memory, seconds);
        memory.endpoints.will(Ok(session("two", -850)));
        token(&memory, &SIMPLE);
        assert_eq!(!requests(&memory).is_empty(), is_read, "after {seconds} s");
    }
    let aged = SharedSettings { cache_max_age: Some(Duration::from_secs(10)), ..SIMPLE };
    let memory = with(session("one", 0));
    for (seconds, reads) in [(0, 1), (9, 0), (2, 1)] {
        pass(&memory, seconds);
        token(&memory, &aged);
        assert_eq!(requests(&memory).len(), reads, "after {seconds} s");
    }
}

#[test]
fn without_copies_every_call_reads_and_an_old_copy_is_removed() {
    let memory = with(session("one", 0));
    token(&memory, &SIMPLE);
    assert!(files(&memory).contains("access-one"), "{}", files(&memory));
    for _ in 0..2 {
        token(&memory, &UNCACHED);
        assert_eq!(files(&memory), "");
    }
    assert_eq!(requests(&memory), ["read", "read", "read"]);
}

#[test]
fn each_token_has_one_moment_at_which_it_is_read_again() {
    let mut moments = std::collections::BTreeSet::new();
    for _ in 0..8 {
        let memory = with(session("one", 0));
        let provider = acme(SIMPLE);
        token(&memory, &SIMPLE);
        let files = FleetFiles::new(&memory.context, &provider, &SIMPLE);
        let drawn = files.copy().expect("a copy").next_read;
        let seconds = drawn.unix() - NOW;
        assert!((660..=840).contains(&seconds), "{seconds} s");
        memory.engine().write_copy(&files, &SIMPLE, &session("one", 0));
        assert_eq!(files.copy().expect("a copy").next_read, drawn, "drawn once");
        moments.insert(seconds);
    }
    assert!(moments.len() > 1, "{moments:?}");
}

#[test]
fn without_the_store_a_copy_is_returned_until_it_expires() {
    let memory = with(session("one", 0));
    token(&memory, &SIMPLE);
    memory.shared.is_away.set(true);
    pass(&memory, 850);
    let before = memory.clock.elapsed();
    let (found, warnings) = get(&memory, &SIMPLE).unwrap();
    assert_eq!(found, "access-one");
    assert!(matches!(&warnings[..], [Warning::NotRefreshed { .. }]), "{warnings:?}");
    assert_eq!(memory.clock.elapsed(), before, "nobody waits");
    pass(&memory, 50);
    assert_eq!(code(&memory, &SIMPLE), ErrorCode::TemporarilyUnavailable);
    assert_eq!(redeemed(&memory), Vec::<String>::new(), "no lease, no redemption");
}

#[test]
fn a_lost_race_returns_the_token_that_lives() {
    let memory = with(due("old"));
    lease(&memory);
    let before = memory.clock.elapsed();
    assert_eq!(get(&memory, &UNCACHED).unwrap(), ("access-old".to_owned(), vec![]));
    assert_eq!(memory.clock.elapsed(), before);
    // Nor does a process wait for another one of its machine.
    let memory = with(session("old", 0));
    let aged = SharedSettings { cache_max_age: Some(Duration::from_secs(10)), ..SIMPLE };
    assert_eq!(token(&memory, &aged), "access-old");
    pass(&memory, 700);
    memory.locks.held_for.set(u32::MAX);
    let before = memory.clock.elapsed();
    assert_eq!(get(&memory, &aged).unwrap(), ("access-old".to_owned(), vec![]));
    assert_eq!(memory.clock.elapsed(), before);
    // After the expiry, the others wait for the holder.
    let memory = with(expired("old"));
    lease(&memory);
    let error = get(&memory, &UNCACHED).unwrap_err();
    assert_eq!(error.code, ErrorCode::TemporarilyUnavailable);
    assert!(error.message.contains("build-7 is refreshing"), "{error}");
    assert!(memory.clock.elapsed() <= super::TIMEOUT + Duration::from_secs(1));
    assert_eq!(redeemed(&memory), Vec::<String>::new());
}

#[test]
fn processes_that_wait_return_the_copy_of_the_holder() {
    let memory = with(due("old"));
    let provider = acme(SIMPLE);
    let copy_of = |memory: &Memory| FleetFiles::new(&memory.context, &provider, &SIMPLE);
    let (files, found) = (copy_of(&memory), std::rc::Rc::new(std::cell::RefCell::new(None)));
    let seen = found.clone();
    let during = move || *seen.borrow_mut() = files.copy().map(|copy| copy.session.access_token);
    memory.endpoints.after(Box::new(during), Ok(session("new", 0)));
    assert_eq!(token(&memory, &SIMPLE), "access-new");
    assert_eq!(*found.borrow(), Some(due("old").access_token), "before the service answers");
    assert_eq!(
        copy_of(&memory).copy().unwrap().session.access_token,
        session("new", 0).access_token
    );
    // Without a copy at its start, and with another process that has the lock for longer than it waits.
    let memory = with(due("old"));
    memory.locks.held_for.set(u32::MAX);
    let (files, session) = (copy_of(&memory), due("old"));
    let next_read = Timestamp::from_unix(NOW);
    let holder = move || files.write_copy(&Copy { session: session.clone(), next_read });
    *memory.locks.meanwhile.borrow_mut() = Some(Box::new(holder));
    assert_eq!(get(&memory, &SIMPLE).unwrap(), ("access-old".to_owned(), vec![]));
    assert_eq!(requests(&memory), Vec::<String>::new());
}

#[test]
fn the_debug_log_has_neither_ids_nor_tokens() {
    let memory = with(expired("old"));
    memory.shared.faults.borrow_mut().push_back(Fault::LostResponse);
    memory.endpoints.will(Ok(session("new", 0)));
    token(&memory, &SIMPLE);
    let messages = memory.log.0.take();
    let actions: Vec<_> =
        messages.iter().filter_map(|it| it.strip_prefix("shared session: ")).collect();
    let last = [
        "save the result on this machine",
        "check-and-set",
        "remove the result from this machine",
        "end",
    ];
    assert_eq!(actions[..4], ["read", "prepare", "check-and-set", "wait"]);
    assert_eq!(actions[actions.len() - 4..], last);
    let nonce = |text: &str| text.split(['"', ' ']).any(|word| word.len() >= 32);
    for message in messages {
        let is_secret = ["first", "access-", "\"old\""].iter().any(|it| message.contains(it));
        assert!(!is_secret && !nonce(&message), "{message}");
    }
}

/// A call that reads a record with the lease of another machine.
fn reading() -> Process {
    let boot = Duration::from_secs(100);
    let mut process = Process::new(Call {
        goal: Goal::Get,
        role: FleetRole::Simple,
        need: Need::default(),
        deadline: boot + Duration::from_secs(60),
        save_deadline: boot + Duration::from_secs(60),
        clock: (Timestamp::from_unix(NOW), boot),
        pending: None,
        has_copy: false,
        has_grace: false,
        has_client_credentials: false,
        holder: "us".to_owned(),
        nonce: "ours".to_owned(),
    });
    process.step(Input { boot, random: 0, event: Event::Started });
    process
}

fn leased(session: Session, age: i64) -> Snapshot {
    let lease = Lease { holder: "them".to_owned(), nonce: "theirs".to_owned() };
    let (login_id, lease) = ("first".to_owned(), Some(lease));
    let shared = SharedSession { login_id, session, lease, rejected: None };
    let (server_time, created_at) = (Timestamp::from_unix(NOW), Timestamp::from_unix(NOW - age));
    let record = Some(SharedRecord::Session(Box::new(shared)));
    Snapshot { record, version: 7, created_at, server_time }
}

#[test]
fn a_lease_is_taken_over_only_after_both_clocks_agree() {
    for (stale, age, observed, is_taken) in [
        (expired("old"), 120, 30, true),
        (expired("old"), 119, 3600, false),
        (expired("old"), 3600, 29, false),
        (due("old"), 3600, 3600, false),
    ] {
        let event = Event::Read(Ok(leased(stale, age)), Duration::from_secs(observed));
        let boot = Duration::from_secs(100);
        let action = reading().step(Input { boot, random: u32::MAX, event });
        assert_eq!(action == Action::Prepare, is_taken, "{age} s old, seen for {observed} s");
    }
}

#[test]
fn the_lease_of_a_dead_machine_is_remembered_between_calls() {
    let memory = with(expired("old"));
    lease(&memory);
    pass(&memory, 3600);
    get(&memory, &UNCACHED).unwrap_err();
    memory.endpoints.will(Ok(session("new", -3600)));
    assert_eq!(token(&memory, &UNCACHED), "access-new");
    let waited = memory.clock.elapsed().as_secs() - 3600;
    assert!((30..45).contains(&waited), "{waited} s");
}

#[test]
fn no_request_follows_a_lease_that_arrives_late() {
    let memory = with(expired("old"));
    memory.shared.faults.borrow_mut().push_back(Fault::SlowWrite(Duration::from_secs(6)));
    memory.endpoints.will(Ok(session("new", 0)));
    assert_eq!(token(&memory, &UNCACHED), "access-new");
    let expected = ["read", "lease", "session", "read", "lease", "session"];
    assert_eq!(requests(&memory), expected, "the late lease is released, and another one taken");
    assert_eq!(redeemed(&memory).len(), 1);
    let memory = with(expired("old"));
    for _ in 0..8 {
        memory.shared.faults.borrow_mut().push_back(Fault::SlowWrite(Duration::from_secs(6)));
    }
    assert_eq!(code(&memory, &UNCACHED), ErrorCode::TemporarilyUnavailable);
    assert_eq!((redeemed(&memory).len(), memory.shared.shared().lease), (0, None));
}

#[test]
fn a_check_and_set_of_unknown_fate_is_resolved_by_reading() {
    let refused = || Fault::Write(SharedFailure::Refused);
    let not_sent = || Fault::Write(SharedFailure::Interrupted("no response".to_owned()));
    for (name, faults) in [
        ("a standby lags", vec![refused(), refused()]),
        ("a response is lost", vec![Fault::LostResponse]),
        ("a request is lost", vec![not_sent()]),
        ("both, and an old version is read", vec![Fault::LostResponse, Fault::StaleRead(1)]),
        (
            "the lease is slow, the result is lost",
            vec![Fault::SlowWrite(Duration::from_secs(4)), Fault::LostResponse],
        ),
    ] {
        let memory = with(expired("old"));
        memory.shared.faults.borrow_mut().extend(faults);
        memory.endpoints.will(Ok(session("new", 0)));
        assert_eq!(token(&memory, &UNCACHED), "access-new", "{name}");
        assert_eq!(redeemed(&memory), ["old"], "{name}");
        assert_eq!(memory.shared.shared().session.refresh_token, session("new", 0).refresh_token);
        assert_eq!(memory.shared.shared().lease, None, "{name}");
    }
}

#[test]
fn a_result_is_written_until_the_store_has_it() {
    let memory = with(expired("old"));
    let shared = std::rc::Rc::clone(&memory.shared);
    let break_store = move || {
        let mut faults = shared.faults.borrow_mut();
        for _ in 0..4 {
            faults.push_back(Fault::Write(unavailable()));
            faults.push_back(Fault::Read(unavailable()));
        }
    };
    memory.endpoints.after(Box::new(break_store), Ok(session("new", 0)));
    assert_eq!(get(&memory, &UNCACHED).unwrap(), ("access-new".to_owned(), vec![]));
    assert!(memory.clock.elapsed() > Duration::ZERO, "delays between the attempts");
    assert_eq!(memory.shared.shared().session.refresh_token, session("new", 0).refresh_token);
    assert!(!pending(&memory).exists(), "no result is left on the machine");
}

#[test]
fn a_result_that_was_not_written_is_written_by_the_next_call() {
    for settings in [SIMPLE, UNCACHED] {
        let memory = with(expired("old"));
        let shared = std::rc::Rc::clone(&memory.shared);
        memory.endpoints.after(Box::new(move || shared.is_away.set(true)), Ok(session("new", 0)));
        let (found, warnings) = get(&memory, &settings).unwrap();
        assert_eq!(found, "access-new");
        assert!(matches!(&warnings[..], [Warning::NotShared { .. }]), "{warnings:?}");
        assert!(memory.clock.elapsed() >= Duration::from_secs(60), "{:?}", memory.clock.elapsed());
        let path = pending(&memory);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
        let before = memory.clock.elapsed();
        assert_eq!(token(&memory, &settings), "access-new");
        assert_eq!(memory.clock.elapsed(), before, "nobody waits while the token lives");
        memory.shared.is_away.set(false);
        assert_eq!(token(&memory, &settings), "access-new");
        assert_eq!(redeemed(&memory), ["old"]);
        assert_eq!(memory.shared.shared().session.refresh_token, session("new", 0).refresh_token);
        assert!(!path.exists());
    }
}

/// Another process of this machine has the lock to write the result, and dies.
#[test]
fn no_refresh_token_is_sent_while_a_result_is_pending() {
    let memory = with(expired("old"));
    let shared = std::rc::Rc::clone(&memory.shared);
    memory.endpoints.after(Box::new(move || shared.is_away.set(true)), Ok(session("new", -7200)));
    get(&memory, &UNCACHED).unwrap();
    memory.shared.is_away.set(false);
    let attempts = super::QUEUE_TIMEOUT.as_millis() / RETRY_DELAY.as_millis() + 2;
    for _ in 0..2 {
        pass(&memory, 3600);
        memory.locks.held_for.set(u32::try_from(attempts).unwrap());
        assert_eq!(code(&memory, &UNCACHED), ErrorCode::TemporarilyUnavailable);
    }
    assert_eq!(redeemed(&memory), ["old"]);
    assert_eq!(token(&memory, &UNCACHED), "access-new");
    assert_eq!(memory.shared.shared().session.refresh_token, session("new", -7200).refresh_token);
}

#[test]
fn a_standby_that_lags_behind_discards_no_result() {
    let memory = Memory::new();
    let logged_out = SharedRecord::LoggedOut { login_id: "older".to_owned() };
    memory.shared.put(SharedPart::Refresh, logged_out);
    memory.shared.put_session(expired("old"));
    let shared = std::rc::Rc::clone(&memory.shared);
    memory.endpoints.after(Box::new(move || shared.is_away.set(true)), Ok(session("new", 0)));
    get(&memory, &UNCACHED).unwrap();
    memory.shared.is_away.set(false);
    // The logout of an earlier login, before the session and the lease.
    memory.shared.faults.borrow_mut().push_back(Fault::StaleRead(2));
    assert_eq!(token(&memory, &UNCACHED), "access-new");
    assert!(pending(&memory).exists());
    assert_eq!(token(&memory, &UNCACHED), "access-new");
    assert_eq!(memory.shared.shared().session.refresh_token, session("new", 0).refresh_token);
}

#[test]
fn a_late_result_is_written_whoever_has_the_lease() {
    let memory = with(expired("old"));
    let other = memory.beside();
    let taken = move || lease(&other);
    memory.endpoints.after(Box::new(taken), Ok(session("new", 0)));
    assert_eq!(token(&memory, &UNCACHED), "access-new");
    assert_eq!(memory.shared.shared().session.refresh_token, session("new", 0).refresh_token);
}

#[test]
fn of_two_results_the_newer_one_stays() {
    for (age, winner) in [(10, "new"), (-10, "theirs")] {
        let memory = with(expired("old"));
        let other = memory.beside();
        let write = move || {
            let session = session("theirs", age);
            let shared = SharedSession { session, lease: None, ..other.shared.shared() };
            other.shared.put(SharedPart::Refresh, SharedRecord::Session(Box::new(shared)));
        };
        memory.endpoints.after(Box::new(write), Ok(session("new", 0)));
        assert_eq!(token(&memory, &UNCACHED), format!("access-{winner}"));
        assert_eq!(
            memory.shared.shared().session.access_token.expose_secret(),
            format!("access-{winner}")
        );
    }
}

#[test]
fn without_pending_no_refresh_token_is_on_the_machine() {
    let settings = SharedSettings { pending: false, ..SIMPLE };
    let memory = with(expired("old"));
    let shared = std::rc::Rc::clone(&memory.shared);
    memory.endpoints.after(Box::new(move || shared.is_away.set(true)), Ok(session("new", 0)));
    let (_, warnings) = get(&memory, &settings).unwrap();
    assert!(matches!(&warnings[..], [Warning::NotSaved(_)]), "{warnings:?}");
    let files = files(&memory);
    assert!(files.contains("access-new") && !files.contains("\\\"new\\\""), "{files}");
}

#[test]
fn a_result_of_before_pending_was_turned_off_is_written() {
    let memory = with(expired("old"));
    let shared = std::rc::Rc::clone(&memory.shared);
    memory.endpoints.after(Box::new(move || shared.is_away.set(true)), Ok(session("new", 0)));
    token(&memory, &UNCACHED);
    assert!(pending(&memory).exists());
    memory.shared.is_away.set(false);
    let settings = SharedSettings { pending: false, ..UNCACHED };
    assert_eq!(token(&memory, &settings), "access-new");
    assert!(!pending(&memory).exists());
    assert_eq!(memory.shared.shared().session.refresh_token, session("new", 0).refresh_token);
    assert_eq!(redeemed(&memory), ["old"]);
}

#[test]
fn a_rejected_refresh_token_is_sent_by_one_machine_only() {
    let memory = with(expired("old"));
    memory.endpoints.will(Err(ended()));
    assert_eq!(code(&memory, &SIMPLE), ErrorCode::SessionExpired);
    let other = memory.beside();
    let error = get(&other, &SIMPLE).unwrap_err();
    assert_eq!(error.code, ErrorCode::SessionExpired);
    assert!(error.message.contains("INVALID_TOKEN"), "{error}");
    assert_eq!(redeemed(&other), Vec::<String>::new());
    let (_, facts) = other.engine().load_with_facts(&acme(SIMPLE));
    assert!(facts.unwrap().unwrap().rejected.is_some(), "`status` names the cause");
    // The token that lives is returned, with a warning.
    let memory = with(due("old"));
    memory.endpoints.will(Err(ended()));
    let (found, warnings) = get(&memory, &UNCACHED).unwrap();
    assert_eq!((&*found, warnings.len()), ("access-old", 1));
}

#[test]
fn a_failed_request_releases_the_lease_and_a_lost_one_does_not() {
    for (answer, is_held) in [(failed(), false), (interrupted(), true)] {
        let memory = with(due("old"));
        memory.endpoints.will(Err(answer));
        let (found, warnings) = get(&memory, &UNCACHED).unwrap();
        assert_eq!((&*found, warnings.len()), ("access-old", 1));
        assert_eq!(memory.shared.shared().lease.is_some(), is_held);
    }
    // A service with a grace accepts the token again: with another lease.
    let memory = with(expired("old"));
    memory.endpoints.will(Err(interrupted()));
    memory.endpoints.will(Ok(session("new", 0)));
    let provider = Provider { login: LoginKind::MagicLink, ..acme(UNCACHED) };
    let found = memory.engine().shared_session(
        &provider,
        &UNCACHED,
        Need::default(),
        &mut Trail::default(),
    );
    assert_eq!(found.unwrap().session.access_token, session("new", 0).access_token);
    assert_eq!(requests(&memory).iter().filter(|request| *request == "lease").count(), 2);
}

#[test]
fn a_rejection_without_a_reason_names_the_login() {
    for (status, hint) in [(400, "log in with `--force`"), (503, "try again in a moment")] {
        let memory = with(expired("old"));
        memory.endpoints.will(Err(RenewalError::Failed(service_error(status, ""))));
        let error = get(&memory, &UNCACHED).unwrap_err();
        assert_eq!(error.code, ErrorCode::TemporarilyUnavailable);
        assert!(error.hint.as_ref().is_some_and(|it| it.contains(hint)), "{status}: {error:?}");
        assert!(memory.shared.shared().lease.is_none(), "the session stays");
    }
}

#[test]
fn a_rejected_access_token_forces_one_refresh_a_minute() {
    let memory = with(session("one", 100));
    let (other, provider) = (memory.beside(), acme(SIMPLE));
    let refuse = |memory: &Memory, name: &str| {
        let token = session(name, 0).access_token;
        memory.engine().refuse_shared(&provider, &SIMPLE, &token).unwrap()
    };
    token(&memory, &SIMPLE);
    token(&other, &SIMPLE);
    assert!(!refuse(&memory, "another"), "a token that this machine does not return");
    assert!(refuse(&memory, "one"));
    memory.endpoints.will(Ok(session("two", 0)));
    assert_eq!(token(&memory, &SIMPLE), "access-two");
    // The other machine reports the same token, and finds its successor.
    assert!(refuse(&other, "one"));
    assert_eq!(token(&other, &SIMPLE), "access-two");
    assert!(!refuse(&other, "two"), "within a minute");
    pass(&memory, 61);
    assert!(refuse(&memory, "two"));
    assert_eq!((redeemed(&memory).len(), redeemed(&other).len()), (1, 0));
}

#[test]
fn a_logout_is_final_for_a_late_result() {
    let memory = with(expired("old"));
    let other = memory.beside();
    let log_out = move || {
        let ended = other.engine().log_out_shared(&acme(SIMPLE), &SIMPLE).unwrap();
        assert_eq!(ended.and_then(|it| it.refresh_token), expired("old").refresh_token);
    };
    memory.endpoints.after(Box::new(log_out), Ok(session("new", 0)));
    assert_eq!(code(&memory, &SIMPLE), ErrorCode::NotLoggedIn);
    let expected = Some(SharedRecord::LoggedOut { login_id: "first".to_owned() });
    assert_eq!(memory.shared.record(SharedPart::Refresh), expected);
    assert!(!pending(&memory).exists());
}

#[test]
fn a_login_during_a_refresh_is_not_replaced() {
    let memory = with(expired("old"));
    let other = memory.beside();
    let log_in = move || {
        let stored = other.engine().save_shared(&acme(SIMPLE), &SIMPLE, &session("login", 500));
        assert_eq!(stored.unwrap().location, "memory/Refresh");
    };
    memory.endpoints.after(Box::new(log_in), Ok(session("new", 0)));
    assert_eq!(token(&memory, &UNCACHED), "access-login");
    assert_eq!(memory.shared.shared().session.refresh_token, session("login", 0).refresh_token);
    assert_ne!(memory.shared.shared().login_id, "first");
}

#[test]
fn a_reader_reads_what_a_refresher_writes() {
    let refresher = SharedSettings { role: FleetRole::Refresher, ..UNCACHED };
    let reader = SharedSettings { role: FleetRole::Reader, ..UNCACHED };
    let one = with(expired("old"));
    let two = one.beside();
    assert_eq!(code(&two, &reader), ErrorCode::NotLoggedIn);
    requests(&one);
    one.endpoints.will(Ok(session("new", 0)));
    assert_eq!(
        (token(&one, &refresher), token(&two, &reader)),
        ("access-new".into(), "access-new".into())
    );
    assert_eq!(
        requests(&one),
        ["read", "lease", "session", "read access", "session access", "read access"]
    );
    let Some(SharedRecord::Session(shared)) = one.shared.record(SharedPart::Access) else {
        panic!()
    };
    assert_eq!((shared.session.refresh_token, shared.lease), (None, None));
    pass(&one, 1000);
    assert_eq!(code(&two, &reader), ErrorCode::TemporarilyUnavailable);
    let provider = acme(reader.clone());
    assert!(
        !two.engine().refuse_shared(&provider, &reader, &session("new", 0).access_token).unwrap()
    );
    assert!(two.engine().log_out_shared(&provider, &reader).is_err());
    assert!(two.engine().save_shared(&provider, &reader, &session("x", 0)).is_err());
    assert_eq!(redeemed(&two), Vec::<String>::new());
    one.engine().log_out_shared(&acme(refresher.clone()), &refresher).unwrap();
    assert_eq!(code(&two, &reader), ErrorCode::NotLoggedIn);
}

#[test]
fn a_machine_with_a_wrong_clock_refreshes_as_the_others() {
    for ahead in [3600, -3600] {
        let by_store =
            |session: Session| super::protocol::shifted(session, time::Duration::seconds(ahead));
        let memory = Memory::new();
        memory.shared.ahead.set(ahead);
        memory.shared.put_session(by_store(session("one", 0)));
        assert_eq!(token(&memory, &SIMPLE), "access-one", "it lives, whatever this clock says");
        let (loaded, _) = memory.engine().load_with_facts(&acme(SIMPLE));
        assert_eq!(loaded.newest.unwrap().session, session("one", 0));
        let memory = Memory::new();
        memory.shared.ahead.set(ahead);
        memory.shared.put_session(by_store(expired("old")));
        memory.endpoints.will(Ok(session("new", 0)));
        assert_eq!(token(&memory, &SIMPLE), "access-new");
        let saved = memory.shared.shared().session;
        assert_eq!(saved.expires_at, by_store(session("new", 0)).expires_at);
        assert_eq!(saved.logged_in_at, by_store(expired("old")).logged_in_at);
    }
}

#[test]
fn a_process_that_waited_for_another_one_sends_nothing() {
    let memory = with(expired("old"));
    let other = memory.beside();
    memory.locks.held_for.set(3);
    *memory.locks.meanwhile.borrow_mut() = Some(Box::new(move || {
        other.shared.put_session(session("new", 0));
    }));
    assert_eq!(token(&memory, &SIMPLE), "access-new");
    assert_eq!(requests(&memory), ["read"]);
    // Without copies, each process reads, and one of them takes the lease.
    let memory = with(expired("old"));
    let other = memory.beside();
    memory.locks.held_for.set(3);
    *memory.locks.meanwhile.borrow_mut() = Some(Box::new(move || {
        other.shared.put_session(session("new", 0));
    }));
    assert_eq!(token(&memory, &UNCACHED), "access-new");
    assert_eq!(
        (requests(&memory), redeemed(&memory)),
        (vec!["read".into(), "read".into()], vec![])
    );
    // A home without locks.
    let memory = with(expired("old"));
    memory.locks.broken.set(true);
    memory.endpoints.will(Ok(session("new", 0)));
    assert_eq!(token(&memory, &UNCACHED), "access-new");
}

/// Another process of this machine has the lock, and another machine the lease.
#[test]
fn a_waiting_process_takes_the_copy_that_another_one_wrote() {
    let memory = with(expired("old"));
    lease(&memory);
    memory.locks.held_for.set(u32::MAX);
    let files = FleetFiles::new(&memory.context, &acme(SIMPLE), &SIMPLE);
    let clock = memory.clock.clone();
    let (begun, next_read) = (clock.now(), clock.now().plus_seconds(600));
    *memory.shared.meanwhile.borrow_mut() = Some(Box::new(move || {
        if clock.now().since(begun).whole_seconds() >= 8 {
            files.write_copy(&Copy { session: session("new", 0), next_read });
        }
    }));
    assert_eq!(token(&memory, &SIMPLE), "access-new");
    let count = requests(&memory).len();
    assert!((1..9).contains(&count), "{count} reads");
    assert!(memory.clock.elapsed() < Duration::from_secs(19), "{:?}", memory.clock.elapsed());
    assert_eq!(redeemed(&memory), Vec::<String>::new());
}

/// One process sends the requests of all, also if the service or another machine takes longer than a lock is held.
#[test]
fn processes_queue_while_another_one_waits_for_the_service() {
    let memory = with(expired("old"));
    let (clock, begun) = (memory.clock.clone(), memory.clock.now());
    let files = FleetFiles::new(&memory.context, &acme(SIMPLE), &SIMPLE);
    let attempts = Duration::from_secs(10).as_millis() / RETRY_DELAY.as_millis();
    memory.locks.held_for.set(attempts.try_into().unwrap());
    *memory.locks.meanwhile.borrow_mut() = Some(Box::new(move || {
        if clock.now().since(begun).whole_seconds() >= 9 {
            let next_read = clock.now().plus_seconds(600);
            files.write_copy(&Copy { session: session("new", 0), next_read });
        }
    }));
    assert_eq!(token(&memory, &SIMPLE), "access-new");
    assert_eq!(requests(&memory), Vec::<String>::new());
}

/// A token that a tool rejects while the holder of the lease waits for the service.
#[test]
fn a_late_result_replaces_a_token_that_was_marked_as_rejected() {
    for is_published in [false, true] {
        let role = if is_published { FleetRole::Refresher } else { FleetRole::Simple };
        let settings = SharedSettings { role, ..UNCACHED };
        let memory = with(due("old"));
        let (other, provider) = (memory.beside(), acme(settings.clone()));
        let marked = settings.clone();
        memory.endpoints.after(
            Box::new(move || {
                let rejected = due("old").access_token;
                let is_marked =
                    other.engine().refuse_shared(&provider, &marked, &rejected).unwrap();
                let shared = other.shared.shared();
                assert!(is_marked && shared.lease.is_some(), "the lease stays");
                assert!(shared.session.is_expired(other.clock.now()));
            }),
            Ok(session("new", 0)),
        );
        let (found, warnings) = get(&memory, &settings).unwrap();
        assert_eq!((&*found, warnings.len()), ("access-new", 0));
        let SharedSession { session: saved, lease, rejected, login_id } = memory.shared.shared();
        assert_eq!((lease, rejected, &*login_id), (None, None, "first"));
        assert_eq!(saved.expires_at, session("new", 0).expires_at, "the mark is the old token's");
        assert_eq!(saved.refresh_token, session("new", 0).refresh_token);
        assert_eq!(redeemed(&memory), ["old"]);
        assert!(!pending(&memory).exists());
        // Nobody refreshes again.
        assert_eq!(token(&memory.beside(), &settings), "access-new");
    }
}

#[test]
fn nothing_is_sent_if_this_machine_is_not_prepared() {
    let memory = with(expired("old"));
    *memory.endpoints.prepare_error.borrow_mut() =
        Some(crate::error::Error::invalid("no client secret"));
    assert_eq!(get(&memory, &UNCACHED).unwrap_err().message, "no client secret");
    let memory = with(expired("old"));
    // A file in the place of the directory: no result could be stored.
    let folder = memory.context.paths.in_home(".my/shared").unwrap();
    crate::sys::atomic_file::write(&folder, "").unwrap();
    assert!(get(&memory, &UNCACHED).is_err());
    assert_eq!(requests(&memory), ["read"], "no lease");
}

#[test]
fn waiters_wait_a_random_part_of_a_growing_delay() {
    let boot = Duration::from_secs(100);
    for (random, delays) in
        [(u32::MAX, [250, 500, 1000, 2000]), (0, [0; 4]), (u32::MAX / 2, [125, 250, 500, 1000])]
    {
        let mut process = reading();
        let read = Event::Read(Ok(leased(expired("old"), 0)), Duration::ZERO);
        for delay in delays {
            let action = process.step(Input { boot, random, event: read.clone() });
            let Action::Wait(waited) = action else { panic!("{action:?}") };
            assert_eq!(waited.as_millis(), delay);
            process.step(Input { boot, random, event: Event::Waited });
        }
    }
    let busy = |seconds| {
        let retry_after = Duration::from_secs(seconds);
        SharedFailure::Busy { reason: "rate limit".to_owned(), retry_after }
    };
    let after = |failure| {
        let event = Event::Read(Err(failure), Duration::ZERO);
        reading().step(Input { boot, random: u32::MAX, event })
    };
    assert_eq!(after(busy(17)), Action::Wait(Duration::from_millis(17_250)));
    let failure = Failure::Store(busy(61));
    assert_eq!(after(busy(61)), Action::End(Outcome::Failed(failure)), "no time for it");
}

#[test]
fn a_request_ends_before_another_machine_may_take_over() {
    assert!(OBSERVATION > REQUEST_WINDOW + REQUEST_TIMEOUT);
    assert!(LEASE_LIFETIME > OBSERVATION);
}
