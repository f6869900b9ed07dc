//! Ports in memory, for the unit tests of this room: stores with scripted failures, a service with scripted responses,
//! a clock that only `sleep` moves.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::Engine;
use crate::config::{Context, Overrides, Paths};
use crate::error::{Error, Result};
use crate::http::{
    HttpError, Network, Renewal, RenewalError, ServiceError, SharedFailure, SharedStore,
    SharedStores, TokenEndpoints,
};
use crate::model::{
    Provider, Secret, Session, SharedPart, SharedRecord, SharedSession, Snapshot, Source,
    StorageKey, StoreFailure, StoredAt, Timestamp,
};
use crate::store::session::{self, StoredSession};
use crate::store::{CredentialStore, PreparedWrite, StoredText, Stores};
use crate::sys::atomic_file::{FileError, WriteError};
use crate::sys::clock::Clock;
use crate::sys::env::Environment;
use crate::sys::lock::{Lock, Locks};
use crate::sys::log::{Log, StderrLog};

/// The time at which a test begins, in seconds since 1970.
pub(super) const NOW: i64 = 1_800_000_000;

/// A store in memory.
pub(super) struct MemoryStore {
    source: Source,
    texts: RefCell<BTreeMap<String, Secret>>,
    /// The failure that an operation returns from the next call on: `read`, `prepare`, `write`, `delete`.
    failures: RefCell<BTreeMap<&'static str, StoreFailure>>,
    /// Every call, in order.
    pub(super) calls: RefCell<Vec<&'static str>>,
}

impl MemoryStore {
    fn new(source: Source) -> Self {
        Self {
            source,
            texts: RefCell::default(),
            failures: RefCell::default(),
            calls: RefCell::default(),
        }
    }

    pub(super) fn fail(&self, operation: &'static str, failure: StoreFailure) {
        self.failures.borrow_mut().insert(operation, failure);
    }

    pub(super) fn clear(&self) {
        self.texts.borrow_mut().clear();
    }

    pub(super) fn recover(&self) {
        self.failures.borrow_mut().clear();
    }

    /// The name of a text: the item in the keyring, the file otherwise.
    fn name(&self, key: &StorageKey) -> String {
        match &key.item {
            Some(item) if self.source == Source::Keyring => {
                format!("{}/{}", item.service, item.user)
            }
            _ => key.file.to_string(),
        }
    }

    pub(super) fn put(&self, key: &StorageKey, text: &str) {
        self.texts.borrow_mut().insert(self.name(key), Secret::new(text));
    }

    pub(super) fn put_session(&self, provider: &Provider, session: &Session) {
        let text = session::encode(&provider.key, session);
        self.put(&provider.key, text.expose_secret());
    }

    pub(super) fn session(&self, provider: &Provider) -> Option<Session> {
        let text = self.texts.borrow().get(&self.name(&provider.key)).cloned()?;
        session::decode(&provider.key, &text).expect("a session")
    }

    pub(super) fn contains(&self, secret: &str) -> bool {
        self.texts.borrow().values().any(|text| text.expose_secret().contains(secret))
    }

    /// Replaces a part of every text, as another process would.
    pub(super) fn replace(&self, from: &str, to: &str) {
        for text in self.texts.borrow_mut().values_mut() {
            *text = Secret::new(text.expose_secret().replace(from, to));
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.texts.borrow().is_empty()
    }

    fn check(&self, operation: &'static str) -> Result<(), StoreFailure> {
        self.calls.borrow_mut().push(operation);
        self.failures.borrow().get(operation).map_or(Ok(()), |failure| Err(failure.clone()))
    }
}

impl CredentialStore for MemoryStore {
    fn source(&self) -> Source {
        self.source
    }

    fn read(&self, key: &StorageKey) -> Result<Option<StoredText>, StoreFailure> {
        self.check("read")?;
        let text = self.texts.borrow().get(&self.name(key)).cloned();
        Ok(text.map(|text| StoredText { text, warning: None }))
    }

