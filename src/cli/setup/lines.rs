//! Files that are lines: a line is added at the end, or taken out; everything else stays as it is.

/// The text with this line at its end.
pub(super) fn with(text: &str, line: &str) -> String {
    if text.lines().any(|known| known.trim() == line) {
        return text.to_owned();
    }
    let gap = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    format!("{text}{gap}{line}\n")
}

/// The text with this line in place of former ones; the same text if it has the line.
pub(super) fn replaced(text: &str, line: &str, is_former: impl Fn(&str) -> bool) -> String {
    let has_line = text.lines().any(|known| known.trim() == line);
    if has_line { text.to_owned() } else { with(&without(text, is_former), line) }
}

/// The text without the lines that are ours.
pub(super) fn without(text: &str, is_ours: impl Fn(&str) -> bool) -> String {
    text.split_inclusive('\n').filter(|line| !is_ours(line.trim())).collect()
}

#[cfg(test)]
mod tests {
    use super::{with, without};

    #[test]
    fn a_line_is_added_once_and_everything_else_stays() {
        assert_eq!(with("", "x"), "x\n");
        assert_eq!(with("a", "x"), "a\nx\n");
        assert_eq!(with("x\n# y\n", "x"), "x\n# y\n");
        assert_eq!(without("a\r\n x \nb", |line| line == "x"), "a\r\nb");
    }
}
