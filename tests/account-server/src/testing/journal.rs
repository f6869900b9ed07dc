//! Which requests came, and what became of them. Notes the kind of a credential and never the credential.

use std::sync::{Mutex, PoisonError};

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::Response;
use serde::Serialize;
use serde_json::{Value, json};

use crate::mycli::caller::{API_TOKEN_PREFIX, bearer};
use crate::service::Shared;
use crate::{git_host, microtica};

/// The kind of credential that a request carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Authorization {
    /// None at all.
    None,
    /// A JWT.
    Jwt,
    /// An API token of mycli or an API key of Microtica.
    ApiToken,
    /// Something else.
    Other,
}

impl Authorization {
    fn of(headers: &HeaderMap) -> Self {
        if headers.contains_key(microtica::caller::HEADER) {
            return Self::ApiToken;
        }
        if !headers.contains_key(header::AUTHORIZATION) {
            return Self::None;
        }
        let password = git_host::password(headers);
        let secret = bearer(headers).or(password.as_deref());
        secret.map_or(Self::Other, Self::of_secret)
    }

    fn of_secret(secret: &str) -> Self {
        if secret.starts_with(API_TOKEN_PREFIX) {
            Self::ApiToken
        } else if secret.split('.').count() == 3 {
            Self::Jwt
        } else {
            Self::Other
        }
    }
}

/// A request that came.
#[derive(Clone, Debug, Serialize)]
pub struct Recorded {
    /// Its method.
    pub method: String,
    /// Its path, without the query.
    pub path: String,
    /// The kind of credential it carried.
    pub authorization: Authorization,
    /// The status of its answer; none while it is being worked on.
    pub status: Option<u16>,
}

/// The requests since the start or since the journal was cleared.
#[derive(Default)]
pub(crate) struct Journal {
    pages: Mutex<Pages>,
}

#[derive(Default)]
struct Pages {
    /// How often the journal was cleared: what began before is not written into what came after.
    cleared: u64,
    requests: Vec<Recorded>,
}

impl Journal {
    fn begin(&self, request: Recorded) -> (u64, usize) {
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        pages.requests.push(request);
        (pages.cleared, pages.requests.len() - 1)
    }

    fn end(&self, (cleared, index): (u64, usize), status: u16) {
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        let same = pages.cleared == cleared;
        if let Some(request) = pages.requests.get_mut(index).filter(|_| same) {
            request.status = Some(status);
        }
    }

    pub(crate) fn requests(&self) -> Vec<Recorded> {
        let pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        pages.requests.clone()
    }

    pub(crate) fn clear(&self) {
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        pages.cleared += 1;
        pages.requests.clear();
    }
}

/// Notes the request, unless it comes from the tests' own routes.
pub(crate) async fn note(State(service): State<Shared>, request: Request, next: Next) -> Response {
    if request.uri().path().starts_with("/test/") {
        return next.run(request).await;
    }
    let place = service.controls.journal.begin(Recorded {
        method: request.method().to_string(),
        path: request.uri().path().to_owned(),
        authorization: Authorization::of(request.headers()),
        status: None,
    });
    let response = next.run(request).await;
    let status = response.status().as_u16();
    service.controls.journal.end(place, status);
    response
}

pub(crate) async fn list(State(service): State<Shared>) -> Json<Value> {
    Json(json!({"requests": service.controls.journal.requests()}))
}

pub(crate) async fn clear(State(service): State<Shared>) -> Json<Value> {
    service.controls.journal.clear();
    Json(json!({"cleared": true}))
}
