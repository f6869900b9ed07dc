//! pip and uv run the `keyring` command. `pip config list` prints the settings of all files and variables; uv has no such
//! command.

use toml_edit::{Item, Table};

use super::{InForce, netrc};
use crate::cli::doctor::finding::Finding;
use crate::cli::doctor::tool;
use crate::error::{Error, Result, sanitize};
use crate::model::Target;

const COMMAND: &str = "keyring";

/// Also read by pip, and they may contain a password: not passed to a child.
const INDEXES: [&str; 2] = ["PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"];

pub(super) fn inspect_pip(in_force: &mut InForce<'_>) -> Result<()> {
    let subject = in_force.subject;
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
    let settings = text.lines().filter_map(|line| line.split_once('='));
    let settings = settings.map(|(key, value)| (key, value.trim_matches(['\'', '"'])));
    let settings: Vec<_> = settings.collect();
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
    let urls = indexes.map(|(_, value)| (*value).to_owned()).chain(variables);
    let always = tool::old(subject.machine, subject.tool, subject.program).is_none();
    let urls: Vec<_> = urls.collect();
    let urls = urls.iter().flat_map(|urls| urls.split_whitespace());
    let indexes: Vec<_> = urls.map(|url| (url.to_owned(), always)).collect();
    examine(in_force, &providers.collect::<Vec<_>>(), &indexes);
    if always && in_force.targets.is_empty() && !in_force.commands.is_empty() {
        // The index may be an argument of pip.
        in_force.targets = subject.any_host();
        netrc::examine(in_force);
    }
    Ok(())
}

pub(super) fn inspect_uv(in_force: &mut InForce<'_>) -> Result<()> {
    let subject = in_force.subject;
    let (place, document) = (subject.file().display().to_string(), subject.read_toml()?);
    let variable = subject.variable("UV_KEYRING_PROVIDER");
    let off = subject.variable("UV_NO_CONFIG").filter(|_| variable.is_none());
    let off = off.map(|_| ("no configuration", "UV_NO_CONFIG"));
    let own = document.get("keyring-provider").and_then(|item| item.as_str());
    let of_pip = document.get("pip").and_then(|pip| pip.get("keyring-provider")?.as_str());
    let variable = variable.as_deref().map(|value| (value, "UV_KEYRING_PROVIDER"));
    let of_pip = of_pip.map(|value| (value, "[pip] of uv.toml"));
    let providers = [variable, off, of_pip, own.map(|value| (value, &*place))];
    let indexes = document.get("index").and_then(|item| item.as_array_of_tables());
    let index = |index: &Table| {
        let always = index.get("authenticate").and_then(Item::as_str) == Some("always");
        Some((index.get("url")?.as_str()?.to_owned(), always))
    };
    let mut indexes: Vec<_> = indexes.into_iter().flatten().filter_map(index).collect();
    let variables =
        ["UV_INDEX_URL", "UV_DEFAULT_INDEX"].iter().filter_map(|name| subject.variable(name));
    let providers: Vec<_> = providers.into_iter().flatten().collect();
    indexes.extend(variables.map(|url| (url, false)));
    examine(in_force, &providers, &indexes);
    if in_force.targets.is_empty() && !in_force.commands.is_empty() {
        let message = "asks this program for an index with `authenticate = \"always\"` or a user name, and none is configured";
        let fix = format!("add the index to {place}");
        in_force.findings.push(Finding::note(subject.tool.name, message).with_fix(fix));
    }
    Ok(())
}

/// `providers` are in the order of precedence, each with its place. An index has a flag: whether the keyring is also
/// called for a URL without a user name.
fn examine(in_force: &mut InForce<'_>, providers: &[(&str, &str)], indexes: &[(String, bool)]) {
    let name = in_force.subject.tool.name;
    let Some(position) = providers.iter().position(|(value, _)| *value == "subprocess") else {
        return;
    };
    in_force.commands.push(COMMAND.to_owned());
    if let Some((value, place)) = providers[..position].first() {
        let message = format!("{place} selects `{}` in place of `subprocess`", sanitize(value));
        let is_variable = place.starts_with(|c: char| c.is_ascii_uppercase());
        let (unset, remove) =
            (format!("run `unset {place}`"), format!("remove `keyring-provider` from {place}"));
        let fix = if is_variable { unset } else { remove };
        in_force.problem(message, fix);
    }
    for (index, always) in indexes {
        let Some((scheme, rest)) = index.split_once("://") else { continue };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
        let Ok(target) = Target::parse(&format!("{scheme}://{host}/{path}")) else { continue };
        let path = sanitize(path);
        if in_force.subject.owner(&target).is_none() {
            continue;
        }
        if user.contains(':') {
            let fix = format!("remove the password from the URL: `{scheme}://{host}/{path}`");
            in_force.precedes("the password in the URL of the index", &target.origin, fix);
        }
        if user.is_empty() && !always {
            let message =
                format!("{name} does not ask for {target} without a user name in the URL");
            in_force.problem(message, format!("write it as `{scheme}://token@{host}/{path}`"));
        }
        in_force.targets.push(target);
    }
    netrc::examine(in_force);
}
