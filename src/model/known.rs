//! OAuth services that many people use, as data. Each fact stands below the page that states it. The client id is not
//! among them: each user or company registers one.

use super::{Endpoints, Exchange, OAuth, Preset, Text};

/// A service that the configuration can name: `kind = "github"`.
#[derive(Clone, Debug)]
pub struct KnownService {
    pub kind: &'static str,
    /// The API's base URL, if it is not the issuer.
    pub api_url: Option<&'static str>,
    pub hosts: &'static [&'static str],
    pub basic_username: &'static str,
    /// The path of the device authorization endpoint below the issuer, where the metadata does not have it.
    device_path: Option<&'static str>,
    /// The facts of the public service, without a client id.
    pub oauth: fn() -> OAuth,
}

const DEFAULT: KnownService = KnownService {
    kind: "",
    api_url: None,
    hosts: &[],
    basic_username: "oauth2",
    device_path: None,
    oauth: OAuth::default,
};

pub const ALL: [KnownService; 6] = [
    KnownService {
        kind: "github",
        // https://docs.github.com/en/rest/users/users#get-the-authenticated-user
        api_url: Some("https://api.github.com"),
        hosts: &["github.com"],
        // https://github.com/cli/cli/blob/trunk/pkg/cmd/auth/gitcredential/helper.go: for a token without a user name.
        basic_username: "x-access-token",
        oauth: || OAuth {
            // https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps: the device code
            // flow needs no secret; the authorization code flow does, and so does the refresh of a GitHub App's token.
            endpoints: Endpoints {
                authorization: Some("https://github.com/login/oauth/authorize".into()),
                token: Some("https://github.com/login/oauth/access_token".into()),
                device_authorization: Some("https://github.com/login/device/code".into()),
                userinfo: Some("https://api.github.com/user".into()),
                revocation: None,
            },
            code_flow_needs_secret: true,
            registration: Some("https://github.com/settings/applications/new".into()),
            // https://docs.github.com/en/apps/oauth-apps/using-oauth-apps/reviewing-your-authorized-applications-oauth
            grants_page: Some("https://github.com/settings/applications".into()),
            // The same page: a parameter of the request.
            secret_in_body: Some(true),
            // https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/scopes-for-oauth-apps
            scopes: vec!["repo".into()],
            ..OAuth::default()
        },
        ..DEFAULT
    },
    KnownService {
        kind: "gitlab",
        hosts: &["gitlab.com"],
        // https://docs.gitlab.com/api/oauth2/#access-git-over-https-with-access-token
        basic_username: "oauth2",
        // https://docs.gitlab.com/api/oauth2/#device-authorization-grant-flow, since 17.3. Not in the metadata:
        // https://github.com/int128/kubelogin/issues/1584
        device_path: Some("/oauth/authorize_device"),
        oauth: || OAuth {
            // https://docs.gitlab.com/integration/openid_connect_provider/
            issuer: Some("https://gitlab.com".into()),
            // https://docs.gitlab.com/api/oauth2/#supported-oauth-20-flows
            registration: Some("<the issuer>/-/user_settings/applications".into()),
            grants_page: Some("<the issuer>/-/user_settings/applications".into()),
            // https://docs.gitlab.com/integration/oauth_provider/#view-all-authorized-applications
            scopes: scopes(&["openid", "read_repository", "write_repository"]),
            ..OAuth::default()
        },
        ..DEFAULT
    },
    KnownService {
        kind: "gitea",
        // Any user name is accepted: https://github.com/hickford/git-credential-oauth/blob/main/main.go
        basic_username: "oauth2",
        // The installation publishes its endpoints; registration and scopes:
        // https://docs.gitea.com/development/oauth2-provider
        oauth: gitea,
        ..DEFAULT
    },
    // Forgejo 9 and newer enforce the scopes of Gitea, although https://forgejo.org/docs/latest/user/oauth2-provider
    // does not say so; for older ones a token has all rights of the person.
    KnownService { kind: "forgejo", oauth: gitea, ..DEFAULT },
    KnownService {
        kind: "bitbucket",
        api_url: Some("https://api.bitbucket.org"),
        hosts: &["bitbucket.org"],
        // https://support.atlassian.com/bitbucket-cloud/docs/use-oauth-on-bitbucket-cloud/
        basic_username: "x-token-auth",
        oauth: || OAuth {
            // https://developer.atlassian.com/cloud/bitbucket/oauth-2/: every request carries the secret. The
            // registration has the scopes; a request has none.
            endpoints: Endpoints {
                authorization: Some("https://bitbucket.org/site/oauth2/authorize".into()),
                token: Some("https://bitbucket.org/site/oauth2/access_token".into()),
                userinfo: Some("https://api.bitbucket.org/2.0/user".into()),
                ..Endpoints::default()
            },
            code_flow_needs_secret: true,
            registration: Some(
                "`OAuth consumers` in the settings of a workspace on bitbucket.org".into(),
            ),
            grants_page: Some("https://bitbucket.org/account/settings/app-authorizations/".into()),
            ..OAuth::default()
        },
        ..DEFAULT
    },
    KnownService {
        kind: "google",
        // https://cloud.google.com/artifact-registry/docs/docker/authentication#token
        hosts: &["*.pkg.dev"],
        basic_username: "oauth2accesstoken",
        oauth: || OAuth {
            // https://accounts.google.com/.well-known/openid-configuration
            issuer: Some("https://accounts.google.com".into()),
            registration: Some("https://console.cloud.google.com/apis/credentials".into()),
            grants_page: Some("https://myaccount.google.com/connections".into()),
            // https://developers.google.com/identity/protocols/oauth2/native-app#exchange-authorization-code
            secret_in_body: Some(true),
            code_flow_needs_secret: true,
            // https://developers.google.com/identity/protocols/oauth2/limited-input-device: few scopes, and another kind
            // of registration; a command line uses the authorization code flow.
            device_flow_on_request_only: true,
            scopes: scopes(&["openid", "email", "https://www.googleapis.com/auth/cloud-platform"]),
            // https://developers.google.com/identity/protocols/oauth2/web-server#offline: otherwise there is no refresh
            // token.
            parameters: [("access_type", "offline"), ("prompt", "consent")]
                .map(|(name, value)| (name.into(), value.into()))
                .into(),
            ..OAuth::default()
        },
        ..DEFAULT
    },
];

