//! The plan of `setup` for one tool: its link, the change of its configuration, and notes for the user.

use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::edit::{self, Edit};
use super::link::{Link, State};
use super::machine::Machine;
use super::tools::{ALL, Folder, Request, Selection, SetupTool};
use super::transaction::Step;
use super::written::Written;
use super::{difference, layout};
use crate::error::Result;
use crate::model::HostPattern;
use crate::store::url_credentials::hash;
use crate::sys::{atomic_file, os};

pub(super) struct Plan {
    pub(super) tool: &'static SetupTool,
    /// The link of the tool, which may stay as it is.
    link: Option<PathBuf>,
    made: Vec<Link>,
    removed: Vec<Link>,
    /// The tool's configuration.
    file: Edit,
    /// The copy of the file as it was before `setup` first changed it.
    backup: Option<Edit>,
    /// Whether entries of ours remain.
    pub(super) is_connected: bool,
    notes: Vec<String>,
}

/// The choice of hosts, provider and account for all tools.
pub(super) struct Choice<'a> {
    pub(super) hosts: &'a [HostPattern],
    pub(super) is_portable: bool,
    pub(super) options: &'a [String],
    /// The provider, if it is not the default one.
    pub(super) provider: Option<&'a str>,
}

impl Plan {
    /// Connects the tool.
    pub(super) fn set_up(
        machine: &Machine,
        tool: &'static SetupTool,
        choice: &Choice<'_>,
        written: &Written,
    ) -> Result<Self> {
        let link = match choice.provider.filter(|_| tool.selection == Selection::LinkName) {
            Some(provider) => Link::for_provider(machine, tool, provider),
            None => Link::detect(machine, tool),
        };
        if let Some(link) = &link {
            link.check_place(machine)?;
        }
        let named = tool.path(machine);
        let path = atomic_file::target(&named)?;
        let before = edit::read(&path)?;
        let text = before.as_deref().unwrap_or_default();
        let program = link.as_ref().map_or(&machine.program, |link| &link.path);
        let &Choice { hosts, is_portable, options, .. } = choice;
        let (file, has_mark) = (&*named, text.starts_with(layout::MARK));
        let request =
            Request { machine, file, hosts, link: program, has_mark, is_portable, options };
        let mut notes = Vec::new();
        let after = layout::edit(text, |plain| {
            notes = (tool.notes)(&request, plain);
            (tool.add)(&request, plain)
        })?;
        let unnamed = link.as_ref().filter(|link| !names(&after, link));
        notes.extend(unnamed.and_then(|link| path_note(machine, tool, link)));
        let backup = edit::backup(&path, before.clone())?;
        // The first state is the one to restore. Entries of ours in it are the user's, if `setup` has left no trace.
        let is_first = before.is_some()
            && if edit::has_ours(machine, tool, text)? {
                backup.before.is_none()
                    && !written.has(&path)
                    && !has_own_link(machine, tool, link.as_ref())?
            } else {
                after != text
            };
        let backup = is_first.then_some(backup);
        let after = (before.is_some() || !after.is_empty()).then_some(after);
        let is_made =
            |link: &&Link| after.is_some() && matches!(link.state, State::Missing | State::Stale);
        let made = link.iter().filter(is_made).cloned().collect();
        let file = Edit::new(path, before, after);
        let link = link.map(|link| link.path);
        Ok(Self { made, backup, notes, ..Self::of_file(tool, link, file) })
    }

