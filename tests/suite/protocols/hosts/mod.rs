//! No tool receives a credential for a host that is not configured: a corpus of confusing URLs, in the form of every
//! tool.

mod corpus;
mod forms;

use std::time::SystemTime;

use base64::Engine as _;
use my_credential_helper::auth::with_engine;
use my_credential_helper::config::{Context, Overrides, Paths};
use my_credential_helper::model::Invocation;
use my_credential_helper::protocols::{self, Tool, run};
use my_credential_helper::sys::env::Environment;
use serde_json::json;

use crate::support::{HELPER, Home, finish, rfc3339, spawn};
use corpus::{Case, Family, families};
use forms::Form;

/// Every URL of the corpus.
pub(crate) fn urls() -> Vec<String> {
    families().into_iter().flat_map(|family| family.cases).map(|case| case.url).collect()
}

/// Every configured host of the corpus.
pub(crate) fn patterns() -> Vec<String> {
    families().into_iter().flat_map(|family| family.hosts).collect()
}

/// Every URL of the corpus in every form of a protocol.
pub(crate) fn calls(protocol: &str) -> Vec<Invocation> {
    let forms = forms::ALL.iter().filter(|form| form.tool().name == protocol);
    forms.flat_map(|form| urls().into_iter().map(|url| form.invocation(&url))).collect()
}

/// For the provider's hosts.
const TOKEN: &str = "token-of-the-provider;";
/// For no tool.
const REFRESH_TOKEN: &str = "refresh-token-of-the-provider;";

/// The source of the token.
#[derive(Clone, Copy, Debug, PartialEq)]
enum TokenSource {
    File,
    Variable,
}

/// A home with the token and the hosts of a family.
fn home(family: &Family, source: TokenSource) -> Home {
    let (mut home, now) = (Home::new(), rfc3339(SystemTime::now()));
    home.set_hosts(&family.hosts.iter().map(String::as_str).collect::<Vec<_>>());
    match source {
        TokenSource::Variable => home.set("MY_API_TOKEN", TOKEN),
        TokenSource::File => drop(
            home.write(
                ".my/credentials.json",
                &json!({
                    "access_token": TOKEN, "refresh_token": REFRESH_TOKEN, "expires_at": "2999-01-01T00:00:00Z",
                    // Just now: a second request for the same host does not report a rejection.
                    "logged_in_at": now, "last_refreshed_at": now,
                })
                .to_string(),
            ),
        ),
    }
    home
}

fn context(home: &Home, source: TokenSource) -> Context {
    let token = ("MY_API_TOKEN".to_owned(), TOKEN.into());
    let variables = [("MY_NO_KEYRING".to_owned(), "1".into())].into_iter();
    let variables = variables.chain((source == TokenSource::Variable).then_some(token)).collect();
    Context::new(Environment::Fixed(variables), Paths::at(home.path()), Overrides::default())
}

fn stored_secret(url: &str) -> String {
    format!("login-of-{url};")
}

/// Stores a credential for each URL, in the form of the tools that need one of their own.
fn store_credentials(context: &Context, urls: &[String]) {
    let store = |protocol: &str, argument: &str, input: serde_json::Value| {
        let invocation = Invocation {
            arguments: vec![argument.to_owned()],
            input: input.to_string().into_bytes().into(),
            ..Invocation::default()
        };
        let answer = answer(context, run::tool(protocol).expect("a protocol"), &invocation);
        assert!(!answer.contains("error") && !answer.contains("Err"), "{answer}");
    };
    for url in urls {
        let secret = stored_secret(url);
        for username in ["ada", ""] {
            store("json", "store", json!({ "url": url, "username": username, "secret": secret }));
        }
        // cargo's credential has no user name either, and would be that of the whole host.
        let registry = json!({ "index-url": format!("{url}/index") });
        let login = json!({ "v": 1, "kind": "login", "operation": "", "registry": registry, "token": secret });
        store("cargo", "--cargo-plugin", login);
    }
}

/// Everything that a tool receives, on both outputs.
fn answer(context: &Context, tool: &Tool, invocation: &Invocation) -> String {
    let output = with_engine(context, |engine| {
        (tool.answer)(invocation, &mut |operation| engine.perform(operation))
    });
    readable(&format!("{}{}", *output.output, output.messages))
}

