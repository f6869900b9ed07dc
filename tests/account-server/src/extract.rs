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

/// Refuses a body over the limit, whoever sends it and whatever for.
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
        sent.map(Self).map_err(|_| Refusal::InvalidRequest("the body is not the JSON that is asked for"))
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

/// A header's value, at most 200 characters of it; nothing where it is empty or not text.
fn word(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = headers.get(name)?.to_str().ok()?.trim();
    (!value.is_empty()).then(|| value.chars().take(200).collect())
}
