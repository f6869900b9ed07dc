//! Waiting for the link to be clicked: polls at the service's interval, shows a spinner and a countdown, and takes the
//! six-digit code where somebody types it.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use console::Term;

use super::Pending;
use crate::cli::terminal::{self, Key, Keys};
use crate::error::{Error, ErrorCode, Result, sanitize};
use crate::http::{self, ApiError, Client, mycli};
use crate::model::Secret;
use crate::sys::clock;

/// How often the countdown moves.
const TICK: Duration = Duration::from_millis(100);

/// How long a service that has taken the code may be out of reach: nobody is on the way to click anything.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// What the person is to do now.
pub(super) fn say_what_to_do(pending: &Pending) {
    let keys = if terminal::is_interactive() {
        ", or type its six-digit code here (r sends it again)"
    } else {
        ""
    };
    terminal::tell(&format!(
        "A mail is on its way to {}. Click the link in it{keys}.",
        sanitize(&pending.email)
    ));
}

/// Why a wait ended without a session.
pub(super) enum Stopped {
    /// Control-C or Control-D.
    ByPerson,
    /// It cannot succeed any more.
    Failed(Error),
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// A wait for the link or the code.
pub(super) struct Waiting<'a> {
    pub(super) client: &'a Client,
    pub(super) pending: &'a Pending,
    pub(super) quiet: bool,
    /// From when on a poll that fails ends the wait; link or code otherwise, with their end.
    pub(super) gives_up: Option<Instant>,
}

impl Waiting<'_> {
    /// The session, once it is granted.
    pub(super) fn wait(&self) -> Result<mycli::NewSession, Stopped> {
        let keys = if terminal::is_interactive() { Keys::take() } else { None };
        let mut screen = Screen::new(keys.is_some(), self.quiet);
        let mut next_poll = Instant::now();
        loop {
            if Instant::now() >= next_poll {
                match self.poll(keys.as_ref(), &mut screen)? {
                    Some(session) => return Ok(session),
                    None => next_poll = Instant::now() + Duration::from_secs(self.pending.interval),
                }
            }
            screen.show(self.pending.seconds_left(clock::now()));
            match &keys {
                Some(keys) => {
                    screen.keys.extend(keys.next());
                    while let Some(key) = screen.keys.pop_front() {
                        if self.handle(&key, keys, &mut screen)? {
                            next_poll = Instant::now();
                        }
                    }
                }
                None => std::thread::sleep(
                    TICK.min(next_poll.saturating_duration_since(Instant::now())),
                ),
            }
        }
    }

    /// Asks the service, and looks after screen and keys until it answers: Control-C is heard although the service is
    /// not. What is typed meanwhile is kept.
    fn ask<T: Send + 'static>(
        &self,
        keys: Option<&Keys>,
        screen: &mut Screen,
        ask: impl FnOnce(&Client) -> http::Result<T> + Send + 'static,
    ) -> Result<http::Result<T>, Stopped> {
        let (client, (sender, answer)) = (self.client.clone(), mpsc::channel());
        std::thread::spawn(move || sender.send(ask(&client)));
        loop {
            match answer.recv_timeout(if keys.is_some() { TICK / 10 } else { TICK }) {
                Ok(answer) => return Ok(answer),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Error::invalid_state("the call was cut short").into());
                }
            }
            screen.show(self.pending.seconds_left(clock::now()));
            screen.keys.extend(keys.map(Keys::next).unwrap_or_default());
            if screen.keys.iter().any(|key| matches!(key, Key::Stop)) {
                return Err(Stopped::ByPerson);
            }
        }
    }

    fn poll(
        &self,
        keys: Option<&Keys>,
        screen: &mut Screen,
    ) -> Result<Option<mycli::NewSession>, Stopped> {
        let expired = || {
            Error::new(ErrorCode::SessionExpired, "link and code have expired")
                .with_hint("start anew: `my-credential-helper login`")
        };
        let device_code = self.pending.device_code.clone();
        match self.ask(keys, screen, move |client| mycli::poll_login(client, &device_code))? {
            Ok(mycli::Poll::Done(session)) => Ok(Some(*session)),
            Ok(mycli::Poll::Expired) => Err(expired().into()),
            Ok(mycli::Poll::Pending) if self.pending.seconds_left(clock::now()) == 0 => {
                Err(expired().into())
            }
            Ok(mycli::Poll::Pending) => Ok(None),
            // The next poll may succeed; the countdown ends it otherwise.
            Err(error) if error.is_passing() && self.has_patience() => Ok(None),
            Err(error) if error.is_passing() => {
                let hint = "try again; the code that was taken, or a click, still counts";
                Err(http::failed(self.client.base_url(), "wait for the login", &error)
                    .with_hint(hint)
                    .into())
            }
            Err(error) => {
                Err(http::failed(self.client.base_url(), "wait for the login", &error).into())
            }
        }
    }

    fn has_patience(&self) -> bool {
        self.pending.seconds_left(clock::now()) > 0
            && self.gives_up.is_none_or(|end| Instant::now() < end)
    }

    fn resend(&self, keys: &Keys, screen: &mut Screen) -> Result<(), Stopped> {
        let (device_code, email) = (self.pending.device_code.clone(), self.pending.email.clone());
        match self
            .ask(Some(keys), screen, move |client| mycli::resend(client, &device_code, &email))?
        {
            Ok(()) => screen.say("sent again"),
            Err(error) => screen.say(&format!("not sent again: {error}")),
        }
        Ok(())
    }

    /// Says whether the code was right.
    fn handle(&self, key: &Key, keys: &Keys, screen: &mut Screen) -> Result<bool, Stopped> {
        match *key {
            Key::Stop => return Err(Stopped::ByPerson),
            Key::Char('r' | 'R') => self.resend(keys, screen)?,
            Key::Char(digit) if digit.is_ascii_digit() && screen.typed.len() < 6 => {
                screen.typed.push(digit);
            }
            Key::Char(_) | Key::Enter => {}
            Key::Backspace => drop(screen.typed.pop()),
        }
        if screen.typed.len() < 6 {
            return Ok(false);
        }
        let code = Secret::new(std::mem::take(&mut screen.typed));
        let device_code = self.pending.device_code.clone();
        match self.ask(Some(keys), screen, move |client| {
            mycli::verify_code(client, &device_code, &code)
        })? {
            Ok(()) => Ok(true),
            Err(error @ ApiError::Service { .. }) if error.code() == "TOO_MANY_ATTEMPTS" => {
                Err(super::wrong_code(self.client, &error).into())
            }
            Err(error) => {
                screen.say(&format!("that code was not taken: {error}"));
                Ok(false)
            }
        }
    }
}

