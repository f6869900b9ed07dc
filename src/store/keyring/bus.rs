//! The address of the session bus, from the environment and the file system, and whose bus it is.
//!
//! The keyring of another user would receive every login. A stale `DBUS_SESSION_BUS_ADDRESS` (tmux, `su`) leads to the name
//! of a socket that anyone may have taken, and `XDG_RUNTIME_DIR` may be a directory that others can write.

use std::ffi::{OsStr, OsString};
use std::os::fd::AsRawFd as _;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::Path;

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};

use super::KeyringEnvironment;
use crate::model::{OffReason, StoreFailure};
use crate::store::StoreResult;
use crate::sys::atomic_file;

/// The vendored libdbus waits with `select`, which writes beyond its array for a descriptor of 1024 or more.
const MAX_DESCRIPTOR: i32 = 1000;

/// The sockets that may be the session bus, in the order in which they are tried.
pub(super) struct Address {
    sockets: Vec<SocketAddr>,
    /// The variable that names them.
    variable: &'static str,
    pub(super) may_prompt: bool,
}

/// Connects to nothing.
pub(super) fn find_address(environment: &KeyringEnvironment) -> Result<Address, OffReason> {
    let set = |value: &Option<OsString>| value.clone().filter(|value| !value.is_empty());
    let (variable, named, otherwise) = if let Some(addresses) = set(&environment.bus_address) {
        let variable = "DBUS_SESSION_BUS_ADDRESS";
        (variable, parse(addresses.as_bytes())?, OffReason::UnreachableBus { variable })
    } else {
        let directory = set(&environment.runtime_dir).ok_or(OffReason::NoSessionBus)?;
        let socket = SocketAddr::from_pathname(Path::new(&directory).join("bus"));
        ("XDG_RUNTIME_DIR", socket.into_iter().collect(), OffReason::NoSessionBus)
    };
    let sockets: Vec<_> = named.into_iter().filter_map(existing).collect();
    if sockets.is_empty() {
        return Err(otherwise);
    }
    Ok(Address { sockets, variable, may_prompt: environment.may_prompt })
}

/// libdbus would run a program for `unixexec:` and `autolaunch:`, and send secrets in clear over `tcp:`.
fn parse(addresses: &[u8]) -> Result<Vec<SocketAddr>, OffReason> {
    let addresses = addresses.split(|&byte| byte == b';').filter(|address| !address.is_empty());
    let sockets = addresses.filter_map(|address| match address.strip_prefix(b"unix:") {
        Some(options) => parse_options(options).map(Ok),
        None => Some(Err(OffReason::RemoteBus)),
    });
    sockets.collect()
}

/// `None` for an address that libdbus does not connect to: `runtime`, `dir` and `tmpdir` are for servers.
fn parse_options(options: &[u8]) -> Option<SocketAddr> {
    let mut socket = None;
    for option in options.split(|&byte| byte == b',') {
        let (key, value) = option.split_at(option.iter().position(|&byte| byte == b'=')?);
        let value = unescaped(&value[1..])?;
        let found = match key {
            b"guid" => continue,
            b"path" if value.starts_with(b"/") => {
                SocketAddr::from_pathname(OsStr::from_bytes(&value))
            }
            b"abstract" => SocketAddr::from_abstract_name(&value),
            _ => return None,
        };
        if socket.replace(found.ok()?).is_some() {
            return None;
        }
    }
    socket
}

/// The socket without links, if any. An abstract socket is not a file.
fn existing(socket: SocketAddr) -> Option<SocketAddr> {
    let Some(path) = socket.as_pathname() else { return Some(socket) };
    let path = path.canonicalize().ok()?;
    let is_socket = path.metadata().is_ok_and(|found| found.file_type().is_socket());
    SocketAddr::from_pathname(path).ok().filter(|_| is_socket)
}

/// libdbus ends a value at a NUL: an address with one would lead to another socket.
fn unescaped(value: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.iter();
    while let Some(&byte) = rest.next() {
        let mut digit = || char::from(*rest.next()?).to_digit(16);
        let code = if byte == b'%' { digit()? << 4 | digit()? } else { byte.into() };
        bytes.push(u8::try_from(code).ok().filter(|&byte| byte != 0)?);
    }
    Some(bytes)
}

