//! git: `git config` lists the helpers, and `git credential fill` shows whose credential git takes. A configuration inside a
//! repository is not read, also not that of a home directory that is a repository.

use std::path::Path;

use super::{InForce, Subject, host_name, is_named, netrc, target_of};
use crate::cli::doctor::finding::Finding;
use crate::cli::setup::tools::shown_commands;
use crate::error::{Error, Result, sanitize};
use crate::model::Target;
use crate::sys::process::Child;

/// A `credential.helper`.
struct Entry {
    /// Where it is set: `file:/home/ada/.gitconfig`, `command line:` for a variable.
    from: String,
    /// The URL of its section.
    section: Option<String>,
    value: String,
}

/// Returned to git in place of the token, so that git's answer shows whether git has asked this program.
const PROOF: &str = "asked-by-git-credential-fill";

/// A file without settings.
const NULL: &str = if cfg!(windows) { "NUL" } else { "/dev/null" };

pub(super) fn inspect(in_force: &mut InForce<'_>) -> Result<()> {
    let subject = in_force.subject;
    let entries = entries(subject)?;
    let ours: Vec<_> = entries.iter().filter(|entry| entry.line().is_some()).collect();
    if ours.is_empty() {
        return Ok(());
    }
    let named = ours.iter().filter_map(|entry| Some((entry.section.clone()?, true)));
    let hosts = subject.hosts().into_iter().map(|target| (target.to_string(), false));
    let mut examined = Vec::new();
    for (url, is_named) in named.chain(hosts) {
        let Some(target) = target_of(&url).filter(|target| !examined.contains(target)) else {
            continue;
        };
        examined.push(target.clone());
        let matching = matching(subject, &entries, &target)?;
        // An empty value resets the list.
        let reset = matching.iter().rposition(|entry| entry.value.trim().is_empty());
        let helpers = &matching[reset.map_or(0, |reset| reset + 1)..];
        let line = helpers.iter().enumerate().find_map(|(at, entry)| Some((at, entry.line()?)));
        let Some((position, line)) = line else {
            match helpers.last() {
                _ if !is_named => in_force.not_set_up_for(&target, &host_name(&target)),
                Some(other) => other.precede(in_force, &target),
                None => {
                    let fix = reset.map(|reset| matching[reset].removal(subject, &target));
                    in_force.problem(
                        format!("the helper for {target} is reset by a later empty `helper`"),
                        fix.unwrap_or_default(),
                    );
                }
            }
            continue;
        };
        helpers[..position].iter().for_each(|it| it.precede(in_force, &target));
        if let Some(store) = helpers[position..].iter().find(|entry| entry.is_plain_store()) {
            let message = format!(
                "`store` in {} also gets the token for {target}, and writes it in the clear",
                store.place()
            );
            let fix = store.removal(subject, &target);
            in_force.findings.push(Finding::warning(subject.tool.name, message, fix));
        }
        in_force.commands.extend(line.first().cloned());
        in_force.lines.push((target.clone(), line));
        in_force.targets.push(target);
    }
    if subject.variable("GIT_CONFIG_PARAMETERS").is_some() {
        in_force.note("GIT_CONFIG_PARAMETERS is set, by `git -c`; it is not looked at");
    }
    netrc::examine(in_force);
    Ok(())
}

impl Entry {
    /// This program with its options, if git runs it. git runs a value that begins with `!` or is an absolute path in a
    /// shell, and takes every other one for a part of a name (credential.c).
    fn line(&self) -> Option<Vec<String>> {
        let value = self.value.trim();
        let shell = value.strip_prefix('!');
        let mut words = shell_words::split(shell.unwrap_or(value)).unwrap_or_default();
        let first = words.first_mut()?;
        if shell.is_none() && !Path::new(first).is_absolute() {
            *first = format!("git-credential-{first}");
        }
        // In a function of the shell, other words precede the program.
        let last = if shell.is_some() { words.len() } else { 1 };
        let is_program = |at: &usize| match &words[*at..] {
            [word, ..] if is_named(word, "git-credential-my") => true,
            [word, rest @ ..] => {
                is_named(word, "my-credential-helper") && rest.iter().any(|word| word == "git")
            }
            [] => false,
        };
        let at = (0..last).find(is_program)?;
        // git adds the operation; what ends a command is the shell's.
        let is_own = |word: &String| !word.contains(['$', ';', '&', '|', '}']);
        Some(words.drain(at..).take_while(is_own).collect())
    }

    fn is_plain_store(&self) -> bool {
        let first = self.value.split_whitespace().next().unwrap_or_default();
        first == "store" || is_named(first, "git-credential-store")
    }

    fn place(&self) -> &str {
        self.from.strip_prefix("file:").unwrap_or("GIT_CONFIG_COUNT")
    }

    /// How the helper is removed; `setup` edits one file, and puts this program behind the others in it.
    fn removal(&self, subject: &Subject<'_>, target: &Target) -> String {
        let fix = format!("remove it from {}", sanitize(self.place()));
        if Path::new(self.place()) == subject.file() {
            let line = subject.setup_line(std::slice::from_ref(target));
            return format!("{fix}, or run {line}, which moves this program behind it");
        }
        fix
    }

    /// Reports that git runs this helper first.
    fn precede(&self, in_force: &mut InForce<'_>, target: &Target) {
        let (name, place) = (shown_commands(&[&self.value]), sanitize(self.place()));
        in_force.precedes(&format!("{name} in {place}"), target, format!("remove it from {place}"));
    }
}

