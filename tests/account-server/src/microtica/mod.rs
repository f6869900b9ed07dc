//! Microtica's side: what an API key is told, and what is written down of it. Keys are made elsewhere: in the console.

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use serde_json::{Value, json};

use crate::extract::Named;
use crate::refusal::Refusal;
use crate::service::Shared;
use caller::KeyHolder;

pub(crate) mod audit;
pub(crate) mod caller;
pub(crate) mod keys;
pub(crate) mod members;
pub(crate) mod projects;
pub(crate) mod role;

pub(crate) fn routes(service: &Shared) -> Router<Shared> {
    Router::new()
        .route("/api/v1/whoami", get(who_am_i))
        .route("/api/v1/projects", get(list_projects))
        .route("/api/v1/projects/{id}/environments", get(list_environments))
        .route_layer(from_fn_with_state(service.clone(), audit::note))
}

async fn who_am_i(
    State(service): State<Shared>,
    KeyHolder(key): KeyHolder,
) -> Result<Json<Value>, Refusal> {
    let upgrades = service.database.transaction(|db| Ok(keys::upgrades(db, &key)?))?;
    let mut told = json!({
        "via": "apikey",
        "key_prefix": key.prefix,
        "key_name": key.name,
        "baseline": key.baseline,
        "projects_visible": usize::from(key.sees_its_project(&upgrades)),
        "environments": upgrades,
    });
    if let Some(end) = key.expires_at {
        told["expires_at"] = json!(end);
    }
    Ok(Json(told))
}

async fn list_projects(
    State(service): State<Shared>,
    KeyHolder(key): KeyHolder,
) -> Result<Json<Value>, Refusal> {
    let project = service.database.transaction(|db| {
        let upgrades = keys::upgrades(db, &key)?;
        let project = projects::find(db, &key.project_id)?;
        Ok(project.filter(|_| key.sees_its_project(&upgrades)))
    })?;
    Ok(Json(json!({"projects": Vec::from_iter(project)})))
}

async fn list_environments(
    State(service): State<Shared>,
    KeyHolder(key): KeyHolder,
    Named(id): Named,
) -> Result<Json<Value>, Refusal> {
    let environments = service.database.transaction(|db| {
        projects::find(db, &id)?.ok_or(Refusal::NotFound)?;
        let upgrades = keys::upgrades(db, &key)?;
        if id != key.project_id || !key.sees_its_project(&upgrades) {
            return Err(Refusal::Forbidden("this key may not look at that project"));
        }
        let environments = projects::environments(db, &id)?.into_iter();
        let seen = environments.filter_map(|environment| key.look_at(&upgrades, environment));
        Ok(seen.collect::<Vec<_>>())
    })?;
    Ok(Json(json!({"environments": environments})))
}
