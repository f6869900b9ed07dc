//! Services that many people log in to, as data. Each fact stands below the page that says it. What no program can bring
//! is the client id: each user or company registers one.

use super::Text;
use super::oauth::{Endpoints, OAuth};
use std::borrow::Cow;

/// A service as the configuration can name it: `kind = "github"`.
#[derive(Clone, Debug)]
pub struct Known {
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
    registration: &'static str,
    secret_in_body: bool,
    scopes: &'static [&'static str],
    parameters: &'static [(&'static str, &'static str)],
}

/// Every service that is known by name.
pub const ALL: [Known; 6] = [
    Known {
        kind: "github",
        // https://docs.github.com/en/rest/users/users#get-the-authenticated-user
        api_url: Some("https://api.github.com"),
        hosts: &["github.com"],
        // https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/authenticating-as-a-github-app-installation
        basic_username: "x-access-token",
        issuer: None,
        // https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps
        endpoints: [
            Some("https://github.com/login/oauth/authorize"),
            Some("https://github.com/login/oauth/access_token"),
            Some("https://github.com/login/device/code"),
            None,
            Some("https://api.github.com/user"),
        ],
        registration: "https://github.com/settings/applications/new",
        secret_in_body: true,
        // https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/scopes-for-oauth-apps
        scopes: &["repo"],
        parameters: &[],
    },
    Known {
        kind: "gitlab",
        api_url: None,
        hosts: &["gitlab.com"],
        // https://docs.gitlab.com/api/oauth2/#access-git-over-https-with-access-token
        basic_username: "oauth2",
        // https://docs.gitlab.com/integration/openid_connect_provider/
        issuer: Some("https://gitlab.com"),
        endpoints: [None; 5],
        registration: "https://gitlab.com/-/user_settings/applications",
        secret_in_body: false,
        // https://docs.gitlab.com/integration/oauth_provider/#view-all-authorized-applications
        scopes: &["openid", "read_repository", "write_repository"],
        parameters: &[],
    },
    Known {
        kind: "gitea",
        api_url: None,
        hosts: &[],
        // https://docs.gitea.com/development/oauth2-provider: the token stands in the place of the password.
        basic_username: "oauth2",
        issuer: None,
        endpoints: [None; 5],
        registration: "<the issuer>/user/settings/applications",
        secret_in_body: false,
        // https://docs.gitea.com/development/oauth2-provider#scopes
        scopes: &["openid", "read:user", "write:repository"],
        parameters: &[],
    },
    Known {
        kind: "forgejo",
        api_url: None,
        hosts: &[],
        // https://forgejo.org/docs/latest/user/oauth2-provider/
        basic_username: "oauth2",
        issuer: None,
        endpoints: [None; 5],
        registration: "<the issuer>/user/settings/applications",
        secret_in_body: false,
        scopes: &["openid", "read:user", "write:repository"],
        parameters: &[],
    },
    Known {
        kind: "bitbucket",
        api_url: Some("https://api.bitbucket.org"),
        hosts: &["bitbucket.org"],
        // https://developer.atlassian.com/cloud/bitbucket/oauth-2/#cloning-a-repository-with-an-access-token
        basic_username: "x-token-auth",
        issuer: None,
        // https://developer.atlassian.com/cloud/bitbucket/oauth-2/
        endpoints: [
            Some("https://bitbucket.org/site/oauth2/authorize"),
            Some("https://bitbucket.org/site/oauth2/access_token"),
            None,
            None,
            Some("https://api.bitbucket.org/2.0/user"),
        ],
        registration: "https://bitbucket.org/<workspace>/workspace/settings/api",
        secret_in_body: false,
        // The registration says which.
        scopes: &[],
        parameters: &[],
    },
    Known {
        kind: "google",
        api_url: None,
        // https://cloud.google.com/artifact-registry/docs/docker/authentication#token
        hosts: &["*.pkg.dev"],
        basic_username: "oauth2accesstoken",
        // https://accounts.google.com/.well-known/openid-configuration
        issuer: Some("https://accounts.google.com"),
        endpoints: [None; 5],
        registration: "https://console.cloud.google.com/apis/credentials",
        // https://developers.google.com/identity/protocols/oauth2/native-app#exchange-authorization-code
        secret_in_body: true,
        scopes: &["openid", "email", "https://www.googleapis.com/auth/cloud-platform"],
        // https://developers.google.com/identity/protocols/oauth2/web-server#offline: else there is no refresh token.
        parameters: &[("access_type", "offline"), ("prompt", "consent")],
    },
];

impl Known {
    /// The service of that name.
    pub fn of(kind: &str) -> Option<&'static Self> {
        ALL.iter().find(|known| known.kind == kind)
    }

    /// What a login needs to know of it.
    pub fn oauth(&self) -> OAuth {
        let [authorization, token, device_authorization, revocation, userinfo] =
            self.endpoints.map(|url| url.map(Cow::Borrowed));
        let text = |text: &&'static str| Text::from(*text);
        OAuth {
            issuer: self.issuer.map(Text::from),
            endpoints: Endpoints { authorization, token, device_authorization, revocation, userinfo },
            registration: Some(self.registration.into()),
            secret_in_body: self.secret_in_body,
            scopes: self.scopes.iter().map(text).collect(),
            parameters: self.parameters.iter().map(|(name, value)| (text(name), text(value))).collect(),
            ..OAuth::default()
        }
    }
}
