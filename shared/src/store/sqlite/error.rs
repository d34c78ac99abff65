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

/// The error for a row whose JSON cannot be read. Says where, not what: serde quotes the values that it does
/// not like, and they may be a prompt's or an answer's.
pub(super) fn not_json(row: impl Display, error: &serde_json::Error) -> StoreError {
    let why = format!("{:?} error at line {} column {}", error.classify(), error.line(), error.column());
    corrupt(row, why)
}

/// The error for a row that cannot be read.
pub(super) fn corrupt(row: impl Display, why: impl Display) -> StoreError {
    StoreError::Corrupt(format!("{row}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_row_holds_is_not_told() {
        let error = serde_json::from_str::<Vec<u32>>(r#"["a secret"]"#).expect_err("no number");
        assert!(error.to_string().contains("a secret"));
        assert_eq!(
            not_json("row", &error).to_string(),
            "unreadable row: row: Data error at line 1 column 11"
        );
    }
}
