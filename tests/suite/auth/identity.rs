//! Jobs and workloads without a stored secret. The platforms and the token endpoints here are doubles, named in
//! `support/job.rs`; `openbao.rs` has a real service.

use std::time::Duration;

use serde_json::json;

use crate::support::job::{
    self, AUDIENCE, REQUEST_TOKEN, claims, configure, field, form, home, identity_token,
    in_seconds, issued, presented, runner, service, start_github_job,
};
use crate::support::scripted::{Request, Scripted};
use crate::support::{HELPER, Home, Outcome, finish, has_client, rfc3339, spawn};

const GITHUB: &str = "source = \"github-actions\"\nexchange = \"token-exchange\"";

/// The session of a person in this home.
const PERSON: &str = "hunter2-token-of-a-person";

fn log_a_person_in(home: &Home) {
    let then = rfc3339(std::time::SystemTime::now() + Duration::from_secs(3600));
    let session = json!({
        "access_token": PERSON, "refresh_token": "hunter2-of-a-person", "expires_at": then,
        "logged_in_at": rfc3339(std::time::SystemTime::now()),
    });
    home.write(".my/sessions/acme/default.json", &session.to_string());
}

fn get(home: &Home) -> Outcome {
    home.run(&["get", "--url", "https://git.acme.dev/x", "--explain"])
}

fn secret(outcome: &Outcome) -> String {
    assert_eq!(outcome.status, 0, "{outcome:?}");
    outcome.json()["secret"].as_str().unwrap_or_default().to_owned()
}

/// The only request, and its identity token.
fn only(service: &Scripted) -> (Request, String) {
    let mut requests = service.requests();
    assert_eq!(requests.len(), 1, "{requests:?}");
    let request = requests.remove(0);
    let token = presented(&request);
    (request, token)
}

fn fails_without_a_request(home: &Home, service: &Scripted, words: &str) {
    let outcome = get(home);
    assert!(outcome.status != 0 && outcome.messages.contains(words), "{words}: {outcome:?}");
    assert_eq!(service.requests().len(), 0, "{words}");
    assert!(!outcome.messages.contains("hunter2"), "{outcome:?}");
}

#[test]
fn a_github_job_needs_no_stored_secret() {
    let (runner, service) = (runner(), service());
    let more = "scope = \"push pull\"\nresource = \"https://git.acme.dev\"\nparameters = { connection_id = \"c1\" }";
    let mut home = home(&service.url, &format!("{GITHUB}\n{more}"));
    start_github_job(&mut home, &runner, "repo:a");
    let outcome = get(&home);
    assert_eq!(secret(&outcome), "hunter2-token-of-repo:a");
    let answer = outcome.json();
    assert_eq!((&answer["source"], &answer["kind"]), (&json!("identity"), &json!("session")));
    assert!(answer["expires_at"].is_string(), "{answer}");
    let explained = format!(
        "tried: ACME_TOKEN (not set), identity of github-actions (claims, not verified: aud {AUDIENCE}, \
         iss https://ci.acme.dev, sub repo:a)\n"
    );
    assert_eq!(outcome.messages, explained);
    let (request, token) = only(&service);
    let expected = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("subject_token", &token),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
        ("scope", "push pull"),
        ("resource", "https://git.acme.dev"),
        ("connection_id", "c1"),
        ("client_id", "ci"),
    ];
    assert_eq!(form(&request.body), expected.map(|(k, v)| (k.to_owned(), v.to_owned())));
    assert_eq!(claims(&token)["aud"], AUDIENCE);
    for (path, contents) in home.snapshot() {
        let text = String::from_utf8_lossy(contents.as_deref().unwrap_or_default()).into_owned();
        assert!(!text.contains("hunter2") && !text.contains(&token), "{}", path.display());
    }
}

#[test]
fn identity_is_between_the_variable_and_the_login() {
    let (runner, service) = (runner(), service());
    let mut home = home(&service.url, GITHUB);
    log_a_person_in(&home);
    let outcome = get(&home);
    assert_eq!(secret(&outcome), PERSON, "a laptop has no identity");
    let absent = "identity of github-actions (ACTIONS_ID_TOKEN_REQUEST_URL is not set)";
    assert!(outcome.messages.contains(absent), "{outcome:?}");
    start_github_job(&mut home, &runner, "repo:a");
    assert_eq!(secret(&get(&home)), "hunter2-token-of-repo:a");
    home.set("ACME_TOKEN", "hunter2-of-the-variable");
    assert_eq!(secret(&get(&home)), "hunter2-of-the-variable");
}

