//! The start of the process on Linux with glibc, instead of std's, which reads `/proc/self/maps` to guard the stack of the
//! main thread: a fifth of a whole `get` (110,000 instructions). This file does what else this program needs of std: it
//! ignores SIGPIPE and opens the standard streams that are closed.

use std::ffi::c_int;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, open};

/// glibc has passed the arguments to std before it calls this (`.init_array`).
#[expect(unsafe_code, reason = "the linker needs this name")]
#[unsafe(no_mangle)]
extern "C" fn main() -> c_int {
    ignore_broken_pipes();
    open_standard_streams();
    super::answer().into()
}

/// A closed pipe or connection is an error of the write, and does not end the process.
#[expect(unsafe_code, reason = "no safe crate sets a signal's disposition")]
fn ignore_broken_pipes() {
    // SAFETY: no other thread runs yet, and `SIG_IGN` runs no code.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
}

/// A closed standard stream becomes `/dev/null`: otherwise the next file, such as the session's, would get its number.
fn open_standard_streams() {
    let streams = [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()];
    let mut polled = streams.map(|stream| PollFd::from_borrowed_fd(stream, PollFlags::empty()));
    let no_wait = Timespec { tv_sec: 0, tv_nsec: 0 };
    if poll(&mut polled, Some(&no_wait)).is_err() {
        return;
    }
    for _ in polled.iter().filter(|stream| stream.revents().contains(PollFlags::NVAL)) {
        // The lowest free number is that of the closed stream.
        match open("/dev/null", OFlags::RDWR, Mode::empty()) {
            Ok(file) => std::mem::forget(file),
            Err(_) => std::process::abort(),
        }
    }
}
