//! Logins stored for one URL each: user name and secret of a git host, a registry, a package index.
//!
//! One small file a login, in one folder a host, so that a look-up costs the same among ten and among a hundred
//! thousand, and `list` needs no keyring. Where the keyring has the secret, the file has the rest and says so: a host
//! without a login never costs a connection to the keyring.

use std::cmp::Reverse;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::config::paths::Paths;
use crate::error::{Attempt, Error, Result};
use crate::model::credential::UrlCredential;
use crate::model::json;
use crate::model::origin::{Origin, Target};
use crate::model::provider::{Item, StorageKey, StoredFormat};
use crate::model::request::{AuthForm, CredentialRequest, Source, StoredAt};
use crate::model::secret::Secret;
use crate::model::timestamp::Timestamp;
use crate::store::{CredentialStore, StoreFailure, Stores};
use crate::sys::atomic_file;

/// The folder below the home directory.
const FOLDER: &str = ".my/logins";

/// A login as its file has it. In the keyring the same text is kept whole; the file then has no secret.
#[derive(Serialize, Deserialize)]
struct Record {
    url: String,
    username: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    authtype: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    oauth_refresh_token: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    password_expiry_utc: Option<i64>,
    #[serde(default)]
    in_keyring: bool,
    /// Seconds since 1970, for the order among several users of one host: the latest first.
    #[serde(default)]
    stored_at: i64,
    /// The rest, in nanoseconds: a tool may store two users within a second.
    #[serde(default)]
    stored_at_nanos: u32,
}

impl Record {
    fn stored_at(&self) -> (i64, u32) {
        (self.stored_at, self.stored_at_nanos)
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        use zeroize::Zeroize as _;
        self.secret.zeroize();
        self.oauth_refresh_token.zeroize();
    }
}

/// A login that is kept, without its secret.
pub struct Entry {
    /// What it is for.
    pub target: Target,
    /// The user name.
    pub username: String,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// Where the secret is.
    pub source: Source,
    /// Its file, where others could read that until now.
    repaired: Option<PathBuf>,
    record: Record,
}

impl Entry {
    fn slot(&self) -> StorageKey {
        slot(&self.target, &self.username)
    }

    fn answers(&self, ask: &CredentialRequest, target: &Target) -> bool {
        let whole_host = self.target.path.is_empty() && !ask.exact_path;
        self.target.origin == target.origin
            && self.is_whole_value() == (ask.carries == AuthForm::WholeValue)
            && (target.path.is_empty() || self.target.path == target.path || whole_host)
            && ask.username.as_ref().is_none_or(|username| *username == self.username)
    }

    /// A token that is no password: `Bearer …`, or bare.
    fn is_whole_value(&self) -> bool {
        self.record.authtype.as_deref() == Some("")
    }

    /// A token that goes out behind this word.
    fn has_scheme(&self) -> bool {
        self.record.authtype.as_ref().is_some_and(|scheme| !scheme.is_empty())
    }

    /// The login with its secret; `None` where the keyring has lost it.
    fn open(self, stores: &Stores<'_>) -> Result<Option<UrlCredential>, StoreFailure> {
        let slot = self.slot();
        let Self { target, username, expires_at, source, mut record, repaired: _ } = self;
        if source == Source::Keyring {
            let Some(text) = stores.keyring.read(&slot)? else { return Ok(None) };
            record = decode(&text)
                .map_err(|reason| StoreFailure::Failed(format!("the entry {reason}")))?;
        }
        let secret = Secret::new(record.secret.take().unwrap_or_default());
        let refresh_token = record.oauth_refresh_token.take().map(Secret::new);
        let scheme = record.authtype.take().filter(|scheme| !scheme.is_empty());
        let texts = [Some(username.as_str()), scheme.as_deref(), Some(secret.expose_secret())];
        let texts = texts.into_iter().chain([refresh_token.as_ref().map(Secret::expose_secret)]);
        // Whoever wrote it so: in git's protocol it would begin a line of its own. A tab is as good as any character.
        if texts.flatten().any(|text| text.contains(['\n', '\r', '\0'])) {
            return Err(StoreFailure::Failed("it contains a line break or NUL".to_owned()));
        }
        Ok(Some(UrlCredential { target, username, secret, scheme, expires_at, refresh_token }))
    }
}

