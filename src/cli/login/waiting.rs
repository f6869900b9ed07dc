//! The wait for the link in the mail: polls, shows a countdown, and accepts the six-digit code from the keyboard.

use std::collections::VecDeque;
use std::io::IsTerminal as _;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::Pending;
use crate::cli::terminal::{self, Key, Keyboard, Stopped};
use crate::error::{Error, ErrorCode, Result, sanitize};
use crate::http::{self, Client, mycli};
use crate::model::{Account, Provider, Secret};
use crate::sys::clock;

/// How often the countdown is drawn.
pub(super) const TICK: Duration = Duration::from_millis(100);

/// How long polls may fail after the service has accepted the code: nobody is about to click a link.
pub(super) const ACCEPTED_CODE_TIMEOUT: Duration = Duration::from_secs(20);

pub(super) fn print_instructions(pending: &Pending) {
    let keys = if terminal::is_interactive() {
        ", or enter the six-digit code here (press r to resend)"
    } else {
        ""
    };
    let email = sanitize(&pending.email);
    terminal::print(&format!("Sent an email to {email}. Click the link in the email{keys}."));
}

pub(super) struct LoginWait<'a> {
    client: &'a Client,
    pending: &'a Pending,
    /// After it a failed poll ends the wait. Without one, only the expiry of link and code does.
    deadline: Option<Instant>,
    spinner: Spinner,
    keyboard: Option<Keyboard>,
    /// Keys that are not handled yet.
    keys: VecDeque<Key>,
    /// The digits of the code so far.
    typed: String,
}

impl<'a> LoginWait<'a> {
    pub(super) fn new(
        client: &'a Client,
        pending: &'a Pending,
        code_is_accepted: bool,
        quiet: bool,
    ) -> Self {
        Self {
            client,
            pending,
            deadline: code_is_accepted.then(|| Instant::now() + ACCEPTED_CODE_TIMEOUT),
            spinner: Spinner::new(quiet),
            keyboard: if terminal::is_interactive() { Keyboard::open() } else { None },
            keys: VecDeque::new(),
            typed: String::new(),
        }
    }

    pub(super) fn wait(mut self) -> Result<mycli::NewSession, Stopped> {
        let mut next_poll = Instant::now();
        loop {
            if Instant::now() >= next_poll {
                if let Some(session) = self.poll()? {
                    return Ok(session);
                }
                next_poll = Instant::now() + Duration::from_secs(self.pending.interval);
            }
            self.draw();
            match &self.keyboard {
                Some(keyboard) => self.keys.extend(keyboard.keys()),
                None => std::thread::sleep(
                    TICK.min(next_poll.saturating_duration_since(Instant::now())),
                ),
            }
            while let Some(key) = self.keys.pop_front() {
                if self.handle(key)? {
                    next_poll = Instant::now();
                }
            }
        }
    }

