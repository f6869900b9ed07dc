//! docker and podman: docker's `config.json`, in which `credHelpers` precede `credsStore`, and that precedes `auths`. What
//! either reads before that file differs.

use std::path::{Path, PathBuf};

use serde_json::Value;
use toml_edit::{DocumentMut, Value as TomlValue};

use super::{InForce, Subject, target_of};
use crate::cli::doctor::finding::Finding;
use crate::cli::setup::{docker, edit};
use crate::error::{Error, Result, sanitize};
use crate::model::Target;

const COMMAND: &str = "docker-credential-my";

/// The name of this program in docker's configuration.
const NAME: &str = "my";

/// Whatever a tool uses before the helper for a host.
type Before = fn(&Subject<'_>, &str) -> Option<Finding>;

pub(super) fn inspect(in_force: &mut InForce<'_>, before: Before) -> Result<()> {
    let subject = in_force.subject;
    let (file, text) = (subject.file().display().to_string(), subject.read()?);
    if text.trim().is_empty() {
        return Ok(());
    }
    docker::check(&subject.file(), &text, text.starts_with('\u{feff}'))?;
    let configuration: Value = serde_json::from_str(&text).unwrap_or_default();
    if !configuration.is_object() {
        let message = format!("{file} is not a JSON object");
        return Err(Error::invalid(message).with_hint("correct the file"));
    }
    let helpers = configuration.get("credHelpers").and_then(Value::as_object);
    let helper_of = |host: &str| helpers.and_then(|helpers| helpers.get(host)?.as_str());
    let store = configuration.get("credsStore").and_then(Value::as_str).unwrap_or_default();
    let is_ours = |(_, helper): &(&String, &Value)| *helper == NAME;
    let keys: Vec<_> = helpers.into_iter().flatten().filter(is_ours).map(|(key, _)| key).collect();
    let hosts = subject.hosts();
    let is_connected = !keys.is_empty() || store == NAME;
    let has_other = |target: &Target| helper_of(&target.origin.host_and_port()).is_some();
    if !is_connected && !hosts.iter().any(has_other) {
        return Ok(());
    }
    in_force.commands.extend(is_connected.then(|| COMMAND.to_owned()));
    for key in keys {
        // docker asks by the host, and only for Docker Hub by a URL; podman asks for that by the name in images.
        if key.contains("://") && key != "https://index.docker.io/v1/" {
            let message = format!("{} never asks for `{}`", subject.tool.name, sanitize(key));
            in_force
                .problem(message, format!("remove the scheme and the path of the key in {file}"));
        } else if key != "docker.io" {
            in_force.targets.extend(target_of(key));
        }
    }
    for target in hosts {
        if in_force.targets.iter().any(|known| super::is_same_host(&known.origin, &target.origin)) {
            continue;
        }
        let host = target.origin.host_and_port();
        match helper_of(&host) {
            None if store == NAME => in_force.targets.push(target),
            None => in_force.not_set_up_for(&target, &host),
            Some(other) => {
                let (other, origin) = (sanitize(other), &target.origin);
                in_force.note(format!("`{other}` in {file} is the helper for {origin}"));
            }
        }
    }
    if in_force.targets.is_empty() && store == NAME {
        in_force.targets = subject.any_host();
        in_force.targets.retain(|target| helper_of(&target.origin.host_and_port()).is_none());
    }
    let hosts = in_force.targets.iter().map(|target| target.origin.host_and_port());
    in_force.findings.extend(hosts.filter_map(|host| before(subject, &host)));
    Ok(())
}

/// docker 28.3 and later read `auths` of a variable first (docker/cli, cli/config/configfile).
pub(super) fn of_docker(subject: &Subject<'_>, host: &str) -> Option<Finding> {
    let variable = subject.variable("DOCKER_AUTH_CONFIG")?;
    let configuration: Value = serde_json::from_str(&variable).ok()?;
    let fix = "run `unset DOCKER_AUTH_CONFIG`";
    has_login(&configuration, host).then(|| subject.precedes("DOCKER_AUTH_CONFIG", &host, fix))
}

/// podman reads its own files first, and docker's only without `REGISTRY_AUTH_FILE` (containers-auth.json(5)).
pub(super) fn of_podman(subject: &Subject<'_>, host: &str) -> Option<Finding> {
    if subject.variable("REGISTRY_AUTH_FILE").is_some() {
        let fix = "run `unset REGISTRY_AUTH_FILE`";
        return Some(subject.precedes("the file of REGISTRY_AUTH_FILE", &host, fix));
    }
    let configuration = subject.machine.configuration();
    if let Some(finding) = other_helpers(subject, &configuration.join("containers"), host) {
        return Some(finding);
    }
    let runtime = subject.variable("XDG_RUNTIME_DIR").map(PathBuf::from);
    let folders = runtime.into_iter().chain([configuration]);
    let path = folders.map(|folder| folder.join("containers/auth.json")).find(|path| {
        let text = edit::read(path).ok().flatten().unwrap_or_default();
        serde_json::from_str(&text).is_ok_and(|configuration| has_login(&configuration, host))
    })?;
    let fix = format!("run `podman logout --authfile {} {host}`", path.display());
    Some(subject.precedes(&format!("the login in {}", path.display()), &host, fix))
}

/// `credential-helpers` of `registries.conf`, in which this name stands for the files with passwords and helpers; the last
/// file that has the list counts (containers-registries.conf(5) and .conf.d(5)).
const FILES: &str = "containers-auth.json";

fn other_helpers(subject: &Subject<'_>, own: &Path, host: &str) -> Option<Finding> {
    let system = Path::new("/etc/containers");
    let main = subject.variable("CONTAINERS_REGISTRIES_CONF").map(PathBuf::from);
    let main = main.unwrap_or_else(|| {
        let known = [own, system].map(|folder| folder.join("registries.conf"));
        known.into_iter().find(|path| path.exists()).unwrap_or_default()
    });
    let parts = |folder: &Path| {
        let entries = std::fs::read_dir(folder.join("registries.conf.d")).into_iter().flatten();
        let mut parts: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        parts.retain(|path| path.extension().is_some_and(|it| it == "conf"));
        parts.sort();
        parts
    };
    let paths = [vec![main], parts(system), parts(own)].concat();
    let (path, helpers) = paths.into_iter().rev().find_map(|path| {
        let document: DocumentMut = edit::read(&path).ok()??.parse().ok()?;
        let helpers = document.get("credential-helpers")?.as_array()?.iter();
        let helpers: Vec<_> = helpers.filter_map(TomlValue::as_str).map(str::to_owned).collect();
        (!helpers.is_empty()).then_some((path, helpers))
    })?;
    let path = path.display();
    match helpers.iter().position(|helper| helper == FILES) {
        Some(0) => None,
        None => {
            let message = format!(
                "{path} has `credential-helpers` without `{FILES}`: podman does not read the helper for {host}"
            );
            Some(subject.problem(message, format!("add \"{FILES}\" as the first in {path}")))
        }
        Some(_) => {
            let what = format!("`{}`, of `credential-helpers` in {path},", sanitize(&helpers[0]));
            let fix = format!("put \"{FILES}\" first in {path}");
            Some(subject.precedes(&what, &host, fix))
        }
    }
}

/// Whether a configuration has a password or another helper for a host, or for a part of it.
fn has_login(configuration: &Value, host: &str) -> bool {
    let is_of_host = |key: &String| {
        let key = key.trim_start_matches("https://").trim_start_matches("http://");
        key.split('/').next() == Some(host)
    };
    let fields = ["auths", "credHelpers"].iter().filter_map(|field| configuration.get(field));
    let mut entries = fields.filter_map(Value::as_object).flatten();
    entries.any(|(key, value)| is_of_host(key) && value != NAME)
}
