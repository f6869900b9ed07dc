use serde::{Serialize, Serializer};

/// Where a credential was found, or is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    Environment,
    /// The identity of the job: nothing is stored.
    Identity,
    Keyring,
    File,
    /// A store that other machines share.
    Vault,
}

impl Source {
    /// As in the JSON protocol.
    pub fn name(self) -> &'static str {
        match self {
            Self::Environment => "env",
            Self::Identity => "identity",
            Self::Keyring => "keyring",
            Self::File => "file",
            Self::Vault => "vault",
        }
    }

    /// The other of the two stores that can be written.
    #[must_use]
    pub fn other(self) -> Self {
        if self == Self::Keyring { Self::File } else { Self::Keyring }
    }
}

impl Serialize for Source {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
