//! The id of this device, a UUID in `~/.my/device_id`. At a login, the service ends the previous session of the device.

use super::Paths;
use crate::model::Provider;
use crate::sys::atomic_file;

/// The id, which is created if missing; `None` if it cannot be stored. Each account has its own id: two accounts may
/// belong to one person, whose login with one must not end the session of the other.
pub fn load(paths: &Paths, Provider { name, account, .. }: &Provider) -> Option<String> {
    let file = if account.is_default() {
        ".my/device_id".to_owned()
    } else {
        format!(".my/sessions/{name}/{account}.device_id")
    };
    let path = paths.in_home(&file).ok()?;
    if let Ok(Some(contents)) = atomic_file::read(&path)
        && let Ok(id) = uuid::Uuid::parse_str(contents.text.expose_secret().trim())
    {
        return Some(id.to_string());
    }
    let id = uuid::Uuid::new_v4().to_string();
    atomic_file::write(&path, &id).ok()?;
    Some(id)
}
