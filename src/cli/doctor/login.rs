//! The credentials: whether there is one, whether the service accepts it, and whether the next one can be saved.

use std::cell::OnceCell;

use super::finding::Finding;
use crate::auth::Engine;
use crate::auth::fleet::SharedFacts;
use crate::cli::{names_provider, status};
use crate::error::{Error, ErrorCode, Result};
use crate::model::{CredentialRequest, Provider, StoreFailure};
use crate::store::env;
use crate::store::session::LoadedSessions;
use crate::sys::atomic_file::{self, Policy};

pub(super) const SEE_SETTINGS: &str = "run `my-credential-helper config list` to see the settings";

/// More than a session has.
const SESSION_SIZE: usize = 8 << 10;

/// A provider that is examined, with the account in use. Its session is loaded once.
pub(super) struct Login {
    pub(super) provider: Provider,
    loaded: OnceCell<Known>,
}

/// The sessions, and what a shared store says about them.
type Known = (LoadedSessions, Option<Result<SharedFacts, ErrorCode>>);

impl Login {
    fn new(provider: Provider) -> Self {
        Self { provider, loaded: OnceCell::new() }
    }

    pub(super) fn loaded(&self, engine: &Engine<'_>) -> &Known {
        self.loaded.get_or_init(|| engine.load_with_facts(&self.provider))
    }

    fn has_credential(&self, engine: &Engine<'_>) -> bool {
        engine.context.environment.get(&self.provider.token_variable).is_some()
            || self.loaded(engine).0.newest.is_some()
    }
}

/// The login in force, then that of every other provider. If nothing selects the first and it has no credential, the first
/// one that has one precedes: somebody with an own service may never log in to the built-in one. With the error of the login
/// in force, there are only the others.
pub(super) fn logins(engine: &Engine<'_>) -> (Vec<Login>, Option<Error>) {
    let (mut logins, error) = match engine.context.provider(None) {
        Ok(provider) => (vec![Login::new(provider)], None),
        Err(error) => (Vec::new(), Some(error)),
    };
    let first = logins.first().map(|login| login.provider.name.clone());
    let Ok(configuration) = engine.context.configuration() else { return (logins, error) };
    let others = configuration.names().into_iter().filter(|name| first.as_deref() != Some(*name));
    logins
        .extend(others.filter_map(|name| engine.context.provider(Some(name)).ok()).map(Login::new));
    let is_selected = names_provider(engine) || configuration.provider.is_some();
    if !is_selected && let Some(at) = logins.iter().position(|it| it.has_credential(engine)) {
        logins[..=at].rotate_right(1);
    }
    (logins, error)
}

/// The findings, and the providers that have a credential for tools.
pub(super) fn examine(
    engine: &Engine<'_>,
    logins: &[Login],
    error: Option<Error>,
) -> (Vec<Finding>, Vec<String>) {
    let has_first = error.is_none();
    let error = error.map(|error| Finding::error("login", error, "correct config.toml"));
    let mut findings: Vec<_> = error.into_iter().collect();
    let keyring = logins.first().and_then(|it| engine.stores.keyring.check(&it.provider.key).err());
    findings.extend(keyring.map(describe_keyring));
    let mut usable = Vec::new();
    for (index, login) in logins.iter().enumerate() {
        match examined(engine, login, has_first && index == 0) {
            Ok((found, is_usable)) => {
                findings.extend(found);
                usable.extend(is_usable.then(|| login.provider.name.to_string()));
            }
            Err(error) => findings.push(Finding::error("login", error, SEE_SETTINGS)),
        }
    }
    (findings, usable)
}

/// A provider that is not the first is examined if it has a credential.
fn examined(engine: &Engine<'_>, login: &Login, is_first: bool) -> Result<(Vec<Finding>, bool)> {
    let provider = &login.provider;
    let name = &*provider.token_variable;
    let found = env::read(&engine.context.environment, name, engine.clock.now());
    let is_variable = match found {
        Ok(found) => found.is_some(),
        Err(error) => return Ok((vec![Finding::error("login", error, "unset it")], false)),
    };
    let location = if is_variable {
        engine.context.check_variables(provider, &CredentialRequest::default())?;
        format!("the token in {name} is in effect and takes precedence over sessions")
    } else {
        let (loaded, _) = login.loaded(engine);
        let Some(stored) = &loaded.newest else {
            let tried =
                loaded.trail.attempts.iter().map(|it| format!("{}: {}", it.subject, it.outcome));
            let tried: Vec<_> = tried.collect();
            let message = format!("not logged in to {} ({})", provider.title(), tried.join(", "));
            let fix = engine.context.login_hint(provider);
            let problem = || Finding::problem("login", message, fix);
            let problems = is_first.then(|| unwritable(engine, provider).unwrap_or_else(problem));
            return Ok((problems.into_iter().collect(), false));
        };
        if let Some(at) = engine.context.other_login_url(provider, None)? {
            let message = format!("logged in at {at}, which is not the current API URL");
            let fix = "omit `--api-url`, or run `unset MY_API_URL`";
            return Ok((vec![Finding::problem("login", message, fix)], false));
        }
        format!("logged in to {}, in the {}", provider.title(), stored.source.name())
    };
    // Before the credential is used: a refresh needs the space.
    if !is_variable && let Some(problem) = unwritable(engine, provider) {
        return Ok((vec![problem], true));
    }
    let login = format!("run `{}`", provider.command("login --force"));
    let finding = match status::check(engine, provider) {
        Ok(outcome) if is_variable => Finding::note("login", format!("{location}; {outcome}")),
        Ok(outcome) => Finding::fine("login", format!("{location}; {outcome}")),
        // Whether the service can be reached is another check.
        Err(error) if error.code == ErrorCode::TemporarilyUnavailable => {
            Finding::note("login", format!("{location}; not checked: {}", error.message))
        }
        Err(error) => Finding::error("login", error, &login),
    };
    Ok((vec![finding], true))
}

/// Whether a session could be saved, in the directory that has it or will have it. A token of a variable is never saved.
fn unwritable(engine: &Engine<'_>, provider: &Provider) -> Option<Finding> {
    let path = engine.context.paths.in_home(&provider.key.file).ok()?;
    let folder = path.ancestors().skip(1).find(|folder| folder.is_dir())?;
    let inside = folder.join(path.file_name()?);
    let reason = atomic_file::prepare(&inside, SESSION_SIZE, Policy::Preserve).err()?;
    let (folder, variable) = (folder.display(), &provider.token_variable);
    let fix = format!(
        "make {folder} writable and free some space there, or set {variable} to a token, which is not saved"
    );
    Some(Finding::problem("login", format!("no session can be saved: {reason}"), fix))
}

fn describe_keyring(failure: StoreFailure) -> Finding {
    let fix = match failure {
        StoreFailure::Off(reason) => {
            let message = format!("not used: {reason}; sessions are stored in a file");
            return Finding::note("keyring", message);
        }
        StoreFailure::Locked => {
            "unlock it by logging in to the desktop, or with `gnome-keyring-daemon --unlock`"
        }
        _ => "set MY_NO_KEYRING, and log in again to use the file",
    };
    let message = match failure {
        StoreFailure::TimedOut => "did not respond in time".to_owned(),
        failure => failure.to_string(),
    };
    Finding::problem("keyring", message, fix)
}
