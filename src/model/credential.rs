//! Credentials: the sessions and URL credentials that are stored, and the credential that `get` returns; when a session
//! is fresh. Reads no clock: the time is an argument.

use std::borrow::Cow;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use serde::{Serialize, Serializer};
use time::Duration;
use zeroize::Zeroizing;

use super::{Header, Provider, Secret, Target, Timestamp};
use crate::error::{Error, Result};

/// How far a `last_refreshed_at` may lie in the future before the session counts as stale.
const CLOCK_TOLERANCE: Duration = Duration::seconds(60);

/// How long before its expiry a token counts as stale at least: a service that counts whole seconds rejects it up to a
/// second earlier, and the requests take time.
const MIN_LEEWAY: Duration = Duration::seconds(2);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A JWT, or a token with a refresh token.
    Session,
    /// Any other token of a provider.
    ApiToken,
    /// A user name and a secret, stored for one URL.
    UrlCredential,
}

impl Kind {
    /// As in the JSON protocol.
    pub fn name(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::ApiToken => "api_token",
            Self::UrlCredential => "login",
        }
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// A session with a provider. An API token is stored in the same form, without a refresh token.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Session {
    pub access_token: Secret,
    /// Most services accept it once. `None` for an API token, and for a session that cannot be refreshed.
    pub refresh_token: Option<Secret>,
    /// For hosts that check that the audience is this program (Kubernetes).
    pub id_token: Option<IdToken>,
    /// When the service stops accepting the access token, by this machine's clock; [`Timestamp::NEVER`] if it does not.
    pub expires_at: Timestamp,
    pub logged_in_at: Timestamp,
    /// [`Timestamp::ZERO`] after a login with the `my` command line, which has not refreshed the session yet.
    pub last_refreshed_at: Timestamp,
}

/// The ID token of OpenID Connect.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IdToken {
    pub token: Secret,
    /// By this machine's clock. Earlier than the last refresh if that returned no new ID token.
    pub expires_at: Timestamp,
}

impl Session {
    /// An API token; without `expires_at` it does not expire.
    pub fn api_token(token: Secret, expires_at: Option<Timestamp>, now: Timestamp) -> Self {
        Self {
            access_token: token,
            refresh_token: None,
            id_token: None,
            expires_at: expires_at.unwrap_or(Timestamp::NEVER),
            logged_in_at: now,
            last_refreshed_at: now,
        }
    }

    pub fn has_tokens_of(&self, other: &Self) -> bool {
        self.access_token == other.access_token && self.refresh_token == other.refresh_token
    }

    /// The tokens that a tool may have received.
    pub fn tokens(&self) -> impl Iterator<Item = &Secret> {
        std::iter::once(&self.access_token).chain(self.id_token.iter().map(|id| &id.token))
    }

    pub fn has_token(&self, token: &Secret) -> bool {
        self.tokens().any(|own| own == token)
    }

    pub fn kind(&self) -> Kind {
        let has_other = self.refresh_token.is_some() || self.id_token.is_some();
        let is_session = has_other || self.access_token.is_jwt();
        if is_session { Kind::Session } else { Kind::ApiToken }
    }

    pub fn received_at(&self) -> Timestamp {
        self.last_refreshed_at.max(self.logged_in_at)
    }

    /// How long before its expiry the token counts as stale: a tenth of its lifetime, at most a minute; at least
    /// `min_validity`, of which at most half the lifetime is used, or every call would refresh.
    fn leeway(&self, min_validity: Duration) -> Duration {
        let lifetime = self.expires_at.since(self.received_at()).max(Duration::ZERO);
        let min = Ord::max(min_validity, MIN_LEEWAY);
        Ord::min(lifetime / 10, Duration::MINUTE).max(Ord::min(min, lifetime / 2))
    }