/// By the D-Bus specification: libdbus rejects an address with any other byte unescaped.
fn escaped(value: &[u8]) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_/.\\*".contains(&byte);
    let escape = |&byte: &u8| {
        if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02x}") }
    };
    value.iter().map(escape).collect()
}

impl Address {
    /// The first address where somebody listens, for libdbus; an error if that is not this user. Sends nothing.
    pub(super) fn verify(&self) -> StoreResult<String> {
        let (variable, user) = (self.variable, rustix::process::geteuid().as_raw());
        // Root is another user: neither stores a login in the keyring of the other.
        let is_user = |peer: &UnixStream| {
            getsockopt(peer, PeerCredentials).is_ok_and(|peer| peer.uid() == user)
        };
        for socket in &self.sockets {
            let (kind, name) = match socket.as_pathname() {
                Some(path) => ("path", path.as_os_str().as_bytes()),
                None => ("abstract", socket.as_abstract_name().unwrap_or_default()),
            };
            if socket.as_pathname().is_some_and(atomic_file::may_be_foreign) {
                return Err(OffReason::ForeignBus { variable }.into());
            }
            match UnixStream::connect_addr(socket) {
                Ok(peer) if peer.as_raw_fd() > MAX_DESCRIPTOR => {
                    return Err(StoreFailure::Failed("too many open files".to_owned()));
                }
                Ok(peer) if is_user(&peer) => return Ok(format!("unix:{kind}={}", escaped(name))),
                Ok(_) => return Err(OffReason::ForeignBus { variable }.into()),
                Err(_) => {}
            }
        }
        Err(OffReason::UnreachableBus { variable }.into())
    }
}

#[cfg(test)]
mod tests {
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::net::SocketAddr;

    use super::{escaped, parse};
    use crate::model::OffReason;

    fn parsed(addresses: &str) -> Result<Vec<String>, OffReason> {
        let text = |socket: SocketAddr| match socket.as_pathname() {
            Some(path) => path.display().to_string(),
            None => format!("@{}", String::from_utf8_lossy(socket.as_abstract_name().unwrap())),
        };
        Ok(parse(addresses.as_bytes())?.into_iter().map(text).collect())
    }

    #[test]
    fn an_address_is_decoded_as_libdbus_decodes_it() {
        for (addresses, sockets) in [
            ("unix:path=/run/user/1000/bus", &["/run/user/1000/bus"][..]),
            ("unix:path=/a%20b%2cc,guid=00;unix:abstract=/tmp/dbus-x", &["/a b,c", "@/tmp/dbus-x"]),
            ("unix:guid=00,abstract=x;", &["@x"]),
            ("unix:runtime=yes", &[]),
            ("unix:dir=/tmp", &[]),
            ("unix:tmpdir=/tmp;unix:path=/x", &["/x"]),
            ("unix:path=/x,tmpdir=/tmp", &[]),
            ("unix:path=/x,abstract=y", &[]),
            ("unix:path=/x,path=/y", &[]),
            ("unix:path=bus", &[]),
            ("unix:path=/x%00y", &[]),
            ("unix:path=/x%2", &[]),
            ("unix:path=/x%zz", &[]),
            ("unix:path", &[]),
            ("unix:", &[]),
            ("", &[]),
        ] {
            let sockets = sockets.iter().map(ToString::to_string).collect();
            assert_eq!(parsed(addresses), Ok(sockets), "{addresses}");
        }
    }

    #[test]
    fn one_other_transport_refuses_the_whole_list() {
        for other in [
            "tcp:host=h",
            "nonce-tcp:host=h",
            "unixexec:path=sh",
            "autolaunch:",
            "launchd:",
            "UNIX:",
            "x",
        ] {
            for addresses in [other.to_owned(), format!("unix:path=/x;{other}")] {
                assert_eq!(parsed(&addresses), Err(OffReason::RemoteBus), "{addresses}");
            }
        }
    }

    #[test]
    fn an_escaped_value_is_decoded_to_itself() {
        for value in ["/run/user/1000/bus", "/a b,c;d=e%f", "é\u{1}"] {
            assert_eq!(
                super::unescaped(escaped(value.as_bytes()).as_bytes()).as_deref(),
                Some(value.as_bytes())
            );
        }
    }
}
