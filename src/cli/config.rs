//! `config`: reads and changes settings, and reports the origin of each.

use std::path::{Path, PathBuf};

use clap::{Subcommand, ValueEnum};
use serde_json::{Map, Value, json};

use crate::auth::Engine;
use crate::cli::output::Output;
use crate::config::{MyJson, edit};
use crate::error::{Error, ErrorCode, Result, sanitize};
use crate::model::{HostPattern, Provider, ToolOutput};
use crate::sys::atomic_file;

#[derive(Subcommand)]
pub(super) enum Command {
    /// Print a setting
    #[command(after_help = "Examples:\n  my-credential-helper config get api_url")]
    Get {
        /// The setting
        key: Key,
    },
    /// Change a setting
    #[command(
        after_help = "Examples:\n  my-credential-helper config set hosts git.acme.dev '*.registry.acme.dev'\n  \
                            my-credential-helper --provider microtica config set project PROJECT_ID"
    )]
    Set {
        /// The setting
        key: Key,
        /// The value; `hosts` accepts several
        #[arg(required = true)]
        values: Vec<String>,
    },
    /// Add hosts to those that the token may be sent to
    #[command(after_help = "Examples:\n  my-credential-helper config add hosts git.acme.dev")]
    Add {
        /// The setting
        key: List,
        /// The hosts
        #[arg(required = true, value_name = "HOST")]
        values: Vec<String>,
    },
    /// Remove hosts from those that the token may be sent to
    #[command(after_help = "Examples:\n  my-credential-helper config remove hosts git.acme.dev")]
    Remove {
        /// The setting
        key: List,
        /// The hosts
        #[arg(required = true, value_name = "HOST")]
        values: Vec<String>,
    },
    /// Print the path of the configuration
    #[command(after_help = "Examples:\n  my-credential-helper config path")]
    Path,
    /// Copy the providers of a file, for a CI job
    #[command(after_help = "Examples:\n  my-credential-helper config import ci/identity.toml")]
    Import {
        /// A file with `provider` and `[providers.NAME]`, which replace those of the configuration
        file: PathBuf,
    },
    /// Reset a setting to its default
    #[command(after_help = "Examples:\n  my-credential-helper config unset store")]
    Unset {
        /// The setting
        key: Key,
    },
    /// List the settings and the source of each value
    #[command(after_help = "Examples:\n  my-credential-helper config list")]
    List,
}

/// The settings that are lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum List {
    /// The hosts that the provider's token may be sent to, in addition to the API's
    Hosts,
}

/// The settings. The first three belong to the provider in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(super) enum Key {
    /// The base URL of the provider's API; `my` reads the setting of mycli too
    ApiUrl,
    /// The hosts that the provider's token may be sent to, in addition to the API's
    Hosts,
    /// The project for `env list`
    Project,
    /// The default provider
    Provider,
    /// The store for new sessions: keyring, file or vault
    Store,
    /// Certificates to trust instead of those of the system (PEM)
    CaFile,
}

impl Key {
    fn name(self) -> String {
        self.to_possible_value().map(|key| key.get_name().to_owned()).unwrap_or_default()
    }

    fn is_of_provider(self) -> bool {
        matches!(self, Self::ApiUrl | Self::Hosts | Self::Project)
    }
}

pub(super) fn run(engine: &Engine<'_>, command: &Command, output: &Output) -> Result<ToolOutput> {
    match command {
        Command::Get { key } => get(engine, *key, output),
        Command::Set { key, values } => set(engine, *key, values, output),
        Command::Add { key: List::Hosts, values } => {
            check_free(engine, values)?;
            change_hosts(engine, values, add, output)
        }
        Command::Remove { key: List::Hosts, values } => {
            change_hosts(engine, values, remove, output)
        }
        Command::Path => {
            let path = engine.context.paths.configuration();
            let path = path.ok_or_else(edit::no_directory)?.display();
            Ok(output.value(&path.to_string(), &json!({ "path": path.to_string() })))
        }
        Command::Import { file } => import(engine, file, output),
        Command::Unset { key } => unset(engine, *key, output),
        Command::List => list(engine, output),
    }
}

struct Setting {
    value: Option<String>,
    from: String,
}

