//! Ports for servers that are programs of their own, and for addresses where nobody listens.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the ephemeral ports (32768 and above): no outgoing connection and no listener on port 0 takes one of these between
/// this call and the start of the server.
const RANGE: std::ops::Range<u16> = 12_000..32_000;

/// An address on which nobody listens, also not on the next port, which OpenBao takes too. Each call of this process returns
/// another pair; another process begins elsewhere.
pub(crate) fn free_address() -> String {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let begin = std::process::id().wrapping_mul(7919);
    loop {
        let step = 2 * u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let offset = begin.wrapping_add(step) % u32::from(RANGE.end - RANGE.start);
        let port = RANGE.start + u16::try_from(offset).unwrap();
        let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
        if is_free(port) && is_free(port + 1) {
            return format!("127.0.0.1:{port}");
        }
    }
}
