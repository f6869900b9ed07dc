//! How this machine gets a token of the server. The token is stored on this machine as an access token is (0600), and used
//! until two thirds of its lifetime have passed; then it is renewed, or replaced by a login.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::super::client::{body, segment};
use super::super::{identity, issued};
use super::server::{Call, Refusal, Repeated};
use super::{Response, VaultStore};
use crate::http::SharedFailure;
use crate::model::{
    IdentitySource, JwtSource, LoginKind, Proof, Provider, Secret, SecretLocation, Timestamp,
    Vault, VaultLogin, json as numbers,
};
use crate::sys::atomic_file;
use crate::sys::lock::{self, Locks as _};

/// The longest lifetime of a token, in seconds.
const MAX_LEASE: u64 = 366 * 24 * 3600;

/// The part of a login's response that has the token.
#[derive(Deserialize)]
pub(in crate::http) struct Auth {
    client_token: Secret,
    #[serde(default)]
    lease_duration: Value,
    #[serde(default)]
    renewable: bool,
}

impl Auth {
    /// The token, if it can be sent, and its lifetime in seconds; `None` if it does not expire.
    pub(in crate::http) fn into_token(self) -> Option<(Secret, Option<u64>)> {
        let lifetime = numbers::number(&self.lease_duration, 0..=MAX_LEASE);
        let lifetime = lifetime.filter(|seconds| *seconds > 0);
        issued::is_usable(&self.client_token).then_some((self.client_token, lifetime))
    }
}

/// <https://openbao.org/api-docs/auth/approle/#login-with-approle>; the same for `jwt`, `kubernetes` and `cert`.
pub(in crate::http) fn login_path(mount: &str) -> String {
    let mount: Vec<_> = mount.split('/').map(segment).collect();
    format!("/v1/auth/{}/login", mount.join("/"))
}

/// What is stored on this machine.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct Cached {
    #[serde(serialize_with = "Secret::serialize")]
    token: Option<Secret>,
    received_at: i64,
    /// In seconds; `None` if the token does not expire.
    lifetime: Option<u64>,
    renewable: bool,
    /// The `secret_id` that was unwrapped, and a hash of the token that unwrapped it.
    #[serde(serialize_with = "Secret::serialize")]
    secret_id: Option<Secret>,
    unwrapped_by: Option<String>,
}

impl Cached {
    /// The seconds of its lifetime that are left, of which the last third is for its replacement.
    fn left(&self, now: Timestamp) -> Option<i64> {
        let age = now.unix().saturating_sub(self.received_at);
        let lifetime = i64::try_from(self.lifetime?).unwrap_or(i64::MAX);
        // Of a time in the future, nothing is known.
        if age < 0 { Some(0) } else { Some(lifetime.saturating_sub(age)) }
    }

    fn is_fresh(&self, now: Timestamp) -> bool {
        let third = self.lifetime.unwrap_or_default() / 3;
        let third = i64::try_from(third).unwrap_or(i64::MAX);
        self.has_token() && self.left(now).is_none_or(|left| left > third)
    }

    fn is_alive(&self, now: Timestamp) -> bool {
        self.has_token() && self.left(now).is_none_or(|left| left > 0)
    }

    fn has_token(&self) -> bool {
        self.token.as_ref().is_some_and(|token| !token.is_empty())
    }
}

