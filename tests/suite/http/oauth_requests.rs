//! What the requests to an OAuth service have in them, and what its errors tell a person, at a service that is a script.

use std::sync::Mutex;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use my_credential_helper::model::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::support::oidc::SESSION;
use crate::support::scripted::{Request, Response, Scripted};
use crate::support::{Home, Outcome};

const TOKENS: &str = r#"{"access_token":"at","refresh_token":"rt","expires_in":900}"#;

fn ok(body: &Value) -> Response {
    (200, String::new(), body.to_string())
}

/// A service with these fields in its description, whose other paths answer by `respond`.
fn service(
    description: Value,
    respond: impl Fn(&Request) -> Response + Send + Sync + 'static,
) -> Scripted {
    Scripted::start(move |url, request| match &*request.path {
        "/.well-known/openid-configuration" => {
            let mut fields = json!({
                "issuer": url, "token_endpoint": format!("{url}/token"),
                "authorization_endpoint": format!("{url}/page"),
                "device_authorization_endpoint": format!("{url}/device"),
                "userinfo_endpoint": format!("{url}/userinfo"),
            });
            for (name, value) in description.as_object().into_iter().flatten() {
                fields[name] = value.clone();
            }
            ok(&fields)
        }
        "/device" => ok(&json!({
            "device_code": "dc", "user_code": "ABCD", "verification_uri": format!("{url}/go"),
            "expires_in": 60, "interval": 1,
        })),
        _ => respond(request),
    })
}

fn home(service: &Scripted, kind: &str, more: &str) -> Home {
    let mut home = Home::new();
    let url = &service.url;
    let text = format!(
        "provider = 'acme'\n[providers.acme]\nkind = '{kind}'\nissuer = '{url}'\nclient_id = 'me'\n{more}\n"
    );
    home.write(".config/my-credential-helper/config.toml", &text);
    home.set("MY_NO_KEYRING", "1");
    home
}

fn parameters(request: &Request) -> Vec<(String, String)> {
    url::form_urlencoded::parse(request.body.as_bytes()).into_owned().collect()
}

fn parameter(service: &Scripted, path: &str, name: &str) -> Option<String> {
    let requests = service.requests();
    let request = requests.iter().find(|request| request.path == path).expect("a request");
    parameters(request).into_iter().find(|(found, _)| found == name).map(|(_, value)| value)
}

fn tokens(_: &Request) -> Response {
    (200, String::new(), TOKENS.to_owned())
}

#[test]
fn a_device_flow_has_pkce_if_the_service_lists_it() {
    for (methods, is_sent) in [
        (json!(["plain", "S256"]), true),
        (json!(["S256"]), true),
        (json!(["plain"]), false),
        (json!([]), false),
        (Value::Null, false),
    ] {
        let service = service(json!({ "code_challenge_methods_supported": methods }), tokens);
        let outcome = home(&service, "oauth", "").run(&["login", "--device"]);
        assert_eq!(outcome.status, 0, "{outcome:?}");
        let challenge = parameter(&service, "/device", "code_challenge");
        let verifier = parameter(&service, "/token", "code_verifier");
        assert_eq!(challenge.is_some(), is_sent, "{methods}");
        let expected = verifier.map(|it| BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(it)));
        assert_eq!(challenge, expected, "RFC 7636, 4.2");
        let method = parameter(&service, "/device", "code_challenge_method");
        assert_eq!(method.as_deref(), is_sent.then_some("S256"));
    }
}

/// A service that repeats the verifier in its error.
#[test]
fn a_verifier_that_the_service_repeats_is_not_shown() {
    let description = json!({ "code_challenge_methods_supported": ["S256"] });
    let service = service(description, |request| {
        let verifier = parameters(request).into_iter().find(|(name, _)| name == "code_verifier");
        let sent = verifier.map(|(_, value)| value).unwrap_or_default();
        (400, String::new(), json!({ "error": sent, "error_description": sent }).to_string())
    });
    let home = home(&service, "oauth", "");
    let mut home = home;
    home.set("MY_LOG", "debug");
    let outcome = home.run(&["login", "--device"]);
    let verifier = parameter(&service, "/token", "code_verifier").expect("a verifier");
    assert!(outcome.status != 0 && !outcome.messages.contains(&verifier), "{outcome:?}");
}

