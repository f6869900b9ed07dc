//! The device login as devices speak it: start, wait, confirm, get a session. What a login is stands in `login`.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{email, sessions};
use crate::extract::{Asked, Device, Sent};
use crate::login;
use crate::pages::verify;
use crate::product::Product;
use crate::refusal::Refusal;
use crate::service::Shared;
use crate::settings::whole_seconds;
use crate::store::users;

#[derive(Deserialize)]
pub(crate) struct Start {
    email: String,
}

#[derive(Serialize)]
pub(crate) struct Started {
    device_code: String,
    expires_in: i64,
    interval: i64,
    email_sent: bool,
}

pub(crate) async fn start(
    State(service): State<Shared>,
    device: Device,
    Sent(sent): Sent<Start>,
) -> Result<Json<Started>, Refusal> {
    let email = email::normalize(&sent.email)?;
    let begun = login::begin(&service, Product::Mycli, &email, device).await?;
    Ok(Json(Started {
        device_code: begun.device_code,
        expires_in: whole_seconds(service.settings.device_code_lifetime),
        interval: whole_seconds(service.settings.poll_interval).max(1),
        email_sent: begun.email_sent,
    }))
}

#[derive(Deserialize)]
pub(crate) struct Redeem {
    device_code: String,
}

#[derive(Serialize)]
pub(crate) struct Redeemed {
    access_token: String,
    refresh_token: String,
    expires_in: i64,
    needs_username: bool,
    session_id: String,
}

pub(crate) async fn redeem(
    State(service): State<Shared>,
    device: Device,
    Sent(sent): Sent<Redeem>,
) -> Result<Json<Redeemed>, Refusal> {
    let now = service.now();
    service.database.transaction(|db| {
        let login = login::redeem(db, Product::Mycli, &sent.device_code, now)?;
        let user = users::of_email(db, &login.email, now)?;
        let opened = sessions::open(&service, db, &user.id, &device, now)?;
        Ok(Json(Redeemed {
            access_token: opened.pair.access_token,
            refresh_token: opened.pair.refresh_token,
            expires_in: service.access_seconds(),
            needs_username: user.username.is_none(),
            session_id: opened.id,
        }))
    })
}

#[derive(Deserialize)]
pub(crate) struct ConfirmByCode {
    device_code: String,
    code: String,
}

pub(crate) async fn confirm_by_code(
    State(service): State<Shared>,
    Sent(sent): Sent<ConfirmByCode>,
) -> Result<Json<Value>, Refusal> {
    login::confirm_by_code(&service, Product::Mycli, &sent.device_code, &sent.code)?;
    Ok(Json(json!({"authorized": true})))
}

#[derive(Deserialize)]
pub(crate) struct Resend {
    device_code: String,
    email: String,
}

pub(crate) async fn resend(
    State(service): State<Shared>,
    Sent(sent): Sent<Resend>,
) -> Result<Json<Value>, Refusal> {
    let email = email::normalize(&sent.email)?;
    let resent = login::resend(&service, Product::Mycli, &sent.device_code, &email).await?;
    let expires_in = service.now().seconds_until(resent.expires_at);
    Ok(Json(json!({"sent": resent.sent, "expires_in": expires_in})))
}

#[derive(Deserialize)]
pub(crate) struct Link {
    token: Option<String>,
}

pub(crate) async fn confirm_by_link(
    State(service): State<Shared>,
    headers: HeaderMap,
    Asked(link): Asked<Link>,
) -> Result<Response, Refusal> {
    if is_prefetch(&headers) {
        return Err(Refusal::NotForPrefetch);
    }
    let (outcome, login) = login::confirm_by_link(&service, &link.token.unwrap_or_default())?;
    verify::page(outcome, login.as_ref())
}

/// Whether a browser loads the page in advance, which nobody has asked it to.
fn is_prefetch(headers: &HeaderMap) -> bool {
    let says_so = |name: &str| {
        let value = headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        value.contains("prefetch") || value.contains("prerender") || value.contains("preview")
    };
    ["sec-purpose", "purpose", "x-moz"].into_iter().any(says_so)
}
