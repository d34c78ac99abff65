//! The scripted CLI. Answers `--version` and the chat command line as Claude Code does.

fn main() -> std::process::ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    drover_tests::scripted::run(&arguments)
}
