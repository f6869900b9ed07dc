//! The login: whether there is one, and what keeps its places from answering.

use super::Finding;
use crate::auth::Engine;
use crate::error::Result;
use crate::model::{CredentialRequest, StoreFailure};
use crate::store::{env, session};

/// What was found, and whether tools can be given a credential.
pub(super) fn examine(engine: &Engine<'_>) -> (Vec<Finding>, bool) {
    examined(engine).unwrap_or_else(|error| {
        (
            vec![Finding::problem(
                "login",
                error.message,
                error.hint.unwrap_or_else(|| {
                    "run `my-credential-helper config list` to see the settings".to_owned()
                }),
            )],
            false,
        )
    })
}

fn examined(engine: &Engine<'_>) -> Result<(Vec<Finding>, bool)> {
    let (provider, stores) = (engine.context.provider(None)?, engine.stores);
    let mut findings: Vec<_> =
        keyring(stores.keyring.check(&provider.key).err()).into_iter().collect();
    let name = &*provider.token_variable;
    let variable = env::read(&engine.context.environment, name, engine.clock.now());
    let request = CredentialRequest::default();
    let is_used = |_| engine.context.check_variables(&provider, &request);
    match variable.and_then(|found| found.map(is_used).transpose()) {
        Ok(Some(())) => {
            findings.push(Finding::note(
                "login",
                format!("the token in {name} is in effect and takes precedence over sessions"),
            ));
            return Ok((findings, true));
        }
        Err(error) => {
            findings.push(Finding::problem(
                "login",
                error.message,
                error
                    .hint
                    .unwrap_or_else(|| format!("set it to a valid token, or run `unset {name}`")),
            ));
            return Ok((findings, false));
        }
        Ok(None) => {}
    }
    let loaded = session::load(&stores, &provider.key);
    let elsewhere = engine.context.other_login_url(&provider, None)?;
    let (finding, is_logged_in) = match (&loaded.newest, elsewhere) {
        (None, _) => {
            let tried: Vec<_> = loaded
                .trail
                .attempts
                .iter()
                .map(|at| format!("{}: {}", at.subject, at.outcome))
                .collect();
            let message = format!("not logged in to {} ({})", provider.name, tried.join(", "));
            (Finding::problem("login", message, format!("`{}`", provider.command("login"))), false)
        }
        (Some(_), Some(at)) => {
            let message = format!("logged in at {at}, which is not the current API URL");
            (
                Finding::problem("login", message, "omit `--api-url`, or run `unset MY_API_URL`"),
                false,
            )
        }
        (Some(kept), None) => (
            Finding::fine(
                "login",
                format!("logged in to {}, in the {}", provider.name, kept.source.name()),
            ),
            true,
        ),
    };
    findings.push(finding);
    Ok((findings, is_logged_in))
}

fn keyring(unavailable: Option<StoreFailure>) -> Option<Finding> {
    Some(match unavailable? {
        StoreFailure::Off(reason) => {
            Finding::note("keyring", format!("not used: {reason}; sessions are stored in a file"))
        }
        StoreFailure::Locked => Finding::problem(
            "keyring",
            "locked",
            "unlock it by logging in to the desktop, or with `gnome-keyring-daemon --unlock`",
        ),
        StoreFailure::TimedOut => Finding::problem(
            "keyring",
            "did not respond in time",
            "set MY_NO_KEYRING, and log in again to use the file",
        ),
        failure @ (StoreFailure::Failed(_) | StoreFailure::NotOneLine) => Finding::problem(
            "keyring",
            failure.to_string(),
            "set MY_NO_KEYRING, and log in again to use the file",
        ),
    })
}
