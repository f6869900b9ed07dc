//! `logout`: ends the session on the service as far as it can be reached, and forgets it in every place.

use serde_json::json;

use crate::adapters::Answer;
use crate::api::{Client, mycli};
use crate::cli::output::Output;
use crate::error::Result;
use crate::keep;
use crate::provider::Provider;
use crate::stores::session;
use crate::world::World;

/// What `logout` takes.
#[derive(clap::Args)]
#[command(after_help = "  my-credential-helper logout --all")]
pub(super) struct Arguments {
    /// Of every provider
    #[arg(long)]
    all: bool,
}

pub(super) fn run(world: &World, arguments: &Arguments, output: &Output) -> Result<Answer> {
    if !arguments.all {
        return logout(world, &world.provider(None)?, output);
    }
    let configuration = world.configuration()?;
    let mut all = Answer::default();
    for name in configuration.names() {
        let Answer { output, messages, .. } = logout(world, &configuration.provider(name)?, output)?;
        all.output.push_str(&output);
        all.messages.push_str(&messages);
    }
    Ok(all)
}

fn logout(world: &World, provider: &Provider, output: &Output) -> Result<Answer> {
    let kept = session::load(&world.stores()?.in_order(), &provider.slot).newest;
    let refresh_token = kept.as_ref().is_some_and(|kept| kept.session.refresh_token.is_some());
    // Forgotten here whatever the service says, and only then: what is revoked and still kept would look like a login.
    let unrevoked = match &kept {
        Some(kept) if refresh_token => revoke(world, provider, &kept.session).err(),
        _ => None,
    };
    let was_logged_in = keep::forget_session(world, provider, None)?;
    let fields = json!({
        "provider": provider.name, "logged_out": was_logged_in, "revoked": refresh_token && unrevoked.is_none(),
    });
    let sentence = if was_logged_in {
        format!("Logged out of {}.", provider.name)
    } else {
        format!("Nobody was logged in to {}.", provider.name)
    };
    let mut answer = output.done(&sentence, &fields);
    if let Some(cause) = unrevoked {
        answer = answer.with_notes(&[format!("the session could not be ended on the service: {cause}")]);
    }
    Ok(answer.with_notes(&super::login::variable_notes(world, provider)))
}

fn revoke(world: &World, provider: &Provider, session: &crate::credential::Session) -> Result<(), String> {
    let client = world
        .configured_api_url(provider)
        .and_then(|api_url| Client::new(world, provider, &api_url))
        .map_err(|error| error.message)?;
    let Some(refresh_token) = &session.refresh_token else { return Ok(()) };
    mycli::logout(&client, &session.access_token, refresh_token).map_err(|error| error.to_string())
}
