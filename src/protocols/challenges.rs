//! The schemes of a `WWW-Authenticate` header, which may have several challenges with parameters (RFC 9110, 11.6.1).

/// The schemes in their order, in lower case.
pub(super) fn schemes(header: &str) -> impl Iterator<Item = String> {
    elements(header).into_iter().filter_map(|element| {
        // A space follows the scheme of a challenge. A parameter has an `=` before any space.
        let name = element.split_ascii_whitespace().next()?;
        let rest = element[name.len()..].trim_start();
        let is_parameter = name.contains('=') || rest.starts_with('=');
        let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        (!is_parameter && name.chars().all(is_token)).then(|| name.to_ascii_lowercase())
    })
}

/// The elements of a list that commas separate; a comma within quotes is part of its element.
fn elements(header: &str) -> Vec<&str> {
    let (mut elements, mut start, mut is_quoted, mut is_escaped) = (Vec::new(), 0, false, false);
    for (at, c) in header.char_indices() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => {
                elements.push(header[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    elements.push(header[start..].trim());
    elements
}

#[cfg(test)]
mod tests {
    fn schemes(header: &str) -> Vec<String> {
        super::schemes(header).collect()
    }

    #[test]
    fn every_challenge_of_a_header_is_found() {
        for (header, expected) in [
            ("Basic", vec!["basic"]),
            ("Basic realm=\"git\"", vec!["basic"]),
            ("Negotiate, Bearer realm=\"x\"", vec!["negotiate", "bearer"]),
            ("Bearer realm=\"x\", scope=\"a b\", Basic realm=\"y\"", vec!["bearer", "basic"]),
            ("BEARER realm=\"a, Basic realm=b\", error = \"x\" ,basic", vec!["bearer", "basic"]),
            ("Bearer realm=\"a\\\", Basic\"", vec!["bearer"]),
            ("NTLM TlRMTVNTUAAC==, Basic realm=\"\"", vec!["ntlm", "basic"]),
            (" , Bearer ,, ", vec!["bearer"]),
            ("", vec![]),
            ("Basic realm=\"r\u{e9}\u{fffd}seau\"", vec!["basic"]),
            ("\u{fffd} realm=x", vec![]),
            ("Basic realm=\"never closed, Bearer", vec!["basic"]),
        ] {
            assert_eq!(schemes(header), expected, "{header}");
        }
    }
}
