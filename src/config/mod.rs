//! What the user has set: `config.toml` of ours, and `~/.my/config.json`, which is shared with the `my` command line.
//! Only the user's own files count; nothing is read from the working directory or a repository.

pub mod accounts;
mod context;
pub mod device_id;
pub mod edit;
mod my_json;
mod oauth;
mod paths;

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;

use crate::error::{Error, Result, sanitize};
use crate::model::known::{self, KnownService};
use crate::model::{Account, Grant, Header, HostPattern, LoginKind, Provider, StorageKey};
use crate::sys::atomic_file;

use accounts::AccountPatterns;
pub use context::{Context, Overrides};
pub use my_json::MyJson;
pub use paths::Paths;

/// `config.toml`. Without the file every field has its default.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Configuration {
    /// The provider that a request means when it names none.
    pub provider: Option<String>,
    /// Where new logins go; the keyring, where there is one, if this is not set.
    pub store: Option<StoreChoice>,
    /// Certificates to trust instead of the bundled roots (PEM).
    pub ca_file: Option<std::path::PathBuf>,
    /// Which account answers for which places, where it is not the one in use.
    #[serde(default)]
    accounts: AccountPatterns,
    #[serde(default)]
    providers: BTreeMap<String, ProviderSettings>,
}

/// Where new logins go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StoreChoice {
    /// The keyring of the operating system.
    Keyring,
    /// A file below the home directory, with mode 0600.
    File,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProviderSettings {
    kind: Option<ProviderKind>,
    api_url: Option<String>,
    #[serde(default)]
    hosts: Vec<String>,
    token_variable: Option<String>,
    token_prefix: Option<String>,
    header: Option<String>,
    basic_username: Option<String>,
    takes_password: Option<bool>,
    project: Option<String>,
    account: Option<Account>,
    #[serde(default)]
    accounts: Vec<Account>,
    issuer: Option<String>,
    authorization_endpoint: Option<String>,
    token_endpoint: Option<String>,
    device_authorization_endpoint: Option<String>,
    revocation_endpoint: Option<String>,
    userinfo_endpoint: Option<String>,
    client_id: Option<String>,
    client_secret_variable: Option<String>,
    client_secret_file: Option<std::path::PathBuf>,
    scopes: Option<Vec<String>>,
    grant: Option<Grant>,
    redirect_port: Option<u16>,
}

/// `kind`: how one logs in, or a service that is known by name.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
enum ProviderKind {
    MagicLink,
    ApiKey,
    OAuth(Option<&'static KnownService>),
}

impl TryFrom<String> for ProviderKind {
    type Error = String;

    fn try_from(kind: String) -> Result<Self, String> {
        match kind.as_str() {
            "magic_link" => Ok(Self::MagicLink),
            "api_key" => Ok(Self::ApiKey),
            "oauth" => Ok(Self::OAuth(None)),
            name => {
                KnownService::find(name).map(|known| Self::OAuth(Some(known))).ok_or_else(|| {
                    let known: Vec<_> = known::ALL.iter().map(|known| known.kind).collect();
                    format!(
                        "`{}` is no kind: oauth, api_key, magic_link, {}",
                        sanitize(name),
                        known.join(", ")
                    )
                })
            }
        }
    }
}

impl Configuration {
    /// Reads `config.toml`.
    pub fn load(paths: &Paths) -> Result<Self> {
        let Some(path) = paths.configuration() else { return Ok(Self::default()) };
        let unreadable =
            |reason: &dyn std::fmt::Display| Error::invalid(format!("{} {reason}", path.display()));
        let Some(text) = atomic_file::read_public(path).map_err(|error| unreadable(&error))? else {
            return Ok(Self::default());
        };
        toml::from_str(&text)
            .map_err(|error| unreadable(&format!("cannot be read: {}", sanitize(error.message()))))
    }

    /// A provider by its name: built in, changed by the configuration, or of the configuration alone. It speaks for its
    /// default account.
    pub fn provider(&self, name: &str) -> Result<Provider> {
        let built_in = [Provider::MYCLI, Provider::MICROTICA]
            .into_iter()
            .find(|provider| provider.name == name);
        match (built_in, self.providers.get(name)) {
            (Some(provider), None) => Ok(provider),
            (Some(provider), Some(settings)) => settings.applied_to(provider),
            (None, Some(settings)) => settings.applied_to(settings.new_provider(name)?),
            (None, None) => {
                Err(Error::invalid(format!("there is no provider `{}`", sanitize(name)))
                    .with_hint(format!("the providers are {}", self.names().join(", "))))
            }
        }
    }

    /// Whether the provider's API URL is the one that it was built with.
    pub fn is_built_in_url(&self, provider: &Provider) -> bool {
        self.providers.get(&*provider.name).is_none_or(|settings| settings.api_url.is_none())
    }

    /// The project that a provider's verbs mean when they name none.
    pub fn project(&self, provider: &str) -> Option<&str> {
        self.providers.get(provider)?.project.as_deref()
    }

