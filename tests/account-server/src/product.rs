//! The two services that people log in to. Both log in by a link in a mail.

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};

/// What a login is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Product {
    Mycli,
    Microtica,
}

impl Product {
    /// As people know it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Mycli => "mycli",
            Self::Microtica => "Microtica",
        }
    }
}

impl ToSql for Product {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(self.name()))
    }
}

impl FromSql for Product {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let name = value.as_str()?;
        let mut products = [Self::Mycli, Self::Microtica].into_iter();
        products.find(|product| product.name() == name).ok_or(FromSqlError::InvalidType)
    }
}
