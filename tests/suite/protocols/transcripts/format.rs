//! The form of a transcript (protocol/transcripts/README.md), and the search for all of them in the folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use my_credential_helper::protocols::{self, Tool};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::values::Values;

/// One behaviour of one protocol.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Transcript {
    /// `git/found`
    #[serde(skip)]
    pub(super) name: String,
    /// The rule, in one sentence.
    #[serde(rename = "about")]
    _about: String,
    #[serde(default)]
    pub(super) environment: Scenario,
    pub(super) calls: Vec<Exchange>,
}

/// What the real program finds.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Scenario {
    pub(super) session: Option<Session>,
    pub(super) service: Option<Service>,
    pub(super) variables: BTreeMap<String, String>,
    /// The lines of `config.toml`.
    pub(super) config: Vec<String>,
    pub(super) url_credentials: Vec<UrlCredential>,
    /// Other files below the home directory.
    pub(super) files: BTreeMap<String, String>,
}

/// The contents of `~/.my/credentials.json`.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Session {
    /// Received 300 s ago, expires in 600 s.
    Fresh,
    /// Received an hour ago, expired.
    Stale,
    /// Received 700 s ago, expires in 200 s.
    Late,
    /// Expires in 30 s: stale, and not expired.
    Expiring,
    /// A long-lived token, as `login --token` stores it.
    ApiToken,
}

/// A fault of the account service.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Service {
    /// The service has revoked the session.
    Revoked,
    /// The service answers each refresh with 503.
    Failing,
}

/// A stored credential of a URL.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UrlCredential {
    pub(super) url: String,
    pub(super) username: String,
    pub(super) secret: String,
    /// The tool that stored it; nothing if it is for every tool.
    pub(super) tool: Option<String>,
    pub(super) refresh_token: Option<String>,
    pub(super) expires_at: Option<String>,
}

/// One call and its answer.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Exchange {
    /// The name of the link that the tool calls, instead of `my-credential-helper <protocol>`.
    pub(super) called_as: Option<String>,
    pub(super) arguments: Vec<String>,
    #[serde(default)]
    pub(super) input: Text,
    /// Whether the tool keeps standard input open until it has the answer.
    #[serde(default)]
    pub(super) stays_open: bool,
    /// The operation that `decode` returns.
    pub(super) request: Value,
    /// The result for `encode`; required where the operation is neither an error nor nothing.
    pub(super) response: Option<Value>,
    #[serde(default)]
    pub(super) output: Text,
    #[serde(default)]
    pub(super) messages: Text,
    #[serde(default)]
    pub(super) status: u8,
}

/// Text in its most readable form.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Text {
    /// The exact text.
    Exact(String),
    /// Lines, each with an LF.
    Lines(Vec<String>),
    /// Text that is too long to write down.
    Long(Long),
    /// JSON on one line.
    Json(Map<String, Value>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Long {
    #[serde(default)]
    begin: String,
    repeat: String,
    times: usize,
    #[serde(default)]
    end: String,
}

impl Default for Text {
    fn default() -> Self {
        Self::Exact(String::new())
    }
}

impl Text {
    /// The text, for standard input.
    pub(super) fn filled(&self, values: &Values) -> String {
        match self {
            Self::Exact(text) => values.fill(text),
            Self::Lines(lines) => lines.iter().map(|line| values.fill(line) + "\n").collect(),
            Self::Long(Long { begin, repeat, times, end }) => {
                [values.fill(begin), repeat.repeat(*times), values.fill(end)].concat()
            }
            Self::Json(object) => values.fill(&Value::from(object.clone()).to_string()) + "\n",
        }
    }

    /// Whether the program wrote exactly this. The order of the keys of an object is ignored.
    pub(super) fn is(&self, written: &str, values: &Values) -> bool {
        let expected = self.filled(values);
        let is_line = |text: &str| text.strip_suffix('\n').is_some_and(|line| !line.contains('\n'));
        match self {
            Self::Json(_) => {
                is_line(written)
                    && json(written).is_some_and(|value| Some(value) == json(&expected))
            }
            _ => written == expected,
        }
    }
}

fn json(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok()
}

/// The folder of the transcripts and the schemas.
pub(super) fn protocol() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("protocol")
}

/// Every transcript of a protocol, in the order of the file names.
pub(super) fn of(tool: &Tool) -> Vec<Transcript> {
    files(&protocol().join("transcripts").join(tool.name), "json")
        .iter()
        .map(|path| read(tool, path))
        .collect()
}

/// Every transcript.
pub(super) fn all() -> Vec<(&'static Tool, Transcript)> {
    protocols::ALL
        .iter()
        .flat_map(|tool| of(tool).into_iter().map(move |transcript| (tool, transcript)))
        .collect()
}

fn read(tool: &Tool, path: &Path) -> Transcript {
    let name = format!("{}/{}", tool.name, path.file_stem().expect("a name").to_string_lossy());
    let text = std::fs::read(path).unwrap_or_else(|error| panic!("{name}: {error}"));
    let transcript =
        serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
    Transcript { name, ..transcript }
}

/// The files of a folder with the extension, in the order of their names.
pub(super) fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries =
        std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut files: Vec<_> =
        paths.filter(|path| path.extension().is_some_and(|found| found == extension)).collect();
    files.sort();
    files
}
