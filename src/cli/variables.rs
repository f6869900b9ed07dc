//! The variables that `exec` and `export` set.

use crate::auth::Engine;
use crate::error::{Error, Result, sanitize};
use crate::model::{
    Credential, CredentialRequest, Kind, Resolved, Secret, Source, Target, Timestamp,
};

#[derive(clap::Args)]
pub(super) struct Variables {
    /// A variable to set: NAME for the token, or NAME=token, NAME=username, NAME=header, NAME=expires_at
    /// [default: the provider's variable, such as MY_API_TOKEN; required for a stored credential of a URL]
    #[arg(long, value_name = "NAME[=FIELD]")]
    env: Vec<String>,
    /// The URL that the credential will be sent to
    #[arg(long)]
    url: Option<String>,
}

pub(super) struct Assignment {
    pub(super) name: String,
    pub(super) value: Secret,
    /// Whether the value contains the secret.
    pub(super) is_secret: bool,
}

impl Variables {
    pub(super) fn assignments(
        &self,
        engine: &Engine<'_>,
        min_validity: time::Duration,
    ) -> Result<(Vec<Assignment>, Resolved)> {
        let variables: Vec<_> =
            self.env.iter().map(|text| Variable::parse(text)).collect::<Result<_>>()?;
        let target = self.url.as_deref().map(Target::parse).transpose()?;
        let request = CredentialRequest { target, min_validity, ..CredentialRequest::default() };
        let found = engine.get(&request)?;
        let credential = &found.credential;
        let assignments = if variables.is_empty() {
            // A program that reads the provider's variable would send the password of another service to the provider.
            if credential.kind == Kind::UrlCredential {
                return Err(Error::invalid(
                    "the credential stored for this URL is a user name and password, not the token of a provider",
                )
                .with_hint("specify the variables with `--env NAME` and `--env NAME=username`"));
            }
            let name = engine
                .context
                .provider(credential.provider.as_deref())?
                .token_variable
                .into_owned();
            vec![Assignment { name, value: credential.secret.clone(), is_secret: true }]
        } else {
            variables.iter().map(|variable| variable.assign(credential)).collect::<Result<_>>()?
        };
        Ok((assignments, found))
    }
}

/// When the token expires if it is that of a session, which nothing refreshes in a variable.
pub(super) fn expiry_of_session(Resolved { credential, source, .. }: &Resolved) -> Option<String> {
    let is_session = credential.kind == Kind::Session && *source != Source::Environment;
    credential.expires_at.filter(|_| is_session).map(Timestamp::to_whole_seconds)
}

struct Variable<'a> {
    name: &'a str,
    field: &'a str,
}

impl<'a> Variable<'a> {
    fn parse(text: &'a str) -> Result<Self> {
        let (name, field) = text.split_once('=').unwrap_or((text, "token"));
        let starts_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if !starts_well || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            let message = format!("`{}` is not a valid variable name", sanitize(name));
            return Err(Error::invalid(message));
        }
        if !matches!(field, "token" | "username" | "header" | "expires_at") {
            let message = format!("{name} must be set to token, username, header or expires_at");
            return Err(Error::invalid(message));
        }
        Ok(Self { name, field })
    }

    fn assign(&self, credential: &Credential) -> Result<Assignment> {
        let value = match self.field {
            "username" => Secret::new(credential.username.as_str()),
            "expires_at" => Secret::new(
                credential.expires_at.map(Timestamp::to_whole_seconds).unwrap_or_default(),
            ),
            "header" => {
                let no_header =
                    || Error::invalid("a user name and password cannot be returned as a header");
                let header = credential.header.as_ref().ok_or_else(no_header)?;
                let value = header.value(&credential.secret);
                Secret::new(format!("{}: {}", header.name, value.expose_secret()))
            }
            _ => credential.secret.clone(),
        };
        let is_secret = matches!(self.field, "token" | "header");
        Ok(Assignment { name: self.name.to_owned(), value, is_secret })
    }
}
