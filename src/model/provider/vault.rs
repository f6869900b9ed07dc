//! A server with the API of Vault (Vault, OpenBao), and how this machine logs in there.

use std::path::PathBuf;

use super::{Identity, SecretLocation, Text};

/// `[stores.vault]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vault {
    /// Base URLs, without a final slash. Empty if only the environment names the server.
    pub addresses: Vec<Text>,
    pub engine: SecretsEngine,
    /// Where the secrets engine is mounted.
    pub mount: Text,
    /// The path of the records below the mount.
    pub path: Text,
    pub namespace: Option<Text>,
    /// Certificates to trust instead of those of the system.
    pub ca_file: Option<PathBuf>,
    pub login: VaultLogin,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SecretsEngine {
    /// KV, version 2.
    #[default]
    Kv,
    /// `vault-plugin-secrets-oauthapp`: the server refreshes, and this program only reads.
    OAuthApp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VaultLogin {
    /// A token that somebody else maintains: of the environment, this file, or `~/.vault-token`.
    Token(Option<PathBuf>),
    /// The auth method that is mounted at `mount`.
    Method { mount: Text, proof: Proof },
}

/// What an auth method accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    AppRole {
        role_id: Text,
        secret_id: SecretLocation,
        /// Whether the secret is a token that unwraps it, once.
        is_wrapped: bool,
    },
    /// A JWT: the service account token of Kubernetes, or any identity token.
    Jwt { role: Text, source: JwtSource, is_kubernetes: bool },
    /// A client certificate and its key (PEM).
    Certificate { role: Option<Text>, certificate: PathBuf, key: PathBuf },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JwtSource {
    Variable(String),
    File(PathBuf),
    /// A platform that issues identity tokens.
    Identity(Box<Identity>),
}

impl VaultLogin {
    /// As in the configuration, or as the server names it.
    pub fn name(&self) -> &str {
        match self {
            Self::Token(_) => "token",
            Self::Method { mount, .. } => mount,
        }
    }
}
