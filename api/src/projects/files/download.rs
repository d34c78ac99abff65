//! `GET /v1/projects/{id}/files/{*path}`

use std::io::SeekFrom;
use std::ops::Range;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{
    ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderName,
    HeaderValue, IF_RANGE, RANGE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse as _;
use drover_shared::dialect::Rejection;
use drover_shared::workspace::FileError;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio_util::io::ReaderStream;

use super::{Target, escaped, kinds, known, with_files};
use crate::app::App;
use crate::auth::Caller;
use crate::error::Problem;

/// Bytes that are read at a time.
const PIECE: usize = 64 << 10;

/// The file as it is when it is opened: one that grows meanwhile is told up to where it ended, and one that is cut
/// off ends the connection.
pub(crate) async fn download(
    State(app): State<Arc<App>>,
    target: Target,
    Caller { owner, .. }: Caller,
    headers: HeaderMap,
) -> Result<Response<Body>, Problem> {
    let project = known(&app, &owner, &target.project).await?;
    let path = target.file()?;
    let name = path.names().last().map(|name| name.to_bytes().to_owned()).unwrap_or_default();
    let opened = with_files(&app, move |homes| {
        let tree = homes.find(project)?.ok_or(FileError::NotFound)?;
        Ok(tree.read(&path)?)
    });
    let (file, meta) = opened.await?;
    let part = match wanted(&headers, meta.bytes) {
        Wanted::Whole => None,
        Wanted::Part(part) => Some(part),
        Wanted::Nothing => return Ok(nothing_there(meta.bytes)),
    };
    let range = part.clone().unwrap_or(0..meta.bytes);
    let mut file = tokio::fs::File::from_std(file);
    file.seek(SeekFrom::Start(range.start)).await.map_err(|_| Problem::internal())?;
    let length = range.end - range.start;
    let body = Body::from_stream(ReaderStream::with_capacity(file.take(length), PIECE));
    let mut response = Response::new(body);
    if part.is_some() {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        set(&mut response, CONTENT_RANGE, &format!("bytes {}-{}/{}", range.start, range.end - 1, meta.bytes));
    }
    set(&mut response, CONTENT_LENGTH, &length.to_string());
    set(&mut response, CONTENT_TYPE, kinds::of(&name));
    set(&mut response, ACCEPT_RANGES, "bytes");
    // What an agent has written is nothing that a browser should run.
    set(&mut response, X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(&mut response, CONTENT_DISPOSITION, &attachment(&name));
    Ok(response)
}

/// To be stored under this name.
pub(super) fn attachment(name: &[u8]) -> String {
    format!("attachment; filename*=UTF-8''{}", escaped(name))
}

pub(super) fn set(response: &mut Response<Body>, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

fn nothing_there(bytes: u64) -> Response<Body> {
    let rejection = Rejection::new(416, "invalid_range", format!("The file has {bytes} bytes."));
    let mut response = Problem(rejection).into_response();
    set(&mut response, CONTENT_RANGE, &format!("bytes */{bytes}"));
    response
}

#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    Whole,
    Part(Range<u64>),
    Nothing,
}

/// One range of bytes (RFC 9110, 14.1.2). Several at once, other units and conditions are answered with the whole.
fn wanted(headers: &HeaderMap, bytes: u64) -> Wanted {
    let range = headers.get(RANGE).and_then(|range| range.to_str().ok()?.trim().strip_prefix("bytes="));
    let Some((first, last)) = range.and_then(|range| range.split_once('-')) else { return Wanted::Whole };
    if headers.contains_key(IF_RANGE) {
        return Wanted::Whole;
    }
    let part = match (first.trim().parse::<u64>(), last.trim().parse::<u64>()) {
        (Ok(first), Ok(last)) if first <= last => first..last.saturating_add(1).min(bytes),
        (Ok(first), Err(_)) if last.trim().is_empty() => first..bytes,
        (Err(_), Ok(last)) if first.trim().is_empty() => bytes.saturating_sub(last)..bytes,
        _ => return Wanted::Whole,
    };
    if part.is_empty() { Wanted::Nothing } else { Wanted::Part(part) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_of_bytes_is_understood() {
        for (range, expected) in [
            ("bytes=0-0", Wanted::Part(0..1)),
            ("bytes=2-", Wanted::Part(2..10)),
            ("bytes=-3", Wanted::Part(7..10)),
            ("bytes=-99", Wanted::Part(0..10)),
            ("bytes=8-99", Wanted::Part(8..10)),
            ("bytes=10-", Wanted::Nothing),
            ("bytes=-0", Wanted::Nothing),
            ("bytes=18446744073709551615-18446744073709551615", Wanted::Nothing),
            ("bytes=5-2", Wanted::Whole),
            ("bytes=0-1,3-4", Wanted::Whole),
            ("bytes=a-b", Wanted::Whole),
            ("lines=0-1", Wanted::Whole),
        ] {
            let headers = HeaderMap::from_iter([(RANGE, range.parse().expect("a header"))]);
            assert_eq!(wanted(&headers, 10), expected, "{range}");
        }
        assert_eq!(wanted(&HeaderMap::new(), 10), Wanted::Whole);
    }
}
