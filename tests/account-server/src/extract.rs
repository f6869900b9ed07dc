//! What handlers take out of a request, refused in the service's own words. Never reads a body over the limit.

use std::net::IpAddr;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;

use crate::refusal::Refusal;

const BODY_LIMIT: usize = 256 * 1024;
/// How much of a refused body is still read, so that its sender comes to read the answer.
const DISCARD_LIMIT: usize = 16 * 1024 * 1024;

/// Rejects a body over the limit, for every client and request.
pub(crate) async fn limit_body(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    match read_body(body).await {
        Ok(bytes) => next.run(Request::from_parts(parts, bytes.into())).await,
        Err(refusal) => refusal.into_response(),
    }
}

async fn read_body(body: Body) -> Result<Bytes, Refusal> {
    let expected = body.size_hint().lower();
    let mut kept = Vec::with_capacity(BODY_LIMIT.min(usize::try_from(expected).unwrap_or(0)));
    let mut read = 0;
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| Refusal::InvalidRequest("the body was cut off"))?;
        read += chunk.len();
        if read <= BODY_LIMIT {
            kept.extend_from_slice(&chunk);
        } else if read > DISCARD_LIMIT {
            break;
        }
    }
    if read > BODY_LIMIT {
        return Err(Refusal::PayloadTooLarge);
    }
    Ok(kept.into())
}

/// The body as JSON, of whatever content type it is called.
pub(crate) struct Sent<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Sent<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refusal> {
        let bytes = read_body(request.into_body()).await?;
        let sent = serde_json::from_slice(&bytes);
        sent.map(Self)
            .map_err(|_| Refusal::InvalidRequest("the body is not the JSON that is asked for"))
    }
}

/// The variable part of a path.
pub(crate) struct Named(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let Path(name) = Path::from_request_parts(parts, state).await?;
        Ok(Self(name))
    }
}

/// Two variable parts of a path.
pub(crate) struct NamedIn(pub(crate) String, pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for NamedIn {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let Path((whole, part)) = Path::from_request_parts(parts, state).await?;
        Ok(Self(whole, part))
    }
}

/// The query.
pub(crate) struct Asked<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let Query(asked) = Query::from_request_parts(parts, state).await?;
        Ok(Self(asked))
    }
}

/// Where a request comes from; put there by the connection.
#[derive(Clone, Copy)]
pub(crate) struct ClientAddress(pub(crate) IpAddr);

/// The program and the device that a request comes from, as they call themselves.
#[derive(Clone)]
pub(crate) struct Device {
    pub(crate) user_agent: Option<String>,
    pub(crate) address: Option<String>,
    pub(crate) id: Option<String>,
    pub(crate) name: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for Device {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let address = parts.extensions.get::<ClientAddress>();
        Ok(Self {
            user_agent: word(&parts.headers, header::USER_AGENT.as_str()),
            address: address.map(|address| address.0.to_string()),
            id: word(&parts.headers, "x-device-id"),
            name: word(&parts.headers, "x-device-name"),
        })
    }
}

/// A header's value, at most 200 characters of it; nothing if it is empty or not text. The client chooses it,
/// and it is shown to somebody who has to trust what is around it: so no character in it can turn that round.
fn word(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = std::str::from_utf8(headers.get(name)?.as_bytes()).ok()?.trim();
    let shown = value.chars().filter(|character| !is_unseen(*character));
    let value: String = shown.take(200).collect();
    (!value.is_empty()).then_some(value)
}

/// Control characters, those that change the direction of writing, and those that take no room.
pub(crate) fn is_unseen(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_device_is_called_what_can_be_seen() {
        let name = |bytes: &[u8]| {
            let value = HeaderValue::from_bytes(bytes).unwrap();
            word(&HeaderMap::from_iter([(header::HOST, value)]), "host")
        };
        assert_eq!(name("Adas Büro".as_bytes()).as_deref(), Some("Adas Büro"));
        assert_eq!(name("safe\u{202e}gnp.exe".as_bytes()).as_deref(), Some("safegnp.exe"));
        assert_eq!(name("\u{200b}".as_bytes()), None, "what takes no room is no name");
        assert_eq!(name(b"\xff"), None);
        assert_eq!(name("ä".repeat(300).as_bytes()).map(|name| name.chars().count()), Some(200));
    }
}