/// Every helper, in the order of the configuration.
fn entries(subject: &Subject<'_>) -> Result<Vec<Entry>> {
    let pattern = r"^credential\.(.*\.)?helper$";
    let words = ["config", "--null", "--show-origin", "--get-regexp", pattern];
    let git = || Ok::<_, Error>(with_variables(subject, git(subject)?));
    let Some(text) = git()?.args(words).run()? else {
        // git exits with 1 for no entry, and with another status for a file that it cannot read.
        let listed = git()?.args(["config", "--list"]).outcome()?;
        return listed.map(|_| Vec::new()).map_err(|reason| {
            Error::invalid(format!("git cannot read its configuration: {reason}"))
                .with_hint("correct the file")
        });
    };
    let mut fields = text.split('\0');
    let mut entries = Vec::new();
    while let (Some(from), Some(setting)) = (fields.next(), fields.next()) {
        let (key, value) = setting.split_once('\n').unwrap_or((setting, ""));
        let section = key.strip_prefix("credential.").and_then(|key| key.strip_suffix(".helper"));
        let (from, section) = (from.to_owned(), section.map(str::to_owned));
        entries.push(Entry { from, section, value: value.to_owned() });
    }
    Ok(entries)
}

/// The helpers for a URL, in git's order: all that match, whatever the length of the match.
fn matching<'a>(
    subject: &Subject<'_>,
    entries: &'a [Entry],
    target: &Target,
) -> Result<Vec<&'a Entry>> {
    // git compares the URLs: a variable for each section, and those that match are listed.
    let sections = entries.iter().enumerate().filter_map(|(index, entry)| {
        let section = entry.section.as_ref().filter(|section| section.contains("://"))?;
        Some((format!("credential.{section}.entry{index}"), "1".to_owned()))
    });
    let git = git(subject)?.env("GIT_CONFIG_GLOBAL", NULL).env("GIT_CONFIG_NOSYSTEM", "1");
    let git = set_variables(git, sections.collect());
    let url = target.to_string();
    let matching = git.args(["config", "--get-urlmatch", "credential", &url]).run()?;
    let matching = matching.unwrap_or_default();
    let is_match = |(index, entry): (usize, &Entry)| match &entry.section {
        None => true,
        Some(section) if section.contains("://") => {
            let key = format!("credential.entry{index} ");
            matching.lines().any(|line| line.starts_with(&key))
        }
        // Without a scheme, the parts that are there have to be equal (credential.c, match_partial_url).
        Some(section) => section.rsplit('@').next() == Some(&target.origin.host_and_port()),
    };
    let matching = entries.iter().enumerate().filter(|it| is_match(*it));
    Ok(matching.map(|(_, entry)| entry).collect())
}

/// Asks git for a credential. This program answers with [`PROOF`] as the token of the variable, and git runs no other
/// helper before it, as [`inspect`] has found.
pub(super) fn ask(subject: &Subject<'_>, target: &Target) -> Option<Finding> {
    let provider = subject.owner(target)?;
    let (scheme, host) = (target.origin.scheme().name(), target.origin.host_and_port());
    let path = target.path.as_str();
    let mut git = with_variables(subject, git(subject).ok()?).env(&provider.token_variable, PROOF);
    // No prompt of git, and none of Git Credential Manager.
    git =
        git.env("GIT_TERMINAL_PROMPT", "0").env("GIT_ASKPASS", "").env("GCM_INTERACTIVE", "never");
    let url = provider.api_url_variable.as_deref();
    if let Some((name, url)) = url.and_then(|name| Some((name, subject.variable(name)?))) {
        git = git.env(name, url);
    }
    let input = format!("protocol={scheme}\nhost={host}\npath={path}\n\n");
    let answer = git.args(["credential", "fill"]).input(&input).run().ok().flatten();
    let proofs = [format!("password={PROOF}"), format!("credential={PROOF}")];
    let is_proven = |text: &str| text.lines().any(|line| proofs.iter().any(|it| it == line));
    if answer.is_some_and(|text| is_proven(&text)) {
        return None;
    }
    let message = format!("git does not take the credential of this program for {target}");
    let fix = "run `GIT_TRACE=1 git credential fill` to see which helpers git runs";
    Some(subject.problem(message, fix))
}

/// git outside of every repository.
fn git(subject: &Subject<'_>) -> Result<Child> {
    Ok(subject.machine.launcher.child(subject.program)?.env("GIT_DIR", NULL))
}

/// git with the configuration of the variables: of `GIT_CONFIG_COUNT` the credential helpers, since other keys run
/// programs or contain headers with a secret.
fn with_variables(subject: &Subject<'_>, git: Child) -> Child {
    let count = subject.variable("GIT_CONFIG_COUNT").and_then(|count| count.trim().parse().ok());
    let setting = |index: usize| {
        let key = subject.variable(&format!("GIT_CONFIG_KEY_{index}"))?;
        let is_credential = key.to_ascii_lowercase().starts_with("credential.");
        let value = subject.variable(&format!("GIT_CONFIG_VALUE_{index}")).unwrap_or_default();
        is_credential.then_some((key, value))
    };
    let git = set_variables(git, (0..count.unwrap_or(0).min(1000)).filter_map(setting).collect());
    let names = ["GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM"];
    let variables = names.iter().filter_map(|name| Some((name, subject.variable(name)?)));
    variables.fold(git, |git, (name, value)| git.env(name, value))
}

fn set_variables(git: Child, settings: Vec<(String, String)>) -> Child {
    let git = git.env("GIT_CONFIG_COUNT", settings.len().to_string());
    settings.into_iter().enumerate().fold(git, |git, (index, (key, value))| {
        let git = git.env(&format!("GIT_CONFIG_KEY_{index}"), key);
        git.env(&format!("GIT_CONFIG_VALUE_{index}"), value)
    })
}
