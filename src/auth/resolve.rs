//! Selects the credential for a request. The sources of the provider that owns the host are searched in this order: the
//! variable, the identity of the job, the credential that is stored for the URL, the session of the account, which is
//! refreshed if it is stale. For a host that no provider owns, only the credential that is stored for the URL is
//! searched.

use super::accounts::AccountChoice;
use super::refresh::ForcedBy;
use super::{Engine, fleet};
use crate::config::Context;
use crate::error::{Error, ErrorCode, Result};
use crate::model::{
    Attempt, Credential, CredentialRequest, Header, HostPattern, Kind, Need, OffReason, Origin,
    Outcome, Provider, Rejection, Resolved, Secret, Session, SharedSettings, Source, StoreFailure,
    Subject, Target, Timestamp, TokenKind, Trail, UrlCredential, Warning, attempts_line,
};
use crate::store::session::{self, LoadedSessions, StoredSession};
use crate::store::{env, returned_token, url_credentials};

type Found = (Credential, Source);

/// The treatment of a session that is due for a refresh, and of the identity of a job.
#[derive(Clone, Copy, PartialEq, Eq)]
enum RefreshMode {
    Perform,
    /// The refresh counts as successful, and no request is sent: the token is the stored one, or empty.
    Assume,
}

/// A request, and what has been searched for it.
struct Search<'a> {
    engine: &'a Engine<'a>,
    request: &'a CredentialRequest,
    mode: RefreshMode,
    trail: &'a mut Trail,
}