    /// Disconnects the tool, or `hosts` only: restores the backup if nothing else has changed since, else removes our
    /// entries. A link that tools outside `undone` need stays.
    pub(super) fn undo(
        machine: &Machine,
        tool: &'static SetupTool,
        hosts: &[HostPattern],
        undone: &[&SetupTool],
        written: &Written,
    ) -> Result<Self> {
        let path = atomic_file::target(&tool.path(machine))?;
        let before = edit::read(&path)?;
        let hosts = if tool.names_hosts { hosts } else { &[] };
        let text = before.as_deref().unwrap_or_default();
        let removed = edit::backup(&path, None)?;
        let original = removed.before.as_deref();
        let is_users = match original {
            Some(original) if !written.has(&path) => edit::has_ours(machine, tool, original)?,
            _ => false,
        };
        if is_users && !hosts.is_empty() {
            return Self::unchanged(machine, tool);
        }
        let rest = edit::undone(machine, tool, hosts, original, text)?;
        if edit::has_ours(machine, tool, &rest)? {
            // Other hosts stay.
            let after = before.is_some().then_some(rest);
            return Ok(Self::of_file(tool, None, Edit::new(path, before, after)));
        }
        let (mut notes, mut backup) = (Vec::new(), None);
        let after = match (&before, &removed.before) {
            (None, _) => None,
            (Some(text), _) if is_users => {
                notes.push("the entries that were there before `setup` stay".to_owned());
                backup = Some(removed);
                Some(text.clone())
            }
            (Some(text), Some(original))
                if written.is_current(&path, text)
                    || differs_by_our_part(machine, tool, &rest, original)? =>
            {
                backup = Some(removed.clone());
                removed.before
            }
            (Some(text), original) => {
                let place = removed.path.display();
                let note = format!("the file has been changed since; the original is in {place}");
                notes.extend(original.as_ref().map(|_| note));
                let is_nothing = rest != *text && matches!(rest.trim(), "" | "{}");
                Some(rest).filter(|_| !is_nothing)
            }
        };
        let own = Link::detect(machine, tool);
        let own = own.filter(|link| link.is_where_setup_puts_it(machine, tool));
        let link = own.as_ref().map(|link| link.path.clone());
        let mut links: Vec<_> = own.into_iter().collect();
        if is_shared(machine, tool, undone)? {
            links.clear();
        }
        if tool.selection == Selection::LinkName {
            links.extend(Link::of_providers(machine, tool));
        }
        links.retain(|link| matches!(link.state, State::Right | State::Stale));
        let plan = Self::of_file(tool, link, Edit::new(path, before, after));
        Ok(Self { removed: links, backup, is_connected: false, notes, ..plan })
    }

    /// Leaves the tool as it is.
    pub(super) fn unchanged(machine: &Machine, tool: &'static SetupTool) -> Result<Self> {
        let path = atomic_file::target(&tool.path(machine))?;
        let before = edit::read(&path)?;
        Ok(Self::of_file(tool, None, Edit::new(path, before.clone(), before)))
    }

    /// Changes nothing but the tool's configuration, which keeps entries of ours.
    fn of_file(tool: &'static SetupTool, link: Option<PathBuf>, file: Edit) -> Self {
        let (made, removed, notes) = (Vec::new(), Vec::new(), Vec::new());
        Self { tool, link, made, removed, file, backup: None, is_connected: true, notes }
    }

    pub(super) fn path(&self) -> &Path {
        &self.file.path
    }

    /// For the record of written files, if the file changes and keeps entries of ours: the digest, which is empty if not all
    /// changes are ours.
    pub(super) fn written(&self, known: &Written) -> Option<String> {
        let Edit { path, before, after, .. } = &self.file;
        let is_only_ours = self.written_backup().is_some()
            || before.as_ref().is_none_or(|text| known.is_current(path, text));
        let digest = after.as_deref().filter(|_| is_only_ours).map(hash).unwrap_or_default();
        (self.is_connected && self.file.is_change()).then_some(digest)
    }

    /// Whether anything would change.
    pub(super) fn changes(&self) -> bool {
        self.steps().next().is_some()
    }

    /// In the order that leaves the least behind if the process is killed: the backup exists before the file changes,
    /// and until it is restored.
    pub(super) fn steps(&self) -> impl Iterator<Item = Step> {
        let file = Some(&self.file).filter(|file| file.is_change());
        let removed = self.backup.as_ref().filter(|backup| backup.after.is_none());
        let edits = [self.written_backup(), file, removed].into_iter().flatten().cloned();
        let links = self.made.iter().cloned().map(Step::MakeLink);
        let links = links.chain(self.removed.iter().cloned().map(Step::RemoveLink));
        links.chain(edits.map(Step::Edit))
    }

    fn written_backup(&self) -> Option<&Edit> {
        self.backup.as_ref().filter(|backup| backup.after.is_some())
    }

