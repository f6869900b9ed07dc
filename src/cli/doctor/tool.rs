//! The tools that are installed: whether they are set up, find their link, and get an answer to the question that they
//! would ask.

use std::path::PathBuf;

use super::Finding;
use super::client::{self, Said};
use crate::auth::Engine;
use crate::cli::setup::link::{Link, State};
use crate::cli::setup::place::Place;
use crate::cli::setup::tools::{ALL, Folder, SetupTool};
use crate::cli::setup::{edit, is_set_up};
use crate::model::{HostPattern, Origin, Scheme};

pub(super) fn examine(engine: &Engine<'_>, place: &Place, is_logged_in: bool) -> Vec<Finding> {
    let host = host(engine);
    let mut findings = Vec::new();
    for tool in ALL {
        let Some(program) = tool.program(place) else { continue };
        match is_set_up(place, tool) {
            Err(error) => {
                findings.push(Finding::problem(
                    tool.name,
                    error.message,
                    "mend the file; nothing was changed",
                ));
            }
            Ok(false) => findings.push(
                Finding::note(tool.name, "is not set up")
                    .with_fix(format!("`my-credential-helper setup {}`", tool.name)),
            ),
            Ok(true) => {
                findings.extend(old(tool, &program));
                findings.extend(
                    link(place, tool)
                        .or_else(|| asked(place, tool, host.as_ref().filter(|_| is_logged_in)?)),
                );
            }
        }
    }
    findings
}

/// A place that the token may go to.
fn host(engine: &Engine<'_>) -> Option<Origin> {
    let provider = engine.context.provider(None).ok()?;
    let named = provider.hosts.iter().find_map(HostPattern::target).map(|target| target.origin);
    named.or_else(|| engine.context.api_origin(&provider, None).ok())
}

/// A client that lacks something.
fn old(tool: &SetupTool, program: &std::path::Path) -> Option<Finding> {
    let (major, minor, lacks) = tool.least?;
    let arguments: Vec<_> = tool.version.iter().map(|&word| word.to_owned()).collect();
    let (own_major, own_minor) = client::version(&client::run(program, &arguments, "")?.output)?;
    let message = format!("{} {own_major}.{own_minor} {lacks}", tool.name);
    ((own_major, own_minor) < (major, minor)).then(|| Finding::note(tool.name, message))
}

/// What is wrong with the name that the tool looks for.
fn link(place: &Place, tool: &'static SetupTool) -> Option<Finding> {
    let (name, folder) = tool.link?;
    let link = Link::of(place, tool)?;
    let path = link.path.display();
    let again = format!("`my-credential-helper setup {}`", tool.name);
    match link.state {
        State::Missing | State::Stale => {
            let what = if link.state == State::Missing {
                "is missing"
            } else {
                "leads to another program"
            };
            return Some(
                Finding::problem(tool.name, format!("{path} {what}"), again)
                    .mended_by(move || link.make()),
            );
        }
        State::Foreign => {
            return Some(Finding::problem(
                tool.name,
                link.is_in_the_way().message,
                "move it away, and set up again",
            ));
        }
        State::Right => {}
    }
    if folder == Folder::TerraformPlugins {
        return None;
    }
    let line = format!("export PATH=\"{}:$PATH\"", link.path.parent()?.display());
    match place.find(name) {
        Some(found) if place.is_this_program(&found) => None,
        Some(found) => Some(Finding::problem(
            tool.name,
            format!("{} comes first on PATH", found.display()),
            line,
        )),
        // Its configuration may name the path.
        None if edit::read(&(tool.file)(place))
            .ok()
            .flatten()
            .is_some_and(|text| text.contains(&link.path.display().to_string())) =>
        {
            None
        }
        None => Some(Finding::problem(tool.name, format!("{path} is not on PATH"), line)),
    }
}

/// Asks as the tool would.
fn asked(place: &Place, tool: &'static SetupTool, host: &Origin) -> Option<Finding> {
    // kubectl and go ask over https alone.
    if host.scheme() == Scheme::Http && matches!(tool.name, "kubectl" | "go") {
        return None;
    }
    let fill = |text: &str| {
        let text =
            text.replace("{url}", &host.to_string()).replace("{scheme}", host.scheme().name());
        text.replace("{host}", &host.host_and_port())
    };
    let program =
        Link::of(place, tool).map_or_else(|| PathBuf::from(&place.program), |link| link.path);
    let arguments: Vec<_> = tool.probe.arguments.iter().map(|word| fill(word)).collect();
    let how = format!("`my-credential-helper get --explain --url {host}` says where was looked");
    Some(match client::run(&program, &arguments, &fill(tool.probe.input)) {
        Some(Said { output, is_success: true, .. }) if output.contains(tool.probe.proof) => {
            Finding::fine(tool.name, format!("gets a credential for {host}"))
        }
        Some(Said { reason, .. }) => {
            let reason = reason.map_or_else(String::new, |reason| format!(": {reason}"));
            Finding::problem(tool.name, format!("gets none for {host}{reason}"), how)
        }
        None => Finding::problem(
            tool.name,
            format!("{} cannot be run, or does not end", program.display()),
            "install it anew",
        ),
    })
}