impl Engine<'_> {
    /// Returns the credential for a request; an error lists every source that was searched.
    pub fn get(&self, request: &CredentialRequest) -> Result<Resolved> {
        self.log.debug(&|| {
            let provider = request.provider.as_deref().unwrap_or("the default provider");
            match &request.target {
                Some(target) => format!("a credential for {}", target.origin),
                None => format!("a credential of {provider}"),
            }
        });
        let mut trail = Trail::default();
        match self.search(request, RefreshMode::Perform, &mut trail) {
            Ok((credential, source)) => {
                let Trail { attempts, warnings } = trail;
                let found = Resolved { credential, source, attempts, warnings };
                self.log.debug(&|| describe(&found));
                Ok(found)
            }
            Err(error) => {
                let error = with_attempts(explained(error, request, &trail), &trail.attempts);
                self.log.debug(&|| format!("none: {}", error.one_line()));
                Err(error)
            }
        }
    }

    /// The result of [`Engine::get`] if every refresh succeeds, for lists such as docker's. Sends no request.
    pub(super) fn peek(&self, request: &CredentialRequest) -> Result<Found> {
        let mut trail = Trail::default();
        let found = self.search(request, RefreshMode::Assume, &mut trail);
        found.map_err(|error| explained(error, request, &trail))
    }

    fn search(
        &self,
        request: &CredentialRequest,
        mode: RefreshMode,
        trail: &mut Trail,
    ) -> Result<Found> {
        let mut search = Search { engine: self, request, mode, trail };
        let found = search.target();
        let (credential, source) = match (found, request.for_other_scheme()) {
            (Err(error), Some(other)) if error.is_no_credential() => {
                Search { request: &other, ..search }.target().or(Err(error))?
            }
            (found, _) => found?,
        };
        let is_of_session = credential.provider.is_some() && source != Source::Environment;
        if request.token == TokenKind::Id && !is_of_session {
            let message = "the credential in force is not a session, and has no ID token";
            return Err(Error::new(ErrorCode::NotFound, message)
                .with_hint("run `my-credential-helper status` to see what precedes the session"));
        }
        Ok((credential, source))
    }

    /// The provider that the request names or that owns its target, with the default account; `None` if none owns it.
    pub(super) fn provider_of(
        &self,
        request: &CredentialRequest,
        trail: &mut Trail,
    ) -> Result<Option<Provider>> {
        let named = request.provider.as_deref().or(self.context.overrides.provider.as_deref());
        let Some(target) = &request.target else {
            return self.context.descriptor(named).map(Some);
        };
        if !target.origin.is_safe() {
            let origin = &target.origin;
            let message = format!(
                "{origin} is neither https nor a loopback address: credentials are not sent there"
            );
            return Err(Error::new(ErrorCode::NotFound, message));
        }
        let configuration = self.context.configuration()?;
        let owner = |name| -> Result<(Provider, bool)> {
            let provider = configuration.provider(name)?;
            let api = self.context.api_origin(&provider, request.api_url.as_deref())?;
            let is_owner = provider.owns(target, &api);
            Ok((provider, is_owner))
        };
        for name in named.map_or_else(|| configuration.names(), |name| vec![name]) {
            match owner(name) {
                Ok((provider, true)) if named.is_none() => {
                    let claims = configuration.claims(&target.origin);
                    return check_claims(&claims, &target.origin, &provider)
                        .map(|()| Some(provider));
                }
                Ok((provider, true)) => return Ok(Some(provider)),
                Ok((provider, false)) => self.record_withheld(&provider, &target.origin, trail),
                Err(error) if named.is_some() => return Err(error),
                // A misconfigured provider owns no host, and does not affect the other providers.
                Err(error) => trail
                    .add(Subject::Provider(name.to_owned()), Outcome::Misconfigured(error.message)),
            }
        }
        let Some(name) = named else {
            if request.explain {
                self.record_owners(trail)?;
            }
            return Ok(None);
        };
        let message = format!("{} is not a configured host of provider {name}", target.origin);
        Err(Error::new(ErrorCode::NotFound, message).with_hint(format!(
            "to send its token there, add the host to [providers.{name}] in config.toml"
        )))
    }

    /// Records each provider with its hosts.
    fn record_owners(&self, trail: &mut Trail) -> Result<()> {
        let configuration = self.context.configuration()?;
        for provider in
            configuration.names().into_iter().filter_map(|it| configuration.provider(it).ok())
        {
            let api = self.context.api_origin(&provider, None).ok();
            let api = api.map(|origin| origin.host_and_port());
            let hosts = api.into_iter().chain(provider.hosts.iter().map(ToString::to_string));
            let hosts: Vec<_> = hosts.collect();
            trail.add(
                Subject::Provider(provider.name.to_string()),
                Outcome::OtherHosts(hosts.join(", ")),
            );
        }
        Ok(())
    }

    /// Records, for the error, that the token in the variable is not sent to a host of another owner (CVE-2024-53858).
    fn record_withheld(&self, provider: &Provider, origin: &Origin, trail: &mut Trail) {
        let variable = &provider.token_variable;
        if self.context.environment.get(variable).is_some() {
            let (origin, provider) = (origin.to_string(), provider.name.to_string());
            let outcome = Outcome::Withheld { origin, provider };
            trail.add(Subject::Variable(variable.to_string()), outcome);
        }
    }

    /// Whether `get` would return a token of the provider for the request, according to the stored sessions.
    pub(super) fn returns_token(&self, request: &CredentialRequest, provider: &Provider) -> bool {
        let trail = &mut Trail::default();
        let mut search = Search { engine: self, request, mode: RefreshMode::Assume, trail };
        search.variable(provider).is_ok_and(|found| found.is_some())
            || self.has_identity(provider)
            || self
                .choose_account(request, provider.clone())
                .and_then(|choice| search.session(&choice.provider))
                .is_ok()
    }

    /// Whether the session is of a login after `time` and is valid, or can be refreshed.
    fn has_session_since(&self, provider: &Provider, time: Timestamp) -> bool {
        let newest = self.load(provider).newest;
        newest.is_some_and(|StoredSession { session, .. }| {
            let is_valid = !session.is_expired(self.clock.now());
            session.logged_in_at > time && (is_valid || provider.login.can_renew(&session))
        })
    }
}

