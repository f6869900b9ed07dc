//! What will be done for one tool: its link, the change in its configuration, and what stays for the user to do.

use std::fmt;
use std::path::PathBuf;

use serde_json::json;

use super::difference;
use super::edit;
use super::link::{Link, State};
use super::place::Place;
use super::tools::{ALL, Ask, Folder, SetupTool};
use crate::error::Result;
use crate::model::HostPattern;

/// For one tool.
pub(super) struct Plan {
    tool: &'static SetupTool,
    link: Option<Link>,
    removes_link: bool,
    /// The tool's configuration.
    path: PathBuf,
    before: Option<String>,
    /// What it will be; `None`: no file.
    after: Option<String>,
    backup: Backup,
    notes: Vec<String>,
}

/// What becomes of the copy of the file as it was before us.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Backup {
    Stays,
    IsWritten,
    IsRemoved,
}

impl Plan {
    /// Connects the tool.
    pub(super) fn set_up(
        place: &Place,
        tool: &'static SetupTool,
        hosts: &[HostPattern],
    ) -> Result<Self> {
        let link = Link::of(place, tool);
        if let Some(link) = link.as_ref().filter(|link| link.state == State::Foreign) {
            return Err(link.is_in_the_way());
        }
        let path = edit::real(&(tool.file)(place));
        let before = edit::read(&path)?;
        let text = before.as_deref().unwrap_or_default();
        let program = link.as_ref().map_or(&place.program, |link| &link.path);
        let ask = Ask { place, hosts, link: program };
        let after = (tool.add)(&ask, text)?;
        let mut notes = (tool.notes)(&ask, text);
        notes.extend(
            link.as_ref()
                .and_then(|link| path_note(place, tool, link).filter(|_| !names(&after, link))),
        );
        // The first state without anything of ours is the one to come back to.
        let is_first = before.is_some() && (tool.remove)(place, text)? == text;
        let backup = if is_first && after != text { Backup::IsWritten } else { Backup::Stays };
        let after = (before.is_some() || !after.is_empty()).then_some(after);
        Ok(Self { tool, link, removes_link: false, path, before, after, backup, notes })
    }

    /// Takes it back: what was before, where nothing else changed since; else our parts alone.
    pub(super) fn undo(place: &Place, tool: &'static SetupTool) -> Result<Self> {
        let path = edit::real(&(tool.file)(place));
        let before = edit::read(&path)?;
        let original = edit::read(&edit::backup_of(&path))?;
        let mut notes = Vec::new();
        let (after, backup) = match (&before, original) {
            (None, _) => (None, Backup::Stays),
            (Some(text), Some(original)) if differs_by_us_alone(place, tool, text, &original)? => {
                (Some(original), Backup::IsRemoved)
            }
            (Some(text), original) => {
                if original.is_some() {
                    notes.push(format!(
                        "the file was changed since; what it was before is in {}",
                        edit::backup_of(&path).display()
                    ));
                }
                let rest = (tool.remove)(place, text)?;
                let is_nothing = rest != *text && matches!(rest.trim(), "" | "{}");
                (Some(rest).filter(|_| !is_nothing), Backup::Stays)
            }
        };
        let link = Link::of(place, tool).filter(|link| link.is_where_setup_puts_it(place, tool));
        let removes_link =
            link.as_ref().is_some_and(|link| matches!(link.state, State::Right | State::Stale))
                && !is_shared(place, tool)?;
        Ok(Self { tool, link, removes_link, path, before, after, backup, notes })
    }

    /// Whether anything would be another.
    pub(super) fn changes(&self) -> bool {
        self.makes_link() || self.removes_link || self.before != self.after
    }

    fn makes_link(&self) -> bool {
        !self.removes_link
            && self.after.is_some()
            && self
                .link
                .as_ref()
                .is_some_and(|link| matches!(link.state, State::Missing | State::Stale))
            && !self.is_undo()
    }