    /// The expiry that tools receive; `None` if the token does not expire. Early while the
    /// token is fresh: the time when it becomes stale, so that no tool sends a token that expires on the way. Afterwards the
    /// real one: git would drop a credential whose expiry has passed, although the service still accepts the token.
    pub fn reported_expiry(&self, now: Timestamp) -> Option<Timestamp> {
        let early = self.expires_at.plus(-self.leeway(Duration::ZERO));
        (!self.expires_at.is_never()).then_some(if now < early { early } else { self.expires_at })
    }

    /// Whether the token can be returned without a refresh. A session is fresh, then stale ("due" in texts for people: one
    /// process refreshes it, while others still return the token), then expired.
    pub fn is_fresh(&self, now: Timestamp, min_validity: Duration) -> bool {
        self.last_refreshed_at <= now.plus(CLOCK_TOLERANCE)
            && now < self.expires_at.plus(-self.leeway(min_validity))
    }

    /// Whether a person has to log in again: the token has expired, and a refresh cannot replace it.
    pub fn needs_login(&self, provider: &Provider, now: Timestamp) -> bool {
        self.is_expired(now)
            && (!provider.login.can_renew(self)
                || self.session_expiry().is_some_and(|it| it <= now))
    }

    /// The expiry of a refresh token that is a JWT.
    pub fn session_expiry(&self) -> Option<Timestamp> {
        let claims = self.refresh_token.as_ref().map(super::jwt::claims)?;
        claims.exp.map(Timestamp::from_unix)
    }

    pub fn is_expired(&self, now: Timestamp) -> bool {
        now >= self.expires_at
    }
}

/// The condition for returning a session without a refresh.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Need {
    pub min_validity: Duration,
    /// Whether the ID token is returned, if the session has one.
    pub id_token: bool,
}

impl Need {
    /// The session with the requested token and its expiry. A rejected ID token is marked by the expiry of the session.
    pub fn select(self, session: &Session) -> Cow<'_, Session> {
        let Some(id) = session.id_token.as_ref().filter(|_| self.id_token) else {
            return Cow::Borrowed(session);
        };
        let expires_at = id.expires_at.min(session.expires_at);
        Cow::Owned(Session { access_token: id.token.clone(), expires_at, ..session.clone() })
    }

    pub fn into_token(self, session: Session) -> Secret {
        let id_token = session.id_token.filter(|_| self.id_token);
        id_token.map_or(session.access_token, |id| id.token)
    }

    pub fn is_met(self, session: &Session, now: Timestamp) -> bool {
        self.select(session).is_fresh(now, self.min_validity)
    }

    /// Whether the requested token has expired, and another refresh may return a new one.
    pub fn is_expired(self, session: &Session, now: Timestamp) -> bool {
        self.select(session).is_expired(now) && !self.is_unmeetable(session, now)
    }

    /// Whether a refresh after the expiry of the ID token returned no new one, so that another refresh is useless.
    pub fn is_unmeetable(self, session: &Session, now: Timestamp) -> bool {
        let id_token = session.id_token.as_ref().filter(|_| self.id_token);
        id_token.is_some_and(|id| id.expires_at < now.min(session.last_refreshed_at))
    }
}

/// A user name and a secret that are stored for one URL. Both may be empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlCredential {
    pub target: Target,
    pub username: String,
    pub secret: Secret,
    /// The scheme in an `Authorization` header (git's `authtype`); `None` for a password.
    pub scheme: Option<String>,
    /// git's `password_expiry_utc`.
    pub expires_at: Option<Timestamp>,
    /// git's `oauth_refresh_token`.
    pub refresh_token: Option<Secret>,
    pub stored_at: Timestamp,
}

impl UrlCredential {
    /// docker's user name for an identity token (docker/cli, `cli/config/credentials/native_store.go`).
    pub const IDENTITY_TOKEN_USER: &str = "<token>";
}