impl Search<'_> {
    /// Searches the sources for the target of the request.
    fn target(&mut self) -> Result<Found> {
        let (engine, request) = (self.engine, self.request);
        let Some(provider) = engine.provider_of(request, self.trail)? else {
            let found = self.url_credential();
            if found.is_none() && request.explain {
                self.trail.add(Subject::UrlCredentials, Outcome::NoEntry);
            }
            return found.map(|(found, _)| found).ok_or_else(|| not_found(request));
        };
        if !request.tool.auth_form.has_header_name() && !provider.accepts_password {
            let message = format!("{} does not accept its token as a password", provider.name);
            return Err(Error::new(ErrorCode::NotFound, message));
        }
        if let Some(found) = self.variable(&provider)? {
            return Ok(found);
        }
        if let Some(found) = self.identity(&provider)? {
            return Ok(found);
        }
        let mut stored = self.url_credential();
        if let Some((found, _)) =
            stored.take_if(|(found, _)| found.0.username != UrlCredential::IDENTITY_TOKEN_USER)
        {
            return Ok(found);
        }
        let AccountChoice { provider, attempt, prefix, by_username } =
            engine.choose_account(request, provider)?;
        self.trail.attempts.splice(0..0, attempt);
        // A registry may revoke the identity token that docker stored, and docker does not report a rejection: a
        // session of a later login precedes the identity token.
        if let Some((found, stored_at)) = stored
            && !engine.has_session_since(&provider, stored_at)
        {
            return Ok(found);
        }
        let username = request.username.clone().filter(|_| !by_username);
        let request = &CredentialRequest { username, ..request.clone() };
        let mut search = Search { engine, request, mode: self.mode, trail: self.trail };
        let (mut credential, source) = search.session(&provider)?;
        // The account of a pattern is only for the pattern's part of the host.
        credential.prefixes = prefix.map_or(credential.prefixes, |prefix| vec![prefix]);
        Ok((credential, source))
    }

    fn variable(&mut self, provider: &Provider) -> Result<Option<Found>> {
        let (engine, name) = (self.engine, &provider.token_variable);
        let subject = Subject::Variable(name.to_string());
        let found = env::read(&engine.context.environment, name, engine.clock.now())?;
        let Some(env::Variable { token, kind, expires_at }) = found else {
            self.trail.add(subject, Outcome::NotSet);
            return Ok(None);
        };
        self.trail.add(subject, Outcome::Found);
        engine.context.check_variables(provider, self.request)?;
        let credential = self.credential(provider, kind, token, expires_at);
        Ok(Some((credential, Source::Environment)))
    }

    /// The token for this job's identity, if the provider has one and its source is present.
    fn identity(&mut self, provider: &Provider) -> Result<Option<Found>> {
        let engine = self.engine;
        let Some(present) = engine.detect_identity(provider, self.trail)? else { return Ok(None) };
        self.require_api_url(provider)?;
        let (token, expires_at) = match self.mode {
            RefreshMode::Assume => (Secret::new(""), None),
            RefreshMode::Perform => {
                let min_validity = self.request.min_validity;
                let session =
                    engine.identity_session(provider, present, min_validity, self.trail)?.session;
                let expires_at = session.reported_expiry(engine.clock.now());
                (session.access_token, expires_at)
            }
        };
        let credential = self.credential(provider, Kind::Session, token, expires_at);
        Ok(Some((credential, Source::Identity)))
    }

    /// The credential that is stored for the target, and the time when it was stored.
    fn url_credential(&mut self) -> Option<(Found, Timestamp)> {
        let Engine { stores, clock, .. } = self.engine;
        let (found, source) = url_credentials::find(stores, self.request, clock.now(), self.trail)?;
        let credential = Credential {
            provider: None,
            account: None,
            kind: Kind::UrlCredential,
            username: found.username,
            secret: found.secret,
            header: found.scheme.map(Header::authorization),
            prefixes: vec![found.target],
            expires_at: found.expires_at,
            refresh_token: found.refresh_token,
        };
        Some(((credential, source), found.stored_at))
    }

    fn session(&mut self, provider: &Provider) -> Result<Found> {
        if let Some(settings) = &provider.shared {
            return self.shared_session(provider, settings);
        }
        let engine = self.engine;
        let mut loaded = engine.load_stored(&provider.key);
        self.trail.attempts.append(&mut loaded.trail.attempts);
        if loaded.newest.is_some() {
            self.require_api_url(provider)?;
            self.trail.warnings.append(&mut loaded.trail.warnings);
            if let Some((store, failure)) = loaded.problem.clone() {
                self.trail.warnings.push(Warning::StoreFailed { store, failure });
            }
        }
        let need = self.need(provider);
        if let Some(stored) = &loaded.newest
            && let token = &need.select(&stored.session).access_token
            && provider.login.can_renew(&stored.session)
            && self.is_rejected(provider, token)
            && let Ok(true) = engine.mark_rejected(provider, token, ForcedBy::Tool)
        {
            loaded = session::load(&engine.stores, &provider.key);
        }
        let now = engine.clock.now();
        let stored = match loaded.newest.take() {
            None => return Err(no_session(&loaded, provider, engine.context)),
            Some(stored) if need.is_met(&stored.session, now) => stored,
            Some(stored) if need.is_unmeetable(&stored.session, now) => stored,
            Some(stored) if provider.login.can_renew(&stored.session) => match self.mode {
                RefreshMode::Assume => stored,
                RefreshMode::Perform => engine.refresh(provider, need, stored, self.trail)?,
            },
            Some(stored) if !need.is_expired(&stored.session, now) => stored,
            Some(stored) if !stored.session.is_expired(now) => {
                return Err(no_id_token(provider, &stored.session));
            }
            Some(stored) => return Err(expired(provider, &stored.session)),
        };
        let kind = stored.session.kind();
        self.of_session(provider, stored, kind)
    }

    fn shared_session(&mut self, provider: &Provider, settings: &SharedSettings) -> Result<Found> {
        self.require_api_url(provider)?;
        let (engine, need) = (self.engine, self.need(provider));
        if self.mode == RefreshMode::Assume {
            let load = || {
                let mut loaded = engine.load(provider);
                let newest = loaded.newest.take();
                newest.ok_or_else(|| no_session(&loaded, provider, engine.context))
            };
            let stored = engine.copied_session(provider, settings).map_or_else(load, Ok)?;
            let kind = fleet::kind(provider, &stored.session);
            return self.of_session(provider, stored, kind);
        }
        let mut stored = engine.shared_session(provider, settings, need, self.trail)?;
        let token = &need.select(&stored.session).access_token;
        if provider.login.renews()
            && self.is_rejected(provider, token)
            && let Ok(true) = engine.refuse_shared(provider, settings, token)
        {
            stored = engine.shared_session(provider, settings, need, self.trail)?;
        }
        let kind = fleet::kind(provider, &stored.session);
        self.of_session(provider, stored, kind)
    }

    fn need(&self, provider: &Provider) -> Need {
        let id_token = provider.login.returns_id_token(self.request.token);
        Need { min_validity: self.request.min_validity, id_token }
    }

    /// The token of a session that is needed, as a credential.
    fn of_session(
        &self,
        provider: &Provider,
        StoredSession { session, source }: StoredSession,
        kind: Kind,
    ) -> Result<Found> {
        let (need, now) = (self.need(provider), self.engine.clock.now());
        if need.is_unmeetable(&session, now)
            || self.request.token == TokenKind::Id && session.id_token.is_none()
        {
            return Err(no_id_token(provider, &session));
        }
        let expires_at = need.select(&session).reported_expiry(now);
        let token = need.into_token(session);
        Ok((self.credential(provider, kind, token, expires_at), source))
    }

    fn credential(
        &self,
        provider: &Provider,
        kind: Kind,
        token: Secret,
        expires_at: Option<Timestamp>,
    ) -> Credential {
        let username = self.request.username.as_deref().unwrap_or(&provider.basic_username);
        Credential {
            provider: Some(provider.name.to_string()),
            account: (!provider.account.is_default()).then(|| provider.account.to_string()),
            kind,
            username: username.to_owned(),
            secret: token,
            header: Some(provider.header.clone()),
            prefixes: self.prefixes(self.request, provider),
            expires_at,
            refresh_token: None,
        }
    }

    /// An error if the request names another API URL than that of the login: a session is not sent there.
    fn require_api_url(&self, provider: &Provider) -> Result<()> {
        let (context, named) = (self.engine.context, self.request.api_url.as_deref());
        let Some(login_url) = context.other_login_url(provider, named)? else {
            return Ok(());
        };
        let api_url = context.api_url(provider, named)?;
        let login = provider.command(&format!("login --api-url {api_url}"));
        let message = format!("logged in at {login_url}, not {api_url}");
        Err(Error::new(ErrorCode::NotLoggedIn, message)
            .with_hint(format!("run `{login}` to log in there")))
    }

    /// Whether the request reports that the session's token was rejected.
    fn is_rejected(&self, provider: &Provider, token: &Secret) -> bool {
        match self.request.rejection {
            Rejection::NotReported => false,
            Rejection::Reported => self.has_received(provider),
            Rejection::ByRepetition => {
                let target = self.request.target.as_ref();
                returned_token::is_repeated(&self.engine.context.paths, target, token)
            }
        }
    }

    /// Whether a tool that needs the prefixes has already received this provider's token for the target.
    fn has_received(&self, provider: &Provider) -> bool {
        let mut all = CredentialRequest { target: None, ..self.request.clone() };
        all.tool.needs_prefixes = true;
        let default = self.engine.context.descriptor(None);
        let is_default = default.is_ok_and(|default| default.name == provider.name);
        let host =
            self.request.target.as_ref().map(|target| Target::whole_host(target.origin.clone()));
        is_default && host.is_some_and(|host| self.prefixes(&all, provider).contains(&host))
    }

    /// The URL prefixes that the token is for: the host of the request, or all exact hosts. The target, if a part of the host
    /// has another account.
    fn prefixes(&self, request: &CredentialRequest, provider: &Provider) -> Vec<Target> {
        let context = self.engine.context;
        let configuration = context.configuration();
        let is_shared = |origin: &Origin| {
            configuration.as_ref().map_or(true, |found| found.has_account_pattern(origin))
        };
        if let Some(target) = &request.target {
            let host = Target::whole_host(target.origin.clone());
            return vec![if is_shared(&target.origin) { target.clone() } else { host }];
        }
        if !request.tool.needs_prefixes {
            return Vec::new();
        }
        let api = context.api_origin(provider, request.api_url.as_deref());
        let hosts = provider.hosts.iter().flat_map(HostPattern::origins);
        let mut prefixes: Vec<_> = api.into_iter().chain(hosts).map(Target::whole_host).collect();
        // The tool would send the token to everything on the host, and has to request a credential for each URL instead.
        prefixes.retain(|host| !is_shared(&host.origin));
        prefixes.sort_by_key(ToString::to_string);
        prefixes.dedup();
        prefixes
    }
}