#[test]
fn a_failed_identity_never_falls_back_to_a_person() {
    let (runner, service) = (runner(), Scripted::start(|_, _| job::error("invalid_grant")));
    let mut home = home(&service.url, GITHUB);
    log_a_person_in(&home);
    start_github_job(&mut home, &runner, "repo:a");
    let before = home.snapshot();
    let outcome = get(&home);
    assert_eq!(outcome.status, 4, "{outcome:?}");
    for words in [
        "cannot exchange the identity token of github-actions",
        "invalid_grant",
        "sub repo:a",
        "claims, not verified",
        "trust policy",
    ] {
        assert!(outcome.messages.contains(words), "{words}: {outcome:?}");
    }
    assert_eq!(service.requests().len(), 1, "a decision is not repeated");
    home.set("ACTIONS_ID_TOKEN_REQUEST_TOKEN", " ");
    let outcome = get(&home);
    assert!(outcome.status != 0, "{outcome:?}");
    let half = "ACTIONS_ID_TOKEN_REQUEST_URL is set, and ACTIONS_ID_TOKEN_REQUEST_TOKEN is not";
    assert!(outcome.messages.contains(half), "{outcome:?}");
    assert!(home.run(&["status"]).status == 0 && home.run(&["list"]).status == 0);
    assert_eq!(home.snapshot(), before, "the session of the person is not touched");
}

#[test]
fn a_token_for_another_audience_is_not_sent() {
    for aud in [
        json!("https://evil.dev"),
        json!([AUDIENCE, "https://evil.dev"]),
        json!("https://kubernetes.default.svc.cluster.local"),
        json!([]),
    ] {
        let service = service();
        let token = identity_token("s", &aud);
        let mut home =
            home(&service.url, "source = \"variable\"\nvariable = \"T\"\nexchange = \"none\"");
        home.set("T", &token);
        fails_without_a_request(&home, &service, "was not sent: its aud is `");
        for exchange in ["token-exchange", "jwt-bearer", "client-assertion"] {
            let file = home.write("tokens/token", &token);
            let path = file.display();
            configure(
                &home,
                &service.url,
                &format!("source = \"kubernetes\"\nfile = \"{path}\"\nexchange = \"{exchange}\""),
            );
            fails_without_a_request(&home, &service, "mount a projected volume");
        }
    }
    let (service, expired) = (service(), json!({ "aud": AUDIENCE, "exp": in_seconds(0) - 1 }));
    let mut home =
        home(&service.url, "source = \"gitlab\"\nvariable = \"T\"\nexchange = \"jwt-bearer\"");
    home.set("T", job::token(&expired));
    fails_without_a_request(&home, &service, "was not sent: it expired at ");
    home.set("T", "glpat-0123456789");
    fails_without_a_request(&home, &service, "was not sent: it is not a JWT");
}

#[test]
fn an_identity_token_is_sent_only_to_the_configured_service() {
    let (service, other) = (Scripted::start(|_, _| issued("")), Scripted::start(|_, _| issued("")));
    let mut home = Home::new();
    home.set("T", identity_token("repo:a", &json!(AUDIENCE)));
    home.write(".my/config.json", &json!({ "api_url": service.url }).to_string());
    home.configure(&format!(
        "[providers.mycli.identity]\nsource = \"gitlab\"\nvariable = \"T\"\naudience = \"{AUDIENCE}\"\n\
         exchange = \"vault\"\nrole = \"ci\"\n"
    ));
    assert_ne!(home.run(&["get"]).status, 0, "the service returns no token");
    assert_eq!(service.requests().len(), 1);
    for (option, variable) in [(&["--api-url", &*other.url][..], ""), (&[], &*other.url)] {
        home.set("MY_API_URL", variable);
        let outcome = home.run(&[option, &["get"]].concat());
        let message = format!("logged in at {}, not {}", service.url, other.url);
        assert!(outcome.output.contains(&message), "{outcome:?}");
    }
    assert_eq!((service.requests().len(), other.requests().len()), (1, 0));
}

