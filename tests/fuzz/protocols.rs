//! Any call of any adapter: what it is answered, and in which form.

use std::collections::HashMap;

use my_credential_helper::auth::context::{Context, Overrides};
use my_credential_helper::config::paths::Paths;
use my_credential_helper::model::origin::{Origin, Scheme, Target};
use my_credential_helper::model::request::Operation;
use my_credential_helper::protocols::run;
use my_credential_helper::protocols::{self, Invocation, Tool, ToolOutput};
use my_credential_helper::sys::env::Environment;

use super::SEPARATOR;

/// The token in the variable.
const TOKEN: &str = "the-token-of-the-provider";

const CONFIGURATION: &str =
    "[providers.mycli]\nhosts = ['git.acme.dev', '*.example.com', '127.0.0.1:3000']\n";

/// The same by another reading than the program's.
fn is_configured(origin: &Origin) -> bool {
    let is_https = origin.scheme() == Scheme::Https && origin.port() == 443;
    let label = origin.host().strip_suffix(".example.com").unwrap_or_default();
    let is_below = !label.is_empty() && !label.starts_with('.') && !label.ends_with('.');
    is_https && (["git.acme.dev", "api.mycli.sh"].contains(&origin.host()) || is_below)
        || origin.host() == "127.0.0.1" && origin.port() == 3000
}

struct Place {
    context: Context,
    _home: tempfile::TempDir,
}

impl Place {
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
    static PLACE: Place = Place::new();
}

/// Arguments, with a separator behind each, and standard input; for a tool that speaks through a variable, that.
fn call(adapter: &Tool, data: &[u8]) -> Invocation {
    if let Some(name) = adapter.variables.first() {
        let variables = HashMap::from([(*name, String::from_utf8_lossy(data).into_owned())]);
        return Invocation { variables, ..Invocation::default() };
    }
    let mut pieces: Vec<_> = data.split(|byte| *byte == SEPARATOR).collect();
    let input = pieces.pop().unwrap_or_default().to_vec();
    let arguments =
        pieces.iter().map(|piece| String::from_utf8_lossy(piece).into_owned()).collect();
    Invocation { arguments, input: input.into(), variables: HashMap::new() }
}

/// Answers the call, and looks at the answer.
pub(super) fn check(name: &str, data: &[u8]) {
    // Whoever knows the token already is told nothing by hearing it again.
    if data.windows(TOKEN.len()).any(|piece| piece == TOKEN.as_bytes()) {
        return;
    }
    let adapter = protocols::ALL
        .iter()
        .find(|adapter| adapter.name == name)
        .expect("an adapter of that name");
    let call = call(adapter, data);
    let _ = (adapter.input)(&call.arguments);
    let request = (adapter.decode)(&call);
    let mut may_have = false;
    let result = match request {
        Ok(Operation::Get(ask)) => {
            // Some tools name no place, and mean the default provider.
            let is_everywhere =
                ask.target.is_none() && ["json", "kubectl", "goauth", "pnpm"].contains(&name);
            may_have =
                ask.target.as_ref().map_or(is_everywhere, |target| is_configured(&target.origin));
            PLACE.with(|place| run::act(&place.context, Operation::Get(ask)))
        }
        // What is kept is looked at elsewhere; here it would only fill the disk.
        Ok(Operation::Store(_) | Operation::Erase(_)) => {
            Ok(my_credential_helper::model::request::Response::Nothing)
        }
        Ok(request) => PLACE.with(|place| run::act(&place.context, request)),
        Err(error) => Err(error),
    };
    let answer = (adapter.encode)(&call, result);
    assert!(
        may_have || !answer.output.contains(TOKEN),
        "an answer for a place that is not configured"
    );
    keeps_its_form(name, &answer);
}

/// Whether nothing that was asked for has become a line of its own.
fn keeps_its_form(name: &str, answer: &ToolOutput) {
    let ToolOutput { output, messages, .. } = answer;
    assert!(!messages.contains(TOKEN), "a message has the token");
    assert!(
        !messages.chars().any(|c| c.is_control() && c != '\n'),
        "a message steers the terminal: {messages:?}"
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
        // Docker reads its errors from there.
        "docker" if answer.status != 0 || !output.starts_with('{') => {
            output.matches('\n').count() <= 1
        }
        "json" | "bazel" | "cargo" | "kubectl" | "terraform" | "docker" => is_json(),
        "goauth" => is_goauth(output),
        "pnpm" => **output == format!("Bearer {TOKEN}\n"),
        _ => output.lines().count() <= 2 || !output.contains(TOKEN),
    };
    assert!(fits, "{name}: the answer breaks out of its form: {:?}", &**output);
}

/// Prefixes that are configured, a blank line, one header, and a blank line.
fn is_goauth(output: &str) -> bool {
    let parts: Vec<_> = output.split("\n\n").collect();
    let [prefixes, header, ""] = parts[..] else { return false };
    let is_ours =
        |prefix: &str| Target::parse(prefix).is_ok_and(|target| is_configured(&target.origin));
    prefixes.lines().all(is_ours) && header == format!("Authorization: Bearer {TOKEN}")
}
