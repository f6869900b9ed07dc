//! Mails that nobody delivers, kept in memory for people and tests to read. Never written to the disk.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use crate::clock::Timestamp;

/// The oldest mails go when there are more.
const KEPT: usize = 1000;

/// A mail in the inbox.
#[derive(Clone, Serialize)]
pub struct Mail {
    /// The address it was sent to.
    pub to: String,
    /// Its subject.
    pub subject: String,
    /// The magic link in it.
    pub link: String,
    /// The six digits in it.
    pub code: String,
    /// What is said in it, as plain text.
    pub text: String,
    /// When it was sent, as RFC 3339.
    pub sent_at: String,
}

impl Mail {
    /// When it was sent, to the minute.
    pub(crate) fn minute(&self) -> String {
        self.sent_at.parse::<Timestamp>().map(Timestamp::minute).unwrap_or_default()
    }
}

impl fmt::Debug for Mail {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Mail")
            .field("to", &self.to)
            .field("sent_at", &self.sent_at)
            .finish_non_exhaustive()
    }
}

#[derive(Default)]
pub(crate) struct Inbox {
    mails: Mutex<VecDeque<Mail>>,
}

impl Inbox {
    pub(crate) fn put(&self, mail: Mail) {
        let mut mails = self.mails.lock().unwrap_or_else(PoisonError::into_inner);
        mails.push_front(mail);
        mails.truncate(KEPT);
    }

    /// The mails, the newest first.
    pub(crate) fn mails(&self) -> Vec<Mail> {
        let mails = self.mails.lock().unwrap_or_else(PoisonError::into_inner);
        mails.iter().cloned().collect()
    }
}
