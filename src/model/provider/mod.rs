//! A provider is a descriptor: data that says where a service is, which hosts its token may go to, how it is sent,
//! where it is kept and how one logs in. Two are built in; others are configuration.

mod account;
mod oauth;

use std::borrow::Cow;

use super::Session;
use crate::error::Result;
use crate::model::{HostPattern, Origin, Secret, Target};

pub use account::Account;
pub use oauth::{Endpoints, Grant, OAuth, SecretLocation};

pub type Text = Cow<'static, str>;

/// A service that issues tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    /// Its name: `mycli`.
    pub name: Text,
    /// How one logs in, and what the API behind it speaks.
    pub login: LoginKind,
    /// The API's base URL where nothing else is configured.
    pub api_url: Text,
    /// The variable that gives another base URL.
    pub api_url_variable: Option<Text>,
    /// The hosts that its token may go to, besides the API's own.
    pub hosts: Vec<HostPattern>,
    /// The variable that holds a token and beats every store.
    pub token_variable: Text,
    /// How its long-lived tokens begin: `myc_`.
    pub token_prefix: Text,
    /// How many hex digits follow the prefix, where that is known.
    pub token_digits: Option<usize>,
    /// How a request carries the token.
    pub header: Header,
    /// The user name that goes with the token where a protocol wants one.
    pub basic_username: Text,
    /// Whether its hosts take the token as the password of Basic authentication.
    pub accepts_password: bool,
    /// Whether the session of the default account, and `~/.my/config.json`, are shared with the `my` command line.
    pub shares_with_my: bool,
    /// Which of its accounts this is.
    pub account: Account,
    /// Where the credential of that account is stored.
    pub key: StorageKey,
}

/// How one logs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoginKind {
    /// A link by email, then sessions that are refreshed: the API of mycli.
    MagicLink,
    /// A key that is made elsewhere, and brought; the paths that tell about it, where the API has them.
    ApiKey(Option<ApiPaths>),
    /// OAuth 2, by a code that is typed elsewhere, by a page in the browser, or as the program itself.
    OAuth(Box<OAuth>),
}

impl LoginKind {
    /// Whether its sessions are renewed with a refresh token.
    pub fn renews(&self) -> bool {
        matches!(self, Self::MagicLink | Self::OAuth(_))
    }

    /// Whether the service accepts a refresh token that it has just replaced (mycli: for 30 s), so that a lost answer can
    /// be requested again.
    pub fn has_grace(&self) -> bool {
        !matches!(self, Self::OAuth(_))
    }

    /// Whether a session can be replaced without anybody logging in: it has a refresh token, or the program logs in
    /// itself.
    pub fn can_renew(&self, session: &Session) -> bool {
        let by_itself =
            matches!(self, Self::OAuth(oauth) if oauth.grant == Grant::ClientCredentials);
        by_itself || self.renews() && session.refresh_token.is_some()
    }
}

/// Where an API that is spoken to with a key answers, below its base URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiPaths {
    /// Whose key it is.
    pub whoami: Text,
    /// The projects that it sees.
    pub projects: Text,
    /// The environments of one; `{id}` is the project's.
    pub environments: Text,
}

/// How a request carries a token: `Authorization: Bearer …`, or the bare token in a header of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The header's name.
    pub name: Text,
    /// The word before the token, where there is one.
    pub scheme: Option<Text>,
}

impl Header {
    /// `Authorization: Bearer …`.
    pub const BEARER: Self =
        Self { name: Cow::Borrowed("Authorization"), scheme: Some(Cow::Borrowed("Bearer")) };

    /// `Authorization`, with this word before the token.
    pub fn authorization(scheme: impl Into<Text>) -> Self {
        Self { scheme: Some(scheme.into()), ..Self::BEARER }
    }

    /// Whether a tool that speaks Bearer alone can carry the token.
    pub fn is_bearer(&self) -> bool {
        *self == Self::BEARER
    }

    /// The header's value for this token, to be sent or encoded at once.
    pub fn value(&self, token: &Secret) -> Secret {
        match &self.scheme {
            Some(scheme) => Secret::new(format!("{scheme} {}", token.expose_secret())),
            None => token.clone(),
        }
    }
}

/// Where one credential is kept: an item of the keyring, and a file below the home directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageKey {
    /// The keyring item; `None` where the service's users do not look for it there.
    pub item: Option<Item>,
    /// An item of an older program: read once, and moved.
    pub legacy_item: Option<Item>,
    /// The file, relative to the home directory.
    pub file: Text,
    /// What is in it.
    pub format: StoredFormat,
    /// The lock that every change of a session is made under, relative to the home directory.
    pub lock: Text,
}

impl StorageKey {
    /// The slot of an account that no other program knows of.
    pub fn new(provider: &str, account: &Account) -> Self {
        Self {
            item: Some(Item {
                service: "my-credential-helper".into(),
                user: format!("{provider}/{account}").into(),
            }),
            legacy_item: None,
            file: format!(".my/sessions/{provider}/{account}.json").into(),
            format: StoredFormat::Session,
            lock: format!(".my/sessions/{provider}/{account}.lock").into(),
        }
    }
}

/// The two attributes of a keyring item, as go-keyring writes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The attribute `service`.
    pub service: Text,
    /// The attribute `username`.
    pub user: Text,
}

