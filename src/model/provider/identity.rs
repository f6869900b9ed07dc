//! How a job proves who it is: the platform's identity token, and what it is exchanged for. Types without I/O.

use std::path::PathBuf;

use super::{SecretLocation, Text};
use crate::error::{Error, Result, sanitize};
use crate::model::jwt::IdentityClaims;
use crate::model::{Secret, Timestamp};

/// The longest identity token, in bytes.
const MAX_TOKEN: usize = 16 * 1024;

/// `[providers.NAME.identity]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub source: IdentitySource,
    /// The `aud` of the identity token: a token for any other audience does not leave the machine.
    pub audience: Text,
    pub exchange: Exchange,
    /// The service that the OAuth grants name (RFC 8707).
    pub resource: Option<Text>,
    pub scope: Option<Text>,
    /// Additional parameters of the OAuth grants.
    pub parameters: Vec<(Text, Text)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentitySource {
    /// GitHub Actions and Forgejo Actions.
    GitHubActions,
    /// The variable that `id_tokens` sets.
    GitLab(String),
    Bitbucket,
    CircleCi,
    Buildkite,
    AzurePipelines {
        service_connection: String,
    },
    /// The file of a projected volume.
    Kubernetes(PathBuf),
    /// The metadata server of Google Cloud.
    Gcp,
    /// The metadata server of Azure, or the endpoint of App Service.
    Azure,
    File(PathBuf),
    Variable(String),
    /// The program signs the token itself, as a client assertion.
    PrivateKey(SigningKey),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningKey {
    pub location: SecretLocation,
    pub algorithm: Algorithm,
    /// `kid` in the header.
    pub id: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
pub enum Algorithm {
    RS256,
    PS256,
    ES256,
    EdDSA,
}

/// The exchange of the identity token for a token of the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exchange {
    /// RFC 8693.
    TokenExchange { subject_token_type: Text, requested_token_type: Option<Text> },
    /// RFC 7523, 2.1.
    JwtBearer,
    /// RFC 7523, 2.2, with the grant of client credentials.
    ClientAssertion,
    /// The login of Vault's and OpenBao's JWT auth method.
    Vault { mount: Text, role: Text, namespace: Option<Text> },
    /// A service with an API of its own for this.
    Preset(&'static Preset),
    /// The service accepts the identity token itself.
    None,
}

/// The exchange of one service: JSON with the identity token to a path below its API URL, and JSON with `token` back.
#[derive(Debug, PartialEq, Eq)]
pub struct Preset {
    pub path: &'static str,
    /// The field of the identity token.
    pub field: &'static str,
    /// Of the issued token, in seconds.
    pub lifetime: u64,
    /// Whether DELETE at the same path ends the token.
    pub is_revocable: bool,
}

impl Exchange {
    /// Whether it is a request to the token endpoint of an OAuth 2 service.
    pub fn is_oauth(&self) -> bool {
        matches!(self, Self::TokenExchange { .. } | Self::JwtBearer | Self::ClientAssertion)
    }
}

impl IdentitySource {
    pub const NAMES: [&str; 12] = [
        "github-actions",
        "gitlab",
        "bitbucket",
        "circleci",
        "buildkite",
        "azure-pipelines",
        "kubernetes",
        "gcp",
        "azure",
        "file",
        "variable",
        "private-key",
    ];

    /// As in the configuration.
    pub fn name(&self) -> &'static str {
        let index = match self {
            Self::GitHubActions => 0,
            Self::GitLab(_) => 1,
            Self::Bitbucket => 2,
            Self::CircleCi => 3,
            Self::Buildkite => 4,
            Self::AzurePipelines { .. } => 5,
            Self::Kubernetes(_) => 6,
            Self::Gcp => 7,
            Self::Azure => 8,
            Self::File(_) => 9,
            Self::Variable(_) => 10,
            Self::PrivateKey(_) => 11,
        };
        Self::NAMES[index]
    }

    /// The variable that is the identity token.
    pub fn variable(&self) -> Option<&str> {
        match self {
            Self::GitLab(name) | Self::Variable(name) => Some(name),
            // https://support.atlassian.com/bitbucket-cloud/docs/integrate-pipelines-with-resource-servers-using-oidc/
            Self::Bitbucket => Some("BITBUCKET_STEP_OIDC_TOKEN"),
            _ => None,
        }
    }

    /// The variables with which a token is requested, of this job only. The first is set wherever the platform runs the job.
    pub fn request_variables(&self) -> &'static [&'static str] {
        match self {
            // https://docs.github.com/en/actions/reference/security/oidc#methods-for-requesting-the-oidc-token
            // https://forgejo.org/docs/latest/user/actions/security-openid-connect/
            Self::GitHubActions => {
                &["ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"]
            }
            // https://circleci.com/docs/guides/permissions-authentication/openid-connect-tokens/
            Self::CircleCi => &["CIRCLE_OIDC_TOKEN_V2"],
            // https://buildkite.com/docs/agent/cli/reference/oidc
            Self::Buildkite => &["BUILDKITE_JOB_ID", "BUILDKITE_AGENT_ACCESS_TOKEN"],
            // https://learn.microsoft.com/en-us/rest/api/azure/devops/distributedtask/oidctoken/create
            Self::AzurePipelines { .. } => &["SYSTEM_OIDCREQUESTURI", "SYSTEM_ACCESSTOKEN"],
            _ => &[],
        }
    }

    /// Whether every request returns a new token. A service may accept a token once (`jti`).
    pub fn mints(&self) -> bool {
        !self.request_variables().is_empty() || matches!(self, Self::PrivateKey(_))
    }

    /// Whether the source is a server that may not exist here.
    pub fn is_metadata(&self) -> bool {
        matches!(self, Self::Gcp | Self::Azure)
    }

    /// The hint for a job without an identity token, or with one for another audience.
    pub fn hint(&self, audience: &str) -> String {
        match self {
            Self::GitHubActions => "give the job `permissions: id-token: write`".to_owned(),
            Self::GitLab(name) => format!("add `id_tokens: {name}: aud: {audience}` to the job"),
            Self::Bitbucket => "set `oidc: true` in the step, and its `audiences`".to_owned(),
            Self::AzurePipelines { .. } => {
                "set `SYSTEM_ACCESSTOKEN: $(System.AccessToken)` in `env` of the step".to_owned()
            }
            Self::Kubernetes(_) => {
                format!(
                    "mount a projected volume whose serviceAccountToken has audience {audience}"
                )
            }
            _ => format!("the identity token must be for the audience {audience}"),
        }
    }
}

