//! Images and documents: parts of type `image_url` and `file`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::admission::{Ignored, admit};
use super::parameters::Scope;
use super::reader::Node;
use crate::dialect::Rejection;
use crate::schema::media::Source;
use crate::schema::{Part, limits};

/// The images that providers look at, with what the bytes of each begin with.
const IMAGES: [(&str, &[u8]); 4] = [
    ("image/png", b"\x89PNG\r\n\x1a\n"),
    ("image/jpeg", b"\xff\xd8\xff"),
    ("image/gif", b"GIF8"),
    ("image/webp", b"RIFF"),
];

const PDF: &str = "application/pdf";

/// What bytes are, as far as a model can be shown them: an image, a PDF, or text.
pub(super) fn sniffed(bytes: &[u8]) -> Option<&'static str> {
    let image = IMAGES.iter().find(|(_, magic)| bytes.starts_with(magic)).map(|(name, _)| *name);
    let pdf = || bytes.starts_with(b"%PDF-").then_some(PDF);
    let text = || std::str::from_utf8(bytes).is_ok().then_some("text/plain");
    image.or_else(pdf).or_else(text)
}

/// Reads a part of type `image_url`.
pub(super) fn image(part: &Node, ignored: &mut Ignored) -> Result<Part, Rejection> {
    let image = part.required("image_url")?;
    admit(&image, Scope::ImageUrl, ignored)?;
    let field = image.required("url")?;
    let url = field.text()?;
    let source = match scheme(url).as_deref() {
        Some("https") => web(&field, url)?,
        Some("data") => picture(&field, url)?,
        _ => return Err(field.invalid_value("It must be a data URL, or begin with https://.")),
    };
    Ok(Part::Image { source })
}

/// Reads a part of type `file`: a PDF, or text.
pub(super) fn file(part: &Node, ignored: &mut Ignored) -> Result<Part, Rejection> {
    let file = part.required("file")?;
    admit(&file, Scope::File, ignored)?;
    let field = file.required("file_data")?;
    let (media_type, data) = data_url(&field, field.text()?)?;
    let bytes = decoded(&field, data)?;
    let source = if media_type == PDF {
        if !bytes.starts_with(b"%PDF-") {
            return Err(field.invalid_value("Its bytes are no PDF."));
        }
        Source::Base64 { media_type, data: data.to_owned() }
    } else if media_type.starts_with("text/") {
        let text = String::from_utf8(bytes).map_err(|_| field.invalid_value("Its text is not UTF-8."))?;
        if text.is_empty() {
            return Err(field.invalid_value("It must not be empty."));
        }
        Source::Text { data: text }
    } else {
        return Err(field.invalid_value("It must be a PDF (`application/pdf`) or text (`text/…`)."));
    };
    let title = file.get("filename").map(|name| name.text()).transpose()?;
    Ok(Part::Document { source, title: title.filter(|title| !title.is_empty()).map(str::to_owned) })
}

/// The part of a URL before its first colon, in lower case.
fn scheme(url: &str) -> Option<String> {
    url.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase())
}

fn web(field: &Node, url: &str) -> Result<Source, Rejection> {
    let has_host = url.get(..8).is_some_and(|head| head.eq_ignore_ascii_case("https://"))
        && !matches!(url.as_bytes().get(8), None | Some(b'/' | b'?' | b'#' | b':'));
    if !has_host || url.len() > limits::IMAGE_URL_BYTES || !url.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(field.invalid_value("It is no https URL, or too long."));
    }
    Ok(Source::Url { url: url.to_owned() })
}

fn picture(field: &Node, url: &str) -> Result<Source, Rejection> {
    let (media_type, data) = data_url(field, url)?;
    // What many call it.
    let media_type = if media_type == "image/jpg" { "image/jpeg".to_owned() } else { media_type };
    let Some((_, magic)) = IMAGES.iter().find(|(name, _)| *name == media_type) else {
        return Err(field.invalid_value("It must be a PNG, JPEG, GIF or WebP."));
    };
    let bytes = decoded(field, data)?;
    if bytes.len() > limits::IMAGE_BYTES {
        return Err(field.invalid_value(format!("It is larger than {} bytes.", limits::IMAGE_BYTES)));
    }
    if !bytes.starts_with(magic) {
        return Err(field.invalid_value(format!("Its bytes are no {media_type}.")));
    }
    Ok(Source::Base64 { media_type, data: data.to_owned() })
}

/// What a data URL says that it holds, in lower case, and the base64 of it (RFC 2397).
fn data_url<'a>(field: &Node, url: &'a str) -> Result<(String, &'a str), Rejection> {
    let wrong = || field.invalid_value("It must be a data URL with base64, such as data:image/png;base64,….");
    let rest = url.get(..5).filter(|head| head.eq_ignore_ascii_case("data:")).and_then(|_| url.get(5..));
    let (head, data) = rest.and_then(|rest| rest.split_once(',')).ok_or_else(wrong)?;
    let mut head = head.split(';');
    let media_type = head.next().unwrap_or_default().to_ascii_lowercase();
    if !head.any(|word| word.eq_ignore_ascii_case("base64")) {
        return Err(wrong());
    }
    Ok((media_type, data))
}

fn decoded(field: &Node, data: &str) -> Result<Vec<u8>, Rejection> {
    STANDARD.decode(data).map_err(|_| field.invalid_value("Its base64 is broken."))
}