/// An error if `config.toml` lists a host for two providers: the user has not said which token is sent there.
fn check_claims(claims: &[&str], origin: &Origin, provider: &Provider) -> Result<()> {
    if claims.len() < 2 || !claims.contains(&&*provider.name) {
        return Ok(());
    }
    let names = claims.join(" and ");
    let hint = "remove it from one of them: `my-credential-helper --provider NAME config remove hosts HOST`";
    Err(Error::invalid(format!("{origin} is in `hosts` of two providers: {names}")).with_hint(hint))
}

fn with_attempts(error: Error, attempts: &[Attempt]) -> Error {
    let line = |attempts: &[Attempt]| (!attempts.is_empty()).then(|| attempts_line(attempts));
    let mut withheld = attempts.to_vec();
    withheld.retain(|attempt| matches!(attempt.outcome, Outcome::Withheld { .. }));
    Error { tried: line(attempts), withheld: line(&withheld), ..error }
}

fn describe(found: &Resolved) -> String {
    let Resolved { credential, source, attempts, .. } = found;
    let expiry = match credential.expires_at {
        Some(expiry) => format!("expiry {}", expiry.to_whole_seconds()),
        None => "no expiry".to_owned(),
    };
    let (source, kind) = (source.name(), credential.kind.name());
    format!("found in {source}: {kind} with {expiry}; tried: {}", attempts_line(attempts))
}

