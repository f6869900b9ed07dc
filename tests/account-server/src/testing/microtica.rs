//! Projects and keys of Microtica as tests want them, without the walk through its console.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::extract::{Named, Sent};
use crate::microtica::keys::{self, MadeKey, NewKey};
use crate::microtica::projects::{self, NewProject, Project};
use crate::refusal::Refusal;
use crate::service::Shared;

pub(crate) async fn project(
    State(service): State<Shared>,
    Sent(new): Sent<NewProject>,
) -> Result<(StatusCode, Json<Project>), Refusal> {
    let project = projects::make(&service, new)?;
    Ok((StatusCode::CREATED, Json(project)))
}

pub(crate) async fn key(
    State(service): State<Shared>,
    Sent(new): Sent<NewKey>,
) -> Result<(StatusCode, Json<MadeKey>), Refusal> {
    let made = keys::make(&service, &new, None)?;
    Ok((StatusCode::CREATED, Json(made)))
}

pub(crate) async fn revoke(
    State(service): State<Shared>,
    Named(id): Named,
) -> Result<Json<Value>, Refusal> {
    let now = service.now();
    service.database.transaction(|db| keys::revoke(db, &id, now))?;
    Ok(Json(json!({"revoked": true})))
}
