//! The page behind a magic link: what following it did, and who had asked for it. Never shows the token.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;

use crate::login::Outcome;
use crate::product::Product;
use crate::refusal::Refusal;
use crate::store::logins::Login;

#[derive(Template)]
#[template(path = "verify.html")]
struct Page<'a> {
    outcome: Outcome,
    product: Product,
    login: Option<&'a Login>,
}

impl Page<'_> {
    fn title(&self) -> &'static str {
        match self.outcome {
            Outcome::Verified => "Login confirmed",
            Outcome::AlreadyUsed => "Link already used",
            Outcome::TooManyAttempts => "Too many wrong codes",
            Outcome::Expired => "Link expired",
        }
    }
}

pub(crate) fn page(outcome: Outcome, login: Option<&Login>) -> Result<Response, Refusal> {
    let status =
        if outcome == Outcome::Verified { StatusCode::OK } else { StatusCode::BAD_REQUEST };
    let product = login.map_or(Product::Mycli, |login| login.product);
    super::answer(status, &Page { outcome, product, login })
}
