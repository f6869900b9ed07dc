//! The context of a call: the options of the command line, environment, paths and configuration. `config.toml` is read
//! when it is first needed.
//!
//! A variable may select among the providers, accounts and hosts that are configured. A destination that only a
//! variable names receives no secret ([`Context::check_variables`]) and is not stored ([`Context::login_api_url`]):
//! files of a repository, such as those of direnv and of CI jobs, also set variables.

use std::cell::OnceCell;

use super::{Configuration, MyJson, Paths, StoreChoice};
use crate::error::{Error, Result, sanitize};
use crate::model::{
    Account, ChosenBy, CredentialRequest, HostPattern, OAuth, Origin, Provider, Secret,
    SecretLocation,
};
use crate::sys::atomic_file;
use crate::sys::env::Environment;

/// The options before a command, and whether the keyring may prompt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    pub provider: Option<String>,
    pub account: Option<String>,
    pub api_url: Option<String>,
    pub project: Option<String>,
    pub store: Option<StoreChoice>,
    /// Whether the keyring may show a dialog: for `login` on a terminal.
    pub may_prompt: bool,
}

pub struct Context {
    pub environment: Environment,
    pub paths: Paths,
    pub overrides: Overrides,
    configuration: OnceCell<Configuration>,
}

impl Context {
    pub fn from_env(overrides: Overrides) -> Self {
        Self::new(Environment::Process, Paths::detect(), overrides)
    }

    pub fn new(environment: Environment, paths: Paths, overrides: Overrides) -> Self {
        Self { environment, paths, overrides, configuration: OnceCell::new() }
    }

    /// `config.toml`, read once.
    pub fn configuration(&self) -> Result<&Configuration> {
        if let Some(configuration) = self.configuration.get() {
            return Ok(configuration);
        }
        let configuration = Configuration {
            variable: self.environment.text("MY_PROVIDER"),
            ..Configuration::load(&self.paths)?
        };
        Ok(self.configuration.get_or_init(|| configuration))
    }

    /// Where new logins are stored on this machine: `--store`, then `store` of `config.toml`.
    pub fn store_choice(&self) -> Result<Option<StoreChoice>> {
        let store = self.overrides.store.or(self.configuration()?.store);
        Ok(store.filter(|store| *store != StoreChoice::Vault))
    }

    /// The provider by name, or the default one, with its account: `--account`, `MY_ACCOUNT`, or the account in use.
    pub fn provider(&self, name: Option<&str>) -> Result<Provider> {
        let provider = self.descriptor(name)?;
        let account = match self.account_override(&provider.name)? {
            Some((account, _)) => account,
            None => self.configuration()?.account_in_use(&provider.name),
        };
        self.check_store(provider.with_account(account))
    }

    /// The account of `--account` or `MY_ACCOUNT`.
    pub fn account_override(&self, provider: &str) -> Result<Option<(Account, ChosenBy)>> {
        let option = self.overrides.account.clone().map(|name| (name, ChosenBy::Option));
        let variable = || Some((self.environment.text("MY_ACCOUNT")?, ChosenBy::Variable));
        let Some((name, by)) = option.or_else(variable) else { return Ok(None) };
        Ok(Some((self.account(provider, &name)?, by)))
    }

    /// The account of that name, which may be new.
    pub fn account(&self, provider: &str, name: &str) -> Result<Account> {
        let account = Account::parse(name)?;
        // A file system that ignores case would store both accounts in one file.
        let is_twin = |other: &&Account| other.eq_ignore_ascii_case(&account) && **other != account;
        let known = self.configuration()?.other_accounts(provider);
        if let Some(other) = known.iter().chain([&Account::DEFAULT]).find(is_twin) {
            let message = format!("the account of {provider} is spelled `{other}`");
            return Err(Error::invalid(message));
        }
        Ok(account)
    }

    /// The provider of this name, of `--provider`, `MY_PROVIDER` or `config.toml`, else mycli; with its default account.
    pub fn descriptor(&self, name: Option<&str>) -> Result<Provider> {
        let configuration = self.configuration()?;
        let provider = match name.or(self.overrides.provider.as_deref()) {
            Some(name) => configuration.provider(name)?,
            None => selected(configuration)?,
        };
        match self.overrides.store {
            Some(store @ StoreChoice::Vault) => {
                let shared = configuration.shared(Some(store))?;
                Ok(Provider { shared, shared_accounts: None, ..provider })
            }
            _ => self.check_store(provider),
        }
    }

