//! pnpm's token helper as two pure functions (pnpm.io/npmrc, `tokenHelper`). Knows no store, no network, no clock.
//!
//! pnpm says nothing, not even for which registry it asks, so that the default provider is meant; where the token goes
//! is what the user wrote before `:tokenHelper` in `~/.npmrc`.

use crate::adapters::{Adapter, Answer, Call, Input};
use crate::error::{Error, Result};
use crate::provider::Header;
use crate::reply::{Ask, Found, Reply, Request};

/// The line in the table. pnpm takes a path without arguments, hence the name.
pub const ADAPTER: Adapter = Adapter {
    name: "pnpm",
    operations: &[],
    program: Some("my-token-helper"),
    variables: &[],
    input: |_| Input::Nothing,
    decode,
    encode,
};

fn decode(call: &Call) -> Result<Request> {
    if call.arguments.is_empty() {
        Ok(Request::Get(Ask::default()))
    } else {
        Err(Error::invalid("pnpm's token helper takes no arguments"))
    }
}

/// An empty answer is an error for pnpm, as any exit status but 0 is.
fn encode(_: &Call, result: Result<Reply>) -> Answer {
    let error = match result {
        Ok(Reply::Found(found)) if found.header.as_ref().is_some_and(Header::is_bearer) => {
            return bearer(&found);
        }
        Ok(Reply::Found(found)) => Error::invalid(format!(
            "the token of {} is no Bearer token, and pnpm carries no other",
            found.provider.unwrap_or_default()
        )),
        Ok(_) => Error::invalid("there is nothing to tell pnpm"),
        Err(error) => error,
    };
    Answer::failure(error.code.exit_status(), error)
}

fn bearer(found: &Found) -> Answer {
    let value = Header::BEARER.value(&found.secret);
    Answer::success(format!("{}\n", value.expose_secret())).with_notes(&found.notes)
}