/// A credential that `get` returns.
#[derive(Debug)]
pub struct Credential {
    /// `None` for a URL credential.
    pub provider: Option<String>,
    /// The provider's account, if it is not the default one.
    pub account: Option<String>,
    pub kind: Kind,
    pub username: String,
    pub secret: Secret,
    /// How a request carries the secret; `None` for a stored user name and password.
    pub header: Option<Header>,
    /// Where the secret may be sent: the part of the request's target for which the credential is valid. For a tool
    /// that names no target and needs the prefixes: every host of the provider that is configured by its exact name.
    pub prefixes: Vec<Target>,
    /// When the tool must treat it as expired.
    pub expires_at: Option<Timestamp>,
    /// git's `oauth_refresh_token` of a stored credential. Never a session's.
    pub refresh_token: Option<Secret>,
}

impl Credential {
    /// Name and value of the HTTP header. RFC 7617 allows no colon in the user name of a password.
    pub fn request_header(&self) -> Result<(&str, Secret)> {
        if let Some(header) = &self.header {
            return Ok((&header.name, header.value(&self.secret)));
        }
        if self.username.contains(':') {
            return Err(self.colon_error());
        }
        let pair = Zeroizing::new(format!("{}:{}", self.username, self.secret.expose_secret()));
        let basic = Header::authorization("Basic");
        Ok(("Authorization", basic.value(&Secret::new(BASE64.encode(pair.as_bytes())))))
    }

    fn colon_error(&self) -> Error {
        let target = self.prefixes.first().map(ToString::to_string).unwrap_or_default();
        let message = format!(
            "the user name stored for {target} contains a colon, which Basic authentication does not allow"
        );
        Error::invalid_state(message)
            .with_hint("store the credential again with a user name that has no colon")
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, Secret, Session, Timestamp};

    fn session(lifetime: i64) -> (Session, Timestamp) {
        let received = Timestamp::from_unix(1_800_000_000);
        let session = Session {
            access_token: Secret::new("eyJh.eyJh.c"),
            refresh_token: Some(Secret::new("r")),
            id_token: None,
            expires_at: received.plus(Duration::seconds(lifetime)),
            logged_in_at: received,
            last_refreshed_at: received,
        };
        (session, received)
    }

    #[test]
    fn a_token_is_stale_a_minute_or_a_tenth_before_its_expiry() {
        // Glewlwyd rejects a token of 3 s after 2.1 s if it issued it at the end of a second.
        for (lifetime, margin) in [(900, 60), (100, 10), (20, 2), (10, 2), (4, 2), (2, 1)] {
            let (session, received) = session(lifetime);
            let at = |seconds| received.plus(Duration::seconds(seconds));
            assert!(session.is_fresh(at(lifetime - margin - 1), Duration::ZERO));
            assert!(!session.is_fresh(at(lifetime - margin), Duration::ZERO));
            assert!(!session.is_expired(at(lifetime - 1)) && session.is_expired(at(lifetime)));
            assert_eq!(session.reported_expiry(received), Some(at(lifetime - margin)));
            assert_eq!(
                session.reported_expiry(at(lifetime - margin)),
                Some(at(lifetime)),
                "nothing renewed it"
            );
        }
    }

    #[test]
    fn min_validity_is_limited_to_half_the_lifetime() {
        let (session, received) = session(900);
        let day = Duration::days(1);
        assert!(!session.is_fresh(received.plus(Duration::seconds(600)), Duration::seconds(301)));
        assert!(
            session.is_fresh(received.plus(Duration::seconds(449)), day),
            "else every call would refresh"
        );
        assert!(!session.is_fresh(received.plus(Duration::seconds(450)), day));
    }

    #[test]
    fn a_session_from_the_future_is_stale_after_a_minute() {
        let (session, received) = session(900);
        assert!(session.is_fresh(received.plus(Duration::seconds(-60)), Duration::ZERO));
        assert!(!session.is_fresh(received.plus(Duration::seconds(-61)), Duration::ZERO));
    }

    #[test]
    fn an_api_token_without_expiry_is_fresh_and_reports_none() {
        let now = Timestamp::from_unix(1_800_000_000);
        let token = Session::api_token(Secret::new("myc_1"), None, now);
        assert!(token.is_fresh(now.plus(Duration::days(3650)), Duration::days(1)));
        assert_eq!(token.reported_expiry(now), None);
    }
}
