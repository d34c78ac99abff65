//! Agent jobs on the real CLI: sessions that stay resident, move, and are resumed; projects that outlive it all.

mod door;
mod sessions;
mod workers;
