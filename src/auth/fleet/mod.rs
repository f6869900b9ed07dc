//! A session in a store that other machines share. [`protocol`] has the rules; this module carries out its actions.
//!
//! The guarantee: each acquired lease starts at most one redemption. A refresh token can be redeemed twice only if the
//! holder is stopped (SIGSTOP, a suspended machine) or its request is delayed in the network until after a takeover, or if
//! the store loses an acknowledged write. An OAuth service cannot check a fencing number, so no client and no store can
//! close the first. If the holder's machine is lost between the service's answer and the pending file, the login is lost. A
//! service that revokes the family then requires a new login; `status` names the cause.

mod driver;
mod operations;
pub mod protocol;
#[cfg(test)]
mod tests;

use std::time::Duration;

use driver::{Driver, Taken};
use protocol::{Failure, Goal, Outcome};

use super::Engine;
use crate::error::{Error, ErrorCode, Result};
use crate::model::{
    Kind, Need, Outcome as Searched, Provider, Session, SharedSettings, Source, StoreFailure,
    Subject, Timestamp, Trail, Warning,
};
use crate::store::fleet::{Copy, FleetFiles};
use crate::store::session::StoredSession;

pub use operations::SharedFacts;

/// For a session that is returned, with a refresh by this machine or another one.
const TIMEOUT: Duration = Duration::from_secs(20);

/// For the read of a machine that has a token, which returns it if no server answers.
const COPY_TIMEOUT: Duration = Duration::from_secs(2);

/// Until a machine that has a token reads again after that.
const REREAD_DELAY: Duration = Duration::from_secs(30);

/// For another process of this machine.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// For a process of this machine that has no token either: it sends the requests of all, also while it waits for another
/// machine.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(12);

/// A token that does not expire may be replaced by a person.
const MAX_AGE: Duration = Duration::from_secs(3600);

