//! The transcripts of `protocol/transcripts`: what each tool sends and receives, as data. Each runs through its protocol
//! alone and against the real program; those of the JSON protocol are also validated against the schemas.

mod format;
mod in_process;
mod real;
mod response;
mod schemas;
mod values;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use my_credential_helper::model::Invocation;
use my_credential_helper::protocols::run::json_tool;
use my_credential_helper::protocols::{self, Tool};

use crate::support::platform::is_windows;
use format::{Exchange, Transcript};
use values::Values;

/// The transcripts that every protocol needs.
const BEHAVIOURS: [&str; 5] =
    ["found", "not_found", "stale_then_refreshed", "malformed", "unknown_fields"];

#[test]
fn every_protocol_has_the_required_transcripts() {
    let folders =
        std::fs::read_dir(format::protocol().join("transcripts")).expect("the transcripts");
    for entry in folders.map(|entry| entry.expect("an entry")).filter(|entry| entry.path().is_dir())
    {
        let name = entry.file_name();
        assert!(
            protocols::ALL.iter().any(|tool| name == tool.name),
            "{name:?} is not the folder of a protocol"
        );
    }
    for tool in protocols::ALL {
        let transcripts = format::of(tool);
        for behaviour in BEHAVIOURS {
            let name = format!("{}/{behaviour}", tool.name);
            assert!(
                transcripts.iter().any(|transcript| transcript.name == name),
                "there is no transcript {name}.json"
            );
        }
    }
}

#[test]
fn protocols_decode_and_encode_every_transcript() {
    let outcomes =
        format::all().iter().map(|(tool, transcript)| in_process::run(tool, transcript)).collect();
    report(outcomes);
}

#[test]
fn the_program_prints_every_transcript_exactly() {
    let (service, mut transcripts) = (crate::support::service(), format::all());
    // The program does not know there which process calls it.
    transcripts.retain(|(_, one)| !(is_windows() && one.name == "kubectl/asked_again"));
    let (next, outcomes) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some((tool, transcript)) = transcripts.get(next.fetch_add(1, Ordering::Relaxed)) {
            let outcome = real::run(tool, transcript, &service);
            outcomes.lock().expect("no panic").push(outcome);
        }
    };
    std::thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(work))));
    report(outcomes.into_inner().expect("no panic"));
}

#[test]
fn json_transcripts_are_valid_against_the_schemas() {
    report(format::of(json_tool()).iter().map(schemas::check).collect());
}

#[test]
fn examples_of_the_protocol_page_are_valid() {
    report(schemas::check_page());
}

/// Every call in the transcripts of a protocol.
pub(crate) fn calls(tool: &Tool) -> Vec<Invocation> {
    let values = Values::examples();
    let transcripts = format::of(tool);
    let calls = transcripts
        .iter()
        .flat_map(|transcript| transcript.calls.iter().map(move |exchange| (transcript, exchange)));
    calls
        .map(|(transcript, exchange)| in_process::invocation(tool, transcript, exchange, &values))
        .collect()
}

/// Fails with every error, not only with the first.
fn report(outcomes: Vec<Result<(), String>>) {
    assert!(!outcomes.is_empty(), "nothing was checked");
    let wrong: Vec<_> = outcomes.into_iter().filter_map(Result::err).collect();
    assert!(wrong.is_empty(), "{} are wrong:\n\n{}", wrong.len(), wrong.join("\n\n"));
}

/// The first call that is wrong, by its number.
fn each_call(
    transcript: &Transcript,
    run: impl FnMut(&Exchange) -> Result<(), String>,
) -> Result<(), String> {
    let outcomes = transcript.calls.iter().map(run);
    let wrong = outcomes.zip(1..).find_map(|(outcome, number)| Some((number, outcome.err()?)));
    wrong.map_or(Ok(()), |(number, wrong)| {
        Err(format!("{}, call {number}: {wrong}", transcript.name))
    })
}

/// What a protocol or the program wrote.
struct Written<'a> {
    output: &'a str,
    messages: &'a str,
    status: i32,
}

/// Compares everything that was written with the transcript.
fn compare(exchange: &Exchange, values: &Values, written: &Written<'_>) -> Result<(), String> {
    let Written { output, messages, status } = *written;
    for (what, text, written) in [
        ("standard output", &exchange.output, output),
        ("standard error", &exchange.messages, messages),
    ] {
        if !text.is(written, values) {
            let expected = text.filled(values);
            return Err(format!(
                "{what} is\n{written}\n  instead of\n{expected}\n  standard error: {messages}\n  status: {status}"
            ));
        }
    }
    let expected = i32::from(exchange.status);
    if status == expected {
        Ok(())
    } else {
        Err(format!("the exit status is {status} instead of {expected}"))
    }
}
