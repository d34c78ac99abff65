//! Uploaded files that a chat shows: in place of a reference comes what the client could have sent itself, so that the
//! same reader reads it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::media;
use super::origins::Origins;
use crate::dialect::{Rejection, Upload, Uploads};
use crate::schema::{FileId, limits};

/// The files that a chat's body refers to, each once.
pub(super) fn wanted(body: &Value) -> Vec<FileId> {
    let messages = body["messages"].as_array().into_iter().flatten();
    let parts = messages.filter_map(|message| message["content"].as_array()).flatten();
    let mut all = Vec::new();
    for id in parts.filter_map(|part| reference(part)?.1.parse().ok()) {
        if !all.contains(&id) && all.len() < limits::IMAGES {
            all.push(id);
        }
    }
    all
}

/// Puts the files where they are referred to.
pub(super) fn fill(body: &mut Value, uploads: &Uploads, origins: &mut Origins) -> Result<(), Rejection> {
    let mut filled = 0;
    let messages = body.get_mut("messages").and_then(Value::as_array_mut).into_iter().flatten();
    for (number, message) in messages.enumerate() {
        let parts = message.get_mut("content").and_then(Value::as_array_mut);
        for (at, part) in parts.into_iter().flatten().enumerate() {
            let Some((holder, id)) = reference(part) else { continue };
            let place = format!("messages[{number}].content[{at}]");
            let param = format!("{place}.{holder}.file_id");
            let file = id.parse::<FileId>().ok().and_then(|id| uploads.get(&id));
            let file = file.ok_or_else(|| missing(&param))?;
            filled += file.content.len();
            if filled > limits::FILES_SHOWN_BYTES {
                return Err(too_large(&param));
            }
            let shown = shown(part, holder, file, &param)?;
            let written = origins.of(&param);
            origins.add(format!("{place}.image_url.url"), written.clone());
            origins.add(format!("{place}.file.file_data"), written);
            *part = shown;
        }
    }
    Ok(())
}

/// Where a part refers to a file, and to which.
fn reference(part: &Value) -> Option<(&'static str, &str)> {
    let at = |holder: &'static str| Some((holder, part.get(holder)?.get("file_id")?.as_str()?));
    match part.get("type")?.as_str()? {
        "file" => at("file"),
        "image_url" => at("image_url"),
        _ => None,
    }
}

/// The part with the file in it.
fn shown(part: &Value, holder: &str, file: &Upload, param: &str) -> Result<Value, Rejection> {
    let given = &part[holder];
    if given.get("file_data").is_some_and(|data| !data.is_null())
        || given.get("url").is_some_and(|url| !url.is_null())
    {
        return Err(Rejection::invalid_value(param, "Send the file or its identifier, not both."));
    }
    let media_type = media::sniffed(&file.content)
        .ok_or_else(|| Rejection::invalid_value(param, "The file is neither an image nor a PDF nor text."))?;
    let url = format!("data:{media_type};base64,{}", STANDARD.encode(&file.content));
    if holder == "image_url" || media_type.starts_with("image/") {
        return Ok(json!({"type": "image_url", "image_url": {"url": url}}));
    }
    let name = given.get("filename").filter(|name| !name.is_null()).cloned();
    let name = name.unwrap_or_else(|| file.name.clone().into());
    Ok(json!({"type": "file", "file": {"file_data": url, "filename": name}}))
}

fn missing(param: &str) -> Rejection {
    Rejection::invalid(
        "file_not_found",
        param,
        format!("Invalid value for '{param}'. No such file was found."),
    )
}

/// 413: as one request they would be too large.
fn too_large(param: &str) -> Rejection {
    let most = limits::FILES_SHOWN_BYTES;
    let message =
        format!("Invalid value for '{param}'. The files of a request hold at most {most} bytes together.");
    Rejection { status: 413, ..Rejection::invalid("request_too_large", param, message) }
}
