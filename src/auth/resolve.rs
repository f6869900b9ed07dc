//! Which credential answers a request. This file is the order of things: whose host it is, then the variable, a login
//! stored for that URL, and the session, which is refreshed where it has to be.

use crate::auth::accounts::{self, AccountChoice};
use crate::auth::context::Context;
use crate::auth::refresh::{self, Forced};
use crate::error::{Attempt, Error, ErrorCode, Result, attempts};
use crate::model::credential::{Kind, Session, UrlCredential};
use crate::model::origin::{HostPattern, Origin, Target};
use crate::model::provider::{Header, Provider};
use crate::model::request::{CredentialRequest, Rejection, Resolved, Source};
use crate::store::session::{self, StoredSession};
use crate::store::{env, handed_out, url_credentials};
use crate::sys::clock;

/// The credential for `ask`; the error lists every place that was tried.
pub fn resolve(context: &Context, ask: &CredentialRequest) -> Result<Resolved> {
    context.trace.say(|| match &ask.target {
        Some(target) => format!("a credential for {}", target.origin),
        None => {
            format!("a credential of {}", ask.provider.as_deref().unwrap_or("the default provider"))
        }
    });
    let found = look(context, ask);
    context.trace.say(|| match &found {
        Ok(Resolved { kind, source, expires_at, tried, .. }) => {
            let end = expires_at.map_or_else(
                || "no end".to_owned(),
                |end| format!("an end at {}", end.to_whole_seconds()),
            );
            format!(
                "found in {}: {} with {end}; tried: {}",
                source.name(),
                kind.name(),
                attempts(tried)
            )
        }
        Err(error) => format!("none: {}", error.one_line()),
    });
    found
}

fn look(context: &Context, ask: &CredentialRequest) -> Result<Resolved> {
    let mut tried = Vec::new();
    let Some(provider) = provider_of(context, ask, &mut tried)? else {
        return stored_login(context, ask, &mut tried)?.ok_or_else(|| not_found(ask, tried));
    };
    if !ask.carries.names_its_header() && !provider.takes_password {
        return Err(Error::new(
            ErrorCode::NotFound,
            format!("{} does not take its token as a password", provider.name),
        ));
    }
    if let Some(found) = from_variable(context, ask, &provider, &mut tried)? {
        return Ok(found);
    }
    if let Some(found) = stored_login(context, ask, &mut tried)? {
        return Ok(found);
    }
    let AccountChoice { provider, reason, place, by_username } =
        accounts::choose(context, ask, provider)?;
    tried.splice(0..0, reason);
    let username = ask.username.clone().filter(|_| !by_username);
    let found =
        from_session(context, &CredentialRequest { username, ..ask.clone() }, &provider, tried)?;
    // What a pattern gives to a part of a host must not be told to be for all of it.
    Ok(Resolved { places: place.map_or(found.places, |place| vec![place]), ..found })
}

/// The provider that the request belongs to, with its default account; `None` where its URL is nobody's.
pub fn provider_of(
    context: &Context,
    ask: &CredentialRequest,
    tried: &mut Vec<Attempt>,
) -> Result<Option<Provider>> {
    let named = ask.provider.as_deref().or(context.overrides.provider.as_deref());
    let Some(target) = &ask.target else { return context.descriptor(named).map(Some) };
    if !target.origin.is_safe() {
        let message = format!(
            "{} is neither https nor on this machine: no credential goes there",
            target.origin
        );
        return Err(Error::new(ErrorCode::NotFound, message));
    }
    let configuration = context.configuration()?;
    for name in named.map_or_else(|| configuration.names(), |name| vec![name]) {
        match owner(context, ask, name, target) {
            Ok((provider, true)) => return Ok(Some(provider)),
            Ok((provider, false)) => note_withheld(context, &provider, &target.origin, tried),
            Err(error) if named.is_some() => return Err(error),
            // A provider whose settings are wrong owns no host; that must not keep the others from theirs.
            Err(error) => tried.push(Attempt::new(name, error.message)),
        }
    }
    match named {
        Some(name) => {
            Err(Error::new(ErrorCode::NotFound, format!("{} is no host of {name}", target.origin))
                .with_tried(std::mem::take(tried))
                .with_hint(format!(
                    "to send its token there, add the host to [providers.{name}] in config.toml"
                )))
        }
        None => Ok(None),
    }
}

