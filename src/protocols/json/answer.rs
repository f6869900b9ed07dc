//! The responses, each on one line with the version first.

use std::collections::BTreeMap;

use serde::Serialize;

use super::super::ALL;
use super::{Json, Protocol as _, VERSION};
use crate::error::Error;
use crate::model::{Kind, ListEntry, Resolved, Response, Source, StoredAt, Timestamp, json};

#[derive(Serialize)]
struct Versioned<'a> {
    version: u64,
    #[serde(flatten)]
    answer: Message<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Message<'a> {
    Credential(Box<Credential<'a>>),
    Stored(&'a StoredAt),
    Erased { erased: bool },
    List { credentials: &'a [ListEntry] },
    Capabilities(Supported<'a>),
    Failure { error: Failure<'a> },
    Nothing {},
}

impl Message<'_> {
    fn into_line(self) -> String {
        json::line(&Versioned { version: VERSION, answer: self })
    }
}

pub(super) fn line(response: &Response) -> String {
    let answer = match response {
        Response::Found(found) => return credential(found),
        Response::Stored(stored) => Message::Stored(stored),
        Response::Erased(erased) => Message::Erased { erased: *erased },
        Response::Listed(entries, _) => Message::List { credentials: entries },
        Response::Capabilities(stores) => Message::Capabilities(Supported::new(stores)),
        Response::Nothing => Message::Nothing {},
    };
    answer.into_line()
}

/// The response for an error.
pub fn failure(error: &Error) -> String {
    let (code, message, hint) = (error.code.name(), error.one_line(), error.hint.as_deref());
    Message::Failure { error: Failure { code, message, hint } }.into_line()
}

pub(super) fn credential(found: &Resolved) -> String {
    let credential = &found.credential;
    let header = credential.header.as_ref();
    let header = header.map(|header| (&*header.name, header.value(&credential.secret)));
    let headers = header.as_ref().map(|(name, value)| [(*name, [value.expose_secret()])].into());
    let answer = Credential {
        provider: credential.provider.as_deref(),
        account: credential.account.as_deref(),
        kind: credential.kind,
        username: &credential.username,
        secret: credential.secret.expose_secret(),
        headers,
        expires_at: credential.expires_at,
        source: found.source,
    };
    Message::Credential(Box::new(answer)).into_line()
}

#[derive(Serialize)]
struct Failure<'a> {
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
    kind: Kind,
    username: &'a str,
    secret: &'a str,
    /// `{"Authorization":["Bearer …"]}`: a list, since HTTP allows a repeated header.
    #[serde(skip_serializing_if = "Option::is_none")]
    headers: Option<BTreeMap<&'a str, [&'a str; 1]>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
    source: Source,
}

#[derive(Serialize)]
struct Supported<'a> {
    versions: [u64; 1],
    verbs: &'a [&'a str],
    adapters: Vec<&'a str>,
    stores: Vec<Store<'a>>,
}

#[derive(Serialize)]
struct Store<'a> {
    name: Source,
    available: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

impl<'a> Supported<'a> {
    fn new(stores: &'a [(Source, Option<String>)]) -> Self {
        let stores = stores.iter().map(|(name, reason)| Store {
            name: *name,
            available: reason.is_none(),
            reason: reason.as_deref(),
        });
        Self {
            versions: [VERSION],
            verbs: Json::OPERATIONS,
            adapters: ALL.iter().map(|tool| tool.name).collect(),
            stores: stores.collect(),
        }
    }
}