impl Identity {
    /// The claims of an identity token that may be sent: for the configured audience and no other, and not expired.
    pub fn check(&self, token: &Secret, now: Timestamp) -> Result<IdentityClaims> {
        let source = self.source.name();
        let unusable = |why: String| {
            Error::invalid(format!("the identity token of {source} was not sent: {why}"))
        };
        let length = token.expose_secret().len();
        if length > MAX_TOKEN {
            return Err(unusable(format!("it has {length} bytes")));
        }
        let claims =
            IdentityClaims::of(token).ok_or_else(|| unusable("it is not a JWT".to_owned()))?;
        // Bitbucket adds the configured audiences to the workspace's:
        // https://support.atlassian.com/bitbucket-cloud/docs/integrate-pipelines-with-resource-servers-using-oidc/
        let is_documented = |aud: &str| {
            self.source == IdentitySource::Bitbucket
                && aud.starts_with("ari:cloud:bitbucket::workspace/")
        };
        let is_for_us = claims.aud.iter().any(|aud| **aud == *self.audience)
            && claims.aud.iter().all(|aud| **aud == *self.audience || is_documented(aud));
        if !is_for_us {
            let (aud, audience) = (sanitize(&claims.aud.join(", ")), &self.audience);
            let error = unusable(format!("its aud is `{aud}`, not `{audience}`"));
            return Err(if self.source.mints() {
                error.with_hint("the platform ignored the requested audience")
            } else {
                error.with_hint(self.source.hint(audience))
            });
        }
        match claims.exp.map(Timestamp::from_unix) {
            Some(expiry) if expiry > now => Ok(claims),
            Some(expiry) => Err(unusable(format!("it expired at {}", expiry.to_whole_seconds()))),
            None => Err(unusable("it has no expiry".to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;

    use super::{Exchange, Identity, IdentitySource, Secret, Timestamp};

    fn check(source: IdentitySource, claims: &str) -> Result<String, String> {
        let identity = Identity {
            source,
            audience: "https://acme.dev".into(),
            exchange: Exchange::None,
            resource: None,
            scope: None,
            parameters: Vec::new(),
        };
        let token = format!("eyJhbGciOiJSUzI1NiJ9.{}.c2ln", BASE64.encode(claims));
        let checked = identity.check(&Secret::new(token), Timestamp::from_unix(1_000));
        checked.map(|claims| claims.to_string()).map_err(|error| error.message)
    }

    #[test]
    fn only_a_token_for_this_audience_may_be_sent() {
        let variable = || IdentitySource::Variable("T".to_owned());
        let sent = |aud: &str| format!(r#"{{"iss":"i","sub":"s","aud":{aud},"exp":1001}}"#);
        let own = r#""https://acme.dev""#;
        assert_eq!(check(variable(), &sent(own)).unwrap(), "aud https://acme.dev, iss i, sub s");
        assert!(check(variable(), &sent(&format!("[{own}]"))).is_ok());
        for aud in [
            r#""https://acme.dev/""#,
            r#""https://evil.dev""#,
            r#"["https://acme.dev","https://evil.dev"]"#,
            r#"["https://acme.dev","ari:cloud:bitbucket::workspace/w"]"#,
            r#""https://kubernetes.default.svc.cluster.local""#,
            "[]",
            "7",
            "null",
        ] {
            let error = check(variable(), &sent(aud)).unwrap_err();
            assert!(error.contains("its aud is `"), "{aud}: {error}");
        }
        let of_workspace = sent(&format!(r#"[{own},"ari:cloud:bitbucket::workspace/w"]"#));
        assert!(check(IdentitySource::Bitbucket, &of_workspace).is_ok());
        let other = sent(r#""ari:cloud:bitbucket::workspace/w""#);
        assert!(check(IdentitySource::Bitbucket, &other).is_err());
    }

    #[test]
    fn only_an_identity_token_with_a_future_expiry_may_be_sent() {
        let source = || IdentitySource::Variable("T".to_owned());
        for (exp, reason) in [
            (r#","exp":1000"#, "it expired at 1970-01-01T00:16:40Z"),
            (r#","exp":"soon""#, "it has no expiry"),
            ("", "it has no expiry"),
        ] {
            let claims = format!(r#"{{"aud":"https://acme.dev"{exp}}}"#);
            let error = check(source(), &claims).unwrap_err();
            assert!(error.ends_with(reason), "{error}");
        }
        let error = check(source(), "").unwrap_err();
        assert!(error.ends_with("it is not a JWT"), "{error}");
    }
}
