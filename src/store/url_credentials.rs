//! Credentials that are stored for one URL each: user name and secret of a git host, a registry, a package index.
//!
//! Only the tool that stored a credential reads and erases it: another tool cannot use the credential, and may leak it
//! (`docker build` sends every listed credential to the daemon). A credential of the JSON protocol is for every tool.
//!
//! Each credential has one small file in a directory for its origin, so that a lookup among a hundred thousand is as
//! fast as among ten. If the keyring has the secret, the file has everything else: `list`, and a request for a host
//! without a credential, do not connect to the keyring.

use std::cmp::Reverse;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{StoreResult, Stores, left};
use crate::config::StoreChoice;
use crate::error::{Error, Result};
use crate::model::{
    AuthForm, CredentialRequest, Item, LegacyUrl, Origin, Outcome, Secret, Source, StorageKey,
    StoreFailure, StoredAt, StoredFormat, Subject, Target, Timestamp, ToolTraits, Trail,
    UrlCredential, Warning, json,
};

const DIRECTORY: &str = ".my/logins";

pub const LOCK: &str = ".my/logins.lock";

/// Instead of a tool's name: stored by a person for every tool.
const EVERY_TOOL: &str = "all";

/// The contents of a credential's file. If the keyring has the secret, its item has the same text with the secret.
#[derive(Clone, Serialize, Deserialize)]
struct Record {
    url: String,
    username: String,
    /// The tool that stored it, or [`EVERY_TOOL`]; version 0.1.0 wrote none.
    #[serde(skip_serializing_if = "Option::is_none")]
    tool: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    authtype: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    oauth_refresh_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    password_expiry_utc: Option<i64>,
    #[serde(default)]
    in_keyring: bool,
    /// In seconds since 1970. Of several users of one host, the latest comes first.
    #[serde(default)]
    stored_at: i64,
    /// A tool may store two users within a second.
    #[serde(default)]
    stored_at_nanos: u32,
}

impl Record {
    fn stored_at(&self) -> (i64, u32) {
        (self.stored_at, self.stored_at_nanos)
    }

    /// The tool that stored it, or [`EVERY_TOOL`], if that is known. Only cargo stores the whole value of a header.
    fn owner(&self) -> Option<&str> {
        self.tool.as_deref().or_else(|| (self.authtype.as_deref() == Some("")).then_some("cargo"))
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        use zeroize::Zeroize as _;
        self.secret.zeroize();
        self.oauth_refresh_token.zeroize();
    }
}

/// A stored credential without its secret.
pub struct Entry {
    /// `None` for a URL that version 0.1.0 accepted and that is an error today.
    pub target: Option<Target>,
    pub username: String,
    pub expires_at: Option<Timestamp>,
    /// The store of the secret.
    pub source: Source,
    /// The key under which it was read, which also erases it: a new credential for its URL may have another key.
    key: StorageKey,
    warning: Option<Warning>,
    record: Record,
}

impl Entry {
    /// The URL, for people.
    pub fn url(&self) -> String {
        self.target.as_ref().map_or_else(|| self.record.url.clone(), ToString::to_string)
    }

    /// The tool that stored it; `None` if it is for every tool, or unknown.
    pub fn tool(&self) -> Option<&str> {
        self.record.tool.as_deref().filter(|tool| *tool != EVERY_TOOL)
    }

    pub fn is_readable_by(&self, tool: ToolTraits) -> bool {
        self.is_accessible(tool, false)
    }

    /// Whether the tool may access the credential: its own, or one for every tool. A tool erases a credential for every
    /// tool only if it names the secret, which a service rejected, and not with `docker logout` (`erases_all`). Version 0.1.0 recorded
    /// no tool: every tool has access.
    fn is_accessible(&self, tool: ToolTraits, erases_all: bool) -> bool {
        match self.record.owner() {
            None => true,
            Some(EVERY_TOOL) => tool.name.is_none() || !erases_all,
            owner => tool.name == owner,
        }
    }

    /// Whether a new credential replaces this one. A credential of version 0.1.0 may be the tool's.
    fn is_replaced_by(&self, target: &Target, username: &str, tool: &str) -> bool {
        self.target.as_ref() == Some(target)
            && self.username == username
            && self.record.owner().is_none_or(|owner| owner == tool)
    }

    fn matches(&self, request: &CredentialRequest, target: &Target, erases_all: bool) -> bool {
        let Some(own) = &self.target else { return false };
        // With an empty scheme, the secret is the whole value of `Authorization`.
        let is_whole_value = self.record.authtype.as_deref() == Some("");
        let is_for_host = own.path.is_root() && !request.tool.exact_path;
        own.origin == target.origin
            && self.is_accessible(request.tool, erases_all)
            && is_whole_value == (request.tool.auth_form == AuthForm::WholeValue)
            && (target.path.is_root() || own.path == target.path || is_for_host)
            && request.username.as_ref().is_none_or(|username| *username == self.username)
    }

