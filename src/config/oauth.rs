//! `[providers.NAME]` of a service that speaks OAuth 2, by its kind, its issuer, or its endpoints.

use super::ProviderSettings;
use crate::error::{Error, Result, sanitize};
use crate::model::known::KnownService;
use crate::model::{
    ClientAuthMethod, Endpoints, HostPattern, LoginKind, OAuth, Provider, SecretLocation, Target,
};

impl ProviderSettings {
    pub(super) fn oauth_provider(
        &self,
        name: &str,
        known: Option<&KnownService>,
    ) -> Result<Provider> {
        // With an issuer, the service is another installation of the software: the facts of the public one do not count.
        let public = known.filter(|_| self.issuer.is_none());
        let mut oauth = known.map_or_else(OAuth::default, |known| (known.oauth)());
        if public.is_none() {
            oauth.endpoints = Endpoints::default();
        }
        self.set_oauth(&mut oauth)?;
        if let (Some(known), Some(issuer)) = (known, &oauth.issuer) {
            let device = &mut oauth.endpoints.device_authorization;
            *device = device.take().or_else(|| known.device_authorization(issuer));
        }
        let known_url = public.and_then(|known| known.api_url);
        let url = self.api_url.as_deref().or(known_url).or(oauth.issuer.as_deref());
        let api_url = match url {
            Some(url) => url.to_owned(),
            None => token_origin(name, &oauth)?,
        };
        let token_variable = self.token_variable.clone().unwrap_or_else(|| derived_variable(name));
        let service = oauth.issuer.clone().or_else(|| oauth.endpoints.token.clone());
        let login = LoginKind::OAuth(Box::new(oauth));
        let mut provider = Provider::new(name, login, api_url, token_variable);
        provider.key.service = service;
        if let Some(known) = known {
            provider.basic_username = known.basic_username.into();
        }
        for host in public.map_or(&[][..], |known| known.hosts) {
            provider.hosts.push(HostPattern::parse(host)?);
        }
        Ok(provider)
    }

    fn set_oauth(&self, oauth: &mut OAuth) -> Result<()> {
        let OAuth {
            issuer,
            endpoints,
            client_id,
            client_secret,
            secret_in_body,
            scopes,
            grant,
            redirect_port,
            kubernetes_token,
            ..
        } = oauth;
        let Endpoints { authorization, token, device_authorization, revocation, userinfo } =
            endpoints;
        for (field, value) in [
            (issuer, &self.issuer),
            (authorization, &self.authorization_endpoint),
            (token, &self.token_endpoint),
            (device_authorization, &self.device_authorization_endpoint),
            (revocation, &self.revocation_endpoint),
            (userinfo, &self.userinfo_endpoint),
        ] {
            if let Some(url) = value {
                Provider::api_origin(url)?;
                *field = Some(url.clone().into());
            }
        }
        *client_id = self.client_id.clone().map(Into::into);
        *client_secret = match (&self.client_secret_variable, &self.client_secret_file) {
            (Some(name), _) => Some(SecretLocation::Variable(name.clone())),
            (None, Some(path)) => Some(SecretLocation::File(path.clone())),
            (None, None) => None,
        };
        if let Some(configured) = &self.scopes {
            *scopes = configured.iter().map(|scope| scope.clone().into()).collect();
        }
        *kubernetes_token = self.kubernetes_token;
        let in_body = |method| method == ClientAuthMethod::ClientSecretPost;
        *secret_in_body = self.token_endpoint_auth_method.map(in_body).or(*secret_in_body);
        *grant = self.grant.unwrap_or_default();
        *redirect_port = self.redirect_port;
        Ok(())
    }
}

fn token_origin(name: &str, oauth: &OAuth) -> Result<String> {
    let Some(url) = oauth.endpoints.token.as_deref() else {
        let name = sanitize(name);
        let message = format!("[providers.{name}] has neither `issuer` nor `token_endpoint`");
        return Err(Error::invalid(message));
    };
    Ok(Target::parse(url)?.origin.to_string())
}

/// `ACME_DEV_TOKEN` for `acme-dev`. The name of a variable cannot begin with a digit, as that of an address does.
pub(super) fn derived_variable(name: &str) -> String {
    let start = if name.starts_with(|c: char| c.is_ascii_digit()) { "_" } else { "" };
    format!("{start}{}_TOKEN", name.to_ascii_uppercase().replace('-', "_"))
}

#[cfg(test)]
mod tests {
    use crate::config::Configuration;
    use crate::model::LoginKind;
    use crate::model::Target;
    use crate::model::known;

    fn owns(text: &str, url: &str) -> bool {
        let provider = toml::from_str::<Configuration>(text).unwrap().provider("x").unwrap();
        let api = crate::model::Provider::api_origin(&provider.api_url).unwrap();
        provider.owns(&Target::parse(url).unwrap(), &api)
    }

