//! The rules of a call on a shared session: what it does next, given what came of the last action. No I/O, no clock and no
//! randomness: [`Input`] has the time and a random number. `tests/fleet-model` explores these functions exhaustively.
//!
//! Times of a record are by the clock of the store, so that the clock of a machine may be wrong. Time that passes is
//! measured by the boot clock of the machine, which goes on while the machine is suspended.

use std::time::Duration;

use time::Duration as Validity;

use crate::http::{RenewalError, SharedFailure};
use crate::model::{
    FleetRole, IdToken, Lease, Need, PendingResult, Secret, Session, SharedPart, SharedRecord,
    SharedSession, Snapshot, Timestamp,
};
use crate::store::session::issued_at;

/// The request is not sent later than this after the check-and-set of its lease was sent.
pub const REQUEST_WINDOW: Duration = Duration::from_secs(5);

/// How old a lease is, by the clock of the store, when another machine may take it.
pub const LEASE_LIFETIME: Validity = Validity::seconds(120);

/// How long that machine must have seen the same lease by its own clock. Longer than [`REQUEST_WINDOW`] and a request.
pub const OBSERVATION: Duration = Duration::from_secs(30);

/// For how long a result is written again and again.
pub const SAVE_TIMEOUT: Duration = Duration::from_secs(60);

/// For the record of the readers: the next refresher writes it otherwise.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(10);

/// No lease is taken with less time left.
const MIN_REQUEST_TIME: Duration = Duration::from_secs(2);

/// The delay after a refused check-and-set: a standby lags behind by up to 102 ms.
pub const LAG_DELAY: Duration = Duration::from_millis(150);

/// The longest first delay of a process that waits. It doubles, and each delay is a random part of it.
const FIRST_DELAY: Duration = Duration::from_millis(250);
const MAX_DOUBLINGS: u32 = 5;

/// The shortest time between a refresh and one that a rejected token forces, for all machines together.
const FORCED_INTERVAL: Validity = Validity::MINUTE;

/// The redemptions of a call, each with a lease of its own: the second only if a service with a grace lost its response.
const MAX_REDEMPTIONS: u8 = 2;

/// What a call is for, and what the machine knows before it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Call {
    pub goal: Goal,
    pub role: FleetRole,
    pub need: Need,
    /// By the boot clock.
    pub deadline: Duration,
    /// As `deadline`, for the result of an earlier call.
    pub save_deadline: Duration,
    /// The clock of this machine, and the boot clock at the same moment.
    pub clock: (Timestamp, Duration),
    /// The result of an earlier call that the store does not have yet.
    pub pending: Option<Box<PendingResult>>,
    /// Whether the machine has a copy of a token that lives.
    pub has_copy: bool,
    /// Whether the service accepts a replaced refresh token for some time.
    pub has_grace: bool,
    /// Whether sessions are renewed without a refresh token.
    pub has_client_credentials: bool,
    /// The name of the machine.
    pub holder: String,
    /// Random for each call: the beginning of the nonces of its leases.
    pub nonce: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Goal {
    /// A session that meets the need, refreshed if it is due.
    Get,
    /// A service rejected this token: if it is still the shared one, the next [`Goal::Get`] refreshes it.
    Refuse(Secret),
    /// Saves a session that a service has granted.
    LogIn {
        login_id: String,
        session: Box<Session>,
    },
    LogOut,
}

/// What came of an action, and when.
#[derive(Clone, Debug)]
pub struct Input {
    pub boot: Duration,
    pub random: u32,
    pub event: Event,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    Started,
    /// The record, and for how long this machine has seen its lease.
    Read(Result<Snapshot, SharedFailure>, Duration),
    Written(Result<u64, SharedFailure>),
    Waited,
    /// Whether another process of this machine held the lock meanwhile.
    Prepared(Result<bool, String>),
    Redeemed(Result<Session, RenewalError>),
    PendingSaved,
    PendingRemoved,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    Read(SharedPart),
    CompareAndSet(SharedPart, u64, Box<SharedRecord>),
    Wait(Duration),
    /// Do everything on this machine that can fail: take its lock, connect nothing, check what is needed for the request
    /// and for a pending result.
    Prepare,
    /// Send the refresh token of this session once.
    Redeem(Box<Session>),
    /// Store the result on this machine, to last.
    SavePending(Box<PendingResult>),
    RemovePending,
    End(Outcome),
}

