//! The response or the error that a transcript has for `encode`.

use my_credential_helper::error::{Error, ErrorCode, Result};
use my_credential_helper::model::{
    Attempt, Credential, Header, Kind, ListEntry, Operation, Outcome, Resolved, Response, Secret,
    Source, StoredAt, Subject, Target, Timestamp, Warning,
};
use serde::Deserialize;

use super::format::Exchange;
use super::values::Values;

/// A response as a transcript has it.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Described {
    /// The session of the file.
    Session,
    /// The session that replaced it.
    RefreshedSession,
    Found(Box<Found>),
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
struct Found {
    provider: Option<String>,
    kind: String,
    username: String,
    secret: String,
    /// The header's name, where it is not `Authorization: Bearer`.
    header: Option<String>,
    /// The scheme in `Authorization`, of a stored credential that is not a password.
    scheme: Option<String>,
    #[serde(default)]
    prefixes: Vec<String>,
    expires_at: Option<String>,
    refresh_token: Option<String>,
    source: String,
    #[serde(default)]
    tried: Vec<String>,
    #[serde(default)]
    warnings: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    url: Option<String>,
    provider: Option<String>,
    username: String,
    tool: Option<String>,
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

/// The result of an operation; `None` where the transcript has none for it.
pub(super) fn result(
    operation: &Operation,
    exchange: &Exchange,
    values: &Values,
) -> Option<Result<Response>> {
    let described = exchange.response.as_ref().map(|response| values.read(response));
    if matches!(operation, Operation::Nothing) {
        return described.is_none().then_some(Ok(Response::Nothing));
    }
    Some(Ok(match described? {
        Described::Nothing => Response::Nothing,
        Described::Error(failure) => return Some(Err(error(failure))),
        Described::Session => session(values, "${access_token}", "${expires_at}"),
        Described::RefreshedSession => {
            session(values, "${refreshed_token}", "${refreshed_expires_at}")
        }
        Described::Found(found) => Response::Found(Box::new(resolved(*found))),
        Described::Stored { stored_in, location } => {
            Response::Stored(StoredAt::new(source(&stored_in), location))
        }
        Described::Erased(erased) => Response::Erased(erased),
        Described::Listed(entries) => {
            Response::Listed(entries.into_iter().map(entry).collect(), Vec::new())
        }
        Described::Capabilities { keyring } => Response::Capabilities(vec![
            (Source::Environment, None),
            (Source::Keyring, Some(keyring)),
            (Source::File, None),
        ]),
    }))
}

fn session(values: &Values, secret: &str, expires_at: &str) -> Response {
    let credential = Credential {
        provider: Some("mycli".to_owned()),
        account: None,
        kind: Kind::Session,
        username: "token".to_owned(),
        secret: Secret::new(values.fill(secret)),
        header: Some(Header::BEARER),
        prefixes: Vec::new(),
        expires_at: Some(time(&values.fill(expires_at))),
        refresh_token: None,
    };
    Response::Found(Box::new(Resolved {
        credential,
        source: Source::File,
        attempts: Vec::new(),
        warnings: Vec::new(),
    }))
}

fn resolved(found: Found) -> Resolved {
    let header = match (found.header, found.scheme) {
        (Some(name), _) => Some(Header { name: name.into(), scheme: None }),
        (None, Some(scheme)) => Some(Header::authorization(scheme)),
        (None, None) => found.provider.is_some().then_some(Header::BEARER),
    };
    let prefix = |url: &String| Target::parse(url).expect("a URL");
    let credential = Credential {
        provider: found.provider,
        account: None,
        kind: kind(&found.kind),
        username: found.username,
        secret: Secret::new(found.secret),
        header,
        prefixes: found.prefixes.iter().map(prefix).collect(),
        expires_at: found.expires_at.as_deref().map(time),
        refresh_token: found.refresh_token.map(Secret::new),
    };
    Resolved {
        credential,
        source: source(&found.source),
        attempts: found.tried.iter().map(|text| attempt(text)).collect(),
        warnings: found.warnings.iter().map(|text| warning(text)).collect(),
    }
}

fn entry(entry: Entry) -> ListEntry {
    ListEntry {
        url: entry.url,
        provider: entry.provider,
        account: None,
        username: entry.username,
        tool: entry.tool,
        kind: kind(&entry.kind),
        source: source(&entry.source),
        expires_at: entry.expires_at.as_deref().map(time),
    }
}

fn error(Failure { code, message, tried, hint }: Failure) -> Error {
    let code = ErrorCode::from_name(&code).unwrap_or_else(|| panic!("no code `{code}`"));
    let line = |attempts: &[String]| (!attempts.is_empty()).then(|| attempts.join(", "));
    let withheld: Vec<_> =
        tried.iter().filter(|attempt| attempt.contains("(withheld")).cloned().collect();
    Error { code, message, tried: line(&tried), withheld: line(&withheld), hint }
}

fn kind(name: &str) -> Kind {
    let kinds = [Kind::Session, Kind::ApiToken, Kind::UrlCredential];
    kinds.into_iter().find(|kind| kind.name() == name).unwrap_or_else(|| panic!("no kind `{name}`"))
}

fn source(name: &str) -> Source {
    let sources = [Source::Environment, Source::Keyring, Source::File];
    let found = sources.into_iter().find(|source| source.name() == name);
    found.unwrap_or_else(|| panic!("no source `{name}`"))
}

fn time(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap_or_else(|| panic!("`{text}` is not a time"))
}

/// `file (no entry)`, in variants that print any text.
fn attempt(text: &str) -> Attempt {
    let parts = text.strip_suffix(')').and_then(|text| text.split_once(" ("));
    let (subject, outcome) = parts.unwrap_or_else(|| panic!("`{text}` is not an attempt"));
    Attempt::new(Subject::Variable(subject.into()), Outcome::Misconfigured(outcome.into()))
}

fn warning(text: &str) -> Warning {
    let parts = text.strip_prefix("the session with ");
    let parts = parts.and_then(|text| text.split_once(" could not be refreshed: "));
    let (provider, reason) = parts.unwrap_or_else(|| panic!("`{text}` is not a warning"));
    Warning::NotRefreshed { provider: provider.into(), reason: reason.into() }
}
