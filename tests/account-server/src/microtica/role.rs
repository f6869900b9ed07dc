//! What a key may do, from nothing to everything. Each role may do what the one before it may.

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use serde::{Deserialize, Serialize};

/// What a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Nothing.
    None,
    /// Look.
    Read,
    /// Change.
    Write,
    /// Manage.
    Admin,
    /// Everything.
    Owner,
}

impl Role {
    const ALL: [Self; 5] = [Self::None, Self::Read, Self::Write, Self::Admin, Self::Owner];

    fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
            Self::Owner => "owner",
        }
    }
}

impl ToSql for Role {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(self.name()))
    }
}

impl FromSql for Role {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let name = value.as_str()?;
        let mut roles = Self::ALL.into_iter();
        roles.find(|role| role.name() == name).ok_or(FromSqlError::InvalidType)
    }
}
