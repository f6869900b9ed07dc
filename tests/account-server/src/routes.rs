//! All routes, and what every request passes on its way to them: the journal, the faults, the limit of its body.

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};

use crate::refusal::Refusal;
use crate::service::Shared;
use crate::testing::{self, faults, journal};
use crate::{console, extract, git_host, microtica, mycli, pages};

/// The whole service.
pub(crate) fn all(service: &Shared) -> Router {
    let mut routes =
        mycli::routes(service).merge(microtica::routes(service)).merge(pages::routes(service));
    routes = routes.merge(console::routes(service));
    if service.settings.for_tests {
        routes = routes.merge(testing::routes());
    }
    routes = routes
        .fallback(async || Refusal::NotFound)
        .method_not_allowed_fallback(async || Refusal::MethodNotAllowed)
        .layer(from_fn(extract::limit_body))
        .layer(from_fn(console::refusals_as_pages));
    // Git sends as much as it has.
    if service.settings.git_root.is_some() {
        routes = routes.merge(git_host::routes());
    }
    if service.settings.for_tests {
        routes = observed(routes, service);
    }
    routes.with_state(service.clone())
}

/// The journal stands outside, so that it sees what a fault answers.
fn observed(routes: Router<Shared>, service: &Shared) -> Router<Shared> {
    routes
        .layer(from_fn_with_state(service.clone(), faults::inflict))
        .layer(from_fn_with_state(service.clone(), journal::note))
}
