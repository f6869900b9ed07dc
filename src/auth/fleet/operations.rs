//! Logs in and out for all machines, and reports what is shared.

use std::time::Duration;

use super::driver::Driver;
use super::protocol::{self, Goal, Outcome};
use crate::auth::Engine;
use crate::auth::refresh::REFRESH_INTERVAL;
use crate::error::{Error, ErrorCode, Result};
use crate::http::SharedFailure;
use crate::model::{
    FleetRole, Lease, Need, Outcome as Searched, Provider, Secret, Session, SharedRecord,
    SharedSession, SharedSettings, Snapshot, Source, StorageKey, StoreFailure, StoredAt, Subject,
    Timestamp, Trail,
};
use crate::store::fleet::FleetFiles;
use crate::store::owner;
use crate::store::session::{self, LoadedSessions, StoredSession};

/// For a login and a logout, which nobody repeats.
const TIMEOUT: Duration = Duration::from_secs(60);

/// For facts, and for a check before a login.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// What is known of a shared session, for people.
pub struct SharedFacts {
    pub role: FleetRole,
    /// The address and the path.
    pub location: String,
    /// Whether somebody has logged in or out.
    pub is_written: bool,
    pub version: u64,
    /// By the clock of this machine.
    pub written_at: Timestamp,
    pub lease: Option<Lease>,
    /// Why the service rejected the session.
    pub rejected: Option<String>,
}

