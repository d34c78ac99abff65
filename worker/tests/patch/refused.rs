//! What is not patched, and that nothing is left of it.

use std::fs;
use std::path::Path;

use drover_worker::install::patch::{PatchError, SmokeError, patched_copy};
use drover_worker::install::{RootRefusal, check, find_or_install};

use crate::{Stage, is_root, real, source};

/// The check of 2.1.112, as it stands in the file.
const CHECK: &str = r#"if(process.platform!=="win32"&&typeof process.getuid==="function"&&process.getuid()===0&&process.env.IS_SANDBOX!=="1"&&!S6(process.env.CLAUDE_CODE_BUBBLEWRAP))console.error("--dangerously-skip-permissions cannot be used with root/sudo privileges for security reasons"),process.exit(1)"#;

async fn refusal(stage: &Stage, script: &Path) -> PatchError {
    let error = patched_copy(&source(script, "2.1.112"), &stage.settings(None)).await.expect_err("refused");
    assert!(!error.to_string().contains('\n'), "one line: {error}");
    assert_eq!(stage.copies(), [""; 0], "nothing is left");
    error
}

#[tokio::test]
async fn a_file_with_two_checks_or_none_is_refused_with_the_counts() {
    let stage = Stage::new();
    let text = fs::read(real("2.1.112")).expect("read");
    let two = stage.script("two/cli.js", [&text, b"\n{".as_slice(), CHECK.as_bytes(), b"}"].concat());
    let error = refusal(&stage, &two).await.to_string();
    assert!(error.contains("2 of the shape TrueValue") && error.contains("2 messages"), "{error}");

    let none = stage.script("none/cli.js", String::from_utf8_lossy(&text).replace("getuid", "getuix"));
    let error = refusal(&stage, &none).await.to_string();
    assert!(error.contains("0 of the shape TrueValue, 0 of no known shape"), "{error}");
    assert!(error.contains("1 messages that refuse root"), "{error}");
}

#[tokio::test]
async fn a_check_with_another_escape_is_refused() {
    let stage = Stage::new();
    let text = fs::read(real("2.0.14")).expect("read");
    let text =
        String::from_utf8_lossy(&text).replace("&&!process.env.IS_SANDBOX)", "&&!process.env.IS_A_SANDBOX)");
    let error = refusal(&stage, &stage.script("cli.js", text)).await.to_string();
    assert!(error.contains("0 of the shape AnyValue") && error.contains("1 of no known shape"), "{error}");
}

#[tokio::test]
async fn a_file_that_is_patched_already_is_refused() {
    let stage = Stage::new();
    let settings = stage.settings(None);
    let copy = patched_copy(&source(&real("2.1.112"), "2.1.112"), &settings).await.expect("patched");
    let other = Stage::new();
    let error = refusal(&other, &copy).await.to_string();
    assert!(error.contains("1 edited already"), "{error}");
}

#[tokio::test]
async fn a_native_binary_is_never_edited() {
    let stage = Stage::new();
    let native = stage.script("claude", b"\x7fELF and then code");
    assert!(matches!(refusal(&stage, &native).await, PatchError::Native(path) if path == native));
}

#[tokio::test]
async fn a_wrapper_is_not_patched_and_still_runs_chats() {
    let stage = Stage::new();
    let wrapper = stage.script("wrapper", "#!/bin/sh\necho '2.1.112 (Claude Code)'");
    let claude = find_or_install(&stage.settings(Some(&wrapper))).await.expect("found");
    assert_eq!((claude.root, claude.program), (Err(RootRefusal::Wrapper), wrapper));
}

/// A CLI that says its version, holds one check, and then does as told.
fn actor(stage: &Stage, act: &str) -> std::path::PathBuf {
    let script = format!(
        "#!/usr/bin/env node\nconst S6=Boolean;\n\
         if(process.argv.includes('--version')){{console.log('2.1.112 (Claude Code)');process.exit(0)}}\n\
         {CHECK}\n{act}\n"
    );
    stage.script("cli.js", script)
}

#[tokio::test]
async fn a_copy_that_does_not_work_is_thrown_away_and_the_original_goes_on_with_chats() {
    let stage = Stage::new();
    let failing = actor(&stage, "console.error('no such model'); process.exit(3);");
    let error = refusal(&stage, &failing).await;
    assert!(matches!(&error, PatchError::Smoke { source: SmokeError::Failed(_), .. }), "{error}");
    assert!(error.to_string().contains("thrown away"), "{error}");
    assert!(error.to_string().ends_with("ended with code 3: no such model"), "{error}");

    let claude = find_or_install(&stage.settings(Some(&failing))).await.expect("found");
    assert_eq!(claude.program, failing);
    assert_eq!(claude.root, Err(RootRefusal::Patch(error.to_string())));
    assert!(check(&stage.settings(Some(&failing))).await.is_ready());
}

#[tokio::test]
async fn a_copy_that_never_asks_the_model_is_thrown_away() {
    let stage = Stage::new();
    let silent = actor(&stage, "console.log('all is well');");
    let error = refusal(&stage, &silent).await;
    assert!(
        matches!(&error, PatchError::Smoke { source: SmokeError::NoAnswer(said), .. } if said == "all is well")
    );
}

#[tokio::test]
async fn a_copy_with_a_second_check_of_another_kind_is_thrown_away() {
    if !is_root() {
        // Only root is refused.
        return;
    }
    let stage = Stage::new();
    let guarded = actor(&stage, "if(process.geteuid()===0){console.error('not as root');process.exit(1)}");
    let error = refusal(&stage, &guarded).await.to_string();
    assert!(error.ends_with("ended with code 1: not as root"), "{error}");
}

#[tokio::test]
async fn a_copy_that_says_another_version_is_thrown_away() {
    let stage = Stage::new();
    let script = actor(&stage, "");
    let error = patched_copy(&source(&script, "2.1.111"), &stage.settings(None)).await.expect_err("refused");
    assert!(matches!(error, PatchError::Smoke { source: SmokeError::OtherVersion(_), .. }), "{error}");
    assert_eq!(stage.copies(), [""; 0]);
}
