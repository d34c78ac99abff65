//! The direction of dependencies, the place of the queue library, and the size of files.

use drover_tests::harness::workspace;
use std::path::{Path, PathBuf};

const LONGEST_FILE: usize = 500;

#[test]
fn api_and_worker_do_not_know_each_other() {
    for (part, other) in [("api", "worker"), ("worker", "api")] {
        let manifest = read(&workspace().join(part).join("Cargo.toml"));
        assert!(!manifest.contains(&format!("drover-{other}")), "{part} depends on {other}");
        for file in sources(part) {
            let names = mentions(&file, &format!("drover_{other}::"));
            assert!(names.is_empty(), "{} names {other}: {names:?}", file.display());
        }
    }
}

#[test]
fn the_parts_of_shared_see_only_the_vocabulary() {
    for part in ["dialect", "cli", "provider", "store"] {
        for file in sources(&format!("shared/src/{part}")) {
            for line in mentions(&file, "crate::") {
                let named = line.split("crate::").skip(1).map(first_word);
                let stranger = named.into_iter().find(|name| *name != part && *name != "schema");
                assert_eq!(stranger, None, "{}: {line}", file.display());
            }
        }
    }
    for file in sources("shared/src/schema") {
        let strangers: Vec<_> =
            mentions(&file, "crate::").into_iter().filter(|l| !l.contains("crate::schema")).collect();
        assert!(strangers.is_empty(), "{}: {strangers:?}", file.display());
    }
}

#[test]
fn the_queue_library_is_named_where_it_has_to_be() {
    let allowed = ["shared/src/store/queue.rs", "shared/src/store/sqlite/migrate.rs", "worker/src/fleet.rs"];
    for part in ["api", "shared", "worker", "tests/src"] {
        for file in sources(part) {
            let path = file.strip_prefix(workspace()).expect("a file of the workspace").to_owned();
            let is_allowed = allowed.iter().any(|allowed| path == Path::new(allowed));
            let lines = mentions(&file, "apalis");
            assert!(is_allowed || lines.is_empty(), "{}: {lines:?}", path.display());
            assert!(!is_allowed || !lines.is_empty(), "{} does not need its permission", path.display());
        }
    }
}

#[test]
fn no_file_is_too_long() {
    let mut seen = 0;
    for file in files(&workspace()) {
        let extension = file.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        if ["rs", "sql", "md", "py", "mjs", "sh", "toml", "yaml"].contains(&extension) {
            seen += 1;
            let lines = read(&file).lines().count();
            assert!(lines <= LONGEST_FILE, "{} has {lines} lines", file.display());
        }
    }
    assert!(seen > 100, "only {seen} files were looked at");
}

/// Lines of code, not of comments, that hold a text.
fn mentions(file: &Path, text: &str) -> Vec<String> {
    let source = read(file);
    let code = source.lines().filter(|line| !line.trim_start().starts_with("//"));
    code.filter(|line| line.contains(text)).map(str::to_owned).collect()
}

fn first_word(text: &str) -> &str {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default()
}

fn sources(part: &str) -> Vec<PathBuf> {
    let mut sources = files(&workspace().join(part));
    sources.retain(|file| file.extension().is_some_and(|extension| extension == "rs"));
    assert!(!sources.is_empty(), "{part} has sources");
    sources
}

/// Every file that is the project's own.
fn files(dir: &Path) -> Vec<PathBuf> {
    let entries =
        std::fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display())).flatten();
    let own = |entry: &std::fs::DirEntry| {
        let name = entry.file_name();
        !name.to_string_lossy().starts_with('.') && name != "target" && name != "node_modules"
    };
    entries
        .filter(own)
        .flat_map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => files(&entry.path()),
            Ok(kind) if kind.is_file() => vec![entry.path()],
            _ => Vec::new(),
        })
        .collect()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
