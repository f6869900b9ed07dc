/// Where a credential is, or was, stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// An environment variable.
    Environment,
    /// The keyring of the operating system.
    Keyring,
    /// A file below the home directory.
    File,
}

impl Source {
    /// `env`, `keyring` or `file`, as in the JSON protocol.
    pub fn name(self) -> &'static str {
        match self {
            Self::Environment => "env",
            Self::Keyring => "keyring",
            Self::File => "file",
        }
    }

    /// The other of the two stores that can be written.
    #[must_use]
    pub fn other(self) -> Self {
        if self == Self::Keyring { Self::File } else { Self::Keyring }
    }
}
