//! The whole state machine of a refresh, in memory: every failure of every port.

use std::rc::Rc;
use std::time::Duration;

use super::super::testing::{
    Memory, RenewalResult, due, ended, expired, failed, interrupted, session, stored,
};
use super::state::MAX_RENEWALS;
use super::{GRACE_TIMEOUT, NO_GRACE_TIMEOUT};
use crate::error::{Error, ErrorCode, Result};
use crate::http::{RenewalError, ServiceError};
use crate::model::{
    LoginKind, Need, OAuth, OffReason, Outcome, Provider, Session, Source, StoreFailure, Subject,
    Timestamp, Trail, Warning,
};
use crate::store::session::StoredSession;
use crate::sys::lock::RETRY_DELAY;

/// A provider whose service accepts a replaced token for a while.
const MYCLI: Provider = Provider::MYCLI;

/// A provider whose service may end the login when a replaced token comes back.
fn acme() -> Provider {
    Provider { login: LoginKind::OAuth(Box::<OAuth>::default()), ..Provider::MYCLI }
}

fn refresh(
    memory: &Memory,
    provider: &Provider,
    stale: StoredSession,
) -> Result<(StoredSession, Trail)> {
    let mut trail = Trail::default();
    let found = memory.engine().refresh(provider, Need::default(), stale, &mut trail)?;
    Ok((found, trail))
}

/// The file has the session, and the keyring does not exist.
fn in_file(session: &Session) -> Memory {
    let memory = Memory::new();
    memory.file.put_session(&MYCLI, session);
    for operation in ["read", "prepare", "delete"] {
        memory.keyring.fail(operation, OffReason::NoSessionBus.into());
    }
    memory
}

fn run(memory: &Memory, session: &Session) -> Result<(StoredSession, Trail)> {
    refresh(memory, &MYCLI, stored(session.clone(), Source::File))
}

fn redeemed(memory: &Memory) -> Vec<String> {
    memory.endpoints.redeemed.borrow().clone()
}

fn code(result: Result<(StoredSession, Trail)>) -> ErrorCode {
    result.expect_err("the refresh fails").code
}

#[test]
fn an_expired_session_is_renewed_with_one_request() {
    let memory = in_file(&expired("old"));
    memory.endpoints.will(Ok(session("new", 0)));
    let (found, trail) = run(&memory, &expired("old")).unwrap();
    assert_eq!(found, stored(session("new", 0), Source::File));
    assert_eq!(memory.file.session(&MYCLI), Some(session("new", 0)));
    assert_eq!((redeemed(&memory), trail.warnings), (vec!["old".to_owned()], vec![]));
}

#[test]
fn a_session_that_another_process_refreshed_is_returned() {
    let memory = in_file(&session("new", 0));
    let (found, _) = run(&memory, &expired("old")).unwrap();
    assert_eq!((found.session, redeemed(&memory)), (session("new", 0), vec![]));
}

#[test]
fn a_valid_token_is_returned_while_the_lock_is_held() {
    let memory = in_file(&due("old"));
    memory.locks.held_for.set(u32::MAX);
    let (found, trail) = run(&memory, &due("old")).unwrap();
    assert_eq!((found.session, trail.warnings, redeemed(&memory)), (due("old"), vec![], vec![]));
    assert_eq!(memory.clock.elapsed(), Duration::ZERO);
}

#[test]
fn the_wait_for_the_lock_ends_and_nothing_is_spent() {
    for (provider, seconds) in [(MYCLI, 5), (acme(), 20)] {
        let memory = in_file(&expired("old"));
        memory.locks.held_for.set(u32::MAX);
        let result = refresh(&memory, &provider, stored(expired("old"), Source::File));
        assert_eq!(code(result), ErrorCode::TemporarilyUnavailable);
        let expected = Duration::from_secs(seconds)..Duration::from_secs(seconds + 1);
        assert!(expected.contains(&memory.clock.elapsed()) && redeemed(&memory).is_empty());
    }
}

