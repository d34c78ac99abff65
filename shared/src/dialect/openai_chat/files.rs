//! Uploaded files (`OpenAI` API reference, "Files"), and what a list of them is asked for by.

use schemars::JsonSchema;
use serde::Serialize;

use super::listing::{Item, Page, Usual};
use super::wire;
use crate::dialect::Rejection;
use crate::schema::{FileId, FileQuery, Owner, StoredFile, limits};

/// What a file may be for.
pub(super) const PURPOSES: [&str; 6] = ["assistants", "batch", "fine-tune", "vision", "user_data", "evals"];

/// Files are listed all at once, the latest first.
const ALL: Usual = Usual { limit: limits::UPLOADS_LISTED, most: limits::UPLOADS_LISTED, latest_first: true };

/// The fields of an upload besides the file.
#[derive(Debug, Default)]
pub struct Form {
    purpose: Option<String>,
    anchor: Option<String>,
    seconds: Option<String>,
}

/// What they say.
#[derive(Debug, PartialEq, Eq)]
pub struct Wish {
    /// What the file is for.
    pub purpose: String,
    /// How long it is to be kept; for ever without.
    pub seconds: Option<i64>,
}

impl Form {
    /// Takes a field in.
    pub fn take(&mut self, name: &str, value: String) -> Result<(), Rejection> {
        let place = match name {
            "purpose" => &mut self.purpose,
            "expires_after[anchor]" => &mut self.anchor,
            "expires_after[seconds]" => &mut self.seconds,
            _ => return Err(Rejection::unknown_parameter(name)),
        };
        match place.replace(value) {
            None => Ok(()),
            Some(_) => Err(Rejection::invalid_value(name, "It stands here twice.")),
        }
    }

    /// What the fields say, once all are there.
    pub fn read(self) -> Result<Wish, Rejection> {
        let purpose = self.purpose.ok_or_else(|| Rejection::missing("purpose"))?;
        if !PURPOSES.contains(&purpose.as_str()) {
            let known = PURPOSES.map(|known| format!("'{known}'")).join(", ");
            return Err(Rejection::invalid_value("purpose", &format!("It must be one of {known}.")));
        }
        let seconds = match (self.anchor.as_deref(), self.seconds) {
            (None, None) => None,
            (Some("created_at"), Some(seconds)) => Some(life(&seconds)?),
            (Some("created_at"), None) => return Err(Rejection::missing("expires_after[seconds]")),
            (Some(_), _) => {
                return Err(Rejection::invalid_value("expires_after[anchor]", "It must be 'created_at'."));
            }
            (None, Some(_)) => return Err(Rejection::missing("expires_after[anchor]")),
        };
        Ok(Wish { purpose, seconds })
    }
}

fn life(seconds: &str) -> Result<i64, Rejection> {
    let (least, most) = limits::FILE_LIFE_SECS;
    let life = seconds.parse().ok().filter(|seconds| (least..=most).contains(seconds));
    life.ok_or_else(|| {
        let why = format!("It must be an integer from {least} to {most}.");
        Rejection::invalid_value("expires_after[seconds]", &why)
    })
}

/// The name of a file, as its client gave it.
pub fn name(given: Option<&str>) -> Result<String, Rejection> {
    let name = given.unwrap_or_default();
    if name.is_empty() || name.chars().count() > limits::FILE_NAME_CHARS {
        let why = format!("It needs a file name of 1 to {} characters.", limits::FILE_NAME_CHARS);
        return Err(Rejection::invalid_value("file", &why));
    }
    if name.chars().any(char::is_control) {
        return Err(Rejection::invalid_value("file", "Its name must not hold control characters."));
    }
    Ok(name.to_owned())
}

/// The identifier in a path.
pub fn id(text: &str) -> Result<FileId, Rejection> {
    text.parse().map_err(|_| not_found(text))
}

/// 404: there is none, it has expired, or it is another key's.
pub fn not_found(id: &str) -> Rejection {
    let id: String = id.chars().take(64).collect();
    let message = format!("No file with id '{id}' was found.");
    Rejection { param: Some("file_id".to_owned()), ..Rejection::new(404, "file_not_found", message) }
}

/// Reads the query of a list.
pub fn query(owner: Owner, parameters: &[(String, String)]) -> Result<FileQuery, Rejection> {
    let mut page = Page::first(ALL);
    let mut purpose = None;
    for (name, value) in parameters {
        match name.as_str() {
            "purpose" => purpose = Some(value.clone()),
            _ if page.take(name, value, ALL)? => {}
            _ => return Err(Rejection::unknown_parameter(name)),
        }
    }
    let after = page
        .after
        .map(|id| id.parse().map_err(|_| Rejection::invalid_value("after", "It is no file's identifier.")));
    let (latest_first, limit) = (page.latest_first, page.limit);
    Ok(FileQuery { owner, purpose, after: after.transpose()?, latest_first, limit })
}

/// A file as clients see it. What is not there is left out, not null.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "UploadedFile")]
pub(super) struct File<'a> {
    id: FileId,
    object: &'static str,
    bytes: u64,
    created_at: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<i64>,
    filename: &'a str,
    purpose: &'a str,
    status: &'static str,
}

/// A file, as an item of a list or by itself.
pub fn item(file: &StoredFile) -> Item {
    let seconds = |ms: i64| ms.div_euclid(1_000);
    let body = File {
        id: file.id,
        object: "file",
        bytes: file.bytes,
        created_at: seconds(file.created_at_ms),
        expires_at: file.expires_at_ms.map(seconds),
        filename: &file.name,
        purpose: &file.purpose,
        status: "processed",
    };
    Item::new(file.id.to_string(), &body)
}

/// What is answered once one has been deleted.
pub fn deleted(id: FileId) -> Vec<u8> {
    #[derive(Serialize)]
    struct Gone {
        id: FileId,
        object: &'static str,
        deleted: bool,
    }
    let mut out = Vec::new();
    wire::json(&Gone { id, object: "file", deleted: true }, &mut out);
    out
}
