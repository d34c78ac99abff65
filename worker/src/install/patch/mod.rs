//! A private copy of the JavaScript CLI that works for root also where it is allowed everything.
//!
//! ```text
//! <data>/claude/patched/
//!   .lock                      held by whoever patches
//!   .staging-…/                a copy in the making; one that is left over is removed by the next
//!   2.1.112-4f1a09c2b7de/      the version, and the hash of the original
//!     cli.js                   four bytes differ from the original
//!     cli.js.original          what the edit is always made from
//!     patch.json               the hashes of both
//!     vendor/, *.wasm, …       what cli.js looks for beside it
//! ```
//!
//! The operator's own CLI stays as it is. A copy is tried out before it is put in place: it must run a turn,
//! permissions skipped, against a model on loopback. All workers and slots of a machine share one copy.

mod neighbours;
mod responder;
mod shape;
mod smoke;

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use drover_shared::cli::build::Version;
use serde::{Deserialize, Serialize};

use super::record::{Record, sha256};
use super::staging::{READABLE, RUNNABLE, Staging, blocking, create, data, lock};
use super::{InstallError, Settings};

pub use shape::{Findings, Shape};
pub use smoke::SmokeError;

/// How much of the original's hash names its folder.
const HASH_DIGITS: usize = 12;
const SCRIPT: &str = "cli.js";
const ORIGINAL: &str = "cli.js.original";
const SIDECAR: &str = "patch.json";

/// The CLI that is copied.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its `cli.js`.
    pub script: PathBuf,
    /// The absolute path of node.
    pub node: PathBuf,
    /// What it calls itself.
    pub version: Version,
}

/// Why there is no patched copy. Nothing was put in place then.
#[derive(Debug, thiserror::Error)]
pub enum PatchError {
    /// The executable is bytecode, and Anthropic's.
    #[error("{0} is a native Claude CLI, which is never edited")]
    Native(PathBuf),
    /// There is not exactly one check, or it has no known shape.
    #[error(
        "{script} cannot be patched: one check for root in a known shape is needed, and there are {findings}"
    )]
    Shape {
        /// The file.
        script: PathBuf,
        /// What it holds.
        findings: Findings,
    },
    /// The copy does not do what it is for.
    #[error("the patched copy of {script} was thrown away: {source}")]
    Smoke {
        /// The original.
        script: PathBuf,
        /// What happened when it was tried out.
        source: SmokeError,
    },
    /// A file cannot be read or written.
    #[error(transparent)]
    Files(#[from] InstallError),
}

/// Written beside the copy.
#[derive(Serialize, Deserialize)]
struct Sidecar {
    shape: Shape,
    original: Record,
    patched: Record,
}

/// The patched copy of this CLI, made first if there is none or it was damaged. Of several workers that start
/// at once one makes it and the others wait.
pub async fn patched_copy(source: &Source, settings: &Settings) -> Result<PathBuf, PatchError> {
    let place = Place::of(source, settings).await?;
    if !place.is_intact().await? {
        let _lock = lock(&place.folder).await?;
        // Whoever held the lock before may have made it.
        if !place.is_intact().await? {
            make(source, &place, settings).await?;
        }
    }
    Ok(place.path.join(SCRIPT))
}

/// The patched copy if it is there, `None` if it would be made; an error if that would fail for what the file
/// holds. Changes nothing.
pub(super) async fn look(source: &Source, settings: &Settings) -> Result<Option<PathBuf>, PatchError> {
    let place = Place::of(source, settings).await?;
    if place.is_intact().await? {
        return Ok(Some(place.path.join(SCRIPT)));
    }
    let (script, read) = (source.script.clone(), source.script.clone());
    let edited = blocking(&source.script, move || Ok(shape::edit(&fs::read(read)?))).await?;
    edited.map(|_| None).map_err(|findings| PatchError::Shape { script, findings })
}

/// Where a copy is, or will be.
struct Place {
    folder: PathBuf,
    path: PathBuf,
    version: Version,
    /// Of the original.
    hash: String,
}

