//! Agent jobs on the real CLI: sessions that stay resident, move, and are resumed; projects that outlive it all.

mod javascript;
mod network;
mod sessions;
mod workers;
