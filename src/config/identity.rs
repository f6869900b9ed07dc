//! `[providers.NAME.identity]`: which identity token a job has, and what it is exchanged for.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use super::ProviderSettings;
use super::oauth::derived_variable;
use crate::error::{Error, Result, sanitize};
use crate::model::known::TrustingService;
use crate::model::{
    Algorithm, Endpoints, Exchange, Header, HostPattern, Identity, IdentitySource, LoginKind,
    OAuth, Provider, SecretLocation, SigningKey,
};

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct IdentitySettings {
    source: Option<String>,
    audience: Option<String>,
    exchange: Option<String>,
    variable: Option<String>,
    file: Option<PathBuf>,
    service_connection: Option<String>,
    private_key_variable: Option<String>,
    private_key_file: Option<PathBuf>,
    algorithm: Option<Algorithm>,
    key_id: Option<String>,
    subject_token_type: Option<String>,
    requested_token_type: Option<String>,
    resource: Option<String>,
    scope: Option<String>,
    parameters: BTreeMap<String, String>,
    role: Option<String>,
    mount: Option<String>,
    namespace: Option<String>,
}

const EXCHANGES: [&str; 5] = ["token-exchange", "jwt-bearer", "client-assertion", "vault", "none"];

/// RFC 8693, 3: the token is a JWT, and the service need not know more of it.
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

/// The default service account token, whose audience is the API server of the cluster
/// (<https://kubernetes.io/docs/tasks/configure-pod-container/configure-service-account/>).
const SERVICE_ACCOUNT: &str = "run/secrets/kubernetes.io/serviceaccount";

/// The parameters that the grants have themselves.
const RESERVED: [&str; 13] = [
    "grant_type",
    "client_id",
    "client_secret",
    "client_assertion",
    "client_assertion_type",
    "assertion",
    "subject_token",
    "subject_token_type",
    "requested_token_type",
    "actor_token",
    "scope",
    "resource",
    "code",
];

impl ProviderSettings {
    /// A service that trusts jobs, and that no person logs in to.
    pub(super) fn trusting_provider(
        &self,
        name: &str,
        known: &TrustingService,
    ) -> Result<Provider> {
        let api_url = self.api_url.clone().unwrap_or_else(|| known.api_url.to_owned());
        let login = if known.exchange().is_oauth() {
            let token = Some(format!("{}/oauth/token", api_url.trim_end_matches('/')).into());
            let endpoints = Endpoints { token, ..Endpoints::default() };
            let client_id = self.client_id.clone().map(Into::into);
            LoginKind::OAuth(Box::new(OAuth { endpoints, client_id, ..OAuth::default() }))
        } else {
            LoginKind::ApiKey { is_microtica: false }
        };
        let token_variable = self.token_variable.clone().unwrap_or_else(|| derived_variable(name));
        let mut provider = Provider::new(name, login, api_url, token_variable);
        provider.basic_username = known.basic_username.into();
        if let Some(name) = known.header {
            provider.header = Header { name: name.into(), scheme: None };
        }
        for host in known.hosts {
            provider.hosts.push(HostPattern::parse(host)?);
        }
        Ok(provider)
    }
}

impl IdentitySettings {
    /// The files, with their keys.
    pub(super) fn files(&mut self) -> impl Iterator<Item = (&'static str, &mut PathBuf)> {
        let file = self.file.iter_mut().map(|path| ("file", path));
        file.chain(self.private_key_file.iter_mut().map(|path| ("private_key_file", path)))
    }

    /// An identity that the server itself accepts.
    pub(super) fn proof(&self, server: &Provider) -> Result<Identity> {
        if self.exchange.is_some() {
            let message = format!("[providers.{}.identity] has `exchange`", server.name);
            return Err(Error::invalid(message));
        }
        Self { exchange: Some("none".to_owned()), ..self.clone() }.identity(server, None)
    }

