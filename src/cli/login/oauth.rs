//! `login` with a service that speaks OAuth 2: which of its ways is gone, and what is done with what it gives.

use std::io::Read as _;

use serde_json::json;

use super::{Arguments, browser, device};
use crate::auth::Engine;
use crate::cli::output::Output;
use crate::config::edit;
use crate::error::{Error, Result};
use crate::http;
use crate::http::oauth::{Granted, Service};
use crate::model::{CredentialRequest, Grant, OAuth, Provider, Secret, ToolOutput};

/// No client secret is longer.
const MOST_SECRET: u64 = 16 * 1024;

pub(super) struct OAuthLogin<'a> {
    pub(super) engine: &'a Engine<'a>,
    pub(super) provider: &'a Provider,
    pub(super) oauth: &'a OAuth,
    pub(super) arguments: &'a Arguments,
    pub(super) output: &'a Output,
}

/// The ways to log in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Device,
    Browser,
    Itself,
}

impl OAuthLogin<'_> {
    pub(super) fn run(&self) -> Result<ToolOutput> {
        self.check()?;
        if !self.arguments.force
            && let Some(answer) = self.already_logged_in()
        {
            return Ok(answer);
        }
        let service = Service::discovered(self.engine.network, self.provider, self.oauth)?;
        self.engine.check_login(self.provider)?;
        let way = self.way(&service)?;
        match way {
            Way::Device => self.keep(&service, device::log_in(&service, self.provider)?),
            Way::Browser => browser::log_in(
                self.engine,
                &service,
                self.provider,
                self.oauth.redirect_port,
                |granted| self.keep(&service, granted),
            ),
            Way::Itself => self.log_in_itself(service),
        }
    }

    fn check(&self) -> Result<()> {
        let name = &self.provider.name;
        if self.oauth.client_id.is_none() {
            let register = self.oauth.registration.as_deref().unwrap_or("its settings");
            let register = register
                .replace("<the issuer>", self.oauth.issuer.as_deref().unwrap_or("<the issuer>"));
            return Err(Error::invalid(format!("[providers.{name}] has no `client_id`")).with_hint(format!(
                "register an application at {register} (public, redirect to http://127.0.0.1/callback, device flow \
                 on), and put the id that it is given into config.toml"
            )));
        }
        let api_url = self.engine.context.api_url(self.provider, None)?;
        if self.engine.context.overrides.api_url.is_some()
            && api_url != self.engine.context.configured_api_url(self.provider)?
        {
            return Err(Error::invalid(
                "a service with OAuth 2 is named in config.toml, and not by `--api-url`",
            ));
        }
        Ok(())
    }

    /// What is kept, where it can still be used.
    fn already_logged_in(&self) -> Option<ToolOutput> {
        let Provider { name, account, .. } = self.provider;
        let ask = CredentialRequest {
            provider: Some(name.to_string()),
            account: Some(account.to_string()),
            ..CredentialRequest::default()
        };
        let found = self.engine.get(&ask).ok()?;
        if found.source == crate::model::Source::Environment {
            return None;
        }
        let sentence = format!(
            "Already logged in to {}. `login --force` logs in anew.",
            self.provider.title()
        );
        let fields = json!({ "provider": name, "account": &**account, "already_logged_in": true, "email": null });
        self.output.warn(&found.warnings);
        Some(self.output.done(&sentence, &fields))
    }

    /// The one that is asked for; else what the service offers, and a browser on this machine before a code.
    fn way(&self, service: &Service<'_>) -> Result<Way> {
        let Arguments { device, browser, client_credentials, .. } = self.arguments;
        let offers = service.endpoints();
        let (on_device, has_page) =
            (offers.device_authorization.is_some(), offers.authorization.is_some());
        let in_browser = has_page && (service.has_secret() || !self.oauth.page_wants_secret);
        let by_code = on_device && !self.oauth.codes_are_for_others;
        let not_offered =
            |what: &str| Error::invalid(format!("{} offers no login {what}", self.provider.name));
        match (device, browser, client_credentials) {
            (_, _, true) => Ok(Way::Itself),
            (true, ..) if on_device => Ok(Way::Device),
            (true, ..) => {
                Err(not_offered("by a code").with_hint("`--browser` logs in on its page"))
            }
            (_, true, _) if in_browser => Ok(Way::Browser),
            (_, true, _) if has_page => Err(self.wants_secret()),
            (_, true, _) => {
                Err(not_offered("in the browser").with_hint("`--device` logs in by a code"))
            }
            _ if self.oauth.grant == Grant::ClientCredentials => Ok(Way::Itself),
            _ if in_browser && (browser::can_be_opened(self.engine) || !by_code) => {
                Ok(Way::Browser)
            }
            _ if by_code => Ok(Way::Device),
            _ if has_page => Err(self.wants_secret()),
            _ => Err(not_offered("by a code, and none in the browser")),
        }
    }

    /// Said before anybody has been to the page for nothing.
    fn wants_secret(&self) -> Error {
        let name = &self.provider.name;
        Error::invalid(format!("{name} takes a login in the browser from those alone who know its client secret"))
            .with_hint(format!(
                "say where it is: `client_secret_variable` or `client_secret_file` in [providers.{name}] of \
                 config.toml; or `--device` logs in by a code, where that is offered"
            ))
    }

    /// The program is its own user, from now on.
    fn log_in_itself(&self, service: Service<'_>) -> Result<ToolOutput> {
        let service = if service.has_secret() {
            service
        } else {
            service.with_secret(self.secret_from_input()?)
        };
        let granted = service
            .log_in_itself()
            .map_err(|error| http::failed(&self.provider.api_url, "log in", &error))?;
        if self.oauth.grant != Grant::ClientCredentials {
            let grant = Some("client_credentials".into());
            edit::set(&self.engine.context.paths, Some(&self.provider.name), "grant", grant)?;
        }
        self.keep(&service, granted)
    }

    /// Never an argument, which others can see.
    fn secret_from_input(&self) -> Result<Secret> {
        let mut text = zeroize::Zeroizing::new(String::with_capacity(1024));
        let read = std::io::stdin().lock().take(MOST_SECRET).read_to_string(&mut text);
        read.map_err(|_| Error::invalid("the client secret is not UTF-8"))?;
        let name = &self.provider.name;
        if text.trim().is_empty() {
            return Err(Error::invalid(format!("{name} wants a client secret, and none is there")).with_hint(format!(
                "give it on standard input, or say where it is: `client_secret_variable` or `client_secret_file` in \
                 [providers.{name}] of config.toml"
            )));
        }
        self.output
            .note("the client secret is kept nowhere: when the token ends, log in anew, or say where the secret is");
        Ok(Secret::new(text.trim()))
    }

    fn keep(&self, service: &Service<'_>, granted: Granted) -> Result<ToolOutput> {
        let unusable = |error| http::failed(&self.provider.api_url, "use what was given", &error);
        let session = granted.into_session(self.engine.clock.now()).map_err(unusable)?;
        let stored = self.engine.save_granted(self.provider, &session)?;
        let user = service.userinfo(&session.access_token).ok().map(crate::cli::whoami::User);
        let username = user.as_ref().and_then(crate::cli::whoami::User::name);
        let email = user.and_then(|user| user.text(&["email"]));
        let fields = json!({ "email": email, "username": username });
        let (engine, provider) = (self.engine, self.provider);
        Ok(super::logged_in(engine, provider, self.output, stored, username.as_deref(), fields))
    }
}
