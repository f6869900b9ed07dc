//! Changes `config.toml`. Comments and order stay. A configuration that this program could not read is not written.

use std::path::PathBuf;
use std::time::Duration;

use toml_edit::{DocumentMut, Item, Table, Value};

use super::{Configuration, Paths, toml_reason};
use crate::error::{Error, Result, sanitize};
use crate::model::Provider;
use crate::sys::atomic_file::{self, Policy};
use crate::sys::clock::SystemClock;
use crate::sys::lock::{self, FileLocks, Lock};

/// Frozen: earlier versions take it for every change of the accounts.
const LOCK: &str = ".my/sessions/accounts.lock";

const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// A change of `config.toml` that is still to be written.
pub struct Edit {
    pub path: PathBuf,
    pub before: Option<String>,
    pub after: String,
}

/// Sets one key, or removes it without a value; with a provider, in `[providers.NAME]`.
pub fn set(paths: &Paths, provider: Option<&str>, key: &str, value: Option<Value>) -> Result<()> {
    Editor::lock(paths)?.set(provider, key, value)
}

/// Ensures that `config.toml` can be written.
pub fn check_writable(paths: &Paths) -> Result<()> {
    let path = paths.configuration().ok_or_else(no_directory)?;
    Ok(atomic_file::prepare(path, 1, Policy::Preserve).map(drop)?)
}

/// Changes a list of a provider in one step, and returns it; an empty list is removed.
pub fn change_list(
    paths: &Paths,
    provider: &str,
    key: &str,
    change: impl FnOnce(&mut Vec<String>) -> Result<()>,
) -> Result<Vec<String>> {
    let editor = Editor::lock(paths)?;
    let edit = plan(paths, None, |_| Some(()))?;
    let document: DocumentMut = edit.after.parse().unwrap_or_default();
    let list = document.get("providers").and_then(|it| it.get(provider)?.get(key)?.as_array());
    let strings = list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
    let mut values: Vec<_> = strings.collect();
    change(&mut values)?;
    let list = values.iter().collect::<toml_edit::Array>();
    editor.set(Some(provider), key, (!list.is_empty()).then(|| list.into()))?;
    Ok(values)
}

/// Holds the lock on `config.toml`, so that no change of another process is lost between a read and the write.
pub struct Editor<'a> {
    paths: &'a Paths,
    _lock: Box<dyn Lock>,
}

impl<'a> Editor<'a> {
    pub fn lock(paths: &'a Paths) -> Result<Self> {
        paths.configuration().ok_or_else(no_directory)?;
        let path = paths.in_home(LOCK)?;
        let lock = lock::wait(&FileLocks, &SystemClock, &path, LOCK_TIMEOUT)?;
        let message = "timed out after 5 s waiting for another process to change config.toml";
        Ok(Self { paths, _lock: lock.ok_or_else(|| Error::temporary(message))? })
    }

    /// Plans the import of a job's file, which replaces the tables of the same names, and returns the result as this program
    /// reads it. The accounts stay: of an account that is not listed, no later change would notice the session.
    pub fn import(&self, import: &Import) -> Result<(Edit, Configuration)> {
        let edit = plan(self.paths, None, |document| {
            for (key, item) in import.document.iter() {
                match item.as_table_like() {
                    None => drop(document.insert(key, item.clone())),
                    Some(providers) => {
                        for (name, provider) in providers.iter() {
                            let table = provider_table(document, name)?;
                            let own = ["account", "accounts", "vault_accounts"]
                                .map(|key| table.remove_entry(key));
                            *table = provider.clone().into_table().ok()?;
                            for (key, item) in own.into_iter().flatten() {
                                table.insert_formatted(&key, item);
                            }
                        }
                    }
                }
            }
            Some(())
        })?;
        let mut configuration: Configuration = toml::from_str(&edit.after)
            .map_err(|error| Error::invalid(sanitize(error.message())))?;
        configuration.resolve_paths(self.paths)?;
        for name in import.providers() {
            configuration.provider(name)?;
        }
        Ok((edit, configuration))
    }

    /// Writes a planned change.
    pub fn write(&self, Edit { path, after, .. }: &Edit) -> Result<()> {
        Ok(atomic_file::prepare(path, after.len(), Policy::Preserve)?.commit(after)?)
    }

    /// As [`set`], under the lock of this editor.
    pub fn set(&self, provider: Option<&str>, key: &str, value: Option<Value>) -> Result<()> {
        self.set_all(provider, vec![(key, value)])
    }

    /// As [`Editor::set`], for several keys in one write.
    pub fn set_all(&self, provider: Option<&str>, changes: Changes<'_>) -> Result<()> {
        let edit = plan(self.paths, provider, |document| {
            let table = match provider {
                None => document.as_table_mut(),
                Some(name) => provider_table(document, name)?,
            };
            for (key, value) in changes {
                match value {
                    Some(value) => drop(table.insert(key, Item::Value(value))),
                    None => drop(table.remove(key)),
                }
            }
            Some(())
        })?;
        self.write(&edit)
    }
}

/// The settings of a job's file: only `provider` and `[providers.NAME]`.
pub struct Import {
    document: DocumentMut,
}

