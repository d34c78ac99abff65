//! Who listens: the sockets in the bell's directory.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// A listing of the directory that is read again only when the directory has changed.
#[derive(Default)]
pub(super) struct Sockets {
    names: Vec<String>,
    /// The directory's time of change when it was listed.
    listed: Option<SystemTime>,
}

/// A change so recent may be followed by another with the same time stamp: the kernel's clock for files
/// ticks every few milliseconds.
const SETTLED: Duration = Duration::from_millis(100);

impl Sockets {
    /// File names of the sockets in `dir`.
    pub(super) fn list(&mut self, dir: &Path) -> &[String] {
        let changed = fs::metadata(dir).and_then(|meta| meta.modified()).ok();
        if changed.is_none() || changed != self.listed {
            self.names = read(dir);
            self.listed = changed.filter(|at| at.elapsed().is_ok_and(|age| age > SETTLED));
        }
        &self.names
    }
}

fn read(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let sockets = entries.filter(|entry| entry.path().extension().is_some_and(|kind| kind == "sock"));
    sockets.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}
