//! The installed tools: whether the configuration in force names this program, whether the tool finds it, and whether the
//! tool gets a credential for the request that it would send.

use std::path::Path;

use super::finding::{Finding, Level};
use super::in_force::{self, InForce, Subject};
use crate::auth::{Engine, with_engine};
use crate::cli::setup::link::{Link, State};
use crate::cli::setup::machine::Machine;
use crate::cli::setup::tools::{ALL, SetupTool};
use crate::config::Context;
use crate::model::{Invocation, Scheme, Target, ToolOutput};
use crate::protocols::run;
use crate::sys::os;

/// `providers` have a credential.
pub(super) fn examine(
    engine: &Engine<'_>,
    machine: &Machine,
    providers: &[String],
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut is_any_set_up = false;
    for tool in ALL {
        let Some(program) = tool.program(machine) else { continue };
        let subject = Subject { engine, machine, tool, program: &program };
        let InForce { mut commands, targets, lines, findings: mut found, .. } =
            InForce::new(&subject);
        commands.sort();
        commands.dedup();
        if commands.is_empty() {
            if found.is_empty() {
                let provider = engine.context.provider(None);
                let has_hosts = provider.is_ok_and(|provider| !provider.hosts.is_empty());
                let host = if tool.names_hosts && !has_hosts { " --host HOST" } else { "" };
                let fix = format!("`my-credential-helper setup {}{host}`", tool.name);
                found.push(Finding::note(tool.name, "is not set up").with_fix(fix));
            }
        } else {
            is_any_set_up = true;
            found.extend(old(machine, tool, &program));
            let fix = subject.setup_line(&targets);
            found.extend(commands.iter().filter_map(|it| not_run(machine, tool, it, &fix)));
        }
        let is_asked = !commands.is_empty() && found.iter().all(|it| it.level != Level::Problem);
        findings.append(&mut found);
        for target in targets.iter().filter(|_| is_asked) {
            let line = lines.iter().find(|(other, _)| other == target).map(|(_, line)| line);
            findings.extend(ask(&subject, target, line, providers));
        }
    }
    if is_any_set_up {
        let message = "the configuration inside a repository is not looked at";
        findings.push(Finding::note("tools", message));
    }
    findings
}

/// Asks the tool where it can be asked, then the protocol of the tool.
fn ask(
    subject: &Subject<'_>,
    target: &Target,
    line: Option<&Vec<String>>,
    providers: &[String],
) -> Option<Finding> {
    let name = subject.tool.name;
    if target.origin.scheme() == Scheme::Http && matches!(name, "kubectl" | "go") {
        let message = format!(
            "does not ask this program for {target}: {name} sends credentials to https only"
        );
        return Some(Finding::note(name, message));
    }
    if let Some(finding) = in_force::ask_tool(subject, target) {
        return Some(finding);
    }
    let owner = subject.owner(target);
    // Without a login there is one finding about it, and not one for each tool.
    if owner.is_some_and(|owner| !providers.iter().any(|it| *it == owner.name)) {
        let message = format!("asks this program for {target}; there is no credential yet");
        return Some(Finding::note(name, message));
    }
    probe(subject, target, line)
}

/// These work with less than all: git sends the token as a password, and pip needs a user name in the URL.
const WORK_IF_OLD: [&str; 3] = ["git", "pip", "pnpm"];

