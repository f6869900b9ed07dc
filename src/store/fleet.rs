//! What this machine stores of a session that other machines share: a copy of the access token, the result of a refresh
//! until the shared store has it, and since when it has seen the lease of another machine.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::session;
use crate::config::Context;
use crate::model::{
    PendingResult, Provider, Secret, Session, SharedSettings, StorageKey, StoredFormat, Timestamp,
    Vault,
};
use crate::sys::atomic_file::{self, Policy, Prepared, WriteError};

/// More than any service's tokens need.
const RESERVED_SIZE: usize = 64 * 1024;

/// The machine has been started again if its boot clock began at another time of day.
const MAX_CLOCK_DIFFERENCE: i64 = 2;

pub struct FleetFiles {
    /// `None` if no copy is stored here.
    copy: Option<PathBuf>,
    /// Every place of a copy. One may be of before a change of the settings.
    copies: Vec<PathBuf>,
    pending: Option<PathBuf>,
    /// Whether a new result is stored here. One of before a change of the settings is finished in any case.
    keeps_pending: bool,
    seen: Option<PathBuf>,
    /// A copy of before a change of the settings is not found.
    settings: String,
    key: StorageKey,
}

/// The access token, without the refresh token.
pub struct Copy {
    pub session: Session,
    /// When this machine reads the shared store again.
    pub next_read: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct StoredCopy<T> {
    settings: String,
    next_read: String,
    session: T,
}

#[derive(Serialize, Deserialize)]
struct StoredResult<T> {
    location: String,
    login_id: String,
    version: u64,
    redeemed: Option<T>,
    session: T,
}

#[derive(Serialize, Deserialize)]
struct Seen {
    nonce: String,
    since_ms: u64,
    /// The time of day at which the boot clock began.
    origin: i64,
}

impl FleetFiles {
    pub fn new(context: &Context, provider: &Provider, settings: &SharedSettings) -> Self {
        let Provider { name, account, .. } = provider;
        let home = context.paths.in_home(".my/shared").ok();
        let file = |folder: &PathBuf, suffix: &str| {
            Some(folder.join(&**name).join(format!("{account}.{suffix}")))
        };
        let in_home = |suffix| file(home.as_ref()?, suffix);
        // Its contents are in memory, and are removed with the last login of the user.
        let memory = context.environment.get("XDG_RUNTIME_DIR").map(PathBuf::from);
        let memory = memory.filter(|folder| {
            folder.is_absolute() && matches!(atomic_file::is_ours(folder), Ok(Some(true)))
        });
        let store =
            context.vault().map(|(Vault { addresses, engine, mount, path, namespace, .. }, _)| {
                let namespace = namespace.unwrap_or_default();
                format!("{}\n{engine:?}\n{mount}\n{path}\n{namespace}", addresses.join("\n"))
            });
        let memory = memory.map(|folder| folder.join("my-credential-helper-shared"));
        let copies: Vec<_> =
            memory.iter().chain(&home).filter_map(|folder| file(folder, "copy")).collect();
        Self {
            copy: copies.first().filter(|_| settings.cache).cloned(),
            copies,
            pending: in_home("pending"),
            keeps_pending: settings.pending,
            seen: in_home("seen"),
            settings: format!(
                "{}\n{:?}\n{}",
                home.as_deref().unwrap_or(Path::new("")).display(),
                provider.shared,
                store.unwrap_or_default()
            ),
            key: StorageKey { format: StoredFormat::Session, ..provider.key.clone() },
        }
    }

    /// A copy that cannot be read counts as missing.
    pub fn copy(&self) -> Option<Copy> {
        let text = atomic_file::read_own(self.copy.as_ref()?)?;
        let stored: StoredCopy<Secret> = serde_json::from_str(text.expose_secret()).ok()?;
        let session = self.decode(&stored.session)?;
        let next_read = Timestamp::parse(&stored.next_read)?;
        (stored.settings == self.settings).then_some(Copy { session, next_read })
    }

