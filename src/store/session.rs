//! A provider's session in the keyring and in the file: its encoding, and the choice between two sessions.
//!
//! The JSON is that of the `my` command line (`~/.my/credentials.json`). `my` rewrites the whole file and drops keys
//! that it does not know, so nothing else is stored in it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{CredentialStore, StoreResult, StoredText, Stores, left};
use crate::error::sanitize;
use crate::model::{
    IdToken, Kind, Outcome, Secret, Session, Source, StorageKey, StoreFailure, StoredFormat,
    Subject, Timestamp, Trail, Warning, json, jwt,
};

/// The reads of a file before it counts as broken: another program may be writing the file in place.
const MAX_READS: u32 = 8;

/// The delay between two reads: the other program has 70 ms for its write.
const READ_DELAY: Duration = Duration::from_millis(10);

#[derive(Clone, Debug, PartialEq)]
pub struct StoredSession {
    pub session: Session,
    pub source: Source,
}

/// The sessions of one account in both stores.
#[derive(Debug, Default)]
pub struct LoadedSessions {
    /// The session in force.
    pub newest: Option<StoredSession>,
    /// An older copy in the other store.
    pub older: Option<StoredSession>,
    pub trail: Trail,
    /// Whether the keyring has a session that was to be deleted.
    pub is_left: bool,
    /// A store that exists and could not be read.
    pub problem: Option<(Source, StoreFailure)>,
}

/// Reads both stores. If both have a session, the one whose token the service issued last is in force. Another program
/// may be writing the file: one that cannot be decoded is read again, for 70 ms at most.
pub fn load(stores: &Stores<'_>, key: &StorageKey) -> LoadedSessions {
    let mut loaded = LoadedSessions::default();
    for store in stores.in_order() {
        let source = store.source();
        if source == Source::Keyring && key.item.is_none() {
            continue;
        }
        let is_left = |session: &Session| {
            source == Source::Keyring && left::is_left(stores, key, session.logged_in_at)
        };
        let outcome = match read_with_warning(store, key) {
            Ok(Some((session, _))) if is_left(&session) => {
                loaded.is_left = true;
                Outcome::NoEntry
            }
            Ok(Some((session, warning))) => {
                loaded.trail.warnings.extend(warning);
                loaded.add(StoredSession { session, source });
                Outcome::Found
            }
            Ok(None) => Outcome::NoEntry,
            Err(failure) => {
                if !matches!(failure, StoreFailure::Off(_)) {
                    loaded.problem = Some((source, failure.clone()));
                }
                Outcome::Unavailable(failure)
            }
        };
        loaded.trail.add(Subject::Session(source), outcome);
    }
    loaded
}

impl LoadedSessions {
    fn add(&mut self, found: StoredSession) {
        match self.newest.take() {
            Some(other) if issued_at(&other.session) >= issued_at(&found.session) => {
                (self.newest, self.older) = (Some(other), Some(found));
            }
            other => (self.newest, self.older) = (Some(found), other),
        }
    }
}

/// By the service's clock if the token has an `iat`, then by this machine's.
pub fn issued_at(session: &Session) -> (i64, Timestamp) {
    let iat = jwt::claims(&session.access_token).iat;
    (iat.unwrap_or_else(|| session.received_at().unix()), session.last_refreshed_at)
}

pub fn read(store: &dyn CredentialStore, key: &StorageKey) -> StoreResult<Option<Session>> {
    Ok(read_with_warning(store, key)?.map(|(session, _)| session))
}

fn read_with_warning(
    store: &dyn CredentialStore,
    key: &StorageKey,
) -> StoreResult<Option<(Session, Option<Warning>)>> {
    let is_file = store.source() == Source::File;
    let (mut reads, mut repaired) = (1, None);
    loop {
        let Some(StoredText { text, warning }) = store.read(key)? else { return Ok(None) };
        repaired = repaired.or(warning);
        match decode(key, &text) {
            Ok(session) => return Ok(session.map(|session| (session, repaired))),
            Err(_) if is_file && reads < MAX_READS => {
                reads += 1;
                std::thread::sleep(READ_DELAY);
            }
            Err(reason) if is_file => {
                return Err(StoreFailure::Failed(format!("~/{} {reason}", key.file)));
            }
            Err(reason) => return Err(StoreFailure::Failed(format!("the entry {reason}"))),
        }
    }
}

/// Deletes the session of a store if its tokens are still those of `expected`; returns whether it did.
pub fn delete_if(
    store: &dyn CredentialStore,
    key: &StorageKey,
    expected: &Session,
) -> StoreResult<bool> {
    match read(store, key)? {
        Some(found) if found.has_tokens_of(expected) => store.delete(key),
        _ => Ok(false),
    }
}

/// `Record<Secret>` is read, `Record<&str>` is written: a `Secret` has no `Serialize`.
#[derive(Serialize, Deserialize)]
struct Record<Token> {
    access_token: Token,
    refresh_token: Option<Token>,
    expires_at: Option<String>,
    logged_in_at: Option<String>,
    last_refreshed_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<String>,
    /// Only in a format of this program.
    #[serde(skip_serializing_if = "Option::is_none")]
    id_token: Option<Token>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id_token_expires_at: Option<String>,
}

