//! Patching the JavaScript CLI: the real old versions, and what must be refused.

mod model;
mod real;
mod refused;
mod shared;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use drover_shared::cli::build::Version;
use drover_worker::install::patch::Source;
use drover_worker::install::{RootPolicy, Settings, Standing};
use drover_worker::slot::Supervisor;
use tempfile::TempDir;

/// The data folder of a test's own.
struct Stage {
    root: TempDir,
}

impl Stage {
    fn new() -> Self {
        Self { root: tempfile::tempdir().expect("a directory") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().canonicalize().expect("it exists").join(name)
    }

    /// Writes a script for node.
    fn script(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("created");
        fs::write(&path, text).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("set");
        path
    }

    /// As root of a place where nothing but a patch helps, whoever runs the tests.
    fn settings(&self, binary_path: Option<&Path>) -> Settings {
        Settings {
            binary_path: binary_path.map(Path::to_owned),
            data_dir: self.path("data"),
            environment: std::env::vars().collect(),
            root_policy: RootPolicy::Patch,
            standing: Standing { is_root: true, may_change_users: false },
            supervisor: Supervisor::at(env!("CARGO_BIN_EXE_drover-worker")),
        }
    }

    /// The patched copies and whatever else lies there, but for the lock.
    fn copies(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.path("data/claude/patched")) else { return Vec::new() };
        let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.filter(|name| name != ".lock").collect()
    }
}

/// The real CLI in this version, as `tests/setup.sh` installs it.
fn real(version: &str) -> PathBuf {
    let folder = if version == "2.1.112" { "js".to_owned() } else { format!("js-{version}") };
    let parts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.drover/test").join(folder);
    let script = parts.join("node_modules/@anthropic-ai/claude-code/cli.js");
    script
        .canonicalize()
        .unwrap_or_else(|_| panic!("{} is missing; run: sh tests/setup.sh", script.display()))
}

fn source(script: &Path, version: &str) -> Source {
    let version = Version::parse(version).expect("a version");
    Source { script: script.to_owned(), node: node(), version }
}

fn node() -> PathBuf {
    let path = std::env::var_os("PATH").expect("a PATH");
    let node = std::env::split_paths(&path).map(|folder| folder.join("node")).find(|node| node.is_file());
    node.expect("node is needed for this test")
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}
