//! `store`, `erase` and `list`. Sends no request to a service.

use std::time::Duration;

use super::refresh::{ForcedBy, LOCK_TIMEOUT, last_refreshed};
use super::{Engine, LIST_TIMEOUT};
use crate::config::StoreChoice;
use crate::error::{Error, ErrorCode, Result, sanitize};
use crate::model::{
    Credential, CredentialRequest, EraseRequest, Kind, LegacyUrl, ListEntry, Occasion, Provider,
    Response, Secret, Session, Source, StoreFailure, StoreRequest, StoredAt, Target, Timestamp,
    ToolTraits, Trail, UrlCredential, Warning, jwt,
};
use crate::store::session::{LoadedSessions, StoredSession};
use crate::store::{env, left, owner, session, url_credentials};
use crate::sys::atomic_file;
use crate::sys::lock::Lock;

/// The wait before a new login is saved without the lock: longer than a refresh of mycli.
const GRANTED_LOCK_TIMEOUT: Duration = Duration::from_secs(10);

/// Where a session was saved, and a warning about its account.
type Saved = (StoredAt, Option<Warning>);

/// The entries, and a warning for each provider that is left out.
type Listing = (Vec<ListEntry>, Vec<Warning>);

impl Engine<'_> {
    pub fn store(&self, store: StoreRequest) -> Result<Response> {
        let StoreRequest { request, secret, scheme, refresh_token, expires_at, occasion } = store;
        let provider = self.provider_of(&request, &mut Trail::default())?;
        let exp = || jwt::claims(&secret).exp.map(Timestamp::from_unix);
        let expires_at = expires_at.or_else(exp);
        let Some(target) = request.target.clone() else {
            let provider =
                provider.ok_or_else(|| Error::invalid("`store` needs a `url` or a `provider`"))?;
            let provider = self.choose_account(&request, provider)?.provider;
            let session = Session::api_token(secret, expires_at, self.clock.now());
            let session = Session { refresh_token, ..session };
            return Ok(Response::Stored(self.save_session(&provider, &session)?.0));
        };
        if let Some(provider) = &provider {
            let is_own = self.is_session_token(provider, &secret)?;
            match occasion {
                Occasion::Use if is_own || self.returns_token(&request, provider) => {
                    return Ok(Response::Nothing);
                }
                Occasion::Login if is_own => return Ok(Response::Nothing),
                Occasion::Explicit if is_own => {
                    let name = &provider.name;
                    let message = format!(
                        "a session of {name} cannot be stored as the credential of a single host"
                    );
                    return Err(Error::invalid(message).with_hint(provider.login_hint()));
                }
                _ => {}
            }
        }
        let username = request.username.unwrap_or_default();
        let stored_at = self.clock.now();
        let credential = UrlCredential {
            target,
            username,
            secret,
            scheme,
            expires_at,
            refresh_token,
            stored_at,
        };
        let choice = self.context.store_choice()?;
        self.delete_left();
        let _lock = self.lock_url_credentials();
        url_credentials::save(&self.stores, choice, request.tool.name, &credential)
            .map(Response::Stored)
    }

    /// Whether the secret is the access token or the ID token of a session of the provider, in a store or in the
    /// variable, with or without a scheme. Compares values: registries and CI systems issue JWTs, too.
    fn is_session_token(&self, provider: &Provider, secret: &Secret) -> Result<bool> {
        let is_own = |kind, token: &Secret| kind == Kind::Session && secret.is_token(token);
        let variable =
            env::read(&self.context.environment, &provider.token_variable, self.clock.now());
        if variable.ok().flatten().is_some_and(|found| is_own(found.kind, &found.token)) {
            return Ok(true);
        }
        let accounts = self.accounts(&provider.name)?;
        Ok(self.in_time(LIST_TIMEOUT, |engine| {
            accounts.iter().any(|account| {
                let LoadedSessions { newest, older, .. } = engine.load(account);
                let mut sessions = newest.iter().chain(&older).map(|stored| &stored.session);
                sessions.any(|it| it.tokens().any(|token| is_own(it.kind(), token)))
            })
        }))
    }

    /// Whether a session of this provider could be stored: checked before the person logs in.
    pub fn check_login(&self, provider: &Provider) -> Result<()> {
        self.check_account(provider)?;
        if let Some(settings) = &provider.shared {
            return self.check_shared(provider, settings);
        }
        let checked = self.stores.check_new(self.context.store_choice()?, &provider.key);
        checked.map_err(|error| match self.context.paths.in_home("") {
            Err(problem) if error.hint.is_none() => error.with_hint(problem.hint()),
            _ => error,
        })
    }

    /// Moves the session of an account to the store of `--store`; `None` if there is no session in the other store.
    pub fn move_session(&self, provider: &Provider) -> Result<Option<StoredAt>> {
        if provider.shared.is_some() {
            return Ok(None);
        }
        let _lock = self.lock_session(&provider.key, LOCK_TIMEOUT)?;
        let to = match self.context.store_choice()? {
            Some(StoreChoice::Keyring) => Source::Keyring,
            _ => Source::File,
        };
        match session::load(&self.stores, &provider.key).newest {
            Some(stored) if stored.source != to => {
                self.write_session(provider, &stored.session).map(|(stored, _)| Some(stored))
            }
            _ => Ok(None),
        }
    }

    /// Stores a new session under the lock, and deletes an older one from the other store.
    pub fn save_session(&self, provider: &Provider, session: &Session) -> Result<Saved> {
        let is_shared = provider.shared.is_some();
        let lock = (!is_shared).then(|| self.lock_session(&provider.key, LOCK_TIMEOUT));
        let _lock = lock.transpose()?;
        self.write_session(provider, session)
    }

    /// As [`Engine::save_session`], for a session of a new login, which the service issues once: saves it even if the
    /// lock cannot be taken. A process that still holds the lock is suspended, or finds the new session after its
    /// request.
    pub fn save_granted(&self, provider: &Provider, session: &Session) -> Result<Saved> {
        let is_shared = provider.shared.is_some();
        let lock = (!is_shared).then(|| self.lock_session(&provider.key, GRANTED_LOCK_TIMEOUT));
        let _lock = lock.and_then(Result::ok);
        self.write_session(provider, session)
    }

    fn write_session(&self, provider: &Provider, session: &Session) -> Result<Saved> {
        let warning = self.register_account(provider)?;
        if let Some(settings) = &provider.shared {
            let stored = self.save_shared(provider, settings, session)?;
            // As after a login of this machine: the old session is not in force.
            let _ = self.forget_session(&provider.of_this_machine(), None);
            return Ok((stored, warning));
        }
        let text = session::encode(&provider.key, session);
        let stored = self.stores.write_new(self.context.store_choice()?, &provider.key, &text)?;
        // If the other store cannot be reached, its session stays the older one, and is not in force. A refresh removes it;
        // a token that is never refreshed is remembered.
        let removed = self.stores.get(stored.source.other()).delete(&provider.key);
        if removed.is_err() && stored.source == Source::File && session.refresh_token.is_none() {
            let _ = left::remember(&self.stores, &provider.key, self.clock.now());
        }
        last_refreshed::forget(&self.stores, provider);
        Ok((stored, warning))
    }

    /// Erases a credential that a service rejected, or a person no longer needs; returns whether anything changed.
    pub fn erase(&self, erase: &EraseRequest) -> Result<bool> {
        let EraseRequest { request, secret } = erase;
        if request.target.as_ref().is_some_and(|target| !target.origin.is_safe()) {
            // No credential is stored for such a target.
            return Ok(false);
        }
        match self.provider_of(request, &mut Trail::default())? {
            Some(provider) if request.target.is_none() => {
                let provider = self.choose_account(request, provider)?.provider;
                self.forget_session(&provider, secret.as_ref())
            }
            provider => {
                self.delete_left();
                let is_empty = url_credentials::is_empty(&self.stores);
                let _lock = if is_empty { None } else { self.lock_url_credentials() };
                let mut erased = url_credentials::erase(&self.stores, request, secret.as_ref())?;
                if let Some(other) = request.for_other_scheme() {
                    erased |= url_credentials::erase(&self.stores, &other, secret.as_ref())?;
                }
                let marked = match (&provider, secret) {
                    (Some(provider), Some(secret)) => self.mark_any_rejected(provider, secret)?,
                    _ => false,
                };
                Ok(erased || marked)
            }
        }
    }

    /// Erases what version 0.1.0 stored for a URL that is an error today; returns that error if there is nothing.
    pub(super) fn erase_legacy(
        &self,
        url: &LegacyUrl,
        EraseRequest { request, secret }: &EraseRequest,
        error: Error,
    ) -> Result<Response> {
        let erased = url_credentials::erase_legacy(&self.stores, url, request, secret.as_ref())?;
        if erased { Ok(Response::Erased(true)) } else { Err(error) }
    }

    /// Deletes what earlier calls could not delete from the keyring. What cannot be deleted now is left to the next call.
    pub fn delete_left(&self) {
        for item in left::all(&self.stores) {
            let path = self.context.paths.in_home(&item.lock).ok();
            let lock =
                path.and_then(|path| self.wait_for_lock(&path, Duration::ZERO).ok().flatten());
            if lock.is_some() && item.delete(&self.stores).is_err() {
                return;
            }
        }
    }

    /// The lock for every change of the URL credentials: an erase deletes only the secret that it has read. In a read-only
    /// home, where the lock cannot be taken, nothing can change.
    fn lock_url_credentials(&self) -> Option<Box<dyn Lock>> {
        let path = self.context.paths.in_home(url_credentials::LOCK).ok()?;
        self.wait_for_lock(&path, LOCK_TIMEOUT).ok().flatten()
    }

    /// Marks the session of a rejected token that a tool erases: the session stays, and the next request refreshes it.
    /// The token may be of any account, since a tool may erase it under another user name than that of its request.
    fn mark_any_rejected(&self, provider: &Provider, secret: &Secret) -> Result<bool> {
        if self.take_identity(provider, Some(secret)).is_some() {
            return Ok(true);
        }
        let accounts = self.accounts(&provider.name)?;
        self.in_time(LIST_TIMEOUT, |engine| {
            for provider in &accounts {
                if engine.mark_rejected(provider, secret, ForcedBy::Tool)? {
                    return Ok(true);
                }
            }
            Ok(false)
        })
    }

    /// Deletes a provider's session from both stores; with a secret, only a session with this token. An error if a
    /// store may still have the session; the other store is then cleared nevertheless. A shared session with this token is
    /// marked, since other machines use it.
    pub fn forget_session(&self, provider: &Provider, secret: Option<&Secret>) -> Result<bool> {
        if let Some(settings) = &provider.shared {
            let Some(secret) = secret else {
                let ended = self.log_out_shared(provider, settings)?.is_some();
                return Ok(self.forget_session(&provider.of_this_machine(), None)? || ended);
            };
            return self.refuse_shared(provider, settings, secret);
        }
        let _lock = self.lock_session(&provider.key, LOCK_TIMEOUT)?;
        let (mut erased, mut problem) = (false, None);
        for store in self.stores.in_order() {
            let is_other = |secret: &Secret| {
                let found = session::read(store, &provider.key).ok().flatten();
                found.is_none_or(|found| !found.has_token(secret))
            };
            if secret.is_some_and(is_other) {
                continue;
            }
            match store.delete(&provider.key) {
                Ok(deleted) => erased |= deleted,
                Err(StoreFailure::Off(reason)) if secret.is_none() && reason.may_pass() => {
                    let now = self.clock.now();
                    if let Err(cause) = left::remember(&self.stores, &provider.key, now) {
                        problem =
                            Some(format!("the keyring may still contain the session: {cause}"));
                    }
                    last_refreshed::remember(&self.stores, provider, now);
                }
                Err(StoreFailure::Off(_)) => {}
                Err(cause) => {
                    let source = store.source().name();
                    problem = problem
                        .or(Some(format!("the {source} may still contain the session: {cause}")));
                }
            }
        }
        // A killed refresh leaves its new session in a temporary file. Under the lock, no other process writes one.
        let path = self.context.paths.in_home(&provider.key.file).ok();
        if let Some(path) = path.filter(|_| secret.is_none()) {
            atomic_file::sweep(&path, Duration::ZERO);
        }
        if erased || secret.is_none() {
            owner::forget(&self.context.paths, &provider.key);
            last_refreshed::forget(&self.stores, provider);
        }
        problem.map_or(Ok(erased), |problem| Err(Error::invalid_state(problem)))
    }

    /// Everything that is stored, without secrets. A provider that is misconfigured, or whose store cannot be read, does not
    /// affect the others.
    pub fn list(&self) -> Result<Listing> {
        let configuration = self.context.configuration()?;
        self.delete_left();
        let (mut listed, mut warnings) = (Vec::new(), Vec::new());
        for name in configuration.names() {
            match self.accounts(name) {
                Ok(accounts) => accounts
                    .iter()
                    .for_each(|it| self.list_provider(it, &mut listed, &mut warnings)),
                Err(error) => warnings.push(not_listed(name, error.message)),
            }
        }
        listed.extend(url_credentials::all(&self.stores).into_iter().map(|entry| ListEntry {
            url: Some(entry.url()),
            provider: None,
            account: None,
            username: entry.username.clone(),
            tool: entry.tool().map(str::to_owned),
            kind: Kind::UrlCredential,
            source: entry.source,
            expires_at: entry.expires_at,
        }));
        Ok((listed, warnings))
    }

    fn list_provider(
        &self,
        provider: &Provider,
        listed: &mut Vec<ListEntry>,
        warnings: &mut Vec<Warning>,
    ) {
        let entry = |kind, source, expires_at| ListEntry {
            url: None,
            provider: Some(provider.name.to_string()),
            account: (!provider.account.is_default()).then(|| provider.account.to_string()),
            username: provider.basic_username.to_string(),
            tool: None,
            kind,
            source,
            expires_at,
        };
        let now = self.clock.now();
        let variable = env::read(&self.context.environment, &provider.token_variable, now);
        // A token in a variable belongs to no account, and is listed once.
        if let Ok(Some(found)) = variable
            && provider.account.is_default()
        {
            listed.push(entry(found.kind, Source::Environment, found.expires_at));
        }
        let LoadedSessions { newest, problem, .. } = self.load(provider);
        match (newest, problem) {
            (Some(StoredSession { session, source }), _) => {
                listed.push(entry(session.kind(), source, session.reported_expiry(now)));
            }
            (None, Some((_, cause))) => {
                warnings.push(not_listed(&provider.title(), cause.to_string()));
            }
            (None, None) => {}
        }
    }

    /// The hosts for which `get` returns a credential now, for a tool that lists hosts and then requests each: the
    /// configured hosts of the providers, and the hosts of the credentials that match the tool. The host of a
    /// provider's API and the hosts of a known service are listed only if they are configured. A session that can be
    /// refreshed counts as servable, without a request to the service.
    pub fn list_servable(&self, tool: ToolTraits) -> Result<Listing> {
        let configuration = self.context.configuration()?;
        self.delete_left();
        let (mut hosts, mut listed, mut warnings) = (Vec::new(), Vec::new(), Vec::new());
        for name in configuration.names() {
            match configuration.provider(name) {
                Ok(_) => hosts.extend(configuration.configured_hosts(name)),
                Err(error) => warnings.push(not_listed(name, error.message)),
            }
        }
        let entries = url_credentials::all(&self.stores).into_iter();
        let entries = entries.filter(|entry| entry.is_readable_by(tool));
        hosts.extend(entries.filter_map(|entry| Some(Target::whole_host(entry.target?.origin))));
        hosts.sort_by_cached_key(ToString::to_string);
        hosts.dedup();
        for host in hosts {
            let name = host.to_string();
            match self.servable(host, tool) {
                Ok(entry) => listed.push(entry),
                Err(error) if error.is_no_credential() => {}
                Err(Error { code: ErrorCode::SessionExpired, .. }) => {}
                Err(error) => warnings.push(not_listed(&name, error.message)),
            }
        }
        Ok((listed, warnings))
    }

    fn servable(&self, target: Target, tool: ToolTraits) -> Result<ListEntry> {
        let url = Some(target.to_string());
        // The request is for the host: a credential for its only path is returned, too.
        let request = CredentialRequest::for_target(target, tool);
        let (credential, source) = self.peek(&request)?;
        let Credential { provider, account, kind, username, expires_at, .. } = credential;
        Ok(ListEntry { url, provider, account, username, tool: None, kind, source, expires_at })
    }
}

fn not_listed(name: &str, reason: String) -> Warning {
    Warning::NotListed { name: sanitize(name), reason }
}
