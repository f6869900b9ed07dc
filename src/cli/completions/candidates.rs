//! What can stand in an argument, as far as only this user's files and account know it. Nothing is refreshed, nobody is
//! asked, and what does not answer at once offers nothing.

use std::time::{Duration, Instant};

use clap_complete::CompletionCandidate;

use crate::auth::{Engine, with_engine};
use crate::cli::magic_link_provider;
use crate::config::{Context, Overrides};
use crate::http::mycli::{self, AccountSession, ApiToken};
use crate::http::{self, Client};
use crate::model::{Account, Kind, Secret};
use crate::store::session;

/// Somebody waits with a finger on the key.
const PATIENCE: Duration = Duration::from_millis(1500);

/// For `--provider`.
pub(in crate::cli) fn providers() -> Vec<CompletionCandidate> {
    let context = Context::from_env(Overrides::default());
    let names = context
        .configuration()
        .map(|configuration| configuration.names().join("\n"))
        .unwrap_or_default();
    names.lines().map(CompletionCandidate::new).collect()
}

/// For `--account`: those of the provider in force.
pub(in crate::cli) fn accounts() -> Vec<CompletionCandidate> {
    let context = Context::from_env(Overrides::default());
    let named = || {
        let provider = context.descriptor(None).ok()?;
        let further = context.configuration().ok()?.further_accounts(&provider.name);
        Some(
            further
                .iter()
                .map(|account| CompletionCandidate::new(account.to_string()))
                .collect::<Vec<_>>(),
        )
    };
    let mut candidates = vec![CompletionCandidate::new(Account::DEFAULT.to_string())];
    candidates.extend(named().unwrap_or_default());
    candidates
}

/// For `token revoke`.
pub(in crate::cli) fn tokens() -> Vec<CompletionCandidate> {
    asked(mycli::tokens).iter().filter_map(token).collect()
}

/// By its name, where a shell takes that as one word, else by its id.
fn token(ApiToken { id, name, token_prefix, .. }: &ApiToken) -> Option<CompletionCandidate> {
    let word = [name, id].into_iter().find(|word| is_one_word(word))?;
    Some(CompletionCandidate::new(word).help(Some(crate::error::sanitize(token_prefix).into())))
}

/// For `session revoke`.
pub(in crate::cli) fn sessions() -> Vec<CompletionCandidate> {
    let candidate = |AccountSession { id, device_name, .. }: &AccountSession| {
        let device = crate::error::sanitize(device_name.as_deref().unwrap_or("unknown device"));
        is_one_word(id).then(|| CompletionCandidate::new(id).help(Some(device.into())))
    };
    asked(mycli::sessions).iter().filter_map(candidate).collect()
}

/// A shell may take anything else apart, or run it.
fn is_one_word(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.@+".contains(&byte))
        && !text.starts_with('-')
}

/// What the service returns for the stored access token. Completion does not refresh: it may be interrupted at any time.
fn asked<T>(call: impl Fn(&Client, &Secret) -> http::Result<Vec<T>>) -> Vec<T> {
    let context = Context::from_env(Overrides::default());
    with_engine(&context, |engine| ask(engine, call)).unwrap_or_default()
}

fn ask<T>(
    engine: &Engine<'_>,
    call: impl Fn(&Client, &Secret) -> http::Result<Vec<T>>,
) -> Option<Vec<T>> {
    let provider = magic_link_provider(engine).ok()?;
    if engine.context.logged_in_elsewhere(&provider, None).ok()?.is_some() {
        return None;
    }
    let session = session::load(&engine.stores, &provider.key).newest?.session;
    if session.kind() != Kind::Session || session.is_expired(engine.clock.now()) {
        return None;
    }
    let api_url = engine.context.api_url(&provider, None).ok()?;
    let client = Client::new(engine.network, &provider, &api_url).ok()?;
    call(&client.until(Instant::now() + PATIENCE), &session.access_token).ok()
}

#[cfg(test)]
mod tests {
    use super::is_one_word;

    #[test]
    fn what_a_shell_would_take_apart_is_not_offered() {
        assert!(is_one_word("ci-2026.1"));
        for word in ["", "two words", "$(reboot)", "a;b", "*", "-f", "a\u{1b}[2J", "a:b"] {
            assert!(!is_one_word(word), "{word}");
        }
    }
}
