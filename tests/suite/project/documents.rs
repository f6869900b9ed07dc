//! The links of the documents have targets, and the commands of the README and of REFERENCE.md exist.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::Home;

/// The lines of a document, and whether each is code.
fn lines(text: &str) -> impl Iterator<Item = (&str, bool)> {
    let mut is_code = false;
    text.lines().filter_map(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        (!is_fence).then_some((line, is_code))
    })
}

/// Every document of the project.
fn documents(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && !name.starts_with('.') && !matches!(name, "target" | "node_modules") {
            documents(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
}

/// The anchors that GitHub gives the headings of a document.
fn anchors(text: &str) -> HashSet<String> {
    let headings =
        lines(text).filter(|(_, is_code)| !is_code).filter_map(|(line, _)| line.strip_prefix('#'));
    let is_kept = |letter: &char| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_');
    let anchor = |heading: &str| {
        heading.trim_start_matches('#').trim().to_lowercase().chars().filter(is_kept).collect()
    };
    headings.map(anchor).map(|anchor: String| anchor.replace(' ', "-")).collect()
}

fn links(text: &str) -> impl Iterator<Item = &str> {
    let prose = lines(text).filter(|(_, is_code)| !is_code).map(|(line, _)| line);
    let targets =
        prose.flat_map(|line| line.split("](").skip(1)).filter_map(|rest| rest.split(')').next());
    targets.filter(|target| !target.contains("://"))
}

#[test]
fn every_link_within_the_project_has_a_target() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = Vec::new();
    documents(root, &mut all);
    assert!(all.len() > 10, "{all:?}");
    let mut broken = Vec::new();
    for document in all {
        let text = fs::read_to_string(&document).unwrap();
        for link in links(&text) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() {
                document.clone()
            } else {
                document.parent().unwrap().join(file)
            };
            let has_anchor =
                || fs::read_to_string(&target).is_ok_and(|text| anchors(&text).contains(anchor));
            if !target.exists() || !(anchor.is_empty() || has_anchor()) {
                broken.push(format!("{}: {link}", document.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

/// The commands of this program in a document.
fn commands(text: &str) -> Vec<String> {
    let in_line = |line| lines_of_code(line).into_iter().map(str::to_owned).collect::<Vec<_>>();
    let found = lines(text)
        .flat_map(|(line, is_code)| if is_code { vec![line.to_owned()] } else { in_line(line) });
    let of_helper = found.filter_map(|code| {
        let (_, command) =
            code.split_once("my-credential-helper ").filter(|(before, _)| !before.contains('/'))?;
        let end = [" |", r" \|", " #", " <", " -- ", ")\"", "  "]
            .iter()
            .filter_map(|end| command.find(end))
            .min();
        Some(command[..end.unwrap_or(command.len())].to_owned())
    });
    of_helper.collect()
}

/// The texts between backticks in a line.
fn lines_of_code(line: &str) -> Vec<&str> {
    line.split('`').skip(1).step_by(2).collect()
}

#[test]
fn every_command_of_the_readme_exists() {
    let home = Home::new();
    let documents =
        [include_str!("../../../README.md"), include_str!("../../../protocol/REFERENCE.md")];
    let all: Vec<String> = documents.iter().flat_map(|text| commands(text)).collect();
    assert!(all.len() > 20, "{all:?}");
    for command in all {
        let mut arguments: Vec<&str> = command.split_whitespace().collect();
        // clap reports every unknown command and option before `--help`, and runs nothing.
        arguments.push("--help");
        let outcome = home.run(&arguments);
        assert_eq!(outcome.status, 0, "{command}: {outcome:?}");
    }
}
