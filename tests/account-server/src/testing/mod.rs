//! Endpoints for tests only: faults, the clock, the journal, ready sessions. Served only with `for_tests`.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use axum::Router;
use axum::routing::{get, post};

use crate::secret::Digest;
use crate::service::Shared;
use faults::Faults;
use journal::Journal;

pub(crate) mod accounts;
pub(crate) mod faults;
pub(crate) mod journal;
mod microtica;

/// What tests have asked for, and what they may ask about.
#[derive(Default)]
pub(crate) struct Controls {
    pub(crate) faults: Faults,
    pub(crate) journal: Journal,
    denied: Mutex<HashSet<String>>,
}

impl Controls {
    /// From now on the access token is refused.
    pub(crate) fn deny(&self, access_token: &str) {
        let mut denied = self.denied.lock().unwrap_or_else(PoisonError::into_inner);
        denied.insert(Digest::of(access_token).to_hex());
    }

    pub(crate) fn is_denied(&self, access_token: &str) -> bool {
        let denied = self.denied.lock().unwrap_or_else(PoisonError::into_inner);
        !denied.is_empty() && denied.contains(&Digest::of(access_token).to_hex())
    }
}

pub(crate) fn routes() -> Router<Shared> {
    Router::new()
        .route("/test/faults", post(faults::queue))
        .route("/test/requests", get(journal::list).delete(journal::clear))
        .route("/test/advance", post(accounts::advance))
        .route("/test/session", post(accounts::session))
        .route("/test/api-tokens", post(accounts::api_token))
        .route("/test/revoke-access", post(accounts::revoke_access))
        .route("/test/catalog", post(accounts::add_to_catalog))
        .route("/test/microtica/projects", post(microtica::project))
        .route("/test/microtica/keys", post(microtica::key))
        .route("/test/microtica/keys/{id}/revoke", post(microtica::revoke))
}
