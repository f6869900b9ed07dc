//! Which variables `exec` and `export` set, and to what.

use crate::auth::Engine;
use crate::error::{Error, Result, sanitize};
use crate::model::{
    Credential, CredentialRequest, Kind, Resolved, Secret, Target, Timestamp, Warning,
};

/// What both take.
#[derive(clap::Args)]
pub(super) struct Variables {
    /// A variable to set: NAME for the token, or NAME=token, NAME=username, NAME=header, NAME=expires_at.
    /// Without one, the provider's own (MY_API_TOKEN) is set; a login stored for a URL needs one
    #[arg(long, value_name = "NAME[=FIELD]")]
    env: Vec<String>,
    /// Where the credential will be sent
    #[arg(long)]
    url: Option<String>,
}

/// A variable and its value.
pub(super) struct Assignment {
    pub(super) name: String,
    pub(super) value: Secret,
}

impl Variables {
    /// Finds the credential and says what is to be set, with what the person should know.
    pub(super) fn assignments(
        &self,
        engine: &Engine<'_>,
    ) -> Result<(Vec<Assignment>, Vec<Warning>)> {
        let wanted: Vec<_> =
            self.env.iter().map(|text| Wanted::parse(text)).collect::<Result<_>>()?;
        let target = self.url.as_deref().map(Target::parse).transpose()?;
        let request = CredentialRequest { target, ..CredentialRequest::default() };
        let Resolved { credential: found, warnings, .. } = engine.get(&request)?;
        let assignments = if wanted.is_empty() {
            // Whatever reads the provider's variable would send a stranger's password to the provider.
            if found.kind == Kind::UrlCredential {
                return Err(Error::invalid(
                    "what is kept for that URL is a user name and a password, and no provider's token",
                )
                .with_hint("name the variables: `--env NAME`, `--env NAME=username`"));
            }
            let name =
                engine.context.provider(found.provider.as_deref())?.token_variable.into_owned();
            vec![Assignment { name, value: found.secret.clone() }]
        } else {
            wanted.iter().map(|wanted| wanted.of(&found)).collect::<Result<_>>()?
        };
        Ok((assignments, warnings))
    }
}

struct Wanted<'a> {
    name: &'a str,
    field: &'a str,
}

impl<'a> Wanted<'a> {
    fn parse(text: &'a str) -> Result<Self> {
        let (name, field) = text.split_once('=').unwrap_or((text, "token"));
        let begins_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if !begins_well || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(Error::invalid(format!(
                "`{}` cannot be the name of a variable",
                sanitize(name)
            )));
        }
        if !matches!(field, "token" | "username" | "header" | "expires_at") {
            let message = format!("{name} can be set to token, username, header or expires_at");
            return Err(Error::invalid(message));
        }
        Ok(Self { name, field })
    }

    fn of(&self, found: &Credential) -> Result<Assignment> {
        let value = match self.field {
            "username" => Secret::new(found.username.as_str()),
            "expires_at" => {
                Secret::new(found.expires_at.map(Timestamp::to_whole_seconds).unwrap_or_default())
            }
            "header" => {
                let none = || Error::invalid("a user name and a password go into no header");
                let header = found.header.as_ref().ok_or_else(none)?;
                Secret::new(format!(
                    "{}: {}",
                    header.name,
                    header.value(&found.secret).expose_secret()
                ))
            }
            _ => found.secret.clone(),
        };
        Ok(Assignment { name: self.name.to_owned(), value })
    }
}
