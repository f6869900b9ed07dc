//! The identity of a job: the identity token of its platform is exchanged for a token of the service. If the source is
//! present, it precedes everything that is stored, and a failure is final: the session of a person is never used
//! instead.

use std::time::{Duration, Instant};

use super::Engine;
use crate::error::{Error, ErrorCode, Result};
use crate::http;
use crate::model::jwt::IdentityClaims;
use crate::model::{
    Identity, Outcome, Provider, Secret, Session, Subject, Timestamp, Trail, Warning,
};
use crate::store::identity::{self, Presence};
use crate::store::job_cache::{Entry, JobCache};

/// The time for a token, including the wait for another process of the job that requests one.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Attempts with a source that returns a new token for each.
const ATTEMPTS: u32 = 2;

/// An identity that is present.
pub(super) struct Present<'a> {
    identity: &'a Identity,
    /// The identity token, if it need not be requested; and its claims.
    token: Option<(Secret, IdentityClaims)>,
    cache: Option<JobCache>,
}

impl Engine<'_> {
    /// The identity of this job at the provider; `None` if the provider has none, or the source is not present.
    pub(super) fn detect_identity<'p>(
        &self,
        provider: &'p Provider,
        trail: &mut Trail,
    ) -> Result<Option<Present<'p>>> {
        let Some(identity) = provider.identity.as_deref() else { return Ok(None) };
        let subject = Subject::Identity(identity.source.name());
        let (mut token, job) = match identity::detect(self.context, &identity.source)? {
            Presence::Present { token, job } => (token, job),
            Presence::Absent(reason) => {
                trail.add(subject, Outcome::Absent(reason));
                return Ok(None);
            }
        };
        if identity.source.is_metadata() {
            token = self.endpoints.identity_token(provider, self.identity_deadline())?;
            if token.is_none() {
                let reason = "no metadata server answers".to_owned();
                trail.add(subject, Outcome::Absent(reason));
                return Ok(None);
            }
        }
        let token = match token {
            Some(token) => {
                let claims = identity.check(&token, self.clock.now())?;
                Some((token, claims))
            }
            None => None,
        };
        let claimed = token.as_ref().map(|(token, claims)| claims.owner().unwrap_or(token.clone()));
        let owner = job.clone().or(claimed);
        let cache = owner.and_then(|owner| {
            // After a change of any setting, an older entry is not found.
            JobCache::new(self.context, &format!("{provider:?}"), &owner, job.as_ref())
        });
        Ok(Some(Present { identity, token, cache }))
    }

    fn identity_deadline(&self) -> Instant {
        self.clock.instant() + TIMEOUT
    }

    /// A token for this job with at least `min_validity` left: that of another process of the job, or a new one.
    pub(super) fn identity_session(
        &self,
        provider: &Provider,
        present: Present<'_>,
        min_validity: time::Duration,
        trail: &mut Trail,
    ) -> Result<Entry> {
        let Present { identity, token, cache } = present;
        let cached = || cache.as_ref().and_then(JobCache::read);
        let is_fresh = |entry: &Entry| entry.session.is_fresh(self.clock.now(), min_validity);
        let renew = |trail: &mut Trail| {
            // A process that cannot take the lock gets a token of its own.
            let lock = cache.as_ref().map(|it| self.wait_for_lock(&it.lock_path(), TIMEOUT));
            let _lock = lock.and_then(Result::ok).flatten();
            let stale = match cached() {
                Some(entry) if is_fresh(&entry) => return Ok(entry),
                stale => stale,
            };
            let renewed = self.new_identity_session(provider, identity, token);
            if let (Ok(entry), Some(cache)) = (&renewed, &cache) {
                cache.write(entry);
            }
            match (renewed, stale) {
                (Err(error), Some(entry)) if !entry.session.is_expired(self.clock.now()) => {
                    let (provider, reason) = (provider.title(), error.message);
                    trail.warnings.push(Warning::NotRefreshed { provider, reason });
                    Ok(entry)
                }
                (renewed, _) => renewed,
            }
        };
        let found = cached().filter(is_fresh).map_or_else(|| renew(trail), Ok);
        let outcome = match &found {
            Ok(entry) => Outcome::Identified(entry.claims.to_string()),
            Err(_) => Outcome::NotAccepted,
        };
        trail.add(Subject::Identity(identity.source.name()), outcome);
        found
    }

    fn new_identity_session(
        &self,
        provider: &Provider,
        identity: &Identity,
        mut token: Option<(Secret, IdentityClaims)>,
    ) -> Result<Entry> {
        let deadline = self.identity_deadline();
        let mut attempt = 1;
        loop {
            let present =
                token.take().map_or_else(|| self.request_identity(provider, deadline), Ok);
            let (sent, claims) = present?;
            match self.endpoints.exchange_identity(provider, &sent, deadline) {
                Ok(mut session) => {
                    // A token without a lifetime counts as valid until its identity token expires.
                    if session.expires_at.is_never() {
                        let expiry = claims.exp.map(Timestamp::from_unix);
                        session.expires_at = expiry.unwrap_or(session.received_at());
                    }
                    return Ok(Entry { session, claims });
                }
                // A service may accept an identity token once, and may have accepted this one.
                Err(error)
                    if error.is_temporary()
                        && error.status() != Some(429)
                        && identity.source.mints()
                        && attempt < ATTEMPTS =>
                {
                    attempt += 1;
                }
                Err(error) => return Err(not_accepted(provider, identity, &error, &claims)),
            }
        }
    }

    /// A new identity token of the platform, which may be sent.
    fn request_identity(
        &self,
        provider: &Provider,
        deadline: Instant,
    ) -> Result<(Secret, IdentityClaims)> {
        let missing = || Error::invalid_state("no identity token");
        let token = self.endpoints.identity_token(provider, deadline)?.ok_or_else(missing)?;
        let identity = provider.identity.as_ref().ok_or_else(missing)?;
        let claims = identity.check(&token, self.clock.now())?;
        Ok((token, claims))
    }

    /// Deletes and returns the token of this job, so that the next request gets a new one; if `rejected`, only that token.
    pub fn take_identity(&self, provider: &Provider, rejected: Option<&Secret>) -> Option<Session> {
        let cache = self.detect_identity(provider, &mut Trail::default()).ok()??.cache?;
        let session = cache.read()?.session;
        let is_meant = rejected.is_none_or(|rejected| session.access_token == *rejected);
        (is_meant && cache.remove()).then_some(session)
    }

    /// Whether the identity of this job precedes the stored credentials of the provider.
    pub(super) fn has_identity(&self, provider: &Provider) -> bool {
        !matches!(self.detect_identity(provider, &mut Trail::default()), Ok(None))
    }

    /// For `status`: the source, whether it is present, and what is known of it without a request to a platform's URL.
    pub fn identity_status(&self, provider: &Provider) -> Option<(&'static str, bool, String)> {
        let identity = provider.identity.as_deref()?;
        let mut trail = Trail::default();
        let found = self.detect_identity(provider, &mut trail);
        let is_present = !matches!(found, Ok(None));
        let state = match found {
            Ok(None) => trail.attempts.first().map(|it| it.outcome.to_string()).unwrap_or_default(),
            Ok(Some(Present { token: Some((_, claims)), .. })) => described(&claims),
            Ok(Some(Present { cache, .. })) => match cache.and_then(|cache| cache.read()) {
                Some(entry) => described(&entry.claims),
                None => "present".to_owned(),
            },
            Err(error) => error.message,
        };
        Some((identity.source.name(), is_present, state))
    }
}

fn described(claims: &IdentityClaims) -> String {
    Outcome::Identified(claims.to_string()).to_string()
}

/// The service's reason, with the claims that its trust policy is about.
fn not_accepted(
    provider: &Provider,
    identity: &Identity,
    error: &http::HttpError,
    claims: &IdentityClaims,
) -> Error {
    let what = format!("exchange the identity token of {}", identity.source.name());
    let failed = http::failed(&provider.api_url, &what, error);
    let message = format!("{}; {}", failed.message, described(claims));
    let hint = match (failed.code, identity.source.mints()) {
        (ErrorCode::TemporarilyUnavailable, true) => return Error { message, ..failed },
        (_, true) => {
            "compare the claims with the trust policy at the service (protocol/IDENTITY.md)"
        }
        (_, false) => {
            "compare the claims with the trust policy at the service; a service may accept an identity token once: start a \
             new job, or add a second entry to `id_tokens`"
        }
    };
    Error { message, ..failed }.with_hint(hint)
}
