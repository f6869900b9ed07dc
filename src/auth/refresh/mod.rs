//! The entry points of a refresh, which [`state`] performs: for a request whose session is due (`auth/resolve` decides that), for
//! a session that was not used for a week, and after a service rejected a token.

pub(super) mod last_refreshed;
mod state;
#[cfg(test)]
mod tests;

use std::time::Duration;

use time::Duration as Validity;

use super::Engine;
use crate::error::{Error, Result};
use crate::model::{Need, Provider, Secret, Trail};
use crate::store::session::{self, StoredSession};

/// The wait for another process to finish a change of the session that sends no request.
pub(super) const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// The time for a refresh with a service that accepts a replaced token for some time: for the lock, metadata and the
/// request together.
const GRACE_TIMEOUT: Duration = Duration::from_secs(5);

/// The same with any other service, where a response that is lost costs the login. The request gets what is left, at
/// least [`state::MIN_REQUEST_TIME`].
const NO_GRACE_TIMEOUT: Duration = Duration::from_secs(20);

/// The time for a refresh after a command that needs no token.
const WEEKLY_TIMEOUT: Duration = Duration::from_secs(3);

/// The age of the last refresh after which a command that needs no token refreshes the session.
pub(super) const REFRESH_INTERVAL: Validity = Validity::WEEK;

/// The age of a login before which a command that needs no token does not refresh the session.
const MIN_LOGIN_AGE: Validity = Validity::minutes(30);

/// The shortest time between two refreshes that tools force.
const FORCED_INTERVAL: Validity = Validity::MINUTE;

/// For a rejection that does not say whether the session has ended, such as Glewlwyd's status 400 without a body.
pub(super) const REJECTED_HINT: &str =
    "if the service rejects it again, log in with `--force`; the session is still stored";

/// The source of the report that a token was rejected.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ForcedBy {
    /// A tool. Has effect once a minute: otherwise a host that rejects every token would cause a refresh in each call.
    Tool,
    /// The service, in its response to a call of this program.
    Service,
}

impl Engine<'_> {
    /// Returns a session that meets `need`, or one that another program has stored meanwhile. If the token has not
    /// expired, returns the stale session while another process holds the lock, and, with a warning, if the refresh fails.
    pub(super) fn refresh(
        &self,
        provider: &Provider,
        need: Need,
        stale: StoredSession,
        trail: &mut Trail,
    ) -> Result<StoredSession> {
        state::run(self, provider, need, NO_GRACE_TIMEOUT, stale, trail)
    }

    /// Refreshes a session whose token the service has just rejected, so that `logout` can revoke it with the new token. A
    /// shared session has been ended before.
    pub fn refresh_now(
        &self,
        provider: &Provider,
        stored: &StoredSession,
    ) -> Result<StoredSession> {
        if provider.shared.is_some() {
            let session = self.renew_ended(provider, &stored.session)?;
            return Ok(StoredSession { session, ..stored.clone() });
        }
        self.mark_rejected(provider, &stored.session.access_token, ForcedBy::Service)?;
        // Counts as expired, so that the rejected token is not returned while another process holds the lock.
        let mut stale = stored.clone();
        stale.session.expires_at = self.clock.now();
        self.refresh(provider, Need::default(), stale, &mut Trail::default())
    }

    /// Refreshes a session that has not been refreshed for a week, so that a login that is seldom used does not expire.
    /// For commands that need no token, after they have written their output; prints nothing.
    pub fn refresh_weekly(&self) {
        let Ok(provider) = self.context.provider(None) else { return };
        if self.context.environment.get(&provider.token_variable).is_some()
            || !matches!(self.context.other_login_url(&provider, None), Ok(None))
        {
            return;
        }
        if let Some(settings) = &provider.shared {
            return self.refresh_shared_weekly(&provider, settings);
        }
        let Some(stored) = session::load(&self.stores, &provider.key).newest else { return };
        let (session, now) = (&stored.session, self.clock.now());
        let is_due = now.since(session.received_at()) > REFRESH_INTERVAL
            && now.since(session.logged_in_at) > MIN_LOGIN_AGE;
        // In a job, the session of a person is not used.
        if is_due && provider.login.can_renew(session) && !self.has_identity(&provider) {
            let (need, mut trail) = (Need::default(), Trail::default());
            let _ = state::run(self, &provider, need, WEEKLY_TIMEOUT, stored, &mut trail);
        }
    }

    /// Marks the session as expired if `rejected` is its token, for the next request; returns whether it did.
    pub(super) fn mark_rejected(
        &self,
        provider: &Provider,
        rejected: &Secret,
        by: ForcedBy,
    ) -> Result<bool> {
        if let Some(settings) = &provider.shared {
            return self.refuse_shared(provider, settings, rejected);
        }
        let rejected_session = || {
            let stored = session::load(&self.stores, &provider.key).newest?;
            let (session, now) = (&stored.session, self.clock.now());
            let is_due =
                by == ForcedBy::Service || now.since(session.last_refreshed_at) >= FORCED_INTERVAL;
            let is_of_session = session.has_token(rejected) && provider.login.can_renew(session);
            (is_of_session && is_due && !session.is_expired(now)).then_some(stored)
        };
        if rejected_session().is_none() {
            return Ok(false);
        }
        let _lock = self.lock_session(&provider.key, LOCK_TIMEOUT)?;
        let Some(StoredSession { mut session, source }) = rejected_session() else {
            return Ok(false);
        };
        session.expires_at = self.clock.now();
        let text = session::encode(&provider.key, &session);
        self.stores.get(source).write(&provider.key, &text).map_err(|cause| {
            Error::invalid_state(format!("cannot mark the token as rejected: {cause}"))
        })?;
        Ok(true)
    }
}

pub(super) fn lock_timeout(timeout: Duration) -> Error {
    let seconds = timeout.as_secs();
    Error::temporary(format!(
        "timed out after {seconds} s waiting for another process to refresh the session"
    ))
    .with_hint("try again in a moment")
}
