//! Whatever happens to workers and whatever a process does in its slot, a project's files come back, and nothing
//! outside of them is touched.

mod play;

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::mem;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use drover_shared::workspace::DIRECTORY;
use nix::fcntl::{openat, renameat};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::geteuid;
use uuid::Uuid;

use super::super::directory::SlotDirs;
use super::*;

/// Nobody has these.
const USER: Option<(u32, u32)> = Some((61_234, 61_235));

struct Stage {
    root: tempfile::TempDir,
}

impl Stage {
    fn new() -> Self {
        Self { root: tempfile::tempdir().expect("a directory") }
    }

    fn worker(&self) -> (SlotDirs, Workspaces) {
        let root = self.root.path();
        (
            SlotDirs::claim(&root.join("slots"), None).expect("a place"),
            Workspaces::open(root).expect("projects"),
        )
    }

    fn home(&self, project: ProjectId) -> PathBuf {
        self.root.path().join("projects").join(project.to_string())
    }

    fn out(&self) -> usize {
        fs::read_dir(self.root.path().join("projects/.out")).expect("a directory").count()
    }
}

fn project(number: u128) -> ProjectId {
    ProjectId::from_uuid(Uuid::from_u128(number))
}

fn names(path: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(path).expect("a directory").flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn owner(path: &Path) -> (u32, u32) {
    let metadata = path.symlink_metadata().expect("it exists");
    (metadata.uid(), metadata.gid())
}

#[test]
fn a_workspace_is_in_its_slot_while_it_is_used_and_at_home_otherwise() {
    let stage = Stage::new();
    let (dirs, projects) = stage.worker();
    let slot = dirs.create().expect("a slot");
    let workspace = projects.enter(project(1), &slot, None).expect("entered");
    assert_eq!(workspace.path(), slot.path().join("project").join(project(1).to_string()));
    assert_eq!(fs::metadata(workspace.path()).expect("it exists").permissions().mode() & 0o777, 0o700);
    fs::write(workspace.path().join("file"), "kept").expect("written");
    assert!(!stage.home(project(1)).exists());
    workspace.leave().expect("moved back");
    assert_eq!(fs::read_to_string(stage.home(project(1)).join("file")).expect("at home"), "kept");
    assert_eq!((names(&slot.project()), stage.out()), (BTreeSet::new(), 0));

    drop(projects.enter(project(1), &slot, None).expect("entered again"));
    assert!(stage.home(project(1)).join("file").exists(), "dropping moves back as well");
}

#[test]
fn a_project_in_use_is_busy_for_its_own_worker_and_for_others() {
    let stage = Stage::new();
    let ((dirs, projects), (other_dirs, others)) = (stage.worker(), stage.worker());
    let (slot, second, foreign) = (
        dirs.create().expect("a slot"),
        dirs.create().expect("a slot"),
        other_dirs.create().expect("a slot"),
    );
    let workspace = projects.enter(project(1), &slot, None).expect("entered");
    assert!(matches!(projects.enter(project(1), &second, None), Err(WorkspaceError::Busy)));
    assert!(matches!(others.enter(project(1), &foreign, None), Err(WorkspaceError::Busy)));
    others.enter(project(2), &foreign, None).expect("another project is free");
    workspace.leave().expect("moved back");
    others.enter(project(1), &foreign, None).expect("free again");
}

#[test]
fn wiping_a_slot_before_its_workspace_has_left_loses_nothing() {
    let stage = Stage::new();
    let (dirs, projects) = stage.worker();
    let slot = dirs.create().expect("a slot");
    let workspace = projects.enter(project(1), &slot, None).expect("entered");
    fs::write(workspace.path().join("file"), "kept").expect("written");
    let path = slot.path().to_owned();
    drop(slot);
    assert!(!path.exists() && stage.home(project(1)).join("file").exists());
    workspace.leave().expect("it is at home already");
    assert_eq!(stage.out(), 0);
}

#[test]
fn what_a_dead_worker_held_is_taken_back_by_who_needs_it_or_by_the_next_worker() {
    for is_needed_first in [true, false] {
        let stage = Stage::new();
        let (survivor_dirs, survivor) = stage.worker();
        let (dirs, projects) = stage.worker();
        let slot = dirs.create().expect("a slot");
        let workspace = projects.enter(project(1), &slot, None).expect("entered");
        fs::write(workspace.path().join("file"), "kept").expect("written");
        mem::forget((workspace, slot));
        dirs.crash();
        if !is_needed_first {
            let _next = stage.worker();
            assert!(stage.home(project(1)).join("file").exists() && stage.out() == 0);
        }
        let slot = survivor_dirs.create().expect("a slot");
        let workspace = survivor.enter(project(1), &slot, None).expect("taken back");
        assert_eq!(fs::read_to_string(workspace.path().join("file")).expect("there"), "kept");
    }
}

#[test]
fn two_directories_for_one_project_are_both_left_alone() {
    let stage = Stage::new();
    let (dirs, projects) = stage.worker();
    let slot = dirs.create().expect("a slot");
    let workspace = projects.enter(project(1), &slot, None).expect("entered");
    fs::write(workspace.path().join("file"), "one").expect("written");
    fs::create_dir(stage.home(project(1))).expect("created");
    fs::write(stage.home(project(1)).join("file"), "two").expect("written");
    let inside = workspace.path().join("file");
    workspace.leave().expect_err("its place is taken");
    let second = dirs.create().expect("a slot");
    assert!(matches!(projects.enter(project(1), &second, None), Err(WorkspaceError::Twice)));
    drop(slot);
    dirs.crash();
    drop(stage.worker());
    assert_eq!(fs::read_to_string(inside).expect("there"), "one");
    assert_eq!(fs::read_to_string(stage.home(project(1)).join("file")).expect("there"), "two");
}

#[test]
fn links_out_of_a_workspace_give_nothing_away() {
    if !geteuid().is_root() {
        return; // Nobody else can give files away.
    }
    let stage = Stage::new();
    let outside = stage.root.path().join("outside");
    fs::create_dir(&outside).expect("created");
    fs::write(outside.join("precious"), "x").expect("written");
    let (dirs, projects) = stage.worker();
    let home = stage.home(project(1));
    fs::create_dir_all(home.join("a/b")).expect("created");
    symlink(&outside, home.join("a/to-directory")).expect("linked");
    symlink(outside.join("precious"), home.join("to-file")).expect("linked");
    fs::hard_link(outside.join("precious"), home.join("a/other-name")).expect("linked");
    fs::write(home.join("a/b/own"), "x").expect("written");
    fs::hard_link(home.join("a/b/own"), home.join("own-again")).expect("linked");
    lchown(home.join("to-file"), Some(7), Some(7)).expect("somebody else's");

    let slot = dirs.create().expect("a slot");
    let workspace = projects.enter(project(1), &slot, USER).expect("entered");
    let at = |name: &str| Some(owner(&workspace.path().join(name)));
    for name in ["", "a", "a/b", "a/b/own", "own-again", "to-file", "a/to-directory"] {
        assert_eq!(at(name), USER, "{name}");
    }
    assert_eq!(at("a/other-name"), Some((0, 0)));
    assert_eq!((owner(&outside), owner(&outside.join("precious"))), ((0, 0), (0, 0)));
}

#[test]
fn a_workspace_that_is_the_users_already_is_not_looked_through() {
    if !geteuid().is_root() {
        return; // Nobody else can give files away.
    }
    let stage = Stage::new();
    let (dirs, projects) = stage.worker();
    let slot = dirs.create().expect("a slot");
    let workspace = projects.enter(project(1), &slot, USER).expect("entered");
    fs::write(workspace.path().join("file"), "x").expect("written");
    workspace.leave().expect("moved back");
    let workspace = projects.enter(project(1), &slot, USER).expect("entered");
    assert_eq!(owner(&workspace.path().join("file")), (0, 0));
    workspace.leave().expect("moved back");
    chown(stage.home(project(1)), Some(7), Some(7)).expect("as after a change that broke off");
    let workspace = projects.enter(project(1), &slot, USER).expect("entered");
    assert_eq!(Some(owner(&workspace.path().join("file"))), USER);
}

#[test]
fn what_is_put_in_the_place_of_a_workspace_is_not_followed_and_the_workspace_comes_back() {
    for dies in [false, true] {
        let stage = Stage::new();
        let outside = stage.root.path().join("outside");
        fs::create_dir_all(outside.join(project(1).to_string())).expect("created");
        fs::write(outside.join(project(1).to_string()).join("precious"), "x").expect("written");
        let (dirs, projects) = stage.worker();
        let slot = dirs.create().expect("a slot");
        let workspace = projects.enter(project(1), &slot, None).expect("entered");
        fs::write(workspace.path().join("file"), "kept").expect("written");
        fs::rename(slot.project(), slot.tmp().join("elsewhere")).expect("moved");
        symlink(&outside, slot.project()).expect("linked");
        if dies {
            mem::forget((workspace, slot));
            dirs.crash();
            drop(stage.worker());
        } else {
            workspace.leave().expect_err("it is not where it was");
            drop(slot);
        }
        assert_eq!(names(&stage.home(project(1))), BTreeSet::from(["file".to_owned()]));
        assert!(outside.join(project(1).to_string()).join("precious").exists());
    }
}

#[test]
fn an_imitated_workspace_of_another_project_does_not_get_into_its_home() {
    let stage = Stage::new();
    let (dirs, projects) = stage.worker();
    let (slot, second) = (dirs.create().expect("a slot"), dirs.create().expect("a slot"));
    let mine = projects.enter(project(1), &slot, None).expect("entered");
    let victim = projects.enter(project(2), &second, None).expect("entered");
    for imitated in [2, 3] {
        fs::create_dir(slot.project().join(project(imitated).to_string())).expect("created");
    }
    fs::rename(mine.path(), slot.tmp().join("mine")).expect("moved");
    fs::create_dir(mine.path()).expect("imitated as well");
    fs::write(mine.path().join("forged"), "x").expect("written");
    mine.leave().expect_err("that is not it");
    drop(slot);
    assert!(!stage.home(project(3)).exists());
    assert_eq!(names(&stage.home(project(1))), BTreeSet::new());
    victim.leave().expect("its place is free");
}

#[test]
fn a_process_that_destroyed_its_workspace_finds_an_empty_one_next_time() {
    let stage = Stage::new();
    let (dirs, projects) = stage.worker();
    let slot = dirs.create().expect("a slot");
    let workspace = projects.enter(project(1), &slot, None).expect("entered");
    fs::remove_dir(workspace.path()).expect("removed");
    workspace.leave().expect_err("there is nothing to move back");
    let second = dirs.create().expect("a slot");
    assert!(matches!(projects.enter(project(1), &second, None), Err(WorkspaceError::Busy)));
    drop(slot);
    assert_eq!(stage.out(), 0);
    let workspace = projects.enter(project(1), &second, None).expect("made anew");
    assert_eq!(names(workspace.path()), BTreeSet::new());
}

#[test]
fn the_inode_of_a_destroyed_workspace_makes_no_workspace_of_a_strangers_directory() {
    let stage = Stage::new();
    let (dirs, projects) = stage.worker();
    let (slot, stranger) = (dirs.create().expect("a slot"), dirs.create().expect("a slot"));
    let workspace = projects.enter(project(1), &slot, None).expect("entered");
    let inode = fs::metadata(stranger.work()).expect("it exists").ino();
    fs::remove_dir(workspace.path()).expect("removed");
    workspace.leave().expect_err("there is nothing to move back");
    // As if the file system had given the freed inode to the stranger's directory.
    let out = stage.root.path().join("projects/.out");
    let record = names(&out).pop_first().expect("a record");
    let mut parts: Vec<_> = record.split('.').map(str::to_owned).collect();
    parts[1] = inode.to_string();
    fs::rename(out.join(&record), out.join(parts.join("."))).expect("renamed");
    fs::write(stranger.work().join("secret"), "x").expect("written");
    drop(stranger);
    drop(slot);
    drop(dirs);
    assert!(!stage.home(project(1)).exists() && stage.out() == 0);
}

#[test]
fn a_slot_of_another_root_is_refused() {
    let (stage, other) = (Stage::new(), Stage::new());
    let ((_dirs, projects), (dirs, _)) = (stage.worker(), other.worker());
    projects
        .enter(project(1), &dirs.create().expect("a slot"), None)
        .expect_err("nobody would bring it back");
}

#[test]
fn odd_files_closed_directories_and_any_depth_are_no_trouble() {
    let stage = Stage::new();
    let (dirs, projects) = stage.worker();
    let slot = dirs.create().expect("a slot");
    let workspace = projects.enter(project(1), &slot, None).expect("entered");
    let path = workspace.path().to_owned();
    UnixListener::bind(path.join("socket")).expect("bound");
    nix::unistd::mkfifo(&path.join("fifo"), Mode::S_IRWXU).expect("made");
    fs::create_dir(path.join("closed")).expect("created");
    fs::write(path.join("closed/file"), "x").expect("written");
    let mut here = open_directory(&path);
    for _ in 0..3_000 {
        mkdirat(&here, "d", Mode::S_IRWXU).expect("created");
        here = openat(&here, "d", DIRECTORY, Mode::empty()).expect("opened");
    }
    mkdirat(&here, "bottom", Mode::S_IRWXU).expect("created");
    for (closed, mode) in [("closed/file", 0o000), ("closed", 0o000), ("", 0o500)] {
        fs::set_permissions(path.join(closed), Permissions::from_mode(mode)).expect("set");
    }
    fs::set_permissions(slot.project(), Permissions::from_mode(0o000)).expect("set");
    workspace.leave().expect("moved back");

    let user = USER.filter(|_| geteuid().is_root());
    let workspace = projects.enter(project(1), &slot, user).expect("entered");
    let bottom = (0..3_000).fold(open_directory(workspace.path()), |here, _| {
        openat(&here, "d", DIRECTORY, Mode::empty()).expect("opened")
    });
    renameat(&bottom, "bottom", open_directory(workspace.path()), "up").expect("it was kept");
    if user.is_some() {
        for name in ["socket", "fifo", "closed", "closed/file", "up"] {
            assert_eq!(Some(owner(&workspace.path().join(name))), user, "{name}");
        }
    }
    workspace.leave().expect("moved back");
    wipe(&stage.home(project(1)), &Homes::beside(&stage.root.path().join("none")))
        .expect("the test's own litter is too deep for others to remove");
}

fn open_directory(path: &Path) -> std::os::fd::OwnedFd {
    nix::fcntl::open(path, DIRECTORY, Mode::empty()).expect("opened")
}
