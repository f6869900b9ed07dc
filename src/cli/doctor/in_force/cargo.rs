//! cargo: the provider of a registry, else the global providers, the last of which is asked first. `cargo config get` exists
//! in nightly versions only, so the file and the variables are read here.

use toml_edit::Item;

use super::{InForce, first_word, is_named};
use crate::error::Result;
use crate::model::Target;

const NAME: &str = "cargo-credential-my";

pub(super) fn inspect(in_force: &mut InForce<'_>) -> Result<()> {
    let subject = in_force.subject;
    let (place, document) = (subject.file().display().to_string(), subject.read_toml()?);
    let global = "CARGO_REGISTRY_GLOBAL_CREDENTIAL_PROVIDERS";
    let registry = document.get("registry").and_then(Item::as_table_like);
    let mut providers: Vec<(String, &str)> = Vec::new();
    if let Some(item) = registry.and_then(|it| it.get("global-credential-providers")) {
        providers.extend(strings(item).into_iter().map(|name| (name, &*place)));
    }
    // A list of a variable is appended to that of the file.
    let variable = subject.variable(global).unwrap_or_default();
    providers.extend(variable.split_whitespace().map(|name| (name.to_owned(), global)));
    let position = providers.iter().rposition(|(provider, _)| is_ours(provider));
    let registries = document.get("registries").and_then(Item::as_table_like);
    for (name, registry) in registries.into_iter().flat_map(|table| table.iter()) {
        let variable =
            |key| format!("CARGO_REGISTRIES_{}_{key}", name.to_uppercase().replace('-', "_"));
        let index = registry.get("index").and_then(Item::as_str).map(str::to_owned);
        let index = subject.variable(&variable("INDEX")).or(index).unwrap_or_default();
        let target = Target::parse(index.strip_prefix("sparse+").unwrap_or(&index)).ok();
        let Some(target) = target.filter(|it| subject.owner(it).is_some()) else { continue };
        let variable = variable("CREDENTIAL_PROVIDER");
        let (own, place) = match (subject.variable(&variable), registry.get("credential-provider"))
        {
            (Some(value), _) => (Some(first_word(&value)), &*variable),
            (None, Some(item)) => (strings(item).into_iter().next(), &*place),
            (None, None) => (None, &*place),
        };
        match own {
            Some(own) if is_ours(&own) => in_force.commands.push(first_word(&own)),
            Some(own) if position.is_some() => {
                let what = format!(
                    "`{}`, the `credential-provider` of [registries.{name}] in {place},",
                    first_word(&own)
                );
                in_force.precedes(&what, &target.origin, format!("remove it from {place}"));
            }
            Some(_) => continue,
            None if position.is_none() => continue,
            None => {}
        }
        in_force.targets.push(target);
    }
    if let Some(position) = position {
        in_force.commands.push(first_word(&providers[position].0));
        for (other, place) in &providers[position + 1..] {
            let what = format!("`{}` in {place}", first_word(other));
            let fix = format!(
                "put it before {NAME} in `global-credential-providers`: the last provider is asked first"
            );
            in_force.precedes(&what, &"every registry", fix);
        }
        if in_force.targets.is_empty() && in_force.findings.is_empty() {
            in_force.targets = subject.any_host();
        }
    }
    let has_commands = !in_force.commands.is_empty();
    if has_commands && document.get("credential-alias").is_some_and(|it| it.get(NAME).is_some()) {
        let message = format!("[credential-alias] in {place} gives `{NAME}` to another program");
        in_force.problem(message, format!("remove it from {place}"));
    }
    Ok(())
}

fn is_ours(provider: &str) -> bool {
    is_named(&first_word(provider), NAME)
}

/// A string or a list of strings.
fn strings(item: &Item) -> Vec<String> {
    let list = item.as_array().into_iter().flatten().filter_map(|value| value.as_str());
    item.as_str().into_iter().chain(list).map(str::to_owned).collect()
}
