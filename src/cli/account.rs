//! `account`: the logins that are kept with each provider, and which of them is in use. Asks no service.

use clap::Subcommand;
use serde_json::json;

use crate::auth::Engine;
use crate::cli::output::Output;
use crate::error::{Error, ErrorCode, Result, sanitize};
use crate::model::{Kind, Provider, Source, Timestamp, ToolOutput};
use crate::store::session;

#[derive(Subcommand)]
pub(super) enum Verb {
    /// List the accounts that are logged in; the one in use has a star
    #[command(after_help = "Examples:\n  my-credential-helper account list")]
    List,
    /// Put an account in use: it answers where nothing says which
    #[command(after_help = "Examples:\n  my-credential-helper login --account work\n  \
                            my-credential-helper account use work")]
    Use {
        /// Its name; `default` is the one without a name
        name: String,
    },
}

pub(super) fn run(engine: &Engine<'_>, verb: &Verb, output: &Output) -> Result<ToolOutput> {
    match verb {
        Verb::List => list(engine, output),
        Verb::Use { name } => use_account(engine, name, output),
    }
}

struct Row {
    provider: Provider,
    is_in_use: bool,
    login: Option<(Kind, Source, Option<Timestamp>)>,
    /// What the places say where there is no login.
    state: String,
}

impl Row {
    fn of(engine: &Engine<'_>, provider: Provider) -> Result<Self> {
        let loaded = session::load(&engine.stores, &provider.key);
        let login = loaded.newest.map(|kept| {
            (kept.session.kind(), kept.source, kept.session.reported_expiry(engine.clock.now()))
        });
        let state = match (&login, loaded.problem) {
            (Some((kind, source, _)), _) => {
                format!("{} in the {}", kind.name().replace('_', " "), source.name())
            }
            (None, Some((_, problem))) => problem.to_string(),
            (None, None) => "not logged in".to_owned(),
        };
        let is_in_use =
            engine.context.configuration()?.account_in_use(&provider.name) == provider.account;
        Ok(Self { provider, is_in_use, login, state })
    }

    fn cells(&self) -> [String; 4] {
        let star = if self.is_in_use { " *" } else { "" };
        let end = self
            .login
            .as_ref()
            .and_then(|(.., end)| *end)
            .map_or("-".to_owned(), Timestamp::to_whole_seconds);
        [
            self.provider.name.to_string(),
            format!("{}{star}", self.provider.account),
            self.state.clone(),
            end,
        ]
    }

    fn fields(&self) -> serde_json::Value {
        let Self { provider, is_in_use, login, state: _ } = self;
        json!({
            "provider": provider.name, "account": &*provider.account, "in_use": is_in_use,
            "logged_in": login.is_some(), "kind": login.as_ref().map(|(kind, ..)| kind.name()),
            "source": login.as_ref().map(|(_, source, _)| source.name()),
            "expires_at": login.as_ref().and_then(|(.., end)| end.map(Timestamp::to_whole_seconds)),
        })
    }
}

/// Of every provider, unless one is named. A default account that nobody uses is left out.
fn list(engine: &Engine<'_>, output: &Output) -> Result<ToolOutput> {
    let configuration = engine.context.configuration()?;
    let named = if crate::cli::names_provider(engine) {
        Some(engine.context.descriptor(None)?.name)
    } else {
        None
    };
    let mut rows = Vec::new();
    for name in configuration
        .names()
        .into_iter()
        .filter(|name| named.as_deref().is_none_or(|named| named == *name))
    {
        for provider in engine.accounts(name)? {
            let row = Row::of(engine, provider)?;
            if row.login.is_some() || !row.provider.account.is_default() {
                rows.push(row);
            }
        }
    }
    let fields = json!({ "accounts": rows.iter().map(Row::fields).collect::<Vec<_>>() });
    let cells = rows.iter().map(Row::cells).collect();
    let headings = ["PROVIDER", "ACCOUNT", "LOGIN", "TOKEN ENDS"];
    Ok(output.table(headings, cells, "Nobody is logged in.", &fields))
}

fn use_account(engine: &Engine<'_>, name: &str, output: &Output) -> Result<ToolOutput> {
    let provider = engine.context.descriptor(None)?;
    let account = engine.context.account(&provider.name, name)?;
    let known: Vec<_> =
        engine.accounts(&provider.name)?.into_iter().map(|other| other.account).collect();
    if !known.contains(&account) {
        let names: Vec<_> = known.iter().map(ToString::to_string).collect();
        let hint = format!(
            "its accounts are {}; `{}` logs in to another",
            names.join(", "),
            provider.with_account(account).command("login")
        );
        return Err(Error::new(
            ErrorCode::NotFound,
            format!("there is no account `{}`", sanitize(name)),
        )
        .with_hint(hint));
    }
    engine.use_account(&provider, &account)?;
    let fields = json!({ "provider": provider.name, "account": &*account });
    Ok(output.done(&format!("The account {account} of {} is in use now.", provider.name), &fields))
}
