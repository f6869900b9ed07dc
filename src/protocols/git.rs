//! git's credential protocol as two pure functions (gitcredentials(7), git-credential(1)). Knows no store, no network,
//! no clock.
//!
//! A byte parser: LF alone separates, and a CR or NUL inside a value is refused, whatever a friendlier reader would
//! make of it (CVE-2020-5260, CVE-2024-52006).

use std::fmt::Write as _;

use crate::error::{Error, Result};
use crate::model::credential::Kind;
use crate::model::origin::{Scheme, Target};
use crate::model::request::{
    AuthForm, CredentialRequest, EraseRequest, Operation, Resolved, Response, StoreRequest,
};
use crate::model::secret::Secret;
use crate::model::timestamp::Timestamp;
use crate::protocols::{Input, Invocation, Tool, ToolOutput};

/// The line in the table.
pub const TOOL: Tool = Tool {
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

fn decode(call: &Invocation) -> Result<Operation> {
    let operation = operation(&call.arguments);
    match operation {
        "get" | "store" | "erase" => {}
        // git always names one, so a person is there.
        "" => {
            return Err(Error::invalid("no operation is given")
                .with_hint("git says which: `git-credential-my <get|store|erase|capability>`"));
        }
        // gitcredentials(7): "If a helper receives any other operation, it should silently ignore the request."
        _ => return Ok(Operation::Nothing),
    }
    let attributes = Attributes::parse(&call.input)?;
    let Some(target) = attributes.target()? else { return Ok(Operation::Nothing) };
    let takes_scheme = operation == "get" && attributes.carries_authtype();
    let carries = if takes_scheme { AuthForm::Authorization } else { AuthForm::PasswordOrBearer };
    let Attributes {
        username,
        password,
        authtype,
        credential,
        ephemeral,
        expires_at,
        refresh_token,
        ..
    } = attributes;
    let ask = CredentialRequest {
        target: Some(target),
        exact_path: true,
        username,
        carries,
        ..CredentialRequest::default()
    };
    let is_safe = ask.target.as_ref().is_some_and(|target| target.origin.is_safe());
    match operation {
        "get" => return Ok(Operation::Get(ask)),
        "erase" => {
            return Ok(Operation::Erase(EraseRequest { ask, secret: password.or(credential) }));
        }
        _ if !is_safe || ephemeral => return Ok(Operation::Nothing),
        _ => {}
    }
    // A password has its user; a token that goes into a header says how, and may have none.
    let (secret, scheme) = match (password, credential) {
        (Some(password), _) if ask.username.is_some() => (password, None),
        (_, Some(credential)) if authtype.is_some() => (credential, authtype),
        _ => return Ok(Operation::Nothing),
    };
    Ok(Operation::Store(StoreRequest {
        ask,
        secret,
        scheme,
        refresh_token,
        expires_at,
        by_habit: true,
    }))
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
    authtype: Option<String>,
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
                // The server wrote it: it must not keep a credential from the user.
                if line.starts_with(b"wwwauth[]=") {
                    continue;
                }
                return Err(Error::invalid("a line is longer than 65,535 bytes"));
            }
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.is_empty() {
                break;
            }
            if line.iter().any(|byte| matches!(byte, b'\r' | b'\0')) {
                return Err(Error::invalid("a line contains a carriage return or NUL"));
            }
            let line =
                std::str::from_utf8(line).map_err(|_| Error::invalid("a line is not UTF-8"))?;
            let (key, value) =
                line.split_once('=').ok_or_else(|| Error::invalid("a line is no `key=value`"))?;
            attributes.comes_once(key)?;
            attributes.set(key, value);
        }
        Ok(attributes)
    }

    /// Refuses a second line that says where: an old git wrote what stood behind a newline in a URL as a line of its own,
    /// and sent what it was given for that line's host to the first one's (CVE-2020-5260).
    fn comes_once(&self, key: &str) -> Result<()> {
        let is_parts = ![&self.protocol, &self.host, &self.path].into_iter().all(String::is_empty);
        let is_there = match key {
            "protocol" => self.url.is_some() || !self.protocol.is_empty(),
            "host" => self.url.is_some() || !self.host.is_empty(),
            "path" => self.url.is_some() || !self.path.is_empty(),
            "url" => self.url.is_some() || is_parts,
            _ => false,
        };
        if is_there { Err(Error::invalid("the place is named twice")) } else { Ok(()) }
    }

    fn set(&mut self, key: &str, value: &str) {
        match key {
            "protocol" => value.clone_into(&mut self.protocol),
            "host" => value.clone_into(&mut self.host),
            "path" => value.clone_into(&mut self.path),
            "url" => self.url = Some(value.to_owned()),
            "username" => self.username = Some(value.to_owned()),
            "authtype" => {
                self.authtype = Some(value.to_owned()).filter(|scheme| !scheme.is_empty())
            }
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
            let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
            let is_ours = ["https", "http"].iter().any(|ours| scheme.eq_ignore_ascii_case(ours));
            return if is_ours { Target::parse(url).map(Some) } else { Ok(None) };
        }
        let scheme = match self.protocol.as_str() {
            "https" => Scheme::Https,
            "http" => Scheme::Http,
            _ => return Ok(None),
        };
        if self.host.is_empty() {
            return Ok(None);
        }
        Target::from_parts(scheme, &self.host, &encoded(&self.path)).map(Some)
    }

    /// Whether this git can carry anything but a password.
    fn carries_authtype(&self) -> bool {
        self.capabilities.iter().any(|capability| capability == "authtype")
    }

    /// A Bearer token is given only to a git that can carry it, and for a server that asks for it and for no password:
    /// before git sends more than `http.postBuffer` it asks once more, and then forgets the header, but no password
    /// (`probe_rpc` in remote-curl.c, since 2.46).
    fn takes_bearer(&self) -> bool {
        self.carries_authtype() && self.is_offered("bearer") && !self.is_offered("basic")
    }

    fn is_offered(&self, scheme: &str) -> bool {
        let of = |challenge: &String| {
            challenge
                .split([' ', ','])
                .next()
                .is_some_and(|offered| offered.eq_ignore_ascii_case(scheme))
        };
        self.challenges.iter().any(of)
    }
}

