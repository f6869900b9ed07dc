//! What the policy of a machine has to allow, and nothing more.

use super::oauthapp;
use crate::model::{FleetRole, Provider, SecretsEngine, SharedPart, Vault};

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
    let kinds = match settings.engine {
        SecretsEngine::Kv => &["data", "metadata"][..],
        SecretsEngine::OAuthApp => &["creds"],
    };
    let rule = |part| kinds.iter().map(move |kind| rule(settings, role, kind, part, None));
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

/// For the account of a provider, or for every one.
pub(super) fn rule(
    settings: &Vault,
    role: FleetRole,
    kind: &str,
    part: SharedPart,
    provider: Option<&Provider>,
) -> Rule {
    let (mount, path, folder) = (&settings.mount, &settings.path, folder(part));
    let path = match (settings.engine, provider) {
        (SecretsEngine::Kv, None) => format!("{mount}/{kind}/{path}/{folder}/*"),
        (SecretsEngine::Kv, Some(Provider { name, account, .. })) => {
            format!("{mount}/{kind}/{path}/{folder}/{name}/{account}")
        }
        (SecretsEngine::OAuthApp, None) => format!("{mount}/creds/*"),
        (SecretsEngine::OAuthApp, Some(Provider { name, account, .. })) => {
            format!("{mount}/creds/{}", oauthapp::name(name, account))
        }
    };
    let capabilities: &[_] =
        if role == FleetRole::Reader { &["read"] } else { &["create", "read", "update"] };
    Rule { path, capabilities }
}

#[cfg(test)]
mod tests {
    use super::rules;
    use crate::model::{FleetRole, SecretsEngine, Vault, VaultLogin};

    #[test]
    fn a_role_may_do_what_it_needs_and_no_more() {
        let lines = |engine, role| {
            let vault = Vault {
                addresses: Vec::new(),
                engine,
                mount: "kv".into(),
                path: "p".into(),
                namespace: None,
                ca_file: None,
                login: VaultLogin::Token(None),
            };
            rules(&vault, role).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let may = |path: &str, capabilities: &str| {
            format!("path \"kv/{path}/*\" {{ capabilities = [{capabilities}] }}")
        };
        let (write, read) = (r#""create", "read", "update""#, r#""read""#);
        let refresh = [may("data/p/refresh", write), may("metadata/p/refresh", write)];
        let access = [may("data/p/access", write), may("metadata/p/access", write)];
        assert_eq!(lines(SecretsEngine::Kv, FleetRole::Simple), refresh);
        assert_eq!(lines(SecretsEngine::Kv, FleetRole::Refresher), [refresh, access].concat());
        let access = [may("data/p/access", read), may("metadata/p/access", read)];
        assert_eq!(lines(SecretsEngine::Kv, FleetRole::Reader), access);
        let creds = [may("creds", read)];
        assert_eq!(lines(SecretsEngine::OAuthApp, FleetRole::Reader), creds);
    }
}