/// The token and whether it is a new one. `rejected` is not returned, unless somebody else maintains it.
pub(super) fn token(
    store: &VaultStore<'_>,
    rejected: Option<&Secret>,
) -> Result<(Secret, bool), SharedFailure> {
    let (mount, proof) = match &store.settings.login {
        VaultLogin::Token(file) => return given(store, file.clone()).map(|token| (token, true)),
        VaultLogin::Method { mount, proof } => (mount, proof),
    };
    let now = || store.server.clock.now();
    let path = file(store);
    let read = || {
        let cached = path.as_deref().and_then(read_cached).unwrap_or_default();
        let is_rejected = rejected.is_some() && rejected == cached.token.as_ref();
        if is_rejected { Cached { token: None, ..cached } } else { cached }
    };
    let found = |cached: Cached| cached.token.unwrap_or_else(|| Secret::new(""));
    let cached = read();
    if cached.is_fresh(now()) {
        return Ok((found(cached), false));
    }
    // One process of this machine logs in; where no lock can be taken, or not in time, each does.
    let remaining = store.server.deadline.saturating_duration_since(store.server.clock.instant());
    let lock = path.as_ref().map(|path| {
        lock::wait(
            &lock::FileLocks,
            store.server.clock,
            &path.with_extension("lock"),
            remaining / 2,
        )
    });
    let is_held = matches!(lock, Some(Ok(None)));
    let _lock = lock.and_then(std::result::Result::ok).flatten();
    let cached = read();
    if cached.is_fresh(now()) {
        return Ok((found(cached), false));
    }
    let is_alive = cached.is_alive(now());
    let renewed =
        (is_alive && cached.renewable).then(|| renew(store, &found(cached.clone()), &cached).ok());
    let renewed = renewed.flatten();
    let file = path.as_ref().map(|path| (path, is_held));
    let result = renewed.map_or_else(|| log_in(store, mount, proof, &cached, file), Ok);
    match result {
        Ok(cached) => {
            path.inspect(|path| drop(write(path, &cached)));
            Ok((found(cached), true))
        }
        Err(_) if is_alive => Ok((found(cached), false)),
        Err(failure) => Err(failure),
    }
}

/// Another server, role or namespace has another token.
fn file(store: &VaultStore<'_>) -> Option<PathBuf> {
    let Vault { addresses, namespace, login, .. } = &store.settings;
    let name = digest(&format!("{addresses:?} {namespace:?} {login:?}"));
    store.server.network.context.paths.in_home(&format!(".my/stores/{name}.json")).ok()
}

fn digest(text: &str) -> String {
    BASE64.encode(&Sha256::digest(text)[..16])
}

fn read_cached(path: &Path) -> Option<Cached> {
    let contents = atomic_file::read(path).ok()??;
    serde_json::from_str(contents.text.expose_secret()).ok()
}

fn write(path: &Path, cached: &Cached) -> Result<(), atomic_file::WriteError> {
    let text = Zeroizing::new(serde_json::to_string(cached).unwrap_or_default());
    atomic_file::write_fleeting(path, &text)
}

/// A token that somebody else provides.
fn given(store: &VaultStore<'_>, file: Option<PathBuf>) -> Result<Secret, SharedFailure> {
    if let Some(token) = &store.given {
        return Ok(token.clone());
    }
    let home = || store.server.network.context.paths.in_home(".vault-token");
    let file = file.map_or_else(home, Ok).map_err(|problem| denied(&problem))?;
    let token = secret(store, &SecretLocation::File(file)).map_err(|failure| match failure {
        SharedFailure::Denied(why) => {
            SharedFailure::Denied(format!("{why}, and VAULT_TOKEN is not set"))
        }
        failure => failure,
    })?;
    maintain(store, &token);
    Ok(token)
}

/// Renews the token of a file when two thirds of its lifetime have passed; it stays the same token. This machine stores its
/// lifetime, for which it asks the server once, and a hash of it.
fn maintain(store: &VaultStore<'_>, token: &Secret) {
    let (Some(path), now) = (file(store), store.server.clock.now()) else { return };
    let hash = Some(Secret::new(digest(token.expose_secret())));
    let read = || read_cached(&path).filter(|cached| cached.token == hash);
    let is_done =
        |known: &Option<Cached>| known.as_ref().is_some_and(|it| !it.renewable || it.is_fresh(now));
    if is_done(&read()) {
        return;
    }
    let Ok(Some(_lock)) = lock::FileLocks.try_lock(&path.with_extension("lock")) else { return };
    let known = read();
    if is_done(&known) {
        return;
    }
    let found = match &known {
        Some(cached) => renew(store, token, cached),
        None => look_up(store, token),
    };
    let found = match found {
        Ok(found) => found,
        // Its policy does not allow that, or it has expired.
        Err(Refusal::Decision(_)) => Cached::default(),
        Err(Refusal::Failure(_)) => return,
    };
    let _ = write(&path, &Cached { token: hash, ..found });
}

