//! What one run of the program has to do with: variables, directories, stores, settings. Each is looked at when it is
//! first needed, and not before.

use std::cell::{OnceCell, RefCell};
use std::time::Duration;

use crate::config::paths::Paths;
use crate::config::{Configuration, MyJson, StoreChoice};
use crate::error::{Error, Result};
use crate::model::origin::Origin;
use crate::model::provider::{Account, Provider};
use crate::store::Stores;
use crate::store::file::FileStore;
use crate::store::keyring::KeyringStore;
use crate::sys::env::Environment;
use crate::sys::log::Trace;

/// How long one run may wait for the keyring, all calls together.
const KEYRING_PATIENCE: Duration = Duration::from_secs(3);

/// What was said on the command line, for every verb.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `--provider`
    pub provider: Option<String>,
    /// `--account`
    pub account: Option<String>,
    /// `--api-url`
    pub api_url: Option<String>,
    /// `--project`
    pub project: Option<String>,
    /// `--store`
    pub store: Option<StoreChoice>,
}

/// Everything outside.
pub struct Context {
    /// The variables.
    pub environment: Environment,
    /// The directories.
    pub paths: Paths,
    /// What was said on the command line.
    pub overrides: Overrides,
    /// For whoever wants to know what happens.
    pub trace: Trace,
    /// One for the whole run: its calls share a connection and a budget of time.
    keyring: KeyringStore,
    notes: RefCell<Vec<String>>,
    configuration: OnceCell<Configuration>,
}

impl Context {
    /// This process.
    pub fn of_this_process(overrides: Overrides) -> Self {
        Self::new(Environment::Process, Paths::of_this_process(), overrides)
    }

    /// Another one, for a test.
    pub fn new(environment: Environment, paths: Paths, overrides: Overrides) -> Self {
        let keyring = KeyringStore::new(&environment, &paths, KEYRING_PATIENCE);
        let (notes, configuration) = (RefCell::default(), OnceCell::new());
        let trace = Trace::of(&environment);
        Self { environment, paths, overrides, trace, keyring, notes, configuration }
    }

    /// `config.toml`, read once.
    pub fn configuration(&self) -> Result<&Configuration> {
        if let Some(configuration) = self.configuration.get() {
            return Ok(configuration);
        }
        let configuration = Configuration::load(&self.paths)?;
        self.trace.say(|| match self.paths.configuration() {
            Some(path) => format!("settings of {}, where it is there", path.display()),
            None => "no settings: the home directory is not ours".to_owned(),
        });
        Ok(self.configuration.get_or_init(|| configuration))
    }