#[test]
fn a_platform_that_ignores_the_audience_is_noticed() {
    let runner = Scripted::start(|_, _| {
        let value = identity_token("s", &json!("https://github.com/acme"));
        (200, String::new(), json!({ "value": value }).to_string())
    });
    let service = service();
    let mut home = home(&service.url, GITHUB);
    start_github_job(&mut home, &runner, "repo:a");
    fails_without_a_request(&home, &service, "its aud is `https://github.com/acme`, not `https://");
}

/// Its claims are shown.
#[test]
fn a_platform_that_repeats_the_request_token_is_rejected() {
    for (subject, audience) in [(REQUEST_TOKEN, AUDIENCE), ("s", REQUEST_TOKEN)] {
        let runner = Scripted::start(move |_, _| {
            let value = identity_token(subject, &json!(audience));
            (200, String::new(), json!({ "value": value }).to_string())
        });
        let service = service();
        let mut home = home(&service.url, GITHUB);
        start_github_job(&mut home, &runner, "repo:a");
        fails_without_a_request(&home, &service, "the response repeats the token of the request");
        for line in [&["get", "--explain"][..], &["status"], &["doctor"]] {
            let outcome = home.run(line);
            let printed = format!("{}{}", outcome.output, outcome.messages);
            assert!(!printed.contains(REQUEST_TOKEN), "{line:?}: {printed}");
        }
    }
}

#[test]
fn a_variable_or_a_file_can_have_the_token() {
    let service = service();
    let mut home = home(&service.url, "source = \"gitlab\"\nexchange = \"jwt-bearer\"");
    let own = || json!([AUDIENCE]);
    home.set("HTTPS___LOGIN_ACME_DEV___B_C_D_ID_TOKEN", identity_token("gitlab", &own()));
    assert_eq!(secret(&get(&home)), "hunter2-token-of-gitlab");
    let request = service.requests().remove(0);
    assert_eq!(field(&request.body, "grant_type"), "urn:ietf:params:oauth:grant-type:jwt-bearer");
    let replayed = get(&home);
    assert_eq!(replayed.status, 4, "{replayed:?}");
    assert!(replayed.messages.contains("add a second entry to `id_tokens`"), "{replayed:?}");
    assert_eq!(service.requests().len(), 2, "a token that stays the same is sent once in a call");

    let workspace = "ari:cloud:bitbucket::workspace/w";
    configure(&home, &service.url, "source = \"bitbucket\"\nexchange = \"jwt-bearer\"");
    home.set("BITBUCKET_STEP_OIDC_TOKEN", identity_token("bb", &json!([workspace, AUDIENCE])));
    assert_eq!(secret(&get(&home)), "hunter2-token-of-bb");

    // As the kubelet writes it: a link to a file that it replaces, readable for the group.
    let folder = home.path().join("projected");
    std::fs::create_dir_all(folder.join("..1")).unwrap();
    std::os::unix::fs::symlink("..1/token", folder.join("token")).unwrap();
    let path = folder.join("token").display().to_string();
    for source in ["kubernetes", "file"] {
        let identity =
            format!("source = \"{source}\"\nfile = \"{path}\"\nexchange = \"client-assertion\"");
        configure(&home, &service.url, &identity);
        for subject in ["pod", "rotated"] {
            std::fs::write(folder.join("..1/token"), identity_token(subject, &own()) + "\n")
                .unwrap();
            assert_eq!(secret(&get(&home)), format!("hunter2-token-of-{subject}"));
        }
    }
    let last = service.requests().pop().unwrap();
    assert_eq!(field(&last.body, "grant_type"), "client_credentials");
    let assertion_type = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    assert_eq!(field(&last.body, "client_assertion_type"), assertion_type);
    let default = "/var/run/secrets/kubernetes.io/serviceaccount/token";
    configure(
        &home,
        &service.url,
        &format!("source = \"kubernetes\"\nfile = \"{default}\"\nexchange = \"none\""),
    );
    let refused = get(&home);
    assert!(refused.messages.contains("names the default service account token"), "{refused:?}");
}

