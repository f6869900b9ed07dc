//! Catalogs, with an `ETag`. An API token made for a profile reads that profile's and no other.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rusqlite::Connection;
use serde::Deserialize;
use serde_json::json;

use super::caller::{Caller, Credential, NamedCaller};
use crate::extract::Asked;
use crate::refusal::Refusal;
use crate::secret::Digest;
use crate::service::Shared;
use crate::store::{catalog, profiles};

#[derive(Deserialize)]
pub(crate) struct Wanted {
    profile: Option<String>,
}

pub(crate) async fn show(
    State(service): State<Shared>,
    NamedCaller(caller): NamedCaller,
    headers: HeaderMap,
    Asked(wanted): Asked<Wanted>,
) -> Result<Response, Refusal> {
    let slug = wanted.profile.filter(|slug| !slug.is_empty());
    let items = service.database.transaction(|db| {
        let profile = readable_profile(db, &caller, slug.as_deref())?;
        Ok(catalog::items(db, &caller.user_id, profile.as_deref())?)
    })?;
    let body = json!({"items": items}).to_string();
    let etag = format!("\"{}\"", Digest::of(&body).to_hex());
    if is_known(&headers, &etag) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, etag)]).into_response());
    }
    let kind = (header::CONTENT_TYPE, "application/json".to_owned());
    Ok(([kind, (header::ETAG, etag)], body).into_response())
}

/// The profile whose catalog is read: the one asked for, else the token's own, else none.
fn readable_profile(
    db: &Connection,
    caller: &Caller,
    slug: Option<&str>,
) -> Result<Option<String>, Refusal> {
    let own = match &caller.credential {
        Credential::ApiToken { profile_id } => profile_id.clone(),
        Credential::AccessToken => None,
    };
    let Some(slug) = slug else { return Ok(own) };
    let asked = profiles::of_slug(db, &caller.user_id, slug)?.map(|profile| profile.id);
    // A token of one profile is not told which others there are.
    if own.is_some() && own != asked {
        return Err(Refusal::Forbidden("this token is for another profile"));
    }
    asked.map(Some).ok_or(Refusal::NotFound)
}

/// Whether `If-None-Match` names the tag (RFC 9110, 13.1.2: a list, compared weakly, or `*`).
fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    let values = headers.get_all(header::IF_NONE_MATCH).iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|tag| tag.trim().trim_start_matches("W/"))
        .any(|tag| tag == etag || tag == "*")
}
