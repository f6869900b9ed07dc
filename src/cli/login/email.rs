//! The login by email: by a click on the link in the mail or by its six-digit code, in one process or in two.

use std::time::{Duration, Instant};

use serde_json::json;

use super::waiting::{ACCEPTED_CODE_TIMEOUT, LoginWait, print_instructions, restart_hint};
use super::{Login, Pending, at_url, warn_about_variable};
use crate::cli::terminal::{self, Stopped};
use crate::error::{Error, ErrorCode, Result, sanitize};
use crate::http::mycli::Code;
use crate::http::{self, Client, HttpError, mycli};
use crate::model::{Account, Provider, Secret, Session, Timestamp, ToolOutput};
use crate::store::owner;

impl Login<'_> {
    pub(super) fn by_email(mut self) -> Result<ToolOutput, Stopped> {
        let Some(code) = &self.arguments.code else { return self.request_link() };
        let pending = self.pending()?;
        self.provider = self.pending_account(&pending)?;
        self.api_url.clone_from(&pending.api_url);
        let client = self.prepare()?;
        let started = self.engine.clock.now();
        let session = match submit_code(&client, &pending, code)? {
            Some(session) => Ok(session),
            None => LoginWait::new(&client, &pending, true, self.output.quiet).wait(),
        };
        self.finish(&client, &pending, session, started)
    }

    fn finish(
        &self,
        client: &Client,
        pending: &Pending,
        session: Result<mycli::NewSession, Stopped>,
        started: Timestamp,
    ) -> Result<ToolOutput, Stopped> {
        match session {
            Err(Stopped::Failed(error)) => Ok(self.completed_elsewhere(error, started)?),
            session => Ok(self.save(client, pending, session?)?),
        }
    }

    fn request_link(&self) -> Result<ToolOutput, Stopped> {
        if !self.arguments.force
            && let Some(result) = self.existing()?
        {
            return Ok(result);
        }
        let client = self.prepare()?;
        let pending = self.send_mail(&client)?;
        if self.arguments.no_wait {
            let sentence = format!(
                "Sent an email with a link and a code to {}. To complete the login, run `{}` with the six-digit code.",
                sanitize(&pending.email),
                self.provider.command("login --code CODE")
            );
            let fields =
                json!({ "pending": true, "account": pending.account, "email": pending.email });
            return Ok(self.output.done(&sentence, &fields));
        }
        if !self.output.quiet {
            print_instructions(&pending);
        }
        let started = self.engine.clock.now();
        let session = LoginWait::new(&client, &pending, false, self.output.quiet).wait();
        self.finish(&client, &pending, session, started)
    }

    /// A client, if the session could be stored.
    fn prepare(&self) -> Result<Client> {
        let client = Client::new(self.engine.network, &self.provider, &self.api_url)?;
        self.engine.check_login(&self.provider)?;
        self.check_api_url()?;
        Ok(client)
    }

    /// The login that another process has started. Its code is sent only to its provider and API URL.
    fn pending(&self) -> Result<Pending> {
        let name = &self.provider.name;
        let pending = Pending::load(self.engine, self.engine.clock.now())?.ok_or_else(|| {
            Error::invalid("no pending login").with_hint(
                "start one with `my-credential-helper login --email you@example.com --no-wait`",
            )
        })?;
        let other = |message: String, option: String| {
            let hint =
                format!("run `my-credential-helper {option} login --code CODE` to complete it");
            Err(Error::invalid(sanitize(&message)).with_hint(sanitize(&hint)))
        };
        if pending.provider != *name {
            return other(
                format!("no pending login to {name}, but one to {}", pending.provider),
                format!("--provider {}", pending.provider),
            );
        }
        // The configured URL need not match: the pending login may replace it.
        let context = &self.engine.context;
        let variable = self.provider.api_url_variable.as_deref();
        let is_overridden = context.overrides.api_url.is_some()
            || variable.is_some_and(|name| context.environment.get(name).is_some());
        if is_overridden && self.api_url != pending.api_url {
            return other(
                format!("no pending login at {}, but one at {}", self.api_url, pending.api_url),
                format!("--api-url {}", pending.api_url),
            );
        }
        Ok(pending)
    }

    /// The provider with the account of the pending login.
    fn pending_account(&self, pending: &Pending) -> Result<Provider> {
        let name = &self.provider.name;
        if let Some((account, _)) = self.engine.context.account_override(name)?
            && *account != *pending.account
        {
            let account = sanitize(&pending.account);
            let message = format!("the pending login is for the account {account}");
            return Err(
                Error::invalid(message).with_hint("omit the account, or start another login")
            );
        }
        let account = Account::parse(&pending.account)?;
        Ok(self.engine.context.descriptor(Some(name))?.with_account(account))
    }

    /// The result if the stored session is still accepted.
    fn existing(&self) -> Result<Option<ToolOutput>> {
        let (engine, provider) = (self.engine, &self.provider);
        let Some(stored) = engine.load(provider).newest else {
            return Ok(None);
        };
        if engine.context.other_login_url(provider, None)?.is_some() {
            return Ok(None);
        }
        // As recorded, if the service is not reachable.
        let recorded = || owner::load(&engine.context.paths, &provider.key, &stored.session);
        let user = if engine.context.environment.get(&provider.token_variable).is_some() {
            // The token of the variable is in force: the session is not refreshed.
            let client = Client::new(engine.network, provider, &self.api_url)?;
            let me = mycli::me(&client, &stored.session.access_token).ok();
            me.map(|me| me.email).or_else(recorded)
        } else {
            match engine.call(provider, "look up the user", mycli::me) {
                Ok((me, _)) => Some(me.email),
                Err(error) if error.code == ErrorCode::TemporarilyUnavailable => recorded(),
                Err(_) => return Ok(None),
            }
        };
        if let Some(email) = self.arguments.email.as_deref().map(str::trim)
            && user.as_ref().is_none_or(|user| !email.eq_ignore_ascii_case(user))
        {
            let title = provider.title();
            let who = user.map_or_else(String::new, |user| format!(" as {}", sanitize(&user)));
            self.output.note(format!(
                "logged in to {title}{who}; the new login replaces that session. Use `--account NAME` to keep both"
            ));
            return Ok(None);
        }
        warn_about_variable(engine, provider, self.output);
        Ok(Some(self.report_existing(user.as_deref())))
    }

    fn send_mail(&self, client: &Client) -> Result<Pending> {
        loop {
            let email = match &self.arguments.email {
                Some(email) => email.clone(),
                None if terminal::is_interactive() => {
                    let at_url = at_url(self.engine, &self.provider)?;
                    terminal::prompt(&format!("Email address{at_url}:"))?
                }
                None => return Err(self.no_terminal()),
            };
            match mycli::start_login(client, &email) {
                Ok(started) => {
                    let pending = Pending::new(self, email, started);
                    pending.save(self.engine)?;
                    return Ok(pending);
                }
                // A typing error: prompt again.
                Err(error)
                    if error.code() == Some(Code::InvalidEmail)
                        && self.arguments.email.is_none() =>
                {
                    terminal::print(&format!(
                        "invalid email address `{}`: {error}",
                        sanitize(&email)
                    ));
                }
                Err(error) => {
                    return Err(http::failed(client.base_url(), "start the login", &error));
                }
            }
        }
    }

    fn no_terminal(&self) -> Error {
        let context = &self.engine.context;
        let hint = if context.is_job() {
            context.login_hint(&self.provider)
        } else {
            format!("run `{}`", self.provider.command("login --email you@example.com"))
        };
        Error::invalid("no token on standard input, and no terminal to prompt for an email address")
            .with_hint(hint)
    }

    /// The result if another process has received the session of the same login.
    fn completed_elsewhere(&self, error: Error, started: Timestamp) -> Result<ToolOutput> {
        if error.code == ErrorCode::SessionExpired {
            std::thread::sleep(Duration::from_millis(200));
            let stored = self.engine.load(&self.provider).newest;
            // An older session is not the result of this login.
            if stored.is_some_and(|stored| stored.session.logged_in_at >= started)
                && let Some(result) = self.existing()?
            {
                return Ok(result);
            }
        }
        Err(error)
    }

    fn save(
        &self,
        client: &Client,
        pending: &Pending,
        issued: mycli::NewSession,
    ) -> Result<ToolOutput> {
        let needs_username = issued.needs_username;
        let session = issued.into_session(self.engine.clock.now());
        self.configure_api_url()?;
        let stored = self.engine.save_granted(&self.provider, &session)?;
        self.configure_store()?;
        Pending::forget(self.engine);
        if needs_username {
            self.choose_username(client, pending, &session)?;
        }
        let me = mycli::me(client, &session.access_token);
        let (email, username) = me.map_or((None, None), |me| (Some(me.email), me.username));
        let user = username.as_ref().or(email.as_ref()).map_or("you", String::as_str);
        let fields = json!({ "email": email, "username": username });
        Ok(self.report_success(stored, Some(user), fields))
    }

    /// Sets the user name that a new account needs. The service decides which names are free.
    fn choose_username(&self, client: &Client, pending: &Pending, session: &Session) -> Result<()> {
        let mut requested = self.arguments.username.as_ref().or(pending.username.as_ref()).cloned();
        loop {
            let name = match requested.take() {
                Some(name) => name,
                None if terminal::is_interactive() => {
                    terminal::prompt("Choose a user name (3 to 39 of a-z, 0-9 and -):")?
                }
                None => {
                    self.output.note("the account has no user name yet; run `login --force --username NAME` to set one");
                    return Ok(());
                }
            };
            match mycli::set_username(client, &session.access_token, &name) {
                Ok(()) => return Ok(()),
                Err(error)
                    if matches!(
                        error.code(),
                        Some(Code::UsernameTaken | Code::InvalidUsername)
                    ) && terminal::is_interactive() =>
                {
                    terminal::print(&format!(
                        "user name `{}` is not available: {error}",
                        sanitize(&name)
                    ));
                }
                Err(error) if error.code() == Some(Code::UsernameAlreadySet) => return Ok(()),
                Err(error) => {
                    // The session is stored; the name can be set later.
                    self.output.note(format!("could not set the user name: {error}"));
                    return Ok(());
                }
            }
        }
    }
}

