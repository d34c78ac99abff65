//! Which npm package holds the native CLI of this machine.

use std::path::Path;

use super::InstallError;
use super::version::PINNED_NATIVE_VERSION;

/// The package of this machine, as `name@version`. It holds the executable itself, so no install script has to run.
pub(super) fn package() -> Result<String, InstallError> {
    let system = (std::env::consts::OS, std::env::consts::ARCH);
    let name = name(system.0, system.1, uses_musl(Path::new("/")));
    let name = name.ok_or_else(|| InstallError::Platform(format!("{} on {}", system.0, system.1)))?;
    Ok(format!("{name}@{PINNED_NATIVE_VERSION}"))
}

fn name(system: &str, processor: &str, musl: bool) -> Option<String> {
    let processor = match (system, processor) {
        ("linux", "x86_64") => "x64",
        ("linux", "aarch64") => "arm64",
        _ => return None,
    };
    let libc = if musl { "-musl" } else { "" };
    Some(format!("@anthropic-ai/claude-code-linux-{processor}{libc}"))
}

/// Whether programs find musl and not glibc when they are loaded. Where both are, glibc is the system's own.
fn uses_musl(root: &Path) -> bool {
    let glibc = ["lib64/ld-linux-x86-64.so.2", "lib/ld-linux-aarch64.so.1"];
    let musl = ["lib/ld-musl-x86_64.so.1", "lib/ld-musl-aarch64.so.1"];
    let any = |loaders: [&str; 2]| loaders.iter().any(|loader| root.join(loader).exists());
    any(musl) && !any(glibc)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_named_by_processor_and_c_library() {
        let package = |processor, musl| name("linux", processor, musl).expect("a known machine");
        assert_eq!(package("x86_64", false), "@anthropic-ai/claude-code-linux-x64");
        assert_eq!(package("aarch64", true), "@anthropic-ai/claude-code-linux-arm64-musl");
        assert_eq!(name("linux", "riscv64", false), None);
        assert_eq!(name("macos", "aarch64", false), None);
    }

    #[test]
    fn musl_is_found_by_its_loader_alone() {
        let root = tempfile::tempdir().expect("a directory");
        assert!(!uses_musl(root.path()));
        std::fs::create_dir_all(root.path().join("lib")).expect("created");
        std::fs::write(root.path().join("lib/ld-musl-x86_64.so.1"), "").expect("written");
        assert!(uses_musl(root.path()));
        std::fs::write(root.path().join("lib/ld-linux-aarch64.so.1"), "").expect("written");
        assert!(!uses_musl(root.path()));
    }
}
