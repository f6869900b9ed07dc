//! The order of the sources, and the effects of `store`, `erase` and `list`, in memory.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use super::Engine;
use super::testing::{Memory, NOW, due, expired, session};
use crate::error::{Error, ErrorCode};
use crate::http::HttpError;
use crate::model::{
    AuthForm, CredentialRequest, EraseRequest, IdToken, Item, Kind, Occasion, OffReason, Operation,
    Provider, Response, Secret, Session, Source, StorageKey, StoreFailure, StoreRequest, Target,
    Timestamp, TokenKind, ToolTraits, attempts_line,
};
use crate::store::left;
use crate::store::url_credentials::hash;
use crate::sys::clock::Clock as _;

const MYCLI: Provider = Provider::MYCLI;
const HOSTS: &str = "[providers.mycli]\nhosts = ['git.acme.dev']\n";
const TOKEN: (&str, &str) = ("MY_API_TOKEN", "myc_variable");

fn request(url: &str) -> CredentialRequest {
    let target = (!url.is_empty()).then(|| Target::parse(url).unwrap());
    CredentialRequest { target, ..CredentialRequest::default() }
}

fn docker() -> ToolTraits {
    ToolTraits { name: Some("docker"), ..ToolTraits::new(AuthForm::PasswordOrBearer) }
}

fn store(engine: &Engine<'_>, url: &str, username: &str, secret: &str) -> Result<Response, Error> {
    let request = CredentialRequest { username: Some(username.to_owned()), ..request(url) };
    engine.store(StoreRequest::new(request, Secret::new(secret)))
}

/// The secret that `get` returns, where it was, and the attempts; or the code of the error and the attempts.
fn get(memory: &Memory, url: &str) -> (String, String) {
    match memory.engine().get(&request(url)) {
        Ok(found) => {
            let secret = found.credential.secret.expose_secret().to_owned();
            (format!("{secret} in {}", found.source.name()), attempts_line(&found.attempts))
        }
        Err(error) => (error.code.name().to_owned(), error.tried.unwrap_or_default()),
    }
}

#[test]
fn sources_are_searched_in_their_order() {
    let (ours, theirs) = ("https://git.acme.dev/x", "https://other.example/x");
    let cases = [
        ("variable credential keyring file", ours, "myc_variable in env", "MY_API_TOKEN (found)"),
        (
            "credential keyring file",
            ours,
            "stored in file",
            "MY_API_TOKEN (not set), stored login in the file (found)",
        ),
        (
            "keyring file",
            ours,
            "access-keyring in keyring",
            "MY_API_TOKEN (not set), keyring (found), file (found)",
        ),
        (
            "file",
            ours,
            "access-file in file",
            "MY_API_TOKEN (not set), keyring (no entry), file (found)",
        ),
        ("", ours, "not_logged_in", "MY_API_TOKEN (not set), keyring (no entry), file (no entry)"),
        (
            "file",
            "",
            "access-file in file",
            "MY_API_TOKEN (not set), keyring (no entry), file (found)",
        ),
        ("keyring file", theirs, "not_found", ""),
        (
            "variable keyring file",
            theirs,
            "not_found",
            "MY_API_TOKEN (withheld: https://other.example is no host of mycli)",
        ),
        ("variable", "http://git.acme.dev/x", "not_found", ""),
    ];
    for (sources, url, found, attempts) in cases {
        let has = |name: &str| sources.split(' ').any(|source| source == name);
        let variables = if has("variable") { vec![TOKEN] } else { vec![] };
        let memory = Memory::with(HOSTS, &variables);
        if has("credential") {
            memory.keyring.fail("write", OffReason::NoSessionBus.into());
            store(&memory.engine(), ours, "me", "stored").unwrap();
            memory.keyring.recover();
        }
        if has("keyring") {
            memory.keyring.put_session(&MYCLI, &session("keyring", 1));
        }
        if has("file") {
            memory.file.put_session(&MYCLI, &session("file", 2));
        }
        assert_eq!(get(&memory, url), (found.to_owned(), attempts.to_owned()), "{url}");
    }
}

#[test]
fn after_a_failed_store_the_next_one_is_searched() {
    let failures = [
        (StoreFailure::Locked, "locked", "temporarily_unavailable"),
        (StoreFailure::TimedOut, "did not answer in time", "temporarily_unavailable"),
        (StoreFailure::Failed("broken".to_owned()), "broken", "internal"),
        (OffReason::NoSessionBus.into(), "no session bus", "not_logged_in"),
    ];
    for (failure, reason, code) in failures {
        let memory = Memory::new();
        memory.keyring.fail("read", failure.clone());
        memory.file.put_session(&MYCLI, &session("file", 1));
        let attempts = format!("MY_API_TOKEN (not set), keyring ({reason}), file (found)");
        assert_eq!(get(&memory, ""), ("access-file in file".to_owned(), attempts));
        let found = memory.engine().get(&request("")).unwrap();
        let is_off = matches!(failure, StoreFailure::Off(_));
        assert_eq!(found.warnings.is_empty(), is_off, "{reason}");

        let memory = Memory::new();
        memory.keyring.fail("read", failure);
        assert_eq!(get(&memory, "").0, code, "{reason}");
    }
}

#[test]
fn an_expired_session_is_refreshed_and_a_fresh_one_is_not() {
    let memory = Memory::new();
    memory.file.put_session(&MYCLI, &expired("old"));
    memory.endpoints.will(Ok(session("new", 0)));
    assert_eq!(get(&memory, "").0, "access-new in file");
    assert_eq!(get(&memory, "").0, "access-new in file");
    assert_eq!(memory.endpoints.redeemed.borrow().len(), 1);
}

