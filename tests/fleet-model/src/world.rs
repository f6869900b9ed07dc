//! The store, the service, the machines, and what may go wrong with them.

use std::time::Duration;

use my_credential_helper::auth::fleet::protocol::{
    Action, Call, Event, Goal, Input, Outcome, Process, SAVE_TIMEOUT,
};
use my_credential_helper::http::{HttpError, RenewalError, ServiceError, SharedFailure};
use my_credential_helper::model::{
    FleetRole, Need, PendingResult, Secret, Session, SharedRecord, SharedSession, Snapshot,
    Timestamp,
};

use crate::explorer::{Label, Model};

/// How long an access token lives, in seconds.
const LIFETIME: i64 = 100;

/// How often each fault and each event may occur in one run, and the rules that a control breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Bounds {
    pub(crate) machines: usize,
    /// The calls of each machine.
    pub(crate) calls: u8,
    pub(crate) crashes: u8,
    pub(crate) stale_reads: u8,
    /// A standby that lags behind refuses a correct write.
    pub(crate) lagging_refusals: u8,
    pub(crate) lost_writes: u8,
    /// A response to a write that takes as long as other events.
    pub(crate) slow_writes: u8,
    /// A response of the service, or a request to it.
    pub(crate) lost_responses: u8,
    pub(crate) failed_requests: u8,
    pub(crate) unavailable: u8,
    /// Six seconds: more than a request may wait for.
    pub(crate) short_delays: u8,
    /// Until a lease may be taken over.
    pub(crate) long_delays: u8,
    pub(crate) logins: u8,
    pub(crate) logouts: u8,
    /// A tool of a machine reports the shared access token, which lives, as rejected.
    pub(crate) refusals: u8,
    /// A machine may be stopped for longer than a lease lives.
    pub(crate) may_pause: bool,
    /// Whether what such a pause costs is a violation.
    pub(crate) pauses_count: bool,
    pub(crate) without_pending: bool,
    pub(crate) control: Option<Control>,
}

impl Bounds {
    pub(crate) const NONE: Self = Self {
        machines: 0,
        calls: 0,
        crashes: 0,
        stale_reads: 0,
        lagging_refusals: 0,
        lost_writes: 0,
        slow_writes: 0,
        lost_responses: 0,
        failed_requests: 0,
        unavailable: 0,
        short_delays: 0,
        long_delays: 0,
        logins: 0,
        logouts: 0,
        refusals: 0,
        may_pause: false,
        pauses_count: false,
        without_pending: false,
        control: None,
    };
}

/// A protocol that lacks one of the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Control {
    /// The lease has a version of its own.
    SeparateLease,
    NoLoginId,
    /// The store has no result of a machine that does not hold the lease.
    NoLateResult,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Machine {
    process: Option<(Process, Action)>,
    /// On its disk.
    pending: Option<Box<PendingResult>>,
    seen: Option<(String, u32)>,
    calls: u8,
    /// What its check-and-set brought; the response is under way.
    response: Option<Result<u64, SharedFailure>>,
    /// A refresh token that only the memory of its process has.
    received: Option<Token>,
    leases: u8,
    requests: u8,
}

/// A person's login, and a number that counts its refreshes.
type Token = (u8, u8);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Family {
    current: u8,
    is_revoked: bool,
}

/// What was stored when.
type Written = (Option<SharedRecord>, u32);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    bounds: Bounds,
    time: u32,
    /// The last versions, the newest at the end.
    versions: Vec<Written>,
    version: u64,
    families: Vec<Family>,
    machines: Vec<Machine>,
    /// Orders what the service issues within one second.
    issued: u8,
    /// The answer of the service was lost with its only holder: no rule can save the login.
    is_lost: bool,
    /// A machine was stopped for longer than the rules allow.
    was_paused: bool,
    violation: Option<&'static str>,
}

/// How many versions a standby may be behind.
const MAX_LAG: usize = 3;

fn name(prefix: char, (family, number): Token) -> Secret {
    Secret::new(format!("{family}{prefix}{number}"))
}