impl Engine<'_> {
    /// A session that meets the need: the copy of this machine, or that of the shared store, which is refreshed if it is
    /// due.
    pub(super) fn shared_session(
        &self,
        provider: &Provider,
        settings: &SharedSettings,
        need: Need,
        trail: &mut Trail,
    ) -> Result<StoredSession> {
        let found = self.find_shared(provider, settings, need, trail);
        let outcome = match &found {
            Ok(_) => Searched::Found,
            Err(error) if error.is_no_credential() => Searched::NoEntry,
            // The error has the reason.
            Err(_) => Searched::NotAccepted,
        };
        trail.add(Subject::Session(Source::Vault), outcome);
        found.map(|session| StoredSession { session, source: Source::Vault })
    }

    fn find_shared(
        &self,
        provider: &Provider,
        settings: &SharedSettings,
        need: Need,
        trail: &mut Trail,
    ) -> Result<Session> {
        let files = FleetFiles::new(self.context, provider, settings);
        let is_fresh = |copy: &Copy| {
            let now = self.clock.now();
            need.is_met(&copy.session, now) && now < copy.next_read
        };
        let (copy, has_pending) = (files.copy(), files.has_pending());
        let fresh = copy.as_ref().filter(|copy| is_fresh(copy));
        if let (Some(copy), false) = (fresh, has_pending) {
            return Ok(copy.session.clone());
        }
        let is_alive = |session: &Session| !need.is_expired(session, self.clock.now());
        let alive = copy.as_ref().map(|copy| &copy.session).filter(|session| is_alive(session));
        let not_refreshed = |error: Error, trail: &mut Trail| match alive {
            Some(session) if error.code == ErrorCode::TemporarilyUnavailable => {
                self.postpone_read(&files, settings);
                let (provider, reason) = (provider.title(), error.message);
                trail.warnings.push(Warning::NotRefreshed { provider, reason });
                Ok(session.clone())
            }
            _ => Err(error),
        };
        let mut driver = match Driver::open(self, provider, settings, &files, TIMEOUT) {
            Ok(driver) => driver,
            Err(error) => return not_refreshed(error, trail),
        };
        if settings.cache || has_pending {
            // The process that has the lock reads the store, and saves a result.
            let is_enough = |session: &Session| need.is_met(session, self.clock.now());
            let timeout = if alive.is_some_and(is_enough) { Duration::ZERO } else { QUEUE_TIMEOUT };
            match (driver.lock(timeout), files.copy()) {
                (Taken::Later, Some(copy)) if is_fresh(&copy) => return Ok(copy.session),
                (Taken::Held, Some(copy)) if is_alive(&copy.session) => return Ok(copy.session),
                // The record tells whether its token lives, and who refreshes it.
                _ => {}
            }
        }
        if alive.is_some() {
            driver.read_briefly(COPY_TIMEOUT);
        }
        match driver.run(Goal::Get, need, alive.is_some()) {
            Outcome::Session(session, problem) => {
                self.write_copy(&files, settings, &session);
                trail.warnings.extend(problem.map(|it| warning(provider, settings, &it)));
                Ok(*session)
            }
            Outcome::Failed(failure) => {
                if failure == Failure::NotLoggedIn {
                    files.remove_copy();
                }
                not_refreshed(driver.error(failure), trail)
            }
            _ => Err(driver.error(Failure::NotRefreshed)),
        }
    }

    /// The processes of this machine do not wait for the same servers one after the other.
    fn postpone_read(&self, files: &FleetFiles, settings: &SharedSettings) {
        let Some(Copy { session, next_read }) = files.copy() else { return };
        let delay = settings.cache_max_age.map_or(REREAD_DELAY, |age| age.min(REREAD_DELAY));
        let again = self.clock.now().plus_seconds(delay.as_secs());
        files.write_copy(&Copy { session, next_read: next_read.max(again) });
    }

    /// The copy of this machine, if its token has not expired.
    pub(super) fn copied_session(
        &self,
        provider: &Provider,
        settings: &SharedSettings,
    ) -> Option<StoredSession> {
        let session = FleetFiles::new(self.context, provider, settings).copy()?.session;
        let is_alive = !session.is_expired(self.clock.now());
        is_alive.then_some(StoredSession { session, source: Source::Vault })
    }

    /// The moment at which this machine reads the store again is drawn once for each token.
    fn write_copy(&self, files: &FleetFiles, settings: &SharedSettings, session: &Session) {
        if !settings.cache {
            return;
        }
        let (now, part) = (self.clock.now(), f64::from(driver::random()) / f64::from(u32::MAX));
        let spread = protocol::spread(session);
        let early = session.reported_expiry(Timestamp::ZERO).unwrap_or(Timestamp::NEVER);
        let drawn = match early.plus(-spread) {
            due if now < due => early.plus(-spread * part),
            // Nobody has refreshed it yet.
            _ => now.plus(session.expires_at.since(now) / 5 * part),
        };
        let is_same =
            |copy: &Copy| copy.session.access_token == session.access_token && now < copy.next_read;
        let drawn = files.copy().filter(is_same).map_or(drawn, |copy| copy.next_read);
        let unlimited = session.expires_at.is_never().then_some(MAX_AGE);
        let max = settings.cache_max_age.or(unlimited).map(|age| now.plus_seconds(age.as_secs()));
        let next_read = max.map_or(drawn, |max| max.min(drawn));
        files.write_copy(&Copy { session: session.clone(), next_read });
    }
}

/// What a shared session is: the copy and the record of the readers have no refresh token.
pub(super) fn kind(provider: &Provider, session: &Session) -> Kind {
    let is_renewed = provider.login.renews() && !session.expires_at.is_never();
    if is_renewed { Kind::Session } else { session.kind() }
}

fn warning(provider: &Provider, settings: &SharedSettings, problem: &Failure) -> Warning {
    let (provider, reason) = (provider.title(), problem.to_string());
    match problem {
        Failure::Unsaved(reason) if !settings.pending => {
            Warning::NotSaved(StoreFailure::Failed(reason.clone()))
        }
        Failure::Unsaved(reason) => Warning::NotShared { provider, reason: reason.clone() },
        _ => Warning::NotRefreshed { provider, reason },
    }
}
