//! How the service is to behave. Holds no secret and does nothing.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// Where the tables are kept.
#[derive(Clone, Debug)]
pub enum Storage {
    /// In memory: gone when the service stops.
    Memory,
    /// In this file, with the key that signs the tokens beside it (`<file>.key`, mode 0600).
    File(PathBuf),
}

/// How the service is to behave. The defaults are those of the live one.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where the tables are kept.
    pub database: Storage,
    /// How long an access token lives; whole seconds count, begun ones as whole.
    pub access_token_lifetime: Duration,
    /// How long a session lives after its login, and after each refresh.
    pub session_lifetime: Duration,
    /// How long a refresh token that was replaced is still accepted.
    pub refresh_grace: Duration,
    /// How long a device code, its link and its six digits live.
    pub device_code_lifetime: Duration,
    /// How often a device is told to ask; whole seconds count, begun ones as whole.
    pub poll_interval: Duration,
    /// One request a second and a burst of ten per client address on the routes below `/v1/auth/`.
    pub rate_limit: bool,
    /// `host:port` of an SMTP server spoken to without TLS. Without one the mails are kept in the inbox.
    pub smtp: Option<String>,
    /// What the links in mails begin with, where that is not the address listened on.
    pub public_url: Option<String>,
    /// Whether tokens carry a `jti`. Live ones do not: two issued in one second are identical.
    pub jti: bool,
    /// Serves the routes below `/test/`, and keeps the journal.
    pub for_tests: bool,
    /// The directory of the git repositories served below `/git/`.
    pub git_root: Option<PathBuf>,
}

const DAY: u64 = 24 * 60 * 60;

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            database: Storage::Memory,
            access_token_lifetime: Duration::from_secs(15 * 60),
            session_lifetime: Duration::from_secs(60 * DAY),
            refresh_grace: Duration::from_secs(30),
            device_code_lifetime: Duration::from_secs(900),
            poll_interval: Duration::from_secs(5),
            rate_limit: true,
            smtp: None,
            public_url: None,
            jti: false,
            for_tests: false,
            git_root: None,
        }
    }
}

/// The whole seconds of a span, begun ones counted.
pub(crate) fn whole_seconds(span: Duration) -> i64 {
    let seconds = span.as_secs() + u64::from(span.subsec_nanos() > 0);
    i64::try_from(seconds).unwrap_or(i64::MAX)
}
