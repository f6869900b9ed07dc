//! `errors`: prints the table of error codes as text, JSON, Markdown or a manual page.

mod explained;

use std::fmt::Write as _;

use serde_json::json;

use crate::cli::output::Output;
use crate::error::{Error, ErrorCode, Result, sanitize};
use crate::model::ToolOutput;
use explained::{Case, Explanation};

/// What `errors` takes.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  my-credential-helper errors not_found")]
pub(super) struct Arguments {
    /// The code, as `--json` and the protocol name it; all of them without
    #[arg(value_parser = clap::builder::PossibleValuesParser::new(ErrorCode::ALL.map(ErrorCode::name)))]
    code: Option<String>,
    /// Print the page `protocol/ERRORS.md`
    #[arg(long, hide = true, conflicts_with = "code")]
    markdown: bool,
}

pub(super) fn run(arguments: &Arguments, output: &Output) -> Result<ToolOutput> {
    let unknown = |name: &str| Error::invalid(format!("no code `{}`", sanitize(name)));
    let codes = match &arguments.code {
        Some(name) => vec![ErrorCode::from_name(name).ok_or_else(|| unknown(name))?],
        None => ErrorCode::ALL.to_vec(),
    };
    if output.json {
        let fields: Vec<_> = codes.into_iter().map(fields).collect();
        return Ok(ToolOutput::json(&json!({ "errors": fields })));
    }
    let text = if arguments.markdown {
        markdown()
    } else {
        codes.into_iter().map(text).collect::<Vec<_>>().join("\n")
    };
    Ok(ToolOutput::success(text))
}

fn fields(code: ErrorCode) -> serde_json::Value {
    let Explanation { meaning, cases } = code.explanation();
    let cases: Vec<_> =
        cases.iter().map(|Case { cause, cure }| json!({ "cause": cause, "cure": cure })).collect();
    json!({ "code": code.name(), "exit_status": code.exit_status(), "meaning": meaning, "cases": cases })
}

fn text(code: ErrorCode) -> String {
    let Explanation { meaning, cases } = code.explanation();
    let mut text = format!("{} (exit status {})\n  {meaning}\n", code.name(), code.exit_status());
    for Case { cause, cure } in cases {
        let _ = write!(text, "\n  - {cause}\n    {cure}\n");
    }
    text
}

/// The page `protocol/ERRORS.md`, which a test compares.
fn markdown() -> String {
    let mut page = "# Errors\n\nEvery code with its causes and their cures, as `my-credential-helper errors` prints them. The codes stand in\n\
                    the `error` object of [PROTOCOL.md](PROTOCOL.md#failures); each has its exit status. This page is written by\n\
                    `my-credential-helper errors --markdown`.\n"
        .to_owned();
    for code in ErrorCode::ALL {
        let Explanation { meaning, cases } = code.explanation();
        let _ = write!(
            page,
            "\n## `{}`\n\nExit status {}. {meaning}\n\n| what happened | what to do |\n|---|---|\n",
            code.name(),
            code.exit_status()
        );
        for Case { cause, cure } in cases {
            let _ = writeln!(page, "| {cause} | {cure} |");
        }
    }
    page
}

/// A manual page of section 7.
pub(super) fn manual() -> String {
    let mut page = format!(
        ".TH my-credential-helper-errors 7 \"\" \"my-credential-helper {}\"\n.SH NAME\nmy\\-credential\\-helper\\-errors \\- \
         what its errors mean, and what to do about them\n",
        env!("CARGO_PKG_VERSION")
    );
    for code in ErrorCode::ALL {
        let Explanation { meaning, cases } = code.explanation();
        let _ = write!(
            page,
            ".SH \"{}\"\nExit status {}. {}\n",
            code.name(),
            code.exit_status(),
            roff(meaning)
        );
        for Case { cause, cure } in cases {
            let _ = write!(page, ".TP\n{}\n{}\n", roff(cause), roff(cure));
        }
    }
    page
}

/// Escapes text for roff.
fn roff(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'', '`']) { format!("\\&{text}") } else { text }
}
