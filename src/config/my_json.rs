//! `~/.my/config.json`, which is shared with the `my` command line.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Paths;
use crate::error::{Error, Result};
use crate::model::json;
use crate::sys::atomic_file;

/// The keys that this program reads.
#[derive(Debug, Default, Deserialize)]
pub struct MyJson {
    pub api_url: Option<String>,
    pub active_profile: Option<String>,
}

const MY_CONFIG: &str = ".my/config.json";

impl MyJson {
    pub fn load(paths: &Paths) -> Result<Self> {
        let config: Self = read(paths)?;
        Ok(Self { api_url: config.api_url.filter(|url| !url.trim().is_empty()), ..config })
    }

    /// Sets one key, or removes it; every other key stays.
    pub fn set(paths: &Paths, key: &str, value: Option<&str>) -> Result<()> {
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
