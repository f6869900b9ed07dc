//! The login with a token: checked in form, then by the service, before anything is written.

use std::io::{BufRead as _, IsTerminal as _, Read as _};

use serde_json::json;

use super::{Arguments, Login, at_url};
use crate::auth::Engine;
use crate::cli::terminal::{self, Stopped};
use crate::error::{Error, ErrorCode, Result};
use crate::http::{self, Client, HttpError, microtica, mycli};
use crate::model::{Kind, LoginKind, Provider, Secret, Session, Timestamp, ToolOutput};
use crate::store::env;

const MAX_TOKEN: u64 = 64 * 1024;

/// The token of `--token`, of standard input or of a prompt; `None` for the other flows.
pub(super) fn provided(
    engine: &Engine<'_>,
    arguments: &Arguments,
) -> Result<Option<Secret>, Stopped> {
    let Some(text) = text(engine, arguments)? else { return Ok(None) };
    let token = env::token(text.expose_secret());
    token.map(Some).map_err(|reason| Error::invalid(format!("the token {reason}")).into())
}

fn text(engine: &Engine<'_>, arguments: &Arguments) -> Result<Option<Secret>, Stopped> {
    if let Some(token) = arguments.token.as_deref().filter(|token| !token.is_empty()) {
        return Ok(Some(Secret::new(token)));
    }
    if arguments.email.is_some() || arguments.code.is_some() || arguments.names_flow() {
        return Ok(None);
    }
    if !std::io::stdin().is_terminal() {
        return Ok(from_input()?);
    }
    let provider = engine.context.provider(None)?;
    if arguments.token.is_none() && provider.login.renews() {
        return Ok(None);
    }
    let at_url = at_url(engine, &provider)?;
    terminal::prompt_secret(&format!("Token for {}{at_url}:", provider.name)).map(Some)
}

/// The first line of standard input.
fn from_input() -> Result<Option<Secret>> {
    let mut line = zeroize::Zeroizing::new(String::with_capacity(1024));
    std::io::stdin()
        .lock()
        .take(MAX_TOKEN)
        .read_line(&mut line)
        .map_err(|_| Error::invalid("the token is not UTF-8"))?;
    let token = line.trim();
    Ok((!token.is_empty()).then(|| Secret::new(token)))
}

/// The provider that `--provider` or `MY_PROVIDER` names, else the one whose prefix the token has.
pub(super) fn provider_of(engine: &Engine<'_>, token: &Secret) -> Result<Provider> {
    let configuration = engine.context.configuration()?;
    if !crate::cli::names_provider(engine) {
        for name in configuration.names() {
            let prefix = configuration.provider(name)?.token_prefix;
            if !prefix.is_empty() && token.expose_secret().starts_with(&*prefix) {
                return engine.context.provider(Some(name));
            }
        }
    }
    engine.context.provider(None)
}

#[derive(Default)]
struct Owner {
    name: Option<String>,
    expires_at: Option<String>,
}

impl Login<'_> {
    pub(super) fn by_token(&self, token: &Secret) -> Result<ToolOutput> {
        let Self { engine, provider, .. } = self;
        self.check_form(token)?;
        self.check_replacement(token)?;
        let client = Client::new(engine.network, provider, &self.api_url)?;
        let (owner, verified) = match self.owner(&client, token) {
            Ok(owner) => (owner, true),
            // Users of an API key may be without a network when they store it.
            Err(error)
                if error.is_temporary() && matches!(provider.login, LoginKind::ApiKey { .. }) =>
            {
                self.output.note(format!(
                    "the key is not verified: cannot reach {} ({error})",
                    provider.name
                ));
                (Owner::default(), false)
            }
            Err(error) => return Err(self.rejected(token, &error)),
        };
        let expires_at = owner.expires_at.as_deref().and_then(Timestamp::parse);
        let session = Session::api_token(token.clone(), expires_at, engine.clock.now());
        self.configure_api_url()?;
        let stored = engine.save_session(provider, &session)?;
        self.configure_store()?;
        let fields = json!({
            "kind": Kind::ApiToken.name(), "name": owner.name, "verified": verified, "expires_at": owner.expires_at,
        });
        Ok(self.report_success(stored, owner.name.as_deref(), fields))
    }

    fn check_form(&self, token: &Secret) -> Result<()> {
        let provider = &self.provider;
        if provider.is_api_token(token) {
            return Ok(());
        }
        let form = match (&*provider.token_prefix, provider.token_digits) {
            (prefix, Some(count)) => format!("`{prefix}` followed by {count} hex digits"),
            ("", None) => "printable characters without spaces".to_owned(),
            (prefix, None) => format!("`{prefix}` followed by more characters"),
        };
        let hint = match provider.login {
            LoginKind::MagicLink => format!(
                "to log in by email without a terminal, run `{}`",
                provider.command("login --email you@example.com")
            ),
            LoginKind::ApiKey { .. } | LoginKind::OAuth(_) => {
                "copy the whole key; it is shown once, when it is created".to_owned()
            }
        };
        let message = format!("not a token of {}: expected {form}", provider.name);
        Err(Error::invalid(message).with_hint(hint))
    }

    /// A session is refreshed and a token is not, so that only `--force` replaces a session by a token.
    fn check_replacement(&self, token: &Secret) -> Result<()> {
        let stored = self.engine.load(&self.provider).newest;
        let is_other_session = stored.is_some_and(|stored| {
            stored.session.refresh_token.is_some() && stored.session.access_token != *token
        });
        if !is_other_session || self.arguments.force {
            return Ok(());
        }
        let message = format!("already logged in to {} with a session", self.provider.title());
        Err(Error::invalid(message).with_hint(format!(
            "use `--force` to replace it with the token; run `{}` to see its owner",
            self.provider.command("whoami")
        )))
    }

    fn owner(&self, client: &Client, token: &Secret) -> http::Result<Owner> {
        match &self.provider.login {
            LoginKind::MagicLink => mycli::me(client, token)
                .map(|me| Owner { name: me.username.or(Some(me.email)), expires_at: None }),
            LoginKind::ApiKey { is_microtica: true } => {
                let key = microtica::whoami(client, token)?;
                let name = key.key_name.map(|name| format!("the key `{name}`"));
                Ok(Owner { name, expires_at: key.expires_at })
            }
            LoginKind::ApiKey { is_microtica: false } | LoginKind::OAuth(_) => Ok(Owner::default()),
        }
    }

    fn rejected(&self, token: &Secret, error: &HttpError) -> Error {
        if error.is_temporary() {
            return http::failed(&self.api_url, "check the token", error)
                .with_hint("try again in a moment; nothing was saved");
        }
        let Provider { name, .. } = &self.provider;
        let prefix = microtica::key_prefix(token);
        let message = format!("{name} does not accept the token {prefix}...: {error}");
        Error::new(ErrorCode::Rejected, message).with_hint(format!(
            "{} with a valid token; nothing was saved",
            self.provider.login_hint()
        ))
    }
}
