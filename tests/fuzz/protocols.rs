//! Any call of any protocol: which credential the output has, and whether it keeps to the form.

use std::collections::HashMap;

use my_credential_helper::auth::with_engine;
use my_credential_helper::config::{Context, Overrides, Paths};
use my_credential_helper::model::{
    Invocation, Operation, Origin, Response, Scheme, Target, ToolOutput,
};
use my_credential_helper::protocols::{Tool, run};
use my_credential_helper::sys::env::Environment;

use super::SEPARATOR;

/// The token in the variable.
const TOKEN: &str = "the-token-of-the-provider";

const CONFIGURATION: &str =
    "[providers.mycli]\nhosts = ['git.acme.dev', '*.example.com', '127.0.0.1:3000']\n";

/// Whether the configuration has the host, by other code than the program's.
fn is_configured(origin: &Origin) -> bool {
    let is_https = origin.scheme() == Scheme::Https && origin.port() == 443;
    let label = origin.host().strip_suffix(".example.com").unwrap_or_default();
    let is_below = !label.is_empty() && !label.starts_with('.') && !label.ends_with('.');
    is_https && (["git.acme.dev", "api.mycli.sh"].contains(&origin.host()) || is_below)
        || origin.host() == "127.0.0.1" && origin.port() == 3000
}

struct Scene {
    context: Context,
    _home: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let home = tempfile::tempdir().expect("a temporary directory");
        let paths = Paths::at(home.path());
        let file = paths.configuration().expect("a path");
        std::fs::create_dir_all(file.parent().expect("a directory")).expect("the directory");
        std::fs::write(file, CONFIGURATION).expect("the configuration");
        let variables = [("MY_API_TOKEN", TOKEN), ("MY_NO_KEYRING", "1")];
        let variables =
            variables.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
        Self {
            context: Context::new(Environment::Fixed(variables), paths, Overrides::default()),
            _home: home,
        }
    }
}

thread_local! {
    static SCENE: Scene = Scene::new();
}

/// Arguments, with a separator after each, and standard input; or the variable of a protocol that has one.
fn invocation(tool: &Tool, data: &[u8]) -> Invocation {
    if let Some(name) = tool.variables.first() {
        let variables = HashMap::from([(*name, String::from_utf8_lossy(data).into_owned())]);
        return Invocation { variables, ..Invocation::default() };
    }
    let mut pieces: Vec<_> = data.split(|byte| *byte == SEPARATOR).collect();
    let input = pieces.pop().unwrap_or_default().to_vec();
    let arguments =
        pieces.iter().map(|piece| String::from_utf8_lossy(piece).into_owned()).collect();
    Invocation { arguments, input: input.into(), ..Invocation::default() }
}

/// Answers the call, and checks the answer.
pub(super) fn check(name: &str, data: &[u8]) {
    // A request that has the token already may get it back.
    if data.windows(TOKEN.len()).any(|piece| piece == TOKEN.as_bytes()) {
        return;
    }
    let tool = run::tool(name).expect("a protocol of that name");
    let invocation = invocation(tool, data);
    let _ = (tool.framing)(&invocation.arguments);
    let mut is_allowed = false;
    let output = (tool.answer)(&invocation, &mut |operation| {
        if let Operation::Get(request) = &operation {
            // Some tools name no host, and request the default provider.
            let is_default =
                request.target.is_none() && ["json", "kubectl", "goauth", "pnpm"].contains(&name);
            is_allowed =
                request.target.as_ref().map_or(is_default, |target| is_configured(&target.origin));
        }
        match operation {
            // Other rules check the stores; here they would only fill the disk.
            Operation::Store(_) | Operation::Erase(_) => Ok(Response::Nothing),
            operation => {
                SCENE.with(|scene| with_engine(&scene.context, |engine| engine.perform(operation)))
            }
        }
    });
    assert!(is_allowed || !output.output.contains(TOKEN), "a token for a host without a provider");
    check_form(name, &output);
}

/// Checks that no part of the request is a separate line of the output.
fn check_form(name: &str, answer: &ToolOutput) {
    let ToolOutput { output, messages, .. } = answer;
    assert!(!messages.contains(TOKEN), "a message has the token");
    assert!(
        !messages.chars().any(|c| c.is_control() && c != '\n'),
        "a message has a control character: {messages:?}"
    );
    let is_json = || {
        serde_json::from_str::<serde_json::Value>(output).is_ok()
            && output.matches('\n').count() == 1
    };
    let known = [
        "capability[]",
        "authtype",
        "credential",
        "ephemeral",
        "username",
        "password",
        "password_expiry_utc",
    ];
    let fits = match name {
        _ if output.is_empty() => true,
        "git" if output.starts_with("version 0\n") => true,
        "git" => output
            .lines()
            .all(|line| line.split_once('=').is_some_and(|(key, _)| known.contains(&key))),
        "json" if !output.starts_with('{') => output.matches('\n').count() == 1,
        // Docker reads errors from standard output.
        "docker" if answer.status != 0 || !output.starts_with('{') => {
            output.matches('\n').count() <= 1
        }
        "json" | "bazel" | "cargo" | "kubectl" | "terraform" | "docker" => is_json(),
        "goauth" => is_goauth(output),
        "pnpm" => **output == format!("Bearer {TOKEN}\n"),
        _ => output.lines().count() <= 2 || !output.contains(TOKEN),
    };
    assert!(fits, "{name}: the output breaks its form: {:?}", &**output);
}

/// Configured prefixes, a blank line, one header, and a blank line.
fn is_goauth(output: &str) -> bool {
    let parts: Vec<_> = output.split("\n\n").collect();
    let [prefixes, header, ""] = parts[..] else { return false };
    let is_ours =
        |prefix: &str| Target::parse(prefix).is_ok_and(|target| is_configured(&target.origin));
    prefixes.lines().all(is_ours) && header == format!("Authorization: Bearer {TOKEN}")
}