    fn has_scheme(&self) -> bool {
        self.record.authtype.as_ref().is_some_and(|scheme| !scheme.is_empty())
    }

    fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|expiry| expiry <= now)
            && self.record.oauth_refresh_token.is_none()
    }

    /// The record with its secret; `None` if the keyring no longer has it.
    fn load(&self, stores: &Stores<'_>) -> StoreResult<Option<Record>> {
        if self.source != Source::Keyring {
            return Ok(Some(self.record.clone()));
        }
        let stored = stores.keyring.read(&self.key)?;
        let record = stored.map(|stored| decode(&stored.text)).transpose();
        record.map_err(|reason| StoreFailure::Failed(format!("the entry {reason}")))
    }

    fn has_secret(&self, stores: &Stores<'_>, secret: &Secret) -> bool {
        let found = |mut record: Record| Secret::new(record.secret.take().unwrap_or_default());
        self.load(stores).is_ok_and(|record| record.map(found).as_ref() == Some(secret))
    }

    /// The credential with its secret, if it is still in the keyring. An error if the protocol cannot carry its lines.
    fn open(&self, stores: &Stores<'_>, carries_lines: bool) -> StoreResult<Option<UrlCredential>> {
        let Self { target, username, expires_at, .. } = self;
        let Some(target) = target else { return Ok(None) };
        let Some(mut record) = self.load(stores)? else { return Ok(None) };
        let secret = Secret::new(record.secret.take().unwrap_or_default());
        let refresh_token = record.oauth_refresh_token.take().map(Secret::new);
        let scheme = record.authtype.take().filter(|scheme| !scheme.is_empty());
        let texts = [Some(username.as_str()), scheme.as_deref(), Some(secret.expose_secret())];
        let texts = texts.into_iter().chain([refresh_token.as_ref().map(Secret::expose_secret)]);
        // A line break or NUL would end a line of git's protocol.
        if texts.flatten().any(|text| text.contains(['\n', '\r', '\0'])) && !carries_lines {
            return Err(StoreFailure::NotOneLine);
        }
        Ok(Some(UrlCredential {
            target: target.clone(),
            username: username.clone(),
            secret,
            scheme,
            expires_at: *expires_at,
            refresh_token,
            stored_at: Timestamp::from_unix(record.stored_at)
                .plus(time::Duration::nanoseconds(record.stored_at_nanos.into())),
        }))
    }
}

/// The credential for a request, and its store. The exact path precedes the whole host, the tool's own credential
/// precedes one for every tool, and a later credential precedes an earlier one.
pub fn find(
    stores: &Stores<'_>,
    request: &CredentialRequest,
    now: Timestamp,
    trail: &mut Trail,
) -> Option<(UrlCredential, Source)> {
    let target = request.target.as_ref()?;
    let mut entries = match entries_of(stores, &target.origin, trail) {
        Ok(entries) => entries,
        Err(failure) => {
            trail.add(Subject::UrlCredentials, Outcome::Unavailable(failure));
            return None;
        }
    };
    let can_send_scheme = request.tool.auth_form == AuthForm::Authorization;
    entries.retain(|entry| {
        entry.matches(request, target, false) && (can_send_scheme || !entry.has_scheme())
    });
    if target.path.is_root() {
        retain_for_host(&mut entries);
    }
    trail.warnings.extend(entries.iter().filter_map(|entry| entry.warning.clone()));
    entries.sort_by_key(|entry| {
        let is_own = entry.tool() == request.tool.name;
        (entry.target.as_ref() != Some(target), !is_own, Reverse(entry.record.stored_at()))
    });
    for entry in entries {
        let source = entry.source;
        let (outcome, found) = if entry.is_expired(now) {
            (Outcome::Expired, None)
        } else {
            match entry.open(stores, request.tool.carries_lines) {
                Ok(Some(credential)) => (Outcome::Found, Some(credential)),
                Ok(None) => (Outcome::NoEntry, None),
                Err(failure) => (Outcome::Unavailable(failure), None),
            }
        };
        trail.add(Subject::UrlCredential(source), outcome);
        if let Some(credential) = found {
            return Some((credential, source));
        }
    }
    None
}

