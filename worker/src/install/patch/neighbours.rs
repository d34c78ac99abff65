//! What `cli.js` looks for beside itself.

use std::ffi::OsStr;
use std::fs::{self, DirEntry, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::super::staging::{READABLE, RUNNABLE, create};

/// Parts of names of what only other systems and editors use; in some versions they are most of the package.
const FOREIGN: [&str; 4] = ["darwin", "win32", "jetbrains", "vsix"];
/// Folders within folders that are followed; packages have four. Links may lead in circles.
const DEPTH: u32 = 8;

/// Copies it from the package to the folder `into`. It is copied and not linked, so that the copy lives on when
/// the package is updated, and is whole for a slot that sees nothing else.
pub(super) fn copy(package: &Path, into: &Path) -> io::Result<()> {
    for entry in fs::read_dir(package)? {
        let entry = entry?;
        if is_wanted(&entry) {
            copy_tree(&entry.path(), &into.join(entry.file_name()), DEPTH)?;
        }
    }
    match images(package) {
        Some(images) => {
            let modules = into.join("node_modules");
            create(&modules)?;
            fs::set_permissions(&modules, Permissions::from_mode(RUNNABLE))?;
            copy_tree(&images, &modules.join("@img"), DEPTH)
        }
        None => Ok(()),
    }
}

/// `package.json` says that cli.js is a module.
fn is_wanted(entry: &DirEntry) -> bool {
    let name = entry.file_name();
    let is_wasm = Path::new(&name).extension() == Some(OsStr::new("wasm"));
    is_wasm || ["package.json", "LICENSE.md", "vendor"].iter().any(|wanted| name == *wanted)
}

/// The packages that shrink images, where npm has put them: into the package, or beside it.
fn images(package: &Path) -> Option<PathBuf> {
    let beside = package.parent().and_then(Path::parent).filter(|modules| modules.ends_with("node_modules"));
    let places = [Some(package.join("node_modules/@img")), beside.map(|modules| modules.join("@img"))];
    places.into_iter().flatten().find(|place| place.is_dir())
}

/// Links are followed: npm's look-alikes link packages into a store. All is for everyone to read and run.
fn copy_tree(from: &Path, to: &Path, depth: u32) -> io::Result<()> {
    let data = fs::metadata(from)?;
    if !data.is_dir() {
        fs::copy(from, to)?;
        let runs = data.permissions().mode() & 0o111 != 0;
        fs::set_permissions(to, Permissions::from_mode(if runs { RUNNABLE } else { READABLE }))?;
        return File::open(to)?.sync_all();
    }
    let depth = depth.checked_sub(1).ok_or_else(|| io::Error::other("folders lie too deep"))?;
    create(to)?;
    fs::set_permissions(to, Permissions::from_mode(RUNNABLE))?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !FOREIGN.iter().any(|foreign| name.contains(foreign)) {
            copy_tree(&entry.path(), &to.join(entry.file_name()), depth)?;
        }
    }
    Ok(())
}
