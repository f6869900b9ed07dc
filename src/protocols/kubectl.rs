//! kubectl's exec plugin protocol (client.authentication.k8s.io, `ExecCredential`).
//!
//! The request is in a variable. Standard input may be the person's terminal, and is not read.

use serde::{Deserialize, Serialize};

use super::Protocol;
use crate::error::{Error, Result, argument_name, sanitize};
use crate::model::json::reason;
use crate::model::{
    AuthForm, CredentialRequest, Framing, Invocation, Operation, Rejection, Resolved, Response,
    Target, Timestamp, TokenKind, ToolOutput, ToolTraits,
};

const INFO: &str = "KUBERNETES_EXEC_INFO";
const GROUP: &str = "client.authentication.k8s.io/";
const KIND: &str = "ExecCredential";

/// The version for a client that does not name one.
const DEFAULT_VERSION: &str = "client.authentication.k8s.io/v1";

const TRAITS: ToolTraits = ToolTraits::new(AuthForm::PasswordOrBearer);

pub(super) struct Kubectl;

impl Protocol for Kubectl {
    const NAME: &'static str = "kubectl";
    const VARIABLES: &'static [&'static str] = &[INFO];

    /// The requested `apiVersion`.
    type Parsed<'a> = Option<String>;

    fn framing(_: &[String]) -> Framing {
        Framing::Nothing
    }

    fn decode(invocation: &Invocation) -> (Option<String>, Result<Operation>) {
        match decode(invocation) {
            Ok((version, request)) => (version, Ok(Operation::Get(request))),
            Err(error) => (None, Err(error)),
        }
    }

    fn encode(version: &Option<String>, result: Result<Response>) -> ToolOutput {
        match result {
            Ok(Response::Found(found)) => {
                credential(version.as_deref().unwrap_or(DEFAULT_VERSION), &found)
            }
            Ok(_) => ToolOutput::default(),
            Err(error) => ToolOutput::failure(1, error),
        }
    }
}

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

/// Present only with `provideClusterInfo: true`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Cluster {
    server: Option<String>,
}

impl Info {
    fn parse(text: &str) -> Result<Self> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let info: Self = serde_json::from_str(text)
            .map_err(|error| Error::invalid(format!("{INFO} {}", reason(&error))))?;
        let version = info.api_version.as_deref().unwrap_or(DEFAULT_VERSION);
        if !version.starts_with(GROUP) {
            let message =
                format!("{INFO} has the apiVersion `{}`, not {GROUP}…", sanitize(version));
            return Err(Error::invalid(message).with_hint(format!(
                "write `apiVersion: {DEFAULT_VERSION}` into the kubeconfig's `exec`"
            )));
        }
        Ok(info)
    }

    fn server(&self) -> Option<&str> {
        self.spec.as_ref()?.cluster.as_ref()?.server.as_deref()
    }
}

fn decode(invocation: &Invocation) -> Result<(Option<String>, CredentialRequest)> {
    if let Some(argument) = invocation.arguments.first() {
        return Err(Error::invalid(format!(
            "`kubectl` does not accept `{}`",
            argument_name(argument)
        ))
        .with_hint("write `args: [kubectl]` into the kubeconfig's `exec`"));
    }
    let variable = invocation.variables.get(INFO);
    let info = Info::parse(variable.map_or("", String::as_str))?;
    let target = info.server().map(Target::parse).transpose()?;
    // client-go uses a credential until its expiry, and requests a new one earlier only after a 401.
    let rejection =
        if variable.is_some() { Rejection::ByRepetition } else { Rejection::NotReported };
    let token = TokenKind::Kubernetes;
    let request = CredentialRequest { target, token, rejection, ..CredentialRequest::new(TRAITS) };
    Ok((info.api_version, request))
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
    expiration_timestamp: Option<Timestamp>,
}

fn credential(api_version: &str, Resolved { credential, warnings, .. }: &Resolved) -> ToolOutput {
    let status = Status {
        token: credential.secret.expose_secret(),
        expiration_timestamp: credential.expires_at,
    };
    ToolOutput::json(&ExecCredential { api_version, kind: KIND, status }).with_warnings(warnings)
}
