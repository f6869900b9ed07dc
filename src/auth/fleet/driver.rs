//! Performs the actions of one call.

use std::time::Duration;

use super::protocol::{Action, Call, Event, Failure, Goal, Input, Outcome, Process, SAVE_TIMEOUT};
use crate::auth::Engine;
use crate::auth::refresh::REJECTED_HINT;
use crate::error::{Error, ErrorCode, Result};
use crate::http::{HttpError, Renewal, RenewalError, SharedFailure, SharedStore};
use crate::model::{
    FleetRole, Grant, LoginKind, Need, PendingResult, Provider, Session, SharedPart, SharedRecord,
    SharedSettings, Snapshot,
};
use crate::store::fleet::FleetFiles;
use crate::sys::atomic_file::Prepared;
use crate::sys::lock::Lock;
use crate::sys::os;
use crate::sys::signals::{self, BlockedSignals};

/// For the request to the service. With the window before it, shorter than the time for which another machine observes a
/// lease before it takes it over.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

/// How long before the deadline of the store a call gives up: the reason is then what it has read last, and not that a
/// server had no time.
const LAST_READ: Duration = Duration::from_secs(1);

/// Whether this process has the lock of this machine.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    AtOnce,
    /// Another process has held it meanwhile.
    Later,
    /// Another process holds it.
    Held,
    /// There can be no lock, as in a home that is mounted read-only. The lease protects the session.
    Never,
}

pub(super) struct Driver<'e> {
    engine: &'e Engine<'e>,
    provider: &'e Provider,
    settings: &'e SharedSettings,
    files: &'e FleetFiles,
    store: Box<dyn SharedStore + 'e>,
    timeout: Duration,
    /// By the boot clock.
    deadline: Duration,
    lock: Option<(Taken, Option<Box<dyn Lock>>)>,
    renewal: Option<Box<dyn Renewal + 'e>>,
    space: Option<Prepared>,
    blocked: Option<BlockedSignals>,
    /// Why no request was possible.
    problem: Option<Error>,
    /// The lease that this process has seen, and when.
    seen: Option<(String, Duration)>,
    /// Whether the store has less time than the call, since nothing has been read.
    is_brief: bool,
}

/// Not a secret: it distributes requests over time.
pub(super) fn random() -> u32 {
    uuid::Uuid::new_v4().as_fields().0
}

impl<'e> Driver<'e> {
    /// No request is sent yet.
    pub(super) fn open(
        engine: &'e Engine<'e>,
        provider: &'e Provider,
        settings: &'e SharedSettings,
        files: &'e FleetFiles,
        timeout: Duration,
    ) -> Result<Self> {
        if !settings.cache {
            files.remove_copy();
        }
        let left = engine.shared_time_left();
        let timeout = timeout.min(left);
        let limit = if files.has_pending() { (timeout + SAVE_TIMEOUT).min(left) } else { timeout };
        let store = engine.shared.open(provider, engine.clock.instant() + limit)?;
        Ok(Self {
            engine,
            provider,
            settings,
            files,
            store,
            timeout,
            deadline: engine.clock.boot() + timeout.saturating_sub(LAST_READ),
            lock: None,
            renewal: None,
            space: None,
            blocked: None,
            problem: None,
            seen: None,
            is_brief: false,
        })
    }

    /// The first read ends after this time: without it, there is another answer.
    pub(super) fn read_briefly(&mut self, timeout: Duration) {
        self.reopen(timeout.min(self.engine.shared_time_left()));
        self.is_brief = true;
    }

    fn reopen(&mut self, timeout: Duration) {
        let deadline = self.engine.clock.instant() + timeout;
        if let Ok(store) = self.engine.shared.open(self.provider, deadline) {
            self.store = store;
        }
    }

    pub(super) fn part(&self) -> SharedPart {
        match self.settings.role {
            FleetRole::Reader => SharedPart::Access,
            FleetRole::Simple | FleetRole::Refresher => SharedPart::Refresh,
        }
    }

    pub(super) fn location(&self) -> String {
        self.store.location(self.part())
    }

    pub(super) fn read(&self) -> Result<Snapshot, SharedFailure> {
        self.spend(|| self.store.read(self.part()))
    }

    /// What takes time because of the store.
    fn spend<T>(&self, work: impl FnOnce() -> T) -> T {
        self.engine.spend(Duration::MAX, |_| work())
    }

