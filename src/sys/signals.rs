//! Blocks the signals that end or stop the process while it spends a refresh token or edits files. Other signals, such as
//! that of Control-\, are delivered at once.

#[cfg(unix)]
use nix::sys::signal::{SigSet, SigmaskHow, Signal, raise};

/// Blocks Control-C, Control-Z, a hang-up and a request to terminate until it is dropped. They are delivered then.
#[must_use]
pub struct BlockedSignals {
    #[cfg(unix)]
    before: Option<SigSet>,
}

/// Blocks them in this thread, and in threads that it starts. A thread that was started before may still receive them.
#[cfg(unix)]
pub fn block() -> BlockedSignals {
    let held = [Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM, Signal::SIGTSTP];
    BlockedSignals::new(&held.into_iter().collect())
}

/// Blocks every signal, so that a thread started meanwhile never receives one.
#[cfg(unix)]
pub fn block_all() -> BlockedSignals {
    BlockedSignals::new(&SigSet::all())
}

#[cfg(unix)]
impl BlockedSignals {
    fn new(signals: &SigSet) -> Self {
        Self { before: signals.thread_swap_mask(SigmaskHow::SIG_BLOCK).ok() }
    }
}

#[cfg(unix)]
impl Drop for BlockedSignals {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            let _ = before.thread_set_mask();
        }
    }
}

/// Blocks nothing: Windows has no such signals.
#[cfg(not(unix))]
pub fn block() -> BlockedSignals {
    BlockedSignals {}
}

#[cfg(not(unix))]
pub fn block_all() -> BlockedSignals {
    BlockedSignals {}
}

/// Runs a function before a signal ends the process, for as long as this lives. A thread waits for the signals
/// (sigwait(3)), which needs no handler and therefore no unsafe code; it relies on every other thread blocking them.
pub struct CleanupOnSignal {
    #[cfg(unix)]
    waiter: Option<std::thread::JoinHandle<()>>,
    _blocked: BlockedSignals,
}

#[cfg(unix)]
impl CleanupOnSignal {
    pub fn new(cleanup: fn()) -> Self {
        let ending = [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM];
        // An ignored signal ends nothing, as after nohup(1) or in the background of a shell.
        let ending: SigSet = ending.into_iter().filter(|signal| !is_ignored(*signal)).collect();
        let mut awaited = ending;
        awaited.add(WAKE);
        let blocked = BlockedSignals::new(&awaited);
        let waiter = std::thread::spawn(move || match awaited.wait() {
            Ok(WAKE) | Err(_) => {}
            Ok(signal) => {
                cleanup();
                let _ = ending.thread_unblock();
                let _ = raise(signal);
            }
        });
        Self { waiter: Some(waiter), _blocked: blocked }
    }
}

/// Whether the process ignores the signal, by the mask of proc(5). A system without that file has no safe call for it.
#[cfg(unix)]
#[expect(clippy::disallowed_methods, reason = "a file of the kernel")]
fn is_ignored(signal: Signal) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask >> (signal as u32 - 1) & 1 == 1
}

/// Ends the waiting thread. A process ignores this signal by default.
#[cfg(unix)]
const WAKE: Signal = Signal::SIGURG;

#[cfg(unix)]
impl Drop for CleanupOnSignal {
    fn drop(&mut self) {
        use std::os::unix::thread::JoinHandleExt as _;
        if let Some(waiter) = self.waiter.take()
            && nix::sys::pthread::pthread_kill(waiter.as_pthread_t(), WAKE).is_ok()
        {
            let _ = waiter.join();
        }
    }
}

#[cfg(not(unix))]
impl CleanupOnSignal {
    /// Windows restores the mode of the terminal.
    pub fn new(_cleanup: fn()) -> Self {
        Self { _blocked: block() }
    }
}
