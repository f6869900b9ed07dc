//! `vault-plugin-secrets-oauthapp`: the server refreshes the session itself, and this program only reads the token.
//! <https://github.com/puppetlabs/vault-plugin-secrets-oauthapp>, `GET :mount/creds/:name`

use serde::Deserialize;

use super::VaultStore;
use super::server::Call;
use crate::config::Configuration;
use crate::error::{Error, Result};
use crate::http::client::segment;
use crate::http::issued::is_usable;
use crate::http::{SharedFailure, SharedStore as _};
use crate::model::{
    Account, Provider, Secret, Session, SharedPart, SharedRecord, SharedSession, Snapshot,
    Timestamp,
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

/// An error if the name is, or begins as, that of another provider, whose token would be sent to the hosts of this one.
pub(super) fn check_name(configuration: &Configuration, provider: &Provider) -> Result<()> {
    let own = name(&provider.name, &provider.account);
    let is_its = |other: &&str| {
        let rest = own.strip_prefix(*other).filter(|_| other.len() > provider.name.len());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    };
    let Some(other) = configuration.names().into_iter().find(is_its) else { return Ok(()) };
    let message = format!("`{own}` at the server is a credential of the provider {other}");
    Err(Error::invalid(message).with_hint("select another name for the account"))
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
