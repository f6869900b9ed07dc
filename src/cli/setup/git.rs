//! git: a helper for each host, by `git config`. The helpers of every other host stay as they are.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::copy::Copy;
use super::link;
use super::machine::Machine;
use super::tools::{
    Folder, Probe, Removal, Request, Selection, SetupTool, is_named, shown_commands,
};
use crate::error::{Error, Result};
use crate::model::{HostPattern, Target};
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
    let copy = Copy::new(request.machine, &TOOL, text)?;
    let git = Git::new(request.machine, &copy)?;
    for url in urls {
        let key = key(&url);
        // A section that is there already may be before other helpers: the second time a new one is added.
        for is_second in [false, true] {
            let before = git.values(&key)?;
            if before.ends_with(&[String::new(), helper.clone()]) && !git.has_others_behind(&url)? {
                break;
            }
            git.set(&key, &before, &without_ours(request.machine, &before))?;
            if is_second {
                git.begin_section(&url)?;
            }
            // The empty value removes the helpers before it from git's list: they would save a copy of the token in the
            // clear.
            for value in ["", &helper] {
                copy.run(git.config(&["--add", &key, value])?)?;
            }
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
    let Ok(copy) = machine.require("git").and_then(|_| Copy::new(machine, &TOOL, text)) else {
        return Ok(without_git(machine, text, is_removed));
    };
    let git = Git::new(machine, &copy)?;
    let helpers = git.helpers()?.into_iter();
    let urls: BTreeSet<_> = helpers.map(|(url, _)| url.unwrap_or_default()).collect();
    for url in urls.iter().filter(|url| is_removed(url)) {
        let key = if url.is_empty() { "credential.helper".to_owned() } else { key(url) };
        let before = git.values(&key)?;
        git.set(&key, &before, &without_ours(machine, &before))?;
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
        let copy = Copy::new(request.machine, &TOOL, text)?;
        Git::new(request.machine, &copy)?.values("credential.helper")
    };
    let mut others = helpers().unwrap_or_default();
    others.retain(|helper| !helper.is_empty() && !is_ours(request.machine, helper));
    if others.is_empty() {
        return Vec::new();
    }
    let hosts: Vec<_> = request.hosts.iter().map(ToString::to_string).collect();
    let others = shown_commands(&others.iter().map(String::as_str).collect::<Vec<_>>());
    let hosts = hosts.join(", ");
    let note = format!("{others} is still used for all other hosts");
    // The helpers of an included file may be behind this program.
    let has_include = text.to_ascii_lowercase().contains("[include");
    vec![if has_include { note } else { format!("{note}; only this program is used for {hosts}") }]
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

/// Whether git uses the helpers of a section for all requests to a URL. A section for a user or a path is for some.
fn is_for(section: Option<&str>, url: &str) -> bool {
    let Some(section) = section.map(|section| section.trim_end_matches('/')) else { return true };
    let (_, host) = url.split_once("://").unwrap_or_default();
    let matches = || {
        let target = Target::parse(&url.replace("%5F", "_")).ok()?;
        Some(HostPattern::parse(section).ok()?.matches(&target.origin))
    };
    section == url || section == host || section.contains("://") && matches() == Some(true)
}

/// `git config` on one file.
struct Git<'a> {
    machine: &'a Machine,
    program: PathBuf,
    copy: &'a Copy,
}

impl<'a> Git<'a> {
    fn new(machine: &'a Machine, copy: &'a Copy) -> Result<Self> {
        Ok(Self { machine, program: machine.require("git")?, copy })
    }

    fn config(&self, arguments: &[&str]) -> Result<Child> {
        let child = self.machine.launcher.child(&self.program)?;
        Ok(child.args(["config", "--file"]).args([self.copy.path()]).args(arguments))
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
        self.copy.run(self.config(&["--unset-all", key])?)?;
        for value in after {
            let mark = uuid::Uuid::new_v4().simple().to_string();
            self.copy.run(self.config(&["--add", key, &mark])?)?;
            self.copy.set_text(&self.copy.text()?.replace(&mark, &quoted(value)))?;
        }
        Ok(())
    }

    /// The URL of the section and the value of every helper, in the order of the file.
    fn helpers(&self) -> Result<Vec<(Option<String>, String)>> {
        let pattern = ["--null", "--get-regexp", r"^credential(\..*)?\.helper$"];
        let text = self.config(&pattern)?.run()?.unwrap_or_default();
        let helper = |setting: &str| {
            let (key, value) = setting.split_once('\n').unwrap_or((setting, ""));
            let url = key.strip_prefix("credential.").and_then(|key| key.strip_suffix(".helper"));
            (url.map(str::to_owned), value.to_owned())
        };
        Ok(text.split_terminator('\0').map(helper).collect())
    }

    /// Whether helpers of others for this URL are behind ours, to which git adds them.
    fn has_others_behind(&self, url: &str) -> Result<bool> {
        let helpers = self.helpers()?;
        let own = helpers.iter().rposition(|(section, _)| section.as_deref() == Some(url));
        let mut rest = &helpers[own.map_or(helpers.len(), |own| own + 1)..];
        while let [(section, value), after @ ..] = rest {
            let is_start_of_ours = value.is_empty()
                && after.first().is_some_and(|(_, next)| is_ours(self.machine, next));
            let is_other = !is_start_of_ours && !is_ours(self.machine, value);
            if is_other && is_for(section.as_deref(), url) {
                return Ok(true);
            }
            rest = after;
        }
        Ok(false)
    }

    /// Adds a section at the end, to which the next `--add` writes.
    fn begin_section(&self, url: &str) -> Result<()> {
        let text = self.copy.text()?;
        let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
        self.copy.set_text(&format!("{text}{end}[credential \"{url}\"]\n"))
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
