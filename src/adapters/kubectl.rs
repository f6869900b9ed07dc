//! kubectl's exec plugin protocol (client.authentication.k8s.io, `ExecCredential`) as two pure functions. Knows no
//! store, no network, no clock.
//!
//! The request comes in a variable; standard input belongs to the person before the terminal, and is not touched.

use serde::{Deserialize, Serialize};

use crate::adapters::{Adapter, Answer, Call, Input};
use crate::error::{Error, Result, shown};
use crate::json::reason;
use crate::reply::{Ask, Carries, Found, Refused, Reply, Request};
use crate::target::Target;
use crate::timestamp::Timestamp;

/// The line in the table.
pub const ADAPTER: Adapter = Adapter {
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
    fn read(call: &Call) -> Result<Self> {
        let Some(text) = call.variables.get(INFO).filter(|text| !text.trim().is_empty()) else {
            return Ok(Self::default());
        };
        let info: Self = serde_json::from_str(text)
            .map_err(|error| Error::invalid(format!("{INFO} {}", reason(&error))))?;
        match &info.api_version {
            Some(version) if !version.starts_with(GROUP) => Err(Error::invalid(format!(
                "{INFO} has the apiVersion `{}`, not {GROUP}…",
                shown(version)
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

fn decode(call: &Call) -> Result<Request> {
    if let Some(argument) = call.arguments.first() {
        return Err(Error::invalid(format!("`kubectl` does not take `{}`", shown(argument)))
            .with_hint("write `args: [kubectl]` into the kubeconfig's `exec`"));
    }
    let target = Info::read(call)?.server().map(Target::parse).transpose()?;
    // client-go keeps what it was given until its end; only a 401 makes it ask earlier.
    let asks_again = call.variables.contains_key(INFO);
    let refused = if asks_again { Refused::ByAskingAgain } else { Refused::Unsaid };
    Ok(Request::Get(Ask { target, carries: Carries::PasswordOrBearer, refused, ..Ask::default() }))
}

fn encode(call: &Call, result: Result<Reply>) -> Answer {
    match result {
        Ok(Reply::Found(found)) => {
            let asked = Info::read(call).unwrap_or_default().api_version;
            credential(asked.as_deref().unwrap_or(DEFAULT_VERSION), &found)
        }
        Ok(_) => Answer::default(),
        Err(error) => Answer::failure(1, error),
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

fn credential(api_version: &str, found: &Found) -> Answer {
    let expiration_timestamp = found.expires_at.map(Timestamp::to_whole_seconds);
    let status = Status { token: found.secret.expose_secret(), expiration_timestamp };
    let credential = ExecCredential { api_version, kind: KIND, status };
    // Strings alone cannot fail to be written.
    Answer::success(serde_json::to_string(&credential).unwrap_or_default() + "\n")
        .with_notes(&found.notes)
}