    fn prepare<'a>(
        &'a self,
        key: &'a StorageKey,
        _size: usize,
    ) -> Result<PreparedWrite<'a>, StoreFailure> {
        self.check("prepare")?;
        Ok(Box::new(move |text| {
            self.check("write")?;
            self.put(key, text.expose_secret());
            let location = format!("the {} in memory", self.source.name());
            Ok(StoredAt::new(self.source, location))
        }))
    }

    fn location(&self, key: &StorageKey) -> Option<String> {
        Some(self.name(key))
    }

    fn delete(&self, key: &StorageKey) -> Result<bool, StoreFailure> {
        self.check("delete")?;
        Ok(self.texts.borrow_mut().remove(&self.name(key)).is_some())
    }

    fn check(&self, _: &StorageKey) -> Result<(), StoreFailure> {
        self.check("prepare")
    }

    fn list(&self, folder: &str) -> Result<Vec<String>, StoreFailure> {
        self.check("list")?;
        let texts = self.texts.borrow();
        let below = texts.keys().filter_map(|file| file.strip_prefix(folder)?.strip_prefix('/'));
        let mut names: Vec<_> =
            below.map(|rest| rest.split('/').next().unwrap_or_default().to_owned()).collect();
        names.dedup();
        Ok(names)
    }
}

/// The response of a service to one request.
pub(super) type RenewalResult = Result<Session, RenewalError>;

/// Runs before an answer, as another process would between two steps of this one.
pub(super) type Interleaved = Box<dyn Fn()>;

/// A service that answers from a script, and records the refresh tokens that it receives.
#[derive(Default)]
pub(super) struct ScriptedEndpoints {
    pub(super) answers: RefCell<VecDeque<(Interleaved, RenewalResult)>>,
    pub(super) redeemed: RefCell<Vec<String>>,
    pub(super) prepare_error: RefCell<Option<Error>>,
    pub(super) unreachable: Cell<bool>,
    pub(super) probes: Cell<u32>,
    /// The responses of the platform, in order.
    pub(super) identity_tokens: RefCell<VecDeque<Option<Secret>>>,
    /// The responses of the service to identity tokens, in order.
    pub(super) exchanges: RefCell<VecDeque<Result<Session, HttpError>>>,
}

impl ScriptedEndpoints {
    pub(super) fn will(&self, answer: RenewalResult) {
        self.after(Box::new(|| {}), answer);
    }

    pub(super) fn after(&self, meanwhile: Interleaved, answer: RenewalResult) {
        self.answers.borrow_mut().push_back((meanwhile, answer));
    }
}

impl TokenEndpoints for ScriptedEndpoints {
    fn prepare<'a>(&'a self, _: &'a Provider, _: Instant) -> Result<Box<dyn Renewal + 'a>> {
        match self.prepare_error.borrow().clone() {
            Some(error) => Err(error),
            None => Ok(Box::new(self)),
        }
    }

    fn identity_token(&self, _: &Provider, _: Instant) -> Result<Option<Secret>> {
        self.identity_tokens.borrow_mut().pop_front().ok_or_else(|| Error::invalid_state("none"))
    }

    fn exchange_identity(
        &self,
        _: &Provider,
        token: &Secret,
        _: Instant,
    ) -> Result<Session, HttpError> {
        self.redeemed.borrow_mut().push(token.expose_secret().to_owned());
        self.exchanges.borrow_mut().pop_front().expect("not more often than scripted")
    }
}

impl Renewal for &ScriptedEndpoints {
    fn renew(&self, session: &Session) -> RenewalResult {
        let token = session.refresh_token.as_ref().map_or("", Secret::expose_secret);
        self.redeemed.borrow_mut().push(token.to_owned());
        let next = self.answers.borrow_mut().pop_front();
        let (meanwhile, answer) = next.expect("the service is not called more often than scripted");
        meanwhile();
        answer
    }

