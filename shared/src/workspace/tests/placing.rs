//! Putting files and taking them away.

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

use nix::unistd::geteuid;

use super::*;

#[test]
fn files_and_directories_come_and_go() {
    let stage = Stage::new();
    let tree = stage.tree();
    let put = |at: &str| stage.put(&tree, at, at).map(|placed| placed.created);
    assert!(put("a/b/c").expect("put"));
    assert!(!put("a/b/c").expect("put again"));
    assert!(put("a/d").expect("put"));
    assert!(matches!(put("a/b"), Err(FileError::IsDirectory)));
    assert!(matches!(put("a/d/e"), Err(FileError::NotDirectory)));
    assert!(matches!(tree.read(&path("a/b")), Err(FileError::IsDirectory)));
    assert!(matches!(tree.read(&path("a/x")), Err(FileError::NotFound)));
    assert!(matches!(tree.read(&path("a/d/e")), Err(FileError::NotDirectory)));
    let remove = |at: &str, recursive| tree.remove(&path(at), recursive, &stage.incoming());
    assert!(matches!(remove("a", false), Err(FileError::NotEmpty)));
    assert!(matches!(remove("x/y", true), Err(FileError::NotFound)));
    remove("a/d", false).expect("a file");
    remove("a/b/c", true).expect("a file");
    remove("a/b", false).expect("an empty directory");
    put("a/f/g").expect("put");
    remove("a", true).expect("all of it");
    assert_eq!(names(&stage.home()), [""; 0]);
    stage.assert_untouched();
}

#[test]
fn a_file_that_is_not_put_in_its_place_leaves_nothing() {
    let stage = Stage::new();
    let tree = stage.tree();
    drop(stage.incoming().stage().expect("a file"));
    stage.assert_untouched();
    assert_eq!(names(&stage.home()), [""; 0]);
    drop(tree);
}

#[test]
fn what_is_put_there_belongs_to_whom_the_rest_belongs_to_and_to_nobody_else() {
    let stage = Stage::new();
    let tree = stage.tree();
    let owner = if geteuid().is_root() {
        (61_234, 61_235)
    } else {
        (geteuid().as_raw(), nix::unistd::getegid().as_raw())
    };
    chown(stage.home(), Some(owner.0), Some(owner.1)).expect("an agent's");
    stage.put(&tree, "a/b/script", "x").expect("put");
    for (at, mode) in [("a", 0o700), ("a/b", 0o700), ("a/b/script", 0o600)] {
        let data = fs::metadata(stage.home().join(at)).expect("there");
        assert_eq!((data.uid(), data.gid(), data.mode() & 0o777), (owner.0, owner.1, mode), "{at}");
    }
    fs::set_permissions(stage.home().join("a/b/script"), Permissions::from_mode(0o755)).expect("set");
    assert!(stage.put(&tree, "a/b/script", "y").expect("put").meta.executable, "a script stays one");
}

#[test]
fn names_may_be_anything() {
    let stage = Stage::new();
    let tree = stage.tree();
    for bytes in [&b"no\xffutf8"[..], b"-rf", b"a\nb", b" ", "\u{202e}ok".as_bytes(), &[b'x'; 255]] {
        let incoming = stage.incoming();
        let staged = incoming.stage().expect("a file");
        let at = FilePath::parse(bytes).expect("a path");
        tree.place(staged, &at, &incoming.gate().expect("a gate")).expect("put");
        assert_eq!(tree.meta(&at).expect("there").kind, Kind::File);
    }
    assert_eq!(Walk::new(tree.directory(None).expect("the top"), None, true).expect("a walk").count(), 6);
}