impl Place {
    async fn of(source: &Source, settings: &Settings) -> Result<Self, PatchError> {
        let script = source.script.clone();
        let hash = move || if is_native(&script)? { Ok(None) } else { sha256(&script).map(Some) };
        let hash = blocking(&source.script, hash).await?;
        let hash = hash.ok_or_else(|| PatchError::Native(source.script.clone()))?;
        let folder = settings.data_dir.join("claude").join("patched");
        let path = folder.join(format!("{}-{}", source.version, &hash[..HASH_DIGITS]));
        Ok(Self { folder, path, version: source.version, hash })
    }

    /// Whether both files are what they were when the copy had been tried out.
    async fn is_intact(&self) -> Result<bool, InstallError> {
        let (path, hash, label) = (self.path.clone(), self.hash.clone(), label(self.version));
        blocking(&self.path, move || {
            let text = fs::read(path.join(SIDECAR)).ok();
            let Some(sidecar) = text.and_then(|text| serde_json::from_slice::<Sidecar>(&text).ok()) else {
                return Ok(false);
            };
            Ok(sidecar.original.sha256() == hash
                && is_as_recorded(&sidecar.original, &label, &path.join(ORIGINAL))?
                && is_as_recorded(&sidecar.patched, &label, &path.join(SCRIPT))?)
        })
        .await
    }
}

fn is_as_recorded(record: &Record, label: &str, file: &Path) -> io::Result<bool> {
    match record.matches(label, file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        matches => matches,
    }
}

fn is_native(program: &Path) -> io::Result<bool> {
    let mut head = Vec::new();
    File::open(program)?.take(4).read_to_end(&mut head)?;
    Ok(head == *b"\x7fELF")
}

async fn make(source: &Source, place: &Place, settings: &Settings) -> Result<(), PatchError> {
    let staging = Staging::create(&place.folder).map_err(|error| data(&place.folder, error))?;
    let ready = staging.path.join("ready");
    let (script, into, version) = (source.script.clone(), ready.clone(), source.version);
    let edited = blocking(&place.folder, move || prepare(&script, &into, version)).await?;
    let shape = edited.map_err(|findings| PatchError::Shape { script: source.script.clone(), findings })?;
    let copy = Source { script: ready.join(SCRIPT), ..source.clone() };
    let tried = smoke::run(&copy, &settings.supervisor).await;
    tried.map_err(|error| PatchError::Smoke { script: source.script.clone(), source: error })?;
    let to = place.path.clone();
    blocking(&place.folder, move || staging.put(&ready, &to)).await?;
    tracing::info!(version = %source.version, ?shape, copy = %place.path.display(), "patched a copy of the Claude CLI");
    Ok(())
}

/// Makes the copy in `ready`.
fn prepare(script: &Path, ready: &Path, version: Version) -> io::Result<Result<Shape, Findings>> {
    create(ready)?;
    fs::set_permissions(ready, Permissions::from_mode(RUNNABLE))?;
    write(&ready.join(ORIGINAL), &fs::read(script)?)?;
    // From what was kept, so that the two belong together whatever happens to the operator's file.
    let (shape, edited) = match shape::edit(&fs::read(ready.join(ORIGINAL))?) {
        Ok(edited) => edited,
        Err(findings) => return Ok(Err(findings)),
    };
    write(&ready.join(SCRIPT), &edited)?;
    if let Some(package) = script.parent() {
        neighbours::copy(package, ready)?;
    }
    let label = label(version);
    let original = Record::take(&label, &ready.join(ORIGINAL))?;
    let patched = Record::take(&label, &ready.join(SCRIPT))?;
    write(&ready.join(SIDECAR), &serde_json::to_vec_pretty(&Sidecar { shape, original, patched })?)?;
    File::open(ready)?.sync_all()?;
    Ok(Ok(shape))
}

fn label(version: Version) -> String {
    format!("{SCRIPT} {version}")
}

fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(content)?;
    file.set_permissions(Permissions::from_mode(READABLE))?;
    file.sync_all()
}
