//! A second copy of the session that this program refreshed last, beside the one that it shares with the `my` command
//! line. `my` waits only so long for the lock and saves seconds after its request: where it saves an older session over
//! a newer one of ours, the service soon rejects the older one, and the newer one would be stored nowhere else.

use crate::model::{Item, Provider, Session, Source, StorageKey};
use crate::store::Stores;
use crate::store::session::{self, StoredSession};

/// The key of the copy; `None` for a session that no other program writes.
fn key(provider: &Provider) -> Option<StorageKey> {
    (provider.shares_with_my && provider.account.is_default()).then(|| StorageKey {
        item: Some(Item { service: "my-credential-helper".into(), user: "last-refreshed".into() }),
        legacy_item: None,
        file: ".my/last-refreshed.json".into(),
        ..provider.key.clone()
    })
}

/// Stores the copy in the store of the session. No promise depends on it, so a failure is ignored.
pub(super) fn save(stores: &Stores<'_>, provider: &Provider, source: Source, saved: &Session) {
    if let Some(key) = key(provider) {
        let _ = session::write(stores.get(source), &key, saved);
    }
}

/// A session of the same login that was issued to this program, and not before the rejected one.
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

/// Removes the copy, after a logout or before another login. Without its session it is never read.
pub(in crate::auth) fn forget(stores: &Stores<'_>, provider: &Provider) {
    if let Some(key) = key(provider) {
        let _ = stores.keyring.delete(&key);
        let _ = stores.file.delete(&key);
    }
}
