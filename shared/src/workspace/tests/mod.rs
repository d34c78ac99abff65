//! Whoever fills a workspace, and whatever is done to it meanwhile: nothing outside of it is read, written or removed.

mod attacks;
mod finding;
mod placing;
mod walking;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::*;
use crate::schema::ProjectId;

/// A root with one project, and something outside of it that nobody may touch.
struct Stage {
    root: tempfile::TempDir,
    homes: Homes,
}

const SECRET: &str = "precious";

impl Stage {
    fn new() -> Self {
        let root = tempfile::tempdir().expect("a directory");
        let homes = Homes::open(root.path()).expect("homes");
        fs::create_dir(root.path().join("outside")).expect("created");
        fs::write(root.path().join("outside/secret"), SECRET).expect("written");
        Self { root, homes }
    }

    fn outside(&self) -> PathBuf {
        self.root.path().join("outside")
    }

    fn home(&self) -> PathBuf {
        self.root.path().join("projects").join(project().to_string())
    }

    fn tree(&self) -> Tree {
        self.homes.find_or_make(project()).expect("a workspace")
    }

    fn incoming(&self) -> Incoming {
        self.homes.incoming(project()).expect("a folder")
    }

    /// Receives a file and puts it in its place.
    fn put(&self, tree: &Tree, at: &str, text: &str) -> Result<Placed, FileError> {
        let incoming = self.incoming();
        let mut staged = incoming.stage().expect("a file");
        staged.file.write_all(text.as_bytes()).expect("written");
        tree.place(staged, &path(at), &incoming.gate().expect("a gate"))
    }

    /// Moves the workspace into a slot of this name, as a worker does.
    fn send_out(&self, slot: &str) -> (Record, PathBuf) {
        let slot = self.root.path().canonicalize().expect("it is there").join("slots/worker").join(slot);
        fs::create_dir_all(slot.join(PROJECT)).expect("created");
        let (record, _) = self.homes.send_out(project(), &slot).expect("it goes out");
        (record, slot)
    }

    /// What is outside is as it was, and nothing that was being received is left.
    fn assert_untouched(&self) {
        assert_eq!(names(&self.outside()), ["secret"]);
        assert_eq!(fs::read_to_string(self.outside().join("secret")).expect("there"), SECRET);
        assert_eq!(names(&self.homes.arrivals(project())), [""; 0]);
    }
}

fn project() -> ProjectId {
    ProjectId::from_uuid(Uuid::from_u128(7))
}

fn path(text: &str) -> FilePath {
    FilePath::parse(text.as_bytes()).expect("a path")
}

fn names(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn content(tree: &Tree, at: &str) -> Result<String, FileError> {
    let (mut file, _) = tree.read(&path(at))?;
    let mut text = String::new();
    std::io::Read::read_to_string(&mut file, &mut text)?;
    Ok(text)
}
