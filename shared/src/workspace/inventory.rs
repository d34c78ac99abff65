//! What has changed in a workspace from one look at it to the next, whoever has changed it.

use std::collections::BTreeMap;

use nix::sys::stat::FileStat;

use super::{Kind, Tree, Walk};
use crate::schema::changes::{Change, FileChange};
use crate::schema::{Changes, limits};

/// What git keeps of its own, at any depth; a commit would be a list of nothing else.
const GIT: &[u8] = b".git";

/// By what a file is known to be the same as before: which it is, how much it holds, and when that or anything
/// else of it was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp([i64; 4], u64, i64);

impl Stamp {
    pub(super) fn of(stat: &FileStat) -> Self {
        let times = [stat.st_mtime, stat.st_mtime_nsec, stat.st_ctime, stat.st_ctime_nsec];
        Self(times, stat.st_ino, stat.st_size)
    }
}

/// The files of a workspace at one time. What is neither a file nor a link is none.
#[derive(Debug)]
pub struct Inventory {
    files: BTreeMap<Vec<u8>, Stamp>,
    complete: bool,
}

impl Inventory {
    /// Looks through the workspace, as far as a job may take it. Blocks.
    pub fn take(tree: &Tree) -> Self {
        let walk = tree.directory(None).and_then(|top| Walk::new(top, None, true));
        let Ok(walk) = walk else { return Self { files: BTreeMap::new(), complete: false } };
        let mut walk = walk.without(GIT);
        let mut files = BTreeMap::new();
        for entry in walk.by_ref().take(limits::INVENTORY_ENTRIES) {
            let is_gits = entry.path.rsplit(|byte| *byte == b'/').next() == Some(GIT);
            if matches!(entry.meta.kind, Kind::File | Kind::Link) && !is_gits {
                files.insert(entry.path, entry.stamp);
            }
        }
        let complete = walk.next().is_none() && !walk.has_passed_over();
        Self { files, complete }
    }

    /// What has become of the files by `later`.
    pub fn changes(&self, later: &Self) -> Changes {
        let mut changes = Changes { files: Vec::new(), complete: self.complete && later.complete };
        if !changes.complete {
            // Where one of the two was not looked through, what it lacks need not have come or gone.
            let both = later.files.iter().filter(|(path, _)| self.files.contains_key(*path));
            self.note(both, &mut changes);
            return changes;
        }
        self.note(later.files.iter(), &mut changes);
        for path in self.files.keys().filter(|path| !later.files.contains_key(*path)) {
            changes.files.push(change(path, Change::Deleted));
        }
        changes.files.sort_unstable_by(|one, other| one.path.cmp(&other.path));
        cut(&mut changes);
        changes
    }

    fn note<'a>(&self, later: impl Iterator<Item = (&'a Vec<u8>, &'a Stamp)>, changes: &mut Changes) {
        for (path, stamp) in later {
            match self.files.get(path) {
                Some(known) if known == stamp => {}
                Some(_) => changes.files.push(change(path, Change::Changed)),
                None => changes.files.push(change(path, Change::Created)),
            }
        }
        cut(changes);
    }
}

fn change(path: &[u8], change: Change) -> FileChange {
    FileChange { path: String::from_utf8_lossy(path).into_owned(), change }
}

/// Keeps what there is room for.
fn cut(changes: &mut Changes) {
    let mut room = limits::CHANGED_PATHS_BYTES;
    let fits = |file: &FileChange| {
        let left = room.checked_sub(file.path.len());
        room = left.unwrap_or_default();
        left.is_some()
    };
    let kept = changes.files.iter().map(fits).take_while(|fits| *fits).take(limits::CHANGED_FILES).count();
    changes.complete &= kept == changes.files.len();
    changes.files.truncate(kept);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inventory(files: &[(&str, i64)], complete: bool) -> Inventory {
        let stamp = |at| Stamp([at; 4], 1, 1);
        let files = files.iter().map(|(path, at)| (path.as_bytes().to_vec(), stamp(*at))).collect();
        Inventory { files, complete }
    }

    fn told(changes: &Changes) -> Vec<(&str, Change)> {
        changes.files.iter().map(|file| (file.path.as_str(), file.change)).collect()
    }

    #[test]
    fn what_came_went_or_was_touched_is_told_by_path() {
        let before = inventory(&[("b", 1), ("d", 1), ("same", 1)], true);
        let after = inventory(&[("a/x", 2), ("d", 2), ("same", 1)], true);
        let changes = before.changes(&after);
        assert_eq!(
            told(&changes),
            [("a/x", Change::Created), ("b", Change::Deleted), ("d", Change::Changed)]
        );
        assert!(changes.complete);
    }

    #[test]
    fn of_what_was_not_looked_through_only_what_was_seen_twice_is_told() {
        let before = inventory(&[("b", 1), ("d", 1)], true);
        let changes = before.changes(&inventory(&[("a", 2), ("d", 2)], false));
        assert_eq!((told(&changes), changes.complete), (vec![("d", Change::Changed)], false));
    }

    #[test]
    fn a_long_list_is_cut_and_says_so() {
        let names: Vec<String> = (0..=limits::CHANGED_FILES).map(|n| format!("{n:06}")).collect();
        let many: Vec<(&str, i64)> = names.iter().map(|name| (name.as_str(), 1)).collect();
        let changes = inventory(&[], true).changes(&inventory(&many, true));
        assert_eq!((changes.files.len(), changes.complete), (limits::CHANGED_FILES, false));
        let wide = "x".repeat(limits::CHANGED_PATHS_BYTES);
        let changes = inventory(&[], true).changes(&inventory(&[(&wide, 1), ("y", 1)], true));
        assert_eq!((changes.files.len(), changes.complete), (1, false));
    }
}