/// The session in a text; `None` for a blank bare key. The error repeats nothing of the text.
pub fn decode(key: &StorageKey, text: &Secret) -> Result<Option<Session>, String> {
    let text = text.expose_secret().trim();
    match key.format {
        StoredFormat::BareKey if text.is_empty() => Ok(None),
        StoredFormat::BareKey if text.contains(char::is_control) => {
            Err("has more than one line, or a control character".to_owned())
        }
        StoredFormat::BareKey => {
            Ok(Some(Session::api_token(Secret::new(text), None, Timestamp::ZERO)))
        }
        StoredFormat::Session if text.is_empty() => Err("is empty".to_owned()),
        StoredFormat::Session => decode_json(text, key.service.as_deref()).map(Some),
    }
}

fn decode_json(text: &str, service: Option<&str>) -> Result<Session, String> {
    let record: Record<Secret> =
        serde_json::from_str(text).map_err(|error| json::reason(&error))?;
    if let (Some(issued_by), Some(service)) = (&record.service, service)
        && issued_by != service
    {
        return Err(format!("was issued by {}, not by {service}", sanitize(issued_by)));
    }
    if record.access_token.is_empty() {
        return Err("has an empty access_token".to_owned());
    }
    // A control character would end a header, or a line of a protocol.
    if record.access_token.has_control_character()
        || record.refresh_token.as_ref().is_some_and(Secret::has_control_character)
    {
        return Err("has a token with a control character".to_owned());
    }
    let time = |name: &str, text: Option<String>| match text.as_deref() {
        None | Some("") => Ok(Timestamp::ZERO),
        Some(text) => Timestamp::parse(text)
            .ok_or_else(|| format!("has an invalid {name}: not an RFC 3339 time")),
    };
    let mut session = Session {
        access_token: record.access_token,
        refresh_token: record.refresh_token.filter(|token| !token.is_empty()),
        id_token: match record.id_token.filter(|token| service.is_some() && token.is_jwt()) {
            Some(token) => Some(IdToken {
                token,
                expires_at: time("id_token_expires_at", record.id_token_expires_at)?,
            }),
            None => None,
        },
        expires_at: time("expires_at", record.expires_at)?,
        logged_in_at: time("logged_in_at", record.logged_in_at)?,
        last_refreshed_at: time("last_refreshed_at", record.last_refreshed_at)?,
    };
    if session.expires_at == Timestamp::ZERO && session.kind() == Kind::ApiToken {
        session.expires_at = Timestamp::NEVER;
    }
    Ok(session)
}