impl Engine<'_> {
    /// The session in force, and an older one: of the shared store, if the provider has one, else of this machine's.
    pub fn load(&self, provider: &Provider) -> LoadedSessions {
        self.load_with_facts(provider).0
    }

    /// As [`Engine::load`], and what else the shared store says about the session, or the kind of its failure; `None` for a
    /// session of this machine.
    pub fn load_with_facts(
        &self,
        provider: &Provider,
    ) -> (LoadedSessions, Option<Result<SharedFacts, ErrorCode>>) {
        let Some(settings) = &provider.shared else {
            return (self.load_stored(&provider.key), None);
        };
        let (loaded, facts) = self.load_shared(provider, settings);
        (loaded, Some(facts))
    }

    /// The session in force of this machine, and an older one.
    pub(in crate::auth) fn load_stored(&self, key: &StorageKey) -> LoadedSessions {
        let loaded = session::load(&self.stores, key);
        if loaded.is_left {
            self.delete_left();
        }
        loaded
    }

    fn load_shared(
        &self,
        provider: &Provider,
        settings: &SharedSettings,
    ) -> (LoadedSessions, Result<SharedFacts, ErrorCode>) {
        let mut loaded = LoadedSessions::default();
        let (session, facts, outcome) = match self.read_shared(provider, settings) {
            Ok((Some(session), facts)) => (Some(session), Ok(facts), Searched::Found),
            Ok((None, facts)) => (None, Ok(facts), Searched::NoEntry),
            Err(error) => {
                let failure = StoreFailure::Failed(error.message);
                loaded.problem = Some((Source::Vault, failure.clone()));
                loaded.newest = self.copied_session(provider, settings);
                (None, Err(error.code), Searched::Unavailable(failure))
            }
        };
        loaded.trail.add(Subject::Session(Source::Vault), outcome);
        let found = session.map(|session| StoredSession { session, source: Source::Vault });
        loaded.newest = found.or(loaded.newest);
        (loaded, facts)
    }

    /// Reads the record of this machine's role.
    fn read_shared(
        &self,
        provider: &Provider,
        settings: &SharedSettings,
    ) -> Result<(Option<Session>, SharedFacts)> {
        let files = FleetFiles::new(self.context, provider, settings);
        let mut driver = Driver::open(self, provider, settings, &files, READ_TIMEOUT)?;
        let read = driver.read();
        let Snapshot { record, version, created_at, server_time } =
            read.map_err(|failure| driver.error(protocol::Failure::Store(failure)))?;
        let behind = self.clock.now().since(server_time);
        let facts = SharedFacts {
            role: settings.role,
            location: driver.location(),
            is_written: record.is_some(),
            version,
            written_at: created_at.plus(behind),
            lease: None,
            rejected: None,
        };
        Ok(match record {
            Some(SharedRecord::Session(shared)) => {
                let SharedSession { session, lease, rejected, .. } = *shared;
                (Some(protocol::shifted(session, behind)), SharedFacts { lease, rejected, ..facts })
            }
            _ => (None, facts),
        })
    }

    /// Whether a login could be saved, as far as a read tells.
    pub(in crate::auth) fn check_shared(
        &self,
        provider: &Provider,
        settings: &SharedSettings,
    ) -> Result<()> {
        may_change(provider, settings)?;
        self.read_shared(provider, settings).map(drop)
    }

    /// Replaces the session of all machines.
    pub(in crate::auth) fn save_shared(
        &self,
        provider: &Provider,
        settings: &SharedSettings,
        session: &Session,
    ) -> Result<StoredAt> {
        may_change(provider, settings)?;
        let files = FleetFiles::new(self.context, provider, settings);
        let mut driver = Driver::open(self, provider, settings, &files, TIMEOUT)?;
        driver.lock(super::LOCK_TIMEOUT);
        let login_id = uuid::Uuid::new_v4().simple().to_string();
        let goal = Goal::LogIn { login_id, session: Box::new(session.clone()) };
        if let Outcome::Failed(failure) = driver.run(goal, Need::default(), false) {
            return Err(driver.error(failure));
        }
        // A result of an earlier login.
        files.remove_pending();
        files.remove_copy();
        Ok(StoredAt::new(Source::Vault, driver.location()))
    }

    /// Ends the session of all machines: returns it, so that it can be revoked at the service.
    pub fn log_out_shared(
        &self,
        provider: &Provider,
        settings: &SharedSettings,
    ) -> Result<Option<Session>> {
        may_change(provider, settings)?;
        let files = FleetFiles::new(self.context, provider, settings);
        let mut driver = Driver::open(self, provider, settings, &files, TIMEOUT)?;
        driver.lock(super::LOCK_TIMEOUT);
        match driver.run(Goal::LogOut, Need::default(), false) {
            Outcome::LoggedOut(ended) => {
                files.remove_pending();
                files.remove_copy();
                owner::forget(&self.context.paths, &provider.key);
                Ok(ended.map(|ended| ended.session))
            }
            Outcome::Failed(failure) => Err(driver.error(failure)),
            _ => Ok(None),
        }
    }

    /// Renews a session that was ended, to revoke it: no other machine sends its refresh token any more.
    pub(in crate::auth) fn renew_ended(
        &self,
        provider: &Provider,
        session: &Session,
    ) -> Result<Session> {
        let deadline = self.clock.instant() + READ_TIMEOUT;
        let renewal = self.endpoints.prepare(provider, deadline)?;
        renewal.renew(session).map_err(|error| Error::temporary(error.to_string()))
    }

    /// Refreshes the session if this machine has a copy that it received more than a week ago. The others are refreshed by
    /// the machines that use them.
    pub(in crate::auth) fn refresh_shared_weekly(
        &self,
        provider: &Provider,
        settings: &SharedSettings,
    ) {
        let copy = FleetFiles::new(self.context, provider, settings).copy();
        let is_due = copy.is_some_and(|copy| {
            self.clock.now().since(copy.session.received_at()) > REFRESH_INTERVAL
        });
        if is_due && !self.has_identity(provider) {
            let _ = self.shared_session(provider, settings, Need::default(), &mut Trail::default());
        }
    }

    /// Drops the copy of a rejected token, and marks the shared session if it still has the token. Returns whether the next
    /// request may get another one.
    pub(in crate::auth) fn refuse_shared(
        &self,
        provider: &Provider,
        settings: &SharedSettings,
        rejected: &Secret,
    ) -> Result<bool> {
        let files = FleetFiles::new(self.context, provider, settings);
        if let Some(copy) = files.copy() {
            // A token of which this machine has a copy is the only one that it returns.
            if !copy.session.has_token(rejected) {
                return Ok(false);
            }
            files.remove_copy();
        }
        let mut driver = Driver::open(self, provider, settings, &files, super::LOCK_TIMEOUT)?;
        if files.has_pending() {
            driver.lock(super::LOCK_TIMEOUT);
        }
        let goal = Goal::Refuse(rejected.clone());
        match driver.run(goal, Need::default(), false) {
            Outcome::Refused(is_refused) => Ok(is_refused),
            Outcome::Failed(protocol::Failure::Store(SharedFailure::Denied(_))) => Ok(false),
            Outcome::Failed(failure) => Err(driver.error(failure)),
            _ => Ok(false),
        }
    }
}

fn may_change(provider: &Provider, settings: &SharedSettings) -> Result<()> {
    if settings.role != FleetRole::Reader {
        return Ok(());
    }
    let title = provider.title();
    let message = format!("this machine only reads the session with {title}");
    Err(Error::invalid(message).with_hint("log in and out on a machine whose role is `refresher`"))
}
