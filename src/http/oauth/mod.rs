//! A service that speaks OAuth 2: the grants of RFC 6749, 7636 and 8628, and RFC 7009. One function for each request.
//!
//! The `oauth2` crate builds the requests and decodes the responses. A [`Client`] gets the secrets of each request, and
//! sends the request to the endpoint that the client is bound to.

mod discovery;
mod response;

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use oauth2::basic::{
    BasicErrorResponse, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse,
};
use oauth2::{
    AccessToken, AuthType, AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken,
    DeviceAuthorizationUrl, EndpointNotSet, EndpointSet, HttpRequest, HttpResponse,
    PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RefreshToken, RevocationUrl, Scope,
    StandardDeviceAuthorizationResponse, StandardRevocableToken, TokenUrl,
};
use serde_json::Value;
use url::Url;
use zeroize::Zeroizing;

use super::client::{Client, Network, decode};
use super::error::{HttpError, Result};
use crate::error::{self, Error};
use crate::model::{Endpoints, OAuth, Provider, Secret, Session, Text, Timestamp};

pub use discovery::{Description, discover};
pub use response::TokenResponse;
use response::{error_response, failure, for_the_library, with_bounded_numbers};

type Requests = oauth2::Client<
    BasicErrorResponse,
    TokenResponse,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointNotSet,
    EndpointSet,
    EndpointNotSet,
    EndpointSet,
    EndpointSet,
>;

/// A device code flow that has started.
pub struct DeviceLogin {
    /// The code and the URL for the person, and the code to poll with.
    pub authorization: StandardDeviceAuthorizationResponse,
    verifier: Option<Secret>,
}

/// A decision that a person has to make on a page of the service.
pub struct AuthorizationRequest {
    pub url: String,
    /// The service returns the `state`, so that no other page can log a person in.
    pub state: CsrfToken,
    nonce: Option<CsrfToken>,
    verifier: PkceCodeVerifier,
    redirect: RedirectUrl,
}

/// A service, with its endpoints known.
pub struct Service<'a> {
    network: Network<'a>,
    provider: &'a Provider,
    oauth: &'a OAuth,
    pub endpoints: Endpoints,
    /// Whether an authorization response has the parameter `iss` (RFC 9207).
    pub sends_issuer: bool,
    /// The issuer as the service writes it.
    pub issuer: Option<String>,
    secret_in_body: bool,
    /// Whether the device code flow has PKCE, too: some clients are registered so that the service requires it.
    supports_pkce: bool,
    secret: Option<Secret>,
}

impl<'a> Service<'a> {
    pub fn new(
        network: Network<'a>,
        provider: &'a Provider,
        oauth: &'a OAuth,
        description: Description,
    ) -> error::Result<Self> {
        let mut service = Self {
            network,
            provider,
            oauth,
            endpoints: oauth.endpoints.clone(),
            sends_issuer: false,
            issuer: None,
            secret_in_body: oauth.secret_in_body.unwrap_or(false),
            supports_pkce: false,
            secret: network.context.client_secret(oauth)?,
        };
        if let Some(issuer) = &oauth.issuer
            && !service.endpoints.is_complete(oauth.grant)
        {
            let metadata = discovery::metadata(network, provider, issuer, description)?;
            service.sends_issuer = metadata.sends_issuer;
            service.secret_in_body =
                oauth.secret_in_body.unwrap_or_else(|| metadata.requires_secret_in_body());
            service.supports_pkce = metadata.supports_pkce();
            service.issuer = Some(metadata.issuer);
            service.endpoints = service.endpoints.or(metadata.endpoints);
        }
        Ok(service)
    }

    /// The same service, with a client secret that is not stored.
    #[must_use]
    pub fn with_secret(mut self, secret: Secret) -> Self {
        self.secret = Some(secret);
        self
    }

    pub fn grants_page(&self) -> Option<String> {
        self.oauth.grants_page()
    }

