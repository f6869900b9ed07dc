//! A provider's session in the keyring and in the file: how it is written there, and which of two counts.
//!
//! The JSON is the one of the `my` command line (`~/.my/credentials.json`), which rewrites it whole and drops keys that
//! it does not know: nothing else is kept in it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Attempt, Error, ErrorCode};
use crate::model::credential::Session;
use crate::model::json;
use crate::model::jwt;
use crate::model::provider::{Provider, StorageKey, StoredFormat};
use crate::model::request::{Source, StoredAt};
use crate::model::secret::Secret;
use crate::model::timestamp::Timestamp;
use crate::store::{CredentialStore, StoreFailure};

/// A session and where it is kept.
#[derive(Clone)]
pub struct StoredSession {
    /// The session.
    pub session: Session,
    /// Keyring or file.
    pub source: Source,
}

/// What the stores hold for one provider.
#[derive(Default)]
pub struct LoadedSessions {
    /// The session that counts.
    pub newest: Option<StoredSession>,
    /// An older copy in the other place.
    pub older: Option<StoredSession>,
    /// Every place, and what came of it.
    pub tried: Vec<Attempt>,
    /// A place that is there and could not be read.
    pub problem: Option<StoreFailure>,
}

/// Reads a provider's session from every store. Two are there after a write that could not remove the other: the one
/// whose token the service issued last counts.
pub fn load(stores: &[&dyn CredentialStore], slot: &StorageKey) -> LoadedSessions {
    let mut loaded = LoadedSessions::default();
    for store in stores {
        if store.source() == Source::Keyring && slot.item.is_none() {
            continue;
        }
        let outcome = match read(*store, slot) {
            Ok(Some(session)) => {
                loaded.add(StoredSession { session, source: store.source() });
                "found".to_owned()
            }
            Ok(None) => "no entry".to_owned(),
            Err(unavailable) => {
                let reason = unavailable.to_string();
                if !matches!(unavailable, StoreFailure::Off(_)) {
                    loaded.problem = Some(unavailable);
                }
                reason
            }
        };
        loaded.tried.push(Attempt::new(store.source().name(), outcome));
    }
    loaded
}

impl LoadedSessions {
    /// What it means that nothing was found: nobody is logged in, unless a place that is there could not be read.
    pub fn nothing(&self, provider: &Provider, tried: Vec<Attempt>) -> Error {
        let (code, message, hint) = match &self.problem {
            None => (
                ErrorCode::NotLoggedIn,
                format!("not logged in to {}", provider.title()),
                provider.login_hint(),
            ),
            Some(problem @ (StoreFailure::Locked | StoreFailure::TimedOut)) => (
                ErrorCode::TemporarilyUnavailable,
                format!(
                    "the keyring cannot be asked for the login to {}: {problem}",
                    provider.title()
                ),
                "unlock the keyring and try again".to_owned(),
            ),
            Some(problem) => (
                ErrorCode::Internal,
                format!("the login to {} cannot be read: {problem}", provider.title()),
                format!("{}, which replaces it", provider.login_hint()),
            ),
        };
        Error::new(code, message).with_tried(tried).with_hint(hint)
    }

    fn add(&mut self, kept: StoredSession) {
        match self.newest.take() {
            Some(other) if issued_at(&other.session) >= issued_at(&kept.session) => {
                (self.newest, self.older) = (Some(other), Some(kept));
            }
            other => (self.newest, self.older) = (Some(kept), other),
        }
    }
}

/// By the service's clock where the token says it, then by ours.
pub fn issued_at(session: &Session) -> (i64, Timestamp) {
    let iat = jwt::claims(&session.access_token).iat;
    (iat.unwrap_or_else(|| session.received_at().unix()), session.last_refreshed_at)
}

/// Another program may be writing the file in place: half of it is looked at again before it counts as broken.
const LOOKS: u32 = 8;

/// How long such a write may take.
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

/// Reads one store's session.
pub fn read(
    store: &dyn CredentialStore,
    slot: &StorageKey,
) -> Result<Option<Session>, StoreFailure> {
    let is_file = store.source() == Source::File;
    let mut look = 1;
    loop {
        let Some(text) = store.read(slot)? else { return Ok(None) };
        match decode(slot.shape, &text) {
            Ok(session) => return Ok(session),
            Err(_) if is_file && look < LOOKS => {
                look += 1;
                std::thread::sleep(BETWEEN_LOOKS);
            }
            Err(reason) => {
                let place =
                    if is_file { format!("~/{} ", slot.file) } else { "the entry ".to_owned() };
                return Err(StoreFailure::Failed(place + reason.as_str()));
            }
        }
    }
}

/// Writes a session to a store.
pub fn write(
    store: &dyn CredentialStore,
    slot: &StorageKey,
    session: &Session,
) -> Result<StoredAt, StoreFailure> {
    store.write(slot, &encode(slot.shape, session))
}

