//! What SQLite's errors mean to the callers of the store.

use std::fmt::Display;

use crate::store::StoreError;

/// Primary result codes (SQLite, "Result and Error Codes") of a file whose content is no database.
const CORRUPT: i32 = 11;
const CONSTRAINT: i32 = 19;
const NOT_A_DATABASE: i32 = 26;

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(inner) => match primary_code(inner.code().as_deref()) {
                Some(CORRUPT | CONSTRAINT | NOT_A_DATABASE) => Self::Corrupt(inner.message().to_owned()),
                _ => Self::Unavailable(inner.message().to_owned()),
            },
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => Self::Corrupt(error.to_string()),
            _ => Self::Unavailable(error.to_string()),
        }
    }
}

/// The low byte of the extended code that sqlx gives as text.
fn primary_code(code: Option<&str>) -> Option<i32> {
    code?.parse::<i32>().ok().map(|code| code & 0xff)
}

/// The error for a row that cannot be read.
pub(super) fn corrupt(row: impl Display, why: impl Display) -> StoreError {
    StoreError::Corrupt(format!("{row}: {why}"))
}