fn token(secret: &Secret) -> Token {
    let text = secret.expose_secret();
    let (family, number) = text.split_once('r').expect("a refresh token of the model");
    (family.parse().expect("a login"), number.parse().expect("a number"))
}

fn record_token(record: Option<&SharedRecord>) -> Option<Token> {
    match record {
        Some(SharedRecord::Session(shared)) => shared.session.refresh_token.as_ref().map(token),
        _ => None,
    }
}

fn unavailable() -> SharedFailure {
    SharedFailure::Unavailable("no leader".to_owned())
}

fn at(seconds: u32) -> Timestamp {
    Timestamp::from_unix(1_800_000_000 + i64::from(seconds))
}

impl World {
    pub(crate) fn new(bounds: Bounds) -> Self {
        let machine = Machine {
            process: None,
            pending: None,
            seen: None,
            calls: bounds.calls,
            response: None,
            received: None,
            leases: 0,
            requests: 0,
        };
        let mut world = Self {
            bounds,
            time: 1000,
            versions: Vec::new(),
            version: 1,
            families: vec![Family { current: 0, is_revoked: false }],
            machines: vec![machine; bounds.machines],
            issued: 0,
            is_lost: false,
            was_paused: false,
            violation: None,
        };
        // The session has expired, and was issued long ago.
        let mut session = world.session((0, 0));
        session.last_refreshed_at = at(0);
        // A token that lives can be rejected, and is due.
        session.expires_at = at(if bounds.refusals > 0 { 1060 } else { 900 });
        let shared =
            SharedSession { login_id: String::new(), session, lease: None, rejected: None };
        world.versions.push((Some(SharedRecord::Session(Box::new(shared))), 0));
        world
    }

    fn session(&mut self, token: Token) -> Session {
        self.issued += 1;
        let now = at(self.time).plus(time::Duration::nanoseconds(self.issued.into()));
        Session {
            access_token: name('a', token),
            refresh_token: Some(name('r', token)),
            id_token: None,
            expires_at: now.plus(time::Duration::seconds(LIFETIME)),
            logged_in_at: at(0),
            last_refreshed_at: now,
        }
    }

    fn record(&self) -> Option<&SharedRecord> {
        self.versions.last().and_then(|(record, _)| record.as_ref())
    }

    /// Whether somebody has the token, and can still write it.
    fn is_held(&self, wanted: Token) -> bool {
        let has = |pending: &PendingResult| {
            pending.session.refresh_token.as_ref().map(token) == Some(wanted)
        };
        self.machines.iter().any(|machine| {
            machine.received == Some(wanted) || machine.pending.as_deref().is_some_and(has)
        })
    }

    fn start(&mut self, index: usize, goal: Goal) {
        let boot = Duration::from_secs(self.time.into());
        let machine = &mut self.machines[index];
        let mut process = Process::new(Call {
            goal,
            role: FleetRole::Simple,
            need: Need::default(),
            deadline: boot + Duration::from_secs(20),
            save_deadline: boot + SAVE_TIMEOUT,
            clock: (at(self.time), boot),
            pending: machine.pending.clone(),
            has_copy: false,
            has_grace: false,
            has_client_credentials: false,
            holder: index.to_string(),
            nonce: format!("{index}.{}", machine.calls),
        });
        let action = process.step(Input { boot, random: u32::MAX, event: Event::Started });
        (machine.leases, machine.requests) = (0, 0);
        machine.process = Some((process, action));
    }

