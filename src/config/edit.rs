//! Changes `config.toml`: comments and order stay, and a file that this program could not read is not written.

use std::path::PathBuf;

use toml_edit::{DocumentMut, Item, Table, Value};

use super::{Configuration, Paths};
use crate::error::{Error, Result, sanitize};
use crate::model::Provider;
use crate::sys::atomic_file::{self, Policy};

/// A change of `config.toml` that is still to be written.
pub struct Edit {
    pub path: PathBuf,
    pub before: Option<String>,
    pub after: String,
}

/// Sets one key, or removes it without a value; with a provider, in `[providers.NAME]`.
pub fn set(paths: &Paths, provider: Option<&str>, key: &str, value: Option<Value>) -> Result<()> {
    let Edit { path, after, .. } = plan(paths, provider, key, value)?;
    Ok(atomic_file::prepare(&path, after.len(), Policy::Preserve)?.commit(&after)?)
}

/// As [`set`], without writing.
pub fn plan(
    paths: &Paths,
    provider: Option<&str>,
    key: &str,
    value: Option<Value>,
) -> Result<Edit> {
    let path =
        paths.configuration().ok_or_else(|| Error::invalid_state("no configuration directory"))?;
    let unreadable =
        |reason: &dyn std::fmt::Display| Error::invalid(format!("{} {reason}", path.display()));
    let before = atomic_file::read_public(path).map_err(|error| unreadable(&error))?;
    let text = before.as_deref().unwrap_or_default();
    let mut document: DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| {
        unreadable(&format!("cannot be read: {}", sanitize(error.message())))
    })?;
    let table = match provider {
        None => document.as_table_mut(),
        Some(name) => provider_table(&mut document, name)
            .ok_or_else(|| unreadable(&"has a `providers` entry that is not a table"))?,
    };
    match value {
        Some(value) => drop(table.insert(key, Item::Value(value))),
        None => drop(table.remove(key)),
    }
    let after = document.to_string();
    check(&after, provider)?;
    Ok(Edit { path: path.to_owned(), before, after })
}

fn provider_table<'a>(document: &'a mut DocumentMut, name: &str) -> Option<&'a mut Table> {
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
}