impl Action {
    /// For the debug log, without what is read or written.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Read(SharedPart::Refresh) => "read",
            Self::Read(SharedPart::Access) => "read the record of the readers",
            Self::CompareAndSet(SharedPart::Refresh, ..) => "check-and-set",
            Self::CompareAndSet(SharedPart::Access, ..) => "check-and-set for the readers",
            Self::Wait(_) => "wait",
            Self::Prepare => "prepare",
            Self::Redeem(_) => "redeem",
            Self::SavePending(_) => "save the result on this machine",
            Self::RemovePending => "remove the result from this machine",
            Self::End(_) => "end",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The session by the clock of this machine, and why it was not refreshed or not saved.
    Session(Box<Session>, Option<Failure>),
    /// Whether the shared token is now another one than the rejected one, or will be refreshed.
    Refused(bool),
    /// What was ended, and has to be revoked at the service.
    LoggedOut(Option<Box<SharedSession>>),
    LoggedIn,
    Failed(Failure),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Failure {
    #[error("nobody is logged in")]
    NotLoggedIn,
    #[error("{0}")]
    Store(SharedFailure),
    /// A server still has an older record than this call has seen.
    #[error("the server that answers lags behind")]
    Lagging,
    /// Another machine refreshes the session, by its name.
    #[error("{0} is refreshing the session")]
    Leased(String),
    #[error("the machines that may refresh the session have not")]
    NotRefreshed,
    #[error("the service rejected the refresh token: {0}")]
    Rejected(String),
    #[error("{0}")]
    ClientRejected(String),
    /// The refresh token may be spent.
    #[error("the response of the service was lost: {0}")]
    Interrupted(String),
    /// The request failed, and the refresh token is not spent.
    #[error("{0}")]
    Failed(String),
    /// As `Failed`; the service rejected the request.
    #[error("{0}")]
    RequestRejected(String),
    /// Something on this machine prevents the request.
    #[error("{0}")]
    Unprepared(String),
    #[error("the session has no refresh token")]
    NotRenewable,
    #[error("somebody else has logged in or out meanwhile")]
    Superseded,
    #[error("the shared store does not have the new session: {0}")]
    Unsaved(String),
}

/// A lease that this call holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Held {
    version: u64,
    record: SharedSession,
}

impl Held {
    /// Whether the record is still the one of this lease.
    fn is_in(&self, found: &SharedSession) -> bool {
        let is_ours = found.lease.is_some() && found.lease == self.record.lease;
        is_ours && found.login_id == self.record.login_id
    }
}

/// The next change of the store.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Task {
    Goal,
    /// A check-and-set for a lease was sent from version `held.version`, and may have been carried out.
    Lease {
        held: Box<Held>,
        sent_at: Duration,
    },
    Save(Box<PendingResult>),
    /// The service rejected the refresh token.
    Reject(Box<Held>, String),
    /// The lease ends without a result, for this reason; `None`: the call goes on.
    Release(Box<Held>, Option<Failure>),
    /// The record of the readers.
    Publish(Box<SharedRecord>, Outcome),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Step {
    Start,
    Reading,
    Waiting,
    Writing,
    /// Before a lease is taken from this record.
    Preparing(Box<Held>),
    Redeeming(Box<Held>),
    /// The result is then written from this version.
    SavingPending(u64),
    /// `true`: the store has the result.
    RemovingPending(bool),
    End,
}

/// The state of a call.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Process {
    call: Call,
    task: Task,
    step: Step,
    /// The newest version that this call knows, of each part.
    floor: [u64; 2],
    /// When the task is given up, by the boot clock.
    limit: Duration,
    /// The clock of the store, and the boot clock at the same moment.
    server: (Timestamp, Duration),
    /// The session that was read last.
    found: Option<Box<Session>>,
    /// The login in the record before this call's.
    before: Option<String>,
    /// The session of the record that a logout ends.
    ended: Option<Box<SharedSession>>,
    leases: u8,
    redemptions: u8,
    doublings: u32,
}