/// The login that answers `ask`: stored for its very path before one for the whole host, the latest first. What was
/// tried is added to `tried`, where anything was there to try.
pub fn find(
    stores: &Stores<'_>,
    ask: &CredentialRequest,
    now: Timestamp,
    tried: &mut Vec<Attempt>,
) -> Option<(UrlCredential, Source)> {
    let target = ask.target.as_ref()?;
    let mut entries = match of_host(stores.paths, &target.origin, tried) {
        Ok(entries) => entries,
        Err(reason) => {
            tried.push(Attempt::new("stored logins", reason));
            return None;
        }
    };
    let takes_scheme = ask.carries == AuthForm::Authorization;
    entries.retain(|entry| entry.answers(ask, target) && (takes_scheme || !entry.has_scheme()));
    entries
        .iter()
        .filter_map(|entry| entry.repaired.as_deref())
        .for_each(|path| stores.file.tell_repaired(path));
    entries
        .sort_by_key(|entry| (entry.target.path != target.path, Reverse(entry.record.stored_at())));
    for entry in entries {
        let place = format!("stored login in the {}", entry.source.name());
        if entry.expires_at.is_some_and(|end| end <= now)
            && entry.record.oauth_refresh_token.is_none()
        {
            tried.push(Attempt::new(place, "ended"));
            continue;
        }
        let source = entry.source;
        match entry.open(stores) {
            Ok(Some(login)) => {
                tried.push(Attempt::new(place, "found"));
                return Some((login, source));
            }
            Ok(None) => tried.push(Attempt::new(place, "no entry")),
            Err(unavailable) => tried.push(Attempt::new(place, unavailable.to_string())),
        }
    }
    None
}

/// Keeps a login where new logins go, in the place of an older one for the same URL and user.
pub fn save(stores: &Stores<'_>, login: &UrlCredential, now: Timestamp) -> Result<StoredAt> {
    let UrlCredential { target, username, secret, scheme, expires_at, refresh_token } = login;
    let slot = slot(target, username);
    let mut record = Record {
        url: target.to_string(),
        username: username.clone(),
        secret: Some(secret.expose_secret().to_owned()),
        authtype: scheme.clone(),
        oauth_refresh_token: refresh_token.as_ref().map(|token| token.expose_secret().to_owned()),
        password_expiry_utc: expires_at.map(Timestamp::unix),
        in_keyring: false,
        stored_at: now.unix(),
        stored_at_nanos: now.nanosecond(),
    };
    let stored = stores.write_new(&slot, &encode(&record))?;
    if stored.source == Source::Keyring {
        (record.in_keyring, record.secret) = (true, None);
        // That there is one is no secret, and decides whether an ended login is worth a look.
        record.oauth_refresh_token = record.oauth_refresh_token.take().map(|_| String::new());
        stores.file.write(&slot, &encode(&record)).map_err(|cause| cannot_save(&cause))?;
    }
    Ok(stored)
}

/// Forgets every login that answers `ask` and, where a secret is given, equals it. Says whether there was one.
pub fn erase(
    stores: &Stores<'_>,
    ask: &CredentialRequest,
    secret: Option<&Secret>,
) -> Result<bool> {
    let Some(target) = &ask.target else { return Ok(false) };
    let (mut erased, mut unread) = (false, Vec::new());
    let entries =
        of_host(stores.paths, &target.origin, &mut unread).map_err(Error::invalid_state)?;
    for entry in entries.into_iter().filter(|entry| entry.answers(ask, target)) {
        let (slot, source) = (entry.slot(), entry.source);
        if let Some(secret) = secret
            && !matches!(entry.open(stores), Ok(Some(login)) if login.secret == *secret)
        {
            continue;
        }
        // The keyring first: a file without its item is found and told, an item without its file is not.
        if source == Source::Keyring {
            stores.keyring.delete(&slot).map_err(|cause| cannot_erase(&cause))?;
        }
        erased |= stores.file.delete(&slot).map_err(|cause| cannot_erase(&cause))?;
    }
    // It may have been the one that was meant.
    match unread.pop() {
        Some(Attempt { outcome, .. }) if !erased => {
            Err(cannot_erase(&StoreFailure::Failed(outcome)))
        }
        _ => Ok(erased),
    }
}

