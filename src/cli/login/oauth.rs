//! The login with OAuth 2: chooses the flow, and stores the session that the service issues.

use std::io::Read as _;

use serde_json::json;

use super::{Arguments, Login, browser, device};
use crate::cli::terminal::{self, Stopped};
use crate::cli::whoami::UserInfo;
use crate::config::edit;
use crate::error::{Error, Result};
use crate::http;
use crate::http::oauth::{Description, Service, TokenResponse};
use crate::model::{Grant, OAuth, Provider, Secret, Source, Timestamp, ToolOutput};

const MAX_CLIENT_SECRET: u64 = 16 * 1024;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    DeviceCode,
    AuthorizationCode,
    ClientCredentials,
}

impl Login<'_> {
    pub(super) fn by_oauth(&self, oauth: &OAuth) -> Result<ToolOutput, Stopped> {
        let Self { engine, provider, .. } = self;
        self.check_configuration(oauth)?;
        if !self.arguments.force
            && let Some(result) = self.usable_session()
        {
            return Ok(result);
        }
        let service = Service::new(engine.network, provider, oauth, Description::Current)?;
        engine.check_login(provider)?;
        let save = |issued, requested| self.save_issued(&service, issued, requested);
        Ok(match self.choose_flow(oauth, &service)? {
            Flow::DeviceCode => {
                let (issued, requested) = device::log_in(engine, &service, provider)?;
                save(issued, requested)?
            }
            Flow::AuthorizationCode => {
                browser::log_in(engine, &service, provider, oauth.redirect_port, save)?
            }
            Flow::ClientCredentials => self.by_client_credentials(oauth, service)?,
        })
    }

    fn check_configuration(&self, oauth: &OAuth) -> Result<()> {
        let Provider { name, .. } = &self.provider;
        if oauth.client_id.is_none() {
            let issuer = oauth.issuer.as_deref().unwrap_or("<the issuer>");
            let register = oauth.registration.as_deref().unwrap_or("its settings");
            let register = register.replace("<the issuer>", issuer);
            return Err(Error::invalid(format!("[providers.{name}] has no `client_id`")).with_hint(format!(
                "register an application at {register} (public, redirect to http://127.0.0.1/callback, device flow enabled), and set `client_id` in config.toml to its id"
            )));
        }
        let context = &self.engine.context;
        if context.overrides.api_url.is_some()
            && self.api_url != context.configured_api_url(&self.provider)?
        {
            return Err(Error::invalid(
                "`--api-url` is not supported for OAuth 2 providers; configure the provider in config.toml",
            ));
        }
        Ok(())
    }

    /// The result if a session is stored that is valid or can be refreshed.
    fn usable_session(&self) -> Option<ToolOutput> {
        let found = self.engine.get(&self.engine.request_for(&self.provider)).ok()?;
        if found.source == Source::Environment {
            return None;
        }
        self.output.warn(&found.warnings);
        Some(self.report_existing(None))
    }

    /// The requested flow; else the first one that the service offers, a browser on this machine before a device code.
    fn choose_flow(&self, oauth: &OAuth, service: &Service<'_>) -> Result<Flow> {
        let Arguments { device, browser, client_credentials, .. } = self.arguments;
        let offers = &service.endpoints;
        let (has_device_flow, has_page) =
            (offers.device_authorization.is_some(), offers.authorization.is_some());
        let in_browser = has_page && (service.has_secret() || !oauth.code_flow_needs_secret);
        let by_code = has_device_flow && !oauth.device_flow_on_request_only;
        let not_offered =
            |what: &str| Error::invalid(format!("{} does not support {what}", self.provider.name));
        match (device, browser, client_credentials) {
            (_, _, true) => Ok(Flow::ClientCredentials),
            (true, ..) if has_device_flow => Ok(Flow::DeviceCode),
            (true, ..) => Err(not_offered("the device code flow").with_hint("use `--browser`")),
            (_, true, _) if in_browser => Ok(Flow::AuthorizationCode),
            (_, true, _) if has_page => Err(self.client_secret_is_missing(oauth)),
            (_, true, _) => Err(not_offered("login in the browser").with_hint("use `--device`")),
            _ if oauth.grant == Grant::ClientCredentials => Ok(Flow::ClientCredentials),
            _ if in_browser && (browser::can_be_opened(self.engine) || !by_code) => {
                Ok(Flow::AuthorizationCode)
            }
            _ if by_code => Ok(Flow::DeviceCode),
            _ if has_page => Err(self.client_secret_is_missing(oauth)),
            _ => Err(not_offered("the device code flow or login in the browser")),
        }
    }

    /// The error before the page is opened: the exchange of its code would fail.
    fn client_secret_is_missing(&self, oauth: &OAuth) -> Error {
        let Provider { name, .. } = &self.provider;
        if let Some(error) = oauth.missing_secret(name) {
            return error;
        }
        Error::invalid(format!("login to {name} in the browser requires the client secret"))
            .with_hint(format!(
                "set `client_secret_variable` or `client_secret_file` in [providers.{name}] of config.toml, or use \
                 `--device` if the service supports it"
            ))
    }

    /// Logs in with the client credentials, and configures the provider to do so after each expiry.
    fn by_client_credentials(
        &self,
        oauth: &OAuth,
        service: Service<'_>,
    ) -> Result<ToolOutput, Stopped> {
        let service = if service.has_secret() {
            service
        } else {
            service.with_secret(self.client_secret_from_input(oauth)?)
        };
        let requested = self.engine.clock.now();
        let issued = service
            .client_credentials()
            .map_err(|error| http::failed(&self.provider.api_url, "log in", &error))?;
        if oauth.grant != Grant::ClientCredentials {
            let grant = Some("client_credentials".into());
            edit::set(&self.engine.context.paths, Some(&self.provider.name), "grant", grant)?;
        }
        Ok(self.save_issued(&service, issued, requested)?)
    }

    /// Reads the client secret from a prompt or standard input, never from an argument, which others can see.
    fn client_secret_from_input(&self, oauth: &OAuth) -> Result<Secret, Stopped> {
        let Provider { name, .. } = &self.provider;
        let secret = if terminal::is_interactive() {
            terminal::prompt_secret(&format!("Client secret of {name}:"))?
        } else {
            let mut text = zeroize::Zeroizing::new(String::with_capacity(1024));
            let read = std::io::stdin().lock().take(MAX_CLIENT_SECRET).read_to_string(&mut text);
            read.map_err(|_| Error::invalid("the client secret is not UTF-8"))?;
            Secret::trimmed(&text)
        };
        if secret.is_empty() {
            return Err(oauth.missing_secret(name).unwrap_or_else(|| {
                Error::invalid(format!("{name} requires a client secret")).with_hint(format!(
                    "pass it on standard input, or set `client_secret_variable` or `client_secret_file` in [providers.{name}] of config.toml"
                ))
            }).into());
        }
        self.output
            .note("the client secret is not stored: after the token expires, log in again, or set `client_secret_variable` or `client_secret_file`");
        Ok(secret)
    }

    fn save_issued(
        &self,
        service: &Service<'_>,
        issued: TokenResponse,
        requested: Timestamp,
    ) -> Result<ToolOutput> {
        let unusable = |error| http::failed(&self.provider.api_url, "use the token", &error);
        let session = issued.into_session(requested).map_err(unusable)?;
        let stored = self.engine.save_granted(&self.provider, &session)?;
        self.configure_store()?;
        let user = service.userinfo(&session.access_token).ok().map(UserInfo);
        let username = user.as_ref().and_then(UserInfo::name);
        let email = user.and_then(|user| user.text(&["email"]));
        let fields = json!({ "email": email, "username": username });
        Ok(self.report_success(stored, username.as_deref(), fields))
    }
}
