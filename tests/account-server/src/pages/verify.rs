//! The page behind a magic link. Never shows the token.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;

use crate::refusal::Refusal;

/// What following the link did.
pub(crate) enum Outcome {
    Verified { email: String },
    AlreadyUsed,
    Expired,
}

impl Outcome {
    fn title(&self) -> &'static str {
        match self {
            Self::Verified { .. } => "Login confirmed",
            Self::AlreadyUsed => "Link already used",
            Self::Expired => "Link expired",
        }
    }
}

#[derive(Template)]
#[template(path = "verify.html")]
struct Page {
    outcome: Outcome,
}

pub(crate) fn page(outcome: Outcome) -> Result<Response, Refusal> {
    let status = match outcome {
        Outcome::Verified { .. } => StatusCode::OK,
        Outcome::AlreadyUsed | Outcome::Expired => StatusCode::BAD_REQUEST,
    };
    super::answer(status, &Page { outcome })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_echoed_is_escaped() {
        let email = "\"<script>\"@example.com".to_owned();
        let outcome = Outcome::Verified { email };
        let html = Page { outcome }.render().unwrap();
        assert!(!html.contains("<script>"), "an address is text, not markup");
    }
}
