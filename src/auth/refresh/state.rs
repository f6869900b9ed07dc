//! The one place that spends a refresh token. It is valid once: however many processes find the same stale session, one
//! of them sends the request and the others read what it saved, and nothing is spent before it is certain that the result
//! can be saved.
//!
//! A service with a grace (mycli: 30 s) receives the token again where its answer was lost. Another OAuth 2 service may
//! end the whole login when a replaced token comes back: one refresh sends it once, and waits longer for the answer. If
//! none comes, the token stays stored and the next call sends it again: if the service has carried out the first request,
//! the login is lost with that answer in any case; if it has not, nothing is lost.
//!
//! From the request to the write of its result, into space that was reserved before, Control-C and requests to terminate
//! wait ([`signals`]). A kill, or a machine that stops, between the service's answer and the write costs the login with
//! such a service. No client can prevent that.

use std::cmp::Ordering;
use std::time::{Duration, Instant};

use time::Duration as Validity;

use super::{Timeouts, last_refreshed, lock_timeout};
use crate::auth::{Engine, resolve};
use crate::config::StoreChoice;
use crate::error::{Error, ErrorCode, Result};
use crate::http::{Renewal, RenewalError};
use crate::model::{Provider, Session, Source, StoreFailure, Trail, Warning};
use crate::store::PreparedWrite;
use crate::store::session::{self, LoadedSessions, StoredSession};
use crate::sys::lock::{self, Lock};
use crate::sys::signals::{self, BlockedSignals};

/// The most refresh tokens that one call sends: the first, a retry after a lost answer, and a tie with another process.
pub(super) const MAX_REDEMPTIONS: u8 = 3;

/// The bytes that are reserved for a session, whatever its tokens grow to.
const RESERVED_SIZE: usize = 40 * 1024;

/// The delay before the stores are read again while another process holds the lock; it doubles each time. Dozens of
/// processes that read the keyring all the time would slow down each other and the keyring.
const FIRST_READ_DELAY: Duration = Duration::from_millis(20);

/// The delay before a request that was interrupted is sent again, so that its cause may pass.
const RETRY_DELAY: Duration = Duration::from_millis(700);

/// The delay before a rejected session counts as over: another program may have spent the token and not yet saved.
const REJECTED_READ_DELAY: Duration = Duration::from_millis(200);