#[test]
fn an_identity_token_can_be_the_credential() {
    let runner = runner();
    let mut home =
        home("https://login.acme.dev", "source = \"github-actions\"\nexchange = \"none\"");
    start_github_job(&mut home, &runner, "repo:a");
    let token = secret(&get(&home));
    assert_eq!(claims(&token)["sub"], "repo:a");
    let mut command = home.run_with(&["git", "get"], "protocol=https\nhost=git.acme.dev\n\n");
    assert!(command.output.contains("password=eyJ"), "{command:?}");
    command = home.run(&["get", "--url", "https://evil.dev/"]);
    assert!(command.status != 0 && !command.output.contains("eyJ"), "{command:?}");
}

#[test]
fn a_broken_response_is_requested_with_a_new_token() {
    let attempts = std::sync::atomic::AtomicUsize::new(0);
    let service = Scripted::start(move |_, _| {
        match attempts.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
            0 => (502, String::new(), String::new()),
            1 => issued("hunter2-token"),
            _ => (500, String::new(), String::new()),
        }
    });
    let runner = runner();
    let mut home = home(&service.url, GITHUB);
    start_github_job(&mut home, &runner, "repo:a");
    assert_eq!(secret(&get(&home)), "hunter2-token");
    let sent: Vec<_> = service.requests().iter().map(presented).collect();
    assert!(sent.len() == 2 && sent[0] != sent[1], "{sent:?}");
    let failed = get(&home);
    assert_eq!((failed.status, service.requests().len()), (3, 4), "{failed:?}");
}

#[test]
fn hostile_platforms_and_services_are_rejected() {
    type Script = fn(&str, &Request) -> (u16, String, String);
    let evil = service();
    let scripts: [(&str, Script); 6] = [
        ("status 302", |_, _| (302, "Location: https://evil.dev/\r\n".to_owned(), String::new())),
        ("no usable identity token", |_, _| (200, String::new(), "{\"value\":7}".to_owned())),
        ("was not sent: it has ", |_, _| {
            let value = identity_token(&"x".repeat(100_000), &json!(AUDIENCE));
            (200, String::new(), json!({ "value": value }).to_string())
        }),
        ("larger than 1 MiB", |_, _| (200, String::new(), " ".repeat(2 << 20))),
        ("status 403", |_, request| {
            let error = json!({ "error": { "message": request.head } });
            (403, String::new(), error.to_string())
        }),
        ("no usable identity token", |_, _| (200, String::new(), "{\"value\":\"a b\"}".to_owned())),
    ];
    for (words, script) in scripts {
        let runner = Scripted::start(script);
        let mut home = home(&evil.url, GITHUB);
        home.set("MY_LOG", "debug");
        log_a_person_in(&home);
        start_github_job(&mut home, &runner, "repo:a");
        let words = if words == "status 403" { "cannot get an identity token" } else { words };
        fails_without_a_request(&home, &evil, words);
        assert_eq!(runner.requests().len(), 1, "{words}");
    }
    let mut home = home(&evil.url, GITHUB);
    start_github_job(&mut home, &evil, "x");
    home.set("ACTIONS_ID_TOKEN_REQUEST_URL", "http://runner.acme.dev/?x=1");
    fails_without_a_request(&home, &evil, "plain http is allowed only for loopback addresses");
    configure(&home, &evil.url, "source = \"azure\"\nexchange = \"none\"");
    for endpoint in [
        "http://evil.dev/msi",
        "http://10.0.0.1/msi",
        "https://evil.dev/msi",
        "http://169.254.evil.dev/",
    ] {
        home.set("IDENTITY_ENDPOINT", endpoint);
        home.set("IDENTITY_HEADER", "hunter2-header");
        fails_without_a_request(&home, &evil, "is not a metadata server");
    }
}

