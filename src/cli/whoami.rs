//! `whoami`: who the credential in force belongs to, asked of the service.

use serde_json::json;

use crate::account;
use crate::adapters::Answer;
use crate::api::mycli::{self, Me};
use crate::cli::output::Output;
use crate::error::Result;
use crate::world::World;

pub(super) fn run(world: &World, output: &Output) -> Result<Answer> {
    let provider = world.provider(None)?;
    let (me, found) = account::call(world, &provider, "asking who is logged in", mycli::me)?;
    let Me { id, email, username, needs_username: _ } = me;
    let fields = json!({
        "provider": provider.name, "id": id, "email": email, "username": username,
        "kind": found.kind.name(), "source": found.source.name(),
    });
    let rows = [("user id", id), ("email", email), ("user name", username.unwrap_or_else(|| "none yet".to_owned()))];
    Ok(output.rows(&rows, &fields).with_notes(&found.notes))
}