/// The moment of an event.
#[derive(Clone, Copy)]
struct Now {
    boot: Duration,
    random: u32,
}

impl Process {
    pub fn new(call: Call) -> Self {
        Self {
            task: Task::Goal,
            step: Step::Start,
            floor: [0, 0],
            limit: call.deadline,
            server: call.clock,
            found: None,
            before: None,
            ended: None,
            leases: 0,
            redemptions: 0,
            doublings: 0,
            call,
        }
    }

    /// Takes note of an event, and returns the next action. An event that does not follow the last action ends the call.
    pub fn step(&mut self, Input { boot, random, event }: Input) -> Action {
        let now = Now { boot, random };
        match (std::mem::replace(&mut self.step, Step::End), event) {
            (Step::Start, Event::Started) => match self.call.pending.take() {
                Some(pending) if !matches!(self.call.goal, Goal::LogIn { .. }) => {
                    self.floor[SharedPart::Refresh as usize] = pending.version;
                    self.found = Some(Box::new(pending.session.clone()));
                    self.begin(Task::Save(pending), self.call.save_deadline)
                }
                _ => self.begin(Task::Goal, self.call.deadline),
            },
            (Step::Reading, Event::Read(Ok(snapshot), observed)) => {
                self.read(&snapshot, observed, now)
            }
            (Step::Reading, Event::Read(Err(failure), _)) => self.read_failed(failure, now),
            (Step::Waiting, Event::Waited) | (Step::Preparing(_), Event::Prepared(Ok(true))) => {
                self.read_again()
            }
            (Step::Writing, Event::Written(Ok(version))) => {
                self.floor[self.part() as usize] = version;
                self.written(version, boot)
            }
            (Step::Writing, Event::Written(Err(failure))) => self.write_failed(failure, now),
            (Step::Preparing(held), Event::Prepared(Ok(false))) => self.take_lease(*held, boot),
            (Step::Preparing(_), Event::Prepared(Err(reason))) => {
                self.end(Failure::Unprepared(reason), boot)
            }
            (Step::Redeeming(held), Event::Redeemed(Ok(new))) => self.received(&held, new, boot),
            (Step::Redeeming(held), Event::Redeemed(Err(error))) => {
                self.not_received(held, &error, boot)
            }
            (Step::SavingPending(version), Event::PendingSaved) => self.write_result(version),
            (Step::RemovingPending(is_saved), Event::PendingRemoved) => {
                self.after_result(is_saved, boot)
            }
            _ => self.finish(Outcome::Failed(Failure::NotRefreshed)),
        }
    }

    pub fn goal(&self) -> &Goal {
        &self.call.goal
    }

    /// Whether this call has changed nothing yet, and another process may bring the session.
    pub fn is_waiting(&self) -> bool {
        (&self.task, &self.call.goal) == (&Task::Goal, &Goal::Get) && self.leases == 0
    }

    /// The shared session by the clock of this machine, if its token lives.
    pub fn alive(&self, boot: Duration) -> Option<Session> {
        let found = self.found.as_ref().filter(|_| self.call.goal == Goal::Get)?;
        self.is_alive(boot).then(|| shifted((**found).clone(), -self.offset()))
    }

    fn part(&self) -> SharedPart {
        match self.task {
            Task::Publish(..) => SharedPart::Access,
            Task::Goal if self.call.role == FleetRole::Reader => SharedPart::Access,
            _ => SharedPart::Refresh,
        }
    }

    fn begin(&mut self, task: Task, limit: Duration) -> Action {
        (self.task, self.limit, self.doublings) = (task, limit, 0);
        self.read_again()
    }

    fn read_again(&mut self) -> Action {
        self.step = Step::Reading;
        Action::Read(self.part())
    }

    fn write(&mut self, version: u64, record: SharedRecord) -> Action {
        self.step = Step::Writing;
        Action::CompareAndSet(self.part(), version, Box::new(record))
    }

    fn write_session(&mut self, version: u64, session: SharedSession) -> Action {
        self.write(version, SharedRecord::Session(Box::new(session)))
    }