    /// Every provider's name, the built-in ones first.
    pub fn names(&self) -> Vec<&str> {
        let mut names = vec!["mycli", "microtica"];
        names.extend(
            self.providers
                .keys()
                .map(String::as_str)
                .filter(|name| !["mycli", "microtica"].contains(name)),
        );
        names
    }
}

impl ProviderSettings {
    /// A provider that is configuration alone, of a kind that is built in.
    fn new_provider(&self, name: &str) -> Result<Provider> {
        let missing =
            |key: &str| Error::invalid(format!("[providers.{}] has no `{key}`", sanitize(name)));
        if name.is_empty()
            || !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        {
            return Err(Error::invalid(format!(
                "`{}` cannot be a provider's name: letters, digits, - and _",
                sanitize(name)
            )));
        }
        let kind = self.kind.ok_or_else(|| missing("kind"))?;
        if let ProviderKind::OAuth(known) = kind {
            return self.oauth_provider(name, known);
        }
        let api_url = self.api_url.clone().ok_or_else(|| missing("api_url"))?;
        let token_variable =
            self.token_variable.clone().ok_or_else(|| missing("token_variable"))?;
        let login = if matches!(kind, ProviderKind::MagicLink) {
            LoginKind::MagicLink
        } else {
            LoginKind::ApiKey(None)
        };
        Ok(configured(name, login, api_url, token_variable))
    }

    fn applied_to(&self, mut provider: Provider) -> Result<Provider> {
        let Self {
            kind: _,
            api_url,
            hosts,
            token_variable,
            token_prefix,
            header,
            basic_username,
            takes_password,
            ..
        } = self;
        let set = |field: &mut Cow<'static, str>, value: &Option<String>| {
            if let Some(value) = value {
                *field = value.clone().into();
            }
        };
        set(&mut provider.api_url, api_url);
        set(&mut provider.token_variable, token_variable);
        set(&mut provider.token_prefix, token_prefix);
        set(&mut provider.basic_username, basic_username);
        // `X-Acme-Key`, or `Authorization: Token` where a word comes before the token.
        if let Some(header) = header {
            let (name, scheme) = header
                .split_once(':')
                .map_or((header.as_str(), None), |(n, s)| (n, Some(s.trim())));
            provider.header = Header {
                name: name.to_owned().into(),
                scheme: scheme.map(|s| s.to_owned().into()),
            };
        }
        provider.accepts_password = takes_password.unwrap_or(provider.accepts_password);
        for host in hosts {
            provider.hosts.push(HostPattern::parse(host)?);
        }
        Ok(provider)
    }
}

/// A provider that is configuration alone, before anything else is set.
fn configured(name: &str, login: LoginKind, api_url: String, token_variable: String) -> Provider {
    Provider {
        name: name.to_owned().into(),
        login,
        api_url: api_url.into(),
        api_url_variable: None,
        hosts: Vec::new(),
        token_variable: token_variable.into(),
        token_prefix: Cow::Borrowed(""),
        token_digits: None,
        header: Header::BEARER,
        basic_username: "token".into(),
        accepts_password: true,
        shares_with_my: false,
        account: Account::DEFAULT,
        key: StorageKey::new(name, &Account::DEFAULT),
    }
}

#[cfg(test)]
mod tests {
    use super::Configuration;
    use crate::model::Target;

    #[test]
    fn a_provider_can_be_configuration_alone() {
        let configuration: Configuration = toml::from_str(
            "[providers.acme]\nkind = 'api_key'\napi_url = 'https://api.acme.dev'\nhosts = ['*.acme.dev']\n\
             token_variable = 'ACME_TOKEN'\ntoken_prefix = 'acm_'\nheader = 'X-Acme-Key'\n",
        )
        .unwrap();
        let acme = configuration.provider("acme").unwrap();
        assert_eq!((&*acme.header.name, acme.header.scheme.as_deref()), ("X-Acme-Key", None));
        assert!(acme.hosts[0].matches(&Target::parse("https://git.acme.dev/x").unwrap().origin));
        assert_eq!(configuration.names(), ["mycli", "microtica", "acme"]);
    }

    #[test]
    fn what_is_missing_or_misspelt_is_named() {
        let error = |text: &str| match toml::from_str::<Configuration>(text) {
            Ok(configuration) => configuration.provider("acme").unwrap_err().message,
            Err(error) => error.message().to_owned(),
        };
        assert_eq!(
            error("[providers.acme]\nkind = 'api_key'"),
            "[providers.acme] has no `api_url`"
        );
        assert_eq!(
            error("[providers.acme]\nkind = 'oauth'"),
            "[providers.acme] has neither `issuer` nor `token_endpoint`"
        );
        assert!(
            error("[providers.acme]\nkind = 'github2'")
                .starts_with("`github2` is no kind: oauth, ")
        );
        assert_eq!(error(""), "there is no provider `acme`");
        assert!(error("sotre = 'file'").contains("sotre"));
    }
}
