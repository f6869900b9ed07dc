//! The store that machines share: whether it answers, and whether the policy and the record are as they have to be.

use std::time::{Duration, Instant};

use super::Finding;
use crate::auth::Engine;
use crate::http::SharedFailure;
use crate::http::vault::{Inspection, describe, inspect};
use crate::model::FleetRole;

const CHECK: &str = "vault";

/// A server that takes longer counts as unreachable.
const TIMEOUT: Duration = Duration::from_secs(5);

const SETUP: &str = "run `my-credential-helper setup vault` for the policies";

pub(super) fn examine(engine: &Engine<'_>) -> Vec<Finding> {
    let Ok(provider) = engine.context.provider(None) else { return Vec::new() };
    let Some(shared) = &provider.shared else { return Vec::new() };
    let deadline = Instant::now() + TIMEOUT;
    let (inspection, record) = match inspect(engine.network, engine.clock, &provider, deadline) {
        Ok(found) => found,
        Err(error) => return vec![Finding::error(CHECK, error, SETUP)],
    };
    let Inspection { location, mistakes, .. } = inspection;
    let state = describe(&record);
    let mut findings: Vec<_> = mistakes
        .into_iter()
        .flatten()
        .map(|mistake| Finding::problem(CHECK, mistake.message, mistake.fix))
        .collect();
    findings.push(match record {
        Ok(_) if shared.role == FleetRole::Simple => Finding::note(
            CHECK,
            format!("{location}: {state}; every machine may read the refresh token"),
        )
        .with_fix("set `role` to reader or refresher for two records"),
        Ok(_) => Finding::fine(CHECK, format!("{location}: {state}")),
        Err(SharedFailure::Denied(_)) => Finding::problem(CHECK, state, SETUP),
        Err(SharedFailure::Unavailable(_) | SharedFailure::Busy { .. }) => {
            Finding::problem(CHECK, state, "check `addresses` in [stores.vault], and the network")
        }
        Err(_) => Finding::problem(CHECK, state, "check [stores.vault] in config.toml"),
    });
    findings
}
