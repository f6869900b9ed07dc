//! The one connection to SQLite, and the key beside it. Knows no table: `store` and `microtica` do.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::Context;
use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::refusal::Refusal;
use crate::secret;
use crate::settings::Storage;

/// The tables. A statement takes less than a millisecond, so one connection serves all in turn.
pub(crate) struct Database {
    connection: Mutex<Connection>,
}

impl Database {
    pub(crate) fn open(storage: &Storage) -> anyhow::Result<Self> {
        let connection = match storage {
            Storage::Memory => Connection::open_in_memory()?,
            Storage::File(path) => open_file(path)?,
        };
        connection.execute_batch("PRAGMA foreign_keys = ON")?;
        connection.execute_batch(include_str!("schema.sql"))?;
        let connection = Mutex::new(connection);
        Ok(Self { connection })
    }

    /// Does `work` in one transaction: kept when it succeeds and undone when it is refused.
    pub(crate) fn transaction<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let done = work(&transaction)?;
        transaction.commit()?;
        Ok(done)
    }
}

fn open_file(path: &Path) -> anyhow::Result<Connection> {
    let connection =
        Connection::open(path).with_context(|| format!("opening {}", path.display()))?;
    // FULL: what was answered has reached the disk, so a rotation is never forgotten.
    connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL")?;
    Ok(connection)
}

/// The key that signs the tokens: made once, and kept beside the database rather than in it.
pub(crate) fn signing_key(storage: &Storage) -> anyhow::Result<Vec<u8>> {
    let Storage::File(database) = storage else {
        return Ok(secret::random_hex::<32>()?.into_bytes());
    };
    let path = key_path(database);
    if !path.exists() {
        write_key(&path).with_context(|| format!("writing {}", path.display()))?;
    }
    fs::read(&path).with_context(|| format!("reading {}", path.display()))
}

fn key_path(database: &Path) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(".key");
    path.into()
}

fn write_key(path: &Path) -> anyhow::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(secret::random_hex::<32>()?.as_bytes())?;
    Ok(file.sync_all()?)
}
