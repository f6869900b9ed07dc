//! The corpus of `tests/corpus/hosts`: confusing URLs and hosts, and what may be answered for each.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::forms::Form;

/// One file of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Family {
    /// What its cases have in common.
    #[serde(rename = "about")]
    _about: String,
    /// What is configured for the provider.
    pub(super) hosts: Vec<String>,
    /// The URLs that a login of their own is stored for.
    #[serde(default)]
    pub(super) logins: Vec<String>,
    pub(super) cases: Vec<Case>,
    /// The file's name.
    #[serde(skip)]
    pub(super) name: String,
}

/// One URL.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    pub(super) url: String,
    /// `served`, `nothing`, or the URL whose stored login is the answer.
    expect: String,
    /// The same for a tool that names the host of it, and no scheme.
    host_alone: Option<String>,
    /// The same for one way to ask.
    #[serde(default)]
    except: BTreeMap<String, String>,
    #[serde(rename = "why")]
    _why: Option<String>,
}

impl Case {
    /// The expected response to a request in this form.
    pub(super) fn expected(&self, form: &Form) -> &str {
        if let Some(exception) = self.except.get(form.name) {
            return exception;
        }
        let is_https =
            self.url.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("https://"));
        match &self.host_alone {
            Some(expected) if form.is_host_alone => expected,
            _ if form.is_https_alone && !is_https => "nothing",
            _ => &self.expect,
        }
    }
}

/// Every family.
pub(super) fn families() -> Vec<Family> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/hosts");
    let mut files: Vec<_> =
        std::fs::read_dir(folder).expect("the corpus").flatten().map(|file| file.path()).collect();
    files.sort();
    files
        .iter()
        .map(|path| {
            let text = std::fs::read_to_string(path).expect("a family");
            let family: Family = serde_json::from_str(&text)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            Family {
                name: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
                ..family
            }
        })
        .collect()
}
