//! `logout`: ends the session on the service as far as it can be reached, and forgets it in every place.

use serde_json::json;

use crate::auth::Engine;
use crate::cli::output::Output;
use crate::error::{Error, ErrorCode, Result};
use crate::http::oauth::Service;
use crate::http::{self, ApiError, Client, mycli};
use crate::model::{Kind, LoginKind, Provider, Session, ToolOutput};
use crate::store::session::{self, StoredSession};

/// What `logout` takes.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  my-credential-helper logout --account work\n  my-credential-helper logout --all"
)]
pub(super) struct Arguments {
    /// Of every provider and account
    #[arg(long)]
    all: bool,
}

pub(super) fn run(
    engine: &Engine<'_>,
    arguments: &Arguments,
    output: &Output,
) -> Result<ToolOutput> {
    if !arguments.all {
        return logout(engine, &engine.context.provider(None)?, output);
    }
    let configuration = engine.context.configuration()?;
    let mut all = ToolOutput::default();
    for name in configuration.names() {
        for provider in engine.accounts(name)? {
            let ToolOutput { output, messages, .. } = logout(engine, &provider, output)?;
            all.output.push_str(&output);
            all.messages.push_str(&messages);
        }
    }
    Ok(all)
}

fn logout(engine: &Engine<'_>, provider: &Provider, output: &Output) -> Result<ToolOutput> {
    let kept = session::load(&engine.stores, &provider.key).newest;
    let can_end = |kept: &StoredSession| {
        kept.session.refresh_token.is_some() || matches!(provider.login, LoginKind::OAuth(_))
    };
    let is_of_service = kept.as_ref().is_some_and(can_end);
    // Forgotten here whatever the service says, and only then: what is revoked and still kept would look like a login.
    let unrevoked = match &kept {
        Some(kept) if is_of_service => revoke(engine, provider, kept).err(),
        _ => None,
    };
    super::login::Pending::forget_account(engine, provider);
    let was_logged_in = engine.forget_session(provider, None)? || kept.is_some();
    let warning = engine.unregister_account(provider)?;
    let fields = json!({
        "provider": provider.name, "account": &*provider.account, "logged_out": was_logged_in, "revoked": is_of_service && unrevoked.is_none(),
    });
    let sentence = if was_logged_in {
        format!("Logged out of {}.", provider.title())
    } else {
        format!("Nobody was logged in to {}.", provider.title())
    };
    if let Some(cause) = unrevoked {
        output.note(format!("the session could not be ended on the service: {cause}"));
    }
    if kept.as_ref().is_some_and(|kept| kept.session.kind() == Kind::ApiToken) && !is_of_service {
        output.note(still_valid(provider));
    }
    output.warn(&warning);
    super::login::warn_about_variable(engine, provider, output);
    Ok(output.done(&sentence, &fields))
}

/// A token that was brought may be in use elsewhere: it is forgotten here, and ended by whoever wants that.
fn still_valid(provider: &Provider) -> String {
    match provider.login {
        LoginKind::MagicLink => "the API token itself stays valid; logged in by email, \
                                 `my-credential-helper token revoke ID|NAME` ends it"
            .to_owned(),
        LoginKind::ApiKey(_) | LoginKind::OAuth(_) => {
            format!("the key itself stays valid; {} ends it where it was made", provider.name)
        }
    }
}

/// Ends the session. The service wants to know who asks, so an access token that has ended is replaced first: else the
/// refresh token, forgotten here, would live on there for weeks.
fn revoke(engine: &Engine<'_>, provider: &Provider, kept: &StoredSession) -> Result<(), String> {
    let told = |error: Error| error.message;
    if let LoginKind::OAuth(oauth) = &provider.login {
        let service = Service::known(engine.network, provider, oauth).map_err(told)?;
        return service.revoke(&kept.session).map_err(|error| error.to_string());
    }
    let api_url = engine.context.configured_api_url(provider).map_err(told)?;
    let client = Client::new(engine.network, provider, &api_url).map_err(told)?;
    match end(&client, &kept.session) {
        Err(ApiError::Service { status: 401, .. }) => {}
        answer => return answer.map_err(|error| error.to_string()),
    }
    match engine.refresh_now(provider, kept) {
        Ok(kept) => end(&client, &kept.session).map_err(|error| error.to_string()),
        // It has ended already.
        Err(error) if error.code == ErrorCode::SessionExpired => Ok(()),
        Err(error) => Err(error.message),
    }
}

fn end(client: &Client, session: &Session) -> http::Result<()> {
    let Some(refresh_token) = &session.refresh_token else { return Ok(()) };
    match mycli::logout(client, &session.access_token, refresh_token) {
        Err(error) if mycli::ends_session(&error) => Ok(()),
        answer => answer,
    }
}
