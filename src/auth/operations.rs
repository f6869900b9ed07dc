//! What `store`, `erase` and `list` do: which logins and sessions are kept, and which are forgotten. Asks no service.

use std::time::{Duration, Instant};

use crate::auth::accounts;
use crate::auth::context::Context;
use crate::auth::refresh::{self, Forced};
use crate::auth::resolve;
use crate::error::{Error, Result};
use crate::model::credential::{Kind, Session, UrlCredential};
use crate::model::jwt;
use crate::model::origin::{HostPattern, Target};
use crate::model::provider::Provider;
use crate::model::request::{
    AuthForm, CredentialRequest, EraseRequest, ListEntry, Resolved, Response, Source, StoreRequest,
    StoredAt,
};
use crate::model::secret::Secret;
use crate::model::timestamp::Timestamp;
use crate::store::{StoreFailure, Stores, env, session, url_credentials};
use crate::sys::atomic_file;
use crate::sys::clock;

/// How long to wait for a process that is refreshing.
const PATIENCE: Duration = Duration::from_secs(5);

/// The same where a login would be lost otherwise. A refresh takes 5 s at most.
const LONG_PATIENCE: Duration = Duration::from_secs(10);

/// Keeps what a tool or a person brought.
pub fn store(context: &Context, store: StoreRequest) -> Result<Response> {
    let StoreRequest { ask, secret, scheme, refresh_token, expires_at, by_habit } = store;
    let provider = resolve::provider_of(context, &ask, &mut Vec::new())?;
    let Some(target) = ask.target else {
        let provider =
            provider.ok_or_else(|| Error::invalid("`store` needs a `url` or a `provider`"))?;
        let provider =
            accounts::choose(context, &CredentialRequest { target: None, ..ask }, provider)?
                .provider;
        let expires_at = expires_at.or_else(|| jwt::claims(&secret).exp.map(Timestamp::from_unix));
        let session =
            Session { refresh_token, ..Session::api_token(secret, expires_at, clock::now()) };
        return keep_session(context, &provider, &session).map(Response::Stored);
    };
    if let Some(provider) = &provider {
        // It is the session that we have just handed out, and would stand in its way when that dies.
        if by_habit {
            return Ok(Response::Nothing);
        }
        if secret.ends_in_jwt() {
            return Err(Error::invalid(format!(
                "a session of {} is not stored as a login for one host",
                provider.name
            ))
            .with_hint(provider.login_hint()));
        }
    }
    let username = ask.username.unwrap_or_default();
    let login = UrlCredential { target, username, secret, scheme, expires_at, refresh_token };
    url_credentials::save(&context.stores()?, &login, clock::now()).map(Response::Stored)
}

/// Keeps a new session under the lock; an older one in the other place goes, as far as it can be reached.
pub fn keep_session(context: &Context, provider: &Provider, session: &Session) -> Result<StoredAt> {
    let _lock = refresh::wait_for_lock(context, &provider.slot, Instant::now() + PATIENCE)?;
    write_session(context, provider, session)
}

/// The same for a session that the service has just granted, and will not grant again: who holds the lock for so long
/// has stopped, and will find that somebody logged in meanwhile.
pub fn keep_granted(context: &Context, provider: &Provider, session: &Session) -> Result<StoredAt> {
    let _lock =
        refresh::wait_for_lock(context, &provider.slot, Instant::now() + LONG_PATIENCE).ok();
    write_session(context, provider, session)
}

fn write_session(context: &Context, provider: &Provider, session: &Session) -> Result<StoredAt> {
    accounts::register(context, provider)?;
    let stores = context.stores()?;
    let stored =
        stores.write_new(&provider.slot, &session::encode(provider.slot.shape, session))?;
    let _ = stores.of(stored.source.other()).delete(&provider.slot);
    refresh::last::forget(&stores, provider);
    Ok(stored)
}

/// Forgets what a tool was refused, or a person is done with. Says whether anything changed.
pub fn erase(context: &Context, erase: &EraseRequest) -> Result<bool> {
    let EraseRequest { ask, secret } = erase;
    if ask.target.as_ref().is_some_and(|target| !target.origin.is_safe()) {
        // Nothing is ever kept for it.
        return Ok(false);
    }
    let provider = resolve::provider_of(context, ask, &mut Vec::new())?;
    let stores = context.stores()?;
    let Some(provider) = provider else {
        return url_credentials::erase(&stores, ask, secret.as_ref());
    };
    if ask.target.is_none() {
        let provider = accounts::choose(context, ask, provider)?.provider;
        return forget_session(context, &provider, secret.as_ref());
    }
    let erased = url_credentials::erase(&stores, ask, secret.as_ref())?;
    let marked = match secret {
        Some(secret) => mark_refused(context, &provider, secret)?,
        None => false,
    };
    Ok(erased || marked)
}