    /// The result of the machine's action.
    fn deliver(&mut self, index: usize, event: Event) {
        let boot = Duration::from_secs(self.time.into());
        let machine = &mut self.machines[index];
        let Some((mut process, _)) = machine.process.take() else { return };
        let mut step = |event| process.step(Input { boot, random: u32::MAX, event });
        let mut action = step(event);
        // What a machine does by itself is not seen by another one.
        let action = loop {
            action = match action {
                Action::Wait(_) => step(Event::Waited),
                Action::Prepare => step(Event::Prepared(Ok(false))),
                Action::RemovePending if self.bounds.crashes == 0 => {
                    machine.pending = None;
                    step(Event::PendingRemoved)
                }
                Action::SavePending(pending)
                    if self.bounds.crashes == 0 && !self.bounds.without_pending =>
                {
                    (machine.pending, machine.received) = (Some(pending), None);
                    step(Event::PendingSaved)
                }
                action => break action,
            };
        };
        if let Action::End(outcome) = &action {
            // A result that is neither on the disk nor in the store is lost with its process.
            self.forget_received(index);
            if let Outcome::LoggedOut(Some(ended)) = outcome
                && let Some(token) = &ended.session.refresh_token
            {
                self.families[usize::from(self::token(token).0)].is_revoked = true;
            }
            return;
        }
        machine.process = Some((process, action));
    }

    fn forget_received(&mut self, index: usize) {
        if let Some(token) = self.machines[index].received.take()
            && !self.is_held(token)
            && record_token(self.record()) != Some(token)
        {
            self.is_lost = true;
        }
    }

    fn crash(&mut self, index: usize) {
        self.machines[index].process = None;
        self.machines[index].response = None;
        self.forget_received(index);
    }

    fn snapshot(&self, lag: usize) -> Snapshot {
        let last = self.versions.len() - 1;
        let (mut record, created_at) = self.versions[last - lag].clone();
        let mut version = self.version - lag as u64;
        if self.bounds.control == Some(Control::SeparateLease) && lag > 0 {
            // The lease is read from its own key, and is not old.
            version = self.version;
            if let (Some(SharedRecord::Session(old)), Some(SharedRecord::Session(new))) =
                (&mut record, self.record())
            {
                old.lease.clone_from(&new.lease);
            }
        }
        Snapshot { record, version, created_at: at(created_at), server_time: at(self.time) }
    }

    /// What a machine reads, `lag` versions behind.
    fn read(&self, index: usize, lag: usize) -> Self {
        let mut next = self.clone();
        let snapshot = self.snapshot(lag);
        let machine = &mut next.machines[index];
        let lease = match &snapshot.record {
            Some(SharedRecord::Session(shared)) => shared.lease.clone(),
            _ => None,
        };
        machine.seen = lease.map(|lease| match machine.seen.take() {
            Some(seen) if seen.0 == lease.nonce => seen,
            _ => (lease.nonce, self.time),
        });
        let since = machine.seen.as_ref().map_or(self.time, |(_, since)| *since);
        let observed = Duration::from_secs((self.time - since).into());
        next.deliver(index, Event::Read(Ok(snapshot), observed));
        next
    }

    fn may_write(&self, index: usize, version: u64, record: &SharedRecord) -> bool {
        if version != self.version {
            return false;
        }
        let Some(SharedRecord::Session(current)) = self.record() else { return true };
        let SharedRecord::Session(new) = record else { return true };
        let is_result = new.lease.is_none() && new.session != current.session;
        let holder = current.lease.as_ref().map(|lease| lease.holder.clone());
        self.bounds.control != Some(Control::NoLateResult)
            || !is_result
            || index >= self.bounds.machines
            || holder.is_some_and(|holder| holder == index.to_string())
    }

    /// Carries out a check-and-set.
    fn write(&mut self, index: usize, record: &SharedRecord) {
        let is_login = matches!(
            &self.machines[index].process,
            Some((process, _)) if matches!(process.goal(), Goal::LogIn { .. })
        );
        let before = self.record().cloned();
        let mut record = record.clone();
        if let SharedRecord::Session(new) = &mut record
            && self.bounds.control == Some(Control::NoLoginId)
        {
            new.login_id.clear();
        }
        if let (SharedRecord::Session(new), Some(SharedRecord::Session(current))) =
            (&mut record, &before)
            && self.bounds.control == Some(Control::SeparateLease)
            && new.lease.is_some()
        {
            // Only the lease is written, whatever session was read.
            new.session = current.session.clone();
        }
        let (old, new) = (record_token(before.as_ref()), record_token(Some(&record)));
        if !is_login {
            match (old, new) {
                (None, Some(_)) => self.violation = Some("a logout was undone"),
                (Some(old), Some(new)) if old.0 != new.0 => {
                    self.violation = Some("a login was replaced by the result of another one");
                }
                _ => {}
            }
        }
        if let SharedRecord::Session(shared) = &record
            && shared.lease.is_some()
        {
            self.machines[index].leases += 1;
        }
        self.versions.push((Some(record), self.time));
        if self.versions.len() > MAX_LAG {
            self.versions.remove(0);
        }
        self.version += 1;
        if self.machines[index].received.is_some() && self.machines[index].received == new {
            self.machines[index].received = None;
        }
    }

