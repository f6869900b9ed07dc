//! A login of either product: started with an address, confirmed by link or code, exchanged once by the client that
//! started it.
//! Never looks whether the address has an account, so neither an answer nor its time tells.

use std::time::Duration;

use rusqlite::Connection;

use crate::clock::Timestamp;
use crate::extract::Device;
use crate::product::Product;
use crate::refusal::Refusal;
use crate::secret::{self, Digest};
use crate::service::Service;
use crate::store::logins::{self, Login, NewLogin};
use confirmation::Confirmation;

mod confirmation;

/// A code can be guessed this often; then the login must be started again.
const WRONG_CODES: u32 = 5;

/// All logins of an address together can be guessed at this often in a day: else a million codes are tried by beginning
/// again and again. Links go on working, so nobody is locked out of an account by somebody else's guesses.
const WRONG_CODES_A_DAY: u32 = 20;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A login that waits.
pub(crate) struct Begun {
    pub(crate) device_code: String,
    pub(crate) email_sent: bool,
}

/// Begins a login and sends its mail.
pub(crate) async fn begin(
    service: &Service,
    product: Product,
    email: &str,
    device: Device,
) -> Result<Begun, Refusal> {
    let device_code = secret::random_hex::<32>()?;
    let confirmation = Confirmation::new()?;
    let now = service.now();
    let login = NewLogin {
        device_code: Digest::of(&device_code),
        email,
        product,
        proofs: confirmation.proofs(&device_code),
        device: &device,
        started_at: now,
        expires_at: now.after(service.settings.device_code_lifetime),
    };
    service.database.transaction(|db| Ok(logins::insert(db, &login)?))?;
    let email_sent = confirmation.send(service, email, product, &device).await?;
    Ok(Begun { device_code, email_sent })
}

/// What came of another mail.
pub(crate) struct Resent {
    pub(crate) sent: bool,
    pub(crate) expires_at: Timestamp,
}

/// Sends a new link and a new code; the former ones are void, the wrong codes still count.
pub(crate) async fn resend(
    service: &Service,
    product: Product,
    device_code: &str,
    email: &str,
) -> Result<Resent, Refusal> {
    let now = service.now();
    let confirmation = Confirmation::new()?;
    let login = service.database.transaction(|db| {
        let login = waiting(db, product, device_code, now)?.ok_or(Refusal::ExpiredToken)?;
        if login.email != email {
            return Err(Refusal::InvalidEmail);
        }
        logins::replace_proofs(db, &login, &confirmation.proofs(device_code))?;
        Ok(login)
    })?;
    let sent = confirmation.send(service, email, product, &login.device).await?;
    Ok(Resent { sent, expires_at: login.expires_at })
}

/// The login that waits with this device code, unless its time is over or it has been redeemed.
pub(crate) fn waiting(
    db: &Connection,
    product: Product,
    device_code: &str,
    now: Timestamp,
) -> rusqlite::Result<Option<Login>> {
    let login = logins::of_device_code(db, Digest::of(device_code))?;
    Ok(login.filter(|login| {
        login.product == product && login.expires_at > now && login.redeemed_at.is_none()
    }))
}

/// The login with this device code, which from now on is worth nothing any more.
pub(crate) fn redeem(
    db: &Connection,
    product: Product,
    device_code: &str,
    now: Timestamp,
) -> Result<Login, Refusal> {
    let login = waiting(db, product, device_code, now)?.ok_or(Refusal::ExpiredToken)?;
    if login.authorized_at.is_none() {
        return Err(Refusal::AuthorizationPending);
    }
    logins::redeem(db, &login, now)?;
    Ok(login)
}

/// Confirms a login by the six digits; a wrong code is counted.
pub(crate) fn confirm_by_code(
    service: &Service,
    product: Product,
    device_code: &str,
    code: &str,
) -> Result<(), Refusal> {
    let now = service.now();
    // The refusal is inside: a wrong code that is refused must still be counted.
    service.database.transaction(|db| {
        let login = waiting(db, product, device_code, now)?;
        Ok(try_code(db, login, &Digest::of_code(device_code, code.trim()), now)?)
    })?
}

fn try_code(
    db: &Connection,
    login: Option<Login>,
    code: &Digest,
    now: Timestamp,
) -> rusqlite::Result<Result<(), Refusal>> {
    let Some(login) = login.filter(|login| login.authorized_at.is_none()) else {
        return Ok(Err(Refusal::InvalidCode));
    };
    if has_no_attempts_left(&login)
        || logins::wrong_codes(db, &login.email, now.before(DAY))? >= WRONG_CODES_A_DAY
    {
        return Ok(Err(Refusal::TooManyAttempts));
    }
    if !login.code.matches(code) {
        logins::count_wrong_code(db, &login)?;
        return Ok(Err(Refusal::InvalidCode));
    }
    logins::authorize(db, &login, now)?;
    Ok(Ok(()))
}

fn has_no_attempts_left(login: &Login) -> bool {
    login.wrong_codes >= WRONG_CODES
}

/// What following a link did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Verified,
    AlreadyUsed,
    TooManyAttempts,
    Expired,
}

/// Confirms a login by the token of its link; with it comes the login, where there is one.
pub(crate) fn confirm_by_link(
    service: &Service,
    token: &str,
) -> Result<(Outcome, Option<Login>), Refusal> {
    let now = service.now();
    service.database.transaction(|db| {
        let login = logins::of_link(db, Digest::of(token))?;
        let outcome = follow_link(db, login.as_ref(), now)?;
        Ok((outcome, login))
    })
}

fn follow_link(
    db: &Connection,
    login: Option<&Login>,
    now: Timestamp,
) -> rusqlite::Result<Outcome> {
    let Some(login) = login.filter(|login| login.expires_at > now) else {
        return Ok(Outcome::Expired);
    };
    if login.authorized_at.is_some() {
        return Ok(Outcome::AlreadyUsed);
    }
    if has_no_attempts_left(login) {
        return Ok(Outcome::TooManyAttempts);
    }
    logins::authorize(db, login, now)?;
    Ok(Outcome::Verified)
}
