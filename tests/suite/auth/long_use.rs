//! Use for a long time: no file grows, no descriptor is left open, and memory stays flat. `MY_TEST_GETS` and
//! `MY_TEST_REFRESHES` make it longer.

use std::io::{BufRead as _, BufReader, Write as _};

use serde_json::json;

use crate::support::seed::number;
use crate::support::{Home, service};

/// Sizes of all files below the home, and how many there are.
fn size(home: &Home) -> (usize, usize) {
    let files = home.snapshot();
    (files.len(), files.values().flatten().map(Vec::len).sum())
}

fn expire(home: &Home) {
    let mut session = home.session().expect("a session");
    for name in ["expires_at", "last_refreshed_at"] {
        session[name] = "2020-01-01T00:00:00Z".into();
    }
    home.write(".my/credentials.json", &session.to_string());
}

#[test]
fn many_refreshes_leave_one_file_of_constant_size() {
    let server = service();
    let (home, _) = Home::with_stale_session(&server);
    home.token();
    expire(&home);
    let before = size(&home);
    let refreshes = number("MY_TEST_REFRESHES", 15);
    for _ in 0..refreshes {
        home.token();
        expire(&home);
        server.advance(std::time::Duration::from_secs(60));
    }
    let after = size(&home);
    assert_eq!(after.0, before.0, "files");
    assert!(after.1.abs_diff(before.1) < 64, "bytes: {before:?}, {after:?}");
    assert_eq!(server.refresh_requests() as u64, refreshes + 1);
}

/// Open descriptors, and KiB of memory that are its own.
fn footprint(process: u32) -> (usize, usize) {
    let descriptors = std::fs::read_dir(format!("/proc/{process}/fd")).expect("Linux").count();
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("Linux");
    let resident =
        status.lines().find_map(|line| line.strip_prefix("RssAnon:")?.trim().strip_suffix(" kB"));
    (descriptors, resident.and_then(|kib| kib.trim().parse().ok()).expect("a number"))
}

#[test]
fn a_long_conversation_leaks_no_descriptor_or_memory() {
    let server = service();
    let (home, _) = Home::with_stale_session(&server);
    let mut helper = home.start(&["cargo", "--cargo-plugin"]);
    let mut answers = BufReader::new(helper.stdout.take().unwrap()).lines();
    answers.next().unwrap().unwrap();
    let mut stdin = helper.stdin.take().unwrap();
    let index = format!("sparse+{}/index/", server.url());
    let request =
        json!({ "v": 1, "kind": "get", "operation": "read", "registry": { "index-url": index } });
    let mut ask = || {
        writeln!(stdin, "{request}").unwrap();
        let answer = answers.next().unwrap().unwrap();
        assert!(answer.starts_with(r#"{"Ok""#), "{answer}");
    };
    let mut ask_with_refreshes = |gets: u64| {
        for get in 0..gets {
            if get % 100 == 0 {
                expire(&home);
            }
            ask();
        }
    };
    ask_with_refreshes(300);
    let (before, files) = (footprint(helper.id()), size(&home));
    ask_with_refreshes(number("MY_TEST_GETS", 1500));
    let after = footprint(helper.id());
    assert_eq!((after.0, size(&home).0), (before.0, files.0), "descriptors and files");
    assert!(after.1 < before.1 + 512, "KiB of memory: {} became {}", before.1, after.1);
    println!("descriptors {}, memory {} KiB, then {} KiB", after.0, before.1, after.1);
    drop(stdin);
    assert!(helper.wait().unwrap().success());
}

#[test]
fn many_processes_change_no_file() {
    let server = service();
    let (home, session) = Home::logged_in(&server);
    let before = home.snapshot();
    for _ in 0..number("MY_TEST_GETS", 1500) / 10 {
        assert_eq!(home.token(), session.access_token);
    }
    assert_eq!(home.snapshot(), before);
}
