//! A service that speaks OAuth 2: the grants of RFC 6749, 7636 and 8628, and RFC 7009. One function a request.
//!
//! The `oauth2` crate makes the requests and reads the answers; they travel through [`Client`], which follows no
//! redirect, and bounds every answer in size and time.

mod discovery;
mod response;

use std::time::{Duration, Instant};

use oauth2::basic::{
    BasicErrorResponse, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse,
};
use oauth2::{
    AuthType, AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken,
    DeviceAuthorizationUrl, HttpRequest, HttpResponse, PkceCodeChallenge, PkceCodeVerifier,
    RedirectUrl, RefreshToken, RequestTokenError, Scope, StandardDeviceAuthorizationResponse,
    StandardRevocableToken, TokenUrl,
};
use serde_json::Value;

use crate::error;
use crate::http::client::{ApiError, Client, Network, Result};
use crate::model::{Endpoints, OAuth, Provider, Secret, SecretLocation, Session, Timestamp};

pub use response::{Granted, MOST_TOKEN};
use response::{failure, fault};

type Requests = oauth2::Client<
    BasicErrorResponse,
    Granted,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
>;

/// A login on another device that has begun: what the person is told, and what is polled for.
pub type DeviceLogin = StandardDeviceAuthorizationResponse;

/// A login in the browser that has begun.
pub struct BrowserLogin {
    /// The page to open.
    pub url: String,
    /// What the service must give back, so that no other page can log somebody in.
    pub state: CsrfToken,
    verifier: PkceCodeVerifier,
    redirect: RedirectUrl,
}

/// A service, with its endpoints known.
pub struct Service<'a> {
    network: Network<'a>,
    provider: &'a Provider,
    oauth: &'a OAuth,
    endpoints: Endpoints,
    /// Whether it names itself in the answer of the browser (RFC 9207).
    pub names_itself: bool,
    /// The issuer as it names itself.
    pub issuer: Option<String>,
    secret_in_body: bool,
    secret: Option<Secret>,
    deadline: Option<Instant>,
}

impl<'a> Service<'a> {
    /// The service as it was described last; it is asked where nothing is known, or what is known is a day old.
    pub fn known(
        network: Network<'a>,
        provider: &'a Provider,
        oauth: &'a OAuth,
    ) -> error::Result<Self> {
        Self::described(network, provider, oauth, discovery::known)
    }

    /// The service as it describes itself now.
    pub fn discovered(
        network: Network<'a>,
        provider: &'a Provider,
        oauth: &'a OAuth,
    ) -> error::Result<Self> {
        Self::described(network, provider, oauth, discovery::discover)
    }

