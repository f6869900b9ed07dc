//! The start of the process on Linux with glibc, in the place of std's, which reads `/proc/self/maps` to guard the stack
//! of the main thread: a fifth of what a whole `get` costs (110,000 instructions). What std does besides is done here.

use std::ffi::c_int;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, open};

/// glibc has handed the arguments to std before it calls this (`.init_array`).
#[expect(unsafe_code, reason = "the name, which the linker looks for")]
#[unsafe(no_mangle)]
extern "C" fn main() -> c_int {
    ignore_broken_pipes();
    open_standard_streams();
    super::answer().into()
}

/// A reader or a server that goes away is an error where something is written, and not the end of the process.
#[expect(unsafe_code, reason = "no safe crate sets a signal's disposition")]
fn ignore_broken_pipes() {
    // SAFETY: no other thread runs yet, and `SIG_IGN` runs no code.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
}

/// A standard stream that is closed becomes `/dev/null`: else the next file that is opened would take its number, and a
/// message for people would be written into the file of the session.
fn open_standard_streams() {
    let streams = [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()];
    let mut polled = streams.map(|stream| PollFd::from_borrowed_fd(stream, PollFlags::empty()));
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    if poll(&mut polled, Some(&at_once)).is_err() {
        return;
    }
    for _ in polled.iter().filter(|stream| stream.revents().contains(PollFlags::NVAL)) {
        // The lowest free number is the closed one's.
        match open("/dev/null", OFlags::RDWR, Mode::empty()) {
            Ok(file) => std::mem::forget(file),
            Err(_) => std::process::abort(),
        }
    }
}
