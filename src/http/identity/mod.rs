//! Identity tokens: the platforms that issue them to a job, and the services that exchange them. An identity token goes to
//! the token endpoint of the provider only, the token with which it is requested to the platform only.

mod assertion;
mod sources;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::client::{Client, Method, Network, body};
use super::error::{HttpError, Result};
use super::issued::{unusable, usable};
use super::oauth::{Description, Service, TokenResponse};
use super::tls::Trust;
use super::vault;
use crate::error::Error;
use crate::model::{
    Exchange, Grant, Identity, LoginKind, OAuth, Provider, Secret, Session, Timestamp, jwt,
};
use crate::sys::clock::Clock;

pub(super) use sources::request_token;

/// RFC 7523, 2.2.
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

pub(super) fn exchange(
    network: Network<'_>,
    provider: &Provider,
    token: &Secret,
    clock: &dyn Clock,
) -> Result<Session> {
    let missing = || HttpError::NotSent(Error::invalid_state("the provider has no identity"));
    let identity = provider.identity.as_ref().ok_or_else(missing)?;
    let client = || -> Result<Client> {
        let base = network.context.configured_api_url(provider)?;
        Ok(Client::for_identity(network, &base)?)
    };
    let requested = clock.now();
    let session = match (&identity.exchange, &provider.login) {
        (Exchange::None, _) => {
            let expiry = jwt::IdentityClaims::of(token).and_then(|claims| claims.exp);
            let expires_at = expiry.map(Timestamp::from_unix);
            Session::api_token(token.clone(), expires_at, requested)
        }
        (Exchange::Vault { mount, role, namespace }, _) => {
            let namespace = namespace.as_deref();
            let (token, lease) = log_in_to_vault(&client()?, mount, role, namespace, token)?;
            let expiry = lease.map(|seconds| requested.plus_seconds(seconds));
            Session::api_token(token, expiry, requested)
        }
        (Exchange::Preset(preset), _) => {
            #[derive(Deserialize)]
            struct Response {
                token: Secret,
            }
            let secrets = [(preset.field, token)];
            let Response { token } =
                client()?.call(Method::POST, preset.path, None, &secrets, &[])?;
            let expiry = requested.plus_seconds(preset.lifetime);
            Session::api_token(usable(token)?, Some(expiry), requested)
        }
        (_, LoginKind::OAuth(oauth)) => {
            // The token endpoint is enough, as for a program that logs in itself.
            let oauth = OAuth { grant: Grant::ClientCredentials, ..(**oauth).clone() };
            let service = Service::new(network, provider, &oauth, Description::Stored)?;
            grant(&service, identity, &oauth, token)?.into_session(requested)?
        }
        _ => return Err(missing()),
    };
    // A job is over before it needs a refresh token, which would outlive it.
    Ok(Session { refresh_token: None, ..session })
}

/// The token of the server, and its lifetime in seconds.
fn log_in_to_vault(
    client: &Client,
    mount: &str,
    role: &str,
    namespace: Option<&str>,
    token: &Secret,
) -> Result<(Secret, Option<u64>)> {
    #[derive(Deserialize)]
    struct Response {
        auth: vault::Auth,
    }
    let body = body([("role", role), ("jwt", token.expose_secret())].into_iter());
    let (path, headers) = (vault::login_path(mount), vault::headers(namespace));
    let (Response { auth }, _) =
        client.send_json(Method::POST, &path, &headers, None, Some(&body), &[token])?;
    auth.into_token().ok_or_else(unusable)
}

/// Ends a token that [`exchange`] returned; `false` if the service has no request for that.
pub fn revoke(network: Network<'_>, provider: &Provider, session: &Session) -> Result<bool> {
    let base = network.context.configured_api_url(provider)?;
    let token = Some(&session.access_token);
    match (provider.identity.as_ref().map(|identity| &identity.exchange), &provider.login) {
        (Some(Exchange::Vault { namespace, .. }), _) => {
            let client = Client::for_vault(network, &base, &Trust::default())?;
            let path = "/v1/auth/token/revoke-self";
            let headers = vault::headers(namespace.as_deref());
            client.send_json::<IgnoredAny>(Method::POST, path, &headers, token, None, &[])?;
        }
        (Some(Exchange::Preset(preset)), _) if preset.is_revocable => {
            let client = Client::for_identity(network, &base)?;
            client.send_json::<IgnoredAny>(Method::DELETE, preset.path, &[], token, None, &[])?;
        }
        // A client that authenticates with an assertion would need another identity token.
        (Some(Exchange::TokenExchange { .. } | Exchange::JwtBearer), LoginKind::OAuth(oauth)) => {
            let service = Service::new(network, provider, oauth, Description::Stored)?;
            if service.endpoints.revocation.is_none() {
                return Ok(false);
            }
            service.revoke(session)?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn grant(
    service: &Service<'_>,
    identity: &Identity,
    oauth: &OAuth,
    token: &Secret,
) -> Result<TokenResponse> {
    let exposed = token.expose_secret();
    let mut fields = match &identity.exchange {
        Exchange::TokenExchange { subject_token_type, requested_token_type } => {
            let mut fields = vec![
                ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
                ("subject_token", exposed),
                ("subject_token_type", subject_token_type),
            ];
            fields.extend(requested_token_type.iter().map(|it| ("requested_token_type", &**it)));
            fields
        }
        Exchange::ClientAssertion => vec![
            ("grant_type", "client_credentials"),
            ("client_assertion_type", ASSERTION_TYPE),
            ("client_assertion", exposed),
        ],
        _ => vec![
            ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
            ("assertion", exposed),
        ],
    };
    let scopes = oauth.scopes.join(" ");
    let scope = identity.scope.as_deref().unwrap_or(&scopes);
    let scope = Some(scope).filter(|scope| !scope.is_empty());
    fields.extend(scope.map(|scope| ("scope", scope)));
    fields.extend(identity.resource.iter().map(|it| ("resource", &**it)));
    fields.extend(identity.parameters.iter().map(|(name, value)| (&**name, &**value)));
    service.grant(&fields, &[token])
}
