//! git's credential protocol (gitcredentials(7), git-credential(1)).
//!
//! The parser reads bytes: only LF separates lines, and a CR or NUL inside a line is an error (CVE-2020-5260,
//! CVE-2024-52006).

use std::fmt::Write as _;

use super::{Protocol, challenges};
use crate::error::{Error, ErrorCode, Result};
use crate::model::{
    AuthForm, CredentialRequest, Framing, Invocation, Kind, Occasion, Operation, Origin, Resolved,
    Response, Scheme, Secret, StoreRequest, Target, Timestamp, ToolOutput, ToolTraits, UrlPath,
};

/// git's own limit for a line, with its LF.
const MAX_LINE: usize = 65_535;

pub(super) struct Git;

impl Protocol for Git {
    const NAME: &'static str = "git";
    const PROGRAM: Option<&'static str> = Some("git-credential-my");
    const OPERATIONS: &'static [&'static str] = &["get", "store", "erase", "capability"];

    type Parsed<'a> = Call<'a>;

    fn framing(arguments: &[String]) -> Framing {
        match operation(arguments) {
            "get" | "store" | "erase" => Framing::Paragraph,
            _ => Framing::Nothing,
        }
    }

    fn decode(invocation: &Invocation) -> (Call<'_>, Result<Operation>) {
        let operation = operation(&invocation.arguments);
        let mut call = Call { operation, attributes: Attributes::default() };
        let operation = call.decode(&invocation.input);
        (call, operation)
    }

    fn encode(call: &Call<'_>, result: Result<Response>) -> ToolOutput {
        match result {
            _ if call.operation == "capability" => {
                ToolOutput::success("version 0\ncapability authtype\ncapability state\n")
            }
            Ok(Response::Found(found)) => encode_credential(&found, &call.attributes),
            Ok(_) => ToolOutput::default(),
            // git calls its next helper, or prompts: no message is needed.
            Err(error) if error.code == ErrorCode::NotFound => ToolOutput::default(),
            // git shows the line before it prompts for a password that the host does not accept.
            Err(error) if error.is_no_credential() => {
                ToolOutput::default().with_note(error.one_line_with_hint())
            }
            Err(error) => ToolOutput::error(&error),
        }
    }
}

/// git appends the operation to the configured command.
fn operation(arguments: &[String]) -> &str {
    arguments.last().map_or("", String::as_str)
}

pub(super) struct Call<'a> {
    operation: &'a str,
    attributes: Attributes<'a>,
}

impl<'a> Call<'a> {
    fn decode(&mut self, input: &'a [u8]) -> Result<Operation> {
        match self.operation {
            "get" | "store" | "erase" => {}
            // git always passes an operation, so the caller is a person.
            "" => {
                let hint = "usage: git-credential-my <get|store|erase|capability>";
                return Err(Error::invalid("no operation given").with_hint(hint));
            }
            // gitcredentials(7): "If a helper receives any other operation, it should silently ignore the request."
            _ => return Ok(Operation::Nothing),
        }
        self.attributes = Attributes::parse(input, self.operation == "get")?;
        let attributes = &self.attributes;
        if !attributes.has_target() {
            return Ok(Operation::Nothing);
        }
        let auth_form = if self.operation == "get" && attributes.can_send_authtype() {
            AuthForm::Authorization
        } else {
            AuthForm::PasswordOrBearer
        };
        let tool = ToolTraits { exact_path: true, ..ToolTraits::new(auth_form) };
        let username = attributes.username.map(str::to_owned);
        let request = CredentialRequest { username, ..CredentialRequest::new(tool) };
        let target = attributes.target();
        if self.operation == "erase" {
            let secret = attributes.password.or(attributes.credential).map(Secret::new);
            return Operation::erase(target, &attributes.legacy_url(), request, secret);
        }
        let target = target?;
        let may_be_stored = target.origin.is_safe() && !attributes.ephemeral;
        let request = CredentialRequest { target: Some(target), ..request };
        match self.operation {
            "get" => Ok(Operation::Get(request)),
            _ if may_be_stored => Ok(attributes.store(request)),
            _ => Ok(Operation::Nothing),
        }
    }
}

