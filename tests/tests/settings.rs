//! The settings, as the binaries themselves tell them.

use std::process::Command;

use drover_shared::config::NAMES;
use drover_tests::harness::{binary, settings_in_help};

#[test]
fn the_list_of_names_is_what_the_binaries_read() {
    assert_eq!(settings_in_help(), NAMES.iter().map(|name| (*name).to_owned()).collect());
}

#[test]
fn an_open_port_is_refused_in_one_line() {
    let refused = Command::new(binary("drover-api"))
        .args(["--host", "0.0.0.0", "--port", "0"])
        .env_clear()
        .output()
        .expect("the binary runs");
    let told = String::from_utf8(refused.stderr).expect("text");
    assert!(!refused.status.success());
    assert!(told.contains("refusing to listen at 0.0.0.0 without API_KEYS"), "{told}");
}

#[test]
fn what_cannot_be_read_names_the_setting() {
    let refused =
        Command::new(binary("drover-worker")).args(["--slots", "0"]).env_clear().output().expect("it runs");
    let told = String::from_utf8(refused.stderr).expect("text");
    assert!(!refused.status.success());
    assert!(told.contains("--slots"), "{told}");
}
