//! The one cookie of the console. What is in it is a secret: first of a visitor, then of a login that waits, then of a
//! session; each step replaces it, so that a secret that was planted before is worth nothing after.

use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use cookie::{Cookie, SameSite};

use crate::refusal::Refusal;
use crate::secret::Digest;
use crate::service::Service;

/// Over https the prefix says that no other host, and nothing over http, can have set it (RFC 6265bis, 4.1.3.2).
pub(crate) fn cookie_name(service: &Service) -> &'static str {
    if is_https(service) { "__Host-console" } else { "console" }
}

fn is_https(service: &Service) -> bool {
    service.public_url.starts_with("https://")
}

/// The secret that a request carries.
pub(super) fn secret(service: &Service, headers: &HeaderMap) -> Option<String> {
    let name = cookie_name(service);
    let values =
        headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let mut cookies = values.flat_map(Cookie::split_parse).flatten();
    cookies.find(|cookie| cookie.name() == name).map(|cookie| cookie.value().to_owned())
}

/// The answer, which leaves the browser with this secret.
pub(super) fn keep(
    service: &Service,
    secret: &str,
    response: Response,
) -> Result<Response, Refusal> {
    let cookie = Cookie::build((cookie_name(service), secret))
        .path("/")
        .http_only(true)
        // Lax, not strict: who follows a link to the console is still signed in. No GET changes anything.
        .same_site(SameSite::Lax)
        .secure(is_https(service));
    with_cookie(&cookie.build(), response)
}

/// The answer, which leaves it with none.
pub(super) fn forget(service: &Service, response: Response) -> Result<Response, Refusal> {
    let mut cookie =
        Cookie::build((cookie_name(service), "")).path("/").secure(is_https(service)).build();
    cookie.make_removal();
    with_cookie(&cookie, response)
}

fn with_cookie(cookie: &Cookie<'_>, response: Response) -> Result<Response, Refusal> {
    let mut response = response.into_response();
    let value = HeaderValue::from_str(&cookie.to_string()).map_err(|_| Refusal::Internal)?;
    response.headers_mut().append(header::SET_COOKIE, value);
    Ok(response)
}

/// What a form carries, so that no other site can have filled it in: it follows from the cookie, which no site can read.
pub(super) fn form_token(secret: &str) -> String {
    Digest::of(&format!("form:{secret}")).to_hex()
}
