//! `session`: lists and revokes the sessions of the account.

use clap::Subcommand;
use serde_json::json;

use crate::auth::Engine;
use crate::cli::magic_link_provider;
use crate::cli::output::{Output, or};
use crate::config::device_id;
use crate::error::{Error, ErrorCode, Result, sanitize};
use crate::http;
use crate::http::mycli::{self, AccountSession};
use crate::model::{Provider, ToolOutput};

#[derive(Subcommand)]
pub(super) enum Command {
    /// List the sessions of the account; a star marks the one of this device
    #[command(after_help = "Examples:\n  my-credential-helper session list")]
    List,
    /// Revoke a session
    #[command(after_help = "Examples:\n  my-credential-helper session revoke --others")]
    Revoke {
        /// The id of the session
        #[arg(required_unless_present = "others")]
        id: Option<String>,
        /// Revoke every session except that of this device
        #[arg(long, conflicts_with = "id")]
        others: bool,
    },
}

pub(super) fn run(engine: &Engine<'_>, command: &Command, output: &Output) -> Result<ToolOutput> {
    let provider = magic_link_provider(engine)?;
    match command {
        Command::List => list(engine, &provider, output),
        Command::Revoke { id: Some(id), .. } => revoke(engine, &provider, output, id),
        Command::Revoke { id: None, .. } => revoke_others(engine, &provider, output),
    }
}

fn sessions(engine: &Engine<'_>, provider: &Provider) -> Result<Vec<AccountSession>> {
    engine.call(provider, "list the sessions", mycli::sessions).map(|(sessions, _)| sessions)
}

/// Succeeds also if the item was revoked after it was listed.
pub(super) fn allow_missing(result: http::Result<()>) -> http::Result<()> {
    match result {
        Err(error) if error.status() == Some(404) => Ok(()),
        result => result,
    }
}

/// Whether the session is of this device, which has at most one: a login revokes the device's former session.
fn is_current(engine: &Engine<'_>, provider: &Provider, session: &AccountSession) -> bool {
    session.device_id.is_some()
        && session.device_id == device_id::load(&engine.context.paths, provider)
}

fn list(engine: &Engine<'_>, provider: &Provider, output: &Output) -> Result<ToolOutput> {
    let sessions = sessions(engine, provider)?;
    let row = |session: &AccountSession| {
        let device = or(session.device_name.as_ref(), "unknown device");
        let star = if is_current(engine, provider, session) { " *" } else { "" };
        let AccountSession { id, ip_address, last_used_at, expires_at, .. } = session;
        [
            id.clone(),
            format!("{device}{star}"),
            or(ip_address.as_ref(), "-"),
            or(last_used_at.as_ref(), "never"),
            or(expires_at.as_ref(), "never"),
        ]
    };
    let rows = sessions.iter().map(row).collect();
    let mut fields = json!({ "sessions": sessions });
    for (field, session) in fields["sessions"].as_array_mut().into_iter().flatten().zip(&sessions) {
        field["current"] = is_current(engine, provider, session).into();
    }
    Ok(output.table(
        ["ID", "DEVICE", "ADDRESS", "LAST USED", "EXPIRES"],
        rows,
        "No sessions.",
        &fields,
    ))
}

fn revoke(
    engine: &Engine<'_>,
    provider: &Provider,
    output: &Output,
    id: &str,
) -> Result<ToolOutput> {
    let sessions = sessions(engine, provider)?;
    let session = sessions.iter().find(|session| session.id == id).ok_or_else(|| {
        Error::new(ErrorCode::NotFound, format!("unknown session `{}`", sanitize(id))).with_hint(
            format!("run `{}` for the list of sessions", provider.command("session list")),
        )
    })?;
    engine.call(provider, "revoke the session", |client, token| {
        allow_missing(mycli::revoke_session(client, token, id))
    })?;
    let is_current = is_current(engine, provider, session);
    let fields = json!({ "revoked": true, "id": id, "current": is_current });
    if is_current {
        output.note(format!(
            "this was the session of this device; run `{}` to remove it from this device as well",
            provider.command("logout")
        ));
    }
    Ok(output.done(&format!("Revoked the session {}.", sanitize(id)), &fields))
}

fn revoke_others(engine: &Engine<'_>, provider: &Provider, output: &Output) -> Result<ToolOutput> {
    let sessions = sessions(engine, provider)?;
    let current = sessions.iter().find(|session| is_current(engine, provider, session));
    let current = current.ok_or_else(|| {
        Error::invalid("cannot determine which session belongs to this device").with_hint(
            "revoke them individually with `my-credential-helper session list` and `session revoke ID`",
        )
    })?;
    let (count, _) = engine.call(provider, "revoke the other sessions", |client, token| {
        mycli::revoke_other_sessions(client, token, &current.id)
    })?;
    let plural = if count == 1 { "" } else { "s" };
    let sentence = format!("Revoked {count} other session{plural}.");
    Ok(output.done(&sentence, &json!({ "revoked_count": count })))
}