    /// Decides what follows from a record.
    fn read(&mut self, snapshot: &Snapshot, observed: Duration, now: Now) -> Action {
        let part = self.part() as usize;
        // A record that stays old for as long as a result is written is that of a store that was restored.
        if snapshot.version < self.floor[part] && now.boot < self.limit {
            let is_lease = matches!(self.task, Task::Lease { .. });
            if !is_lease && self.has_token(now.boot) {
                return self.give_up(Failure::Lagging, now.boot);
            }
            return self.back_off(Failure::Lagging, Duration::ZERO, now);
        }
        self.floor[part] = snapshot.version;
        self.server = (snapshot.server_time, now.boot);
        let version = snapshot.version;
        let found = match &snapshot.record {
            Some(SharedRecord::Session(found)) => Some(&**found),
            _ => None,
        };
        match self.task.clone() {
            Task::Lease { held, sent_at } => match found.filter(|found| held.is_in(found)) {
                Some(found) => {
                    self.leased(Held { version, record: found.clone() }, sent_at, now.boot)
                }
                None if version == held.version && now.boot <= sent_at + REQUEST_WINDOW => {
                    self.write_session(version, held.record)
                }
                None => {
                    self.task = Task::Goal;
                    self.decide(snapshot, observed, now)
                }
            },
            Task::Save(pending) => match pending.fate(found) {
                Fate::Written => self.remove_pending(true),
                Fate::Obsolete => self.remove_pending(false),
                Fate::Current => self.write_result(version),
            },
            Task::Reject(held, reason) => {
                if let Some(found) = found.filter(|found| held.is_in(found)) {
                    return self.write_session(version, found.without_lease(Some(reason)));
                }
                // Another machine has saved a session meanwhile, or takes the lease.
                (self.task, self.limit) = (Task::Goal, self.call.deadline);
                self.decide(snapshot, observed, now)
            }
            Task::Release(held, reason) => match found.filter(|found| held.is_in(found)) {
                Some(found) => self.write_session(version, found.without_lease(None)),
                None => self.released(reason, now.boot),
            },
            Task::Publish(record, outcome) => {
                if is_published(&record, snapshot.record.as_ref()) {
                    return self.finish(outcome);
                }
                self.write(version, *record)
            }
            Task::Goal => self.decide(snapshot, observed, now),
        }
    }

    fn decide(&mut self, snapshot: &Snapshot, observed: Duration, now: Now) -> Action {
        let Snapshot { version, record, server_time, .. } = snapshot;
        let found = match record {
            Some(SharedRecord::Session(found)) => Some(found),
            _ => None,
        };
        match (self.call.goal.clone(), found) {
            (Goal::Get, None) => self.finish(Outcome::Failed(Failure::NotLoggedIn)),
            (Goal::Get, Some(found)) => self.get(snapshot, found, observed, now),
            (Goal::Refuse(_), None) => self.finish(Outcome::Refused(false)),
            (Goal::Refuse(token), Some(found)) => {
                let SharedSession { session, rejected, .. } = &**found;
                let is_due = server_time.since(session.last_refreshed_at) >= FORCED_INTERVAL;
                let can_refresh = self.can_renew(session) && rejected.is_none();
                if session.has_token(&token) && !session.is_expired(*server_time) {
                    if !can_refresh || !is_due || self.call.role == FleetRole::Reader {
                        return self.finish(Outcome::Refused(false));
                    }
                    let mut marked = (**found).clone();
                    marked.session.expires_at = *server_time;
                    return self.write_session(*version, marked);
                }
                // It has been replaced, or is marked.
                self.finish(Outcome::Refused(can_refresh || !session.is_expired(*server_time)))
            }
            (Goal::LogIn { login_id, .. }, Some(found)) if found.login_id == login_id => {
                self.logged_in(now.boot)
            }
            (Goal::LogIn { login_id, session }, _) => {
                let last = record.as_ref().map(SharedRecord::login_id).unwrap_or_default();
                // A write whose response was lost may have been followed by somebody's logout, or another login.
                if self.before.get_or_insert_with(|| last.to_owned()) != last {
                    return self.finish(Outcome::Failed(Failure::Superseded));
                }
                let session = self.to_store(*session);
                let session = SharedSession { login_id, session, lease: None, rejected: None };
                self.write_session(*version, session)
            }
            (Goal::LogOut, Some(found))
                if self.ended.as_ref().is_none_or(|ended| ended.login_id == found.login_id) =>
            {
                self.ended = Some(found.clone());
                self.write(*version, SharedRecord::LoggedOut { login_id: found.login_id.clone() })
            }
            (Goal::LogOut, _) => self.logged_out(now.boot),
        }
    }

