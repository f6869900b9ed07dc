//! The bytes of a file that are not text to a parser: a byte order mark, and CRLF as the end of every line. An edit sees
//! the text without them, and they stay.

pub(super) const MARK: char = '\u{feff}';

/// Edits a text; an unchanged text stays byte for byte.
pub(super) fn edit<E>(
    text: &str,
    edit: impl FnOnce(&str) -> Result<String, E>,
) -> Result<String, E> {
    let (mark, body) =
        text.strip_prefix(MARK).map_or(("", text), |body| (&text[..MARK.len_utf8()], body));
    let is_crlf = body.contains('\n') && body.split_inclusive('\n').all(ends_with_crlf);
    let plain = if is_crlf { body.replace("\r\n", "\n") } else { body.to_owned() };
    let after = edit(&plain)?;
    if after == plain {
        return Ok(text.to_owned());
    }
    let after = if is_crlf { after.replace('\n', "\r\n") } else { after };
    // A file that has nothing else does not need the mark.
    Ok(if after.is_empty() { after } else { format!("{mark}{after}") })
}

fn ends_with_crlf(line: &str) -> bool {
    line.ends_with("\r\n") || !line.ends_with('\n')
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    fn with_line(text: &str) -> String {
        super::edit::<Infallible>(text, |plain| {
            assert!(!plain.starts_with('\u{feff}'));
            Ok(format!("{plain}x\n"))
        })
        .unwrap()
    }

    #[test]
    fn a_mark_and_line_ends_stay() {
        assert_eq!(with_line("\u{feff}a\r\nb\r\n"), "\u{feff}a\r\nb\r\nx\r\n");
        assert_eq!(with_line("a\r\nb\n"), "a\r\nb\nx\n");
        assert_eq!(with_line("a\r\r\n"), "a\r\r\nx\r\n");
        assert_eq!(with_line(""), "x\n");
        let unchanged = super::edit::<Infallible>("a\r\n\u{feff}", |plain| Ok(plain.to_owned()));
        assert_eq!(unchanged.unwrap(), "a\r\n\u{feff}");
    }
}
