//! The refresh, the only code that spends a refresh token of a session of this machine. The token is valid once. Of all processes that find the same
//! stale session, one sends the request and the others read what it saved. The token is spent only if the result can be
//! saved.
//!
//! A service with a grace (mycli: 30 s) receives the token again if its response was lost. Another OAuth 2 service may
//! revoke the whole login when it receives a replaced token: one refresh sends the token once, and waits longer for the
//! response. If no response comes, the token stays stored and the next call sends it again: if the service has processed
//! the first request, the login is lost with its response in any case; if it has not, nothing is lost.
//!
//! From the request to the write of its result, into space that was reserved before, Control-C and requests to terminate
//! are deferred ([`signals`]). A kill or a power failure between the response and the write loses the login with such a
//! service. No client can prevent that.

use std::cmp::Ordering;
use std::time::{Duration, Instant};

use super::{REJECTED_HINT, Timeouts, last_refreshed, lock_timeout};
use crate::auth::{Engine, resolve};
use crate::config::StoreChoice;
use crate::error::{Error, ErrorCode, Result};
use crate::http::{Renewal, RenewalError};
use crate::model::{
    Attempt, Need, Outcome, Provider, Session, Source, StoreFailure, Subject, Timestamp, Trail,
    Warning,
};
use crate::store::PreparedWrite;
use crate::store::session::{self, LoadedSessions, StoredSession};
use crate::sys::lock::{self, Lock};
use crate::sys::signals::{self, BlockedSignals};

/// How many refresh tokens one call sends, of whatever session: the first, one more after a lost response, and one in a tie
/// with another process.
pub(super) const MAX_RENEWALS: u8 = 3;

/// The bytes that are reserved for a session: more than any service's tokens need.
const RESERVED_SIZE: usize = 56 * 1024;

/// The delay before the stores are read again while another process holds the lock; it doubles each time. Dozens of
/// processes that read the keyring continuously would slow down each other and the keyring.
const FIRST_READ_DELAY: Duration = Duration::from_millis(20);

/// No token is sent with less time left: a request that is cut short may spend the token, or the grace, for nothing.
pub(super) const MIN_REQUEST_TIME: Duration = Duration::from_secs(2);

/// The delay before an interrupted request is sent again.
const RETRY_DELAY: Duration = Duration::from_millis(700);

/// The delay before the stores are read again for a rejected session: another program may have spent the token, and not
/// yet saved its result.
const REJECTED_READ_DELAY: Duration = Duration::from_millis(200);

/// The state of the session in the stores and at the service.
enum State<'r> {
    /// Another process may hold the lock. The session was stale when it was read.
    Unlocked { stale: StoredSession, next_read: Instant, delay: Duration },
    /// This process holds the lock. The session that it read before, in this store, may be old.
    Locked(Source),
    /// The session is stale, and this call has not sent its refresh token. `older`: the session in the other store.
    Due { session: StoredSession, older: Option<StoredSession> },
    /// The result can be saved. The next step spends the token.
    Prepared(Exchange<'r>),
    /// The response was lost: the token may be spent. The service accepts it again.
    Interrupted(Exchange<'r>, RenewalError),
    /// The service rejected the token as invalid. The stores still have the session.
    Rejected(Exchange<'r>, RenewalError),
    /// The service issued a session. No store has it.
    Issued(Exchange<'r>, Session),
    /// The issued session is the one in force. No store has it.
    Reconciled(Exchange<'r>, Session),
    /// A store has the new session, and the other store may have an older one.
    Saved { session: Session, source: Source },
    /// The session has ended. Another program may be about to save its successor: the stores are read again after each
    /// delay.
    Ended { session: StoredSession, error: RenewalError, delays: &'static [Duration] },
    /// The session has ended, and no program has saved a successor.
    Unrecoverable { session: StoredSession, error: RenewalError },
    /// The refresh failed, and the session stays stored.
    Failed { session: StoredSession, failure: Failure },
}

/// A session whose refresh token can be spent, and everything that was prepared for it.
struct Exchange<'r> {
    session: StoredSession,
    renewal: Box<dyn Renewal + 'r>,
    write: PreparedWrite<'r>,
    /// The store of the result.
    destination: Source,
}

struct Failure {
    reason: String,
    code: ErrorCode,
    hint: &'static str,
}

impl Failure {
    fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            code: ErrorCode::TemporarilyUnavailable,
            hint: "try again in a moment; the session is still stored",
        }
    }
}

struct Refresh<'r> {
    engine: &'r Engine<'r>,
    provider: &'r Provider,
    need: Need,
    timeouts: Timeouts,
    started: Instant,
    renewals: u8,
    lock: Option<Box<dyn Lock>>,
    blocked: Option<BlockedSignals>,
}

/// Refreshes a stale session; adds warnings to the trail.
pub(super) fn run(
    engine: &Engine<'_>,
    provider: &Provider,
    need: Need,
    timeouts: Timeouts,
    stale: StoredSession,
    trail: &mut Trail,
) -> Result<StoredSession> {
    engine
        .log
        .debug(&|| format!("the session expires at {}: refreshing it", stale.session.expires_at));
    let (started, delay) = (engine.clock.instant(), FIRST_READ_DELAY);
    let mut refresh = Refresh {
        engine,
        provider,
        need,
        timeouts,
        started,
        renewals: 0,
        lock: None,
        blocked: None,
    };
    let mut state = State::Unlocked { stale, next_read: started + delay, delay };
    loop {
        match refresh.step(state, trail)? {
            Step::Next(next) => state = next,
            Step::Done(session) => return Ok(session),
        }
    }
}

enum Step<'r> {
    Next(State<'r>),
    Done(StoredSession),
}

impl<'r> From<State<'r>> for Step<'r> {
    fn from(state: State<'r>) -> Self {
        Self::Next(state)
    }
}

