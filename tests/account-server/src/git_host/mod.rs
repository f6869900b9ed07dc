//! Git repositories over HTTP, for callers of the account service alone: who may come in, and how it is asked.
//! Never looks into a repository: git does.

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::mycli::caller::{self, bearer};
use crate::refusal::Refusal;
use crate::service::Shared;
pub use repository::create_repository;

mod backend;
mod repository;

pub(crate) fn routes() -> Router<Shared> {
    Router::new().route("/git/{*path}", any(serve))
}

/// How a repository asks for a credential: the first part of its path says it.
#[derive(Clone, Copy)]
enum Challenge {
    Basic,
    Bearer,
    Both,
}

impl Challenge {
    /// The challenge, and the path of the repository below the root, which begins with a slash.
    fn of(path: &str) -> (Self, &str) {
        let path = path.strip_prefix("/git").unwrap_or(path);
        let challenges =
            [("/basic", Self::Basic), ("/bearer", Self::Bearer), ("/both", Self::Both)];
        let mut named = challenges.into_iter().filter_map(|(name, challenge)| {
            let rest = path.strip_prefix(name)?;
            rest.starts_with('/').then_some((challenge, rest))
        });
        named.next().unwrap_or((Self::Both, path))
    }

    fn lines(self) -> &'static [&'static str] {
        const BASIC: &str = "Basic realm=\"git\"";
        const BEARER: &str = "Bearer realm=\"git\"";
        match self {
            Self::Basic => &[BASIC],
            Self::Bearer => &[BEARER],
            Self::Both => &[BEARER, BASIC],
        }
    }

    /// The secret that was shown, where it was shown in a way that is asked for.
    fn secret(self, headers: &HeaderMap) -> Option<String> {
        let bearer = || bearer(headers).map(str::to_owned);
        match self {
            Self::Basic => password(headers),
            Self::Bearer => bearer(),
            Self::Both => bearer().or_else(|| password(headers)),
        }
    }

    fn refuse(self) -> Response {
        let mut response = StatusCode::UNAUTHORIZED.into_response();
        for line in self.lines() {
            let value = HeaderValue::from_static(line);
            response.headers_mut().append(header::WWW_AUTHENTICATE, value);
        }
        response
    }
}

/// The password of `Authorization: Basic …`.
pub(crate) fn password(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = STANDARD.decode(encoded.trim()).ok()?;
    let (_, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some(password.to_owned())
}

async fn serve(State(service): State<Shared>, request: Request) -> Response {
    let Some(root) = &service.settings.git_root else {
        return Refusal::NotFound.into_response();
    };
    let (challenge, path) = Challenge::of(request.uri().path());
    let path = path.to_owned();
    let secret = challenge.secret(request.headers());
    let caller =
        secret.ok_or(Refusal::Unauthorized).and_then(|secret| caller::identify(&service, &secret));
    match caller {
        Ok(caller) => backend::run(root, &path, &caller.user_id, request).await,
        Err(Refusal::Unauthorized) => challenge.refuse(),
        Err(refusal) => refusal.into_response(),
    }
}