/// Sends the code. Returns the session if a click on the link, which voids the code, came first.
fn submit_code(
    client: &Client,
    pending: &Pending,
    code: &str,
) -> Result<Option<mycli::NewSession>> {
    // People type the code in groups. A wrong code counts as an attempt.
    let code = code.chars().filter(|c| c.is_alphanumeric()).collect::<String>();
    if code.len() != 6 || !code.bytes().all(|byte| byte.is_ascii_digit()) {
        let hint = "use the code of the newest email; the login is still pending";
        return Err(Error::invalid("the code is not six digits").with_hint(hint));
    }
    let Err(error) = mycli::verify_code(client, &pending.device_code, &Secret::new(code)) else {
        return Ok(None);
    };
    let deadline = Instant::now() + ACCEPTED_CODE_TIMEOUT;
    while error.code() == Some(Code::InvalidCode) {
        match mycli::poll_login(client, &pending.device_code) {
            Ok(mycli::Poll::Done(session)) => return Ok(Some(*session)),
            Err(failure) if failure.is_temporary() && Instant::now() < deadline => {
                std::thread::sleep(Duration::from_secs(pending.interval));
            }
            Err(failure) if failure.is_temporary() => {
                return Err(http::failed(client.base_url(), "wait for the login", &failure)
                    .with_hint(
                        "try again; an accepted code or a click on the link remains valid",
                    ));
            }
            _ => break,
        }
    }
    Err(rejected_code(client, pending, &error))
}

pub(super) fn rejected_code(client: &Client, pending: &Pending, error: &HttpError) -> Error {
    let failure = http::failed(client.base_url(), "check the code", error);
    match error.code() {
        Some(Code::InvalidCode) => failure.with_hint("use the six-digit code of the newest email"),
        // Its status is that of a rate limit, which would pass.
        Some(Code::TooManyAttempts) => {
            Error { code: ErrorCode::Rejected, ..failure }.with_hint(restart_hint(pending))
        }
        _ => failure,
    }
}
