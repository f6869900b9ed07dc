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

pub(super) fn examine(engine: &Engine<'_>, provider: &Provider) -> Vec<Finding> {
    let fix = "run `my-credential-helper config list` to see where the URL is set";
    examined(engine, provider)
        .unwrap_or_else(|error| vec![Finding::problem("service", error.message, fix)])
}

fn examined(engine: &Engine<'_>, provider: &Provider) -> Result<Vec<Finding>> {
    let url = engine.context.api_url(provider, None)?;
    let client = Client::new(engine.network, provider, &url)?.until(Instant::now() + TIMEOUT);
    let time = match client.time() {
        Ok(time) => time,
        Err(error) => {
            let message = format!("cannot reach {url}: {error}");
            let fix = "check the network and the proxy; for a private certificate authority, run `my-credential-helper config set ca_file FILE`";
            return Ok(vec![Finding::problem("service", message, fix)]);
        }
    };
    let mut findings = vec![Finding::fine("service", format!("{url} is reachable"))];
    let behind = time.map_or(0, |time| time.since(engine.clock.now()).whole_seconds());
    if behind.unsigned_abs() > AGREES {
        let direction = if behind > 0 { "behind" } else { "ahead of" };
        let seconds = behind.unsigned_abs();
        let message = format!("the clock of this machine is {seconds} s {direction} the service");
        let fix = "run `sudo timedatectl set-ntp true` to set the clock";
        findings.push(Finding::problem("clock", message, fix));
    }
    Ok(findings)
}
