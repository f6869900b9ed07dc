//! The format of Python's `configparser`, as pip reads it, with the place of each option: `pip config set` would drop the
//! comments.

use std::ops::Range;

use crate::error::{Error, Result};

pub(super) struct Ini<'a> {
    lines: Vec<&'a str>,
    /// The line after each heading, with its section.
    headings: Vec<(String, usize)>,
    pub(super) options: Vec<IniOption>,
}

pub(super) struct IniOption {
    pub(super) section: String,
    /// In lower case, with `-` for `_`, as pip compares it.
    pub(super) key: String,
    /// The first line of the value.
    pub(super) value: String,
    /// With the lines that continue the value.
    lines: Range<usize>,
}

impl<'a> Ini<'a> {
    /// The rules are those of `RawConfigParser._read` (Lib/configparser.py) with its defaults: a comment has a line of its
    /// own, and a line that is indented deeper than the option before it continues the value.
    pub(super) fn parse(text: &'a str) -> Result<Self> {
        let lines: Vec<_> = text.split_inclusive('\n').collect();
        let mut ini = Self { lines, headings: Vec::new(), options: Vec::new() };
        let (mut level, mut is_in_option) = (0, false);
        for (index, line) in ini.lines.iter().enumerate() {
            let content = line.trim();
            if content.is_empty() || content.starts_with(['#', ';']) {
                continue;
            }
            if let Some(option) =
                ini.options.last_mut().filter(|_| is_in_option && indent(line) > level)
            {
                option.lines.end = index + 1;
                continue;
            }
            level = indent(line);
            // The heading ends at the last bracket; what follows is ignored.
            let heading = content.strip_prefix('[').and_then(|rest| rest.rsplit_once(']'));
            if let Some((name, _)) = heading.filter(|(name, _)| !name.is_empty()) {
                ini.headings.push((name.to_owned(), index + 1));
                is_in_option = false;
                continue;
            }
            let option = ini.headings.last().zip(content.split_once(['=', ':']));
            let ((section, _), (key, value)) = option.ok_or_else(|| {
                Error::invalid(format!("line {}: no section or no value", index + 1))
                    .with_hint("correct the line; nothing was changed")
            })?;
            let key = key.trim().to_lowercase().replace('_', "-");
            ini.options.push(IniOption {
                section: section.clone(),
                key: key.strip_prefix("--").unwrap_or(&key).to_owned(),
                value: value.trim().to_owned(),
                lines: index..index + 1,
            });
            is_in_option = true;
        }
        Ok(ini)
    }

    /// The option, of which the last one counts.
    pub(super) fn option(&self, section: &str, key: &str) -> Option<&IniOption> {
        self.options.iter().rfind(|option| option.section == section && option.key == key)
    }

    /// The text with another value of the option.
    pub(super) fn replaced(&self, option: &IniOption, value: &str) -> String {
        let line = self.lines[option.lines.start];
        let key = line.split(['=', ':']).next().unwrap_or_default();
        self.spliced(option.lines.clone(), &format!("{} = {value}\n", key.trim_end()))
    }

    /// The text without the option, and without its section if nothing else is in it.
    pub(super) fn without(&self, option: &IniOption) -> String {
        let Range { start, end } = option.lines;
        let is_heading = |line: usize| self.headings.iter().any(|(_, next)| *next == line + 1);
        let is_alone =
            start > 0 && is_heading(start - 1) && (end == self.lines.len() || is_heading(end));
        self.spliced(start - usize::from(is_alone)..end, "")
    }

    /// The text with a line at the end of the section, which is created if it is missing.
    pub(super) fn with(&self, section: &str, line: &str) -> String {
        // With the indent of the option before it: deeper would continue that option's value.
        let last = self.options.iter().rfind(|option| option.section == section);
        let place = last.map(|option| (option.lines.end, option.lines.start));
        let heading = self.headings.iter().find(|(name, _)| name == section);
        let place = place.or_else(|| heading.map(|(_, next)| (*next, next - 1)));
        let Some((end, like)) = place else {
            let end = self.lines.len();
            return self.spliced(end..end, &format!("[{section}]\n{line}\n"));
        };
        let indent = &self.lines[like][..indent(self.lines[like])];
        self.spliced(end..end, &format!("{indent}{line}\n"))
    }

    fn spliced(&self, range: Range<usize>, text: &str) -> String {
        let mut before = self.lines[..range.start].concat();
        if !before.is_empty() && !before.ends_with('\n') {
            before.push('\n');
        }
        format!("{before}{text}{}", self.lines[range.end..].concat())
    }
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

#[cfg(test)]
mod tests {
    use super::Ini;

    const LINE: &str = "keyring-provider = subprocess";

    #[test]
    fn an_option_goes_into_its_section_and_comments_stay() {
        let with = |text| Ini::parse(text).unwrap().with("global", LINE);
        for (before, after) in [
            ("", "[global]\nLINE\n"),
            (
                "# c\n[global]  # mine\na = 1\n\n[install]\nb = 2",
                "# c\n[global]  # mine\na = 1\nLINE\n\n[install]\nb = 2",
            ),
            ("[install]\nk = w", "[install]\nk = w\n[global]\nLINE\n"),
            (
                "[global]\n  a =\n    x\n    # c\n    y\n  [install]\n",
                "[global]\n  a =\n    x\n    # c\n    y\n  LINE\n  [install]\n",
            ),
            ("[global]\n# a\n[b]\nc: d", "[global]\nLINE\n# a\n[b]\nc: d"),
        ] {
            assert_eq!(with(before), after.replace("LINE", LINE), "{before}");
        }
    }

    #[test]
    fn an_option_is_found_in_every_spelling() {
        for key in
            ["keyring-provider", "keyring_provider", "Keyring-Provider", "--keyring-provider"]
        {
            let text = format!("[global]\n{key}: disabled\n  more\nx = 1\n");
            let ini = Ini::parse(&text).unwrap();
            let option = ini.option("global", "keyring-provider").unwrap();
            assert_eq!(option.value, "disabled");
            let after = ini.replaced(option, "subprocess");
            assert_eq!(after, format!("[global]\n{key} = subprocess\nx = 1\n"));
            assert_eq!(ini.without(option), "[global]\nx = 1\n");
        }
        let text = "[global]\nkeyring-provider = subprocess\n[install]\n";
        let ini = Ini::parse(text).unwrap();
        assert_eq!(ini.without(&ini.options[0]), "[install]\n");
        let text = "[global]\n# keyring-provider = a\nx = 1\n  keyring-provider = b\n";
        assert!(Ini::parse(text).unwrap().option("global", "keyring-provider").is_none());
    }

    #[test]
    fn a_file_that_pip_cannot_read_is_an_error() {
        for text in ["a = 1\n", "[global]\nkeyring-provider\n", "[]\n"] {
            assert!(Ini::parse(text).is_err(), "{text}");
        }
    }
}
