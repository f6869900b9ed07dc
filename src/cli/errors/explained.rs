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
            Self::NotLoggedIn => ("Nobody is logged in to the provider.", NOT_LOGGED_IN),
            Self::NotFound => ("No credential is kept for what was asked.", NOT_FOUND),
            Self::SessionExpired => {
                ("The service ended the session; only a new login helps.", SESSION_EXPIRED)
            }
            Self::InvalidRequest => (
                "The request cannot be understood, or asks for what is not allowed.",
                INVALID_REQUEST,
            ),
            Self::UnsupportedVersion => (
                "The request speaks a version of the protocol that this program does not.",
                UNSUPPORTED_VERSION,
            ),
            Self::TemporarilyUnavailable => (
                "Something did not answer in time; the same request may succeed later.",
                TEMPORARILY_UNAVAILABLE,
            ),
            Self::Rejected => ("The service understood the request and said no.", REJECTED),
            Self::Internal => ("Something on this machine is in the way.", INTERNAL),
        };
        Explanation { meaning, cases }
    }
}

const NOT_LOGGED_IN: &[Case] = &[
    case(
        "No login is kept, and the provider's variable is not set.",
        "`my-credential-helper login`; in a CI job set MY_API_TOKEN.",
    ),
    case(
        "The login is there, and this process does not see it: another HOME, `sudo`, a keyring without a session bus.",
        "`my-credential-helper status` says what each place answers; `my-credential-helper doctor` says how to mend it.",
    ),
    case(
        "The login belongs to another API URL than the one in force: \"logged in at Y, not X\".",
        "Drop `--api-url` or `unset MY_API_URL`, or log in there: `my-credential-helper login --api-url URL`.",
    ),
];

const NOT_FOUND: &[Case] = &[
    case(
        "The host is none of the provider's, and no login is stored for it.",
        "Where it may see the token: `my-credential-helper config set hosts HOST`. `get --explain --url URL` says where was looked.",
    ),
    case("The URL is plain http, which is served on this machine alone.", "Use https."),
    case(
        "A login is stored for another port, path or user name.",
        "`my-credential-helper list` shows what is kept.",
    ),
    case(
        "There is no token, session or setting of that name.",
        "The verb's `list` shows those that there are.",
    ),
];

const SESSION_EXPIRED: &[Case] = &[
    case(
        "It was ended elsewhere: `session revoke`, or a login that took its place.",
        "`my-credential-helper login`",
    ),
    case("It was not used for longer than the service keeps one.", "`my-credential-helper login`"),
    case(
        "Its refresh token was used by a copy of the login on another machine.",
        "Log in on each machine; do not copy `~/.my`.",
    ),
];

const INVALID_REQUEST: &[Case] = &[
    case(
        "An argument is unknown, or one is missing.",
        "`my-credential-helper VERB --help` shows an example of each verb.",
    ),
    case(
        "The request is no JSON object, or one of its fields has the wrong type.",
        "PROTOCOL.md and its schemas say what is read.",
    ),
    case(
        "A URL holds spaces, control characters, a backslash, or a user name.",
        "Write it as `https://HOST[:PORT]/PATH`; a user name goes into a field of its own.",
    ),
    case(
        "A file of settings cannot be read, or can be written by others.",
        "Mend what the message names, or `chmod go-w` it.",
    ),
    case(
        "A variable with a token holds a line break inside, or a token that has ended.",
        "Set it anew, or `unset` it to use your login.",
    ),
    case(
        "There is no terminal to ask on.",
        "The message names the flag that answers the question.",
    ),
];

const UNSUPPORTED_VERSION: &[Case] = &[case(
    "The caller was written for a newer protocol than this program speaks.",
    "Update my-credential-helper; `my-credential-helper capabilities` lists what it speaks.",
)];

const TEMPORARILY_UNAVAILABLE: &[Case] = &[
    case(
        "The service cannot be reached, or its answer was cut off.",
        "Check the network and the proxy; `my-credential-helper status --check` asks the service. The login stays.",
    ),
    case("The service asks to wait (429).", "Wait as long as the message says."),
    case(
        "The keyring did not answer in time.",
        "Unlock it, or set MY_NO_KEYRING and log in to the file.",
    ),
    case(
        "Another process holds the lock for longer than 5 s.",
        "Try again; it is refreshing the same session.",
    ),
    case(
        "A certificate is not trusted.",
        "`my-credential-helper config set ca_file FILE`, where the network has an authority of its own.",
    ),
];

const REJECTED: &[Case] = &[
    case(
        "The token was revoked, or never was one of this service.",
        "`my-credential-helper login --force`; set the variable anew where it comes from one.",
    ),
    case(
        "Only a login may do this, and the credential is an API token.",
        "`unset MY_API_TOKEN`, or `my-credential-helper login --force` by email.",
    ),
    case(
        "The service's own rule: too many tokens, a name that is taken, a wrong code.",
        "The message is the service's; its hint says what to change.",
    ),
];

const INTERNAL: &[Case] = &[
    case(
        "The home directory, or ~/.my, belongs to another user (`sudo`).",
        "Run it as yourself, or give the token in the variable.",
    ),
    case(
        "A file cannot be read or written, or the disk is full.",
        "Mend what the message names; nothing was lost.",
    ),
    case(
        "The keyring is there and refused the login.",
        "Unlock it, or `my-credential-helper login --store file`.",
    ),
];
