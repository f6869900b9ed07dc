//! The address of the session bus, from the environment and the file system. Connects to nothing.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;

use super::KeyringEnvironment;
use crate::model::OffReason;

pub(super) fn find_address(environment: &KeyringEnvironment) -> Result<String, OffReason> {
    let set = |value: &Option<OsString>| value.clone().filter(|value| !value.is_empty());
    if let Some(addresses) = set(&environment.bus_address) {
        return local(addresses.to_str().ok_or(OffReason::NoSessionBus)?);
    }
    let directory = set(&environment.runtime_dir).ok_or(OffReason::NoSessionBus)?;
    let socket = Path::new(&directory).join("bus");
    if !is_socket(&socket) {
        return Err(OffReason::NoSessionBus);
    }
    Ok(format!("unix:path={}", escaped(&socket)))
}

/// By the D-Bus specification: libdbus rejects an address with any other byte unescaped.
fn escaped(path: &Path) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_/.\\*".contains(&byte);
    let escape = |&byte: &u8| {
        if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02x}") }
    };
    path.as_os_str().as_bytes().iter().map(escape).collect()
}

/// libdbus tries the addresses in order. It would run a program for `unixexec:`, and send secrets in clear over `tcp:`.
fn local(addresses: &str) -> Result<String, OffReason> {
    let mut found = Err(OffReason::NoSessionBus);
    for address in addresses.split(';').filter(|address| !address.is_empty()) {
        let options = address.strip_prefix("unix:").ok_or(OffReason::RemoteBus)?;
        let may_exist = options.split(',').any(|option| match option.split_once('=') {
            // An escaped path (`%20`) is left to libdbus, which decodes it.
            Some(("path", path)) => path.contains('%') || is_socket(Path::new(path)),
            // An abstract socket is no file; without a listener the connection is refused at once.
            Some(("abstract", _)) => true,
            // `runtime`, `dir` and `tmpdir` are addresses for servers.
            _ => false,
        });
        if may_exist {
            found = Ok(addresses.to_owned());
        }
    }
    found
}

fn is_socket(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.file_type().is_socket())
}