#[test]
fn the_client_secret_goes_where_the_configuration_says() {
    let configured = |method: &str| format!("token_endpoint_auth_method = '{method}'");
    let lists = |methods: Value| json!({ "token_endpoint_auth_methods_supported": methods });
    for (method, description, in_body) in [
        (String::new(), json!({}), false),
        (configured("client_secret_post"), json!({}), true),
        (configured("client_secret_post"), lists(json!(["client_secret_basic"])), true),
        (configured("client_secret_basic"), lists(json!(["client_secret_post"])), false),
        (String::new(), lists(json!(["client_secret_post"])), true),
    ] {
        let service = service(description, tokens);
        let more =
            format!("client_secret_variable = 'SECRET'\ngrant = 'client_credentials'\n{method}");
        let mut home = home(&service, "oauth", &more);
        home.set("SECRET", "hush");
        assert_eq!(home.run(&["login"]).status, 0, "{more}");
        let request = service.requests().into_iter().find(|it| it.path == "/token").unwrap();
        assert_eq!(request.body.contains("client_secret=hush"), in_body, "{more}: {request:?}");
        assert_eq!(!request.head.contains("authorization: Basic "), in_body, "{more}: {request:?}");
    }
}

#[test]
fn a_client_secret_is_trimmed_and_is_one_line() {
    for (value, sent) in [
        ("hush", Some("hush")),
        (" hush\r\n", Some("hush")),
        ("\u{feff}hush\n\n", Some("hush")),
        ("a \"b\"", Some("a \"b\"")),
        ("hush\nhush", None),
        ("\u{feff}", None),
    ] {
        let service = service(json!({}), tokens);
        let method =
            "token_endpoint_auth_method = 'client_secret_post'\ngrant = 'client_credentials'";
        let more = format!("{method}\nclient_secret_variable = 'SECRET'");
        let mut by_variable = home(&service, "oauth", &more);
        by_variable.set("SECRET", value);
        let by_file =
            home(&service, "oauth", &format!("{method}\nclient_secret_file = '~/secret'"));
        by_file.write("secret", value);
        for (home, name) in [(by_variable, "SECRET"), (by_file, "/secret")] {
            let outcome = home.run(&["login"]);
            assert_eq!(outcome.status == 0, sent.is_some(), "{value:?}: {outcome:?}");
            if sent.is_some() {
                let found = parameter(&service, "/token", "client_secret");
                assert_eq!(found.as_deref(), sent, "{value:?}");
            } else {
                assert!(outcome.messages.contains(name), "{value:?}: {outcome:?}");
                assert!(!outcome.messages.contains("hush"), "{value:?}: {outcome:?}");
            }
        }
    }
}

/// Services write 0 where they name no lifetime: a session that expires at once would be refreshed with every call.
#[test]
fn a_lifetime_of_zero_counts_as_missing() {
    for lifetime in ["0", "-1", "\"0\"", "null"] {
        let body = TOKENS.replace("900", lifetime);
        let service = service(json!({}), move |_| (200, String::new(), body.clone()));
        let home = home(&service, "oauth", "");
        assert_eq!(home.run(&["login", "--device"]).status, 0);
        let session: Value = serde_json::from_str(&home.read(SESSION).unwrap()).unwrap();
        let time = |name: &str| Timestamp::parse(session[name].as_str().unwrap()).unwrap().unix();
        assert_eq!(time("expires_at") - time("last_refreshed_at"), 3600, "{lifetime}");
    }
}

