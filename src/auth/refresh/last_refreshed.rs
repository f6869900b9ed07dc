//! A copy of the session that this program refreshed last, beside the session that it shares with the `my` command
//! line. `my` stops waiting for the lock after some time, and saves its session seconds after its request. If `my`
//! replaces a newer session of this program with an older one, the service soon rejects the older one, and only the
//! copy has the newer one.

use crate::model::{Item, Provider, Session, Source, StorageKey, Timestamp};
use crate::store::session::{self, StoredSession};
use crate::store::{Stores, left};

/// The key of the copy; `None` for a session that no other program writes.
fn key(provider: &Provider) -> Option<StorageKey> {
    (provider.shares_with_my && provider.account.is_default()).then(|| StorageKey {
        item: Some(Item::new("last-refreshed")),
        legacy_item: None,
        file: ".my/last-refreshed.json".into(),
        ..provider.key.clone()
    })
}

/// Saves the copy in the store of the session. A failure is ignored: the session itself is already saved.
pub(super) fn save(stores: &Stores<'_>, provider: &Provider, source: Source, saved: &Session) {
    if let Some(key) = key(provider) {
        let _ = stores.get(source).write(&key, &session::encode(&key, saved));
    }
}

/// The copy, if it is of the login of the rejected session and was not issued before that session.
pub(super) fn replacement(
    stores: &Stores<'_>,
    provider: &Provider,
    rejected: &StoredSession,
) -> Option<Session> {
    let ours = session::read(stores.get(rejected.source), &key(provider)?).ok()??;
    let theirs = &rejected.session;
    let is_later = session::issued_at(&ours).0 >= session::issued_at(theirs).0;
    let is_other = ours.refresh_token != theirs.refresh_token;
    (ours.logged_in_at == theirs.logged_in_at && is_other && is_later).then_some(ours)
}

/// Remembers the copy of a keyring that cannot be reached.
pub(in crate::auth) fn remember(stores: &Stores<'_>, provider: &Provider, now: Timestamp) {
    if let Some(key) = key(provider) {
        let _ = left::remember(stores, &key, now);
    }
}

/// Deletes the copy after a logout or a new login.
pub(in crate::auth) fn forget(stores: &Stores<'_>, provider: &Provider) {
    if let Some(key) = key(provider) {
        let _ = stores.keyring.delete(&key);
        let _ = stores.file.delete(&key);
    }
}
