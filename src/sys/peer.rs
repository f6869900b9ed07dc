//! The user at the other end of a connection on this machine.

use std::net::SocketAddr;

/// Whether another user opened the connection from `peer` to `port` of 127.0.0.1. A connection that no table lists counts as
/// one of another user, except in WSL: it may come from Windows. A connection of root may be one that WSL or a container
/// forwards.
#[cfg(target_os = "linux")]
pub fn is_other_user(peer: SocketAddr, port: u16) -> bool {
    use super::atomic_file::read_configuration;
    use std::net::{Ipv4Addr, SocketAddrV4};
    use std::path::Path;
    let SocketAddr::V4(peer) = peer else { return true };
    let read = |path| read_configuration(Path::new(path)).ok().flatten().unwrap_or_default();
    // An IPv4 address ends alike in both tables: proc(5), /proc/net/tcp.
    let text = |end: SocketAddrV4| {
        format!("{:08X}:{:04X}", u32::from_ne_bytes(end.ip().octets()), end.port())
    };
    let (local, remote) = (text(peer), text(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)));
    let owner = |line: &str| {
        let mut fields = line.split_whitespace().skip(1);
        let is_peer = fields.next()?.ends_with(&local) && fields.next()?.ends_with(&remote);
        fields.nth(4).filter(|_| is_peer)?.parse::<u32>().ok()
    };
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].into_iter();
    match tables.map(read).find_map(|table| table.lines().find_map(owner)) {
        Some(user) => user != 0 && user != rustix::process::geteuid().as_raw(),
        None => !read("/proc/sys/kernel/osrelease").to_ascii_lowercase().contains("microsoft"),
    }
}

#[cfg(not(target_os = "linux"))]
pub fn is_other_user(_: SocketAddr, _: u16) -> bool {
    false
}
