//! `setup vault`: prints the policies and the commands for the server of `[stores.vault]`. Changes nothing.

use std::fmt::Write as _;

use serde_json::json;

use crate::auth::Engine;
use crate::cli::output::Output;
use crate::error::Result;
use crate::http::vault::{Rule, rules};
use crate::model::{FleetRole, Proof, SecretsEngine, ToolOutput, Vault, VaultLogin};

pub(super) const NAME: &str = "vault";

/// For every machine; the policy `default` of the server has them, too.
const COMMON: [(&str, &[&str]); 3] = [
    ("auth/token/lookup-self", &["read"]),
    ("auth/token/renew-self", &["update"]),
    ("sys/capabilities-self", &["update"]),
];

pub(super) fn run(engine: &Engine<'_>, output: &Output) -> Result<ToolOutput> {
    let settings = engine.context.configuration()?.vault()?;
    let policies = [
        ("reader", FleetRole::Reader, "machines that only read the access token"),
        ("refresher", FleetRole::Refresher, "machines that refresh, and for the login"),
    ];
    let policies = policies.map(|(name, role, who)| (name, who, policy(&settings, role)));
    let mut text = String::new();
    for (name, who, policy) in &policies {
        let _ = writeln!(text, "# {name}.hcl, for {who}\n{policy}");
    }
    let commands = commands(&settings);
    let _ = write!(
        text,
        "# Commands; the login needs another policy than this\n{}",
        commands.join("\n")
    );
    let policies: serde_json::Map<_, _> =
        policies.into_iter().map(|(name, _, policy)| (name.to_owned(), policy.into())).collect();
    Ok(output.value(&text, &json!({ "policies": policies, "commands": commands })))
}

fn policy(settings: &Vault, role: FleetRole) -> String {
    let common = COMMON.map(|(path, capabilities)| Rule { path: path.to_owned(), capabilities });
    rules(settings, role).iter().chain(&common).fold(String::new(), |mut text, rule| {
        let _ = writeln!(text, "{rule}");
        text
    })
}

/// What binds a role to its machines, for the administrator to fill in.
const KUBERNETES: &str = " bound_service_account_names=NAME bound_service_account_namespaces=NAMESPACE audience=AUDIENCE";
const JWT: &str = " role_type=jwt user_claim=sub bound_audiences=AUDIENCE bound_subject=SUBJECT";

fn commands(settings: &Vault) -> Vec<String> {
    let Vault { mount, path, login, .. } = settings;
    let name = |role: &str| format!("{}-{role}", path.replace('/', "-"));
    let engine = match settings.engine {
        SecretsEngine::Kv => "-version=2 kv",
        SecretsEngine::OAuthApp => "oauthapp",
    };
    let mut commands = vec![format!("bao secrets enable -path={mount} {engine}")];
    for role in ["reader", "refresher"] {
        commands.push(format!("bao policy write {} {role}.hcl", name(role)));
    }
    let VaultLogin::Method { mount, proof } = login else {
        let (token, policy) = ("bao token create -type=batch -ttl=12h", name("refresher"));
        commands.push(format!("{token} -policy={policy}"));
        return commands;
    };
    let refresher = name("refresher");
    let (method, role, proof) = match proof {
        Proof::AppRole { .. } => ("approle", &*refresher, ""),
        Proof::Jwt { role, is_kubernetes: true, .. } => ("kubernetes", &**role, KUBERNETES),
        Proof::Jwt { role, .. } => ("jwt", &**role, JWT),
        Proof::Certificate { role, .. } => {
            ("cert", role.as_deref().unwrap_or("runner"), " certificate=@runner.crt")
        }
    };
    let folder = if method == "cert" { "certs" } else { "role" };
    let token = format!("token_policies={} token_type=batch token_ttl=20m", name("refresher"));
    commands.push(format!("bao auth enable -path={mount} {method}"));
    commands.push(format!("bao write auth/{mount}/{folder}/{role} {token}{proof}"));
    if method == "approle" {
        commands.push(format!("bao read auth/{mount}/role/{role}/role-id"));
        commands.push(format!("bao write -wrap-ttl=10m -f auth/{mount}/role/{role}/secret-id"));
    }
    commands
}