    pub fn has_secret(&self) -> bool {
        self.secret.is_some()
    }

    /// Starts a device code flow (RFC 8628, 3.1).
    pub fn start_device_flow(&self) -> Result<DeviceLogin> {
        let client =
            self.client(self.endpoints.device_authorization.as_ref(), "the device code flow")?;
        let pkce = self.supports_pkce.then(PkceCodeChallenge::new_random_sha256);
        let (challenge, verifier) = pkce.unzip();
        let verifier = verifier.map(|verifier| Secret::new(verifier.secret()));
        let requests = self.requests()?;
        let mut start = requests.exchange_device_code().add_scopes(self.scopes());
        if let Some(challenge) = &challenge {
            start = start
                .add_extra_param("code_challenge", challenge.as_str())
                .add_extra_param("code_challenge_method", challenge.method().as_str());
        }
        let send = self.sender(client, &[]);
        let authorization =
            start.request(&|request| send(request).map(with_bounded_numbers)).map_err(failure)?;
        Ok(DeviceLogin { authorization, verifier })
    }

    /// Polls until the person has decided or the code has expired, with `pause` in between (RFC 8628, 3.4 and 3.5).
    pub fn poll_device_flow(
        &self,
        DeviceLogin { authorization, verifier }: &DeviceLogin,
        pause: impl Fn(Duration),
    ) -> Result<TokenResponse> {
        let expiry = Instant::now() + authorization.expires_in();
        let remaining = || expiry.saturating_duration_since(Instant::now());
        let device_code = Secret::new(authorization.device_code().secret());
        let secrets: Vec<_> = [&device_code].into_iter().chain(verifier).collect();
        let send = self.sender(self.token_client()?.until(expiry), &secrets);
        let poll = |request| match remaining() {
            // The library compares with the time of day, which may be set meanwhile.
            Duration::ZERO => Ok(error_response("expired_token", "")),
            _ => send(request).or_else(for_the_library),
        };
        let requests = self.requests()?;
        let mut exchange = requests.exchange_device_access_token(authorization);
        if let Some(verifier) = verifier {
            exchange = exchange.add_extra_param("code_verifier", verifier.expose_secret());
        }
        exchange
            .set_max_backoff_interval(authorization.interval().max(MAX_BACKOFF))
            .request(&poll, |interval| pause(interval.min(remaining())), None)
            .map_err(failure)
    }

    /// Starts an authorization code flow with PKCE, whose page returns to `redirect` (RFC 7636, 8252).
    pub fn start_code_flow(&self, redirect: String) -> Result<AuthorizationRequest> {
        let page =
            self.endpoint(self.endpoints.authorization.as_ref(), "the authorization code flow")?;
        let redirect = RedirectUrl::new(redirect).map_err(invalid_url)?;
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let requests = self
            .requests()?
            .set_auth_uri(AuthUrl::new(page.to_owned()).map_err(invalid_url)?)
            .set_redirect_uri(redirect.clone());
        // OpenID Connect Core, 3.1.2.1: optional in this flow. Glewlwyd requires it.
        let is_openid = self.oauth.scopes.iter().any(|scope| &**scope == "openid");
        let nonce = is_openid.then(CsrfToken::new_random);
        let mut page = requests.authorize_url(CsrfToken::new_random).add_scopes(self.scopes());
        if let Some(nonce) = &nonce {
            page = page.add_extra_param("nonce", nonce.secret());
        }
        for (name, value) in &self.oauth.parameters {
            page = page.add_extra_param(&**name, &**value);
        }
        let (url, state) = page.set_pkce_challenge(challenge).url();
        Ok(AuthorizationRequest { url: url.into(), state, nonce, verifier, redirect })
    }

