//! Projects on disk: files that outlive a job, as workers and apis find them.
//!
//! ```text
//! projects/                       beside slots/, on the same file system
//!   .lock                         held while a workspace is moved
//!   .out/                         one empty file per workspace that is in a slot; its name says which inode, where
//!   .in/project_…/                what an api is still receiving, or has taken away, for a project; locked while
//!                                 something is put into the workspace, taken from it, or its owner changes
//!   .gone/project_…/              the workspace of a deleted project, about to be wiped
//!   project_…/                    a workspace at home
//! slots/<worker>/<slot>/project/
//!   project_…/                    a workspace while a process works in it
//! ```
//!
//! A process's walls are fixed when it starts, and the slot's directory lies within them. So a workspace is
//! *renamed* into the slot for as long as a process works in it, and renamed back before anything of the slot
//! is wiped. A rename happens or does not: there is no state in between to lose anything in.
//!
//! What counts as the workspace is the inode noted in `.out` and never a name, because whatever runs in a slot
//! may move, replace and imitate what it finds there. Wiping ([`wipe`]) recognises the inode wherever it lies and
//! sends it home instead of descending into it.
//!
//! Who only reads or writes files ([`Tree`]) opens the workspace where it is and keeps the descriptor, which stays
//! good wherever the workspace moves. Everything below goes through that descriptor, and no link is followed.

mod find;
mod homes;
mod incoming;
mod inventory;
mod measure;
mod path;
#[cfg(test)]
mod tests;
mod tree;
mod walk;
mod wipe;

pub use find::FindError;
pub use homes::{Homes, Record, Worker};
pub use incoming::{Gate, Incoming, Staged};
pub use inventory::Inventory;
pub use measure::{Used, measure};
pub use path::{FilePath, PathError};
pub use tree::{FileError, Meta, Placed, Tree};
pub use walk::{Entry, Kind, Walk};
pub use wipe::{DIRECTORY, wipe};

/// The mode of what nobody else may read: slots' own folders, workspaces.
pub const PRIVATE: u32 = 0o700;
/// The mode of what must only be passed through.
pub const PASSABLE: u32 = 0o711;
/// Where workspaces are in a slot's directory.
pub const PROJECT: &str = "project";