fn setting(engine: &Engine<'_>, provider: &Provider, key: Key) -> Result<Setting> {
    let configuration = engine.context.configuration()?;
    let file = |value: Option<String>, default: &str| {
        let from = if value.is_some() { "config.toml" } else { default };
        Setting { value, from: from.to_owned() }
    };
    Ok(match key {
        Key::ApiUrl => api_url(engine, provider)?,
        Key::Hosts => {
            let hosts: Vec<_> = provider.hosts.iter().map(ToString::to_string).collect();
            file((!hosts.is_empty()).then(|| hosts.join(" ")), "only the host of the API")
        }
        Key::Project => file(configuration.project(&provider.name).map(str::to_owned), "not set"),
        Key::Provider => {
            let Setting { value, from } = file(configuration.provider.clone(), "built in");
            Setting { value: value.or_else(|| Some(Provider::DEFAULT_NAME.to_owned())), from }
        }
        Key::Store => file(
            configuration.store.map(|store| store.name().to_owned()),
            "the keyring, if available",
        ),
        Key::CaFile => file(
            configuration.ca_file.as_ref().map(|path| path.display().to_string()),
            "the certificates of the system",
        ),
    })
}

fn api_url(engine: &Engine<'_>, provider: &Provider) -> Result<Setting> {
    let context = &engine.context;
    let value = context.api_url(provider, None)?;
    let variable = provider.api_url_variable.as_deref();
    let variable = variable.filter(|name| context.environment.get(name).is_some());
    let is_shared = provider.shares_with_my && MyJson::load(&context.paths)?.api_url.is_some();
    let built_in = context.configuration()?.is_built_in_url(provider);
    let from = match variable {
        _ if context.overrides.api_url.is_some() => "--api-url",
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
        return Err(Error::new(ErrorCode::NotFound, format!("{} is not set: {from}", key.name())));
    };
    let fields = json!({ "key": key.name(), "value": value, "from": from });
    Ok(output.value(&value, &fields))
}

fn list(engine: &Engine<'_>, output: &Output) -> Result<ToolOutput> {
    let provider = engine.context.provider(None)?;
    let mut rows = Vec::new();
    let mut fields = Map::new();
    for &key in Key::value_variants() {
        let Setting { value, from } = setting(engine, &provider, key)?;
        fields.insert(key.name(), json!({ "value": value, "from": from }));
        rows.push([key.name(), value.unwrap_or_else(|| "-".to_owned()), from]);
    }
    Ok(output.table(["KEY", "VALUE", "FROM"], rows, "", &Value::Object(fields)))
}

/// The provider in force. A setting of none can be written without it, also to select a provider that exists.
fn provider_for(engine: &Engine<'_>, key: Key) -> Result<Provider> {
    let is_free = !key.is_of_provider() && engine.context.overrides.provider.is_none();
    if is_free {
        return engine.context.descriptor(Some(Provider::DEFAULT_NAME));
    }
    engine.context.provider(None)
}

fn set(engine: &Engine<'_>, key: Key, values: &[String], output: &Output) -> Result<ToolOutput> {
    let provider = provider_for(engine, key)?;
    let certificates = if let (Key::CaFile, [path]) = (key, values) {
        Some(certificates(engine, path)?)
    } else {
        None
    };
    let values = certificates.as_ref().map_or(values, std::slice::from_ref);
    if key == Key::Hosts {
        check_free(engine, values)?;
    }
    let value = match (key, values) {
        (Key::Hosts, hosts) => hosts.iter().collect::<toml_edit::Array>().into(),
        (_, [value]) => toml_edit::Value::from(value.trim()),
        _ => return Err(Error::invalid(format!("{} accepts only one value", key.name()))),
    };
    write(engine, &provider, key, Some((&values[0], value)))?;
    let value = values.join(" ");
    let fields = json!({ "key": key.name(), "value": value });
    Ok(output.done(&format!("{} is now {}.", key.name(), sanitize(&value)), &fields))
}

fn change_hosts(
    engine: &Engine<'_>,
    values: &[String],
    change: fn(&mut Vec<String>, &str) -> Result<()>,
    output: &Output,
) -> Result<ToolOutput> {
    let provider = engine.context.provider(None)?;
    let (paths, key) = (&engine.context.paths, Key::Hosts.name());
    let hosts = edit::change_list(paths, &provider.name, &key, |hosts| {
        values.iter().try_for_each(|host| change(hosts, host.trim()))
    })?;
    let value = (!hosts.is_empty()).then(|| hosts.join(" "));
    let shown = value.as_deref().map_or_else(|| "empty".to_owned(), sanitize);
    let fields = json!({ "key": key, "value": value });
    Ok(output.done(&format!("{key} is now {shown}."), &fields))
}

/// An error if one of the hosts is another provider's.
fn check_free(engine: &Engine<'_>, hosts: &[String]) -> Result<()> {
    let provider = engine.context.provider(None)?;
    hosts.iter().try_for_each(|host| {
        engine.context.check_free(&provider.name, &HostPattern::parse(host.trim())?)
    })
}

