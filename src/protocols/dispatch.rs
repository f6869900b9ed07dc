//! How this program was called: by which name, with which verb. The protocol verbs are answered before the command
//! line of the account verbs is built, which costs more than most answers (0.2 ms).

use std::ffi::OsString;
use std::path::Path;

use crate::auth::context::{Context, Overrides};
use crate::cli;
use crate::protocols::run;
use crate::protocols::{self, Tool, ToolOutput, json};

/// The answer to a whole command line, the program's own name first; and the world, where a login that is seldom used
/// may be kept alive after the answer is written.
pub fn answer(arguments: &[OsString]) -> (ToolOutput, Option<Context>) {
    let texts: Option<Vec<String>> =
        arguments.iter().map(|argument| argument.to_str().map(str::to_owned)).collect();
    match texts.as_deref().and_then(protocol_call) {
        Some((adapter, overrides, rest)) => {
            (spoken(&Context::of_this_process(overrides), adapter, rest), None)
        }
        None => cli::run(arguments),
    }
}

/// The answer in an adapter's protocol; to somebody who asks what that is, its usage.
pub(crate) fn spoken(context: &Context, adapter: &Tool, words: &[String]) -> ToolOutput {
    // Some tools have a page of their own.
    if words.iter().any(|word| asks_for_help(word)) && !adapter.operations.contains(&"--help") {
        return ToolOutput::success(usage(adapter));
    }
    let is_json = adapter.name == json::TOOL.name;
    let says_how_to_print = |word: &str| matches!(word, "--json" | "--quiet" | "-q");
    // These are flags of every account verb, and change nothing where JSON is spoken anyway.
    let words =
        words.iter().filter(|word| !(is_json && says_how_to_print(word))).cloned().collect();
    run::serve(context, adapter, words)
}

fn asks_for_help(word: &str) -> bool {
    matches!(word, "--help" | "-h")
}

fn usage(adapter: &Tool) -> String {
    let operations = adapter.operations.join("|");
    let operations = if operations.is_empty() { operations } else { format!(" <{operations}>") };
    let by_name = adapter
        .program
        .map_or_else(String::new, |program| format!("       {program}{operations}\n"));
    let is_json = adapter.name == json::TOOL.name;
    format!(
        "Usage: my-credential-helper {name}{operations}\n{by_name}\nThe protocol of {tool}, on standard input and \
         output. `my-credential-helper --help` shows what is for people.\n",
        name = adapter.name,
        tool = if is_json { "this program, in JSON" } else { adapter.name },
    )
}

/// The adapter that is meant, what was said before the verb, and the adapter's own arguments; `None` where this is no
/// protocol verb, or a question about one.
fn protocol_call(arguments: &[String]) -> Option<(&'static Tool, Overrides, &[String])> {
    let (program, mut rest) = arguments.split_first()?;
    let name = Path::new(program).file_stem()?.to_str()?;
    if let Some(adapter) = protocols::ALL.iter().find(|adapter| adapter.program == Some(name)) {
        return Some((adapter, Overrides::default(), rest));
    }
    let mut overrides = Overrides::default();
    while let [flag, value, others @ ..] = rest {
        let field = match flag.as_str() {
            "--provider" => &mut overrides.provider,
            "--account" => &mut overrides.account,
            "--api-url" => &mut overrides.api_url,
            _ => break,
        };
        *field = Some(value.clone());
        rest = others;
    }
    let (verb, others) = rest.split_first()?;
    if json::TOOL.operations.contains(&verb.as_str()) {
        let is_question = others.iter().any(|word| asks_for_help(word));
        return (!is_question).then_some((&json::TOOL, overrides, rest));
    }
    let adapter = protocols::ALL.iter().find(|adapter| adapter.name == verb)?;
    Some((
        adapter,
        overrides,
        if adapter.name == json::TOOL.name { rest.get(1..)? } else { others },
    ))
}

#[cfg(test)]
mod tests {
    use super::protocol_call;

    fn called(line: &str) -> Option<(&'static str, Option<String>, Vec<String>)> {
        let arguments: Vec<String> = line.split(' ').map(str::to_owned).collect();
        protocol_call(&arguments)
            .map(|(adapter, overrides, rest)| (adapter.name, overrides.provider, rest.to_vec()))
    }

    #[test]
    fn the_name_or_the_verb_says_which_protocol_is_spoken() {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(called("/x/git-credential-my get"), Some(("git", None, words("get"))));
        assert_eq!(called("my-credential-helper git get"), Some(("git", None, words("get"))));
        assert_eq!(
            called("my-credential-helper get --url u"),
            Some(("json", None, words("get --url u")))
        );
        assert_eq!(
            called("my-credential-helper --provider acme get"),
            Some(("json", Some("acme".to_owned()), words("get")))
        );
        for account_verb in [
            "my-credential-helper login",
            "my-credential-helper",
            "my-credential-helper get --help",
        ] {
            assert_eq!(called(account_verb), None, "{account_verb}");
        }
    }
}
