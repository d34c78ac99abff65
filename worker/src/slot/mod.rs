//! One CLI process under supervision: in a session of its own, with nothing but what it was given, and gone
//! with everything it spawned when its job, its slot or its worker ends, however the worker ends.
//!
//! ```text
//! worker ──control socket──► supervisor (this program again, one thread, subreaper)
//!    │                            │ fork, walls, exec
//!    └── stdin, stdout, stderr ── CLI ── whatever it spawns
//! ```
//!
//! - The supervisor is the parent of the CLI and the foster parent of all that the CLI leaves behind. When
//!   the CLI exits, or when the worker's end of the control socket closes (on purpose, or because the worker
//!   died), it kills until it has no descendant left, reports, and exits.
//! - If the supervisor itself is killed, the kernel kills the CLI with it, and the worker, a subreaper too,
//!   kills what is left (`strays`).
//! - What to run reaches the supervisor over the control socket: no secret stands in a process list.
//! - Wipe a slot's directory only after [`Slot::exited`] has answered.

pub mod bounds;
mod census;
mod directory;
mod launch;
mod lines;
mod process;
mod spawn;
mod stderr;
mod strays;
mod supervisor;
mod sweep;
mod users;
pub mod walls;
mod wire;
mod workspace;

pub use census::{Census, census};
pub use directory::{SlotDir, SlotDirs};
pub use launch::{Slot, Supervisor};
pub use lines::{LineError, Lines};
pub use process::Process;
pub use strays::become_subreaper;
pub use supervisor::supervise_if_asked;
pub use sweep::lineage;
pub use users::{UserRange, Users};
pub use wire::{Exit, Launch, LaunchError, Step};
pub use workspace::{Workspace, WorkspaceError, Workspaces};
