//! Finding and installing the Claude CLI.

mod failing;
mod given;
mod pinned;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use drover_worker::install::{RootPolicy, Settings, Standing};
use drover_worker::slot::Supervisor;
use tempfile::TempDir;

/// A folder of a test's own, with programs in it that come before all others on `PATH`.
struct Stage {
    root: TempDir,
    with_system: bool,
}

impl Stage {
    fn new() -> Self {
        Self { root: tempfile::tempdir().expect("a directory"), with_system: true }
    }

    /// Without the programs of the system.
    fn bare() -> Self {
        Self { with_system: false, ..Self::new() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().canonicalize().expect("it exists").join(name)
    }

    /// Writes an executable file.
    fn program(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("created");
        fs::write(&path, text).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("set");
        path
    }

    fn settings(&self, binary_path: Option<&Path>) -> Settings {
        let bin = self.path("bin");
        let system = std::env::var("PATH").expect("a PATH");
        let path =
            if self.with_system { format!("{}:{system}", bin.display()) } else { bin.display().to_string() };
        let mut environment: Vec<(String, String)> =
            std::env::vars().filter(|(name, _)| name != "PATH").collect();
        environment.push(("PATH".into(), path));
        environment.push(("npm_config_cache".into(), self.path("npm-cache").display().to_string()));
        Settings {
            binary_path: binary_path.map(Path::to_owned),
            data_dir: self.path("data"),
            environment,
            root_policy: RootPolicy::Auto,
            standing: Standing { is_root: true, may_change_users: true },
            supervisor: Supervisor::at(env!("CARGO_BIN_EXE_drover-worker")),
        }
    }
}
