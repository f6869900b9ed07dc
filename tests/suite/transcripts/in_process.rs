//! A transcript through the codecs alone: `decode` gives the request that it describes, and `encode` its answer.

use std::collections::HashMap;

use my_credential_helper::adapters::{Adapter, Answer, Call, Input};
use my_credential_helper::error::Result;
use my_credential_helper::reply::{Ask, Carries, Erase, Refused, Request, Store};
use my_credential_helper::secret::Secret;
use my_credential_helper::timestamp::Timestamp;
use serde_json::{Map, Value, json};

use super::format::{Exchange, Transcript};
use super::values::Values;
use super::{Written, compare, each_call, told};

/// Runs every call of it.
pub(super) fn run(adapter: &Adapter, transcript: &Transcript) -> Result<(), String> {
    let values = Values::examples();
    each_call(transcript, |exchange| {
        let call = call(adapter, transcript, exchange, &values);
        let decoded = (adapter.decode)(&call);
        let expected: Value = values.read(&exchange.request);
        let described = described(&decoded);
        if described != expected {
            return Err(format!("`decode` gives {described}\n  instead of {expected}"));
        }
        let Answer { output, messages, status } =
            (adapter.encode)(&call, told::reply(decoded, exchange, &values)?);
        compare(
            exchange,
            &values,
            &Written { output: &output, messages: &messages, status: status.into() },
        )
    })
}

pub(super) fn call(
    adapter: &Adapter,
    transcript: &Transcript,
    exchange: &Exchange,
    values: &Values,
) -> Call {
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
    Call { arguments, variables, input: input.into() }
}

/// A request as a transcript has it: what is not said is left out.
fn described(request: &Result<Request>) -> Value {
    let optional =
        |secret: &Option<Secret>| secret.as_ref().map(|secret| secret.expose_secret().to_owned());
    match request {
        Err(error) => json!({ "error": error.code.name() }),
        Ok(Request::Get(ask)) => json!({ "get": said(asked(ask)) }),
        Ok(Request::Store(Store { ask, secret, scheme, refresh_token, expires_at, by_habit })) => {
            let mut fields = asked(ask);
            fields.insert("secret".into(), json!(secret.expose_secret()));
            fields.insert("scheme".into(), json!(scheme));
            fields.insert("refresh_token".into(), json!(optional(refresh_token)));
            fields.insert("expires_at".into(), json!(expires_at.map(Timestamp::to_whole_seconds)));
            fields.insert("by_habit".into(), json!(by_habit));
            json!({ "store": said(fields) })
        }
        Ok(Request::Erase(Erase { ask, secret })) => {
            let mut fields = asked(ask);
            fields.insert("secret".into(), json!(optional(secret)));
            json!({ "erase": said(fields) })
        }
        Ok(Request::List { servable: false }) => json!("list"),
        Ok(Request::List { servable: true }) => json!("list_servable"),
        Ok(Request::Capabilities) => json!("capabilities"),
        Ok(Request::Nothing) => json!("nothing"),
    }
}

fn asked(ask: &Ask) -> Map<String, Value> {
    let Ask {
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
            Carries::AnyHeader => None,
            Carries::PasswordOrBearer => Some("password or bearer"),
            Carries::Authorization => Some("authorization"),
            Carries::WholeValue => Some("whole value"),
        },
        "names_places": names_places,
        "refused": match refused {
            Refused::Unsaid => None,
            Refused::Said => Some("said"),
            Refused::ByAskingAgain => Some("by asking again"),
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