    fn described(
        network: Network<'a>,
        provider: &'a Provider,
        oauth: &'a OAuth,
        describe: impl Fn(Network<'_>, &Provider, &str) -> error::Result<discovery::Metadata>,
    ) -> error::Result<Self> {
        let named = oauth.endpoints.clone();
        let description = match &oauth.issuer {
            Some(issuer) if !named.is_complete(oauth) => Some(describe(network, provider, issuer)?),
            _ => None,
        };
        let names_itself = description.as_ref().is_some_and(|found| found.names_itself);
        let only_in_body =
            description.as_ref().is_some_and(discovery::Metadata::takes_secret_in_body_alone);
        let issuer = description.as_ref().map(|found| found.issuer.clone());
        let endpoints = match description {
            Some(found) => found.beneath(named),
            None => named,
        };
        let (secret_in_body, secret) =
            (oauth.secret_in_body || only_in_body, client_secret(network, oauth)?);
        Ok(Self {
            network,
            provider,
            oauth,
            endpoints,
            names_itself,
            issuer,
            secret_in_body,
            secret,
            deadline: None,
        })
    }

    /// The same service, which is given up at `deadline`.
    #[must_use]
    pub fn until(mut self, deadline: Instant) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// The same service, with a secret that is kept nowhere.
    #[must_use]
    pub fn with_secret(mut self, secret: Secret) -> Self {
        self.secret = Some(secret);
        self
    }

    /// Whether there is a client secret.
    pub fn has_secret(&self) -> bool {
        self.secret.is_some()
    }

    /// What it offers.
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// Begins a login on another device (RFC 8628, 3.1).
    pub fn start_on_device(&self) -> Result<DeviceLogin> {
        let url =
            self.endpoint(self.endpoints.device_authorization.as_deref(), "a login by a code")?;
        let requests = self
            .requests()?
            .set_device_authorization_url(parsed(DeviceAuthorizationUrl::new(url))?);
        requests
            .exchange_device_code()
            .add_scopes(self.scopes())
            .request(&|request| self.send(request))
            .map_err(failure)
    }

    /// Polls until the person has answered, and calls `pause` in between (RFC 8628, 3.4 and 3.5).
    pub fn wait_for_device(
        &self,
        login: &DeviceLogin,
        pause: impl Fn(Duration),
    ) -> Result<Granted> {
        let requests = self.requests()?.set_token_uri(self.token_url()?);
        let wait = requests.exchange_device_access_token(login);
        // An interval of 0 would be a storm.
        let pause = |time: Duration| pause(time.max(Duration::from_secs(1)));
        let asked = wait.request(
            &|request| self.send(request),
            pause,
            Some(login.expires_in().min(LONGEST_WAIT)),
        );
        asked.map_err(|error| match error {
            RequestTokenError::ServerResponse(answer) => {
                fault(answer.error().as_ref(), answer.error_description())
            }
            other => response::transport(other),
        })
    }

    /// Begins a login in the browser, which comes back to `redirect` (RFC 7636, 8252).
    pub fn start_in_browser(&self, redirect: String) -> Result<BrowserLogin> {
        let url =
            self.endpoint(self.endpoints.authorization.as_deref(), "a login in the browser")?;
        let redirect = parsed(RedirectUrl::new(redirect))?;
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let requests = self
            .requests()?
            .set_auth_uri(parsed(AuthUrl::new(url))?)
            .set_redirect_uri(redirect.clone());
        let mut page = requests.authorize_url(CsrfToken::new_random).add_scopes(self.scopes());
        for (name, value) in &self.oauth.parameters {
            page = page.add_extra_param(&**name, &**value);
        }
        let (url, state) = page.set_pkce_challenge(challenge).url();
        Ok(BrowserLogin { url: url.into(), state, verifier, redirect })
    }

    /// Redeems the code that the browser brought.
    pub fn redeem_code(&self, login: BrowserLogin, code: String) -> Result<Granted> {
        let requests =
            self.requests()?.set_token_uri(self.token_url()?).set_redirect_uri(login.redirect);
        let exchange =
            requests.exchange_code(AuthorizationCode::new(code)).set_pkce_verifier(login.verifier);
        exchange.request(&|request| self.send(request)).map_err(failure)
    }

    /// Logs in as the program itself (RFC 6749, 4.4).
    pub fn log_in_itself(&self) -> Result<Granted> {
        let requests = self.requests()?.set_token_uri(self.token_url()?);
        requests
            .exchange_client_credentials()
            .add_scopes(self.scopes())
            .request(&|request| self.send(request))
            .map_err(failure)
    }

    /// Redeems a refresh token (RFC 6749, 6). Where the service gives no new one, the old one stays.
    pub fn refresh(
        &self,
        spent: &Session,
        redeemed: &Secret,
        now: impl Fn() -> Timestamp,
    ) -> Result<Session> {
        let requests = self.requests()?.set_token_uri(self.token_url()?);
        let token = RefreshToken::new(redeemed.expose_secret().to_owned());
        let granted =
            requests.exchange_refresh_token(&token).request(&|request| self.send(request));
        let granted = granted.map_err(|error| response::without(failure(error), redeemed))?;
        let session = granted.into_session(now())?;
        let refresh_token = session.refresh_token.or_else(|| Some(redeemed.clone()));
        Ok(Session { refresh_token, logged_in_at: spent.logged_in_at, ..session })
    }

    /// Ends a login (RFC 7009): its refresh token, and with it what was given for it; else its access token.
    pub fn revoke(&self, session: &Session) -> Result<()> {
        let url = self.endpoint(self.endpoints.revocation.as_deref(), "ending a login")?;
        let (token, hint) = match &session.refresh_token {
            Some(token) => (token, "refresh_token"),
            None => (&session.access_token, "access_token"),
        };
        let client = self.client(&url)?;
        let mut form = vec![("token", token.expose_secret()), ("token_type_hint", hint)];
        let mut request = client.http.post(&url);
        let id = self.client_id()?;
        match &self.secret {
            Some(secret) if !self.secret_in_body => {
                let encoded = |text: &str| {
                    url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>()
                };
                request = request.basic_auth(encoded(id), Some(encoded(secret.expose_secret())));
            }
            Some(secret) => {
                form.extend([("client_id", id), ("client_secret", secret.expose_secret())]);
            }
            None => form.push(("client_id", id)),
        }
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request =
            request.header("content-type", "application/x-www-form-urlencoded").body(body);
        let (status, body) = client.exchange(request)?;
        if (200..300).contains(&status) { Ok(()) } else { Err(response::refusal(status, &body)) }
    }

    /// What the service tells about whose a token is.
    pub fn userinfo(&self, token: &Secret) -> Result<Value> {
        let url = self.endpoint(self.endpoints.userinfo.as_deref(), "whose a token is")?;
        let client = self.client(&url)?;
        client.call(client.http.get(&url), Some(token), &[])
    }

    fn requests(&self) -> Result<Requests> {
        let requests = Requests::new(ClientId::new(self.client_id()?.to_owned()));
        let how = if self.secret_in_body { AuthType::RequestBody } else { AuthType::BasicAuth };
        Ok(match &self.secret {
            Some(secret) => requests
                .set_auth_type(how)
                .set_client_secret(ClientSecret::new(secret.expose_secret().to_owned())),
            None => requests,
        })
    }

    fn client_id(&self) -> Result<&str> {
        let missing = || {
            ApiError::NotConnected(format!("[providers.{}] has no `client_id`", self.provider.name))
        };
        self.oauth.client_id.as_deref().ok_or_else(missing)
    }

    fn scopes(&self) -> impl Iterator<Item = Scope> {
        self.oauth.scopes.iter().map(|scope| Scope::new(scope.to_string()))
    }

    fn token_url(&self) -> Result<TokenUrl> {
        parsed(TokenUrl::new(self.endpoint(self.endpoints.token.as_deref(), "tokens")?))
    }

    fn endpoint(&self, url: Option<&str>, what: &str) -> Result<String> {
        let missing = || {
            ApiError::NotConnected(format!("{} names no endpoint for {what}", self.provider.name))
        };
        url.map(str::to_owned).ok_or_else(missing)
    }

    /// Bound to the one endpoint: a proxy, or none, by where that is.
    fn client(&self, url: &str) -> Result<Client> {
        let client = Client::new(self.network, self.provider, url)
            .map_err(|error| ApiError::NotConnected(error.message))?;
        Ok(match self.deadline {
            Some(deadline) => client.until(deadline),
            None => client,
        })
    }

    fn send(&self, request: HttpRequest) -> Result<HttpResponse> {
        let (parts, body) = request.into_parts();
        let url = parts.uri.to_string();
        let client = self.client(&url)?;
        let (status, body) = client
            .exchange(client.http.request(parts.method, &url).headers(parts.headers).body(body))?;
        response::for_the_library(status, &body)
    }
}

/// No person needs longer.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

impl Endpoints {
    /// Whether a description of the service would add nothing that its kind of login needs.
    fn is_complete(&self, oauth: &OAuth) -> bool {
        let can_begin = self.authorization.is_some() || self.device_authorization.is_some();
        self.token.is_some() && (can_begin || oauth.grant == crate::model::Grant::ClientCredentials)
    }
}

/// Whether a refused refresh means that the login is over: the one code that says so (RFC 6749, 5.2), or GitHub's for it.
pub fn ends_session(error: &ApiError) -> bool {
    matches!(error, ApiError::Service { status: 400 | 401, .. })
        && matches!(error.code(), "invalid_grant" | "bad_refresh_token")
}

/// Whether it is the program that was refused (RFC 6749, 5.2), or GitHub's word for it.
pub fn rejects_client(error: &ApiError) -> bool {
    matches!(
        error.code(),
        "invalid_client" | "unauthorized_client" | "incorrect_client_credentials"
    )
}

/// The secret of the client, where the configuration says where it is.
fn client_secret(network: Network<'_>, oauth: &OAuth) -> error::Result<Option<Secret>> {
    let text = match &oauth.client_secret {
        None => return Ok(None),
        Some(SecretLocation::Variable(name)) => {
            network.context.environment.text(name).map(Secret::new)
        }
        Some(SecretLocation::File(path)) => crate::sys::atomic_file::read(path)
            .map_err(|reason| error::Error::invalid_state(format!("{} {reason}", path.display())))?
            .map(|contents| contents.text),
    };
    let text = text.map(|text| Secret::new(text.expose_secret().trim_end_matches(['\r', '\n'])));
    Ok(text.filter(|text| !text.is_empty()))
}

fn parsed<T>(url: std::result::Result<T, url::ParseError>) -> Result<T> {
    url.map_err(|cause| ApiError::NotConnected(format!("an endpoint is no URL: {cause}")))
}