    /// The places that can be written. No connection is made.
    pub fn stores(&self) -> Result<Stores<'_>> {
        Ok(Stores {
            paths: &self.paths,
            keyring: &self.keyring,
            file: FileStore::new(&self.paths, &self.notes),
            choice: self.overrides.store.or(self.configuration()?.store),
        })
    }

    /// Tells the person something, where the tool allows it.
    pub fn note(&self, note: impl Into<String>) {
        self.notes.borrow_mut().push(note.into());
    }

    /// What is to be told; it is told once.
    pub fn take_notes(&self) -> Vec<String> {
        self.notes.take()
    }

    /// The provider by name, or the default one, with its account in force: `--account`, `MY_ACCOUNT`, the one in use.
    pub fn provider(&self, name: Option<&str>) -> Result<Provider> {
        let provider = self.descriptor(name)?;
        let account = match self.account_override(&provider.name)? {
            Some((account, _)) => account,
            None => self.configuration()?.account_in_use(&provider.name),
        };
        Ok(provider.with_account(account))
    }

    /// The account that is asked for by name, and where.
    pub fn account_override(&self, provider: &str) -> Result<Option<(Account, &'static str)>> {
        let by_option = self.overrides.account.clone().map(|name| (name, "--account"));
        let Some((name, by)) =
            by_option.or_else(|| Some((self.environment.text("MY_ACCOUNT")?, "MY_ACCOUNT")))
        else {
            return Ok(None);
        };
        Ok(Some((self.account(provider, &name)?, by)))
    }

    /// An account by its name, be it known or new.
    pub fn account(&self, provider: &str, name: &str) -> Result<Account> {
        let account = Account::parse(name)?;
        // Where the file system does not tell them apart, one would be the other.
        let is_twin = |other: &&Account| other.eq_ignore_ascii_case(&account) && **other != account;
        match self
            .configuration()?
            .further_accounts(provider)
            .iter()
            .chain([&Account::DEFAULT])
            .find(is_twin)
        {
            Some(other) => {
                Err(Error::invalid(format!("the account of {provider} is written `{other}`")))
            }
            None => Ok(account),
        }
    }

    /// The provider by name, or the default one: `--provider`, `MY_PROVIDER`, `config.toml`, mycli; with its default
    /// account, whichever is in force.
    pub fn descriptor(&self, name: Option<&str>) -> Result<Provider> {
        let configuration = self.configuration()?;
        let variable = || self.environment.text("MY_PROVIDER");
        let name =
            name.map(str::to_owned).or_else(|| self.overrides.provider.clone()).or_else(variable);
        configuration.provider(
            name.as_deref().or(configuration.provider.as_deref()).unwrap_or(Provider::DEFAULT_NAME),
        )
    }

    /// The API's base URL, without a slash at its end: `--api-url`, the provider's variable, then what is configured.
    pub fn api_url(&self, provider: &Provider, named: Option<&str>) -> Result<String> {
        self.api(provider, named).map(|(url, _)| url)
    }

    /// Whose origin that is.
    pub fn api_origin(&self, provider: &Provider, named: Option<&str>) -> Result<Origin> {
        self.api(provider, named).map(|(_, origin)| origin)
    }

    fn api(&self, provider: &Provider, named: Option<&str>) -> Result<(String, Origin)> {
        match self.api_url_override(provider, named) {
            Some(url) => usable(&url, "the API URL"),
            None => self.configured_api(provider),
        }
    }

    /// Where the stored session is logged in, if that is not the URL in force: then it is neither used nor sent nor
    /// cleared.
    pub fn logged_in_elsewhere(
        &self,
        provider: &Provider,
        named: Option<&str>,
    ) -> Result<Option<String>> {
        let Some(in_force) = self.api_url_override(provider, named) else { return Ok(None) };
        let configured = self.configured_api_url(provider)?;
        Ok((usable(&in_force, "the API URL")?.0 != configured).then_some(configured))
    }

    fn api_url_override(&self, provider: &Provider, named: Option<&str>) -> Option<String> {
        let variable = || self.environment.text(provider.api_url_variable.as_deref()?);
        named.map(str::to_owned).or_else(|| self.overrides.api_url.clone()).or_else(variable)
    }

    /// The URL that a session belongs to. mycli's is where the `my` command line looks for it.
    pub fn configured_api_url(&self, provider: &Provider) -> Result<String> {
        self.configured_api(provider).map(|(url, _)| url)
    }

    fn configured_api(&self, provider: &Provider) -> Result<(String, Origin)> {
        let shared = if provider.name == Provider::DEFAULT_NAME {
            MyJson::load(&self.paths)?.api_url
        } else {
            None
        };
        usable(shared.as_deref().unwrap_or(&provider.api_url), "the configured API URL")
    }
}

/// Without a slash at its end, and its origin. One that no token could go to is refused here, before anybody shows it: there may be a
/// password in it.
fn usable(url: &str, which: &str) -> Result<(String, Origin)> {
    let url = url.trim().trim_end_matches('/');
    match Provider::api_origin(url) {
        Ok(origin) => Ok((url.to_owned(), origin)),
        Err(error) => Err(Error { message: format!("{which}: {}", error.message), ..error }),
    }
}