    fn get(
        &mut self,
        snapshot: &Snapshot,
        found: &SharedSession,
        observed: Duration,
        now: Now,
    ) -> Action {
        let SharedSession { session, lease, rejected, .. } = found;
        let (version, time) = (snapshot.version, snapshot.server_time);
        let is_alive = !self.call.need.is_expired(session, time);
        let is_reader = self.call.role == FleetRole::Reader;
        self.found = Some(Box::new(session.clone()));
        // A lease that arrived too late for its request.
        if lease.as_ref().is_some_and(|lease| lease.nonce.starts_with(&self.call.nonce)) {
            let held = Held { version, record: found.clone() };
            self.task = Task::Release(Box::new(held), None);
            return self.write_session(version, found.without_lease(None));
        }
        if is_alive && (is_reader || !is_due(self.call.need, session, time)) {
            let outcome = self.session(session.clone(), None);
            return self.publish(SharedRecord::Session(Box::new(found.clone())), outcome, now.boot);
        }
        if let Some(reason) = rejected {
            let outcome = self.outcome(Failure::Rejected(reason.clone()), now.boot);
            return self.publish(SharedRecord::Session(Box::new(found.clone())), outcome, now.boot);
        }
        if is_reader {
            return self.back_off(Failure::NotRefreshed, Duration::ZERO, now);
        }
        if !self.can_renew(session) {
            return self.end(Failure::NotRenewable, now.boot);
        }
        if let Some(lease) = lease {
            let age = time.since(snapshot.created_at);
            if !(age >= LEASE_LIFETIME && observed >= OBSERVATION && session.is_expired(time)) {
                if is_alive {
                    let outcome = self.session(session.clone(), None);
                    return self.finish(outcome);
                }
                let rest = Ord::max(LEASE_LIFETIME - age, session.expires_at.since(time));
                let rest = Duration::try_from(rest).unwrap_or_default();
                let rest = rest.max(OBSERVATION.saturating_sub(observed)).max(FIRST_DELAY);
                let failure = Failure::Leased(lease.holder.clone());
                return match self.back_off(failure, Duration::ZERO, now) {
                    // A call that waits longer ends before it can take the lease over.
                    Action::Wait(delay) => Action::Wait(delay.min(rest)),
                    action => action,
                };
            }
        }
        if self.redemptions >= MAX_REDEMPTIONS || now.boot + MIN_REQUEST_TIME > self.limit {
            return self.end(Failure::NotRefreshed, now.boot);
        }
        self.step = Step::Preparing(Box::new(Held { version, record: found.clone() }));
        Action::Prepare
    }

    fn take_lease(&mut self, mut held: Held, boot: Duration) -> Action {
        self.leases += 1;
        let nonce = format!("{}-{}", self.call.nonce, self.leases);
        held.record.lease = Some(Lease { holder: self.call.holder.clone(), nonce });
        let (version, record) = (held.version, held.record.clone());
        self.task = Task::Lease { held: Box::new(held), sent_at: boot };
        self.write_session(version, record)
    }

    /// The lease proves that the session is the current one: its refresh token is sent at once, or not at all.
    fn leased(&mut self, held: Held, sent_at: Duration, boot: Duration) -> Action {
        if boot > sent_at + REQUEST_WINDOW {
            let (version, record) = (held.version, held.record.without_lease(None));
            self.task = Task::Release(Box::new(held), None);
            return self.write_session(version, record);
        }
        self.redemptions += 1;
        self.task = Task::Goal;
        let session = Box::new(held.record.session.clone());
        self.step = Step::Redeeming(Box::new(held));
        Action::Redeem(session)
    }

    fn received(&mut self, held: &Held, new: Session, boot: Duration) -> Action {
        let Held { version, record } = held;
        let logged_in_at = record.session.logged_in_at;
        let pending = Box::new(PendingResult {
            login_id: record.login_id.clone(),
            version: *version,
            redeemed: record.session.refresh_token.clone(),
            session: Session { logged_in_at, ..self.to_store(new) },
        });
        (self.task, self.limit) = (Task::Save(pending.clone()), boot + SAVE_TIMEOUT);
        self.doublings = 0;
        self.step = Step::SavingPending(*version);
        Action::SavePending(pending)
    }