/// Every login, without secrets, in the order of their URLs.
pub fn all(paths: &Paths) -> Vec<Entry> {
    let Ok(folder) = paths.in_home(FOLDER) else { return Vec::new() };
    let mut entries: Vec<_> = folders(&folder)
        .flat_map(|host| in_folder(&host, &mut Vec::new()).unwrap_or_default())
        .collect();
    entries.sort_by(|a, b| {
        (a.target.to_string(), &a.username).cmp(&(b.target.to_string(), &b.username))
    });
    entries
}

fn folders(folder: &Path) -> impl Iterator<Item = std::path::PathBuf> + use<> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path())
}

fn of_host(paths: &Paths, origin: &Origin, tried: &mut Vec<Attempt>) -> Result<Vec<Entry>, String> {
    in_folder(&paths.in_home(&folder_of(origin))?, tried)
}

/// The entries of one folder. One that cannot be read is told and passed over.
fn in_folder(folder: &Path, tried: &mut Vec<Attempt>) -> Result<Vec<Entry>, String> {
    let files = match fs::read_dir(folder) {
        Ok(files) => files,
        Err(error)
            if matches!(
                error.kind(),
                std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(Vec::new());
        }
        Err(error) => return Err(error.kind().to_string()),
    };
    let mut entries = Vec::new();
    for file in files {
        let file = file.map_err(|error| error.kind().to_string())?;
        let path = file.path();
        if path.extension().is_none_or(|extension| extension != "json") {
            atomic_file::remove_left_behind(&file, atomic_file::LEFT_BEHIND);
            continue;
        }
        match entry(&path) {
            Ok(Some(entry)) => entries.push(entry),
            Ok(None) => {}
            Err(reason) => {
                tried.push(Attempt::new("stored login", format!("{} {reason}", path.display())))
            }
        }
    }
    Ok(entries)
}

fn entry(path: &Path) -> Result<Option<Entry>, String> {
    let Some(contents) = atomic_file::read(path)? else { return Ok(None) };
    let record = decode(&contents.text)?;
    let target =
        Target::parse(&record.url).map_err(|_| "has a URL that cannot be used".to_owned())?;
    Ok(Some(Entry {
        target,
        username: record.username.clone(),
        expires_at: record.password_expiry_utc.map(Timestamp::from_unix),
        source: if record.in_keyring { Source::Keyring } else { Source::File },
        repaired: contents.repaired.then(|| path.to_owned()),
        record,
    }))
}

fn decode(text: &Secret) -> Result<Record, String> {
    serde_json::from_str(text.expose_secret()).map_err(|error| json::reason(&error))
}

fn encode(record: &Record) -> Secret {
    // Strings and numbers alone cannot fail to be written.
    Secret::new(serde_json::to_string(record).unwrap_or_default())
}

fn slot(target: &Target, username: &str) -> StorageKey {
    // A URL has no space, so the two cannot run into each other.
    let user = format!("{target} {username}");
    let file = format!(
        "{}/{}.json",
        folder_of(&target.origin),
        hash(&format!("{} {username}", target.path))
    );
    StorageKey {
        item: Some(Item { service: "my-credential-helper".into(), user: user.into() }),
        legacy_item: None,
        file: file.into(),
        shape: StoredFormat::Session,
        // Nothing works once in it.
        lock: "".into(),
    }
}

fn folder_of(origin: &Origin) -> String {
    let port = origin.port();
    format!("{FOLDER}/{}", hash(&format!("{}://{}:{port}", origin.scheme().name(), origin.host())))
}

pub(super) fn hash(text: &str) -> String {
    // Not by `format!`, which takes longer over 32 bytes than SHA-256 does (25,000 instructions a `get`).
    let digit = |digit: u8| char::from(b"0123456789abcdef"[usize::from(digit)]);
    Sha256::digest(text.as_bytes())
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

fn cannot_save(cause: &StoreFailure) -> Error {
    Error::invalid_state(format!("the login cannot be saved: {cause}"))
}

fn cannot_erase(cause: &StoreFailure) -> Error {
    Error::invalid_state(format!("the login cannot be erased: {cause}"))
}