    /// Calls the service in a thread: the countdown moves and Control-C works meanwhile, other keys afterwards.
    fn call<T: Send + 'static>(
        &mut self,
        request: impl FnOnce(&Client) -> http::Result<T> + Send + 'static,
    ) -> Result<http::Result<T>, Stopped> {
        let (client, (sender, response)) = (self.client.clone(), mpsc::channel());
        std::thread::spawn(move || sender.send(request(&client)));
        let timeout = if self.keyboard.is_some() { TICK / 10 } else { TICK };
        loop {
            match response.recv_timeout(timeout) {
                Ok(response) => return Ok(response),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Error::invalid_state("the call was interrupted").into());
                }
            }
            self.draw();
            self.keys.extend(self.keyboard.iter().flat_map(Keyboard::keys));
            if self.keys.iter().any(|key| matches!(key, Key::Interrupt | Key::EndOfInput)) {
                return Err(Stopped::Interrupted);
            }
        }
    }

    fn poll(&mut self) -> Result<Option<mycli::NewSession>, Stopped> {
        let device_code = self.pending.device_code.clone();
        let response = self.call(move |client| mycli::poll_login(client, &device_code))?;
        let is_expired = self.seconds_left() == 0;
        let error = match response {
            Ok(mycli::Poll::Done(session)) => return Ok(Some(*session)),
            Ok(mycli::Poll::Pending) if !is_expired => return Ok(None),
            Ok(mycli::Poll::Pending | mycli::Poll::Expired) => {
                Error::new(ErrorCode::SessionExpired, "the link and the code have expired")
                    .with_hint(restart_hint(self.pending))
            }
            Err(error) => {
                let is_temporary = error.is_temporary();
                let before_deadline = self.deadline.is_none_or(|end| Instant::now() < end);
                if is_temporary && !is_expired && before_deadline {
                    return Ok(None);
                }
                let failure = http::failed(self.client.base_url(), "wait for the login", &error);
                if is_temporary {
                    failure.with_hint(
                        "try again; an accepted code or a click on the link remains valid",
                    )
                } else {
                    failure
                }
            }
        };
        Err(error.into())
    }

    /// Returns whether the service accepted the code.
    fn handle(&mut self, key: Key) -> Result<bool, Stopped> {
        match key {
            Key::Interrupt | Key::EndOfInput => return Err(Stopped::Interrupted),
            Key::Char('r' | 'R') => self.resend()?,
            Key::Char(digit) if digit.is_ascii_digit() => self.typed.push(digit),
            Key::Char(_) | Key::Enter => {}
            Key::Backspace => drop(self.typed.pop()),
        }
        if self.typed.len() < 6 {
            return Ok(false);
        }
        let code = Secret::new(std::mem::take(&mut self.typed));
        let device_code = self.pending.device_code.clone();
        match self.call(move |client| mycli::verify_code(client, &device_code, &code))? {
            Ok(()) => Ok(true),
            Err(error) if error.code() == Some(mycli::Code::TooManyAttempts) => {
                Err(super::email::rejected_code(self.client, self.pending, &error).into())
            }
            Err(error) => {
                self.spinner.print(&format!("the code was rejected: {error}"));
                Ok(false)
            }
        }
    }

    fn resend(&mut self) -> Result<(), Stopped> {
        let (device_code, email) = (self.pending.device_code.clone(), self.pending.email.clone());
        match self.call(move |client| mycli::resend(client, &device_code, &email))? {
            Ok(()) => self.spinner.print("resent the email"),
            Err(error) => self.spinner.print(&format!("could not resend the email: {error}")),
        }
        Ok(())
    }

    fn seconds_left(&self) -> u64 {
        self.pending.seconds_left(clock::now())
    }

    fn draw(&mut self) {
        let code = self.keyboard.is_some().then(|| format!("  code: {:_<6}", self.typed));
        self.spinner.draw(self.seconds_left(), &code.unwrap_or_default());
    }
}

/// The hint to start the login again, without a prompt.
pub(super) fn restart_hint(pending: &Pending) -> String {
    let option = |name: &str, value: &str, default: &str| {
        if value == default { String::new() } else { format!(" --{name} {}", sanitize(value)) }
    };
    format!(
        "start the login again: `my-credential-helper{}{} login --email {}`",
        option("provider", &pending.provider, Provider::DEFAULT_NAME),
        option("account", &pending.account, &Account::DEFAULT),
        sanitize(&pending.email),
    )
}

/// A line of standard error that is drawn again and again; nothing is drawn if that is not a terminal.
pub(super) struct Spinner {
    is_visible: bool,
    started: Instant,
    drawn: String,
}

/// One frame for each tick.
const FRAMES: [char; 10] = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];

impl Spinner {
    pub(super) fn new(quiet: bool) -> Self {
        let is_visible = !quiet && std::io::stderr().is_terminal();
        Self { is_visible, started: Instant::now(), drawn: String::new() }
    }

    pub(super) fn draw(&mut self, seconds_left: u64, suffix: &str) {
        let ticks = self.started.elapsed().as_millis() / TICK.as_millis();
        let frame = FRAMES[usize::try_from(ticks).unwrap_or(0) % FRAMES.len()];
        let (minutes, seconds) = (seconds_left / 60, seconds_left % 60);
        self.replace(format!("{frame} waiting, {minutes}:{seconds:02} left{suffix}"));
    }

    /// Prints a line that stays.
    fn print(&mut self, text: &str) {
        self.replace(format!("{text}\n"));
    }

    fn replace(&mut self, text: String) {
        if self.is_visible && self.drawn != text {
            terminal::replace_line(&text);
            self.drawn = text;
        }
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        self.replace(String::new());
    }
}