impl Import {
    pub fn parse(text: &str) -> Result<Self> {
        let document: DocumentMut = text
            .parse()
            .map_err(|error: toml_edit::TomlError| Error::invalid(sanitize(error.message())))?;
        if let Some((key, _)) =
            document.iter().find(|(key, _)| !["provider", "providers"].contains(key))
        {
            let message =
                format!("has `{}`: only `provider` and `providers` are imported", sanitize(key));
            let error = Error::invalid(message);
            return Err(match key {
                "stores" => error.with_hint("write `[stores.vault]` into config.toml itself"),
                _ => error,
            });
        }
        Ok(Self { document })
    }

    pub fn providers(&self) -> Vec<&str> {
        let table = self.document.get("providers").and_then(Item::as_table_like);
        table.into_iter().flat_map(|table| table.iter().map(|(name, _)| name)).collect()
    }
}

pub fn no_directory() -> Error {
    Error::invalid_state("no configuration directory")
}

type Changes<'a> = Vec<(&'a str, Option<Value>)>;

/// Plans a change, without writing. `change` returns `None` if `providers` is not a table.
pub fn plan(
    paths: &Paths,
    provider: Option<&str>,
    change: impl FnOnce(&mut DocumentMut) -> Option<()>,
) -> Result<Edit> {
    let path = paths.configuration().ok_or_else(no_directory)?;
    let unreadable =
        |reason: &dyn std::fmt::Display| Error::invalid(format!("{} {reason}", path.display()));
    let before = atomic_file::read_public(path).map_err(|error| unreadable(&error))?;
    let text = before.as_deref().unwrap_or_default();
    let mut document: DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| {
        let reason = toml_reason(text, error.span(), error.message());
        unreadable(&format!("cannot be read: {reason}"))
    })?;
    change(&mut document)
        .ok_or_else(|| unreadable(&"has a `providers` entry that is not a table"))?;
    let after = document.to_string();
    check(&after, provider)?;
    Ok(Edit { path: path.to_owned(), before, after })
}

/// The table of a provider, which is created if it is missing.
pub fn provider_table<'a>(document: &'a mut DocumentMut, name: &str) -> Option<&'a mut Table> {
    let providers = document.entry("providers").or_insert_with(|| {
        let mut providers = Table::new();
        // Without an empty `[providers]` above `[providers.mycli]`.
        providers.set_implicit(true);
        Item::Table(providers)
    });
    providers
        .as_table_mut()?
        .entry(name)
        .or_insert_with(|| Item::Table(Table::new()))
        .as_table_mut()
}

/// An error if this program could not use the configuration.
fn check(text: &str, provider: Option<&str>) -> Result<()> {
    let configuration: Configuration = toml::from_str(text).map_err(|error| {
        Error::invalid(format!("cannot set this value: {}", sanitize(error.message())))
    })?;
    let default = configuration.provider.clone();
    for name in provider.iter().copied().chain(default.as_deref()) {
        let provider = configuration.provider(name)?;
        Provider::api_origin(&provider.api_url)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Paths, set};

    #[test]
    fn comments_and_order_stay_and_invalid_values_are_not_written() {
        let home = tempfile::tempdir().unwrap();
        let paths = Paths::at(home.path());
        let path = paths.configuration().unwrap();
        crate::sys::atomic_file::write(path, "# mine\nstore = \"file\" # why\n").unwrap();
        let hosts: toml_edit::Array = ["git.acme.dev"].into_iter().collect();
        set(&paths, Some("mycli"), "hosts", Some(hosts.into())).unwrap();
        assert!(set(&paths, None, "store", Some("nowhere".into())).is_err());
        assert!(
            set(
                &paths,
                Some("mycli"),
                "hosts",
                Some(["*"].into_iter().collect::<toml_edit::Array>().into())
            )
            .is_err()
        );
        assert!(set(&paths, Some("mycli"), "api_url", Some("http://acme.dev".into())).is_err());
        let read = |path| crate::sys::atomic_file::read_public(path).unwrap().unwrap();
        assert_eq!(
            read(path),
            "# mine\nstore = \"file\" # why\n\n[providers.mycli]\nhosts = [\"git.acme.dev\"]\n"
        );
        set(&paths, None, "store", None).unwrap();
        assert!(!read(path).contains("store"));
    }

    #[test]
    fn no_concurrent_change_of_a_setting_is_lost() {
        let home = tempfile::tempdir().unwrap();
        let paths = Paths::at(home.path());
        let path = paths.configuration().unwrap();
        crate::sys::atomic_file::write(path, "").unwrap();
        let barrier = std::sync::Barrier::new(8);
        let keys = ["hosts", "accounts", "api_url", "project"];
        // Each thread opens the lock itself, and flock(2) excludes open files as it excludes processes.
        std::thread::scope(|scope| {
            for (provider, key) in ["mycli", "microtica"].iter().flat_map(|p| keys.map(|k| (*p, k)))
            {
                let (barrier, paths) = (&barrier, &paths);
                let list = || ["a.dev"].into_iter().collect::<toml_edit::Array>().into();
                scope.spawn(move || {
                    let value = match key {
                        "hosts" => list(),
                        "accounts" => ["work"].into_iter().collect::<toml_edit::Array>().into(),
                        _ => "https://a.dev".into(),
                    };
                    barrier.wait();
                    set(paths, Some(provider), key, Some(value)).unwrap();
                });
            }
        });
        let text = crate::sys::atomic_file::read_public(path).unwrap().unwrap();
        for key in keys {
            assert_eq!(text.matches(key).count(), 2, "{key} in {text}");
        }
    }
}
