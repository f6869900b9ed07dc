//! Plain types without I/O: requests, responses, and the terms of both.

mod attempt;
mod ci;
mod credential;
mod origin;
mod provider;
mod request;
mod response;
mod secret;
mod shared;
mod source;
mod target;
mod timestamp;
mod tool;

pub mod json;
pub mod jwt;
pub mod known;

pub use attempt::{
    Attempt, ChosenBy, OffReason, Outcome, StoreFailure, Subject, Trail, attempts_line,
};
pub use ci::CiLog;
pub use credential::{Credential, IdToken, Kind, Need, Session, UrlCredential};
pub use origin::{DOCKER_HUB, HostPattern, Origin, Scheme};
pub use provider::{
    Account, Algorithm, ClientAuthMethod, Endpoints, Exchange, FleetRole, Grant, Header, Identity,
    IdentitySource, Item, JwtSource, KubernetesToken, LoginKind, OAuth, Preset, Proof, Provider,
    SecretLocation, SecretsEngine, SharedAccounts, SharedSettings, SigningKey, StorageKey,
    StoredFormat, Text, Vault, VaultLogin,
};
pub use request::{
    AuthForm, CredentialRequest, EraseRequest, Occasion, Operation, Rejection, StoreRequest,
    TokenKind, ToolTraits,
};
pub use response::{ListEntry, Resolved, Response, StoredAt, Warning};
pub use secret::Secret;
pub use shared::{Lease, PendingResult, SharedPart, SharedRecord, SharedSession, Snapshot};
pub use source::Source;
pub use target::{LegacyUrl, Target, UrlPath};
pub use timestamp::Timestamp;
pub use tool::{Framing, Invocation, MAX_OBJECT, ToolOutput};