    fn is_reachable(&self) -> bool {
        self.probes.set(self.probes.get() + 1);
        !self.unreachable.get()
    }
}

/// What goes wrong with the next request to a shared store, or when it is carried out.
pub(super) enum Fault {
    Read(SharedFailure),
    /// The record of this many versions before.
    StaleRead(usize),
    /// Nothing is written.
    Write(SharedFailure),
    /// The record is written, and the response is lost.
    LostResponse,
    /// The record is written after this time.
    SlowWrite(Duration),
}

/// A shared store in memory, with every version of each record.
pub(super) struct MemoryShared {
    versions: RefCell<[Vec<(SharedRecord, Timestamp)>; 2]>,
    pub(super) faults: RefCell<VecDeque<Fault>>,
    /// While this is set, no request is carried out.
    pub(super) is_away: Cell<bool>,
    /// How far the store's clock is ahead of that of the machines, in seconds.
    pub(super) ahead: Cell<i64>,
    /// Every request, in order: `read`, `lease`, `session`, `logout`; of the record of the readers with `access`.
    pub(super) requests: RefCell<Vec<String>>,
    /// What happens during a read.
    pub(super) meanwhile: RefCell<Option<Interleaved>>,
    clock: Rc<ManualClock>,
}

impl MemoryShared {
    fn new(clock: Rc<ManualClock>) -> Self {
        Self {
            versions: RefCell::default(),
            faults: RefCell::default(),
            is_away: Cell::new(false),
            ahead: Cell::new(0),
            requests: RefCell::default(),
            meanwhile: RefCell::default(),
            clock,
        }
    }

    fn time(&self) -> Timestamp {
        self.clock.now().plus(time::Duration::seconds(self.ahead.get()))
    }

    pub(super) fn put(&self, part: SharedPart, record: SharedRecord) {
        self.versions.borrow_mut()[part as usize].push((record, self.time()));
    }

    /// A session whose times are by the store's clock.
    pub(super) fn put_session(&self, session: Session) {
        let shared =
            SharedSession { login_id: "first".to_owned(), session, lease: None, rejected: None };
        self.put(SharedPart::Refresh, SharedRecord::Session(Box::new(shared)));
    }

    pub(super) fn record(&self, part: SharedPart) -> Option<SharedRecord> {
        self.versions.borrow()[part as usize].last().map(|(record, _)| record.clone())
    }

    /// The session of the record, with lease and rejection.
    pub(super) fn shared(&self) -> SharedSession {
        match self.record(SharedPart::Refresh) {
            Some(SharedRecord::Session(shared)) => *shared,
            record => panic!("no session: {record:?}"),
        }
    }

    fn note(&self, what: &str, part: SharedPart) {
        let part = if part == SharedPart::Access { " access" } else { "" };
        self.requests.borrow_mut().push(format!("{what}{part}"));
    }

    fn fault(&self, is_write: bool) -> Option<Fault> {
        let is_for =
            |fault: &Fault| is_write != matches!(fault, Fault::Read(_) | Fault::StaleRead(_));
        let mut faults = self.faults.borrow_mut();
        if faults.front().is_some_and(is_for) { faults.pop_front() } else { None }
    }

    fn check(&self) -> Result<(), SharedFailure> {
        let away = || SharedFailure::Unavailable("no server answers".to_owned());
        if self.is_away.get() { Err(away()) } else { Ok(()) }
    }
}

impl SharedStores for Rc<MemoryShared> {
    fn open<'a>(&'a self, _: &'a Provider, _: Instant) -> Result<Box<dyn SharedStore + 'a>> {
        Ok(Box::new(self))
    }
}

