//! Mail addresses, as they are compared: trimmed and in lower case.

use lettre::Address;

use crate::refusal::Refusal;

/// RFC 5321 gives a path 256 octets, angle brackets included.
const LONGEST: usize = 254;

/// The address in the form in which it is stored.
pub(crate) fn normalize(text: &str) -> Result<String, Refusal> {
    let email = text.trim().to_lowercase();
    let valid = email.len() <= LONGEST && email.parse::<Address>().is_ok();
    valid.then_some(email).ok_or(Refusal::InvalidEmail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_compared_in_lower_case() {
        assert_eq!(normalize(" Ada@Example.com ").as_deref(), Ok("ada@example.com"));
    }

    #[test]
    fn what_is_not_an_address_is_refused() {
        let long = format!("{}@example.com", "a".repeat(250));
        for text in
            ["", "ada", "@example.com", "ada@", "a da@example.com", "a@b@c", "a@b\r\nBcc: c", &long]
        {
            assert!(normalize(text).is_err(), "{text:?} is no address");
        }
    }
}