    fn not_received(&mut self, held: Box<Held>, error: &RenewalError, boot: Duration) -> Action {
        let reason = error.to_string();
        let (version, record) = (held.version, &held.record);
        let (task, record) = match error {
            RenewalError::SessionEnded(_) => {
                let record = record.without_lease(Some(reason.clone()));
                (Task::Reject(held, reason), record)
            }
            // The request may still be under way: the lease keeps the other machines from sending the token.
            RenewalError::Interrupted(_) if !self.call.has_grace => {
                return self.end(Failure::Interrupted(reason), boot);
            }
            RenewalError::Interrupted(_) => {
                let is_last = self.redemptions >= MAX_REDEMPTIONS;
                let failure = is_last.then_some(Failure::Interrupted(reason));
                let record = record.without_lease(None);
                (Task::Release(held, failure), record)
            }
            RenewalError::ClientRejected(_) => {
                let record = record.without_lease(None);
                (Task::Release(held, Some(Failure::ClientRejected(reason))), record)
            }
            RenewalError::Failed(error) => {
                let is_rejection = error.is_rejection();
                let failure = if is_rejection { Failure::RequestRejected } else { Failure::Failed };
                let record = record.without_lease(None);
                (Task::Release(held, Some(failure(reason))), record)
            }
        };
        (self.task, self.limit) = (task, self.call.deadline.max(boot + REQUEST_WINDOW));
        self.write_session(version, record)
    }

    fn write_result(&mut self, version: u64) -> Action {
        let Task::Save(pending) = &self.task else {
            return self.finish(Outcome::Failed(Failure::NotRefreshed));
        };
        let PendingResult { login_id, session, .. } = (**pending).clone();
        self.write_session(
            version,
            SharedSession { login_id, session, lease: None, rejected: None },
        )
    }

    fn remove_pending(&mut self, is_saved: bool) -> Action {
        self.step = Step::RemovingPending(is_saved);
        Action::RemovePending
    }

    /// After a check-and-set that was carried out.
    fn written(&mut self, version: u64, boot: Duration) -> Action {
        match self.task.clone() {
            Task::Goal => match &self.call.goal {
                Goal::LogIn { .. } => self.logged_in(boot),
                Goal::LogOut => self.logged_out(boot),
                _ => self.finish(Outcome::Refused(true)),
            },
            Task::Lease { held, sent_at } => {
                self.leased(Held { version, record: held.record }, sent_at, boot)
            }
            Task::Save(_) => self.remove_pending(true),
            Task::Reject(held, reason) => {
                let record = held.record.without_lease(Some(reason.clone()));
                let outcome = self.outcome(Failure::Rejected(reason), boot);
                self.publish(SharedRecord::Session(Box::new(record)), outcome, boot)
            }
            Task::Release(_, reason) => self.released(reason, boot),
            Task::Publish(_, outcome) => self.finish(outcome),
        }
    }

    fn released(&mut self, reason: Option<Failure>, boot: Duration) -> Action {
        match reason {
            Some(reason) => self.end(reason, boot),
            None => self.begin(Task::Goal, self.call.deadline),
        }
    }

    fn after_result(&mut self, is_saved: bool, boot: Duration) -> Action {
        match &self.task {
            Task::Save(pending) if is_saved && self.redemptions > 0 => {
                let PendingResult { login_id, session, .. } = (**pending).clone();
                let outcome = self.session(session.clone(), None);
                let record = SharedSession { login_id, session, lease: None, rejected: None };
                self.publish(SharedRecord::Session(Box::new(record)), outcome, boot)
            }
            _ => self.begin(Task::Goal, self.call.deadline),
        }
    }

    fn logged_in(&mut self, boot: Duration) -> Action {
        let Goal::LogIn { login_id, session } = self.call.goal.clone() else {
            return self.finish(Outcome::LoggedIn);
        };
        let session = self.to_store(*session);
        let record = SharedSession { login_id, session, lease: None, rejected: None };
        self.publish(SharedRecord::Session(Box::new(record)), Outcome::LoggedIn, boot)
    }