    pub(super) fn identity(
        &self,
        provider: &Provider,
        known: Option<&TrustingService>,
    ) -> Result<Identity> {
        let table = format!("[providers.{}.identity]", provider.name);
        let invalid = |what: String| Error::invalid(format!("{table} {what}"));
        let source = required("source", self.source.as_ref()).map_err(invalid)?;
        let (audience, exchange) = self.purpose(known).map_err(invalid)?;
        self.check_keys(&source, &exchange).map_err(invalid)?;
        let source = self.source(&source, &audience).map_err(invalid)?;
        if let IdentitySource::File(path) | IdentitySource::Kubernetes(path) = &source
            && path.parent().is_some_and(|folder| folder.ends_with(SERVICE_ACCOUNT))
        {
            let what = "names the default service account token, which is for the API server of the cluster";
            return Err(invalid(what.to_owned())
                .with_hint("mount a projected volume with an audience of its own"));
        }
        let exchange = match known {
            Some(known) => known.exchange(),
            None => self.exchange(&exchange).map_err(invalid)?,
        };
        if let Some(name) = self.parameters.keys().find(|name| RESERVED.contains(&name.as_str())) {
            return Err(invalid(format!("has the reserved parameter `{name}`")));
        }
        let parameters = self.parameters.iter();
        let identity = Identity {
            source,
            audience: audience.into(),
            exchange,
            resource: self.resource.clone().map(Into::into),
            scope: self.scope.clone().map(Into::into),
            parameters: parameters.map(|(k, v)| (k.clone().into(), v.clone().into())).collect(),
        };
        check_provider(&identity, provider).map_err(invalid)?;
        Ok(identity)
    }

    /// The audience, and the name of the exchange.
    fn purpose(&self, known: Option<&TrustingService>) -> Result<(String, String), String> {
        match known {
            Some(known) if self.exchange.is_some() => {
                Err(format!("has `exchange`, which {} decides", known.kind))
            }
            Some(known) => {
                let audience = self.audience.clone().unwrap_or_else(|| known.audience.to_owned());
                Ok((audience, EXCHANGES[0].to_owned()))
            }
            None => Ok((
                required("audience", self.audience.as_ref())?,
                required("exchange", self.exchange.as_ref())?,
            )),
        }
    }

    fn source(&self, name: &str, audience: &str) -> Result<IdentitySource, String> {
        let file = || self.file.clone().ok_or_else(|| "has no `file`".to_owned());
        Ok(match name {
            "github-actions" => IdentitySource::GitHubActions,
            "gitlab" => IdentitySource::GitLab(
                self.variable.clone().unwrap_or_else(|| default_variable(audience)),
            ),
            "bitbucket" => IdentitySource::Bitbucket,
            "circleci" => IdentitySource::CircleCi,
            "buildkite" => IdentitySource::Buildkite,
            "azure-pipelines" => {
                let key = "service_connection";
                let service_connection = required(key, self.service_connection.as_ref())?;
                IdentitySource::AzurePipelines { service_connection }
            }
            "kubernetes" => IdentitySource::Kubernetes(file()?),
            "file" => IdentitySource::File(file()?),
            "gcp" => IdentitySource::Gcp,
            "azure" => IdentitySource::Azure,
            "variable" => IdentitySource::Variable(required("variable", self.variable.as_ref())?),
            "private-key" => IdentitySource::PrivateKey(self.signing_key()?),
            other => return Err(unknown("source", other, &IdentitySource::NAMES)),
        })
    }

    fn exchange(&self, name: &str) -> Result<Exchange, String> {
        Ok(match name {
            "token-exchange" => Exchange::TokenExchange {
                subject_token_type: self.subject_token_type.clone().map_or(JWT.into(), Into::into),
                requested_token_type: self.requested_token_type.clone().map(Into::into),
            },
            "jwt-bearer" => Exchange::JwtBearer,
            "client-assertion" => Exchange::ClientAssertion,
            "vault" => Exchange::Vault {
                mount: self.mount.clone().map_or("jwt".into(), Into::into),
                role: required("role", self.role.as_ref())?.into(),
                namespace: self.namespace.clone().map(Into::into),
            },
            "none" => Exchange::None,
            other => return Err(unknown("exchange", other, &EXCHANGES)),
        })
    }

