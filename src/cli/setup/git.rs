//! git: a helper for each host, by `git config`. The helpers of every other host stay as they are.

use std::path::{Path, PathBuf};

use super::copy::Copy;
use super::machine::Machine;
use super::tools::{
    Folder, Probe, Removal, Request, Selection, SetupTool, is_named, shown_commands,
};
use super::{edit, link};
use crate::error::{Error, Result};
use crate::model::HostPattern;
use crate::sys::atomic_file::{self, Policy};
use crate::sys::process::Child;

pub(super) const TOOL: SetupTool = SetupTool {
    name: "git",
    programs: &["git"],
    link: Some((LINK, Folder::Programs)),
    names_hosts: true,
    selection: Selection::Host,
    file,
    add,
    remove,
    notes,
    probe: Probe {
        arguments: &["get"],
        input: "protocol={scheme}\nhost={host}\n\n",
        proof: "password=",
    },
    least: Some((2, 46, "sends the token as a password; 2.46 and later support Bearer")),
};

const LINK: &str = "git-credential-my";

/// The file that `git config --global` writes.
fn file(machine: &Machine) -> PathBuf {
    if let Some(path) = machine.variable("GIT_CONFIG_GLOBAL") {
        return path;
    }
    let (home, other) =
        (machine.home.join(".gitconfig"), machine.configuration().join("git/config"));
    if !home.exists() && !home.is_symlink() && other.exists() { other } else { home }
}

/// The link's path: git then starts one process less than for `my`, which it runs as `git credential-my`. git runs a value
/// that starts with `/`, and what follows a `!`, in a shell (credential.c, `credential_do`).
fn helper(request: &Request<'_>) -> Result<String> {
    if request.is_portable {
        return Ok("my".to_owned());
    }
    let path = request.path()?;
    let quoted = shell_words::quote(&path);
    Ok(if quoted == path && path.starts_with('/') { path } else { format!("!{quoted}") })
}

fn add(request: &Request<'_>, text: &str) -> Result<String> {
    let urls: Result<Vec<_>> = request.hosts.iter().map(urls).collect();
    let (urls, helper) = (urls?.concat(), helper(request)?);
    let copy = Copy::new(request.machine, text)?;
    let git = Git::new(request.machine, copy.path())?;
    for url in urls {
        let key = key(&url);
        let before = git.values(&key)?;
        if before.ends_with(&[String::new(), helper.clone()]) {
            continue;
        }
        git.set(&key, &before, &without_ours(request.machine, &before))?;
        // The empty value removes the helpers before it from git's list: they would save a copy of the token in the clear.
        for value in ["", &helper] {
            git.config(&["--add", &key, value])?.succeed()?;
        }
    }
    copy.text()
}

fn remove(removal: &Removal<'_>, text: &str) -> Result<String> {
    if !text.contains("my") {
        return Ok(text.to_owned());
    }
    // Version 0.1.0 did not encode `_`.
    let is_url_of = |host: &HostPattern, url: &str| {
        urls(host)
            .is_ok_and(|urls| urls.iter().any(|it| it == url || it.replace("%5F", "_") == url))
    };
    let is_removed = |url: &str| removal.includes(|host| is_url_of(host, url));
    let machine = removal.machine;
    let Ok(copy) = machine.require("git").and_then(|_| Copy::new(machine, text)) else {
        return Ok(without_git(machine, text, is_removed));
    };
    let git = Git::new(machine, copy.path())?;
    let pattern = ["--null", "--name-only", "--get-regexp", r"^credential(\..*)?\.helper$"];
    let keys = git.config(&pattern)?.run()?.unwrap_or_default();
    let mut keys: Vec<_> = keys.split_terminator('\0').collect();
    keys.sort_unstable();
    keys.dedup();
    for key in keys {
        let url = key.strip_prefix("credential.").and_then(|rest| rest.strip_suffix(".helper"));
        if is_removed(url.unwrap_or_default()) {
            let before = git.values(key)?;
            git.set(key, &before, &without_ours(machine, &before))?;
        }
    }
    copy.text()
}

/// Removes the lines in the form that `git config` writes, where git is no longer installed.
fn without_git(machine: &Machine, text: &str, is_removed: impl Fn(&str) -> bool) -> String {
    let mut sections: Vec<(Option<&str>, Vec<&str>)> = vec![(None, Vec::new())];
    for line in text.split_inclusive('\n') {
        if line.trim_start().starts_with('[') {
            let name = line.trim().strip_prefix("[credential \"");
            sections.push((name.and_then(|name| name.strip_suffix("\"]")), vec![line]));
        } else if let Some((_, lines)) = sections.last_mut() {
            lines.push(line);
        }
    }
    let mut rest = String::new();
    for (url, mut lines) in sections {
        let count = lines.len();
        while let Some(own) = lines.iter().position(|line| {
            url.is_some_and(&is_removed) && value(line).is_some_and(|it| is_ours(machine, &it))
        }) {
            let start = own - usize::from(value(lines[own - 1]).is_some_and(|it| it.is_empty()));
            lines.drain(start..=own);
        }
        let is_only_heading = lines.len() == 1 && count > 1;
        rest.extend(lines.into_iter().filter(|_| !is_only_heading));
    }
    rest
}

/// The value of a line `helper = …`.
fn value(line: &str) -> Option<String> {
    let value = line.trim().strip_prefix("helper")?.trim_start().strip_prefix('=')?.trim();
    let value = value.strip_prefix('"').and_then(|it| it.strip_suffix('"')).unwrap_or(value);
    Some(value.replace("\\\"", "\"").replace("\\\\", "\\"))
}