/// For a request without a path: retains the credentials for the whole host, else those for one path if it is the only one.
fn retain_for_host(entries: &mut Vec<Entry>) {
    let is_for_host =
        |entry: &Entry| entry.target.as_ref().is_some_and(|target| target.path.is_root());
    if entries.iter().any(is_for_host) {
        entries.retain(is_for_host);
    } else if entries.windows(2).any(|pair| pair[0].target != pair[1].target) {
        entries.clear();
    }
}

/// Stores a credential, and removes an older one for the same URL, user and tool from both stores.
pub fn save(
    stores: &Stores<'_>,
    choice: Option<StoreChoice>,
    tool: Option<&str>,
    credential: &UrlCredential,
) -> Result<StoredAt> {
    let UrlCredential { target, username, secret, scheme, expires_at, refresh_token, stored_at } =
        credential;
    let tool = tool.unwrap_or(EVERY_TOOL);
    let key = new_key(target, username, tool);
    let mut record = Record {
        url: target.to_string(),
        username: username.clone(),
        tool: Some(tool.to_owned()),
        secret: Some(secret.expose_secret().to_owned()),
        authtype: scheme.clone(),
        oauth_refresh_token: refresh_token.as_ref().map(|token| token.expose_secret().to_owned()),
        password_expiry_utc: expires_at.map(Timestamp::unix),
        in_keyring: false,
        stored_at: stored_at.unix(),
        stored_at_nanos: stored_at.nanosecond(),
    };
    let older = entries_of(stores, &target.origin, &mut Trail::default()).unwrap_or_default();
    let stored = stores.write_new(choice, &key, &encode(&record))?;
    for entry in older.iter().filter(|entry| entry.is_replaced_by(target, username, tool)) {
        let is_written = stored.source == Source::Keyring && key.item == entry.key.item;
        if entry.source == Source::Keyring
            && !is_written
            && stores.keyring.delete(&entry.key).is_err()
        {
            left::remember(stores, &entry.key, *stored_at).map_err(|cause| not_saved(&cause))?;
        }
        if entry.key.file != key.file {
            stores.file.delete(&entry.key).map_err(|cause| not_saved(&cause))?;
        }
    }
    if stored.source == Source::Keyring {
        (record.in_keyring, record.secret) = (true, None);
        // The file records only that there is a refresh token, with which git can use an expired credential.
        record.oauth_refresh_token = record.oauth_refresh_token.take().map(|_| String::new());
        stores.file.write(&key, &encode(&record)).map_err(|cause| not_saved(&cause))?;
    }
    Ok(stored)
}

/// Erases every credential that matches the request and, with `secret`, has this secret. Returns whether there was one.
pub fn erase(
    stores: &Stores<'_>,
    request: &CredentialRequest,
    secret: Option<&Secret>,
) -> Result<bool> {
    let Some(target) = &request.target else { return Ok(false) };
    let (mut erased, mut trail) = (false, Trail::default());
    let entries = entries_of(stores, &target.origin, &mut trail)
        .map_err(|failure| Error::invalid_state(failure.to_string()))?;
    let is_requested = |entry: &&Entry| entry.matches(request, target, secret.is_none());
    for entry in entries.iter().filter(is_requested) {
        if secret.is_none_or(|secret| entry.has_secret(stores, secret)) {
            erased |= delete(stores, entry)?;
        }
    }
    // The entry that could not be read may be the requested one.
    match trail.attempts.pop().map(|attempt| attempt.outcome) {
        Some(Outcome::Unavailable(cause)) if !erased => Err(not_erased(&cause)),
        _ => Ok(erased),
    }
}

/// Erases what version 0.1.0, and no later one, stored for a URL that is an error today, by the text of the URL.
pub fn erase_legacy(
    stores: &Stores<'_>,
    url: &LegacyUrl,
    request: &CredentialRequest,
    secret: Option<&Secret>,
) -> Result<bool> {
    let entries = entries_in(stores, &directory_of(&url.origin), &mut Trail::default());
    let is_requested = |entry: &&Entry| {
        entry.record.tool.is_none()
            && entry.record.url == url.url
            && entry.is_accessible(request.tool, secret.is_none())
            && request.username.as_ref().is_none_or(|username| *username == entry.username)
    };
    let mut erased = false;
    for entry in entries.unwrap_or_default().iter().filter(is_requested) {
        if secret.is_none_or(|secret| entry.has_secret(stores, secret)) {
            erased |= delete(stores, entry)?;
        }
    }
    Ok(erased)
}

/// Deletes the item before its file: only the file leads to the item.
fn delete(stores: &Stores<'_>, Entry { key, source, .. }: &Entry) -> Result<bool> {
    if *source == Source::Keyring {
        stores.keyring.delete(key).map_err(|cause| not_erased(&cause))?;
    }
    stores.file.delete(key).map_err(|cause| not_erased(&cause))
}

