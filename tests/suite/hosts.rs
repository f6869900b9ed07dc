//! Not one answer for a host that is not configured: a corpus of confusing URLs, asked for in the form of every tool.

mod corpus;
mod forms;

use std::time::SystemTime;

use base64::Engine as _;
use my_credential_helper::auth::context::{Context, Overrides};
use my_credential_helper::config::paths::Paths;
use my_credential_helper::protocols::run;
use my_credential_helper::protocols::{self, Invocation};
use my_credential_helper::sys::env::Environment;
use serde_json::json;

use crate::support::{HELPER, Home, finish, rfc3339, spawn};
use corpus::{Case, Family, families};
use forms::Form;

/// Every URL of the corpus.
pub(crate) fn urls() -> Vec<String> {
    families().into_iter().flat_map(|family| family.cases).map(|case| case.url).collect()
}

/// Every host that is configured in it.
pub(crate) fn patterns() -> Vec<String> {
    families().into_iter().flat_map(|family| family.hosts).collect()
}

/// Every URL of it in every form of an adapter.
pub(crate) fn calls(adapter: &str) -> Vec<Invocation> {
    let forms = forms::ALL.iter().filter(|form| form.adapter().name == adapter);
    forms.flat_map(|form| urls().into_iter().map(|url| form.call(&url))).collect()
}

/// What the provider's hosts are given.
const TOKEN: &str = "token-of-the-provider;";
/// What nobody is ever given.
const REFRESH_TOKEN: &str = "refresh-token-of-the-provider;";

/// Where the token is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    File,
    Variable,
}

/// A home with the token, the hosts and the logins of a family.
fn home(family: &Family, place: Place) -> Home {
    let (mut home, now) = (Home::new(), rfc3339(SystemTime::now()));
    home.set_hosts(&family.hosts.iter().map(String::as_str).collect::<Vec<_>>());
    match place {
        Place::Variable => home.set("MY_API_TOKEN", TOKEN),
        Place::File => drop(
            home.write(
                ".my/credentials.json",
                &json!({
                    "access_token": TOKEN, "refresh_token": REFRESH_TOKEN, "expires_at": "2999-01-01T00:00:00Z",
                    // A moment ago: what asks again for the same place does not mean that it was refused.
                    "logged_in_at": now, "last_refreshed_at": now,
                })
                .to_string(),
            ),
        ),
    }
    home
}

fn context(home: &Home, place: Place) -> Context {
    let token = ("MY_API_TOKEN".to_owned(), TOKEN.into());
    let variables = [("MY_NO_KEYRING".to_owned(), "1".into())].into_iter();
    let variables = variables.chain((place == Place::Variable).then_some(token)).collect();
    Context::new(Environment::Fixed(variables), Paths::at(home.path()), Overrides::default())
}

fn secret_of(url: &str) -> String {
    format!("login-of-{url};")
}

/// Stores a login for each URL, as those tools store them that want one of their own.
fn store_logins(context: &Context, urls: &[String]) {
    let call = |adapter: &str, arguments: &[&str], input: String| {
        let adapter =
            protocols::ALL.iter().find(|other| other.name == adapter).expect("an adapter");
        let arguments = arguments.iter().map(|&word| word.to_owned()).collect();
        let answer = spoken(
            context,
            adapter,
            &Invocation { arguments, input: input.into_bytes().into(), ..Invocation::default() },
        );
        assert!(!answer.contains("error") && !answer.contains("Err"), "{answer}");
    };
    for url in urls {
        let secret = secret_of(url);
        for username in ["ada", ""] {
            call(
                "json",
                &["store"],
                json!({ "url": url, "username": username, "secret": secret }).to_string(),
            );
        }
        // cargo's login has no user name either, and would be the one of the whole host.
        let registry = json!({ "index-url": format!("{url}/index") });
        let login = json!({ "v": 1, "kind": "login", "operation": "", "registry": registry, "token": secret });
        call("cargo", &["--cargo-plugin"], login.to_string());
    }
}

