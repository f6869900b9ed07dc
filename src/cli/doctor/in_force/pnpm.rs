//! pnpm: the lines of the user's `.npmrc` for each registry, and pnpm's own files.

use std::path::Path;

use super::{InForce, target_of};
use crate::cli::setup::{edit, pnpm};
use crate::error::Result;

/// The settings with a secret.
const SECRETS: [&str; 5] = ["_authToken", "_auth", "username", "_password", "cert"];

pub(super) fn inspect(in_force: &mut InForce<'_>) -> Result<()> {
    let (subject, file) = (in_force.subject, in_force.subject.file());
    let settings = settings(&file)?;
    let ours = settings
        .iter()
        .filter(|(key, value)| key.ends_with(":tokenHelper") && pnpm::is_ours(value));
    for (key, command) in ours {
        let registry = key.trim_end_matches(":tokenHelper");
        let host = registry.trim_matches('/');
        in_force.commands.push(command.clone());
        if !Path::new(command).is_absolute() {
            let command = super::first_word(command);
            let message = format!("pnpm refuses `{command}`, which is not an absolute path");
            in_force.problem(message, "`my-credential-helper setup pnpm`");
        }
        let own = subject.machine.configuration().join("pnpm");
        for path in [file.clone(), own.join("rc"), own.join("auth.ini")] {
            let settings = self::settings(&path)?;
            let secret = settings.iter().find_map(|(key, _)| {
                let name = key.strip_prefix(registry)?.strip_prefix(':')?;
                SECRETS.contains(&name).then(|| name.to_owned())
            });
            if let Some(secret) = secret {
                let place = path.display();
                let fix = format!("remove the line `{registry}:{secret}` from {place}");
                in_force.precedes(&format!("`{secret}` in {place}"), &host, fix);
            }
        }
        if let Some(target) = target_of(host) {
            in_force.lines.push((target.clone(), vec![command.clone()]));
            in_force.targets.push(target);
        }
    }
    Ok(())
}

/// Keys and values; pnpm expands variables in them, of which ours has none.
fn settings(path: &Path) -> Result<Vec<(String, String)>> {
    let text = edit::read(path)?.unwrap_or_default();
    let setting = |line: &str| {
        let (key, value) = line.trim().split_once('=')?;
        let value = value.trim().trim_matches('"');
        (!key.starts_with(['#', ';'])).then(|| (key.trim().to_owned(), value.to_owned()))
    };
    Ok(text.lines().filter_map(setting).collect())
}