    fn logged_out(&mut self, boot: Duration) -> Action {
        let ended = self.ended.clone();
        match ended.as_ref().map(|ended| ended.login_id.clone()) {
            Some(login_id) => {
                let record = SharedRecord::LoggedOut { login_id };
                self.publish(record, Outcome::LoggedOut(ended), boot)
            }
            None => self.finish(Outcome::LoggedOut(None)),
        }
    }

    /// Writes the record of the readers, without the refresh token, and then ends the call.
    fn publish(&mut self, mut record: SharedRecord, outcome: Outcome, boot: Duration) -> Action {
        if self.call.role != FleetRole::Refresher {
            return self.finish(outcome);
        }
        if let SharedRecord::Session(shared) = &mut record {
            (shared.session.refresh_token, shared.lease) = (None, None);
        }
        self.begin(Task::Publish(Box::new(record), outcome), boot + PUBLISH_TIMEOUT)
    }

    fn read_failed(&mut self, failure: SharedFailure, now: Now) -> Action {
        let least = match &failure {
            SharedFailure::Busy { retry_after, .. } => *retry_after,
            SharedFailure::Denied(_) | SharedFailure::Failed(_)
                if !matches!(self.task, Task::Save(_)) =>
            {
                return self.give_up(Failure::Store(failure), now.boot);
            }
            _ => Duration::ZERO,
        };
        if self.has_token(now.boot) {
            return self.give_up(Failure::Store(failure), now.boot);
        }
        self.back_off(Failure::Store(failure), least, now)
    }

    fn write_failed(&mut self, failure: SharedFailure, now: Now) -> Action {
        match failure {
            // Only a later read shows whether the record is another one, or has been written.
            SharedFailure::Refused | SharedFailure::Interrupted(_) if now.boot < self.limit => {
                self.step = Step::Waiting;
                Action::Wait(LAG_DELAY)
            }
            failure => self.read_failed(failure, now),
        }
    }

    /// Waits a random part of a delay that doubles, if there is time left.
    fn back_off(&mut self, reason: Failure, least: Duration, now: Now) -> Action {
        let max = FIRST_DELAY * 2u32.pow(self.doublings);
        self.doublings = MAX_DOUBLINGS.min(self.doublings + 1);
        if now.boot >= self.limit || now.boot + least > self.limit {
            return self.give_up(reason, now.boot);
        }
        let delay = least + max.mul_f64(f64::from(now.random) / f64::from(u32::MAX));
        self.step = Step::Waiting;
        Action::Wait(delay.min(self.limit.saturating_sub(now.boot)))
    }

    fn give_up(&mut self, reason: Failure, boot: Duration) -> Action {
        match self.task.clone() {
            Task::Save(pending) => {
                self.found = Some(Box::new(pending.session));
                self.end(Failure::Unsaved(reason.to_string()), boot)
            }
            Task::Reject(_, rejection) => self.end(Failure::Rejected(rejection), boot),
            Task::Release(_, Some(reason)) => self.end(reason, boot),
            Task::Publish(_, outcome) => self.finish(outcome),
            Task::Goal | Task::Lease { .. } | Task::Release(_, None) => self.end(reason, boot),
        }
    }

    fn end(&mut self, reason: Failure, boot: Duration) -> Action {
        let outcome = self.outcome(reason, boot);
        self.finish(outcome)
    }

    /// The token that lives, or the failure.
    fn outcome(&self, reason: Failure, boot: Duration) -> Outcome {
        match self.alive(boot) {
            Some(session) => Outcome::Session(Box::new(session), Some(reason)),
            None => Outcome::Failed(reason),
        }
    }

    fn session(&self, session: Session, problem: Option<Failure>) -> Outcome {
        Outcome::Session(Box::new(shifted(session, -self.offset())), problem)
    }

    fn finish(&mut self, outcome: Outcome) -> Action {
        self.step = Step::End;
        Action::End(outcome)
    }

