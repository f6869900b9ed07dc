//! The credential-helper protocol with its real caller, the crate of its authors (no Bazel is asked: it is larger than
//! all the rest), against the account service, which rejects requests without a token.

use std::time::Duration;

use credentialhelper::{Client, CredentialHelper as _, GetCredentialsRequest};

use crate::support::{Home, check_integration, has_client, service};

/// What Bazel is given: the path of one program, which it calls with `get` alone.
fn client(home: &mut Home) -> Client {
    let link = home.link("bazel-credential-my");
    // The caller hands its own variables on, and these are a test's.
    let script = format!(
        "#!/bin/sh\nexec env -i HOME={} {} \"$@\"\n",
        home.path().display(),
        link.display()
    );
    let path = home.write("helper.sh", &script);
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    Client::new(path.to_str().unwrap()).unwrap()
}

/// Asks for a URL with what the helper gives for it; the status.
fn fetch(client: &Client, url: &str) -> u16 {
    let response =
        client.get_credentials(GetCredentialsRequest::new(url), Vec::new()).expect("an answer");
    let agent =
        ureq::Agent::from(ureq::Agent::config_builder().http_status_as_error(false).build());
    let mut request = agent.get(url);
    for (name, values) in response.headers() {
        for value in values {
            request = request.header(&name, value);
        }
    }
    request.call().expect("the service answers").status().as_u16()
}

#[test]
fn a_build_sends_the_token_and_refreshes_a_stale_one() {
    let server = service();
    let (mut home, session) = Home::logged_in(&server);
    let client = client(&mut home);
    let url = format!("{}/v1/me", server.url());
    assert_eq!(fetch(&client, &url), 200);

    server.revoke_access(&session.access_token);
    assert_eq!(fetch(&client, &url), 401, "the service refuses");
    home.write_session(&session, Duration::ZERO, Duration::from_secs(3600));
    assert_eq!(fetch(&client, &url), 200);
    assert_eq!(server.refresh_requests(), 1);
}

#[test]
fn a_build_without_a_session_fails_only_for_our_host() {
    let server = service();
    let mut home = Home::at(&server);
    let client = client(&mut home);
    let ask = |url: &str| client.get_credentials(GetCredentialsRequest::new(url), Vec::new());
    assert!(ask(server.url()).is_err(), "nothing is written, and the build says why");
    assert!(
        ask("https://github.com/acme/rules/v1.tar.gz").expect("an answer").headers().is_empty()
    );
    assert!(ask("grpcs://cache.example.com").expect("an answer").headers().is_empty());
}

#[test]
fn the_configuration_of_the_readme_works_from_an_empty_home() {
    let readme = include_str!("../../../integrations/bazel/README.md");
    assert!(
        readme.contains(include_str!("../../../integrations/bazel/bazelrc")),
        "the README quotes what is tested"
    );
    if !["curl", "jq"].into_iter().all(has_client) {
        return;
    }
    let server = service();
    let mut home = Home::new();
    home.set("SERVER", server.url());
    home.set("TOKEN", server.api_token("me@acme.dev", "test").unwrap().token);
    check_integration(home, "bazel");
}