/// The attributes of a request that this program uses.
#[derive(Default)]
struct Attributes<'a> {
    is_get: bool,
    protocol: Option<&'a str>,
    host: Option<&'a str>,
    /// Without percent-encoding, in the encoding of the server.
    path: Option<&'a [u8]>,
    url: Option<&'a str>,
    username: Option<&'a str>,
    password: Option<&'a str>,
    authtype: Option<&'a str>,
    credential: Option<&'a str>,
    refresh_token: Option<&'a str>,
    expires_at: Option<Timestamp>,
    ephemeral: bool,
    /// An empty `capability[]` clears the list, as an empty `wwwauth[]` clears the schemes.
    capabilities: Vec<&'a str>,
    /// The authentication schemes that the server offers, in lower case.
    offered_schemes: Vec<String>,
}

impl<'a> Attributes<'a> {
    fn parse(input: &'a [u8], is_get: bool) -> Result<Self> {
        let mut attributes = Self { is_get, ..Self::default() };
        for line in input.split(|byte| *byte == b'\n') {
            // git copies this line from the server: it may be long, and not UTF-8. What has a meaning in it is ASCII.
            if let Some(challenge) = line.strip_prefix(b"wwwauth[]=") {
                attributes.set_challenges(&String::from_utf8_lossy(challenge));
                continue;
            }
            if line.len() >= MAX_LINE {
                return Err(Error::invalid("a line is longer than 65,535 bytes"));
            }
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.is_empty() {
                break;
            }
            if line.iter().any(|byte| matches!(byte, b'\r' | b'\0')) {
                return Err(Error::invalid("a line contains a carriage return or NUL"));
            }
            let equals = line.iter().position(|byte| *byte == b'=');
            let equals = equals.ok_or_else(|| Error::invalid("a line is not `key=value`"))?;
            let key = String::from_utf8_lossy(&line[..equals]);
            attributes.check_unique(&key)?;
            attributes.set(&key, &line[equals + 1..])?;
        }
        Ok(attributes)
    }

    /// Rejects a request that specifies its target more than once: an old git wrote the text after a newline in a URL
    /// as another line, and sent the credential for that line's host to the first host (CVE-2020-5260).
    fn check_unique(&self, key: &str) -> Result<()> {
        let is_set = match key {
            "protocol" => self.url.or(self.protocol).is_some(),
            "host" => self.url.or(self.host).is_some(),
            "path" => self.url.is_some() || self.path.is_some(),
            "url" => self.url.or(self.protocol).or(self.host).is_some() || self.path.is_some(),
            _ => false,
        };
        if is_set { Err(Error::invalid("the target is specified more than once")) } else { Ok(()) }
    }

    /// Sets the attribute `key`. A path and a value that the operation does not use may have any encoding.
    fn set(&mut self, key: &str, value: &'a [u8]) -> Result<()> {
        let text = || {
            let text = std::str::from_utf8(value);
            text.map_err(|_| Error::invalid("a line is not UTF-8"))
        };
        match key {
            "protocol" => self.protocol = Some(text()?),
            "host" => self.host = Some(text()?),
            "path" => self.path = Some(value),
            "url" => self.url = Some(text()?),
            "username" => self.username = Some(text()?),
            // Another helper may have returned them.
            "authtype" | "password" | "credential" | "oauth_refresh_token" if self.is_get => {}
            "authtype" => self.authtype = Some(text()?).filter(|scheme| !scheme.is_empty()),
            "password" => self.password = Some(text()?),
            "credential" => self.credential = Some(text()?),
            "oauth_refresh_token" => self.refresh_token = Some(text()?),
            "password_expiry_utc" => {
                let seconds = text().ok().and_then(|seconds| seconds.parse().ok());
                self.expires_at = seconds.map(Timestamp::from_unix);
            }
            "ephemeral" => self.ephemeral = !matches!(value, b"" | b"0" | b"false"),
            "capability[]" if value.is_empty() => self.capabilities.clear(),
            "capability[]" => self.capabilities.extend(text()),
            _ => {}
        }
        Ok(())
    }

    /// Whether the URL is https or http. An empty protocol or host must match no credential (CVE-2020-11008).
    fn has_target(&self) -> bool {
        match self.url {
            Some(url) => ["https://", "http://"].iter().any(|scheme| {
                url.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
            }),
            None => {
                matches!(self.protocol, Some("https" | "http"))
                    && self.host.is_some_and(|host| !host.is_empty())
            }
        }
    }

