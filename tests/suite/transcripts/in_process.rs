//! A transcript through the codecs alone: `decode` gives the request that it describes, and `encode` its answer.

use std::collections::HashMap;

use my_credential_helper::error::Result;
use my_credential_helper::model::request::{
    AuthForm, CredentialRequest, EraseRequest, Operation, Rejection, StoreRequest,
};
use my_credential_helper::model::secret::Secret;
use my_credential_helper::model::timestamp::Timestamp;
use my_credential_helper::protocols::{Input, Invocation, Tool, ToolOutput};
use serde_json::{Map, Value, json};

use super::format::{Exchange, Transcript};
use super::values::Values;
use super::{Written, compare, each_call, told};

/// Runs every call of it.
pub(super) fn run(adapter: &Tool, transcript: &Transcript) -> Result<(), String> {
    let values = Values::examples();
    each_call(transcript, |exchange| {
        let call = call(adapter, transcript, exchange, &values);
        let decoded = (adapter.decode)(&call);
        let expected: Value = values.read(&exchange.request);
        let described = described(&decoded);
        if described != expected {
            return Err(format!("`decode` gives {described}\n  instead of {expected}"));
        }
        let ToolOutput { output, messages, status } =
            (adapter.encode)(&call, told::reply(decoded, exchange, &values)?);
        compare(
            exchange,
            &values,
            &Written { output: &output, messages: &messages, status: status.into() },
        )
    })
}

pub(super) fn call(
    adapter: &Tool,
    transcript: &Transcript,
    exchange: &Exchange,
    values: &Values,
) -> Invocation {
    let arguments: Vec<_> =
        exchange.arguments.iter().map(|argument| values.fill(argument)).collect();
    let variables = &transcript.surroundings.variables;
    let variables: HashMap<_, _> = adapter
        .variables
        .iter()
        .filter_map(|name| Some((*name, values.fill(variables.get(*name)?))))
        .collect();
    let is_read = (adapter.input)(&arguments) != Input::Nothing;
    let input = if is_read { exchange.input.filled(values).into_bytes() } else { Vec::new() };
    Invocation { arguments, variables, input: input.into() }
}

/// A request as a transcript has it: what is not said is left out.
fn described(request: &Result<Operation>) -> Value {
    let optional =
        |secret: &Option<Secret>| secret.as_ref().map(|secret| secret.expose_secret().to_owned());
    match request {
        Err(error) => json!({ "error": error.code.name() }),
        Ok(Operation::Get(ask)) => json!({ "get": said(asked(ask)) }),
        Ok(Operation::Store(StoreRequest {
            ask,
            secret,
            scheme,
            refresh_token,
            expires_at,
            by_habit,
        })) => {
            let mut fields = asked(ask);
            fields.insert("secret".into(), json!(secret.expose_secret()));
            fields.insert("scheme".into(), json!(scheme));
            fields.insert("refresh_token".into(), json!(optional(refresh_token)));
            fields.insert("expires_at".into(), json!(expires_at.map(Timestamp::to_whole_seconds)));
            fields.insert("by_habit".into(), json!(by_habit));
            json!({ "store": said(fields) })
        }
        Ok(Operation::Erase(EraseRequest { ask, secret })) => {
            let mut fields = asked(ask);
            fields.insert("secret".into(), json!(optional(secret)));
            json!({ "erase": said(fields) })
        }
        Ok(Operation::List { servable: false }) => json!("list"),
        Ok(Operation::List { servable: true }) => json!("list_servable"),
        Ok(Operation::Capabilities) => json!("capabilities"),
        Ok(Operation::Nothing) => json!("nothing"),
    }
}

fn asked(ask: &CredentialRequest) -> Map<String, Value> {
    let CredentialRequest {
        target,
        exact_path,
        provider,
        api_url,
        username,
        min_validity,
        carries,
        names_places,
        refused,
        account,
    } = ask;
    let fields = json!({
        "url": target.as_ref().map(ToString::to_string),
        "exact_path": exact_path,
        "provider": provider,
        "account": account,
        "api_url": api_url,
        "username": username,
        "min_validity_seconds": Some(min_validity.whole_seconds()).filter(|seconds| *seconds != 0),
        "carries": match carries {
            AuthForm::AnyHeader => None,
            AuthForm::PasswordOrBearer => Some("password or bearer"),
            AuthForm::Authorization => Some("authorization"),
            AuthForm::WholeValue => Some("whole value"),
        },
        "names_places": names_places,
        "refused": match refused {
            Rejection::Unsaid => None,
            Rejection::Said => Some("said"),
            Rejection::ByAskingAgain => Some("by asking again"),
        },
    });
    fields.as_object().cloned().unwrap_or_default()
}

fn said(fields: Map<String, Value>) -> Value {
    fields
        .into_iter()
        .filter(|(_, value)| !matches!(value, Value::Null | Value::Bool(false)))
        .collect()
}
