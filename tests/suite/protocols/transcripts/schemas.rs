//! The JSON transcripts, and the examples of PROTOCOL.md, against the JSON schemas.

use std::collections::BTreeMap;

use jsonschema::Validator;
use serde_json::Value;

use super::each_call;
use super::format::{Text, Transcript, files, protocol};
use super::values::Values;

/// Every schema, by the name of its file: `get.request`.
struct Schemas(BTreeMap<String, Validator>);

impl Schemas {
    fn load() -> Self {
        let schema = |path: std::path::PathBuf| {
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            let text = std::fs::read(&path).expect("a schema");
            let schema: Value =
                serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(jsonschema::meta::is_valid(&schema), "{name} is not a JSON Schema");
            let validator = jsonschema::validator_for(&schema)
                .unwrap_or_else(|error| panic!("{name}: {error}"));
            (name, validator)
        };
        Self(files(&protocol().join("schemas"), "json").into_iter().map(schema).collect())
    }

    fn errors(&self, name: &str, value: &Value) -> Vec<String> {
        let schema = self.0.get(name).unwrap_or_else(|| panic!("there is no schema {name}.json"));
        schema.iter_errors(value).map(|error| error.to_string()).collect()
    }

    /// Validates against one schema.
    fn expect(&self, name: &str, value: &Value) -> Result<(), String> {
        let errors = self.errors(name, value);
        if errors.is_empty() {
            Ok(())
        } else {
            Err(format!("{name}: {}\n{value}", errors.join("; ")))
        }
    }

    /// Validates against one schema of an answer, and no other: a schema that accepts everything checks nothing.
    fn expect_answer(&self, name: &str, value: &Value) -> Result<(), String> {
        self.expect(name, value)?;
        let others = self.0.keys().filter(|other| other.ends_with(".answer") && *other != name);
        match others.into_iter().find(|other| self.errors(other, value).is_empty()) {
            Some(other) => Err(format!("{other} accepts what {name} is for: {value}")),
            None => Ok(()),
        }
    }
}

/// Checks that a request is valid exactly if the program accepts it, and that every answer is valid.
pub(super) fn check(transcript: &Transcript) -> Result<(), String> {
    let (schemas, values) = (Schemas::load(), Values::examples());
    each_call(transcript, |exchange| {
        let operation = exchange.arguments.first().map_or("", String::as_str);
        if let Text::Json(request) = &exchange.input {
            let (name, request) =
                (format!("{operation}.request"), values.read(&request.clone().into()));
            let outcome = schemas.expect(&name, &request);
            if exchange.request.get("error").is_none() {
                outcome?;
            } else if outcome.is_ok() {
                return Err(format!("{name} accepts what is rejected: {request}"));
            }
        }
        if let Text::Json(answer) = &exchange.output {
            let name = if answer.contains_key("error") { "error" } else { operation };
            schemas
                .expect_answer(&format!("{name}.answer"), &values.read(&answer.clone().into()))?;
        }
        Ok(())
    })
}

/// Every block of PROTOCOL.md that names a schema: ```` ```json get.request ````.
pub(super) fn check_page() -> Vec<Result<(), String>> {
    let schemas = Schemas::load();
    let page = std::fs::read(protocol().join("PROTOCOL.md")).expect("the page");
    let page = String::from_utf8(page).expect("text");
    let blocks = page
        .split("```json ")
        .skip(1)
        .filter_map(|rest| rest.split("```").next()?.split_once('\n'));
    let check = |(name, text): (&str, &str)| {
        let value: Value =
            serde_json::from_str(text).map_err(|error| format!("{name}: {error}\n{text}"))?;
        if name.ends_with(".answer") {
            schemas.expect_answer(name, &value)
        } else {
            schemas.expect(name, &value)
        }
    };
    blocks.map(check).collect()
}
