//! A session that many machines share: one record of a store that counts the versions of a record.

use super::{Secret, Session, Timestamp};

/// The contents of a record. The lease is a part of it: it is taken from exactly the session that was read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SharedRecord {
    Session(Box<SharedSession>),
    /// Somebody logged out. The record stays, since deleting it would restart its versions.
    LoggedOut {
        login_id: String,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SharedSession {
    /// Random for each login: it tells the late result of an earlier login.
    pub login_id: String,
    pub session: Session,
    pub lease: Option<Lease>,
    /// Why the service rejected the refresh token. No machine sends it again; a late result still replaces it.
    pub rejected: Option<String>,
}

/// The result of a refresh that was received, and may not be in the store yet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PendingResult {
    pub login_id: String,
    /// The version of the lease: an older record is that of a server that lags behind.
    pub version: u64,
    /// The refresh token that was sent for it.
    pub redeemed: Option<Secret>,
    /// By the clock of the store.
    pub session: Session,
}

/// The right of one machine to send the refresh token once.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    /// The name of the machine, for people.
    pub holder: String,
    /// Random for each lease.
    pub nonce: String,
}

/// A record as a server returned it. A standby may return an old one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Snapshot {
    /// `None` if there is no record, or if its contents were deleted.
    pub record: Option<SharedRecord>,
    /// 0 before the first write. The next check-and-set has to name it.
    pub version: u64,
    /// When this version was written, by the clock of the server that wrote it.
    pub created_at: Timestamp,
    /// The clock of the server that answered, from the header `Date`.
    pub server_time: Timestamp,
}

/// Which record of a provider's account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SharedPart {
    /// Session and lease.
    Refresh,
    /// The session without its refresh token, and no lease, for machines that may not refresh.
    Access,
}