#[test]
fn a_rejected_exchange_shows_no_token() {
    let service = Scripted::start(|_, request| {
        let error = json!({ "error": request.body, "error_description": presented(request) });
        (401, String::new(), error.to_string())
    });
    let runner = runner();
    for exchange in ["token-exchange", "jwt-bearer", "client-assertion"] {
        let mut home =
            home(&service.url, &format!("source = \"github-actions\"\nexchange = \"{exchange}\""));
        home.set("MY_LOG", "debug");
        start_github_job(&mut home, &runner, "repo:a");
        let outcome = get(&home);
        assert_eq!(outcome.status, 4, "{outcome:?}");
        let token = presented(&service.requests().pop().unwrap());
        for text in [&outcome.messages, &outcome.output] {
            assert!(!text.contains(&token) && !text.contains("eyJ"), "{text}");
            assert!(!text.contains(REQUEST_TOKEN), "{text}");
        }
    }
}

#[test]
fn a_service_connection_gives_azure_pipelines_a_token() {
    // A double of https://learn.microsoft.com/en-us/rest/api/azure/devops/distributedtask/oidctoken/create.
    let platform = Scripted::start(|_, request| {
        let is_right = request.path == "/oidctoken?api-version=7.1&serviceConnectionId=c%2F1"
            && request.head.contains("x-tfs-fedauthredirect: Suppress")
            && request.head.contains("authorization: Bearer hunter2-of-the-pipeline");
        let token = identity_token("sc", &json!("api://AzureADTokenExchange"));
        let body = json!({ "oidcToken": if is_right { token } else { String::new() } });
        (200, String::new(), body.to_string())
    });
    let service = service();
    let identity = "source = \"azure-pipelines\"\nservice_connection = \"c/1\"\nexchange = \"client-assertion\"\naudience = \"api://AzureADTokenExchange\"";
    let mut home = home(&service.url, identity);
    home.set("SYSTEM_OIDCREQUESTURI", format!("{}/oidctoken", platform.url));
    fails_without_a_request(&home, &service, "SYSTEM_ACCESSTOKEN: $(System.AccessToken)");
    home.set("SYSTEM_ACCESSTOKEN", "hunter2-of-the-pipeline");
    assert_eq!(secret(&get(&home)), "hunter2-token-of-sc");
}

#[test]
fn app_service_gives_a_token_for_the_resource() {
    // A double of https://learn.microsoft.com/en-us/azure/app-service/overview-managed-identity.
    let endpoint = Scripted::start(|_, request| {
        let is_right =
            request.path.starts_with("/msi?api-version=2019-08-01&resource=https%3A%2F%2F")
                && request.head.contains("x-identity-header: hunter2-header");
        let token = identity_token("app", &json!(AUDIENCE));
        let body = json!({ "access_token": if is_right { token } else { String::new() } });
        (200, String::new(), body.to_string())
    });
    let service = service();
    let mut home = home(&service.url, "source = \"azure\"\nexchange = \"jwt-bearer\"");
    home.set("IDENTITY_ENDPOINT", format!("{}/msi", endpoint.url));
    home.set("IDENTITY_HEADER", "hunter2-header");
    assert_eq!(secret(&get(&home)), "hunter2-token-of-app");
}

#[test]
fn the_program_of_an_agent_gives_the_token() {
    // Doubles of https://buildkite.com/docs/agent/cli/reference/oidc and of
    // https://circleci.com/docs/guides/permissions-authentication/openid-connect-tokens/.
    for (source, program, arguments, variables) in [
        (
            "buildkite",
            "buildkite-agent",
            format!("oidc request-token --audience {AUDIENCE}"),
            &["BUILDKITE_JOB_ID", "BUILDKITE_AGENT_ACCESS_TOKEN"][..],
        ),
        (
            "circleci",
            "circleci",
            format!("run oidc get --root-issuer --claims {{\"aud\":\"{AUDIENCE}\"}}"),
            &["CIRCLE_OIDC_TOKEN_V2"],
        ),
    ] {
        let service = service();
        let mut home =
            home(&service.url, &format!("source = \"{source}\"\nexchange = \"jwt-bearer\""));
        let (first, token) = (variables[0], identity_token(source, &json!(AUDIENCE)));
        let script = format!(
            "#!/bin/sh\n[ \"$*\" = '{arguments}' ] && [ -n \"${first}\" ] && [ -z \"$SECRET\" ] && echo {token}\n"
        );
        let bin = home.path().join("bin");
        let path = home.write(&format!("bin/{program}"), &script);
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o700))
            .unwrap();
        home.put_on_path(&bin);
        home.set("SECRET", "hunter2");
        for name in variables {
            home.set(name, "hunter2-of-the-agent");
        }
        assert_eq!(secret(&get(&home)), format!("hunter2-token-of-{source}"));
    }
}