    #[test]
    fn every_known_service_is_a_provider() {
        for known in known::ALL {
            let issuer =
                if known.hosts.is_empty() { "issuer = 'https://git.acme.dev'\n" } else { "" };
            let text =
                format!("[providers.x]\nkind = '{}'\nclient_id = 'me'\n{issuer}", known.kind);
            let provider = toml::from_str::<Configuration>(&text).unwrap().provider("x").unwrap();
            assert!(
                matches!(&provider.login, LoginKind::OAuth(oauth) if oauth.client_id.as_deref() == Some("me"))
            );
            assert_eq!(provider.token_variable, "X_TOKEN");
        }
    }

    #[test]
    fn no_derived_variable_is_that_of_another_provider() {
        let gitea = |name: &str, rest: &str| {
            format!(
                "[providers.{name}]\nkind = 'gitea'\nissuer = 'https://{name}.dev'\nclient_id = 'x'\n{rest}\n"
            )
        };
        let own = "token_variable = 'OTHER'";
        for (text, name, is_accepted) in [
            (gitea("my-api", ""), "my-api", false),
            (gitea("my-api", ""), "mycli", true),
            (gitea("Microtica", ""), "Microtica", false),
            (gitea("a-b", "") + &*gitea("a_b", ""), "a-b", false),
            (gitea("a-b", "") + &*gitea("A_B", own), "a-b", true),
            (gitea("a-b", "") + &*gitea("c", "token_variable = 'A_B_TOKEN'"), "a-b", false),
            (gitea("a-b", "") + &*gitea("c", ""), "a-b", true),
        ] {
            let configuration: Configuration = toml::from_str(&text).unwrap();
            assert_eq!(configuration.provider(name).is_ok(), is_accepted, "{name} in {text}");
        }
    }

    #[test]
    fn tokens_of_a_self_hosted_service_stay_there() {
        let text = "[providers.x]\nkind = 'gitlab'\n";
        assert!(owns(text, "https://gitlab.com/a/b.git"));
        let text = "[providers.x]\nkind = 'gitlab'\nissuer = 'https://git.acme.dev'\n";
        assert!(
            !owns(text, "https://gitlab.com/a/b.git") && owns(text, "https://git.acme.dev/a/b.git")
        );
    }

    #[test]
    fn gitlab_has_a_device_flow_although_its_metadata_omits_it() {
        for (issuer, expected) in [
            ("", "https://gitlab.com/oauth/authorize_device"),
            (
                "issuer = 'https://git.acme.dev/gitlab/'\n",
                "https://git.acme.dev/gitlab/oauth/authorize_device",
            ),
            ("device_authorization_endpoint = 'https://acme.dev/code'\n", "https://acme.dev/code"),
        ] {
            let text = format!("[providers.x]\nkind = 'gitlab'\n{issuer}");
            let provider = toml::from_str::<Configuration>(&text).unwrap().provider("x").unwrap();
            let LoginKind::OAuth(oauth) = provider.login else { panic!("{issuer}") };
            assert_eq!(oauth.endpoints.device_authorization.as_deref(), Some(expected));
        }
    }

    #[test]
    fn the_client_secret_is_sent_as_configured() {
        for (text, in_body) in [
            ("kind = 'oauth'\n", None),
            ("kind = 'oauth'\ntoken_endpoint_auth_method = 'client_secret_post'\n", Some(true)),
            ("kind = 'oauth'\ntoken_endpoint_auth_method = 'client_secret_basic'\n", Some(false)),
            ("kind = 'google'\n", Some(true)),
            ("kind = 'google'\ntoken_endpoint_auth_method = 'client_secret_basic'\n", Some(false)),
        ] {
            let text = format!("[providers.x]\nissuer = 'https://login.acme.dev'\n{text}");
            let provider = toml::from_str::<Configuration>(&text).unwrap().provider("x").unwrap();
            let LoginKind::OAuth(oauth) = provider.login else { panic!("{text}") };
            assert_eq!(oauth.secret_in_body, in_body, "{text}");
        }
        for setting in ["token_endpoint_auth_method = 'private_key_jwt'", "kubernetes_token = 'x'"]
        {
            let text = format!("[providers.x]\nkind = 'oauth'\n{setting}\n");
            assert!(toml::from_str::<Configuration>(&text).is_err(), "{setting}");
        }
    }

    #[test]
    fn an_endpoint_without_tls_is_rejected() {
        let text = "[providers.x]\nkind = 'oauth'\ntoken_endpoint = 'http://acme.dev/token'\n";
        let error = toml::from_str::<Configuration>(text).unwrap().provider("x").unwrap_err();
        assert!(error.message.contains("plain http"), "{error}");
    }
}
