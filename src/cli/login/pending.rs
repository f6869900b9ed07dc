//! A login by email that another process can complete (`login --code`), in a private file.

use serde::{Deserialize, Serialize, Serializer};

use super::Login;
use crate::auth::Engine;
use crate::error::{Error, Result};
use crate::http::mycli::PendingLogin;
use crate::model::{Account, Provider, Secret, Timestamp, json};
use crate::sys::atomic_file;

const FILE: &str = ".my/pending-login.json";

#[derive(Serialize, Deserialize)]
pub(in crate::cli) struct Pending {
    pub(super) provider: String,
    #[serde(default = "default_account")]
    pub(super) account: String,
    pub(super) email: String,
    /// The user name for a new account.
    pub(super) username: Option<String>,
    pub(super) api_url: String,
    #[serde(serialize_with = "exposed")]
    pub(super) device_code: Secret,
    #[serde(deserialize_with = "json::bounded::<_, 1, 60>")]
    pub(super) interval: u64,
    /// Seconds since 1970.
    expires_at: i64,
}

fn default_account() -> String {
    Account::DEFAULT.to_string()
}

/// The file is private: the device code and the code in the mail together log in.
fn exposed<S: Serializer>(device_code: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(device_code.expose_secret())
}

impl Pending {
    pub(super) fn new(login: &Login<'_>, email: String, started: PendingLogin) -> Self {
        let now = login.engine.clock.now();
        Self {
            provider: login.provider.name.to_string(),
            account: login.provider.account.to_string(),
            email,
            username: login.arguments.username.clone(),
            api_url: login.api_url.clone(),
            device_code: started.device_code,
            interval: started.interval,
            expires_at: now.plus_seconds(started.expires_in).unix(),
        }
    }

    /// Seconds until link and code expire.
    pub(super) fn seconds_left(&self, now: Timestamp) -> u64 {
        u64::try_from(self.expires_at.saturating_sub(now.unix())).unwrap_or(0)
    }

    pub(super) fn save(&self, engine: &Engine<'_>) -> Result<()> {
        let path = engine.context.paths.in_home(FILE)?;
        let text = Secret::new(serde_json::to_string(self).unwrap_or_default());
        Ok(atomic_file::write(&path, text.expose_secret())?)
    }

    /// The stored login, unless it has expired.
    pub(super) fn load(engine: &Engine<'_>, now: Timestamp) -> Result<Option<Self>> {
        let path = engine.context.paths.in_home(FILE)?;
        let contents = atomic_file::read(&path)
            .map_err(|reason| Error::invalid_state(format!("~/{FILE} {reason}")))?;
        let pending = contents
            .and_then(|contents| serde_json::from_str::<Self>(contents.text.expose_secret()).ok());
        Ok(pending.filter(|pending| pending.seconds_left(now) > 0))
    }

    /// Deletes the stored login if it is of this account, or has expired.
    pub(in crate::cli) fn forget_account(engine: &Engine<'_>, provider: &Provider) {
        let pending = Self::load(engine, engine.clock.now()).ok().flatten();
        if pending.is_none_or(|Self { provider: name, account, .. }| {
            *name == *provider.name && *account == *provider.account
        }) {
            Self::forget(engine);
        }
    }

    pub(super) fn forget(engine: &Engine<'_>) {
        if let Ok(path) = engine.context.paths.in_home(FILE) {
            let _ = atomic_file::remove(&path);
        }
    }
}
