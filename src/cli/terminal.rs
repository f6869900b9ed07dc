//! The terminal: prompts, and single keys while a login is pending, on standard error; standard output is for data.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};
#[cfg(windows)]
use std::time::Duration;

#[cfg(windows)]
use crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use crossterm::{cursor, terminal};
#[cfg(unix)]
use rustix::termios;

use crate::error::{Error, Result, printable};
use crate::model::Secret;
use crate::sys::env::Environment;
use crate::sys::signals;

/// Why a prompt or a wait ended without a result.
pub(super) enum Stopped {
    /// By Control-C.
    Interrupted,
    Failed(Error),
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// Whether somebody can answer a prompt.
pub(super) fn is_interactive() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Whether standard output or standard error may be coloured.
pub(super) fn shows_colour(on_stderr: bool) -> bool {
    let is_terminal =
        if on_stderr { io::stderr().is_terminal() } else { io::stdout().is_terminal() };
    is_terminal && Environment::Process.get("NO_COLOR").is_none()
}

pub(super) fn print(message: &str) {
    print_image(&printable(message));
}

/// Prints what consists of blocks and escape sequences.
pub(super) fn print_image(image: &str) {
    let _ = writeln!(io::stderr(), "{image}");
}

pub(super) fn replace_line(text: &str) {
    let clear = terminal::Clear(terminal::ClearType::CurrentLine);
    let _ = crossterm::execute!(io::stderr(), clear, cursor::MoveToColumn(0))
        .and_then(|()| write!(io::stderr(), "{text}"));
}

pub(super) fn prompt(question: &str) -> Result<String> {
    let _ = write!(io::stderr(), "{question} ");
    let mut line = String::new();
    match io::stdin().lock().take(4096).read_line(&mut line) {
        Ok(1..) => Ok(line.trim().to_owned()),
        _ => Err(no_answer()),
    }
}

fn no_answer() -> Error {
    Error::invalid("no answer given")
}

/// Prompts for a secret, without an echo.
pub(super) fn prompt_secret(question: &str) -> Result<Secret, Stopped> {
    // Raw mode comes first, so that nothing typed after the prompt is echoed.
    let keyboard = Keyboard::open().ok_or_else(no_answer)?;
    let _ = write!(io::stderr(), "{question} ");
    let mut typed = zeroize::Zeroizing::new(String::with_capacity(1024));
    let answer = 'answer: loop {
        for key in keyboard.keys() {
            match key {
                Key::Enter => break 'answer Ok(Secret::new(typed.as_str())),
                Key::Interrupt => break 'answer Err(Stopped::Interrupted),
                Key::EndOfInput => break 'answer Err(no_answer().into()),
                Key::Backspace => drop(typed.pop()),
                Key::Char(char) => typed.push(char),
            }
        }
    };
    print("");
    answer
}

/// Prompts for a yes. Without a terminal that is an error, which names the flag.
pub(super) fn confirm(question: &str) -> Result<bool> {
    if !is_interactive() {
        return Err(Error::invalid("no terminal to prompt on")
            .with_hint("use `--yes` to skip the confirmation"));
    }
    confirm_interactive(question)
}

/// Prompts for a yes where [`is_interactive`] holds.
pub(super) fn confirm_interactive(question: &str) -> Result<bool> {
    let answer = prompt(&format!("{question} [y/N]"))?;
    Ok(matches!(answer.to_ascii_lowercase().as_str(), "y" | "yes"))
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Char(char),
    Enter,
    Backspace,
    /// Control-C.
    Interrupt,
    /// Control-D, or the terminal was closed.
    EndOfInput,
}

/// An arrow or another function key is an escape sequence (ECMA-48, 5.4), and is ignored.
#[cfg(unix)]
fn parse_keys(text: &str) -> Vec<Key> {
    let (mut keys, mut chars) = (Vec::new(), text.chars());
    while let Some(char) = chars.next() {
        keys.push(match char {
            '\r' | '\n' => Key::Enter,
            '\u{8}' | '\u{7f}' => Key::Backspace,
            '\u{3}' => Key::Interrupt,
            '\u{4}' => Key::EndOfInput,
            '\u{1b}' => {
                if matches!(chars.next(), Some('[' | 'O')) {
                    chars.find(|char| ('@'..='~').contains(char));
                }
                continue;
            }
            char => Key::Char(char),
        });
    }
    keys
}

/// The keyboard, key by key without an echo, until this is dropped or a signal ends the process.
pub(super) struct Keyboard {
    _cleanup: signals::CleanupOnSignal,
}

impl Keyboard {
    /// `None` if standard input is not a terminal.
    pub(super) fn open() -> Option<Self> {
        let keyboard = Self { _cleanup: signals::CleanupOnSignal::new(restore) };
        terminal::enable_raw_mode().ok()?;
        #[cfg(unix)]
        limit_reads().ok()?;
        Some(keyboard)
    }

    /// The keys of the next tenth of a second.
    #[cfg(unix)]
    #[expect(clippy::unused_self, reason = "the terminal is in raw mode")]
    pub(super) fn keys(&self) -> Vec<Key> {
        let mut bytes = zeroize::Zeroizing::new([0; 1024]);
        let Ok(count) = rustix::io::read(io::stdin(), &mut *bytes) else {
            return vec![Key::EndOfInput];
        };
        parse_keys(&String::from_utf8_lossy(&bytes[..count]))
    }

    #[cfg(windows)]
    pub(super) fn keys(&self) -> Vec<Key> {
        let (mut keys, mut timeout) = (Vec::new(), Duration::from_millis(100));
        while event::poll(timeout).unwrap_or(false) {
            timeout = Duration::ZERO;
            if let Ok(Event::Key(KeyEvent { code, modifiers, kind, .. })) = event::read()
                && kind != KeyEventKind::Release
            {
                let is_control = modifiers == KeyModifiers::CONTROL;
                keys.extend(match code {
                    KeyCode::Enter => Some(Key::Enter),
                    KeyCode::Backspace => Some(Key::Backspace),
                    KeyCode::Char('c') if is_control => Some(Key::Interrupt),
                    KeyCode::Char('d') if is_control => Some(Key::EndOfInput),
                    KeyCode::Char(char) => Some(Key::Char(char)),
                    _ => None,
                });
            }
        }
        keys
    }
}

impl Drop for Keyboard {
    fn drop(&mut self) {
        restore();
    }
}

fn restore() {
    let _ = terminal::disable_raw_mode();
}

/// Lets a read return after a tenth of a second, since poll(2) of macOS does not support terminals. Lines that other
/// threads print still begin in the first column.
#[cfg(unix)]
fn limit_reads() -> rustix::io::Result<()> {
    let mut modes = termios::tcgetattr(io::stdin())?;
    modes.output_modes |= termios::OutputModes::OPOST;
    modes.special_codes[termios::SpecialCodeIndex::VMIN] = 0;
    modes.special_codes[termios::SpecialCodeIndex::VTIME] = 1;
    termios::tcsetattr(io::stdin(), termios::OptionalActions::Now, &modes)
}

#[cfg(all(test, unix))]
mod tests {
    use super::{Key, parse_keys};

    #[test]
    fn escape_sequences_are_not_characters() {
        let keys = parse_keys("a\r\n\u{8}\u{7f}\u{3}\u{4}\u{1b}[A\u{1b}[3~\u{1b}OPb\u{1b}");
        let (enter, back) = (Key::Enter, Key::Backspace);
        let expected = [Key::Char('a'), enter, enter, back, back, Key::Interrupt, Key::EndOfInput];
        assert!(keys == [&expected[..], &[Key::Char('b')]].concat());
    }
}
