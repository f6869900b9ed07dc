//! What `store`, `erase` and `list` do: which credentials and sessions are stored, and which are erased. Sends no request
//! to a service, except that a list of what can be served may refresh a session.

use std::time::Duration;

use super::Engine;
use super::refresh::{ForcedBy, last_refreshed};
use crate::error::{Error, Result};
use crate::model::{
    AuthForm, Credential, CredentialRequest, EraseRequest, HostPattern, Kind, LegacyUrl, ListEntry,
    Provider, Resolved, Response, Secret, Session, Source, StoreFailure, StoreRequest, StoredAt,
    Target, Timestamp, ToolTraits, Trail, UrlCredential, Warning, jwt,
};
use crate::store::{env, session, url_credentials};
use crate::sys::atomic_file;

/// How long to wait for a process that refreshes.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// How long to wait where a granted login would be lost otherwise. A refresh takes 5 s at most.
const GRANTED_LOCK_TIMEOUT: Duration = Duration::from_secs(10);

impl Engine<'_> {
    /// Stores a credential for a tool or a person.
    pub fn store(&self, store: StoreRequest) -> Result<Response> {
        let StoreRequest { request, secret, scheme, refresh_token, expires_at, automatic } = store;
        let provider = self.provider_of(&request, &mut Trail::default())?;
        let Some(target) = request.target.clone() else {
            let provider =
                provider.ok_or_else(|| Error::invalid("`store` needs a `url` or a `provider`"))?;
            let provider = self.choose_account(&request, provider)?.provider;
            let expires_at =
                expires_at.or_else(|| jwt::claims(&secret).exp.map(Timestamp::from_unix));
            let session = Session::api_token(secret, expires_at, self.clock.now());
            let session = Session { refresh_token, ..session };
            return self
                .save_session(&provider, &session)
                .map(|(stored, _)| Response::Stored(stored));
        };
        if let Some(provider) = &provider {
            // The session's token that this program has just returned: stored, it would precede the session after it
            // has expired.
            if automatic {
                return Ok(Response::Nothing);
            }
            if secret.ends_in_jwt() {
                let message =
                    format!("a session of {} is not stored as a login for one host", provider.name);
                return Err(Error::invalid(message).with_hint(provider.login_hint()));
            }
        }
        let username = request.username.unwrap_or_default();
        let credential =
            UrlCredential { target, username, secret, scheme, expires_at, refresh_token };
        let choice = self.context.store_choice()?;
        url_credentials::save(&self.stores, choice, &credential, self.clock.now())
            .map(Response::Stored)
    }

    /// Whether a session of this provider could be stored, before a person takes the trouble to log in.
    pub fn check_login(&self, provider: &Provider) -> Result<()> {
        self.stores.check_new(self.context.store_choice()?, &provider.key)
    }

    /// Stores a new session under the lock. An older one in the other store is removed, if that store can be reached.
    pub fn save_session(
        &self,
        provider: &Provider,
        session: &Session,
    ) -> Result<(StoredAt, Option<Warning>)> {
        let _lock = self.lock_session(&provider.key, LOCK_TIMEOUT)?;
        self.write_session(provider, session)
    }

    /// As [`Engine::save_session`], for a session that a service has just granted and will not grant again: a process
    /// that holds the lock for so long has stopped, and will find the new login.
    pub fn save_granted(
        &self,
        provider: &Provider,
        session: &Session,
    ) -> Result<(StoredAt, Option<Warning>)> {
        let _lock = self.lock_session(&provider.key, GRANTED_LOCK_TIMEOUT).ok();
        self.write_session(provider, session)
    }

    fn write_session(
        &self,
        provider: &Provider,
        session: &Session,
    ) -> Result<(StoredAt, Option<Warning>)> {
        let warning = self.register_account(provider)?;
        let text = session::encode(provider.key.format, session);
        let stored = self.stores.write_new(self.context.store_choice()?, &provider.key, &text)?;
        let _ = self.stores.get(stored.source.other()).delete(&provider.key);
        last_refreshed::forget(&self.stores, provider);
        Ok((stored, warning))
    }

    /// Erases what a tool's service rejected, or what a person no longer needs. Returns whether anything changed.
    pub fn erase(&self, erase: &EraseRequest) -> Result<bool> {
        let EraseRequest { request, secret } = erase;
        if request.target.as_ref().is_some_and(|target| !target.origin.is_safe()) {
            // Nothing is ever stored for it.
            return Ok(false);
        }
        let provider = self.provider_of(request, &mut Trail::default())?;
        let Some(provider) = provider else {
            return url_credentials::erase(&self.stores, request, secret.as_ref());
        };
        if request.target.is_none() {
            let provider = self.choose_account(request, provider)?.provider;
            return self.forget_session(&provider, secret.as_ref());
        }
        let erased = url_credentials::erase(&self.stores, request, secret.as_ref())?;
        let marked = match secret {
            Some(secret) => self.mark_any_rejected(&provider, secret)?,
            None => false,
        };
        Ok(erased || marked)
    }

    /// Erases what version 0.1.0 stored for a URL that is refused today.
    pub(super) fn erase_legacy(&self, url: &LegacyUrl, refused: Error) -> Result<Response> {
        match url_credentials::erase_legacy(&self.stores, url)? {
            true => Ok(Response::Erased(true)),
            false => Err(refused),
        }
    }

    /// A tool whose token was rejected erases it; the session stays, and renews it. The token may be any account's: the
    /// user name that the tool received need not be the one that it requested.
    fn mark_any_rejected(&self, provider: &Provider, secret: &Secret) -> Result<bool> {
        for provider in self.accounts(&provider.name)? {
            if self.mark_rejected(&provider, secret, ForcedBy::Tool)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Removes a provider's session from both stores; with a secret, only where it is the session's token. A store that
    /// may still have it is an error, after the other one was cleared.
    pub fn forget_session(&self, provider: &Provider, secret: Option<&Secret>) -> Result<bool> {
        let _lock = self.lock_session(&provider.key, LOCK_TIMEOUT)?;
        let (mut erased, mut left) = (false, None);
        for store in self.stores.in_order() {
            let is_other = |secret: &Secret| {
                let found = session::read(store, &provider.key).ok().flatten();
                found.is_none_or(|found| found.access_token != *secret)
            };
            if secret.is_some_and(is_other) {
                continue;
            }
            match store.delete(&provider.key) {
                Ok(deleted) => erased |= deleted,
                Err(StoreFailure::Off(_)) => {}
                Err(cause) => {
                    let source = store.source().name();
                    left = left.or(Some(format!("the {source} may still have the login: {cause}")));
                }
            }
        }
        // A refresh that was killed leaves its new session beside the old one. With the lock held nobody writes there.
        let path = self.context.paths.in_home(&provider.key.file).ok();
        if let Some(path) = path.filter(|_| secret.is_none()) {
            path.parent().inspect(|directory| atomic_file::sweep(directory, Duration::ZERO));
        }
        if erased || secret.is_none() {
            last_refreshed::forget(&self.stores, provider);
        }
        left.map_or(Ok(erased), |left| Err(Error::invalid_state(left)))
    }

    /// Everything that is stored, without a secret.
    pub fn list(&self) -> Result<Vec<ListEntry>> {
        let configuration = self.context.configuration()?;
        let mut listed = Vec::new();
        for name in configuration.names() {
            for provider in self.accounts(name)? {
                listed.extend(self.list_provider(&provider));
            }
        }
        listed.extend(url_credentials::all(&self.stores).into_iter().map(|entry| ListEntry {
            url: Some(entry.url()),
            provider: None,
            account: None,
            username: entry.username.clone(),
            kind: Kind::UrlCredential,
            source: entry.source,
            expires_at: entry.expires_at,
        }));
        Ok(listed)
    }

    fn list_provider(&self, provider: &Provider) -> Vec<ListEntry> {
        let entry = |kind, source, expires_at| ListEntry {
            url: None,
            provider: Some(provider.name.to_string()),
            account: (!provider.account.is_default()).then(|| provider.account.to_string()),
            username: provider.basic_username.to_string(),
            kind,
            source,
            expires_at,
        };
        let now = self.clock.now();
        let variable = env::read(&self.context.environment, &provider.token_variable, now);
        // A token in a variable belongs to no account, and is listed once.
        let variable = variable.ok().flatten().filter(|_| provider.account.is_default());
        let stored = session::load(&self.stores, &provider.key).newest;
        let variable =
            variable.map(|found| entry(found.kind, Source::Environment, found.expires_at));
        let stored = stored.map(|stored| {
            entry(stored.session.kind(), stored.source, stored.session.reported_expiry(now))
        });
        variable.into_iter().chain(stored).collect()
    }

    /// The hosts for which `get` returns a credential now, for a tool that names only a host and gets each afterwards.
    /// This may refresh a session.
    pub fn list_servable(&self) -> Result<Vec<ListEntry>> {
        let configuration = self.context.configuration()?;
        // A keyring that does not answer takes its time for each.
        let deadline = self.clock.instant() + LOCK_TIMEOUT;
        let servable = |host| {
            if self.clock.instant() < deadline { self.servable(host) } else { None }
        };
        let mut listed = Vec::new();
        for name in configuration.names() {
            let provider = configuration.provider(name)?;
            let api = Target::whole_host(self.context.api_origin(&provider, None)?);
            let hosts = provider.hosts.iter().filter_map(HostPattern::target);
            // A session that fails for one host fails for the next, and each failure may take seconds.
            listed.extend([api].into_iter().chain(hosts).map_while(servable));
        }
        let stored = url_credentials::all(&self.stores).into_iter();
        listed
            .extend(stored.filter_map(|entry| servable(Target::whole_host(entry.target?.origin))));
        listed.sort_by(|a, b| a.url.cmp(&b.url));
        listed.dedup_by(|a, b| a.url == b.url);
        Ok(listed)
    }

    fn servable(&self, target: Target) -> Option<ListEntry> {
        let url = Some(target.to_string());
        let tool = ToolTraits { auth_form: AuthForm::PasswordOrBearer, ..ToolTraits::default() };
        let request =
            CredentialRequest { target: Some(target), tool, ..CredentialRequest::default() };
        let Resolved { credential, source, .. } = self.get(&request).ok()?;
        let Credential { provider, account, kind, username, expires_at, .. } = credential;
        Some(ListEntry { url, provider, account, username, kind, source, expires_at })
    }
}
