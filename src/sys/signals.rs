//! Signals that end or stop the process, held off while it does what must not be left half done. The others come
//! through at once, Control-\ among them.

/// While this lives, Control-C, Control-Z, a hang-up and a request to end wait; then they do what they always do.
#[must_use]
pub struct BlockedSignals {
    #[cfg(unix)]
    before: Option<nix::sys::signal::SigSet>,
}

/// Holds them off in this thread and in those that it starts, which inherit that. A thread that was there before could
/// still be hit.
#[cfg(unix)]
pub fn block() -> BlockedSignals {
    use nix::sys::signal::{SigSet, SigmaskHow, Signal};
    let held: SigSet =
        [Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM, Signal::SIGTSTP].into_iter().collect();
    BlockedSignals { before: held.thread_swap_mask(SigmaskHow::SIG_BLOCK).ok() }
}

#[cfg(unix)]
impl Drop for BlockedSignals {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            let _ = before.thread_set_mask();
        }
    }
}

/// Not yet.
#[cfg(not(unix))]
pub fn block() -> BlockedSignals {
    BlockedSignals {}
}
