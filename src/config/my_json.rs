//! `~/.my/config.json`, which is shared with the `my` command line.

use serde::Deserialize;

use super::Paths;
use crate::error::{Error, Result};
use crate::model::{Secret, json};
use crate::sys::atomic_file;

/// What `~/.my/config.json` says that matters here.
#[derive(Debug, Default, Deserialize)]
pub struct MyJson {
    /// The API's base URL.
    pub api_url: Option<String>,
    /// The profile in use.
    pub active_profile: Option<String>,
}

/// Below the home directory.
const MY_CONFIG: &str = ".my/config.json";

impl MyJson {
    /// Reads `config.json`; empty where there is none.
    pub fn load(paths: &Paths) -> Result<Self> {
        let Some(text) = my_config_text(paths)? else { return Ok(Self::default()) };
        let config: Self = serde_json::from_str(text.expose_secret())
            .map_err(|error| Error::invalid(format!("~/{MY_CONFIG} {}", json::reason(&error))))?;
        Ok(Self { api_url: config.api_url.filter(|url| !url.trim().is_empty()), ..config })
    }

    /// Sets one key of `config.json`, or removes it; every other key lives on, also those that this program does not know.
    pub fn set(paths: &Paths, key: &str, value: Option<&str>) -> Result<()> {
        let mut config: serde_json::Map<String, serde_json::Value> = match my_config_text(paths)? {
            Some(text) => serde_json::from_str(text.expose_secret()).map_err(|error| {
                Error::invalid(format!("~/{MY_CONFIG} {}", json::reason(&error)))
            })?,
            None => serde_json::Map::new(),
        };
        match value {
            Some(value) => config.insert(key.to_owned(), value.into()),
            None => config.remove(key),
        };
        let path = paths.in_home(MY_CONFIG)?;
        let text = serde_json::to_string_pretty(&config).unwrap_or_default();
        Ok(atomic_file::write(&path, &(text + "\n"))?)
    }
}

fn my_config_text(paths: &Paths) -> Result<Option<Secret>> {
    let Ok(path) = paths.in_home(MY_CONFIG) else { return Ok(None) };
    let contents = atomic_file::read(&path)
        .map_err(|reason| Error::invalid(format!("~/{MY_CONFIG} {reason}")))?;
    Ok(contents
        .map(|contents| contents.text)
        .filter(|text| !text.expose_secret().trim().is_empty()))
}