fn not_found(request: &CredentialRequest) -> Error {
    let origin =
        request.target.as_ref().map(|target| target.origin.to_string()).unwrap_or_default();
    Error::new(ErrorCode::NotFound, format!("no credential for {origin}")).with_hint(
        "if a provider's token may be sent there, add the host to its `hosts` in config.toml",
    )
}

/// Replaces "no credential" by "cannot read the stored credential": the tool would prompt for another one.
fn explained(error: Error, request: &CredentialRequest, trail: &Trail) -> Error {
    let unreadable = if error.is_no_credential() { unreadable_error(request, trail) } else { None };
    unreadable.unwrap_or(error)
}

/// The error that a stored credential cannot be read.
fn unreadable_error(request: &CredentialRequest, trail: &Trail) -> Option<Error> {
    let origin = &request.target.as_ref()?.origin;
    let (source, failure) = trail.attempts.iter().find_map(|attempt| {
        let source = match attempt.subject {
            Subject::UrlCredential(source) => source,
            Subject::UrlCredentialFile => Source::File,
            _ => return None,
        };
        match &attempt.outcome {
            // The credential was read. The tool's next source may have one that the protocol can carry.
            Outcome::Unavailable(StoreFailure::NotOneLine) => None,
            Outcome::Unavailable(cause) => Some((source, cause)),
            _ => None,
        }
    })?;
    let source = source.name();
    let message =
        format!("a credential for {origin} is in the {source}, and cannot be read: {failure}");
    let hint = match failure {
        StoreFailure::Locked | StoreFailure::TimedOut => "unlock the keyring and try again",
        StoreFailure::Off(OffReason::Disabled) => "unset MY_NO_KEYRING and try again",
        StoreFailure::Off(_) => {
            "try again where the keyring is available, or store the credential again"
        }
        StoreFailure::Failed(_) | StoreFailure::NotOneLine => {
            let error = Error::invalid_state(message);
            return Some(error.with_hint("store the credential again"));
        }
    };
    Some(Error::temporary(message).with_hint(hint))
}