/// What somebody looks at meanwhile: one line of standard error, drawn anew. Nothing, where that is no terminal.
pub(super) struct Screen {
    terminal: Option<Term>,
    began: Instant,
    drawn: RefCell<String>,
    /// Keys that nobody has handled yet.
    keys: VecDeque<Key>,
    typed: String,
    takes_keys: bool,
}

/// One after the other, a tick each.
const SPINNER: [char; 10] = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];

impl Screen {
    pub(super) fn new(takes_keys: bool, quiet: bool) -> Self {
        let terminal = Some(Term::stderr()).filter(|terminal| terminal.is_term() && !quiet);
        let (keys, typed, drawn) = (VecDeque::new(), String::new(), RefCell::default());
        Self { terminal, began: Instant::now(), drawn, keys, typed, takes_keys }
    }

    pub(super) fn show(&self, seconds_left: u64) {
        let code =
            if self.takes_keys { format!("  code: {:_<6}", self.typed) } else { String::new() };
        let ticks = self.began.elapsed().as_millis() / TICK.as_millis();
        let spinner = SPINNER[usize::try_from(ticks).unwrap_or(0) % SPINNER.len()];
        self.draw(format!(
            "{spinner} waiting, {}:{:02} left{code}",
            seconds_left / 60,
            seconds_left % 60
        ));
    }

    fn say(&self, text: &str) {
        self.draw(format!("{text}\n"));
    }

    fn draw(&self, text: String) {
        let Some(terminal) = self.terminal.as_ref().filter(|_| *self.drawn.borrow() != text) else {
            return;
        };
        let _ = terminal
            .clear_line()
            .and_then(|()| terminal.write_str(&text))
            .and_then(|()| terminal.flush());
        self.drawn.replace(text);
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.draw(String::new());
    }
}
