//! Faults, queued up for a path and used up in order. Touches no path that no fault was asked for.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::convert::Infallible;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::connection::HangUp;
use crate::extract::Sent;
use crate::refusal::Refusal;
use crate::service::Shared;

/// What goes wrong, once.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum Fault {
    /// The request waits this long before the service looks at it.
    Delay {
        /// How long.
        delay_ms: u64,
    },
    /// The service does nothing and answers this.
    Answer {
        /// The status.
        status: u16,
        /// The body.
        #[serde(default)]
        body: String,
        /// The headers.
        #[serde(default)]
        headers: BTreeMap<String, String>,
    },
    /// The service does what it is asked; its answer is announced in full and cut off after so many bytes.
    CutBody {
        /// How many bytes are sent.
        cut_body_after: usize,
    },
    /// The service does what it is asked, and the connection is closed without an answer.
    CloseAfterCommit {
        /// Always true.
        close_after_commit: bool,
    },
    /// The service does what it is asked; its answer comes byte by byte.
    SlowBytes {
        /// How long before each byte.
        slow_bytes_ms: u64,
    },
    /// The service does what it is asked, and answers 200 with this body instead.
    ReplaceBody {
        /// The body.
        replace_body: String,
    },
}

/// The faults to come.
#[derive(Default)]
pub(crate) struct Faults {
    queues: Mutex<HashMap<String, VecDeque<Fault>>>,
}

impl Faults {
    pub(crate) fn queue(&self, path: &str, times: usize, fault: Fault) {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let queue = queues.entry(path.to_owned()).or_default();
        queue.extend(std::iter::repeat_n(fault, times));
    }

    fn take(&self, path: &str) -> Option<Fault> {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        queues.get_mut(path)?.pop_front()
    }
}

#[derive(Deserialize)]
pub(crate) struct Queued {
    path: String,
    #[serde(default = "once")]
    times: usize,
    fault: Fault,
}

fn once() -> usize {
    1
}

pub(crate) async fn queue(
    State(service): State<Shared>,
    Sent(Queued { path, times, fault }): Sent<Queued>,
) -> Result<Json<Value>, Refusal> {
    const MOST: usize = 10_000;
    if times > MOST {
        return Err(Refusal::InvalidRequest("a fault happens 10000 times at most"));
    }
    service.controls.faults.queue(&path, times, fault);
    Ok(Json(json!({"queued": times})))
}

/// Lets the next fault of the path happen to the request.
pub(crate) async fn inflict(
    State(service): State<Shared>,
    request: Request,
    next: Next,
) -> Response {
    let fault = service.controls.faults.take(request.uri().path());
    match fault {
        None => next.run(request).await,
        Some(Fault::Delay { delay_ms }) => {
            sleep(Duration::from_millis(delay_ms)).await;
            next.run(request).await
        }
        Some(Fault::Answer { status, body, headers }) => answer(status, body, &headers),
        Some(fault) => spoil(&fault, next.run(request).await).await,
    }
}

fn answer(status: u16, body: String, headers: &BTreeMap<String, String>) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    let mut response = (status, body).into_response();
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// Spoils an answer on its way.
async fn spoil(fault: &Fault, response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let Ok(bytes) = to_bytes(body, usize::MAX).await else {
        return Refusal::Internal.into_response();
    };
    parts.headers.remove(header::CONTENT_LENGTH);
    let body = match fault {
        Fault::CutBody { cut_body_after } => {
            parts.headers.insert(header::CONTENT_LENGTH, bytes.len().into());
            cut(&bytes, *cut_body_after)
        }
        Fault::SlowBytes { slow_bytes_ms } => {
            parts.headers.insert(header::CONTENT_LENGTH, bytes.len().into());
            slow(bytes, Duration::from_millis(*slow_bytes_ms))
        }
        Fault::ReplaceBody { replace_body } => {
            parts.status = StatusCode::OK;
            Body::from(replace_body.clone())
        }
        Fault::CloseAfterCommit { .. } | Fault::Delay { .. } | Fault::Answer { .. } => {
            parts.extensions.insert(HangUp);
            Body::empty()
        }
    };
    Response::from_parts(parts, body)
}

/// The first bytes, and then an error, upon which the connection is closed. The pause lets the bytes go out before.
fn cut(bytes: &Bytes, after: usize) -> Body {
    const PAUSE: Duration = Duration::from_millis(10);
    let sent = bytes.slice(..after.min(bytes.len()));
    let broken = async {
        sleep(PAUSE).await;
        Err(io::Error::from(io::ErrorKind::ConnectionReset))
    };
    Body::from_stream(stream::once(async { Ok(sent) }).chain(stream::once(broken)))
}

fn slow(bytes: Bytes, pause: Duration) -> Body {
    let bytes = stream::iter(bytes).then(move |byte| async move {
        sleep(pause).await;
        Ok::<_, Infallible>(Bytes::from(vec![byte]))
    });
    Body::from_stream(bytes)
}