fn gitea() -> OAuth {
    OAuth {
        registration: Some("<the issuer>/user/settings/applications".into()),
        grants_page: Some("<the issuer>/user/settings/applications".into()),
        // `write:package` is for the package and container registries, which answer 401 without it.
        scopes: scopes(&["openid", "read:user", "write:repository", "write:package"]),
        ..OAuth::default()
    }
}

fn scopes(names: &[&'static str]) -> Vec<Text> {
    names.iter().map(|name| (*name).into()).collect()
}

impl KnownService {
    pub fn find(kind: &str) -> Option<&'static Self> {
        ALL.iter().find(|known| known.kind == kind)
    }

    /// The device authorization endpoint of the installation at `issuer`, where its metadata does not have it.
    pub fn device_authorization(&self, issuer: &str) -> Option<Text> {
        self.device_path.map(|path| format!("{}{path}", issuer.trim_end_matches('/')).into())
    }
}

/// A service that trusts the identity of jobs, and needs no registration of this program: `kind = "pypi"`.
#[derive(Debug)]
pub struct TrustingService {
    pub kind: &'static str,
    pub api_url: &'static str,
    pub hosts: &'static [&'static str],
    pub basic_username: &'static str,
    /// As for every provider: `NAME`, without a scheme for the token.
    pub header: Option<&'static str>,
    pub audience: &'static str,
    /// `None`: a token exchange (RFC 8693) at `/oauth/token` below the API URL.
    preset: Option<&'static Preset>,
}

pub const TRUSTING: [TrustingService; 3] = [
    // https://crates.io/docs/trusted-publishing: for `cargo publish` only.
    TrustingService {
        kind: "crates-io",
        api_url: "https://crates.io",
        // cargo names crates.io by an index at github.com, which must not get the token: `exec --env CARGO_REGISTRY_TOKEN`.
        hosts: &[],
        basic_username: "token",
        header: Some("Authorization"),
        audience: "crates.io",
        // https://github.com/rust-lang/crates.io/blob/main/src/controllers/trustpub/tokens/exchange/mod.rs
        preset: Some(&Preset {
            path: "/api/v1/trusted_publishing/tokens",
            field: "jwt",
            lifetime: 30 * 60,
            // https://github.com/rust-lang/crates.io/blob/main/src/controllers/trustpub/tokens/revoke/mod.rs
            is_revocable: true,
        }),
    },
    // https://docs.pypi.org/trusted-publishers/using-a-publisher/#the-manual-way
    TrustingService {
        kind: "pypi",
        api_url: "https://pypi.org",
        hosts: &["upload.pypi.org"],
        basic_username: "__token__",
        header: None,
        // What https://pypi.org/_/oidc/audience returns. A service that names the audience itself could name another
        // service's.
        audience: "pypi",
        preset: Some(&Preset {
            path: "/_/oidc/mint-token",
            field: "token",
            lifetime: 15 * 60,
            is_revocable: false,
        }),
    },
    // https://github.com/docker/login-action/blob/master/src/dockerhub.ts: with the parameter `connection_id`; the user name
    // is the organisation.
    TrustingService {
        kind: "docker-hub",
        api_url: "https://identity.docker.com",
        hosts: &["index.docker.io"],
        basic_username: "",
        header: None,
        audience: "https://identity.docker.com",
        preset: None,
    },
];

impl TrustingService {
    pub fn find(kind: &str) -> Option<&'static Self> {
        TRUSTING.iter().find(|known| known.kind == kind)
    }

    pub fn exchange(&self) -> Exchange {
        match self.preset {
            Some(preset) => Exchange::Preset(preset),
            None => Exchange::TokenExchange {
                subject_token_type: "urn:ietf:params:oauth:token-type:id_token".into(),
                requested_token_type: None,
            },
        }
    }
}
