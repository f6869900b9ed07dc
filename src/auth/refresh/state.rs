//! The refresh, the only code that spends a refresh token of a session of this machine. The token is valid once. Of all
//! processes that find the same stale session, one sends the request. The others return the token until it expires, and then
//! wait for what that process saves; if it fails, the next one tries. The token is spent only if the result can be saved.
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

use super::{GRACE_TIMEOUT, NO_GRACE_TIMEOUT, REJECTED_HINT, last_refreshed, lock_timeout};
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

/// How many refresh requests one call sends: the first, and for example one after a lost response, one with the token of
/// another store, or one in a tie with another process.
pub(super) const MAX_RENEWALS: u8 = 3;

/// The bytes that are reserved for a session: more than any service's tokens need.
const RESERVED_SIZE: usize = 56 * 1024;

/// The delay before the stores are read again while another process has the lock, doubled to spare the keyring.
const FIRST_READ_DELAY: Duration = Duration::from_millis(20);

/// No token is sent with less time left: a request that is cut short may spend the token, or the grace, for nothing.
pub(super) const MIN_REQUEST_TIME: Duration = Duration::from_secs(2);

/// The delay before an interrupted request is sent again.
const RETRY_DELAY: Duration = Duration::from_millis(700);

/// Another program may have spent a rejected token, and not yet saved its result.
const REJECTED_READ_DELAYS: [Duration; 2] = [Duration::ZERO, Duration::from_millis(200)];