#[test]
fn a_process_waits_for_the_slow_refresh_of_another_one() {
    let attempts = 18_000 / u32::try_from(RETRY_DELAY.as_millis()).unwrap();
    let memory = in_file(&expired("old"));
    memory.locks.held_for.set(attempts);
    // The other process saves its result at the end.
    let (file, clock) = (Rc::clone(&memory.file), Rc::clone(&memory.clock));
    let save = move || {
        if clock.elapsed() > Duration::from_secs(17) {
            file.put_session(&MYCLI, &session("new", 0));
        }
    };
    *memory.locks.meanwhile.borrow_mut() = Some(Box::new(save));
    let result = refresh(&memory, &acme(), stored(expired("old"), Source::File));
    assert_eq!(result.unwrap().0.session, session("new", 0));
    assert!(redeemed(&memory).is_empty());
}

#[test]
fn a_lock_that_cannot_be_opened_is_a_warning_or_an_error() {
    let memory = in_file(&due("old"));
    memory.locks.broken.set(true);
    let (found, trail) = run(&memory, &due("old")).unwrap();
    assert_eq!((found.session, trail.warnings.len()), (due("old"), 1));
    let memory = in_file(&expired("old"));
    memory.locks.broken.set(true);
    assert_eq!(code(run(&memory, &expired("old"))), ErrorCode::Internal);
}

#[test]
fn nothing_is_spent_if_the_result_cannot_be_saved() {
    let failures = [
        StoreFailure::Locked,
        StoreFailure::TimedOut,
        StoreFailure::Failed("disk full".to_owned()),
        OffReason::ForeignHome.into(),
    ];
    for failure in failures {
        for old in [due("old"), expired("old")] {
            let memory = in_file(&old);
            memory.file.fail("prepare", failure.clone());
            let result = run(&memory, &old);
            assert_eq!(result.is_ok(), old == due("old"), "{failure}");
            assert!(redeemed(&memory).is_empty(), "{failure}");
            assert_eq!(memory.file.session(&MYCLI), Some(old), "{failure}");
        }
    }
}

#[test]
fn a_store_that_disappears_has_not_lost_its_session() {
    for has_older_copy in [false, true] {
        let memory = Memory::new();
        if has_older_copy {
            memory.file.put_session(&MYCLI, &expired("older"));
        }
        memory.keyring.fail("read", OffReason::NoSessionBus.into());
        let error = refresh(&memory, &MYCLI, stored(expired("old"), Source::Keyring)).unwrap_err();
        let message = "cannot read the session with mycli from the keyring: no session bus";
        assert_eq!((error.code, &*error.message), (ErrorCode::TemporarilyUnavailable, message));
        assert!(redeemed(&memory).is_empty(), "a replaced token may end the login");
    }
}

#[test]
fn nothing_is_spent_if_the_service_cannot_be_prepared() {
    let memory = in_file(&expired("old"));
    *memory.endpoints.prepare_error.borrow_mut() = Some(Error::invalid("no certificates"));
    assert_eq!(code(run(&memory, &expired("old"))), ErrorCode::InvalidRequest);
    let memory = in_file(&due("old"));
    *memory.endpoints.prepare_error.borrow_mut() = Some(Error::invalid("no certificates"));
    assert_eq!(run(&memory, &due("old")).unwrap().0.session, due("old"));
    assert!(redeemed(&memory).is_empty());
}

#[test]
fn a_lost_response_is_requested_again_within_the_grace() {
    let memory = in_file(&expired("old"));
    memory.endpoints.will(Err(interrupted()));
    memory.endpoints.will(Ok(session("new", 0)));
    let (found, _) = run(&memory, &expired("old")).unwrap();
    assert_eq!((found.session, redeemed(&memory).len()), (session("new", 0), 2));
}

#[test]
fn a_lost_response_is_not_requested_again_without_grace() {
    let memory = in_file(&expired("old"));
    memory.endpoints.will(Err(interrupted()));
    let result = refresh(&memory, &acme(), stored(expired("old"), Source::File));
    assert_eq!((code(result), redeemed(&memory).len()), (ErrorCode::TemporarilyUnavailable, 1));
    assert_eq!(memory.file.session(&MYCLI), Some(expired("old")), "the next call sends it again");
}

