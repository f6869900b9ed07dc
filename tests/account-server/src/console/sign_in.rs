//! Signing in, by the link or the code of an email like every login. Only the browser that requested the email is signed
//! in, so a program that opens the links of emails signs nobody in.

use askama::Template;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use super::cookie::{self, form_token};
use super::form::Filled;
use super::frame::Frame;
use super::{see, session};
use crate::extract::Device;
use crate::product::Product;
use crate::refusal::Refusal;
use crate::service::{Service, Shared};
use crate::store::users;
use crate::{login, mycli, pages, secret};

const PRODUCT: Product = Product::Microtica;

#[derive(Template)]
#[template(path = "console/sign_in.html")]
struct Ask<'a> {
    frame: Frame,
    email: &'a str,
    problem: Option<&'static str>,
}

#[derive(Template)]
#[template(path = "console/wait.html")]
struct Wait {
    frame: Frame,
    email: String,
    problem: Option<&'static str>,
    has_inbox: bool,
}

/// Where the visitor stands: nowhere yet, waiting for a mail, confirmed, or signed in already.
pub(crate) async fn show(
    State(service): State<Shared>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let Some(secret) = cookie::secret(&service, &headers) else {
        return welcome(&service);
    };
    if session::of_secret(&service, &secret)?.is_some() {
        return Ok(see(""));
    }
    match enter(&service, &secret) {
        Ok(secret) => cookie::keep(&service, &secret, see("")),
        Err(Refusal::AuthorizationPending) => wait(&service, &secret, StatusCode::OK, None),
        Err(Refusal::ExpiredToken) => welcome(&service),
        Err(refusal) => Err(refusal),
    }
}

/// A visitor who is new here, or whose login came to nothing.
fn welcome(service: &Service) -> Result<Response, Refusal> {
    let secret = secret::random_hex::<32>()?;
    let page = Ask { frame: Frame::of_visitor(form_token(&secret)), email: "", problem: None };
    cookie::keep(service, &secret, pages::answer(StatusCode::OK, &page)?)
}

/// The session of a visitor whose login is confirmed.
fn enter(service: &Service, device_code: &str) -> Result<String, Refusal> {
    let now = service.now();
    service.database.transaction(|db| {
        let login = login::redeem(db, PRODUCT, device_code, now)?;
        let user = users::of_email(db, &login.email, now)?;
        session::open(db, &user.id, now)
    })
}

fn wait(
    service: &Service,
    device_code: &str,
    status: StatusCode,
    problem: Option<&'static str>,
) -> Result<Response, Refusal> {
    let now = service.now();
    let login =
        service.database.transaction(|db| Ok(login::waiting(db, PRODUCT, device_code, now)?))?;
    let Some(login) = login else { return Ok(see("/sign-in")) };
    let frame = Frame::of_visitor(form_token(device_code));
    let has_inbox = service.mailer.inbox().is_some();
    pages::answer(status, &Wait { frame, email: login.email, problem, has_inbox })
}

/// Sends the mail; the visitor's secret is the device code from now on.
pub(crate) async fn ask(
    State(service): State<Shared>,
    device: Device,
    form: Filled,
) -> Result<Response, Refusal> {
    let typed = form.get("email");
    let Ok(email) = mycli::email::normalize(typed) else {
        let problem = Some(Refusal::InvalidEmail.parts().2);
        let page =
            Ask { frame: Frame::of_visitor(form_token(&form.secret)), email: typed, problem };
        return pages::answer(StatusCode::UNPROCESSABLE_ENTITY, &page);
    };
    let device = Device { name: Some("a browser, for the console".to_owned()), ..device };
    let begun = login::begin(&service, PRODUCT, &email, device).await?;
    cookie::keep(&service, &begun.device_code, see("/sign-in"))
}

pub(crate) async fn try_code(
    State(service): State<Shared>,
    form: Filled,
) -> Result<Response, Refusal> {
    match login::confirm_by_code(&service, PRODUCT, &form.secret, form.get("code")) {
        Ok(()) => Ok(see("/sign-in")),
        Err(refusal @ (Refusal::InvalidCode | Refusal::TooManyAttempts)) => {
            let (_, _, problem) = refusal.parts();
            wait(&service, &form.secret, StatusCode::UNPROCESSABLE_ENTITY, Some(problem))
        }
        Err(refusal) => Err(refusal),
    }
}

pub(crate) async fn sign_out(
    State(service): State<Shared>,
    form: Filled,
) -> Result<Response, Refusal> {
    service.database.transaction(|db| Ok(session::close(db, &form.secret)?))?;
    cookie::forget(&service, see("/sign-in"))
}
