//! A failure, for people and for programs: a code, a message, what was tried, a hint. Never contains a secret.

mod redact;

use std::fmt;

pub use redact::redact;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorCode {
    /// No session with the provider is stored.
    NotLoggedIn,
    /// No credential is stored for the request.
    NotFound,
    /// The session or the token has expired, and a new login is required.
    SessionExpired,
    /// The request is malformed, or not allowed.
    InvalidRequest,
    /// The request has another version of the protocol.
    UnsupportedVersion,
    /// The network, a lock or the keyring: the same request may succeed later.
    TemporarilyUnavailable,
    /// The service rejected the request.
    Rejected,
    /// A failure of this machine: a file cannot be read or written.
    Internal,
}

impl ErrorCode {
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

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.name() == name)
    }

    /// As in the JSON protocol.
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

    /// 1: no credential, 2: invalid request, 3: try again, 4: rejected by the service.
    pub fn exit_status(self) -> u8 {
        match self {
            Self::NotLoggedIn | Self::NotFound | Self::SessionExpired | Self::Internal => 1,
            Self::InvalidRequest | Self::UnsupportedVersion => 2,
            Self::TemporarilyUnavailable => 3,
            Self::Rejected => 4,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    pub code: ErrorCode,
    /// The failed action, then the cause; lower case, without a final stop.
    pub message: String,
    /// Everything that was searched for a credential, in order: `MY_API_TOKEN (not set), file (no entry)`.
    pub tried: Option<String>,
    /// The part of `tried` that was found and not sent, since the provider does not own the host.
    pub withheld: Option<String>,
    pub hint: Option<String>,
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), tried: None, withheld: None, hint: None }
    }

    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidRequest, message)
    }

    pub fn invalid_state(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Internal, message)
    }

    pub fn temporary(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::TemporarilyUnavailable, message)
    }

    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The error with its subject before the message.
    #[must_use]
    pub fn about(mut self, subject: impl fmt::Display) -> Self {
        self.message = format!("{subject}: {}", self.message);
        self
    }

    /// `tried: MY_API_TOKEN (not set), keyring (no session bus)`.
    pub fn tried_line(&self) -> Option<String> {
        self.tried.as_ref().map(|tried| format!("tried: {tried}"))
    }

    /// Message and attempts, for a tool that shows only one line.
    pub fn one_line(&self) -> String {
        match self.tried_line() {
            Some(tried) => printable(&format!("{}; {tried}", self.message)),
            None => printable(&self.message),
        }
    }

    /// As [`Error::one_line`], with the hint.
    pub fn one_line_with_hint(&self) -> String {
        match &self.hint {
            Some(hint) => format!("{}; {hint}", self.one_line()),
            None => self.one_line(),
        }
    }

    /// Whether the failure is that no credential was found, so that a tool may try its next source.
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
    /// The whole chain of causes on one line.
    fn from(error: anyhow::Error) -> Self {
        match error.downcast::<Self>() {
            Ok(error) => error,
            Err(other) => Self::new(ErrorCode::Internal, format!("{other:#}")),
        }
    }
}

/// An argument for an error message: an option's name or a mistyped operation. Any other text may be a secret: `...`.
pub fn argument_name(argument: &str) -> &str {
    const MAX_LENGTH: usize = 16;
    let (name, _) = argument.split_once('=').unwrap_or((argument, ""));
    let is_word = name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
    if is_word && name.len() <= MAX_LENGTH { name } else { "..." }
}

/// Makes text from outside safe to print: writes control and invisible characters as escapes, and cuts long text.
///
/// A terminal would execute control characters, and a newline could imitate a line of this program (CVE-2024-50349).
pub fn sanitize(text: &str) -> String {
    const MAX_LENGTH: usize = 300;
    let mut safe = String::with_capacity(text.len().min(MAX_LENGTH));
    text.chars().take(MAX_LENGTH).for_each(|c| push_escaped(&mut safe, c));
    if text.chars().nth(MAX_LENGTH).is_some() {
        safe.push('…');
    }
    safe
}

/// As [`sanitize`], for a message of this program: it has lines, and may contain a path, which a variable may name.
pub fn printable(message: &str) -> String {
    let mut safe = String::with_capacity(message.len());
    for c in message.chars() {
        if c == '\n' { safe.push(c) } else { push_escaped(&mut safe, c) }
    }
    safe
}

fn push_escaped(safe: &mut String, c: char) {
    if is_visible(c) { safe.push(c) } else { safe.extend(c.escape_default()) }
}

/// Not a control character, a format character or a line separator (Unicode Cc, Cf, Zl and Zp): these give commands to a
/// terminal, change the direction of text or hide it.
pub fn is_visible(c: char) -> bool {
    !c.is_control()
        && !matches!(c,
        '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{180e}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e007f}')
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
    fn text_from_outside_cannot_control_the_terminal() {
        assert_eq!(sanitize("a\u{1b}[2Jb\nc\u{202e}d"), "a\\u{1b}[2Jb\\nc\\u{202e}d");
        for hidden in [
            '\u{9b}',
            '\u{85}',
            '\u{ad}',
            '\u{61c}',
            '\u{200b}',
            '\u{200d}',
            '\u{2028}',
            '\u{2060}',
            '\u{feff}',
            '\u{e0041}',
        ] {
            assert_eq!(sanitize(&hidden.to_string()), hidden.escape_default().to_string());
        }
        assert_eq!(sanitize("名前 é"), "名前 é");
        assert_eq!(
            sanitize(&"x".repeat(1000)).chars().count(),
            301,
            "and it does not fill the screen"
        );
    }
}