/// The values without our helper and the empty one before it.
fn without_ours(machine: &Machine, values: &[String]) -> Vec<String> {
    let mut rest: Vec<String> = Vec::new();
    for value in values {
        if is_ours(machine, value) {
            rest.pop_if(|last| last.is_empty());
        } else {
            rest.push(value.clone());
        }
    }
    rest
}

/// A value as git writes it (config.c, `write_pair`).
fn quoted(value: &str) -> String {
    let needs_quotes = value.starts_with(' ') || value.ends_with(' ');
    let quote = if needs_quotes || value.contains([';', '#', '\r']) { "\"" } else { "" };
    let escaped = value.replace('\\', r"\\").replace('"', "\\\"");
    format!("{quote}{}{quote}", escaped.replace('\n', r"\n").replace('\t', r"\t"))
}

/// Whether git runs this program for the helper. Version 0.1.0 wrote the path without quotes.
fn is_ours(machine: &Machine, helper: &str) -> bool {
    if helper == "my" || link::is_own_path(machine, LINK, helper) {
        return true;
    }
    let command = helper.strip_prefix('!').unwrap_or(helper);
    if command == helper && !Path::new(helper).is_absolute() {
        return false;
    }
    let Ok(words) = shell_words::split(command) else { return false };
    match &*words {
        [program] => is_named(program, LINK),
        [program, .., operation] => is_named(program, "my-credential-helper") && operation == "git",
        [] => false,
    }
}

fn notes(request: &Request<'_>, text: &str) -> Vec<String> {
    let helpers = || -> Result<Vec<String>> {
        let copy = Copy::new(request.machine, text)?;
        Git::new(request.machine, copy.path())?.values("credential.helper")
    };
    let mut others = helpers().unwrap_or_default();
    others.retain(|helper| !helper.is_empty() && !is_ours(request.machine, helper));
    if others.is_empty() {
        return Vec::new();
    }
    let hosts: Vec<_> = request.hosts.iter().map(ToString::to_string).collect();
    let others = shown_commands(&others.iter().map(String::as_str).collect::<Vec<_>>());
    let hosts = hosts.join(", ");
    vec![format!(
        "{others} is still used for all other hosts; only this program is used for {hosts}"
    )]
}

fn key(url: &str) -> String {
    format!("credential.{url}.helper")
}

/// The URLs that git matches with the host.
///
/// git compares a URL of a section with the URL of the request after it percent-encodes `_` in the host of the latter. It
/// rejects a host with `%` as a URL, and then compares the decoded host as a string (credential.c, `match_partial_url`). It
/// compares a host in Unicode with a host in Unicode only.
fn urls(host: &HostPattern) -> Result<Vec<String>> {
    let url = host.target().map_or_else(|| format!("https://{host}"), |it| it.origin.to_string());
    if url.contains('_') && host.target().is_none() {
        return Err(Error::invalid(format!("git matches no pattern with `_`: {host}"))
            .with_hint("name each host, without `*.`"));
    }
    let (scheme, rest) = url.split_once("://").unwrap_or_default();
    let (name, port) = rest.split_at(rest.rfind(':').unwrap_or(rest.len()));
    let unicode = idna::domain_to_unicode(name).0;
    let mut urls = vec![url.replace('_', "%5F")];
    if name.contains("xn--") && host.target().is_some() && unicode != name {
        urls.push(format!("{scheme}://{unicode}{port}"));
    }
    Ok(urls)
}

/// `git config` on one file.
struct Git<'a> {
    machine: &'a Machine,
    program: PathBuf,
    file: &'a Path,
}

impl<'a> Git<'a> {
    fn new(machine: &'a Machine, file: &'a Path) -> Result<Self> {
        Ok(Self { machine, program: machine.require("git")?, file })
    }

    fn config(&self, arguments: &[&str]) -> Result<Child> {
        let child = self.machine.launcher.child(&self.program)?;
        Ok(child.args(["config", "--file"]).args([self.file]).args(arguments))
    }

    fn values(&self, key: &str) -> Result<Vec<String>> {
        // A value may be empty: each ends with a NUL.
        let values = self.config(&["--null", "--get-all", key])?.run()?.unwrap_or_default();
        Ok(values.split_terminator('\0').map(str::to_owned).collect())
    }

    /// Replaces the values of a key, if they change. A helper of somebody else may contain a password, and every user sees
    /// the arguments of git: it adds a mark, which the value then replaces.
    fn set(&self, key: &str, before: &[String], after: &[String]) -> Result<()> {
        if before == after {
            return Ok(());
        }
        self.config(&["--unset-all", key])?.succeed()?;
        for value in after {
            let mark = uuid::Uuid::new_v4().simple().to_string();
            self.config(&["--add", key, &mark])?.succeed()?;
            let text = edit::read(self.file)?.unwrap_or_default().replace(&mark, &quoted(value));
            atomic_file::prepare(self.file, text.len(), Policy::Backup)?.commit(&text)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::urls;
    use crate::model::HostPattern;

    #[test]
    fn sections_are_those_that_git_matches() {
        let urls = |host| urls(&HostPattern::parse(host).unwrap());
        for (host, expected) in [
            ("git.acme.dev:8443", &["https://git.acme.dev:8443"][..]),
            ("*.acme.dev", &["https://*.acme.dev"]),
            ("a_b.dev", &["https://a%5Fb.dev"]),
            (
                "bücher.example:8443",
                &["https://xn--bcher-kva.example:8443", "https://bücher.example:8443"],
            ),
            ("[::1]", &["http://[::1]"]),
        ] {
            assert_eq!(urls(host).unwrap(), expected, "{host}");
        }
        assert!(urls("*.a_b.dev").is_err());
    }
}
