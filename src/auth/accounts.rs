//! The accounts of a provider, and the account for a request. The order: the account that the request, `--account` or
//! `MY_ACCOUNT` names; the user name of the request; the longest pattern of `[accounts]` that matches the URL; the
//! account in use.

use super::Engine;
use super::resolve::no_session;
use crate::config::edit::{self, Editor};
use crate::config::{Configuration, accounts};
use crate::error::{Error, Result};
use crate::model::{
    Account, Attempt, ChosenBy, CredentialRequest, Outcome, Provider, StoreFailure, Subject,
    Target, Warning,
};

pub(super) struct AccountChoice {
    pub(super) provider: Provider,
    /// The reason for the account, if there are several.
    pub(super) attempt: Option<Attempt>,
    /// The part of the host for which a pattern selected the account.
    pub(super) prefix: Option<Target>,
    /// Whether the user name of the request selected the account, and is not also the user name of the response.
    pub(super) by_username: bool,
}

impl AccountChoice {
    fn new(provider: Provider, account: Account, by: ChosenBy) -> Self {
        let attempt = Attempt::new(Subject::Account(account.clone()), Outcome::Chosen(by));
        let provider = provider.with_account(account);
        Self { provider, attempt: Some(attempt), prefix: None, by_username: false }
    }
}

