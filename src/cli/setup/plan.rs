//! What `setup` will do for one tool: its link, the change of its configuration, and what is left for the user to do.

use std::fmt;

use serde_json::json;

use super::difference;
use super::edit::{self, Edit};
use super::link::{Link, State};
use super::machine::Machine;
use super::tools::{ALL, Folder, Request, SetupTool};
use super::transaction::Step;
use crate::error::Result;
use crate::model::HostPattern;
use crate::sys::atomic_file::{self, Policy};

pub(super) struct Plan {
    tool: &'static SetupTool,
    link: Option<Link>,
    link_change: Option<LinkChange>,
    /// The tool's configuration.
    file: Edit,
    /// The copy of the file as it was before `setup` first changed it.
    backup: Option<Edit>,
    notes: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum LinkChange {
    Made,
    Removed,
}

impl Plan {
    /// Connects the tool.
    pub(super) fn set_up(
        machine: &Machine,
        tool: &'static SetupTool,
        hosts: &[HostPattern],
    ) -> Result<Self> {
        let link = Link::detect(machine, tool);
        if let Some(link) = link.as_ref().filter(|link| link.state == State::Foreign) {
            return Err(link.blocked());
        }
        let path = atomic_file::target(&(tool.file)(machine))?;
        let before = edit::read(&path)?;
        let text = before.as_deref().unwrap_or_default();
        let program = link.as_ref().map_or(&machine.program, |link| &link.path);
        let request = Request { machine, hosts, link: program };
        let after = (tool.add)(&request, text)?;
        let mut notes = (tool.notes)(&request, text);
        notes.extend(
            link.as_ref()
                .and_then(|link| path_note(machine, tool, link).filter(|_| !names(&after, link))),
        );
        // The first state without anything of ours is the one to restore.
        let is_first = before.is_some() && (tool.remove)(machine, text)? == text;
        let backup = (is_first && after != text).then(|| edit::backup(&path, before.clone()));
        let after = (before.is_some() || !after.is_empty()).then_some(after);
        let is_made = |link: &Link| matches!(link.state, State::Missing | State::Stale);
        let makes_link = after.is_some() && link.as_ref().is_some_and(is_made);
        let file = Edit { path, before, after, policy: Policy::Preserve };
        let link_change = makes_link.then_some(LinkChange::Made);
        Ok(Self { tool, link, link_change, file, backup: backup.transpose()?, notes })
    }

    /// Disconnects the tool: restores the backup where nothing else has changed since, else removes our part.
    /// A link that tools outside `undone` need stays.
    pub(super) fn undo(
        machine: &Machine,
        tool: &'static SetupTool,
        undone: &[&SetupTool],
    ) -> Result<Self> {
        let path = atomic_file::target(&(tool.file)(machine))?;
        let before = edit::read(&path)?;
        let removed = edit::backup(&path, None)?;
        let (mut notes, mut backup) = (Vec::new(), None);
        let after = match (&before, &removed.before) {
            (None, _) => None,
            (Some(text), Some(original)) if differs_by_our_part(machine, tool, text, original)? => {
                backup = Some(removed.clone());
                removed.before
            }
            (Some(text), original) => {
                if original.is_some() {
                    notes.push(format!(
                        "the file has been changed since; the original is in {}",
                        removed.path.display()
                    ));
                }
                let rest = (tool.remove)(machine, text)?;
                let is_nothing = rest != *text && matches!(rest.trim(), "" | "{}");
                Some(rest).filter(|_| !is_nothing)
            }
        };
        let link =
            Link::detect(machine, tool).filter(|link| link.is_where_setup_puts_it(machine, tool));
        let is_ours = |link: &Link| matches!(link.state, State::Right | State::Stale);
        let removes_link = link.as_ref().is_some_and(is_ours) && !is_shared(machine, tool, undone)?;
        let link_change = removes_link.then_some(LinkChange::Removed);
        let file = Edit { path, before, after, policy: Policy::Preserve };
        Ok(Self { tool, link, link_change, file, backup, notes })
    }

    /// Whether anything would change.
    pub(super) fn changes(&self) -> bool {
        self.link_change.is_some() || self.file.before != self.file.after
    }

