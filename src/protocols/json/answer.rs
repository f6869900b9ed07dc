//! The answers: each a shape of its own, written on one line with the version first.

use serde::{Serialize, Serializer};

use super::VERSION;
use crate::error::Error;
use crate::model::provider::Header;
use crate::model::request::{Capabilities, ListEntry, Resolved, Response};
use crate::model::secret::Secret;
use crate::model::timestamp::Timestamp;

#[derive(Serialize)]
struct Line<T> {
    version: u64,
    #[serde(flatten)]
    fields: T,
}

fn line(fields: impl Serialize) -> String {
    // Strings, numbers and booleans alone cannot fail to be written.
    serde_json::to_string(&Line { version: VERSION, fields }).unwrap_or_default() + "\n"
}

/// The line for a reply.
pub(super) fn reply(reply: &Response) -> String {
    match reply {
        Response::Found(found) => credential(found),
        Response::Stored(stored) => {
            line(StoredAt { stored_in: stored.source.name(), location: &stored.location })
        }
        Response::Erased(erased) => line(Erased { erased: *erased }),
        Response::Listed(listed) => {
            line(List { credentials: listed.iter().map(listed_fields).collect() })
        }
        Response::Capabilities(capabilities) => line(capabilities_fields(capabilities)),
        Response::Nothing => line(Nothing {}),
    }
}

/// The line for an error.
pub fn failure(error: &Error) -> String {
    line(Failure {
        error: Fault {
            code: error.code.name(),
            message: error.one_line(),
            hint: error.hint.as_deref(),
        },
    })
}

#[derive(Serialize)]
struct Nothing {}

#[derive(Serialize)]
struct StoredAt<'a> {
    stored_in: &'a str,
    location: &'a str,
}

#[derive(Serialize)]
struct Erased {
    erased: bool,
}

#[derive(Serialize)]
struct Failure<'a> {
    error: Fault<'a>,
}

#[derive(Serialize)]
struct Fault<'a> {
    code: &'a str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
}

#[derive(Serialize)]
struct Credential<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<&'a str>,
    kind: &'a str,
    username: &'a str,
    secret: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    headers: Option<Headers<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    source: &'a str,
}

/// The line for a credential.
pub(super) fn credential(found: &Resolved) -> String {
    line(Credential {
        provider: found.provider.as_deref(),
        account: found.account.as_deref(),
        kind: found.kind.name(),
        username: &found.username,
        secret: found.secret.expose_secret(),
        headers: found.header.as_ref().map(|header| Headers { header, secret: &found.secret }),
        expires_at: found.expires_at.map(Timestamp::to_whole_seconds),
        source: found.source.name(),
    })
}

/// `{"Authorization":["Bearer …"]}`: a list, since HTTP allows a header to be repeated.
struct Headers<'a> {
    header: &'a Header,
    secret: &'a Secret,
}

impl Serialize for Headers<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let value = self.header.value(self.secret);
        serializer.collect_map([(&self.header.name, [value.expose_secret()])])
    }
}

#[derive(Serialize)]
struct List<'a> {
    credentials: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<&'a str>,
    username: &'a str,
    kind: &'a str,
    source: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
}

fn listed_fields(listed: &ListEntry) -> Entry<'_> {
    let ListEntry { url, provider, account, username, kind, source, expires_at } = listed;
    Entry {
        url: url.as_deref(),
        provider: provider.as_deref(),
        account: account.as_deref(),
        username,
        kind: kind.name(),
        source: source.name(),
        expires_at: expires_at.map(Timestamp::to_whole_seconds),
    }
}

#[derive(Serialize)]
struct Abilities<'a> {
    versions: [u64; 1],
    verbs: &'a [&'a str],
    adapters: Vec<&'a str>,
    stores: Vec<Place<'a>>,
}

#[derive(Serialize)]
struct Place<'a> {
    name: &'a str,
    available: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

fn capabilities_fields(capabilities: &Capabilities) -> Abilities<'_> {
    let stores = capabilities.stores.iter().map(|(source, problem)| Place {
        name: source.name(),
        available: problem.is_none(),
        reason: problem.as_deref(),
    });
    Abilities {
        versions: [VERSION],
        verbs: super::TOOL.operations,
        adapters: crate::protocols::ALL.iter().map(|adapter| adapter.name).collect(),
        stores: stores.collect(),
    }
}
