//! `login https://git.acme.dev`: finds out which service that is, configures it as a provider, and logs in there.

use super::{Arguments, log_in};
use crate::auth::{Engine, with_engine};
use crate::cli::output::Output;
use crate::cli::setup;
use crate::cli::terminal::{self, Stopped};
use crate::config::edit::Editor;
use crate::config::{Configuration, Context, Overrides};
use crate::error::{Error, Result, sanitize};
use crate::http::{Network, forge};
use crate::model::known::{self, KnownService};
use crate::model::{HostPattern, LoginKind, OAuth, Provider, Target, ToolOutput};

struct Service {
    kind: &'static str,
    /// `None` for the public service that `kind` names.
    issuer: Option<String>,
    host: String,
}

pub(super) fn run(
    engine: &Engine<'_>,
    arguments: &Arguments,
    text: &str,
    output: &Output,
) -> Result<ToolOutput, Stopped> {
    let known = configured(engine, text)?;
    if let Some(name) = &known {
        check_choice(engine, arguments, name)?;
    }
    let name = match known {
        Some(name) if arguments.client_id.is_none() => {
            print_client_id(engine, &name)?;
            name
        }
        known => configure(engine, arguments, text, known, output)?,
    };
    // The configuration has changed.
    let overrides = Overrides { provider: Some(name), ..engine.context.overrides.clone() };
    let context = Context::from_env(overrides);
    with_engine(&context, |other| {
        let descriptions = engine.network.descriptions;
        let engine = Engine { network: Network { descriptions, ..other.network }, ..*other };
        let result = log_in(&engine, &Arguments { service: None, ..arguments.clone() }, output)?;
        Ok(setup::offer(&engine, result, output))
    })
}

/// The name of the provider that is configured for the service: by its name, its issuer, or one of its hosts.
fn configured(engine: &Engine<'_>, text: &str) -> Result<Option<String>> {
    let configuration = engine.context.configuration()?;
    let target = Target::parse(text).ok();
    let matches = |provider: &Provider| {
        if *provider.name == *text {
            return true;
        }
        let (LoginKind::OAuth(oauth), Some(target)) = (&provider.login, &target) else {
            return false;
        };
        let issuer = oauth.issuer.as_deref().and_then(|issuer| Target::parse(issuer).ok());
        issuer.as_ref() == Some(target)
            || provider.hosts.iter().any(|it| it.matches(&target.origin))
    };
    let mut providers = configuration.names().into_iter().filter_map(|name| {
        let provider = configuration.provider(name).ok()?;
        matches(&provider).then(|| name.to_owned())
    });
    Ok(providers.next())
}

/// An error if the arguments name another provider for the service, or another client ID than that of a session, which
/// could then not be refreshed.
fn check_choice(engine: &Engine<'_>, arguments: &Arguments, name: &str) -> Result<()> {
    let context = engine.context;
    if let Some(other) = context.overrides.provider.as_deref().filter(|other| *other != name) {
        let (other, name) = (sanitize(other), sanitize(name));
        return Err(Error::invalid(format!("the service is the provider {name}, not {other}"))
            .with_hint(format!("omit `--provider {other}`")));
    }
    let provider = context.configuration()?.provider(name)?;
    if let (LoginKind::OAuth(oauth), Some(new)) = (&provider.login, &arguments.client_id)
        && let Some(id) = oauth.client_id.as_deref().filter(|id| *id != new.trim())
        && !arguments.force
        && engine.load(&context.provider(Some(name))?).newest.is_some()
    {
        let message =
            format!("logged in to {} with the client ID `{}`", provider.title(), sanitize(id));
        return Err(Error::invalid(message)
            .with_hint("add `--force` to change the client ID and log in again"));
    }
    Ok(())
}

/// Prints the client ID before the login, which fails in the browser if the ID is wrong.
fn print_client_id(engine: &Engine<'_>, name: &str) -> Result<()> {
    let provider = engine.context.configuration()?.provider(name)?;
    if let LoginKind::OAuth(oauth) = &provider.login
        && let Some(id) = oauth.client_id.as_deref().map(sanitize)
    {
        terminal::print(&format!(
            "The client ID is `{id}`, from [providers.{name}] in config.toml; `--client-id ID` changes it."
        ));
    }
    Ok(())
}

/// Writes the provider into `config.toml`; returns its name.
fn configure(
    engine: &Engine<'_>,
    arguments: &Arguments,
    text: &str,
    known: Option<String>,
    output: &Output,
) -> Result<String> {
    let context = engine.context;
    let service = Service::find(engine, text)?;
    let named = context.overrides.provider.clone();
    let name = known.or(named).unwrap_or_else(|| service.provider_name());
    let is_new = !context.configuration()?.names().contains(&&*name);
    if service.is_another(context.configuration()?, &name)? {
        let (name, host) = (sanitize(&name), &service.host);
        return Err(Error::invalid(format!("the provider {name} is another service than {host}"))
            .with_hint(
                "select another name: `my-credential-helper --provider NAME login https://HOST`",
            ));
    }
    if service.issuer.is_some() {
        context.check_free(&name, &HostPattern::parse(&service.host)?)?;
    }
    let client_id = match &arguments.client_id {
        Some(id) => id.trim().to_owned(),
        None if terminal::is_interactive() => {
            terminal::print(&service.registration());
            terminal::prompt("Client ID: ")?.trim().to_owned()
        }
        None => String::new(),
    };
    if client_id.is_empty() {
        let lines = service.lines(&name, "CLIENT_ID");
        let title = if service.issuer.is_some() { &service.host } else { service.kind };
        return Err(Error::invalid(format!("the login to {title} requires a client ID"))
            .with_hint(format!(
                "{}\nThen run `my-credential-helper login {} --client-id CLIENT_ID`, or write into config.toml:\n\n{lines}",
                service.registration().trim_end(),
                sanitize(text),
            )));
    }
    let editor = Editor::lock(&context.paths)?;
    let hosts = (is_new && service.issuer.is_some())
        .then(|| [&*service.host].into_iter().collect::<toml_edit::Array>());
    let mut changes = vec![("kind", Some(service.kind.into()))];
    changes.extend(service.issuer.clone().map(|issuer| ("issuer", Some(issuer.into()))));
    changes.push(("client_id", Some(client_id.into())));
    changes.extend(hosts.map(|hosts| ("hosts", Some(hosts.into()))));
    editor.set_all(Some(&name), changes)?;
    output.note(format!("provider {name} is configured in config.toml"));
    if is_new && has_no_other_login(engine)? {
        editor.set(None, "provider", Some(name.clone().into()))?;
        output.note(format!("{name} is now the default provider"));
    }
    Ok(name)
}

