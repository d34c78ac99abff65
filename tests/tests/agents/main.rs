//! Agent jobs on the real CLI: sessions that stay resident, move, and are resumed; projects that outlive it all.

mod activity;
mod chaos;
mod door;
mod files;
mod javascript;
mod leaks;
mod mcp;
mod network;
mod once;
mod options;
mod permissions;
mod sessions;
mod workers;