/// A tool that was refused erases the token; the session behind it lives on, and renews it. Whichever account's it is:
/// what the tool was told as the user name need not be what it asked for.
fn mark_refused(context: &Context, provider: &Provider, secret: &Secret) -> Result<bool> {
    for provider in accounts::all(context, &provider.name)? {
        if refresh::mark_refused(context, &provider, secret, Forced::ByTool)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Forgets a provider's session in every place that can be reached, and tells of one that cannot; with a secret, only
/// where it is the session's token.
pub fn forget_session(
    context: &Context,
    provider: &Provider,
    secret: Option<&Secret>,
) -> Result<bool> {
    let _lock = refresh::wait_for_lock(context, &provider.slot, Instant::now() + PATIENCE)?;
    let stores = context.stores()?;
    let Stores { keyring, file, .. } = &stores;
    let (mut erased, mut left) = (false, None);
    for store in [*keyring as &dyn crate::store::CredentialStore, file] {
        let is_other = |secret: &Secret| {
            let found = session::read(store, &provider.slot).ok().flatten();
            found.is_none_or(|found| found.access_token != *secret)
        };
        if secret.is_some_and(is_other) {
            continue;
        }
        match store.delete(&provider.slot) {
            Ok(deleted) => erased |= deleted,
            Err(StoreFailure::Off(_)) => {}
            // The other place is cleared nevertheless.
            Err(cause) => {
                let problem =
                    format!("the {} may still have the login: {cause}", store.source().name());
                left = left.or(Some(problem));
            }
        }
    }
    // A refresh that was killed leaves its new session beside the old one. With the lock held nobody is writing there.
    if let Some(path) = context.paths.in_home(&provider.slot.file).ok().filter(|_| secret.is_none())
    {
        path.parent().inspect(|directory| atomic_file::sweep(directory, Duration::ZERO));
    }
    if erased || secret.is_none() {
        refresh::last::forget(&stores, provider);
    }
    left.map_or(Ok(erased), |left| Err(Error::invalid_state(left)))
}

/// Everything that is kept, without a secret.
pub fn list(context: &Context) -> Result<Vec<ListEntry>> {
    let configuration = context.configuration()?;
    let mut listed = Vec::new();
    for name in configuration.names() {
        for provider in accounts::all(context, name)? {
            listed.extend(list_provider(context, &provider)?);
        }
    }
    listed.extend(url_credentials::all(&context.paths).into_iter().map(|entry| ListEntry {
        url: Some(entry.target.to_string()),
        provider: None,
        account: None,
        username: entry.username.clone(),
        kind: Kind::UrlCredential,
        source: entry.source,
        expires_at: entry.expires_at,
    }));
    Ok(listed)
}

/// The hosts for which a tool that names a host alone would be given something now: each is asked for as `get` would, so
/// that none of them fails afterwards. This may refresh a session.
pub fn list_servable(context: &Context) -> Result<Vec<ListEntry>> {
    let configuration = context.configuration()?;
    // A keyring that does not answer takes its time for each.
    let deadline = Instant::now() + PATIENCE;
    let servable = |host| if Instant::now() < deadline { servable(context, host) } else { None };
    let mut listed = Vec::new();
    for name in configuration.names() {
        let provider = configuration.provider(name)?;
        let origin = context.api_origin(&provider, None)?;
        let api = Target { origin, path: String::new() };
        let hosts =
            [Some(api)].into_iter().chain(provider.hosts.iter().map(HostPattern::target)).flatten();
        // What a session cannot answer for one host it cannot for the next, and each may take seconds to say so.
        listed.extend(hosts.map_while(servable));
    }
    listed.extend(url_credentials::all(&context.paths).into_iter().filter_map(|entry| {
        let host = Target { path: String::new(), ..entry.target };
        servable(host)
    }));
    listed.sort_by(|a, b| a.url.cmp(&b.url));
    listed.dedup_by(|a, b| a.url == b.url);
    Ok(listed)
}

fn servable(context: &Context, target: Target) -> Option<ListEntry> {
    let url = Some(target.to_string());
    let ask = CredentialRequest {
        target: Some(target),
        carries: AuthForm::PasswordOrBearer,
        ..CredentialRequest::default()
    };
    let Resolved { provider, account, kind, username, source, expires_at, .. } =
        resolve::resolve(context, &ask).ok()?;
    Some(ListEntry { url, provider, account, username, kind, source, expires_at })
}

fn list_provider(context: &Context, provider: &Provider) -> Result<Vec<ListEntry>> {
    let entry = |kind, source, expires_at| ListEntry {
        url: None,
        provider: Some(provider.name.to_string()),
        account: (!provider.account.is_default()).then(|| provider.account.to_string()),
        username: provider.basic_username.to_string(),
        kind,
        source,
        expires_at,
    };
    let variable =
        env::read(&context.environment, &provider.token_variable, clock::now()).ok().flatten();
    // It is nobody's account, and listed once.
    let variable = variable.filter(|_| provider.account.is_default());
    let kept = session::load(&context.stores()?.in_order(), &provider.slot).newest;
    let variable =
        variable.map(|variable| entry(variable.kind, Source::Environment, variable.expires_at));
    let kept = kept.map(|kept| {
        entry(kept.session.kind(), kept.source, kept.session.reported_expiry(clock::now()))
    });
    Ok(variable.into_iter().chain(kept).collect())
}
