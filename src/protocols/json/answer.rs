//! The answers, each on one line with the version first.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Json, Protocol as _, VERSION};
use crate::error::Error;
use crate::model::{Capabilities, ListEntry, Resolved, Response, Timestamp, json};

#[derive(Serialize)]
struct Versioned<T> {
    version: u64,
    #[serde(flatten)]
    fields: T,
}

fn versioned(fields: impl Serialize) -> String {
    json::line(&Versioned { version: VERSION, fields })
}

pub(super) fn line(response: &Response) -> String {
    match response {
        Response::Found(found) => credential(found),
        Response::Stored(stored) => {
            versioned(Stored { stored_in: stored.source.name(), location: &stored.location })
        }
        Response::Erased(erased) => versioned(Erased { erased: *erased }),
        Response::Listed(entries) => {
            versioned(List { credentials: entries.iter().map(Entry::from).collect() })
        }
        Response::Capabilities(capabilities) => versioned(Supported::from(capabilities)),
        Response::Nothing => versioned(Nothing {}),
    }
}

/// The answer for an error.
pub fn failure(error: &Error) -> String {
    let (code, message, hint) = (error.code.name(), error.one_line(), error.hint.as_deref());
    versioned(Failure { error: Fault { code, message, hint } })
}

pub(super) fn credential(found: &Resolved) -> String {
    let credential = &found.credential;
    let header = credential.header.as_ref();
    let header = header.map(|header| (&*header.name, header.value(&credential.secret)));
    versioned(Credential {
        provider: credential.provider.as_deref(),
        account: credential.account.as_deref(),
        kind: credential.kind.name(),
        username: &credential.username,
        secret: credential.secret.expose_secret(),
        headers: header.as_ref().map(|(name, value)| [(*name, [value.expose_secret()])].into()),
        expires_at: credential.expires_at.map(Timestamp::to_whole_seconds),
        source: found.source.name(),
    })
}

#[derive(Serialize)]
struct Nothing {}

#[derive(Serialize)]
struct Stored<'a> {
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
    /// `{"Authorization":["Bearer …"]}`: a list, since HTTP allows a repeated header.
    #[serde(skip_serializing_if = "Option::is_none")]
    headers: Option<BTreeMap<&'a str, [&'a str; 1]>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    source: &'a str,
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

impl<'a> From<&'a ListEntry> for Entry<'a> {
    fn from(entry: &'a ListEntry) -> Self {
        Self {
            url: entry.url.as_deref(),
            provider: entry.provider.as_deref(),
            account: entry.account.as_deref(),
            username: &entry.username,
            kind: entry.kind.name(),
            source: entry.source.name(),
            expires_at: entry.expires_at.map(Timestamp::to_whole_seconds),
        }
    }
}

#[derive(Serialize)]
struct Supported<'a> {
    versions: [u64; 1],
    verbs: &'a [&'a str],
    adapters: &'a [&'a str],
    stores: Vec<Store<'a>>,
}

#[derive(Serialize)]
struct Store<'a> {
    name: &'a str,
    available: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

impl<'a> From<&'a Capabilities> for Supported<'a> {
    fn from(capabilities: &'a Capabilities) -> Self {
        let stores = capabilities.stores.iter().map(|(source, reason)| Store {
            name: source.name(),
            available: reason.is_none(),
            reason: reason.as_deref(),
        });
        Self {
            versions: [VERSION],
            verbs: Json::OPERATIONS,
            adapters: &capabilities.protocols,
            stores: stores.collect(),
        }
    }
}