/// A path as a URL has it: git sends it decoded, and `a?b` would be kept as `a` with a query.
fn encoded(path: &str) -> String {
    path.chars().fold(String::with_capacity(path.len()), |mut url, c| {
        match c {
            ' ' | '%' | '?' | '#' | '\\' => {
                let _ = write!(url, "%{:02X}", u32::from(c));
            }
            _ => url.push(c),
        }
        url
    })
}

/// A list that grows line by line; an empty value begins it anew.
fn append(list: &mut Vec<String>, value: &str) {
    if value.is_empty() { list.clear() } else { list.push(value.to_owned()) }
}

fn encode(call: &Invocation, result: Result<Response>) -> ToolOutput {
    if operation(&call.arguments) == "capability" {
        return ToolOutput::success("version 0\ncapability authtype\ncapability state\n");
    }
    match result {
        Ok(Response::Found(found)) => {
            let asked = Attributes::parse(&call.input).unwrap_or_default();
            found_lines(&found, &asked)
        }
        Ok(_) => ToolOutput::default(),
        // git asks its next helper, or the person, when nobody answers; a message would only disturb.
        Err(error) if error.is_nothing_known() => ToolOutput::default(),
        Err(error) => ToolOutput::failure(error.code.exit_status(), error),
    }
}

fn found_lines(found: &Resolved, asked: &Attributes) -> ToolOutput {
    let secret = found.secret.expose_secret();
    let user = if found.username.is_empty() {
        String::new()
    } else {
        format!("username={}\n", found.username)
    };
    let mut lines = Vec::new();
    // The capability comes first.
    match (&found.header, found.kind) {
        (Some(header), Kind::UrlCredential) => {
            let scheme = header.scheme.as_deref().unwrap_or_default();
            lines.push(format!(
                "capability[]=authtype\nauthtype={scheme}\ncredential={secret}\n{user}"
            ));
        }
        // `ephemeral` keeps other helpers from storing what we renew.
        (Some(header), _) if header.is_bearer() && asked.takes_bearer() => {
            lines.push(format!(
                "capability[]=authtype\nauthtype=Bearer\ncredential={secret}\nephemeral=1\n"
            ));
        }
        _ => lines.push(format!("username={}\npassword={secret}\n", found.username)),
    }
    if let Some(end) = found.expires_at {
        lines.push(format!("password_expiry_utc={}\n", end.unix()));
    }
    if let Some(token) = &found.refresh_token {
        lines.push(format!("oauth_refresh_token={}\n", token.expose_secret()));
    }
    ToolOutput::success(lines.concat()).with_notes(&found.notes)
}