    /// Whether a token that lives can be returned: then nobody waits, except for a result of this call.
    fn has_token(&self, boot: Duration) -> bool {
        let may_end = match self.task {
            Task::Goal | Task::Lease { .. } => true,
            Task::Save(_) => self.redemptions == 0,
            _ => false,
        };
        may_end && self.call.goal == Goal::Get && (self.call.has_copy || self.is_alive(boot))
    }

    fn is_alive(&self, boot: Duration) -> bool {
        let (server_time, at) = self.server;
        let now = server_time.plus(signed(boot.saturating_sub(at)));
        self.found.as_ref().is_some_and(|found| !self.call.need.is_expired(found, now))
    }

    fn can_renew(&self, session: &Session) -> bool {
        self.call.has_client_credentials || session.refresh_token.is_some()
    }

    /// How far the clock of the store is ahead of the clock of this machine.
    fn offset(&self) -> Validity {
        let ((server, server_at), (local, local_at)) = (self.server, self.call.clock);
        server.since(local) - (signed(server_at) - signed(local_at))
    }

    fn to_store(&self, session: Session) -> Session {
        shifted(session, self.offset())
    }
}

/// What becomes of a result.
enum Fate {
    Written,
    /// It belongs in the record.
    Current,
    /// Somebody has logged out or in, or a later refresh has replaced it.
    Obsolete,
}

impl PendingResult {
    /// A result may be written while the record still has the refresh token that was sent for it, whoever has the lease:
    /// nobody else can have received it.
    fn fate(&self, found: Option<&SharedSession>) -> Fate {
        let Some(found) = found.filter(|found| found.login_id == self.login_id) else {
            return Fate::Obsolete;
        };
        let (theirs, ours) = (&found.session, &self.session);
        if theirs.has_tokens_of(ours) {
            return Fate::Written;
        }
        if theirs.refresh_token == self.redeemed || issued_at(ours) > issued_at(theirs) {
            return Fate::Current;
        }
        Fate::Obsolete
    }
}

impl SharedRecord {
    fn login_id(&self) -> &str {
        match self {
            Self::Session(shared) => &shared.login_id,
            Self::LoggedOut { login_id } => login_id,
        }
    }
}

impl SharedSession {
    fn without_lease(&self, rejected: Option<String>) -> Self {
        Self { lease: None, rejected, ..self.clone() }
    }
}

/// Whether the readers have the record, or a later one.
fn is_published(ours: &SharedRecord, found: Option<&SharedRecord>) -> bool {
    match (ours, found) {
        (ours, Some(found)) if ours == found => true,
        (SharedRecord::Session(ours), Some(SharedRecord::Session(theirs))) => {
            let (ours_at, theirs_at) = (ours.session.logged_in_at, theirs.session.logged_in_at);
            if ours.login_id == theirs.login_id {
                issued_at(&theirs.session) > issued_at(&ours.session)
            } else {
                theirs_at > ours_at
            }
        }
        (SharedRecord::Session(ours), Some(SharedRecord::LoggedOut { login_id })) => {
            ours.login_id == *login_id
        }
        _ => false,
    }
}

/// Whether a session is refreshed: before tools stop using it, so that a takeover or a failover delays nobody.
pub fn is_due(need: Need, session: &Session, now: Timestamp) -> bool {
    let early =
        session.reported_expiry(Timestamp::ZERO).map(|expiry| expiry.plus(-spread(session)));
    !need.is_met(session, now) && !need.is_unmeetable(session, now)
        || early.is_some_and(|early| now >= early)
}

/// A fifth of the lifetime, over which the machines distribute their requests.
pub fn spread(session: &Session) -> Validity {
    session.expires_at.since(session.received_at()).max(Validity::ZERO) / 5
}

fn signed(duration: Duration) -> Validity {
    Validity::try_from(duration).unwrap_or(Validity::MAX)
}

/// The session by another clock.
pub(super) fn shifted(session: Session, by: Validity) -> Session {
    let shift = |time: Timestamp| {
        if time == Timestamp::ZERO || time.is_never() { time } else { time.plus(by) }
    };
    let id_token = session.id_token.map(|id| IdToken { expires_at: shift(id.expires_at), ..id });
    Session {
        id_token,
        expires_at: shift(session.expires_at),
        logged_in_at: shift(session.logged_in_at),
        last_refreshed_at: shift(session.last_refreshed_at),
        ..session
    }
}