    /// The service receives a refresh token.
    fn redeem(&mut self, index: usize, session: &Session) -> Result<Session, RenewalError> {
        let sent = token(session.refresh_token.as_ref().expect("a refresh token"));
        self.machines[index].requests += 1;
        if self.machines[index].requests > self.machines[index].leases {
            self.violation = Some("a request without a lease");
        }
        let (family, number) = (usize::from(sent.0), sent.1);
        let current = self.families[family].current;
        if self.families[family].is_revoked || number != current {
            let successor = (sent.0, current);
            let is_safe = self.is_held(successor) || record_token(self.record()) == Some(successor);
            if !self.families[family].is_revoked && is_safe && !self.was_paused {
                self.violation = Some("a refresh token was sent twice");
            }
            self.families[family].is_revoked = true;
            let error =
                ServiceError { code: "invalid_grant".to_owned(), ..ServiceError::default() };
            return Err(RenewalError::SessionEnded(error.into()));
        }
        self.families[family].current += 1;
        let new = (sent.0, number + 1);
        self.machines[index].received = Some(new);
        Ok(self.session(new))
    }

    /// The outcomes of the machine's next action.
    fn act(&self, index: usize, all: &mut Vec<(Label, Self)>) {
        let Some((_, action)) = &self.machines[index].process else { return };
        if let Some(response) = &self.machines[index].response {
            let mut next = self.clone();
            next.machines[index].response = None;
            next.deliver(index, Event::Written(response.clone()));
            all.push(((index, "receives the response"), next));
            return;
        }
        let label = |text| (index, text);
        let bounds = &self.bounds;
        let after = |event: Event| {
            let mut next = self.clone();
            next.deliver(index, event);
            next
        };
        match action {
            Action::Read(_) => {
                all.push((label("reads"), self.read(index, 0)));
                if bounds.stale_reads > 0 {
                    for lag in 1..self.versions.len() {
                        let mut world = self.clone();
                        world.bounds.stale_reads -= 1;
                        all.push((label("reads an old version"), world.read(index, lag)));
                    }
                }
                if bounds.unavailable > 0 {
                    let mut next = after(Event::Read(Err(unavailable()), Duration::ZERO));
                    next.bounds.unavailable -= 1;
                    all.push((label("cannot read"), next));
                }
            }
            Action::CompareAndSet(_, version, record) => {
                self.try_write(index, *version, record, all);
            }
            Action::Redeem(session) => {
                let mut next = self.clone();
                let result = next.redeem(index, session);
                if bounds.lost_responses > 0 {
                    let mut lost = next.clone();
                    lost.bounds.lost_responses -= 1;
                    lost.lose_response(index);
                    all.push((label("sends the token, and the response is lost"), lost));
                    let mut lost = self.clone();
                    lost.bounds.lost_responses -= 1;
                    lost.lose_response(index);
                    all.push((label("sends the token, and the request is lost"), lost));
                }
                next.deliver(index, Event::Redeemed(result));
                all.push((label("sends the token"), next));
                if bounds.failed_requests > 0 {
                    let error = ServiceError { status: 503, ..ServiceError::default() };
                    let error = RenewalError::Failed(error.into());
                    let mut next = after(Event::Redeemed(Err(error)));
                    next.bounds.failed_requests -= 1;
                    all.push((label("the service is not available"), next));
                }
            }
            Action::SavePending(pending) => {
                let mut next = self.clone();
                if !bounds.without_pending {
                    next.machines[index].pending = Some(pending.clone());
                    next.machines[index].received = None;
                }
                next.deliver(index, Event::PendingSaved);
                all.push((label("saves the result on its disk"), next));
            }
            Action::RemovePending => {
                let mut next = self.clone();
                next.machines[index].pending = None;
                next.deliver(index, Event::PendingRemoved);
                all.push((label("removes the result from its disk"), next));
            }
            Action::Wait(_) | Action::Prepare | Action::End(_) => {}
        }
    }

