//! Installations that fail.

use std::fs;
use std::path::Path;

use drover_worker::install::{InstallError, NpmError, find_or_install, installed_at};

use crate::Stage;

/// Nothing is left that a later start could take for an installation, nor any half of one.
fn assert_nothing_installed(stage: &Stage) {
    let data = stage.path("data");
    assert!(!installed_at(&data).exists());
    let left = fs::read_dir(data.join("claude")).expect("the folder").flatten();
    assert_eq!(left.map(|entry| entry.file_name()).collect::<Vec<_>>(), [".lock"]);
}

#[tokio::test]
async fn without_npm_one_line_says_what_to_do() {
    let stage = Stage::bare();
    let error = find_or_install(&stage.settings(None)).await.expect_err("no npm");
    assert!(matches!(error, InstallError::Npm(NpmError::Missing)));
    assert!(error.to_string().contains("apt-get install -y nodejs npm"), "{error}");
    assert_nothing_installed(&stage);
}

#[tokio::test]
async fn a_failed_download_is_told_in_npms_own_words() {
    let stage = Stage::new();
    let mut settings = stage.settings(None);
    // Nothing listens on port 1.
    for (name, value) in [("npm_config_registry", "http://127.0.0.1:1/"), ("npm_config_fetch_retries", "0")] {
        settings.environment.push((name.into(), value.into()));
    }
    let error = find_or_install(&settings).await.expect_err("no registry").to_string();
    assert!(error.starts_with("npm could not install @anthropic-ai/claude-code-linux-"), "{error}");
    assert!(error.contains("ECONNREFUSED") && !error.contains('\n'), "{error}");
    assert_nothing_installed(&stage);
}

#[tokio::test]
async fn a_package_with_another_program_in_it_is_not_installed() {
    let stage = Stage::new();
    stage.program("bin/npm", &fake_npm("echo '9.9.9 (Claude Code)'"));
    let error = find_or_install(&stage.settings(None)).await.expect_err("not that one").to_string();
    assert!(error.contains("9.9.9, not 2.1.330"), "{error}");
    assert_nothing_installed(&stage);
}

#[tokio::test]
async fn an_installation_that_was_cut_off_is_cleared_away_by_the_next() {
    let stage = Stage::new();
    stage.program("bin/npm", &fake_npm("echo '2.1.330 (Claude Code)'"));
    let left = stage.path("data/claude/.staging-of-a-dead-worker");
    fs::create_dir_all(left.join("node_modules")).expect("created");
    let claude = find_or_install(&stage.settings(None)).await.expect("installed");
    assert_eq!(claude.program, installed_at(&stage.path("data")));
    assert!(!left.exists());
}

/// Installs a program of our own in the place of the real one, as npm would lay it out.
fn fake_npm(program: &str) -> String {
    assert!(Path::new("/bin/sh").exists());
    format!(
        "#!/bin/sh\nfor last; do :; done\n\
         module=\"node_modules/${{last%@*}}\"\n\
         mkdir -p \"$module\"\n\
         printf '#!/bin/sh\\n%s\\n' \"{program}\" > \"$module/claude\"\n"
    )
}
