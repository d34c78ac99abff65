//! The CLI that an operator names.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::probe::{Identity, identify};
use super::{InstallError, Settings, variable};
use drover_shared::cli::build::Build;

/// How much of a file is read to see what it is.
const HEAD_BYTES: u64 = 256;

/// What a file is, by its first bytes.
#[derive(Debug, PartialEq, Eq)]
enum Kind {
    /// An executable of the system's own format.
    Native,
    /// A script for node.
    Node,
    /// Another script, which may run either build.
    Wrapper,
}

/// Uses exactly what `path` leads to: links are followed, so that the file can be found from another
/// working directory and through a sandbox.
pub(super) async fn find(path: &Path, settings: &Settings) -> Result<Identity, InstallError> {
    let program = path.canonicalize().map_err(|error| unusable(path, error))?;
    if !program.is_file() {
        return Err(InstallError::NotExecutable(path.to_owned()));
    }
    let kind = kind(&program).map_err(|error| unusable(path, error))?;
    // A script for node is read by node, not executed.
    if kind != Kind::Node && !is_executable(&program) {
        return Err(InstallError::NotExecutable(path.to_owned()));
    }
    match kind {
        Kind::Native => identify(&program, None, Some(Build::Native), &settings.supervisor).await,
        Kind::Wrapper => identify(&program, None, None, &settings.supervisor).await,
        Kind::Node => {
            let node = node(settings).ok_or_else(|| InstallError::NodeMissing(path.to_owned()))?;
            identify(&program, Some(&node), None, &settings.supervisor).await
        }
    }
}

/// The absolute path of node, by this process' `PATH`.
pub(super) fn node(settings: &Settings) -> Option<PathBuf> {
    on_path("node", settings)
}

/// The absolute path of a program, by this process' `PATH`.
pub(super) fn on_path(name: &str, settings: &Settings) -> Option<PathBuf> {
    let folders = std::env::split_paths(variable(&settings.environment, "PATH")?);
    folders
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(name))
        .find(|file| is_executable(file))
}

fn unusable(path: &Path, error: io::Error) -> InstallError {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => InstallError::Missing(path.to_owned()),
        _ => InstallError::Data { path: path.to_owned(), source: error },
    }
}

fn is_executable(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

fn kind(program: &Path) -> io::Result<Kind> {
    let mut head = Vec::new();
    File::open(program)?.take(HEAD_BYTES).read_to_end(&mut head)?;
    let script_name =
        program.extension().is_some_and(|ending| ["js", "cjs", "mjs"].iter().any(|js| ending == *js));
    Ok(classify(&head, script_name))
}

fn classify(head: &[u8], script_name: bool) -> Kind {
    let first_line = head.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let names_node = first_line.starts_with(b"#!") && first_line.windows(4).any(|window| window == b"node");
    match head {
        [0x7f, b'E', b'L', b'F', ..] => Kind::Native,
        _ if script_name || names_node => Kind::Node,
        _ => Kind::Wrapper,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_apart_by_their_first_bytes() {
        assert_eq!(classify(b"\x7fELF\x02\x01", false), Kind::Native);
        assert_eq!(classify(b"#!/usr/bin/env node\n// (c)", false), Kind::Node);
        assert_eq!(classify(b"// no first line", true), Kind::Node);
        assert_eq!(classify(b"#!/bin/sh\nexec node cli.js \"$@\"", false), Kind::Wrapper);
        assert_eq!(classify(b"", false), Kind::Wrapper);
    }
}
