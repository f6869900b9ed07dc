//! pip and uv run the `keyring` command. `pip config list` prints the settings of all files and variables; uv has no such
//! command.

use toml_edit::DocumentMut;

use super::{InForce, Subject, netrc};
use crate::config::toml_reason;
use crate::error::{Error, Result, sanitize};
use crate::model::Target;

const COMMAND: &str = "keyring";

/// Also read by pip, and they may contain a password: not passed to a child.
const INDEXES: [&str; 2] = ["PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"];

pub(super) fn inspect_pip(subject: &Subject<'_>) -> Result<InForce> {
    let mut pip = subject.machine.launcher.child(subject.program)?;
    for name in ["PIP_KEYRING_PROVIDER", "PIP_CONFIG_FILE", "PIP_ISOLATED"] {
        if let Some(value) = subject.variable(name) {
            pip = pip.env(name, value);
        }
    }
    let text = pip.args(["config", "list"]).run()?.ok_or_else(|| {
        Error::invalid("pip cannot read its configuration")
            .with_hint("run `pip config list` for the reason")
    })?;
    let settings: Vec<_> = text
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key, value.trim_matches(['\'', '"'])))
        .collect();
    // In the order of precedence.
    let places = [
        (":env:.keyring-provider", "PIP_KEYRING_PROVIDER"),
        ("install.keyring-provider", "[install]"),
        ("global.keyring-provider", "[global]"),
    ];
    let find = |key: &str| settings.iter().find(|(name, _)| *name == key).map(|(_, value)| *value);
    let providers = places.iter().filter_map(|(key, place)| Some((find(key)?, *place)));
    let indexes = settings.iter().filter(|(key, _)| key.ends_with("index-url"));
    let variables = INDEXES.iter().filter_map(|name| subject.variable(name));
    let indexes = indexes.map(|(_, value)| (*value).to_owned()).chain(variables);
    Ok(in_force(subject, &providers.collect::<Vec<_>>(), indexes))
}

pub(super) fn inspect_uv(subject: &Subject<'_>) -> Result<InForce> {
    let (file, text) = (subject.file(), subject.read()?);
    let document: DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| {
        let reason = toml_reason(&text, error.span(), error.message());
        let message = format!("cannot read {}: {reason}", file.display());
        Error::invalid(message).with_hint("correct the file")
    })?;
    let variable = subject.variable("UV_KEYRING_PROVIDER");
    let off = subject.variable("UV_NO_CONFIG").filter(|_| variable.is_none());
    let off = off.map(|_| ("no configuration", "UV_NO_CONFIG"));
    let place = file.display().to_string();
    let own = document.get("keyring-provider").and_then(|item| item.as_str());
    let of_pip = document.get("pip").and_then(|pip| pip.get("keyring-provider")?.as_str());
    let variable = variable.as_deref().map(|value| (value, "UV_KEYRING_PROVIDER"));
    let of_pip = of_pip.map(|value| (value, "[pip] of uv.toml"));
    let providers = [variable, off, of_pip, own.map(|value| (value, &*place))];
    let indexes = document.get("index").and_then(|item| item.as_array_of_tables());
    let indexes = indexes.into_iter().flatten().filter_map(|index| index.get("url")?.as_str());
    let indexes: Vec<_> = indexes.map(str::to_owned).collect();
    let variables =
        ["UV_INDEX_URL", "UV_DEFAULT_INDEX"].iter().filter_map(|name| subject.variable(name));
    let providers: Vec<_> = providers.into_iter().flatten().collect();
    Ok(in_force(subject, &providers, indexes.into_iter().chain(variables)))
}

/// `providers` are in the order of precedence, each with its place.
fn in_force(
    subject: &Subject<'_>,
    providers: &[(&str, &str)],
    indexes: impl Iterator<Item = String>,
) -> InForce {
    let mut in_force = InForce::default();
    let Some(position) = providers.iter().position(|(value, _)| *value == "subprocess") else {
        return in_force;
    };
    in_force.commands.push(COMMAND.to_owned());
    if let Some((value, place)) = providers[..position].first() {
        let message = format!("{place} selects `{}` in place of `subprocess`", sanitize(value));
        let is_variable = place.starts_with(|c: char| c.is_ascii_uppercase());
        let fix = if is_variable {
            format!("run `unset {place}`")
        } else {
            format!("remove `keyring-provider` from {place}")
        };
        in_force.findings.push(subject.problem(message, fix));
    }
    for index in
        indexes.flat_map(|value| value.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    {
        let Some((scheme, rest)) = index.split_once("://") else { continue };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
        let Ok(target) = Target::parse(&format!("{scheme}://{host}/{path}")) else { continue };
        if subject.owner(&target).is_none() {
            continue;
        }
        if user.contains(':') {
            let fix =
                format!("remove the password from the URL: `{scheme}://{host}/{}`", sanitize(path));
            in_force.findings.push(subject.precedes(
                "the password in the URL of the index",
                &target.origin,
                fix,
            ));
        }
        in_force.targets.push(target);
    }
    if in_force.targets.is_empty() {
        in_force.targets = subject.any_host();
    }
    in_force.findings.extend(netrc::examine(subject, &in_force.targets));
    in_force
}
