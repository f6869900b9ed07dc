//! `token` and `session` against the real service.

use my_credential_helper::model::Timestamp;
use serde_json::{Value, json};

use crate::support::{Home, Outcome, service};

/// A home that is logged in, and an API token of the same account.
fn account() -> (account_server::Server, Home) {
    let server = service();
    let (home, _) = Home::logged_in(&server);
    (server, home)
}

fn made(outcome: &Outcome) -> Value {
    assert_eq!(outcome.status, 0, "{outcome:?}");
    outcome.json()
}

#[test]
fn a_token_is_shown_once_with_instructions() {
    let (_server, home) = account();
    let outcome = home.run(&["token", "create", "ci", "--expires-in", "30d"]);
    let mut lines = outcome.output.lines();
    assert!(
        lines.next().unwrap().starts_with("Created token `ci`, which expires 20"),
        "{outcome:?}"
    );
    let token = lines.nth(1).unwrap().trim();
    assert!(token.starts_with("myc_") && token.len() == 44, "{outcome:?}");
    assert!(lines.nth(1).unwrap().starts_with(
        "Pass it to a job as MY_API_TOKEN. To revoke it, run `my-credential-helper token "
    ));
    assert!(!home.run(&["token", "list"]).output.contains(token), "and never again");
}

#[test]
fn quiet_prints_only_the_token() {
    let (_server, mut home) = account();
    let outcome = home.run(&["token", "create", "ci", "--quiet"]);
    let token = outcome.output.strip_suffix('\n').unwrap().to_owned();
    assert!(token.starts_with("myc_") && !token.contains(char::is_whitespace), "{outcome:?}");
    home.set("MY_API_TOKEN", &token);
    let whoami = home.run(&["whoami"]);
    assert!(whoami.output.ends_with(&format!("api token:   {}...\n", &token[..12])), "{whoami:?}");
}

#[test]
fn the_list_is_a_table_for_people_and_json_for_programs() {
    let (_server, home) = account();
    assert_eq!(home.run(&["token", "list"]).messages, "No API tokens.\n");
    let token = made(&home.run(&["token", "create", "ci", "--json"]));
    let (id, prefix) = (token["id"].as_str().unwrap(), token["token_prefix"].as_str().unwrap());
    let width = id.len();
    assert_eq!(
        home.run(&["token", "list"]).output,
        format!(
            "{:width$}  NAME  PREFIX           LAST USED  EXPIRES\n{id}  ci    {prefix}  never      never\n",
            "ID"
        )
    );
    let listed = made(&home.run(&["token", "list", "--json"]));
    assert_eq!(listed["tokens"][0]["name"], "ci");
    assert_eq!(listed["tokens"][0].get("token"), None, "never a secret");
}

#[test]
fn a_token_is_revoked_by_id_or_unique_name() {
    let (server, mut home) = account();
    let token = made(&home.run(&["token", "create", "ci", "--json"]));
    let asked = home.run(&["token", "revoke", "ci"]);
    assert_eq!(
        (asked.status, asked.messages.as_str()),
        (2, "error: no terminal to prompt on\n\nhint: use `--yes` to skip the confirmation\n")
    );
    let prefix = token["token_prefix"].as_str().unwrap();
    let revoked = home.run(&["token", "revoke", "ci", "--force"]);
    assert_eq!(revoked.output, format!("Revoked the token `ci` ({prefix}).\n"));
    assert_eq!(
        home.run(&["token", "revoke", "ci", "--force"]).status,
        1,
        "it is not there any more"
    );
    let by_id = made(&home.run(&["token", "create", "other", "--json"]));
    assert_eq!(home.run(&["token", "revoke", by_id["id"].as_str().unwrap(), "--force"]).status, 0);
    home.set("MY_API_TOKEN", token["token"].as_str().unwrap());
    let refused = home.run(&["whoami"]);
    assert_eq!(refused.status, 4, "{refused:?}");
    assert!(
        refused.messages.contains("set MY_API_TOKEN to a valid token, or run `unset MY_API_TOKEN`"),
        "{refused:?}"
    );
    assert_eq!(server.refresh_requests(), 0, "with the variable set no refresh happens");
}

#[test]
fn tokens_with_the_same_name_are_revoked_by_id() {
    let (_server, home) = account();
    for _ in 0..2 {
        made(&home.run(&["token", "create", "ci", "--json"]));
    }
    let outcome = home.run(&["token", "revoke", "ci", "--force"]);
    assert_eq!(outcome.status, 2);
    assert!(outcome.messages.contains("several tokens are named `ci`"), "{outcome:?}");
}

#[test]
fn limits_of_the_service_are_reported_with_a_hint() {
    let (_server, home) = account();
    let refused = |arguments: &[&str], reason: &str, hint: &str| {
        let outcome = home.run(arguments);
        assert_eq!(outcome.status, 4, "{outcome:?}");
        assert!(
            outcome.messages.contains(reason) && outcome.messages.contains(hint),
            "{outcome:?}"
        );
    };
    for name in ["x".repeat(101), "ä".repeat(51)] {
        refused(
            &["token", "create", &name],
            "INVALID_REQUEST",
            "use a name of 1 to 100 bytes (a character outside ASCII has several)",
        );
    }
    assert_eq!(home.run(&["token", "create", &"ä".repeat(50)]).status, 0);
    for number in 1..10 {
        made(&home.run(&["token", "create", &format!("t{number}"), "--json"]));
    }
    refused(
        &["token", "create", "eleventh"],
        "TOKEN_LIMIT_REACHED",
        "revoke a token with `token revoke`",
    );
}

