//! Where the session bus is, from the environment and one look at the file system. Connects to nothing.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;

use crate::model::{OffReason, StoreFailure};
use crate::store::keyring::KeyringEnvironment;

/// The address of the bus, from the environment and one look at the file system.
pub(in crate::store::keyring) fn look(
    surroundings: &KeyringEnvironment,
) -> Result<String, StoreFailure> {
    let given = |value: &Option<OsString>| value.clone().filter(|value| !value.is_empty());
    if let Some(addresses) = given(&surroundings.bus_address) {
        return local(addresses.to_str().ok_or(OffReason::NoSessionBus)?);
    }
    let socket =
        Path::new(&given(&surroundings.runtime_dir).ok_or(OffReason::NoSessionBus)?).join("bus");
    if is_socket(&socket) {
        Ok(format!("unix:path={}", escaped(&socket)))
    } else {
        Err(OffReason::NoSessionBus.into())
    }
}

/// As the D-Bus specification has it: libdbus refuses an address with any other byte unescaped.
fn escaped(path: &Path) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_/.\\*".contains(&byte);
    let escape = |&byte: &u8| {
        if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02x}") }
    };
    path.as_os_str().as_bytes().iter().map(escape).collect()
}

/// libdbus tries the addresses in turn. It would run a program for `unixexec:`, and send secrets in clear over `tcp:`.
fn local(addresses: &str) -> Result<String, StoreFailure> {
    let mut found = Err(OffReason::NoSessionBus.into());
    for address in addresses.split(';').filter(|address| !address.is_empty()) {
        let options = address.strip_prefix("unix:").ok_or(OffReason::RemoteBus)?;
        let is_there = options.split(',').any(|option| match option.split_once('=') {
            // Escaped (`%20`): left to libdbus, which knows how.
            Some(("path", path)) => path.contains('%') || is_socket(Path::new(path)),
            // It has no file to look for; where nobody listens the connection is refused at once.
            Some(("abstract", _)) => true,
            // `runtime`, `dir` and `tmpdir` are for servers to listen at.
            _ => false,
        });
        if is_there {
            found = Ok(addresses.to_owned());
        }
    }
    found
}

fn is_socket(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| found.file_type().is_socket())
}
