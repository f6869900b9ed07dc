//! The first inputs of each rule: every call of the transcripts, every URL of the corpus of hosts, and examples of
//! stored files.

use my_credential_helper::model::Invocation;
use my_credential_helper::protocols::run;

use super::properties::SEPARATOR;
use crate::protocols::{hosts, transcripts};

const JWT: &str =
    "eyJhbGciOiJIUzI1NiJ9.eyJpYXQiOjE3MDAwMDAwMDAsImV4cCI6MTcwMDAwMDkwMC41LCJzdWIiOiJ1In0.c2ln";

const CONFIGURATION: &str = "provider = 'acme'\nstore = 'file'\nca_file = '/ca.pem'\n[providers.mycli]\nhosts = \
    ['git.acme.dev', 'localhost:3000']\n[providers.acme]\nkind = 'api_key'\napi_url = 'https://api.acme.dev'\nhosts = \
    ['*.acme.dev']\ntoken_variable = 'ACME_TOKEN'\ntoken_prefix = 'acm_'\nheader = 'X-Acme-Key'\nbasic_username = 'u'\n\
    takes_password = true\nproject = 'p'\n";

/// The seeds of a rule.
pub(super) fn of(name: &str) -> Vec<Vec<u8>> {
    if let Some(tool) = run::tool(name) {
        let calls = transcripts::calls(tool).into_iter().chain(hosts::calls(name));
        return calls.map(|call| bytes(&call)).collect();
    }
    let session = format!(
        r#"{{"access_token":"{JWT}","refresh_token":"r","expires_at":"2026-01-02T04:04:05.123456789+01:00","logged_in_at":"2026-01-02T02:49:05Z","last_refreshed_at":"0001-01-01T00:00:00Z","expires_in":900,"needs_username":true}}"#
    );
    let texts: Vec<String> = match name {
        "urls" => hosts::urls(),
        "patterns" => hosts::patterns().iter().map(|pattern| format!("{pattern}\nhttps://git.acme.dev/")).collect(),
        "timestamps" => ["2026-01-02T04:04:05.123456789+01:00", "9999-12-31T23:59:60Z", "0000-01-01t00:00:00-23:59"]
            .map(str::to_owned)
            .to_vec(),
        "tokens" | "variable" => vec![JWT.to_owned(), format!("Bearer {JWT}\n"), "myc_0123\r\n".to_owned()],
        "messages" => vec!["\u{1b}[2J".to_owned(), "a\nb\u{202e}".to_owned(), "x".repeat(400)],
        "configuration" => vec![CONFIGURATION.to_owned()],
        "answers" | "sessions" => vec![session, "mic_0123\n".to_owned(), "{\"access_token\":\"myc_1\"}".to_owned()],
        "logins" => ["", ",\"in_keyring\":true", ",\"authtype\":\"Bearer\",\"password_expiry_utc\":4000000000"]
            .map(|more| {
                format!(
                    r#"{{"url":"https://git.acme.dev","username":"ada","secret":"s","oauth_refresh_token":"r"{more}}}"#
                )
            })
            .to_vec(),
        "go-keyring" => ["go-keyring-base64:aGk=", "go-keyring-encoded:6869", "hi\n"].map(str::to_owned).to_vec(),
        _ => Vec::new(),
    };
    texts.into_iter().map(String::into_bytes).collect()
}

/// A call in the form that the rules parse.
fn bytes(Invocation { arguments, variables, input, .. }: &Invocation) -> Vec<u8> {
    if let Some(value) = variables.values().next() {
        return value.clone().into_bytes();
    }
    let mut bytes: Vec<u8> = arguments
        .iter()
        .flat_map(|argument| argument.bytes().chain(std::iter::once(SEPARATOR)))
        .collect();
    bytes.extend_from_slice(input);
    bytes
}