impl SharedStore for &Rc<MemoryShared> {
    fn read(&self, part: SharedPart) -> Result<Snapshot, SharedFailure> {
        self.note("read", part);
        self.meanwhile.borrow().iter().for_each(|meanwhile| meanwhile());
        self.check()?;
        let lag = match self.fault(false) {
            Some(Fault::Read(failure)) => return Err(failure),
            Some(Fault::StaleRead(lag)) => lag,
            _ => 0,
        };
        let versions = &self.versions.borrow()[part as usize];
        let version = versions.len().saturating_sub(lag);
        let found = version.checked_sub(1).and_then(|index| versions.get(index)).cloned();
        let (record, created_at) = found.unzip();
        let server_time = self.time();
        let created_at = created_at.unwrap_or(server_time);
        Ok(Snapshot { record, version: version as u64, created_at, server_time })
    }

    fn compare_and_set(
        &self,
        part: SharedPart,
        version: u64,
        record: &SharedRecord,
    ) -> Result<u64, SharedFailure> {
        let what = match record {
            SharedRecord::Session(shared) if shared.lease.is_some() => "lease",
            SharedRecord::Session(_) => "session",
            SharedRecord::LoggedOut { .. } => "logout",
        };
        self.note(what, part);
        self.check()?;
        let fault = self.fault(true);
        match &fault {
            Some(Fault::Write(failure)) => return Err(failure.clone()),
            Some(Fault::SlowWrite(delay)) => self.clock.sleep(*delay),
            _ => {}
        }
        if self.versions.borrow()[part as usize].len() as u64 != version {
            return Err(SharedFailure::Refused);
        }
        self.put(part, record.clone());
        match fault {
            Some(Fault::LostResponse) => Err(SharedFailure::Interrupted("no response".to_owned())),
            _ => Ok(version + 1),
        }
    }

    fn location(&self, part: SharedPart) -> String {
        format!("memory/{part:?}")
    }
}

/// A clock that moves only when somebody sleeps.
pub(super) struct ManualClock {
    start: Instant,
    elapsed: Cell<Duration>,
}

impl ManualClock {
    pub(super) fn elapsed(&self) -> Duration {
        self.elapsed.get()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        let seconds = i64::try_from(self.elapsed.get().as_secs()).expect("a short test");
        Timestamp::from_unix(NOW + seconds)
    }

    fn instant(&self) -> Instant {
        self.start + self.elapsed.get()
    }

    fn boot(&self) -> Duration {
        Duration::from_secs(5000) + self.elapsed.get()
    }

    fn sleep(&self, duration: Duration) {
        self.elapsed.set(self.elapsed.get() + duration);
    }
}

/// Locks of which another process holds some.
#[derive(Default)]
pub(super) struct MemoryLocks {
    /// How many more attempts find the lock held; `None`: it cannot be opened.
    pub(super) held_for: Cell<u32>,
    /// The action of the process that holds a lock, before it releases the lock.
    pub(super) meanwhile: RefCell<Option<Interleaved>>,
    pub(super) broken: Cell<bool>,
    pub(super) taken: RefCell<Vec<PathBuf>>,
}

struct MemoryLock;

impl Lock for MemoryLock {}

impl Locks for MemoryLocks {
    fn try_lock(&self, path: &Path) -> Result<Option<Box<dyn Lock>>, WriteError> {
        if self.broken.get() {
            return Err(WriteError::new("locking", path, FileError::Immutable));
        }
        if self.held_for.get() > 0 {
            self.held_for.set(self.held_for.get() - 1);
            self.meanwhile.borrow().iter().for_each(|meanwhile| meanwhile());
            return Ok(None);
        }
        self.taken.borrow_mut().push(path.to_owned());
        Ok(Some(Box::new(MemoryLock)))
    }
}

/// The messages of the debug log.
#[derive(Default)]
pub(super) struct MemoryLog(pub(super) RefCell<Vec<String>>);

impl Log for MemoryLog {
    fn debug(&self, message: &dyn Fn() -> String) {
        self.0.borrow_mut().push(message());
    }
}