#[test]
fn an_unreachable_service_is_tried_again_by_the_next_call() {
    let memory = in_file(&expired("old"));
    memory.endpoints.will(Err(interrupted()));
    memory.endpoints.unreachable.set(true);
    assert_eq!(code(run(&memory, &expired("old"))), ErrorCode::TemporarilyUnavailable);
    assert_eq!((redeemed(&memory).len(), memory.endpoints.probes.get()), (1, 1));
}

#[test]
fn an_ended_session_is_deleted_from_both_stores() {
    let memory = Memory::new();
    memory.keyring.put_session(&MYCLI, &expired("old"));
    memory.file.put_session(&MYCLI, &expired("old"));
    memory.endpoints.will(Err(ended()));
    let result = refresh(&memory, &MYCLI, stored(expired("old"), Source::Keyring));
    assert_eq!(code(result), ErrorCode::SessionExpired);
    assert!(memory.keyring.is_empty() && memory.file.is_empty());
}

#[test]
fn a_successor_that_another_program_saves_late_is_used() {
    let memory = in_file(&expired("old"));
    let file = Rc::clone(&memory.file);
    let save = move || file.put_session(&MYCLI, &session("successor", 0));
    memory.endpoints.after(Box::new(save), Err(ended()));
    let (found, _) = run(&memory, &expired("old")).unwrap();
    assert_eq!(found.session, session("successor", 0));
    assert_eq!(memory.file.session(&MYCLI), Some(session("successor", 0)));
}

#[test]
fn an_ended_session_that_cannot_be_deleted_is_an_error() {
    let memory = in_file(&expired("old"));
    memory.file.fail("delete", StoreFailure::Failed("operation not permitted".to_owned()));
    memory.endpoints.will(Err(ended()));
    let error = run(&memory, &expired("old")).unwrap_err();
    assert_eq!(error.code, ErrorCode::SessionExpired);
    assert!(error.message.contains("operation not permitted"), "{error}");
    assert_eq!(redeemed(&memory).len(), 1, "the same token is not sent again");
}

#[test]
fn an_older_session_in_the_other_store_is_tried_next() {
    let memory = Memory::new();
    memory.keyring.put_session(&MYCLI, &session("older", 7200));
    memory.file.put_session(&MYCLI, &expired("old"));
    memory.endpoints.will(Err(ended()));
    memory.endpoints.will(Ok(session("new", 0)));
    let (found, _) = run(&memory, &expired("old")).unwrap();
    assert_eq!(redeemed(&memory), ["old", "older"]);
    assert_eq!((found.session, found.source), (session("new", 0), Source::Keyring));
}

#[test]
fn a_session_that_another_program_overwrote_is_found_again() {
    let memory = in_file(&expired("stale"));
    let newer = Session { refresh_token: session("ours", 0).refresh_token, ..expired("stale") };
    let text = crate::store::session::encode(&MYCLI.key, &newer);
    let key = crate::model::StorageKey { file: ".my/last-refreshed.json".into(), ..MYCLI.key };
    memory.file.put(&key, text.expose_secret());
    memory.endpoints.will(Err(ended()));
    memory.endpoints.will(Ok(session("new", 0)));
    let (found, _) = run(&memory, &expired("stale")).unwrap();
    assert_eq!(
        (redeemed(&memory), found.session),
        (vec!["stale".into(), "ours".into()], session("new", 0))
    );
}

