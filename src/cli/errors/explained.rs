//! The table of error codes: meaning, causes and cures. `errors`, its manual page and `protocol/ERRORS.md` are generated
//! from it.

use super::ErrorCode;

pub struct Explanation {
    pub meaning: &'static str,
    pub cases: &'static [Case],
}

pub struct Case {
    pub cause: &'static str,
    pub cure: &'static str,
}

const fn case(cause: &'static str, cure: &'static str) -> Case {
    Case { cause, cure }
}

impl ErrorCode {
    pub fn explanation(self) -> Explanation {
        let (meaning, cases): (_, &[Case]) = match self {
            Self::NotLoggedIn => ("Not logged in to the provider.", NOT_LOGGED_IN),
            Self::NotFound => ("No credential is stored for the requested URL or name.", NOT_FOUND),
            Self::SessionExpired => {
                ("The session is no longer valid; a new login is required.", SESSION_EXPIRED)
            }
            Self::InvalidRequest => ("The request is malformed or not allowed.", INVALID_REQUEST),
            Self::UnsupportedVersion => (
                "The request uses a version of the protocol that this program does not support.",
                UNSUPPORTED_VERSION,
            ),
            Self::TemporarilyUnavailable => (
                "A service, the keyring or a lock did not respond in time; the same request may succeed later.",
                TEMPORARILY_UNAVAILABLE,
            ),
            Self::Rejected => ("The service rejected the request.", REJECTED),
            Self::Internal => ("A problem on this machine prevents the operation.", INTERNAL),
        };
        Explanation { meaning, cases }
    }
}

const NOT_LOGGED_IN: &[Case] = &[
    case(
        "No session is stored, and the provider's variable is not set.",
        "Run `my-credential-helper login`; in a CI job, set MY_API_TOKEN.",
    ),
    case(
        "A session is stored, but this process cannot read it: another HOME, `sudo`, or a keyring without a session bus.",
        "Run `my-credential-helper status` for the state of each store, and `my-credential-helper doctor` for fixes.",
    ),
    case(
        "The session is for another API URL than the current one: \"logged in at Y, not X\".",
        "Omit `--api-url`, run `unset MY_API_URL`, or log in there with `my-credential-helper login --api-url URL`.",
    ),
];

const NOT_FOUND: &[Case] = &[
    case(
        "The host is not configured for any provider, and no credential is stored for it.",
        "If the token may be sent to the host, run `my-credential-helper config add hosts HOST`. Run `my-credential-helper get --explain --url URL` to see what was searched.",
    ),
    case("The URL is plain http, which is allowed only for loopback addresses.", "Use https."),
    case(
        "A credential is stored for another port, path or user name.",
        "Run `my-credential-helper list` for the stored credentials.",
    ),
    case(
        "No token, session or setting has that name.",
        "Run the `list` subcommand, for example `my-credential-helper token list`.",
    ),
];

const SESSION_EXPIRED: &[Case] = &[
    case(
        "The session was revoked elsewhere, by `session revoke` or by a newer login on this device.",
        "Run `my-credential-helper login`.",
    ),
    case(
        "The session was not used for longer than the service allows.",
        "Run `my-credential-helper login`.",
    ),
    case(
        "The refresh token was used by a copy of the session on another machine.",
        "Log in on each machine; do not copy `~/.my`.",
    ),
];

const INVALID_REQUEST: &[Case] = &[
    case(
        "An argument is unknown or missing.",
        "Run `my-credential-helper COMMAND --help` for examples.",
    ),
    case(
        "The request is not a JSON object, or a field has the wrong type.",
        "See PROTOCOL.md and its schemas.",
    ),
    case(
        "A URL contains spaces, control characters, a backslash, or a user name.",
        "Write the URL as `https://HOST[:PORT]/PATH`; pass the user name in its own field.",
    ),
    case(
        "A configuration file cannot be read, or is writable by other users.",
        "Correct the file that the message names, or run `chmod go-w` on it.",
    ),
    case(
        "A variable contains a token with a line break, or an expired token.",
        "Set the variable to a valid token, or `unset` it to use your session.",
    ),
    case(
        "The identity token of a job is for another audience, or has expired; it was not sent.",
        "Request the identity token for the `audience` of [providers.NAME.identity]; see protocol/IDENTITY.md.",
    ),
    case("No terminal to prompt on.", "Pass the option that the message names."),
];

const UNSUPPORTED_VERSION: &[Case] = &[case(
    "The caller uses a newer version of the protocol than this program supports.",
    "Update my-credential-helper; run `my-credential-helper capabilities` for the supported protocols.",
)];

const TEMPORARILY_UNAVAILABLE: &[Case] = &[
    case(
        "The service cannot be reached, or its response was cut off.",
        "Check the network and the proxy; run `my-credential-helper status --check` to test the service. The session is still stored.",
    ),
    case(
        "The service limits the rate of requests (429).",
        "Wait for the time in the message, then try again.",
    ),
    case(
        "The keyring did not respond in time.",
        "Unlock the keyring, or set MY_NO_KEYRING and log in again to use the file.",
    ),
    case(
        "Another process has held the lock for longer than a refresh may take: 5 s, with an OAuth 2 provider 20 s.",
        "Try again; the other process is refreshing the same session.",
    ),
    case(
        "A certificate is not trusted.",
        "For a private certificate authority, run `my-credential-helper config set ca_file FILE`.",
    ),
];

const REJECTED: &[Case] = &[
    case(
        "The service does not trust the identity of this job.",
        "Compare the claims in the message with the trust policy at the service; in GitHub Actions, give the job `permissions: id-token: write`.",
    ),
    case(
        "The token was revoked, or was not issued by this service.",
        "Run `my-credential-helper login --force`; if the token is in a variable, set the variable to a valid token.",
    ),
    case(
        "The operation requires a session, and the credential is an API token.",
        "Run `unset MY_API_TOKEN`, or log in by email with `my-credential-helper login --force`.",
    ),
    case(
        "A rule of the service: too many tokens, a name that is taken, or a wrong code.",
        "See the message, which is from the service, and the hint.",
    ),
];

const INTERNAL: &[Case] = &[
    case(
        "The home directory, or ~/.my, belongs to another user (`sudo`).",
        "Run the program as yourself, or pass the token in the variable.",
    ),
    case(
        "A file cannot be read or written, or the disk is full.",
        "Correct the problem that the message names; no credential was lost.",
    ),
    case(
        "The keyring rejected the session.",
        "Unlock the keyring, or run `my-credential-helper login --store file`.",
    ),
];
