//! The installed tools: whether each is set up, finds its link, and gets a credential for the request that it would send.

use std::path::Path;

use super::Finding;
use crate::auth::{Engine, with_engine};
use crate::cli::setup::link::{Link, State};
use crate::cli::setup::machine::Machine;
use crate::cli::setup::tools::{ALL, Folder, SetupTool};
use crate::cli::setup::{edit, is_set_up};
use crate::config::Context;
use crate::model::{HostPattern, Invocation, Origin, Scheme, ToolOutput};
use crate::protocols::run;
use crate::sys::os;

pub(super) fn examine(engine: &Engine<'_>, machine: &Machine, is_logged_in: bool) -> Vec<Finding> {
    let host = host(engine);
    let mut findings = Vec::new();
    for tool in ALL {
        let Some(program) = tool.program(machine) else { continue };
        match is_set_up(machine, tool) {
            Err(error) => {
                findings.push(Finding::problem(
                    tool.name,
                    error.message,
                    "correct the file; nothing was changed",
                ));
            }
            Ok(false) => findings.push(
                Finding::note(tool.name, "is not set up")
                    .with_fix(format!("`my-credential-helper setup {}`", tool.name)),
            ),
            Ok(true) => {
                findings.extend(old(machine, tool, &program));
                findings.extend(
                    link(machine, tool)
                        .or_else(|| probe(machine, tool, host.as_ref().filter(|_| is_logged_in)?)),
                );
            }
        }
    }
    findings
}

/// A host that the token may be sent to.
fn host(engine: &Engine<'_>) -> Option<Origin> {
    let provider = engine.context.provider(None).ok()?;
    let named = provider.hosts.iter().find_map(HostPattern::target).map(|target| target.origin);
    named.or_else(|| engine.context.api_origin(&provider, None).ok())
}

/// A program that is too old for something.
fn old(machine: &Machine, tool: &SetupTool, program: &Path) -> Option<Finding> {
    let (major, minor, lacks) = tool.least?;
    let printed = machine.launcher.child(program).ok()?.args(tool.version).run().ok()??;
    let (own_major, own_minor) = version(&printed)?;
    let message = format!("{} {own_major}.{own_minor} {lacks}", tool.name);
    ((own_major, own_minor) < (major, minor)).then(|| Finding::note(tool.name, message))
}

/// The first two numbers of a version: `git version 2.47.3` is 2 and 47.
fn version(text: &str) -> Option<(u32, u32)> {
    let number = |word: &str| {
        let mut numbers = word.trim_start_matches(|c: char| c.is_alphabetic()).split('.');
        Some((
            numbers.next()?.parse().ok()?,
            numbers.next()?.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()?,
        ))
    };
    text.split_whitespace().find_map(number)
}

/// What is wrong with the name that the tool looks for.
fn link(machine: &Machine, tool: &'static SetupTool) -> Option<Finding> {
    let (name, folder) = tool.link?;
    let link = Link::detect(machine, tool)?;
    let path = link.path.display();
    let again = format!("`my-credential-helper setup {}`", tool.name);
    match link.state {
        State::Missing | State::Stale => {
            let what = if link.state == State::Missing {
                "is missing"
            } else {
                "points to another program"
            };
            return Some(
                Finding::problem(tool.name, format!("{path} {what}"), again)
                    .with_repair(move || link.make()),
            );
        }
        State::Foreign => {
            return Some(Finding::problem(
                tool.name,
                link.blocked().message,
                "move it away, and run `setup` again",
            ));
        }
        State::Right => {}
    }
    if folder == Folder::TerraformPlugins {
        return None;
    }
    let line = os::path_line(link.path.parent()?);
    match machine.find(name) {
        Some(found) if machine.is_this_program(&found) => None,
        Some(found) => Some(Finding::problem(
            tool.name,
            format!("{} comes first on PATH", found.display()),
            line,
        )),
        // Its configuration may name the path.
        None if edit::read(&tool.path(machine))
            .ok()
            .flatten()
            .is_some_and(|text| text.contains(&link.path.display().to_string())) =>
        {
            None
        }
        None => Some(Finding::problem(tool.name, format!("{path} is not on PATH"), line)),
    }
}

/// Sends the protocol of the tool the request that the tool would send.
fn probe(machine: &Machine, tool: &'static SetupTool, host: &Origin) -> Option<Finding> {
    // kubectl and go send requests to https only.
    if host.scheme() == Scheme::Http && matches!(tool.name, "kubectl" | "go") {
        return None;
    }
    let fill = |text: &str| {
        let text =
            text.replace("{url}", &host.to_string()).replace("{scheme}", host.scheme().name());
        text.replace("{host}", &host.host_and_port())
    };
    let program =
        Link::detect(machine, tool).map_or_else(|| machine.program.clone(), |link| link.path);
    let words = tool.probe.arguments.iter().map(|word| fill(word));
    let line: Vec<_> = [program.display().to_string()].into_iter().chain(words).collect();
    let (protocol, overrides, arguments) = run::dispatch(&line)?;
    let invocation = Invocation {
        arguments: arguments.to_vec(),
        input: fill(tool.probe.input).into_bytes().into(),
        ..Invocation::default()
    };
    // The options of `doctor` are not the tool's.
    let context = Context::from_env(overrides);
    let ToolOutput { output, messages, status } =
        with_engine(&context, |engine| run::answer(engine, protocol, &invocation));
    if status == 0 && output.contains(tool.probe.proof) {
        return Some(Finding::fine(tool.name, format!("gets a credential for {host}")));
    }
    let reason = messages.lines().find_map(|line| line.strip_prefix("error: "));
    let reason = reason.map_or_else(String::new, |reason| format!(": {reason}"));
    let how =
        format!("run `my-credential-helper get --explain --url {host}` to see what was searched");
    Some(Finding::problem(tool.name, format!("gets no credential for {host}{reason}"), how))
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn versions_are_parsed_in_the_form_of_each_program() {
        for (text, expected) in [
            ("git version 2.47.3", (2, 47)),
            ("Docker version 27.5.1, build 9f9e405", (27, 5)),
            ("go version go1.27.3 linux/amd64", (1, 27)),
            ("Client Version: v1.32.0", (1, 32)),
            ("pip 26.3 from /x/y (python 3.11)", (26, 3)),
            ("bazel 7.4.1rc2", (7, 4)),
            ("10.2.0", (10, 2)),
        ] {
            assert_eq!(version(text), Some(expected), "{text}");
        }
        assert_eq!(version("no number"), None);
    }
}
