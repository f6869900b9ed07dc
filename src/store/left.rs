//! Items that should be deleted while the keyring could not be reached. Each has a file with its name, which the next
//! command that reaches the keyring deletes with the item. What is stored in the item later stays.

use serde::{Deserialize, Serialize};

use super::url_credentials::hash;
use super::{StoreResult, Stores};
use crate::model::{Item, Secret, StorageKey, StoredFormat, Timestamp};

const DIRECTORY: &str = ".my/left-in-keyring";

#[derive(Serialize, Deserialize)]
pub struct Left {
    service: String,
    user: String,
    /// The lock for every change of the item, relative to the home directory.
    pub lock: String,
    /// What was stored until then is left. In RFC 3339.
    time: String,
}

/// The times in the text of an item: of a session, or of a URL credential.
#[derive(Deserialize)]
struct Times {
    logged_in_at: Option<String>,
    stored_at: Option<i64>,
    #[serde(default)]
    stored_at_nanos: u32,
}

impl Left {
    fn key(&self) -> StorageKey {
        let item = Item { service: self.service.clone().into(), user: self.user.clone().into() };
        key(&item)
    }

    /// A time that is not known is not before the erase: `my` may have logged in since.
    fn has(&self, stored_at: Timestamp) -> bool {
        let is_before = |time| Timestamp::ZERO < stored_at && stored_at <= time;
        Timestamp::parse(&self.time).is_some_and(is_before)
    }

    /// Deletes the item, unless it has something new, and its file. An error if the keyring cannot be reached.
    pub fn delete(&self, stores: &Stores<'_>) -> StoreResult<()> {
        let key = self.key();
        if let Some(stored) = stores.keyring.read(&key)?
            && self.has(stored_at(&stored.text))
        {
            stores.keyring.delete(&key)?;
        }
        stores.file.delete(&key).map(drop)
    }
}

fn stored_at(text: &Secret) -> Timestamp {
    let times = serde_json::from_str::<Times>(text.expose_secret()).ok();
    let stored_at = times.and_then(|times| match (times.logged_in_at, times.stored_at) {
        (Some(time), _) => Timestamp::parse(&time),
        (None, Some(seconds)) => Some(
            Timestamp::from_unix(seconds)
                .plus(time::Duration::nanoseconds(times.stored_at_nanos.into())),
        ),
        (None, None) => None,
    });
    stored_at.unwrap_or(Timestamp::ZERO)
}

/// Remembers that what the items of a key have now is to be deleted.
pub fn remember(stores: &Stores<'_>, of: &StorageKey, now: Timestamp) -> StoreResult<()> {
    for item in [&of.item, &of.legacy_item].into_iter().flatten() {
        let left = Left {
            service: item.service.to_string(),
            user: item.user.to_string(),
            lock: of.lock.to_string(),
            time: now.to_string(),
        };
        // Strings cannot fail to serialize.
        let text = Secret::new(serde_json::to_string(&left).unwrap_or_default());
        stores.file.write(&key(item), &text)?;
    }
    Ok(())
}

/// Forgets the item of a key, which has been written.
pub fn forget(stores: &Stores<'_>, of: &StorageKey) {
    if let Some(item) = &of.item {
        let _ = stores.file.delete(&key(item));
    }
}

/// Whether the item of a key has what was to be deleted.
pub fn is_left(stores: &Stores<'_>, of: &StorageKey, stored_at: Timestamp) -> bool {
    let found = of.item.as_ref().and_then(|item| read(stores, &key(item)));
    found.is_some_and(|left| left.has(stored_at))
}

pub fn all(stores: &Stores<'_>) -> Vec<Left> {
    let names = stores.file.list(DIRECTORY).unwrap_or_default();
    let file = |name: String| format!("{DIRECTORY}/{name}");
    names.into_iter().filter_map(|name| read(stores, &key_of(None, file(name)))).collect()
}

fn read(stores: &Stores<'_>, key: &StorageKey) -> Option<Left> {
    let stored = stores.file.read(key).ok()??;
    serde_json::from_str(stored.text.expose_secret()).ok()
}

fn key(item: &Item) -> StorageKey {
    let name = hash(&format!("{} {}", item.service, item.user));
    key_of(Some(item.clone()), format!("{DIRECTORY}/{name}.json"))
}

fn key_of(item: Option<Item>, file: String) -> StorageKey {
    StorageKey {
        item,
        legacy_item: None,
        file: file.into(),
        format: StoredFormat::Session,
        lock: "".into(),
        service: None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Left, Secret, Timestamp, stored_at};

    #[test]
    fn only_what_was_stored_before_is_left() {
        let left = Left {
            service: String::new(),
            user: String::new(),
            lock: String::new(),
            time: "2026-01-02T03:04:05.5Z".to_owned(),
        };
        for (text, is_left) in [
            (r#"{"logged_in_at":"2026-01-02T03:04:05.5Z"}"#, true),
            (r#"{"logged_in_at":"2026-01-02T03:04:05.6Z","stored_at":0}"#, false),
            (r#"{"logged_in_at":"2026-01-02T04:04:05.4+01:00"}"#, true),
            (r#"{"stored_at":1767323045,"stored_at_nanos":500000000}"#, true),
            (r#"{"stored_at":1767323045,"stored_at_nanos":500000001}"#, false),
            (r#"{"stored_at":1767323045}"#, true),
            (r#"{"logged_in_at":"0001-01-01T00:00:00Z"}"#, false),
            (r#"{"logged_in_at":"yesterday"}"#, false),
            ("{}", false),
            ("half of i", false),
        ] {
            assert_eq!(left.has(stored_at(&Secret::new(text))), is_left, "{text}");
        }
        let undated = Left { time: String::new(), ..left };
        assert!(!undated.has(Timestamp::from_unix(1)));
    }
}