#[test]
fn a_new_session_is_saved_in_the_other_store_if_necessary() {
    let disk_full = StoreFailure::Failed("disk full".to_owned());
    let memory = Memory::new();
    memory.file.put_session(&MYCLI, &expired("old"));
    memory.file.fail("write", disk_full.clone());
    memory.endpoints.will(Ok(session("new", 0)));
    let (found, trail) = run(&memory, &expired("old")).unwrap();
    assert_eq!(
        (found.source, memory.keyring.session(&MYCLI)),
        (Source::Keyring, Some(session("new", 0)))
    );
    assert!(matches!(&trail.warnings[..], [Warning::SavedElsewhere { store: Source::File, .. }]));

    let memory = in_file(&expired("old"));
    memory.file.fail("write", disk_full.clone());
    memory.endpoints.will(Ok(session("new", 0)));
    let (found, trail) = run(&memory, &expired("old")).unwrap();
    assert_eq!(
        (found.session, trail.warnings),
        (session("new", 0), vec![Warning::NotSaved(disk_full)])
    );
}

#[test]
fn a_session_moves_back_into_the_keyring_that_has_a_copy() {
    let memory = Memory::new();
    memory.keyring.put_session(&MYCLI, &session("older", 7200));
    memory.file.put_session(&MYCLI, &expired("old"));
    memory.endpoints.will(Ok(session("new", 0)));
    let (found, trail) = run(&memory, &expired("old")).unwrap();
    assert_eq!((found.source, trail.warnings), (Source::Keyring, vec![]));
    assert_eq!(memory.file.session(&MYCLI), None, "the older copy is removed");
    assert_eq!(memory.keyring.session(&MYCLI), Some(session("new", 0)));
}

#[test]
fn a_session_of_another_login_moves_nothing_into_the_keyring() {
    let ours = expired("old");
    let without_time = Session { logged_in_at: Timestamp::ZERO, ..expired("old") };
    let others = [
        Session { logged_in_at: Timestamp::from_unix(1), ..session("planted", 7200) },
        Session { logged_in_at: Timestamp::ZERO, ..session("planted", 7200) },
    ];
    for (session_in_file, planted) in
        [(&ours, &others[0]), (&ours, &others[1]), (&without_time, &others[1])]
    {
        let memory = Memory::new();
        memory.keyring.put_session(&MYCLI, planted);
        memory.file.put_session(&MYCLI, session_in_file);
        memory.endpoints.will(Ok(session("new", 0)));
        let (found, _) = run(&memory, session_in_file).unwrap();
        assert_eq!((found.session, found.source), (session("new", 0), Source::File));
        assert!(!memory.keyring.contains("new"), "the keyring never receives the session");
    }
}

#[test]
fn a_session_stays_in_the_configured_file() {
    let memory = Memory::with("store = \"file\"", &[]);
    memory.keyring.put_session(&MYCLI, &session("older", 7200));
    memory.file.put_session(&MYCLI, &expired("old"));
    memory.endpoints.will(Ok(session("new", 0)));
    assert_eq!(run(&memory, &expired("old")).unwrap().0.source, Source::File);
}

#[test]
fn a_copy_that_cannot_be_deleted_is_a_warning() {
    let memory = Memory::new();
    memory.keyring.put_session(&MYCLI, &session("older", 7200));
    memory.file.put_session(&MYCLI, &expired("old"));
    memory.file.fail("delete", StoreFailure::Failed("operation not permitted".to_owned()));
    memory.endpoints.will(Ok(session("new", 0)));
    let (found, trail) = run(&memory, &expired("old")).unwrap();
    assert_eq!(found.session, session("new", 0));
    assert!(matches!(&trail.warnings[..], [Warning::CopyLeft { store: Source::File, .. }]));
}

#[test]
fn a_logout_during_the_request_is_final() {
    let memory = in_file(&expired("old"));
    let file = Rc::clone(&memory.file);
    let log_out = move || {
        let _ = crate::store::CredentialStore::delete(&*file, &MYCLI.key);
    };
    memory.endpoints.after(Box::new(log_out), Ok(session("new", 0)));
    assert_eq!(code(run(&memory, &expired("old"))), ErrorCode::NotLoggedIn);
    assert!(memory.file.is_empty());
}