impl<'r> Refresh<'r> {
    fn step(&mut self, state: State<'r>, trail: &mut Trail) -> Result<Step<'r>> {
        match state {
            State::Unlocked { stale, next_read, delay } => {
                self.take_lock(stale, next_read, delay, trail)
            }
            State::Locked(source) => self.read_again(source, trail),
            State::Due { session, older } => self.prepare(session, older),
            State::Prepared(exchange) => Ok(self.spend(exchange)),
            State::Interrupted(exchange, error) => Ok(self.retry(exchange, error)),
            State::Rejected(exchange, error) => Ok(self.try_replacement(exchange, error)),
            State::Issued(exchange, new) => self.reconcile(exchange, new),
            State::Reconciled(exchange, new) => Ok(self.save(exchange, new, trail)),
            State::Saved { session, source } => Ok(self.remove_copy(session, source, trail)),
            State::Ended { session, error, delays } => {
                Ok(self.wait_for_successor(session, error, delays))
            }
            State::Unrecoverable { session, error } => self.remove(&session, &error),
            State::Failed { session, failure } => self.fall_back(session, failure, trail),
        }
    }

    /// Takes the lock. If another process holds it, returns a token that has not expired, or what that process saved.
    fn take_lock(
        &mut self,
        stale: StoredSession,
        mut next_read: Instant,
        mut delay: Duration,
        trail: &mut Trail,
    ) -> Result<Step<'r>> {
        let path = self.engine.context.paths.in_home(&self.provider.key.lock).map_err(Error::from);
        let lock = path.and_then(|path| Ok(self.engine.locks.try_lock(&path)?));
        if let Ok(Some(lock)) = lock {
            self.lock = Some(lock);
            return Ok(State::Locked(stale.source).into());
        }
        if !self.is_expired(&stale) {
            // The lock cannot be taken at all in a home that is mounted read-only.
            trail.warnings.extend(lock.err().map(|error| self.not_refreshed(error.message)));
            return Ok(Step::Done(stale));
        }
        lock?;
        let now = self.engine.clock.instant();
        if now >= next_read {
            if let Some(session) = self.read_fresh() {
                return Ok(Step::Done(session));
            }
            delay *= 2;
            next_read = now + delay;
        }
        if now >= self.started + self.timeouts.lock {
            return Err(lock_timeout(self.timeouts.lock));
        }
        self.engine.clock.sleep(lock::RETRY_DELAY);
        Ok(State::Unlocked { stale, next_read, delay }.into())
    }