    /// An error if `--store` names another store than that of the provider's account.
    fn check_store(&self, provider: Provider) -> Result<Provider> {
        match self.overrides.store {
            Some(store) if store != StoreChoice::Vault && provider.shared.is_some() => {
                let (name, store) = (&provider.name, store.name());
                let message =
                    format!("config.toml stores the sessions of {} in vault", provider.title());
                let hint = match &provider.shared_accounts {
                    Some(_) => format!(
                        "remove the account from `vault_accounts` in [providers.{name}], or omit `--store`"
                    ),
                    None => format!(
                        "set `store = \"{store}\"` in [providers.{name}], or omit `--store`"
                    ),
                };
                Err(Error::invalid(message).with_hint(hint))
            }
            _ => Ok(provider),
        }
    }

    /// The API's base URL without a final slash: `named`, `--api-url`, the provider's variable, or the configuration.
    pub fn api_url(&self, provider: &Provider, named: Option<&str>) -> Result<String> {
        self.api(provider, named).map(|(url, _)| url)
    }

    /// The origin of [`Context::api_url`].
    pub fn api_origin(&self, provider: &Provider, named: Option<&str>) -> Result<Origin> {
        self.api(provider, named).map(|(_, origin)| origin)
    }

    fn api(&self, provider: &Provider, named: Option<&str>) -> Result<(String, Origin)> {
        match self.api_url_override(provider, named) {
            Some(url) => parse_api_url(&url, "the API URL"),
            None => self.configured_api(provider),
        }
    }

    /// The API URL for a login, which stores it and ends the sessions of another URL. An error if only a variable names it.
    pub fn login_api_url(&self, provider: &Provider) -> Result<String> {
        let (url, configured) = (self.api_url(provider, None)?, self.configured_api_url(provider)?);
        if self.overrides.api_url.is_some() || url == configured {
            return Ok(url);
        }
        let variable = provider.api_url_variable.as_deref().unwrap_or_default();
        let login = provider.command(&format!("login --api-url {url}"));
        let message =
            format!("{variable} names {url}, but the API URL of {} is {configured}", provider.name);
        Err(Error::invalid(message).with_hint(format!(
            "`unset {variable}`; or `{login}`, which logs in there and stores the URL"
        )))
    }

    /// An error if the token of a variable would be sent to an API URL that only a variable names.
    pub fn check_variables(&self, provider: &Provider, request: &CredentialRequest) -> Result<()> {
        let is_option = request.api_url.is_some() || self.overrides.api_url.is_some();
        let Some(url) = self.api_url_variable(provider).filter(|_| !is_option) else {
            return Ok(());
        };
        let (url, origin) = parse_api_url(&url, "the API URL")?;
        let is_host = |origin| provider.hosts.iter().any(|host| host.matches(origin));
        if request.target.as_ref().is_some_and(|target| is_host(&target.origin))
            || is_host(&origin)
            || origin.is_loopback()
            || origin == self.configured_api(provider)?.1
        {
            return Ok(());
        }
        let Provider { name, token_variable: token, .. } = provider;
        let variable = provider.api_url_variable.as_deref().unwrap_or_default();
        Err(Error::invalid(format!("{token} is not sent to {url}, which only {variable} names"))
            .with_hint(format!(
                "if the token may go there, use `--api-url {url}`, or add the host to `hosts` in [providers.{name}] of \
                 config.toml"
            )))
    }

    /// An error if the host is another provider's: only one of them could send its token there.
    pub fn check_free(&self, provider: &str, host: &HostPattern) -> Result<()> {
        self.check_free_in(self.configuration()?, provider, host)
    }

    /// An error if a host of one of these providers is also another one's, as after an edit by hand.
    pub fn check_hosts(&self, configuration: &Configuration, names: &[&str]) -> Result<()> {
        let providers = names.iter().filter_map(|name| configuration.provider(name).ok());
        for provider in providers {
            for host in &provider.hosts {
                self.check_free_in(configuration, &provider.name, host)?;
            }
        }
        Ok(())
    }

    fn check_free_in(
        &self,
        configuration: &Configuration,
        provider: &str,
        host: &HostPattern,
    ) -> Result<()> {
        for name in configuration.names().into_iter().filter(|name| *name != provider) {
            // A misconfigured provider owns no host.
            let Ok(other) = configuration.provider(name) else { continue };
            let Ok((_, api)) = self.configured_api(&other) else { continue };
            let mut origins =
                other.hosts.iter().flat_map(HostPattern::origins).chain([api.clone()]);
            if other.hosts.contains(host)
                || host.target().is_some_and(|target| other.owns(&target, &api))
                || origins.any(|origin| host.matches(&origin))
            {
                let command = "my-credential-helper --provider";
                return Err(Error::invalid(format!("{host} is a host of the provider {name}"))
                    .with_hint(format!(
                        "`--provider {name}` selects that provider; to send the token of {provider} there instead, \
                         first run `{command} {name} config remove hosts {host}`"
                    )));
            }
        }
        Ok(())
    }

