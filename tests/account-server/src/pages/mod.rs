//! What people see in a browser: plain HTML from templates that escape, under a strict policy.

use askama::Template;
use axum::Router;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;

use crate::refusal::Refusal;
use crate::service::Shared;

mod inbox;
pub(crate) mod verify;

/// A page loads the one style and the one picture, and nothing else.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; \
                      frame-ancestors 'none'";

/// The same for the one page with a script, which copies a key.
const POLICY_WITH_SCRIPT: &str = "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; \
                                  form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The inbox is there only while no mail server is named.
pub(crate) fn routes(service: &Shared) -> Router<Shared> {
    let routes = Router::new()
        .route(
            "/style.css",
            get(async || asset("text/css", include_str!("../../templates/style.css"))),
        )
        .route(
            "/icon.svg",
            get(async || asset("image/svg+xml", include_str!("../../templates/icon.svg"))),
        )
        .route(
            "/copy.js",
            get(async || asset("text/javascript", include_str!("../../templates/copy.js"))),
        );
    match service.mailer.inbox() {
        Some(_) => routes.route("/inbox", get(inbox::page)).route("/inbox.json", get(inbox::json)),
        None => routes,
    }
}

fn asset(kind: &str, text: &'static str) -> Response {
    let kind = format!("{kind}; charset=utf-8");
    let headers =
        [(header::CONTENT_TYPE, kind.as_str()), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
    (headers, text).into_response()
}

/// A page.
pub(crate) fn answer(status: StatusCode, page: &impl Template) -> Result<Response, Refusal> {
    under(POLICY, status, page)
}

/// A page with a script.
pub(crate) fn answer_with_script(page: &impl Template) -> Result<Response, Refusal> {
    under(POLICY_WITH_SCRIPT, StatusCode::OK, page)
}

/// Not cached, and without a referrer for other sites: a link has its token in the address.
fn under(
    policy: &'static str,
    status: StatusCode,
    page: &impl Template,
) -> Result<Response, Refusal> {
    let headers: [(HeaderName, &str); 6] = [
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    let html = Html(page.render()?);
    Ok((status, headers, html).into_response())
}