    /// Reads the stores again: only a token that was read under the lock may be spent. If the store that had the session is
    /// away, it has not lost the session, and an older one in the other store is not sent: that may end the login.
    fn read_again(&mut self, source: Source, trail: &mut Trail) -> Result<Step<'r>> {
        let mut loaded = self.load();
        let is_source = |attempt: &&Attempt| attempt.subject == Subject::Session(source);
        if let Some(Outcome::Unavailable(failure)) =
            loaded.trail.attempts.iter().find(is_source).map(|attempt| &attempt.outcome)
        {
            loaded.newest = loaded.newest.take().filter(|session| self.is_fresh(session));
            loaded.problem = Some((source, failure.clone()));
        }
        trail.attempts.retain(|attempt| !matches!(attempt.subject, Subject::Session(_)));
        trail.attempts.append(&mut loaded.trail.attempts);
        match loaded.newest.take() {
            None if loaded.problem.is_none() => Err(self.removed()),
            None => Err(resolve::no_session(&loaded, self.provider, self.engine.context)),
            Some(session) if self.is_fresh(&session) => Ok(Step::Done(session)),
            Some(session) => Ok(State::Due { session, older: loaded.older }.into()),
        }
    }

    /// The session was there before the lock: the service ended it, or a person logged out.
    fn removed(&self) -> Error {
        let title = self.provider.title();
        let message =
            format!("the session with {title} was removed while another process was refreshing it");
        Error::new(ErrorCode::SessionExpired, message).with_hint(self.provider.login_hint())
    }

    /// Does everything that can fail on this machine before the token is spent.
    fn prepare(
        &mut self,
        session: StoredSession,
        older: Option<StoredSession>,
    ) -> Result<Step<'r>> {
        let failed = |session, reason: String| {
            Ok(State::Failed { session, failure: Failure::new(reason) }.into())
        };
        if !self.provider.login.can_renew(&session.session) {
            return failed(session, "it has no refresh token".to_owned());
        }
        // If the keyring rejected an earlier result, the session is in the file, and an older one of the same login in the
        // keyring: it moves back to the keyring, unless the file is configured. The session of any other login proves
        // nothing: it may have been planted in a keyring that this user never chose.
        let is_same_login = |older: StoredSession| {
            let login = older.session.logged_in_at;
            login == session.session.logged_in_at && login != Timestamp::ZERO
        };
        let moves_back = older.is_some_and(is_same_login)
            && self.engine.context.store_choice()? != Some(StoreChoice::File);
        let destination = if moves_back { Source::Keyring } else { session.source };
        let renewal = match self.engine.endpoints.prepare(self.provider, self.deadline()) {
            Ok(renewal) => renewal,
            Err(error) if self.is_expired(&session) => return Err(error),
            Err(error) => return failed(session, error.message),
        };
        let store = self.engine.stores.get(destination);
        let write = match store.prepare(&self.provider.key, RESERVED_SIZE) {
            Ok(write) => write,
            Err(cause) => {
                let reason = format!("the new session could not be saved: {cause}");
                let hint = "correct what prevents the write; the session is still stored";
                let failure = Failure { hint, ..Failure::new(reason) };
                return Ok(State::Failed { session, failure }.into());
            }
        };
        if !self.may_renew() {
            return failed(session, "no time left for the request".to_owned());
        }
        Ok(State::Prepared(Exchange { session, renewal, write, destination }).into())
    }

    /// Sends the refresh token. From here on it may be spent.
    fn spend(&mut self, exchange: Exchange<'r>) -> Step<'r> {
        // Another guard would restore the mask of this one.
        self.blocked.get_or_insert_with(signals::block);
        match self.renew(&exchange, &exchange.session.session) {
            Err(error @ RenewalError::Interrupted(_)) if self.may_retry() => {
                State::Interrupted(exchange, error).into()
            }
            result => self.classify(exchange, result),
        }
    }

    /// Sends the refresh token again after a lost response. If the service is not reachable yet, this try is left to the
    /// next call.
    fn retry(&mut self, exchange: Exchange<'r>, error: RenewalError) -> Step<'r> {
        self.engine.clock.sleep(RETRY_DELAY);
        let result = if exchange.renewal.is_reachable() {
            self.renew(&exchange, &exchange.session.session)
        } else {
            Err(error)
        };
        self.classify(exchange, result)
    }

    fn classify(&self, exchange: Exchange<'r>, result: Result<Session, RenewalError>) -> Step<'r> {
        let error = match result {
            Ok(new) => return State::Issued(exchange, new).into(),
            Err(error @ RenewalError::SessionEnded(_)) => {
                return State::Rejected(exchange, error).into();
            }
            Err(error) => error,
        };
        let failure = Failure::new(error.to_string());
        let failure = match error {
            RenewalError::ClientRejected(_) => Failure {
                code: ErrorCode::Rejected,
                hint: "check `client_id` and the client secret in config.toml; the session is still stored",
                ..failure
            },
            RenewalError::Failed(error) if error.is_rejection() => {
                Failure { hint: REJECTED_HINT, ..failure }
            }
            // The service accepts a replaced token once.
            RenewalError::Interrupted(_)
                if self.provider.login.has_grace() && self.renewals == 1 =>
            {
                Failure {
                    hint: "try again within 30 s, while the service still accepts the refresh token that it may have replaced",
                    ..failure
                }
            }
            _ => failure,
        };
        State::Failed { session: exchange.session, failure }.into()
    }

    /// Another program may have replaced the session that this program received last with an older one: sends the refresh
    /// token of the copy.
    fn try_replacement(&mut self, exchange: Exchange<'r>, error: RenewalError) -> Step<'r> {
        let replacement =
            last_refreshed::replacement(&self.engine.stores, self.provider, &exchange.session);
        if replacement.is_some() && !self.may_renew() {
            let failure = Failure::new(error.to_string());
            return State::Failed { session: exchange.session, failure }.into();
        }
        match replacement.map(|ours| self.renew(&exchange, &ours)) {
            Some(Ok(new)) => State::Issued(exchange, new).into(),
            Some(Err(RenewalError::SessionEnded(_))) | None => {
                let delays = &[Duration::ZERO, REJECTED_READ_DELAY];
                State::Ended { session: exchange.session, error, delays }.into()
            }
            Some(Err(other)) => State::Failed {
                session: exchange.session,
                failure: Failure::new(other.to_string()),
            }
            .into(),
        }
    }

    /// Decides which session is in force: another program may have written one without the lock.
    fn reconcile(&mut self, exchange: Exchange<'r>, new: Session) -> Result<Step<'r>> {
        let (spent, source) = (&exchange.session.session, exchange.session.source);
        let stored = match session::read(self.engine.stores.get(source), &self.provider.key) {
            Ok(Some(stored)) => stored,
            Ok(None) => {
                let message = format!("logged out of {} during the refresh", self.provider.title());
                return Err(Error::new(ErrorCode::NotLoggedIn, message)
                    .with_hint(self.provider.login_hint()));
            }
            Err(_) => return Ok(State::Reconciled(exchange, new).into()),
        };
        if stored.refresh_token == spent.refresh_token {
            return Ok(State::Reconciled(exchange, new).into());
        }
        if stored.logged_in_at != spent.logged_in_at {
            // A new login, possibly of another person.
            return Ok(Step::Done(StoredSession { session: stored, source }));
        }
        match session::issued_at(&stored).0.cmp(&session::issued_at(&new).0) {
            Ordering::Greater => Ok(Step::Done(StoredSession { session: stored, source })),
            // Both were issued within one second, and only the service knows which one replaced the other. It accepts both
            // during the grace, and issues the newest session for either.
            Ordering::Equal if self.provider.login.has_grace() && self.may_renew() => {
                let newest = self.renew(&exchange, &stored).unwrap_or(new);
                Ok(State::Reconciled(exchange, newest).into())
            }
            _ => Ok(State::Reconciled(exchange, new).into()),
        }
    }

    /// Saves the new session, if necessary in the other store: the old token is spent.
    fn save(&mut self, exchange: Exchange<'r>, new: Session, trail: &mut Trail) -> Step<'r> {
        let Exchange { session: spent, write, destination, .. } = exchange;
        let (stores, key) = (&self.engine.stores, &self.provider.key);
        let text = session::encode(key, &new);
        let first = write(&text);
        // If the prepared file was removed meanwhile, a new write may succeed.
        let Err(cause) =
            first.or_else(|cause| stores.get(destination).write(key, &text).map_err(|_| cause))
        else {
            return State::Saved { session: new, source: destination }.into();
        };
        let other = destination.other();
        if let Ok(stored) = stores.get(other).write(key, &text) {
            let location = stored.location;
            trail.warnings.push(Warning::SavedElsewhere { store: destination, cause, location });
            State::Saved { session: new, source: other }.into()
        } else {
            trail.warnings.push(Warning::NotSaved(cause));
            Step::Done(StoredSession { session: new, source: spent.source })
        }
    }

    /// Deletes an older session from the other store. If that fails, it stays the older one, and is not in force.
    fn remove_copy(&self, new: Session, source: Source, trail: &mut Trail) -> Step<'r> {
        last_refreshed::save(&self.engine.stores, self.provider, source, &new);
        let store = self.engine.stores.get(source.other());
        let removed = match session::read(store, &self.provider.key) {
            Ok(Some(copy)) if session::issued_at(&copy) <= session::issued_at(&new) => {
                session::delete_if(store, &self.provider.key, &copy).map(drop)
            }
            _ => Ok(()),
        };
        if let Err(cause) = removed
            && !matches!(cause, StoreFailure::Off(_))
        {
            trail.warnings.push(Warning::CopyLeft { store: source.other(), cause });
        }
        Step::Done(StoredSession { session: new, source })
    }

    /// Reads the stores after the next delay for a session that another program saved.
    fn wait_for_successor(
        &mut self,
        session: StoredSession,
        error: RenewalError,
        delays: &'static [Duration],
    ) -> Step<'r> {
        self.blocked = None;
        let Some((delay, delays)) = delays.split_first() else {
            return State::Unrecoverable { session, error }.into();
        };
        self.engine.clock.sleep((*delay).min(self.time_left()));
        let is_other =
            |other: &StoredSession| other.session.refresh_token != session.session.refresh_token;
        match self.load().newest.filter(is_other) {
            Some(other) if self.is_fresh(&other) => Step::Done(other),
            Some(session) => {
                let failure = Failure::new("it has just been replaced");
                State::Failed { session, failure }.into()
            }
            None => State::Ended { session, error, delays }.into(),
        }
    }

    /// Deletes an ended session, if it is still stored. The other store may have an older session of which the service
    /// accepts the token: it is tried, since the next call would find it.
    fn remove(&mut self, session: &StoredSession, error: &RenewalError) -> Result<Step<'r>> {
        let key = &self.provider.key;
        let mut left = None;
        for store in self.engine.stores.in_order() {
            match session::delete_if(store, key, &session.session) {
                Ok(_) | Err(StoreFailure::Off(_)) => {}
                Err(cause) => left = Some((store.source(), cause)),
            }
        }
        last_refreshed::forget(&self.engine.stores, self.provider);
        let is_other = |other: &StoredSession| {
            other.session.refresh_token.is_some() && !other.session.has_tokens_of(&session.session)
        };
        if self.may_renew() && self.load().newest.is_some_and(|other| is_other(&other)) {
            return Ok(State::Locked(session.source).into());
        }
        let message =
            format!("the session with {} is no longer valid: {error}", self.provider.title());
        let message = match left {
            Some((source, cause)) => {
                format!("{message}; cannot remove it from the {}: {cause}", source.name())
            }
            None => message,
        };
        Err(Error::new(ErrorCode::SessionExpired, message).with_hint(self.provider.login_hint()))
    }

    /// Returns a session that another program saved, or a token that has not expired; an error otherwise.
    fn fall_back(
        &self,
        session: StoredSession,
        failure: Failure,
        trail: &mut Trail,
    ) -> Result<Step<'r>> {
        if let Some(other) = self.read_fresh() {
            return Ok(Step::Done(other));
        }
        let Failure { reason, code, hint } = failure;
        let warning = self.not_refreshed(reason);
        if self.is_expired(&session) {
            return Err(Error::new(code, warning.to_string()).with_hint(hint));
        }
        trail.warnings.push(warning);
        Ok(Step::Done(session))
    }

    fn renew(
        &mut self,
        exchange: &Exchange<'_>,
        session: &Session,
    ) -> Result<Session, RenewalError> {
        self.renewals += 1;
        exchange.renewal.renew(session)
    }

    /// Whether this call may send another refresh token.
    fn may_renew(&self) -> bool {
        self.renewals < MAX_RENEWALS && self.time_left() >= MIN_REQUEST_TIME
    }

    fn may_retry(&self) -> bool {
        let has_time = self.time_left() >= RETRY_DELAY + MIN_REQUEST_TIME;
        self.may_renew() && self.provider.login.has_grace() && has_time
    }

    fn deadline(&self) -> Instant {
        self.started + self.timeouts.total
    }

    fn time_left(&self) -> Duration {
        self.deadline().saturating_duration_since(self.engine.clock.instant())
    }

    fn load(&self) -> LoadedSessions {
        session::load(&self.engine.stores, &self.provider.key)
    }

    fn is_fresh(&self, stored: &StoredSession) -> bool {
        self.need.is_met(&stored.session, self.engine.clock.now())
    }

    fn is_expired(&self, stored: &StoredSession) -> bool {
        self.need.is_expired(&stored.session, self.engine.clock.now())
    }

    fn read_fresh(&self) -> Option<StoredSession> {
        self.load().newest.filter(|stored| self.is_fresh(stored))
    }

    fn not_refreshed(&self, reason: String) -> Warning {
        Warning::NotRefreshed { provider: self.provider.title(), reason }
    }
}