    /// The outcomes of a check-and-set.
    fn try_write(
        &self,
        index: usize,
        version: u64,
        record: &SharedRecord,
        all: &mut Vec<(Label, Self)>,
    ) {
        let label = |text| (index, text);
        let bounds = &self.bounds;
        let after = |event: Event| {
            let mut next = self.clone();
            next.deliver(index, event);
            next
        };
        let interrupted = || SharedFailure::Interrupted("no response".to_owned());
        if self.may_write(index, version, record) {
            let mut written = self.clone();
            written.write(index, record);
            if bounds.lost_writes > 0 {
                let mut lost = written.clone();
                lost.bounds.lost_writes -= 1;
                lost.deliver(index, Event::Written(Err(interrupted())));
                all.push((label("writes, and the response is lost"), lost));
            }
            let version = written.version;
            if bounds.slow_writes > 0 {
                let mut slow = written.clone();
                slow.bounds.slow_writes -= 1;
                slow.machines[index].response = Some(Ok(version));
                all.push((label("writes, and the response is slow"), slow));
            }
            written.deliver(index, Event::Written(Ok(version)));
            all.push((label("writes"), written));
            if bounds.lagging_refusals > 0 {
                let mut next = after(Event::Written(Err(SharedFailure::Refused)));
                next.bounds.lagging_refusals -= 1;
                all.push((label("is refused by a standby that lags"), next));
            }
        } else {
            let next = after(Event::Written(Err(SharedFailure::Refused)));
            all.push((label("is refused"), next));
        }
        if bounds.lost_writes > 0 {
            let mut next = after(Event::Written(Err(interrupted())));
            next.bounds.lost_writes -= 1;
            all.push((label("loses a write"), next));
        }
        if bounds.unavailable > 0 {
            let mut next = after(Event::Written(Err(unavailable())));
            next.bounds.unavailable -= 1;
            all.push((label("cannot write"), next));
        }
    }

    fn lose_response(&mut self, index: usize) {
        let error = RenewalError::Interrupted(HttpError::NoResponse("lost".to_owned()));
        self.forget_received(index);
        self.deliver(index, Event::Redeemed(Err(error)));
    }

    /// Whether a machine is stopped, or cut off from the store, for longer than the rules allow.
    fn is_pause(&self, seconds: u32) -> bool {
        let is_busy = |machine: &Machine| {
            let is_sending = matches!(machine.process, Some((_, Action::Redeem(_))));
            is_sending || machine.pending.is_some() || machine.received.is_some()
        };
        seconds > 30 && self.machines.iter().any(is_busy)
    }

    fn delay(&self, seconds: u32, text: &'static str) -> Option<(Label, Self)> {
        let is_pause = self.is_pause(seconds);
        if is_pause && !self.bounds.may_pause {
            return None;
        }
        let mut next = self.clone();
        next.time += seconds;
        next.was_paused |= is_pause && !self.bounds.pauses_count;
        Some(((0, text), next))
    }

    /// Whether a machine that has a result on its disk can always bring it into the store, if nothing else happens.
    fn can_save(&self, index: usize) -> bool {
        let mut world = self.clone();
        // The process of the machine may not return, and the next call saves the result.
        (world.machines[index].process, world.machines[index].response) = (None, None);
        world.start(index, Goal::Get);
        for _ in 0..20 {
            let Some((_, action)) = world.machines[index].process.clone() else { break };
            match action {
                Action::Read(_) => world = world.read(index, 0),
                Action::CompareAndSet(_, version, record) => {
                    let event = if world.may_write(index, version, &record) {
                        world.write(index, &record);
                        Event::Written(Ok(world.version))
                    } else {
                        Event::Written(Err(SharedFailure::Refused))
                    };
                    world.deliver(index, event);
                }
                _ => break,
            }
        }
        !self.is_awaited(index, world.record())
    }

