//! `session`: where the account is logged in, and ending that.

use clap::Subcommand;
use serde_json::json;

use crate::auth::Engine;
use crate::cli::magic_link_provider;
use crate::cli::output::Output;
use crate::config::device_id;
use crate::error::{Error, ErrorCode, Result, sanitize};
use crate::http::ApiError;
use crate::http::mycli::{self, AccountSession};
use crate::model::{Provider, ToolOutput};

#[derive(Subcommand)]
pub(super) enum Verb {
    /// List the sessions of the account; the one of this device has a star
    #[command(after_help = "Examples:\n  my-credential-helper session list")]
    List,
    /// End a session
    #[command(after_help = "Examples:\n  my-credential-helper session revoke --others")]
    Revoke {
        /// Its id
        #[arg(required_unless_present = "others")]
        id: Option<String>,
        /// Every session but this device's
        #[arg(long, conflicts_with = "id")]
        others: bool,
    },
}

pub(super) fn run(engine: &Engine<'_>, verb: &Verb, output: &Output) -> Result<ToolOutput> {
    let provider = magic_link_provider(engine)?;
    match verb {
        Verb::List => list(engine, &provider, output),
        Verb::Revoke { id: Some(id), .. } => revoke(engine, &provider, output, id),
        Verb::Revoke { id: None, .. } => revoke_others(engine, &provider, output),
    }
}

fn sessions(engine: &Engine<'_>, provider: &Provider) -> Result<Vec<AccountSession>> {
    engine.call(provider, "list the sessions", mycli::sessions).map(|(sessions, _)| sessions)
}

/// A login ends the former session of its device, so at most one is this device's.
fn is_current(engine: &Engine<'_>, provider: &Provider, session: &AccountSession) -> bool {
    session.device_id.is_some()
        && session.device_id == device_id::load(&engine.context.paths, provider)
}

fn list(engine: &Engine<'_>, provider: &Provider, output: &Output) -> Result<ToolOutput> {
    let sessions = sessions(engine, provider)?;
    let row = |session: &AccountSession| {
        let or =
            |text: &Option<String>, none: &str| text.clone().unwrap_or_else(|| none.to_owned());
        let device = or(&session.device_name, "unknown device");
        let star = if is_current(engine, provider, session) { " *" } else { "" };
        let AccountSession { id, ip_address, last_used_at, expires_at, .. } = session;
        [
            id.clone(),
            format!("{device}{star}"),
            or(ip_address, "-"),
            or(last_used_at, "never"),
            or(expires_at, "never"),
        ]
    };
    let rows = sessions.iter().map(row).collect();
    let mut fields = json!({ "sessions": sessions });
    for (field, session) in fields["sessions"].as_array_mut().into_iter().flatten().zip(&sessions) {
        field["current"] = is_current(engine, provider, session).into();
    }
    Ok(output.table(
        ["ID", "DEVICE", "ADDRESS", "LAST USED", "ENDS"],
        rows,
        "There are no sessions.",
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
        Error::new(ErrorCode::NotFound, format!("there is no session `{}`", sanitize(id)))
            .with_hint("`my-credential-helper session list` shows them")
    })?;
    engine.call(provider, "end the session", |client, token| {
        match mycli::revoke_session(client, token, id) {
            // Somebody else was quicker.
            Err(ApiError::Service { status: 404, .. }) => Ok(()),
            other => other,
        }
    })?;
    let is_current = is_current(engine, provider, session);
    let fields = json!({ "revoked": true, "id": id, "current": is_current });
    if is_current {
        output.note("that was the session of this device; `my-credential-helper logout` forgets it here, too");
    }
    Ok(output.done(&format!("Ended the session {}.", sanitize(id)), &fields))
}

fn revoke_others(engine: &Engine<'_>, provider: &Provider, output: &Output) -> Result<ToolOutput> {
    let current = sessions(engine, provider)?
        .into_iter()
        .find(|session| is_current(engine, provider, session));
    let current = current.ok_or_else(|| {
        Error::invalid("it cannot be told which session is this device's").with_hint(
            "end them one by one: `my-credential-helper session list`, `session revoke ID`",
        )
    })?;
    let (count, _) = engine.call(provider, "end the other sessions", |client, token| {
        mycli::revoke_other_sessions(client, token, &current.id)
    })?;
    let sentence = if count == 1 {
        "Ended 1 other session.".to_owned()
    } else {
        format!("Ended {count} other sessions.")
    };
    Ok(output.done(&sentence, &json!({ "revoked_count": count })))
}