    /// The result that the store does not have yet.
    fn pending(&self) -> Option<PendingResult> {
        self.files.pending(|location| self.store.is_location(SharedPart::Refresh, location))
    }

    /// Processes of one machine queue at the lock of the session, so that they send one request for the lease.
    pub(super) fn lock(&mut self, timeout: Duration) -> Taken {
        if let Some((taken, _)) = &self.lock {
            return *taken;
        }
        let (engine, key) = (self.engine, &self.provider.key);
        let path = engine.context.paths.in_home(&key.lock).map_err(Error::from);
        let wait = |timeout| path.clone().and_then(|path| engine.wait_for_lock(&path, timeout));
        let found = match wait(Duration::ZERO) {
            Ok(Some(lock)) => (Taken::AtOnce, Some(lock)),
            Ok(None) => match wait(timeout) {
                Ok(Some(lock)) => (Taken::Later, Some(lock)),
                Ok(None) => return Taken::Held,
                Err(_) => (Taken::Never, None),
            },
            Err(_) => (Taken::Never, None),
        };
        let taken = found.0;
        self.lock = Some(found);
        taken
    }

    pub(super) fn run(&mut self, goal: Goal, need: Need, has_copy: bool) -> Outcome {
        let (engine, login) = (self.engine, &self.provider.login);
        let (boot, now) = (engine.clock.boot(), engine.clock.now());
        // A process without the lock would remove a later result of the one that has it.
        let pending = self.lock.as_ref().and_then(|_| self.pending());
        let mut process = Process::new(Call {
            goal,
            role: self.settings.role,
            need,
            deadline: self.deadline,
            save_deadline: boot + SAVE_TIMEOUT.min(engine.shared_time_left()),
            clock: (now, boot),
            pending: pending.map(Box::new),
            has_copy,
            has_grace: login.has_grace(),
            has_client_credentials: matches!(
                login,
                LoginKind::OAuth(oauth) if oauth.grant == Grant::ClientCredentials
            ),
            holder: os::device_name().unwrap_or_else(|| "an unnamed machine".to_owned()),
            nonce: uuid::Uuid::new_v4().simple().to_string(),
        });
        let mut event = Event::Started;
        loop {
            let input = Input { boot: engine.clock.boot(), random: random(), event };
            let action = process.step(input);
            engine.log.debug(&|| format!("shared session: {}", action.name()));
            event = match action {
                Action::Read(part) => {
                    if let Some(session) = self.copied_meanwhile(&process, need, has_copy) {
                        return Outcome::Session(Box::new(session), None);
                    }
                    let read = self.spend(|| self.store.read(part));
                    if read.is_ok() && std::mem::take(&mut self.is_brief) {
                        self.reopen(self.timeout);
                    }
                    let observed = self.observe(read.as_ref().ok());
                    Event::Read(read, observed)
                }
                Action::CompareAndSet(part, version, record) => Event::Written(
                    self.spend(|| self.store.compare_and_set(part, version, &record)),
                ),
                Action::Wait(delay) => {
                    self.spend(|| engine.clock.sleep(delay));
                    Event::Waited
                }
                Action::Prepare => {
                    let prepared = self.prepare();
                    // The other processes of this machine do not wait for the service.
                    if let (Ok(false), Some(session)) =
                        (&prepared, process.alive(engine.clock.boot()))
                    {
                        engine.write_copy(self.files, self.settings, &session);
                    }
                    Event::Prepared(prepared)
                }
                Action::Redeem(session) => {
                    self.blocked.get_or_insert_with(signals::block);
                    let renewed = self.renewal.as_ref().map(|renewal| renewal.renew(&session));
                    let unprepared = || Error::invalid_state("the request is not prepared");
                    let unprepared = || RenewalError::Failed(HttpError::NotSent(unprepared()));
                    Event::Redeemed(renewed.unwrap_or_else(|| Err(unprepared())))
                }
                Action::SavePending(result) => {
                    self.save_pending(&result);
                    Event::PendingSaved
                }
                Action::RemovePending => {
                    self.files.remove_pending();
                    Event::PendingRemoved
                }
                Action::End(outcome) => return outcome,
            };
        }
    }