/// The answer, with the decoded value of each `Basic` header.
fn readable(answer: &str) -> String {
    let is_base64 = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=');
    let coded = answer
        .split("Basic ")
        .skip(1)
        .map(|rest| rest.split(|c| !is_base64(c)).next().unwrap_or_default());
    let plain = coded.filter_map(|coded| base64::prelude::BASE64_STANDARD.decode(coded).ok());
    plain.fold(answer.to_owned(), |all, bytes| all + &*String::from_utf8_lossy(&bytes))
}

/// Checks that the answer has the expected credential, and no other.
fn check(family: &Family, case: &Case, form: &Form, answer: &str) -> Result<(), String> {
    let expected = case.expected(form);
    let complaint = |what: &str| {
        let Family { name, .. } = family;
        Err(format!(
            "{name}: {:?} in the form `{}`: {what} instead of {expected}: {answer:?}",
            case.url, form.name
        ))
    };
    for (secret, what) in family
        .logins
        .iter()
        .map(|url| (stored_secret(url), url.as_str()))
        .chain([(TOKEN.to_owned(), "served")])
    {
        match (answer.contains(&secret), what == expected) {
            (true, false) => return complaint(what),
            (false, true) => return complaint("nothing"),
            _ => {}
        }
    }
    if answer.contains(REFRESH_TOKEN) { complaint("the refresh token") } else { Ok(()) }
}

#[test]
fn every_protocol_but_pnpm_has_a_form() {
    for tool in protocols::ALL {
        let has_form = forms::ALL.iter().any(|form| form.tool().name == tool.name);
        assert!(has_form != (tool.name == "pnpm"), "{}: add its form", tool.name);
    }
}

#[test]
fn hosts_without_a_provider_get_no_credential() {
    let (mut complaints, mut served) = (Vec::new(), vec![0; forms::ALL.len()]);
    for (family, source) in families()
        .iter()
        .flat_map(|family| [(family, TokenSource::File), (family, TokenSource::Variable)])
    {
        let home = home(family, source);
        let context = context(&home, source);
        store_credentials(&context, &family.logins);
        for case in &family.cases {
            for (form, served) in forms::ALL.iter().zip(&mut served) {
                let answer = answer(&context, form.tool(), &form.invocation(&case.url));
                complaints.extend(
                    check(family, case, form, &answer)
                        .err()
                        .map(|complaint| format!("{source:?}: {complaint}")),
                );
                *served += usize::from(answer.contains(TOKEN));
            }
        }
    }
    assert!(
        complaints.is_empty(),
        "{} wrong answers:\n{}",
        complaints.len(),
        complaints.join("\n")
    );
    for (form, served) in forms::ALL.iter().zip(served) {
        assert!(
            served > 20,
            "`{}` was served only {served} times: the test would miss wrong answers",
            form.name
        );
    }
}

/// A sample through the real program: every family in every form.
#[test]
fn the_program_answers_the_hosts_as_the_protocols_do() {
    let mut calls = 0;
    for (number, family) in families().iter().enumerate() {
        let source = if number % 2 == 0 { TokenSource::File } else { TokenSource::Variable };
        let home = home(family, source);
        store_credentials(&context(&home, source), &family.logins);
        for (turn, form) in forms::ALL.iter().enumerate() {
            let turn = turn + number * forms::ALL.len();
            // The first case is served; the others alternate.
            for case in [&family.cases[0], &family.cases[turn % family.cases.len()]] {
                let Invocation { arguments, variables, input, .. } = form.invocation(&case.url);
                let mut texts = arguments.iter().chain(variables.values());
                if texts.any(|text| text.contains('\0')) {
                    continue;
                }
                let mut command = home.command(HELPER);
                command.arg(form.tool().name).args(&arguments).envs(&variables);
                let outcome = finish(spawn(command), &input);
                assert!((0..=4).contains(&outcome.status), "{}: {outcome:?}", case.url);
                let answer = readable(&format!("{}{}", outcome.output, outcome.messages));
                check(family, case, form, &answer).unwrap();
                calls += 1;
            }
        }
    }
    assert!(calls > 400, "only {calls} calls");
}
