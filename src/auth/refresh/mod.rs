//! The one place that redeems a refresh token. It works once, so however many processes find the same stale session,
//! one of them asks the service and the others read what it saved; and nothing is spent before it is sure that what
//! comes back can be kept.
//!
//! A service with a grace (mycli: 30 s) is asked again at once where its answer broke off. One that speaks OAuth 2 may end
//! the whole login when a token comes back that it has replaced, so one call sends it once, and waits longer for the
//! answer. Where none came, the token stays and the next call sends it again: if the service has carried the first request
//! out, the login is lost with that answer, whether anybody asks or not; if it has not, nothing is.
//!
//! From the request to the write of its answer, into space that was reserved before, Control-C and requests to end wait
//! ([`signals`]). What kills at once, or a machine that dies, between the service's answer and the write costs the login
//! with such a service. No client can prevent that.

pub mod last;
mod renewal;

use std::cmp::Ordering;
use std::time::{Duration, Instant};

use time::Duration as Validity;

use crate::auth::context::Context;
use crate::config::StoreChoice;
use crate::error::{Error, ErrorCode, Result};
use crate::http::{self, ApiError};
use crate::model::credential::Session;
use crate::model::provider::{Provider, StorageKey};
use crate::model::request::Source;
use crate::model::secret::Secret;
use crate::store::session::{self, LoadedSessions, StoredSession};
use crate::store::{StoreFailure, Stores, Write};
use crate::sys::clock;
use crate::sys::lock::{self, Lock};
use crate::sys::signals;
use renewal::Renewal;

/// Lock and request together.
const PATIENCE: Duration = Duration::from_secs(5);

/// Another program may have redeemed the token and not yet saved what it got.
const SECOND_LOOK: Duration = Duration::from_millis(200);

/// Between a request that broke off and the next.
const BEFORE_ANOTHER_TRY: Duration = Duration::from_millis(700);

/// Space for a session, whatever its tokens grow to.
const RESERVED: usize = 40 * 1024;

/// While the lock is held elsewhere, when the stores are first read again; then each time after twice as long. Dozens of
/// processes that read the keyring all the while would use up its time and their own.
const FIRST_LOOK: Duration = Duration::from_millis(20);

/// How long a session may go unrefreshed before an account verb refreshes it in passing.
const WEEK: Validity = Validity::WEEK;

/// A login this young is left alone.
const YOUNG: Validity = Validity::minutes(30);

/// A session with at least `min_validity` left, instead of `stale`, with a provider that has such. Where a refresh fails for a passing reason and the
/// token still lives, that token, and a note.
pub fn refresh(
    context: &Context,
    provider: &Provider,
    min_validity: Validity,
    stale: StoredSession,
) -> Result<StoredSession> {
    refresh_within(context, provider, min_validity, stale, PATIENCE)
}

/// Keeps a login alive that is seldom used: refreshes a session that has not been for a week. For account verbs that
/// need no token, after their answer is written; silent, and at most for 3 s.
pub fn weekly(context: &Context) {
    let Ok(provider) = context.provider(None) else { return };
    let Ok(stores) = context.stores() else { return };
    if context.environment.get(&provider.token_variable).is_some()
        || !matches!(context.logged_in_elsewhere(&provider, None), Ok(None))
    {
        return;
    }
    let Some(kept) = session::load(&stores.in_order(), &provider.slot).newest else { return };
    let (session, now) = (&kept.session, clock::now());
    let is_due = now.since(session.received_at()) > WEEK && now.since(session.logged_in_at) > YOUNG;
    if is_due && provider.login.can_renew(session) {
        let _ = refresh_within(context, &provider, Validity::ZERO, kept, Duration::from_secs(3));
    }
}

fn refresh_within(
    context: &Context,
    provider: &Provider,
    min_validity: Validity,
    stale: StoredSession,
    patience: Duration,
) -> Result<StoredSession> {
    let deadline = Instant::now() + patience;
    let refresh = Refresh { context, provider, stores: context.stores()?, min_validity, deadline };
    context
        .trace
        .say(|| format!("the session ends at {}: a refresh is due", stale.session.expires_at));
    let _lock = match refresh.take_lock(stale)? {
        Turn::Mine(lock) => lock,
        Turn::Answered(kept) => return Ok(kept),
    };
    // What was read before the lock is gone: only what is read now may be redeemed.
    let mut loaded = refresh.load();
    match loaded.newest.take() {
        None => Err(loaded.nothing(provider, loaded.tried.clone())),
        Some(kept) if refresh.is_fresh(&kept) => Ok(kept),
        Some(kept) => refresh.redeem(kept, loaded.older.as_ref()),
    }
}

