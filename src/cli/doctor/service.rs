//! The account service: whether it can be reached, and whether its clock and this one agree.

use std::time::{Duration, Instant};

use super::finding::Finding;
use crate::auth::Engine;
use crate::error::Result;
use crate::http::Client;
use crate::model::Provider;

/// A service that takes longer counts as unreachable.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The tolerated difference between the clocks of the service and of this machine.
const AGREES: u64 = 60;

pub(super) fn examine(engine: &Engine<'_>, provider: Result<Provider>) -> Vec<Finding> {
    provider.and_then(|provider| examined(engine, &provider)).unwrap_or_else(|error| {
        vec![Finding::problem(
            "service",
            error.message,
            "run `my-credential-helper config list` to see where the URL is set",
        )]
    })
}

fn examined(engine: &Engine<'_>, provider: &Provider) -> Result<Vec<Finding>> {
    let url = engine.context.api_url(provider, None)?;
    let client = Client::new(engine.network, provider, &url)?.until(Instant::now() + TIMEOUT);
    let theirs = match client.time() {
        Err(error) => {
            let message = format!("cannot reach {url}: {error}");
            return Ok(vec![Finding::problem(
                "service",
                message,
                "check the network and the proxy; for a private certificate authority, run `my-credential-helper config set ca_file FILE`",
            )]);
        }
        Ok(None) => return Ok(vec![Finding::fine("service", format!("{url} is reachable"))]),
        Ok(Some(time)) => time,
    };
    let behind = theirs.since(engine.clock.now()).whole_seconds();
    let reached = Finding::fine("service", format!("{url} is reachable"));
    if behind.unsigned_abs() <= AGREES {
        return Ok(vec![reached]);
    }
    let direction = if behind > 0 { "behind" } else { "ahead of" };
    let message =
        format!("the clock of this machine is {} s {direction} the service", behind.unsigned_abs());
    Ok(vec![
        reached,
        Finding::problem("clock", message, "run `sudo timedatectl set-ntp true` to set the clock"),
    ])
}