/// A provider, and whether `target` is one of its hosts.
fn owner(
    context: &Context,
    ask: &CredentialRequest,
    name: &str,
    target: &Target,
) -> Result<(Provider, bool)> {
    let provider = context.configuration()?.provider(name)?;
    let api = context.api_origin(&provider, ask.api_url.as_deref())?;
    let is_owner = provider.owns(target, &api);
    Ok((provider, is_owner))
}

/// A token in a variable goes to its provider's hosts only, and that is said (CVE-2024-53858).
fn note_withheld(
    context: &Context,
    provider: &Provider,
    origin: &Origin,
    tried: &mut Vec<Attempt>,
) {
    if context.environment.get(&provider.token_variable).is_some() {
        let outcome = format!("withheld: {origin} is no host of {}", provider.name);
        tried.push(Attempt::new(&*provider.token_variable, outcome));
    }
}

fn from_variable(
    context: &Context,
    ask: &CredentialRequest,
    provider: &Provider,
    tried: &mut Vec<Attempt>,
) -> Result<Option<Resolved>> {
    let Some(variable) = env::read(&context.environment, &provider.token_variable, clock::now())?
    else {
        tried.push(Attempt::new(&*provider.token_variable, "not set"));
        return Ok(None);
    };
    tried.push(Attempt::new(&*provider.token_variable, "found"));
    let env::Variable { token, kind, expires_at } = variable;
    Ok(Some(Resolved {
        provider: Some(provider.name.to_string()),
        account: None,
        kind,
        username: username(ask, provider),
        secret: token,
        header: Some(provider.header.clone()),
        places: places(context, ask, provider),
        expires_at,
        refresh_token: None,
        source: Source::Environment,
        tried: tried.clone(),
        notes: Vec::new(),
    }))
}

fn stored_login(
    context: &Context,
    ask: &CredentialRequest,
    tried: &mut Vec<Attempt>,
) -> Result<Option<Resolved>> {
    if ask.target.is_none() {
        return Ok(None);
    }
    let stores = context.stores()?;
    let Some((login, source)) = url_credentials::find(&stores, ask, clock::now(), tried) else {
        return Ok(None);
    };
    let UrlCredential { target, username, secret, scheme, expires_at, refresh_token } = login;
    Ok(Some(Resolved {
        provider: None,
        account: None,
        kind: Kind::UrlCredential,
        username,
        secret,
        header: scheme.map(Header::authorization),
        places: vec![target],
        expires_at,
        refresh_token,
        source,
        tried: tried.clone(),
        notes: context.take_notes(),
    }))
}

fn from_session(
    context: &Context,
    ask: &CredentialRequest,
    provider: &Provider,
    mut tried: Vec<Attempt>,
) -> Result<Resolved> {
    let load = || context.stores().map(|stores| session::load(&stores.in_order(), &provider.slot));
    let mut loaded = load()?;
    tried.extend(loaded.tried.iter().cloned());
    if loaded.newest.is_some()
        && let Some(elsewhere) = context.logged_in_elsewhere(provider, ask.api_url.as_deref())?
    {
        let in_force = context.api_url(provider, ask.api_url.as_deref())?;
        return Err(Error::new(
            ErrorCode::NotLoggedIn,
            format!("logged in at {elsewhere}, not {in_force}"),
        )
        .with_tried(tried)
        .with_hint(format!(
            "`{}` logs in there",
            provider.command(&format!("login --api-url {in_force}"))
        )));
    }
    if let (Some(_), Some(problem)) = (&loaded.newest, &loaded.problem) {
        let reason = problem.to_string();
        let place = loaded.tried.iter().find(|attempt| attempt.outcome == reason);
        context.note(format!("{}: {reason}", place.map_or("", |attempt| &attempt.place)));
    }
    if let Some(kept) =
        loaded.newest.as_ref().filter(|kept| is_refused(context, ask, provider, kept))
        && let Ok(true) =
            refresh::mark_refused(context, provider, &kept.session.access_token, Forced::ByTool)
    {
        loaded = load()?;
    }
    let kept = match &loaded.newest {
        None => return Err(loaded.nothing(provider, tried)),
        Some(kept) if kept.session.is_fresh(clock::now(), ask.min_validity) => kept.clone(),
        Some(kept) if provider.login.can_renew(&kept.session) => {
            refresh::refresh(context, provider, ask.min_validity, kept.clone()).map_err(
                |error| {
                    if error.tried.is_empty() { error.with_tried(tried.clone()) } else { error }
                },
            )?
        }
        Some(kept) if kept.session.is_alive(clock::now()) => kept.clone(),
        Some(kept) => return Err(ended(provider, &kept.session).with_tried(tried)),
    };
    let StoredSession { session, source } = kept;
    Ok(Resolved {
        provider: Some(provider.name.to_string()),
        account: (!provider.account.is_default()).then(|| provider.account.to_string()),
        kind: session.kind(),
        username: username(ask, provider),
        expires_at: session.reported_expiry(clock::now()),
        secret: session.access_token,
        header: Some(provider.header.clone()),
        places: places(context, ask, provider),
        refresh_token: None,
        source,
        tried,
        notes: context.take_notes(),
    })
}

