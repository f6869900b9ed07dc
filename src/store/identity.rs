//! The identity token of a job in a variable or a file. Both are read for each exchange, and nothing is stored.

use super::env;
use crate::config::Context;
use crate::error::{Error, Result};
use crate::model::{IdentitySource, Secret};
use crate::sys::atomic_file;

/// Whether this process runs where the source exists.
pub enum Presence {
    /// Why it does not.
    Absent(String),
    Present {
        /// The identity token, if it need not be requested.
        token: Option<Secret>,
        /// A secret that only this job has, if any.
        job: Option<Secret>,
    },
}

pub fn detect(context: &Context, source: &IdentitySource) -> Result<Presence> {
    let absent = |what: &str| Ok(Presence::Absent(format!("{what} is not set")));
    if let Some(name) = source.variable() {
        let Some(value) = context.environment.text(name) else { return absent(name) };
        let token = env::token(&value).map_err(|why| Error::invalid(format!("{name} {why}")))?;
        return Ok(Presence::Present { job: Some(token.clone()), token: Some(token) });
    }
    match source {
        IdentitySource::File(path) | IdentitySource::Kubernetes(path) => {
            let invalid =
                |why: &dyn std::fmt::Display| Error::invalid(format!("{} {why}", path.display()));
            // The kubelet's file is a link to a file of root, which others may read.
            let Some(text) = atomic_file::read_public(path).map_err(|error| invalid(&error))?
            else {
                return Ok(Presence::Absent(format!("{} does not exist", path.display())));
            };
            let text = zeroize::Zeroizing::new(text);
            let token = env::token(&text).map_err(|why| invalid(&why))?;
            Ok(Presence::Present { token: Some(token), job: None })
        }
        IdentitySource::PrivateKey(key) => match context.secret(&key.location)? {
            Some(key) => Ok(Presence::Present { token: None, job: Some(key) }),
            None => Ok(Presence::Absent(key.location.missing())),
        },
        _ => request_variables(context, source),
    }
}

/// A source that is requested with the platform's variables, or a metadata server, which has no variables.
fn request_variables(context: &Context, source: &IdentitySource) -> Result<Presence> {
    let names = source.request_variables();
    let mut job = zeroize::Zeroizing::new(String::new());
    for (at, name) in names.iter().enumerate() {
        match context.environment.text(name) {
            Some(value) => {
                job.push_str(&value);
                job.push('\0');
            }
            None if at == 0 => return Ok(Presence::Absent(format!("{name} is not set"))),
            None => {
                let message = format!("{} is set, and {name} is not", names[0]);
                return Err(Error::invalid(message).with_hint(source.hint("")));
            }
        }
    }
    let job = (!names.is_empty()).then(|| Secret::from(job));
    Ok(Presence::Present { token: None, job })
}
