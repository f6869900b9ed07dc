//! The inbox as a page and as JSON. Shows codes and links: it exists only where no mail server is named.

use askama::Template;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use crate::mail::Mail;
use crate::refusal::Refusal;
use crate::service::{Service, Shared};

#[derive(Template)]
#[template(path = "inbox.html")]
struct Page {
    mails: Vec<Mail>,
}

fn mails(service: &Service) -> Result<Vec<Mail>, Refusal> {
    let inbox = service.mailer.inbox().ok_or(Refusal::NotFound)?;
    Ok(inbox.mails())
}

pub(crate) async fn page(State(service): State<Shared>) -> Result<Response, Refusal> {
    let mails = mails(&service)?;
    super::answer(StatusCode::OK, &Page { mails })
}

pub(crate) async fn json(State(service): State<Shared>) -> Result<Json<Value>, Refusal> {
    let mails = mails(&service)?;
    Ok(Json(json!({"mails": mails})))
}
