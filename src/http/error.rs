//! Why a request failed. `client.rs` has redacted every text. The errors of the HTTP library are not sources of these
//! errors: their texts have the whole URL, and are not redacted.

use serde::Deserialize;
use serde::de::IntoDeserializer as _;

use crate::error::{Error, ErrorCode};

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// The configuration does not allow the request.
    #[error("{}", .0.message)]
    NotSent(#[from] Error),
    /// No connection: the service has not received the request.
    #[error("{0}")]
    NotConnected(String),
    /// No response, or a part of one. The service may have carried out the request.
    #[error("{0}")]
    NoResponse(String),
    /// A response that cannot be decoded. The service may have carried out the request.
    #[error("{0}")]
    Malformed(String),
    #[error(transparent)]
    Service(#[from] ServiceError),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceError {
    pub status: u16,
    /// `UPPER_SNAKE`, of OAuth a registered code; empty where the response had none.
    pub code: String,
    pub message: String,
    /// In seconds.
    pub retry_after: Option<u64>,
}

pub type Result<T, E = HttpError> = std::result::Result<T, E>;

impl HttpError {
    /// The service's code, if it is one that the caller decides by.
    pub fn code<'a, C: Deserialize<'a>>(&'a self) -> Option<C> {
        let Self::Service(ServiceError { code, .. }) = self else { return None };
        parse_code(code)
    }

    pub fn status(&self) -> Option<u16> {
        if let Self::Service(error) = self { Some(error.status) } else { None }
    }

    pub fn retry_after(&self) -> Option<u64> {
        if let Self::Service(error) = self { error.retry_after } else { None }
    }

    /// Whether this is a decision of the service, and not a failure of the service or the network.
    pub fn is_decision(&self) -> bool {
        self.status().is_some_and(|status| status < 500)
    }

    /// Whether the service rejected the request, and will again.
    pub fn is_rejection(&self) -> bool {
        self.is_decision() && !self.is_temporary()
    }

    pub fn is_temporary(&self) -> bool {
        !matches!(self, Self::NotSent(_)) && !matches!(self.status(), Some(400..=428 | 430..=499))
    }
}

pub(super) fn parse_code<'a, C: Deserialize<'a>>(name: &'a str) -> Option<C> {
    let name: serde::de::value::StrDeserializer<'_, serde::de::value::Error> =
        name.into_deserializer();
    C::deserialize(name).ok()
}

impl std::fmt::Display for ServiceError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { status, code, message, retry_after } = self;
        match (code.as_str(), message.as_str()) {
            ("", "") => write!(f, "the service returned status {status}")?,
            ("", message) => write!(f, "{message} (status {status})")?,
            (code, "") => write!(f, "{code} (status {status})")?,
            (code, message) => write!(f, "{message} ({code})")?,
        }
        retry_after.map_or(Ok(()), |seconds| write!(f, "; retry after {seconds} s"))
    }
}

impl std::error::Error for ServiceError {}

/// A failed request as an error for people: "cannot `what` at `api_url`".
pub fn failed(api_url: &str, what: &str, error: &HttpError) -> Error {
    let code = match error {
        HttpError::NotSent(error) => error.code,
        error if error.is_temporary() => ErrorCode::TemporarilyUnavailable,
        _ => ErrorCode::Rejected,
    };
    Error::new(code, format!("cannot {what} at {api_url}: {error}"))
}

/// The codes that may be shown: any other text may be a part of the request. RFC 6749 (4.1.2.1, 5.2), 6750, 7009, 8628,
/// 8707, 9396, 9449, 9470, OpenID Connect and CIBA as in the registry "OAuth Extensions Error" of IANA; the last two
/// lines are GitHub's own
/// (<https://docs.github.com/en/apps/oauth-apps/maintaining-oauth-apps/troubleshooting-oauth-app-access-token-request-errors>).
const REGISTERED: &str = "
    invalid_request invalid_client invalid_grant unauthorized_client unsupported_grant_type invalid_scope access_denied
    unsupported_response_type server_error temporarily_unavailable invalid_token insufficient_scope unsupported_token_type
    authorization_pending slow_down expired_token invalid_target invalid_authorization_details invalid_dpop_proof
    use_dpop_nonce insufficient_user_authentication interaction_required login_required account_selection_required
    consent_required invalid_request_uri invalid_request_object request_not_supported request_uri_not_supported
    registration_not_supported unmet_authentication_requirements need_info request_denied request_submitted
    unsupported_pop_key incompatible_ace_profiles expired_login_hint_token unknown_user_id missing_user_code
    invalid_user_code invalid_binding_message transaction_failed
    bad_refresh_token incorrect_client_credentials bad_verification_code redirect_uri_mismatch incorrect_device_code
    device_flow_disabled unverified_user_email application_suspended";

/// The `error` of an OAuth response, if it is registered; otherwise a text that says so.
pub fn oauth_code(code: &str) -> &str {
    let is_registered = REGISTERED.split_ascii_whitespace().any(|registered| registered == code);
    if code.is_empty() || is_registered { code } else { "an unregistered error code" }
}
