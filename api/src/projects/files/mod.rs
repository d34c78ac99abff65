//! `/v1/projects/{id}/files`: what lies in a project, at home or while an agent works on it. This api reads and
//! writes the files itself, by way of [`drover_shared::workspace`], which keeps it within the project.

mod archive;
mod download;
mod kinds;
mod list;
mod receive;
mod remove;
mod trouble;
mod upload;

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use drover_shared::schema::{Owner, ProjectId};
use drover_shared::workspace::{FilePath, Homes, Kind, Meta};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, percent_encode};
use schemars::JsonSchema;
use serde::Serialize;
use tokio::task::spawn_blocking;

pub(crate) use self::archive::archive;
pub(crate) use self::download::download;
pub(crate) use self::list::{List, list};
pub(crate) use self::remove::remove;
pub(crate) use self::upload::{upload, upload_several};

use self::trouble::{Trouble, invalid_path};
use crate::app::App;
use crate::error::Problem;
use crate::projects::find;

/// What a request's path names: `/v1/projects/{id}/files/{*path}`. Read from the raw path, since the names of files
/// need not be UTF-8.
pub(crate) struct Target {
    project: String,
    path: Vec<u8>,
}

impl<S: Sync> FromRequestParts<S> for Target {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut segments = parts.uri.path().splitn(6, '/').skip(3);
        let project = segments.next().unwrap_or_default().to_owned();
        let path = segments.nth(1).unwrap_or_default();
        Ok(Self { project, path: percent_decode(path.as_bytes()).collect() })
    }
}

impl Target {
    /// The file that is meant.
    fn file(&self) -> Result<FilePath, Problem> {
        FilePath::parse(&self.path).map_err(|error| invalid_path("path", error))
    }
}

/// The project of that id, if it belongs to who is asking.
async fn known(app: &App, owner: &Owner, id: &str) -> Result<ProjectId, Problem> {
    Ok(find(app, owner, id).await?.id)
}

/// Does something with the files of projects, off the threads that serve streams.
async fn with_files<T: Send + 'static>(
    app: &App,
    work: impl FnOnce(&Homes) -> Result<T, Trouble> + Send + 'static,
) -> Result<T, Problem> {
    // Never closed. The work goes on when its client leaves, and so it keeps its place.
    let place = Arc::clone(&app.file_work).acquire_owned().await;
    let root = app.settings.project_root.clone().ok_or_else(trouble::out_of_reach)?;
    let working = spawn_blocking(move || {
        let _place = place;
        work(&Homes::open(&root)?)
    });
    let done = working.await;
    done.map_err(|_panic| Problem::internal())?.map_err(Problem::from)
}

/// A file as clients see it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ProjectFile")]
pub(crate) struct EntryBody {
    object: &'static str,
    path: String,
    /// Whether `path` is percent-encoded, since it is no UTF-8 otherwise.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    encoded: bool,
    kind: &'static str,
    bytes: u64,
    executable: bool,
    /// Seconds since the Unix epoch.
    modified_at: i64,
}

impl EntryBody {
    fn new(path: &[u8], meta: Meta) -> Self {
        let (path, encoded) = match std::str::from_utf8(path) {
            Ok(path) => (path.to_owned(), false),
            Err(_) => (escaped(path), true),
        };
        let kind = match meta.kind {
            Kind::File => "file",
            Kind::Directory => "directory",
            Kind::Link => "link",
            Kind::Other => "other",
        };
        Self {
            object: "project.file",
            path,
            encoded,
            kind,
            bytes: if meta.kind == Kind::File { meta.bytes } else { 0 },
            executable: meta.kind == Kind::File && meta.executable,
            modified_at: meta.modified_ms.div_euclid(1_000),
        }
    }
}

/// Everything but what may stand in a path and in a header as it is.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_').remove(b'~');

fn escaped(path: &[u8]) -> String {
    percent_encode(path, ESCAPED).to_string()
}
