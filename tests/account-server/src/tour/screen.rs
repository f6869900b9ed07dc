//! What the reader of the tour sees: headings, commands, their output. Colour on a terminal alone, and not where
//! `NO_COLOR` is set; never a whole token.

use std::io::{self, IsTerminal, Write};

use super::sandbox::quoted;

const BOLD: &str = "1";
const DIM: &str = "2";
const GREEN: &str = "32";

/// Longer than any name or path in what is shown, and shorter than any token.
const LONGEST_WORD: usize = 40;

pub(super) struct Screen {
    colour: bool,
}

impl Screen {
    pub(super) fn of_this_process() -> Self {
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_some_and(|terminal| terminal == "dumb");
        Self { colour: io::stdout().is_terminal() && !is_set("NO_COLOR") && !is_dumb }
    }

    /// What begins now.
    pub(super) fn heading(&self, text: &str) -> io::Result<()> {
        self.line(&format!("\n{}", self.painted(BOLD, text)))
    }

    /// Words of explanation.
    pub(super) fn say(&self, text: &str) -> io::Result<()> {
        self.line(text)
    }

    /// A program that is run, as one would type it, and what may stand behind it: a redirection, a sign.
    pub(super) fn command(&self, words: &[&str], behind: &str) -> io::Result<()> {
        let words: Vec<_> = words.iter().map(|word| quoted(word)).collect();
        let line = format!("{}{behind}", words.join(" "));
        self.line(&format!("{} {}", self.painted(DIM, "$"), self.painted(BOLD, &line)))
    }

    /// A request that the tour itself sends.
    pub(super) fn request(&self, path: &str, header: &str) -> io::Result<()> {
        let line = shortened(&format!("GET {path}{header}"));
        self.line(&format!("{} {}", self.painted(DIM, ">"), self.painted(BOLD, &line)))
    }

    /// What came of it, with its tokens shortened.
    pub(super) fn output(&self, text: &str) -> io::Result<()> {
        text.lines().try_for_each(|line| self.line(format!("  {}", shortened(line)).trim_end()))
    }

    /// What has been checked.
    pub(super) fn checked(&self, text: &str) -> io::Result<()> {
        self.line(&format!("{} {text}", self.painted(GREEN, "ok:")))
    }

    fn painted(&self, style: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{style}m{text}\x1b[0m") } else { text.to_owned() }
    }

    #[expect(clippy::unused_self, reason = "what is shown goes through the screen")]
    fn line(&self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        writeln!(out, "{text}")?;
        out.flush()
    }
}

/// The text with the middle of its tokens left out. Their first characters are much alike, and the last are not.
fn shortened(text: &str) -> String {
    let is_part = |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
    let mut short = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|character| is_part(character) != is_part(first)).unwrap_or(rest.len());
        let (word, behind) = rest.split_at(end);
        if is_part(first) && word.len() >= LONGEST_WORD {
            short.extend([&word[..8], "…", &word[word.len() - 6..]]);
        } else {
            short.push_str(word);
        }
        rest = behind;
    }
    short
}

#[cfg(test)]
mod tests {
    use super::shortened;

    #[test]
    fn a_token_is_shortened_wherever_it_stands_and_nothing_else_is() {
        let token = format!("eyJ0eXAi.{}.tail12", "x".repeat(100));
        let line = format!(
            r#"{{"secret":"{token}","headers":{{"Authorization":["Bearer {token}"]}},"é":1}}"#
        );
        let short = r#"{"secret":"eyJ0eXAi…tail12","headers":{"Authorization":["Bearer eyJ0eXAi…tail12"]},"é":1}"#;
        assert_eq!(shortened(&line), short);
        let path = "/home/somebody/a/long/way/to/target/debug/my-credential-helper";
        assert_eq!(shortened(path), path);
    }
}