/// Everything that a tool is told, on both outputs.
fn spoken(context: &Context, adapter: &protocols::Tool, call: &Invocation) -> String {
    let result = (adapter.decode)(call).and_then(|request| run::act(context, request));
    let answer = (adapter.encode)(call, result);
    readable(&format!("{}{}", *answer.output, answer.messages))
}

/// With what a header of Basic authentication holds.
fn readable(answer: &str) -> String {
    let is_base64 = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=');
    let coded = answer
        .split("Basic ")
        .skip(1)
        .map(|rest| rest.split(|c| !is_base64(c)).next().unwrap_or_default());
    let plain = coded.filter_map(|coded| base64::prelude::BASE64_STANDARD.decode(coded).ok());
    plain.fold(answer.to_owned(), |all, bytes| all + &*String::from_utf8_lossy(&bytes))
}

/// Whether an answer holds what it may, and nothing else.
fn check(family: &Family, case: &Case, form: &Form, answer: &str) -> Result<(), String> {
    let expected = case.expected(form);
    let complaint = |what: &str| {
        let Family { name, .. } = family;
        Err(format!(
            "{name}: {:?} in the form `{}`: {what}, and not {expected}: {answer:?}",
            case.url, form.name
        ))
    };
    for (secret, what) in family
        .logins
        .iter()
        .map(|url| (secret_of(url), url.as_str()))
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
fn every_adapter_has_a_form_or_is_told_of_no_place() {
    for adapter in protocols::ALL {
        let is_asked = forms::ALL.iter().any(|form| form.adapter().name == adapter.name);
        assert!(
            is_asked != (adapter.name == "pnpm"),
            "{}: say how it asks for a URL",
            adapter.name
        );
    }
}

#[test]
fn no_adapter_answers_for_a_host_that_is_not_configured() {
    let (mut complaints, mut served) = (Vec::new(), vec![0; forms::ALL.len()]);
    for (family, place) in
        families().iter().flat_map(|family| [(family, Place::File), (family, Place::Variable)])
    {
        let home = home(family, place);
        let context = context(&home, place);
        store_logins(&context, &family.logins);
        for case in &family.cases {
            for (form, served) in forms::ALL.iter().zip(&mut served) {
                let answer = spoken(&context, form.adapter(), &form.call(&case.url));
                complaints.extend(
                    check(family, case, form, &answer)
                        .err()
                        .map(|told| format!("{place:?}: {told}")),
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
            "`{}` was served {served} times: the test would not see a wrong answer",
            form.name
        );
    }
}

/// A sample of the same, through the real program: every family in every form.
#[test]
fn the_program_answers_as_its_parts_do() {
    let mut asked = 0;
    for (number, family) in families().iter().enumerate() {
        let place = if number % 2 == 0 { Place::File } else { Place::Variable };
        let home = home(family, place);
        store_logins(&context(&home, place), &family.logins);
        for (turn, form) in forms::ALL.iter().enumerate() {
            let turn = turn + number * forms::ALL.len();
            // The first case is served; the others come in turn.
            for case in [&family.cases[0], &family.cases[turn % family.cases.len()]] {
                let Invocation { arguments, variables, input } = form.call(&case.url);
                let words = arguments.iter().chain(variables.values());
                if words.into_iter().any(|word| word.contains('\0')) {
                    continue;
                }
                let mut command = home.command(HELPER);
                command.arg(form.adapter().name).args(&arguments).envs(&variables);
                let outcome = finish(spawn(command), &input);
                assert!((0..=4).contains(&outcome.status), "{}: {outcome:?}", case.url);
                let answer = readable(&format!("{}{}", outcome.output, outcome.messages));
                check(family, case, form, &answer).unwrap();
                asked += 1;
            }
        }
    }
    assert!(asked > 400, "only {asked} calls");
}
