//! What the policy of a machine has to allow, and nothing more.

use crate::model::{FleetRole, SharedPart, Vault};

/// A rule of a policy. `Display` is its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub path: String,
    pub capabilities: &'static [&'static str],
}

impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { path, capabilities } = self;
        write!(f, "path \"{path}\" {{ capabilities = {capabilities:?} }}")
    }
}

/// Every rule of a role, for the records of all providers and accounts.
pub fn rules(settings: &Vault, role: FleetRole) -> Vec<Rule> {
    let kinds = ["data", "metadata"];
    let rule = |part| kinds.map(|kind| rule(settings, role, kind, part, "*"));
    parts(role).iter().flat_map(|part| rule(*part)).collect()
}

/// The records that a role uses.
pub(super) fn parts(role: FleetRole) -> &'static [SharedPart] {
    match role {
        FleetRole::Simple => &[SharedPart::Refresh],
        FleetRole::Reader => &[SharedPart::Access],
        FleetRole::Refresher => &[SharedPart::Refresh, SharedPart::Access],
    }
}

pub(super) fn folder(part: SharedPart) -> &'static str {
    match part {
        SharedPart::Refresh => "refresh",
        SharedPart::Access => "access",
    }
}

/// `below` is the provider and the account, or `*` for every one.
pub(super) fn rule(
    settings: &Vault,
    role: FleetRole,
    kind: &str,
    part: SharedPart,
    below: &str,
) -> Rule {
    let (mount, path, folder) = (&settings.mount, &settings.path, folder(part));
    let capabilities: &[_] =
        if role == FleetRole::Reader { &["read"] } else { &["create", "read", "update"] };
    Rule { path: format!("{mount}/{kind}/{path}/{folder}/{below}"), capabilities }
}
