//! The hosts that `setup` adds to a provider, and a record of them: undo removes a host from the configuration if `setup`
//! added it and no other tool needs it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use toml_edit::{Array, DocumentMut, Item, Value};

use super::edit::{self, Edit, Record};
use super::machine::Machine;
use super::tools::SetupTool;
use crate::auth::Engine;
use crate::config::accounts::Pattern;
use crate::config::edit as settings;
use crate::error::{Error, Result};
use crate::model::{Account, HostPattern, Provider, Target};

/// The changes of `setup` in `config.toml` and in its record of added hosts.
#[derive(Default)]
pub(super) struct HostChange {
    pub(super) added: Vec<String>,
    pub(super) removed: Vec<String>,
    /// For a person, one sentence for each change.
    pub(super) report: Vec<String>,
    pub(super) edits: Vec<Edit>,
}

/// Provider, host, and how `setup` came to it.
type Entries = BTreeMap<String, BTreeMap<String, Entry>>;

const RECORD: &str = "setup.json";

#[expect(clippy::trivially_copy_pass_by_ref, reason = "for serde")]
fn is_false(value: &bool) -> bool {
    !value
}

#[derive(Default, Deserialize, Serialize)]
struct Entry {
    /// The tools that were set up for the host.
    tools: BTreeSet<String>,
    /// Whether the host is in `hosts` because of `setup`.
    added: bool,
    /// Whether `hosts` was there before `setup` added the first host to it: undo leaves the list, even without an entry.
    #[serde(default, skip_serializing_if = "is_false")]
    had_list: bool,
    /// The account that `setup` selected for the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    account: Option<String>,
}

impl HostChange {
    /// Adds `hosts`, of which `new` are not the provider's yet, for these tools.
    pub(super) fn add(
        engine: &Engine<'_>,
        machine: &Machine,
        provider: &Provider,
        account: Option<&Account>,
        (hosts, new): (&[HostPattern], Vec<String>),
        tools: &[&str],
    ) -> Result<Self> {
        let mut has_list = false;
        let change = |document: &mut DocumentMut| {
            if !new.is_empty() {
                let table = settings::provider_table(document, &provider.name)?;
                has_list = table.contains_key("hosts");
                let known = table.entry("hosts").or_insert_with(|| Array::new().into());
                known.as_array_mut()?.extend(new.iter());
            }
            if let Some(account) = account {
                let accounts = document.entry("accounts").or_insert_with(toml_edit::table);
                let accounts = accounts.as_table_like_mut()?;
                for host in hosts {
                    accounts.insert(&host.to_string(), Item::Value(account.to_string().into()));
                }
            }
            Some(())
        };
        let mut edits = Vec::new();
        if !new.is_empty() || account.is_some() {
            edits.extend(configuration(engine, Some(&provider.name), change)?);
        }
        let mut record: Record<Entries> = Record::load(machine, RECORD)?;
        let entries = record.value.entry(provider.name.to_string()).or_default();
        let had_list = has_list && !entries.values().any(|it| it.added && !it.had_list);
        for host in hosts {
            let name = host.to_string();
            let recorded = entries.get(&name).and_then(|entry| entry.account.as_deref());
            check_account(engine, host, account, recorded)?;
            let is_new = new.contains(&name);
            let entry = entries.entry(name).or_default();
            if is_new {
                (entry.added, entry.had_list) = (true, had_list);
            }
            entry.tools.extend(tools.iter().map(ToString::to_string));
            entry.account = account.map(ToString::to_string).or(entry.account.take());
        }
        let added = |host| format!("{host} is added to the hosts of {}.\n", provider.name);
        let mut report: Vec<_> = new.iter().map(added).collect();
        if let Some(account) = account {
            let used = |host| format!("The account {account} is used for {host}.\n");
            report.extend(hosts.iter().map(used));
        }
        edits.extend(written(record));
        Ok(Self { added: new, removed: Vec::new(), report, edits })
    }

