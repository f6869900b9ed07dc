//! A provider as data: the URL of a service, the hosts that its token may be sent to, the header of the token, the
//! location where the token is stored, and the kind of login. Two providers are built in; others are configured.

mod account;
mod identity;
mod oauth;
mod shared;
mod vault;

use std::borrow::Cow;

use super::{HostPattern, Origin, Secret, Session, Target, TokenKind};
use crate::error::{Error, Result};

pub use account::Account;
pub use identity::{Algorithm, Exchange, Identity, IdentitySource, Preset, SigningKey};
pub use oauth::{ClientAuthMethod, Endpoints, Grant, KubernetesToken, OAuth, SecretLocation};
pub use shared::{FleetRole, SharedAccounts, SharedSettings};
pub use vault::{JwtSource, Proof, SecretsEngine, Vault, VaultLogin};

pub type Text = Cow<'static, str>;

const fn text(text: &'static str) -> Text {
    Cow::Borrowed(text)
}

/// A service that issues tokens, and one account there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    pub name: Text,
    /// Whether a command without `--provider` is for this provider.
    pub is_default: bool,
    pub login: LoginKind,
    /// The API's base URL, unless another one is configured.
    pub api_url: Text,
    pub api_url_variable: Option<Text>,
    /// The hosts that its token may be sent to, besides the API's own.
    pub hosts: Vec<HostPattern>,
    /// The variable whose token precedes every stored one.
    pub token_variable: Text,
    /// The prefix of its API tokens: `myc_`.
    pub token_prefix: Text,
    /// The number of hex digits after the prefix, if that is known.
    pub token_digits: Option<usize>,
    pub header: Header,
    /// The user name for the token where a protocol needs one.
    pub basic_username: Text,
    /// Whether its hosts accept the token as the password of Basic authentication.
    pub accepts_password: bool,
    /// Whether the session of the default account, and `~/.my/config.json`, are shared with the `my` command line.
    pub shares_with_my: bool,
    pub account: Account,
    /// Where the credential of that account is stored.
    pub key: StorageKey,
    /// How a job logs in without a stored secret.
    pub identity: Option<Box<Identity>>,
    /// The store that other machines share; `None` if the session of this account is stored on this machine.
    pub shared: Option<Box<SharedSettings>>,
    pub shared_accounts: Option<Box<SharedAccounts>>,
}

/// How a person logs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoginKind {
    /// A link by email, then sessions that are refreshed: mycli.
    MagicLink,
    /// An API key that the person has created elsewhere; and whether the service has the API of Microtica.
    ApiKey {
        is_microtica: bool,
    },
    OAuth(Box<OAuth>),
}

impl LoginKind {
    /// Whether the service renews sessions with a refresh token.
    pub fn renews(&self) -> bool {
        matches!(self, Self::MagicLink | Self::OAuth(_))
    }

    /// Whether the service accepts a replaced refresh token for some time (mycli: 30 s), after a lost response.
    pub fn has_grace(&self) -> bool {
        !matches!(self, Self::OAuth(_))
    }

    /// Whether a request for this token gets the ID token of a session that has one.
    pub fn returns_id_token(&self, token: TokenKind) -> bool {
        match token {
            TokenKind::Access => false,
            TokenKind::Id => true,
            TokenKind::Kubernetes => {
                matches!(self, Self::OAuth(oauth) if oauth.kubernetes_token == KubernetesToken::Id)
            }
        }
    }

    /// Whether this session can be renewed without a person: with its refresh token, or with client credentials.
    pub fn can_renew(&self, session: &Session) -> bool {
        let has_client_credentials =
            matches!(self, Self::OAuth(oauth) if oauth.grant == Grant::ClientCredentials);
        has_client_credentials || self.renews() && session.refresh_token.is_some()
    }
}

/// How a request carries a token: `Authorization: Bearer …`, or the bare token in a header of another name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    pub name: Text,
    pub scheme: Option<Text>,
}

impl Header {
    pub const BEARER: Self = Self { name: text("Authorization"), scheme: Some(text("Bearer")) };

    /// `Authorization`, with this scheme.
    pub fn authorization(scheme: impl Into<Text>) -> Self {
        Self { scheme: Some(scheme.into()), ..Self::BEARER }
    }

    pub fn is_bearer(&self) -> bool {
        *self == Self::BEARER
    }

    pub fn value(&self, token: &Secret) -> Secret {
        match &self.scheme {
            Some(scheme) => Secret::new(format!("{scheme} {}", token.expose_secret())),
            None => token.clone(),
        }
    }
}

/// Where a credential is stored: an item of the keyring, and a file below the home directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageKey {
    /// `None` if the credential is never stored in the keyring.
    pub item: Option<Item>,
    /// The item of an older program. A read moves its value to `item`.
    pub legacy_item: Option<Item>,
    /// Relative to the home directory.
    pub file: Text,
    pub format: StoredFormat,
    /// The lock for every change of a session, relative to the home directory.
    pub lock: Text,
    /// The service that issues the sessions; `None` if another program defines the format. The service is stored with a
    /// session, so that no other service receives its tokens after an edit of the configuration.
    pub service: Option<Text>,
}

impl StorageKey {
    /// The key for an account whose credential no other program reads.
    pub fn new(provider: &str, account: &Account) -> Self {
        Self {
            item: Some(Item::new(format!("{provider}/{account}"))),
            legacy_item: None,
            file: format!(".my/sessions/{provider}/{account}.json").into(),
            format: StoredFormat::Session,
            lock: format!(".my/sessions/{provider}/{account}.lock").into(),
            service: None,
        }
    }
}

/// The attributes `service` and `username` of a keyring item, as go-keyring writes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    pub service: Text,
    pub user: Text,
}

