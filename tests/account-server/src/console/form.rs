//! A form that was sent: by this site, with the token of the page that it was on. No handler gets one that was not.

use axum::Form;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::cookie::{self, form_token};
use crate::refusal::Refusal;
use crate::secret::Digest;
use crate::service::Shared;

/// The fields of a form, and the secret of who sent it.
pub(crate) struct Filled {
    pub(crate) secret: String,
    fields: Vec<(String, String)>,
}

impl Filled {
    /// What was typed into a field, without blanks around it; empty where there is no such field.
    pub(crate) fn get(&self, name: &str) -> &str {
        let field = self.fields.iter().find(|(field, _)| field == name);
        field.map_or("", |(_, value)| value.trim())
    }
}

impl FromRequest<Shared> for Filled {
    type Rejection = Refusal;

    async fn from_request(request: Request, service: &Shared) -> Result<Self, Refusal> {
        const STALE: Refusal = Refusal::Forbidden(
            "the form is out of date: go back, load the page again, and send it again",
        );
        let secret = cookie::secret(service, request.headers()).ok_or(STALE)?;
        let fields = Form::<Vec<(String, String)>>::from_request(request, service).await;
        let Form(fields) =
            fields.map_err(|_| Refusal::InvalidRequest("the form cannot be read"))?;
        let form = Self { secret, fields };
        let wanted = Digest::of(&form_token(&form.secret));
        if Digest::of(form.get("token")).matches(&wanted) { Ok(form) } else { Err(STALE) }
    }
}

/// Refuses what a browser says comes from another site. The tokens of forms would refuse it too: this also holds for a
/// form that forgets to have one.
pub(crate) async fn refuse_other_sites(request: Request, next: Next) -> Response {
    let is_safe = [Method::GET, Method::HEAD].contains(request.method());
    if is_safe || !is_from_elsewhere(request.headers()) {
        return next.run(request).await;
    }
    Refusal::Forbidden("the form was sent by another site").into_response()
}

/// `Origin` tells nothing here: it is `null`, since the pages have no referrer (Fetch, 3.1). Old browsers say neither.
fn is_from_elsewhere(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    let origin = headers.get(header::ORIGIN).map(HeaderValue::as_bytes);
    match (site, origin) {
        (Some(site), _) => site != b"same-origin",
        (None, Some(origin)) => {
            let host = headers.get(header::HOST).map_or(&b""[..], |host| host.as_bytes());
            origin != b"null" && !origin.ends_with(&[b"//", host].concat())
        }
        (None, None) => false,
    }
}