/// The state of the session in the stores and at the service: `Unlocked`, `Locked`, `Due`, `Prepared`, `Issued`,
/// `Reconciled`, `Saved`, `Done`, in this order; the others follow a failure.
enum State<'r> {
    /// Another process may hold the lock. The session was stale when it was read.
    Unlocked {
        stale: StoredSession,
        next_read: Instant,
        delay: Duration,
    },
    /// This process holds the lock. The session that it read before, in this store, may be old.
    Locked(Source),
    /// The session is stale, and this call has not sent its refresh token. `older`: the session in the other store.
    Due {
        session: StoredSession,
        older: Option<StoredSession>,
    },
    /// The result can be saved. The next step spends the token.
    Prepared(PreparedRefresh<'r>),
    /// The service rejected the token as invalid. The stores still have the session.
    Rejected(PreparedRefresh<'r>, RenewalError),
    /// The service issued a session. No store has it.
    Issued(PreparedRefresh<'r>, Session),
    /// The issued session is the one in force. No store has it.
    Reconciled(PreparedRefresh<'r>, Session),
    /// A store has the new session, and the other store may have an older one.
    Saved(StoredSession),
    /// The session has ended. Another program may be about to save its successor.
    Ended(StoredSession, RenewalError),
    /// The session has ended, and no program has saved a successor.
    Unrecoverable(StoredSession, RenewalError),
    /// The refresh failed, and the session stays stored.
    Failed(StoredSession, Failure),
    Done(StoredSession),
}

/// A session whose refresh token can be spent, and everything that was prepared for it.
struct PreparedRefresh<'r> {
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
    timeout: Duration,
    lock_timeout: Duration,
    trail: &'r mut Trail,
    started: Instant,
    renewals: u8,
    // Dropped in this order: a process that a signal ends has released the lock.
    lock: Option<Box<dyn Lock>>,
    blocked: Option<BlockedSignals>,
}

/// Refreshes a stale session; adds warnings to the trail. `max` limits the wait for the lock, and the request to a service
/// with a grace. A request to any other service may take longer: a short time could lose the login.
pub(super) fn run(
    engine: &Engine<'_>,
    provider: &Provider,
    need: Need,
    max: Duration,
    stale: StoredSession,
    trail: &mut Trail,
) -> Result<StoredSession> {
    engine
        .log
        .debug(&|| format!("the session expires at {}: refreshing it", stale.session.expires_at));
    let (started, delay) = (engine.clock.instant(), FIRST_READ_DELAY);
    let has_grace = provider.login.has_grace();
    let timeout = if has_grace { GRACE_TIMEOUT.min(max) } else { NO_GRACE_TIMEOUT };
    let mut refresh = Refresh {
        engine,
        provider,
        need,
        timeout,
        // As long as the refresh of another process may take.
        lock_timeout: timeout.min(max),
        trail,
        started,
        renewals: 0,
        lock: None,
        blocked: None,
    };
    let mut state = State::Unlocked { stale, next_read: started + delay, delay };
    loop {
        state = match state {
            State::Unlocked { stale, next_read, delay } => {
                refresh.take_lock(stale, next_read, delay)?
            }
            State::Locked(source) => refresh.read_again(source)?,
            State::Due { session, older } => refresh.prepare(session, older)?,
            State::Prepared(prepared) => refresh.spend(prepared),
            State::Rejected(prepared, error) => refresh.try_replacement(prepared, error),
            State::Issued(prepared, new) => refresh.reconcile(prepared, new)?,
            State::Reconciled(prepared, new) => refresh.save(prepared, new),
            State::Saved(new) => refresh.remove_copy(new),
            State::Ended(session, error) => refresh.wait_for_successor(session, error),
            State::Unrecoverable(session, error) => refresh.remove(&session, &error)?,
            State::Failed(session, failure) => refresh.fall_back(session, failure)?,
            State::Done(session) => return Ok(session),
        };
    }
}

impl<'r> Refresh<'r> {
    /// Takes the lock. If another process holds it, returns a token that has not expired, or what that process saved.
    fn take_lock(
        &mut self,
        stale: StoredSession,
        mut next_read: Instant,
        mut delay: Duration,
    ) -> Result<State<'r>> {
        let path = self.engine.context.paths.in_home(&self.provider.key.lock).map_err(Error::from);
        let lock = path.and_then(|path| Ok(self.engine.locks.try_lock(&path)?));
        if let Ok(Some(lock)) = lock {
            self.lock = Some(lock);
            return Ok(State::Locked(stale.source));
        }
        if !self.is_expired(&stale) {
            // The lock cannot be taken at all in a home that is mounted read-only.
            if let Err(error) = lock {
                self.warn_not_refreshed(error.message);
            }
            return Ok(State::Done(stale));
        }
        lock?;
        let now = self.engine.clock.instant();
        if now >= next_read {
            if let Some(session) = self.read_fresh() {
                return Ok(State::Done(session));
            }
            delay *= 2;
            next_read = now + delay;
        }
        if now >= self.started + self.lock_timeout {
            return Err(lock_timeout(self.lock_timeout));
        }
        self.engine.clock.sleep(lock::RETRY_DELAY);
        Ok(State::Unlocked { stale, next_read, delay })
    }

    /// Reads the stores again: only a token that was read under the lock may be spent. If the store that had the session
    /// cannot be read now, the older session of the other store is not refreshed: a service may end the login when it
    /// receives a replaced token.
    fn read_again(&mut self, source: Source) -> Result<State<'r>> {
        let mut loaded = self.load();
        let is_source = |attempt: &&Attempt| attempt.subject == Subject::Session(source);
        if let Some(Outcome::Unavailable(failure)) =
            loaded.trail.attempts.iter().find(is_source).map(|attempt| &attempt.outcome)
        {
            loaded.newest = loaded.newest.take().filter(|session| self.is_fresh(session));
            loaded.problem = Some((source, failure.clone()));
        }
        self.trail.attempts.retain(|attempt| !matches!(attempt.subject, Subject::Session(_)));
        self.trail.attempts.append(&mut loaded.trail.attempts);
        match loaded.newest.take() {
            None if loaded.problem.is_none() => Err(self.removed()),
            None => Err(resolve::no_session(&loaded, self.provider, self.engine.context)),
            Some(session) if self.is_fresh(&session) => Ok(State::Done(session)),
            Some(session) => Ok(State::Due { session, older: loaded.older }),
        }
    }

    /// The session was there before the lock: the service ended it, or a person logged out.
    fn removed(&self) -> Error {
        let title = self.provider.title();
        let message =
            format!("the session with {title} was removed while another process was refreshing it");
        Error::new(ErrorCode::SessionExpired, message).with_hint(self.provider.login_hint())
    }

    /// Does what can fail before the token is spent. May request the metadata of the service.
    fn prepare(
        &mut self,
        session: StoredSession,
        older: Option<StoredSession>,
    ) -> Result<State<'r>> {
        if !self.provider.login.can_renew(&session.session) {
            return Ok(State::Failed(session, Failure::new("it has no refresh token")));
        }
        let destination = self.destination(&session, older)?;
        let renewal = match self.engine.endpoints.prepare(self.provider, self.deadline()) {
            Ok(renewal) => renewal,
            Err(error) if self.is_expired(&session) => return Err(error),
            Err(error) => return Ok(State::Failed(session, Failure::new(error.message))),
        };
        let store = self.engine.stores.get(destination);
        let write = match store.prepare(&self.provider.key, RESERVED_SIZE) {
            Ok(write) => write,
            Err(cause) => {
                let reason = format!("the new session could not be saved: {cause}");
                let hint = "correct what prevents the write; the session is still stored";
                return Ok(State::Failed(session, Failure { hint, ..Failure::new(reason) }));
            }
        };
        if !self.may_renew() {
            return Ok(State::Failed(session, Failure::new("no time left for the request")));
        }
        Ok(State::Prepared(PreparedRefresh { session, renewal, write, destination }))
    }

    /// The store of the new session. If the keyring rejected an earlier result, the session is in the file, and an older
    /// one of the same login in the keyring: it moves back to the keyring, unless the file is configured. An
    /// item of another login may have been planted in a keyring that this user never chose.
    fn destination(&self, session: &StoredSession, older: Option<StoredSession>) -> Result<Source> {
        let login = session.session.logged_in_at;
        let is_same_login = |older: StoredSession| older.session.logged_in_at == login;
        let moves_back = login != Timestamp::ZERO
            && older.is_some_and(is_same_login)
            && self.engine.context.store_choice()? != Some(StoreChoice::File);
        Ok(if moves_back { Source::Keyring } else { session.source })
    }

    /// Sends the refresh token: from here on it may be spent. After a lost response, a service
    /// that accepts it again receives it once more if it can be reached now; otherwise with the next call.
    fn spend(&mut self, prepared: PreparedRefresh<'r>) -> State<'r> {
        // One guard only: dropping a second one would unblock the signals.
        self.blocked.get_or_insert_with(signals::block);
        let mut result = self.renew(&prepared, &prepared.session.session);
        if matches!(result, Err(RenewalError::Interrupted(_))) && self.may_retry() {
            self.engine.clock.sleep(RETRY_DELAY);
            if prepared.renewal.is_reachable() {
                result = self.renew(&prepared, &prepared.session.session);
            }
        }
        match result {
            Ok(new) => State::Issued(prepared, new),
            Err(error @ RenewalError::SessionEnded(_)) => State::Rejected(prepared, error),
            Err(error) => State::Failed(prepared.session, self.failure(&error)),
        }
    }

    fn failure(&self, error: &RenewalError) -> Failure {
        let failure = Failure::new(error.to_string());
        match error {
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
        }
    }

    /// Another program may have saved an older session over the newest one: sends the token of the copy of the newest.
    fn try_replacement(&mut self, prepared: PreparedRefresh<'r>, error: RenewalError) -> State<'r> {
        let replacement =
            last_refreshed::replacement(&self.engine.stores, self.provider, &prepared.session);
        let Some(ours) = replacement else { return State::Ended(prepared.session, error) };
        if !self.may_renew() {
            return State::Failed(prepared.session, Failure::new(error.to_string()));
        }
        match self.renew(&prepared, &ours) {
            Ok(new) => State::Issued(prepared, new),
            Err(RenewalError::SessionEnded(_)) => State::Ended(prepared.session, error),
            Err(other) => State::Failed(prepared.session, Failure::new(other.to_string())),
        }
    }

    /// Decides which session is in force: another program may have written one without the lock.
    fn reconcile(&mut self, prepared: PreparedRefresh<'r>, new: Session) -> Result<State<'r>> {
        let (spent, source) = (&prepared.session.session, prepared.session.source);
        let stored = match session::read(self.engine.stores.get(source), &self.provider.key) {
            Ok(Some(stored)) => stored,
            Ok(None) => {
                let message = format!("logged out of {} during the refresh", self.provider.title());
                return Err(Error::new(ErrorCode::NotLoggedIn, message)
                    .with_hint(self.provider.login_hint()));
            }
            // The new session has to be saved even if the store cannot be read.
            Err(_) => return Ok(State::Reconciled(prepared, new)),
        };
        if stored.refresh_token == spent.refresh_token {
            return Ok(State::Reconciled(prepared, new));
        }
        if stored.logged_in_at != spent.logged_in_at {
            // A new login, possibly of another person.
            return Ok(State::Done(StoredSession { session: stored, source }));
        }
        Ok(match session::issued_at(&stored).0.cmp(&session::issued_at(&new).0) {
            Ordering::Greater => State::Done(StoredSession { session: stored, source }),
            // Both were issued within one second, and only the service knows which one replaced the other. It accepts both
            // during the grace, and issues the newest session for either.
            Ordering::Equal if self.provider.login.has_grace() && self.may_renew() => {
                let newest = self.renew(&prepared, &stored).unwrap_or(new);
                State::Reconciled(prepared, newest)
            }
            _ => State::Reconciled(prepared, new),
        })
    }

    /// Saves the new session, if necessary in the other store: the old token is spent.
    fn save(&mut self, prepared: PreparedRefresh<'r>, new: Session) -> State<'r> {
        let PreparedRefresh { session: spent, write, destination, .. } = prepared;
        let (stores, key) = (&self.engine.stores, &self.provider.key);
        let text = session::encode(key, &new);
        let saved = |session, source| State::Saved(StoredSession { session, source });
        // If the prepared file was removed meanwhile, a new write may succeed.
        let written = write(&text)
            .or_else(|cause| stores.get(destination).write(key, &text).map_err(|_| cause));
        let Err(cause) = written else { return saved(new, destination) };
        let other = destination.other();
        if let Ok(stored) = stores.get(other).write(key, &text) {
            let location = stored.location;
            let warning = Warning::SavedElsewhere { store: destination, cause, location };
            self.trail.warnings.push(warning);
            return saved(new, other);
        }
        self.trail.warnings.push(Warning::NotSaved(cause));
        State::Done(StoredSession { session: new, source: spent.source })
    }

    /// Deletes an older session from the other store. If that fails, it stays the older one, and is not in force.
    fn remove_copy(&mut self, new: StoredSession) -> State<'r> {
        let (stores, key) = (&self.engine.stores, &self.provider.key);
        last_refreshed::save(stores, self.provider, new.source, &new.session);
        let store = stores.get(new.source.other());
        let removed = match session::read(store, key) {
            Ok(Some(copy)) if session::issued_at(&copy) <= session::issued_at(&new.session) => {
                session::delete_if(store, key, &copy).map(drop)
            }
            _ => Ok(()),
        };
        if let Err(cause) = removed
            && !matches!(cause, StoreFailure::Off(_))
        {
            self.trail.warnings.push(Warning::CopyLeft { store: store.source(), cause });
        }
        State::Done(new)
    }

    /// Reads the stores for a session that another program saved.
    fn wait_for_successor(&mut self, session: StoredSession, error: RenewalError) -> State<'r> {
        // Nothing can be lost any more: Control-C may end the wait.
        self.blocked = None;
        let is_other =
            |other: &StoredSession| other.session.refresh_token != session.session.refresh_token;
        for delay in REJECTED_READ_DELAYS {
            self.engine.clock.sleep(delay.min(self.time_left()));
            match self.load().newest.filter(is_other) {
                Some(other) if self.is_fresh(&other) => return State::Done(other),
                Some(other) => {
                    return State::Failed(other, Failure::new("it has just been replaced"));
                }
                None => {}
            }
        }
        State::Unrecoverable(session, error)
    }

    /// Deletes an ended session, and tries the older one of the other store, if any.
    fn remove(&self, session: &StoredSession, error: &RenewalError) -> Result<State<'r>> {
        let key = &self.provider.key;
        let mut left = String::new();
        for store in self.engine.stores.in_order() {
            match session::delete_if(store, key, &session.session) {
                Ok(_) | Err(StoreFailure::Off(_)) => {}
                Err(cause) => {
                    left =
                        format!("; cannot remove it from the {}: {cause}", store.source().name());
                }
            }
        }
        last_refreshed::forget(&self.engine.stores, self.provider);
        let is_other = |other: StoredSession| {
            other.session.refresh_token.is_some() && !other.session.has_tokens_of(&session.session)
        };
        if self.may_renew() && self.load().newest.is_some_and(is_other) {
            return Ok(State::Locked(session.source));
        }
        let title = self.provider.title();
        let message = format!("the session with {title} is no longer valid: {error}{left}");
        Err(Error::new(ErrorCode::SessionExpired, message).with_hint(self.provider.login_hint()))
    }

    /// Returns a session that another program saved, or a token that has not expired; an error otherwise.
    fn fall_back(&mut self, session: StoredSession, failure: Failure) -> Result<State<'r>> {
        if let Some(other) = self.read_fresh() {
            return Ok(State::Done(other));
        }
        let Failure { reason, code, hint } = failure;
        if self.is_expired(&session) {
            let message = self.not_refreshed(reason).to_string();
            return Err(Error::new(code, message).with_hint(hint));
        }
        self.warn_not_refreshed(reason);
        Ok(State::Done(session))
    }

    fn renew(
        &mut self,
        prepared: &PreparedRefresh<'_>,
        session: &Session,
    ) -> Result<Session, RenewalError> {
        self.renewals += 1;
        prepared.renewal.renew(session)
    }

    fn may_renew(&self) -> bool {
        self.renewals < MAX_RENEWALS && self.time_left() >= MIN_REQUEST_TIME
    }

    fn may_retry(&self) -> bool {
        let has_time = self.time_left() >= RETRY_DELAY + MIN_REQUEST_TIME;
        self.may_renew() && self.provider.login.has_grace() && has_time
    }

    fn deadline(&self) -> Instant {
        self.started + self.timeout
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

    fn warn_not_refreshed(&mut self, reason: String) {
        let warning = self.not_refreshed(reason);
        self.trail.warnings.push(warning);
    }
}
