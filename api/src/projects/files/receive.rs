//! Receiving what is uploaded: piece by piece, into a file that nobody sees yet, within every limit.

use std::sync::Arc;

use axum::body::Bytes;
use drover_shared::dialect::Rejection;
use drover_shared::schema::{ProjectId, limits};
use drover_shared::workspace::{FilePath, Homes, Placed, Staged};
use futures_util::{Stream, StreamExt as _};
use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::trouble::{Trouble, project_full, upload_too_large};
use super::with_files;
use crate::app::App;
use crate::error::Problem;
use crate::settings::Settings;

/// How much may still come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    upload: u64,
    upload_left: u64,
    project: u64,
    project_left: u64,
}

impl Room {
    /// What there is while nothing has come.
    pub(super) fn measure(settings: &Settings, homes: &Homes, project: ProjectId) -> Result<Self, Trouble> {
        let most = settings.project_bytes;
        let mut used = homes.incoming(project)?.used(most)?.bytes;
        if let Some(tree) = homes.find(project)? {
            used = used.saturating_add(tree.used(most)?.bytes);
        }
        Ok(Self {
            upload: settings.upload_bytes,
            upload_left: settings.upload_bytes,
            project: most,
            project_left: most.saturating_sub(used),
        })
    }

    /// Takes up so many bytes.
    pub(super) fn take(&mut self, bytes: u64) -> Result<(), Problem> {
        self.upload_left =
            self.upload_left.checked_sub(bytes).ok_or_else(|| upload_too_large(self.upload))?;
        self.project_left = self.project_left.checked_sub(bytes).ok_or_else(|| project_full(self.project))?;
        Ok(())
    }

    /// Whether an upload may begin that has so many bytes.
    pub(super) fn may_hold(mut self, bytes: u64) -> Result<(), Problem> {
        self.take(bytes)
    }
}

/// The room that there is before anything comes.
pub(super) async fn begin(app: &App, project: ProjectId) -> Result<Room, Problem> {
    let settings = app.settings.clone();
    with_files(app, move |homes| Room::measure(&settings, homes, project)).await
}

/// A new file for something of the project.
pub(super) async fn stage(app: &App, project: ProjectId) -> Result<Staged, Problem> {
    with_files(app, move |homes| Ok(homes.incoming(project)?.stage()?)).await
}

/// Writes what comes into the file.
pub(super) async fn write<E: Into<Broken>>(
    app: &App,
    staged: &Staged,
    room: &mut Room,
    mut pieces: impl Stream<Item = Result<Bytes, E>> + Unpin,
) -> Result<(), Problem> {
    let file = staged.file.try_clone().map_err(|error| Problem::from(Trouble::from(error)))?;
    let mut file = File::from_std(file);
    while let Some(piece) = next(app, &mut pieces).await? {
        room.take(piece.len() as u64)?;
        file.write_all(&piece).await.map_err(|error| Problem::from(Trouble::from(error)))?;
    }
    file.flush().await.map_err(|error| Problem::from(Trouble::from(error)))
}

/// The next piece of a body, which may not pause for long.
pub(super) async fn next<E: Into<Broken>>(
    app: &App,
    pieces: &mut (impl Stream<Item = Result<Bytes, E>> + Unpin),
) -> Result<Option<Bytes>, Problem> {
    match timeout(app.settings.upload_stall, pieces.next()).await {
        Ok(Some(Ok(piece))) => Ok(Some(piece)),
        Ok(Some(Err(error))) => Err(error.into().0),
        Ok(None) => Ok(None),
        Err(_) => Err(too_slow()),
    }
}

/// Lets an upload as a whole take so long and no longer.
pub(super) async fn in_time<T>(upload: impl Future<Output = Result<T, Problem>>) -> Result<T, Problem> {
    timeout(limits::UPLOAD, upload).await.unwrap_or_else(|_| Err(too_slow()))
}

pub(super) fn too_slow() -> Problem {
    Problem(Rejection::new(408, "request_timeout", "The upload took too long to arrive."))
}

/// Why a body broke off.
pub(super) struct Broken(Problem);

impl From<Broken> for Problem {
    fn from(broken: Broken) -> Self {
        broken.0
    }
}

impl From<axum::Error> for Broken {
    fn from(_: axum::Error) -> Self {
        let message = "The request body ended before it was whole.";
        Self(Problem(Rejection::new(400, "body_unreadable", message)))
    }
}

impl From<multer::Error> for Broken {
    fn from(error: multer::Error) -> Self {
        let message = format!("The parts of the body cannot be read: {error}.");
        Self(Problem(Rejection::new(400, "body_unreadable", message)))
    }
}

/// Puts a file that has been received in its place. Everybody else waits, and there is room for what has come.
pub(super) async fn place(
    app: &App,
    project: ProjectId,
    staged: Staged,
    path: FilePath,
) -> Result<Placed, Problem> {
    let most = app.settings.project_bytes;
    let (store, handle) = (Arc::clone(&app.store), Handle::current());
    with_files(app, move |homes| {
        let incoming = homes.incoming(project)?;
        let gate = incoming.gate()?;
        // It may have been deleted while the file came; where its files are removed the gate is shut.
        if handle.block_on(store.project(project)).map_err(Problem::from)?.is_none() {
            return Err(Problem::no_such_project().into());
        }
        let tree = homes.find_or_make(project)?;
        let (there, coming) = (tree.used(most)?, incoming.used(most)?);
        let files = there.files.saturating_add(coming.files);
        if there.bytes.saturating_add(coming.bytes) > most || files > limits::SLOT_FILES {
            return Err(project_full(most).into());
        }
        Ok(tree.place(staged, &path, &gate)?)
    })
    .await
}
