//! What went wrong, for people and for programs: a code, a message, what was tried, the way out. Never a secret.

use std::fmt;

/// The kinds of failure. The names are those of the JSON protocol, the numbers are the exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorCode {
    /// Nobody is logged in to the provider.
    NotLoggedIn,
    /// No credential is stored for what was asked.
    NotFound,
    /// The service ended the session; only a new login helps.
    SessionExpired,
    /// The request cannot be understood, or asks for what is not allowed.
    InvalidRequest,
    /// The request speaks a version of the protocol that this program does not.
    UnsupportedVersion,
    /// The network, a lock or the keyring: the same request may succeed later.
    TemporarilyUnavailable,
    /// The service understood and said no.
    Rejected,
    /// Something on this machine is in the way: a file that cannot be read or written.
    Internal,
}

impl ErrorCode {
    /// Every code, for the page that lists them.
    pub const ALL: [Self; 8] = [
        Self::NotLoggedIn,
        Self::NotFound,
        Self::SessionExpired,
        Self::InvalidRequest,
        Self::UnsupportedVersion,
        Self::TemporarilyUnavailable,
        Self::Rejected,
        Self::Internal,
    ];

    /// The code of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.name() == name)
    }

    /// The name in the JSON protocol.
    pub fn name(self) -> &'static str {
        match self {
            Self::NotLoggedIn => "not_logged_in",
            Self::NotFound => "not_found",
            Self::SessionExpired => "session_expired",
            Self::InvalidRequest => "invalid_request",
            Self::UnsupportedVersion => "unsupported_version",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
            Self::Rejected => "refused",
            Self::Internal => "internal",
        }
    }

    /// The exit status: 1 no credential, 2 a bad request, 3 try again, 4 refused by the service.
    pub fn exit_status(self) -> u8 {
        match self {
            Self::NotLoggedIn | Self::NotFound | Self::SessionExpired | Self::Internal => 1,
            Self::InvalidRequest | Self::UnsupportedVersion => 2,
            Self::TemporarilyUnavailable => 3,
            Self::Rejected => 4,
        }
    }
}

/// A failure, for people and for programs. Never contains a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    pub code: ErrorCode,
    /// What failed and on what, then the cause; lower case, no final stop.
    pub message: String,
    /// Everything that was looked at for a credential, in order: `MY_API_TOKEN (not set), file (no entry)`.
    pub tried: Option<String>,
    /// The part of `tried` that was found and not sent, since the host is not the provider's.
    pub withheld: Option<String>,
    pub hint: Option<String>,
}

/// What most functions of this crate return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error without attempts or hint.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), tried: None, withheld: None, hint: None }
    }

    /// A request that cannot be understood.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidRequest, message)
    }

    /// Something on this machine is in the way.
    pub fn invalid_state(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Internal, message)
    }

    /// The same request may succeed later.
    pub fn temporary(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::TemporarilyUnavailable, message)
    }

    /// Adds the way out.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// `tried: MY_API_TOKEN (not set), keyring (no session bus)`, if anything was looked at.
    pub fn tried_line(&self) -> Option<String> {
        self.tried.as_ref().map(|tried| format!("tried: {tried}"))
    }

    /// Message and attempts on one line, for a tool that shows one line only.
    pub fn one_line(&self) -> String {
        match self.tried_line() {
            Some(tried) => format!("{}; {tried}", self.message),
            None => self.message.clone(),
        }
    }

    /// The same with the way out behind it.
    pub fn one_line_with_hint(&self) -> String {
        match &self.hint {
            Some(hint) => format!("{}; {hint}", self.one_line()),
            None => self.one_line(),
        }
    }

    /// Whether there simply is no credential here, so that a tool may turn to its next source.
    pub fn is_no_credential(&self) -> bool {
        matches!(self.code, ErrorCode::NotFound | ErrorCode::NotLoggedIn)
    }
}

impl fmt::Display for Error {
    /// The form for people: the message, what was tried, and the hint after a blank line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.message)?;
        if let Some(tried) = self.tried_line() {
            write!(f, "\n  {tried}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n\nhint: {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

impl From<anyhow::Error> for Error {
    /// What is only reported: the whole chain of causes on one line.
    fn from(error: anyhow::Error) -> Self {
        match error.downcast::<Self>() {
            Ok(ours) => ours,
            Err(other) => Self::new(ErrorCode::Internal, format!("{other:#}")),
        }
    }
}

/// Makes text from outside safe to show: control characters are written as escapes, and long text is cut.
///
/// A terminal would obey them, and a newline could imitate a line of ours (CVE-2024-50349).
pub fn sanitize(text: &str) -> String {
    const MOST: usize = 300;
    let mut safe = String::with_capacity(text.len().min(MOST));
    for c in text.chars().take(MOST) {
        // Controls, and the marks that turn the direction of the line around.
        if c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        {
            safe.extend(c.escape_default());
        } else {
            safe.push(c);
        }
    }
    if text.chars().nth(MOST).is_some() {
        safe.push('…');
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::{Error, ErrorCode, sanitize};

    #[test]
    fn an_error_shows_its_cause_the_attempts_and_the_hint() {
        let error = Error::new(ErrorCode::NotLoggedIn, "not logged in to api.mycli.sh");
        let tried = Some("MY_API_TOKEN (not set), file (no entry)".to_owned());
        let error = Error { tried, ..error }.with_hint("run `my-credential-helper login`");
        assert_eq!(
            error.to_string(),
            "not logged in to api.mycli.sh\n  tried: MY_API_TOKEN (not set), file (no entry)\n\n\
             hint: run `my-credential-helper login`"
        );
    }

    #[test]
    fn text_from_outside_cannot_steer_the_terminal() {
        assert_eq!(sanitize("a\u{1b}[2Jb\nc\u{202e}d"), "a\\u{1b}[2Jb\\nc\\u{202e}d");
        assert_eq!(
            sanitize(&"x".repeat(1000)).chars().count(),
            301,
            "and it does not fill the screen"
        );
    }
}
