//! The owner of a session, as the service reported it: a file beside the session, so that `status` and `account list`
//! name people without a request. No decision depends on the name.

use super::url_credentials::hash;
use crate::config::Paths;
use crate::model::{Session, StorageKey, Timestamp, jwt};
use crate::sys::atomic_file;

/// The longest email address (RFC 5321).
const MAX_NAME: usize = 254;

/// Records the name. A failure is ignored: the name is shown by `whoami`, too.
pub fn save(paths: &Paths, key: &StorageKey, session: &Session, name: &str) {
    let is_line = !name.is_empty() && name.len() <= MAX_NAME && !name.contains(char::is_control);
    if is_line && load(paths, key, session).as_deref() != Some(name) {
        let text = format!("{}\n{name}\n", subject(session));
        let _ = path(paths, key).map(|path| atomic_file::write_fleeting(&path, &text));
    }
}

/// The name, if it was recorded for this session and not for one that was stored before it.
pub fn load(paths: &Paths, key: &StorageKey, session: &Session) -> Option<String> {
    let contents = atomic_file::read(&path(paths, key)?).ok()??;
    let mut lines = contents.text.expose_secret().lines();
    (lines.next()? == subject(session)).then_some(lines.next()?.to_owned())
}

pub fn forget(paths: &Paths, key: &StorageKey) {
    let _ = path(paths, key).map(|path| atomic_file::remove(&path));
}

fn path(paths: &Paths, key: &StorageKey) -> Option<std::path::PathBuf> {
    paths.in_home(&format!("{}.owner", key.file)).ok()
}

/// The part of a session that a refresh does not change: the user's id, or the time of the login.
fn subject(session: &Session) -> String {
    let sub = jwt::claims(&session.access_token).sub.map(|sub| hash(&sub));
    let time =
        || (session.logged_in_at > Timestamp::ZERO).then(|| session.logged_in_at.to_string());
    sub.or_else(time).unwrap_or_else(|| hash(session.access_token.expose_secret()))
}
