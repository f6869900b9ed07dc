//! The API of Microtica: the key, its projects and environments.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::client::{Client, Method, segment};
use super::error::Result;
use crate::model::{Secret, json};

/// How many characters of a key may be shown: `mic_d60bea1d`.
const MAX_PREFIX: usize = 12;

/// The first characters of a key, at most a third of it.
pub fn key_prefix(key: &Secret) -> &str {
    let key = key.expose_secret();
    let length = MAX_PREFIX.min(key.chars().count() / 3);
    key.char_indices().nth(length).map_or(key, |(end, _)| &key[..end])
}

/// A key, by its first characters.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Key {
    pub key_prefix: String,
    pub key_name: Option<String>,
    /// RFC 3339.
    pub expires_at: Option<String>,
    /// Its role in every environment.
    pub baseline: Option<String>,
    /// Its stronger roles, by environment.
    #[serde(default)]
    pub environments: BTreeMap<String, String>,
    #[serde(deserialize_with = "json::bounded::<_, 0, 1_000_000_000>")]
    pub projects_visible: u64,
}

pub fn whoami(client: &Client, key: &Secret) -> Result<Key> {
    client.call(Method::GET, "/api/v1/whoami", Some(key), &[], &[])
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Project {
    pub id: String,
    pub name: String,
}

pub fn projects(client: &Client, key: &Secret) -> Result<Vec<Project>> {
    client.list("/api/v1/projects", key)
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Environment {
    pub id: String,
    pub name: String,
    /// The role of the key in it.
    pub role: Option<String>,
}

pub fn environments(client: &Client, key: &Secret, project: &str) -> Result<Vec<Environment>> {
    client.list(&format!("/api/v1/projects/{}/environments", segment(project)), key)
}

#[cfg(test)]
mod tests {
    use super::{Secret, key_prefix};

    #[test]
    fn most_of_a_short_key_is_not_shown() {
        let prefix = |key: &str| key_prefix(&Secret::new(key)).to_owned();
        assert_eq!(prefix(&format!("mic_d60bea1d{}", "0".repeat(32))), "mic_d60bea1d");
        for (key, shown) in [("", ""), ("ab", ""), ("hunter2hunter2", "hunt"), ("äöüßäöüß", "äö")]
        {
            assert_eq!(prefix(key), shown);
        }
    }
}