/// A program that is too old for something.
pub(super) fn old(machine: &Machine, tool: &SetupTool, program: &Path) -> Option<Finding> {
    let (major, minor, lacks) = tool.least?;
    let arguments = match tool.name {
        "kubectl" => &["version", "--client"][..],
        "go" => &["version"],
        _ => &["--version"],
    };
    let printed = machine.launcher.child(program).ok()?.args(arguments).run().ok()??;
    let (own_major, own_minor) = version(&printed)?;
    let message = format!("{} {own_major}.{own_minor} {lacks}", tool.name);
    let finding = if WORK_IF_OLD.contains(&tool.name) {
        Finding::note(tool.name, message)
    } else {
        Finding::problem(tool.name, message, format!("update {}", tool.name))
    };
    ((own_major, own_minor) < (major, minor)).then_some(finding)
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

/// Makes the links of the tools, and changes no configuration.
const FIX: &str = "`my-credential-helper doctor --fix`";

/// The reason why the command in the tool's configuration does not run this program. `setup` sets the tool up again.
fn not_run(
    machine: &Machine,
    tool: &'static SetupTool,
    command: &str,
    setup: &str,
) -> Option<Finding> {
    let problem = |message, fix: &str| Some(Finding::problem(tool.name, message, fix));
    let path = Path::new(command);
    let link = Link::detect(machine, tool);
    let is_plugin = matches!(tool.name, "terraform" | "tofu");
    if path.is_absolute() || is_plugin {
        if let Some(link) = link.filter(|link| is_plugin || link.path == path) {
            return broken(tool, link);
        }
        let shown = path.display();
        return match path.is_file() {
            _ if machine.is_this_program(path) => None,
            true => {
                problem(format!("{shown} is another program, or another copy of this one"), setup)
            }
            false => problem(format!("{shown} does not exist"), setup),
        };
    }
    let found = machine.find(command);
    if found.as_ref().is_some_and(|found| machine.is_this_program(found)) {
        return None;
    }
    let path = link.as_ref().map_or(&machine.program, |link| &link.path).clone();
    let name = link.as_ref().map_or_else(|| command.to_owned(), |_| path.display().to_string());
    link.and_then(|link| broken(tool, link)).or_else(|| {
        let message = match found {
            Some(found) => format!("{} comes first on PATH", found.display()),
            None => format!("{name} is not on PATH"),
        };
        problem(message, &os::path_line(path.parent().unwrap_or(&path)))
    })
}

/// The problem of the link of a tool, if any.
fn broken(tool: &SetupTool, link: Link) -> Option<Finding> {
    let path = link.path.display();
    let message = match link.state {
        State::Right => return None,
        State::Foreign => {
            let fix = format!("move it away, and run {FIX}");
            return Some(Finding::problem(tool.name, link.blocked().message, fix));
        }
        State::Missing => format!("{path} is missing"),
        State::Stale => format!("{path} points to another program"),
    };
    let problem = Finding::problem(tool.name, message, format!("run {FIX}"));
    Some(problem.with_repair(move || link.make()))
}

/// Sends the protocol of the tool the request that the tool would send.
fn probe(subject: &Subject<'_>, target: &Target, line: Option<&Vec<String>>) -> Option<Finding> {
    let Subject { machine, tool, .. } = subject;
    let origin = &target.origin;
    let fill = |text: &str| {
        let url = target.to_string();
        let text = text.replace("{url}", url.trim_end_matches('/'));
        let text = text.replace("{scheme}", origin.scheme().name());
        text.replace("{host}", &origin.host_and_port())
    };
    let program =
        || Link::detect(machine, tool).map_or_else(|| machine.program.clone(), |link| link.path);
    let mut line = line.cloned().unwrap_or_else(|| vec![program().display().to_string()]);
    line.extend(tool.probe.arguments.iter().map(|word| fill(word)));
    let (protocol, overrides, arguments) = run::dispatch(&line)?;
    let invocation = Invocation {
        arguments: arguments.to_vec(),
        input: fill(tool.probe.input).into_bytes().into(),
        variables: in_force::variables(tool, target),
        ..Invocation::default()
    };
    // The options of `doctor` are not the tool's.
    let context = Context::from_env(overrides);
    let ToolOutput { output, messages, status, .. } = with_engine(&context, |other| {
        // What a store that does not answer may take is spent once.
        let Engine { stores, shared_time, .. } = *subject.engine;
        run::examine(&Engine { stores, shared_time, ..*other }, protocol, &invocation)
    });
    if status == 0 && output.contains(tool.probe.proof) {
        return Some(Finding::fine(tool.name, format!("gets a credential for {target}")));
    }
    let reason = messages.lines().find_map(|line| line.strip_prefix("error: "));
    let reason = reason.map_or_else(String::new, |reason| format!(": {reason}"));
    let how =
        format!("run `my-credential-helper get --explain --url {target}` to see what was searched");
    Some(Finding::problem(tool.name, format!("gets no credential for {target}{reason}"), how))
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
