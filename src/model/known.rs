//! Services that many people log in to, as data. Each fact stands below the page that says it. What no program can bring
//! is the client id: each user or company registers one.

use super::{Endpoints, OAuth, Text};
use std::borrow::Cow;

/// A service as the configuration can name it: `kind = "github"`.
#[derive(Clone, Debug)]
pub struct KnownService {
    /// The name.
    pub kind: &'static str,
    /// The API's base URL; the issuer where there is none.
    pub api_url: Option<&'static str>,
    /// The hosts that take its tokens.
    pub hosts: &'static [&'static str],
    /// The user name that goes with a token where a protocol wants one.
    pub basic_username: &'static str,
    issuer: Option<&'static str>,
    /// Authorization, token, device authorization, revocation, userinfo.
    endpoints: [Option<&'static str>; 5],
    /// The login by a code below the issuer, where the description leaves it out.
    device_path: Option<&'static str>,
    registration: &'static str,
    secret_in_body: bool,
    code_flow_needs_secret: bool,
    device_flow_on_request_only: bool,
    scopes: &'static [&'static str],
    parameters: &'static [(&'static str, &'static str)],
}

impl KnownService {
    /// A service of which nothing is known.
    const NONE: Self = Self {
        kind: "",
        api_url: None,
        hosts: &[],
        basic_username: "oauth2",
        issuer: None,
        endpoints: [None; 5],
        device_path: None,
        registration: "",
        secret_in_body: false,
        code_flow_needs_secret: false,
        device_flow_on_request_only: false,
        scopes: &[],
        parameters: &[],
    };
}

/// Every service that is known by name.
pub const ALL: [KnownService; 6] = [
    KnownService {
        kind: "github",
        // https://docs.github.com/en/rest/users/users#get-the-authenticated-user
        api_url: Some("https://api.github.com"),
        hosts: &["github.com"],
        // https://github.com/cli/cli/blob/trunk/pkg/cmd/auth/gitcredential/helper.go: of a token without a name.
        basic_username: "x-access-token",
        // https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps: a code that is typed
        // needs no secret, and the page does, here and in a refresh of a GitHub App's token.
        endpoints: [
            Some("https://github.com/login/oauth/authorize"),
            Some("https://github.com/login/oauth/access_token"),
            Some("https://github.com/login/device/code"),
            None,
            Some("https://api.github.com/user"),
        ],
        code_flow_needs_secret: true,
        registration: "https://github.com/settings/applications/new",
        // The same page: a parameter of the request.
        secret_in_body: true,
        // https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/scopes-for-oauth-apps
        scopes: &["repo"],
        ..KnownService::NONE
    },
    KnownService {
        kind: "gitlab",
        hosts: &["gitlab.com"],
        // https://docs.gitlab.com/api/oauth2/#access-git-over-https-with-access-token
        basic_username: "oauth2",
        // https://docs.gitlab.com/integration/openid_connect_provider/
        issuer: Some("https://gitlab.com"),
        // https://docs.gitlab.com/api/oauth2/#device-authorization-grant-flow, from 17.3 on. The description leaves it
        // out: https://github.com/int128/kubelogin/issues/1584
        device_path: Some("/oauth/authorize_device"),
        // https://docs.gitlab.com/api/oauth2/#supported-oauth-20-flows
        registration: "<the issuer>/-/user_settings/applications",
        // https://docs.gitlab.com/integration/oauth_provider/#view-all-authorized-applications
        scopes: &["openid", "read_repository", "write_repository"],
        ..KnownService::NONE
    },
    KnownService {
        kind: "gitea",
        // The endpoints are described by the installation, the registration is named and so are the scopes:
        // https://docs.gitea.com/development/oauth2-provider
        registration: "<the issuer>/user/settings/applications",
        scopes: &["openid", "read:user", "write:repository"],
        // Any user name will do, says who made it: https://github.com/hickford/git-credential-oauth/blob/main/main.go
        basic_username: "oauth2",
        ..KnownService::NONE
    },
    KnownService {
        kind: "forgejo",
        // https://forgejo.org/docs/latest/user/oauth2-provider: scopes are not looked at yet, and a token may do all
        // that the person may. They stand here for the day when they are.
        registration: "<the issuer>/user/settings/applications",
        scopes: &["openid", "read:user", "write:repository"],
        basic_username: "oauth2",
        ..KnownService::NONE
    },
    KnownService {
        kind: "bitbucket",
        api_url: Some("https://api.bitbucket.org"),
        hosts: &["bitbucket.org"],
        // https://support.atlassian.com/bitbucket-cloud/docs/use-oauth-on-bitbucket-cloud/
        basic_username: "x-token-auth",
        // https://developer.atlassian.com/cloud/bitbucket/oauth-2/: all of its requests carry the secret. The scopes are
        // those of the registration; it takes none in a request.
        endpoints: [
            Some("https://bitbucket.org/site/oauth2/authorize"),
            Some("https://bitbucket.org/site/oauth2/access_token"),
            None,
            None,
            Some("https://api.bitbucket.org/2.0/user"),
        ],
        code_flow_needs_secret: true,
        registration: "`OAuth consumers` in the settings of a workspace on bitbucket.org",
        ..KnownService::NONE
    },
    KnownService {
        kind: "google",
        // https://cloud.google.com/artifact-registry/docs/docker/authentication#token
        hosts: &["*.pkg.dev"],
        basic_username: "oauth2accesstoken",
        // https://accounts.google.com/.well-known/openid-configuration
        issuer: Some("https://accounts.google.com"),
        registration: "https://console.cloud.google.com/apis/credentials",
        // https://developers.google.com/identity/protocols/oauth2/native-app#exchange-authorization-code
        secret_in_body: true,
        code_flow_needs_secret: true,
        // https://developers.google.com/identity/protocols/oauth2/limited-input-device: a few scopes, and a
        // registration of its own; command lines are sent to the page.
        device_flow_on_request_only: true,
        scopes: &["openid", "email", "https://www.googleapis.com/auth/cloud-platform"],
        // https://developers.google.com/identity/protocols/oauth2/web-server#offline: else there is no refresh token.
        parameters: &[("access_type", "offline"), ("prompt", "consent")],
        ..KnownService::NONE
    },
];

impl KnownService {
    /// The service of that name.
    pub fn find(kind: &str) -> Option<&'static Self> {
        ALL.iter().find(|known| known.kind == kind)
    }

    /// Where a login by a code begins on the installation at `issuer`.
    pub fn device_authorization(&self, issuer: &str) -> Option<Text> {
        self.device_path.map(|path| format!("{}{path}", issuer.trim_end_matches('/')).into())
    }

    /// What a login needs to know of it.
    pub fn oauth(&self) -> OAuth {
        let [authorization, token, device_authorization, revocation, userinfo] =
            self.endpoints.map(|url| url.map(Cow::Borrowed));
        let text = |text: &&'static str| Text::from(*text);
        OAuth {
            issuer: self.issuer.map(Text::from),
            endpoints: Endpoints {
                authorization,
                token,
                device_authorization,
                revocation,
                userinfo,
            },
            registration: Some(self.registration.into()),
            secret_in_body: self.secret_in_body,
            code_flow_needs_secret: self.code_flow_needs_secret,
            device_flow_on_request_only: self.device_flow_on_request_only,
            scopes: self.scopes.iter().map(text).collect(),
            parameters: self
                .parameters
                .iter()
                .map(|(name, value)| (text(name), text(value)))
                .collect(),
            ..OAuth::default()
        }
    }
}
