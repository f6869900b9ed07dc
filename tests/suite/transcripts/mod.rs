//! The transcripts of `protocol/transcripts`: what each tool says and what it is told, as data. Every one of them is
//! run through the codecs alone and against the real program; the JSON ones are held against the schemas as well.

mod format;
mod in_process;
mod real;
mod schemas;
mod told;
mod values;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use my_credential_helper::protocols;

use format::{Exchange, Transcript};
use values::Values;

/// What every adapter must have shown.
const BEHAVIOURS: [&str; 5] =
    ["found", "not_found", "stale_then_refreshed", "malformed", "unknown_fields"];

#[test]
fn every_adapter_shows_the_behaviours_that_every_tool_needs() {
    let folders =
        std::fs::read_dir(format::protocol().join("transcripts")).expect("the transcripts");
    for entry in folders.map(|entry| entry.expect("an entry")).filter(|entry| entry.path().is_dir())
    {
        let name = entry.file_name();
        assert!(
            protocols::ALL.iter().any(|adapter| name == adapter.name),
            "{name:?} is the folder of no adapter"
        );
    }
    for adapter in protocols::ALL {
        let transcripts = format::of(adapter);
        for behaviour in BEHAVIOURS {
            let name = format!("{}/{behaviour}", adapter.name);
            assert!(
                transcripts.iter().any(|transcript| transcript.name == name),
                "there is no transcript {name}.json"
            );
        }
    }
}

#[test]
fn the_codecs_translate_every_transcript() {
    let outcomes = format::all()
        .iter()
        .map(|(adapter, transcript)| in_process::run(adapter, transcript))
        .collect();
    report(outcomes);
}

#[test]
fn the_program_answers_every_transcript_to_the_letter() {
    let (service, transcripts) = (crate::support::service(), format::all());
    let (next, outcomes) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some((adapter, transcript)) =
            transcripts.get(next.fetch_add(1, Ordering::Relaxed))
        {
            let outcome = real::run(adapter, transcript, &service);
            outcomes.lock().expect("no panic").push(outcome);
        }
    };
    std::thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(work))));
    report(outcomes.into_inner().expect("no panic"));
}

#[test]
fn the_json_transcripts_keep_to_the_schemas() {
    report(format::of(&protocols::json::TOOL).iter().map(schemas::check).collect());
}

#[test]
fn the_examples_of_the_protocol_page_keep_to_the_schemas() {
    report(schemas::check_page());
}

/// Every call of an adapter's transcripts.
pub(crate) fn calls(adapter: &protocols::Tool) -> Vec<protocols::Invocation> {
    let values = Values::examples();
    let transcripts = format::of(adapter);
    let calls = transcripts
        .iter()
        .flat_map(|transcript| transcript.calls.iter().map(move |exchange| (transcript, exchange)));
    calls
        .map(|(transcript, exchange)| in_process::call(adapter, transcript, exchange, &values))
        .collect()
}

/// Fails with everything that is wrong, not with the first alone.
fn report(outcomes: Vec<Result<(), String>>) {
    assert!(!outcomes.is_empty(), "nothing was looked at");
    let wrong: Vec<_> = outcomes.into_iter().filter_map(Result::err).collect();
    assert!(wrong.is_empty(), "{} are wrong:\n\n{}", wrong.len(), wrong.join("\n\n"));
}

/// The first of its calls that is wrong, by its place.
fn each_call(
    transcript: &Transcript,
    run: impl FnMut(&Exchange) -> Result<(), String>,
) -> Result<(), String> {
    let outcomes = transcript.calls.iter().map(run);
    let wrong = outcomes.zip(1..).find_map(|(outcome, place)| Some((place, outcome.err()?)));
    wrong
        .map_or(Ok(()), |(place, wrong)| Err(format!("{}, call {place}: {wrong}", transcript.name)))
}

/// What a codec or the program wrote.
struct Written<'a> {
    output: &'a str,
    messages: &'a str,
    status: i32,
}

/// Holds it against the transcript, whole.
fn compare(exchange: &Exchange, values: &Values, written: &Written<'_>) -> Result<(), String> {
    let Written { output, messages, status } = *written;
    for (what, text, written) in [
        ("standard output", &exchange.output, output),
        ("standard error", &exchange.messages, messages),
    ] {
        if !text.is(written, values) {
            let expected = text.filled(values);
            return Err(format!(
                "{what} is\n{written}\n  instead of\n{expected}\n  standard error: {messages}"
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