/// How often a refused token may force a refresh.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Forced {
    /// A tool says that it was refused: at most once a minute, or a host that refuses everybody would cost a refresh a
    /// call.
    ByTool,
    /// Our own call was refused by the service itself.
    ByService,
}

/// Takes note that this access token was refused: the session counts as stale from now on, so that the next request
/// refreshes it. Says whether it was the session's.
pub fn mark_refused(
    context: &Context,
    provider: &Provider,
    refused: &Secret,
    forced: Forced,
) -> Result<bool> {
    let stores = context.stores()?;
    let refused_session = || {
        let StoredSession { session, source } =
            session::load(&stores.in_order(), &provider.slot).newest?;
        let now = clock::now();
        let is_due =
            forced == Forced::ByService || now.since(session.last_refreshed_at) >= Validity::MINUTE;
        let is_it = session.access_token == *refused && provider.login.can_renew(&session);
        (is_it && is_due && session.is_alive(now)).then_some((session, source))
    };
    if refused_session().is_none() {
        return Ok(false);
    }
    let _lock = wait_for_lock(context, &provider.slot, Instant::now() + PATIENCE)?;
    let Some((mut session, source)) = refused_session() else { return Ok(false) };
    session.expires_at = clock::now();
    session::write(stores.of(source), &provider.slot, &session).map_err(|cause| {
        Error::invalid_state(format!("the refused token cannot be marked: {cause}"))
    })?;
    Ok(true)
}

/// The lock that every change of a session is made under.
pub fn wait_for_lock(context: &Context, slot: &StorageKey, deadline: Instant) -> Result<Lock> {
    loop {
        if let Some(lock) = try_lock(context, slot)? {
            return Ok(lock);
        }
        if Instant::now() >= deadline {
            return Err(locked_out());
        }
        std::thread::sleep(lock::PAUSE);
    }
}

fn try_lock(context: &Context, slot: &StorageKey) -> Result<Option<Lock>> {
    let path = context.paths.in_home(&slot.lock).map_err(Error::invalid_state)?;
    Ok(lock::try_lock(&path)?)
}

fn locked_out() -> Error {
    Error::temporary("another process has been refreshing the session for 5 s")
        .with_hint("try again in a moment")
}

/// Whose turn it is.
enum Turn {
    Mine(Lock),
    /// Somebody else's, and this can be returned.
    Answered(StoredSession),
}

/// Which session counts after a refresh.
enum Meanwhile {
    Ours(Session),
    Theirs(Session),
}

struct Refresh<'a> {
    context: &'a Context,
    provider: &'a Provider,
    stores: Stores<'a>,
    min_validity: Validity,
    deadline: Instant,
}

