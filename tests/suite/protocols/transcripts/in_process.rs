//! A transcript through the protocol alone: `decode` returns the operation that the transcript describes, and `encode`
//! the output.

use std::collections::HashMap;

use my_credential_helper::error::{Error, ErrorCode};
use my_credential_helper::model::{
    AuthForm, CredentialRequest, EraseRequest, Framing, Invocation, Occasion, Operation, Rejection,
    Secret, StoreRequest, Timestamp, TokenKind, ToolOutput, ToolTraits,
};
use my_credential_helper::protocols::Tool;
use serde_json::{Map, Value, json};

use super::format::{Exchange, Transcript};
use super::values::Values;
use super::{Written, compare, each_call, response};

/// Runs every call.
pub(super) fn run(tool: &Tool, transcript: &Transcript) -> Result<(), String> {
    let values = Values::examples();
    each_call(transcript, |exchange| {
        let invocation = invocation(tool, transcript, exchange, &values);
        let (mut decoded, mut has_result) = (None, true);
        let ToolOutput { masks, output, messages, status } =
            (tool.answer)(&invocation, &mut |operation| {
                // Nothing is stored for the URL: the error of `decode` stays.
                if let Operation::EraseLegacy(_, _, refused) = operation {
                    return Err(refused);
                }
                check_tool(tool, &operation);
                decoded = Some(description(&operation));
                response::result(&operation, exchange, &values).unwrap_or_else(|| {
                    has_result = false;
                    Err(Error::invalid("no result"))
                })
            });
        check_operation(exchange, &values, decoded)?;
        if !has_result {
            return Err("`response` does not fit the operation".to_owned());
        }
        let messages = format!("{}{messages}", *masks);
        let written = Written { output: &output, messages: &messages, status: status.into() };
        compare(exchange, &values, &written)
    })
}

/// Compares the decoded operation. After an error of `decode` no operation exists: the status and the output show the error.
fn check_operation(
    exchange: &Exchange,
    values: &Values,
    decoded: Option<Value>,
) -> Result<(), String> {
    let expected: Value = values.read(&exchange.request);
    let is_expected = match (&decoded, expected.get("error").and_then(Value::as_str)) {
        (None, Some(code)) => ErrorCode::from_name(code).is_some() && exchange.response.is_none(),
        (Some(operation), None) => *operation == expected,
        _ => false,
    };
    if is_expected {
        return Ok(());
    }
    let decoded = decoded.unwrap_or_else(|| "an error".into());
    Err(format!("`decode` returns {decoded}\n  instead of {expected}"))
}

pub(super) fn invocation(
    tool: &Tool,
    transcript: &Transcript,
    exchange: &Exchange,
    values: &Values,
) -> Invocation {
    let arguments: Vec<_> =
        exchange.arguments.iter().map(|argument| values.fill(argument)).collect();
    let variables = &transcript.environment.variables;
    let variables: HashMap<_, _> = tool
        .variables
        .iter()
        .filter_map(|name| Some((*name, values.fill(variables.get(*name)?))))
        .collect();
    let is_read = (tool.framing)(&arguments) != Framing::Nothing;
    let input = if is_read { exchange.input.filled(values).into_bytes() } else { Vec::new() };
    Invocation { arguments, variables, input: input.into(), input_error: None }
}

/// What a tool stores is only for it: each operation names its tool. The JSON protocol is for every tool.
fn check_tool(tool: &Tool, operation: &Operation) {
    let request = match operation {
        Operation::Get(request)
        | Operation::Store(StoreRequest { request, .. })
        | Operation::Erase(EraseRequest { request, .. }) => &request.tool,
        Operation::ListServable(tool) => tool,
        _ => return,
    };
    assert_eq!(request.name, Some(tool.name).filter(|name| *name != "json"));
}

/// An operation as a transcript has it: default values are left out.
fn description(operation: &Operation) -> Value {
    let exposed = |secret: &Option<Secret>| secret.as_ref().map(|s| s.expose_secret().to_owned());
    match operation {
        Operation::Get(request) => json!({ "get": without_defaults(fields(request)) }),
        Operation::Store(store) => {
            let StoreRequest { request, secret, scheme, refresh_token, expires_at, occasion } =
                store;
            let mut fields = fields(request);
            fields.insert("secret".into(), json!(secret.expose_secret()));
            fields.insert("scheme".into(), json!(scheme));
            fields.insert("refresh_token".into(), json!(exposed(refresh_token)));
            fields.insert("expires_at".into(), json!(expires_at.map(Timestamp::to_whole_seconds)));
            fields.insert("automatic".into(), json!(*occasion == Occasion::Use));
            json!({ "store": without_defaults(fields) })
        }
        Operation::EraseLegacy(_, _, refused) => json!({ "error": refused.code.name() }),
        Operation::Erase(EraseRequest { request, secret }) => {
            let mut fields = fields(request);
            fields.insert("secret".into(), json!(exposed(secret)));
            json!({ "erase": without_defaults(fields) })
        }
        Operation::List => json!("list"),
        Operation::ListServable(_) => json!("list_servable"),
        Operation::Capabilities => json!("capabilities"),
        Operation::Nothing => json!("nothing"),
    }
}

fn fields(request: &CredentialRequest) -> Map<String, Value> {
    let CredentialRequest {
        target,
        provider,
        account,
        api_url,
        username,
        min_validity,
        token,
        tool: ToolTraits { auth_form, exact_path, needs_prefixes, .. },
        rejection,
        explain: _,
    } = request;
    let fields = json!({
        "url": target.as_ref().map(ToString::to_string),
        "exact_path": exact_path,
        "provider": provider,
        "account": account,
        "api_url": api_url,
        "username": username,
        "min_validity_seconds": Some(min_validity.whole_seconds()).filter(|seconds| *seconds != 0),
        "auth_form": match auth_form {
            AuthForm::AnyHeader => None,
            AuthForm::PasswordOrBearer => Some("password_or_bearer"),
            AuthForm::Authorization => Some("authorization"),
            AuthForm::WholeValue => Some("whole_value"),
        },
        "needs_prefixes": needs_prefixes,
        "token": match token {
            TokenKind::Access => None,
            TokenKind::Id => Some("id"),
            TokenKind::Kubernetes => Some("kubernetes"),
        },
        "rejection": match rejection {
            Rejection::NotReported => None,
            Rejection::Reported => Some("reported"),
            Rejection::ByRepetition => Some("by_repetition"),
        },
    });
    fields.as_object().cloned().unwrap_or_default()
}

fn without_defaults(fields: Map<String, Value>) -> Value {
    let is_default = |value: &Value| matches!(value, Value::Null | Value::Bool(false));
    fields.into_iter().filter(|(_, value)| !is_default(value)).collect()
}
