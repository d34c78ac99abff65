//! What the fuzzers have kept, and what the real CLI has said, holds what has to hold: without fuzzing again.

use drover_tests::fuzz;
use std::path::Path;

/// Every file of a folder, which is not empty.
fn each(folder: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let files = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut checked = 0;
    for file in files {
        let path = file.expect("an entry").path();
        let bytes = std::fs::read(&path).expect("a file");
        let result = std::panic::catch_unwind(|| check(&bytes));
        assert!(result.is_ok(), "{}", path.display());
        checked += 1;
    }
    assert!(checked > 0, "{} is empty", folder.display());
}

#[test]
fn bodies_are_parsed() {
    each("fuzz/corpus/parse", fuzz::parse);
}

#[test]
fn lines_are_decoded() {
    each("fuzz/corpus/decode", fuzz::decode);
    each("../shared/src/cli/golden", fuzz::decode);
}