/// The lifetime begins at the service, some time before a slow response is here.
#[test]
fn the_lifetime_of_a_token_begins_before_its_response() {
    let began = std::sync::Arc::new(Mutex::new(Vec::new()));
    let times = began.clone();
    let slow = Scripted::start(move |url, request| match &*request.path {
        "/.well-known/openid-configuration" => ok(&json!({
            "issuer": url, "token_endpoint": format!("{url}/token"),
            "authorization_endpoint": format!("{url}/page"),
            "device_authorization_endpoint": format!("{url}/device"),
        })),
        "/device" | "/v1/auth/device/start" => ok(&json!({
            "device_code": "dc", "user_code": "ABCD", "verification_uri": format!("{url}/go"),
            "expires_in": 60, "interval": 1,
        })),
        "/token" | "/v1/auth/refresh" | "/v1/auth/device/token" => {
            times.lock().unwrap().push(Timestamp::from(std::time::SystemTime::now()));
            std::thread::sleep(std::time::Duration::from_millis(1100));
            tokens(request)
        }
        _ => (404, String::new(), "{}".to_owned()),
    });
    let check = |home: &Home, path: &str, what: &str| {
        let text = home.read(path).unwrap_or_else(|| panic!("{what}: a session"));
        let session: Value = serde_json::from_str(&text).unwrap();
        let expiry = Timestamp::parse(session["expires_at"].as_str().unwrap()).unwrap();
        let began = *began.lock().unwrap().last().expect("a request");
        assert!(expiry <= began.plus_seconds(900), "{what}: {expiry} after {began}");
    };
    let expire = |home: &Home, path: &str| {
        let mut session: Value = serde_json::from_str(&home.read(path).unwrap()).unwrap();
        session["expires_at"] = "2020-01-01T00:00:00Z".into();
        home.write(path, &session.to_string());
    };

    let mut person = home(&slow, "oauth", "");
    assert_eq!(person.run(&["login", "--device"]).status, 0);
    check(&person, SESSION, "device code flow");
    std::fs::remove_file(person.path().join(SESSION)).unwrap();
    assert_eq!(come_back_with(&mut person, "code=c").status, 0);
    check(&person, SESSION, "authorization code flow");
    expire(&person, SESSION);
    assert_eq!(person.run(&["get", "--format", "raw"]).status, 0);
    check(&person, SESSION, "refresh");

    let robot = home(&slow, "oauth", "");
    assert_eq!(robot.run_with(&["login", "--client-credentials"], "hush").status, 0);
    check(&robot, SESSION, "client credentials");

    let mut mycli = Home::new();
    mycli.set("MY_NO_KEYRING", "1");
    mycli.write(".my/config.json", &json!({ "api_url": slow.url }).to_string());
    let path = ".my/credentials.json";
    let outcome = mycli.run(&["login", "--email", "me@acme.dev"]);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    check(&mycli, path, "login by email");
    expire(&mycli, path);
    assert_eq!(mycli.run(&["get", "--format", "raw"]).status, 0);
    check(&mycli, path, "refresh at mycli");
}

#[test]
fn a_forbidden_owner_names_the_missing_scope() {
    let insufficient = r#"{"error":"insufficient_scope"}"#;
    let shown = "insufficient_scope (status 403)";
    let more = "client_secret_variable = 'SECRET'\ngrant = 'client_credentials'";
    for (more, status, body, shown, hint) in [
        ("", 403, insufficient, shown, "may lack the scope"),
        (more, 403, insufficient, shown, "flow logs in no person"),
        // Glewlwyd.
        (more, 404, "", "status 404", "flow logs in no person"),
    ] {
        let service = service(json!({}), move |request| match &*request.path {
            "/userinfo" => (status, String::new(), body.to_owned()),
            _ => tokens(request),
        });
        let mut home = home(&service, "oauth", more);
        home.set("SECRET", "hush");
        let flow: &[&str] = if more.is_empty() { &["login", "--device"] } else { &["login"] };
        assert_eq!(home.run(flow).status, 0);
        let outcome = home.run(&["whoami"]);
        assert_eq!(outcome.status, 4, "{outcome:?}");
        let scopes = "`scopes` in [providers.acme]";
        for part in [shown, "`openid`", scopes, hint] {
            assert!(outcome.messages.contains(part), "{outcome:?}");
        }
    }
}

/// Logs in with a browser that comes back at once with these parameters and the `state` of the login.
fn come_back_with(home: &mut Home, parameters: &str) -> Outcome {
    let script = format!(
        "#!/bin/sh\npage=$(curl -s -o /dev/null -w '%{{redirect_url}}' \"$1\")\n\
         curl -s -o /dev/null \"$page\"\n\
         state=$(printf %s \"$page\" | sed 's/.*[?&]state=//;s/&.*//')\n\
         curl -s -o /dev/null \"${{1%/*}}/callback?{parameters}&state=$state\"\n"
    );
    let path = home.write("browser", &script);
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(&path, mode).unwrap();
    home.set("BROWSER", path);
    home.run(&["login", "--browser"])
}

