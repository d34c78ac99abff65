//! Looking through it.

use std::os::unix::fs::symlink;

use nix::fcntl::{open, openat};
use nix::sys::stat::{Mode, mkdirat};

use super::*;
use crate::schema::limits;

fn walk(tree: &Tree, below: Option<&str>, recursive: bool, after: Option<&str>) -> Vec<String> {
    let below = below.map(path);
    let mut walk = Walk::new(tree.directory(below.as_ref()).expect("a directory"), below.as_ref(), recursive)
        .expect("a walk");
    if let Some(after) = after {
        walk.skip_to(&path(after));
    }
    walk.map(|entry| String::from_utf8(entry.path).expect("text")).collect()
}

#[test]
fn everything_is_met_once_in_order_from_wherever_one_goes_on() {
    let stage = Stage::new();
    let tree = stage.tree();
    for at in ["a/b/c", "a/b/d", "a.txt", "a/e", "b", "é"] {
        stage.put(&tree, at, "x").expect("put");
    }
    fs::create_dir(stage.home().join("empty")).expect("made");
    symlink("a", stage.home().join("link")).expect("linked");
    let all = ["a", "a/b", "a/b/c", "a/b/d", "a/e", "a.txt", "b", "empty", "link", "é"];
    assert_eq!(walk(&tree, None, true, None), all);
    for (at, after) in all.iter().enumerate() {
        assert_eq!(walk(&tree, None, true, Some(after)), all[at + 1..], "{after}");
    }
    for (after, rest) in [("a/b/cc", 3), ("a/b/c/x", 3), ("a/a/z", 1), ("a0", 6), ("zz", 9), ("Z", 0)] {
        assert_eq!(walk(&tree, None, true, Some(after)), all[rest..], "{after} is not there");
    }
    assert_eq!(walk(&tree, None, false, None), ["a", "a.txt", "b", "empty", "link", "é"]);
    assert_eq!(walk(&tree, None, false, Some("a")), ["a.txt", "b", "empty", "link", "é"]);
    assert_eq!(walk(&tree, Some("a"), true, None), ["a/b", "a/b/c", "a/b/d", "a/e"]);
    assert_eq!(walk(&tree, Some("a"), true, Some("a/b")), ["a/b/c", "a/b/d", "a/e"]);
    assert_eq!(walk(&tree, Some("a/b"), false, Some("a/b/c")), ["a/b/d"]);
}

#[test]
fn a_tree_deeper_than_any_path_is_walked_as_far_as_names_go_and_removed_whole() {
    let stage = Stage::new();
    let tree = stage.tree();
    let mut here = open(&stage.home(), DIRECTORY, Mode::empty()).expect("opened");
    for _ in 0..2_000 {
        mkdirat(&here, "d", Mode::S_IRWXU).expect("created");
        here = openat(&here, "d", DIRECTORY, Mode::empty()).expect("opened");
    }
    assert_eq!(walk(&tree, None, true, None).len(), limits::PROJECT_DEPTH + 1);
    tree.remove(&path("d"), true, &stage.incoming()).expect("removed");
    assert_eq!(names(&stage.home()), [""; 0]);
    stage.assert_untouched();
}

#[test]
fn what_is_met_can_be_read() {
    let stage = Stage::new();
    let tree = stage.tree();
    for at in ["a/b", "c"] {
        stage.put(&tree, at, at).expect("put");
    }
    let mut walk = Walk::new(tree.directory(None).expect("the top"), None, true).expect("a walk");
    let mut read = Vec::new();
    while let Some(entry) = walk.next() {
        if entry.meta.kind == Kind::File {
            let (mut file, _) = walk.read(&tree, &entry).expect("a file");
            let mut text = String::new();
            std::io::Read::read_to_string(&mut file, &mut text).expect("read");
            assert_eq!(text.as_bytes(), entry.path);
            read.push(text);
        }
    }
    assert_eq!(read, ["a/b", "c"]);
}

#[test]
fn what_is_too_deep_to_be_looked_at_is_not_told_of_as_unchanged() {
    let stage = Stage::new();
    let tree = stage.tree();
    stage.put(&tree, "a/b", "x").expect("put");
    stage.put(&tree, "sub/.git/objects", "x").expect("put");
    let before = Inventory::take(&tree);
    stage.put(&tree, "sub/.git/objects", "other").expect("put");
    let changes = before.changes(&Inventory::take(&tree));
    assert!(changes.complete && changes.files.is_empty(), "what git keeps is nobody's change: {changes:?}");
    let mut here = open(&stage.home(), DIRECTORY, Mode::empty()).expect("opened");
    for _ in 0..=limits::PROJECT_DEPTH {
        mkdirat(&here, "d", Mode::S_IRWXU).expect("created");
        here = openat(&here, "d", DIRECTORY, Mode::empty()).expect("opened");
    }
    assert!(!before.changes(&Inventory::take(&tree)).complete);
}