    /// The copy that another process of this machine has written while this one waits.
    fn copied_meanwhile(&self, process: &Process, need: Need, has_copy: bool) -> Option<Session> {
        let copy = if has_copy || !process.is_waiting() { None } else { self.files.copy() }?;
        let now = self.engine.clock.now();
        (need.is_met(&copy.session, now) && now < copy.next_read).then_some(copy.session)
    }

    /// Everything that can fail on this machine. Returns whether another process may have changed the record meanwhile.
    fn prepare(&mut self) -> Result<bool, String> {
        let before = self.lock.as_ref().map(|(taken, _)| *taken);
        match self.lock(super::LOCK_TIMEOUT) {
            Taken::Held => return Ok(true),
            Taken::Later if before.is_none() => return Ok(true),
            _ => {}
        }
        // Its refresh token replaces the one of the record.
        if self.pending().is_some() {
            return Err("the shared store does not have the last session yet".to_owned());
        }
        let failed = |driver: &mut Self, error: Error| {
            let message = error.message.clone();
            driver.problem = Some(error);
            Err(message)
        };
        let deadline = self.engine.clock.instant() + REQUEST_TIMEOUT;
        match self.engine.endpoints.prepare(self.provider, deadline) {
            Ok(renewal) => self.renewal = Some(renewal),
            Err(error) => return failed(self, error),
        }
        match self.files.prepare_pending() {
            Ok(space) => self.space = space,
            Err(error) => return failed(self, error.into()),
        }
        Ok(false)
    }

    fn save_pending(&mut self, result: &PendingResult) {
        let location = self.store.location(SharedPart::Refresh);
        let saved =
            self.space.take().map(|space| self.files.save_pending(space, &location, result));
        if matches!(saved, Some(Ok(()))) {
            // The next call of this machine finishes the write.
            self.blocked = None;
        }
        self.reopen(SAVE_TIMEOUT + self.timeout);
    }

    /// For how long this machine has seen the lease of the record.
    fn observe(&mut self, snapshot: Option<&Snapshot>) -> Duration {
        let Some(Snapshot { record: Some(SharedRecord::Session(shared)), .. }) = snapshot else {
            return Duration::ZERO;
        };
        let Some(lease) = &shared.lease else { return Duration::ZERO };
        let boot = self.engine.clock.boot();
        let stored = self.files.observe(&lease.nonce, boot, self.engine.clock.now());
        match &self.seen {
            Some((nonce, since)) if *nonce == lease.nonce => {
                stored.max(boot.saturating_sub(*since))
            }
            _ => {
                self.seen = Some((lease.nonce.clone(), boot));
                stored
            }
        }
    }

    pub(super) fn error(&mut self, failure: Failure) -> Error {
        let (title, hint) = (self.provider.title(), self.provider.login_hint());
        let location = self.location();
        let reason = failure.to_string();
        if matches!(failure, Failure::Unprepared(_))
            && let Some(problem) = self.problem.take()
        {
            return problem;
        }
        match failure {
            Failure::NotLoggedIn => {
                let hint = self.engine.context.login_hint(self.provider);
                Error::new(ErrorCode::NotLoggedIn, format!("not logged in to {title} in {location}"))
                    .with_hint(hint)
            }
            Failure::Rejected(reason) => {
                let message = format!("the session with {title} is no longer valid: {reason}");
                Error::new(ErrorCode::SessionExpired, message).with_hint(hint)
            }
            Failure::NotRenewable => {
                let message = format!("the token for {title} expired; {reason}");
                Error::new(ErrorCode::SessionExpired, message).with_hint(hint)
            }
            Failure::ClientRejected(reason) => Error::new(ErrorCode::Rejected, reason).with_hint(
                "check `client_id` and the client secret in config.toml; the session is still stored",
            ),
            Failure::Store(SharedFailure::Denied(_)) => {
                Error::new(ErrorCode::Rejected, format!("{location}: {reason}"))
            }
            Failure::Store(SharedFailure::Failed(_)) => {
                Error::invalid_state(format!("{location}: {reason}"))
            }
            Failure::Superseded => Error::invalid_state(format!("{location}: {reason}"))
                .with_hint("log in again if your login is to be the one in force"),
            failure => Error::temporary(format!(
                "no token for {title}; the session in {location} could not be refreshed: {reason}"
            ))
            .with_hint(match failure {
                Failure::RequestRejected(_) => REJECTED_HINT,
                _ => "try again in a moment; the session is still stored",
            }),
        }
    }
}