pub fn is_empty(stores: &Stores<'_>) -> bool {
    stores.file.list(DIRECTORY).is_ok_and(|origins| origins.is_empty())
}

/// Every stored credential without its secret, ordered by URL.
pub fn all(stores: &Stores<'_>) -> Vec<Entry> {
    let mut entries = Vec::new();
    for origin in stores.file.list(DIRECTORY).unwrap_or_default() {
        let directory = format!("{DIRECTORY}/{origin}");
        entries.extend(entries_in(stores, &directory, &mut Trail::default()).unwrap_or_default());
    }
    entries.sort_by_cached_key(|entry| {
        (entry.url(), entry.username.clone(), entry.tool().map(str::to_owned))
    });
    entries
}

fn entries_of(stores: &Stores<'_>, origin: &Origin, trail: &mut Trail) -> StoreResult<Vec<Entry>> {
    entries_in(stores, &directory_of(&origin_text(origin)), trail)
}

/// The entries of one directory. An entry that cannot be read becomes an attempt of the trail.
fn entries_in(stores: &Stores<'_>, directory: &str, trail: &mut Trail) -> StoreResult<Vec<Entry>> {
    let is_json = |name: &&String| Path::new(name).extension().is_some_and(|end| end == "json");
    let mut entries = Vec::new();
    for name in stores.file.list(directory)?.iter().filter(is_json) {
        match entry(stores, format!("{directory}/{name}")) {
            Ok(entry) => entries.extend(entry),
            Err(cause) => trail.add(Subject::UrlCredentialFile, Outcome::Unavailable(cause)),
        }
    }
    Ok(entries)
}

fn entry(stores: &Stores<'_>, file: String) -> StoreResult<Option<Entry>> {
    let mut key = key_of(String::new(), file);
    let Some(stored) = stores.file.read(&key)? else { return Ok(None) };
    let location = stores.file.location(&key).unwrap_or_default();
    let unusable = |reason: String| StoreFailure::Failed(format!("{location} {reason}"));
    let record = decode(&stored.text).map_err(unusable)?;
    let tool = record.tool.as_deref().unwrap_or(EVERY_TOOL);
    key.item = Some(Item::new(user_of(&record.url, &record.username, tool)));
    Ok(Some(Entry {
        target: Target::parse(&record.url).ok(),
        username: record.username.clone(),
        expires_at: record.password_expiry_utc.map(Timestamp::from_unix),
        source: if record.in_keyring { Source::Keyring } else { Source::File },
        key,
        warning: stored.warning,
        record,
    }))
}

fn decode(text: &Secret) -> Result<Record, String> {
    serde_json::from_str(text.expose_secret()).map_err(|error| json::reason(&error))
}

fn encode(record: &Record) -> Secret {
    // Strings and numbers cannot fail to serialize.
    Secret::new(serde_json::to_string(record).unwrap_or_default())
}

/// The key of a new credential.
fn new_key(target: &Target, username: &str, tool: &str) -> StorageKey {
    let name = hash(&user_of(target.path.as_str(), username, tool));
    let directory = directory_of(&origin_text(&target.origin));
    let user = user_of(&target.to_string(), username, tool);
    key_of(user, format!("{directory}/{name}.json"))
}

/// Unambiguous: a path and a URL contain neither a space nor `<`. For every tool, it is the key of version 0.1.0.
fn user_of(location: &str, username: &str, tool: &str) -> String {
    if tool == EVERY_TOOL {
        format!("{location} {username}")
    } else {
        format!("<{tool}> {location} {username}")
    }
}

fn key_of(user: String, file: String) -> StorageKey {
    StorageKey {
        item: Some(Item::new(user)),
        legacy_item: None,
        file: file.into(),
        format: StoredFormat::Session,
        lock: LOCK.into(),
        service: None,
    }
}

fn directory_of(origin: &str) -> String {
    format!("{DIRECTORY}/{}", hash(origin))
}

/// The origin, always with its port.
fn origin_text(origin: &Origin) -> String {
    format!("{}://{}:{}", origin.scheme().name(), origin.host(), origin.port())
}

pub fn hash(text: &str) -> String {
    // `format!` of 32 bytes takes longer than SHA-256 (25,000 instructions in a `get`).
    let digit = |digit: u8| char::from(b"0123456789abcdef"[usize::from(digit)]);
    let bytes = Sha256::digest(text.as_bytes());
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn not_saved(cause: &StoreFailure) -> Error {
    Error::invalid_state(format!("could not save the credential: {cause}"))
}

fn not_erased(cause: &StoreFailure) -> Error {
    Error::invalid_state(format!("could not erase the credential: {cause}"))
}