    /// Exchanges the code that the page returned.
    pub fn exchange_code(
        &self,
        authorization: AuthorizationRequest,
        code: &Secret,
    ) -> Result<TokenResponse> {
        let AuthorizationRequest { verifier, redirect, nonce, .. } = authorization;
        let secret = Secret::new(verifier.secret());
        let issued: TokenResponse = self
            .requests()?
            .set_redirect_uri(redirect)
            .exchange_code(AuthorizationCode::new(code.expose_secret().to_owned()))
            .set_pkce_verifier(verifier)
            .request(&self.sender(self.token_client()?, &[code, &secret]))
            .map_err(failure)?;
        if nonce.is_some_and(|nonce| !issued.is_for(&nonce)) {
            let message = "the ID token of the response is of another login";
            return Err(HttpError::Malformed(message.to_owned()));
        }
        Ok(issued)
    }

    /// Logs in with the client credentials (RFC 6749, 4.4).
    pub fn client_credentials(&self) -> Result<TokenResponse> {
        self.requests()?
            .exchange_client_credentials()
            .add_scopes(self.scopes())
            .request(&self.sender(self.token_client()?, &[]))
            .map_err(failure)
    }

    /// Spends a refresh token (RFC 6749, 6). If the service issues no new one, the session keeps the old one.
    pub fn refresh(
        &self,
        session: &Session,
        spent: &Secret,
        requested: Timestamp,
    ) -> Result<Session> {
        let issued = self
            .requests()?
            .exchange_refresh_token(&RefreshToken::new(spent.expose_secret().to_owned()))
            .request(&self.sender(self.token_client()?, &[spent]))
            .map_err(failure)?
            .into_session(requested)?;
        let refresh_token = issued.refresh_token.or_else(|| Some(spent.clone()));
        // OpenID Connect Core, 12.2: the response need not have an ID token.
        let id_token = issued.id_token.or_else(|| session.id_token.clone());
        Ok(Session { refresh_token, id_token, logged_in_at: session.logged_in_at, ..issued })
    }

    /// Revokes the refresh token of a session, and so its access tokens; without one, the access token (RFC 7009).
    pub fn revoke(&self, session: &Session) -> Result<()> {
        let client = self.client(self.endpoints.revocation.as_ref(), "token revocation")?;
        let secret = session.refresh_token.as_ref().unwrap_or(&session.access_token);
        let text = secret.expose_secret().to_owned();
        let token = match &session.refresh_token {
            Some(_) => RefreshToken::new(text).into(),
            None => AccessToken::new(text).into(),
        };
        self.requests()?
            .revoke_token(token)
            .map_err(|error| not_sent(error.to_string()))?
            .request(&self.sender(client, &[secret]))
            .map_err(failure)
    }

    /// The claims about the user of a token.
    pub fn userinfo(&self, token: &Secret) -> Result<Value> {
        self.client(self.endpoints.userinfo.as_ref(), "user information")?.get(Some(token))
    }