impl Item {
    /// An item that no other program reads.
    pub fn new(user: impl Into<Text>) -> Self {
        Self { service: text("my-credential-helper"), user: user.into() }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoredFormat {
    /// The JSON of a session, shared with the `my` command line.
    Session,
    /// A key on one line.
    BareKey,
}

impl Provider {
    /// mycli: login by magic link, JWT sessions, `myc_` API tokens; shares its storage with `my`.
    pub const MYCLI: Self = Self {
        name: text(Self::DEFAULT_NAME),
        is_default: true,
        login: LoginKind::MagicLink,
        api_url: text("https://api.mycli.sh"),
        api_url_variable: Some(text("MY_API_URL")),
        hosts: Vec::new(),
        token_variable: text("MY_API_TOKEN"),
        token_prefix: text("myc_"),
        token_digits: Some(40),
        header: Header::BEARER,
        basic_username: text("token"),
        accepts_password: true,
        shares_with_my: true,
        account: Account::DEFAULT,
        key: StorageKey {
            item: Some(Item { service: text("mycli"), user: text("mycli-tokens") }),
            legacy_item: Some(Item { service: text("my-cli"), user: text("tokens") }),
            file: text(".my/credentials.json"),
            format: StoredFormat::Session,
            lock: text(".my/refresh.lock"),
            service: None,
        },
        identity: None,
        shared: None,
        shared_accounts: None,
    };

    /// Microtica: `mic_` API keys in a header of their own, stored where Microtica's own tools read them.
    pub const MICROTICA: Self = Self {
        name: text("microtica"),
        is_default: false,
        login: LoginKind::ApiKey { is_microtica: true },
        api_url: text("https://api.microtica.com"),
        api_url_variable: Some(text("MICROTICA_API_URL")),
        hosts: Vec::new(),
        token_variable: text("MICROTICA_TOKEN"),
        token_prefix: text("mic_"),
        token_digits: Some(40),
        header: Header { name: text("X-Microtica-Api-Key"), scheme: None },
        basic_username: text("token"),
        accepts_password: false,
        shares_with_my: false,
        account: Account::DEFAULT,
        key: StorageKey {
            item: None,
            legacy_item: None,
            file: text(".microtica/credentials"),
            format: StoredFormat::BareKey,
            lock: text(".my/sessions/microtica/default.lock"),
            service: None,
        },
        identity: None,
        shared: None,
        shared_accounts: None,
    };

    pub const DEFAULT_NAME: &'static str = "mycli";

    /// A provider that is not built in, with the defaults for everything else.
    pub fn new(name: &str, login: LoginKind, api_url: String, token_variable: String) -> Self {
        Self {
            name: name.to_owned().into(),
            is_default: false,
            login,
            api_url: api_url.into(),
            api_url_variable: None,
            hosts: Vec::new(),
            token_variable: token_variable.into(),
            token_prefix: text(""),
            token_digits: None,
            header: Header::BEARER,
            basic_username: text("token"),
            accepts_password: true,
            shares_with_my: false,
            account: Account::DEFAULT,
            key: StorageKey::new(name, &Account::DEFAULT),
            identity: None,
            shared: None,
            shared_accounts: None,
        }
    }

    /// The same provider, which has the default account, with another one. Other programs read only that of the default.
    #[must_use]
    pub fn with_account(self, account: Account) -> Self {
        if account == self.account {
            return self;
        }
        let key = StorageKey { service: self.key.service, ..StorageKey::new(&self.name, &account) };
        let shared = match &self.shared_accounts {
            Some(accounts) => accounts.settings_of(&account),
            None => self.shared,
        };
        Self { account, key, shared, ..self }
    }

    /// The same provider, with the sessions that only this machine stores.
    #[must_use]
    pub fn of_this_machine(&self) -> Self {
        Self { shared: None, ..self.clone() }
    }

    /// The name in a message, with the account if it is not the default one.
    pub fn title(&self) -> String {
        if self.account.is_default() {
            return self.name.to_string();
        }
        format!("{} (account {})", self.name, self.account)
    }

    pub fn login_hint(&self) -> String {
        format!("run `{}`", self.command("login"))
    }

    /// A command line of this program for this provider and account, for a hint.
    pub fn command(&self, command: &str) -> String {
        let mut words = vec!["my-credential-helper"];
        if self.name != Self::DEFAULT_NAME || !self.is_default {
            words.extend(["--provider", &self.name]);
        }
        if !self.account.is_default() {
            words.extend(["--account", &self.account]);
        }
        words.push(command);
        words.join(" ")
    }

    /// Whether a token has the form of this provider's API tokens.
    pub fn is_api_token(&self, token: &Secret) -> bool {
        let Some(digits) = token.expose_secret().strip_prefix(&*self.token_prefix) else {
            return false;
        };
        match self.token_digits {
            Some(count) => digits.len() == count && digits.bytes().all(|b| b.is_ascii_hexdigit()),
            None => !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_graphic()),
        }
    }

    /// Whether the token may be sent to `target`: to the API's origin, or to a configured host.
    pub fn owns(&self, target: &Target, api: &Origin) -> bool {
        (target.origin == *api && api.is_safe())
            || self.hosts.iter().any(|host| host.matches(&target.origin))
    }

    /// The origin of an API URL; an error if no token may be sent there.
    pub fn api_origin(api_url: &str) -> Result<Origin> {
        let Target { origin, .. } = Target::parse(api_url)?;
        if origin.is_safe() {
            return Ok(origin);
        }
        Err(Error::invalid(format!(
            "cannot use `{origin}`: plain http is allowed only for loopback addresses"
        )))
    }
}