    fn is_undo(&self) -> bool {
        self.removes_link || self.backup == Backup::IsRemoved
    }

    /// Does it.
    pub(super) fn carry_out(&self) -> Result<()> {
        if let Some(link) = &self.link {
            if self.removes_link {
                link.remove()?;
            } else if self.makes_link() {
                link.make()?;
            }
        }
        let backup = edit::backup_of(&self.path);
        if self.backup == Backup::IsWritten {
            edit::write(&backup, self.before.as_deref().unwrap_or_default())?;
        }
        if self.before != self.after {
            match &self.after {
                Some(text) => edit::write(&self.path, text)?,
                None => edit::remove(&self.path)?,
            }
        }
        if self.backup == Backup::IsRemoved { edit::remove(&backup) } else { Ok(()) }
    }

    /// The same for programs.
    pub(super) fn fields(&self) -> serde_json::Value {
        json!({
            "tool": self.tool.name,
            "changed": self.changes(),
            "link": self.link.as_ref().map(|link| &link.path),
            "file": self.path,
            "backup": (self.backup == Backup::IsWritten).then(|| edit::backup_of(&self.path)),
            "notes": self.notes,
        })
    }
}

/// Whether our part is all that was changed since; what the tool itself laid out anew counts as ours.
fn differs_by_us_alone(
    place: &Place,
    tool: &SetupTool,
    text: &str,
    original: &str,
) -> Result<bool> {
    let rest = (tool.remove)(place, text)?;
    // A line that was added may have ended the one before it.
    let is_rest = |other: &str| other.trim_end() == rest.trim_end();
    if is_rest(&(tool.remove)(place, original)?) {
        return Ok(true);
    }
    let ask = Ask { place, hosts: &[], link: &place.program };
    Ok(is_rest(&(tool.remove)(place, &(tool.add)(&ask, original)?)?))
}

/// Whether another tool that is set up needs the same link.
fn is_shared(place: &Place, tool: &SetupTool) -> Result<bool> {
    let name = |tool: &SetupTool| tool.link.map(|(name, _)| name);
    for other in ALL.iter().filter(|other| other.name != tool.name && name(other) == name(tool)) {
        let path = (other.file)(place);
        let text = if path == (tool.file)(place) { None } else { edit::read(&path)? };
        if let Some(text) = text
            && (other.remove)(place, &text)? != text
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
fn path_note(place: &Place, tool: &SetupTool, link: &Link) -> Option<String> {
    let (name, folder) = tool.link.filter(|(_, folder)| *folder != Folder::TerraformPlugins)?;
    let parent = link.path.parent()?;
    let line = format!("export PATH=\"{}:$PATH\"", parent.display());
    match place.find(name) {
        Some(found) if !place.is_this_program(&found) => Some(format!(
            "{} comes first on PATH; this line in your shell's profile puts ours before it: {line}",
            found.display()
        )),
        _ if place.is_on_path(parent) => None,
        _ if folder == Folder::Programs => Some(format!(
            "{} is not on PATH; tools find the link once it is: {line}",
            parent.display()
        )),
        _ => Some(format!(
            "{} finds it once this line is in your shell's profile: {line}",
            tool.name
        )),
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tool, link, path, before, after, notes, .. } = self;
        if self.changes() {
            writeln!(f, "{}:", tool.name)?;
            if let Some(link) = link.as_ref().filter(|_| self.removes_link) {
                writeln!(f, "  {} is removed", link.path.display())?;
            } else if let Some(link) = link.as_ref().filter(|_| self.makes_link()) {
                writeln!(f, "  {} becomes a link to this program", link.path.display())?;
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
            if self.backup == Backup::IsWritten {
                writeln!(f, "  what it is now is kept in {}", edit::backup_of(path).display())?;
            }
        } else {
            writeln!(f, "{}: nothing to change in {}", tool.name, path.display())?;
        }
        notes.iter().try_for_each(|note| writeln!(f, "  note: {note}"))
    }
}
