//! Where the parts are: Drover's own binaries and the CLIs. A missing part fails with the line that adds it.

use crate::scripted::Fault;
use drover_shared::cli::Build;
use drover_shared::provider::registry::Registry;
use drover_worker::relay::{Catalog, Upstream};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

/// Which CLI the workers run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaudeKind {
    /// The real CLI, native build.
    Native,
    /// The real CLI, JavaScript build.
    JavaScript,
    /// The scripted stand-in, with or without a fault.
    Scripted(Option<Fault>),
}

impl ClaudeKind {
    /// Which build it is or stands in for.
    pub fn build(self) -> Build {
        match self {
            Self::Native | Self::Scripted(_) => Build::Native,
            Self::JavaScript => Build::JavaScript,
        }
    }

    /// The path that `CLAUDE_BINARY_PATH` gets. A faulty CLI is a wrapper in `dir`.
    pub fn binary(self, dir: &Path) -> PathBuf {
        match self {
            Self::Native => real("DROVER_TEST_CLAUDE_NATIVE", "native", "bin/claude.exe"),
            Self::JavaScript => real("DROVER_TEST_CLAUDE_JS", "js", "cli.js"),
            Self::Scripted(None) => binary("drover-scripted-claude"),
            Self::Scripted(Some(fault)) => wrapper(fault, dir),
        }
    }

    /// What slots have to be allowed to read besides the binary itself, when it is a wrapper in `dir`.
    pub(super) fn read_besides(self, dir: &Path) -> Vec<PathBuf> {
        match self {
            Self::Scripted(Some(_)) => vec![binary("drover-scripted-claude"), marker(dir)],
            _ => Vec::new(),
        }
    }
}

/// The demo model, as relays have it that nobody has a key for: nothing is asked of anybody.
pub fn demo() -> Arc<Upstream> {
    let catalog = Catalog { offer: Registry::shipped().offer(|_| 0, None), endpoints: Vec::new() };
    Upstream::new(catalog, "0", 1).expect("the demo model")
}

/// A binary of this workspace, from the directory that the test's own executable was built into.
pub fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test has an executable");
    let found = test.ancestors().skip(1).take(2).map(|dir| dir.join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| {
        panic!("{name} is not built beside {}; run: cargo build --workspace --bins", test.display())
    })
}

/// The root of the workspace.
pub fn workspace() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("the package lies in the workspace").to_owned()
}

/// A file that `tests/setup.sh` installs; the variable names another place for it.
pub fn installed(variable: &str, path: &str) -> PathBuf {
    let path = match std::env::var_os(variable) {
        Some(path) => PathBuf::from(path),
        None => workspace().join(".drover/test").join(path),
    };
    assert!(
        path.exists(),
        "{} is missing; run: sh tests/setup.sh (or set {variable} to where it is)",
        path.display()
    );
    path
}

fn real(variable: &str, build: &str, file: &str) -> PathBuf {
    installed(variable, &format!("{build}/node_modules/@anthropic-ai/claude-code/{file}"))
}

/// Lets the one who reads it first know that it is the first.
fn marker(dir: &Path) -> PathBuf {
    dir.join("not-failed-yet")
}

/// A pipe with one byte in it: a slot may write nowhere else, but what it reads from a pipe is gone.
fn lay_marker(dir: &Path) {
    use std::io::Write as _;
    let path = marker(dir);
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::from_bits_truncate(0o644)).expect("a pipe");
    let mut pipe = std::fs::File::options().read(true).write(true).open(path).expect("both of its ends");
    pipe.write_all(b"!").expect("room for a byte");
    // The byte stays as long as somebody holds the pipe open.
    std::mem::forget(pipe);
}

/// A script that starts the scripted CLI with its fault.
fn wrapper(fault: Fault, dir: &Path) -> PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    if fault == Fault::Exit1Once {
        lay_marker(dir);
    }
    let path = dir.join("claude");
    let script = format!(
        "#!/bin/sh\nexec '{}' --fault {fault} --marker '{}' \"$@\"\n",
        binary("drover-scripted-claude").display(),
        marker(dir).display()
    );
    std::fs::write(&path, script).expect("the wrapper can be written");
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&path, mode).expect("the wrapper can be made executable");
    path
}

/// The variables that `--help` of the two binaries names.
pub fn settings_in_help() -> BTreeSet<String> {
    let settings: BTreeSet<_> = ["drover-api", "drover-worker"].into_iter().flat_map(settings_of).collect();
    assert!(settings.contains("PORT") && settings.contains("CLAUDE_BINARY_PATH"), "{settings:?}");
    settings
}

/// The variables that `--help` of the binary names.
pub fn settings_of(name: &str) -> BTreeSet<String> {
    let help = Command::new(binary(name)).arg("--help").output().expect("the binary starts");
    let help = String::from_utf8(help.stdout).expect("text");
    // Help is wrapped where the terminal ends.
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    let named = help.split("[env: ").skip(1).filter_map(|rest| rest.split(']').next());
    let settings: BTreeSet<_> = named.map(str::to_owned).collect();
    assert!(settings.contains("DROVER_DATA_DIR"), "{settings:?}");
    settings
}
