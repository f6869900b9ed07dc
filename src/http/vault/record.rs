//! The fields of a record. Every value is a string: an audit log hashes strings, and writes everything else as it is.

use std::collections::BTreeMap;

use crate::error::sanitize;
use crate::model::{
    IdToken, Lease, Secret, Session, SharedPart, SharedRecord, SharedSession, Timestamp,
};

pub(super) type Fields = BTreeMap<String, Secret>;

/// A record of another format is not read: what this version does not know would be lost with the next write.
const FORMAT: &str = "1";

const LOGGED_OUT: &str = "logged_out";

/// A record for machines that may not refresh has neither a refresh token nor a lease.
pub(super) fn encode(record: &SharedRecord, part: SharedPart, service: &str) -> Fields {
    let mut fields = Fields::new();
    let mut put = |name: &str, value: &str| {
        fields.insert(name.to_owned(), Secret::new(value));
    };
    put("format", FORMAT);
    match record {
        SharedRecord::LoggedOut { login_id } => {
            put("state", LOGGED_OUT);
            put("login_id", login_id);
        }
        SharedRecord::Session(shared) => {
            let SharedSession { login_id, session, lease, rejected } = &**shared;
            put("login_id", login_id);
            put("service", service);
            put("access_token", session.access_token.expose_secret());
            put("expires_at", &session.expires_at.to_string());
            put("logged_in_at", &session.logged_in_at.to_string());
            put("last_refreshed_at", &session.last_refreshed_at.to_string());
            if let Some(id) = &session.id_token {
                put("id_token", id.token.expose_secret());
                put("id_token_expires_at", &id.expires_at.to_string());
            }
            if let Some(reason) = rejected {
                put("rejected", reason);
            }
            if part == SharedPart::Refresh {
                if let Some(token) = &session.refresh_token {
                    put("refresh_token", token.expose_secret());
                }
                if let Some(Lease { holder, nonce }) = lease {
                    put("lease_holder", holder);
                    put("lease_nonce", nonce);
                }
            }
        }
    }
    fields
}

/// The error is a reason without any of the values.
pub(super) fn decode(mut fields: Fields, service: &str) -> Result<SharedRecord, String> {
    let mut take = |name: &str| fields.remove(name).filter(|value| !value.is_empty());
    let text = |value: Secret| value.expose_secret().to_owned();
    let required = |value: Option<Secret>, name: &str| value.ok_or(format!("has no {name}"));
    if take("format").is_none_or(|format| format.expose_secret() != FORMAT) {
        return Err("has another format than this version writes".to_owned());
    }
    let login_id = text(required(take("login_id"), "login_id")?);
    if take("state").is_some_and(|state| state.expose_secret() == LOGGED_OUT) {
        return Ok(SharedRecord::LoggedOut { login_id });
    }
    let issued_by = text(required(take("service"), "service")?);
    if issued_by != service {
        return Err(format!("was issued by {}, not by {service}", sanitize(&issued_by)));
    }
    let mut token = |name: &str| match take(name) {
        Some(token) if token.has_control_character() => {
            Err("has a token with a control character".to_owned())
        }
        token => Ok(token),
    };
    let access_token = required(token("access_token")?, "access_token")?;
    let (refresh_token, id_token) = (token("refresh_token")?, token("id_token")?);
    let mut time = |name: &str| {
        let value = required(take(name), name)?;
        let invalid = || format!("has an invalid {name}: not an RFC 3339 time");
        Timestamp::parse(value.expose_secret()).ok_or_else(invalid)
    };
    let session = Session {
        access_token,
        refresh_token,
        expires_at: time("expires_at")?,
        logged_in_at: time("logged_in_at")?,
        last_refreshed_at: time("last_refreshed_at")?,
        id_token: match id_token {
            Some(token) => Some(IdToken { token, expires_at: time("id_token_expires_at")? }),
            None => None,
        },
    };
    let lease = match (take("lease_holder"), take("lease_nonce")) {
        (holder, Some(nonce)) => {
            let holder = holder.map(|holder| sanitize(holder.expose_secret())).unwrap_or_default();
            Some(Lease { holder, nonce: text(nonce) })
        }
        _ => None,
    };
    let rejected = take("rejected").map(|reason| sanitize(reason.expose_secret()));
    Ok(SharedRecord::Session(Box::new(SharedSession { login_id, session, lease, rejected })))
}

#[cfg(test)]
mod tests {
    use super::{Fields, decode, encode};
    use crate::model::{
        IdToken, Lease, Secret, Session, SharedPart, SharedRecord, SharedSession, Timestamp,
    };

    const SERVICE: &str = "https://login.acme.dev";

    fn session() -> SharedSession {
        let at = Timestamp::from_unix;
        SharedSession {
            login_id: "id-1".to_owned(),
            session: Session {
                access_token: Secret::new("a-1"),
                refresh_token: Some(Secret::new("r-1")),
                id_token: Some(IdToken { token: Secret::new("i-1"), expires_at: at(4) }),
                expires_at: at(3),
                logged_in_at: at(1),
                last_refreshed_at: at(2),
            },
            lease: Some(Lease { holder: "host".to_owned(), nonce: "n-1".to_owned() }),
            rejected: Some("invalid_grant".to_owned()),
        }
    }

    #[test]
    fn records_round_trip_as_strings() {
        let logged_out = SharedRecord::LoggedOut { login_id: "id-1".to_owned() };
        let plain = SharedSession { lease: None, rejected: None, ..session() };
        for record in [session(), plain].map(|it| SharedRecord::Session(Box::new(it))) {
            let fields = encode(&record, SharedPart::Refresh, SERVICE);
            assert_eq!(decode(fields, SERVICE), Ok(record));
        }
        let fields = encode(&logged_out, SharedPart::Access, SERVICE);
        assert_eq!(decode(fields, SERVICE), Ok(logged_out));
    }

    #[test]
    fn a_record_for_readers_has_no_refresh_token() {
        let record = SharedRecord::Session(Box::new(session()));
        let fields = encode(&record, SharedPart::Access, SERVICE);
        assert!(!format!("{:?}", fields.keys()).contains("refresh_token"), "{fields:?}");
        let Ok(SharedRecord::Session(read)) = decode(fields, SERVICE) else { panic!() };
        assert_eq!((read.session.refresh_token, read.lease), (None, None));
    }

    #[test]
    fn a_record_that_is_not_ours_is_not_read() {
        let record = SharedRecord::Session(Box::new(session()));
        let changed = |name: &str, value: &str| {
            let mut fields = encode(&record, SharedPart::Refresh, SERVICE);
            fields.insert(name.to_owned(), Secret::new(value));
            decode(fields, SERVICE).unwrap_err()
        };
        for (name, value, reason) in [
            ("format", "2", "has another format than this version writes"),
            (
                "service",
                "https://evil.dev",
                "was issued by https://evil.dev, not by https://login.acme.dev",
            ),
            ("access_token", "", "has no access_token"),
            ("access_token", "hunter2\n", "has a token with a control character"),
            ("refresh_token", "hunter2\r", "has a token with a control character"),
            ("expires_at", "hunter2", "has an invalid expires_at: not an RFC 3339 time"),
            ("login_id", "", "has no login_id"),
        ] {
            assert_eq!(changed(name, value), reason);
        }
        assert!(decode(Fields::new(), SERVICE).is_err());
    }
}