    /// Sends requests that have these secrets, and the client secret, which all of them have.
    fn sender<'s>(
        &'s self,
        client: Client,
        secrets: &[&'s Secret],
    ) -> impl Fn(HttpRequest) -> Result<HttpResponse> + 's {
        let secrets: Vec<_> = self.secret.iter().chain(secrets.iter().copied()).collect();
        move |request| client.exchange(request, &secrets)
    }

    /// The library requires the endpoints, and https for a revocation even at a loopback address. It gets a
    /// placeholder, since a [`Client`] sends every request to its own endpoint.
    fn requests(&self) -> Result<Requests> {
        let name = &self.provider.name;
        let missing = || not_sent(format!("[providers.{name}] has no `client_id`"));
        let id = self.oauth.client_id.as_deref().ok_or_else(missing)?;
        let form = if self.secret_in_body { AuthType::RequestBody } else { AuthType::BasicAuth };
        let placeholder = Url::parse("https://localhost/").map_err(invalid_url)?;
        let mut requests = oauth2::Client::new(ClientId::new(id.to_owned()))
            .set_device_authorization_url(DeviceAuthorizationUrl::from_url(placeholder.clone()))
            .set_revocation_url(RevocationUrl::from_url(placeholder.clone()))
            .set_token_uri(TokenUrl::from_url(placeholder))
            .set_auth_type(form);
        if let Some(secret) = &self.secret {
            requests = requests.set_client_secret(ClientSecret::new(secret.expose_secret().into()));
        }
        Ok(requests)
    }

    fn scopes(&self) -> impl Iterator<Item = Scope> {
        self.oauth.scopes.iter().map(|scope| Scope::new(scope.to_string()))
    }

    fn endpoint<'u>(&self, url: Option<&'u Text>, what: &str) -> Result<&'u str> {
        let missing = || not_sent(format!("{} has no endpoint for {what}", self.provider.name));
        url.map(|url| &**url).ok_or_else(missing)
    }

    /// Sends a grant that the library does not know, with the client's authentication.
    pub(in crate::http) fn grant(
        &self,
        fields: &[(&str, &str)],
        secrets: &[&Secret],
    ) -> Result<TokenResponse> {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(fields);
        let mut request = oauth2::http::Request::post("/")
            .header("Content-Type", "application/x-www-form-urlencoded")
            .header("Accept", "application/json");
        // A public client, and one that an assertion authenticates, names only its id.
        match (&self.oauth.client_id, &self.secret) {
            (Some(id), Some(secret)) if !self.secret_in_body => {
                let encoded = |text: &str| {
                    url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>()
                };
                let (id, secret) = (encoded(id), Zeroizing::new(encoded(secret.expose_secret())));
                let pair = Zeroizing::new(BASE64.encode(format!("{id}:{}", *secret)));
                let basic = Zeroizing::new(format!("Basic {}", *pair));
                request = request.header("Authorization", &*basic);
            }
            (Some(id), secret) => {
                form.append_pair("client_id", id);
                if let Some(secret) = secret {
                    form.append_pair("client_secret", secret.expose_secret());
                }
            }
            (None, _) => {}
        }
        let request = request
            .body(form.finish().into_bytes())
            .map_err(|_| not_sent("a field of the request is not allowed in HTTP".to_owned()))?;
        let response = self.sender(self.token_client()?, secrets)(request)?;
        decode(&Zeroizing::new(response.into_body()))
    }

    pub(in crate::http) fn token_client(&self) -> Result<Client> {
        self.client(self.endpoints.token.as_ref(), "tokens")
    }

    /// A client for one endpoint. The origin decides whether the client uses a proxy.
    fn client(&self, url: Option<&Text>, what: &str) -> Result<Client> {
        Ok(Client::new(self.network, self.provider, self.endpoint(url, what)?)?)
    }
}

/// The longest interval between two polls of a service that fails, unless its own is longer.
const MAX_BACKOFF: Duration = Duration::from_secs(10);

/// The codes that this program decides by (RFC 6749, 5.2; RFC 8628, 3.5), and GitHub's names for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    AccessDenied,
    ExpiredToken,
    #[serde(alias = "incorrect_client_credentials")]
    InvalidClient,
    #[serde(alias = "bad_refresh_token")]
    InvalidGrant,
    UnauthorizedClient,
}

/// Whether a rejected refresh ends the session.
pub fn ends_session(error: &HttpError) -> bool {
    error.is_decision() && error.status() != Some(429) && error.code() == Some(Code::InvalidGrant)
}

/// Whether the service rejected the program, and not the session.
pub fn rejects_client(error: &HttpError) -> bool {
    matches!(error.code(), Some(Code::InvalidClient | Code::UnauthorizedClient))
}

fn invalid_url(cause: url::ParseError) -> HttpError {
    not_sent(format!("invalid endpoint URL: {cause}"))
}

fn not_sent(reason: String) -> HttpError {
    HttpError::NotSent(Error::invalid(reason))
}
