//! What people are shown of the store: the record, and whether the server is set up as it has to be.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::Instant;

use serde::Deserialize;
use serde_json::json;

use super::policy::{self, Rule};
use super::server::{Call, Refusal};
use super::{Network, VaultStore};
use crate::error::Result;
use crate::http::SharedStore as _;
use crate::model::{FleetRole, Provider, Secret, SecretsEngine, SharedPart};
use crate::sys::clock::Clock;

/// A mistake, and its repair.
pub struct Mistake {
    pub message: String,
    pub fix: String,
}

pub struct Inspection {
    pub addresses: Vec<String>,
    /// How this machine logs in.
    pub auth: String,
    pub location: String,
    /// Of the policy and the settings of the record; `None` if the server does not answer.
    pub mistakes: Option<Vec<Mistake>>,
}

#[derive(Deserialize)]
struct Settings {
    max_versions: u64,
    cas_required: bool,
}

/// Reads the capabilities of this machine and the settings of the record. `version` is that of the record: 0 for no record,
/// `None` if the server does not answer.
pub fn inspect(
    network: Network<'_>,
    clock: &dyn Clock,
    provider: &Provider,
    deadline: Instant,
    version: Option<u64>,
) -> Result<Inspection> {
    let current = Cell::default();
    Ok(VaultStore::new(network, clock, provider, deadline, &current)?.inspection(version))
}

impl VaultStore<'_> {
    /// The part of the record that this machine reads first.
    fn part(&self) -> SharedPart {
        *policy::parts(self.role).first().unwrap_or(&SharedPart::Refresh)
    }

    fn inspection(&self, version: Option<u64>) -> Inspection {
        Inspection {
            addresses: self.server.addresses.iter().map(ToString::to_string).collect(),
            auth: self.settings.login.name().to_owned(),
            location: self.location(self.part()),
            mistakes: version.and_then(|version| self.mistakes(version)),
        }
    }

    /// `None` if the server does not answer.
    fn mistakes(&self, version: u64) -> Option<Vec<Mistake>> {
        let mut mistakes = Vec::new();
        let rule = |part, provider| policy::rule(&self.settings, self.role, "data", part, provider);
        let needed: Vec<_> = policy::parts(self.role)
            .iter()
            .map(|part| (rule(*part, Some(self.provider)), rule(*part, None)))
            .collect();
        // A reader that may read this has the refresh token.
        let secret = rule(SharedPart::Refresh, Some(self.provider));
        let is_kv = self.settings.engine == SecretsEngine::Kv;
        let is_reader = self.role == FleetRole::Reader && is_kv;
        let asked: Vec<_> =
            needed.iter().map(|(rule, _)| rule).chain(is_reader.then_some(&secret)).collect();
        let allowed = self.capabilities(&asked).ok()?;
        let has = |rule: &Rule, capability: &str| {
            let found = allowed.get(&rule.path).map_or(&[][..], Vec::as_slice);
            found.iter().any(|it| it == capability || it == "root")
        };
        for (rule, line) in &needed {
            if !rule.capabilities.iter().all(|capability| has(rule, capability)) {
                mistakes.push(Mistake {
                    message: format!(
                        "the policy does not allow what this machine does at {}",
                        rule.path
                    ),
                    fix: format!("add `{line}` to the policy"),
                });
            }
        }
        if is_reader && has(&secret, "read") {
            mistakes.push(Mistake {
                message: "the policy allows this reader to read the refresh token".to_owned(),
                fix: format!("allow it only what `setup vault` prints, not {}", secret.path),
            });
        }
        if is_kv && version > 0 {
            for part in policy::parts(self.role) {
                mistakes.extend(self.wrong_settings(*part));
            }
        }
        Some(mistakes)
    }

    fn capabilities(
        &self,
        rules: &[&Rule],
    ) -> std::result::Result<BTreeMap<String, Vec<String>>, Refusal> {
        let paths: Vec<_> = rules.iter().map(|rule| &rule.path).collect();
        let body = Secret::new(json!({ "paths": paths }).to_string());
        let call = Call::post("/v1/sys/capabilities-self", &body);
        let (response, _) = self.call::<BTreeMap<String, Vec<String>>>(&call)?;
        Ok(response.data.unwrap_or_default())
    }

    /// `None` also if this machine may not read the settings.
    fn wrong_settings(&self, part: SharedPart) -> Option<Mistake> {
        let path = self.path("metadata", part);
        let call = Call::get(&path);
        let (response, _) = self.call::<Settings>(&call).ok()?;
        let Settings { max_versions, cas_required } = response.data?;
        if max_versions == 1 && cas_required {
            return None;
        }
        let (mount, record) = (&self.settings.mount, self.record(part));
        let message = format!(
            "{mount}/{record} has max_versions = {max_versions} and cas_required = {cas_required}: \
             old refresh tokens stay readable, or a write without check-and-set is accepted"
        );
        let options = "-max-versions=1 -cas-required=true";
        let fix = format!("run `bao kv metadata put -mount={mount} {options} {record}`");
        Some(Mistake { message, fix })
    }
}
