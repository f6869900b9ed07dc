//! `account`: the accounts of each provider, and which of them is in use. Calls no service.

use clap::Subcommand;
use serde_json::json;

use crate::auth::{Engine, LIST_TIMEOUT};
use crate::cli::names_provider;
use crate::cli::output::{Output, or};
use crate::error::{Error, ErrorCode, Result, sanitize};
use crate::model::{Provider, StorageKey, Timestamp, ToolOutput};
use crate::store::owner;
use crate::store::session::LoadedSessions;

#[derive(Subcommand)]
pub(super) enum Command {
    /// List the accounts that are logged in; a star marks the one in use
    #[command(after_help = "Examples:\n  my-credential-helper account list")]
    List,
    /// Select the account that is used by default
    #[command(after_help = "Examples:\n  my-credential-helper login --account work\n  \
                            my-credential-helper account use work")]
    Use {
        /// The name of the account; `default` is the unnamed account
        name: String,
    },
}

pub(super) fn run(engine: &Engine<'_>, command: &Command, output: &Output) -> Result<ToolOutput> {
    match command {
        Command::List => list(engine, output),
        Command::Use { name } => use_account(engine, name, output),
    }
}

/// An account of a provider, for people and for programs.
pub(super) struct Row {
    pub(super) provider: Provider,
    /// Whether there is a session, or a store that cannot be read.
    has_state: bool,
    pub(super) cells: [String; 5],
    pub(super) fields: serde_json::Value,
}

impl Row {
    fn new(engine: &Engine<'_>, provider: Provider, loaded: LoadedSessions) -> Result<Self> {
        let now = engine.clock.now();
        let LoadedSessions { newest, problem, .. } = loaded;
        let session = newest.as_ref().map(|stored| &stored.session);
        let is_expired = session.is_some_and(|it| it.needs_login(&provider, now));
        let (kind, source) =
            (session.map(|it| it.kind().name()), newest.as_ref().map(|it| it.source.name()));
        let is_unreadable = problem.is_some();
        let state = match (kind.zip(source), problem) {
            (Some((kind, source)), _) => {
                let expired = if is_expired { "expired " } else { "" };
                format!("{expired}{} in the {source}", kind.replace('_', " "))
            }
            (None, Some((_, problem))) => problem.to_string(),
            (None, None) => "not logged in".to_owned(),
        };
        let has_state = newest.is_some() || is_unreadable;
        let user = session.and_then(|it| owner::load(&engine.context.paths, &provider.key, it));
        let expires_at = session.and_then(|it| it.reported_expiry(now));
        // When a person has to log in again, if that is known.
        let until = session.and_then(|it| match it.session_expiry() {
            None if it.refresh_token.is_none() => expires_at,
            known => known,
        });
        let [expires_at, until] =
            [expires_at, until].map(|time| time.map(Timestamp::to_whole_seconds));
        let is_in_use =
            engine.context.configuration()?.account_in_use(&provider.name) == provider.account;
        let fields = json!({
            "provider": provider.name, "account": &*provider.account, "in_use": is_in_use,
            "logged_in": session.is_some() && !is_expired, "kind": kind, "source": source,
            "expires_at": expires_at, "user": user, "session_ends_at": until,
        });
        let star = if is_in_use { " *" } else { "" };
        let account = format!("{}{star}", provider.account);
        let [user, until] = [user, until].map(|cell| or(cell.as_ref(), "-"));
        let cells = [provider.name.to_string(), account, user, state, until];
        Ok(Self { provider, has_state, cells, fields })
    }
}

pub(super) const HEADINGS: [&str; 5] = ["PROVIDER", "ACCOUNT", "USER", "LOGIN", "EXPIRES"];

/// The accounts of these providers, without a default account that is not logged in. Notes a misconfigured provider. The
/// sessions of one account may be known.
pub(super) fn rows(
    engine: &Engine<'_>,
    names: &[&str],
    known: Option<(&StorageKey, LoadedSessions)>,
    output: &Output,
) -> Vec<Row> {
    engine.in_time(LIST_TIMEOUT, |engine| load_rows(engine, names, known, output))
}

fn load_rows(
    engine: &Engine<'_>,
    names: &[&str],
    mut known: Option<(&StorageKey, LoadedSessions)>,
    output: &Output,
) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut row = |provider: Provider| {
        let known = known.take_if(|(key, _)| **key == provider.key).map(|(_, loaded)| loaded);
        let loaded = known.unwrap_or_else(|| engine.load(&provider));
        Row::new(engine, provider, loaded)
    };
    for name in names {
        let loaded = engine
            .accounts(name)
            .and_then(|accounts| accounts.into_iter().map(&mut row).collect::<Result<Vec<_>>>());
        match loaded {
            Ok(loaded) => rows.extend(
                loaded
                    .into_iter()
                    .filter(|row| row.has_state || !row.provider.account.is_default()),
            ),
            Err(Error { message, .. }) => {
                output
                    .note(format!("the accounts of {} are not listed: {message}", sanitize(name)));
            }
        }
    }
    rows
}

/// The accounts of the provider that is named, else of every provider.
fn list(engine: &Engine<'_>, output: &Output) -> Result<ToolOutput> {
    let descriptor = names_provider(engine).then(|| engine.context.descriptor(None)).transpose()?;
    let names = match &descriptor {
        Some(provider) => vec![&*provider.name],
        None => engine.context.configuration()?.names(),
    };
    let rows = rows(engine, &names, None, output);
    let (cells, fields): (_, Vec<_>) = rows.into_iter().map(|row| (row.cells, row.fields)).unzip();
    let fields = json!({ "accounts": fields });
    Ok(output.table(HEADINGS, cells, "Not logged in.", &fields))
}

fn use_account(engine: &Engine<'_>, name: &str, output: &Output) -> Result<ToolOutput> {
    let provider = engine.context.descriptor(None)?;
    let account = engine.context.account(&provider.name, name)?;
    let accounts = engine.accounts(&provider.name)?;
    if !accounts.iter().any(|known| known.account == account) {
        let names: Vec<_> = accounts.iter().map(|known| known.account.to_string()).collect();
        let hint = format!(
            "the accounts are {}; run `{}` to log in to another",
            names.join(", "),
            provider.with_account(account).command("login")
        );
        let message = format!("unknown account `{}`", sanitize(name));
        return Err(Error::new(ErrorCode::NotFound, message).with_hint(hint));
    }
    engine.use_account(&provider, &account)?;
    let fields = json!({ "provider": provider.name, "account": &*account });
    Ok(output.done(&format!("The account in use for {} is now {account}.", provider.name), &fields))
}
