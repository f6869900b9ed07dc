//! `[stores.vault]`: the server that has the sessions which several machines share.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::identity::{IdentitySettings, filled};
use super::{Configuration, Context, StoreChoice};
use crate::error::{Error, Result, sanitize};
use crate::model::{
    FleetRole, JwtSource, LoginKind, Origin, Proof, Provider, Secret, SecretLocation,
    SecretsEngine, SharedSettings, Vault, VaultLogin,
};

const METHODS: [&str; 5] = ["token", "approle", "kubernetes", "jwt", "cert"];

/// The prefixes of the variables of both projects; `bao` reads them in this order, too.
const PREFIXES: [&str; 2] = ["BAO", "VAULT"];

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Stores {
    pub(super) vault: Option<VaultSettings>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct VaultSettings {
    addresses: Vec<String>,
    engine: SecretsEngine,
    mount: Option<String>,
    path: Option<String>,
    namespace: Option<String>,
    ca_file: Option<PathBuf>,
    role: Option<FleetRole>,
    cache: Option<bool>,
    /// In seconds.
    cache_max_age: Option<u64>,
    pending: Option<bool>,
    auth: Option<String>,
    auth_mount: Option<String>,
    auth_role: Option<String>,
    token_file: Option<PathBuf>,
    role_id: Option<String>,
    secret_id_file: Option<PathBuf>,
    secret_id_variable: Option<String>,
    secret_id_wrapped: bool,
    jwt_file: Option<PathBuf>,
    jwt_variable: Option<String>,
    identity: Option<IdentitySettings>,
    cert_file: Option<PathBuf>,
    key_file: Option<PathBuf>,
}

impl Configuration {
    /// The store of new sessions of a provider, if one is configured.
    pub fn store_of(&self, provider: &str) -> Option<StoreChoice> {
        self.providers.get(provider).and_then(|settings| settings.store).or(self.store)
    }

    /// The settings of `[stores.vault]`, which has to exist.
    pub fn vault(&self) -> Result<Vault> {
        self.vault_settings()?.vault()
    }

    /// How this machine uses the sessions of that store; `None` if it is not a store that machines share.
    pub(super) fn shared(&self, store: Option<StoreChoice>) -> Result<Option<Box<SharedSettings>>> {
        if store != Some(StoreChoice::Vault) {
            return Ok(None);
        }
        let settings = self.vault_settings()?;
        settings.vault()?;
        Ok(Some(Box::new(settings.shared())))
    }

    fn vault_settings(&self) -> Result<&VaultSettings> {
        let missing = || {
            Error::invalid("`store` is vault, and config.toml has no table [stores.vault]")
                .with_hint("add the table with `addresses` and `auth`; see protocol/FLEET.md")
        };
        self.stores.vault.as_ref().ok_or_else(missing)
    }
}

impl Context {
    /// [`Configuration::vault`] with the server and the token of the environment. A token goes to the address that is set
    /// with it, which has to be a configured one if there is any: a repository may set variables, too.
    pub fn vault(&self) -> Result<(Vault, Option<Secret>)> {
        let mut settings = self.configuration()?.vault()?;
        let environment = &self.environment;
        let variable = |prefix: &str, name: &str| environment.text(&format!("{prefix}_{name}"));
        let is_token = matches!(settings.login, VaultLogin::Token(_));
        let found = PREFIXES.iter().find_map(|prefix| Some((prefix, variable(prefix, "TOKEN")?)));
        let mut given = None;
        if let Some((prefix, token)) = found.filter(|_| is_token) {
            let address = variable(prefix, "ADDR");
            if let Some(address) = address.as_deref().map(|it| it.trim().trim_end_matches('/')) {
                let origin = server_origin(address).map_err(|error| Error {
                    message: format!("{prefix}_ADDR: {}", error.message),
                    ..error
                })?;
                let is_it =
                    |other: &str| Provider::api_origin(other).is_ok_and(|it: Origin| it == origin);
                if settings.addresses.is_empty() {
                    settings.addresses = vec![address.to_owned().into()];
                } else if !settings.addresses.iter().any(|other| is_it(other)) {
                    let message = format!(
                        "{prefix}_ADDR names {origin}, which is not one of `addresses` in [stores.vault]"
                    );
                    let hint = format!("`unset {prefix}_ADDR {prefix}_TOKEN`, or add the address");
                    return Err(Error::invalid(message).with_hint(hint));
                }
                let namespace = variable(prefix, "NAMESPACE");
                settings.namespace = namespace.map(Into::into).or(settings.namespace);
            }
            given = Some(Secret::trimmed(&token));
        }
        if settings.addresses.is_empty() {
            let message = "[stores.vault] has no `addresses`";
            return Err(Error::invalid(message)
                .with_hint("set `addresses`, or both VAULT_ADDR and VAULT_TOKEN"));
        }
        Ok((settings, given))
    }
}

/// The origin of a server. Its address is shown, and a query could have a secret.
fn server_origin(address: &str) -> Result<Origin> {
    if address.contains(['?', '#']) {
        return Err(Error::invalid("the address of a server has no query and no fragment"));
    }
    Provider::api_origin(address)
}

impl VaultSettings {
    /// The files, with their keys.
    pub(super) fn files(&mut self) -> impl Iterator<Item = (&'static str, &mut PathBuf)> {
        let own = [
            ("ca_file", &mut self.ca_file),
            ("token_file", &mut self.token_file),
            ("secret_id_file", &mut self.secret_id_file),
            ("jwt_file", &mut self.jwt_file),
            ("cert_file", &mut self.cert_file),
            ("key_file", &mut self.key_file),
        ];
        let own = own.into_iter().filter_map(|(key, path)| Some((key, path.as_mut()?)));
        own.chain(self.identity.iter_mut().flat_map(IdentitySettings::files))
    }

    fn shared(&self) -> SharedSettings {
        let role = match self.engine {
            SecretsEngine::OAuthApp => FleetRole::Reader,
            SecretsEngine::Kv => self.role.unwrap_or(FleetRole::Simple),
        };
        SharedSettings {
            role,
            cache: self.cache.unwrap_or(true),
            cache_max_age: self.cache_max_age.map(Duration::from_secs),
            pending: self.pending.unwrap_or(true),
        }
    }

    fn vault(&self) -> Result<Vault> {
        let method = self.auth.as_deref().unwrap_or("token");
        self.check_keys(method)?;
        for address in &self.addresses {
            server_origin(address.trim()).map_err(|error| invalid(&error.message))?;
        }
        if self.addresses.is_empty() && method != "token" {
            return Err(invalid(&format!("has no `addresses`, which auth = `{method}` needs")));
        }
        let is_kv = self.engine == SecretsEngine::Kv;
        let text = |key: &str, value: &Option<String>, default: &str| {
            let value = value.as_deref().unwrap_or(default);
            check_path(key, value).map(|()| value.to_owned().into())
        };
        let namespace = match &self.namespace {
            Some(_) => Some(text("namespace", &self.namespace, "")?),
            None => None,
        };
        Ok(Vault {
            addresses: self
                .addresses
                .iter()
                .map(|address| address.trim().trim_end_matches('/').to_owned().into())
                .collect(),
            engine: self.engine,
            mount: text("mount", &self.mount, if is_kv { "secret" } else { "oauth2" })?,
            path: text("path", &self.path, "my-credential-helper")?,
            namespace,
            ca_file: self.ca_file.clone(),
            login: match method {
                "token" => VaultLogin::Token(self.token_file.clone()),
                _ => VaultLogin::Method {
                    mount: text("auth_mount", &self.auth_mount, method)?,
                    proof: self.proof(method)?,
                },
            },
        })
    }

    fn proof(&self, method: &str) -> Result<Proof> {
        let missing =
            |key: &str| invalid(&format!("has no `{key}`, which auth = `{method}` needs"));
        let required = |key: &str, value: &Option<String>| {
            filled(value.as_ref()).map(Into::into).ok_or_else(|| missing(key))
        };
        match method {
            "approle" => Ok(Proof::AppRole {
                role_id: required("role_id", &self.role_id)?,
                secret_id: match (&self.secret_id_file, &self.secret_id_variable) {
                    (Some(path), None) => SecretLocation::File(path.clone()),
                    (None, Some(name)) => SecretLocation::Variable(name.clone()),
                    (None, None) => return Err(missing("secret_id_file` or `secret_id_variable")),
                    _ => return Err(invalid("has `secret_id_file` and `secret_id_variable`")),
                },
                is_wrapped: self.secret_id_wrapped,
            }),
            "cert" => Ok(Proof::Certificate {
                role: self.auth_role.clone().map(Into::into),
                certificate: self.cert_file.clone().ok_or_else(|| missing("cert_file"))?,
                key: self.key_file.clone().ok_or_else(|| missing("key_file"))?,
            }),
            _ => Ok(Proof::Jwt {
                role: required("auth_role", &self.auth_role)?,
                is_kubernetes: method == "kubernetes",
                source: match (&self.jwt_file, &self.jwt_variable, &self.identity) {
                    (Some(path), None, None) => JwtSource::File(path.clone()),
                    (None, Some(name), None) => JwtSource::Variable(name.clone()),
                    (None, None, Some(identity)) => self.identity(identity)?,
                    (None, None, None) => {
                        return Err(missing("jwt_file`, `jwt_variable` or `identity"));
                    }
                    _ => {
                        return Err(invalid(
                            "has more than one of `jwt_file`, `jwt_variable` and `identity`",
                        ));
                    }
                },
            }),
        }
    }

    /// An identity that this server accepts.
    fn identity(&self, settings: &IdentitySettings) -> Result<JwtSource> {
        let url = self.addresses.first().cloned().unwrap_or_default();
        let server =
            Provider::new("vault", LoginKind::ApiKey { is_microtica: false }, url, String::new());
        let identity = settings.proof(&server).map_err(|error| {
            let table = "[providers.vault.identity]";
            let message = error.message.replace(table, "[stores.vault.identity]");
            Error { message, ..error }
        })?;
        Ok(JwtSource::Identity(Box::new(identity)))
    }

    /// Rejects a key without effect: it would be a mistake that nobody notices.
    fn check_keys(&self, method: &str) -> Result<()> {
        if !METHODS.contains(&method) {
            let names = METHODS.join(", ");
            return Err(invalid(&format!("has auth = `{}`: use {names}", sanitize(method))));
        }
        let jwt = &["kubernetes", "jwt"][..];
        for (key, is_set, only_for) in [
            ("auth_mount", self.auth_mount.is_some(), &METHODS[1..]),
            ("auth_role", self.auth_role.is_some(), &METHODS[2..]),
            ("token_file", self.token_file.is_some(), &["token"]),
            ("role_id", self.role_id.is_some(), &["approle"]),
            ("secret_id_file", self.secret_id_file.is_some(), &["approle"]),
            ("secret_id_variable", self.secret_id_variable.is_some(), &["approle"]),
            ("secret_id_wrapped", self.secret_id_wrapped, &["approle"]),
            ("jwt_file", self.jwt_file.is_some(), jwt),
            ("jwt_variable", self.jwt_variable.is_some(), jwt),
            ("identity", self.identity.is_some(), jwt),
            ("cert_file", self.cert_file.is_some(), &["cert"]),
            ("key_file", self.key_file.is_some(), &["cert"]),
        ] {
            if is_set && !only_for.contains(&method) {
                let only_for = only_for.join(" and ");
                return Err(invalid(&format!("has `{key}`, which is only for auth = {only_for}")));
            }
        }
        if self.engine == SecretsEngine::OAuthApp && self.role == Some(FleetRole::Refresher) {
            return Err(invalid(
                "has role = `refresher`, but engine = `oauthapp` refreshes itself",
            ));
        }
        Ok(())
    }
}

fn invalid(what: &str) -> Error {
    Error::invalid(format!("[stores.vault] {what}"))
}

/// Names between slashes, as in a policy: no other text names the same record.
fn check_path(key: &str, path: &str) -> Result<()> {
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '@');
    let is_name = |name: &str| !matches!(name, "" | "." | "..") && name.chars().all(is_plain);
    if path.split('/').all(is_name) {
        return Ok(());
    }
    let path = sanitize(path);
    Err(invalid(&format!("has {key} = `{path}`: use names of letters, digits, - _ . and @")))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::config::Configuration;
    use crate::model::{Account, FleetRole, JwtSource, Proof, SecretLocation, Vault, VaultLogin};

    const ADDRESS: &str = "addresses = ['https://bao.acme.dev:8200/']\n";

    fn configuration(settings: &str) -> Result<Configuration, String> {
        let text = format!("store = 'vault'\n[stores.vault]\n{settings}");
        toml::from_str(&text).map_err(|error| error.message().to_owned())
    }

    fn vault(settings: &str) -> Result<Vault, String> {
        let settings = format!("{ADDRESS}{settings}");
        configuration(&settings)?.vault().map_err(|error| error.message)
    }

    #[test]
    fn the_defaults_are_the_token_and_one_record() {
        let found = vault("").unwrap();
        assert_eq!(found.addresses, ["https://bao.acme.dev:8200"]);
        assert_eq!((&*found.mount, &*found.path), ("secret", "my-credential-helper"));
        assert_eq!((found.namespace, found.login), (None, VaultLogin::Token(None)));
        let shared = |settings: &str| {
            let found = configuration(settings).unwrap().provider("mycli").unwrap();
            *found.shared.expect("`store` is vault")
        };
        let found = shared("");
        assert_eq!((found.role, found.cache, found.pending), (FleetRole::Simple, true, true));
        assert_eq!(found.cache_max_age, None);
        let found = shared("role = 'reader'\ncache = false\ncache_max_age = 60\npending = false");
        assert_eq!((found.role, found.cache, found.pending), (FleetRole::Reader, false, false));
        assert_eq!(found.cache_max_age, Some(Duration::from_secs(60)));
    }

    #[test]
    fn a_store_is_for_every_provider_or_for_one() {
        let text = "store = 'vault'\n[stores.vault]\n[providers.mycli]\nstore = 'file'\n";
        let found: Configuration = toml::from_str(text).unwrap();
        assert_eq!(found.provider("mycli").unwrap().shared, None);
        assert!(found.provider("microtica").unwrap().shared.is_some());
        let text = "[stores.vault]\n[providers.mycli]\nstore = 'vault'\n";
        let found: Configuration = toml::from_str(text).unwrap();
        assert!(found.provider("mycli").unwrap().shared.is_some());
        assert_eq!(found.provider("microtica").unwrap().shared, None);
        let text = "[stores.vault]\n[providers.mycli]\nvault_accounts = ['ci']\n";
        let found: Configuration = toml::from_str(text).unwrap();
        let mycli = found.provider("mycli").unwrap();
        assert_eq!(mycli.shared, None);
        for (name, is_shared) in [("ci", true), ("ada", false)] {
            let account = Account::parse(name).unwrap();
            assert_eq!(mycli.clone().with_account(account).shared.is_some(), is_shared, "{name}");
        }
        let ci = mycli.with_account(Account::parse("ci").unwrap());
        assert_eq!(ci.with_account(Account::DEFAULT).shared, None);
        let found: Configuration = toml::from_str("store = 'vault'").unwrap();
        let error = found.provider("mycli").unwrap_err().message;
        assert_eq!(error, "`store` is vault, and config.toml has no table [stores.vault]");
    }

    #[test]
    fn each_login_has_its_settings() {
        let login = |settings: &str| match vault(settings).unwrap().login {
            VaultLogin::Method { mount, proof } => (mount.into_owned(), proof),
            VaultLogin::Token(_) => panic!("{settings}"),
        };
        let found = login(
            "auth = 'approle'\nrole_id = 'r'\nsecret_id_variable = 'S'\nsecret_id_wrapped = true",
        );
        let secret_id = SecretLocation::Variable("S".to_owned());
        let proof = Proof::AppRole { role_id: "r".into(), secret_id, is_wrapped: true };
        assert_eq!(found, ("approle".to_owned(), proof));
        let found =
            login("auth = 'kubernetes'\nauth_role = 'r'\njwt_file = '/t'\nauth_mount = 'k/a'");
        let proof = Proof::Jwt {
            role: "r".into(),
            source: JwtSource::File("/t".into()),
            is_kubernetes: true,
        };
        assert_eq!(found, ("k/a".to_owned(), proof));
        let identity = "auth = 'jwt'\nauth_role = 'r'\n[stores.vault.identity]\nsource = 'gitlab'\naudience = 'a'";
        let (_, proof) = login(identity);
        assert!(matches!(proof, Proof::Jwt { source: JwtSource::Identity(_), .. }), "{proof:?}");
        let (_, proof) = login("auth = 'cert'\ncert_file = '/c'\nkey_file = '/k'");
        assert!(matches!(proof, Proof::Certificate { role: None, .. }), "{proof:?}");
    }

    #[test]
    fn wrong_settings_of_the_store_are_named() {
        let app_role = "auth = 'approle'\nrole_id = 'r'\nsecret_id_file = '/s'\n";
        let jwt = "auth = 'jwt'\nauth_role = 'r'\n";
        let all = |text: &str, more: &str| format!("{text}{more}");
        for (settings, message) in [
            ("auth = 'ldap'".to_owned(), "has auth = `ldap`: use token, approle, kubernetes, jwt"),
            ("auth = 'approle'".to_owned(), "has no `role_id`, which auth = `approle` needs"),
            (
                app_role.replace("secret_id_file = '/s'", ""),
                "has no `secret_id_file` or `secret_id_v",
            ),
            (all(app_role, "secret_id_variable = 'S'"), "has `secret_id_file` and `secret_id_var"),
            (all(app_role, "jwt_file = '/t'"), "has `jwt_file`, which is only for auth = kubern"),
            (all(app_role, "auth_role = 'r'"), "has `auth_role`, which is only for auth = kuber"),
            ("auth_mount = 'x'".to_owned(), "has `auth_mount`, which is only for auth = approle"),
            ("role_id = 'x'".to_owned(), "has `role_id`, which is only for auth = approle"),
            (jwt.to_owned(), "has no `jwt_file`, `jwt_variable` or `identity`, which auth = `jwt`"),
            (jwt.replace("auth_role = 'r'", "jwt_file = '/t'"), "has no `auth_role`, which auth"),
            (all(jwt, "jwt_file = '/t'\njwt_variable = 'T'"), "has more than one of `jwt_file`"),
            (
                "auth = 'cert'\ncert_file = '/c'".to_owned(),
                "has no `key_file`, which auth = `cert`",
            ),
            ("mount = 'a/../b'".to_owned(), "has mount = `a/../b`: use names of letters, digits"),
            ("path = '/a'".to_owned(), "has path = `/a`: use names of letters, digits, - _ ."),
            ("path = ''".to_owned(), "has path = ``: use names"),
            ("namespace = 'a*'".to_owned(), "has namespace = `a*`: use names"),
            ("engine = 'oauthapp'\nrole = 'refresher'".to_owned(), "has role = `refresher`, but"),
            (all(jwt, "[stores.vault.identity]"), "[stores.vault.identity] has no `source`"),
            (
                all(jwt, "[stores.vault.identity]\nsource = 'gitlab'"),
                "[stores.vault.identity] has no `audience`",
            ),
            (
                all(jwt, "[stores.vault.identity]\nexchange = 'none'"),
                "[stores.vault.identity] has `exchange`",
            ),
        ] {
            let error = vault(&settings).unwrap_err();
            let prefix = if message.starts_with('[') { "" } else { "[stores.vault] " };
            assert!(error.starts_with(&format!("{prefix}{message}")), "{settings}: {error}");
        }
        for (addresses, message) in [
            ("addresses = ['http://bao.acme.dev']", "cannot use `http://bao.acme.dev`: plain http"),
            ("addresses = ['bao.acme.dev']", ""),
            (
                "addresses = ['https://bao.acme.dev/?token=x']",
                "the address of a server has no query",
            ),
            ("addresses = ['https://bao.acme.dev#x']", "the address of a server has no query"),
            ("addresses = []\nauth = 'cert'", "has no `addresses`, which auth = `cert` needs"),
        ] {
            let error = configuration(addresses).unwrap().vault().unwrap_err().message;
            assert!(
                error.starts_with(&format!("[stores.vault] {message}")),
                "{addresses}: {error}"
            );
        }
        assert!(configuration("adress = 'x'").unwrap_err().contains("adress"));
        assert!(configuration("role = 'writer'").unwrap_err().contains("writer"));
    }
}
