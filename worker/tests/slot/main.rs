//! Slots with real processes: what runs in them, and that nothing of it stays.

mod bounds;
mod ends;
mod output;
mod runs;
mod stage;
mod survives;
