//! What `encode` is given: the reply or the error that a transcript describes.

use my_credential_helper::error::{Attempt, Error, ErrorCode, Result};
use my_credential_helper::model::credential::Kind;
use my_credential_helper::model::origin::Target;
use my_credential_helper::model::provider::Header;
use my_credential_helper::model::request::{
    Capabilities, ListEntry, Operation, Resolved, Response, Source, StoredAt,
};
use my_credential_helper::model::secret::Secret;
use my_credential_helper::model::timestamp::Timestamp;
use serde::Deserialize;

use super::format::Exchange;
use super::values::Values;

/// A reply as a transcript has it.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Told {
    /// The session of the file; and the one that replaced it.
    Session,
    RefreshedSession,
    Found(Box<Credential>),
    Stored {
        stored_in: String,
        location: String,
    },
    Erased(bool),
    Listed(Vec<Entry>),
    Capabilities {
        keyring: String,
    },
    Nothing,
    Error(Failure),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Credential {
    provider: Option<String>,
    kind: String,
    username: String,
    secret: String,
    /// The header's name, where it is not `Authorization: Bearer`.
    header: Option<String>,
    /// The word before the secret in `Authorization`, of a login that is no password.
    scheme: Option<String>,
    /// Where it may go.
    #[serde(default)]
    places: Vec<String>,
    expires_at: Option<String>,
    refresh_token: Option<String>,
    source: String,
    #[serde(default)]
    tried: Vec<String>,
    #[serde(default)]
    notes: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    url: Option<String>,
    provider: Option<String>,
    username: String,
    kind: String,
    source: String,
    expires_at: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Failure {
    code: String,
    message: String,
    #[serde(default)]
    tried: Vec<String>,
    hint: Option<String>,
}

/// What `encode` is given: the transcript's reply, or what `decode` already knows.
pub(super) fn reply(
    decoded: Result<Operation>,
    exchange: &Exchange,
    values: &Values,
) -> Result<Result<Response>, String> {
    let told = exchange.reply.as_ref().map(|reply| values.read(reply));
    Ok(Ok(match (decoded, told) {
        (Err(error), None) => return Ok(Err(error)),
        (Ok(Operation::Nothing), None) | (Ok(_), Some(Told::Nothing)) => Response::Nothing,
        (Ok(_), None) => return Err("the transcript has no `reply`".to_owned()),
        (Err(_) | Ok(Operation::Nothing), Some(_)) => {
            return Err("there is nothing to reply to".to_owned());
        }
        (Ok(_), Some(Told::Error(failure))) => return Ok(Err(error(failure))),
        (Ok(_), Some(Told::Session)) => session(values, "${access_token}", "${expires_at}"),
        (Ok(_), Some(Told::RefreshedSession)) => {
            session(values, "${refreshed_token}", "${refreshed_expires_at}")
        }
        (Ok(_), Some(Told::Found(credential))) => Response::Found(Box::new(found(*credential))),
        (Ok(_), Some(Told::Stored { stored_in, location })) => {
            Response::Stored(StoredAt { source: source(&stored_in), location })
        }
        (Ok(_), Some(Told::Erased(erased))) => Response::Erased(erased),
        (Ok(_), Some(Told::Listed(entries))) => {
            Response::Listed(entries.into_iter().map(listed).collect())
        }
        (Ok(_), Some(Told::Capabilities { keyring })) => Response::Capabilities(Capabilities {
            stores: vec![
                (Source::Environment, None),
                (Source::Keyring, Some(keyring)),
                (Source::File, None),
            ],
        }),
    }))
}

fn session(values: &Values, secret: &str, expires_at: &str) -> Response {
    Response::Found(Box::new(Resolved {
        provider: Some("mycli".to_owned()),
        account: None,
        kind: Kind::Session,
        username: "token".to_owned(),
        secret: Secret::new(values.fill(secret)),
        header: Some(Header::BEARER),
        places: Vec::new(),
        expires_at: Some(time(&values.fill(expires_at))),
        refresh_token: None,
        source: Source::File,
        tried: Vec::new(),
        notes: Vec::new(),
    }))
}

fn found(credential: Credential) -> Resolved {
    let Credential {
        provider,
        kind,
        username,
        secret,
        header,
        scheme,
        places,
        expires_at,
        refresh_token,
        source: from,
        tried,
        notes,
    } = credential;
    let header = match header {
        Some(name) => Some(Header { name: name.into(), scheme: None }),
        None if scheme.is_some() => scheme.map(Header::authorization),
        None => provider.is_some().then_some(Header::BEARER),
    };
    Resolved {
        provider,
        account: None,
        kind: self::kind(&kind),
        username,
        secret: Secret::new(secret),
        header,
        places: places.iter().map(|url| Target::parse(url).expect("a place")).collect(),
        expires_at: expires_at.as_deref().map(time),
        refresh_token: refresh_token.map(Secret::new),
        source: source(&from),
        tried: attempts(&tried),
        notes,
    }
}

fn listed(entry: Entry) -> ListEntry {
    let Entry { url, provider, username, kind, source: from, expires_at } = entry;
    let expires_at = expires_at.as_deref().map(time);
    ListEntry {
        url,
        provider,
        account: None,
        username,
        kind: self::kind(&kind),
        source: source(&from),
        expires_at,
    }
}

fn error(failure: Failure) -> Error {
    let Failure { code, message, tried, hint } = failure;
    let code = ErrorCode::ALL
        .into_iter()
        .find(|known| known.name() == code)
        .unwrap_or_else(|| panic!("no code `{code}`"));
    Error { code, message, tried: attempts(&tried), hint }
}

fn kind(name: &str) -> Kind {
    let kinds = [Kind::Session, Kind::ApiToken, Kind::UrlCredential];
    kinds.into_iter().find(|kind| kind.name() == name).unwrap_or_else(|| panic!("no kind `{name}`"))
}

fn source(name: &str) -> Source {
    let sources = [Source::Environment, Source::Keyring, Source::File];
    sources
        .into_iter()
        .find(|source| source.name() == name)
        .unwrap_or_else(|| panic!("no source `{name}`"))
}

fn time(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap_or_else(|| panic!("`{text}` is no time"))
}

/// `file (no entry)`
fn attempts(tried: &[String]) -> Vec<Attempt> {
    let attempt = |text: &String| {
        let (place, outcome) = text.strip_suffix(')')?.split_once(" (")?;
        Some(Attempt::new(place, outcome))
    };
    tried
        .iter()
        .map(|text| attempt(text).unwrap_or_else(|| panic!("`{text}` is no attempt")))
        .collect()
}
