//! The device login: a device waits, its user confirms by link or by code, the device gets a session.
//! Never tells whether an address has an account.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{email, sessions};
use crate::clock::Timestamp;
use crate::extract::{Asked, Device, Sent};
use crate::mail::LoginMail;
use crate::pages::verify::{self, Outcome};
use crate::refusal::Refusal;
use crate::secret::{self, Digest};
use crate::service::{Service, Shared};
use crate::settings::whole_seconds;
use crate::store::logins::{self, Login, Proofs};
use crate::store::users;

/// A code can be guessed this often; then the login must be started again.
const WRONG_CODES: u32 = 5;

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

pub(crate) async fn start(State(service): State<Shared>, Sent(sent): Sent<Start>) -> Result<Json<Started>, Refusal> {
    let email = email::normalize(&sent.email)?;
    let device_code = secret::random_hex::<32>()?;
    let confirmation = Confirmation::new()?;
    let proofs = confirmation.proofs(&device_code);
    let end = service.now().after(service.settings.device_code_lifetime);
    service.database.transaction(|db| {
        let hash = Digest::of(&device_code);
        Ok(logins::insert(db, hash, &email, &proofs, end)?)
    })?;
    Ok(Json(Started {
        device_code,
        expires_in: whole_seconds(service.settings.device_code_lifetime),
        interval: whole_seconds(service.settings.poll_interval).max(1),
        email_sent: confirmation.send(&service, email).await?,
    }))
}

/// What a login can be confirmed with, as it goes into the mail.
struct Confirmation {
    link: String,
    code: String,
}

impl Confirmation {
    fn new() -> Result<Self, Refusal> {
        let link = secret::random_hex::<32>()?;
        let code = secret::random_code()?;
        Ok(Self { link, code })
    }

    fn proofs(&self, device_code: &str) -> Proofs {
        Proofs { link: Digest::of(&self.link), code: Digest::of_code(device_code, &self.code) }
    }

    async fn send(self, service: &Service, to: String) -> Result<bool, Refusal> {
        let Self { link, code } = self;
        let link = format!("{}/v1/auth/verify?token={link}", service.public_url);
        let minutes = whole_seconds(service.settings.device_code_lifetime).div_euclid(60);
        let mail = LoginMail { link, code, minutes: minutes.max(1) };
        service.mailer.send(to, &mail, service.now()).await
    }
}

/// The login that waits with this device code, unless its time is over or it has been redeemed.
fn waiting(db: &Connection, device_code: &str, now: Timestamp) -> Result<Option<Login>, rusqlite::Error> {
    let login = logins::of_device_code(db, Digest::of(device_code))?;
    Ok(login.filter(|login| login.expires_at > now && login.redeemed_at.is_none()))
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
        let login = waiting(db, &sent.device_code, now)?.ok_or(Refusal::ExpiredToken)?;
        if login.authorized_at.is_none() {
            return Err(Refusal::AuthorizationPending);
        }
        logins::redeem(db, &login, now)?;
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
    let now = service.now();
    // The refusal is inside: a wrong code that is refused must still be counted.
    let answer = service.database.transaction(|db| {
        let login = waiting(db, &sent.device_code, now)?;
        Ok(try_code(db, login, &sent, now)?)
    })?;
    answer.map(|()| Json(json!({"authorized": true})))
}

fn try_code(
    db: &Connection,
    login: Option<Login>,
    sent: &ConfirmByCode,
    now: Timestamp,
) -> rusqlite::Result<Result<(), Refusal>> {
    let Some(login) = login.filter(|login| login.authorized_at.is_none()) else {
        return Ok(Err(Refusal::InvalidCode));
    };
    if login.wrong_codes >= WRONG_CODES {
        return Ok(Err(Refusal::TooManyAttempts));
    }
    let code = Digest::of_code(&sent.device_code, sent.code.trim());
    if !login.code.matches(&code) {
        logins::count_wrong_code(db, &login)?;
        return Ok(Err(Refusal::InvalidCode));
    }
    logins::authorize(db, &login, now)?;
    Ok(Ok(()))
}

#[derive(Deserialize)]
pub(crate) struct Resend {
    device_code: String,
    email: String,
}

/// Sends a new link and a new code; the former ones are void, the wrong codes still count.
pub(crate) async fn resend(State(service): State<Shared>, Sent(sent): Sent<Resend>) -> Result<Json<Value>, Refusal> {
    let email = email::normalize(&sent.email)?;
    let now = service.now();
    let confirmation = Confirmation::new()?;
    let end = service.database.transaction(|db| {
        let login = waiting(db, &sent.device_code, now)?.ok_or(Refusal::ExpiredToken)?;
        if login.email != email {
            return Err(Refusal::InvalidEmail);
        }
        logins::replace_proofs(db, &login, &confirmation.proofs(&sent.device_code))?;
        Ok(login.expires_at)
    })?;
    let mailed = confirmation.send(&service, email).await?;
    let expires_in = now.seconds_until(end);
    Ok(Json(json!({"sent": mailed, "expires_in": expires_in})))
}

#[derive(Deserialize)]
pub(crate) struct Link {
    token: Option<String>,
}

pub(crate) async fn confirm_by_link(
    State(service): State<Shared>,
    Asked(link): Asked<Link>,
) -> Result<Response, Refusal> {
    let now = service.now();
    let token = link.token.unwrap_or_default();
    let outcome = service.database.transaction(|db| {
        let login = logins::of_link(db, Digest::of(&token))?;
        Ok(follow_link(db, login, now)?)
    })?;
    verify::page(outcome)
}

fn follow_link(db: &Connection, login: Option<Login>, now: Timestamp) -> rusqlite::Result<Outcome> {
    let Some(login) = login.filter(|login| login.expires_at > now) else {
        return Ok(Outcome::Expired);
    };
    if login.authorized_at.is_some() {
        return Ok(Outcome::AlreadyUsed);
    }
    logins::authorize(db, &login, now)?;
    Ok(Outcome::Verified { email: login.email })
}
