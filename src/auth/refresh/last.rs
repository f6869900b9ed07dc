//! What this program was given last, kept once more beside the session that it shares with the `my` command line. That
//! takes no lock, and saves seconds after it has rotated: where it saves an older session over a newer one of ours, the
//! service soon takes the older one no more, and the newer one would be nowhere else.

use crate::model::credential::Session;
use crate::model::provider::{Item, Provider, StorageKey};
use crate::model::request::Source;
use crate::store::session::{self, StoredSession};
use crate::store::{CredentialStore as _, Stores};

/// Where it lies; nowhere for a session that no other program writes.
fn place(provider: &Provider) -> Option<StorageKey> {
    (provider.slot == Provider::MYCLI.slot).then(|| StorageKey {
        item: Some(Item { service: "my-credential-helper".into(), user: "last-refreshed".into() }),
        legacy_item: None,
        file: ".my/last-refreshed.json".into(),
        ..Provider::MYCLI.slot
    })
}

/// Keeps a session that was just saved, in the same store. It is a second chance, and no condition of anything.
pub(super) fn keep(stores: &Stores<'_>, provider: &Provider, source: Source, saved: &Session) {
    if let Some(place) = place(provider) {
        let _ = session::write(stores.of(source), &place, saved);
    }
}

/// A session of the same login that was issued to this program, and not before the one that was refused.
pub(super) fn instead_of(
    stores: &Stores<'_>,
    provider: &Provider,
    refused: &StoredSession,
) -> Option<Session> {
    let ours = session::read(stores.of(refused.source), &place(provider)?).ok()??;
    let theirs = &refused.session;
    let is_later = session::issued_at(&ours).0 >= session::issued_at(theirs).0;
    let is_other = ours.refresh_token != theirs.refresh_token;
    (ours.logged_in_at == theirs.logged_in_at && is_other && is_later).then_some(ours)
}

/// The login is over, or another one has begun.
pub fn forget(stores: &Stores<'_>, provider: &Provider) {
    if let Some(place) = place(provider) {
        let _ = stores.keyring.delete(&place);
        let _ = stores.file.delete(&place);
    }
}