    /// Whether the record has the token that was sent for the machine's result.
    fn is_awaited(&self, index: usize, record: Option<&SharedRecord>) -> bool {
        let redeemed = self.machines[index].pending.as_ref().and_then(|it| it.redeemed.as_ref());
        redeemed.map(token) == record_token(record)
    }
}

impl Model for World {
    fn next(&self) -> Vec<(Label, Self)> {
        let mut all = Vec::new();
        for index in 0..self.machines.len() {
            self.act(index, &mut all);
            let machine = &self.machines[index];
            if machine.process.is_none() && machine.calls > 0 {
                let mut next = self.clone();
                next.machines[index].calls -= 1;
                next.start(index, Goal::Get);
                next.act(index, &mut all);
                for (is_login, text) in [(true, "logs in"), (false, "logs out")] {
                    let mut next = self.clone();
                    let left =
                        if is_login { &mut next.bounds.logins } else { &mut next.bounds.logouts };
                    if *left == 0 {
                        continue;
                    }
                    *left -= 1;
                    next.machines[index].calls -= 1;
                    let goal = if is_login { next.log_in() } else { Goal::LogOut };
                    next.start(index, goal);
                    all.push(((index, text), next));
                }
                if self.bounds.refusals > 0
                    && let Some(SharedRecord::Session(shared)) = self.record()
                {
                    let rejected = Goal::Refuse(shared.session.access_token.clone());
                    let mut next = self.clone();
                    next.bounds.refusals -= 1;
                    next.machines[index].calls -= 1;
                    next.start(index, rejected);
                    all.push(((index, "rejects the shared token"), next));
                }
            }
            // A process that has changed nothing may as well not have been called.
            let matters = machine.leases > 0 || machine.pending.is_some();
            if machine.process.is_some() && matters && self.bounds.crashes > 0 {
                let mut next = self.clone();
                next.bounds.crashes -= 1;
                next.crash(index);
                all.push(((index, "crashes"), next));
            }
        }
        let is_urgent = self.machines.iter().any(|machine| {
            machine.response.is_some()
                || matches!(machine.process, Some((_, Action::CompareAndSet(..))))
        });
        if self.bounds.short_delays > 0
            && is_urgent
            && let Some((label, mut next)) = self.delay(6, "six seconds pass")
        {
            next.bounds.short_delays -= 1;
            all.push((label, next));
        }
        if self.bounds.long_delays > 0
            && let Some((label, mut next)) = self.delay(120, "two minutes pass")
        {
            next.bounds.long_delays -= 1;
            all.push((label, next));
        }
        all
    }

    fn violation(&self) -> Option<&'static str> {
        if let Some(violation) = self.violation {
            return Some(violation);
        }
        for (index, machine) in self.machines.iter().enumerate() {
            if machine.pending.is_some()
                && self.is_awaited(index, self.record())
                && !self.can_save(index)
            {
                return Some("a result cannot be saved");
            }
        }
        let (family, _) = record_token(self.record())?;
        let Family { current, is_revoked } = self.families[usize::from(family)];
        let valid = (family, current);
        let is_safe = self.is_held(valid) || record_token(self.record()) == Some(valid);
        let is_excused = self.is_lost || self.was_paused;
        ((is_revoked || !is_safe) && !is_excused).then_some("a login was lost")
    }
}

impl World {
    fn log_in(&mut self) -> Goal {
        let family = self.families.len();
        self.families.push(Family { current: 0, is_revoked: false });
        let session = self.session((u8::try_from(family).expect("few logins"), 0));
        Goal::LogIn { login_id: family.to_string(), session: Box::new(session) }
    }
}