#[test]
fn the_variable_is_never_refreshed_and_hides_no_expired_session() {
    let memory = Memory::with("", &[TOKEN]);
    memory.file.put_session(&MYCLI, &expired("old"));
    assert_eq!(get(&memory, "").0, "myc_variable in env");
    assert!(memory.endpoints.redeemed.borrow().is_empty());
}

type Change = fn(&mut CredentialRequest);

/// URL, variables, a change of the request, the account.
type AccountCase = (&'static str, &'static [(&'static str, &'static str)], Change, &'static str);

#[test]
fn accounts_are_chosen_in_their_order() {
    let configuration = "[accounts]\n'https://git.acme.dev/team/' = 'team'\n\
                         [providers.mycli]\nhosts = ['git.acme.dev']\naccount = 'work'\naccounts = ['work', 'team']\n";
    let url = "https://git.acme.dev/team/x";
    let none: Change = |_| {};
    let cases: [AccountCase; 5] = [
        (url, &[], |request| request.account = Some("default".to_owned()), "default"),
        (url, &[("MY_ACCOUNT", "work")], none, "work"),
        (url, &[], |request| request.username = Some("work".to_owned()), "work"),
        (url, &[], none, "team"),
        ("https://git.acme.dev/x", &[], none, "work"),
    ];
    for (url, variables, change, account) in cases {
        let memory = Memory::with(configuration, variables);
        for provider in memory.engine().accounts("mycli").unwrap() {
            memory.file.put_session(&provider, &session(&provider.account, 1));
        }
        let mut request = request(url);
        change(&mut request);
        let found = memory.engine().get(&request).unwrap();
        assert_eq!(found.credential.secret, Secret::new(format!("access-{account}")), "{url}");
        // No part of the host gets the token of another account: a tool sends it to everything below the prefix.
        let prefix = if account == "team" { "https://git.acme.dev/team" } else { url };
        assert_eq!(found.credential.prefixes, [Target::parse(prefix).unwrap()], "{account}");
    }
}

#[test]
fn url_credentials_are_found_listed_and_erased() {
    let memory = Memory::new();
    let engine = memory.engine();
    let url = "https://git.other.example/team/x";
    store(&engine, url, "me", "hunter2").unwrap();
    assert_eq!(get(&memory, url).0, "hunter2 in keyring");
    assert_eq!(get(&memory, "https://git.other.example/team/y").0, "not_found");
    let listed = engine.list().unwrap().0;
    assert_eq!(listed.len(), 1);
    assert_eq!((listed[0].url.as_deref(), listed[0].kind), (Some(url), Kind::UrlCredential));
    let erase = |secret: &str| {
        let secret = Some(Secret::new(secret));
        engine.erase(&EraseRequest { request: request(url), secret }).unwrap()
    };
    assert!(!erase("another") && erase("hunter2") && !erase("hunter2"));
    assert!(memory.keyring.is_empty() && memory.file.is_empty());
}

#[test]
fn an_erase_spares_a_secret_that_another_process_stores() {
    let memory = Memory::new();
    let url = "https://registry.acme.dev";
    store(&memory.engine(), url, "me", "old-secret").unwrap();
    memory.locks.held_for.set(1);
    let keyring = memory.keyring.clone();
    let meanwhile = move || keyring.replace("old-secret", "new-secret");
    *memory.locks.meanwhile.borrow_mut() = Some(Box::new(meanwhile));
    let secret = Some(Secret::new("old-secret"));
    assert!(!memory.engine().erase(&EraseRequest { request: request(url), secret }).unwrap());
    assert_eq!(get(&memory, url).0, "new-secret in keyring");
}

/// Every way to store, read and erase: each tool, and `None` for the JSON protocol.
const TOOLS: [Option<&str>; 5] =
    [None, Some("git"), Some("docker"), Some("keyring"), Some("terraform")];

/// The secret that a tool receives for a URL.
fn get_by(engine: &Engine<'_>, url: &str, name: Option<&'static str>) -> Option<String> {
    let mut request = request(url);
    request.tool.name = name;
    let found = engine.get(&request).ok()?;
    Some(found.credential.secret.expose_secret().to_owned())
}

fn store_by(engine: &Engine<'_>, url: &str, name: Option<&'static str>, secret: &str) {
    let mut request = CredentialRequest { username: Some("me".to_owned()), ..request(url) };
    request.tool.name = name;
    engine.store(StoreRequest::new(request, Secret::new(secret))).unwrap();
}

fn erase_by(engine: &Engine<'_>, url: &str, name: Option<&'static str>) -> bool {
    let mut request = request(url);
    request.tool.name = name;
    engine.erase(&EraseRequest { request, secret: None }).unwrap()
}

#[test]
fn a_credential_is_for_the_tool_that_stored_it() {
    let url = "https://h.example";
    for is_keyring_off in [false, true] {
        for owner in TOOLS {
            let memory = Memory::new();
            if is_keyring_off {
                memory.keyring.fail("write", OffReason::NoSessionBus.into());
            }
            let engine = memory.engine();
            store_by(&engine, url, owner, "hunter2");
            assert_eq!(engine.list().unwrap().0[0].tool.as_deref(), owner);
            for tool in TOOLS.into_iter().filter(|tool| *tool != owner) {
                let found = get_by(&engine, url, tool);
                let expected = owner.is_none().then(|| "hunter2".to_owned());
                assert_eq!(found, expected, "{owner:?} {tool:?}");
                assert!(!erase_by(&engine, url, tool), "{owner:?} {tool:?}");
                let listed = engine.list_servable(ToolTraits { name: tool, ..docker() }).unwrap().0;
                assert_eq!(listed.is_empty(), owner.is_some(), "{owner:?} {tool:?}");
            }
            assert_eq!(get_by(&engine, url, owner).as_deref(), Some("hunter2"));
            assert!(erase_by(&engine, url, owner), "{owner:?}");
            assert!(memory.keyring.is_empty() && memory.file.is_empty(), "{owner:?}");
        }
    }
}

#[test]
fn a_url_that_is_an_error_erases_no_credential() {
    let memory = Memory::new();
    let engine = memory.engine();
    store_by(&engine, "https://h.example", None, "hunter2");
    store_by(&engine, "https://h.example/x", None, "hunter2");
    let listed = engine.list().unwrap().0.len();
    for url in [
        "h.example:0443",
        "h.example:",
        "https://h%2eexample/",
        "https://eve:wrong@h.example/",
        "https://h.example\t/",
        "https://H.example\\/",
        "https://h\u{3002}example/",
        "https://eve@h.example:0443/x",
    ] {
        let request = CredentialRequest::new(ToolTraits::default());
        let operation = Operation::erase(Target::parse(url), url, request, None);
        let result = operation.and_then(|operation| engine.perform(operation));
        assert!(result.is_err(), "{url:?}");
        assert_eq!(engine.list().unwrap().0.len(), listed, "{url:?}");
    }
}

#[test]
fn tools_do_not_overwrite_each_others_credentials() {
    let (memory, url) = (Memory::new(), "https://h.example/x");
    let engine = memory.engine();
    for tool in TOOLS {
        store_by(&engine, url, tool, tool.unwrap_or("every"));
    }
    // A tool's own credential precedes a later one for every tool.
    store_by(&engine, url, None, "every");
    for tool in TOOLS {
        assert_eq!(get_by(&engine, url, tool).as_deref(), tool.or(Some("every")));
    }
    assert!(erase_by(&engine, url, Some("docker")));
    assert_eq!(get_by(&engine, url, Some("docker")).as_deref(), Some("every"));
    assert_eq!(get_by(&engine, url, Some("git")).as_deref(), Some("git"));
}

#[test]
fn a_rejected_secret_for_every_tool_is_erased_by_any() {
    let (memory, url) = (Memory::new(), "https://h.example");
    let engine = memory.engine();
    store_by(&engine, url, None, "hunter2");
    store_by(&engine, url, Some("docker"), "hunter2");
    let mut request = request(url);
    request.tool.name = Some("git");
    let secret = Some(Secret::new("hunter2"));
    assert!(engine.erase(&EraseRequest { request, secret }).unwrap());
    assert_eq!(get_by(&engine, url, None), None);
    assert_eq!(get_by(&engine, url, Some("docker")).as_deref(), Some("hunter2"));
}

#[test]
fn a_keyring_that_rejects_a_new_credential_is_an_error() {
    for failure in [StoreFailure::Locked, StoreFailure::Failed("broken".to_owned())] {
        let memory = Memory::new();
        memory.keyring.fail("write", failure);
        let error = store(&memory.engine(), "https://h.example", "me", "hunter2").unwrap_err();
        assert_eq!(error.code, ErrorCode::Internal);
        assert!(memory.file.is_empty(), "never a silent move to a plain file");
    }
}

#[test]
fn a_login_that_the_chosen_store_cannot_have_is_an_error() {
    let memory = Memory::with("store = \"keyring\"", &[]);
    let error = memory.engine().check_login(&Provider::MICROTICA).unwrap_err();
    assert!(error.message.ends_with("not used for this"), "{error}");
    let request = CredentialRequest {
        provider: Some("microtica".to_owned()),
        ..CredentialRequest::default()
    };
    let key = StoreRequest::new(request, Secret::new("mic_1"));
    assert_eq!(memory.engine().store(key).unwrap_err(), error, "a script is refused, too");
    assert!(memory.file.is_empty());
    let memory = Memory::new();
    assert_eq!(memory.engine().check_login(&Provider::MICROTICA), Ok(()), "the file has it");
}

/// A token of another issuer that expires in an hour, as a registry or a CI system issues it.
fn jwt(lifetime: i64) -> String {
    let claims = format!("{{\"exp\":{}}}", super::testing::NOW + lifetime);
    let part = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
    format!("{}.{}.c2ln", part("{\"alg\":\"HS256\"}"), part(&claims))
}

#[test]
fn a_secret_of_several_lines_is_withheld_from_line_protocols() {
    let (memory, url) = (Memory::new(), "https://h.example");
    let engine = memory.engine();
    store_by(&engine, url, None, "one\ntwo");
    for carries_lines in [false, true] {
        let tool = ToolTraits { carries_lines, ..docker() };
        let found = engine.get(&CredentialRequest { tool, ..request(url) });
        assert_eq!(found.is_ok(), carries_lines);
        if let Err(failure) = found {
            assert_eq!(failure.code, ErrorCode::NotFound);
        }
    }
    let mut request = request(url);
    request.tool.name = Some("git");
    let secret = Some(Secret::new("one\ntwo"));
    assert!(engine.erase(&EraseRequest { request, secret }).unwrap());
}

#[test]
fn a_loopback_host_has_one_credential_in_both_schemes() {
    let ignores = ToolTraits { ignores_scheme: true, ..docker() };
    let memory = Memory::new();
    let engine = memory.engine();
    let get = |url: &str, tool: ToolTraits| {
        let found = engine.get(&CredentialRequest { tool, ..request(url) }).ok()?;
        Some(found.credential.secret.expose_secret().to_owned())
    };
    for (stored, asked) in [
        ("https://localhost:5443", "http://localhost:5443"),
        ("https://127.0.0.1", "http://127.0.0.1"),
        ("http://[::1]:5000", "https://[::1]:5000"),
    ] {
        store(&engine, stored, "me", "other").unwrap();
        assert_eq!(get(asked, docker()), None, "{asked}");
        assert_eq!(get(asked, ignores).as_deref(), Some("other"), "{asked}");
        store(&engine, asked, "me", "same").unwrap();
        assert_eq!(get(asked, ignores).as_deref(), Some("same"), "{asked}");
    }
    let url = "https://localhost:5443";
    store_by(&engine, url, Some("docker"), "own");
    let request = CredentialRequest { tool: ignores, ..request("http://localhost:5443") };
    assert!(engine.erase(&EraseRequest { request, secret: None }).unwrap());
    assert_eq!(get_by(&engine, url, Some("docker")).as_deref(), Some("other"));
    store(&engine, "https://h.example", "me", "s").unwrap();
    assert_eq!(get("http://h.example", ignores), None);
}

#[test]
fn only_the_tokens_of_a_session_are_not_stored() {
    let url = "https://git.acme.dev";
    let own = session("own", 1).access_token;
    let own = own.expose_secret();
    let other_jwt = jwt(3600);
    let accounts = "[providers.mycli]\nhosts = ['git.acme.dev']\naccounts = ['work']\n";
    for (occasion, secret, is_logged_in, is_stored) in [
        (Occasion::Login, own, true, Ok(false)),
        (Occasion::Login, own, false, Ok(true)),
        (Occasion::Login, &other_jwt, true, Ok(true)),
        (Occasion::Login, "hunter2", true, Ok(true)),
        (Occasion::Use, own, true, Ok(false)),
        // A token that another process has refreshed since git received it.
        (Occasion::Use, &other_jwt, true, Ok(false)),
        (Occasion::Use, &other_jwt, false, Ok(true)),
        (Occasion::Explicit, own, true, Err(ErrorCode::InvalidRequest)),
        (Occasion::Explicit, &other_jwt, true, Ok(true)),
        (Occasion::Explicit, &format!("Bearer {own}"), true, Err(ErrorCode::InvalidRequest)),
    ] {
        for account in ["default", "work"] {
            let memory = Memory::with(&format!("{accounts}account = '{account}'\n"), &[]);
            let engine = memory.engine();
            if is_logged_in {
                let provider = engine.accounts("mycli").unwrap();
                let provider = provider.into_iter().find(|one| &*one.account == account).unwrap();
                memory.file.put_session(&provider, &session("own", 1));
            }
            let store = StoreRequest::new(request(url), Secret::new(secret));
            let stored = engine.store(StoreRequest { occasion, ..store });
            let stored = stored.map(|response| matches!(response, Response::Stored(_)));
            let stored = stored.map_err(|error| error.code);
            assert_eq!(stored, is_stored, "{occasion:?} {secret} {is_logged_in} {account}");
        }
    }
}

#[test]
fn a_stored_jwt_expires_and_yields_to_the_session() {
    let url = "https://git.acme.dev";
    for (lifetime, found) in [(3600, "stored"), (-1, "access-own")] {
        let (memory, token) = (Memory::with(HOSTS, &[]), jwt(lifetime));
        memory.file.put_session(&MYCLI, &session("own", 1));
        store(&memory.engine(), url, "me", &token).unwrap();
        let found = if found == "stored" { &token } else { found };
        assert_eq!(get_by(&memory.engine(), url, None).as_deref(), Some(found));
    }
}

#[test]
fn a_later_login_precedes_an_identity_token() {
    let url = "https://git.acme.dev";
    let login = |memory: &Memory, seconds: i64| {
        let now = crate::model::Timestamp::from_unix(super::testing::NOW + seconds);
        let session = crate::model::Session { logged_in_at: now, ..session("own", 1) };
        memory.file.put_session(&MYCLI, &session);
    };
    for (username, logged_in_at, found) in
        [("<token>", -60, "identity"), ("<token>", 60, "access-own"), ("ada", 60, "identity")]
    {
        let memory = Memory::with(HOSTS, &[]);
        store(&memory.engine(), url, username, "identity").unwrap();
        assert_eq!(get_by(&memory.engine(), url, None).as_deref(), Some("identity"));
        login(&memory, logged_in_at);
        let case = format!("{username} {logged_in_at}");
        assert_eq!(get_by(&memory.engine(), url, None).as_deref(), Some(found), "{case}");
        assert!(erase_by(&memory.engine(), url, None));
        assert_eq!(get_by(&memory.engine(), url, None).as_deref(), Some("access-own"), "{case}");
    }
}

#[test]
fn a_rejected_token_is_marked_at_most_once_a_minute() {
    let memory = Memory::with(HOSTS, &[]);
    memory.file.put_session(&MYCLI, &session("old", 61));
    let erase = |token: &str| {
        let request = request("https://git.acme.dev/x");
        let secret = Some(Secret::new(token));
        memory.engine().erase(&EraseRequest { request, secret }).unwrap()
    };
    assert!(!erase("access-another"));
    assert!(erase("access-old"));
    memory.endpoints.will(Ok(session("new", 0)));
    assert_eq!(get(&memory, "https://git.acme.dev/x").0, "access-new in file");
    assert!(!erase("access-new"), "it was refreshed less than a minute ago");
    assert_eq!(memory.endpoints.redeemed.borrow().len(), 1);
}

#[test]
fn a_request_for_validity_refreshes_early() {
    let memory = Memory::new();
    memory.file.put_session(&MYCLI, &session("old", 600));
    memory.endpoints.will(Ok(session("new", 0)));
    let min_validity = time::Duration::seconds(400);
    let found = memory.engine().get(&CredentialRequest { min_validity, ..request("") }).unwrap();
    assert_eq!(found.credential.secret, Secret::new("access-new"));
}

#[test]
fn a_session_that_is_due_is_returned_if_the_service_fails() {
    let memory = Memory::new();
    memory.file.put_session(&MYCLI, &due("old"));
    memory.endpoints.will(Err(super::testing::failed()));
    let found = memory.engine().get(&request("")).unwrap();
    assert_eq!(found.credential.secret, Secret::new("access-old"));
    assert_eq!(found.warnings.len(), 1);
}

#[test]
fn a_logout_clears_both_stores_and_reports_failures() {
    let memory = Memory::new();
    memory.keyring.put_session(&MYCLI, &session("a", 1));
    memory.file.put_session(&MYCLI, &session("b", 2));
    memory.keyring.fail("delete", StoreFailure::Locked);
    let error = memory.engine().forget_session(&MYCLI, None).unwrap_err();
    assert!(error.message.contains("keyring") && error.message.contains("locked"), "{error}");
    assert_eq!(memory.file.session(&MYCLI), None, "the other store is cleared nevertheless");
    memory.keyring.recover();
    assert!(memory.engine().forget_session(&MYCLI, None).unwrap());
    assert!(memory.keyring.is_empty());
}

#[test]
fn an_unused_session_is_refreshed_weekly() {
    let week = 8 * 24 * 3600;
    for (age, variables, refreshes) in
        [(week, vec![], 1), (3600, vec![], 0), (week, vec![TOKEN], 0)]
    {
        let memory = Memory::with("", &variables);
        let old = crate::model::Session {
            logged_in_at: crate::model::Timestamp::ZERO,
            ..session("old", age)
        };
        memory.file.put_session(&MYCLI, &old);
        memory.endpoints.will(Ok(session("new", 0)));
        memory.engine().refresh_weekly();
        assert_eq!(memory.endpoints.redeemed.borrow().len(), refreshes, "{age}");
    }
}

#[test]
fn a_list_of_servable_hosts_has_what_get_returns() {
    let memory = Memory::with(HOSTS, &[]);
    store(&memory.engine(), "https://h.example", "me", "hunter2").unwrap();
    let urls = |memory: &Memory| -> Vec<_> {
        let Ok(Response::Listed(listed, _)) =
            memory.engine().perform(Operation::ListServable(docker()))
        else {
            panic!("a list");
        };
        listed.into_iter().filter_map(|entry| entry.url).collect()
    };
    assert_eq!(urls(&memory), ["https://h.example"], "nobody is logged in");
    memory.file.put_session(&MYCLI, &session("a", 1));
    assert_eq!(
        urls(&memory),
        ["https://git.acme.dev", "https://h.example"],
        "the host of the API is not a registry"
    );
}

#[test]
fn list_servable_refreshes_nothing_and_judges_each_host() {
    let configuration = "[providers.mycli]\nhosts = ['git.acme.dev']\n[providers.bad]\n\
                         [providers.github]\nkind = 'github'\nclient_id = 'x'\n";
    let memory = Memory::with(configuration, &[("GITHUB_TOKEN", "gho_1")]);
    store_by(&memory.engine(), "https://h.example", None, "hunter2");
    let names = || -> Vec<_> {
        let listed = memory.engine().list_servable(docker()).unwrap().0;
        listed.into_iter().filter_map(|entry| entry.url).collect()
    };
    assert_eq!(names(), ["https://h.example"]);
    memory.file.put_session(&MYCLI, &expired("old"));
    assert_eq!(
        names(),
        ["https://git.acme.dev", "https://h.example"],
        "neither API nor github.com"
    );
    let ended = crate::model::Session { refresh_token: None, ..expired("old") };
    memory.file.put_session(&MYCLI, &ended);
    assert_eq!(names(), ["https://h.example"], "it cannot be refreshed");
    assert!(memory.endpoints.redeemed.borrow().is_empty());
}

#[test]
fn a_token_for_another_header_is_not_returned_as_a_password() {
    let configuration = "[providers.microtica]\nhosts = ['git.acme.dev']\n";
    let memory = Memory::with(configuration, &[("MICROTICA_TOKEN", "mic_1")]);
    let auth_form = crate::model::AuthForm::PasswordOrBearer;
    let tool = ToolTraits { auth_form, ..ToolTraits::default() };
    let failure =
        memory.engine().get(&CredentialRequest { tool, ..request("https://git.acme.dev") });
    assert_eq!(failure.unwrap_err().code, ErrorCode::NotFound);
    let found = memory.engine().get(&request("https://git.acme.dev")).unwrap();
    assert_eq!(
        (found.source, &*found.credential.header.unwrap().name),
        (Source::Environment, "X-Microtica-Api-Key")
    );
}

#[test]
fn a_credential_that_moves_leaves_no_item_in_the_keyring() {
    let memory = Memory::new();
    let (engine, url) = (memory.engine(), "https://h.example/x");
    store(&engine, url, "me", "first").unwrap();
    // The keyring is away: the new secret is in the file, and the first one cannot be removed.
    for operation in ["read", "write", "prepare", "delete"] {
        memory.keyring.fail(operation, OffReason::NoSessionBus.into());
    }
    store(&engine, url, "me", "second").unwrap();
    assert_eq!(get(&memory, url).0, "second in file");
    let erase = || engine.erase(&EraseRequest { request: request(url), secret: None }).unwrap();
    assert!(erase());
    assert_eq!((get(&memory, url).0.as_str(), engine.list().unwrap().0.len()), ("not_found", 0));
    assert!(!erase() && !memory.keyring.is_empty());
    // It is back, and the next command removes the first secret.
    memory.keyring.recover();
    assert_eq!(engine.list().unwrap().0, []);
    assert!(memory.keyring.is_empty() && memory.file.is_empty());
}

/// As after a login on a desktop, and `store = "file"` while the keyring is locked.
#[test]
fn every_item_that_a_store_replaces_is_deleted_later() {
    let memory = Memory::with("store = \"file\"", &[]);
    let (engine, url) = (memory.engine(), "https://h.example");
    // Version 0.1.0 stored each spelling of a URL, and recorded no tool.
    for (number, spelling) in ["https://h.example", "https://H.example:443/"].iter().enumerate() {
        let key = StorageKey {
            item: Some(Item::new(format!("{spelling} me"))),
            file: format!(".my/logins/{}/{number}.json", hash("https://h.example:443")).into(),
            ..MYCLI.key
        };
        let text = format!(r#"{{"url":"{spelling}","username":"me","in_keyring":true}}"#);
        memory.file.put(&key, &text);
        let text = format!(r#"{{"url":"{spelling}","username":"me","secret":"x","stored_at":1}}"#);
        memory.keyring.put(&key, &text);
    }
    assert_eq!(get(&memory, url).0, "x in keyring");
    memory.keyring.fail("delete", StoreFailure::Locked);
    store_by(&engine, url, Some("git"), "new");
    assert_eq!(get_by(&engine, url, Some("git")).as_deref(), Some("new"));
    assert_eq!(engine.list().unwrap().0.len(), 1);
    assert!(!memory.keyring.is_empty(), "it is locked");
    memory.keyring.recover();
    assert_eq!(engine.list().unwrap().0.len(), 1);
    assert!(memory.keyring.is_empty(), "both items are gone");
    assert_eq!(get_by(&engine, url, Some("git")).as_deref(), Some("new"));
}

/// The clock was wrong at the logout.
#[test]
fn a_login_after_a_logout_in_the_future_stays() {
    let memory = Memory::new();
    let (engine, now) = (memory.engine(), Timestamp::from_unix(NOW));
    let later = now.plus(time::Duration::days(1));
    left::remember(&engine.stores, &MYCLI.key, later).unwrap();
    let session = Session { logged_in_at: now, ..session("new", 0) };
    engine.save_session(&MYCLI, &session).unwrap();
    engine.delete_left();
    assert_eq!(engine.load(&MYCLI).newest.map(|it| it.session), Some(session));
}

#[test]
fn an_unreadable_credential_is_not_reported_as_missing() {
    let failures = [
        (StoreFailure::Locked, "temporarily_unavailable", "unlock"),
        (StoreFailure::TimedOut, "temporarily_unavailable", "unlock"),
        (OffReason::Disabled.into(), "temporarily_unavailable", "MY_NO_KEYRING"),
        (OffReason::NoSessionBus.into(), "temporarily_unavailable", "where the keyring is"),
        (StoreFailure::Failed("broken".to_owned()), "internal", "store the credential again"),
    ];
    // A host of no provider, and one of a provider to which nobody is logged in.
    for url in ["https://h.example/x", "https://git.acme.dev/x"] {
        for (failure, code, hint) in &failures {
            let memory = Memory::with(HOSTS, &[]);
            store(&memory.engine(), url, "me", "hunter2").unwrap();
            memory.keyring.fail("read", failure.clone());
            let error = memory.engine().get(&request(url)).unwrap_err();
            assert_eq!(error.code.name(), *code, "{error}");
            assert!(error.message.ends_with(&failure.to_string()), "{error}");
            if url.contains("h.example") {
                assert!(error.hint.as_ref().is_some_and(|found| found.contains(hint)), "{error}");
            }
            assert!(error.tried.is_some_and(|tried| tried.contains("keyring")));
            let elsewhere =
                Target::parse(url).unwrap().origin.to_string().replace("//", "//other.");
            let other = get(&memory, &elsewhere);
            assert_eq!(other.0, "not_found", "nothing is known to be stored");
            memory.file.put_session(&MYCLI, &session("a", 1));
            if url.contains("acme") {
                assert_eq!(get(&memory, url).0, "access-a in file", "the session answers");
            }
        }
    }
}

#[test]
fn a_credential_that_moves_back_replaces_the_file() {
    let memory = Memory::new();
    let (engine, url) = (memory.engine(), "https://h.example/x");
    memory.keyring.fail("write", OffReason::NoSessionBus.into());
    store(&engine, url, "me", "first").unwrap();
    memory.keyring.recover();
    store(&engine, url, "me", "second").unwrap();
    assert_eq!(get(&memory, url).0, "second in keyring");
    assert!(!memory.file.contains("first"), "no secret stays in the file");
}

#[test]
fn a_host_request_with_several_stored_paths_finds_nothing() {
    let memory = Memory::new();
    let engine = memory.engine();
    let secret = |url: &str| get(&memory, url).0;
    store(&engine, "https://gl.example/groups/1/simple", "dep", "one").unwrap();
    assert_eq!(secret("https://gl.example/"), "one in keyring", "there is exactly one");
    store(&engine, "https://gl.example/groups/2/simple/", "dep", "two").unwrap();
    assert_eq!(secret("https://gl.example/"), "not_found");
    assert_eq!(secret("https://gl.example/groups/1/simple/"), "one in keyring");
    assert_eq!(secret("https://gl.example/groups//2/%73imple"), "two in keyring");
    store(&engine, "https://gl.example", "dep", "host").unwrap();
    assert_eq!(secret("https://gl.example/"), "host in keyring");
}

#[test]
fn the_api_url_stays_while_any_account_may_be_logged_in() {
    let configuration = "[providers.acme]\nkind = 'api_key'\napi_url = 'https://api.acme.dev'\n\
                         token_variable = 'ACME_TOKEN'\naccounts = ['work', 'old']\n";
    let memory = Memory::with(configuration, &[]);
    let provider = |name: &str| {
        let provider = memory.context.descriptor(Some("acme")).unwrap();
        provider.with_account(crate::model::Account::parse(name).unwrap())
    };
    let check = |name| memory.engine().check_no_session(&provider(name));
    assert!(check("default").is_ok() && check("unlisted").is_ok());
    for name in ["default", "work", "old", "unlisted"] {
        memory.file.put_session(&provider(name), &session("r1", 0));
        for other in ["default", "work", "unlisted"] {
            // Only the named account can be one that the configuration does not list.
            let is_seen = name != "unlisted" || other == name;
            assert_eq!(check(other).is_err(), is_seen, "{name} is logged in, {other} is named");
        }
        memory.file.clear();
    }
    memory.keyring.fail("read", StoreFailure::Locked);
    assert_eq!(check("default").unwrap_err().code.name(), "temporarily_unavailable");
    memory.keyring.fail("read", crate::model::OffReason::Disabled.into());
    let message = check("default").unwrap_err().message;
    assert!(message.contains("may have the login to acme (account work)"), "{message}");
    let mycli = memory.context.descriptor(Some("mycli")).unwrap();
    assert!(memory.engine().check_no_session(&mycli).is_ok(), "nothing says that it is logged in");
}

#[test]
fn a_misconfigured_provider_leaves_the_others_in_a_list() {
    let memory = Memory::with(&format!("{HOSTS}[providers.aaa]\nkind = 'oauth'\n"), &[]);
    memory.file.put_session(&MYCLI, &session("a", 1));
    for operation in [Operation::List, Operation::ListServable(docker())] {
        let Ok(Response::Listed(listed, warnings)) = memory.engine().perform(operation) else {
            panic!("a list");
        };
        assert_eq!(listed[0].provider.as_deref(), Some("mycli"));
        let [warning] = &warnings[..] else { panic!("{warnings:?}") };
        assert!(warning.to_string().starts_with("aaa is not listed: "), "{warning}");
    }
}

/// A job whose identity token is in a variable, with a folder for its token.
fn job(folder: &std::path::Path) -> Memory {
    let configuration = "[providers.acme]\nkind = 'oauth'\ntoken_endpoint = 'https://login.acme.dev/token'\n\
                         hosts = ['git.acme.dev']\n[providers.acme.identity]\nsource = 'variable'\n\
                         variable = 'ID'\naudience = 'https://acme.dev'\nexchange = 'jwt-bearer'\n";
    // {"alg":"RS256"} . {"iss":"i","sub":"s","aud":"https://acme.dev","exp":1900000000}
    let token = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJpIiwic3ViIjoicyIsImF1ZCI6Imh0dHBzOi8vYWNtZS5kZXYiLCJleHAiOjE5MDAwMDAwMDB9.c2ln";
    let folder = folder.to_str().expect("a path");
    Memory::with(configuration, &[("ID", token), ("XDG_RUNTIME_DIR", folder)])
}

#[test]
fn the_token_of_a_job_is_replaced_when_it_is_due() {
    let folder = tempfile::tempdir().unwrap();
    let memory = job(folder.path());
    let get = || {
        let found = memory.engine().get(&request("https://git.acme.dev/x"));
        found
            .map(|found| (found.credential.secret.expose_secret().to_owned(), found.warnings.len()))
    };
    let will = |answer| memory.endpoints.exchanges.borrow_mut().push_back(answer);
    let issued = |token: &str, seconds| {
        let now = memory.clock.now();
        Ok(Session::api_token(Secret::new(token), Some(now.plus_seconds(seconds)), now))
    };
    let rejected = || Err(HttpError::NotConnected("no route".to_owned()));
    will(issued("first", 900));
    for _ in 0..3 {
        assert_eq!(get().unwrap(), ("first".to_owned(), 0));
    }
    memory.clock.sleep(Duration::from_secs(850));
    will(rejected());
    assert_eq!(get().unwrap(), ("first".to_owned(), 1), "due, and not expired");
    will(issued("second", 900));
    assert_eq!(get().unwrap(), ("second".to_owned(), 0));
    memory.clock.sleep(Duration::from_secs(901));
    will(rejected());
    assert!(get().unwrap_err().message.contains("no route"));
    assert_eq!(memory.endpoints.redeemed.borrow().len(), 4, "once for each attempt");
}

#[test]
fn a_token_without_a_lifetime_expires_with_its_identity() {
    let memory = job(std::path::Path::new("/nonexistent"));
    let session = Session::api_token(Secret::new("t"), None, memory.clock.now());
    memory.endpoints.exchanges.borrow_mut().push_back(Ok(session));
    let found = memory.engine().get(&request("https://git.acme.dev/x"));
    let expiry = found.unwrap().credential.expires_at.unwrap().unix();
    assert!((1_899_999_000..=1_900_000_000).contains(&expiry), "{expiry}");
}

const ACME: &str = "provider = 'acme'\n[providers.acme]\nkind = 'oauth'\nissuer = 'https://login.acme.dev'\n\
                    client_id = 'x'\nhosts = ['git.acme.dev']\n";

/// An ID token that expires `left` seconds after the begin of the test.
fn id_token(name: &str, left: i64) -> IdToken {
    let part = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
    let claims = part(&format!(r#"{{"aud":"x","jti":"{name}"}}"#));
    let token = Secret::new(format!("{}.{claims}.c2ln", part(r#"{"alg":"RS256"}"#)));
    IdToken { token, expires_at: Timestamp::from_unix(NOW + left) }
}

/// The secret of a request for this token, or the code of the error.
fn get_token(memory: &Memory, token: TokenKind, tool: ToolTraits) -> String {
    let request = CredentialRequest { token, tool, ..request("") };
    match memory.engine().get(&request) {
        Ok(found) => found.credential.secret.expose_secret().to_owned(),
        Err(failure) => failure.code.name().to_owned(),
    }
}

#[test]
fn only_kubernetes_gets_the_id_token_by_default() {
    let (id, any) = (id_token("a", 900), ToolTraits::default());
    let has_id = crate::model::Session { id_token: Some(id.clone()), ..session("a", 1) };
    for (more, token, expected, without) in [
        ("", TokenKind::Kubernetes, id.token.expose_secret(), "access-a"),
        ("kubernetes_token = 'access'", TokenKind::Kubernetes, "access-a", "access-a"),
        ("kubernetes_token = 'id'", TokenKind::Access, "access-a", "access-a"),
        ("kubernetes_token = 'access'", TokenKind::Id, id.token.expose_secret(), "not_found"),
    ] {
        let memory = Memory::with(&format!("{ACME}{more}"), &[]);
        let acme = memory.context.provider(None).unwrap();
        memory.file.put_session(&acme, &has_id);
        assert_eq!(get_token(&memory, token, any), expected, "{more} {token:?}");
        memory.file.put_session(&acme, &session("a", 1));
        assert_eq!(get_token(&memory, token, any), without, "{more} {token:?}");
    }
    // Whatever precedes the session has no ID token.
    let memory = Memory::with(ACME, &[("ACME_TOKEN", "variable")]);
    memory.file.put_session(&memory.context.provider(None).unwrap(), &has_id);
    assert_eq!(get_token(&memory, TokenKind::Id, any), "not_found");
    assert_eq!(get_token(&memory, TokenKind::Kubernetes, any), "variable");
}

#[test]
fn an_expired_id_token_is_refreshed_once() {
    let memory = Memory::with(ACME, &[]);
    let acme = memory.context.provider(None).unwrap();
    let with = |name, id| crate::model::Session { id_token: Some(id), ..session(name, 1) };
    memory.file.put_session(&acme, &with("old", id_token("old", -1)));
    let new = id_token("new", 900);
    memory.endpoints.will(Ok(with("new", new.clone())));
    let any = ToolTraits::default();
    assert_eq!(get_token(&memory, TokenKind::Access, any), "access-old", "that one is valid");
    assert_eq!(get_token(&memory, TokenKind::Kubernetes, any), new.token.expose_secret());
    assert_eq!(get_token(&memory, TokenKind::Kubernetes, any), new.token.expose_secret());
    assert_eq!(memory.endpoints.redeemed.borrow().len(), 1);
    // A service that issues an ID token only with a login: no call spends a refresh token for it again.
    let old = id_token("old", -1);
    memory.file.put_session(&acme, &with("old", old.clone()));
    let kept = crate::model::Session { id_token: Some(old), ..session("kept", 0) };
    memory.endpoints.will(Ok(kept));
    for _ in 0..2 {
        assert_eq!(get_token(&memory, TokenKind::Kubernetes, any), "session_expired");
    }
    assert_eq!(memory.endpoints.redeemed.borrow().len(), 2);
    assert_eq!(get_token(&memory, TokenKind::Access, any), "access-kept");
}

#[test]
fn an_expired_id_token_is_never_returned() {
    let memory = Memory::with(ACME, &[]);
    let acme = memory.context.provider(None).unwrap();
    let any = ToolTraits::default();
    // A service that issues no refresh token, and an access token that is valid for longer.
    let only = |left| crate::model::Session {
        refresh_token: None,
        id_token: Some(id_token("a", left)),
        ..session("a", 120)
    };
    memory.file.put_session(&acme, &only(10));
    assert_eq!(get_token(&memory, TokenKind::Id, any), id_token("a", 10).token.expose_secret());
    memory.file.put_session(&acme, &only(-1));
    for token in [TokenKind::Kubernetes, TokenKind::Id] {
        assert_eq!(get_token(&memory, token, any), "session_expired", "{token:?}");
    }
    assert_eq!(get_token(&memory, TokenKind::Access, any), "access-a");
    let request = CredentialRequest { token: TokenKind::Id, ..request("") };
    let error = memory.engine().get(&request).unwrap_err();
    assert!(error.message.contains("the ID token of acme has expired"), "{}", error.message);
    assert!(memory.endpoints.redeemed.borrow().is_empty());
}

#[test]
fn an_id_token_is_a_token_of_the_session() {
    let memory = Memory::with(ACME, &[]);
    let acme = memory.context.provider(None).unwrap();
    let id = id_token("a", 900);
    let old = crate::model::Session { id_token: Some(id.clone()), ..session("a", 120) };
    memory.file.put_session(&acme, &old);
    let target = request("https://git.acme.dev");
    let login = CredentialRequest { username: Some("u".into()), ..target.clone() };
    let login = StoreRequest::new(login, id.token.clone());
    let login = StoreRequest { occasion: Occasion::Login, ..login };
    assert!(matches!(memory.engine().store(login), Ok(Response::Nothing)), "it would expire");
    // A tool reports that the host rejected it: the next request refreshes.
    let erase = EraseRequest { request: target, secret: Some(id.token) };
    assert!(memory.engine().erase(&erase).unwrap());
    let new = id_token("new", 900);
    let renewed = crate::model::Session { id_token: Some(new.clone()), ..session("new", 0) };
    memory.endpoints.will(Ok(renewed));
    let found = get_token(&memory, TokenKind::Kubernetes, ToolTraits::default());
    assert_eq!(found, new.token.expose_secret());
}

#[test]
fn a_command_names_an_account_only_if_it_is_not_in_use() {
    let memory = Memory::with("[providers.mycli]\naccounts = ['work']\n", &[]);
    for (account, named) in [("default", None), ("work", Some("work"))] {
        let provider = MYCLI.with_account(memory.context.account("mycli", account).unwrap());
        let request = memory.engine().request_for(&provider);
        assert_eq!(request.account.as_deref(), named);
    }
}
