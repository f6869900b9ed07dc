//! Keys that were made a moment ago and are yet to be shown, once. In memory alone: what is kept of a key is its digest.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Timestamp;
use crate::secret::Digest;

/// A browser comes for the page at once.
const PATIENCE: Duration = Duration::from_secs(60);

/// Keys by their id. Made and shown are two requests, so that loading the page again makes no second key.
#[derive(Default)]
pub(crate) struct Unshown {
    keys: Mutex<HashMap<String, Waiting>>,
}

struct Waiting {
    key: String,
    /// Of the token of the one person who may see it.
    person: Digest,
    until: Timestamp,
}

impl Unshown {
    /// Stores a key for the owner of this token.
    pub(crate) fn put(&self, id: &str, key: String, token: &str, now: Timestamp) {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.retain(|_, waiting| waiting.until > now);
        let waiting = Waiting { key, person: Digest::of(token), until: now.after(PATIENCE) };
        keys.insert(id.to_owned(), waiting);
    }

    /// The key, the one time that it is shown.
    pub(crate) fn take(&self, id: &str, token: &str, now: Timestamp) -> Option<String> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = keys.get(id)?;
        if !waiting.person.matches(&Digest::of(token)) {
            return None;
        }
        keys.remove(id).filter(|waiting| waiting.until > now).map(|waiting| waiting.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_shown_once_to_its_creator_for_a_short_time() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let unshown = Unshown::default();
        unshown.put("id", "key".to_owned(), "ada", now);
        assert_eq!(unshown.take("id", "eve", now), None, "it is hers alone");
        assert_eq!(unshown.take("id", "ada", now).as_deref(), Some("key"));
        assert_eq!(unshown.take("id", "ada", now), None, "it was shown");
        unshown.put("id", "key".to_owned(), "ada", now);
        assert_eq!(unshown.take("id", "ada", now.after(PATIENCE)), None, "nobody came for it");
    }
}