/// Everything that an engine needs, in memory. `config.toml` is the one file on disk.
pub(super) struct Memory {
    _home: tempfile::TempDir,
    pub(super) context: Context,
    pub(super) keyring: Rc<MemoryStore>,
    pub(super) file: Rc<MemoryStore>,
    pub(super) endpoints: ScriptedEndpoints,
    pub(super) locks: MemoryLocks,
    pub(super) log: MemoryLog,
    pub(super) clock: Rc<ManualClock>,
    pub(super) shared: Rc<MemoryShared>,
}

impl Memory {
    pub(super) fn new() -> Self {
        Self::with("", &[])
    }

    /// With this `config.toml` and these variables.
    pub(super) fn with(configuration: &str, variables: &[(&str, &str)]) -> Self {
        let clock = Rc::new(ManualClock { start: Instant::now(), elapsed: Cell::default() });
        let shared = Rc::new(MemoryShared::new(Rc::clone(&clock)));
        Self::sharing(configuration, variables, clock, shared)
    }

    /// Another machine with the same shared store.
    pub(super) fn beside(&self) -> Self {
        Self::sharing("", &[], Rc::clone(&self.clock), Rc::clone(&self.shared))
    }

    fn sharing(
        configuration: &str,
        variables: &[(&str, &str)],
        clock: Rc<ManualClock>,
        shared: Rc<MemoryShared>,
    ) -> Self {
        let home = tempfile::tempdir().expect("a home directory");
        let paths = Paths::at(home.path());
        if !configuration.is_empty() {
            let path = paths.configuration().expect("a configuration directory");
            crate::sys::atomic_file::write(path, configuration).expect("config.toml");
        }
        let variables =
            variables.iter().map(|(name, value)| ((*name).to_owned(), value.into())).collect();
        Self {
            _home: home,
            context: Context::new(Environment::Fixed(variables), paths, Overrides::default()),
            keyring: Rc::new(MemoryStore::new(Source::Keyring)),
            file: Rc::new(MemoryStore::new(Source::File)),
            endpoints: ScriptedEndpoints::default(),
            locks: MemoryLocks::default(),
            log: MemoryLog::default(),
            clock,
            shared,
        }
    }

    pub(super) fn engine(&self) -> Engine<'_> {
        Engine {
            context: &self.context,
            stores: Stores { keyring: &*self.keyring, file: &*self.file },
            endpoints: &self.endpoints,
            shared: &self.shared,
            shared_time: None,
            locks: &self.locks,
            clock: &*self.clock,
            log: &self.log,
            network: Network {
                context: &self.context,
                log: StderrLog::default(),
                descriptions: false,
                deadline: None,
            },
        }
    }
}

/// A session that was issued `age` seconds ago, with a token that lives 900 s and the refresh token `name`.
pub(super) fn session(name: &str, age: i64) -> Session {
    let received = Timestamp::from_unix(NOW - age);
    Session {
        access_token: Secret::new(format!("access-{name}")),
        refresh_token: Some(Secret::new(name)),
        id_token: None,
        expires_at: received.plus(time::Duration::seconds(900)),
        logged_in_at: Timestamp::from_unix(NOW - 100_000),
        last_refreshed_at: received,
    }
}

/// A session whose token has expired.
pub(super) fn expired(name: &str) -> Session {
    session(name, 3600)
}

/// A session whose token is due for a refresh and has not expired.
pub(super) fn due(name: &str) -> Session {
    session(name, 870)
}

pub(super) fn ended() -> RenewalError {
    RenewalError::SessionEnded(service_error(401, "INVALID_TOKEN"))
}

pub(super) fn interrupted() -> RenewalError {
    RenewalError::Interrupted(HttpError::NoResponse("its answer broke off".to_owned()))
}

pub(super) fn failed() -> RenewalError {
    RenewalError::Failed(service_error(503, ""))
}

pub(super) fn service_error(status: u16, code: &str) -> HttpError {
    ServiceError { status, code: code.to_owned(), ..ServiceError::default() }.into()
}

pub(super) fn stored(session: Session, source: Source) -> StoredSession {
    StoredSession { session, source }
}