/// Deletes the session of a store if it is still `expected`; says whether it did.
pub fn delete_if(
    store: &dyn CredentialStore,
    slot: &StorageKey,
    expected: &Session,
) -> Result<bool, StoreFailure> {
    match read(store, slot)? {
        Some(found)
            if found.access_token == expected.access_token
                && found.refresh_token == expected.refresh_token =>
        {
            store.delete(slot)
        }
        _ => Ok(false),
    }
}

#[derive(Deserialize)]
struct Record {
    access_token: Secret,
    refresh_token: Option<Secret>,
    expires_at: Option<String>,
    logged_in_at: Option<String>,
    last_refreshed_at: Option<String>,
}

/// The session in a text; `None` where the text is blank. The error is a reason without any of the text.
pub fn decode(shape: StoredFormat, text: &Secret) -> Result<Option<Session>, String> {
    let text = text.expose_secret().trim();
    if text.is_empty() {
        return if shape == StoredFormat::Session { Err("is empty".to_owned()) } else { Ok(None) };
    }
    if shape == StoredFormat::BareKey {
        if text.chars().any(char::is_control) {
            return Err("has more than one line, or a control character".to_owned());
        }
        return Ok(Some(Session::api_token(Secret::new(text), None, Timestamp::ZERO)));
    }
    let record: Record = serde_json::from_str(text).map_err(|error| json::reason(&error))?;
    let Record { access_token, refresh_token, expires_at, logged_in_at, last_refreshed_at } =
        record;
    if access_token.is_empty() {
        return Err("has an empty access_token".to_owned());
    }
    // It would break out of a header, or out of a line of another protocol.
    if [Some(&access_token), refresh_token.as_ref()]
        .into_iter()
        .flatten()
        .any(Secret::has_control_character)
    {
        return Err("has a token with a control character".to_owned());
    }
    let time = |name: &str, text: Option<String>| match text.as_deref() {
        None | Some("") => Ok(Timestamp::ZERO),
        Some(text) => {
            Timestamp::parse(text).ok_or_else(|| format!("has a {name} that is no RFC 3339 time"))
        }
    };
    let mut session = Session {
        access_token,
        refresh_token: refresh_token.filter(|token| !token.is_empty()),
        expires_at: time("expires_at", expires_at)?,
        logged_in_at: time("logged_in_at", logged_in_at)?,
        last_refreshed_at: time("last_refreshed_at", last_refreshed_at)?,
    };
    if session.expires_at == Timestamp::ZERO
        && session.kind() == crate::model::credential::Kind::ApiToken
    {
        session.expires_at = Timestamp::NEVER;
    }
    Ok(Some(session))
}

#[derive(Serialize)]
struct Written<'a> {
    access_token: &'a str,
    refresh_token: &'a str,
    expires_at: String,
    logged_in_at: String,
    last_refreshed_at: String,
}