/// What is true now, in the stores and at the service.
enum State<'r> {
    /// Another process may hold the lock. The session was stale when it was read.
    Unlocked { stale: StoredSession, next_read: Instant, delay: Duration },
    /// This process holds the lock, and has to read the stores again.
    Locked,
    /// The session is stale, and its refresh token is not spent. `has_copy`: the other store has an older one.
    Due { session: StoredSession, has_copy: bool },
    /// The result can be saved. The next step spends the token.
    Prepared(Spend<'r>),
    /// The answer was lost: the token may be spent. The service accepts it again.
    Interrupted(Spend<'r>, RenewalError),
    /// The service says that the session is over. The stores still have it.
    Rejected(Spend<'r>, RenewalError),
    /// The service issued a session. No store has it.
    Issued(Spend<'r>, Session),
    /// The issued session is the one in force. No store has it.
    Reconciled(Spend<'r>, Session),
    /// A store has the new session, and the other one may have an older one.
    Saved { session: Session, source: Source },
    /// The session is over. Another program may have saved its successor a moment ago: the stores are read again after
    /// each delay.
    Over { session: StoredSession, error: RenewalError, delays: &'static [Duration] },
    /// The session is over, and no program has saved a successor: it is to be removed.
    Dead { session: StoredSession, error: RenewalError },
    /// The refresh failed, and the session stays as it is.
    Failed { session: StoredSession, failure: Failure },
}

/// A session whose token can be spent, and what is needed for that.
struct Spend<'r> {
    session: StoredSession,
    renewal: Box<dyn Renewal + 'r>,
    write: PreparedWrite<'r>,
    /// The store of the result.
    home: Source,
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
            hint: "the login is kept; try again in a moment",
        }
    }
}

struct Refresh<'r> {
    engine: &'r Engine<'r>,
    provider: &'r Provider,
    min_validity: Validity,
    timeouts: Timeouts,
    started: Instant,
    redemptions: u8,
    lock: Option<Box<dyn Lock>>,
    blocked: Option<BlockedSignals>,
}

/// Refreshes a stale session of a provider; warnings and what was read are added to the trail.
pub(super) fn run(
    engine: &Engine<'_>,
    provider: &Provider,
    min_validity: Validity,
    timeouts: Timeouts,
    stale: StoredSession,
    trail: &mut Trail,
) -> Result<StoredSession> {
    engine
        .log
        .debug(&|| format!("the session ends at {}: a refresh is due", stale.session.expires_at));
    let started = engine.clock.instant();
    let mut refresh = Refresh {
        engine,
        provider,
        min_validity,
        timeouts,
        started,
        redemptions: 0,
        lock: None,
        blocked: None,
    };
    let mut state =
        State::Unlocked { stale, next_read: started + FIRST_READ_DELAY, delay: FIRST_READ_DELAY };
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
            State::Locked => self.read_again(),
            State::Due { session, has_copy } => self.prepare(session, has_copy),
            State::Prepared(spend) => Ok(self.spend(spend)),
            State::Interrupted(spend, error) => Ok(self.retry(spend, error)),
            State::Rejected(spend, error) => Ok(self.try_replacement(spend, error)),
            State::Issued(spend, new) => self.reconcile(spend, new),
            State::Reconciled(spend, new) => Ok(self.save(spend, new, trail)),
            State::Saved { session, source } => Ok(self.remove_copy(session, source, trail)),
            State::Over { session, error, delays } => {
                Ok(self.wait_for_successor(session, error, delays))
            }
            State::Dead { session, error } => self.remove(&session, &error),
            State::Failed { session, failure } => self.fall_back(session, failure, trail),
        }
    }

    /// Takes the lock, or returns what will do while another process has it: a token that has not expired, or what that
    /// process saved.
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
            return Ok(State::Locked.into());
        }
        if !stale.session.is_expired(self.engine.clock.now()) {
            // As in a home that is mounted read-only.
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

    /// What was read before the lock is old: only what is read now may be spent.
    fn read_again(&mut self) -> Result<Step<'r>> {
        let mut loaded = self.load();
        match loaded.newest.take() {
            None => Err(resolve::no_session(&loaded, self.provider)),
            Some(session) if self.is_fresh(&session) => Ok(Step::Done(session)),
            Some(session) => Ok(State::Due { session, has_copy: loaded.older.is_some() }.into()),
        }
    }

    /// Everything that can fail on this machine fails before the token is spent.
    fn prepare(&mut self, session: StoredSession, has_copy: bool) -> Result<Step<'r>> {
        let failed = |session, reason: String| {
            Ok(State::Failed { session, failure: Failure::new(reason) }.into())
        };
        if !self.provider.login.can_renew(&session.session) {
            return failed(session, "it has no refresh token".to_owned());
        }
        // A session that the keyring once rejected is in the file, and its old copy in the keyring: it moves back, unless
        // the user wants it in the file.
        let choice = self.engine.context.store_choice()?;
        let moves_back = has_copy && choice != Some(StoreChoice::File);
        let home = if moves_back { Source::Keyring } else { session.source };
        let renewal = match self.engine.endpoints.prepare(self.provider, self.deadline()) {
            Ok(renewal) => renewal,
            Err(error) if session.session.is_expired(self.engine.clock.now()) => return Err(error),
            Err(error) => return failed(session, error.message),
        };
        match self.engine.stores.get(home).prepare(&self.provider.key, RESERVED_SIZE) {
            Ok(write) => Ok(State::Prepared(Spend { session, renewal, write, home }).into()),
            Err(cause) => failed(session, format!("the new session could not be saved: {cause}")),
        }
    }

    /// From here on the token may be spent, and the service does not repeat its answer.
    fn spend(&mut self, spend: Spend<'r>) -> Step<'r> {
        self.blocked = Some(signals::block());
        match self.renew(&spend, &spend.session.session) {
            Err(error @ RenewalError::Interrupted(_)) if self.may_retry() => {
                State::Interrupted(spend, error).into()
            }
            result => self.judge(spend, result),
        }
    }

    /// The service may have carried out the request, and accepts the token once more. If it does not answer yet, that one
    /// try is left to the next call.
    fn retry(&mut self, spend: Spend<'r>, error: RenewalError) -> Step<'r> {
        self.engine.clock.sleep(RETRY_DELAY);
        let result = if spend.renewal.is_reachable() {
            self.renew(&spend, &spend.session.session)
        } else {
            Err(error)
        };
        self.judge(spend, result)
    }

    fn judge(&self, spend: Spend<'r>, result: Result<Session, RenewalError>) -> Step<'r> {
        let error = match result {
            Ok(new) => return State::Issued(spend, new).into(),
            Err(error @ RenewalError::SessionEnded(_)) => {
                return State::Rejected(spend, error).into();
            }
            Err(error) => error,
        };
        let failure = Failure::new(error.to_string());
        let failure = match error {
            RenewalError::ClientRejected(_) => Failure {
                code: ErrorCode::Rejected,
                hint: "the login is kept; see to `client_id` and the client secret in config.toml",
                ..failure
            },
            RenewalError::Interrupted(_) if self.provider.login.has_grace() => Failure {
                hint: "try again at once: for 30 s the service takes the token that it may have replaced",
                ..failure
            },
            _ => failure,
        };
        State::Failed { session: spend.session, failure }.into()
    }

    /// Another program may have stored an older session over the one that this program was issued last.
    fn try_replacement(&mut self, spend: Spend<'r>, error: RenewalError) -> Step<'r> {
        let replacement =
            last_refreshed::replacement(&self.engine.stores, self.provider, &spend.session);
        let result =
            replacement.filter(|_| self.may_redeem()).map(|ours| self.renew(&spend, &ours));
        match result {
            Some(Ok(new)) => State::Issued(spend, new).into(),
            Some(Err(RenewalError::SessionEnded(_))) | None => {
                let delays = &[Duration::ZERO, REJECTED_READ_DELAY];
                State::Over { session: spend.session, error, delays }.into()
            }
            Some(Err(other)) => {
                State::Failed { session: spend.session, failure: Failure::new(other.to_string()) }
                    .into()
            }
        }
    }

    /// Decides which session is in force now that another program may have written without the lock.
    fn reconcile(&mut self, spend: Spend<'r>, new: Session) -> Result<Step<'r>> {
        let (spent, source) = (&spend.session.session, spend.session.source);
        let there = match session::read(self.engine.stores.get(source), &self.provider.key) {
            Ok(Some(there)) => there,
            Ok(None) => {
                let message = format!("logged out of {} meanwhile", self.provider.title());
                return Err(Error::new(ErrorCode::NotLoggedIn, message)
                    .with_hint(self.provider.login_hint()));
            }
            Err(_) => return Ok(State::Reconciled(spend, new).into()),
        };
        if there.refresh_token == spent.refresh_token {
            return Ok(State::Reconciled(spend, new).into());
        }
        if there.logged_in_at != spent.logged_in_at {
            // A new login, perhaps of another person.
            return Ok(Step::Done(StoredSession { session: there, source }));
        }
        match session::issued_at(&there).0.cmp(&session::issued_at(&new).0) {
            Ordering::Greater => Ok(Step::Done(StoredSession { session: there, source })),
            // Both were issued in one second, and only the service knows which one replaced the other. It accepts both
            // during the grace, and what it issues for one is the newest.
            Ordering::Equal if self.provider.login.has_grace() && self.may_redeem() => {
                let newest = self.renew(&spend, &there).unwrap_or(new);
                Ok(State::Reconciled(spend, newest).into())
            }
            _ => Ok(State::Reconciled(spend, new).into()),
        }
    }

    /// The token is spent: the new session is saved wherever that is possible.
    fn save(&mut self, spend: Spend<'r>, new: Session, trail: &mut Trail) -> Step<'r> {
        let Spend { session: spent, write, home, .. } = spend;
        let (stores, key) = (&self.engine.stores, &self.provider.key);
        let text = session::encode(key.format, &new);
        let first = write(&text);
        // What was prepared may have been removed since.
        let Err(cause) =
            first.or_else(|cause| stores.get(home).write(key, &text).map_err(|_| cause))
        else {
            return State::Saved { session: new, source: home }.into();
        };
        let other = home.other();
        if let Ok(stored) = stores.get(other).write(key, &text) {
            let location = stored.location;
            trail.warnings.push(Warning::SavedElsewhere { store: home, cause, location });
            State::Saved { session: new, source: other }.into()
        } else {
            trail.warnings.push(Warning::NotSaved(cause));
            Step::Done(StoredSession { session: new, source: spent.source })
        }
    }

    /// Removes an older session from the other store. One that stays is older and never in force.
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

    fn wait_for_successor(
        &mut self,
        session: StoredSession,
        error: RenewalError,
        delays: &'static [Duration],
    ) -> Step<'r> {
        self.blocked = None;
        let Some((delay, delays)) = delays.split_first() else {
            return State::Dead { session, error }.into();
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
            None => State::Over { session, error, delays }.into(),
        }
    }

    /// Removes a session that is over, if it is still stored. An older session in the other store may be good: it is what
    /// the next call would find.
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
        if self.may_redeem()
            && let Some(session) = self.load().newest.filter(is_other)
        {
            return Ok(State::Due { session, has_copy: false }.into());
        }
        let message = format!("the session with {} has ended: {error}", self.provider.title());
        let message = match left {
            Some((source, cause)) => {
                format!("{message}; the {} cannot be cleared: {cause}", source.name())
            }
            None => message,
        };
        Err(Error::new(ErrorCode::SessionExpired, message).with_hint(self.provider.login_hint()))
    }

    /// Returns what another program saved, or a token that has not expired; an error otherwise.
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
        if session.session.is_expired(self.engine.clock.now()) {
            return Err(Error::new(code, warning.to_string()).with_hint(hint));
        }
        trail.warnings.push(warning);
        Ok(Step::Done(session))
    }

    fn renew(&mut self, spend: &Spend<'_>, session: &Session) -> Result<Session, RenewalError> {
        self.redemptions += 1;
        spend.renewal.renew(session)
    }

    /// Whether another token may be sent in this call.
    fn may_redeem(&self) -> bool {
        self.redemptions < MAX_REDEMPTIONS && !self.time_left().is_zero()
    }

    fn may_retry(&self) -> bool {
        self.provider.login.has_grace() && self.time_left() > 2 * RETRY_DELAY
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
        stored.session.is_fresh(self.engine.clock.now(), self.min_validity)
    }

    fn read_fresh(&self) -> Option<StoredSession> {
        self.load().newest.filter(|stored| self.is_fresh(stored))
    }

    fn not_refreshed(&self, reason: String) -> Warning {
        Warning::NotRefreshed { provider: self.provider.title(), reason }
    }
}
