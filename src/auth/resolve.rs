//! Selects the credential for a request. The sources of the provider that owns the host are searched in this order: the
//! variable, the identity of the job, the credential that is stored for the URL, the session of the account, which is
//! refreshed if it is stale. For a host that no provider owns, only the credential that is stored for the URL is
//! searched.

use super::accounts::AccountChoice;
use super::refresh::ForcedBy;
use super::{Engine, GetError, fleet};
use crate::config::Context;
use crate::error::{Error, ErrorCode, Result};
use crate::model::{
    Credential, CredentialRequest, Header, HostPattern, Kind, Need, OffReason, Origin, Outcome,
    Provider, Rejection, Resolved, Secret, Session, SharedSettings, Source, StoreFailure, Subject,
    Target, Timestamp, TokenKind, Trail, UrlCredential, Warning, attempts_line,
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

impl Engine<'_> {
    /// Returns the credential for a request; an error lists every source that was searched.
    pub fn get(&self, request: &CredentialRequest) -> Result<Resolved, GetError> {
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
                let failure = GetError::new(explained(error, request, &trail), trail.attempts);
                self.log.debug(&|| format!("none: {}", Error::from(failure.clone()).one_line()));
                Err(failure)
            }
        }
    }

    /// The result of [`Engine::get`] if every refresh succeeds, according to the stored sessions. Sends no request.
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
        let found = self.search_target(request, mode, trail);
        let (credential, source) = match (found, request.for_other_scheme()) {
            (Err(error), Some(other)) if error.is_no_credential() => {
                self.search_target(&other, mode, trail).or(Err(error))?
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

    fn search_target(
        &self,
        request: &CredentialRequest,
        mode: RefreshMode,
        trail: &mut Trail,
    ) -> Result<Found> {
        let Some(provider) = self.provider_of(request, trail)? else {
            let found = self.find_url_credential(request, trail);
            if found.is_none() && request.explain {
                trail.add(Subject::UrlCredentials, Outcome::NoEntry);
            }
            return found.map(|(found, _)| found).ok_or_else(|| not_found(request));
        };
        if !request.tool.auth_form.has_header_name() && !provider.accepts_password {
            let message = format!("{} does not accept its token as a password", provider.name);
            return Err(Error::new(ErrorCode::NotFound, message));
        }
        if let Some(found) = self.find_variable(request, &provider, trail)? {
            return Ok(found);
        }
        if let Some(found) = self.find_identity(request, &provider, mode, trail)? {
            return Ok(found);
        }
        let mut stored = self.find_url_credential(request, trail);
        if let Some((found, _)) =
            stored.take_if(|(found, _)| found.0.username != UrlCredential::IDENTITY_TOKEN_USER)
        {
            return Ok(found);
        }
        let AccountChoice { provider, attempt, prefix, by_username } =
            self.choose_account(request, provider)?;
        trail.attempts.splice(0..0, attempt);
        let username = request.username.clone().filter(|_| !by_username);
        let request = CredentialRequest { username, ..request.clone() };
        // A registry may revoke the identity token that docker stored, and docker does not report a rejection: a
        // session of a later login precedes the identity token.
        if let Some((found, stored_at)) = stored
            && !self.has_session_since(&provider, stored_at)
        {
            return Ok(found);
        }
        let (mut credential, source) = self.find_session(&request, &provider, mode, trail)?;
        // The account of a pattern is only for the pattern's part of the host.
        credential.prefixes = prefix.map_or(credential.prefixes, |prefix| vec![prefix]);
        Ok((credential, source))
    }

    /// The provider that the request names or that owns its target, with the default account; `None` if no provider
    /// owns the target.
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

    /// Records that the token in the provider's variable is not sent to a host of another owner (CVE-2024-53858), so
    /// that the error reports it.
    fn record_withheld(&self, provider: &Provider, origin: &Origin, trail: &mut Trail) {
        let variable = &provider.token_variable;
        if self.context.environment.get(variable).is_some() {
            let (origin, provider) = (origin.to_string(), provider.name.to_string());
            let outcome = Outcome::Withheld { origin, provider };
            trail.add(Subject::Variable(variable.to_string()), outcome);
        }
    }

    fn find_variable(
        &self,
        request: &CredentialRequest,
        provider: &Provider,
        trail: &mut Trail,
    ) -> Result<Option<Found>> {
        let name = &provider.token_variable;
        let subject = Subject::Variable(name.to_string());
        let found = env::read(&self.context.environment, name, self.clock.now())?;
        let Some(env::Variable { token, kind, expires_at }) = found else {
            trail.add(subject, Outcome::NotSet);
            return Ok(None);
        };
        trail.add(subject, Outcome::Found);
        self.context.check_variables(provider, request)?;
        let credential = self.credential(request, provider, kind, token, expires_at);
        Ok(Some((credential, Source::Environment)))
    }

    /// The token for this job's identity, if the provider has one and its source is present.
    fn find_identity(
        &self,
        request: &CredentialRequest,
        provider: &Provider,
        mode: RefreshMode,
        trail: &mut Trail,
    ) -> Result<Option<Found>> {
        let Some(present) = self.detect_identity(provider, trail)? else { return Ok(None) };
        self.require_api_url(request, provider)?;
        let (token, expires_at) = match mode {
            RefreshMode::Assume => (Secret::new(""), None),
            RefreshMode::Perform => {
                let entry =
                    self.identity_session(provider, present, request.min_validity, trail)?;
                let expires_at = entry.session.reported_expiry(self.clock.now());
                (entry.session.access_token, expires_at)
            }
        };
        let credential = self.credential(request, provider, Kind::Session, token, expires_at);
        Ok(Some((credential, Source::Identity)))
    }

    /// The credential that is stored for the target, and the time when it was stored.
    fn find_url_credential(
        &self,
        request: &CredentialRequest,
        trail: &mut Trail,
    ) -> Option<(Found, Timestamp)> {
        request.target.as_ref()?;
        let (found, source) =
            url_credentials::find(&self.stores, request, self.clock.now(), trail)?;
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

    /// Whether the session is of a login after `time` and is valid, or can be refreshed.
    fn has_session_since(&self, provider: &Provider, time: Timestamp) -> bool {
        let newest = self.load(provider).newest;
        newest.is_some_and(|StoredSession { session, .. }| {
            let is_valid = !session.is_expired(self.clock.now());
            session.logged_in_at > time && (is_valid || provider.login.can_renew(&session))
        })
    }

    /// Whether `get` would return a token of the provider for the request, according to the stored sessions.
    pub(super) fn returns_token(&self, request: &CredentialRequest, provider: &Provider) -> bool {
        let trail = &mut Trail::default();
        let variable = self.find_variable(request, provider, trail);
        let choice = || self.choose_account(request, provider.clone());
        let session = |choice: AccountChoice| {
            self.find_session(request, &choice.provider, RefreshMode::Assume, &mut Trail::default())
        };
        variable.is_ok_and(|found| found.is_some())
            || self.has_identity(provider)
            || choice().and_then(session).is_ok()
    }

    fn find_session(
        &self,
        request: &CredentialRequest,
        provider: &Provider,
        mode: RefreshMode,
        trail: &mut Trail,
    ) -> Result<Found> {
        if let Some(settings) = &provider.shared {
            return self.find_shared_session(request, provider, settings, mode, trail);
        }
        let mut loaded = self.load_stored(&provider.key);
        trail.attempts.append(&mut loaded.trail.attempts);
        if loaded.newest.is_some() {
            self.require_api_url(request, provider)?;
            trail.warnings.append(&mut loaded.trail.warnings);
            if let Some((store, failure)) = loaded.problem.clone() {
                trail.warnings.push(Warning::StoreFailed { store, failure });
            }
        }
        let id_token = provider.login.returns_id_token(request.token);
        let need = Need { min_validity: request.min_validity, id_token };
        if let Some(stored) = &loaded.newest
            && let token = &need.select(&stored.session).access_token
            && provider.login.can_renew(&stored.session)
            && self.is_rejected(request, provider, token)
            && let Ok(true) = self.mark_rejected(provider, token, ForcedBy::Tool)
        {
            loaded = session::load(&self.stores, &provider.key);
        }
        let now = self.clock.now();
        let StoredSession { session, source } = match loaded.newest.take() {
            None => return Err(no_session(&loaded, provider, self.context)),
            Some(stored) if need.is_met(&stored.session, now) => stored,
            Some(stored) if need.is_unmeetable(&stored.session, now) => stored,
            Some(stored) if provider.login.can_renew(&stored.session) => match mode {
                RefreshMode::Assume => stored,
                RefreshMode::Perform => self.refresh(provider, need, stored, trail)?,
            },
            Some(stored) if !stored.session.is_expired(now) => stored,
            Some(stored) => return Err(expired(provider, &stored.session)),
        };
        let kind = session.kind();
        self.of_session(request, provider, need, StoredSession { session, source }, kind)
    }

    fn find_shared_session(
        &self,
        request: &CredentialRequest,
        provider: &Provider,
        settings: &SharedSettings,
        mode: RefreshMode,
        trail: &mut Trail,
    ) -> Result<Found> {
        self.require_api_url(request, provider)?;
        let id_token = provider.login.returns_id_token(request.token);
        let need = Need { min_validity: request.min_validity, id_token };
        let mut stored = match mode {
            RefreshMode::Perform => self.shared_session(provider, settings, need, trail)?,
            RefreshMode::Assume => {
                let load = || {
                    let mut loaded = self.load(provider);
                    let newest = loaded.newest.take();
                    newest.ok_or_else(|| no_session(&loaded, provider, self.context))
                };
                self.copied_session(provider, settings).map_or_else(load, Ok)?
            }
        };
        let token = &need.select(&stored.session).access_token;
        if mode == RefreshMode::Perform
            && provider.login.renews()
            && self.is_rejected(request, provider, token)
            && let Ok(true) = self.refuse_shared(provider, settings, token)
        {
            stored = self.shared_session(provider, settings, need, trail)?;
        }
        let kind = fleet::kind(provider, &stored.session);
        self.of_session(request, provider, need, stored, kind)
    }

    /// The token of a session that is needed, as a credential.
    fn of_session(
        &self,
        request: &CredentialRequest,
        provider: &Provider,
        need: Need,
        StoredSession { session, source }: StoredSession,
        kind: Kind,
    ) -> Result<Found> {
        let now = self.clock.now();
        if need.id_token && need.is_unmeetable(&session, now)
            || request.token == TokenKind::Id && session.id_token.is_none()
        {
            return Err(no_id_token(provider, &session));
        }
        let expires_at = need.select(&session).reported_expiry(now);
        let token = need.into_token(session);
        Ok((self.credential(request, provider, kind, token, expires_at), source))
    }

    /// The credential with a token of the provider.
    fn credential(
        &self,
        request: &CredentialRequest,
        provider: &Provider,
        kind: Kind,
        token: Secret,
        expires_at: Option<Timestamp>,
    ) -> Credential {
        let username = request.username.as_deref().unwrap_or(&provider.basic_username);
        Credential {
            provider: Some(provider.name.to_string()),
            account: (!provider.account.is_default()).then(|| provider.account.to_string()),
            kind,
            username: username.to_owned(),
            secret: token,
            header: Some(provider.header.clone()),
            prefixes: self.prefixes(request, provider),
            expires_at,
            refresh_token: None,
        }
    }

    /// An error if the request names another API URL than that of the login: a session is not sent there.
    fn require_api_url(&self, request: &CredentialRequest, provider: &Provider) -> Result<()> {
        let named = request.api_url.as_deref();
        let Some(login_url) = self.context.other_login_url(provider, named)? else {
            return Ok(());
        };
        let api_url = self.context.api_url(provider, named)?;
        let login = provider.command(&format!("login --api-url {api_url}"));
        let message = format!("logged in at {login_url}, not {api_url}");
        Err(Error::new(ErrorCode::NotLoggedIn, message)
            .with_hint(format!("run `{login}` to log in there")))
    }

    /// Whether the request reports that the session's token was rejected.
    fn is_rejected(
        &self,
        request: &CredentialRequest,
        provider: &Provider,
        token: &Secret,
    ) -> bool {
        match request.rejection {
            Rejection::NotReported => false,
            Rejection::Reported => self.has_received(request, provider),
            Rejection::ByRepetition => {
                let target = request.target.as_ref();
                returned_token::is_repeated(&self.context.paths, target, token)
            }
        }
    }

    /// Whether a tool that needs the prefixes has already received this provider's token for the target.
    fn has_received(&self, request: &CredentialRequest, provider: &Provider) -> bool {
        let mut all = CredentialRequest { target: None, ..request.clone() };
        all.tool.needs_prefixes = true;
        let default = self.context.descriptor(None);
        let is_default = default.is_ok_and(|default| default.name == provider.name);
        let host = request.target.as_ref().map(|target| Target::whole_host(target.origin.clone()));
        is_default && host.is_some_and(|host| self.prefixes(&all, provider).contains(&host))
    }

    /// The URL prefixes that the provider's token is for: the host of the request, or every host that is configured by
    /// its exact name. If a part of the host has another account, only the target.
    fn prefixes(&self, request: &CredentialRequest, provider: &Provider) -> Vec<Target> {
        let configuration = self.context.configuration();
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
        let api = self.context.api_origin(provider, request.api_url.as_deref());
        let hosts = provider.hosts.iter().flat_map(HostPattern::origins);
        let mut prefixes: Vec<_> = api.into_iter().chain(hosts).map(Target::whole_host).collect();
        // The tool sends the token to everything on a host. If a part of the host has another account, the tool has to
        // request a credential for each URL.
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

/// The error, unless it says that there is no credential, and one is stored that cannot be read.
fn explained(error: Error, request: &CredentialRequest, trail: &Trail) -> Error {
    let unreadable = if error.is_no_credential() { unreadable_error(request, trail) } else { None };
    unreadable.unwrap_or(error)
}

/// The error that a credential is stored for the host and cannot be read. Without the error, the tool would prompt for
/// another credential, or send the request without one.
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
    let (code, hint) = match failure {
        StoreFailure::Locked | StoreFailure::TimedOut => {
            (ErrorCode::TemporarilyUnavailable, "unlock the keyring and try again")
        }
        StoreFailure::Off(OffReason::Disabled) => {
            (ErrorCode::TemporarilyUnavailable, "unset MY_NO_KEYRING and try again")
        }
        StoreFailure::Off(_) => (
            ErrorCode::TemporarilyUnavailable,
            "try again where the keyring is available, or store the credential again",
        ),
        StoreFailure::Failed(_) | StoreFailure::NotOneLine => {
            (ErrorCode::Internal, "store the credential again")
        }
    };
    let source = source.name();
    let message =
        format!("a credential for {origin} is in the {source}, and cannot be read: {failure}");
    Some(Error::new(code, message).with_hint(hint))
}

/// The error that the session has no ID token, or that the service issues a new one only with a login.
fn no_id_token(provider: &Provider, session: &Session) -> Error {
    let Provider { name, .. } = provider;
    let title = provider.title();
    if session.id_token.is_some() {
        let message =
            format!("the ID token of {title} has expired, and a refresh brings no new one");
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
    let (code, message, hint) = match &loaded.problem {
        None => {
            let hint = context.login_hint(provider);
            (ErrorCode::NotLoggedIn, format!("not logged in to {title}"), hint)
        }
        Some((_, failure @ (StoreFailure::Locked | StoreFailure::TimedOut))) => (
            ErrorCode::TemporarilyUnavailable,
            format!("cannot read the session with {title} from the keyring: {failure}"),
            "unlock the keyring and try again".to_owned(),
        ),
        Some((source, failure @ StoreFailure::Off(_))) => (
            ErrorCode::TemporarilyUnavailable,
            format!("cannot read the session with {title} from the {}: {failure}", source.name()),
            format!("try again where the {} is available", source.name()),
        ),
        Some((_, failure)) => (
            ErrorCode::Internal,
            format!("cannot read the session with {title}: {failure}"),
            format!("{} to replace it", provider.login_hint()),
        ),
    };
    Error::new(code, message).with_hint(hint)
}
