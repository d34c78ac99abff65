//! Clients in other languages: scripts that are run against a cluster and check for themselves.

use crate::client::PATIENCE;
use crate::harness::installed;
use std::ffi::OsStr;
use std::path::Path;
use std::process::Stdio;
use tempfile::TempDir;
use tokio::process::Command;

/// What a script is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// Python with the official OpenAI SDK.
    Python,
    /// A JavaScript module with the official OpenAI SDK.
    Node,
    /// A shell.
    Shell,
}

/// Runs a script, with nothing in its environment but `PATH`, a home and what is given, and answers with
/// what it printed. A script that fails fails the test, with everything it said.
pub async fn run(language: Language, script: &str, environment: &[(&str, &str)]) -> String {
    let home = tempfile::tempdir().expect("a home for the script");
    let mut command = command(language, script, &home);
    command.env_clear().envs(environment.iter().copied());
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", home.path());
    command.current_dir(home.path()).kill_on_drop(true).stdin(Stdio::null());
    let output = tokio::time::timeout(4 * PATIENCE, command.output()).await;
    let output = output.expect("the script ends in time").expect("the script starts");
    let (said, complained) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{script}\n{said}\n{complained}", output.status);
    said.into_owned()
}

fn command(language: Language, script: &str, home: &TempDir) -> Command {
    match language {
        Language::Python => started(installed("DROVER_TEST_PYTHON", "python/bin/python"), "-c", script),
        Language::Shell => started("bash", "-euc", script),
        Language::Node => {
            // A module finds its packages from where it lies.
            let modules = installed("DROVER_TEST_NODE_MODULES", "node/node_modules");
            std::os::unix::fs::symlink(modules, home.path().join("node_modules")).expect("a link");
            let file = home.path().join("script.mjs");
            std::fs::write(&file, script).expect("the script can be written");
            let mut command = Command::new("node");
            // A browser has one; Node from version 22 on without being asked.
            command.arg("--experimental-websocket").arg(file);
            command
        }
    }
}

fn started(program: impl AsRef<OsStr>, flag: &str, script: &str) -> Command {
    let mut command = Command::new(program);
    command.arg(flag).arg(script);
    command
}

/// A script of the folder `clients`.
pub fn script(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
