//! The real installation, with the real npm and its registry. Slow: it downloads the CLI once.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};

use drover_shared::cli::build::{Build, PINNED_NATIVE_VERSION};
use drover_worker::install::{check, find_or_install, installed_at};

use crate::Stage;

/// Hands on to the real npm and notes that it was called.
fn counting_npm(stage: &Stage) {
    let log = stage.path("npm-calls");
    let real = std::env::split_paths(&std::env::var_os("PATH").expect("a PATH"))
        .map(|folder| folder.join("npm"))
        .find(|npm| npm.exists())
        .expect("npm is needed for this test");
    let script = format!("#!/bin/sh\necho called >> {}\nexec {} \"$@\"\n", log.display(), real.display());
    stage.program("bin/npm", &script);
}

fn npm_calls(stage: &Stage) -> usize {
    fs::read_to_string(stage.path("npm-calls")).unwrap_or_default().lines().count()
}

#[tokio::test]
async fn slow_workers_that_start_at_once_install_once_and_damage_is_repaired() {
    let stage = Stage::new();
    counting_npm(&stage);
    let settings = stage.settings(None);
    let (first, second) = tokio::join!(find_or_install(&settings), find_or_install(&settings));
    let claude = first.expect("installed");
    assert_eq!(second.expect("installed"), claude);
    assert_eq!(npm_calls(&stage), 1);
    assert_eq!((claude.build, claude.interpreter.clone()), (Build::Native, None));
    assert_eq!(claude.version.to_string(), PINNED_NATIVE_VERSION);
    assert_eq!(claude.program, installed_at(&stage.path("data")));
    assert_eq!(fs::metadata(&claude.program).expect("there").permissions().mode() & 0o777, 0o755);
    let left = fs::read_dir(stage.path("data/claude")).expect("the folder").flatten();
    assert_eq!(left.count(), 2, "the version and the lock");

    assert!(check(&settings).await.is_ready());
    let later = SystemTime::now() + Duration::from_mins(1);
    let open = || File::options().write(true).open(&claude.program).expect("opened");
    open().set_modified(later).expect("set");
    assert_eq!(find_or_install(&settings).await.expect("found"), claude);
    assert_eq!(npm_calls(&stage), 1, "the same content at another time is the same program");

    open().set_len(1_000).expect("cut");
    assert_eq!(find_or_install(&settings).await.expect("repaired"), claude);
    assert_eq!(npm_calls(&stage), 2);
}