#[test]
fn a_lifetime_that_no_token_can_have_is_not_sent() {
    let (server, home) = account();
    server.clear_requests();
    for lifetime in [
        "",
        "d",
        "5w",
        "30",
        "0d",
        "0h",
        "00y",
        "-1d",
        "+1d",
        "1.5d",
        "1 d",
        " 1d",
        "1D",
        "1d ",
        "101y",
        "36501d",
        "876001h",
        "99999y",
        "18446744073709551616d",
        "18446744073709551615y",
        "\u{661}d",
    ] {
        let create = format!("--expires-in={lifetime}");
        let outcome = home.run(&["token", "create", "ci", &create]);
        assert_eq!(outcome.status, 2, "{outcome:?}");
        assert!(outcome.messages.contains("`--expires-in 30d`"), "{outcome:?}");
    }
    assert_eq!(server.requests().len(), 0);
    for lifetime in ["1h", "365d", "100y", "036500d"] {
        let token = made(&home.run(&["token", "create", "ci", "--expires-in", lifetime, "--json"]));
        let expiry = Timestamp::parse(token["expires_at"].as_str().unwrap()).unwrap();
        assert!(expiry > Timestamp::parse(token["created_at"].as_str().unwrap()).unwrap());
    }
}

#[test]
fn managing_tokens_requires_a_session() {
    let (server, mut home) = account();
    home.set("MY_API_TOKEN", server.api_token("me@acme.dev", "ci").unwrap().token);
    let outcome = home.run(&["token", "list"]);
    assert_eq!(outcome.status, 4);
    assert_eq!(
        outcome.messages,
        "error: cannot list the tokens at mycli: this requires a session, not an API token\n\n\
         hint: run `unset MY_API_TOKEN` to use your session\n"
    );
}

/// Chooses the user name without which the service has no profiles.
fn choose_username(server: &account_server::Server, home: &Home) {
    ureq::patch(format!("{}/v1/me/username", server.url()))
        .header("authorization", format!("Bearer {}", home.token()))
        .content_type("application/json")
        .send(json!({ "username": "ada" }).to_string())
        .unwrap();
}

#[test]
fn a_profile_requires_a_user_name() {
    let (server, home) = account();
    let create = ["token", "create", "ci", "--profile", "work"];
    let outcome = home.run(&create);
    assert_eq!(outcome.status, 4, "{outcome:?}");
    assert!(
        outcome.messages.contains("USERNAME_REQUIRED")
            && outcome.messages.ends_with(
                "hint: run `my-credential-helper login --force --username NAME` to choose a user name\n"
            ),
        "{outcome:?}"
    );
    choose_username(&server, &home);
    let outcome = home.run(&create);
    assert_eq!(outcome.status, 1, "{outcome:?}");
    assert_eq!(
        outcome.messages,
        "error: unknown profile `work`\n\nhint: use the profile's slug as `my` shows it\n"
    );
}

#[test]
fn a_token_for_a_profile_reads_only_its_catalog() {
    let (server, home) = account();
    choose_username(&server, &home);
    let session = home.token();
    for slug in ["work", "home"] {
        let profile = json!({ "slug": slug, "name": slug }).to_string();
        ureq::post(format!("{}/v1/profiles", server.url()))
            .header("authorization", format!("Bearer {session}"))
            .content_type("application/json")
            .send(profile)
            .unwrap();
    }
    let token = made(&home.run(&["token", "create", "ci", "--profile", "work", "--json"]));
    let status = |profile: &str| {
        let url = format!("{}/v1/catalog?profile={profile}", server.url());
        let call = ureq::get(url)
            .header("authorization", format!("Bearer {}", token["token"].as_str().unwrap()));
        match call.call() {
            Ok(answer) => answer.status().as_u16(),
            Err(ureq::Error::StatusCode(status)) => status,
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!((status("work"), status("home")), (200, 403));
}

#[test]
fn sessions_are_listed_and_the_others_are_revoked() {
    let (server, home) = account();
    let device = "6f2c1b1e-0000-4000-8000-000000000001";
    home.write(".my/device_id", device);
    let mine = server.session_on("me@acme.dev", Some(device)).unwrap();
    home.write_session(&mine, std::time::Duration::from_secs(900), std::time::Duration::ZERO);
    let listed = made(&home.run(&["session", "list", "--json"]));
    let sessions = listed["sessions"].as_array().unwrap();
    let current: Vec<_> = sessions.iter().filter(|session| session["current"] == true).collect();
    assert_eq!((sessions.len(), current.len()), (2, 1));
    assert_eq!(current[0]["id"], mine.session_id.as_str());
    assert_eq!(home.run(&["session", "revoke", "--others"]).output, "Revoked 1 other session.\n");
    let outcome = home.run(&["session", "revoke", &mine.session_id]);
    assert_eq!(outcome.output, format!("Revoked the session {}.\n", mine.session_id));
    assert!(
        outcome
            .messages
            .contains("run `my-credential-helper logout` to remove it from this device"),
        "{outcome:?}"
    );
}

#[test]
fn revoking_an_unknown_session_is_an_error() {
    let (server, home) = account();
    let other = server.session("me@acme.dev").unwrap();
    let outcome = home.run(&["session", "revoke", &other.session_id]);
    assert_eq!((outcome.status, outcome.messages.as_str()), (0, ""), "{outcome:?}");
    let outcome = home.run(&["session", "revoke", "nowhere"]);
    assert_eq!(
        (outcome.status, outcome.messages.as_str()),
        (
            1,
            "error: unknown session `nowhere`\n\nhint: run `my-credential-helper session list` for the list of sessions\n"
        )
    );
}
