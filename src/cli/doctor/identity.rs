//! The identity of this job, as far as it can be judged without an exchange.

use super::Finding;
use crate::auth::Engine;

pub(super) fn examine(engine: &Engine<'_>) -> Vec<Finding> {
    let (context, check) = (engine.context, "identity");
    let Ok(provider) = context.provider(None) else { return Vec::new() };
    let (Some((source, is_present, state)), Some(identity)) =
        (engine.identity_status(&provider), &provider.identity)
    else {
        return Vec::new();
    };
    let event = context.environment.text("GITHUB_EVENT_NAME");
    if is_present && event.as_deref() == Some("pull_request_target") {
        let why = "a job of pull_request_target has an identity, and may run the code of a fork";
        let fix = "use the event pull_request, without `id-token`";
        return vec![Finding::problem(check, why, fix)];
    }
    let message = format!("{source}: {state}");
    if is_present {
        return vec![Finding::fine(check, message)];
    }
    let note = Finding::note(check, message);
    let is_job = context.is_job();
    vec![if is_job { note.with_fix(identity.source.hint(&identity.audience)) } else { note }]
}
