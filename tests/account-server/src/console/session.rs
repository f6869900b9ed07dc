//! Who is signed in to the console, and for how long.

use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use rusqlite::{Connection, OptionalExtension, params};

use super::{cookie, see};
use crate::clock::Timestamp;
use crate::microtica::members;
use crate::microtica::projects::Project;
use crate::refusal::Refusal;
use crate::secret::{self, Digest};
use crate::service::{Service, Shared};
use crate::store::users::{self, User};

/// A day's work.
const LIFETIME: Duration = Duration::from_secs(12 * 60 * 60);

/// Somebody who is signed in.
pub(crate) struct Person {
    pub(crate) user: User,
    /// For the forms of this person.
    pub(crate) token: String,
}

impl Person {
    /// The project, where this person is a member of it.
    pub(crate) fn project(&self, service: &Service, id: &str) -> Result<Project, Refusal> {
        service.database.transaction(|db| members::project_of(db, &self.user.id, id))
    }
}

/// Redirects a visitor who is not signed in to the sign-in page.
impl FromRequestParts<Shared> for Person {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, service: &Shared) -> Result<Self, Response> {
        let secret = cookie::secret(service, &parts.headers);
        let person = secret.map(|secret| of_secret(service, &secret)).transpose();
        let person = person.map_err(IntoResponse::into_response)?.flatten();
        person.ok_or_else(|| see("/sign-in"))
    }
}

/// The person whose cookie has this secret.
pub(crate) fn of_secret(service: &Service, secret: &str) -> Result<Option<Person>, Refusal> {
    let now = service.now();
    let user = service.database.transaction(|db| Ok(find(db, secret, now)?))?;
    Ok(user.map(|user| Person { user, token: cookie::form_token(secret) }))
}

fn find(db: &Connection, secret: &str, now: Timestamp) -> rusqlite::Result<Option<User>> {
    let sql = "SELECT user_id FROM console_sessions WHERE secret = ?1 AND expires_at > ?2";
    let user: Option<String> =
        db.query_row(sql, params![Digest::of(secret), now], |row| row.get(0)).optional()?;
    user.map_or(Ok(None), |user| users::find(db, &user))
}

/// Signs a user in, and gives the secret for the cookie.
pub(crate) fn open(db: &Connection, user_id: &str, now: Timestamp) -> Result<String, Refusal> {
    let secret = secret::random_hex::<32>()?;
    db.execute("DELETE FROM console_sessions WHERE expires_at <= ?1", [now])?;
    db.execute(
        "INSERT INTO console_sessions (secret, user_id, expires_at) VALUES (?1, ?2, ?3)",
        params![Digest::of(&secret), user_id, now.after(LIFETIME)],
    )?;
    Ok(secret)
}

/// The same without the walk through the mail.
pub(crate) fn sign_in_as(service: &Service, user_id: &str) -> Result<String, Refusal> {
    service.database.transaction(|db| open(db, user_id, service.now()))
}

pub(crate) fn close(db: &Connection, secret: &str) -> rusqlite::Result<()> {
    db.execute("DELETE FROM console_sessions WHERE secret = ?1", [Digest::of(secret)])?;
    Ok(())
}