    /// In the order that leaves the least behind where the process is killed: the backup exists before the file changes,
    /// and until it is restored.
    pub(super) fn steps(&self) -> impl Iterator<Item = Step> {
        let link = self.link.clone().zip(self.link_change).map(|(link, change)| match change {
            LinkChange::Made => Step::MakeLink(link),
            LinkChange::Removed => Step::RemoveLink(link),
        });
        let file = Some(&self.file).filter(|file| file.before != file.after);
        let removed = self.backup.as_ref().filter(|backup| backup.after.is_none());
        let edits = [self.written_backup(), file, removed].into_iter().flatten().cloned();
        link.into_iter().chain(edits.map(Step::Edit))
    }

    fn written_backup(&self) -> Option<&Edit> {
        self.backup.as_ref().filter(|backup| backup.after.is_some())
    }

    /// For programs.
    pub(super) fn fields(&self) -> serde_json::Value {
        json!({
            "tool": self.tool.name,
            "changed": self.changes(),
            "link": self.link.as_ref().map(|link| &link.path),
            "file": self.file.path,
            "backup": self.written_backup().map(|backup| &backup.path),
            "notes": self.notes,
        })
    }
}

/// Whether only our part has changed since; what the tool itself has laid out again counts as ours.
fn differs_by_our_part(
    machine: &Machine,
    tool: &SetupTool,
    text: &str,
    original: &str,
) -> Result<bool> {
    let rest = (tool.remove)(machine, text)?;
    // A line that was added may have ended the one before it.
    let is_rest = |other: &str| other.trim_end() == rest.trim_end();
    if is_rest(&(tool.remove)(machine, original)?) {
        return Ok(true);
    }
    let request = Request { machine, hosts: &[], link: &machine.program };
    Ok(is_rest(&(tool.remove)(machine, &(tool.add)(&request, original)?)?))
}

/// Whether another tool that stays set up needs the same link.
fn is_shared(machine: &Machine, tool: &SetupTool, undone: &[&SetupTool]) -> Result<bool> {
    let name = |tool: &SetupTool| tool.link.map(|(name, _)| name);
    let stays = |other: &SetupTool| undone.iter().all(|tool| tool.name != other.name);
    for other in ALL.iter().filter(|other| stays(other) && name(other) == name(tool)) {
        let path = (other.file)(machine);
        let text = if path == (tool.file)(machine) { None } else { edit::read(&path)? };
        if let Some(text) = text
            && (other.remove)(machine, &text)? != text
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a configuration names the link by its path.
fn names(text: &str, link: &Link) -> bool {
    text.contains(&*link.path.to_string_lossy())
}

/// What to do where the tool would not find its link, or would find another program first.
fn path_note(machine: &Machine, tool: &SetupTool, link: &Link) -> Option<String> {
    let (name, folder) = tool.link.filter(|(_, folder)| *folder != Folder::TerraformPlugins)?;
    let parent = link.path.parent()?;
    let line = format!("export PATH=\"{}:$PATH\"", parent.display());
    match machine.find(name) {
        Some(found) if !machine.is_this_program(&found) => Some(format!(
            "{} comes first on PATH; to put this program before it, add this line to your shell's profile: {line}",
            found.display()
        )),
        _ if machine.is_on_path(parent) => None,
        _ if folder == Folder::Programs => Some(format!(
            "{} is not on PATH; for tools to find the link, add this line to your shell's profile: {line}",
            parent.display()
        )),
        _ => Some(format!(
            "for {} to find it, add this line to your shell's profile: {line}",
            tool.name
        )),
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tool, link, link_change, file, notes, .. } = self;
        let Edit { path, before, after, .. } = file;
        if self.changes() {
            writeln!(f, "{}:", tool.name)?;
            if let Some((link, change)) = link.as_ref().zip(*link_change) {
                let what = match change {
                    LinkChange::Made => "is linked to this program",
                    LinkChange::Removed => "is removed",
                };
                writeln!(f, "  {} {what}", link.path.display())?;
            }
            if before != after {
                let [old, new] = [before, after].map(|text| text.as_deref().unwrap_or_default());
                let what = if after.is_none() {
                    " is removed"
                } else if before.is_none() {
                    ", a new file"
                } else {
                    ""
                };
                writeln!(f, "  {}{what}", path.display())?;
                for line in difference::lines(old, new) {
                    writeln!(f, "    {line}")?;
                }
            }
            if let Some(backup) = self.written_backup() {
                writeln!(f, "  the original is saved in {}", backup.path.display())?;
            }
        } else {
            writeln!(f, "{}: nothing to change in {}", tool.name, path.display())?;
        }
        notes.iter().try_for_each(|note| writeln!(f, "  note: {note}"))
    }
}