    /// Rejects a key without effect, which would be an unnoticed mistake.
    fn check_keys(&self, source: &str, exchange: &str) -> Result<(), String> {
        let oauth = &EXCHANGES[..3];
        for (key, is_set, value, only_for) in [
            ("variable", self.variable.is_some(), source, &["gitlab", "variable"][..]),
            ("file", self.file.is_some(), source, &["kubernetes", "file"]),
            ("service_connection", self.service_connection.is_some(), source, &["azure-pipelines"]),
            ("private_key_variable", self.private_key_variable.is_some(), source, &["private-key"]),
            ("private_key_file", self.private_key_file.is_some(), source, &["private-key"]),
            ("algorithm", self.algorithm.is_some(), source, &["private-key"]),
            ("key_id", self.key_id.is_some(), source, &["private-key"]),
            ("subject_token_type", self.subject_token_type.is_some(), exchange, &oauth[..1]),
            ("requested_token_type", self.requested_token_type.is_some(), exchange, &oauth[..1]),
            ("resource", self.resource.is_some(), exchange, oauth),
            ("scope", self.scope.is_some(), exchange, oauth),
            ("parameters", !self.parameters.is_empty(), exchange, oauth),
            ("role", self.role.is_some(), exchange, &["vault"]),
            ("mount", self.mount.is_some(), exchange, &["vault"]),
            ("namespace", self.namespace.is_some(), exchange, &["vault"]),
        ] {
            if is_set && !only_for.contains(&value) {
                return Err(format!("has `{key}`, which is only for {}", only_for.join(" and ")));
            }
        }
        Ok(())
    }

    fn signing_key(&self) -> Result<SigningKey, String> {
        let location = match (&self.private_key_variable, &self.private_key_file) {
            (Some(name), None) => SecretLocation::Variable(name.clone()),
            (None, Some(path)) => SecretLocation::File(path.clone()),
            _ => return Err("needs `private_key_variable` or `private_key_file`".to_owned()),
        };
        let algorithm = self.algorithm.ok_or("has no `algorithm`")?;
        Ok(SigningKey { location, algorithm, id: self.key_id.clone() })
    }
}

/// The value of a key, which has to be set.
fn required(key: &str, value: Option<&String>) -> Result<String, String> {
    filled(value).ok_or_else(|| format!("has no `{key}`"))
}

/// A value without blanks around it, if it is not blank.
pub(super) fn filled(value: Option<&String>) -> Option<String> {
    value.map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}

fn unknown(key: &str, value: &str, names: &[&str]) -> String {
    format!("has {key} = `{}`: use {}", sanitize(value), names.join(", "))
}

/// The settings of the provider that the exchange requires.
fn check_provider(identity: &Identity, provider: &Provider) -> Result<(), String> {
    let Identity { source, audience, exchange, .. } = identity;
    let LoginKind::OAuth(oauth) = &provider.login else {
        let is_oauth = exchange.is_oauth();
        return if is_oauth { Err("needs a provider of kind `oauth`".to_owned()) } else { Ok(()) };
    };
    if *exchange == Exchange::ClientAssertion && oauth.client_id.is_none() {
        return Err("needs the `client_id` of the provider".to_owned());
    }
    if let IdentitySource::PrivateKey(_) = source {
        if *exchange != Exchange::ClientAssertion {
            return Err("has a private key, which is only for client-assertion".to_owned());
        }
        // RFC 10070: the issuer, as configured, is the only audience. An audience that a service names itself would let
        // it use the assertion at another service.
        if oauth.issuer.as_ref() != Some(audience) {
            return Err("needs the `issuer` of the provider as its `audience`".to_owned());
        }
    }
    Ok(())
}

/// `HTTPS___ACME_DEV_ID_TOKEN` for `https://acme.dev`, as PyPI's `id` and uv derive it
/// (<https://github.com/di/id/blob/main/id/_internal/oidc/ambient.py>, `detect_gitlab`).
fn default_variable(audience: &str) -> String {
    let upper = audience.to_ascii_uppercase();
    let is_name =
        |(at, c): (usize, char)| c == '_' || c.is_ascii_uppercase() || at > 0 && c.is_ascii_digit();
    let name: String =
        upper.chars().enumerate().map(|it| if is_name(it) { it.1 } else { '_' }).collect();
    format!("{name}_ID_TOKEN")
}

#[cfg(test)]
mod tests {
    use crate::config::Configuration;
    use crate::model::{Exchange, Identity, IdentitySource};

    const PROVIDER: &str =
        "[providers.acme]\nkind = 'oauth'\nissuer = 'https://login.acme.dev'\nclient_id = 'ci'\n";

    fn identity(provider: &str, settings: &str) -> Result<Identity, String> {
        let text = format!("{provider}[providers.acme.identity]\n{settings}");
        let configuration: Configuration =
            toml::from_str(&text).map_err(|error| error.message().to_owned())?;
        let provider = configuration.provider("acme").map_err(|error| error.message)?;
        Ok(*provider.identity.expect("settings"))
    }

