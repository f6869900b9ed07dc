//! The request: one JSON object. Unknown fields are ignored.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;

use super::VERSION;
use crate::error::{Error, ErrorCode, Result};
use crate::model::json::reason;
use crate::model::origin::Target;
use crate::model::request::CredentialRequest;
use crate::model::secret::Secret;
use crate::model::timestamp::Timestamp;

/// A request as it is sent. Unknown fields are ignored.
#[derive(Default, Deserialize)]
pub(super) struct Body<'a> {
    version: Option<Value>,
    #[serde(borrow)]
    pub(super) url: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) provider: Option<Cow<'a, str>>,
    #[serde(borrow)]
    account: Option<Cow<'a, str>>,
    #[serde(borrow)]
    username: Option<Cow<'a, str>>,
    #[serde(borrow)]
    secret: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) refresh_token: Option<Cow<'a, str>>,
    #[serde(borrow)]
    expires_at: Option<Cow<'a, str>>,
    min_validity_seconds: Option<u64>,
    uri: Option<serde::de::IgnoredAny>,
}

impl<'a> Body<'a> {
    pub(super) fn read(input: &'a [u8]) -> Result<Self> {
        let text = input.trim_ascii();
        if text.is_empty() {
            return Ok(Self::default());
        }
        if text[0] != b'{' {
            return Err(Error::invalid("the request is no JSON object"));
        }
        // What follows the object is not ours to judge.
        let body = Self::deserialize(&mut serde_json::Deserializer::from_slice(text))
            .map_err(|error| unreadable(text, &error))?;
        if !is_spoken(body.version.as_ref()) {
            return Err(unsupported());
        }
        // Bazel calls its helper with `get`, too, and would send the default provider's token to whatever host it is.
        if body.uri.is_some() && body.url.is_none() {
            return Err(Error::invalid("`uri` is another protocol's; the place is named by `url`")
                .with_hint("give Bazel the link `bazel-credential-my`"));
        }
        Ok(body)
    }

    /// What is asked for, on top of what the arguments said.
    pub(super) fn ask(&self, arguments: CredentialRequest) -> Result<CredentialRequest> {
        let named = |name: &str, value: &Option<Cow<'_, str>>| match value {
            Some(text) if text.chars().any(char::is_control) => Err(unprintable(name)),
            other => Ok(other.as_ref().map(ToString::to_string)),
        };
        let target = self.url.as_deref().map(Target::parse).transpose()?;
        let seconds = self
            .min_validity_seconds
            .map_or(0, |seconds| i64::try_from(seconds).unwrap_or(i64::MAX));
        Ok(CredentialRequest {
            target: target.or(arguments.target),
            provider: named("provider", &self.provider)?.or(arguments.provider),
            account: named("account", &self.account)?.or(arguments.account),
            username: named("username", &self.username)?.or(arguments.username),
            min_validity: time::Duration::seconds(seconds),
            ..arguments
        })
    }

    pub(super) fn secret(&self) -> Result<Option<Secret>> {
        token("secret", self.secret.as_deref())
    }

    pub(super) fn expires_at(&self) -> Result<Option<Timestamp>> {
        let unreadable = || Error::invalid("`expires_at` is no RFC 3339 time");
        self.expires_at
            .as_deref()
            .map(|text| Timestamp::parse(text).ok_or_else(unreadable))
            .transpose()
    }
}

fn is_spoken(version: Option<&Value>) -> bool {
    version.is_none_or(|version| version.as_u64() == Some(VERSION))
}

fn unsupported() -> Error {
    Error::new(ErrorCode::UnsupportedVersion, "this program speaks version 1 of the protocol")
}

/// Another version may have fields of other types: then the version is what is wrong.
fn unreadable(text: &[u8], error: &serde_json::Error) -> Error {
    #[derive(Deserialize)]
    struct Versioned {
        version: Option<Value>,
    }
    match Versioned::deserialize(&mut serde_json::Deserializer::from_slice(text)) {
        Ok(Versioned { version }) if !is_spoken(version.as_ref()) => unsupported(),
        _ => Error::invalid(format!("the request {}", reason(error))),
    }
}

/// A secret that could go into a header or a line of another protocol.
pub(super) fn token(name: &str, text: Option<&str>) -> Result<Option<Secret>> {
    match text {
        Some(text) if text.chars().any(char::is_control) => Err(unprintable(name)),
        other => Ok(other.map(Secret::new)),
    }
}

fn unprintable(name: &str) -> Error {
    Error::invalid(format!("`{name}` contains a control character"))
}
