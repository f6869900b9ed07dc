//! kubectl's exec plugin protocol (client.authentication.k8s.io, `ExecCredential`) as two pure functions. Knows no
//! store, no network, no clock.
//!
//! The request comes in a variable; standard input belongs to the person before the terminal, and is not touched.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, sanitize};
use crate::model::json::reason;
use crate::model::origin::Target;
use crate::model::request::{
    AuthForm, CredentialRequest, Operation, Rejection, Resolved, Response,
};
use crate::model::timestamp::Timestamp;
use crate::protocols::{Input, Invocation, Tool, ToolOutput};

/// The line in the table.
pub const TOOL: Tool = Tool {
    name: "kubectl",
    operations: &[],
    program: None,
    variables: &[INFO],
    input: |_| Input::Nothing,
    decode,
    encode,
};

const INFO: &str = "KUBERNETES_EXEC_INFO";
const GROUP: &str = "client.authentication.k8s.io/";
const KIND: &str = "ExecCredential";

/// What is spoken with a client that does not say what it speaks.
const DEFAULT_VERSION: &str = "client.authentication.k8s.io/v1";

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Info {
    api_version: Option<String>,
    spec: Option<Spec>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Spec {
    cluster: Option<Cluster>,
}

/// With `provideClusterInfo: true` only.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Cluster {
    server: Option<String>,
}

impl Info {
    fn read(call: &Invocation) -> Result<Self> {
        let Some(text) = call.variables.get(INFO).filter(|text| !text.trim().is_empty()) else {
            return Ok(Self::default());
        };
        let info: Self = serde_json::from_str(text)
            .map_err(|error| Error::invalid(format!("{INFO} {}", reason(&error))))?;
        match &info.api_version {
            Some(version) if !version.starts_with(GROUP) => Err(Error::invalid(format!(
                "{INFO} has the apiVersion `{}`, not {GROUP}…",
                sanitize(version)
            ))
            .with_hint(format!(
                "write `apiVersion: {DEFAULT_VERSION}` into the kubeconfig's `exec`"
            ))),
            _ => Ok(info),
        }
    }

    fn server(&self) -> Option<&str> {
        self.spec.as_ref()?.cluster.as_ref()?.server.as_deref().filter(|server| !server.is_empty())
    }
}

fn decode(call: &Invocation) -> Result<Operation> {
    if let Some(argument) = call.arguments.first() {
        return Err(Error::invalid(format!("`kubectl` does not take `{}`", sanitize(argument)))
            .with_hint("write `args: [kubectl]` into the kubeconfig's `exec`"));
    }
    let target = Info::read(call)?.server().map(Target::parse).transpose()?;
    // client-go keeps what it was given until its end; only a 401 makes it ask earlier.
    let asks_again = call.variables.contains_key(INFO);
    let refused = if asks_again { Rejection::ByAskingAgain } else { Rejection::Unsaid };
    Ok(Operation::Get(CredentialRequest {
        target,
        carries: AuthForm::PasswordOrBearer,
        refused,
        ..CredentialRequest::default()
    }))
}

fn encode(call: &Invocation, result: Result<Response>) -> ToolOutput {
    match result {
        Ok(Response::Found(found)) => {
            let asked = Info::read(call).unwrap_or_default().api_version;
            credential(asked.as_deref().unwrap_or(DEFAULT_VERSION), &found)
        }
        Ok(_) => ToolOutput::default(),
        Err(error) => ToolOutput::failure(1, error),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExecCredential<'a> {
    api_version: &'a str,
    kind: &'a str,
    status: Status<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Status<'a> {
    token: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    expiration_timestamp: Option<String>,
}

fn credential(api_version: &str, found: &Resolved) -> ToolOutput {
    let expiration_timestamp = found.expires_at.map(Timestamp::to_whole_seconds);
    let status = Status { token: found.secret.expose_secret(), expiration_timestamp };
    let credential = ExecCredential { api_version, kind: KIND, status };
    // Strings alone cannot fail to be written.
    ToolOutput::success(serde_json::to_string(&credential).unwrap_or_default() + "\n")
        .with_notes(&found.notes)
}