/// Whether no default provider is selected, and nobody is logged in to the built-in one.
fn has_no_other_login(engine: &Engine<'_>) -> Result<bool> {
    let context = engine.context;
    let default = context.descriptor(Some(Provider::DEFAULT_NAME))?;
    Ok(!context.configuration()?.selects_default()
        && context.environment.get(&default.token_variable).is_none()
        && engine.load(&default).newest.is_none())
}

impl Service {
    fn find(engine: &Engine<'_>, text: &str) -> Result<Self> {
        if let Some(known) = KnownService::find(text) {
            let host = known.hosts.first().ok_or_else(|| {
                Error::invalid(format!("{text} is software that many hosts run"))
                    .with_hint("name the host: `my-credential-helper login https://HOST`")
            })?;
            return Ok(Self { kind: known.kind, issuer: None, host: (*host).to_owned() });
        }
        // What was typed may be a secret.
        let target = Target::parse(text).map_err(|error| {
            let names = known::ALL.map(|known| known.kind).join(", ");
            Error::invalid(format!(
                "the service is neither a URL nor a known name: {}",
                error.message
            ))
            .with_hint(format!("write `https://HOST`; the known names are {names}"))
        })?;
        let host = target.origin.host_and_port();
        let is_public = |known: &&KnownService| known.hosts.contains(&&*host);
        if let Some(known) = known::ALL.iter().find(is_public) {
            return Ok(Self { kind: known.kind, issuer: None, host });
        }
        let issuer = target.to_string();
        Provider::api_origin(&issuer)?;
        Ok(Self { kind: forge::detect(engine.network, &issuer)?, issuer: Some(issuer), host })
    }

    /// Whether the provider of this name is another service, whose sessions and variable must not be sent here.
    fn is_another(&self, configuration: &Configuration, name: &str) -> Result<bool> {
        if configuration.names().contains(&name) {
            return Ok(!self.is(&configuration.provider(name)?));
        }
        let known = KnownService::find(name).filter(|known| !known.hosts.is_empty());
        Ok(known.is_some_and(|known| known.kind != self.kind))
    }

    fn is(&self, provider: &Provider) -> bool {
        let known =
            KnownService::find(self.kind).map_or_else(OAuth::default, |known| (known.oauth)());
        let own = self.issuer.as_deref().or(known.issuer.as_deref());
        let own = own.or(known.endpoints.token.as_deref());
        let [own, its] = [own, provider.key.service.as_deref()].map(|it| Target::parse(it?).ok());
        own.is_some() && own == its
    }

    /// `git-acme-dev`: the host, in the characters of a provider's name.
    fn provider_name(&self) -> String {
        match &self.issuer {
            None => self.kind.to_owned(),
            Some(_) => self.host.replace(|c: char| !c.is_ascii_alphanumeric(), "-"),
        }
    }

    fn registration(&self) -> String {
        let oauth =
            KnownService::find(self.kind).map_or_else(OAuth::default, |known| (known.oauth)());
        let issuer = self.issuer.as_deref().or(oauth.issuer.as_deref()).unwrap_or_default();
        let has_no_device_flow =
            oauth.endpoints.device_authorization.is_none() || oauth.device_flow_on_request_only;
        let client_type = if oauth.code_flow_needs_secret && has_no_device_flow {
            "confidential; write `client_secret_variable` or `client_secret_file` into config.toml, too"
        } else {
            "public (not confidential), with the device code flow if the service has it"
        };
        let place = oauth.registration.as_deref().unwrap_or("the settings of the service");
        let scopes: Vec<_> = oauth.scopes.iter().map(AsRef::as_ref).collect();
        let scopes = match scopes.join(" ") {
            scopes if scopes.is_empty() => String::new(),
            scopes => format!("\n  scopes:        {scopes}"),
        };
        format!(
            "Register an application at {}\n  redirect URI:  http://127.0.0.1/callback\n  client type:   \
             {client_type}{scopes}\n",
            place.replace("<the issuer>", issuer.trim_end_matches('/')),
        )
    }

    /// The part of `config.toml`.
    fn lines(&self, name: &str, client_id: &str) -> String {
        let issuer = self.issuer.as_ref().map_or_else(String::new, |issuer| {
            format!("issuer = \"{issuer}\"\nhosts = [\"{}\"]\n", self.host)
        });
        format!(
            "[providers.{name}]\nkind = \"{}\"\n{issuer}client_id = \"{client_id}\"\n",
            self.kind
        )
    }
}
