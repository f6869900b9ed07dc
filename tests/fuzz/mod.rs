//! Rules for arbitrary input to each decoder: no panic, no credential for a host that is not configured, and no output
//! that breaks its format. The suite runs them on random mutations of seeds, and `fuzz/` on the inputs of a fuzzer.

mod protocols;
mod stores;
mod texts;

/// A rule and its name.
pub(super) struct Property {
    /// `git`, `urls`.
    pub(super) name: &'static str,
    /// Panics where the rule is broken.
    pub(super) check: fn(&[u8]),
}

const fn property(name: &'static str, check: fn(&[u8])) -> Property {
    Property { name, check }
}

/// Every rule: one for each protocol, and one for each other parser of external input.
pub(super) const ALL: &[Property] = &[
    property("json", |data| protocols::check("json", data)),
    property("git", |data| protocols::check("git", data)),
    property("docker", |data| protocols::check("docker", data)),
    property("bazel", |data| protocols::check("bazel", data)),
    property("cargo", |data| protocols::check("cargo", data)),
    property("kubectl", |data| protocols::check("kubectl", data)),
    property("terraform", |data| protocols::check("terraform", data)),
    property("goauth", |data| protocols::check("goauth", data)),
    property("pnpm", |data| protocols::check("pnpm", data)),
    property("keyring", |data| protocols::check("keyring", data)),
    property("urls", texts::urls),
    property("patterns", texts::patterns),
    property("timestamps", texts::timestamps),
    property("tokens", texts::tokens),
    property("messages", texts::messages),
    property("configuration", texts::configuration),
    property("answers", texts::answers),
    property("sessions", stores::sessions),
    property("logins", stores::logins),
    property("variable", stores::variable),
    property("go-keyring", stores::go_keyring),
];

/// What stands between the arguments of a call, and before its standard input: no byte of a text.
pub(super) const SEPARATOR: u8 = 0xff;
