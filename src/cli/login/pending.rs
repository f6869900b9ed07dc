//! A login that has been started and not completed: kept in a private file, so that the code can be given to another
//! process (`login --code`).

use serde::{Deserialize, Serialize, Serializer};

use crate::auth::Engine;
use crate::error::{Error, Result};
use crate::http::mycli::DeviceLogin;
use crate::model::{Account, Provider, Secret, Timestamp};
use crate::sys::atomic_file;

const FILE: &str = ".my/pending-login.json";

/// A login that waits for its link to be clicked or its code to be typed.
#[derive(Serialize, Deserialize)]
pub(super) struct Pending {
    pub(super) provider: String,
    #[serde(default = "default")]
    pub(super) account: String,
    pub(super) email: String,
    pub(super) api_url: String,
    #[serde(serialize_with = "exposed")]
    pub(super) device_code: Secret,
    pub(super) interval: u64,
    /// Seconds since 1970.
    expires_at: i64,
}

fn default() -> String {
    Account::DEFAULT.to_string()
}

/// This file is where it may stand: whoever has it and the code is logged in.
fn exposed<S: Serializer>(device_code: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(device_code.expose_secret())
}

impl Pending {
    pub(super) fn new(
        provider: &Provider,
        email: &str,
        api_url: &str,
        started: &DeviceLogin,
        now: Timestamp,
    ) -> Self {
        Self {
            provider: provider.name.to_string(),
            account: provider.account.to_string(),
            email: email.to_owned(),
            api_url: api_url.to_owned(),
            device_code: started.device_code.clone(),
            interval: started.interval.clamp(1, 60),
            expires_at: now.unix()
                + i64::try_from(started.expires_in.min(24 * 3600)).unwrap_or(900),
        }
    }

    /// Seconds until link and code die.
    pub(super) fn seconds_left(&self, now: Timestamp) -> u64 {
        u64::try_from(self.expires_at - now.unix()).unwrap_or(0)
    }

    pub(super) fn save(&self, engine: &Engine<'_>) -> Result<()> {
        let path = engine.context.paths.in_home(FILE)?;
        let text = Secret::new(serde_json::to_string(self).unwrap_or_default());
        Ok(atomic_file::write(&path, text.expose_secret())?)
    }

    /// The login that waits; `None` where none does, or no longer.
    pub(super) fn load(engine: &Engine<'_>, now: Timestamp) -> Result<Option<Self>> {
        let path = engine.context.paths.in_home(FILE)?;
        let contents = atomic_file::read(&path)
            .map_err(|reason| Error::invalid_state(format!("~/{FILE} {reason}")))?;
        let pending = contents
            .and_then(|contents| serde_json::from_str::<Self>(contents.text.expose_secret()).ok());
        Ok(pending.filter(|pending| pending.seconds_left(now) > 0))
    }

    /// Forgets a login of this provider's account that waits, and what cannot be completed any more.
    pub(super) fn forget_of(engine: &Engine<'_>, provider: &Provider, now: Timestamp) {
        let waiting = Self::load(engine, now).ok().flatten();
        let is_it = |it: Self| *it.provider == *provider.name && *it.account == *provider.account;
        if waiting.is_none_or(is_it) {
            Self::forget(engine);
        }
    }

    pub(super) fn forget(engine: &Engine<'_>) {
        if let Ok(path) = engine.context.paths.in_home(FILE) {
            let _ = atomic_file::remove(&path);
        }
    }
}