#[test]
fn a_login_during_the_request_is_returned() {
    let memory = in_file(&expired("old"));
    let login = Session {
        logged_in_at: Timestamp::from_unix(super::super::testing::NOW),
        ..session("other", 0)
    };
    let (file, saved) = (Rc::clone(&memory.file), login.clone());
    memory
        .endpoints
        .after(Box::new(move || file.put_session(&MYCLI, &saved)), Ok(session("new", 0)));
    let (found, _) = run(&memory, &expired("old")).unwrap();
    assert_eq!((found.session, memory.file.session(&MYCLI)), (login.clone(), Some(login)));
}

#[test]
fn the_service_decides_a_tie_with_another_process() {
    for (provider, tokens, winner) in
        [(MYCLI, vec!["old", "rival"], "newest"), (acme(), vec!["old"], "new")]
    {
        let memory = in_file(&expired("old"));
        let file = Rc::clone(&memory.file);
        let rival = move || file.put_session(&MYCLI, &session("rival", 0));
        memory.endpoints.after(Box::new(rival), Ok(session("new", 0)));
        memory.endpoints.will(Ok(session("newest", 0)));
        let (found, _) = refresh(&memory, &provider, stored(expired("old"), Source::File)).unwrap();
        assert_eq!(
            (redeemed(&memory), found.session),
            (tokens.iter().map(ToString::to_string).collect(), session(winner, 0))
        );
    }
}

#[test]
fn a_rejected_client_does_not_end_the_session() {
    let memory = in_file(&expired("old"));
    let error =
        ServiceError { status: 401, code: "invalid_client".to_owned(), ..ServiceError::default() };
    memory.endpoints.will(Err(RenewalError::ClientRejected(error.into())));
    assert_eq!(code(run(&memory, &expired("old"))), ErrorCode::Rejected);
    assert_eq!(memory.file.session(&MYCLI), Some(expired("old")));
}

#[test]
fn no_call_sends_more_than_three_refresh_tokens() {
    let memory = Memory::new();
    memory.keyring.put_session(&MYCLI, &session("older", 7200));
    memory.file.put_session(&MYCLI, &expired("stale"));
    let ours = Session { refresh_token: session("ours", 0).refresh_token, ..expired("stale") };
    let text = crate::store::session::encode(&MYCLI.key, &ours);
    let key = crate::model::StorageKey { file: ".my/last-refreshed.json".into(), ..MYCLI.key };
    memory.file.put(&key, text.expose_secret());
    for answer in [Err(ended()), Err(ended()), Err(interrupted())] {
        memory.endpoints.will(answer);
    }
    assert_eq!(code(run(&memory, &expired("stale"))), ErrorCode::TemporarilyUnavailable);
    assert_eq!(redeemed(&memory), ["stale", "ours", "older"]);
}

#[test]
fn a_rejected_token_is_not_returned_while_the_lock_is_held() {
    let memory = in_file(&session("old", 100));
    memory.locks.held_for.set(u32::MAX);
    let stale = stored(session("old", 100), Source::File);
    assert!(memory.engine().refresh_now(&MYCLI, &stale).is_err());
    let memory = in_file(&session("old", 100));
    memory.endpoints.will(Ok(session("new", 0)));
    assert_eq!(memory.engine().refresh_now(&MYCLI, &stale).unwrap().session, session("new", 0));
}

#[test]
fn a_process_that_waited_for_long_spends_nothing() {
    for (seconds, requests) in [(0, 1), (2, 1), (4, 0)] {
        let memory = in_file(&expired("old"));
        let attempts = seconds * 1000 / u32::try_from(RETRY_DELAY.as_millis()).unwrap();
        memory.locks.held_for.set(attempts);
        memory.endpoints.will(Ok(session("new", 0)));
        let result = run(&memory, &expired("old"));
        assert_eq!(
            (redeemed(&memory).len(), result.is_ok()),
            (requests, requests == 1),
            "{seconds} s"
        );
    }
}