/// What the text in a slot is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoredFormat {
    /// The JSON of a session, shared with the `my` command line.
    Session,
    /// A key on one line.
    BareKey,
}

const fn item(service: &'static str, user: &'static str) -> Item {
    Item { service: Cow::Borrowed(service), user: Cow::Borrowed(user) }
}

impl Provider {
    /// mycli: login by magic link, JWT sessions, `myc_` API tokens; shares its storage with `my`.
    pub const MYCLI: Self = Self {
        name: Cow::Borrowed("mycli"),
        login: LoginKind::MagicLink,
        api_url: Cow::Borrowed("https://api.mycli.sh"),
        api_url_variable: Some(Cow::Borrowed("MY_API_URL")),
        hosts: Vec::new(),
        token_variable: Cow::Borrowed("MY_API_TOKEN"),
        token_prefix: Cow::Borrowed("myc_"),
        token_digits: Some(40),
        header: Header::BEARER,
        basic_username: Cow::Borrowed("token"),
        accepts_password: true,
        shares_with_my: true,
        account: Account::DEFAULT,
        key: StorageKey {
            item: Some(item("mycli", "mycli-tokens")),
            legacy_item: Some(item("my-cli", "tokens")),
            file: Cow::Borrowed(".my/credentials.json"),
            format: StoredFormat::Session,
            lock: Cow::Borrowed(".my/refresh.lock"),
        },
    };

    /// Microtica: `mic_` API keys in a header of their own, kept where its users look for them.
    pub const MICROTICA: Self = Self {
        name: Cow::Borrowed("microtica"),
        login: LoginKind::ApiKey(Some(ApiPaths {
            whoami: Cow::Borrowed("/api/v1/whoami"),
            projects: Cow::Borrowed("/api/v1/projects"),
            environments: Cow::Borrowed("/api/v1/projects/{id}/environments"),
        })),
        api_url: Cow::Borrowed("https://api.microtica.com"),
        api_url_variable: Some(Cow::Borrowed("MICROTICA_API_URL")),
        hosts: Vec::new(),
        token_variable: Cow::Borrowed("MICROTICA_TOKEN"),
        token_prefix: Cow::Borrowed("mic_"),
        token_digits: Some(40),
        header: Header { name: Cow::Borrowed("X-Microtica-Api-Key"), scheme: None },
        basic_username: Cow::Borrowed("token"),
        accepts_password: false,
        shares_with_my: false,
        account: Account::DEFAULT,
        key: StorageKey {
            item: None,
            legacy_item: None,
            file: Cow::Borrowed(".microtica/credentials"),
            format: StoredFormat::BareKey,
            lock: Cow::Borrowed(".my/sessions/microtica/default.lock"),
        },
    };

    /// The provider that a request means when it names none, and whose storage is shared with `my`.
    pub const DEFAULT_NAME: &'static str = "mycli";

    /// The same provider, for another of its logins. Of a provider that speaks for its default account: that one may lie
    /// where other programs look for it, and every other one where they do not.
    #[must_use]
    pub fn with_account(self, account: Account) -> Self {
        if account == self.account {
            return self;
        }
        Self { key: StorageKey::new(&self.name, &account), account, ..self }
    }

    /// Its name in a message, with the account where it is not the default one.
    pub fn title(&self) -> String {
        if self.account.is_default() {
            self.name.to_string()
        } else {
            format!("{} (account {})", self.name, self.account)
        }
    }

    /// How one logs in, for a hint.
    pub fn login_hint(&self) -> String {
        format!("run `{}`", self.command("login"))
    }

    /// A verb about this provider and account, for a hint.
    pub fn command(&self, verb: &str) -> String {
        let named = |flag: &str, is_named: bool, name: &str| {
            if is_named { format!(" {flag} {name}") } else { String::new() }
        };
        let provider = named("--provider", self.name != Self::DEFAULT_NAME, &self.name);
        let account = named("--account", !self.account.is_default(), &self.account);
        format!("my-credential-helper{provider}{account} {verb}")
    }

    /// Whether a token has the form of this provider's long-lived ones.
    pub fn is_api_token(&self, token: &Secret) -> bool {
        let Some(digits) = token.expose_secret().strip_prefix(&*self.token_prefix) else {
            return false;
        };
        match self.token_digits {
            Some(count) => digits.len() == count && digits.bytes().all(|b| b.is_ascii_hexdigit()),
            None => !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_graphic()),
        }
    }

    /// Whether the token may go to `target`: the API's own origin, or one of the configured hosts; over plain http on
    /// this machine alone.
    pub fn owns(&self, target: &Target, api: &Origin) -> bool {
        (target.origin == *api && api.is_safe())
            || self.hosts.iter().any(|host| host.matches(&target.origin))
    }

    /// The API's host, for messages; the URL itself where it cannot be read.
    pub fn api_origin(api_url: &str) -> Result<Origin> {
        let target = Target::parse(api_url)?;
        if target.origin.is_safe() {
            Ok(target.origin)
        } else {
            Err(crate::error::Error::invalid(format!(
                "`{}` cannot be used: a token goes over plain http to loopback addresses only",
                target.origin
            )))
        }
    }
}
