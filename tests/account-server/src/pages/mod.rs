//! What people see in a browser: plain HTML from templates that escape, under a strict policy. Runs no script.

use askama::Template;
use axum::Router;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;

use crate::refusal::Refusal;
use crate::service::Shared;

mod inbox;
pub(crate) mod verify;

const POLICY: &str =
    "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The inbox is there only while no mail server is named.
pub(crate) fn routes(service: &Shared) -> Router<Shared> {
    let routes = Router::new().route("/style.css", get(style));
    match service.mailer.inbox() {
        Some(_) => routes.route("/inbox", get(inbox::page)).route("/inbox.json", get(inbox::json)),
        None => routes,
    }
}

async fn style() -> impl IntoResponse {
    let kind = [(header::CONTENT_TYPE, "text/css; charset=utf-8")];
    (kind, include_str!("../../templates/style.css"))
}

/// A page, kept nowhere and telling no other site where its reader came from: a link has its token in the address.
fn answer(status: StatusCode, page: &impl Template) -> Result<Response, Refusal> {
    const HEADERS: [(HeaderName, &str); 4] = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    let html = Html(page.render()?);
    Ok((status, HEADERS, html).into_response())
}
