//! Guessing codes, and probing for accounts, reveals nothing.

use std::thread;
use std::time::{Duration, Instant};

use account_server::Server;
use serde_json::json;
use ureq::http::Method;

use crate::client::{Client, Reply, log_in, redeem, service, start_login};

const ADA: &str = "ada@example.com";

fn guess(client: &Client, device_code: &str, code: &str) -> Reply {
    client.post("/v1/auth/verify-code", &json!({"device_code": device_code, "code": code}))
}

fn newest_code(server: &Server) -> String {
    server.inbox().remove(0).code
}

#[test]
fn guesses_at_the_same_moment_are_counted_one_by_one() {
    let server = service();
    let device_code = start_login(&Client::of(&server), ADA);
    let guesses = (0..32).map(|_| {
        let (client, device_code) = (Client::of(&server), device_code.clone());
        thread::spawn(move || guess(&client, &device_code, "none").status)
    });
    let guesses: Vec<_> = guesses.collect();
    let statuses = guesses.into_iter().map(|guess| guess.join().unwrap());
    assert_eq!(statuses.filter(|status| *status == 400).count(), 5, "five were looked at");
    guess(&Client::of(&server), &device_code, &newest_code(&server))
        .expect_error(429, "TOO_MANY_ATTEMPTS");
}

#[test]
fn beginning_again_brings_twenty_guesses_a_day_and_no_more() {
    let server = service();
    let client = Client::of(&server);
    for _ in 0..4 {
        let device_code = start_login(&client, ADA);
        for _ in 0..5 {
            guess(&client, &device_code, "none").expect_error(400, "INVALID_CODE");
        }
    }
    let device_code = start_login(&client, ADA);
    guess(&client, &device_code, &newest_code(&server)).expect_error(429, "TOO_MANY_ATTEMPTS");
    let other = start_login(&client, "eve@example.com");
    guess(&client, &other, &newest_code(&server)).expect(200);
    let device_code = start_login(&client, ADA);
    let link = server.inbox().remove(0).link;
    assert_eq!(
        client.get(link.strip_prefix(server.url()).unwrap()).status,
        200,
        "nobody is locked out by guesses"
    );
    redeem(&client, &device_code).expect(200);
    server.advance(Duration::from_secs(24 * 60 * 60 + 1));
    let device_code = start_login(&client, ADA);
    guess(&client, &device_code, &newest_code(&server)).expect(200);
}

#[test]
fn a_code_and_its_link_work_once_together() {
    let server = service();
    let client = Client::of(&server);
    let device_code = start_login(&client, ADA);
    let mail = server.inbox().remove(0);
    let link = mail.link.strip_prefix(server.url()).unwrap();
    guess(&client, &device_code, &mail.code).expect(200);
    assert_eq!(client.get(link).status, 400, "the code was used, so the link is");
    redeem(&client, &device_code).expect(200);
    let device_code = start_login(&client, ADA);
    let mail = server.inbox().remove(0);
    client.get(mail.link.strip_prefix(server.url()).unwrap()).expect(200);
    guess(&client, &device_code, &mail.code).expect_error(400, "INVALID_CODE");
}

#[test]
fn the_link_of_a_login_that_was_guessed_at_is_void() {
    let server = service();
    let client = Client::of(&server);
    let device_code = start_login(&client, ADA);
    (0..5).for_each(|_| drop(guess(&client, &device_code, "none")));
    let link = server.inbox().remove(0).link;
    let page = client.get(link.strip_prefix(server.url()).unwrap());
    assert!(
        page.status == 400 && page.text.contains("<h1>Too many wrong codes</h1>"),
        "{}",
        page.text
    );
    redeem(&client, &device_code).expect_error(400, "AUTHORIZATION_PENDING");
}

#[test]
fn a_link_that_is_loaded_in_advance_is_not_used_up() {
    let server = service();
    let client = Client::of(&server);
    start_login(&client, ADA);
    let link = server.inbox().remove(0).link;
    let link = link.strip_prefix(server.url()).unwrap();
    for (header, value) in
        [("Sec-Purpose", "prefetch;prerender"), ("Purpose", "prefetch"), ("X-Moz", "prefetch")]
    {
        client.with(header, value).get(link).expect_error(400, "NOT_FOR_PREFETCH");
    }
    assert_eq!(client.empty(Method::HEAD, link).status, 405);
    assert_eq!(client.get(link).status, 200);
}

/// The answers are compared with their secrets left out, and the times by their medians: one is as busy as the other.
#[test]
fn neither_an_answer_nor_its_time_tells_who_has_an_account() {
    const ROUNDS: usize = 60;
    let server = service();
    let client = Client::of(&server);
    log_in(&server, &client, ADA);
    let mut times = [Vec::new(), Vec::new()];
    let mut answers = [None, None];
    for round in 0..ROUNDS {
        // In turn, so that whatever else the machine does happens to both.
        for turn in [round % 2, (round + 1) % 2] {
            let email =
                if turn == 0 { ADA.to_owned() } else { format!("nobody{round}@example.com") };
            let start = Instant::now();
            let answer = client.post("/v1/auth/device/start", &json!({ "email": email }));
            times[turn].push(start.elapsed());
            let mut answer = answer.expect(200);
            answer["device_code"] = json!("…");
            answers[turn] = Some(answer);
        }
    }
    assert_eq!(answers[0], answers[1]);
    let [known, unknown] = times.map(|mut times| {
        times.sort_unstable();
        times[ROUNDS / 2].as_secs_f64()
    });
    let ratio = known / unknown;
    assert!((0.5..2.0).contains(&ratio), "the median of one is {ratio:.2} times that of the other");
}