    /// Whether this is a CI job. Some CI systems do not set `CI`.
    pub fn is_job(&self) -> bool {
        let is_set = |name| self.environment.get(name).is_some_and(|value| value != "false");
        ["CI", "TF_BUILD", "JENKINS_URL", "TEAMCITY_VERSION"].into_iter().any(is_set)
    }

    /// The hint of `not_logged_in`: a login requires a home directory and a person.
    pub fn login_hint(&self, provider: &Provider) -> String {
        let variable = &provider.token_variable;
        let is_job = self.is_job();
        match self.paths.in_home("") {
            _ if is_job && provider.identity.is_some() => {
                let identity = provider.identity.as_ref();
                let hint = identity.map(|it| it.source.hint(&it.audience)).unwrap_or_default();
                format!("in a CI job, {hint}; or set {variable} to a token")
            }
            Err(problem) => format!("{}, or set {variable}", problem.hint()),
            Ok(_) if is_job => {
                format!("in a CI job, set {variable} to a token")
            }
            Ok(_) => provider.login_hint(),
        }
    }

    pub fn client_secret(&self, oauth: &OAuth) -> Result<Option<Secret>> {
        let Some(location) = &oauth.client_secret else { return Ok(None) };
        let secret = self.secret(location)?;
        if secret.as_ref().is_some_and(Secret::has_control_character) {
            let source = match location {
                SecretLocation::Variable(name) => name.clone(),
                SecretLocation::File(path) => path.display().to_string(),
            };
            let message = format!("{source} contains a control character or a second line");
            return Err(Error::invalid(message).with_hint("a client secret is one line"));
        }
        Ok(secret)
    }

    /// The secret of a variable or a file, without blanks around it; `None` if it is missing or empty.
    pub fn secret(&self, location: &SecretLocation) -> Result<Option<Secret>> {
        let text = match location {
            SecretLocation::Variable(name) => self.environment.text(name).map(Secret::new),
            SecretLocation::File(path) => atomic_file::read(path)
                .map_err(|reason| Error::invalid_state(format!("{} {reason}", path.display())))?
                .map(|contents| contents.text),
        };
        let secret = text.map(|text| Secret::trimmed(text.expose_secret()));
        Ok(secret.filter(|secret| !secret.is_empty()))
    }

    /// The API URL of the stored session, if another URL is in force. The session is then neither sent nor removed.
    pub fn other_login_url(
        &self,
        provider: &Provider,
        named: Option<&str>,
    ) -> Result<Option<String>> {
        let Some(url) = self.api_url_override(provider, named) else { return Ok(None) };
        let configured = self.configured_api_url(provider)?;
        Ok((parse_api_url(&url, "the API URL")?.0 != configured).then_some(configured))
    }

    fn api_url_override(&self, provider: &Provider, named: Option<&str>) -> Option<String> {
        let option = || self.overrides.api_url.clone();
        let variable = || self.api_url_variable(provider);
        named.map(str::to_owned).or_else(option).or_else(variable)
    }

    fn api_url_variable(&self, provider: &Provider) -> Option<String> {
        self.environment.text(provider.api_url_variable.as_deref()?)
    }

    /// The configured API URL, which the stored session is for. The `my` command line configures mycli's URL.
    pub fn configured_api_url(&self, provider: &Provider) -> Result<String> {
        self.configured_api(provider).map(|(url, _)| url)
    }

    fn configured_api(&self, provider: &Provider) -> Result<(String, Origin)> {
        let shared =
            if provider.shares_with_my { MyJson::load(&self.paths)?.api_url } else { None };
        parse_api_url(shared.as_deref().unwrap_or(&provider.api_url), "the configured API URL")
    }
}

/// The default provider. An error names what selects an unknown one.
fn selected(configuration: &Configuration) -> Result<Provider> {
    let name = configuration.default_provider();
    let names = configuration.names();
    if names.contains(&name) {
        return configuration.provider(name);
    }
    let (selects, fix) = match configuration.variable {
        Some(_) => ("MY_PROVIDER names", "unset MY_PROVIDER"),
        None => ("config.toml selects", "my-credential-helper config unset provider"),
    };
    let message = format!("{selects} the unknown provider `{}`", sanitize(name));
    let hint = format!("run `{fix}`, or use one of: {}", names.join(", "));
    Err(Error::invalid(message).with_hint(hint))
}

/// A base URL without a final slash, and its origin. The error does not repeat the URL, which may contain a password.
fn parse_api_url(url: &str, which: &str) -> Result<(String, Origin)> {
    let url = url.trim().trim_end_matches('/');
    let origin = Provider::api_origin(url).map_err(|error| error.about(which))?;
    Ok((url.to_owned(), origin))
}
