//! The user at the other end of a connection on this machine.

use std::net::SocketAddr;

/// Whether another user opened the connection from `peer` to `port` of 127.0.0.1; `false` if that is not known. A connection
/// of root may be one that WSL or a container forwards.
#[cfg(target_os = "linux")]
pub fn is_other_user(peer: SocketAddr, port: u16) -> bool {
    use super::atomic_file::read_public;
    use std::path::Path;
    // An IPv4 address ends alike in both tables: proc(5), /proc/net/tcp.
    let ip = u32::from_ne_bytes(std::net::Ipv4Addr::LOCALHOST.octets());
    let (local, remote) = (format!("{ip:08X}:{:04X}", peer.port()), format!("{ip:08X}:{port:04X}"));
    let owner = |line: &str| {
        let mut fields = line.split_whitespace().skip(1);
        let is_peer = fields.next()?.ends_with(&local) && fields.next()?.ends_with(&remote);
        fields.nth(4).filter(|_| is_peer)?.parse::<u32>().ok()
    };
    ["/proc/net/tcp", "/proc/net/tcp6"].iter().any(|table| {
        let table = read_public(Path::new(table)).ok().flatten().unwrap_or_default();
        let user = table.lines().find_map(owner);
        user.is_some_and(|user| user != 0 && user != rustix::process::geteuid().as_raw())
    })
}

#[cfg(not(target_os = "linux"))]
pub fn is_other_user(_: SocketAddr, _: u16) -> bool {
    false
}
