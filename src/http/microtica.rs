//! The API of Microtica: whose key it is, and what it sees. The paths are data of the provider's descriptor.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::http::client::{Client, Result, segment};
use crate::model::{ApiPaths, Secret};

/// How many characters of a key may be shown: `mic_d60bea1d`.
const PREFIX: usize = 12;

/// What is known of a key without a call: its first characters.
pub fn key_prefix(key: &Secret) -> &str {
    let key = key.expose_secret();
    key.char_indices().nth(PREFIX).map_or(key, |(end, _)| &key[..end])
}

/// What a key is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Key {
    /// Its first characters.
    pub key_prefix: String,
    /// Its name.
    #[serde(default)]
    pub key_name: Option<String>,
    /// When it ends; RFC 3339.
    #[serde(default)]
    pub expires_at: Option<String>,
    /// What it may do in every environment.
    #[serde(default)]
    pub baseline: Option<String>,
    /// What more it may do in some.
    #[serde(default)]
    pub environments: BTreeMap<String, String>,
    /// How many projects it sees.
    pub projects_visible: u64,
}

/// `GET /api/v1/whoami`
pub fn whoami(client: &Client, paths: &ApiPaths, key: &Secret) -> Result<Key> {
    client.get(&paths.whoami, key)
}

/// A project.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Project {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
}

/// `GET /api/v1/projects`
pub fn projects(client: &Client, paths: &ApiPaths, key: &Secret) -> Result<Vec<Project>> {
    #[derive(Deserialize)]
    struct Body {
        projects: Vec<Project>,
    }
    client.get::<Body>(&paths.projects, key).map(|answer| answer.projects)
}

/// An environment of a project.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Environment {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What the key may do there.
    #[serde(default)]
    pub role: Option<String>,
}

/// `GET /api/v1/projects/{id}/environments`
pub fn environments(
    client: &Client,
    paths: &ApiPaths,
    key: &Secret,
    project: &str,
) -> Result<Vec<Environment>> {
    #[derive(Deserialize)]
    struct Body {
        environments: Vec<Environment>,
    }
    let path = paths.environments.replace("{id}", &segment(project));
    client.get::<Body>(&path, key).map(|answer| answer.environments)
}