    #[test]
    fn an_identity_is_a_source_an_audience_and_an_exchange() {
        let of = |text: &str| identity(PROVIDER, text).unwrap();
        let found = of("source = 'gitlab'\naudience = 'https://1.acme.dev/x'\nexchange = 'none'");
        let variable = "HTTPS___1_ACME_DEV_X_ID_TOKEN".to_owned();
        assert_eq!(found.source, IdentitySource::GitLab(variable));
        assert_eq!((&*found.audience, found.exchange), ("https://1.acme.dev/x", Exchange::None));
        let found = of(
            "source = 'gitlab'\nvariable = 'T'\naudience = '1x'\nexchange = 'vault'\nrole = 'ci'",
        );
        assert_eq!(found.source, IdentitySource::GitLab("T".to_owned()));
        let vault = Exchange::Vault { mount: "jwt".into(), role: "ci".into(), namespace: None };
        assert_eq!(found.exchange, vault);
        let more = "exchange = 'token-exchange'\nparameters = { connection_id = 'c' }";
        let found = of(&format!("source = 'github-actions'\naudience = 'a'\n{more}"));
        assert_eq!(found.parameters, [("connection_id".into(), "c".into())]);
    }

    #[test]
    fn a_service_that_trusts_jobs_has_an_audience_and_an_exchange() {
        for known in &crate::model::known::TRUSTING {
            let provider = format!("[providers.acme]\nkind = '{}'\n", known.kind);
            let found = identity(&provider, "source = 'github-actions'").unwrap();
            assert_eq!((&*found.audience, found.exchange), (known.audience, known.exchange()));
            let error = identity(&provider, "source = 'gitlab'\nexchange = 'none'").unwrap_err();
            assert!(error.contains(&format!("which {} decides", known.kind)), "{error}");
            let error = identity(&provider, "source = 'gitlab'\nrole = 'none'").unwrap_err();
            assert!(error.contains("only for vault"), "{error}");
        }
    }

    #[test]
    fn wrong_identity_settings_are_named() {
        let base = "source = 'github-actions'\naudience = 'a'\nexchange = 'token-exchange'\n";
        let key = "source = 'private-key'\nprivate_key_file = '/k'\nalgorithm = 'ES256'\n";
        let all = |text: &str| format!("audience = 'a'\nexchange = 'none'\n{text}");
        for (settings, message) in [
            (String::new(), "has no `source`"),
            ("source = 'gitlab'".to_owned(), "has no `audience`"),
            ("source = 'gitlab'\naudience = ' '".to_owned(), "has no `audience`"),
            ("source = 'gitlab'\naudience = 'a'".to_owned(), "has no `exchange`"),
            (all("source = 'jenkins'"), "has source = `jenkins`: use github-actions, gitlab, "),
            (
                base.replace("token-exchange", "x\\u0007"),
                "has exchange = `x\\u{7}`: use token-exch",
            ),
            (all("source = 'file'"), "has no `file`"),
            (all("source = 'variable'"), "has no `variable`"),
            (all("source = 'azure-pipelines'"), "has no `service_connection`"),
            (format!("{base}role = 'r'"), "has `role`, which is only for vault"),
            (format!("{base}file = '/f'"), "has `file`, which is only for kubernetes and file"),
            (format!("{base}parameters = {{ scope = 'x' }}"), "has the reserved parameter `scope`"),
            (base.replace("token-exchange", "vault"), "has no `role`"),
            (format!("{key}audience = 'a'\nexchange = 'jwt-bearer'"), "has a private key, which"),
            (
                format!("{key}audience = 'a'\nexchange = 'client-assertion'"),
                "needs the `issuer` of the provider as its `audience`",
            ),
            (
                all(
                    "source = 'kubernetes'\nfile = '/var/run/secrets/kubernetes.io/serviceaccount/token'",
                ),
                "names the default service account token, which",
            ),
        ] {
            let settings = settings.replace("\\u0007", "\u{7}").replace("'x\u{7}'", "\"x\\u0007\"");
            let error = identity(PROVIDER, &settings).unwrap_err();
            let expected = format!("[providers.acme.identity] {message}");
            assert!(error.starts_with(&expected), "{settings}: {error}");
        }
        let api_key =
            "[providers.acme]\nkind = 'api_key'\napi_url = 'https://a.dev'\ntoken_variable = 'T'\n";
        let error = identity(api_key, base).unwrap_err();
        assert!(error.ends_with("needs a provider of kind `oauth`"), "{error}");
        assert!(identity(PROVIDER, "sorce = 'x'").unwrap_err().contains("sorce"));
    }
}