/// Gitea rejects a login with other scopes than the last one, and has no endpoint for a revocation.
#[test]
fn an_authorization_that_must_be_revoked_by_hand_is_named() {
    let refused = "error=server_error&error_description=a+grant+exists+with+different+scope";
    for (kind, path) in [("gitea", "/user/settings/applications"), ("oauth", "")] {
        let service = service(json!({}), tokens);
        let page = format!("at {}{path}", service.url);
        let mut home = home(&service, kind, "");
        let outcome = come_back_with(&mut home, refused);
        assert_eq!(outcome.status, 4, "{outcome:?}");
        assert!(outcome.messages.contains("(server_error)"), "{outcome:?}");
        let names_page = |outcome: &Outcome| outcome.messages.contains(&page) && !path.is_empty();
        assert_eq!(names_page(&outcome), kind == "gitea", "{outcome:?}");
        assert_eq!(come_back_with(&mut home, "code=c").status, 0);
        let outcome = home.run(&["logout"]);
        assert!(outcome.messages.contains("could not revoke the session"), "{outcome:?}");
        assert_eq!(names_page(&outcome), kind == "gitea", "{outcome:?}");
    }
}

fn id_token(nonce: &Value) -> Value {
    let encode = |part: Value| BASE64_URL_SAFE_NO_PAD.encode(part.to_string());
    let claims = json!({ "iat": 1_700_000_000, "exp": 1_700_000_300, "nonce": nonce });
    format!("{}.{}.c2ln", encode(json!({ "alg": "RS256" })), encode(claims)).into()
}

/// What a service answers, for a value of the request.
type Answer = fn(&str) -> Value;

/// Glewlwyd requires a nonce.
#[test]
fn an_id_token_of_another_login_is_rejected() {
    let cases: [(Answer, bool); 6] = [
        (|nonce| id_token(&nonce.into()), true),
        (|_| Value::Null, true),
        // Encrypted: it has five parts.
        (|_| "eyJ.eyJ.eyJ.eyJ.eyJ".into(), true),
        (|_| id_token(&"of-another-login".into()), false),
        (|_| id_token(&Value::Null), false),
        (|_| id_token(&7.into()), false),
    ];
    for (index, (issue, is_accepted)) in cases.into_iter().enumerate() {
        let nonce = Mutex::new(String::new());
        let service = service(json!({}), move |request| {
            let query = request.path.strip_prefix("/page?").unwrap_or_default();
            let mut sent = url::form_urlencoded::parse(query.as_bytes());
            if let Some((_, value)) = sent.find(|(name, _)| name == "nonce") {
                *nonce.lock().unwrap() = value.into_owned();
            }
            let mut issued: Value = serde_json::from_str(TOKENS).unwrap();
            issued["id_token"] = issue(&nonce.lock().unwrap());
            ok(&issued)
        });
        let mut home = home(&service, "oauth", "scopes = ['openid']");
        let outcome = come_back_with(&mut home, "code=c");
        assert_eq!(outcome.status == 0, is_accepted, "{index}: {outcome:?}");
        assert_eq!(home.read(SESSION).is_some(), is_accepted, "{index}: {outcome:?}");
        let is_named =
            outcome.messages.contains("the ID token of the response is of another login");
        assert_eq!(is_named, !is_accepted, "{index}: {outcome:?}");
    }
}

#[test]
fn a_login_without_openid_sends_no_nonce() {
    let service = service(json!({}), tokens);
    let mut home = home(&service, "oauth", "scopes = ['repo']");
    assert_eq!(come_back_with(&mut home, "code=c").status, 0);
    let requests = service.requests();
    let page = requests.iter().find(|request| request.path.starts_with("/page?")).unwrap();
    assert!(!page.path.contains("nonce"), "{page:?}");
}