impl Engine<'_> {
    /// Selects the account for a request. `provider` has its default account.
    pub(super) fn choose_account(
        &self,
        request: &CredentialRequest,
        provider: Provider,
    ) -> Result<AccountChoice> {
        let configuration = self.context.configuration()?;
        if let Some(name) = &request.account {
            let account = self.context.account(&provider.name, name)?;
            return Ok(AccountChoice::new(provider, account, ChosenBy::Request));
        }
        if let Some((account, by)) = self.context.account_override(&provider.name)? {
            return Ok(AccountChoice::new(provider, account, by));
        }
        let others = configuration.other_accounts(&provider.name);
        let is_named = |account: &&Account| request.username.as_deref() == Some(&***account);
        let default = (!others.is_empty()).then_some(&Account::DEFAULT);
        if let Some(account) = others.iter().chain(default).find(is_named) {
            let choice = AccountChoice::new(provider, account.clone(), ChosenBy::Username);
            return Ok(AccountChoice { by_username: true, ..choice });
        }
        if let Some(target) = &request.target
            && let Some(pattern) = configuration.account_pattern(target)
        {
            let by = ChosenBy::Pattern(pattern.text.clone());
            let choice = AccountChoice::new(provider, pattern.account.clone(), by);
            return Ok(AccountChoice { prefix: Some(pattern.prefix(target)), ..choice });
        }
        let account = configuration.account_in_use(&provider.name);
        if others.is_empty() && account.is_default() {
            return Ok(AccountChoice { provider, attempt: None, prefix: None, by_username: false });
        }
        Ok(AccountChoice::new(provider, account, ChosenBy::InUse))
    }

    /// The provider with each of its accounts, logged in or not; the default account is the first.
    pub fn accounts(&self, name: &str) -> Result<Vec<Provider>> {
        let configuration = self.context.configuration()?;
        let provider = configuration.provider(name)?;
        let in_use = configuration.account_in_use(name);
        let mut accounts = vec![Account::DEFAULT];
        for account in configuration.other_accounts(name).iter().chain([&in_use]) {
            if !accounts.contains(account) {
                accounts.push(account.clone());
            }
        }
        Ok(accounts.into_iter().map(|account| provider.clone().with_account(account)).collect())
    }

    /// Ensures that [`Engine::register_account`] succeeds.
    pub(super) fn check_account(&self, provider: &Provider) -> Result<()> {
        let configuration = self.context.configuration()?;
        let known = configuration.other_accounts(&provider.name);
        let is_known = provider.account.is_default() || known.contains(&provider.account);
        if is_known { Ok(()) } else { edit::check_writable(&self.context.paths) }
    }

    /// Adds an account to the configuration before its first session is stored, so that `list` always has it. The
    /// account is put in use if the one in use is not logged in.
    pub(super) fn register_account(&self, provider: &Provider) -> Result<Option<Warning>> {
        let configuration = self.context.configuration()?;
        let known = configuration.other_accounts(&provider.name);
        if provider.account.is_default() || known.contains(&provider.account) {
            return Ok(None);
        }
        let in_use = configuration.account_in_use(&provider.name);
        let in_use = self.context.descriptor(Some(&provider.name))?.with_account(in_use);
        let is_free = self.load(&in_use).newest.is_none();
        let paths = &self.context.paths;
        let editor = Editor::lock(paths)?;
        // The configuration may have changed before the lock was taken.
        let mut others = Configuration::load(paths)?.other_accounts(&provider.name).to_vec();
        others.push(provider.account.clone());
        accounts::set_others(&editor, provider, &others)?;
        if is_free {
            accounts::set_in_use(&editor, provider, &provider.account)?;
            return Ok(None);
        }
        let default = Provider { account: Account::DEFAULT, ..provider.clone() };
        let command = default.command(&format!("account use {}", provider.account));
        Ok(Some(Warning::AccountNotInUse { command }))
    }

    /// Removes an account from the configuration. If it was in use, the default one is put in use.
    pub fn unregister_account(&self, provider: &Provider) -> Result<Option<Warning>> {
        if provider.account.is_default() {
            return Ok(None);
        }
        let paths = &self.context.paths;
        let editor = Editor::lock(paths)?;
        let configuration = Configuration::load(paths)?;
        let mut others = configuration.other_accounts(&provider.name).to_vec();
        if !others.contains(&provider.account) {
            return Ok(None);
        }
        others.retain(|account| *account != provider.account);
        accounts::set_others(&editor, provider, &others)?;
        if configuration.account_in_use(&provider.name) != provider.account {
            return Ok(None);
        }
        accounts::set_in_use(&editor, provider, &Account::DEFAULT)?;
        Ok(Some(Warning::DefaultAccountInUse { provider: provider.name.to_string() }))
    }

    /// A session belongs to the API URL of the configuration: after a change of that URL, the next request would send
    /// the token to the new service. An error if an account of the provider is logged in, or may be: its store cannot
    /// be read now, or is off and `config.toml` lists the account, which a login adds and a logout removes.
    pub fn check_no_session(&self, provider: &Provider) -> Result<()> {
        let configuration = self.context.configuration()?;
        let listed = configuration.other_accounts(&provider.name);
        let mut accounts = self.accounts(&provider.name)?;
        if !accounts.iter().any(|known| known.account == provider.account) {
            accounts.push(provider.clone());
        }
        for account in &accounts {
            let loaded = self.load(account);
            let (title, logout) = (account.title(), account.command("logout"));
            if loaded.newest.is_some() {
                let at = self.context.configured_api_url(account)?;
                let message = format!(
                    "logged in to {title} at {at}; the session would be sent to the new URL"
                );
                return Err(Error::invalid(message).with_hint(format!(
                    "run `{logout}` first, or `login --api-url URL` to replace the session"
                )));
            }
            if loaded.problem.is_some() {
                return Err(no_session(&loaded, account, self.context));
            }
            let off = loaded.trail.attempts.iter().find_map(|attempt| match &attempt.outcome {
                Outcome::Unavailable(StoreFailure::Off(reason)) => Some(reason),
                _ => None,
            });
            if let Some(reason) = off.filter(|_| listed.contains(&account.account)) {
                let message = format!("the keyring may have the login to {title}: {reason}");
                let hint = format!("run this with the keyring, or `{logout}` first");
                return Err(Error::invalid_state(message).with_hint(hint));
            }
        }
        Ok(())
    }

    pub fn use_account(&self, provider: &Provider, account: &Account) -> Result<()> {
        accounts::set_in_use(&Editor::lock(&self.context.paths)?, provider, account)
    }
}
