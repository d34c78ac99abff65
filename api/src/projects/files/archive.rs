//! `GET /v1/projects/{id}/archive`: all files of a project as a tar.gz, packed while it is read.

use std::io::{self, Read as _, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::Response;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use drover_shared::dialect::Rejection;
use drover_shared::schema::limits;
use drover_shared::workspace::{Entry, Kind, Tree, Walk};
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::stream;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout_at};

use super::download::{attachment, set};
use super::{known, with_files};
use crate::app::App;
use crate::auth::Caller;
use crate::error::{Problem, try_again_ms};

/// Files and directories. Links, pipes and the like are left out, and so is what may not be read. An archive that
/// cannot be finished ends the connection.
pub(crate) async fn archive(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Caller { owner, .. }: Caller,
) -> Result<Response<Body>, Problem> {
    let project = known(&app, &owner, &id).await?;
    let place = Arc::clone(&app.archives).try_acquire_owned().map_err(|_| too_many())?;
    let opened = with_files(&app, move |homes| {
        let Some(tree) = homes.find(project)? else { return Ok(None) };
        let walk = Walk::new(tree.directory(None)?, None, true)?;
        Ok(Some((tree, walk)))
    });
    let opened = opened.await?;
    let (pieces, reader) = mpsc::channel(limits::ARCHIVE_BACKLOG);
    let whole = Arc::new(AtomicBool::new(false));
    let pipe = Pipe { pieces, handle: Handle::current(), until: Instant::now() + limits::ARCHIVE };
    let packed = Arc::clone(&whole);
    spawn_blocking(move || {
        let _place = place;
        match pack(opened, pipe) {
            Ok(last) => {
                packed.store(true, Ordering::Release);
                drop(last);
            }
            Err(error) => tracing::debug!(%error, "an archive could not be finished"),
        }
    });
    let body = stream::unfold(Some(reader), move |reader| next(reader, Arc::clone(&whole)));
    let mut response = Response::new(Body::from_stream(body));
    set(&mut response, CONTENT_TYPE, "application/gzip");
    set(&mut response, CONTENT_DISPOSITION, &attachment(format!("{project}.tar.gz").as_bytes()));
    Ok(response)
}

/// The next piece. An archive that was given up ends with an error: without it, it would look whole.
async fn next(
    reader: Option<mpsc::Receiver<Bytes>>,
    whole: Arc<AtomicBool>,
) -> Option<(io::Result<Bytes>, Option<mpsc::Receiver<Bytes>>)> {
    let mut reader = reader?;
    match reader.recv().await {
        Some(piece) => Some((Ok(piece), Some(reader))),
        None if whole.load(Ordering::Acquire) => None,
        None => Some((Err(io::ErrorKind::UnexpectedEof.into()), None)),
    }
}

fn too_many() -> Problem {
    let message = "As many archives are being packed as this server can. Try again in a moment.";
    Problem(Rejection::new(429, "too_many_archives", message).retry_after_ms(try_again_ms()))
}

/// Packs it, and gives the pipe back once everything has gone through.
fn pack(opened: Option<(Tree, Walk)>, pipe: Pipe) -> io::Result<Pipe> {
    let packed = io::BufWriter::with_capacity(limits::ARCHIVE_PIECE_BYTES, pipe);
    let mut room = limits::ARCHIVE_BYTES;
    let mut archive = tar::Builder::new(GzEncoder::new(packed, Compression::fast()));
    if let Some((tree, mut walk)) = opened {
        while let Some(mut entry) = walk.next() {
            match entry.meta.kind {
                Kind::Directory => archive.append_data(&mut header(&entry), name(&entry), io::empty())?,
                Kind::File => {
                    let Ok((file, meta)) = walk.read(&tree, &entry) else { continue };
                    entry.meta = meta;
                    // Files with holes may be larger than any disk.
                    room = room.checked_sub(meta.bytes).ok_or(io::ErrorKind::FileTooLarge)?;
                    // One that is cut off meanwhile is filled up, one that grows is cut off.
                    let content = file.take(meta.bytes).chain(io::repeat(0)).take(meta.bytes);
                    archive.append_data(&mut header(&entry), name(&entry), content)?;
                }
                Kind::Link | Kind::Other => {}
            }
        }
    }
    archive.into_inner()?.finish()?.into_inner().map_err(io::IntoInnerError::into_error)
}

fn header(entry: &Entry) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    let is_directory = entry.meta.kind == Kind::Directory;
    header.set_entry_type(if is_directory { tar::EntryType::Directory } else { tar::EntryType::Regular });
    header.set_size(if is_directory { 0 } else { entry.meta.bytes });
    header.set_mode(if is_directory || entry.meta.executable { 0o755 } else { 0o644 });
    header.set_mtime(u64::try_from(entry.meta.modified_ms.div_euclid(1_000)).unwrap_or(0));
    header
}

fn name(entry: &Entry) -> &std::path::Path {
    std::path::Path::new(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(&entry.path))
}

/// What is written goes to the client, who may not pause for long, nor take all of it too slowly. After that nothing
/// is written any more, however often it is tried.
struct Pipe {
    pieces: mpsc::Sender<Bytes>,
    handle: Handle,
    until: Instant,
}

impl Write for Pipe {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        let until = self.until.min(Instant::now() + limits::UPLOAD_STALL);
        let send = self.pieces.send(Bytes::copy_from_slice(piece));
        match self.handle.block_on(async { timeout_at(until, send).await }) {
            Ok(Ok(())) => Ok(piece.len()),
            Ok(Err(_)) => Err(io::ErrorKind::BrokenPipe.into()),
            Err(_) => {
                self.until = Instant::now();
                Err(io::ErrorKind::TimedOut.into())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