    fn target(&self) -> Result<Target> {
        if let Some(url) = self.url {
            return Target::parse(url);
        }
        let scheme = if self.protocol == Some("http") { Scheme::Http } else { Scheme::Https };
        let origin = Origin::parse(scheme, self.host.unwrap_or_default())?;
        Ok(Target { origin, path: UrlPath::from_decoded(self.path.unwrap_or_default())? })
    }

    /// The URL as version 0.1.0 wrote it.
    fn legacy_url(&self) -> String {
        let [protocol, host] = [self.protocol, self.host].map(Option::unwrap_or_default);
        let path = String::from_utf8_lossy(self.path.unwrap_or_default());
        let url = || format!("{protocol}://{host}/{}", percent_encode(&path));
        self.url.map_or_else(url, str::to_owned)
    }

    /// Stores a password with its user name, or a token with its scheme; nothing without these.
    fn store(&self, request: CredentialRequest) -> Operation {
        let (secret, scheme) = match *self {
            Self { password: Some(password), username: Some(_), .. } => (password, None),
            Self { credential: Some(credential), authtype: Some(scheme), .. } => {
                (credential, Some(scheme.to_owned()))
            }
            _ => return Operation::Nothing,
        };
        Operation::Store(StoreRequest {
            request,
            secret: Secret::new(secret),
            scheme,
            refresh_token: self.refresh_token.map(Secret::new),
            expires_at: self.expires_at,
            occasion: Occasion::Use,
        })
    }

    /// Whether this git can send a credential that is not a password.
    fn can_send_authtype(&self) -> bool {
        self.capabilities.contains(&"authtype")
    }

    /// Whether a provider's token is returned as a Bearer token: to a git that can send one, for a server that offers
    /// Bearer and not Basic. If the server offers both, a password is safer: before git sends more than
    /// `http.postBuffer`, it sends a probe, after which it has lost the Bearer token, but not a password (`probe_rpc`
    /// in remote-curl.c, since 2.46).
    fn takes_bearer(&self) -> bool {
        self.can_send_authtype() && self.is_offered("bearer") && !self.is_offered("basic")
    }

    fn is_offered(&self, scheme: &str) -> bool {
        self.offered_schemes.iter().any(|offered| offered == scheme)
    }

    /// Adds the schemes of a `WWW-Authenticate` header; an empty value clears the list.
    fn set_challenges(&mut self, header: &str) {
        let header = header.trim_end_matches('\r');
        if header.is_empty() {
            self.offered_schemes.clear();
        }
        self.offered_schemes.extend(challenges::schemes(header));
    }
}

/// The path as version 0.1.0 encoded it.
fn percent_encode(path: &str) -> String {
    let encode = |c: char| match c {
        ' ' | '%' | '?' | '#' | '\\' => format!("%{:02X}", u32::from(c)),
        _ => c.to_string(),
    };
    path.chars().map(encode).collect()
}

fn encode_credential(found: &Resolved, attributes: &Attributes<'_>) -> ToolOutput {
    let credential = &found.credential;
    let (secret, username) = (credential.secret.expose_secret(), &credential.username);
    // git requires the capability in the first line.
    let mut lines = match (&credential.header, credential.kind) {
        (Some(header), Kind::UrlCredential) => {
            let scheme = header.scheme.as_deref().unwrap_or_default();
            let lines = format!("capability[]=authtype\nauthtype={scheme}\ncredential={secret}\n");
            if username.is_empty() { lines } else { format!("{lines}username={username}\n") }
        }
        // `ephemeral` prevents other helpers from storing the token, which this program refreshes.
        (Some(header), _) if header.is_bearer() && attributes.takes_bearer() => {
            format!("capability[]=authtype\nauthtype=Bearer\ncredential={secret}\nephemeral=1\n")
        }
        _ => format!("username={username}\npassword={secret}\n"),
    };
    if let Some(expires_at) = credential.expires_at {
        let _ = writeln!(lines, "password_expiry_utc={}", expires_at.unix());
    }
    if let Some(token) = &credential.refresh_token {
        let _ = writeln!(lines, "oauth_refresh_token={}", token.expose_secret());
    }
    ToolOutput::success(lines).with_warnings(&found.warnings)
}
