//! What std's runtime would see to before `main`, and the program sees to by itself.

use std::process::Stdio;

use crate::support::{HELPER, Home, service};

#[test]
fn closed_standard_streams_become_dev_null() {
    let server = service();
    let (home, _) = Home::with_stale_session(&server);
    // It ends by being the command, which sees what was opened in the meantime.
    let list = "exec 3>streams; for n in 0 1 2; do readlink /proc/$$/fd/$n >&3; done";
    home.run_client(&["sh", "-c", &format!("exec {HELPER} exec -- bash -c '{list}' <&- >&- 2>&-")]);
    assert_eq!(home.read("streams").as_deref(), Some("/dev/null\n/dev/null\n/dev/null\n"));
    assert!(home.session().is_some(), "the file is the session's JSON and nothing else");
}

#[test]
fn a_reader_that_went_away_does_not_kill_the_process() {
    let server = service();
    let (home, _) = Home::logged_in(&server);
    let mut command = home.command(HELPER);
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let status = command.arg("get").stdin(Stdio::null()).stdout(writer).status().expect("it ends");
    assert_eq!(status.code(), Some(0), "{status:?}");
}

#[test]
fn a_child_of_exec_dies_of_a_broken_pipe_as_it_would_by_itself() {
    let server = service();
    let (home, _) = Home::logged_in(&server);
    let outcome = home.run_client(&[
        "bash",
        "-c",
        &format!("{HELPER} exec -- yes | head -n 1; echo ${{PIPESTATUS[0]}}"),
    ]);
    assert_eq!(outcome.output, "y\n141\n", "{outcome:?}");
}
