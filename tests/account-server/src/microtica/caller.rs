//! Whose key a request carries: read from `X-Microtica-Api-Key`, and never from `Authorization`.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::keys::{self, Key};
use crate::refusal::Refusal;
use crate::service::Shared;

pub(crate) const HEADER: &str = "x-microtica-api-key";

/// The key of a request, active now.
pub(crate) struct KeyHolder(pub(crate) Key);

impl FromRequestParts<Shared> for KeyHolder {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, service: &Shared) -> Result<Self, Refusal> {
        let value = parts.headers.get(HEADER).ok_or(Refusal::Unauthorized)?;
        let secret = value.to_str().map_err(|_| Refusal::Unauthorized)?;
        let key = service.database.transaction(|db| Ok(keys::of_secret(db, secret.trim())?))?;
        let key = key.ok_or(Refusal::Unauthorized)?;
        key.check_active(service.now())?;
        Ok(Self(key))
    }
}