    /// For programs.
    pub(super) fn fields(&self) -> serde_json::Value {
        json!({
            "tool": self.tool.name,
            "changed": self.changes(),
            "link": self.link.as_ref().map(|link| link.to_string_lossy()),
            "file": self.file.path.to_string_lossy(),
            "backup": self.written_backup().map(|backup| backup.path.to_string_lossy()),
            "notes": self.notes,
        })
    }
}

/// Whether the original differs from the rest, which is a text without our entries, by our entries only. The layout that
/// the tool's own command writes counts as ours.
fn differs_by_our_part(
    machine: &Machine,
    tool: &SetupTool,
    rest: &str,
    original: &str,
) -> Result<bool> {
    let without = |text: &str| edit::without_ours(machine, tool, text);
    // A line that was added may have ended the one before it.
    let is_rest = |other: &str| other.trim_end() == rest.trim_end();
    if is_rest(&without(original)?) {
        return Ok(true);
    }
    let (file, hosts, link) = (&*tool.path(machine), &[][..], &*machine.program);
    let (has_mark, is_portable, options) = (false, true, &[][..]);
    let request = Request { machine, file, hosts, link, has_mark, is_portable, options };
    // The tool may no longer be installed.
    let added = layout::edit(original, |plain| (tool.add)(&request, plain));
    added.map_or(Ok(false), |added| Ok(is_rest(&without(&added)?)))
}

/// Whether `setup` has made the link for this tool.
fn has_own_link(machine: &Machine, tool: &SetupTool, link: Option<&Link>) -> Result<bool> {
    let is_there = link.is_some_and(|link| {
        link.state != State::Missing && link.is_where_setup_puts_it(machine, tool)
    });
    Ok(is_there && !is_shared(machine, tool, &[tool])?)
}

/// Whether another tool that stays set up needs the same link.
fn is_shared(machine: &Machine, tool: &SetupTool, undone: &[&SetupTool]) -> Result<bool> {
    let name = |tool: &SetupTool| tool.link.map(|(name, _)| name);
    let stays = |other: &SetupTool| undone.iter().all(|tool| tool.name != other.name);
    for other in ALL.iter().filter(|other| stays(other) && name(other) == name(tool)) {
        if other.path(machine) != tool.path(machine) && super::is_set_up(machine, other)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a configuration has the path of the link, in the quoting of any tool.
fn names(text: &str, link: &Link) -> bool {
    let unquoted = |text: &str| text.replace(['\\', '\'', '"'], "");
    unquoted(text).contains(&unquoted(&link.path.to_string_lossy()))
}

/// The fix if the tool does not find its link, or finds another program first.
fn path_note(machine: &Machine, tool: &SetupTool, link: &Link) -> Option<String> {
    let (name, folder) = tool.link.filter(|(_, folder)| *folder != Folder::TerraformPlugins)?;
    let parent = link.path.parent()?;
    let line = format!("{}: {}", os::PATH_INSTRUCTION, os::path_line(parent));
    let other = machine.find(name).filter(|found| !machine.is_this_program(found));
    if other.is_none() && machine.is_on_path(parent) {
        return None;
    }
    let parent = parent.display();
    Some(match other.as_ref().map(|found| found.display()) {
        Some(other) => {
            format!("{other} comes first on PATH; to put this program before it, {line}")
        }
        None if folder == Folder::Programs => {
            format!("{parent} is not on PATH; for tools to find the link, {line}")
        }
        None => format!("for {} to find it, {line}", tool.name),
    })
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tool, file, notes, .. } = self;
        let Edit { path, before, after, .. } = file;
        if self.changes() {
            writeln!(f, "{}:", tool.name)?;
            for link in &self.made {
                writeln!(f, "  {} is linked to this program", link.path.display())?;
            }
            for link in &self.removed {
                writeln!(f, "  {} is removed", link.path.display())?;
            }
            if file.is_change() {
                let [old, new] = [before, after].map(|text| text.as_deref().unwrap_or_default());
                let what = match (before, after) {
                    (_, None) => " is removed",
                    (None, _) => ", a new file",
                    _ => "",
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