/// The error that the session has no ID token, or that only a login brings a new one.
fn no_id_token(provider: &Provider, session: &Session) -> Error {
    let Provider { name, .. } = provider;
    let title = provider.title();
    if session.id_token.is_some() {
        let reason = match session.refresh_token {
            Some(_) => "a refresh brings no new one",
            None => "the session cannot be refreshed",
        };
        let message = format!("the ID token of {title} has expired, and {reason}");
        return Error::new(ErrorCode::SessionExpired, message).with_hint(format!(
            "{} with `--force`; for kubectl, `kubernetes_token = \"access\"` in [providers.{name}] of config.toml \
             selects the access token",
            provider.login_hint()
        ));
    }
    let message = format!("the session with {title} has no ID token");
    Error::new(ErrorCode::NotFound, message).with_hint(format!(
        "if the service supports OpenID Connect, add `openid` to `scopes` in [providers.{name}] of config.toml, and {} \
         with `--force`",
        provider.login_hint()
    ))
}

fn expired(provider: &Provider, session: &Session) -> Error {
    let expiry = session.expires_at.to_whole_seconds();
    let message = format!("the token for {} expired at {expiry}", provider.title());
    Error::new(ErrorCode::SessionExpired, message).with_hint(provider.login_hint())
}

/// The error that nobody is logged in, or that a store exists and could not be read.
pub(super) fn no_session(loaded: &LoadedSessions, provider: &Provider, context: &Context) -> Error {
    let title = provider.title();
    let Some((source, failure)) = &loaded.problem else {
        return Error::new(ErrorCode::NotLoggedIn, format!("not logged in to {title}"))
            .with_hint(context.login_hint(provider));
    };
    let source = source.name();
    let hint = match failure {
        StoreFailure::Locked | StoreFailure::TimedOut => {
            "unlock the keyring and try again".to_owned()
        }
        StoreFailure::Off(_) => format!("try again where the {source} is available"),
        StoreFailure::Failed(_) | StoreFailure::NotOneLine => {
            return Error::invalid_state(format!(
                "cannot read the session with {title}: {failure}"
            ))
            .with_hint(format!("{} to replace it", provider.login_hint()));
        }
    };
    let message = format!("cannot read the session with {title} from the {source}: {failure}");
    Error::temporary(message).with_hint(hint)
}
