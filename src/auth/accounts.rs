//! Which of several logins with a provider answers a request, and which there are. The order: the one that is asked for
//! by name (`--account`, `MY_ACCOUNT`), the user name of the request, the longest pattern of `[accounts]` that matches
//! its URL, the one in use.

use std::time::{Duration, Instant};

use crate::auth::context::Context;
use crate::config::{Configuration, accounts};
use crate::error::{Attempt, Error, Result};
use crate::model::origin::Target;
use crate::model::provider::{Account, Provider};
use crate::model::request::CredentialRequest;
use crate::store::session;
use crate::sys::lock;

/// The lock around a change of the list of accounts.
const LOCK: &str = ".my/sessions/accounts.lock";

/// A provider with the account that answers.
pub struct AccountChoice {
    /// With that account.
    pub provider: Provider,
    /// Why it is that one, where there was a choice.
    pub reason: Option<Attempt>,
    /// The part of a host that it was chosen for.
    pub place: Option<Target>,
    /// Whether the user name of the request did no more than choose it.
    pub by_username: bool,
}

/// The account that answers `ask`, for a provider that speaks for its default one.
pub fn choose(
    context: &Context,
    ask: &CredentialRequest,
    provider: Provider,
) -> Result<AccountChoice> {
    let configuration = context.configuration()?;
    if let Some(name) = &ask.account {
        let account = context.account(&provider.name, name)?;
        return Ok(chosen(provider, account, "asked for"));
    }
    if let Some((account, by)) = context.account_override(&provider.name)? {
        return Ok(chosen(provider, account, by));
    }
    let further = configuration.further_accounts(&provider.name);
    let is_named = |account: &&Account| ask.username.as_deref() == Some(&***account);
    let default = (!further.is_empty()).then_some(&Account::DEFAULT);
    if let Some(account) = further.iter().chain(default).find(is_named) {
        return Ok(AccountChoice {
            by_username: true,
            ..chosen(provider, account.clone(), "the user name")
        });
    }
    if let Some(target) = &ask.target
        && let Some(pattern) = configuration.account_pattern(target)
    {
        let by = format!("[accounts] {}", pattern.text);
        return Ok(AccountChoice {
            place: Some(pattern.place(target)),
            ..chosen(provider, pattern.account.clone(), &by)
        });
    }
    let account = configuration.account_in_use(&provider.name);
    if further.is_empty() && account.is_default() {
        return Ok(AccountChoice { provider, reason: None, place: None, by_username: false });
    }
    Ok(chosen(provider, account, "in use"))
}

fn chosen(provider: Provider, account: Account, by: &str) -> AccountChoice {
    let reason = Some(Attempt::new(format!("account {account}"), by));
    AccountChoice {
        provider: provider.with_account(account),
        reason,
        place: None,
        by_username: false,
    }
}

/// A provider once for each account that is known, the default one first; each may or may not be logged in.
pub fn all(context: &Context, name: &str) -> Result<Vec<Provider>> {
    let configuration = context.configuration()?;
    let provider = configuration.provider(name)?;
    let further =
        configuration.further_accounts(name).iter().filter(|account| !account.is_default());
    let in_use = configuration.account_in_use(name);
    let mut accounts: Vec<_> = [Account::DEFAULT].iter().chain(further).cloned().collect();
    if !accounts.contains(&in_use) {
        accounts.push(in_use);
    }
    Ok(accounts.into_iter().map(|account| provider.clone().with_account(account)).collect())
}

/// Takes note of an account before its first login is kept, so that none is kept that nobody can list. It is in use
/// from then on where nobody is logged in as the one that was.
pub fn register(context: &Context, provider: &Provider) -> Result<()> {
    let configuration = context.configuration()?;
    if provider.account.is_default()
        || configuration.further_accounts(&provider.name).contains(&provider.account)
    {
        return Ok(());
    }
    let in_use = context
        .descriptor(Some(&provider.name))?
        .with_account(configuration.account_in_use(&provider.name));
    let is_free = session::load(&context.stores()?.in_order(), &in_use.slot).newest.is_none();
    let _lock = lock(context)?;
    // What was read before the lock is gone.
    let mut further =
        Configuration::load(&context.paths)?.further_accounts(&provider.name).to_vec();
    further.push(provider.account.clone());
    accounts::set_further(&context.paths, provider, &further)?;
    if is_free {
        accounts::set_in_use(&context.paths, provider, &provider.account)?;
    } else {
        let (account, verb) =
            (&provider.account, Provider { account: Account::DEFAULT, ..provider.clone() });
        context
            .note(format!("`{}` puts it in use", verb.command(&format!("account use {account}"))));
    }
    Ok(())
}

/// Forgets that there is such an account; the default one is in use where it was.
pub fn unregister(context: &Context, provider: &Provider) -> Result<()> {
    if provider.account.is_default() {
        return Ok(());
    }
    let _lock = lock(context)?;
    let configuration = Configuration::load(&context.paths)?;
    let mut further = configuration.further_accounts(&provider.name).to_vec();
    if !further.contains(&provider.account) {
        return Ok(());
    }
    further.retain(|account| *account != provider.account);
    accounts::set_further(&context.paths, provider, &further)?;
    if configuration.account_in_use(&provider.name) == provider.account {
        accounts::set_in_use(&context.paths, provider, &Account::DEFAULT)?;
        context.note(format!("the account in use of {} is `default` now", provider.name));
    }
    Ok(())
}

/// Puts an account in use.
pub fn use_account(context: &Context, provider: &Provider, account: &Account) -> Result<()> {
    let _lock = lock(context)?;
    accounts::set_in_use(&context.paths, provider, account)
}

fn lock(context: &Context) -> Result<lock::Lock> {
    let path = context.paths.in_home(LOCK).map_err(Error::invalid_state)?;
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        if let Some(lock) = lock::try_lock(&path)? {
            return Ok(lock);
        }
        if Instant::now() >= deadline {
            return Err(Error::temporary("another process has been changing the accounts for 5 s"));
        }
        std::thread::sleep(lock::PAUSE);
    }
}
