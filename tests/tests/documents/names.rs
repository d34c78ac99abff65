//! Commands, settings and files that the documents name exist, and the other way round.

use drover_shared::provider::registry::{KeyPlace, Registry};
use drover_tests::harness::{settings_in_help, settings_of, workspace};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const READMES: [&str; 2] = ["README.md", "README.zh-CN.md"];
/// Settings that the README leaves to `--help`.
const LEFT_TO_HELP: [&str; 9] = [
    "DROVER_CONFIG",
    "DROVER_DRAIN_GRACE",
    "DROVER_JOB_BUDGET",
    "DROVER_JOB_STALL",
    "DROVER_JOB_TIMEOUT",
    "DROVER_JOB_TURNS",
    "DROVER_MAX_QUEUED",
    "DROVER_READY_FILE",
    "DROVER_RETENTION_HOURS",
];

/// Settings of which a container has its own: places in it, and what it listens to.
const OF_CONTAINERS: [&str; 9] = [
    "CLAUDE_BINARY_PATH",
    "DATABASE_URL",
    "DROVER_ALLOW_OPEN",
    "DROVER_CONFIG",
    "DROVER_DATA_DIR",
    "DROVER_READY_FILE",
    "HOST",
    "PORT",
    "PROJECT_ROOT",
];

#[test]
fn settings_in_the_documents_are_settings_of_a_binary() {
    let settings = settings_in_help();
    for file in READMES.into_iter().chain([".env.example"]) {
        let text = read(file);
        let named: BTreeSet<String> = match file {
            ".env.example" => text.lines().filter_map(assigned).collect(),
            _ => text.lines().filter(|line| line.starts_with("| `")).flat_map(capitals).collect(),
        };
        assert!(named.len() > 5, "{file}: {named:?}");
        let unknown: Vec<_> = named.difference(&settings).filter(|name| !keys().contains(*name)).collect();
        assert!(unknown.is_empty(), "{file} names what no binary knows: {unknown:?}");
        if file == ".env.example" {
            continue;
        }
        let left = LEFT_TO_HELP.map(str::to_owned).into();
        let missing: Vec<_> =
            settings.difference(&named).filter(|name| !BTreeSet::contains(&left, *name)).collect();
        assert!(missing.is_empty(), "{file} does not name {missing:?}");
    }
}

#[test]
fn containers_get_every_setting_and_workers_every_providers_key() {
    let compose = read("compose.yaml");
    let (api, worker) = compose.split_once("\n  worker:\n").expect("two services");
    for (name, service, keys) in [("drover-api", api, BTreeSet::new()), ("drover-worker", worker, keys())] {
        let wanted = settings_of(name).into_iter().filter(|name| !OF_CONTAINERS.contains(&name.as_str()));
        let handed_on: BTreeSet<_> =
            service.lines().filter_map(|line| line.strip_prefix("      ")?.strip_suffix(':')).collect();
        let missing: Vec<_> = wanted.chain(keys).filter(|name| !handed_on.contains(name.as_str())).collect();
        assert!(missing.is_empty(), "compose.yaml does not hand on to {name}: {missing:?}");
    }
}

/// The variables in which providers' keys may be.
fn keys() -> BTreeSet<String> {
    let places = Registry::shipped().providers.into_iter().flat_map(|provider| provider.keys);
    let names = places.filter_map(|key| match key.place {
        KeyPlace::Variable(name) => Some(name),
        KeyPlace::File(_) => None,
    });
    names.collect()
}

#[test]
fn commands_in_the_readme_are_targets_of_the_makefile() {
    let makefile = read("Makefile");
    let targets: BTreeSet<&str> = makefile.lines().filter_map(target).collect();
    for file in READMES {
        let text = read(file);
        let named: BTreeSet<&str> = code(&text).filter_map(after_make).collect();
        assert!(named.contains("start") && named.contains("test"), "{file}: {named:?}");
        let unknown: Vec<_> = named.difference(&targets).collect();
        assert!(unknown.is_empty(), "{file} names commands that the Makefile lacks: {unknown:?}");
    }
}

#[test]
fn files_that_the_documents_link_to_exist() {
    let documents = ["", "api", "shared", "worker"].into_iter().flat_map(documents);
    let mut links = 0;
    for (file, text) in documents.map(|file| (file.clone(), read(&file))) {
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = link.split('#').next().unwrap_or_default();
            let beside = file.parent().map(|folder| workspace().join(folder).join(path));
            let is_there = link.starts_with("http") || beside.is_some_and(|path| path.exists());
            assert!(is_there, "{} links to {link}", file.display());
            links += 1;
        }
    }
    assert!(links > 30, "{links} links");
}

/// The documents in a folder of the workspace.
fn documents(folder: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(workspace().join(folder)).expect("a folder");
    let names = entries.map(|entry| Path::new(folder).join(entry.expect("an entry").file_name()));
    names.filter(|name| name.extension().is_some_and(|extension| extension == "md")).collect()
}

/// The names in the first column of a table that are written in capitals.
fn capitals(line: &str) -> Vec<String> {
    let column = line.split('|').nth(1).unwrap_or_default();
    let capital = |name: &&str| name.chars().all(|c| c.is_ascii_uppercase() || c == '_') && !name.is_empty();
    column.split('`').skip(1).step_by(2).filter(capital).map(str::to_owned).collect()
}

/// The name in `#NAME=value`.
fn assigned(line: &str) -> Option<String> {
    let name = line.strip_prefix('#')?.split_once('=')?.0;
    name.chars().all(|c| c.is_ascii_uppercase() || c == '_').then(|| name.to_owned())
}

fn target(line: &str) -> Option<&str> {
    let name = line.split_once(':')?.0;
    name.chars().all(|c| c.is_ascii_lowercase() || c == '-').then_some(name)
}

/// Code in back quotes, and the lines of code blocks.
fn code(text: &str) -> impl Iterator<Item = &str> {
    let inline = text.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
    inline.chain(text.lines())
}

fn after_make(code: &str) -> Option<&str> {
    // Variables may be set before the command.
    let command = code
        .split_once("make ")
        .filter(|(before, _)| before.split(' ').all(|w| w.is_empty() || w.contains('=')));
    command?.1.split_whitespace().next()
}

fn read(path: impl AsRef<Path>) -> String {
    let path = workspace().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
