//! The store that machines share: whether it answers, and whether the policy and the record are as they have to be.

use super::finding::Finding;
use super::login::Login;
use crate::auth::Engine;
use crate::auth::fleet::SharedFacts;
use crate::cli::status;
use crate::error::{ErrorCode, sanitize};
use crate::http::vault::Inspection;
use crate::model::FleetRole;

const CHECK: &str = "vault";

const SETUP: &str = "run `my-credential-helper setup vault` for the policies";

pub(super) fn examine(engine: &Engine<'_>, login: &Login) -> Vec<Finding> {
    let (loaded, record) = login.loaded(engine);
    let Some(record) = record else { return Vec::new() };
    let Inspection { location, mistakes, .. } =
        match status::inspect(engine, &login.provider, record) {
            Ok(found) => found,
            Err(error) => return vec![Finding::error(CHECK, error, SETUP)],
        };
    let mut findings: Vec<_> = mistakes
        .into_iter()
        .flatten()
        .map(|mistake| Finding::problem(CHECK, mistake.message, mistake.fix))
        .collect();
    let facts = match record {
        Ok(facts) => facts,
        Err(code) => {
            let fix = match code {
                ErrorCode::Rejected => SETUP,
                ErrorCode::TemporarilyUnavailable => {
                    "check `addresses` in [stores.vault], and the network"
                }
                _ => "check [stores.vault] in config.toml",
            };
            let reason = loaded.problem.as_ref().map(|(_, failure)| failure.to_string());
            findings.push(Finding::problem(CHECK, reason.unwrap_or_default(), fix));
            return findings;
        }
    };
    let state = describe(engine, facts, loaded.newest.is_some());
    findings.push(if facts.role == FleetRole::Simple {
        let message = format!("{location}: {state}; every machine may read the refresh token");
        let fix = "set `role` to reader or refresher for two records";
        Finding::note(CHECK, message).with_fix(fix)
    } else {
        Finding::fine(CHECK, format!("{location}: {state}"))
    });
    findings
}

/// The state of a record in a few words.
fn describe(engine: &Engine<'_>, facts: &SharedFacts, is_logged_in: bool) -> String {
    let SharedFacts { version, written_at, lease, is_written, .. } = facts;
    if !is_written {
        return "no entry".to_owned();
    }
    if !is_logged_in {
        return format!("logged out (version {version})");
    }
    let age = engine.clock.now().since(*written_at).whole_seconds();
    let lease = lease.as_ref().map_or_else(String::new, |lease| {
        format!(", {} refreshes it since {age} s", sanitize(&lease.holder))
    });
    format!("version {version}{lease}")
}
