//! The service on a thread of its own, for callers that are not asynchronous. Stops when it is dropped.

use std::net::TcpListener;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, anyhow};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

use crate::extract::Device;
use crate::mail::{Inbox, Mail};
use crate::microtica::keys::{self, MadeKey, NewKey};
use crate::microtica::members;
use crate::microtica::projects::{self, NewProject, Project};
use crate::mycli::api_tokens::{self, NewToken, Wanted};
use crate::refusal::Refusal;
use crate::routes;
use crate::service::{Service, Shared};
use crate::settings::Settings;
use crate::testing::accounts::{self, Session};
use crate::testing::faults::Fault;
use crate::testing::journal::Recorded;
use crate::{connection, console};

const REFRESH: &str = "/v1/auth/refresh";

/// A running account service.
pub struct Server {
    url: String,
    service: Shared,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts the service: it answers when this returns.
    pub fn start(settings: Settings) -> anyhow::Result<Self> {
        let listen = settings.listen;
        let listener =
            TcpListener::bind(listen).with_context(|| format!("listening on {listen}"))?;
        listener.set_nonblocking(true)?;
        let url = format!("http://{}", listener.local_addr()?);
        let service = Arc::new(Service::open(settings, &url)?);
        let (stop, stopped) = oneshot::channel();
        let thread = spawn(listener, service.clone(), stopped)?;
        Ok(Self { url, service, stop: Some(stop), thread: Some(thread) })
    }

    /// `http://127.0.0.1:PORT`, without a slash at the end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Serves until the process ends.
    pub fn serve_for_ever(mut self) {
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }

    /// A session of that address, without the walk through the mail.
    pub fn session(&self, email: &str) -> anyhow::Result<Session> {
        self.session_on(email, None)
    }

    /// The same on a device; the session that the user had there ends.
    pub fn session_on(&self, email: &str, device_id: Option<&str>) -> anyhow::Result<Session> {
        let device = Device {
            user_agent: None,
            address: None,
            id: device_id.map(str::to_owned),
            name: None,
        };
        accounts::open_session(&self.service, email, None, &device).map_err(told)
    }

    /// An API token of the user of that address, shown this once.
    pub fn api_token(&self, email: &str, name: &str) -> anyhow::Result<NewToken> {
        let wanted = Wanted { name: name.to_owned(), expires_in: None, profile_id: None };
        let user = accounts::user_of(&self.service, email).map_err(told)?;
        api_tokens::make(&self.service, &user, wanted).map_err(told)
    }

    /// Makes a project of Microtica.
    pub fn microtica_project(&self, project: NewProject) -> anyhow::Result<Project> {
        projects::make(&self.service, project).map_err(told)
    }

    /// Makes an API key of Microtica, shown this once.
    pub fn microtica_key(&self, key: &NewKey) -> anyhow::Result<MadeKey> {
        keys::make(&self.service, key, None).map_err(told)
    }

    /// Revokes an API key of Microtica.
    pub fn revoke_microtica_key(&self, id: &str) -> anyhow::Result<()> {
        let now = self.service.now();
        self.service.database.transaction(|db| keys::revoke(db, id, now)).map_err(told)
    }

    /// Makes the user of that address a member of a project of Microtica.
    pub fn join_microtica_project(&self, project: &str, email: &str) -> anyhow::Result<()> {
        let user = accounts::user_of(&self.service, email).map_err(told)?;
        self.service.database.transaction(|db| Ok(members::join(db, project, &user)?)).map_err(told)
    }

    /// Signs that address in to the console, without the walk through the mail: the name and the value of the cookie.
    pub fn console_cookie(&self, email: &str) -> anyhow::Result<(&'static str, String)> {
        let user = accounts::user_of(&self.service, email).map_err(told)?;
        let secret = console::sign_in_as(&self.service, &user).map_err(told)?;
        Ok((console::cookie_name(&self.service), secret))
    }

    /// The mails of the inbox, the newest first.
    pub fn inbox(&self) -> Vec<Mail> {
        let inbox = self.service.mailer.inbox();
        inbox.map_or_else(Vec::new, Inbox::mails)
    }

    /// The requests since the start, or since the journal was cleared. Recorded only with `for_tests`.
    pub fn requests(&self) -> Vec<Recorded> {
        self.service.controls.journal.requests()
    }

    /// How many of them wanted to refresh.
    pub fn refresh_requests(&self) -> usize {
        let requests = self.requests();
        requests.iter().filter(|request| request.path == REFRESH).count()
    }

    /// Forgets the requests so far.
    pub fn clear_requests(&self) {
        self.service.controls.journal.clear();
    }

    /// Moves the clock of the service ahead.
    pub fn advance(&self, span: Duration) {
        self.service.clock.advance(span);
    }

    /// Lets this happen to the next requests of the path. Happens only with `for_tests`.
    pub fn fault(&self, path: &str, times: usize, fault: Fault) {
        self.service.controls.faults.queue(path, times, fault);
    }

    /// Refuses the access token from now on, though it has not expired.
    ///
    /// Without `jti` a token that is issued in the same second is the same token, and refused too.
    pub fn revoke_access(&self, access_token: &str) {
        self.service.controls.deny(access_token);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn told(refusal: Refusal) -> anyhow::Error {
    anyhow!("{refusal:?}")
}

fn spawn(
    listener: TcpListener,
    service: Shared,
    stopped: oneshot::Receiver<()>,
) -> anyhow::Result<JoinHandle<()>> {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let listener = {
        let _inside = runtime.enter();
        tokio::net::TcpListener::from_std(listener)?
    };
    let thread = thread::Builder::new().name("account-server".to_owned());
    Ok(thread.spawn(move || run(runtime, listener, &service, stopped))?)
}

/// Runs until it is told to stop, and leaves no connection behind.
fn run(
    runtime: Runtime,
    listener: tokio::net::TcpListener,
    service: &Shared,
    stopped: oneshot::Receiver<()>,
) {
    let routes = routes::all(service);
    runtime.spawn(connection::accept(listener, routes));
    let _ = runtime.block_on(stopped);
    runtime.shutdown_timeout(Duration::from_secs(5));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_may_share_a_server() {
        fn shared<T: Send + Sync>() {}
        shared::<Server>();
    }
}
