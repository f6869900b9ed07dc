//! The address of the session bus, from the environment and the file system, and whose bus it is.
//!
//! The keyring of another user would receive every login. A stale `DBUS_SESSION_BUS_ADDRESS` (tmux, `su`) leads to the name
//! of a socket that anyone may have taken, and `XDG_RUNTIME_DIR` may be a directory that others can write.

use std::ffi::{OsStr, OsString};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::{Path, PathBuf};

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};

use super::KeyringEnvironment;
use crate::model::OffReason;

/// The sockets that may be the session bus, in the order in which they are tried.
pub(super) struct Address {
    sockets: Vec<BusSocket>,
    /// The variable that names them.
    variable: &'static str,
    pub(super) may_prompt: bool,
}

enum BusSocket {
    Path(PathBuf),
    Abstract(Vec<u8>),
}

/// Connects to nothing.
pub(super) fn find_address(environment: &KeyringEnvironment) -> Result<Address, OffReason> {
    let may_prompt = environment.may_prompt;
    let set = |value: &Option<OsString>| value.clone().filter(|value| !value.is_empty());
    if let Some(addresses) = set(&environment.bus_address) {
        let variable = "DBUS_SESSION_BUS_ADDRESS";
        let mut sockets = parse(addresses.as_bytes())?;
        sockets.retain(BusSocket::may_exist);
        if sockets.is_empty() {
            return Err(OffReason::UnreachableBus { variable });
        }
        return Ok(Address { sockets, variable, may_prompt });
    }
    let directory = set(&environment.runtime_dir).ok_or(OffReason::NoSessionBus)?;
    let socket = BusSocket::Path(Path::new(&directory).join("bus"));
    if !socket.may_exist() {
        return Err(OffReason::NoSessionBus);
    }
    Ok(Address { sockets: vec![socket], variable: "XDG_RUNTIME_DIR", may_prompt })
}

/// libdbus would run a program for `unixexec:` and `autolaunch:`, and send secrets in clear over `tcp:`.
fn parse(addresses: &[u8]) -> Result<Vec<BusSocket>, OffReason> {
    let addresses = addresses.split(|&byte| byte == b';').filter(|address| !address.is_empty());
    let sockets = addresses.map(|address| match address.strip_prefix(b"unix:") {
        Some(options) => Ok(parse_options(options)),
        None => Err(OffReason::RemoteBus),
    });
    Ok(sockets.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

/// `None` for an address that libdbus does not connect to: `runtime`, `dir` and `tmpdir` are for servers.
fn parse_options(options: &[u8]) -> Option<BusSocket> {
    let mut socket = None;
    for option in options.split(|&byte| byte == b',') {
        let (key, value) = option.split_at(option.iter().position(|&byte| byte == b'=')?);
        let value = unescaped(&value[1..])?;
        let found = match key {
            b"guid" => continue,
            b"path" if value.starts_with(b"/") => BusSocket::Path(OsStr::from_bytes(&value).into()),
            b"abstract" => BusSocket::Abstract(value),
            _ => return None,
        };
        if socket.replace(found).is_some() {
            return None;
        }
    }
    socket
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
    pub(super) fn verify(&self) -> Result<String, OffReason> {
        let variable = self.variable;
        for socket in &self.sockets {
            match socket.owner_check() {
                Some((address, true)) => return Ok(address),
                Some((_, false)) => return Err(OffReason::ForeignBus { variable }),
                None => {}
            }
        }
        Err(OffReason::UnreachableBus { variable })
    }
}

impl BusSocket {
    fn may_exist(&self) -> bool {
        match self {
            Self::Path(path) => {
                path.metadata().is_ok_and(|metadata| metadata.file_type().is_socket())
            }
            // It is not a file.
            Self::Abstract(_) => true,
        }
    }

    /// The address without links, and whether this user listens there; `None` if nobody listens.
    fn owner_check(&self) -> Option<(String, bool)> {
        let (address, peer) = match self {
            Self::Path(path) => {
                let path = path.canonicalize().ok()?;
                let address = format!("unix:path={}", escaped(path.as_os_str().as_bytes()));
                if !is_ours(&path) {
                    return Some((address, false));
                }
                (address, UnixStream::connect(path))
            }
            Self::Abstract(name) => {
                let socket = SocketAddr::from_abstract_name(name).ok()?;
                (format!("unix:abstract={}", escaped(name)), UnixStream::connect_addr(&socket))
            }
        };
        // Root is another user: neither stores a login in the keyring of the other.
        let peer = getsockopt(&peer.ok()?, PeerCredentials);
        let user = rustix::process::geteuid().as_raw();
        Some((address, peer.is_ok_and(|peer| peer.uid() == user)))
    }
}

/// Whether a socket belongs to this user and no other user can replace it.
fn is_ours(socket: &Path) -> bool {
    const STICKY: u32 = 0o1000;
    let user = rustix::process::geteuid().as_raw();
    let directory = socket.parent().and_then(|directory| directory.metadata().ok());
    let is_safe = directory.is_some_and(|directory| match directory.mode() {
        mode if mode & STICKY != 0 => [0, user].contains(&directory.uid()),
        // The group of a directory of this user is this user's choice.
        mode if directory.uid() == user => mode & 0o002 == 0,
        mode => directory.uid() == 0 && mode & 0o022 == 0,
    });
    is_safe && socket.metadata().is_ok_and(|socket| socket.uid() == user)
}

#[cfg(test)]
mod tests {
    use super::{BusSocket, escaped, parse};
    use crate::model::OffReason;

    fn parsed(addresses: &str) -> Result<Vec<String>, OffReason> {
        let text = |socket: BusSocket| match socket {
            BusSocket::Path(path) => path.display().to_string(),
            BusSocket::Abstract(name) => format!("@{}", String::from_utf8_lossy(&name)),
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
