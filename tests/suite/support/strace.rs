//! A program under strace: first recorded with its system calls to the network and the disk, then killed, or failed, at
//! one of these calls.

use std::io::Write as _;
use std::process::{Command, Stdio};

use super::{HELPER, Home, Outcome, finish, has_client, spawn};

/// What changes or reads the disk or the network.
const CALLS: &str = "openat,read,write,writev,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,\
                     fchmod,chmod,fchmodat,ftruncate,fallocate,flock,getdents64,close,socket,connect,sendto,sendmsg,\
                     recvfrom,recvmsg";

/// A system call of a run: the `number`th of that name in its thread, which is how strace counts.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) name: String,
    pub(crate) number: usize,
    /// Whether another thread has calls of that name: how many differs from run to run.
    pub(crate) is_shared: bool,
    /// Whether it is a call to the session bus.
    pub(crate) is_to_bus: bool,
    #[expect(dead_code, reason = "shown where something does not hold")]
    shown: String,
}

/// Whether strace is there and may trace; said loudly where not.
pub(crate) fn is_permitted() -> bool {
    if !has_client("strace") {
        return false;
    }
    let mut command = Command::new("strace");
    command.args(["-f", "--seccomp-bpf", "-qq", "-e", "trace=none", "true"]);
    let works = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !works {
        let _ = writeln!(std::io::stderr(), "SKIPPED: strace may not trace here");
    }
    works
}

fn traced(home: &Home, expressions: &[&str], arguments: &[String]) -> Command {
    // Whatever happens, it ends: with this status for a program that did not.
    let mut command = home.command("timeout");
    command.args(["--signal=KILL", "60", "strace"]);
    command
        .args(["-f", "--seccomp-bpf", "-qq", "-yy", "-s", "0", "-o"])
        .arg(home.path().join("strace.log"));
    for expression in expressions {
        command.args(["-e", expression]);
    }
    command.arg(HELPER).args(arguments);
    command
}

/// Runs the helper to its end; its calls to the network and to files of the home, in order.
pub(crate) fn calls_of(home: &Home, arguments: &[String], input: &str) -> (Outcome, Vec<Call>) {
    let outcome =
        finish(spawn(traced(home, &[&format!("trace={CALLS}")], arguments)), input.as_bytes());
    let log = home.read("strace.log").expect("strace writes its log");
    let place = home.path().display().to_string();
    // The home is also the working directory, which says nothing of a call.
    let cwd = format!("AT_FDCWD<{place}>");
    let is_ours = |line: &str| {
        let line = line.replace(&cwd, "");
        line.contains(&place) || line.contains("<TCP") || line.contains("<UNIX")
    };
    let mut counts = std::collections::HashMap::<(String, String), usize>::new();
    let mut threads = std::collections::HashMap::<String, std::collections::HashSet<String>>::new();
    let mut calls = Vec::new();
    for line in log.lines() {
        // `4711 openat(AT_FDCWD</x>, …`; a call that is resumed has been counted.
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let Some((name, _)) =
            rest.trim_start().split_once('(').filter(|(name, _)| !name.starts_with('<'))
        else {
            continue;
        };
        let count = counts.entry((thread.to_owned(), name.to_owned())).or_default();
        *count += 1;
        threads.entry(name.to_owned()).or_default().insert(thread.to_owned());
        if is_ours(line) {
            let (name, shown) = (name.to_owned(), rest.trim_start().to_owned());
            // The program itself is loaded with `read`.
            let is_to_bus = shown.contains("<UNIX") && !matches!(&*name, "read" | "write");
            calls.push(Call { name, number: *count, is_shared: false, is_to_bus, shown });
        }
    }
    for call in &mut calls {
        call.is_shared = threads[&call.name].len() > 1;
    }
    (outcome, calls)
}

/// Runs the helper, and kills it before this call is carried out.
pub(crate) fn kill_before(home: &Home, arguments: &[String], input: &str, call: &Call) -> Outcome {
    inject(home, arguments, input, &format!("{}:signal=SIGKILL:when={}", call.name, call.number))
}

/// Runs the helper, and lets this call fail; every later one of that name too where `lasts`.
pub(crate) fn fail(
    home: &Home,
    arguments: &[String],
    input: &str,
    call: &Call,
    error: &str,
    lasts: bool,
) -> Outcome {
    let more = if lasts { "+" } else { "" };
    inject(
        home,
        arguments,
        input,
        &format!("{}:error={error}:when={}{more}", call.name, call.number),
    )
}

/// Runs the helper, and lets the `number`th call of that name in a thread fail.
pub(crate) fn fail_nth(home: &Home, arguments: &[String], name: &str, number: usize) -> Outcome {
    let inject = format!("inject={name}:error=EIO:when={number}");
    let outcome = finish(spawn(traced(home, &[&format!("trace={name}"), &inject], arguments)), b"");
    std::fs::remove_file(home.path().join("strace.log")).expect("strace writes its log");
    outcome
}

fn inject(home: &Home, arguments: &[String], input: &str, what: &str) -> Outcome {
    let (trace, inject) = (format!("trace={CALLS}"), format!("inject={what}"));
    finish(spawn(traced(home, &[&trace, &inject], arguments)), input.as_bytes())
}