/// django-oauth-toolkit sends no `iss` with an error.
#[test]
fn an_error_without_iss_is_reported() {
    for (parameters, part) in [
        ("error=access_denied", "acme rejected the login (access_denied)"),
        ("error=access_denied&iss=https://evil.dev", "acme rejected the login (access_denied)"),
        ("code=c&error=access_denied", "acme rejected the login (access_denied)"),
        ("code=c", "`iss` parameter mismatch"),
        ("code=c&iss=https://evil.dev", "`iss` parameter mismatch"),
    ] {
        let description = json!({ "authorization_response_iss_parameter_supported": true });
        let service = service(description, tokens);
        let mut home = home(&service, "oauth", "");
        let outcome = come_back_with(&mut home, parameters);
        assert_eq!((outcome.status, home.read(SESSION)), (4, None), "{parameters}: {outcome:?}");
        assert!(outcome.messages.contains(part), "{parameters}: {outcome:?}");
        assert!(service.requests().iter().all(|it| it.path != "/token"), "{parameters}");
    }
}

/// django-oauth-toolkit lists the endpoint for a revocation only by RFC 8414.
#[test]
fn missing_endpoints_are_read_from_the_other_metadata() {
    const OTHER: &str = "/.well-known/oauth-authorization-server";
    // What the other metadata says, and whether the helper may use it.
    let cases: [(u16, Answer, bool); 6] = [
        (200, |url| json!({ "issuer": url }), true),
        (200, |url| json!({ "issuer": url, "token_endpoint": format!("{url}/other") }), true),
        (200, |_| json!({ "issuer": "https://evil.dev" }), false),
        (200, |url| json!({ "issuer": url, "token_endpoint": "http://evil.dev" }), false),
        (200, |_| json!(["no metadata"]), false),
        (500, |url| json!({ "issuer": url }), false),
    ];
    for (index, (status, metadata, is_used)) in cases.into_iter().enumerate() {
        let service = service(json!({}), move |request| {
            let host = request.head.lines().find_map(|line| line.strip_prefix("host: "));
            let url = format!("http://{}", host.unwrap_or_default());
            let mut fields = metadata(&url);
            if fields.is_object() {
                fields["revocation_endpoint"] = format!("{url}/revoke").into();
            }
            if request.path == OTHER {
                (status, String::new(), fields.to_string())
            } else {
                tokens(request)
            }
        });
        let home = home(&service, "oauth", "");
        assert_eq!(home.run(&["login", "--device"]).status, 0, "{index}");
        let outcome = home.run(&["logout"]);
        let paths: Vec<_> = service.requests().into_iter().map(|it| it.path).collect();
        assert_eq!(
            paths.contains(&"/revoke".to_owned()),
            is_used,
            "{index}: {paths:?} {outcome:?}"
        );
        assert_eq!(outcome.messages.contains("could not revoke"), !is_used, "{index}: {outcome:?}");
        assert!(!paths.contains(&"/other".to_owned()), "{index}: {paths:?}");
        // Once for the login; the logout uses what is stored.
        assert_eq!(paths.iter().filter(|path| *path == OTHER).count(), 1, "{index}: {paths:?}");
    }
    let complete = service(json!({ "revocation_endpoint": "http://127.0.0.1/revoke" }), tokens);
    assert_eq!(home(&complete, "oauth", "").run(&["login", "--device"]).status, 0);
    assert!(complete.requests().iter().all(|it| it.path != OTHER), "nothing is missing");
}

/// Glewlwyd returns status 400 without a body for a session that it has ended, and for a wrong request.
#[test]
fn a_rejection_without_a_reason_names_the_login() {
    let log_in =
        "if the service rejects it again, log in with `--force`; the session is still stored";
    let try_again = "try again in a moment; the session is still stored";
    for (status, body, hint) in [
        (400, "", log_in),
        (403, "", log_in),
        (400, r#"{"error":"invalid_request"}"#, log_in),
        (429, "", try_again),
        (503, "", try_again),
    ] {
        let service = service(json!({}), move |_| (status, String::new(), body.to_owned()));
        let home = home(&service, "oauth", "");
        let then = "2020-01-01T00:00:00Z";
        let session = json!({ "access_token": "a", "refresh_token": "r", "expires_at": then, "logged_in_at": then });
        home.write(SESSION, &session.to_string());
        let outcome = home.run(&["get", "--format", "raw"]);
        assert_eq!(outcome.status, 3, "{outcome:?}");
        assert!(outcome.messages.contains(&format!("hint: {hint}")), "{status}: {outcome:?}");
        assert_eq!(home.read(SESSION), Some(session.to_string()), "{status}");
    }
}
