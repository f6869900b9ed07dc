//! `account`: the accounts of each provider, and which of them is in use. Calls no service.

use clap::Subcommand;
use serde_json::json;

use crate::auth::Engine;
use crate::cli::names_provider;
use crate::cli::output::{Output, or};
use crate::error::{Error, ErrorCode, Result, sanitize};
use crate::model::{Kind, Provider, Source, Timestamp, ToolOutput};
use crate::store::session;

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

struct Row {
    provider: Provider,
    is_in_use: bool,
    session: Option<(Kind, Source)>,
    expires_at: Option<String>,
    state: String,
}

impl Row {
    fn load(engine: &Engine<'_>, provider: Provider) -> Result<Self> {
        let loaded = session::load(&engine.stores, &provider.key);
        let stored = loaded.newest.as_ref();
        let session = stored.map(|stored| (stored.session.kind(), stored.source));
        let state = match (session, loaded.problem) {
            (Some((kind, source)), _) => {
                format!("{} in the {}", kind.name().replace('_', " "), source.name())
            }
            (None, Some((_, problem))) => problem.to_string(),
            (None, None) => "not logged in".to_owned(),
        };
        let expires_at =
            stored.and_then(|stored| stored.session.reported_expiry(engine.clock.now()));
        let is_in_use =
            engine.context.configuration()?.account_in_use(&provider.name) == provider.account;
        let expires_at = expires_at.map(Timestamp::to_whole_seconds);
        Ok(Self { provider, is_in_use, session, expires_at, state })
    }

    fn cells(&self) -> [String; 4] {
        let Self { provider, is_in_use, session: _, expires_at, state } = self;
        let star = if *is_in_use { " *" } else { "" };
        let account = format!("{}{star}", provider.account);
        [provider.name.to_string(), account, state.clone(), or(expires_at.as_ref(), "-")]
    }

    fn fields(&self) -> serde_json::Value {
        let Self { provider, is_in_use, session, expires_at, state: _ } = self;
        json!({
            "provider": provider.name, "account": &*provider.account, "in_use": is_in_use,
            "logged_in": session.is_some(), "kind": session.map(|(kind, _)| kind.name()),
            "source": session.map(|(_, source)| source.name()), "expires_at": expires_at,
        })
    }
}

/// The accounts of every provider, or of the one that is named. A default account without a session is left out.
fn list(engine: &Engine<'_>, output: &Output) -> Result<ToolOutput> {
    let descriptor = names_provider(engine).then(|| engine.context.descriptor(None)).transpose()?;
    let names = match &descriptor {
        Some(provider) => vec![&*provider.name],
        None => engine.context.configuration()?.names(),
    };
    let mut rows = Vec::new();
    for name in names {
        for provider in engine.accounts(name)? {
            let row = Row::load(engine, provider)?;
            if row.session.is_some() || !row.provider.account.is_default() {
                rows.push(row);
            }
        }
    }
    let fields = json!({ "accounts": rows.iter().map(Row::fields).collect::<Vec<_>>() });
    let cells = rows.iter().map(Row::cells).collect();
    let headings = ["PROVIDER", "ACCOUNT", "LOGIN", "TOKEN EXPIRES"];
    Ok(output.table(headings, cells, "Not logged in.", &fields))
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
