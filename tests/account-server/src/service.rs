//! What every handler works with: the settings, the clock, the tables, the signer, the mail. Knows no route.

use std::sync::Arc;

use crate::clock::{Clock, Timestamp};
use crate::console::unshown::Unshown;
use crate::database::{self, Database};
use crate::jwt::{Claims, Issuer};
use crate::mail::Mailer;
use crate::mycli::rate_limit::RateLimit;
use crate::refusal::Refusal;
use crate::settings::{Settings, whole_seconds};
use crate::testing::Controls;

/// What the handlers are given.
pub(crate) type Shared = Arc<Service>;

pub(crate) struct Service {
    pub(crate) settings: Settings,
    /// What links begin with; no trailing slash.
    pub(crate) public_url: String,
    pub(crate) clock: Clock,
    pub(crate) database: Database,
    pub(crate) issuer: Issuer,
    pub(crate) mailer: Mailer,
    pub(crate) rate_limit: RateLimit,
    /// Keys that were made and are yet to be shown.
    pub(crate) unshown: Unshown,
    pub(crate) controls: Controls,
}

impl Service {
    /// The service behind `url`.
    pub(crate) fn open(settings: Settings, url: &str) -> anyhow::Result<Self> {
        let public_url = settings.public_url.as_deref().unwrap_or(url);
        let key = database::signing_key(&settings.database)?;
        Ok(Self {
            public_url: public_url.trim_end_matches('/').to_owned(),
            clock: Clock::default(),
            database: Database::open(&settings.database)?,
            issuer: Issuer::new(&key, settings.jti),
            mailer: Mailer::new(settings.smtp.as_deref())?,
            rate_limit: RateLimit::default(),
            unshown: Unshown::default(),
            controls: Controls::default(),
            settings,
        })
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Seconds that an access token lives.
    pub(crate) fn access_seconds(&self) -> i64 {
        whole_seconds(self.settings.access_token_lifetime)
    }

    /// When a session ends that is used now.
    pub(crate) fn session_end(&self, now: Timestamp) -> Timestamp {
        now.after(self.settings.session_lifetime)
    }

    /// A new pair for the session.
    pub(crate) fn pair(
        &self,
        user_id: &str,
        session_id: &str,
        now: Timestamp,
    ) -> Result<Pair, Refusal> {
        let end = self.session_end(now);
        let access_end = now.seconds().saturating_add(self.access_seconds());
        let access = Claims::access(user_id, now, access_end);
        let refresh = Claims::refresh(user_id, session_id, now, end);
        Ok(Pair {
            access_token: self.issuer.sign(access)?,
            refresh_token: self.issuer.sign(refresh)?,
        })
    }
}

/// The two tokens of a session.
pub(crate) struct Pair {
    pub(crate) access_token: String,
    pub(crate) refresh_token: String,
}
