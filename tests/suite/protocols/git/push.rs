//! A push is several requests with one token, and the token may end between two of them.

use std::time::{Duration, Instant};

use super::{Git, WAYS, gits, host, url};
use crate::support::{Home, finish, spawn};

/// The place of [`PUSH`] where its buffer stands.
const BUFFER: usize = 3;

/// By then git has been let in, and has sent nothing (githooks(5)).
const PRE_PUSH: &str = "#!/bin/sh\n>../let-in\nuntil [ -e ../go-on ]; do sleep 0.02; done\n";

const PUSH: [&str; 8] =
    ["-C", "clone", "-c", "http.postBuffer=65536", "push", "-q", "origin", "HEAD:refs/heads/large"];

/// A clone whose next push is larger than git's buffer, so that git asks once more before it sends it in chunks.
fn clone_with_a_large_commit(git: &Git<'_>, url: &str) {
    git.quietly(&["clone", "-q", url, "clone"]);
    let noise: String = (0..8000).map(|_| uuid::Uuid::new_v4().to_string()).collect();
    git.home.write("clone/noise", &noise);
    git.quietly(&["-C", "clone", "add", "noise"]);
    git.quietly(&["-C", "clone", "commit", "-q", "-m", "large"]);
    let hook = git.home.write("clone/.git/hooks/pre-push", PRE_PUSH);
    std::fs::set_permissions(hook, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
}

#[test]
fn a_token_that_expires_during_a_push_is_refreshed() {
    for program in gits() {
        for challenge in ["basic", "both"] {
            let (server, _root) = host();
            let (home, session) = Home::logged_in(&server);
            // By this machine's clock it lives on.
            home.write_session(&session, Duration::from_secs(800), Duration::from_secs(100));
            let git = Git::new(&program, home, Some(&server), WAYS[0]);
            clone_with_a_large_commit(&git, &url(&server, challenge));
            let posts = || {
                let requests = server.requests().into_iter();
                let posts = requests.filter(|request| request.path.ends_with("/git-receive-pack"));
                posts.filter_map(|request| request.status).collect::<Vec<_>>()
            };

            let mut command = git.home.command(git.program);
            command.args(PUSH);
            let push = spawn(command);
            let start = Instant::now();
            while git.home.read("let-in").is_none() {
                assert!(start.elapsed() < Duration::from_secs(20), "the hook is run");
                std::thread::sleep(Duration::from_millis(5));
            }
            server.advance(Duration::from_secs(1000));
            git.home.write("go-on", "");
            let outcome = finish(push, b"");
            assert_ne!(outcome.status, 0, "git does not ask a helper twice: {outcome:?}");
            assert!(outcome.messages.starts_with("error: RPC failed; HTTP 401"), "{outcome:?}");
            assert_eq!(posts(), [401], "nothing was sent with a token that is over");
            assert_eq!(server.refresh_requests(), 0, "`erase` takes note, and no more");

            git.quietly(&PUSH);
            assert_eq!(posts(), [401, 200, 200], "a question, and the pack in chunks");
            assert_eq!(server.refresh_requests(), 1);
            assert_ne!(git.home.session().unwrap()["access_token"], session.access_token.as_str());
        }
    }
}

#[test]
fn a_large_push_with_bearer_needs_a_large_buffer() {
    for program in gits() {
        let (server, _root) = host();
        let (home, _) = Home::logged_in(&server);
        let git = Git::new(&program, home, Some(&server), WAYS[0]);
        if !git.carries_bearer() {
            continue;
        }
        clone_with_a_large_commit(&git, &url(&server, "bearer"));
        git.home.write("go-on", "");
        let mut push = PUSH;
        // What the README tells.
        push[BUFFER] = "http.postBuffer=524288000";
        git.quietly(&push);
    }
}
