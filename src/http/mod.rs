//! The services that this program sends requests to.

mod client;
mod error;
pub mod forge;
mod identity;
mod issued;
pub mod microtica;
pub mod mycli;
mod names;
pub mod oauth;
mod proxy;
mod shared;
mod tls;
mod token_endpoints;
pub mod vault;

pub use client::{Client, Network};
pub use error::{HttpError, Result, ServiceError, failed, oauth_code};
pub use identity::revoke as revoke_identity;
pub use shared::{SharedFailure, SharedStore, SharedStores};
pub use token_endpoints::{HttpEndpoints, Renewal, RenewalError, TokenEndpoints};
pub use vault::VaultStores;
