//! Real versions, one of each kind of check.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use drover_shared::cli::build::Build;
use drover_worker::install::patch::patched_copy;
use drover_worker::install::{RootMode, RootPolicy, check, find_or_install};

use crate::model::{Model, SAYS};
use crate::{Stage, is_root, real, source};

const REFUSAL: &str = "--dangerously-skip-permissions cannot be used with root/sudo privileges";

/// The patched copy runs where the original refuses; the two differ in the condition alone.
async fn works_once_patched(version: &str) {
    let (stage, model, original) = (Stage::new(), Model::start(), real(version));
    let before = fs::read(&original).expect("read");
    let copy = patched_copy(&source(&original, version), &stage.settings(None)).await.expect("patched");

    if is_root() {
        let refused = model.turn(&original);
        assert_eq!((refused.status.code(), model.calls()), (Some(1), 0));
        assert!(String::from_utf8_lossy(&refused.stderr).contains(REFUSAL));
    }
    let ran = model.turn(&copy);
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert_eq!((ran.status.code(), said.trim()), (Some(0), SAYS), "{}", String::from_utf8_lossy(&ran.stderr));
    assert!(model.calls() > 0);

    let patched = fs::read(&copy).expect("read");
    assert_eq!(patched.len(), before.len());
    let differing: Vec<_> = (0..before.len()).filter(|at| patched[*at] != before[*at]).collect();
    assert!(differing.len() <= 4 && differing[differing.len() - 1] - differing[0] < 4, "{differing:?}");
    assert_eq!(fs::read(copy.with_file_name("cli.js.original")).expect("kept"), before);
    assert_eq!(fs::read(&original).expect("read"), before, "the operator's own is left alone");
    everyone_may_read(copy.parent().expect("a folder"));
}

/// Slots have users of their own.
fn everyone_may_read(folder: &Path) {
    for entry in fs::read_dir(folder).expect("read").flatten() {
        let mode = entry.metadata().expect("there").permissions().mode();
        assert_eq!(mode & 0o044, 0o044, "{}", entry.path().display());
        if entry.path().is_dir() {
            assert_eq!(mode & 0o055, 0o055, "{}", entry.path().display());
            everyone_may_read(&entry.path());
        }
    }
}

#[tokio::test]
async fn a_version_without_an_escape_works_once_patched() {
    works_once_patched("1.0.30").await;
}

#[tokio::test]
async fn the_last_of_1_0_works_once_patched() {
    works_once_patched("1.0.124").await;
}

#[tokio::test]
async fn an_early_2_0_works_once_patched() {
    works_once_patched("2.0.14").await;
}

#[tokio::test]
async fn the_last_javascript_version_works_once_patched() {
    works_once_patched("2.1.112").await;
}

#[tokio::test]
async fn a_worker_runs_the_patched_copy_keeps_it_and_repairs_it() {
    let stage = Stage::new();
    let settings = stage.settings(Some(&real("2.1.112")));
    let report = check(&settings).await;
    assert!(report.to_string().contains("root     patch:"), "{report}");
    assert!(stage.copies().is_empty(), "a check changes nothing");

    let claude = find_or_install(&settings).await.expect("found");
    assert_eq!((claude.root.clone(), claude.build), (Ok(RootMode::Patch), Build::JavaScript));
    assert!(claude.program.starts_with(stage.path("data/claude/patched")));
    assert_eq!(stage.copies().len(), 1);
    assert!(check(&settings).await.to_string().contains(&claude.program.display().to_string()));

    let found = || fs::metadata(&claude.program).map(|data| (data.ino(), data.mtime_nsec())).expect("there");
    let first = found();
    assert_eq!(find_or_install(&settings).await.expect("found"), claude);
    assert_eq!(found(), first, "what is intact is not made again");

    let intact = fs::read(&claude.program).expect("read");
    fs::write(&claude.program, "process.exit(0)").expect("damaged");
    assert_eq!(find_or_install(&settings).await.expect("repaired"), claude);
    assert_eq!(fs::read(&claude.program).expect("read"), intact);
    fs::remove_file(claude.program.with_file_name("cli.js.original")).expect("removed");
    assert_eq!(find_or_install(&settings).await.expect("repaired"), claude);
    assert!(claude.program.with_file_name("cli.js.original").exists());
    assert_eq!(stage.copies().len(), 1);
}

#[tokio::test]
async fn what_needs_no_patch_gets_none() {
    let stage = Stage::new();
    let original = real("2.1.112");
    for (policy, mode) in [(RootPolicy::Auto, RootMode::Env), (RootPolicy::Env, RootMode::Env)] {
        let mut settings = stage.settings(Some(&original));
        settings.root_policy = policy;
        let claude = find_or_install(&settings).await.expect("found");
        assert_eq!((claude.root, claude.program), (Ok(mode), original.clone()));
    }
    assert!(stage.copies().is_empty());
}
