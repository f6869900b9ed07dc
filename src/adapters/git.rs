//! git's credential protocol as two pure functions (gitcredentials(7), git-credential(1)). Knows no store, no network,
//! no clock.
//!
//! A byte parser: LF alone separates, and a CR or NUL inside a value is refused, whatever a friendlier reader would
//! make of it (CVE-2020-5260, CVE-2024-52006).

use crate::adapters::{Adapter, Answer, Call, Input};
use crate::credential::Kind;
use crate::error::{Code, Error, Result};
use crate::reply::{Ask, Erase, Found, Reply, Request, Store};
use crate::secret::Secret;
use crate::target::{Scheme, Target};
use crate::timestamp::Timestamp;

/// The line in the table.
pub const ADAPTER: Adapter = Adapter {
    name: "git",
    operations: &["get", "store", "erase", "capability"],
    program: Some("git-credential-my"),
    variables: &[],
    input,
    decode,
    encode,
};

/// git's own limit for one line, its end included.
const LONGEST_LINE: usize = 65_535;

fn operation(arguments: &[String]) -> &str {
    // git appends the operation to whatever the configuration says.
    arguments.last().map_or("", String::as_str)
}

fn input(arguments: &[String]) -> Input {
    match operation(arguments) {
        "get" | "store" | "erase" => Input::Paragraph,
        _ => Input::Nothing,
    }
}

fn decode(call: &Call) -> Result<Request> {
    let operation = operation(&call.arguments);
    match operation {
        "get" | "store" | "erase" => {}
        // gitcredentials(7): "If a helper receives any other operation, it should silently ignore the request."
        _ => return Ok(Request::Nothing),
    }
    let attributes = Attributes::parse(&call.input)?;
    let Some(target) = attributes.target()? else { return Ok(Request::Nothing) };
    let Attributes { username, password, credential, ephemeral, expires_at, refresh_token, .. } = attributes;
    let ask = Ask { target: Some(target), exact_path: true, username, bearer_or_password_only: true, ..Ask::default() };
    let is_safe = ask.target.as_ref().is_some_and(|target| target.origin.is_safe());
    Ok(match (operation, password) {
        ("get", _) => Request::Get(ask),
        ("erase", password) => Request::Erase(Erase { ask, secret: password.or(credential) }),
        (_, Some(secret)) if is_safe && !ephemeral && ask.username.is_some() => {
            Request::Store(Store { ask, secret, refresh_token, expires_at, by_habit: true })
        }
        _ => Request::Nothing,
    })
}

/// What git sent, as far as it matters here.
#[derive(Default)]
struct Attributes {
    protocol: String,
    host: String,
    path: String,
    url: Option<String>,
    username: Option<String>,
    password: Option<Secret>,
    credential: Option<Secret>,
    refresh_token: Option<Secret>,
    expires_at: Option<Timestamp>,
    ephemeral: bool,
    capabilities: Vec<String>,
    challenges: Vec<String>,
}

impl Attributes {
    fn parse(input: &[u8]) -> Result<Self> {
        let mut attributes = Self::default();
        for line in input.split(|byte| *byte == b'\n') {
            if line.len() >= LONGEST_LINE {
                return Err(Error::invalid("a line is longer than 65,535 bytes"));
            }
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.is_empty() {
                break;
            }
            if line.iter().any(|byte| matches!(byte, b'\r' | b'\0')) {
                return Err(Error::invalid("a line contains a carriage return or NUL"));
            }
            let line = std::str::from_utf8(line).map_err(|_| Error::invalid("a line is not UTF-8"))?;
            let (key, value) = line.split_once('=').ok_or_else(|| Error::invalid("a line is no `key=value`"))?;
            attributes.set(key, value);
        }
        Ok(attributes)
    }

    fn set(&mut self, key: &str, value: &str) {
        match key {
            "protocol" => value.clone_into(&mut self.protocol),
            "host" => value.clone_into(&mut self.host),
            "path" => value.clone_into(&mut self.path),
            "url" => self.url = Some(value.to_owned()),
            "username" => self.username = Some(value.to_owned()),
            "password" => self.password = Some(Secret::new(value)),
            "credential" => self.credential = Some(Secret::new(value)),
            "oauth_refresh_token" => self.refresh_token = Some(Secret::new(value)),
            "password_expiry_utc" => self.expires_at = value.parse().ok().map(Timestamp::from_unix),
            "ephemeral" => self.ephemeral = !matches!(value, "" | "0" | "false"),
            "capability[]" => append(&mut self.capabilities, value),
            "wwwauth[]" => append(&mut self.challenges, value),
            _ => {}
        }
    }

    /// `None` where it is for nobody: a blank protocol or host must match nothing (CVE-2020-11008), and other protocols
    /// are not ours.
    fn target(&self) -> Result<Option<Target>> {
        if let Some(url) = &self.url {
            return Target::parse(url).map(Some);
        }
        let scheme = match self.protocol.as_str() {
            "https" => Scheme::Https,
            "http" => Scheme::Http,
            _ => return Ok(None),
        };
        if self.host.is_empty() { Ok(None) } else { Target::from_parts(scheme, &self.host, &self.path).map(Some) }
    }

    /// A Bearer token is given only to a git that can carry it, and for a server that asked for it.
    fn takes_bearer(&self) -> bool {
        let offers_bearer = |challenge: &String| {
            let scheme = challenge.split([' ', ',']).next().unwrap_or_default();
            scheme.eq_ignore_ascii_case("bearer")
        };
        self.capabilities.iter().any(|capability| capability == "authtype") && self.challenges.iter().any(offers_bearer)
    }
}

/// A list that grows line by line; an empty value begins it anew.
fn append(list: &mut Vec<String>, value: &str) {
    if value.is_empty() { list.clear() } else { list.push(value.to_owned()) }
}

fn encode(call: &Call, result: Result<Reply>) -> Answer {
    if operation(&call.arguments) == "capability" {
        return Answer::success("version 0\ncapability authtype\ncapability state\n");
    }
    match result {
        Ok(Reply::Found(found)) => {
            let takes_bearer = Attributes::parse(&call.input).is_ok_and(|attributes| attributes.takes_bearer());
            found_lines(&found, takes_bearer)
        }
        Ok(_) => Answer::default(),
        // git asks its next helper, or the person, when nobody answers; a message would only disturb.
        Err(error) if matches!(error.code, Code::NotFound | Code::NotLoggedIn) => Answer::default(),
        Err(error) => Answer::failure(error.code.exit_status(), error),
    }
}

fn found_lines(found: &Found, takes_bearer: bool) -> Answer {
    let is_bearer = found.header.as_ref().is_some_and(crate::provider::Header::is_bearer);
    let secret = found.secret.expose_secret();
    let mut lines = Vec::new();
    if takes_bearer && is_bearer && found.kind != Kind::Login {
        // The capability comes first, and `ephemeral` keeps other helpers from storing what we renew.
        lines.push("capability[]=authtype\nauthtype=Bearer\n".to_owned());
        lines.push(format!("credential={secret}\nephemeral=1\n"));
    } else {
        lines.push(format!("username={}\npassword={secret}\n", found.username));
    }
    if let Some(end) = found.expires_at {
        lines.push(format!("password_expiry_utc={}\n", end.unix()));
    }
    if let Some(token) = &found.refresh_token {
        lines.push(format!("oauth_refresh_token={}\n", token.expose_secret()));
    }
    Answer::success(lines.concat()).with_notes(&found.notes)
}
