//! What an agent may put in the way.

use std::os::unix::fs::{chown, symlink};
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use nix::sys::stat::Mode;
use nix::unistd::{geteuid, mkfifo};

use super::*;

#[test]
fn links_lead_nowhere() {
    let stage = Stage::new();
    let tree = stage.tree();
    let home = stage.home();
    fs::create_dir(home.join("real")).expect("created");
    fs::write(home.join("real/own"), "own").expect("written");
    symlink(stage.outside(), home.join("out")).expect("linked");
    symlink(stage.outside().join("secret"), home.join("file")).expect("linked");
    symlink("real", home.join("inside")).expect("linked");
    symlink("../../outside", home.join("up")).expect("linked");
    symlink("/proc/self/cwd", home.join("magic")).expect("linked");
    for at in ["file", "out", "out/secret", "up/secret", "magic/etc/passwd", "inside/own", "inside"] {
        assert!(matches!(tree.read(&path(at)), Err(FileError::Link)), "{at}");
        assert!(matches!(tree.directory(Some(&path(at))), Err(FileError::Link)), "{at}");
    }
    for at in ["out/secret", "out/new", "up/new", "inside/new", "out/new/deeper"] {
        assert!(matches!(stage.put(&tree, at, "forged"), Err(FileError::Link)), "{at}");
        assert!(matches!(tree.remove(&path(at), true, &stage.incoming()), Err(FileError::Link)), "{at}");
    }
    // A link itself is replaced and removed, and what it leads to stays.
    stage.put(&tree, "file", "mine").expect("replaced");
    assert_eq!(content(&tree, "file").expect("a file"), "mine");
    for at in ["out", "up", "magic", "inside"] {
        tree.remove(&path(at), true, &stage.incoming()).expect("removed");
    }
    assert_eq!(names(&home), ["file", "real"]);
    assert_eq!(content(&tree, "real/own").expect("a file"), "own");
    stage.assert_untouched();
}

#[test]
fn nothing_waits_for_pipes_sockets_and_devices() {
    let stage = Stage::new();
    let tree = stage.tree();
    mkfifo(&stage.home().join("pipe"), Mode::S_IRWXU).expect("made");
    UnixListener::bind(stage.home().join("socket")).expect("bound");
    let mut special = vec!["pipe", "socket"];
    if geteuid().is_root() {
        use nix::sys::stat::{SFlag, makedev, mknod};
        if mknod(&stage.home().join("null"), SFlag::S_IFCHR, Mode::S_IRWXU, makedev(1, 3)).is_ok() {
            special.push("null");
        }
    }
    for at in special {
        assert!(matches!(tree.read(&path(at)), Err(FileError::Special)), "{at}");
        assert_eq!(tree.meta(&path(at)).expect("it is there").kind, Kind::Other);
        stage.put(&tree, at, "a file now").expect("replaced, not written to");
        assert_eq!(content(&tree, at).expect("a file"), "a file now");
    }
    stage.assert_untouched();
}

#[test]
fn a_strangers_file_with_a_name_in_the_workspace_stays_the_strangers() {
    if !geteuid().is_root() {
        return; // Nobody else can give a workspace away.
    }
    let stage = Stage::new();
    let tree = stage.tree();
    fs::hard_link(stage.outside().join("secret"), stage.home().join("linked")).expect("linked");
    fs::write(stage.home().join("own"), "own").expect("written");
    fs::hard_link(stage.home().join("own"), stage.home().join("again")).expect("linked");
    for name in ["", "own"] {
        chown(stage.home().join(name), Some(61_234), Some(61_235)).expect("an agent's");
    }
    assert!(matches!(tree.read(&path("linked")), Err(FileError::Forbidden)));
    assert_eq!(content(&tree, "again").expect("all its names are here"), "own");
    stage.put(&tree, "linked", "mine").expect("replaced, not written to");
    tree.remove(&path("linked"), false, &stage.incoming()).expect("removed");
    stage.assert_untouched();
}

#[test]
fn a_directory_that_is_swapped_for_a_link_meanwhile_gives_nothing_away() {
    let stage = Stage::new();
    let tree = stage.tree();
    let (home, stop) = (stage.home(), Arc::new(AtomicBool::new(false)));
    fs::create_dir(home.join("here")).expect("created");
    fs::write(home.join("here/secret"), "harmless").expect("written");
    symlink(stage.outside(), home.join("link")).expect("linked");
    let swapping = {
        let (home, stop) = (home.clone(), Arc::clone(&stop));
        thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                let exchange = RenameFlags::RENAME_EXCHANGE;
                renameat2(AT_FDCWD, &home.join("here"), AT_FDCWD, &home.join("link"), exchange)
                    .expect("swapped");
            }
        })
    };
    let (mut read, mut refused) = (0, 0);
    for round in 0..2_000 {
        match content(&tree, "here/secret") {
            Ok(text) => {
                assert_ne!(text, SECRET);
                read += 1;
            }
            Err(FileError::Link | FileError::NotFound) => refused += 1,
            Err(error) => panic!("{error}"),
        }
        // Whatever becomes of it, it does not land outside.
        let _ = stage.put(&tree, "here/secret", "harmless");
        let _ = stage.put(&tree, &format!("here/{}", round % 7), "x");
        let _ = tree.remove(&path(&format!("here/{}", round % 5)), true, &stage.incoming());
        for entry in Walk::new(tree.directory(None).expect("the top"), None, true).expect("a walk") {
            assert!(entry.path.len() < 20, "it went in circles: {:?}", entry.path);
        }
    }
    stop.store(true, Ordering::Relaxed);
    swapping.join().expect("it ends");
    assert!(read > 0 && refused > 0, "{read} {refused}: nothing was swapped");
    stage.assert_untouched();
}