pub fn encode(key: &StorageKey, session: &Session) -> Secret {
    let access_token = session.access_token.expose_secret();
    if key.format == StoredFormat::BareKey {
        return Secret::new(format!("{access_token}\n"));
    }
    let id_token = session.id_token.as_ref().filter(|_| key.service.is_some());
    let record = Record {
        access_token,
        refresh_token: Some(session.refresh_token.as_ref().map_or("", Secret::expose_secret)),
        expires_at: Some(session.expires_at.to_string()),
        logged_in_at: Some(session.logged_in_at.to_string()),
        last_refreshed_at: Some(session.last_refreshed_at.to_string()),
        service: key.service.as_deref().map(str::to_owned),
        id_token: id_token.map(|id| id.token.expose_secret()),
        id_token_expires_at: id_token.map(|id| id.expires_at.to_string()),
    };
    // Strings cannot fail to serialize.
    Secret::new(serde_json::to_string(&record).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::{
        CredentialStore, IdToken, LoadedSessions, Secret, Session, Source, StorageKey,
        StoreFailure, StoredSession, Timestamp, decode, encode,
    };
    use crate::model::{Kind, Provider};
    use crate::store::{PreparedWrite, StoredText};

    /// In the layout of the `my` command line: Go's order of keys, fractions, an offset, a zero time.
    const WRITTEN_BY_MY: &str = r#"{
  "access_token": "eyJhbGciOiJIUzI1NiJ9.eyJpYXQiOjE3MDAwMDAwMDB9.c2ln",
  "refresh_token": "r1",
  "expires_at": "2026-01-02T04:04:05.123456789+01:00",
  "logged_in_at": "2026-01-02T02:49:05Z",
  "last_refreshed_at": "0001-01-01T00:00:00Z"
}"#;

    fn read(text: &str) -> Session {
        decode(&Provider::MYCLI.key, &Secret::new(text)).unwrap().unwrap()
    }

    /// A file that another program writes in place: incomplete at first.
    struct PartlyWritten(std::cell::Cell<u32>);

    impl CredentialStore for PartlyWritten {
        fn source(&self) -> Source {
            Source::File
        }

        fn read(&self, _: &StorageKey) -> Result<Option<StoredText>, StoreFailure> {
            let parts = self.0.get();
            self.0.set(parts.saturating_sub(1));
            let text = if parts == 0 { WRITTEN_BY_MY } else { &WRITTEN_BY_MY[..parts as usize] };
            Ok(Some(StoredText { text: Secret::new(text), warning: None }))
        }

        fn prepare<'a>(
            &'a self,
            _: &'a StorageKey,
            _: usize,
        ) -> Result<PreparedWrite<'a>, StoreFailure> {
            unreachable!("it is only read")
        }

        fn location(&self, _: &StorageKey) -> Option<String> {
            unreachable!("it is only read")
        }

        fn check(&self, _: &StorageKey) -> Result<(), StoreFailure> {
            unreachable!("it is only read")
        }

        fn delete(&self, _: &StorageKey) -> Result<bool, StoreFailure> {
            unreachable!("it is only read")
        }
    }

    #[test]
    fn a_partly_written_file_is_read_again_before_it_is_broken() {
        let read_after =
            |parts: u32| super::read(&PartlyWritten(parts.into()), &Provider::MYCLI.key);
        for parts in [0, 1, super::MAX_READS - 1] {
            assert!(
                matches!(read_after(parts), Ok(Some(session)) if session == read(WRITTEN_BY_MY)),
                "{parts}"
            );
        }
        assert!(
            matches!(read_after(super::MAX_READS), Err(StoreFailure::Failed(_))),
            "then it counts as broken"
        );
    }

    #[test]
    fn sessions_round_trip_in_the_form_of_the_my_command_line() {
        let session = read(WRITTEN_BY_MY);
        assert_eq!(session.expires_at.to_string(), "2026-01-02T03:04:05.123456789Z");
        assert_eq!(session.last_refreshed_at, Timestamp::ZERO);
        let text = encode(&Provider::MYCLI.key, &session);
        assert!(text.expose_secret().contains(r#""last_refreshed_at":"0001-01-01T00:00:00Z""#));
        assert!(read(text.expose_secret()) == session);
    }

    #[test]
    fn an_id_token_is_stored_only_in_a_format_of_this_program() {
        let jwt = "eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJ4In0.c2ln";
        let id_token = IdToken { token: Secret::new(jwt), expires_at: Timestamp::from_unix(7) };
        let session = Session { id_token: Some(id_token), ..read(WRITTEN_BY_MY) };
        let shared = &Provider::MYCLI.key;
        assert!(!encode(shared, &session).expose_secret().contains("id_token"), "`my` reads it");
        let own = StorageKey { service: Some("https://login.acme.dev".into()), ..shared.clone() };
        let text = encode(&own, &session);
        assert!(decode(&own, &text).unwrap().unwrap() == session);
        assert_eq!(decode(shared, &text).unwrap().unwrap().id_token, None);
        for invalid in ["", "opaque", "eyJ\n"] {
            let text = format!("{{\"access_token\":\"a\",\"id_token\":{invalid:?}}}");
            assert_eq!(decode(&own, &Secret::new(text)).unwrap().unwrap().id_token, None);
        }
    }

    #[test]
    fn an_api_token_has_the_form_of_a_session_and_no_expiry() {
        let token = Session::api_token(Secret::new("myc_1"), None, Timestamp::from_unix(0));
        let text = encode(&Provider::MYCLI.key, &token);
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
    fn decoding_errors_contain_none_of_the_text() {
        for (text, reason) in [
            ("", "is empty"),
            ("hunter2", "is not JSON (line 1, column 1)"),
            (r#"{"access_token":"hunter2"#, "ends unexpectedly (line 1, column 24)"),
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
                "has an invalid expires_at: not an RFC 3339 time",
            ),
        ] {
            assert_eq!(
                decode(&Provider::MYCLI.key, &Secret::new(text)).err().as_deref(),
                Some(reason)
            );
        }
    }

    #[test]
    fn of_two_sessions_the_one_issued_last_is_in_force() {
        let newer = r#"{"access_token":"eyJhbGciOiJIUzI1NiJ9.eyJpYXQiOjE3MDAwMDAwMDF9.c2ln","refresh_token":"r2",
            "expires_at":"2020-01-01T00:00:00Z","logged_in_at":"2020-01-01T00:00:00Z"}"#;
        for order in [[WRITTEN_BY_MY, newer], [newer, WRITTEN_BY_MY]] {
            let mut loaded = LoadedSessions::default();
            for (text, source) in order.iter().zip([Source::Keyring, Source::File]) {
                loaded.add(StoredSession { session: read(text), source });
            }
            assert!(
                loaded.newest.unwrap().session == read(newer)
                    && loaded.older.unwrap().session == read(WRITTEN_BY_MY)
            );
        }
    }

    #[test]
    fn a_bare_key_is_one_line() {
        let key = decode(&Provider::MICROTICA.key, &Secret::new("mic_1\n")).unwrap().unwrap();
        assert!(
            key.access_token == Secret::new("mic_1")
                && encode(&Provider::MICROTICA.key, &key) == Secret::new("mic_1\n")
        );
        assert!(decode(&Provider::MICROTICA.key, &Secret::new(" \n")).unwrap().is_none());
        assert!(decode(&Provider::MICROTICA.key, &Secret::new("mic_1\nmic_2\n")).is_err());
    }
}
