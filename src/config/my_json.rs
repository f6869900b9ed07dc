//! `~/.my/config.json`, which is shared with the `my` command line.

use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Paths;
use crate::error::{Error, Result};
use crate::model::{Provider, json};
use crate::sys::atomic_file::{self, Policy};
use crate::sys::clock::SystemClock;
use crate::sys::lock::{self, FileLocks};

/// The keys that this program reads.
#[derive(Debug, Default, Deserialize)]
pub struct MyJson {
    pub api_url: Option<String>,
    pub active_profile: Option<String>,
}

const MY_CONFIG: &str = ".my/config.json";

/// The time that `my` waits for the same lock before it continues without the lock.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);

impl MyJson {
    pub fn load(paths: &Paths) -> Result<Self> {
        let config: Self = read(paths)?;
        Ok(Self { api_url: config.api_url.filter(|url| !url.trim().is_empty()), ..config })
    }

    /// Ensures that a key can be set.
    pub fn check_writable(paths: &Paths) -> Result<()> {
        let path = paths.in_home(MY_CONFIG)?;
        Ok(atomic_file::prepare(&path, 1, Policy::Private).map(drop)?)
    }

    /// Sets one key, or removes it; every other key stays. Takes the lock that `my` takes, too. After the timeout,
    /// writes without the lock: an error would lose a new login if a suspended process holds the lock.
    pub fn set(paths: &Paths, key: &str, value: Option<&str>) -> Result<()> {
        let lock = paths.in_home(&Provider::MYCLI.key.lock)?;
        let _lock = lock::wait(&FileLocks, &SystemClock, &lock, LOCK_TIMEOUT)?;
        let mut config: serde_json::Map<String, serde_json::Value> = read(paths)?;
        match value {
            Some(value) => config.insert(key.to_owned(), value.into()),
            None => config.remove(key),
        };
        let path = paths.in_home(MY_CONFIG)?;
        let text = serde_json::to_string_pretty(&config).unwrap_or_default();
        Ok(atomic_file::write(&path, &(text + "\n"))?)
    }
}

fn read<T: Default + DeserializeOwned>(paths: &Paths) -> Result<T> {
    let Ok(path) = paths.in_home(MY_CONFIG) else { return Ok(T::default()) };
    let invalid = |reason: String| Error::invalid(format!("~/{MY_CONFIG} {reason}"));
    match atomic_file::read(&path).map_err(|reason| invalid(reason.to_string()))? {
        Some(contents) if !contents.text.expose_secret().trim().is_empty() => {
            serde_json::from_str(contents.text.expose_secret())
                .map_err(|error| invalid(json::reason(&error)))
        }
        _ => Ok(T::default()),
    }
}

#[cfg(test)]
mod tests {
    use super::{MY_CONFIG, MyJson, Paths};

    #[test]
    fn no_concurrent_change_of_a_key_is_lost() {
        let home = tempfile::tempdir().unwrap();
        let paths = Paths::at(home.path());
        let barrier = std::sync::Barrier::new(8);
        std::thread::scope(|scope| {
            for index in 0..8 {
                let (barrier, paths) = (&barrier, &paths);
                scope.spawn(move || {
                    barrier.wait();
                    MyJson::set(paths, &format!("key{index}"), Some("x")).unwrap();
                });
            }
        });
        let stored = crate::sys::atomic_file::read(&home.path().join(MY_CONFIG)).unwrap().unwrap();
        let text = stored.text.expose_secret();
        assert_eq!(text.matches("key").count(), 8, "{text}");
    }
}
