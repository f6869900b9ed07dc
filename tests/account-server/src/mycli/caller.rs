//! Who calls: read from the Authorization header. Never from anything else of the request.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};

use crate::jwt::Kind;
use crate::refusal::Refusal;
use crate::secret::Digest;
use crate::service::{Service, Shared};
use crate::store::{api_tokens, users};

/// What every API token begins with.
pub(crate) const API_TOKEN_PREFIX: &str = "myc_";

/// A user, and what the user showed.
pub(crate) struct Caller {
    pub(crate) user_id: String,
    pub(crate) credential: Credential,
}

/// What a caller showed.
#[derive(PartialEq, Eq)]
pub(crate) enum Credential {
    AccessToken,
    ApiToken { profile_id: Option<String> },
}

/// The caller that this secret belongs to.
pub(crate) fn identify(service: &Service, secret: &str) -> Result<Caller, Refusal> {
    if secret.starts_with(API_TOKEN_PREFIX) {
        of_api_token(service, secret)
    } else {
        of_access_token(service, secret)
    }
}

fn of_api_token(service: &Service, token: &str) -> Result<Caller, Refusal> {
    let now = service.now();
    service.database.transaction(|db| {
        let holder = api_tokens::holder(db, Digest::of(token))?.ok_or(Refusal::Unauthorized)?;
        if holder.expires_at.is_some_and(|end| end <= now) {
            return Err(Refusal::Unauthorized);
        }
        api_tokens::note_use(db, &holder.token_id, now)?;
        Ok(Caller {
            user_id: holder.user_id,
            credential: Credential::ApiToken { profile_id: holder.profile_id },
        })
    })
}

fn of_access_token(service: &Service, token: &str) -> Result<Caller, Refusal> {
    let claims = service.issuer.read(token, Kind::Access);
    let claims = claims.ok_or(Refusal::Unauthorized)?;
    if claims.exp <= service.now().seconds() || service.controls.is_denied(token) {
        return Err(Refusal::Unauthorized);
    }
    let user = service.database.transaction(|db| Ok(users::find(db, &claims.sub)?))?;
    let user = user.ok_or(Refusal::Unauthorized)?;
    Ok(Caller { user_id: user.id, credential: Credential::AccessToken })
}

/// The token of `Authorization: Bearer …`.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

impl FromRequestParts<Shared> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, service: &Shared) -> Result<Self, Refusal> {
        let token = bearer(&parts.headers).ok_or(Refusal::Unauthorized)?;
        identify(service, token)
    }
}

/// A user who came with an access token: an API token can do nothing to API tokens.
pub(crate) struct SessionUser(pub(crate) String);

impl FromRequestParts<Shared> for SessionUser {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, service: &Shared) -> Result<Self, Refusal> {
        let caller = Caller::from_request_parts(parts, service).await?;
        match caller.credential {
            Credential::AccessToken => Ok(Self(caller.user_id)),
            Credential::ApiToken { .. } => Err(Refusal::JwtRequired),
        }
    }
}

/// A caller who has chosen a username. The live service has profiles and catalogs for nobody else.
pub(crate) struct NamedCaller(pub(crate) Caller);

impl FromRequestParts<Shared> for NamedCaller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, service: &Shared) -> Result<Self, Refusal> {
        let caller = Caller::from_request_parts(parts, service).await?;
        let user = service.database.transaction(|db| Ok(users::find(db, &caller.user_id)?))?;
        let username = user.and_then(|user| user.username);
        username.map(|_| Self(caller)).ok_or(Refusal::UsernameRequired)
    }
}
