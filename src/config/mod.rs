//! The user's configuration: `config.toml`, and `~/.my/config.json`, which is shared with the `my` command line.
//! Nothing is read from the working directory or a repository.

pub mod accounts;
mod context;
pub mod device_id;
pub mod edit;
mod identity;
mod my_json;
mod oauth;
mod paths;
mod stores;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;

use serde::Deserialize;

use crate::error::{Error, Result, sanitize};
use crate::model::known::{self, KnownService, TrustingService};
use crate::model::{
    Account, ClientAuthMethod, Grant, Header, HostPattern, KubernetesToken, LoginKind, Origin,
    Provider, SharedAccounts, Target,
};
use crate::sys::atomic_file;

use accounts::AccountPatterns;
pub use context::{Context, Overrides};
pub use my_json::MyJson;
pub use paths::Paths;

/// `config.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Configuration {
    pub provider: Option<String>,
    /// The default provider of the environment, which precedes.
    #[serde(skip)]
    variable: Option<String>,
    /// Where new sessions and credentials are stored; by default in the keyring, if there is one.
    pub store: Option<StoreChoice>,
    /// Certificates to trust instead of those of the system (PEM).
    pub ca_file: Option<PathBuf>,
    /// The accounts for URL patterns. For other URLs, the account in use is selected.
    accounts: AccountPatterns,
    providers: BTreeMap<String, ProviderSettings>,
    stores: stores::Stores,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StoreChoice {
    Keyring,
    /// A file below the home directory, with mode 0600.
    File,
    /// The server of `[stores.vault]`, for sessions only.
    Vault,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ProviderSettings {
    kind: Option<ProviderKind>,
    store: Option<StoreChoice>,
    /// Whatever `store` says, their sessions are in vault.
    vault_accounts: Vec<Account>,
    api_url: Option<String>,
    hosts: Vec<String>,
    token_variable: Option<String>,
    token_prefix: Option<String>,
    header: Option<String>,
    basic_username: Option<String>,
    takes_password: Option<bool>,
    project: Option<String>,
    account: Option<Account>,
    accounts: Vec<Account>,
    issuer: Option<String>,
    authorization_endpoint: Option<String>,
    token_endpoint: Option<String>,
    device_authorization_endpoint: Option<String>,
    revocation_endpoint: Option<String>,
    userinfo_endpoint: Option<String>,
    client_id: Option<String>,
    client_secret_variable: Option<String>,
    client_secret_file: Option<PathBuf>,
    token_endpoint_auth_method: Option<ClientAuthMethod>,
    scopes: Option<Vec<String>>,
    grant: Option<Grant>,
    redirect_port: Option<u16>,
    identity: Option<identity::IdentitySettings>,
    kubernetes_token: KubernetesToken,
}

/// `kind`: how a person logs in, or the name of a known service.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
enum ProviderKind {
    MagicLink,
    ApiKey,
    OAuth(Option<&'static KnownService>),
    Trusting(&'static TrustingService),
}

impl TryFrom<String> for ProviderKind {
    type Error = String;

    fn try_from(kind: String) -> Result<Self, String> {
        match kind.as_str() {
            "magic_link" => Ok(Self::MagicLink),
            "api_key" => Ok(Self::ApiKey),
            "oauth" => Ok(Self::OAuth(None)),
            name => {
                if let Some(known) = TrustingService::find(name) {
                    return Ok(Self::Trusting(known));
                }
                let unknown = || {
                    let known = known::ALL.map(|known| known.kind).into_iter();
                    let known = known.chain(known::TRUSTING.map(|known| known.kind));
                    let known = known.collect::<Vec<_>>().join(", ");
                    format!(
                        "`{}` is not a kind of provider: use oauth, api_key, magic_link, {known}",
                        sanitize(name)
                    )
                };
                Ok(Self::OAuth(Some(KnownService::find(name).ok_or_else(unknown)?)))
            }
        }
    }
}

impl StoreChoice {
    pub fn name(self) -> &'static str {
        match self {
            Self::Keyring => "keyring",
            Self::File => "file",
            Self::Vault => "vault",
        }
    }
}

impl Configuration {
    pub fn load(paths: &Paths) -> Result<Self> {
        let Some(path) = paths.configuration() else { return Ok(Self::default()) };
        let unreadable =
            |reason: &dyn std::fmt::Display| Error::invalid(format!("{} {reason}", path.display()));
        let Some(text) = atomic_file::read_public(path).map_err(|error| unreadable(&error))? else {
            return Ok(Self::default());
        };
        let mut configuration: Self = toml::from_str(&text).map_err(|error| {
            let reason = toml_reason(&text, error.span(), error.message());
            unreadable(&format!("cannot be read: {reason}"))
        })?;
        configuration.resolve_paths(paths).map_err(|error| unreadable(&error.message))?;
        Ok(configuration)
    }

    /// The name of the provider that is used if none is named.
    /// Whether the default provider is selected by the user, and is not just the built-in one.
    pub fn selects_default(&self) -> bool {
        self.variable.is_some() || self.provider.is_some()
    }

    pub fn default_provider(&self) -> &str {
        let name = self.variable.as_deref().or(self.provider.as_deref());
        name.unwrap_or(Provider::DEFAULT_NAME)
    }

    /// Expands `~/`, and rejects a path that depends on the working directory.
    fn resolve_paths(&mut self, paths: &Paths) -> Result<()> {
        let files = self.providers.values_mut().flat_map(|settings| {
            let secret = settings.client_secret_file.iter_mut();
            let identity = settings.identity.iter_mut();
            let identity = identity.flat_map(identity::IdentitySettings::files);
            secret.map(|path| ("client_secret_file", path)).chain(identity)
        });
        let vault = self.stores.vault.iter_mut().flat_map(stores::VaultSettings::files);
        let files = self.ca_file.iter_mut().map(|path| ("ca_file", path)).chain(files);
        for (key, path) in files.chain(vault) {
            if let Some(relative) = path.to_str().and_then(|path| path.strip_prefix("~/")) {
                *path = paths.in_home(relative)?;
            }
            if !path.is_absolute() {
                let path = sanitize(&path.to_string_lossy());
                let message = format!("has a relative path: {key} = \"{path}\"");
                return Err(Error::invalid(message));
            }
        }
        Ok(())
    }

    /// A provider by name, with its default account: built in, with or without settings, or only configured.
    pub fn provider(&self, name: &str) -> Result<Provider> {
        let provider = self.described(name)?;
        let provider = Provider { is_default: name == self.default_provider(), ..provider };
        let shared = self.shared(self.store_of(name))?;
        let names = self.providers.get(name).map_or(&[][..], |settings| &settings.vault_accounts);
        if shared.is_some() || names.is_empty() {
            return Ok(Provider { shared, ..provider });
        }
        let settings = self.shared(Some(StoreChoice::Vault))?;
        let accounts =
            settings.map(|settings| SharedAccounts { names: names.to_vec(), settings: *settings });
        let shared = accounts.as_ref().and_then(|accounts| accounts.settings_of(&provider.account));
        Ok(Provider { shared, shared_accounts: accounts.map(Box::new), ..provider })
    }

    fn described(&self, name: &str) -> Result<Provider> {
        match (built_in(name), self.providers.get(name)) {
            (Some(provider), None) => Ok(provider),
            (Some(provider), Some(settings)) => settings.applied_to(provider),
            (None, Some(settings)) => {
                let provider = settings.applied_to(settings.new_provider(name)?)?;
                self.check_variable(settings, &provider)?;
                Ok(provider)
            }
            (None, None) => Err(Error::invalid(format!("unknown provider `{}`", sanitize(name)))
                .with_hint(format!("the providers are {}", self.names().join(", ")))),
        }
    }

    /// Rejects a variable derived from the name if another provider or a well-known service has it, whose token would be
    /// sent to this one.
    fn check_variable(&self, settings: &ProviderSettings, provider: &Provider) -> Result<()> {
        let variable_of = |name: &str| {
            let configured = self.providers.get(name);
            let configured = configured.and_then(|settings| settings.token_variable.clone());
            configured
                .or_else(|| built_in(name).map(|provider| provider.token_variable.into_owned()))
                .unwrap_or_else(|| oauth::derived_variable(name))
        };
        let names = self.names();
        let other = names
            .iter()
            .find(|name| **name != provider.name && variable_of(name) == provider.token_variable);
        if settings.token_variable.is_none()
            && Self::is_named_after_another_service(settings, &provider.name)
        {
            let (name, variable) = (&provider.name, &provider.token_variable);
            let message = format!(
                "{variable} is the variable of {name}, and [providers.{name}] is another service"
            );
            let hint = format!(
                "name the provider otherwise, or set `token_variable` in [providers.{name}]"
            );
            return Err(Error::invalid(message).with_hint(hint));
        }
        match other {
            Some(other) if settings.token_variable.is_none() => {
                let (name, variable) = (&provider.name, &provider.token_variable);
                let message =
                    format!("{variable} is the variable of two providers: {name} and {other}");
                let hint = format!("set `token_variable` in [providers.{name}]");
                Err(Error::invalid(message).with_hint(hint))
            }
            _ => Ok(()),
        }
    }

    /// Whether the provider has the name of a public service, and is not of its kind.
    fn is_named_after_another_service(settings: &ProviderSettings, name: &str) -> bool {
        let kind = match settings.kind {
            Some(ProviderKind::OAuth(known)) => known.map(|known| known.kind),
            _ => None,
        };
        KnownService::find(name).is_some_and(|known| !known.hosts.is_empty() && kind != Some(name))
    }

    /// Whether the provider's API URL is not configured.
    pub fn is_built_in_url(&self, provider: &Provider) -> bool {
        self.providers.get(&*provider.name).is_none_or(|settings| settings.api_url.is_none())
    }

    /// The exact names in a provider's `hosts`, without the hosts that are built in.
    pub fn configured_hosts(&self, provider: &str) -> impl Iterator<Item = Target> {
        let hosts = self.providers.get(provider).map_or(&[][..], |settings| &settings.hosts);
        hosts.iter().filter_map(|host| HostPattern::parse(host).ok()?.target())
    }

    /// The providers whose `hosts` in `config.toml` match an origin.
    pub fn claims(&self, origin: &Origin) -> Vec<&str> {
        let is_match =
            |host: &String| HostPattern::parse(host).is_ok_and(|host| host.matches(origin));
        let providers = self.providers.iter();
        let claims = providers.filter(|(_, settings)| settings.hosts.iter().any(is_match));
        claims.map(|(name, _)| name.as_str()).collect()
    }

    pub fn project(&self, provider: &str) -> Option<&str> {
        self.providers.get(provider)?.project.as_deref()
    }

    /// The names of all providers, the built-in ones first.
    pub fn names(&self) -> Vec<&str> {
        let built_in = ["mycli", "microtica"];
        let configured = self.providers.keys().map(String::as_str);
        built_in.into_iter().chain(configured.filter(|name| !built_in.contains(name))).collect()
    }
}

impl ProviderSettings {
    fn new_provider(&self, name: &str) -> Result<Provider> {
        let missing =
            |key: &str| Error::invalid(format!("[providers.{}] has no `{key}`", sanitize(name)));
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        if name.is_empty() || !name.bytes().all(is_plain) {
            return Err(Error::invalid(format!(
                "`{}` is not a valid provider name: use letters, digits, - and _",
                sanitize(name)
            )));
        }
        let kind = self.kind.ok_or_else(|| missing("kind"))?;
        if let ProviderKind::OAuth(known) = kind {
            return self.oauth_provider(name, known);
        }
        if let ProviderKind::Trusting(known) = kind {
            return self.trusting_provider(name, known);
        }
        let api_url = self.api_url.clone().ok_or_else(|| missing("api_url"))?;
        let token_variable =
            self.token_variable.clone().ok_or_else(|| missing("token_variable"))?;
        let login = match kind {
            ProviderKind::MagicLink => LoginKind::MagicLink,
            _ => LoginKind::ApiKey { is_microtica: false },
        };
        Ok(Provider::new(name, login, api_url, token_variable))
    }

    fn applied_to(&self, mut provider: Provider) -> Result<Provider> {
        for (field, value) in [
            (&mut provider.api_url, &self.api_url),
            (&mut provider.token_variable, &self.token_variable),
            (&mut provider.token_prefix, &self.token_prefix),
            (&mut provider.basic_username, &self.basic_username),
        ] {
            if let Some(value) = value {
                *field = value.clone().into();
            }
        }
        // `X-Acme-Key`, or `Authorization: Token` with the scheme before the token.
        if let Some(header) = &self.header {
            let (name, scheme) = match header.split_once(':') {
                Some((name, scheme)) => (name, Some(scheme.trim().to_owned().into())),
                None => (header.as_str(), None),
            };
            provider.header = Header { name: name.to_owned().into(), scheme };
        }
        provider.accepts_password = self.takes_password.unwrap_or(provider.accepts_password);
        for host in &self.hosts {
            provider.hosts.push(HostPattern::parse(host)?);
        }
        if let Some(identity) = &self.identity {
            let known = match self.kind {
                Some(ProviderKind::Trusting(known)) => Some(known),
                _ => None,
            };
            provider.identity = Some(Box::new(identity.identity(&provider, known)?));
        }
        Ok(provider)
    }
}

fn built_in(name: &str) -> Option<Provider> {
    match name {
        "mycli" => Some(Provider::MYCLI),
        "microtica" => Some(Provider::MICROTICA),
        _ => None,
    }
}

/// The reason of a TOML error, with its line. The line itself may contain a secret, and is not repeated.
pub fn toml_reason(text: &str, span: Option<Range<usize>>, message: &str) -> String {
    let message = sanitize(message);
    match span.and_then(|span| text.get(..span.start)) {
        Some(before) => format!("line {}: {message}", before.matches('\n').count() + 1),
        None => message,
    }
}

#[cfg(test)]
mod tests {
    use super::Configuration;
    use crate::model::Target;

    #[test]
    fn a_provider_can_be_configured_only() {
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
    fn missing_and_misspelt_keys_are_named() {
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
                .starts_with("`github2` is not a kind of provider: use oauth, ")
        );
        assert_eq!(error(""), "unknown provider `acme`");
        assert!(error("sotre = 'file'").contains("sotre"));
    }
}
