//! `config`: the settings, and where each comes from.

use std::io::Read as _;

use clap::{Subcommand, ValueEnum};
use serde_json::{Map, Value, json};

use crate::auth::Engine;
use crate::cli::output::Output;
use crate::config::{MyJson, StoreChoice, edit};
use crate::error::{Error, Result};
use crate::model::{Provider, ToolOutput};
use crate::store::session;

/// No bundle of certificates is larger.
const MOST_CERTIFICATES: u64 = 16 << 20;

#[derive(Subcommand)]
pub(super) enum Verb {
    /// Print a setting
    #[command(after_help = "Examples:\n  my-credential-helper config get api_url")]
    Get {
        /// Which
        key: Key,
    },
    /// Change a setting
    #[command(
        after_help = "Examples:\n  my-credential-helper config set hosts git.acme.dev '*.registry.acme.dev'\n  \
                            my-credential-helper --provider microtica config set project PROJECT_ID"
    )]
    Set {
        /// Which
        key: Key,
        /// To what; `hosts` takes several
        #[arg(required = true)]
        values: Vec<String>,
    },
    /// Put a setting back to its default
    #[command(after_help = "Examples:\n  my-credential-helper config unset store")]
    Unset {
        /// Which
        key: Key,
    },
    /// List the settings, and where each comes from
    #[command(after_help = "Examples:\n  my-credential-helper config list")]
    List,
}

/// What can be set. The first three are the provider's that is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(super) enum Key {
    /// The base URL of the provider's API; mycli's is shared with `my`
    ApiUrl,
    /// The hosts that the provider's token may go to, besides the API's
    Hosts,
    /// The project that `env list` means
    Project,
    /// The default provider
    Provider,
    /// Where new logins go: keyring or file
    Store,
    /// Certificates to trust instead of the bundled roots (PEM)
    CaFile,
}

impl Key {
    const ALL: [Self; 6] =
        [Self::ApiUrl, Self::Hosts, Self::Project, Self::Provider, Self::Store, Self::CaFile];

    fn name(self) -> &'static str {
        match self {
            Self::ApiUrl => "api_url",
            Self::Hosts => "hosts",
            Self::Project => "project",
            Self::Provider => "provider",
            Self::Store => "store",
            Self::CaFile => "ca_file",
        }
    }

    fn is_of_provider(self) -> bool {
        matches!(self, Self::ApiUrl | Self::Hosts | Self::Project)
    }
}

pub(super) fn run(engine: &Engine<'_>, verb: &Verb, output: &Output) -> Result<ToolOutput> {
    match verb {
        Verb::Get { key } => get(engine, *key, output),
        Verb::Set { key, values } => set(engine, *key, values, output),
        Verb::Unset { key } => unset(engine, *key, output),
        Verb::List => list(engine, output),
    }
}

/// A setting's value, and where it comes from.
struct Setting {
    value: Option<String>,
    from: String,
}

fn setting(engine: &Engine<'_>, provider: &Provider, key: Key) -> Result<Setting> {
    let configuration = engine.context.configuration()?;
    let file = |value: Option<String>, otherwise: &str| match value {
        Some(value) => Setting { value: Some(value), from: "config.toml".to_owned() },
        None => Setting { value: None, from: otherwise.to_owned() },
    };
    Ok(match key {
        Key::ApiUrl => api_url(engine, provider)?,
        Key::Hosts => {
            let hosts: Vec<_> = provider.hosts.iter().map(ToString::to_string).collect();
            file((!hosts.is_empty()).then(|| hosts.join(" ")), "only the API's own host")
        }
        Key::Project => file(configuration.project(&provider.name).map(str::to_owned), "not set"),
        Key::Provider => match configuration.provider.clone() {
            Some(name) => file(Some(name), ""),
            None => Setting {
                value: Some(Provider::DEFAULT_NAME.to_owned()),
                from: "built in".to_owned(),
            },
        },
        Key::Store => file(
            configuration.store.map(|store| {
                if store == StoreChoice::File { "file" } else { "keyring" }.to_owned()
            }),
            "the keyring, where there is one",
        ),
        Key::CaFile => file(
            configuration.ca_file.as_ref().map(|path| path.display().to_string()),
            "the bundled roots",
        ),
    })
}

fn api_url(engine: &Engine<'_>, provider: &Provider) -> Result<Setting> {
    let value = engine.context.api_url(provider, None)?;
    let variable = provider
        .api_url_variable
        .as_deref()
        .filter(|name| engine.context.environment.get(name).is_some());
    let is_shared =
        provider.shares_with_my && MyJson::load(&engine.context.paths)?.api_url.is_some();
    let built_in = engine.context.configuration()?.is_built_in_url(provider);
    let from = match variable {
        _ if engine.context.overrides.api_url.is_some() => "--api-url",
        Some(name) => name,
        None if is_shared => "~/.my/config.json",
        None if built_in => "built in",
        None => "config.toml",
    };
    Ok(Setting { value: Some(value), from: from.to_owned() })
}