/// The text of a session.
pub fn encode(shape: StoredFormat, session: &Session) -> Secret {
    let Session { access_token, refresh_token, expires_at, logged_in_at, last_refreshed_at } =
        session;
    if shape == StoredFormat::BareKey {
        return Secret::new(format!("{}\n", access_token.expose_secret()));
    }
    let written = Written {
        access_token: access_token.expose_secret(),
        refresh_token: refresh_token.as_ref().map_or("", Secret::expose_secret),
        expires_at: expires_at.to_string(),
        logged_in_at: logged_in_at.to_string(),
        last_refreshed_at: last_refreshed_at.to_string(),
    };
    // Strings alone cannot fail to be written.
    Secret::new(serde_json::to_string(&written).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::{
        CredentialStore, LoadedSessions, Provider, Secret, Session, Source, StorageKey,
        StoreFailure, StoredFormat, StoredSession, Timestamp, decode, encode,
    };
    use crate::model::credential::Kind;
    use crate::store::Write;

    /// Laid out as the `my` command line lays it: Go's order of keys, fractions, an offset, a zero time.
    const FROM_MY: &str = r#"{
  "access_token": "eyJhbGciOiJIUzI1NiJ9.eyJpYXQiOjE3MDAwMDAwMDB9.c2ln",
  "refresh_token": "r1",
  "expires_at": "2026-01-02T04:04:05.123456789+01:00",
  "logged_in_at": "2026-01-02T02:49:05Z",
  "last_refreshed_at": "0001-01-01T00:00:00Z"
}"#;

    fn read(text: &str) -> Session {
        decode(StoredFormat::Session, &Secret::new(text)).unwrap().unwrap()
    }

    /// A file that another program is writing in place: half of it at first.
    struct BeingWritten(std::cell::Cell<u32>);

    impl CredentialStore for BeingWritten {
        fn source(&self) -> Source {
            Source::File
        }

        fn read(&self, _: &StorageKey) -> Result<Option<Secret>, StoreFailure> {
            let halves = self.0.get();
            self.0.set(halves.saturating_sub(1));
            Ok(Some(Secret::new(if halves == 0 { FROM_MY } else { &FROM_MY[..halves as usize] })))
        }

        fn prepare<'a>(&'a self, _: &'a StorageKey, _: usize) -> Result<Write<'a>, StoreFailure> {
            unreachable!("it is only read")
        }

        fn delete(&self, _: &StorageKey) -> Result<bool, StoreFailure> {
            unreachable!("it is only read")
        }
    }

    #[test]
    fn a_file_that_is_being_written_in_place_is_looked_at_again_and_not_for_ever() {
        let looked = |halves: u32| super::read(&BeingWritten(halves.into()), &Provider::MYCLI.slot);
        for halves in [0, 1, super::LOOKS - 1] {
            assert!(
                matches!(looked(halves), Ok(Some(session)) if session == read(FROM_MY)),
                "{halves}"
            );
        }
        assert!(
            matches!(looked(super::LOOKS), Err(StoreFailure::Failed(_))),
            "then it counts as broken"
        );
    }

    #[test]
    fn what_my_wrote_is_read_and_written_so_that_my_reads_it() {
        let session = read(FROM_MY);
        assert_eq!(session.expires_at.to_string(), "2026-01-02T03:04:05.123456789Z");
        assert_eq!(session.last_refreshed_at, Timestamp::ZERO);
        let text = encode(StoredFormat::Session, &session);
        assert!(text.expose_secret().contains(r#""last_refreshed_at":"0001-01-01T00:00:00Z""#));
        assert!(read(text.expose_secret()) == session);
    }

    #[test]
    fn an_api_token_keeps_the_shape_and_never_ends() {
        let token = Session::api_token(Secret::new("myc_1"), None, Timestamp::from_unix(0));
        let text = encode(StoredFormat::Session, &token);
        assert!(
            text.expose_secret()
                .contains(r#""refresh_token":"","expires_at":"9999-12-31T00:00:00Z""#)
        );
        assert!(read(text.expose_secret()) == token);
        assert_eq!(
            read(r#"{"access_token":"myc_1","expires_at":"0001-01-01T00:00:00Z"}"#).kind(),
            Kind::ApiToken
        );
        assert!(read(r#"{"access_token":"myc_1"}"#).expires_at.is_never());
    }

    #[test]
    fn what_cannot_be_read_is_told_without_any_of_it() {
        for (text, reason) in [
            ("", "is empty"),
            ("hunter2", "is not JSON (line 1, column 1)"),
            (r#"{"access_token":"hunter2"#, "ends too early (line 1, column 24)"),
            (
                r#"{"access_token":7}"#,
                "has a field that is missing or of the wrong type (line 1, column 17)",
            ),
            (r#"{"access_token":""}"#, "has an empty access_token"),
            (r#"{"access_token":"hunter2\n"}"#, "has a token with a control character"),
            (
                r#"{"access_token":"x","refresh_token":"hunter2\r"}"#,
                "has a token with a control character",
            ),
            (
                r#"{"access_token":"x","expires_at":"hunter2"}"#,
                "has a expires_at that is no RFC 3339 time",
            ),
        ] {
            assert_eq!(
                decode(StoredFormat::Session, &Secret::new(text)).err().as_deref(),
                Some(reason)
            );
        }
    }

    #[test]
    fn of_two_sessions_the_one_issued_last_counts_whatever_our_clock_said() {
        let newer = r#"{"access_token":"eyJhbGciOiJIUzI1NiJ9.eyJpYXQiOjE3MDAwMDAwMDF9.c2ln","refresh_token":"r2",
            "expires_at":"2020-01-01T00:00:00Z","logged_in_at":"2020-01-01T00:00:00Z"}"#;
        for order in [[FROM_MY, newer], [newer, FROM_MY]] {
            let mut loaded = LoadedSessions::default();
            for (text, source) in order.iter().zip([Source::Keyring, Source::File]) {
                loaded.add(StoredSession { session: read(text), source });
            }
            assert!(
                loaded.newest.unwrap().session == read(newer)
                    && loaded.older.unwrap().session == read(FROM_MY)
            );
        }
    }

    #[test]
    fn a_bare_key_is_one_line() {
        let key = decode(StoredFormat::BareKey, &Secret::new("mic_1\n")).unwrap().unwrap();
        assert!(
            key.access_token == Secret::new("mic_1")
                && encode(StoredFormat::BareKey, &key) == Secret::new("mic_1\n")
        );
        assert!(decode(StoredFormat::BareKey, &Secret::new(" \n")).unwrap().is_none());
        assert!(decode(StoredFormat::BareKey, &Secret::new("mic_1\nmic_2\n")).is_err());
    }
}