#[test]
fn a_printed_token_is_masked_in_the_log_first() {
    let (runner, service) = (runner(), service());
    let mut home = home(&service.url, GITHUB);
    for (variable, mask) in [
        ("GITHUB_ACTIONS", "::add-mask::hunter2-token-of-100%25\n"),
        ("TF_BUILD", "##vso[task.setsecret]hunter2-token-of-100%AZP25\n"),
    ] {
        start_github_job(&mut home, &runner, "100%");
        for format in ["raw", "header"] {
            // Both streams in the order in which they are written, as in a log.
            let mut command = home.command("sh");
            let line = format!("'{HELPER}' get --format {format} 2>&1");
            command.args(["-c", &line]).env(variable, "true");
            let outcome = finish(spawn(command), b"");
            let rest = outcome.output.strip_prefix(mask);
            assert!(
                rest.is_some_and(|rest| rest.ends_with("hunter2-token-of-100%\n")),
                "{outcome:?}"
            );
        }
        assert_eq!(home.run(&["get"]).messages, "", "no mask elsewhere");
    }
}

/// Doubles of crates.io, PyPI and Docker Hub, by the pages that `src/model/known.rs` names.
#[test]
fn a_service_that_trusts_jobs_is_known_by_name() {
    for (kind, path, field, user, variable) in [
        ("crates-io", "/api/v1/trusted_publishing/tokens", "jwt", "token", "CARGO_REGISTRY_TOKEN"),
        ("pypi", "/_/oidc/mint-token", "token", "__token__", "TWINE_PASSWORD"),
        ("docker-hub", "/oauth/token", "subject_token", "acme", "T"),
    ] {
        let (runner, service) = (
            runner(),
            Scripted::start(move |_, request| {
                let token = "hunter2-published";
                if request.path == path {
                    let lifetime =
                        json!({ "token": token, "access_token": token, "expires_in": 300 });
                    (200, String::new(), lifetime.to_string())
                } else {
                    (404, String::new(), String::new())
                }
            }),
        );
        let mut home = Home::new();
        let text = format!(
            "provider = \"reg\"\n[providers.reg]\nkind = \"{kind}\"\napi_url = \"{}\"\n{}\
             [providers.reg.identity]\nsource = \"github-actions\"\n{}",
            service.url,
            if user == "acme" { "basic_username = \"acme\"\n" } else { "" },
            if user == "acme" { "parameters = { connection_id = \"c1\" }\n" } else { "" },
        );
        home.write(".config/my-credential-helper/config.toml", &text);
        start_github_job(&mut home, &runner, "repo:a");
        home.set("RUNNER_TEMP", home.path().to_owned());
        let outcome =
            home.run(&["exec", "--env", variable, "--", "sh", "-c", &format!("echo ${variable}")]);
        assert_eq!(outcome.output, "hunter2-published\n", "{outcome:?}");
        let (request, _) = only(&service);
        let sent = match serde_json::from_str::<serde_json::Value>(&request.body) {
            Ok(body) => body[field].as_str().unwrap().to_owned(),
            Err(_) => field_of_form(&request.body, field),
        };
        assert!(claims(&sent)["aud"].is_string(), "{request:?}");
        let answer = home.run(&["get"]).json();
        assert_eq!(
            (&answer["username"], &answer["secret"]),
            (&json!(user), &json!("hunter2-published"))
        );
        assert!(answer["expires_at"].is_string(), "{answer}");
        let before = service.requests().len();
        let outcome = home.run(&["logout", "--json"]);
        let is_revocable = kind == "crates-io";
        assert_eq!(outcome.json()["revoked"], is_revocable, "{outcome:?}");
        let sent = service.requests().split_off(before);
        assert_eq!(sent.len(), usize::from(is_revocable), "{sent:?}");
        if let [sent] = &sent[..] {
            assert_eq!((&*sent.method, &*sent.path), ("DELETE", path), "{sent:?}");
            let head = sent.head.to_lowercase();
            assert!(head.contains("authorization: bearer hunter2-published"), "{sent:?}");
        }
        // The next request exchanges the identity again.
        assert_eq!(home.run(&["get"]).json()["secret"], "hunter2-published");
        assert_eq!(service.requests().len(), before + sent.len() + 1);
    }
}