impl Refresh<'_> {
    fn load(&self) -> LoadedSessions {
        session::load(&self.stores.in_order(), &self.provider.slot)
    }

    fn is_fresh(&self, kept: &StoredSession) -> bool {
        kept.session.is_fresh(clock::now(), self.min_validity)
    }

    /// Waits for the lock; while somebody else holds it, a token that still lives, or what they saved, will do.
    fn take_lock(&self, stale: StoredSession) -> Result<Turn> {
        let (mut pause, mut next_look) = (FIRST_LOOK, Instant::now() + FIRST_LOOK);
        loop {
            let lock = try_lock(self.context, &self.provider.slot);
            if let Ok(Some(lock)) = lock {
                return Ok(Turn::Mine(lock));
            }
            if stale.session.is_alive(clock::now()) {
                // As in a home that is mounted read-only.
                if let Err(error) = lock {
                    self.context.note(self.failure(&error.message));
                }
                return Ok(Turn::Answered(stale));
            }
            lock?;
            if Instant::now() >= next_look {
                if let Some(kept) = self.load().newest.filter(|kept| self.is_fresh(kept)) {
                    return Ok(Turn::Answered(kept));
                }
                pause *= 2;
                next_look = Instant::now() + pause;
            }
            if Instant::now() >= self.deadline {
                return Err(locked_out());
            }
            std::thread::sleep(lock::PAUSE);
        }
    }

    /// Asks the service, with the lock held. `older` is a copy in the other place.
    fn redeem(&self, kept: StoredSession, older: Option<&StoredSession>) -> Result<StoredSession> {
        if !self.provider.login.can_renew(&kept.session) {
            return self.or_living(kept, "it has no refresh token");
        }
        // A session that the keyring once refused lies in the file, and its old copy in the keyring: it moves back,
        // unless somebody wants it in the file.
        let moves_back = older.is_some() && self.stores.choice != Some(StoreChoice::File);
        let home = if moves_back { Source::Keyring } else { kept.source };
        let slot = &self.provider.slot;
        // All that can fail on this machine fails before the token is spent.
        let renewal = match Renewal::of(self.context, self.provider, self.deadline) {
            Ok(renewal) => renewal,
            Err(error) if kept.session.is_alive(clock::now()) => {
                return self.or_living(kept, &error.message);
            }
            Err(error) => return Err(error),
        };
        let write = match self.stores.of(home).prepare(slot, RESERVED) {
            Ok(write) => write,
            Err(cause) => {
                return self
                    .or_living(kept, &format!("the new session could not be saved: {cause}"));
            }
        };
        // From here on the token may be spent, and the answer is not there twice.
        let _held_off = signals::block();
        match self.ask(&renewal, &kept.session) {
            Ok(session) => self.save(&renewal, write, home, &kept, session),
            Err(error) if renewal.is_definitive(&error) => {
                match last::instead_of(&self.stores, self.provider, &kept)
                    .map(|ours| renewal.ask(&ours))
                {
                    Some(Ok(session)) => self.save(&renewal, write, home, &kept, session),
                    Some(Err(error)) if !renewal.is_definitive(&error) => {
                        self.or_living(kept, &error.to_string())
                    }
                    Some(Err(_)) | None => self.refused(&kept, &error),
                }
            }
            Err(error) if renewal.refuses_the_program(&error) => {
                let hint =
                    "the login is kept; see to `client_id` and the client secret in config.toml";
                self.or_living(kept, &error.to_string()).map_err(|failure| {
                    Error { code: ErrorCode::Rejected, ..failure }.with_hint(hint)
                })
            }
            Err(error @ (ApiError::Unreachable(_) | ApiError::Absurd(_)))
                if renewal.has_grace() =>
            {
                let hint = "try again at once: for 30 s the service takes the token that it may have replaced";
                self.or_living(kept, &error.to_string()).map_err(|failure| failure.with_hint(hint))
            }
            Err(error) => self.or_living(kept, &error.to_string()),
        }
    }

    /// One request; with a service that has a grace a second one where the first broke off, since it may have carried
    /// that out, and takes the token that it has just replaced for 30 s, once. What broke it off is given a moment to
    /// pass; where it has not, the one try that is left is left to the next call.
    fn ask(&self, renewal: &Renewal<'_>, spent: &Session) -> http::Result<Session> {
        let answer = renewal.ask(spent);
        let left = self.deadline.saturating_duration_since(Instant::now());
        match answer {
            Err(ApiError::Unreachable(_) | ApiError::Absurd(_))
                if renewal.has_grace() && left > 2 * BEFORE_ANOTHER_TRY =>
            {
                std::thread::sleep(BEFORE_ANOTHER_TRY);
                if renewal.is_reachable() { renewal.ask(spent) } else { answer }
            }
            answer => answer,
        }
    }

    /// Saves a new session, unless what somebody saved meanwhile counts instead; then the older copies go.
    fn save(
        &self,
        renewal: &Renewal<'_>,
        write: Write<'_>,
        home: Source,
        spent: &StoredSession,
        new: Session,
    ) -> Result<StoredSession> {
        let new = match self.after_others(renewal, spent, new)? {
            Meanwhile::Ours(session) => session,
            Meanwhile::Theirs(session) => {
                return Ok(StoredSession { session, source: spent.source });
            }
        };
        match self.write_somewhere(write, home, &new) {
            Ok(source) => {
                last::keep(&self.stores, self.provider, source, &new);
                self.remove_copy(source.other(), &new);
                Ok(StoredSession { session: new, source })
            }
            Err(cause) => {
                self.context.note(format!(
                    "the new session could not be saved ({cause}); a new login will be needed"
                ));
                Ok(StoredSession { session: new, source: spent.source })
            }
        }
    }

    /// What counts now that another program may have written without the lock while the service was asked.
    fn after_others(
        &self,
        renewal: &Renewal<'_>,
        spent: &StoredSession,
        new: Session,
    ) -> Result<Meanwhile> {
        let there = match session::read(self.stores.of(spent.source), &self.provider.slot) {
            Ok(Some(there)) => there,
            Ok(None) => {
                return Err(Error::new(
                    ErrorCode::NotLoggedIn,
                    format!("logged out of {} meanwhile", self.provider.title()),
                )
                .with_hint(self.provider.login_hint()));
            }
            Err(_) => return Ok(Meanwhile::Ours(new)),
        };
        if there.refresh_token == spent.session.refresh_token {
            return Ok(Meanwhile::Ours(new));
        }
        if there.logged_in_at != spent.session.logged_in_at {
            // Somebody logged in anew, maybe as somebody else.
            return Ok(Meanwhile::Theirs(there));
        }
        match (session::issued_at(&there).0.cmp(&session::issued_at(&new).0), &there.refresh_token)
        {
            (Ordering::Greater, _) => Ok(Meanwhile::Theirs(there)),
            // Both were issued in one second, and only the service knows which of them replaced the other. It takes
            // either for 30 s, and what it gives for one is the newest.
            (Ordering::Equal, Some(_)) if renewal.has_grace() => {
                Ok(Meanwhile::Ours(renewal.ask(&there).unwrap_or(new)))
            }
            _ => Ok(Meanwhile::Ours(new)),
        }
    }

    /// The token is spent: wherever the new session can be kept, it is.
    fn write_somewhere(
        &self,
        write: Write<'_>,
        home: Source,
        new: &Session,
    ) -> Result<Source, StoreFailure> {
        let slot = &self.provider.slot;
        let Err(cause) = write(&session::encode(slot.shape, new)) else { return Ok(home) };
        // What was prepared may have been taken away since.
        if session::write(self.stores.of(home), slot, new).is_ok() {
            return Ok(home);
        }
        match session::write(self.stores.of(home.other()), slot, new) {
            Ok(stored) => {
                let home = home.name();
                self.context.note(format!(
                    "the {home} did not take the session ({cause}); it is in {}",
                    stored.location
                ));
                Ok(stored.source)
            }
            Err(_) => Err(cause),
        }
    }

    /// Removes an older session from the other place, as far as it can be reached.
    fn remove_copy(&self, from: Source, than: &Session) {
        let store = self.stores.of(from);
        if let Ok(Some(copy)) = session::read(store, &self.provider.slot)
            && session::issued_at(&copy) <= session::issued_at(than)
        {
            let _ = session::delete_if(store, &self.provider.slot, &copy);
        }
    }

    /// The service says that the session is dead. Another program may have redeemed the token a moment ago: looks
    /// again, twice, before it believes so; then clears what was refused, if it still stands there.
    fn refused(&self, kept: &StoredSession, error: &ApiError) -> Result<StoredSession> {
        for pause in [Duration::ZERO, SECOND_LOOK] {
            std::thread::sleep(pause);
            if let Some(other) = self
                .load()
                .newest
                .filter(|other| other.session.refresh_token != kept.session.refresh_token)
            {
                return if self.is_fresh(&other) {
                    Ok(other)
                } else {
                    self.or_living(other, "it has just been replaced")
                };
            }
        }
        for store in self.stores.in_order() {
            let _ = session::delete_if(store, &self.provider.slot, &kept.session);
        }
        last::forget(&self.stores, self.provider);
        // An older session in the other place may still be good; it is what the next call would find.
        if let Some(other) =
            self.load().newest.filter(|other| other.session.refresh_token.is_some())
        {
            return self.redeem(other, None);
        }
        Err(Error::new(
            ErrorCode::SessionExpired,
            format!("the session with {} has ended: {error}", self.provider.title()),
        )
        .with_hint(self.provider.login_hint()))
    }

    fn failure(&self, why: &str) -> String {
        format!("the session with {} could not be refreshed: {why}", self.provider.title())
    }

    /// The refresh failed for a reason that may pass: the session stays, and a token that still lives is used.
    fn or_living(&self, kept: StoredSession, why: &str) -> Result<StoredSession> {
        // Meanwhile another program may have had more luck.
        if let Some(other) = self.load().newest.filter(|other| self.is_fresh(other)) {
            return Ok(other);
        }
        let message = self.failure(why);
        if kept.session.is_alive(clock::now()) {
            self.context.note(message);
            return Ok(kept);
        }
        Err(Error::temporary(message).with_hint("the login is kept; try again in a moment"))
    }
}