#[test]
fn a_process_that_waited_reports_that_the_session_ended() {
    let memory = in_file(&expired("old"));
    memory.file.clear();
    let mut trail = Trail::default();
    trail.add(Subject::Session(Source::File), Outcome::Found);
    let stale = stored(expired("old"), Source::File);
    let error = memory.engine().refresh(&MYCLI, Need::default(), stale, &mut trail).unwrap_err();
    assert_eq!(error.code, ErrorCode::SessionExpired);
    let outcomes: Vec<_> = trail.attempts.iter().map(|attempt| &attempt.outcome).collect();
    assert_eq!(
        outcomes,
        [&Outcome::Unavailable(OffReason::NoSessionBus.into()), &Outcome::NoEntry]
    );
}

/// Every sequence of answers, every failure of every store, with and without a grace: a few thousand refreshes.
#[test]
fn every_refresh_ends_and_loses_no_session() {
    let answers: [fn() -> RenewalResult; 4] =
        [|| Ok(session("new", 0)), || Err(interrupted()), || Err(failed()), || Err(ended())];
    let failures = [None, Some("read"), Some("prepare"), Some("write"), Some("delete")];
    let (mut refreshes, mut renewed) = (0, 0);
    for provider in [MYCLI, acme()] {
        for first in 0..answers.len() {
            for second in 0..answers.len() {
                for (file_fails, keyring_fails) in failures
                    .iter()
                    .flat_map(|file| failures.iter().map(move |keyring| (file, keyring)))
                {
                    for (old, has_copy) in
                        [(due("old"), false), (expired("old"), false), (expired("old"), true)]
                    {
                        let memory = Memory::new();
                        memory.file.put_session(&MYCLI, &old);
                        if has_copy {
                            memory.keyring.put_session(&MYCLI, &session("copy", 7200));
                        }
                        let broken = || StoreFailure::Failed("broken".to_owned());
                        file_fails.map(|operation| memory.file.fail(operation, broken()));
                        keyring_fails.map(|operation| memory.keyring.fail(operation, broken()));
                        let script = [first, second, second, second];
                        for answer in script {
                            memory.endpoints.will(answers[answer]());
                        }
                        let result = refresh(&memory, &provider, stored(old.clone(), Source::File));
                        let what = format!(
                            "{first} {second}, file {file_fails:?}, keyring {keyring_fails:?}, {has_copy}: {result:?}"
                        );
                        check_outcome(&memory, &provider, &script, &result, &what);
                        refreshes += 1;
                        renewed += u32::from(
                            result.is_ok_and(|(found, _)| found.session == session("new", 0)),
                        );
                    }
                }
            }
        }
    }
    assert!(refreshes > 2000 && renewed > 200, "{refreshes} refreshes, {renewed} of them renewed");
}

fn check_outcome(
    memory: &Memory,
    provider: &Provider,
    script: &[usize],
    result: &Result<(StoredSession, Trail)>,
    what: &str,
) {
    let redeemed = redeemed(memory);
    assert!(redeemed.len() <= usize::from(MAX_RENEWALS), "{what}");
    let most = if provider.login.has_grace() { GRACE_TIMEOUT } else { NO_GRACE_TIMEOUT };
    assert!(memory.clock.elapsed() <= most, "{what}");
    memory.file.recover();
    memory.keyring.recover();
    let sessions = [&memory.file, &memory.keyring].map(|store| store.session(&MYCLI));
    let is_stored = |name: &str| {
        sessions.iter().flatten().any(|found| found.refresh_token == session(name, 0).refresh_token)
    };
    let answered = &script[..redeemed.len()];
    if answered.contains(&0) {
        // The service issued a session: it is stored, or the caller has it and is warned.
        let (found, trail) = result.as_ref().unwrap_or_else(|error| panic!("{error}: {what}"));
        let is_warned =
            trail.warnings.iter().any(|warning| matches!(warning, Warning::NotSaved(_)));
        assert_eq!(found.session, session("new", 0), "{what}");
        assert!(is_stored("new") || is_warned, "{what}");
    } else if !answered.contains(&3) {
        assert!(is_stored("old"), "a session that is not over stays: {what}");
    }
    // Without a grace, no token is sent twice.
    let mut tokens = redeemed.clone();
    tokens.dedup();
    assert!(provider.login.has_grace() || tokens == redeemed, "{what}");
}