/// <https://openbao.org/api-docs/auth/token/#lookup-a-token-self>
fn look_up(store: &VaultStore<'_>, token: &Secret) -> Result<Cached, Refusal> {
    #[derive(Deserialize)]
    struct Facts {
        ttl: Value,
        #[serde(default)]
        renewable: bool,
    }
    let call = Call::get("/v1/auth/token/lookup-self");
    let (response, _) = store.server.request::<Response<Facts>>(&call, Some(token))?;
    let facts = response.data.ok_or_else(|| denied(&"the server does not know its token"))?;
    let lifetime = numbers::number(&facts.ttl, 1..=MAX_LEASE);
    let received_at = store.server.clock.now().unix();
    Ok(Cached { received_at, lifetime, renewable: facts.renewable, ..Cached::default() })
}

fn denied(why: &dyn std::fmt::Display) -> SharedFailure {
    SharedFailure::Denied(format!("cannot log in to the server: {why}"))
}

/// If the token cannot be renewed, a login replaces it.
fn renew(store: &VaultStore<'_>, token: &Secret, cached: &Cached) -> Result<Cached, Refusal> {
    let body = Secret::new("{}");
    let call = Call::post("/v1/auth/token/renew-self", &body);
    let (response, _) = store.server.request(&call, Some(token))?;
    Ok(issued(store, response, cached)?)
}

fn log_in(
    store: &VaultStore<'_>,
    mount: &str,
    proof: &Proof,
    cached: &Cached,
    file: Option<(&PathBuf, bool)>,
) -> Result<Cached, SharedFailure> {
    let mut cached = cached.clone();
    let (fields, secret) = match proof {
        Proof::AppRole { role_id, secret_id, is_wrapped } => {
            let secret = secret(store, secret_id)?;
            let secret =
                if *is_wrapped { unwrap(store, &secret, &mut cached, file)? } else { secret };
            (vec![("role_id", &**role_id)], Some(("secret_id", secret)))
        }
        Proof::Jwt { role, source, .. } => {
            (vec![("role", &**role)], Some(("jwt", jwt(store, source)?)))
        }
        Proof::Certificate { role: Some(role), .. } => (vec![("name", &**role)], None),
        Proof::Certificate { role: None, .. } => (Vec::new(), None),
    };
    let exposed = secret.iter().map(|(name, secret)| (*name, secret.expose_secret()));
    let (path, body) = (login_path(mount), body(fields.into_iter().chain(exposed)));
    let secret = secret.map(|(_, secret)| secret);
    let call = Call { secrets: &secret.iter().collect::<Vec<_>>(), ..Call::post(&path, &body) };
    let response = store.server.request(&call, None).map_err(|refusal| match refusal {
        Refusal::Failure(failure) => failure,
        Refusal::Decision(error) => {
            let address = store.server.address();
            let message = format!("cannot log in to {address} with {mount}: {error}");
            SharedFailure::Denied(message)
        }
    })?;
    issued(store, response.0, &cached)
}

fn issued(
    store: &VaultStore<'_>,
    response: Response<Value>,
    cached: &Cached,
) -> Result<Cached, SharedFailure> {
    let renewable = response.auth.as_ref().is_some_and(|auth| auth.renewable);
    let (token, lifetime) = response.auth.and_then(Auth::into_token).ok_or_else(|| {
        let address = store.server.address();
        SharedFailure::Failed(format!("the response of {address} has no usable token"))
    })?;
    Ok(Cached {
        token: Some(token),
        received_at: store.server.clock.now().unix(),
        lifetime,
        renewable,
        ..cached.clone()
    })
}

