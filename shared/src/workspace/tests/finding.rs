//! A workspace is found wherever it is, and nothing else is taken for it.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::Duration;

use super::*;

#[test]
fn a_workspace_is_used_at_home_and_in_a_slot_and_while_it_moves() {
    let stage = Stage::new();
    assert!(stage.homes.find(project()).expect("homes").is_none(), "there is none yet");
    let tree = stage.tree();
    stage.put(&tree, "a/b", "at home").expect("put");
    let (record, slot) = stage.send_out("slot");
    assert_eq!(content(&tree, "a/b").expect("held all the time"), "at home");
    let away = stage.tree();
    assert_eq!(content(&away, "a/b").expect("found in the slot"), "at home");
    stage.put(&away, "a/b", "in the slot").expect("put");
    let there = slot.join(PROJECT).join(project().to_string());
    assert_eq!(fs::read_to_string(there.join("a/b")).expect("there"), "in the slot");
    assert!(stage.homes.bring_back(&record).expect("back"));
    stage.put(&away, "c", "at home again").expect("put");
    assert_eq!(content(&tree, "c").expect("the same"), "at home again");
}

#[test]
fn what_is_put_in_the_place_of_a_workspace_is_not_taken_for_it() {
    for imitation in ["link", "directory", "nothing", "linked folder"] {
        let stage = Stage::new();
        stage.put(&stage.tree(), "file", "kept").expect("put");
        let (_, slot) = stage.send_out("slot");
        let there = slot.join(PROJECT).join(project().to_string());
        fs::rename(&there, slot.join("hidden")).expect("moved");
        match imitation {
            "link" => symlink(stage.outside(), &there).expect("linked"),
            "directory" => fs::create_dir(&there).expect("made"),
            "linked folder" => {
                fs::remove_dir(slot.join(PROJECT)).expect("removed");
                fs::create_dir(stage.outside().join(project().to_string())).expect("made");
                symlink(stage.outside(), slot.join(PROJECT)).expect("linked");
            }
            _ => {}
        }
        assert!(matches!(stage.homes.find(project()), Err(FindError::Lost)), "{imitation}");
        assert!(matches!(stage.homes.find_or_make(project()), Err(FindError::Lost)), "{imitation}");
    }
}

#[test]
fn two_directories_for_one_project_are_both_left_alone() {
    let stage = Stage::new();
    stage.put(&stage.tree(), "file", "kept").expect("put");
    stage.send_out("slot");
    fs::create_dir(stage.home()).expect("made");
    assert!(matches!(stage.homes.find(project()), Err(FindError::Twice)));
}

#[test]
fn a_closed_workspace_is_opened_up() {
    let stage = Stage::new();
    stage.put(&stage.tree(), "file", "kept").expect("put");
    fs::set_permissions(stage.home(), Permissions::from_mode(0o000)).expect("closed");
    assert_eq!(content(&stage.tree(), "file").expect("a file"), "kept");
}

#[test]
fn a_deleted_projects_files_go_wherever_they_were_left() {
    for place in ["nowhere", "at home", "half gone", "in a dead worker's slot"] {
        let stage = Stage::new();
        if place != "nowhere" {
            let tree = stage.tree();
            stage.put(&tree, "a/b", "x").expect("put");
            std::mem::forget(stage.incoming().stage().expect("left by an api that died"));
        }
        match place {
            "half gone" => fs::rename(stage.home(), stage.homes.doomed(project())).expect("as after a crash"),
            "in a dead worker's slot" => drop(stage.send_out("slot")),
            _ => {}
        }
        assert!(stage.homes.discard(project()).expect("discarded"), "{place}");
        assert!(stage.homes.discard(project()).expect("once more"), "{place}");
        let projects = stage.root.path().join("projects");
        assert_eq!(names(&projects), [".gone", ".in", ".lock", ".out"], "{place}");
        for folder in [".gone", ".in", ".out"] {
            assert_eq!(names(&projects.join(folder)), [""; 0], "{place}: {folder}");
        }
        assert!(stage.homes.find(project()).expect("homes").is_none(), "{place}");
    }
}

#[test]
fn a_deleted_project_waits_for_the_slot_that_it_is_in() {
    let stage = Stage::new();
    let tree = stage.tree();
    stage.put(&tree, "file", "x").expect("put");
    let (record, slot) = stage.send_out("slot");
    let lock = fs::File::create(slot.with_file_name("lock")).expect("a lock");
    lock.lock().expect("a living worker's");
    assert!(!stage.homes.discard(project()).expect("it is in use"));
    assert_eq!(content(&tree, "file").expect("untouched"), "x");
    assert!(stage.homes.bring_back(&record).expect("back"));
    assert!(stage.homes.discard(project()).expect("discarded"));
    assert!(matches!(stage.put(&tree, "late", "x"), Err(FileError::NotFound)), "it is gone");
}

#[test]
fn what_nobody_puts_in_its_place_is_swept() {
    let stage = Stage::new();
    std::mem::forget(stage.incoming().stage().expect("left by an api that died"));
    let under_way = stage.incoming().stage().expect("a file");
    assert_eq!(stage.homes.sweep_incoming(Duration::from_mins(1)).expect("swept"), 0);
    drop(under_way);
    assert_eq!(stage.homes.sweep_incoming(Duration::ZERO).expect("swept"), 1);
    stage.assert_untouched();
}