    /// Takes back the hosts that `setup` added for these tools only; all of them, or these.
    pub(super) fn undo(
        engine: &Engine<'_>,
        machine: &Machine,
        hosts: &[HostPattern],
        tools: &[&str],
    ) -> Result<Self> {
        let mut record: Record<Entries> = Record::load(machine, RECORD)?;
        let is_undone =
            |host: &str| hosts.is_empty() || hosts.iter().any(|undone| undone.to_string() == host);
        let mut unused = Vec::new();
        for (provider, entries) in &mut record.value {
            entries.retain(|host, entry| {
                let count = entry.tools.len();
                entry.tools.retain(|tool| !is_undone(host) || !tools.contains(&&**tool));
                let is_used = !entry.tools.is_empty() || count == 0;
                if !is_used {
                    unused.push((provider.clone(), host.clone(), std::mem::take(entry)));
                }
                is_used
            });
        }
        record.value.retain(|_, entries| !entries.is_empty());
        let mut change = Self::default();
        for (provider, host, _) in unused.iter().filter(|(.., entry)| entry.added) {
            change.report.push(format!("{host} is removed from the hosts of {provider}.\n"));
            change.removed.push(host.clone());
        }
        let remove_all = |document: &mut DocumentMut| {
            for (provider, host, entry) in &unused {
                remove(document, provider, host, entry);
            }
            Some(())
        };
        if !unused.is_empty() {
            change.edits.extend(configuration(engine, None, remove_all)?);
        }
        change.edits.extend(written(record));
        Ok(change)
    }
}

/// The hosts that `setup` was told for the tool, without patterns.
pub(in crate::cli) fn of_tool(machine: &Machine, tool: &SetupTool) -> Result<Vec<Target>> {
    let record: Record<Entries> = Record::load(machine, RECORD)?;
    let entries = record.value.values().flatten();
    let own = entries.filter(|(_, entry)| entry.tools.contains(tool.name));
    Ok(own.filter_map(|(host, _)| HostPattern::parse(host).ok()?.target()).collect())
}

/// An error if the user has selected another account for the host.
fn check_account(
    engine: &Engine<'_>,
    host: &HostPattern,
    account: Option<&Account>,
    recorded: Option<&str>,
) -> Result<()> {
    let (Some(target), Some(account)) = (host.target(), account) else { return Ok(()) };
    match engine.context.configuration()?.account_pattern(&target) {
        Some(Pattern { account: other, text, .. })
            if other != account && Some(&**other) != recorded && !text.contains('*') =>
        {
            let message = format!("config.toml selects the account {other} for {text}");
            Err(Error::invalid(message)
                .with_hint("change the line in `[accounts]`; it was not changed"))
        }
        _ => Ok(()),
    }
}

/// Removes a host and its account, and the tables that become empty.
fn remove(document: &mut DocumentMut, provider: &str, host: &str, entry: &Entry) {
    if entry.added {
        let is_other = |value: &Value| value.as_str() != Some(host);
        edit::change_table(document.as_table_mut(), "providers", |providers| {
            edit::change_table(providers, provider, |table| {
                if let Some(hosts) = table.get_mut("hosts").and_then(Item::as_array_mut) {
                    hosts.retain(is_other);
                    if hosts.is_empty() && !entry.had_list {
                        table.remove("hosts");
                    }
                }
            });
        });
    }
    if let Some(account) = &entry.account {
        edit::change_table(document.as_table_mut(), "accounts", |accounts| {
            if accounts.get(host).and_then(Item::as_str) == Some(account) {
                accounts.remove(host);
            }
        });
    }
}

/// The edit of `config.toml`; `None` if nothing changes. A file that becomes empty is removed.
fn configuration(
    engine: &Engine<'_>,
    provider: Option<&str>,
    change: impl FnOnce(&mut DocumentMut) -> Option<()>,
) -> Result<Option<Edit>> {
    let settings::Edit { path, before, after } =
        settings::plan(&engine.context.paths, provider, change)?;
    let edit = Edit::new(path, before, Some(after).filter(|after| !after.is_empty()));
    Ok(edit.is_change().then_some(edit))
}

fn written(record: Record<Entries>) -> Option<Edit> {
    let is_empty = record.value.values().all(BTreeMap::is_empty);
    record.edit(is_empty)
}
