//! The hosts that `setup` adds to a provider, and a record of them: undo removes a host from the configuration if `setup`
//! added it and no other tool needs it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use toml_edit::{Array, DocumentMut, Item, Value};

use super::edit::{self, Edit};
use super::machine::Machine;
use crate::auth::Engine;
use crate::config::accounts::Pattern;
use crate::config::edit as settings;
use crate::error::{Error, Result};
use crate::model::{Account, HostPattern, Provider};
use crate::sys::atomic_file::Policy;

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
#[derive(Default, Deserialize, Serialize, PartialEq)]
struct Record(BTreeMap<String, BTreeMap<String, Entry>>);

#[derive(Default, Deserialize, Serialize, PartialEq)]
struct Entry {
    /// The tools that were set up for the host.
    tools: BTreeSet<String>,
    /// Whether the host is in `hosts` because of `setup`.
    added: bool,
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
        let (path, before, mut record) = load(machine)?;
        let entries = record.0.entry(provider.name.to_string()).or_default();
        for host in hosts.iter().filter(|_| account.is_some()) {
            let recorded =
                entries.get(&host.to_string()).and_then(|entry| entry.account.as_deref());
            check_account(engine, host, account, recorded)?;
        }
        for host in hosts.iter().map(ToString::to_string) {
            let is_new = new.contains(&host);
            if is_new || account.is_some() || entries.contains_key(&host) {
                let entry = entries.entry(host).or_default();
                entry.added |= is_new;
                entry.tools.extend(tools.iter().map(ToString::to_string));
                entry.account = account.map(ToString::to_string).or(entry.account.take());
            }
        }
        let mut report: Vec<_> = new
            .iter()
            .map(|host| format!("{host} is added to the hosts of {}.\n", provider.name))
            .collect();
        if let Some(account) = account {
            report.extend(
                hosts.iter().map(|host| format!("The account {account} is used for {host}.\n")),
            );
        }
        let change = |document: &mut DocumentMut| {
            if !new.is_empty() {
                let table = settings::provider_table(document, &provider.name)?;
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
        edits.extend(record.edit(path, before));
        Ok(Self { added: new, removed: Vec::new(), report, edits })
    }

    /// Takes back the hosts that `setup` added for these tools only; all of them, or these.
    pub(super) fn undo(
        engine: &Engine<'_>,
        machine: &Machine,
        hosts: &[HostPattern],
        tools: &[&str],
    ) -> Result<Self> {
        let (path, before, mut record) = load(machine)?;
        let is_undone =
            |host: &str| hosts.is_empty() || hosts.iter().any(|undone| undone.to_string() == host);
        let mut unused = Vec::new();
        for (provider, entries) in &mut record.0 {
            entries.retain(|host, entry| {
                let count = entry.tools.len();
                entry.tools.retain(|tool| !is_undone(host) || !tools.contains(&&**tool));
                let is_unused = entry.tools.is_empty() && count > 0;
                if is_unused {
                    unused.push((provider.clone(), host.clone(), std::mem::take(entry)));
                }
                !is_unused
            });
        }
        record.0.retain(|_, entries| !entries.is_empty());
        let mut change = Self::default();
        for (provider, host, _) in unused.iter().filter(|(.., entry)| entry.added) {
            change.report.push(format!("{host} is removed from the hosts of {provider}.\n"));
            change.removed.push(host.clone());
        }
        if !unused.is_empty() {
            change.edits.extend(configuration(engine, None, |document| {
                for (provider, host, entry) in &unused {
                    remove(document, provider, host, entry);
                }
                Some(())
            })?);
        }
        change.edits.extend(record.edit(path, before));
        Ok(change)
    }
}

/// An error if the user has selected another account for the host.
fn check_account(
    engine: &Engine<'_>,
    host: &HostPattern,
    account: Option<&Account>,
    recorded: Option<&str>,
) -> Result<()> {
    let Some(target) = host.target() else { return Ok(()) };
    let known = engine.context.configuration()?.account_pattern(&target);
    let is_other = |pattern: &&Pattern| {
        Some(&pattern.account) != account
            && Some(&*pattern.account) != recorded
            && !pattern.text.contains('*')
    };
    known.filter(is_other).map_or(Ok(()), |pattern| {
        let message =
            format!("config.toml selects the account {} for {}", pattern.account, pattern.text);
        Err(Error::invalid(message)
            .with_hint("change the line in `[accounts]`; it was not changed"))
    })
}

/// Removes a host and its account, and the tables that become empty.
fn remove(document: &mut DocumentMut, provider: &str, host: &str, entry: &Entry) {
    let providers = document.get_mut("providers").and_then(Item::as_table_like_mut);
    if let Some(providers) = providers.filter(|_| entry.added) {
        if let Some(table) = providers.get_mut(provider).and_then(Item::as_table_like_mut) {
            if let Some(hosts) = table.get_mut("hosts").and_then(Item::as_array_mut) {
                let is_host = |value: &Value| value.as_str() == Some(host);
                hosts.retain(|value| !is_host(value));
                if hosts.is_empty() {
                    table.remove("hosts");
                }
            }
            if table.is_empty() {
                providers.remove(provider);
            }
        }
        if providers.is_empty() {
            document.remove("providers");
        }
    }
    let accounts = document.get_mut("accounts").and_then(Item::as_table_like_mut);
    if let (Some(accounts), Some(account)) = (accounts, &entry.account) {
        if accounts.get(host).and_then(Item::as_str) == Some(account) {
            accounts.remove(host);
        }
        if accounts.is_empty() {
            document.remove("accounts");
        }
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
    let after = Some(after).filter(|after| !after.is_empty());
    let edit = Edit { path, before, after, policy: Policy::Preserve };
    Ok(Some(edit).filter(|edit| edit.before != edit.after))
}

fn load(machine: &Machine) -> Result<(PathBuf, Option<String>, Record)> {
    let path = machine.own_folder().with_file_name("setup.json");
    let before = edit::read(&path)?;
    let record = match &before {
        None => Record::default(),
        Some(text) => serde_json::from_str(text).map_err(|_| {
            Error::invalid(format!("cannot read {}", path.display())).with_hint("remove the file")
        })?,
    };
    Ok((path, before, record))
}

impl Record {
    fn edit(&self, path: PathBuf, before: Option<String>) -> Option<Edit> {
        let text = serde_json::to_string_pretty(self).unwrap_or_default() + "\n";
        let after = self.0.values().any(|entries| !entries.is_empty()).then_some(text);
        (before != after).then_some(Edit { path, before, after, policy: Policy::Preserve })
    }
}