fn username(ask: &CredentialRequest, provider: &Provider) -> String {
    ask.username.clone().unwrap_or_else(|| provider.basic_username.to_string())
}

/// Whether the tool means by its question that the token was refused.
fn is_refused(
    context: &Context,
    ask: &CredentialRequest,
    provider: &Provider,
    kept: &StoredSession,
) -> bool {
    let is_renewable = provider.login.can_renew(&kept.session);
    is_renewable
        && match ask.refused {
            Rejection::Unsaid => false,
            Rejection::Said => is_sent_unasked(context, ask, provider),
            Rejection::ByAskingAgain => handed_out::is_asked_again(
                &context.paths,
                ask.target.as_ref(),
                &kept.session.access_token,
            ),
        }
}

/// Whether a tool that wants to know the places beforehand was given this provider's token for this one.
fn is_sent_unasked(context: &Context, ask: &CredentialRequest, provider: &Provider) -> bool {
    let all = CredentialRequest { target: None, names_places: true, ..ask.clone() };
    let is_there = |target: &Target| {
        places(context, &all, provider).contains(&Target::whole_host(target.origin.clone()))
    };
    context.descriptor(None).is_ok_and(|default| default.name == provider.name)
        && ask.target.as_ref().is_some_and(is_there)
}

/// Where the provider's token may go: the host that was asked for, or every host that is named exactly.
fn places(context: &Context, ask: &CredentialRequest, provider: &Provider) -> Vec<Target> {
    if let Some(target) = &ask.target {
        return vec![Target::whole_host(target.origin.clone())];
    }
    if !ask.names_places {
        return Vec::new();
    }
    let api = context.api_origin(provider, ask.api_url.as_deref());
    let hosts = provider.hosts.iter().flat_map(HostPattern::origins);
    let mut places: Vec<_> = api.into_iter().chain(hosts).map(Target::whole_host).collect();
    // Who is told of a host sends the token everywhere on it; where a part has an account of its own, it asks for each.
    places.retain(|place| {
        context.configuration().is_ok_and(|configuration| !configuration.splits_host(place))
    });
    places.sort_by_key(ToString::to_string);
    places.dedup();
    places
}

fn not_found(ask: &CredentialRequest, tried: Vec<Attempt>) -> Error {
    let what = ask.target.as_ref().map(|target| target.origin.to_string()).unwrap_or_default();
    Error::new(ErrorCode::NotFound, format!("no credential for {what}"))
        .with_tried(tried)
        .with_hint("if a provider's token may go there, add the host to its `hosts` in config.toml")
}

fn ended(provider: &Provider, session: &Session) -> Error {
    let message = format!(
        "the token for {} ended at {}",
        provider.title(),
        session.expires_at.to_whole_seconds()
    );
    Error::new(ErrorCode::SessionExpired, message).with_hint(provider.login_hint())
}
