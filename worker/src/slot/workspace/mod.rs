//! Projects: files that outlive a job, and the slots that processes work on them in. Where a workspace is, and how
//! it moves, is [`drover_shared::workspace`]'s to say.

mod own;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use drover_shared::schema::ProjectId;
use drover_shared::workspace::{Homes, Record, Tree, Worker, wipe};

use super::directory::SlotDir;

/// The projects of a machine, as one worker sees them.
#[derive(Clone, Debug)]
pub struct Workspaces {
    homes: Homes,
    /// Those that processes of this worker work in.
    occupied: Arc<Mutex<BTreeSet<ProjectId>>>,
}

/// Why a workspace cannot be entered.
#[derive(Debug, thiserror::Error)]
pub enum WorkspaceError {
    /// Another process works in it, or it is just being rescued from a dead worker; to be tried again later.
    #[error("the project is busy")]
    Busy,
    /// There are two directories for it. Nothing was touched; somebody has to look.
    #[error("the project's files lie in two places")]
    Twice,
    /// The system refused.
    #[error("the project's files cannot be used: {0}")]
    Io(#[from] io::Error),
}

impl Workspaces {
    /// The projects in `root/projects`, for slots in `root/slots`.
    pub fn open(root: &Path) -> io::Result<Self> {
        let homes = Homes::open(root)?;
        Ok(Self { homes, occupied: Arc::default() })
    }

    /// Moves the project's files into the slot and makes them `user`'s (user and group), where given. Creates
    /// the project if there is none yet. Call it before anything runs in the slot, or while all that runs
    /// there waits. Blocks.
    pub fn enter(
        &self,
        project: ProjectId,
        slot: &SlotDir,
        user: Option<(u32, u32)>,
    ) -> Result<Workspace, WorkspaceError> {
        let workspace = self.move_in(project, slot)?;
        if let Some((uid, gid)) = user {
            // What an api puts there meanwhile would stay the old owner's.
            let _gate = self.homes.incoming(project)?.gate()?;
            own::give(&workspace.itself, uid, gid)?;
        }
        Ok(workspace)
    }

    fn move_in(&self, project: ProjectId, slot: &SlotDir) -> Result<Workspace, WorkspaceError> {
        if !self.homes.serve(slot.path()) {
            return Err(io::Error::from(io::ErrorKind::InvalidInput).into());
        }
        for _ in 0..2 {
            let lock = self.homes.lock()?;
            let Some(lost) = self.call_home(project, slot)? else { return self.take(project, slot) };
            // It is somewhere in a slot that nobody uses any more, which wiping looks through to the end.
            drop(lock);
            wipe(&lost.slot, &self.homes)?;
        }
        Err(WorkspaceError::Busy)
    }

    /// Sees to it that the workspace is at home, under the lock; answers the slot to be searched if it is not
    /// where it should be.
    fn call_home(&self, project: ProjectId, slot: &SlotDir) -> Result<Option<Lost>, WorkspaceError> {
        for record in self.homes.records()?.into_iter().filter(|record| record.project == project) {
            let abandoned = self.homes.slot(&record);
            if self.homes.is_back(&record)? || !abandoned.exists() {
                // Moved back or gone with its slot, and the worker died before it could note that.
                self.homes.forget(&record)?;
                continue;
            }
            if self.homes.has(project) {
                tracing::error!(%project, slot = %abandoned.display(), "a project lies both at home and in a slot");
                return Err(WorkspaceError::Twice);
            }
            let is_ours = slot.path().parent() == abandoned.parent();
            let is_left = is_ours && !self.occupied().contains(&project);
            match self.homes.worker(&record)? {
                Worker::Alive if is_left && self.homes.bring_back(&record)? => {}
                Worker::Alive => return Err(WorkspaceError::Busy),
                Worker::Dead(_) if self.homes.bring_back(&record)? => {}
                Worker::Dead(hold) => return Ok(Some(Lost { slot: abandoned, _hold: hold })),
            }
        }
        self.homes.make(project)?;
        Ok(None)
    }

    fn take(&self, project: ProjectId, slot: &SlotDir) -> Result<Workspace, WorkspaceError> {
        let (record, itself) = self.homes.send_out(project, slot.path())?;
        self.occupied().insert(project);
        let path = slot.project().join(project.to_string());
        Ok(Workspace { home: self.clone(), record, itself, path, has_left: false })
    }

    fn occupied(&self) -> MutexGuard<'_, BTreeSet<ProjectId>> {
        self.occupied.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A slot of nobody that a workspace is somewhere in, and what keeps others from it.
struct Lost {
    slot: PathBuf,
    _hold: Option<std::fs::File>,
}

/// A project's files, in a slot. Moved back when dropped, so drop it only when no process works in it any more,
/// and before the slot's directory (which would move it back as well).
#[derive(Debug)]
pub struct Workspace {
    home: Workspaces,
    record: Record,
    itself: OwnedFd,
    path: PathBuf,
    has_left: bool,
}

impl Workspace {
    /// Where the files are now.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The files, wherever they move.
    pub fn tree(&self) -> io::Result<Tree> {
        self.itself.try_clone().map(Tree::new)
    }

    /// Moves the files back. If that fails they stay in the slot, from where wiping the slot, the next worker
    /// or the next one to enter brings them back. Blocks.
    pub fn leave(mut self) -> io::Result<()> {
        self.move_back()
    }

    fn move_back(&mut self) -> io::Result<()> {
        if std::mem::replace(&mut self.has_left, true) {
            return Ok(());
        }
        let homes = &self.home.homes;
        let _lock = homes.lock()?;
        self.home.occupied().remove(&self.record.project);
        if homes.is_back(&self.record)? {
            homes.forget(&self.record)
        } else if homes.bring_back(&self.record)? {
            Ok(())
        } else {
            Err(io::Error::other("it is not where it was"))
        }
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        if let Err(error) = self.move_back() {
            tracing::warn!(project = %self.record.project, %error, "a workspace stays in its slot until that is wiped");
        }
    }
}
