//! Random secrets, and the digests that are all the service keeps of them. Never stores a secret itself.

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

/// `BYTES` random bytes, written in hex.
pub(crate) fn random_hex<const BYTES: usize>() -> Result<String, getrandom::Error> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes)?;
    Ok(hex::encode(bytes))
}

/// Six digits.
pub(crate) fn random_code() -> Result<String, getrandom::Error> {
    Ok(format!("{:06}", getrandom::u64()? % 1_000_000))
}

/// The SHA-256 of a secret. Has no `==`, so that a comparison is never one that stops at the first difference.
#[derive(Clone, Copy)]
pub(crate) struct Digest([u8; 32]);

impl Digest {
    pub(crate) fn of(secret: &str) -> Self {
        Self(Sha256::digest(secret.as_bytes()).into())
    }

    /// Six digits are soon guessed: what is hashed with them is a secret that is not stored either.
    pub(crate) fn of_code(device_code: &str, code: &str) -> Self {
        Self::of(&format!("{device_code}:{code}"))
    }

    /// Whether both are of one secret, told in constant time.
    pub(crate) fn matches(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }

    /// The digest in hex.
    pub(crate) fn to_hex(self) -> String {
        hex::encode(self.0)
    }
}

impl ToSql for Digest {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(self.0.as_slice()))
    }
}

impl FromSql for Digest {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let bytes = <[u8; 32]>::try_from(value.as_blob()?);
        bytes.map(Self).map_err(|_| FromSqlError::InvalidType)
    }
}
