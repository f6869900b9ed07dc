//! Whose key a request carries: read from `X-Microtica-Api-Key`, and never from `Authorization`.

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;

use super::keys::{self, Key};
use crate::refusal::Refusal;
use crate::service::{Service, Shared};

pub(crate) const HEADER: &str = "x-microtica-api-key";

/// The key of a request, active now.
pub(crate) struct KeyHolder(pub(crate) Key);

impl FromRequestParts<Shared> for KeyHolder {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, service: &Shared) -> Result<Self, Refusal> {
        let key = key(service, &parts.headers)?.ok_or(Refusal::Unauthorized)?;
        key.check_active(service.now())?;
        Ok(Self(key))
    }
}

/// The key that a request carries, active or not.
pub(crate) fn key(service: &Service, headers: &HeaderMap) -> Result<Option<Key>, Refusal> {
    let value = headers.get(HEADER).and_then(|value| value.to_str().ok());
    let Some(secret) = value else { return Ok(None) };
    service.database.transaction(|db| Ok(keys::of_secret(db, secret.trim())?))
}