fn is_host(text: &str) -> Result<impl Fn(&String) -> bool> {
    let host = HostPattern::parse(text)?;
    Ok(move |known: &String| HostPattern::parse(known).is_ok_and(|known| known == host))
}

fn add(hosts: &mut Vec<String>, host: &str) -> Result<()> {
    if !hosts.iter().any(is_host(host)?) {
        hosts.push(host.to_owned());
    }
    Ok(())
}

fn remove(hosts: &mut Vec<String>, host: &str) -> Result<()> {
    let (is_removed, before) = (is_host(host)?, hosts.len());
    hosts.retain(|known| !is_removed(known));
    if hosts.len() == before {
        let message = format!("`{}` is not in `hosts`", sanitize(host));
        return Err(Error::new(ErrorCode::NotFound, message)
            .with_hint("run `my-credential-helper config get hosts` for the list"));
    }
    Ok(())
}

/// The absolute path of a file with certificates. A file without any is rejected, since every later call would fail.
fn certificates(engine: &Engine<'_>, path: &str) -> Result<String> {
    let unusable = |reason: &dyn std::fmt::Display| {
        Error::invalid(format!("cannot load the certificates in {}: {reason}", sanitize(path)))
    };
    let absolute = match path.trim().strip_prefix("~/") {
        Some(relative) => engine.context.paths.in_home(relative)?,
        None => std::path::absolute(path.trim()).map_err(|error| unusable(&error.kind()))?,
    };
    let pem = atomic_file::read_certificates(&absolute).map_err(|error| unusable(&error))?;
    let pem = pem.ok_or_else(|| unusable(&std::io::ErrorKind::NotFound))?;
    if !String::from_utf8_lossy(&pem).contains("-----BEGIN CERTIFICATE-----") {
        return Err(unusable(&"the file contains no certificate")
            .with_hint("use a PEM file, which contains `-----BEGIN CERTIFICATE-----`"));
    }
    absolute.into_os_string().into_string().map_err(|_| unusable(&"the path is not UTF-8"))
}

fn import(engine: &Engine<'_>, file: &Path, output: &Output) -> Result<ToolOutput> {
    let name = sanitize(&file.to_string_lossy());
    let unusable = |reason: &dyn std::fmt::Display| Error::invalid(format!("{name} {reason}"));
    let path = std::path::absolute(file).map_err(|error| unusable(&error.kind()))?;
    let text = atomic_file::read_configuration(&path).map_err(|error| unusable(&error))?;
    let text = text.ok_or_else(|| unusable(&"does not exist"))?;
    let context = engine.context;
    let named = |error: Error| Error { message: format!("{name}: {}", error.message), ..error };
    let import = edit::Import::parse(&text).map_err(named)?;
    // Under the lock, no other process changes the providers, or logs in to one that is replaced.
    let editor = edit::Editor::lock(&context.paths)?;
    let before = context.configuration()?;
    let (edit, after) = editor.import(&import).map_err(named)?;
    let providers = import.providers();
    for known in providers.iter().filter_map(|provider| before.provider(provider).ok()) {
        let Provider { is_default, .. } = known;
        if (Provider { is_default, ..after.provider(&known.name)? }) != known {
            engine.check_no_session(&known)?;
        }
    }
    context.check_hosts(&after, &providers).map_err(named)?;
    editor.write(&edit)?;
    let text = format!("Imported {} from {name}.", sanitize(&providers.join(", ")));
    Ok(output.done(&text, &json!({ "providers": providers })))
}

fn unset(engine: &Engine<'_>, key: Key, output: &Output) -> Result<ToolOutput> {
    let provider = provider_for(engine, key)?;
    write(engine, &provider, key, None)?;
    let fields = json!({ "key": key.name(), "value": null });
    Ok(output.done(&format!("{} now has its default value.", key.name()), &fields))
}

/// Writes the setting, or removes it. The API URL of mycli is in the file that this program shares with `my`.
fn write(
    engine: &Engine<'_>,
    provider: &Provider,
    key: Key,
    value: Option<(&str, toml_edit::Value)>,
) -> Result<()> {
    let paths = &engine.context.paths;
    if key == Key::ApiUrl {
        engine.check_no_session(provider)?;
        let url = value.as_ref().map(|(url, _)| url.trim());
        url.map(Provider::api_origin).transpose()?;
        if provider.shares_with_my {
            return MyJson::set(paths, "api_url", url.map(|url| url.trim_end_matches('/')));
        }
    }
    let scope = key.is_of_provider().then_some(&*provider.name);
    edit::set(paths, scope, &key.name(), value.map(|(_, value)| value))
}
