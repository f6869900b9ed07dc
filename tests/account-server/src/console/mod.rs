//! Microtica's console: where a project's members make its API keys, and see what the keys did. Server-rendered; every
//! form works without a script.

use askama::Template;
use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use crate::mycli::rate_limit;
use crate::pages;
use crate::refusal::Refusal;
use crate::service::Shared;
pub(crate) use cookie::cookie_name;
use frame::Frame;
pub(crate) use session::sign_in_as;

mod audit;
mod cookie;
mod draft;
mod form;
mod frame;
mod keys;
mod members;
mod projects;
mod scopes;
mod session;
mod sign_in;
pub(crate) mod unshown;

const ROOT: &str = "/console";

pub(crate) fn routes(service: &Shared) -> Router<Shared> {
    let project = Router::new()
        .route("/", get(projects::show))
        .route("/keys", get(keys::list).post(keys::create))
        .route("/keys/new", get(keys::new))
        .route("/keys/{key}/created", get(keys::created))
        .route("/keys/{key}/scopes", get(scopes::show).post(scopes::add))
        .route("/keys/{key}/revoke", get(keys::confirm_revoke).post(keys::revoke))
        .route("/members", get(members::list).post(members::add))
        .route("/members/leave", post(members::leave))
        .route("/audit", get(audit::show));
    let console = Router::new()
        .route("/", get(projects::list).post(projects::create))
        .route("/sign-out", post(sign_in::sign_out))
        .merge(sign_in_routes(service))
        .nest("/projects/{project}", project)
        .layer(from_fn(form::refuse_other_sites));
    Router::new().nest(ROOT, console)
}

fn sign_in_routes(service: &Shared) -> Router<Shared> {
    let asked = Router::new()
        .route("/sign-in", post(sign_in::ask))
        .route("/sign-in/code", post(sign_in::try_code))
        .route_layer(from_fn_with_state(service.clone(), rate_limit::admit));
    asked.route("/sign-in", get(sign_in::show))
}

#[derive(Template)]
#[template(path = "console/refusal.html")]
struct Page {
    frame: Frame,
    reason: &'static str,
}

/// Somebody who looks at a page reads why something is refused on a page.
pub(crate) async fn refusals_as_pages(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let is_page =
        path.strip_prefix(ROOT).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let response = next.run(request).await;
    let Some(refusal) = response.extensions().get::<Refusal>().copied().filter(|_| is_page) else {
        return response;
    };
    let (status, _, reason) = refusal.parts();
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    pages::answer(status, &Page { frame: Frame::of_nobody(), reason })
        .unwrap_or_else(IntoResponse::into_response)
}

/// The page to go to next, asked for with GET.
fn see(path: &str) -> Response {
    axum::response::Redirect::to(&format!("{ROOT}{path}")).into_response()
}
