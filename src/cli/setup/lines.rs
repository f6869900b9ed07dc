//! Files that are lines: a line is added at the end, or taken out; everything else stays as it is.

/// The text with this line at its end.
pub(super) fn with(text: &str, line: &str) -> String {
    if text.lines().any(|known| known.trim() == line) {
        return text.to_owned();
    }
    let gap = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    format!("{text}{gap}{line}\n")
}

/// The text without the lines that are ours.
pub(super) fn without(text: &str, is_ours: impl Fn(&str) -> bool) -> String {
    text.split_inclusive('\n').filter(|line| !is_ours(line.trim())).collect()
}

/// The text with a key set in a section of an INI file, which is made where it is missing.
pub(super) fn with_key(text: &str, section: &str, key: &str, value: &str) -> String {
    let line = format!("{key} = {value}\n");
    let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
    let heading = format!("[{section}]");
    let Some(start) = lines.iter().position(|line| line.trim() == heading) else {
        let text = with(text, &heading);
        return format!("{text}{line}");
    };
    let end = lines[start + 1..].iter().position(|line| line.trim_start().starts_with('['));
    let end = end.map_or(lines.len(), |end| start + 1 + end);
    if let Some(known) = lines[start + 1..end].iter_mut().find(|line| key_of(line) == Some(key)) {
        *known = line;
        return lines.concat();
    }
    // Behind the last line of the section that says something.
    let last = (start..end).rev().find(|index| !lines[*index].trim().is_empty()).unwrap_or(start);
    if !lines[last].ends_with('\n') {
        lines[last].push('\n');
    }
    lines.insert(last + 1, line);
    lines.concat()
}

/// The key of `key = value` or `key: value`; none of a comment or a continued line.
pub(super) fn key_of(line: &str) -> Option<&str> {
    let is_value = line.starts_with(|c: char| c.is_ascii_alphanumeric());
    let (key, _) = line.split_once(['=', ':']).filter(|_| is_value)?;
    Some(key.trim())
}

#[cfg(test)]
mod tests {
    use super::{with, with_key, without};

    #[test]
    fn a_line_is_added_once_and_everything_else_stays() {
        assert_eq!(with("", "x"), "x\n");
        assert_eq!(with("a", "x"), "a\nx\n");
        assert_eq!(with("x\n# y\n", "x"), "x\n# y\n");
        assert_eq!(without("a\r\n x \nb", |line| line == "x"), "a\r\nb");
    }

    #[test]
    fn a_key_goes_into_its_section_and_comments_stay() {
        assert_eq!(with_key("", "global", "k", "v"), "[global]\nk = v\n");
        assert_eq!(
            with_key("# c\n[global]\na = 1\n\n[install]\nb = 2", "global", "k", "v"),
            "# c\n[global]\na = 1\nk = v\n\n[install]\nb = 2"
        );
        assert_eq!(
            with_key("[global]\n# k = 1\nk: w ; c\n", "global", "k", "v"),
            "[global]\n# k = 1\nk = v\n"
        );
        assert_eq!(
            with_key("[install]\nk = w", "global", "k", "v"),
            "[install]\nk = w\n[global]\nk = v\n"
        );
    }
}
