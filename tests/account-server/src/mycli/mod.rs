//! The API of mycli. Each file answers for one part of it, and each row of its description is a route here.

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{delete, get, patch, post};

use crate::refusal::Refusal;
use crate::service::Shared;

pub(crate) mod api_tokens;
pub(crate) mod caller;
mod catalog;
pub(crate) mod email;
mod login;
mod me;
mod profiles;
pub(crate) mod rate_limit;
mod refresh;
pub(crate) mod sessions;

pub(crate) fn routes(service: &Shared) -> Router<Shared> {
    Router::new()
        .merge(auth_routes(service))
        .route("/v1/me", get(me::show))
        .route("/v1/me/username", patch(me::choose_username))
        .route("/v1/usernames/{name}/available", get(me::available))
        .route("/v1/sessions", get(sessions::list).delete(sessions::revoke_others))
        .route("/v1/sessions/{id}", delete(sessions::revoke))
        .route("/v1/tokens", post(api_tokens::create).get(api_tokens::list))
        .route("/v1/tokens/{id}", delete(api_tokens::delete))
        .route("/v1/profiles", post(profiles::create).get(profiles::list))
        .route("/v1/profiles/{slug}", get(profiles::show))
        .route("/v1/catalog", get(catalog::show))
        .route("/health", get(async || "ok"))
}

fn auth_routes(service: &Shared) -> Router<Shared> {
    // Mail scanners look at links with HEAD, and must not use them up.
    let verify = get(login::confirm_by_link).head(async || Refusal::MethodNotAllowed);
    Router::new()
        .route("/v1/auth/device/start", post(login::start))
        .route("/v1/auth/device/token", post(login::redeem))
        .route("/v1/auth/device/resend", post(login::resend))
        .route("/v1/auth/verify-code", post(login::confirm_by_code))
        .route("/v1/auth/verify", verify)
        .route("/v1/auth/refresh", post(refresh::refresh))
        .route("/v1/auth/logout", post(refresh::log_out))
        .route_layer(from_fn_with_state(service.clone(), rate_limit::admit))
}
