//! The terminal: questions, and single keys while something is awaited. Everything here goes to standard error;
//! standard output is for data.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};

use crate::error::{Error, Result};

/// Whether a person is there to be asked.
pub(super) fn is_interactive() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Whether colour is welcome on standard output or standard error.
pub(super) fn shows_colour(on_stderr: bool) -> bool {
    let is_terminal =
        if on_stderr { io::stderr().is_terminal() } else { io::stdout().is_terminal() };
    is_terminal && crate::sys::env::Environment::Process.get("NO_COLOR").is_none()
}

/// Tells the person something now.
pub(super) fn tell(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Asks for a line.
pub(super) fn ask(question: &str) -> Result<String> {
    let mut stderr = io::stderr();
    let _ = write!(stderr, "{question} ").and_then(|()| stderr.flush());
    let mut line = String::new();
    match io::stdin().lock().take(4096).read_line(&mut line) {
        Ok(1..) => Ok(line.trim().to_owned()),
        _ => Err(Error::invalid("no answer was given")),
    }
}

/// Asks for something that is not shown.
pub(super) fn ask_secret(question: &str) -> Result<crate::model::Secret> {
    #[cfg(unix)]
    unix::put_back_at_the_end();
    rpassword::prompt_password(format!("{question} "))
        .map(crate::model::Secret::new)
        .map_err(|_| Error::invalid("no answer was given"))
}

/// Asks for a yes. Without a terminal that is an error, which names the flag.
pub(super) fn confirm(question: &str) -> Result<bool> {
    if !is_interactive() {
        return Err(
            Error::invalid("there is no terminal to ask on").with_hint("`--force` does not ask")
        );
    }
    agrees(question)
}

/// Asks for a yes where somebody is there.
pub(super) fn agrees(question: &str) -> Result<bool> {
    let answer = ask(&format!("{question} [y/N]"))?;
    Ok(matches!(answer.to_ascii_lowercase().as_str(), "y" | "yes"))
}

/// What a person did while something was awaited.
#[cfg_attr(not(unix), allow(dead_code, reason = "no key is read there yet"))]
pub(super) enum Key {
    /// A key with a character.
    Char(char),
    /// The line is done.
    Enter,
    /// The last character goes.
    Backspace,
    /// Control-C or Control-D.
    Stop,
}

#[cfg(unix)]
pub(super) use unix::Keys;

#[cfg(unix)]
mod unix {
    //! Keys one by one, without echo. The terminal is put back as it was when this is dropped, or a signal
    //! ends the process.

    use std::io::{self, Read as _};
    use std::sync::Once;

    use rustix::termios::{
        LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
    };

    use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
    use signal_hook::iterator::Signals;

    use super::Key;

    /// From now on, a signal that ends the process first puts the terminal back as it is now.
    pub(super) fn put_back_at_the_end() {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            let Ok(before) = tcgetattr(io::stdin()) else { return };
            let Ok(mut signals) = Signals::new([SIGHUP, SIGINT, SIGQUIT, SIGTERM]) else { return };
            std::thread::spawn(move || {
                for signal in signals.forever() {
                    let _ = tcsetattr(io::stdin(), OptionalActions::Now, &before);
                    let _ = signal_hook::low_level::emulate_default_handler(signal);
                }
            });
        });
    }

    /// The keyboard, key by key.
    pub(in crate::cli) struct Keys {
        before: Termios,
    }

    impl Keys {
        /// Takes the terminal; `None` where it cannot be had.
        pub(in crate::cli) fn take() -> Option<Self> {
            let stdin = io::stdin();
            let before = tcgetattr(&stdin).ok()?;
            put_back_at_the_end();
            let mut now = before.clone();
            // Without signals too: Control-C must find somebody who puts the terminal back.
            now.local_modes -= LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG;
            // A read comes back after a tenth of a second at the latest.
            now.special_codes[SpecialCodeIndex::VMIN] = 0;
            now.special_codes[SpecialCodeIndex::VTIME] = 1;
            tcsetattr(&stdin, OptionalActions::Now, &now).ok()?;
            Some(Self { before })
        }

        /// The keys of the next tenth of a second.
        #[expect(clippy::unused_self, reason = "only whoever took the terminal may read keys")]
        pub(in crate::cli) fn next(&self) -> Vec<Key> {
            let mut bytes = [0; 64];
            let count = io::stdin().lock().read(&mut bytes).unwrap_or(0);
            let key = |byte: &u8| match byte {
                b'\r' | b'\n' => Some(Key::Enter),
                0x08 | 0x7f => Some(Key::Backspace),
                0x03 | 0x04 => Some(Key::Stop),
                byte if byte.is_ascii_graphic() => Some(Key::Char(char::from(*byte))),
                _ => None,
            };
            bytes[..count].iter().filter_map(key).collect()
        }
    }

    impl Drop for Keys {
        fn drop(&mut self) {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
        }
    }
}

#[cfg(not(unix))]
pub(super) struct Keys;

#[cfg(not(unix))]
impl Keys {
    /// Not yet: the code can be given with `login --code`.
    pub(super) fn take() -> Option<Self> {
        None
    }

    pub(super) fn next(&self) -> Vec<Key> {
        Vec::new()
    }
}