fn field_of_form(body: &str, name: &str) -> String {
    let type_of_token = field(body, "subject_token_type");
    assert_eq!(type_of_token, "urn:ietf:params:oauth:token-type:id_token");
    assert_eq!(field(body, "connection_id"), "c1");
    field(body, name)
}

/// A network of its own, in which the literal address is this machine: a double of
/// <https://cloud.google.com/compute/docs/instances/verifying-instance-identity#request_signature>, and then nobody.
#[test]
fn the_metadata_server_is_requested_at_its_literal_address() {
    let is_allowed = || {
        let tried = std::process::Command::new("unshare").args(["-rn", "true"]).output();
        tried.is_ok_and(|tried| tried.status.success())
    };
    if !["ip", "python3"].iter().all(|client| has_client(client)) {
        return;
    }
    if !is_allowed() {
        eprintln!("SKIPPED: this machine allows no network of its own");
        return;
    }
    let service = "https://login.acme.dev";
    let mut home = home(service, "source = \"gcp\"\nexchange = \"none\"");
    log_a_person_in(&home);
    home.set("TOKEN", identity_token("instance", &json!(AUDIENCE)));
    home.set("HELPER", HELPER);
    // None of these may lead elsewhere.
    for name in ["GCE_METADATA_HOST", "GCE_METADATA_IP", "http_proxy", "HTTP_PROXY", "ALL_PROXY"] {
        home.set(name, "http://127.0.0.1:1");
    }
    home.write("server.py", METADATA_SERVER);
    home.write("run.sh", METADATA_SCRIPT);
    let mut command = home.command("unshare");
    command.args(["-rn", "sh", "run.sh"]).current_dir(home.path());
    let outcome = finish(spawn(command), b"");
    let lines: Vec<_> = outcome.output.lines().collect();
    assert_eq!(lines.len(), 2, "{outcome:?}");
    assert_eq!(claims(lines[0])["sub"], "instance");
    assert_eq!(lines[1], PERSON, "without a server this is a laptop: {outcome:?}");
}

const METADATA_SERVER: &str = r#"
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        ok = self.headers["Metadata-Flavor"] == "Google" and self.path.startswith("/computeMetadata/v1/")
        self.send_response(200 if ok else 403)
        self.send_header("Metadata-Flavor", "Google")
        self.end_headers()
        self.wfile.write(os.environ["TOKEN"].encode())
server = http.server.HTTPServer(("169.254.169.254", 80), Handler)
open("listens", "w").close()
server.handle_request()
"#;

const METADATA_SCRIPT: &str = r#"
ip link set lo up && ip address add 169.254.169.254/32 dev lo || exit
python3 server.py 2>/dev/null &
while [ ! -e listens ] && kill -0 $!; do sleep 0.05; done
"$HELPER" get --format raw
kill $! 2>/dev/null
wait
ip address del 169.254.169.254/32 dev lo
"$HELPER" get --format raw
"#;

#[test]
fn doctor_warns_of_an_identity_in_a_job_of_a_fork() {
    let (runner, service) = (runner(), service());
    let mut home = home(&service.url, GITHUB);
    home.only_tools(&[]);
    home.set("CI", "true");
    home.set("GITHUB_EVENT_NAME", "pull_request_target");
    let finding = |home: &Home| {
        let findings = home.run(&["doctor", "--json"]).json();
        let findings = findings["findings"].as_array().unwrap().clone();
        findings.into_iter().find(|finding| finding["check"] == "identity").unwrap()
    };
    let absent = finding(&home);
    assert_eq!(absent["level"], "note");
    assert_eq!(absent["fix"], "give the job `permissions: id-token: write`");
    start_github_job(&mut home, &runner, "repo:a");
    assert_eq!(finding(&home)["level"], "problem");
    home.set("GITHUB_EVENT_NAME", "push");
    assert_eq!(finding(&home)["level"], "fine");
}
