//! `vault-plugin-secrets-oauthapp`: the server refreshes the session itself, and this program only reads the token.
//! <https://github.com/puppetlabs/vault-plugin-secrets-oauthapp>, `GET :mount/creds/:name`

use serde::Deserialize;

use super::VaultStore;
use super::server::Call;
use crate::http::client::segment;
use crate::http::issued::is_usable;
use crate::http::{SharedFailure, SharedStore as _};
use crate::model::{
    Account, Secret, Session, SharedPart, SharedRecord, SharedSession, Snapshot, Timestamp,
};

#[derive(Deserialize)]
struct Issued {
    access_token: Secret,
    /// Missing if the token does not expire.
    expire_time: Option<String>,
}

/// The name of an account's credential: `acme`, or `acme-work`.
pub(super) fn name(provider: &str, account: &Account) -> String {
    if account.is_default() { provider.to_owned() } else { format!("{provider}-{account}") }
}

/// The token as a record that has one version.
pub(super) fn read(store: &VaultStore<'_>) -> Result<Snapshot, SharedFailure> {
    let name = name(&store.provider.name, &store.provider.account);
    let mount: Vec<_> = store.settings.mount.split('/').map(segment).collect();
    let path = format!("/v1/{}/creds/{}", mount.join("/"), segment(&name));
    let call = Call::get(&path);
    let part = SharedPart::Access;
    let (response, date) =
        store.call::<Issued>(&call).map_err(|refusal| store.failure(refusal, part))?;
    let now = date.unwrap_or_else(|| store.server.clock.now());
    let Some(Issued { access_token, expire_time }) = response.data else {
        return Ok(Snapshot { record: None, version: 0, created_at: now, server_time: now });
    };
    let expires_at = match expire_time.as_deref() {
        None => Some(Timestamp::NEVER),
        Some(text) => Timestamp::parse(text),
    };
    let unusable =
        || SharedFailure::Failed(format!("{} has no usable token or time", store.location(part)));
    let expires_at = expires_at.filter(|_| is_usable(&access_token)).ok_or_else(unusable)?;
    let session = Session::api_token(access_token, Some(expires_at), now);
    let login_id = "oauthapp".to_owned();
    let shared = SharedSession { login_id, session, lease: None, rejected: None };
    let record = Some(SharedRecord::Session(Box::new(shared)));
    Ok(Snapshot { record, version: 1, created_at: now, server_time: now })
}
