//! The request: one JSON object. Unknown fields are ignored.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::VERSION;
use crate::error::{Error, ErrorCode, Result};
use crate::model::{CredentialRequest, Secret, Target, Timestamp, json};

#[derive(Default, Deserialize)]
pub(super) struct Body {
    version: Option<Value>,
    pub(super) url: Option<String>,
    pub(super) provider: Option<String>,
    account: Option<String>,
    username: Option<String>,
    secret: Option<Secret>,
    refresh_token: Option<Secret>,
    expires_at: Option<String>,
    min_validity_seconds: Option<u64>,
    /// The target under the name of another protocol: if it were ignored, the request would be for the default token.
    uri: Option<IgnoredAny>,
    #[serde(
        alias = "hostname",
        alias = "server",
        alias = "server_url",
        alias = "serverURL",
        alias = "ServerURL",
        alias = "registry",
        alias = "service",
        alias = "target"
    )]
    host: Option<IgnoredAny>,
}

impl Body {
    pub(super) fn parse(input: &[u8]) -> Result<Self> {
        let text = input.trim_ascii();
        match text.first() {
            None => return Ok(Self::default()),
            Some(b'{') => {}
            Some(_) => return Err(Error::invalid("the request is not a JSON object")),
        }
        let body: Self = json::parse_request(text).map_err(|error| version_error(error, text))?;
        check_version(body.version.as_ref())?;
        // Bazel also calls its helper with `get`, and would send the default provider's token to any host.
        if body.host.is_some() && body.url.is_none() {
            return Err(Error::invalid("the request must name its target in `url`")
                .with_hint("write the whole URL: {\"url\":\"https://host/path\"}"));
        }
        if body.uri.is_some() && body.url.is_none() {
            return Err(Error::invalid(
                "`uri` belongs to another protocol; the target is named by `url`",
            )
            .with_hint("configure Bazel to run `bazel-credential-my`"));
        }
        Ok(body)
    }

    /// The request without its target; the fields precede the arguments.
    pub(super) fn request(&self, arguments: CredentialRequest) -> Result<CredentialRequest> {
        let checked = |name, field: &Option<String>| -> Result<Option<String>> {
            let has_control = |text: &String| text.contains(char::is_control);
            check(name, field.as_ref().is_some_and(has_control)).map(|()| field.clone())
        };
        let seconds = self.min_validity_seconds.unwrap_or(0);
        let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
        Ok(CredentialRequest {
            provider: checked("provider", &self.provider)?.or(arguments.provider),
            account: checked("account", &self.account)?.or(arguments.account),
            username: checked("username", &self.username)?.or(arguments.username),
            min_validity: time::Duration::seconds(seconds),
            ..arguments
        })
    }

    pub(super) fn request_with_target(
        &self,
        arguments: CredentialRequest,
    ) -> Result<CredentialRequest> {
        let target = self.url.as_deref().map(Target::parse).transpose()?;
        let request = self.request(arguments)?;
        Ok(CredentialRequest { target: target.or(request.target), ..request })
    }

    pub(super) fn secret(&self) -> Result<Option<Secret>> {
        checked_secret("secret", self.secret.as_ref())
    }

    pub(super) fn refresh_token(&self) -> Result<Option<Secret>> {
        checked_secret("refresh_token", self.refresh_token.as_ref())
    }

    pub(super) fn expires_at(&self) -> Result<Option<Timestamp>> {
        let invalid = || Error::invalid("`expires_at` is not an RFC 3339 time");
        let parse = |text| Timestamp::parse(text).ok_or_else(invalid);
        self.expires_at.as_deref().map(parse).transpose()
    }
}

fn check_version(version: Option<&Value>) -> Result<()> {
    if version.is_none_or(|version| version.as_u64() == Some(VERSION)) {
        return Ok(());
    }
    Err(Error::new(
        ErrorCode::UnsupportedVersion,
        "this program supports only version 1 of the protocol",
    ))
}

/// Another version may have fields of other types: if the version is another one, that is the error.
fn version_error(error: Error, text: &[u8]) -> Error {
    #[derive(Deserialize)]
    struct Versioned {
        version: Option<Value>,
    }
    let version = json::parse_request(text).ok().and_then(|Versioned { version }| version);
    check_version(version.as_ref()).err().unwrap_or(error)
}

fn checked_secret(name: &str, secret: Option<&Secret>) -> Result<Option<Secret>> {
    check(name, secret.is_some_and(Secret::has_control_character))?;
    Ok(secret.cloned())
}

/// A field becomes a header, or a line of another protocol.
fn check(name: &str, has_control_character: bool) -> Result<()> {
    if has_control_character {
        return Err(Error::invalid(format!("`{name}` contains a control character")));
    }
    Ok(())
}