fn secret(store: &VaultStore<'_>, location: &SecretLocation) -> Result<Secret, SharedFailure> {
    let found = store.server.network.context.secret(location);
    found.map_err(|error| denied(&error.message))?.ok_or_else(|| {
        let place = match location {
            SecretLocation::Variable(name) => name.clone(),
            SecretLocation::File(path) => path.display().to_string(),
        };
        denied(&format!("{place} is missing or empty"))
    })
}

/// The `secret_id` that a token unwraps once. It is stored on this machine before it is used, and a check before that shows
/// that it can be stored. While another process has the lock on the file, that one unwraps it: this one would report a theft.
/// <https://openbao.org/docs/concepts/response-wrapping/>
fn unwrap(
    store: &VaultStore<'_>,
    token: &Secret,
    cached: &mut Cached,
    file: Option<(&PathBuf, bool)>,
) -> Result<Secret, SharedFailure> {
    #[derive(Deserialize)]
    struct Unwrapped {
        secret_id: Secret,
    }
    let used = digest(token.expose_secret());
    if let Some(secret) =
        cached.secret_id.as_ref().filter(|_| cached.unwrapped_by == Some(used.clone()))
    {
        return Ok(secret.clone());
    }
    let (path, is_held) =
        file.ok_or_else(|| denied(&"a wrapped secret_id needs a home directory"))?;
    if is_held {
        let message = "another process of this machine unwraps the secret_id";
        return Err(SharedFailure::Unavailable(message.to_owned()));
    }
    let unwritable = |error| denied(&format!("the secret_id could not be saved: {error}"));
    write(path, cached).map_err(unwritable)?;
    let body = Secret::new("{}");
    let call = Call { repeated: Repeated::Refused, ..Call::post("/v1/sys/wrapping/unwrap", &body) };
    let (response, _) =
        store.server.request::<Response<Unwrapped>>(&call, Some(token)).map_err(|refusal| {
            match refusal {
                Refusal::Failure(failure) => failure,
                Refusal::Decision(error) => SharedFailure::Denied(format!(
                    "the wrapped secret_id cannot be unwrapped: {error}; if this machine has not unwrapped it, \
                     somebody else has: revoke it, and provide another one"
                )),
            }
        })?;
    let missing = || SharedFailure::Failed("the wrapped response has no secret_id".to_owned());
    let Unwrapped { secret_id } = response.data.ok_or_else(missing)?;
    cached.secret_id = Some(secret_id.clone());
    cached.unwrapped_by = Some(used);
    write(path, cached).map_err(unwritable)?;
    Ok(secret_id)
}

fn jwt(store: &VaultStore<'_>, source: &JwtSource) -> Result<Secret, SharedFailure> {
    let identity = match source {
        JwtSource::Variable(name) => return secret(store, &SecretLocation::Variable(name.clone())),
        JwtSource::File(path) => return public(path),
        JwtSource::Identity(identity) => identity,
    };
    if let IdentitySource::File(path) | IdentitySource::Kubernetes(path) = &identity.source {
        return public(path);
    }
    if let Some(name) = identity.source.variable() {
        return secret(store, &SecretLocation::Variable(name.to_owned()));
    }
    let (none, kind) = (String::new(), LoginKind::ApiKey { is_microtica: false });
    let server = Provider {
        identity: Some(identity.clone()),
        ..Provider::new("vault", kind, none.clone(), none)
    };
    let network = store.server.network.until(store.server.deadline);
    let now = store.server.clock.now();
    let token = identity::request_token(network, &server, now);
    let token = token.map_err(|error| denied(&error.message))?;
    let token = token.ok_or_else(|| denied(&"no metadata server answers"))?;
    identity.check(&token, now).map_err(|error| denied(&error.message))?;
    Ok(token)
}

/// The kubelet's file is a link to a file of root, which others may read.
fn public(path: &Path) -> Result<Secret, SharedFailure> {
    let place = path.display();
    let text = atomic_file::read_public(path).map_err(|why| denied(&format!("{place} {why}")))?;
    let token = Secret::trimmed(&zeroize::Zeroizing::new(text.unwrap_or_default()));
    if token.is_empty() { Err(denied(&format!("{place} is missing or empty"))) } else { Ok(token) }
}
