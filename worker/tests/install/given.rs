//! The CLI that an operator names.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use drover_shared::cli::build::{Build, Version};
use drover_worker::install::{InstallError, RootPolicy, RootRefusal, check, find_or_install};

use crate::Stage;

async fn refusal(stage: &Stage, path: &Path) -> String {
    let error = find_or_install(&stage.settings(Some(path))).await.expect_err("refused").to_string();
    assert!(!error.contains('\n'), "one line: {error}");
    error
}

#[tokio::test]
async fn a_script_for_node_is_run_by_node_also_through_a_link_and_without_an_x_bit() {
    let stage = Stage::new();
    let script = stage.program("lib/cli.js", "#!/usr/bin/env node\nconsole.log('2.1.112 (Claude Code)')");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o644)).expect("set");
    let link = stage.path("claude");
    symlink(&script, &link).expect("linked");
    let claude = find_or_install(&stage.settings(Some(&link))).await.expect("found");
    assert_eq!((claude.build, claude.version), (Build::JavaScript, Version::new(2, 1, 112)));
    assert_eq!(claude.program, script);
    let node = claude.interpreter.expect("node");
    assert!(node.is_absolute() && node.ends_with("node"));
}

#[tokio::test]
async fn a_wrapper_is_used_as_it_is_and_judged_by_its_version() {
    let stage = Stage::new();
    for (said, build) in [("2.1.330", Build::Native), ("2.1.100", Build::JavaScript)] {
        let wrapper = stage.program("wrapper", &format!("#!/bin/sh\necho '{said} (Claude Code)'"));
        let claude = find_or_install(&stage.settings(Some(&wrapper))).await.expect("found");
        assert_eq!((claude.build, claude.interpreter, claude.program), (build, None, wrapper));
    }
}

#[tokio::test]
async fn it_sees_a_home_of_its_own_and_nothing_of_ours() {
    let stage = Stage::new();
    let told = stage.path("told");
    let script = format!("#!/bin/sh\n(pwd; env) > {}\necho '2.1.330 (Claude Code)'", told.display());
    let wrapper = stage.program("wrapper", &script);
    let mut settings = stage.settings(Some(&wrapper));
    settings.environment.push(("ANTHROPIC_API_KEY".into(), "secret".into()));
    find_or_install(&settings).await.expect("found");
    let told = fs::read_to_string(told).expect("told");
    let home = told.lines().next().expect("a working directory");
    assert!(told.contains(&format!("\nHOME={home}\n")), "{told}");
    assert!(!Path::new(home).exists(), "removed afterwards");
    assert!(!told.contains("secret") && !told.contains("CARGO"), "{told}");
}

#[tokio::test]
async fn what_cannot_be_used_is_refused_with_the_reason() {
    let stage = Stage::new();
    let missing = stage.path("missing");
    assert_eq!(
        refusal(&stage, &missing).await,
        format!("CLAUDE_BINARY_PATH={} does not exist", missing.display())
    );
    let folder = stage.path("");
    assert!(refusal(&stage, &folder).await.ends_with("is not an executable file"));

    let dead = stage.program("dead", "#!/bin/sh\necho '2.1.330 (Claude Code)'");
    fs::set_permissions(&dead, fs::Permissions::from_mode(0o644)).expect("set");
    assert!(refusal(&stage, &dead).await.ends_with("is not an executable file"));

    let other = refusal(&stage, Path::new("/bin/ls")).await;
    assert!(other.contains("is not the Claude CLI: `--version` answered \"ls (GNU coreutils)"), "{other}");

    let old = stage.program("old", "#!/bin/sh\necho '1.0.30 (Claude Code)'");
    assert!(refusal(&stage, &old).await.contains("1.0.30 cannot run chat jobs"));

    let broken = stage.program("broken", "#!/bin/sh\necho 'no such library' >&2; exit 127");
    assert!(refusal(&stage, &broken).await.ends_with("`--version` ended with code 127: no such library"));

    let lost = stage.program("lost", "#!/no/such/shell\n");
    assert!(refusal(&stage, &lost).await.contains("the interpreter named in its first line"));
}

#[tokio::test]
async fn a_missing_node_is_named() {
    let stage = Stage::bare();
    let script = stage.program("cli.js", "");
    let error = find_or_install(&stage.settings(Some(&script))).await.expect_err("no node");
    assert!(matches!(error, InstallError::NodeMissing(path) if path == script));
}

#[tokio::test]
async fn a_check_tells_the_state_in_words() {
    let stage = Stage::bare();
    let report = check(&stage.settings(None)).await;
    assert!(!report.is_ready());
    let text = report.to_string();
    assert!(text.contains("not installed") && text.contains("npm      not on PATH"), "{text}");
    assert!(!stage.path("data").exists(), "it changes nothing");

    stage.program("bin/npm", "#!/bin/sh\n");
    assert!(check(&stage.settings(None)).await.is_ready());

    let wrapper = stage.program("wrapper", "#!/bin/sh\necho '2.1.330 (Claude Code)'");
    let report = check(&stage.settings(Some(&wrapper))).await;
    assert!(report.is_ready());
    let text = report.to_string();
    assert!(text.starts_with("claude   2.1.330 (Native)\npath     /"), "{text}");
    assert!(text.contains("\nhas      --input-format stream-json, ") && text.contains("\nlacks    none\n"));
    assert!(text.contains("\nroot     user: ") && text.contains("(policy auto; root, may change users)"));
}

#[tokio::test]
async fn a_worker_that_cannot_run_agents_as_root_says_why_and_starts() {
    let stage = Stage::new();
    let wrapper = stage.program("wrapper", "#!/bin/sh\necho '2.1.330 (Claude Code)'");
    let mut settings = stage.settings(Some(&wrapper));
    settings.root_policy = RootPolicy::User;
    settings.standing.may_change_users = false;
    let claude = find_or_install(&settings).await.expect("found");
    assert_eq!(claude.root, Err(RootRefusal::NoUsers));
    let report = check(&settings).await;
    assert!(report.is_ready());
    assert!(report.to_string().contains("\nroot     no agent jobs: this worker is root but"), "{report}");
}
