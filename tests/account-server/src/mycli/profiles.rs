//! Profiles: made, listed, and found by the slug that people type.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::caller::NamedCaller;
use crate::extract::{Named, Sent};
use crate::refusal::Refusal;
use crate::service::Shared;
use crate::store::profiles::{self, Profile};

#[derive(Deserialize)]
pub(crate) struct Wanted {
    slug: String,
    name: String,
}

pub(crate) async fn create(
    State(service): State<Shared>,
    NamedCaller(caller): NamedCaller,
    Sent(Wanted { slug, name }): Sent<Wanted>,
) -> Result<Json<Profile>, Refusal> {
    check(&slug, &name)?;
    let profile = Profile { id: Uuid::new_v4().to_string(), slug, name, created_at: service.now() };
    service.database.transaction(|db| {
        if profiles::of_slug(db, &caller.user_id, &profile.slug)?.is_some() {
            return Err(Refusal::SlugTaken);
        }
        Ok(profiles::insert(db, &caller.user_id, &profile)?)
    })?;
    Ok(Json(profile))
}

fn check(slug: &str, name: &str) -> Result<(), Refusal> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !(1..=39).contains(&slug.len()) || !slug.bytes().all(allowed) {
        let reason = "a slug has 1 to 39 of a-z, 0-9 and -";
        return Err(Refusal::InvalidRequest(reason));
    }
    if name.trim().is_empty() || name.chars().count() > 100 {
        let reason = "a name has 1 to 100 characters";
        return Err(Refusal::InvalidRequest(reason));
    }
    Ok(())
}

pub(crate) async fn list(
    State(service): State<Shared>,
    NamedCaller(caller): NamedCaller,
) -> Result<Json<Value>, Refusal> {
    let profiles =
        service.database.transaction(|db| Ok(profiles::of_user(db, &caller.user_id)?))?;
    Ok(Json(json!({"profiles": profiles})))
}

/// The live service returns 500 for an unknown slug.
pub(crate) async fn show(
    State(service): State<Shared>,
    NamedCaller(caller): NamedCaller,
    Named(slug): Named,
) -> Result<Json<Value>, Refusal> {
    let profile =
        service.database.transaction(|db| Ok(profiles::of_slug(db, &caller.user_id, &slug)?))?;
    let profile = profile.ok_or(Refusal::Internal)?;
    Ok(Json(json!({"profile": profile})))
}