    /// If the copy cannot be written, the next process reads the shared store.
    pub fn write_copy(&self, Copy { session, next_read }: &Copy) {
        let session = self.encode(&Session { refresh_token: None, ..session.clone() });
        let stored = StoredCopy {
            settings: self.settings.clone(),
            next_read: next_read.to_string(),
            session: session.expose_secret(),
        };
        let Some(path) = &self.copy else { return };
        let _ = atomic_file::write_fleeting(path, json(&stored).expose_secret());
    }

    /// Removes every copy of this machine.
    pub fn remove_copy(&self) {
        for path in self.copies.iter().filter(|path| path.symlink_metadata().is_ok()) {
            let _ = atomic_file::remove(path);
        }
    }

    pub fn has_pending(&self) -> bool {
        self.pending.as_ref().is_some_and(|path| path.symlink_metadata().is_ok())
    }

    /// The result for the record at a location that `is_here` accepts.
    pub fn pending(&self, is_here: impl FnOnce(&str) -> bool) -> Option<PendingResult> {
        let stored: StoredResult<Secret> = read(self.pending.as_ref()?)?;
        let StoredResult { login_id, version, redeemed, .. } = stored;
        let session = self.decode(&stored.session)?;
        is_here(&stored.location).then_some(PendingResult { login_id, version, redeemed, session })
    }

    /// Ensures that a result can be stored, before a refresh token is spent on it; `None` if it is never stored here.
    pub fn prepare_pending(&self) -> Result<Option<Prepared>, WriteError> {
        let prepare = |path: &PathBuf| atomic_file::prepare(path, RESERVED_SIZE, Policy::Private);
        self.pending.as_ref().filter(|_| self.keeps_pending).map(prepare).transpose()
    }

    /// Stores a result so that it survives a power cut.
    pub fn save_pending(
        &self,
        prepared: Prepared,
        location: &str,
        result: &PendingResult,
    ) -> Result<(), WriteError> {
        let PendingResult { login_id, version, redeemed, session } = result;
        let session = self.encode(session);
        let stored = StoredResult {
            location: location.to_owned(),
            login_id: login_id.clone(),
            version: *version,
            redeemed: redeemed.as_ref().map(Secret::expose_secret),
            session: session.expose_secret(),
        };
        prepared.commit(json(&stored).expose_secret())
    }

    pub fn remove_pending(&self) {
        if let Some(path) = &self.pending {
            let _ = atomic_file::remove(path);
        }
    }

    /// For how long this machine has seen the lease. `boot` is the boot clock, and `now` the time of day.
    pub fn observe(&self, nonce: &str, boot: Duration, now: Timestamp) -> Duration {
        let Some(path) = &self.seen else { return Duration::ZERO };
        let origin = now.unix() - i64::try_from(boot.as_secs()).unwrap_or(0);
        let last = read::<Seen>(path).filter(|seen| {
            seen.nonce == nonce && (seen.origin - origin).abs() <= MAX_CLOCK_DIFFERENCE
        });
        if let Some(seen) = last {
            return boot.saturating_sub(Duration::from_millis(seen.since_ms));
        }
        let since_ms = u64::try_from(boot.as_millis()).unwrap_or(u64::MAX);
        let seen = Seen { nonce: nonce.to_owned(), since_ms, origin };
        let _ = atomic_file::write_fleeting(path, json(&seen).expose_secret());
        Duration::ZERO
    }

    fn encode(&self, session: &Session) -> Secret {
        session::encode(&self.key, session)
    }

    fn decode(&self, text: &Secret) -> Option<Session> {
        session::decode(&self.key, text).ok().flatten()
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> Option<T> {
    let contents = atomic_file::read(path).ok()??;
    serde_json::from_str(contents.text.expose_secret()).ok()
}

fn json(stored: &impl Serialize) -> Secret {
    // Strings and numbers cannot fail to serialize.
    Secret::new(serde_json::to_string(stored).unwrap_or_default())
}