fn get(engine: &Engine<'_>, key: Key, output: &Output) -> Result<ToolOutput> {
    let Setting { value, from } = setting(engine, &engine.context.provider(None)?, key)?;
    let Some(value) = value else {
        return Err(Error::new(
            crate::error::ErrorCode::NotFound,
            format!("{} is not set: {from}", key.name()),
        ));
    };
    let fields = json!({ "key": key.name(), "value": value, "from": from });
    Ok(if output.json {
        ToolOutput::success(format!("{fields}\n"))
    } else {
        ToolOutput::success(format!("{value}\n"))
    })
}

fn list(engine: &Engine<'_>, output: &Output) -> Result<ToolOutput> {
    let provider = engine.context.provider(None)?;
    let mut rows = Vec::new();
    let mut fields = Map::new();
    for key in Key::ALL {
        let Setting { value, from } = setting(engine, &provider, key)?;
        fields.insert(key.name().to_owned(), json!({ "value": value, "from": from }));
        rows.push([key.name().to_owned(), value.unwrap_or_else(|| "-".to_owned()), from]);
    }
    Ok(output.table(["KEY", "VALUE", "FROM"], rows, "", &Value::Object(fields)))
}

fn set(engine: &Engine<'_>, key: Key, values: &[String], output: &Output) -> Result<ToolOutput> {
    let provider = engine.context.provider(None)?;
    let certificates =
        if let (Key::CaFile, [path]) = (key, values) { Some(certificates(path)?) } else { None };
    let values = certificates.as_ref().map_or(values, std::slice::from_ref);
    let value = match (key, values) {
        (Key::Hosts, hosts) => hosts.iter().collect::<toml_edit::Array>().into(),
        (_, [value]) => toml_edit::Value::from(value.trim()),
        _ => return Err(Error::invalid(format!("{} takes one value", key.name()))),
    };
    if key == Key::ApiUrl {
        may_move(engine, &provider)?;
        Provider::api_origin(values[0].trim())?;
    }
    if key == Key::ApiUrl && provider.shares_with_my {
        MyJson::set(
            &engine.context.paths,
            "api_url",
            Some(values[0].trim().trim_end_matches('/')),
        )?;
    } else {
        edit::set(&engine.context.paths, scope(key, &provider), key.name(), Some(value))?;
    }
    let value = values.join(" ");
    let fields = json!({ "key": key.name(), "value": value });
    Ok(output.done(&format!("{} is {} now.", key.name(), crate::error::sanitize(&value)), &fields))
}

/// The absolute path of a file with certificates. With a file that has none every later call would fail.
fn certificates(path: &str) -> Result<String> {
    let unusable = |why: &dyn std::fmt::Display| {
        Error::invalid(format!("the certificates in {}: {why}", crate::error::sanitize(path)))
    };
    let absolute = std::path::absolute(path.trim()).map_err(|error| unusable(&error.kind()))?;
    let mut pem = Vec::new();
    let file = std::fs::File::open(&absolute).map_err(|error| unusable(&error.kind()))?;
    file.take(MOST_CERTIFICATES).read_to_end(&mut pem).map_err(|error| unusable(&error.kind()))?;
    if !String::from_utf8_lossy(&pem).contains("-----BEGIN CERTIFICATE-----") {
        return Err(unusable(&"none is in it")
            .with_hint("certificates are PEM: `-----BEGIN CERTIFICATE-----`"));
    }
    absolute.into_os_string().into_string().map_err(|_| unusable(&"its path is not UTF-8"))
}

fn unset(engine: &Engine<'_>, key: Key, output: &Output) -> Result<ToolOutput> {
    let provider = engine.context.provider(None)?;
    if key == Key::ApiUrl {
        may_move(engine, &provider)?;
    }
    if key == Key::ApiUrl && provider.shares_with_my {
        MyJson::set(&engine.context.paths, "api_url", None)?;
    } else {
        edit::set(&engine.context.paths, scope(key, &provider), key.name(), None)?;
    }
    let fields = json!({ "key": key.name(), "value": null });
    Ok(output.done(&format!("{} has its default now.", key.name()), &fields))
}

fn scope(key: Key, provider: &Provider) -> Option<&str> {
    key.is_of_provider().then_some(&*provider.name)
}

/// A session belongs to its API URL: with another one in its place, the next call would send one service's token to the
/// other.
fn may_move(engine: &Engine<'_>, provider: &Provider) -> Result<()> {
    if session::load(&engine.stores, &provider.key).newest.is_none() {
        return Ok(());
    }
    let at = engine.context.configured_api_url(provider)?;
    Err(Error::invalid(format!(
        "logged in to {} at {at}; that login would go to the new URL",
        provider.name
    ))
    .with_hint("`my-credential-helper logout` first, or `login --api-url URL`, which replaces it"))
}
